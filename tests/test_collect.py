# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Documents are collected as they are issued, once, and nothing is lost"
import datetime as dt
import hashlib
import re
from collections import Counter
from unittest.mock import patch

import pytest
from sql import Literal

from trytond import backend
from trytond.filestore import FileStore, filestore
from trytond.modules.company_department.report import Document
from trytond.modules.order_archive.exceptions import ArchiveError
from trytond.modules.sale.sale import SaleReport
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME
from trytond.transaction import Transaction

from .care import create_file
from .collect import (
    activate_world, attach, call, collect, create_order, get_archive,
    get_items, get_pending, pay, post_invoice, run_tasks, ship)
from .review import count_queries
from .rpc import server


@pytest.fixture(scope='module', autouse=True)
def world():
    activate_world()


def kinds(sale):
    with server():
        return sorted({i.kind.collector for i in get_items(sale)})


def test_order():
    "The confirmed order is kept as it was printed, once"
    sale, = create_order()
    with server():
        item, = get_items(sale, 'order')
        assert item.source == f'sale.sale,{sale}'
        assert item.document_date == dt.date.today()
        assert item.issue and not item.remark
        data = bytes(item.data)
        assert item.sha256 == hashlib.sha256(data).hexdigest()
        assert item.name.endswith('.odt')
        assert not get_pending(sale)
        assert get_archive(sale).collected_at
    collect(sale)
    collect(sale)
    with server():
        assert [i.id for i in get_items(sale, state=None)] == [item.id]


def test_no_file():
    "Without a file plan nothing is collected, at the cost of three queries"
    def confirm():
        ids = create_order(confirm=False)
        with server('sam', tasks=False):
            Sale = Pool().get('sale.sale')
            sales = Sale.browse(ids)
            Sale.quote(sales)
            with count_queries() as queries:
                Sale.confirm(sales)
            return sales[0].id, len(queries)

    def plan(class_):
        with server():
            Configuration = Pool().get('order.archive.configuration')
            company, = Pool().get('company.company').search([
                    ('party.name', '!=', "B")])
            with Transaction().set_context(company=company.id):
                configuration = Configuration(1)
                before = configuration.plan
                configuration.plan = class_
                configuration.save()
            return before and before.id

    class_ = plan(None)
    try:
        # Fill the caches
        confirm()
        sale, without = confirm()
        Archive = Pool(DB_NAME).get('order.archive')
        with patch.object(Archive, 'issued'):
            _, stock = confirm()
    finally:
        plan(class_)
    with server():
        assert not Pool().get('order.archive').search([('sale', '=', sale)])
    assert without - stock <= 4


def test_constant_queries():
    "What is remembered of many orders costs as many queries as that of one"
    def issued(n):
        sales = create_order(n)
        with server():
            pool = Pool()
            Archive = pool.get('order.archive')
            Sale = pool.get('sale.sale')
            sales = Sale.browse(sales)
            with count_queries() as queries:
                Archive.issued('order', sales)
            Transaction().rollback()
            Transaction().tasks.clear()
            return queries
    few, many = issued(2), issued(12)
    counts = [
        Counter(re.sub(r'\W+', ' ', q)[:120] for q in queries)
        for queries in [few, many]]
    # SQLite inserts one row after the other
    rows = counts[1] - counts[0]
    assert not {q for q in rows if not q.startswith('INSERT')}, rows


@pytest.mark.skipif(
    backend.name != 'postgresql', reason="SQLite does not tell what it reads")
def test_indexes():
    "Of the moves of other shipments none is read when one is shipped"
    def shipped(sale):
        shipment, = ship(sale)
        with server():
            pool = Pool()
            Archive = pool.get('order.archive')
            Shipment = pool.get('stock.shipment.out')
            with count_queries() as queries:
                Archive.issued('delivery', [Shipment(shipment)])
            cursor = Transaction().connection.cursor()
            # It reads small tables whole
            cursor.execute('SET LOCAL enable_seqscan = off')
            rows = []
            for query in queries:
                if query.startswith('SELECT') and 'stock_move' in query:
                    cursor.execute(
                        'EXPLAIN (ANALYZE, FORMAT JSON) ' + query,
                        *query.parameters)
                    (plan,), = cursor.fetchall()
                    rows.append(examined(plan[0]['Plan']))
            Transaction().rollback()
            Transaction().tasks.clear()
            return rows

    def examined(node):
        return (
            node['Actual Loops'] * (
                node['Actual Rows'] + node.get('Rows Removed by Filter', 0))
            + sum(map(examined, node.get('Plans', []))))

    few = shipped(*create_order())
    for sale in create_order(3):
        ship(sale)
    assert few == shipped(*create_order()) and len(few) == 2


