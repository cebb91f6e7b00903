# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody gets round the review of orders, whatever a client sends"
import datetime as dt
import time
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace

import pytest

from trytond.pool import Pool
from trytond.transaction import TransactionError

from .rpc import (
    STATES, Client, Fault, activate_world, create_orders, get_content, server)

pytestmark = pytest.mark.xdist_group('access')

TODAY = dt.date.today()
YESTERDAY = TODAY - dt.timedelta(days=1)
EVIDENCE = ['sale.review', 'sale.review.signoff', 'sale.review.decision']
CONFIGURATION = [
    'sale.review.rule', 'company.department', 'company.department.member',
    'sale.channel', 'company.day_off']
USERS = ['sam', 'tina', 'otto', 'olga', 'nora', 'audi']


class World(dict):
    "The clients by login"

    def __missing__(self, login):
        return self.setdefault(login, Client(login))

    def __getattr__(self, login):
        return self[login]


@pytest.fixture(scope='module')
def world():
    # With modules that let clients send more
    activate_world('sale_history', 'sale_price_list')
    return World()


@pytest.fixture(scope='module')
def orders(world):
    "An order in each state, for the attempts that change nothing"
    return {s: order(s) for s in STATES}


@contextmanager
def unchanged():
    "Nothing changes, whether the server refuses or ignores it"
    before = get_content()
    try:
        yield
    except Fault:
        pass
    assert get_content() == before


@contextmanager
def refused(*texts):
    "The server refuses with an error that has the texts and nothing changes"
    before = get_content()
    with pytest.raises(Fault) as info:
        yield info
    assert info.value.name == 'UserError', info.value
    for text in texts:
        assert text in str(info.value)
    assert get_content() == before


@contextmanager
def changed(model, *ids, **values):
    "Change the records inside the server, and change them back"
    context = {'_sale_review': values.pop('_sale_review', False)}

    def write(values):
        extras = {}
        while True:
            try:
                with server(extras=extras, **context):
                    Model = Pool().get(model)
                    records = Model.browse(ids)
                    before = {n: getattr(records[0], n) for n in values}
                    Model.write(records, values)
                    return {
                        n: v.id if hasattr(v, 'id') else v
                        for n, v in before.items()}
            except TransactionError as exception:
                exception.fix(extras)

    before = write(values)
    try:
        yield
    finally:
        write(before)


def search(model, *domain, order=None):
    with server():
        return [
            r.id for r in Pool().get(model).search(
                list(domain), order=order or [('id', 'ASC')])]


def get(model, *domain):
    return search(model, *domain)[0]


def employee(name, company='Dunder Mifflin'):
    return get(
        'company.employee', ('party.name', '=', name),
        ('company.party.name', '=', company))


def order(state, **changes):
    "Return a new order in the state with its number and the ids of its parts"
    id_, = create_orders(state)
    with server():
        sale = Pool().get('sale.sale')(id_)
        signoffs = sale.review.signoffs if sale.review else []
        return SimpleNamespace(
            id=id_, number=sale.number, lines=[l.id for l in sale.lines],
            review=sale.review.id if sale.review else None,
            signoffs={s.department.name: s.id for s in signoffs},
            names={s.department.name: s.rec_name for s in signoffs},
            decisions=[d.id for s in signoffs for d in s.decisions])


def header(order):
    "Return the values with which a client creates another such order"
    with server():
        sale = Pool().get('sale.sale')(order.id)
        return {
            'company': sale.company.id, 'party': sale.party.id,
            'invoice_address': sale.invoice_address.id,
            'shipment_address': sale.shipment_address.id,
            'warehouse': sale.warehouse.id, 'currency': sale.currency.id,
            'quotation_date': TODAY,
            }


def get_state(order):
    with server():
        sale = Pool().get('sale.sale')(order.id)
        return sale.state, sale.review_state


# What is recorded


def test_methods(world):
    "Only the buttons are added to what clients can call"
    with server():
        pool = Pool()

        def methods(model):
            Model = pool.get(model)
            return {n for n, rpc in Model.__rpc__.items() if not rpc.readonly}

        common = methods('sale.channel')
        assert {m: methods(m) - common for m in EVIDENCE + CONFIGURATION} == {
            **dict.fromkeys(EVIDENCE + CONFIGURATION, set()),
            'sale.review': {'withdraw'},
            'sale.review.signoff': {
                'approve', 'approve_with_conditions', 'ask',
                'mark_not_applicable', 'propose_credit_limit', 'return_'},
            }


@pytest.mark.parametrize('model', [*EVIDENCE, 'sale.sale', 'sale.line'])
def test_read(world, orders, model):
    "Clients can read all the fields of all the records"
    ids = world.adam(f'{model}.search', [], 0, None, None)
    names = list(world.adam(f'{model}.fields_get'))
    assert len(world.adam(f'{model}.read', ids, names)) == len(ids)


@pytest.mark.parametrize('method', [
        'sale.review.submit', 'sale.review.approve', 'sale.review.return_',
        'sale.review.supersede', 'sale.review._close', 'sale.review.plan',
        'sale.review.notify_employees',
        'sale.review.signoff._decide', 'sale.review.signoff._proceed',
        'sale.review.signoff.remind', 'sale.review.signoff.create_planned',
        'sale.review.signoff.notify', 'sale.review.rule.get_rules',
        'sale.sale.proceed', 'sale.sale.update_review_state',
        'sale.sale._reset_review_state', 'sale.sale.do',
        'sale.line-account.tax.delete', 'ir.queue.create',
        'sale.configuration.review.create',
        ])
def test_private_method(world, orders, method):
    for login in ['sam', 'adam']:
        with pytest.raises(Fault, match='403'):
            world[login](method, [orders['open'].id])


@pytest.mark.parametrize('model', EVIDENCE)
def test_evidence(world, orders, model):
    "Nobody writes evidence, not even who administers"
    id_ = search(model)[-1]
    with server():
        Model = Pool().get(model)
        names = {
            n for n, f in Model._fields.items()
            if not hasattr(f, 'getter') and n not in {
                'id', 'create_uid', 'create_date', 'write_uid', 'write_date'}}
        values, = Model.read([id_], list(names))
    del values['id']
    if model != 'sale.review.decision':
        values['state'] = 'approved'
    for login in [*USERS, 'adam', 'admin']:
        client = world[login]
        with refused():
            client(f'{model}.create', [values])
        for name, value in values.items():
            with refused():
                client(f'{model}.write', [id_], {name: value})
        with refused():
            client(f'{model}.write', [id_], {}, [id_], {name: None})
        with refused():
            client(f'{model}.copy', [id_], {})
        with refused():
            client(f'{model}.delete', [id_])
        with refused():
            client(f'{model}.import_data', ['id', name], [[id_, 'x']])


