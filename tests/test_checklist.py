# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import AccessError, DomainValidationError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.sale_order_review.exceptions import (
    RuleChecklistWarning, SignoffError)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, approve, as_user, count_queries, create_departments,
    create_party, create_rule, create_sale, get, get_company, get_signoff,
    sign, submit, with_company)

TODAY = dt.date.today()
MEASURES = [
    'credit_limit_left', 'overdue_amount', 'gross_margin', 'stock_available',
    'earliest_delivery']


def create_checklist(*points, **values):
    "Create a checklist of points, which are dictionaries or questions"
    Checklist = Pool().get('sale.review.checklist')
    checklist, = Checklist.create([{
                'name': "Checklist",
                'company': get_company().id,
                'points': [('create', [
                            {'question': p} if isinstance(p, str) else p
                            for p in points])],
                **values,
                }])
    return checklist


def measure(name, **values):
    return {
        'question': name, 'answer_type': 'measure', 'measure': name, **values}


def answer(name, signoff, remark=None, **values):
    "Answer all points that have the field as the user"
    with as_user(name):
        Answer = Pool().get('sale.review.answer')
        with Transaction().set_context(_check_access=True):
            for record in Answer.search([('signoff', '=', signoff.id)]):
                to_write = {
                    k: v for k, v in values.items()
                    if k == record.answer_type}
                if remark:
                    to_write['remark'] = remark
                if to_write:
                    Answer.write([record], to_write)


def get_measures(sale, *names):
    Sale = Pool().get('sale.sale')
    return Sale.get_review_measures([sale], names)[sale]


def create_currency(rate=None):
    Currency = Pool().get('currency.currency')
    currency, = Currency.create([{
                'name': "Krone", 'code': 'NOK', 'symbol': 'kr',
                'rates': [('create', [{
                                'date': dt.date(2020, 1, 1),
                                'rate': rate,
                                }])] if rate else [],
                }])
    return currency


def set_rates(rate):
    "Give the currency of the company a rate"
    Rate = Pool().get('currency.currency.rate')
    Rate.create([{
                'currency': get_company().currency.id,
                'date': dt.date(2020, 1, 1),
                'rate': rate,
                }])


