# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict

from sql import Cast
from sql.aggregate import Max

from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.company.model import CompanyValueMixin
from trytond.modules.company_department.tools import (
    get_users, group_by_company, notify)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.transaction import Transaction, without_check_access

from . import snapshot as snapshots
from .exceptions import IntakeError, UnusualQuantityWarning

_PHONES = {'phone', 'mobile'}

intake_check = fields.Selection([
        ('quotation', "At the Quotation"),
        ('submission', "At the Submission for Review"),
        ], "Intake Check", sort=False,
    help="When an order must be complete and its oral requirements "
    "confirmed.\n"
    "An order that is not reviewed is checked at its confirmation instead of "
    "its submission.")
entry_days = fields.Integer(
    "Entry Deadline",
    domain=['OR',
        ('entry_days', '=', None),
        ('entry_days', '>=', 0),
        ],
    help="How many working days after the date of its contract an order must "
    "be entered.\n"
    "Leave empty to have no deadline.")
quantity_factor = fields.Float(
    "Unusual Quantity",
    domain=['OR',
        ('quantity_factor', '=', None),
        ('quantity_factor', '>', 0),
        ],
    help="How many times the largest quantity of a product that was ordered "
    "so far a line can have without a warning at the quotation.\n"
    "Leave empty to give no warning.")


class Configuration(metaclass=PoolMeta):
    __name__ = 'sale.configuration'

    intake_points = fields.MultiValue(fields.MultiSelection(
            'get_intake_points', "Intake Points",
            help="What an order must have and what is checked of it.\n"
            "Leave empty to check nothing."))
    intake_check = fields.MultiValue(intake_check)
    entry_days = fields.MultiValue(entry_days)
    quantity_factor = fields.MultiValue(quantity_factor)

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field in {
                'intake_points', 'intake_check', 'entry_days',
                'quantity_factor'}:
            return pool.get('sale.configuration.intake')
        return super().multivalue_model(field)

    @classmethod
    def get_intake_points(cls):
        pool = Pool()
        Intake = pool.get('sale.configuration.intake')
        return Intake.fields_get(['intake_points'])[
            'intake_points']['selection']

    @classmethod
    def default_intake_check(cls, **pattern):
        return cls.multivalue_model('intake_check').default_intake_check()


