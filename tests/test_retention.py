# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import hashlib
import io
import json
from pathlib import Path
from unittest.mock import patch

from dateutil.relativedelta import relativedelta

from trytond import backend
from trytond.exceptions import UserError
from trytond.filestore import filestore
from trytond.model.exceptions import AccessError
from trytond.modules.order_archive import export as export_
from trytond.modules.order_archive import storage
from trytond.modules.order_archive.catalogue import ArchiveTexts
from trytond.modules.order_archive.exceptions import (
    DisposalError, HoldError, HoldValidationError, RetentionError,
    RetentionValidationError)
from trytond.modules.order_archive.verify import Verifier, Zip
from trytond.pool import Pool
from trytond.transaction import Transaction

from .archive import (
    add, as_user, confirm, create_plan, finish, get, get_company, get_events,
    kind)
from .retention import (
    LATER, TODAY, RetentionTestCase, approve, archived, click, client, close,
    disposed, erase, hold, on, plan, propose, release, stored)
from .review import (
    count_queries, create_party, get_notifications, with_company)

END = TODAY + relativedelta(years=10)


class RetentionPeriodTestCase(RetentionTestCase):
    "Test how long files are kept"

    def retention(self, **values):
        Retention = Pool().get('order.archive.retention')
        retention, = Retention.create([{
                    'name': "Retention",
                    'years': 1,
                    **values,
                    }])
        return retention

    @with_company
    def test_copied(self):
        "Test the retention is copied when the file is archived"
        plan()
        archive = confirm()
        finish(archive.sale)
        self.assertIsNone(archive.__class__(archive.id).retain_until)
        archive = close(archive)
        self.assertEqual(
            (archive.retention.name, archive.retention_action,
                archive.trigger_date, archive.retain_until),
            ("Ten", 'dispose', TODAY, END))
        self.assertEqual(get_events(archive)[-2:], ['archive', 'retain'])
        # It does not change any more
        retention = archive.retention
        for values in [
                {'years': 1}, {'months': 1}, {'trigger': 'done'},
                {'action': 'keep'}]:
            with self.subTest(**values), \
                    self.assertRaisesRegex(AccessError, "Enter another one"):
                retention.__class__.write([retention], values)
        retention.__class__.write(
            [retention], {'name': "Decade", 'years': 10, 'active': False})
        unused = self.retention()
        unused.__class__.write([unused], {'years': 2})

    @with_company
    def test_inherited(self):
        "Test a class has the retention of the nearest parent"
        Class = Pool().get('order.archive.class')
        plan = create_plan(retention=self.retention().id)
        child, = Class.create([
                {'code': 'C', 'name': "Child", 'parent': plan.id}])
        grandchild, = Class.create([
                {'code': 'G', 'name': "Grandchild", 'parent': child.id}])
        self.assertEqual(grandchild.get_retention(), plan.retention)
        other = self.retention(name="Other")
        Class.write([child], {'retention': other.id})
        self.assertEqual(Class(grandchild.id).get_retention(), other)

    @with_company
    def test_none(self):
        "Test a file without retention is never proposed"
        create_plan()
        archive = archived()
        self.assertIsNone(archive.retention)
        self.assertIsNone(archive.retain_until)
        self.assertEqual(propose(dt.date(9999, 1, 1)), [])
        with self.assertRaisesRegex(RetentionError, "for ever"):
            self.lengthen(archive, LATER)

    @with_company
    def test_keep(self):
        "Test a file that is kept for ever"
        create_plan(retention=self.retention(action='keep').id)
        archive = archived()
        self.assertIsNone(archive.retain_until)
        self.assertEqual(propose(dt.date(9999, 1, 1)), [])
        with self.assertRaisesRegex(RetentionError, "for ever"):
            self.lengthen(archive, LATER)

    @with_company
    def test_triggers(self):
        "Test from which date the period runs"
        create_plan(retention=self.retention(months=2).id)
        archive = confirm()
        sale = finish(archive.sale)
        later = TODAY + dt.timedelta(days=40)
        Archive = archive.__class__
        for trigger in ['done', 'payment']:
            with self.subTest(trigger=trigger):
                method = getattr(Archive, f'_trigger_{trigger}')
                self.assertEqual(method([Archive(archive.id)]), {
                        archive: TODAY})
        archive = close(archive, date=later)
        self.assertEqual(
            (archive.trigger_date, archive.retain_until),
            (TODAY, TODAY + relativedelta(years=1, months=2)))
        # Nothing has been paid: it runs from the archiving
        unpaid = confirm()
        self.assertEqual(Archive._trigger_payment([unpaid]), {})
        self.assertNotEqual(sale, unpaid.sale)

    @with_company
    def test_period(self):
        with self.assertRaises(RetentionValidationError):
            self.retention(years=0)
        with self.assertRaises(UserError):
            self.retention(years=-1)

    @with_company
    def test_shipped(self):
        "Test the shipped plan has a retention"
        pool = Pool()
        Class = pool.get('order.archive.class')
        for class_ in Class.search([]):
            self.assertTrue(class_.get_retention(), class_.rec_name)

    def lengthen(self, archive, date, name="Dora", reason="Warranty"):
        with client(name):
            archive.__class__.lengthen([archive], date, reason)
        return archive.__class__(archive.id)

    @with_company
    def test_lengthen(self):
        "Test the retention is only extended, with a reason"
        plan()
        archive = archived()
        date = END + dt.timedelta(days=1)
        for name in ["Arno", "Audi", "Sven"]:
            with self.subTest(name=name), self.assertRaises(AccessError):
                self.lengthen(archive, date, name=name)
        for values in [
                {'date': END}, {'date': TODAY}, {'date': date, 'reason': " "}]:
            with self.subTest(**values), self.assertRaises(RetentionError):
                self.lengthen(archive, **values)
        archive = self.lengthen(archive, date, name="Adam")
        self.assertEqual(archive.retain_until, date)
        Event = Pool().get('order.archive.event')
        event, *_ = Event.search([('resource', '=', str(archive))], limit=1)
        content = json.loads(event.content)
        self.assertEqual(event.action, 'lengthen')
        self.assertEqual(content['details'], {
                'reason': "Warranty", 'before': END.isoformat()})
        self.assertEqual(
            content['values']['retain_until'], date.isoformat())

    @with_company
    def test_lengthen_due(self):
        "Test a due file that is kept longer is archived again"
        plan(action='review')
        archive = archived()
        self.assertEqual(propose(), [])
        archive = archive.__class__(archive.id)
        self.assertEqual(archive.state, 'due')
        archive = self.lengthen(archive, LATER + dt.timedelta(days=1))
        self.assertEqual(archive.state, 'archived')

    @with_company
    def test_write(self):
        "Test nobody writes the retention"
        plan()
        archive = archived()
        for values in [
                {'retain_until': None}, {'trigger_date': None},
                {'state': 'disposed'}, {'retention': None}]:
            for check in [False, True]:
                with self.subTest(values=values), \
                        Transaction().set_context(_check_access=check), \
                        self.assertRaises(AccessError):
                    archive.__class__.write([archive], values)


