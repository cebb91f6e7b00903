# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import builtins
import datetime as dt
import re
import subprocess
from decimal import Decimal
from unittest.mock import patch

from trytond.model.exceptions import AccessError
from trytond.modules.company_department.report import Document
from trytond.modules.customer_grading.lift import (
    Lift, load_definition, load_detail)
from trytond.pool import Pool
from trytond.pyson import PYSONDecoder
from trytond.transaction import Transaction

from .grading import client, company, grade, party
from .grading_run import (
    TODAY, RunTestCase, add_sale, create_parties, create_scheme, criterion)
from .review import count_queries, with_company
from .test_customer_run import apply, by_sales, compute, get_results, sell
from .test_record import get_texts
from .tools import require, unavailable

D = Decimal
DAY = dt.timedelta(days=1)
CARD = 'customer.grade.card'
MATRIX = 'customer.grading.migration.matrix'


def execute(name, *records, user="Karl", **context):
    "Return the extension and the content that the user gets"
    Report = Pool().get(name, type='report')
    with client(user), Transaction().set_context(**context):
        extension, content, _, _ = Report.execute(
            [r.id for r in records], {'model': records[0].__name__})
    return extension, content


def render(name, *records, user="Karl", **context):
    "Return the HTML of the report"
    with patch.object(
            Document, 'convert', side_effect=lambda _, data: ('html', data)):
        extension, content = execute(name, *records, user=user, **context)
    assert extension == 'html'
    return content


def get_rows(content):
    "Return the lists of the texts of the cells of the rows"
    return [
        get_texts(r)
        for r in re.findall(r'<tr\b[^>]*>(.*?)</tr>', content, re.S)]


def create_file(name, **values):
    File = Pool().get('customer.file')
    file, = File.create([{
                'company': company().id,
                'party': party(name).id,
                **values,
                }])
    return file


def figures(model, user="Karl", **context):
    Model = Pool().get(model)
    with client(user), Transaction().set_context(**context):
        return Model.read(
            [r.id for r in Model.search([])],
            [n for n in Model._fields if n not in {
                    'create_uid', 'create_date', 'write_uid', 'write_date'}])


class ReportTestCase(RunTestCase):

    def assertRow(self, content, *texts):
        "Check that a row has the texts, in this order"
        def has(row):
            row = iter(row)
            return all(t in row for t in texts)
        rows = get_rows(content)
        self.assertTrue(any(has(r) for r in rows), f"{texts} not in {rows}")

    def assertHas(self, content, *texts):
        found = get_texts(content)
        for text in texts:
            with self.subTest(text=text):
                self.assertIn(text, found)


