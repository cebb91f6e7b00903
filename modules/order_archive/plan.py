# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict
from decimal import Decimal

from sql import Literal, NullsFirst
from sql.conditionals import Coalesce
from sql.operators import Equal

from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Exclude, Index, MatchMixin, ModelSQL, ModelView, Unique,
    fields, sequence_ordered, tree)
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import group_by_company
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access

from .configuration import REQUIRED
from .exceptions import PlanValidationError


def _parents(records):
    "Return the ids of the records and of all their parents"
    ids = set()
    for record in records:
        while record and record.id not in ids:
            ids.add(record.id)
            record = record.parent
    return ids


def get_country(company):
    "Return the id of the country of the first address of the company, if any"
    pool = Pool()
    Address = pool.get('party.address')
    Company = pool.get('company.company')
    table, address = Company.__table__(), Address.__table__()
    cursor = Transaction().connection.cursor()
    # Neither is read for each order
    cursor.execute(*table
        .join(address, condition=address.party == table.party)
        .select(
            address.country,
            where=(table.id == company.id)
            & (address.active == Literal(True)),
            order_by=[NullsFirst(address.sequence.asc), address.id.asc],
            limit=1))
    country, = cursor.fetchone() or [None]
    return country


class PlanMixin(DeactivableMixin, ModelSQL):
    "Part of the file plan with a code that the evidence names"
    __slots__ = ()

    code = fields.Char("Code", required=True)
    company = fields.Many2One(
        'company.company', "Company", ondelete='RESTRICT',
        help="Leave empty for all companies.")
    confidential = fields.Boolean("Confidential")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.append(
            ('code_company_unique',
                Exclude(t, (t.code, Equal), (Coalesce(t.company, -1), Equal)),
                'order_archive.msg_plan_code_unique'))

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'write' and values.keys() & {'code', 'company'}:
            changed = [
                r for r in records
                if ('code' in values and values['code'] != r.code)
                or ('company' in values
                    and values['company'] != (
                        r.company.id if r.company else None))]
            for record in cls._get_used(changed):
                raise AccessError(gettext(
                        'order_archive.msg_plan_used',
                        **cls.__names__(record=record)))

    @classmethod
    def _get_used(cls, records):
        "Return those of the records that files use"
        raise NotImplementedError


