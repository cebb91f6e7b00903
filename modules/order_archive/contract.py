# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from functools import partial

from sql import Null
from sql.operators import Equal

from trytond.i18n import gettext
from trytond.model import (
    Exclude, Index, Model, ModelSQL, ModelView, Unique, Workflow, fields)
from trytond.model.exceptions import AccessError
from trytond.modules.company.model import CompanyValueMixin
from trytond.modules.company_department.report import Document, Texts
from trytond.modules.company_department.tools import (
    get_employee, get_users, group_by_company, notify, per_company)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, Id, If
from trytond.report import Report
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import StateAction, Wizard

from .archive import (
    EvidenceMixin, _Employees, _now, _recording, _search_boolean)
from .custody import LoanMixin
from .exceptions import (
    ContractError, ContractSignatureError, LoanError, MandateValidationError)

# From the registration to the end of the contract
_LIVE = ['registered', 'signed', 'sealed', 'verified', 'deposited']
# What has been signed and sealed
_BINDING = ['sealed', 'verified', 'deposited']
_ENDED = ['expired', 'terminated']


def _get_today(company):
    pool = Pool()
    Date = pool.get('ir.date')
    with Transaction().set_context(company=company.id):
        return Date.today()


def _get_values(record, names):
    "Return the values of the fields as JSON has them"
    def convert(value):
        if isinstance(value, Model):
            return value.id
        elif isinstance(value, dt.date):
            return value.isoformat()
        elif isinstance(value, Decimal):
            # The databases differ in the zeros they keep
            return f'{value.normalize():f}'
        return value
    return {n: convert(getattr(record, n)) for n in names}


class Configuration(metaclass=PoolMeta):
    __name__ = 'order.archive.configuration'

    contract_sequence = fields.MultiValue(fields.Many2One(
            'ir.sequence', "Contract Sequence", required=True,
            domain=[
                ('company', 'in', [
                        Eval('context', {}).get('company', -1), None]),
                ('sequence_type', '=',
                    Id('order_archive', 'sequence_type_contract')),
                ]))
    contract_notice = fields.MultiValue(fields.Integer(
            "Contract Expiry Notice",
            domain=['OR',
                ('contract_notice', '=', None),
                ('contract_notice', '>', 0),
                ],
            help="How many days before a contract expires its handler is "
            "notified.\n"
            "Leave empty for no notice."))

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field == 'contract_sequence':
            return pool.get('order.archive.configuration.sequence')
        elif field == 'contract_notice':
            return pool.get('order.archive.configuration.contract')
        return super().multivalue_model(field)

    @classmethod
    def default_contract_sequence(cls, **pattern):
        return cls.multivalue_model(
            'contract_sequence').default_contract_sequence()

    @classmethod
    def default_contract_notice(cls, **pattern):
        return cls.multivalue_model(
            'contract_notice').default_contract_notice()


class ConfigurationSequence(metaclass=PoolMeta):
    __name__ = 'order.archive.configuration.sequence'

    contract_sequence = fields.Many2One(
        'ir.sequence', "Contract Sequence", required=True,
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ('sequence_type', '=',
                Id('order_archive', 'sequence_type_contract')),
            ])

    @classmethod
    def default_contract_sequence(cls):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        try:
            return ModelData.get_id('order_archive', 'sequence_contract')
        except KeyError:
            return None


class ConfigurationContract(CompanyValueMixin, ModelSQL):
    __name__ = 'order.archive.configuration.contract'

    contract_notice = fields.Integer(
        "Contract Expiry Notice",
        domain=['OR',
            ('contract_notice', '=', None),
            ('contract_notice', '>', 0),
            ])

    @classmethod
    def default_contract_notice(cls):
        return 30


