# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import hashlib
import json
import logging
import time
from collections import defaultdict
from contextlib import contextmanager, suppress
from itertools import islice

from trytond.backend import DatabaseOperationalError
from trytond.filestore import filestore
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.company_department.report import Document, Texts
from trytond.modules.company_department.tools import notify
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import (
    Transaction, TransactionError, inactive_records, without_check_access)

from .archive import EvidenceMixin, _now, _recording
from .collect import _undoing
from .event import canonical
from .storage import stored
from .verify import (
    FIELDS, GENESIS, RULES, Tree, contradictions, leaf_hash, read_values,
    text_hash)

logger = logging.getLogger(__name__)
# How many records are compared at once
SLICE = 500
# When what is not sealed is late
LATE = dt.timedelta(days=1)
# By model what the entries of earlier versions do not tell
_ADDED = {
    'order.archive': ['deadline', 'party'],
    }


class Verification(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.verification'
    _rec_name = 'hash'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    started_at = fields.Timestamp("Started at", required=True, readonly=True)
    ended_at = fields.Timestamp("Ended at", required=True, readonly=True)
    entries = fields.Integer(
        "Entries", required=True, readonly=True,
        help="How many entries of the ledger were verified.")
    hash = fields.Char(
        "Hash", readonly=True,
        help="The hash of the last entry.")
    root = fields.Char(
        "Root", readonly=True,
        help="The root of the Merkle tree (RFC 6962) of the entries.")
    checkpoints = fields.Integer(
        "Checkpoints", required=True, readonly=True,
        help="How many checkpoints the ledger was compared with.")
    outside = fields.Integer(
        "Checkpoints Outside", required=True, readonly=True,
        help="How many of them are kept in the folder outside of the "
        "database.")
    records = fields.Integer(
        "Records", required=True, readonly=True,
        help="How many records were compared with their last entry.")
    documents = fields.Integer(
        "Documents", required=True, readonly=True,
        help="How many documents were read and compared with their "
        "fingerprint.")
    findings = fields.One2Many(
        'order.archive.verification.finding', 'verification', "Findings",
        readonly=True)
    state = fields.Selection([
            ('sound', "Sound"),
            ('broken', "Broken"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('id', 'DESC')]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'broken', 'danger', '')),
            ]

    def get_rec_name(self, name):
        return f'{self.company.rec_name} {self.started_at:%Y-%m-%d %H:%M:%S}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('company.rec_name', *clause[1:])]

    @classmethod
    def models(cls):
        """Return the names of the models whose records are what the last
        entry of each tells

        The entries of a disposal tell its files and approvals, those of a
        volume its folios, those of a contract its signatures. Places and
        boxes are no evidence, the moves and the volumes tell of them."""
        return [
            'order.archive', 'order.archive.item', 'sale.contract',
            'sale.contract.loan', 'sale.contract.mandate']

    @classmethod
    def rules(cls):
        """Return by name of model what later entries of a record cannot tell
        otherwise, see verify.py"""
        return RULES.copy()

    @classmethod
    @without_check_access
    def run(cls, companies=None):
        "Verify the archives of the companies, those with evidence by default"
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        if companies is None:
            companies = Chain.get_companies()
        verifications = []
        for company in companies:
            try:
                with _undoing():
                    verification = _Run(company)()
            except (DatabaseOperationalError, TransactionError):
                raise
            except Exception as e:
                # One company does not keep the others from being verified
                logger.exception(
                    "verification of company %s stopped", company.id)
                verification = _Run(company).stop(e)
            verifications.append(verification)
        for verification in verifications:
            if verification.state == 'broken':
                verification._notify()
        return verifications

    @classmethod
    def get_auditors(cls, company):
        "Return the users who are told of what is broken"
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        return User.search([
                ('groups', '=', ModelData.get_id(
                        'order_archive', 'group_archive_auditor')),
                ('companies', '=', company.id),
                ])

    def _notify(self):
        notify(
            {u: [self] for u in self.get_auditors(self.company)},
            'tryton-warning', 'order_archive.msg_ledger_notification',
            description=', '.join(f.subject for f in self.findings[:5]),
            number=len(self.findings))


