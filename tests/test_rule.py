# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from trytond.model.exceptions import AccessError
from trytond.modules.company.tests import create_company, create_employee
from trytond.modules.currency.tests import create_currency
from trytond.modules.sale_order_review.exceptions import (
    ReviewRequiredError, RuleValidationError)
from trytond.pool import Pool
from trytond.pyson import Eval, PYSONEncoder
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, as_user, create_party, create_rule, create_sale,
    department, get, get_company, on, submit, with_company)


class RuleTestCase(ReviewTestCase):
    "Test the rules by which departments must sign"

    def assertMatches(self, cases, rule):
        """Check which of the sales the rule applies to.

        cases is a list of couples of sale and whether it applies."""
        Rule = Pool().get('sale.review.rule')
        matching = Rule.get_matching([s for s, _ in cases])[0]
        for i, (sale, expected) in enumerate(cases):
            with self.subTest(i=i, sale=sale.rec_name):
                self.assertEqual(matching[sale], [rule] if expected else [])

    @property
    def screen(self):
        return get('product.product', "Touch Screen")

    def create_product(self, name, cost_price=600, **values):
        pool = Pool()
        Product = pool.get('product.product')
        Template = pool.get('product.template')
        screen = self.screen.template
        template, = Template.create([{
                    'name': name,
                    'type': 'goods',
                    'default_uom': screen.default_uom.id,
                    'salable': True,
                    'sale_uom': screen.default_uom.id,
                    'account_category': screen.account_category.id,
                    'list_price': Decimal(1000),
                    'products': None,
                    **values,
                    }])
        product, = Product.create([{'template': template.id}])
        product.cost_price = cost_price
        product.save()
        return Product(product.id)

    def create_countries(self):
        Country = Pool().get('country.country')
        return Country.create([
                {'name': "Norway", 'code': 'NO'},
                {'name': "Germany", 'code': 'DE'},
                ])

    @with_company
    def test_always(self):
        "Test a rule without criteria"
        rule = create_rule()
        self.assertMatches([
                (create_sale(), True),
                (create_sale(lines=[]), True),
                (create_sale(quote=False), True),
                ], rule)

    @with_company
    def test_amount(self):
        "Test the amounts include their limits"
        sales = [create_sale([(self.screen, 1, a)]) for a in [
                '999.99', '1000', '2000', '2000.01']]
        empty = create_sale(lines=[])
        for minimum, maximum, expected in [
                (1000, None, [False, True, True, True]),
                (None, 2000, [True, True, True, False]),
                (1000, 2000, [False, True, True, False]),
                ]:
            rule = create_rule(minimum_amount=minimum, maximum_amount=maximum)
            self.assertMatches([
                    *zip(sales, expected),
                    (empty, not minimum),
                    ], rule)
            rule.active = False
            rule.save()

    @with_company
    def test_amount_currency(self):
        "Test the amount is in the currency of the company"
        Rate = Pool().get('currency.currency.rate')
        currency = create_currency('gbp')
        Rate.create([{
                    'currency': currency.id,
                    'date': date,
                    'rate': Decimal(rate),
                    } for date, rate in [
                    (dt.date(2020, 1, 1), 10),
                    (dt.date(2025, 1, 1), 2),
                    ]])
        rule = create_rule(minimum_amount=1000)
        self.assertMatches([
                (create_sale(
                        [(self.screen, 1, amount)], currency=currency,
                        quotation_date=date), expected)
                for amount, date, expected in [
                    ('1999', None, False),
                    ('2000', None, True),
                    ('2000', dt.date(2024, 1, 1), False),
                    ('10000', dt.date(2024, 1, 1), True),
                    ]], rule)

    @with_company
    def test_margin(self):
        "Test the margin on the cost price, which may be unknown"
        gift = self.create_product("Gift", cost_price=0)
        rule = create_rule(maximum_margin=Decimal('0.2'))
        self.assertMatches([
                (create_sale(lines), expected) for lines, expected in [
                    ([(self.screen, 1, 1000)], False),
                    ([(self.screen, 1, '750.01')], False),
                    ([(self.screen, 1, 750)], True),
                    ([(self.screen, 1, 500)], True),
                    ([(self.screen, 1, 1000), (gift, 1, 0)], False),
                    ([(self.screen, 1, 500), (gift, 1, 1000)], False),
                    # Unknown
                    ([("Freight", 1, 1000)], True),
                    ([(self.screen, 1, 0)], True),
                    ([], True),
                    ]], rule)

    @with_company
    def test_zero(self):
        "Test a limit of zero is a limit"
        sales = [create_sale([(self.screen, 1, a)]) for a in [
                600, '600.01', 1000, '1000.01']]
        for values, expected in [
                ({'minimum_amount': 0}, [True, True, True, True]),
                ({'maximum_amount': 0}, [False, False, False, False]),
                ({'maximum_margin': 0}, [True, False, False, False]),
                ({'minimum_discount': 0}, [True, True, True, False]),
                ]:
            with self.subTest(values=values):
                Rule = Pool().get('sale.review.rule')
                Rule.delete(Rule.search([]))
                rule = create_rule(**values)
                self.assertMatches(list(zip(sales, expected)), rule)

    @with_company
    def test_discount(self):
        "Test the largest discount of the lines on the list price"
        rule = create_rule(minimum_discount=Decimal('0.1'))
        self.assertMatches([
                (create_sale(lines), expected) for lines, expected in [
                    ([(self.screen, 1, 1000)], False),
                    ([(self.screen, 1, 901)], False),
                    ([(self.screen, 1, 900)], True),
                    ([(self.screen, 9, 1000), (self.screen, 1, 800)], True),
                    ([(self.screen, 1, 1100)], False),
                    ([(self.screen, -1, 500)], False),
                    ([("Freight", 1, 10)], False),
                    ([], False),
                    ]], rule)

    @with_company
    def test_discount_quantity(self):
        "Test what is given for the quantity is a discount too"
        rule = create_rule(minimum_discount=Decimal('0.1'))
        Product = Pool().get('product.product')
        with patch.object(
                Product, '_get_sale_unit_price',
                lambda self, quantity=0: Decimal(
                    1000 if quantity < 10 else 800)):
            self.assertMatches([
                    (create_sale([(self.screen, 9, 1000)]), False),
                    (create_sale([(self.screen, 10, 800)]), True),
                    ], rule)

    @with_company
    def test_product(self):
        "Test the product of any line"
        other = self.create_product("Frame")
        rule = create_rule(product=other.id)
        self.assertMatches([
                (create_sale([(self.screen, 1, 1)]), False),
                (create_sale([(self.screen, 1, 1), (other, 1, 1)]), True),
                (create_sale([("Freight", 1, 1)]), False),
                ], rule)

    @with_company
    def test_product_category(self):
        "Test the category of the products with its children"
        Category = Pool().get('product.category')
        parent, = Category.create([{'name': "Screens"}])
        child, other = Category.create([
                {'name': "Large", 'parent': parent.id},
                {'name': "Frames"},
                ])
        products = [
            self.create_product(c.name, categories=[('add', [c.id])])
            for c in [parent, child, other]]
        sales = [create_sale([(p, 1, 1)]) for p in products]
        sales.append(create_sale())
        for category, expected in [
                (parent, [True, True, False, False]),
                (child, [False, True, False, False]),
                (self.screen.account_category, [False] * 3 + [True]),
                ]:
            rule = create_rule(product_category=category.id)
            if not category.accounting:
                self.assertMatches(list(zip(sales, expected)), rule)
            rule.active = False
            rule.save()

    @with_company
    def test_customised(self):
        "Test customised by the product or by the line"
        design = self.create_product("Design", customised=True)
        rule = create_rule(customised=True)
        self.assertMatches([
                (create_sale([(self.screen, 1, 1)]), False),
                (create_sale([(self.screen, 1, 1, True)]), True),
                (create_sale([(design, 1, 1)]), True),
                (create_sale([("Screen to a drawing", 1, 1, True)]), True),
                ], rule)

    @with_company
    def test_party(self):
        "Test the customer and who is invoiced or shipped to"
        beta = create_party("Beta")
        rule = create_rule(party=beta.id)
        self.assertMatches([
                (create_sale(), False),
                (create_sale(party=beta), True),
                (create_sale(
                        invoice_party=beta,
                        invoice_address=beta.addresses[0]), True),
                (create_sale(
                        shipment_party=beta,
                        shipment_address=beta.addresses[0]), True),
                ], rule)

    @with_company
    def test_party_category(self):
        "Test the category of the customer with its children"
        Category = Pool().get('party.category')
        parent, = Category.create([{'name': "Public"}])
        child, = Category.create([{'name': "Schools", 'parent': parent.id}])
        rule = create_rule(party_category=parent.id)
        self.assertMatches([
                (create_sale(), False),
                (create_sale(party=create_party(
                            "Town", categories=[('add', [parent.id])])), True),
                (create_sale(party=create_party(
                            "School", categories=[('add', [child.id])])),
                    True),
                ], rule)

    @with_company
    def test_country(self):
        "Test the country of the shipment address"
        norway, germany = self.create_countries()
        nordlys = create_party("Nordlys", country=norway)
        rheingold = create_party("Rheingold", country=germany)
        rule = create_rule(country=germany.id)
        self.assertMatches([
                (create_sale(), False),
                (create_sale(party=nordlys), False),
                (create_sale(party=rheingold), True),
                (create_sale(
                        party=nordlys, shipment_party=rheingold,
                        shipment_address=rheingold.addresses[0]), True),
                ], rule)

    @with_company
    def test_abroad(self):
        "Test abroad also when a country is unknown"
        norway, germany = self.create_countries()
        nordlys = create_party("Nordlys", country=norway)
        rheingold = create_party("Rheingold", country=germany)
        address, = get_company().party.addresses
        rule = create_rule(abroad=True)
        at_home, abroad, unknown = [
            create_sale(party=p) for p in [
                nordlys, rheingold, get('party.party', "Acme")]]
        self.assertMatches([
                (at_home, True), (abroad, True), (unknown, True)], rule)
        address.country = norway
        address.save()
        self.assertMatches([
                (at_home, False), (abroad, True), (unknown, True)], rule)

    @with_company
    def test_payment_term(self):
        "Test the payment term"
        PaymentTerm = Pool().get('account.invoice.payment_term')
        one, other = PaymentTerm.create([{
                    'name': name,
                    'lines': [('create', [{'type': 'remainder'}])],
                    } for name in ["30 days", "90 days"]])
        rule = create_rule(payment_term=other.id)
        self.assertMatches([
                (create_sale(), False),
                (create_sale(payment_term=one), False),
                (create_sale(payment_term=other), True),
                ], rule)

    @with_company
    def test_channel(self):
        "Test the channel"
        Channel = Pool().get('sale.channel')
        fair, web = Channel.create([{'name': "A fair"}, {'name': "A web"}])
        rule = create_rule(channel=web.id)
        self.assertMatches([
                (create_sale(), False),
                (create_sale(channel=fair), False),
                (create_sale(channel=web), True),
                ], rule)

    @with_company
    def test_first_order(self):
        "Test a customer without another order"
        Sale = Pool().get('sale.sale')
        sale, other = create_sale(), create_sale()
        cancelled = create_sale()
        Sale.cancel([cancelled])
        rule = create_rule(first_order=True)
        self.assertMatches([(sale, True), (other, True)], rule)
        self.set_confirmed(other, dt.date(2020, 1, 1))
        self.assertMatches([
                (sale, False),
                (create_sale(party=create_party("Beta")), True),
                ], rule)

    @with_company
    def test_new_customer(self):
        "Test a customer whose first order is recent"
        Configuration = Pool().get('sale.configuration')
        rule = create_rule(new_customer=True)
        sale, other = create_sale(), create_sale()
        self.assertMatches([(sale, True)], rule)
        for date, expected in [
                (dt.date(2025, 3, 2), False),
                (dt.date(2025, 3, 3), True),
                ]:
            self.set_confirmed(other, date)
            with on(dt.date(2026, 3, 2)):
                self.assertMatches([(sale, expected)], rule)
        configuration = Configuration(1)
        configuration.review_new_customer = None
        configuration.save()
        self.assertMatches([(sale, False)], rule)

    def set_confirmed(self, sale, date):
        Sale = Pool().get('sale.sale')
        table = Sale.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [table.state, table.sale_date], ['confirmed', date],
                where=table.id == sale.id))

    @with_company
    def test_condition(self):
        "Test the condition on the record"
        beta = create_party("Beta")
        sales = [
            create_sale(description="Urgent"), create_sale(party=beta),
            create_sale(channel=None)]
        encoder = PYSONEncoder()
        for condition, expected in [
                (True, [True, True, True]),
                (Eval('self.description', '') == "Urgent",
                    [True, False, False]),
                (Eval('self.party', -1) == beta.id, [False, True, False]),
                ]:
            rule = create_rule(condition=encoder.encode(condition))
            self.assertMatches(list(zip(sales, expected)), rule)
            rule.active = False
            rule.save()

    @with_company
    def test_all_criteria(self):
        "Test all the criteria must match"
        beta = create_party("Beta")
        rule = create_rule(minimum_amount=1000, party=beta.id, customised=True)
        self.assertMatches([
                (create_sale([(self.screen, 1, 1000, True)]), False),
                (create_sale([(self.screen, 1, 900, True)], party=beta),
                    False),
                (create_sale([(self.screen, 1, 1000)], party=beta), False),
                (create_sale([(self.screen, 1, 1000, True)], party=beta),
                    True),
                ], rule)

    @with_company
    def test_order(self):
        "Test the order of the rules and that inactive ones do not apply"
        Rule = Pool().get('sale.review.rule')
        third = create_rule("Finance", stage=2)
        first = create_rule("Sales", stage=1, sequence=1)
        second = create_rule("Production", stage=1, sequence=2)
        create_rule("Production", active=False)
        sale = create_sale()
        self.assertEqual(
            Rule.get_matching([sale])[0][sale], [first, second, third])
        with Transaction().set_context(active_test=False):
            Rule._rules_cache.clear()
            self.assertEqual(
                Rule.get_matching([sale])[0][sale], [first, second, third])
        with as_user("Fred"):
            Rule._rules_cache.clear()
            self.assertEqual(
                Rule.get_matching([sale])[0][sale], [first, second, third])

    @with_company
    def test_company(self):
        "Test the rules of another company do not apply"
        pool = Pool()
        Department = pool.get('company.department')
        Rule = pool.get('sale.review.rule')
        User = pool.get('res.user')
        other = create_company("Other")
        User.write([User(Transaction().user)], {
                'companies': [('add', [other.id])],
                'company_filter': 'all',
                })
        head = create_employee(other)
        production, = Department.create([{
                    'company': other.id,
                    'name': "Production",
                    'head': head.id,
                    }])
        rule, = Rule.create([{
                    'name': "Other",
                    'company': other.id,
                    'department': production.id,
                    }])
        sale = create_sale()
        with Transaction().set_context(company=other.id):
            self.assertMatches([(sale, False)], rule)
            self.assertEqual(Rule.get_rules(other, 'sale.sale'), [rule])
        self.assertEqual(sale.review_state, 'none')

    @with_company
    def test_validation(self):
        "Test the messages of wrong rules"
        create_sale()
        for values, message in [
                ({'deadline': 0}, "at least one working day"),
                ({'deadline': -1}, "at least one working day"),
                ({'signatories': 'number', 'number': 0},
                    "at least one person"),
                ({'minimum_amount': 2, 'maximum_amount': 1},
                    "must not be greater"),
                ({'condition': 'urgent'}, "cannot be evaluated"),
                ({'condition': '{"__class__": "Eval", "v": "self.urgent"}'},
                    "has no urgent"),
                ({'condition': '[{"__class__": "Equal", "s1": 1}]'},
                    "cannot be evaluated"),
                ]:
            with self.subTest(values=values):
                with self.assertRaises(RuleValidationError) as cm:
                    create_rule("Sales", **values)
                self.assertIn(message, cm.exception.message)
                self.assertIn('"Sales"', cm.exception.message)

    @with_company
    def test_condition_fails_later(self):
        "Test a condition that fails holds the order and names the rule"
        pool = Pool()
        Review = pool.get('sale.review')
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        rule = create_rule(minimum_amount=Decimal(500))
        table = Rule.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [table.condition], ['{"__class__": "Eval", "v": "unknown"}'],
                where=table.id == rule.id))
        Rule._rules_cache.clear()
        rule = Rule(rule.id)
        sale = create_sale()
        self.assertEqual(sale.review_state, 'required')
        matching, failed = Rule.get_matching([sale])
        self.assertEqual(matching, {})
        self.assertIn('"Production"', failed[sale])
        self.assertIn(f'"{sale.rec_name}"', failed[sale])
        with as_user("Sven"):
            _, (problem,) = Review.plan([sale])
        self.assertEqual(problem, failed[sale])
        with self.assertRaises(ReviewRequiredError) as cm:
            Sale.confirm([sale])
        self.assertIn('"Production"', cm.exception.message)
        self.assertEqual(sale.state, 'quotation')

        # Those that the rule does not reach go on
        small = create_sale([(self.screen, 1, 100)])
        Sale.update_review_state([sale, small])
        self.assertEqual(sale.review_state, 'required')
        self.assertEqual(small.review_state, 'none')
        Sale.confirm([small])
        self.assertEqual(small.state, 'confirmed')

    @with_company
    def test_values_fail(self):
        "Test an order whose currency has no rate is held and no other is"
        pool = Pool()
        Rate = pool.get('currency.currency.rate')
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        pound = create_currency('gbp')
        rate, = Rate.create([{
                    'currency': pound.id,
                    'date': dt.date(2020, 1, 1),
                    'rate': Decimal(2),
                    }])
        good, bad = create_sale(), create_sale(currency=pound)
        Rate.delete([rate])
        create_rule(minimum_amount=Decimal(500))
        Sale.update_review_state([bad, good])
        self.assertEqual(good.review_state, 'required')
        self.assertEqual(bad.review_state, 'required')
        matching, failed = Rule.get_matching([bad, good])
        self.assertEqual(list(matching), [good])
        self.assertIn(f'"{bad.rec_name}"', failed[bad])
        with self.assertRaises(ReviewRequiredError) as cm:
            Sale.confirm([bad])
        self.assertIn(pound.rec_name, cm.exception.message)

    @with_company
    def test_reasons(self):
        "Test the texts of why a rule applies"
        Rule = Pool().get('sale.review.rule')
        beta = create_party("Beta")
        sale = create_sale([(self.screen, 1, 800, True)], party=beta)
        freight = create_sale([("Freight", 1, 1000)])
        for values, expected in [
                ({}, "Always"),
                ({'minimum_amount': 500, 'maximum_amount': 5000},
                    "USD 500.00 ≤ 800.00 ≤ 5,000.00"),
                ({'maximum_margin': Decimal('0.3')},
                    "Maximum Margin: 25.00 % ≤ 30.00 %"),
                ({'minimum_discount': Decimal('0.15')},
                    "Minimum Discount: 20.00 % ≥ 15.00 %"),
                ({'party': beta.id, 'customised': True},
                    "Customised • Party: Beta"),
                ({'condition': 'true'}, "Condition: true"),
                ]:
            with self.subTest(values=values):
                Rule.delete(Rule.search([]))
                rule = create_rule(**values)
                self.assertEqual(
                    Rule.get_reasons([sale])[0][sale], [(rule, expected)])
        Rule.delete(Rule.search([]))
        rule = create_rule(maximum_margin=Decimal('0.3'))
        self.assertEqual(
            Rule.get_reasons([freight])[0][freight],
            [(rule, "Maximum Margin: unknown ≤ 30.00 %")])

    @with_company
    def test_copy(self):
        "Test a copy is inactive until it is checked"
        Rule = Pool().get('sale.review.rule')
        copy, = Rule.copy([create_rule()])
        self.assertFalse(copy.active)

    @with_company
    def test_delete(self):
        "Test a rule by which a department signs stays"
        Rule = Pool().get('sale.review.rule')
        Rule.delete([create_rule()])
        rule = create_rule()
        sale = create_sale()
        with as_user("Sven"):
            submit(sale)
        with self.assertRaisesRegex(AccessError, "Deactivate it instead"):
            Rule.delete([rule])

    @with_company
    def test_on_change(self):
        "Test the values that depend on others"
        Rule = Pool().get('sale.review.rule')
        norway, _ = self.create_countries()
        rule = Rule(company=get_company(), country=norway)
        self.assertEqual(
            rule.on_change_with_currency(), get_company().currency)
        rule.abroad = True
        rule.on_change_abroad()
        self.assertIsNone(rule.country)
        self.assertIsNone(Rule(company=None).on_change_with_currency())

    @with_company
    def test_review_state(self):
        "Test quotations show whether they must be reviewed from now on"
        Sale = Pool().get('sale.sale')
        sale = create_sale()
        self.assertEqual(sale.review_state, 'none')
        create_rule(department=department("Finance").id)
        Sale.update_review_state([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).review_state, 'required')
