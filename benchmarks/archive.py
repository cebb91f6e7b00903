# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What the archive costs, and what it takes to verify, search and export it"

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import quantiles

from trytond import config
from trytond.filestore import filestore
from trytond.pool import Pool
from trytond.transaction import Transaction

from . import company
from .measure import Result, alternate, compare, duration, peak_memory
from .orders import slices
from .postgresql import FOLDER
from .server import Client, activate, copy, load, run, sql, vacuum

# The sizes of documents, in bytes
DOCUMENT = 20_000
DOCUMENTS = 5
FIXED = 200_000
# How many files a worker archives at once
BATCH = 20
SMALL = 1_000
# How many ms an order may take, at 80 in a second
ORDER = 12.5
# How many ms a search may take in 95 of 100 cases
SEARCH = 100
# How many MiB a process may take above what it has when it is idle
MEMORY = 100
WORDS = [
    "Touch Screen", "Gear Box", "Hydraulic Pump", "Müller", "Steel Frame",
    "触摸屏", "液压泵", "齿轮箱", "北京机械设备有限公司", "合同"]
LATIN = ["drauli", "Müller", "gear"]
CHINESE = ["液压", "齿轮", "触摸屏"]


def archiving(options):
    "Archive finished orders one worker has the documents of"
    with _database('archiving') as name:
        durations = {}
        for number in [SMALL // 10, SMALL, options.archived]:
            files = _open_files(name, number)
            vacuum(name)
            start = time.perf_counter()
            for i, batch in enumerate(slices(files, BATCH)):
                _run(name, _archive, batch, i)
            durations[number] = (
                time.perf_counter() - start) * 1000 / number
        yield Result(
            f"archive {options.archived} orders, each / allowed",
            durations[options.archived], ORDER, 1.0)
        yield Result(
            f"archive {options.archived} orders, each / of {SMALL}",
            durations[options.archived], durations[SMALL], 1.10)


def fixity(options):
    "Verify the bytes of documents against sha256sum of the same files"
    with _database('fixity') as name:
        files = _open_files(name, 10)
        for number in range(options.documents // 10):
            _run(name, _add_documents, files, number, FIXED)
        paths = _run(name, _get_paths)
        sha256sum = shutil.which('sha256sum')

        def sum_(i):
            def call():
                subprocess.run(
                    [sha256sum, *paths], check=True,
                    stdout=subprocess.DEVNULL)
            return duration(call)

        yield compare(
            f"verify {len(paths)} documents of {FIXED // 1000} kB / sha256sum",
            1.25, alternate(
                options.times,
                lambda i: duration(_run, name, _verify_documents), sum_))


def chain(options):
    "Verify the ledger, in a process of its own"
    with _database('chain') as name:
        _fill_ledger(name, options.entries)
        small = _measure(name, 'verify', options.entries // 10)
        large = _measure(name, 'verify', options.entries)
        yield Result(
            f"verify {options.entries} entries, per 100000 / allowed",
            large['ms'] * 100_000 / options.entries, 1000, 1.0)
        yield Result(
            f"memory after {options.entries} entries / "
            f"{options.entries // 10}",
            large['memory'], small['memory'], 1.1, unit='MB')


def catalogue(options):
    "Search the catalogue of many files"
    with _database('catalogue') as name:
        parties = _fill_catalogue(name, options.files)
        client = Client(name, 'seller')

        def search(i, kind):
            number = (i * 7919) % options.files
            domain = {
                'number': [('rec_name', 'ilike', f'%BENCH{number:07}%')],
                'party': [('party', '=', parties[i % len(parties)])],
                'Latin': [('rec_name', 'ilike', f'%{LATIN[i % 3]}%')],
                'Chinese': [('rec_name', 'ilike', f'%{CHINESE[i % 3]}%')],
                }[kind]
            return duration(
                client, 'order.archive', 'search_read', domain, 0, 100, None,
                ['number', 'sale_number', 'party_name', 'state'])

        for kind in ['number', 'party', 'Latin', 'Chinese']:
            durations = [search(i, kind) for i in range(45)][5:]
            yield Result(
                f"search {options.files} files by {kind}, p95 / allowed",
                quantiles(durations, n=20)[-1], SEARCH, 1.0)


def export(options):
    "Export many large files, in a process of its own"
    with _database('export') as name:
        files = _open_files(name, options.exported)
        size = options.export_size * 1_000_000 // (len(files) * DOCUMENTS)
        for i, batch in enumerate(slices(files, 20)):
            for number in range(DOCUMENTS):
                _run(name, _add_documents, batch, number, size, i)
        _run(name, _prepare_export, files)
        result = _measure(name, 'export', *files)
        yield Result(
            f"memory to export {len(files)} orders of "
            f"{result['bytes'] / 1e9:.1f} GB / allowed",
            result['memory'] - result['idle'], MEMORY, 1.0, unit='MB')


@contextmanager
def _database(name):
    "A database with the archive, a seller who sees it and its own filestore"
    copy(name, _template())
    load(name)
    before = config.get('database', 'path')
    with tempfile.TemporaryDirectory(
            prefix='archive-', dir=FOLDER) as folder:
        config.set('database', 'path', folder)
        try:
            yield name
        finally:
            config.set('database', 'path', before)


@cache
def _template():
    "Return the name of a database with the archive"
    name = 'archive'
    copy(name, 'stock')
    activate(name, ['order_archive'])
    run(name, _set_up)
    return name


def _run(database, function, *args):
    "Call the function as the queue does"
    return run(database, _without_tasks, function, *args)


def _without_tasks(function, *args):
    result = function(*args)
    Transaction().tasks.clear()
    return result


def _set_up():
    pool = Pool()
    Class = pool.get('order.archive.class')
    Configuration = pool.get('order.archive.configuration')
    User = pool.get('res.user')
    plan, = Class.create([{'code': 'BENCH', 'name': "Bench"}])
    configuration = Configuration(1)
    configuration.plan = plan
    configuration.save()
    seller, = User.search([('login', '=', 'seller')])
    User.write([seller], {
            'groups': [('add', [
                        company.ref('order_archive.group_archive')])],
            })


def _open_files(database, number):
    "Open the files of as many orders that are done"
    orders = company.copy_orders(database, 'small', number)
    sql(database, """
        UPDATE sale_sale SET state = 'confirmed', number = 'A' || id,
            sale_date = current_date
        WHERE id = ANY(%s)""", [orders])
    vacuum(database)
    files = []
    for ids in slices(orders, 500):
        files += _run(database, _open, ids)
    sql(database, "UPDATE sale_sale SET state = 'done' WHERE id = ANY(%s)",
        [orders])
    return files


def _open(ids):
    pool = Pool()
    Archive = pool.get('order.archive')
    Sale = pool.get('sale.sale')
    archives = Archive.open(Sale.browse(ids))
    Archive.set_done(Sale.browse(ids))
    return [a.id for a in archives.values()]


def _archive(files, number):
    "Add the documents to the files and archive them"
    Archive = Pool().get('order.archive')
    _add_documents(files, 0, DOCUMENT, number, count=DOCUMENTS)
    Archive.close(Archive.browse(files))


def _add_documents(files, number, size, seed=0, count=1):
    pool = Pool()
    Item = pool.get('order.archive.item')
    Kind = pool.get('order.archive.kind')
    kind, = Kind.search([('code', '=', 'other')])
    block = hashlib.sha256(f'{number} {seed}'.encode()).digest() * (
        size // 32 + 1)
    Item.collect([{
                'archive': file,
                'kind': kind.id,
                'name': f'{number + i}.pdf',
                # Each has its own bytes
                'data': f'{file} {number} {i} '.encode() + block[:size],
                'source': f'bench,{file * 1000 + number + i}',
                } for file in files for i in range(count)])


def _get_paths():
    Item = Pool().get('order.archive.item')
    return [
        filestore._filename(i.file_id, Item.data.store_prefix)
        for i in Item.search([])]


def _verify_documents():
    from trytond.modules.order_archive.verification import _Run
    owner, = Pool().get('company.company').search([])
    verification = _Run(owner)
    verification.verify_documents()
    assert verification.counts['documents'] and not verification.findings


def _fill_ledger(database, number):
    "Seal as many entries, written with SQL as recording takes minutes"
    from trytond.modules.order_archive.event import canonical
    (owner,), = sql(database, 'SELECT id FROM company_company')
    content = canonical({
            'action': 'collect', 'at': '2026-01-01T00:00:00.000000+00:00',
            'details': {}, 'employee': "Seller", 'format': 1,
            'resource': 'order.archive.item,1', 'user': 'seller',
            'values': {
                'name': "合同 contract.pdf", 'sha256': 'a' * 64,
                'size': 20000, 'state': 'kept', 'kind': 'contract',
                'archive': 'A1', 'source': 'sale.sale,1'},
            })
    sql(database, """
        INSERT INTO order_archive_event (
            company, resource, action, content, format, create_date)
        SELECT %s, 'order.archive.item,' || i, 'collect', %s, 1, now()
        FROM generate_series(1, %s) AS i""", [owner, content, number])
    sealed = 0
    while sealed < number:
        _run(database, lambda: Pool().get('order.archive.event').seal())
        (sealed,), = sql(
            database, 'SELECT length FROM order_archive_chain')
    vacuum(database)


def _fill_catalogue(database, number):
    "Return the parties of as many files, written with SQL"
    from trytond.modules.order_archive.archive import _normalize
    texts = [
        _normalize('\n'.join([
                    WORDS[i % len(WORDS)], f"Part {i * 31 % 9973}",
                    WORDS[i * 3 % 7], f"order confirmation {i}.pdf"]))
        for i in range(2000)]
    order, = company.copy_orders(database, 'small', 1)
    (owner,), = sql(database, 'SELECT id FROM company_company')
    (class_,), = sql(
        database, "SELECT id FROM order_archive_class WHERE code = 'BENCH'")
    sql(database, """
        INSERT INTO party_party (name, active, code)
        SELECT 'Bench ' || i, true, 'B' || i
        FROM generate_series(1, 10000) AS i
        """)
    parties = [id_ for id_, in sql(
            database, "SELECT id FROM party_party WHERE name LIKE 'Bench %%'",
            [])]
    sql(database, """
        INSERT INTO order_archive (
            number, company, sale, class_, party, party_name, sale_number,
            opened_at, state, search_text)
        SELECT 'BENCH' || lpad(i::text, 7, '0'), %s, %s, %s,
            (%s::int[])[i %% 10000 + 1], 'Bench ' || i %% 10000, 'S' || i,
            now(), 'archived',
            lower('bench') || lpad(i::text, 7, '0') || E'\n'
                || (%s::text[])[i * 7 %% 2000 + 1]
        FROM generate_series(0, %s - 1) AS i""",
        [owner, order, class_, parties, texts, number])
    # As Archive does
    sql(database, r"""
        UPDATE order_archive SET search_index = array_to_tsvector(ARRAY(
            SELECT DISTINCT substr(word, i, 3)
            FROM regexp_split_to_table(search_text, '\s+') AS word,
            generate_series(1, length(word)) AS i))""")
    vacuum(database)
    return parties


def _prepare_export(files):
    Archive = Pool().get('order.archive')
    Archive.seal_export(Archive.browse(files))
    Archive.prepare_export(Archive.browse(files))


def _measure(database, action, *args):
    "Return what the action of a process of its own takes"
    env = {**os.environ, 'TRYTOND_DATABASE__PATH': config.get(
            'database', 'path')}
    process = subprocess.run(
        [sys.executable, '-W', 'ignore::DeprecationWarning', '-m',
            'benchmarks.archive', database, action],
        input=' '.join(map(str, args)), stdout=subprocess.PIPE, text=True,
        env=env, check=True)
    return {
        k: float(v) for k, v in (
            p.split('=') for p in process.stdout.split())}


def _verify_ledger(size):
    from trytond.modules.order_archive.verification import _Run
    owner, = Pool().get('company.company').search([])
    Event = Pool().get('order.archive.event')
    run_ = _Run(owner)
    sealed = Event.sealed

    def first(company_, names=None):
        for i, row in enumerate(sealed(company_, names)):
            if i == size:
                break
            yield row

    Event.sealed = first
    run_.verify_head = lambda *args: None
    try:
        run_.verify_ledger()
    finally:
        Event.sealed = sealed
    assert run_.counts['entries'] == size and not run_.findings


def _export(path, files):
    Archive = Pool().get('order.archive')
    with open(path, 'wb') as file:
        assert Archive.export_to(Archive.browse(files), file, 'bench')


def main(database, action):
    load(database)
    args = list(map(int, sys.stdin.read().split()))
    # The connection is open
    run(database, lambda: None)
    idle = peak_memory()
    start = time.perf_counter()
    size = 0
    if action == 'verify':
        run(database, _verify_ledger, *args)
    else:
        path = Path(config.get('database', 'path')) / 'bench.zip'
        run(database, _without_tasks, _export, path, args)
        size = path.stat().st_size
    ms = (time.perf_counter() - start) * 1000
    print(f'idle={idle} memory={peak_memory()} ms={ms} bytes={size}')


if __name__ == '__main__':
    main(*sys.argv[1:])
