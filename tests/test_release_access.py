# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody gets round the emergency release, whatever a client sends"
import datetime as dt

import pytest

from trytond.pool import Pool

from .rpc import Fault, create_orders, server
from .test_access import (
    TODAY, World, get_state, order, refused, search, unchanged)
from .test_change_access import amendment, world  # noqa: F401

pytestmark = pytest.mark.xdist_group('change_access')

RELEASE = 'sale.review.release'
START = 'sale.review.release.start'
WIZARD = 'sale.review.release.release'
USERS = ['sam', 'tina', 'otto', 'olga', 'nora', 'audi', 'adam', 'admin']


@pytest.fixture(scope='module')
def releasers(world):  # noqa: F811
    "Otto, Olga of company B, Bob of both and Nora without employee release"
    with server():
        pool = Pool()
        Group = pool.get('res.group')
        User = pool.get('res.user')
        group, = Group.search([
                ('name', '=', "Order Review Emergency Release")])
        User.write(
            User.search([('login', 'in', ['otto', 'olga', 'bob', 'nora'])]),
            {'groups': [('add', [group.id])]})
    return World()


def release(client, *ids, model='sale.sale', hours=1, **context):
    values = {
        'reason': "Fire at the customer",
        'valid_until': dt.datetime.now() + dt.timedelta(hours=hours),
        }
    return client.wizard(
        WIZARD, 'release', model, list(ids), {'start': values}, **context)


def released(state='required'):
    "Return an order in the state with its release"
    sale = order(state)
    with server('otto'):
        pool = Pool()
        release, = pool.get(RELEASE).release(
            [pool.get('sale.sale')(sale.id)], "Fire at the customer",
            dt.datetime.now() + dt.timedelta(hours=1))
        sale.release = release.id
    return sale


@pytest.fixture(scope='module')
def unused(releasers):
    "An order whose release has not been used"
    return released()


@pytest.fixture(scope='module')
def used(releasers):
    "An order that was confirmed by its release"
    sale = released()
    releasers.sam('sale.sale.confirm', [sale.id])
    return sale


def test_methods(releasers):
    "Nothing is added to what clients can call"
    with server():
        pool = Pool()

        def methods(model):
            return {
                n for n, rpc in pool.get(model).__rpc__.items()
                if not rpc.readonly}

        assert methods(RELEASE) == methods('sale.channel')


@pytest.mark.parametrize('method', [
        f'{RELEASE}.{n}' for n in [
            'release', 'plan', 'use', 'attach', 'catch_up', 'cancel',
            'remind', 'release_missing']])
def test_private_method(releasers, unused, method):
    for login in ['sam', 'otto', 'adam']:
        with pytest.raises(Fault, match='403'):
            releasers[login](method, [unused.release])


@pytest.mark.parametrize('state', ['unused', 'used'])
def test_evidence(releasers, state, request):
    "Nobody writes a release, not even who may release"
    sale = request.getfixturevalue(state)
    with server():
        Release = Pool().get(RELEASE)
        names = {
            n for n, f in Release._fields.items()
            if not hasattr(f, 'getter') and n not in {
                'id', 'create_uid', 'create_date', 'write_uid', 'write_date'}}
        values, = Release.read([sale.release], list(names))
    del values['id']
    for login in USERS:
        client = releasers[login]
        with refused():
            client(f'{RELEASE}.create', [values], _sale_review=True)
        for name, value in values.items():
            with refused():
                client(
                    f'{RELEASE}.write', [sale.release], {name: value},
                    _sale_review=True)
        with refused():
            client(f'{RELEASE}.copy', [sale.release], {})
        with refused():
            client(f'{RELEASE}.delete', [sale.release])


def test_order(releasers, unused):
    "The release is not written through the order either"
    for command in [
            ['create', [{'reason': "x"}]],
            ['write', [unused.release], {'state': 'used'}],
            ['delete', [unused.release]],
            ['remove', [unused.release]],
            ]:
        for login in ['sam', 'admin']:
            with refused():
                releasers[login](
                    'sale.sale.write', [unused.id], {'releases': [command]})
    for login in ['sam', 'otto', 'admin']:
        with refused():
            releasers[login](
                'sale.sale.write', [unused.id], {'review_state': 'released'})


