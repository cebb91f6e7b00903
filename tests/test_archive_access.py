# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody sees, adds or changes what is kept of orders but who may"
import csv
import datetime as dt
import io
import zipfile
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from proteus import Model
from trytond.filestore import FileStore
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product)
from trytond.pool import Pool
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction, TransactionError

from .archive import settle
from .rpc import Fault, server
from .test_access import World

pytestmark = pytest.mark.xdist_group('archive_access')

FILE, ITEM = 'order.archive', 'order.archive.item'
EVIDENCE = [FILE, ITEM, 'order.archive.event']
PLAN = [
    'order.archive.class', 'order.archive.kind', 'order.archive.requirement']
CONTEXTS = [
    {}, {'_order_archive': True}, {'_check_access': False}, {'user': 1},
    {'_groups': [1]}]


def create_access_users(config=None):
    Company = Model.get('company.company', config=config)
    Party = Model.get('party.party', config=config)
    User = Model.get('res.user', config=config)
    a, = Company.find([])
    party = Party(name="B")
    party.save()
    create_company(party=party, config=config)
    b, = Company.find([('id', '!=', a.id)])
    admin = User(config.user)
    if b not in admin.companies:
        admin.companies.append(Company(b.id))
    admin.company = a
    admin.company_filter = 'all'
    admin.save()
    config._context = User.get_preferences(True, {})
    for name, groups, company in [
            ("Sam", ["Sales"], a),
            ("Arno", ["Order Archive"], a),
            ("Wanda", ["Order Archive Waivers"], a),
            ("Connie", ["Order Archive Confidential"], a),
            ("Adam", ["Order Archive Administration"], a),
            ("Audi", ["Order Archive Audit"], a),
            ("Ann", [], a),
            ("Ben", ["Order Archive", "Sales"], b),
            ]:
        create_user(name, *groups, company=company, config=config)
    create_product(company=a, config=config)
    create_customer("Acme", config=config)


@pytest.fixture(scope='module')
def world():
    activate_modules(
        'order_archive', create_company, create_chart, create_access_users)
    world = World()
    world.files, world.items = {}, {}
    run(create_files, world)
    run(finish_file, world)
    run(close_file, world)
    return world


def run(function, *args):
    "Call the function in a transaction that starts again if it must"
    extras = {}
    while True:
        try:
            with server(tasks=False, extras=extras):
                return function(*args)
        except TransactionError as exception:
            exception.fix(extras)


def create_files(world):
    pool = Pool()
    Class = pool.get('order.archive.class')
    Company = pool.get('company.company')
    Configuration = pool.get('order.archive.configuration')
    a, = Company.search([('party.name', '!=', "B")])
    b, = Company.search([('party.name', '=', "B")])
    world.company, world.other = a.id, b.id
    plan, = Class.create([{'code': 'P', 'name': "Plan"}])
    secret, = Class.create([{
                'code': 'S', 'name': "Secret", 'parent': plan.id,
                'confidential': True, 'company': a.id,
                'minimum_amount': 5000,
                }])
    world.plan = plan.id
    pool.get('order.archive.requirement').create([{
                'class_': plan.id,
                'kind': kind('contract').id,
                }])
    for company in [a, b]:
        with server_context(company):
            config = Configuration(1)
            config.plan = plan
            config.save()
    for name, company, amount in [
            ("Normal", a, 10), ("Closed", a, 10), ("Secret", a, 6000),
            ("Foreign", b, 10)]:
        archive = create_file(company, amount)
        world.files[name] = archive.id
        world.items[name] = add(archive, 'drawing', b'drawing')
    archive = Pool().get(FILE)(world.files["Normal"])
    world.items["Cost"] = add(archive, 'cost', b'cost')
    world.items["Private"] = add(
        archive, 'note', b'private', confidential=True)
    world.sale = archive.sale.id


def finish_file(world):
    Archive = Pool().get(FILE)
    Sale = Pool().get('sale.sale')
    archive = Archive(world.files["Closed"])
    add(archive, 'contract', b'contract')
    Sale.draft([Sale(archive.sale.id)])
    Sale.cancel([Sale(archive.sale.id)])


def close_file(world):
    settle()
    Archive = Pool().get(FILE)
    Archive.close([Archive(world.files["Closed"])])


@contextmanager
def server_context(company):
    with Transaction().set_context(company=company.id):
        yield


def kind(code):
    kind, = Pool().get('order.archive.kind').search([('code', '=', code)])
    return kind


