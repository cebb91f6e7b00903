# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
import logging
from collections import defaultdict
from contextlib import contextmanager
from decimal import Decimal
from functools import partial

from dateutil.relativedelta import relativedelta
from sql import Cast, Column, Literal, Null, Select, Union, Window
from sql.aggregate import Count, Max, Min, Sum
from sql.conditionals import Case, Coalesce, NullIf
from sql.functions import CumeDist, Function, Round
from sql.operators import BinaryOperator, Concat

from trytond import backend
from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Workflow, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company.model import CompanyValueMixin, employee_field
from trytond.modules.company_department.savepoint import savepoint
from trytond.modules.company_department.tools import (
    get_employee, get_employees, notify, per_company)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice, sqlite_apply_types
from trytond.transaction import (
    Transaction, TransactionError, without_check_access)
from trytond.wizard import Button, StateAction, StateView, Wizard

from .evaluation import POPULATION, RANK, Distribution, Evaluator, Values
from .exceptions import GradingRunAccessError, GradingRunError
from .file import CustomerMixin, PartMixin, is_same_person, recording
from .grade import AXES, EvidenceMixin
from .metric import SALE_STATES, number

logger = logging.getLogger(__name__)

CHUNK = 2000
# More are computed by the queue
DIRECT = 100
# What was written by a transaction that was not yet committed when the last
# run read the data
MARGIN = dt.timedelta(hours=1)
# The results of a run are at most so many criteria long
POSITIONS = 100
KINDS = [
    ('full', "All Customers"),
    ('changed', "Customers with Business"),
    ('parties', "Selected Customers"),
    ]
COMPUTED = ['computed', 'approved', 'applied']


class JSONEach(Function):
    __slots__ = ()
    _function = 'json_each'


class JSONArray(Function):
    __slots__ = ()
    _function = 'jsonb_array_elements'

    def __str__(self):
        return super().__str__() + ' WITH ORDINALITY'


class JSONExtract(Function):
    __slots__ = ()
    _function = 'json_extract'


class JSONPath(Function):
    __slots__ = ()
    _function = 'jsonb_extract_path_text'


class JSONText(BinaryOperator):
    __slots__ = ()
    _operator = '->>'


_recording = partial(
    recording, '_customer_grading', '_customer_grading_run')


def _round(value, digits):
    "Return the expression rounded the same way by all databases"
    value = number(value)
    if backend.name == 'sqlite':
        # Its floating point numbers are a little less or more than a half
        value += Case((value < 0, -1e-9), else_=1e-9)
    return Round(value, digits)


class _Cancelled(Exception):
    "The run has been cancelled while it was computed"


