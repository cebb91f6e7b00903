# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import sys

from trytond.pool import Pool
from trytond.tools.timezone import get_tzinfo
from trytond.transaction import Transaction, TransactionError
from trytond.worker import run_task

from .server import NAME

TIMEZONE = 'Europe/Oslo'
# The tables to lock, learned from the transactions that had to start again
_extras = {}


def run(function, login='admin', check_access=False):
    """Call the function as the user in a transaction of its own.

    If check_access is set, with the rights that a client of the user has."""
    while True:
        with Transaction().start(NAME, 0, **_extras) as transaction:
            User = Pool().get('res.user')
            user, = User.search([('login', '=', login)])
            try:
                with transaction.set_user(user.id):
                    context = User.get_preferences(context_only=True)
                    with transaction.set_context(
                            context, _check_access=check_access,
                            _skip_warnings=True):
                        result = function()
                transaction.commit()
                break
            except TransactionError as e:
                transaction.rollback()
                transaction.tasks.clear()
                e.fix(_extras)
    while transaction.tasks:
        run_task(NAME, transaction.tasks.pop(0))
    return result


def act(login, function, *args):
    "Call the function with the arguments as the user could do in a client"
    return run(lambda: function(*args), login, check_access=True)


def ref(xml_id):
    "The id of the record that a module loads from XML"
    return Pool().get('ir.model.data').get_id(xml_id)


def find(model, **fields):
    "The one record with these values"
    record, = Pool().get(model).search(
        [(name, '=', value) for name, value in fields.items()])
    return record


def today():
    "The date at the company"
    return dt.datetime.now(get_tzinfo(TIMEZONE)).date()


def progress(items):
    "Go through the items and show on a terminal how far it has come"
    for i, item in enumerate(items, 1):
        if sys.stdout.isatty():
            print(f'\r\033[K    {i}/{len(items)}', end='', flush=True)
        yield item
    if sys.stdout.isatty():
        print('\r\033[K', end='', flush=True)


def set_(record, **values):
    table = record.__table__()
    cursor = Transaction().connection.cursor()
    cursor.execute(*table.update(
            [getattr(table, name) for name in values],
            list(values.values()),
            where=table.id == record.id))