class HoldTestCase(RetentionTestCase):
    "Test what keeps files from being disposed of"

    @with_company
    def test_scopes(self):
        "Test the files, parties and classes that are held"
        Class = Pool().get('order.archive.class')
        parent = plan()
        archive = archived()
        child, = Class.create([
                {'code': 'C', 'name': "Child", 'parent': parent.id}])
        # Lock before the parts of the test, which do not begin anew
        self.assertEqual(propose(TODAY), [])
        Archive = archive.__class__
        for scope, held, other in [
                ('archives', archive, None),
                ('parties', archive.party, create_party("Nobody")),
                ('classes', parent, child),
                ]:
            with self.subTest(scope=scope):
                if other:
                    release(hold(**{scope: [other]}))
                self.assertFalse(Archive(archive.id).held)
                record = hold(**{scope: [held]})
                self.assertTrue(Archive(archive.id).held)
                self.assertEqual(Archive(archive.id).holds, (record,))
                self.assertEqual(
                    Archive.search([('held', '=', True)]), [archive])
                self.assertEqual(
                    Archive.search([('held', '=', False)]), [])
                self.assertEqual(propose(), [])
                release(record)
                self.assertEqual(
                    Archive.search([('held', '!=', True)]), [archive])

    @with_company
    def test_classes_below(self):
        "Test the files of the classes below are held"
        Class = Pool().get('order.archive.class')
        root, = Class.create([{'code': 'R', 'name': "Root"}])
        parent = plan()
        archive = archived()
        Class.write([parent], {'parent': root.id})
        hold(classes=[root])
        self.assertTrue(archive.__class__(archive.id).held)

    @with_company
    def test_class_moved(self):
        "Test no class is moved out of a class that is held"
        Class = Pool().get('order.archive.class')
        root, other = Class.create([
                {'code': c, 'name': c} for c in ['R', 'O']])
        parent = plan()
        archive = archived()
        Class.write([parent], {'parent': root.id})
        record = hold(classes=[root])
        for call in [
                lambda: Class.write([parent], {'parent': None}),
                lambda: Class.write([parent], {'parent': other.id}),
                lambda: Class.write(
                    [root], {'children': [('remove', [parent.id])]}),
                ]:
            with self.assertRaisesRegex(AccessError, "Release the hold"):
                call()
        Class.write([parent], {'parent': root.id, 'name': "Other"})
        Class.write([root], {'parent': other.id})
        self.assertTrue(archive.__class__(archive.id).held)
        release(record)
        Class.write([parent], {'parent': None})

    @with_company
    def test_merged(self):
        "Test the files of a party that is merged stay held"
        pool = Pool()
        Replace = pool.get('party.replace', type='wizard')
        Sale = pool.get('sale.sale')
        plan()
        archive = confirm()
        Sale.draft([Sale(archive.sale.id)])
        Sale.cancel([Sale(archive.sale.id)])
        archive = close(archive)
        hold(parties=[archive.party])
        parties = [
            archive.party, get('party.party', "Other"), create_party("Last")]
        for source, destination in zip(parties, parties[1:]):
            session, _, _ = Replace.create()
            replace = Replace(session)
            with Transaction().set_context(_skip_warnings=True):
                replace.ask.source = source
                replace.ask.destination = destination
                replace.transition_replace()
        Archive = archive.__class__
        self.assertEqual(
            Archive.search([('party', '=', parties[-1])]), [archive])
        self.assertEqual(Archive.search([('held', '=', True)]), [archive])
        self.assertEqual(propose(), [])

    @with_company
    def test_supplement(self):
        "Test all files of an order are held together"
        plan()
        archive = archived()
        archive.__class__.supplement([archive])
        supplement, = archive.__class__(archive.id).supplements
        hold(archives=[supplement])
        self.assertTrue(archive.__class__(archive.id).held)

    @with_company
    def test_record(self):
        "Test who placed and released a hold is recorded"
        plan()
        archive = archived()
        employee = get('company.employee', "Dora")
        forged = get('company.employee', "Sven")
        Hold = Pool().get('order.archive.hold')
        with client("Dora"):
            record, = Hold.create([{
                        'matter': "Matter", 'reason': "Reason",
                        'archives': [('add', [archive.id])],
                        'state': 'released',
                        'placed_by': forged.id,
                        'released_by': forged.id,
                        'release_reason': "Forged",
                        }])
        record = Hold(record.id)
        self.assertEqual(
            (record.state, record.placed_by, record.released_by,
                record.release_reason),
            ('active', employee, None, None))
        self.assertEqual(get_events(record), ['place'])
        with self.assertRaises(HoldError):
            release(record, reason="")
        release(record, name="Adam")
        record = Hold(record.id)
        self.assertEqual(
            (record.state, record.released_by.rec_name,
                record.release_reason),
            ('released', "Adam", "Settled"))
        self.assertEqual(get_events(record), ['place', 'release'])
        with self.assertRaisesRegex(HoldError, "already"):
            release(record)

    @with_company
    def test_denied(self):
        "Test nobody changes or deletes a hold, or its scope"
        pool = Pool()
        Hold = pool.get('order.archive.hold')
        Scope = pool.get('order.archive.hold-order.archive')
        plan()
        archive = archived()
        for name in ["Arno", "Audi", "Sven"]:
            with self.subTest(name=name), self.assertRaises(AccessError):
                hold(name=name, archives=[archive])
        with self.assertRaises(HoldValidationError):
            hold()
        with self.assertRaises(AccessError), client("Dora"):
            Hold.create([{
                        'matter': "Matter", 'reason': "Reason",
                        'archives': [('create', [{'number': "1"}])],
                        }])
        record = hold(archives=[archive])
        scope, = Scope.search([])
        for check in [False, True]:
            for call in [
                    lambda: Hold.write([record], {'matter': "Other"}),
                    lambda: Hold.write(
                        [record], {'archives': [('remove', [archive.id])]}),
                    lambda: Hold.write([record], {'state': 'released'}),
                    lambda: Hold.delete([record]),
                    lambda: Hold.copy([record]),
                    lambda: Scope.delete([scope]),
                    lambda: Scope.create([{
                                'hold': record.id, 'archive': archive.id}]),
                    ]:
                with Transaction().set_context(_check_access=check), \
                        self.assertRaises(AccessError):
                    call()
        with self.assertRaises(AccessError):
            release(record, name="Arno")
        self.assertTrue(archive.__class__(archive.id).held)


