# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from decimal import Decimal

from sql import Cast, Literal, Null, Union
from sql.aggregate import Count, Min, Sum
from sql.conditionals import Case, Coalesce
from sql.operators import Concat, Exists

from trytond import backend
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.account_credit_limit.exceptions import (
    CreditLimitError, CreditLimitWarning)
from trytond.modules.company_department.tools import get_user
from trytond.modules.currency.fields import Monetary
from trytond.modules.sale_credit_limit.party import Party as SaleParty
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction, without_check_access

from .exceptions import ExposureError
from .file import DECIDED_STATES, CustomerMixin

# The limit of those who have more of the limit than this is nearly used up
USAGE = Decimal('0.8')


def numeric(expression):
    "Return the expression as a number with which it can be calculated"
    # SQLite stores round numbers as integers, of which it cuts the quotient
    return Cast(
        expression, 'REAL' if backend.name == 'sqlite' else 'NUMERIC')


def _text(expression):
    return Cast(expression, 'VARCHAR')


def _integer(expression):
    return Cast(expression, 'INTEGER')


class Facts:
    "What the check of credit needs to know of a customer"
    __slots__ = (
        'receivable', 'overdue', 'orders', 'limit', 'blocked', 'class_',
        'level', 'credit', 'file', 'file_state', 'kind', 'market', 'holds')

    def __init__(self):
        self.receivable = self.overdue = self.orders = Decimal(0)
        self.limit = None
        self.blocked = False
        self.class_ = self.level = self.credit = None
        self.file = self.file_state = self.kind = self.market = None
        self.holds = []

    @property
    def exposure(self):
        return self.receivable + self.orders


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    @classmethod
    def get_credit_amount(cls, parties, name):
        pool = Pool()
        Company = pool.get('company.company')
        # Sale counts the orders one by one, and by customer
        amounts = super(SaleParty, cls).get_credit_amount(parties, name)
        company_id = Transaction().context.get('company')
        if company_id is None or company_id < 0:
            return amounts
        company = Company(company_id)
        for id_, facts in cls.get_credit_facts(
                company, [p.id for p in parties], ['orders']).items():
            amounts[id_] += facts.orders
        return amounts

    @classmethod
    def get_exposure(cls, company, parties):
        """Return by id of party what it owes to the company, what its open
        orders will make it owe, its credit limit, what is overdue and whether
        dunning blocks it"""
        return {
            party: {
                'receivable': facts.receivable,
                'orders': facts.orders,
                'limit': facts.limit,
                'overdue': facts.overdue,
                'blocked': facts.blocked,
                }
            for party, facts in cls.get_credit_facts(
                company, [int(p) for p in parties],
                ['receivable', 'orders', 'limit', 'dunning']).items()}

    @classmethod
    @without_check_access
    def get_credit_facts(cls, company, party_ids, parts, sales=()):
        """Return the facts by id of party, all of them by one query

        parts are the names of those that are wanted: receivable, orders,
        limit, dunning, profile and hold, which are the ids of the open holds
        of the sales."""
        pool = Pool()
        Company = pool.get('company.company')
        Currency = pool.get('currency.currency')
        cursor = Transaction().connection.cursor()
        company = Company(int(company))
        currency = company.currency
        facts = {p: Facts() for p in party_ids}
        if not facts:
            return facts
        queries = []
        for part in parts:
            queries.extend(getattr(cls, f'_credit_{part}')(
                    company, list(facts), sales))
        if not queries:
            return facts
        query = (Union(*queries, all_=True) if len(queries) > 1
            else queries[0])
        limits, default, holds = {}, None, []
        cursor.execute(*query)
        for party, part, amount, other, number, *texts in cursor:
            if part == 'default':
                if number or default is None:
                    default = (amount,)
                continue
            elif part == 'hold':
                holds.append(number)
                continue
            fact = facts[party]
            if part == 'receivable':
                fact.receivable = _round(currency, amount)
                fact.overdue = _round(currency, other)
            elif part == 'orders':
                if number:
                    raise ExposureError(gettext(
                            'customer_grading.msg_exposure_rate',
                            party=cls(party).rec_name,
                            currency=Currency(number).rec_name,
                            company_currency=currency.rec_name))
                fact.orders = _round(currency, amount)
            elif part == 'limit':
                # That of the company comes before that of all
                if number or party not in limits:
                    limits[party] = amount
            elif part == 'dunning':
                fact.blocked = bool(number)
            elif part == 'file':
                fact.file = number
                fact.file_state, fact.kind, fact.market = texts
            elif part == 'grade':
                axis = texts[0]
                setattr(
                    fact, 'class_' if axis == 'class' else axis, number)
        for party, fact in facts.items():
            fact.holds = holds
            limit = limits[party] if party in limits else (
                default[0] if default else None)
            if limit is not None:
                fact.limit = _round(currency, limit)
        return facts

    @classmethod
    def _credit_columns(
            cls, party, part, amount=Null, other=Null, number=Null, text=Null,
            text2=Null, text3=Null):
        return [
            _integer(party).as_('party'), _text(Literal(part)).as_('part'),
            numeric(amount).as_('amount'), numeric(other).as_('other'),
            _integer(number).as_('number'), _text(text).as_('text'),
            _text(text2).as_('text2'), _text(text3).as_('text3')]

    @classmethod
    def _credit_receivable(cls, company, party_ids, sales):
        query = cls._receivable_query(company, party_ids)
        yield query.select(*cls._credit_columns(
                query.party, 'receivable', query.receivable, query.overdue))

    @classmethod
    def _receivable_query(cls, company=None, party_ids=None):
        pool = Pool()
        Account = pool.get('account.account')
        AccountType = pool.get('account.account.type')
        Date = pool.get('ir.date')
        Line = pool.get('account.move.line')
        Move = pool.get('account.move')
        account = Account.__table__()
        type_ = AccountType.__table__()
        line = Line.__table__()
        move = Move.__table__()
        with Transaction().set_context(
                company=company.id if company
                else Transaction().context.get('company')):
            today = Date.today()
        amount = line.debit - line.credit
        where = (line.reconciliation == Null) & type_.receivable
        if company:
            where &= account.company == company.id
        if party_ids is not None:
            where &= fields.SQL_OPERATORS['in'](line.party, party_ids)
        else:
            where &= line.party != Null
        return (line
            .join(move, condition=line.move == move.id)
            .join(account, condition=line.account == account.id)
            .join(type_, condition=account.type == type_.id)
            .select(
                line.party.as_('party'),
                account.company.as_('company'),
                Sum(amount).as_('receivable'),
                Sum(Case(
                        (Coalesce(line.maturity_date, move.date) < today,
                            amount),
                        else_=0)).as_('overdue'),
                where=where,
                group_by=[line.party, account.company]))

    @classmethod
    def _credit_orders(cls, company, party_ids, sales):
        query = cls._orders_query(company, party_ids)
        yield query.select(*cls._credit_columns(
                query.party, 'orders', query.amount,
                number=query.missing_rate))

    @classmethod
    def _orders_query(cls, company=None, party_ids=None):
        """Return the query of what is ordered and not invoiced, by company and
        party that pays, in the currency of the company at the rate of today
        and with the taxes as they are on the order"""
        pool = Pool()
        Company = pool.get('company.company')
        Currency = pool.get('currency.currency')
        Date = pool.get('ir.date')
        Invoice = pool.get('account.invoice')
        InvoiceLine = pool.get('account.invoice.line')
        Line = pool.get('sale.line')
        LineMove = pool.get('sale.line-ignored-stock.move')
        Move = pool.get('stock.move')
        Sale = pool.get('sale.sale')
        SaleInvoice = pool.get('sale.sale-ignored-account.invoice')
        Uom = pool.get('product.uom')
        sale = Sale.__table__()
        line = Line.__table__()
        unit = Uom.__table__()
        company_ = Company.__table__()
        rate_sale = Currency.currency_rate_sql()
        rate_company = Currency.currency_rate_sql()
        with Transaction().set_context(
                company=company.id if company
                else Transaction().context.get('company')):
            today = Date.today()

        def quantity(table, other):
            "The quantity in the unit of the line of the sale"
            return Case(
                ((table.unit == Null) | (line.unit == Null)
                    | (table.unit == line.unit), table.quantity),
                else_=table.quantity * other.factor / unit.factor)

        invoice_line = InvoiceLine.__table__()
        invoice = Invoice.__table__()
        invoice_unit = Uom.__table__()
        ignored = SaleInvoice.__table__()
        invoiced = (invoice_line
            .join(invoice, condition=invoice_line.invoice == invoice.id)
            .join(invoice_unit, 'LEFT',
                condition=invoice_line.unit == invoice_unit.id)
            .select(
                Sum(quantity(invoice_line, invoice_unit)),
                where=(invoice_line.origin == Concat(
                        'sale.line,', Cast(line.id, 'VARCHAR')))
                & (invoice_line.type == 'line')
                & (((invoice.move != Null) & (invoice.state != 'cancelled'))
                    | invoice.id.in_(ignored.select(
                            ignored.invoice,
                            where=ignored.sale == sale.id)))))
        move = Move.__table__()
        move_unit = Uom.__table__()
        line_move = LineMove.__table__()
        moved = (line_move
            .join(move, condition=line_move.move == move.id)
            .join(move_unit, 'LEFT', condition=move.unit == move_unit.id)
            .select(
                Sum(quantity(move, move_unit)),
                where=line_move.sale_line == line.id))
        remaining = (
            line.quantity - Coalesce(invoiced, 0)
            - Case(
                (sale.invoice_method == 'fulfillment', Coalesce(moved, 0)),
                else_=0))
        taxes = Case(
            ((sale.untaxed_amount_cache != 0)
                & (sale.total_amount_cache != Null),
                numeric(sale.total_amount_cache)
                / numeric(sale.untaxed_amount_cache)),
            else_=1)

        def valid(rate, currency):
            return (
                (sale.currency != company_.currency)
                & (rate.currency == currency)
                & (rate.start_date <= today)
                & ((rate.end_date == Null) | (rate.end_date > today)))

        rate = Case(
            (sale.currency == company_.currency, 1),
            else_=numeric(rate_company.rate) / numeric(rate_sale.rate))
        where = (
            sale.state.in_(['confirmed', 'processing'])
            & (line.type == 'line')
            & (line.quantity > 0))
        payer = Coalesce(sale.invoice_party, sale.party)
        if company:
            where &= sale.company == company.id
        if party_ids is not None:
            where &= fields.SQL_OPERATORS['in'](payer, party_ids)
        lines = (sale
            .join(line, condition=line.sale == sale.id)
            .join(unit, 'LEFT', condition=line.unit == unit.id)
            .join(company_, condition=sale.company == company_.id)
            .join(rate_sale, 'LEFT', condition=valid(rate_sale, sale.currency))
            .join(rate_company, 'LEFT',
                condition=valid(rate_company, company_.currency))
            .select(
                payer.as_('party'),
                sale.company.as_('company'),
                numeric(remaining).as_('remaining'),
                (numeric(line.unit_price) * taxes * rate).as_('price'),
                Case(
                    (rate != Null, Null),
                    else_=Case(
                        (rate_sale.rate == Null, sale.currency),
                        else_=company_.currency)).as_('missing_rate'),
                where=where))
        return lines.select(
            lines.party.as_('party'),
            lines.company.as_('company'),
            Sum(lines.remaining * lines.price).as_('amount'),
            Min(lines.missing_rate).as_('missing_rate'),
            where=lines.remaining > 0,
            group_by=[lines.party, lines.company])

    @classmethod
    def _credit_limit(cls, company, party_ids, sales):
        pool = Pool()
        Default = pool.get('account.configuration.default_credit_limit_amount')
        Limit = pool.get('party.party.credit_limit_amount')
        limit = Limit.__table__()
        default = Default.__table__()
        yield limit.select(
            *cls._credit_columns(
                limit.party, 'limit', limit.credit_limit_amount,
                number=limit.company),
            where=((limit.company == company.id) | (limit.company == Null))
            & fields.SQL_OPERATORS['in'](limit.party, party_ids))
        yield default.select(
            *cls._credit_columns(
                Null, 'default', default.default_credit_limit_amount,
                number=default.company),
            where=(default.company == company.id) | (default.company == Null))

    @classmethod
    def _credit_dunning(cls, company, party_ids, sales):
        pool = Pool()
        Line = pool.get('account.move.line')
        try:
            Dunning = pool.get('account.dunning')
            Level = pool.get('account.dunning.level')
        except KeyError:
            return
        dunning = Dunning.__table__()
        level = Level.__table__()
        line = Line.__table__()
        yield (dunning
            .join(level, condition=dunning.level == level.id)
            .join(line, condition=dunning.line == line.id)
            .select(
                *cls._credit_columns(
                    line.party, 'dunning', number=Count(dunning.id)),
                where=(dunning.company == company.id)
                & level.credit_limit
                & ~Coalesce(dunning.blocked, False)
                & (line.reconciliation == Null)
                & fields.SQL_OPERATORS['in'](line.party, party_ids),
                group_by=line.party))

    @classmethod
    def _credit_profile(cls, company, party_ids, sales):
        "What the policies are chosen by"
        pool = Pool()
        File = pool.get('customer.file')
        file = File.__table__()
        decided = file.state.in_(DECIDED_STATES)
        yield file.select(
            *cls._credit_columns(
                file.party, 'file', number=file.id, text=file.state,
                text2=Case((decided, file.kind)),
                text3=Case((decided, file.market))),
            where=(file.company == company.id)
            & fields.SQL_OPERATORS['in'](file.party, party_ids))
        Grade = pool.get('customer.grade')
        grade = Grade.__table__()
        yield grade.select(
            *cls._credit_columns(
                grade.party, 'grade', number=grade.grade, text=grade.axis),
            where=(grade.company == company.id)
            & (grade.end_date == Null)
            & fields.SQL_OPERATORS['in'](grade.party, party_ids))

    @classmethod
    def _credit_hold(cls, company, party_ids, sales):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        hold = Hold.__table__()
        yield hold.select(
            *cls._credit_columns(Null, 'hold', number=hold.id),
            where=hold.state.in_(['held', 'released', 'rejected'])
            & fields.SQL_OPERATORS['in'](
                hold.sale, [s.id for s in sales]))

    def check_credit_limit(self, amount, company, origin=None):
        # Stock forgets the dunning where there is no limit, looks at that of
        # other companies, and tells the amount as the excess
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        Warning = pool.get('res.user.warning')
        if amount <= 0:
            return
        limit = self.get_multivalue('credit_limit_amount', company=company.id)
        if limit is None and not Policy.get_active(company):
            # As stock where nothing is set up
            return
        if limit is not None:
            for model in self._credit_limit_to_lock():
                pool.get(model).lock()
        facts = self.__class__.get_credit_facts(
            company, [self.id],
            ['receivable', 'orders', 'dunning'] if limit is not None
            else ['dunning'])[self.id]
        problems = []
        if limit is not None and facts.exposure + amount > limit:
            problems.append(('credit_limit_amount', gettext(
                        'customer_grading.msg_credit_limit',
                        party=self.rec_name,
                        limit=format_amount(limit, company.currency),
                        exposure=format_amount(
                            facts.exposure, company.currency),
                        amount=format_amount(amount, company.currency),
                        excess=format_amount(
                            facts.exposure + amount - limit,
                            company.currency))))
        if facts.blocked:
            problems.append(('credit_limit_dunning', gettext(
                        'customer_grading.msg_credit_dunning',
                        party=self.rec_name)))
        for name, text in problems:
            if not self._may_exceed_credit_limit(origin):
                raise CreditLimitError(text)
            name = Warning.format(name, [origin])
            if Warning.check(name):
                raise CreditLimitWarning(name, text)

    @classmethod
    def _may_exceed_credit_limit(cls, origin):
        "Return whether the user is only warned, as stock does"
        pool = Pool()
        Group = pool.get('res.group')
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        user = get_user()
        if not user:
            return True
        group = Group(ModelData.get_id(
                'account_credit_limit', 'group_credit_limit'))
        return bool(origin) and group in User(user).groups