def test_life():
    "Delivery note, invoice, payment and cost are collected as they come"
    sale, = create_order()
    assert kinds(sale) == ['order']
    shipment, = ship(sale)
    with server():
        item, = get_items(sale, 'delivery')
        assert item.source == f'stock.shipment.out,{shipment}'
    invoice, = post_invoice(sale)
    with server():
        item, = get_items(sale, 'invoice')
        Invoice = Pool().get('account.invoice')
        assert bytes(item.data) == bytes(Invoice(invoice).invoice_report_cache)
        assert not get_items(sale, 'payment')
    pay(invoice)
    with server():
        payment, = get_items(sale, 'payment')
        assert payment.source == f'account.invoice,{invoice}'
        assert bytes(payment.data)[:4] == b'%PDF'
        assert Pool().get('sale.sale')(sale).state == 'done'
        assert get_items(sale, 'cost')
        assert not get_pending(sale)
        before = [i.id for i in get_items(sale, state=None)]
    collect(sale)
    with server():
        assert [i.id for i in get_items(sale, state=None)] == before


def test_invoice_refreshed():
    "What an invoice was printed as before is kept with what replaced it"
    sale, = create_order()
    invoice, = post_invoice(sale)
    with server():
        first, = get_items(sale, 'invoice')
        Refresh = Pool().get(
            'account.invoice.refresh_invoice_report', type='wizard')
        session, _, _ = Refresh.create()
        with Transaction().set_context(
                active_model='account.invoice', active_id=invoice,
                active_ids=[invoice]):
            Refresh.execute(session, {}, 'archive')
        Report = Pool().get('account.invoice', type='report')
        with patch.object(
                Report, 'convert', return_value=('odt', b'another')):
            Report.execute([invoice], {})
    collect(sale)
    with server():
        items = get_items(sale, 'invoice', state=None)
        assert [i.state for i in items] == ['superseded', 'kept']
        assert items[0] == first and bytes(items[1].data) == b'another'
        assert [i.issue for i in items] == ['0', '1']
    collect(sale)
    with server():
        assert get_items(sale, 'invoice', state=None) == items


def test_invoice_cached():
    "An invoice that has been printed is not printed again"
    sale, = create_order()
    invoice, = post_invoice(sale, tasks=False)
    with server('sam', tasks=False):
        Invoice = Pool().get('account.invoice')
        Invoice.print_invoice([Invoice(invoice)])
        cached = bytes(Invoice(invoice).invoice_report_cache)
    Report = Pool(DB_NAME).get('account.invoice', type='report')
    with patch.object(Report, 'render', side_effect=AssertionError):
        run_tasks()
    with server():
        item, = get_items(sale, 'invoice')
        assert bytes(item.data) == cached


def test_changed_before_printed():
    "It is said that an order has changed before it was printed"
    sale, = create_order(tasks=False)
    with server():
        Line = Pool().get('sale.line')
        line, = Line.search([('sale', '=', sale)])
        table = Line.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.quantity], [7], where=table.id == line.id))
    run_tasks()
    with server():
        item, = get_items(sale, 'order')
        assert "changed before it was printed" in item.remark
        assert not get_pending(sale)
    collect(sale)
    with server():
        assert get_items(sale, 'order', state=None) == [item]