def create_file(company, amount):
    pool = Pool()
    Archive = pool.get(FILE)
    Party = pool.get('party.party')
    Sale = pool.get('sale.sale')
    party, = Party.search([('name', '=', "Acme")])
    with server_context(company):
        sale, = Sale.create([{
                    'company': company.id,
                    'party': party.id,
                    'invoice_address': party.addresses[0].id,
                    'shipment_address': party.addresses[0].id,
                    'currency': company.currency.id,
                    'number': f'{company.id}-{amount}',
                    'sale_date': dt.date.today(),
                    'lines': [('create', [{
                                    'description': "Work",
                                    'quantity': 1,
                                    'unit_price': amount,
                                    }])],
                    }])
        Sale.quote([sale])
        Sale.confirm([Sale(sale.id)])
        return Archive.get([Sale(sale.id)])[sale]


def add(archive, code, data, **values):
    Item = Pool().get(ITEM)
    item, = Item.collect([{
                'archive': archive, 'kind': kind(code), 'name': f'{code}.txt',
                'data': data, **values,
                }])
    return item.id


def get_content():
    content = {}
    with server(tasks=False) as transaction:
        cursor = transaction.connection.cursor()
        for name in [*EVIDENCE, *PLAN, 'order.archive.configuration.archive']:
            table = Pool().get(name).__table__()
            cursor.execute(*table.select(order_by=[table.id]))
            content[name] = [
                tuple(r) for r in cursor]
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


def find(client, model, domain=(), **context):
    return set(client(
            f'{model}.search', list(domain), 0, None, None, **context))


SEEN = {
    'sam': {"Normal", "Closed"},
    'arno': {"Normal", "Closed"},
    'wanda': {"Normal", "Closed"},
    'connie': {"Normal", "Closed", "Secret"},
    'adam': {"Normal", "Closed"},
    'audi': {"Normal", "Closed"},
    'ben': {"Foreign"},
    'ann': set(),
    }
ITEMS = {
    **{n: {"Normal", "Closed"} for n in ['arno', 'wanda', 'adam', 'audi']},
    'connie': {"Normal", "Closed", "Secret", "Cost", "Private"},
    'ben': {"Foreign"},
    'sam': set(),
    'ann': set(),
    }


@pytest.mark.parametrize('login', SEEN)
def test_files(world, login):
    "Files are found and read by whom they may be"
    client = world[login]
    if login == 'ann':
        refuses(
            client,
            (f'{FILE}.search', [], 0, None, None),
            (f'{FILE}.read', [world.files["Normal"]], ['number']))
        return
    ids = set(world.files.values())
    expected = {world.files[n] for n in SEEN[login]}
    assert find(client, FILE) & ids == expected
    assert find(client, FILE, [('rec_name', 'ilike', '%acme%')]) & ids == (
        expected)
    for name, id_ in world.files.items():
        if name in SEEN[login]:
            values, = client(f'{FILE}.read', [id_], ['number', 'state'])
            assert values['number']
        else:
            refuses(
                client,
                (f'{FILE}.read', [id_], ['number']),
                (f'{FILE}.export_data', [id_], ['number'], False))


@pytest.mark.parametrize('login', ITEMS)
def test_items(world, login):
    "Documents are found and read by whom they may be, with their bytes"
    client = world[login]
    if login in {'ann', 'sam'}:
        refuses(
            client,
            (f'{ITEM}.search', [], 0, None, None),
            (f'{ITEM}.read', [world.items["Normal"]], ['data']),
            (f'{ITEM}.export_data', [world.items["Normal"]], ['name'], False))
        return
    ids = set(world.items.values())
    assert find(client, ITEM) & ids == {
        world.items[n] for n in ITEMS[login]}
    for name, id_ in world.items.items():
        if name in ITEMS[login]:
            values, = client(f'{ITEM}.read', [id_], ['data', 'sha256'])
            assert values['data'] and values['sha256']
        else:
            refuses(
                client,
                (f'{ITEM}.read', [id_], ['data']),
                (f'{ITEM}.read', [id_], ['sha256']),
                (f'{ITEM}.export_data', [id_], ['name'], False))


