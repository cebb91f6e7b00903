# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Only administrators of the review try rules, in their company"
import datetime as dt

import pytest

from trytond.pool import Pool

from .rpc import Fault, activate_world, create_orders, server
from .test_access import World, get, refused, search

pytestmark = pytest.mark.xdist_group('trial_access')

RULE = 'sale.review.rule'
MODELS = ['sale.review.trial', 'sale.review.trial.order']
OTHERS = ['sam', 'eve', 'tina', 'fred', 'olga', 'nora', 'audi', 'bob']
TODAY = dt.date.today()


@pytest.fixture(scope='module')
def world():
    activate_world()
    create_orders('confirmed')
    return World()


@pytest.fixture(scope='module')
def rules(world):
    "The ids of the rules by name of department"
    with server():
        return {
            r.department.name: r.id
            for r in Pool().get(RULE).search([])}


@pytest.fixture(scope='module')
def trials(world, rules):
    "A trial of each company with its order"
    with server():
        pool = Pool()
        Rule = pool.get(RULE)
        Sale = pool.get('sale.sale')
        Trial = pool.get('sale.review.trial')
        sale, = Sale.search([], limit=1)
        for trial in Trial.run(
                Rule.browse([rules['Technical'], rules['Others']]),
                TODAY, TODAY):
            pool.get('sale.review.trial.order').create([{
                        'trial': trial.id,
                        'sale': sale.id,
                        'date': TODAY,
                        'week': TODAY,
                        }])
    return {
        model: {
            company: get(model, (name, '=', company))
            for company in ['Dunder Mifflin', 'B']}
        for model, name in zip(MODELS, [
                'company.party.name', 'trial.company.party.name'])}


def count():
    return [len(search(m)) for m in MODELS]


def try_(client, *ids, **context):
    return client.wizard(
        'sale.review.rule.try', 'try_', RULE, list(ids), {
            'start': {'from_date': TODAY, 'to_date': TODAY},
            }, **context)


def test_try(world, rules):
    "An administrator tries the rules of the company"
    trials, _ = before = count()
    result = try_(world.adam, rules['Technical'], rules['Finance'])
    assert result['actions']
    assert count() == [trials + 2, before[1] + 2]


@pytest.mark.parametrize('user', OTHERS)
def test_try_others(world, rules, user):
    "Nobody else tries rules"
    before = count()
    with pytest.raises(Fault):
        try_(world[user], rules['Technical'])
    with pytest.raises(Fault):
        try_(world[user], rules['Others'])
    assert count() == before


@pytest.mark.parametrize('context', [
        {},
        {'companies': []},
        {'_check_access': False},
        {'company': -1},
        ])
def test_try_company(world, rules, context):
    "The rules of another company are not tried"
    before = count()
    for ids in [
            [rules['Others']],
            [rules['Technical'], rules['Others']],
            ]:
        with pytest.raises(Fault):
            try_(world.adam, *ids, **context)
    with pytest.raises(Fault):
        try_(world.adam, rules['Technical'], active_model='sale.sale')
    assert count() == before


@pytest.mark.parametrize('model', MODELS)
@pytest.mark.parametrize('user', OTHERS)
def test_read(world, trials, model, user):
    "Nobody else reads what was tried"
    id_ = trials[model]['Dunder Mifflin']
    with pytest.raises(Fault):
        world[user](f'{model}.read', [id_], ['id'])
    with pytest.raises(Fault):
        world[user](f'{model}.search', [], 0, 1, None)
    with pytest.raises(Fault):
        world[user](f'{model}.delete', [id_])


@pytest.mark.parametrize('model', MODELS)
def test_company(world, trials, model):
    "An administrator sees only the company"
    own, other = (trials[model][c] for c in ['Dunder Mifflin', 'B'])
    assert world.adam(f'{model}.read', [own], ['id'])
    assert other not in world.adam(f'{model}.search', [], 0, None, None)
    with pytest.raises(Fault):
        world.adam(f'{model}.read', [other], ['id'])
    with pytest.raises(Fault):
        world.adam(f'{model}.delete', [other])


@pytest.mark.parametrize('model, values', [
        ('sale.review.trial', {'orders': 99}),
        ('sale.review.trial.order', {'reason': "None"}),
        ])
def test_modify(world, trials, model, values):
    "Nobody modifies what was tried"
    id_ = trials[model]['Dunder Mifflin']
    for method, args in [
            ('write', [[id_], values]),
            ('copy', [[id_], {}]),
            ('create', [[values]]),
            ]:
        before = count()
        with refused():
            world.adam(f'{model}.{method}', *args)
        assert count() == before


def test_warnings(world, rules):
    "An administrator sees the warnings of the rules of the company only"
    with server():
        Rule = Pool().get(RULE)
        Rule.write(
            Rule.browse([rules['Technical'], rules['Others']]),
            {'signatories': 'number', 'number': 9})
    found = world.adam(
        f'{RULE}.search', [('warnings', '!=', None)], 0, None, None)
    assert found == [rules['Technical']]
    values, = world.adam(
        f'{RULE}.read', [rules['Technical']], ['warnings'])
    assert 'of the 9 persons' in values['warnings']
    with pytest.raises(Fault):
        world.adam(f'{RULE}.read', [rules['Others']], ['warnings'])


def test_department(world, trials):
    "The orders by department are those of the companies of the administrator"
    model = 'sale.review.trial.department'
    ids = list(trials['sale.review.trial'].values())
    for login in OTHERS:
        with pytest.raises(Fault):
            world[login](
                f'{model}.search_read', [], 0, None, None, ['orders'],
                trials=ids)
    departments = world.adam(
        f'{model}.search_read', [], 0, None, None, ['company.rec_name'],
        trials=ids)
    assert {d['company.']['rec_name'] for d in departments} == {
        'Dunder Mifflin'}
