# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict

from sql.conditionals import NullIf
from sql.operators import Equal

from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Exclude, Index, ModelSQL, ModelStorage, ModelView,
    fields, tree)
from trytond.pool import Pool
from trytond.pyson import Eval, If
from trytond.report import Report
from trytond.transaction import Transaction, without_check_access

from .exceptions import DelegationValidationError, MemberValidationError


def _at(date, prefix=''):
    "Return the domain of what is valid at the date"
    return [
        ['OR',
            (prefix + 'start_date', '=', None),
            (prefix + 'start_date', '<=', date),
            ],
        ['OR',
            (prefix + 'end_date', '=', None),
            (prefix + 'end_date', '>=', date),
            ],
        ]


def _present():
    "Read the records as they are now also when looking at the history"
    return Transaction().set_context(_datetime=None)


class PeriodMixin(ModelStorage):
    "What a person is for a department during a period"
    __slots__ = ()

    start_date = fields.Date(
        "Start Date",
        domain=[
            If(Eval('start_date') & Eval('end_date'),
                ('start_date', '<=', Eval('end_date')),
                ()),
            ])
    end_date = fields.Date(
        "End Date",
        domain=[
            If(Eval('start_date') & Eval('end_date'),
                ('end_date', '>=', Eval('start_date')),
                ()),
            ])

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        pool = Pool()
        Department = pool.get('company.department')
        super().on_modification(mode, records, field_names=field_names)
        Department.clear_cache()

    @classmethod
    def _lock_employees(cls, employees):
        """Lock the employees, so that of two periods that are entered at once
        the second is checked against the first when it is tried again"""
        pool = Pool()
        Employee = pool.get('company.employee')
        cursor = Transaction().connection.cursor()
        table = Employee.__table__()
        ids = sorted({e.id for e in employees})
        if ids:
            cursor.execute(*table.update(
                    [table.company], [table.company],
                    where=fields.SQL_OPERATORS['in'](table.id, ids)))

    def _overlaps(self, other):
        return (
            (self.start_date or dt.date.min) <= (other.end_date or dt.date.max)
            and (other.start_date or dt.date.min) <= (
                self.end_date or dt.date.max))


