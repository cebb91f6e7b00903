# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"The databases and the requests of clients to trytond"

import time

from trytond import backend, config
from trytond.pool import Pool
from trytond.rpc import RPC
from trytond.transaction import Transaction, TransactionError


def create(name, modules):
    "Create a database with the modules activated"
    _create(name)
    backend.Database(name).connect().init()
    Pool(name).init(update=['ir', 'res', *modules], activatedeps=True)


def activate(name, modules):
    Pool(name).init(update=modules, activatedeps=True)


def copy(name, template):
    backend.Database(template).close()
    _create(name, template=template)


def _create(name, **options):
    with Transaction().start(None, 0, autocommit=True) as transaction:
        transaction.database.create(transaction.connection, name, **options)


def load(name):
    pool = Pool(name)
    with Transaction().start(name, 0, readonly=True):
        pool.init()


def run(database, function, *args):
    "Call the function as admin with what the client sends along"
    extras = {}
    while True:
        with Transaction().start(database, 0, **extras) as transaction:
            User = Pool().get('res.user')
            admin, = User.search([('login', '=', 'admin')])
            try:
                with transaction.set_user(admin.id), \
                        transaction.set_context(
                            User.get_preferences(context_only=True)):
                    return function(*args)
            except TransactionError as e:
                transaction.rollback()
                e.fix(extras)


def sql(database, query, params=None):
    with Transaction().start(database, 0) as transaction, \
            transaction.connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall() if cursor.description else None


def vacuum(database):
    "Have what was filled in settle, so that it does not slow what is measured"
    _execute(database, 'VACUUM ANALYZE')
    _execute(database, 'CHECKPOINT')


def set_durable(durable):
    "Set whether a commit waits until it is written to the disk"
    _execute(None, f'ALTER SYSTEM SET fsync TO {durable}')
    _execute(None, 'SELECT pg_reload_conf()')


def _execute(database, query):
    with Transaction().start(database, 0, autocommit=True) as transaction, \
            transaction.connection.cursor() as cursor:
        cursor.execute(query)


class Client:
    "A user who sends requests to a database"

    def __init__(self, database, login):
        self.database = database
        with Transaction().start(database, 0, readonly=True) as transaction:
            User = Pool().get('res.user')
            user, = User.search([('login', '=', login)])
            self.user = user.id
            with transaction.set_user(self.user):
                self.context = User.get_preferences(context_only=True)

    def __call__(self, model, method, *args):
        """Call the method as the dispatcher of trytond does

        A function stands for a method that clients cannot call, its first
        argument are records of the model."""
        pool = Pool(self.database)
        obj = pool.get(model)
        if callable(method):
            rpc, function = RPC(readonly=False, instantiate=0), method
        else:
            rpc, function = obj.__rpc__[method], getattr(obj, method)
        retry = config.getint('database', 'retry')
        count = 0
        extras = {}
        while True:
            if count:
                time.sleep(0.02 * count)
            with Transaction().start(
                    self.database, self.user, readonly=rpc.readonly,
                    **extras) as transaction:
                try:
                    (c_args, c_kwargs, transaction.context,
                        transaction.timestamp) = rpc.convert(
                            obj, *args, self.context)
                    result = rpc.result(
                        rpc.decorate(function)(*c_args, **c_kwargs))
                except TransactionError as e:
                    transaction.rollback()
                    transaction.tasks.clear()
                    e.fix(extras)
                    continue
                except backend.DatabaseOperationalError:
                    if count < retry and not rpc.readonly:
                        transaction.rollback()
                        transaction.tasks.clear()
                        count += 1
                        continue
                    raise
                transaction.commit()
            assert not transaction.tasks
            return result
