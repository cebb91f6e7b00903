# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from sql import Literal, Null
from sql.aggregate import Sum

from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, MatchMixin, ModelSQL, ModelView, fields,
    sequence_ordered)
from trytond.modules.company_department.tools import group_by_company
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.transaction import Transaction, without_check_access

from .exceptions import PolicyValidationError
from .file import recording

CRITERIA = ['class_', 'level', 'credit', 'kind', 'market']
INTERVALS = [
    'visit_interval', 'survey_interval', 'verification_interval',
    'grading_interval']


def _grade(string, axis):
    return fields.Many2One(
        'customer.grading.grade', string, ondelete='RESTRICT',
        domain=[
            ('axis', '=', axis),
            ],
        help="The policy applies only to the customers of the grade.\n"
        "Leave empty for all.")


def _interval(string, help):
    return fields.Integer(
        string, domain=['OR',
            (f'{string.split()[0].lower()}_interval', '=', None),
            (f'{string.split()[0].lower()}_interval', '>', 0),
            ], help=help)


class Policy(
        sequence_ordered(), DeactivableMixin, MatchMixin, ModelSQL,
        ModelView):
    "What a customer gets because of its grades"
    __name__ = 'customer.service.policy'

    name = fields.Char("Name", required=True, translate=True)
    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='CASCADE',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')

    class_ = _grade("Class", 'class')
    level = _grade("Level", 'level')
    credit = _grade("Credit", 'credit')
    kind = fields.Selection([
            (None, ""),
            ('regular', "Regular"),
            ('key', "Key"),
            ], "Kind", sort=False,
        help="The policy applies only to the customers of the kind.\n"
        "Leave empty for all.")
    market = fields.Selection([
            (None, ""),
            ('domestic', "Domestic"),
            ('international', "International"),
            ], "Market", sort=False,
        help="The policy applies only to the customers of the market.\n"
        "Leave empty for all.")

    check = fields.Selection([
            ('none', "None"),
            ('warn', "Warn"),
            ('hold', "Hold"),
            ('block', "Block"),
            ], "Check", required=True, sort=False,
        help="What happens to the orders of the customer that do not keep to "
        "the policy.")
    credit_method = fields.Selection([
            ('none', "None"),
            ('fixed', "Fixed Amount"),
            ('revenue_share', "Share of Revenue"),
            ('revenue_months', "Months of Revenue"),
            ], "Credit Limit Method", required=True, sort=False,
        help="How the credit limit that is proposed is calculated.\n"
        "The revenue is that of the orders of the last 12 months.")
    credit_amount = Monetary(
        "Credit Limit Amount", currency='currency', digits='currency',
        domain=['OR',
            ('credit_amount', '=', None),
            ('credit_amount', '>=', 0),
            ],
        states={
            'invisible': Eval('credit_method') != 'fixed',
            'required': Eval('credit_method') == 'fixed',
            })
    credit_factor = fields.Numeric(
        "Credit Limit Factor", digits=(None, 4),
        domain=['OR',
            ('credit_factor', '=', None),
            ('credit_factor', '>=', 0),
            ],
        states={
            'invisible': ~Eval('credit_method').in_(
                ['revenue_share', 'revenue_months']),
            'required': Eval('credit_method').in_(
                ['revenue_share', 'revenue_months']),
            },
        help="The share of the revenue, or the number of months.")
    credit_maximum = Monetary(
        "Maximum Credit Limit", currency='currency', digits='currency',
        domain=['OR',
            ('credit_maximum', '=', None),
            ('credit_maximum', '>=', 0),
            ],
        states={
            'invisible': ~Eval('credit_method').in_(
                ['revenue_share', 'revenue_months']),
            })
    payment_terms = fields.Many2Many(
        'customer.service.policy-account.invoice.payment_term', 'policy',
        'payment_term', "Payment Terms",
        help="The payment terms that the orders may have.\n"
        "Leave empty for all.")
    large_order = Monetary(
        "Large Order", currency='currency', digits='currency',
        domain=['OR',
            ('large_order', '=', None),
            ('large_order', '>', 0),
            ],
        help="The amount from which an order needs a detailed assessment.")
    investigation_required = fields.Boolean(
        "Investigation Required",
        help="Check to do business on credit only with customers "
        "whose file is approved.")

    manager_required = fields.Boolean(
        "Manager Required",
        help="Check if the customer must have a dedicated manager.")
    visit_interval = _interval(
        "Visit Interval", "The months after which a visit is due.")
    survey_interval = _interval(
        "Survey Interval", "The months after which a survey is due.")
    verification_interval = _interval(
        "Verification Interval",
        "The months after which the file must be verified.")
    grading_interval = _interval(
        "Grading Interval", "The months after which a new grading is due.")

    _policies_cache = Cache('customer.service.policy', context=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order.insert(0, ('company', 'ASC'))
        cls._sql_indexes.add(Index(t, (t.company, Index.Equality())))

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_check(cls):
        return 'hold'

    @classmethod
    def default_credit_method(cls):
        return 'none'

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return self.company.currency if self.company else None

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="check"]', 'visual',
                If(Eval('check') == 'block', 'danger',
                    If(Eval('check') == 'hold', 'warning', ''))),
            ]

    @classmethod
    def validate_fields(cls, policies, field_names):
        super().validate_fields(policies, field_names)
        if field_names and not (field_names & {'credit_method', 'check'}):
            return
        for policy in policies:
            if (policy.credit_method == 'revenue_share'
                    and (policy.credit_factor or 0) > 10):
                raise PolicyValidationError(gettext(
                        'customer_grading.msg_policy_share',
                        policy=policy.rec_name))

    @classmethod
    def on_modification(cls, mode, policies, field_names=None):
        super().on_modification(mode, policies, field_names=field_names)
        cls._policies_cache.clear()

    @classmethod
    def _cached_names(cls):
        return [
            n for n, f in cls._fields.items()
            if f._type != 'binary' and not isinstance(f, fields.Function)]

    @classmethod
    def get_active(cls, company):
        "Return the policies of the company in the order they are tried"
        company = int(company)
        policies = cls._policies_cache.get(company)
        if policies is None:
            with without_check_access():
                policies = cls.search_read([
                        ('company', '=', company),
                        ('active', '=', True),
                        ], fields_names=cls._cached_names())
            cls._policies_cache.set(company, policies)
        return [cls(**values) for values in policies]

    @classmethod
    def get_policies(cls, company, party_ids):
        "Return by id of party its policy or None"
        pool = Pool()
        Party = pool.get('party.party')
        policies = cls.get_active(company)
        if not policies:
            return dict.fromkeys(party_ids)
        facts = Party.get_credit_facts(company, party_ids, ['profile'])
        return {
            p: cls._match(policies, facts[p]) for p in party_ids}

    @classmethod
    def _match(cls, policies, facts):
        pattern = {n: getattr(facts, n) for n in CRITERIA}
        for policy in policies:
            if policy.match(pattern):
                return policy

    # What the policies do to the customers

    @classmethod
    @without_check_access
    def apply_to(cls, company, party_ids):
        """Apply the policies of the customers to them and return the credit
        limit changes that are proposed"""
        pool = Pool()
        Company = pool.get('company.company')
        company = Company(int(company))
        policies = {
            p: policy
            for p, policy in cls.get_policies(
                company, list(dict.fromkeys(map(int, party_ids)))).items()
            if policy}
        if not policies:
            return []
        with Transaction().set_context(company=company.id):
            cls._apply_values(company, policies)
            return cls._propose_limits(company, policies)

    @classmethod
    def _apply_values(cls, company, policies):
        """Set what the policies give to the parties

        policies is a dictionary of policies by id of party."""

    @classmethod
    def _apply_value(cls, policies, name, company=None):
        pool = Pool()
        Party = pool.get('party.party')
        values = {
            p: policy[name] if isinstance(policy, dict)
            else getattr(policy, name)
            for p, policy in policies.items()}
        Value = Party.multivalue_model(name)
        to_save = []
        parties = Party.browse([p for p, v in values.items() if v])
        pattern = {'company': company.id} if company else {}
        for party in parties:
            value = values[party.id]
            if party.get_multivalue(name, **pattern) != value:
                to_save.extend(party.set_multivalue(
                        name, value, save=False, **pattern))
        Value.save(to_save)

    @classmethod
    def _propose_limits(cls, company, policies):
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        limits = cls.get_credit_limits(company, policies)
        return Change.propose(company, limits, source='policy')

    @classmethod
    def get_credit_limits(cls, company, policies):
        """Return by id of party the credit limit that its policy gives,
        without those whose policy gives none"""
        with_revenue = [
            p for p, policy in policies.items()
            if policy.credit_method in {'revenue_share', 'revenue_months'}]
        revenues = cls._get_revenues(company, with_revenue)
        limits = {}
        for party, policy in policies.items():
            if policy.credit_method == 'fixed':
                limits[party] = policy.credit_amount
                continue
            elif party not in with_revenue:
                continue
            limit = revenues[party] * policy.credit_factor
            if policy.credit_method == 'revenue_months':
                limit /= 12
            if policy.credit_maximum is not None:
                limit = min(limit, policy.credit_maximum)
            limits[party] = company.currency.round(max(limit, Decimal(0)))
        return limits

    @classmethod
    def _get_revenues(cls, company, party_ids):
        """Return by id of party the untaxed amount of the orders that it paid
        for in the last 12 months, in the currency of the company"""
        pool = Pool()
        Date = pool.get('ir.date')
        Metric = pool.get('customer.grading.metric')
        cursor = Transaction().connection.cursor()
        revenues = defaultdict(Decimal)
        if not party_ids:
            return revenues
        with Transaction().set_context(company=company.id):
            today = Date.today()
        sale = Metric.sales(
            company, today - relativedelta(months=12), today,
            parties=party_ids, payer=True)
        cursor.execute(*sale.select(
                sale.party, Sum(sale.amount), group_by=sale.party))
        for party, amount in cursor:
            revenues[party] = Decimal(str(amount or 0))
        return revenues


