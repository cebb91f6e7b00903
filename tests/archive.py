# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company that keeps files of its orders, for tests inside the server"
from trytond.modules.account.tests.tools import (
    create_chart, create_fiscalyear, get_accounts)
from trytond.modules.account_invoice.tests.tools import (
    set_fiscalyear_invoice_sequences)
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import as_user, create_sale, get, get_company


def create_archive(config=None):
    """Create a product, the customers Acme and Other, a way to pay, and users

    Sven sells, Arno archives, Wanda waives, Connie sees what is confidential,
    Adam administers, Audi audits."""
    from proteus import Model
    fiscalyear = set_fiscalyear_invoice_sequences(
        create_fiscalyear(config=config), config=config)
    fiscalyear.click('create_period')
    PaymentMethod = Model.get('account.invoice.payment.method', config=config)
    Journal = Model.get('account.journal', config=config)
    method = PaymentMethod(name="Bank")
    method.journal, = Journal.find([('type', '=', 'cash')], limit=1)
    method.credit_account = method.debit_account = get_accounts(
        config=config)['cash']
    method.save()
    create_user("Sven", "Sales", config=config)
    create_user("Arno", "Order Archive", config=config)
    create_user("Wanda", "Order Archive Waivers", config=config)
    create_user("Connie", "Order Archive Confidential", config=config)
    create_user("Adam", "Order Archive Administration", config=config)
    create_user("Audi", "Order Archive Audit", config=config)
    create_product("Touch Screen", config=config)
    create_customer("Acme", config=config)
    create_customer("Other", config=config)


class ArchiveTestCase(TestCase):
    "Tests with the files of one company"
    modules = 'order_archive'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            cls.modules, create_company, create_chart, create_archive)
        cls.addClassCleanup(drop_db)


def configure(**values):
    Configuration = Pool().get('order.archive.configuration')
    config = Configuration(1)
    for name, value in values.items():
        setattr(config, name, value)
    config.save()


def kind(code):
    kind, = Pool().get('order.archive.kind').search([('code', '=', code)])
    return kind


def create_plan(*requirements, **values):
    """Create a file plan with the requirements, each of code and condition,
    and have the company use it"""
    pool = Pool()
    Class = pool.get('order.archive.class')
    plan, = Class.create([{
                'code': 'P',
                'name': "Plan",
                'requirements': [('create', [{
                                'kind': kind(code).id,
                                'condition': condition,
                                **dict(others),
                                }
                            for code, condition, *others in requirements])],
                **values,
                }])
    configure(plan=plan)
    return plan


def confirm(*sales):
    "Confirm the sales and return their file if there is one for the only one"
    pool = Pool()
    Archive = pool.get('order.archive')
    Sale = pool.get('sale.sale')
    if not sales:
        with as_user("Sven"):
            sales = [create_sale()]
    sales = Sale.browse(sales)
    with as_user("Sven"):
        Sale.confirm(sales)
    archives = Archive.get(Sale.browse(sales))
    return archives.get(sales[0])


def ship(sale):
    pool = Pool()
    Sale = pool.get('sale.sale')
    Shipment = pool.get('stock.shipment.out')
    Sale.process([Sale(sale.id)])
    for shipment in Sale(sale.id).shipments:
        Shipment.assign_force([shipment])
        shipment = Shipment(shipment.id)
        Shipment.pick([shipment])
        Shipment.pack([Shipment(shipment.id)])
        Shipment.do([Shipment(shipment.id)])


def invoice(sale):
    pool = Pool()
    Invoice = pool.get('account.invoice')
    Sale = pool.get('sale.sale')
    Sale.process([Sale(sale.id)])
    invoices = Sale(sale.id).invoices
    Invoice.post(invoices)
    return Invoice.browse(invoices)


def pay(sale):
    pool = Pool()
    Date = pool.get('ir.date')
    Invoice = pool.get('account.invoice')
    Line = pool.get('account.move.line')
    Method = pool.get('account.invoice.payment.method')
    Sale = pool.get('sale.sale')
    method, = Method.search([])
    for invoice_ in Sale(sale.id).invoices:
        lines = invoice_.pay_invoice(
            invoice_.amount_to_pay, method, Date.today())
        Line.reconcile([*invoice_.lines_to_pay, *lines])
        Invoice.process([Invoice(invoice_.id)])
    Sale.process([Sale(sale.id)])
    return Sale(sale.id)


def finish(sale):
    "Ship, invoice and pay the sale"
    ship(sale)
    invoice(sale)
    return pay(sale)


def settle():
    "Have nothing left to be collected by itself, which has tests of its own"
    table = Pool().get('order.archive.collection').__table__()
    Transaction().connection.cursor().execute(*table.delete())
    Transaction().counter += 1


def add(archive, code, data=b'document', name=None, **values):
    "Add a document of the kind to the file and return what is new"
    Item = Pool().get('order.archive.item')
    settle()
    return Item.collect([{
                'archive': archive,
                'kind': kind(code),
                'name': name or f'{code}.txt',
                'data': data,
                **values,
                }])


def check_boolean(test, Model, name):
    "Check the records are found by the field whatever the operator"
    for operator, value, values in [
            ('=', True, {True}), ('=', False, {False}), ('=', None, {False}),
            ('!=', True, {False}), ('!=', False, {True}),
            ('in', [True], {True}), ('in', [False], {False}),
            ('in', [True, False], {True, False}), ('in', [], set()),
            ('not in', [True], {False}), ('not in', [False], {True}),
            ('not in', [True, False], set()),
            ]:
        with test.subTest(name=name, operator=operator, value=value):
            test.assertEqual(
                set(Model.search([(name, operator, value)])),
                {r for r in Model.search([]) if getattr(r, name) in values})


def get_events(record):
    "Return the actions recorded of the record in their order"
    Event = Pool().get('order.archive.event')
    return [e.action for e in Event.search([
                ('resource', '=', str(record)),
                ], order=[('id', 'ASC')])]


__all__ = [
    'ArchiveTestCase', 'add', 'as_user', 'check_boolean', 'configure',
    'confirm', 'create_archive', 'create_plan', 'create_sale', 'finish',
    'get', 'get_company', 'get_events', 'invoice', 'kind', 'pay', 'settle',
    'ship']
