# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict
from decimal import Decimal

from trytond.pool import Pool

from .tools import act, find, run, set_, today


class Order:
    """An order that the user enters.

    The lines are code of product, quantity, and discount if there is one."""

    def __init__(self, login, party, lines, days=0, **values):
        self.login = login
        self.days = days
        self.id = act(login, _enter, party, lines, days, values)

    def write(self, **values):
        def write():
            Sale = Pool().get('sale.sale')
            Sale.write([Sale(self.id)], values)
        act(self.login, write)


def click(orders, button, login=None):
    "Click on the button of the orders as their users, or as another one"
    def click(ids):
        Sale = Pool().get('sale.sale')
        getattr(Sale, button)(Sale.browse(ids))
    for user, ids in by_login(orders, login):
        act(user, click, ids)


def by_login(orders, login=None):
    groups = defaultdict(list)
    for order in orders:
        groups[login or order.login].append(order.id)
    return groups.items()


def _enter(party, lines, days, values):
    pool = Pool()
    Line = pool.get('sale.line')
    Sale = pool.get('sale.sale')
    sale = _new(Sale)
    sale.party = find('party.party', name=party)
    sale.on_change_party()
    sale.quotation_date = today() - dt.timedelta(days=days)
    if days:
        sale.sale_date = sale.quotation_date
    sale.channel = find('sale.channel', name=values.pop('channel', "E-Mail"))
    if not days:
        sale.contract_date = today()
        sale.on_change_channel()
    if 'payment_term' in values:
        sale.payment_term = find(
            'account.invoice.payment_term', name=values.pop('payment_term'))
    for name, value in values.items():
        setattr(sale, name, value)
    sale.lines = [_get_line(_new(Line), sale, *line) for line in lines]
    sale.save()
    if days:
        set_(sale, entered_on=sale.quotation_date)
    return sale.id


def _get_line(line, sale, code, quantity, discount=0):
    line.sale = sale
    line.quantity = quantity
    line.product = find('product.product', code=code)
    line.on_change_product()
    line.unit_price = round(line.unit_price * (1 - Decimal(discount)), 2)
    return line


def _new(Model):
    return Model(**Model.default_get(
            list(Model._fields), with_rec_name=False))


def ship(orders, days):
    "Ship the orders so many days after their date"
    def ship():
        pool = Pool()
        Sale = pool.get('sale.sale')
        Shipment = pool.get('stock.shipment.out')
        shipments = []
        for sale in Sale.browse([o.id for o in orders]):
            date = sale.sale_date + dt.timedelta(days=days)
            shipments += sale.shipments
            Shipment.write(list(sale.shipments), {
                    'effective_date': min(date, today()),
                    })
        Shipment.assign_force(shipments)
        Shipment.pick(shipments)
        Shipment.pack(shipments)
        Shipment.do(shipments)
    run(ship, 'orderdesk')


def invoice(orders):
    "Post the invoices of the orders"
    def invoice():
        pool = Pool()
        Invoice = pool.get('account.invoice')
        Sale = pool.get('sale.sale')
        invoices = []
        for sale in Sale.browse([o.id for o in orders]):
            date = sale.sale_date + dt.timedelta(days=5)
            invoices += sale.invoices
            Invoice.write(list(sale.invoices), {
                    'invoice_date': min(date, today()),
                    })
        Invoice.post(invoices)
    run(invoice, 'finance')


def collect(orders, days, late):
    """Collect the money for what was invoiced that many days ago

    late are the days by name of the party that needs others, or None if it
    does not pay."""
    def collect():
        pool = Pool()
        MoveLine = pool.get('account.move.line')
        Sale = pool.get('sale.sale')
        method = find('account.invoice.payment.method', name="Bank transfer")
        for sale in Sale.browse([o.id for o in orders]):
            days_ = late.get(sale.party.name, days)
            if days_ is None:
                continue
            for invoice in sale.invoices:
                date = invoice.invoice_date + dt.timedelta(days=days_)
                if date > today():
                    continue
                amount = invoice.amount_to_pay
                lines, _ = invoice.get_reconcile_lines_for_amount(
                    amount, invoice.currency, party=invoice.party)
                lines += invoice.pay_invoice(
                    amount, method, date, party=invoice.party)
                MoveLine.reconcile(lines)
    run(collect, 'finance')
