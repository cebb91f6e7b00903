# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company that registers its contracts, for tests inside the server"
import datetime as dt
from contextlib import contextmanager
from decimal import Decimal

from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import as_user, create_sale, employee, get, get_company

TODAY = dt.date.today()


def create_people(config=None):
    """Hugo handles the contracts, Kira keeps the seal, Arno archives, Adam
    administers, Audi audits and Sam sells. Lena and Mona sign."""
    for name, *groups in [
            ("Hugo", "Sales", "Sale Contracts"),
            ("Kira", "Sale Contract Seal"),
            ("Arno", "Order Archive"),
            ("Adam", "Order Archive Administration"),
            ("Audi", "Order Archive Audit"),
            ("Sam", "Sales"),
            ("Lena",),
            ("Mona",),
            ]:
        create_user(name, *groups, config=config)
    create_product("Touch Screen", config=config)
    create_customer("Acme", config=config)


class ContractTestCase(TestCase):
    "Tests with the contracts of one company"
    modules = ['order_archive', 'sale_order_review']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            cls.modules, create_company, create_chart, create_people)
        cls.addClassCleanup(drop_db)

    @contextmanager
    def refused(self, exception, text=''):
        "What raises the exception with the text is undone as by the server"
        transaction = Transaction()
        cursor = transaction.connection.cursor()
        cursor.execute('SAVEPOINT refused')
        with self.assertRaisesRegex(exception, text) as cm:
            yield cm
        cursor.execute('ROLLBACK TO SAVEPOINT refused')
        for models in transaction.cache.values():
            for records in models.values():
                records.clear()
        transaction.counter += 1


def day(days):
    return TODAY + dt.timedelta(days=days)


def click(name, button, *records, check=True):
    """Click the button as the user with the name

    Unless the access is checked also those that the client does not show."""
    with as_user(name), Transaction().set_context(_check_access=check):
        Model = Pool().get(records[0].__name__)
        getattr(Model, button)(Model.browse([r.id for r in records]))


def write(name, record, /, **values):
    with as_user(name), Transaction().set_context(_check_access=True):
        Model = Pool().get(record.__name__)
        Model.write([Model(record.id)], values)


def create(name, model, /, **values):
    with as_user(name), Transaction().set_context(_check_access=True):
        Model = Pool().get(model)
        record, = Model.create([values])
    return Model(record.id)


def reload(record):
    return Pool().get(record.__name__)(record.id)


def create_mandate(name="Lena", kind='legal', start=-100, **values):
    if 'limit' in values:
        values['limit'] = Decimal(values['limit'])
    return create(
        "Adam", 'sale.contract.mandate', company=get_company().id,
        employee=employee(name).id, kind=kind, start_date=day(start),
        document="POA-1", **values)


def create_contract(sale=None, **values):
    "Return a draft of Hugo"
    if sale is None:
        with as_user("Hugo"):
            sale = create_sale()
    return create(
        "Hugo", 'sale.contract', company=get_company().id, sale=sale.id,
        name="Screens", handler=employee("Hugo").id, **values)


def sign(contract, name="Lena", date=0):
    "Enter the signature of our side"
    write("Hugo", contract, signatures=[('create', [{
                        'side': 'own',
                        'employee': employee(name).id,
                        'date': day(date),
                        }])])


def countersign(contract, date=0):
    write("Hugo", contract, signatures=[('create', [{
                        'side': 'counterparty',
                        'name': "Carla",
                        'post': "Director",
                        'date': day(date),
                        }])])


STATES = ['draft', 'registered', 'signed', 'sealed', 'verified', 'deposited']


def bring(contract, state):
    "Bring the contract from the draft to the state"
    steps = STATES[1:STATES.index(state) + 1]
    if contract.verification == 'none' and state != 'verified':
        steps = [s for s in steps if s != 'verified']
    for step in steps:
        if step == 'registered':
            click("Hugo", 'register', contract)
        elif step == 'signed':
            sign(contract)
            click("Hugo", 'sign', contract)
        elif step == 'sealed':
            write("Kira", contract, seal_name="Contract Seal 1")
            click("Kira", 'seal', contract)
        elif step == 'verified':
            write("Hugo", contract,
                verified_by="Notary Public", verification_number="N-7")
            click("Hugo", 'verify', contract)
        elif step == 'deposited':
            countersign(contract)
            write("Hugo", contract, place="Shelf 3", originals=2)
            click("Hugo", 'deposit', contract)
    return reload(contract)


def attach(record, name="signed.pdf", data=b'signed', user="Hugo"):
    return create(
        user, 'ir.attachment', resource=str(record), name=name,
        type='data', data=data)


__all__ = [
    'ContractTestCase', 'TODAY', 'as_user', 'attach', 'bring', 'click',
    'countersign', 'create', 'create_contract', 'create_mandate',
    'create_people', 'day', 'employee', 'get', 'get_company', 'reload',
    'sign', 'write']
