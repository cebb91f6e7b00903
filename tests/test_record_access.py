# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"The records are printed for those who read the reviews, and nobody else"
import datetime as dt
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from trytond.pool import Pool

from .rpc import Fault, activate_world, server
from .test_access import World, employee, get, order, search
from .test_record import CHANGE, CONTRACT, ORDER, get_rows, get_texts

pytestmark = pytest.mark.xdist_group('record_access')


@pytest.fixture(scope='module')
def world():
    activate_world('sale_amendment')
    return World()


@pytest.fixture(scope='module')
def confirmed(world):
    return order('confirmed')


@contextmanager
def html():
    "Keep the reports from being converted"
    with server():
        reports = [
            Pool().get(n, type='report') for n in [ORDER, CONTRACT, CHANGE]]
    patches = [
        patch.object(r, 'convert', side_effect=lambda _, data: ('html', data))
        for r in reports]
    for patcher in patches:
        patcher.start()
    try:
        yield
    finally:
        for patcher in patches:
            patcher.stop()


def execute(client, name, model, id_, **data):
    with html():
        extension, content, *_ = client(
            f'{name}.execute', [id_], {'model': model, 'id': id_, **data},
            type='report')
    assert extension == 'html'
    return content


@pytest.mark.parametrize('login', [
        'sam', 'eve', 'tina', 'fred', 'otto', 'audi', 'bob'])
def test_read(world, confirmed, login):
    "Who reads the review prints all of it, without other rights"
    if login in {'sam', 'eve', 'bob'}:
        for name in [ORDER, CONTRACT, CHANGE]:
            texts = get_texts(
                execute(world[login], name, 'sale.sale', confirmed.id))
            assert f"Number {confirmed.number}" in texts
    for name in [ORDER, CONTRACT]:
        content = execute(
            world[login], name, 'sale.review', confirmed.review)
        assert any(
            r[:2] == ["Tina", "Head"] for r in get_rows(content))
        assert "Acme" in get_texts(content)


@pytest.mark.parametrize('name', [ORDER, CONTRACT, CHANGE])
@pytest.mark.parametrize('login', ['olga'])
def test_other_company(world, confirmed, name, login):
    "The records of another company are not printed"
    for model, id_ in [
            ('sale.sale', confirmed.id), ('sale.review', confirmed.review)]:
        with pytest.raises(Fault) as info:
            execute(world[login], name, model, id_, action_id=None)
        assert info.value.name == 'UserError'


@pytest.mark.parametrize('model', [
        'res.user', 'party.party', 'company.company', 'sale.line',
        'sale.amendment'])
def test_other_model(world, confirmed, model):
    "Records of other models are not printed"
    with pytest.raises(Fault) as info:
        execute(world.sam, ORDER, model, 1)
    assert info.value.name == 'UserError'
    assert ORDER in str(info.value)


def test_action(world, confirmed):
    "The action chooses the model, whatever the client sends"
    action = get(
        'ir.action.report', ('report_name', '=', ORDER),
        ('model', '=', 'sale.review'))
    content = execute(
        world.sam, ORDER, 'res.user', confirmed.review, action_id=action)
    assert "Acme" in get_texts(content)


def test_not_review(world, confirmed):
    "Who reads the order but no reviews does not print it"
    access, = search(
        'ir.model.access', ('model', '=', 'sale.review'),
        ('group.name', '=', "Sales"))
    for read, error in [(False, True), (True, False)]:
        with server():
            Access = Pool().get('ir.model.access')
            Access.write([Access(access)], {'perm_read': read})
        if error:
            with pytest.raises(Fault) as info:
                execute(world.sam, ORDER, 'sale.sale', confirmed.id)
            assert info.value.name == 'UserError'
        else:
            execute(world.sam, ORDER, 'sale.sale', confirmed.id)


def test_keywords(world):
    "The records are offered where they can be printed"
    for login, model, names in [
            ('sam', 'sale.sale', [
                    "Order Review Record", "Draft Contract Review Record",
                    "Change Review Record"]),
            ('audi', 'sale.review', [
                    "Order Review Record", "Draft Contract Review Record"]),
            ('adam', 'sale.amendment', ["Change Review Record"]),
            ]:
        keywords = world[login](
            'ir.action.keyword.get_keyword', 'form_print', (model, -1))
        printed = {k['name']: k for k in keywords}
        assert set(names) <= printed.keys()
        for name in set(names) & printed.keys():
            assert printed[name]['report_name'] in {ORDER, CONTRACT, CHANGE}


def test_confirmed(world, confirmed):
    "The order was confirmed after its review was closed"
    texts = get_texts(execute(world.sam, ORDER, 'sale.sale', confirmed.id))
    with server():
        review = Pool().get('sale.review')(confirmed.review)
        closed = review.closed_at
    at = texts[texts.index("Confirmed At") + 1]
    assert texts[texts.index("Confirmed By") + 1] == "Sam"
    assert texts[texts.index("Closed At") + 1] == closed.strftime(
        '%m/%d/%Y %H:%M:%S')
    assert (
        dt.datetime.strptime(at, '%m/%d/%Y %H:%M:%S')
        >= closed.replace(microsecond=0))


def test_authority(world):
    "What allowed to sign is printed as it stood when it was signed"
    today = dt.date.today()
    fred, flo, otto = map(employee, ["Fred", "Flo", "Otto"])
    with server('adam'):
        Delegation = Pool().get('company.department.delegation')
        delegation, = Delegation.create([{
                    'employee': fred,
                    'substitute': otto,
                    'start_date': today,
                    'end_date': today,
                    }])
    signed = order('open')
    world.tom(
        'sale.review.signoff.approve', [signed.signoffs['Technical']])
    world.otto('sale.review.signoff.approve', [signed.signoffs['Finance']])
    date = today.strftime('%m/%d/%Y')

    def get_authorities():
        content = execute(world.audi, ORDER, 'sale.review', signed.review)
        return {
            r[0]: r[1:3] for r in get_rows(content)
            if r[0] in {"Tom", "Otto"}}

    authorities = get_authorities()
    assert authorities["Tom"][0] == "Member"
    assert authorities["Otto"] == [
        "Fred", f"Substitute from {date} to {date}, Head"]
    technical = get('company.department', ('name', '=', "Technical"))
    finance = get('company.department', ('name', '=', "Finance"))
    with server('adam'):
        pool = Pool()
        Department = pool.get('company.department')
        Delegation = pool.get('company.department.delegation')
        Member = pool.get('company.department.member')
        Delegation.delete([Delegation(delegation.id)])
        Member.delete(Member.search([('department', '=', technical)]))
        Department.write([Department(finance)], {'head': flo})
    assert get_authorities() == authorities
