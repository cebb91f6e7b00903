# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from trytond.model.exceptions import AccessError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.sale_order_review.exceptions import (
    AmendmentReviewError, ConditionError, ReleaseError, ReviewError,
    ReviewRequiredError, SignoffError)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import (
    approve, as_user, count_queries, create_departments, create_rule,
    create_sale, department, employee, get, get_company, get_notifications,
    get_signoff, on, sign, submit, with_company)
from .test_change import (
    SUBJECTS, add_line, change_line, create_amendment, create_order,
    submit_amendment, validate)


def allow(name="Olga"):
    "Let the user release"
    pool = Pool()
    User = pool.get('res.user')
    User.write([get('res.user', name)], {
            'groups': [('add', [
                        get('res.group',
                            "Order Review Emergency Release").id])],
            })


def release(*records, user="Olga", reason="Fire at the customer", hours=1):
    "Release the records as the user"
    pool = Pool()
    Release = pool.get('sale.review.release')
    Model = type(records[0])
    with as_user(user):
        releases = Release.release(
            Model.browse(records), reason,
            dt.datetime.now() + dt.timedelta(hours=hours))
    return Release.browse(releases)


def confirm(*sales):
    Sale = Pool().get('sale.sale')
    with as_user("Sven"):
        Sale.confirm(Sale.browse(sales))


def change(sale, **values):
    "Change the only line of the sale by other means than Tryton"
    Line = Pool().get('sale.line')
    line, = Line.search([('sale', '=', sale.id)])
    table = Line.__table__()
    Transaction().connection.cursor().execute(*table.update(
            [getattr(table, n) for n in values], list(values.values()),
            where=table.id == line.id))
    Transaction().counter += 1


