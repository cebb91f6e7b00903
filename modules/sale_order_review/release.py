# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
from collections import defaultdict
from itertools import chain

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import group_by_company
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, Id, If, TimeDelta
from trytond.report import Report
from trytond.transaction import (
    Transaction, inactive_records, without_check_access)
from trytond.wizard import Button, StateTransition, StateView, Wizard

from . import snapshot as snapshots
from .exceptions import ReleaseError
from .review import (
    EvidenceMixin, _check_present, _get_employee, _get_excluded, _read_target,
    _recording)

# The button takes the place of those that others need
_releases = Id('sale_order_review', 'group_review_release').in_(
    Eval('context', {}).get('groups', []))
review_release_validity = fields.TimeDelta(
    "Emergency Release",
    domain=['OR',
        ('review_release_validity', '=', None),
        ('review_release_validity', '>', TimeDelta()),
        ],
    help="How long an emergency release is valid unless another time is "
    "entered.")
review_catch_up = fields.Integer(
    "Catch-up",
    domain=['OR',
        ('review_catch_up', '=', None),
        ('review_catch_up', '>=', 0),
        ],
    help="How many working days after its use an emergency release must be "
    "caught up with by the review.\n"
    "Leave empty to have it done on the same day.")


class Configuration(metaclass=PoolMeta):
    __name__ = 'sale.configuration'

    review_release_validity = fields.MultiValue(review_release_validity)
    review_catch_up = fields.MultiValue(review_catch_up)

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field in {'review_release_validity', 'review_catch_up'}:
            return pool.get('sale.configuration.review')
        return super().multivalue_model(field)

    @classmethod
    def default_review_release_validity(cls, **pattern):
        return cls.multivalue_model(
            'review_release_validity').default_review_release_validity()

    @classmethod
    def default_review_catch_up(cls, **pattern):
        return cls.multivalue_model(
            'review_catch_up').default_review_catch_up()


class ConfigurationReview(metaclass=PoolMeta):
    __name__ = 'sale.configuration.review'

    review_release_validity = review_release_validity
    review_catch_up = review_catch_up

    @classmethod
    def default_review_release_validity(cls):
        return dt.timedelta(days=1)

    @classmethod
    def default_review_catch_up(cls):
        return 3


