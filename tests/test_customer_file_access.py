# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody sees or changes files of customers that are not theirs to see"
import datetime as dt
from contextlib import contextmanager
from decimal import Decimal

import pytest

from proteus import Model
from trytond.model.exceptions import AccessError
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.pool import Pool
from trytond.tests.tools import activate_modules

from .rpc import Fault, server
from .test_access import World

pytestmark = pytest.mark.xdist_group('customer_file_access')

TODAY = dt.date.today()
YESTERDAY = TODAY - dt.timedelta(days=1)
MODELS = [
    'customer.file', 'customer.file.manager', 'customer.file.event',
    'customer.credit.investigation']
# What those who only sell read of the files that they see
OPEN = {
    'id', 'rec_name', 'company', 'party', 'state', 'kind', 'market',
    'confidentiality', 'manager', 'managed', 'currency',
    'class_', 'level', '_timestamp', '_write', '_delete', 'create_uid',
    'create_date', 'write_uid', 'write_date', 'xml_id',
    'last_modified_at', 'last_modified_by'}


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
            ("Cara", ["Customer Care", "Sales"], a),
            ("Mia", ["Customer Care", "Sales"], a),
            ("Exi", ["Customer Care", "Sales"], a),
            ("Sam", ["Sales"], a),
            ("Fin", ["Customer Credit"], a),
            ("Conny", ["Customer Confidential"], a),
            ("Audi", ["Customer Grading Audit"], a),
            ("Adam", ["Customer Grading Administration"], a),
            ("Ann", [], a),
            ("Ben", ["Customer Care", "Sales"], b),
            ]:
        create_user(name, *groups, company=company, config=config)


@pytest.fixture(scope='module')
def world():
    activate_modules('customer_grading', create_company, create_chart,
        create_access_users)
    world = World()
    world.files, world.parts, world.parties = {}, {}, {}
    with server():
        pool = Pool()
        Company = pool.get('company.company')
        Employee = pool.get('company.employee')
        Party = pool.get('party.party')
        a, = Company.search([('party.name', '!=', "B")])
        b, = Company.search([('party.name', '=', "B")])
        employees = {e.party.name: e for e in Employee.search([])}
        world.company, world.foreign = a.id, b.id
        world.parties = {n.lower(): e.party.id for n, e in employees.items()}
        for name, company, confidentiality, managers in [
                ("Normal", a, 'normal', []),
                ("Restricted", a, 'restricted', ["Mia"]),
                ("Secret", a, 'secret', ["Mia"]),
                ("Foreign", b, 'normal', ["Ben"]),
                ]:
            party, = Party.create([{'name': name}])
            world.files[name] = create_file(
                party, company, confidentiality,
                [employees[m] for m in managers],
                [] if company == b else [employees["Exi"]])
            world.parts[name] = get_parts(world.files[name])
    return world


def create_file(party, company, confidentiality, managers, former):
    pool = Pool()
    File = pool.get('customer.file')
    Investigation = pool.get('customer.credit.investigation')
    file, = File.create([{
                'company': company.id,
                'party': party.id,
                'needs': f"Needs of {party.name}",
                'kind': 'key',
                'confidentiality': confidentiality,
                'managers': [('create', [
                            *({'employee': m.id} for m in managers),
                            *({
                                    'employee': f.id,
                                    'start_date': YESTERDAY,
                                    'end_date': YESTERDAY,
                                    } for f in former)])],
                }])
    investigation, = Investigation.create([{
                'file': file.id,
                'background': "Known",
                'sources': "Register",
                'conclusion': f"Conclusion on {party.name}",
                'valid_until': TODAY + dt.timedelta(days=10),
                'investigator': (managers or former)[0].id,
                }])
    Investigation.do([investigation])
    File.verify([file])
    File.investigate([file])
    return file.id


def get_parts(file):
    pool = Pool()
    return {
        m: [r.id for r in pool.get(m).search([
                    ('id' if m == 'customer.file' else 'file', '=', file)])]
        for m in MODELS}