@pytest.mark.parametrize('login', ['sam', 'tina', 'nora', 'olga', 'audi'])
def test_release(releasers, login):
    "Only who may release does, in the own company"
    sale = order('required')
    client = releasers[login]
    with refused():
        release(client, sale.id)
    with unchanged():
        release(client, sale.id, company=2, employee=1, _groups=[1, 2, 3])
    with unchanged():
        client('sale.sale.release_review', [sale.id])
    with refused():
        releasers.sam('sale.sale.confirm', [sale.id])
    assert get_state(sale) == ('quotation', 'required')


def test_release_company(releasers):
    "The current employee decides, not the rights of the user"
    sale = order('required')
    employees = search(
        'company.employee', ('party.name', '=', "Bob"),
        ('company.party.name', '=', "B"))
    with refused("must be an employee"):
        release(releasers.bob, sale.id, employee=employees[0])
    release(releasers.bob, sale.id)


@pytest.mark.parametrize('values', [
        {'reason': None}, {'reason': " "}, {'valid_until': None},
        {'valid_until': dt.datetime.now() - dt.timedelta(minutes=1)}])
def test_release_values(releasers, values):
    sale = order('required')
    with refused():
        releasers.otto.wizard(
            WIZARD, 'release', 'sale.sale', [sale.id], {'start': {
                    'reason': "Fire",
                    'valid_until':
                    dt.datetime.now() + dt.timedelta(hours=1),
                    **values}})


@pytest.mark.parametrize('state', ['draft', 'approved', 'confirmed'])
def test_release_state(releasers, state):
    sale = order(state)
    with refused():
        release(releasers.otto, sale.id)


def test_confirm(releasers):
    "A released order is confirmed once, and its release remains"
    sale = order('open')
    release(releasers.otto, sale.id)
    assert get_state(sale) == ('quotation', 'open')
    releasers.sam('sale.sale.confirm', [sale.id])
    assert get_state(sale)[1] == 'released'
    with refused("Quote it first"):
        release(releasers.otto, sale.id)


def test_history(releasers, unused):
    "A release is not given to an order as it was"
    sale = order('required')
    with pytest.raises(Fault):
        release(
            releasers.otto, sale.id, _datetime=dt.datetime.now())
    assert get_state(sale) == ('quotation', 'required')


def test_frozen(releasers, used):
    "What was released is not modified"
    line, = used.lines
    for login in ['sam', 'otto', 'admin']:
        for method, *args in [
                ('sale.line.write', [line], {'quantity': 99}),
                ('sale.line.delete', [line]),
                ('sale.sale.write', [used.id], {'shipping_date': TODAY}),
                ('sale.sale.write', [used.id], {'review_state': 'approved'}),
                ]:
            with refused():
                releasers[login](method, *args)


def test_other_company(releasers, unused):
    "Nobody of another company sees it"
    assert releasers.olga(
        f'{RELEASE}.search', [('id', '=', unused.release)], 0, None,
        None) == []
    assert releasers.otto(
        f'{RELEASE}.search', [('id', '=', unused.release)], 0, None,
        None) == [unused.release]
    with pytest.raises(Fault):
        releasers.olga(f'{RELEASE}.read', [unused.release], ['reason'])


def test_read(releasers, used):
    names = list(releasers.audi(f'{RELEASE}.fields_get'))
    for login in ['audi', 'sam', 'tina', 'adam']:
        values, = releasers[login](f'{RELEASE}.read', [used.release], names)
        assert values['reason'] == "Fire at the customer"


def test_amendment(releasers):
    "An amendment is released as an order is"
    record = amendment('open')
    for login in ['sam', 'tina', 'nora', 'olga', 'audi']:
        with refused():
            release(releasers[login], record.id, model='sale.amendment')
    with refused():
        releasers.sam('sale.amendment.validate_amendment', [record.id])
    release(releasers.otto, record.id, model='sale.amendment')
    releasers.sam('sale.amendment.validate_amendment', [record.id])
    with server():
        record = Pool().get('sale.amendment')(record.id)
        assert record.state == 'validated'
        assert record.review_state == 'released'
        assert record.releases[0].review == record.review
    with refused("already validated"):
        release(releasers.otto, record.id, model='sale.amendment')


def test_batch(releasers):
    "An order that is not released holds those that are"
    one, other = create_orders('required', 2)
    release(releasers.otto, one)
    with refused():
        releasers.sam('sale.sale.confirm', [one, other])
    releasers.sam('sale.sale.confirm', [one])