class Release(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.review.release'

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
    reason = fields.Text("Reason", required=True, readonly=True)
    missing = fields.Text(
        "Missing", required=True, readonly=True,
        help="What was missing when it was released.")
    released_by = fields.Many2One(
        'company.employee', "Released By", required=True, readonly=True,
        ondelete='RESTRICT')
    released_at = fields.DateTime("Released At", required=True, readonly=True)
    valid_until = fields.DateTime("Valid Until", required=True, readonly=True)
    expired = fields.Function(
        fields.Boolean("Expired"), 'get_expired', searcher='search_expired')
    before = fields.Text(
        "Before", readonly=True,
        states={
            'invisible': ~Eval('before'),
            },
        help="The content of the order before the change, as canonical JSON.")
    effects = fields.Text(
        "Effects", readonly=True,
        states={
            'invisible': ~Eval('effects'),
            },
        help="What the amendment does to what is planned and invoiced.")
    snapshot = fields.Text(
        "Snapshot", required=True, readonly=True,
        help="The content that was released, as canonical JSON.")
    digest = fields.Char(
        "Digest", required=True, readonly=True,
        help="The SHA-256 of the snapshot.")
    currency = fields.Many2One(
        'currency.currency', "Currency", readonly=True, ondelete='RESTRICT')
    untaxed_amount = Monetary(
        "Untaxed", currency='currency', digits='currency', readonly=True)
    reasons = fields.Text(
        "Rules", readonly=True,
        states={
            'invisible': ~Eval('reasons'),
            },
        help="The rules that were bypassed and why they applied, as canonical "
        "JSON.")
    used_at = fields.DateTime(
        "Used At", readonly=True,
        states={
            'invisible': ~Eval('used_at'),
            })
    deadline = fields.Date(
        "Catch-up Deadline", readonly=True,
        states={
            'invisible': ~Eval('deadline'),
            },
        help="The date by which the review must be approved.")
    review = fields.Many2One(
        'sale.review', "Catch-up Review", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('review'),
            },
        help="The last round of the review that catches up with the release.")
    caught_up_at = fields.DateTime(
        "Caught Up At", readonly=True,
        states={
            'invisible': ~Eval('caught_up_at'),
            })
    reminded_on = fields.Date("Reminded On", readonly=True)
    state = fields.Selection([
            ('unused', "Unused"),
            ('used', "To Catch Up"),
            ('caught_up', "Caught Up"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.origin, Index.Equality())),
                Index(t, (t.sale, Index.Equality())),
                Index(t, (t.review, Index.Equality())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.deadline, Index.Range()),
                    where=t.state.in_(['unused', 'used'])),
                })
        cls._order = [('id', 'DESC')]

    @classmethod
    def default_state(cls):
        return 'unused'

    @classmethod
    def get_origins(cls):
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        return Rule.get_subjects()

    @classmethod
    def get_sale_field(cls, releases, names):
        return _read_target(releases, 'sale', names)

    @classmethod
    def search_sale_field(cls, name, clause):
        return [('sale.' + clause[0], *clause[1:])]

    @classmethod
    def get_expired(cls, releases, name):
        return {r.id: r._is_expired() for r in releases}

    def _is_expired(self):
        return self.state == 'unused' and self.valid_until <= dt.datetime.now()

    @classmethod
    def search_expired(cls, name, clause):
        return cls._search_boolean(clause, [
                ('state', '=', 'unused'),
                ('valid_until', '<=', dt.datetime.now()),
                ])

    def get_rec_name(self, name):
        # There can be several of an order
        return f'{self.origin.rec_name} ({self.id})'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('sale.rec_name', *clause[1:])]

    @property
    def notification_name(self):
        "The name of the release in notifications"
        return f'{self.sale.rec_name} – {self.sale.party.rec_name}'

    @classmethod
    def view_attributes(cls):
        late = (
            (Eval('state') == 'used') & (Eval('deadline', Date()) < Date()))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['caught_up', 'cancelled'])
                    | Eval('expired', False),
                    'muted', ''),
                ['expired']),
            ('/tree/field[@name="deadline"]', 'visual',
                If(late, 'danger', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(late, 'danger',
                    If(Eval('state') == 'used', 'warning', ''))),
            ]

    # The release

    @classmethod
    def check_group(cls):
        "Check that the user belongs to the group that may release"
        pool = Pool()
        Group = pool.get('res.group')
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        group = Group(
            ModelData.get_id('sale_order_review', 'group_review_release'))
        if group.id not in User.get_groups():
            raise AccessError(gettext(
                    'sale_order_review.msg_release_group',
                    group=group.rec_name))

    @classmethod
    @without_check_access
    def plan(cls, records):
        """Return the plans of the reviews that would be bypassed, by record
        the lists of texts of what they miss and of what holds it all the same,
        and the list of texts of the problems that prevent it"""
        pool = Pool()
        Review = pool.get('sale.review')
        Model = records[0].__class__
        problems = Model.get_release_problems(records)
        records = [r for r in records if r not in problems]
        plans, missing = Model.plan_releases(records)
        held = Model.get_review_held(plans)
        _, releases = cls.release_missing(
            missing, {p.origin: p.text for p in plans})
        released = {r.origin: r for r in releases}
        reviews = Review.get_current(records)
        for plan in plans:
            if problem := cls._get_problem(
                    plan, missing.get(plan.origin), held.get(plan.origin),
                    reviews.get(plan.origin), released.get(plan.origin)):
                problems[plan.origin] = problem
        return (
            [p for p in plans if p.origin not in problems], missing, held,
            list(problems.values()))

    @classmethod
    def _get_problem(cls, plan, missing, held, review, release):
        "Return the text of why the user cannot release what is planned"
        record, company = plan.origin, plan.sale.company
        employee = _get_employee(company)
        couple = review.requested_by if review else None, record.create_uid
        values = {'record': record.rec_name}
        # A rule that cannot be evaluated could be segregated
        segregated = bool(plan.failed) or any(
            r.segregated for r, _ in plan.reasons)
        if review and review.state == 'open':
            segregated |= any(s.segregated for s in review.signoffs)
        if not missing and held:
            message = 'msg_release_condition'
            values['conditions'] = ' '.join(held)
        elif not missing:
            message = 'msg_release_nothing'
        elif not employee:
            message = 'msg_release_employee'
            values['company'] = company.rec_name
        elif release:
            message = 'msg_release_twice'
            values.update(release._get_texts())
        elif (segregated
                and employee in _get_excluded([couple])[couple]):
            message = 'msg_release_segregated'
            values['employee'] = employee.rec_name
        else:
            return
        return gettext(f'sale_order_review.{message}', **values)

    @classmethod
    @without_check_access
    def release(cls, records, reason, valid_until):
        """Release the records of a model from their review as they are and
        return the releases

        Raise ReleaseError with all the problems of all the records."""
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        cls.check_group()
        _check_present()
        now = dt.datetime.now()
        # Of two at once only one can be committed
        Sale._lock_review({r.review_sale for r in records})
        plans, missing, _, problems = cls.plan(records)
        if not (reason or '').strip():
            problems.append(gettext('sale_order_review.msg_release_reason'))
        if not valid_until or valid_until <= now:
            problems.append(gettext(
                    'sale_order_review.msg_release_valid_until'))
        if problems:
            raise ReleaseError('\n'.join(problems))
        with _recording():
            releases = cls.create([{
                        'company': p.sale.company.id,
                        'origin': str(p.origin),
                        'sale': p.sale.id,
                        'reason': reason,
                        'missing': '\n'.join(missing[p.origin]),
                        'released_by': _get_employee(p.sale.company).id,
                        'released_at': now,
                        'valid_until': valid_until,
                        'currency': p.sale.currency.id,
                        'untaxed_amount': p.untaxed_amount,
                        'before': p.values.get('before'),
                        'effects': p.values.get('effects'),
                        'snapshot': p.text,
                        'digest': snapshots.digest(p.text),
                        } for p in plans])
        reviews = Review.get_current([p.origin for p in plans])
        employees = cls._get_watchers(releases)
        for release, plan in zip(releases, plans):
            review = reviews.get(plan.origin)
            if review and review.state == 'open':
                departments = {
                    s.department for s in review.signoffs
                    if s.state in {'pending', 'waiting'}}
            else:
                departments = {rule.department for rule, _ in plan.reasons}
            for department in departments:
                if department.head:
                    employees[department.head].append(release)
        Review.notify_employees(
            employees, 'tryton-warning',
            'sale_order_review.msg_notification_release')
        return releases

    @classmethod
    def _get_watchers(cls, releases):
        """Return the lists of releases by employee of those who administer or
        audit the reviews"""
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        UserEmployee = pool.get('res.user-company.employee')
        groups = [
            ModelData.get_id('sale_order_review', n)
            for n in ['group_review_admin', 'group_review_auditor']]
        employees = defaultdict(list)
        for company, c_releases in group_by_company(releases):
            for relation in UserEmployee.search([
                        ('employee.company', '=', company.id),
                        ('user.groups', 'in', groups),
                        ]):
                employees[relation.employee] = list(c_releases)
        return employees

    # Its use

    @classmethod
    def release_missing(cls, missing, contents):
        """Return by record the list of texts of what is still missing, with
        why its last release does not help, and the releases that do

        missing are the texts by record, contents the texts of their content.
        """
        last = cls._get_last(missing, ('state', '!=', 'cancelled'))
        remaining, releases = {}, []
        for record, texts in missing.items():
            release, refusal = last.get(record), None
            if release:
                refusal = release._get_refusal(contents[record])
                if not refusal:
                    releases.append(release)
                    continue
            remaining[record] = [*texts, refusal] if refusal else texts
        return remaining, releases

    def _get_refusal(self, content):
        "Return the text of why it does not help what has the content"
        pool = Pool()
        Sale = pool.get('sale.sale')
        values = self._get_texts()
        if self.state != 'unused':
            message = 'msg_release_used'
        elif self._is_expired():
            message = 'msg_release_expired'
        elif differences := Sale.format_review_differences(
                json.loads(self.snapshot), json.loads(content)):
            message = 'msg_release_changed'
            values['differences'] = '; '.join(differences)
        else:
            return
        return gettext(f'sale_order_review.{message}', **values)

    @classmethod
    def _get_last(cls, records, *domain):
        "Return by record its last release in the domain"
        records = {str(r): r for r in records}
        if not records:
            return {}
        return {
            records[str(r.origin)]: r for r in cls.search([
                    ('origin', 'in', list(records)),
                    *domain,
                    ], order=[('id', 'ASC')])}

    @classmethod
    def get_used(cls, records):
        "Return by record the release by which it was confirmed or validated"
        return cls._get_last(records, ('used_at', '!=', None))

    def _get_texts(self):
        "Return what names the release in messages"
        def format_(value):
            # The time of the company as that of the clients is not known
            return value and Report.format_datetime(
                value, timezone=self.company.timezone)

        return {
            'release': self.rec_name,
            'employee': self.released_by.rec_name,
            'reason': self.reason,
            'valid_until': format_(self.valid_until),
            'used_at': format_(self.used_at),
            }

    @classmethod
    def use(cls, releases, plans):
        """Record that what is released goes on without its review

        plans are those of the reviews that are bypassed."""
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Date = pool.get('ir.date')
        Review = pool.get('sale.review')
        now = dt.datetime.now()
        reasons = {p.origin: cls._get_bypassed(p) for p in plans}
        for company, c_releases in group_by_company(releases):
            with Transaction().set_context(company=company.id):
                today = Date.today()
            days = Configuration(1).get_multivalue(
                'review_catch_up', company=company.id)
            deadline = company.add_working_days(today, days or 0)
            with _recording():
                cls.write(*chain.from_iterable(
                        ([r], {
                                'state': 'used',
                                'used_at': now,
                                'deadline': deadline,
                                'reasons': reasons[r.origin],
                                }) for r in c_releases))
        for Model, records in Review._get_reviewed(releases):
            Model.write(records, {'review_state': 'released'})
            cls.attach([
                    r for r in Review.get_current(records).values()
                    if r.state == 'open'])

    @classmethod
    def _get_bypassed(cls, plan):
        "Return as JSON the rules that are bypassed and why they apply"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        reasons = plan.reasons
        if plan.failed:
            # It is not known which of them apply
            reasons = cls.add_reasons(reasons, [
                    (rule, plan.failed) for rule in Rule.get_rules(
                        plan.sale.company, plan.origin.__name__)])
        return snapshots.dumps([[r.id, reason] for r, reason in reasons])

    @classmethod
    def get_owed(cls, records):
        """Return by record that is to be caught up with the list of couples of
        the rules that were bypassed and why they applied

        They remain to be signed whatever the record has become since, until a
        review is approved."""
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        owed = {}
        for record, releases in cls._group_used(records, lambda r: r):
            owed[record] = {
                i: reason for r in releases
                for i, reason in json.loads(r.reasons or '[]')}
        if not owed:
            return {}
        with inactive_records():
            rules = {r.id: r for r in Rule.search([
                        ('id', 'in', list(set().union(*owed.values()))),
                        ])}
        return {
            record: [(rules[i], t) for i, t in reasons.items() if i in rules]
            for record, reasons in owed.items()}

    @classmethod
    def add_reasons(cls, reasons, owed):
        "Return the couples of rule and reason with those that are not in them"
        rules = {r for r, _ in reasons}
        return [*reasons, *(c for c in owed if c[0] not in rules)]

    @classmethod
    def get_held(cls, sales):
        "Return by sale the texts of how it is not what was released"
        pool = Pool()
        Sale = pool.get('sale.sale')
        if not sales:
            return {}
        releases = cls.get_used(sales)
        held = {}
        for sale, content in Sale.get_review_snapshots(sales).items():
            release = releases[sale]
            if differences := Sale.format_review_differences(
                    json.loads(release.snapshot), content):
                held[sale] = [gettext(
                        'sale_order_review.msg_release_held',
                        sale=sale.rec_name,
                        release=release.rec_name,
                        differences='; '.join(differences))]
        return held

    @classmethod
    def cancel(cls, records):
        "Cancel the releases of what will not be confirmed"
        if releases := cls.search([
                    ('origin', 'in', [str(r) for r in records]),
                    ('state', 'in', ['unused', 'used']),
                    ]):
            with _recording():
                cls.write(releases, {'state': 'cancelled'})

    # What catches up with it

    @classmethod
    def attach(cls, reviews):
        "Have the open reviews catch up with the releases of what they review"
        cls._write_used(reviews, {})

    @classmethod
    def catch_up(cls, reviews):
        "Close the releases of what is approved"
        cls._write_used(reviews, {
                'caught_up_at': dt.datetime.now(),
                'state': 'caught_up',
                })

    @classmethod
    def _write_used(cls, reviews, values):
        if args := list(chain.from_iterable(
                    (releases, {**values, 'review': review.id})
                    for review, releases in cls._group_used(
                        reviews, lambda r: r.origin))):
            with _recording():
                cls.write(*args)

    @classmethod
    def _group_used(cls, records, origin):
        """Return the couples of record and list of the releases to catch up
        with of its origin"""
        records = {str(origin(r)): r for r in records}
        by_record = defaultdict(list)
        # Every order is quoted and confirmed with it, and hardly any has one
        used = [
            r['id'] for r in snapshots.select(
                cls, {'id', 'state'}, 'origin', list(records))
            if r['state'] == 'used']
        for release in cls.browse(used):
            by_record[records[str(release.origin)]].append(release)
        return by_record.items()

    @classmethod
    def remind(cls, company, today):
        "Remind once of what should have been caught up with in the company"
        pool = Pool()
        Review = pool.get('sale.review')
        releases = cls.search([
                ('company', '=', company.id),
                ('state', '=', 'used'),
                ('deadline', '<', today),
                ('reminded_on', '=', None),
                ])
        if not releases:
            return
        employees = cls._get_watchers(releases)
        for release in releases:
            concerned = {release.released_by, release.sale.confirmed_by}
            if release.review:
                concerned.add(release.review.requested_by)
            for employee in filter(None, concerned):
                employees[employee].append(release)
        Review.notify_employees(
            employees, 'tryton-warning',
            'sale_order_review.msg_notification_catch_up')
        with _recording():
            cls.write(releases, {'reminded_on': today})