def get_content():
    content = {}
    with server() as transaction:
        cursor = transaction.connection.cursor()
        for name in [*MODELS, 'ir.attachment', 'ir.note']:
            table = Pool().get(name).__table__()
            cursor.execute(*table.select(order_by=[table.id]))
            content[name] = [tuple(row) for row in cursor]
    return content


@contextmanager
def refused(*texts):
    before = get_content()
    with pytest.raises(Fault) as info:
        yield
    assert info.value.name == 'UserError'
    for text in texts:
        assert text in str(info.value)
    assert get_content() == before


def refuses(client, *calls, contexts=({}, {'_customer_file': True})):
    "Check that the server refuses each of the calls and nothing changes"
    allowed = []
    before = get_content()
    for method, *args in calls:
        for context in contexts:
            try:
                result = client(method, *args, **context)
            except Fault as fault:
                assert fault.name == 'UserError', fault
            else:
                allowed.append((method, args, context, result))
    assert not allowed
    assert get_content() == before


def employee(name):
    with server():
        return Pool().get('company.employee').search([
                ('party.name', '=', name)])[0].id


SEEN = {
    'cara': {"Normal"},
    'mia': {"Normal", "Restricted", "Secret"},
    'exi': {"Normal"},
    'sam': {"Normal"},
    'fin': {"Normal"},
    'conny': {"Normal", "Restricted", "Secret"},
    'audi': {"Normal", "Restricted"},
    'adam': {"Normal"},
    'ben': {"Foreign"},
    'ann': set(),
    }
# Those who only sell read neither the history nor the investigations
CLOSED = {
    'sam': set(MODELS) - {'customer.file'},
    'ann': set(MODELS),
    }


@pytest.mark.parametrize('login', SEEN)
@pytest.mark.parametrize('model', MODELS)
def test_seen(world, login, model):
    "Files and what hangs on them are found and read by whom they may be"
    client = world[login]
    if model in CLOSED.get(login, set()):
        ids = world.parts["Normal"][model]
        refuses(
            client,
            (f'{model}.search', [], 0, None, None),
            (f'{model}.search_count', [], 0, None),
            (f'{model}.search_read', [], 0, None, None, ['id']),
            (f'{model}.read', ids, ['id']),
            (f'{model}.export_data', ids, ['rec_name'], False))
        return
    expected = {
        id_ for n, parts in world.parts.items() for id_ in parts[model]
        if n in SEEN[login]}
    field = 'party.name' if model == 'customer.file' else 'file.party.name'
    assert set(client(f'{model}.search', [], 0, None, None)) == expected
    assert client(f'{model}.search_count', [], 0, None) == len(expected)
    assert len(client(
            f'{model}.export_data_domain', [], ['id'], 0, None, None, False)
        ) == len(expected)
    for name, parts in world.parts.items():
        ids = parts[model]
        assert ids
        found = client(
            f'{model}.search', [(field, '=', name)], 0, None, None)
        if name in SEEN[login]:
            assert found == client(
                f'{model}.search', [('id', 'in', ids)], 0, None, None)
            assert len(client(f'{model}.read', ids, ['rec_name'])) == len(ids)
        else:
            assert not found
            with refused():
                client(f'{model}.read', ids, ['rec_name'])
            refuses(
                client,
                (f'{model}.read', ids, ['rec_name']),
                (f'{model}.read', ids, ['id']),
                (f'{model}.export_data', ids, ['rec_name'], False),
                contexts=[
                    {}, {'_check_access': False}, {'_customer_file': True},
                    {'user': 1}, {'_groups': [1]}, {'groups': [1]}])


