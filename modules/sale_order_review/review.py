# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
from collections import defaultdict
from itertools import groupby

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelStorage, ModelView, Unique, Workflow, fields)
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import (
    get_users, group_by_company, notify, per_company)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.pyson import Bool, Date, Eval, If
from trytond.report import Report
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access

from . import snapshot as snapshots
from .exceptions import ReviewError, SignoffError, SignoffLateWarning

# The states of the sign-offs by which the department lets the order go on
_SIGNED = ['approved', 'conditional', 'not_applicable', 'carried']


def _recording():
    "Let the records of the reviews be modified"
    return Transaction().set_context(_sale_review=True)


class EvidenceMixin(ModelStorage):
    """What is recorded of a review: nobody creates, changes or deletes it but
    the review itself, whatever the rights of who asks"""
    __slots__ = ()

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if not Transaction().context.get('_sale_review'):
            cls._deny_modification(mode, records)

    @classmethod
    def _deny_modification(cls, mode, records):
        raise AccessError(gettext(
                f'sale_order_review.msg_evidence_{mode}',
                **cls.__names__(record=records[0])))

    @classmethod
    def _search_boolean(cls, clause, domain):
        "Return the domain or its negation following the clause"
        _, operator, value = clause
        if (operator == '=' and value) or (operator == '!=' and not value):
            return domain
        return [('id', 'not in', cls.search(domain, order=[], query=True))]


class Plan:
    """The review that a record would get

    origin is what is reviewed of the sale, reasons are the couples of the
    rules that apply to it and the texts that explain why, values are those
    that its review has besides, problem is the text of what prevents it and
    failed that of why its rules cannot be evaluated."""
    __slots__ = (
        'origin', 'sale', 'untaxed_amount', 'previous', 'signoffs', 'snapshot',
        'text', 'reasons', 'values', 'problem', 'failed')

    def __init__(
            self, origin, sale, untaxed_amount, snapshot, reasons,
            values=None, problem=None, failed=None):
        self.origin = origin
        self.sale = sale
        self.untaxed_amount = untaxed_amount
        self.previous = None
        self.snapshot = snapshot
        self.text = snapshots.dumps(snapshot)
        self.reasons = reasons
        self.values = values or {}
        self.problem = failed or problem
        self.failed = failed
        self.signoffs = []

    @property
    def stage(self):
        "The first stage at which somebody must sign"
        return min(
            (s['stage'] for s in self.signoffs if not s['carried_from']),
            default=None)


