# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody gets round the intake and the inquiries, whatever a client sends"
import datetime as dt

import pytest

from trytond.pool import Pool

from .rpc import Fault, activate_world, server
from .test_access import World, employee, get, order, refused, search

pytestmark = pytest.mark.xdist_group('intake_access')

TODAY = dt.date.today()
PARTS = ['sale.requirement', 'sale.processing.document']
USERS = ['sam', 'tina', 'fred', 'otto', 'olga', 'nora', 'audi', 'adam']
ASK = {
    'asked_of': 'customer', 'department': None, 'person': "Carla",
    'means': 'email', 'question': "VAT number?", 'reply_due': TODAY,
    }


@pytest.fixture(scope='module')
def world():
    activate_world()
    return World()


def fill(sale):
    with server('sam'):
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        Document = pool.get('sale.processing.document')
        requirement, = Requirement.create([{
                    'sale': sale.id, 'text': "Training", 'oral': True,
                    'confirmed_how': 'email', 'confirmed_with': "Carla"}])
        document, = Document.create([{'sale': sale.id, 'kind': 'sample'}])
        sale.parts = dict(zip(PARTS, [requirement.id, document.id]))
    return sale


def ask(client, signoff, **values):
    context = values.pop('context', {})
    client.wizard(
        'sale.review.signoff.ask', 'ask', 'sale.review.signoff', [signoff],
        {'start': {**ASK, **values}}, **context)
    return search('sale.review.inquiry')[-1]


def answer(client, inquiry, reply="NO 974 760 673", **context):
    client.wizard(
        'sale.review.inquiry.answer', 'record_reply', 'sale.review.inquiry',
        [inquiry], {'start': {'reply': reply, 'person': "Carla"}}, **context)


@pytest.fixture(scope='module')
def orders(world):
    sales = {s: fill(order(s)) for s in ['draft', 'required', 'approved']}
    sales['open'] = sale = order('open')
    sale.inquiry = ask(world.tina, sale.signoffs['Technical'])
    return sales


def values_of(model, id_):
    with server():
        Model = Pool().get(model)
        names = {
            n for n, f in Model._fields.items()
            if not hasattr(f, 'getter') and n not in {
                'id', 'create_uid', 'create_date', 'write_uid', 'write_date'}}
        values, = Model.read([id_], list(names))
    del values['id']
    return values


def test_methods(world):
    "Only the buttons are added to what clients can call"
    with server():
        pool = Pool()

        def methods(model):
            Model = pool.get(model)
            return {n for n, rpc in Model.__rpc__.items() if not rpc.readonly}

        common = methods('sale.review.decision')
        assert {
            m: methods(m) - common for m in [*PARTS, 'sale.review.inquiry']
            } == {
            'sale.requirement': {'confirm'},
            'sale.processing.document': set(),
            'sale.review.inquiry': {'answer'},
            }


@pytest.mark.parametrize('method', [
        'sale.review.signoff.pause', 'sale.review.signoff.resume',
        'sale.review.signoff.check_ask', 'sale.review.inquiry.record_reply',
        'sale.review.inquiry.cancel', 'sale.review.inquiry.notify',
        'sale.review.inquiry.remind', 'sale.sale.get_intake_missing',
        'sale.configuration.intake.create', 'sale.configuration.intake.write',
        'sale.channel-company.employee.create',
        ])
def test_private_method(world, orders, method):
    for login in ['sam', 'tina', 'adam']:
        with pytest.raises(Fault, match='403'):
            world[login](method, [orders['open'].id])


# What belongs to the order