@pytest.mark.parametrize('login', SEEN)
def test_party(world, login):
    "Through the party nothing leaks"
    client = world[login]
    names = ['name', 'customer_file', 'customer_manager']
    nested = ['customer_file.rec_name', 'customer_manager.rec_name']
    parties = {
        p['name']: p for p in client(
            'party.party.search_read',
            [('name', 'in', list(world.files))], 0, None, None,
            names if login == 'ann' else names + nested)}
    for name, file in world.files.items():
        if name not in parties:
            continue
        party = parties[name]
        if name in SEEN[login]:
            assert party['customer_file'] == file
        else:
            assert party['customer_file'] is None
            assert party['customer_manager'] is None
    if login == 'ann':
        assert not any(p['customer_file'] for p in parties.values())
        return
    # Nor by what is searched for
    for domain in [
            [('customer_file', '!=', None)],
            [('customer_file.party.name', '!=', None)],
            [('customer_file.confidentiality', '!=', None)],
            [('customer_file.state', '=', 'investigated')],
            [('customer_file', 'in', list(world.files.values()))],
            ]:
        found = client('party.party.search_read', [
                ('name', 'in', list(world.files)), domain],
            0, None, None, ['name'])
        assert {p['name'] for p in found} == SEEN[login], domain
    # What is absent is told of those that nobody sees too
    found = client('party.party.search_read', [
        ('name', 'in', list(world.files)), ('customer_file', '=', None)],
        0, None, None, ['name'])
    assert {p['name'] for p in found} == (
        set(parties) - SEEN[login])


def test_fields(world):
    "Who only sells sees who the customer is and who looks after it"
    sam, id_ = world.sam, world.files["Normal"]
    with server():
        names = set(Pool().get('customer.file')._fields)
    allowed, denied = set(), set()
    for name in names:
        try:
            sam('customer.file.read', [id_], [name])
            allowed.add(name)
        except Fault:
            denied.add(name)
    assert allowed <= OPEN
    assert {
        'needs', 'preferences', 'buying_power', 'contact', 'credit',
        'open_amount', 'revenue', 'investigations', 'events', 'missing',
        } <= denied
    record, = sam('customer.file.read', [id_], [
            'party.name', 'kind', 'manager.rec_name'])
    assert record['party.']['name'] == "Normal"
    view = sam('customer.file.fields_view_get', None, 'form')
    assert not denied & view['fields'].keys()


@pytest.mark.parametrize('name, value', [
        ('needs', '%Needs%'), ('contact', '%'), ('preferences', '%')])
def test_fields_search(world, name, value):
    "Nor is it found out by searching, sorting, exporting or from elsewhere"
    sam, id_ = world.sam, world.files["Normal"]
    domain = [(name, 'ilike', value)]
    refuses(
        sam,
        ('customer.file.search', domain, 0, None, None),
        ('customer.file.search_count', domain, 0, None),
        ('customer.file.search', [], 0, None, [(name, 'ASC')]),
        ('customer.file.search', ['OR', domain, []], 0, None, None),
        ('customer.file.search', [
                ('managers', 'where', [('file', 'where', domain)])],
                0, None, None),
        ('customer.file.search', [
                ('party', 'where', [('customer_file', 'where', domain)])],
                0, None, None),
        ('customer.file.search', [
                ('party', 'where', [
                        (f'customer_file.{name}', 'ilike', value)])],
                0, None, None),
        ('party.party.search', [('customer_file', 'where', domain)],
                0, None, None),
        ('sale.sale.search', [('customer_file', 'where', domain)],
                0, None, None),
        ('sale.sale.search', [('customer_file', 'not where', domain)],
                0, None, None),
        ('sale.line.search', [
                ('sale.customer_file', 'where', domain)], 0, None, None),
        ('sale.line.search', [
                ('sale', 'where', [('customer_file', 'where', domain)])],
                0, None, None),
        ('customer.file.search', [('id', 'in', [id_]), [domain]],
                0, None, None),
        ('customer.file.export_data', [id_], [name], False),
        ('customer.file.search_read', [], 0, None, None, [name]),
        ('customer.file.manager.search', [
                    (f'file.{name}', 'ilike', value)], 0, None, None),
        ('customer.file.manager.search', [
                    ('file', 'where', domain)], 0, None, None),
        ('customer.file.manager.search_read', [], 0, None, None,
                [f'file.{name}']),
        ('customer.file.manager.search', [], 0, None, [
                    (f'file.{name}', 'ASC')]),
        ('customer.file.manager.export_data',
                world.parts["Normal"]['customer.file.manager'],
                [f'file/{name}'], False),
        ('party.party.search', [
                    (f'customer_file.{name}', 'ilike', value)],
                0, None, None),
        ('party.party.search_read', [('name', '=', "Normal")],
                0, None, None, [f'customer_file.{name}']),
        ('sale.sale.search', [
                    (f'customer_file.{name}', 'ilike', value)],
                0, None, None),
        ('account.invoice.search', [
                    (f'customer_file.{name}', 'ilike', value)],
                0, None, None))