class CardTestCase(ReportTestCase):
    "Test the card that explains the grades of a customer"

    def grade_two(self, **values):
        """Return the applied run of a scheme of which the sales give 60 % and
        the number of orders 40 %"""
        thresholds = [('create', [{
                        'grade': grade('class', c).id,
                        'minimum_score': D(m),
                        } for c, m in [('A', 70), ('B', 50), ('C', 0)]])]
        return apply(compute(create_scheme(
                    criterion(
                        'sales_amount', 60, 'linear', 0, 100, name="Sales"),
                    criterion(
                        'order_count', 40, 'band', (None, 20), (2, 50),
                        (5, 100), name="Orders"),
                    thresholds=thresholds, **values)))

    @with_company
    def test_points(self):
        "Test the card shows where the points come from"
        sell(Acme=50)
        run = self.grade_two()
        content = render(CARD, party("Acme"))
        # 50 x 60 % + 20 x 40 %
        self.assertRow(
            content, "Sales", "$50.00", "1", "50.00", "60.0 %", "30.00")
        self.assertRow(content, "Orders", "1", "20.00", "40.0 %", "8.00")
        self.assertRow(content, "Total", "38.00")
        grade_ = grade('class', 'C')
        self.assertRow(
            content, "Class", f"C – {grade_.name}",
            f"Grading Run – {run.number}")
        self.assertHas(content, "Acme", "Dunder Mifflin")

    @with_company
    def test_lift(self):
        "Test the card tells what would lift the grade"
        sell(Acme=50)
        self.grade_two()
        content = render(CARD, party("Acme"))
        # B needs 50, 12 more: 70 of the sales, or 50 of the orders
        self.assertTrue(any(
                "a score of 50.00: 12.00 more" in t
                for t in get_texts(content)), get_texts(content))
        self.assertRow(content, "Sales", "≥ $70.00", "12.00", "≥ $70.00")
        self.assertRow(content, "Orders", "≥ 2", "12.00", "≥ 2")
        self.assertEqual(content.count('class="marked"'), 2)

    @with_company
    def test_lift_not_alone(self):
        "Test what does not suffice alone is not marked"
        sell(Acme=10)
        self.grade_two()
        content = render(CARD, party("Acme"))
        # 6 + 8 points: 36 are missing to 50. The sales can give 54 more, the
        # orders 12 with the next step and 32 with all
        self.assertRow(content, "Sales", "≥ $70.00", "36.00", "≥ $70.00")
        self.assertRow(content, "Orders", "≥ 2", "12.00", "")
        self.assertEqual(content.count('class="marked"'), 1)

    @with_company
    def test_lift_holds(self):
        "Test the scheme gives the better grade for what is promised"
        sell(Acme=50)
        run = self.grade_two(hysteresis=D(5))
        result = get_results(run)['Acme']
        definition = load_definition(run.definition)
        detail = load_detail(result.detail)
        lift = Lift(
            definition, detail, result.score, result.computed_grade.id)
        # The next grade needs the margin too
        self.assertEqual((lift.score, lift.missing), (55, 17))
        (next_, alone), (next_orders, alone_orders) = lift.steps
        self.assertEqual(alone.grade, grade('class', 'B').id)
        self.assertAlmostEqual(alone.value, D('78.3334'))
        self.assertEqual(next_.gain, 17)
        self.assertEqual(
            (next_orders.operator, next_orders.value, next_orders.gain),
            ('>=', 2, 12))
        self.assertEqual(alone_orders.value, 5)

    @with_company
    def test_lift_best(self):
        "Test there is nothing to lift for the best"
        sell(Acme=200)
        apply(compute(by_sales()))
        self.assertHas(
            render(CARD, party("Acme")), "There is no better grade.")

    @with_company
    def test_lift_knock_out(self):
        "Test what has knocked out is what would lift the grade"
        sell(Acme=200)
        apply(compute(create_scheme(
                    criterion('sales_amount', 50, 'linear', 0, 100),
                    criterion(
                        'order_count', 50, 'linear', 0, 1, name="Orders",
                        knock_out=True, knock_out_operator='<=',
                        knock_out_value=D(1),
                        knock_out_grade=grade('class', 'C').id))))
        content = render(CARD, party("Acme"))
        self.assertRow(content, "Orders", "1", "100.00", "knocked out")
        self.assertRow(content, "Orders", "> 1", "0.00", "> 1")
        self.assertEqual(content.count('class="marked"'), 1)

    @with_company
    def test_lift_ranked(self):
        "Test the values by which others are ranked are those to reach"
        sell(Acme=600, Borg=250, Coil=100)
        extra, = create_parties(1)
        add_sale(extra, TODAY - DAY, 50)
        apply(compute(create_scheme(criterion(
                        'sales_amount', 100, 'pareto',
                        (None, 100), ('0.8', 50), ('0.95', 0),
                        name="Share"))))
        # Coil has half of the points. Those who are better than Borg have
        # less than 80 %
        content = render(CARD, party("Coil"))
        self.assertRow(content, "Share", "≥ $250.00", "50.00", "≥ $250.00")

    @with_company
    def test_trend(self):
        "Test the card shows the last results and draws them"
        scheme = by_sales()
        for amount in [20, 30, 45]:
            sell(Acme=amount)
            with patch(
                    'trytond.modules.customer_grading.run.Run._check_apply'):
                apply(compute(scheme))
        content = render(CARD, party("Acme"))
        for score in ['20.00', '50.00', '95.00']:
            self.assertRow(content, score)
        self.assertEqual(content.count('<circle'), 3)
        self.assertEqual(content.count('<polyline'), 1)
        # As many grades in the history, the current one first
        self.assertRow(content, "Class", f"C – {grade('class', 'C').name}")

    @with_company
    def test_no_grade(self):
        "Test the card of who has no grade"
        content = render(CARD, party("Acme"))
        self.assertHas(content, "The customer has no grade.")
        self.assertNotIn("Customer File", content)

    @with_company
    def test_override(self):
        "Test the card tells who gave the grade instead of a run"
        pool = Pool()
        Override = pool.get('customer.grade.override')
        sell(Acme=10)
        apply(compute(by_sales()))
        with client("Anna"):
            override, = Override.create([{
                        'company': company().id,
                        'party': party("Acme").id,
                        'axis': 'class',
                        'grade': grade('class', 'A').id,
                        'reason': "A <strategic> customer",
                        'start_date': TODAY,
                        'end_date': TODAY + 30 * DAY,
                        }])
            Override.request([override])
        with client("Alma"):
            Override.approve([Override(override.id)])
        content = render(CARD, party("Acme"))
        self.assertRow(
            content, "Class", f"A – {grade('class', 'A').name}")
        self.assertTrue(any(
                t.startswith("Override – until")
                for t in get_texts(content)))
        self.assertHas(content, "A <strategic> customer")
        self.assertRow(content, "Class", "A", "Approved")

    @with_company
    def test_file(self):
        "Test the card of a file has what the file says"
        file = create_file("Acme")
        content = render(CARD, file)
        self.assertIn("Customer File", content)
        self.assertRow(content, "State", "Draft")
        self.assertRow(render(CARD, party("Acme")), "State", "Draft")

    @with_company
    def test_file_confidential(self):
        "Test who may not read the file gets nothing of it"
        pool = Pool()
        RuleGroup = pool.get('ir.rule.group')
        file = create_file("Acme")
        RuleGroup.create([{
                    'name': "Nobody",
                    'model': 'customer.file',
                    'global_p': True,
                    'rules': [('create', [{
                                    'domain': '[["id", "=", -1]]'}])],
                    }])
        content = render(CARD, party("Acme"))
        self.assertHas(content, "Acme")
        self.assertNotIn("Customer File", content)
        with self.assertRaises(AccessError):
            render(CARD, file)

    @with_company
    def test_access(self):
        "Test who may print"
        sell(Acme=10)
        run = apply(compute(by_sales()))
        for user in ["Karl", "Cora", "Anna", "Audrey"]:
            for name, record in [(CARD, party("Acme")), (MATRIX, run)]:
                with self.subTest(user=user, report=name):
                    self.assertHas(
                        render(name, record, user=user), record.rec_name)
        for user in ["Sven", "Olga"]:
            for name, record in [(CARD, party("Acme")), (MATRIX, run)]:
                with self.subTest(user=user, report=name), \
                        self.assertRaises(AccessError):
                    render(name, record, user=user)

    @with_company
    def test_companies(self):
        "Test nobody prints what is of another company"
        sabre = company("Sabre")
        sell(Acme=80)
        run = apply(compute(by_sales()))
        content = render(CARD, party("Acme"), user="Zoe")
        self.assertHas(content, "Sabre", "The customer has no grade.")
        for record, name, context in [
                (party("Acme"), CARD, {'company': company().id}),
                (party("Acme"), CARD, {'company': None}),
                (create_file("Acme"), CARD, {}),
                (run, MATRIX, {}),
                ]:
            with self.subTest(record=record), \
                    self.assertRaises(AccessError):
                render(name, record, user="Zoe", **context)
        with self.assertRaises(AccessError):
            render(CARD, party("Acme"), company=sabre.id)

    @with_company
    def test_several(self):
        "Test the cards of several customers cost no more queries"
        sell(Acme=80, Borg=50, Coil=10)
        self.grade_two()
        counts = []
        for names in [["Acme"], ["Acme", "Borg", "Coil"]]:
            with count_queries() as queries:
                content = render(CARD, *map(party, names))
            counts.append(len(queries))
            self.assertEqual(
                content.count('<div class="document">'), len(names))
        self.assertLessEqual(counts[1], counts[0] + 12)

    @with_company
    def test_language(self):
        "Test the card is in the language of the user"
        sell(Acme=50)
        apply(compute(by_sales()))
        content = render(CARD, party("Acme"), language='de')
        self.assertIn('lang="de"', content)

    @with_company
    def test_pdf(self):
        "Test the PDF has the drawing and the texts"
        try:
            import weasyprint  # noqa: F401
        except (ImportError, OSError) as exception:
            unavailable(f"WeasyPrint cannot be imported: {exception}")
        program = require('pdftotext')
        scheme = by_sales()
        for amount in [20, 45]:
            sell(Acme=amount)
            with patch(
                    'trytond.modules.customer_grading.run.Run._check_apply'):
                run = apply(compute(scheme))
        for name, record, expected in [
                (CARD, party("Acme"), "What Would Lift the Grade"),
                (MATRIX, run, "From Grade to Grade"),
                ]:
            extension, content = execute(name, record)
            self.assertEqual(extension, 'pdf')
            text = subprocess.run(
                [program, '-layout', '-', '-'], input=content,
                capture_output=True, check=True).stdout.decode()
            self.assertIn(expected, text)
            self.assertIn("Dunder Mifflin", text)
            self.assertRegex(text, r'1 ?/ ?\d')

    @with_company
    def test_no_pdf(self):
        "Test HTML that says so without the library of WeasyPrint"
        import_ = builtins.__import__

        def without_library(name, *args, **kwargs):
            if name == 'weasyprint':
                raise OSError("cannot load library 'libpango'\nAnd more")
            return import_(name, *args, **kwargs)
        with patch.object(builtins, '__import__', without_library):
            extension, content = execute(CARD, party("Acme"))
        self.assertEqual(extension, 'html')
        self.assertIn("The PDF could not be made", content)

    @with_company
    def test_matrix(self):
        "Test the matrix shows who moved from which grade to which"
        Grade = Pool().get('customer.grade')
        ids = create_parties(4)
        Grade.assign(
            company(), 'class',
            {i: grade('class', c).id for i, c in zip(ids, 'ABCC')}, TODAY,
            'run')
        for party_, amount in zip(ids, [10, 80, 80, 10]):
            add_sale(party_, TODAY - DAY, amount)
        sell(Acme=80)
        run = compute(by_sales())
        content = render(MATRIX, run)
        self.assertRow(content, "From / To", "A", "B", "C", "None", "Total")
        self.assertRow(content, "A", "", "", "1 (20.0 %)", "", "1 (20.0 %)")
        self.assertRow(content, "B", "1 (20.0 %)", "", "", "1 (20.0 %)")
        self.assertRow(
            content, "C", "1 (20.0 %)", "", "1 (20.0 %)", "2 (40.0 %)")
        self.assertRow(content, "None", "1 (20.0 %)", "", "1 (20.0 %)")
        self.assertRow(
            content, "Total", "3 (60.0 %)", "", "2 (40.0 %)", "", "5")
        # Only those from A to C and from C to A
        moved = [r for r in get_rows(content) if len(r) == 6
            and r[0].startswith("Customer 0")]
        self.assertEqual(
            sorted((r[0], r[3]) for r in moved), [
                ('Customer 0001', '-2'), ('Customer 0003', '+2')])

    @with_company
    def test_matrix_still(self):
        "Test the matrix says so when nobody moved far"
        sell(Acme=80)
        run = compute(by_sales())
        self.assertHas(render(MATRIX, run), "Nobody moved that far.")