class Finding(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.verification.finding'
    _rec_name = 'subject'
    _leading = {'archive', 'item'}

    verification = fields.Many2One(
        'order.archive.verification', "Verification", required=True,
        readonly=True, ondelete='CASCADE')
    area = fields.Selection([
            ('ledger', "Ledger"),
            ('checkpoint', "Checkpoint"),
            ('record', "Record"),
            ('document', "Document"),
            ('storage', "Storage"),
            ], "Area", required=True, readonly=True, sort=False,
        help="What is left in the storage breaks nothing.")
    subject = fields.Char(
        "Subject", required=True, readonly=True, help="What is broken.")
    text = fields.Text("Finding", required=True, readonly=True)
    archive = fields.Many2One(
        'order.archive', "File", readonly=True, ondelete='RESTRICT')
    item = fields.Many2One(
        'order.archive.item', "Item", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('verification')
        table = cls.__table__()
        cls._order = [('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.verification, Index.Equality())))


class Item(metaclass=PoolMeta):
    __name__ = 'order.archive.item'

    broken = fields.Selection([
            (None, ""),
            ('missing', "Missing"),
            ('size', "Size Differs"),
            ('altered', "Altered"),
            ], "Broken", readonly=True, sort=False,
        states={
            'invisible': ~Eval('broken'),
            },
        help="What the last verification found of the bytes.")

    def read_data(self):
        "Return the bytes, or raise an error if they cannot be read"
        return filestore.get(self.file_id, self.__class__.data.store_prefix)

    @classmethod
    def inspect(cls, file_id, size, sha256):
        "Return what is broken of the bytes if anything is"
        try:
            data = filestore.get(file_id, cls.data.store_prefix)
        except Exception:
            # Each storage has its errors, also for ids that are none
            return 'missing'
        if len(data) != size:
            return 'size'
        if hashlib.sha256(data).hexdigest() != sha256:
            return 'altered'

    @classmethod
    def get_strays(cls, file_ids):
        "Return the sorted ids of those files that no item names"
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        left = set(file_ids)
        for column in [table.file_id, table.disposed_file_id]:
            cursor.execute(*table.select(
                    column, where=column.in_(list(file_ids))))
            left.difference_update(id_ for id_, in cursor)
        return sorted(left)


class _Run:
    "The verification of a company"

    def __init__(self, company):
        pool = Pool()
        Verification = pool.get('order.archive.verification')
        self.company = company
        self.rules = Verification.rules()
        self.findings = []
        self.counts = defaultdict(int)
        self.hash = GENESIS
        self.root = None
        self.started_at = _now()

    def __call__(self):
        pool = Pool()
        Verification = pool.get('order.archive.verification')
        with self.guard('ledger', self.company.rec_name):
            self.verify_ledger()
        with self.guard('ledger', self.company.rec_name):
            self.verify_unsealed()
        with self.guard('checkpoint', self.company.rec_name):
            self.verify_published()
        for name in Verification.models():
            Model = pool.get(name)
            with self.guard('record', name):
                self.verify_records(Model)
            with self.guard('record', name):
                self.verify_removed(Model)
        with self.guard('document', self.company.rec_name):
            self.verify_documents()
        with self.guard('document', self.company.rec_name):
            self.verify_storage()
        return self.save()

    def stop(self, error):
        "Return the verification that could not be completed"
        self.find('ledger', self.company.rec_name, 'stopped',
            error=_get_text(error))
        return self.save()

    @contextmanager
    def guard(self, area, subject):
        """Tell what cannot be verified as it is not what is expected

        Whatever is altered must not keep the rest from being verified."""
        try:
            yield
        except (DatabaseOperationalError, TransactionError):
            raise
        except Exception as e:
            logger.warning("cannot verify %s", subject, exc_info=True)
            self.find(area, subject, 'failed', error=_get_text(e))

    def save(self):
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        Verification = pool.get('order.archive.verification')
        for name, Model in [('archive', Archive), ('item', Item)]:
            known = set()
            for ids in grouped_slice(list({
                            f[name] for f in self.findings if f[name]}),
                    SLICE):
                known.update(
                    r.id for r in Model.search([('id', 'in', list(ids))]))
            for finding in self.findings:
                if finding[name] not in known:
                    finding[name] = None
        with _recording():
            verification, = Verification.create([{
                        'company': self.company.id,
                        'started_at': self.started_at,
                        'ended_at': _now(),
                        'hash': self.hash,
                        'root': self.root,
                        **{name: self.counts[name] for name in [
                                'entries', 'checkpoints', 'outside',
                                'records', 'documents']},
                        'findings': [('create', self.findings)],
                        # What is left in the storage is no evidence, and may
                        # be that of another database
                        'state': (
                            'broken' if any(
                                f['area'] != 'storage' for f in self.findings)
                            else 'sound'),
                        }])
        return verification

    def find(self, area, subject, message, archive=None, item=None, **names):
        self.findings.append({
                'area': area,
                'subject': _get_storable(subject),
                'text': _get_storable(gettext(
                        f'order_archive.msg_ledger_{message}',
                        subject=subject, **names)),
                'archive': archive,
                'item': item,
                })

    def entry(self, number):
        if number is None:
            return gettext('order_archive.msg_ledger_entry_unsealed')
        return gettext('order_archive.msg_ledger_entry', number=number)

    def verify_ledger(self):
        "Compare the entries with their hashes and with the checkpoints"
        pool = Pool()
        Event = pool.get('order.archive.event')
        checkpoints = self.get_checkpoints()
        sizes = iter(sorted(checkpoints))
        size = next(sizes, None)
        good = 0
        tree, previous, number = Tree(), GENESIS, 0
        entries = Event.sealed(
            self.company, ['sequence', 'hash', 'previous', 'text'])
        for sequence, hash_, before, text in entries:
            self.counts['entries'] += 1
            if sequence != number + 1:
                self.find_missing(number + 1, sequence - 1)
                # It would have other places
                tree = None
            actual = text_hash(text)
            if actual != hash_:
                self.find_entry(sequence, 'altered')
            elif before != previous and sequence == number + 1:
                self.find_entry(sequence, 'unchained')
            if tree:
                tree.add(leaf_hash(actual))
            previous, number = hash_, sequence
            while size is not None and size <= number:
                if size == number and self.compare(
                        checkpoints[size], tree, good + 1, size):
                    good = size
                size = next(sizes, None)
        self.hash = previous
        if tree:
            self.root = tree.root()
        self.verify_head(number, previous, checkpoints)

    def get_checkpoints(self):
        "Return by size the names and the roots of the checkpoints"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        checkpoints = defaultdict(list)
        with self.guard('checkpoint', self.company.rec_name):
            for name, outside, content in Checkpoint.kept(self.company):
                self.counts['outside' if outside else 'checkpoints'] += 1
                try:
                    checkpoints[int(content['size'])].append(
                        (name, str(content['root'])))
                except (KeyError, TypeError, ValueError):
                    self.find('checkpoint', name, 'checkpoint_unreadable')
        return checkpoints

    def compare(self, checkpoints, tree, start, end):
        "Return whether the entries so far are those of the checkpoints"
        sound, root = True, tree.root() if tree else None
        for name, kept in checkpoints:
            if kept != root:
                self.find('checkpoint', name, 'checkpoint_differs',
                    start=start, end=end)
                sound = False
        return sound

    def find_entry(self, number, message):
        pool = Pool()
        Event = pool.get('order.archive.event')
        entry, = Event.entries(self.company, [number]).values()
        values = dict(zip(FIELDS, entry))
        self.find('ledger', self.entry(number), message,
            archive=values['archive'],
            resource=values['resource'])

    def find_missing(self, start, end):
        if start == end:
            subject = self.entry(start)
        else:
            subject = gettext(
                'order_archive.msg_ledger_entries', start=start, end=end)
        self.find('ledger', subject, 'missing')

    def verify_head(self, number, hash_, checkpoints):
        "Compare the last entry with what is known of how many there are"
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        known = number
        chains = Chain.search([('company', '=', self.company.id)])
        for chain in chains:
            known = max(known, chain.length)
            if chain.length < number or (
                    chain.length == number and chain.hash != hash_):
                self.find('ledger', self.company.rec_name, 'head',
                    length=chain.length, number=number)
        if number and not chains:
            self.find('ledger', self.company.rec_name, 'head',
                length=0, number=number)
        for size, names in sorted(checkpoints.items()):
            known = max(known, size)
            if size > number:
                for name, _ in names:
                    self.find('checkpoint', name, 'truncated',
                        number=number, size=size)
        if known > number:
            self.find_missing(number + 1, known)

    def verify_published(self):
        "Find the checkpoints that are not where they are to be kept"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        folder = Checkpoint.folder()
        if folder or Checkpoint.recipients_of(self.company):
            for checkpoint in Checkpoint.search([
                        ('company', '=', self.company.id),
                        ('published_at', '=', None),
                        ('create_date', '<', dt.datetime.now() - LATE),
                        ]):
                self.find(
                    'checkpoint', checkpoint.rec_name,
                    'checkpoint_unpublished')
        if folder:
            there = {p.name for p in folder.iterdir()}
            for checkpoint in Checkpoint.search([
                        ('company', '=', self.company.id),
                        ('file', '!=', None),
                        ]):
                if checkpoint.file not in there:
                    self.find(
                        'checkpoint', checkpoint.rec_name, 'checkpoint_gone',
                        file=checkpoint.file)

    def verify_unsealed(self):
        pool = Pool()
        Event = pool.get('order.archive.event')
        number = Event.search([
                ('company', '=', self.company.id),
                ('sequence', '=', None),
                ('create_date', '<', dt.datetime.now() - LATE),
                ], count=True)
        if number:
            self.find('ledger', self.company.rec_name, 'unsealed',
                number=number)

    def verify_records(self, Model):
        "Compare the records with their entries, and these with each other"
        pool = Pool()
        Event = pool.get('order.archive.event')
        last = 0
        while True:
            with inactive_records():
                records = Model.search([
                        ('company', '=', self.company.id),
                        ('id', '>', last),
                        ], order=[('id', 'ASC')], limit=SLICE)
            if not records:
                break
            last = records[-1].id
            histories = Event.histories(
                self.company, list(map(str, records)))
            for record in records:
                with self.guard('record', str(record)):
                    self.verify_record(record, histories[str(record)])
            self.counts['records'] += len(records)

    def verify_record(self, record, entries):
        values, known = self.verify_entries(record, entries)
        if not entries:
            # Drafts are not evidence yet
            if getattr(record, 'state', None) != 'draft':
                self.find_record(record, 'record_unknown')
            return
        try:
            # As they were written
            actual = json.loads(canonical(record.ledger_values()))
        except (DatabaseOperationalError, TransactionError):
            raise
        except Exception:
            # What was read along with it may be the cause
            record = record.__class__(record.id)
            actual = json.loads(canonical(record.ledger_values()))
        names = [
            n for n in sorted(actual.keys() | values.keys())
            if actual.get(n, _NONE) != values.get(n, _NONE)
            and (n in known or n not in _ADDED.get(record.__name__, []))]
        if names:
            # The values may be confidential
            self.find_record(
                record, 'record_altered', fields=', '.join(names))

    def verify_entries(self, record, entries):
        """Return the values that the last entry of the record tells, and the
        last of each that any tells"""
        rule = self.rules.get(record.__class__.__name__)
        known, last = {}, {}
        for number, action, content in entries:
            try:
                values = read_values(content, str(record), action)
                names = (
                    contradictions(rule, known, values)
                    if rule and values else [])
            except Exception:
                self.find_record(
                    record, 'record_unreadable', entry=self.entry(number))
                continue
            if names:
                self.find_record(
                    record, 'record_contradiction',
                    entry=self.entry(number), fields=', '.join(names))
            if values is not None:
                known.update(values)
                last = values
        return last, known

    def find_record(self, record, message, **names):
        subject, archive, item = str(record), None, None
        # As much as can be told of it
        with suppress(Exception):
            archive = record.archive
            if record.__class__.__name__ == 'order.archive.item':
                item = record.id
                name = archive.rec_name
            else:
                name = record.rec_name
            subject = f'{name} ({record})'
        self.find(
            'record', subject, message,
            archive=archive.id if archive else None, item=item, **names)

    def verify_removed(self, Model):
        "Find the records of which only the entries are left"
        pool = Pool()
        Event = pool.get('order.archive.event')
        for resource in Event.removed(self.company, Model):
            self.find('record', resource, 'record_removed')

    def verify_documents(self):
        "Compare the bytes with their size and fingerprint"
        pool = Pool()
        Item = pool.get('order.archive.item')
        Archive = pool.get('order.archive')
        item = Item.__table__()
        archive = Archive.__table__()
        cursor = Transaction().connection.cursor()
        last = 0
        broken = {}
        while True:
            cursor.execute(*item
                .join(archive, condition=item.archive == archive.id)
                .select(
                    item.id, archive.id, archive.number, item.file_id,
                    item.size, item.sha256, item.broken,
                    where=(item.company == self.company.id)
                    & (item.id > last)
                    & (item.medium == 'file')
                    & (item.state != 'disposed'),
                    order_by=item.id.asc, limit=SLICE))
            rows = cursor.fetchall()
            if not rows:
                break
            for id_, archive_id, number, file_id, size, sha256, was in rows:
                found = Item.inspect(file_id, size, sha256)
                if found:
                    self.find('document', f'{number} ({Item.__name__},{id_})',
                        f'document_{found}', archive=archive_id, item=id_)
                if found != was:
                    broken.setdefault(found, []).append(id_)
            last = rows[-1][0]
            self.counts['documents'] += len(rows)
        with _recording():
            for found, ids in broken.items():
                Item.write(Item.browse(ids), {'broken': found})

    def verify_storage(self):
        "Find the files of the storage that belong to no document"
        pool = Pool()
        Item = pool.get('order.archive.item')
        ids = stored(
            Item.data.store_prefix, time.time() - LATE.total_seconds())
        number, names = 0, []
        while slice_ := list(islice(ids, SLICE)):
            strays = Item.get_strays(slice_)
            number += len(strays)
            names.extend(strays[:5 - len(names)])
        if number:
            self.find(
                'storage', ', '.join(names), 'document_stray', number=number)


_NONE = object()


def _get_text(error):
    return f'{error.__class__.__name__}: {error}'


def _get_storable(text):
    "Return the text as any database takes it"
    return text.encode(errors='replace').decode().replace('\0', '?')


class Certificate(Document):
    __name__ = 'order.archive.integrity'
    _model = 'order.archive.verification'

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        context.update(Texts(cls, context['company']).get_context())
        return context
