# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
import logging
from collections import defaultdict
from functools import reduce

from sql import Cast, Column, Null, NullsLast
from sql.aggregate import Max, Min
from sql.conditionals import Coalesce
from sql.operators import Concat

from trytond.backend import DatabaseOperationalError
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.modules.company_department.tools import (
    get_employees, get_user, notify)
from trytond.pool import Pool
from trytond.tools import grouped_slice
from trytond.transaction import (
    Transaction, TransactionError, without_check_access)

from .archive import EvidenceMixin, _insert, _recording
from .collect import _undoing
from .exceptions import LedgerError
from .verify import FIELDS, FORMAT, GENESIS, entry_hash

logger = logging.getLogger(__name__)
# How many entries are sealed in a transaction
SEAL = 10_000
# How many entries are read at once
SLICE = 10_000
# How many are named in a query
PARAMETERS = 1000


def canonical(value):
    "Return the one JSON text that stands for the value"
    return json.dumps(
        value, allow_nan=False, ensure_ascii=False, separators=(',', ':'),
        sort_keys=True)


def utcnow():
    "Return what the clock tells, which is proof of nothing"
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec='microseconds')


def forget(*models):
    "Forget what was read of the models before it was changed by SQL"
    transaction = Transaction()
    transaction.counter += 1
    for cache in transaction.cache.values():
        for Model in models:
            if Model.__name__ in cache:
                cache[Model.__name__].clear()