def test_gone_before_printed():
    "An order that went back before it was printed is listed and dismissed"
    sale, = create_order(tasks=False)
    with server('sam', tasks=False):
        Sale = Pool().get('sale.sale')
        Sale.draft([Sale(sale)])
    run_tasks()
    with server():
        assert not get_items(sale, 'order')
        (collector, reason), = get_pending(sale)
        assert collector == 'order' and "before it was printed" in reason
        archive = get_archive(sale)
        assert (
            "Order Confirmation: a document could not be collected"
            in archive.missing_text)
    with server('wes'):
        Collection = Pool().get('order.archive.collection')
        Collection.dismiss(Collection.search([('archive.sale', '=', sale)]))
    collect(sale)
    with server():
        archive = get_archive(sale)
        assert not get_pending(sale)
        assert "could not be collected" not in archive.missing_text
        Event = Pool().get('order.archive.event')
        assert Event.search([
                ('archive', '=', archive.id), ('action', '=', 'dismiss')])


def test_changed_again():
    "The order that is amended back to what it was is kept three times"
    sale, = create_order()

    def change(quantity):
        with server():
            pool = Pool()
            Line = pool.get('sale.line')
            Sale = pool.get('sale.sale')
            line, = Line.search([('sale', '=', sale)])
            table = Line.__table__()
            Transaction().connection.cursor().execute(*table.update(
                    [table.quantity], [quantity], where=table.id == line.id))
            Transaction().counter += 1
            pool.get('order.archive').issued('order', [Sale(sale)])
    change(7)
    change(10)
    with server():
        items = get_items(sale, 'order', state=None)
        assert [i.state for i in items] == [
            'superseded', 'superseded', 'kept']
        assert items[0].issue == items[2].issue != items[1].issue


def test_amendment():
    "An amendment is kept with the order as it stands after it"
    sale, = create_order()
    with server('sam'):
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        Sale = pool.get('sale.sale')
        amendment = Amendment(sale=Sale(sale), date=dt.date.today())
        amendment.lines = [pool.get('sale.amendment.line')(
                action='line', line=Sale(sale).lines[0],
                **{n: getattr(Sale(sale).lines[0], n) for n in [
                        'product', 'unit', 'unit_price', 'description']},
                quantity=5)]
        amendment.save()
        Amendment.validate_amendment([amendment])
    with server():
        before, after = get_items(sale, 'order', state=None)
        assert before.state == 'superseded' and after.state == 'kept'
        sources = {i.source for i in get_items(sale, 'change')}
        assert f'sale.amendment,{amendment.id}' in sources


def test_report_raises():
    "A document that cannot be printed is listed, and collected later"
    with patch.object(
            SaleReport, 'get_context', side_effect=ValueError("No font")):
        sale, = create_order()
        with server():
            assert not get_items(sale, 'order')
            assert get_pending(sale) == [('order', "ValueError: No font")]
            Archive = Pool().get('order.archive')
            archive = get_archive(sale)
            # Whoever sees the file is told of what kind only
            assert Archive.missing([archive])[archive] == [
                'Order Confirmation: a document could not be collected. '
                'Remove the cause that "To Collect" tells and use "Collect", '
                'or have it dismissed.']
        collect(sale)
        with server():
            collection, = Pool().get('order.archive.collection').search([
                    ('archive.sale', '=', sale)])
            assert collection.attempts == 2
    with server():
        Pool().get('order.archive').collect_due()
    with server():
        assert get_items(sale, 'order') and not get_pending(sale)


def test_report_breaks_transaction():
    "A report that breaks the transaction leaves the other documents"
    def fail(*args, **kwargs):
        table = Pool().get('order.archive.collection').__table__()
        Transaction().connection.cursor().execute(*table.insert(
                [table.archive], [[None]]))
    sale, = create_order(tasks=False)
    with server('sam', tasks=False):
        attach(f'sale.sale,{sale}')
    with patch.object(SaleReport, 'get_context', side_effect=fail):
        run_tasks()
    with server():
        assert len(get_items(sale, 'attachment')) == 1
        (collector, reason), = get_pending(sale)
        assert collector == 'order' and reason


def test_collector_raises():
    "A collector that fails does not prevent the others"
    Archive = Pool(DB_NAME).get('order.archive')
    with patch.object(
            Archive, '_collect_attachments', side_effect=ValueError("Odd")):
        sale, = create_order()
        with server():
            assert get_items(sale, 'order')
            assert get_pending(sale) == [('attachment', "ValueError: Odd")]
    with server():
        Archive.collect_due()
    with server():
        assert not get_pending(sale)


