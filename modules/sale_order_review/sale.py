# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict
from decimal import Decimal

from sql import Union
from sql.aggregate import Min

from trytond.i18n import gettext
from trytond.model import Model, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.report import Report
from trytond.transaction import (
    Transaction, inactive_records, without_check_access)
from trytond.wizard import Button, StateTransition, StateView, Wizard

from . import snapshot as snapshots
from .exceptions import ReviewRequiredError
from .measure import MeasureMixin
from .requirement import ReviewedMixin
from .review import Plan


def _parents(categories):
    "Return the set of ids of the categories and their parents"
    ids = set()
    for category in categories:
        while category and category.id not in ids:
            ids.add(category.id)
            category = category.parent
    return ids


def _format(Model, name, value):
    "Return the text of the value that the field has in a snapshot"
    pool = Pool()
    Lang = pool.get('ir.lang')
    if value is None or value == '' or value == []:
        return '∅'
    field = Model._fields[name]
    lang = Lang.get()
    if field._type in {'many2one', 'many2many'}:
        Target = field.get_target()
        ids = value if isinstance(value, list) else [value]
        with inactive_records():
            records = {
                r.id: r.rec_name for r in Target.search([('id', 'in', ids)])}
        return ', '.join(records.get(i, str(i)) for i in ids)
    elif field._type == 'numeric':
        return lang.format_number(Decimal(value))
    elif field._type == 'float':
        return lang.format_number(
            Decimal(snapshots.plain(Decimal(str(value)))))
    elif field._type == 'timedelta':
        return Report.format_timedelta(dt.timedelta(seconds=value))
    elif field._type == 'date':
        return lang.strftime(dt.date.fromisoformat(value))
    elif field._type == 'datetime':
        return Report.format_datetime(dt.datetime.fromisoformat(value), lang)
    elif field._type == 'boolean':
        return gettext(
            'sale_order_review.msg_yes' if value
            else 'sale_order_review.msg_no')
    elif field._type == 'selection':
        selection = field.get_selection(Model, name, None)
        return field.get_selection_string(selection, value)
    return str(value)


def _get_line_amount(values, currency):
    return currency.round(
        Decimal(str(values['quantity'] or 0))
        * Decimal(values['unit_price'] or 0))


def _format_line(Model, values):
    "Return the text that names a line of a snapshot"
    if values.get('product'):
        return _format(Model, 'product', values['product'])
    text = values.get('description') or values.get('text') or ''
    if not text and values.get('kind'):
        return _format(Model, 'kind', values['kind'])
    return text.split('\n')[0]