class Event(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.event'
    _rec_name = 'action'
    _leading = {'archive'}

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    archive = fields.Many2One(
        'order.archive', "File", readonly=True, ondelete='RESTRICT')
    resource = fields.Char(
        "Resource", required=True, readonly=True,
        help="The record that the event is about.")
    action = fields.Char(
        "Action", required=True, readonly=True,
        help="What happened to the record.")
    content = fields.Text(
        "Content", required=True, readonly=True, strip=False,
        help="Who did it and when, and the values of the record since.")
    format = fields.Integer("Format", required=True, readonly=True)
    sequence = fields.Integer(
        "Number", readonly=True,
        help="The place of the entry in the chain.\n"
        "Empty until the entry is sealed.")
    previous = fields.Char(
        "Previous Hash", readonly=True,
        help="The hash of the entry before.")
    sealed_at = fields.Char(
        "Sealed at", readonly=True, help="According to the clock, in UTC.")
    hash = fields.Char(
        "Hash", readonly=True,
        help="The SHA-256 of all else of the entry, with the hash of the one "
        "before.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_constraints += [
            ('sequence_unique',
                Unique(table, table.company, table.sequence),
                'order_archive.msg_ledger_sequence_unique'),
            ]
        cls._sql_indexes.update({
                Index(
                    table, (table.resource, Index.Equality()),
                    (table.id, Index.Range())),
                Index(
                    table, (table.archive, Index.Equality()),
                    (table.id, Index.Range())),
                Index(
                    table, (table.id, Index.Range()),
                    where=table.sequence == Null),
                })

    @classmethod
    def record(
            cls, action, records, details=None, seal=True, changed=True):
        """Record in the ledger what happened to the records and their values
        since, unless nothing of them changed

        Who records changed values must have written the records, or others
        could record older values after it.
        records are of one model that has ledger_values, company and archive,
        details return by record a dictionary of what is to be told besides.
        The events are sealed into the chain after the transaction, unless it
        is left to what collects."""
        pool = Pool()
        User = pool.get('res.user')
        transaction = Transaction()
        details = details or {}
        if not records:
            return []
        with without_check_access():
            user = User(get_user())
            # The name itself and not its field, which reads the employee
            employees = {
                c: e.get_rec_name('rec_name') if e else None
                for c, e in get_employees(records).items()}
            about = {
                'action': action,
                'at': utcnow(),
                'format': FORMAT,
                'user': user.login if user.id else None,
                }
            values = []
            for record in records:
                archive = record.archive
                content = {
                    **about,
                    'employee': employees[record.company],
                    'details': details.get(record, {}),
                    'resource': str(record),
                    }
                if changed:
                    content['values'] = record.ledger_values()
                values.append({
                        'company': record.company.id,
                        'archive': archive.id if archive else None,
                        'resource': str(record),
                        'action': action,
                        'format': FORMAT,
                        'content': canonical(content),
                        })
            events = cls.browse(_insert(cls, values))
            created = transaction.create_records[cls.__name__]
            # One task seals what the transaction records
            if seal and not created:
                cls.__queue__.seal_later([events[0]])
            created.extend(e.id for e in events)
        return events

    @classmethod
    def seal_archives(cls, archives):
        "Have the events of the files sealed unless it is already asked for"
        if Transaction().create_records[cls.__name__]:
            return
        with without_check_access():
            events = cls.search([
                    ('archive', 'in', [a.id for a in archives]),
                    ('sequence', '=', None),
                    ], limit=1)
        if events:
            cls.__queue__.seal_later(events)

    @classmethod
    def seal_later(cls, events):
        "Seal from the queue"
        cls.seal()

    @classmethod
    def seal(cls, companies=None):
        """Seal into the chain of its company each event that is not yet

        It must come first in its transaction. The table of the chains is
        locked when the transaction begins, so there is one writer and it sees
        what the writer before has sealed.
        A ledger that is broken raises an error if companies are given,
        otherwise it does not keep the others from being sealed."""
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        Company = pool.get('company.company')
        Chain.lock()
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        where = table.sequence == Null
        if companies is not None:
            where &= fields.SQL_OPERATORS['in'](
                table.company, [c.id for c in companies])
        cursor.execute(*table.select(
                table.company, where=where,
                group_by=table.company, order_by=table.company.asc))
        for company, in cursor.fetchall():
            try:
                with _undoing(), without_check_access():
                    cls._seal(Company(company))
            except (DatabaseOperationalError, TransactionError):
                raise
            except Exception:
                if companies is not None:
                    raise
                logger.exception(
                    "cannot seal the ledger of company %s", company)

    @classmethod
    def _seal(cls, company):
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        length, previous = Chain.get_head(company)
        # In the order of the ids and not of the time, which may be set back
        cursor.execute(*table.select(
                table.id, table.format, table.archive, table.resource,
                table.action, table.content,
                where=(table.company == company.id)
                & (table.sequence == Null),
                order_by=table.id.asc, limit=SEAL))
        query, sealed = None, []
        for id_, format, *rest in cursor.fetchall():
            length += 1
            sealed_at = utcnow()
            hash_ = entry_hash([
                    format, company.id, length, previous, sealed_at, *rest])
            query, params = table.update(
                [table.sequence, table.previous, table.sealed_at, table.hash],
                [length, previous, sealed_at, hash_],
                where=table.id == id_)
            sealed.append(params)
            previous = hash_
        cursor.executemany(query, sealed)
        Chain.advance(company, length, previous)
        forget(cls, Chain)
        # Keep the transaction short
        if len(sealed) == SEAL:
            cls.__queue__.seal_later(cls.browse([id_]))

    @classmethod
    def get_length(cls, company):
        "Return the number of the last entry of the company, 0 without any"
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.select(
                Max(table.sequence), where=table.company == company.id))
        length, = cursor.fetchone()
        return length or 0

    @classmethod
    def sealed(cls, company, names):
        """Yield by number the values of the entries of the company, the name
        text standing for what is hashed"""
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        columns = [
            cls._get_text(table) if n == 'text' else Column(table, n)
            for n in names]
        last = 0
        while True:
            cursor.execute(*table.select(
                    table.sequence, *columns,
                    where=(table.company == company.id)
                    & (table.sequence > last),
                    order_by=table.sequence.asc, limit=SLICE))
            rows = cursor.fetchall()
            for row in rows:
                yield row[1:]
            if len(rows) < SLICE:
                break
            last = rows[-1][0]

    @classmethod
    def _get_text(cls, table):
        """Return the expression of the text that is hashed

        To read its columns one by one takes longer than to hash them."""
        return reduce(
            lambda text, column: Concat(Concat(text, '\n'), column),
            [Coalesce(Cast(Column(table, f), 'VARCHAR'), '') for f in FIELDS])

    @classmethod
    def entries(cls, company, numbers):
        "Return by number what the hashes of the entries are made of"
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        entries = {}
        for sub_numbers in grouped_slice(numbers, PARAMETERS):
            cursor.execute(*table.select(
                    *(Column(table, f) for f in FIELDS),
                    where=(table.company == company.id)
                    & table.sequence.in_(list(sub_numbers))))
            entries.update((r[FIELDS.index('sequence')], r) for r in cursor)
        return entries

    @classmethod
    def of_archives(cls, archives, size):
        """Return the numbers and the resources of the entries of the files
        up to the number"""
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.select(
                table.sequence, table.resource,
                where=table.archive.in_([a.id for a in archives])
                & (table.sequence <= size)))
        return cursor.fetchall()

    @classmethod
    def after(cls, archives, size):
        """Return the resources of the files of which entries come after the
        number, by whether all do"""
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        sequence = Coalesce(table.sequence, size + 1)
        cursor.execute(*table.select(
                table.resource, Min(sequence),
                where=table.archive.in_([a.id for a in archives]),
                group_by=table.resource,
                having=Max(sequence) > size))
        return {r: first > size for r, first in cursor}

    @classmethod
    def covered(cls, archives, size):
        """Return whether the entries up to the number are all of the files,
        but for those of their exports"""
        table = cls.__table__()
        return not cls._is_followed(
            table, archives, size, table.action != 'export')

    @classmethod
    def disposed(cls, archives, size):
        "Return whether a file was disposed of after the entry of the number"
        table = cls.__table__()
        return cls._is_followed(
            table, archives, size, table.action == 'dispose')

    @classmethod
    def _is_followed(cls, table, archives, size, where):
        """Return whether the files have an entry after that of the number for
        which the expression on the table holds"""
        cursor = Transaction().connection.cursor()
        for sub_archives in grouped_slice(archives, PARAMETERS):
            cursor.execute(*table.select(
                    table.id,
                    where=table.archive.in_([a.id for a in sub_archives])
                    & (Coalesce(table.sequence, size + 1) > size)
                    & where,
                    limit=1))
            if cursor.fetchone():
                return True
        return False

    @classmethod
    def histories(cls, company, resources):
        """Return by resource the number, the action and the content of each of
        its entries in the chain of the company, those last that are not
        sealed"""
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        histories = defaultdict(list)
        for sub_resources in grouped_slice(resources, PARAMETERS):
            cursor.execute(*table.select(
                    table.resource, table.sequence, table.action,
                    table.content,
                    where=(table.company == company.id)
                    & table.resource.in_(list(sub_resources)),
                    order_by=[
                        NullsLast(table.sequence.asc), table.id.asc]))
            for resource, *entry in cursor:
                histories[resource].append(entry)
        return histories

    @classmethod
    def removed(cls, company, Model):
        "Return the resources of the model of which only events are left"
        table = cls.__table__()
        record = Model.__table__()
        cursor = Transaction().connection.cursor()
        prefix = f'{Model.__name__},'
        condition = table.resource == Concat(
            prefix, Cast(record.id, 'VARCHAR'))
        if not isinstance(Model.company, fields.Function):
            condition &= record.company == table.company
        cursor.execute(*table
            .join(record, 'LEFT', condition=condition)
            .select(
                table.resource, Min(table.id),
                where=(table.company == company.id)
                & table.resource.like(f'{prefix}%')
                & (record.id == Null),
                group_by=table.resource,
                order_by=Min(table.id).asc))
        return [r for r, _ in cursor]


