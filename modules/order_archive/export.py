# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import csv
import datetime as dt
import hashlib
import html
import io
import json
import os
import re
import unicodedata
from array import array
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import quote
from uuid import uuid4
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from sql.aggregate import Sum

import trytond.config as config
from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import file_open, grouped_slice
from trytond.transaction import (
    Transaction, TransactionError, check_access, inactive_records,
    without_check_access)
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .exceptions import ArchiveError
from .storage import fsync
from .verify import get_cell, leaf_hash, node_hash, read_values

# How many files are read at once
SLICE = 100
# How many bytes a client takes
DOWNLOAD = 100 * 1024 ** 2
_ITEM = 'order.archive.item'
_COLUMNS = [
    'file', 'order', 'class', 'class_code', 'party', 'kind', 'kind_code',
    'name', 'medium', 'document_date', 'source', 'source_name', 'collected_at',
    'state', 'size', 'sha256', 'resource', 'path']


def safe_name(text, size=100):
    "Return the text as any system and any manifest takes it as a file name"
    text = unicodedata.normalize('NFC', text or '')
    text = re.sub(r'[\x00-\x1f\x7f-\x9f\u2028\u2029"%*/:<>?\\|]', '_', text)
    stem, extension = os.path.splitext(text)
    extension = extension.encode()[:20].decode(errors='ignore')
    stem = stem.encode()[:size - len(extension.encode())].decode(
        errors='ignore')
    return (stem + extension).strip('. ') or '_'


def _separately(function):
    """Return what the function returns in a transaction of its own, but with
    SQLite, which has one writer and would wait for the current one"""
    transaction = Transaction()
    if not transaction.database.has_select_for():
        return function()
    extras = {}
    while True:
        with transaction.new_transaction(**extras) as separate:
            try:
                return function()
            except TransactionError as e:
                separate.rollback()
                e.fix(extras)


class Bag:
    "A zip file as told by BagIt (RFC 8493), written from front to back"

    def __init__(self, file, name):
        self.zip = ZipFile(file, 'w', ZIP_STORED, allowZip64=True)
        self.name = name
        self.now = dt.datetime.now()
        self.manifests = {'manifest': [], 'tagmanifest': []}
        self.size = self.count = 0

    def add(self, path, chunks):
        "Add the file and return the hash of its bytes"
        info = ZipInfo(f'{self.name}/{path}', self.now.timetuple()[:6])
        info.external_attr = 0o644 << 16
        digest, size = hashlib.sha256(), 0
        with self.zip.open(info, 'w', force_zip64=True) as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        if path.startswith('data/'):
            self.size += size
            self.count += 1
            manifest = self.manifests['manifest']
        else:
            manifest = self.manifests['tagmanifest']
        manifest.append(f'{digest.hexdigest()}  {path}\n'.encode())
        return digest.hexdigest()

    def add_file(self, path, file):
        file.seek(0)
        return self.add(path, iter(lambda: file.read(1 << 20), b''))

    def close(self, company):
        self.add('bagit.txt', [
                b'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n'])
        organization = ' '.join(company.rec_name.split())
        self.add('bag-info.txt', [(
                    f'Source-Organization: {organization}\n'
                    f'Bagging-Date: {self.now:%Y-%m-%d}\n'
                    f'External-Identifier: {self.name}\n'
                    f'Payload-Oxum: {self.size}.{self.count}\n').encode()])
        with file_open('order_archive/verify.py', 'rb') as file:
            self.add('verify.py', [file.read()])
        manifest = self.add(
            'manifest-sha256.txt', self.manifests['manifest'])
        self.add('tagmanifest-sha256.txt', self.manifests['tagmanifest'])
        self.zip.close()
        return manifest


class Pruned:
    """The Merkle tree of the ledger, of which only wanted entries are written

    Each part of the tree without any is written as its root, in the place it
    has: whoever reads it in this order computes the root of the tree, and its
    roots at the sizes where it is cut."""

    def __init__(self, file):
        self.file = file
        # Of each complete tree the level, the hash and whether it is written
        self.nodes = []

    def write(self, key, value):
        self.file.write(json.dumps(
                {key: value}, ensure_ascii=False).encode() + b'\n')

    def add(self, hash_, entry=None):
        if entry:
            self.cut()
            self.write('entry', entry)
        level, hash_, written = 0, leaf_hash(hash_), bool(entry)
        while self.nodes and self.nodes[-1][0] == level:
            _, left, left_written = self.nodes.pop()
            if left_written and not written:
                self.write('node', [level, hash_.hex()])
            written = written or left_written
            hash_ = None if written else node_hash(left, hash_)
            level += 1
        self.nodes.append((level, hash_, written))

    def cut(self):
        "Write what is not written yet"
        for i, (level, hash_, written) in enumerate(self.nodes):
            if not written:
                self.write('node', [level, hash_.hex()])
                self.nodes[i] = (level, None, True)


