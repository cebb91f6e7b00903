# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict

from sql import Literal, Null, Window
from sql.conditionals import Case
from sql.functions import RowNumber

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Workflow, fields
from trytond.modules.company_department.tools import get_employee
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.transaction import Transaction

from .exceptions import FileAccessError, InvestigationError
from .file import FileMixin, recording


class Investigation(Workflow, FileMixin, ModelSQL, ModelView):
    """What was found out of a customer before it gets credit

    It is evidence once it is done: what changes is told by the next one."""
    __name__ = 'customer.credit.investigation'

    _states = {
        'readonly': Eval('state') != 'draft',
        }
    _states_done = {
        'readonly': Eval('state') != 'draft',
        'required': Eval('state') == 'done',
        }

    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')
    date = fields.Date("Date", required=True, states=_states)
    investigator = fields.Many2One(
        'company.employee', "Investigator", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states=_states_done)
    background = fields.Text(
        "Background", states=_states_done,
        help="Owners, history, business and reputation of the customer.")
    sources = fields.Text(
        "Sources", states=_states_done,
        help="Where the information comes from.")
    external_rating = fields.Numeric(
        "External Rating", digits=(3, 2),
        domain=['OR',
            ('external_rating', '=', None),
            [
                ('external_rating', '>=', 0),
                ('external_rating', '<=', 100),
                ],
            ],
        states=_states,
        help="The rating of the agency from 0 (worst) to 100 (best).")
    external_agency = fields.Char(
        "Rating Agency",
        states={
            'readonly': Eval('state') != 'draft',
            'required': Bool(Eval('external_rating')),
            },
        help="Who gave the external rating.")
    recommended_limit = Monetary(
        "Recommended Limit", currency='currency', digits='currency',
        domain=['OR',
            ('recommended_limit', '=', None),
            ('recommended_limit', '>=', 0),
            ],
        states=_states,
        help="The credit limit that the investigator recommends.")
    conclusion = fields.Text("Conclusion", states=_states_done)
    valid_until = fields.Date(
        "Valid Until",
        domain=[
            If(Bool(Eval('valid_until')) & Bool(Eval('date')),
                ('valid_until', '>=', Eval('date', None)),
                ()),
            ],
        states=_states_done)
    order_count = fields.Integer(
        "Orders", readonly=True,
        help="The number of orders at the time of the investigation.")
    revenue = Monetary(
        "Revenue", currency='currency', digits='currency', readonly=True,
        help="The amount without taxes of the orders of the 12 months before "
        "the investigation.")
    open_amount = Monetary(
        "Open Amount", currency='currency', digits='currency', readonly=True,
        help="What the customer owed at the time of the investigation.")
    overdue_amount = Monetary(
        "Overdue Amount", currency='currency', digits='currency',
        readonly=True,
        help="What the customer should have paid by the time of the "
        "investigation.")
    complaint_count = fields.Integer(
        "Complaints", readonly=True,
        help="The number of complaints at the time of the investigation.")
    done_by = fields.Many2One(
        'company.employee', "Done By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('done_at'),
            })
    done_user = fields.Many2One(
        'res.user', "Done by User", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('done_at'),
            })
    done_at = fields.DateTime(
        "Done At", readonly=True,
        states={
            'invisible': ~Eval('done_at'),
            })
    superseded_by = fields.Many2One(
        'customer.credit.investigation', "Superseded By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('superseded_by'),
            },
        help="The next investigation of the customer.")
    state = fields.Selection([
            ('draft', "Draft"),
            ('done', "Done"),
            ], "State", required=True, readonly=True, sort=False)

    del _states, _states_done

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.superseded_by, Index.Equality())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.valid_until, Index.Range()),
                    where=t.superseded_by == Null),
                })
        cls._order = [('date', 'DESC'), ('id', 'DESC')]
        cls._transitions |= {('draft', 'done')}
        cls._buttons.update({
                'do': {
                    'invisible': Eval('state') != 'draft',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    @classmethod
    def default_investigator(cls):
        return Transaction().context.get('employee')

    @classmethod
    def default_state(cls):
        return 'draft'

    @fields.depends('file', '_parent_file.company')
    def on_change_with_currency(self, name=None):
        return self.file.company.currency if self.file else None

    def get_rec_name(self, name):
        return f'{self.file.rec_name} – {self.date}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('file.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        expired = (
            (Eval('state') == 'done') & ~Eval('superseded_by')
            & (Eval('valid_until', Date()) < Date()))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('superseded_by')), 'muted', '')),
            ('/tree/field[@name="valid_until"]', 'visual',
                If(expired, 'danger', '')),
            ]

    # What the system knows

    @classmethod
    def _known_fields(cls):
        return [
            'order_count', 'revenue', 'open_amount', 'overdue_amount',
            'complaint_count']

    @classmethod
    def _copy_known(cls, investigations):
        "Copy what the system knows of the customers at this moment"
        pool = Pool()
        File = pool.get('customer.file')
        known = File.get_history(
            File.browse(list({i.file.id for i in investigations})),
            cls._known_fields())
        with recording('_customer_file'):
            # They are saved in the context in which they are browsed
            investigations = cls.browse(investigations)
            for investigation in investigations:
                for name, values in known.items():
                    setattr(
                        investigation, name, values[investigation.file.id])
            cls.save(investigations)

    @classmethod
    def on_modification(cls, mode, investigations, field_names=None):
        super().on_modification(
            mode, investigations, field_names=field_names)
        if mode == 'create':
            cls._copy_known(investigations)

    # Evidence

    @classmethod
    def _evidence_fields(cls):
        "The fields that nobody enters"
        return {
            'state', 'done_by', 'done_user', 'done_at', 'superseded_by',
            *cls._known_fields()}

    @classmethod
    def check_modification(
            cls, mode, investigations, values=None, external=False):
        super().check_modification(
            mode, investigations, values=values, external=external)
        if Transaction().context.get('_customer_file'):
            return
        if mode == 'create':
            denied = [
                i for i in investigations
                if any(
                    getattr(i, n) for n in cls._evidence_fields()
                    if (n, getattr(i, n)) != ('state', 'draft'))]
        else:
            denied = [
                i for i in investigations
                if i.state != 'draft'
                or mode == 'write' and values.keys() & cls._evidence_fields()]
        for investigation in denied:
            raise FileAccessError(gettext(
                    'customer_grading.msg_investigation_evidence',
                    investigation=investigation.rec_name))

    @classmethod
    def copy(cls, investigations, default=None):
        default = default.copy() if default is not None else {}
        for name in cls._evidence_fields() | {'date', 'valid_until'}:
            if method := getattr(cls, f'default_{name}', None):
                default[name] = method()
            else:
                default[name] = None
        return super().copy(investigations, default=default)

    # Workflow

    @classmethod
    def _get_missing(cls, investigations):
        "Return by investigation the labels of what it misses to be done"
        missing = defaultdict(list)
        for investigation in investigations:
            for name in ['investigator', 'background', 'sources',
                    'conclusion', 'valid_until']:
                value = getattr(investigation, name)
                if isinstance(value, str):
                    value = value.strip()
                if not value:
                    missing[investigation].append(
                        cls.__names__(name)['field'])
        return missing

    @classmethod
    @ModelView.button
    def do(cls, investigations):
        "Make the investigation evidence that supersedes the former one"
        for investigation in investigations:
            if investigation.state != 'draft':
                raise InvestigationError(gettext(
                        'customer_grading.msg_investigation_done',
                        investigation=investigation.rec_name))
        if missing := cls._get_missing(investigations):
            raise InvestigationError(
                gettext('customer_grading.msg_investigation_missing'),
                '\n'.join(
                    f'{i.rec_name}: {", ".join(m)}'
                    for i, m in missing.items()))
        now = dt.datetime.now()
        user = Transaction().user
        employees = {}
        for company in {i.file.company for i in investigations}:
            employees[company] = employee = get_employee(
                company, current=True)
            if not employee and user:
                raise InvestigationError(gettext(
                        'customer_grading.msg_file_employee',
                        file=', '.join(
                            i.file.rec_name for i in investigations
                            if i.file.company == company),
                        company=company.rec_name))
        cls._copy_known(investigations)
        with recording('_customer_file'):
            for company, employee in employees.items():
                cls.write(
                    [i for i in investigations if i.file.company == company],
                    {
                        'state': 'done',
                        'done_by': employee.id if employee else None,
                        'done_user': user,
                        'done_at': now,
                        })
            cls._supersede({i.file for i in investigations})

    @classmethod
    def _supersede(cls, files):
        "Let the last one that was done supersede the others of the files"
        to_write = []
        last = {}
        for investigation in cls.search([
                    ('file', 'in', [f.id for f in files]),
                    ('state', '=', 'done'),
                    ('superseded_by', '=', None),
                    ], order=[('done_at', 'DESC'), ('id', 'DESC')]):
            if investigation.file in last:
                to_write.extend(([investigation], {
                            'superseded_by': last[investigation.file].id}))
            else:
                last[investigation.file] = investigation
        if to_write:
            cls.write(*to_write)

    @classmethod
    def get_valid(cls, files):
        "Return by file its last investigation if it is done and valid"
        pool = Pool()
        Date = pool.get('ir.date')
        by_company = defaultdict(list)
        for file in files:
            by_company[file.company.id].append(file.id)
        valid = {}
        for company, ids in by_company.items():
            with Transaction().set_context(company=company):
                today = Date.today()
            for investigation in cls.search([
                        ('file', 'in', ids),
                        ('state', '=', 'done'),
                        ('superseded_by', '=', None),
                        ('valid_until', '>=', today),
                        ]):
                valid[investigation.file] = investigation
        return valid