def test_items_of_file(world):
    "Through the file nothing leaks"
    assert find(world.sam, FILE, [('rec_name', 'ilike', '%drawing%')])
    assert world.files["Normal"] not in find(
        world.sam, FILE, [('rec_name', 'not ilike', '%drawing%')])
    for name in ['search_text', 'search_index']:
        refuses(
            world.sam, (f'{FILE}.read', [world.files["Normal"]], [name]),
            (f'{FILE}.search', [(name, 'ilike', '%drawing%')], 0, None, None),
            (f'{FILE}.search', [], 0, None, [(name, 'ASC')]),
            (f'{FILE}.export_data', [world.files["Normal"]], [name], False))
    values, = world.arno(
        f'{FILE}.read', [world.files["Normal"]], ['items', 'search_text'])
    assert world.items["Normal"] in values['items']
    assert world.items["Cost"] not in values['items']
    assert world.items["Private"] not in values['items']
    assert 'cost.txt' not in values['search_text']
    for text in ['%cost.txt%', '%note.txt%']:
        assert not find(world.arno, FILE, [('rec_name', 'ilike', text)])
        assert not find(world.sam, FILE, [('rec_name', 'ilike', text)])
    for client in [world.sam, world.arno]:
        refuses(client, *(
                (f'{FILE}.search', domain, 0, None, None) for domain in [
                    [('items.name', 'ilike', '%cost%')],
                    [('items.kind.code', '=', 'cost')],
                    [('items', 'where', [('name', 'ilike', '%cost%')])],
                    ['OR', [('id', '=', -1)], [('items.size', '=', 4)]],
                    ]))
    assert find(
        world.connie, FILE, [('items.name', 'ilike', '%cost%')]) == {
        world.files["Normal"]}


def test_guesses(world):
    "What is confidential is not guessed by what leads to it"
    EVENT, VERIFICATION = 'order.archive.event', 'order.archive.verification'
    like = ('like', 'S%')
    for model, *leaf in [
            (FILE, 'collections.source_name', *like),
            (ITEM, 'superseded_by.name', *like),
            ('order.archive.volume', 'folios.item.name', *like),
            ('order.archive.box', 'volumes.folios.item.name', *like),
            ('order.archive.hold', 'archives.party_name', *like),
            ('order.archive.disposal', 'files.archive.description', *like),
            ]:
        call = f'{model}.search', [leaf], 0, None, None
        refuses(world.arno, call, contexts=[{}])
        assert isinstance(world.connie(*call), list)
    for model, *leaf in [
            (EVENT, 'archive.party_name', *like),
            (EVENT, 'archive', 'where', [('party_name', *like)]),
            (EVENT, 'archive', 'child_of', [1], 'party'),
            (f'{VERIFICATION}.finding', 'item.name', *like),
            (VERIFICATION, 'findings.archive.party_name', *like),
            ]:
        refuses(
            world.audi,
            (f'{model}.search', ['OR', [leaf]], 0, None, None),
            contexts=[{}])
    refuses(world.audi, (
            f'{EVENT}.search', [], 0, None,
            [('archive.party_name', 'ASC')]))
    assert find(world.audi, EVENT, [
            ('archive', 'in', [world.files["Normal"]])])


def test_export(world):
    "Through the export of the order nothing leaks"
    with server(tasks=False):
        Archive = Pool().get(FILE)
        sales = {
            n: Archive(world.files[n]).sale.id for n in ["Normal", "Secret"]}
    rows = world.sam(
        'sale.sale.export_data', [sales["Normal"]], ['archives/number'],
        False)
    assert len([r for r in rows if r[0]]) == 1
    refuses(
        world.sam,
        ('sale.sale.export_data', [sales["Secret"]], ['archives/number'],
            False))
    refuses(
        world.arno,
        (f'{FILE}.export_data', [world.files["Normal"]], ['items/name'],
            False))


def test_sale(world):
    "The order tells those who sell what its file misses"
    values, = world.sam(
        'sale.sale.read', [world.sale], ['archive_missing', 'archives'])
    assert values['archive_missing'] == "Contract: 0 of 1."
    assert values['archives'] == [world.files["Normal"]]


