# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody gets round the errors of entry, whatever a client sends"
import pytest

from trytond.pool import Pool

from .rpc import Fault, activate_world, server
from .test_access import World, employee, get, order, refused, search

pytestmark = pytest.mark.xdist_group('entry_error_access')

MODEL = 'sale.entry.error'
USERS = ['sam', 'tina', 'otto', 'olga', 'nora', 'audi', 'adam']


@pytest.fixture(scope='module')
def world():
    activate_world()
    return World()


@pytest.fixture(scope='module')
def sale(world):
    return order('approved')


def record(client, sale, **values):
    context = values.pop('context', {})
    id_, = client(f'{MODEL}.create', [{
                'sale': sale.id,
                'kind': 'price',
                'description': "That of last year.",
                **values,
                }], **context)
    return id_


@pytest.fixture(scope='module')
def error(world, sale):
    return record(world.tina, sale)


def read(id_):
    with server():
        record = Pool().get(MODEL)(id_)
        return record.found_by.id, record.entered_by.login, record.note


def test_methods(world):
    "Only the button is added to what clients can call"
    with server():
        pool = Pool()

        def methods(model):
            Model = pool.get(model)
            return {n for n, rpc in Model.__rpc__.items() if not rpc.readonly}

        common = methods('sale.review.decision')
        assert methods(MODEL) - common == {'withdraw'}
        assert methods('sale.entry.error.user') <= common


def test_record(world, sale):
    "What the server knows is not what the client says"
    other = employee("Fred")
    id_ = record(
        world.tina, sale, found_by=other, note="Nothing",
        context={'_sale_review': True})
    assert read(id_) == (employee("Tina"), 'sam', None)
    # Of another company, without employee, or who only looks
    before = search(MODEL)
    for login in ['olga', 'nora', 'audi']:
        with pytest.raises(Fault):
            record(world[login], sale)
    with pytest.raises(Fault) as info:
        record(world.olga, sale)
    for name in [sale.number, "Dunder Mifflin"]:
        assert name not in str(info.value)
    with pytest.raises(Fault):
        record(world.tina, sale, context={'employee': other})
    assert search(MODEL) == before


@pytest.mark.parametrize('login', USERS)
@pytest.mark.parametrize('values', [
        {'description': "Nothing"}, {'kind': 'other'}, {'entered_by': None},
        {'withdrawn_at': None}, {'note': "No", 'kind': 'other'},
        ])
def test_write(world, error, login, values):
    before = read(error)
    with refused():
        world[login](f'{MODEL}.write', [error], values)
    with refused():
        world[login](
            f'{MODEL}.write', [error], values, _sale_review=True)
    assert read(error) == before


@pytest.mark.parametrize('login', USERS)
def test_delete(world, error, login):
    with refused():
        world[login](f'{MODEL}.delete', [error], _sale_review=True)
    assert error in search(MODEL)


@pytest.mark.parametrize('login', ['sam', 'olga', 'nora', 'audi'])
def test_withdraw(world, error, login):
    with refused():
        world[login](f'{MODEL}.withdraw', [error])
    assert not get_withdrawn(error)


def get_withdrawn(id_):
    with server():
        return Pool().get(MODEL)(id_).withdrawn_at


def test_read(world, error):
    "The errors and their count are those of the companies of the user"
    for login, ids in [('sam', True), ('audi', True), ('olga', False)]:
        assert (error in world[login](f'{MODEL}.search', [])) == ids
    assert world.audi('sale.entry.error.user.search', [])
    for login in ['sam', 'tina', 'olga']:
        with refused():
            world[login](
                'sale.entry.error.user.read',
                [get('sale.entry.error.user')], ['errors'])
