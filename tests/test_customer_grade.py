# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from unittest.mock import patch

from trytond.model.exceptions import (
    AccessError, DomainValidationError, RequiredValidationError,
    SQLConstraintError)
from trytond.model.modelview import AccessButtonError
from trytond.modules.customer_grading.exceptions import (
    GradeAccessError, GradingRunError, OverrideError)
from trytond.modules.customer_grading.file import recording
from trytond.pool import Pool
from trytond.transaction import Transaction

from .grading import GradingTestCase, client, company, grade, party
from .review import count_queries, get_notifications, on, with_company

TODAY = dt.date(2026, 3, 2)
DENIED = (AccessError, AccessButtonError)


def day(days):
    return TODAY + dt.timedelta(days=days)


def assign(grades, date=TODAY, axis='class', source='run', company_=None):
    Grade = Pool().get('customer.grade')
    return Grade.assign(
        company_ or company(), axis,
        {party(p).id: g and grade(axis, g).id for p, g in grades.items()},
        date, source)


def current(date=None, axis='class', company_=None):
    "Return the codes of the current grades by name of party"
    pool = Pool()
    Catalogue = pool.get('customer.grading.grade')
    Grade = pool.get('customer.grade')
    parties = [party(n) for n in ["Acme", "Borg", "Coil"]]
    grades = Grade.get_current(company_ or company(), parties, date)
    return {
        p.name: Catalogue(grades[p.id][axis]).code for p in parties
        if axis in grades.get(p.id, {})}


def history(name, axis='class'):
    Grade = Pool().get('customer.grade')
    return [
        (g.grade.code, g.start_date, g.end_date, g.source)
        for g in Grade.search([
                ('party.name', '=', name),
                ('axis', '=', axis),
                ], order=[('id', 'ASC')])]


