# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from sql import Cast, Literal, Null, Union
from sql.aggregate import Count, Max, Min, Sum
from sql.conditionals import Case, Coalesce, Greatest, NullIf
from sql.functions import Extract, Function, Round

from trytond import backend
from trytond.i18n import gettext
from trytond.model import Model, fields
from trytond.pool import Pool, PoolMeta
from trytond.tools import sqlite_apply_types
from trytond.transaction import Transaction

from .exceptions import GradingRunError

SALE_STATES = ['confirmed', 'processing', 'done']
# The digits after the decimal point by kind of metric, amounts have those of
# the currency
DIGITS = {
    'amount': None,
    'days': 2,
    'number': 2,
    'share': 4,
    'years': 2,
    }


def number(expression):
    """Return the expression as number

    SQLite stores it as text and would divide integers as such."""
    return Cast(
        expression, 'REAL' if backend.name == 'sqlite' else 'NUMERIC')


class JulianDay(Function):
    __slots__ = ()
    _function = 'JULIANDAY'


class Metric(Model):
    """The registry of what customers can be measured by

    A family measures several metrics with the query that its class method
    _metric_<family>(company, start, end, parties=None) returns. The query has
    the columns party and for each metric <metric> with its value, null where
    there are no data, and <metric>_count with the number of records it comes
    from. It is about the company (a record) after the date start up to and
    including the date end, and must not look at what happened later. parties
    are ids to which it is restricted.

    The class method _changed_<family>(company, since) returns the query with
    the column party of those whose records have been changed since the time.
    """
    __name__ = 'customer.grading.metric'

    @classmethod
    def families(cls):
        "Return the list of metrics by family"
        return {
            'sales': [
                'sales_amount', 'sales_growth', 'order_count',
                'active_months', 'recency_days', 'customer_years',
                'product_variety'],
            'margin': ['margin_rate'],
            'receivables': [
                'days_late', 'overdue_amount', 'overdue_days_amount'],
            'returns': ['return_rate'],
            }

    @classmethod
    def get_kinds(cls):
        """Return by metric what it is: amount, days, number, share or years"""
        return {
            'sales_amount': 'amount',
            'sales_growth': 'share',
            'order_count': 'number',
            'active_months': 'number',
            'recency_days': 'days',
            'customer_years': 'years',
            'product_variety': 'number',
            'margin_rate': 'share',
            'days_late': 'days',
            'overdue_amount': 'amount',
            'overdue_days_amount': 'days',
            'return_rate': 'share',
            }

    @classmethod
    def get_metrics(cls):
        "Return the list of couples of name and label of the metrics"
        return [
            (name, gettext(f'customer_grading.msg_metric_{name}'))
            for name in [
                'sales_amount', 'sales_growth', 'order_count',
                'active_months', 'recency_days', 'customer_years',
                'product_variety', 'margin_rate', 'days_late',
                'overdue_amount', 'overdue_days_amount', 'return_rate']
            ]

    @classmethod
    def get_digits(cls, metric, company):
        kind = cls.get_kinds().get(metric, 'number')
        digits = DIGITS[kind]
        return company.currency.digits if digits is None else digits

    # The tools of the families

    @classmethod
    def days_between(cls, start, end):
        "Return the expression of the number of days between the dates"
        if backend.name == 'sqlite':
            return Round(JulianDay(end) - JulianDay(start))
        return Cast(end, 'DATE') - Cast(start, 'DATE')

    @classmethod
    def number(cls, expression):
        "Return the expression as number"
        return number(expression)

    @classmethod
    def divide(cls, numerator, denominator):
        "Return the expression of the division, null by zero"
        return cls.number(numerator) / NullIf(cls.number(denominator), 0)

    @classmethod
    def where_parties(cls, column, parties):
        if parties is None:
            return Literal(True)
        return fields.SQL_OPERATORS['in'](column, list(parties))

    @classmethod
    def sales(cls, company, start, end, parties=None, payer=False):
        """Return the query of the confirmed sales after start and up to end
        with id, party, date, rate to the currency of the company and amount in
        this currency

        start can be None. The party is who pays if payer is set."""
        pool = Pool()
        Line = pool.get('sale.line')
        Sale = pool.get('sale.sale')
        sale, line = Sale.__table__(), Line.__table__()
        party = (
            Coalesce(sale.invoice_party, sale.party) if payer else sale.party)
        where = (
            (sale.company == company.id)
            & sale.state.in_(SALE_STATES)
            & (sale.sale_date <= end)
            & cls.where_parties(party, parties))
        if start:
            where &= sale.sale_date > start
        # Sales made before there was a cache
        lines = line.select(
            Sum(Round(
                    cls.number(Coalesce(line.actual_quantity, line.quantity))
                    * cls.number(line.unit_price),
                    company.currency.digits)),
            where=(line.sale == sale.id) & (line.type == 'line'))
        amount = Coalesce(cls.number(sale.untaxed_amount_cache), lines, 0)
        from_item, rate = cls._convert(
            sale, sale.currency, sale.sale_date, where, company)
        if rate is not None:
            amount = Round(amount * rate, company.currency.digits)
        return from_item.select(
            sale.id.as_('id'),
            party.as_('party'),
            sale.sale_date.as_('date'),
            (Literal(1) if rate is None else rate).as_('rate'),
            amount.as_('amount'),
            where=where)

    @classmethod
    def _convert(cls, table, currency, date, where, company):
        """Return the table joined with the rates to the currency of the
        company at the date, and the expression of the rate, None if there is
        no foreign currency

        Raise GradingRunError if there is a currency without rate."""
        pool = Pool()
        Currency = pool.get('currency.currency')
        Lang = pool.get('ir.lang')
        cursor = Transaction().connection.cursor()

        cursor.execute(*table.select(
                Literal(1), where=where & (currency != company.currency.id),
                limit=1))
        if not cursor.fetchone():
            return table, None
        rates, company_rates = (
            Currency.currency_rate_sql(), Currency.currency_rate_sql())

        def join(from_item, rates, condition):
            return from_item.join(rates, 'LEFT', condition=condition
                & (currency != company.currency.id)
                & (rates.start_date <= date)
                & ((rates.end_date == Null) | (rates.end_date > date)))

        from_item = join(table, rates, rates.currency == currency)
        from_item = join(
            from_item, company_rates,
            company_rates.currency == company.currency.id)
        missing = rates.rate == Null
        company_missing = company_rates.rate == Null
        query = from_item.select(
            currency.as_('currency'),
            Min(date, filter_=missing).as_('missing'),
            Min(date, filter_=company_missing).as_('company_missing'),
            where=where
            & (currency != company.currency.id)
            & (missing | company_missing),
            group_by=currency)
        if backend.name == 'sqlite':
            sqlite_apply_types(query, [None, 'DATE', 'DATE'])
        cursor.execute(*query)
        dates = {}
        for id_, date_, company_date in cursor:
            for key, value in [
                    (id_, date_), (company.currency.id, company_date)]:
                if value:
                    dates[key] = min(dates.get(key, value), value)
        if dates:
            lang = Lang.get()
            texts = [
                gettext('customer_grading.msg_run_currency_rate',
                    currency=Currency(id_).rec_name,
                    date=lang.strftime(date_))
                for id_, date_ in sorted(dates.items())]
            raise GradingRunError('\n'.join(texts))
        rate = Case(
            (currency == company.currency.id, Literal(1)),
            else_=cls.number(company_rates.rate) / cls.number(rates.rate))
        return from_item, rate

    @classmethod
    def _changed_records(cls, table, party, since, where):
        return table.select(
            party.as_('party'),
            where=where & (party != Null)
            & (Coalesce(table.write_date, table.create_date) >= since))

    # Sales

    @classmethod
    def _metric_sales(cls, company, start, end, parties=None):
        sale = cls.sales(company, None, end, parties=parties)
        previous = start - (end - start)
        after = sale.date > start
        before = (sale.date > previous) & (sale.date <= start)
        amount = Sum(sale.amount, filter_=after)
        amount_before = Sum(sale.amount, filter_=before)
        count = Count(Literal(1), filter_=after)
        totals = sale.select(
            sale.party.as_('party'),
            amount.as_('amount'),
            amount_before.as_('amount_before'),
            count.as_('count'),
            Count(Literal(1), filter_=before).as_('count_before'),
            Count(Literal(1)).as_('count_all'),
            Min(sale.date).as_('first'),
            Max(sale.date, filter_=after).as_('last'),
            group_by=sale.party)
        months = cls._sales_months(company, start, end, parties=parties)
        products = cls._sales_products(company, start, end, parties=parties)
        growth = Case(
            ((totals.count > 0) & (totals.amount_before > 0),
                cls.divide(
                    totals.amount - totals.amount_before,
                    totals.amount_before)))
        return (totals
            .join(months, 'LEFT', condition=months.party == totals.party)
            .join(products, 'LEFT', condition=products.party == totals.party)
            .select(
                totals.party.as_('party'),
                totals.amount.as_('sales_amount'),
                totals.count.as_('sales_amount_count'),
                growth.as_('sales_growth'),
                Case(
                    (totals.count > 0, totals.count + totals.count_before),
                    else_=0).as_('sales_growth_count'),
                NullIf(totals.count, 0).as_('order_count'),
                totals.count.as_('order_count_count'),
                months.number.as_('active_months'),
                totals.count.as_('active_months_count'),
                cls.days_between(totals.last, end).as_('recency_days'),
                totals.count.as_('recency_days_count'),
                (cls.number(cls.days_between(totals.first, end))
                    / Literal(365.25)).as_('customer_years'),
                totals.count_all.as_('customer_years_count'),
                products.number.as_('product_variety'),
                products.count.as_('product_variety_count')))

    @classmethod
    def _sales_months(cls, company, start, end, parties=None):
        "Return the query of the number of months with sales by party"
        sale = cls._confirmed(company, start, end, parties=parties)
        month = sale.select(
            sale.party.as_('party'),
            group_by=[
                sale.party,
                Extract('YEAR', sale.sale_date),
                Extract('MONTH', sale.sale_date)])
        return month.select(
            month.party.as_('party'),
            Count(Literal(1)).as_('number'),
            group_by=month.party)

    @classmethod
    def _sales_products(cls, company, start, end, parties=None):
        "Return the query of the number of products sold by party"
        pool = Pool()
        Line = pool.get('sale.line')
        sale = cls._confirmed(company, start, end, parties=parties)
        line = Line.__table__()
        product = (line
            .join(sale, condition=line.sale == sale.id)
            .select(
                sale.party.as_('party'),
                Count(Literal(1)).as_('count'),
                where=(line.type == 'line') & (line.product != Null),
                group_by=[sale.party, line.product]))
        return product.select(
            product.party.as_('party'),
            Count(Literal(1)).as_('number'),
            Sum(product.count).as_('count'),
            group_by=product.party)

    @classmethod
    def _confirmed(cls, company, start, end, parties=None):
        "Return the query of the confirmed sales, without their amounts"
        pool = Pool()
        Sale = pool.get('sale.sale')
        sale = Sale.__table__()
        return sale.select(
            sale.id, sale.party, sale.sale_date, sale.currency,
            where=(sale.company == company.id)
            & sale.state.in_(SALE_STATES)
            & (sale.sale_date > start)
            & (sale.sale_date <= end)
            & cls.where_parties(sale.party, parties))

    @classmethod
    def _changed_sales(cls, company, since):
        pool = Pool()
        Sale = pool.get('sale.sale')
        sale = Sale.__table__()
        return cls._changed_records(
            sale, sale.party, since, sale.company == company.id)

    # Margin and returns

    @classmethod
    def _line_amounts(cls, company, start, end, parties=None):
        """Return the query of the lines sold, with party and amount in the
        currency of their sale as well as its rate"""
        pool = Pool()
        Line = pool.get('sale.line')
        line = Line.__table__()
        sale = cls.sales(company, start, end, parties=parties)
        quantity = cls.number(Coalesce(line.actual_quantity, line.quantity))
        return (line
            .join(sale, condition=line.sale == sale.id)
            .select(
                sale.party.as_('party'),
                sale.id.as_('sale'),
                line.product.as_('product'),
                line.unit.as_('unit'),
                quantity.as_('quantity'),
                (quantity * cls.number(line.unit_price) * sale.rate
                    ).as_('amount'),
                where=line.type == 'line'))

    @classmethod
    def _metric_margin(cls, company, start, end, parties=None):
        pool = Pool()
        Cost = pool.get('product.cost_price')
        Product = pool.get('product.product')
        Template = pool.get('product.template')
        Unit = pool.get('product.uom')
        cost, product = Cost.__table__(), Product.__table__()
        template = Template.__table__()
        unit, default_unit = Unit.__table__(), Unit.__table__()
        line = cls._line_amounts(company, start, end, parties=parties)
        costs = (cls.number(cost.cost_price) * line.quantity
            * cls.number(unit.factor) / cls.number(default_unit.factor))
        revenue = Sum(line.amount)
        return (line
            .join(cost,
                condition=(cost.product == line.product)
                & (cost.company == company.id))
            .join(product, condition=product.id == line.product)
            .join(template, condition=template.id == product.template)
            .join(unit, condition=unit.id == line.unit)
            .join(default_unit,
                condition=default_unit.id == template.default_uom)
            .select(
                line.party.as_('party'),
                Case(
                    (revenue > 0,
                        cls.divide(revenue - Sum(costs), revenue))
                    ).as_('margin_rate'),
                Count(Literal(1)).as_('margin_rate_count'),
                where=cost.cost_price != Null,
                group_by=line.party))

    @classmethod
    def _metric_returns(cls, company, start, end, parties=None):
        line = cls._line_amounts(company, start, end, parties=parties)
        sold = Sum(line.amount, filter_=line.amount > 0)
        returned = Coalesce(Sum(line.amount, filter_=line.amount < 0), 0)
        return line.select(
            line.party.as_('party'),
            cls.divide(-returned, sold).as_('return_rate'),
            Count(Literal(1)).as_('return_rate_count'),
            group_by=line.party)

    # Receivables

    @classmethod
    def receivable_accounts(cls, company):
        pool = Pool()
        Account = pool.get('account.account')
        return [a.id for a in Account.search([
                    ('company', '=', company.id),
                    ('type.receivable', '=', True),
                    ('active', 'in', [True, False]),
                    ], order=[])]

    @classmethod
    def _metric_receivables(cls, company, start, end, parties=None):
        pool = Pool()
        Line = pool.get('account.move.line')
        Move = pool.get('account.move')
        Reconciliation = pool.get('account.move.reconciliation')
        line, move = Line.__table__(), Move.__table__()
        reconciliation = Reconciliation.__table__()
        due = Coalesce(line.maturity_date, move.date)
        # What has been paid later was open at the end
        open_ = ((reconciliation.date == Null) | (reconciliation.date > end))
        lines = (line
            .join(move, condition=line.move == move.id)
            .join(reconciliation, 'LEFT',
                condition=line.reconciliation == reconciliation.id)
            .select(
                line.party.as_('party'),
                (cls.number(line.debit) - cls.number(line.credit)
                    ).as_('amount'),
                due.as_('due'),
                cls.days_between(due, Case(
                        (open_, end), else_=reconciliation.date)
                    ).as_('late'),
                open_.as_('open'),
                where=(move.company == company.id)
                & (move.state == 'posted')
                & (move.date <= end)
                & line.account.in_(cls.receivable_accounts(company) or [-1])
                & (line.party != Null)
                & cls.where_parties(line.party, parties)
                & (due <= end)
                & ((due > start) | open_)))
        is_due = (lines.due > start) & (lines.amount > 0)
        due_amount = Sum(lines.amount, filter_=is_due)
        overdue = lines.open & (lines.due < end)
        total = Sum(lines.amount, filter_=lines.amount > 0)
        return lines.select(
            lines.party.as_('party'),
            cls.divide(
                Sum(lines.amount * Greatest(lines.late, 0), filter_=is_due),
                due_amount).as_('days_late'),
            Count(Literal(1), filter_=is_due).as_('days_late_count'),
            # Payments that are not reconciled count as well
            Greatest(
                Coalesce(Sum(lines.amount, filter_=overdue), 0), 0
                ).as_('overdue_amount'),
            Count(Literal(1)).as_('overdue_amount_count'),
            cls.divide(
                Greatest(Coalesce(
                        Sum(lines.amount * lines.late, filter_=overdue), 0),
                    0),
                total).as_('overdue_days_amount'),
            Count(Literal(1), filter_=lines.amount > 0
                ).as_('overdue_days_amount_count'),
            group_by=lines.party)

    @classmethod
    def _changed_receivables(cls, company, since):
        pool = Pool()
        Line = pool.get('account.move.line')
        Move = pool.get('account.move')
        line, move = Line.__table__(), Move.__table__()
        receivable = line.account.in_(
            cls.receivable_accounts(company) or [-1])
        # Who posts a move does not change its lines
        posted = move.select(
            move.id,
            where=(move.company == company.id) & (move.write_date >= since))
        return Union(
            cls._changed_records(line, line.party, since, receivable),
            line.select(
                line.party.as_('party'),
                where=receivable & (line.party != Null)
                & line.move.in_(posted)))

    # All families

    @classmethod
    def get_changed(cls, company, since, metrics):
        """Return the ids of the parties of whom the records that the metrics
        are measured by have been changed since the time"""
        cursor = Transaction().connection.cursor()
        queries = []
        for family, names in cls.families().items():
            method = getattr(cls, f'_changed_{family}', None)
            if method and set(names) & set(metrics):
                queries.append(method(company, since))
        # Whoever orders has to be graded by any scheme
        if not set(cls.families()['sales']) & set(metrics):
            queries.append(cls._changed_sales(company, since))
        queries = [q for q in queries if q is not None]
        cursor.execute(*Union(*queries))
        return sorted(party for party, in cursor)