class Run(Workflow, ModelSQL, ModelView):
    __name__ = 'customer.grading.run'
    _rec_name = 'number'

    _states = {
        'readonly': (
            (Eval('state') != 'draft') | Bool(Eval('started_at'))),
        }

    number = fields.Char("Number", readonly=True)
    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states={
            'readonly': _states['readonly'] | Eval('scheme'),
            })
    scheme = fields.Many2One(
        'customer.grading.scheme', "Scheme", required=True,
        ondelete='RESTRICT',
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ],
        states=_states)
    axis = fields.Selection(
        AXES, "Axis", required=True, readonly=True, sort=False)
    kind = fields.Selection(
        KINDS, "Customers", required=True, sort=False, states=_states,
        help="Who is graded.")
    date = fields.Date(
        "Date", required=True, states=_states,
        help="The day up to which the customers are measured.\n"
        "What happened later is not considered.")
    parties = fields.Many2Many(
        'customer.grading.run-party.party', 'run', 'party', "Selected",
        states={
            'readonly': _states['readonly'],
            'invisible': Eval('kind') != 'parties',
            'required': Eval('kind') == 'parties',
            },
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    definition = fields.Text(
        "Definition", readonly=True,
        help="The scheme as it was used, as JSON.")
    distribution = fields.Many2One(
        'customer.grading.run', "Ranked In", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('distribution'),
            },
        help="The run of all customers by whose values these were ranked.")
    started_at = fields.DateTime("Started At", readonly=True)
    progress = fields.Function(
        fields.Float(
            "Progress", digits=(1, 2),
            states={
                'invisible': (
                    (Eval('state') != 'draft') | ~Eval('started_at')),
                }),
        'get_progress')
    error = fields.Text(
        "Error", readonly=True,
        states={
            'invisible': ~Eval('error'),
            },
        help="Why the run could not be computed.")

    customers = fields.Integer("Graded", readonly=True)
    upgraded = fields.Integer("Better", readonly=True)
    downgraded = fields.Integer("Worse", readonly=True)
    first = fields.Integer("First Grade", readonly=True)
    not_rated = fields.Integer("Not Rated", readonly=True)
    results = fields.One2Many(
        'customer.grading.result', 'run', "Results", readonly=True)
    migration = fields.One2Many(
        'customer.grading.migration', 'run', "Migration", readonly=True,
        states={
            'invisible': ~Eval('state').in_(COMPUTED),
            })

    computed_user = fields.Many2One(
        'res.user', "Computed by User", readonly=True, ondelete='RESTRICT')
    computed_by = employee_field(
        "Computed By",
        states=['draft', 'computed', 'approved', 'applied', 'cancelled'])
    computed_at = fields.DateTime("Computed At", readonly=True)
    approved_by = employee_field(
        "Approved By",
        states=['draft', 'computed', 'approved', 'applied', 'cancelled'])
    approved_at = fields.DateTime("Approved At", readonly=True)
    applied_by = employee_field(
        "Applied By",
        states=['draft', 'computed', 'approved', 'applied', 'cancelled'])
    applied_at = fields.DateTime("Applied At", readonly=True)
    cancelled_by = employee_field(
        "Cancelled By",
        states=['draft', 'computed', 'approved', 'applied', 'cancelled'])
    cancelled_at = fields.DateTime("Cancelled At", readonly=True)
    state = fields.Selection([
            ('draft', "Draft"),
            ('computed', "Computed"),
            ('approved', "Approved"),
            ('applied', "Applied"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    del _states

    @classmethod
    def __setup__(cls):
        cls.number.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.company, Index.Equality()),
                    (t.axis, Index.Equality(cardinality='low')),
                    (t.id, Index.Range(order='DESC'))),
                Index(t, (t.scheme, Index.Equality())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    where=t.state.in_(['draft', 'computed', 'approved'])),
                })
        cls._order = [('id', 'DESC')]
        cls._transitions |= {
            ('draft', 'computed'),
            ('computed', 'approved'),
            ('approved', 'applied'),
            ('draft', 'cancelled'),
            ('computed', 'cancelled'),
            ('approved', 'cancelled'),
            }
        cls._buttons.update({
                'compute': {
                    'invisible': (
                        (Eval('state') != 'draft')
                        | Bool(Eval('started_at'))),
                    'depends': ['state', 'started_at'],
                    },
                'approve': {
                    'invisible': Eval('state') != 'computed',
                    'depends': ['state'],
                    },
                'apply': {
                    'invisible': Eval('state') != 'approved',
                    'depends': ['state'],
                    },
                'cancel': {
                    'invisible': ~Eval('state').in_(
                        ['draft', 'computed', 'approved']),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_kind(cls):
        return 'full'

    @classmethod
    def default_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    @classmethod
    def default_state(cls):
        return 'draft'

    @fields.depends('scheme')
    def on_change_with_axis(self):
        return self.scheme.axis if self.scheme else None

    @classmethod
    def get_progress(cls, runs, name):
        pool = Pool()
        Progress = pool.get('customer.grading.run.progress')
        cursor = Transaction().connection.cursor()
        progress = {
            r.id: None if r.state == 'draft' else 1.0 for r in runs}
        started = [r.id for r in runs if r.state == 'draft' and r.started_at]
        if started:
            table = Progress.__table__()
            cursor.execute(*table.select(
                    table.run, Max(table.progress),
                    where=fields.SQL_OPERATORS['in'](table.run, started),
                    group_by=table.run))
            progress.update(dict.fromkeys(started, 0.0))
            progress.update(cursor)
        return progress

    def get_rec_name(self, name):
        return self.number or f'({self.id})'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'cancelled', 'muted', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state').in_(['computed', 'approved']),
                    'warning', '')),
            ('/form/notebook/page[@id="parties"]', 'states', {
                    'invisible': Eval('kind') != 'parties',
                    }),
            ('/form/group[@id="error"]', 'states', {
                    'invisible': ~Eval('error'),
                    }),
            ]

    # What may be changed

    @classmethod
    def preprocess_values(cls, mode, values):
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Scheme = pool.get('customer.grading.scheme')
        values = super().preprocess_values(mode, values)
        if mode == 'create' and not values.get('number'):
            company = values.get('company', cls.default_company())
            if company is not None:
                configuration = Configuration(1)
                with Transaction().set_context(company=company):
                    sequence = configuration.get_multivalue(
                        'run_sequence', company=company)
                if sequence:
                    values['number'] = sequence.get()
        if values.get('scheme'):
            values['axis'] = Scheme(values['scheme']).axis
        return values

    @classmethod
    def check_modification(cls, mode, runs, values=None, external=False):
        super().check_modification(
            mode, runs, values=values, external=external)
        if Transaction().context.get('_customer_grading_run'):
            return
        open_ = {'company', 'scheme', 'axis', 'kind', 'date', 'parties'}
        if mode == 'create':
            for run in runs:
                if run.state != 'draft' or any(
                        getattr(run, n) for n in [
                            'started_at', 'definition', 'computed_user',
                            'computed_by', 'approved_by', 'applied_by',
                            'cancelled_by', 'computed_at', 'approved_at',
                            'applied_at', 'customers']):
                    cls._deny(run)
        elif mode == 'write':
            for run in runs:
                if (run.state != 'draft' or run.started_at
                        or values.keys() - open_):
                    cls._deny(run)
        elif mode == 'delete':
            for run in runs:
                if (run.approved_at or run.state in {'approved', 'applied'}
                        or (run.state == 'draft' and run.started_at)):
                    cls._deny(run, 'msg_run_delete')

    @classmethod
    def _deny(cls, run, message='msg_run_modify'):
        raise GradingRunAccessError(gettext(
                f'customer_grading.{message}', run=run.rec_name))

    @classmethod
    def validate_fields(cls, runs, field_names):
        super().validate_fields(runs, field_names)
        pool = Pool()
        Date = pool.get('ir.date')
        if not field_names or 'date' in field_names:
            for run in runs:
                with Transaction().set_context(company=run.company.id):
                    if run.date > Date.today():
                        raise GradingRunError(gettext(
                                'customer_grading.msg_run_future',
                                run=run.rec_name))

    @classmethod
    def delete(cls, runs):
        pool = Pool()
        Distribution = pool.get('customer.grading.distribution')
        Result = pool.get('customer.grading.result')
        # They can be many
        cls.check_modification('delete', runs)
        cursor = Transaction().connection.cursor()
        for Model in [Result, Distribution]:
            table = Model.__table__()
            cursor.execute(*table.delete(
                    where=fields.SQL_OPERATORS['in'](
                        table.run, [r.id for r in runs])))
        super().delete(runs)

    @classmethod
    def copy(cls, runs, default=None):
        default = default.copy() if default is not None else {}
        for name in [
                'number', 'definition', 'distribution', 'started_at', 'error',
                'customers', 'upgraded', 'downgraded', 'first', 'not_rated',
                'results', 'migration', 'computed_user', 'computed_by',
                'computed_at', 'approved_by', 'approved_at', 'applied_by',
                'applied_at', 'cancelled_by', 'cancelled_at']:
            default.setdefault(name)
        default.setdefault('state', 'draft')
        return super().copy(runs, default=default)

    # The buttons

    @classmethod
    def _check_state(cls, runs, states):
        for run in runs:
            if run.state not in states:
                raise GradingRunError(gettext(
                        'customer_grading.msg_run_state',
                        run=run.rec_name, state=run.state_string))

    @classmethod
    @ModelView.button
    def compute(cls, runs):
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        runs = cls._lock(runs)
        cls._check_state(runs, ['draft'])
        for run in runs:
            if run.started_at:
                raise GradingRunError(gettext(
                        'customer_grading.msg_run_started',
                        run=run.rec_name))
        # The queue would tell only later
        queued = [r for r in runs if not r._is_direct]
        with without_check_access():
            Scheme.check_usable(list({r.scheme for r in queued}))
            for run in queued:
                run._check_distribution()
        for run in runs:
            run.start()
            if run in queued:
                cls.__queue__.execute([run])
            else:
                with without_check_access():
                    run._compute()

    @property
    def _is_direct(self):
        "Whether it is computed at once"
        return self.kind == 'parties' and len(self.parties) <= DIRECT

    def start(self):
        "Record who computes the run"
        employee = get_employee(self.company)
        with _recording():
            self.__class__.write([self], {
                    'started_at': dt.datetime.now(),
                    'error': None,
                    'computed_user': Transaction().user,
                    'computed_by': employee.id if employee else None,
                    })

    @classmethod
    @ModelView.button
    @Workflow.transition('approved')
    def approve(cls, runs):
        pool = Pool()
        Group = pool.get('res.group')
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        runs = cls._lock(runs)
        cls._check_state(runs, ['computed'])
        transaction = Transaction()
        now = dt.datetime.now()
        groups = set(User.get_groups())
        admin = ModelData.get_id('customer_grading', 'group_customer_admin')
        employees = get_employees(runs)
        for run in runs:
            employee = employees[run.company]
            if not employee:
                raise GradingRunError(gettext(
                        'customer_grading.msg_run_employee',
                        run=run.rec_name, company=run.company.rec_name))
            if is_same_person(run.computed_user, run.computed_by):
                raise GradingRunError(gettext(
                        'customer_grading.msg_run_segregated',
                        run=run.rec_name, employee=employee.rec_name))
            if (run.axis != 'credit' and admin not in groups
                    and transaction.user):
                raise AccessError(gettext(
                        'customer_grading.msg_run_approve_group',
                        run=run.rec_name, group=Group(admin).rec_name))
            with _recording():
                cls.write([run], {
                        'approved_by': employee.id,
                        'approved_at': now,
                        'state': 'approved',
                        })

    @classmethod
    @ModelView.button
    @Workflow.transition('applied')
    def apply(cls, runs):
        # Of the same axis only one at a time
        cls.lock(cls.search([
                    ('company', 'in', [r.company.id for r in runs]),
                    ('axis', 'in', [r.axis for r in runs]),
                    ('state', '=', 'approved'),
                    ]))
        runs = cls._lock(runs)
        cls._check_state(runs, ['approved'])
        now = dt.datetime.now()
        employees = get_employees(runs)
        for run in sorted(runs, key=lambda r: (r.computed_at, r.id)):
            run._check_apply()
            employee = employees[run.company]
            with without_check_access():
                run._apply()
                with _recording():
                    cls.write([run], {
                            'applied_by': employee.id if employee else None,
                            'applied_at': now,
                            'state': 'applied',
                            })

    @classmethod
    @ModelView.button
    @Workflow.transition('cancelled')
    def cancel(cls, runs):
        # Without lock as the results refer to the run while it is computed
        cls._check_state(runs, ['draft', 'computed', 'approved'])
        now = dt.datetime.now()
        employees = get_employees(runs)
        for run in runs:
            employee = employees[run.company]
            with _recording():
                cls.write([run], {
                        'cancelled_by': employee.id if employee else None,
                        'cancelled_at': now,
                        'state': 'cancelled',
                        })

    @classmethod
    def _lock(cls, runs):
        """Lock the runs and return them as they are now

        Of two users who act at once the second one tries again."""
        cls.lock(runs)
        return cls.browse(runs)

    # To apply

    def _check_apply(self):
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Date = pool.get('ir.date')
        Lang = pool.get('ir.lang')
        lang = Lang.get()
        if self.scheme.company and self.scheme.state != 'published':
            raise GradingRunError(gettext(
                    'customer_grading.msg_run_apply_scheme',
                    run=self.rec_name, scheme=self.scheme.rec_name))
        with Transaction().set_context(company=self.company.id):
            today = Date.today()
            days = Configuration(1).get_multivalue(
                'run_apply_days', company=self.company.id) or 0
        if self.date < today - dt.timedelta(days=days):
            raise GradingRunError(gettext(
                    'customer_grading.msg_run_apply_date',
                    run=self.rec_name, date=lang.strftime(self.date),
                    days=days))
        newer = self.search([
                ('company', '=', self.company.id),
                ('axis', '=', self.axis),
                ('state', '=', 'applied'),
                ('id', '!=', self.id),
                ['OR',
                    ('computed_at', '>', self.computed_at),
                    [
                        ('computed_at', '=', self.computed_at),
                        ('id', '>', self.id),
                        ],
                    ],
                ], limit=1)
        if newer:
            newer, = newer
            raise GradingRunError(gettext(
                    'customer_grading.msg_run_apply_newer',
                    run=self.rec_name, newer=newer.rec_name))

    def _apply(self):
        pool = Pool()
        Date = pool.get('ir.date')
        File = pool.get('customer.file')
        Grade = pool.get('customer.grade')
        Override = pool.get('customer.grade.override')
        Policy = pool.get('customer.service.policy')
        Result = pool.get('customer.grading.result')
        cursor = Transaction().connection.cursor()
        with Transaction().set_context(company=self.company.id):
            today = Date.today()
        # Those approved since the run was computed hold, and of those that
        # ended since the computed grade comes into force
        overridden = Override.get_active(self.company, self.axis, today)
        table = Result.__table__()
        grade = Case(
            (table.reason == 'override', table.computed_grade),
            else_=table.final_grade)
        cursor.execute(*table.select(
                table.party, grade, table.id,
                where=(table.run == self.id) & (grade != Null)))
        grades, results = {}, {}
        for party, grade, result in cursor:
            if party not in overridden:
                grades[party] = grade
                results[party] = result
        Grade.assign(
            self.company, self.axis, grades, today, 'run', result=results)
        if grades:
            Policy.apply_to(self.company, list(grades))
            File.plan_grading(self.company, list(grades), today)

    # To compute

    @classmethod
    @without_check_access
    def execute(cls, runs):
        """Compute the runs that have been started

        What goes wrong is kept on the run and nothing else of it."""
        for run in runs:
            if run.state != 'draft' or not run.started_at:
                # It has been cancelled or computed meanwhile
                run._watch(None)
                continue
            if not run._lock_compute():
                continue
            with Transaction().set_context(company=run.company.id):
                try:
                    with savepoint():
                        run._compute(watched=True)
                except (TransactionError, backend.DatabaseOperationalError):
                    # It is tried again
                    raise
                except _Cancelled:
                    run._watch(None)
                except UserError as e:
                    run._fail(e.message)
                except Exception as e:
                    logger.exception("grading run %s failed", run.id)
                    run._fail(f'{e.__class__.__name__}: {e}')

    def _lock_compute(self):
        "Return whether nobody else computes the run"
        transaction = Transaction()
        lock = transaction.database.lock_id(-self.id)
        if lock is None:
            return True
        cursor = transaction.connection.cursor()
        cursor.execute(*Select([lock]))
        locked, = cursor.fetchone()
        return locked

    def _fail(self, text):
        with _recording():
            self.__class__.write([self], {
                    'error': text,
                    'started_at': None,
                    })
        self._watch(None)
        # The scheduled task reads no notification
        by_user = self.computed_user and self.computed_user.id
        self._notify(
            [self.computed_user] if by_user else self._get_approvers(self),
            'tryton-error', 'customer_grading.msg_notification_run_error',
            self.rec_name)

    def _watch(self, progress, watched=True):
        """Show the progress outside of the transaction that computes

        Raise _Cancelled if the run has been cancelled meanwhile."""
        pool = Pool()
        Progress = pool.get('customer.grading.run.progress')
        if not watched or backend.name == 'sqlite':
            return
        run, table = self.__table__(), Progress.__table__()
        with Transaction().new_transaction() as transaction:
            cursor = transaction.connection.cursor()
            cursor.execute(*table.delete(where=table.run == self.id))
            if progress is not None:
                cursor.execute(*table.insert(
                        [table.run, table.progress],
                        [[self.id, progress]]))
                cursor.execute(*run.select(
                        Literal(1),
                        where=(run.id == self.id)
                        & (run.state == 'cancelled')))
                if cursor.fetchone():
                    raise _Cancelled

    @classmethod
    def _population_criteria(cls, definition):
        return [
            (i, c) for i, c in enumerate(definition['criteria'])
            if c['method'] in POPULATION]

    def _get_distribution(self):
        "Return the last run of all customers by the scheme"
        runs = self.search([
                ('company', '=', self.company.id),
                ('scheme', '=', self.scheme.id),
                ('kind', '=', 'full'),
                ('state', 'in', COMPUTED),
                ('date', '<=', self.date),
                ], order=[('computed_at', 'DESC'), ('id', 'DESC')], limit=1)
        return runs[0] if runs else None

    def _check_distribution(self, definition=None):
        """Return the run in which the customers are ranked if any is

        Raise GradingRunError if it is missing."""
        if self.kind == 'full':
            return
        if self.kind == 'parties' and not self.parties:
            raise GradingRunError(gettext(
                    'customer_grading.msg_run_parties', run=self.rec_name))
        if definition:
            methods = {c['method'] for c in definition['criteria']}
        else:
            methods = {c.method for c in self.scheme.criteria}
        if not methods & POPULATION and self.kind == 'parties':
            return
        run = self._get_distribution()
        if not run:
            raise GradingRunError(gettext(
                    'customer_grading.msg_run_no_full',
                    run=self.rec_name, scheme=self.scheme.rec_name))
        if methods & POPULATION:
            return run

    @classmethod
    def _get_since(cls, company, scheme, date):
        "Return since when the business counts as new"
        run, = cls.search([
                ('company', '=', company.id),
                ('scheme', '=', scheme.id),
                ('kind', 'in', ['full', 'changed']),
                ('state', 'in', COMPUTED),
                ('date', '<=', date),
                ], order=[('computed_at', 'DESC'), ('id', 'DESC')], limit=1)
        return run.started_at - MARGIN

    def _get_parties(self, definition):
        "Return the ids of the parties to which the run is restricted"
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        if self.kind == 'parties':
            return sorted({p.id for p in self.parties})
        elif self.kind == 'changed':
            return Metric.get_changed(
                self.company,
                self._get_since(self.company, self.scheme, self.date),
                {c['metric'] for c in definition['criteria']})

    def _compute(self, watched=False):
        "Compute the results"
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        Scheme = pool.get('customer.grading.scheme')
        Scheme.check_usable([self.scheme])
        definition = Scheme.get_definition([self.scheme])[self.scheme]
        labels = dict(Metric.get_metrics())
        for criterion in definition['criteria']:
            criterion['label'] = labels.get(criterion['metric'])
        distributions, ranked_in = {}, None
        if self.kind != 'full':
            ranked_in = self._check_distribution(definition)
            if ranked_in:
                distributions = ranked_in._load_distributions(definition)
        else:
            distributions = {
                i: Distribution(c['lower_is_better'], c['method'] == 'pareto')
                for i, c in self._population_criteria(definition)}
        parties = self._get_parties(definition)
        self._watch(0.0, watched)
        counts = defaultdict(int)
        if parties is None or parties:
            self._compute_results(
                definition, parties, distributions, counts, watched)
        if self.kind == 'full':
            if not counts['data']:
                raise GradingRunError(gettext(
                        'customer_grading.msg_run_no_data',
                        run=self.rec_name,
                        scheme=self.scheme.rec_name))
            self._store_distributions(definition, distributions)
        self._watch(None, watched)
        now = dt.datetime.now()
        with _recording():
            self.__class__.write([self], {
                    'state': 'computed',
                    'computed_at': now,
                    'definition': json.dumps(
                        definition, default=str, ensure_ascii=False),
                    'distribution': ranked_in.id if ranked_in else None,
                    'customers': counts['customers'],
                    'upgraded': counts['up'],
                    'downgraded': counts['down'],
                    'first': counts['first'],
                    'not_rated': counts['not_rated'],
                    })
        self._notify_approvers()

    def _compute_results(
            self, definition, parties, distributions, counts, watched):
        pool = Pool()
        GradingGrade = pool.get('customer.grading.grade')
        Override = pool.get('customer.grade.override')
        Result = pool.get('customer.grading.result')
        evaluate = Evaluator(definition, self.date, {
                g.id: g.rank for g in GradingGrade.search([
                        ('axis', '=', self.axis),
                        ('active', 'in', [True, False]),
                        ])})
        overrides = {
            p: o.grade.id for p, o in Override.get_active(
                self.company, self.axis, self.date).items()}
        current = self._get_current(parties)
        full = self.kind == 'full'
        criteria = [
            (i, distributions.get(i))
            for i, _ in enumerate(definition['criteria'])]
        with self._fetch(definition, parties) as (total, chunks):
            for rows in chunks:
                records = []
                for party, first, *columns in rows:
                    cells = []
                    for i, distribution in criteria:
                        value, count, rank = columns[3 * i:3 * i + 3]
                        if value is not None:
                            counts['data'] += 1
                            if distribution is not None:
                                if full:
                                    distribution.add(value, rank)
                                else:
                                    rank = distribution.get_rank(value)
                        cells.append((value, count, rank))
                    previous = current.get(party)
                    result = evaluate(Values(
                            cells, first, previous, overrides.get(party)))
                    counts[result.change] += 1
                    records.append((
                            party, previous, result.score, result.coverage,
                            result.computed, result.final, result.reason,
                            result.change, result.detail))
                counts['customers'] += len(records)
                Result._insert(self, records)
                self._watch(
                    .5 + counts['customers'] / max(total, 1) / 2, watched)

    def _get_current(self, parties):
        "Return the ids of the grades at the date by the ids of the parties"
        pool = Pool()
        Grade = pool.get('customer.grade')
        cursor = Transaction().connection.cursor()
        grade = Grade.__table__()
        where = (
            (grade.company == self.company.id)
            & (grade.axis == self.axis)
            & (grade.start_date <= self.date)
            & ((grade.end_date == Null) | (grade.end_date > self.date)))
        if parties is not None:
            where &= fields.SQL_OPERATORS['in'](grade.party, parties)
        cursor.execute(*grade.select(grade.party, grade.grade, where=where))
        return dict(cursor)

    # What is measured

    def _get_customers(self, start, parties):
        """Return the query of who is graded with the date of the first
        order"""
        pool = Pool()
        File = pool.get('customer.file')
        Grade = pool.get('customer.grade')
        Metric = pool.get('customer.grading.metric')
        Party = pool.get('party.party')
        Sale = pool.get('sale.sale')
        sale, party = Sale.__table__(), Party.__table__()
        file, grade = File.__table__(), Grade.__table__()
        first = sale.select(
            sale.party.as_('party'),
            Min(sale.sale_date).as_('first'),
            Max(sale.sale_date).as_('last'),
            where=(sale.company == self.company.id)
            & sale.state.in_(SALE_STATES)
            & (sale.sale_date <= self.date)
            & Metric.where_parties(sale.party, parties),
            group_by=sale.party)
        if parties is not None:
            who = party.select(
                party.id.as_('party'),
                where=fields.SQL_OPERATORS['in'](party.id, parties))
        else:
            who = Union(
                first.select(first.party, where=first.last > start),
                file.select(
                    file.party, where=file.company == self.company.id),
                grade.select(
                    grade.party,
                    where=(grade.company == self.company.id)
                    & (grade.axis == self.axis)
                    & (grade.start_date <= self.date)
                    & ((grade.end_date == Null)
                        | (grade.end_date > self.date))))
        dates = first.select(first.party, first.first)
        return (who
            .join(dates, 'LEFT', condition=dates.party == who.party)
            .select(who.party.as_('party'), dates.first.as_('first')))

    def _get_query(self, definition, parties):
        """Return the query of the customers with the values of the criteria
        and the number of records of which they are"""
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        start = self.date - relativedelta(months=definition['window'])
        customer = self._get_customers(start, parties)
        metrics = {c['metric'] for c in definition['criteria']}
        families, from_item = {}, customer
        for family, names in Metric.families().items():
            if not metrics & set(names):
                continue
            query = getattr(Metric, f'_metric_{family}')(
                self.company, start, self.date, parties=parties)
            from_item = from_item.join(
                query, 'LEFT', condition=query.party == customer.party)
            families.update(dict.fromkeys(names, query))
        columns = [
            customer.party.as_('party'),
            customer.first.as_('first')]
        for i, criterion in enumerate(definition['criteria']):
            metric = criterion['metric']
            if metric not in families:
                columns.extend([
                        Cast(Null, 'NUMERIC').as_(f'v{i}'),
                        Literal(0).as_(f'n{i}')])
                continue
            query = families[metric]
            columns.append(_round(
                    Column(query, metric),
                    Metric.get_digits(metric, self.company)).as_(f'v{i}'))
            columns.append(
                Coalesce(Column(query, f'{metric}_count'), 0).as_(f'n{i}'))
        return from_item.select(*columns)

    @classmethod
    def _rank(cls, source, definition):
        "Return the query with the ranks of the values"
        columns = [source.party.as_('party'), source.first.as_('first')]
        for i, criterion in enumerate(definition['criteria']):
            value = Column(source, f'v{i}')
            order = (value.desc
                if criterion['lower_is_better'] else value.asc)
            rank = Literal(None)
            if criterion['method'] == 'percentile':
                rank = CumeDist(
                    window=Window([value == Null], order_by=[order]))
            elif criterion['method'] == 'pareto':
                order = (value.asc
                    if criterion['lower_is_better'] else value.desc)
                amount = Case((value > 0, value), else_=0)
                better = Sum(amount, window=Window(
                        [value == Null], order_by=[order], frame='RANGE',
                        start=None, end=0))
                same = Sum(amount, window=Window([value]))
                total = Sum(amount, window=Window([]))
                rank = number(better - same) / NullIf(number(total), 0)
            if criterion['method'] in POPULATION:
                rank = Case((value != Null, _round(rank, 6)))
            columns.extend([
                    value.as_(f'v{i}'),
                    Column(source, f'n{i}').as_(f'n{i}'),
                    rank.as_(f'r{i}')])
        return source.select(*columns)

    @contextmanager
    def _fetch(self, definition, parties):
        """Return the number of customers if known, and the iterator over
        lists of rows"""
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        transaction = Transaction()
        connection = transaction.connection
        query = self._get_query(definition, parties)
        if parties is None:
            query = self._rank(query, definition)
        else:
            columns = [query.party, query.first]
            for i, _ in enumerate(definition['criteria']):
                columns.extend([
                        Column(query, f'v{i}'), Column(query, f'n{i}'),
                        Literal(None)])
            query = query.select(*columns)

        def slices(cursor):
            while rows := cursor.fetchmany(CHUNK):
                yield rows

        if backend.name == 'postgresql':
            cursor = connection.cursor()
            if parties is None:
                # Stored first as only then several processes work on it, and
                # so that no more than a chunk of it is in the memory
                for setting in ["work_mem = '64MB'", "jit = off"]:
                    cursor.execute(f'SET LOCAL {setting}')
                name = f'customer_grading_run_{self.id}'
                sql, params = query
                cursor.execute(
                    f'CREATE TEMPORARY TABLE "{name}" ON COMMIT DROP AS {sql}',
                    params)
                total = cursor.rowcount
                with connection.cursor(name=name) as rows:
                    rows.execute(f'SELECT * FROM "{name}"')
                    yield total, slices(rows)
                cursor.execute(f'DROP TABLE "{name}"')
            else:
                cursor.execute(*query)
                yield len(parties), slices(cursor)
        else:
            digits = []
            for criterion in definition['criteria']:
                digits.extend([
                        Decimal(1).scaleb(-Metric.get_digits(
                                criterion['metric'], self.company)),
                        None, RANK])
            cursor = connection.cursor()
            cursor.execute(*query)

            def convert(rows):
                for party, first, *columns in rows:
                    yield [
                        party, first and dt.date.fromisoformat(first), *(
                            v if v is None or not d
                            else Decimal(repr(v)).quantize(d)
                            for v, d in zip(columns, digits))]
            chunks = map(list, map(convert, slices(cursor)))
            yield 0, chunks

    # The distributions

    def _store_distributions(self, definition, distributions):
        pool = Pool()
        Distribution = pool.get('customer.grading.distribution')
        table = Distribution.__table__()
        cursor = Transaction().connection.cursor()
        values = []
        for i, distribution in distributions.items():
            pareto = definition['criteria'][i]['method'] == 'pareto'
            for value, rank in distribution.get_points():
                values.append([
                        self.id, i, value, None if pareto else rank,
                        rank if pareto else None])
        for values_ in grouped_slice(values, 1000):
            cursor.execute(*table.insert([
                        table.run, table.position, table.value,
                        table.percentile, table.share], list(values_)))

    def _load_distributions(self, definition):
        pool = Pool()
        Stored = pool.get('customer.grading.distribution')
        table = Stored.__table__()
        cursor = Transaction().connection.cursor()
        query = table.select(
            table.position, table.value.as_('value'),
            Coalesce(table.percentile, table.share).as_('rank'),
            where=table.run == self.id)
        if backend.name == 'sqlite':
            sqlite_apply_types(query, [None, 'NUMERIC', 'NUMERIC'])
        cursor.execute(*query)
        points = defaultdict(list)
        for position, value, rank in cursor:
            points[position].append((value, rank))
        distributions = {}
        for i, criterion in self._population_criteria(definition):
            distribution = Distribution(
                criterion['lower_is_better'], criterion['method'] == 'pareto')
            distribution.load(sorted(points[i]))
            distributions[i] = distribution
        return distributions

    # Who has to act

    @classmethod
    def _get_approvers(cls, run):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        groups = ['group_customer_admin']
        if run.axis == 'credit':
            groups.append('group_customer_credit')
        return User.search([
                ('companies', '=', run.company.id),
                ('employees.company', '=', run.company.id),
                ('groups', 'in', [
                        ModelData.get_id('customer_grading', g)
                        for g in groups]),
                ('id', '!=', run.computed_user.id
                    if run.computed_user else None),
                ])

    def _notify_approvers(self):
        if self.kind == 'parties':
            return
        self._notify(
            self._get_approvers(self), 'tryton-customer-grade',
            'customer_grading.msg_notification_run',
            f'{self.rec_name} – {self.scheme.rec_name}')

    def _notify(self, users, icon, message, description):
        notify(
            dict.fromkeys(users, [self]), icon, message,
            description=description)

    @classmethod
    @per_company
    def schedule(cls, company):
        "Compute the runs that are due"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Date = pool.get('ir.date')
        Metric = pool.get('customer.grading.metric')
        configuration = Configuration(1)
        interval = configuration.get_multivalue(
            'run_full_interval', company=company.id)
        changed = configuration.get_multivalue(
            'run_changed', company=company.id)
        if not interval and not changed:
            return
        today = Date.today()
        runs = []
        for scheme in cls._get_scheduled_schemes(company):
            last = cls.search([
                    ('company', '=', company.id),
                    ('scheme', '=', scheme.id),
                    ('kind', '=', 'full'),
                    ('state', '!=', 'cancelled'),
                    ('error', '=', None),
                    ], order=[('date', 'DESC'), ('id', 'DESC')], limit=1)
            kind = None
            if interval and (not last
                    or last[0].date + relativedelta(months=interval)
                    <= today):
                kind = 'full'
            elif (changed and last and last[0].state in COMPUTED
                    and Metric.get_changed(
                        company, cls._get_since(company, scheme, today),
                        {c.metric for c in scheme.criteria})):
                kind = 'changed'
            if not kind:
                continue
            # One that failed is tried again instead of another one each night
            failed = cls.search([
                    ('company', '=', company.id),
                    ('scheme', '=', scheme.id),
                    ('kind', '=', kind),
                    ('state', '=', 'draft'),
                    ('error', '!=', None),
                    ('computed_user', '=', Transaction().user),
                    ], limit=1)
            run = failed[0] if failed else cls(
                company=company, scheme=scheme, kind=kind)
            run.date = today
            runs.append(run)
        cls.save(runs)
        # What is wrong with a scheme is kept on its run and stops no other
        for run in runs:
            run.start()
            cls.__queue__.execute([run])

    @classmethod
    def _get_scheduled_schemes(cls, company):
        """Return the published schemes of the company, and the shipped ones
        that it uses"""
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        schemes = Scheme.search([
                ('company', '=', company.id),
                ('state', '=', 'published'),
                ])
        axes = {s.axis for s in schemes}
        for axis, _ in AXES:
            if axis in axes:
                continue
            runs = cls.search([
                    ('company', '=', company.id),
                    ('axis', '=', axis),
                    ('state', '=', 'applied'),
                    ('scheme.company', '=', None),
                    ], order=[('id', 'DESC')], limit=1)
            schemes.extend(r.scheme for r in runs)
        return schemes