def test_evidence_message(world, orders):
    "Who has the right to write sign-offs is told why this one cannot be"
    sale = orders['open']
    id_, name = sale.signoffs['Technical'], sale.names['Technical']
    for values in [
            {'state': 'approved'},
            {'opinion': "Yes", 'state': 'approved'},
            {'decisions': [['create', [{'decision': 'approve'}]]]},
            {'review': orders['approved'].review},
            ]:
        with refused(name, "evidence"):
            world.tina('sale.review.signoff.write', [id_], values)
    for login in ['fred', 'otto', 'flo']:
        with refused(name, "opinion"):
            world[login]('sale.review.signoff.write', [id_], {'opinion': "?"})
    closed = orders['approved']
    with refused(closed.names['Technical'], "opinion"):
        world.tina(
            'sale.review.signoff.write', [closed.signoffs['Technical']],
            {'opinion': "?"})


@pytest.mark.parametrize('key', [
        '_sale_review', '_check_access', '_skip_warnings', '_user', 'user'])
def test_context(world, orders, key):
    for value in [True, False, 0, 1]:
        context = {key: value}
        sale = orders['open']
        with refused():
            world.tina(
                'sale.review.signoff.write', [sale.signoffs['Technical']],
                {'state': 'approved'}, **context)
        with refused(sale.number):
            world.sam(
                'sale.sale.write', [sale.id], {'comment': "x"}, **context)
        with refused(sale.number):
            world.sam('sale.sale.confirm', [sale.id], **context)
        with refused(sale.number):
            world.otto(
                'sale.review.signoff.approve', [sale.signoffs['Technical']],
                **context)


@pytest.mark.parametrize('model', CONFIGURATION)
def test_configuration(world, orders, model):
    with server():
        Day = Pool().get('company.day_off')
        if not Day.search([]):
            company, = Pool().get('company.company').search([], limit=1)
            Day.create([{'company': company, 'date': TODAY}])
    id_ = search(model)[0]
    with server():
        Model = Pool().get(model)
        names = {
            n for n, f in Model._fields.items()
            if not hasattr(f, 'getter') and f._type != 'one2many'
            and n not in {
                'id', 'create_uid', 'create_date', 'write_uid', 'write_date'}}
        values, = Model.read([id_], list(names))
    del values['id']
    for login in USERS:
        client = world[login]
        with refused():
            client(f'{model}.create', [values])
        for name, value in values.items():
            with refused():
                client(f'{model}.write', [id_], {name: value})
        with refused():
            client(f'{model}.copy', [id_], {})
        with refused():
            client(f'{model}.delete', [id_])
        with refused():
            client(f'{model}.import_data', ['id'], [[id_]])


# What is reviewed


def attempts(order, other, draft):
    "Return what could be called to change the content of the order"
    line, = order.lines
    other_line, = other.lines
    draft_line, = draft.lines
    values = {'type': 'line', 'quantity': 1, 'unit_price': Decimal(1)}

    def lines(*command):
        return 'sale.sale.write', [order.id], {'lines': [list(command)]}

    return {
        'write one2many': lines('write', [line], {'quantity': 99}),
        'delete one2many': lines('delete', [line]),
        'remove one2many': lines('remove', [line]),
        'create one2many': lines('create', [values]),
        'copy one2many': lines('copy', [line], {}),
        'add one2many': lines('add', [other_line]),
        'add draft one2many': lines('add', [draft_line]),
        'add from draft': (
            'sale.sale.write', [draft.id], {'lines': [['add', [line]]]}),
        'create': ('sale.line.create', [{'sale': order.id, **values}]),
        'write': ('sale.line.write', [line], {'unit_price': Decimal(1)}),
        'write both': (
            'sale.line.write', [draft_line], {'quantity': 99},
            [line], {'quantity': 99}),
        'move out': ('sale.line.write', [line], {'sale': draft.id}),
        'move in': ('sale.line.write', [draft_line], {'sale': order.id}),
        'copy': ('sale.line.copy', [line], {}),
        'copy into': ('sale.line.copy', [draft_line], {'sale': order.id}),
        'delete': ('sale.line.delete', [line]),
        'import': (
            'sale.line.import_data', ['id', 'quantity'], [[line, '99']]),
        'import sale': (
            'sale.sale.import_data', ['id', 'description'],
            [[order.id, 'x']]),
        'import lines': (
            'sale.sale.import_data', ['id', 'lines/id', 'lines/quantity'],
            [[order.id, line, '99']]),
        }


@pytest.mark.parametrize('state', STATES[1:])
def test_content(world, orders, state, subtests):
    sale = orders[state]
    other = orders['open' if state != 'open' else 'approved']
    for name, (method, *args) in attempts(
            sale, other, orders['draft']).items():
        # Stock refuses to remove a line from its order
        number = f'"{sale.number}"'
        if name.split()[0] in {'add', 'remove'}:
            number = ''
        with subtests.test(name), refused(number):
            world.sam(method, *args)
        for login in ['otto', 'olga', 'audi']:
            with subtests.test(name, login=login), refused():
                world[login](method, *args)


def review_fields(model):
    with server():
        return sorted(Pool().get('sale.sale').get_review_fields()[model])


@pytest.mark.parametrize('state', STATES[2:])
def test_fields(world, orders, state):
    sale = orders[state]
    for model, id_ in [('sale.sale', sale.id), ('sale.line', sale.lines[0])]:
        for name in review_fields(model):
            with refused(sale.number):
                world.sam(f'{model}.write', [id_], {name: None})


@pytest.mark.parametrize('state', STATES)
def test_state(world, orders, state, subtests):
    sale = orders[state]
    other = 'open' if state == 'approved' else 'approved'
    with refused(sale.number if state != 'draft' else ''):
        world.sam('sale.sale.write', [sale.id], {'state': 'confirmed'})
    for value in ['none', 'approved', 'required', 'released']:
        with refused():
            world.sam('sale.sale.write', [sale.id], {'review_state': value})
    for default in [
            {'review_state': 'approved'},
            {'review_state': 'required'},
            {'state': 'quotation'},
            {'state': 'confirmed'},
            {'state': 'processing'},
            ]:
        with subtests.test(default=default), refused():
            world.sam('sale.sale.copy', [sale.id], default)
    for command in [
            ['create', [{'state': 'approved', 'round': 9}]],
            ['add', [orders[other].review]],
            ['remove', [orders['approved'].review]],
            ['delete', [orders['approved'].review]],
            ['copy', [orders['approved'].review], {}],
            ['write', [orders['approved'].review], {'state': 'open'}],
            ]:
        with subtests.test(command=command), refused():
            world.sam('sale.sale.write', [sale.id], {'reviews': [command]})


