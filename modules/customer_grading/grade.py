# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict

from sql import Literal, Null
from sql.operators import Equal

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Exclude, Index, ModelSQL, ModelView, Unique, Workflow,
    fields, sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.modules.company.model import (
    employee_field, reset_employee, set_employee)
from trytond.modules.company_department.savepoint import savepoint
from trytond.modules.company_department.tools import (
    group_by_company, notify, per_company)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, check_access, without_check_access

from . import file
from .exceptions import GradeAccessError, GradingRunError, OverrideError
from .file import CustomerMixin, get_context_company, recording

AXES = [
    ('class', "Class"),
    ('level', "Level"),
    ('credit', "Credit"),
    ]


class EvidenceMixin(file.EvidenceMixin):
    "What is recorded of the grades"
    __slots__ = ()

    _evidence_key = '_customer_grading'
    _evidence_error = GradeAccessError


class GradingGrade(
        sequence_ordered('rank', "Rank"), DeactivableMixin, ModelSQL,
        ModelView):
    "A grade that customers can have, the same for all companies"
    __name__ = 'customer.grading.grade'
    _rec_name = 'code'

    axis = fields.Selection(
        AXES, "Axis", required=True, sort=False,
        states={
            'readonly': Eval('id', -1) >= 0,
            },
        help="What the grade tells of a customer.")
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True, translate=True)
    description = fields.Text("Description", translate=True)
    colour = fields.Selection([
            (None, ""),
            ('success', "Green"),
            ('warning', "Yellow"),
            ('danger', "Red"),
            ('muted', "Grey"),
            ], "Colour", sort=False,
        help="In which colour lists show it.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order.insert(0, ('axis', 'ASC'))
        cls._sql_constraints.append(
            ('axis_code_unique', Unique(t, t.axis, t.code),
                'customer_grading.msg_grading_grade_unique'))

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="code"]', 'visual', Eval('colour', '')),
            ]

    @classmethod
    def check_modification(cls, mode, grades, values=None, external=False):
        super().check_modification(
            mode, grades, values=values, external=external)
        if mode == 'write' and 'axis' in values:
            for grade in grades:
                if grade.axis != values['axis']:
                    raise AccessError(gettext(
                            'customer_grading.msg_grading_grade_axis',
                            grade=grade.name))