class RunParty(ModelSQL):
    __name__ = 'customer.grading.run-party.party'

    run = fields.Many2One(
        'customer.grading.run', "Run", required=True, ondelete='CASCADE')
    party = fields.Many2One(
        'party.party', "Party", required=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.run, Index.Equality())),
                Index(t, (t.party, Index.Equality())),
                })


class Progress(ModelSQL):
    """How far a run is

    It is written by transactions of its own and refers to nothing, so that
    neither waits for the other."""
    __name__ = 'customer.grading.run.progress'

    run = fields.Integer("Run", required=True)
    progress = fields.Float("Progress", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(Index(t, (t.run, Index.Equality())))


class StoredDistribution(EvidenceMixin, PartMixin, ModelSQL, ModelView):
    "The value of a criterion and how much of the customers are up to it"
    __name__ = 'customer.grading.distribution'

    run = fields.Many2One(
        'customer.grading.run', "Run", required=True, ondelete='CASCADE')
    position = fields.Integer("Criterion", required=True)
    value = fields.Numeric("Value", required=True)
    percentile = fields.Numeric("Percentile")
    share = fields.Numeric("Share")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(Index(t, (t.run, Index.Equality())))


class Result(EvidenceMixin, CustomerMixin, ModelSQL, ModelView):
    __name__ = 'customer.grading.result'

    run = fields.Many2One(
        'customer.grading.run', "Run", required=True, readonly=True,
        ondelete='CASCADE')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    axis = fields.Selection(
        AXES, "Axis", required=True, readonly=True, sort=False)
    party = fields.Many2One(
        'party.party', "Customer", required=True, readonly=True,
        ondelete='RESTRICT',
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    score = fields.Numeric("Score", digits=(3, 2), readonly=True)
    coverage = fields.Numeric(
        "Coverage", digits=(1, 4), readonly=True,
        help="The share of the criteria, by their weight, that the score is "
        "made of.")
    computed_grade = fields.Many2One(
        'customer.grading.grade', "Computed", readonly=True,
        ondelete='RESTRICT',
        help="The grade that the scheme gives.")
    previous_grade = fields.Many2One(
        'customer.grading.grade', "Previous", readonly=True,
        ondelete='RESTRICT',
        help="The grade that the customer had.")
    final_grade = fields.Many2One(
        'customer.grading.grade', "Grade", readonly=True,
        ondelete='RESTRICT',
        help="The grade that the customer gets when the run is applied.")
    reason = fields.Selection([
            ('score', "Score"),
            ('hysteresis', "Near the Threshold"),
            ('knock_out', "Knock-out"),
            ('new', "New Customer"),
            ('override', "Override"),
            ('coverage', "Not Enough Data"),
            ], "Reason", required=True, readonly=True, sort=False,
        help="What the grade comes from.")
    change = fields.Selection([
            ('up', "Better"),
            ('down', "Worse"),
            ('first', "First Grade"),
            ('same', "Same"),
            ('not_rated', "Not Rated"),
            ], "Change", required=True, readonly=True, sort=False)
    detail = fields.Text(
        "Detail", required=True, readonly=True,
        help="What each criterion gives, as JSON.")
    criteria = fields.One2Many(
        'customer.grading.result.criterion', 'result', "Criteria",
        readonly=True)
    date = fields.Function(
        fields.Date("Date"), 'get_run', searcher='search_run')
    state = fields.Function(
        fields.Selection('get_states', "State"),
        'get_run', searcher='search_run')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.run, Index.Equality()),
                    (t.change, Index.Equality(cardinality='low'))),
                Index(
                    t,
                    (t.party, Index.Equality()),
                    (t.id, Index.Range(order='DESC'))),
                })
        cls._order = [('run', 'DESC'), ('id', 'ASC')]

    @classmethod
    def order_run(cls, tables):
        table, _ = tables[None]
        return [table.run]

    def get_rec_name(self, name):
        grade = self.final_grade.rec_name if self.final_grade else '–'
        return f'{self.party.rec_name} – {grade}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]

    @classmethod
    def get_states(cls):
        pool = Pool()
        Run = pool.get('customer.grading.run')
        return Run.fields_get(['state'])['state']['selection']

    @classmethod
    def get_run(cls, results, names):
        return {
            n: {r.id: getattr(r.run, n) for r in results} for n in names}

    @classmethod
    def search_run(cls, name, clause):
        return [('run.' + clause[0], *clause[1:])]

    @classmethod
    def view_attributes(cls):
        visual = If(Eval('change') == 'up', 'success',
            If(Eval('change') == 'down', 'danger',
                If(Eval('change') == 'not_rated', 'muted', '')))
        return super().view_attributes() + [
            ('/tree/field[@name="final_grade"]', 'visual', visual),
            ('/tree/field[@name="change"]', 'visual', visual),
            ]

    @classmethod
    def _insert(cls, run, records):
        """Store what has been computed for the parties

        It passes by the ORM as they are many and nothing but the run itself
        has to know."""
        transaction = Transaction()
        cursor = transaction.connection.cursor()
        names = [
            'party', 'previous_grade', 'score', 'coverage', 'computed_grade',
            'final_grade', 'reason', 'change', 'detail', 'run', 'company',
            'axis', 'create_uid', 'create_date']
        common = (
            run.id, run.company.id, run.axis, transaction.user,
            dt.datetime.now())
        if backend.name == 'postgresql':
            columns = ', '.join(f'"{n}"' for n in names)
            with cursor.copy(
                    f'COPY "{cls._table}" ({columns}) FROM STDIN') as copy:
                for record in records:
                    copy.write_row(record + common)
        else:
            columns = ', '.join(f'"{n}"' for n in names)
            places = ', '.join(['?'] * len(names))
            cursor.executemany(
                f'INSERT INTO "{cls._table}" ({columns}) VALUES ({places})',
                [record + common for record in records])


