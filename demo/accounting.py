# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.pool import Pool
from trytond.transaction import Transaction

from .tools import find, ref, today

# Beside those of Tryton
PAYMENT_TERMS = [
    ("30% in advance, rest in 30 days", [
            ('percent_on_total', Decimal('0.3'), 0),
            ('remainder', None, 30)]),
    ("50% in advance, 40% in 60 days, rest in 180 days", [
            ('percent_on_total', Decimal('0.5'), 0),
            ('percent_on_total', Decimal('0.4'), 60),
            ('remainder', None, 180)]),
    ]


def create():
    company = Transaction().context['company']
    create_chart(company)
    for offset in [-1, 0, 1]:
        create_fiscalyear(company, today().year + offset)
    create_taxes(company)
    create_payment_terms()
    create_payment_method(company)


def account(code):
    return find('account.account', code=code, closed=False)


def create_chart(company):
    CreateChart = Pool().get('account.create_chart', type='wizard')
    session_id, _, _ = CreateChart.create()
    data = {'account': {
            'company': company,
            'account_template': ref('account.account_template_root_en'),
            }}
    CreateChart.execute(session_id, data, 'create_account')
    Account = Pool().get('account.account')
    accounts = {}
    for type_ in ['receivable', 'payable']:
        accounts[type_], = Account.search([
                (f'type.{type_}', '=', True),
                ('closed', '!=', True),
                ('party_required', '=', True),
                ('company', '=', company),
                ], limit=1)
    data['properties'] = {
        'company': company,
        'account_receivable': accounts['receivable'].id,
        'account_payable': accounts['payable'].id,
        'category_account_revenue': account('4.1.1').id,
        'category_account_expense': account('5.1.1').id,
        }
    CreateChart.execute(session_id, data, 'create_properties')
    CreateChart.delete(session_id)
    Configuration = Pool().get('account.configuration')
    configuration = Configuration(1)
    configuration.currency_exchange_credit_account = account('6.2.1')
    configuration.currency_exchange_debit_account = account('6.2.1')
    configuration.save()


def create_fiscalyear(company, year):
    pool = Pool()
    FiscalYear = pool.get('account.fiscalyear')
    Sequence = pool.get('ir.sequence.strict')
    moves, invoices, credit_notes = Sequence.create([{
                'name': f"{name} {year}",
                'sequence_type': ref(type_),
                'company': company,
                'prefix': f"{prefix}{year}-",
                'padding': 4,
                } for name, type_, prefix in [
            ("Moves", 'account.sequence_type_account_move', ''),
            ("Invoices", 'account_invoice.sequence_type_account_invoice', 'I'),
            ("Credit Notes", 'account_invoice.sequence_type_account_invoice',
                'C'),
            ]])
    fiscalyear, = FiscalYear.create([{
                'name': str(year),
                'start_date': dt.date(year, 1, 1),
                'end_date': dt.date(year, 12, 31),
                'company': company,
                'move_sequence': moves.id,
                'invoice_sequences': [('create', [{
                                'company': company,
                                'in_invoice_sequence': invoices.id,
                                'out_invoice_sequence': invoices.id,
                                'in_credit_note_sequence': credit_notes.id,
                                'out_credit_note_sequence': credit_notes.id,
                                }])],
                }])
    FiscalYear.create_period([fiscalyear])


def create_taxes(company):
    pool = Pool()
    Category = pool.get('product.category')
    Rule = pool.get('account.tax.rule')
    Tax = pool.get('account.tax')
    vat = account('6.3.6').id
    standard, export = Tax.create([{
                'name': name,
                'description': name,
                'type': 'percentage',
                'rate': Decimal(rate),
                'company': company,
                'invoice_account': vat,
                'credit_note_account': vat,
                } for name, rate in [
            ("VAT 25%", '0.25'),
            ("VAT 0% (export)", '0'),
            ]])
    Rule.create([{
                'name': "Abroad",
                'kind': 'sale',
                'company': company,
                'lines': [('create', [{
                                'origin_tax': standard.id,
                                'tax': export.id,
                                }])],
                }])
    Category.create([{
                'name': name,
                'accounting': True,
                'account_revenue': account(revenue).id,
                'account_expense': account(expense).id,
                'customer_taxes': [('add', [standard.id])],
                'supplier_taxes': [('add', [standard.id])],
                } for name, revenue, expense in [
            ("Goods (accounting)", '4.1.1', '5.1.1'),
            ("Services (accounting)", '4.1.2', '5.1.3'),
            ]])


def create_payment_terms():
    Pool().get('account.invoice.payment_term').create([{
                'name': name,
                'lines': [('create', [{
                                'sequence': i,
                                'type': type_,
                                'ratio': ratio,
                                'divisor': (
                                    round(1 / ratio, 10) if ratio else None),
                                'relativedeltas': [
                                    ('create', [{'days': days}])],
                                } for i, (type_, ratio, days)
                            in enumerate(lines)])],
                } for name, lines in PAYMENT_TERMS])
    Configuration = Pool().get('account.configuration')
    configuration = Configuration(1)
    configuration.default_customer_payment_term = find(
        'account.invoice.payment_term', name="Net 30 days")
    configuration.save()


def create_payment_method(company):
    pool = Pool()
    Journal = pool.get('account.journal')
    Method = pool.get('account.invoice.payment.method')
    journal, = Journal.search([('type', '=', 'cash')], limit=1)
    bank = account('1.1.1').id
    Method.create([{
                'name': "Bank transfer",
                'company': company,
                'journal': journal.id,
                'credit_account': bank,
                'debit_account': bank,
                }])
