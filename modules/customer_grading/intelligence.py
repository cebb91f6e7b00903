# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Workflow, fields
from trytond.modules.company_department.tools import group_by_company
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction

from .care import ActionMixin, EvidenceMixin, get_employee
from .exceptions import CareError
from .file import get_file_access, is_same_person, recording


class Intelligence(Workflow, EvidenceMixin, ModelSQL, ModelView):
    "What somebody heard of orders to come"
    __name__ = 'customer.intelligence'
    _rec_name = 'subject'

    _states = {
        'readonly': Eval('state') != 'reported',
        }
    _states_evaluation = {
        'readonly': Eval('state') != 'reported',
        'invisible': ~Eval('can_evaluate', False),
        }
    _states_reward = {
        'readonly': (
            Eval('state').in_(['reported', 'rejected'])
            | Bool(Eval('reward_approved_by'))),
        }

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    subject = fields.Char("Subject", required=True, states=_states)
    kind = fields.Selection([
            ('demand', "Demand"),
            ('competitor', "Competitor"),
            ('price', "Price"),
            ('tender', "Tender"),
            ('other', "Other"),
            ], "Kind", required=True, sort=False, states=_states)
    text = fields.Text(
        "What Is Known", required=True, states=_states,
        help="What was learned, where from and when.")
    file = fields.Many2One(
        'customer.file', "Customer File", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            If(Eval('party'), ('party', '=', Eval('party', -1)), ()),
            ],
        states=_states)
    party = fields.Many2One(
        'party.party', "Party", ondelete='RESTRICT', states=_states,
        context={
            'company': Eval('company', -1),
            },
        depends={'company'},
        help="Whom it is about, if that is known.")
    reported_by = fields.Many2One(
        'company.employee', "Reported By", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': _states['readonly'],
            'required': ~Eval('reporter_name') & ~Eval('reporter_party'),
            })
    reporter_party = fields.Many2One(
        'party.party', "Outside Party", ondelete='RESTRICT', states=_states,
        context={
            'company': Eval('company', -1),
            },
        depends={'company'},
        help="Who reported it from outside the company.")
    reporter_name = fields.Char(
        "Outside Person", states=_states,
        help="Who reported it from outside the company.")
    reported_on = fields.Date("Reported On", required=True, states=_states)
    reported_user = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT')
    value = fields.Selection([
            (None, ""),
            ('high', "High"),
            ('medium', "Medium"),
            ('low', "Low"),
            ('none', "None"),
            ], "Value", sort=False, states=_states_evaluation,
        help="What it is worth to the company.")
    opinion = fields.Text("Opinion", states=_states_evaluation)
    evaluated_by = fields.Many2One(
        'company.employee', "Evaluated By", readonly=True,
        ondelete='RESTRICT')
    evaluated_at = fields.DateTime("Evaluated At", readonly=True)
    actions = fields.One2Many(
        'customer.intelligence.action', 'intelligence', "Actions",
        states={
            'readonly': ~Eval('state').in_(['accepted', 'followed']),
            })
    outcome = fields.Text(
        "Outcome",
        states={
            'readonly': ~Eval('state').in_(['accepted', 'followed']),
            },
        help="What came of it.")
    closed_by = fields.Many2One(
        'company.employee', "Closed By", readonly=True, ondelete='RESTRICT')
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')
    reward = Monetary(
        "Reward", currency='currency', digits='currency',
        domain=['OR',
            ('reward', '=', None),
            ('reward', '>', 0),
            ],
        states=_states_reward)
    reward_approved_by = fields.Many2One(
        'company.employee', "Reward Approved By", readonly=True,
        ondelete='RESTRICT')
    reward_paid_on = fields.Date("Reward Paid On", readonly=True)
    file_confidentiality = fields.Function(
        fields.Char("Confidentiality of the File"),
        'get_file_access', searcher='search_file_access')
    file_managed = fields.Function(
        fields.Boolean("File Managed by Me"),
        'get_file_access', searcher='search_file_access')
    mine = fields.Function(
        fields.Boolean("Mine"), 'get_mine', searcher='search_mine')
    can_evaluate = fields.Function(
        fields.Boolean("Can Evaluate"), 'get_can_evaluate')
    state = fields.Selection([
            ('reported', "Reported"),
            ('evaluated', "Evaluated"),
            ('accepted', "Accepted"),
            ('rejected', "Rejected"),
            ('followed', "Followed"),
            ('closed', "Closed"),
            ], "State", required=True, readonly=True, sort=False)

    del _states, _states_evaluation, _states_reward

    _open_states = ('reported',)
    _recorded_names = frozenset([
            'evaluated_by', 'evaluated_at', 'closed_by', 'reward_approved_by',
            'reward_paid_on'])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.company, Index.Equality()),
                    (t.state, Index.Equality(cardinality='low')),
                    (t.reported_on, Index.Range(order='DESC'))),
                Index(t, (t.file, Index.Equality())),
                Index(t, (t.party, Index.Equality())),
                Index(t, (t.reporter_party, Index.Equality())),
                Index(t, (t.reported_by, Index.Equality())),
                Index(t, (t.reported_user, Index.Equality())),
                })
        cls._order = [
            ('reported_on', 'DESC'),
            ('id', 'DESC'),
            ]
        cls._transitions |= {
            ('reported', 'evaluated'),
            ('evaluated', 'accepted'),
            ('evaluated', 'rejected'),
            ('accepted', 'followed'),
            ('followed', 'closed'),
            }

        def button(states, icon, extra=None):
            invisible = ~Eval('state').in_(states)
            depends = ['state']
            if extra:
                expression, names = extra
                invisible |= expression
                depends += names
            return {
                'invisible': invisible, 'icon': icon, 'depends': depends}

        rewarded = ['evaluated', 'accepted', 'followed', 'closed']
        cls._buttons.update({
                'evaluate': button(['reported'], 'tryton-forward'),
                'accept': button(['evaluated'], 'tryton-ok'),
                'reject': button(['evaluated'], 'tryton-close'),
                'follow': button(['accepted'], 'tryton-forward'),
                'close': button(['followed'], 'tryton-archive'),
                'approve_reward': button(
                    rewarded, 'tryton-ok', (
                        ~Eval('reward') | Bool(Eval('reward_approved_by')),
                        ['reward', 'reward_approved_by'])),
                'pay_reward': button(
                    rewarded, 'tryton-ok', (
                        ~Eval('reward_approved_by')
                        | Bool(Eval('reward_paid_on')),
                        ['reward_approved_by', 'reward_paid_on'])),
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_reported_by(cls):
        return Transaction().context.get('employee')

    @classmethod
    def default_reported_on(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    @classmethod
    def default_kind(cls):
        return 'demand'

    @classmethod
    def default_state(cls):
        return 'reported'

    @classmethod
    def default_can_evaluate(cls):
        return False

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return self.company.currency if self.company else None

    @fields.depends('file', 'party')
    def on_change_file(self):
        if self.file and not self.party:
            self.party = self.file.party

    @classmethod
    def get_file_access(cls, records, names):
        return get_file_access(records, names)

    @classmethod
    def search_file_access(cls, name, clause):
        return [(f'file.{name[len("file_"):]}', *clause[1:])]

    @classmethod
    def get_mine(cls, records, name):
        return {r.id: r._is_reporter() for r in records}

    @classmethod
    def search_mine(cls, name, clause):
        pool = Pool()
        User = pool.get('res.user')
        _, operator, value = clause
        employees = list(User.get_employees() or [])
        user = Transaction().user
        if (operator == '=' and value) or (operator == '!=' and not value):
            return ['OR',
                ('reported_by', 'in', employees),
                ('reported_user', '=', user),
                ]
        return [
            ['OR',
                ('reported_by', '=', None),
                ('reported_by', 'not in', employees),
                ],
            ['OR',
                ('reported_user', '=', None),
                ('reported_user', '!=', user),
                ],
            ]

    @classmethod
    def get_can_evaluate(cls, records, name):
        evaluator = cls._is_evaluator()
        return {r.id: evaluator and not r._is_reporter() for r in records}

    @classmethod
    def _is_evaluator(cls):
        "Return whether the user belongs to those who evaluate"
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        return ModelData.get_id(
            'customer_grading', 'group_customer') in User.get_groups()

    def _is_reporter(self):
        return is_same_person(self.reported_user, self.reported_by)

    def _check_segregated(self):
        if self._is_reporter():
            raise CareError(gettext(
                    'customer_grading.msg_intelligence_own',
                    intelligence=self.rec_name))

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['rejected', 'closed']), 'muted',
                    If((Eval('value') == 'high')
                        & ~Eval('state').in_(['rejected', 'closed']),
                        'success', ''))),
            ('/form//page[@id="evaluation"]', 'states', {
                    'invisible': (
                        (Eval('state') == 'reported')
                        & ~Eval('can_evaluate', False)),
                    }),
            ]

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            # Whoever says to have
            values['reported_user'] = Transaction().user or None
        return values

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        if mode == 'write' and not Transaction().context.get('_customer_care'):
            allowed = all(
                values.keys() <= r._get_writable()
                for r in cls.browse(records))
            if not allowed:
                cls._deny_modification(mode, records)
            with recording('_customer_care'):
                super().check_modification(
                    mode, records, values=values, external=external)
        else:
            super().check_modification(
                mode, records, values=values, external=external)
            if (mode == 'create' and external
                    and any(
                        r.value or r.opinion or r.reward or r.outcome
                        for r in cls.browse(records))):
                cls._deny_modification(mode, records)

    def _get_writable(self):
        "Return the names of the fields that the user may write"
        reporter = self._is_reporter()
        names = set()
        if self.state == 'reported':
            names |= {
                'subject', 'kind', 'text', 'file', 'party', 'reported_by',
                'reporter_party', 'reporter_name', 'reported_on'}
            if not reporter:
                names |= {'value', 'opinion'}
        elif self.state in {'accepted', 'followed'}:
            names |= {'actions', 'outcome'}
        if (self.state not in {'reported', 'rejected'} and not reporter
                and not self.reward_approved_by):
            names.add('reward')
        return names

    @classmethod
    def copy(cls, records, default=None):
        pool = Pool()
        Date = pool.get('ir.date')
        default = default.copy() if default is not None else {}
        default.setdefault('reported_on', Date.today())
        for name in ['value', 'opinion', 'actions', 'outcome', 'reward']:
            default.setdefault(name)
        return super().copy(records, default=default)

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('evaluated')
    def evaluate(cls, records):
        "Record what they are worth, which who reported them does not do"
        records = cls.browse(records)
        for record in records:
            record._check_segregated()
            if not record.value or not (record.opinion or '').strip():
                raise CareError(gettext(
                        'customer_grading.msg_intelligence_evaluation',
                        intelligence=record.rec_name))
        for company, c_records in group_by_company(records):
            cls.write(c_records, {
                    'evaluated_by': get_employee(company).id,
                    'evaluated_at': dt.datetime.now(),
                    })

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('accepted')
    def accept(cls, records):
        for record in cls.browse(records):
            record._check_segregated()

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('rejected')
    def reject(cls, records):
        for record in cls.browse(records):
            record._check_segregated()

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('followed')
    def follow(cls, records):
        for record in cls.browse(records):
            if not record._is_planned():
                raise CareError(gettext(
                        'customer_grading.msg_intelligence_plan',
                        intelligence=record.rec_name))

    def _is_planned(self):
        "Return whether something is done because of it"
        return bool(self.actions)

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('closed')
    def close(cls, records):
        records = cls.browse(records)
        for record in records:
            problems = [
                a.name for a in record.actions if a.state != 'done']
            if problems or not (record.outcome or '').strip():
                raise CareError(gettext(
                        'customer_grading.msg_intelligence_close',
                        intelligence=record.rec_name,
                        actions='\n'.join(problems)))
        for company, c_records in group_by_company(records):
            cls.write(c_records, {'closed_by': get_employee(company).id})

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    def approve_reward(cls, records):
        "Approve the rewards, which nobody does for what they reported"
        records = cls.browse(records)
        for record in records:
            record._check_segregated()
            if (record.state in {'reported', 'rejected'}
                    or not record.reward or record.reward_approved_by):
                raise CareError(gettext(
                        'customer_grading.msg_intelligence_reward',
                        intelligence=record.rec_name))
        for company, c_records in group_by_company(records):
            cls.write(c_records, {
                    'reward_approved_by': get_employee(company).id})

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    def pay_reward(cls, records):
        pool = Pool()
        Date = pool.get('ir.date')
        records = cls.browse(records)
        for record in records:
            record._check_segregated()
            if not record.reward_approved_by or record.reward_paid_on:
                raise CareError(gettext(
                        'customer_grading.msg_intelligence_pay',
                        intelligence=record.rec_name))
        for company, c_records in group_by_company(records):
            with Transaction().set_context(company=company.id):
                cls.write(c_records, {'reward_paid_on': Date.today()})


