# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from trytond.modules.sale_order_review import trial as module
from trytond.modules.sale_order_review.exceptions import RuleError
from trytond.pool import Pool
from trytond.pyson import Eval, PYSONEncoder
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, count_queries, create_party, create_rule, create_sale,
    department, employee, get, get_company, with_company)
from .test_checklist import create_currency, set_rates

MONDAY = dt.date(2024, 4, 1)
SUNDAY = MONDAY + dt.timedelta(days=27)


def condition(field, value):
    return PYSONEncoder().encode(Eval(f'self.{field}', '') == value)


def break_condition(rule):
    "Let the condition of the rule fail on each order"
    Rule = Pool().get('sale.review.rule')
    table = Rule.__table__()
    cursor = Transaction().connection.cursor()
    cursor.execute(*table.update(
            [table.condition], ['{'], where=table.id == rule.id))
    Rule._rules_cache.clear()
    Transaction().cache.clear()
    return Rule(rule.id)


class TrialTestCase(ReviewTestCase):
    "Test the trial of rules on past orders"

    def create_order(self, date, amount=1000, state='confirmed', **values):
        "Create an order of the past without a review"
        Sale = Pool().get('sale.sale')
        sale = create_sale(
            [(get('product.product', "Touch Screen"), 1, amount)],
            sale_date=date, **values)
        Sale.write([sale], {'state': state})
        return Sale(sale.id)

    def run_(self, *rules, start=MONDAY, end=SUNDAY):
        Trial = Pool().get('sale.review.trial')
        return Trial.run(rules, start, end)

    @with_company
    def test_figures(self):
        "Test how many orders need the rule, by week"
        first = self.create_order(MONDAY, 2000)
        second = self.create_order(MONDAY + dt.timedelta(days=9), 2000)
        third = self.create_order(MONDAY + dt.timedelta(days=13), 3000)
        self.create_order(MONDAY, 1999)
        rule = create_rule(minimum_amount=2000, active=False)
        other = create_rule("Finance", active=False)
        trial, all_ = self.run_(rule, other)
        self.assertEqual(trial.rule, rule)
        self.assertEqual(trial.company, get_company())
        self.assertEqual(trial.department, department("Production"))
        self.assertEqual(trial.period_orders, 4)
        self.assertEqual(trial.orders, 3)
        self.assertEqual(trial.failed, 0)
        self.assertEqual(trial.share, 0.75)
        self.assertEqual(trial.per_week, 0.8)
        self.assertEqual(
            trial.busiest_week, MONDAY + dt.timedelta(days=7))
        self.assertEqual(trial.busiest_orders, 2)
        self.assertEqual(
            [(r.sale, r.week, r.orders, r.reason) for r in trial.results], [
                (third, MONDAY + dt.timedelta(days=7), 1,
                    'USD 2,000.00 ≤ 3,000.00'),
                (second, MONDAY + dt.timedelta(days=7), 1,
                    'USD 2,000.00 ≤ 2,000.00'),
                (first, MONDAY, 1, 'USD 2,000.00 ≤ 2,000.00'),
                ])
        self.assertEqual(all_.orders, 4)
        self.assertEqual(all_.share, 1)

    @with_company
    def test_departments(self):
        "Test an order counts once for a department however often it is tried"
        Department = Pool().get('sale.review.trial.department')
        self.create_order(MONDAY, 2000)
        self.create_order(MONDAY, 1000)
        rules = [
            create_rule(minimum_amount=2000, active=False),
            create_rule(maximum_amount=2000, active=False),
            create_rule("Finance", minimum_amount=2000, active=False)]
        trials = [*self.run_(*rules), *self.run_(*rules)]
        for context, expected in [
                (trials, {"Production": 2, "Finance": 1}),
                (trials[:1], {"Production": 1}),
                ([], {}),
                ]:
            with self.subTest(trials=context), Transaction().set_context(
                    trials=[t.id for t in context]):
                self.assertEqual({
                        d.rec_name: d.orders for d in Department.search([])},
                    expected)

    @with_company
    def test_orders(self):
        "Test which orders are tried"
        def get_content():
            Sale = Pool().get('sale.sale')
            table = Sale.__table__()
            cursor = Transaction().connection.cursor()
            cursor.execute(*table.select(order_by=[table.id]))
            return list(cursor)

        tried = [
            self.create_order(MONDAY),
            self.create_order(SUNDAY, state='processing'),
            self.create_order(MONDAY, state='done'),
            self.create_order(MONDAY, state='quotation'),
            ]
        self.create_order(MONDAY, state='draft')
        self.create_order(MONDAY, state='cancelled')
        self.create_order(MONDAY - dt.timedelta(days=1))
        self.create_order(SUNDAY + dt.timedelta(days=1))
        self.create_order(None, state='quotation')
        content = get_content()
        trial, = self.run_(create_rule(active=False))
        self.assertEqual({r.sale for r in trial.results}, set(tried))
        self.assertEqual(trial.period_orders, 4)
        # Nothing is written to the orders
        self.assertEqual(content, get_content())

    @with_company
    def test_none(self):
        "Test a period without orders"
        trial, = self.run_(create_rule(active=False))
        self.assertEqual(trial.orders, 0)
        self.assertIsNone(trial.share)
        self.assertEqual(trial.per_week, 0)
        self.assertIsNone(trial.busiest_week)

    @with_company
    def test_failed(self):
        "Test a rule that fails is shown and hides no other"
        good = self.create_order(MONDAY)
        rule = break_condition(create_rule(
                active=False, condition=condition('reference', '')))
        failing, other = self.run_(rule, create_rule("Finance", active=False))
        self.assertEqual((failing.orders, failing.failed), (0, 1))
        result, = failing.results
        self.assertEqual(result.sale, good)
        self.assertTrue(result.failed)
        self.assertEqual(result.orders, 0)
        self.assertIn(good.rec_name, result.reason)
        self.assertEqual((other.orders, other.failed), (1, 0))

    @with_company
    def test_missing_rate(self):
        "Test an order whose currency has no rate fails only where it is used"
        pool = Pool()
        Rate = pool.get('currency.currency.rate')
        set_rates(Decimal(1))
        currency = create_currency(Decimal(2))
        self.create_order(MONDAY)
        order = self.create_order(MONDAY, currency=currency)
        Rate.delete(list(currency.rates))
        rule = create_rule(minimum_amount=10, active=False)
        other = create_rule("Finance", active=False)
        trial, all_ = self.run_(rule, other)
        self.assertEqual((trial.orders, trial.failed), (1, 1))
        self.assertEqual((all_.orders, all_.failed), (2, 0))
        failed, = [r for r in trial.results if r.failed]
        self.assertEqual(failed.sale, order)
        self.assertIn("Krone", failed.reason)

    @with_company
    def test_customer(self):
        "Test a customer is as new as it was at the time"
        early = create_party("Early")
        first = self.create_order(
            MONDAY - dt.timedelta(days=500), party=early)
        self.create_order(MONDAY, party=early)
        late = create_party("Late")
        new = [
            self.create_order(MONDAY, party=late),
            self.create_order(MONDAY, party=late),
            self.create_order(SUNDAY, party=late),
            ]
        new_customer, first_order = self.run_(
            create_rule(new_customer=True, active=False),
            create_rule("Finance", first_order=True, active=False))
        self.assertEqual({r.sale for r in new_customer.results}, set(new))
        self.assertEqual([r.sale for r in first_order.results], new[:1])
        trial, = self.run_(
            first_order.rule, start=MONDAY - dt.timedelta(days=600))
        self.assertEqual(
            {r.sale for r in trial.results}, {first, new[0]})

    @with_company
    def test_same(self):
        "Test a trial says the same as the rules on the quotations"
        Rule = Pool().get('sale.review.rule')
        sales = [create_sale(
                [(get('product.product', "Touch Screen"), 1, amount)],
                sale_date=MONDAY)
            for amount in [100, 650, 900, 1000, 5000]]
        rules = [
            create_rule(minimum_amount=900),
            create_rule("Finance", maximum_margin=Decimal('0.1')),
            create_rule("Finance", minimum_discount=Decimal('0.1')),
            create_rule("Sales", party=get('party.party', "Acme")),
            create_rule("Sales", condition=condition('state', 'quotation')),
            create_rule("Sales", condition=condition('state', 'done')),
            ]
        matching = Rule.get_matching(sales)[0]
        for trial in self.run_(*rules):
            self.assertEqual(
                {r.sale for r in trial.results},
                {s for s in sales if trial.rule in matching[s]})

    @with_company
    def test_refused(self):
        "Test what cannot be tried"
        rule = create_rule(active=False)
        with self.assertRaises(RuleError):
            self.run_(rule, start=SUNDAY, end=MONDAY)
        with patch.object(type(rule), 'subjects', ['sale.amendment']):
            with self.assertRaises(RuleError):
                self.run_(rule)

    @with_company
    def test_queries(self):
        "Test the number of queries does not depend on the orders"
        rules = [
            create_rule(minimum_amount=100, active=False),
            create_rule(
                "Finance", maximum_margin=Decimal('0.5'), active=False),
            create_rule("Sales", new_customer=True, active=False),
            ]
        counts = []
        for _ in range(2):
            for _ in range(5):
                self.create_order(MONDAY)
            Transaction().cache.clear()
            with count_queries() as queries:
                self.run_(*rules)
            # SQLite has a query for each row and a transaction that changes
            # rules caches no names
            counts.append(len([
                        q for q in map(str, queries)
                        if q.startswith('SELECT')
                        and 'ir_model' not in q
                        and 'ir_translation' not in q]))
        self.assertLessEqual(counts[1], counts[0])

    @with_company
    def test_slices(self):
        "Test the orders are tried in slices"
        for _ in range(5):
            self.create_order(MONDAY)
        rule = create_rule(active=False)
        with patch.object(module, '_SLICE', 2):
            trial, = self.run_(rule)
        self.assertEqual(trial.orders, 5)
        self.assertEqual(len({r.sale for r in trial.results}), 5)
        self.assertEqual(trial.busiest_orders, 5)


