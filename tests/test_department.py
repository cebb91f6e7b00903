# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from trytond.modules.company_department.exceptions import (
    CalendarValidationError, DelegationValidationError, MemberValidationError)
from trytond.modules.company_department.tools import get_employee
from trytond.pool import Pool
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, as_user, delegate, department, employee, get_company, on,
    with_company)

DATE = dt.date(2026, 3, 2)


class DepartmentTestCase(ReviewTestCase):
    "Test who acts for a department"

    def signatories(self, name, date=DATE):
        Department = Pool().get('company.department')
        record = department(name)
        signatories = Department.get_signatories([record], date)[record.id]
        return {
            e.rec_name: sorted(p.rec_name for p in principals)
            for e, principals in signatories.items()}

    @with_company
    def test_signatories(self):
        "Test the head and the members sign for themselves"
        self.assertEqual(self.signatories("Production"), {
                "Paul": ["Paul"], "Petra": ["Petra"]})
        self.assertEqual(
            department("Production").signatories(DATE),
            [employee("Paul"), employee("Petra")])

    @with_company
    def test_signatories_head_is_member(self):
        "Test a head who is also a member counts once"
        record = department("Production")
        record.members = [
            *record.members, self.member("Paul", start_date=DATE)]
        record.save()
        self.assertEqual(
            self.signatories("Production").keys(), {"Paul", "Petra"})

    def member(self, name, **values):
        Member = Pool().get('company.department.member')
        return Member(employee=employee(name), **values)

    @with_company
    def test_signatories_dates(self):
        "Test memberships hold from their first to their last date"
        record = department("Production")
        record.head = None
        record.members = [self.member(
                "Petra", start_date=dt.date(2026, 3, 2),
                end_date=dt.date(2026, 3, 4))]
        record.save()
        for date, expected in [
                (dt.date(2026, 3, 1), []),
                (dt.date(2026, 3, 2), ["Petra"]),
                (dt.date(2026, 3, 4), ["Petra"]),
                (dt.date(2026, 3, 5), []),
                ]:
            with self.subTest(date=date):
                self.assertEqual(
                    list(self.signatories("Production", date)), expected)

    @with_company
    def test_signatories_inactive(self):
        "Test nobody acts for a closed department or after leaving"
        petra = employee("Petra")
        petra.end_date = dt.date(2026, 3, 1)
        petra.save()
        self.assertEqual(self.signatories("Production"), {"Paul": ["Paul"]})
        self.assertEqual(
            self.signatories("Production", dt.date(2026, 3, 1)).keys(),
            {"Paul", "Petra"})
        record = department("Production")
        record.active = False
        record.save()
        Department = Pool().get('company.department')
        self.assertEqual(
            Department.get_signatories([record], DATE), {record.id: {}})

    @with_company
    def test_signatories_substitute(self):
        "Test a substitute acts for who is absent, also beside oneself"
        delegate("Paul", "Petra", DATE)
        self.assertEqual(self.signatories("Production"), {
                "Paul": ["Paul"], "Petra": ["Paul", "Petra"]})
        self.assertEqual(
            self.signatories("Production", DATE + dt.timedelta(days=1)), {
                "Paul": ["Paul"], "Petra": ["Petra"]})

    @with_company
    def test_signatories_substitute_department(self):
        "Test a substitute for one department only"
        record = department("Finance")
        record.members = [*record.members, self.member("Paul")]
        record.save()
        delegate("Paul", "Olga", DATE, department=record.id)
        self.assertNotIn("Olga", self.signatories("Production"))
        self.assertEqual(self.signatories("Finance")["Olga"], ["Paul"])

    @with_company
    def test_signatories_substitute_left(self):
        "Test a substitute who has left does not act, nor for who has left"
        delegate("Paul", "Olga", DATE)
        olga = employee("Olga")
        olga.end_date = dt.date(2026, 3, 1)
        olga.save()
        self.assertNotIn("Olga", self.signatories("Production"))
        olga.end_date = None
        olga.save()
        paul = employee("Paul")
        paul.end_date = dt.date(2026, 3, 1)
        paul.save()
        self.assertEqual(
            self.signatories("Production"), {"Petra": ["Petra"]})

    @with_company
    def test_signatories_several(self):
        "Test several departments in a constant number of queries"
        Department = Pool().get('company.department')
        departments = Department.search([])
        signatories = Department.get_signatories(departments, DATE)
        self.assertEqual(
            signatories.keys(), {d.id for d in departments})
        self.assertEqual(Department.get_signatories([], DATE), {})

    @with_company
    def test_mine(self):
        "Test the departments of the user"
        Department = Pool().get('company.department')
        delegate("Frida", "Petra", DATE)
        for name, date, expected in [
                ("Paul", DATE, ["Production"]),
                ("Petra", DATE, ["Finance", "Production"]),
                ("Petra", dt.date(2026, 3, 3), ["Production"]),
                ("Olga", DATE, []),
                ]:
            with self.subTest(name=name, date=date), on(date), \
                    as_user(name):
                everything = set(Department.search([]))
                for clause, found in [
                        (('mine', '=', True), True),
                        (('mine', '!=', False), True),
                        (('mine', '=', False), False),
                        (('mine', '!=', True), False),
                        ]:
                    records = set(Department.search([clause]))
                    if not found:
                        records = everything - records
                    self.assertEqual(
                        sorted(d.name for d in records), expected)
                self.assertEqual(
                    sorted(d.name for d in everything if d.mine), expected)

    @with_company
    def test_mine_no_employee(self):
        "Test a user who is no employee"
        Department = Pool().get('company.department')
        self.assertEqual(Department.search([('mine', '=', True)]), [])

    @with_company
    def test_get_employee(self):
        "Test a user acts as the employees that it has now"
        with as_user("Petra") as user:
            self.assertEqual(get_employee(get_company()), employee("Petra"))
            user.employees = []
            user.employee = None
            user.save()
            with Transaction().set_context(employee=employee("Petra").id):
                self.assertIsNone(get_employee(get_company()))

    @with_company
    def test_search_rec_name(self):
        "Test the search of departments, members and delegations"
        pool = Pool()
        Delegation = pool.get('company.department.delegation')
        Department = pool.get('company.department')
        Member = pool.get('company.department.member')
        production = department("Production")
        production.code = "PRD"
        production.save()
        self.assertEqual(
            Department.search([('rec_name', 'ilike', "PRD%")]), [production])
        self.assertNotIn(
            production, Department.search([('rec_name', '!=', "PRD")]))
        member, = production.members
        self.assertEqual(member.rec_name, "Petra")
        self.assertEqual(
            Member.search([('rec_name', '=', "Petra")]), [member])
        self.assertEqual(
            Member.search([('company', '=', get_company().id)]),
            Member.search([]))
        delegation = delegate("Paul", "Olga", DATE)
        self.assertEqual(
            Delegation.search([('rec_name', '=', "Olga")]), [delegation])
        self.assertEqual(
            Delegation.search([('rec_name', '!=', "Paul")]), [])

    @with_company
    def test_copy(self):
        "Test a copy has neither code nor children"
        Department = Pool().get('company.department')
        production = department("Production")
        production.code = "PRD"
        production.childs = [Department(name="Assembly")]
        production.save()
        copy, = Department.copy([production])
        self.assertIsNone(copy.code)
        self.assertEqual(copy.childs, ())
        self.assertEqual(len(copy.members), 1)

    @with_company
    def test_member_overlap(self):
        "Test a person belongs to a department once at a time"
        for old, new, overlap in [
                ((None, None), (None, None), True),
                ((None, 10), (10, None), True),
                ((None, 9), (10, None), False),
                ((5, 10), (1, 5), True),
                ((5, 10), (1, 4), False),
                ((5, 10), (7, 8), True),
                ]:
            with self.subTest(old=old, new=new):
                record = department("Finance")
                record.members = []
                record.save()
                record.members = [
                    self.member("Olga", **dict(zip(
                                ['start_date', 'end_date'],
                                [d and dt.date(2026, 3, d) for d in dates])))
                    for dates in [old, new]]
                if overlap:
                    with self.assertRaisesRegex(
                            MemberValidationError, '"Olga" already belongs'):
                        record.save()
                else:
                    record.save()

    @with_company
    def test_delegation(self):
        "Test who can stand in for whom"
        finance, production = department("Finance"), department("Production")
        day = dt.timedelta(days=1)
        for others, delegation, message in [
                ([], ("Paul", "Paul", DATE), "their own substitute"),
                ([("Paul", "Olga", DATE)], ("Paul", "Fred", DATE),
                    'already has substitute "Olga"'),
                ([("Paul", "Olga", DATE)], ("Paul", "Fred", DATE + day),
                    None),
                ([("Paul", "Olga", DATE, production)],
                    ("Paul", "Fred", DATE, finance), None),
                ([("Paul", "Olga", DATE, production)],
                    ("Paul", "Fred", DATE), "already has substitute"),
                # Chained
                ([("Paul", "Olga", DATE)], ("Olga", "Fred", DATE),
                    'Substitute "Olga" of "Paul" is absent'),
                ([("Olga", "Fred", DATE)], ("Paul", "Olga", DATE),
                    'Substitute "Olga" of "Paul" is absent'),
                ([("Paul", "Olga", DATE)], ("Olga", "Fred", DATE - day),
                    None),
                # In a circle
                ([("Paul", "Olga", DATE)], ("Olga", "Paul", DATE),
                    "is absent and replaced"),
                # One substitute for two persons
                ([("Paul", "Olga", DATE)], ("Frida", "Olga", DATE), None),
                ]:
            with self.subTest(others=others, delegation=delegation):
                records = [self.delegate(*o) for o in others]
                if message:
                    with self.assertRaisesRegex(
                            DelegationValidationError, message):
                        self.delegate(*delegation)
                else:
                    records.append(self.delegate(*delegation))
                Delegation = Pool().get('company.department.delegation')
                Delegation.delete(Delegation.search([]))

    def delegate(self, name, substitute, date, department=None):
        return delegate(
            name, substitute, date,
            department=department.id if department else None)

    @with_company
    def test_delegation_defaults(self):
        "Test a person enters their own absence"
        Delegation = Pool().get('company.department.delegation')
        with as_user("Paul"):
            values = Delegation.default_get(['company', 'employee'])
            self.assertEqual(values['employee'], employee("Paul").id)
            self.assertEqual(values['company'], get_company().id)