@pytest.mark.parametrize('state', STATES)
def test_recorded(world, orders, state, subtests):
    "What the records of the order rest on is not set by a client"
    sale = orders[state] if state != 'draft' else order(state)
    for name, value in [
            ('quoted_by', employee("Fred")),
            ('confirmed_by', employee("Fred")),
            ('revision', 7),
            ]:
        with subtests.test(name), refused("recorded when"):
            world.sam('sale.sale.write', [sale.id], {name: value})
        with subtests.test(name, copy=True), refused("recorded when"):
            world.sam('sale.sale.copy', [sale.id], {name: value})
    if sale.number:
        for number in [None, '', '4711']:
            with subtests.test(number=number), refused(
                    sale.number, "recorded when"):
                world.sam('sale.sale.write', [sale.id], {'number': number})
        world.sam('sale.sale.write', [sale.id], {'number': sale.number})
    else:
        world.sam('sale.sale.write', [sale.id], {'number': '4711'})
        with refused('4711'):
            world.sam('sale.sale.write', [sale.id], {'number': '4712'})


def test_number(world, orders, subtests):
    "A client gives no order the number of another one"
    number, message = orders['approved'].number, "another sale has it"
    sale, other = order('draft'), order('draft')
    values = {**header(sale), 'number': number}
    for method, args in [
            ('write', ([sale.id], {'number': number})),
            ('copy', ([sale.id], {'number': number})),
            ('create', ([values],)),
            ('import_data', (['party', 'number'], [["Acme", number]])),
            ]:
        with subtests.test(method), refused(number, message):
            world.sam(f'sale.sale.{method}', *args)
    with subtests.test(spaces=True), refused(number, message):
        world.sam('sale.sale.write', [sale.id], {'number': f' {number} '})
    with subtests.test(groups=True), refused('4713', message):
        world.sam(
            'sale.sale.write', [sale.id], {'number': '4713'},
            [other.id], {'number': '4713'})
    for method, args in [
            ('write', ([sale.id, other.id], {'number': '4713'})),
            ('create', ([{**values, 'number': '4713'}] * 2,)),
            ]:
        with subtests.test(method, many=True), refused('4713', message):
            world.sam(f'sale.sale.{method}', *args)


def test_number_of_company(world, orders):
    "Nor does it move an order to where another one has its number"
    number, company = (
        orders['approved'].number,
        get('company.company', ('party.name', '=', "B")))
    values = header(orders['draft'])
    sale, = world.bob('sale.sale.create', [{
                **values, 'company': company, 'number': number}])
    with refused(number, "another sale has it"):
        world.bob('sale.sale.write', [sale], {'company': values['company']})


def test_confirmed_by(world):
    "Who confirmed is not who was entered before there were rules"
    sale, other = order('approved'), employee("Fred")
    with server():
        Sale = Pool().get('sale.sale')
        Sale.write([Sale(sale.id)], {'confirmed_by': other})
    world.sam('sale.sale.confirm', [sale.id])
    values, = world.sam(
        'sale.sale.read', [sale.id], ['confirmed_by.rec_name'])
    assert values['confirmed_by.']['rec_name'] == "Sam"


def test_confirmed_by_without_rules(world):
    "Without rules who was entered stays, as in stock Tryton"
    sale, other = order('draft'), employee("Fred")
    rules = search('sale.review.rule')
    with changed('sale.review.rule', *rules, active=False):
        world.sam('sale.sale.quote', [sale.id])
        world.sam('sale.sale.write', [sale.id], {'confirmed_by': other})
        world.sam('sale.sale.confirm', [sale.id])
    values, = world.sam(
        'sale.sale.read', [sale.id], ['confirmed_by.rec_name'])
    assert values['confirmed_by.']['rec_name'] == "Fred"


def test_recorded_without_rules(world):
    "What was reviewed keeps its number when there are no rules any more"
    sale = order('open')
    with server():
        Sale = Pool().get('sale.sale')
        Sale.draft([Sale(sale.id)])
    rules = search('sale.review.rule')
    with changed('sale.review.rule', *rules, active=False):
        assert get_state(sale) == ('draft', 'none')
        with refused(sale.number):
            world.sam('sale.sale.write', [sale.id], {'number': None})


@pytest.mark.parametrize('state', STATES)
def test_copy(world, orders, state):
    "A copy has not been reviewed"
    review = orders['approved'].review
    before = get_content()
    for default in [
            {},
            {'reviews': [['add', [review]]]},
            {'reviews': [['copy', [review], {}]]},
            {'reviews': [review]},
            ]:
        id_, = world.sam('sale.sale.copy', [orders[state].id], default)
        sale, = world.sam('sale.sale.read', [id_], [
                'state', 'review_state', 'reviews', 'number'])
        assert sale == {
            'id': id_, 'state': 'draft', 'review_state': 'none',
            'reviews': [], 'number': None}
    after = get_content()
    assert all(after[m] == before[m] for m in EVIDENCE)


def test_create(world, orders):
    values = {**header(orders['draft']), 'number': '99'}
    for state in ['quotation', 'confirmed', 'processing', 'done']:
        with refused():
            world.sam('sale.sale.create', [{**values, 'state': state}])
    with refused():
        world.sam('sale.sale.create', [{**values, 'review_state': 'approved'}])
    with refused():
        world.sam(
            'sale.sale.import_data', ['party', 'state'],
            [['Acme', 'confirmed']])


# Who signs


@pytest.mark.parametrize('button', ['approve', 'return_'])
@pytest.mark.parametrize('login, text', [
        ('sam', "approve"), ('otto', "Otto"), ('olga', "rules"),
        ('nora', "employee"), ('audi', "Sign-off"), ('flo', "Flo"),
        ('fred', "Fred"), ('bob', "Bob"), ('adam', "Adam"),
        ])
def test_foreign_signoff(world, orders, button, login, text):
    sale = orders['open']
    id_, name = sale.signoffs['Technical'], sale.names['Technical']
    if login in {'sam', 'olga', 'audi'}:
        name, text = '', ''
    employees = [employee(n) for n in ["Tina", "Tom", "Fred"]]
    with changed(
            'sale.review.signoff', id_, _sale_review=True, opinion="No",
            cause='other'):
        for context in [{}, *({'employee': e} for e in employees)]:
            with refused(name, text if not context else ''):
                world[login](
                    f'sale.review.signoff.{button}', [id_], **context)


def test_waiting_signoff(world, orders):
    sale = orders['open']
    with refused(sale.names['Finance'], "Technical"):
        world.fred('sale.review.signoff.approve', [sale.signoffs['Finance']])
    # A list that has one is refused as a whole
    other = order('open')
    with refused(sale.names['Finance']):
        world.tina('sale.review.signoff.approve', [
                other.signoffs['Technical'], sale.signoffs['Finance']])


