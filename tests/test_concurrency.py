# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Users who act at the same moment neither break a review nor get round it"
import datetime as dt
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial

import pytest

from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME

from .rpc import Client, Fault, activate_world, create_orders, server

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.xdist_group('concurrency'),
    ]

COUNT = 6
TIMEOUT = 5
MEETING_TIMEOUT = 2
APPROVE = 'sale.review.signoff.approve'
RETURN = 'sale.review.signoff.return_'


@pytest.fixture(scope='module')
def world():
    activate_world()
    return {
        login: Client(login)
        for login in ['sam', 'eve', 'tina', 'tom', 'fred', 'otto', 'admin']}


class Meeting:
    """Make those who are in the methods wait for each other, once each, when
    they have read but not yet written"""

    def __init__(self, monkeypatch, *methods):
        self.barrier = threading.Barrier(2)
        self.met = threading.local()
        for model, name in methods:
            Model = Pool(DB_NAME).get(model)
            monkeypatch.setattr(
                Model, name, self.meet(getattr(Model, name)))

    def meet(self, method):
        def wrapper(*args, **kwargs):
            result = method(*args, **kwargs)
            if (threading.current_thread() is not threading.main_thread()
                    and not getattr(self.met, 'done', False)):
                self.met.done = True
                try:
                    self.barrier.wait(MEETING_TIMEOUT)
                except threading.BrokenBarrierError:
                    pass
            return result
        return wrapper


