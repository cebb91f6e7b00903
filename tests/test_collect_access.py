# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Who can make the archive collect, and who sees what it has collected"
import json

import pytest

from trytond.pool import Pool

from .collect import (
    activate_world, attach, create_order, get_archive, get_items, get_pending,
    pay, post_invoice)
from .rpc import Client, Fault, server


@pytest.fixture(scope='module')
def clients():
    activate_world()
    return {
        login: Client(login)
        for login in [
            'sam', 'ada', 'wes', 'cora', 'nora', 'olga', 'admin']}


def create_failed(sale):
    "Return the id of a document that could not be collected"
    with server():
        collection, = Pool().get('order.archive.collection').create([{
                    'archive': get_archive(sale).id,
                    'collector': 'delivery',
                    'source': 'stock.shipment.out,0',
                    'source_name': "Shipment",
                    'issue': 'gone',
                    'reason': "It is gone",
                    }])
        return collection.id


@pytest.mark.parametrize('login', ['sam', 'ada', 'wes', 'olga', 'admin'])
def test_collection(clients, login):
    "Nobody enters, changes or deletes what is to be collected"
    sale, = create_order()
    collection = create_failed(sale)
    with server():
        archive = get_archive(sale).id
    client = clients[login]
    for method, *args in [
            ('create', [{'archive': archive, 'collector': 'order'}]),
            ('write', [collection], {'reason': None}),
            ('delete', [collection]),
            ]:
        with pytest.raises(Fault):
            client(f'order.archive.collection.{method}', *args)
    with server():
        assert get_pending(sale) == [('delivery', "It is gone")]


@pytest.mark.parametrize('login', ['sam', 'ada', 'admin'])
def test_methods(clients, login):
    "Nobody reaches the methods of the server"
    sale, = create_order()
    with server():
        archive = get_archive(sale).id
    client = clients[login]
    for method, *args in [
            ('collect_pending', [archive]),
            ('collect_due',),
            ('issued', 'order', [sale]),
            ('gathered', 'note', [f'sale.sale,{sale}']),
            ('keep', 'note', [f'sale.sale,{sale}']),
            ('_run', [archive]),
            ]:
        with pytest.raises(Fault):
            client(f'order.archive.{method}', *args)
    with pytest.raises(Fault):
        client(
            'order.archive.record.execute', [sale], {'model': 'sale.sale'},
            type='report')


def test_collect(clients):
    "Only who keeps the files of the company has them collected"
    sale, = create_order(tasks=False)
    with server():
        archive = get_archive(sale).id
        pending = get_pending(sale)
    for login in ['sam', 'nora', 'olga']:
        with pytest.raises(Fault):
            clients[login]('order.archive.collect', [archive])
        with server():
            assert get_pending(sale) == pending
            assert not get_items(sale)
    clients['ada']('order.archive.collect', [archive])
    with server():
        assert not get_pending(sale)
        assert get_items(sale, 'order')


def test_dismiss(clients):
    "Only who waives dismisses"
    sale, = create_order()
    collection = create_failed(sale)
    for login in ['sam', 'ada', 'nora', 'olga']:
        with pytest.raises(Fault):
            clients[login]('order.archive.collection.dismiss', [collection])
    with server():
        assert get_pending(sale)
    clients['wes']('order.archive.collection.dismiss', [collection])
    with server():
        assert not get_pending(sale)


def test_confidential_collection(clients):
    "What is confidential is told to nobody else, neither by what fails"
    COLLECTION = 'order.archive.collection'
    sale, = create_order()
    collection = create_failed(sale)
    with server():
        archive = get_archive(sale).id
    seen = {
        l: clients[l](f'{COLLECTION}.search', [
                ('archive', '=', archive)], 0, None, None)
        for l in ['ada', 'cora']}
    assert seen == {'ada': [collection], 'cora': [collection]}

    def set_confidential(value):
        with server():
            Kind = Pool().get('order.archive.kind')
            Kind.write(Kind.search([('collector', '=', 'delivery')]), {
                    'confidential': value})
    set_confidential(True)
    try:
        for login in ['ada', 'wes']:
            client = clients[login]
            assert not client(
                f'{COLLECTION}.search', [('archive', '=', archive)],
                0, None, None)
            for method, *args in [
                    ('read', [collection], ['reason']),
                    ('export_data', [collection], ['reason'], False),
                    ('dismiss', [collection])]:
                with pytest.raises(Fault):
                    client(f'{COLLECTION}.{method}', *args)
        values, = clients['cora'](
            f'{COLLECTION}.read', [collection], ['reason'])
        assert values['reason'] == "It is gone"
    finally:
        set_confidential(False)
    with server():
        Collection = Pool().get(COLLECTION)
        Collection.write([Collection(collection)], {'confidential': True})
    with pytest.raises(Fault):
        clients['ada'](f'{COLLECTION}.read', [collection], ['reason'])
    for login, model, id_, name in [
            ('sam', 'sale.sale', sale, 'archive_missing'),
            ('ada', 'order.archive', archive, 'missing_text')]:
        values, = clients[login](f'{model}.read', [id_], [name])
        assert "a document could not be collected" in values[name]
        assert "gone" not in values[name] and "Shipment" not in values[name]


