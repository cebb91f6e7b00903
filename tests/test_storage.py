# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What the disk does not take, or not for sure, is not kept"

import builtins
import errno
import os
from pathlib import Path
from unittest.mock import patch

from trytond.filestore import filestore
from trytond.modules.order_archive import storage
from trytond.pool import Pool

from .archive import ArchiveTestCase, add, confirm, create_plan
from .review import create_sale
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
            verification, = Verification.run()
            self.assertEqual([f.text for f in verification.findings], [])
        commit(check)

    def test_disk_full(self):
        "Test nothing is left of what a full disk took in part"
        opened = []

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
                            raise OSError(
                                errno.ENOSPC, os.strerror(errno.ENOSPC))
                    return Full()
            return file

        with patch('trytond.filestore.open', open_, create=True), \
                self.assertRaisesRegex(OSError, "No space left"):
            self.add('full 1', 'full 2')
        self.assertEqual(
            [os.path.getsize(p) for p in opened], [600, 300])
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