def test_no_pdf():
    "Without Pango it is HTML that is kept"
    with patch.object(
            Document, '_convert_pdf', return_value=(None, "No Pango.")):
        sale, = create_order()
        invoice, = post_invoice(sale)
        pay(invoice)
    with server():
        item, = get_items(sale, 'payment')
        assert item.name.endswith('.html')
        assert b"No Pango." in bytes(item.data)


def test_not_converted():
    "It is said when a report is not in the format that was asked for"
    with server():
        ActionReport = Pool().get('ir.action.report')
        action, = ActionReport.search([('report_name', '=', 'sale.sale')])
        ActionReport.write([action], {'extension': 'pdf'})
    try:
        with patch.object(
                SaleReport, 'convert', return_value=('odt', b'order')):
            sale, = create_order()
    finally:
        with server():
            ActionReport.write(
                [ActionReport(action.id)], {'extension': None})
    with server():
        item, = get_items(sale, 'order')
        assert "odt" in item.remark and "pdf" in item.remark


def test_full_disk():
    "What cannot be stored is listed, the others are kept"
    sale, = create_order(tasks=False)
    with server('sam', tasks=False):
        attach(f'sale.sale,{sale}', data=b'large')
    set_ = FileStore.set

    def full(self, data, prefix=''):
        if bytes(data) == b'large' and prefix == 'order_archive':
            raise OSError("No space left on device")
        return set_(self, data, prefix)
    with patch.object(FileStore, 'set', full):
        run_tasks()
        with server():
            assert get_items(sale, 'order')
            assert not get_items(sale, 'attachment')
            (collector, reason), = get_pending(sale)
            assert "No space left" in reason
    collect(sale)
    with server():
        assert get_items(sale, 'attachment') and not get_pending(sale)


def test_attachment():
    "Attachments are copied, and the copies stay"
    sale, = create_order()
    with server('sam'):
        attachment = attach(f'sale.sale,{sale}')
    with server('sam'):
        Attachment = Pool().get('ir.attachment')
        Attachment.write([Attachment(attachment)], {'data': b"changed"})
    with server('sam'):
        Attachment.delete([Attachment(attachment)])
    collect(sale)
    with server():
        first, second = get_items(sale, 'attachment', state=None)
        assert bytes(first.data) == b"drawing"
        assert bytes(second.data) == b"changed"
        assert (first.state, second.state) == ('superseded', 'kept')
        assert first.superseded_by == second
        assert second.name == "drawing.txt"


@pytest.mark.parametrize('method', ['write', 'delete', 'file_id'])
def test_attachment_gone_before_collected(method):
    "An attachment is copied before it goes, if it has not been yet"
    sale, = create_order(tasks=False)
    with server('sam', tasks=False):
        attachment = attach(f'sale.sale,{sale}')
    with server('sam', tasks=False):
        Attachment = Pool().get('ir.attachment')
        if method == 'delete':
            Attachment.delete([Attachment(attachment)])
        elif method == 'write':
            Attachment.write([Attachment(attachment)], {'data': b"changed"})
        else:
            Attachment.write([Attachment(attachment)], {
                    'file_id': filestore.set(
                        b"changed", Transaction().database.name)})
    with server():
        item, = get_items(sale, 'attachment')
        assert bytes(item.data) == b"drawing"
    run_tasks()
    with server():
        items = get_items(sale, 'attachment', state=None)
        assert [bytes(i.data) for i in items] == (
            [b"drawing"] if method == 'delete' else [b"drawing", b"changed"])


def test_attachment_not_copied():
    "An attachment that cannot be copied does not go"
    sale, = create_order(tasks=False)
    with server('sam', tasks=False):
        attachment = attach(f'sale.sale,{sale}')
    with patch.object(FileStore, 'set', side_effect=OSError("Full")):
        with pytest.raises(ArchiveError, match="Full"):
            with server('sam', tasks=False):
                Attachment = Pool().get('ir.attachment')
                Attachment.delete([Attachment(attachment)])
    with server():
        assert Pool().get('ir.attachment').search([('id', '=', attachment)])
    run_tasks()