class Review(Workflow, EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.review'
    _rec_name = 'number'

    number = fields.Char("Number", required=True, readonly=True)
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    origin = fields.Reference(
        "Origin", 'get_origins', required=True, readonly=True)
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='RESTRICT')
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'get_sale_field', searcher='search_sale_field')
    round = fields.Integer("Round", required=True, readonly=True)
    previous = fields.Many2One(
        'sale.review', "Previous", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('previous'),
            })
    requested_by = fields.Many2One(
        'company.employee', "Requested By", required=True, readonly=True,
        ondelete='RESTRICT')
    requested_at = fields.DateTime(
        "Requested At", required=True, readonly=True)
    entered_by = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT',
        help="The user who entered the order.")
    closed_by = fields.Many2One(
        'company.employee', "Closed By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('closed_at'),
            })
    closed_at = fields.DateTime(
        "Closed At", readonly=True,
        states={
            'invisible': ~Eval('closed_at'),
            })
    currency = fields.Many2One(
        'currency.currency', "Currency", required=True, readonly=True,
        ondelete='RESTRICT')
    untaxed_amount = Monetary(
        "Untaxed", currency='currency', digits='currency', required=True,
        readonly=True)
    snapshot = fields.Text(
        "Snapshot", required=True, readonly=True, loading='lazy',
        help="The content that was reviewed, as canonical JSON.")
    digest = fields.Char(
        "Digest", required=True, readonly=True,
        help="The SHA-256 of the snapshot.")
    names = fields.Text(
        "Names", readonly=True, loading='lazy',
        help="The names that the records of the content and the departments "
        "had, as JSON.")
    differences = fields.Function(
        fields.Text(
            "Differences",
            states={
                'invisible': ~Eval('previous'),
                },
            help="What changed since the previous round."),
        'get_differences_previous')
    signoffs = fields.One2Many(
        'sale.review.signoff', 'review', "Sign-offs", readonly=True,
        order=[('stage', 'ASC'), ('id', 'ASC')])
    required = fields.Integer(
        "Required", required=True, readonly=True,
        help="The number of departments that must sign.")
    signed = fields.Integer(
        "Signed", required=True, readonly=True,
        help="The number of departments that have signed.")
    progress = fields.Function(
        fields.Float("Progress", digits=(1, 4)), 'get_progress')
    state = fields.Selection([
            ('open', "Open"),
            ('approved', "Approved"),
            ('returned', "Returned"),
            ('withdrawn', "Withdrawn"),
            ('superseded', "Superseded"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        cls.number.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints += [
            ('origin_round_unique', Unique(t, t.origin, t.round),
                'sale_order_review.msg_review_round_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.number, Index.Equality())),
                Index(t, (t.sale, Index.Equality())),
                Index(t, (t.previous, Index.Equality())),
                Index(t, (t.requested_by, Index.Equality())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.requested_by, Index.Equality()),
                    where=t.state == 'open'),
                Index(
                    t,
                    (t.company, Index.Equality(cardinality='low')),
                    (t.id, Index.Range(order='DESC')),
                    where=t.state == 'returned'),
                })
        cls._order = [('id', 'DESC')]
        cls._transitions |= {
            ('open', 'approved'),
            ('open', 'returned'),
            ('open', 'withdrawn'),
            ('approved', 'superseded'),
            ('returned', 'superseded'),
            ('withdrawn', 'superseded'),
            }
        cls._buttons.update({
                'withdraw': {
                    'invisible': Eval('state') != 'open',
                    'icon': 'tryton-back',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def __register__(cls, module):
        super().__register__(module)
        # Not only sales have rounds
        cls.__table_handler__(module).drop_constraint('sale_round_unique')

    @classmethod
    def default_state(cls):
        return 'open'

    @classmethod
    def get_origins(cls):
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        return Rule.get_subjects()

    def get_rec_name(self, name):
        return f'{self.number} ({self.round})'

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, *_ = clause
        bool_op = 'OR'
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        return [bool_op,
            ('number', *clause[1:]),
            ('sale.rec_name', *clause[1:]),
            ('sale.party.rec_name', *clause[1:]),
            ]

    @classmethod
    def get_sale_field(cls, reviews, names):
        return _read_target(reviews, 'sale', names)

    @classmethod
    def search_sale_field(cls, name, clause):
        return [('sale.' + clause[0], *clause[1:])]

    def get_progress(self, name):
        return round(self.signed / self.required, 4) if self.required else 1.

    def get_differences_previous(self, name):
        pool = Pool()
        Sale = pool.get('sale.sale')
        if self.previous:
            return '\n'.join(Sale.format_review_differences(
                    json.loads(self.previous.snapshot),
                    json.loads(self.snapshot)))

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['superseded', 'withdrawn']),
                    'muted', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'returned', 'danger',
                    If(Eval('state') == 'approved', 'success', ''))),
            ]

    @classmethod
    def get_current(cls, records):
        "Return by record its review of the last round"
        if not records:
            return {}
        rows = snapshots.select(
            cls, ['id', 'origin', 'round'], 'origin', list(map(str, records)))
        last = {
            r['origin']: r['id']
            for r in sorted(rows, key=lambda r: r['round'])}
        records = [r for r in records if str(r) in last]
        # Read at once those that are used, in the order of the records
        return dict(zip(records, cls.browse([last[str(r)] for r in records])))

    @classmethod
    def _get_reviewed(cls, reviews):
        "Return the couples of model and list of what is reviewed of it"
        by_model = defaultdict(list)
        for review in reviews:
            by_model[review.origin.__class__].append(review.origin)
        return [(M, M.browse(records)) for M, records in by_model.items()]

    @classmethod
    def get_differences(cls, reviews):
        """Return by record the texts of what changed since it was submitted,
        without the records that are still as they were"""
        pool = Pool()
        Sale = pool.get('sale.sale')
        current = {}
        reviews = cls.browse(reviews)
        for Model, records in cls._get_reviewed(reviews):
            current.update(Model.get_review_snapshots(records))
        differences = {}
        for review in reviews:
            text = snapshots.dumps(current[review.origin])
            if snapshots.digest(text) == review.digest:
                continue
            texts = Sale.format_review_differences(
                json.loads(review.snapshot), json.loads(text))
            if texts:
                differences[review.origin] = texts
        return differences

    @property
    def opinions(self):
        "The opinions with which it was returned"
        return [s.opinion for s in self.signoffs if s.state == 'returned']

    @property
    def missing(self):
        "The text of the departments that have not signed and who can"
        return ', '.join(
            f'{s.department.rec_name} ({s.responsible})'
            if s.responsible else s.department.rec_name
            for s in self.signoffs if s.state in {'pending', 'waiting'})

    @classmethod
    @without_check_access
    def plan(cls, records):
        """Return the list of plans of the reviews that the records of a model
        would get and the list of texts of the problems that prevent it"""
        pool = Pool()
        Date = pool.get('ir.date')
        Signoff = pool.get('sale.review.signoff')
        User = pool.get('res.user')

        plans, problems, submitted = [], [], []
        employees = {}
        for record in records:
            company = record.company
            if company not in employees:
                employees[company] = _get_employee(company)
            if employees[company]:
                submitted.append(record)
            else:
                problems.append(gettext(
                        'sale_order_review.msg_submit_employee',
                        sale=record.rec_name, company=company.rec_name))
        if submitted:
            Model = submitted[0].__class__
            texts = Model.get_review_problems(submitted)
            problems.extend(texts.values())
            submitted = [r for r in submitted if r not in texts]
        if not submitted:
            return plans, problems

        requesting = {
            e for u in User.browse([Transaction().user]) for e in u.employees}
        excluded = {
            s: {employees[s.company], *requesting, *s.create_uid.employees}
            for s in submitted}
        previous = cls.get_current(submitted)
        planned = Model.plan_reviews(submitted)
        for company, c_plans in group_by_company(
                planned, lambda p: p.sale.company):
            with Transaction().set_context(company=company.id):
                today = Date.today()
            for plan in c_plans:
                if plan.problem:
                    problems.append(plan.problem)
                    continue
                plan.previous = previous.get(plan.origin)
                for rule, reason in plan.reasons:
                    plan.signoffs.append(
                        Signoff.get_from_rule(rule, reason))
                plan.signoffs.sort(key=lambda s: s['stage'])
                Signoff.carry_over(plan, excluded[plan.origin])
                plans.append(plan)
            problems.extend(Signoff.plan_signatories(
                    [p for p in plans if p.sale.company == company],
                    excluded, company, today))
        return plans, problems

    @classmethod
    @without_check_access
    def submit(cls, records):
        """Submit the records of a model for review and return the reviews.

        Each record gets the next round of its reviews, which supersedes the
        previous one, with a sign-off for each of the rules that apply to it.
        Raise ReviewError with all the problems of all the records."""
        pool = Pool()
        Change = pool.get('sale.change')
        Configuration = pool.get('sale.configuration')
        Signoff = pool.get('sale.review.signoff')

        _check_present()
        plans, problems = cls.plan(records)
        if problems:
            raise ReviewError('\n'.join(problems))
        # First, so that of two submissions at once only one can be committed
        if plans:
            Model = plans[0].origin.__class__
            Model.open_review([p.origin for p in plans])
        now = dt.datetime.now()
        names = cls._get_names(plans)
        for plan in plans:
            # The text remains
            plan.snapshot = None
        reviews, pending, approved = [], [], []
        for company, c_plans in group_by_company(
                plans, lambda p: p.sale.company):
            sequence = Configuration(1).get_multivalue(
                'review_sequence', company=company.id)
            employee = _get_employee(company)
            with _recording():
                if previous := [p.previous for p in c_plans if p.previous]:
                    cls.supersede(previous)
                c_reviews = cls.create([{
                            'number': number,
                            'company': company.id,
                            'origin': str(p.origin),
                            'sale': p.sale.id,
                            'round': p.previous.round + 1 if p.previous else 1,
                            'previous': p.previous.id if p.previous else None,
                            'requested_by': employee.id,
                            'requested_at': now,
                            'entered_by': p.origin.create_uid.id,
                            'currency': p.sale.currency.id,
                            'untaxed_amount': p.untaxed_amount,
                            'snapshot': p.text,
                            'digest': snapshots.digest(p.text),
                            'names': names[p],
                            'required': len(p.signoffs),
                            'signed': len([
                                    s for s in p.signoffs
                                    if s['carried_from']]),
                            **p.values,
                            }
                        for number, p in zip(
                            sequence.get_many(len(c_plans)), c_plans)])
                pending += Signoff.create_planned(
                    zip(c_reviews, c_plans), now)
            reviews += c_reviews
            approved += [
                r for r, p in zip(c_reviews, c_plans) if p.stage is None]
        # Once released only amendments change it, which log it themselves
        Change.record_rounds([
                r for r in reviews
                if r.previous and r.origin.review_state != 'released'])
        cls.approve(approved)
        Signoff.notify(pending)
        return reviews

    @classmethod
    def _get_names(cls, plans):
        "Return by plan the names of what it reviews and of who must sign"
        pool = Pool()
        Change = pool.get('sale.change')
        Department = pool.get('company.department')
        departments = {
            d: d.rec_name for d in Department.browse({
                    s['department'] for p in plans for s in p.signoffs})}
        names = Change.get_names([
                [p.snapshot, *(
                        [json.loads(p.values['before'])]
                        if p.values.get('before') else [])]
                for p in plans])
        return {
            plan: snapshots.dumps({
                    **p_names,
                    Department.__name__: {
                        s['department'].id: departments[s['department']]
                        for s in plan.signoffs},
                    })
            for plan, p_names in zip(plans, names)}

    @classmethod
    @ModelView.button
    def withdraw(cls, reviews):
        """Withdraw the reviews: what they review can be corrected or submitted
        again"""
        reviews = [r for r in reviews if r.state == 'open']
        if not reviews:
            return
        cls._cancel_signoffs(reviews)
        cls._close(reviews, 'withdrawn')
        for Model, records in cls._get_reviewed(reviews):
            Model._set_review_state(records)

    @classmethod
    @Workflow.transition('superseded')
    def supersede(cls, reviews):
        pass

    @classmethod
    def approve(cls, reviews):
        if reviews:
            cls._close(reviews, 'approved')
            for Model, records in cls._get_reviewed(reviews):
                Model.write(records, {'review_state': 'approved'})
            cls._notify_closed(reviews)

    @classmethod
    def return_(cls, reviews):
        "Return what is reviewed, to be corrected and submitted again"
        if reviews:
            cls._cancel_signoffs(reviews)
            cls._close(reviews, 'returned')
            for Model, records in cls._get_reviewed(reviews):
                Model.return_review(records)
            cls._notify_closed(reviews)

    @classmethod
    def _cancel_signoffs(cls, reviews):
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        if open_ := [
                s for r in reviews for s in r.signoffs
                if s.state in {'pending', 'waiting'}]:
            with _recording():
                Signoff.write(open_, {
                        'state': 'cancelled',
                        'closed_at': dt.datetime.now(),
                        })

    @classmethod
    def _close(cls, reviews, state):
        now = dt.datetime.now()
        to_close = defaultdict(list)
        for review in reviews:
            signed = review.required if state == 'approved' else review.signed
            to_close[review.company, signed].append(review)
        employees = {}
        with _recording():
            for (company, signed), reviews_ in to_close.items():
                if company not in employees:
                    employees[company] = _get_employee(company)
                employee = employees[company]
                cls.write(reviews_, {
                        'state': state,
                        'signed': signed,
                        'closed_at': now,
                        'closed_by': employee.id if employee else None,
                        })
        cls.log(reviews, 'transition', f'state:{state}')

    @classmethod
    def _notify_closed(cls, reviews):
        by_employee = defaultdict(lambda: defaultdict(list))
        for review in reviews:
            by_employee[review.state][review.requested_by].append(review)
        for state, employees in by_employee.items():
            cls.notify_employees(
                employees,
                'tryton-ok' if state == 'approved' else 'tryton-back',
                f'sale_order_review.msg_notification_{state}')

    @classmethod
    def notify_employees(
            cls, employees, icon, message_id, description=None):
        """Notify the users of the employees once each.

        employees is a dictionary of lists of records by employee. The label
        is the message with their number, and the description their names
        unless another one is given."""
        by_user = defaultdict(dict)
        for employee, users in get_users(employees).items():
            for user in users:
                by_user[user].update(dict.fromkeys(employees[employee]))
        notify(
            by_user, icon, message_id, lambda r: r.notification_name,
            description=description)

    @property
    def notification_name(self):
        "The name of the review in notifications"
        return f'{self.sale.rec_name} – {self.sale.party.rec_name}'


class Signoff(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.review.signoff'
    _rec_name = 'name'

    review = fields.Many2One(
        'sale.review', "Review", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='RESTRICT')
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}))
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"))
    untaxed_amount = fields.Function(Monetary(
            "Untaxed", currency='currency', digits='currency'))
    requested_by = fields.Many2One(
        'company.employee', "Requested By", required=True, readonly=True,
        ondelete='RESTRICT')
    entered_by = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT',
        help="The user who entered the order.")
    requested_at = fields.Function(fields.DateTime("Requested At"))
    round = fields.Function(fields.Integer("Round"))
    differences = fields.Function(
        fields.Text(
            "Differences",
            states={
                'invisible': ~Eval('differences'),
                },
            help="What changed since the previous round."),
        'get_review_field')
    sale_lines = fields.Function(
        fields.Many2Many('sale.line', None, None, "Lines", readonly=True),
        'get_sale_lines')
    payment_term = fields.Function(
        fields.Many2One('account.invoice.payment_term', "Payment Term"),
        'get_sale_field')
    shipping_date = fields.Function(
        fields.Date("Shipping Date"), 'get_sale_field')
    reference = fields.Function(fields.Char("Reference"), 'get_sale_field')
    description = fields.Function(
        fields.Char("Description"), 'get_sale_field')
    invoice_full_address = fields.Function(
        fields.Text("Invoice Address"), 'get_sale_field')
    shipment_full_address = fields.Function(
        fields.Text("Shipment Address"), 'get_sale_field')
    comment = fields.Function(fields.Text("Comment"), 'get_sale_field')

    rule = fields.Many2One(
        'sale.review.rule', "Rule", readonly=True, ondelete='RESTRICT')
    name = fields.Char("Name", required=True, readonly=True)
    reason = fields.Char(
        "Why", readonly=True, loading='lazy',
        help="Why the department must sign.")
    department = fields.Many2One(
        'company.department', "Department", required=True, readonly=True,
        ondelete='RESTRICT')
    stage = fields.Integer("Stage", required=True, readonly=True)
    signatories = fields.Selection(
        'get_signatories', "Signatories", required=True, readonly=True)
    number = fields.Integer(
        "Number of Signatories", readonly=True, loading='lazy',
        states={
            'invisible': Eval('signatories') != 'number',
            })
    segregated = fields.Boolean(
        "Segregated", readonly=True,
        help="Who requested the review or entered the order cannot sign.")
    imposes_payment = fields.Boolean(
        "May Impose Payment Terms", readonly=True, loading='lazy',
        help="The department can impose a payment term, or an amount to be "
        "paid ahead, as a condition.")
    aspects = fields.MultiSelection(
        'get_aspects', "Aspects", readonly=True, loading='lazy',
        help="What must not change for the sign-off to be carried over to the "
        "next round.\n"
        "Empty for all.")
    working_days = fields.Integer(
        "Working Days", required=True, readonly=True, loading='lazy',
        help="The number of working days to sign.")
    pending_at = fields.DateTime(
        "Pending Since", readonly=True,
        states={
            'invisible': ~Eval('pending_at'),
            })
    deadline = fields.Date(
        "Deadline", readonly=True,
        states={
            'invisible': ~Eval('deadline'),
            })
    closed_at = fields.DateTime(
        "Closed At", readonly=True, loading='lazy',
        states={
            'invisible': ~Eval('closed_at'),
            })
    reminded_on = fields.Date("Reminded On", readonly=True, loading='lazy')
    escalation = fields.Integer(
        "Escalation", readonly=True, loading='lazy',
        help="How far a late sign-off has been escalated: "
        "1 to the head of the department, 2 to that of its parent.")
    carried_from = fields.Many2One(
        'sale.review.signoff', "Carried From", readonly=True,
        ondelete='RESTRICT', loading='lazy',
        states={
            'invisible': ~Eval('carried_from'),
            },
        help="The sign-off of a previous round which still holds.")
    opinion = fields.Text(
        "Opinion",
        states={
            'readonly': (
                (Eval('state') != 'pending') | ~Eval('can_sign', False)),
            },
        help="The opinion that is recorded with your decision.")
    opinion_by = fields.Many2One(
        'company.employee', "Opinion By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('opinion_by'),
            },
        help="Who wrote the opinion, in whose decision only it is recorded.")
    cause = fields.Selection(
        'get_causes', "Cause of the Return", sort=False,
        states={
            'readonly': (
                (Eval('state') != 'pending') | ~Eval('can_sign', False)),
            'invisible': ~(
                ((Eval('state') == 'pending') & Eval('can_sign', False))
                | Bool(Eval('cause'))),
            },
        help="What kind of reason there is to return it.\n"
        "Leave empty otherwise.")
    checklist = fields.Many2One(
        'sale.review.checklist', "Checklist", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('checklist'),
            })
    answers = fields.One2Many(
        'sale.review.answer', 'signoff', "Answers",
        states={
            'readonly': (
                (Eval('state') != 'pending') | ~Eval('can_sign', False)),
            'invisible': ~Eval('answers', []),
            },
        # Only the columns of the types that are asked for are shown
        context={
            'answer_types': Eval('answer_types', []),
            },
        depends={'answer_types'})
    answer_types = fields.Function(
        fields.MultiSelection('get_answer_type_selection', "Answer Types"),
        'get_answer_types')
    carried_answers = fields.Function(
        fields.Many2Many(
            'sale.review.answer', None, None, "Carried Answers",
            readonly=True,
            states={
                'invisible': ~Eval('carried_answers', []),
                },
            context={
                'answer_types': Eval('answer_types', []),
                },
            depends={'answer_types'},
            help="The answers of the sign-off from which it is carried."),
        'get_carried')
    decisions = fields.One2Many(
        'sale.review.decision', 'signoff', "Decisions", readonly=True,
        states={
            'invisible': Bool(Eval('carried_from')),
            })
    carried_decisions = fields.Function(
        fields.Many2Many(
            'sale.review.decision', None, None, "Carried Decisions",
            readonly=True,
            states={
                'invisible': ~Eval('carried_from'),
                }),
        'get_carried')
    responsible = fields.Function(
        fields.Char("Responsible", help="Who can sign or has signed."),
        'get_responsible')
    can_sign = fields.Function(
        fields.Boolean("Can Sign"), 'get_can_sign', searcher='search_can_sign')
    awaited = fields.Function(
        fields.Boolean("Awaited"), 'get_awaited', searcher='search_awaited')
    signed = fields.Function(
        fields.Boolean("Signed"), 'get_signed', searcher='search_signed')
    state = fields.Selection([
            ('waiting', "Waiting"),
            ('pending', "Pending"),
            ('approved', "Approved"),
            ('conditional', "Approved with Conditions"),
            ('not_applicable', "Not Applicable"),
            ('returned', "Returned"),
            ('carried', "Carried Over"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)
    calendar_color = fields.Function(
        fields.Char("Color"), 'get_calendar_color')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.review, Index.Equality())),
                Index(t, (t.rule, Index.Equality())),
                Index(t, (t.checklist, Index.Equality())),
                Index(t, (t.carried_from, Index.Equality())),
                Index(
                    t,
                    (t.deadline, Index.Range(order='ASC NULLS LAST')),
                    (t.id, Index.Range(order='ASC'))),
                Index(
                    t,
                    (t.company, Index.Equality(cardinality='low')),
                    (t.closed_at, Index.Range())),
                Index(t, (t.sale, Index.Equality())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.department, Index.Equality()),
                    (t.deadline, Index.Range()),
                    where=t.state.in_(['waiting', 'pending'])),
                })
        cls._order = [
            ('deadline', 'ASC NULLS LAST'),
            ('id', 'ASC'),
            ]
        # The buttons have no states, so that who may not use them is told why
        cls._buttons.update({
                'approve': {
                    'icon': 'tryton-ok',
                    },
                'return_': {
                    'icon': 'tryton-back',
                    },
                })

    @classmethod
    def read(cls, ids, fields_names):
        if (Transaction().context.get('related_read_limit') is not None
                or not {
                    'rec_name', 'sale.rec_name', 'department.rec_name',
                    'state', 'state:string'} <= set(fields_names)):
            return super().read(ids, fields_names)
        # The list of the client asks for all of them: name states at once and
        # not for each of the rows, and the records that make the name once
        rows = super().read(ids, list(
                set(fields_names) - {'rec_name', 'state:string'}))
        selection = cls.state.get_selection(cls, 'state', None)
        for row in rows:
            row['rec_name'] = cls._format_rec_name(
                row['sale.']['rec_name'], row['department.']['rec_name'])
            row['state:string'] = cls.state.get_selection_string(
                selection, row['state'])
        return rows

    @classmethod
    def get_signatories(cls):
        return cls._get_rule_selection('signatories')

    @classmethod
    def get_aspects(cls):
        return cls._get_rule_selection('aspects')

    @classmethod
    def get_causes(cls):
        pool = Pool()
        Decision = pool.get('sale.review.decision')
        return Decision.fields_get(['cause'])['cause']['selection']

    @classmethod
    def _get_rule_selection(cls, name):
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        return Rule.fields_get([name])[name]['selection']

    @classmethod
    def get_answer_type_selection(cls):
        pool = Pool()
        Answer = pool.get('sale.review.answer')
        return Answer.get_answer_types()

    @classmethod
    def get_answer_types(cls, signoffs, name):
        pool = Pool()
        Answer = pool.get('sale.review.answer')
        given = {s.id: (s.carried_from or s).id for s in signoffs}
        types = defaultdict(set)
        for answer in Answer.search([
                    ('signoff', 'in', list(given.values())),
                    ], order=[]):
            types[answer.signoff.id].add(answer.answer_type)
        return {i: tuple(sorted(types[g])) for i, g in given.items()}

    def get_carried(self, name):
        "Return the ids of what was given to the sign-off that still holds"
        if self.carried_from:
            name = name.removeprefix('carried_')
            return [r.id for r in getattr(self.carried_from, name)]
        return []

    @classmethod
    def column_party(cls, tables):
        return cls._target_column(tables, 'sale', 'party')

    @classmethod
    def column_currency(cls, tables):
        return cls._target_column(tables, 'review', 'currency')

    @classmethod
    def column_untaxed_amount(cls, tables):
        return cls._target_column(tables, 'review', 'untaxed_amount')

    @classmethod
    def column_requested_at(cls, tables):
        return cls._target_column(tables, 'review', 'requested_at')

    @classmethod
    def column_round(cls, tables):
        return cls._target_column(tables, 'review', 'round')

    @classmethod
    def _target_column(cls, tables, field, name):
        field = cls._fields[field]
        target_tables = field._get_target_tables(tables, cls)
        Target = field.get_target()
        return Target._fields[name].sql_column(target_tables, Target)

    @classmethod
    def get_review_field(cls, signoffs, names):
        return _read_target(signoffs, 'review', names)

    @classmethod
    def get_sale_field(cls, signoffs, names):
        return _read_target(signoffs, 'sale', names)

    def get_sale_lines(self, name):
        return [l.id for l in self.sale.lines]

    @classmethod
    def get_rec_name(cls, signoffs, name):
        pool = Pool()
        Department = pool.get('company.department')
        Sale = pool.get('sale.sale')
        rows = snapshots.select(
            cls, ['id', 'sale', 'department'], 'id', [s.id for s in signoffs])
        # With what they are made of, so that not all of the sales is read
        sales = {
            s['id']: s['rec_name'] for s in Sale.read(
                list({r['sale'] for r in rows}),
                ['rec_name', 'number', 'reference'])}
        departments = {
            d['id']: d['rec_name'] for d in Department.read(
                list({r['department'] for r in rows}), ['rec_name'])}
        return {
            r['id']: cls._format_rec_name(
                sales[r['sale']], departments[r['department']])
            for r in rows}

    @classmethod
    def _format_rec_name(cls, sale, department):
        return f'{sale} – {department}'

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        return [bool_op,
            ('sale.rec_name', operator, operand, *extra),
            ('department.rec_name', operator, operand, *extra),
            ]

    @property
    def notification_name(self):
        "The name of the sign-off in notifications"
        return self.review.notification_name

    @classmethod
    def _get_signatories(cls, signoffs, date=None):
        """Return by sign-off who can sign it at the date, today by default.

        It is a dictionary of the employees who may act to the set of those
        for whom each may: see Department.get_signatories."""
        pool = Pool()
        Date = pool.get('ir.date')
        Department = pool.get('company.department')
        result = {}
        for company, c_signoffs in group_by_company(signoffs):
            if date is None:
                with Transaction().set_context(company=company.id):
                    date_ = Date.today()
            else:
                date_ = date
            departments = {s.department for s in c_signoffs}
            by_department = Department.get_signatories(departments, date_)
            excluded = cls._get_excluded(
                [s for s in c_signoffs if s.segregated])
            for signoff in c_signoffs:
                result[signoff] = _filter_signatories(
                    by_department[signoff.department.id],
                    signoff.signatories, signoff.department,
                    excluded.get(signoff, set()))
        return result

    @classmethod
    def _get_acting(cls, signoffs):
        """Return by sign-off who can still sign it, as _get_signatories but
        without those who have signed or for whom others did"""
        acting = cls._get_signatories(signoffs)
        for signoff, signatories in acting.items():
            if signoff.signatories not in {'all', 'number'}:
                # The first decision closes it
                continue
            employees = {d.employee for d in signoff.decisions}
            principals = {
                d.on_behalf_of or d.employee for d in signoff.decisions}
            acting[signoff] = {
                e: p - principals for e, p in signatories.items()
                if e not in employees and p - principals}
        return acting

    @classmethod
    def _get_excluded(cls, signoffs):
        """Return by sign-off all the employees of those who entered or
        requested it"""
        excluded = _get_excluded({
                (s.requested_by, s.entered_by) for s in signoffs})
        return {s: excluded[s.requested_by, s.entered_by] for s in signoffs}

    @classmethod
    def get_responsible(cls, signoffs, name):
        names, same, closed = {}, defaultdict(list), []
        for row in snapshots.select(cls, [
                    'id', 'state', 'signatories', 'company', 'department',
                    'segregated', 'requested_by', 'entered_by',
                    ], 'id', [s.id for s in signoffs]):
            if row['state'] not in {'pending', 'waiting'}:
                closed.append(row['id'])
                continue
            # Who can sign is the same for many of them
            key = ['signatories', 'company', 'department']
            if row['signatories'] in {'all', 'number'}:
                key = ['id']
            elif row['segregated']:
                key += ['requested_by', 'entered_by']
            same[tuple(row[n] for n in key)].append(row['id'])
        signoffs = cls.browse([ids[0] for ids in same.values()])
        acting = cls._get_acting(signoffs)
        for signoff, ids in zip(signoffs, same.values()):
            names.update(
                dict.fromkeys(ids, _format_employees(acting[signoff])))
        for signoff in cls.browse(closed):
            names[signoff.id] = ', '.join(
                d.signatory
                for d in (signoff.carried_from or signoff).decisions)
        return names

    @classmethod
    def get_can_sign(cls, signoffs, name):
        pool = Pool()
        User = pool.get('res.user')
        employees = set(User.get_employees() or [])
        result = {s.id: False for s in signoffs}
        pending = [s for s in signoffs if s.state == 'pending']
        if employees and pending:
            with without_check_access():
                pending = cls.browse(pending)
                for signoff, acting in cls._get_acting(pending).items():
                    result[signoff.id] = any(
                        e.id in employees for e in acting)
        return result

    @classmethod
    def search_can_sign(cls, name, clause):
        pool = Pool()
        Department = pool.get('company.department')
        Decision = pool.get('sale.review.decision')
        User = pool.get('res.user')
        UserEmployee = pool.get('res.user-company.employee')
        employees = list(User.get_employees() or [])
        departments = Department._user_departments()
        decision = Decision.__table__()
        signoff = cls.__table__()
        relation = UserEmployee.__table__()
        users = relation.select(
            relation.user,
            where=fields.SQL_OPERATORS['in'](relation.employee, employees))
        relation = UserEmployee.__table__()
        own = relation.select(
            relation.employee, where=relation.user.in_(users))
        # Only those that several sign are still pending once decided
        decided = signoff.join(
            decision, condition=decision.signoff == signoff.id
            ).select(
                signoff.id,
                where=(signoff.state == 'pending')
                & fields.SQL_OPERATORS['in'](signoff.department, departments)
                & signoff.signatories.in_(['all', 'number'])
                & (fields.SQL_OPERATORS['in'](decision.employee, employees)
                    | fields.SQL_OPERATORS['in'](
                        decision.on_behalf_of, employees)))
        domain = [
            ('state', '=', 'pending'),
            ['OR', [
                    ('signatories', '=', 'head'),
                    ('department', 'in',
                        Department._user_departments(heads=True)),
                    ], [
                    ('signatories', '!=', 'head'),
                    ('department', 'in', departments),
                    ]],
            ['OR',
                ('segregated', '=', False), [
                    ('requested_by', 'not in', own),
                    ('entered_by', 'not in', users),
                    ]],
            ('id', 'not in', decided),
            ]
        if Department._is_user_substitute():
            # Whether somebody can be acted for depends on the sign-off
            with without_check_access():
                signoffs = cls.search(domain)
                can_sign = cls.get_can_sign(signoffs, name)
            domain = [('id', 'in', [i for i, c in can_sign.items() if c])]
        return cls._search_boolean(clause, domain)

    @classmethod
    def get_awaited(cls, signoffs, name):
        awaited = {s.id for s in cls.search([
                    ('id', 'in', [s.id for s in signoffs]),
                    ('awaited', '=', True),
                    ])}
        return {s.id: s.id in awaited for s in signoffs}

    @classmethod
    def search_awaited(cls, name, clause):
        "Sign-offs of others on what the user requested, signed or will sign"
        pool = Pool()
        Department = pool.get('company.department')
        Review = pool.get('sale.review')
        User = pool.get('res.user')
        signoff = cls.__table__()
        review = Review.__table__()
        concerned = review.join(
            signoff, condition=signoff.review == review.id
            ).select(
                review.id,
                where=(review.state == 'open')
                & fields.SQL_OPERATORS['in'](
                    signoff.department, Department._user_departments()))
        return cls._search_boolean(clause, [
                ('state', 'in', ['pending', 'waiting']),
                ('can_sign', '=', False),
                ['OR',
                    ('requested_by', 'in', list(User.get_employees() or [])),
                    ('review', 'in', concerned),
                    ],
                ])

    @classmethod
    def get_signed(cls, signoffs, name):
        pool = Pool()
        User = pool.get('res.user')
        employees = set(User.get_employees() or [])
        return {
            s.id: any(d.employee.id in employees for d in s.decisions)
            for s in signoffs}

    @classmethod
    def search_signed(cls, name, clause):
        pool = Pool()
        Decision = pool.get('sale.review.decision')
        User = pool.get('res.user')
        decision = Decision.__table__()
        return cls._search_boolean(clause, [
                ('id', 'in', decision.select(
                        decision.signoff,
                        where=fields.SQL_OPERATORS['in'](
                            decision.employee,
                            list(User.get_employees() or [])))),
                ])

    @classmethod
    def get_calendar_color(cls, signoffs, name):
        pool = Pool()
        Date = pool.get('ir.date')
        colors = {}
        for company, c_signoffs in group_by_company(signoffs):
            with Transaction().set_context(company=company.id):
                today = Date.today()
            for signoff in c_signoffs:
                colors[signoff.id] = signoff._get_calendar_color(today)
        return colors

    def _get_calendar_color(self, today):
        "As the list shows the deadline and the state"
        if self.state == 'pending' and not self.paused_since:
            if self.deadline < today:
                return '#a94442'
            elif self.deadline == today:
                return '#8a6d3b'
            return '#267f82'
        elif self.state == 'returned':
            return '#a94442'
        elif self.state in _SIGNED:
            return '#3c763d'
        return '#777777'

    @classmethod
    def view_attributes(cls):
        pending = (Eval('state') == 'pending') & ~Bool(Eval('paused_since'))
        visual = If(pending & (Eval('deadline', Date()) < Date()), 'danger',
            If(pending & (Eval('deadline', Date()) <= Date()), 'warning',
                If(Eval('state') == 'returned', 'danger',
                    If(Eval('state') == 'cancelled', 'muted',
                        If(Eval('state').in_(_SIGNED),
                            'success', '')))))
        return super().view_attributes() + [
            ('/tree/field[@name="deadline"]', 'visual',
                If(pending, visual, ''), ['paused_since']),
            ('/tree/field[@name="state"]', 'visual', visual,
                ['paused_since']),
            ('/form//group[@id="buttons"]', 'states', {
                    'invisible': ~Eval('can_sign', False),
                    }, ['can_sign']),
            ]

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if (mode == 'write' and 'opinion' in values
                and not Transaction().context.get('_sale_review')):
            employee = _get_user_employee()
            values['opinion_by'] = employee.id if employee else None
        return values

    @classmethod
    def check_modification(cls, mode, signoffs, values=None, external=False):
        if (mode == 'write' and external
                and values.keys() <= cls._user_fields()):
            can_sign = cls.get_can_sign(signoffs, 'can_sign')
            for signoff in signoffs:
                if not can_sign[signoff.id]:
                    message = 'msg_signoff_opinion'
                    if 'answers' in values:
                        message = 'msg_signoff_answers'
                    raise AccessError(gettext(
                            f'sale_order_review.{message}',
                            signoff=signoff.rec_name))
            with _recording():
                super().check_modification(
                    mode, signoffs, values=values, external=external)
        else:
            super().check_modification(
                mode, signoffs, values=values, external=external)

    @classmethod
    def _user_fields(cls):
        "The names of the fields that who can sign modifies"
        return {'opinion', 'cause', 'answers'}

    @classmethod
    def lock_answers(cls, signoffs):
        """Lock the sign-offs whose answers change, so that of two transactions
        one does not change what the other signs"""
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        cursor.execute(*table.update(
                [table.state], [table.state],
                where=fields.SQL_OPERATORS['in'](
                    table.id, sorted(s.id for s in signoffs))))

    @classmethod
    def get_from_rule(cls, rule, reason):
        "Return the planned sign-off for the rule and why it applies"
        return {
            'rule': rule,
            'name': rule.name,
            'reason': reason,
            'department': rule.department,
            'stage': rule.stage,
            'signatories': rule.signatories,
            'number': rule.number,
            'segregated': rule.segregated,
            'imposes_payment': rule.imposes_payment,
            'aspects': rule.aspects,
            'working_days': rule.deadline,
            'checklist': rule.checklist,
            'carried_from': None,
            }

    @classmethod
    def carry_over(cls, plan, excluded):
        """Set on the planned sign-offs those of the previous round that were
        given to content that is still the same in the aspects of the rule

        excluded are the employees who cannot sign where it is segregated."""
        pool = Pool()
        Sale = pool.get('sale.sale')
        if not plan.previous:
            return
        contents = {}
        content = json.loads(plan.text)
        given = {
            s.rule: s.carried_from or s for s in plan.previous.signoffs
            if s.state in _SIGNED}
        for values in plan.signoffs:
            signoff = given.get(values['rule'])
            if not signoff or any(
                    getattr(signoff, n) != values[n]
                    for n in [
                        'department', 'signatories', 'number', 'checklist']):
                continue
            if values['segregated'] and any(
                    {d.employee, d.on_behalf_of} & excluded
                    for d in signoff.decisions):
                continue
            review = signoff.review
            if review not in contents:
                contents[review] = json.loads(review.snapshot)
            names = Sale.get_review_fields(values['aspects'])
            if signoff._holds_for(contents[review], content, names):
                values['carried_from'] = signoff

    def _holds_for(self, signed, content, names):
        """Return whether what was signed in the content also holds for another
        one, which may differ but in the names by name of model"""
        return snapshots.same(signed, content, names)

    @classmethod
    def plan_signatories(cls, plans, excluded, company, today):
        """Set on the planned sign-offs who can sign and by when, and return
        the list of texts of those that nobody can sign

        excluded are by origin the employees who cannot where it is segregated.
        """
        pool = Pool()
        Department = pool.get('company.department')
        problems = []
        signatories = Department.get_signatories(
            {s['department'] for p in plans for s in p.signoffs}, today)
        users = get_users({e for a in signatories.values() for e in a})
        for plan in plans:
            date = today
            for _, signoffs in groupby(
                    plan.signoffs, key=lambda s: s['stage']):
                stage_date = date
                for signoff in signoffs:
                    department = signoff['department']
                    acting = _filter_signatories(
                        signatories[department.id], signoff['signatories'],
                        department,
                        excluded[plan.origin] if signoff['segregated']
                        else set())
                    signoff['names'] = _format_employees(acting)
                    if signoff['carried_from']:
                        signoff['names'] = ''
                        signoff['planned'] = None
                        continue
                    signoff['planned'] = company.add_working_days(
                        date, signoff['working_days'])
                    stage_date = max(stage_date, signoff['planned'])
                    number, needed = _count_signatories(
                        acting, users, signoff['signatories'],
                        signoff['number'])
                    if number < needed:
                        problems.append(gettext(
                                'sale_order_review.msg_submit_nobody',
                                sale=plan.sale.rec_name,
                                department=department.rec_name,
                                rule=signoff['rule'].rec_name,
                                number=number,
                                needed=needed))
                date = stage_date
        return problems

    @classmethod
    def create_planned(cls, planned, now):
        """Create the sign-offs of the couples of review and plan, and return
        those that are pending"""
        pool = Pool()
        Checklist = pool.get('sale.review.checklist')
        planned = list(planned)
        answers = {}
        for company, c_planned in group_by_company(
                planned, lambda p: p[0].company):
            answers[company] = Checklist.get_answers({
                    s['checklist'] for _, p in c_planned for s in p.signoffs
                    if s['checklist'] and not s['carried_from']}, company)
        to_create = []
        for review, plan in planned:
            for values in plan.signoffs:
                carried_from = values['carried_from']
                pending = (
                    not carried_from and values['stage'] == plan.stage)
                to_create.append({
                        'review': review.id,
                        'company': review.company.id,
                        'sale': review.sale.id,
                        'requested_by': review.requested_by.id,
                        'entered_by': review.entered_by.id,
                        'rule': values['rule'].id,
                        'name': values['name'],
                        'reason': values['reason'],
                        'department': values['department'].id,
                        'stage': values['stage'],
                        'signatories': values['signatories'],
                        'number': values['number'],
                        'segregated': values['segregated'],
                        'imposes_payment': values['imposes_payment'],
                        'aspects': values['aspects'],
                        'working_days': values['working_days'],
                        'checklist': (
                            values['checklist'].id if values['checklist']
                            else None),
                        'carried_from': (
                            carried_from.id if carried_from else None),
                        'pending_at': now if pending else None,
                        'deadline': values['planned'] if pending else None,
                        'closed_at': now if carried_from else None,
                        'opinion': (
                            carried_from.opinion if carried_from else None),
                        'state': (
                            'carried' if carried_from
                            else 'pending' if pending else 'waiting'),
                        })
                if values['checklist'] and not carried_from:
                    to_create[-1]['answers'] = [('create', answers[
                                review.company][values['checklist']])]
        # The insertion of them all takes more memory than all else
        return [
            s for part in grouped_slice(to_create, 50)
            for s in cls.create(list(part)) if s.state == 'pending']

    @classmethod
    @ModelView.button
    def approve(cls, signoffs):
        cls._decide(signoffs, 'approve')

    @classmethod
    @ModelView.button
    def return_(cls, signoffs):
        cls._decide(signoffs, 'return')

    @classmethod
    def _decide(cls, signoffs, decision):
        pool = Pool()
        Answer = pool.get('sale.review.answer')
        Decision = pool.get('sale.review.decision')
        Review = pool.get('sale.review')

        _check_present()
        cls._check_state(signoffs)
        signatories = cls._get_signatories(signoffs)
        now = dt.datetime.now()
        decisions, employees = [], {}
        signed, partial = [], []
        for signoff in signoffs:
            company = signoff.company
            if company not in employees:
                employees[company] = _get_employee(company)
            employee, principals = signoff._get_signatory(
                employees[company], signatories[signoff])
            opinion = None
            if signoff.opinion_by == employee:
                opinion = (signoff.opinion or '').strip()
            if decision in {'return', 'not_applicable'} and not opinion:
                raise SignoffError(gettext(
                        f'sale_order_review.msg_signoff_{decision}_opinion',
                        signoff=signoff.rec_name))
            if decision == 'return' and not signoff.cause:
                raise SignoffError(gettext(
                        'sale_order_review.msg_signoff_return_cause',
                        signoff=signoff.rec_name))
            for principal in principals:
                decisions.append({
                        'signoff': signoff.id,
                        'employee': employee.id,
                        'on_behalf_of': (
                            principal.id if principal != employee else None),
                        'decided_at': now,
                        'decision': decision,
                        'opinion': opinion,
                        'cause': (
                            signoff.cause if decision == 'return' else None),
                        'digest': signoff.review.digest,
                        })
            # A return closes the review, and with it its other sign-offs
            if (decision in {'return', 'not_applicable'}
                    or signoff._is_complete(
                        signatories[signoff],
                        [(employee, p) for p in principals])):
                signed.append(signoff)
            else:
                partial.append(signoff)
        cls._check_decision(signoffs, decision)
        measures = Answer.take(signoffs, decision)
        cls._check_late(signoffs)
        with _recording():
            Answer.freeze(measures)
            Decision.create(decisions)
            cls._close(signed, decision, now)
            # The next one gives an opinion of their own
            if partial:
                cls.write(partial, {
                        'opinion': None,
                        'opinion_by': None,
                        'cause': None,
                        })
        cls._decided(signoffs, decision)
        if decision == 'return':
            Review.return_(list({s.review for s in signed}))
        else:
            cls._proceed(signoffs, now)

    @classmethod
    def _check_decision(cls, signoffs, decision):
        "Check that the decision can be taken on the sign-offs"
        if decision != 'return':
            cls._check_content(signoffs)

    @classmethod
    def _decided(cls, signoffs, decision):
        "Act after the decision has been taken on the sign-offs"

    @classmethod
    def _close(cls, signoffs, decision, now):
        by_state = defaultdict(list)
        for signoff in signoffs:
            if decision == 'return':
                state = 'returned'
            elif decision == 'not_applicable':
                state = 'not_applicable'
            else:
                state = signoff._get_approved_state()
            by_state[state].append(signoff)
        for state, signoffs in by_state.items():
            values = {'state': state, 'closed_at': now}
            if state != 'returned':
                values['cause'] = None
            cls.write(signoffs, values)

    def _get_approved_state(self):
        "The state of the sign-off when those who have approved are enough"
        return 'approved'

    @classmethod
    def _check_state(cls, signoffs):
        for signoff in signoffs:
            if signoff.state == 'pending':
                continue
            if signoff.state == 'waiting':
                raise SignoffError(gettext(
                        'sale_order_review.msg_signoff_waiting',
                        signoff=signoff.rec_name,
                        missing=', '.join(
                            s.department.rec_name
                            for s in signoff.review.signoffs
                            if s.state == 'pending')))
            raise SignoffError(gettext(
                    'sale_order_review.msg_signoff_closed',
                    signoff=signoff.rec_name,
                    state=cls.__names__('state', signoff)['value'],
                    review=signoff.review.rec_name,
                    review_state=signoff.review.__names__(
                        'state', signoff.review)['value']))

    def _get_signatory(self, employee, signatories):
        """Return the employee of the user and the list of those for whom they
        sign, or raise SignoffError"""
        if not employee:
            raise SignoffError(gettext(
                    'sale_order_review.msg_signoff_employee',
                    signoff=self.rec_name,
                    company=self.company.rec_name))
        for decision in self.decisions:
            if decision.employee == employee:
                raise SignoffError(gettext(
                        'sale_order_review.msg_signoff_twice',
                        signoff=self.rec_name,
                        employee=employee.rec_name))
        decided = {d.on_behalf_of or d.employee for d in self.decisions}
        principals = signatories.get(employee, set()) - decided
        if not principals:
            message = 'msg_signoff_signatory'
            if (self.segregated
                    and employee in self._get_excluded([self])[self]):
                message = 'msg_signoff_segregated'
            raise SignoffError(gettext(
                    f'sale_order_review.{message}',
                    signoff=self.rec_name,
                    employee=employee.rec_name,
                    department=self.department.rec_name,
                    signatories=self.responsible or '∅'))
        if employee in principals and self.signatories != 'all':
            return employee, [employee]
        principals = sorted(
            principals, key=lambda e: (e != employee, e.rec_name))
        if self.signatories != 'all':
            principals = principals[:1]
        return employee, principals

    @classmethod
    def _check_content(cls, signoffs):
        "Check that what is signed is what was submitted"
        pool = Pool()
        Review = pool.get('sale.review')
        reviews = list({s.review for s in signoffs})
        for record, differences in Review.get_differences(reviews).items():
            raise SignoffError(gettext(
                    'sale_order_review.msg_signoff_changed',
                    sale=record.rec_name,
                    differences='\n'.join(differences)))

    @classmethod
    def _check_late(cls, signoffs):
        pool = Pool()
        Date = pool.get('ir.date')
        Warning = pool.get('res.user.warning')
        for company, c_signoffs in group_by_company(signoffs):
            with Transaction().set_context(company=company.id):
                today = Date.today()
            late = [
                s for s in c_signoffs if s.deadline and s.deadline < today]
            if late:
                name = Warning.format('sale_review_signoff_late', late)
                if Warning.check(name):
                    raise SignoffLateWarning(name, '\n'.join(
                            gettext('sale_order_review.msg_signoff_late',
                                signoff=s.rec_name,
                                deadline=Report.format_date(s.deadline),
                                days=company.working_days_between(
                                    s.deadline, today))
                            for s in late))

    def _is_complete(self, signatories, approvals=()):
        """Return whether those who have approved are enough

        approvals are couples of employee and the one for whom they approve
        which come to the decisions."""
        if approvals and self.signatories in {'head', 'any'}:
            return True
        approvals = [
            *((d.employee, d.on_behalf_of or d.employee)
                for d in self.decisions),
            *approvals]
        if self.signatories in {'head', 'any'}:
            return bool(approvals)
        elif self.signatories == 'number':
            return len({e for e, _ in approvals}) >= self.number
        return bool(approvals) and set().union(
            *signatories.values()) <= {p for _, p in approvals}

    @classmethod
    def _proceed(cls, signoffs, now):
        "Open the next stage of the reviews of the sign-offs or approve them"
        pool = Pool()
        Date = pool.get('ir.date')
        Review = pool.get('sale.review')
        approved, to_open = [], []
        counts = defaultdict(list)
        reviews = Review.browse({s.review for s in signoffs})
        for review in reviews:
            open_ = [
                s for s in review.signoffs if s.state in {
                    'pending', 'waiting'}]
            if not open_:
                approved.append(review)
                continue
            counts[len(review.signoffs) - len(open_)].append(review)
            if not any(s.state == 'pending' for s in open_):
                stage = min(s.stage for s in open_)
                to_open.extend(s for s in open_ if s.stage == stage)
        with _recording():
            # Written at each decision, so that of two that are taken at once
            # only one can be committed and the other sees it when it is
            # tried again
            for count, reviews in counts.items():
                Review.write(reviews, {'signed': count})
            by_days = defaultdict(list)
            for signoff in to_open:
                by_days[signoff.company, signoff.working_days].append(signoff)
            for (company, days), signoffs in by_days.items():
                with Transaction().set_context(company=company.id):
                    today = Date.today()
                cls.write(signoffs, {
                        'state': 'pending',
                        'pending_at': now,
                        'deadline': company.add_working_days(today, days),
                        })
        Review.approve(approved)
        cls.notify(to_open)

    @classmethod
    def notify(
            cls, signoffs, icon='tryton-ok',
            message_id='sale_order_review.msg_notification_pending'):
        "Notify those who can sign now, once each"
        pool = Pool()
        Review = pool.get('sale.review')
        employees = defaultdict(list)
        for signoff, acting in cls._get_acting(signoffs).items():
            for employee in acting:
                employees[employee].append(signoff)
        Review.notify_employees(employees, icon, message_id)

    @classmethod
    @per_company
    def remind(cls, company):
        """Remind of the sign-offs that are due, escalate those that are late
        and complete those that wait only for who no longer can sign"""
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Date = pool.get('ir.date')
        today = Date.today()
        configuration = Configuration(1)
        reminder = configuration.get_multivalue(
            'review_reminder', company=company.id)
        escalation = configuration.get_multivalue(
            'review_escalation', company=company.id)

        cls._remind(company, today)
        pending = [
            ('company', '=', company.id),
            ('state', '=', 'pending'),
            ('paused_since', '=', None),
            ]
        if reminder is not None:
            signoffs = cls.search([
                    *pending,
                    ('deadline', '<=',
                        company.add_working_days(today, reminder)
                        if reminder else today),
                    ('reminded_on', '=', None),
                    ])
            cls.notify(
                signoffs, 'tryton-warning',
                'sale_order_review.msg_notification_reminder')
            with _recording():
                cls.write(signoffs, {'reminded_on': today})
        if escalation is not None:
            late = cls.search([
                    *pending,
                    ('deadline', '<', today),
                    ['OR',
                        ('escalation', '=', None),
                        ('escalation', '<', 2),
                        ],
                    ])
            cls._escalate([s for s in late if not s.escalation], 1)
            cls._escalate([
                    s for s in late
                    if company.working_days_between(
                        s.deadline, today) >= escalation], 2)

    @classmethod
    def _remind(cls, company, today):
        "Do what else the scheduled task does for the company"
        cls._complete(company)

    @classmethod
    def _escalate(cls, signoffs, level):
        pool = Pool()
        Review = pool.get('sale.review')
        employees = defaultdict(list)
        for signoff in signoffs:
            department = signoff.department
            if level == 2:
                department = department.parent
            if department and department.head:
                employees[department.head].append(signoff)
        Review.notify_employees(
            employees, 'tryton-warning',
            'sale_order_review.msg_notification_escalation')
        with _recording():
            cls.write(signoffs, {'escalation': level})

    @classmethod
    def _complete(cls, company):
        "Complete the sign-offs whose missing signatories left the department"
        now = dt.datetime.now()
        signoffs = cls.search([
                ('company', '=', company.id),
                ('state', '=', 'pending'),
                ('signatories', '=', 'all'),
                ('paused_since', '=', None),
                ('decisions', 'where', []),
                ])
        signatories = cls._get_signatories(signoffs)
        complete = [s for s in signoffs if s._is_complete(signatories[s])]
        if complete:
            with _recording():
                cls._close(complete, 'approve', now)
            cls._proceed(complete, now)