@pytest.mark.parametrize('name, value', [
        ('investigations.conclusion', "Conclusion%"),
        ('events.kind', "verify"),
        ])
def test_fields_nested(world, name, value):
    for login in ['sam', 'ann']:
        with refused():
            world[login]('customer.file.search', [
                    (name, 'ilike', value)], 0, None, None)
        with refused():
            world[login]('customer.file.read', [world.files["Normal"]], [name])
        with refused():
            world[login](
                'customer.file.export_data', [world.files["Normal"]],
                [name.replace('.', '/')], False)


@pytest.mark.parametrize('login', ['cara', 'exi', 'fin', 'adam', 'ben'])
@pytest.mark.parametrize('name', ["Restricted", "Secret"])
def test_change(world, login, name):
    "Who does not see a file does not change it or make oneself its manager"
    client = world[login]
    id_, parts = world.files[name], world.parts[name]
    own = world.parts["Foreign" if login == 'ben' else "Normal"]
    me = employee(login.title())
    refuses(
        client,
        ('customer.file.write', [id_], {'confidentiality': 'normal'}),
        ('customer.file.write', [id_], {'needs': "x"}),
        ('customer.file.write', [id_], {
                    'managers': [['create', [{'employee': me}]]]}),
        ('customer.file.delete', [id_]),
        ('customer.file.copy', [id_], {}),
        ('customer.file.copy', [id_], {
                'party': world.parties[login], 'company': world.company}),
        ('customer.file.verify', [id_]),
        ('customer.file.import_data', ['id', 'needs'], [[id_, 'x']]),
        ('customer.file.manager.create', [
                    {'file': id_, 'employee': me}]),
        ('customer.file.manager.write',
                parts['customer.file.manager'], {'employee': me}),
        ('customer.file.manager.write',
                own['customer.file.manager'], {'file': id_}),
        ('customer.file.write', own['customer.file'], {
                    'managers': [
                        ['add', parts['customer.file.manager']]]}),
        ('customer.file.write', own['customer.file'], {
                    'managers': [['write', parts['customer.file.manager'], {
                                    'employee': me}]]}),
        ('customer.file.write', own['customer.file'], {
                    'managers': [
                        ['copy', parts['customer.file.manager']]]}),
        ('customer.file.manager.delete', parts['customer.file.manager']),
        ('customer.credit.investigation.create', [{
                        'file': id_, 'date': TODAY}]),
        ('customer.credit.investigation.copy',
                parts['customer.credit.investigation'],
                {'file': own['customer.file'][0]}),
        ('ir.attachment.create', [{
                        'name': "x", 'resource': f'customer.file,{id_}'}]),
        ('ir.note.create', [{
                        'message': "x", 'resource': f'customer.file,{id_}'}]))


@pytest.mark.parametrize('login', ['sam', 'audi', 'ann'])
@pytest.mark.parametrize('model', MODELS)
def test_read_only(world, login, model):
    "Who sells or audits changes nothing"
    client = world[login]
    ids = world.parts["Normal"][model]
    refuses(
        client,
        (f'{model}.create', [{'file': world.files["Normal"]}]),
        (f'{model}.write', ids, {}),
        (f'{model}.delete', ids),
        (f'{model}.copy', ids, {}))
    for button in [
            'investigate', 'approve', 'suspend', 'resume', 'draft', 'verify']:
        with refused():
            client(f'customer.file.{button}', [world.files["Normal"]])


@pytest.mark.parametrize('login', [
        'cara', 'mia', 'fin', 'conny', 'adam', 'admin'])
