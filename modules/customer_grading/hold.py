# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict
from decimal import Decimal

from sql import Cast
from sql.operators import Concat, Equal

from trytond.i18n import gettext
from trytond.model import Exclude, Index, ModelSQL, ModelView, fields
from trytond.modules.company_department.tools import (
    get_employees, get_users, group_by_company, notify)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction, check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .exceptions import CreditBlockedError, CreditHoldError, CreditWarning
from .exposure import format_amount
from .file import CustomerMixin, is_same_person, recording
from .limit import CreditEvidenceMixin, _check_credit_group, _group_users

OPEN = ['held', 'released', 'rejected']


class Order:
    """What is checked: an order, or what an amendment makes of it

    amount is what it adds to the exposure and total what it is in all, both
    in the currency of the company and with taxes."""
    __slots__ = (
        'origin', 'sale', 'party', 'amount', 'total', 'payment_term',
        'on_credit')

    def __init__(
            self, origin, sale, party, amount, total, payment_term,
            on_credit):
        self.origin = origin
        self.sale = sale
        self.party = party
        self.amount = amount
        self.total = total
        self.payment_term = payment_term
        self.on_credit = on_credit

    @property
    def company(self):
        return self.sale.company


class Check:
    """The result of the check of an order

    action is none, warn, hold or block, decided whether a policy decided so
    that stock needs not check again, reasons are the kinds with the message
    and its values, release is the hold whose release lets it pass and holds
    are the open ones of the origin."""
    __slots__ = (
        'order', 'action', 'decided', 'reasons', 'limit', 'exposure',
        'excess', 'release', 'holds')

    def __init__(self, order):
        self.order = order
        self.action = 'none'
        self.decided = False
        self.reasons = []
        self.limit = self.exposure = self.excess = None
        self.release = None
        self.holds = []

    def add(self, kind, message, **values):
        self.reasons.append((kind, message, values))

    @property
    def kinds(self):
        return [k for k, *_ in self.reasons]

    @property
    def text(self):
        # A quotation got its number only after the check
        origin = self.order.origin.__class__(self.order.origin.id)
        return '\n'.join(
            gettext(
                f'customer_grading.{message}',
                record=origin.rec_name,
                party=self.order.party.rec_name,
                **values)
            for _, message, values in self.reasons)


