# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Contracts of the orders that are under way"
import datetime as dt
from decimal import Decimal

from trytond.pool import Pool

from .tools import act, find, run, today


def create():
    run(create_mandates)
    sales = run(find_sales)
    contracts = [
        (act('archivist', register, sale, days), state)
        for sale, state, days in sales]
    for contract, state in contracts:
        if state == 'registered':
            continue
        act('archivist', sign, contract)
        if state == 'signed':
            continue
        act('legal', seal, contract)
        if state == 'sealed':
            continue
        act('archivist', deposit, contract)
        act('archivist', lend, contract)


def create_mandates():
    "The manager represents the company, the head of sales up to a limit"
    Mandate = Pool().get('sale.contract.mandate')
    Mandate.create([{
                'company': find('company.company').id,
                'employee': find(
                    'company.employee', rec_name=name).id,
                'kind': kind,
                'start_date': today() - dt.timedelta(days=700),
                'limit': limit,
                'document': document,
                } for name, kind, limit, document in [
                ("Ingrid Solberg", 'legal', None,
                    "Register of Business Enterprises"),
                ("Erik Lund", 'mandated', Decimal(1000000),
                    "Power of attorney 3"),
                ]])


def find_sales():
    """Return of some orders that are under way the id, how far their contract
    is, and in how many days it ends"""
    Sale = Pool().get('sale.sale')
    states = [
        ('deposited', 365), ('deposited', 20), ('sealed', 365),
        ('signed', 180), ('registered', 180)]
    sales = Sale.search([
            ('state', '=', 'processing'),
            ('review_state', '=', 'approved'),
            ], order=[('id', 'DESC')], limit=len(states))
    return [
        (sale.id, *state) for sale, state in zip(reversed(sales), states)]


def register(id_, days):
    pool = Pool()
    Contract = pool.get('sale.contract')
    Sale = pool.get('sale.sale')
    sale = Sale(id_)
    contract, = Contract.create([{
                'company': sale.company.id,
                'sale': sale.id,
                'name': f"Displays for {sale.party.rec_name}",
                'handler': find(
                    'company.employee', rec_name="Torill Bakke").id,
                'start_date': sale.sale_date,
                'end_date': today() + dt.timedelta(days=days),
                }])
    Contract.register([contract])
    return contract.id


def sign(id_):
    Contract = Pool().get('sale.contract')
    contract = Contract(id_)
    Contract.write([contract], {'signatures': [('create', [{
                            'side': 'own',
                            'employee': find(
                                'company.employee',
                                rec_name="Ingrid Solberg").id,
                            'post': "Managing Director",
                            'date': today(),
                            }])]})
    Contract.sign([contract])


def seal(id_):
    Contract = Pool().get('sale.contract')
    contract = Contract(id_)
    Contract.write([contract], {'seal_name': "Contract seal"})
    Contract.seal([contract])


def deposit(id_):
    pool = Pool()
    Attachment = pool.get('ir.attachment')
    Contract = pool.get('sale.contract')
    contract = Contract(id_)
    Attachment.create([{
                'resource': str(contract),
                'name': f"Contract {contract.number}.txt",
                'data': (
                    f"{contract.seller}\n\n{contract.buyer}\n\n"
                    f"{contract.lines}\n").encode(),
                }])
    Contract.write([contract], {
            'signatures': [('create', [{
                            'side': 'counterparty',
                            'name': "Purchasing Director",
                            'date': today(),
                            }])],
            'place': "Cabinet 2, shelf 3",
            'originals': 2,
            'received_by': find(
                'company.employee', rec_name="Torill Bakke").id,
            })
    Contract.deposit([contract])


def lend(id_):
    pool = Pool()
    Contract = pool.get('sale.contract')
    Loan = pool.get('sale.contract.loan')
    Loan.create([{
                'contract': id_,
                'copy_number': 1,
                'borrower': Contract(id_).handler.party.id,
                'purpose': "Customs clearance",
                'lent_on': today(),
                'due_on': today() + dt.timedelta(days=14),
                }])