def test_confidential_dismissed(clients):
    "The entry of what is dismissed tells nothing confidential"
    sale, = create_order()
    collection = create_failed(sale)
    with server():
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        Event = pool.get('order.archive.event')
        collection = Collection(collection)
        Collection.write([collection], {'confidential': True})
        Collection.dismiss([Collection(collection.id)])
        event, = Event.search([
                ('resource', '=', str(get_archive(sale))),
                ('action', '=', 'dismiss'),
                ])
        assert json.loads(event.content)['details'] == {
            'dismissed': [{'collector': 'delivery', 'issue': 'gone'}]}


def test_companies(clients):
    "The other company sees nothing of it"
    sale, = create_order()
    collection = create_failed(sale)
    domain = [('id', '=', collection)]
    assert clients['ada'](
        'order.archive.collection.search', domain, 0, None, None)
    assert not clients['olga'](
        'order.archive.collection.search', domain, 0, None, None)
    with pytest.raises(Fault):
        clients['olga'](
            'order.archive.collection.read', [collection], ['reason'])
    with pytest.raises(Fault):
        clients['nora'](
            'order.archive.collection.search', domain, 0, None, None)


def test_attachment_kind(clients):
    "Only the administrator tells as what attachments are kept"
    with server():
        kind, = Pool().get('order.archive.kind').search([
                ('code', '=', 'acceptance')])
    values = {'model': 'stock.shipment.out', 'kind': kind.id}
    for login in ['sam', 'ada', 'olga']:
        with pytest.raises(Fault):
            clients[login]('order.archive.attachment.kind.create', [values])
    mapping, = clients['admin'](
        'order.archive.attachment.kind.create', [values])
    with pytest.raises(Fault):
        clients['ada']('order.archive.attachment.kind.delete', [mapping])
    with pytest.raises(Fault, match="only one"):
        clients['admin']('order.archive.attachment.kind.create', [values])
    clients['admin']('order.archive.attachment.kind.delete', [mapping])


def test_source_without_access(clients):
    "It is the archive that collects, not the user"
    sale, = create_order()
    invoice, = post_invoice(sale)
    pay(invoice)
    with pytest.raises(Fault):
        clients['wes']('account.invoice.read', [invoice], ['number'])
    items = clients['wes'](
        'order.archive.item.search_read',
        [('archive.sale', '=', sale), ('state', '=', 'kept'),
            ('source', '=', f'account.invoice,{invoice}')],
        0, None, None, ['data'])
    assert len(items) == 2 and all(i['data'] for i in items)
    # The invoice of a user without access to the file
    with pytest.raises(Fault):
        clients['nora']('order.archive.item.search', [], 0, None, None)


def test_confidential(clients):
    "What is confidential stays so"
    sale, = create_order()
    with server():
        Kind = Pool().get('order.archive.kind')
        kind, = Kind.search([('code', '=', 'acceptance')])
        kind, = Kind.copy([kind], default={
                'code': 'secret', 'confidential': True})
    with server('sam'):
        attachment = attach(f'sale.sale,{sale}', archive_kind=kind.id)
    domain = [('source', '=', f'ir.attachment,{attachment}')]
    with server():
        item, = Pool().get('order.archive.item').search(domain)
    assert not clients['ada'](
        'order.archive.item.search', domain, 0, None, None)
    with pytest.raises(Fault):
        clients['ada']('order.archive.item.read', [item.id], ['data'])
    assert clients['admin'](
        'order.archive.item.search', domain, 0, None, None)


def test_kind_of_other_company(clients):
    "A kind of another company is not taken"
    sale, = create_order()
    with server():
        Kind = Pool().get('order.archive.kind')
        kind, = Kind.search([('code', '=', 'acceptance')])
        b, = Pool().get('company.company').search([
                ('party.name', '=', "B")])
        kind, = Kind.copy(
            [kind], default={'code': 'foreign', 'company': b.id})
        attachment = attach(f'sale.sale,{sale}', archive_kind=kind.id)
    with server():
        item, = Pool().get('order.archive.item').search([
                ('source', '=', f'ir.attachment,{attachment}')])
        assert item.kind.collector == 'attachment'


def test_other_company(clients):
    "A company without file plan keeps nothing"
    with server():
        pool = Pool()
        Sale = pool.get('sale.sale')
        b, = pool.get('company.company').search([('party.name', '=', "B")])
        party, = pool.get('party.party').search([('name', '=', "Acme")])
        sale, = Sale.create([{
                    'company': b.id, 'party': party.id,
                    'currency': b.currency.id, 'state': 'draft',
                    'invoice_address': party.address_get().id,
                    'shipment_address': party.address_get().id}])
        assert not pool.get('order.archive').get_owners([sale])