class ConfigurationIntake(CompanyValueMixin, ModelSQL):
    __name__ = 'sale.configuration.intake'

    # Each of them is checked by the method _get_intake_<name> of the sale
    intake_points = fields.MultiSelection([
            ('channel', "Channel and Receipt"),
            ('contract_date', "Contract Date"),
            ('contact', "Contact Person"),
            ('telephone', "Telephone of the Contact"),
            ('delivery_date', "Delivery Date"),
            ('delivery_place', "Delivery Place"),
            ('product', "Product"),
            ('description', "Specification of Customised Lines"),
            ('quantity', "Quantity"),
            ('price', "Price"),
            ('payment_term', "Payment Term"),
            ('requirements', "Requirements"),
            ('documents', "Documents of Processing Orders"),
            ('range', "Product within the Range"),
            ('feasible_date', "Delivery Date not Past"),
            ], "Intake Points", sort=False)
    intake_check = intake_check
    entry_days = entry_days
    quantity_factor = quantity_factor
    _settings_cache = Cache('sale.configuration.intake', context=False)

    @classmethod
    def default_intake_check(cls):
        return 'submission'

    @classmethod
    def get_settings(cls, company):
        """Return by name what is configured for the company.

        Every order is quoted and confirmed with it."""
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        settings = cls._settings_cache.get(company.id)
        if settings is None:
            configuration = Configuration(1)
            settings = {
                n: configuration.get_multivalue(n, company=company.id)
                for n in [
                    'intake_check', 'intake_points', 'entry_days',
                    'quantity_factor']}
            cls._settings_cache.set(company.id, settings)
        return settings

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        super().on_modification(mode, records, field_names=field_names)
        cls._settings_cache.clear()


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    # Lazy so that to read an order costs what it does in stock
    received_by = fields.Many2One(
        'company.employee', "Received By", ondelete='RESTRICT', loading='lazy',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="The employee who received the order from the customer.")
    received_at = fields.DateTime(
        "Received At", loading='lazy',
        states={
            'readonly': Eval('state') != 'draft',
            })
    contract_date = fields.Date(
        "Contract Date", loading='lazy',
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="The date on which the contract with the customer was signed.")
    entered_by = fields.Function(
        fields.Many2One(
            'res.user', "Entered By",
            help="The user who entered the order."),
        'get_entered_by', searcher='search_entered_by')
    entered_on = fields.Date("Entered On", readonly=True, loading='lazy')
    entry_deadline = fields.Date(
        "Entry Deadline", readonly=True, loading='lazy',
        help="The last date on which the order had to be entered.")
    entered_late = fields.Function(
        fields.Boolean("Entered Late"),
        'get_entered_late', searcher='search_entered_late')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.received_by, Index.Equality())),
                Index(
                    t,
                    (t.entry_deadline, Index.Range()),
                    where=t.entered_on > t.entry_deadline),
                })

    @fields.depends('channel', 'company', 'received_by', 'received_at')
    def on_change_channel(self):
        pool = Pool()
        Employee = pool.get('company.employee')
        if self.channel and not self.received_at:
            self.received_at = dt.datetime.now().replace(microsecond=0)
            employee = Transaction().context.get('employee')
            if (employee and not self.channel.online
                    and not self.received_by
                    and Employee(employee).company == self.company):
                self.received_by = employee

    @classmethod
    def get_entered_by(cls, sales, name):
        return {s.id: s.create_uid.id for s in sales}

    @classmethod
    def search_entered_by(cls, name, clause):
        return [('create_uid' + clause[0][len(name):], *clause[1:])]

    @classmethod
    def get_entered_late(cls, sales, name):
        return {
            s.id: bool(
                s.entered_on and s.entry_deadline
                and s.entered_on > s.entry_deadline)
            for s in sales}

    @classmethod
    def search_entered_late(cls, name, clause):
        _, operator, value = clause
        table = cls.__table__()
        late = table.select(
            table.id, where=table.entered_on > table.entry_deadline)
        if (operator == '=' and value) or (operator == '!=' and not value):
            return [('id', 'in', late)]
        return [('id', 'not in', late)]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="entry_deadline"]', 'visual',
                If(Eval('entered_late', False), 'danger', ''),
                ['entered_late']),
            ]

    @property
    def notification_name(self):
        "The name of the sale in notifications"
        return f'{self.rec_name} – {self.party.rec_name}'

    @classmethod
    def review_aspects(cls):
        aspects = super().review_aspects()
        aspects['requirements'][cls.__name__] |= {'received_by', 'received_at'}
        aspects['dates'][cls.__name__].add('contract_date')
        return aspects

    @classmethod
    def preprocess_values(cls, mode, values):
        pool = Pool()
        Date = pool.get('ir.date')
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            context = {}
            if company := values.get('company'):
                context['company'] = company
            with Transaction().set_context(context):
                values['entered_on'] = Date.today()
        else:
            values.pop('entered_on', None)
        return values

    def compute_fields(self, field_names=None):
        values = super().compute_fields(field_names=field_names)
        if (field_names is None
                or {'contract_date', 'entry_deadline'} & field_names):
            pool = Pool()
            Intake = pool.get('sale.configuration.intake')
            deadline = None
            company = getattr(self, 'company', None)
            contract_date = getattr(self, 'contract_date', None)
            if company and contract_date:
                days = Intake.get_settings(company)['entry_days']
                if days is not None:
                    deadline = company.add_working_days(contract_date, days)
            if getattr(self, 'entry_deadline', None) != deadline:
                values['entry_deadline'] = deadline
        return values

    @classmethod
    def on_modification(cls, mode, sales, field_names=None):
        super().on_modification(mode, sales, field_names=field_names)
        if mode == 'create':
            cls._notify_handlers(sales)

    @classmethod
    @without_check_access
    def _notify_handlers(cls, sales):
        "Tell the handlers of the channels what came in without them"
        pool = Pool()
        Review = pool.get('sale.review')
        employees = defaultdict(list)
        for sale in cls.browse(sales):
            if not sale.channel or not sale.channel.online:
                continue
            handlers = [
                e for e in sale.channel.handlers if e.company == sale.company]
            own = set(sale.create_uid.employees)
            if not own & set(handlers):
                for employee in handlers:
                    employees[employee].append(sale)
        Review.notify_employees(
            employees, 'tryton-forward',
            'sale_order_review.msg_notification_received')

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        for name in [
                'received_by', 'received_at', 'contract_date',
                'entry_deadline']:
            default.setdefault(name)
        return super().copy(sales, default=default)

    @classmethod
    @without_check_access
    def get_intake_missing(cls, sales, moment, traced=None):
        """Return by sale the text of what prevents it from going on at the
        moment, which is 'quotation', 'submission' or 'confirmation'

        traced are those of the sales that may have requirements, all of them
        by default."""
        pool = Pool()
        Intake = pool.get('sale.configuration.intake')
        Requirement = pool.get('sale.requirement')
        missing = {}
        for company, c_sales in group_by_company(sales):
            settings = Intake.get_settings(company)
            check = settings['intake_check']
            if moment == 'quotation' != check:
                continue
            c_sales = cls.browse(c_sales)
            configured = settings['intake_points'] or ()
            points = [
                n for n, _ in Intake.intake_points.selection
                if n in configured]
            names = {
                s: s._get_intake_names(moment, check, points) for s in c_sales}
            may_have = set(c_sales if traced is None else traced)
            # Hardly any order has one, which is looked for whatever is checked
            oral = {
                r['sale'] for r in snapshots.select(
                    Requirement, {'sale', 'oral', 'confirmed_at'}, 'sale',
                    [s.id for s in c_sales
                        if 'oral' in names[s] and s in may_have])
                if r['oral'] and not r['confirmed_at']}
            with Transaction().set_context(company=company.id):
                for sale in c_sales:
                    texts = [
                        t for n in names[sale]
                        if n != 'oral' or sale.id in oral
                        for t in getattr(sale, f'_get_intake_{n}')()]
                    if texts:
                        message = 'msg_intake_missing'
                        if moment == 'quotation':
                            message = 'msg_intake_missing_quotation'
                        missing[sale] = gettext(
                            f'sale_order_review.{message}',
                            sale=sale.rec_name,
                            party=sale.party.rec_name,
                            missing='; '.join(texts))
        return missing

    def _get_intake_names(self, moment, check, points):
        "Return the names of the points to check at the moment"
        if moment == check:
            return [*points, 'oral']
        elif moment == 'confirmation':
            if check == 'submission' and self.review_state != 'approved':
                return [*points, 'oral']
            return ['oral']
        return []

    def _get_intake_channel(self):
        if not self.channel:
            yield gettext('sale_order_review.msg_intake_channel')
        if (not self.received_at
                or not (self.received_by
                    or (self.channel and self.channel.online))):
            yield gettext('sale_order_review.msg_intake_received')

    def _get_intake_contract_date(self):
        if not self.contract_date:
            yield gettext('sale_order_review.msg_intake_contract_date')

    def _get_intake_contact(self):
        if (not self.contact
                or (not self.contact.name
                    and self.contact.party == self.party)):
            yield gettext('sale_order_review.msg_intake_contact')

    def _get_intake_telephone(self):
        contact = self.contact
        if (not contact
                or not any(
                    m.type in _PHONES and m.name == contact.name
                    for m in contact.party.contact_mechanisms)):
            yield gettext('sale_order_review.msg_intake_telephone')

    def _get_intake_delivery_date(self):
        if not self.shipping_date:
            yield gettext('sale_order_review.msg_intake_delivery_date')

    def _get_intake_delivery_place(self):
        address = self.shipment_address
        if not address or not (address.street or address.city):
            yield gettext('sale_order_review.msg_intake_delivery_place')

    def _get_intake_product(self):
        lines = self._review_lines
        if not lines:
            yield gettext('sale_order_review.msg_intake_lines')
        for line in lines:
            if not line.product:
                yield gettext('sale_order_review.msg_intake_product',
                    line=line.intake_name)

    def _get_intake_description(self):
        for line in self._review_lines:
            if line.customised and not (line.description or '').strip():
                yield gettext('sale_order_review.msg_intake_description',
                    line=line.intake_name)

    def _get_intake_quantity(self):
        for line in self._review_lines:
            if not line.quantity:
                yield gettext('sale_order_review.msg_intake_quantity',
                    line=line.intake_name)

    def _get_intake_price(self):
        for line in self._review_lines:
            if not line.unit_price:
                yield gettext('sale_order_review.msg_intake_price',
                    line=line.intake_name)

    def _get_intake_payment_term(self):
        if not self.payment_term:
            yield gettext('sale_order_review.msg_intake_payment_term')

    def _get_intake_range(self):
        for line in self._review_lines:
            product = line.product
            if product and not (product.active and product.salable):
                yield gettext('sale_order_review.msg_intake_range',
                    line=line.intake_name)

    def _get_intake_feasible_date(self):
        pool = Pool()
        Date = pool.get('ir.date')
        Lang = pool.get('ir.lang')
        if self.shipping_date and self.shipping_date < Date.today():
            yield gettext('sale_order_review.msg_intake_feasible_date',
                date=Lang.get().strftime(self.shipping_date))

    @classmethod
    def get_review_problems(cls, sales):
        problems = super().get_review_problems(sales)
        # What is released is frozen and can no longer be completed
        missing = cls.get_intake_missing(
            [s for s in sales if not s._is_released()], 'submission')
        for sale, text in missing.items():
            problems[sale] = '\n'.join(
                t for t in [problems.get(sale), text] if t)
        return problems

    @classmethod
    @ModelView.button
    def quote(cls, sales):
        drafts = [s for s in sales if s.state == 'draft']
        missing = cls.get_intake_missing(drafts, 'quotation')
        if missing:
            raise IntakeError('\n'.join(missing.values()))
        cls._check_quantities(drafts)
        entered = [s for s in drafts if not s.number]
        super().quote(sales)
        cls._notify_preparing(entered)

    @classmethod
    def _notify_preparing(cls, sales):
        """Tell the departments that prepare the orders of new ones, with what
        they take from stock"""
        pool = Pool()
        Date = pool.get('ir.date')
        Department = pool.get('company.department')
        by_user = defaultdict(dict)
        for company, c_sales in group_by_company(sales):
            departments = Department.get_with_duty(company, 'prepares_orders')
            if not departments:
                continue
            with Transaction().set_context(company=company.id):
                today = Date.today()
            employees = set().union(*Department.get_signatories(
                    departments, today).values())
            for users in get_users(employees).values():
                for user in users:
                    by_user[user].update(dict.fromkeys(c_sales))
        measures = {}

        def describe(sale):
            language = Transaction().language
            if language not in measures:
                measures[language] = cls.get_review_measures(
                    sales, ['stock_available'])
            stock = measures[language][sale]['stock_available']['basis']
            return ': '.join(filter(None, [sale.notification_name, stock]))

        notify(
            by_user, 'tryton-forward',
            'sale_order_review.msg_notification_prepare', describe)

    @classmethod
    def _check_quantities(cls, sales):
        "Warn of quantities that are unusual for their products"
        pool = Pool()
        Intake = pool.get('sale.configuration.intake')
        Warning = pool.get('res.user.warning')
        unusual = {}
        for company, c_sales in group_by_company(sales):
            factor = Intake.get_settings(company)['quantity_factor']
            if not factor:
                continue
            lines = [
                l for s in c_sales for l in s._review_lines if l.product]
            largest = cls._get_largest_quantities(company, lines)
            for line in lines:
                usual = largest.get(line.product.id)
                if usual and line.quantity * line.unit.factor > factor * usual:
                    unusual[line] = usual / line.unit.factor
        if unusual:
            name = Warning.format('sale_unusual_quantity', list(unusual))
            if Warning.check(name):
                raise UnusualQuantityWarning(name, '\n'.join(
                        gettext('sale_order_review.msg_unusual_quantity',
                            line=line.intake_name,
                            sale=line.sale.rec_name,
                            quantity=f'{line.quantity:g}',
                            largest=f'{largest:g}',
                            unit=line.unit.rec_name)
                        for line, largest in unusual.items()))

    @classmethod
    def _get_largest_quantities(cls, company, lines):
        """Return by id of product of the lines the largest quantity of a line
        of the confirmed orders of the company, in the reference unit"""
        pool = Pool()
        Line = pool.get('sale.line')
        Uom = pool.get('product.uom')
        if not lines:
            return {}
        cursor = Transaction().connection.cursor()
        sale, line, unit = (
            M.__table__() for M in [cls, Line, Uom])
        quantity = Max(line.quantity * unit.factor)
        cursor.execute(*sale
            .join(line, condition=line.sale == sale.id)
            .join(unit, condition=line.unit == unit.id)
            .select(
                line.product, quantity,
                where=(sale.company == company.id)
                & sale.state.in_(['confirmed', 'processing', 'done'])
                & fields.SQL_OPERATORS['in'](
                    line.product, list({l.product.id for l in lines})),
                group_by=line.product))
        return {p: q for p, q in cursor if q and q > 0}

    @classmethod
    def _query_traces(cls, sales):
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        table = Requirement.__table__()
        return super()._query_traces(sales) + [table.select(
                Cast(table.sale, 'VARCHAR'),
                where=fields.SQL_OPERATORS['in'](
                    table.sale, [s.id for s in sales]))]

    @classmethod
    def _get_review_missing(cls, sales, traced):
        missing = super()._get_review_missing(sales, traced)
        intake = cls.get_intake_missing(
            [s for s in sales if s.state == 'quotation'], 'confirmation',
            traced)
        for sale, text in intake.items():
            missing.setdefault(sale, []).append(text)
        return missing


class Line(metaclass=PoolMeta):
    __name__ = 'sale.line'

    @property
    def intake_name(self):
        "The name of the line in what is missing"
        if self.product:
            return self.product.rec_name
        return (self.description or '').split('\n')[0] or self.rec_name