def test_evidence(world, login):
    "Nobody writes the history, the state or a done investigation"
    client = world[login]
    parts = world.parts["Normal"]
    file, event, done = (
        parts[m][0] for m in [
            'customer.file', 'customer.file.event',
            'customer.credit.investigation'])
    refuses(
        client,
        ('customer.file.event.write', [event], {'reason': "x"}),
        ('customer.file.event.delete', [event]),
        ('customer.file.event.copy', [event], {}),
        ('customer.file.event.create', [{
                        'file': file, 'kind': 'approve',
                        'at': dt.datetime.now()}]),
        ('customer.file.write', [file], {'state': 'approved'}),
        ('customer.file.write', [file], {'verified_on': TODAY}),
        ('customer.file.write', [file], {'next_verification': None}),
        ('customer.file.write', [file], {'approved_by': employee("Mia")}),
        ('customer.file.write', [file], {'events': [['delete', [event]]]}),
        ('customer.file.delete', [file]),
        ('customer.credit.investigation.write', [done], {
                    'conclusion': "x"}),
        ('customer.credit.investigation.write', [done], {
                    'state': 'draft'}),
        ('customer.credit.investigation.write', [done], {}),
        ('customer.credit.investigation.delete', [done]),
        ('customer.credit.investigation.do', [done]),
        ('customer.credit.investigation.create', [{
                        'file': file, 'state': 'done'}]),
        ('customer.credit.investigation.create', [{
                        'file': file, 'order_count': 9}]),
        ('customer.file.write', [file], {
                    'investigations': [['delete', [done]]]}),
        ('customer.file.write', [file], {
                    'investigations': [['write', [done], {
                                    'valid_until': None}]]}))


def test_confidentiality(world):
    "A manager closes a file but only who may opens it again"
    id_ = world.files["Restricted"]
    world.mia('customer.file.write', [id_], {'confidentiality': 'secret'})
    for value in ['normal', 'restricted']:
        with refused("Customer Confidential"):
            world.mia('customer.file.write', [id_], {'confidentiality': value})
    with refused():
        world.audi('customer.file.read', [id_], ['id'])
    world.conny('customer.file.write', [id_], {
            'confidentiality': 'restricted'})
    world.audi('customer.file.read', [id_], ['id'])
    events = world.conny('customer.file.event.search_read', [
            ('file', '=', id_), ('kind', '=', 'confidentiality')],
        0, None, None, ['reason', 'user'])
    assert [(e['reason'], e['user']) for e in events] == [
        ("Secret → Restricted", world.conny.user),
        ("Restricted → Secret", world.mia.user)]
    world.parts["Restricted"]['customer.file.event'] = [
        e['id'] for e in world.conny('customer.file.event.search_read', [
                ('file', '=', id_)], 0, None, None, ['id'])]


def test_create_secret(world):
    "A file that is secret from the start names a manager who sees it"
    with server():
        party, = Pool().get('party.party').create([{'name': "New"}])
        party = party.id
    values = {'party': party, 'confidentiality': 'secret'}
    with refused():
        world.cara('customer.file.create', [values])
    id_, = world.cara('customer.file.create', [{
                **values,
                'managers': [['create', [{'employee': employee("Cara")}]]]}])
    assert world.cara('customer.file.read', [id_], ['managed'])[0]['managed']
    with refused():
        world.mia('customer.file.read', [id_], ['managed'])
    world.cara('customer.file.delete', [id_])


def test_attachment(world):
    "Attachments follow the file, and those of what is done stay"
    parts = world.parts["Secret"]
    done, = parts['customer.credit.investigation']
    resource = f'customer.credit.investigation,{done}'
    id_, = world.mia('ir.attachment.create', [{
                'name': "Report", 'resource': resource, 'type': 'data',
                'data': b'x'}])
    for login in ['cara', 'sam', 'audi', 'ben']:
        with refused():
            world[login]('ir.attachment.read', [id_], ['name'])
        try:
            assert not world[login]('ir.attachment.search', [
                    ('id', '=', id_)], 0, None, None)
        except Fault as fault:
            assert login == 'sam', fault
    for login in ['mia', 'conny']:
        for method, *args in [
                ('write', [id_], {'name': "x"}), ('delete', [id_]),
                ('write', [id_], {
                        'resource': f'customer.file,{world.files["Normal"]}'}),
                ]:
            with refused("evidence"):
                world[login](f'ir.attachment.{method}', *args)