class WarningTestCase(ReviewTestCase):
    "Test the warnings of the rules"

    def assertWarns(self, rule, *texts):
        Rule = Pool().get('sale.review.rule')
        warnings = Rule(rule.id).warnings
        lines = warnings.splitlines() if warnings else []
        self.assertEqual(len(lines), len(texts), lines)
        for line, text in zip(lines, texts):
            self.assertIn(text, line)
        self.assertEqual(
            Rule.search([('id', '=', rule.id), ('warnings', '!=', None)]),
            [rule] if texts else [])
        self.assertEqual(
            Rule.search([('id', '=', rule.id), ('warnings', '=', None)]),
            [] if texts else [rule])

    @with_company
    def test_none(self):
        "Test a rule that works"
        for values in [
                {},
                {'signatories': 'head'},
                {'signatories': 'all'},
                {'signatories': 'number', 'number': 2},
                {'condition': condition('reference', '')},
                ]:
            with self.subTest(values=values):
                self.assertWarns(create_rule(**values))

    @with_company
    def test_signatories(self):
        "Test a department in which too few can sign"
        User = Pool().get('res.user')
        head = create_rule(signatories='head')
        all_ = create_rule(signatories='all')
        three = create_rule(signatories='number', number=3)
        self.assertWarns(three, 'has 2 of the 3 persons')
        user = get('res.user', "Paul")
        User.write([user], {'active': False})
        self.assertWarns(head, 'has 0 of the 1 persons')
        self.assertWarns(all_, 'has 1 of the 2 persons')
        self.assertWarns(three, 'has 1 of the 3 persons')
        production = department("Production")
        production.head = None
        production.save()
        self.assertWarns(head, 'has 0 of the 1 persons')
        self.assertWarns(all_)
        production.head = employee("Petra")
        production.save()
        self.assertWarns(head)

    @with_company
    def test_inactive(self):
        "Test what is deactivated"
        pool = Pool()
        Channel = pool.get('sale.channel')
        Department = pool.get('company.department')
        Party = pool.get('party.party')
        channel = Channel.search([], limit=1)[0]
        party = create_party("Old")
        rule = create_rule(party=party.id, channel=channel.id)
        self.assertWarns(rule)
        Party.write([party], {'active': False})
        Channel.write([channel], {'active': False})
        self.assertWarns(
            rule, f'Party "{party.rec_name}"', f'Channel "{channel.rec_name}"')
        Department.write([rule.department], {'active': False})
        self.assertWarns(
            rule, 'has 0 of the 1', 'Department "Production" is not active',
            'Party', 'Channel')

    @with_company
    def test_abroad(self):
        "Test abroad and the country of the company"
        pool = Pool()
        Country = pool.get('country.country')
        home, other = Country.create([
                {'name': "Norway", 'code': 'NO'},
                {'name': "Germany", 'code': 'DE'}])
        company = get_company()
        address = company.party.address_get()
        rule = create_rule(abroad=True, country=home.id)
        self.assertWarns(rule)
        address.country = home
        address.save()
        self.assertWarns(rule, 'Norway" is the country of the company')
        rule.country = other
        rule.save()
        self.assertWarns(rule)

    @with_company
    def test_product(self):
        "Test a product that is not of the category"
        pool = Pool()
        Category = pool.get('product.category')
        parent, = Category.create([{'name': "Screens"}])
        child, = Category.create([{'name': "Touch", 'parent': parent.id}])
        product = get('product.product', "Touch Screen")
        rule = create_rule(product=product.id, product_category=parent.id)
        self.assertWarns(rule, 'does not belong to category "Screens"')
        product.template.categories = [child]
        product.template.save()
        self.assertWarns(rule)

    @with_company
    def test_party(self):
        "Test a party that is not of the category"
        Category = Pool().get('party.category')
        category, = Category.create([{'name': "VIP"}])
        party = get('party.party', "Acme")
        rule = create_rule(party=party.id, party_category=category.id)
        self.assertWarns(rule, 'does not belong to category "VIP"')
        party.categories = [category]
        party.save()
        self.assertWarns(rule)

    @with_company
    def test_amount(self):
        "Test a maximum amount that no order stays below"
        self.assertWarns(
            create_rule(maximum_amount=-1), 'maximum amount is negative')
        self.assertWarns(create_rule(maximum_amount=0))

    @with_company
    def test_condition(self):
        "Test a condition that has come to fail"
        rule = create_rule(condition=condition('reference', ''))
        self.assertWarns(break_condition(rule), 'cannot be evaluated')

    @with_company
    def test_checklist(self):
        "Test a checklist that asks nothing"
        Checklist = Pool().get('sale.review.checklist')
        checklist, = Checklist.create([{'name': "Empty"}])
        with Transaction().set_context(_skip_warnings=True):
            rule = create_rule(checklist=checklist.id)
        self.assertWarns(rule, 'has no points')

    @with_company
    def test_search(self):
        "Test the texts are searched, also of inactive rules"
        Rule = Pool().get('sale.review.rule')
        rule = create_rule(signatories='number', number=3, active=False)
        good = create_rule()
        self.assertEqual(Rule.search([
                    ('active', 'in', [True, False]),
                    ('warnings', 'ilike', '%Production%')]), [rule])
        self.assertEqual(
            Rule.search([('warnings', 'not ilike', '%Production%')]), [good])
        self.assertEqual(
            Rule.search([('warnings', '!=', None)], count=True), 0)
        for operator, value, rules in [
                ('in', [None], [good]),
                ('not in', [None], []),
                ('in', ["Finance", None], [good]),
                ('not in', ["Production"], [good]),
                ('in', [], []),
                ]:
            with self.subTest(operator=operator, value=value):
                self.assertEqual(
                    Rule.search([('warnings', operator, value)]), rules)

    @with_company
    def test_queries(self):
        "Test the number of queries does not depend on the rules"
        Rule = Pool().get('sale.review.rule')
        counts = []
        for _ in range(2):
            for name in ["Production", "Finance", "Sales"]:
                create_rule(name, party=get('party.party', "Acme").id)
            Transaction().cache.clear()
            Pool().get('company.department').clear_cache()
            with count_queries() as queries:
                Rule.search([('warnings', '!=', None)])
            counts.append(len(queries))
        self.assertEqual(*counts)
