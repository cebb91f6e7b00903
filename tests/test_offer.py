# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"The offer of an order does not leave before its review is approved"
import datetime as dt
from unittest.mock import patch

import pytest

from trytond.pool import Pool
from trytond.transaction import Transaction

from .rpc import activate_world, create_orders, server
from .test_access import World, get, order, refused, search

pytestmark = pytest.mark.xdist_group('offer')

USERS = ['sam', 'eve', 'tina', 'adam', 'admin']
DRAFT = 'must be reviewed by Technical, Finance. Quote it'
QUOTATION = 'must be reviewed by Technical, Finance before it is confirmed'
OPEN = 'have not signed yet: Technical'


@pytest.fixture(scope='module')
def world():
    activate_world('notification_email', 'sale_history')
    return World()


@pytest.fixture
def option(world):
    set_option(True)
    yield
    set_option(False)


def set_option(value, company='Dunder Mifflin'):
    with server():
        pool = Pool()
        Company = pool.get('company.company')
        Configuration = pool.get('sale.configuration')
        company, = Company.search([('party.name', '=', company)])
        Configuration(1).set_multivalue(
            'review_offer', value, company=company.id)


def print_(client, *ids, report='sale.sale', **context):
    return client(f'{report}.execute', ids, {
            'model': 'sale.sale',
            'id': ids[0],
            'ids': ids,
            'action_id': get(
                'ir.action.report', ('report_name', '=', 'sale.sale')),
            }, type='report', **context)


def send(client, id_, reports=None):
    if reports is None:
        reports = search(
            'ir.action.report', ('report_name', '=', 'sale.sale'))
    with patch('trytond.ir.email_.send_message_transactional') as sending:
        client(
            'ir.email.send', 'customer@example.com', '', '', "Offer", "Offer",
            None, ('sale.sale', id_), reports)
    return [c.args[0] for c in sending.call_args_list]


@pytest.mark.parametrize('state', [
        'draft', 'required', 'open', 'approved', 'confirmed', 'processing'])
def test_off(world, state):
    "Nothing changes without the option"
    id_, = create_orders(state)
    assert print_(world.sam, id_)
    assert send(world.sam, id_)


@pytest.mark.parametrize('user', USERS)
@pytest.mark.parametrize('state, text', [
        ('draft', DRAFT), ('required', QUOTATION), ('open', OPEN)])
def test_print(world, option, state, text, user):
    "Nobody prints the offer of an order that is not approved"
    record = order(state)
    with refused(record.number or 'must be reviewed', text):
        print_(world[user], record.id)


@pytest.mark.parametrize('state', ['approved', 'confirmed', 'processing'])
def test_print_approved(world, option, state):
    "The offer of an approved order is printed and sent"
    id_, = create_orders(state)
    assert print_(world.sam, id_)
    mail, = send(world.sam, id_)
    assert len(list(mail.iter_attachments())) == 1


def test_no_rule(world, option):
    "The offer of an order that needs no review is printed"
    record = order('required')
    with server():
        Rule = Pool().get('sale.review.rule')
        rules = Rule.search([])
        Rule.write(rules, {'active': False})
    try:
        assert print_(world.sam, record.id)
    finally:
        with server():
            Pool().get('sale.review.rule').write(rules, {'active': True})


def test_rule_fails(world, option):
    "A rule that cannot be evaluated holds the offer back"
    record = order('required')
    with server():
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        table = Rule.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update([table.condition], ['{"a": ']))
        Rule._rules_cache.clear()
    try:
        with refused('cannot be evaluated'):
            print_(world.sam, record.id)
    finally:
        with server():
            cursor = Transaction().connection.cursor()
            cursor.execute(*table.update([table.condition], [None]))
            Pool().get('sale.review.rule')._rules_cache.clear()


def test_several(world, option):
    "One message lists all that is missing, and nothing is printed"
    draft, required, open_, approved = [
        order(s) for s in ['draft', 'required', 'open', 'approved']]
    with refused(DRAFT, QUOTATION, OPEN) as info:
        print_(
            world.sam, draft.id, required.id, open_.id, approved.id)
    assert approved.number not in str(info.value)