def test_due(world):
    "What is due of a file is seen by who sees the file"
    with server():
        pool = Pool()
        File = pool.get('customer.file')
        table = File.__table__()
        from trytond.transaction import Transaction
        Transaction().connection.cursor().execute(*table.update(
                [table.next_verification], [YESTERDAY]))
    for login, seen in SEEN.items():
        client = world[login]
        if login in {'sam', 'ann'}:
            with refused():
                client('customer.due.search', [], 0, None, None)
            continue
        found = client(
            'customer.due.search_read', [('kind', '=', 'verification')],
            0, None, None, ['party.name', 'late', 'origin'])
        assert {d['party.']['name'] for d in found} == seen
        assert all(d['late'] for d in found)
        for name, file in world.files.items():
            found = client('customer.due.search', [
                    ('origin', '=', f'customer.file,{file}')],
                0, None, None)
            assert bool(found) == (name in seen)


@pytest.mark.parametrize('method', [
        'customer.file.complete', 'customer.file.get_files',
        'customer.file.search_readable', 'customer.file.get_used',
        'customer.file._decide', 'customer.file.event.record',
        'customer.due.remind', 'customer.due.notice.search',
        'customer.configuration.file.create',
        ])
def test_private_method(world, method):
    for login in ['sam', 'cara', 'adam']:
        with pytest.raises(Fault, match='403'):
            world[login](method, [world.files["Normal"]])


def test_buttons(world):
    "Only who may approves, and nobody what one has investigated oneself"
    id_ = world.files["Normal"]
    for login in ['cara', 'mia', 'conny', 'audi', 'ben']:
        with refused():
            world[login]('customer.file.approve', [id_])
    for login in ['fin', 'adam']:
        with refused("missing", "Industry"):
            world[login]('customer.file.approve', [id_])


def test_configuration(world):
    for login in ['cara', 'sam', 'fin', 'audi']:
        with refused():
            world[login]('customer.configuration.write', [1], {
                    'file_points': []})
        with refused():
            world[login]('customer.industry.create', [{'name': "x"}])


def test_import(world):
    "A file of data with one bad line changes nothing"
    with server():
        Pool().get('party.party').create([
                {'name': "Import"}, {'name': "Twin"}, {'name': "Twin"}])
    names = ['party', 'kind', 'industry', 'buying_power']
    good = ["Import", 'key', "Manufacturing", '500']
    for bad, text in [
            (["Nobody", 'key', "", ""], "Nobody"),
            (["Twin", 'key', "", ""], "Twin"),
            (["Normal", 'key', "", ""], "one customer file"),
            (["Import", 'key', "", ""], "one customer file"),
            (["Foreign", 'key', "Alchemy", ""], "Alchemy"),
            ]:
        with refused(text):
            world.cara('customer.file.import_data', names, [good, bad])
        with refused(text):
            world.cara('customer.file.import_data', names, [bad, good])
    for login in ['sam', 'audi', 'ann']:
        with refused():
            world[login]('customer.file.import_data', names, [good])
    assert world.cara('customer.file.import_data', names, [good]) == 1
    id_, = world.cara('customer.file.search', [
            ('party.name', '=', "Import")], 0, None, None)
    world.cara('customer.file.delete', [id_])


def test_where(world):
    """Who only sells does not search by what is private from any model

    Not even inside the server, as models of others may lead to the file."""
    domain = [('file', 'where', [('needs', 'ilike', '%Needs%')])]
    with server('sam'):
        with pytest.raises(AccessError):
            Pool().get('customer.file.manager').search(domain)
    with server('cara'):
        assert Pool().get('customer.file.manager').search(domain)


GRADED = [
    'customer.grade', 'customer.grade.override', 'customer.grading.result',
    'customer.grading.result.criterion', 'customer.credit.limit.change',
    'customer.credit.exposure', 'sale.credit.hold']


