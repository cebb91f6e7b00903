# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Workers that collect at once, and one that is killed, leave nothing half done"
import os
import signal
import subprocess
import sys
import threading

import pytest

from trytond.modules.sale.sale import SaleReport
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME
from trytond.worker import run_task

from .collect import (
    activate_world, attach, collect, create_order, get_archive, get_items,
    get_pending)
from .rpc import server
from .tools import ROOT

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.xdist_group('concurrency'),
    ]


@pytest.fixture(scope='module', autouse=True)
def world():
    activate_world()


def get_tasks():
    with server():
        Queue = Pool().get('ir.queue')
        return [t.id for t in Queue.search([
                    ('finished_at', '=', None)], order=[('id', 'ASC')])]


def run(*calls):
    threads = [threading.Thread(target=c, daemon=True) for c in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def test_two_workers():
    "Of two workers that collect for a file at once one does"
    for _ in range(3):
        sale, = create_order(tasks=False)
        with server('sam', tasks=False):
            attach(f'sale.sale,{sale}')
        with server('ada', tasks=False):
            Archive = Pool().get('order.archive')
            Archive.collect([get_archive(sale)])
        tasks = get_tasks()
        assert len(tasks) >= 3
        run(*(lambda t=t: run_task(DB_NAME, t) for t in tasks))
        # What failed too often is put into the queue again
        for task in get_tasks():
            run_task(DB_NAME, task)
        with server():
            assert not get_pending(sale)
            for name in ['order', 'attachment']:
                assert len(get_items(sale, name, state=None)) == 1


def test_issued_meanwhile(monkeypatch):
    "Documents are issued while others are printed"
    sale, = create_order(tasks=False)
    issued = []
    get_context = SaleReport.get_context

    def issue():
        with server('sam', tasks=False):
            attach(f'sale.sale,{sale}')
        issued.append(sale)

    def wait(*args, **kwargs):
        if not issued:
            run(issue)
        return get_context(*args, **kwargs)
    monkeypatch.setattr(SaleReport, 'get_context', wait)
    for task in get_tasks():
        run_task(DB_NAME, task)
    monkeypatch.undo()
    with server():
        assert issued and get_items(sale, 'order')
    collect(sale)
    with server():
        assert len(get_items(sale, 'attachment')) == 1
        assert len(get_items(sale, 'order', state=None)) == 1


SCRIPT = """
import os, signal, sys

import trytond.config as config

config.update_etc()

from trytond.pool import Pool
from trytond.transaction import Transaction

database, model, method, when, task = sys.argv[1:]
with Transaction().start(database, 0, readonly=True):
    Pool(database).init()
Model = Pool(database).get(model)
function = getattr(Model, method)


def kill(*args, **kwargs):
    if when == 'after':
        function(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)


setattr(Model, method, kill)

from trytond.worker import run_task

run_task(database, int(task))
"""


@pytest.mark.parametrize('when', ['before', 'after'])
@pytest.mark.parametrize('model,method', [
        ('order.archive.item', 'collect'),
        ('order.archive.event', 'record'),
        ('order.archive.collection', 'delete'),
        ('order.archive', 'update'),
        ])
def test_killed(model, method, when):
    "A worker that is killed leaves what it was to collect to the next"
    sale, = create_order(tasks=False)
    with server('sam', tasks=False):
        attach(f'sale.sale,{sale}')
    with server():
        Queue = Pool().get('ir.queue')
        task = max(
            t.id for t in Queue.search([('finished_at', '=', None)])
            if t.data['method'] == 'collect_pending')
        before = get_pending(sale)
        events = Pool().get('order.archive.event').search([
                ('archive.sale', '=', sale)])
    process = subprocess.run(
        [sys.executable, '-c', SCRIPT, DB_NAME, model, method, when,
            str(task)],
        cwd=ROOT, env=dict(os.environ), capture_output=True, timeout=300)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    with server():
        assert not get_items(sale, state=None)
        assert get_pending(sale) == before
        assert Pool().get('order.archive.event').search([
                ('archive.sale', '=', sale)]) == events
        # Only what is still queued is left to the workers
        Queue = Pool().get('ir.queue')
        Queue.delete(Queue.search([('finished_at', '=', None)]))
    with server():
        Pool().get('order.archive').collect_due()
    with server():
        assert not get_pending(sale)
        for name in ['order', 'attachment']:
            assert len(get_items(sale, name, state=None)) == 1