@pytest.mark.parametrize('login', SEEN)
def test_evidence(world, login):
    "Nobody writes evidence, whatever the context"
    client = world[login]
    file, item = world.files["Normal"], world.items["Normal"]
    closed = world.files["Closed"]
    calls = []
    for model, id_ in [(FILE, file), (FILE, closed), (ITEM, item),
            (ITEM, world.items["Closed"])]:
        calls += [
            (f'{model}.write', [id_], {'state': 'kept'}),
            (f'{model}.write', [id_], {'search_text': "X"}),
            (f'{model}.write', [id_], {'confidential': False}),
            (f'{model}.delete', [id_]),
            (f'{model}.copy', [id_]),
            ]
    calls += [
        (f'{ITEM}.write', [item], {'data': b'x'}),
        (f'{ITEM}.write', [item], {'file_id': "x"}),
        (f'{ITEM}.create', [{
                    'archive': file, 'company': world.company,
                    'kind': 1, 'medium': 'paper', 'name': "X",
                    'collected_at': dt.datetime.now()}]),
        (f'{FILE}.import_data', ['number', 'sale_number'], [["1", "X"]]),
        (f'{ITEM}.import_data', ['id', 'name'], [[str(item), "X"]]),
        (f'{FILE}.write', [file], {
                'items': [('write', [item], {'name': "X"})]}),
        (f'{FILE}.write', [file], {'items': [('delete', [item])]}),
        ('sale.sale.write', [world.sale], {
                'archives': [('delete', [file])]}),
        ('sale.sale.write', [world.sale], {
                'archives': [('write', [file], {'reference': "X"})]}),
        *((f'{FILE}.{m}', [file]) for m in [
                'open', 'get', 'set_done', 'reopen', 'update', 'do_waive',
                'update_search', 'remind']),
        *((f'{ITEM}.{m}', [item]) for m in ['collect', 'do_withdraw']),
        ]
    refuses(client, *calls)


BUTTONS = {
    'close': {'arno', 'wanda', 'connie', 'adam'},
    'upload': {'arno', 'wanda', 'connie', 'adam'},
    'waive': {'wanda'},
    'supplement': {'arno', 'wanda', 'connie', 'adam'},
    }


@pytest.mark.parametrize('login', SEEN)
def test_buttons(world, login):
    "The buttons are for their groups"
    client = world[login]
    for button, logins in BUTTONS.items():
        if login not in logins:
            refuses(client, (f'{FILE}.{button}', [world.files["Normal"]]))
    if login in {'sam', 'audi', 'ann'}:
        refuses(client, (f'{ITEM}.withdraw', [world.items["Normal"]]))


def test_close(world):
    "A file that is not complete is not archived, one of others neither"
    refuses(world.arno, (f'{FILE}.close', [world.files["Normal"]]))
    with pytest.raises(Fault, match="Contract: 0 of 1"):
        world.arno(f'{FILE}.close', [world.files["Normal"]])
    refuses(
        world.arno,
        (f'{FILE}.close', [world.files["Secret"]]),
        (f'{FILE}.close', [world.files["Foreign"]]))


def upload(client, file, **values):
    return client.wizard(
        'order.archive.upload', 'upload', FILE, [file], {'start': {
                'company': client.context.get('company'),
                'medium': 'file', 'data': b'uploaded', 'filename': "x.txt",
                'name': None, 'document_date': dt.date.today(),
                **values}})


def test_upload(world):
    "Documents are added by archivists to files that they see"
    with server(tasks=False):
        drawing = kind('drawing').id
    for login in ['sam', 'audi', 'ann', 'ben']:
        before = get_content()
        with pytest.raises(Fault):
            upload(world[login], world.files["Normal"], kind=drawing)
        assert get_content() == before
    before = get_content()
    for name in ["Secret", "Foreign", "Closed"]:
        with pytest.raises(Fault):
            upload(world.arno, world.files[name], kind=drawing)
    assert get_content() == before
    upload(world.arno, world.files["Normal"], kind=drawing)
    assert get_content() != before
    with pytest.raises(Fault, match="already"):
        upload(world.arno, world.files["Normal"], kind=drawing)


def test_upload_waiver(world):
    "Nobody waives by adding a document"
    with server(tasks=False):
        contract = kind('contract').id
    before = get_content()
    for login in ['arno', 'wanda']:
        for medium in ['waiver', 'other', None]:
            with pytest.raises(Fault, match="paper original"):
                upload(
                    world[login], world.files["Normal"], kind=contract,
                    medium=medium)
    assert get_content() == before


def waive(client, file, kind, reason="Lost"):
    return client.wizard(
        'order.archive.waive', 'waive', FILE, [file], {'start': {
                'kinds': [kind], 'kind': kind, 'reason': reason}})


