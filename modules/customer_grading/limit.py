# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict
from contextlib import contextmanager

from sql import Literal, Null

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import (
    get_employee, get_employees, group_by_company, per_company)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction, without_check_access

from .exceptions import LimitChangeError
from .exposure import format_amount
from .file import CustomerMixin, EvidenceMixin, is_same_person, recording


def _check_group(module, name, message, **values):
    "Check that the user belongs to the group"
    pool = Pool()
    Group = pool.get('res.group')
    ModelData = pool.get('ir.model.data')
    User = pool.get('res.user')
    group = Group(ModelData.get_id(module, name))
    if group.id not in User.get_groups():
        raise AccessError(gettext(
                f'customer_grading.{message}',
                group=group.rec_name, **values))


def _check_credit_group():
    "Check that the user belongs to the group that decides on credit"
    _check_group(
        'customer_grading', 'group_customer_credit', 'msg_credit_group')


def _group_users(company):
    "Return the users of the company who decide on credit"
    pool = Pool()
    ModelData = pool.get('ir.model.data')
    User = pool.get('res.user')
    return User.search([
            ('groups', '=', ModelData.get_id(
                    'customer_grading', 'group_customer_credit')),
            ('companies', '=', company.id),
            ])


class CreditEvidenceMixin(EvidenceMixin):
    "What is recorded of the credit of the customers"
    __slots__ = ()

    _evidence_key = '_customer_credit'
    _evidence_message = 'msg_credit_evidence'


