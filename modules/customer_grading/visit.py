# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict

from sql.operators import Equal

from trytond.i18n import gettext
from trytond.model import Exclude, Index, ModelSQL, ModelView, Workflow, fields
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If
from trytond.transaction import Transaction
from trytond.wizard import Button, StateAction, StateView, Wizard

from .care import (
    ActionMixin, CadenceMixin, EvidenceMixin, MineMixin, PartMixin, PartyMixin,
    get_employee)
from .exceptions import CareError
from .file import FileMixin, get_todays, recording

KINDS = [
    ('visit', "Visit"),
    ('return', "Return Visit"),
    ('telephone', "Telephone"),
    ('event', "Event or Trade Fair"),
    ]


class Visit(
        CadenceMixin, Workflow, EvidenceMixin, FileMixin, MineMixin, ModelSQL,
        ModelView):
    __name__ = 'customer.visit'

    _states = {
        'readonly': Eval('state') != 'planned',
        }

    kind = fields.Selection(
        KINDS, "Kind", required=True, sort=False, states=_states)
    planned_date = fields.Date("Planned Date", required=True, states=_states)
    date = fields.Date(
        "Date",
        states={
            'readonly': _states['readonly'],
            'invisible': Eval('state') == 'cancelled',
            },
        help="When it took place.\n"
        "Leave empty for the day on which it is recorded.")
    employee = fields.Many2One(
        'company.employee', "Responsible", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states=_states)
    employees = fields.Many2Many(
        'customer.visit-company.employee', 'visit', 'employee',
        "Together With",
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states=_states)
    contact = fields.Many2One(
        'party.party', "Contact", ondelete='RESTRICT', states=_states,
        context={
            'company': Eval('company', -1),
            },
        depends={'company'},
        help="The person who is visited.")
    contacts = fields.Char(
        "People Met", states=_states,
        help="The names of the people of the customer.")
    purpose = fields.Char("Purpose", states=_states)
    report = fields.Text(
        "Report", states=_states,
        help="What was talked about and agreed.")
    cancel_reason = fields.Char(
        "Reason for Cancellation",
        states={
            'readonly': Eval('state') != 'planned',
            'invisible': Eval('state') == 'done',
            })
    previous = fields.Many2One(
        'customer.visit', "Follow-up Of", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('previous'),
            })
    actions = fields.One2Many(
        'customer.visit.action', 'visit', "Actions",
        states={
            'readonly': Eval('state') == 'cancelled',
            })
    done_by = fields.Many2One(
        'company.employee', "Done By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': Eval('state') != 'done',
            })
    cancelled_by = fields.Many2One(
        'company.employee', "Cancelled By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': Eval('state') != 'cancelled',
            })
    state = fields.Selection([
            ('planned', "Planned"),
            ('done', "Done"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    del _states

    _open_states = ('planned',)
    _recorded_names = frozenset(
        ['by_cadence', 'previous', 'done_by', 'cancelled_by'])
    _late_names = frozenset(['actions'])
    _interval_name = 'visit_interval'
    _done_states = ('done',)
    _done_column = 'date'
    _planned_states = ('planned',)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.append(
            ('planned_once', Exclude(
                    t, (t.file, Equal),
                    where=(t.state == 'planned') & t.by_cadence),
                'customer_grading.msg_visit_planned_once'))
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.file, Index.Equality()),
                    (t.planned_date, Index.Range())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.planned_date, Index.Range())),
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.planned_date, Index.Range()),
                    where=t.state == 'planned'),
                Index(t, (t.previous, Index.Equality())),
                })
        cls._order = [
            ('planned_date', 'DESC'),
            ('id', 'DESC'),
            ]
        cls._transitions |= {
            ('planned', 'done'),
            ('planned', 'cancelled'),
            }
        cls._buttons.update({
                'do': {
                    'invisible': Eval('state') != 'planned',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                'cancel': {
                    'invisible': Eval('state') != 'planned',
                    'icon': 'tryton-cancel',
                    'depends': ['state'],
                    },
                'follow_up': {
                    'invisible': Eval('state') != 'done',
                    'icon': 'tryton-forward',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_kind(cls):
        return 'visit'

    @classmethod
    def default_state(cls):
        return 'planned'

    @classmethod
    def default_employee(cls):
        return Transaction().context.get('employee')

    def get_rec_name(self, name):
        return f'{self.party.rec_name} – {self.planned_date}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('file.party.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        planned = Eval('state') == 'planned'
        date = Eval('planned_date', Date())
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') == 'cancelled', 'muted', '')),
            ('/tree/field[@name="planned_date"]', 'visual',
                If(planned & (date < Date()), 'danger',
                    If(planned & (date <= Date()), 'warning', ''))),
            ]

    @classmethod
    def copy(cls, visits, default=None):
        default = default.copy() if default is not None else {}
        for name in [
                'date', 'report', 'contacts', 'cancel_reason', 'actions']:
            default.setdefault(name)
        return super().copy(visits, default=default)

    @classmethod
    def _get_planned(cls, file, date, employee):
        return {
            'file': file.id,
            'kind': 'visit',
            'planned_date': date,
            'employee': employee,
            'purpose': gettext('customer_grading.msg_visit_cadence'),
            'by_cadence': True,
            }

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('done')
    def do(cls, visits):
        visits = cls.browse(visits)
        todays = get_todays({v.company for v in visits})
        undated = defaultdict(list)
        for visit in visits:
            visit._check_done(todays[visit.company])
            if not visit.date:
                undated[todays[visit.company]].append(visit)
        for date, d_visits in undated.items():
            cls.write(d_visits, {'date': date})
        cls._set_employee(visits, 'done_by')

    @classmethod
    def _set_employee(cls, visits, name):
        for company, c_visits in group_by_company(visits):
            cls.write(c_visits, {name: get_employee(company).id})

    def _check_done(self, today):
        problems = []
        if not (self.report or '').strip():
            problems.append(gettext('customer_grading.msg_visit_report'))
        if not self.employee:
            problems.append(gettext('customer_grading.msg_visit_employee'))
        if self.date and self.date > today:
            problems.append(gettext('customer_grading.msg_visit_future'))
        if problems:
            raise CareError(gettext(
                    'customer_grading.msg_visit_missing',
                    visit=self.rec_name,
                    problems='\n'.join(problems)))

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('cancelled')
    def cancel(cls, visits):
        visits = cls.browse(visits)
        for visit in visits:
            if not (visit.cancel_reason or '').strip():
                raise CareError(gettext(
                        'customer_grading.msg_visit_cancel_reason',
                        visit=visit.rec_name))
        cls._set_employee(visits, 'cancelled_by')

    @classmethod
    @ModelView.button_action('customer_grading.wizard_visit_follow_up')
    def follow_up(cls, visits):
        pass

    @classmethod
    @recording('_customer_care')
    def plan_follow_up(cls, visits, date, kind='return', purpose=None):
        "Plan a visit that follows each of those that took place"
        for visit in visits:
            if visit.state != 'done':
                raise CareError(gettext(
                        'customer_grading.msg_visit_follow_up',
                        visit=visit.rec_name))
        return cls.copy(visits, default={
                'kind': kind,
                'planned_date': date,
                'purpose': (
                    purpose or (lambda data: data['purpose'])),
                'previous': lambda data: data['id'],
                })


class VisitEmployee(PartMixin, ModelSQL):
    __name__ = 'customer.visit-company.employee'

    visit = fields.Many2One(
        'customer.visit', "Visit", required=True, ondelete='CASCADE')
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('visit')
        cls._sql_indexes.update({
                Index(t, (t.visit, Index.Equality())),
                Index(t, (t.employee, Index.Equality())),
                })

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        pool = Pool()
        Visit = pool.get('customer.visit')
        super().check_modification(
            mode, records, values=values, external=external)
        # As if the visits themselves were changed
        Visit.check_modification(
            'write', list({r.visit for r in records}),
            values={'employees': None}, external=external)


class VisitAction(PartyMixin, ActionMixin):
    __name__ = 'customer.visit.action'

    visit = fields.Many2One(
        'customer.visit', "Visit", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })

    _parent_name = 'visit'
    _parent_states = ('planned', 'done')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('visit')
        cls._sql_indexes.update({
                Index(t, (t.visit, Index.Equality())),
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.due_date, Index.Range()),
                    where=t.state == 'open'),
                })

    @fields.depends('visit', '_parent_visit.company')
    def on_change_with_company(self, name=None):
        return self.visit.company if self.visit else None

    @fields.depends('visit', '_parent_visit.party')
    def on_change_with_party(self, name=None):
        return self.visit.party if self.visit else None

    @classmethod
    def search_file_field(cls, name, clause):
        return [('visit.file.' + clause[0], *clause[1:])]


