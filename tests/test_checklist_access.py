# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Nobody gets round the checklists, whatever a client sends"
from decimal import Decimal

import pytest

from trytond.pool import Pool

from .rpc import activate_world, server
from .test_access import USERS, World, changed, get, order, refused, search

pytestmark = pytest.mark.xdist_group('checklist_access')

ANSWER = 'sale.review.answer'
CHECKLIST = 'sale.review.checklist'
POINT = 'sale.review.checklist.point'
SIGNOFF = 'sale.review.signoff'


@pytest.fixture(scope='module')
def world():
    "Technical signs by a checklist of each type of answer"
    activate_world('sale_history')
    with server() as transaction:
        pool = Pool()
        Checklist = pool.get(CHECKLIST)
        Rule = pool.get('sale.review.rule')
        technical, = Rule.search([('department.name', '=', "Technical")])
        other, = Rule.search([('department.name', '=', "Others")])
        for rule in [technical, other]:
            with transaction.set_context(company=rule.company.id):
                checklist, = Checklist.create([{
                            'name': f"Checklist of {rule.name}",
                            'points': [('create', [
                                        {'question': "Feasible",
                                            'negative': 'remark'},
                                        {'question': "Days",
                                            'answer_type': 'number'},
                                        {'question': "Finished",
                                            'answer_type': 'date'},
                                        {'question': "Solution",
                                            'answer_type': 'text'},
                                        {'question': "Margin",
                                            'answer_type': 'measure',
                                            'measure': 'gross_margin'},
                                        ])],
                            }])
                Rule.write([rule], {'checklist': checklist.id})
    return World()


@pytest.fixture(scope='module')
def pending(world):
    "A sign-off that Technical has not answered"
    return order('open').signoffs['Technical']


@pytest.fixture(scope='module')
def approved(world):
    "A sign-off that Technical has answered and approved"
    signoff = order('open').signoffs['Technical']
    fill(world.tina, signoff)
    world.tina(f'{SIGNOFF}.approve', [signoff])
    return signoff


def answers(signoff):
    "Return the ids of the answers of the sign-off by type"
    with server():
        return {
            a.answer_type: a.id
            for a in Pool().get(SIGNOFF)(signoff).answers}


def fill(client, signoff, **context):
    with server():
        date = Pool().get('ir.date').today()
    for type_, value in {
            'boolean': 'yes', 'number': Decimal(1), 'date': date,
            'text': "None"}.items():
        client(
            f'{ANSWER}.write', [answers(signoff)[type_]], {type_: value},
            **context)


def points(checklist):
    return search(POINT, ('checklist', '=', checklist))


def stored(model, id_):
    "Return the values of the fields of the record that are stored"
    with server():
        Model = Pool().get(model)
        names = {
            n for n, f in Model._fields.items()
            if not hasattr(f, 'getter') and f._type != 'one2many'
            and n not in {
                'id', 'create_uid', 'create_date', 'write_uid', 'write_date'}}
        values, = Model.read([id_], list(names))
    del values['id']
    return values


# Answers


def test_methods(world):
    "Nothing is added to what clients can call"
    with server():
        pool = Pool()

        def methods(model):
            return {
                n for n, rpc in pool.get(model).__rpc__.items()
                if not rpc.readonly}

        common = methods('sale.channel')
        for model in [ANSWER, CHECKLIST, POINT]:
            assert methods(model) == common


@pytest.mark.parametrize('method', [
        f'{ANSWER}.freeze', f'{ANSWER}.take', f'{ANSWER}.get_measures_now',
        f'{CHECKLIST}.get_answers', f'{SIGNOFF}.lock_answers',
        'sale.sale.get_review_measures',
        ])
def test_private_method(world, pending, method):
    for login in ['tina', 'adam']:
        with pytest.raises(Exception, match='403'):
            world[login](method, [pending])


@pytest.mark.parametrize('state', ['pending', 'approved'])
def test_evidence(world, state, request, subtests):
    "Nobody writes more than an own answer, not even who administers"
    signoff = request.getfixturevalue(state)
    for type_, id_ in answers(signoff).items():
        values = stored(ANSWER, id_)
        for login in [*USERS, 'adam', 'admin']:
            client = world[login]
            with subtests.test(type_, login=login):
                with refused():
                    client(f'{ANSWER}.create', [values])
                with refused():
                    client(f'{ANSWER}.copy', [id_], {})
                with refused():
                    client(f'{ANSWER}.delete', [id_])
                for name, value in values.items():
                    if (login == 'tina' and state == 'pending'
                            and name in {type_, 'remark'}):
                        continue
                    with refused():
                        client(f'{ANSWER}.write', [id_], {name: value})
                with refused():
                    client(f'{ANSWER}.import_data', ['id', 'remark'], [
                            [id_, 'x'], [0, 'y']])