class Sale(MeasureMixin, metaclass=PoolMeta):
    __name__ = 'sale.sale'

    channel = fields.Many2One(
        'sale.channel', "Channel", ondelete='RESTRICT', loading='lazy',
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="The way by which the order came.")
    reviews = fields.One2Many(
        'sale.review', 'origin', "Reviews", readonly=True,
        states={
            'invisible': ~Eval('reviews') & ~Eval('releases'),
            })
    review_state = fields.Selection([
            ('none', "None"),
            ('required', "Required"),
            ('open', "Open"),
            ('approved', "Approved"),
            ('returned', "Returned"),
            ('released', "Released"),
            ], "Review State", readonly=True, required=True, sort=False)
    review = fields.Function(
        fields.Many2One('sale.review', "Review"), 'get_review')
    review_signoffs = fields.Function(
        fields.Many2Many(
            'sale.review.signoff', None, None, "Sign-offs", readonly=True,
            states={
                'invisible': ~Eval('review_signoffs'),
                }),
        'get_review_signoffs')
    # The text is what is reviewed, as the address could be modified
    invoice_full_address = fields.Function(
        fields.Text("Full Invoice Address"), 'get_full_address')
    shipment_full_address = fields.Function(
        fields.Text("Full Shipment Address"), 'get_full_address')
    review_progress = fields.Function(
        fields.Float("Review Progress", digits=(1, 4)), 'get_review_field')
    review_missing = fields.Function(
        fields.Char(
            "Missing Sign-offs",
            help="The departments that have not signed and who can."),
        'get_review_field')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'submit_review': {
                    'invisible': (
                        ((Eval('state') != 'quotation')
                            | (Eval('review_state') != 'required'))
                        & ~Eval('catch_up', False)),
                    'icon': 'tryton-forward',
                    'depends': ['state', 'review_state', 'catch_up'],
                    },
                })
        for field in [cls.shipping_date, cls.comment]:
            field.states['readonly'] = (
                field.states.get('readonly', False)
                | ((Eval('state') != 'draft')
                    & Eval('review_state').in_(
                        ['open', 'approved', 'released'])))
        confirm = cls._buttons['confirm']
        confirm['invisible'] |= (
            Eval('review_state').in_(['required', 'open'])
            & ~Eval('released', False))
        confirm['depends'] = [
            *confirm['depends'], 'review_state', 'released']

    @classmethod
    def default_review_state(cls):
        return 'none'

    def get_review(self, name):
        return self.reviews[0].id if self.reviews else None

    def get_review_signoffs(self, name):
        return [s.id for s in self.review.signoffs] if self.review else []

    @classmethod
    def get_full_address(cls, sales, names):
        pool = Pool()
        Address = pool.get('party.address')
        fields_ = {n: n.replace('_full', '') for n in names}
        sales = cls.read([s.id for s in sales], list(fields_.values()))
        texts = Address.get_review_texts(list({
                    s[f] for s in sales for f in fields_.values()} - {None}))
        return {
            n: {s['id']: texts.get(s[f]) for s in sales}
            for n, f in fields_.items()}

    def get_review_field(self, name):
        if self.review:
            return getattr(self.review, name[len('review_'):])

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="review_state"]', 'visual',
                If(Eval('review_state') == 'returned', 'danger',
                    If((Eval('review_state') == 'released')
                        | (Eval('review_state').in_(['required', 'open'])
                            & (Eval('state') == 'quotation')),
                        'warning', ''))),
            ]

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('reviews')
        default.setdefault('review_state', cls.default_review_state())
        return super().copy(sales, default=default)

    @classmethod
    def review_aspects(cls):
        """Return the fields that are reviewed, by aspect and name of model.

        A field can belong to more than one aspect, and names of fields that
        are not there, because their module is not activated, are left out.
        What no aspect holds may change without a new review."""
        Line = Pool().get('sale.line')
        aspects = {
            'parties': (
                ['company', 'party', 'invoice_party', 'invoice_address',
                    'invoice_full_address', 'shipment_party',
                    'shipment_address', 'shipment_full_address'],
                []),
            'products': (
                [],
                ['type', 'product', 'product_customer', 'description',
                    'customised']),
            'quantities': (
                [],
                ['type', 'quantity', 'unit', 'secondary_unit',
                    'secondary_quantity']),
            'prices': (
                ['currency', 'price_list'],
                ['unit_price', 'base_price', 'taxes', 'quantity', 'unit']),
            'dates': (
                ['shipping_date', 'quotation_validity'],
                ['requested_delivery_date']),
            'payment': (
                ['payment_term', 'invoice_method', 'invoice_party'],
                []),
            'delivery': (
                ['shipment_method', 'shipment_party', 'shipment_address',
                    'shipment_full_address', 'warehouse', 'carrier',
                    'shipment_cost_method', 'incoterm', 'incoterm_location'],
                []),
            'requirements': (
                ['channel'],
                ['customised', 'note']),
            'terms': (
                ['description', 'comment'],
                ['description', 'note']),
            }
        return {
            aspect: {
                cls.__name__: {n for n in header if n in cls._fields},
                Line.__name__: {n for n in line if n in Line._fields},
                }
            for aspect, (header, line) in aspects.items()}

    @classmethod
    def get_review_fields(cls, aspects=None):
        """Return the set of names of the fields that belong to the aspects by
        name of model, those of all aspects if there is none"""
        names = defaultdict(set)
        for aspect, models in cls.review_aspects().items():
            if not aspects or aspect in aspects:
                for model, fields_ in models.items():
                    names[model] |= fields_
        return dict(names)

    @classmethod
    @without_check_access
    def get_review_snapshots(cls, sales):
        "Return by sale the snapshot of its content as it is in the database"
        if not sales:
            return {}
        pool = Pool()
        Address = pool.get('party.address')
        Line = pool.get('sale.line')
        sales = {s.id: s for s in sales}
        # By id of sale and name of model, of which the others than the lines
        # are left out where there is none
        parts = {id_: {Line.__name__: {}} for id_ in sales}
        names = cls.get_review_fields()
        # The addresses themselves are read anyway
        full_names = {
            n for n in names[cls.__name__] if n.endswith('_full_address')}
        names[cls.__name__] -= full_names
        for model, model_names in names.items():
            Model = pool.get(model)
            key = 'id' if Model == cls else 'sale'
            for id_, sale, values in snapshots.read(
                    Model, model_names, key, list(sales)):
                if Model == cls:
                    parts[sale][model] = values
                else:
                    parts[sale].setdefault(model, {})[str(id_)] = values
        addresses = {
            (i, n): p[cls.__name__][n.replace('_full', '')]
            for i, p in parts.items() for n in full_names}
        texts = Address.get_review_texts(
            list(set(addresses.values()) - {None}))
        for (id_, name), address in addresses.items():
            parts[id_][cls.__name__][name] = texts.get(address)
        return {sales[i]: snapshot for i, snapshot in parts.items()}

    @classmethod
    def plan_reviews(cls, sales):
        "Return the plans of the reviews of the sales"
        pool = Pool()
        Release = pool.get('sale.review.release')
        Rule = pool.get('sale.review.rule')
        contents = cls.get_review_snapshots(sales)
        matching, failed = Rule.get_reasons(sales)
        owed = Release.get_owed(sales)
        plans = []
        for sale in sales:
            reasons = Release.add_reasons(
                matching.get(sale, []), owed.get(sale, []))
            problem = None
            # Nobody is left to catch up with what is released without a rule
            if not reasons and sale not in owed:
                problem = gettext(
                    'sale_order_review.msg_submit_no_rule',
                    sale=sale.rec_name)
            plans.append(Plan(
                    sale, sale, sale.review_untaxed_amount, contents[sale],
                    reasons, problem=problem, failed=failed.get(sale)))
        return plans

    @classmethod
    def get_review_problems(cls, sales):
        "Return by sale the text of why it cannot be submitted"
        pool = Pool()
        Release = pool.get('sale.review.release')
        problems = {}
        owed = Release.get_owed([
                s for s in sales if s.state not in {'draft', 'quotation'}])
        unmet = cls._get_unmet(
            [s for s in sales if s.review_state == 'approved'])
        for sale in sales:
            problem = None
            if (sale.review_state in {'open', 'released'}
                    and sale.review and sale.review.state == 'open'):
                problem = 'msg_submit_open'
            elif sale._is_released() or sale in owed:
                continue
            elif sale.state != 'quotation' or not sale.number:
                problem = 'msg_submit_quotation'
            elif not any(l.type == 'line' for l in sale.lines):
                problem = 'msg_submit_lines'
            elif sale in unmet:
                problems[sale] = '\n'.join(unmet[sale])
            elif sale.review_state == 'approved':
                problem = 'msg_submit_approved'
            if problem:
                problems[sale] = gettext(
                    f'sale_order_review.{problem}', sale=sale.rec_name)
        return problems

    @classmethod
    def open_review(cls, sales):
        # Also those that are released, whose state remains
        cls._lock_review(sales)
        cls.write(
            [s for s in sales if not s._is_released()],
            {'review_state': 'open'})

    @classmethod
    def return_review(cls, sales):
        "Let the sales be corrected, by an amendment those that are released"
        sales = [s for s in sales if not s._is_released()]
        cls.draft(sales)
        cls.write(sales, {'review_state': 'returned'})

    def _is_released(self):
        "Return whether it was confirmed by a release"
        return self.review_state == 'released'

    @classmethod
    def format_review_differences(cls, old, new):
        "Return the list of texts of what differs between two snapshots"
        pool = Pool()
        texts = []
        for model, id_, name, before, after in snapshots.differences(old, new):
            Model = pool.get(model)
            if name:
                text = gettext('sale_order_review.msg_difference_field',
                    field=Model.__names__(name)['field'],
                    old=_format(Model, name, before),
                    new=_format(Model, name, after))
            elif before is None:
                text = gettext('sale_order_review.msg_difference_added')
            else:
                text = gettext('sale_order_review.msg_difference_removed')
            if id_ is not None:
                values = (
                    new.get(model, {}).get(str(id_))
                    or old.get(model, {}).get(str(id_)))
                text = gettext('sale_order_review.msg_difference_line',
                    line=_format_line(Model, values), difference=text)
            texts.append(text)
        return texts

    @classmethod
    def get_review_values(cls, sales, names):
        """Return by sale the values of the criteria by name.

        The sales are of one company, which the context has. The value of a
        name comes from the method _get_review_<name>, which returns the values
        by sale: amounts in the currency of the company, rates as decimals
        between 0 and 1, relations as ids or sets of ids."""
        values = {s: {} for s in sales}
        for name in names:
            for sale, value in getattr(cls, f'_get_review_{name}')(
                    sales).items():
                values[sale][name] = value
        return values

    @property
    def _review_lines(self):
        # Those that stock reads, not line_lines
        return [l for l in self.lines if l.type == 'line']

    @property
    def review_untaxed_amount(self):
        # Reading the field would compute the taxes too, and trust its cache
        return sum((l.amount for l in self._review_lines), Decimal(0))

    @property
    def _review_date(self):
        "The date of the rates of currency"
        return self.sale_date or self.quotation_date

    def _review_company_amount(self, amount):
        "Return the amount in the currency of the company"
        pool = Pool()
        Company = pool.get('company.company')
        Currency = pool.get('currency.currency')
        if self.currency.id == Company.get_currency(self.company.id):
            return amount
        context = {}
        if date := self._review_date:
            context['date'] = date
        with Transaction().set_context(context):
            return Currency.compute(
                self.currency, amount, self.company.currency)

    @classmethod
    def _select_review_lines(cls, sales, *names):
        """Return by sale the dictionaries of its lines as they are in the
        database, with the amount and what else is named"""
        pool = Pool()
        Currency = pool.get('currency.currency')
        Line = pool.get('sale.line')
        by_id = {s.id: s for s in sales}
        lines = {s: [] for s in sales}
        # Instances would read the currency of each sale
        currencies = {}
        for row in snapshots.select(Line, {
                    'type', 'quantity', 'unit_price', 'sale', 'sale.currency',
                    *names}, 'sale', list(by_id)):
            if row['type'] == 'line':
                id_ = row['sale.currency']
                if id_ not in currencies:
                    currencies[id_] = Currency(id_)
                row['amount'] = _get_line_amount(row, currencies[id_])
                lines[by_id[row['sale']]].append(row)
        return lines

    def get_review_snapshot_amount(self, snapshot):
        "Return the untaxed amount of the lines of the snapshot"
        pool = Pool()
        Line = pool.get('sale.line')
        return sum((
                _get_line_amount(l, self.currency)
                for l in snapshot[Line.__name__].values()
                if l['type'] == 'line'), Decimal(0))

    @classmethod
    def _get_review_amount(cls, sales):
        pool = Pool()
        Company = pool.get('company.company')
        currency = Company.get_currency(Transaction().context['company'])
        amounts = {}
        for sale, lines in cls._select_review_lines(sales).items():
            amount = sum((l['amount'] for l in lines), Decimal(0))
            if lines and lines[0]['sale.currency'] != currency:
                amount = sale._review_company_amount(amount)
            amounts[sale] = amount
        return amounts

    @classmethod
    def _get_review_margin(cls, sales):
        margins = {}
        for sale, (revenue, cost, _) in cls._get_review_costs(sales).items():
            revenue = sale._review_company_amount(revenue)
            margins[sale] = (revenue - cost) / revenue if revenue > 0 else None
        return margins

    @classmethod
    def _get_review_costs(cls, sales):
        """Return by sale its revenue in its currency, its cost in the currency
        of the company, and the set of its products without cost price"""
        pool = Pool()
        Product = pool.get('product.product')
        Uom = pool.get('product.uom')
        lines = cls._select_review_lines(sales, 'product', 'unit')
        products, units = (
            {r.id: r for r in Model.browse(
                    list({l[n] for ls in lines.values() for l in ls} - {None}))
                } for n, Model in [('product', Product), ('unit', Uom)])
        costs = {}
        for sale in sales:
            revenue = cost = Decimal(0)
            costless = set()
            for line in lines[sale]:
                if not line['product']:
                    # What is given away counts, but not what has no cost
                    revenue += min(line['amount'], Decimal(0))
                    continue
                product = products[line['product']]
                revenue += line['amount']
                cost += (
                    Decimal(str(Uom.compute_qty(
                                units[line['unit']], line['quantity'],
                                product.default_uom, round=False)))
                    * (product.cost_price or Decimal(0)))
                if not product.cost_price:
                    costless.add(product)
            costs[sale] = revenue, cost, costless
        return costs

    @classmethod
    def _get_review_discount(cls, sales):
        pool = Pool()
        Product = pool.get('product.product')
        lines = defaultdict(list)
        for sale in sales:
            for line in sale._review_lines:
                if line.product and line.quantity > 0:
                    key = sale.currency.id, sale._review_date, line.unit.id
                    lines[key].append((sale, line))
        products = {
            p.id: p for p in Product.browse(list({
                        l.product.id for ls in lines.values()
                        for _, l in ls}))}
        discounts = dict.fromkeys(sales)
        totals = defaultdict(Decimal)
        for (currency, date, unit), s_lines in lines.items():
            with Transaction().set_context(
                    currency=currency, sale_date=date, uom=unit,
                    price_list=None, customer=None, taxes=None):
                # What is given for the quantity is a discount too
                prices = Product.get_sale_price(
                    list({products[l.product.id] for _, l in s_lines}))
            for sale, line in s_lines:
                if price := prices[line.product.id]:
                    rate = (price - line.unit_price) / price
                    if discounts[sale] is None or discounts[sale] < rate:
                        discounts[sale] = rate
                    totals[sale] += price * Decimal(str(line.quantity))
        # Also what is given away on other lines
        for sale, total in totals.items():
            amount = sum(
                l.amount if l.product else min(l.amount, Decimal(0))
                for l in sale._review_lines)
            discounts[sale] = max(discounts[sale], (total - amount) / total)
        return discounts

    @classmethod
    def _get_review_product(cls, sales):
        return {
            s: {l.product.id for l in s._review_lines if l.product}
            for s in sales}

    @classmethod
    def _get_review_product_category(cls, sales):
        return {
            s: _parents(
                c for l in s._review_lines if l.product
                for c in l.product.categories_all)
            for s in sales}

    @classmethod
    def _get_review_customised(cls, sales):
        return cls.get_customised(sales)

    @classmethod
    def get_customised(cls, sales):
        "Return by sale whether any of its lines or their products is so"
        pool = Pool()
        Line = pool.get('sale.line')
        Product = pool.get('product.product')
        Template = pool.get('product.template')
        cursor = Transaction().connection.cursor()
        line, product, template = (
            M.__table__() for M in [Line, Product, Template])
        cursor.execute(*line
            .join(product, 'LEFT', condition=line.product == product.id)
            .join(template, 'LEFT', condition=product.template == template.id)
            .select(line.sale,
                where=(line.type == 'line')
                & (line.customised | template.customised)
                & fields.SQL_OPERATORS['in'](
                    line.sale, [s.id for s in sales])))
        customised = {id_ for id_, in cursor}
        return {s: s.id in customised for s in sales}

    @classmethod
    def _get_review_party(cls, sales):
        return {
            s: {p.id for p in [s.party, s.invoice_party, s.shipment_party]
                if p}
            for s in sales}

    @classmethod
    def _get_review_party_category(cls, sales):
        return {s: _parents(s.party.categories) for s in sales}

    @classmethod
    def _get_review_country(cls, sales):
        countries = {}
        for sale in sales:
            address = sale.shipment_address or sale.invoice_address
            country = address.country if address else None
            countries[sale] = country.id if country else None
        return countries

    @classmethod
    def _get_review_abroad(cls, sales):
        countries = cls._get_review_country(sales)
        address = sales[0].company.party.address_get()
        home = address.country if address else None
        return {
            s: not c or not home or c != home.id
            for s, c in countries.items()}

    @classmethod
    def _get_review_payment_term(cls, sales):
        return {
            s: s.payment_term.id if s.payment_term else None for s in sales}

    @classmethod
    def _get_review_channel(cls, sales):
        return {s: s.channel.id if s.channel else None for s in sales}

    @classmethod
    def _get_review_orders(cls, sales):
        """Return by id of sale the date of the first other order of its party,
        without those that have no other"""
        transaction = Transaction()
        cursor = transaction.connection.cursor()
        table = cls.__table__()
        other = cls.__table__()
        orders = {}
        condition = (
            (other.party == table.party)
            & (other.company == table.company)
            & (other.id != table.id)
            & other.state.in_(['confirmed', 'processing', 'done']))
        if transaction.context.get('_sale_review_past'):
            condition &= (
                (other.sale_date < table.sale_date)
                | ((other.sale_date == table.sale_date)
                    & (other.id < table.id)))
        cursor.execute(*table.join(other, condition=condition).select(
                table.id, Min(other.sale_date),
                where=fields.SQL_OPERATORS['in'](
                    table.id, [s.id for s in sales]),
                group_by=table.id))
        for sale, date in cursor:
            # SQLite returns the aggregate of dates as string
            if isinstance(date, str):
                date = dt.date.fromisoformat(date)
            orders[sale] = date
        return orders

    @classmethod
    def _get_review_customer(cls, sales):
        """Return the names of the criteria on the orders of the customer

        With _sale_review_past in the context they are those at the date of
        each sale."""
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Date = pool.get('ir.date')
        period = Configuration(1).get_multivalue('review_new_customer')
        past = Transaction().context.get('_sale_review_past')
        today = Date.today()
        orders = cls._get_review_orders(sales)
        customers = {}
        for sale in sales:
            date = orders.get(sale.id)
            since = None
            if period:
                since = (sale.sale_date if past else today) - period
            customers[sale] = names = set()
            if sale.id not in orders:
                names.add('first_order')
            if not date or (since and date > since):
                names.add('new_customer')
        return customers

    @classmethod
    def check_review(cls, sales, traced=None):
        """Check that the sales that need a review have been approved, or
        released, as they are, and raise ReviewRequiredError with all that is
        missing

        traced are those of the sales that have traces, looked for if they are
        not given. Return the releases without which sales cannot be
        confirmed."""
        pool = Pool()
        Release = pool.get('sale.review.release')
        if traced is None:
            traced = cls._get_traced(sales)
        missing = cls._get_review_missing(sales, traced)
        contents = cls.get_review_snapshots(list(missing))
        missing, releases = Release.release_missing(missing, {
                s: snapshots.dumps(c) for s, c in contents.items()})
        for sale, texts in cls._get_unmet(traced).items():
            missing.setdefault(sale, []).extend(texts)
        if missing:
            raise ReviewRequiredError(
                '\n'.join(t for texts in missing.values() for t in texts))
        return releases

    @classmethod
    def _get_traced(cls, sales):
        """Return the sales that have rounds of review, releases or else of the
        review, of which hardly any has one to which no rule applies"""
        if not sales:
            return []
        cursor = Transaction().connection.cursor()
        cursor.execute(*Union(*cls._query_traces(sales), all_=True))
        found = {key for key, in cursor}
        return [s for s in sales if str(s) in found or str(s.id) in found]

    @classmethod
    def _query_traces(cls, sales):
        """Return the queries of the sales that have traces, each of their ids
        or references as text"""
        pool = Pool()
        origins = list(map(str, sales))
        queries = []
        for name in ['sale.review', 'sale.review.release']:
            table = pool.get(name).__table__()
            queries.append(table.select(
                    table.origin,
                    where=fields.SQL_OPERATORS['in'](table.origin, origins)))
        return queries

    @classmethod
    def _get_review_missing(cls, sales, traced):
        """Return by sale the list of texts of what its review misses

        traced are those of the sales that may have traces."""
        cls._check_history(sales)
        return cls._get_unreviewed(sales, traced)

    @classmethod
    def _get_unmet(cls, sales):
        """Return as _get_review_missing what holds the confirmation even if
        the review is bypassed"""
        return {}

    @classmethod
    def _get_unreviewed(cls, sales, traced):
        """Return as _get_review_missing the sales that must be reviewed and
        are not approved as they are"""
        matching, failed = cls._get_review_rules(sales, traced)
        missing = cls._get_unapproved({
                s: rules for s, rules in matching.items()
                if rules or s.review_state == 'open'})
        missing.update((s, [text]) for s, text in failed.items())
        return missing

    @classmethod
    def _get_review_rules(cls, sales, traced):
        """Return as Rule.get_matching the rules by which the sales must be
        reviewed, also those that a release to be caught up with bypassed"""
        pool = Pool()
        Release = pool.get('sale.review.release')
        Rule = pool.get('sale.review.rule')
        matching, failed = Rule.get_matching(sales)
        for sale, reasons in Release.get_owed(traced).items():
            if sale in matching:
                matching[sale] = list(dict.fromkeys([
                            *matching[sale], *(r for r, _ in reasons)]))
        return matching, failed

    @classmethod
    def _get_unapproved(cls, required):
        """Return as _get_review_missing the sales that are not approved as
        they are

        required are by sale the rules by which it must be reviewed."""
        pool = Pool()
        Review = pool.get('sale.review')
        missing, to_check = {}, []
        reviews = Review.get_current(list(required))
        for sale, rules in required.items():
            review = reviews.get(sale)
            if not review or review.state not in {'open', 'approved'}:
                message = 'msg_review_required'
                if sale.state in {'draft', 'cancelled'}:
                    message = 'msg_review_required_draft'
                elif sale.review_state == 'none':
                    # Its button is not shown
                    message = 'msg_review_required_quoted'
                departments = {r.department: None for r in rules}
                missing[sale] = [gettext(
                        f'sale_order_review.{message}',
                        sale=sale.rec_name,
                        departments=', '.join(
                            d.rec_name for d in departments))]
            elif review.state == 'open':
                missing[sale] = [gettext(
                        'sale_order_review.msg_review_open',
                        sale=sale.rec_name,
                        review=review.rec_name,
                        signoffs=review.missing)]
            else:
                to_check.append(sale)
        for sale, differences in Review.get_differences(
                [reviews[s] for s in to_check]).items():
            missing[sale] = [gettext(
                    'sale_order_review.msg_review_changed',
                    sale=sale.rec_name,
                    review=reviews[sale].rec_name,
                    differences='; '.join(differences))]
        return missing

    @classmethod
    def update_review_state(cls, sales):
        "Set whether the quotations that are not under review must be reviewed"
        cls._set_review_state([
                s for s in sales
                if s.state == 'quotation'
                and s.review_state in {'none', 'required'}])

    @classmethod
    def _set_review_state(cls, sales, traced=None):
        pool = Pool()
        Review = pool.get('sale.review')
        sales = [s for s in sales if not s._is_released()]
        if not sales:
            return
        matching, failed = cls._get_review_rules(
            sales, sales if traced is None else traced)
        # Held until the rule is mended: confirm says which one it is
        matching.update(dict.fromkeys(failed, True))
        required = [s for s, rules in matching.items() if rules]
        reviews = Review.get_current(required)
        approved = {s for s, r in reviews.items() if r.state == 'approved'}
        approved -= Review.get_differences(
            [reviews[s] for s in approved]).keys()
        to_write = defaultdict(list)
        for sale in sales:
            if sale in approved:
                state = 'approved'
            elif matching[sale]:
                state = 'required'
            else:
                state = 'none'
            if sale.review_state != state:
                to_write[state].append(sale)
        for state, sales in to_write.items():
            cls.write(sales, {'review_state': state})

    @classmethod
    def write(cls, *args):
        transaction = Transaction()
        before = {}
        if transaction.user and transaction.check_access:
            for sales, values in zip(args[::2], args[1::2]):
                if values.keys() & {'company', 'number'}:
                    before.update(
                        (s.id, (s.company, s.number)) for s in sales)
        super().write(*args)
        if before:
            # What is stored can differ from the values
            cls._check_numbers([
                    s for s in cls.browse(list(before))
                    if (s.company, s.number) != before[s.id]])

    @classmethod
    def check_modification(cls, mode, sales, values=None, external=False):
        super().check_modification(
            mode, sales, values=values, external=external)
        if mode == 'delete':
            for sale in sales:
                if sale.reviews:
                    raise AccessError(gettext(
                            'sale_order_review.msg_sale_delete',
                            sale=sale.rec_name))
        elif not external:
            return
        cls._check_history(sales)
        if mode == 'create':
            for sale in sales:
                if (sale.review_state != 'none'
                        or (sale.state != 'draft' and sale._is_reviewed())):
                    raise AccessError(gettext(
                            'sale_order_review.msg_sale_state',
                            sale=sale.rec_name))
            # An order that is imported has its number
            cls._check_recorded(sales, {
                    n: [None, 0] for n in cls._recorded() - {'number'}})
            cls._check_numbers(sales)
        elif mode == 'write':
            if values.keys() & {'state', 'review_state'}:
                for sale in sales:
                    if 'review_state' in values or sale._is_reviewed():
                        raise AccessError(gettext(
                                'sale_order_review.msg_sale_state',
                                sale=sale.rec_name))
            cls._check_recorded(sales, {
                    n: [v] for n, v in values.items() if n in cls._recorded()})
            cls.check_review_frozen(sales, values.keys())

    @classmethod
    def _recorded(cls):
        """Return the names of the fields that only the course of the order
        fills in, because what is told of the order rests on them"""
        return {
            'number', 'revision', 'quoted_by', 'confirmed_by',
            } & cls._fields.keys()

    @classmethod
    def _check_recorded(cls, sales, allowed):
        """Check that the sales have of each field one of its allowed values,
        or no number yet"""
        for sale in sales:
            names = []
            for name, values in allowed.items():
                value = getattr(sale, name)
                if isinstance(value, Model):
                    value = value.id
                if value not in values and (value or name != 'number'):
                    names.append(cls.__names__(name)['field'])
            if names and sale._has_evidence():
                raise AccessError(gettext(
                        'sale_order_review.msg_sale_recorded',
                        sale=sale.rec_name, fields=', '.join(sorted(names))))

    @classmethod
    def _check_numbers(cls, sales):
        "Check that the numbers that were entered are not those of other sales"
        if not (sales := [s for s in sales if s.number]):
            return
        same = defaultdict(list)
        with without_check_access():
            for sale in cls.search([
                        ('company', 'in', list({s.company.id for s in sales})),
                        ('number', 'in', list({s.number for s in sales})),
                        ]):
                same[sale.company, sale.number].append(sale)
            for sale in sales:
                others = same[sale.company, sale.number]
                if (len(others) > 1
                        and any(s._has_evidence() for s in others)):
                    raise AccessError(gettext(
                            'sale_order_review.msg_sale_number',
                            number=sale.number))

    @classmethod
    def _check_history(cls, sales):
        "Check that the sales are not read as they were in the past"
        if (Transaction().context.get('_datetime')
                and any(s._is_reviewed() for s in sales)):
            raise AccessError(gettext('sale_order_review.msg_history'))

    def _has_evidence(self):
        "Return whether the sale is subject to review or has been"
        return bool(self._is_reviewed() or self.reviews or self.releases)

    def _is_reviewed(self):
        "Return whether orders of the company are subject to review"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        return (self.review_state != 'none'
            or Rule.has_rules(self.company, self.__name__))

    @classmethod
    def _lock_review(cls, sales):
        """Lock the sales whose lines change, so that of two transactions one
        does not change what the other quotes, submits or confirms.

        It waits for the other one, and fails to be tried again if that one
        modified the sale."""
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        if ids := sorted(s.id for s in sales if s._is_reviewed()):
            cursor.execute(*table.update(
                    [table.review_state], [table.review_state],
                    where=fields.SQL_OPERATORS['in'](table.id, ids)))

    @classmethod
    def check_review_frozen(cls, sales, names, model=None):
        """Check that the fields of the model, that of the sales by default,
        can still change.

        What is reviewed is frozen from the quotation on, and after the
        confirmation it changes by an amendment only. Until an order is
        submitted the fields that stock Tryton leaves open remain so."""
        names = names & cls.get_review_fields()[model or cls.__name__]
        if not names:
            return
        for sale in sales:
            if sale.state == 'draft':
                continue
            frozen = names
            if sale.review_state not in {'open', 'approved', 'released'}:
                if not sale._is_reviewed():
                    continue
                frozen = names - {'shipping_date', 'comment', 'note'}
            if frozen:
                Model = Pool().get(model or cls.__name__)
                message = 'msg_sale_frozen'
                if sale.state in {'processing', 'done'}:
                    message = 'msg_sale_frozen_processing'
                raise AccessError(gettext(
                        f'sale_order_review.{message}',
                        sale=sale.rec_name,
                        fields=', '.join(sorted(
                                Model.__names__(n)['field']
                                for n in frozen))))

    @classmethod
    @ModelView.button
    def cancel(cls, sales):
        cls._check_history(sales)
        cls._withdraw_reviews(sales)
        super().cancel(sales)
        cls._reset_review_state(sales)

    @classmethod
    @ModelView.button
    def draft(cls, sales):
        cls._check_history(sales)
        cls._withdraw_reviews(sales)
        super().draft(sales)
        cls._reset_review_state(sales)

    @classmethod
    def _reset_review_state(cls, sales):
        if sales := [s for s in sales if s.review_state != 'none']:
            cls.write(sales, {'review_state': 'none'})

    @classmethod
    def _withdraw_reviews(cls, sales):
        pool = Pool()
        Review = pool.get('sale.review')
        reviews = Review.get_current(
            [s for s in sales if s.review_state in {'open', 'released'}])
        Review.withdraw([
                r for r in reviews.values() if r.state == 'open'])

    @classmethod
    @ModelView.button
    def quote(cls, sales):
        cls._check_history(sales)
        # What has never been quoted has not been released either, and nobody
        # takes the number of what has away
        numbered = [s for s in sales if s.number]
        super().quote(sales)
        cls._set_review_state(
            [s for s in sales if s.state == 'quotation'], numbered)

    @classmethod
    @ModelView.button_action('sale_order_review.wizard_submit_review')
    def submit_review(cls, sales):
        pass

    @classmethod
    def confirm(cls, sales):
        # Before the access to the button, whose error would not tell what is
        # missing, but with the access to the sales
        pool = Pool()
        Release = pool.get('sale.review.release')
        quotations = [s for s in sales if s.state == 'quotation']
        with without_check_access():
            cls._check_history(sales)
            quotations = cls.browse(quotations)
            traced = cls._get_traced(quotations)
            releases = cls.check_review(quotations, traced)
            released = [r.origin for r in releases]
            reviewed = [
                s for s in quotations
                if s.review_state == 'approved' or s in released]
            unreviewed = [s for s in traced if s.review_state != 'approved']
            if releases:
                Release.use(releases, cls.plan_reviews(released))
            # Stock keeps who is there already
            if entered := [
                    s for s in quotations
                    if s.confirmed_by and s._is_reviewed()]:
                cls.write(entered, {'confirmed_by': None})
            # No rule applies any more
            cls._set_review_state(
                [s for s in quotations if s.review_state == 'required'])
        super().confirm(sales)
        with without_check_access():
            if reviewed:
                cls._review_confirmed(reviewed)
            if traced:
                cls._traced_confirmed(traced, unreviewed)

    @classmethod
    def _review_confirmed(cls, sales):
        "Let follow what the confirmation of reviewed sales entails"

    @classmethod
    def _traced_confirmed(cls, sales, unreviewed):
        """Let follow what the confirmation of the sales that have traces
        entails, of which unreviewed had no approval"""

    @classmethod
    def process(cls, sales):
        # The content could have been changed by other means since the
        # confirmation
        confirmed = [s for s in sales if s.state == 'confirmed']
        with without_check_access():
            cls._check_history(confirmed)
            missing = cls._get_held(cls.browse(confirmed))
        if missing:
            sales = [s for s in sales if s not in missing]
            # The queue has nobody to raise it to
            if not sales and Transaction().check_access:
                raise ReviewRequiredError(
                    '\n'.join(t for texts in missing.values() for t in texts))
            for sale, texts in missing.items():
                sale._notify_held(texts)
        super().process(sales)

    @classmethod
    def _get_held(cls, sales):
        "Return by sale the list of texts of why it is not processed"
        pool = Pool()
        Release = pool.get('sale.review.release')
        held = cls._get_unapproved(dict.fromkeys([
                    s for s in sales
                    if s.review_state not in {'none', 'released'}], []))
        held.update(Release.get_held([s for s in sales if s._is_released()]))
        return held

    def _notify_held(self, texts):
        "Tell who confirmed the sale why it is not processed"
        pool = Pool()
        Review = pool.get('sale.review')
        Review.notify_employees(
            {self.confirmed_by: [self]} if self.confirmed_by else {},
            'tryton-warning', 'sale_order_review.msg_notification_held',
            description=' '.join(texts))