def test_attachment_lost():
    "An attachment whose data is lost is listed"
    sale, = create_order(tasks=False)
    with server('sam', tasks=False):
        attach(f'sale.sale,{sale}')
    with patch.object(FileStore, 'get', side_effect=IOError):
        run_tasks()
    with server():
        assert any(
            c == 'attachment' and "drawing.txt" in r
            for c, r in get_pending(sale))


def test_attachment_kind():
    "The kind comes from the resource or is chosen"
    with server():
        pool = Pool()
        Kind = pool.get('order.archive.kind')
        AttachmentKind = pool.get('order.archive.attachment.kind')
        acceptance, = Kind.search([('code', '=', 'acceptance')])
        mapping, = AttachmentKind.create([{
                    'model': 'stock.shipment.out', 'kind': acceptance.id}])
    sale, = create_order()
    shipment, = ship(sale)
    with server('sam'):
        attach(f'stock.shipment.out,{shipment}', "signed.pdf")
        attach(
            f'sale.sale,{sale}', "accepted.pdf", archive_kind=acceptance.id)
        attach(f'sale.sale,{sale}', "other.pdf")
    with server():
        assert {
            i.name: i.kind.code for i in get_items(sale)
            if i.name.endswith('.pdf') and 'attachment' in i.source} == {
            "signed.pdf": 'acceptance',
            "accepted.pdf": 'acceptance',
            "other.pdf": get_items(sale, 'attachment')[0].kind.code,
            }
        AttachmentKind.delete([AttachmentKind(mapping.id)])


def test_link():
    "Of a link it is the link that is kept"
    sale, = create_order()
    with server('sam'):
        attach(
            f'sale.sale,{sale}', "drawing", data=None, type='link',
            link='https://example.com/drawing')
    with server():
        item, = get_items(sale, 'attachment')
        assert bytes(item.data) == b'https://example.com/drawing'
        assert item.name == "drawing.txt" and item.remark


def test_notes_and_chats():
    "Notes and chats are collected within the hour, and before they go"
    sale, = create_order()
    with server('sam'):
        pool = Pool()
        Note = pool.get('ir.note')
        Channel = pool.get('ir.chat.channel')
        note, = Note.create([{
                    'resource': f'sale.sale,{sale}', 'message': "Call 验收"}])
        Channel.post(f'sale.sale,{sale}', "Hello")
    with server():
        assert not get_items(sale, 'note')
        assert sorted(c for c, _ in get_pending(sale)) == ['chat', 'note']
        Pool().get('order.archive').collect_due()
    with server():
        assert len(get_items(sale, 'note')) == 1
        assert len(get_items(sale, 'chat')) == 1
        assert not get_pending(sale)
    with server('sam'):
        Note.create([{
                    'resource': f'sale.sale,{sale}', 'message': "Again"}])
    with server('sam'):
        Note.delete([Note(note.id)])
    with server():
        Pool().get('order.archive').collect_due()
    with server():
        # The first, and both before it went
        assert len(get_items(sale, 'note', state=None)) == 2


def test_looks_every_day():
    "What nobody told is found once a day"
    sale, = create_order()
    with server():
        Archive = Pool().get('order.archive')
        table = Archive.__table__()
        attachment = attach(f'sale.sale,{sale}')
        Pool().get('order.archive.collection').delete(
            Pool().get('order.archive.collection').search([]))
        Transaction().tasks.clear()
        Archive.collect_due()
        assert not Transaction().tasks
        Transaction().connection.cursor().execute(*table.update(
                [table.collected_at],
                [dt.datetime.now() - dt.timedelta(days=2)],
                where=table.sale == sale))
        Archive.collect_due()
    with server():
        item, = get_items(sale, 'attachment')
        assert item.source == f'ir.attachment,{attachment}'


