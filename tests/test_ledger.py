# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import errno
import hashlib
import json
import os
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from smtplib import SMTPException
from tempfile import TemporaryDirectory
from unittest.mock import patch

from sql import Column

import trytond.config as config_
from trytond.model.exceptions import AccessError
from trytond.modules.company.tests.tools import create_company
from trytond.modules.order_archive.exceptions import LedgerError
from trytond.modules.order_archive.verification import _Run
from trytond.modules.order_archive.verify import (
    GENESIS, Tree, entry_hash, leaf_hash)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import count_queries, get_company, with_company


class Record:
    "What evidence looks like to the ledger"
    archive = None
    _ids = count(1)

    def __init__(self, company=None, **values):
        self.id = next(self._ids)
        self.company = company or get_company()
        self.values = values

    def __str__(self):
        return f'test.record,{self.id}'

    def ledger_values(self):
        return self.values


class LedgerTestCase(TestCase):
    "Tests with the ledger of one company"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules('order_archive', create_company)
        cls.addClassCleanup(drop_db)


@contextmanager
def set_path(**paths):
    "Configure the folders of the server"
    section = 'order_archive'
    if not config_.has_section(section):
        config_.add_section(section)
    for name, path in paths.items():
        config_.set(section, name, str(path))
    try:
        yield
    finally:
        for name in paths:
            config_.set(section, name, '')


def create_other():
    "Create another company"
    pool = Pool()
    Company = pool.get('company.company')
    Party = pool.get('party.party')
    party, = Party.create([{'name': "Other"}])
    company, = Company.create([{
                'party': party.id,
                'currency': get_company().currency.id,
                }])
    return company


def seal(number=1, company=None, **values):
    "Record and seal entries"
    pool = Pool()
    Event = pool.get('order.archive.event')
    Chain = pool.get('order.archive.chain')
    Chain.lock()
    events = Event.record(
        'create', [
            Record(company, number=i, **values) for i in range(number)])
    Event.seal()
    return Event.browse([e.id for e in events])


class SealTestCase(LedgerTestCase):
    "Test the ledger and its chain"

    @with_company
    def test_record(self):
        "Test an event tells what, who and when"
        pool = Pool()
        Event = pool.get('order.archive.event')
        one, two = Record(name="触摸屏", size=1), Record(name=None)
        events = Event.record(
            'create', [one, two], {two: {'reason': "Lost"}})
        self.assertEqual(
            [(e.resource, e.action, e.archive, e.sequence, e.hash)
                for e in events],
            [(str(r), 'create', None, None, None) for r in [one, two]])
        content = json.loads(events[0].content)
        self.assertTrue(content.pop('at').endswith('+00:00'))
        self.assertEqual(content, {
                'action': 'create',
                'details': {},
                'employee': None,
                'format': 1,
                'resource': str(one),
                'user': 'admin',
                'values': {'name': "触摸屏", 'size': 1},
                })
        self.assertIn("触摸屏", events[0].content)
        self.assertEqual(
            json.loads(events[1].content)['details'], {'reason': "Lost"})

    @with_company
    def test_seal(self):
        "Test each entry holds the hash of the one before"
        events = seal(3)
        self.assertEqual([e.sequence for e in events], [1, 2, 3])
        previous = GENESIS
        for event in events:
            self.assertEqual(event.previous, previous)
            self.assertEqual(event.hash, entry_hash([
                        1, event.company.id, event.sequence, previous,
                        event.sealed_at, None, event.resource, 'create',
                        event.content]))
            previous = event.hash
        Chain = Pool().get('order.archive.chain')
        chain, = Chain.search([])
        self.assertEqual((chain.length, chain.hash), (3, previous))
        event, = seal()
        self.assertEqual((event.sequence, event.previous), (4, previous))

    @with_company
    def test_denied(self):
        "Test nobody changes the ledger"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Chain = pool.get('order.archive.chain')
        event, = seal()
        chain, = Chain.search([])
        other = create_other()
        for record, values in [
                (event, {'content': '{}'}), (event, {'sequence': None}),
                (chain, {'length': 0})]:
            with self.assertRaises(AccessError):
                type(record).write([record], values)
            with self.assertRaises(AccessError):
                type(record).delete([record])
        for Model, values in [
                (Event, {'resource': 'a,1', 'action': 'a', 'content': '{}',
                        'format': 1}),
                (Chain, {'length': 1, 'hash': GENESIS})]:
            with self.assertRaises(AccessError):
                Model.create([{'company': other.id, **values}])

    @with_company
    def test_queue(self):
        "Test a transaction seals what it records by one task"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Queue = pool.get('ir.queue')
        for _ in range(3):
            Event.record('create', [Record()])
        task, = Queue.search([('name', '=', 'default')])
        self.assertEqual(
            (task.data['model'], task.data['method']),
            ('order.archive.event', 'seal_later'))

    @with_company
    def test_queries(self):
        "Test the number of queries does not depend on that of the events"
        pool = Pool()
        Event = pool.get('order.archive.event')
        numbers = set()
        for number in [10, 100]:
            records = [Record() for _ in range(number)]
            with count_queries() as queries:
                Event.record('create', records)
            numbers.add(sum(not q.startswith('INSERT') for q in queries))
        # Those of the first time are cached
        self.assertLess(max(numbers), 20)

    @with_company
    def test_others(self):
        "Test a broken ledger does not keep others from being sealed"
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        Chain.lock()
        broken, other = get_company(), create_other()
        seal(3, company=broken)
        seal(company=other)
        table = Chain.__table__()
        where = table.company == broken.id
        for number, query in enumerate([
                    table.update([table.length], [2], where=where),
                    table.delete(where=where)], 2):
            execute(query)
            one, two = [
                Event.record('create', [Record(c)])[0]
                for c in [broken, other]]
            Event.seal()
            self.assertIsNone(Event(one.id).sequence)
            self.assertEqual(Event(two.id).sequence, number)
            with self.assertRaisesRegex(LedgerError, "has entry 3"):
                Event.seal([broken])
            with self.assertRaisesRegex(LedgerError, "has entry 3"):
                Checkpoint.make([broken])