class PolicyPaymentTerm(ModelSQL):
    __name__ = 'customer.service.policy-account.invoice.payment_term'

    policy = fields.Many2One(
        'customer.service.policy', "Policy", ondelete='CASCADE',
        required=True)
    payment_term = fields.Many2One(
        'account.invoice.payment_term', "Payment Term", ondelete='CASCADE',
        required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.policy, Index.Equality())),
                Index(t, (t.payment_term, Index.Equality())),
                })

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        super().on_modification(mode, records, field_names=field_names)
        Policy._policies_cache.clear()


class PolicyPriceList(metaclass=PoolMeta):
    __name__ = 'customer.service.policy'

    price_list = fields.Many2One(
        'product.price_list', "Price List", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="The sale price list that the customers get.")

    @classmethod
    def _apply_values(cls, company, policies):
        super()._apply_values(company, policies)
        cls._apply_value({
                p: {'sale_price_list': policy.price_list}
                for p, policy in policies.items()},
            'sale_price_list', company)


class PolicyDunning(metaclass=PoolMeta):
    __name__ = 'customer.service.policy'

    dunning_procedure = fields.Many2One(
        'account.dunning.procedure', "Dunning Procedure", ondelete='RESTRICT',
        help="The procedure by which the customers are dunned.")

    @classmethod
    def _apply_values(cls, company, policies):
        super()._apply_values(company, policies)
        cls._apply_value(policies, 'dunning_procedure')


