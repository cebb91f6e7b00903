# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.pool import Pool
from trytond.transaction import Transaction, TransactionError
from trytond.worker import run_task

from .server import NAME


def run(function, login='admin'):
    "Call the function as the user with what the client sends along"
    extras = {}
    while True:
        with Transaction().start(NAME, 0, **extras) as transaction:
            User = Pool().get('res.user')
            user, = User.search([('login', '=', login)])
            try:
                with transaction.set_user(user.id):
                    context = User.get_preferences(context_only=True)
                    with transaction.set_context(context):
                        function()
                transaction.commit()
                break
            except TransactionError as e:
                transaction.rollback()
                e.fix(extras)
    while transaction.tasks:
        run_task(NAME, transaction.tasks.pop(0))


def ref(xml_id):
    "The id of the record that a module loads from XML"
    return Pool().get('ir.model.data').get_id(xml_id)


def find(model, **fields):
    "The one record with these values"
    record, = Pool().get(model).search(
        [(name, '=', value) for name, value in fields.items()])
    return record


def today():
    return Pool().get('ir.date').today()
