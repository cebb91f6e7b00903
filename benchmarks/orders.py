# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""What the orders cost"""

from trytond.pool import Pool

from . import company, server
from .measure import Result, alternate, compare, count_queries, duration
from .server import Client, sql, vacuum


def reset(database, ids, state):
    "Set the orders back to the state, whatever has been done with them"
    values = {
        'sale_date': None,
        'confirmed_by': None,
        'untaxed_amount_cache': None,
        'tax_amount_cache': None,
        'total_amount_cache': None,
        'state': state,
        }
    if state == 'draft':
        values.update(number=None, quotation_date=None, quoted_by=None)
        if database == 'ours':
            values['review_state'] = 'none'
    sql(database,
        'UPDATE sale_sale SET ' + ', '.join(f'{n} = %s' for n in values)
        + ' WHERE id = ANY(%s)', [*values.values(), list(ids)])
    sql(database, 'DELETE FROM ir_queue')


def slices(ids, size):
    return [ids[i:i + size] for i in range(0, len(ids), size)]


def create(size, n, names=('ours', 'stock')):
    "Return the ids of n draft orders of the size by database"
    ids = {name: company.copy_orders(name, size, n) for name in names}
    for name in names:
        vacuum(name)
    return ids


def submit(sales):
    Pool().get('sale.review').submit(sales)


def signoffs(sales, database='ours'):
    "Return the ids of the open sign-offs of the sales by department"
    ids = {name: [] for name in company.DEPARTMENTS}
    for name, id_ in sql(database, """
            SELECT d.name, s.id
            FROM sale_review_signoff s
            JOIN sale_review r ON r.id = s.review
            JOIN company_department d ON d.id = s.department
            WHERE r.sale = ANY(%s) AND r.state = 'open'""", [sales]):
        ids[name].append(id_)
    return list(ids.values())


def _each(size):
    return "one by one" if size == 1 else f"{size} at once"


def no_rule(options):
    """Quote and confirm orders to which no rule applies, because of all the
    criteria that there are or, as in the other rows, of their amount"""
    for active, reach in [(True, 1.5), (False, 1.05)]:
        server.run('ours', company.activate_other_rules, active)
        # A few pairs are too few to tell such small differences
        for size, times in [
                (1, 8 * options.times), (options.batch, 3 * options.times)]:
            yield _no_rule(
                "all criteria" if active else "by amount", reach, size, times)


def _no_rule(rules, reach, size, times):
    sellers = {n: Client(n, 'seller') for n in ['ours', 'stock']}
    orders = create('small', size)

    def quote_confirm(name):
        client, ids = sellers[name], orders[name]
        reset(name, ids, 'draft')
        return (
            duration(client, 'sale.sale', 'quote', ids)
            + duration(client, 'sale.sale', 'confirm', ids))

    return compare(
        f"quote + confirm, no rule applies {rules}, {_each(size)}", reach,
        alternate(
            times,
            lambda i: quote_confirm('ours'), lambda i: quote_confirm('stock')),
        per=size)


def review(options):
    """Review orders with four signatures against quoting and confirming them,
    and against the clicks of four users under the rules of a button"""
    # One by one there are six requests against two
    yield from _review(1, 1.75, 3 * options.times)
    yield from _review(options.signed, 1.0, options.times)


def _review(size, reach, times):
    names = ['ours', 'stock', 'buttons']
    sellers = {n: Client(n, 'seller') for n in names}
    signatories = {
        n: [Client(n, login) for login in company.signatories()]
        for n in names}
    orders = create('large', (times + 1) * size, names)
    parts = {n: slices(orders[n], size) for n in orders}
    for ids in slices(orders['ours'], 100):
        sellers['ours']('sale.sale', 'quote', ids)
    approvals, clicks, gates = [], [], []

    def check(sales):
        # The part of confirm that is ours
        gates.append(duration(type(sales[0]).check_review, sales))

    def ours(i):
        seller, ids = sellers['ours'], parts['ours'][i]
        submission = duration(seller, 'sale.sale', submit, ids)
        approvals.append(sum(
                duration(c, 'sale.review.signoff', 'approve', s)
                for c, s in zip(signatories['ours'], signoffs(ids))))
        seller('sale.sale', check, ids)
        return submission + approvals[-1] + gates[-1]

    def stock(i):
        seller, ids = sellers['stock'], parts['stock'][i]
        clicks.append(sum(
                duration(c, 'sale.sale', 'quote', parts['buttons'][i])
                for c in signatories['buttons']))
        return (
            duration(seller, 'sale.sale', 'quote', ids)
            + duration(seller, 'sale.sale', 'confirm', ids))

    yield compare(
        f"submit + 4 sign-offs + gate / quote + confirm, {_each(size)}",
        reach, alternate(times, ours, stock), per=size)
    # The fourth click has an effect as the fourth signature has: of the
    # buttons of an order that of the quotation does the least
    (quoted,), = sql('buttons', """
        SELECT count(*) FROM sale_sale
        WHERE state = 'quotation' AND id = ANY(%s)""", [orders['buttons']])
    assert quoted == len(orders['buttons'])
    yield compare(
        f"4 approvals / 4 clicks under a button rule, {_each(size)}", 2.0,
        zip(approvals, clicks), per=size)


def create_button_rule():
    "Let an order be quoted when four users have clicked the button"
    Button = Pool().get('ir.model.button')
    button, = Button.search([
            ('model', '=', 'sale.sale'),
            ('name', '=', 'quote'),
            ])
    Button.write([button], {
            'rules': [('create', [{'number_user': 4}])],
            })


def confirm(options):
    "Confirm approved orders in a large batch"
    sellers = {n: Client(n, 'seller') for n in ['ours', 'stock']}
    clients = [Client('ours', login) for login in company.signatories()]
    orders = create('large', options.orders)
    for name, ids in orders.items():
        for part in slices(ids, 100):
            sellers[name]('sale.sale', 'quote', part)
            if name == 'ours':
                sellers[name]('sale.sale', submit, part)
                for client, signed in zip(clients, signoffs(part)):
                    client('sale.review.signoff', 'approve', signed)

    def measure(name):
        reset(name, orders[name], 'quotation')
        return duration(
            sellers[name], 'sale.sale', 'confirm', orders[name])

    yield compare(
        f"confirm {options.orders} approved orders at once", 1.10,
        alternate(
            max(options.times // 4, 2),
            lambda i: measure('ours'), lambda i: measure('stock')))

    added = []
    sizes = [options.orders // 100, options.orders // 10, options.orders]
    for size in sizes:
        queries = {}
        for name, ids in orders.items():
            reset(name, ids[:size], 'quotation')
            with count_queries() as counted:
                sellers[name]('sale.sale', 'confirm', ids[:size])
            queries[name] = len(counted)
        added.append(queries['ours'] - queries['stock'])
    yield Result(
        f"queries added to the confirmation of {sizes[-1]} orders / of "
        f"{sizes[0]}", added[-1], added[0], 1.0, unit='queries',
        ratio=max(added) / min(added))
