# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.
"""What the system answers on checklists

A measure is a dictionary of the value (a decimal, a date, a boolean or none),
its text, the text of what it was computed from, whether it is negative, and
whether it is an error that must be mended before the order is approved."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal

from sql import Null
from sql.aggregate import Count, Min, Sum
from sql.conditionals import Coalesce

from trytond import backend
from trytond.i18n import gettext
from trytond.model import fields
from trytond.modules.currency.exceptions import RateError
from trytond.pool import Pool
from trytond.tools import sqlite_apply_types
from trytond.transaction import Transaction


def known(value, text, basis='', negative=False):
    "Return the measure with the value"
    return {
        'value': value,
        'text': text,
        'basis': basis,
        'negative': negative,
        'error': False,
        }


def unknown(reason, error=False):
    "Return the measure that cannot be taken for the reason"
    return {
        'value': None,
        'text': gettext('sale_order_review.msg_unknown'),
        'basis': reason,
        'negative': True,
        'error': error,
        }


class MeasureMixin:
    "What the system measures on the orders that are reviewed"
    __slots__ = ()

    @classmethod
    def get_review_measures(cls, sales, names):
        """Return by sale the measures by name.

        The measure of a name comes from the method _get_review_measure_<name>,
        which returns the measures by sale. The sales that it gets are of one
        company, which the context has with nothing but the language."""
        measures = {s: {} for s in sales}
        by_company = defaultdict(list)
        for sale in sales:
            by_company[sale.company.id].append(sale)
        transaction = Transaction()
        # What clients send besides must not change what is measured
        context = {'language': transaction.language}
        with transaction.reset_context():
            for company, c_sales in by_company.items():
                with transaction.set_context(context, company=company):
                    c_sales = cls.browse(c_sales)
                    for name in names:
                        for sale, measure in cls._get_review_measure(
                                c_sales, name).items():
                            measures[sale][name] = measure
        return measures

    @classmethod
    def _get_review_measure(cls, sales, name):
        method = getattr(cls, f'_get_review_measure_{name}', None)
        if not method:
            return dict.fromkeys(
                sales, unknown(gettext('sale_order_review.msg_measure_none')))
        return method(sales)

    @property
    def _review_debtor(self):
        return self.invoice_party or self.party

    @classmethod
    def _format_review_amount(cls, amount, currency):
        pool = Pool()
        Lang = pool.get('ir.lang')
        # The symbols of some currencies are the same
        text = Lang.get().currency(
            amount, currency, symbol=False, grouping=True)
        return f'{currency.code} {text}'

    @classmethod
    def _get_review_measure_credit_limit_left(cls, sales):
        pool = Pool()
        Party = pool.get('party.party')
        if 'credit_limit_amount' not in Party._fields:
            return dict.fromkeys(sales, unknown(
                    gettext('sale_order_review.msg_measure_credit_none')))
        company = sales[0].company
        currency = company.currency
        # In the order in which they are read, which is all at once
        parties = {
            p.id: p for p in Party.browse(
                list(dict.fromkeys(s._review_debtor.id for s in sales)))}

        def format_(amount):
            return cls._format_review_amount(amount, currency)

        measures = {}
        for sale in sales:
            party = parties[sale._review_debtor.id]
            limit = party.get_multivalue(
                'credit_limit_amount', company=company.id)
            used = party.credit_amount
            if limit is None:
                measures[sale] = known(
                    None, gettext('sale_order_review.msg_measure_unlimited'),
                    gettext('sale_order_review.msg_measure_unlimited_basis',
                        party=party.rec_name, used=format_(used)))
                continue
            try:
                amount = Decimal(0)
                # A confirmed order is part of what is used
                if sale.state in {'draft', 'quotation'}:
                    amount = sale._review_company_amount(
                        sale.review_untaxed_amount)
            except RateError as exception:
                measures[sale] = unknown(exception.message, error=True)
                continue
            left = limit - used - amount
            measures[sale] = known(
                left, format_(left),
                gettext('sale_order_review.msg_measure_credit_basis',
                    party=party.rec_name,
                    limit=format_(limit),
                    used=format_(used),
                    amount=format_(amount)),
                negative=left < 0)
        return measures

    @classmethod
    def _get_review_measure_overdue_amount(cls, sales):
        pool = Pool()
        Account = pool.get('account.account')
        AccountType = pool.get('account.account.type')
        Date = pool.get('ir.date')
        Lang = pool.get('ir.lang')
        Line = pool.get('account.move.line')
        Move = pool.get('account.move')
        cursor = Transaction().connection.cursor()
        account = Account.__table__()
        type_ = AccountType.__table__()
        line = Line.__table__()
        move = Move.__table__()
        company = sales[0].company
        date = Coalesce(line.maturity_date, move.date)
        query = (line
            .join(move, condition=line.move == move.id)
            .join(account, condition=line.account == account.id)
            .join(type_, condition=account.type == type_.id)
            .select(
                line.party.as_('party'),
                Sum(line.debit - line.credit).as_('amount'),
                Min(date).as_('date'),
                Count(line.id).as_('number'),
                where=(line.reconciliation == Null)
                & (account.company == company.id)
                & type_.receivable
                & (date < Date.today())
                & fields.SQL_OPERATORS['in'](
                    line.party, list({s._review_debtor.id for s in sales})),
                group_by=line.party))
        if backend.name == 'sqlite':
            sqlite_apply_types(query, [None, 'NUMERIC', 'DATE', None])
        cursor.execute(*query)
        overdue = {party: values for party, *values in cursor}
        measures = {}
        for sale in sales:
            amount, oldest, number = overdue.get(
                sale._review_debtor.id, (Decimal(0), None, 0))
            basis = ''
            if number:
                basis = gettext(
                    'sale_order_review.msg_measure_overdue_basis',
                    number=number, date=Lang.get().strftime(oldest))
            # Credit notes can be more than the invoices
            amount = max(amount, Decimal(0))
            measures[sale] = known(
                amount, cls._format_review_amount(amount, company.currency),
                basis, negative=amount > 0)
        return measures

    @classmethod
    def _get_review_measure_gross_margin(cls, sales):
        pool = Pool()
        Lang = pool.get('ir.lang')
        lang = Lang.get()
        currency = sales[0].company.currency
        measures = {}
        for sale, (revenue, cost, costless) in cls._get_review_costs(
                sales).items():
            try:
                revenue = sale._review_company_amount(revenue)
            except RateError as exception:
                measures[sale] = unknown(exception.message, error=True)
                continue
            basis = gettext('sale_order_review.msg_measure_margin_basis',
                revenue=cls._format_review_amount(revenue, currency),
                cost=cls._format_review_amount(cost, currency))
            if costless:
                basis += ' ' + gettext(
                    'sale_order_review.msg_measure_margin_costless',
                    products=', '.join(sorted(p.rec_name for p in costless)))
            if revenue <= 0:
                measures[sale] = unknown(basis)
                continue
            margin = round((revenue - cost) / revenue, 4)
            measures[sale] = known(
                margin, lang.format_number(margin * 100, digits=2) + ' %',
                basis, negative=margin < 0 or bool(costless))
        return measures

    @classmethod
    def _get_review_demands(cls, sales):
        """Return by sale the list of product, date and quantity that it takes
        from stock, the quantity with all that it takes of the product before
        """
        pool = Pool()
        Date = pool.get('ir.date')
        Line = pool.get('sale.line')
        Uom = pool.get('product.uom')
        today = Date.today()
        types = Line.movable_types()
        rows = cls._select_review_lines(sales, 'id')
        # Read all at once
        lines = {
            l.id: l for l in Line.browse(
                [r['id'] for s_rows in rows.values() for r in s_rows])}
        demands = {}
        for sale in sales:
            needed = []
            for line in (lines[r['id']] for r in rows[sale]):
                product = line.product
                if (not product or product.type not in types
                        or product.consumable or line.quantity <= 0):
                    continue
                quantity = Uom.compute_qty(
                    line.unit, line.quantity, product.default_uom,
                    round=False)
                # What is delivered or picked of an order that is amended
                quantity -= sum(
                    m.internal_quantity for m in line.moves
                    if m.state != 'cancelled')
                if product.default_uom.round(quantity) <= 0:
                    continue
                date = sale.shipping_date or line.planned_shipping_date
                needed.append((max(date or today, today), product, quantity))
            totals = defaultdict(float)
            demands[sale] = demand = []
            for date, product, quantity in sorted(
                    needed, key=lambda n: n[0]):
                totals[product] += quantity
                demand.append((product, date, totals[product]))
        return demands

    @classmethod
    def _get_review_stock(cls, sales, demands):
        """Return by ids of warehouse and product the forecast quantities as
        list of couples of the date from which each holds and quantity"""
        pool = Pool()
        Date = pool.get('ir.date')
        Product = pool.get('product.product')
        today = Date.today()
        warehouses = list({s.warehouse.id for s in sales if s.warehouse})
        products = list({
                p.id for demand in demands.values() for p, _, _ in demand})
        if not warehouses or not products:
            return {}
        stock = {
            (w, p): [(today, 0)] for w in warehouses for p in products}
        with Transaction().set_context(
                forecast=True, stock_assign=True, stock_date_end=today):
            for (warehouse, product), quantity in (
                    Product.products_by_location(
                        warehouses, with_childs=True,
                        grouping_filter=(products,)).items()):
                stock[warehouse, product] = [(today, quantity)]
        with Transaction().set_context(
                forecast=True, stock_assign=True,
                stock_date_start=today + dt.timedelta(days=1),
                stock_date_end=dt.date.max):
            changes = Product.products_by_location(
                warehouses, with_childs=True, grouping=('product', 'date'),
                grouping_filter=(products,))
        for (warehouse, product, date), quantity in sorted(
                (key, quantity) for key, quantity in changes.items()
                if key[-1]):
            forecasts = stock[warehouse, product]
            forecasts.append((date, forecasts[-1][1] + quantity))
        return stock

    @classmethod
    def _get_review_measure_stock_available(cls, sales):
        pool = Pool()
        Lang = pool.get('ir.lang')
        lang = Lang.get()
        demands = cls._get_review_demands(sales)
        stock = cls._get_review_stock(sales, demands)
        measures = {}
        for sale in sales:
            if not sale.warehouse:
                measures[sale] = unknown(
                    gettext('sale_order_review.msg_measure_warehouse_none'))
                continue
            available, texts = True, []
            for product, date, needed in demands[sale]:
                quantity = [
                    q for d, q in stock[sale.warehouse.id, product.id]
                    if d <= date][-1]
                available &= quantity >= needed
                texts.append(gettext(
                        'sale_order_review.msg_measure_stock_basis',
                        product=product.rec_name,
                        date=lang.strftime(date),
                        quantity=lang.format_number_symbol(
                            quantity, product.default_uom),
                        needed=lang.format_number_symbol(
                            needed, product.default_uom)))
            measures[sale] = known(
                available, gettext(
                    'sale_order_review.msg_yes' if available
                    else 'sale_order_review.msg_no'),
                '; '.join(texts), negative=not available)
        return measures

    @classmethod
    def _get_review_measure_earliest_delivery(cls, sales):
        pool = Pool()
        Date = pool.get('ir.date')
        Lang = pool.get('ir.lang')
        lang = Lang.get()
        today = Date.today()
        demands = cls._get_review_demands(sales)
        stock = cls._get_review_stock(sales, demands)
        measures = {}
        for sale in sales:
            if not sale.warehouse:
                measures[sale] = unknown(
                    gettext('sale_order_review.msg_measure_warehouse_none'))
                continue
            totals = {p: (d, q) for p, d, q in demands[sale]}
            dates, late, texts = [today], False, []
            for product, (date, needed) in totals.items():
                supplied = next((
                        d for d, q in stock[sale.warehouse.id, product.id]
                        if q >= needed), None)
                lead_time = product.lead_time_used
                if supplied == today:
                    message = 'msg_measure_delivery_stock'
                elif supplied:
                    message = 'msg_measure_delivery_supply'
                elif lead_time:
                    message = 'msg_measure_delivery_lead_time'
                    supplied = today + lead_time
                else:
                    message = 'msg_measure_delivery_none'
                dates.append(supplied)
                texts.append(gettext(f'sale_order_review.{message}',
                        product=product.rec_name,
                        date=lang.strftime(supplied) if supplied else ''))
                late |= not supplied or supplied > date
            basis = '; '.join(texts)
            if None in dates:
                measures[sale] = unknown(basis)
                continue
            measures[sale] = known(
                max(dates), lang.strftime(max(dates)), basis, negative=late)
        return measures