def test_survey():
    "A survey that was answered since is kept, confidential as its customer"
    sale, = create_order()
    with server():
        pool = Pool()
        Survey = pool.get('customer.survey')
        company, = pool.get('company.company').search([
                ('party.name', '!=', "B")])
        with Transaction().set_context(
                company=company.id, companies=[company.id]):
            file = create_file(
                company=company, confidentiality='restricted')
            survey, = Survey.create([{
                        'file': file.id,
                        'due_date': dt.date.today(),
                        'means': 'telephone',
                        }])
        table = Survey.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.state, table.answered_at, table.answered_with],
                ['answered', dt.datetime.now().replace(microsecond=0),
                    "Mr. Li 李"],
                where=table.id == survey.id))
    collect(sale)
    with server():
        item, = get_items(sale, 'survey')
        assert item.source == f'customer.survey,{survey.id}'
        assert item.confidential


def test_payment():
    "A payment that succeeded is kept besides the entries that pay"
    sale, = create_order()
    invoice, = post_invoice(sale)
    with server():
        pool = Pool()
        Invoice = pool.get('account.invoice')
        Journal = pool.get('account.payment.journal')
        Payment = pool.get('account.payment')
        invoice = Invoice(invoice)
        line, = invoice.lines_to_pay
        with Transaction().set_context(company=invoice.company.id):
            journal, = Journal.create([{
                        'name': "Bank", 'process_method': 'manual',
                        'company': invoice.company.id,
                        'currency': invoice.currency.id}])
            payment, = Payment.create([{
                        'number': '1',
                        'company': invoice.company.id,
                        'journal': journal.id,
                        'kind': 'receivable',
                        'party': invoice.party.id,
                        'line': line.id,
                        'amount': 100,
                        'date': dt.date.today(),
                        }])
        table = Payment.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.state], ['succeeded'], where=table.id == payment.id))
        Transaction().counter += 1
        pool.get('order.archive').issued('payment', [Payment(payment.id)])
    with server():
        item, = get_items(sale, 'payment')
        assert item.source == f'account.payment,{payment.id}'


def test_incoming_document():
    "A scan reaches the file as what it is"
    sale, = create_order()
    with server():
        pool = Pool()
        Document = pool.get('document.incoming')
        Kind = pool.get('order.archive.kind')
        Sale = pool.get('sale.sale')
        kind, = Kind.search([('code', '=', 'acceptance')])
        document, = Document.create([{
                    'name': "scan.pdf",
                    'company': Sale(sale).company.id,
                    'data': b'scan',
                    'type': 'order_document',
                    'sale': sale,
                    'archive_kind': kind.id,
                    }])
        Document.process([document])
    run_tasks()
    with server():
        assert Document(document.id).result == Sale(sale)
        item, = [i for i in get_items(sale) if i.kind.code == 'acceptance']
        assert bytes(item.data) == b'scan' and item.name == "scan.pdf"


def archive_it(sale):
    "Have the file of the order archived as it is"
    with server():
        Archive = Pool().get('order.archive')
        table = Archive.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.state], ['archived'], where=table.sale == sale))
        archive, = Archive.search([('sale', '=', sale)])
        return archive.id


def get_late(sale):
    "Return the supplement of the order, and what the sources of its items are"
    Archive = Pool().get('order.archive')
    supplement, = Archive.search([
            ('sale', '=', sale), ('supplement_of', '!=', None)])
    return supplement, [i.source for i in supplement.items]


def create_complaint(sale):
    with server('sam'):
        pool = Pool()
        Complaint = pool.get('sale.complaint')
        Type = pool.get('sale.complaint.type')
        Sale = pool.get('sale.sale')
        model, = pool.get('ir.model').search([('name', '=', 'sale.sale')])
        type_ = Type(name="Order", origin=model)
        type_.save()
        complaint = Complaint(
            type=type_, customer=Sale(sale).party,
            company=Sale(sale).company, origin=Sale(sale),
            date=dt.date.today(), description="It squeaks")
        complaint.save()
        Complaint.wait([complaint])
        return str(complaint)


@pytest.mark.parametrize('late', ['complaint', 'attachment'])
def test_late(late):
    "What comes after the file was archived goes into a supplement by itself"
    sale, = create_order()
    ship(sale)
    invoice, = post_invoice(sale)
    pay(invoice)
    archive = archive_it(sale)
    with server():
        before = [i.id for i in get_items(sale, state=None)]
    if late == 'complaint':
        source = create_complaint(sale)
    else:
        with server('sam'):
            source = f"ir.attachment,{attach(f'sale.sale,{sale}')}"
    with server():
        supplement, sources = get_late(sale)
        assert supplement.supplement_of.id == archive
        assert sources == [source]
        assert not get_pending(sale)
        # Nothing is open, so it is up to the archivist
        assert supplement.done_on and supplement.deadline
    with server():
        Archive = Pool().get('order.archive')
        Archive.collect_due()
    with server():
        # The rest is in the file before
        assert get_late(sale)[1] == [source]
        assert [
            i.id for i in get_items(sale, state=None)
            if i.archive.id == archive] == before


