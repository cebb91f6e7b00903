# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company that reviews its orders, for tests inside the server"
from contextlib import contextmanager
from decimal import Decimal
from functools import wraps
from unittest.mock import patch

from trytond.ir.date import Date
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import (
    create_department, create_user)
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db, with_transaction
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction


def create_departments(config=None):
    """Create Sales, Production and Finance, a product and a customer

    Each department has a head and a member."""
    for name, head, member in [
            ("Sales", "Sigrid", "Sven"),
            ("Production", "Paul", "Petra"),
            ("Finance", "Frida", "Fred"),
            ]:
        head, member = [
            create_user(n, "Sales", "Order Review", config=config)
            for n in [head, member]]
        create_department(name, member, head=head, config=config)
    create_user("Olga", "Order Review", config=config)
    create_product("Touch Screen", config=config)
    create_customer("Acme", config=config)


class ReviewTestCase(TestCase):
    "Tests with the departments of one company"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            'sale_order_review', create_company, create_chart,
            create_departments)
        cls.addClassCleanup(drop_db)


def with_company(func):
    "Run in a transaction of the administrator in the company"
    @wraps(func)
    @with_transaction()
    def wrapper(*args, **kwargs):
        User = Pool().get('res.user')
        with Transaction().set_context(
                User.get_preferences(context_only=True)):
            return func(*args, **kwargs)
    return wrapper


@contextmanager
def as_user(name):
    "Run as the user with the name"
    User = Pool().get('res.user')
    user = get('res.user', name)
    with Transaction().set_user(user.id):
        with Transaction().set_context(
                User.get_preferences(context_only=True)):
            yield user


@contextmanager
def on(date):
    "Run on the date"
    with patch.object(Date, 'today', return_value=date):
        yield


@contextmanager
def on_in(company, date):
    "Run on the date in the company, and today elsewhere"
    real = Date.today()

    def today(timezone=None):
        own = Transaction().context.get('company') == company.id
        return date if own else real

    with patch.object(Date, 'today', side_effect=today):
        yield


@contextmanager
def count_queries():
    """Return the list of the queries that are executed meanwhile, each with
    its parameters"""
    queries = []

    class Query(str):
        pass

    class Proxy:
        def __init__(self, object_):
            self._object = object_

        def __getattr__(self, name):
            return getattr(self._object, name)

    class Connection(Proxy):
        def cursor(self, *args, **kwargs):
            return Cursor(self._object.cursor(*args, **kwargs))

    class Cursor(Proxy):
        def __iter__(self):
            return iter(self._object)

        def execute(self, query, *args):
            queries.append(Query(query))
            queries[-1].parameters = args
            return self._object.execute(query, *args)

    transaction = Transaction()
    with patch.object(
            transaction, 'connection', Connection(transaction.connection)):
        yield queries


def get(model, name):
    "Return the record of the model with the name"
    Model = Pool().get(model)
    record, = Model.search([('rec_name', '=', name)])
    return record


def get_company():
    company, = Pool().get('company.company').search([])
    return company


def employee(name):
    return get('company.employee', name)


def department(name):
    return get('company.department', name)


def create_party(name, country=None, **values):
    Party = Pool().get('party.party')
    party, = Party.create([{
                'name': name,
                'addresses': [('create', [{
                                'country': country.id if country else None,
                                }])],
                **values,
                }])
    return party


def create_rule(department_name="Production", /, **values):
    "Create a rule by which the department must sign all sales"
    Rule = Pool().get('sale.review.rule')
    rule, = Rule.create([{
                'name': department_name,
                'department': department(department_name).id,
                **values,
                }])
    return rule


def delegate(name, substitute, start, end=None, **values):
    Delegation = Pool().get('company.department.delegation')
    delegation, = Delegation.create([{
                'employee': employee(name).id,
                'substitute': employee(substitute).id,
                'start_date': start,
                'end_date': end or start,
                **values,
                }])
    return delegation


def create_sale(
        lines=None, party=None, currency=None, quote=True, **values):
    """Create a sale of the lines of product, quantity and unit price

    By default one touch screen for its list price."""
    pool = Pool()
    Line = pool.get('sale.line')
    Sale = pool.get('sale.sale')

    if lines is None:
        lines = [(get('product.product', "Touch Screen"), 1, 1000)]
    sale = Sale()
    for name in Sale._fields:
        if hasattr(Sale, f'default_{name}'):
            setattr(sale, name, getattr(Sale, f'default_{name}')())
    sale.party = party or get('party.party', "Acme")
    sale.on_change_party()
    if currency:
        sale.currency = currency
    for name, value in values.items():
        setattr(sale, name, value)
    sale.lines = []
    for product, quantity, unit_price, *customised in lines:
        line = Line(quantity=quantity, unit_price=Decimal(unit_price))
        if isinstance(product, str):
            line.description = product
        else:
            line.product = product
            line.unit = product.default_uom
        if customised:
            line.customised, = customised
        sale.lines = [*sale.lines, line]
    sale.save()
    if quote:
        Sale.quote([sale])
    return sale


def submit(*sales):
    "Submit the sales for review and return the reviews"
    return Pool().get('sale.review').submit(list(sales))


def get_signoff(review, name):
    "Return the sign-off of the department with the name"
    signoff, = [s for s in review.signoffs if s.department.name == name]
    return signoff


def approve(signoff, *names, opinion=None):
    "Approve the sign-off as each of the users"
    sign(signoff, 'approve', *names, opinion=opinion)


def sign(signoff, button, *names, opinion=None, cause='other'):
    for name in names:
        with as_user(name):
            Signoff = Pool().get('sale.review.signoff')
            record = Signoff(signoff.id)
            if opinion:
                # As the client does
                with Transaction().set_context(_check_access=True):
                    Signoff.write([record], {
                            'opinion': opinion,
                            'cause': cause if button == 'return_' else None,
                            })
            getattr(Signoff, button)([Signoff(signoff.id)])


def get_notifications():
    "Return what the users are told by login, and forget it"
    notifications = {}
    for notification in Transaction().user_notifications or []:
        notifications.setdefault(notification.user.login, []).append(
            notification)
    (Transaction().user_notifications or []).clear()
    return notifications