class File(metaclass=PoolMeta):
    __name__ = 'customer.file'

    investigations = fields.One2Many(
        'customer.credit.investigation', 'file', "Investigations")


class Metric(metaclass=PoolMeta):
    __name__ = 'customer.grading.metric'

    @classmethod
    def get_metrics(cls):
        return super().get_metrics() + [
            ('external_rating', gettext(
                    'customer_grading.msg_metric_external_rating')),
            ]

    @classmethod
    def families(cls):
        return {**super().families(), 'external': ['external_rating']}

    @classmethod
    def get_kinds(cls):
        return {**super().get_kinds(), 'external_rating': 'number'}

    @classmethod
    def _metric_external(cls, company, start, end, parties=None):
        "The rating of the last investigation done that is valid at the end"
        pool = Pool()
        File = pool.get('customer.file')
        Investigation = pool.get('customer.credit.investigation')
        file = File.__table__()
        investigation = Investigation.__table__()
        where = (
            (file.company == int(company))
            & (investigation.state == 'done')
            & (investigation.date <= end))
        if parties is not None:
            where &= fields.SQL_OPERATORS['in'](file.party, parties)
        last = investigation.join(
            file, condition=investigation.file == file.id
            ).select(
                file.party.as_('party'),
                investigation.external_rating.as_('rating'),
                investigation.valid_until.as_('valid_until'),
                RowNumber(window=Window(
                        [investigation.file],
                        order_by=[
                            investigation.date.desc, investigation.id.desc],
                        )).as_('number'),
                where=where)
        return last.select(
            last.party.as_('party'),
            last.rating.as_('external_rating'),
            Case((last.rating != Null, 1), else_=Literal(0)).as_(
                'external_rating_count'),
            where=(last.number == 1) & (last.valid_until >= end))

    @classmethod
    def _changed_external(cls, company, since):
        pool = Pool()
        File = pool.get('customer.file')
        Investigation = pool.get('customer.credit.investigation')
        file = File.__table__()
        investigation = Investigation.__table__()
        return investigation.join(
            file, condition=investigation.file == file.id
            ).select(
                file.party.as_('party'),
                where=(file.company == int(company))
                & (investigation.done_at >= since))
