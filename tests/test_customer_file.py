# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import re
from decimal import Decimal
from unittest.mock import patch

import trytond.config as config
from trytond.model.exceptions import (
    AccessError, DomainValidationError, ImportDataError,
    RequiredValidationError, SelectionValidationError, SQLConstraintError)
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.currency.tests import create_currency
from trytond.modules.customer_grading.exceptions import (
    FileAccessError, FileApproveError, FileStateError, FileValidationError,
    InvestigationError, ReplaceFileError)
from trytond.modules.customer_grading.investigation import Metric
from trytond.modules.party.exceptions import EraseError
from trytond.modules.sale_order_review.tests.tools import create_product
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .customer import TODAY, approve_file, create_file, create_investigation
from .review import (
    as_user, count_queries, create_sale, employee, get, get_company, on,
    with_company)

YEAR = dt.timedelta(days=365)
DAY = dt.timedelta(days=1)


def create_staff(config=None):
    create_user("Ivy", "Customer Care", "Sales", config=config)
    create_user("Carl", "Customer Credit", config=config)
    create_user("Both", "Customer Credit", config=config)
    create_user("Nina", "Customer Care", config=config)
    create_product("Touch Screen", config=config)


class CustomerTestCase(TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            'customer_grading', create_company, create_chart, create_staff)
        cls.addClassCleanup(drop_db)


