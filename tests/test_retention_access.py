# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody keeps, holds, disposes of, binds or lends but who may"
import datetime as dt
import json

import pytest

from proteus import Model
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.pool import Pool
from trytond.tests.tools import activate_modules

from .archive import create_archive
from .retention import (
    TODAY, add_paper, archived, click, create_disposal_staff, hold, plan)
from .rpc import Fault, server
from .test_access import World
from .test_disposal_kill import commit, create_due

pytestmark = pytest.mark.xdist_group('retention_access')

ARCHIVE = 'order.archive'
DISPOSAL, HOLD = f'{ARCHIVE}.disposal', f'{ARCHIVE}.hold'
FILE, APPROVAL = f'{DISPOSAL}.file', f'{DISPOSAL}.approval'
VOLUME, FOLIO = f'{ARCHIVE}.volume', f'{ARCHIVE}.folio'
BOX, PLACE = f'{ARCHIVE}.box', f'{ARCHIVE}.place'
MOVE, LOAN = f'{ARCHIVE}.move', f'{ARCHIVE}.loan'
SCOPE = f'{HOLD}-{ARCHIVE}'
EVIDENCE = [
    HOLD, SCOPE, DISPOSAL, FILE, APPROVAL, VOLUME, FOLIO, MOVE, LOAN]
MODELS = [*EVIDENCE, BOX, PLACE]
# The server answers for the others only
INTERNAL = [SCOPE]
CONTEXTS = [{}, {'_order_archive': True}, {'_check_access': False}]
BUTTONS = [
    (DISPOSAL, 'approve'), (DISPOSAL, 'execute'), (FOLIO, 'remove'),
    (VOLUME, 'bind'), (LOAN, 'give_back'), (ARCHIVE, 'propose_disposal')]
GROUPS = [
    "Order Archive Disposal", "Order Archive Administration",
    "Order Archive Confidential"]


def create_foreigners(config=None):
    "Beate may do everything in the company B, Ann nothing at all"
    Company = Model.get('company.company', config=config)
    Party = Model.get('party.party', config=config)
    User = Model.get('res.user', config=config)
    party = Party(name="B")
    party.save()
    create_company(party=party, config=config)
    a, = Company.find([('party.name', '!=', "B")])
    b, = Company.find([('party.name', '=', "B")])
    admin = User(config.user)
    if b not in admin.companies:
        admin.companies.append(Company(b.id))
    admin.company = a
    admin.save()
    config._context = User.get_preferences(True, {})
    create_user("Ann", company=a, config=config)
    create_user("Beate", *GROUPS, company=b, config=config)


@pytest.fixture(scope='module')
def world():
    activate_modules(
        'order_archive', create_company, create_chart, create_archive,
        create_disposal_staff, create_foreigners)
    world = World()
    commit(lambda: plan(action='review').id)
    archive, _ = create_due()

    def create():
        pool = Pool()
        Place = pool.get(PLACE)
        Box = pool.get(BOX)
        Volume = pool.get(VOLUME)
        Loan = pool.get(LOAN)
        record = pool.get(ARCHIVE)(archive)
        company = record.company.id
        disposal = click(
            'propose_disposal', record, name="Dana", date=TODAY).disposals[
            0].disposal
        disposal = click('approve', disposal, date=TODAY)
        other = archived()
        place, = Place.create([{'name': "Room", 'company': company}])
        box, = Box.create([{'company': company, 'place': place.id}])
        volume, = Volume.create([{
                    'company': company, 'title': "Volume", 'box': box.id}])
        from .archive import confirm
        paper = add_paper(confirm())
        Volume.file(volume, [(paper, 1)])
        loan, = Loan.create([{
                    'company': company, 'archive': other.id,
                    'borrower': record.party.id, 'purpose': "Complaint",
                    'until': TODAY}])
        held = hold(archives=[other])
        return {
            ARCHIVE: archive,
            HOLD: held.id,
            SCOPE: pool.get(SCOPE).search([])[0].id,
            DISPOSAL: disposal.id,
            FILE: disposal.files[0].id,
            APPROVAL: disposal.approvals[0].id,
            VOLUME: volume.id,
            FOLIO: Volume(volume.id).folios[0].id,
            BOX: box.id,
            PLACE: place.id,
            MOVE: pool.get(MOVE).search([])[0].id,
            LOAN: loan.id,
            'company': company,
            'party': record.party.id,
            'paper': paper.id,
            }
    world.ids = commit(create)
    return world