class ChecklistTestCase(ReviewTestCase):
    "Test the checklists"

    def submit(self, *points, **values):
        "Submit a sale which Production signs by a checklist of the points"
        create_rule(checklist=create_checklist(*points).id, **values)
        with as_user("Sven"):
            review, = submit(create_sale())
        review = Pool().get('sale.review')(review.id)
        return get_signoff(review, "Production")

    def reload(self, signoff):
        return Pool().get('sale.review.signoff')(signoff.id)

    @with_company
    def test_answers(self):
        "Test the answers of a sign-off are those of the points at that time"
        signoff = self.submit(
            {'question': "A", 'help': "Think", 'negative': 'remark'},
            {'question': "B", 'answer_type': 'number', 'negative': 'remark'},
            measure('gross_margin', negative='evidence'))
        Point = Pool().get('sale.review.checklist.point')
        Point.delete(signoff.checklist.points[1:])
        Point.write(list(signoff.checklist.points), {'question': "Other"})
        self.assertEqual(
            [(a.sequence, a.question, a.help, a.answer_type, a.measure,
                    a.negative) for a in signoff.answers], [
                (1, "A", "Think", 'boolean', None, 'remark'),
                (2, "B", None, 'number', None, None),
                (3, 'gross_margin', None, 'measure', 'gross_margin',
                    'evidence')])
        self.assertEqual(
            signoff.answer_types, ('boolean', 'measure', 'number'))

    @with_company
    def test_language(self):
        "Test the questions are in the language of the company"
        pool = Pool()
        Lang = pool.get('ir.lang')
        Point = pool.get('sale.review.checklist.point')
        chinese, = Lang.search([('code', '=', 'zh_CN')])
        Lang.write([chinese], {'translatable': True})
        company = get_company()
        company.party.lang = chinese
        company.party.save()
        checklist = create_checklist("Lawful")
        with Transaction().set_context(language='zh_CN'):
            Point.write(
                Point.browse(checklist.points), {'question': "合法"})
        create_rule(checklist=checklist.id)
        with as_user("Sven"):
            review, = submit(create_sale())
        signoff = get_signoff(review, "Production")
        self.assertEqual(signoff.answers[0].question, "合法")

    @with_company
    def test_unanswered(self):
        "Test an approval is refused with all that all sign-offs miss"
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        first = self.submit(
            "A", {'question': "B", 'answer_type': 'text'},
            {'question': "C", 'answer_type': 'date'})
        with as_user("Sven"):
            review, = submit(create_sale())
        second = get_signoff(review, "Production")
        answer("Paul", first, text=" \n", date=TODAY)
        with as_user("Paul"):
            with self.assertRaises(SignoffError) as cm:
                Signoff.approve(Signoff.browse([first, second]))
        self.assertEqual(cm.exception.message, '\n'.join([
                    f'To approve "{first.rec_name}", complete its checklist:',
                    "A: answer it.",
                    "B: answer it.",
                    f'To approve "{second.rec_name}", complete its checklist:',
                    "A: answer it.",
                    "B: answer it.",
                    "C: answer it.",
                    ]))
        self.assertEqual(
            {s.state for s in Signoff.browse([first, second])}, {'pending'})

    @with_company
    def test_negative(self):
        "Test what a negative answer needs"
        Attachment = Pool().get('ir.attachment')
        signoff = self.submit(
            "A", {'question': "B", 'negative': 'remark'},
            {'question': "C", 'negative': 'evidence'})
        answer("Paul", signoff, boolean='no', remark=" ")
        with self.assertRaises(SignoffError) as cm:
            approve(signoff, "Paul")
        self.assertEqual(cm.exception.message.split('\n')[1:], [
                "B: explain the answer in the remark.",
                "C: attach the evidence to the sign-off."])
        answer("Paul", signoff, remark="Why")
        Attachment.create([{
                    'name': "Evidence", 'type': 'link', 'link': "x",
                    'resource': str(signoff)}])
        approve(signoff, "Paul")
        self.assertEqual(self.reload(signoff).state, 'approved')

    @with_company
    def test_return(self):
        "Test a return needs no answers and freezes what is measured"
        signoff = self.submit("A", measure('gross_margin'))
        sign(signoff, 'return_', "Paul", opinion="No.")
        first, second = self.reload(signoff).answers
        self.assertEqual(
            [(first.boolean, first.value), (second.number, second.value)],
            [(None, None), (Decimal('0.4'), '40.00 %')])

    @with_company
    def test_withdrawn(self):
        "Test nothing is measured any more after a review is withdrawn"
        signoff = self.submit(measure('gross_margin'))
        self.assertTrue(signoff.answers[0].measured)
        with as_user("Sven"):
            Review = Pool().get('sale.review')
            Review.withdraw([Review(signoff.review.id)])
        answer, = self.reload(signoff).answers
        self.assertEqual((answer.measured, answer.value), (None, None))

    @with_company
    def test_partial(self):
        "Test the next person signs the answers that the first one signed"
        signoff = self.submit(
            "A", measure('gross_margin'), signatories='all')
        answer("Paul", signoff, boolean='yes')
        approve(signoff, "Paul")
        signoff = self.reload(signoff)
        self.assertEqual(signoff.state, 'pending')
        self.assertEqual(signoff.answers[1].value, '40.00 %')
        for name in ["Paul", "Petra"]:
            with self.assertRaisesRegex(AccessError, "A.*cannot|cannot.*A"):
                answer(name, signoff, boolean='no')
        with as_user("Petra"):
            Answer = Pool().get('sale.review.answer')
            self.assertFalse(Answer(signoff.answers[0].id).editable)
        product = get('product.product', "Touch Screen")
        product.cost_price = Decimal(900)
        product.save()
        approve(signoff, "Petra")
        signoff = self.reload(signoff)
        self.assertEqual(signoff.state, 'approved')
        self.assertEqual(signoff.answers[1].value, '40.00 %')

    @with_company
    def test_evidence(self):
        "Test answers cannot be changed inside the server"
        Answer = Pool().get('sale.review.answer')
        Attachment = Pool().get('ir.attachment')
        signoff = self.submit("A")
        attachment, = Attachment.create([{
                    'name': "Plan", 'type': 'link', 'link': "x",
                    'resource': str(signoff.answers[0])}])
        answer("Paul", signoff, boolean='yes')
        approve(signoff, "Paul")
        answers = list(signoff.answers)
        for values in [
                {'boolean': 'no'}, {'remark': "Never"}, {'question': "B"}]:
            with self.assertRaisesRegex(AccessError, "it is evidence"):
                Answer.write(answers, values)
        with self.assertRaisesRegex(AccessError, "it is evidence"):
            Answer.delete(answers)
        with self.assertRaises(AccessError):
            Answer.copy(answers)
        with self.assertRaisesRegex(AccessError, "is evidence"):
            Attachment.delete([attachment])

    @with_company
    def test_carried(self):
        "Test answers are carried over unless the rule has another checklist"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        signoff = self.submit("A", aspects=['products'])
        create_rule("Finance", stage=2)
        sale = signoff.sale
        with as_user("Sven"):
            Review = pool.get('sale.review')
            Review.withdraw([Review(signoff.review.id)])
            review, = submit(Sale(sale.id))
        for checklist, state, number in [
                (None, 'carried', 1),
                (create_checklist("B", "C"), 'pending', 0),
                ]:
            signoff = get_signoff(Sale(sale.id).review, "Production")
            if signoff.state == 'pending':
                answer("Paul", signoff, boolean='yes')
                approve(signoff, "Paul")
            if checklist:
                Rule.write([signoff.rule], {'checklist': checklist.id})
            sign(
                get_signoff(Sale(sale.id).review, "Finance"), 'return_',
                "Frida", opinion="No.")
            Sale.quote([Sale(sale.id)])
            with as_user("Sven"):
                submit(Sale(sale.id))
            with self.subTest(state=state):
                signoff = get_signoff(Sale(sale.id).review, "Production")
                self.assertEqual(signoff.state, state)
                self.assertEqual(len(signoff.carried_answers), number)
                self.assertEqual(
                    len(signoff.carried_decisions), number and 1)
        self.assertEqual(
            [a.question for a in signoff.answers], ["B", "C"])

    @with_company
    def test_shared(self):
        "Test the checklists of all companies are copied to change them"
        pool = Pool()
        Checklist = pool.get('sale.review.checklist')
        Point = pool.get('sale.review.checklist.point')
        shared, = Checklist.search([('name', '=', "Draft Contract Review")])
        own = create_checklist("A")
        with Transaction().set_context(_check_access=True):
            for function, *args in [
                    (Checklist.write, [shared], {'active': False}),
                    (Checklist.write, [own], {'company': None}),
                    (Checklist.create, [{'name': "X", 'company': None}]),
                    (Checklist.delete, [shared]),
                    (Point.write, list(shared.points), {'negative': None}),
                    (Point.write, list(own.points), {
                            'checklist': shared.id}),
                    (Point.create, [{
                                'checklist': shared.id, 'question': "X"}]),
                    (Point.copy, [shared.points[0]]),
                    (Point.delete, [shared.points[0]]),
                    ]:
                with self.subTest(function=function, args=args):
                    with self.assertRaises(AccessError):
                        function(*args)
            copy, = Checklist.copy([shared])
        self.assertEqual(copy.company, get_company())
        self.assertEqual(
            [p.question for p in copy.points],
            [p.question for p in shared.points])

    @with_company
    def test_delete(self):
        "Test a checklist by which somebody signed is deactivated"
        Checklist = Pool().get('sale.review.checklist')
        Rule = Pool().get('sale.review.rule')
        signoff = self.submit("A")
        Rule.write([signoff.rule], {'checklist': None})
        with self.assertRaisesRegex(AccessError, "Deactivate it"):
            Checklist.delete([signoff.checklist])
        Checklist.delete([create_checklist("A")])

    @with_company
    def test_rule(self):
        "Test the checklist of a rule"
        Checklist = Pool().get('sale.review.checklist')
        Company = Pool().get('company.company')
        Party = Pool().get('party.party')
        empty = create_checklist()
        with self.assertRaisesRegex(
                RuleChecklistWarning, '"Checklist" .* has no points'):
            create_rule(checklist=empty.id)
        company, = Company.create([{
                    'party': Party.create([{'name': "B"}])[0].id,
                    'currency': get_company().currency.id,
                    }])
        other, = Checklist.create([{
                    'name': "Other", 'company': company.id,
                    'points': [('create', [{'question': "A"}])]}])
        with self.assertRaises(DomainValidationError):
            create_rule(checklist=other.id)

    @with_company
    def test_unknown_measure(self):
        "Test a measure whose module is gone is unknown"
        sale = create_sale()
        result = get_measures(sale, 'weather')['weather']
        self.assertEqual(
            (result['text'], result['negative'], result['error']),
            ('unknown', True, False))

    @with_company
    def test_margin(self):
        "Test the gross margin"
        product = get('product.product', "Touch Screen")
        for lines, text, negative in [
                ([(product, 2, 1000)], '40.00 %', False),
                ([(product, 1, 500)], '-20.00 %', True),
                ([(product, 1, 0)], 'unknown', True),
                ([(product, 1, 1000), ("Service", 1, 500)], '40.00 %', False),
                ]:
            with self.subTest(text=text):
                result = get_measures(
                    create_sale(lines=lines), 'gross_margin')['gross_margin']
                self.assertEqual(
                    (result['text'], result['negative']), (text, negative))
        product.cost_price = Decimal(0)
        product.save()
        result = get_measures(create_sale(), 'gross_margin')['gross_margin']
        self.assertTrue(result['negative'])
        self.assertIn("without cost price: Touch Screen", result['basis'])

    @with_company
    def test_currency(self):
        "Test amounts are in the currency of the company"
        set_rates(Decimal(1))
        currency = create_currency(Decimal(2))
        result = get_measures(
            create_sale(currency=currency), 'gross_margin')['gross_margin']
        self.assertEqual(result['text'], '-20.00 %')
        self.assertIn("USD 500.00", result['basis'])

    @with_company
    def test_missing_rate(self):
        "Test an order without rate of currency is not approved half done"
        pool = Pool()
        Decision = pool.get('sale.review.decision')
        Rule = pool.get('sale.review.rule')
        Signoff = pool.get('sale.review.signoff')
        set_rates(Decimal(1))
        currency = create_currency(Decimal(2))
        create_rule(checklist=create_checklist(
                "A", measure('gross_margin', negative='remark'),
                measure('overdue_amount')).id)
        with as_user("Sven"):
            review, = submit(create_sale(currency=currency))
        signoff = get_signoff(review, "Production")
        Rate = pool.get('currency.currency.rate')
        Rate.delete(list(currency.rates))
        self.assertTrue(Rule.search([]))
        signoff = self.reload(signoff)
        self.assertIn("unknown", signoff.answers[1].measured)
        self.assertIn("Krone", signoff.answers[1].measured)
        answer("Paul", signoff, boolean='yes', remark="Why")
        with self.assertRaises(SignoffError) as cm:
            approve(signoff, "Paul")
        self.assertIn(
            "gross_margin: it cannot be measured (No rate",
            cm.exception.message)
        self.assertEqual(Decision.search([]), [])
        self.assertEqual(
            [a.value for a in Signoff(signoff.id).answers], [None] * 3)
        # The order can still be returned
        sign(signoff, 'return_', "Paul", opinion="No rate.")
        self.assertEqual(
            [a.value for a in Signoff(signoff.id).answers],
            [None, 'unknown', 'USD 0.00'])

    @with_company
    def test_context(self):
        "Test what a client sends besides does not change what is measured"
        self.move(3)
        sale = create_sale()
        names = [m for m in MEASURES if m != 'credit_limit_left']
        expected = get_measures(sale, *names)
        for context in [
                {'date': dt.date(2000, 1, 1)}, {'company': None},
                {'stock_invert': True}, {'stock_date_end': TODAY},
                {'forecast': False}, {'stock_destinations': [-1]},
                {'_datetime': dt.datetime(2000, 1, 1)},
                ]:
            with self.subTest(context=context):
                with Transaction().set_context(context):
                    self.assertEqual(get_measures(sale, *names), expected)

    def move(self, quantity, date=TODAY, do=True, **values):
        "Move the quantity of touch screens from the supplier to the storage"
        pool = Pool()
        Location = pool.get('stock.location')
        Move = pool.get('stock.move')
        supplier, = Location.search([('code', '=', 'SUP')])
        storage, = Location.search([('code', '=', 'STO')])
        product = get('product.product', "Touch Screen")
        move, = Move.create([{
                    'product': product.id,
                    'unit': product.default_uom.id,
                    'quantity': quantity,
                    'from_location': supplier.id,
                    'to_location': storage.id,
                    'planned_date': date,
                    'company': get_company().id,
                    'currency': get_company().currency.id,
                    'unit_price': Decimal(600),
                    **values,
                    }])
        if do:
            Move.do([move])

    @with_company
    def test_stock(self):
        "Test the stock at the shipping date and the earliest delivery"
        pool = Pool()
        product = get('product.product', "Touch Screen")
        later, latest = [TODAY + dt.timedelta(days=d) for d in [5, 9]]
        names = ['stock_available', 'earliest_delivery']

        def check(sale, available, earliest, late):
            results = get_measures(sale, *names)
            stock, delivery = [results[n] for n in names]
            self.assertEqual(
                (stock['value'], stock['negative']),
                (available, not available))
            self.assertEqual(
                (delivery['value'], delivery['negative']), (earliest, late))
            return stock['basis'], delivery['basis']

        def sale(*quantities, **values):
            return create_sale(
                lines=[(product, q, 1000) for q in quantities], **values)

        _, basis = check(sale(10), False, None, True)
        self.assertIn("neither stock nor planned supply", basis)
        check(create_sale(lines=[("Service", 1, 1)]), True, TODAY, False)
        check(sale(-1), True, TODAY, False)

        self.move(6)
        basis, _ = check(sale(5), True, TODAY, False)
        self.assertIn("Touch Screen on", basis)
        self.assertIn("of 5", basis)
        check(sale(6), True, TODAY, False)
        check(sale(5, 5), False, None, True)

        self.move(4, date=latest, do=False)
        check(sale(5, 5), False, latest, True)
        check(sale(10, shipping_date=later), False, latest, True)
        check(sale(10, shipping_date=latest), True, latest, False)

        template = product.template
        template.lead_time = dt.timedelta(days=20)
        template.save()
        twenty = TODAY + dt.timedelta(days=20)
        check(sale(10), True, latest, False)
        _, basis = check(sale(11), False, twenty, False)
        self.assertIn("lead time", basis)
        check(sale(11, shipping_date=latest), False, twenty, True)

        without = sale(1)
        Sale = pool.get('sale.sale')
        Sale.draft([without])
        Sale.write([without], {'warehouse': None})
        check_ = get_measures(Sale(without.id), *names)
        self.assertEqual(
            {m['text'] for m in check_.values()}, {'unknown'})

    @with_company
    def test_overdue(self):
        "Test the overdue amount"
        pool = Pool()
        Account = pool.get('account.account')
        Journal = pool.get('account.journal')
        Line = pool.get('account.move.line')
        Move = pool.get('account.move')
        receivable, revenue = [
            Account.search([
                    ('company', '=', get_company().id),
                    (f'type.{type_}', '=', True),
                    ('closed', '!=', True),
                    ], limit=1)[0]
            for type_ in ['receivable', 'revenue']]
        journal, = Journal.search([('type', '=', 'revenue')], limit=1)
        party = get('party.party', "Acme")
        period = self.create_period()
        for days, amount in [(-10, 100), (-3, 50), (0, 70), (5, 30)]:
            move, = Move.create([{
                        'period': period.id, 'journal': journal.id,
                        'date': TODAY, 'company': get_company().id}])
            Line.create([{
                        'move': move.id, 'account': receivable.id,
                        'party': party.id, 'debit': Decimal(amount),
                        'maturity_date': TODAY + dt.timedelta(days=days),
                        }, {
                        'move': move.id, 'account': revenue.id,
                        'credit': Decimal(amount)}])
        result = get_measures(create_sale(), 'overdue_amount')
        result = result['overdue_amount']
        self.assertEqual(
            (result['value'], result['text'], result['negative']),
            (Decimal(150), 'USD 150.00', True))
        self.assertIn("2 open item(s)", result['basis'])
        other = create_sale(party=create_party("Other"))
        result = get_measures(other, 'overdue_amount')['overdue_amount']
        self.assertEqual(
            (result['value'], result['basis'], result['negative']),
            (Decimal(0), '', False))

    def create_period(self):
        pool = Pool()
        FiscalYear = pool.get('account.fiscalyear')
        Sequence = pool.get('ir.sequence.strict')
        SequenceType = pool.get('ir.sequence.type')
        type_, = SequenceType.search([
                ('name', '=', "Account Move")], limit=1)
        sequence, = Sequence.create([{
                    'name': "Moves", 'sequence_type': type_.id,
                    'company': get_company().id}])
        year, = FiscalYear.create([{
                    'name': "Year", 'company': get_company().id,
                    'start_date': TODAY.replace(month=1, day=1),
                    'end_date': TODAY.replace(month=12, day=31),
                    'move_sequence': sequence.id}])
        FiscalYear.create_period([year])
        return [
            p for p in FiscalYear(year.id).periods
            if p.start_date <= TODAY <= p.end_date][0]

    @with_company
    def test_constant_queries(self):
        "Test the number of queries does not grow with that of the orders"
        check_constant_queries(self)