class FileTestCase(CustomerTestCase):
    "Test customer files"

    @with_company
    def test_unique(self):
        "Test a party has one file in a company"
        file = create_file("Acme")
        with self.assertRaises(SQLConstraintError):
            create_file(file.party)

    @with_company
    def test_defaults(self):
        "Test the market and the first order are found"
        pool = Pool()
        Country = pool.get('country.country')
        File = pool.get('customer.file')
        company = get_company()
        be, de = Country.create([
                {'name': "Belgium", 'code': 'BE'},
                {'name': "Germany", 'code': 'DE'}])
        company.party.addresses = [{'country': be.id}]
        company.party.save()
        for country, market in [
                (be, 'domestic'), (de, 'international'), (None, None)]:
            party, = pool.get('party.party').create([{
                        'name': "Acme",
                        'addresses': [('create', [{
                                        'country': country and country.id}])],
                        }])
            file = File(company=company, party=party)
            file.on_change_party()
            self.assertEqual(file.market, market)
            self.assertEqual(
                create_file(party, market=None).market, market)

    @with_company
    def test_history_rate(self):
        "Test the revenue is unknown of who ordered in a currency without rate"
        pool = Pool()
        File = pool.get('customer.file')
        Sale = pool.get('sale.sale')
        currency = create_currency('gbp')
        Rate = pool.get('currency.currency.rate')
        rates = Rate.create([
                {'currency': c.id, 'date': dt.date(2020, 1, 1),
                    'rate': Decimal(1)}
                for c in [currency, get_company().currency] if not c.rates])
        files = [create_file(f"Customer {i}") for i in range(3)]
        sales = [create_sale(party=f.party) for f in files]
        sales.append(create_sale(party=files[1].party, currency=currency))
        Sale.confirm(sales)
        Rate.delete([r for r in rates if r.currency == currency])
        table = Sale.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.untaxed_amount_cache], [None],
                where=table.id == sales[0].id))
        self.assertEqual(
            [f.revenue for f in File.browse(files)], [1000, None, 1000])

    @with_company
    def test_history(self):
        "Test the history is counted in constant queries"
        pool = Pool()
        File = pool.get('customer.file')
        Sale = pool.get('sale.sale')
        files = [create_file(f"Customer {i}") for i in range(3)]
        recent, old = TODAY - 30 * DAY, TODAY - 2 * YEAR
        for file, dates in zip(files, [[recent, recent], [recent, old], []]):
            for date in dates:
                sale = create_sale(party=file.party, sale_date=date)
                Sale.confirm([sale])
        create_sale(party=files[2].party)
        files = File.browse(files)
        self.assertEqual([f.order_count for f in files], [2, 2, 0])
        self.assertEqual(
            [f.revenue for f in files],
            [Decimal(2000), Decimal(1000), Decimal(0)])
        self.assertEqual([f.open_amount for f in files], [0, 0, 0])
        self.assertEqual([f.complaint_count for f in files], [0, 0, 0])
        names = [
            'order_count', 'revenue', 'open_amount', 'complaint_count',
            'completeness', 'missing', 'manager', 'managed']
        counts = []
        for ids in [[files[0].id], [f.id for f in files]]:
            File.read(ids, names)
            with count_queries() as queries:
                File.read(ids, names)
            counts.append(len(queries))
        self.assertEqual(*counts)
        # From the first order
        with Transaction().set_context(_customer_file=True):
            File.complete(files)
        self.assertEqual(
            [f.customer_since for f in File.browse(files)],
            [recent, old, None])

    @with_company
    def test_links(self):
        "Test sales lead to the file and it is found by them"
        pool = Pool()
        File = pool.get('customer.file')
        Party = pool.get('party.party')
        Sale = pool.get('sale.sale')
        file, other = create_file("Acme"), create_file("Other")
        sale = create_sale(party=file.party, quote=False)
        self.assertEqual(sale.customer_file, file)
        for clause, found in [
                (('customer_file', '=', file.id), [sale]),
                (('customer_file', '=', other.id), []),
                (('customer_file', '!=', file.id), []),
                (('customer_file', '=', None), []),
                (('customer_file', '!=', None), [sale]),
                (('customer_file', 'in', [file.id, other.id]), [sale]),
                (('customer_file', 'ilike', "Acm%"), [sale]),
                (('customer_file.size', '=', 'medium'), [sale]),
                (('customer_file', 'where', [('size', '=', 'micro')]), []),
                ]:
            self.assertEqual(
                Sale.search([('id', '=', sale.id), clause]), found, clause)
        self.assertEqual(
            Party.search([('customer_file', '!=', None)]),
            [file.party, other.party])
        self.assertEqual(Party(file.party.id).customer_file, file)
        self.assertEqual(
            File.get_files(get_company(), [file.party, get_company().party]),
            {file.party.id: file})

    @with_company
    def test_completeness(self):
        "Test what is missing is told, and files are found by it"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        File = pool.get('customer.file')
        full = create_file("Full")
        half = create_file("Half", size=None, needs=" ", contact="", )
        empty = create_file("Empty", **dict.fromkeys([
                    'industry', 'size', 'buying_power', 'market', 'needs',
                    'contact']))
        self.assertEqual(full.completeness, 1)
        self.assertIsNone(full.missing)
        self.assertEqual(half.completeness, 5 / 8)
        self.assertEqual(half.missing, "Size, Needs, Contact Person")
        self.assertEqual(empty.completeness, 2 / 8)
        for clause, found in [
                (('completeness', '=', 1), [full]),
                (('completeness', '<', 1), [empty, half]),
                (('completeness', '>=', .5), [full, half]),
                (('completeness', 'in', [.25, .625]), [empty, half]),
                ]:
            self.assertEqual(File.search([clause]), found, clause)
        configuration = Configuration(1)
        configuration.file_points = ['email', 'identifier', 'manager']
        configuration.save()
        self.assertEqual(
            File(full.id).missing, "Manager, E-Mail, Identifier")
        configuration.file_points = []
        configuration.save()
        self.assertEqual(File(empty.id).completeness, 1)
        self.assertEqual(len(File.search([('completeness', '=', 1)])), 3)

    @with_company
    def test_grades(self):
        "Test files show the current grades and are found by them"
        pool = Pool()
        File = pool.get('customer.file')
        Catalogue = pool.get('customer.grading.grade')
        Grade = pool.get('customer.grade')
        file, other = create_file("Acme"), create_file("Other")
        a, b = Catalogue.search([
                ('axis', '=', 'class'), ('code', 'in', ['A', 'B'])])
        for grade, date in [(b, TODAY - DAY), (a, TODAY)]:
            Grade.assign(
                get_company(), 'class', {file.party.id: grade.id}, date,
                'run')
        file = File(file.id)
        self.assertEqual(file.class_, a)
        self.assertIsNone(file.level)
        self.assertIsNone(File(other.id).class_)
        for clause, found in [
                (('class_', '=', a.id), [file]),
                (('class_', '=', b.id), []),
                (('class_', '!=', b.id), [file, other]),
                (('class_', 'in', [a.id, b.id]), [file]),
                (('class_', '=', None), [other]),
                (('class_', '!=', None), [file]),
                (('class_.code', '=', 'A'), [file]),
                (('level', '=', a.id), []),
                ]:
            self.assertEqual(File.search([clause]), found, clause)

    @with_company
    def test_managers(self):
        "Test managers have dates that do not overlap"
        pool = Pool()
        File = pool.get('customer.file')
        Manager = pool.get('customer.file.manager')
        file = create_file("Acme")
        ivy, nina = employee("Ivy"), employee("Nina")
        former, current = Manager.create([
                {'file': file.id, 'employee': nina.id,
                    'start_date': TODAY - YEAR, 'end_date': TODAY - DAY},
                {'file': file.id, 'employee': ivy.id, 'start_date': TODAY}])
        self.assertEqual(File(file.id).manager, ivy)
        for value, found in [(ivy.id, [file]), (nina.id, []), (None, [])]:
            self.assertEqual(File.search([('manager', '=', value)]), found)
        self.assertEqual(File.search([('manager', 'ilike', "Iv%")]), [file])
        with as_user("Ivy"):
            self.assertEqual(File.search([('managed', '=', True)]), [file])
        with as_user("Nina"):
            self.assertEqual(File.search([('managed', '=', True)]), [])
            with on(TODAY - DAY):
                self.assertEqual(
                    File.search([('managed', '=', True)]), [file])
        with self.assertRaises(FileValidationError):
            Manager.create([{
                        'file': file.id, 'employee': nina.id,
                        'start_date': None, 'end_date': TODAY - YEAR}])
        with self.assertRaises(DomainValidationError):
            Manager.create([{
                        'file': file.id, 'employee': nina.id,
                        'start_date': TODAY, 'end_date': TODAY - DAY}])

    @with_company
    def test_policy(self):
        "Test who decides on credit decides what chooses the service policy"
        pool = Pool()
        File = pool.get('customer.file')
        Party = pool.get('party.party')
        file = create_file("Acme", kind='regular')

        def write(name, **values):
            with as_user(name), Transaction().set_context(_check_access=True):
                File.write([File(file.id)], values)

        def get_profile():
            facts = Party.get_credit_facts(
                get_company(), [file.party.id], ['profile'])[file.party.id]
            return facts.kind, facts.market

        write("Nina", market='international')
        self.assertEqual(get_profile(), (None, None))
        self.assertFalse(File(file.id).events)
        approve_file(file, "Ivy", "Carl")
        self.assertEqual(get_profile(), ('regular', 'international'))
        for values in [{'kind': 'key'}, {'market': None, 'needs': "More"}]:
            with self.assertRaisesRegex(FileAccessError, "Customer Credit"):
                write("Nina", **values)
        write("Nina", kind='regular', needs="More")
        write("Carl", kind='key')
        self.assertEqual(get_profile(), ('key', 'international'))
        event = File(file.id).events[0]
        self.assertEqual(
            (event.kind, event.employee.rec_name, event.reason),
            ('kind', "Carl", "Regular → Key"))
        write("Carl", reason="Does not pay")
        with as_user("Carl"):
            File.suspend([File(file.id)])
        with self.assertRaisesRegex(FileAccessError, "Customer Credit"):
            write("Nina", kind='regular')

    @with_company
    def test_approve(self):
        "Test a file is investigated before it is approved by somebody else"
        pool = Pool()
        File = pool.get('customer.file')
        file = create_file("Acme", size=None, kind='key')
        with as_user("Ivy"):
            with self.assertRaisesRegex(FileApproveError, 'investigation'):
                File.investigate([File(file.id)])
        draft = create_investigation(file, "Ivy", done=False)
        with as_user("Ivy"):
            with self.assertRaises(FileApproveError):
                File.investigate([File(file.id)])
            draft.__class__.do([draft.__class__(draft.id)])
            File.investigate([File(file.id)])
            with self.assertRaises(FileStateError):
                File.investigate([File(file.id)])
        file = File(file.id)
        self.assertEqual(file.investigated_by, employee("Ivy"))
        with as_user("Carl"):
            with self.assertRaises(FileApproveError) as cm:
                File.approve([File(file.id)])
            # All that is missing at once
            self.assertIn("Acme: Size, Manager", cm.exception.description)
        File.write([file], {
                'size': 'small',
                'managers': [('create', [{'employee': employee("Ivy").id}])]})
        with as_user("Ivy"):
            with self.assertRaisesRegex(FileApproveError, "Ivy"):
                File.approve([File(file.id)])
        with as_user("Carl"):
            with on(TODAY + 2 * YEAR), \
                    self.assertRaises(FileApproveError) as cm:
                File.approve([File(file.id)])
            self.assertIn("investigation", cm.exception.description)
            File.approve([File(file.id)])
        file = File(file.id)
        self.assertEqual(file.state, 'approved')
        self.assertEqual(file.approved_by, employee("Carl"))
        self.assertTrue(file.approved_at)

    @with_company
    def test_approve_own(self):
        "Test who made the investigation does not approve, even as another"
        pool = Pool()
        File = pool.get('customer.file')
        file = create_file("Acme")
        # Entered for somebody else
        investigation = create_investigation(file, "Ivy", done=False)
        with as_user("Both"):
            investigation.__class__.do(
                [investigation.__class__(investigation.id)])
        with as_user("Ivy"):
            File.investigate([File(file.id)])
        with as_user("Both"), self.assertRaises(FileApproveError):
            File.approve([File(file.id)])
        with as_user("Carl"):
            File.approve([File(file.id)])

    @with_company
    def test_employee(self):
        "Test who has no employee of the company decides nothing"
        pool = Pool()
        File = pool.get('customer.file')
        User = pool.get('res.user')
        file = approve_file(create_file("Acme"), "Ivy", "Carl")
        file.reason = "Slow"
        file.save()
        user = get('res.user', "Both")
        User.write([user], {'employee': None})
        with as_user("Both"), self.assertRaises(FileStateError):
            File.suspend([File(file.id)])

    @with_company
    def test_suspend(self):
        "Test why a file was suspended and resumed stays known"
        pool = Pool()
        File = pool.get('customer.file')
        file = approve_file(create_file("Acme"), "Ivy", "Carl")
        for button, reason, state in [
                ('suspend', "Pays late", 'suspended'),
                ('resume', "Has paid", 'approved')]:
            with as_user("Carl"):
                for empty in [None, " "]:
                    File.write([File(file.id)], {'reason': empty})
                    with self.assertRaises(FileStateError):
                        getattr(File, button)([File(file.id)])
                File.write([File(file.id)], {'reason': reason})
                getattr(File, button)([File(file.id)])
            file = File(file.id)
            self.assertEqual(file.state, state)
            self.assertIsNone(file.reason)
        self.assertEqual(
            [(e.kind, e.reason, e.employee.rec_name, e.user.name)
                for e in file.events[:2]],
            [('resume', "Has paid", "Carl", "Carl"),
                ('suspend', "Pays late", "Carl", "Carl")])
        for function in [
                lambda: File.delete([file]),
                lambda: file.events[0].__class__.write(
                    list(file.events), {'reason': "x"}),
                lambda: file.events[0].__class__.delete(list(file.events))]:
            with self.assertRaises(AccessError):
                function()

    @with_company
    def test_verify(self):
        "Test a verification says when and by whom, and when the next is due"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        File = pool.get('customer.file')
        file = create_file("Acme")
        date = dt.date(2026, 8, 31)
        with on(date), as_user("Ivy"):
            File.verify([File(file.id)])
        file = File(file.id)
        self.assertEqual(file.verified_on, date)
        self.assertEqual(file.verified_by, employee("Ivy"))
        self.assertEqual(file.next_verification, dt.date(2027, 8, 31))
        Configuration(1).set_multivalue('verification_interval', 6)
        with on(date), as_user("Ivy"):
            File.verify([File(file.id)])
        self.assertEqual(
            File(file.id).next_verification, dt.date(2027, 2, 28))
        Configuration(1).set_multivalue('verification_interval', None)
        with as_user("Ivy"):
            File.verify([File(file.id)])
        self.assertIsNone(File(file.id).next_verification)

    @with_company
    def test_queries(self):
        "Test the buttons take constant queries whatever the number of files"
        pool = Pool()
        File = pool.get('customer.file')
        counts = []
        for n in [2, 6]:
            files = [create_file(f"Customer {n} {i}") for i in range(n)]
            for file in files:
                create_investigation(file, "Ivy")
            with as_user("Ivy"):
                File.investigate(File.browse(files))
            with as_user("Carl"), count_queries() as queries:
                File.approve(File.browse(files))
            counts.append(len([
                        q for q in queries
                        if re.search('"(customer|party|sale)_', str(q))
                        # SQLite inserts one at a time
                        and not str(q).startswith('INSERT')]))
        # The cache of the first run
        self.assertLessEqual(counts[1], counts[0] + 1)


