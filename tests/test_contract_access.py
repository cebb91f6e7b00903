# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody gets round the steps of a contract, whatever a client sends"
import datetime as dt

import pytest

from proteus import Model
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company, get_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.pool import Pool
from trytond.tests.tools import activate_modules

from .contract import TODAY, create_people
from .review import create_sale
from .rpc import Fault, server
from .test_access import World

pytestmark = pytest.mark.xdist_group('contract_access')

CONTRACT = 'sale.contract'
SIGNATURE = 'sale.contract.signature'
MANDATE = 'sale.contract.mandate'
LOAN = 'sale.contract.loan'
EVIDENCE = [CONTRACT, SIGNATURE, MANDATE, LOAN]
USERS = ['hugo', 'kira', 'arno', 'adam', 'audi', 'sam', 'lena', 'olga']
# Who administers the archive belongs to it
READERS = {'hugo', 'kira', 'arno', 'adam', 'audi', 'sam'}


def create_other(config=None):
    "Olga may do all in company B"
    Company = Model.get('company.company', config=config)
    Party = Model.get('party.party', config=config)
    User = Model.get('res.user', config=config)
    a = get_company(config=config)
    party = Party(name="B")
    party.save()
    create_company(party=party, config=config)
    b, = Company.find([('id', '!=', a.id)])
    create_user(
        "Olga", "Sales", "Sale Contract Seal", "Order Archive Administration",
        company=b, config=config)
    admin = User(config.user)
    if b not in admin.companies:
        admin.companies.append(Company(b.id))
    admin.company = a
    admin.save()
    config._context = User.get_preferences(True, {})


@pytest.fixture(scope='module')
def world():
    activate_modules(
        ['order_archive', 'sale_order_review'], create_company, create_chart,
        create_people, create_other)
    return World()


def employee_id(name):
    Employee = Pool().get('company.employee')
    return Employee.search([('party.name', '=', name)])[0].id


@pytest.fixture(scope='module')
def mandate(world):
    with server():
        lena = employee_id("Lena")
        company, = Pool().get('company.company').search([
                ('party.name', '!=', "B")])
    id_, = world.adam(f'{MANDATE}.create', [{
                'company': company.id,
                'employee': lena,
                'kind': 'legal',
                'start_date': TODAY - dt.timedelta(days=10),
                'document': "Register",
                }])
    return id_


def new(world, state):
    "Return the id of a contract in the state"
    with server('hugo'):
        sale = create_sale()
        values = {
            'company': sale.company.id,
            'sale': sale.id,
            'name': "Screens",
            'handler': employee_id("Hugo"),
            }
        lena = employee_id("Lena")
    hugo = world.hugo
    id_, = hugo(f'{CONTRACT}.create', [values])
    if state == 'draft':
        return id_
    hugo(f'{CONTRACT}.register', [id_])
    if state == 'registered':
        return id_
    hugo(f'{CONTRACT}.write', [id_], {'signatures': [('create', [{
                            'side': 'own',
                            'employee': lena,
                            'date': TODAY,
                            }])]})
    hugo(f'{CONTRACT}.sign', [id_])
    if state == 'signed':
        return id_
    world.kira(f'{CONTRACT}.write', [id_], {'seal_name': "Seal"})
    world.kira(f'{CONTRACT}.seal', [id_])
    if state == 'sealed':
        return id_
    hugo(f'{CONTRACT}.write', [id_], {
            'place': "Shelf",
            'originals': 1,
            'signatures': [('create', [{
                            'side': 'counterparty',
                            'name': "Carla",
                            'date': TODAY,
                            }])],
            })
    hugo(f'{CONTRACT}.deposit', [id_])
    return id_


@pytest.fixture(scope='module')
def contracts(world, mandate):
    return {
        s: new(world, s)
        for s in ['draft', 'registered', 'signed', 'sealed', 'deposited']}


@pytest.fixture(scope='module')
def loan(world, contracts):
    with server():
        party, = Pool().get('party.party').search([('name', '=', "Acme")])
    id_, = world.arno(f'{LOAN}.create', [{
                'contract': contracts['deposited'],
                'copy_number': 1,
                'borrower': party.id,
                'purpose': "Audit",
                'lent_on': TODAY,
                'due_on': TODAY,
                }])
    return id_


