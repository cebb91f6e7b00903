# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What the disk does not take, or not for sure, is not kept"

import builtins
import datetime as dt
import errno
import os
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from trytond.backend import DatabaseOperationalError
from trytond.filestore import filestore
from trytond.modules.order_archive import storage, verification
from trytond.modules.order_archive.collect import _undoing
from trytond.pool import Pool
from trytond.transaction import Transaction

from .archive import ArchiveTestCase, add, confirm, create_plan
from .review import create_sale
from .rpc import server
from .test_ledger_fault import commit


class StorageTestCase(ArchiveTestCase):
    "Test the files of documents"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def create():
            create_plan()
            return confirm(create_sale()).id
        cls.archive = commit(create)

    def add(self, *names):
        "Add the documents and return where their bytes are"
        def collect():
            archive = Pool().get('order.archive')(self.archive)
            items = [
                add(archive, 'drawing', name.encode() * 100, name=name)[0]
                for name in names]
            return [
                Path(filestore._filename(i.file_id, 'order_archive'))
                for i in items]
        return commit(collect)

    def check_nothing(self, name):
        "Check nothing is left of the document"
        def check():
            pool = Pool()
            Event = pool.get('order.archive.event')
            Item = pool.get('order.archive.item')
            Verification = pool.get('order.archive.verification')
            self.assertEqual(Item.search([('name', 'like', f'{name}%')]), [])
            self.assertEqual(
                Event.search([('content', 'like', f'%{name}%')]), [])
            Event.seal()
            run, = Verification.run()
            self.assertEqual([f.text for f in run.findings], [])
        commit(check)

    def test_disk_full(self):
        "Test nothing is left of what a full disk took in part"
        opened, sizes = [], []

        def open_(path, mode='r', **kwargs):
            file = builtins.open(path, mode, **kwargs)
            if mode == 'wb':
                opened.append(path)
                if len(opened) == 2:
                    write = file.write

                    class Full:
                        def __enter__(self):
                            return self

                        def __exit__(self, *args):
                            file.close()

                        def write(self, data):
                            write(data[:len(data) // 2])
                            file.flush()
                            sizes.extend(map(os.path.getsize, opened))
                            raise OSError(
                                errno.ENOSPC, os.strerror(errno.ENOSPC))
                    return Full()
            return file

        with patch('trytond.filestore.open', open_, create=True), \
                self.assertRaisesRegex(OSError, "No space left"):
            self.add('full 1', 'full 2')
        self.assertEqual(sizes, [600, 300])
        self.assertFalse(any(map(os.path.exists, opened)))
        self.check_nothing('full')

    def test_kept(self):
        "Test the disk is told to keep each file and folder once"
        kept = []
        with patch.object(storage, 'fsync', kept.append):
            paths = self.add('kept 1', 'kept 2')
        folders = {f for p in paths for f in list(p.parents)[:3]}
        self.assertEqual(set(kept[:2]), set(paths))
        self.assertEqual(set(kept[2:]), folders)
        self.assertEqual(len(kept), len({*paths, *folders}))

    def test_failed(self):
        "Test nothing is kept if the disk fails"
        with patch('os.fsync', side_effect=OSError(
                    errno.EIO, os.strerror(errno.EIO))), \
                self.assertRaisesRegex(OSError, "Input/output error"):
            self.add('failed')
        self.check_nothing('failed')

    def collect(self, name):
        "Add the document in this transaction and return where its bytes are"
        archive = Pool().get('order.archive')(self.archive)
        item, = add(archive, 'drawing', name.encode(), name=name)
        return Path(filestore._filename(item.file_id, 'order_archive'))

    def test_rolled_back(self):
        "Test the bytes of what is rolled back are removed"
        paths = []

        def collect():
            paths.append(self.collect('rolled 1'))
            self.assertTrue(paths[0].exists())
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            commit(collect)
        self.assertFalse(paths[0].exists())
        self.check_nothing('rolled')

    def test_undone(self):
        "Test the bytes of what is undone are removed, and no others"
        def collect():
            kept = self.collect('done 1')
            with suppress(ZeroDivisionError), _undoing():
                undone = self.collect('undone 2')
                raise ZeroDivisionError
            return kept, undone

        kept, undone = commit(collect)
        self.assertTrue(kept.exists())
        self.assertFalse(undone.exists())
        self.check_nothing('undone')

    def test_lost_answer(self):
        "Test the bytes stay if nobody knows whether it was committed"
        paths = []

        def collect():
            paths.append(self.collect('lost'))
            Connection = Transaction().connection.__class__
            commit_ = Connection.commit

            def lose(connection):
                commit_(connection)
                patcher.stop()
                raise DatabaseOperationalError("lost")
            patcher = patch.object(Connection, 'commit', lose)
            patcher.start()

        with self.assertRaises(DatabaseOperationalError):
            commit(collect)
        self.assertEqual(paths[0].read_bytes(), b'lost')
        with server(tasks=False):
            Item = Pool().get('order.archive.item')
            item, = Item.search([('name', '=', 'lost')])
            self.assertEqual(bytes(item.data), b'lost')

    def test_stray(self):
        "Test the verification tells of files that belong to no document"
        path, = self.add('named')
        stray = path.with_name('stray')
        stray.write_bytes(b'stray')
        self.check_nothing('stray')

        def stored(*args):
            # Other tests have theirs at the same place
            return (
                n for n in storage.stored(*args) if n in {path.name, 'stray'})

        def verify():
            with patch.multiple(
                    verification, LATE=dt.timedelta(days=-1), stored=stored):
                run, = Pool().get('order.archive.verification').run()
            self.assertEqual(run.state, 'sound')
            return [(f.area, f.text) for f in run.findings]

        (area, text), = commit(verify)
        self.assertEqual(area, 'storage')
        self.assertIn("1 file(s) older than a day", text)
        self.assertIn("such as stray.", text)
        stray.unlink()
        self.assertEqual(commit(verify), [])