class Grade(EvidenceMixin, CustomerMixin, ModelSQL, ModelView):
    """A grade that a customer has or had

    It holds from its start date and, once it is replaced, to the day before
    its end date."""
    __name__ = 'customer.grade'

    party = fields.Many2One(
        'party.party', "Party", required=True, readonly=True,
        ondelete='RESTRICT',
        context={
            'company': Eval('company', -1),
            },
        depends=['company'])
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    axis = fields.Selection(
        AXES, "Axis", required=True, readonly=True, sort=False)
    grade = fields.Many2One(
        'customer.grading.grade', "Grade", required=True, readonly=True,
        ondelete='RESTRICT')
    start_date = fields.Date("Start Date", required=True, readonly=True)
    end_date = fields.Date(
        "End Date", readonly=True,
        help="The date from which it does not hold any more.")
    source = fields.Selection([
            ('run', "Grading Run"),
            ('override', "Override"),
            ('expired', "End of Override"),
            ], "Source", required=True, readonly=True, sort=False,
        help="What gave the grade to the customer.")
    override = fields.Many2One(
        'customer.grade.override', "Override", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('override'),
            })
    colour = fields.Function(
        fields.Char("Colour"), 'on_change_with_colour')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [
            ('start_date', 'DESC'),
            ('id', 'DESC'),
            ]
        cls._sql_constraints.append(
            ('current_exclude',
                Exclude(
                    t, (t.company, Equal), (t.party, Equal), (t.axis, Equal),
                    where=t.end_date == Null),
                'customer_grading.msg_grade_current_unique'))
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.party, Index.Equality()),
                    (t.company, Index.Equality()),
                    (t.axis, Index.Equality(cardinality='low'))),
                Index(
                    t,
                    (t.axis, Index.Equality(cardinality='low')),
                    (t.start_date, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='DESC'))),
                Index(
                    t,
                    (t.grade, Index.Equality()),
                    (t.company, Index.Equality()),
                    where=t.end_date == Null),
                Index(t, (t.override, Index.Equality())),
                })

    def get_rec_name(self, name):
        return f'{self.party.rec_name} – {self.grade.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]

    @fields.depends('grade')
    def on_change_with_colour(self, name=None):
        return (self.grade.colour or '') if self.grade else ''

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Bool(Eval('end_date')), 'muted', '')),
            ('/tree/field[@name="grade"]', 'visual',
                If(Bool(Eval('end_date')), '', Eval('colour', ''))),
            ]

    @classmethod
    def _current(cls, table, company, date=None):
        "Return the condition for what holds in the company at the date"
        condition = table.company == int(company)
        if date is None:
            return condition & (table.end_date == Null)
        return (
            condition
            & (table.start_date <= date)
            & ((table.end_date == Null) | (table.end_date > date)))

    @classmethod
    def get_current(cls, company, parties, date=None):
        """Return the ids of the grades of the parties in the company, now or
        at the date, as {party id: {axis: grade id}}"""
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        current = defaultdict(dict)
        for ids in grouped_slice(list({int(p) for p in parties}), 2000):
            cursor.execute(*table.select(
                    table.party, table.axis, table.grade,
                    where=fields.SQL_OPERATORS['in'](table.party, list(ids))
                    & cls._current(table, company, date)))
            for party, axis, grade in cursor:
                current[party][axis] = grade
        return dict(current)

    @classmethod
    @without_check_access
    @recording('_customer_grading')
    def assign(cls, company, axis, grades, date, source, **origin):
        """Give the parties the grades in the company from the date and return
        the list of the ids of the parties whose grade changes.

        grades are the ids by id of party, None takes the grade away. origin
        are dictionaries by id of party of what a grade comes from, by the
        name of its field. A grade never starts before the one it replaces."""
        company = int(company)
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        current, last = {}, {}
        for ids in grouped_slice(list(grades), 2000):
            cursor.execute(*table.select(
                    table.id, table.party, table.grade, table.start_date,
                    table.end_date,
                    where=fields.SQL_OPERATORS['in'](table.party, list(ids))
                    & (table.company == company)
                    & (table.axis == axis)
                    & ((table.end_date == Null) | (table.end_date > date))))
            for id_, party, grade, start, end in cursor:
                last[party] = max(last.get(party, date), end or start)
                if not end:
                    current[party] = (id_, grade)
        ended, to_create = defaultdict(list), []
        changed = []
        for party, grade in grades.items():
            id_, current_grade = current.get(party, (None, None))
            if grade == current_grade:
                continue
            changed.append(party)
            start = last.get(party, date)
            if id_ is not None:
                ended[start].append(id_)
            if grade is not None:
                to_create.append({
                        'company': company,
                        'party': party,
                        'axis': axis,
                        'grade': grade,
                        'start_date': start,
                        'source': source,
                        **{name: ids.get(party)
                            for name, ids in origin.items()},
                        })
        if ended:
            args = []
            for end, ids in ended.items():
                args.extend((cls.browse(ids), {'end_date': end}))
            cls.write(*args)
        for values in grouped_slice(to_create, 10000):
            cls.create(list(values))
        return changed

    @classmethod
    @without_check_access
    @recording('_customer_grading')
    def merge(cls, source, destination):
        """End the current grades of the party source, and their overrides,
        where the party destination, which replaces it, has its own"""
        pool = Pool()
        Override = pool.get('customer.grade.override')
        grades = cls.search([
                ('party', 'in', [source.id, destination.id]),
                ('end_date', '=', None),
                ])
        kept = {(g.company, g.axis) for g in grades if g.party == destination}
        for company, axis in kept:
            today = Override._today(company)
            for grade in grades:
                if (grade.party == source
                        and (grade.company, grade.axis) == (company, axis)):
                    cls.write([grade], {
                            'end_date': max(today, grade.start_date),
                            })
            Override._end(Override.search([
                        ('company', '=', company.id),
                        ('axis', '=', axis),
                        ('party', '=', source.id),
                        ('state', '=', 'approved'),
                        ]), company, today, {(axis, source)})