def get_content():
    content = {}
    with server(tasks=False) as transaction:
        cursor = transaction.connection.cursor()
        for name in [*MODELS, ARCHIVE]:
            table = Pool().get(name).__table__()
            cursor.execute(*table.select(order_by=[table.id]))
            content[name] = [tuple(r) for r in cursor]
    return content


def refuses(client, *calls, contexts=CONTEXTS):
    "Check that the server refuses each of the calls and nothing changes"
    allowed = []
    before = get_content()
    for method, *args in calls:
        for context in contexts:
            try:
                result = client(method, *args, **context)
            except Fault as fault:
                assert fault.name in {
                    'UserError', 'UserWarning', '403 FORBIDDEN'}, fault
            else:
                allowed.append((method, args, context, result))
    assert not allowed
    assert get_content() == before


@pytest.mark.parametrize('login', ['ann', 'beate'])
def test_read(world, login):
    "Nobody reads what is of another company, or without group"
    client = world[login]
    for model in MODELS:
        id_ = world.ids[model]
        if login == 'ann' or model in INTERNAL:
            refuses(client, (f'{model}.search', [], 0, None, None))
        else:
            assert client(f'{model}.search', [], 0, None, None) == []
        refuses(
            client, (f'{model}.read', [id_], ['id', 'rec_name']),
            (f'{model}.export_data', [id_], ['rec_name'], False))


@pytest.mark.parametrize('login', ['arno', 'audi', 'dora'])
def test_readers(world, login):
    "Who archives, disposes or audits reads"
    client = world[login]
    for model in MODELS:
        if model in INTERNAL:
            continue
        values, = client(
            f'{model}.read', [world.ids[model]], ['rec_name'])
        assert values['rec_name']


@pytest.mark.parametrize('login', [
        'ann', 'beate', 'audi', 'arno', 'adam', 'dora', 'sven'])
def test_evidence(world, login):
    "Nobody writes evidence, whatever the context"
    client = world[login]
    calls = []
    for model in EVIDENCE:
        id_ = world.ids[model]
        name, value = ('state', 'cancelled')
        if model in {APPROVAL, MOVE, SCOPE}:
            name, value = ('id', str(id_))
        calls += [
            (f'{model}.write', [id_], {name: value}),
            (f'{model}.write', [id_], {'company': world.ids['company']}),
            (f'{model}.delete', [id_]),
            (f'{model}.import_data', ['id', name], [[str(id_), value]]),
            ]
    for model in [SCOPE, FILE, APPROVAL, FOLIO, MOVE]:
        calls.append((f'{model}.create', [{
                        'hold': world.ids[HOLD], 'archive': world.ids[ARCHIVE],
                        'disposal': world.ids[DISPOSAL],
                        'volume': world.ids[VOLUME],
                        'company': world.ids['company']}]))
    calls += [
        (f'{DISPOSAL}.create', [{'company': world.ids['company']}]),
        (f'{ARCHIVE}.write', [world.ids[ARCHIVE]], {
                'retain_until': dt.date(2000, 1, 1)}),
        (f'{HOLD}.write', [world.ids[HOLD]], {
                'archives': [('remove', [world.ids[ARCHIVE]])]}),
        (f'{DISPOSAL}.write', [world.ids[DISPOSAL]], {
                'files': [('delete', [world.ids[FILE]])]}),
        (f'{VOLUME}.write', [world.ids[VOLUME]], {
                'folios': [('delete', [world.ids[FOLIO]])]}),
        ]
    refuses(client, *calls)