def test_measured(world, pending, subtests):
    "What the system answers is not written by who signs"
    id_ = answers(pending)['measure']
    for values in [
            {'value': "99 %"}, {'basis': "x"}, {'unfavourable': False},
            {'number': Decimal('.99')}, {'boolean': 'yes'},
            {'answer_type': 'boolean'}, {'measure': None},
            {'remark': "x", 'value': "99 %"}]:
        with subtests.test(values=values), refused("Margin", "evidence"):
            world.tina(f'{ANSWER}.write', [id_], values)


@pytest.mark.parametrize('state', ['pending', 'approved'])
def test_signoff(world, pending, approved, state, subtests):
    "Answers are not changed through the sign-off either"
    signoff, other = pending, approved
    if state == 'approved':
        signoff, other = other, signoff
    id_ = answers(signoff)['boolean']
    other_id = answers(other)['boolean']
    for command in [
            ['create', [{'question': "x", 'answer_type': 'boolean'}]],
            ['copy', [id_], {}],
            ['delete', [id_]],
            ['remove', [id_]],
            ['add', [other_id]],
            ['write', [id_], {'question': "x"}],
            ['write', [answers(approved)['boolean']], {'boolean': 'no'}],
            ]:
        with subtests.test(command=command), refused():
            world.tina(f'{SIGNOFF}.write', [signoff], {'answers': [command]})
    for login in ['sam', 'fred', 'otto', 'olga', 'nora', 'audi', 'adam']:
        for commands in [
                [], [['write', [id_], {'boolean': 'no'}]]]:
            with subtests.test(login=login, commands=commands), refused():
                world[login](
                    f'{SIGNOFF}.write', [signoff], {'answers': commands})


def test_message(world, pending, approved):
    with refused("checklist", "you cannot sign it now"):
        world.otto(f'{SIGNOFF}.write', [pending], {'answers': []})
    id_ = answers(pending)['boolean']
    with refused("Feasible", "you cannot sign it now"):
        world.otto(f'{ANSWER}.write', [id_], {'boolean': 'yes'})
    id_ = answers(approved)['boolean']
    with refused("Feasible", "already signed"):
        world.tina(f'{ANSWER}.write', [id_], {'boolean': 'no'})


@pytest.mark.parametrize('context', [
        {'_sale_review': True}, {'_check_access': False}, {'_user': 0},
        {'user': 0}, {'_skip_warnings': True},
        {'_datetime': None}])
def test_context(world, pending, approved, context):
    with refused():
        world.tina(
            f'{ANSWER}.write', [answers(pending)['measure']],
            {'value': "99 %"}, **context)
    with refused():
        world.tina(
            f'{ANSWER}.write', [answers(approved)['boolean']],
            {'boolean': 'no'}, **context)
    with refused("complete its checklist"):
        world.tina(f'{SIGNOFF}.approve', [pending], **context)


def test_unanswered(world):
    "An approval needs all the answers, a negative one its remark"
    signoff = order('open').signoffs['Technical']
    with refused("Feasible", "Days", "Finished", "Solution"):
        world.tina(f'{SIGNOFF}.approve', [signoff])
    fill(world.tina, signoff)
    boolean = answers(signoff)['boolean']
    world.tina(f'{SIGNOFF}.write', [signoff], {
            'answers': [['write', [boolean], {'boolean': 'no'}]]})
    with refused("Feasible", "remark"):
        world.tina(f'{SIGNOFF}.approve', [signoff])
    world.tina(f'{ANSWER}.write', [boolean], {'remark': "Next month"})
    world.tina(f'{SIGNOFF}.approve', [signoff])
    with server():
        signoff = Pool().get(SIGNOFF)(signoff)
        assert signoff.state == 'approved'
        assert [a.value for a in signoff.answers][-1] == '40.00 %'


def test_waiting(world):
    "Who will sign later does not answer yet"
    rule = get('sale.review.rule', ('department.name', '=', "Finance"))
    checklist = get(CHECKLIST, ('name', '=', "Checklist of Technical"))
    with changed('sale.review.rule', rule, checklist=checklist):
        signoff = order('open').signoffs['Finance']
    for type_, id_ in answers(signoff).items():
        name = type_ if type_ != 'measure' else 'remark'
        with refused("you cannot sign it now"):
            world.fred(f'{ANSWER}.write', [id_], {name: None})


