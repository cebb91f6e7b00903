# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Who may do what with the credit of the customers, asked by clients"
import datetime as dt
from decimal import Decimal

import pytest

from proteus import Model
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product)
from trytond.pool import Pool
from trytond.tests.tools import activate_modules

from .rpc import Client, Fault, server

HOLD = 'sale.credit.hold'
CHANGE = 'customer.credit.limit.change'
LOGINS = ['sven', 'frida', 'fred', 'carl', 'adam', 'audi', 'olga']
# Reads orders and nothing of their credit
REVIEWER = 'pia'


def create_world(config=None):
    "Sven sells and Frida and Fred decide on credit; Olga does in company B"
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
            ("Sven", ["Sales"], a),
            ("Frida", ["Sales", "Customer Credit"], a),
            ("Fred", ["Customer Credit"], a),
            ("Carl", ["Customer Care"], a),
            ("Adam", ["Customer Grading Administration"], a),
            ("Audi", ["Customer Grading Audit"], a),
            ("Olga", ["Sales", "Customer Credit"], b),
            ("Pia", [], a),
            ]:
        create_user(name, *groups, company=company, config=config)
    create_product(company=a, config=config)
    create_customer("Acme", config=config)


@pytest.fixture(scope='module')
def world():
    activate_modules(
        'customer_grading', create_company, create_chart, create_world)
    with server('admin'):
        pool = Pool()
        company, = pool.get('company.company').search([
                ('party.name', '!=', "B")])
        pool.get('customer.service.policy').create([{
                    'name': "All", 'company': company.id}])
        acme, = pool.get('party.party').search([('name', '=', "Acme")])
        pool.get('party.party').set_credit_limits(
            company, {acme.id: Decimal(100)})
        pool.get('res.group').create([{
                    'name': "Readers",
                    'users': [('add', [
                                u.id for u in pool.get('res.user').search(
                                    [('login', '=', REVIEWER)])])],
                    'model_access': [('create', [{
                                    'model': 'sale.sale',
                                    'perm_read': True,
                                    'perm_write': False,
                                    'perm_create': False,
                                    'perm_delete': False,
                                    }])],
                    }])
    return {login: Client(login) for login in [*LOGINS, REVIEWER]}


@pytest.fixture
def held(world):
    "A held order of Sven and its hold"
    with server('sven'):
        pool = Pool()
        Sale = pool.get('sale.sale')
        acme, = pool.get('party.party').search([('name', '=', "Acme")])
        product, = pool.get('product.product').search([])
        sale = Sale(party=acme)
        for name in Sale._fields:
            if hasattr(Sale, f'default_{name}'):
                setattr(sale, name, getattr(Sale, f'default_{name}')())
        sale.party = acme
        sale.on_change_party()
        Line = pool.get('sale.line')
        sale.lines = [Line(
                product=product, unit=product.default_uom, quantity=1,
                unit_price=Decimal(1000))]
        sale.save()
        sale_id = sale.id
    world['sven']('sale.sale.quote', [sale_id])
    hold, = world['frida'](
        f'{HOLD}.search', [('sale', '=', sale_id)], 0, None, None)
    return sale_id, hold


def release(client, hold, **values):
    return client.wizard('sale.credit.hold.release', 'release', HOLD, [hold], {
            'start': {
                'reason': "Good", 'valid_until': dt.date.today(),
                'amount': Decimal(1000), **values}})


def state(hold):
    with server():
        return Pool().get(HOLD)(hold).state


def test_confirm(world, held):
    "Confirming a held order tells who does"
    sale, hold = held
    assert world['sven']('sale.sale.confirm', [sale]) is None
    with server():
        pool = Pool()
        assert pool.get('sale.sale')(sale).state == 'quotation'
        labels = [n.label for n in pool.get('res.notification').search([
                    ('user', '=', world['sven'].user)])]
    assert '1 order(s) held by customer credit' in labels
    values, = world['sven'](
        'sale.sale.read', [sale], ['credit_state', 'credit_reasons'])
    assert values['credit_state'] == 'held'
    assert "1,100.00" not in values['credit_reasons']
    assert "900.00" in values['credit_reasons']


@pytest.mark.parametrize('login', ['sven', 'carl', 'adam', 'audi', 'olga'])
def test_release_denied(world, held, login):
    _, hold = held
    with pytest.raises(Fault):
        release(world[login], hold)
    with pytest.raises(Fault):
        world[login].wizard(
            'sale.credit.hold.reject', 'reject', HOLD, [hold],
            {'start': {'reason': "No"}})
    for button in ['release', 'reject']:
        with pytest.raises(Fault):
            world[login](f'{HOLD}.{button}', [hold])
    assert state(hold) == 'held'


@pytest.mark.parametrize('login', LOGINS)
def test_tamper(world, held, login):
    "Nobody changes what is recorded"
    _, hold = held
    client = world[login]
    for method, *params in [
            ('write', [hold], {'state': 'released'}),
            ('delete', [hold]),
            ('copy', [hold], {}),
            ('create', [{'state': 'released'}]),
            ('release_holds', [hold], "Good", None),
            ('check', []),
            ('end', []),
            ]:
        with pytest.raises(Fault):
            client(f'{HOLD}.{method}', *params, _customer_credit=True)
    assert state(hold) == 'held'


def test_release(world, held):
    sale, hold = held
    release(world['fred'], hold)
    assert state(hold) == 'released'
    with pytest.raises(Fault):
        release(world['frida'], hold)
    world['sven']('sale.sale.confirm', [sale])
    with server():
        assert Pool().get('sale.sale')(sale).state != 'quotation'