def test_closed_signoff(world, orders):
    sale = orders['approved']
    for login, department in [
            ('tina', 'Technical'), ('tom', 'Technical'), ('fred', 'Finance')]:
        with refused(sale.names[department]):
            world[login](
                'sale.review.signoff.approve', [sale.signoffs[department]])
    # What was decided is not withdrawn
    with refused("withdraw"):
        world.sam('sale.review.withdraw', [sale.review])


def test_return_without_reason(world, orders):
    sale = orders['open']
    with refused(sale.names['Technical'], "reason"):
        world.tina(
            'sale.review.signoff.return_', [sale.signoffs['Technical']])


def test_withdrawn(world):
    sale = order('open')
    for login in ['otto', 'olga', 'audi', 'tina']:
        with refused():
            world[login]('sale.review.withdraw', [sale.review])
    world.sam('sale.review.withdraw', [sale.review])
    with refused(sale.names['Technical'], "ithdrawn"):
        world.tina(
            'sale.review.signoff.approve', [sale.signoffs['Technical']])
    with refused(sale.number, "Technical"):
        world.sam('sale.sale.confirm', [sale.id])

    world.sam('sale.sale.draft', [sale.id])
    world.sam('sale.line.write', sale.lines, {'quantity': 99})
    world.sam('sale.sale.quote', [sale.id])
    with refused(sale.number, "Technical"):
        world.sam('sale.sale.confirm', [sale.id])


@contextmanager
def rule(department, **values):
    id_ = get('sale.review.rule', ('department.name', '=', department))
    with changed('sale.review.rule', id_, **values):
        yield id_


@contextmanager
def delegated(world, absent, substitute, start=TODAY, end=TODAY):
    id_, = world.admin('company.department.delegation.create', [{
                'company': get('company.company', ('party.name', '!=', "B")),
                'employee': employee(absent),
                'substitute': employee(substitute),
                'start_date': start,
                'end_date': end,
                }])
    try:
        yield id_
    finally:
        world.admin('company.department.delegation.delete', [id_])


def test_delegation(world, orders):
    "Who is not a substitute today does not sign"
    sale = orders['open']
    tomorrow = TODAY + dt.timedelta(days=1)
    for start, end in [(YESTERDAY, YESTERDAY), (tomorrow, tomorrow)]:
        with delegated(world, "Tina", "Otto", start, end):
            with refused(sale.names['Technical'], "Otto"):
                world.otto('sale.review.signoff.approve', [
                        sale.signoffs['Technical']])
    # Neither of the absent person nor for another department
    with delegated(world, "Flo", "Otto"):
        with refused(sale.names['Technical'], "Otto"):
            world.otto('sale.review.signoff.approve', [
                    sale.signoffs['Technical']])


def test_create_delegation(world):
    values = {
        'employee': employee("Tina"), 'substitute': employee("Otto"),
        'company': get('company.company', ('party.name', '!=', 'B')),
        'start_date': TODAY, 'end_date': TODAY,
        }
    technical = get('company.department', ('name', '=', "Technical"))
    with delegated(world, "Otto", "Flo") as own:
        check_foreign_delegation(world, values, technical, own)


def check_foreign_delegation(world, values, technical, own):
    later = TODAY + dt.timedelta(days=9)
    for login in ['sam', 'otto', 'olga', 'nora', 'audi', 'bob']:
        client = world[login]
        for context in [{}, {'employee': employee("Tina")}]:
            for department in [None, technical]:
                with refused():
                    client(
                        'company.department.delegation.create',
                        [{**values, 'department': department}], **context)
            with refused():
                client('company.department.delegation.copy', [own], {
                        **values, 'start_date': later, 'end_date': later})
    for change in [
            {'employee': employee("Tina"), 'substitute': employee("Sam")},
            {'employee': employee("Tina")}]:
        with refused():
            world.otto('company.department.delegation.write', [own], change)
    for login in ['sam', 'olga', 'nora', 'audi', 'bob']:
        with refused():
            world[login]('company.department.delegation.write', [own], {
                    'substitute': employee("Sam")})
        with refused():
            world[login]('company.department.delegation.delete', [own])


def test_segregated(world):
    "Neither who entered the order signs, nor who submits, nor for them"
    with rule("Technical", segregated=True):
        sale = order('required')
        world.tom(
            'sale.sale.submit_review', [sale.id])
        world.tom.wizard(
            'sale.sale.submit_review', 'submit', 'sale.sale', [sale.id])
        signoff = review_of(sale).signoffs['Technical']
        with refused(sale.number, "Tom", "Tina"):
            world.tom('sale.review.signoff.approve', [signoff])
        with delegated(world, "Tom", "Otto"):
            with refused(sale.number, "Otto"):
                world.otto('sale.review.signoff.approve', [signoff])
        with delegated(world, "Tina", "Tom"):
            with refused(sale.number, "Tom"):
                world.tom('sale.review.signoff.approve', [signoff])
        # Switching to another employee does not help
        with changed('res.user', world.tom.user, company_filter='all'):
            with refused(sale.number):
                world.tom('sale.review.signoff.approve', [signoff])


def review_of(sale):
    with server():
        sale = Pool().get('sale.sale')(sale.id)
        signoffs = sale.review.signoffs
        return SimpleNamespace(
            id=sale.review.id, round=sale.review.round,
            state=sale.review.state,
            signoffs={s.department.name: s.id for s in signoffs},
            states={s.department.name: s.state for s in signoffs},
            decisions=[d for s in signoffs for d in s.decisions])


def test_left(world, orders):
    "Who left the department or the company does not sign"
    sale = orders['open']
    technical = ('department.name', '=', "Technical")
    member = get('company.department.member', technical)
    attempt = ('sale.review.signoff.approve', [sale.signoffs['Technical']])
    with changed('company.department.member', member, end_date=YESTERDAY):
        with refused(sale.names['Technical'], "Tom"):
            world.tom(*attempt)
    with delegated(world, "Tina", "Otto"), \
            changed('company.employee', employee("Tina"), end_date=YESTERDAY):
        for login, name in [('tina', "Tina"), ('otto', "Otto")]:
            with refused(sale.names['Technical'], name):
                world[login](*attempt)
    head = get('company.department', ('name', '=', "Technical"))
    with changed('company.department', head, head=employee("Otto")):
        with refused(sale.names['Technical'], "Tina"):
            world.tina(*attempt)
    with changed('company.department', head, active=False):
        for login in ['tina', 'tom']:
            with refused(sale.names['Technical']):
                world[login](*attempt)


def wait():
    "Return the time between what was done and what comes next"
    time.sleep(.1)
    now = dt.datetime.now()
    time.sleep(.1)
    return now


@pytest.fixture
def past(world):
    return wait()