def check_constant_queries(test, measures=MEASURES):
    pool = Pool()
    Answer = pool.get('sale.review.answer')
    Party = pool.get('party.party')
    Template = pool.get('product.template')
    create_rule(checklist=create_checklist(*map(measure, measures)).id)
    product = get('product.product', "Touch Screen")
    products = [
        t.products[0] for t in Template.copy([product.template] * 8)]
    parties = Party.copy([get('party.party', "Acme")] * 8)
    with as_user("Sven"):
        reviews = submit(*[
                create_sale(
                    lines=[(p, i + 1, 1000), (product, 1, 900)],
                    party=parties[i],
                    shipping_date=TODAY + dt.timedelta(days=i))
                for i, p in enumerate(products)])
    answers = Answer.search([
            ('signoff.review', 'in', [r.id for r in reviews])],
        order=[('signoff', 'ASC')])
    counts = []
    for number in [4, 4, 8]:
        Transaction().cache.clear()
        with count_queries() as queries:
            Answer.get_measured(
                answers[:number * len(measures)], 'measured')
        counts.append(len(queries))
    # The first time fills the caches
    # One for each order would make four more, what is read together with
    # others depends on the order of the ids
    test.assertLess(counts[2], counts[1] + 4)


class CreditLimitTestCase(TestCase):
    "Test the measure of the credit limit"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['sale_order_review', 'sale_credit_limit'],
            create_company, create_chart, create_departments)
        cls.addClassCleanup(drop_db)

    @with_company
    def test_left(self):
        "Test what is left of the credit limit"
        Sale = Pool().get('sale.sale')
        party = get('party.party', "Acme")
        sale = create_sale()

        def check(value, text, negative):
            result = get_measures(
                Sale(sale.id), 'credit_limit_left')['credit_limit_left']
            self.assertEqual(
                (result['value'], result['text'], result['negative']),
                (value, text, negative))
            return result['basis']

        check(None, "no limit", False)
        party.credit_limit_amount = Decimal(1500)
        party.save()
        basis = check(Decimal(500), 'USD 500.00', False)
        self.assertEqual(
            basis,
            "Acme: limit USD 1,500.00, used USD 0.00, this order USD 1,000.00")
        Sale.confirm([create_sale()])
        check(Decimal(-500), 'USD -500.00', True)

    @with_company
    def test_missing_rate(self):
        "Test the limit without rate of currency"
        party = get('party.party', "Acme")
        party.credit_limit_amount = Decimal(1500)
        party.save()
        result = get_measures(
            create_sale(currency=create_currency()),
            'credit_limit_left')['credit_limit_left']
        self.assertTrue(result['error'])
        self.assertIn("No rate", result['basis'])

    @with_company
    def test_constant_queries(self):
        check_constant_queries(self)


class CreditExposureTestCase(TestCase):
    "Test the measure of the credit exposure"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['sale_order_review', 'customer_grading'],
            create_company, create_chart, create_departments)
        cls.addClassCleanup(drop_db)

    @with_company
    def test_missing_rate(self):
        "Test only the order without rate is not measured"
        Sale = Pool().get('sale.sale')
        known, other = create_sale(), create_sale(currency=create_currency())
        measures = Sale.get_review_measures(
            [known, other], ['credit_exposure'])
        result = measures[known]['credit_exposure']
        self.assertEqual(
            (result['value'], result['text']), (1000, 'USD 1,000.00'))
        result = measures[other]['credit_exposure']
        self.assertTrue(result['error'])
        self.assertIn("No rate", result['basis'])

    @with_company
    def test_constant_queries(self):
        check_constant_queries(
            self, [*MEASURES, 'customer_grade', 'credit_exposure'])
