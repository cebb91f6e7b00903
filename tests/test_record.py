# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import builtins
import datetime as dt
import html
import re
import subprocess
import sys
from unittest.mock import patch

from trytond.model.exceptions import AccessError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import (
    approve, as_user, count_queries, create_departments, create_rule,
    create_sale, delegate, department, employee, get_company, get_signoff,
    sign, submit, with_company)
from .test_change import (
    change_line, create_amendment, create_order, submit_amendment, validate)
from .test_release import allow, confirm, release
from .tools import require, unavailable

TODAY = dt.date.today()
LATER = TODAY + dt.timedelta(days=30)
ORDER = 'sale.review.record'
CONTRACT = 'sale.review.contract_record'
CHANGE = 'sale.review.change_record'


def execute(name, *records):
    "Return the extension and the content of the report on the records"
    Report = Pool().get(name, type='report')
    extension, content, _, _ = Report.execute(
        [r.id for r in records], {'model': records[0].__name__})
    return extension, content


def render(name, *records):
    "Return the HTML of the report on the records"
    Report = Pool().get(name, type='report')
    with patch.object(
            Report, 'convert', side_effect=lambda _, data: ('html', data)):
        extension, content = execute(name, *records)
    assert extension == 'html'
    return content


def get_texts(content):
    "Return the texts of the cells, the headers and the paragraphs"
    return [
        ' '.join(html.unescape(re.sub('<[^>]*>', '', t)).split())
        for t in re.findall(
            r'<(?:td|th|p|h\d|div)\b[^>]*>(.*?)(?=</?(?:td|th|p|h\d|div)\b)',
            content, re.S)]


def get_rows(content):
    "Return the lists of the texts of the cells of the rows"
    return [
        get_texts(r) for r in re.findall(r'<tr>(.*?)</tr>', content, re.S)]


