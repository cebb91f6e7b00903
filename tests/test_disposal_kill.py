# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Disposals whose server is killed, or that meet what others do"
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from functools import partial

import pytest
from dateutil.relativedelta import relativedelta

from trytond import backend
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import TransactionError

from .archive import create_archive
from .disposal_kill import AFTER, BEFORE
from .retention import (
    TODAY, add_paper, archived, click, confirm, create_disposal_staff,
    is_stored, plan)
from .rpc import Client, Fault, server
from .test_concurrency import race
from .tools import ROOT

pytestmark = pytest.mark.xdist_group('disposal_kill')
PAST = TODAY - relativedelta(years=11)
DISPOSAL = 'order.archive.disposal'


def commit(function):
    "Run the function in a transaction that is committed"
    extras = {}
    while True:
        with server('admin', tasks=False, extras=extras) as transaction:
            try:
                return function()
            except TransactionError as exception:
                transaction.rollback()
                exception.fix(extras)


def create_due():
    "Return the id of the file that is due for disposal, and its contents"
    def create():
        archive = archived(date=PAST)
        Pool().get(DISPOSAL).propose()
        return archive.id, [i.file_id for i in archive.items]
    return commit(create)


def create_disposal(*approvals):
    "Return the ids of a disposal with approvals, its file and its contents"
    id_, contents = create_due()

    def create():
        archive = Pool().get('order.archive')(id_)
        archive = click('propose_disposal', archive, name="Dana", date=TODAY)
        return archive.disposals[0].disposal.id

    disposal = commit(create)
    for name in approvals:
        commit(lambda name=name: click(
                'approve', Pool().get(DISPOSAL)(disposal), name=name,
                date=TODAY))
    return disposal, id_, contents


def get(id_):
    with server(tasks=False):
        disposal = Pool().get(DISPOSAL)(id_)
        return disposal.state, [
            a.employee.rec_name for a in disposal.approvals]


@pytest.fixture(scope='module')
def world():
    activate_modules(
        'order_archive', create_company, create_chart, create_archive,
        create_disposal_staff)
    commit(lambda: plan(action='review').id)
    yield
    drop_db()


@pytest.fixture
def database(world, tmp_path):
    "Return what calls the process that kills itself"
    env = {**os.environ, 'DB_NAME': DB_NAME}

    def copy():
        if backend.name == 'sqlite':
            env['DB_NAME'] = 'kill'
            path = os.path.join(
                os.environ['TRYTOND_DATABASE__PATH'], 'kill.sqlite')
            if os.path.exists(path):
                os.remove(path)
            with server(tasks=False) as transaction:
                target = sqlite3.connect(path)
                with target:
                    transaction.connection.backup(target)
                target.close()

    def call(*args, killed=False):
        process = subprocess.run(
            [sys.executable, '-m', 'tests.disposal_kill', *map(str, args)],
            cwd=ROOT, env=env, text=True, capture_output=True, timeout=300)
        if killed:
            assert process.returncode == -signal.SIGKILL, process.stderr
            return
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout.splitlines()[-1])
    call.copy = copy
    return call


NOTHING = {
    'disposal': 'approved', 'file': 'listed', 'archive': 'due',
    'items': ['kept'], 'content': 2}
DONE = {
    'disposal': 'disposed', 'file': 'disposed', 'archive': 'disposed',
    'items': ['disposed'], 'content': 0}


@pytest.mark.parametrize('point', BEFORE + AFTER)
def test_killed(database, point):
    "A disposal that is killed has not happened, or is completed"
    disposal, _, contents = create_disposal("Dora", "Dirk")
    database.copy()
    database('execute', disposal, point, killed=True)
    if point in BEFORE:
        assert database('state', disposal) == NOTHING
        assert all(map(is_stored, contents))
    else:
        assert database('state', disposal) == {
            **DONE, 'disposal': 'executing'}
        left = sum(map(is_stored, contents))
        assert left == {'committed': 2, 'first': 1}.get(point, 0)
    assert database('again', disposal) == DONE
    assert not any(map(is_stored, contents))
    assert database('again', disposal) == DONE