class _DerivedMixin:
    """What is read from the results by a query

    To read by ids it is restricted to the results that they come from, which
    the database cannot find out."""
    __slots__ = ()

    @classmethod
    def read(cls, ids, fields_names):
        with Transaction().set_context(
                _customer_grading_results=cls._get_scope(ids)):
            return super().read(ids, fields_names)

    @classmethod
    def _get_scope(cls, ids):
        raise NotImplementedError


class ResultCriterion(_DerivedMixin, PartMixin, ModelSQL, ModelView):
    "What a criterion contributes to the score of a customer"
    __name__ = 'customer.grading.result.criterion'

    result = fields.Many2One('customer.grading.result', "Result")
    company = fields.Many2One('company.company', "Company")
    position = fields.Integer("Position")
    value = fields.Numeric("Value")
    count = fields.Integer(
        "Records", help="The number of records that the value comes from.")
    rank = fields.Numeric(
        "Rank",
        help="How many of the customers are not better, or which share those "
        "have who are better.")
    points = fields.Numeric("Points", digits=(3, 2))
    contribution = fields.Numeric(
        "Contribution", digits=(3, 2),
        help="The part of the score that comes from the criterion.")
    missing = fields.Boolean("No Data")
    knock_out = fields.Boolean("Knock-out")
    band_number = fields.Integer("Band Number")
    name = fields.Char("Criterion")
    metric = fields.Function(fields.Char("Measured By"), 'get_definition')
    method = fields.Function(fields.Char("Method"), 'get_definition')
    weight = fields.Function(fields.Numeric("Weight"), 'get_definition')
    value_text = fields.Function(fields.Char("Value"), 'get_definition')
    rank_text = fields.Function(fields.Char("Rank"), 'get_definition')
    band = fields.Function(fields.Char("Band"), 'get_definition')
    missing_text = fields.Function(
        fields.Char("Without Data"), 'get_definition')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('id', 'ASC')]

    @classmethod
    def _get_scope(cls, ids):
        return sorted({id_ // POSITIONS for id_ in map(int, ids)})

    @classmethod
    def table_query(cls):
        pool = Pool()
        Result = pool.get('customer.grading.result')
        Run = pool.get('customer.grading.run')
        result, run = Result.__table__(), Run.__table__()
        where = Literal(True)
        scope = Transaction().context.get('_customer_grading_results')
        if scope is not None:
            where = fields.SQL_OPERATORS['in'](result.id, scope)
        from_item = result.join(run, condition=result.run == run.id)
        if backend.name == 'sqlite':
            each = JSONEach(result.detail)
            from_item = from_item.join(each, 'CROSS')
            position = each.key
            name = JSONExtract(
                run.definition,
                Concat(Concat('$.criteria[', position), '].name'))

            def get(name):
                return JSONExtract(each.value, f'$.{name}')
        else:
            each = JSONArray(Cast(result.detail, 'JSONB'))
            # Functions are lateral
            from_item = from_item.join(each, 'CROSS')
            position = each.ordinality - 1
            name = JSONPath(
                Cast(run.definition, 'JSONB'), 'criteria',
                Cast(position, 'TEXT'), 'name')

            def get(name):
                return JSONText(each.value, name)
        return from_item.select(
            (result.id * POSITIONS + position).as_('id'),
            result.id.as_('result'),
            result.company.as_('company'),
            position.as_('position'),
            name.as_('name'),
            cls.value.sql_cast(get('value')).as_('value'),
            cls.count.sql_cast(get('count')).as_('count'),
            cls.rank.sql_cast(get('rank')).as_('rank'),
            cls.points.sql_cast(get('points')).as_('points'),
            cls.contribution.sql_cast(
                get('contribution')).as_('contribution'),
            (get('missing') != Null).as_('missing'),
            (get('knock_out') != Null).as_('knock_out'),
            cls.band_number.sql_cast(get('band')).as_('band_number'),
            where=where)

    @classmethod
    def get_definition(cls, criteria, names):
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        Criterion = pool.get('customer.grading.criterion')
        labels = dict(Metric.get_metrics())
        kinds = Metric.get_kinds()
        fields_ = Criterion.fields_get(['method', 'missing'])
        methods = dict(fields_['method']['selection'])
        policies = dict(fields_['missing']['selection'])
        result = {n: {} for n in names}
        definitions = {}
        for criterion in criteria:
            run = criterion.result.run
            if run not in definitions:
                definitions[run] = json.loads(run.definition or '{}')
            definition = definitions[run]['criteria'][criterion.position]
            metric, method = definition['metric'], definition['method']
            values = {
                'metric': definition.get('label') or labels.get(
                    metric, metric),
                'method': methods.get(method, method),
                'weight': Decimal(definition['weight']),
                'value_text': cls.format(
                    criterion.value, kinds.get(metric), criterion.company),
                'rank_text': cls.format(criterion.rank, 'share'),
                'missing_text': '',
                'band': '',
                }
            if criterion.missing:
                values['missing_text'] = policies.get(
                    definition['missing'], definition['missing'])
            if criterion.band_number is not None:
                band = definition['bands'][criterion.band_number]
                kind = 'share' if method == 'pareto' else kinds.get(metric)
                values['band'] = ' – '.join(
                    '' if band[n] is None else cls.format(
                        Decimal(band[n]), kind, criterion.company)
                    for n in ['minimum', 'maximum']).strip()
            for name in names:
                result[name][criterion.id] = values[name]
        return result

    @classmethod
    def format(cls, value, kind, company=None):
        "Return the value of the kind of metric as text for people"
        pool = Pool()
        Lang = pool.get('ir.lang')
        if value is None:
            return ''
        lang = Lang.get()
        if kind == 'amount' and company:
            return lang.currency(value, company.currency, grouping=True)
        elif kind == 'share':
            return lang.format('%.1f', value * 100, grouping=True) + ' %'
        text = lang.format_number(value.normalize(), grouping=True)
        if kind in {'days', 'years'}:
            return gettext(
                f'customer_grading.msg_metric_{kind}', number=text)
        return text


class Migration(_DerivedMixin, ModelSQL, ModelView):
    "How many customers move from a grade to another"
    __name__ = 'customer.grading.migration'

    run = fields.Many2One('customer.grading.run', "Run")
    company = fields.Many2One('company.company', "Company")
    previous_grade = fields.Many2One('customer.grading.grade', "Previous")
    final_grade = fields.Many2One('customer.grading.grade', "Grade")
    change = fields.Selection('get_changes', "Change")
    count = fields.Integer("Customers")
    share = fields.Numeric("Share", digits=(1, 4))

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('run', 'DESC'),
            ('previous_grade.rank', 'ASC NULLS FIRST'),
            ('final_grade.rank', 'ASC NULLS LAST'),
            ('id', 'ASC'),
            ]

    @classmethod
    def order_run(cls, tables):
        table, _ = tables[None]
        return [table.run]

    @classmethod
    def get_changes(cls):
        pool = Pool()
        Result = pool.get('customer.grading.result')
        return Result.fields_get(['change'])['change']['selection']

    @classmethod
    def _get_scope(cls, ids):
        pool = Pool()
        Result = pool.get('customer.grading.result')
        table = Result.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.select(
                table.run,
                where=fields.SQL_OPERATORS['in'](
                    table.id, list(map(int, ids))),
                group_by=table.run))
        return [run for run, in cursor]

    @classmethod
    def table_query(cls):
        pool = Pool()
        Result = pool.get('customer.grading.result')
        result = Result.__table__()
        where = Literal(True)
        scope = Transaction().context.get('_customer_grading_results')
        if scope is not None:
            where = fields.SQL_OPERATORS['in'](result.run, scope)
        count = Count(Literal(1))
        total = number(Sum(count, window=Window([result.run])))
        return result.select(
            Min(result.id).as_('id'),
            result.run.as_('run'),
            result.company.as_('company'),
            result.previous_grade.as_('previous_grade'),
            result.final_grade.as_('final_grade'),
            Min(result.change).as_('change'),
            count.as_('count'),
            cls.share.sql_cast(
                Round(number(count) / total, 4)).as_('share'),
            where=where,
            group_by=[
                result.run, result.company, result.previous_grade,
                result.final_grade])

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('change') == 'up', 'success',
                    If(Eval('change') == 'down', 'danger',
                        If(Eval('change') == 'not_rated', 'muted', '')))),
            ]