def get_content():
    content = {}
    with server() as transaction:
        cursor = transaction.connection.cursor()
        for name in EVIDENCE + ['order.archive.event']:
            table = Pool().get(name).__table__()
            cursor.execute(*table.select(order_by=[table.id]))
            content[name] = [tuple(row) for row in cursor]
    return content


def check_refused(client, method, *args, **context):
    before = get_content()
    with pytest.raises(Fault) as info:
        client(method, *args, **context)
    assert info.value.name in {'UserError', '403 FORBIDDEN'}, info.value
    assert get_content() == before


def test_read(world, contracts, loan, mandate):
    "Who may see the contracts sees those of the own company only"
    ids = {
        CONTRACT: contracts['sealed'],
        SIGNATURE: world.hugo(
            f'{SIGNATURE}.search', [
                ('contract', '=', contracts['sealed'])], 0, None, None)[0],
        MANDATE: mandate,
        LOAN: loan,
        }
    for model, id_ in ids.items():
        seeing = set()
        for login in USERS:
            try:
                world[login](f'{model}.read', [id_], ['create_date'])
            except Fault:
                continue
            seeing.add(login)
        readers = READERS
        if model in {MANDATE, LOAN}:
            readers = READERS - {'sam'}
        assert seeing == readers, model
    for model in ids:
        assert not world.olga(f'{model}.search', [], 0, None, None)


@pytest.mark.parametrize(
    'state', ['registered', 'signed', 'sealed', 'deposited'])
def test_evidence(world, contracts, state):
    "Nobody writes what has been recorded of a contract"
    id_ = contracts[state]
    with server():
        Contract = Pool().get(CONTRACT)
        names = {
            n for n, f in Contract._fields.items()
            if not hasattr(f, 'getter') and f._type != 'one2many'
            and n not in {
                'id', 'create_uid', 'create_date', 'write_uid', 'write_date'}}
        editable = {
            n for n in names if state in Contract._editable.get(n, [])}
        values, = Contract.read([id_], list(names))
        del values['id']
    for login in USERS:
        for name in names - editable:
            check_refused(
                world[login], f'{CONTRACT}.write', [id_],
                {name: values[name]}, _order_archive=True)
        if login not in {'hugo', 'kira'}:
            for name in editable:
                check_refused(
                    world[login], f'{CONTRACT}.write', [id_],
                    {name: values[name]}, _order_archive=True)
        check_refused(
            world[login], f'{CONTRACT}.delete', [id_], _order_archive=True)
        check_refused(
            world[login], f'{CONTRACT}.create', [values],
            _order_archive=True)


@pytest.mark.parametrize('button, state, logins', [
        ('register', 'draft', {'hugo', 'kira'}),
        ('sign', 'registered', {'hugo', 'kira'}),
        ('seal', 'signed', {'kira'}),
        ('deposit', 'sealed', {'hugo', 'kira'}),
        ('terminate', 'deposited', {'hugo', 'kira'}),
        ])
def test_button(world, contracts, button, state, logins):
    "The buttons belong to their groups"
    for login in USERS:
        if login not in logins:
            check_refused(
                world[login], f'{CONTRACT}.{button}', [contracts[state]],
                _order_archive=True)


def test_seal_fields(world, contracts):
    "Only the keepers enter the seal"
    for name, value in [('seal_name', "Mine"), ('sealed_on', TODAY)]:
        for login in USERS:
            if login != 'kira':
                check_refused(
                    world[login], f'{CONTRACT}.write', [contracts['signed']],
                    {name: value})


@pytest.mark.parametrize('state', ['signed', 'sealed', 'deposited'])
def test_signature(world, contracts, state):
    "The signatures of our side stay"
    id_, *_ = world.hugo(
        f'{SIGNATURE}.search', [
            ('contract', '=', contracts[state]),
            ('side', '=', 'own'),
            ], 0, None, None)
    for login in USERS:
        client = world[login]
        check_refused(
            client, f'{SIGNATURE}.write', [id_], {'date': TODAY},
            _order_archive=True)
        check_refused(
            client, f'{SIGNATURE}.delete', [id_], _order_archive=True)
        check_refused(
            client, f'{SIGNATURE}.write', [id_],
            {'contract': contracts['draft']}, _order_archive=True)


