# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from sql import Column, Literal, Null, Window
from sql.conditionals import Case, Coalesce
from sql.functions import RowNumber
from sql.operators import Equal

from trytond.i18n import gettext
from trytond.model import Exclude, Index, ModelSQL, ModelView, Workflow, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If

from .care import EvidenceMixin, get_employee
from .exceptions import CareError
from .file import FileMixin, get_todays, recording

CRITERIA = [
    'industry', 'size', 'buying_power', 'demand', 'stability', 'loyalty']


def _get_domain(name):
    return ['OR',
        (name, '=', None),
        [
            (name, '>=', 0),
            (name, '<=', 100),
            ],
        ]


class Assessment(Workflow, EvidenceMixin, FileMixin, ModelSQL, ModelView):
    "How people judge a customer by what no figure tells"
    __name__ = 'customer.assessment'

    _states = {
        'readonly': Eval('state') != 'draft',
        }

    assessed_on = fields.Date(
        "Assessed On", required=True, states=_states)
    assessed_by = fields.Many2One(
        'company.employee', "Assessed By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': Eval('state') == 'draft',
            })
    industry = fields.Integer(
        "Industry", domain=_get_domain('industry'), states=_states,
        help="How promising the line of business is.\nFrom 0 to 100.")
    industry_remark = fields.Char("Industry Remark", states=_states)
    size = fields.Integer(
        "Size", domain=_get_domain('size'), states=_states,
        help="How large the customer is.\nFrom 0 to 100.")
    size_remark = fields.Char("Size Remark", states=_states)
    buying_power = fields.Integer(
        "Buying Power", domain=_get_domain('buying_power'), states=_states,
        help="How much the customer can buy.\nFrom 0 to 100.")
    buying_power_remark = fields.Char("Buying Power Remark", states=_states)
    demand = fields.Integer(
        "Demand", domain=_get_domain('demand'), states=_states,
        help="How much the customer needs what we sell.\nFrom 0 to 100.")
    demand_remark = fields.Char("Demand Remark", states=_states)
    stability = fields.Integer(
        "Stability", domain=_get_domain('stability'), states=_states,
        help="How steadily the customer buys.\nFrom 0 to 100.")
    stability_remark = fields.Char("Stability Remark", states=_states)
    loyalty = fields.Integer(
        "Loyalty", domain=_get_domain('loyalty'), states=_states,
        help="How much the customer keeps to us.\nFrom 0 to 100.")
    loyalty_remark = fields.Char("Loyalty Remark", states=_states)
    remark = fields.Text("Remark", states=_states)
    superseded_by = fields.Many2One(
        'customer.assessment', "Superseded By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': Eval('state') != 'superseded',
            })
    state = fields.Selection([
            ('draft', "Draft"),
            ('done', "Done"),
            ('superseded', "Superseded"),
            ], "State", required=True, readonly=True, sort=False)

    del _states

    _open_states = ('draft',)
    _recorded_names = frozenset(['assessed_by', 'superseded_by'])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.append(
            ('done_once', Exclude(
                    t, (t.file, Equal), where=t.state == 'done'),
                'customer_grading.msg_assessment_done_once'))
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.file, Index.Equality()),
                    (t.assessed_on, Index.Range())),
                Index(t, (t.superseded_by, Index.Equality())),
                })
        cls._order = [
            ('assessed_on', 'DESC'),
            ('id', 'DESC'),
            ]
        cls._transitions |= {
            ('draft', 'done'),
            ('done', 'superseded'),
            }
        cls._buttons.update({
                'do': {
                    'invisible': Eval('state') != 'draft',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_assessed_on(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    @classmethod
    def default_state(cls):
        return 'draft'

    def get_rec_name(self, name):
        return f'{self.party.rec_name} – {self.assessed_on}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('file.party.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'superseded', 'muted', '')),
            ]

    @classmethod
    def copy(cls, assessments, default=None):
        pool = Pool()
        Date = pool.get('ir.date')
        default = default.copy() if default is not None else {}
        default.setdefault('assessed_on', Date.today())
        return super().copy(assessments, default=default)

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('done')
    def do(cls, assessments):
        """Record the assessments in the place of the former ones

        Which one is the last depends on the dates, not on when they are
        recorded: one that comes late supersedes only older ones."""
        assessments = cls.browse(assessments)
        files = [a.file.id for a in assessments]
        if len(files) > len(set(files)):
            raise CareError(gettext(
                    'customer_grading.msg_assessment_twice'))
        todays = get_todays({a.company for a in assessments})
        for assessment in assessments:
            if all(getattr(assessment, n) is None for n in CRITERIA):
                raise CareError(gettext(
                        'customer_grading.msg_assessment_empty',
                        assessment=assessment.rec_name))
            if assessment.assessed_on > todays[assessment.company]:
                raise CareError(gettext(
                        'customer_grading.msg_assessment_future',
                        assessment=assessment.rec_name))
        former = {
            a.file: a for a in cls.search([
                    ('file', 'in', files),
                    ('state', '=', 'done'),
                    ])}
        employees = {
            c: get_employee(c) for c in {a.company for a in assessments}}
        args = []
        for assessment in assessments:
            previous = former.get(assessment.file)
            if previous and previous.assessed_on > assessment.assessed_on:
                raise CareError(gettext(
                        'customer_grading.msg_assessment_older',
                        assessment=assessment.rec_name,
                        previous=previous.rec_name))
            if previous:
                args.extend(([previous], {
                            'state': 'superseded',
                            'superseded_by': assessment.id,
                            }))
            args.extend(([assessment], {
                        'assessed_by': employees[assessment.company].id,
                        }))
        if args:
            cls.write(*args)


class Metric(metaclass=PoolMeta):
    __name__ = 'customer.grading.metric'

    @classmethod
    def get_metrics(cls):
        return super().get_metrics() + [
            (f'assessment_{c}', gettext(
                    f'customer_grading.msg_metric_assessment_{c}'))
            for c in CRITERIA]

    @classmethod
    def families(cls):
        return {
            **super().families(),
            'assessment': [f'assessment_{c}' for c in CRITERIA],
            }

    @classmethod
    def get_kinds(cls):
        return {
            **super().get_kinds(),
            **{f'assessment_{c}': 'number' for c in CRITERIA},
            }

    @classmethod
    def _metric_assessment(cls, company, start, end, parties=None):
        """What the last assessment says that was done until the end

        It holds until the next, so that it may be older than the window."""
        pool = Pool()
        Assessment = pool.get('customer.assessment')
        File = pool.get('customer.file')
        assessment = Assessment.__table__()
        file = File.__table__()
        last = assessment.join(
            file, condition=assessment.file == file.id
            ).select(
                file.party.as_('party'),
                *(Column(assessment, c).as_(c) for c in CRITERIA),
                RowNumber(window=Window(
                        [assessment.file],
                        order_by=[
                            assessment.assessed_on.desc, assessment.id.desc],
                        )).as_('number'),
                where=(file.company == company.id)
                & assessment.state.in_(['done', 'superseded'])
                & (assessment.assessed_on <= end)
                & cls.where_parties(file.party, parties))
        columns = []
        for name in CRITERIA:
            column = Column(last, name)
            columns.extend([
                    column.as_(f'assessment_{name}'),
                    Case((column != Null, 1), else_=Literal(0)).as_(
                        f'assessment_{name}_count'),
                    ])
        return last.select(
            last.party.as_('party'), *columns, where=last.number == 1)

    @classmethod
    def _changed_assessment(cls, company, since):
        pool = Pool()
        Assessment = pool.get('customer.assessment')
        File = pool.get('customer.file')
        assessment = Assessment.__table__()
        file = File.__table__()
        return assessment.join(
            file, condition=assessment.file == file.id
            ).select(
                file.party.as_('party'),
                where=(file.company == company.id)
                & (Coalesce(assessment.write_date, assessment.create_date)
                    >= since))
