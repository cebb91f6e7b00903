# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""Processes that work on the ledger of a database of the tests

They are apart from those of the tests because they are killed."""

import json
import os
import signal
import sys
import time

from trytond import backend
from trytond.pool import Pool
from trytond.transaction import Transaction, TransactionError


def run(name, function):
    "Call the function in a transaction as the queue does"
    extras = {}
    for _ in range(50):
        try:
            with Transaction().start(name, 0, **extras) as transaction:
                try:
                    result = function()
                    transaction.commit()
                    return result
                except TransactionError as e:
                    transaction.rollback()
                    e.fix(extras)
                finally:
                    transaction.tasks.clear()
        except backend.DatabaseOperationalError:
            time.sleep(0.05)
    raise TimeoutError


def fork(function, *args):
    "Call the function in another process and return its id"
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        function(*args)
        code = 0
    finally:
        os._exit(code)


def wait(pid):
    "Return whether the process ended by itself"
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def kill_at(statement, writes=False):
    """Kill the process at the statement, before it for odd numbers, or after

    Of all statements or of those that write."""
    if backend.name == 'postgresql':
        from psycopg import Connection

        from trytond.backend.postgresql.database import LoggingCursor
        Cursor = LoggingCursor
    else:
        from trytond.backend.sqlite import database
        Connection = database.SQLiteConnection
        Cursor = database.SQLiteCursor
    count = 0

    def patch(cls, name):
        method = getattr(cls, name)

        def patched(self, *args, **kwargs):
            nonlocal count
            if (writes and args and not args[0].startswith(
                        ('INSERT', 'UPDATE', 'DELETE'))):
                return method(self, *args, **kwargs)
            count += 1
            if count == statement:
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(self, *args, **kwargs)
            count += 1
            if count == statement:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(cls, name, patched)

    for name in ['execute', 'executemany']:
        patch(Cursor, name)
    patch(Connection, 'commit')


def seal(name, statement=None):
    if statement:
        kill_at(statement)
    run(name, lambda: Pool(name).get('order.archive.event').seal())


def record(name, times, number):
    from .test_ledger import Record
    for _ in range(times):
        run(name, lambda: Pool(name).get('order.archive.event').record(
                'create', [Record() for _ in range(number)]))


def get_state(name):
    "Return how many entries are sealed and are not, and what is broken"
    from trytond.modules.order_archive.verification import _Run

    def get():
        pool = Pool()
        Company = pool.get('company.company')
        Event = pool.get('order.archive.event')
        verification = _Run(Company.search([])[0])
        verification.verify_ledger()
        return [
            Event.search([('sequence', '!=', None)], count=True),
            Event.search([('sequence', '=', None)], count=True),
            [f['text'] for f in verification.findings]]
    return run(name, get)


def in_process(function, *args):
    "Return what the function returns in a process of its own"
    reader, writer = os.pipe()

    def call():
        with os.fdopen(writer, 'w') as file:
            json.dump(function(*args), file)

    pid = fork(call)
    os.close(writer)
    with os.fdopen(reader) as file:
        result = file.read()
    assert wait(pid)
    return json.loads(result)


def kill(name):
    "Kill the sealing at each of its statements"
    states = []
    for statement in range(1, 200):
        ended = wait(fork(seal, name, statement))
        states.append([ended, *in_process(get_state, name)])
        if ended:
            break
    print(json.dumps(states))


def kill_writes(name, function, *args):
    """Kill the function at each of the statements that write, and return the
    states, each with whether it has ended"""
    def call(statement):
        kill_at(statement, writes=True)
        run(name, lambda: function(*args))

    states = []
    for statement in range(1, 500):
        ended = wait(fork(call, statement))
        state = in_process(get_archive, name, *args)
        if not states or states[-1] != [ended, *state]:
            states.append([ended, *state])
        if ended:
            break
    print(json.dumps(states))


def get_archive(name, id_):
    "Return the state of the file, its documents, and what is broken"
    def get():
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        Verification = pool.get('order.archive.verification')
        Event.seal()
        archive = Archive(int(id_))
        verification, = Verification.run()
        actions = [
            e.action for e in Event.search([
                    ('archive', '=', archive.id),
                    ('action', 'in', ['archive', 'collect', 'retain']),
                    ], order=[('id', 'ASC')])]
        return [
            archive.state, bool(archive.retention),
            len([i for i in archive.items if i.name.startswith('late')]),
            [a for a in actions if a != 'collect'],
            [f.text for f in verification.findings]]
    return run(name, get)


def kill_close(name, id_):
    def close(id_):
        Archive = Pool().get('order.archive')
        Archive.close([Archive(int(id_))])
    kill_writes(name, close, id_)


def kill_collect(name, id_):
    def collect(id_):
        from .archive import kind
        Item = Pool().get('order.archive.item')
        Item.collect([{
                    'archive': int(id_),
                    'kind': kind('drawing'),
                    'name': f'late {i}',
                    'data': os.urandom(1000),
                    } for i in range(2)])
    kill_writes(name, collect, id_)


def kill_export(name, id_, folder):
    "Kill an export while it writes, do it again, and return what is there"
    import zipfile

    import trytond.config as config

    def set_folder():
        if not config.has_section('order_archive'):
            config.add_section('order_archive')
        config.set('order_archive', 'export_path', folder)

    def prepare():
        Archive = Pool().get('order.archive')
        Archive.seal_export([Archive(int(id_))])
        Archive.prepare_export([Archive(int(id_))])

    def export():
        Archive = Pool().get('order.archive')
        Archive.export([Archive(int(id_))], 'bag')

    def die():
        set_folder()
        write = zipfile._ZipWriteFile.write

        def dying(self, data):
            write(self, data)
            self._zipfile.fp.flush()
            if b'contract' in bytes(data):
                os.kill(os.getpid(), signal.SIGKILL)

        zipfile._ZipWriteFile.write = dying
        run(name, export)

    def again():
        set_folder()
        run(name, export)

    assert wait(fork(run, name, prepare))
    assert not wait(fork(die))
    left = sorted(os.listdir(folder))
    assert wait(fork(again))
    print(json.dumps([left, sorted(os.listdir(folder))]))


def race(name):
    "Seal in several processes while others record"
    pids = [fork(record, name, 10, 7) for _ in range(2)]

    def seal_often():
        for _ in range(15):
            seal(name)

    pids += [fork(seal_often) for _ in range(3)]
    ended = [wait(p) for p in pids]
    assert all(ended)
    wait(fork(seal, name))
    print(json.dumps(in_process(get_state, name)))


def verify(name):
    "Verify all of the archive"
    def verify_():
        Verification = Pool().get('order.archive.verification')
        return [
            [v.entries, v.checkpoints, v.documents, [
                    f.text for f in v.findings]]
            for v in Verification.run()]
    print(json.dumps(run(name, verify_)))


def main(name, action, *args):
    pool = Pool(name)
    with Transaction().start(name, 0, readonly=True):
        pool.init()
    # Each process opens its own
    backend.Database(name).close()
    globals()[action](name, *args)


if __name__ == '__main__':
    main(*sys.argv[1:])