class Grade(metaclass=PoolMeta):
    __name__ = 'customer.grade'

    result = fields.Many2One(
        'customer.grading.result', "Result", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('result'),
            },
        help="What explains the grade.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(
            Index(t, (t.result, Index.Equality()), where=t.result != Null))


run_full_interval = fields.Integer(
    "Full Grading Run",
    domain=['OR',
        ('run_full_interval', '=', None),
        ('run_full_interval', '>', 0),
        ],
    help="After how many months all customers are graded again.\n"
    "Leave empty to start these runs by hand.")
run_changed = fields.Boolean(
    "Nightly Grading Run",
    help="Grade every night the customers with whom there was business.")
run_apply_days = fields.Integer(
    "Days to Apply",
    domain=['OR',
        ('run_apply_days', '=', None),
        ('run_apply_days', '>=', 0),
        ],
    help="How many days after its date a grading run can be applied.")
OPTIONS = {'run_full_interval', 'run_changed', 'run_apply_days'}


class Configuration(metaclass=PoolMeta):
    __name__ = 'customer.configuration'

    run_full_interval = fields.MultiValue(run_full_interval)
    run_changed = fields.MultiValue(run_changed)
    run_apply_days = fields.MultiValue(run_apply_days)

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field in OPTIONS:
            return pool.get('customer.configuration.run')
        return super().multivalue_model(field)

    @classmethod
    def default_run_apply_days(cls, **pattern):
        return cls.multivalue_model('run_apply_days').default_run_apply_days()