def test_foreign_company(world, pending, approved):
    "Nobody sees the answers and checklists of another company"
    checklists = search(
        CHECKLIST, ('company.party.name', '=', "Dunder Mifflin"))
    for model, ids in [
            (ANSWER, list(answers(pending).values())),
            (ANSWER, list(answers(approved).values())),
            (CHECKLIST, checklists),
            (POINT, points(checklists[0])),
            ]:
        assert ids
        for context in [{}, {'company': 1}, {'companies': [1, 2]}]:
            assert not world.olga(
                f'{model}.search', [('id', 'in', ids)], 0, None, None,
                **context)
            with refused():
                world.olga(f'{model}.read', ids, ['rec_name'], **context)
            with refused():
                world.olga(f'{model}.write', ids, {'question': "x"}, **context)


# Checklists


@pytest.mark.parametrize('model', [CHECKLIST, POINT])
def test_configuration(world, pending, model, subtests):
    own = get(CHECKLIST, ('company.party.name', '=', "Dunder Mifflin"))
    shared = get(CHECKLIST, ('company', '=', None))
    for checklist in [own, shared]:
        id_ = checklist if model == CHECKLIST else points(checklist)[0]
        values = stored(model, id_)
        for login in USERS:
            client = world[login]
            with subtests.test(login=login, checklist=checklist):
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


def test_shared(world, subtests):
    "Who administers a company changes nothing that others use"
    shared = get(CHECKLIST, ('company', '=', None))
    own = get(CHECKLIST, ('company.party.name', '=', "Dunder Mifflin"))
    other = get(CHECKLIST, ('company.party.name', '=', "B"))
    point, = points(shared)[:1]
    own_point, = points(own)[:1]
    for method, *args in [
            (f'{CHECKLIST}.write', [shared], {'active': False}),
            (f'{CHECKLIST}.write', [shared], {'points': [
                        ['create', [{'question': "x"}]]]}),
            (f'{CHECKLIST}.write', [shared], {'points': [
                        ['delete', [point]]]}),
            (f'{CHECKLIST}.write', [own], {'company': None}),
            (f'{CHECKLIST}.write', [own], {'points': [['add', [point]]]}),
            (f'{CHECKLIST}.delete', [shared]),
            (f'{CHECKLIST}.copy', [own], {'company': None}),
            (f'{CHECKLIST}.create', [{'name': "x", 'company': None}]),
            (f'{CHECKLIST}.write', [other], {'name': "x"}),
            (f'{CHECKLIST}.copy', [other], {}),
            (f'{CHECKLIST}.delete', [own]),
            (f'{POINT}.write', [point], {'negative': None}),
            (f'{POINT}.write', [own_point], {'checklist': shared}),
            (f'{POINT}.write', [own_point], {'checklist': other}),
            (f'{POINT}.create', [{'checklist': shared, 'question': "x"}]),
            (f'{POINT}.create', [{'checklist': other, 'question': "x"}]),
            (f'{POINT}.delete', [point]),
            ]:
        with subtests.test(method, args=args), refused():
            world.adam(method, *args)
    copy, = world.adam(f'{CHECKLIST}.copy', [shared], {})
    with server():
        company = Pool().get(CHECKLIST)(copy).company.rec_name
    assert company == "Dunder Mifflin"
    world.adam(f'{CHECKLIST}.write', [copy], {'name': "Ours"})
    world.adam(f'{CHECKLIST}.delete', [copy])


def test_rule(world):
    "A rule names a checklist of its company"
    rule = get('sale.review.rule', ('department.name', '=', "Technical"))
    other = get(CHECKLIST, ('company.party.name', '=', "B"))
    with refused():
        world.adam('sale.review.rule.write', [rule], {'checklist': other})


def test_attachment(world):
    "The evidence of a negative answer stays"
    signoff = order('open').signoffs['Technical']
    fill(world.tina, signoff)
    ids = [
        world.tina('ir.attachment.create', [{
                    'name': "Plan", 'type': 'link', 'link': "x",
                    'resource': resource}])[0]
        for resource in [
            f'{SIGNOFF},{signoff}', f"{ANSWER},{answers(signoff)['boolean']}"]]
    world.tina(f'{SIGNOFF}.approve', [signoff])
    for id_ in ids:
        for login in ['tina', 'adam', 'admin']:
            with refused():
                world[login]('ir.attachment.write', [id_], {'link': "y"})
            with refused():
                world[login]('ir.attachment.delete', [id_])
