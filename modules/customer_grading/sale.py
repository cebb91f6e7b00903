# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal

from trytond import backend
from trytond.model import ModelView, fields
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.transaction import Transaction, without_check_access

from .hold import Order

# The ids of the sales that need no other check
_checked = ContextVar('credit_checked', default=frozenset())


@contextmanager
def _without_stock_check(checks):
    token = _checked.set(frozenset(
            c.order.sale.id for c in checks.values() if c.decided))
    try:
        yield
    finally:
        _checked.reset(token)


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    @classmethod
    def lock_credit(cls, party_ids):
        """Let wait the other transactions that give credit to the parties

        As they have read the exposure already they fail, and are tried again,
        if this one is committed."""
        if backend.name != 'postgresql':
            # The others write one after the other
            return
        table = cls.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.active], [table.active],
                where=fields.SQL_OPERATORS['in'](
                    table.id, sorted(party_ids))))


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    credit_holds = fields.One2Many(
        'sale.credit.hold', 'sale', "Credit Holds", readonly=True,
        states={
            'invisible': ~Eval('credit_holds'),
            })
    credit_state = fields.Function(
        fields.Selection([
                ('none', "None"),
                ('held', "Held"),
                ('released', "Released"),
                ('rejected', "Rejected"),
                ], "Credit State", sort=False),
        'get_credit', searcher='search_credit_state')
    credit_reasons = fields.Function(
        fields.Text(
            "Held by Customer Credit",
            states={
                'invisible': ~Eval('credit_state').in_(['held', 'rejected']),
                },
            help="Why the order cannot be confirmed until it is released."),
        'get_credit')

    @classmethod
    def get_credit(cls, sales, names):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        cursor = Transaction().connection.cursor()
        states = {s.id: 'none' for s in sales}
        holds = {}
        cursor.execute(*Hold.sale_states(list(states)))
        for sale, hold, state in cursor:
            states[sale] = state
            holds[sale] = hold
        result = {'credit_state': states}
        if 'credit_reasons' in names:
            texts = Hold.get_texts(holds.values())
            result['credit_reasons'] = {
                s.id: texts.get(holds.get(s.id)) for s in sales}
        return {n: result[n] for n in names}

    @classmethod
    def search_credit_state(cls, name, clause):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        _, operator, value = clause[:3]
        values = value if isinstance(value, (list, tuple, set)) else [value]
        negative = operator.startswith(('!', 'not'))
        query = Hold.sale_states()
        query.columns = query.columns[:1]
        hold, = query.from_
        if ('none' in values) != negative:
            # All but those that have another state
            excluded = [
                s for s in ['held', 'released', 'rejected']
                if (s in values) == negative]
            query.where &= hold.state.in_(excluded or [''])
            return [('id', 'not in', query)]
        included = [
            s for s in ['held', 'released', 'rejected']
            if (s in values) != negative]
        query.where &= hold.state.in_(included or [''])
        return [('id', 'in', query)]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="credit_state"]', 'visual',
                If(Eval('credit_state') == 'rejected', 'danger',
                    If(Eval('credit_state') == 'held', 'warning', ''))),
            ]

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('credit_holds')
        return super().copy(sales, default=default)

    def must_check_credit_limit(self):
        return (
            super().must_check_credit_limit()
            and self.id not in _checked.get())

    @classmethod
    @without_check_access
    def check_credit(cls, sales, final=True):
        """Return by sale the result of the check against the policy of who
        pays, without those of companies that have no policy"""
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        Policy = pool.get('customer.service.policy')
        orders = []
        for company, c_sales in group_by_company(cls.browse(sales)):
            if Policy.get_active(company):
                orders.extend(s._get_credit_order() for s in c_sales)
        return Hold.check(orders, final=final)

    def _get_credit_order(self):
        amount = self._credit_company_amount(self.total_amount or Decimal(0))
        return Order(
            origin=self, sale=self, party=self.invoice_party or self.party,
            amount=amount, total=amount, payment_term=self.payment_term,
            on_credit=self._is_on_credit())

    def _is_on_credit(self):
        "Return whether something is delivered before it is paid"
        return self.shipment_method != 'invoice'

    def _credit_company_amount(self, amount):
        "Return the amount in the currency of the company at today's rate"
        pool = Pool()
        Currency = pool.get('currency.currency')
        Date = pool.get('ir.date')
        if self.currency == self.company.currency:
            return self.currency.round(amount)
        with Transaction().set_context(company=self.company.id):
            today = Date.today()
        with Transaction().set_context(date=today):
            return Currency.compute(
                Currency(self.currency.id), amount,
                Currency(self.company.currency.id))

    @classmethod
    @ModelView.button
    def quote(cls, sales):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        checks = cls.check_credit(
            [s for s in sales if s.state == 'draft'], final=False)
        Hold.raise_checks(checks, 'credit_quote')
        super().quote(sales)
        held = [
            c for c in checks.values()
            if c.action == 'hold' and cls(c.order.sale.id).state == 'quotation'
            ]
        if held:
            Hold.hold(held)

    @classmethod
    def confirm(cls, sales):
        # Before the access to the button, so that super can tell what else is
        # missing, but with the access to the sales
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        checks = cls.check_credit(
            [s for s in sales if s.state == 'quotation'])
        if not checks:
            return super().confirm(sales)
        with without_check_access():
            Hold.raise_checks(checks, 'credit_confirm')
        held = [s for s in sales if s in checks and checks[s].action == 'hold']
        passed = [s for s in sales if s not in held]
        if passed:
            with _without_stock_check(checks):
                super().confirm(passed)
            Hold.pass_([checks[s] for s in passed if s in checks])
        if held:
            cls._hold_confirm(held, [checks[s] for s in held])

    def confirm_held(cls, sales, checks):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        # Without those that need the click of others
        Hold.notify_user_held(Hold.hold(
                [c for c in checks if c.order.sale in sales]))

    # Only who may confirm has it held
    confirm_held.__name__ = 'confirm'
    _hold_confirm = classmethod(ModelView.button(confirm_held))
    del confirm_held

    @classmethod
    @ModelView.button
    def draft(cls, sales):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        super().draft(sales)
        Hold.end(sales)

    @classmethod
    @ModelView.button
    def cancel(cls, sales):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        super().cancel(sales)
        Hold.end(sales)
