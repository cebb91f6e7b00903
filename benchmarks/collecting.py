# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""What it costs to remember what is to be collected for the order files

The documents are printed by the workers, whose time is not counted."""

from trytond.pool import Pool

from . import company, server
from .measure import alternate, compare, duration
from .orders import slices
from .server import Client, sql, vacuum

NAMES = ['kept', 'unkept']


def set_up():
    "Create a database whose company keeps the files of its orders"
    for name in NAMES:
        server.copy(name, 'stock')
    server.load('unkept')
    server.activate('kept', ['order_archive'])
    server.run('kept', _choose_plan)
    for name in NAMES:
        server.run(name, _let_ship)


def _choose_plan():
    pool = Pool()
    Configuration = pool.get('order.archive.configuration')
    configuration = Configuration(1)
    configuration.plan = company.ref('order_archive.class_equipment')
    configuration.save()


def _let_ship():
    pool = Pool()
    User = pool.get('res.user')
    User.write(User.search([('login', '=', 'seller')]), {
            'groups': [('add', [company.ref('stock.group_stock')])],
            })


def collecting(options):
    "Confirm and ship orders whose documents are collected"
    set_up()
    for size, times in [
            (1, 3 * options.times), (options.signed, options.times)]:
        yield from _collecting(size, times)


def _collecting(size, times):
    sellers = {n: Client(n, 'seller') for n in NAMES}
    orders = {
        n: company.copy_orders(n, 'small', (times + 1) * size) for n in NAMES}
    for name in NAMES:
        vacuum(name)
        for ids in slices(orders[name], 100):
            sellers[name]('sale.sale', 'quote', ids)
    parts = {n: slices(orders[n], size) for n in NAMES}

    def confirm(name, i):
        return duration(sellers[name], 'sale.sale', 'confirm', parts[name][i])

    yield compare(
        f"confirm and remember what to collect, {_each(size)}", 1.15,
        alternate(
            times, lambda i: confirm('kept', i),
            lambda i: confirm('unkept', i)),
        per=size)
    if sql('kept', """
            SELECT count(*) FROM order_archive_collection AS c
            JOIN order_archive AS a ON a.id = c.archive
            WHERE a.sale = ANY(%s) AND c.issue IS NOT NULL""",
            [orders['kept']]) != [(len(orders['kept']),)]:
        raise AssertionError("There is nothing to collect")

    shipments = {n: [] for n in NAMES}
    for name in NAMES:
        for ids in slices(orders[name], 20):
            server.run(name, _process, ids)
        shipments[name] = slices(server.run(name, _pack, orders[name]), size)
        vacuum(name)

    def ship(name, i):
        return duration(
            sellers[name], 'stock.shipment.out', 'ship', shipments[name][i])

    yield compare(
        f"ship and remember what to collect, {_each(size)}", 1.15,
        alternate(
            times, lambda i: ship('kept', i), lambda i: ship('unkept', i)),
        per=size)


def _process(ids):
    Sale = Pool().get('sale.sale')
    Sale.process(Sale.browse(ids))


def _pack(ids):
    "Return the ids of the packed shipments, one of each order"
    pool = Pool()
    Sale = pool.get('sale.sale')
    Shipment = pool.get('stock.shipment.out')
    packed = []
    for sub_ids in slices(ids, 50):
        shipments = Shipment.browse(list(dict.fromkeys(
                    s.id for sale in Sale.browse(sub_ids)
                    for s in sale.shipments)))
        Shipment.assign_force(shipments)
        Shipment.pick(shipments)
        Shipment.pack(shipments)
        packed.extend(s.id for s in shipments)
    return packed


def _each(size):
    return "one by one" if size == 1 else f"{size} at once"