def execute(query):
    Transaction().connection.cursor().execute(*query)


def verify():
    pool = Pool()
    Company = pool.get('company.company')
    Verification = pool.get('order.archive.verification')
    company, *_ = Company.search([], order=[('id', 'ASC')])
    verification, = Verification.run([company])
    return verification


def findings(verification):
    return [(f.area, f.subject, f.text) for f in verification.findings]


class ChainVerificationTestCase(LedgerTestCase):
    "Test what is altered in the ledger is found"

    def setUp(self):
        super().setUp()
        # The records of these tests are not in the database
        patcher = patch.object(
            _Run, 'verify_records', lambda self, Model: None)
        patcher.start()
        self.addCleanup(patcher.stop)

    @with_company
    def test_sound(self):
        Checkpoint = Pool().get('order.archive.checkpoint')
        seal(3)
        Checkpoint.make()
        seal(2)
        verification = verify()
        self.assertEqual(findings(verification), [])
        self.assertEqual(
            (verification.state, verification.entries,
                verification.checkpoints),
            ('sound', 5, 1))

    @with_company
    def test_fields(self):
        "Test each field of an entry that is altered is found"
        Event = Pool().get('order.archive.event')
        Chain = Pool().get('order.archive.chain')
        Chain.lock()
        event = seal(3)[1]
        other = create_other()
        table = Event.__table__()
        for name, value in [
                ('format', 2),
                ('previous', GENESIS),
                ('sealed_at', event.sealed_at[:-1]),
                ('resource', 'order.archive,1'),
                ('action', 'delete'),
                ('content', event.content + ' '),
                ('hash', GENESIS),
                ('sequence', 7),
                ('sequence', 2_000_000_000),
                ('company', other.id),
                ]:
            with self.subTest(name=name):
                was = getattr(event, name)
                was = getattr(was, 'id', was)
                execute(table.update(
                        [Column(table, name)], [value],
                        where=table.id == event.id))
                verification = verify()
                self.assertEqual(verification.state, 'broken')
                self.assertIn('2', ' '.join(
                        f.subject for f in verification.findings))
                execute(table.update(
                        [Column(table, name)], [was],
                        where=table.id == event.id))
        self.assertEqual(verify().state, 'sound')

    @with_company
    def test_bytes(self):
        "Test each class of bytes of the content is hashed"
        Event = Pool().get('order.archive.event')
        event, = seal(name="触摸屏 é \\ \" \n\t", none=None)
        table = Event.__table__()
        content = event.content
        for i, char in enumerate(content):
            for changed in {chr(ord(char) ^ 1), '', char + ' '}:
                altered = content[:i] + changed + content[i + 1:]
                if altered == content or '\x00' in altered:
                    continue
                self.assertNotEqual(
                    entry_hash([
                            1, event.company.id, event.sequence,
                            event.previous, event.sealed_at, None,
                            event.resource, event.action, altered]),
                    event.hash)
        # One of each class in the database
        for i in [0, len(content) // 2, len(content) - 1,
                content.index("触"), content.index('\\'),
                content.index('null')]:
            altered = content[:i] + '#' + content[i + 1:]
            execute(table.update(
                    [table.content], [altered], where=table.id == event.id))
            self.assertEqual(verify().state, 'broken')

    @with_company
    def test_removed(self):
        "Test what is removed from the middle is named"
        Event = Pool().get('order.archive.event')
        seal(6)
        table = Event.__table__()
        execute(table.delete(where=table.sequence.in_([3, 4])))
        self.assertEqual(
            [f.subject for f in verify().findings], ["Entries 3 to 4"])

    @with_company
    def test_truncated(self):
        "Test a tail that is removed is named"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Chain = pool.get('order.archive.chain')
        Checkpoint = pool.get('order.archive.checkpoint')
        *_, third, _ = [e.hash for e in seal(4)]
        Checkpoint.make()
        table = Event.__table__()
        chain = Chain.__table__()
        execute(table.delete(where=table.sequence == 4))
        self.assertEqual(
            [f.subject for f in verify().findings],
            ["Dunder Mifflin: 4", "Entry 4"])
        # The head is made to fit
        execute(chain.update(
                [chain.length, chain.hash], [3, third]))
        self.assertEqual(
            [(f.area, f.subject) for f in verify().findings],
            [('checkpoint', "Dunder Mifflin: 4"), ('ledger', "Entry 4")])
        # A new entry takes the place
        seal()
        self.assertEqual(
            [(f.area, f.subject) for f in verify().findings],
            [('checkpoint', "Dunder Mifflin: 4")])
        with self.assertRaises(LedgerError):
            execute(table.delete(where=table.sequence == 2))
            Checkpoint.make([get_company()])
            seal()
            Checkpoint.make([get_company()])

    @with_company
    def test_rewritten(self):
        "Test a ledger that is written anew differs from the checkpoint"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Chain = pool.get('order.archive.chain')
        Checkpoint = pool.get('order.archive.checkpoint')
        with TemporaryDirectory() as folder, set_path(
                checkpoint_path=folder):
            seal(2)
            Checkpoint.make()
            events = seal(3)
            checkpoint, = Checkpoint.make()
            Checkpoint.publish(Checkpoint.search([]))
            table = Event.__table__()
            chain = Chain.__table__()
            previous = events[0].previous
            for event in events:
                content = event.content.replace('admin', 'nobody')
                hash_ = entry_hash([
                        1, event.company.id, event.sequence, previous,
                        event.sealed_at, None, event.resource, event.action,
                        content])
                execute(table.update(
                        [table.content, table.previous, table.hash],
                        [content, previous, hash_],
                        where=table.id == event.id))
                previous = hash_
            execute(chain.update([chain.hash], [previous]))
            verification = verify()
            self.assertEqual(
                [f.area for f in verification.findings], ['checkpoint'] * 2)
            self.assertIn("3 to 5", verification.findings[0].text)
            # Those in the database are removed: the folder has them
            execute(Checkpoint.__table__().delete())
            verification = verify()
            self.assertEqual(
                [f.subject for f in verification.findings],
                [checkpoint.file_name])
            self.assertEqual(
                (verification.checkpoints, verification.outside), (0, 2))

    @with_company
    def test_clock(self):
        "Test a clock that is set back is recorded and keeps the order"
        Event = Pool().get('order.archive.event')
        Pool().get('order.archive.chain').lock()
        for at in ['2026-05-02T00:00:00', '2026-05-01T00:00:00']:
            with patch(
                    'trytond.modules.order_archive.event.utcnow',
                    return_value=at):
                seal()
        events = Event.search([], order=[('sequence', 'ASC')])
        self.assertEqual(
            [(e.sequence, e.sealed_at) for e in events],
            [(1, '2026-05-02T00:00:00'), (2, '2026-05-01T00:00:00')])
        self.assertEqual(verify().state, 'sound')

    @with_company
    def test_unsealed(self):
        Event = Pool().get('order.archive.event')
        Event.record('create', [Record()])
        self.assertEqual(verify().state, 'sound')
        table = Event.__table__()
        execute(table.update(
                [table.create_date],
                [dt.datetime.now() - dt.timedelta(days=2)]))
        self.assertEqual(
            [f.area for f in verify().findings], ['ledger'])

    @with_company
    def test_chain_removed(self):
        "Test a company without the row of its chain is verified"
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        Verification = pool.get('order.archive.verification')
        with TemporaryDirectory() as folder, set_path(
                checkpoint_path=folder):
            seal(3)
            Checkpoint.publish(Checkpoint.make())
            execute(Chain.__table__().delete())
            verification, = Verification.run()
            self.assertEqual(
                [(f.area, f.subject) for f in verification.findings],
                [('ledger', "Dunder Mifflin")])
            # Nothing is left but what is outside
            for Model in [Event, Checkpoint, Verification]:
                execute(Model.__table__().delete())
            verification, = Verification.run()
            self.assertEqual(
                [(f.area, f.subject) for f in verification.findings], [
                    ('checkpoint', next(Path(folder).iterdir()).name),
                    ('ledger', "Entries 1 to 3")])

    @with_company
    def test_companies(self):
        "Test the scheduled task verifies each company once"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Cron = pool.get('ir.cron')
        Verification = pool.get('order.archive.verification')
        Pool().get('order.archive.chain').lock()
        companies = [get_company(), create_other()]
        for company in companies:
            seal(company=company)
        for Model, method in [(Verification, 'run'), (Checkpoint, 'make')]:
            cron, = Cron.search([
                    ('method', '=', f'{Model.__name__}|{method}')])
            self.assertFalse(cron.companies)
            for c_companies in [[], companies]:
                Cron.write([cron], {
                        'companies': [('add', [c.id for c in c_companies])]})
                execute(Model.__table__().delete())
                with Transaction().set_context(company=None):
                    Cron.run_once([Cron(cron.id)])
                self.assertEqual(
                    sorted(r.company.id for r in Model.search([])),
                    sorted(c.id for c in companies))

    @with_company
    def test_notify(self):
        "Test the auditors are told"
        Event = Pool().get('order.archive.event')
        seal(2)
        table = Event.__table__()
        execute(table.update([table.action], ['x']))
        verify()
        transaction = Transaction()
        self.assertEqual(
            [(n.user.login, n.label)
                for n in transaction.user_notifications],
            [('admin', "Order Archive Broken: 2 Findings")])