def test_left_past(world, past):
    "Who left does not sign as of the time when they belonged to it"
    sale = order('open')
    attempt = ('sale.review.signoff.approve', [sale.signoffs['Technical']])
    department = get('company.department', ('name', '=', "Technical"))
    member = get(
        'company.department.member', ('department.name', '=', "Technical"))
    with changed('company.department.member', member, end_date=YESTERDAY), \
            changed('company.department', department, head=employee("Otto")):
        for login in ['tina', 'tom']:
            with refused():
                world[login](*attempt, _datetime=past)
            # Nor do others see what held then
            world[login]('sale.review.signoff.search', [
                    ('can_sign', '=', True)], 0, None, None, _datetime=past)
            assert not world[login]('sale.review.signoff.search', [
                    ('can_sign', '=', True)], 0, None, None)
            with refused(sale.names['Technical']):
                world[login](*attempt)


# Confirm


def test_confirm(world, orders, subtests):
    for state in ['required', 'open']:
        sale = orders[state]
        for login in ['sam', 'eve', 'bob', 'admin']:
            with subtests.test(state, login=login), refused(
                    sale.number, "Technical", "Finance"):
                world[login]('sale.sale.confirm', [sale.id])
        for login in ['tina', 'olga', 'audi', 'nora']:
            with subtests.test(state, login=login), refused():
                world[login]('sale.sale.confirm', [sale.id])
    # All of them or none
    approved = order('approved')
    with refused(orders['required'].number, orders['open'].number):
        world.sam('sale.sale.confirm', [
                approved.id, orders['open'].id, orders['required'].id])
    for state in ['draft', 'required', 'open']:
        for button in ['process', 'proceed']:
            for login in ['sam', 'admin']:
                with unchanged():
                    world[login](f'sale.sale.{button}', [orders[state].id])


def test_edit_after_approval(world):
    sale = order('approved')
    world.sam('sale.sale.draft', [sale.id])
    with refused(sale.number):
        world.sam('sale.sale.confirm', [sale.id])
    world.sam('sale.line.write', sale.lines, {'quantity': 99})
    world.sam('sale.sale.quote', [sale.id])
    with refused(sale.number, "Quantity", "10", "99"):
        world.sam('sale.sale.confirm', [sale.id])
    # As approved again
    world.sam('sale.sale.draft', [sale.id])
    world.sam('sale.line.write', sale.lines, {'quantity': 10})
    world.sam('sale.sale.quote', [sale.id])
    world.sam('sale.sale.confirm', [sale.id])


def test_stale(world):
    "A client that has loaded the order before it changed"
    sale = order('approved')
    stale = wait()
    world.sam('sale.sale.draft', [sale.id])
    world.sam('sale.line.write', sale.lines, {'quantity': 99})
    world.sam('sale.sale.quote', [sale.id])
    for context, text in [
            ({'_timestamp': {f'sale.sale,{sale.id}': str(stale)}},
                sale.number),
            ({'_datetime': stale}, "history"),
            ({}, sale.number),
            ]:
        with refused(text):
            world.eve('sale.sale.confirm', [sale.id], **context)


def test_rule_changed(world):
    sale, approved = order('open'), order('approved')
    rules = search('sale.review.rule', ('company.party.name', '!=', "B"))
    with refused("Technical"):
        world.adam('sale.review.rule.delete', rules)
    for id_ in rules:
        world.adam('sale.review.rule.write', [id_], {
                'signatories': 'all', 'stage': 9, 'name': "Other",
                'department': get(
                    'company.department', ('name', '=', "Legal"))})
    try:
        # What was submitted stays as it was
        review = review_of(sale)
        assert review.states == {'Technical': 'pending', 'Finance': 'waiting'}
        with refused(sale.names['Technical']):
            world.otto('sale.review.signoff.approve', [
                    sale.signoffs['Technical']])
        with refused(sale.number, "Technical", "Finance"):
            world.sam('sale.sale.confirm', [sale.id])
        world.adam('sale.review.rule.write', rules, {'active': False})
        with refused(sale.number, "Technical", "Finance"):
            world.sam('sale.sale.confirm', [sale.id])
        with refused(sale.number):
            world.sam('sale.line.write', sale.lines, {'quantity': 99})
        with refused(approved.number):
            world.sam('sale.line.write', approved.lines, {'quantity': 99})
        with refused(sale.names['Finance']):
            world.fred('sale.review.signoff.approve', [
                    sale.signoffs['Finance']])
        # Not stuck
        world.sam('sale.review.withdraw', [sale.review])
        world.sam('sale.sale.confirm', [sale.id])
        world.sam('sale.sale.confirm', [approved.id])
    finally:
        with server():
            Rule = Pool().get('sale.review.rule')
            for id_, name, stage, signatories in zip(
                    rules, ["Technical", "Finance"], [1, 2], ['any', 'head']):
                department, = Pool().get('company.department').search([
                        ('name', '=', name)])
                Rule.write([Rule(id_)], {
                        'name': name, 'department': department.id,
                        'stage': stage, 'signatories': signatories,
                        'active': True})


def test_inactive_rule(world):
    "A client cannot have rules that are not active applied"
    rules = search('sale.review.rule', ('company.party.name', '!=', "B"))
    with changed('sale.review.rule', *rules, active=False):
        sale = order('required')
        world.sam('sale.sale.confirm', [sale.id], active_test=False)
        assert get_state(sale)[0] == 'processing'


def test_delete(world):
    sale = order('approved')
    world.sam('sale.sale.draft', [sale.id])
    for login in ['sam', 'admin']:
        with refused(sale.number, "reviewed"):
            world[login]('sale.sale.delete', [sale.id])
    world.sam('sale.sale.cancel', [sale.id])
    with refused(sale.number, "reviewed"):
        world.sam('sale.sale.delete', [sale.id])


def test_attachment(world):
    sale = order('open')
    signoff = f"sale.review.signoff,{sale.signoffs['Technical']}"

    def attach(login, resource):
        id_, = world[login]('ir.attachment.create', [{
                    'name': "Drawing", 'type': 'link', 'link': "x",
                    'resource': resource}])
        return id_

    attachment = attach('tina', signoff)
    other = attach('sam', f'sale.sale,{sale.id}')
    world.tina('sale.review.signoff.approve', [sale.signoffs['Technical']])
    for login in ['tina', 'sam', 'otto', 'adam', 'admin']:
        for values in [
                {'name': "Other"}, {'link': "y"},
                {'resource': f'sale.sale,{sale.id}'}]:
            with refused():
                world[login]('ir.attachment.write', [attachment], values)
        with refused():
            world[login]('ir.attachment.delete', [attachment])
    with refused("Drawing", sale.names['Technical']):
        world.tina('ir.attachment.delete', [attachment])
    world.sam('ir.attachment.delete', [other])


# Submit


def submit(client, *ids, state='submit', model='sale.sale', **context):
    return client.wizard(
        'sale.sale.submit_review', state, model, list(ids), **context)