class GradeTestCase(GradingTestCase):
    "Test the grades that customers have"

    @with_company
    def test_assign(self):
        "Test only what changes is written"
        self.assertEqual(len(assign({"Acme": 'A', "Borg": 'B'})), 2)
        self.assertEqual(current(), {"Acme": 'A', "Borg": 'B'})
        changed = assign(
            {"Acme": 'A', "Borg": 'C', "Coil": None}, day(10))
        self.assertEqual(changed, [party("Borg").id])
        self.assertEqual(history("Acme"), [('A', TODAY, None, 'run')])
        self.assertEqual(history("Borg"), [
                ('B', TODAY, day(10), 'run'),
                ('C', day(10), None, 'run'),
                ])
        self.assertEqual(current(day(-1)), {})
        self.assertEqual(current(day(9)), {"Acme": 'A', "Borg": 'B'})
        self.assertEqual(current(day(10)), {"Acme": 'A', "Borg": 'C'})
        self.assertEqual(current(axis='level'), {})
        self.assertEqual(current(company_=company("Sabre")), {})

    @with_company
    def test_assign_same_day(self):
        "Test grades of the same day, of the past and taken away"
        assign({"Acme": 'A'})
        assign({"Acme": 'B'})
        self.assertEqual(current(TODAY), {"Acme": 'B'})
        assign({"Acme": 'C'}, day(-5))
        self.assertEqual(current(), {"Acme": 'C'})
        self.assertEqual(current(day(-5)), {})
        assign({"Acme": None}, day(5))
        self.assertEqual(current(), {})
        self.assertEqual(current(day(4)), {"Acme": 'C'})
        assign({"Acme": 'A'}, day(2))
        self.assertEqual(current(day(4)), {"Acme": 'C'})
        self.assertEqual(history("Acme"), [
                ('A', TODAY, TODAY, 'run'),
                ('B', TODAY, TODAY, 'run'),
                ('C', TODAY, day(5), 'run'),
                ('A', day(5), None, 'run'),
                ])

    @with_company
    def test_assign_queries(self):
        "Test the number of queries does not depend on that of the parties"
        numbers = []
        for names in [["Coil"], ["Acme"], ["Acme", "Borg", "Coil"]]:
            assign(dict.fromkeys(names, 'C'), day(-1))
            grades = {party(n).id: grade('class', 'B').id for n in names}
            Grade = Pool().get('customer.grade')
            with count_queries() as queries:
                Grade.assign(company(), 'class', grades, TODAY, 'run')
            numbers.append(len([
                        q for q in queries if str(q).startswith('SELECT')]))
            assign(dict.fromkeys(names), TODAY)
        # The first fills the caches
        self.assertLessEqual(numbers[2], numbers[1] + 1)

    @with_company
    def test_evidence(self):
        "Test nobody writes grades but the grading"
        Grade = Pool().get('customer.grade')
        assign({"Acme": 'B'})
        record, = Grade.search([])
        values = {
            'company': company().id,
            'party': party("Borg").id,
            'axis': 'class',
            'grade': grade('class', 'A').id,
            'start_date': TODAY,
            'source': 'run',
            }
        for user in ["Anna", "Cora", "Karl"]:
            with self.subTest(user=user), client(user):
                for func, args in [
                        (Grade.create, [[values]]),
                        (Grade.write, [
                                [Grade(record.id)],
                                {'grade': grade('class', 'A').id}]),
                        (Grade.delete, [[Grade(record.id)]])]:
                    with self.assertRaises(AccessError):
                        func(*args)
        for func, args in [
                (Grade.write, [[record], {'end_date': TODAY}]),
                (Grade.create, [[values]]),
                (Grade.delete, [[record]])]:
            with self.assertRaises(GradeAccessError):
                func(*args)

    @with_company
    def test_unique(self):
        "Test a customer cannot have two current grades"
        Grade = Pool().get('customer.grade')
        assign({"Acme": 'B'})
        with recording('_customer_grading'), \
                self.assertRaises(SQLConstraintError):
            Grade.create([{
                        'company': company().id,
                        'party': party("Acme").id,
                        'axis': 'class',
                        'grade': grade('class', 'A').id,
                        'start_date': TODAY,
                        'source': 'run',
                        }])

    @with_company
    def test_access(self):
        "Test who reads the grades of which company"
        Grade = Pool().get('customer.grade')
        assign({"Acme": 'B'})
        assign({"Acme": 'A'}, company_=company("Sabre"))
        record, = Grade.search([('grade.code', '=', 'B')])
        for user in ["Karl", "Sven", "Audrey"]:
            with self.subTest(user=user), client(user):
                self.assertEqual(Grade.search([]), [record])
        with client("Zoe"):
            found, = Grade.search([])
            self.assertEqual(found.grade.code, 'A')
            with self.assertRaises(AccessError):
                Grade.read([record.id], ['grade'])
        with client("Olga"), self.assertRaises(AccessError):
            Grade.search([])

    @with_company
    def test_party(self):
        "Test the grades of the parties"
        pool = Pool()
        Party = pool.get('party.party')
        assign({"Acme": 'B', "Borg": 'A'})
        assign({"Acme": 'D'}, axis='credit')
        assign({"Coil": 'A'}, company_=company("Sabre"))
        a, b, c = [grade('class', code) for code in 'ABC']
        everybody = {"Acme", "Borg", "Coil"}
        own = Transaction().set_context(company=company().id)
        with own:
            acme = Party(party("Acme").id)
            self.assertEqual(acme.customer_class, b)
            self.assertEqual(acme.customer_level, None)
            self.assertEqual(acme.customer_credit, grade('credit', 'D'))
            for clause, expected in [
                    (('customer_class', '=', b.id), {"Acme"}),
                    (('customer_class', '!=', b.id), {"Borg", "Coil"}),
                    (('customer_class', '=', None), {"Coil"}),
                    (('customer_class', '!=', None), {"Acme", "Borg"}),
                    (('customer_class', 'in', [a.id, c.id]), {"Borg"}),
                    (('customer_class', 'in', [b.id, None]),
                        {"Acme", "Coil"}),
                    (('customer_class', 'not in', [b.id, None]), {"Borg"}),
                    (('customer_class', 'not in', [b.id]),
                        {"Borg", "Coil"}),
                    (('customer_class.code', '=', 'A'), {"Borg"}),
                    (('customer_class.rec_name', 'ilike', 'b%'), {"Acme"}),
                    (('customer_class', 'ilike', 'b%'), {"Acme"}),
                    (('customer_credit', '!=', None), {"Acme"}),
                    (('customer_level', '=', None), everybody),
                    ]:
                with self.subTest(clause=clause):
                    found = {p.name for p in Party.search([clause])}
                    self.assertEqual(found & everybody, expected)
            parties = Party.search([('customer_class', '!=', None)],
                order=[('customer_class', 'ASC')])
            self.assertEqual([p.name for p in parties], ["Borg", "Acme"])
            with count_queries() as queries:
                [p.customer_class for p in Party.browse(
                        [party(n) for n in everybody])]
            self.assertEqual(
                len([q for q in queries if 'customer_grade"' in str(q)]), 1)
        with Transaction().set_context(company=company("Sabre").id):
            self.assertEqual(Party(party("Coil").id).customer_class, a)
            self.assertEqual(
                Party.search([('customer_class', '!=', None)]),
                [party("Coil")])
        copy, = Party.copy([party("Acme")])
        self.assertFalse(copy.customer_grades)

    @with_company
    def test_replace(self):
        "Test customers are merged with their history"
        pool = Pool()
        Grade = pool.get('customer.grade')
        Replace = pool.get('party.replace', type='wizard')
        assign({"Acme": 'A', "Borg": 'B'})
        assign({"Acme": 'C'}, axis='credit')
        session_id, _, _ = Replace.create()
        replace = Replace(session_id)
        replace.ask.source = party("Acme")
        replace.ask.destination = party("Borg")
        replace.ask.destination.name = "Acme"
        with Transaction().set_context(_skip_warnings=True):
            replace.transition_replace()
        self.assertFalse(Grade.search([('party.name', '=', "Acme")]))
        self.assertEqual(
            Grade.get_current(company(), [party("Borg")]), {
                party("Borg").id: {
                    'class': grade('class', 'B').id,
                    'credit': grade('credit', 'C').id,
                    }})
        self.assertEqual(
            {g for g, *_ in history("Borg")}, {'A', 'B'})

    @with_company
    def test_catalogue(self):
        "Test the axis of a grade stays"
        Catalogue = Pool().get('customer.grading.grade')
        with client("Anna"):
            grade_, = Catalogue.create([{
                        'axis': 'class', 'code': 'D', 'name': "Others"}])
            Catalogue.write([grade_], {'axis': 'class', 'name': "Rest"})
            with self.assertRaises(AccessError):
                Catalogue.write([grade_], {'axis': 'level'})


