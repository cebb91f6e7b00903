# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import AccessError, ValidationError
from trytond.model.modelview import AccessButtonError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.savepoint import savepoint
from trytond.modules.sale_order_review.exceptions import (
    AmendmentReviewError, ConditionError, ConditionValidationError,
    ReleaseError, ReviewError, ReviewRequiredError)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules

from .review import (
    approve, as_user, create_departments, create_rule, create_sale, department,
    employee, get_notifications, get_signoff, sign, submit, with_company)
from .test_change import create_amendment, process_order
from .test_condition import client
from .test_release import allow, release

TODAY = dt.date.today()
SUBJECTS = ['sale.sale', 'sale.amendment']


def create_term(name):
    PaymentTerm = Pool().get('account.invoice.payment_term')
    term, = PaymentTerm.create([{
                'name': name,
                'lines': [('create', [{'type': 'remainder'}])],
                }])
    return term


class PaymentTestCase(TestCase):
    "Test what departments impose on how orders are paid"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['sale_order_review', 'sale_amendment'],
            create_company, create_chart, create_departments)
        cls.addClassCleanup(drop_db)

    def submit(self, record):
        pool = Pool()
        Review = pool.get('sale.review')
        with as_user("Sven"):
            review, = submit(pool.get(record.__name__)(record.id))
        return Review(review.id)

    def add(self, review, user="Frida", department_name="Finance", **values):
        Condition = Pool().get('sale.review.condition')
        signoff = get_signoff(review, department_name)
        with client(user):
            condition, = Condition.create([{
                        'signoff': signoff.id,
                        'name': "Payment",
                        'department': department(department_name).id,
                        'due_date': TODAY,
                        **values,
                        }])
        return Condition(condition.id)

    def impose(self, review, **values):
        condition = self.add(review, **values)
        sign(
            get_signoff(review, "Finance"), 'approve_with_conditions',
            "Frida")
        return condition

    def confirm(self, sale):
        Sale = Pool().get('sale.sale')
        with as_user("Sven"):
            Sale.confirm([Sale(sale.id)])
        return Sale(sale.id)

    def requote(self, sale, **values):
        Sale = Pool().get('sale.sale')
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            Sale.write([Sale(sale.id)], values)
            Sale.quote([Sale(sale.id)])
        return self.submit(sale)

    def states(self, review):
        return {s.department.name: s.state for s in review.signoffs}

    @with_company
    def test_payment_term(self):
        "Test an order is confirmed only with the imposed payment term"
        Condition = Pool().get('sale.review.condition')
        create_rule("Production", aspects=['products'])
        create_rule("Sales", aspects=['payment'])
        create_rule("Finance", imposes_payment=True)
        late, soon = create_term("60 days"), create_term("30 days")
        sale = create_sale(payment_term=late)
        review = self.submit(sale)
        for name, user in [("Production", "Paul"), ("Sales", "Sigrid")]:
            approve(get_signoff(review, name), user)
        get_notifications()
        condition = self.impose(review, payment_term=soon, gate='confirm')
        self.assertIn('sven', get_notifications())
        self.assertEqual(review.state, 'approved')
        with self.assertRaisesRegex(
                ReviewRequiredError, 'payment term "30 days".*"Finance"'):
            self.confirm(sale)
        with self.assertRaisesRegex(
                ReviewError, '"30 days".*Reset it to draft'):
            self.submit(sale)
        allow()
        with self.assertRaisesRegex(ReleaseError, 'does not lift.*"30 days"'):
            release(sale)

        # What stays as it was, or becomes what was imposed, is signed
        review = self.requote(sale, payment_term=soon)
        self.assertEqual(self.states(review), {
                'Production': 'carried',
                'Sales': 'pending',
                'Finance': 'carried'})
        approve(get_signoff(review, "Sales"), "Sigrid")
        self.assertEqual(Condition(condition.id).state, 'open')
        self.assertEqual(self.confirm(sale).state, 'confirmed')
        condition = Condition(condition.id)
        self.assertEqual(condition.state, 'done')
        self.assertEqual(condition.closed_by, employee("Sven"))

    @with_company
    def test_carried(self):
        "Test what was imposed remains when the sign-off is carried over"
        Condition = Pool().get('sale.review.condition')
        create_rule("Finance", aspects=['payment'], imposes_payment=True)
        create_rule("Production", aspects=['dates'])
        late, soon, other = map(
            create_term, ["60 days", "30 days", "90 days"])
        sale = create_sale(payment_term=late)
        review = self.submit(sale)
        condition = self.impose(review, payment_term=soon, gate='confirm')
        approve(get_signoff(review, "Production"), "Paul")
        review = self.requote(
            sale, shipping_date=TODAY + dt.timedelta(days=9))
        self.assertEqual(
            self.states(review),
            {'Production': 'pending', 'Finance': 'carried'})
        approve(get_signoff(review, "Production"), "Paul")
        with self.assertRaisesRegex(ReviewRequiredError, "30 days"):
            self.confirm(sale)

        # Another one must be signed, which is free to impose
        review = self.requote(sale, payment_term=other)
        self.assertEqual(
            self.states(review),
            {'Production': 'carried', 'Finance': 'pending'})
        self.assertEqual(Condition(condition.id).state, 'open')
        approve(get_signoff(review, "Finance"), "Frida")
        self.assertEqual(Condition(condition.id).state, 'cancelled')
        self.assertEqual(self.confirm(sale).state, 'confirmed')

    @with_company
    def test_not_signed_again(self):
        "Test what was imposed remains when the department does not sign"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Line = pool.get('sale.line')
        Sale = pool.get('sale.sale')
        create_rule("Production")
        create_rule(
            "Finance", imposes_payment=True, minimum_amount=Decimal(1000))
        sale = create_sale(payment_term=create_term("60 days"))
        review = self.submit(sale)
        approve(get_signoff(review, "Production"), "Paul")
        condition = self.impose(
            review, payment_term=create_term("30 days"), gate='confirm')
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            Line.write(
                list(Sale(sale.id).lines), {'unit_price': Decimal(999)})
            Sale.quote([Sale(sale.id)])
        review = self.submit(sale)
        self.assertEqual(self.states(review), {'Production': 'pending'})
        approve(get_signoff(review, "Production"), "Paul")
        self.assertEqual(Condition(condition.id).state, 'open')
        with self.assertRaisesRegex(ReviewRequiredError, "30 days"):
            self.confirm(sale)
        with client("Frida"):
            Condition.write([condition], {'note': "Small enough."})
            Condition.waive([condition])
        self.assertEqual(self.confirm(sale).state, 'confirmed')

    @with_company
    def test_other_rule(self):
        "Test another rule of the department signs for one that is gone only"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Rule = pool.get('sale.review.rule')
        imposing = create_rule(
            "Finance", imposes_payment=True, aspects=['payment'])
        sale = create_sale(payment_term=create_term("60 days"))
        condition = self.impose(
            self.submit(sale), payment_term=create_term("30 days"),
            gate='confirm')
        create_rule("Finance")
        for active, state in [(True, 'open'), (False, 'cancelled')]:
            with self.subTest(active=active):
                Rule.write([imposing], {'active': active})
                review = self.requote(sale, comment=str(active))
                signoff, = [s for s in review.signoffs if s.rule != imposing]
                self.assertEqual(Condition(condition.id).state, 'open')
                approve(signoff, "Frida")
                self.assertEqual(Condition(condition.id).state, state)

    @with_company
    def test_waive(self):
        "Test who imposed a payment term can waive it"
        Condition = Pool().get('sale.review.condition')
        create_rule("Finance", imposes_payment=True)
        sale = create_sale()
        condition = self.impose(
            self.submit(sale), payment_term=create_term("30 days"),
            gate='confirm')
        with client("Frida"):
            Condition.write([condition], {'note': "The parent guarantees."})
            with self.assertRaises(AccessButtonError):
                Condition.do([condition])
        with as_user("Frida"):
            with self.assertRaisesRegex(ConditionError, "Waive"):
                Condition.do([Condition(condition.id)])
        with as_user("Sigrid"), self.assertRaises(ConditionError):
            Condition.waive([Condition(condition.id)])
        with client("Frida"):
            Condition.waive([Condition(condition.id)])
        self.assertEqual(self.confirm(sale).state, 'confirmed')

    @with_company
    def test_advance(self):
        "Test an order waits for what is to be paid ahead"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Sale = pool.get('sale.sale')
        create_rule("Finance", imposes_payment=True)
        sale = create_sale()
        condition = self.impose(
            self.submit(sale), advance=Decimal('300'), gate='process')
        self.confirm(sale)
        Sale.process([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'confirmed')
        with as_user("Sigrid"), self.assertRaises(ConditionError):
            Condition.do([Condition(condition.id)])
        with client("Fred"):
            with self.assertRaisesRegex(ConditionError, "received"):
                Condition.do([Condition(condition.id)])
            Condition.write([condition], {'note': "Bank statement 12"})
            Condition.do([Condition(condition.id)])
        Sale.process([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'processing')

    @with_company
    def test_confirm(self):
        "Test the confirmation also waits for other conditions"
        Condition = Pool().get('sale.review.condition')
        create_rule("Finance")
        sale = create_sale()
        condition = self.impose(self.submit(sale), gate='confirm')
        with self.assertRaisesRegex(ReviewRequiredError, '"Payment"'):
            self.confirm(sale)
        with client("Fred"):
            Condition.do([condition])
        self.assertEqual(self.confirm(sale).state, 'confirmed')

    @with_company
    def test_allowed(self):
        "Test only who may imposes, and nothing but what can be held"
        Condition = Pool().get('sale.review.condition')
        create_rule("Finance", imposes_payment=True)
        create_rule("Production")
        term = create_term("30 days")
        review = self.submit(create_sale())
        for values in [
                {'payment_term': term, 'gate': 'confirm'},
                {'advance': Decimal(1), 'gate': 'process'},
                ]:
            with self.subTest(values=values):
                with self.assertRaises(ConditionValidationError), savepoint():
                    self.add(review, "Paul", "Production", **values)
                with self.assertRaises(AccessError), savepoint():
                    self.add(review, "Sigrid", **values)
        for values in [
                {'payment_term': term, 'gate': 'process'},
                {'payment_term': term},
                {'payment_term': term, 'gate': 'confirm',
                    'advance': Decimal(1)},
                {'payment_term': term, 'gate': 'confirm',
                    'department': department("Sales")},
                {'advance': Decimal(0), 'gate': 'process'},
                {'advance': Decimal(1)},
                {'advance': Decimal(1), 'gate': 'invoice'},
                ]:
            with self.subTest(values=values):
                with self.assertRaises(ValidationError), savepoint():
                    self.add(review, **values)
        condition = self.impose(review, payment_term=term, gate='confirm')
        for user in ["Frida", "Sven"]:
            for values in [
                    {'payment_term': None}, {'gate': None},
                    {'state': 'done'}]:
                with self.subTest(user=user, values=values):
                    with client(user), self.assertRaises(AccessError):
                        Condition.write([condition], values)

    @with_company
    def test_on_change(self):
        "Test what a condition is proposed to be when it imposes"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        create_rule("Finance", imposes_payment=True)
        signoff = get_signoff(self.submit(create_sale()), "Finance")
        condition = Condition(signoff=signoff)
        condition.payment_term = create_term("30 days")
        condition.on_change_payment_term()
        self.assertEqual(
            (condition.name, condition.gate, condition.department.name),
            ('Payment term "30 days"', 'confirm', "Finance"))
        condition = Condition(signoff=signoff)
        condition.currency = condition.on_change_with_currency()
        condition.advance = Decimal('300')
        condition.on_change_advance()
        self.assertEqual(
            (condition.name, condition.gate, condition.department.name),
            ('$300.00 paid ahead', 'process', "Finance"))

    @with_company
    def test_amendment(self):
        "Test an amendment is validated only with the imposed payment term"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        AmendmentLine = pool.get('sale.amendment.line')
        Condition = pool.get('sale.review.condition')
        create_rule("Finance", subjects=SUBJECTS, imposes_payment=True)
        late, soon = create_term("60 days"), create_term("30 days")
        sale = create_sale(payment_term=soon)
        review = self.submit(sale)
        approve(get_signoff(review, "Finance"), "Frida")
        sale = process_order(sale)
        amendment = create_amendment(
            sale, ('payment_term', {'payment_term': late.id}))
        condition = self.impose(
            self.submit(amendment), payment_term=create_term("45 days"),
            gate='confirm')

        def validate():
            with as_user("Sven"):
                Amendment.validate_amendment([Amendment(amendment.id)])

        with self.assertRaisesRegex(AmendmentReviewError, "45 days"):
            validate()
        with as_user("Sven"):
            AmendmentLine.write(
                list(Amendment(amendment.id).lines),
                {'payment_term': condition.payment_term.id})
        review = self.submit(amendment)
        self.assertEqual(self.states(review), {'Finance': 'carried'})
        validate()
        self.assertEqual(Amendment(amendment.id).state, 'validated')
        self.assertEqual(
            Amendment(amendment.id).sale.payment_term.name, "45 days")
        self.assertEqual(Condition(condition.id).state, 'done')

    @with_company
    def test_amendment_process(self):
        "Test an amendment is told what it waits for"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        create_rule("Finance", subjects=SUBJECTS)
        sale = create_sale()
        approve(get_signoff(self.submit(sale), "Finance"), "Frida")
        amendment = create_amendment(
            process_order(sale), ('payment_term', {
                    'payment_term': create_term("30 days").id}))
        self.impose(self.submit(amendment), gate='process')
        with as_user("Sven"), self.assertRaisesRegex(
                AmendmentReviewError, 'cannot be validated.*"Payment"'):
            Amendment.validate_amendment([Amendment(amendment.id)])

    @with_company
    def test_offer(self):
        "Test no offer goes out without the imposed payment term"
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Sale = pool.get('sale.sale')
        Configuration(1).set_multivalue('review_offer', True)
        create_rule("Finance", imposes_payment=True)
        late, soon = create_term("60 days"), create_term("30 days")
        sale = create_sale(payment_term=late)
        condition = self.impose(
            self.submit(sale), payment_term=soon, gate='confirm')
        self.assertEqual(Sale(sale.id).review_state, 'approved')
        with self.assertRaisesRegex(ReviewRequiredError, "30 days"):
            Sale.check_offer([Sale(sale.id)])
        with client("Frida"):
            condition.__class__.write([condition], {'note': "Guaranteed"})
            condition.__class__.waive([condition])
        Sale.check_offer([Sale(sale.id)])

    def catch_up(self, process=False, **values):
        "Return an order and the condition of the review that caught up"
        Sale = Pool().get('sale.sale')
        create_rule("Finance", imposes_payment=True)
        allow()
        sale = create_sale(payment_term=create_term("60 days"))
        release(sale)
        sale = self.confirm(sale)
        if process:
            with as_user("Sven"):
                Sale.process([Sale(sale.id)])
        condition = self.impose(self.submit(sale), gate='confirm', **values)
        self.assertEqual(Sale(sale.id).review_state, 'approved')
        return sale, condition

    @with_company
    def test_catch_up(self):
        "Test what is imposed on a confirmed order holds its processing"
        Sale = Pool().get('sale.sale')
        term = create_term("30 days")
        sale, condition = self.catch_up(payment_term=term)
        with client("Sven"), self.assertRaisesRegex(
                ReviewError, '"30 days".*Reset it to draft'):
            Sale.process([Sale(sale.id)])
        self.requote(sale, payment_term=term)
        self.confirm(sale)
        self.assertEqual(
            condition.__class__(condition.id).state, 'done')
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'processing')

    @with_company
    def test_catch_up_condition(self):
        "Test what must be done before the confirmation holds the processing"
        Sale = Pool().get('sale.sale')
        sale, condition = self.catch_up()
        with client("Sven"), self.assertRaisesRegex(
                ReviewError, 'cannot be processed.*"Payment"'):
            Sale.process([Sale(sale.id)])
        with client("Fred"):
            condition.__class__.do([condition])
            self.assertEqual(Sale(sale.id).state, 'confirmed')
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'processing')

    @with_company
    def test_catch_up_amended(self):
        "Test an amendment gives a processed order what is imposed on it"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        term, other = create_term("30 days"), create_term("45 days")
        sale, condition = self.catch_up(process=True, payment_term=term)
        for payment_term, state in [(other, 'open'), (term, 'done')]:
            with self.subTest(state=state):
                amendment = create_amendment(
                    sale, ('payment_term', {'payment_term': payment_term.id}))
                with as_user("Sven"):
                    Amendment.validate_amendment([Amendment(amendment.id)])
                self.assertEqual(
                    condition.__class__(condition.id).state, state)

    @with_company
    def test_released(self):
        "Test an emergency release does not lift what is imposed"
        create_rule("Production")
        create_rule("Finance", imposes_payment=True)
        sale = create_sale(payment_term=create_term("60 days"))
        review = self.submit(sale)
        condition = self.impose(
            review, payment_term=create_term("30 days"), gate='confirm')
        allow()
        release(sale)
        with self.assertRaisesRegex(
                ReviewRequiredError, 'payment term "30 days"'):
            self.confirm(sale)
        # Nor does the next round before it is signed
        review = self.requote(sale, comment="More")
        self.assertEqual(self.states(review)['Finance'], 'pending')
        release(sale)
        with self.assertRaisesRegex(
                ReviewRequiredError, 'payment term "30 days"'):
            self.confirm(sale)
        with client("Frida"):
            condition.__class__.write([condition], {'note': "Guaranteed"})
            condition.__class__.waive([condition])
        sale = self.confirm(sale)
        self.assertEqual(
            (sale.state, sale.review_state), ('confirmed', 'released'))