def test_submit(world, orders, subtests):
    sale = orders['required']
    for login in ['tina', 'otto', 'olga', 'audi']:
        for state in ['start', 'submit']:
            with subtests.test(login=login, state=state), refused():
                submit(world[login], sale.id, state=state)
            with refused():
                submit(world[login], sale.id, state=state, action_id=10**6)
    for login in ['nora', 'admin']:
        with subtests.test(login=login), refused(
                sale.number, "employee", "Dunder Mifflin"):
            submit(world[login], sale.id)
    with refused(sale.number, "employee"):
        submit(world.bob, sale.id, employee=employee("Bob", "B"))
    for state in ['draft', 'confirmed', 'processing']:
        with subtests.test(state=state), refused("quotation", "Quote it"):
            submit(world.sam, orders[state].id)
    for state in ['open', 'approved']:
        with subtests.test(state=state), refused(orders[state].number):
            submit(world.sam, orders[state].id)
    # All of them or none
    with refused(orders['open'].number):
        submit(world.sam, sale.id, orders['open'].id)


@pytest.mark.parametrize('model', [
        'sale.review', 'sale.review.signoff', 'ir.ui.menu', 'party.party',
        None])
@pytest.mark.parametrize('context', [{}, {'action_id': 10**6}])
@pytest.mark.parametrize('state', ['start', 'submit'])
def test_submit_other_model(world, orders, model, context, state):
    id_ = search(model)[0] if model else 1
    for login in ['sam', 'fred']:
        with unchanged():
            submit(world[login], id_, model=model, state=state, **context)


def test_modify_header(world, orders):
    other = get('party.party', ('name', '=', "Other"))
    for state in STATES[1:]:
        sale = orders[state]
        for step in ['start', 'modify']:
            with refused(sale.number):
                world.sam.wizard(
                    'sale.modify_header', step, 'sale.sale', [sale.id],
                    {'start': {'party': other, 'comment': "x"}})


def create_party(name, address=None):
    with server():
        party, = Pool().get('party.party').create([{
                    'name': name,
                    'addresses': [('create', [address or {}])]}])
        return party.id


def create_sale(login, party, company="Dunder Mifflin"):
    "Return the id of a new quotation to the party"
    company = get('company.company', ('party.name', '=', company))
    with server(login):
        Sale = Pool().get('sale.sale')
        Line = Pool().get('sale.line')
        sale = Sale(company=company, party=party)
        sale.currency = sale.company.currency
        sale.warehouse = Sale.default_warehouse()
        sale.on_change_party()
        sale.lines = [Line(
                type='line', description="Help", quantity=1,
                unit_price=Decimal(10), taxes=[])]
        sale.save()
        Sale.quote([sale])
        return sale.id


def replace(client, source, destination):
    ask = {'ask': {'source': source, 'destination': destination}}
    args = ['party.replace', 'replace', 'party.party', [source], ask]
    with pytest.raises(Fault) as info:
        client.wizard(*args)
    name, *_ = info.value.args[1]
    client('res.user.warning.create', [{'user': client.user, 'name': name}])
    client.wizard(*args)


def test_party_replace(world):
    "The content has changed when its customer is another one"
    old, new = create_party("Old"), create_party("New")
    sale = create_sale('sam', old)
    submit(world.sam, sale)
    signoff, _ = search('sale.review.signoff', ('review.sale', '=', sale))
    replace(world.admin, old, new)
    with refused("Party: Old → New"):
        world.tina('sale.review.signoff.approve', [signoff])

    old = create_party("Old")
    sale = create_sale('sam', old)
    submit(world.sam, sale)
    signoffs = search('sale.review.signoff', ('review.sale', '=', sale))
    for login, signoff in zip(['tina', 'fred'], signoffs):
        world[login]('sale.review.signoff.approve', [signoff])
    replace(world.admin, old, new)
    with refused("Party: Old → New"):
        world.sam('sale.sale.confirm', [sale])


def test_party_replace_rule(world):
    "The rule for a customer holds for who replaces it"
    old, new = create_party("Old"), create_party("New")
    legal = get('company.department', ('name', '=', "Legal"))
    with server():
        Rule = Pool().get('sale.review.rule')
        department = Pool().get('company.department')(legal)
        rule, = Rule.create([{
                    'name': "Old", 'party': old, 'department': legal,
                    'company': department.company.id}])
        rule = rule.id
    replace(world.admin, old, new)
    with server():
        Rule = Pool().get('sale.review.rule')
        party = Rule(rule).party.name
        Rule.delete([Rule(rule)])
    assert party == "New"


def test_address(world):
    "What was signed is not sent to somewhere else under the same address"
    party = create_party("Addressee")
    sale = create_sale('sam', party)
    submit(world.sam, sale)
    signoffs = search('sale.review.signoff', ('review.sale', '=', sale))
    for login, signoff in zip(['tina', 'fred'], signoffs):
        world[login]('sale.review.signoff.approve', [signoff])
    address = get('party.address', ('party', '=', party))
    world.sam('party.address.write', [address], {'city': "Elsewhere"})
    with refused("Elsewhere"):
        world.sam('sale.sale.confirm', [sale])


# Two companies


def test_companies(world, orders):
    for model, ids in [
            ('sale.review', [orders['open'].review]),
            ('sale.review.signoff', list(orders['open'].signoffs.values())),
            ('sale.review.decision', orders['approved'].decisions),
            ('company.department', search(
                    'company.department', ('company.party.name', '!=', "B"))),
            ('sale.review.rule', search(
                    'sale.review.rule', ('company.party.name', '!=', "B"))),
            ('company.department.member', search(
                    'company.department.member',
                    ('department.company.party.name', '!=', "B")))]:
        for context in [{}, {'company': 1}, {'companies': [1, 2]}]:
            assert not world.olga(
                f'{model}.search', [('id', 'in', ids)], 0, None, None,
                **context)
            assert not world.olga(
                f'{model}.search_count', [('id', 'in', ids)], 0, None,
                **context)
            with refused():
                world.olga(f'{model}.read', ids, ['rec_name'], **context)
    for name in ['can_sign', 'awaited', 'signed']:
        found = world.olga(
            'sale.review.signoff.search', [(name, '=', True)], 0, None, None)
        assert not found
    for login in ['nora', 'audi', 'otto']:
        for name in ['can_sign', 'signed']:
            assert not world[login](
                'sale.review.signoff.search', [(name, '=', True)], 0, None,
                None)