class MetricOpportunity(metaclass=PoolMeta):
    __name__ = 'customer.grading.metric'

    @classmethod
    def families(cls):
        return {**super().families(), 'opportunities': [
                'opportunity_win_rate']}

    @classmethod
    def get_kinds(cls):
        return {**super().get_kinds(), 'opportunity_win_rate': 'share'}

    @classmethod
    def get_metrics(cls):
        return super().get_metrics() + [
            ('opportunity_win_rate', gettext(
                    'customer_grading.msg_metric_opportunity_win_rate'))]

    @classmethod
    def _metric_opportunities(cls, company, start, end, parties=None):
        pool = Pool()
        Opportunity = pool.get('sale.opportunity')
        opportunity = Opportunity.__table__()
        won = Count(Literal(1), filter_=opportunity.state == 'won')
        return opportunity.select(
            opportunity.party.as_('party'),
            cls.divide(won, Count(Literal(1))).as_('opportunity_win_rate'),
            Count(Literal(1)).as_('opportunity_win_rate_count'),
            where=(opportunity.company == company.id)
            & (opportunity.party != Null)
            & opportunity.state.in_(['won', 'lost'])
            & (opportunity.end_date > start)
            & (opportunity.end_date <= end)
            & cls.where_parties(opportunity.party, parties),
            group_by=opportunity.party)

    @classmethod
    def _changed_opportunities(cls, company, since):
        pool = Pool()
        Opportunity = pool.get('sale.opportunity')
        opportunity = Opportunity.__table__()
        return cls._changed_records(
            opportunity, opportunity.party, since,
            opportunity.company == company.id)