def test_corrected(world, option):
    "What was approved does not stand for what is corrected"
    record = order('approved')
    world.sam('sale.sale.draft', [record.id])
    world.sam('sale.line.write', record.lines, {'quantity': 7})
    with refused(record.number, 'is not what review'):
        print_(world.sam, record.id)


def test_cancelled(world, option):
    "An order cannot be cancelled to print its offer"
    record = order('required')
    world.sam('sale.sale.cancel', [record.id])
    with refused(record.number, DRAFT):
        print_(world.sam, record.id)


@pytest.mark.parametrize('report', ['any.report', 'account.invoice'])
def test_other_report(world, option, report):
    "The offer cannot be printed by another report"
    record = order('required')
    with refused(record.number, QUOTATION):
        print_(world.sam, record.id, report=report)


def test_context(world, option):
    "The offer cannot be printed with another context"
    record = order('required')
    for context in [
            {'company': -1},
            {'_check_access': False},
            {'_sale_review': True},
            {'review_offer': False},
            {'user': 0},
            ]:
        with refused(record.number, QUOTATION):
            print_(world.sam, record.id, **context)


def test_history(world, option):
    "The offer cannot be printed as it was"
    record = order('required')
    with refused('history'):
        print_(world.sam, record.id, _datetime=dt.datetime.now())


def test_send(world, option):
    "The offer cannot be sent, but other mails can"
    record = order('open')
    with refused(record.number, OPEN):
        send(world.sam, record.id)
    assert send(world.sam, record.id, reports=[])


def test_company(world, option):
    "Each company has its own option"
    with server('olga'):
        pool = Pool()
        Party = pool.get('party.party')
        Sale = pool.get('sale.sale')
        party, = Party.search([('name', '=', "Other")])
        sale = Sale(**Sale.default_get(
                list(Sale._fields), with_rec_name=False))
        sale.party = party
        sale.on_change_party()
        sale.save()
        id_ = sale.id
    assert print_(world.olga, id_)
    set_option(True, company='B')
    try:
        with refused('must be reviewed by Others'):
            print_(world.olga, id_)
    finally:
        set_option(False, company='B')


def test_notification(world, option):
    "A notification is kept back without preventing what triggers it"
    with server():
        pool = Pool()
        Model = pool.get('ir.model')
        Notification = pool.get('notification.email')
        Report = pool.get('ir.action.report')
        Trigger = pool.get('ir.trigger')
        User = pool.get('res.user')
        offer, = Report.search([('report_name', '=', 'sale.sale')])
        content, = Report.create([{
                    'name': "Mail",
                    'report_name': 'offer.mail',
                    'model': 'sale.sale',
                    'report_content': b'<html><body>Offer</body></html>',
                    'template_extension': 'html',
                    }])
        user, = User.search([('login', '=', 'sam')])
        User.write([user], {'email': 'sam@example.com'})
        notification, = Notification.create([{
                    'content': content.id,
                    'fallback_recipients': user.id,
                    'attachments': [('add', [offer.id])],
                    }])
        model, = Model.search([('name', '=', 'sale.sale')])
        trigger, = Trigger.create([{
                    'name': "Approved",
                    'model': model.id,
                    'on_write_': True,
                    'condition': '{"__class__": "In", "k": {"__class__": '
                    '"Eval", "v": "self.review_state", "d": ""}, '
                    '"v": ["required", "approved"]}',
                    'action': 'notification.email|trigger',
                    'notification_email': notification.id,
                    }])
    with patch(
            'trytond.modules.notification_email.notification'
            '.send_message_transactional') as sending:
        record = order('open')
        assert not sending.called
        for login in ['tina', 'fred']:
            with server(login):
                Signoff = Pool().get('sale.review.signoff')
                Signoff.approve(Signoff.search([
                            ('review', '=', record.review),
                            ('state', '=', 'pending'),
                            ]))
        assert sending.call_count == 1
    with server():
        Pool().get('ir.trigger').delete([Trigger(trigger.id)])