class ReleaseTestCase(TestCase):
    "Test the emergency release"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['sale_order_review', 'sale_amendment'],
            create_company, create_chart, create_departments)
        cls.addClassCleanup(drop_db)

    def create_sale(self, **values):
        Sale = Pool().get('sale.sale')
        with as_user("Sven"):
            sale = create_sale(**values)
        return Sale(sale.id)

    def assertReleased(self, sale, state, review_state):
        Sale = Pool().get('sale.sale')
        sale = Sale(sale.id)
        self.assertEqual(
            (sale.releases[0].state, sale.review_state),
            (state, review_state))
        return sale

    @with_company
    def test_release(self):
        "Test a release lets the order be confirmed once as it is"
        pool = Pool()
        Release = pool.get('sale.review.release')
        create_rule()
        allow()
        sale = self.create_sale()
        with self.assertRaisesRegex(ReviewRequiredError, "Production"):
            confirm(sale)
        release_, = release(sale)
        self.assertEqual(release_.released_by, employee("Olga"))
        self.assertIn("Production", release_.missing)
        self.assertEqual(release_.state, 'unused')
        self.assertTrue(sale.released)
        self.assertReleased(sale, 'unused', 'required')
        confirm(sale)
        sale = self.assertReleased(sale, 'used', 'released')
        self.assertEqual(sale.state, 'confirmed')
        self.assertFalse(sale.released)
        self.assertTrue(sale.catch_up)
        release_ = Release(release_.id)
        self.assertTrue(release_.used_at)
        self.assertEqual(
            release_.deadline,
            get_company().add_working_days(dt.date.today(), 3))
        self.assertEqual(release_.review, None)

    @with_company
    def test_group(self):
        "Test only the group releases, as employee of the company"
        create_rule()
        sale = self.create_sale()
        for user in ["Sven", "Paul", "Olga"]:
            with self.subTest(user=user):
                with self.assertRaisesRegex(AccessError, "group"):
                    release(sale, user=user)
        allow()
        User = Pool().get('res.user')
        User.write([get('res.user', "Olga")], {'employee': None})
        with self.assertRaisesRegex(ReleaseError, "must be an employee"):
            release(sale)

    @with_company
    def test_problems(self):
        "Test what prevents a release is told at once"
        Sale = Pool().get('sale.sale')
        create_rule(maximum_amount=5000)
        allow()
        sale = self.create_sale()
        draft = self.create_sale(quote=False)
        dear = self.create_sale(
            lines=[(get('product.product', "Touch Screen"), 1, 6000)])
        with self.assertRaises(ReleaseError) as cm:
            release(sale, draft, dear, reason=" ", hours=-1)
        self.assertEqual(len(cm.exception.message.splitlines()), 4)
        for text in ["Quote it first", "misses nothing", "the reason",
                "in the future"]:
            self.assertIn(text, cm.exception.message)
        self.assertEqual(Sale(sale.id).releases, ())
        release(sale)
        with self.assertRaisesRegex(ReleaseError, "Olga.*released it already"):
            release(sale)
        # An order that does not need it has not lost its release
        confirm(dear)
        self.assertEqual(Sale(dear.id).review_state, 'none')

    @with_company
    def test_segregated(self):
        "Test who requested a segregated review does not release it"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        rule = create_rule(segregated=True)
        allow("Sven")
        allow("Sigrid")
        allow("Olga")
        sale = self.create_sale()
        with self.assertRaisesRegex(ReleaseError, "Sven.*segregated"):
            release(sale, user="Sven")
        with as_user("Olga"):
            submit(sale)
        with self.assertRaisesRegex(ReleaseError, "Olga.*segregated"):
            release(sale, user="Olga")
        # Its sign-off was when it was submitted
        Rule.write([rule], {'segregated': False})
        with self.assertRaisesRegex(ReleaseError, "Olga.*segregated"):
            release(sale, user="Olga")
        release(sale, user="Sigrid")

    @with_company
    def test_not_segregated(self):
        "Test who requested a review can release it if it is not segregated"
        create_rule()
        allow("Sven")
        sale = self.create_sale()
        release(sale, user="Sven")
        confirm(sale)
        self.assertReleased(sale, 'used', 'released')

    @with_company
    def test_expired(self):
        "Test a release that expired lets nothing pass"
        pool = Pool()
        Release = pool.get('sale.review.release')
        company = get_company()
        company.timezone = 'Asia/Shanghai'
        company.save()
        create_rule()
        allow()
        sale = self.create_sale()
        release_, = release(sale)
        time = release_.valid_until + dt.timedelta(hours=8)
        now = release_.valid_until + dt.timedelta(seconds=1)
        with patch(
                'trytond.modules.sale_order_review.release.dt') as module:
            module.datetime.now.return_value = now
            with self.assertRaisesRegex(
                    ReviewRequiredError,
                    f"Fire at the customer.*expired at .*{time:%H:%M:%S}"):
                confirm(sale)
            self.assertTrue(Release(release_.id).expired)
            self.assertFalse(sale.released)
            for operator, value, result in [
                    ('=', True, [release_]), ('=', False, []),
                    ('!=', True, []), ('!=', False, [release_])]:
                self.assertEqual(
                    Release.search([('expired', operator, value)]), result)
        self.assertEqual(Release.search([('expired', '=', True)]), [])
        self.assertReleased(sale, 'unused', 'required')

    @with_company
    def test_used(self):
        "Test a release is used once"
        Sale = Pool().get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            Sale.quote([Sale(sale.id)])
        self.assertReleased(sale, 'used', 'required')
        with self.assertRaisesRegex(
                ReviewRequiredError, "Fire at the customer.*was used"):
            confirm(sale)
        release(sale)
        confirm(sale)
        sale = self.assertReleased(sale, 'used', 'released')
        self.assertEqual([r.state for r in sale.releases], ['used', 'used'])
        with as_user("Sven"):
            review, = submit(sale)
        approve(get_signoff(review, "Production"), "Paul")
        self.assertEqual(
            [r.state for r in Sale(sale.id).releases],
            ['caught_up', 'caught_up'])

    @with_company
    def test_changed(self):
        "Test only what was released is confirmed"
        Sale = Pool().get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            line, = Sale(sale.id).lines
            line.quantity = 2
            line.save()
            Sale.quote([Sale(sale.id)])
        with self.assertRaisesRegex(
                ReviewRequiredError, "something else was released.*Quantity"):
            confirm(sale)
        # What it is now can be released, but not confirmed
        self.assertFalse(Sale(sale.id).released)
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            line, = Sale(sale.id).lines
            line.quantity = 1
            line.save()
            Sale.quote([Sale(sale.id)])
        confirm(sale)
        self.assertReleased(sale, 'used', 'released')

    @with_company
    def test_other_means(self):
        "Test what is not what was released is held"
        Sale = Pool().get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        change(sale, quantity=3)
        with as_user("Sven"), Transaction().set_context(_check_access=True), \
                self.assertRaisesRegex(
                    ReviewRequiredError, "not what release.*Quantity"):
            Sale.process([Sale(sale.id)])
        change(sale, quantity=1)
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
        sale = self.assertReleased(sale, 'used', 'released')
        self.assertEqual(sale.state, 'processing')

    @with_company
    def test_frozen(self):
        "Test what is released cannot be modified"
        Sale = Pool().get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        for values in [
                {'comment': "More"},
                {'shipping_date': dt.date.today()},
                {'review_state': 'approved'},
                ]:
            with self.subTest(values=values):
                with as_user("Sven"), \
                        Transaction().set_context(_check_access=True), \
                        self.assertRaises(AccessError):
                    Sale.write([Sale(sale.id)], values)

    @with_company
    def test_batch(self):
        "Test the released orders wait for the others of the batch"
        pool = Pool()
        Release = pool.get('sale.review.release')
        create_rule()
        allow()
        sales = [self.create_sale() for _ in range(3)]
        release(*sales[:2])
        with self.assertRaises(ReviewRequiredError) as cm:
            confirm(*sales)
        self.assertEqual(len(cm.exception.message.splitlines()), 1)
        self.assertIn(sales[2].number, cm.exception.message)
        self.assertEqual(
            Release.search([('state', '!=', 'unused')]), [])
        confirm(*sales[:2])
        for sale in sales[:2]:
            self.assertReleased(sale, 'used', 'released')

    @with_company
    def test_queries(self):
        "Test the number of queries does not grow with the orders"
        Sale = Pool().get('sale.sale')
        create_rule()
        allow()
        counts = []
        for number in [1, 2, 6]:
            sales = [self.create_sale() for _ in range(number)]
            release(*sales)
            with as_user("Sven"), count_queries() as queries:
                Sale.check_review(Sale.browse(sales))
            counts.append(len(queries))
        # The first fills the caches
        self.assertEqual(*counts[1:])

    @with_company
    def test_open(self):
        "Test the review that is open catches up with the release"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule("Production")
        create_rule("Finance")
        allow()
        sale = self.create_sale()
        with as_user("Sven"):
            review, = submit(sale)
        approve(get_signoff(review, "Finance"), "Frida")
        get_notifications()
        release_, = release(sale)
        # Only those that are bypassed
        self.assertEqual(set(get_notifications()) - {'admin'}, {'paul'})
        self.assertIn("Production", release_.missing)
        self.assertNotIn("Finance", release_.missing)
        self.assertReleased(sale, 'unused', 'open')
        confirm(sale)
        sale = self.assertReleased(sale, 'used', 'released')
        self.assertEqual(sale.releases[0].review, review)
        self.assertFalse(sale.catch_up)
        with as_user("Sven"), self.assertRaisesRegex(
                ReviewError, "already under review"):
            submit(sale)
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
        approve(get_signoff(review, "Production"), "Paul")
        self.assertEqual(Review(review.id).state, 'approved')
        sale = self.assertReleased(sale, 'caught_up', 'approved')
        self.assertTrue(sale.releases[0].caught_up_at)

    @with_company
    def test_catch_up(self):
        "Test a review of the confirmed order catches up with the release"
        pool = Pool()
        Release = pool.get('sale.review.release')
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
            review, = submit(Sale(sale.id))
        sale = self.assertReleased(sale, 'used', 'released')
        self.assertEqual(sale.releases[0].review, review)
        self.assertFalse(sale.catch_up)
        get_notifications()
        sign(
            get_signoff(review, "Production"), 'return_', "Paul",
            opinion="Cannot be made.")
        self.assertIn(
            "correct", get_notifications()['sven'][0].label)
        sale = self.assertReleased(sale, 'used', 'released')
        self.assertEqual(sale.state, 'processing')
        self.assertTrue(sale.catch_up)
        with as_user("Sven"):
            second, = submit(Sale(sale.id))
        self.assertEqual(second.round, 2)
        with as_user("Sven"):
            Review.withdraw([Review(second.id)])
        sale = self.assertReleased(sale, 'used', 'released')
        self.assertTrue(sale.catch_up)
        with as_user("Sven"):
            third, = submit(Sale(sale.id))
        approve(get_signoff(third, "Production"), "Paul")
        sale = self.assertReleased(sale, 'caught_up', 'approved')
        self.assertEqual(Release(sale.releases[0].id).review, third)
        with as_user("Sven"), self.assertRaises(ReviewError):
            submit(Sale(sale.id))

    @with_company
    def test_amended(self):
        "Test an order that is amended is reviewed as it is then"
        pool = Pool()
        Sale = pool.get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        with as_user("Sven"):
            review, = submit(sale)
        release(sale)
        confirm(sale)
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
        validate(create_amendment(sale, add_line(2)))
        with self.assertRaises(SignoffError):
            approve(get_signoff(review, "Production"), "Paul")
        sign(
            get_signoff(review, "Production"), 'return_', "Paul",
            opinion="Too many.")
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        approve(get_signoff(review, "Production"), "Paul")
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_amended_back(self):
        "Test who was bypassed reviews also what is amended back"
        pool = Pool()
        Sale = pool.get('sale.sale')
        Release = pool.get('sale.review.release')
        create_rule("Finance", minimum_amount=Decimal(2000))
        allow()
        product = get('product.product', "Touch Screen")
        sale = self.create_sale(lines=[(product, 3, 1000)])
        release_, = release(sale)
        self.assertEqual(release_.untaxed_amount, Decimal(3000))
        confirm(sale)
        self.assertIn("2,000.00", Release(release_.id).reasons)
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
        line, = sale.lines
        validate(create_amendment(sale, change_line(line, quantity=1)))
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        self.assertReleased(sale, 'used', 'released')
        signoff = get_signoff(review, "Finance")
        self.assertIn("3,000.00", signoff.reason)
        approve(signoff, "Frida")
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_below_rule(self):
        "Test an order that is reset and changed is still to be caught up with"
        pool = Pool()
        Line = pool.get('sale.line')
        Sale = pool.get('sale.sale')
        create_rule("Finance", minimum_amount=Decimal(1000))
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            self.assertFalse(Sale(sale.id).catch_up)
            Line.write(
                list(Sale(sale.id).lines), {'unit_price': Decimal(999)})
            Sale.quote([Sale(sale.id)])
        self.assertReleased(sale, 'used', 'required')
        self.assertTrue(Sale(sale.id).catch_up)
        with self.assertRaisesRegex(
                ReviewRequiredError, "reviewed by Finance"):
            confirm(sale)
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        approve(get_signoff(review, "Finance"), "Frida")
        confirm(sale)
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_rule_unknown(self):
        "Test what does not know its rules can be caught up with"
        pool = Pool()
        Release = pool.get('sale.review.release')
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        rule = create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        table = Release.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.reasons], [None]))
        Transaction().cache.clear()
        Rule.write([rule], {'active': False})
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            Sale.quote([Sale(sale.id)])
        confirm(sale)
        self.assertReleased(sale, 'used', 'none')
        self.assertTrue(Sale(sale.id).catch_up)
        with as_user("Sven"):
            submit(Sale(sale.id))
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_no_rule(self):
        "Test what was bypassed is reviewed also if its rule is gone"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        rule = create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        Rule.write([rule], {'active': False})
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        self.assertReleased(sale, 'used', 'released')
        approve(get_signoff(review, "Production"), "Paul")
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_approved(self):
        "Test an order that is approved does not use its release"
        pool = Pool()
        Review = pool.get('sale.review')
        create_rule()
        allow()
        sale = self.create_sale()
        with as_user("Sven"):
            review, = submit(sale)
        release(sale)
        approve(get_signoff(Review(review.id), "Production"), "Paul")
        confirm(sale)
        self.assertReleased(sale, 'unused', 'approved')

    @with_company
    def test_returned(self):
        "Test a release outlives a return and the withdrawal"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        with as_user("Sven"):
            review, = submit(sale)
        release(sale)
        sign(
            get_signoff(review, "Production"), 'return_', "Paul",
            opinion="Too late.")
        self.assertReleased(sale, 'unused', 'returned')
        with as_user("Sven"):
            Sale.quote([Sale(sale.id)])
            review, = submit(Sale(sale.id))
            Review.withdraw([review])
        confirm(sale)
        self.assertReleased(sale, 'used', 'released')

    @with_company
    def test_draft(self):
        "Test an order that is reset keeps what is to be caught up with"
        pool = Pool()
        Sale = pool.get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
            Sale.draft([Sale(sale.id)])
        sale = self.assertReleased(sale, 'used', 'none')
        self.assertEqual(sale.review.state, 'withdrawn')
        with as_user("Sven"):
            Sale.quote([sale])
            review, = submit(Sale(sale.id))
        approve(get_signoff(review, "Production"), "Paul")
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_cancel(self):
        "Test the releases of what is cancelled are cancelled"
        Sale = Pool().get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        with as_user("Sven"):
            Sale.cancel([Sale(sale.id)])
            Sale.draft([Sale(sale.id)])
            Sale.quote([Sale(sale.id)])
        with self.assertRaises(ReviewRequiredError) as cm:
            confirm(sale)
        self.assertNotIn("release", cm.exception.message.lower())

    @with_company
    def test_copy_delete(self):
        "Test a copy has no release and what was released is not deleted"
        Sale = Pool().get('sale.sale')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        copy, = Sale.copy([sale])
        self.assertEqual(copy.releases, ())
        with as_user("Sven"):
            Sale.cancel([Sale(sale.id)])
        with self.assertRaisesRegex(AccessError, "released"):
            Sale.delete([Sale(sale.id)])

    @with_company
    def test_intake(self):
        "Test a release passes an order that is not complete"
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Sale = pool.get('sale.sale')
        create_rule()
        allow()
        configuration = Configuration(1)
        configuration.intake_points = ['channel']
        configuration.save()
        sale = self.create_sale()
        with as_user("Sven"), self.assertRaisesRegex(ReviewError, "channel"):
            submit(sale)
        release(sale)
        confirm(sale)
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        approve(get_signoff(review, "Production"), "Paul")
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_failed_rule(self):
        "Test a release passes an order whose rule cannot be evaluated"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        rule = create_rule()
        allow()
        sale = self.create_sale()
        table = Rule.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.condition], ['{'], where=table.id == rule.id))
        Rule._rules_cache.clear()
        with self.assertRaisesRegex(ReviewRequiredError, "is held"):
            confirm(sale)
        # It could be segregated
        allow("Sven")
        with self.assertRaisesRegex(ReleaseError, "Sven.*segregated"):
            release(sale, user="Sven")
        release_, = release(sale)
        self.assertIn("is held", release_.missing)
        confirm(sale)
        self.assertReleased(sale, 'used', 'released')
        # It is not known that it does not apply
        Rule.write([rule], {'condition': 'false', 'active': False})
        with as_user("Sven"):
            review, = submit(sale.__class__(sale.id))
        approve(get_signoff(review, "Production"), "Paul")
        self.assertReleased(sale, 'caught_up', 'approved')

    @with_company
    def test_condition(self):
        "Test a release does not lift the conditions of a decision"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Sale = pool.get('sale.sale')
        create_rule("Production")
        create_rule("Finance")
        allow()
        sale = self.create_sale()
        with as_user("Sven"):
            review, = submit(sale)
        signoff = get_signoff(review, "Production")
        with as_user("Paul"), Transaction().set_context(_check_access=True):
            Condition.create([{
                        'signoff': signoff.id,
                        'name': "Drawing agreed",
                        'department': department("Sales").id,
                        'due_date': dt.date.today(),
                        'gate': 'process',
                        }])
        sign(signoff, 'approve_with_conditions', "Paul")
        release(sale)
        confirm(sale)
        with as_user("Sven"), Transaction().set_context(_check_access=True), \
                self.assertRaisesRegex(ReviewError, "Drawing agreed"):
            Sale.process([Sale(sale.id)])
        self.assertTrue(issubclass(ConditionError, ReviewError))

    @with_company
    def test_remind(self):
        "Test what is not caught up with is reminded of once"
        pool = Pool()
        Release = pool.get('sale.review.release')
        Signoff = pool.get('sale.review.signoff')
        create_rule()
        allow()
        sale = self.create_sale()
        release(sale)
        confirm(sale)
        release_ = Release(sale.releases[0].id)
        with on(release_.deadline):
            get_notifications()
            Signoff.remind()
            self.assertEqual(get_notifications(), {})
        with on(release_.deadline + dt.timedelta(days=1)):
            Signoff.remind()
            notifications = get_notifications()
            self.assertLessEqual({'olga', 'sven'}, set(notifications))
            self.assertIn(
                "still without review", notifications['olga'][0].label)
            Signoff.remind()
            self.assertEqual(get_notifications(), {})
        self.assertEqual(
            Release(release_.id).reminded_on,
            release_.deadline + dt.timedelta(days=1))

    @with_company
    def test_configuration(self):
        "Test the time to catch up is that of the company"
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        create_rule()
        allow()
        for days in [0, 5, None]:
            configuration = Configuration(1)
            configuration.review_catch_up = days
            configuration.save()
            sale = self.create_sale()
            release(sale)
            confirm(sale)
            with self.subTest(days=days):
                self.assertEqual(
                    sale.releases[0].deadline,
                    get_company().add_working_days(
                        dt.date.today(), days or 0))

    @with_company
    def test_attachment(self):
        "Test what supports a release is evidence"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        create_rule()
        allow()
        release_, = release(self.create_sale())
        attachment, = Attachment.create([{
                    'name': "Letter", 'resource': str(release_),
                    'data': b'1'}])
        for method, args in [
                ('write', [{'data': b'2'}]), ('delete', [])]:
            with self.subTest(method=method):
                with self.assertRaises(AccessError):
                    getattr(Attachment, method)([attachment], *args)

    # Amendments

    def create_amendment(self, quantity=2):
        create_rule("Production", subjects=SUBJECTS)
        allow()
        return create_amendment(create_order(), add_line(quantity))

    def assertAmended(self, amendment, state, review_state):
        Amendment = Pool().get('sale.amendment')
        amendment = Amendment(amendment.id)
        self.assertEqual(
            (amendment.releases[0].state, amendment.review_state),
            (state, review_state))
        return amendment

    @with_company
    def test_amendment(self):
        "Test a release lets an amendment be validated and is caught up with"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        Sale = pool.get('sale.sale')
        amendment = self.create_amendment()
        with self.assertRaises(AmendmentReviewError):
            validate(amendment)
        Rule = pool.get('sale.review.rule')
        release_, = release(amendment)
        self.assertIn("Production", release_.missing)
        self.assertTrue(release_.before)
        validate(amendment)
        amendment = self.assertAmended(amendment, 'used', 'released')
        self.assertEqual(amendment.state, 'validated')
        self.assertEqual(len(amendment.sale.lines), 2)
        self.assertEqual(amendment.sale.review_state, 'approved')
        self.assertEqual(Sale(amendment.sale.id).releases, (release_,))
        self.assertTrue(amendment.catch_up)
        review = submit_amendment(amendment)
        self.assertEqual(review.digest, release_.digest)
        self.assertEqual(review.before, release_.before)
        sign(
            get_signoff(review, "Production"), 'return_', "Paul",
            opinion="Too many.")
        amendment = self.assertAmended(amendment, 'used', 'released')
        self.assertEqual(amendment.state, 'validated')
        # The next amendment does not prevent to catch up, nor a rule that is
        # gone
        Rule.write(Rule.search([]), {'minimum_amount': Decimal(9000)})
        other = create_amendment(amendment.sale, add_line(9))
        release(other)
        validate(other)
        review = submit_amendment(Amendment(amendment.id))
        self.assertEqual(review.digest, release_.digest)
        approve(get_signoff(review, "Production"), "Paul")
        self.assertAmended(amendment, 'caught_up', 'approved')
        self.assertAmended(other, 'used', 'released')

    @with_company
    def test_amendment_open(self):
        "Test the open review of an amendment catches up with its release"
        amendment = self.create_amendment()
        review = submit_amendment(amendment)
        with self.assertRaisesRegex(AmendmentReviewError, "under review"):
            validate(amendment)
        release(amendment)
        validate(amendment)
        self.assertAmended(amendment, 'used', 'released')
        self.assertFalse(amendment.catch_up)
        approve(get_signoff(review, "Production"), "Paul")
        self.assertAmended(amendment, 'caught_up', 'approved')

    @with_company
    def test_amendment_changed(self):
        "Test an amendment that changed since its release is not validated"
        pool = Pool()
        Line = pool.get('sale.amendment.line')
        amendment = self.create_amendment()
        release(amendment)
        line, = amendment.lines
        Line.write([line], {'quantity': 3})
        with self.assertRaisesRegex(
                AmendmentReviewError, "something else was released"):
            validate(amendment)
        self.assertAmended(amendment, 'unused', 'none')

    @with_company
    def test_amendment_problems(self):
        "Test a release does not pass an amendment that is not complete"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        amendment = self.create_amendment()
        Amendment.write([amendment], {'reason': None})
        with self.assertRaisesRegex(ReleaseError, "enter: Reason"):
            release(amendment)
        Amendment.write([amendment], {'reason': "Call"})
        release(amendment)
        Amendment.write([amendment], {'reason': None})
        with self.assertRaisesRegex(AmendmentReviewError, "enter: Reason"):
            validate(amendment)

    @with_company
    def test_amendment_rule_gone(self):
        "Test what was reviewed stays evidence when no rule is left"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        Rule = pool.get('sale.review.rule')
        order = create_order()
        rule = create_rule("Production", subjects=['sale.amendment'])
        allow()
        approved, released = [
            create_amendment(order, add_line(n)) for n in [1, 2]]
        approve(
            get_signoff(submit_amendment(approved), "Production"), "Paul")
        validate(approved)
        release(released)
        validate(released)
        Rule.write([rule], {'active': False})
        for amendment in Amendment.browse([approved, released]):
            line, = amendment.lines
            for record, values in [
                    (amendment, {'state': 'draft'}),
                    (amendment, {'reason': "Other"}),
                    (line, {'quantity': 9}),
                    ]:
                with self.subTest(
                        state=amendment.review_state, values=values):
                    with as_user("Sven"), \
                            Transaction().set_context(_check_access=True), \
                            self.assertRaises(AccessError):
                        type(record).write([record], values)

    @with_company
    def test_amendment_none(self):
        "Test an amendment that needs no review is not released"
        create_rule("Production", minimum_amount=Decimal(9000),
            subjects=SUBJECTS)
        allow()
        amendment = create_amendment(create_order(), add_line(1))
        with self.assertRaisesRegex(ReleaseError, "misses nothing"):
            release(amendment)
        validate(amendment)
        with self.assertRaisesRegex(ReleaseError, "already validated"):
            release(amendment)