class Line(ReviewedMixin, metaclass=PoolMeta):
    __name__ = 'sale.line'

    customised = fields.Boolean(
        "Customised", loading='lazy',
        states={
            'invisible': Eval('type') != 'line',
            'readonly': Eval('sale_state') != 'draft',
            },
        depends=['sale_state'],
        help="Check if the product is designed for the customer.")

    @fields.depends('product')
    def on_change_product(self):
        super().on_change_product()
        if self.product:
            self.customised = self.product.template.customised


class SubmitReviewMixin:
    "Wizard that shows who will have to sign and submits the records"
    __slots__ = ()

    submit = StateTransition()

    def default_start(self, fields):
        pool = Pool()
        Review = pool.get('sale.review')
        plans, problems = Review.plan(self.records)
        with without_check_access():
            held = self.model.get_review_held(plans)
        return {
            **self.get_start(plans),
            'held': '\n'.join(t for ts in held.values() for t in ts) or None,
            'problems': '\n'.join(problems) or None,
            }

    def get_start(self, plans):
        "Return the values that show the plans"
        return {
            'signoffs': [{
                    'sale': plan.sale.id,
                    'department': signoff['department'].id,
                    'name': signoff['rule'].name,
                    'stage': signoff['stage'],
                    'reason': signoff['reason'],
                    'signatories': signoff['names'],
                    'deadline': signoff['planned'],
                    'carried': bool(signoff['carried_from']),
                    }
                for plan in plans for signoff in plan.signoffs],
            }

    def transition_submit(self):
        pool = Pool()
        Review = pool.get('sale.review')
        Review.submit(self.records)
        return 'end'

    def end(self):
        return 'reload'


