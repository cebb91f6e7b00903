# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Two who confirm at once do not give a payer more credit than its limit"
from decimal import Decimal
from functools import partial

import pytest

from trytond.pool import Pool
from trytond.transaction import Transaction

from .rpc import server
from .test_concurrency import Meeting, race
from .test_customer_credit_access import world  # noqa: F401

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.xdist_group('concurrency'),
    ]


def create_quotations(n, amount):
    with server('sven'):
        pool = Pool()
        Line = pool.get('sale.line')
        Sale = pool.get('sale.sale')
        acme, = pool.get('party.party').search([('name', '=', "Acme")])
        product, = pool.get('product.product').search([])
        sales = []
        for _ in range(n):
            sale = Sale()
            for name in Sale._fields:
                if hasattr(Sale, f'default_{name}'):
                    setattr(sale, name, getattr(Sale, f'default_{name}')())
            sale.party = acme
            sale.on_change_party()
            sale.lines = [Line(
                    product=product, unit=product.default_uom, quantity=1,
                    unit_price=Decimal(amount))]
            sale.save()
            sales.append(sale)
        Sale.quote(sales)
        return [s.id for s in sales]


@pytest.mark.parametrize('meet', [False, True])
def test_confirm(world, monkeypatch, meet):  # noqa: F811
    "Of two orders of which one fits one is confirmed"
    for _ in range(3):
        sales = create_quotations(2, 60)
        if meet:
            Meeting(monkeypatch, ('party.party', 'get_credit_facts'))
        assert race(*(
                partial(world[login], 'sale.sale.confirm', [sale])
                for login, sale in zip(['sven', 'frida'], sales))
            ) == [None, None]
        monkeypatch.undo()
        with server():
            pool = Pool()
            Sale = pool.get('sale.sale')
            states = sorted(s.credit_state for s in Sale.browse(sales))
            assert states == ['held', 'none']
            confirmed, = [
                s for s in Sale.browse(sales) if s.credit_state == 'none']
            assert confirmed.state in {'confirmed', 'processing'}
            # Give it back
            table = Sale.__table__()
            Transaction().connection.cursor().execute(*table.update(
                    [table.state], ['done'],
                    where=table.id == confirmed.id))