class VisitFollowUpStart(ModelView):
    __name__ = 'customer.visit.follow_up.start'

    kind = fields.Selection(KINDS, "Kind", required=True, sort=False)
    planned_date = fields.Date("Planned Date", required=True)
    purpose = fields.Char(
        "Purpose", help="Leave empty for that of the visit before.")

    @classmethod
    def default_kind(cls):
        return 'return'


class VisitFollowUp(Wizard):
    __name__ = 'customer.visit.follow_up'

    start = StateView(
        'customer.visit.follow_up.start',
        'customer_grading.visit_follow_up_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Plan", 'plan', 'tryton-ok', default=True),
            ])
    plan = StateAction('customer_grading.act_visit_form')

    def do_plan(self, action):
        visits = self.model.plan_follow_up(
            self.records, self.start.planned_date, kind=self.start.kind,
            purpose=self.start.purpose)
        return action, {'res_id': [v.id for v in visits]}


class Due(metaclass=PoolMeta):
    __name__ = 'customer.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection.extend([
                ('visit', "Visit"),
                ('visit_action', "Visit Action"),
                ])

    @classmethod
    def _get_origins(cls):
        return super()._get_origins() + [
            'customer.visit', 'customer.visit.action']

    @classmethod
    def _due_visit(cls):
        "Visits that have not taken place"
        pool = Pool()
        File = pool.get('customer.file')
        Visit = pool.get('customer.visit')
        file = File.__table__()
        visit = Visit.__table__()
        return visit.join(
            file, condition=visit.file == file.id
            ).select(
                visit.id.as_('id'),
                file.company.as_('company'),
                file.party.as_('party'),
                visit.planned_date.as_('due_date'),
                visit.employee.as_('employee'),
                cls._origin('customer.visit', visit.id).as_('origin'),
                where=visit.state == 'planned')

    @classmethod
    def _due_visit_action(cls):
        "What was agreed at visits and is not done"
        pool = Pool()
        Action = pool.get('customer.visit.action')
        File = pool.get('customer.file')
        Visit = pool.get('customer.visit')
        action = Action.__table__()
        file = File.__table__()
        visit = Visit.__table__()
        return action.join(
            visit, condition=action.visit == visit.id
            ).join(
                file, condition=visit.file == file.id
            ).select(
                action.id.as_('id'),
                file.company.as_('company'),
                file.party.as_('party'),
                action.due_date.as_('due_date'),
                action.employee.as_('employee'),
                cls._origin('customer.visit.action', action.id).as_('origin'),
                where=action.state == 'open')
