# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody sees figures of what is not theirs, and nobody changes them"
import datetime as dt

import pytest

from trytond.pool import Pool

from .rpc import Fault, activate_world, server
from .test_access import World, get, order, refused, search, unchanged

pytestmark = pytest.mark.xdist_group('reporting_access')

PREFIX = 'sale.review.reporting.'
MODELS = [PREFIX + n for n in [
        'department', 'department.time_series', 'cause', 'cause.time_series',
        'approval']]
OPEN = PREFIX + 'open_counted'


@pytest.fixture(scope='module')
def world():
    "An order is approved and one is returned"
    activate_world()
    world = World()
    order('approved')
    returned = order('open').signoffs['Technical']
    world.tina('sale.review.signoff.write', [returned], {
            'opinion': "Too small", 'cause': 'infeasible'})
    world.tina('sale.review.signoff.return_', [returned])
    return world


def test_methods(world):
    "Nothing is added to what clients can call"
    with server():
        pool = Pool()

        def methods(model):
            return {
                n for n, rpc in pool.get(model).__rpc__.items()
                if not rpc.readonly}

        common = methods('sale.channel')
        for model in MODELS:
            assert methods(model) == common


@pytest.mark.parametrize('model', MODELS)
def test_read(world, model):
    "Who reads the reviews reads the figures"
    for login in ['sam', 'tina', 'audi', 'adam']:
        ids = world[login](f'{model}.search', [], 0, None, None)
        names = list(world[login](f'{model}.fields_get'))
        assert ids
        assert len(world[login](f'{model}.read', ids, names)) == len(ids)


@pytest.mark.parametrize('model', MODELS)
def test_write(world, model):
    "Nobody changes figures"
    id_, *_ = world.adam(f'{model}.search', [], 0, None, None)
    for login in ['sam', 'tina', 'audi', 'adam']:
        client = world[login]
        for method, params in [
                ('create', [[{'number': 1}]]),
                ('write', [[id_], {'number': 1}]),
                ('copy', [[id_], {}]),
                ('delete', [[id_]]),
                ]:
            with unchanged(), pytest.raises(Fault):
                client(f'{model}.{method}', *params)


@pytest.mark.parametrize('model', MODELS)
def test_companies(world, model):
    "Nobody reads the figures of another company, whatever is asked for"
    company = get('company.company', ('party.name', '=', 'Dunder Mifflin'))
    ids = world.adam(f'{model}.search', [], 0, None, None)
    context = {'company': company, 'companies': [company]}
    assert not world.olga(f'{model}.search', [], 0, None, None)
    assert not world.olga(f'{model}.search', [], 0, None, None, **context)
    with refused():
        world.olga(f'{model}.read', ids, ['number'], **context)
    with refused():
        world.olga.wizard(OPEN, 'start', model, ids, **context)


def test_open(world):
    "The sign-offs and the reviews that are counted are opened"
    for model, name, counted in [
            ('department', 'sale.review.signoff', search(
                    'sale.review.signoff',
                    ('department.name', '=', "Technical"))),
            ('cause', 'sale.review.signoff', search(
                    'sale.review.signoff', ('state', '=', 'returned'))),
            ('approval', 'sale.review', search(
                    'sale.review', ('state', '=', 'approved'))),
            ]:
        domain = []
        if model == 'department':
            domain = [('department.name', '=', "Technical")]
        for login in ['sam', 'audi']:
            client = world[login]
            ids = client(f'{PREFIX}{model}.search', domain, 0, None, None)
            result = client.wizard(
                OPEN, 'start', f'{PREFIX}{model}', ids,
                from_date=dt.date.today())
            (action, _), = result['actions']
            assert action['res_model'] == name
            assert f'{counted}' in action['pyson_domain']