@pytest.mark.parametrize('model', PARTS)
@pytest.mark.parametrize('state', ['draft', 'required', 'approved'])
def test_foreign_parts(world, orders, model, state):
    "Who does not sell, or sells for another company, changes nothing"
    sale = orders[state]
    id_ = sale.parts[model]
    values = values_of(model, id_)
    for login in ['tina', 'otto', 'olga', 'audi']:
        client = world[login]
        with refused():
            client(f'{model}.create', [
                    {**values, 'kind': list(KINDS[model])[-1]}])
        for name, value in values.items():
            with refused():
                client(f'{model}.write', [id_], {name: value})
        with refused():
            client(f'{model}.copy', [id_], {})
        with refused():
            client(f'{model}.delete', [id_])
        with refused():
            client(f'{model}.import_data', ['id', 'kind'], [[id_, 'own']])
        if model == 'sale.requirement':
            with refused():
                client('sale.requirement.confirm', [id_])


KINDS = {
    'sale.requirement': ['stated', 'own'],
    'sale.processing.document': ['sample', 'work_instruction'],
    }


@pytest.mark.parametrize('model', PARTS)
@pytest.mark.parametrize('state', ['required', 'open', 'approved'])
def test_frozen_parts(world, orders, model, state, subtests):
    "Who sells does not change what is reviewed either"
    sale, draft = orders[state], orders['draft']
    number = f'"{sale.number}"'
    field = {
        'sale.requirement': 'requirements',
        'sale.processing.document': 'processing_documents',
        }[model]
    kind = KINDS[model][-1]
    other = draft.parts[model]
    values = {'text': "x"} if model == 'sale.requirement' else {}
    attempts = {
        'create': (f'{model}.create', [
                {'sale': sale.id, 'kind': kind, **values}]),
        'create one2many': ('sale.sale.write', [sale.id], {
                field: [['create', [{'kind': kind, **values}]]]}),
        'move in': (f'{model}.write', [other], {'sale': sale.id}),
        'copy into': (f'{model}.copy', [other], {
                'sale': sale.id, 'kind': kind}),
        }
    if state != 'open':
        id_ = sale.parts[model]
        attempts.update({
                'write': (f'{model}.write', [id_], {'kind': kind}),
                'write both': (
                    f'{model}.write', [other], {'kind': kind},
                    [id_], {'kind': kind}),
                'write one2many': ('sale.sale.write', [sale.id], {
                        field: [['write', [id_], {'kind': kind}]]}),
                'delete one2many': ('sale.sale.write', [sale.id], {
                        field: [['delete', [id_]]]}),
                'move out': (f'{model}.write', [id_], {'sale': draft.id}),
                'delete': (f'{model}.delete', [id_]),
                'import': (
                    f'{model}.import_data', ['id', 'kind'], [[id_, kind]]),
                })
    for name, (method, *args) in attempts.items():
        for context in [{}, {'_sale_review': True}, {'_check_access': False}]:
            with subtests.test(name, context=context), refused(number):
                world.sam(method, *args, **context)


def test_confirmation(world):
    "A confirmation is recorded by the button and stays"
    sale = fill(order('draft'))
    id_ = sale.parts['sale.requirement']
    sam = world.sam
    values = {'confirmed_at': dt.datetime.now()}
    by = {'confirmed_by': employee("Tina")}
    for context in [{}, {'_sale_review': True}]:
        for value in [values, by, {**values, **by}]:
            with refused("Training", "evidence"):
                sam('sale.requirement.write', [id_], value, **context)
            with refused("evidence"):
                sam('sale.requirement.create', [
                        {'sale': sale.id, 'text': "x", **value}], **context)
            with refused("evidence"):
                sam('sale.sale.write', [sale.id], {
                        'requirements': [['write', [id_], value]]}, **context)
    with refused("employee"):
        world.nora('sale.requirement.confirm', [id_])
    sam('sale.requirement.confirm', [id_], employee=employee("Sam"))
    with refused("Training"):
        sam('sale.requirement.confirm', [id_])
    for value in [
            {'text': "None"}, {'confirmed_with': "Otto"}, {'oral': False},
            {'confirmed_at': None}]:
        with refused("Training", "evidence"):
            sam('sale.requirement.write', [id_], value)
    copy, = sam('sale.requirement.copy', [id_], values)
    record, = sam('sale.requirement.read', [copy], ['confirmed_at'])
    assert record['confirmed_at'] is None