@pytest.mark.parametrize('login', ['ann', 'beate', 'audi', 'sven'])
def test_buttons(world, login):
    "Nobody goes on with what is not theirs"
    client = world[login]
    ids = world.ids
    refuses(client, *(
            (f'{model}.{button}', [ids[model]]) for model, button in BUTTONS))
    wizards = [
        (f'{ARCHIVE}.retention.extend', 'extend', ARCHIVE, {
                'retain_until': dt.date(9999, 1, 1), 'reason': "X"}),
        (f'{HOLD}.release', 'release', HOLD, {'reason': "X"}),
        (f'{DISPOSAL}.take_out', 'take_out', FILE, {
                'retain_until': dt.date(9999, 1, 1), 'reason': "X"}),
        (f'{VOLUME}.add_papers', 'add', VOLUME, {
                'papers': [{'item': ids['paper'], 'leaves': 1}]}),
        ]
    before = get_content()
    for name, state, model, values in wizards:
        with pytest.raises(Fault) as info:
            client.wizard(name, state, model, [ids[model]], {'start': values})
        assert info.value.name == 'UserError', info.value
    assert get_content() == before
    refuses(client, (f'{HOLD}.create', [{
                    'company': ids['company'], 'matter': "X", 'reason': "X",
                    'archives': [('add', [ids[ARCHIVE]])]}]),
        (f'{LOAN}.create', [{
                    'company': ids['company'], 'archive': ids[ARCHIVE],
                    'borrower': ids['party'], 'purpose': "X",
                    'until': TODAY}]),
        (f'{VOLUME}.create', [{'company': ids['company'], 'title': "X"}]),
        (f'{BOX}.create', [{'company': ids['company']}]),
        (f'{BOX}.write', [ids[BOX]], {'place': None}),
        (f'{PLACE}.write', [ids[PLACE]], {'name': "X"}))


@pytest.mark.parametrize('method', [
        'dispose', 'erase', 'complete', 'propose', 'prepare', '_execute'])
def test_internal(world, method):
    "No client calls what the server does itself"
    before = get_content()
    with pytest.raises(Fault):
        world.dora(f'{DISPOSAL}.{method}', [world.ids[DISPOSAL]])
    assert get_content() == before


def test_report(world):
    "Nobody prints the labels or certificates of others"
    for login in ['ann', 'beate']:
        for name, model in [
                (f'{ARCHIVE}.label', BOX),
                (f'{DISPOSAL}.certificate', DISPOSAL)]:
            with pytest.raises(Fault):
                world[login](
                    f'{name}.execute', [world.ids[model]], {
                        'model': model, 'id': world.ids[model],
                        'ids': [world.ids[model]]}, type='report')


def test_forged(world):
    "Whoever a client says to be, it is its user who did it"
    with server():
        User = Pool().get('res.user')
        dora, dirk = [
            User.search([('login', '=', login)])[0]
            for login in ['dora', 'dirk']]
        forged = {'user': dora.id, 'employee': dora.employees[0].id}
        dirk = dirk.employees[0].id
    hold, = world.dirk(f'{HOLD}.create', [{
                'company': world.ids['company'], 'matter': "X", 'reason': "X",
                'archives': [('add', [world.ids[ARCHIVE]])]}], **forged)
    world.dirk.wizard(
        f'{HOLD}.release', 'release', HOLD, [hold],
        {'start': {'reason': "X"}}, **forged)
    world.dirk(f'{DISPOSAL}.approve', [world.ids[DISPOSAL]], **forged)
    with server():
        pool = Pool()
        hold = pool.get(HOLD)(hold)
        disposal = pool.get(DISPOSAL)(world.ids[DISPOSAL])
        assert hold.placed_by.id == hold.released_by.id == dirk
        assert disposal.approvals[-1].employee.id == dirk
        assert disposal.approvals[-1].user.login == 'dirk'
        for record, action in [
                (hold, 'place'), (hold, 'release'), (disposal, 'approve')]:
            event, *_ = pool.get(f'{ARCHIVE}.event').search([
                    ('resource', '=', str(record)), ('action', '=', action),
                    ], order=[('id', 'DESC')])
            content = json.loads(event.content)
            assert content['user'] == 'dirk'
            assert content['employee'] == "Dirk"
        assert content['values']['approvals'][-1][:2] == [
            dirk, disposal.approvals[-1].user.id]
