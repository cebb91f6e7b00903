# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company that disposes of its files, for tests inside the server"
import datetime as dt
from contextlib import contextmanager

from dateutil.relativedelta import relativedelta

from trytond.filestore import filestore
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .archive import (
    add, as_user, confirm, create_archive, create_plan, finish, settle)
from .review import on

TODAY = dt.date.today()
LATER = TODAY + relativedelta(years=11)


def create_disposal_staff(config=None):
    "Dora, Dirk and Dana dispose, besides those who archive"
    for name in ["Dora", "Dirk", "Dana"]:
        create_user(name, "Order Archive Disposal", config=config)


class RetentionTestCase(TestCase):
    "Tests with the files of one company"
    modules = 'order_archive'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            cls.modules, create_company, create_chart, create_archive,
            create_disposal_staff)
        cls.addClassCleanup(drop_db)


def plan(**values):
    "Create a plan whose files are disposed of 10 years after the archiving"
    pool = Pool()
    Retention = pool.get('order.archive.retention')
    retention, = Retention.create([{
                'name': "Ten",
                'years': 10,
                'trigger': 'archived',
                'action': 'dispose',
                **values,
                }])
    return create_plan(retention=retention.id)


def archived(*documents, date=None):
    "Return a file with the documents that was archived on the date"
    archive = confirm()
    for document in documents or [b'first', b'second']:
        add(archive, 'drawing', data=document, name=f'{document!r}.txt')
    finish(archive.sale)
    return close(archive, date=date)


def close(archive, date=None):
    Archive = archive.__class__
    settle()
    with on(date or TODAY), as_user("Arno"):
        Archive.close([Archive(archive.id)])
    return Archive(archive.id)


def propose(date=LATER):
    "Run the scheduled task on the date and return the open disposals"
    Disposal = Pool().get('order.archive.disposal')
    with on(date):
        Disposal.propose()
    return Disposal.search([('state', '=', 'proposed')])


def click(button, *records, name="Dora", date=LATER):
    "Click the button as the client of the user does, on the date"
    Model = records[0].__class__
    with on(date), as_user(name), \
            Transaction().set_context(_check_access=True):
        getattr(Model, button)(Model.browse(records))
    return Model(records[0].id)


def approve(disposal):
    for name in ["Dora", "Dirk"]:
        disposal = click('approve', disposal, name=name)
    return disposal


def erase(disposal):
    "Do what the queue has to do"
    disposal.__class__.erase([disposal])
    return disposal.__class__(disposal.id)


def disposed(archive):
    "Dispose of the file"
    disposal, = propose()
    approve(disposal)
    return erase(click('execute', disposal))


def stored(archive):
    "Return how many contents of the file are in the storage"
    Item = Pool().get('order.archive.item')
    table = Item.__table__()
    cursor = Transaction().connection.cursor()
    cursor.execute(*table.select(
            table.file_id, table.disposed_file_id,
            where=table.archive == archive.id))
    return sum(is_stored(id_) for ids in cursor for id_ in ids if id_)


def is_stored(file_id):
    try:
        filestore.size(file_id, prefix='order_archive')
    except FileNotFoundError:
        return False
    return True


def hold(name="Dora", **values):
    Hold = Pool().get('order.archive.hold')
    with as_user(name), Transaction().set_context(_check_access=True):
        hold, = Hold.create([{
                    'matter': "Acme against us",
                    'reason': "The court asks for them",
                    **{k: [('add', [r.id for r in rs])]
                        for k, rs in values.items()},
                    }])
    return Hold(hold.id)


def release(hold, name="Dora", reason="Settled"):
    with as_user(name), Transaction().set_context(_check_access=True):
        hold.__class__.end([hold], reason)


def add_paper(archive, name="Contract", code='contract'):
    item, = add(archive, code, data=None, name=name, medium='paper')
    return item


@contextmanager
def client(name):
    with as_user(name), Transaction().set_context(_check_access=True):
        yield
