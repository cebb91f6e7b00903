# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Grading runs that are computed, cancelled and applied at the same moment"
import threading
from functools import partial

import pytest

from trytond.modules.company.tests.tools import create_company
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME, drop_db
from trytond.tests.tools import activate_modules
from trytond.worker import run_task

from .grading import create_staff, party
from .grading_run import (
    TODAY, add_sale, create_business, create_scheme, criterion)
from .rpc import Client, server
from .test_concurrency import race

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.xdist_group('customer_run_concurrency'),
    ]
RUN = 'customer.grading.run'


@pytest.fixture(scope='module')
def world():
    activate_modules(
        'customer_grading', create_company, create_business, create_staff)
    with server('admin'):
        for name, amount in [("Acme", 80), ("Borg", 50)]:
            add_sale(party(name), TODAY, amount)
        for axis in ['class', 'level']:
            create_scheme(
                criterion('sales_amount', 100, 'percentile'), axis=axis)
    yield {login: Client(login) for login in ['anna', 'alma']}
    drop_db()


@pytest.fixture
def scheme():
    with server():
        return Pool().get('customer.grading.scheme').search([
                ('company', '!=', None), ('axis', '=', 'class')])[0].id


def create(world, scheme):
    run, = world['anna'](f'{RUN}.create', [{'scheme': scheme}])
    return run


def queue(world, run):
    "Compute the run and return the task that the queue has to do"
    world['anna'](f'{RUN}.compute', [run])
    with server(tasks=False):
        task, = Pool().get('ir.queue').search([
                ('dequeued_at', '=', None),
                ('finished_at', '=', None)], order=[('id', 'DESC')], limit=1)
        return task.id


@pytest.fixture(autouse=True)
def no_tasks(monkeypatch):
    "Leave the tasks to the tests"
    monkeypatch.setattr(
        'trytond.protocols.dispatcher.run_task', lambda *args: None,
        raising=False)


def get(run):
    with server(tasks=False):
        pool = Pool()
        Result = pool.get('customer.grading.result')
        Distribution = pool.get('customer.grading.distribution')
        Progress = pool.get('customer.grading.run.progress')
        record = pool.get(RUN)(run)
        return {
            'state': record.state, 'error': record.error,
            'progress': record.progress,
            'started': bool(record.started_at),
            'results': Result.search_count([('run', '=', run)]),
            'distribution': Distribution.search_count([('run', '=', run)]),
            'steps': Progress.search_count([('run', '=', run)]),
            }


DONE = {
    'state': 'computed', 'error': None, 'progress': 1.0, 'started': True,
    'results': 2, 'distribution': 2, 'steps': 0}
NOTHING = {'results': 0, 'distribution': 0, 'steps': 0}


class Pause:
    "Stop those who compute in the middle of it until they may go on"

    def __init__(self, monkeypatch):
        self.reached = threading.Event()
        self.go_on = threading.Event()
        Result = Pool(DB_NAME).get('customer.grading.result')
        insert = Result._insert

        def wait(*args):
            insert(*args)
            self.reached.set()
            assert self.go_on.wait(30)
        monkeypatch.setattr(Result, '_insert', wait)


def start(task):
    thread = threading.Thread(
        target=partial(run_task, DB_NAME, task), daemon=True)
    thread.start()
    return thread


def test_progress(world, scheme, monkeypatch):
    "Others see how far a run is while it is computed"
    pause = Pause(monkeypatch)
    run = create(world, scheme)
    task = queue(world, run)
    thread = start(task)
    assert pause.reached.wait(30)
    state = get(run)
    assert state['state'] == 'draft' and state['started']
    assert state['results'] == 0 and state['steps'] == 1
    assert state['progress'] == 0.0
    pause.go_on.set()
    thread.join(30)
    assert get(run) == DONE


def test_twice(world, scheme, monkeypatch):
    "A task that is done twice at once and again computes once"
    pause = Pause(monkeypatch)
    run = create(world, scheme)
    task = queue(world, run)
    first = start(task)
    assert pause.reached.wait(30)
    second = start(task)
    second.join(2)
    pause.go_on.set()
    for thread in [first, second]:
        thread.join(30)
        assert not thread.is_alive()
    assert get(run) == DONE
    run_task(DB_NAME, task)
    assert get(run) == DONE


def test_compute_twice(world, scheme):
    "Of two users who compute a run one only does"
    run = create(world, scheme)
    faults = race(
        partial(world['anna'], f'{RUN}.compute', [run]),
        partial(world['alma'], f'{RUN}.compute', [run]))
    assert len([f for f in faults if f]) == 1, faults


def test_cancel(world, scheme, monkeypatch):
    "A run that is cancelled half way leaves nothing"
    pause = Pause(monkeypatch)
    run = create(world, scheme)
    task = queue(world, run)
    thread = start(task)
    assert pause.reached.wait(30)
    world['alma'](f'{RUN}.cancel', [run])
    pause.go_on.set()
    thread.join(30)
    assert not thread.is_alive()
    state = get(run)
    assert state['state'] == 'cancelled'
    assert state.items() >= NOTHING.items()


def test_crash(world, scheme, monkeypatch):
    "A run that crashes says why, leaves nothing and can be computed again"
    run = create(world, scheme)
    task = queue(world, run)
    Run = Pool(DB_NAME).get(RUN)
    with monkeypatch.context() as patch:
        def fail(*args):
            raise ValueError("Oops")
        patch.setattr(Run, '_store_distributions', fail)
        run_task(DB_NAME, task)
    state = get(run)
    assert state['state'] == 'draft' and not state['started']
    assert "Oops" in state['error']
    assert state.items() >= NOTHING.items()
    run_task(DB_NAME, queue(world, run))
    assert get(run) == DONE


def test_retry(world, scheme, monkeypatch):
    "A run is computed again when the database refuses the first time"
    from trytond import backend
    run = create(world, scheme)
    task = queue(world, run)
    Run = Pool(DB_NAME).get(RUN)
    store = Run._store_distributions
    tries = []

    def fail(*args):
        tries.append(1)
        store(*args)
        if len(tries) < 3:
            raise backend.DatabaseOperationalError("serialization")
    monkeypatch.setattr(Run, '_store_distributions', fail)
    run_task(DB_NAME, task)
    assert len(tries) == 3
    assert get(run) == DONE


def test_apply(world, scheme):
    "Of two runs of an axis applied at once the older one never comes last"
    runs = []
    for _ in range(2):
        run = create(world, scheme)
        run_task(DB_NAME, queue(world, run))
        world['alma'](f'{RUN}.approve', [run])
        runs.append(run)
    faults = race(*(
            partial(world['anna'], f'{RUN}.apply', [r]) for r in runs))
    assert faults[1] is None
    states = [get(r)['state'] for r in runs]
    assert states[1] == 'applied'
    assert states[0] == ('approved' if faults[0] else 'applied')
    with server(tasks=False):
        Grade = Pool().get('customer.grade')
        grades = Grade.search([('end_date', '=', None)])
        assert len(grades) == len({(g.party, g.axis) for g in grades})


def test_two_runs(world):
    "Runs of two axes are computed at once"
    with server(tasks=False):
        schemes = [s.id for s in Pool().get(
                'customer.grading.scheme').search([('company', '!=', None)])]
    assert len(schemes) == 2
    runs = [create(world, s) for s in schemes]
    threads = [start(queue(world, r)) for r in runs]
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert [get(r) for r in runs] == [DONE, DONE]
