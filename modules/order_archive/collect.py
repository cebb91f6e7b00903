# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import hashlib
import json
import logging
import re
from collections import defaultdict, namedtuple
from contextlib import contextmanager
from functools import partial
from itertools import groupby

from sql import Column, Literal, Null, Union
from sql.conditionals import Coalesce
from sql.operators import Concat, Equal

from trytond.backend import DatabaseOperationalError
from trytond.i18n import gettext
from trytond.model import Exclude, Index, ModelSQL, ModelView, fields
from trytond.modules.company_department.savepoint import savepoint
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import (
    Transaction, TransactionError, without_check_access)

from .archive import _OPEN, _insert, _search_boolean
from .exceptions import ArchiveError
from .retention import SecretMixin, _allow
from .storage import get_keeper

logger = logging.getLogger(__name__)
# Closed, but what comes later goes into a supplement
_CLOSED = ['archived', 'due']
# Collected by the scheduled task only: each message would be a document
_GATHERED = {'note', 'chat'}
# Of the customer: they open no supplements of all its orders
_SHARED = {'customer.survey'}
# The bytes of the documents that are held at once
_BATCH = 32 * 1024 * 1024

# What a collector takes of a model: the domain of what has been issued, the
# report that prints it, None for a record of ours, the field with the date,
# and the names of what is told of it and of its lists. The digest of these
# tells whether it has changed.
Source = namedtuple('Source', [
        'model', 'domain', 'report', 'date', 'names', 'lists'])
# What could not be collected
_Failure = namedtuple('_Failure', [
        'name', 'issue', 'reason', 'confidential'])
_MOVE = [
    'product', 'quantity', 'unit', 'from_location', 'to_location', 'lot',
    'effective_date', 'state']


@contextmanager
def _undoing():
    """Undo what is done and stored within if it raises an exception

    Of those that end the transaction it removes only what is stored."""
    keeper = get_keeper()
    stored = len(keeper.paths)
    try:
        with savepoint():
            yield
    except Exception:
        keeper.remove(stored)
        raise


def _digest(value):
    return hashlib.sha256(json.dumps(
            value, default=str, ensure_ascii=False, sort_keys=True,
            ).encode()).hexdigest()