def test_rollback(world):
    "What is rolled back keeps its content"
    disposal, archive, contents = create_disposal("Dora", "Dirk")

    def execute():
        click('execute', Pool().get(DISPOSAL)(disposal), date=TODAY)
        assert Pool().get('order.archive')(archive).state == 'disposed'
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        commit(execute)
    assert get(disposal)[0] == 'approved'
    assert all(map(is_stored, contents))


def test_queue(world):
    "The content is gone once the server has answered"
    disposal, _, contents = create_disposal("Dora", "Dirk")
    Client('dora')(f'{DISPOSAL}.execute', [disposal])
    assert get(disposal)[0] == 'disposed'
    assert not any(map(is_stored, contents))


@pytest.mark.postgresql
def test_approved_at_once(world):
    "Of two approvals of the same person at once one counts"
    disposal, *_ = create_disposal()
    dora, dirk = Client('dora'), Client('dirk')
    faults = race(*[partial(dora, f'{DISPOSAL}.approve', [disposal])] * 2)
    assert len([f for f in faults if f]) == 1, faults
    assert get(disposal) == ('proposed', ["Dora"])
    disposal, *_ = create_disposal()
    faults = race(*[
            partial(c, f'{DISPOSAL}.approve', [disposal])
            for c in [dora, dirk]])
    assert faults == [None, None]
    state, approvals = get(disposal)
    assert (state, sorted(approvals)) == ('approved', ["Dirk", "Dora"])


@pytest.mark.postgresql
def test_executed_at_once(world):
    "A disposal that two execute at once happens once"
    disposal, archive, contents = create_disposal("Dora", "Dirk")
    race(*[
            partial(Client(l), f'{DISPOSAL}.execute', [disposal])
            for l in ['dora', 'dirk']])
    assert get(disposal)[0] == 'disposed'
    assert not any(map(is_stored, contents))
    with server(tasks=False):
        Event = Pool().get('order.archive.event')
        actions = [e.action for e in Event.search([
                    ('resource', '=', f'{DISPOSAL},{disposal}')])]
    assert actions.count('execute') == actions.count('erase') == 1


@pytest.mark.postgresql
def test_held_meanwhile(world, monkeypatch):
    "Who places a hold while files are disposed of waits for the end"
    disposal, archive, contents = create_disposal("Dora", "Dirk")
    Archive = Pool(DB_NAME).get('order.archive')
    reached, go_on = threading.Event(), threading.Event()
    dispose = Archive.dispose

    def wait(*args):
        dispose(*args)
        reached.set()
        assert go_on.wait(30)
    monkeypatch.setattr(Archive, 'dispose', wait)
    dora, dirk = Client('dora'), Client('dirk')
    execute = threading.Thread(
        target=dora, args=(f'{DISPOSAL}.execute', [disposal]), daemon=True)
    execute.start()
    assert reached.wait(60)
    hold = threading.Thread(target=dirk, args=(
            'order.archive.hold.create', [{
                    'matter': "Late", 'reason': "Late",
                    'archives': [('add', [archive])],
                    }]), daemon=True)
    hold.start()
    hold.join(2)
    assert hold.is_alive()
    go_on.set()
    for thread in [execute, hold]:
        thread.join(60)
        assert not thread.is_alive()
    assert get(disposal)[0] == 'disposed'
    with server(tasks=False):
        record, = Pool().get('order.archive.hold').search([
                ('archives', '=', archive)])
        assert record.placed_at >= Pool().get(DISPOSAL)(disposal).executed_at


@pytest.mark.postgresql
def test_lent_at_once(world):
    "Of two loans of the same at once one counts"
    def create():
        archive = confirm()
        add_paper(archive)
        return archive.id, archive.company.id, archive.party.id
    archive, company, party = commit(create)
    with server(tasks=False):
        Date = Pool().get('ir.date')
        today = Date.today()
    arno = Client('arno')
    faults = race(*[partial(arno, 'order.archive.loan.create', [{
                        'company': company,
                        'archive': archive,
                        'borrower': party,
                        'purpose': "Complaint",
                        'until': today,
                        }])] * 2)
    assert len([f for f in faults if f]) == 1, faults
    assert isinstance([f for f in faults if f][0], Fault)
