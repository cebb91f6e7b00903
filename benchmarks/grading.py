# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""How long it takes to grade customers, and how much memory"""

import datetime as dt
import subprocess
import sys
import time
from decimal import Decimal

from trytond.pool import Pool
from trytond.transaction import Transaction

from .measure import Result, duration, peak_memory
from .server import Client, activate, copy, load, run, sql, vacuum

DATABASE = 'grading'
MODULES = ['customer_grading']
# Of each customer
ORDERS = 10
LINES = 2
RECEIVABLES = 9.6
SPEED = 5000
MEMORY = 300
P95 = 100
CRITERIA = [
    # metric, weight, method, bands of minimum and points
    ('sales_amount', 30, 'pareto', [(None, 100), ('0.8', 60), ('0.95', 20)]),
    ('sales_growth', 10, 'band', [
            (None, 0), ('-0.2', 30), ('0', 60), ('0.2', 100)]),
    ('order_count', 10, 'percentile', None),
    ('active_months', 10, 'linear', (0, 12)),
    ('recency_days', 10, 'linear', (365, 0)),
    ('days_late', 15, 'band', [
            (None, 100), ('1', 80), ('10', 50), ('30', 10), ('60', 0)]),
    ('overdue_amount', 10, 'band', [
            (None, 100), ('1000', 50), ('10000', 0)]),
    ('customer_years', 5, 'linear', (0, 3)),
    ]