class InvestigationTestCase(CustomerTestCase):
    "Test credit investigations"

    @with_company
    def test_done(self):
        "Test a done investigation has all and stays, the next supersedes it"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        Investigation = pool.get('customer.credit.investigation')
        file = create_file("Acme")
        Pool().get('sale.sale').confirm([
                create_sale(party=file.party, sale_date=TODAY)])
        first = create_investigation(
            file, "Ivy", done=False, background=" ", valid_until=None,
            conclusion=None)
        self.assertEqual(first.order_count, 1)
        self.assertEqual(first.revenue, Decimal(1000))
        with as_user("Ivy"), self.assertRaises(InvestigationError) as cm:
            Investigation.do([Investigation(first.id)])
        self.assertIn(
            "Background, Conclusion, Valid Until", cm.exception.description)
        Investigation.write([first], {
                'background': "Family", 'conclusion': "Sound",
                'valid_until': TODAY + YEAR})
        attachment, = Attachment.create([{
                    'name': "Report", 'resource': str(first)}])
        Pool().get('sale.sale').confirm([
                create_sale(party=file.party, sale_date=TODAY)])
        with as_user("Ivy"):
            Investigation.do([Investigation(first.id)])
            with self.assertRaises(InvestigationError):
                Investigation.do([Investigation(first.id)])
        first = Investigation(first.id)
        # As it is at this moment, and stays
        self.assertEqual(first.order_count, 2)
        self.assertEqual(first.done_by, employee("Ivy"))
        for function in [
                lambda: Investigation.write([first], {'conclusion': "Bad"}),
                lambda: Investigation.delete([first]),
                lambda: Attachment.write([attachment], {'name': "x"}),
                lambda: Attachment.delete([attachment])]:
            with self.assertRaises(AccessError):
                function()
        second, = Investigation.copy([first])
        self.assertEqual(second.state, 'draft')
        self.assertIsNone(second.valid_until)
        self.assertIsNone(second.done_by)
        self.assertIsNone(Investigation(first.id).superseded_by)
        second.valid_until = TODAY + 2 * YEAR
        second.save()
        with as_user("Ivy"):
            Investigation.do([Investigation(second.id)])
        self.assertEqual(Investigation(first.id).superseded_by, second)
        self.assertEqual(
            Investigation.get_valid([file]), {file: second})

    @with_company
    def test_wrong(self):
        "Test impossible values are refused"
        file = create_file("Acme")
        for values in [
                {'external_rating': Decimal(101), 'external_agency': "X"},
                {'external_rating': Decimal(-1), 'external_agency': "X"},
                {'recommended_limit': Decimal(-1)},
                {'valid_until': TODAY - DAY}]:
            with self.subTest(**values), \
                    self.assertRaises(DomainValidationError):
                create_investigation(file, **values)
        with self.assertRaises(RequiredValidationError):
            create_investigation(file, external_rating=Decimal(50))

    @with_company
    def test_metric(self):
        "Test the rating is that of the last one done and valid at the date"
        cursor = Transaction().connection.cursor()
        company = get_company()

        def measure(date, parties=None):
            cursor.execute(*Metric._metric_external(
                    company, date - YEAR, date, parties))
            return {p: (r and float(r), n) for p, r, n in cursor}

        file, other = create_file("Acme"), create_file("Other")
        a, b = file.party.id, other.party.id
        start = dt.date(2025, 1, 1)
        for f, date, rating, days in [
                (file, start, 80, 365), (file, start + 100 * DAY, 60, 100),
                (other, start, None, 365)]:
            create_investigation(
                f, date=date, valid_until=date + days * DAY,
                external_rating=rating and Decimal(rating),
                external_agency="Agency", investigator="Ivy")
        create_investigation(
            file, "Ivy", done=False, date=start, external_rating=Decimal(1),
            external_agency="Agency")
        self.assertEqual(measure(start - DAY), {})
        self.assertEqual(measure(start), {a: (80, 1), b: (None, 0)})
        self.assertEqual(measure(start, [a]), {a: (80, 1)})
        self.assertEqual(measure(start, []), {})
        self.assertEqual(measure(start + 150 * DAY, [a]), {a: (60, 1)})
        # The last has expired, the former was superseded
        self.assertEqual(measure(start + 210 * DAY, [a]), {})


