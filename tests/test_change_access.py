# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody gets round the review of amendments, whatever a client sends"
from decimal import Decimal
from types import SimpleNamespace

import pytest

from trytond.pool import Pool

from .rpc import Fault, activate_world, create_orders, get_content, server
from .test_access import (
    World, employee, get, order, refused, search, unchanged)

pytestmark = pytest.mark.xdist_group('change_access')

EVIDENCE = ['sale.change', 'sale.change.acknowledgement']
STATES = ['draft', 'open', 'approved', 'validated']
USERS = ['sam', 'tina', 'otto', 'olga', 'nora', 'audi', 'adam', 'admin']


@pytest.fixture(scope='module')
def world():
    activate_world('sale_amendment')
    with server():
        pool = Pool()
        Department = pool.get('company.department')
        Group = pool.get('res.group')
        Rule = pool.get('sale.review.rule')
        User = pool.get('res.user')
        Rule.write(Rule.search([]), {
                'subjects': ['sale.sale', 'sale.amendment']})
        Department.write(
            Department.search([('name', '=', "Technical")]),
            {'executes_orders': True})
        group, = Group.search([('name', '=', "Sale Amendment")])
        User.write(
            User.search([('login', 'in', ['sam', 'olga', 'nora'])]),
            {'groups': [('add', [group.id])]})
    return World()


@pytest.fixture(scope='module')
def amendments(world):
    "An amendment in each state, for the attempts that change nothing"
    return {s: amendment(s) for s in STATES}


def amendment(state):
    "Return a new amendment of a new order that got as far as the state"
    sale, = create_orders('processing')
    with server('sam'):
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        Review = pool.get('sale.review')
        line, = pool.get('sale.sale')(sale).lines
        record, = Amendment.create([{
                    'sale': sale,
                    'reason': "Call of the customer",
                    'asked_by': 'customer',
                    'lines': [('create', [{
                                    'action': 'line',
                                    'line': line.id,
                                    'product': line.product.id,
                                    'quantity': 12,
                                    'unit': line.unit.id,
                                    'unit_price': line.unit_price,
                                    }])],
                    }])
        if state != 'draft':
            Review.submit([record])
    if state in {'approved', 'validated'}:
        for login in ['tina', 'fred']:
            with server(login):
                Signoff = Pool().get('sale.review.signoff')
                Signoff.approve(Signoff.search([
                            ('review.origin', '=', str(record)),
                            ('state', '=', 'pending'),
                            ]))
    if state == 'validated':
        with server('sam'):
            Amendment = Pool().get('sale.amendment')
            Amendment.validate_amendment([Amendment(record.id)])
    with server():
        Amendment = Pool().get('sale.amendment')
        record = Amendment(record.id)
        return SimpleNamespace(
            id=record.id, name=f'({record.id})',
            sale=sale, sale_lines=[l.id for l in record.sale.lines],
            lines=[l.id for l in record.lines],
            review=record.review.id if record.review else None,
            acknowledgements=[
                a.id for a in record.sale.acknowledgements
                if a.origin == record])


def test_measures(world):
    "What is measured is shown to who only reads, and changes nothing"
    with server():
        pool = Pool()
        Checklist = pool.get('sale.review.checklist')
        Rule = pool.get('sale.review.rule')
        rules = Rule.search([('department.name', '=', "Technical")])
        checklist, = Checklist.create([{
                    'name': "Margin",
                    'company': rules[0].company.id,
                    'points': [('create', [{
                                    'question': "Margin",
                                    'answer_type': 'measure',
                                    'measure': 'gross_margin',
                                    }])],
                    }])
        Rule.write(rules, {'checklist': checklist.id})
    try:
        record = amendment('open')
    finally:
        with server():
            Rule = Pool().get('sale.review.rule')
            Rule.write(Rule.browse(rules), {'checklist': None})
    ids = world.tina('sale.review.answer.search', [
            ('signoff.review', '=', record.review)])
    before = get_content()
    answer, = world.tina('sale.review.answer.read', ids, ['measured'])
    assert '%' in answer['measured']
    assert get_content() == before


def test_methods(world):
    "Only the buttons are added to what clients can call"
    with server():
        pool = Pool()

        def methods(model):
            Model = pool.get(model)
            return {n for n, rpc in Model.__rpc__.items() if not rpc.readonly}

        common = methods('sale.channel')
        assert {m: methods(m) - common for m in [
                    *EVIDENCE, 'sale.amendment', 'sale.amendment.line']} == {
            'sale.change': set(),
            'sale.change.acknowledgement': {'acknowledge'},
            'sale.amendment': {
                'release_review', 'submit_review', 'validate_amendment'},
            'sale.amendment.line': set(),
            }