class Review(metaclass=PoolMeta):
    __name__ = 'sale.review'

    @classmethod
    @without_check_access
    def submit(cls, records):
        pool = Pool()
        Release = pool.get('sale.review.release')
        reviews = super().submit(records)
        Release.attach([r for r in reviews if r.state == 'open'])
        return reviews

    @classmethod
    def approve(cls, reviews):
        pool = Pool()
        Release = pool.get('sale.review.release')
        super().approve(reviews)
        Release.catch_up(reviews)

    @classmethod
    def _notify_closed(cls, reviews):
        released = [
            r for r in reviews
            if r.state == 'returned' and r.origin.review_state == 'released']
        super()._notify_closed([r for r in reviews if r not in released])
        employees = defaultdict(list)
        for review in released:
            employees[review.requested_by].append(review)
        cls.notify_employees(
            employees, 'tryton-back',
            'sale_order_review.msg_notification_release_returned')


class Signoff(metaclass=PoolMeta):
    __name__ = 'sale.review.signoff'

    @classmethod
    def _remind(cls, company, today):
        pool = Pool()
        Release = pool.get('sale.review.release')
        super()._remind(company, today)
        Release.remind(company, today)


class ReleasedMixin:
    "What can be released from its review"
    __slots__ = ()

    catch_up = fields.Function(
        fields.Boolean(
            "To Catch Up",
            help="Whether the review of what was released must be submitted."),
        'get_catch_up')

    @classmethod
    def get_catch_up(cls, records, name):
        pool = Pool()
        Release = pool.get('sale.review.release')
        with without_check_access():
            owed = Release.get_owed(records)
        return {
            r.id: (
                (r._is_released() or (r in owed and r.state != 'draft'))
                and not (r.review and r.review.state == 'open'))
            for r in records}

    @classmethod
    def get_review_held(cls, plans):
        """Return by record the list of texts of what holds what is planned
        whatever becomes of its review, to show before it is submitted"""
        return cls.get_release_held(plans)

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'delete':
            for record in records:
                if record.releases:
                    raise AccessError(gettext(
                            'sale_order_review.msg_release_delete',
                            record=record.rec_name))

    @classmethod
    def copy(cls, records, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('releases')
        return super().copy(records, default=default)


class Sale(ReleasedMixin, metaclass=PoolMeta):
    __name__ = 'sale.sale'

    released = fields.Function(
        fields.Boolean(
            "Released",
            help="Whether a valid release of what it is waits for its use."),
        'get_released')
    # Also those of its amendments
    releases = fields.One2Many(
        'sale.review.release', 'sale', "Emergency Releases", readonly=True,
        states={
            'invisible': ~Eval('releases'),
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'release_review': {
                    'invisible': (
                        (Eval('state') != 'quotation')
                        | ~Eval('review_state').in_(['required', 'open'])
                        | Eval('released', False)
                        | ~_releases),
                    'icon': 'tryton-warning',
                    'depends': ['state', 'review_state', 'released'],
                    },
                })

    @classmethod
    def get_released(cls, sales, name):
        pool = Pool()
        Release = pool.get('sale.review.release')
        with without_check_access():
            # Only what is held can be released
            held = [
                s for s in cls.browse(sales)
                if s.state == 'quotation'
                and s.review_state in {'required', 'open'}]
            if not held:
                return {s.id: False for s in sales}
            valid = Release.search([
                    ('origin', 'in', list(map(str, held))),
                    ('state', '=', 'unused'),
                    ('expired', '=', False),
                    ])
            contents = cls.get_review_snapshots({r.origin for r in valid})
            _, releases = Release.release_missing(
                dict.fromkeys(contents, []),
                {s: snapshots.dumps(c) for s, c in contents.items()})
        released = {r.origin.id for r in releases}
        return {s.id: s.id in released for s in sales}

    @classmethod
    def get_release_problems(cls, sales):
        "Return by sale the text of why it cannot be released"
        return {
            s: gettext('sale_order_review.msg_release_quotation',
                sale=s.rec_name)
            for s in sales if s.state != 'quotation'}

    @classmethod
    def plan_releases(cls, sales):
        """Return the plans of the reviews that are bypassed and by sale the
        list of texts of what they miss"""
        return cls.plan_reviews(sales), cls._get_review_missing(sales, sales)

    @classmethod
    def get_release_held(cls, plans):
        """Return by sale the list of texts of what holds the confirmation of
        what is planned even if it is released"""
        return cls._get_unmet([p.origin for p in plans])

    @classmethod
    @ModelView.button
    def cancel(cls, sales):
        pool = Pool()
        Release = pool.get('sale.review.release')
        super().cancel(sales)
        Release.cancel(sales)

    @classmethod
    @ModelView.button_action('sale_order_review.wizard_release')
    def release_review(cls, sales):
        pass


class Amendment(ReleasedMixin, metaclass=PoolMeta):
    __name__ = 'sale.amendment'

    releases = fields.One2Many(
        'sale.review.release', 'origin', "Emergency Releases", readonly=True,
        states={
            'invisible': ~Eval('releases'),
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'release_review': {
                    'invisible': (
                        (Eval('state') != 'draft')
                        | (Eval('review_state') == 'approved')
                        | ~_releases),
                    'icon': 'tryton-warning',
                    'depends': ['state', 'review_state'],
                    },
                })

    @classmethod
    def get_release_problems(cls, amendments):
        "Return by amendment the text of why it cannot be released"
        problems = cls._get_problems(
            [a for a in amendments if a.state == 'draft'])
        problems.update(
            (a, [gettext('sale_order_review.msg_amendment_validated',
                        amendment=a.rec_name)])
            for a in amendments if a.state != 'draft')
        return {a: '\n'.join(texts) for a, texts in problems.items()}

    @classmethod
    def plan_releases(cls, amendments):
        """Return the plans of the reviews that are bypassed and by amendment
        the list of texts of what they miss"""
        plans = cls._try(amendments)
        return plans, cls._get_review_missing(plans)

    @classmethod
    def get_release_held(cls, plans):
        """Return by amendment the list of texts of what holds the validation
        of what is planned even if it is released"""
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Sale = pool.get('sale.sale')
        # The order is processed again with what they change
        return Condition.get_proposed({
                p.origin: p.snapshot[Sale.__name__].get('payment_term')
                for p in plans})

    @classmethod
    @ModelView.button_action('sale_order_review.wizard_release_amendment')
    def release_review(cls, amendments):
        pass


class ReleaseReview(Wizard):
    __name__ = 'sale.review.release.release'

    start = StateView('sale.review.release.start',
        'sale_order_review.release_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Release", 'release', 'tryton-ok', default=True,
                states={
                    'readonly': Bool(Eval('problems')),
                    }),
            ])
    release = StateTransition()

    def default_start(self, fields):
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Release = pool.get('sale.review.release')
        _, missing, held, problems = Release.plan(self.records)
        values = {
            'missing': '\n'.join(t for ts in missing.values() for t in ts),
            'held': '\n'.join(t for ts in held.values() for t in ts) or None,
            'problems': '\n'.join(problems) or None,
            }
        if validity := Configuration(1).get_multivalue(
                'review_release_validity',
                company=self.records[0].company.id):
            values['valid_until'] = (
                dt.datetime.now() + validity).replace(microsecond=0)
        return values

    def transition_release(self):
        pool = Pool()
        Release = pool.get('sale.review.release')
        Release.release(
            self.records, self.start.reason, self.start.valid_until)
        return 'end'

    def end(self):
        return 'reload'


class ReleaseReviewStart(ModelView):
    __name__ = 'sale.review.release.start'

    reason = fields.Text("Reason", required=True)
    valid_until = fields.DateTime(
        "Valid Until", required=True,
        help="By when the order must be confirmed, or the amendment "
        "validated.")
    missing = fields.Text(
        "Missing", readonly=True, help="What is bypassed.")
    held = fields.Text(
        "Also Held By", readonly=True,
        states={
            'invisible': ~Eval('held'),
            },
        help="What still holds the order once it is released.")
    problems = fields.Text(
        "Problems", readonly=True,
        states={
            'invisible': ~Eval('problems'),
            })


class Attachment(metaclass=PoolMeta):
    __name__ = 'ir.attachment'

    def _is_review_evidence(self):
        pool = Pool()
        Release = pool.get('sale.review.release')
        return (
            isinstance(self.resource, Release)
            or super()._is_review_evidence())
