# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"The ledger tells what the records are, whatever happens at once"

import io
import threading

import pytest

from trytond.backend import DatabaseOperationalError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import TransactionError

from .archive import add, confirm, create_archive, create_plan, finish, settle
from .contract import bring, countersign, create_contract, create_mandate
from .retention import add_paper, create_disposal_staff
from .review import as_user, create_sale, get_company
from .rpc import server
from .test_custody import create_volume, file, write
from .test_evidence import create_contract_staff
from .test_ledger import Record
from .test_ledger_fault import commit

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.xdist_group('concurrency'),
    ]


@pytest.fixture(scope='module', autouse=True)
def world():
    activate_modules(
        ['order_archive', 'sale_order_review'], create_company, create_chart,
        create_archive, create_disposal_staff, create_contract_staff)
    commit(lambda: create_plan().id)
    yield
    drop_db()


def meanwhile(function):
    "Do it in a transaction of its own, which is committed"
    errors = []

    def call():
        Pool(DB_NAME)
        try:
            commit(function)
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert errors == []


def get_findings():
    def verify():
        pool = Pool()
        pool.get('order.archive.event').seal()
        return [
            f.text for v in pool.get('order.archive.verification').run()
            for f in v.findings]
    return commit(verify)


def test_export():
    "A file that is completed while it is exported is what the ledger tells"
    def create():
        archive = confirm()
        add(archive, 'contract')
        finish(archive.sale)
        settle()
        return archive.id

    id_ = commit(create)

    def prepare():
        Archive = Pool().get('order.archive')
        Archive.seal_export([Archive(id_)])
        Archive.prepare_export([Archive(id_)])

    commit(prepare)

    def complete():
        Archive = Pool().get('order.archive')
        Archive.update([Archive(id_)])

    with server('arno', tasks=False):
        Archive = Pool().get('order.archive')
        archive = Archive(id_)
        assert archive.state == 'collecting'
        meanwhile(complete)
        assert Archive.export_to([archive], io.BytesIO(), 'bag')
    assert get_findings() == []
    with server():
        archive = Pool().get('order.archive')(id_)
        assert archive.state == 'complete'


def test_signatures():
    "Of those who sign at once one starts again"
    def create():
        create_mandate()
        with as_user("Hugo"):
            sale = create_sale()
        return bring(create_contract(sale), 'sealed').id

    id_ = commit(create)

    def sign():
        countersign(Pool().get('sale.contract')(id_))

    with pytest.raises(DatabaseOperationalError):
        with server(tasks=False):
            contract = Pool().get('sale.contract')(id_)
            assert len(contract.signatures) == 1
            meanwhile(sign)
            sign()
    assert get_findings() == []
    commit(sign)
    assert get_findings() == []
    with server():
        assert len(Pool().get('sale.contract')(id_).signatures) == 3


def test_folios():
    "Who renames a volume while a folio is removed starts again"
    def create():
        archive = confirm()
        volume = file(
            create_volume(), add_paper(archive), add_paper(archive, "Other"))
        return volume.id

    id_ = commit(create)

    def remove():
        volume = Pool().get('order.archive.volume')(id_)
        Folio = Pool().get('order.archive.folio')
        Folio.remove(volume.folios[:1])

    def rename():
        write(Pool().get('order.archive.volume')(id_), title="Renamed")

    with pytest.raises(DatabaseOperationalError):
        with server(tasks=False):
            volume = Pool().get('order.archive.volume')(id_)
            assert len(volume.folios) == 2
            meanwhile(remove)
            rename()
    commit(rename)
    assert get_findings() == []


def test_checkpoint():
    "Of two checkpoints at once one starts again"
    def record():
        Event = Pool().get('order.archive.event')
        Event.record('create', [Record()], changed=False)

    def seal():
        Pool().get('order.archive.event').seal()

    def make():
        Pool().get('order.archive.checkpoint').make([get_company()])

    commit(record)
    commit(seal)
    with pytest.raises(TransactionError):
        with server(tasks=False):
            get_company()
            meanwhile(make)
            make()
    commit(make)