def grading(options):
    "Grade all customers, those with business in a day, and one"
    customers = options.customers
    copy(DATABASE, 'stock')
    activate(DATABASE, MODULES)
    fill(customers)
    vacuum(DATABASE)
    scheme = run(DATABASE, create_scheme)
    run(DATABASE, _compute, scheme, 'full')

    bare, ours = [], []
    for _ in range(3):
        bare.append(duration(run, DATABASE, _aggregate, scheme))
        ours.append(duration(run, DATABASE, _compute, scheme, 'full'))
    best = min(ours)
    n, = sql(DATABASE, """
        SELECT customers FROM customer_grading_run
        ORDER BY id DESC LIMIT 1""")[0]
    yield Result(
        f"full run of {n} customers / bare SQL of the aggregates",
        best, min(bare), 4.0)
    yield Result(
        f"customers graded in a second / {SPEED}: {n / best * 1000:.0f}",
        best / n, 1000 / SPEED, 1.0)

    _touch(customers // 100)
    vacuum(DATABASE)
    nightly = min(
        duration(run, DATABASE, _compute, scheme, 'changed')
        for _ in range(3))
    yield Result(
        "nightly run with business of 1 % / full run", nightly, best, 0.1)

    party, = sql(DATABASE, """
        SELECT max(party) FROM customer_grading_result""")[0]
    one = sorted(
        duration(run, DATABASE, _compute, scheme, 'parties', [party])
        for _ in range(21))
    yield Result(
        "re-grade one customer, median / allowed", one[10], P95, 1.0)

    process = subprocess.run(
        [sys.executable, '-W', 'ignore::DeprecationWarning', '-m',
            'benchmarks.grading', str(scheme)],
        stdout=subprocess.PIPE, check=True)
    idle, used = map(float, process.stdout.split())
    yield Result(
        "memory of a full run above idle / allowed",
        used - idle, MEMORY, 1.0, unit='MB')


def fill(customers):
    "Create customers with their orders and receivables"
    today = dt.date.today()
    company, currency, unit, account, journal, period = sql(DATABASE, """
        SELECT c.id, c.currency,
            (SELECT min(default_uom) FROM product_template),
            (SELECT min(a.id) FROM account_account a
                JOIN account_account_type t ON a.type = t.id
                WHERE t.receivable AND a.company = c.id
                AND coalesce(a.closed, false) = false),
            (SELECT min(id) FROM account_journal),
            (SELECT min(id) FROM account_period)
        FROM company_company c""")[0]
    if not period:
        period = run(DATABASE, _create_period)
    values = {
        'company': company, 'currency': currency, 'unit': unit,
        'account': account, 'journal': journal, 'period': period,
        'today': today, 'customers': customers,
        'sales': customers * ORDERS, 'lines': LINES,
        'receivables': int(customers * RECEIVABLES),
        }
    for query in FILL.split(';'):
        sql(DATABASE, query, values)


# What is large has a few customers of whom it comes, as it is in life
FILL = """
    INSERT INTO party_party (name, code, active)
    SELECT 'Graded ' || g, 'G' || g, true
    FROM generate_series(1::bigint, %(customers)s) AS g;

    CREATE TABLE graded AS
    SELECT id, row_number() OVER (ORDER BY id) AS n
    FROM party_party WHERE code LIKE 'G%%'
    AND name LIKE 'Graded %%';

    CREATE UNIQUE INDEX ON graded (n);

    INSERT INTO sale_sale (company, currency, invoice_method, invoice_state,
        shipment_method, shipment_state, state, party, sale_date, number,
        untaxed_amount_cache, tax_amount_cache, total_amount_cache,
        create_date, description)
    SELECT %(company)s, %(currency)s, 'order', 'paid', 'order', 'sent',
        'done', p.id,
        %(today)s::date - (g * 7919 %% 1080)::int, 'G' || g,
        round((50 + (g * 104729 %% 9973)
            * (1 + 40000.0 / (p.n * 10 + 100)))::numeric, 2), 0, 0,
        now() - interval '30 days', 'graded'
    FROM generate_series(1::bigint, %(sales)s) AS g
    JOIN graded AS p ON p.n = 1 + (g * 31 %% %(customers)s);

    INSERT INTO sale_line (sale, type, quantity, unit, unit_price, product,
        sequence)
    SELECT s.id, 'line', 1 + s.id %% 5, %(unit)s,
        round(s.untaxed_amount_cache / %(lines)s / (1 + s.id %% 5), 2),
        1 + (s.id * 13 + l) %% 50, l
    FROM sale_sale AS s
    CROSS JOIN generate_series(1, %(lines)s) AS l
    WHERE s.description = 'graded';

    CREATE TABLE graded_move AS
    SELECT g, nextval('account_move_id_seq') AS move,
        nextval('account_move_reconciliation_id_seq') AS reconciliation,
        p.id AS party,
        %(today)s::date - (g * 6271 %% 700)::int AS date,
        round((100 + g * 15485863 %% 19997)::numeric, 2) AS amount,
        (g * 7 %% 45 - 12)::int AS late
    FROM generate_series(1::bigint, %(receivables)s) AS g
    JOIN graded AS p ON p.n = 1 + (g * 17 %% %(customers)s);

    INSERT INTO account_move (id, company, date, journal, period, state,
        number)
    SELECT move, %(company)s, date, %(journal)s, %(period)s, 'posted',
        'G' || g
    FROM graded_move;

    INSERT INTO account_move_reconciliation (id, company, date, number)
    SELECT reconciliation, %(company)s, date + 30 + late, 'G' || g
    FROM graded_move
    WHERE date + 30 + late <= %(today)s AND g %% 25 != 0;

    INSERT INTO account_move_line (move, account, party, debit, credit, state,
        maturity_date, reconciliation, create_date)
    SELECT m.move, %(account)s, m.party, m.amount, 0, 'valid', m.date + 30,
        r.id, now() - interval '30 days'
    FROM graded_move AS m
    LEFT JOIN account_move_reconciliation AS r ON r.id = m.reconciliation;

    DROP TABLE graded_move;

    DROP TABLE graded
    """


def _create_period():
    pool = Pool()
    Company = pool.get('company.company')
    FiscalYear = pool.get('account.fiscalyear')
    Sequence = pool.get('ir.sequence.strict')
    ModelData = pool.get('ir.model.data')
    company, = Company.search([])
    today = dt.date.today()
    sequence, = Sequence.create([{
                'name': "Moves",
                'company': company.id,
                'sequence_type': ModelData.get_id(
                    'account', 'sequence_type_account_move'),
                }])
    year, = FiscalYear.create([{
                'name': str(today.year), 'company': company.id,
                'start_date': dt.date(today.year, 1, 1),
                'end_date': dt.date(today.year, 12, 31),
                'move_sequence': sequence.id,
                }])
    FiscalYear.create_period([year])
    return FiscalYear(year.id).periods[0].id


def create_scheme():
    pool = Pool()
    Company = pool.get('company.company')
    Grade = pool.get('customer.grading.grade')
    Scheme = pool.get('customer.grading.scheme')
    grades = Grade.search([('axis', '=', 'class')])
    company, = Company.search([])

    def criterion(metric, weight, method, values):
        criterion = {
            'name': metric, 'metric': metric, 'weight': Decimal(weight),
            'method': method, 'missing': 'skip'}
        if method == 'linear':
            criterion['minimum'], criterion['maximum'] = map(Decimal, values)
        elif values:
            ends = [m for m, _ in values[1:]] + [None]
            criterion['bands'] = [('create', [{
                            'minimum': m and Decimal(m),
                            'maximum': e and Decimal(e),
                            'points': Decimal(p),
                            } for (m, p), e in zip(values, ends)])]
        return criterion

    scheme, = Scheme.create([{
                'name': "Benchmark",
                'company': company.id,
                'axis': 'class',
                'window': 12,
                'minimum_coverage': Decimal('0.5'),
                'hysteresis': Decimal(2),
                'criteria': [('create', [criterion(*c) for c in CRITERIA])],
                'thresholds': [('create', [
                            {'grade': g.id, 'minimum_score': Decimal(m)}
                            for g, m in zip(grades, [70, 40, 0])])],
                }])
    Scheme.publish([scheme])
    return scheme.id


def _aggregate(scheme):
    "Only the query of the values"
    Run = Pool().get('customer.grading.run')
    Scheme = Pool().get('customer.grading.scheme')
    scheme = Scheme(scheme)
    run_ = Run(
        company=scheme.company, scheme=scheme, date=dt.date.today(),
        axis=scheme.axis, kind='full')
    cursor = Transaction().connection.cursor()
    cursor.execute(
        *run_._get_query(Scheme.get_definition([scheme])[scheme], None))
    cursor.fetchall()


def _compute(scheme, kind, parties=None):
    "Compute a run as the queue does"
    Run = Pool().get('customer.grading.run')
    Scheme = Pool().get('customer.grading.scheme')
    scheme = Scheme(scheme)
    run_ = Run(
        company=scheme.company, scheme=scheme, kind=kind,
        date=dt.date.today(), parties=parties)
    run_.save()
    if kind == 'parties':
        Run.compute([run_])
    else:
        run_.start()
        Transaction().commit()
        Run.execute(Run.browse([run_]))
    assert run_.__class__(run_.id).state == 'computed', run_.error


def _touch(customers):
    "Have business with so many customers"
    sql(DATABASE, """
        UPDATE sale_sale SET write_date = now() + interval '1 second'
        WHERE id IN (
            SELECT min(id) FROM sale_sale WHERE description = 'graded'
            GROUP BY party ORDER BY party LIMIT %s)""", [customers])
    time.sleep(1)


def main(scheme):
    load(DATABASE)
    run(DATABASE, lambda: None)
    Client(DATABASE, 'admin')
    idle = peak_memory()
    run(DATABASE, _compute, int(scheme), 'full')
    print(idle, peak_memory())


if __name__ == '__main__':
    main(sys.argv[1])