class Decision(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.review.decision'

    signoff = fields.Many2One(
        'sale.review.signoff', "Sign-off", required=True, readonly=True,
        ondelete='RESTRICT')
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, readonly=True,
        ondelete='RESTRICT')
    on_behalf_of = fields.Many2One(
        'company.employee', "On Behalf Of", readonly=True,
        ondelete='RESTRICT')
    decided_at = fields.DateTime("Decided At", required=True, readonly=True)
    decision = fields.Selection([
            ('approve', "Approved"),
            ('conditional', "Approved with Conditions"),
            ('not_applicable', "Not Applicable"),
            ('return', "Returned"),
            ], "Decision", required=True, readonly=True, sort=False)
    opinion = fields.Text("Opinion", readonly=True)
    cause = fields.Selection([
            (None, ""),
            ('incomplete', "Incomplete"),
            ('error', "Error of Entry"),
            ('infeasible', "Not Feasible"),
            ('price', "Price"),
            ('terms', "Terms"),
            ('credit', "Credit"),
            ('date', "Delivery Date"),
            ('other', "Other"),
            ], "Cause", readonly=True, sort=False,
        states={
            'invisible': Eval('decision') != 'return',
            },
        help="What kind of reason there was to return it.")
    digest = fields.Char(
        "Digest", required=True, readonly=True,
        help="The SHA-256 of the content to which the decision was given.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.signoff, Index.Equality())),
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.signoff, Index.Equality())),
                })
        cls._order = [('id', 'ASC')]

    def get_rec_name(self, name):
        return f'{self.signoff.rec_name} – {self.employee.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('employee.rec_name', *clause[1:])]

    @property
    def signatory(self):
        "The name of who decided and of the person they acted for"
        if self.on_behalf_of:
            return gettext('sale_order_review.msg_on_behalf_of',
                employee=self.employee.rec_name,
                principal=self.on_behalf_of.rec_name)
        return self.employee.rec_name