class Override(CustomerMixin, Workflow, ModelSQL, ModelView):
    "The grade that a customer has for a time whatever the runs compute"
    __name__ = 'customer.grade.override'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states={
            'readonly': (Eval('id', -1) >= 0) | (Eval('state') != 'draft'),
            })
    party = fields.Many2One(
        'party.party', "Party", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('state') != 'draft',
            },
        context={
            'company': Eval('company', -1),
            },
        depends=['company'])
    axis = fields.Selection(
        AXES, "Axis", required=True, sort=False,
        states={
            'readonly': (Eval('state') != 'draft') | Bool(Eval('grade')),
            })
    grade = fields.Many2One(
        'customer.grading.grade', "Grade", required=True, ondelete='RESTRICT',
        domain=[
            ('axis', '=', Eval('axis', '')),
            ],
        states={
            'readonly': Eval('state') != 'draft',
            })
    reason = fields.Text(
        "Reason", required=True,
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="Why the customer has another grade than the computed one.\n"
        "Attach the evidence.")
    start_date = fields.Date(
        "Start Date", required=True,
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="It does not begin before it is approved.")
    end_date = fields.Date(
        "End Date", required=True,
        domain=[
            If(Bool(Eval('end_date')) & Bool(Eval('start_date')),
                ('end_date', '>', Eval('start_date')),
                ()),
            ],
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="The last day on which it holds.")
    attachments = fields.One2Many(
        'ir.attachment', 'resource', "Evidence", readonly=True)
    requested_by = employee_field(
        "Requested By",
        states=['draft', 'requested', 'approved', 'ended', 'rejected'])
    requested_user = fields.Many2One(
        'res.user', "Requested By User", readonly=True, ondelete='RESTRICT')
    approved_by = employee_field(
        "Approved By",
        states=['draft', 'requested', 'approved', 'ended', 'rejected'])
    rejected_by = employee_field(
        "Rejected By",
        states=['draft', 'requested', 'approved', 'ended', 'rejected'])
    ended_by = employee_field(
        "Ended By",
        states=['draft', 'requested', 'approved', 'ended', 'rejected'])
    closing_reason = fields.Text(
        "Closing Reason",
        states={
            'readonly': ~Eval('state').in_(['requested', 'approved']),
            'invisible': ((Eval('state') == 'draft')
                | (~Eval('closing_reason')
                    & ~Eval('state').in_(['requested', 'approved']))),
            },
        help="Why it is rejected, or ends before its end date.")
    effective_on = fields.Date(
        "Effective On", readonly=True,
        states={
            'invisible': ~Eval('effective_on'),
            },
        help="The date on which the customer was given the grade.")
    ended_on = fields.Date(
        "Ended On", readonly=True,
        states={
            'invisible': ~Eval('ended_on'),
            },
        help="The date from which it does not hold any more.")
    state = fields.Selection([
            ('draft', "Draft"),
            ('requested', "Requested"),
            ('approved', "Approved"),
            ('ended', "Ended"),
            ('rejected', "Rejected"),
            ], "State", required=True, readonly=True, sort=False)

    # What only the buttons write
    _button_fields = {
        'state', 'requested_by', 'requested_user', 'approved_by',
        'rejected_by', 'ended_by', 'effective_on', 'ended_on'}

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [
            ('end_date', 'ASC'),
            ('id', 'ASC'),
            ]
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.party, Index.Equality()),
                    (t.company, Index.Equality())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.company, Index.Equality()),
                    (t.end_date, Index.Range()),
                    where=t.state.in_(['requested', 'approved'])),
                Index(t, (t.grade, Index.Equality())),
                })
        for name in ['requested_by', 'approved_by', 'rejected_by', 'ended_by']:
            getattr(cls, name).states['invisible'] = ~Eval(name)
        cls._transitions |= {
            ('draft', 'requested'),
            ('requested', 'draft'),
            ('requested', 'approved'),
            ('requested', 'rejected'),
            ('approved', 'ended'),
            }
        cls._buttons.update({
                'request': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'draft': {
                    'invisible': Eval('state') != 'requested',
                    'depends': ['state'],
                    },
                'approve': {
                    'invisible': Eval('state') != 'requested',
                    'depends': ['state'],
                    },
                'reject': {
                    'invisible': Eval('state') != 'requested',
                    'depends': ['state'],
                    },
                'end': {
                    'invisible': Eval('state') != 'approved',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_axis(cls):
        return 'class'

    @classmethod
    def default_start_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    @classmethod
    def default_state(cls):
        return 'draft'

    def get_rec_name(self, name):
        return f'{self.party.rec_name} – {self.grade.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        expiring = (
            (Eval('state') == 'approved')
            & (Eval('end_date', Date()) <= Date(delta_days=30)))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['ended', 'rejected']), 'muted', '')),
            ('/tree/field[@name="end_date"]', 'visual',
                If(expiring, 'warning', '')),
            ]

    @classmethod
    def copy(cls, overrides, default=None):
        default = default.copy() if default is not None else {}
        for name in [
                'requested_by', 'requested_user', 'approved_by',
                'rejected_by', 'ended_by', 'effective_on', 'ended_on',
                'closing_reason', 'attachments']:
            default.setdefault(name)
        return super().copy(overrides, default=default)

    @classmethod
    def check_modification(cls, mode, overrides, values=None, external=False):
        super().check_modification(
            mode, overrides, values=values, external=external)
        if Transaction().context.get('_customer_grading'):
            return
        for override in overrides:
            if mode == 'create':
                denied = override.state != 'draft' or any(
                    getattr(override, n)
                    for n in cls._button_fields - {'state'})
            elif mode == 'write':
                if override.state == 'draft':
                    denied = values.keys() & cls._button_fields
                elif override.state in {'requested', 'approved'}:
                    denied = values.keys() - {'closing_reason', 'attachments'}
                else:
                    denied = True
            else:
                denied = override.state != 'draft'
            if denied:
                raise GradeAccessError(gettext(
                        'customer_grading.msg_override_modify',
                        override=override.rec_name))

    @classmethod
    @ModelView.button
    @recording('_customer_grading')
    @Workflow.transition('requested')
    @set_employee('requested_by')
    def request(cls, overrides):
        cls._check_employee(overrides)
        cls._check_dates(overrides)
        cls.write(overrides, {'requested_user': Transaction().user})

    @classmethod
    @ModelView.button
    @recording('_customer_grading')
    @Workflow.transition('draft')
    @reset_employee('requested_by')
    def draft(cls, overrides):
        cls.write(overrides, {
                'requested_user': None,
                'closing_reason': None,
                })

    @classmethod
    @ModelView.button
    @recording('_customer_grading')
    @Workflow.transition('approved')
    @set_employee('approved_by')
    def approve(cls, overrides):
        cls._check_approver(overrides)
        cls._check_segregated(overrides)
        cls._check_dates(overrides)
        cls._lock(overrides)
        cls._check_overlap(overrides)
        for company, overrides_ in group_by_company(overrides):
            today = cls._today(company)
            cls._take_effect(
                [o for o in overrides_ if o.start_date <= today],
                company, today)
        cls._notify(
            overrides, 'tryton-ok',
            'customer_grading.msg_notification_override_approved')

    @classmethod
    @ModelView.button
    @recording('_customer_grading')
    @Workflow.transition('rejected')
    @set_employee('rejected_by')
    def reject(cls, overrides):
        cls._check_approver(overrides)
        cls._check_segregated(overrides)
        cls._check_closing_reason(overrides)
        cls._notify(
            overrides, 'tryton-cancel',
            'customer_grading.msg_notification_override_rejected')

    @classmethod
    @ModelView.button
    @recording('_customer_grading')
    def end(cls, overrides):
        pool = Pool()
        User = pool.get('res.user')
        overrides = [o for o in overrides if o.state == 'approved']
        cls._check_approver(overrides)
        cls._check_closing_reason(overrides)
        employee = User(Transaction().user).employee
        cls.write(overrides, {'ended_by': employee.id if employee else None})
        for company, overrides_ in group_by_company(overrides):
            cls._end(overrides_, company, cls._today(company))

    @classmethod
    @without_check_access
    @recording('_customer_grading')
    @per_company
    def expire(cls, company):
        """End the overrides whose end date has passed and let those take
        effect whose start date has come"""
        today = cls._today(company)
        approved = [
            ('company', '=', company.id),
            ('state', '=', 'approved'),
            ]
        expired = cls.search([*approved, ('end_date', '<', today)])
        starting = cls.search([
                *approved,
                ('effective_on', '=', None),
                ('start_date', '<=', today),
                ('end_date', '>=', today),
                ])
        cls._end(
            expired, company, today, {(o.axis, o.party) for o in starting})
        cls._take_effect(starting, company, today)

    @classmethod
    @without_check_access
    def get_active(cls, company, axis, date=None):
        """Return by id of party the override of the axis that holds in the
        company today or at the date"""
        pool = Pool()
        Company = pool.get('company.company')
        if date is None:
            date = cls._today(Company(int(company)))
        return {o.party.id: o for o in cls.search([
                    ('company', '=', int(company)),
                    ('axis', '=', axis),
                    ('state', 'in', ['approved', 'ended']),
                    ('effective_on', '<=', date),
                    ('end_date', '>=', date),
                    ['OR',
                        ('ended_on', '=', None),
                        ('ended_on', '>', date),
                        ],
                    ])}

    @classmethod
    def _today(cls, company):
        pool = Pool()
        Date = pool.get('ir.date')
        with Transaction().set_context(company=company.id):
            return Date.today()

    @classmethod
    def _check_employee(cls, overrides):
        """Check that the current employee of the user belongs to the company
        of the overrides, so that it is known who did it"""
        pool = Pool()
        User = pool.get('res.user')
        user = User(Transaction().user)
        for override in overrides:
            if (not user.employee
                    or user.employee.company != override.company):
                raise OverrideError(gettext(
                        'customer_grading.msg_override_employee',
                        override=override.rec_name,
                        company=override.company.rec_name))

    @classmethod
    def _get_approving_group(cls, axis):
        "Return the XML id of the group that approves the grades of the axis"
        return (
            'group_customer_credit' if axis == 'credit'
            else 'group_customer_admin')

    @classmethod
    def _check_approver(cls, overrides):
        pool = Pool()
        Group = pool.get('res.group')
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        cls._check_employee(overrides)
        groups = User.get_groups()
        for override in overrides:
            group = ModelData.get_id(
                'customer_grading', cls._get_approving_group(override.axis))
            if group not in groups:
                raise GradeAccessError(gettext(
                        'customer_grading.msg_override_group',
                        override=override.rec_name,
                        group=Group(group).rec_name))

    @classmethod
    def _check_segregated(cls, overrides):
        for override in overrides:
            if file.is_same_person(
                    override.requested_user, override.requested_by):
                raise GradeAccessError(gettext(
                        'customer_grading.msg_override_segregated',
                        override=override.rec_name))

    @classmethod
    def _check_closing_reason(cls, overrides):
        for override in overrides:
            if not (override.closing_reason or '').strip():
                raise OverrideError(gettext(
                        'customer_grading.msg_override_closing_reason',
                        override=override.rec_name))

    @classmethod
    def _check_dates(cls, overrides):
        for company, overrides_ in group_by_company(overrides):
            today = cls._today(company)
            for override in overrides_:
                if override.end_date < today:
                    raise OverrideError(gettext(
                            'customer_grading.msg_override_past',
                            override=override.rec_name))

    @classmethod
    def _lock(cls, overrides):
        """Lock the parties, so that of two overrides that are approved at once
        the second is checked against the first when it is tried again"""
        pool = Pool()
        Party = pool.get('party.party')
        cursor = Transaction().connection.cursor()
        table = Party.__table__()
        if overrides:
            cursor.execute(*table.update(
                    [table.id], [table.id],
                    where=fields.SQL_OPERATORS['in'](
                        table.id, sorted({o.party.id for o in overrides}))))

    @classmethod
    def _check_overlap(cls, overrides):
        others = defaultdict(list)
        with without_check_access():
            for other in cls.search([
                        ('company', 'in', list({
                                    o.company.id for o in overrides})),
                        ('party', 'in', list({
                                    o.party.id for o in overrides})),
                        ('state', '=', 'approved'),
                        ]):
                others[other.company, other.party, other.axis].append(other)
        for override in overrides:
            same = others[override.company, override.party, override.axis]
            for other in same:
                if (override.start_date <= other.end_date
                        and other.start_date <= override.end_date):
                    raise OverrideError(gettext(
                            'customer_grading.msg_override_overlap',
                            override=override.rec_name,
                            other=other.rec_name,
                            **_format_dates(other)))
            same.append(override)

    @classmethod
    def _take_effect(cls, overrides, company, date):
        "Give the customers of the company the grades"
        if not overrides:
            return
        by_axis = defaultdict(dict)
        for override in overrides:
            by_axis[override.axis][override.party.id] = override
        for axis, by_party in by_axis.items():
            cls._assign(
                company, axis, {p: o.grade.id for p, o in by_party.items()},
                date, 'override', by_party)
        cls.write(overrides, {'effective_on': date})

    @classmethod
    @Workflow.transition('ended')
    def _end(cls, overrides, company, date, replaced=()):
        """Return the customers of the company to the grades that they would
        have without

        Not those whose couple of axis and party is in replaced."""
        by_axis = defaultdict(dict)
        for override in overrides:
            if (override.effective_on
                    and (override.axis, override.party) not in replaced):
                by_axis[override.axis][override.party.id] = override
        if overrides:
            cls.write(overrides, {'ended_on': date})
        for axis, by_party in by_axis.items():
            cls._assign(
                company, axis, cls._get_former(company, axis, list(by_party)),
                date, 'expired', by_party)
        cls._notify(
            overrides, 'tryton-info',
            'customer_grading.msg_notification_override_ended')

    @classmethod
    def _assign(cls, company, axis, grades, date, source, overrides):
        "Assign the grades and let them have their effect"
        pool = Pool()
        Grade = pool.get('customer.grade')
        changed = Grade.assign(
            company, axis, grades, date, source,
            override={p: o.id for p, o in overrides.items()})
        Policy = pool.get('customer.service.policy')
        if not changed:
            return
        try:
            with savepoint():
                Policy.apply_to(company, changed)
        except GradingRunError as e:
            # A rate that is missing must not keep the former grade in force
            cls._notify(
                overrides.values(), 'tryton-warning',
                'customer_grading.msg_notification_override_effect',
                description=e.message)

    @classmethod
    def _get_former(cls, company, axis, parties):
        """Return by id of party the id of the grade that was computed last,
        otherwise of the one before any override, or None"""
        pool = Pool()
        Grade = pool.get('customer.grade')
        former = dict.fromkeys(parties)
        for grade in Grade.search([
                    ('company', '=', company.id),
                    ('axis', '=', axis),
                    ('party', 'in', parties),
                    ('source', '!=', 'override'),
                    ], order=[('start_date', 'ASC'), ('id', 'ASC')]):
            former[grade.party.id] = grade.grade.id
        former.update(cls._get_computed(company, axis, parties))
        return former

    @classmethod
    def _get_computed(cls, company, axis, parties):
        "Return by id of party the id of the grade that a run computed last"
        pool = Pool()
        Result = pool.get('customer.grading.result')
        computed = {}
        for result in Result.search([
                    ('company', '=', company.id),
                    ('axis', '=', axis),
                    ('party', 'in', parties),
                    ('computed_grade', '!=', None),
                    ('run.state', '=', 'applied'),
                    ], order=[('run.date', 'ASC'), ('id', 'ASC')]):
            computed[result.party.id] = result.computed_grade.id
        return computed

    @classmethod
    def _notify(cls, overrides, icon, message_id, description=None):
        "Notify who requested the overrides"
        by_user = defaultdict(list)
        for override in overrides:
            if override.requested_user and override.requested_user.active:
                by_user[override.requested_user].append(override)
        notify(
            by_user, icon, message_id, lambda o: o.rec_name,
            description=description)