def _round(currency, amount):
    if not isinstance(amount, Decimal):
        amount = Decimal(str(amount or 0))
    return currency.round(amount)


def format_amount(amount, currency):
    "Return the text of the amount with the code of its currency"
    pool = Pool()
    Lang = pool.get('ir.lang')
    # The symbols of some currencies are the same
    text = Lang.get().currency(amount, currency, symbol=False, grouping=True)
    return f'{currency.code} {text}'


class Exposure(CustomerMixin, ModelSQL, ModelView):
    "What the customers owe and will owe, against their limits"
    __name__ = 'customer.credit.exposure'

    company = fields.Many2One('company.company', "Company")
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'get_currency')
    party = fields.Many2One(
        'party.party', "Party",
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    credit_limit = Monetary(
        "Limit", currency='currency', digits='currency')
    receivable = Monetary(
        "Receivable", currency='currency', digits='currency')
    orders = Monetary(
        "Orders", currency='currency', digits='currency',
        help="What is ordered and not invoiced yet, with taxes.")
    exposure = Monetary(
        "Exposure", currency='currency', digits='currency')
    overdue = Monetary(
        "Overdue", currency='currency', digits='currency')
    missing_rate = fields.Many2One(
        'currency.currency', "Missing Rate",
        states={
            'invisible': ~Eval('missing_rate'),
            },
        help="The currency of orders that has no rate today, so that the "
        "exposure is not known.")
    usage = fields.Float(
        "Usage", digits=(None, 4),
        states={
            'invisible': ~Eval('credit_limit') | Eval('missing_rate'),
            })
    over = fields.Boolean("Over Limit")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('over', 'DESC'),
            ('usage', 'DESC NULLS LAST'),
            ('exposure', 'DESC'),
            ('id', 'ASC'),
            ]

    @classmethod
    def get_currency(cls, records, name):
        return {r.id: r.company.currency.id for r in records}

    @classmethod
    def _get_id(cls, table):
        return Cast(table.company, 'BIGINT') * 1_000_000_000 + table.party

    @classmethod
    def _get_hidden(cls, hidden):
        return hidden.select(cls._get_id(hidden))

    def get_rec_name(self, name):
        return self.party.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('over', False) | Bool(Eval('missing_rate')), 'danger',
                    If(Eval('usage', 0) > float(USAGE), 'warning', ''))),
            ('/tree/field[@name="overdue"]', 'visual',
                If(Eval('overdue', 0) > 0, 'danger', '')),
            ]

    @classmethod
    def table_query(cls):
        pool = Pool()
        Company = pool.get('company.company')
        Default = pool.get('account.configuration.default_credit_limit_amount')
        Limit = pool.get('party.party.credit_limit_amount')
        Party = pool.get('party.party')
        company = Company.__table__()
        receivable = Party._receivable_query()
        orders = Party._orders_query()
        limits = Limit.__table__()
        parts = Union(
            receivable.select(
                receivable.party.as_('party'),
                receivable.company.as_('company'),
                numeric(receivable.receivable).as_('receivable'),
                numeric(receivable.overdue).as_('overdue'),
                numeric(Literal(0)).as_('orders'),
                _integer(Null).as_('missing_rate')),
            orders.select(
                orders.party.as_('party'),
                orders.company.as_('company'),
                numeric(Literal(0)).as_('receivable'),
                numeric(Literal(0)).as_('overdue'),
                numeric(Coalesce(orders.amount, 0)).as_('orders'),
                _integer(orders.missing_rate).as_('missing_rate')),
            limits
            .join(company, condition=(limits.company == company.id)
                | (limits.company == Null))
            .select(
                limits.party.as_('party'),
                company.id.as_('company'),
                numeric(Literal(0)).as_('receivable'),
                numeric(Literal(0)).as_('overdue'),
                numeric(Literal(0)).as_('orders'),
                _integer(Null).as_('missing_rate'),
                where=(limits.party != Null)
                & (limits.credit_limit_amount != Null)),
            all_=True)
        amounts = parts.select(
            parts.party.as_('party'),
            parts.company.as_('company'),
            Sum(parts.receivable).as_('receivable'),
            Sum(parts.overdue).as_('overdue'),
            Sum(parts.orders).as_('orders'),
            Min(parts.missing_rate).as_('missing_rate'),
            group_by=[parts.party, parts.company])

        def first(table, column, where):
            "That of the company comes before that of all"
            return table.select(
                column,
                where=where & (
                    (table.company == amounts.company)
                    | (table.company == Null)),
                order_by=Case((table.company == Null, 1), else_=0), limit=1)

        limit = Limit.__table__()
        default = Default.__table__()
        own = limit.party == amounts.party
        with_limit = amounts.select(
            amounts.party.as_('party'),
            amounts.company.as_('company'),
            amounts.receivable.as_('receivable'),
            amounts.overdue.as_('overdue'),
            amounts.orders.as_('orders'),
            amounts.missing_rate.as_('missing_rate'),
            numeric(Case(
                    (Exists(first(limit, limit.id, own)),
                        first(limit, limit.credit_limit_amount, own)),
                    else_=first(
                        default, default.default_credit_limit_amount,
                        Literal(True))
                    )).as_('credit_limit'))
        # What is known of it
        exposure = with_limit.receivable + with_limit.orders
        missing_rate = with_limit.missing_rate != Null

        def known(expression):
            return Case((missing_rate, Null), else_=expression)

        return with_limit.select(
            cls._get_id(with_limit).as_('id'),
            with_limit.party.as_('party'),
            with_limit.company.as_('company'),
            cls.credit_limit.sql_cast(with_limit.credit_limit).as_(
                'credit_limit'),
            cls.receivable.sql_cast(with_limit.receivable).as_('receivable'),
            cls.overdue.sql_cast(with_limit.overdue).as_('overdue'),
            cls.orders.sql_cast(known(with_limit.orders)).as_('orders'),
            cls.exposure.sql_cast(known(exposure)).as_('exposure'),
            with_limit.missing_rate.as_('missing_rate'),
            cls.usage.sql_cast(Case(
                    (missing_rate, Null),
                    (with_limit.credit_limit > 0,
                        exposure / with_limit.credit_limit),
                    else_=Null)).as_('usage'),
            Coalesce(exposure > with_limit.credit_limit, False).as_('over'),
            where=(exposure != 0)
            | (with_limit.credit_limit != Null)
            | missing_rate)


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        # To find what who pays has ordered
        cls._sql_indexes.add(
            Index(
                t,
                (Coalesce(t.invoice_party, t.party), Index.Equality()),
                where=t.state.in_(['confirmed', 'processing'])))