class File(metaclass=PoolMeta):
    __name__ = 'customer.file'

    @classmethod
    def get_policy_values(cls, files, name):
        """Return by file what the service policy of its customer says, None
        where there is no policy"""
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        values = {}
        for company, c_files in group_by_company(files):
            policies = Policy.get_policies(
                company, [f.party.id for f in c_files])
            for file in c_files:
                policy = policies[file.party.id]
                values[file] = getattr(policy, name) if policy else None
        return values

    @classmethod
    def _get_manager_required(cls, files):
        required = cls.get_policy_values(files, 'manager_required')
        return super()._get_manager_required(files) | {
            f for f in files if required[f]}

    @classmethod
    def _get_verification_interval(cls, files):
        intervals = super()._get_verification_interval(files)
        policies = cls.get_policy_values(files, 'verification_interval')
        return {f: policies[f] or intervals[f] for f in files}

    @classmethod
    def plan_grading(cls, company, party_ids, date):
        """Set when the parties, which were graded on the date, must be graded
        again by the service policies of the company"""
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        if not Policy.get_active(company):
            return
        files = cls.search([
                ('company', '=', company.id),
                ('party', 'in', list(party_ids)),
                ])
        intervals = cls.get_policy_values(files, 'grading_interval')
        by_date = defaultdict(list)
        for file in files:
            months = intervals[file]
            next_grading = (
                date + relativedelta(months=months) if months else None)
            if file.next_grading != next_grading:
                by_date[next_grading].append(file)
        to_write = []
        for next_grading, files in by_date.items():
            to_write.extend((files, {'next_grading': next_grading}))
        if to_write:
            with recording('_customer_file'):
                cls.write(*to_write)


class Due(metaclass=PoolMeta):
    __name__ = 'customer.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection.append(('grading', "Grading"))

    @classmethod
    def _due_grading(cls):
        "Customers whose grade is as old as their policy allows"
        pool = Pool()
        File = pool.get('customer.file')
        file = File.__table__()
        return file.select(
            file.id.as_('id'),
            file.company.as_('company'),
            file.party.as_('party'),
            file.next_grading.as_('due_date'),
            Literal(None).as_('employee'),
            cls._origin('customer.file', file.id).as_('origin'),
            where=file.next_grading != Null)
