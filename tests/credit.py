# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company that gives credit to its customers, for tests inside the server"
import datetime as dt
from decimal import Decimal

from trytond.modules.account.tests.tools import create_chart, create_fiscalyear
from trytond.modules.account_invoice.tests.tools import (
    create_payment_term, set_fiscalyear_invoice_sequences)
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules

from .review import get, get_company


def create_credit(config=None):
    """Create a product, the customers Acme and Other and the users

    Sven sells, Frida and Fred decide on credit and sell, Carl cares, Adam
    administers, Audi audits."""
    fiscalyear = set_fiscalyear_invoice_sequences(
        create_fiscalyear(config=config), config=config)
    fiscalyear.click('create_period')
    payment_term = create_payment_term(config=config)
    payment_term.name = "Now"
    payment_term.save()
    create_user("Sven", "Sales", config=config)
    for name in ["Frida", "Fred"]:
        create_user(name, "Sales", "Customer Credit", config=config)
    create_user("Carl", "Customer Care", config=config)
    create_user("Adam", "Customer Grading Administration", config=config)
    create_user("Audi", "Customer Grading Audit", config=config)
    create_product("Touch Screen", config=config)
    create_customer("Acme", config=config)
    create_customer("Other", config=config)


class CreditTestCase(TestCase):
    "Tests with the customers of one company"
    modules = ['customer_grading']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            cls.modules, create_company, create_chart, create_credit)
        cls.addClassCleanup(drop_db)


def create_policy(name="Policy", /, **values):
    "Create a policy that holds the orders"
    Policy = Pool().get('customer.service.policy')
    policy, = Policy.create([{
                'name': name,
                'company': get_company().id,
                **values,
                }])
    return policy


def set_limit(party, amount):
    Party = Pool().get('party.party')
    Party.set_credit_limits(get_company(), {party.id: amount})
    return Party(party.id)


def create_move(party, amount, maturity=None, date=None):
    "Let the party owe the amount"
    pool = Pool()
    Account = pool.get('account.account')
    Journal = pool.get('account.journal')
    Move = pool.get('account.move')
    Period = pool.get('account.period')
    date = date or dt.date.today()
    receivable = party.account_receivable_used
    revenue, = Account.search([
            ('type.revenue', '=', True), ('closed', '=', False)], limit=1)
    journal, = Journal.search([('type', '=', 'revenue')], limit=1)
    move, = Move.create([{
                'journal': journal.id,
                'period': Period.find(get_company().id, date=date).id,
                'date': date,
                'lines': [('create', [{
                                'account': receivable.id,
                                'party': party.id,
                                'debit': Decimal(amount),
                                'maturity_date': maturity or date,
                                }, {
                                'account': revenue.id,
                                'credit': Decimal(amount),
                                }])],
                }])
    return move


def party(name="Acme"):
    return get('party.party', name)


def open_holds(*sales):
    return Pool().get('sale.credit.hold').search([
            ('sale', 'in', [s.id for s in sales]),
            ('state', '!=', 'ended'),
            ])