def test_late_credit_note():
    "A credit note of an archived order goes into a supplement"
    sale, = create_order()
    invoice, = post_invoice(sale)
    archive_it(sale)

    def credit():
        Invoice = Pool().get('account.invoice')
        credit, = Invoice.credit([Invoice(invoice)])
        credit.invoice_date = dt.date.today()
        credit.save()
        Invoice.post([credit])
        return str(credit)
    credit = call('sam', credit)
    run_tasks()
    with server():
        assert credit in get_late(sale)[1]


def test_late_nothing():
    "Nothing is opened for an archived order that has nothing new"
    sale, = create_order()
    with server('sam'):
        attachment = attach(f'sale.sale,{sale}')
    archive_it(sale)
    with server():
        pool = Pool()
        pool.get('order.archive').issued(
            'order', [pool.get('sale.sale')(sale)])
    with server('sam'):
        Attachment = Pool().get('ir.attachment')
        Attachment.delete([Attachment(attachment)])
    run_tasks()
    with server():
        assert get_archive(sale).state == 'archived'
        assert not get_pending(sale)


def test_late_survey():
    "A survey of the customer opens no supplement of its orders"
    sale, = create_order()
    archive_it(sale)
    with server():
        pool = Pool()
        Archive = pool.get('order.archive')
        table = pool.get('sale.sale').__table__()
        query = table.select(
            table.id.as_('sale'), Literal(1).as_('id'),
            where=table.id == sale)
        with patch.object(Archive, '_query_related', return_value=query):
            assert not Archive.get_owners(['customer.survey,1'])
            assert Archive.get_owners(['sale.complaint,1'])


def test_late_gone():
    "An attachment of an archived order is copied before it goes"
    sale, = create_order()
    archive_it(sale)
    with server('sam', tasks=False):
        attachment = attach(f'sale.sale,{sale}')
    with server('sam', tasks=False):
        Attachment = Pool().get('ir.attachment')
        Attachment.delete([Attachment(attachment)])
    with server():
        assert get_late(sale)[1] == [f'ir.attachment,{attachment}']
    run_tasks()


def test_pending_when_archived():
    "What was remembered while the file was archived is not forgotten"
    sale, = create_order()
    with server('sam', tasks=False):
        attachment = attach(f'sale.sale,{sale}')
    archive_it(sale)
    with server(tasks=False) as transaction:
        queue = Pool().get('ir.queue').__table__()
        transaction.connection.cursor().execute(*queue.delete())
        Pool().get('order.archive').collect_due()
    run_tasks()
    with server():
        assert get_late(sale)[1] == [f'ir.attachment,{attachment}']
        assert not get_pending(sale)


def test_late_dismissed():
    "What the file was archived without is not asked for again"
    sale, = create_order()
    with patch.object(
            SaleReport, 'get_context', side_effect=ValueError("No font")):
        collect(sale)
        with server('sam'):
            Line = Pool().get('sale.line')
            line, = Line.search([('sale', '=', sale)])
            table = Line.__table__()
            Transaction().connection.cursor().execute(*table.update(
                    [table.quantity], [7], where=table.id == line.id))
            Transaction().counter += 1
            Pool().get('order.archive').issued(
                'order', [Pool().get('sale.sale')(sale)])
        with server('wes'):
            Collection = Pool().get('order.archive.collection')
            Collection.dismiss(
                Collection.search([('archive.sale', '=', sale)]))
        archive_it(sale)
        with server():
            Pool().get('order.archive').issued(
                'order', [Pool().get('sale.sale')(sale)])
        run_tasks()
    with server():
        assert get_archive(sale).state == 'archived'
        assert not get_pending(sale)
