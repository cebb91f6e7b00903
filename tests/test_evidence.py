# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Whatever of the evidence is altered is found, also with entries that fit"

import datetime as dt
import hashlib
import io
import json
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from sql import Column

from trytond import backend
from trytond.filestore import filestore
from trytond.model import fields
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.order_archive.event import canonical
from trytond.modules.order_archive.verification import _Run
from trytond.modules.order_archive.verify import (
    RULES, Verifier, Zip, contradictions)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction, TransactionError

from .archive import add, as_user, confirm, create_archive, get_company
from .contract import TODAY, bring
from .contract import click as click_contract
from .contract import create as create_as
from .contract import create_contract, create_mandate, day
from .retention import (
    add_paper, approve, archived, click, create_disposal_staff, erase, hold,
    plan, propose, release)
from .review import create_party, create_sale, with_company
from .test_custody import bound, lend, write
from .test_ledger import (
    Record, create_other, execute, findings, set_path, verify)
from .test_ledger_fault import commit


def create_contract_staff(config=None):
    create_user("Hugo", "Sales", "Sale Contracts", config=config)
    create_user("Kira", "Sale Contract Seal", config=config)
    create_user("Lena", config=config)


def reload(record):
    return record.__class__(record.id)


def forget():
    "Forget what was read before it was changed by SQL"
    transaction = Transaction()
    transaction.counter += 1
    for cache in transaction.cache.values():
        cache.clear()


@contextmanager
def undone():
    "What is altered within is as before afterwards"
    cursor = Transaction().connection.cursor()
    cursor.execute('SAVEPOINT undone')
    try:
        yield
    finally:
        cursor.execute('ROLLBACK TO SAVEPOINT undone')
        forget()


def alter(record, **values):
    "Alter the row of the record with SQL"
    table = record.__table__()
    execute(table.update(
            [Column(table, n) for n in values], list(values.values()),
            where=table.id == record.id))
    forget()


def insert_event(record, action='change', company=None, **values):
    "Insert an entry with SQL, which tells the values besides the last"
    Event = Pool().get('order.archive.event')
    event, = Event.search(
        [('resource', '=', str(record))], order=[('id', 'DESC')], limit=1)
    content = json.loads(event.content)
    content['values'] = {**reload(record).ledger_values(), **values}
    content['action'] = action
    table = Event.__table__()
    execute(table.insert(
            [table.company, table.archive, table.resource, table.action,
                table.content, table.format],
            [[company or event.company.id,
                event.archive.id if event.archive else None, event.resource,
                action, canonical(content), event.format]]))


def create_evidence():
    "Create records of each model and return their names and ids"
    pool = Pool()
    pool.get('order.archive.chain').lock()
    Event = pool.get('order.archive.event')
    Box = pool.get('order.archive.box')
    Place = pool.get('order.archive.place')
    plan()
    archive = archived()
    mandate = create_mandate(kind='mandated', limit='99999')
    with as_user("Hugo"):
        sale = create_sale()
    contract = create_contract(
        sale, verification='verification', reference="R-1",
        start_date=TODAY, end_date=day(400))
    contract = bring(contract, 'deposited')
    contract_loan = create_as(
        "Arno", 'sale.contract.loan', contract=contract.id,
        copy_number=1, borrower=archive.party.id, purpose="Court",
        lent_on=TODAY, due_on=day(2))
    click_contract("Arno", 'return_', contract_loan)
    held = hold(
        archives=[archive], parties=[archive.party],
        classes=[archive.class_])
    release(held)
    room, _ = Place.create([{'name': "Room"}, {'name': "Other"}])
    Box.create([{}])
    opened = confirm()
    first, = add(opened, 'drawing', data=b'1', source='a,1',
        source_name="A", issue='1', remark="Remark",
        document_date=TODAY)
    add(opened, 'drawing', data=b'2', source='a,1', issue='2')
    withdrawn, = add(opened, 'inspection', data=b'3')
    withdrawn.do_withdraw([withdrawn], "Wrong")
    paper = add_paper(opened)
    volume = bound(paper)
    volume = write(volume, place=room.id)
    loan = lend(volume=volume.id)
    click('give_back', loan, name="Arno", date=TODAY)
    disposal, = propose()
    approve(disposal)
    disposal = erase(click('execute', disposal))
    Event.seal()
    forget()
    return [(r.__name__, r.id) for r in [
            archive, opened, first, withdrawn, paper, contract,
            contract_loan, mandate, held, disposal, volume,
            volume.moves[0], loan]]