class IntelligenceAction(ActionMixin):
    __name__ = 'customer.intelligence.action'

    intelligence = fields.Many2One(
        'customer.intelligence', "Intelligence", required=True,
        ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })

    _parent_name = 'intelligence'
    _parent_states = ('accepted', 'followed')
    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_company')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('intelligence')
        cls._sql_indexes.update({
                Index(t, (t.intelligence, Index.Equality())),
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.due_date, Index.Range()),
                    where=t.state == 'open'),
                })

    @fields.depends('intelligence', '_parent_intelligence.company')
    def on_change_with_company(self, name=None):
        return self.intelligence.company if self.intelligence else None

    @classmethod
    def search_company(cls, name, clause):
        return [('intelligence.' + clause[0], *clause[1:])]


class IntelligenceOpportunity(metaclass=PoolMeta):
    __name__ = 'customer.intelligence'

    opportunity = fields.Many2One(
        'sale.opportunity', "Opportunity", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('opportunity'),
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._recorded_names |= {'opportunity'}
        cls._sql_indexes.add(Index(t, (t.opportunity, Index.Equality())))
        cls._buttons.update({
                'create_opportunity': {
                    'invisible': (
                        ~Eval('state').in_(['accepted', 'followed'])
                        | Bool(Eval('opportunity'))),
                    'icon': 'tryton-create',
                    'depends': ['state', 'opportunity'],
                    },
                })

    def _is_planned(self):
        return super()._is_planned() or bool(self.opportunity)

    @classmethod
    @ModelView.button_action('sale_opportunity.act_opportunity_form')
    @recording('_customer_care')
    def create_opportunity(cls, records):
        "Create a lead of each that has none"
        pool = Pool()
        Opportunity = pool.get('sale.opportunity')
        args, opportunities = [], []
        for record in cls.browse(records):
            if record.opportunity:
                continue
            if record.state not in {'accepted', 'followed'}:
                raise CareError(gettext(
                        'customer_grading.msg_intelligence_opportunity',
                        intelligence=record.rec_name))
            with Transaction().set_context(company=record.company.id):
                opportunity, = Opportunity.create(
                    [record._get_opportunity()])
            opportunities.append(opportunity)
            args.extend(([record], {'opportunity': opportunity.id}))
        if args:
            cls.write(*args)
        return {'res_id': [o.id for o in opportunities]}

    def _get_opportunity(self):
        "Return the values of the opportunity"
        party = self.party or (self.file.party if self.file else None)
        return {
            'company': self.company.id,
            'currency': self.company.currency.id,
            'party': party.id if party else None,
            'description': self.subject,
            'comment': self.text,
            'start_date': self.default_reported_on(),
            }