class ImportTestCase(CustomerTestCase):
    "Test the import of files"

    NAMES = [
        'company', 'party', 'kind', 'industry', 'size', 'buying_power',
        'managers/employee']

    def import_data(self, *rows):
        pool = Pool()
        File = pool.get('customer.file')
        company = get_company().rec_name
        with as_user("Ivy"), Transaction().set_context(_check_access=True):
            return File.import_data(
                self.NAMES, [[company, *r] for r in rows])

    @with_company
    def test_import(self):
        "Test files come from CSV"
        pool = Pool()
        File = pool.get('customer.file')
        Party = pool.get('party.party')
        acme, other = Party.create([
                {'name': "Acme", 'code': "C-1"},
                {'name': "Other", 'code': "C-2"}])
        self.assertEqual(self.import_data(
                ["Acme", 'key', "Manufacturing", 'large', '5000', "Nina"],
                ["C-2", 'regular', "", "", "", ""]), 2)
        first, second = File.search([], order=[('id', 'ASC')])
        self.assertEqual(first.party, acme)
        self.assertEqual(first.kind, 'key')
        self.assertEqual(first.industry.rec_name, "Manufacturing")
        self.assertEqual(first.buying_power, Decimal(5000))
        self.assertEqual(first.manager, employee("Nina"))
        self.assertEqual(second.party, other)
        self.assertEqual(second.state, 'draft')

    @with_company
    def test_import_wrong(self):
        "Test a bad line is named and nothing is imported"
        pool = Pool()
        Party = pool.get('party.party')
        good = ["Acme", 'key', "Manufacturing", 'large', '5000', ""]
        for error, row in [
                (ImportDataError, ["Nobody", *good[1:]]),
                (ImportDataError, ["Twin", *good[1:]]),
                (ImportDataError, ["C-2", 'key', "Alchemy", '', '', '']),
                (SelectionValidationError, ["C-2", 'giant', '', '', '', '']),
                (DomainValidationError, ["C-2", 'key', '', '', '-1', '']),
                (SQLConstraintError, good),
                ]:
            Party.create([
                    {'name': "Acme"}, {'name': "Twin"}, {'name': "Twin"},
                    {'name': "Else", 'code': "C-2"}])
            with self.subTest(row=row), self.assertRaises(error):
                self.import_data(good, row)
            Transaction().rollback()

    @with_company
    def test_import_evidence(self):
        "Test what is evidence does not come by import"
        pool = Pool()
        File = pool.get('customer.file')
        for name, value in [
                ('state', 'approved'), ('verified_on', '2026-01-01'),
                ('approved_by', "Carl")]:
            pool.get('party.party').create([{'name': name}])
            with as_user("Ivy"), self.assertRaises(AccessError), \
                    Transaction().set_context(_check_access=True):
                File.import_data(
                    ['company', 'party', name],
                    [[get_company().rec_name, name, value]])


