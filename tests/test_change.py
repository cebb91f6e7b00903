# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
from contextlib import nullcontext
from decimal import Decimal
from unittest.mock import Mock, patch

from trytond.backend import DatabaseOperationalError
from trytond.model.exceptions import AccessError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.savepoint import savepoint, writing
from trytond.modules.sale_order_review.exceptions import (
    AcknowledgementError, AmendmentReviewError, ReviewError, SignoffError)
from trytond.pool import Pool
from trytond.pyson import Eval, PYSONEncoder
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import (
    approve, as_user, count_queries, create_departments, create_rule,
    create_sale, delegate, department, employee, get, get_company,
    get_notifications, get_signoff, on, sign, submit, with_company)

TODAY = dt.date.today()
LATER = TODAY + dt.timedelta(days=30)
SUBJECTS = ['sale.sale', 'sale.amendment']
AMENDMENTS = ['sale.amendment']


def create_order(**values):
    "Create a sale that is processed, approved by production if it must be"
    with as_user("Sven"):
        sale = create_sale(**values)
        if sale.review_state == 'required':
            submit(sale)
    if sale.review:
        for signoff in sale.review.signoffs:
            approve(signoff, signoff.department.head.rec_name)
    return process_order(sale)


def process_order(sale):
    "Confirm and process the sale"
    Sale = Pool().get('sale.sale')
    with as_user("Sven"):
        Sale.confirm([Sale(sale.id)])
        Sale.process([Sale(sale.id)])
    get_notifications()
    return Sale(sale.id)


def create_amendment(sale, *lines, **values):
    "Create an amendment of lines of action and values"
    Amendment = Pool().get('sale.amendment')
    values.setdefault('reason', "Call of the customer")
    values.setdefault('asked_by', 'customer')
    with as_user("Sven"):
        amendment, = Amendment.create([{
                    'sale': sale.id,
                    'lines': [('create', [
                                {'action': action, **changes}
                                for action, changes in lines])],
                    **values,
                    }])
    return Amendment(amendment.id)


def change_line(line, **changes):
    return 'line', {
        'line': line.id,
        'product': line.product.id,
        'quantity': line.quantity,
        'unit': line.unit.id,
        'unit_price': line.unit_price,
        **changes,
        }


def add_line(quantity, unit_price=Decimal(1000), **values):
    product = get('product.product', "Touch Screen")
    return 'add', {
        'product': product.id,
        'quantity': quantity,
        'unit': product.default_uom.id,
        'unit_price': unit_price,
        **values,
        }


def submit_amendment(*amendments):
    Amendment = Pool().get('sale.amendment')
    with as_user("Sven"):
        reviews = submit(*Amendment.browse(amendments))
    return Pool().get('sale.review')(reviews[0].id)


def validate(*amendments):
    Amendment = Pool().get('sale.amendment')
    with as_user("Sven"):
        Amendment.validate_amendment(Amendment.browse(amendments))


def deliver(sale, quantity):
    "Deliver some of the only line of the sale"
    pool = Pool()
    Move = pool.get('stock.move')
    Sale = pool.get('sale.sale')
    move, = Sale(sale.id).lines[0].moves
    Move.write([move], {'quantity': quantity})
    with Transaction().set_context(_skip_warnings=True):
        Move.do([move])
    return Sale(sale.id)


def get_content():
    "Return all that an amendment could change"
    pool = Pool()
    content = {}
    cursor = Transaction().connection.cursor()
    for name in [
            'sale.sale', 'sale.line', 'sale.line-account.tax', 'stock.move',
            'stock.shipment.out', 'account.invoice', 'account.invoice.line',
            'sale.amendment', 'sale.amendment.line', 'ir.queue',
            'sale.change', 'sale.change.acknowledgement', 'sale.review']:
        table = pool.get(name).__table__()
        cursor.execute(*table.select(order_by=[table.id]))
        content[name] = [tuple(row) for row in cursor]
    transaction = Transaction()
    content['tasks'] = list(transaction.tasks)
    content['logs'] = list(transaction.log_records)
    content['deleted'] = {
        k: set(v) for k, v in transaction.delete_records.items() if v}
    return content


