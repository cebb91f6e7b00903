# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from dateutil.relativedelta import relativedelta
from sql import Literal
from sql.aggregate import Max
from sql.conditionals import Case

from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelStorage, ModelView, fields
from trytond.modules.company.model import CompanyValueMixin
from trytond.modules.company_department.tools import \
    get_employee as find_employee
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If
from trytond.transaction import Transaction, without_check_access

from .exceptions import CareError
from .file import EvidenceMixin as Recorded
from .file import PartMixin, check_read, get_todays, recording

_DATE = fields.Date("Date")
_REACHED = ['investigated', 'approved']


def get_employee(company):
    "Return the employee of the user in the company, or raise CareError"
    employee = find_employee(company)
    if not employee:
        raise CareError(gettext(
                'customer_grading.msg_care_employee',
                company=company.rec_name))
    return employee


class MineMixin(ModelStorage):
    "With an employee who has to see to it"
    __slots__ = ()

    mine = fields.Function(
        fields.Boolean("Mine"), 'get_mine', searcher='search_mine')

    @classmethod
    def get_mine(cls, records, name):
        pool = Pool()
        User = pool.get('res.user')
        employees = set(User.get_employees() or [])
        return {
            r.id: bool(r.employee and r.employee.id in employees)
            for r in records}

    @classmethod
    def search_mine(cls, name, clause):
        pool = Pool()
        User = pool.get('res.user')
        _, operator, value = clause
        employees = list(User.get_employees() or [])
        if (operator == '=' and value) or (operator == '!=' and not value):
            return [('employee', 'in', employees)]
        return ['OR',
            ('employee', '=', None),
            ('employee', 'not in', employees),
            ]


class PartyMixin(ModelStorage):
    "What belongs to a customer of a company through something else"
    __slots__ = ()

    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_file_field')
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'on_change_with_party', searcher='search_file_field')

    @classmethod
    def search_file_field(cls, name, clause):
        raise NotImplementedError


class EvidenceMixin(Recorded):
    """What only its own buttons bring from state to state, and what nobody
    changes or deletes any more once it is done, whatever the rights of who
    asks"""
    __slots__ = ()

    _evidence_key = '_customer_care'
    _evidence_message = 'msg_care'
    # The states in which users fill it in
    _open_states = ()
    # What users never set
    _recorded_names = frozenset()
    # What users still set when it is not open any more
    _late_names = frozenset()

    @classmethod
    def _get_denied(cls, mode, records, values):
        def is_denied(record):
            if mode == 'create':
                return (
                    record.state != cls.default_state()
                    or any(getattr(record, n) for n in cls._recorded_names))
            elif mode == 'write' and (
                    values.keys() & ({'state'} | cls._recorded_names)):
                return True
            return record.state not in cls._open_states and (
                mode == 'delete' or values.keys() - cls._late_names)

        return [r for r in cls.browse(records) if is_denied(r)]

    @classmethod
    def copy(cls, records, default=None):
        check_read(cls, records)
        default = default.copy() if default is not None else {}
        default.setdefault('state', cls.default_state())
        for name in cls._recorded_names:
            default.setdefault(name)
        return super().copy(records, default=default)