def test_confirm_denied(world, held):
    "Only who may confirm has an order held"
    sale, hold = held
    with server():
        Pool().get(HOLD).end([Pool().get('sale.sale')(sale)])
    for login in ['carl', 'adam', 'audi', 'olga']:
        with pytest.raises(Fault):
            world[login]('sale.sale.confirm', [sale])
    with server():
        assert not Pool().get(HOLD).search([
                ('sale', '=', sale), ('state', '!=', 'ended')])


def test_companies(world, held):
    "Nobody sees what belongs to another company"
    _, hold = held
    for model in [HOLD, CHANGE, 'customer.service.policy',
            'customer.credit.exposure']:
        assert world['olga'](f'{model}.search', [], 0, None, None) == []
    with pytest.raises(Fault):
        world['olga'](f'{HOLD}.read', [hold], ['reasons'])
    assert world['frida'](
        'customer.credit.exposure.search', [], 0, None, None)


def test_read(world, held):
    for login, models in [
            ('sven', [HOLD, 'customer.service.policy']),
            ('carl', [HOLD, CHANGE, 'customer.credit.exposure']),
            ('audi', [HOLD, CHANGE, 'customer.credit.exposure']),
            ]:
        for model in models:
            world[login](f'{model}.search', [], 0, None, None)
    for login, models in [
            ('sven', [CHANGE, 'customer.credit.exposure'])]:
        for model in models:
            with pytest.raises(Fault):
                world[login](f'{model}.search', [], 0, None, None)


def test_limit(world):
    "A limit is proposed by one and approved by another"
    with server():
        acme, = Pool().get('party.party').search([('name', '=', "Acme")])
        acme = acme.id
    values = {
        'party': acme, 'new': Decimal(100_000), 'reason': "Good",
        'state': 'approved', 'source': 'policy'}
    for login in ['sven', 'audi']:
        with pytest.raises(Fault):
            world[login](f'{CHANGE}.create', [values])
    change, = world['frida'](
        f'{CHANGE}.create', [values], _customer_credit=True)
    for login in ['sven', 'frida', 'carl', 'adam', 'audi', 'olga']:
        with pytest.raises(Fault):
            world[login](f'{CHANGE}.approve', [change])
        for method, *params in [
                ('write', [change], {'state': 'approved'}),
                ('delete', [change])]:
            with pytest.raises(Fault):
                world[login](
                    f'{CHANGE}.{method}', *params, _customer_credit=True)
    with server():
        Change = Pool().get(CHANGE)
        assert Change(change).state == 'proposed'
        assert Change(change).source == 'manual'
    world['fred'](f'{CHANGE}.approve', [change])
    with server(company=None):
        pool = Pool()
        company, = pool.get('company.company').search([
                ('party.name', '!=', "B")])
        assert pool.get('party.party')(acme).get_multivalue(
            'credit_limit_amount', company=company.id) == 100_000
        pool.get('party.party').set_credit_limits(
            company, {acme: Decimal(100)})


def test_limit_record(world):
    "The limit of a party is not changed past its field"
    with server():
        pool = Pool()
        limit, = pool.get('party.party.credit_limit_amount').search([
                ('party.name', '=', "Acme")])
        acme, limit, company = limit.party.id, limit.id, limit.company.id
    for login in LOGINS:
        for action in [
                ('delete', [limit]),
                ('remove', [limit]),
                ('write', [limit], {'credit_limit_amount': Decimal(9)}),
                ('write', [limit], {'party': None}),
                ('write', [limit], {'company': None}),
                ('create', [{'credit_limit_amount': Decimal(9)}]),
                ('copy', [limit], {}),
                ]:
            with pytest.raises(Fault, match="Propose a change"):
                world[login](
                    'party.party.write', [acme],
                    {'credit_limit_amounts': [action]},
                    _customer_credit=True)
    with server():
        limit, = Pool().get('party.party.credit_limit_amount').search([
                ('party', '=', acme)])
        assert (limit.company.id, limit.credit_limit_amount) == (company, 100)


def test_limit_group(world):
    "Who may enter the limit of a party does, and it is known"
    with server():
        pool = Pool()
        limit, = pool.get('party.party.credit_limit_amount').search([
                ('party.name', '=', "Acme")])
        acme, limit = limit.party.id, limit.id
        group = pool.get('ir.model.data').get_id(
            'account_credit_limit', 'group_credit_limit')
        User = pool.get('res.user')
        User.write([User(world['carl'].user)], {'groups': [('add', [group])]})
    world['carl'](
        'party.party.write', [acme], {'credit_limit_amounts': [
                ('write', [limit], {'credit_limit_amount': Decimal(90)})]})
    world['carl'](
        'party.party.write', [acme], {'credit_limit_amount': Decimal(80)})
    with server():
        pool = Pool()
        User = pool.get('res.user')
        User.write([User(world['carl'].user)], {
                'groups': [('remove', [group])]})
        assert {(90, 'direct'), (80, 'direct')} <= {
            (c.new, c.source) for c in pool.get(CHANGE).search([
                    ('party', '=', acme)])}
        Limit = pool.get('party.party.credit_limit_amount')
        Limit.write([Limit(limit)], {'credit_limit_amount': Decimal(100)})


def test_reasons(world, held):
    "The reasons tell the limit only to who reads the hold"
    sale, _ = held
    for login in ['sven', REVIEWER]:
        values, = world[login](
            'sale.sale.read', [sale], ['credit_state', 'credit_reasons'])
        assert values['credit_state'] == 'held'
        assert bool(values['credit_reasons']) == (login != REVIEWER), login