def race(*calls):
    "Make the calls at once and return the list of their faults"
    faults = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(i, call):
        barrier.wait()
        try:
            call()
        except Fault as fault:
            faults[i] = fault

    threads = [
        threading.Thread(target=run, args=item, daemon=True)
        for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return faults


@contextmanager
def rules(**values):
    """Change the rules of the departments

    values are dictionaries by name of department, others are not active."""
    def write(values, active):
        before = {}
        with server():
            Department = Pool().get('company.department')
            Rule = Pool().get('sale.review.rule')
            company, = Pool().get('company.company').search([
                    ('party.name', '!=', 'B')])
            for rule in Rule.search([
                        ('company', '=', company.id),
                        ('active', 'in', [True, False])]):
                name = rule.department.name
                before[name] = {
                    'stage': rule.stage, 'signatories': rule.signatories,
                    'number': rule.number, 'active': rule.active}
                Rule.write([rule], {
                        'active': active or name in values,
                        **values.get(name, {})})
            for name in values.keys() - before.keys():
                department, = Department.search([('name', '=', name)])
                Rule.create([{
                            'name': name, 'department': department.id,
                            'company': company.id, **values[name]}])
                before[name] = {'active': False}
        return before

    before = write(values, False)
    try:
        yield
    finally:
        write(before, False)


def get(sale):
    "Return the state of the sale and of its last review"
    with server():
        sale = Pool().get('sale.sale')(sale)
        review = sale.review
        return {
            'sale': sale.state, 'review_state': sale.review_state,
            'review': review and review.state,
            'rounds': len(sale.reviews),
            'signoffs': {
                s.department.name: s.state
                for s in (review.signoffs if review else [])},
            'ids': {
                s.department.name: s.id
                for s in (review.signoffs if review else [])},
            'decisions': Counter(
                s.department.name
                for r in sale.reviews for s in r.signoffs
                for d in s.decisions),
            }


def check(*sales):
    "Check that the states of the sales and their reviews fit together"
    with server():
        Review = Pool().get('sale.review')
        Sale = Pool().get('sale.sale')
        for sale in Sale.browse(sales):
            review = sale.review
            if not review:
                assert sale.state in {'draft', 'quotation'}
                assert sale.review_state in {'none', 'required'}
                continue
            states = Counter(s.state for s in review.signoffs)
            missing = states['pending'] + states['waiting']
            assert len({r.round for r in sale.reviews}) == len(sale.reviews)
            assert all(
                r.state != 'open' for r in sale.reviews if r != review)
            if review.state == 'open':
                # Somebody can go on
                assert states['pending'], states
                assert sale.state == 'quotation'
                assert sale.review_state == 'open'
                assert review.signed == review.required - missing
            else:
                assert not missing, (review.state, states)
                assert sale.review_state != 'open'
            if review.state == 'approved':
                assert not states['cancelled'] and not states['returned']
                assert review.signed == review.required
            if sale.review_state == 'approved':
                assert review.state == 'approved'
            pending = {
                s.stage for s in review.signoffs if s.state == 'pending'}
            assert len(pending) <= 1
            for signoff in review.signoffs:
                employees = [d.employee for d in signoff.decisions]
                assert len(employees) == len(set(employees))
                if signoff.signatories in {'any', 'head'}:
                    assert len(employees) <= 1
                if signoff.state == 'approved':
                    assert all(
                        d.decision == 'approve' for d in signoff.decisions)
                for decision in signoff.decisions:
                    assert decision.digest == review.digest
            if sale.state in {'confirmed', 'processing', 'done'}:
                assert review.state == 'approved'
                assert not Review.get_differences([review])


MEETINGS = pytest.mark.parametrize('meet', [False, True])


@pytest.fixture
def meeting(monkeypatch):
    def meeting(*methods):
        return Meeting(monkeypatch, *methods)
    return meeting


SIGN = ('sale.review.signoff', '_check_content')


@MEETINGS
def test_any(world, meet, meeting):
    "Of two who sign at once for one sign-off one only does"
    if meet:
        meeting = meeting(SIGN)
    for sale in create_orders('open', COUNT):
        signoff = get(sale)['ids']['Technical']
        if meet:
            meeting.barrier = threading.Barrier(2)
        faults = race(
            partial(world['tina'], APPROVE, [signoff]),
            partial(world['tom'], APPROVE, [signoff]))
        assert len([f for f in faults if f]) == 1, faults
        fault, = filter(None, faults)
        assert fault.name == 'UserError' and "Technical" in str(fault)
        state = get(sale)
        assert state['decisions'] == {'Technical': 1}
        assert state['signoffs'] == {
            'Technical': 'approved', 'Finance': 'pending'}
        check(sale)


@MEETINGS
@pytest.mark.parametrize('values', [
        {'signatories': 'number', 'number': 2}, {'signatories': 'all'}])
def test_number(world, meet, meeting, values):
    "Two who sign at once complete the sign-off that needs both"
    if meet:
        meeting = meeting(SIGN)
    with rules(Technical=values, Finance={}):
        for sale in create_orders('open', COUNT):
            signoff = get(sale)['ids']['Technical']
            if meet:
                meeting.barrier = threading.Barrier(2)
            assert race(
                partial(world['tina'], APPROVE, [signoff]),
                partial(world['tom'], APPROVE, [signoff])) == [None, None]
            state = get(sale)
            assert state['decisions'] == {'Technical': 2}
            assert state['signoffs'] == {
                'Technical': 'approved', 'Finance': 'pending'}
            check(sale)


@MEETINGS
@pytest.mark.parametrize('last', [True, False])
def test_stage(world, meet, meeting, last):
    "The last two of a stage open the next one or approve the review"
    if meet:
        meeting = meeting(SIGN)
    values = {'Technical': {'stage': 1}, 'Finance': {'stage': 1}}
    if not last:
        values['Legal'] = {'stage': 2}
    with rules(**values):
        for sale in create_orders('open', COUNT):
            ids = get(sale)['ids']
            if meet:
                meeting.barrier = threading.Barrier(2)
            assert race(
                partial(world['tina'], APPROVE, [ids['Technical']]),
                partial(world['fred'], APPROVE, [ids['Finance']])
                ) == [None, None]
            state = get(sale)
            assert state['decisions'] == {'Technical': 1, 'Finance': 1}
            if last:
                assert state['review'] == 'approved'
                assert state['review_state'] == 'approved'
            else:
                assert state['signoffs']['Legal'] == 'pending'
                world['otto'](APPROVE, [ids['Legal']])
            check(sale)
            world['sam']('sale.sale.confirm', [sale])
            check(sale)


def test_batches(world):
    "Who sign the same in another order do not block each other for good"
    for _ in range(COUNT):
        sales = create_orders('open', 4)
        signoffs = [get(s)['ids']['Technical'] for s in sales]
        faults = race(
            partial(world['tina'], APPROVE, signoffs),
            partial(world['tom'], APPROVE, signoffs[::-1]))
        assert len([f for f in faults if f]) == 1
        fault, = filter(None, faults)
        assert fault.name == 'UserError', fault
        check(*sales)
        for sale in sales:
            assert get(sale)['decisions'] == {'Technical': 1}


@MEETINGS
@pytest.mark.parametrize('button', [
        'sale.review.withdraw', 'sale.sale.draft', 'sale.sale.cancel'])
def test_sign_withdraw(world, meet, meeting, button):
    if meet:
        meeting = meeting(SIGN, ('sale.review', 'get_current'))
    with rules(Technical={}):
        for sale in create_orders('open', COUNT):
            state = get(sale)
            with server():
                review = Pool().get('sale.sale')(sale).review.id
            if meet:
                meeting.barrier = threading.Barrier(2)
            faults = race(
                partial(world['tina'], APPROVE, [state['ids']['Technical']]),
                partial(world['sam'], button, [
                        review if button == 'sale.review.withdraw'
                        else sale]))
            state = get(sale)
            if state['review'] == 'withdrawn':
                assert not state['decisions']
                assert faults[0].name == 'UserError'
                assert not faults[1]
            else:
                assert state['review'] == 'approved'
                assert state['decisions'] == {'Technical': 1}
                assert not faults[0]
            check(sale)


@MEETINGS
@pytest.mark.parametrize('login, department', [
        ('tom', 'Technical'), ('fred', 'Finance')])
def test_sign_return(world, meet, meeting, login, department):
    if meet:
        meeting = meeting(SIGN)
    with rules(Technical={'stage': 1}, Finance={'stage': 1}):
        for sale in create_orders('open', COUNT):
            ids = get(sale)['ids']
            world[login]('sale.review.signoff.write', [ids[department]], {
                    'opinion': "No", 'cause': 'other'})
            if meet:
                meeting.barrier = threading.Barrier(2)
            faults = race(
                partial(world['tina'], APPROVE, [ids['Technical']]),
                partial(world[login], RETURN, [ids[department]]))
            state = get(sale)
            check(sale)
            if department == 'Technical':
                assert len([f for f in faults if f]) == 1
                assert state['decisions'] == {'Technical': 1}
            else:
                # Who signs first does not keep the other from returning it
                assert not faults[1]
                assert state['decisions']['Finance'] == 1
                assert state['review'] == 'returned'
                assert state['sale'] == 'draft'


@MEETINGS
def test_return_return(world, meet, meeting):
    if meet:
        meeting = meeting(SIGN)
    with rules(Technical={'stage': 1}, Finance={'stage': 1}):
        for sale in create_orders('open', COUNT):
            ids = get(sale)['ids']
            for login, name in [('tina', 'Technical'), ('fred', 'Finance')]:
                world[login]('sale.review.signoff.write', [ids[name]], {
                        'opinion': "No", 'cause': 'other'})
            if meet:
                meeting.barrier = threading.Barrier(2)
            faults = race(
                partial(world['tina'], RETURN, [ids['Technical']]),
                partial(world['fred'], RETURN, [ids['Finance']]))
            assert len([f for f in faults if f]) == 1, faults
            assert sum(get(sale)['decisions'].values()) == 1
            check(sale)


def submit(client, sale):
    client.wizard('sale.sale.submit_review', 'submit', 'sale.sale', [sale])


@MEETINGS
def test_submit(world, meet, meeting):
    if meet:
        meeting = meeting(('sale.review', 'plan'))
    for sale in create_orders('required', COUNT):
        if meet:
            meeting.barrier = threading.Barrier(2)
        faults = race(
            partial(submit, world['sam'], sale),
            partial(submit, world['eve'], sale))
        assert len([f for f in faults if f]) == 1, faults
        fault, = filter(None, faults)
        assert fault.name == 'UserError'
        with server():
            name = Pool().get('sale.sale')(sale).rec_name
        assert name in str(fault), fault
        assert get(sale)['rounds'] == 1
        check(sale)


def line_of(sale):
    with server():
        line, = Pool().get('sale.sale')(sale).lines
        return line.id


def edit(client, sale, line, quantity=99):
    for method, *args in [
            ('sale.sale.draft', [sale]),
            ('sale.line.write', [line], {'quantity': quantity}),
            ('sale.sale.quote', [sale])]:
        client(method, *args)


@MEETINGS
def test_confirm_edit(world, meet, meeting):
    if meet:
        meeting = meeting(
            ('sale.sale', '_get_review_missing'),
            ('sale.sale', '_withdraw_reviews'))
    for sale in create_orders('approved', COUNT):
        line = line_of(sale)
        if meet:
            meeting.barrier = threading.Barrier(2)
        race(
            partial(world['sam'], 'sale.sale.confirm', [sale]),
            partial(edit, world['eve'], sale, line))
        check(sale)
        race(
            partial(world['sam'], 'sale.sale.confirm', [sale]),
            partial(edit, world['eve'], sale, line, 10),
            partial(world['tom'], 'sale.sale.confirm', [sale]))
        check(sale)


class Pause:
    "Make the thread that is named so wait when it has been in the method"

    def __init__(self, monkeypatch, model, name):
        self.there, self.go = threading.Event(), threading.Event()
        self.done = False
        Model = Pool(DB_NAME).get(model)
        method = getattr(Model, name)

        def wrapper(*args, **kwargs):
            result = method(*args, **kwargs)
            if not self.done and threading.current_thread().name == 'slow':
                self.done = True
                self.there.set()
                self.go.wait(TIMEOUT)
            return result

        monkeypatch.setattr(Model, name, wrapper)

    def run(self, slow, fast):
        "Make the fast calls when the slow one has read but not yet written"
        faults = []

        def run(call):
            try:
                call()
            except Fault as fault:
                faults.append(fault)
        thread = threading.Thread(target=run, args=[slow], name='slow')
        thread.start()
        assert self.there.wait(TIMEOUT)
        for call in fast:
            run(call)
        self.go.set()
        thread.join(60)
        assert not thread.is_alive()
        return faults


@pytest.mark.parametrize('values', [
        {'quantity': 99}, {'unit_price': 1}, {'taxes': []}, {'sale': None}])
def test_slow_edit(world, monkeypatch, values):
    """An edit that started while the order was a draft does not end after it
    has been confirmed"""
    sale, draft = create_orders('approved', 1) + create_orders('draft', 1)
    world['sam']('sale.sale.draft', [sale])
    line = line_of(sale)
    if 'sale' in values:
        line, values = line_of(draft), {'sale': sale}
    Pause(monkeypatch, 'sale.line', 'check_modification').run(
        partial(world['eve'], 'sale.line.write', [line], values), [
            partial(world['sam'], 'sale.sale.quote', [sale]),
            partial(world['sam'], 'sale.sale.confirm', [sale])])
    check(sale)


@pytest.mark.parametrize('method', ['create', 'delete', 'copy'])
def test_slow_lines(world, monkeypatch, method):
    sale, = create_orders('approved', 1)
    world['sam']('sale.sale.draft', [sale])
    line = line_of(sale)
    args = {
        'create': [[{
                    'sale': sale, 'type': 'line', 'description': "More",
                    'quantity': 1, 'unit_price': 1}]],
        'delete': [[line]],
        'copy': [[line], {}],
        }[method]
    Pause(monkeypatch, 'sale.line', 'check_modification').run(
        partial(world['eve'], f'sale.line.{method}', *args), [
            partial(world['sam'], 'sale.sale.quote', [sale]),
            partial(world['sam'], 'sale.sale.confirm', [sale])])
    check(sale)


def test_slow_header(world, monkeypatch):
    sale, = create_orders('approved', 1)
    world['sam']('sale.sale.draft', [sale])
    Pause(monkeypatch, 'sale.sale', 'check_modification').run(
        partial(world['eve'], 'sale.sale.write', [sale], {'comment': "x"}), [
            partial(world['sam'], 'sale.sale.quote', [sale]),
            partial(world['sam'], 'sale.sale.confirm', [sale])])
    check(sale)


def test_slow_line_submit(world, monkeypatch):
    "Nor after it has been submitted"
    sale, = create_orders('draft', 1)
    line = line_of(sale)
    Pause(monkeypatch, 'sale.line', 'check_modification').run(
        partial(world['eve'], 'sale.line.write', [line], {'quantity': 99}), [
            partial(world['sam'], 'sale.sale.quote', [sale]),
            partial(submit, world['sam'], sale)])
    with server():
        review = Pool().get('sale.sale')(sale).review
        if review:
            assert not Pool().get('sale.review').get_differences([review])
    check(sale)


def test_slow_confirm(world, monkeypatch):
    "A confirmation that has looked at the review before the order changed"
    for _ in range(2):
        sale, = create_orders('approved', 1)
        line = line_of(sale)
        Pause(monkeypatch, 'sale.sale', '_get_review_missing').run(
            partial(world['sam'], 'sale.sale.confirm', [sale]),
            [partial(edit, world['eve'], sale, line)])
        check(sale)


def test_slow_sign(world, monkeypatch):
    "A signature that has looked at the content before it was withdrawn"
    with rules(Technical={}):
        sale, = create_orders('open', 1)
        line = line_of(sale)
        state = get(sale)
        Pause(monkeypatch, *SIGN).run(
            partial(world['tina'], APPROVE, [state['ids']['Technical']]), [
                partial(edit, world['eve'], sale, line),
                partial(submit, world['eve'], sale)])
        check(sale)
        state = get(sale)
        assert state['rounds'] == 2
        assert state['review'] == 'open'


def sign_thrice(client, sale):
    for _ in range(3):
        client(APPROVE, [get(sale)['ids']['Technical']])


def edit_twice(client, sale, line):
    for quantity in [98, 99]:
        edit(client, sale, line, quantity)
        submit(client, sale)


def try_confirm(client, sale):
    for _ in range(6):
        try:
            client('sale.sale.confirm', [sale])
        except Fault:
            pass


def test_everything(world):
    "Withdraw, edit, submit, sign and confirm in any order"
    with rules(Technical={}):
        for sale in create_orders('open', COUNT // 2):
            line = line_of(sale)
            race(
                partial(sign_thrice, world['tina'], sale),
                partial(sign_thrice, world['tom'], sale),
                partial(edit_twice, world['sam'], sale, line),
                partial(try_confirm, world['eve'], sale))
            check(sale)
            # And it can still be brought to an end
            state = get(sale)
            if state['sale'] == 'draft':
                world['sam']('sale.sale.quote', [sale])
                state = get(sale)
            if (state['sale'], state['review_state']) == (
                    'quotation', 'required'):
                submit(world['sam'], sale)
                state = get(sale)
            if state['review_state'] == 'open':
                world['tom'](APPROVE, [state['ids']['Technical']])
            if state['sale'] == 'quotation':
                world['eve']('sale.sale.confirm', [sale])
            check(sale)
            assert get(sale)['sale'] == 'processing'


@MEETINGS
def test_remind(world, meet, meeting):
    "The reminder neither undoes a signature nor is it lost"
    if meet:
        meeting = meeting(SIGN, ('sale.review.signoff', '_complete'))
    with server():
        cron, = Pool().get('ir.cron').search([
                ('method', '=', 'sale.review.signoff|remind')])
        cron = cron.id
    for sale in create_orders('open', 2):
        signoff = get(sale)['ids']['Technical']

        if meet:
            meeting.barrier = threading.Barrier(2)
        faults = race(
            partial(world['tina'], APPROVE, [signoff]),
            partial(world['admin'], 'ir.cron.run_once', [cron]))
        assert faults == [None, None]
        assert get(sale)['decisions'] == {'Technical': 1}
        check(sale)


def test_delegation(world, monkeypatch):
    "Nobody gets two substitutes for the same days"
    meeting = Meeting(
        monkeypatch, ('company.department.delegation', 'check_substitute'))
    with server():
        Employee = Pool().get('company.employee')
        tina, tom, otto, fred = (
            Employee.search([('party.name', '=', n)])[0]
            for n in ["Tina", "Tom", "Otto", "Fred"])
        company = tina.company.id
        tina, tom, otto, fred = map(int, [tina, tom, otto, fred])

    def delegate(login, employee, substitute):
        world[login]('company.department.delegation.create', [{
                    'company': company, 'employee': employee,
                    'substitute': substitute,
                    'start_date': dt.date.today(),
                    'end_date': dt.date.today()}])

    for others in [
            ('admin', tina, otto),  # another substitute
            ('admin', tom, fred),  # a chain
            ]:
        meeting.barrier = threading.Barrier(2)
        faults = race(
            partial(delegate, 'tina', tina, tom), partial(delegate, *others))
        with server():
            Delegation = Pool().get('company.department.delegation')
            delegations = Delegation.search([])
            count = len(delegations)
            Delegation.delete(delegations)
        assert count == 1, faults
        assert len([f for f in faults if f]) == 1


@pytest.fixture
def releaser(world):
    "Let Otto release"
    with server():
        pool = Pool()
        Group = pool.get('res.group')
        User = pool.get('res.user')
        group, = Group.search([
                ('name', '=', "Order Review Emergency Release")])
        User.write(
            User.search([('login', '=', 'otto')]),
            {'groups': [('add', [group.id])]})
    return world['otto']


def release(client, sale):
    client.wizard(
        'sale.review.release.release', 'release', 'sale.sale', [sale], {
            'start': {
                'reason': "Fire at the customer",
                'valid_until':
                dt.datetime.now() + dt.timedelta(hours=1),
                }})


def get_releases(sale):
    with server():
        sale = Pool().get('sale.sale')(sale)
        return sale.state, sale.review_state, [r.state for r in sale.releases]


@MEETINGS
def test_release(world, releaser, meet, meeting):
    "Of two releases at once only one is given"
    if meet:
        meeting = meeting(('sale.review.release', 'plan'))
    for sale in create_orders('required', COUNT):
        if meet:
            meeting.barrier = threading.Barrier(2)
        faults = race(
            partial(release, releaser, sale), partial(release, releaser, sale))
        assert len([f for f in faults if f]) == 1, faults
        fault, = filter(None, faults)
        assert fault.name == 'UserError', fault
        assert get_releases(sale) == ('quotation', 'required', ['unused'])


@MEETINGS
def test_confirm_released(world, releaser, meet, meeting):
    "Of two confirmations at once only one uses the release"
    if meet:
        meeting = meeting(('sale.sale', '_get_review_missing'))
    for sale in create_orders('required', COUNT):
        release(releaser, sale)
        if meet:
            meeting.barrier = threading.Barrier(2)
        race(
            partial(world['sam'], 'sale.sale.confirm', [sale]),
            partial(world['eve'], 'sale.sale.confirm', [sale]))
        state, review_state, releases = get_releases(sale)
        assert state in {'confirmed', 'processing'}
        assert (review_state, releases) == ('released', ['used'])
        with server():
            sale = Pool().get('sale.sale')(sale)
            assert len(sale.acknowledgements) == len(
                {a.department for a in sale.acknowledgements})


@MEETINGS
def test_confirm_released_edit(world, releaser, meet, meeting):
    "What is confirmed by a release is what was released"
    if meet:
        meeting = meeting(
            ('sale.sale', '_get_review_missing'),
            ('sale.sale', '_withdraw_reviews'))
    for sale in create_orders('required', COUNT):
        release(releaser, sale)
        line = line_of(sale)
        if meet:
            meeting.barrier = threading.Barrier(2)
        race(
            partial(world['sam'], 'sale.sale.confirm', [sale]),
            partial(edit, world['eve'], sale, line))
        state, review_state, releases = get_releases(sale)
        with server():
            record = Pool().get('sale.sale')(sale)
            quantity = record.lines[0].quantity
        if state in {'confirmed', 'processing'}:
            assert quantity != 99
            assert (review_state, releases) == ('released', ['used'])
        else:
            assert review_state in {'none', 'required'}


@MEETINGS
def test_release_sign(world, releaser, meet, meeting):
    "A confirmation by a release and the last signature do not lose each other"
    if meet:
        meeting = meeting(SIGN, ('sale.sale', '_get_review_missing'))
    with rules(Technical={}):
        for sale in create_orders('open', COUNT):
            release(releaser, sale)
            signoff = get(sale)['ids']['Technical']
            if meet:
                meeting.barrier = threading.Barrier(2)
            faults = race(
                partial(world['sam'], 'sale.sale.confirm', [sale]),
                partial(world['tina'], APPROVE, [signoff]))
            assert faults == [None, None]
            state, review_state, releases = get_releases(sale)
            assert state in {'confirmed', 'processing'}
            assert review_state == 'approved'
            assert releases in [['unused'], ['caught_up']]