def _format_dates(override):
    pool = Pool()
    Lang = pool.get('ir.lang')
    lang = Lang.get()
    return {
        'start': lang.strftime(override.start_date),
        'end': lang.strftime(override.end_date),
        }


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    customer_class = fields.Function(
        fields.Many2One('customer.grading.grade', "Customer Class"),
        'get_customer_grades', searcher='search_customer_grade')
    customer_level = fields.Function(
        fields.Many2One('customer.grading.grade', "Customer Level"),
        'get_customer_grades', searcher='search_customer_grade')
    customer_credit = fields.Function(
        fields.Many2One('customer.grading.grade', "Customer Credit"),
        'get_customer_grades', searcher='search_customer_grade')
    customer_grades = fields.Function(
        fields.Many2Many(
            'customer.grade', None, None, "Customer Grades",
            help="The grades that the customer has and had."),
        'get_customer_history', searcher='search_customer_history')

    @classmethod
    def get_customer_grades(cls, parties, names):
        pool = Pool()
        Grade = pool.get('customer.grade')
        company = get_context_company()
        current = {}
        if company is not None:
            current = Grade.get_current(company, parties)
            if 'customer_credit' in names:
                cls._hide_credit(company, current)
        return {
            name: {
                p.id: current.get(p.id, {}).get(_get_axis(name))
                for p in parties}
            for name in names}

    @classmethod
    def _hide_credit(cls, company, current):
        "Remove the credit grades that the user may not read"
        pool = Pool()
        File = pool.get('customer.file')
        readable = not Transaction().user or File.may_read_credit()
        hidden = File.get_hidden(current) if readable else set()
        for party, grades in current.items():
            if not readable or (company, party) in hidden:
                grades.pop('credit', None)

    @classmethod
    def _where_readable(cls, table, name):
        "Return the condition for the current grades that the user may read"
        pool = Pool()
        File = pool.get('customer.file')
        Grade = pool.get('customer.grade')
        where = (
            (table.axis == _get_axis(name))
            & Grade._current(table, get_context_company() or -1))
        if name == 'customer_credit' and Transaction().user:
            if File.may_read_credit():
                where &= ~table.id.in_(Grade._get_hidden(File.hidden()))
            else:
                where &= Literal(False)
        return where

    @classmethod
    def search_customer_grade(cls, name, clause):
        pool = Pool()
        Grade = pool.get('customer.grade')
        nested = clause[0][len(name):]
        _, operator, value, *extra = clause
        table = Grade.__table__()
        where = cls._where_readable(table, name)
        graded = table.select(table.party, where=where)
        if not nested and value is None:
            return [('id', 'not in' if operator == '=' else 'in', graded)]
        if not nested and isinstance(value, str):
            nested = '.rec_name'
        negative = operator.startswith('!') or operator.startswith('not ')
        if negative:
            operator = operator[1:] if operator.startswith('!') else (
                operator[len('not '):])
        domain = [('grade' + nested, operator, value, *extra)]
        with without_check_access():
            query = Grade.search(domain, order=[], query=True)
        found = table.select(table.party, where=where & table.id.in_(query))
        without = (
            not nested and operator == 'in' and None in value)
        if negative:
            result = [('id', 'not in', found)]
            if without:
                result.append(('id', 'in', graded))
        else:
            result = [('id', 'in', found)]
            if without:
                result = ['OR', *result, ('id', 'not in', graded)]
        return result

    @classmethod
    def _readable_grades(cls, domain, **kwargs):
        "Search as the user, which Tryton does not do from other models"
        pool = Pool()
        Grade = pool.get('customer.grade')
        ModelAccess = pool.get('ir.model.access')
        with check_access():
            if ModelAccess.check(
                    Grade.__name__, 'read', raise_exception=False):
                return Grade.search(domain, **kwargs)
        with without_check_access():
            return Grade.search([('id', '=', -1)], **kwargs)

    @classmethod
    def get_customer_history(cls, parties, name):
        history = {p.id: [] for p in parties}
        for grade in cls._readable_grades([('party', 'in', list(history))]):
            history[grade.party.id].append(grade.id)
        return history

    @classmethod
    def search_customer_history(cls, name, clause):
        pool = Pool()
        Grade = pool.get('customer.grade')
        _, operator, *value = clause
        nested = clause[0][len(name) + 1:]
        negated = not nested and (
            operator.startswith('not ') or operator == '!=')
        if nested:
            domain = [(nested, operator, *value)]
        elif value == [None]:
            domain, negated = [], not negated
        elif operator.endswith('where'):
            domain = value[0]
        else:
            if negated:
                operator = '=' if operator == '!=' else operator[len('not '):]
            target = 'rec_name' if isinstance(value[0], str) else 'id'
            domain = [(target, operator, *value)]
        query = cls._readable_grades(domain, order=[], query=True)
        grade = Grade.__table__()
        return [('id', 'not in' if negated else 'in', grade.select(
                    grade.party, where=grade.id.in_(query)))]

    @classmethod
    def order_customer_class(cls, tables):
        return cls._order_customer_grade(tables, 'customer_class')

    @classmethod
    def order_customer_level(cls, tables):
        return cls._order_customer_grade(tables, 'customer_level')

    @classmethod
    def order_customer_credit(cls, tables):
        return cls._order_customer_grade(tables, 'customer_credit')

    @classmethod
    def _order_customer_grade(cls, tables, name):
        pool = Pool()
        Catalogue = pool.get('customer.grading.grade')
        Grade = pool.get('customer.grade')
        party, _ = tables[None]
        if name not in tables:
            grade = Grade.__table__()
            catalogue = Catalogue.__table__()
            query = grade.join(
                catalogue, condition=grade.grade == catalogue.id
                ).select(
                    grade.party.as_('party'), catalogue.rank.as_('rank'),
                    where=cls._where_readable(grade, name))
            tables[name] = {None: (query, query.party == party.id)}
        query, _ = tables[name][None]
        return [query.rank]


def _get_axis(name):
    return name[len('customer_'):]


class Due(metaclass=PoolMeta):
    __name__ = 'customer.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection.append(('override', "End of Override"))

    @classmethod
    def _get_origins(cls):
        return super()._get_origins() + ['customer.grade.override']

    @classmethod
    def _due_override(cls):
        "Overrides that end"
        pool = Pool()
        Override = pool.get('customer.grade.override')
        override = Override.__table__()
        return override.select(
            override.id.as_('id'),
            override.company.as_('company'),
            override.party.as_('party'),
            override.end_date.as_('due_date'),
            Literal(None).as_('employee'),
            cls._origin('customer.grade.override', override.id).as_('origin'),
            where=override.state == 'approved')