class EvidenceTestCase(TestCase):
    "Tests with every kind of evidence"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['order_archive', 'sale_order_review'], create_company,
            create_chart, create_archive, create_disposal_staff,
            create_contract_staff)
        cls.addClassCleanup(drop_db)
        cls.created = commit(create_evidence)

    def setup(self):
        """Set the records of each model, in states in which most is set, and
        return them"""
        pool = Pool()
        pool.get('order.archive.chain').lock()
        self.records = [pool.get(n)(id_) for n, id_ in self.created]
        self.archive = self.records[1]
        return self.records

    def found(self, record):
        "Return the texts of what is found of the record"
        verification = _Run(self.archive.company)
        Model = record.__class__
        verification.verify_records(Model)
        verification.verify_removed(Model)
        return [
            f['text'] for f in verification.findings
            if str(record) in f['subject']]


class AlteredTestCase(EvidenceTestCase):
    "Test the values of each kind of evidence"

    # The columns of the values that have another name
    columns = {'class': 'class_', 'from': 'from_'}
    # The values that are told of other rows
    parts = {
        'order.archive.disposal': {
            'files': ('files', ['archive', 'state']),
            'approvals': ('approvals', ['employee', 'approved_at']),
            },
        'order.archive.volume': {
            'folios': ('folios', ['first', 'last', 'item', 'state',
                    'employee', 'at']),
            },
        'sale.contract': {
            'signatures': ('signatures', [
                    'side', 'employee', 'name', 'post', 'date', 'kind',
                    'mandate', 'authority']),
            },
        }

    def get_place(self):
        Place = Pool().get('order.archive.place')
        place, = Place.search([('name', '=', "Other")])
        return place

    def get_other(self, record, name):
        "Return another value of the field as the database has it"
        field = record._fields[name]
        value = getattr(record, name)
        if isinstance(field, fields.Many2One):
            Target = field.get_target()
            other = Target.search(
                [('id', '!=', value.id if value else -1)], limit=1)
            return other[0].id if other else None
        elif isinstance(field, fields.Reference):
            return str(self.get_place())
        elif isinstance(field, fields.Selection):
            selection = field.selection
            if isinstance(selection, str):
                selection = getattr(record, selection)()
            # Only one of a source can be kept, which comes first
            return next(
                k for k, _ in reversed(selection) if k and k != value)
        elif isinstance(field, fields.Boolean):
            return not value
        elif isinstance(field, fields.Timestamp):
            return (value or dt.datetime(2020, 1, 1)) + dt.timedelta(days=1)
        elif isinstance(field, fields.Date):
            return (value or TODAY) + dt.timedelta(days=1)
        elif isinstance(field, fields.Numeric):
            return (value or Decimal(0)) + 1
        elif isinstance(field, fields.Integer):
            return (value or 0) + 1
        assert isinstance(field, (fields.Char, fields.Text)), field
        return (value or '') + 'x'

    def alterations(self, record):
        "Yield the value of the ledger, the row and its column"
        parts = self.parts.get(record.__name__, {})
        for name in record.ledger_values():
            if name in parts:
                list_, names = parts[name]
                for part in names:
                    yield name, getattr(record, list_)[0], part
            elif name in {'archives', 'parties', 'classes'}:
                field = record._fields[name]
                Relation = field.get_relation()
                relation, *_ = Relation.search(
                    [(field.origin, '=', record.id)], limit=1)
                yield name, relation, field.target
            else:
                yield name, record, self.columns.get(name, name)

    @with_company
    def test_values(self):
        "Test each value of each kind of evidence that is altered is named"
        Verification = Pool().get('order.archive.verification')
        records = self.setup()
        create_contract(self.archive.sale)
        create_other()
        create_party("Third")
        Class = Pool().get('order.archive.class')
        Class.create([{'code': 'O', 'name': "Other Class"}])
        Retention = Pool().get('order.archive.retention')
        Retention.create([{'name': "Other", 'years': 1}])
        self.assertEqual(findings(verify()), [])
        self.assertEqual(
            {r.__name__ for r in records}, set(Verification.models()))
        for record in records:
            altered = 0
            for name, row, column in self.alterations(record):
                if isinstance(row._fields[column], fields.Function):
                    # It is told by others
                    continue
                with self.subTest(record=str(record), column=column), \
                        undone():
                    alter(row, **{column: self.get_other(row, column)})
                    found = self.found(record)
                    self.assertTrue(found)
                    if column != 'company':
                        self.assertIn(name, found[0])
                altered += 1
            self.assertGreaterEqual(altered, len(record.ledger_values()))

    @with_company
    def test_parts(self):
        "Test what is told of by another record that is removed or added"
        records = self.setup()
        for record in records:
            for list_, _ in self.parts.get(record.__name__, {}).values():
                part = getattr(record, list_)[0]
                with self.subTest(part=str(part)), undone():
                    table = part.__table__()
                    execute(table.delete(where=table.id == part.id))
                    forget()
                    self.assertTrue(self.found(record))

    @with_company
    def test_forged(self):
        "Test an entry that fits to what was altered is named"
        records = self.setup()
        for record in records:
            rule = RULES[record.__name__]
            names = [
                n for since, ns in rule['final'].items() for n in ns
                if since is None or (
                    isinstance(since, str)
                    and record.ledger_values()[since] is not None)]
            self.assertTrue(names)
            for name in names:
                column = self.columns.get(name, name)
                if name not in record.ledger_values():
                    self.fail(name)
                field = record._fields[column]
                if (name == 'company' or isinstance(
                            field, (fields.Function, fields.Many2Many))
                        or (field._type == 'many2one'
                            and self.get_other(record, column) is None)):
                    continue
                with self.subTest(record=str(record), name=name), undone():
                    alter(record, **{column: self.get_other(record, column)})
                    insert_event(record)
                    # Before it is sealed as well as after
                    text, = self.found(record)
                    self.assertIn("not sealed", text)
                    self.assertIn(name, text)
                    Pool().get('order.archive.event').seal()
                    text, = self.found(record)
                    self.assertIn("cannot change", text)
                    self.assertIn(name, text)

    @with_company
    def test_states(self):
        "Test a step that does not exist is named though the entry fits"
        records = self.setup()
        disposed, opened, superseded, withdrawn, *_ = records
        for record, state in [
                (disposed, 'collecting'), (disposed, 'archived'),
                (superseded, 'withdrawn'), (withdrawn, 'kept'),
                (withdrawn, 'superseded'), (opened, 'due')]:
            with self.subTest(record=str(record), state=state), undone():
                alter(record, state=state)
                insert_event(record)
                text, = self.found(record)
                self.assertIn("cannot change: state", text)
        with undone():
            alter(opened, state='complete')
            insert_event(opened)
            # As nobody can tell it from what the archive does
            self.assertEqual(self.found(opened), [])

    @with_company
    def test_entry(self):
        "Test an entry that is given to another file is named"
        Event = Pool().get('order.archive.event')
        disposed, _, item, *_ = self.setup()
        event, *_ = Event.search([('resource', '=', str(item))])
        table = Event.__table__()
        for archive in [disposed.id, None]:
            with self.subTest(archive=archive), undone():
                execute(table.update(
                        [table.archive], [archive],
                        where=table.id == event.id))
                self.assertIn(
                    ('ledger', f"Entry {event.sequence}"),
                    [(f.area, f.subject) for f in verify().findings])

    @with_company
    def test_other_company(self):
        "Test an entry in the ledger of another company is named"
        Company = Pool().get('company.company')
        Event = Pool().get('order.archive.event')
        Verification = Pool().get('order.archive.verification')
        _, opened, *_ = self.setup()
        other = create_other()
        alter(opened, party_name="Nobody")
        insert_event(opened, company=other.id)
        Event.seal()
        text, = self.found(opened)
        self.assertIn("party_name", text)
        verification, = Verification.run([Company(other.id)])
        self.assertIn(
            str(opened), [f.subject for f in verification.findings])

    @with_company
    def test_party(self):
        "Test a party that is altered is found, unless no entry tells it"
        Event = Pool().get('order.archive.event')
        _, opened, *_ = self.setup()
        other = self.get_other(opened, 'party')
        with undone():
            alter(opened, party=other)
            text, = self.found(opened)
            self.assertIn("in party.", text)
        # Entries of a version that did not tell it
        table = Event.__table__()
        with undone():
            for event in Event.search([('resource', '=', str(opened))]):
                content = json.loads(event.content)
                for name in ['party', 'deadline']:
                    del content['values'][name]
                execute(table.update(
                        [table.content], [canonical(content)],
                        where=table.id == event.id))
            self.assertEqual(self.found(opened), [])
            Event.record('change', [reload(opened)])
            alter(opened, party=other)
            text, = self.found(opened)
            self.assertIn("in party.", text)
        # An entry that does not tell it any more
        with undone():
            event, = Event.search([('resource', '=', str(opened))],
                order=[('id', 'DESC')], limit=1)
            content = json.loads(event.content)
            del content['values']['party']
            execute(table.insert(
                    [table.company, table.archive, table.resource,
                        table.action, table.content, table.format],
                    [[event.company.id, opened.id, event.resource,
                        event.action, canonical(content), event.format]]))
            forget()
            text, = self.found(opened)
            self.assertIn("in party.", text)

    @with_company
    def test_document(self):
        """Test a document that is replaced, with its row and an entry that
        fits, is named by each verification"""
        pool = Pool()
        Archive = pool.get('order.archive')
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        self.setup()
        item = self.archive.items[-1]
        with TemporaryDirectory() as folder, set_path(
                checkpoint_path=folder):
            kept, = Checkpoint.make()
            Checkpoint.publish([kept])
            path = Path(filestore._filename(item.file_id, 'order_archive'))
            self.addCleanup(path.write_bytes, path.read_bytes())
            data = b'another contract'
            path.write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            alter(item, size=len(data), sha256=sha256)
            insert_event(item)
            Event.seal()
            verification = verify()
        finding, = verification.findings
        self.assertEqual(
            (finding.area, finding.item, finding.archive),
            ('record', item, self.archive))
        self.assertIn("cannot change: sha256, size", finding.text)
        number, = Event.search(
            [('resource', '=', str(item))], order=[('id', 'DESC')], limit=1)
        self.assertIn(f"Entry {number.sequence},", finding.text)
        with as_user("Connie"):
            file = io.BytesIO()
            Archive.seal_export([self.archive])
            Archive.prepare_export([self.archive])
            self.assertTrue(
                Archive.export_to([self.archive], file, 'bag'))
        verifier = Verifier(Zip(file))
        self.assertFalse(verifier.run(('kept', json.loads(kept.content))))
        self.assertEqual(verifier.problems, [
                f"entry {number.sequence}: changes what cannot change of "
                f"{item}: sha256, size"])