@pytest.mark.parametrize('method', [
        'sale.change.record', 'sale.change.record_rounds',
        'sale.change.get_values',
        'sale.change.acknowledgement.request', 'sale.amendment._try',
        'sale.amendment._get_plans', 'sale.amendment.open_review',
        'sale.amendment.return_review', 'sale.amendment.reset_review',
        'sale.amendment._set_review_state', 'sale.amendment.plan_reviews',
        'sale.amendment._check_review', 'sale.sale.open_review',
        'sale.sale.return_review',
        ])
def test_private_method(world, amendments, method):
    for login in ['sam', 'adam']:
        with pytest.raises(Fault, match='403'):
            world[login](method, [amendments['open'].id])


@pytest.mark.parametrize('model', EVIDENCE)
def test_evidence(world, amendments, model):
    "Nobody writes the log, not even who administers"
    id_ = search(model)[-1]
    with server():
        Model = Pool().get(model)
        names = {
            n for n, f in Model._fields.items()
            if not hasattr(f, 'getter') and n not in {
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
        # What the deletion of a line does
        if 'line' in values:
            with refused():
                client(f'{model}.write', [id_], {'line': None})
        with refused():
            client(f'{model}.write', [id_], {}, [id_], {name: None})
        with refused():
            client(f'{model}.copy', [id_], {})
        with refused():
            client(f'{model}.delete', [id_])
        with refused():
            client(f'{model}.import_data', ['id', name], [[id_, 'x']])
    field = 'changes' if model == 'sale.change' else 'acknowledgements'
    for command in [
            ['create', [values]], ['delete', [id_]], ['remove', [id_]],
            ['write', [id_], {'at': None}], ['copy', [id_], {}],
            ]:
        with unchanged():
            world.sam(
                'sale.sale.write', [amendments['draft'].sale],
                {field: [command]})


@pytest.mark.parametrize('key', [
        '_sale_review', '_sale_amendment_trial', '_check_access',
        '_skip_warnings', '_user', 'user'])
def test_context(world, amendments, key):
    for value in [True, False, 0, 1]:
        context = {key: value}
        for state in ['draft', 'open']:
            record = amendments[state]
            with refused(record.name):
                world.sam(
                    'sale.amendment.validate_amendment', [record.id],
                    **context)
        with refused(record.name):
            world.sam(
                'sale.amendment.line.write', record.lines, {'quantity': 99},
                **context)
        with refused():
            world.sam(
                'sale.change.delete', search('sale.change')[-1:], **context)


@pytest.mark.parametrize('state', STATES[1:])
def test_content(world, amendments, state, subtests):
    "What is under review or has changed the order does not change any more"
    record = amendments[state]
    draft = amendments['draft']
    line, = record.lines
    values = {'action': 'taxes'}

    def lines(*command):
        return (
            'sale.amendment.write', [record.id], {'lines': [list(command)]})

    attempts = {
        'write': ('sale.amendment.write', [record.id], {'reason': "x"}),
        'move': ('sale.amendment.write', [record.id], {'sale': draft.sale}),
        'write one2many': lines('write', [line], {'quantity': 99}),
        'delete one2many': lines('delete', [line]),
        'create one2many': lines('create', [values]),
        'add one2many': lines('add', draft.lines),
        'create line': (
            'sale.amendment.line.create',
            [{'amendment': record.id, **values}]),
        'write line': (
            'sale.amendment.line.write', [line], {'quantity': 99}),
        'move line out': (
            'sale.amendment.line.write', [line], {'amendment': draft.id}),
        'move line in': (
            'sale.amendment.line.write', draft.lines,
            {'amendment': record.id}),
        'copy line': ('sale.amendment.line.copy', [line], {}),
        'delete line': ('sale.amendment.line.delete', [line]),
        'delete': ('sale.amendment.delete', [record.id]),
        'sale': (
            'sale.sale.write', [record.sale], {'amendments': [
                    ['write', [record.id], {'reason': "x"}]]}),
        'sale delete': (
            'sale.sale.write', [record.sale], {'amendments': [
                    ['delete', [record.id]]]}),
        'import': (
            'sale.amendment.import_data', ['id', 'reason'],
            [[record.id, "x"]]),
        }
    for name, (method, *args) in attempts.items():
        # An approved amendment can be modified, but not deleted
        if state != 'approved' or name in {'delete', 'sale delete'}:
            with subtests.test(name), refused(record.name):
                world.sam(method, *args)
        for login in ['otto', 'olga', 'audi']:
            with subtests.test(name, login=login), refused():
                world[login](method, *args)


def test_approved_modified(world):
    "Who modifies what is approved must submit it again"
    record = amendment('approved')
    world.sam('sale.amendment.line.write', record.lines, {'quantity': 99})
    values, = world.sam('sale.amendment.read', [record.id], ['review_state'])
    assert values['review_state'] == 'required'
    with refused(record.name, "99"):
        world.sam('sale.amendment.validate_amendment', [record.id])


@pytest.mark.parametrize('state', STATES)
def test_state(world, amendments, state, subtests):
    record = amendments[state]
    other = 'approved' if state != 'approved' else 'open'
    review = amendments[other].review
    for values in [
            {'state': 'validated'}, {'state': 'draft'},
            {'review_state': 'approved'}, {'review_state': 'none'},
            {'review_state': 'released'},
            ]:
        with subtests.test(values=values), refused():
            world.sam('sale.amendment.write', [record.id], values)
    for default in [
            {'state': 'validated'}, {'review_state': 'approved'},
            {'review_state': 'required'},
            ]:
        with subtests.test(default=default), refused():
            world.sam('sale.amendment.copy', [record.id], default)
    for command in [
            ['create', [{'state': 'approved', 'round': 9}]],
            ['add', [review]],
            ['remove', [review]],
            ['delete', [review]],
            ['write', [review], {'state': 'open'}],
            ]:
        with subtests.test(command=command), refused():
            world.sam(
                'sale.amendment.write', [record.id], {'reviews': [command]})


@pytest.mark.parametrize('state', STATES)
def test_copy(world, amendments, state):
    "A copy has not been reviewed"
    review = amendments['approved'].review
    before = get_content()
    for default in [{}, {'reviews': [['add', [review]]]}]:
        id_, = world.sam(
            'sale.amendment.copy', [amendments[state].id], default)
        values, = world.sam(
            'sale.amendment.read', [id_], ['state', 'review_state', 'reviews'])
        assert values == {
            'id': id_, 'state': 'draft', 'review_state': 'none',
            'reviews': []}
        with refused(f'({id_})'):
            world.sam('sale.amendment.validate_amendment', [id_])
    after = get_content()
    assert all(
        after[m] == before[m] for m in ['sale.review', 'sale.review.signoff'])


def test_create(world, amendments):
    for values in [{'state': 'validated'}, {'review_state': 'approved'}]:
        with refused():
            world.sam('sale.amendment.create', [{
                        'sale': amendments['draft'].sale, **values}])


def test_buttons(world, amendments):
    "Nobody else submits or validates"
    record = amendments['draft']
    for login in ['otto', 'tina', 'olga', 'audi']:
        with refused():
            world[login]('sale.amendment.validate_amendment', [record.id])
        with refused():
            world[login].wizard(
                'sale.amendment.submit_review', 'submit', 'sale.amendment',
                [record.id])
    with refused("employee"):
        world.nora.wizard(
            'sale.amendment.submit_review', 'submit', 'sale.amendment',
            [record.id])
    # Neither with the wizard of orders
    with refused():
        world.sam.wizard(
            'sale.sale.submit_review', 'submit', 'sale.amendment',
            [amendments['open'].id])


def test_order(world, amendments):
    "The order changes by the amendment only"
    record = amendments['approved']
    values = {
        'sale': record.sale, 'type': 'line', 'quantity': 1,
        'unit_price': Decimal(1), 'amendment_line': record.lines[0]}
    with refused():
        world.sam('sale.line.create', [values])
    with refused():
        world.sam('sale.sale.write', [record.sale], {
                'lines': [['create', [values]]]})
    for line in [record.sale_lines, order('draft').lines]:
        with refused("amendment"):
            world.sam('sale.line.write', line, {
                    'amendment_line': record.lines[0]})


def test_acknowledge(world):
    "Only the persons of the department acknowledge"
    record = amendment('validated')
    id_, = record.acknowledgements
    for login, text in [
            ('sam', ""), ('otto', "Otto"), ('olga', ""), ('nora', "employee"),
            ('audi', ""), ('fred', "Fred"), ('bob', "Bob"), ('adam', "Adam"),
            ]:
        with refused(text):
            world[login]('sale.change.acknowledgement.acknowledge', [id_])
        with refused():
            world[login](
                'sale.change.acknowledgement.acknowledge', [id_],
                employee=employee("Tina"))
    world.tina('sale.change.acknowledgement.acknowledge', [id_])
    # Neither a second time
    for login in ['tina', 'tom']:
        with refused():
            world[login]('sale.change.acknowledgement.acknowledge', [id_])


def test_companies(world, amendments):
    "Nobody reads what belongs to another company"
    record = amendments['validated']
    for model, id_ in [
            ('sale.change', get('sale.change', ('sale', '=', record.sale))),
            ('sale.change.acknowledgement', record.acknowledgements[0]),
            ('sale.amendment', record.id),
            ]:
        assert world.olga(f'{model}.search', [], 0, None, None) == []
        with refused():
            world.olga(f'{model}.read', [id_], ['rec_name'])
        assert world.audi(f'{model}.read', [id_], ['rec_name'])
