# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company that keeps the files of its orders, and what happens to these"
import datetime as dt
from decimal import Decimal

from proteus import Model
from trytond.modules.account.tests.tools import (
    create_chart, create_fiscalyear, get_accounts)
from trytond.modules.account_invoice.tests.tools import (
    set_fiscalyear_invoice_sequences)
from trytond.modules.company.tests.tools import create_company, get_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product)
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction, TransactionError
from trytond.worker import run_task

from .rpc import server


def create_world(config=None):
    """Create two companies of which only the first keeps files

    Sam sells, Ada keeps the files, Wes waives, Cora sees what is confidential,
    Nora has no group, Olga keeps the files of the other company."""
    Company = Model.get('company.company', config=config)
    Configuration = Model.get('order.archive.configuration', config=config)
    Class = Model.get('order.archive.class', config=config)
    Kind = Model.get('order.archive.kind', config=config)
    Journal = Model.get('account.journal', config=config)
    Party = Model.get('party.party', config=config)
    PaymentMethod = Model.get('account.invoice.payment.method', config=config)
    User = Model.get('res.user', config=config)

    a = get_company(config=config)
    fiscalyear = set_fiscalyear_invoice_sequences(
        create_fiscalyear(a), config=config)
    fiscalyear.click('create_period')
    party = Party(name="B")
    party.save()
    create_company(party=party, config=config)
    b, = Company.find([('id', '!=', a.id)])
    admin = User(config.user)
    admin.companies.append(Company(b.id))
    admin.company = a
    admin.company_filter = 'all'
    admin.save()
    config._context = User.get_preferences(True, {})

    for name, *groups in [
            ("Sam", "Sales", "Stock", "Accounting", "Order Review"),
            ("Ada", "Order Archive", "Sales"),
            ("Wes", "Order Archive Waivers"),
            ("Cora", "Order Archive Confidential"),
            ("Nora",),
            ]:
        create_user(name, *groups, company=a, config=config)
    create_user("Olga", "Order Archive", company=b, config=config)

    journal, = Journal.find([('type', '=', 'cash')], limit=1)
    method = PaymentMethod(name="Cash", company=a, journal=journal)
    method.credit_account = get_accounts(a, config=config)['cash']
    method.debit_account = method.credit_account
    method.save()

    create_product(company=a, config=config)
    create_customer("Acme", config=config)

    kinds = {k.code: k for k in Kind.find([])}
    for code in [
            'order', 'review', 'change', 'production', 'inspection',
            'delivery', 'invoice', 'payment', 'complaint', 'survey', 'cost',
            'note', 'chat', 'attachment', 'acceptance']:
        if not Kind.find([('collector', '=', code)]) and code not in kinds:
            Kind(
                code=code, name=code.title(),
                collector=code if code != 'acceptance' else None).save()
    class_ = Class(code='TEST', name="Orders", company=a)
    class_.save()
    configuration = Configuration(1)
    configuration.plan = class_
    configuration.save()


MODULES = [
    'order_archive', 'account_payment', 'customer_grading',
    'document_incoming', 'production', 'quality', 'sale_amendment',
    'sale_complaint', 'sale_order_review', 'sale_supply_production']


def activate_world():
    return activate_modules(
        MODULES, create_company, create_chart, create_world)


def create_order(n=1, quantity=10, tasks=True, confirm=True):
    "Return the ids of new orders of Sam, confirmed and processed"
    with server('sam', tasks=tasks):
        pool = Pool()
        Line = pool.get('sale.line')
        Party = pool.get('party.party')
        Product = pool.get('product.product')
        Sale = pool.get('sale.sale')
        product, = Product.search([('name', '=', "Touch Screen")])
        party, = Party.search([('name', '=', "Acme")])
        sales = []
        for _ in range(n):
            sale = Sale(party=party)
            sale.company = Sale.default_company()
            sale.currency = sale.company.currency
            sale.on_change_party()
            sale.invoice_method = 'order'
            sale.shipment_method = 'order'
            sale.lines = [Line(
                    type='line', product=product, unit=product.default_uom,
                    quantity=quantity, unit_price=Decimal(1000))]
            sales.append(sale)
        Sale.save(sales)
        if confirm:
            Sale.quote(sales)
            Sale.confirm(sales)
        return [s.id for s in sales]


def get_items(sale, kind=None, state='kept'):
    "Return the items of the collector, of the file of the sale"
    Item = Pool().get('order.archive.item')
    domain = [('archive.sale', '=', int(sale))]
    if kind:
        domain.append(('kind.collector', '=', kind))
    if state:
        domain.append(('state', '=', state))
    return Item.search(domain, order=[('id', 'ASC')])


def get_archive(sale):
    pool = Pool()
    Archive = pool.get('order.archive')
    archive, = Archive.search([('sale', '=', int(sale))])
    return archive


def get_pending(sale):
    "Return the collectors with the reasons of what is still to collect"
    pool = Pool()
    Collection = pool.get('order.archive.collection')
    return [
        (c.collector, c.reason) for c in Collection.search([
                ('archive.sale', '=', int(sale)),
                ('dismissed_at', '=', None),
                ], order=[('id', 'ASC')])]


def collect(sale):
    "Have what is missing collected"
    with server('ada'):
        Archive = Pool().get('order.archive')
        Archive.collect([get_archive(sale)])


def run_tasks():
    "Run the tasks that are left in the queue"
    while True:
        with server(tasks=False):
            Queue = Pool().get('ir.queue')
            tasks = [t.id for t in Queue.search([
                        ('finished_at', '=', None)], order=[('id', 'ASC')])]
        if not tasks:
            break
        for task in tasks:
            run_task(DB_NAME, task)
    Transaction().tasks.clear()


def ship(sale):
    "Ship the order"
    with server('sam'):
        Sale = Pool().get('sale.sale')
        Shipment = Pool().get('stock.shipment.out')
        shipments = Sale(sale).shipments
        Shipment.assign_force(shipments)
        Shipment.pick(shipments)
        Shipment.pack(shipments)
        Shipment.do(shipments)
        return [s.id for s in shipments]


def call(login, function, **options):
    "Call the function as the user, with the locks that it asks for"
    extras = {}
    while True:
        try:
            with server(login, extras=extras, **options):
                return function()
        except TransactionError as error:
            error.fix(extras)


def post_invoice(sale, **options):
    def post():
        Invoice = Pool().get('account.invoice')
        Sale = Pool().get('sale.sale')
        invoices = Sale(sale).invoices
        Invoice.post(invoices)
        return [i.id for i in invoices]
    return call('sam', post, **options)


def pay(invoice):
    def pay():
        pool = Pool()
        Invoice = pool.get('account.invoice')
        Line = pool.get('account.move.line')
        PaymentMethod = pool.get('account.invoice.payment.method')
        method, = PaymentMethod.search([])
        record = Invoice(invoice)
        lines = record.pay_invoice(
            record.amount_to_pay, method, dt.date.today())
        Line.reconcile([*record.lines_to_pay, *lines])
    call('sam', pay)
    run_tasks()


def attach(resource, name="drawing.txt", data=b"drawing", **values):
    "Return the id of a new attachment"
    Attachment = Pool().get('ir.attachment')
    attachment, = Attachment.create([{
                'resource': str(resource), 'name': name, 'type': 'data',
                'data': data, **values}])
    return attachment.id