class Chain(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.chain'
    _rec_name = 'hash'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    length = fields.Integer(
        "Entries", required=True, readonly=True,
        help="The number of the entry that was sealed last.")
    hash = fields.Char(
        "Hash", required=True, readonly=True,
        help="The hash of the entry that was sealed last.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._buttons.update({
                'checkpoint': {},
                'seal': {},
                'verify': {},
                })
        cls._sql_constraints += [
            ('company_unique', Unique(table, table.company),
                'order_archive.msg_ledger_chain_unique'),
            ]

    def get_rec_name(self, name):
        return self.company.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('company.rec_name', *clause[1:])]

    @classmethod
    @ModelView.button
    def seal(cls, chains):
        pool = Pool()
        Event = pool.get('order.archive.event')
        Event.seal([c.company for c in chains])

    @classmethod
    @ModelView.button
    def checkpoint(cls, chains):
        pool = Pool()
        Event = pool.get('order.archive.event')
        Event.seal([c.company for c in chains])
        # Others can seal while the ledger is read
        cls.__queue__.checkpoint_later(chains)

    @classmethod
    def checkpoint_later(cls, chains):
        "Make the checkpoints from the queue and tell the user of each"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        for chain in chains:
            try:
                checkpoints = Checkpoint.make([chain.company])
            except LedgerError as e:
                cls._tell([chain], 'tryton-warning',
                    'order_archive.msg_ledger_checkpoint_failed', e.message)
            else:
                cls._tell(checkpoints, 'tryton-ok',
                    'order_archive.msg_ledger_checkpoint_made')

    @classmethod
    def _tell(cls, records, icon, message_id, description=None):
        "Tell the user, if any, of each of the records"
        pool = Pool()
        User = pool.get('res.user')
        if id_ := get_user():
            with without_check_access():
                for record in records:
                    notify(
                        {User(id_): [record]}, icon, message_id,
                        description=description or record.rec_name)

    @classmethod
    @ModelView.button
    def verify(cls, chains):
        cls.__queue__.verify_later(chains)

    @classmethod
    def verify_later(cls, chains):
        "Verify from the queue, as it takes long"
        pool = Pool()
        Verification = pool.get('order.archive.verification')
        Verification.run([c.company for c in chains])

    @classmethod
    def lock(cls, records=None):
        super().lock(records)
        transaction = Transaction()
        if not transaction.database.has_select_for():
            # SQLite has no lock of a table but one writer
            table = cls.__table__()
            transaction.connection.cursor().execute(
                *table.update([table.length], [table.length]))

    @classmethod
    @without_check_access
    def get_companies(cls):
        """Return the companies with any evidence, only that of the context if
        there is one

        Not only those with a chain, of which somebody may have removed the
        row."""
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Company = pool.get('company.company')
        transaction = Transaction()
        cursor = transaction.connection.cursor()
        ids = Checkpoint.outside()
        for name in [
                'order.archive', 'order.archive.event', 'order.archive.chain',
                'order.archive.checkpoint']:
            table = pool.get(name).__table__()
            cursor.execute(*table.select(
                    table.company, group_by=table.company))
            ids.update(id_ for id_, in cursor)
        id_ = transaction.context.get('company')
        if id_ is not None:
            ids &= {id_}
        return Company.search(
            [('id', 'in', list(ids))], order=[('id', 'ASC')])

    @classmethod
    def get_head(cls, company):
        """Return the number and the hash of the last entry of the company, or
        raise an error if there are entries after it"""
        pool = Pool()
        Event = pool.get('order.archive.event')
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.select(
                table.length, table.hash,
                where=table.company == company.id))
        length, hash_ = cursor.fetchone() or (0, GENESIS)
        number = Event.get_length(company)
        if number > length:
            raise LedgerError(gettext(
                    'order_archive.msg_ledger_short',
                    company=company.rec_name, length=length, number=number))
        return length, hash_

    @classmethod
    def advance(cls, company, length, hash_):
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [table.length, table.hash], [length, hash_],
                where=table.company == company.id))
        if not cursor.rowcount:
            with _recording():
                cls.create([{
                            'company': company.id,
                            'length': length,
                            'hash': hash_,
                            }])