class CalendarTestCase(ReviewTestCase):
    "Test the working days"

    def create_country(self, code, *subdivisions):
        Country = Pool().get('country.country')
        country, = Country.create([{
                    'name': code,
                    'code': code,
                    'subdivisions': [('create', [{
                                    'name': s,
                                    'code': s,
                                    'type': 'province',
                                    } for s in subdivisions])],
                    }])
        return country

    @with_company
    def test_arithmetic(self):
        "Test the arithmetic of Monday to Friday"
        company = get_company()
        company.holiday_country = None
        company.save()
        friday, saturday, monday = [
            dt.date(2026, 3, d) for d in [6, 7, 9]]
        self.assertTrue(company.is_working_day(friday))
        self.assertFalse(company.is_working_day(saturday))
        for date, n, expected in [
                (friday, 0, friday),
                (friday, 1, monday),
                (friday, 6, dt.date(2026, 3, 16)),
                (saturday, 0, monday),
                (saturday, 1, monday),
                (monday, -1, friday),
                (saturday, -1, friday),
                ]:
            with self.subTest(date=date, n=n):
                self.assertEqual(company.add_working_days(date, n), expected)
        for start, end, expected in [
                (friday, friday, 0),
                (saturday, saturday, 0),
                (friday, saturday, 0),
                (friday, monday, 1),
                (saturday, monday, 1),
                (monday, friday, -1),
                (friday, dt.date(2026, 3, 16), 6),
                (friday, dt.date(2027, 3, 6), 260),
                ]:
            with self.subTest(start=start, end=end):
                self.assertEqual(
                    company.working_days_between(start, end), expected)

    @with_company
    def test_inverse(self):
        "Test both ways to calculate agree over some years"
        company = get_company()
        company.holiday_country = self.create_country('CN')
        company.save()
        start = dt.date(2024, 12, 30)
        for n in [1, 2, 10, 100, 300]:
            for days in range(0, 60, 7):
                date = start + dt.timedelta(days=days)
                self.assertEqual(
                    company.working_days_between(
                        date, company.add_working_days(date, n)), n)

    @with_company
    def test_holidays(self):
        "Test public holidays, of the subdivision too, and days off"
        company = get_company()
        country = self.create_country('DE', 'DE-BE', 'DE-BY')
        berlin, bavaria = country.subdivisions
        epiphany, corpus_christi = dt.date(2026, 1, 6), dt.date(2026, 6, 4)
        womens_day = dt.date(2027, 3, 8)
        dates = [dt.date(2026, 5, 14), epiphany, corpus_christi, womens_day]
        for subdivision, expected in [
                (None, [False, True, True, True]),
                (bavaria, [False, False, False, True]),
                (berlin, [False, True, True, False]),
                ]:
            with self.subTest(subdivision=subdivision):
                company.holiday_country = country
                company.holiday_subdivision = subdivision
                company.save()
                self.assertEqual(
                    [company.is_working_day(d) for d in dates], expected)

        DayOff = Pool().get('company.day_off')
        date = dt.date(2026, 6, 5)
        self.assertTrue(company.is_working_day(date))
        named, unnamed = DayOff.create([
                {'company': company.id, 'date': date, 'name': "Bridge Day"},
                {'company': company.id, 'date': dt.date(2026, 6, 8)},
                ])
        company = get_company()
        self.assertFalse(company.is_working_day(date))
        self.assertEqual(named.rec_name, "Bridge Day")
        self.assertEqual(unnamed.rec_name, '2026-06-08')

    @with_company
    def test_working_weekend(self):
        "Test a weekend on which is worked, unless the company is closed"
        DayOff = Pool().get('company.day_off')
        company = get_company()
        company.holiday_country = self.create_country('CN')
        company.save()
        saturday = dt.date(2026, 2, 14)
        self.assertTrue(company.is_working_day(saturday))
        self.assertFalse(company.is_working_day(dt.date(2026, 2, 20)))
        DayOff.create([{'company': company.id, 'date': saturday}])
        self.assertFalse(get_company().is_working_day(saturday))

    @with_company
    def test_work_days(self):
        "Test the days of the week"
        company = get_company()
        sunday = dt.date(2026, 3, 8)
        company.work_days = ['sunday']
        company.save()
        self.assertEqual(
            company.add_working_days(sunday, 2), dt.date(2026, 3, 22))
        company.work_days = []
        company.save()
        self.assertFalse(company.is_working_day(sunday))
        self.assertTrue(company.is_working_day(dt.date(2026, 3, 9)))

    @with_company
    def test_unknown(self):
        "Test a country or subdivision whose holidays are not known"
        company = get_company()
        company.holiday_country = self.create_country('XM')
        with self.assertRaisesRegex(CalendarValidationError, 'XM"'):
            company.save()
        country = self.create_country('DE', 'DE-XX')
        company.holiday_country = country
        company.holiday_subdivision, = country.subdivisions
        with self.assertRaisesRegex(CalendarValidationError, 'DE-XX'):
            company.save()

        company.holiday_country = None
        company.on_change_holiday_country()
        self.assertIsNone(company.holiday_subdivision)

    @with_company
    def test_two_companies(self):
        "Test the calendar is that of the company, not of the user's"
        from trytond.modules.company.tests import create_company
        other = create_company("Other")
        sunday = dt.date(2026, 3, 8)
        other.work_days = ['sunday']
        other.save()
        with Transaction().set_context(company=other.id):
            self.assertFalse(get_first().is_working_day(sunday))
            self.assertTrue(other.is_working_day(sunday))


def get_first():
    Company = Pool().get('company.company')
    return Company.search([], order=[('id', 'ASC')])[0]
