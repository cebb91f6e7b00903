# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""Business of customers that are graded, for tests inside the server

It is inserted as it is after years: orders done, invoices posted and paid."""
import datetime as dt
from decimal import Decimal

from trytond.modules.account.tests.tools import create_chart, create_fiscalyear
from trytond.modules.account_invoice.tests.tools import (
    set_fiscalyear_invoice_sequences)
from trytond.modules.company.tests.tools import create_company, get_company
from trytond.modules.sale_order_review.tests.tools import create_product
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .grading import company, create_staff, grade, party
from .review import get

TODAY = dt.date.today()


def create_business(config=None):
    "Create the accounts of the company and a product of cost price 60"
    company = get_company(config=config)
    create_chart(company, config=config)
    set_fiscalyear_invoice_sequences(
        create_fiscalyear(company, config=config),
        config=config).click('create_period')
    create_product(
        "Screen", list_price=Decimal(100), cost_price=Decimal(60),
        company=company, config=config)


class RunTestCase(TestCase):
    "Tests with the accounts of a company"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            'customer_grading', create_company, create_business, create_staff)
        cls.addClassCleanup(drop_db)


def insert(model, **values):
    "Insert a record and return its id"
    transaction = Transaction()
    Model = Pool().get(model)
    table = Model.__table__()
    cursor = transaction.connection.cursor()
    values.setdefault('create_date', dt.datetime(2020, 1, 1))
    if transaction.database.has_returning():
        cursor.execute(*table.insert(
                [getattr(table, n) for n in values], [list(values.values())],
                returning=[table.id]))
        return cursor.fetchone()[0]
    cursor.execute(*table.insert(
            [getattr(table, n) for n in values], [list(values.values())]))
    return transaction.database.lastid(cursor)


def create_parties(number):
    "Create parties and return their ids"
    Party = Pool().get('party.party')
    return [p.id for p in Party.create([
                {'name': f"Customer {i:04}", 'addresses': None}
                for i in range(1, number + 1)])]


def add_sale(
        party, date, amount, state='done', currency=None, company=None,
        **values):
    company = company or get_main()
    amount = None if amount is None else Decimal(amount)
    return insert(
        'sale.sale', party=int(party), sale_date=date, state=state,
        company=company.id, currency=(currency or company.currency).id,
        untaxed_amount_cache=amount, invoice_method='order',
        invoice_state='none', shipment_method='order', shipment_state='none',
        **values)


def add_line(sale, quantity, unit_price, product=None, **values):
    return insert(
        'sale.line', sale=sale, type='line', quantity=quantity,
        unit_price=Decimal(unit_price),
        product=product.id if product else None,
        unit=product.default_uom.id if product else None, **values)


def add_receivable(party, amount, due, date=None, **values):
    pool = Pool()
    Journal = pool.get('account.journal')
    Metric = pool.get('customer.grading.metric')
    Period = pool.get('account.period')
    company = get_main()
    journal, = Journal.search([], limit=1)
    period, = Period.search([('company', '=', company.id)], limit=1)
    amount = Decimal(amount)
    move = insert(
        'account.move', company=company.id, journal=journal.id,
        period=period.id, state='posted',
        date=date or due - dt.timedelta(days=30), number='1')
    return insert(
        'account.move.line', move=move, party=int(party),
        account=Metric.receivable_accounts(company)[0],
        debit=max(amount, Decimal(0)), credit=max(-amount, Decimal(0)),
        maturity_date=due, state='valid', **values)


def reconcile(line, date):
    table = Pool().get('account.move.line').__table__()
    reconciliation = insert(
        'account.move.reconciliation', company=get_main().id, date=date,
        number='1')
    Transaction().connection.cursor().execute(*table.update(
            [table.reconciliation], [reconciliation],
            where=table.id == line))


def get_main():
    return company()


def band(minimum, maximum, points):
    return {
        'minimum': None if minimum is None else Decimal(minimum),
        'maximum': None if maximum is None else Decimal(maximum),
        'points': Decimal(points),
        }


def criterion(metric, weight, method='linear', *values, **others):
    """Return the values of a criterion

    values are the ends of linear ones and the couples of minimum and points
    of bands."""
    criterion = {
        'name': others.pop('name', metric), 'metric': metric,
        'weight': Decimal(weight), 'method': method,
        'missing': others.pop('missing', 'skip'), **others}
    if method == 'linear':
        criterion['minimum'], criterion['maximum'] = map(Decimal, values)
    elif values:
        ends = [m for m, _ in values[1:]] + [None]
        criterion['bands'] = [('create', [
                    band(m, e, p) for (m, p), e in zip(values, ends)])]
    return criterion


def create_scheme(*criteria, axis='class', publish=True, **values):
    Scheme = Pool().get('customer.grading.scheme')
    codes = {'class': 'ABC', 'level': '123', 'credit': 'ABCD'}[axis]
    scheme, = Scheme.create([{
                'name': "Scheme",
                'company': get_main().id,
                'axis': axis,
                'window': 12,
                'minimum_coverage': Decimal('0.5'),
                'hysteresis': Decimal(0),
                'criteria': [('create', list(criteria))],
                'thresholds': [('create', [{
                                'grade': grade(axis, code).id,
                                'minimum_score': Decimal(score),
                                } for code, score in zip(
                                    codes,
                                    [70, 40, 0] if len(codes) == 3
                                    else [70, 40, 20, 0])])],
                **values,
                }])
    if publish:
        Scheme.publish([scheme])
    return Scheme(scheme.id)


__all__ = [
    'RunTestCase', 'TODAY', 'add_line', 'add_receivable', 'add_sale',
    'criterion', 'create_parties', 'create_scheme', 'get', 'grade', 'insert',
    'party', 'reconcile']