class RecordTestCase(TestCase):
    "Test the records that are printed"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['sale_order_review', 'sale_amendment'],
            create_company, create_chart, create_departments)
        cls.addClassCleanup(drop_db)

    def assertHas(self, content, *texts):
        "Check that the texts are cells, headers or paragraphs of the HTML"
        found = get_texts(content)
        for text in texts:
            with self.subTest(text=text):
                self.assertIn(text, found)

    def assertRow(self, content, *texts):
        "Check that a row has the texts, in this order"
        def has(row):
            row = iter(row)
            return all(t in row for t in texts)
        self.assertTrue(
            any(has(r) for r in get_rows(content)),
            f"{texts} not in {get_rows(content)}")

    def create_rounds(self):
        """Create a sale that Fred returns on behalf of Paul, and of which
        Finance approves the second round on a condition"""
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        Checklist = pool.get('sale.review.checklist')
        Condition = pool.get('sale.review.condition')
        Sale = pool.get('sale.sale')
        Signoff = pool.get('sale.review.signoff')
        checklist, = Checklist.copy(Checklist.search([
                    ('name', '=', "Draft Contract Review")]))
        create_rule("Sales", aspects=['payment'], stage=1)
        create_rule("Production", stage=2)
        create_rule("Finance", stage=3, checklist=checklist.id)
        with as_user("Sven"):
            sale = create_sale(reference="PO-4711")
            review, = submit(sale)
        approve(get_signoff(review, "Sales"), "Sigrid")
        delegate("Paul", "Fred", TODAY, LATER)
        sign(
            get_signoff(review, "Production"), 'return_', "Fred",
            opinion="Too early <for> us.")
        with as_user("Sven"):
            sale = Sale(sale.id)
            sale.shipping_date = LATER
            sale.save()
            Sale.quote([sale])
            review, = submit(Sale(sale.id))
        approve(get_signoff(review, "Production"), "Petra")
        signoff = get_signoff(review, "Finance")
        with as_user("Frida"), Transaction().set_context(_check_access=True):
            lawful, *others = signoff.answers
            Signoff.write([signoff], {
                    'answers': [
                        ('write', list(map(int, others)), {'boolean': 'yes'}),
                        ('write', [lawful.id], {
                                'boolean': 'no',
                                'remark': "Licence to come",
                                }),
                        ]})
            Condition.create([{
                        'signoff': signoff.id,
                        'name': "Licence received",
                        'department': department("Sales").id,
                        'employee': employee("Sven").id,
                        'due_date': LATER,
                        'gate': 'shipment',
                        }])
            Attachment.create([{
                        'name': "application.pdf",
                        'resource': str(signoff),
                        }])
        sign(signoff, 'approve_with_conditions', "Frida")
        with as_user("Sigrid"), Transaction().set_context(_check_access=True):
            condition, = signoff.conditions
            Condition.write([condition], {'note': "Licence 12 arrived"})
            Condition.do([condition])
        return Sale(sale.id)

    @with_company
    def test_order(self):
        "Test the order review record holds all that was recorded"
        sale = self.create_rounds()
        second, first = sale.reviews
        content = render(ORDER, sale)
        later = LATER.strftime('%m/%d/%Y')
        today = TODAY.strftime('%m/%d/%Y')
        self.assertHas(
            content,
            "Dunder Mifflin", "Order Review Record", f"Number {sale.rec_name}",
            "Acme", "PO-4711", "U.S. Dollar", "$1,000.00",
            "Round 1: Superseded", "Round 2: Approved",
            first.digest, second.digest, "Sven",
            "Sales – Approved", "Production – Returned", "Finance – Cancelled",
            "Sales – Carried Over", "Finance – Approved with Conditions",
            "Cancelled because it was returned by Production.",
            f"Carried over from round 1 (review {first.rec_name}): "
            "what the department signs for has not changed.",
            "application.pdf")
        self.assertRow(content, "Production", "Returned", "Fred for Paul")
        self.assertRow(
            content, "Fred", "Paul",
            f"Substitute from {today} to {later}, Head",
            "Returned", "Too early <for> us.", first.digest)
        self.assertRow(content, "Petra", "Member", "Approved", second.digest)
        self.assertRow(content, "Sigrid", "Head", "Approved", first.digest)
        self.assertRow(content, "A. The contract is lawful", "No",
            "Licence to come")
        self.assertRow(
            content, "Licence received", "Sales", "Sven", later, "Shipment",
            "Done", "Sigrid", "Licence 12 arrived")
        self.assertRow(
            content, "Shipping Date", "∅", later, "Too early <for> us.",
            "Company", "Sven", "1")
        for text in [
                "Shipping Date: " + later, "Product: Touch Screen",
                "Unit Price: 1,000", "Party: Acme"]:
            with self.subTest(text=text):
                self.assertTrue(
                    any(text in t for t in get_texts(content)), text)

    @with_company
    def test_release(self):
        "Test the emergency release is printed with what it bypassed"
        create_rule("Production")
        with as_user("Sven"):
            sale = create_sale()
        allow()
        release(sale)
        confirm(sale)
        for name in [ORDER, CONTRACT]:
            with self.subTest(name=name):
                content = render(name, sale)
                self.assertHas(content, "Emergency Releases")
                self.assertRow(content, "Reason", "Fire at the customer")
                self.assertRow(content, "Released By", "Olga")
                self.assertTrue(any(
                        "Production" in t for t in get_texts(content)))
        self.assertNotIn("Emergency Releases", render(CHANGE, sale))

    @with_company
    def test_review(self):
        "Test a review prints its own round only"
        sale = self.create_rounds()
        second, first = sale.reviews
        content = render(ORDER, first)
        self.assertHas(content, "Round 1: Superseded", "Acme")
        self.assertNotIn("Round 2", content)
        self.assertHas(render(CONTRACT, second), "Round 2: Approved")

    @with_company
    def test_several(self):
        "Test several orders are printed one after the other"
        sales = [create_sale(reference=r) for r in ["First", "Second"]]
        content = render(ORDER, *sales)
        self.assertHas(content, "First", "Second")
        self.assertEqual(
            get_texts(content).count("There is nothing on record."), 2)

    @with_company
    def test_contract(self):
        "Test the draft contract review record holds the nine points"
        sale = self.create_rounds()
        content = render(CONTRACT, sale)
        self.assertHas(
            content, "Draft Contract Review Record", "Round 2: Approved")
        answers = [
            r for r in get_rows(content)
            if re.match('[A-I][.] ', ''.join(r[:1]))]
        self.assertEqual([r[0][0] for r in answers], list('ABCDEFGHI'))
        self.assertEqual([r[1] for r in answers], ["No"] + ["Yes"] * 8)
        self.assertNotIn("Round 1", content)

    @with_company
    def test_measure(self):
        "Test what was measured is printed as it was when it was signed"
        pool = Pool()
        Checklist = pool.get('sale.review.checklist')
        Product = pool.get('product.product')
        checklist, = Checklist.create([{
                    'name': "Margin",
                    'points': [('create', [{
                                    'question': "Gross margin",
                                    'answer_type': 'measure',
                                    'measure': 'gross_margin',
                                    }])],
                    }])
        create_rule(checklist=checklist.id)
        with as_user("Sven"):
            review, = submit(create_sale())
        self.assertNotIn("40.00 %", render(CONTRACT, review))
        approve(get_signoff(review, "Production"), "Paul")
        product, = Product.search([])
        product.cost_price = 1
        product.save()
        self.assertRow(
            render(CONTRACT, review), "Gross margin", "40.00 %",
            "revenue USD 1,000.00, cost USD 600.00")

    @with_company
    def test_requirements(self):
        "Test requirements are printed by kind with their confirmation"
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        sale = create_sale(quote=False)
        *_, oral, open_ = Requirement.create([{
                    'sale': sale.id,
                    'kind': kind,
                    'text': text,
                    'source': "Call",
                    'oral': oral,
                    'confirmed_how': 'email' if confirmed else None,
                    'confirmed_with': "Mr. Li" if confirmed else None,
                    } for kind, text, oral, confirmed in [
                    ('own', "Two samples", False, False),
                    ('statutory', "CE mark", False, False),
                    ('implied', "Bright", True, True),
                    ('stated', "Blue", True, False)]])
        with as_user("Sven"):
            Requirement.confirm([Requirement(oral.id)])
        content = render(CONTRACT, sale)
        rows = [
            r for r in get_rows(content)
            if r[0] in {"Own", "Statutory", "Implied", "Stated"}]
        self.assertEqual([r[:4] for r in rows], [
                ["Stated", "Blue", "Call", "Oral, not confirmed"],
                ["Implied", "Bright", "Call", "Oral, confirmed"],
                ["Statutory", "CE mark", "Call", "In writing"],
                ["Own", "Two samples", "Call", "In writing"],
                ])
        self.assertEqual(rows[1][4:7], ["E-Mail", "Mr. Li", "Sven"])

    @with_company
    def test_requirements_round(self):
        "Test a round is printed with the requirements that it had"
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        Sale = pool.get('sale.sale')
        create_rule()
        with as_user("Sven"):
            sale = create_sale(quote=False)
            changed, deleted, kept = Requirement.create([{
                        'sale': sale.id,
                        'kind': 'stated',
                        'text': text,
                        'oral': oral,
                        'confirmed_how': 'email' if oral else None,
                        'confirmed_with': "Mr. Li" if oral else None,
                        } for text, oral in [
                        ("Blue", False), ("Bright", True), ("Thin", True)]])
            Requirement.confirm(Requirement.browse([deleted, kept]))
            Sale.quote([Sale(sale.id)])
            first, = submit(Sale(sale.id))
        sign(
            get_signoff(first, "Production"), 'return_', "Paul",
            opinion="No.")
        with as_user("Sven"):
            Requirement.delete([Requirement(deleted.id)])
            Requirement.write([Requirement(changed.id)], {
                    'text': "Red",
                    'oral': True,
                    'confirmed_how': 'email',
                    'confirmed_with': "Mr. Li",
                    })
            Requirement.confirm([Requirement(changed.id)])
            Sale.quote([Sale(sale.id)])
            second, = submit(Sale(sale.id))
        rows = [
            r[:3] for r in get_rows(render(CONTRACT, first, second))
            if r[0] == "Stated"]
        self.assertEqual(rows, [
                ["Stated", "Blue", "In writing"],
                ["Stated", "Bright", "Oral, deleted since"],
                ["Stated", "Thin", "Oral, confirmed"],
                ["Stated", "Red", "Oral, confirmed"],
                ["Stated", "Thin", "Oral, confirmed"],
                ])

    @with_company
    def test_names(self):
        "Test what is renamed afterwards is printed as it was called"
        create_rule()
        with as_user("Sven"):
            sale = create_sale()
            review, = submit(sale)
        approve(get_signoff(review, "Production"), "Paul")
        product, = {l.product for l in sale.lines}
        product.template.name = "Renamed"
        product.template.save()
        production = department("Production")
        production.name = "Renamed"
        production.save()
        content = render(ORDER, review)
        self.assertHas(content, "Production – Approved")
        self.assertIn("Touch Screen", content)
        self.assertNotIn("Renamed", content)

    @with_company
    def test_attachments(self):
        "Test the names of all attachments are printed"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        Document = pool.get('sale.processing.document')
        Sale = pool.get('sale.sale')
        create_rule("Production", aspects=['products'])
        create_rule("Finance", stage=2)
        with as_user("Sven"):
            sale = create_sale(quote=False, processing=True)
            order, pattern = Attachment.create([{
                        'name': name,
                        'resource': str(sale),
                        } for name in ["order.pdf", "pattern.pdf"]])
            Document.create([{
                        'sale': sale.id,
                        'kind': 'sample',
                        'attachment': pattern.id,
                        }])
            Sale.quote([Sale(sale.id)])
            review, = submit(Sale(sale.id))
        signoff = get_signoff(review, "Production")
        Attachment.create([{
                    'name': "drawing.pdf",
                    'resource': str(signoff),
                    }])
        approve(signoff, "Paul")
        sign(get_signoff(review, "Finance"), 'return_', "Frida", opinion="No.")
        with as_user("Sven"):
            Sale.quote([Sale(sale.id)])
            review, = submit(Sale(sale.id))
        content = render(ORDER, review)
        self.assertHas(content, "order.pdf pattern.pdf", "drawing.pdf")
        self.assertRow(content, "Sample", "pattern.pdf")

    @with_company
    def test_inquiries(self):
        "Test inquiries are printed with their replies"
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        Signoff = pool.get('sale.review.signoff')
        create_rule()
        with as_user("Sven"):
            review, = submit(create_sale())
        signoff = get_signoff(review, "Production")
        with as_user("Paul"):
            inquiry, = Signoff.pause(
                [signoff], 'customer', 'email', "Which glass?", LATER,
                person="Mr. Li")
        with as_user("Sven"):
            Inquiry.record_reply([inquiry], "Hardened.", person="Ms. Wu")
        content = render(ORDER, review)
        self.assertHas(
            content, "Which glass?", "Customer", "Mr. Li", "E-Mail", "Paul",
            "Hardened.", "Ms. Wu", "Sven", "Answered")

    @with_company
    def test_change(self):
        "Test the change review record holds requests, refusals and results"
        pool = Pool()
        Department = pool.get('company.department')
        Acknowledgement = pool.get('sale.change.acknowledgement')
        Department.write([department("Finance")], {'executes_orders': True})
        create_rule(subjects=['sale.sale', 'sale.amendment'])
        sale = create_order()
        amendment = create_amendment(
            sale, change_line(sale.lines[0], quantity=3))
        review = submit_amendment(amendment)
        sign(
            get_signoff(review, "Production"), 'return_', "Paul",
            opinion="No glass.")
        refused = render(CHANGE, amendment)
        self.assertHas(refused, "Round 1: Returned", "Production – Returned")
        self.assertRow(refused, "Paul", "Head", "Returned", "No glass.")
        review = submit_amendment(amendment)
        approve(get_signoff(review, "Production"), "Petra")
        validate(amendment)
        acknowledgement, = Acknowledgement.search([
                ('origin', '=', str(amendment))])
        with as_user("Frida"):
            Acknowledgement.acknowledge([acknowledgement])
        for record in [sale, amendment]:
            content = render(CHANGE, record)
            self.assertHas(
                content, "Change Review Record", "Call of the customer",
                "Customer", "Round 1: Superseded", "Round 2: Approved",
                amendment.rec_name,
                "Untaxed amount: $1,000.00 → $3,000.00 1 move(s) planned again"
                " 1 draft invoice(s) computed again")
            self.assertRow(content, "Touch Screen", "Quantity", "1", "3")
            self.assertRow(
                content, "Touch Screen", "Quantity", "1", "3",
                "Call of the customer", "Customer", "Sven", "1")
            self.assertRow(content, "Paul", "Head", "Returned", "No glass.")
            self.assertRow(content, amendment.rec_name, "Finance", "Frida")
        self.assertNotIn(
            "Call of the customer", render(ORDER, sale))

    @with_company
    def test_configuration(self):
        "Test nothing that is configured afterwards changes what is printed"
        pool = Pool()
        Checklist = pool.get('sale.review.checklist')
        Rule = pool.get('sale.review.rule')
        sale = self.create_rounds()
        before = [render(n, sale) for n in [ORDER, CONTRACT, CHANGE]]
        rules = Rule.search([])
        checklist, = {r.checklist for r in rules if r.checklist}
        checklist.name = "New"
        checklist.points = checklist.points[1:]
        checklist.points[0].question = "New"
        checklist.save()
        other, = Checklist.copy([checklist])
        Rule.write(rules, {
                'name': "New",
                'stage': 9,
                'signatories': 'all',
                'checklist': other.id,
                'aspects': ['dates'],
                })
        after = [render(n, sale) for n in [ORDER, CONTRACT, CHANGE]]

        def clean(contents):
            return [
                [t for t in get_texts(c) if not t.startswith("Printed on")]
                for c in contents]
        self.assertEqual(clean(before), clean(after))

    @with_company
    def test_timezone(self):
        "Test times are those of the company"
        company = get_company()
        create_rule()
        with as_user("Sven"):
            review, = submit(create_sale())
        company.timezone = 'Asia/Shanghai'
        company.save()
        at = review.requested_at + dt.timedelta(hours=8)
        self.assertHas(
            render(ORDER, review), at.strftime('%m/%d/%Y %H:%M:%S'))

    @with_company
    def test_language(self):
        "Test the record is in the language of the user but not the evidence"
        pool = Pool()
        Lang = pool.get('ir.lang')
        Translation = pool.get('ir.translation')
        chinese, = Lang.search([('code', '=', 'zh_CN')])
        chinese.translatable = True
        chinese.save()
        Translation.create([{
                    'lang': 'zh_CN',
                    'type': type_,
                    'name': name,
                    'src': src,
                    'value': value,
                    'res_id': -1,
                    'module': 'sale_order_review',
                    } for type_, name, src, value in [
                    ('report', ORDER, "Sign-offs", "会签"),
                    ('report', ORDER, "Decisions", "决定"),
                    ('field', 'sale.review,round', "Round", "轮次")]])
        create_rule(name="Decisions")
        with as_user("Sven"):
            review, = submit(create_sale())
        approve(
            get_signoff(review, "Production"), "Paul", opinion="Sign-offs")
        with Transaction().set_context(language='zh_CN'):
            content = render(ORDER, review)
        self.assertIn('lang="zh-CN"', content)
        texts = get_texts(content)
        self.assertTrue(any(t.startswith("轮次 1: ") for t in texts))
        self.assertEqual(texts.count("会签"), 1)
        self.assertEqual(texts.count("决定"), 1)
        # What was written, and the name of the rule
        self.assertEqual(texts.count("Sign-offs"), 1)
        self.assertEqual(texts.count("Decisions"), 2)

    @with_company
    def test_pdf(self):
        "Test the PDF has all characters, the order and the page on each page"
        try:
            import weasyprint  # noqa: F401
        except (ImportError, OSError) as exception:
            unavailable(f"WeasyPrint cannot be imported: {exception}")
        fonts = subprocess.run(
            [require('fc-list'), ':lang=zh'], capture_output=True, check=True)
        if not fonts.stdout:
            unavailable("no Chinese font is installed")
        program = require('pdftotext')
        sale = self.create_rounds()
        sale.reference = "订单"
        sale.save()
        extension, content = execute(ORDER, sale)
        self.assertEqual(extension, 'pdf')
        self.assertTrue(content.startswith(b'%PDF'))
        text = subprocess.run(
            [program, '-', '-'], input=content, capture_output=True,
            check=True).stdout.decode('utf-8')
        *pages, last = text.split('\f')
        self.assertFalse(last)
        self.assertGreater(len(pages), 1)
        for number, page in enumerate(pages, 1):
            self.assertRegex(page, rf'\b{number} ?/ ?{len(pages)}\b')
            self.assertIn(sale.rec_name, page)

    @with_company
    def test_no_font(self):
        "Test a character without font gives HTML that says so"
        try:
            import weasyprint  # noqa: F401
        except (ImportError, OSError) as exception:
            unavailable(f"WeasyPrint cannot be imported: {exception}")
        # No font has what everybody may define
        sale = create_sale(reference="\U0010fffd")
        extension, content = execute(ORDER, sale)
        self.assertEqual(extension, 'html')
        notice, = re.findall('<p class="notice">(.*?)</p>', content)
        self.assertIn("no font for these characters: \U0010fffd.", notice)
        self.assertHas(content, "Acme")

    @with_company
    def test_no_pdf(self):
        "Test HTML that says so without WeasyPrint or its library"
        sale = create_sale()
        import_ = builtins.__import__

        def without_library(name, *args, **kwargs):
            if name == 'weasyprint':
                raise OSError("cannot load library 'libpango'\nAnd more")
            return import_(name, *args, **kwargs)
        for patcher, error in [
                (patch.dict(sys.modules, weasyprint=None), "weasyprint"),
                (patch.object(builtins, '__import__', without_library),
                    "cannot load library &#x27;libpango&#x27;. Ask"),
                ]:
            with self.subTest(error=error), patcher:
                extension, content = execute(ORDER, sale)
                self.assertEqual(extension, 'html')
                notice, = re.findall('<p class="notice">(.*?)</p>', content)
                self.assertIn("The PDF could not be made", notice)
                self.assertIn(error, notice)

    @with_company
    def test_other_report(self):
        "Test no other report can be printed as the record"
        pool = Pool()
        ActionReport = pool.get('ir.action.report')
        Report = pool.get(ORDER, type='report')
        other, = ActionReport.search([('report_name', '=', 'sale.sale')])
        with as_user("Sven"), self.assertRaises(AccessError):
            Report.execute([create_sale().id], {
                    'model': 'sale.sale',
                    'action_id': other.id,
                    })

    @with_company
    def test_models(self):
        "Test the records of other models cannot be printed"
        for name, record in [
                (ORDER, get_company()),
                (CHANGE, employee("Sven")),
                ]:
            with self.subTest(name=name), as_user("Sven"):
                with self.assertRaises(AccessError):
                    execute(name, record)

    @with_company
    def test_queries(self):
        "Test the number of queries does not depend on that of the sign-offs"
        pool = Pool()
        Answer = pool.get('sale.review.answer')
        Checklist = pool.get('sale.review.checklist')
        checklist, = Checklist.search([
                ('name', '=', "Draft Contract Review")])
        counts = []
        for department_name, number in [
                ("Production", 1), ("Finance", 1), ("Sales", 5)]:
            for _ in range(number):
                create_rule(department_name, checklist=checklist.id)
            with as_user("Sven"):
                review, = submit(create_sale())
            for signoff in review.signoffs:
                with Transaction().set_context(_sale_review=True):
                    Answer.write(list(signoff.answers), {'boolean': 'yes'})
                approve(signoff, signoff.department.head.rec_name)
            Transaction().cache.clear()
            with count_queries() as queries:
                render(ORDER, review)
            # Translations are cached, but only once the rule is committed
            counts.append(len([
                        q for q in queries if 'ir_translation' not in q]))
        # The first has also read what is cached for all
        _, two, seven = counts
        self.assertLess(seven - two, 5)
