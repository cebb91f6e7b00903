# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from contextlib import contextmanager

import trytond.config as config
from trytond.backend import DatabaseOperationalError
from trytond.transaction import Transaction, TransactionError


def writing(function):
    """Return what the function returns, which writes the database to undo it,
    also where the transaction only reads, as it does when a client reads a
    record

    The server does not try again what reads when others write the same."""
    if not Transaction().readonly:
        return function()
    retry = config.getint('database', 'retry')
    while True:
        with Transaction().new_transaction() as transaction:
            try:
                return function()
            except DatabaseOperationalError:
                if not retry:
                    raise
                retry -= 1
            finally:
                transaction.rollback()


@contextmanager
def savepoint(rollback=False):
    """Undo what is done within if it raises an exception, or anyway if it is
    to be rolled back

    Besides the database it is what the transaction has pending that is
    restored: tasks, notifications, logs and the records read meanwhile."""
    transaction = Transaction()
    cursor = transaction.connection.cursor()
    counts = [
        (pending, len(pending)) for pending in [
            transaction.tasks, transaction.log_records,
            transaction.user_notifications, transaction._datamanagers]]
    copies = [
        (records, {k: v.copy() for k, v in records.items()})
        for records in [
            transaction.create_records, transaction.delete_records,
            transaction.trigger_records, transaction.check_warnings]]
    cursor.execute('SAVEPOINT company_department')

    def undo():
        cursor.execute('ROLLBACK TO SAVEPOINT company_department')
        for pending, count in counts:
            del pending[count:]
        for records, copy in copies:
            records.clear()
            records.update(copy)
        for models in transaction.cache.values():
            for records in models.values():
                records.clear()
        # Forget also what the instances hold
        transaction.counter += 1

    try:
        yield
    except (TransactionError, DatabaseOperationalError):
        # All of the transaction is undone, if it is still there
        raise
    except BaseException:
        undo()
        cursor.execute('RELEASE SAVEPOINT company_department')
        raise
    if rollback:
        undo()
    cursor.execute('RELEASE SAVEPOINT company_department')
