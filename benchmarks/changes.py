# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What changes of orders and what the system measures on them cost"

from statistics import quantiles

from trytond.pool import Pool
from trytond.transaction import Transaction

from . import company
from .inbox import ROWS, get_names
from .measure import Result, alternate, compare, count_queries, duration
from .orders import signoffs, slices, submit
from .server import Client, activate, copy, load, run, sql, vacuum

MEASURES = [
    'credit_limit_left', 'overdue_amount', 'gross_margin', 'stock_available',
    'earliest_delivery']
LINES = 200
ROUNDS = 20
# The orders with so many changes
LOGS = 50
P95 = 100


def amendment(options):
    "Validate approved amendments against the same without review"
    names = {'amendment': 'ours', 'amendment_stock': 'stock'}
    for name, template in names.items():
        copy(name, template)
        modules = ['sale_amendment']
        if template == 'ours':
            modules.append('sale_order_review')
        activate(name, modules)
        run(name, _let_amend)
    run('amendment', _review_amendments)
    for size, times in [(1, 3 * options.times), (10, options.times)]:
        parts = {}
        for name in names:
            orders = company.copy_orders(name, 'large', (times + 1) * size)
            amendments = []
            for ids in slices(orders, 100):
                amendments += _amend(name, ids)
            parts[name] = slices(amendments, size)
            vacuum(name)
        sellers = {n: Client(n, 'seller') for n in names}

        def measure(name, sellers=sellers, parts=parts):
            return lambda i: duration(
                sellers[name], 'sale.amendment', 'validate_amendment',
                parts[name][i])

        yield compare(
            "validate an approved amendment, "
            + ("one by one" if size == 1 else f"{size} at once"), 1.2,
            alternate(times, measure('amendment'), measure('amendment_stock')),
            per=size)


def _let_amend():
    User = Pool().get('res.user')
    User.write(User.search([('login', '=', 'seller')]), {
            'groups': [
                ('add', [company.ref('sale_amendment.group_sale_amendment')])],
            })


def _review_amendments():
    Rule = Pool().get('sale.review.rule')
    Rule.write(Rule.search([]), {'subjects': ['sale.sale', 'sale.amendment']})


def _amend(database, orders):
    """Process the orders and return the ids of an amendment of each, which has
    been approved if it is reviewed"""
    seller = Client(database, 'seller')
    reviewed = database == 'amendment'

    def approve(model, ids):
        if reviewed:
            seller(model, submit, ids)
            for login, signed in zip(
                    company.signatories(), signoffs(orders, database)):
                Client(database, login)(
                    'sale.review.signoff', 'approve', signed)

    seller('sale.sale', 'quote', orders)
    approve('sale.sale', orders)
    seller('sale.sale', 'confirm', orders)
    # As the queue does
    run(database, _process, orders)
    sql(database, 'DELETE FROM ir_queue')
    lines = {
        sale: values for sale, *values in sql(database, """
            SELECT DISTINCT ON (sale) sale, id, product, unit, unit_price
            FROM sale_line WHERE sale = ANY(%s) ORDER BY sale, id""", [
                orders])}
    ids = seller('sale.amendment', 'create', [{
                'sale': order,
                **({'reason': "More", 'asked_by': 'customer'}
                    if reviewed else {}),
                'lines': [('create', [{
                                'action': 'line',
                                'line': line,
                                'product': product,
                                'unit': unit,
                                'quantity': company.LIMIT // 50,
                                'unit_price': unit_price,
                                }])],
                }
            for order in orders
            for line, product, unit, unit_price in [lines[order]]])
    approve('sale.amendment', ids)
    return ids


def _process(orders):
    Sale = Pool().get('sale.sale')
    Sale.process(Sale.browse(orders))


def measures(options):
    "Take all that the system measures of few orders and of many"
    copy('measures', 'ours')
    activate('measures', ['account_credit_limit', 'sale_order_review'])
    seller = Client('measures', 'seller')
    orders = company.copy_orders('measures', 'large', 100)

    def measure(sales):
        type(sales[0]).get_review_measures(sales, MEASURES)

    queries = {}
    for size in [1, 10, 100]:
        # What is cached for long is not counted
        seller('sale.sale', measure, orders[:size])
        with count_queries() as counted:
            seller('sale.sale', measure, orders[:size])
        queries[size] = len(counted)
    yield Result(
        "queries to measure all of 100 orders / of 10",
        queries[100], queries[10], 1.0, unit='queries')


def log(options):
    "Open the changes of an order that was changed a lot"
    copy('log', 'ours')
    load('log')
    order = _fill_log()
    log = Log('log', 'seller')
    durations = [
        duration(log.open, order) for _ in range(5 * options.times + 1)]
    yield Result(
        f"changes of {LINES} lines in {ROUNDS} rounds, 95th percentile "
        "/ allowed", quantiles(durations[1:], n=20)[-1], P95, 1.0)


class Log:
    "What the client requests to show the changes of an order"

    def __init__(self, database, login):
        self.client = Client(database, login)
        self.names = get_names(
            self.client, 'sale.change',
            'sale_order_review.act_change_form_relate')

    def open(self, order):
        domain = [('sale.id', 'in', [order])]
        ids = self.client('sale.change', 'search', domain, 0, ROWS, None)
        assert len(ids) == ROWS
        self.client('sale.change', 'read', ids, self.names)
        self.client('sale.change', 'search_count', domain, 0, 1000)


def _fill_log():
    """Log changes in all the lines of an order in each of its rounds, as well
    as of other orders, and return the id of the order"""
    orders = company.copy_orders('log', 'large', LOGS)
    seller = Client('log', 'seller')
    seller('sale.sale', 'quote', orders)
    seller('sale.sale', submit, orders)
    with Transaction().start('log', 0) as transaction, \
            transaction.connection.cursor() as cursor:
        cursor.execute("""
            INSERT INTO sale_change (create_uid, create_date, company, sale,
                line, line_name, field, old, new, reason, asked_by, origin, at,
                by)
            SELECT 0, localtimestamp, r.company, r.sale, l.id,
                'Product ' || n, 'Unit price', g || '.00',
                g + 1 || '.00', 'Returned', 'company',
                'sale.review,' || r.id,
                localtimestamp - (%(rounds)s - g) * interval '1 hour',
                r.requested_by
            FROM sale_review AS r
            CROSS JOIN generate_series(1, %(rounds)s) AS g
            CROSS JOIN generate_series(1, %(lines)s) AS n
            CROSS JOIN LATERAL (
                SELECT id FROM sale_line WHERE sale = r.sale
                ORDER BY id OFFSET n %% %(each)s LIMIT 1) AS l
            WHERE r.sale = ANY(%(orders)s)""", {
                'rounds': ROUNDS, 'lines': LINES, 'each': company.LINES,
                'orders': orders})
    vacuum('log')
    return orders[LOGS // 2]