class Change(CreditEvidenceMixin, CustomerMixin, ModelSQL, ModelView):
    "A change of the credit limit of a customer"
    __name__ = 'customer.credit.limit.change'

    _states = {'readonly': Eval('id', -1) >= 0}

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states=_states)
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')
    party = fields.Many2One(
        'party.party', "Party", required=True, ondelete='RESTRICT',
        states=_states,
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    old = Monetary(
        "Old Limit", currency='currency', digits='currency', readonly=True,
        help="Empty if there was no limit.")
    new = Monetary(
        "New Limit", currency='currency', digits='currency',
        states=_states,
        help="Leave empty for no limit.\n"
        "Zero gives no credit.")
    restore = Monetary(
        "Restored Limit", currency='currency', digits='currency',
        readonly=True,
        states={
            'invisible': ~Eval('temporary_until'),
            },
        help="The limit that comes back when the temporary one ends.")
    temporary_until = fields.Date(
        "Temporary Until", states=_states,
        help="The last day of the new limit.\n"
        "Leave empty if it is to last.")
    reason = fields.Text("Reason", required=True, states=_states)
    source = fields.Selection([
            ('manual', "Manual"),
            ('policy', "Policy"),
            ('direct', "Direct"),
            ('expired', "Expired"),
            ], "Source", readonly=True, required=True, sort=False,
        help="Direct changes were made on the party itself.")
    proposed_by = fields.Many2One(
        'company.employee', "Proposed By", readonly=True,
        ondelete='RESTRICT')
    proposed_at = fields.DateTime("Proposed At", readonly=True, required=True)
    approved_by = fields.Many2One(
        'company.employee', "Decided By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': Eval('state') == 'proposed',
            })
    approved_at = fields.DateTime(
        "Decided At", readonly=True,
        states={
            'invisible': Eval('state') == 'proposed',
            })
    ended_at = fields.DateTime(
        "Ended At", readonly=True,
        states={
            'invisible': ~Eval('ended_at'),
            })
    state = fields.Selection([
            ('proposed', "Proposed"),
            ('approved', "Approved"),
            ('rejected', "Rejected"),
            ('superseded', "Superseded"),
            ('expired', "Expired"),
            ], "State", readonly=True, required=True, sort=False)

    del _states

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('proposed_at', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.update({
                Index(t, (t.party, Index.Equality()),
                    (t.company, Index.Equality())),
                Index(t, (t.proposed_at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='DESC'))),
                Index(t, (t.state, Index.Equality(cardinality='low')),
                    where=t.state == 'proposed'),
                Index(t, (t.temporary_until, Index.Range()),
                    where=t.state == 'approved'),
                })
        cls._buttons.update({
                'approve': {
                    'invisible': Eval('state') != 'proposed',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                'reject': {
                    'invisible': Eval('state') != 'proposed',
                    'icon': 'tryton-cancel',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_source(cls):
        return 'manual'

    @classmethod
    def default_state(cls):
        return 'proposed'

    @classmethod
    def default_proposed_at(cls):
        return dt.datetime.now().replace(microsecond=0)

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return self.company.currency if self.company else None

    @fields.depends('company', 'party')
    def on_change_party(self):
        self.old = None
        if self.company and self.party:
            self.old = self._get_limits(self.company, [self.party.id])[
                self.party.id]

    def get_rec_name(self, name):
        return f'{self.party.rec_name} ({self.id})'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['rejected', 'superseded', 'expired']),
                    'muted', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'proposed', 'warning', '')),
            ('/tree/field[@name="temporary_until"]', 'visual',
                If((Eval('state') == 'approved')
                    & Bool(Eval('temporary_until')), 'warning', '')),
            ]

    @classmethod
    def _get_denied(cls, mode, changes, values):
        # Who may create proposes
        if mode == 'create':
            return []
        return super()._get_denied(mode, changes, values)

    @classmethod
    @without_check_access
    def _get_limits(cls, company, party_ids):
        pool = Pool()
        Party = pool.get('party.party')
        return {
            p: f.limit for p, f in Party.get_credit_facts(
                company, party_ids, ['limit']).items()}

    @classmethod
    def create(cls, vlist):
        # What the server knows better than who proposes
        pool = Pool()
        Company = pool.get('company.company')
        if Transaction().context.get('_customer_credit'):
            return super().create(vlist)
        vlist = [v.copy() for v in vlist]
        by_company = defaultdict(list)
        for values in vlist:
            values.setdefault('company', cls.default_company())
            by_company[values['company']].append(values)
        for company_id, c_vlist in by_company.items():
            if not company_id:
                continue
            company = Company(company_id)
            with without_check_access():
                employee = get_employee(company)
            limits = cls._get_limits(company, list({
                        int(v['party']) for v in c_vlist if v.get('party')}))
            for values in c_vlist:
                values.update(
                    old=limits.get(values.get('party')), restore=None,
                    source='manual', state='proposed',
                    proposed_by=employee.id if employee else None,
                    proposed_at=cls.default_proposed_at(),
                    approved_by=None, approved_at=None, ended_at=None)
        return super().create(vlist)

    @classmethod
    def validate(cls, changes):
        super().validate(changes)
        for change in changes:
            if change.new is not None and change.new < 0:
                raise LimitChangeError(gettext(
                        'customer_grading.msg_limit_negative',
                        party=change.party.rec_name))

    @classmethod
    def on_modification(cls, mode, changes, field_names=None):
        super().on_modification(mode, changes, field_names=field_names)
        if mode == 'create':
            with without_check_access():
                cls.supersede_older(list({
                            c.party for c in cls.browse(changes)
                            if c.state == 'proposed'}))

    @classmethod
    @without_check_access
    def supersede_older(cls, parties):
        "Leave only the newest proposal of each company for the parties"
        if not parties:
            return
        proposed = cls.search([
                ('state', '=', 'proposed'),
                ('party', 'in', [p.id for p in parties]),
                ], order=[('id', 'ASC')])
        latest = {(c.company, c.party): c for c in proposed}
        older = [c for c in proposed if latest[c.company, c.party] != c]
        cls._supersede(older)

    @classmethod
    def _supersede(cls, changes):
        if changes:
            with recording('_customer_credit'):
                cls.write(changes, {
                        'state': 'superseded',
                        'ended_at': cls.default_proposed_at(),
                        })

    @classmethod
    @without_check_access
    def propose(cls, company, limits, source='manual', reason=None):
        """Propose the credit limits by id of party where they differ and
        return the changes

        Nothing is proposed again that is waiting for its approval, and what
        the policy does not give any more does not wait."""
        if not limits:
            return []
        present = cls._get_limits(company, list(limits))
        domain = [
            ('company', '=', company.id),
            ('party', 'in', list(limits)),
            ]
        waiting = {
            c.party.id: c
            for c in cls.search([domain, ('state', '=', 'proposed')])}
        # A temporary limit passes
        lasting = {
            c.party.id: c.restore
            for c in cls._search_temporary(company, list(limits))}
        employee = get_employee(company)
        now = cls.default_proposed_at()
        to_create, obsolete = [], []
        for party, new in limits.items():
            change = waiting.get(party)
            if change and change.new == new:
                continue
            if lasting.get(party, present[party]) == new:
                if change and change.source == source == 'policy':
                    obsolete.append(change)
                continue
            to_create.append({
                    'company': company.id,
                    'party': party,
                    'old': present[party],
                    'new': new,
                    'reason': reason or gettext(
                        f'customer_grading.msg_limit_reason_{source}'),
                    'source': source,
                    'proposed_by': employee.id if employee else None,
                    'proposed_at': now,
                    'state': 'proposed',
                    })
        cls._supersede(obsolete)
        with recording('_customer_credit'):
            return cls.create(to_create) if to_create else []

    @classmethod
    def _search_temporary(cls, company, party_ids):
        "Return the temporary changes that are in force"
        return cls.search([
                ('company', '=', company.id),
                ('party', 'in', party_ids),
                ('state', '=', 'approved'),
                ('temporary_until', '!=', None),
                ])

    # The decision

    @classmethod
    def _check_decision(cls, changes, problems):
        employees = get_employees(changes)
        for change in changes:
            values = {
                'party': change.party.rec_name,
                'company': change.company.rec_name,
                }
            if change.state != 'proposed':
                problems.append(gettext(
                        'customer_grading.msg_limit_decided', **values))
            elif not employees[change.company]:
                problems.append(gettext(
                        'customer_grading.msg_credit_employee', **values))

    @classmethod
    def _decide(cls, changes, state):
        now = cls.default_proposed_at()
        with recording('_customer_credit'):
            for company, c_changes in group_by_company(changes):
                cls.write(c_changes, {
                        'state': state,
                        'approved_by': get_employee(company).id,
                        'approved_at': now,
                        })

    @classmethod
    @ModelView.button
    def approve(cls, changes):
        pool = Pool()
        Date = pool.get('ir.date')
        Party = pool.get('party.party')
        _check_credit_group()
        changes = cls.browse(sorted(changes, key=lambda c: c.id))
        problems = []
        cls._check_decision(changes, problems)
        by_company = group_by_company(changes)
        for company, c_changes in by_company:
            limits = cls._get_limits(
                company, [c.party.id for c in c_changes])
            with Transaction().set_context(company=company.id):
                today = Date.today()
            for change in c_changes:
                values = {'party': change.party.rec_name}
                if is_same_person(change.create_uid, change.proposed_by):
                    problems.append(gettext(
                            'customer_grading.msg_limit_segregated',
                            **values))
                if limits[change.party.id] != change.old:
                    problems.append(gettext(
                            'customer_grading.msg_limit_stale',
                            old=_format_limit(change.old, company),
                            present=_format_limit(
                                limits[change.party.id], company), **values))
                if change.temporary_until and change.temporary_until < today:
                    problems.append(gettext(
                            'customer_grading.msg_limit_past', **values))
        if problems:
            raise LimitChangeError('\n'.join(problems))
        for company, c_changes in by_company:
            # What the one that is replaced would bring back
            temporary = cls._search_temporary(
                company, [c.party.id for c in c_changes])
            restores = {c.party: c.restore for c in temporary}
            cls._supersede(temporary)
            with recording('_customer_credit'):
                to_write = []
                for change in c_changes:
                    if change.temporary_until:
                        to_write.extend(([change], {
                                    'restore': restores.get(
                                        change.party, change.old),
                                    }))
                if to_write:
                    cls.write(*to_write)
            Party.set_credit_limits(
                company, {c.party.id: c.new for c in c_changes})
        cls._decide(changes, 'approved')

    @classmethod
    @ModelView.button
    def reject(cls, changes):
        _check_credit_group()
        changes = cls.browse(changes)
        problems = []
        cls._check_decision(changes, problems)
        if problems:
            raise LimitChangeError('\n'.join(problems))
        cls._decide(changes, 'rejected')

    @classmethod
    @without_check_access
    @per_company
    def expire(cls, company):
        "Bring back the limits from before the temporary ones that ended"
        pool = Pool()
        Date = pool.get('ir.date')
        Party = pool.get('party.party')
        changes = cls.search([
                ('company', '=', company.id),
                ('state', '=', 'approved'),
                ('temporary_until', '<', Date.today()),
                ])
        if not changes:
            return
        limits = cls._get_limits(company, [c.party.id for c in changes])
        now = cls.default_proposed_at()
        # It could have been set on the party meanwhile
        restored = [c for c in changes if limits[c.party.id] == c.new]
        with recording('_customer_credit'):
            cls.write(changes, {'state': 'expired', 'ended_at': now})
            Party.set_credit_limits(
                company, {c.party.id: c.restore for c in restored})
            cls.create([{
                        'company': company.id,
                        'party': c.party.id,
                        'old': c.new,
                        'new': c.restore,
                        'reason': gettext(
                            'customer_grading.msg_limit_reason_expired'),
                        'source': 'expired',
                        'proposed_at': now,
                        'approved_at': now,
                        'state': 'approved',
                        } for c in restored])

    @classmethod
    @without_check_access
    def record_direct(cls, company, old, new):
        """Record what the credit limits by id of party were and are since they
        were entered on the parties"""
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        parties = [p for p in new if new[p] != old[p]]
        if parties and not Policy.get_active(company):
            # The company does not decide on credit by the module
            decided = cls.search([
                    ('company', '=', company.id),
                    ('party', 'in', parties),
                    ('approved_at', '!=', None),
                    ('state', 'in', ['approved', 'superseded', 'expired']),
                    ])
            parties = list({c.party.id for c in decided})
        if not parties:
            return
        employee = get_employee(company)
        now = cls.default_proposed_at()
        with recording('_customer_credit'):
            cls.create([{
                        'company': company.id,
                        'party': p,
                        'old': old[p],
                        'new': new[p],
                        'reason': gettext(
                            'customer_grading.msg_limit_reason_direct'),
                        'source': 'direct',
                        'proposed_by': employee.id if employee else None,
                        'proposed_at': now,
                        'approved_by': employee.id if employee else None,
                        'approved_at': now,
                        'state': 'approved',
                        } for p in parties])