class PartyTestCase(CustomerTestCase):
    "Test merged and erased parties"

    def replace(self, source, destination):
        pool = Pool()
        Replace = pool.get('party.replace', type='wizard')
        session, _, _ = Replace.create()
        wizard = Replace(session)
        wizard.ask.source = source
        wizard.ask.destination = destination
        with Transaction().set_context(_skip_warnings=True):
            wizard.transition_replace()
        Replace.delete(session)
        self.forget()

    def erase(self, party):
        pool = Pool()
        Erase = pool.get('party.erase', type='wizard')
        party.active = False
        party.save()
        session, _, _ = Erase.create()
        wizard = Erase(session)
        wizard.ask.party = party
        wizard.transition_erase()
        Erase.delete(session)
        self.forget()

    def forget(self):
        "Forget what is cached as these wizards write by SQL"
        for cache in list(Transaction().cache.values()):
            cache.clear()

    @with_company
    def test_replace(self):
        "Test the file follows the party, also one that is secret"
        pool = Pool()
        File = pool.get('customer.file')
        Party = pool.get('party.party')
        file = create_file("Acme", confidentiality='secret')
        party, = Party.create([{'name': "Acme"}])
        self.replace(file.party, party)
        self.assertEqual(File(file.id).party, party)

    @with_company
    def test_replace_two(self):
        "Test two files are not merged, unless one is empty"
        pool = Pool()
        File = pool.get('customer.file')
        used, other = create_file("Acme"), create_file("Acme")
        for file in [used, other]:
            create_investigation(file, "Ivy")
        with self.assertRaisesRegex(ReplaceFileError, "Dunder Mifflin"):
            self.replace(used.party, other.party)
        self.assertEqual(File(used.id).party, used.party)
        self.assertTrue(used.party.active)
        for source in ['used', 'empty']:
            empty = create_file("Acme")
            if source == 'used':
                party = empty.party
                self.replace(used.party, party)
                self.assertEqual(File(used.id).party, party)
            else:
                self.replace(empty.party, File(used.id).party)
            self.assertFalse(File.search([('id', '=', empty.id)]))
            used = File(used.id)
            self.assertEqual(used.events[0].kind, 'replace')

    @with_company
    def test_erase(self):
        "Test what was known of a party is erased, and when it may be"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        File = pool.get('customer.file')
        Investigation = pool.get('customer.credit.investigation')
        file = approve_file(create_file("Acme"), "Ivy", "Carl")
        Attachment.create([{
                    'name': "Report",
                    'resource': str(file.investigations[0])}])
        with self.assertRaisesRegex(EraseError, "approved"):
            self.erase(file.party)
        File.write([file], {'reason': "Gone"})
        with as_user("Carl"):
            File.suspend([File(file.id)])
        self.erase(file.party)
        file = File(file.id)
        self.assertEqual(
            [file.needs, file.preferences, file.contact, file.buying_power],
            [None] * 4)
        investigation, = Investigation.search([('file', '=', file.id)])
        self.assertEqual(investigation.background, '****')
        self.assertEqual(investigation.conclusion, '****')
        self.assertFalse(any(e.reason for e in file.events))
        self.assertFalse(Attachment.search([]))

    @with_company
    def test_erase_texts(self):
        "Test nothing that was written about an erased party remains"
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        Hold = pool.get('sale.credit.hold')
        Intelligence = pool.get('customer.intelligence')
        IntelligenceAction = pool.get('customer.intelligence.action')
        Measure = pool.get('customer.survey.measure')
        Sale = pool.get('sale.sale')
        Survey = pool.get('customer.survey')
        Visit = pool.get('customer.visit')
        VisitAction = pool.get('customer.visit.action')
        company = get_company()
        file = create_file("Acme")
        sale = create_sale(party=file.party)
        Sale.cancel([sale])
        action = {
            'name': "Call Jim of Acme",
            'note': "Jim is ill",
            'employee': employee("Ivy").id,
            'due_date': TODAY,
            }
        with Transaction().set_context(
                _customer_care=True, _customer_credit=True):
            hold, = Hold.create([{
                        'company': company.id,
                        'origin': str(sale),
                        'sale': sale.id,
                        'party': file.party.id,
                        'reasons': "Acme exceeds its limit",
                        'reason': "Acme pays",
                        'kinds': [],
                        'currency': company.currency.id,
                        'amount': Decimal(1),
                        'held_at': dt.datetime.now(),
                        }])
            change, = Change.create([
                    {'party': file.party.id, 'reason': "Acme pays"}])
            visit, = Visit.create([
                    {'file': file.id, 'planned_date': TODAY}])
            visit_action, = VisitAction.create([
                    {'visit': visit.id, **action}])
            survey, = Survey.create([{
                        'file': file.id,
                        'due_date': TODAY,
                        'state': 'answered',
                        }])
            measure, = Measure.create([{'survey': survey.id, **action}])
            # Without file
            intelligence, = Intelligence.create([{
                        'party': file.party.id,
                        'reporter_party': file.party.id,
                        'reporter_name': "Jim",
                        'subject': "Acme builds",
                        'text': "Jim says so.",
                        'state': 'accepted',
                        }])
            intelligence_action, = IntelligenceAction.create([
                    {'intelligence': intelligence.id, **action}])
        getint = config.getint

        def get_number(section, option, *args, **kwargs):
            # As with many records
            if option == 'subquery_threshold':
                return 0
            return getint(section, option, *args, **kwargs)

        with patch.object(config, 'getint', get_number):
            self.erase(file.party)
        for record, expected in [
                (hold, {'reasons': '****', 'reason': None}),
                (change, {'reason': '****'}),
                (visit_action, {'name': '****', 'note': None}),
                (measure, {'name': '****', 'note': None}),
                (intelligence, {
                        'subject': '****', 'text': '****',
                        'reporter_name': None}),
                (intelligence_action, {'name': '****', 'note': None}),
                ]:
            with self.subTest(model=record.__name__):
                record = record.__class__(record.id)
                self.assertEqual(
                    {n: getattr(record, n) for n in expected}, expected)