def test_waive(world):
    "Only those who may waive do, and only what is missing"
    with server(tasks=False):
        contract, drawing = kind('contract').id, kind('drawing').id
    before = get_content()
    for login in set(SEEN) - {'wanda'}:
        with pytest.raises(Fault):
            waive(world[login], world.files["Normal"], contract)
    for reason in ['', "  "]:
        with pytest.raises(Fault, match="reason"):
            waive(world.wanda, world.files["Normal"], contract, reason)
    with pytest.raises(Fault, match="reason"):
        withdraw(world.arno, world.items["Normal"], "  ")
    for file, kind_ in [
            ("Normal", drawing), ("Closed", contract), ("Foreign", contract)]:
        with pytest.raises(Fault):
            waive(world.wanda, world.files[file], kind_)
    assert get_content() == before


def withdraw(client, item, reason="Wrong"):
    return client.wizard(
        'order.archive.item.withdraw', 'withdraw', ITEM, [item],
        {'start': {'reason': reason}})


def test_withdraw(world):
    "Documents are withdrawn by archivists from files that are not archived"
    before = get_content()
    for login in ['sam', 'audi', 'ann', 'ben']:
        with pytest.raises(Fault):
            withdraw(world[login], world.items["Normal"])
    for name in ["Closed", "Secret", "Cost", "Foreign"]:
        with pytest.raises(Fault):
            withdraw(world.arno, world.items[name])
    assert get_content() == before


@pytest.mark.parametrize('login', sorted(set(SEEN) - {'adam'}))
def test_plan(world, login):
    "The plan is changed by the administrators only"
    calls = []
    for model in PLAN:
        with server(tasks=False):
            id_ = Pool().get(model).search([], limit=1)[0].id
        calls += [
            (f'{model}.write', [id_], {'sequence': 99}),
            (f'{model}.delete', [id_]),
            ]
    calls += [
        ('order.archive.configuration.write', [1], {'plan': None}),
        ('order.archive.class.create', [{'code': 'X', 'name': "X"}]),
        ]
    refuses(world[login], *calls)


def test_reports(world):
    "The documents print what the user may read"
    for name in ['order.archive.index', 'order.archive.cover']:
        for login in ['sam', 'ann']:
            with pytest.raises(Fault):
                world[login](
                    f'{name}.execute', [world.files["Normal"]],
                    {'model': FILE}, type='report')
        for file in ["Secret", "Foreign"]:
            with pytest.raises(Fault):
                world.arno(
                    f'{name}.execute', [world.files[file]],
                    {'model': FILE}, type='report')
        extension, content, *_ = world.arno(
            f'{name}.execute', [world.files["Normal"]], {'model': FILE},
            type='report')
        assert extension == 'pdf'
        assert content


def test_disk_full(world):
    "Nothing is kept of what cannot be stored, and what was before stays"
    def store():
        archive = Pool().get(FILE)(world.files["Normal"])
        add(archive, 'drawing', b'stored')
        with patch.object(
                FileStore, 'set', side_effect=OSError(28, "No space")):
            add(archive, 'drawing', b'lost')

    before = get_content()
    with pytest.raises(OSError):
        run(store)
    assert get_content() == before


def test_waive_kind(world):
    "It is the kind that was chosen that is waived"
    with server(tasks=False):
        Requirement = Pool().get('order.archive.requirement')
        order = kind('order').id
        required, = Requirement.create([{
                    'class_': world.plan, 'kind': order}])
    waive(world.wanda, world.files["Normal"], order)
    with server(tasks=False):
        waiver, = Pool().get(ITEM).search([
                ('archive', '=', world.files["Normal"]),
                ('medium', '=', 'waiver')])
        assert waiver.kind.id == order
        Requirement.delete([Requirement(required.id)])


@pytest.mark.parametrize('login, secret', [('arno', False), ('connie', True)])
def test_export_year(world, login, secret):
    "A year is exported without what the user may not read"
    result = world[login].wizard(
        'order.archive.export', 'export', FILE, [], {'start': {
                'content': 'year', 'company': world.company,
                'year': dt.date.today().year, 'to': 'client'}})
    data = result['view']['defaults']['data']
    with server(tasks=False):
        Archive = Pool().get(FILE)
        numbers = {n: Archive(i).number for n, i in world.files.items()}
    with zipfile.ZipFile(io.BytesIO(data)) as bag:
        name, = [n for n in bag.namelist() if n.endswith('data/index.csv')]
        rows = csv.DictReader(bag.read(name).decode('utf-8-sig').splitlines())
        files = {r['file'] for r in rows}
    assert files == {numbers[n] for n in [
            "Normal", "Closed", *(["Secret"] if secret else [])]}