class Kind(PlanMixin, sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'order.archive.kind'

    name = fields.Char("Name", required=True, translate=True)
    collector = fields.Selection(
        'get_collectors', "Collector",
        help="What fetches the documents.\n"
        "Leave empty for those that are only uploaded.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.confidential.help = (
            "Only the group Order Archive Confidential sees the documents.")

    @classmethod
    def get_collectors(cls):
        """Return the collectors that a kind can have.

        Those of modules that are not activated fetch nothing."""
        return [
            (None, ""),
            ('order', gettext('order_archive.msg_collector_order')),
            ('review', gettext('order_archive.msg_collector_review')),
            ('change', gettext('order_archive.msg_collector_change')),
            ('contract', gettext('order_archive.msg_collector_contract')),
            ('attachment', gettext('order_archive.msg_collector_attachment')),
            ('production', gettext('order_archive.msg_collector_production')),
            ('inspection', gettext('order_archive.msg_collector_inspection')),
            ('delivery', gettext('order_archive.msg_collector_delivery')),
            ('invoice', gettext('order_archive.msg_collector_invoice')),
            ('payment', gettext('order_archive.msg_collector_payment')),
            ('complaint', gettext('order_archive.msg_collector_complaint')),
            ('survey', gettext('order_archive.msg_collector_survey')),
            ('cost', gettext('order_archive.msg_collector_cost')),
            ('note', gettext('order_archive.msg_collector_note')),
            ('chat', gettext('order_archive.msg_collector_chat')),
            ]

    @classmethod
    def _get_used(cls, records):
        pool = Pool()
        Item = pool.get('order.archive.item')
        with without_check_access():
            return [
                i.kind for i in Item.search(
                    [('kind', 'in', [r.id for r in records])], limit=1)]

    @classmethod
    @without_check_access
    def get_kinds(cls, company, without=()):
        """Return the active kinds of the company by code, its own before
        those of all companies, but for those without"""
        kinds = cls.search([
                ['OR',
                    ('company', '=', None),
                    ('company', '=', company.id),
                    ],
                ])
        kinds.sort(key=lambda k: k.company is not None)
        return {k.code: k for k in kinds if k not in without}

    @classmethod
    def check_modification(cls, mode, kinds, values=None, external=False):
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        super().check_modification(
            mode, kinds, values=values, external=external)
        if mode == 'create':
            return
        values = values or {}
        if gone := [
                k for k in kinds if k.code in REQUIRED and (
                    mode == 'delete' or not values.get('active', True)
                    or values.get('code', k.code) != k.code
                    or 'company' in values)]:
            Configuration.check_kinds(without=gone)

    @classmethod
    def on_modification(cls, mode, kinds, field_names=None):
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        super().on_modification(mode, kinds, field_names=field_names)
        if mode == 'write' and 'confidential' in (field_names or []):
            # The names of what is confidential are not searched
            with without_check_access():
                archives = list({
                        i.archive for i in Item.search([
                                ('kind', 'in', [k.id for k in kinds])])})
            for sub_archives in grouped_slice(archives, 1000):
                Archive.__queue__.update_search(list(sub_archives))


class Class(
        PlanMixin, tree(separator=' / '), MatchMixin, sequence_ordered(),
        ModelSQL, ModelView):
    __name__ = 'order.archive.class'

    name = fields.Char("Name", required=True, translate=True)
    parent = fields.Many2One(
        'order.archive.class', "Parent", ondelete='RESTRICT',
        domain=[
            If(Bool(Eval('company')),
                ('company', 'in', [Eval('company', -1), None]),
                ('company', '=', None)),
            ])
    children = fields.One2Many(
        'order.archive.class', 'parent', "Children")
    requirements = fields.One2Many(
        'order.archive.requirement', 'class_', "Requirements",
        help="Those of the parents apply too.")
    product_category = fields.Many2One(
        'product.category', "Product Category", ondelete='RESTRICT',
        help="Applies if any product is of the category or its children.")
    party_category = fields.Many2One(
        'party.category', "Party Category", ondelete='RESTRICT',
        help="Applies if the customer is of the category or its children.")
    country = fields.Many2One(
        'country.country', "Country", ondelete='RESTRICT',
        states={
            'invisible': Bool(Eval('abroad')),
            },
        help="The country of the shipment address.")
    abroad = fields.Boolean(
        "Abroad",
        states={
            'invisible': Bool(Eval('country')),
            },
        help="Applies if the country of the shipment address is not that of "
        "the company, or one of them is unknown.")
    minimum_amount = Monetary(
        "Minimum Amount", currency='currency', digits='currency',
        states={
            'invisible': ~Eval('company'),
            },
        help="The untaxed amount in the currency of the company.")
    maximum_amount = Monetary(
        "Maximum Amount", currency='currency', digits='currency',
        states={
            'invisible': ~Eval('company'),
            },
        help="The untaxed amount in the currency of the company.")
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')

    # By company its file plan and the classes below
    _plan_cache = Cache('order.archive.class.plan', context=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.confidential.help = (
            "Only the group Order Archive Confidential sees the files.")
        cls._sql_indexes.add(Index(t, (t.parent, Index.Equality())))

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return self.company.currency if self.company else None

    @fields.depends('abroad')
    def on_change_abroad(self):
        if self.abroad:
            self.country = None

    @classmethod
    def validate_fields(cls, classes, field_names):
        super().validate_fields(classes, field_names)
        cls.check_amounts(classes, field_names)

    @classmethod
    def check_amounts(cls, classes, field_names=None):
        if field_names and not (field_names & {
                    'minimum_amount', 'maximum_amount', 'company'}):
            return
        for class_ in classes:
            amounts = [class_.minimum_amount, class_.maximum_amount]
            if any(a is not None for a in amounts) and not class_.company:
                raise PlanValidationError(gettext(
                        'order_archive.msg_class_amount_company',
                        class_=class_.rec_name))
            if None not in amounts and amounts[0] > amounts[1]:
                raise PlanValidationError(gettext(
                        'order_archive.msg_class_amounts',
                        class_=class_.rec_name))

    @classmethod
    def _get_used(cls, records):
        pool = Pool()
        Archive = pool.get('order.archive')
        with without_check_access():
            return [
                a.class_ for a in Archive.search(
                    [('class_', 'in', [r.id for r in records])], limit=1)]

    @classmethod
    def copy(cls, classes, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('code', lambda data: f"{data['code']} (copy)")
        return super().copy(classes, default=default)

    @classmethod
    def criteria(cls):
        """Return by name of the fields that are criteria the name of the value
        of the order with which they are compared"""
        return {
            'product_category': 'product_category',
            'party_category': 'party_category',
            'country': 'country',
            'abroad': 'abroad',
            'minimum_amount': 'amount',
            'maximum_amount': 'amount',
            }

    @classmethod
    @without_check_access
    def get_classes(cls, sales):
        """Return by sale the class of its file.

        It is the one that is reached from the plan of the company when the
        first child that matches is followed at each step. Sales of companies
        without plan, or that do not match it, have none."""
        classes = {}
        for company, c_sales in group_by_company(sales):
            rows = cls._get_plan(company)
            if not rows:
                continue
            used = [cls(**r) for r in rows]
            plan = used[0]
            children = defaultdict(list)
            for class_ in used:
                children[class_.parent].append(class_)
            names = {
                value for name, value in cls.criteria().items()
                # Not in {None, False}, which holds 0
                if any(
                    r[name] is not None and r[name] is not False
                    for r in rows)}
            with Transaction().set_context(company=company.id):
                patterns = cls.get_patterns(c_sales, sorted(names))
            for sale in c_sales:
                class_, found = plan, None
                while class_ and class_.match(patterns[sale]):
                    found = class_
                    class_ = next((
                            c for c in children[found]
                            if c.match(patterns[sale])), None)
                if found:
                    classes[sale] = found
        return classes

    @classmethod
    def _get_plan(cls, company):
        """Return the codes and criteria of the file plan of the company, if it
        has one, and of the classes below it, so that none of them is read for
        each order"""
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        rows = cls._plan_cache.get(company.id)
        if rows is None:
            ids = []
            plan = Configuration(1).get_multivalue('plan', company=company.id)
            if plan:
                ids.append(plan.id)
                ids.extend(c.id for c in cls.search([
                            ('parent', 'child_of', [plan.id], 'parent'),
                            ('id', '!=', plan.id),
                            ('active', '=', True),
                            ['OR',
                                ('company', '=', None),
                                ('company', '=', company.id),
                                ],
                            ]))
            by_id = {
                r['id']: r for r in cls.read(
                    ids, ['code', 'parent', *cls.criteria()])}
            rows = [by_id[i] for i in ids]
            cls._plan_cache.set(company.id, rows)
        return rows

    @classmethod
    def on_modification(cls, mode, classes, field_names=None):
        super().on_modification(mode, classes, field_names=field_names)
        cls._plan_cache.clear()

    @classmethod
    def get_patterns(cls, sales, names):
        """Return by sale the values of the criteria by name.

        The sales are of one company, which the context has. The value of a
        name comes from the method _get_<name>, which returns the values by
        sale: relations as sets of ids."""
        patterns = {s: {} for s in sales}
        for name in names:
            for sale, value in getattr(cls, f'_get_{name}')(sales).items():
                patterns[sale][name] = value
        return patterns

    @classmethod
    def _get_product_category(cls, sales):
        return {
            s: _parents(
                c for l in s.lines if l.product
                for c in l.product.template.categories_all)
            for s in sales}

    @classmethod
    def _get_party_category(cls, sales):
        return {s: _parents(s.party.categories) for s in sales}

    @classmethod
    def _get_country(cls, sales):
        return {
            s: {s.shipment_address.country.id}
            if s.shipment_address and s.shipment_address.country else set()
            for s in sales}

    @classmethod
    def _get_abroad(cls, sales):
        country = get_country(sales[0].company)
        return {
            s: not (country and s.shipment_address
                and s.shipment_address.country
                and s.shipment_address.country.id == country)
            for s in sales}

    @classmethod
    def _get_amount(cls, sales):
        pool = Pool()
        Currency = pool.get('currency.currency')
        amounts = {}
        for sale in sales:
            with Transaction().set_context(date=sale.sale_date):
                amounts[sale] = Currency.compute(
                    sale.currency,
                    sum((l.amount for l in sale.lines if l.type == 'line'),
                        Decimal(0)),
                    sale.company.currency)
        return amounts

    def match(self, pattern, match_none=False):
        pattern = pattern.copy()
        amount = pattern.pop('amount', None)
        if self.minimum_amount is not None and amount < self.minimum_amount:
            return False
        if self.maximum_amount is not None and amount > self.maximum_amount:
            return False
        for name, value in list(pattern.items()):
            criterion = getattr(self, name)
            if isinstance(value, set):
                if criterion and criterion.id not in value:
                    return False
                del pattern[name]
            elif self._fields[name]._type == 'boolean':
                if criterion and not value:
                    return False
                del pattern[name]
        return super().match(pattern, match_none=match_none)

    @property
    def all_requirements(self):
        """The requirements of the class and its parents.

        Of those of the same kind and condition the lowest one counts."""
        requirements = {}
        class_ = self
        while class_:
            for requirement in class_.requirements:
                requirements.setdefault(
                    (requirement.kind, requirement.condition), requirement)
            class_ = class_.parent
        return [r for r in requirements.values() if r.number]


class ClassReview(metaclass=PoolMeta):
    __name__ = 'order.archive.class'

    customised = fields.Boolean(
        "Customised",
        help="Applies if any line is customised.")

    @classmethod
    def criteria(cls):
        return {**super().criteria(), 'customised': 'customised'}

    @classmethod
    def _get_customised(cls, sales):
        pool = Pool()
        Sale = pool.get('sale.sale')
        return Sale.get_customised(sales)


class Requirement(sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'order.archive.requirement'

    class_ = fields.Many2One(
        'order.archive.class', "Class", required=True, ondelete='CASCADE')
    kind = fields.Many2One(
        'order.archive.kind', "Kind", required=True, ondelete='RESTRICT')
    # Each but always has a method _get_<condition> of the file
    condition = fields.Selection([
            ('always', "Always"),
            ('reviewed', "If Reviewed"),
            ('amended', "If Amended"),
            ('produced', "If Produced"),
            ('inspected', "If Inspected"),
            ('shipped', "If Shipped"),
            ('exported', "If Shipped Abroad"),
            ('invoiced', "If Invoiced"),
            ('complained', "If Complained About"),
            ], "Condition", required=True, sort=False)
    number = fields.Integer(
        "Number", required=True,
        domain=[
            ('number', '>=', 0),
            ],
        help="How many documents of the kind the file must have.\n"
        "0 lifts the requirement of a parent.")
    waivable = fields.Boolean(
        "Waivable",
        help="Those of the group Order Archive Waivers can do without it.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('class_')
        cls._sql_constraints.append(
            ('class_kind_condition_unique',
                Unique(t, t.class_, t.kind, t.condition),
                'order_archive.msg_requirement_unique'))

    @classmethod
    def default_condition(cls):
        return 'always'

    @classmethod
    def default_number(cls):
        return 1

    @classmethod
    def default_waivable(cls):
        return True

    def get_rec_name(self, name):
        return self.kind.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('kind.rec_name', *clause[1:])]