class Index:
    "The documents of a bag as a table for programs and for people"

    def __init__(self, company):
        self.csv = TemporaryFile()
        self.html = TemporaryFile()
        self.text = io.TextIOWrapper(
            self.csv, encoding='utf-8-sig', newline='', write_through=True)
        self.writer = csv.writer(self.text, lineterminator='\n')
        self.writer.writerow(_COLUMNS)
        title = html.escape(company.rec_name)
        self.html.write((
                '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
                f'<title>{title}</title>\n<style>\n'
                'body { font-family: sans-serif }\n'
                'table { border-collapse: collapse }\n'
                'td, th { border: 1px solid; padding: .2em .5em;'
                ' text-align: left }\n'
                f'</style>\n</head>\n<body>\n<h1>{title}</h1>\n<table>\n<tr>'
                + ''.join(f'<th>{c}</th>' for c in _COLUMNS)
                + '</tr>\n').encode())

    def add(self, values):
        self.writer.writerow([
                get_cell(values[c]) if c not in {'resource', 'path'}
                else values[c] for c in _COLUMNS])
        cells = []
        for column in _COLUMNS:
            value = '' if values[column] is None else str(values[column])
            text = html.escape(value)
            if column == 'path' and value:
                link = quote(value[len('data/'):])
                text = f'<a href="{link}">{text}</a>'
            cells.append(f'<td>{text}</td>')
        self.html.write(f'<tr>{"".join(cells)}</tr>\n'.encode())

    def close(self, bag):
        self.text.flush()
        bag.add_file('data/index.csv', self.csv)
        self.html.write(b'</table>\n</body>\n</html>\n')
        bag.add_file('data/index.html', self.html)