class DisposalTestCase(RetentionTestCase):
    "Test the disposal of files"

    @with_company
    def test_propose(self):
        "Test the scheduled task only proposes what is due"
        plan()
        archive = archived()
        self.assertEqual(propose(END), [])
        disposal, = propose(END + dt.timedelta(days=1))
        self.assertEqual(
            (disposal.state, disposal.prepared_by, disposal.company),
            ('proposed', None, get_company()))
        file, = disposal.files
        self.assertEqual((file.archive, file.state), (archive, 'listed'))
        self.assertEqual(file.archive.state, 'due')
        self.assertEqual(get_events(archive)[-1], 'due')
        self.assertEqual(get_events(disposal), ['propose'])
        self.assertEqual(stored(archive), 2)
        # Nothing is listed twice
        self.assertEqual(propose(), [disposal])

    @with_company
    def test_dispose(self):
        "Test the content goes and all else stays"
        plan()
        archive = archived(b'first', b'second', b'third')
        before = [
            (i.name, i.kind, i.size, i.sha256, i.document_date)
            for i in archive.items]
        disposal = disposed(archive)
        archive = archive.__class__(archive.id)
        self.assertEqual((disposal.state, archive.state), (
                'disposed', 'disposed'))
        self.assertEqual(stored(archive), 0)
        self.assertEqual(
            [(i.name, i.kind, i.size, i.sha256, i.document_date)
                for i in archive.items], before)
        for item in archive.items:
            self.assertEqual(
                (item.state, item.data, item.file_id, item.disposed_file_id),
                ('disposed', None, None, None))
            self.assertEqual(get_events(item)[-1], 'dispose')
        self.assertEqual(
            [i.sha256 for i in archive.items],
            [hashlib.sha256(d).hexdigest() for d in [
                    b'first', b'second', b'third']])
        self.assertEqual(get_events(disposal), [
                'propose', 'approve', 'approve', 'execute', 'erase'])
        self.assertEqual(get_events(archive)[-1], 'dispose')

    @with_company
    def test_fsync(self):
        "Test the disk forgets what is removed before the database does"
        Item = Pool().get('order.archive.item')
        plan()
        archive = archived()
        paths = [
            Path(filestore._filename(i.file_id, 'order_archive'))
            for i in archive.items]
        disposal, = propose()
        approve(disposal)
        disposal = click('execute', disposal)
        kept = []

        def fsync(folders):
            self.assertFalse(any(p.exists() for p in paths))
            self.assertEqual(Item.search([
                        ('archive', '=', archive.id),
                        ('disposed_file_id', '!=', None),
                        ], count=True), 2)
            kept.extend(folders)

        with patch.object(storage, '_fsync', fsync):
            erase(disposal)
        self.assertEqual(set(kept), {p.parent for p in paths})

    @with_company
    def test_export(self):
        "Test an export during which a file is disposed of is made again"
        pool = Pool()
        Archive = pool.get('order.archive')
        pool.get('order.archive.chain').lock()
        plan()
        archive = archived()
        disposal, = propose()
        approve(disposal)
        write_documents = Archive._export_documents

        def dispose(*args):
            erase(click('execute', disposal))
            return write_documents(*args)

        def export():
            file = io.BytesIO()
            with as_user("Arno"):
                Archive.seal_export([archive])
                size = Archive.prepare_export([archive]).size
                return file, Archive.export_to(
                    [archive], file, 'bag', size)

        # What is not committed cannot be seen from elsewhere
        with patch.object(export_, '_separately', lambda f: f()):
            with patch.object(Archive, '_export_documents', dispose):
                self.assertFalse(export()[1])
            file, exported = export()
        self.assertTrue(exported)
        verifier = Verifier(Zip(file))
        self.assertTrue(verifier.run(), verifier.problems)
        self.assertEqual(verifier.documents, 0)

    @with_company
    def test_number(self):
        "Test two disposals of a company cannot have the same number"
        Disposal = Pool().get('order.archive.disposal')
        plan()
        archived()
        one, = propose()
        archived()
        two, = set(propose()) - {one}
        table = Disposal.__table__()
        with self.assertRaises(backend.DatabaseIntegrityError):
            Transaction().connection.cursor().execute(*table.update(
                    [table.number], [one.number], where=table.id == two.id))

    @with_company
    def test_counted(self):
        "Test what did not count before the disposal does not after"
        pool = Pool()
        Archive = pool.get('order.archive')
        Index = pool.get('order.archive.index', type='report')
        Item = pool.get('order.archive.item')
        Retention = pool.get('order.archive.retention')
        retention, = Retention.create([{
                    'name': "Ten", 'years': 10, 'trigger': 'archived',
                    'action': 'dispose'}])
        create_plan(('contract', 'always'), retention=retention.id)
        archive = confirm()
        Archive.do_waive(archive, kind('contract'), "Lost")
        waiver, = Archive(archive.id).items
        Item.do_withdraw([waiver], "Found")
        add(archive, 'contract', b'old', source='sale.contract,1')
        add(archive, 'contract', b'new', source='sale.contract,1')
        finish(archive.sale)
        archive = close(archive)
        before = Archive._count_items([archive])
        self.assertEqual(before[1], set())
        disposed(archive)
        archive = Archive(archive.id)
        self.assertEqual(archive.state, 'disposed')
        self.assertEqual(Archive._count_items([archive]), before)
        texts = ArchiveTexts(Index, archive.company, [archive])
        self.assertEqual(
            [i.sha256 for i in texts.items[archive]
                if i.kind.code == 'contract'],
            [hashlib.sha256(b'new').hexdigest()])

    @with_company
    def test_verify(self):
        "Test what was disposed of is verified still"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Verification = pool.get('order.archive.verification')
        plan()
        archive = archived()
        record = hold(archives=[archive])
        release(record)
        disposal, = propose()
        Event.seal()
        verification, = Verification.run([get_company()])
        self.assertEqual(
            (verification.state, [f.subject for f in verification.findings]),
            ('sound', []))
        approve(disposal)
        disposal = click('execute', disposal)
        erase(disposal)
        Event.seal()
        verification, = Verification.run([get_company()])
        self.assertEqual(
            (verification.state, [f.subject for f in verification.findings]),
            ('sound', []))
        # What somebody changes is found
        table = disposal.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.executed_by], [get('company.employee', "Sven").id]))
        Transaction().counter += 1
        for cache in Transaction().cache.values():
            cache.clear()
        verification, = Verification.run([get_company()])
        self.assertEqual(verification.state, 'broken')

    @with_company
    def test_four_eyes(self):
        "Test two persons approve who did not prepare it"
        plan(action='review')
        archive = archived()
        propose()
        archive = click('propose_disposal', archive, name="Dana")
        disposal, = archive.__class__(archive.id).disposals
        disposal = disposal.disposal
        self.assertEqual(disposal.prepared_by.rec_name, "Dana")
        for name in ["Arno", "Adam", "Audi", "Sven"]:
            with self.subTest(name=name), self.assertRaises(UserError):
                click('approve', disposal, name=name)
        with self.assertRaisesRegex(DisposalError, "prepared"):
            click('approve', disposal, name="Dana")
        disposal = click('approve', disposal)
        self.assertEqual(disposal.state, 'proposed')
        with self.assertRaisesRegex(DisposalError, "already"):
            click('approve', disposal)
        with self.assertRaises(UserError):
            click('execute', disposal)
        with self.assertRaises(DisposalError):
            disposal.__class__.execute([disposal])
        disposal = click('approve', disposal, name="Dirk")
        self.assertEqual(disposal.state, 'approved')
        self.assertEqual(
            [a.employee.rec_name for a in disposal.approvals],
            ["Dora", "Dirk"])
        with self.assertRaises(UserError):
            click('approve', disposal, name="Dana")
        self.assertEqual(stored(archive), 2)

    @with_company
    def test_same_person(self):
        "Test a second user of the same person does not count"
        pool = Pool()
        Employee = pool.get('company.employee')
        User = pool.get('res.user')
        plan()
        archived()
        disposal, = propose()
        dora, dirk = get('res.user', "Dora"), get('res.user', "Dirk")
        twin, = Employee.create([{
                    'party': dora.employee.party.id,
                    'company': get_company().id,
                    }])
        click('approve', disposal)
        User.write([dirk], {
                'employees': [
                    ('remove', [e.id for e in dirk.employees]),
                    ('add', [twin.id])],
                'employee': twin.id,
                })
        with self.assertRaisesRegex(DisposalError, "already"):
            click('approve', disposal, name="Dirk")
        # Who is no employee approves nothing
        User.write([dirk], {
                'employees': [('remove', [twin.id])], 'employee': None})
        with self.assertRaises(AccessError):
            click('approve', disposal, name="Dirk")

    @with_company
    def test_hold_steps(self):
        "Test a hold blocks each step, also after the approval"
        plan()
        archive = archived()
        disposal, = propose()
        record = hold(archives=[archive])
        with self.assertRaisesRegex(DisposalError, "Acme against us"):
            click('approve', disposal)
        self.assertIn("Acme against us", disposal.problems)
        release(record)
        approve(disposal)
        record = hold(parties=[archive.party])
        with self.assertRaisesRegex(DisposalError, "Acme against us"):
            click('execute', disposal)
        self.assertEqual(stored(archive), 2)
        release(record)
        erase(click('execute', disposal))
        self.assertEqual(stored(archive), 0)

    @with_company
    def test_take_out(self):
        "Test a file is taken out with a reason and kept longer"
        File = Pool().get('order.archive.disposal.file')
        plan()
        kept, gone = archived(), archived()
        disposal, = propose()
        approve(disposal)
        file, = [f for f in disposal.files if f.archive == kept]
        date = LATER + dt.timedelta(days=100)

        def take_out(name="Dora", date=date, reason="Warranty"):
            with on(LATER), client(name):
                File.exclude([file], date, reason)
        for values in [
                {'name': "Arno"}, {'reason': ""}]:
            with self.subTest(**values), self.assertRaises(UserError):
                take_out(**values)
        take_out()
        file = File(file.id)
        self.assertEqual(
            (file.state, file.taken_out_by.rec_name, file.reason),
            ('taken_out', "Dora", "Warranty"))
        kept = kept.__class__(kept.id)
        self.assertEqual((kept.state, kept.retain_until), ('archived', date))
        with self.assertRaises(DisposalError):
            take_out(date=date + dt.timedelta(days=1))
        erase(click('execute', disposal.__class__(disposal.id)))
        self.assertEqual((stored(kept), stored(gone)), (2, 0))
        self.assertEqual(File(file.id).state, 'taken_out')

    @with_company
    def test_take_out_shorter(self):
        File = Pool().get('order.archive.disposal.file')
        plan()
        archived()
        disposal, = propose()
        with on(LATER), client("Dora"), self.assertRaises(RetentionError):
            File.exclude(disposal.files, TODAY, "Warranty")

    @with_company
    def test_take_out_all(self):
        "Test a disposal without files is cancelled"
        File = Pool().get('order.archive.disposal.file')
        plan()
        archived()
        disposal, = propose()
        with on(LATER), client("Dora"):
            File.exclude(
                disposal.files, LATER + dt.timedelta(days=1), "Warranty")
        disposal = disposal.__class__(disposal.id)
        self.assertEqual(disposal.state, 'cancelled')
        with self.assertRaises(DisposalError):
            disposal.__class__.approve([disposal])

    @with_company
    def test_review(self):
        "Test a file to review is proposed only by a person"
        plan(action='review')
        archive = archived()
        get_notifications()
        self.assertEqual(propose(), [])
        told = get_notifications()
        self.assertLessEqual({'dora', 'dirk', 'dana'}, set(told))
        notification, = told['dora']
        self.assertIn("1 order file(s) to review", notification.label)
        self.assertIn(archive.number, notification.description)
        # Of each once
        self.assertEqual(propose(), [])
        self.assertFalse(get_notifications())
        for name in ["Arno", "Audi", "Sven"]:
            with self.subTest(name=name), self.assertRaises(UserError):
                click('propose_disposal', archive, name=name)
        click('propose_disposal', archive, name="Adam")
        with self.assertRaisesRegex(DisposalError, "listed"):
            click('propose_disposal', archive, name="Adam")

    @with_company
    def test_not_due(self):
        plan(action='review')
        archive = archived()
        with self.assertRaisesRegex(DisposalError, "Archived"):
            archive.__class__.propose_disposal([archive])

    @with_company
    def test_supplement(self):
        "Test the supplements follow their file"
        plan()
        archive = archived(b'first')
        Archive = archive.__class__
        Archive.supplement([archive])
        supplement, = Archive(archive.id).supplements
        # As long as it takes documents
        self.assertEqual(propose(), [])
        close(supplement, date=TODAY + relativedelta(years=5))
        self.assertEqual(propose(), [])
        late = LATER + relativedelta(years=5)
        disposal, = propose(late)
        self.assertEqual([f.archive for f in disposal.files], [archive])
        self.assertEqual(Archive(supplement.id).state, 'due')
        with self.assertRaisesRegex(DisposalError, "supplement"):
            Archive.propose_disposal([Archive(supplement.id)])
        for name in ["Dora", "Dirk"]:
            click('approve', disposal, name=name, date=late)
        erase(click('execute', disposal, date=late))
        self.assertEqual(
            [a.state for a in Archive.browse([archive, supplement])],
            ['disposed'] * 2)

    @with_company
    def test_reopened(self):
        "Test an order that is reopened after the approval is not disposed of"
        plan()
        archive = archived()
        disposal, = propose()
        approve(disposal)
        archive.__class__.supplement([archive.__class__(archive.id)])
        with self.assertRaisesRegex(DisposalError, "Collecting"):
            click('execute', disposal)

    @with_company
    def test_denied(self):
        "Test nobody writes what is evidence of a disposal"
        pool = Pool()
        Approval = pool.get('order.archive.disposal.approval')
        plan()
        archive = archived()
        disposal, = propose()
        disposal = click('approve', disposal)
        Disposal = disposal.__class__
        file, = disposal.files
        approval, = disposal.approvals
        user = get('res.user', "Dirk")
        for check in [False, True]:
            for call in [
                    lambda: Disposal.write([disposal], {'state': 'approved'}),
                    lambda: Disposal.delete([disposal]),
                    lambda: Disposal.copy([disposal]),
                    lambda: Disposal.create([{
                                'number': "X",
                                'company': get_company().id,
                                'prepared_at': dt.datetime.now(),
                                'state': 'approved',
                                }]),
                    lambda: file.__class__.write([file], {
                            'archive': archive.id}),
                    lambda: file.__class__.delete([file]),
                    lambda: approval.__class__.delete([approval]),
                    lambda: Approval.create([{
                                'disposal': disposal.id,
                                'employee': user.employee.id,
                                'user': user.id,
                                'approved_at': dt.datetime.now(),
                                }]),
                    ]:
                with Transaction().set_context(_check_access=check), \
                        self.assertRaises(AccessError):
                    call()

    @with_company
    def test_certificate(self):
        "Test the certificate tells who disposed of what and when"
        Certificate = Pool().get(
            'order.archive.disposal.certificate', type='report')
        plan()
        archive = archived()
        disposal, = propose()
        with self.assertRaises(DisposalError):
            Certificate.execute([disposal.id], {})
        approve(disposal)
        disposal = erase(click('execute', disposal))
        _, content, _, name = Certificate.execute([disposal.id], {})
        self.assertTrue(content)
        with patch.object(
                Certificate, 'convert',
                side_effect=lambda r, data, **k: ('html', data)):
            _, content, *_ = Certificate.execute([disposal.id], {})
        for text in [
                disposal.number, archive.number, "Dora", "Dirk",
                *(i.sha256 for i in archive.items)]:
            self.assertIn(text, content)

    @with_company
    def test_queries(self):
        "Test the number of queries does not depend on that of the files"
        plan()
        archives = [archived() for _ in range(3)]
        Archive = archives[0].__class__
        Archive.get_disposal_problems(archives)
        counts = []
        for number in [2, 3]:
            files = Archive.browse(archives[:number])
            with count_queries() as queries:
                Archive.get_disposal_problems(files)
            counts.append(len(queries))
        self.assertEqual(*counts)


del RetentionTestCase