class ChangeTestCase(TestCase):
    "Test the changes of orders"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['sale_order_review', 'sale_amendment'],
            create_company, create_chart, create_departments)
        cls.addClassCleanup(drop_db)

    # The order as it would be

    @with_company
    def test_trial(self):
        "Test the order as it would be leaves no trace"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        Review = pool.get('sale.review')
        create_rule(subjects=AMENDMENTS)
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=3), add_line(2),
            ('date', {'shipping_date': LATER}))
        before = get_content()
        self.assertEqual(len(before['stock.move']), 2)
        self.assertEqual(sale.lines[0].quantity, 1)
        with as_user("Sven"):
            plans, problems = Review.plan([Amendment(amendment.id)])
        self.assertEqual(problems, [])
        plan, = plans
        self.assertEqual(get_content(), before)
        self.assertEqual(plan.untaxed_amount, Decimal(5000))
        self.assertEqual(
            [l['quantity'] for l in plan.snapshot['sale.line'].values()],
            [3, 2])
        self.assertEqual(len(sale.lines), 1)
        self.assertEqual(sale.lines[0].quantity, 1)
        self.assertEqual(sale.untaxed_amount, Decimal(1000))
        self.assertEqual(amendment.state, 'draft')

    @with_company
    def test_writing(self):
        "Test what only reads tries again what others prevent it to write"
        transaction = Mock(readonly=True)
        transaction.new_transaction.return_value = nullcontext(transaction)
        error = DatabaseOperationalError()
        with patch(
                'trytond.modules.company_department.savepoint.Transaction',
                return_value=transaction):
            function = Mock(side_effect=[error, error, 42])
            self.assertEqual(writing(function), 42)
            self.assertEqual(transaction.rollback.call_count, 3)
            with self.assertRaises(DatabaseOperationalError):
                writing(Mock(side_effect=error))
            # The server tries again what writes
            transaction.readonly = False
            function = Mock(side_effect=[error, 42])
            with self.assertRaises(DatabaseOperationalError):
                writing(function)

    @with_company
    def test_savepoint(self):
        "Test what fails is undone"
        Sale = Pool().get('sale.sale')
        sale = create_sale(quote=False)
        with self.assertRaises(ValueError):
            with savepoint():
                Sale.write([sale], {'comment': "Undone"})
                self.assertEqual(sale.comment, "Undone")
                with savepoint(rollback=True):
                    Sale.write([sale], {'comment': "Tried"})
                self.assertEqual(sale.comment, "Undone")
                raise ValueError
        self.assertEqual(sale.comment, None)
        with savepoint():
            Sale.write([sale], {'comment': "Done"})
        self.assertEqual(sale.comment, "Done")

    @with_company
    def test_rules(self):
        "Test the rules are those that the order would meet"
        pool = Pool()
        Review = pool.get('sale.review')
        create_rule("Finance", subjects=AMENDMENTS, minimum_amount=2500)
        create_rule(
            "Production", subjects=AMENDMENTS, condition=PYSONEncoder().encode(
                Eval('self.untaxed_amount', 0) > 4000))
        sale = create_order()
        line, = sale.lines
        for quantity, departments in [
                (2, []),
                (3, ["Finance"]),
                (5, ["Finance", "Production"]),
                ]:
            amendment = create_amendment(
                sale, change_line(line, quantity=quantity))
            with self.subTest(quantity=quantity):
                with as_user("Sven"):
                    plans, problems = Review.plan([amendment])
                self.assertEqual(
                    [s['department'].name for p in plans for s in p.signoffs],
                    departments)
                if not departments:
                    self.assertIn("No rule requires a review", problems[0])

    @with_company
    def test_rule_condition(self):
        "Test a condition that fails holds the amendment"
        Rule = Pool().get('sale.review.rule')
        rule = create_rule(subjects=AMENDMENTS)
        sale = create_order()
        amendment = create_amendment(sale, add_line(1))
        table = Rule.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.condition], ['{"__class__": "Eval", "v": "unknown"}'],
                where=table.id == rule.id))
        Rule._rules_cache.clear()
        before = get_content()
        with self.assertRaisesRegex(AmendmentReviewError, '"Production"'):
            validate(amendment)
        self.assertEqual(get_content(), before)

    @with_company
    def test_conditions(self):
        "Test the conditions of an amendment are not those of its order"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Review = pool.get('sale.review')

        def add(review, name, gate):
            signoff, = Review(review.id).signoffs
            with as_user("Paul"):
                condition, = Condition.create([{
                            'signoff': signoff.id, 'name': name, 'gate': gate,
                            'department': department("Finance").id,
                            'due_date': TODAY}])
            sign(signoff, 'approve_with_conditions', "Paul")
            return Condition(condition.id)

        create_rule(subjects=SUBJECTS)
        with as_user("Sven"):
            sale = create_sale()
            review, = submit(sale)
        paid = add(review, "Paid", 'shipment')
        sale = process_order(sale)
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=2))
        first = submit_amendment(amendment)
        drawing = add(first, "Drawing", 'process')
        self.assertEqual(list(Condition.get_open([sale], 'shipment')), [sale])
        self.assertEqual(Condition.get_open([sale], 'process'), {})
        with self.assertRaisesRegex(AmendmentReviewError, "Drawing"):
            validate(amendment)
        with as_user("Frida"):
            Condition.do([Condition(drawing.id)])
        validate(amendment)
        self.assertEqual(Condition(paid.id).state, 'open')

        other = create_amendment(
            sale, change_line(sale.lines[0], quantity=3))
        review = submit_amendment(other)
        with as_user("Sven"):
            Review.withdraw([Review(review.id)])
        submit_amendment(other)
        self.assertEqual(Condition(paid.id).state, 'open')

    @with_company
    def test_aspects(self):
        "Test only those sign whose aspects the change touches"
        create_rule("Finance", subjects=AMENDMENTS, aspects=['payment'])
        create_rule(
            "Production", subjects=AMENDMENTS, aspects=['quantities'])
        create_rule("Sales", subjects=AMENDMENTS)
        sale = create_order()
        line, = sale.lines
        term, = Pool().get('account.invoice.payment_term').create([{
                    'name': "Later",
                    'lines': [('create', [{}])],
                    }])
        for lines, departments in [
                ([change_line(line, quantity=2)], ["Production", "Sales"]),
                ([add_line(2)], ["Production", "Sales"]),
                ([('payment_term', {'payment_term': term.id})],
                    ["Finance", "Sales"]),
                ([('date', {'shipping_date': LATER})], ["Sales"]),
                ]:
            amendment = create_amendment(sale, *lines)
            review = submit_amendment(amendment)
            with self.subTest(lines=lines):
                self.assertEqual(
                    sorted(s.department.name for s in review.signoffs),
                    departments)
            with as_user("Sven"):
                review.withdraw([review])

    @with_company
    def test_untouched(self):
        "Test nobody signs if the change touches the aspects of nobody"
        create_rule("Finance", subjects=AMENDMENTS, aspects=['payment'])
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=2))
        validate(amendment)
        self.assertEqual(amendment.state, 'validated')
        self.assertEqual(len(sale.changes), 1)

    # What is refused

    @with_company
    def test_problems(self):
        "Test all that prevents the change is told at once"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        Review = pool.get('sale.review')
        create_rule(subjects=SUBJECTS)
        sale = create_order(
            lines=[(get('product.product', "Touch Screen"), 5, 1000)])
        sale = deliver(sale, 2)
        line, = sale.lines
        other = create_amendment(sale, add_line(1))
        submit_amendment(other)
        amendment = create_amendment(
            sale, change_line(line, quantity=1), reason=" ", asked_by=None)
        before = get_content()
        texts = [
            "enter: Reason, Asked By",
            f'amendment "{other.rec_name}" of the same order',
            "than the 2",
            ]
        with as_user("Sven"):
            _, problems = Review.plan([Amendment(amendment.id)])
        with self.assertRaises(AmendmentReviewError) as cm:
            validate(amendment)
        for message in ['\n'.join(problems), cm.exception.message]:
            self.assertEqual(len(message.split('\n')), 3)
            for text in texts:
                self.assertIn(text, message)
            self.assertEqual(message.count(f'"{amendment.rec_name}"'), 3)
        self.assertEqual(get_content(), before)

    @with_company
    def test_delivered(self):
        "Test what is delivered remains"
        create_rule(subjects=AMENDMENTS)
        sale = create_order(
            lines=[(get('product.product', "Touch Screen"), 5, 1000)])
        sale = deliver(sale, 2)
        line, = sale.lines
        product, = Pool().get('product.product').copy([line.product])
        for change, text in [
                (change_line(line, quantity=1), "leaves less"),
                (change_line(line, quantity=-2), "leaves less"),
                (change_line(line, product=product.id), "replaces"),
                ]:
            amendment = create_amendment(sale, change)
            with self.subTest(text=text):
                with self.assertRaisesRegex(ReviewError, text):
                    submit_amendment(amendment)
        amendment = create_amendment(sale, ('remove', {'line': line.id}))
        review = submit_amendment(amendment)
        self.assertIn("Quantity 5 → 2", review.changes)
        approve(get_signoff(review, "Production"), "Paul")
        validate(amendment)
        self.assertEqual(line.quantity, 2)
        amendment = create_amendment(sale, ('remove', {'line': line.id}))
        with self.assertRaisesRegex(ReviewError, "removes nothing"):
            submit_amendment(amendment)

    @with_company
    def test_nothing(self):
        "Test an amendment that changes nothing"
        create_rule(subjects=AMENDMENTS)
        sale = create_order()
        for lines in [[], [change_line(sale.lines[0])], [('taxes', {})]]:
            amendment = create_amendment(sale, *lines)
            before = get_content()
            for func in [submit_amendment, validate]:
                with self.subTest(lines=lines, func=func):
                    with self.assertRaisesRegex(
                            ReviewError, "changes nothing"):
                        func(amendment)
                    self.assertEqual(get_content(), before)

    @with_company
    def test_together(self):
        "Test two amendments of an order are not submitted together"
        create_rule(subjects=AMENDMENTS)
        sale, other = create_order(), create_order()
        first, second = (
            create_amendment(sale, add_line(i)) for i in [1, 2])
        third = create_amendment(other, add_line(1))
        with self.assertRaisesRegex(ReviewError, "same order"):
            submit_amendment(first, second)
        submit_amendment(first, third)
        self.assertEqual(
            [a.review_state for a in [first, second, third]],
            ['open', 'none', 'open'])

    @with_company
    def test_order_frozen(self):
        "Test a processed order changes only by the amendments to review"
        Sale = Pool().get('sale.sale')
        create_rule(subjects=AMENDMENTS)
        with as_user("Sven"):
            quotation = create_sale()
        sale = create_order()
        with as_user("Sven"), Transaction().set_context(_check_access=True):
            Sale.write([quotation], {'payment_term': None})
            with self.assertRaisesRegex(AccessError, "Use an amendment"):
                Sale.write([sale], {'payment_term': None})

    @with_company
    def test_free(self):
        "Test nothing changes for who does not review"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=3), reason=None,
            asked_by=None)
        copy, = Amendment.copy([amendment])
        Amendment.delete([copy])
        validate(amendment)
        self.assertEqual(sale.lines[0].quantity, 3)
        self.assertEqual(sale.changes, ())
        Amendment.delete([amendment])

    # The review of an amendment

    @with_company
    def test_review(self):
        "Test what the review of an amendment records"
        pool = Pool()
        Change = pool.get('sale.change')
        create_rule(subjects=SUBJECTS)
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=2), add_line(4))
        review = submit_amendment(amendment)
        self.assertEqual(review.origin, amendment)
        self.assertEqual(review.amendment, amendment)
        self.assertEqual(review.sale, sale)
        self.assertEqual(review.round, 1)
        self.assertEqual(review.untaxed_amount, Decimal(6000))
        self.assertEqual(review.reason, "Call of the customer")
        self.assertEqual(review.asked_by, 'customer')
        self.assertEqual(
            json.loads(review.before),
            json.loads(sale.review.snapshot))
        self.assertEqual(review.changes.splitlines(), [
                "Line Touch Screen: added (4 Unit at 1,000)",
                "Line Touch Screen: Quantity 1 → 2",
                ])
        self.assertEqual(review.effects.splitlines(), [
                "Untaxed amount: $1,000.00 → $6,000.00",
                "1 move(s) planned again",
                "1 draft invoice(s) computed again",
                ])
        self.assertEqual(sale.review.round, 1)
        self.assertEqual(sale.review_state, 'approved')
        self.assertEqual(len(sale.reviews), 1)
        signoff = get_signoff(review, "Production")
        self.assertEqual(signoff.amendment, amendment)
        self.assertEqual(signoff.changes, review.changes)
        self.assertEqual(signoff.effects, review.effects)
        self.assertEqual(signoff.change_reason, review.reason)
        self.assertEqual(signoff.asked_by, 'customer')
        approve(signoff, "Paul")
        self.assertEqual(amendment.review_state, 'approved')
        validate(amendment)
        first, second = sale.lines
        self.assertEqual(second.amendment_line.amendment, amendment)
        self.assertEqual(second.quantity, 4)
        changes = Change.search([('sale', '=', sale.id)])
        self.assertEqual(
            {c.rec_name for c in changes}, set(review.changes.splitlines()))
        self.assertEqual({c.line for c in changes}, {first, second})
        self.assertEqual({c.origin for c in changes}, {amendment})
        self.assertEqual({c.revision for c in changes}, {1})

    @with_company
    def test_on_change(self):
        "Test what the form of a line proposes"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        AmendmentLine = pool.get('sale.amendment.line')
        sale = create_order(shipping_date=LATER)
        product = get('product.product', "Touch Screen")
        line = AmendmentLine(
            amendment=Amendment(sale=sale), action='add', product=product,
            quantity=2)
        line.on_change_product()
        self.assertEqual(line.unit, product.default_uom)
        self.assertEqual(line.unit_price, Decimal(1000))
        self.assertEqual(
            line.on_change_with_product_uom_category(),
            product.default_uom.category)
        line.action = 'date'
        line.on_change_action()
        self.assertEqual(line.shipping_date, LATER)
        self.assertEqual(line.product, None)
        line.action = 'line_date'
        line.on_change_action()
        self.assertEqual(line.shipping_date, None)
        line.line, = sale.lines
        line.on_change_line()
        self.assertEqual(line.shipping_date, None)

    @with_company
    def test_dates(self):
        "Test the dates of the order and of a line"
        pool = Pool()
        Sale = pool.get('sale.sale')
        Template = pool.get('product.template')
        sale = create_order()
        line, = sale.lines
        Template.write(
            [line.product.template], {'lead_time': dt.timedelta(days=1)})
        latest = LATER + dt.timedelta(days=5)
        validate(create_amendment(
                sale, ('date', {'shipping_date': LATER}), add_line(1),
                ('line_date', {'line': line.id, 'shipping_date': latest})))
        with as_user("Sven"):
            Sale.process([Sale(sale.id)])
        lines = Sale(sale.id).lines
        self.assertEqual(
            [l.planned_shipping_date for l in lines], [latest, LATER])
        # They are shipped together
        self.assertEqual(
            {m.planned_date for l in lines for m in l.moves}, {latest})

    @with_company
    def test_rounds(self):
        "Test an amendment that is returned, withdrawn and submitted again"
        create_rule("Production", subjects=AMENDMENTS, aspects=['quantities'])
        create_rule("Finance", subjects=AMENDMENTS, stage=2)
        AmendmentLine = Pool().get('sale.amendment.line')
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=2))
        review = submit_amendment(amendment)
        approve(get_signoff(review, "Production"), "Paul")
        sign(
            get_signoff(review, "Finance"), 'return_', "Frida",
            opinion="Ask for more")
        self.assertEqual(amendment.review_state, 'returned')
        self.assertEqual(sale.state, 'processing')
        with self.assertRaisesRegex(
                AmendmentReviewError, "must be reviewed by Production, Fin"):
            validate(amendment)
        AmendmentLine.write(
            list(amendment.lines), {'unit_price': Decimal(1200)})
        second = submit_amendment(amendment)
        self.assertEqual(second.previous, review)
        self.assertEqual(second.round, 2)
        self.assertIn("Unit Price: 1,000 → 1,200", second.differences)
        self.assertEqual(
            get_signoff(second, "Production").state, 'carried')
        change, = sale.changes
        self.assertEqual(change.origin, second)
        self.assertEqual(
            change.reason, "Call of the customer\nAsk for more")
        with as_user("Sven"):
            second.withdraw([second])
        self.assertEqual(amendment.review_state, 'required')
        third = submit_amendment(amendment)
        approve(get_signoff(third, "Finance"), "Frida")
        validate(amendment)
        self.assertEqual(
            [(r.round, r.state) for r in amendment.reviews],
            [(3, 'approved'), (2, 'superseded'), (1, 'superseded')])

    @with_company
    def test_approved_modified(self):
        "Test an approval holds for its content only"
        pool = Pool()
        AmendmentLine = pool.get('sale.amendment.line')
        create_rule(subjects=AMENDMENTS)
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=2))
        approve(
            get_signoff(submit_amendment(amendment), "Production"), "Paul")
        AmendmentLine.write(list(amendment.lines), {'quantity': 3})
        self.assertEqual(amendment.review_state, 'required')
        before = get_content()
        with self.assertRaisesRegex(
                AmendmentReviewError, "Quantity: 2 → 3"):
            validate(amendment)
        self.assertEqual(get_content(), before)
        # What was approved still is
        AmendmentLine.write(list(amendment.lines), {'quantity': 2})
        review = submit_amendment(amendment)
        self.assertEqual(review.state, 'approved')
        self.assertEqual(get_signoff(review, "Production").state, 'carried')
        validate(amendment)
        self.assertEqual(sale.lines[0].quantity, 2)

    @with_company
    def test_approved_line_deleted(self):
        "Test an approval does not hold without one of the lines"
        pool = Pool()
        AmendmentLine = pool.get('sale.amendment.line')
        create_rule(subjects=AMENDMENTS)
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=2), add_line(1))
        approve(
            get_signoff(submit_amendment(amendment), "Production"), "Paul")
        AmendmentLine.delete([amendment.lines[1]])
        self.assertEqual(amendment.review_state, 'required')
        with self.assertRaisesRegex(AmendmentReviewError, "removed"):
            validate(amendment)

    @with_company
    def test_order_modified(self):
        "Test neither signature nor approval hold once the order is another"
        create_rule(subjects=AMENDMENTS, minimum_amount=2000)
        sale = create_order()
        line, = sale.lines
        amendment = create_amendment(sale, change_line(line, quantity=3))
        approve(
            get_signoff(submit_amendment(amendment), "Production"), "Paul")
        validate(create_amendment(sale, ('date', {'shipping_date': LATER})))
        with self.assertRaisesRegex(AmendmentReviewError, "Shipping Date"):
            validate(amendment)
        amendment.reset_review([amendment])
        review = submit_amendment(amendment)
        Pool().get('sale.sale').write([sale], {'comment': "Behind the back"})
        with self.assertRaisesRegex(SignoffError, "Behind the back"):
            approve(get_signoff(review, "Production"), "Paul")

    @with_company
    def test_frozen(self):
        "Test what can be modified of an amendment"
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        AmendmentLine = pool.get('sale.amendment.line')
        create_rule(subjects=AMENDMENTS)
        sale = create_order()
        amendment = create_amendment(sale, add_line(2))

        def attempts():
            with Transaction().set_context(_check_access=True):
                yield 'write', lambda: Amendment.write(
                    [amendment], {'reason': "Another"})
                yield 'write line', lambda: AmendmentLine.write(
                    list(amendment.lines), {'quantity': 9})
                yield 'create line', lambda: AmendmentLine.create([{
                            'amendment': amendment.id, 'action': 'taxes'}])
                yield 'delete line', lambda: AmendmentLine.delete(
                    list(amendment.lines))
                yield 'delete', lambda: Amendment.delete([amendment])

        review = submit_amendment(amendment)
        for state in ['open', 'validated']:
            with as_user("Sven"):
                for name, attempt in attempts():
                    with self.subTest(state=state, name=name):
                        with self.assertRaises(AccessError):
                            attempt()
            if state == 'open':
                approve(get_signoff(review, "Production"), "Paul")
                validate(amendment)

    # The log

    @with_company
    def test_log_order(self):
        "Test the log of the rounds of an order, whose lines are deleted"
        pool = Pool()
        Change = pool.get('sale.change')
        Line = pool.get('sale.line')
        Sale = pool.get('sale.sale')
        create_rule("Finance")
        product = get('product.product', "Touch Screen")
        with as_user("Sven"):
            sale = create_sale(
                lines=[(product, 1, 1000), ("Installation", 1, 50)])
            review, = submit(sale)
        sign(
            get_signoff(Pool().get('sale.review')(review.id), "Finance"),
            'return_', "Frida", opinion="No installation")
        sale = Sale(sale.id)
        self.assertEqual(sale.changes, ())
        first, second = sale.lines
        with as_user("Sven"):
            Line.write([first], {'quantity': 2})
            Line.delete([Line(second.id)])
            Sale.quote([Sale(sale.id)])
            review, = submit(Sale(sale.id))
        changes = Change.search([('sale', '=', sale.id)])
        self.assertEqual(
            sorted((c.rec_name, c.line) for c in changes), [
                ("Line Installation: removed (1 ∅ at 50)", None),
                ("Line Touch Screen: Quantity 1 → 2", first),
                ])
        self.assertEqual(
            {(c.reason, c.asked_by, c.by, c.origin) for c in changes},
            {("No installation", 'company', employee("Sven"), review)})
        with as_user("Sven"):
            review.withdraw([review])
            Sale.draft([Sale(sale.id)])
            Line.delete([Line(first.id)])
        self.assertEqual(
            {(c.line, c.line_name) for c in Change.browse(changes)},
            {(None, "Touch Screen"), (None, "Installation")})
        self.assertEqual(
            Change.search([('rec_name', 'ilike', "%touch%")]), [
                c for c in changes if c.line_name == "Touch Screen"])

    @with_company
    def test_log_copy(self):
        "Test a copy of an order starts without log"
        Sale = Pool().get('sale.sale')
        create_rule(subjects=AMENDMENTS, minimum_amount=10000)
        sale = create_order()
        validate(create_amendment(sale, add_line(1)))
        self.assertEqual(len(sale.changes), 1)
        copy, = Sale.copy([Sale(sale.id)])
        self.assertEqual(copy.changes, ())
        self.assertEqual(copy.acknowledgements, ())
        self.assertEqual([l.amendment_line for l in copy.lines], [None] * 2)

    @with_company
    def test_log_queries(self):
        "Test a long log is read with a constant number of queries"
        pool = Pool()
        Change = pool.get('sale.change')
        create_rule()
        with as_user("Sven"):
            sale = create_sale()
            review, = submit(sale)
        with Transaction().set_context(_sale_review=True):
            Change.create([{
                        'company': sale.company.id,
                        'sale': sale.id,
                        'line': sale.lines[0].id,
                        'line_name': f"Line {i}",
                        'field': "Quantity",
                        'old': "1",
                        'new': "2",
                        'origin': str(review),
                        'at': dt.datetime(2026, 1, 1 + i % 20),
                        } for i in range(400)])
        names = [
            'revision', 'line_name', 'field', 'old', 'new', 'reason',
            'asked_by', 'origin', 'origin.rec_name', 'by', 'by.rec_name',
            'at', 'rec_name']
        counts = []
        for limit in [10, 400]:
            Transaction().cache.clear()
            with as_user("Sven"), count_queries() as queries:
                values = Change.search_read(
                    [('sale', '=', sale.id)], limit=limit,
                    fields_names=names)
            self.assertEqual(len(values), limit)
            counts.append(len(queries))
        self.assertLessEqual(counts[1], counts[0] + 1)
        self.assertEqual(values[0]['at'], dt.datetime(2026, 1, 20))

    # Who acknowledges

    def execute(self, *names):
        "Make the departments acknowledge the orders"
        Department = Pool().get('company.department')
        Department.write(
            [department(n) for n in names], {'executes_orders': True})

    @with_company
    def test_configuration(self):
        pool = Pool()
        Company = pool.get('company.company')
        Configuration = pool.get('sale.configuration')
        Department = pool.get('company.department')
        Party = pool.get('party.party')
        party, = Party.create([{'name': "Other"}])
        company, = Company.create([{
                    'party': party.id,
                    'currency': get_company().currency.id,
                    }])
        foreign, = Department.create([{
                    'name': "Foreign",
                    'company': company.id,
                    }])
        configuration = Configuration(1)
        configuration.save()
        production = department("Production")
        Configuration.write([configuration], {
                'review_executing_departments': [
                    ('add', [production.id, foreign.id])]})
        self.assertTrue(production.executes_orders)
        self.assertFalse(foreign.executes_orders)
        self.assertEqual(
            configuration.review_executing_departments, (production,))
        Configuration.write([configuration], {
                'review_executing_departments': [
                    ('remove', [production.id])]})
        self.assertFalse(production.executes_orders)
        # A client chooses its context, but not its rights
        add = {'review_executing_departments': [('add', [foreign.id])]}
        for check_access, executes in [(True, False), (False, True)]:
            with as_user("Sven"), Transaction().set_context(
                    company=company.id, _check_access=check_access):
                configuration.set_review_departments(
                    [configuration], *add, *add.values())
            self.assertEqual(
                Department(foreign.id).executes_orders, executes)

    @with_company
    def test_unreviewed(self):
        "Test what made a review needless is in the log"
        pool = Pool()
        Line = pool.get('sale.line')
        Sale = pool.get('sale.sale')
        create_rule("Finance", minimum_amount=5000)
        with as_user("Sven"):
            sale = create_sale([
                    (get('product.product', "Touch Screen"), 6, 1000)])
            review, = submit(sale)
        sign(
            get_signoff(review, "Finance"), 'return_', "Frida",
            opinion="Too much for a first order")
        with as_user("Sven"):
            Line.write(list(sale.lines), {'quantity': 2})
            Sale.quote([Sale(sale.id)])
            self.assertEqual(Sale(sale.id).review_state, 'none')
            self.assertEqual(Sale(sale.id).changes, ())
            Sale.confirm([Sale(sale.id)])
        change, = Sale(sale.id).changes
        self.assertEqual(
            (change.field, change.old, change.new, change.origin),
            ("Quantity", "6", "2", sale))
        self.assertEqual(change.reason, "Too much for a first order")
        self.assertEqual(change.by, employee("Sven"))

    @with_company
    def test_confirm(self):
        "Test the executing departments are told of what was reviewed"
        pool = Pool()
        Acknowledgement = pool.get('sale.change.acknowledgement')
        Sale = pool.get('sale.sale')
        self.execute("Production", "Sales")
        create_order()
        self.assertEqual(Acknowledgement.search([]), [])
        create_rule("Finance")
        with as_user("Sven"):
            sale = create_sale()
            review, = submit(sale)
        approve(get_signoff(
                Pool().get('sale.review')(review.id), "Finance"), "Frida")
        get_notifications()
        with as_user("Sven"):
            Sale.confirm([Sale(sale.id)])
        self.assertEqual(
            sorted((a.department.name, a.origin)
                for a in Acknowledgement.search([])),
            [("Production", sale), ("Sales", sale)])
        notifications = get_notifications()
        self.assertEqual(
            {l for l, ns in notifications.items()
                if any("to acknowledge" in n.label for n in ns)},
            {'paul', 'petra', 'sigrid', 'sven'})
        # Those that are still asked are not asked twice
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            Sale.quote([Sale(sale.id)])
            Sale.confirm([Sale(sale.id)])
        self.assertEqual(len(Acknowledgement.search([])), 2)

    @with_company
    def test_acknowledge(self):
        "Test only the persons of the department acknowledge, once"
        pool = Pool()
        Acknowledgement = pool.get('sale.change.acknowledgement')
        self.execute("Production")
        create_rule(subjects=SUBJECTS)
        sales = [create_order(), create_order()]
        acknowledgements = Acknowledgement.search([
                ('sale', 'in', [s.id for s in sales])])
        self.assertEqual(len(acknowledgements), 2)

        def acknowledge(name, *acknowledgements):
            with as_user(name):
                Acknowledgement.acknowledge(
                    Acknowledgement.browse(acknowledgements))

        for name in ["Frida", "Olga"]:
            with self.subTest(name=name):
                with self.assertRaises(AcknowledgementError) as cm:
                    acknowledge(name, *acknowledgements)
                self.assertEqual(len(cm.exception.message.split('\n')), 2)
                self.assertIn("Paul, Petra", cm.exception.message)
        with self.assertRaisesRegex(
                AcknowledgementError, "must be an employee"):
            Acknowledgement.acknowledge(acknowledgements)
        first, second = acknowledgements
        with as_user("Petra"):
            self.assertEqual(
                set(Acknowledgement.search([('mine', '=', True)])),
                {first, second})
        acknowledge("Petra", first)
        with self.assertRaisesRegex(
                AcknowledgementError, "Petra has already acknowledged"):
            acknowledge("Paul", first, second)
        self.assertEqual(second.at, None)
        delegate("Paul", "Olga", TODAY)
        acknowledge("Olga", second)
        self.assertEqual(
            [(a.employee, a.on_behalf_of) for a in [first, second]],
            [(employee("Petra"), None), (employee("Olga"), employee("Paul"))])

    @with_company
    def test_acknowledge_later(self):
        "Test who belongs to the department on the day acknowledges"
        pool = Pool()
        Acknowledgement = pool.get('sale.change.acknowledgement')
        self.execute("Production")
        create_rule(subjects=SUBJECTS)
        create_order()
        acknowledgement, = Acknowledgement.search([])
        delegate("Paul", "Olga", LATER)
        with as_user("Olga"):
            with self.assertRaises(AcknowledgementError):
                acknowledgement.acknowledge([acknowledgement])
            with on(LATER):
                acknowledgement.acknowledge([acknowledgement])

    @with_company
    def test_change_told(self):
        "Test the executing departments are told of a validated amendment"
        pool = Pool()
        Acknowledgement = pool.get('sale.change.acknowledgement')
        create_rule(subjects=AMENDMENTS, minimum_amount=10000)
        sale = create_order()
        self.execute("Production")
        amendment = create_amendment(sale, add_line(1))
        validate(amendment)
        acknowledgement, = Acknowledgement.search([])
        self.assertEqual(acknowledgement.origin, amendment)
        self.assertEqual(
            acknowledgement.changes,
            "Line Touch Screen: added (1 Unit at 1,000)")
        self.assertEqual(get_notifications().keys(), {'paul', 'petra'})
        self.assertEqual(sale.acknowledgements, (acknowledgement,))