def test_other_company(world):
    sale = create_sale(
        'olga', get('party.party', ('name', '=', "Other")), "B")
    # The employee of the one company does nothing in the other
    with refused("employee"):
        submit(world.bob, sale)
    b = get('company.company', ('party.name', '=', "B"))
    as_b = {'company': b, 'employee': employee("Bob", "B")}
    with refused("employee"):
        submit(world.bob, sale, company=b)
    submit(world.bob, sale, **as_b)
    with server():
        signoff, = Pool().get('sale.sale')(sale).review.signoffs
        assert signoff.department.name == "Others"
        signoff = signoff.id
    for login in ['tina', 'fred', 'sam']:
        with refused():
            world[login]('sale.review.signoff.approve', [signoff])
        with refused():
            world[login](
                'sale.review.signoff.approve', [signoff], company=b)
    with refused("employee"):
        world.bob('sale.review.signoff.approve', [signoff])
    world.bob('sale.review.signoff.approve', [signoff], **as_b)
    with server():
        assert Pool().get('sale.sale')(sale).review_state == 'approved'


# What rules apply


@contextmanager
def new_rule(department="Legal", **values):
    "Create a rule of company A, instead of those that it has"
    rules = search('sale.review.rule', ('company.party.name', '!=', "B"))
    with changed('sale.review.rule', *rules, active=False):
        with server():
            department, = Pool().get('company.department').search([
                    ('name', '=', department)])
            rule, = Pool().get('sale.review.rule').create([{
                        'name': "New Rule", 'department': department.id,
                        'company': department.company.id, **values}])
            id_ = rule.id
        try:
            yield id_
        finally:
            with server():
                Rule = Pool().get('sale.review.rule')
                Signoff = Pool().get('sale.review.signoff')
                rule = Rule(id_)
                if Signoff.search([('rule', '=', id_)], limit=1):
                    Rule.write([rule], {'active': False})
                else:
                    Rule.delete([rule])


GIFT = {
    'type': 'line', 'description': "Discount", 'quantity': 1,
    'unit_price': Decimal(-6000), 'taxes': None}


@pytest.mark.parametrize('criteria', [
        {'maximum_margin': Decimal('.1')},
        {'minimum_discount': Decimal('.5')},
        {'maximum_amount': Decimal(5000)}])
def test_gift(world, criteria):
    "What is given away on a line without product counts"
    with new_rule(**criteria):
        sale = order('draft')
        world.sam('sale.sale.quote', [sale.id])
        assert get_state(sale) == ('quotation', 'none')
        world.sam('sale.sale.draft', [sale.id])
        world.sam('sale.line.create', [{'sale': sale.id, **GIFT}])
        world.sam('sale.sale.quote', [sale.id])
        assert get_state(sale) == ('quotation', 'required')
        with refused("Legal"):
            world.sam('sale.sale.confirm', [sale.id])


def test_past(world):
    "Nothing is done as of a time when it was allowed"
    sale = order('draft')
    start = wait()
    world.sam('sale.sale.quote', [sale.id])
    submit(world.sam, sale.id)
    signoffs = search('sale.review.signoff', ('review.sale', '=', sale.id))
    for login, signoff in zip(['tina', 'fred'], signoffs):
        world[login]('sale.review.signoff.approve', [signoff])
    approved = wait()
    for method, *args in [
            ('sale.sale.write', [sale.id], {'comment': "x"}),
            ('sale.line.write', sale.lines, {'quantity': 99}),
            ('sale.line.delete', sale.lines),
            ('sale.line.create', [{'sale': sale.id, **GIFT}]),
            ('sale.sale.delete', [sale.id]),
            ]:
        for login in ['sam', 'admin']:
            # Stock fails to check the access to the past
            with unchanged():
                world[login](method, *args, _datetime=start)
    world.sam('sale.sale.draft', [sale.id])
    world.sam('sale.line.write', sale.lines, {'quantity': 99})
    world.sam('sale.sale.quote', [sale.id])
    with refused():
        world.sam('sale.sale.confirm', [sale.id], _datetime=approved)
    with refused():
        submit(world.sam, sale.id, _datetime=approved)
    with refused("Quantity", "10", "99"):
        world.sam('sale.sale.confirm', [sale.id])


def test_past_buttons(world, subtests):
    "Nor is a review left behind by who looks at the time before it"
    sale = order('draft')
    start = wait()
    world.sam('sale.sale.quote', [sale.id])
    quoted = wait()
    submit(world.sam, sale.id)
    for button in ['draft', 'quote', 'cancel', 'confirm', 'process']:
        for past in [start, quoted]:
            for login in ['sam', 'admin']:
                with subtests.test(button, login=login), unchanged():
                    world[login](
                        f'sale.sale.{button}', [sale.id], _datetime=past)


def test_language(world):
    "What is signed does not depend on the language of who signs"
    with server():
        country, = Pool().get('country.country').create([{
                    'name': "China", 'code': 'CN'}])
        country = country.id
    party = create_party("Acme China", {
            'street': "Nanjing Road 1", 'postal_code': "200000",
            'city': "Shanghai", 'country': country})
    sale = create_sale('sam', party)
    submit(
        world.sam, sale, language='en', address_with_party=True,
        address_from_country=country)
    signoffs = search('sale.review.signoff', ('review.sale', '=', sale))
    for login, signoff in zip(['tina', 'fred'], signoffs):
        world[login](
            'sale.review.signoff.approve', [signoff], language='zh_CN')
    world.sam('sale.sale.confirm', [sale], language='zh_CN')


def test_price_list(world):
    "The discount does not depend on the price list that a client sends"
    company = get('company.company', ('party.name', '!=', "B"))
    with server():
        price_list, = Pool().get('product.price_list').create([{
                    'name': "Cheap", 'company': company, 'price': 'list_price',
                    'unit': 'product_default',
                    'lines': [('create', [{'formula': 'unit_price * 0.1'}])],
                    }])
        price_list = price_list.id
    with new_rule(minimum_discount=Decimal('.1')):
        sale = order('draft')
        world.sam('sale.line.write', sale.lines, {'unit_price': Decimal(500)})
        world.sam('sale.sale.quote', [sale.id], price_list=price_list)
        assert get_state(sale) == ('quotation', 'required')
        with refused():
            world.sam('sale.sale.confirm', [sale.id], price_list=price_list)


@pytest.mark.parametrize('context', [
        {'date': dt.date(2000, 1, 1)}, {'sale_date': dt.date(2000, 1, 1)},
        {'company': None}, {'currency': None}, {'uom': None},
        {'active_test': False}, {'language': 'zh_CN'}, {'price_list': 1},
        ])
def test_criteria_context(world, context):
    "The rules do not depend on what a client sends besides"
    with new_rule(
            minimum_amount=Decimal(1), maximum_margin=Decimal('.5'),
            first_order=False, new_customer=False, condition=(
                '{"__class__": "Equal", "s1": {"__class__": "Get", "v": '
                '{"__class__": "Eval", "v": "context", "d": {}}, '
                '"k": "company", "d": null}, "s2": {"__class__": "Eval", '
                '"v": "self.company", "d": null}}')):
        sale = order('draft')
        world.sam('sale.sale.quote', [sale.id], **context)
        assert get_state(sale) == ('quotation', 'required')
        with refused():
            world.sam('sale.sale.confirm', [sale.id], **context)


