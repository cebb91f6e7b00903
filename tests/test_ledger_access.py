# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody sees, adds or changes what proves the evidence but who may"
import base64
import io

import pytest

from trytond.modules.order_archive.verify import Verifier, Zip
from trytond.pool import Pool

from .rpc import Fault, server
from .test_archive_access import CONTEXTS, find, refuses
from .test_archive_access import world as archive_world

pytestmark = pytest.mark.xdist_group('archive_access')

EVENT, CHAIN = 'order.archive.event', 'order.archive.chain'
CHECKPOINT = 'order.archive.checkpoint'
VERIFICATION = 'order.archive.verification'
FINDING = 'order.archive.verification.finding'
MODELS = [EVENT, CHAIN, CHECKPOINT, VERIFICATION, FINDING]
world = archive_world


@pytest.fixture(scope='module')
def ledger(world):
    "Everything sealed, under a checkpoint and verified, with a finding"
    def run(model, method):
        with server(tasks=False, extras={
                    '_lock_tables': ['order_archive_chain']}):
            getattr(Pool().get(model), method)()

    run(EVENT, 'seal')
    run(CHECKPOINT, 'make')
    with server(tasks=False) as transaction:
        Item = Pool().get('order.archive.item')
        table = Item.__table__()
        transaction.connection.cursor().execute(*table.update(
                [table.name], ["Other"],
                where=table.id == world.items["Normal"]))
    run(VERIFICATION, 'run')
    world.ids = {}
    with server(tasks=False):
        for model in MODELS:
            records = Pool().get(model).search([], order=[('id', 'ASC')])
            world.ids[model] = {
                r.id for r in records if (
                    r.verification if model == FINDING else r
                    ).company.id == world.company}
            assert world.ids[model]
    return world


@pytest.mark.parametrize('model', MODELS)
def test_read(ledger, model):
    "Test the auditor of the company sees it and nobody else"
    assert find(ledger['audi'], model) == ledger.ids[model]
    for login in ['sam', 'arno', 'wanda', 'connie', 'adam', 'ann', 'ben']:
        for context in CONTEXTS:
            with pytest.raises(Fault):
                find(ledger[login], model, **context)


def test_content(ledger):
    "Test the content of entries, which may be confidential, is not shown"
    id_ = min(ledger.ids[EVENT])
    assert ledger['audi'](f'{EVENT}.read', [id_], ['hash'])
    refuses(ledger['audi'], (f'{EVENT}.read', [id_], ['content']))
    view = ledger['audi'](f'{EVENT}.fields_view_get', None, 'form')
    assert 'content' not in view['fields']


@pytest.mark.parametrize('model', MODELS)
def test_write(ledger, model):
    "Test nobody changes, deletes or copies it, whatever they send"
    id_ = min(ledger.ids[model])
    for login in ['audi', 'adam', 'admin']:
        refuses(
            ledger[login],
            (f'{model}.write', [id_], {'company': ledger.other}),
            (f'{model}.delete', [id_]),
            (f'{model}.copy', [id_]),
            (f'{model}.create', [{'company': ledger.company}]))


def test_button(ledger):
    "Test only the auditor verifies"
    id_ = min(ledger.ids[CHAIN])
    for login in ['sam', 'arno', 'connie', 'adam', 'ben']:
        for name in ['seal', 'checkpoint', 'verify']:
            refuses(ledger[login], (f'{CHAIN}.{name}', [id_]))
        refuses(ledger[login], (
                f'{CHECKPOINT}.publish', [min(ledger.ids[CHECKPOINT])]))
    ledger['audi'](f'{CHAIN}.verify', [id_])
    assert len(find(ledger['audi'], VERIFICATION)) > len(
        ledger.ids[VERIFICATION])


def test_report(ledger):
    "Test only the auditor prints the certificate"
    id_ = min(ledger.ids[VERIFICATION])
    assert ledger['audi'](
        'order.archive.integrity.execute', [id_], {}, type='report')
    for login in ['sam', 'arno', 'connie', 'ben']:
        with pytest.raises(Fault):
            ledger[login](
                'order.archive.integrity.execute', [id_], {}, type='report')


def export(world, login, *names):
    result = world[login].wizard(
        'order.archive.export', 'export', 'order.archive',
        [world.files[n] for n in names],
        {'start': {'content': 'selected', 'to': 'client'}})
    data = result['view']['defaults']['data']
    if isinstance(data, str):
        data = base64.b64decode(data)
    verifier = Verifier(Zip(io.BytesIO(data)))
    verifier.run()
    return verifier


def test_export(ledger):
    "Test an export has what its user sees"
    assert export(ledger, 'connie', "Closed", "Secret").documents >= 3
    known = {
        login: set(export(ledger, login, "Normal").known)
        for login in ['arno', 'connie']}
    secret = {
        f'order.archive.item,{ledger.items[n]}' for n in ["Cost", "Private"]}
    assert secret <= known['connie']
    assert not secret & known['arno']
    for login, name in [
            ('arno', "Secret"), ('arno', "Foreign"), ('ben', "Normal"),
            ('sam', "Normal"), ('adam', "Secret"), ('ann', "Normal")]:
        with pytest.raises(Fault):
            export(ledger, login, name)