class SubmitReview(SubmitReviewMixin, Wizard):
    __name__ = 'sale.sale.submit_review'

    start = StateView('sale.sale.submit_review.start',
        'sale_order_review.submit_review_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Submit", 'submit', 'tryton-ok', default=True,
                states={
                    'readonly': Bool(Eval('problems')),
                    }),
            ])

    def default_start(self, fields):
        with without_check_access():
            # So that what no rule applies to any more can be confirmed
            self.model.update_review_state(self.records)
        return super().default_start(fields)


class SubmitReviewStart(ModelView):
    __name__ = 'sale.sale.submit_review.start'

    signoffs = fields.One2Many(
        'sale.sale.submit_review.signoff', None, "Sign-offs", readonly=True,
        help="Who will have to sign.")
    held = fields.Text(
        "Also Held By", readonly=True,
        states={
            'invisible': ~Eval('held'),
            },
        help="What holds the order besides its review.")
    problems = fields.Text(
        "Problems", readonly=True,
        states={
            'invisible': ~Eval('problems'),
            })


class SubmitReviewSignoff(ModelView):
    __name__ = 'sale.sale.submit_review.signoff'

    sale = fields.Many2One('sale.sale', "Sale", readonly=True)
    stage = fields.Integer("Stage", readonly=True)
    department = fields.Many2One(
        'company.department', "Department", readonly=True)
    name = fields.Char("Rule", readonly=True)
    reason = fields.Char("Why", readonly=True)
    signatories = fields.Char("Signatories", readonly=True)
    deadline = fields.Date("By", readonly=True)
    carried = fields.Boolean(
        "Carried", readonly=True,
        help="The sign-off of the previous round still holds.")