class CheckpointTestCase(LedgerTestCase):
    "Test the checkpoints"

    def test_tree(self):
        "Test the root is that of RFC 6962"
        def root(leaves):
            if not leaves:
                return hashlib.sha256(b'').digest()
            if len(leaves) == 1:
                return hashlib.sha256(b'\0' + leaves[0]).digest()
            k = 1
            while k * 2 < len(leaves):
                k *= 2
            return hashlib.sha256(
                b'\1' + root(leaves[:k]) + root(leaves[k:])).digest()

        leaves = [hashlib.sha256(bytes([i])).digest() for i in range(70)]
        tree = Tree()
        for i, leaf in enumerate(leaves):
            self.assertEqual(tree.root(), root(leaves[:i]).hex())
            tree.add(leaf_hash(leaf.hex()))
        # As published for a log with one empty entry
        self.assertEqual(
            hashlib.sha256(b'\0').hexdigest(), '6e340b9cffb37a989ca544e6bb780'
            'a2c78901d3fb33738768511a30617afa01d')

    @with_company
    def test_make(self):
        Checkpoint = Pool().get('order.archive.checkpoint')
        seal(3)
        one, = Checkpoint.make()
        self.assertEqual(Checkpoint.make(), [one])
        seal()
        two, = Checkpoint.make([get_company()])
        self.assertEqual((one.size, two.size), (3, 4))
        self.assertNotEqual(one.root, two.root)
        content = json.loads(two.content)
        self.assertEqual(
            (content['root'], content['size'], content['company']),
            (two.root, 4, get_company().id))

    @with_company
    def test_folder(self):
        "Test what is in the folder is never replaced"
        Checkpoint = Pool().get('order.archive.checkpoint')
        seal(3)
        checkpoint, = Checkpoint.make()
        Checkpoint.publish([checkpoint])
        self.assertIsNone(checkpoint.published_at)
        with TemporaryDirectory() as folder, set_path(
                checkpoint_path=folder):
            Checkpoint.publish([checkpoint])
            self.assertTrue(checkpoint.published_at)
            path, = Path(folder).iterdir()
            self.assertEqual(path.name, checkpoint.file)
            self.assertEqual(
                path.read_text(encoding='utf-8'), checkpoint.content)
            Checkpoint.publish([checkpoint])
            path.write_text("{}")
            with self.assertRaises(LedgerError):
                Checkpoint.publish([checkpoint])
            self.assertEqual(path.read_text(), "{}")
            path.unlink()
            with patch('os.fsync', side_effect=OSError(
                        errno.ENOSPC, os.strerror(errno.ENOSPC))):
                with self.assertRaisesRegex(LedgerError, "No space left"):
                    Checkpoint.publish([checkpoint])
            self.assertEqual(list(Path(folder).iterdir()), [])

    @with_company
    def test_mail(self):
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Configuration = pool.get('order.archive.configuration')
        config = Configuration(1)
        config.checkpoint_recipients = "notary@example.com"
        config.save()
        seal(3)
        checkpoint, = Checkpoint.make()
        with patch('trytond.modules.order_archive.checkpoint.'
                'send_message') as send:
            Checkpoint.publish([checkpoint])
        (message,), _ = send.call_args
        self.assertEqual(message['To'], "notary@example.com")
        self.assertIn(
            checkpoint.root, message.get_body().get_content())
        attachment, = message.iter_attachments()
        self.assertEqual(
            attachment.get_content().decode(), checkpoint.content)
        self.assertEqual(checkpoint.recipients, "notary@example.com")

    @with_company
    def test_others(self):
        "Test a broken ledger does not keep others from their checkpoints"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        Event.seal()
        broken, other = get_company(), create_other()
        seal(2, company=broken)
        table = Event.__table__()
        for column, value in [(table.hash, 'nothing'), (table.sequence, 7)]:
            seal(company=other)
            execute(table.update(
                    [column], [value],
                    where=(table.company == broken.id)
                    & (table.sequence == 2)))
            with self.assertRaisesRegex(
                    LedgerError, "has no entry 2|has entry 7"):
                Checkpoint.make([broken])
            notifications = Transaction().user_notifications
            notifications.clear()
            with Transaction().set_context(company=None):
                checkpoint, = Checkpoint.make()
            self.assertEqual(checkpoint.company, other)
            self.assertEqual(
                [(n.user.login, n.label) for n in notifications],
                [('admin', "Checkpoint Failed")])

    @with_company
    def test_truncated(self):
        "Test a ledger that was cut back keeps no others from checkpoints"
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        Chain.lock()
        broken, other = get_company(), create_other()
        hash_ = seal(3, company=broken)[0].hash
        Checkpoint.make([broken])
        seal(company=other)
        event, chain = Event.__table__(), Chain.__table__()
        execute(event.delete(
                where=(event.company == broken.id) & (event.sequence > 1)))
        execute(chain.update(
                [chain.length, chain.hash], [1, hash_],
                where=chain.company == broken.id))
        # It has as many entries again, but one
        seal(company=broken)
        with self.assertRaisesRegex(
                LedgerError, "covers 3 entries, but the ledger has only 2"):
            Checkpoint.make([broken])
        Transaction().user_notifications.clear()
        with Transaction().set_context(company=None):
            checkpoint, = Checkpoint.make()
        self.assertEqual(checkpoint.company, other)
        self.assertEqual(
            [n.label for n in Transaction().user_notifications],
            ["Checkpoint Failed"])

    @with_company
    def test_button(self):
        "Test the user is told of the checkpoint that the queue makes"
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        Queue = pool.get('ir.queue')
        seal(2)
        chains = Chain.search([])
        Event.record('create', [Record()])
        Chain.checkpoint(chains)
        # Others can seal while the ledger is read
        self.assertEqual(Checkpoint.search([]), [])
        task, *_ = Queue.search([], order=[('id', 'DESC')])
        self.assertEqual(task.data['method'], 'checkpoint_later')
        Chain.checkpoint_later(Chain.browse(task.data['instances']))
        checkpoint, = Checkpoint.search([])
        self.assertEqual(checkpoint.size, 3)
        notification, = Transaction().user_notifications
        self.assertEqual(
            (notification.label, notification.description),
            ("Checkpoint Made", checkpoint.rec_name))
        table = Event.__table__()
        execute(table.delete(where=table.sequence == 2))
        seal()
        Chain.checkpoint_later(chains)
        self.assertEqual(
            Transaction().user_notifications[-1].label, "Checkpoint Failed")

    @with_company
    def test_publish(self):
        """Test a checkpoint that cannot be published does not keep others, and
        the auditors are told"""
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Configuration = pool.get('order.archive.configuration')
        Queue = pool.get('ir.queue')
        config = Configuration(1)
        config.checkpoint_recipients = "notary@example.com"
        config.save()
        seal()
        one, = Checkpoint.make()
        seal()
        two, = Checkpoint.make()
        task = Queue.search([], order=[('id', 'DESC')], limit=1)[0]
        self.assertEqual(task.data['method'], 'publish_later')

        def send(message, **kwargs):
            if one.root in message.get_body().get_content():
                raise SMTPException("refused")

        with patch('trytond.modules.order_archive.checkpoint.send_message',
                side_effect=send):
            with self.assertRaisesRegex(LedgerError, "refused"):
                Checkpoint.publish([one])
            Checkpoint.publish_later([one, two])
        self.assertIsNone(Checkpoint(one.id).published_at)
        self.assertTrue(Checkpoint(two.id).published_at)
        self.assertEqual(
            [n.label for n in Transaction().user_notifications],
            ["Checkpoint Failed"])

    @with_company
    def test_kept(self):
        "Test checkpoints that are not kept outside as they must be are named"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Verification = pool.get('order.archive.verification')
        # The records of these tests are not in the database
        patcher = patch.object(
            _Run, 'verify_records', lambda self, Model: None)
        patcher.start()
        self.addCleanup(patcher.stop)
        seal()
        checkpoint, = Checkpoint.make()
        with TemporaryDirectory() as folder, set_path(
                checkpoint_path=folder):
            self.assertEqual(findings(verify()), [])
            table = Checkpoint.__table__()
            execute(table.update(
                    [table.create_date],
                    [dt.datetime.now() - dt.timedelta(days=2)]))
            (area, subject, text), = findings(verify())
            self.assertEqual(
                (area, subject), ('checkpoint', checkpoint.rec_name))
            self.assertIn("neither mailed nor written", text)
            Checkpoint.publish([checkpoint])
            self.assertEqual(findings(verify()), [])
            path, = Path(folder).iterdir()
            # Those of others, also of a database whose name starts alike
            other = json.dumps({
                    **json.loads(checkpoint.content), 'root': 'a',
                    'database': 'other'})
            start = path.name.rpartition('-')[0]
            (path.parent / f'{start}-1-000000000009.json').write_text(other)
            self.assertEqual(findings(verify()), [])
            verification = verify()
            self.assertEqual(verification.outside, 1)
            mine = path.parent / f'{start}-000000000009.json'
            mine.write_text(other)
            (_, subject, text), = findings(verify())
            self.assertEqual(subject, mine.name)
            self.assertIn("cannot be read or was altered", text)
            mine.unlink()
            path.unlink()
            (_, subject, text), = findings(verify())
            self.assertIn(f'"{path.name}" was removed', text)
        with set_path(checkpoint_path=folder):
            self.assertEqual(
                {a for a, *_ in findings(verify())}, {'checkpoint'})
        self.assertEqual(Verification.search([
                    ('state', '=', 'sound')], count=True), 4)