def _read_target(records, field, names):
    "Return by name and by id of record what the target of the field has"
    Target = records[0]._fields[field].get_target()
    targets = {
        r['id']: r[field]
        for r in records[0].__class__.read([r.id for r in records], [field])}
    values = {v['id']: v for v in Target.read(
            list(set(targets.values())), names)}
    return {n: {i: values[t][n] for i, t in targets.items()} for n in names}


def _check_present():
    "Check that the content that is reviewed is not read as it was in the past"
    if Transaction().context.get('_datetime'):
        raise AccessError(gettext('sale_order_review.msg_history'))


def _get_employee(company):
    "Return the current employee of the user if it is one of the company"
    return _get_employees({company})[company]


def _get_employees(companies):
    "Return by company the current employee of the user if it is one of it"
    employee = _get_user_employee()
    return {
        c: employee if employee and employee.company == c else None
        for c in companies}


def _get_user_employee():
    "Return the current employee of the user"
    pool = Pool()
    User = pool.get('res.user')
    Employee = pool.get('company.employee')
    UserEmployee = pool.get('res.user-company.employee')
    transaction = Transaction()
    if 'employee' in transaction.context:
        id_ = transaction.context['employee']
        # User.read would read all the employees of the user
        if not UserEmployee.search([
                    ('user', '=', transaction.user),
                    ('employee', '=', id_),
                    ], limit=1):
            return
    else:
        user, = User.read([transaction.user], ['employee'])
        id_ = user['employee']
    if id_:
        return Employee(id_)