def _format_limit(limit, company):
    if limit is None:
        return '∅'
    return format_amount(limit, company.currency)


class PartyLimit(metaclass=PoolMeta):
    __name__ = 'party.party.credit_limit_amount'

    @classmethod
    def check_modification(cls, mode, limits, values=None, external=False):
        super().check_modification(
            mode, limits, values=values, external=external)
        # Stock asks only when it is entered in the field of the party
        if external:
            _check_group(
                'account_credit_limit', 'group_credit_limit',
                'msg_limit_group', parties=', '.join(
                    l.party.rec_name for l in limits if l.party))

    @classmethod
    def create(cls, vlist):
        with cls._recording_direct(vlist):
            return super().create(vlist)

    @classmethod
    def write(cls, limits, values, *args):
        customers = []
        actions = iter((limits, values, *args))
        for a_limits, a_values in zip(actions, actions):
            for customer in cls._get_customers(a_limits):
                customers.extend([customer, {**customer, **a_values}])
        with cls._recording_direct(customers):
            super().write(limits, values, *args)

    @classmethod
    def delete(cls, limits):
        with cls._recording_direct(cls._get_customers(limits)):
            super().delete(limits)

    @classmethod
    @without_check_access
    def _get_customers(cls, limits):
        if Transaction().context.get('_customer_credit') or not limits:
            return []
        return cls.read([l.id for l in limits], ['company', 'party'])

    @classmethod
    @contextmanager
    def _recording_direct(cls, customers):
        """Keep the history complete of the limits of the customers, which are
        dictionaries of company and party

        Without company the limit is that of all."""
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        Company = pool.get('company.company')
        if Transaction().context.get('_customer_credit'):
            yield
            return
        parties = defaultdict(set)
        with without_check_access():
            for customer in customers:
                if not customer.get('party'):
                    continue
                for company in (
                        [Company(customer['company'])]
                        if customer.get('company') else Company.search([])):
                    parties[company].add(customer['party'])
            old = {
                c: Change._get_limits(c, list(parties[c])) for c in parties}
        yield
        # What is deleted with its party or company leaves no limit
        deleted = Transaction().delete_records
        for company, limits in old.items():
            remaining = limits.keys() - deleted['party.party']
            if remaining and company.id not in deleted['company.company']:
                Change.record_direct(
                    company, limits,
                    Change._get_limits(company, list(remaining)))


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    @classmethod
    @without_check_access
    def set_credit_limits(cls, company, limits):
        "Set the credit limits by id of party in the company"
        pool = Pool()
        Limit = pool.get('party.party.credit_limit_amount')
        records = {
            l.party.id: l for l in Limit.search([
                    ('company', '=', company.id),
                    ('party', 'in', list(limits)),
                    ])}
        to_create, to_write = [], []
        for party, amount in limits.items():
            values = {'credit_limit_amount': amount}
            if record := records.get(party):
                to_write.extend(([record], values))
            else:
                to_create.append(
                    {'company': company.id, 'party': party, **values})
        # A save would use the context of the records
        with recording('_customer_credit'):
            if to_create:
                Limit.create(to_create)
            if to_write:
                Limit.write(*to_write)


class Due(metaclass=PoolMeta):
    __name__ = 'customer.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection.append(('limit', "End of Temporary Limit"))

    @classmethod
    def _get_origins(cls):
        return super()._get_origins() + ['customer.credit.limit.change']

    @classmethod
    def _due_limit(cls):
        "Temporary credit limits that end"
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        change = Change.__table__()
        return change.select(
            change.id.as_('id'),
            change.company.as_('company'),
            change.party.as_('party'),
            change.temporary_until.as_('due_date'),
            Literal(None).as_('employee'),
            cls._origin(
                'customer.credit.limit.change', change.id).as_('origin'),
            where=(change.state == 'approved')
            & (change.temporary_until != Null))