class Contract(Workflow, EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.contract'
    _rec_name = 'number'

    # In which states the clients can change what
    _editable = {
        **dict.fromkeys([
                'company', 'sale', 'supplement_of', 'change_reason', 'name',
                'reference', 'start_date', 'end_date', 'verification'],
            ['draft']),
        'handler': ['draft', *_LIVE],
        'signatures': ['registered', 'signed', 'sealed', 'verified', *_ENDED],
        **dict.fromkeys(['seal_name', 'sealed_on'], ['signed']),
        **dict.fromkeys(
            ['verified_by', 'verified_on', 'verification_number'],
            ['sealed']),
        **dict.fromkeys(
            ['place', 'received_by', 'deposited_on', 'originals'],
            ['sealed', 'verified', *_ENDED]),
        'loans': ['deposited', *_ENDED],
        **dict.fromkeys([
                'termination_reason', 'termination_date',
                'termination_agreement'], _LIVE),
        }

    number = fields.Char(
        "Number", readonly=True,
        states={
            'required': Eval('state') != 'draft',
            })
    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'on_change_with_party', searcher='search_sale_field')
    name = fields.Char("Subject", required=True)
    reference = fields.Char(
        "Their Number", help="The number that the other party gave it.")
    handler = fields.Many2One(
        'company.employee', "Handler", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="Who looks after the contract and is told before it expires.")
    start_date = fields.Date("Start Date")
    end_date = fields.Date(
        "End Date", help="The last day. Leave empty if it does not expire.")
    valid_until = fields.Date(
        "Valid Until", readonly=True,
        states={
            'invisible': ~Eval('valid_until'),
            },
        help="The end date, or that of the last supplement that has one.")
    supplement_of = fields.Many2One(
        'sale.contract', "Supplement Of", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ('sale', '=', Eval('sale', -1)),
            ('supplement_of', '=', None),
            ],
        states={
            'invisible': ~Eval('supplement_of'),
            },
        help="The contract that it changes.")
    change_reason = fields.Text(
        "Reason of the Change",
        states={
            'invisible': ~Eval('supplement_of'),
            'required': (
                Bool(Eval('supplement_of')) & (Eval('state') != 'draft')),
            })
    supplements = fields.One2Many(
        'sale.contract', 'supplement_of', "Supplements", readonly=True,
        order=[('id', 'ASC')])
    registered_by = fields.Many2One(
        'company.employee', "Registered By", readonly=True,
        ondelete='RESTRICT')
    registered_at = fields.DateTime("Registered At", readonly=True)

    # The overview, copied from the order when it is registered
    seller = fields.Text("Seller", readonly=True)
    buyer = fields.Text("Buyer", readonly=True)
    order_number = fields.Char("Order", readonly=True)
    order_reference = fields.Char("Order Reference", readonly=True)
    order_date = fields.Date("Order Date", readonly=True)
    delivery_date = fields.Date("Delivery Date", readonly=True)
    delivery_address = fields.Text("Delivery Address", readonly=True)
    payment_term = fields.Char("Payment Term", readonly=True)
    lines = fields.Text("Lines", readonly=True)
    currency = fields.Many2One(
        'currency.currency', "Currency", readonly=True, ondelete='RESTRICT')
    untaxed_amount = Monetary(
        "Untaxed", currency='currency', digits='currency', readonly=True)
    tax_amount = Monetary(
        "Tax", currency='currency', digits='currency', readonly=True)
    total_amount = Monetary(
        "Total", currency='currency', digits='currency', readonly=True)
    differences = fields.Function(
        fields.Text(
            "Differences",
            states={
                'invisible': ~Eval('differences'),
                },
            help="What the order has now that has not been agreed by the "
            "contract or a supplement."),
        'get_differences')

    # The review, copied when it is registered
    review_number = fields.Char("Review", readonly=True)
    review_round = fields.Integer("Round", readonly=True)
    review_result = fields.Char("Review Result", readonly=True)
    review_closed_at = fields.DateTime("Review Closed At", readonly=True)
    review_signatories = fields.Text("Review Signatories", readonly=True)
    review_digest = fields.Char(
        "Review Digest", readonly=True,
        help="The SHA-256 of the content that was reviewed.")

    signatures = fields.One2Many(
        'sale.contract.signature', 'contract', "Signatures",
        order=[('date', 'ASC'), ('id', 'ASC')])
    seal_name = fields.Char("Seal", help="Which of the seals was applied.")
    sealed_on = fields.Date("Sealed On")
    sealed_by = fields.Many2One(
        'company.employee', "Seal Keeper", readonly=True, ondelete='RESTRICT')
    verification = fields.Selection([
            ('none', "Not Required"),
            ('verification', "Verification"),
            ('notarisation', "Notarisation"),
            ], "Verification", required=True, sort=False,
        help="What is required after the seal.")
    verified_by = fields.Char(
        "Verified By", help="The authority or the notary.")
    verified_on = fields.Date("Verified On")
    verification_number = fields.Char("Verification Number")
    place = fields.Char("Place", help="Where the originals are kept.")
    received_by = fields.Many2One(
        'company.employee', "Received By", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    deposited_on = fields.Date("Deposited On")
    originals = fields.Integer(
        "Originals",
        domain=['OR',
            ('originals', '=', None),
            ('originals', '>', 0),
            ],
        help="How many originals have been deposited.")
    deposited_at = fields.DateTime(
        "Deposit Recorded At", readonly=True,
        states={
            'invisible': ~Eval('deposited_at'),
            })
    loans = fields.One2Many('sale.contract.loan', 'contract', "Copies Lent")
    termination_reason = fields.Text("Reason of the Termination")
    termination_date = fields.Date("Termination Date")
    termination_agreement = fields.Char(
        "Agreement",
        help="The agreement or the notice by which the contract ends.")

    sale_state = fields.Function(
        fields.Selection('get_sale_states', "Order State"),
        'get_sale_field', searcher='search_sale_field')
    shipment_state = fields.Function(
        fields.Selection('get_shipment_states', "Shipment State"),
        'get_sale_field', searcher='search_sale_field')
    invoice_state = fields.Function(
        fields.Selection('get_invoice_states', "Invoice State"),
        'get_sale_field', searcher='search_sale_field')
    overdue = fields.Function(
        fields.Boolean(
            "Overdue",
            help="Not all has been delivered though the delivery date has "
            "passed."),
        'get_searched', searcher='search_overdue')
    expiring = fields.Function(
        fields.Boolean("Expiring"),
        'get_searched', searcher='search_expiring')
    archive = fields.Function(
        fields.Many2One('order.archive', "File"), 'get_archive')
    reminded_of = fields.Date("Reminded Of", readonly=True)
    state = fields.Selection([
            ('draft', "Draft"),
            ('registered', "Registered"),
            ('signed', "Signed"),
            ('sealed', "Sealed"),
            ('verified', "Verified"),
            ('deposited', "Deposited"),
            ('expired', "Expired"),
            ('terminated', "Terminated"),
            ], "State", required=True, readonly=True, sort=False)
    state_string = state.translated('state')

    @classmethod
    def __setup__(cls):
        cls.number.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints += [
            ('number_unique', Unique(t, t.number, t.company),
                'order_archive.msg_contract_number_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.number, Index.Similarity())),
                Index(t, (t.sale, Index.Equality())),
                Index(t, (t.supplement_of, Index.Equality()),
                    where=t.supplement_of != Null),
                Index(t, (t.handler, Index.Equality())),
                Index(t, (t.id, Index.Range(order='DESC')),
                    (t.state, Index.Equality(cardinality='low'))),
                Index(t, (t.state, Index.Equality(cardinality='low')),
                    where=t.state.in_([
                            'draft', 'registered', 'signed', 'sealed',
                            'verified'])),
                Index(t, (t.valid_until, Index.Range()),
                    where=t.state.in_(_BINDING)),
                Index(t, (t.delivery_date, Index.Range()),
                    where=t.state.in_(_BINDING)),
                })
        cls._order = [('id', 'DESC')]
        cls._transitions |= {
            ('draft', 'registered'),
            ('registered', 'signed'),
            ('signed', 'sealed'),
            ('sealed', 'verified'),
            ('sealed', 'deposited'),
            ('verified', 'deposited'),
            *((s, 'expired') for s in _BINDING),
            *((s, 'terminated') for s in _LIVE),
            }
        for name, states in cls._editable.items():
            field = getattr(cls, name)
            field.states['readonly'] = ~Eval('state').in_(states)
        for name in ['place', 'received_by', 'deposited_on', 'originals']:
            field = getattr(cls, name)
            field.states['readonly'] |= Bool(Eval('deposited_at'))
        for name in ['verified_by', 'verified_on', 'verification_number']:
            getattr(cls, name).states['invisible'] = (
                Eval('verification') == 'none')
        state = Eval('state')
        cls._buttons.update({
                'register': {
                    'invisible': state != 'draft',
                    'icon': 'tryton-forward',
                    'depends': ['state'],
                    },
                'sign': {
                    'invisible': state != 'registered',
                    'icon': 'tryton-forward',
                    'depends': ['state'],
                    },
                # Shown before they can be done to tell what is missing
                'seal': {
                    'invisible': ~state.in_(['registered', 'signed']),
                    'icon': 'tryton-forward',
                    'depends': ['state'],
                    },
                'verify': {
                    'invisible': (
                        (state != 'sealed')
                        | (Eval('verification') == 'none')),
                    'icon': 'tryton-forward',
                    'depends': ['state', 'verification'],
                    },
                'deposit': {
                    'invisible': ~(
                        state.in_(['signed', 'sealed', 'verified'])
                        | (state.in_(_ENDED) & Bool(Eval('sealed_by'))
                            & ~Eval('deposited_at'))),
                    'icon': 'tryton-archive',
                    'depends': ['state', 'sealed_by', 'deposited_at'],
                    },
                'supplement': {
                    'invisible': (
                        ~state.in_(_BINDING) | Bool(Eval('supplement_of'))),
                    'icon': 'tryton-add',
                    'depends': ['state', 'supplement_of'],
                    },
                'terminate': {
                    'invisible': ~state.in_(_LIVE),
                    'icon': 'tryton-cancel',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_handler(cls):
        return Transaction().context.get('employee')

    @classmethod
    def default_verification(cls):
        return 'none'

    @classmethod
    def default_state(cls):
        return 'draft'

    @fields.depends('sale', '_parent_sale.party')
    def on_change_with_party(self, name=None):
        return self.sale.party if self.sale else None

    @fields.depends(
        'sale', 'name', '_parent_sale.description', '_parent_sale.company',
        '_parent_sale.rec_name')
    def on_change_sale(self):
        if self.sale:
            self.company = self.sale.company
            if not self.name:
                self.name = self.sale.description or self.sale.rec_name

    @classmethod
    def search_sale_field(cls, name, clause):
        nested = clause[0][len(name):]
        name = {'sale_state': 'state'}.get(name, name)
        return [(f'sale.{name}{nested}', *clause[1:])]

    @classmethod
    def get_sale_field(cls, contracts, names):
        values = {n: {} for n in names}
        for contract in contracts:
            for name in names:
                values[name][contract.id] = getattr(
                    contract.sale, {'sale_state': 'state'}.get(name, name))
        return values

    @classmethod
    def _get_sale_selection(cls, name):
        pool = Pool()
        Sale = pool.get('sale.sale')
        return Sale.fields_get([name])[name]['selection']

    @classmethod
    def get_sale_states(cls):
        return cls._get_sale_selection('state')

    @classmethod
    def get_shipment_states(cls):
        return cls._get_sale_selection('shipment_state')

    @classmethod
    def get_invoice_states(cls):
        return cls._get_sale_selection('invoice_state')

    @classmethod
    def get_archive(cls, contracts, name):
        pool = Pool()
        Archive = pool.get('order.archive')
        archives = {
            a.sale.id: a.id for a in Archive.search([
                    ('sale', 'in', list({c.sale.id for c in contracts})),
                    ], order=[('id', 'ASC')])}
        return {c.id: archives.get(c.sale.id) for c in contracts}

    @classmethod
    def get_searched(cls, contracts, names):
        values = {}
        for name in names:
            ids = {c.id for c in cls.search([
                        (name, '=', True),
                        ('id', 'in', [c.id for c in contracts]),
                        ])}
            values[name] = {c.id: c.id in ids for c in contracts}
        return values

    @classmethod
    def _search_boolean(cls, clause, domain):
        "Return the domain or its negation following the clause"
        return _search_boolean(
            clause, domain,
            lambda: [('id', 'not in', cls.search(domain, query=True))])

    @classmethod
    def search_overdue(cls, name, clause):
        pool = Pool()
        Date = pool.get('ir.date')
        return cls._search_boolean(clause, [
                ('state', 'in', _BINDING),
                ('delivery_date', '<', Date.today()),
                ('sale.state', 'not in', ['done', 'cancelled']),
                ('sale.shipment_state', '!=', 'sent'),
                ])

    @classmethod
    def search_expiring(cls, name, clause):
        return cls._search_boolean(clause, cls._get_expiring())

    @classmethod
    @without_check_access
    def _get_expiring(cls, *companies):
        """Return the domain of the contracts that expire within the days of
        notice of their companies"""
        pool = Pool()
        Company = pool.get('company.company')
        Configuration = pool.get('order.archive.configuration')
        configuration = Configuration(1)
        domain = ['OR']
        for company in companies or Company.search([]):
            if days := configuration.get_multivalue(
                    'contract_notice', company=company.id):
                today = _get_today(company)
                domain.append([
                        ('company', '=', company.id),
                        ('valid_until', '>=', today),
                        ('valid_until', '<=', today + dt.timedelta(days=days)),
                        ])
        if len(domain) == 1:
            return [('id', '=', None)]
        return [
            ('state', 'in', _BINDING),
            ('supplement_of', '=', None),
            domain,
            ]

    def get_rec_name(self, name):
        return self.number or f'{self.name} ({self.id})'

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, value, *_ = clause
        bool_op = (
            'AND' if operator.startswith('!') or operator.startswith('not ')
            else 'OR')
        return [bool_op,
            ('number', *clause[1:]),
            ('name', *clause[1:]),
            ('reference', *clause[1:]),
            ]

    @classmethod
    def view_attributes(cls):
        past = Eval('valid_until', Date()) < Date()
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(_ENDED), 'muted', '')),
            ('/tree/field[@name="valid_until"]', 'visual',
                If(Eval('state').in_(_ENDED), '',
                    If(past, 'danger',
                        If(Eval('expiring', False), 'warning', ''))),
                ['expiring']),
            ('/tree/field[@name="delivery_date"]', 'visual',
                If(Eval('overdue', False), 'danger', ''), ['overdue']),
            ('//page[@id="overview"]', 'states', {
                    'invisible': Eval('state') == 'draft',
                    }),
            ('//page[@id="review"]', 'states', {
                    'invisible': ~Eval('review_number'),
                    }, ['review_number']),
            ('//page[@id="signing"]', 'states', {
                    'invisible': Eval('state') == 'draft',
                    }),
            ('//group[@id="seal"]', 'states', {
                    'invisible': Eval('state').in_(['draft', 'registered']),
                    }),
            ('//group[@id="verification"]', 'states', {
                    'invisible': (
                        (Eval('verification') == 'none')
                        | Eval('state').in_([
                                'draft', 'registered', 'signed'])),
                    }),
            ('//page[@id="deposit"]', 'states', {
                    'invisible': Eval('state').in_([
                            'draft', 'registered', 'signed']),
                    }),
            ('//page[@id="performance"]', 'states', {
                    'invisible': Eval('state') == 'draft',
                    }),
            ('//page[@id="termination"]', 'states', {
                    'invisible': Eval('state').in_(['draft', 'expired']),
                    }),
            ]

    @classmethod
    def copy(cls, contracts, default=None):
        default = default.copy() if default is not None else {}
        for name in [*cls._get_evidence(), 'supplements']:
            default.setdefault(name)
        return super().copy(contracts, default=default)

    # What can be changed

    @classmethod
    def check_modification(cls, mode, contracts, values=None, external=False):
        if Transaction().context.get('_order_archive'):
            return super().check_modification(
                mode, contracts, values=values, external=external)
        for contract in contracts:
            if mode == 'create':
                allowed = contract.state == 'draft' and not any(
                    getattr(contract, n) for n in cls._get_evidence())
            elif mode == 'delete':
                allowed = contract.state == 'draft'
            else:
                allowed = all(contract._is_editable(n) for n in values)
            if not allowed:
                super().check_modification(
                    mode, [contract], values=values, external=external)

    @classmethod
    def _get_evidence(cls):
        "Return the names of the fields that are empty in a draft"
        return [
            n for n, f in cls._fields.items()
            if n not in {
                'id', 'create_uid', 'create_date', 'write_uid', 'write_date',
                'state', 'supplements'}
            and not isinstance(f, fields.Function)
            and 'draft' not in cls._editable.get(n, [])]

    def _is_editable(self, name):
        if name in {'place', 'received_by', 'deposited_on', 'originals'}:
            if self.deposited_at:
                return False
        return self.state in self._editable.get(name, [])

    @classmethod
    def on_modification(cls, mode, contracts, field_names=None):
        pool = Pool()
        Event = pool.get('order.archive.event')
        super().on_modification(mode, contracts, field_names=field_names)
        if (mode == 'write'
                and not Transaction().context.get('_order_archive')
                and set(field_names) & set(cls._ledger_fields)):
            if changed := [c for c in contracts if c.state != 'draft']:
                Event.record('change', cls.browse(changed))

    @classmethod
    def validate_fields(cls, contracts, field_names):
        super().validate_fields(contracts, field_names)
        if field_names is None or field_names & {'start_date', 'end_date'}:
            for contract in contracts:
                if (contract.start_date and contract.end_date
                        and contract.end_date < contract.start_date):
                    raise ContractError(gettext(
                            'order_archive.msg_contract_end_before_start',
                            contract=contract.rec_name))

    _ledger_fields = [
        'company', 'number', 'sale', 'name', 'reference', 'handler',
        'start_date', 'end_date', 'valid_until', 'supplement_of',
        'change_reason', 'registered_by', 'registered_at', 'seller', 'buyer',
        'order_number', 'order_reference', 'order_date', 'delivery_date',
        'delivery_address', 'payment_term', 'lines', 'currency',
        'untaxed_amount', 'tax_amount', 'total_amount', 'review_number',
        'review_round', 'review_result', 'review_closed_at',
        'review_signatories', 'review_digest', 'seal_name', 'sealed_on',
        'sealed_by', 'verification', 'verified_by', 'verified_on',
        'verification_number', 'place', 'received_by', 'deposited_on',
        'originals', 'deposited_at', 'termination_reason',
        'termination_date', 'termination_agreement', 'state']

    def ledger_values(self):
        return {
            **_get_values(self, self._ledger_fields),
            'signatures': [
                _get_values(s, [
                        'id', 'side', 'employee', 'name', 'post', 'date',
                        'kind', 'mandate', 'authority'])
                for s in sorted(self.signatures, key=lambda s: s.id)],
            }

    # The transitions

    @classmethod
    def _check_states(cls, contracts, states, message):
        """Return the contracts in one of the states and the list of texts of
        why the others are not"""
        problems = [
            gettext(f'order_archive.msg_contract_{message}',
                contract=c.rec_name, state=c.state_string)
            for c in contracts if c.state not in states]
        return [c for c in contracts if c.state in states], problems

    @classmethod
    def _check_employees(cls, contracts, problems):
        "Return by company the employee of the user"
        employees = {
            company: get_employee(company)
            for company in {c.company for c in contracts}}
        problems.extend(
            gettext('order_archive.msg_contract_employee',
                company=company.rec_name)
            for company, employee in employees.items() if not employee)
        return employees

    def _check_date(self, name, problems, after=None):
        "Return the date, today if there is none, which cannot be to come"
        today = _get_today(self.company)
        date = getattr(self, name) or today
        values = {
            'contract': self.rec_name,
            'field': self.__names__(name)['field'],
            }
        if date > today:
            problems.append(gettext(
                    'order_archive.msg_contract_date_future', **values))
        elif after and date < after:
            problems.append(gettext(
                    'order_archive.msg_contract_date_before',
                    date=Report.format_date(after), **values))
        return date

    def _check_filled(self, names, problems):
        if empty := [n for n in names if not getattr(self, n)]:
            problems.append(gettext(
                    'order_archive.msg_contract_missing',
                    contract=self.rec_name,
                    fields=', '.join(
                        self.__names__(n)['field'] for n in empty)))

    def _check_supplemented(self, problems):
        original = self.supplement_of
        if original and original.state not in _BINDING:
            problems.append(gettext(
                    'order_archive.msg_contract_supplement_of',
                    contract=self.rec_name,
                    original=original.rec_name,
                    state=original.state_string))

    @classmethod
    def _transit(cls, state, values, action=None):
        """Write the values by contract with the new state and record it

        Contracts whose state is None keep theirs."""
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        contracts = cls.browse(list(values))
        to_write = []
        moved = []
        for contract in contracts:
            c_values = values[contract]
            if c_values.setdefault('state', state) != contract.state:
                moved.append(contract)
            to_write.extend([[contract], c_values])
        if not contracts:
            return
        with _recording():
            cls.write(*to_write)
        cls.log(moved, 'transition', f'state:{state}')
        Event.record(action or state, cls.browse(contracts))
        Archive.prolong({c.sale for c in contracts})

    @classmethod
    @ModelView.button
    def register(cls, contracts):
        pool = Pool()
        Archive = pool.get('order.archive')
        Configuration = pool.get('order.archive.configuration')
        contracts = cls.browse(sorted(contracts, key=lambda c: c.id))
        contracts, problems = cls._check_states(
            contracts, ['draft'], 'not_draft')
        employees = cls._check_employees(contracts, problems)
        for contract in contracts:
            values = {
                'contract': contract.rec_name,
                'sale': contract.sale.rec_name,
                }
            if contract.sale.state in {'draft', 'cancelled'}:
                problems.append(gettext(
                        'order_archive.msg_contract_sale_state', **values))
            if contract.supplement_of:
                contract._check_filled(['change_reason'], problems)
            contract._check_supplemented(problems)
        reviews = cls._get_reviews(
            list({c.sale for c in contracts}), problems)
        if problems:
            raise ContractError('\n'.join(problems))
        configuration = Configuration(1)
        now = _now()
        to_write = {}
        for company, c_contracts in group_by_company(contracts):
            numbers = configuration.get_multivalue(
                'contract_sequence', company=company.id
                ).get_many(len(c_contracts))
            for contract, number in zip(c_contracts, numbers):
                to_write[contract] = {
                    **cls._get_overview(contract.sale),
                    **reviews.get(contract.sale, {}),
                    'number': number,
                    'valid_until': contract.end_date,
                    'registered_by': employees[company].id,
                    'registered_at': now,
                    }
        cls._transit('registered', to_write)
        # The files are found by the number
        Archive.update_search(Archive.search([
                    ('sale', 'in', list({c.sale.id for c in contracts})),
                    ]))

    @classmethod
    def _get_overview(cls, sale):
        "Return the values of what the order says"
        def get_party(party, address):
            identifier = party.tax_identifier
            return '\n'.join(filter(None, [
                        party.rec_name,
                        (f'{identifier.type_string} {identifier.code}'
                            if identifier else None),
                        address.full_address if address else None]))

        company = sale.company.party
        return {
            'seller': get_party(company, company.address_get()),
            'buyer': get_party(sale.party, sale.invoice_address),
            'order_number': sale.number,
            'order_reference': sale.reference,
            'order_date': sale.sale_date or sale.quotation_date,
            'delivery_date': cls._get_delivery_date(sale),
            'delivery_address': (
                sale.shipment_address.full_address
                if sale.shipment_address else None),
            'payment_term': (
                sale.payment_term.rec_name if sale.payment_term else None),
            'lines': '\n'.join(
                cls._format_line(l) for l in sale.lines if l.type == 'line'),
            'currency': sale.currency.id,
            'untaxed_amount': sale.untaxed_amount,
            'tax_amount': sale.tax_amount,
            'total_amount': sale.total_amount,
            }

    @classmethod
    def _get_delivery_date(cls, sale):
        "Return when the last of the order is to be delivered"
        if sale.shipping_date:
            return sale.shipping_date
        return max(
            filter(None, (l.shipping_date for l in sale.lines)), default=None)

    @classmethod
    def _format_line(cls, line):
        text = ' – '.join(filter(None, [
                    line.product.rec_name if line.product else None,
                    line.summary]))
        quantity = Report.format_number(line.quantity, None)
        if line.unit:
            quantity = Report.format_number_symbol(
                line.quantity, None, line.unit, digits=line.unit.digits)
        currency = line.sale.currency
        return gettext('order_archive.msg_contract_line',
            product=text,
            quantity=quantity,
            price=Report.format_currency(
                line.unit_price, None, currency,
                digits=max(
                    currency.digits,
                    -line.unit_price.normalize().as_tuple().exponent)),
            amount=Report.format_currency(line.amount, None, currency))

    @classmethod
    def _get_reviews(cls, sales, problems):
        """Return by sale the values of its review and add to the problems why
        it cannot be registered"""
        return {}

    @classmethod
    def get_differences(cls, contracts, name):
        differences = dict.fromkeys(c.id for c in contracts)
        for contract in contracts:
            agreed = contract
            for supplement in contract.supplements:
                if supplement.state in _BINDING:
                    agreed = supplement
            if contract.state not in _LIVE or contract.supplement_of:
                continue
            texts = []
            for field, value in cls._get_overview(contract.sale).items():
                old = getattr(agreed, field)
                if field in {
                        'seller', 'order_number', 'order_reference',
                        'order_date', 'currency'}:
                    # Not what has been agreed on
                    continue
                if (old or None) != (value or None):
                    texts.append(gettext(
                            'order_archive.msg_contract_difference',
                            field=cls.__names__(field)['field'],
                            old=agreed._format(field, old),
                            new=agreed._format(field, value)))
            differences[contract.id] = '\n'.join(texts) or None
        return differences

    def _format(self, name, value):
        if value is None or value == '':
            return '–'
        elif isinstance(value, dt.date):
            return Report.format_date(value)
        elif isinstance(value, Decimal):
            return Report.format_currency(
                value, None, self.currency or self.sale.currency)
        return value

    @classmethod
    @ModelView.button
    def sign(cls, contracts):
        pool = Pool()
        Signature = pool.get('sale.contract.signature')
        contracts, problems = cls._check_states(
            cls.browse(contracts), ['registered'], 'not_registered')
        signatures = []
        for contract in contracts:
            own = [s for s in contract.signatures if s.side == 'own']
            if not own:
                problems.append(gettext(
                        'order_archive.msg_contract_no_signature',
                        contract=contract.rec_name))
            signatures.extend(own)
        mandates = Signature.get_mandates(signatures, problems)
        if problems:
            raise ContractError('\n'.join(problems))
        to_write = []
        for signature in signatures:
            mandate = mandates[signature]
            to_write.extend([[signature], {
                        'name': signature.employee.rec_name,
                        'kind': mandate.kind,
                        'mandate': mandate.id,
                        'authority': mandate.description,
                        }])
        with _recording():
            if to_write:
                Signature.write(*to_write)
        cls._transit('signed', {c: {} for c in contracts})
        cls.collect(contracts)

    def _get_signed_on(self):
        "Return the date of the first signature that counts"
        return min(
            (s.date for s in self.signatures if s.mandate), default=None)

    @classmethod
    @ModelView.button
    def seal(cls, contracts):
        contracts, problems = cls._check_states(
            cls.browse(contracts), ['signed'], 'not_signed')
        employees = cls._check_employees(contracts, problems)
        to_write = {}
        for contract in contracts:
            contract._check_filled(['seal_name'], problems)
            signed = contract._get_signed_on()
            if not signed:
                problems.append(gettext(
                        'order_archive.msg_contract_no_signature',
                        contract=contract.rec_name))
            contract._check_supplemented(problems)
            to_write[contract] = {
                'sealed_on': contract._check_date(
                    'sealed_on', problems, signed),
                'sealed_by': getattr(employees[contract.company], 'id', None),
                }
        if problems:
            raise ContractError('\n'.join(problems))
        cls._transit('sealed', to_write)
        # Of several the last one counts
        extended = {
            c.supplement_of: {
                'valid_until': c.end_date,
                'state': c.supplement_of.state,
                }
            for c in cls.browse(sorted(contracts, key=lambda c: c.id))
            if c.supplement_of and c.end_date}
        cls._transit(None, extended, 'extend')

    @classmethod
    @ModelView.button
    def verify(cls, contracts):
        contracts, problems = cls._check_states(
            cls.browse(contracts), ['sealed'], 'not_sealed')
        to_write = {}
        for contract in contracts:
            if contract.verification == 'none':
                problems.append(gettext(
                        'order_archive.msg_contract_no_verification',
                        contract=contract.rec_name))
                continue
            contract._check_filled(
                ['verified_by', 'verification_number'], problems)
            to_write[contract] = {
                'verified_on': contract._check_date(
                    'verified_on', problems, contract._get_signed_on()),
                }
        if problems:
            raise ContractError('\n'.join(problems))
        cls._transit('verified', to_write)

    @classmethod
    @ModelView.button
    def deposit(cls, contracts):
        contracts, problems = cls._check_states(
            cls.browse(contracts), ['sealed', 'verified', *_ENDED],
            'not_sealed')
        employees = cls._check_employees(contracts, problems)
        now = _now()
        to_write = {}
        for contract in contracts:
            values = {
                'contract': contract.rec_name,
                'state': contract.state_string,
                }
            if not contract.sealed_by:
                problems.append(gettext(
                        'order_archive.msg_contract_not_sealed', **values))
                continue
            if contract.deposited_at:
                problems.append(gettext(
                        'order_archive.msg_contract_deposited', **values))
                continue
            if (contract.state == 'sealed'
                    and contract.verification != 'none'):
                problems.append(gettext(
                        'order_archive.msg_contract_not_verified', **values))
            # One that has ended is kept as it is
            if contract.state != 'terminated' and not any(
                    s.side == 'counterparty' for s in contract.signatures):
                problems.append(gettext(
                        'order_archive.msg_contract_counterparty', **values))
            contract._check_filled(['place', 'originals'], problems)
            receiver = contract.received_by or employees[contract.company]
            to_write[contract] = {
                'deposited_on': contract._check_date(
                    'deposited_on', problems, contract.sealed_on),
                'deposited_at': now,
                'received_by': receiver.id if receiver else None,
                }
            if contract.state in _ENDED:
                to_write[contract]['state'] = contract.state
        if problems:
            raise ContractError('\n'.join(problems))
        cls._transit('deposited', to_write)
        cls.collect(contracts)

    @classmethod
    @ModelView.button
    def terminate(cls, contracts):
        contracts, problems = cls._check_states(
            cls.browse(contracts), _LIVE, 'not_live')
        to_write = {}
        for contract in contracts:
            contract._check_filled(
                ['termination_reason', 'termination_agreement'], problems)
            values = {
                'termination_date': contract._check_date(
                    'termination_date', problems, contract.start_date),
                }
            to_write[contract] = values
            for supplement in contract.supplements:
                if supplement.state in _LIVE:
                    to_write.setdefault(supplement, {
                            **values,
                            'termination_reason': contract.termination_reason,
                            'termination_agreement': (
                                contract.termination_agreement),
                            })
        if problems:
            raise ContractError('\n'.join(problems))
        cls._transit('terminated', to_write)

    @classmethod
    @ModelView.button_action('order_archive.wizard_contract_supplement')
    def supplement(cls, contracts):
        pass

    @classmethod
    @without_check_access
    @per_company
    def watch(cls, company):
        """Let the contracts expire whose last day has passed, and notify the
        handlers of those that are about to, of each once"""
        expired = cls.search([
                ('company', '=', company.id),
                ('state', 'in', _BINDING),
                ('supplement_of', '=', None),
                ('valid_until', '<', _get_today(company)),
                ])
        to_write = {c: {} for c in expired}
        to_write.update(
            (s, {}) for c in expired for s in c.supplements
            if s.state in _BINDING)
        cls._transit('expired', to_write)
        # An extended contract is told of again
        expiring = [
            c for c in cls.search(cls._get_expiring(company))
            if c.reminded_of != c.valid_until]
        if told := cls._notify(expiring):
            to_write = []
            for contract in told:
                to_write.extend([
                        [contract], {'reminded_of': contract.valid_until}])
            with _recording():
                cls.write(*to_write)

    @classmethod
    def _notify(cls, contracts):
        """Notify the handlers, or who may seal if they are no users, and
        return the contracts of which somebody has been told"""
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        users = get_users({c.handler for c in contracts})
        by_user, told, others = defaultdict(list), [], None
        for contract in contracts:
            to_tell = users[contract.handler]
            if not to_tell:
                if others is None:
                    others = User.search([
                            ('groups', '=', ModelData.get_id(
                                    'order_archive', 'group_contract_seal')),
                            ('companies', '=', contract.company.id),
                            ])
                to_tell = others
            for user in to_tell:
                by_user[user].append(contract)
            if to_tell:
                told.append(contract)
        notify(
            by_user, 'tryton-warning',
            'order_archive.msg_contract_notification',
            lambda c: gettext(
                'order_archive.msg_contract_notification_name',
                contract=c.rec_name,
                party=c.party.rec_name,
                date=Report.format_date(c.valid_until)))
        return told

    # The order file

    @property
    def is_signed(self):
        "Whether our side has signed it"
        return any(s.mandate for s in self.signatures)

    @classmethod
    @without_check_access
    def collect(cls, contracts):
        "Copy the signed documents into the files of the orders"
        pool = Pool()
        Archive = pool.get('order.archive')
        Archive.gathered('contract', {c.sale for c in contracts})


class ContractReview(metaclass=PoolMeta):
    __name__ = 'sale.contract'

    @classmethod
    @without_check_access
    def _get_reviews(cls, sales, problems):
        pool = Pool()
        Review = pool.get('sale.review')
        values = super()._get_reviews(sales, problems)
        for sale in sales:
            if sale.review_state in {'required', 'open', 'returned'}:
                problems.append(gettext(
                        'order_archive.msg_contract_review',
                        sale=sale.rec_name,
                        state=sale.__names__('review_state', sale)['value']))
        for sale, review in Review.get_current(sales).items():
            values.setdefault(sale, {}).update({
                    'review_number': review.number,
                    'review_round': review.round,
                    'review_result': sale.__names__(
                        'review_state', sale)['value'],
                    'review_closed_at': review.closed_at,
                    'review_signatories': '\n'.join(
                        cls._format_signoff(s) for s in review.signoffs),
                    'review_digest': review.digest,
                    })
        return values

    @classmethod
    def _format_signoff(cls, signoff):
        state = signoff.__names__('state', signoff)['value']
        given = signoff.carried_from or signoff
        return ' – '.join(filter(None, [
                    signoff.department.rec_name, state,
                    ', '.join(d.signatory for d in given.decisions)]))


class Signature(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.contract.signature'

    contract = fields.Many2One(
        'sale.contract', "Contract", required=True, ondelete='RESTRICT')
    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_company')
    side = fields.Selection([
            ('own', "Our Side"),
            ('counterparty', "Other Party"),
            ], "Side", required=True, sort=False)
    employee = fields.Many2One(
        'company.employee', "Employee", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'required': Eval('side') == 'own',
            'readonly': Eval('side') != 'own',
            })
    name = fields.Char(
        "Name",
        states={
            'required': Eval('side') == 'counterparty',
            'readonly': Eval('side') != 'counterparty',
            })
    post = fields.Char("Post")
    date = fields.Date("Date", required=True)
    kind = fields.Selection(
        'get_kinds', "Signed As", readonly=True)
    mandate = fields.Many2One(
        'sale.contract.mandate', "Mandate", readonly=True,
        ondelete='RESTRICT')
    authority = fields.Char(
        "Authority", readonly=True,
        help="The mandate as it was when the contract was signed.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('contract')
        cls._sql_indexes.update({
                Index(t, (t.contract, Index.Equality())),
                Index(t, (t.mandate, Index.Equality())),
                })
        cls._order = [('date', 'ASC'), ('id', 'ASC')]

    @classmethod
    def default_side(cls):
        return 'own'

    @classmethod
    def get_kinds(cls):
        pool = Pool()
        Mandate = pool.get('sale.contract.mandate')
        return [
            (None, ''), *Mandate.fields_get(['kind'])['kind']['selection']]

    @fields.depends('contract', '_parent_contract.company')
    def on_change_with_company(self, name=None):
        return self.contract.company if self.contract else None

    @classmethod
    def search_company(cls, name, clause):
        return [('contract.' + clause[0], *clause[1:])]

    @fields.depends('side')
    def on_change_side(self):
        if self.side == 'own':
            self.name = None
        else:
            self.employee = None

    def get_rec_name(self, name):
        return self.employee.rec_name if self.employee else self.name

    @classmethod
    def check_modification(
            cls, mode, signatures, values=None, external=False):
        if Transaction().context.get('_order_archive'):
            return super().check_modification(
                mode, signatures, values=values, external=external)
        for signature in signatures:
            allowed = signature._is_editable()
            if mode == 'create':
                allowed &= not (
                    signature.kind or signature.mandate or signature.authority)
            elif mode == 'write':
                allowed &= values.keys() <= {
                    'employee', 'name', 'post', 'date'}
            if not allowed:
                super().check_modification(
                    mode, [signature], values=values, external=external)

    def _is_editable(self):
        # Ours cannot change once it is signed
        if self.side == 'own':
            return self.contract.state == 'registered'
        return (
            self.contract._is_editable('signatures')
            and not self.contract.deposited_at)

    @classmethod
    def on_modification(cls, mode, signatures, field_names=None):
        super().on_modification(mode, signatures, field_names=field_names)
        if (mode != 'delete'
                and not Transaction().context.get('_order_archive')):
            cls._record_change({s.contract for s in signatures})

    @classmethod
    def delete(cls, signatures):
        contracts = {s.contract for s in signatures}
        super().delete(signatures)
        cls._record_change(contracts)

    @classmethod
    @without_check_access
    def _record_change(cls, contracts):
        pool = Pool()
        Contract = pool.get('sale.contract')
        Event = pool.get('order.archive.event')
        contracts = Contract.browse({c.id for c in contracts})
        # Whoever changes it at the same time must start again
        with _recording():
            Contract.write(contracts, {})
        Event.record('change', Contract.browse(contracts))

    @classmethod
    def validate_fields(cls, signatures, field_names):
        super().validate_fields(signatures, field_names)
        if field_names is None or field_names & {'side', 'employee', 'date'}:
            problems = []
            for signature in signatures:
                if signature.date > _get_today(signature.company):
                    problems.append(gettext(
                            'order_archive.msg_contract_signature_future',
                            signature=signature.rec_name))
            cls.get_mandates(
                [s for s in signatures if s.side == 'own' and not s.mandate],
                problems)
            if problems:
                raise ContractSignatureError('\n'.join(problems))

    @classmethod
    @without_check_access
    def get_mandates(cls, signatures, problems):
        """Return by signature of our side the mandate that it was given with
        and add to the problems why there is none"""
        pool = Pool()
        Mandate = pool.get('sale.contract.mandate')
        by_employee = defaultdict(list)
        for mandate in Mandate.search([
                    ('employee', 'in', list({
                                s.employee.id for s in signatures})),
                    # The legal representative first
                    ], order=[('kind', 'ASC'), ('id', 'ASC')]):
            by_employee[mandate.employee].append(mandate)
        mandates = {}
        for signature in signatures:
            valid = [
                m for m in by_employee[signature.employee]
                if m.is_valid(signature.date)]
            values = {
                'contract': signature.contract.rec_name,
                'employee': signature.employee.rec_name,
                'date': Report.format_date(signature.date),
                }
            if not valid:
                problems.append(gettext(
                        'order_archive.msg_contract_no_mandate', **values))
                continue
            enough = [
                m for m in valid
                if m.covers(signature.contract, signature.date)]
            if not enough:
                problems.append(gettext(
                        'order_archive.msg_contract_mandate_limit',
                        amount=Report.format_currency(
                            signature.contract.total_amount, None,
                            signature.contract.currency),
                        mandates=', '.join(m.description for m in valid),
                        **values))
                continue
            mandates[signature] = enough[0]
        return mandates


class Mandate(ModelSQL, ModelView):
    __name__ = 'sale.contract.mandate'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    kind = fields.Selection([
            ('legal', "Legal Representative"),
            ('mandated', "Mandated Signatory"),
            ], "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    start_date = fields.Date("From", required=True)
    end_date = fields.Date(
        "To", help="The last day. Leave empty until it is withdrawn.")
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')
    limit = Monetary(
        "Limit", currency='currency', digits='currency',
        domain=['OR',
            ('limit', '=', None),
            ('limit', '>', 0),
            ],
        states={
            'invisible': Eval('kind') != 'mandated',
            },
        help="The total of the contracts up to which the mandate goes.\n"
        "Leave empty for no limit.")
    document = fields.Char(
        "Document", required=True,
        help="The number of the power of attorney or of the register.")
    used = fields.Function(
        fields.Boolean("Used", help="Contracts have been signed with it."),
        'get_used')
    archive = None

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.employee, Index.Equality())),
                })
        cls._order = [('start_date', 'DESC'), ('id', 'DESC')]
        for name in ['employee', 'kind', 'start_date', 'limit', 'document']:
            getattr(cls, name).states['readonly'] = Eval('used', False)

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_kind(cls):
        return 'mandated'

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return self.company.currency if self.company else None

    @fields.depends('kind')
    def on_change_kind(self):
        if self.kind == 'legal':
            self.limit = None

    @classmethod
    def get_used(cls, mandates, name):
        dates = cls._get_last_used(mandates)
        return {m.id: m.id in dates for m in mandates}

    @classmethod
    @without_check_access
    def _get_last_used(cls, mandates):
        "Return by id of mandate the last day on which it was signed with"
        pool = Pool()
        Signature = pool.get('sale.contract.signature')
        return {
            s.mandate.id: s.date for s in Signature.search([
                    ('mandate', 'in', [m.id for m in mandates]),
                    ], order=[('date', 'ASC')])}

    def get_rec_name(self, name):
        return self.description

    @classmethod
    def search_rec_name(cls, name, clause):
        return ['OR',
            ('employee.rec_name', *clause[1:]),
            ('document', *clause[1:]),
            ]

    @property
    def description(self):
        "The text that is kept of it with a signature"
        values = {
            'kind': self.kind_string,
            'employee': self.employee.rec_name,
            'document': self.document,
            'period': gettext(
                'order_archive.msg_mandate_period' if self.end_date
                else 'order_archive.msg_mandate_from',
                start=Report.format_date(self.start_date),
                end=(
                    Report.format_date(self.end_date)
                    if self.end_date else None)),
            }
        if self.limit is None:
            return gettext('order_archive.msg_mandate', **values)
        return gettext('order_archive.msg_mandate_limit',
            limit=Report.format_currency(self.limit, None, self.currency),
            **values)

    def is_valid(self, date):
        return (
            self.start_date <= date
            and (self.end_date is None or date <= self.end_date))

    def covers(self, contract, date):
        "Return whether the mandate goes up to the total of the contract"
        pool = Pool()
        Currency = pool.get('currency.currency')
        if self.limit is None:
            return True
        with Transaction().set_context(date=date):
            amount = Currency.compute(
                contract.currency, contract.total_amount, self.currency)
        return amount <= self.limit

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('end_date', Date()) < Date(), 'muted', '')),
            ]

    @classmethod
    def validate_fields(cls, mandates, field_names):
        super().validate_fields(mandates, field_names)
        for mandate in mandates:
            if mandate.end_date and mandate.end_date < mandate.start_date:
                raise MandateValidationError(gettext(
                        'order_archive.msg_mandate_end_before_start',
                        mandate=mandate.rec_name))

    @classmethod
    def check_modification(cls, mode, mandates, values=None, external=False):
        super().check_modification(
            mode, mandates, values=values, external=external)
        if mode == 'create':
            return
        elif mode == 'delete':
            raise AccessError(gettext(
                    'order_archive.msg_mandate_delete',
                    mandate=mandates[0].rec_name))
        elif 'company' in values and any(
                m.company.id != values['company'] for m in mandates):
            raise AccessError(gettext(
                    'order_archive.msg_mandate_company',
                    mandate=mandates[0].rec_name))
        used = cls._get_last_used(mandates)
        for mandate in mandates:
            if mandate.id not in used:
                continue
            last = used[mandate.id]
            if values.keys() - {'end_date'}:
                raise AccessError(gettext(
                        'order_archive.msg_mandate_used',
                        mandate=mandate.rec_name))
            elif values.get('end_date') and values['end_date'] < last:
                raise AccessError(gettext(
                        'order_archive.msg_mandate_used_after',
                        mandate=mandate.rec_name,
                        date=Report.format_date(last)))

    @classmethod
    def on_modification(cls, mode, mandates, field_names=None):
        pool = Pool()
        Event = pool.get('order.archive.event')
        super().on_modification(mode, mandates, field_names=field_names)
        if mode in {'create', 'write'}:
            Event.record(mode, mandates)

    def ledger_values(self):
        return _get_values(self, [
                'company', 'employee', 'kind', 'start_date', 'end_date',
                'limit', 'document'])