class SilencedTestCase(EvidenceTestCase):
    """Test whatever is altered does not keep the rest from being verified, and
    the auditors from being told"""

    def setup(self):
        records = super().setup()
        self.by_model = {r.__name__: r for r in records}
        # This must be found besides
        alter(self.by_model['sale.contract'], reference="Forged")

    def check(self, area, text):
        """Check what is altered is found, and the reference besides"""
        verification = verify()
        texts = {f.text for f in verification.findings}
        self.assertEqual(len(texts), 2, texts)
        reference, = [t for t in texts if "in reference." in t]
        texts.remove(reference)
        self.assertIn(text, texts.pop())
        self.assertIn(area, [f.area for f in verification.findings])
        self.assertGreater(verification.documents, 0)
        self.assertTrue(verification.root)
        notification = Transaction().user_notifications[-1]
        self.assertEqual(
            notification.label, "Order Archive Broken: 2 Findings")
        Transaction().user_notifications.clear()

    @with_company
    def test_rows(self):
        "Test values that the archive never writes"
        self.setup()
        Item = Pool().get('order.archive.item')
        _, item, *_ = [i for i in self.archive.items if i.file_id]
        move = self.by_model['order.archive.move']
        for record, values, area, text in [
                (item, {'file_id': None}, 'document', "cannot be read"),
                (item, {'file_id': '../../etc/passwd'},
                    'document', "cannot be read"),
                (item, {'file_id': ''}, 'document', "cannot be read"),
                (move, {'moved': 'order.archive.box,999999'},
                    'record', "moved"),
                (move, {'moved': 'nothing,1'}, 'record', "move"),
                ]:
            with self.subTest(values=values), undone():
                alter(record, **values)
                self.check(area, text)
        with undone():
            alter(item, file_id=None)
            verify()
            self.assertEqual(Item(item.id).broken, 'missing')

    @with_company
    def test_taken_out(self):
        "Test a file that was taken out of a disposal without a time"
        self.setup()
        file, = self.by_model['order.archive.disposal'].files
        alter(file, state='taken_out', taken_out_at=None)
        self.check('record', "in files.")

    @with_company
    def test_contents(self):
        "Test contents that the archive never writes"
        Event = Pool().get('order.archive.event')
        self.setup()
        item = self.archive.items[0]
        event, *_ = Event.search([('resource', '=', str(item))])
        resource = str(item)
        for content in [
                '', '[]', '1', '"values"', '{', '{"values": []}',
                canonical({'resource': resource, 'action': 'forged',
                        'values': []}),
                canonical({'resource': resource, 'action': 'forged',
                        'values': 'size'}),
                canonical({'resource': resource, 'action': 'other',
                        'values': {}}),
                canonical({'resource': 'a,1', 'action': 'forged',
                        'values': {}}),
                ]:
            with self.subTest(content=content), undone():
                table = Event.__table__()
                execute(table.insert(
                        [table.company, table.resource, table.action,
                            table.content, table.format],
                        [[event.company.id, resource, 'forged',
                            content or ' ', 1]]))
                self.check('record', "cannot be read")

    @with_company
    def test_checkpoint(self):
        "Test a file in the folder of the checkpoints that cannot be read"
        self.setup()
        with TemporaryDirectory() as folder, set_path(
                checkpoint_path=folder):
            name = Transaction().database.name.strip(':')
            path = Path(folder) / f'{name}-{get_company().id}-1.json'
            path.mkdir()
            self.check('checkpoint', "cannot be read or was altered")

    @with_company
    def test_unexpected(self):
        "Test each part is verified though another one fails"
        self.setup()
        for name in [
                'verify_unsealed', 'verify_removed', 'verify_head',
                'get_checkpoints']:
            with self.subTest(name=name), patch.object(
                    _Run, name, side_effect=ZeroDivisionError("by zero")):
                self.assertIn("ZeroDivisionError: by zero", ' '.join(
                        f.text for f in verify().findings))
                self.assertIn("in reference.", ' '.join(
                        f.text for f in verify().findings))

    @with_company
    def test_stopped(self):
        "Test a company whose verification stops does not keep the others"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Verification = pool.get('order.archive.verification')
        self.setup()
        company, other = get_company(), create_other()
        Event.record('create', [Record(other)])
        Event.seal()
        call = _Run.__call__

        def stop(self):
            if self.company == company:
                # PostgreSQL refuses whatever comes after it
                Transaction().connection.cursor().execute(
                    'INSERT INTO res_user (login) VALUES (NULL)')
            return call(self)

        with patch.object(_Run, '__call__', stop):
            with Transaction().set_context(company=None):
                verifications = {v.company: v for v in Verification.run()}
        finding, = verifications[company].findings
        self.assertIn("stopped: ", finding.text)
        self.assertEqual(verifications[other].entries, 1)
        self.assertIn(
            "Order Archive Broken: 1 Findings",
            [n.label for n in Transaction().user_notifications])

    @with_company
    def test_operational_error(self):
        "Test what ends the transaction is not told of but tried again"
        Verification = Pool().get('order.archive.verification')
        self.setup()
        for Error in [backend.DatabaseOperationalError, TransactionError]:
            with self.subTest(error=Error), \
                    patch.object(
                        _Run, 'verify_ledger', side_effect=Error()), \
                    self.assertRaises(Error):
                Verification.run()