@pytest.fixture(scope='module')
def graded(world):
    "Grade the customers, and let them have credit"
    records = {}
    with server() as transaction:
        pool = Pool()
        Catalogue = pool.get('customer.grading.grade')
        Change = pool.get('customer.credit.limit.change')
        Distribution = pool.get('customer.grading.distribution')
        File = pool.get('customer.file')
        Grade = pool.get('customer.grade')
        Hold = pool.get('sale.credit.hold')
        Override = pool.get('customer.grade.override')
        Party = pool.get('party.party')
        Result = pool.get('customer.grading.result')
        Run = pool.get('customer.grading.run')
        Sale = pool.get('sale.sale')
        Scheme = pool.get('customer.grading.scheme')
        scheme, = Scheme.search([
                ('axis', '=', 'class'), ('company', '=', None)])
        grades = {
            a: Catalogue.search([('axis', '=', a)])[0]
            for a in ['class', 'credit']}
        for name, id_ in world.files.items():
            file = File(id_)
            company, party = file.company, file.party
            with transaction.set_context(company=company.id):
                for axis, grade in grades.items():
                    Grade.assign(
                        company, axis, {party.id: grade.id}, TODAY, 'run')
                override, = Override.create([{
                            'company': company.id, 'party': party.id,
                            'axis': 'class', 'grade': grades['class'].id,
                            'reason': f"Reason of {name}",
                            'end_date': TODAY + dt.timedelta(days=1)}])
                run, = Run.create([{
                            'company': company.id, 'scheme': scheme.id,
                            'kind': 'parties',
                            'parties': [('add', [party.id])]}])
                with transaction.set_context(
                        _customer_grading=True, _customer_grading_run=True,
                        _customer_credit=True):
                    result, = Result.create([{
                                'run': run.id, 'company': company.id,
                                'axis': 'class', 'party': party.id,
                                'reason': 'score', 'change': 'first',
                                'detail': '[{"count": 1}]'}])
                    distribution, = Distribution.create([{
                                'run': run.id, 'position': 0,
                                'value': Decimal(1)}])
                    sale, = Sale.create([{'party': party.id}])
                    hold, = Hold.create([{
                                'company': company.id, 'origin': str(sale),
                                'sale': sale.id, 'party': party.id,
                                'reasons': "Suspended", 'kinds': [],
                                'currency': company.currency.id,
                                'amount': Decimal(1),
                                'held_at': dt.datetime.now()}])
                change, = Change.create([{
                            'party': party.id, 'new': Decimal(5),
                            'reason': "Good"}])
                Party.set_credit_limits(company, {party.id: Decimal(7)})
                own, = Scheme.copy([scheme])
            records[name] = {
                'customer.grade': [
                    g.id for g in Grade.search([('party', '=', party.id)])],
                'customer.grade.override': [override.id],
                'customer.grading.result': [result.id],
                'customer.grading.result.criterion': [result.id * 100],
                'customer.credit.limit.change': [change.id],
                'customer.credit.exposure': [
                    company.id * 1_000_000_000 + party.id],
                'sale.credit.hold': [hold.id],
                'credit': Grade.search([
                        ('party', '=', party.id),
                        ('axis', '=', 'credit')])[0].id,
                'party': party.id,
                'lines': {
                    'customer.grading.distribution': [distribution.id],
                    'customer.grading.criterion': [
                        c.id for c in own.criteria],
                    'customer.grading.band': [
                        b.id for c in own.criteria for b in c.bands],
                    'customer.grading.threshold': [
                        t.id for t in own.thresholds],
                    },
                }
    return records


# Those who sell see of the grades what is not credit, and all the holds
GRADED_CLOSED = {
    'ann': set(GRADED),
    'sam': set(GRADED) - {
        'customer.grade', 'customer.grade.override', 'sale.credit.hold'},
    }
SELLING = {'cara', 'mia', 'exi', 'sam', 'fin', 'ben'}