class Archive(metaclass=PoolMeta):
    __name__ = 'order.archive'

    @classmethod
    def export_folder(cls):
        "Return the folder for the exports if there is one"
        if path := config.get('order_archive', 'export_path'):
            return Path(path)

    @classmethod
    def export_name(cls, archives):
        "Return the name of the bag of the files"
        now = dt.datetime.now()
        subject = (
            archives[0].number if len(archives) == 1 else 'archive')
        return safe_name(f'{subject}-{now:%Y%m%d-%H%M%S}').replace(' ', '_')

    @classmethod
    def export_size(cls, archives):
        "Return how many bytes the documents of the files have"
        pool = Pool()
        Item = pool.get(_ITEM)
        table = Item.__table__()
        cursor = Transaction().connection.cursor()
        size = 0
        for sub_archives in grouped_slice(archives, SLICE):
            cursor.execute(*table.select(
                    Sum(table.size),
                    where=table.archive.in_([a.id for a in sub_archives])
                    & (table.state != 'disposed')))
            size += cursor.fetchone()[0] or 0
        return size

    @classmethod
    def seal_export(cls, archives):
        """Seal the entries of the files

        It must come first in its transaction."""
        pool = Pool()
        Event = pool.get('order.archive.event')
        Event.seal([cls._get_company(cls._readable(archives))])

    @classmethod
    def prepare_export(cls, archives):
        "Cover the sealed entries of the files by a checkpoint and return it"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        checkpoint, = Checkpoint.make(
            [cls._get_company(cls._readable(archives))])
        return checkpoint

    @classmethod
    def _get_company(cls, archives):
        "Return the company of the files, which must be one"
        companies = {a.company for a in archives}
        if len(companies) != 1:
            raise ArchiveError(gettext(
                    'order_archive.msg_export_company'))
        return companies.pop()

    @classmethod
    def export_to(cls, archives, file, name, size=None):
        """Write the files as a bag to the file and return whether it could be,
        which needs a checkpoint that covers their entries, and that none is
        disposed of meanwhile

        If the number of entries that it must cover is given, what was recorded
        after the checkpoint is left out. The bag holds what the user may
        read."""
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        archives = cls._readable(archives)
        company = cls._get_company(archives)
        checkpoint = Checkpoint.last(company)
        if not checkpoint:
            return False
        elif size is None:
            if not Event.covered(archives, checkpoint.size):
                return False
        elif checkpoint.size < size:
            return False
        bag = Bag(file, name)
        try:
            index = Index(company)
            for sub_archives in grouped_slice(archives, SLICE):
                cls._export_documents(
                    list(sub_archives), bag, index, checkpoint.size)
            index.close(bag)
            with TemporaryFile() as ledger:
                cls._export_ledger(archives, checkpoint, ledger)
                bag.add_file('data/ledger.jsonl', ledger)
            bag.add('data/checkpoint.json', [checkpoint.content.encode()])
            if checkpoint.stamped_at:
                bag.add('data/checkpoint.tsr', [checkpoint.timestamp])
            manifest = bag.close(company)
        except BaseException:
            # The disk may be full
            with suppress(OSError, ValueError):
                bag.zip.close()
            raise
        # Its documents may have been gone, and must not be in it any more
        if _separately(lambda: Event.disposed(archives, checkpoint.size)):
            return False
        Event.record('export', archives, dict.fromkeys(
                archives, {'name': name, 'manifest': manifest}),
            changed=False)
        return True

    @classmethod
    def _readable(cls, archives):
        "Return the files, or raise an error if the user may not read them"
        ids = sorted(map(int, archives))
        with check_access():
            cls.read(ids, ['id'])
        return cls.browse(ids)

    @classmethod
    def _export_documents(cls, archives, bag, index, size):
        pool = Pool()
        Event = pool.get('order.archive.event')
        Item = pool.get(_ITEM)
        after = Event.after(archives, size)
        with check_access(), inactive_records():
            items = Item.search([
                    ('archive', 'in', [a.id for a in archives]),
                    ], order=[('archive', 'ASC'), ('id', 'ASC')])
        with without_check_access():
            items = Item.browse([
                    i.id for i in items if not after.get(str(i))])
            states = cls._get_states(
                archives[0].company,
                [str(i) for i in items if str(i) in after], size)
            for archive, a_items in groupby(items, key=lambda i: i.archive):
                for i, item in enumerate(a_items, 1):
                    path = None
                    if item.file_id and item.state != 'disposed':
                        # Whoever verifies the bag is told what is missing
                        with suppress(FileNotFoundError, ValueError):
                            data = item.read_data()
                            path = 'data/files/%s/%03d-%s-%s' % (
                                safe_name(archive.number), i,
                                safe_name(item.kind.code, 40),
                                safe_name(item.name))
                            bag.add(path, [data])
                    index.add({
                            'file': archive.number,
                            'order': archive.sale_number,
                            'class': archive.class_.rec_name,
                            'class_code': archive.class_.code,
                            'party': archive.party_name,
                            'kind': item.kind.name,
                            'kind_code': item.kind.code,
                            'name': item.name,
                            'medium': item.medium,
                            'document_date': item.document_date,
                            'source': item.source,
                            'source_name': item.source_name,
                            'collected_at': item.collected_at,
                            'state': states.get(str(item), item.state),
                            'size': item.size,
                            'sha256': item.sha256,
                            'resource': str(item),
                            'path': path,
                            })

    @classmethod
    def _get_states(cls, company, resources, size):
        """Return by resource of items the state that its entries tell up to
        that of the number"""
        pool = Pool()
        Event = pool.get('order.archive.event')
        states = {}
        for resource, entries in Event.histories(company, resources).items():
            for number, action, content in entries:
                # What cannot be read is told by whoever verifies
                with suppress(AttributeError, ValueError):
                    values = read_values(content, resource, action)
                    if values and number and number <= size:
                        states[resource] = values.get('state')
        return states

    @classmethod
    def _export_ledger(cls, archives, checkpoint, file):
        "Write the entries of the files with the proof that they are sealed"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        wanted = array('q')
        for sub_archives in grouped_slice(archives, SLICE):
            wanted.extend(cls._export_entries(
                    list(sub_archives), checkpoint.size))
        wanted = iter(sorted(wanted))
        with without_check_access():
            cuts = {
                c.size for c in Checkpoint.search([
                        ('company', '=', checkpoint.company.id),
                        ('size', '<=', checkpoint.size),
                        ])}
        tree = Pruned(file)
        number = next(wanted, None)
        hashes = Event.sealed(checkpoint.company, ['sequence', 'hash'])
        while slice_ := [r for r, _ in zip(hashes, range(SLICE * 100))]:
            numbers = []
            while number is not None and number <= slice_[-1][0]:
                numbers.append(number)
                number = next(wanted, None)
            entries = Event.entries(checkpoint.company, numbers)
            for sequence, hash_ in slice_:
                if sequence > checkpoint.size:
                    break
                tree.add(hash_, entries.get(sequence))
                if sequence in cuts:
                    tree.cut()

    @classmethod
    def _export_entries(cls, archives, size):
        "Return the numbers of the entries of what the user may read"
        pool = Pool()
        Event = pool.get('order.archive.event')
        ModelAccess = pool.get('ir.model.access')
        by_model = {}
        for sequence, resource in Event.of_archives(archives, size):
            name, _, id_ = resource.partition(',')
            by_model.setdefault(name, {}).setdefault(
                int(id_), []).append(sequence)
        numbers = []
        for name, sequences in by_model.items():
            Model = pool.get(name)
            with check_access(), inactive_records():
                if not ModelAccess.check(
                        name, 'read', raise_exception=False):
                    continue
            for sub_ids in grouped_slice(list(sequences), SLICE):
                sub_ids = set(sub_ids)
                domain = [('id', 'in', list(sub_ids))]
                with check_access(), inactive_records():
                    ids = {r.id for r in Model.search(domain, order=[])}
                with without_check_access(), inactive_records():
                    removed = sub_ids.difference(
                        r.id for r in Model.search(domain, order=[]))
                # Whoever verifies the bag is told of what was removed
                ids.update(cls._readable_removed(
                        archives[0].company, name, removed))
                for id_ in ids:
                    numbers.extend(sequences[id_])
        return numbers

    @classmethod
    def _readable_removed(cls, company, name, ids):
        """Return those of the ids of removed records of the model whose
        entries the user may read"""
        pool = Pool()
        Event = pool.get('order.archive.event')
        Kind = pool.get('order.archive.kind')
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        if (not ids or name != _ITEM or not Transaction().user
                or ModelData.get_id(
                    'order_archive', 'group_archive_confidential')
                in User.get_groups()):
            return ids
        with without_check_access(), inactive_records():
            secret = {
                k.code for k in Kind.search([('confidential', '=', True)])}
        readable = set()
        for resource, entries in Event.histories(
                company, [f'{name},{i}' for i in ids]).items():
            with suppress(AttributeError, ValueError):
                values = [
                    read_values(content, resource, action) or {}
                    for _, action, content in entries]
                if not any(
                        v.get('confidential') or v.get('kind') in secret
                        for v in values):
                    readable.add(int(resource.partition(',')[2]))
        return readable

    @classmethod
    def export(cls, archives, name=None, size=None):
        """Write the files as a bag to the folder, from the queue

        What was recorded after the entries of the number is left out."""
        folder = cls.export_folder()
        if not folder:
            raise ArchiveError(gettext('order_archive.msg_export_folder'))
        name = name or cls.export_name(archives)
        path = folder / f'{name}.zip'
        # What a server that was killed has left is in nobody's way
        partial = folder / f'{name}.{uuid4().hex}.part'
        try:
            with open(partial, 'xb') as file:
                try:
                    if exported := cls.export_to(
                            archives, file, name, size):
                        file.flush()
                        os.fsync(file.fileno())
                        os.link(partial, path)
                finally:
                    partial.unlink()
            fsync(folder)
        except OSError as e:
            raise ArchiveError(gettext(
                    'order_archive.msg_export_file',
                    file=path, error=e.strerror)) from e
        if not exported:
            cls.__queue__.export_seal(archives, name)
            return
        cls.notify_user(
            archives[:1], 'tryton-export',
            gettext('order_archive.msg_export_done'), path.name)
        return path

    @classmethod
    def export_seal(cls, archives, name):
        "Seal what the export needs, from the queue"
        cls.seal_export(archives)
        # Others can seal while the ledger is read
        cls.__queue__.export_cover(archives, name)

    @classmethod
    def export_cover(cls, archives, name):
        "Make the checkpoint that the export needs, from the queue"
        checkpoint = cls.prepare_export(archives)
        # Not before others can see what the checkpoint covers
        cls.__queue__.export(archives, name, checkpoint.size)