class ConfigurationRun(CompanyValueMixin, ModelSQL):
    __name__ = 'customer.configuration.run'

    run_full_interval = run_full_interval
    run_changed = run_changed
    run_apply_days = run_apply_days

    @classmethod
    def default_run_apply_days(cls):
        return 7


class Regrade(Wizard):
    "Grade the selected customers"
    __name__ = 'customer.grading.run.regrade'

    start = StateView(
        'customer.grading.run.regrade.start',
        'customer_grading.run_regrade_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Grade", 'regrade', 'tryton-ok', default=True),
            ])
    regrade = StateAction('customer_grading.act_run_form')

    def default_start(self, fields):
        pool = Pool()
        Run = pool.get('customer.grading.run')
        Company = pool.get('company.company')
        company = Transaction().context.get('company')
        if company is None:
            return {}
        with without_check_access():
            schemes = Run._get_scheduled_schemes(Company(company))
        return {'company': company, 'schemes': [s.id for s in schemes]}

    def do_regrade(self, action):
        pool = Pool()
        Run = pool.get('customer.grading.run')
        parties = []
        for record in self.records:
            parties.append(
                record if record.__name__ == 'party.party' else record.party)
        runs = [
            Run(company=self.start.company, scheme=scheme, kind='parties',
                parties=list(dict.fromkeys(parties)))
            for scheme in self.start.schemes]
        Run.save(runs)
        Run.compute(runs)
        action['views'].reverse()
        return action, {'res_id': [r.id for r in runs]}


class RegradeStart(ModelView):
    __name__ = 'customer.grading.run.regrade.start'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True)
    schemes = fields.Many2Many(
        'customer.grading.scheme', None, None, "Schemes", required=True,
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ])