class Loan(LoanMixin, EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.contract.loan'
    _until = 'due_on'

    _states = {'readonly': Eval('id', -1) >= 0}

    contract = fields.Many2One(
        'sale.contract', "Contract", required=True, ondelete='RESTRICT',
        domain=[
            ('deposited_at', '!=', None),
            ],
        states=_states)
    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_company')
    copy_number = fields.Integer(
        "Copy", required=True, states=_states,
        help="Which of the originals was lent.")
    borrower = fields.Many2One(
        'party.party', "Borrower", required=True, ondelete='RESTRICT',
        states=_states,
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    purpose = fields.Char("Purpose", required=True, states=_states)
    lent_on = fields.Date("Lent On", required=True, states=_states)
    due_on = fields.Date("Due On", required=True, states=_states)
    lent_by = fields.Many2One(
        'company.employee', "Lent By", readonly=True, ondelete='RESTRICT')
    returned_on = fields.Date("Returned On", readonly=True)
    returned_to = fields.Many2One(
        'company.employee', "Returned To", readonly=True, ondelete='RESTRICT')
    state = fields.Selection([
            ('lent', "Lent"),
            ('returned', "Returned"),
            ], "State", required=True, readonly=True, sort=False)

    del _states

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('contract')
        cls._sql_constraints += [
            ('copy_exclude',
                Exclude(t,
                    (t.contract, Equal), (t.copy_number, Equal),
                    where=t.state == 'lent'),
                'order_archive.msg_contract_loan_lent_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.contract, Index.Equality())),
                Index(t, (t.borrower, Index.Equality())),
                Index(t, (t.due_on, Index.Range()),
                    where=t.state == 'lent'),
                })
        cls._order = [('lent_on', 'DESC'), ('id', 'DESC')]
        cls._buttons.update({
                'return_': {
                    'invisible': Eval('state') != 'lent',
                    'icon': 'tryton-back',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_copy_number(cls):
        return 1

    @classmethod
    def default_lent_on(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    @classmethod
    def default_state(cls):
        return 'lent'

    @fields.depends('contract', '_parent_contract.company')
    def on_change_with_company(self, name=None):
        return self.contract.company if self.contract else None

    @classmethod
    def search_company(cls, name, clause):
        return [('contract.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return gettext('order_archive.msg_contract_loan_name',
            contract=self.contract.rec_name, copy=self.copy_number)

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('contract.rec_name', *clause[1:])]

    @property
    def archive(self):
        return self.contract.archive

    @property
    def lent(self):
        return self

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'returned', 'muted',
                    If(Eval('due_on', Date()) < Date(), 'danger', ''))),
            ]

    @classmethod
    def _deny_modification(cls, mode, loans):
        # Who may create lends
        if mode != 'create':
            super()._deny_modification(mode, loans)

    @classmethod
    def create(cls, vlist):
        pool = Pool()
        Contract = pool.get('sale.contract')
        Archive = pool.get('order.archive')
        # What the server knows better than who lends
        vlist = [v.copy() for v in vlist]
        employees = _Employees()
        with without_check_access():
            contracts = {
                c.id: c for c in Contract.browse(list({
                            v['contract'] for v in vlist
                            if v.get('contract')}))}
            for values in vlist:
                employee = None
                if contract := contracts.get(values.get('contract')):
                    employee = employees[contract.company]
                values.update(
                    state='lent', lent_by=employee.id if employee else None,
                    returned_on=None, returned_to=None)
            # As a disposal does, so that neither passes by the other
            archives = Archive.search([
                    ('sale', 'in', list({
                                c.sale.id for c in contracts.values()})),
                    ])
            Archive.lock(archives)
            open_ = {
                a.sale for a in Archive.browse(archives)
                if a.state != 'disposed'}
            for archive in archives:
                if archive.sale not in open_:
                    raise LoanError(gettext(
                            'order_archive.msg_loan_state',
                            record=archive.rec_name,
                            state=archive.state_string))
            # The database would not tell to whom
            cls._check_lent(list(contracts), vlist)
        return super().create(vlist)

    @classmethod
    def _check_lent(cls, contracts, vlist):
        lent = {
            (l.contract.id, l.copy_number): l for l in cls.search([
                    ('contract', 'in', contracts),
                    ('state', '=', 'lent'),
                    ])}
        problems = [
            gettext('order_archive.msg_contract_loan_lent',
                contract=l.contract.rec_name,
                copy=l.copy_number,
                borrower=l.borrower.rec_name)
            for l in (
                lent.get((v.get('contract'), v.get('copy_number')))
                for v in vlist)
            if l]
        if problems:
            raise LoanError('\n'.join(problems))

    @classmethod
    def on_modification(cls, mode, loans, field_names=None):
        pool = Pool()
        Event = pool.get('order.archive.event')
        super().on_modification(mode, loans, field_names=field_names)
        if mode == 'create':
            Event.record('lend', loans)

    @classmethod
    def validate(cls, loans):
        super().validate(loans)
        problems = []
        for loan in loans:
            values = {
                'contract': loan.contract.rec_name,
                'copy': loan.copy_number,
                }
            if not loan.contract.deposited_at:
                message = 'msg_contract_loan_not_deposited'
            elif not loan.lent_by:
                message = 'msg_contract_employee'
                values['company'] = loan.company.rec_name
            elif not 1 <= loan.copy_number <= loan.contract.originals:
                message = 'msg_contract_loan_copy'
                values['originals'] = loan.contract.originals
            elif loan.due_on < loan.lent_on:
                message = 'msg_contract_loan_due'
            elif loan.lent_on < loan.contract.deposited_on:
                message = 'msg_contract_loan_before_deposit'
            elif loan.lent_on > _get_today(loan.company):
                message = 'msg_contract_loan_future'
            else:
                continue
            problems.append(gettext(f'order_archive.{message}', **values))
        if problems:
            raise LoanError('\n'.join(problems))

    @classmethod
    @ModelView.button
    def return_(cls, loans):
        pool = Pool()
        Event = pool.get('order.archive.event')
        loans = cls.browse(loans)
        problems = [
            gettext('order_archive.msg_contract_loan_returned',
                loan=l.rec_name, date=Report.format_date(l.returned_on))
            for l in loans if l.state != 'lent']
        employees = {c: get_employee(c) for c in {l.company for l in loans}}
        problems.extend(
            gettext('order_archive.msg_contract_employee',
                company=c.rec_name)
            for c, employee in employees.items() if not employee)
        if problems:
            raise LoanError('\n'.join(problems))
        with _recording():
            for company, c_loans in group_by_company(loans):
                cls.write(c_loans, {
                        'state': 'returned',
                        'returned_on': _get_today(company),
                        'returned_to': employees[company].id,
                        })
        Event.record('return', loans)

    def ledger_values(self):
        return _get_values(self, [
                'contract', 'copy_number', 'borrower', 'purpose', 'lent_on',
                'due_on', 'lent_by', 'returned_on', 'returned_to', 'state'])


class CreateContract(Wizard):
    "Open a new contract of the order, or the one that is not registered yet"
    __name__ = 'sale.contract.create'
    start_state = 'open_'
    open_ = StateAction('order_archive.act_contract_form')

    def do_open_(self, action):
        contract = self._get_contract()
        action['domains'] = []
        action['views'].reverse()
        return action, {'res_id': [contract.id]}

    def _get_contract(self):
        pool = Pool()
        Contract = pool.get('sale.contract')
        sale = self.record
        if drafts := Contract.search([
                    ('sale', '=', sale.id),
                    ('supplement_of', '=', None),
                    ('state', '=', 'draft'),
                    ], limit=1):
            return drafts[0]
        return self._create(
            sale, name=sale.description or sale.rec_name)

    def _create(self, sale, **values):
        pool = Pool()
        Contract = pool.get('sale.contract')
        employee = get_employee(sale.company)
        if not employee:
            raise ContractError(gettext(
                    'order_archive.msg_contract_employee',
                    company=sale.company.rec_name))
        contract, = Contract.create([{
                    'company': sale.company.id,
                    'sale': sale.id,
                    'handler': employee.id,
                    **values,
                    }])
        return contract


class CreateSupplement(CreateContract):
    "Open a new supplement of the contract"
    __name__ = 'sale.contract.supplement'

    def _get_contract(self):
        contract = self.record
        if contract.state not in _BINDING or contract.supplement_of:
            raise ContractError(gettext(
                    'order_archive.msg_contract_supplement_of',
                    contract=contract.rec_name,
                    original=contract.rec_name,
                    state=contract.state_string))
        for supplement in contract.supplements:
            if supplement.state == 'draft':
                return supplement
        return self._create(
            contract.sale,
            supplement_of=contract.id,
            verification=contract.verification,
            name=gettext('order_archive.msg_contract_supplement_name',
                contract=contract.rec_name))


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'create_contract': {
                    # It takes the place of those that others need
                    'invisible': (
                        Eval('state').in_(['draft', 'cancelled'])
                        | ~Id('order_archive', 'group_contract').in_(
                            Eval('context', {}).get('groups', []))),
                    'icon': 'tryton-create',
                    'depends': ['state'],
                    },
                })

    @classmethod
    @ModelView.button_action('order_archive.wizard_contract_create')
    def create_contract(cls, sales):
        pass


class Archive(metaclass=PoolMeta):
    __name__ = 'order.archive'

    contract_numbers = fields.Function(
        fields.Char("Contracts"),
        'get_contract_numbers', searcher='search_contract_numbers')

    @classmethod
    def collectors(cls):
        return {**super().collectors(), 'contract': '_collect_contracts'}

    @classmethod
    def _collect_contracts(cls, archives):
        """Yield what is attached to signed contracts, and of the originals
        that have been deposited where they are"""
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        by_sale = cls._get_contracts(archives)
        contracts = {
            str(c): c for cs in by_sale.values() for c in cs if c.is_signed}
        attachments = defaultdict(list)
        for attachment in Attachment.search([
                    ('resource', 'in', list(contracts)),
                    ], order=[('id', 'ASC')]):
            attachments[str(attachment.resource)].append(attachment)
        for archive in archives:
            for contract in by_sale[archive.sale]:
                for attachment in attachments[str(contract)]:
                    yield {
                        'archive': archive,
                        'source': str(attachment),
                        'source_name': contract.rec_name,
                        # It does not change any more
                        'issue': str(attachment.create_date),
                        'document_date': contract._get_signed_on(),
                        'render': partial(cls._read_attachment, attachment),
                        }
                if contract.deposited_at:
                    yield {
                        'archive': archive,
                        'source': str(contract),
                        'source_name': contract.rec_name,
                        'name': contract.name,
                        'medium': 'paper',
                        'issue': contract.deposited_at.isoformat(),
                        'document_date': contract._get_signed_on(),
                        'remark': gettext(
                            'order_archive.msg_contract_originals',
                            number=contract.originals,
                            place=contract.place,
                            employee=contract.received_by.rec_name),
                        }

    @classmethod
    @without_check_access
    def get_contract_numbers(cls, archives, name):
        by_sale = cls._get_contracts(archives)
        return {
            a.id: ', '.join(c.number for c in by_sale[a.sale]) or None
            for a in archives}

    @classmethod
    def _get_contracts(cls, archives):
        "Return by sale the list of its registered contracts"
        pool = Pool()
        Contract = pool.get('sale.contract')
        by_sale = defaultdict(list)
        for contract in Contract.search([
                    ('sale', 'in', list({a.sale.id for a in archives})),
                    ('state', '!=', 'draft'),
                    ], order=[('id', 'ASC')]):
            by_sale[contract.sale].append(contract)
        return by_sale

    @classmethod
    def _get_open_states(cls):
        return {
            **super()._get_open_states(),
            'sale.contract': [
                'draft', 'registered', 'signed', 'sealed', 'verified'],
            }

    @classmethod
    def _get_search_texts(cls, archives):
        texts = super()._get_search_texts(archives)
        by_sale = cls._get_contracts(archives)
        for archive in archives:
            for contract in by_sale[archive.sale]:
                texts[archive].extend(filter(None, [
                            contract.number, contract.reference,
                            contract.name]))
        return texts

    @classmethod
    def search_contract_numbers(cls, name, clause):
        pool = Pool()
        Contract = pool.get('sale.contract')
        table = Contract.__table__()
        _, operator, value = clause
        negative = operator.startswith('!') or operator.startswith('not ')
        if value is None:
            # Without any
            where = table.state != 'draft'
            negative = operator == '='
        else:
            positive = {'!=': '='}.get(operator, operator)
            if positive.startswith('not '):
                positive = positive[4:]
            Operator = fields.SQL_OPERATORS[positive]
            where = Operator(
                table.number, Contract.number._domain_value(positive, value))
        query = table.select(table.sale, where=where)
        return [('sale', 'not in' if negative else 'in', query)]


class Attachment(metaclass=PoolMeta):
    __name__ = 'ir.attachment'

    @classmethod
    def check_modification(
            cls, mode, attachments, values=None, external=False):
        super().check_modification(
            mode, attachments, values=values, external=external)
        if mode in {'write', 'delete'}:
            for attachment in attachments:
                if attachment._is_contract_evidence() and not (
                        mode == 'delete' and attachment._is_archived()):
                    raise AccessError(gettext(
                            'order_archive.msg_contract_attachment',
                            attachment=attachment.rec_name,
                            contract=attachment.resource.rec_name))

    def _is_contract_evidence(self):
        pool = Pool()
        Contract = pool.get('sale.contract')
        return (
            isinstance(self.resource, Contract) and self.resource.is_signed)

    @without_check_access
    def _is_archived(self):
        "Return whether the files of the order are closed and one has a copy"
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        archives = Archive.search([('sale', '=', self.resource.sale.id)])
        return (
            all(a.state in {'archived', 'due', 'disposed'} for a in archives)
            and bool(Item.search([
                        ('archive', 'in', [a.id for a in archives]),
                        ('source', '=', str(self)),
                        ('issue', '=', str(self.create_date)),
                        ('state', 'in', ['kept', 'disposed']),
                        ('withdrawn_at', '=', None),
                        ], limit=1)))

    @classmethod
    def on_modification(cls, mode, attachments, field_names=None):
        pool = Pool()
        Contract = pool.get('sale.contract')
        super().on_modification(mode, attachments, field_names=field_names)
        if mode in {'create', 'write'}:
            contracts = {
                a.resource for a in attachments if a._is_contract_evidence()}
            if contracts:
                Contract.collect(Contract.browse(contracts))


class RegistrationForm(Document):
    __name__ = 'sale.contract.registration'
    _model = 'sale.contract'

    @classmethod
    def _execute(cls, records, header, data, action):
        # Who reads the contract reads all that was recorded of it
        with without_check_access():
            return super()._execute(records, header, data, action)

    @classmethod
    def get_context(cls, records, header, data):
        pool = Pool()
        Contract = pool.get('sale.contract')
        context = super().get_context(records, header, data)
        contracts = Contract.browse(list(map(int, records)))
        context.update(
            RegistrationTexts(cls, context['company']).get_context(),
            contracts=contracts)
        return context


class RegistrationTexts(Texts):
    messages = 'order_archive.msg_contract_form'

    def get_context(self):
        return {
            **super().get_context(),
            'registration_fields': [
                'number', 'state', 'name', 'reference', 'party', 'handler',
                'start_date', 'end_date', 'valid_until', 'verification',
                'registered_by', 'registered_at', 'supplement_of',
                'change_reason', 'evidence'],
            'overview_fields': [
                'order_number', 'order_date', 'order_reference',
                'delivery_date', 'seller', 'buyer', 'delivery_address',
                'payment_term', 'lines', 'untaxed_amount', 'tax_amount',
                'total_amount'],
            'review_fields': [
                'review_number', 'review_round', 'review_result',
                'review_closed_at', 'review_signatories', 'review_digest'],
            'signature_columns': [
                'side', 'signatory', 'post', 'kind', 'date', 'authority'],
            'seal_fields': [
                'seal_name', 'sealed_on', 'sealed_by'],
            'verification_fields': [
                'verification', 'verified_by', 'verified_on',
                'verification_number'],
            'deposit_fields': [
                'deposited_on', 'received_by', 'place', 'originals'],
            'loan_columns': [
                'copy_number', 'borrower', 'purpose', 'lent_on', 'due_on',
                'lent_by', 'returned_on', 'returned_to'],
            'performance_fields': [
                'sale_state', 'shipment_state', 'invoice_state',
                'differences'],
            'supplement_columns': [
                'number', 'name', 'change_reason', 'end_date', 'total_amount',
                'state'],
            'termination_fields': [
                'termination_date', 'termination_reason',
                'termination_agreement'],
            }

    def _get_signatory(self, signature):
        return signature.rec_name

    def _get_evidence(self, contract):
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        return ', '.join(a.name for a in Attachment.search([
                    ('resource', '=', str(contract)),
                    ], order=[('id', 'ASC')]))