@pytest.mark.parametrize('login', SEEN)
@pytest.mark.parametrize('model', GRADED)
def test_graded(world, graded, login, model):
    "What is known of confidential customers is as confidential as their files"
    client = world[login]
    own = {"Foreign"} if login == 'ben' else set(graded) - {"Foreign"}
    closed = model in GRADED_CLOSED.get(login, set())
    everything = [i for parts in graded.values() for i in parts[model]]
    expected = set()
    for name in own if not closed else []:
        ids = set(graded[name][model])
        if model == 'customer.grade':
            if login == 'sam' or name not in SEEN[login]:
                ids.discard(graded[name]['credit'])
        elif model == 'sale.credit.hold':
            if login not in SELLING and name not in SEEN[login]:
                continue
        elif name not in SEEN[login]:
            continue
        expected |= ids
    if closed:
        with pytest.raises(Fault):
            client(f'{model}.search', [], 0, None, None)
    else:
        found = client(
            f'{model}.search', [('id', 'in', everything)], 0, None, None)
        assert set(found) == expected
        assert len(client(
                f'{model}.export_data', found, ['rec_name'], False)
            ) == len(expected)
    for id_ in set(everything) - expected:
        for context in [{}, {'_check_access': False}, {'user': 1}]:
            for call in [
                    (f'{model}.read', [id_], ['id']),
                    (f'{model}.export_data', [id_], ['rec_name'], False)]:
                with pytest.raises(Fault):
                    client(*call, **context)


@pytest.mark.parametrize('login', SEEN)
def test_graded_party(world, graded, login):
    "Class and level are seen of all customers, credit by who reads the file"
    client = world[login]
    company = "Foreign" if login == 'ben' else None
    own = {company} if company else set(graded) - {"Foreign"}
    credit = SEEN[login] if login != 'sam' else set()
    ids = [parts['party'] for parts in graded.values()]
    parties = client(
        'party.party.read', ids,
        ['name', 'customer_class', 'customer_credit'])
    assert {p['name'] for p in parties if p['customer_class']} == own
    assert {p['name'] for p in parties if p['customer_credit']} == credit
    for domain in [
            [('customer_credit', '!=', None)],
            [('customer_credit', '=', "A")],
            [('customer_credit.code', '=', "A")],
            ]:
        found = client('party.party.search', [
                ('id', 'in', ids), domain], 0, None, None)
        assert {
            p['name'] for p in parties if p['id'] in found} == credit, domain
    # Of a company that is not that of the user
    foreign = world.company if company else world.foreign
    for values in client(
            'party.party.read', ids, ['customer_class', 'customer_credit'],
            company=foreign):
        assert not values['customer_class'] and not values['customer_credit']
    for name in ['customer_class', 'customer_credit']:
        assert not client(
            'party.party.search', [(name, '!=', None)], 0, None, None,
            company=foreign)
        assert client(
            'party.party.search', [('id', 'in', ids)], 0, None,
            [(name, 'ASC NULLS LAST'), ('id', 'ASC')], company=foreign
            ) == sorted(ids)
    if login == 'ann':
        return
    for clause, expected in [
            (('customer_grades.axis', '=', 'credit'), credit),
            (('customer_grades.axis', '=', 'class'), own),
            (('customer_grades', 'where', [('axis', '=', 'credit')]), credit),
            (('customer_grades', '!=', None), own),
            (('customer_grades', '=', None), set(graded) - own),
            ]:
        found = client(
            'party.party.search', [('id', 'in', ids), clause], 0, None, None)
        assert {
            p['name'] for p in parties if p['id'] in found} == expected, clause
    histories = client('party.party.read', ids, ['customer_grades'])
    assert {i for p in histories for i in p['customer_grades']} == {
        i for n in own for i in graded[n]['customer.grade']
        if n in credit or i != graded[n]['credit']}


@pytest.mark.parametrize('login', ['cara', 'adam', 'audi', 'conny'])
def test_graded_lines(world, graded, login):
    "The lines of another company cannot be exported by their ids"
    client = world[login]
    for model, ids in graded["Normal"]['lines'].items():
        assert ids
        client(f'{model}.export_data', ids, ['id'], False)
    for model, ids in graded["Foreign"]['lines'].items():
        with pytest.raises(Fault):
            client(f'{model}.export_data', ids, ['id'], False)
        with pytest.raises(Fault):
            client(f'{model}.read', ids, ['id'])