class ActionMixin(PartMixin, EvidenceMixin, MineMixin, ModelSQL, ModelView):
    "What somebody has to do about something by a date"
    __slots__ = ()

    name = fields.Char(
        "What", required=True,
        states={
            'readonly': Eval('state') != 'open',
            },
        help="What must be done.")
    employee = fields.Many2One(
        'company.employee', "Responsible", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': Eval('state') != 'open',
            })
    due_date = fields.Date(
        "Due Date", required=True,
        states={
            'readonly': Eval('state') != 'open',
            })
    note = fields.Text(
        "Note",
        states={
            'readonly': Eval('state') != 'open',
            },
        help="How it was done.")
    done_by = fields.Many2One(
        'company.employee', "Done By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('done_at'),
            })
    done_at = fields.DateTime(
        "Done At", readonly=True,
        states={
            'invisible': ~Eval('done_at'),
            })
    state = fields.Selection([
            ('open', "Open"),
            ('done', "Done"),
            ], "State", required=True, readonly=True, sort=False)

    _open_states = ('open',)
    _recorded_names = frozenset(['done_by', 'done_at'])
    # The name of what it belongs to, and in which of its states it is added
    _parent_name = None
    _parent_states = ()

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('due_date', 'ASC'),
            ('id', 'ASC'),
            ]
        cls._buttons.update({
                'do': {
                    'invisible': Eval('state') != 'open',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'open'

    @classmethod
    def view_attributes(cls):
        late = (
            (Eval('state') == 'open') & (Eval('due_date', Date()) < Date()))
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') == 'done', 'muted', '')),
            ('/tree/field[@name="due_date"]', 'visual',
                If(late, 'danger', '')),
            ]

    @classmethod
    def check_modification(cls, mode, actions, values=None, external=False):
        super().check_modification(
            mode, actions, values=values, external=external)
        if mode == 'create':
            for action in actions:
                parent = getattr(action, cls._parent_name)
                if parent.state not in cls._parent_states:
                    names = parent.__names__('state', parent)
                    raise CareError(gettext(
                            'customer_grading.msg_care_action',
                            action=action.rec_name,
                            record=names['record'], model=names['model'],
                            state=names['value']))

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    def do(cls, actions):
        "Record that the actions are done, and by whom"
        actions = [a for a in cls.browse(actions) if a.state == 'open']
        now = dt.datetime.now()
        for company, c_actions in group_by_company(actions):
            cls.write(c_actions, {
                    'state': 'done',
                    'done_by': get_employee(company).id,
                    'done_at': now,
                    })


class CadenceMixin(ModelStorage):
    "What is planned again and again for the customers"
    __slots__ = ()

    by_cadence = fields.Boolean(
        "By Cadence", readonly=True,
        help="Planned because it was time, not by somebody.")

    # The name of the interval in the service policy and the configuration,
    # what was done in which state at which date, and what is still to come
    _interval_name = None
    _done_states = ()
    _done_column = None
    _planned_states = ()

    @classmethod
    def plan(cls, files=None, interval=None):
        """Plan what comes next for the files that have nothing planned, and
        return it.

        It comes the interval of months after what was done last, or after the
        file was opened, but not before today. By default the files are all of
        the company, and the interval is the one of their service policy or of
        the configuration: without any nothing is planned."""
        pool = Pool()
        File = pool.get('customer.file')
        with without_check_access():
            if files is None:
                company = Transaction().context.get('company')
                domain = [('state', 'in', _REACHED)]
                if company is not None:
                    domain.append(('company', '=', company))
                files = File.search(domain)
            else:
                files = [
                    f for f in File.browse(files) if f.state in _REACHED]
            intervals = cls._get_intervals(files, interval)
            files = [f for f in files if intervals.get(f.id)]
            if not files:
                return []
            last, planned = cls._get_last(files)
            employees = cls._get_responsibles(files)
            todays = get_todays({f.company for f in files})
            to_create = []
            for file in files:
                if file.id in planned:
                    continue
                today = todays[file.company]
                date = max(today,
                    (last.get(file.id) or file.create_date.date())
                    + relativedelta(months=intervals[file.id]))
                date = file.company.add_working_days(date, 0)
                values = cls._get_planned(
                    file, date, employees.get(file.id))
                if values:
                    to_create.append(values)
            with recording('_customer_care'):
                return cls.create(to_create)

    @classmethod
    def _get_planned(cls, file, date, employee):
        "Return the values of what is planned for the file at the date"
        raise NotImplementedError

    @classmethod
    def _get_intervals(cls, files, interval):
        "Return the interval in months by the id of the files that have one"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        File = pool.get('customer.file')
        if interval:
            return {f.id: interval for f in files}
        configuration = Configuration(1)
        defaults = {
            c: configuration.get_multivalue(cls._interval_name, company=c.id)
            for c in {f.company for f in files}}
        # Who has no service policies keeps to the configuration
        get_policies = getattr(
            File, 'get_policy_values', lambda files, name: {})
        policies = get_policies(files, cls._interval_name)
        return {f.id: policies.get(f) or defaults[f.company] for f in files}

    @classmethod
    def _get_last(cls, files):
        """Return by the id of the files when it was done last, and the set of
        the ids of those for which something is planned"""
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        done = _DATE.sql_cast(getattr(table, cls._done_column))
        cursor.execute(*table.select(
                table.file,
                Max(Case((table.state.in_(cls._done_states), done))),
                Max(Case(
                        (table.state.in_(cls._planned_states), Literal(1)),
                        else_=Literal(0))),
                where=fields.SQL_OPERATORS['in'](
                    table.file, [f.id for f in files]),
                group_by=table.file))
        last, planned = {}, set()
        for file, date, is_planned in cursor:
            if isinstance(date, str):
                # SQLite does not know the type of the expression
                date = dt.date.fromisoformat(date[:10])
            last[file] = date
            if is_planned:
                planned.add(file)
        return last, planned

    @classmethod
    def _get_responsibles(cls, files):
        "Return the employee by the id of the files that have a manager"
        pool = Pool()
        File = pool.get('customer.file')
        return File.get_responsibles(files)


class File(metaclass=PoolMeta):
    __name__ = 'customer.file'

    @classmethod
    def get_responsibles(cls, files):
        """Return the employee who looks after the customer, by the id of the
        files that have one"""
        pool = Pool()
        Manager = pool.get('customer.file.manager')
        cursor = Transaction().connection.cursor()
        manager = Manager.main()
        cursor.execute(*manager.select(
                manager.file, manager.employee,
                where=fields.SQL_OPERATORS['in'](
                    manager.file, [f.id for f in files])))
        return dict(cursor.fetchall())


class Configuration(metaclass=PoolMeta):
    __name__ = 'customer.configuration'

    visit_interval = fields.MultiValue(fields.Integer(
            "Visit Interval",
            domain=['OR',
                ('visit_interval', '=', None),
                ('visit_interval', '>', 0),
                ],
            help="The number of months after which customers are visited "
            "again if their service policy does not say.\n"
            "Leave empty to plan no visits."))
    survey_interval = fields.MultiValue(fields.Integer(
            "Survey Interval",
            domain=['OR',
                ('survey_interval', '=', None),
                ('survey_interval', '>', 0),
                ],
            help="The number of months after which customers are surveyed "
            "again if their service policy does not say.\n"
            "Leave empty to plan no surveys."))
    survey_questionnaire = fields.MultiValue(fields.Many2One(
            'customer.questionnaire', "Questionnaire",
            domain=[
                ('company', 'in', [
                        Eval('context', {}).get('company', -1), None]),
                ],
            help="The questionnaire of the surveys that are planned."))
    survey_validity = fields.MultiValue(fields.Integer(
            "Survey Validity",
            domain=['OR',
                ('survey_validity', '=', None),
                ('survey_validity', '>', 0),
                ],
            help="The number of days during which the link to a survey can "
            "be used."))

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field in {
                'visit_interval', 'survey_interval', 'survey_questionnaire',
                'survey_validity'}:
            return pool.get('customer.configuration.care')
        return super().multivalue_model(field)

    @classmethod
    def default_survey_questionnaire(cls, **pattern):
        return cls.multivalue_model(
            'survey_questionnaire').default_survey_questionnaire()

    @classmethod
    def default_survey_validity(cls, **pattern):
        return cls.multivalue_model(
            'survey_validity').default_survey_validity()


class ConfigurationCare(CompanyValueMixin, ModelSQL):
    __name__ = 'customer.configuration.care'

    visit_interval = fields.Integer("Visit Interval")
    survey_interval = fields.Integer("Survey Interval")
    survey_questionnaire = fields.Many2One(
        'customer.questionnaire', "Questionnaire", ondelete='RESTRICT',
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ])
    survey_validity = fields.Integer("Survey Validity")

    @classmethod
    def default_survey_questionnaire(cls):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        try:
            return ModelData.get_id(
                'customer_grading', 'questionnaire_satisfaction')
        except KeyError:
            return None

    @classmethod
    def default_survey_validity(cls):
        return 30


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.extend([
                ('customer.visit|plan', "Plan Customer Visits"),
                ('customer.survey|plan', "Plan Customer Surveys"),
                ])


class Attachment(metaclass=PoolMeta):
    __name__ = 'ir.attachment'

    def _is_customer_evidence(self):
        pool = Pool()
        resource = self.resource
        evidence = super()._is_customer_evidence()
        for name, state in [
                ('customer.visit', 'planned'),
                ('customer.assessment', 'draft'),
                ('customer.intelligence', 'reported'),
                ]:
            if isinstance(resource, pool.get(name)):
                evidence |= resource.state != state
        if isinstance(resource, pool.get('customer.survey')):
            evidence |= resource.state in {'answered', 'closed'}
        return evidence
