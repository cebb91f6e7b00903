# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from trytond.exceptions import UserError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import (
    approve, as_user, count_queries, create_departments, create_rule, get,
    get_company, get_signoff, sign, with_company)
from .test_change import (
    AMENDMENTS, add_line, change_line, create_amendment, create_order,
    submit_amendment, validate)
from .test_checklist import create_checklist, measure

TODAY = dt.date.today()


class EffectsTestCase(TestCase):
    "Test what departments see of an amendment before they sign"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules([
                'sale_order_review', 'sale_amendment', 'sale_credit_limit',
                'sale_supply_production'],
            create_company, create_chart, create_departments)
        cls.addClassCleanup(drop_db)

    def supply(self, quantity):
        "Move the quantity of touch screens from the supplier to the storage"
        pool = Pool()
        Location = pool.get('stock.location')
        Move = pool.get('stock.move')
        product = get('product.product', "Touch Screen")
        supplier, = Location.search([('code', '=', 'SUP')])
        storage, = Location.search([('code', '=', 'STO')])
        move, = Move.create([{
                    'product': product.id,
                    'unit': product.default_uom.id,
                    'quantity': quantity,
                    'from_location': supplier.id,
                    'to_location': storage.id,
                    'planned_date': TODAY,
                    'company': get_company().id,
                    'currency': get_company().currency.id,
                    'unit_price': Decimal(600),
                    }])
        with Transaction().set_context(_skip_warnings=True):
            Move.do([move])

    def create_order(self, quantity=1):
        product = get('product.product', "Touch Screen")
        return create_order(lines=[(product, quantity, 1000)])

    def get_measures(self, amendments, *names):
        Amendment = Pool().get('sale.amendment')
        return [
            {n: m['value'] for n, m in measures.items()}
            for measures in Amendment.get_review_measures(
                Amendment.browse(amendments), list(names)).values()]

    @with_company
    def test_measures(self):
        "Test it is the order as it would be that is measured"
        Party = Pool().get('party.party')
        party = get('party.party', "Acme")
        Party.write([party], {'credit_limit_amount': Decimal(10000)})
        product = get('product.product', "Touch Screen")
        cost = product.cost_price
        self.supply(5)
        names = [
            'credit_limit_left', 'gross_margin', 'stock_available',
            'earliest_delivery']
        sale = self.create_order(4)
        line, = sale.lines
        self.assertEqual(self.get_measures([create_amendment(
                        sale, change_line(line, quantity=5))], *names), [{
                'credit_limit_left': Decimal(5000),
                'gross_margin': round((1000 - cost) / 1000, 4),
                'stock_available': True,
                'earliest_delivery': TODAY,
                }])
        self.assertEqual(self.get_measures([create_amendment(
                        sale, change_line(
                            line, quantity=6, unit_price=Decimal(2000)))],
                *names), [{
                'credit_limit_left': Decimal(-2000),
                'gross_margin': round((2000 - cost) / 2000, 4),
                'stock_available': False,
                'earliest_delivery': None,
                }])
        # Nothing has changed
        self.assertEqual(sale.lines[0].quantity, 4)
        self.assertEqual(len(line.moves), 1)

    @with_company
    def test_delivered(self):
        "Test what is delivered is not taken from stock again"
        Shipment = Pool().get('stock.shipment.out')
        self.supply(5)
        sale = self.create_order(4)
        shipment, = sale.shipments
        Shipment.assign_force([shipment])
        Shipment.pick([shipment])
        Shipment.pack([shipment])
        Shipment.do([shipment])
        for quantity, available in [(5, True), (6, False)]:
            amendment = create_amendment(
                sale, change_line(sale.lines[0], quantity=quantity))
            with self.subTest(quantity=quantity):
                self.assertEqual(
                    self.get_measures([amendment], 'stock_available'),
                    [{'stock_available': available}])

    @with_company
    def test_signed(self):
        "Test what is measured of an amendment is kept with its sign-off"
        checklist = create_checklist(measure('gross_margin'))
        create_rule(subjects=AMENDMENTS, checklist=checklist.id)
        cost = get('product.product', "Touch Screen").cost_price
        sale = self.create_order()
        amendment = create_amendment(sale, change_line(
                sale.lines[0], unit_price=Decimal(2000)))
        signoff = get_signoff(submit_amendment(amendment), "Production")
        answer, = signoff.answers
        text = f'{(2000 - cost) / 20:.2f} %'
        self.assertIn(text, answer.measured)
        approve(signoff, "Paul")
        self.assertEqual(answer.number, round((2000 - cost) / 2000, 4))
        validate(amendment)
        self.assertIn(text, type(answer)(answer.id).measured)

    @with_company
    def test_not_applicable(self):
        "Test an amendment that cannot be applied any more can be returned"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        AmendmentLine = pool.get('sale.amendment.line')
        Signoff = pool.get('sale.review.signoff')
        checklist = create_checklist(measure('gross_margin'))
        create_rule(subjects=AMENDMENTS, checklist=checklist.id)
        amendments = []
        for _ in range(2):
            sale = self.create_order()
            amendments.append(create_amendment(
                    sale, change_line(sale.lines[0], quantity=2)))
        failing, other = amendments
        signoff, _ = [
            get_signoff(submit_amendment(a), "Production")
            for a in amendments]
        apply = AmendmentLine._apply_line

        def fail(self, *args):
            if self.amendment == failing:
                raise UserError("The tax is gone.")
            apply(self, *args)

        with patch.object(AmendmentLine, '_apply_line', fail):
            measures = Amendment.get_review_measures(
                amendments, ['gross_margin'])
            self.assertEqual(
                measures[failing]['gross_margin']['basis'],
                "The tax is gone.")
            self.assertTrue(measures[other]['gross_margin']['value'])
            answer, = signoff.answers
            self.assertIn("The tax is gone.", answer.measured)
            with self.assertRaisesRegex(UserError, "The tax is gone."):
                approve(signoff, "Paul")
            sign(signoff, 'return_', "Paul", opinion="See the tax.")
        self.assertEqual(Signoff(signoff.id).state, 'returned')

    @with_company
    def test_queries(self):
        "Test the queries of the measures do not grow with the amendments"
        self.supply(5)
        names = ['gross_margin', 'stock_available', 'earliest_delivery']
        sales = [self.create_order() for _ in range(4)]
        amendments = [
            create_amendment(s, change_line(s.lines[0], quantity=2))
            for s in sales]
        Amendment = Pool().get('sale.amendment')

        def count(number, names):
            with count_queries() as queries:
                Amendment.get_review_measures(
                    Amendment.browse(amendments[:number]), names)
            return len(queries)

        count(1, names)
        # Stock applies them one by one
        two, four = (count(n, names) - count(n, []) for n in [2, 4])
        self.assertLessEqual(four, two)

    @with_company
    def test_supply(self):
        "Test the effects name what is produced and bought for the order"
        Template = Pool().get('product.template')
        template = get('product.product', "Touch Screen").template
        Review = Pool().get('sale.review')
        create_rule(subjects=AMENDMENTS)
        for values, text, others in [
                ({'purchasable': True, 'producible': False},
                    "Touch Screen @Warehouse", "Productions"),
                ({'purchasable': False, 'producible': True},
                    "Productions that stay as they are:", "Purchase"),
                ]:
            Template.write([template], {
                    'supply_on_sale': 'always',
                    'purchase_uom': template.default_uom.id,
                    **values})
            sale = self.create_order(3)
            for line, touched in [
                    (change_line(sale.lines[0], quantity=4), True),
                    (add_line(1), False),
                    (('date', {
                                'shipping_date': TODAY
                                + dt.timedelta(days=9)}), True),
                    ]:
                with self.subTest(values=values, line=line):
                    with as_user("Sven"):
                        plans, problems = Review.plan(
                            [create_amendment(sale, line)])
                    self.assertEqual(problems, [])
                    effects = plans[0].values['effects']
                    self.assertEqual(text in effects, touched, effects)
                    self.assertNotIn(others, effects)