class Department(tree(), DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'company.department'
    _history = True

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT')
    code = fields.Char("Code")
    name = fields.Char("Name", required=True, translate=True)
    parent = fields.Many2One(
        'company.department', "Parent", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="The department to which this one reports.")
    childs = fields.One2Many(
        'company.department', 'parent', "Children",
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    head = fields.Many2One(
        'company.employee', "Head", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="The person who leads the department and belongs to it.")
    members = fields.One2Many(
        'company.department.member', 'department', "Members",
        help="The other persons who belong to the department.")
    responsibility = fields.Text(
        "Responsibility", translate=True,
        help="What the department answers for.")
    mine = fields.Function(
        fields.Boolean("My Department"), 'get_mine', searcher='search_mine')

    _signatories_cache = Cache(
        'company.department.signatories', context=False)
    _user_departments_cache = Cache(
        'company.department.user_departments', context=False)
    _user_substitute_cache = Cache(
        'company.department.user_substitute', context=False)

    @classmethod
    def __setup__(cls):
        cls.code.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints += [
            ('code_unique',
                Exclude(
                    t,
                    (t.company, Equal),
                    (NullIf(t.code, ''), Equal),
                    where=t.active == True),
                'company_department.msg_department_code_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.head, Index.Equality())),
                Index(t, (t.parent, Index.Equality())),
                })
        cls._order.insert(0, ('name', 'ASC'))

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        return [bool_op,
            ('name', operator, operand, *extra),
            ('code', operator, operand, *extra),
            ]

    @classmethod
    def on_modification(cls, mode, departments, field_names=None):
        super().on_modification(mode, departments, field_names=field_names)
        cls.clear_cache()

    @classmethod
    def clear_cache(cls):
        "Forget who may sign, which must follow each change of it"
        cls._signatories_cache.clear()
        cls._user_departments_cache.clear()
        cls._user_substitute_cache.clear()

    @classmethod
    def copy(cls, departments, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('code')
        default.setdefault('childs')
        return super().copy(departments, default=default)

    @classmethod
    def _user_departments(cls, heads=False):
        """Return the ids of the departments for which one of the employees of
        the user may act today, as their own or as a substitute.

        If heads is set, only those for which they act as head."""
        pool = Pool()
        Date = pool.get('ir.date')
        User = pool.get('res.user')
        employees = User.get_employees()
        if not employees:
            return []
        key = (tuple(employees), Date.today(), heads)
        departments = cls._user_departments_cache.get(key)
        if departments is None:
            with without_check_access(), _present():
                departments = cls._get_user_departments(*key)
            cls._user_departments_cache.set(key, tuple(departments))
        return list(departments)

    @classmethod
    def _get_user_departments(cls, employees, today, heads):
        pool = Pool()
        Delegation = pool.get('company.department.delegation')
        employees = list(employees)
        delegations = Delegation.search([
                ('substitute', 'in', employees),
                _at(today),
                ])
        own = cls._of_employees(
            employees + [d.employee.id for d in delegations], today, heads)
        departments = set()
        for employee in employees:
            departments |= own[employee]
        for delegation in delegations:
            delegated = own[delegation.employee.id]
            if delegation.department:
                delegated = delegated & {delegation.department.id}
            departments |= delegated
        return departments

    @classmethod
    def _of_employees(cls, employees, date, heads=False):
        "Return the set of department ids by id of employee at the date"
        pool = Pool()
        Member = pool.get('company.department.member')
        departments = defaultdict(set)
        for department in cls.search([('head', 'in', employees)]):
            departments[department.head.id].add(department.id)
        if not heads:
            members = Member.search([
                    ('employee', 'in', employees),
                    ('department.active', '=', True),
                    _at(date),
                    ])
            for member in members:
                departments[member.employee.id].add(member.department.id)
        return departments

    @classmethod
    def _is_user_substitute(cls):
        "Return whether an employee of the user is a substitute today"
        pool = Pool()
        Date = pool.get('ir.date')
        Delegation = pool.get('company.department.delegation')
        User = pool.get('res.user')
        key = (tuple(User.get_employees() or []), Date.today())
        substitute = cls._user_substitute_cache.get(key)
        if substitute is None:
            employees, today = key
            with without_check_access(), _present():
                substitute = bool(Delegation.search([
                            ('substitute', 'in', list(employees)),
                            _at(today),
                            ], limit=1))
            cls._user_substitute_cache.set(key, substitute)
        return substitute

    @classmethod
    def get_mine(cls, departments, name):
        mine = set(cls._user_departments())
        return {d.id: d.id in mine for d in departments}

    @classmethod
    def search_mine(cls, name, clause):
        _, operator, value = clause
        if (operator == '=' and value) or (operator == '!=' and not value):
            operator = 'in'
        else:
            operator = 'not in'
        return [('id', operator, cls._user_departments())]

    @classmethod
    def get_signatories(cls, departments, date):
        """Return who may sign for each of the departments at the date.

        The result is by id of department a dictionary of the persons who may
        act to the set of those for whom each may: {employee: {employees}}.
        Who belongs to the department acts as oneself, a substitute acts for
        the person who is absent."""
        pool = Pool()
        Employee = pool.get('company.employee')
        signatories, missing = {}, []
        for id_ in {d.id for d in departments}:
            signatories[id_] = cls._signatories_cache.get((id_, date))
            if signatories[id_] is None:
                missing.append(id_)
        if missing:
            with without_check_access(), _present():
                acting = cls._get_signatories(missing, date)
            for id_, acts_for in acting.items():
                signatories[id_] = cls._signatories_cache.set(
                    (id_, date), acts_for)
        # From one list to read what is used of them together
        employees = {
            e.id: e for e in Employee.browse({
                    i for acts_for in signatories.values()
                    for e, p in acts_for for i in [e, *p]})}
        return {
            id_: {employees[e]: {employees[p] for p in ps}
                for e, ps in acts_for}
            for id_, acts_for in signatories.items()}

    @classmethod
    def _get_signatories(cls, ids, date):
        "Return the couples of who acts and for whom by id of department"
        pool = Pool()
        Delegation = pool.get('company.department.delegation')
        Employee = pool.get('company.employee')
        Member = pool.get('company.department.member')

        persons = {id_: set() for id_ in ids}
        for department in cls.browse(ids):
            if department.active and department.head:
                persons[department.id].add(department.head.id)
        for member in Member.search([
                    ('department', 'in', list(ids)),
                    ('department.active', '=', True),
                    _at(date),
                    ]):
            persons[member.department.id].add(member.employee.id)

        principals = set().union(*persons.values())
        delegations = defaultdict(list)
        substitutes = set()
        for delegation in Delegation.search([
                    ('employee', 'in', list(principals)),
                    _at(date),
                    ]):
            delegations[delegation.employee.id].append(delegation)
            substitutes.add(delegation.substitute.id)
        with Transaction().set_context(date=date):
            employed = set(map(int, Employee.search([
                            ('id', 'in', list(principals | substitutes)),
                            ('active', '=', True),
                            ])))

        signatories = {}
        for id_ in ids:
            acts_for = defaultdict(set)
            for principal in persons[id_] & employed:
                acts_for[principal].add(principal)
                for delegation in delegations[principal]:
                    if (delegation.substitute.id in employed
                            and (not delegation.department
                                or delegation.department.id == id_)):
                        acts_for[delegation.substitute.id].add(principal)
            signatories[id_] = tuple(
                (e, tuple(p)) for e, p in acts_for.items())
        return signatories

    def signatories(self, date):
        """Return the list of employees who may sign for the department at the
        date: its head, its members and their substitutes"""
        signatories = self.get_signatories([self], date)[self.id]
        return sorted(signatories, key=lambda e: e.rec_name)


class Member(PeriodMixin, ModelSQL, ModelView):
    __name__ = 'company.department.member'
    _history = True

    department = fields.Many2One(
        'company.department', "Department", required=True, ondelete='CASCADE')
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_company')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('department')
        cls._sql_indexes.update({
                Index(t, (t.department, Index.Equality())),
                Index(t, (t.employee, Index.Equality())),
                })

    @fields.depends('department', '_parent_department.company')
    def on_change_with_company(self, name=None):
        return self.department.company if self.department else None

    @classmethod
    def search_company(cls, name, clause):
        return [('department.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return self.employee.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('employee.rec_name', *clause[1:])]

    @classmethod
    def validate_fields(cls, members, field_names):
        super().validate_fields(members, field_names)
        cls.check_overlap(members, field_names)

    @classmethod
    def check_overlap(cls, members, field_names=None):
        if field_names and not (field_names & {
                    'department', 'employee', 'start_date', 'end_date'}):
            return
        cls._lock_employees(m.employee for m in members)
        others = defaultdict(list)
        for other in cls.search([
                    ('department', 'in',
                        list({m.department.id for m in members})),
                    ('employee', 'in',
                        list({m.employee.id for m in members})),
                    ]):
            others[other.department, other.employee].append(other)
        for member in members:
            for other in others[member.department, member.employee]:
                if other != member and member._overlaps(other):
                    raise MemberValidationError(gettext(
                            'company_department.msg_member_overlap',
                            employee=member.employee.rec_name,
                            department=member.department.rec_name))


class Delegation(PeriodMixin, ModelSQL, ModelView):
    __name__ = 'company.department.delegation'
    _history = True

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT')
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="The person who is absent.")
    substitute = fields.Many2One(
        'company.employee', "Substitute", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="The person who acts on behalf of the employee.")
    department = fields.Many2One(
        'company.department', "Department", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="The department for which the substitute acts.\n"
        "Leave empty for all those of the employee.")
    reason = fields.Char("Reason")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.start_date.required = True
        cls.end_date.required = True
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.end_date, Index.Range())),
                Index(
                    t,
                    (t.substitute, Index.Equality()),
                    (t.end_date, Index.Range())),
                })
        cls._order = [
            ('start_date', 'DESC'),
            ('id', 'DESC'),
            ]

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_employee(cls):
        return Transaction().context.get('employee')

    def get_rec_name(self, name):
        return f'{self.employee.rec_name} → {self.substitute.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        return [bool_op,
            ('employee.rec_name', operator, operand, *extra),
            ('substitute.rec_name', operator, operand, *extra),
            ]

    @classmethod
    def validate_fields(cls, delegations, field_names):
        super().validate_fields(delegations, field_names)
        cls.check_substitute(delegations, field_names)

    @classmethod
    def check_substitute(cls, delegations, field_names=None):
        """Check that each absent person has one substitute at a time who is
        not oneself and is not absent"""
        if field_names and not (field_names & {
                    'employee', 'substitute', 'department',
                    'start_date', 'end_date'}):
            return
        cls._lock_employees(
            e for d in delegations for e in [d.employee, d.substitute])
        persons = {d.employee.id for d in delegations}
        persons |= {d.substitute.id for d in delegations}
        others = cls.search(['OR',
                ('employee', 'in', list(persons)),
                ('substitute', 'in', list(persons)),
                ])
        for delegation in delegations:
            delegation._check_substitute(others)

    def _check_substitute(self, others):
        if self.employee == self.substitute:
            raise DelegationValidationError(gettext(
                    'company_department.msg_delegation_self',
                    employee=self.employee.rec_name))
        for other in others:
            if other == self or not self._overlaps(other):
                continue
            if (self.department and other.department
                    and self.department != other.department):
                continue
            if self.employee == other.employee:
                raise DelegationValidationError(gettext(
                        'company_department.msg_delegation_overlap',
                        employee=self.employee.rec_name,
                        substitute=other.substitute.rec_name,
                        start=Report.format_date(other.start_date),
                        end=Report.format_date(other.end_date)))
            for first, second in [(self, other), (other, self)]:
                if first.substitute == second.employee:
                    raise DelegationValidationError(gettext(
                            'company_department.msg_delegation_chained',
                            employee=first.employee.rec_name,
                            absent=first.substitute.rec_name,
                            substitute=second.substitute.rec_name,
                            start=Report.format_date(second.start_date),
                            end=Report.format_date(second.end_date)))