class Archive(metaclass=PoolMeta):
    __name__ = 'order.archive'

    collected_at = fields.Timestamp("Collected At", readonly=True)
    collections = fields.One2Many(
        'order.archive.collection', 'archive', "To Collect", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(
            Index(
                t,
                (t.collected_at, Index.Range()),
                where=t.state.in_(_OPEN)))
        cls._related = None
        cls._buttons.update({
                'collect': {
                    'invisible': ~Eval('state').in_(_OPEN),
                    'icon': 'tryton-refresh',
                    'depends': ['state'],
                    },
                })

    # What there is to collect

    @classmethod
    def collectors(cls):
        """Return by name the collectors, methods or their names

        A collector takes files and yields of each document a dictionary for
        Item.collect, with the issue that tells one state of its source from
        another. Instead of the data it can have what renders them: it is
        called only if the issue has not been collected, and returns the
        extension of the name, the data, and a remark if there is one. The
        kind is the one that names the collector, unless the document has
        another."""
        return {
            **super().collectors(),
            **{n: partial(cls._collect_sources, n) for n in cls.sources()},
            'invoice': '_collect_invoices',
            'note': '_collect_notes',
            'chat': '_collect_chats',
            'attachment': '_collect_attachments',
            }

    @classmethod
    def sources(cls):
        "Return by name of collector the list of what it takes of which models"
        confirmed = [('state', 'in', ['confirmed', 'processing', 'done'])]
        return {
            'order': [
                Source('sale.sale', confirmed, 'sale.sale', 'sale_date', [
                        'number', 'reference', 'description', 'revision',
                        'party', 'contact', 'invoice_party',
                        'invoice_address', 'shipment_party',
                        'shipment_address', 'sale_date', 'payment_term',
                        'currency', 'warehouse', 'shipping_date', 'comment',
                        'untaxed_amount_cache', 'tax_amount_cache',
                        'total_amount_cache'],
                    {'lines': [
                            'sequence', 'type', 'product', 'quantity', 'unit',
                            'unit_price', 'description', 'note',
                            'shipping_date']}),
                ],
            'review': [
                Source('sale.sale', confirmed,
                    'sale.review.record', None, [], {
                        'reviews': ['number', 'round', 'state', 'closed_at'],
                        'releases': [
                            'state', 'used_at', 'review', 'caught_up_at'],
                        'requirements': [
                            'kind', 'text', 'source', 'oral', 'confirmed_by',
                            'confirmed_at', 'confirmed_how'],
                        'conditions': ['state', 'closed_at', 'note'],
                        'inquiries': ['reply', 'replied_at', 'state'],
                        }),
                ],
            'change': [
                Source('sale.sale', confirmed,
                    'sale.review.change_record', None, [],
                    {'changes': ['field', 'old', 'new', 'at']}),
                Source('sale.amendment', [('state', '=', 'validated')],
                    'sale.review.change_record', 'date',
                    ['sale', 'date', 'description', 'state'],
                    {'lines': [
                            'action', 'line', 'payment_term', 'party',
                            'invoice_party', 'invoice_address',
                            'shipment_party', 'shipment_address', 'warehouse',
                            'product', 'quantity', 'unit', 'unit_price',
                            'description']}),
                ],
            'delivery': [
                Source('stock.shipment.out',
                    [('state', 'in', ['shipped', 'done'])],
                    'stock.shipment.out.delivery_note', 'effective_date', [
                        'number', 'reference', 'customer', 'delivery_address',
                        'warehouse', 'effective_date'],
                    {'moves': _MOVE[:-2]}),
                Source('stock.shipment.out.return',
                    [('state', 'in', ['received', 'done'])],
                    'stock.shipment.out.return.restocking_list',
                    'effective_date', [
                        'number', 'reference', 'customer', 'contact_address',
                        'warehouse', 'effective_date'],
                    {'moves': _MOVE[:-2]}),
                Source('stock.shipment.drop',
                    [('state', 'in', ['shipped', 'done'])],
                    None, 'effective_date', [
                        'number', 'reference', 'supplier', 'customer',
                        'delivery_address', 'effective_date', 'state'],
                    {'moves': _MOVE[:-2]}),
                ],
            'payment': [
                Source('account.invoice', [
                        ('type', '=', 'out'),
                        ('state', 'in', ['posted', 'paid']),
                        ('payment_lines', '!=', None),
                        ], None, None, [
                        'number', 'reference', 'party', 'invoice_date',
                        'currency', 'total_amount', 'amount_to_pay', 'state'],
                    {'payment_lines': [
                            'date', 'move', 'account', 'party', 'debit',
                            'credit', 'amount_second_currency',
                            'second_currency', 'description']}),
                Source('account.payment', [
                        ('kind', '=', 'receivable'),
                        ('state', '=', 'succeeded'),
                        ], None, 'date', [
                        'number', 'reference', 'journal', 'party', 'date',
                        'amount', 'line', 'group', 'state'], {}),
                ],
            'production': [
                Source('production', [('state', '=', 'done')], None,
                    'effective_date', [
                        'number', 'reference', 'origin', 'product',
                        'quantity', 'unit', 'bom', 'warehouse', 'location',
                        'planned_start_date', 'planned_date',
                        'effective_start_date', 'effective_date', 'run_by',
                        'done_by', 'state'],
                    {'inputs': _MOVE, 'outputs': _MOVE}),
                ],
            'inspection': [
                Source('quality.inspection',
                    [('state', 'in', ['passed', 'failed'])], None,
                    'processed_at', [
                        'number', 'reference', 'origin', 'control', 'points',
                        'processed_by', 'processed_at', 'passed_by',
                        'failed_by', 'state'],
                    {'alerts': [
                            'number', 'title', 'description', 'state']}),
                ],
            'complaint': [
                Source('sale.complaint', [('state', '!=', 'draft')], None,
                    'date', [
                        'number', 'reference', 'date', 'customer', 'type',
                        'origin', 'severity', 'description', 'cause',
                        'cause_analysis', 'cause_department', 'remedy',
                        'customer_informed_on', 'customer_informed_by',
                        'customer_informed_means', 'submitted_by',
                        'approved_by', 'rejected_by', 'cancelled_by',
                        'closed_on', 'state'],
                    {'actions': [
                            'action', 'quantity', 'unit', 'amount', 'result',
                            ]}),
                ],
            'survey': [
                Source('customer.survey',
                    [('state', 'in', ['answered', 'closed'])], None,
                    'answered_at', [
                        'questionnaire', 'party', 'means', 'employee',
                        'answered_with', 'answered_by', 'answered_at',
                        'score', 'analysis', 'closed_by', 'closed_on',
                        'state'],
                    {'answers': ['question', 'rating', 'boolean', 'text']}),
                ],
            'cost': [
                Source('sale.sale', [('state', '=', 'done')], None, None, [
                        'number', 'reference', 'party', 'sale_date',
                        'currency', 'untaxed_amount'],
                    {'moves': [
                            'product', 'quantity', 'unit', 'unit_price',
                            'currency', 'cost_price', 'effective_date',
                            'state']}),
                ],
            }

    @classmethod
    def related(cls):
        """Return by name of model the query of the sales and the ids of the
        records that belong to them"""
        pool = Pool()
        Sale = pool.get('sale.sale')
        models = {name for name, _ in pool.iterobject()}
        queries = {}

        def refers(name, column, target, id_, table=None):
            """Return the table of the model, which can be given, and whether
            its column refers to the target"""
            Model = pool.get(name)
            if table is None:
                table = Model.__table__()
            reference = Column(table, column)
            # One for each direction in which it is searched
            return table, (
                (reference == Concat(target + ',', id_))
                & (Model._fields[column].sql_id(reference, Model) == id_))

        def add(name, column='origin', targets=None):
            "Those whose column is what belongs to the sale already"
            if name not in models:
                return
            selects = []
            for target in targets or ['sale.line']:
                if query := queries.get(target):
                    table, condition = refers(name, column, target, query.id)
                    selects.append(query.join(
                            table, condition=condition).select(
                            query.sale.as_('sale'), table.id.as_('id')))
            queries[name] = Union(*selects, all_=True)

        sale = Sale.__table__()
        queries['sale.sale'] = sale.select(
            sale.id.as_('sale'), sale.id.as_('id'))
        for name in ['sale.line', 'sale.amendment', 'sale.review']:
            if name in models:
                table = pool.get(name).__table__()
                queries[name] = table.select(
                    table.sale.as_('sale'), table.id.as_('id'))
        if 'sale.review' in models:
            signoff = pool.get('sale.review.signoff').__table__()
            review = pool.get('sale.review').__table__()
            queries['sale.review.signoff'] = review.join(
                signoff, condition=signoff.review == review.id).select(
                review.sale.as_('sale'), signoff.id.as_('id'))

        line = pool.get('sale.line').__table__()
        for name in [
                'stock.shipment.out', 'stock.shipment.out.return',
                'stock.shipment.drop']:
            if name in models:
                shipment = pool.get(name).__table__()
                move, of_line = refers(
                    'stock.move', 'origin', 'sale.line', line.id)
                _, in_shipment = refers(
                    'stock.move', 'shipment', name, shipment.id, table=move)
                queries[name] = line.join(move, condition=of_line).join(
                    shipment, condition=in_shipment).select(
                    line.sale.as_('sale'), shipment.id.as_('id'))

        invoice_line, condition = refers(
            'account.invoice.line', 'origin', 'sale.line', line.id)
        invoiced = line.join(invoice_line, condition=condition)
        credit_line, condition = refers(
            'account.invoice.line', 'origin', 'account.invoice.line',
            invoice_line.id)
        queries['account.invoice'] = Union(*(
                source.select(
                    line.sale.as_('sale'), table.invoice.as_('id'),
                    where=table.invoice != Null)
                for source, table in [
                    (invoiced, invoice_line),
                    (invoiced.join(credit_line, condition=condition),
                        credit_line)]), all_=True)
        queries['account.invoice.line'] = Union(*(
                source.select(line.sale.as_('sale'), table.id.as_('id'))
                for source, table in [
                    (invoiced, invoice_line),
                    (invoiced.join(credit_line, condition=condition),
                        credit_line)]), all_=True)
        if 'account.payment' in models:
            payment = pool.get('account.payment').__table__()
            move_line = pool.get('account.move.line').__table__()
            invoice = pool.get('account.invoice').__table__()
            related = queries['account.invoice']
            queries['account.payment'] = related.join(
                invoice, condition=invoice.id == related.id).join(
                move_line, condition=move_line.move == invoice.move).join(
                payment, condition=payment.line == move_line.id).select(
                related.sale.as_('sale'), payment.id.as_('id'))
        add('production')
        add('quality.inspection', targets=[
                'stock.shipment.out', 'stock.shipment.out.return',
                'production'])
        add('sale.complaint', targets=[
                'sale.sale', 'sale.line', 'account.invoice',
                'account.invoice.line'])
        if 'customer.survey' in models:
            survey = pool.get('customer.survey').__table__()
            file = pool.get('customer.file').__table__()
            # Answered since the order was confirmed
            queries['customer.survey'] = sale.join(
                file, condition=(file.company == sale.company)
                & (file.party == sale.party)).join(
                survey, condition=(survey.file == file.id)
                & (survey.answered_at >= sale.sale_date)).select(
                sale.id.as_('sale'), survey.id.as_('id'))
        return queries

    @classmethod
    def _query_related(cls, name):
        "Return as related the query of the model, if there is one"
        if cls._related is None:
            # They are always the same
            cls._related = cls.related()
        return cls._related.get(name)

    @classmethod
    def _get_related(cls, name, sales):
        """Return the set of couples of sale and id of the records of the model
        that belong to the sales"""
        cursor = Transaction().connection.cursor()
        couples = set()
        if not (query := cls._query_related(name)):
            return couples
        for sub_sales in grouped_slice(sorted(set(sales)), 1000):
            cursor.execute(*query.select(
                    query.sale, query.id,
                    where=fields.SQL_OPERATORS['in'](
                        query.sale, list(sub_sales))))
            couples.update(cursor)
        return couples

    @classmethod
    def get_owners(cls, resources):
        """Return by resource the list of the files that collect what belongs
        to it: those that take documents, or the last ones that are closed, of
        which a supplement will"""
        by_model = defaultdict(list)
        for resource in map(str, resources):
            name, id_ = resource.split(',')
            by_model[name].append(int(id_))
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        last = {}
        for name, ids in by_model.items():
            if not (query := cls._query_related(name)):
                continue
            for sub_ids in grouped_slice(sorted(ids), 1000):
                cursor.execute(*query
                    .join(table, condition=table.sale == query.sale)
                    .select(
                        query.id, table.sale, table.id, table.state,
                        where=fields.SQL_OPERATORS['in'](
                            query.id, list(sub_ids))
                        & table.state.in_(_OPEN + _CLOSED),
                        order_by=table.id))
                # That which takes documents is the last one of its order
                last.update(
                    ((name, id_, sale), (archive, state))
                    for id_, sale, archive, state in cursor)
        archives = {a.id: a for a in cls.browse({a for a, _ in last.values()})}
        owners = defaultdict(list)
        for (name, id_, _), (archive, state) in sorted(last.items()):
            if state in _OPEN or name not in _SHARED:
                owners[f'{name},{id_}'].append(archives[archive])
        return dict(owners)

    @classmethod
    def _get_resources(cls, archives):
        """Return by name of model and by id the list of the files to which the
        record belongs"""
        return {n: cls._get_owned(n, archives) for n in cls.related()}

    @classmethod
    def _get_owned(cls, name, archives):
        """Return by id of the records of the model the list of the files to
        which it belongs"""
        by_sale = {a.sale.id: a for a in archives}
        owned = defaultdict(list)
        for sale, id_ in sorted(cls._get_related(name, list(by_sale))):
            owned[id_].append(by_sale[sale])
        return owned

    # What of it is issued

    @classmethod
    def get_issues(cls, source, ids):
        """Return by id the digest of what is told of the record, as it is in
        the database now, if there is anything"""
        Model = Pool().get(source.model)
        contents = {i: [] for i in ids}
        parts = list(source.lists.items())
        if source.names:
            parts.insert(0, (None, source.names))
        for name, names in parts:
            for sub_ids in grouped_slice(list(contents), 1000):
                for id_, *values in cls._read(
                        Model, name, names, list(sub_ids)):
                    contents[id_].append([name, *values])
        return {i: _digest(c) for i, c in contents.items() if c}

    @classmethod
    def _read(cls, Model, name, names, ids):
        """Return the rows of the id of the record and what the columns have,
        of the record itself or of those in its list"""
        if name is not None and name not in Model._fields:
            # Of a module that is not activated
            return []
        field = Model._fields[name or 'id']
        if isinstance(field, fields.Function):
            return [
                (r.id, *(str(getattr(t, n, None)) for n in names))
                for r in Model.browse(ids) for t in getattr(r, name)]
        Target = field.get_target() if name else Model
        table = source = Target.__table__()
        values = ids
        if name is None:
            key = searched = table.id
        elif isinstance(field, fields.Many2Many):
            relation = field.get_relation().__table__()
            key = searched = Column(relation, field.origin)
            source = table.join(
                relation, condition=Column(relation, field.target) == table.id)
        else:
            key = searched = Column(table, field.field)
            reference = Target._fields[field.field]
            if isinstance(reference, fields.Reference):
                # The index is of the whole reference
                key = reference.sql_id(searched, Target)
                values = [f'{Model.__name__},{i}' for i in ids]
        columns = [
            Column(table, n) for n in names
            if n in Target._fields and not hasattr(Target._fields[n], 'set')]
        cursor = Transaction().connection.cursor()
        cursor.execute(*source.select(
                key, *columns,
                where=fields.SQL_OPERATORS['in'](searched, values),
                order_by=[table.id]))
        return cursor.fetchall()

    @classmethod
    @without_check_access
    def issued(cls, name, records, everything=False):
        """Remember that the documents of the records are issued, and have
        them collected after the transaction, or all that the files lack

        Costs no more than finding their files, if there are none."""
        if not records:
            return
        Model = records[0].__class__
        source, = (
            s for s in cls.sources()[name] if s.model == Model.__name__)
        records = Model.search([
                ('id', 'in', [r.id for r in records]),
                *source.domain])
        cls._remember(
            name, source, records, cls.get_owners(records), everything)

    @classmethod
    @without_check_access
    def confirmed(cls, sales):
        """Open the files of the orders that are confirmed and remember what
        is to be collected, with all that has been there before"""
        # What collects has them sealed too
        archives = cls.open(
            [s for s in sales if s.state == 'confirmed'], seal=False)
        source, = cls.sources()['order']
        cls._remember(
            'order', source, list(archives),
            {str(s): [a] for s, a in archives.items()}, everything=True)

    @classmethod
    def _remember(cls, name, source, records, owners, everything):
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        if not owners:
            return
        issues = cls.get_issues(
            source, [r.id for r in records if str(r) in owners])
        values = [{
                'archive': archive.id,
                'collector': name,
                'source': str(record),
                'source_name': record.rec_name,
                'issue': issues[record.id],
                'confidential': cls._is_confidential(record),
                } for record in records if record.id in issues
            for archive in owners[str(record)]]
        archives = {a for r in owners.values() for a in r}
        if everything:
            values.extend({
                    'archive': a.id,
                    'collector': None,
                    'source': None,
                    'source_name': None,
                    'issue': None,
                    'confidential': False,
                    } for a in archives)
        if values:
            _insert(Collection, values)
        cls._queue(archives)

    @classmethod
    @without_check_access
    def gathered(cls, name, resources):
        "Remember that there is something new on the resources"
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        owners = cls.get_owners(resources)
        archives = {a for r in owners.values() for a in r}
        if not archives:
            return
        Collection.create([{
                    'archive': a.id,
                    'collector': name,
                    } for a in archives])
        if name not in _GATHERED:
            cls._queue(archives)

    @classmethod
    @without_check_access
    def keep(cls, name, resources):
        "Collect now what is going to change or to go"
        archives = {
            a for r in cls.get_owners(resources).values() for a in r}
        if archives:
            if failed := cls._run(archives, {name}):
                raise ArchiveError(gettext(
                        'order_archive.msg_collect_keep',
                        documents='\n'.join(failed)))

    @classmethod
    def _queue(cls, archives):
        transaction = Transaction()
        with transaction.set_context(
                queue_batch=transaction.context.get('queue_batch', True)):
            cls.__queue__.collect_pending(
                sorted(archives, key=lambda a: a.id))

    # Collecting

    @classmethod
    @ModelView.button
    def collect(cls, archives, names=None):
        """Collect what the files lack, of all collectors or of those with the
        names"""
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        with without_check_access():
            archives = [
                a for a in cls.browse(archives) if a.state in _OPEN]
            if archives:
                Collection.create([{
                            'archive': a.id,
                            'collector': name,
                            } for a in archives for name in names or [None]])
                cls._queue(archives)

    @classmethod
    def collect_pending(cls, archives):
        "Collect what is to be collected for the files"
        pool = Pool()
        Event = pool.get('order.archive.event')
        cls._run(archives)
        Event.seal_archives(archives)

    @classmethod
    def collect_due(cls):
        """Collect what has failed or been gathered, and look once a day
        whether there is anything else"""
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        pending = Collection.__table__()
        yesterday = dt.datetime.now() - dt.timedelta(days=1)
        where = Literal(True)
        if company := Transaction().context.get('company'):
            where &= table.company == company
        cursor.execute(*table.select(
                table.id,
                where=where & table.state.in_(_OPEN)
                & ((table.collected_at < yesterday)
                    | (table.collected_at == Null))))
        due = [id_ for id_, in cursor]
        if due:
            Collection.create([{'archive': i} for i in due])
        cursor.execute(*table.select(
                table.id,
                where=where & table.state.in_(_OPEN + _CLOSED)
                & table.id.in_(pending.select(
                        pending.archive,
                        where=pending.dismissed_at == Null)),
                order_by=[table.id]))
        if ids := [id_ for id_, in cursor]:
            with Transaction().set_context(queue_batch=True):
                cls.__queue__.collect_pending(cls.browse(ids))

    @classmethod
    def _run(cls, archives, names=None):
        """Collect as the archive, by company and in its language, and return
        the list of texts of what failed"""
        pool = Pool()
        Configuration = pool.get('ir.configuration')
        failed = []
        with Transaction().set_user(0, set_context=True), \
                without_check_access():
            archives = sorted(
                cls.browse(archives), key=lambda a: (a.company.id, a.id))
            for company, c_archives in groupby(
                    archives, key=lambda a: a.company):
                language = company.party.lang
                with Transaction().set_context(
                        company=company.id, companies=[company.id],
                        language=(
                            language.code if language
                            else Configuration.get_language())):
                    failed.extend(cls._collect(
                            [a.id for a in c_archives], names))
        return failed

    @classmethod
    def _collect(cls, ids, names):
        archives = [a for a in cls.browse(ids) if a.state in _OPEN]
        archives.extend(cls._supplement(
                [a for a in cls.browse(ids) if a.state in _CLOSED], names))
        if not archives:
            return []
        failed = _Run(archives, names).run()
        cls.update_search(archives)
        cls.update(archives)
        return failed

    @classmethod
    def _supplement(cls, archives, names):
        """Return the supplements that take what has come for the files since
        they were closed, and forget what they have already"""
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        if not archives:
            return []
        run = _Run(archives, names)
        late = run.get_late()
        supplements = cls.open([a.sale for a in late])
        done = []
        for row in run.rows:
            if row.archive in late:
                Collection.write([row], {
                        'archive': supplements[row.archive.sale].id})
            else:
                done.append(row)
        Collection.delete(done)
        return list(supplements.values())

    @classmethod
    @without_check_access
    def missing(cls, archives):
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        Kind = pool.get('order.archive.kind')
        missing = super().missing(archives)
        kinds = {}
        for collection in Collection.search([
                    ('archive', 'in', [a.id for a in archives]),
                    ('dismissed_at', '=', None),
                    ], order=[('archive', 'ASC'), ('id', 'ASC')]):
            texts = missing.setdefault(collection.archive, [])
            company = collection.archive.company
            if company not in kinds:
                kinds[company] = Kind.get_by_collector(company)
            text = collection.get_missing(kinds[company])
            if text not in texts:
                texts.append(text)
        return missing

    @classmethod
    def _is_confidential(cls, record):
        "Return whether the documents of the record are confidential"
        return getattr(
            record, 'file_confidentiality', None) not in {None, 'normal'}

    # Collectors

    @classmethod
    def _collect_sources(cls, name, archives):
        pool = Pool()
        models = {n for n, _ in pool.iterobject()}
        for source in cls.sources()[name]:
            if source.model not in models:
                continue
            owners = cls._get_owned(source.model, archives)
            Model = pool.get(source.model)
            records = []
            for ids in grouped_slice(sorted(owners), 1000):
                records.extend(Model.search([
                            ('id', 'in', list(ids)), *source.domain],
                        order=[('id', 'ASC')]))
            issues = cls.get_issues(source, [r.id for r in records])
            for record in records:
                if record.id not in issues:
                    continue
                date = source.date and getattr(record, source.date)
                for archive in owners[record.id]:
                    yield {
                        'archive': archive,
                        'source': str(record),
                        'source_name': record.rec_name,
                        'issue': issues[record.id],
                        'document_date': _date(date),
                        'confidential': cls._is_confidential(record),
                        'render': partial(
                            cls._render, source, record, archive.company),
                        }

    @classmethod
    def _render(cls, source, record, company):
        "Return the extension, the content and perhaps a remark"
        pool = Pool()
        ActionReport = pool.get('ir.action.report')
        Record = pool.get('order.archive.record', type='report')
        reports = dict(pool.iterobject(type='report'))
        if source.report not in reports:
            return Record.print(
                company, record.__names__()['model'], record.rec_name,
                [(None, [record], source.names)] + [
                    (n, getattr(record, n), names)
                    for n, names in source.lists.items()
                    if n in record._fields])
        actions = ActionReport.search([
                ('report_name', '=', source.report),
                ('model', '=', source.model),
                ], limit=1)
        data = {'model': source.model}
        if actions:
            data['action_id'] = actions[0].id
        extension, content, _, _ = reports[source.report].execute(
            [record.id], data)
        expected = actions[0].extension if actions else None
        if expected and extension != expected:
            return extension, content, gettext(
                'order_archive.msg_collect_format',
                expected=expected, extension=extension)
        return extension, content

    @classmethod
    def _collect_invoices(cls, archives):
        pool = Pool()
        Invoice = pool.get('account.invoice')
        owners = cls._get_owned('account.invoice', archives)
        for invoice in Invoice.search([
                    ('id', 'in', list(owners)),
                    ('type', '=', 'out'),
                    ('state', 'in', ['posted', 'paid']),
                    ], order=[('id', 'ASC')]):
            # What was printed before is what was issued first
            revisions = sorted(
                invoice.invoice_report_revisions,
                key=lambda r: (r.date, r.id))
            for i, printed in enumerate([*revisions, invoice]):
                for archive in owners[invoice.id]:
                    yield {
                        'archive': archive,
                        'source': str(invoice),
                        'source_name': invoice.rec_name,
                        'issue': str(i),
                        'once': True,
                        'document_date': invoice.invoice_date,
                        'render': partial(cls._read_invoice, printed),
                        }

    @classmethod
    def _read_invoice(cls, printed):
        pool = Pool()
        Invoice = pool.get('account.invoice')
        if not printed.invoice_report_cache and isinstance(printed, Invoice):
            Invoice.print_invoice([printed])
            printed = Invoice(printed.id)
        return printed.invoice_report_format, printed.invoice_report_cache

    @classmethod
    def _collect_notes(cls, archives):
        pool = Pool()
        Note = pool.get('ir.note')
        yield from cls._collect_messages(
            archives, Note, 'resource',
            ['create_date', 'create_uid', 'message'])

    @classmethod
    def _collect_chats(cls, archives):
        pool = Pool()
        Message = pool.get('ir.chat.message')
        yield from cls._collect_messages(
            archives, Message, 'channel.resource',
            ['create_date', 'author', 'audience', 'content'])

    @classmethod
    def _collect_messages(cls, archives, Model, path, names):
        "Yield one document of each resource, with all that was written on it"
        pool = Pool()
        Record = pool.get('order.archive.record', type='report')

        def get_resource(message):
            for name in path.split('.'):
                message = getattr(message, name)
            return message

        owners = cls._get_resources(archives)
        messages = defaultdict(list)
        for strings in grouped_slice([
                    f'{name},{id_}' for name, by_id in owners.items()
                    for id_ in by_id], 1000):
            for message in Model.search(
                    [(path, 'in', list(strings))], order=[('id', 'ASC')]):
                messages[get_resource(message)].append(message)
        for resource, written in messages.items():
            issue = _digest([
                    [m.id, *(str(getattr(m, n)) for n in names)]
                    for m in written])
            for archive in owners[resource.__name__][resource.id]:
                yield {
                    'archive': archive,
                    'source': str(resource),
                    'source_name': resource.rec_name,
                    'issue': issue,
                    'document_date': _date(written[-1].create_date),
                    'render': partial(
                        Record.print, archive.company,
                        resource.__names__()['model'], resource.rec_name,
                        [(Model.__names__()['model'], written, names)]),
                    }

    @classmethod
    def _collect_attachments(cls, archives):
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        AttachmentKind = pool.get('order.archive.attachment.kind')
        company = archives[0].company
        kinds = AttachmentKind.get_kinds(company)
        owners = cls._get_resources(archives)
        for strings in grouped_slice([
                    f'{name},{id_}' for name, by_id in owners.items()
                    for id_ in by_id], 1000):
            for attachment in Attachment.search(
                    [('resource', 'in', list(strings))],
                    order=[('id', 'ASC')]):
                resource = attachment.resource
                if attachment.type == 'link':
                    issue = attachment.link
                else:
                    issue = attachment.file_id or str(
                        attachment.write_date or attachment.create_date)
                if not issue:
                    continue
                document = {
                    'source': str(attachment),
                    'source_name': (
                        f'{attachment.name} - {resource.rec_name}'),
                    'issue': issue,
                    'document_date': _date(attachment.last_modification),
                    'render': partial(cls._read_attachment, attachment),
                    }
                kind = attachment.archive_kind
                if not kind or kind.company not in {company, None}:
                    kind = kinds.get(resource.__name__)
                if kind:
                    document['kind'] = kind
                for archive in owners[resource.__name__][resource.id]:
                    yield {'archive': archive, **document}

    @classmethod
    def _read_attachment(cls, attachment):
        name = attachment.name
        if attachment.type == 'link':
            return 'txt', attachment.link, gettext(
                'order_archive.msg_collect_link'), name
        if attachment.data is None:
            raise LookupError(gettext(
                    'order_archive.msg_collect_no_data', name=name))
        return None, attachment.data, None, name


class _Run:
    "Collect what the files of a company lack"

    def __init__(self, archives, names=None):
        self.archives = archives
        self.names = names
        self.failures = {}

    def run(self):
        "Collect and return the texts of what failed"
        needed, remarks = self._look()
        if self.names and needed:
            self._lock()
        self._collect(needed, remarks)
        return self._finish()

    def get_late(self):
        "Return the set of the files that do not have all there is"
        needed, _ = self._look()
        keys = {(self._get_key(d), d.get('issue')) for d in needed}
        keys.update((k, f.issue) for k, f in self.failures.items())
        late = {a for (a, _, _), _ in keys - self.dismissed}
        if self.names and late:
            self._lock()
        return late

    def _look(self):
        "Return the list of what the files lack, and what is to be remarked"
        pool = Pool()
        Kind = pool.get('order.archive.kind')
        if not self.names:
            self._lock()
        self.kinds = Kind.get_by_collector(self.archives[0].company)
        self.rows = self._get_rows()
        documents = self._get_documents()
        self.known = self._get_known()
        return self._get_needed(documents), self._get_remarks(documents)

    def _lock(self):
        """Let only one collect for the files

        Who waits here starts again once the other is done, as the files have
        changed. Documents can be issued meanwhile, which a lock of the
        records would prevent as long as they are printed."""
        pool = Pool()
        Archive = pool.get('order.archive')
        table = Archive.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [table.collected_at], [dt.datetime.now()],
                where=fields.SQL_OPERATORS['in'](
                    table.id, [a.id for a in self.archives])))

    def _get_rows(self):
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        by_sale = defaultdict(list)
        for archive in self.archives:
            by_sale[archive.sale].append(archive)
        rows = Collection.search([
                ('archive.sale', 'in', [s.id for s in by_sale]),
                ], order=[('id', 'ASC')])
        # Also for what supplements the file
        self.dismissed = {
            ((a, r.collector, r.source), r.issue)
            for r in rows if r.dismissed_at for a in by_sale[r.archive.sale]}
        archives = set(self.archives)
        return [
            r for r in rows if r.archive in archives and not r.dismissed_at
            and (not self.names or r.collector in self.names)]

    @classmethod
    def _get_row_key(cls, row):
        return row.archive, row.collector, row.source

    def _get_documents(self):
        "Return the list of the documents that there are"
        pool = Pool()
        Archive = pool.get('order.archive')
        collectors = Archive.collectors()
        by_name = defaultdict(set)
        for row in self.rows:
            for name in [row.collector] if row.collector else collectors:
                by_name[name].add(row.archive)
        for name in self.names or []:
            by_name[name].update(self.archives)
        documents = []
        for name in sorted(by_name):
            # Those without a kind the company does not keep
            if name not in collectors or name not in self.kinds:
                continue
            collector = collectors[name]
            if isinstance(collector, str):
                collector = getattr(Archive, collector)
            archives = sorted(by_name[name], key=lambda a: a.id)
            with self._failing(*((a, name, None) for a in archives)):
                documents.extend([
                        {'collector': name, 'kind': self.kinds[name], **d}
                        for d in collector(archives)])
        return documents

    @contextmanager
    def _failing(self, *keys, name=None, issue=None, confidential=False):
        "Note the exception as the failure of the keys"
        try:
            with _undoing():
                yield
        except (DatabaseOperationalError, TransactionError):
            # The transaction starts again
            raise
        except Exception as exception:
            logger.info("cannot collect %s", name, exc_info=True)
            reason = (
                getattr(exception, 'message', None)
                or f'{exception.__class__.__name__}: {exception}')
            for key in keys:
                self.failures[key] = _Failure(
                    name, issue, reason, confidential)

    @classmethod
    def _is_confidential(cls, document):
        return bool(
            document.get('confidential') or document['kind'].confidential)

    def _get_known(self):
        """Return by file, kind and source the issues that have been collected
        for it, or for another file of its order"""
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        table, archive = Item.__table__(), Archive.__table__()
        other = Archive.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*archive
            .join(other, condition=other.sale == archive.sale)
            .join(table, condition=table.archive == other.id)
            .select(
                archive.id, table.kind, table.source, table.issue,
                where=fields.SQL_OPERATORS['in'](
                    archive.id, [a.id for a in self.archives])
                & (table.source != Null),
                order_by=[table.id]))
        known = defaultdict(list)
        for *key, issue in cursor:
            known[tuple(key)].append(issue)
        return known

    @classmethod
    def _get_key(cls, document):
        return document['archive'], document['collector'], document['source']

    def _get_needed(self, documents):
        needed = []
        for document in documents:
            issues = self.known.get((
                    document['archive'].id, document['kind'].id,
                    document['source']), [])
            # Which of its issues comes last matters, except where each is one
            # of those that follow one another
            if not document.pop('once', False):
                issues = issues[-1:]
            if not document.get('issue') or document['issue'] not in issues:
                needed.append(document)
        return needed

    def _get_remarks(self, documents):
        "Return by key what is to be remarked, as it was issued differently"
        issues = defaultdict(set)
        for (archive, _, source), known in self.known.items():
            issues[archive, source].update(known)
        current = {self._get_key(d): d['issue'] for d in documents
            if d.get('issue')}
        remarks = defaultdict(list)
        for row in self.rows:
            key = self._get_row_key(row)
            if (not row.issue or row.collector not in self.kinds
                    or (row.archive, row.collector, None) in self.failures
                    or row.issue in issues[row.archive.id, row.source]
                    or row.issue == current.get(key)):
                continue
            if key in current:
                remarks[key].append(gettext(
                        'order_archive.msg_collect_changed',
                        issued=row.create_date.strftime('%Y-%m-%d %H:%M:%S')))
            else:
                self.failures[key] = _Failure(
                    row.source_name, row.issue,
                    gettext('order_archive.msg_collect_gone'),
                    row.confidential)
        return remarks

    def _collect(self, documents, remarks):
        batch, size = [], 0
        for document in documents:
            key = self._get_key(document)
            name = document.get('source_name')
            confidential = self._is_confidential(document)
            with self._failing(
                    key, name=name, issue=document.get('issue'),
                    confidential=confidential):
                values = self._get_values(document, remarks[key])
            if key in self.failures:
                continue
            batch.append((key, values))
            size += len(values.get('data') or b'')
            if size > _BATCH:
                self._store(batch)
                batch, size = [], 0
        self._store(batch)

    def _get_values(self, document, remarks):
        "Return the values of the item"
        values = {
            k: v for k, v in document.items()
            if k not in {'collector', 'render'}}
        if render := document.get('render'):
            extension, data, *others = render()
            remark, name = [*others, None, None][:2]
            if isinstance(data, str):
                data = data.encode()
            name = (
                name or f"{document['kind'].name} {document['source_name']}")
            if extension and not name.endswith(f'.{extension}'):
                name += f'.{extension}'
            values['name'] = re.sub(r'[\x00-\x1f/\\]+', '-', name)
            values['data'] = bytes(data)
            if remark:
                remarks = [*remarks, remark]
        if remarks:
            values['remark'] = '\n'.join(remarks)
        return values

    def _store(self, batch):
        pool = Pool()
        Item = pool.get('order.archive.item')
        if not batch:
            return
        try:
            with _undoing(), Transaction().set_context(_locked=True):
                Item.collect([v for _, v in batch])
        except (DatabaseOperationalError, TransactionError):
            raise
        except Exception:
            # All but those that fail
            for key, values in batch:
                with self._failing(
                        key, name=values.get('source_name'),
                        issue=values.get('issue'),
                        confidential=self._is_confidential(values)), \
                        Transaction().set_context(_locked=True):
                    Item.collect([values])

    def _finish(self):
        "Keep what failed to try it again, and forget what is done"
        pool = Pool()
        Collection = pool.get('order.archive.collection')
        now = dt.datetime.now()
        kept, done, to_create = {}, [], []
        self.failures = {
            k: v for k, v in self.failures.items()
            if (k, v.issue) not in self.dismissed}
        for row in self.rows:
            key = self._get_row_key(row)
            if key in self.failures and key not in kept:
                kept[key] = row
            else:
                done.append(row)
        for key, failure in self.failures.items():
            values = {
                'reason': failure.reason,
                'confidential': failure.confidential,
                'tried_at': now,
                'attempts': 1,
                }
            if row := kept.get(key):
                values['attempts'] += row.attempts or 0
                Collection.write([row], values)
            else:
                archive, collector, source = key
                to_create.append({
                        'archive': archive.id,
                        'collector': collector,
                        'source': source,
                        'source_name': failure.name,
                        'issue': failure.issue,
                        **values})
        Collection.create(to_create)
        Collection.delete(done)
        return [
            f'{f.name or key[1]}: {f.reason}'
            for key, f in self.failures.items()]