# What is not right


def test_rule_values(world, subtests):
    id_ = search('sale.review.rule', ('name', '=', "Technical"))
    for values in [
            {'deadline': 0}, {'deadline': -1},
            {'signatories': 'number', 'number': 0},
            {'signatories': 'number', 'number': None},
            {'minimum_amount': Decimal(2), 'maximum_amount': Decimal(1)},
            {'condition': '{'}, {'condition': 'true or'},
            {'condition': '{"__class__": "Eval", "v": "self.none"}'},
            {'department': get('company.department', ('name', '=', "Others"))},
            ]:
        with subtests.test(values=values), refused("Technical"):
            world.adam('sale.review.rule.write', id_, values)
    with refused():
        world.adam('sale.review.rule.write', id_, {
                'company': get('company.company', ('party.name', '=', "B"))})


def test_failing_condition(world):
    "An order is held while a rule cannot be evaluated"
    with new_rule():
        sale = order('draft')
        rule = get('sale.review.rule', ('name', '=', "New Rule"))
        with server() as transaction:
            # It evaluated when it was saved
            Rule = Pool().get('sale.review.rule')
            table = Rule.__table__()
            transaction.connection.cursor().execute(*table.update(
                    [table.condition], ['{"__class__": "Greater", "s1": '
                        '{"__class__": "Eval", "v": "self.reference"}, '
                        '"s2": 1}'], where=table.id == rule))
            Rule._rules_cache.clear()
        world.sam('sale.sale.quote', [sale.id])
        assert get_state(sale) == ('quotation', 'required')
        with refused("New Rule"):
            world.sam('sale.sale.confirm', [sale.id])
        with refused("New Rule"):
            submit(world.sam, sale.id)


def test_submit_nothing(world):
    sale = order('draft')
    world.sam('sale.line.write', sale.lines, {
            'type': 'comment', 'product': None, 'quantity': None,
            'unit': None, 'unit_price': None, 'taxes': [['remove', []]]})
    world.sam('sale.sale.quote', [sale.id])
    with refused("lines"):
        submit(world.sam, sale.id)


def test_submit_nobody(world, subtests):
    "A department of which nobody can sign"
    for values in [
            {'signatories': 'number', 'number': 2},
            {'segregated': True, 'department': "Sellers"},
            {'department': "Nobody"},
            ]:
        name = values.setdefault('department', "Legal")
        with server():
            Department = Pool().get('company.department')
            if not Department.search([('name', '=', name)]):
                legal, = Department.search([('name', '=', "Legal")])
                head = None
                if name == "Sellers":
                    head, = Pool().get('company.employee').search([
                            ('party.name', '=', "Sam")])
                Department.create([{
                            'name': name, 'company': legal.company.id,
                            'head': head}])
        with subtests.test(values), new_rule(**values):
            sale = order('required')
            with refused(sale.number, name, "New Rule"):
                submit(world.sam, sale.id)


def test_late(world):
    sale = order('open')
    signoff, name = sale.signoffs['Technical'], sale.names['Technical']
    with changed(
            'sale.review.signoff', signoff, _sale_review=True,
            deadline=TODAY - dt.timedelta(days=30)):
        before = get_content()
        with pytest.raises(Fault) as info:
            world.tina('sale.review.signoff.approve', [signoff])
        assert info.value.name == 'UserWarning'
        assert name in str(info.value)
        assert get_content() == before


def test_changed(world):
    "The content changed by other means"
    sale = order('open')
    with changed('sale.line', *sale.lines, quantity=99):
        with refused(sale.number, "Quantity", "10", "99"):
            world.tina(
                'sale.review.signoff.approve', [sale.signoffs['Technical']])
        with refused(sale.number):
            world.sam('sale.sale.confirm', [sale.id])
    sale = order('approved')
    with changed('sale.line', *sale.lines, quantity=99):
        with refused(sale.number, "Quantity", "10", "99"):
            world.sam('sale.sale.confirm', [sale.id])
    sale = order('confirmed')
    with changed('sale.line', *sale.lines, quantity=99):
        with refused(sale.number, "Quantity", "10", "99"):
            world.admin('sale.sale.process', [sale.id])
        assert get_state(sale)[0] == 'confirmed'
    world.admin('sale.sale.process', [sale.id])
    assert get_state(sale)[0] == 'processing'


def test_wrong_delegation(world):
    values = {
        'company': get('company.company', ('party.name', '!=', 'B')),
        'employee': employee("Tina"), 'start_date': TODAY, 'end_date': TODAY}

    def delegate(substitute, **others):
        world.tina('company.department.delegation.create', [
                {**values, 'substitute': employee(substitute), **others}])

    with refused("Tina", "own substitute"):
        delegate("Tina")
    with refused("End Date"):
        delegate("Tom", end_date=YESTERDAY)
    with delegated(world, "Tom", "Tina"):
        with refused("Tina", "Tom"):
            delegate("Tom")
        with refused("Tina", "Tom"):
            delegate("Otto")
    with delegated(world, "Tina", "Tom"):
        with refused("Tina", "Tom"):
            delegate("Otto")


# Without rules


def test_no_rule(world):
    "Without rules the same is allowed as in stock"
    rules = search('sale.review.rule')
    with changed('sale.review.rule', *rules, active=False):
        draft, sale = order('draft'), order('required')
        assert get_state(sale) == ('quotation', 'none')
        line, = sale.lines
        for method, *args in [
                ('sale.sale.write', [sale.id], {'comment': "x"}),
                ('sale.sale.write', [sale.id], {'invoice_method': 'manual'}),
                ('sale.sale.write', [sale.id], {'description': "x"}),
                ('sale.sale.write', [sale.id], {
                        'lines': [['write', [line], {'quantity': 99}]]}),
                ('sale.line.write', [line], {'unit_price': Decimal(1)}),
                ('sale.line.write', [line], {'sale': draft.id}),
                ('sale.line.write', [line], {'sale': sale.id}),
                ('sale.line.write', draft.lines, {'sale': sale.id}),
                ('sale.sale.write', [draft.id], {'state': 'quotation'}),
                ('sale.sale.copy', [draft.id], {'state': 'quotation'}),
                ('sale.sale.confirm', [sale.id]),
                ('sale.sale.write', [sale.id], {'comment': "y"}),
                ('sale.line.write', [line], {'description': "x"}),
                ]:
            world.sam(method, *args)
        # But nobody pretends that there was a review
        with refused(sale.number):
            world.sam('sale.sale.write', [sale.id], {
                    'review_state': 'approved'})
        sale = order('required')
        with refused(sale.number, "No rule"):
            submit(world.sam, sale.id)