class Export(Wizard):
    __name__ = 'order.archive.export'

    start = StateView('order.archive.export.start',
        'order_archive.export_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Export", 'export', 'tryton-ok', default=True),
            ])
    export = StateTransition()
    result = StateView('order.archive.export.result',
        'order_archive.export_result_view_form', [
            Button("Close", 'end', 'tryton-close', default=True),
            ])

    @property
    def selected(self):
        if self.model and self.model.__name__ == 'order.archive':
            return list(self.records)
        return []

    def default_start(self, fields):
        pool = Pool()
        Archive = pool.get('order.archive')
        context = Transaction().context
        return {
            'company': context.get('company'),
            'content': 'selected' if self.selected else 'year',
            'number': len(self.selected),
            'to': 'client',
            'folder': bool(Archive.export_folder()),
            'year': dt.date.today().year - 1,
            }

    def get_archives(self):
        pool = Pool()
        Archive = pool.get('order.archive')
        if self.start.content == 'selected':
            archives = self.selected
        else:
            year = self.start.year
            # Without those that the user may not read
            with check_access():
                archives = Archive.search([
                        ('company', '=', self.start.company.id),
                        ('sale_date', '>=', dt.date(year, 1, 1)),
                        ('sale_date', '<=', dt.date(year, 12, 31)),
                        ])
        if not archives:
            raise ArchiveError(gettext('order_archive.msg_export_empty'))
        return archives

    def transition_export(self):
        pool = Pool()
        Archive = pool.get('order.archive')
        archives = self.get_archives()
        name = Archive.export_name(archives)
        self.result.filename = f'{name}.zip'
        if self.start.to == 'folder':
            if not Archive.export_folder():
                raise ArchiveError(gettext('order_archive.msg_export_folder'))
            Archive.__queue__.export(archives, name)
            self.result.data = None
            return 'result'
        if Archive.export_size(archives) > DOWNLOAD:
            raise ArchiveError(gettext('order_archive.msg_export_size',
                    size=DOWNLOAD // 1024 ** 2))
        file = io.BytesIO()
        while not self._export(archives, file, name):
            file.seek(0)
            file.truncate()
        self.result.data = file.getvalue()
        return 'result'

    @classmethod
    def _export(cls, archives, file, name):
        "Return whether the files could be written as a bag to the file"
        pool = Pool()
        Archive = pool.get('order.archive')
        # Others can seal while ledger and documents are read
        _separately(lambda: Archive.seal_export(archives))
        size = _separately(lambda: Archive.prepare_export(archives).size)
        return _separately(
            lambda: Archive.export_to(archives, file, name, size))

    def default_result(self, fields):
        data = self.result.data
        # Do not keep it in the session
        self.result.data = None
        return {
            'data': data,
            'filename': self.result.filename,
            }


class ExportStart(ModelView):
    __name__ = 'order.archive.export.start'

    content = fields.Selection([
            ('selected', "The Selected Files"),
            ('year', "The Files of a Year"),
            ], "Content", required=True, sort=False)
    number = fields.Integer(
        "Selected Files", readonly=True,
        states={
            'invisible': Eval('content') != 'selected',
            })
    company = fields.Many2One(
        'company.company', "Company",
        states={
            'invisible': Eval('content') != 'year',
            'required': Eval('content') == 'year',
            })
    year = fields.Integer(
        "Year of the Orders",
        domain=[
            If(Bool(Eval('year')),
                [('year', '>=', 1900), ('year', '<=', 9999)],
                []),
            ],
        states={
            'invisible': Eval('content') != 'year',
            'required': Eval('content') == 'year',
            })
    folder = fields.Boolean("Folder", readonly=True)
    to = fields.Selection([
            ('client', "This Computer"),
            ('folder', "The Folder of the Server"),
            ], "To", required=True, sort=False,
        states={
            'readonly': ~Eval('folder'),
            },
        help="The folder takes large exports. It is set in the configuration "
        "of the server.")


class ExportResult(ModelView):
    __name__ = 'order.archive.export.result'

    data = fields.Binary(
        "Export", filename='filename', readonly=True,
        states={
            'invisible': ~Eval('data'),
            })
    filename = fields.Char("File Name", readonly=True)