def test_oral(world):
    "An order is not accepted with an oral requirement"
    sale = fill(order('draft'))
    world.sam('sale.sale.quote', [sale.id])
    world.sam.wizard(
        'sale.sale.submit_review', 'start', 'sale.sale', [sale.id])
    with refused(sale_number(sale), "Training"):
        world.sam.wizard(
            'sale.sale.submit_review', 'submit', 'sale.sale', [sale.id])
    with refused(sale_number(sale), "Training"):
        world.sam('sale.sale.confirm', [sale.id])


def sale_number(sale):
    with server():
        return Pool().get('sale.sale')(sale.id).number


def test_entry(world, orders):
    "Who entered an order and when is not what a client says"
    sale = orders['draft']
    past = TODAY - dt.timedelta(days=90)
    world.sam('sale.sale.write', [sale.id], {'entered_on': past})
    id_, = world.sam('sale.sale.copy', [sale.id], {
            'entered_on': past, 'entry_deadline': TODAY})
    for record in world.sam('sale.sale.read', [sale.id, id_], [
                'entered_on', 'entry_deadline', 'entered_by']):
        assert record['entered_on'] == TODAY
        assert record['entry_deadline'] is None
        assert record['entered_by'] == world.sam.user


# Inquiries


def test_inquiry_evidence(world, orders):
    "Nobody writes an inquiry, not even who administers"
    model = 'sale.review.inquiry'
    id_ = orders['open'].inquiry
    values = values_of(model, id_)
    for login in [*USERS, 'admin']:
        client = world[login]
        for context in [{}, {'_sale_review': True}, {'_check_access': False}]:
            with refused():
                client(f'{model}.create', [
                        {**values, 'state': 'answered', 'reply': "x"}],
                    **context)
            with refused():
                client(f'{model}.write', [id_], {'reply': "x"}, **context)
        for name, value in values.items():
            with refused():
                client(f'{model}.write', [id_], {name: value})
        with refused():
            client(f'{model}.copy', [id_], {})
        with refused():
            client(f'{model}.delete', [id_])
        with refused():
            client(f'{model}.import_data', ['id', 'reply'], [[id_, 'x']])
        with refused():
            client('sale.sale.write', [orders['open'].id], {
                    'inquiries': [['delete', [id_]]]})
        signoff = orders['open'].signoffs['Technical']
        for value in [
                {'paused_since': None}, {'inquiries': [['delete', [id_]]]}]:
            with refused():
                client('sale.review.signoff.write', [signoff], value)


@pytest.mark.parametrize('login', [
        'sam', 'otto', 'olga', 'nora', 'audi', 'flo', 'fred', 'bob', 'adam'])
def test_ask_refused(world, orders, login):
    "Only who can sign asks"
    sale = orders['open']
    id_ = sale.signoffs['Technical']
    for context in [{}, {'employee': employee("Tina")}]:
        with refused():
            world[login]('sale.review.signoff.ask', [id_], **context)
        with refused():
            ask(world[login], id_, context=context)


def test_ask_wrong(world, orders):
    "An inquiry without a question, a date or somebody to ask is refused"
    sale = orders['open']
    id_, name = sale.signoffs['Technical'], sale.names['Technical']
    foreign = get('company.department', ('name', '=', "Others"))
    for values in [
            {'question': ""}, {'question': None}, {'person': None},
            {'reply_due': TODAY - dt.timedelta(days=1)}, {'reply_due': None},
            {'asked_of': 'department'},
            {'asked_of': 'department', 'department': foreign},
            ]:
        with refused(name):
            ask(world.tina, id_, **values)
    for values in [{'asked_of': 'x'}, {'means': 'x'}]:
        with refused():
            ask(world.tina, id_, **values)
    with refused(sale.names['Finance']):
        ask(world.fred, sale.signoffs['Finance'])