def test_move_signature(world, contracts):
    "A signature does not go from one contract to another"
    id_ = new(world, 'registered')
    world.hugo(f'{CONTRACT}.write', [id_], {'signatures': [('create', [{
                            'side': 'counterparty',
                            'name': "Carla",
                            'date': TODAY,
                            }])]})
    signature, = world.hugo(
        f'{SIGNATURE}.search', [('contract', '=', id_)], 0, None, None)
    for values in [{'contract': contracts['deposited']}, {'side': 'own'}]:
        check_refused(
            world.hugo, f'{SIGNATURE}.write', [signature], values)
    check_refused(
        world.hugo, f'{CONTRACT}.write', [contracts['deposited']],
        {'signatures': [('add', [signature])]})


def test_loan(world, contracts, loan):
    "Loans are lent and returned, nothing else"
    for login in USERS:
        client = world[login]
        check_refused(client, f'{LOAN}.delete', [loan], _order_archive=True)
        for values in [
                {'state': 'returned'}, {'returned_on': TODAY},
                {'purpose': "None"}, {'contract': contracts['sealed']}]:
            check_refused(
                client, f'{LOAN}.write', [loan], values, _order_archive=True)
    for login in ['audi', 'sam', 'lena', 'olga']:
        check_refused(world[login], f'{LOAN}.return_', [loan])


def test_mandate(world, mandate):
    "Only the administrators of the archive enter mandates"
    values, = world.hugo(f'{MANDATE}.read', [mandate], [
            'company', 'employee', 'kind', 'start_date', 'document'])
    del values['id']
    for login in USERS:
        if login == 'adam':
            continue
        client = world[login]
        check_refused(client, f'{MANDATE}.create', [values])
        check_refused(
            client, f'{MANDATE}.write', [mandate], {'document': "X"})
        check_refused(client, f'{MANDATE}.delete', [mandate])


@pytest.mark.parametrize('method', [
        f'{CONTRACT}.{n}' for n in [
            'watch', 'collect', '_transit', '_notify', '_get_overview']])
def test_private_method(world, contracts, method):
    for login in ['hugo', 'kira', 'adam']:
        with pytest.raises(Fault, match='403'):
            world[login](method, [contracts['deposited']])


def test_wizard(world, contracts):
    "Only who handles contracts opens one"
    with server():
        sale = Pool().get(CONTRACT)(contracts['draft']).sale.id
    for login in ['sam', 'arno', 'audi', 'lena', 'olga', 'adam']:
        before = get_content()
        with pytest.raises(Fault):
            world[login].wizard(
                'sale.contract.create', 'open_', 'sale.sale', [sale])
        with pytest.raises(Fault):
            world[login].wizard(
                'sale.contract.supplement', 'open_', CONTRACT,
                [contracts['sealed']])
        assert get_content() == before


def test_other_company(world, contracts):
    "The order and the people are of the company of the contract"
    with server():
        olga = employee_id("Olga")
    check_refused(
        world.hugo, f'{CONTRACT}.write', [contracts['draft']],
        {'handler': olga})
    check_refused(
        world.hugo, f'{CONTRACT}.write', [contracts['registered']],
        {'signatures': [('create', [{
                            'side': 'own', 'employee': olga, 'date': TODAY,
                            }])]})


def test_report(world, contracts):
    for login in USERS:
        call = [
            'sale.contract.registration.execute', [contracts['sealed']],
            {'model': CONTRACT}]
        if login in READERS:
            extension, *_ = world[login](*call, type='report')
            assert extension == 'pdf'
        else:
            with pytest.raises(Fault):
                world[login](*call, type='report')


def test_attachment(world, contracts):
    "Nobody replaces what is attached to a signed contract"
    id_, = world.hugo('ir.attachment.create', [{
                'name': "scan.pdf",
                'resource': f"{CONTRACT},{contracts['signed']}",
                'data': b'scan',
                }])
    for login in USERS:
        for values in [
                {'data': b'other'}, {'name': "x"},
                {'resource': f"{CONTRACT},{contracts['draft']}"}]:
            with pytest.raises(Fault):
                world[login]('ir.attachment.write', [id_], values)
        with pytest.raises(Fault):
            world[login]('ir.attachment.delete', [id_])

