# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What the credit of the customers costs when orders are confirmed"

from decimal import Decimal

from trytond.pool import Pool

from . import company
from .measure import Result, alternate, compare, count_queries, duration
from .orders import slices
from .server import Client, activate, copy, run, sql, vacuum

ORDERS = 5
# What the check may add to the queries of a batch
ADDED = 2


def exposure(options):
    "Measure what customers owe and will owe, all of them at once"
    names = _create('exposure')
    customers = {}
    for name in names:
        customers[name] = run(name, _create_customers, options.exposed)
        orders = company.copy_orders(name, 'small', ORDERS * options.exposed)
        sql(name, """
            UPDATE sale_sale AS s
            SET party = o.party, state = 'confirmed', sale_date = current_date,
                untaxed_amount_cache = 100, total_amount_cache = 120,
                tax_amount_cache = 20
            FROM unnest(%s::int[], %s::int[]) AS o (id, party)
            WHERE s.id = o.id""", [
                orders, [
                    customers[name][i % options.exposed]
                    for i in range(len(orders))]])
        vacuum(name)
    sellers = {n: Client(n, 'seller') for n in names}

    def measure(name):
        return lambda i: duration(
            sellers[name], 'party.party', _get_exposure, customers[name])

    ours, stock = names
    yield compare(
        f"exposure of {options.exposed} customers / stock", 0.1,
        alternate(max(options.times // 3, 1), measure(ours), measure(stock)))


def gate(options):
    "Count the queries that the check adds to the confirmation of a batch"
    names = _create('gate')
    ours, stock = names
    run(ours, _create_policy)
    sellers = {n: Client(n, 'seller') for n in names}
    for size in [10, 100]:
        queries = {}
        for name in names:
            # What is cached for long is not counted
            for ids in slices(
                    company.copy_orders(name, 'small', 2 * size), size):
                sellers[name]('sale.sale', 'quote', ids)
                with count_queries() as counted:
                    sellers[name]('sale.sale', 'confirm', ids)
            queries[name] = len(counted)
        yield Result(
            f"queries added to confirm {size} orders / allowed",
            max(queries[ours] - queries[stock], 0), ADDED, 1.0,
            unit='queries')


def _create(name):
    names = [name, f'{name}_stock']
    for database in names:
        copy(database, 'stock')
    activate(names[0], ['customer_grading'])
    activate(names[1], ['sale_credit_limit'])
    return names


def _create_customers(number):
    Party = Pool().get('party.party')
    return [p.id for p in Party.create(
            [{'name': f"Customer {i}"} for i in range(number)])]


def _create_policy():
    pool = Pool()
    Company = pool.get('company.company')
    Party = pool.get('party.party')
    Policy = pool.get('customer.service.policy')
    owner, = Company.search([])
    Policy.create([{
                'name': "All",
                'company': owner.id,
                'check': 'hold',
                'large_order': Decimal(10 ** 9),
                'investigation_required': False,
                }])
    Party.set_credit_limits(owner, dict.fromkeys(
            (p.id for p in Party.search([])), Decimal(10 ** 12)))


def _get_exposure(parties):
    type(parties[0]).get_credit_amount(parties, 'credit_amount')