def _date(value):
    return value.date() if isinstance(value, dt.datetime) else value


class Kind(metaclass=PoolMeta):
    __name__ = 'order.archive.kind'

    @classmethod
    def get_by_collector(cls, company):
        "Return by name of collector the kind of what it collects"
        kinds = {}
        # Those of the company before those of all
        for kind in sorted(
                cls.search([
                        ('collector', '!=', None),
                        ('company', 'in', [company.id, None]),
                        ]),
                key=lambda k: k.company is None):
            kinds.setdefault(kind.collector, kind)
        return kinds


class Collection(SecretMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.collection'

    archive = fields.Many2One(
        'order.archive', "File", required=True, readonly=True,
        ondelete='CASCADE')
    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_company')
    collector = fields.Char(
        "Collector", readonly=True,
        help="Empty for all collectors.")
    source = fields.Char("Source", readonly=True)
    source_name = fields.Char("Document", readonly=True)
    issue = fields.Char(
        "Issue", readonly=True,
        help="What tells the state in which it was issued from others.")
    confidential = fields.Boolean("Confidential", readonly=True)
    reason = fields.Text(
        "Reason", readonly=True,
        help="Why it could not be collected.")
    tried_at = fields.DateTime("Tried At", readonly=True)
    attempts = fields.Integer("Attempts", readonly=True)
    dismissed_at = fields.DateTime("Dismissed At", readonly=True)
    dismissed_by = fields.Many2One(
        'res.user', "Dismissed By", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(
            Index(
                t,
                (t.archive, Index.Equality()),
                (t.id, Index.Range())))
        cls._order = [('id', 'DESC')]
        cls._buttons.update({
                'dismiss': {
                    'invisible': ~Eval('reason') | Bool(Eval('dismissed_at')),
                    'depends': ['reason', 'dismissed_at'],
                    },
                })

    @fields.depends('archive', '_parent_archive.company')
    def on_change_with_company(self, name=None):
        return self.archive.company if self.archive else None

    @classmethod
    def search_company(cls, name, clause):
        return [('archive.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return self.source_name or self.collector or self.archive.rec_name

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('dismissed_at')), 'muted',
                    If(Bool(Eval('reason')), 'danger', ''))),
            ]

    @without_check_access
    def get_secret(self, name):
        return bool(
            self.confidential or self.archive.confidential
            or self.collector in self._get_confidential(self.company))

    @classmethod
    @without_check_access
    def search_secret(cls, name, clause):
        pool = Pool()
        Company = pool.get('company.company')
        domain = ['OR',
            ('confidential', '=', True),
            ('archive.confidential', '=', True),
            ]
        for company in Company.search([]):
            if collectors := cls._get_confidential(company):
                domain.append([
                        ('archive.company', '=', company.id),
                        ('collector', 'in', list(collectors)),
                        ])
        return _search_boolean(
            clause, domain,
            lambda: [('id', 'not in', cls.search(domain, query=True))])

    @classmethod
    def _get_confidential(cls, company):
        "Return the set of the collectors of confidential documents"
        pool = Pool()
        Kind = pool.get('order.archive.kind')
        return {
            c for c, k in Kind.get_by_collector(company).items()
            if k.confidential}

    def get_missing(self, kinds):
        """Return the text of what is missing, of the kinds by collector

        All who see the file or the order see it, so it names nothing else."""
        kind = kinds.get(self.collector)
        message = 'failed' if self.reason else 'pending'
        return gettext(
            f'order_archive.msg_collect_{message}',
            kind=kind.rec_name if kind else gettext(
                'order_archive.msg_collect_all'))

    @classmethod
    @ModelView.button
    def dismiss(cls, collections):
        "Do without what cannot be collected"
        _allow(collections, 'group_archive_waive')
        with without_check_access():
            cls._dismiss(collections)

    @classmethod
    def _dismiss(cls, collections):
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        collections = [
            c for c in cls.browse(collections)
            if c.reason and not c.dismissed_at]
        if not collections:
            return
        details = defaultdict(lambda: {'dismissed': []})
        for collection in collections:
            # Whoever may read the file gets the entry with its export
            names = ['collector', 'issue']
            if not collection.secret:
                names += ['source', 'source_name', 'reason']
            details[collection.archive]['dismissed'].append(
                {n: getattr(collection, n) for n in names})
        cls.write(collections, {
                'dismissed_at': dt.datetime.now(),
                'dismissed_by': Transaction().user,
                })
        archives = list(details)
        Event.record('dismiss', archives, details, changed=False)
        Archive.update(archives)