class Hold(CreditEvidenceMixin, CustomerMixin, ModelSQL, ModelView):
    "An order, or an amendment, that finance has to release"
    __name__ = 'sale.credit.hold'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    origin = fields.Reference(
        "Origin", 'get_origins', required=True, readonly=True)
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True,
        ondelete='RESTRICT')
    party = fields.Many2One(
        'party.party', "Payer", required=True, readonly=True,
        ondelete='RESTRICT',
        context={
            'company': Eval('company', -1),
            },
        depends={'company'},
        help="The party that is invoiced.")
    reasons = fields.Text("Reasons", required=True, readonly=True)
    kinds = fields.MultiSelection([
            ('limit', "Credit Limit"),
            ('dunning', "Dunning"),
            ('payment_term', "Payment Term"),
            ('large_order', "Large Order"),
            ('not_investigated', "Not Investigated"),
            ('suspended', "Suspended"),
            ], "Kinds", readonly=True, sort=False,
        help="The kinds of the reasons.")
    currency = fields.Many2One(
        'currency.currency', "Currency", required=True, readonly=True,
        ondelete='RESTRICT')
    credit_limit = Monetary(
        "Credit Limit", currency='currency', digits='currency', readonly=True)
    exposure = Monetary(
        "Exposure", currency='currency', digits='currency', readonly=True,
        help="What the payer owed, and what its other open orders made it "
        "owe, when the order was held.")
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True,
        required=True,
        help="What the order adds to the exposure, with taxes.")
    excess = Monetary(
        "Excess", currency='currency', digits='currency', readonly=True)
    held_at = fields.DateTime("Held At", readonly=True, required=True)
    held_by = fields.Many2One(
        'company.employee', "Held By", readonly=True, ondelete='RESTRICT',
        help="Who quoted or confirmed when the order was held.")
    released_by = fields.Many2One(
        'company.employee', "Released By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('released_by'),
            })
    released_at = fields.DateTime(
        "Released At", readonly=True,
        states={
            'invisible': ~Eval('released_at'),
            })
    released_amount = Monetary(
        "Released Amount", currency='currency', digits='currency',
        readonly=True,
        states={
            'invisible': ~Eval('released_at'),
            },
        help="The amount up to which the release is valid.")
    valid_until = fields.Date(
        "Valid Until", readonly=True,
        states={
            'invisible': ~Eval('released_at'),
            })
    used_at = fields.DateTime(
        "Used At", readonly=True,
        states={
            'invisible': ~Eval('used_at'),
            })
    rejected_by = fields.Many2One(
        'company.employee', "Rejected By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('rejected_by'),
            })
    rejected_at = fields.DateTime(
        "Rejected At", readonly=True,
        states={
            'invisible': ~Eval('rejected_at'),
            })
    reason = fields.Text(
        "Reason of the Decision", readonly=True,
        states={
            'invisible': ~Eval('reason'),
            })
    ended_at = fields.DateTime(
        "Ended At", readonly=True,
        states={
            'invisible': ~Eval('ended_at'),
            })
    state = fields.Selection([
            ('held', "Held"),
            ('released', "Released"),
            ('rejected', "Rejected"),
            ('ended', "Ended"),
            ], "State", readonly=True, required=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('held_at', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.append(
            ('open_unique',
                Exclude(t, (t.origin, Equal), where=t.state.in_(OPEN)),
                'customer_grading.msg_hold_unique'))
        cls._sql_indexes.update({
                Index(t, (t.origin, Index.Equality())),
                Index(t, (t.sale, Index.Equality())),
                Index(t, (t.party, Index.Equality())),
                Index(t, (t.held_at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='DESC'))),
                Index(t, (t.state, Index.Equality(cardinality='low')),
                    where=t.state.in_(OPEN)),
                })
        cls._buttons.update({
                'release': {
                    'invisible': Eval('state') != 'held',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                'reject': {
                    'invisible': ~Eval('state').in_(['held', 'released'])
                    | Bool(Eval('used_at')),
                    'icon': 'tryton-cancel',
                    'depends': ['state', 'used_at'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'held'

    @classmethod
    def get_origins(cls):
        pool = Pool()
        Model = pool.get('ir.model')
        return [('sale.sale', Model.get_name('sale.sale'))]

    def get_rec_name(self, name):
        return f'{self.sale.rec_name} ({self.id})'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('sale.rec_name', *clause[1:])]

    @property
    def notification_name(self):
        return f'{self.sale.rec_name} – {self.party.rec_name}'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'ended', 'muted', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'rejected', 'danger',
                    If(Eval('state') == 'held', 'warning',
                        If(Eval('state') == 'released', 'success', '')))),
            ]

    # The check

    @classmethod
    @without_check_access
    def check(cls, orders, final=True):
        """Return by origin of the orders the result of the check, without
        those of companies that have no policy

        When it is final the orders of a payer count together, and of two
        transactions that let a payer have credit one has to wait."""
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        checks = {}
        for company, c_orders in group_by_company(orders):
            if policies := Policy.get_active(company):
                checks.update(
                    cls._check_company(company, policies, c_orders, final))
        return checks

    @classmethod
    def _check_company(cls, company, policies, orders, final):
        pool = Pool()
        Date = pool.get('ir.date')
        Party = pool.get('party.party')
        Policy = pool.get('customer.service.policy')
        facts = Party.get_credit_facts(
            company, list({o.party.id for o in orders}),
            ['receivable', 'orders', 'limit', 'dunning', 'profile', 'hold'],
            sales={o.sale for o in orders})
        holds = defaultdict(list)
        for hold in cls.browse(
                list(next(iter(facts.values())).holds)):
            holds[hold.origin].append(hold)
        with Transaction().set_context(company=company.id):
            today = Date.today()
        added, to_lock = defaultdict(Decimal), set()
        matched = {
            p: Policy._match(policies, f) for p, f in facts.items()}
        checks = {}
        for order in orders:
            party = order.party.id
            checks[order.origin] = check = Check(order)
            check.holds = holds[order.origin]
            policy, fact = matched[party], facts[party]
            check.limit = fact.limit
            check.exposure = fact.exposure + (added[party] if final else 0)
            check.decided = bool(policy)
            limited = (
                policy and policy.check != 'none' and order.on_credit
                and order.amount > 0 and fact.limit is not None)
            if fact.file_state == 'suspended':
                check.action = 'block'
                check.add('suspended', 'msg_credit_suspended')
            if policy and policy.check != 'none':
                cls._check_policy(check, policy, fact, limited)
                if check.reasons and check.action != 'block':
                    check.action = policy.check
                    for hold in check.holds:
                        if hold._covers(check, today):
                            check.release = hold
                            check.action = 'none'
            if check.action in {'none', 'warn'}:
                added[party] += order.amount
                if limited:
                    to_lock.add(party)
        if final and to_lock:
            Party.lock_credit(to_lock)
        return checks

    @classmethod
    def _check_policy(cls, check, policy, fact, limited):
        "Add the reasons why the order does not keep to the policy"
        order = check.order
        currency = order.company.currency

        def format_(amount):
            return format_amount(amount, currency)

        if order.on_credit and order.amount > 0:
            if policy.investigation_required and fact.file_state not in {
                    'approved', 'suspended'}:
                check.add(
                    'not_investigated', 'msg_credit_not_investigated')
            if limited:
                excess = check.exposure + order.amount - check.limit
                if excess > 0:
                    check.excess = excess
                    check.add(
                        'limit', 'msg_credit_exceeded',
                        limit=format_(check.limit),
                        exposure=format_(check.exposure),
                        amount=format_(order.amount),
                        excess=format_(excess))
            if fact.blocked:
                check.add('dunning', 'msg_credit_dunned')
        if policy.payment_terms and (
                order.payment_term not in policy.payment_terms):
            check.add(
                'payment_term', 'msg_credit_payment_term',
                payment_term=(
                    order.payment_term.rec_name if order.payment_term
                    else '∅'),
                allowed=', '.join(t.rec_name for t in policy.payment_terms))
        if policy.large_order is not None and (
                order.total >= policy.large_order):
            check.add(
                'large_order', 'msg_credit_large_order',
                amount=format_(order.total),
                large=format_(policy.large_order))

    def _covers(self, check, today):
        "Return whether it was released for what is checked"
        return (
            self.state == 'released'
            and self.party == check.order.party
            and self.valid_until >= today
            and set(check.kinds) <= set(self.kinds)
            and check.order.amount <= self.released_amount)

    def _is_same(self, check):
        "Return whether it holds what is checked for the same reasons"
        return (
            self.party == check.order.party
            and self.amount == check.order.amount
            and set(self.kinds) == set(check.kinds)
            and self.credit_limit == check.limit)

    @classmethod
    def raise_checks(cls, checks, name):
        """Raise the error of what is blocked, or the warning of what is warned
        of, each with all of its orders"""
        pool = Pool()
        Warning = pool.get('res.user.warning')
        blocked, warned = [], []
        for check in checks.values():
            if check.action == 'block':
                blocked.append(check.text)
            elif check.action == 'hold':
                for hold in check.holds:
                    if hold.state == 'rejected' and hold._is_same(check):
                        blocked.append(gettext(
                                'customer_grading.msg_credit_rejected',
                                record=check.order.origin.rec_name,
                                reason=hold.reason,
                                problems=check.text))
            elif check.action == 'warn':
                warned.append(check)
        if blocked:
            raise CreditBlockedError('\n'.join(blocked))
        if warned:
            key = Warning.format(name, [c.order.origin for c in warned])
            if Warning.check(key):
                raise CreditWarning(key, '\n'.join(c.text for c in warned))

    # The records

    @classmethod
    @without_check_access
    def hold(cls, checks):
        """Hold what is checked, tell who decides on credit and who asked, and
        return the holds"""
        now = dt.datetime.now().replace(microsecond=0)
        to_end, to_create, kept = [], [], []
        employees = get_employees(c.order for c in checks)
        for check in checks:
            order = check.order
            same = [
                h for h in check.holds
                if h.state == 'held' and h._is_same(check)]
            to_end.extend(h for h in check.holds if h not in same)
            if same:
                kept.extend(same)
                continue
            employee = employees[order.company]
            to_create.append({
                    'company': order.company.id,
                    'origin': str(order.origin),
                    'sale': order.sale.id,
                    'party': order.party.id,
                    'reasons': check.text,
                    'kinds': check.kinds,
                    'currency': order.company.currency.id,
                    'credit_limit': check.limit,
                    'exposure': check.exposure,
                    'amount': order.amount,
                    'excess': check.excess,
                    'held_at': now,
                    'held_by': employee.id if employee else None,
                    'state': 'held',
                    })
        cls._end(to_end)
        holds = []
        if to_create:
            with recording('_customer_credit'):
                holds = cls.create(to_create)
        by_user = defaultdict(list)
        for company, c_holds in group_by_company(holds):
            for user in _group_users(company):
                by_user[user].extend(c_holds)
        notify(
            by_user, 'tryton-warning',
            'customer_grading.msg_notification_held',
            lambda h: h.notification_name)
        return kept + holds

    @classmethod
    def notify_user_held(cls, holds):
        "Tell who acts what is held, as it is not done"
        pool = Pool()
        User = pool.get('res.user')
        user = Transaction().user
        if user and holds:
            # It is on one line
            notify(
                {User(user): holds}, 'tryton-warning',
                'customer_grading.msg_notification_order_held',
                description=' '.join(
                    ' '.join(h.reasons for h in holds).split()))

    @classmethod
    @without_check_access
    def pass_(cls, checks):
        "End the holds of what has passed and note the releases it used"
        now = dt.datetime.now().replace(microsecond=0)
        used = [
            c.release for c in checks if c.release and not c.release.used_at]
        cls._end([
                h for c in checks for h in c.holds
                if h != c.release])
        if used:
            with recording('_customer_credit'):
                cls.write(used, {'used_at': now})

    @classmethod
    def _end(cls, holds):
        if holds:
            with recording('_customer_credit'):
                cls.write(holds, {
                        'state': 'ended',
                        'ended_at': dt.datetime.now().replace(microsecond=0),
                        })

    @classmethod
    @without_check_access
    def end(cls, origins):
        "End the holds of the origins, which will be checked again"
        if origins:
            cls._end(cls.search([
                        ('origin', 'in', [str(o) for o in origins]),
                        ('state', 'in', OPEN),
                        ]))

    # The decisions

    @classmethod
    @ModelView.button_action('customer_grading.wizard_hold_release')
    def release(cls, holds):
        pass

    @classmethod
    @ModelView.button_action('customer_grading.wizard_hold_reject')
    def reject(cls, holds):
        pass

    @classmethod
    def _check_decision(cls, holds, reason, states):
        problems = []
        employees = get_employees(holds)
        for hold in holds:
            values = {'record': hold.origin.rec_name}
            if hold.state not in states or hold.used_at:
                problems.append(gettext(
                        'customer_grading.msg_hold_decided', **values))
            elif not employees[hold.company]:
                problems.append(gettext(
                        'customer_grading.msg_credit_employee',
                        company=hold.company.rec_name))
        if not (reason or '').strip():
            problems.append(gettext('customer_grading.msg_hold_reason'))
        return problems

    def _is_entered_by_user(self):
        "Return whether who decides entered what is held"
        return (
            is_same_person(self.sale.create_uid, self.sale.quoted_by)
            or is_same_person(self.origin.create_uid, self.held_by))

    @classmethod
    def _check_holds(cls, holds):
        "Return the holds without access check if the user can read them"
        _check_credit_group()
        cls.read([h.id for h in holds], ['id'])
        with without_check_access():
            return cls.browse(holds)

    @classmethod
    def release_holds(cls, holds, reason, valid_until, amount=None):
        "Release the holds, up to the amount or that which was held"
        pool = Pool()
        Date = pool.get('ir.date')
        holds = cls._check_holds(holds)
        with without_check_access():
            problems = cls._check_decision(holds, reason, ['held'])
            for hold in holds:
                with Transaction().set_context(company=hold.company.id):
                    today = Date.today()
                if hold._is_entered_by_user():
                    problems.append(gettext(
                            'customer_grading.msg_hold_segregated',
                            record=hold.origin.rec_name))
                if not valid_until or valid_until < today:
                    problems.append(gettext(
                            'customer_grading.msg_hold_valid_until',
                            record=hold.origin.rec_name))
                if amount is not None and amount < hold.amount:
                    problems.append(gettext(
                            'customer_grading.msg_hold_amount',
                            record=hold.origin.rec_name,
                            amount=format_amount(
                                hold.amount, hold.currency)))
            if problems:
                raise CreditHoldError('\n'.join(problems))
            now = dt.datetime.now().replace(microsecond=0)
            employees = get_employees(holds)
            to_write = []
            for hold in holds:
                to_write.extend(([hold], {
                            'state': 'released',
                            'reason': reason,
                            'valid_until': valid_until,
                            'released_amount': (
                                hold.amount if amount is None else amount),
                            'released_by': employees[hold.company].id,
                            'released_at': now,
                            }))
            with recording('_customer_credit'):
                cls.write(*to_write)
            cls._notify_decided(
                holds, 'tryton-ok', 'msg_notification_hold_released')

    @classmethod
    def reject_holds(cls, holds, reason):
        "Reject the holds"
        holds = cls._check_holds(holds)
        with without_check_access():
            problems = cls._check_decision(
                holds, reason, ['held', 'released'])
            if problems:
                raise CreditHoldError('\n'.join(problems))
            now = dt.datetime.now().replace(microsecond=0)
            employees = get_employees(holds)
            to_write = []
            for hold in holds:
                to_write.extend(([hold], {
                            'state': 'rejected',
                            'reason': reason,
                            'rejected_by': employees[hold.company].id,
                            'rejected_at': now,
                            }))
            with recording('_customer_credit'):
                cls.write(*to_write)
            cls._notify_decided(
                holds, 'tryton-cancel', 'msg_notification_hold_rejected')

    @classmethod
    def _notify_decided(cls, holds, icon, message):
        "Tell who quoted the orders"
        by_user, by_employee = defaultdict(list), defaultdict(list)
        for hold in holds:
            if employee := hold.sale.quoted_by or hold.held_by:
                by_employee[employee].append(hold)
            elif hold.sale.create_uid:
                by_user[hold.sale.create_uid].append(hold)
        for employee, users in get_users(by_employee).items():
            for user in users:
                by_user[user].extend(by_employee[employee])
        notify(
            {u: dict.fromkeys(u_holds) for u, u_holds in by_user.items()},
            icon, f'customer_grading.{message}',
            lambda h: ' '.join(
                f'{h.notification_name}: {h.reason}'.split()))

    @classmethod
    def get_texts(cls, ids):
        "Return by id the reasons of the holds that the user may read"
        pool = Pool()
        ModelAccess = pool.get('ir.model.access')
        with check_access():
            if not ModelAccess.check(
                    cls.__name__, 'read', raise_exception=False):
                return {}
            return {
                h.id: '\n'.join(filter(None, [h.reasons, h.reason]))
                for h in cls.search([('id', 'in', list(ids))])}

    @classmethod
    def sale_states(cls, sale_ids=None):
        "Return the query of sale, id and state of the open holds of orders"
        t = cls.__table__()
        where = t.state.in_(OPEN) & (
            t.origin == Concat('sale.sale,', Cast(t.sale, 'VARCHAR')))
        if sale_ids is not None:
            where &= fields.SQL_OPERATORS['in'](t.sale, sale_ids)
        return t.select(t.sale, t.id, t.state, where=where)


class Release(Wizard):
    __name__ = 'sale.credit.hold.release'

    start = StateView('sale.credit.hold.release.start',
        'customer_grading.hold_release_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Release", 'release', 'tryton-ok', default=True),
            ])
    release = StateTransition()

    def default_start(self, fields):
        pool = Pool()
        Date = pool.get('ir.date')
        holds = self.records
        values = {
            'reasons': '\n'.join(h.reasons for h in holds),
            'valid_until': Date.today() + dt.timedelta(days=7),
            }
        if len(holds) == 1:
            hold, = holds
            values['amount'] = hold.amount
            values['currency'] = hold.currency.id
        return values

    def transition_release(self):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        amount = self.start.amount if len(self.records) == 1 else None
        Hold.release_holds(
            self.records, self.start.reason, self.start.valid_until, amount)
        return 'end'

    def end(self):
        return 'reload'


class ReleaseStart(ModelView):
    __name__ = 'sale.credit.hold.release.start'

    reasons = fields.Text("Reasons", readonly=True)
    reason = fields.Text("Reason", required=True)
    valid_until = fields.Date(
        "Valid Until", required=True,
        help="The last day on which the order can be confirmed.")
    amount = Monetary(
        "Amount", currency='currency', digits='currency',
        states={
            'invisible': ~Eval('currency'),
            },
        help="The amount up to which the release is valid.")
    currency = fields.Many2One('currency.currency', "Currency")


class Reject(Wizard):
    __name__ = 'sale.credit.hold.reject'

    start = StateView('sale.credit.hold.reject.start',
        'customer_grading.hold_reject_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Reject", 'reject', 'tryton-ok', default=True),
            ])
    reject = StateTransition()

    def transition_reject(self):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        Hold.reject_holds(self.records, self.start.reason)
        return 'end'

    def end(self):
        return 'reload'


class RejectStart(ModelView):
    __name__ = 'sale.credit.hold.reject.start'

    reason = fields.Text("Reason", required=True)