class OverrideTestCase(GradingTestCase):
    "Test the grades that customers have by decision"

    def create(self, user="Karl", name="Acme", axis='class', code='A',
            start=TODAY, end=None, request=True):
        Override = Pool().get('customer.grade.override')
        with client(user):
            override, = Override.create([{
                        'party': party(name).id,
                        'axis': axis,
                        'grade': grade(axis, code).id,
                        'reason': "Frame contract signed",
                        'start_date': start,
                        'end_date': end or day(30),
                        }])
            if request:
                Override.request([Override(override.id)])
        return Override(override.id)

    def click(self, user, button, *overrides, reason=None):
        Override = Pool().get('customer.grade.override')
        with client(user):
            overrides = Override.browse(overrides)
            if reason:
                Override.write(overrides, {'closing_reason': reason})
            getattr(Override, button)(overrides)

    def expire(self, date, name="Dunder Mifflin"):
        Override = Pool().get('customer.grade.override')
        with on(date), Transaction().set_context(company=company(name).id):
            Override.expire()

    @with_company
    def test_approve(self):
        "Test another person of the group approves"
        Override = Pool().get('customer.grade.override')
        assign({"Acme": 'C'}, day(-90))
        with on(TODAY):
            override = self.create()
            credit = self.create(axis='credit', code='B')
            self.assertEqual(override.state, 'requested')
            self.assertEqual(override.requested_by.rec_name, "Karl")
            for user in ["Karl", "Kim", "Cora", "Sven", "Audrey", "Zoe"]:
                with self.subTest(user=user), self.assertRaises(DENIED):
                    self.click(user, 'approve', override)
            for user in ["Karl", "Anna", "Zoe"]:
                with self.subTest(user=user), self.assertRaises(DENIED):
                    self.click(user, 'approve', credit)
            self.assertEqual(current(), {"Acme": 'C'})
            get_notifications()
            self.click("Anna", 'approve', override)
            self.click("Cora", 'approve', credit)
            self.assertEqual(
                [n.label for n in get_notifications()['karl']],
                ["1 override(s) approved"] * 2)
            self.assertEqual(override.state, 'approved')
            self.assertEqual(override.approved_by.rec_name, "Anna")
            self.assertEqual(override.effective_on, TODAY)
            self.assertEqual(history("Acme"), [
                    ('C', day(-90), TODAY, 'run'),
                    ('A', TODAY, None, 'override'),
                    ])
            self.assertEqual(current(axis='credit'), {"Acme": 'B'})
            with self.assertRaises(AccessButtonError):
                self.click("Anna", 'approve', override)
            self.assertEqual(
                Override.get_active(company(), 'class'),
                {party("Acme").id: override})
            self.assertEqual(
                Override.get_active(company("Sabre"), 'class'), {})
            self.assertEqual(
                Override.get_active(company(), 'class', day(-1)), {})

    @with_company
    def test_segregated(self):
        "Test who requested does not approve, by user and by employee"
        pool = Pool()
        Override = pool.get('customer.grade.override')
        with on(TODAY):
            override = self.create("Anna")
            for button in ['approve', 'reject']:
                with self.assertRaises(GradeAccessError):
                    self.click("Anna", button, override, reason="Mine")
            with recording('_customer_grading'):
                Override.write([override], {'requested_user': 1})
            with self.assertRaises(GradeAccessError):
                self.click("Anna", 'approve', override)
            with recording('_customer_grading'):
                Override.write([override], {
                        'requested_user': get_user("Anna"),
                        'requested_by': get_employee("Karl")})
            with self.assertRaises(GradeAccessError):
                self.click("Anna", 'approve', override)
            # Nor by a detour
            self.click("Anna", 'draft', override)
            self.assertFalse(override.requested_user)
            self.click("Alma", 'request', override)
            self.click("Anna", 'approve', override)

    @with_company
    def test_frozen(self):
        "Test nobody changes what is requested or decided"
        Override = Pool().get('customer.grade.override')
        values = [
            {'grade': grade('class', 'B').id},
            {'end_date': day(90)},
            {'party': party("Borg").id},
            {'state': 'approved'},
            {'requested_by': get_employee("Kim")},
            {'requested_user': 1},
            {'effective_on': TODAY},
            ]

        def check(override):
            for user in ["Karl", "Anna"]:
                for values_ in values:
                    with self.subTest(user=user, values=values_):
                        with client(user), self.assertRaises(AccessError):
                            Override.write([Override(override.id)], values_)
                with client(user), self.assertRaises(AccessError):
                    Override.delete([Override(override.id)])
            with self.assertRaises(AccessError):
                Override.write([override], {'end_date': day(90)})
            with self.assertRaises(AccessError):
                Override.delete([override])
        with on(TODAY):
            override = self.create(request=False)
            with client("Karl"):
                for values_ in values[3:]:
                    with self.assertRaises(AccessError):
                        Override.write([Override(override.id)], values_)
                Override.write([Override(override.id)], values[0])
                Override.write([Override(override.id)], {
                        'grade': grade('class', 'A').id})
                with self.assertRaises(AccessError):
                    Override.create([{
                                'party': party("Coil").id,
                                'axis': 'class',
                                'grade': grade('class', 'A').id,
                                'reason': "Mine",
                                'start_date': TODAY,
                                'end_date': day(30),
                                'state': 'approved',
                                }])
            self.click("Karl", 'request', override)
            check(override)
            self.click("Anna", 'approve', override)
            check(override)
            self.click("Anna", 'end', override, reason="Cancelled")
            check(override)
            with client("Anna"), self.assertRaises(AccessError):
                Override.write([Override(override.id)], {
                        'closing_reason': "Other"})
            with client("Karl"):
                copy, = Override.copy([Override(override.id)])
            copy = Override(copy.id)
            self.assertEqual(copy.state, 'draft')
            for name in Override._button_fields - {'state'}:
                self.assertFalse(getattr(copy, name), msg=name)
            with client("Karl"):
                Override.delete([Override(copy.id)])

    @with_company
    def test_dates(self):
        "Test an override ends after it starts and not in the past"
        Override = Pool().get('customer.grade.override')
        with on(TODAY):
            with self.assertRaises(DomainValidationError):
                self.create(end=TODAY)
            with client("Karl"), self.assertRaises(DomainValidationError):
                Override.create([{
                            'party': party("Acme").id,
                            'axis': 'class',
                            'grade': grade('credit', 'A').id,
                            'reason': "Other axis",
                            'end_date': day(30),
                            }])
            with self.assertRaises(OverrideError):
                self.create(start=day(-9), end=day(-1))
            override = self.create()
        with on(day(31)), self.assertRaises(OverrideError):
            self.click("Anna", 'approve', override)

    @with_company
    def test_no_end(self):
        "Test an override must end"
        Override = Pool().get('customer.grade.override')
        with client("Karl"), self.assertRaises(RequiredValidationError):
            Override.create([{
                        'party': party("Acme").id,
                        'axis': 'class',
                        'grade': grade('class', 'A').id,
                        'reason': "Forever",
                        }])

    @with_company
    def test_overlap(self):
        "Test a customer has one override at a time"
        with on(TODAY):
            overrides = [self.create(), self.create(code='B')]
            with self.assertRaises(OverrideError):
                self.click("Anna", 'approve', *overrides)
            self.click("Anna", 'approve', overrides[0])
            with self.assertRaises(OverrideError):
                self.click("Anna", 'approve', overrides[1])
            later = self.create(code='B', start=day(31), end=day(60))
            self.click("Anna", 'approve', later)
            self.assertEqual(later.effective_on, None)
            self.assertEqual(current(), {"Acme": 'A'})
        self.expire(day(31))
        self.assertEqual(history("Acme"), [
                ('A', TODAY, day(31), 'override'),
                ('B', day(31), None, 'override'),
                ])

    @with_company
    def test_expire(self):
        "Test the customer returns to the grade before, once"
        Override = Pool().get('customer.grade.override')
        assign({"Acme": 'C'}, day(-90))
        with on(TODAY):
            overrides = [self.create(), self.create(name="Borg")]
            self.click("Anna", 'approve', *overrides)
        self.expire(day(30))
        self.assertEqual(current(), {"Acme": 'A', "Borg": 'A'})
        self.expire(day(31), "Sabre")
        self.assertEqual(current(), {"Acme": 'A', "Borg": 'A'})
        get_notifications()
        for _ in range(2):
            self.expire(day(31))
        self.assertEqual(
            [n.label for n in get_notifications()['karl']],
            ["2 override(s) ended"])
        for override in overrides:
            self.assertEqual(override.state, 'ended')
            self.assertEqual(override.ended_on, day(31))
            self.assertEqual(override.ended_by, None)
        self.assertEqual(history("Acme"), [
                ('C', day(-90), TODAY, 'run'),
                ('A', TODAY, day(31), 'override'),
                ('C', day(31), None, 'expired'),
                ])
        self.assertEqual(
            history("Borg"), [('A', TODAY, day(31), 'override')])
        self.assertEqual(
            set(Override.get_active(company(), 'class', day(15))),
            {party(n).id for n in ["Acme", "Borg"]})
        self.assertEqual(
            Override.get_active(company(), 'class', day(31)), {})

    @with_company
    def test_expire_rate(self):
        "Test a rate that is missing keeps no override in force"
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        assign({"Acme": 'C'}, day(-90))
        with on(TODAY):
            override = self.create()
            self.click("Anna", 'approve', override)
        get_notifications()
        with patch.object(
                Policy, 'apply_to',
                side_effect=GradingRunError("No rate of gbp")):
            self.expire(day(31))
        self.assertEqual(override.state, 'ended')
        self.assertEqual(current(), {"Acme": 'C'})
        self.assertEqual(
            {(n.label, n.description) for n in get_notifications()['karl']
                if "effect" in n.label}, {(
                    "Grades of 1 override(s) without effect on limits and "
                    "terms", "No rate of gbp")})

    @with_company
    def test_expire_all(self):
        "Test without company it is done for all, each on its own"
        Override = Pool().get('customer.grade.override')
        with on(TODAY):
            override = self.create()
            self.click("Anna", 'approve', override)
        with on(day(31)), Transaction().set_context(company=None):
            Override.expire()
        self.assertEqual(override.state, 'ended')

    @with_company
    def test_expire_queries(self):
        "Test the number of queries does not depend on that of the overrides"
        numbers = []
        for i, names in enumerate([["Acme"], ["Acme", "Borg", "Coil"]]):
            start, end = day(100 * i), day(100 * i + 30)
            with on(start):
                assign(dict.fromkeys(names, 'C'), start)
                overrides = [
                    self.create(name=n, start=start, end=end) for n in names]
                self.click("Anna", 'approve', *overrides)
            Transaction().cache.clear()
            with count_queries() as queries:
                self.expire(end + dt.timedelta(days=1))
            numbers.append(len([
                        q for q in queries if str(q).startswith('SELECT')]))
            self.assertEqual(current(), dict.fromkeys(names, 'C'))
        self.assertLessEqual(numbers[1], numbers[0] + 2)

    @with_company
    def test_end(self):
        "Test an override ends early with a reason"
        assign({"Acme": 'C'}, day(-90))
        with on(TODAY):
            override = self.create()
            self.click("Anna", 'approve', override)
        with on(day(5)):
            with self.assertRaises(OverrideError):
                self.click("Anna", 'end', override)
            for user in ["Karl", "Cora", "Zoe"]:
                with self.subTest(user=user), self.assertRaises(DENIED):
                    self.click(user, 'end', override)
            self.click("Anna", 'end', override, reason="Contract cancelled")
        self.assertEqual(override.state, 'ended')
        self.assertEqual(override.ended_by.rec_name, "Anna")
        self.assertEqual(override.ended_on, day(5))
        self.assertEqual(current(), {"Acme": 'C'})
        self.expire(day(31))
        self.assertEqual(len(history("Acme")), 3)

    @with_company
    def test_reject(self):
        "Test who rejects says why"
        with on(TODAY):
            override = self.create()
            with self.assertRaises(OverrideError):
                self.click("Anna", 'reject', override)
            get_notifications()
            self.click("Anna", 'reject', override, reason="No contract")
            self.assertIn('karl', get_notifications())
        self.assertEqual(override.state, 'rejected')
        self.assertEqual(override.rejected_by.rec_name, "Anna")
        self.assertEqual(current(), {})
        with self.assertRaises(AccessButtonError):
            self.click("Anna", 'approve', override)

    @with_company
    def test_attachment(self):
        "Test the evidence of what was decided stays"
        Attachment = Pool().get('ir.attachment')
        with on(TODAY):
            override = self.create()
            with client("Karl"):
                attachment, draft = Attachment.create([{
                            'name': n, 'data': b'contract',
                            'resource': str(override)} for n in "ab"])
                Attachment.delete([draft])
            self.click("Anna", 'approve', override)
            for user in ["Karl", "Anna"]:
                with client(user):
                    with self.assertRaises(AccessError):
                        Attachment.write(
                            [Attachment(attachment.id)], {'data': b'other'})
                    with self.assertRaises(AccessError):
                        Attachment.delete([Attachment(attachment.id)])
            with client("Karl"):
                Attachment.create([{
                            'name': "Supplement", 'data': b'more',
                            'resource': str(override)}])
        self.assertEqual(len(override.attachments), 2)

    @with_company
    def test_company(self):
        "Test overrides of other companies are out of reach"
        Override = Pool().get('customer.grade.override')
        with on(TODAY):
            override = self.create(request=False)
            with client("Zoe"):
                self.assertEqual(Override.search([]), [])
                with self.assertRaises(AccessError):
                    Override.request([Override(override.id)])
                with self.assertRaises(AccessError):
                    Override.write([Override(override.id)], {
                            'end_date': day(40)})
            for user in ["Sven", "Audrey"]:
                with client(user):
                    self.assertEqual(Override.search([]), [override])
                    with self.assertRaises(DENIED):
                        Override.request([Override(override.id)])
            # Whoever is no employee of the company does not request
            with self.assertRaises(OverrideError):
                Override.request([override])

    @with_company
    def test_erase(self):
        "Test an erased customer leaves no text"
        pool = Pool()
        Erase = pool.get('party.erase', type='wizard')
        Party = pool.get('party.party')
        with on(TODAY):
            override = self.create()
            self.click("Anna", 'approve', override)
        acme = party("Acme")
        Party.write([acme], {'active': False})
        session_id, _, _ = Erase.create()
        erase = Erase(session_id)
        erase.ask.party = acme
        erase.transition_erase()
        Transaction().cache.clear()
        override = type(override)(override.id)
        self.assertEqual(override.reason, '****')
        self.assertEqual(override.grade.code, 'A')


def get_user(name):
    User = Pool().get('res.user')
    user, = User.search([('name', '=', name)])
    return user.id


def get_employee(name):
    Employee = Pool().get('company.employee')
    employee, = Employee.search([('rec_name', '=', name)])
    return employee.id