class AttachmentKind(ModelSQL, ModelView):
    __name__ = 'order.archive.attachment.kind'

    company = fields.Many2One(
        'company.company', "Company", ondelete='CASCADE',
        help="Leave empty for all companies.")
    model = fields.Selection(
        'get_models', "Resource", required=True,
        help="To what the attachments belong.")
    kind = fields.Many2One(
        'order.archive.kind', "Kind", required=True, ondelete='RESTRICT',
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ],
        help="As what the attachments are kept in the order file.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.append(
            ('model_company_unique',
                Exclude(
                    t, (t.model, Equal), (Coalesce(t.company, -1), Equal)),
                'order_archive.msg_attachment_kind_unique'))
        cls._order.insert(0, ('model', 'ASC'))

    @classmethod
    def get_models(cls):
        pool = Pool()
        Archive = pool.get('order.archive')
        Model = pool.get('ir.model')
        return [(n, Model.get_name(n)) for n in Archive.related()]

    def get_rec_name(self, name):
        return self.kind.rec_name

    @classmethod
    def get_kinds(cls, company):
        "Return by name of model the kind of its attachments"
        mappings = cls.search([('company', 'in', [company.id, None])])
        # Those of the company instead of those of all
        mappings.sort(key=lambda m: m.company is not None)
        return {m.model: m.kind for m in mappings}