@pytest.mark.parametrize('login', [
        'tina', 'otto', 'olga', 'nora', 'audi', 'fred'])
def test_answer_refused(world, orders, login):
    "Only who sells answers for the customer"
    id_ = orders['open'].inquiry
    for context in [{}, {'employee': employee("Sam")}]:
        with refused():
            answer(world[login], id_, **context)
    with refused("enter the reply"):
        answer(world.sam, id_, reply=" ")


def test_course(world):
    "The sign-off waits for the reply and goes on"
    sale = order('open')
    signoff = sale.signoffs['Technical']
    legal = get('company.department', ('name', '=', "Legal"))
    one = ask(world.tina, signoff)
    two = ask(
        world.tom, signoff, asked_of='department', department=legal,
        person=None)
    with refused(sale.names['Technical'], "VAT number", "Sam", "Otto"):
        world.tina('sale.review.signoff.approve', [signoff])
    answer(world.sam, one)
    with refused("Otto"):
        answer(world.sam, two)
    with refused(sale.names['Technical'], "Otto"):
        world.tina('sale.review.signoff.approve', [signoff])
    answer(world.otto, two)
    for client, inquiry in [(world.sam, one), (world.otto, two)]:
        with refused("Answered"):
            answer(client, inquiry, reply="Other")
    world.tina('sale.review.signoff.approve', [signoff])


def test_companies(world, orders):
    "The other company sees none of it"
    for model, ids in [
            *((m, [orders['draft'].parts[m]]) for m in PARTS),
            ('sale.review.inquiry', [orders['open'].inquiry]),
            ]:
        assert world.olga(f'{model}.search', [], 0, None, None) == []
        with refused():
            world.olga(f'{model}.read', ids, ['create_date'])
        for login in ['sam', 'tina', 'audi']:
            assert world[login](f'{model}.search', [], 0, None, None)


# Configuration


def test_configuration(world):
    "Who does not administer sales does not say what an order must have"
    id_ = get('sale.configuration')
    for login in ['sam', 'tina', 'audi', 'olga']:
        for values in [
                {'intake_points': ['price']}, {'intake_check': 'quotation'},
                {'entry_days': 1}]:
            with refused():
                world[login]('sale.configuration.write', [id_], values)
    for values in [
            {'intake_points': ['x']}, {'intake_check': 'x'},
            {'entry_days': -1}]:
        with refused():
            world.admin('sale.configuration.write', [id_], values)


def test_configuration_companies(world):
    "What one company asks for does not hold the orders of another"
    b = get('company.company', ('party.name', '=', "B"))
    with server():
        Configuration = Pool().get('sale.configuration')
        Configuration(1).set_multivalue(
            'intake_points', ['contract_date'], company=b)
        Configuration(1).set_multivalue(
            'intake_check', 'quotation', company=b)
    sale = order('draft')
    world.sam('sale.sale.quote', [sale.id], company=b)
    assert search('sale.sale', ('id', '=', sale.id), (
            'state', '=', 'quotation'))


def test_handlers(world):
    "Handlers of another company are neither seen nor told"
    channel = get('sale.channel', ('name', '=', "Web Platform"))
    olga = employee("Olga", "B")
    eve = employee("Eve")
    with server():
        pool = Pool()
        Channel = pool.get('sale.channel')
        Channel.write([Channel(channel)], {
                'handlers': [('add', [olga, eve])]})
    record, = world.adam('sale.channel.read', [channel], ['handlers'])
    assert list(record['handlers']) == [eve]
    with refused():
        world.sam('sale.channel.write', [channel], {
                'handlers': [['remove', [eve]]]})
    world.sam(
        'sale.sale.copy', [get('sale.sale', ('state', '=', 'draft'))],
        {'channel': channel})
    for login, expected in [('eve', 1), ('olga', 0), ('sam', 0)]:
        notifications = world[login](
            'res.notification.search_read',
            [('label', 'ilike', '%on-line%')], 0, None, None, ['label'])
        assert len(notifications) == expected
