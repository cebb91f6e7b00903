# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""Compare the speed of the orders with stock Tryton.

Each measurement repeats the same work in turns in a database with our modules
and in one without, of the same PostgreSQL server. What counts is the median
of the ratios, which a busy machine slows down but does not change much."""

import argparse
import sys
import time
import warnings

from . import postgresql

MODULES = ['sale_order_review']
# What our modules depend on
STOCK = ['account_invoice', 'company', 'country', 'currency', 'party',
    'product', 'sale']
# The rows that have databases of their own
ARCHIVE = {
    'archiving', 'collecting', 'fixity', 'chain', 'catalogue', 'export'}
START = time.monotonic()
COLUMNS = '{:<64} {:>10} {:>10} {:>6} {:>6}  {}'


def main():
    parser = argparse.ArgumentParser(
        prog='benchmarks', description=__doc__.split('\n')[0])
    parser.add_argument(
        'rows', nargs='*', metavar='row',
        help="no_rule, review, confirm, inbox, memory, amendment, measures, "
        "log, grading, exposure, gate, archiving, collecting, fixity, chain, "
        "catalogue or export (default: all)")
    parser.add_argument(
        '--times', type=int, default=10,
        help="how often what takes long is repeated (default: %(default)s)")
    parser.add_argument(
        '--batch', type=int, default=50,
        help="the orders quoted at once (default: %(default)s)")
    parser.add_argument(
        '--signed', type=int, default=20,
        help="the orders reviewed at once (default: %(default)s)")
    parser.add_argument(
        '--orders', type=int, default=1000,
        help="the orders confirmed at once (default: %(default)s)")
    parser.add_argument(
        '--signoffs', type=int, default=1_000_000,
        help="the sign-offs in the large inbox (default: %(default)s)")
    parser.add_argument(
        '--submitted', type=int, default=5000,
        help="the orders submitted by a process (default: %(default)s)")
    parser.add_argument(
        '--customers', type=int, default=100_000,
        help="the customers that are graded (default: %(default)s)")
    parser.add_argument(
        '--exposed', type=int, default=1000,
        help="the customers whose exposure is measured (default: %(default)s)")
    parser.add_argument(
        '--archived', type=int, default=10_000,
        help="the orders archived by a worker (default: %(default)s)")
    parser.add_argument(
        '--documents', type=int, default=2000,
        help="the documents whose bytes are verified (default: %(default)s)")
    parser.add_argument(
        '--entries', type=int, default=1_000_000,
        help="the entries of the ledger (default: %(default)s)")
    parser.add_argument(
        '--files', type=int, default=1_000_000,
        help="the files in the catalogue (default: %(default)s)")
    parser.add_argument(
        '--exported', type=int, default=1000,
        help="the orders exported at once (default: %(default)s)")
    parser.add_argument(
        '--export-size', type=int, default=5000,
        help="the MB of their documents (default: %(default)s)")
    options = parser.parse_args()

    warnings.simplefilter('ignore', DeprecationWarning)
    with postgresql.run() as uri:
        postgresql.configure(uri)
        from .archive import archiving, catalogue, chain, export, fixity
        from .changes import amendment, log, measures
        from .collecting import collecting
        from .credit import exposure, gate
        from .grading import grading
        from .inbox import inbox
        from .memory import memory
        from .orders import confirm, no_rule, review
        rows = {f.__name__: f for f in [
                no_rule, review, confirm, inbox, memory, amendment, measures,
                log, grading, exposure, gate, archiving, collecting, fixity,
                chain, catalogue, export]}
        if unknown := set(options.rows) - rows.keys():
            parser.error(f"unknown row: {', '.join(sorted(unknown))}")
        set_up(options.rows)
        results = []
        try:
            for name, row in rows.items():
                if not options.rows or name in options.rows:
                    progress(f"Measure {name}")
                    results.extend(row(options))
        finally:
            show(results)
    sys.exit(not all(r.reached for r in results))


def progress(text):
    print(f"==> {time.monotonic() - START:4.0f} s: {text}", flush=True)


def set_up(rows):
    from . import company, orders, server

    server.set_durable(False)
    progress("Activate the stock modules")
    server.create('stock', STOCK)
    progress("Create a company")
    server.run('stock', company.create)
    company.create_history('stock')
    server.copy('ours', 'stock')
    server.copy('buttons', 'stock')
    server.load('buttons')
    server.run('buttons', orders.create_button_rule)
    if not rows or not ARCHIVE.issuperset(rows):
        progress("Activate our modules")
        server.activate('ours', MODULES)
        server.run('ours', company.create_review)
        server.copy('empty', 'ours')
    server.set_durable(True)


def show(results):
    print()
    print(COLUMNS.format('', 'ours', 'stock', 'ratio', 'reach', ''))
    for result in results:
        print(COLUMNS.format(
                result.name, result.format(result.ours),
                result.format(result.stock), f'{result.ratio:.2f}',
                f'{result.reach:.2f}',
                "reached" if result.reached else "NOT REACHED"))


if __name__ == '__main__':
    main()