class FigureTestCase(ReportTestCase):
    "Test the figures of revenue and grades"

    @with_company
    def test_pareto(self):
        "Test the customers stand in the order of their revenue"
        sell(Acme=600, Borg=300)
        add_sale(party("Coil"), TODAY - DAY, 60)
        add_sale(party("Coil"), TODAY - 2 * DAY, 40)
        add_sale(party("Coil"), TODAY - DAY, 999, state='quotation')
        extra, = create_parties(1)
        add_sale(extra, TODAY - DAY, -50)
        Grade = Pool().get('customer.grade')
        Grade.assign(
            company(), 'class', {party("Acme").id: grade('class', 'A').id},
            TODAY, 'run')
        rows = figures('customer.grading.pareto')
        self.assertEqual(
            [(r['position'], r['party'], r['number'], r['revenue'])
                for r in rows], [
                (1, party("Acme").id, 1, D(600)),
                (2, party("Borg").id, 1, D(300)),
                (3, party("Coil").id, 2, D(100)),
                (4, extra, 1, D(-50))])
        self.assertEqual(
            [round(r['share'], 4) for r in rows], [.6, .3, .1, 0])
        self.assertEqual(
            [round(r['cumulative'], 4) for r in rows], [.6, .9, 1, 1])
        self.assertEqual(
            [r['class_'] for r in rows],
            [grade('class', 'A').id, None, None, None])

    @with_company
    def test_period(self):
        "Test the revenue is that of the period"
        for days, amount in [(1, 1), (10, 20), (20, 300)]:
            add_sale(party("Acme"), TODAY - days * DAY, amount)
        for start, end, amount in [
                (None, None, 321), (10, None, 21), (None, 10, 320),
                (10, 10, 20), (9, 2, None)]:
            rows = figures(
                'customer.grading.pareto',
                from_date=start and TODAY - start * DAY,
                to_date=end and TODAY - end * DAY)
            self.assertEqual(
                [r['revenue'] for r in rows], [amount] if amount else [])

    @with_company
    def test_currency(self):
        "Test the revenue is in the currency of the company"
        pool = Pool()
        Currency = pool.get('currency.currency')
        Rate = pool.get('currency.currency.rate')
        euro, = Currency.create([{
                    'name': "Euro", 'symbol': '€', 'code': 'EUR',
                    'rates': [('create', [{
                                    'date': TODAY - 100 * DAY,
                                    'rate': D('0.5')}])]}])
        if not company().currency.rates:
            Rate.create([{
                        'currency': company().currency.id,
                        'date': TODAY - 100 * DAY, 'rate': D(1)}])
        add_sale(party("Acme"), TODAY - DAY, 50, currency=euro)
        rows = figures('customer.grading.pareto')
        self.assertEqual([r['revenue'] for r in rows], [D(100)])

    @with_company
    def test_by_grade(self):
        "Test how many have which grade and what they buy"
        sell(Acme=600, Borg=300, Coil=100)
        extra, = create_parties(1)
        Grade = Pool().get('customer.grade')
        Grade.assign(
            company(), 'class', {
                party("Acme").id: grade('class', 'A').id,
                party("Borg").id: grade('class', 'B').id,
                extra: grade('class', 'B').id}, TODAY, 'run')
        rows = {
            (r['axis'], r['grade']): (
                r['customers'], r['revenue'], r['share'],
                r['customer_share'])
            for r in figures('customer.grading.reporting.grade')}
        self.assertEqual(rows, {
                ('class', grade('class', 'A').id): (1, D(600), .6, .25),
                ('class', grade('class', 'B').id): (2, D(300), .3, .5),
                ('class', None): (1, D(100), .1, .25),
                ('level', None): (4, D(1000), 1, 1),
                ('credit', None): (4, D(1000), 1, 1),
                })

    @with_company
    def test_open(self):
        "Test the figures lead to what they are made of"
        pool = Pool()
        Pareto = pool.get('customer.grading.pareto')
        ByGrade = pool.get('customer.grading.reporting.grade')
        Open = pool.get('customer.grading.reporting.open', type='wizard')
        Sale = pool.get('sale.sale')
        Party = pool.get('party.party')
        sell(Acme=600, Borg=300)
        add_sale(party("Acme"), TODAY - 50 * DAY, 10)
        add_sale(party("Acme"), TODAY - DAY, 10, state='draft')
        Grade = pool.get('customer.grade')
        Grade.assign(
            company(), 'class', {party("Borg").id: grade('class', 'B').id},
            TODAY, 'run')

        def open_(Model, record):
            with Transaction().set_context(
                    active_model=Model.__name__, active_id=record.id,
                    active_ids=[record.id]):
                session, _, _ = Open.create()
                data = {}
                result = Open.execute(session, data, 'start')
                (action, _), = result['actions']
                Open.delete(session)
            return PYSONDecoder().decode(action['pyson_domain'])

        with client("Anna"), Transaction().set_context(
                from_date=TODAY - 10 * DAY, to_date=TODAY):
            pareto, = Pareto.search([('party', '=', party("Acme").id)])
            domain = open_(Pareto, pareto)
            figures_ = {
                r.grade.code if r.grade else None: r
                for r in ByGrade.search([('axis', '=', 'class')])}
            domains = {c: open_(ByGrade, r) for c, r in figures_.items()}
        self.assertEqual(
            [s.untaxed_amount_cache for s in Sale.search(domain)], [D(600)])
        self.assertEqual(Party.search(domains['B']), [party("Borg")])
        self.assertEqual(Party.search(domains[None]), [party("Acme")])

    @with_company
    def test_access(self):
        "Test who reads figures, and of which company"
        sabre = company("Sabre")
        sell(Acme=80)
        add_sale(party("Borg"), TODAY - DAY, 10, company=sabre)
        for model in [
                'customer.grading.pareto', 'customer.grading.reporting.grade']:
            Model = Pool().get(model)
            for user in ["Karl", "Cora", "Anna", "Audrey"]:
                with self.subTest(model=model, user=user):
                    rows = figures(model, user=user)
                    self.assertTrue(rows)
                    self.assertEqual(
                        {r['company'] for r in rows}, {company().id})
                    self.assertEqual(
                        figures(model, user=user, company=sabre.id), [])
            rows = figures(model, user="Zoe")
            self.assertEqual({r['company'] for r in rows}, {sabre.id})
            for user in ["Sven", "Olga"]:
                with self.subTest(model=model, user=user), \
                        self.assertRaises(AccessError):
                    figures(model, user=user)
            with client("Anna"):
                record, *_ = Model.search([])
                for method, *args in [
                        ('create', [{}]),
                        ('write', [record], {'revenue': D(1)}),
                        ('delete', [record])]:
                    with self.assertRaises(
                            (AccessError, NotImplementedError)):
                        getattr(Model, method)(*args)

    @with_company
    def test_queries(self):
        "Test the figures cost the same for many customers"
        figures('customer.grading.pareto')
        counts = []
        for number in [1, 20]:
            for party_ in create_parties(number):
                add_sale(party_, TODAY - DAY, 10)
            with count_queries() as queries:
                figures('customer.grading.pareto')
            counts.append(len(queries))
        self.assertLessEqual(counts[1], counts[0])