class RuleTestCase(TestCase):
    "Test what can follow in a record"

    def test_final(self):
        for model, rule in RULES.items():
            state = next(iter(rule.get('states', {'': []})))
            for since, names in rule['final'].items():
                known = {'state': state}
                if isinstance(since, tuple):
                    known['state'] = since[0]
                elif since:
                    known[since] = '2026-01-01'
                for name in names:
                    before = known.get(name, 'a')
                    for after in ['b', None]:
                        self.assertEqual(
                            contradictions(
                                rule, {**known, name: before},
                                {**known, name: after}),
                            [name], model)
                    if since and since != name:
                        self.assertEqual(contradictions(
                                rule, {name: 'a'}, {name: 'b'}), [], model)

    def test_later(self):
        rule = RULES['order.archive']
        for before, after, names in [
                ('2030-01-01', '2029-12-31', ['retain_until']),
                ('2030-01-01', None, ['retain_until']),
                ('2030-01-01', '2031-01-01', []),
                (None, '2031-01-01', [])]:
            self.assertEqual(contradictions(
                    rule, {'retain_until': before},
                    {'retain_until': after}), names)

    def test_lists(self):
        for model, name, before, after, sound in [
                ('order.archive.disposal', 'files',
                    [[1, 'listed']], [[1, 'disposed']], True),
                ('order.archive.disposal', 'files',
                    [[1, 'listed']], [[2, 'listed']], False),
                ('order.archive.disposal', 'approvals',
                    [[1, 'a']], [[1, 'a'], [2, 'b']], True),
                ('order.archive.disposal', 'approvals',
                    [[1, 'a'], [2, 'b']], [[1, 'a']], False),
                ('order.archive.volume', 'folios',
                    [[1, 2, 7, 4, 'a', 'filed']],
                    [[1, 2, 7, 4, 'a', 'removed']], True),
                ('order.archive.volume', 'folios',
                    [[1, 2, 7, 4, 'a', 'filed']],
                    [[1, 3, 7, 4, 'a', 'filed']], False),
                ('sale.contract', 'signatures',
                    [{'id': 1, 'mandate': None}], [], True),
                ('sale.contract', 'signatures',
                    [{'id': 1, 'mandate': 5}], [], False),
                ]:
            self.assertEqual(
                contradictions(
                    RULES[model], {name: before}, {name: after}),
                [] if sound else [name])

    def test_states(self):
        "Test all steps but those of the rules are refused"
        for rule in RULES.values():
            states = rule.get('states', {})
            all_ = {*states, *(s for ss in states.values() for s in ss)}
            for before in all_:
                for after in all_:
                    allowed = (
                        before == after or after in states.get(before, []))
                    self.assertEqual(
                        contradictions(
                            rule, {'state': before}, {'state': after}),
                        [] if allowed else ['state'])
