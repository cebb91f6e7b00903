# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""A server that kills itself while it disposes of files

It is called with what to do, the id of the disposal and the point of its
death, and prints what there is afterwards."""
import json
import os
import signal
import sys
from unittest.mock import patch

from trytond import backend
from trytond.filestore import FileStore
from trytond.pool import Pool
from trytond.transaction import Transaction, TransactionError

NAME = os.environ['DB_NAME']
# Those at which nothing may have happened, and those after the commit
BEFORE = ['items', 'commit']
AFTER = ['committed', 'first', 'deleted', 'erased']


def run(function, login=None):
    "Run the function in a transaction of the user as the server does"
    extras = {}
    while True:
        with Transaction().start(NAME, 0, **extras) as transaction:
            User = Pool().get('res.user')
            user, context = 0, {}
            if login:
                user, = User.search([('login', '=', login)])
                user = user.id
            try:
                with transaction.set_user(user):
                    if user:
                        context = User.get_preferences(True)
                    with transaction.set_context(context):
                        return function()
            except TransactionError as exception:
                transaction.rollback()
                exception.fix(extras)


def dying(function, before=False):
    "Die before or after the function"
    def wrapper(*args, **kwargs):
        if not before:
            function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    return wrapper


def execute(id_, point):
    pool = Pool(NAME)
    Disposal = pool.get('order.archive.disposal')
    Item = pool.get('order.archive.item')
    commit = Transaction.commit
    target, name, function = {
        'items': (Item, 'dispose', dying(Item.dispose)),
        'commit': (Transaction, 'commit', dying(commit, before=True)),
        'committed': (Transaction, 'commit', dying(commit)),
        'first': (FileStore, 'delete', dying(FileStore.delete)),
        'deleted': (FileStore, 'delete_many', dying(FileStore.delete_many)),
        'erased': (Transaction, 'commit', dying(commit, before=True)),
        }[point]
    if point in BEFORE + ['committed']:
        def locked():
            # The transaction begins anew until it has all locks
            Disposal._lock([Disposal(id_)])
            with patch.object(target, name, function):
                Disposal.execute([Disposal(id_)])
                Transaction().commit()
        run(locked, 'dora')
    else:
        run(lambda: Disposal.execute([Disposal(id_)]), 'dora')

        def locked():
            Disposal.lock([Disposal(id_)])
            with patch.object(target, name, function):
                Disposal.erase([Disposal(id_)])
                Transaction().commit()
        run(locked)


def again(id_):
    "Do what an approver and the scheduled task do"
    Disposal = Pool(NAME).get('order.archive.disposal')
    if state(id_)['disposal'] == 'approved':
        run(lambda: Disposal.execute([Disposal(id_)]), 'dora')
    run(Disposal.complete)


def state(id_):
    pool = Pool(NAME)
    Disposal = pool.get('order.archive.disposal')
    Item = pool.get('order.archive.item')

    def get():
        disposal = Disposal(id_)
        file, = disposal.files
        items = Item.search([('archive', '=', file.archive.id)])
        return {
            'disposal': disposal.state,
            'file': file.state,
            'archive': file.archive.state,
            'items': sorted({i.state for i in items}),
            'content': sum(bool(i.data) for i in items),
            }
    return run(get)


def main(action, id_, *args):
    backend.Database(NAME)
    Pool.start()
    Pool(NAME).init()
    id_ = int(id_)
    {'execute': execute, 'again': again, 'state': lambda i: None}[action](
        id_, *args)
    print(json.dumps(state(id_)))


if __name__ == '__main__':
    main(*sys.argv[1:])
