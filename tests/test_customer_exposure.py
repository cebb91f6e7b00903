# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.modules.currency.tests import create_currency
from trytond.modules.customer_grading.exceptions import ExposureError
from trytond.pool import Pool

from .credit import (
    CreditTestCase, create_move, create_policy, party, set_limit)
from .review import count_queries, create_sale, get, get_company, with_company


class ExposureTestCase(CreditTestCase):
    "Test what the customers owe and will owe"

    def confirm(self, amount, quantity=1, **values):
        Sale = Pool().get('sale.sale')
        screen = get('product.product', "Touch Screen")
        sale = create_sale([(screen, quantity, amount)], **values)
        Sale.confirm([sale])
        return Sale(sale.id)

    def assertExposure(self, **expected):
        Party = Pool().get('party.party')
        exposure = Party.get_exposure(get_company(), [party()])[party().id]
        self.assertEqual({n: exposure[n] for n in expected}, expected)

    def add_rate(self, currency, rate, date=dt.date(2020, 1, 1)):
        Rate = Pool().get('currency.currency.rate')
        Rate.create([{
                    'currency': currency.id, 'date': date,
                    'rate': Decimal(rate)}])

    @with_company
    def test_nothing(self):
        self.assertExposure(
            receivable=0, orders=0, limit=None, overdue=0, blocked=False)

    @with_company
    def test_receivable(self):
        yesterday = dt.date.today() - dt.timedelta(days=1)
        create_move(party(), 100, maturity=yesterday)
        create_move(party(), 50)
        self.assertExposure(receivable=150, overdue=100)

    @with_company
    def test_orders(self):
        "Test what is confirmed counts for who pays"
        self.confirm(100, 2)
        self.confirm(30, party=party("Other"), invoice_party=party(),
            invoice_address=party().addresses[0])
        self.confirm(10, invoice_party=party("Other"),
            invoice_address=party("Other").addresses[0])
        create_sale()
        self.assertExposure(orders=230)
        self.assertEqual(party().credit_amount, 230)
        self.assertEqual(party("Other").credit_amount, 10)

    @with_company
    def test_invoiced(self):
        "Test what is posted is owed and not ordered any more"
        pool = Pool()
        Invoice = pool.get('account.invoice')
        Sale = pool.get('sale.sale')
        sale = self.confirm(100, 5)
        Sale.process([sale])
        invoice, = Sale(sale.id).invoices
        self.assertExposure(orders=500, receivable=0)
        line, = invoice.lines
        line.quantity = 2
        line.save()
        invoice.invoice_date = dt.date.today()
        invoice.save()
        Invoice.post([Invoice(invoice.id)])
        self.assertExposure(orders=300, receivable=200)
        self.assertEqual(party().credit_amount, 500)

    @with_company
    def test_units(self):
        "Test an invoice in another unit"
        pool = Pool()
        Invoice = pool.get('account.invoice')
        Sale = pool.get('sale.sale')
        Uom = pool.get('product.uom')
        unit, = Uom.search([('name', '=', "Unit")])
        dozen, = Uom.create([{
                    'name': "Dozen", 'symbol': "dz", 'category':
                    unit.category.id, 'factor': 12., 'rate':
                    round(1 / 12, 12)}])
        sale = self.confirm(10, 36)
        Sale.process([sale])
        invoice, = Sale(sale.id).invoices
        line, = invoice.lines
        line.quantity, line.unit = 1, dozen
        line.unit_price = Decimal(120)
        line.save()
        invoice.invoice_date = dt.date.today()
        invoice.save()
        Invoice.post([Invoice(invoice.id)])
        self.assertExposure(orders=240, receivable=120)

    @with_company
    def test_ignored(self):
        "Test what is not delivered any more"
        pool = Pool()
        Sale = pool.get('sale.sale')
        Shipment = pool.get('stock.shipment.out')
        screen = get('product.product', "Touch Screen")
        sale = create_sale([(screen, 3, 100)], quote=False)
        sale.invoice_method = 'fulfillment'
        sale.save()
        Sale.quote([sale])
        Sale.confirm([sale])
        Sale.process([sale])
        shipment, = Sale(sale.id).shipments
        Shipment.cancel([shipment])
        self.assertExposure(orders=300)
        line, = Sale(sale.id).lines
        line.moves_ignored = line.moves
        line.save()
        self.assertExposure(orders=0)

    @with_company
    def test_ignored_invoice(self):
        pool = Pool()
        Invoice = pool.get('account.invoice')
        Sale = pool.get('sale.sale')
        sale = self.confirm(100)
        Sale.process([sale])
        invoice, = Sale(sale.id).invoices
        Invoice.cancel([invoice])
        self.assertExposure(orders=100)
        sale = Sale(sale.id)
        sale.invoices_ignored = [invoice]
        sale.save()
        self.assertExposure(orders=0)

    @with_company
    def test_taxes(self):
        "Test the orders count with their taxes"
        pool = Pool()
        Account = pool.get('account.account')
        Tax = pool.get('account.tax')
        account, = Account.search([('code', '=', '6.3.6')])
        tax, = Tax.create([{
                    'name': "VAT", 'description': "VAT",
                    'type': 'percentage', 'rate': Decimal('0.13'),
                    'invoice_account': account.id,
                    'credit_note_account': account.id}])
        sale = create_sale(quote=False)
        line, = sale.lines
        line.taxes = [tax]
        line.save()
        Sale = pool.get('sale.sale')
        Sale.quote([sale])
        Sale.confirm([sale])
        self.assertExposure(orders=1130)

    @with_company
    def test_currency(self):
        "Test the rate of today, and that there must be one"
        currency = create_currency('gbp')
        company = get_company()
        if not company.currency.rates:
            self.add_rate(company.currency, 1)
        self.add_rate(currency, 4)
        self.add_rate(currency, 2, dt.date(2021, 1, 1))
        self.add_rate(currency, 8, dt.date.max)
        self.confirm(100, currency=currency)
        self.confirm(10)
        self.assertExposure(orders=60)
        Rate = Pool().get('currency.currency.rate')
        Rate.delete(Rate.search([
                    ('currency', '=', currency.id),
                    ('date', '<', dt.date.max)]))
        with self.assertRaisesRegex(ExposureError, '"Acme"'):
            self.assertExposure(orders=60)

    @with_company
    def test_return(self):
        "Test what comes back reduces nothing"
        self.confirm(100)
        self.confirm(100, -1)
        self.assertExposure(orders=100)

    @with_company
    def test_limit(self):
        "Test the limit of the company comes before the default"
        Configuration = Pool().get('account.configuration')
        config = Configuration(1)
        config.default_credit_limit_amount = Decimal(70)
        config.save()
        self.assertEqual(
            party().get_multivalue(
                'credit_limit_amount', company=get_company().id),
            self.get_limit())
        for limit in [Decimal(0), Decimal(10), None]:
            set_limit(party(), limit)
            self.assertExposure(limit=limit)

    def get_limit(self):
        Party = Pool().get('party.party')
        return Party.get_exposure(
            get_company(), [party()])[party().id]['limit']

    @with_company
    def test_queries(self):
        "Test the exposure of all takes one query"
        Party = Pool().get('party.party')
        parties = [party(), party("Other")]
        company = get_company()
        self.assertTrue(company.currency)
        self.confirm(100)
        with count_queries() as queries:
            Party.get_exposure(company, parties)
        self.assertEqual(len(queries), 1)

    @with_company
    def test_list(self):
        "Test the list of the exposures"
        Exposure = Pool().get('customer.credit.exposure')
        create_policy(check='none')
        set_limit(party(), Decimal(100))
        self.confirm(90)
        exposure, = Exposure.search([])
        self.assertEqual(
            (exposure.party, exposure.credit_limit, exposure.orders,
                exposure.exposure, exposure.over),
            (party(), 100, 90, 90, False))
        self.assertAlmostEqual(exposure.usage, 0.9)
        self.assertEqual(exposure.currency, get_company().currency)
        create_move(party(), 20, maturity=dt.date(
                dt.date.today().year, 1, 1))
        exposure, = Exposure.search([('over', '=', True)])
        self.assertEqual(exposure.receivable, 20)
        self.assertEqual(exposure.overdue, 20)
        self.assertEqual(
            Exposure.search([('party', '=', party().id)]), [exposure])
        self.assertEqual(Exposure.search([('usage', '<', 0.8)]), [])
        self.confirm(5, party=party("Other"))
        other, = Exposure.search([('party.name', '=', "Other")])
        self.assertEqual(
            (other.credit_limit, other.usage, other.over),
            (None, None, False))

    @with_company
    def test_list_rate(self):
        "Test what has no rate is shown as what is not known"
        pool = Pool()
        Exposure = pool.get('customer.credit.exposure')
        Rate = pool.get('currency.currency.rate')
        company = get_company()
        currency = create_currency('gbp')
        if not company.currency.rates:
            self.add_rate(company.currency, 1)
        self.add_rate(currency, 4)
        create_policy(check='none')
        set_limit(party(), Decimal(100))
        self.confirm(1000, currency=currency)
        exposure, = Exposure.search([])
        self.assertEqual(
            (exposure.orders, exposure.over, exposure.missing_rate),
            (250, True, None))
        Rate.delete(Rate.search([('currency', '=', currency.id)]))

        def read():
            exposure, = Exposure.search([('missing_rate', '!=', None)])
            return (
                exposure.missing_rate, exposure.orders, exposure.exposure,
                exposure.usage, exposure.over)

        self.assertEqual(read(), (currency, None, None, None, False))
        # What is known is too much already
        create_move(party(), 101)
        self.assertEqual(read(), (currency, None, None, None, True))

    @with_company
    def test_list_limit(self):
        "Test the limit in the list is that of the check"
        pool = Pool()
        Default = pool.get('account.configuration.default_credit_limit_amount')
        Exposure = pool.get('customer.credit.exposure')
        Limit = pool.get('party.party.credit_limit_amount')
        Limit.delete(Limit.search([]))
        company = get_company()
        self.confirm(1)
        for Model, values in [
                (Default, {'default_credit_limit_amount': Decimal(10)}),
                (Default, {
                        'default_credit_limit_amount': Decimal(20),
                        'company': company.id}),
                (Limit, {
                        'credit_limit_amount': Decimal(30),
                        'party': party().id}),
                (Limit, {
                        'credit_limit_amount': Decimal(40),
                        'party': party().id, 'company': company.id}),
                ]:
            with self.subTest(values=values):
                Model.create([values])
                exposure, = Exposure.search([])
                self.assertEqual(exposure.credit_limit, self.get_limit())
        self.assertEqual(self.get_limit(), 40)
        # That of all companies is enough to be listed
        Limit.create([{
                    'credit_limit_amount': Decimal(50),
                    'party': party("Other").id}])
        exposure, = Exposure.search([('party', '=', party("Other").id)])
        self.assertEqual(
            (exposure.company, exposure.credit_limit, exposure.exposure),
            (company, 50, 0))