def _get_excluded(couples):
    """Return by couple of the employee who requested a review and the user who
    entered what is reviewed, either of which may be None, the employees of
    both"""
    pool = Pool()
    UserEmployee = pool.get('res.user-company.employee')
    users, employees = defaultdict(set), defaultdict(set)
    if not couples:
        return {}
    for relation in UserEmployee.search([
                ('employee', 'in', list({e.id for e, _ in couples if e})),
                ]):
        users[relation.employee].add(relation.user)
    entered_by = {u for _, u in couples if u}
    for relation in UserEmployee.search([
                ('user', 'in', [
                        u.id for u in entered_by.union(*users.values())]),
                ]):
        employees[relation.user].add(relation.employee)
    return {
        (employee, user): ({employee} - {None}).union(*(
                employees[u] for u in users[employee] | {user}))
        for employee, user in couples}


def _filter_signatories(signatories, kind, department, excluded):
    """Return the signatories of the department who can sign.

    If the head must sign only who acts for them remains, and neither sign
    those who are excluded nor their substitutes for them."""
    result = {}
    for employee, principals in signatories.items():
        if employee in excluded:
            continue
        principals = principals - excluded
        if kind == 'head':
            principals = principals & {department.head}
        if principals:
            result[employee] = principals
    return result


def _count_signatories(acting, users, kind, number):
    """Return how many persons can sign and how many must

    acting are those who can act, users are those who have a user."""
    able = {e: p for e, p in acting.items() if e in users}
    # Who acts for others does not make more persons sign
    count = min(len(able), len(set().union(*able.values())))
    needed = 1
    if kind == 'number':
        needed = number
    elif kind == 'all':
        count = len(set().union(*able.values()))
        needed = max(len(set().union(*acting.values())), 1)
    return count, needed


def _format_employees(employees):
    return ', '.join(sorted(e.rec_name for e in employees))
