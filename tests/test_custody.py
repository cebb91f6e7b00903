# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import sys
from unittest.mock import patch

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.order_archive.exceptions import (
    CustodyError, DisposalError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .archive import (
    add, check_boolean, confirm, create_plan, get, get_company, get_events)
from .retention import (
    LATER, TODAY, RetentionTestCase, add_paper, approve, archived, click,
    client, erase, on, plan, propose)
from .review import count_queries, get_notifications, with_company
from .test_ledger import findings, verify


def create(model, name="Arno", **values):
    Model = Pool().get(model)
    with client(name):
        record, = Model.create([values])
    return Model(record.id)


def get_next(name):
    "Return the next number, which PostgreSQL does not take back"
    Configuration = Pool().get('order.archive.configuration')
    return Configuration(1).get_multivalue(
        name, company=get_company().id).number_next


def create_volume(title="Volume", **values):
    return create('order.archive.volume', title=title, **values)


def file(volume, *papers, name="Arno"):
    Volume = volume.__class__
    with client(name):
        Volume.file(Volume(volume.id), [
                p if isinstance(p, tuple) else (p, 1) for p in papers])
    return Volume(volume.id)


def write(record, name="Arno", **values):
    with client(name):
        record.__class__.write([record], values)
    return record.__class__(record.id)


def lend(name="Arno", until=TODAY, **values):
    return create(
        'order.archive.loan', name=name,
        borrower=get('company.employee', "Sven").party.id,
        purpose="Complaint", until=until, **values)


def bound(*papers):
    volume = file(create_volume(), *papers)
    return click('bind', volume, name="Arno", date=TODAY)


class VolumeTestCase(RetentionTestCase):
    "Test how papers are bound"

    @with_company
    def test_folios(self):
        "Test folios are numbered in order and never again"
        create_plan()
        archive = confirm()
        papers = [add_paper(archive, name=n) for n in "ABC"]
        number = get_next('volume_sequence')
        volume = create_volume()
        self.assertEqual(volume.number, f"V{number:05}")
        volume = file(volume, (papers[0], 3), papers[1])
        self.assertEqual(
            [(f.first, f.last) for f in volume.folios], [(1, 3), (4, 4)])
        click('remove', volume.folios[1], name="Arno", date=TODAY)
        volume = file(volume, papers[2])
        self.assertEqual(
            [(f.first, f.last, f.state) for f in volume.folios],
            [(1, 3, 'filed'), (4, 4, 'removed'), (5, 5, 'filed')])
        self.assertEqual(
            papers[0].__class__(papers[0].id).folio,
            f"{volume.number} / 1–3")
        self.assertIsNone(papers[1].__class__(papers[1].id).folio)
        # What was removed can be filed again
        volume = file(volume, papers[1])
        self.assertEqual(volume.folios[-1].first, 6)
        self.assertEqual(get_events(volume), [
                'create', 'file', 'remove', 'file', 'file'])

    @with_company
    def test_files(self):
        "Test a volume can bind the papers of several files"
        create_plan()
        a, b = add_paper(confirm()), add_paper(confirm())
        volume = bound(a, b)
        self.assertEqual(
            [f.archive for f in volume.folios], [a.archive, b.archive])

    @with_company
    def test_refused(self):
        create_plan()
        archive = confirm()
        paper = add_paper(archive)
        document, = add(archive, 'order')
        volume = create_volume()
        for papers, message in [
                ([document], "no paper"),
                ([(paper, 0)], "leaves"),
                ([paper, paper], "already"),
                ]:
            with self.subTest(message=message), \
                    self.assertRaisesRegex(CustodyError, message):
                file(volume, *papers)
        file(volume, paper)
        with self.assertRaisesRegex(CustodyError, "already"):
            file(create_volume(), paper)
        for name in ["Sven", "Audi"]:
            with self.assertRaises(AccessError):
                file(volume, paper, name=name)

    @with_company
    def test_sealed(self):
        "Test a volume that is bound does not change"
        create_plan()
        archive = confirm()
        paper, other = add_paper(archive), add_paper(archive, name="Other")
        volume = create_volume()
        with self.assertRaises(UserError):
            click('bind', volume, name="Arno", date=TODAY)
        with self.assertRaisesRegex(CustodyError, "no papers"):
            volume.__class__.bind([volume])
        volume = write(volume, title="Contracts")
        file(volume, paper)
        for name in ["Sven", "Audi"]:
            with self.assertRaises(UserError):
                click('bind', volume, name=name, date=TODAY)
        volume = click('bind', volume, name="Arno", date=TODAY)
        self.assertEqual(
            (volume.state, volume.bound_by.rec_name), ('bound', "Arno"))
        with self.assertRaisesRegex(CustodyError, "bound"):
            file(volume, other)
        folio = volume.folios[0]
        for button, record in [('bind', volume), ('remove', folio)]:
            with self.assertRaises(UserError):
                click(button, record, name="Arno", date=TODAY)
            with self.assertRaisesRegex(CustodyError, "bound"):
                getattr(record.__class__, button)([record])
        for check in [False, True]:
            for call in [
                    lambda: volume.__class__.write(
                        [volume], {'title': "Other"}),
                    lambda: volume.__class__.write(
                        [volume], {'state': 'open'}),
                    lambda: volume.__class__.write(
                        [volume], {'next_folio': 1}),
                    lambda: volume.__class__.delete([volume]),
                    lambda: folio.__class__.write([folio], {'first': 9}),
                    lambda: folio.__class__.delete([folio]),
                    ]:
                with Transaction().set_context(_check_access=check), \
                        self.assertRaises(AccessError):
                    call()

    @with_company
    def test_forged(self):
        "Test the server knows the state of a new volume"
        volume = create_volume(
            state='bound', next_folio=7,
            bound_by=get('company.employee', "Sven").id)
        self.assertEqual(
            (volume.state, volume.next_folio, volume.bound_by),
            ('open', 1, None))

    @with_company
    def test_wizard(self):
        "Test the papers of a file that have no folio are entered"
        pool = Pool()
        Start = pool.get('order.archive.volume.add_papers.start')
        create_plan()
        archive = confirm()
        paper, other = add_paper(archive), add_paper(archive, name="Other")
        file(create_volume(), paper)
        start = Start(archive=archive, papers=[])
        start.on_change_archive()
        self.assertEqual(
            [(p.item, p.leaves) for p in start.papers], [(other, 1)])


class PlaceTestCase(RetentionTestCase):
    "Test where the papers are"

    def place(self, name, parent=None):
        return create(
            'order.archive.place', name="Adam", **{
                'name_': name, 'parent': parent.id if parent else None})

    @with_company
    def test_moves(self):
        "Test each move is recorded"
        Place = Pool().get('order.archive.place')
        room, = Place.create([{'name': "Room"}])
        shelf, other = Place.create([
                {'name': "Shelf", 'parent': room.id},
                {'name': "Other", 'parent': room.id}])
        number = get_next('box_sequence')
        box = create('order.archive.box', place=shelf.id)
        self.assertEqual(box.number, f"B{number:05}")
        volume = create_volume(box=box.id)
        self.assertEqual(volume.where, f"Room / Shelf / {box.number}")
        box = write(box, place=other.id, description="2026")
        write(box, description="2027")
        box = write(box, place=other.id)
        self.assertEqual(
            [(m.from_, m.to, m.employee.rec_name) for m in box.moves],
            [(shelf, other, "Arno"), (None, shelf, "Arno")])
        volume = write(volume, box=None, place=shelf.id)
        self.assertEqual(
            [(m.from_, m.to) for m in volume.moves],
            [(box, shelf), (None, box)])
        self.assertEqual(get_events(box.moves[0]), ['move'])
        move = box.moves[0]
        for call in [
                lambda: move.__class__.write([move], {'to': None}),
                lambda: move.__class__.delete([move]),
                lambda: box.__class__.delete([box]),
                lambda: box.__class__.write([box], {'number': "1"}),
                ]:
            with self.assertRaises(AccessError):
                call()

    @with_company
    def test_delete(self):
        "Test a place that something was moved to or from cannot be deleted"
        Event = Pool().get('order.archive.event')
        Place = Pool().get('order.archive.place')
        one, two, unused = Place.create([
                {'name': "One"}, {'name': "Two"}, {'name': "Unused"}])
        box = create('order.archive.box', place=one.id)
        box = write(box, place=two.id)
        volume = create_volume(place=one.id)
        volume = write(volume, place=None)
        box = write(box, place=None)
        Event.seal()
        for place in [one, two]:
            with self.assertRaisesRegex(AccessError, "Deactivate it instead"):
                Place.delete([place])
        Place.delete([unused])
        self.assertEqual(findings(verify()), [])
        self.assertEqual(get_events(volume), ['create', 'change'])

    @with_company
    def test_labels(self):
        "Test the labels have the number as QR code"
        Label = Pool().get('order.archive.label', type='report')
        box = create('order.archive.box', description="Contracts <2026>")
        with patch.object(
                Label, 'convert',
                side_effect=lambda r, data, **k: ('html', data)):
            _, content, *_ = Label.execute([box.id], {})
        self.assertIn(box.number, content)
        self.assertIn("Contracts &lt;2026&gt;", content)
        self.assertEqual(content.count('<svg'), 1)
        extension, content, *_ = Label.execute([box.id], {})
        self.assertEqual((extension, content[:4]), ('pdf', b'%PDF'))
        with patch.dict(sys.modules, {'segno': None}), \
                self.assertRaisesRegex(CustodyError, "segno"):
            Label.execute([box.id], {})


class LoanTestCase(RetentionTestCase):
    "Test what is lent"

    @with_company
    def test_lend(self):
        create_plan()
        volume = bound(add_paper(confirm()))
        loan = lend(volume=volume.id)
        self.assertEqual(
            (loan.state, loan.lent_by.rec_name), ('lent', "Arno"))
        Volume = volume.__class__
        self.assertTrue(Volume(volume.id).lent)
        self.assertEqual(Volume.search([('lent', '=', True)]), [volume])
        with self.assertRaises(UserError):
            click('give_back', loan, name="Audi", date=TODAY)
        loan = click('give_back', loan, name="Arno", date=TODAY)
        self.assertEqual(
            (loan.state, loan.received_by.rec_name), ('returned', "Arno"))
        self.assertEqual(Volume.search([('lent', '=', True)]), [])
        self.assertEqual(get_events(loan), ['lend', 'return'])
        with self.assertRaisesRegex(CustodyError, "already"):
            loan.__class__.give_back([loan])
        lend(volume=volume.id)
        with self.assertRaises(UserError):
            lend(volume=volume.id)

    @with_company
    def test_refused(self):
        create_plan()
        archive = confirm()
        volume = create_volume()
        for values in [
                {'volume': volume.id},
                {},
                {'volume': bound(add_paper(archive)).id,
                    'archive': archive.id},
                ]:
            with self.subTest(values=values), self.assertRaises(UserError):
                lend(**values)
        for name in ["Sven", "Audi"]:
            with self.assertRaises(AccessError):
                lend(name=name, archive=archive.id)
        loan = lend(archive=confirm().id, state='returned')
        self.assertEqual(loan.state, 'lent')
        for check in [False, True]:
            for call in [
                    lambda: loan.__class__.write([loan], {'until': LATER}),
                    lambda: loan.__class__.delete([loan]),
                    lambda: loan.__class__.copy([loan]),
                    ]:
                with Transaction().set_context(_check_access=check), \
                        self.assertRaises(AccessError):
                    call()

    @with_company
    def test_overdue(self):
        "Test who lent and who borrowed are reminded once a week"
        Loan = Pool().get('order.archive.loan')
        create_plan()
        loan = lend(archive=confirm().id)
        get_notifications()

        def remind(days):
            with on(TODAY + dt.timedelta(days=days)):
                Loan.remind()
                overdue = Loan.search([('overdue', '=', True)])
                self.assertEqual(
                    [l for l in Loan.search([]) if l.overdue], overdue)
                self.assertEqual(
                    Loan.search([('overdue', '=', False)]),
                    [] if overdue else [loan])
            return sorted(get_notifications())
        self.assertEqual(remind(0), [])
        self.assertEqual(remind(1), ['arno', 'sven'])
        self.assertEqual(remind(2), [])
        self.assertEqual(remind(8), ['arno', 'sven'])
        click('give_back', loan, name="Arno", date=TODAY)
        with on(LATER):
            Loan.remind()
        self.assertEqual(get_notifications(), {})

    @with_company
    def test_booleans(self):
        "Test what is lent is found"
        pool = Pool()
        Loan = pool.get('order.archive.loan')
        create_plan()
        confirm()
        for until in [TODAY, LATER]:
            lend(archive=confirm().id, until=until)
        with on(TODAY + dt.timedelta(days=1)):
            check_boolean(self, Loan, 'overdue')
        check_boolean(self, Loan, 'secret')
        check_boolean(self, pool.get('order.archive'), 'lent')

    @with_company
    def test_employee(self):
        "Test who lends is looked for once, however much is lent"
        Loan = Pool().get('order.archive.loan')
        create_plan()
        borrower = get('company.employee', "Sven").party.id
        counts = []
        # The first fills the caches
        for number in [1, 1, 3]:
            archives = [confirm() for _ in range(number)]
            with client("Arno"), count_queries() as queries:
                loans = Loan.create([{
                            'archive': archive.id,
                            'borrower': borrower,
                            'purpose': "Complaint",
                            'until': TODAY,
                            } for archive in archives])
                Loan.give_back(loans)
            counts.append(sum(
                    'res_user-company_employee' in str(q) for q in queries))
        self.assertEqual(*counts[1:])

    @with_company
    def test_disposal(self):
        "Test what is lent is not disposed of"
        Archive = Pool().get('order.archive')
        plan()
        archive = confirm()
        paper = add_paper(archive)
        archive = self.archive_with(archive)
        volume = bound(paper)
        loan = lend(volume=volume.id)
        self.assertEqual(Archive.search([('lent', '=', True)]), [archive])
        self.assertEqual(propose(), [])
        click('give_back', loan, name="Arno", date=TODAY)
        disposal, = propose()
        loan = lend(archive=archive.id)
        with self.assertRaisesRegex(DisposalError, "lent"):
            click('approve', disposal)
        click('give_back', loan, name="Arno", date=TODAY)
        approve(disposal)
        loan = lend(volume=volume.id)
        with self.assertRaisesRegex(DisposalError, "lent"):
            click('execute', disposal)
        click('give_back', loan, name="Arno", date=TODAY)
        erase(click('execute', disposal))
        volume = volume.__class__(volume.id)
        self.assertEqual(
            (volume.state, volume.folios[0].state), ('destroyed', 'disposed'))
        for values in [{'archive': archive.id}, {'volume': volume.id}]:
            with self.assertRaises(UserError):
                lend(**values)

    def archive_with(self, archive):
        from .archive import finish
        from .retention import close
        finish(archive.sale)
        return close(archive)

    @with_company
    def test_mixed_volume(self):
        "Test a volume stays as long as it has papers of other files"
        plan()
        archive, other = confirm(), archived()
        paper = add_paper(archive)
        second = add_paper(confirm())
        archive = self.archive_with(archive)
        volume = bound(paper, second)
        File = Pool().get('order.archive.disposal.file')
        disposal, = propose()
        with on(LATER), client("Dora"):
            File.exclude(
                [f for f in disposal.files if f.archive == other],
                LATER + dt.timedelta(days=1), "Later")
        approve(disposal)
        erase(click('execute', disposal))
        volume = volume.__class__(volume.id)
        self.assertEqual(
            (volume.state, [f.state for f in volume.folios]),
            ('bound', ['disposed', 'filed']))
        self.assertTrue(get_company())


del RetentionTestCase
