# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import csv
import datetime as dt
import errno
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import bagit
from sql import Literal

from trytond import backend
from trytond.filestore import filestore
from trytond.model import fields
from trytond.model.exceptions import AccessError
from trytond.modules.order_archive import export as export_
from trytond.modules.order_archive.exceptions import ArchiveError
from trytond.modules.order_archive.export import Pruned, safe_name
from trytond.modules.order_archive.verify import (
    Tree, Verifier, Zip, entry_hash, leaf_hash, main)
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME
from trytond.transaction import Transaction

from .archive import (
    ArchiveTestCase, add, as_user, confirm, create_plan, finish, settle)
from .review import create_sale, get_company, with_company
from .rpc import Client, Fault, server
from .test_ledger import execute, findings, set_path, verify
from .test_ledger_fault import commit


def path_of(item):
    return Path(filestore._filename(item.file_id, 'order_archive'))


def create_files(number=2):
    "Create files of orders with two documents each"
    Pool().get('order.archive.chain').lock()
    create_plan()
    archives = []
    for i in range(number):
        with as_user("Sven"):
            sale = create_sale()
        archive = confirm(sale)
        add(archive, 'contract', f'contract {i}'.encode(), name="合同 1/2.txt")
        add(archive, 'drawing', os.urandom(2000), name="=drawing.bin")
        archives.append(archive)
    return archives


def get_tasks(method):
    "Return the tasks of the queue that call the method, the last first"
    Queue = Pool().get('ir.queue')
    return [
        t for t in Queue.search([], order=[('id', 'DESC')])
        if t.data['method'] == method]


class RecordVerificationTestCase(ArchiveTestCase):
    "Test what is altered in the database and in the filestore is found"

    def setup(self):
        self.archive, = create_files(1)
        Pool().get('order.archive.event').seal()
        self.contract, self.drawing = self.archive.items
        self.assertEqual(findings(verify()), [])

    @with_company
    def test_sound(self):
        self.setup()
        verification = verify()
        self.assertEqual(
            (verification.documents, verification.state), (2, 'sound'))
        self.assertGreaterEqual(verification.records, 3)

    @with_company
    def test_row(self):
        "Test each field of evidence that is altered is named"
        self.setup()
        for record, name, value in [
                (self.archive, 'number', "X"),
                (self.archive, 'state', 'disposed'),
                (self.archive, 'party_name', "Nobody"),
                (self.contract, 'name', "other.txt"),
                (self.contract, 'size', 3),
                (self.contract, 'sha256', 'a' * 64),
                (self.contract, 'state', 'withdrawn'),
                ]:
            with self.subTest(record=record, name=name):
                table = record.__class__.__table__()
                was = getattr(record, name)
                for new in [value, was]:
                    execute(table.update(
                            [getattr(table, name)], [new],
                            where=table.id == record.id))
                    Transaction().counter += 1
                    for cache in Transaction().cache.values():
                        cache.clear()
                    if new is value:
                        found = [
                            f for f in verify().findings
                            if f.area == 'record'
                            and str(record) in f.subject]
                        self.assertEqual(len(found), 1)
                        self.assertIn(name, found[0].text)

    @with_company
    def test_removed(self):
        "Test a row that is removed is named"
        self.setup()
        table = self.drawing.__class__.__table__()
        execute(table.delete(where=table.id == self.drawing.id))
        self.assertEqual(
            [(f.area, f.subject) for f in verify().findings],
            [('record', f'order.archive.item,{self.drawing.id}')])

    @with_company
    def test_inserted(self):
        "Test a row that nobody recorded is named"
        Item = Pool().get('order.archive.item')
        self.setup()
        table = Item.__table__()
        columns = [
            n for n, f in Item._fields.items()
            if not isinstance(f, fields.Function) and f.sql_type()
            and n not in {'id', 'source'}]
        columns = [getattr(table, n) for n in columns]
        execute(table.insert(
                [*columns, table.source],
                table.select(
                    *columns, Literal('a,1'),
                    where=table.id == self.contract.id)))
        found = verify().findings
        self.assertEqual([f.area for f in found], ['record'])
        self.assertIn("no entry", found[0].text)

    @with_company
    def test_bytes(self):
        "Test bytes that are missing, cut or altered are named and marked"
        Item = Pool().get('order.archive.item')
        self.setup()
        path = path_of(self.drawing)
        data = path.read_bytes()
        for broken, damage in [
                ('missing', path.unlink),
                ('size', lambda: path.write_bytes(data[:-1])),
                ('size', lambda: path.write_bytes(data + b'.')),
                ('altered', lambda: path.write_bytes(b'.' + data[1:])),
                ('altered', lambda: path.write_bytes(data[:-1] + b'.')),
                ]:
            with self.subTest(broken=broken):
                damage()
                verification = verify()
                finding, = verification.findings
                self.assertEqual(
                    (finding.area, finding.item, finding.archive),
                    ('document', self.drawing, self.archive))
                self.assertEqual(Item(self.drawing.id).broken, broken)
                self.assertIsNone(Item(self.contract.id).broken)
                path.write_bytes(data)
        self.assertEqual(verify().state, 'sound')
        self.assertIsNone(Item(self.drawing.id).broken)

    @with_company
    def test_read_data(self):
        self.setup()
        self.assertEqual(self.contract.read_data(), b'contract 0')
        path_of(self.contract).unlink()
        with self.assertRaises(FileNotFoundError):
            self.contract.read_data()

    @with_company
    def test_certificate(self):
        "Test the Integrity Certificate"
        Report = Pool().get('order.archive.integrity', type='report')
        self.setup()
        path_of(self.drawing).unlink()
        verification = verify()
        with as_user("Audi"):
            extension, content, _, name = Report.execute(
                [verification.id], {})
        self.assertEqual(extension, 'pdf')
        self.assertEqual(content[:4], b'%PDF')
        self.assertIn("Integrity Certificate", name)


class ExportTestCase(ArchiveTestCase):
    "Test the exports"

    def export(self, *archives, name="bag", user="Connie"):
        Archive = Pool().get('order.archive')
        archives = Archive.browse(archives)
        file = io.BytesIO()
        with as_user(user):
            Archive.seal_export(archives)
            Archive.prepare_export(archives)
            self.assertTrue(Archive.export_to(archives, file, name))
        return file

    def go_on(self, *methods):
        "Do what the queue does next, and return what the last returns"
        for method in methods:
            task, *_ = get_tasks(method)
            Model = Pool().get(task.data['model'])
            result = getattr(Model, method)(
                Model.browse(task.data['instances']), *task.data['args'])
        return result

    def unpack(self, file):
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        with zipfile.ZipFile(file) as zip_:
            zip_.extractall(folder.name)
        return Path(folder.name) / 'bag'

    def verify(self, bag, *arguments):
        "Verify as someone else does"
        run = subprocess.run(
            [sys.executable, '-I', '-S', str(Path(bag) / 'verify.py'),
                *arguments],
            capture_output=True, text=True, encoding='utf-8', cwd='/',
            env={'PYTHONUTF8': '1'})
        return run.returncode, run.stdout + run.stderr

    def test_tree(self):
        "Test the root is computed from any entries, and at each cut"
        hashes = [bytes([i]).hex() * 32 for i in range(40)]
        roots = []
        tree = Tree()
        for hash_ in hashes:
            tree.add(leaf_hash(hash_))
            roots.append(tree.root())
        for size in range(1, 40):
            for wanted in [{0}, {size - 1}, {size // 2, size // 3}, set()]:
                file = io.BytesIO()
                pruned = Pruned(file)
                cuts = {size, max(1, size // 2)}
                for i, hash_ in enumerate(hashes[:size]):
                    pruned.add(hash_, [i, hash_] if i in wanted else None)
                    if i + 1 in cuts:
                        pruned.cut()
                tree, found, seen = Tree(), set(), {}
                for line in file.getvalue().splitlines():
                    (key, (a, b)), = json.loads(line).items()
                    if key == 'entry':
                        self.assertEqual(a, tree.size)
                        tree.add(leaf_hash(b))
                        found.add(a)
                    else:
                        tree.add(bytes.fromhex(b), a)
                    seen[tree.size] = tree.root()
                self.assertEqual(found, wanted)
                for cut in cuts:
                    self.assertEqual(seen[cut], roots[cut - 1])

    def test_name(self):
        for name, safe in [
                ("a/b\\c:d.pdf", "a_b_c_d.pdf"),
                ("..", "_"),
                ("合同.pdf", "合同.pdf"),
                ("a\nb%0A", "a_b_0A"),
                ("", "_"),
                ("x" * 300 + ".pdf", "x" * 96 + ".pdf"),
                ]:
            self.assertEqual(safe_name(name), safe)
        self.assertLessEqual(len(safe_name("合" * 300).encode()), 100)

    @with_company
    def test_export(self):
        "Test others can verify an export"
        archives = create_files()
        file = self.export(*archives)
        bag = self.unpack(file)
        bagit.Bag(str(bag)).validate()
        code, output = self.verify(bag)
        self.assertEqual(code, 0, output)
        self.assertIn("4 documents", output)
        if sha256sum := shutil.which('sha256sum'):
            subprocess.run(
                [sha256sum, '-c', '--quiet', 'manifest-sha256.txt'],
                cwd=bag, check=True)
        # The zip file as it is
        self.assertTrue(Verifier(Zip(file)).run())
        with open(bag / 'data/index.csv', encoding='utf-8-sig') as index:
            rows = list(csv.DictReader(index))
        self.assertEqual(len(rows), 4)
        contract = rows[0]
        self.assertEqual(
            (contract['file'], contract['name']),
            (archives[0].number, "合同 1/2.txt"))
        self.assertEqual(
            (bag / contract['path']).read_bytes(), b'contract 0')
        self.assertEqual(rows[1]['name'], "'=drawing.bin")
        page = (bag / 'data/index.html').read_text(encoding='utf-8')
        self.assertIn("合同 1/2.txt", page)

    @with_company
    def test_stamped(self):
        "Test the time stamp of the checkpoint is exported with it"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Event = pool.get('order.archive.event')
        one, _ = create_files()
        Event.seal()
        checkpoint, = Checkpoint.make()
        table = Checkpoint.__table__()
        execute(table.update(
                [table.timestamp, table.stamped_at],
                [b'stamp', '2026-11-30T12:00:00'],
                where=table.id == checkpoint.id))
        Transaction().counter += 1
        for cache in Transaction().cache.values():
            cache.clear()
        bag = self.unpack(self.export(one))
        self.assertEqual(
            (bag / 'data/checkpoint.tsr').read_bytes(), b'stamp')
        code, output = self.verify(bag)
        self.assertEqual(code, 0, output)

    @with_company
    def test_checkpoint(self):
        "Test checkpoints of before that are kept outside"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Checkpoint = pool.get('order.archive.checkpoint')
        one, _ = create_files()
        Event.seal()
        before, = Checkpoint.make()
        add(one, 'inspection', b'report')
        bag = self.unpack(self.export(one))
        after = Checkpoint.last(get_company())
        self.assertGreater(after.size, before.size)
        with TemporaryDirectory() as folder:
            path = Path(folder) / 'checkpoint.json'
            for checkpoint in [before, after]:
                path.write_text(checkpoint.content, encoding='utf-8')
                code, output = self.verify(
                    bag, '--checkpoint', str(path))
                self.assertEqual(code, 0, output)
                content = json.loads(checkpoint.content)
                for name, value in [
                        ('root', 'a' * 64), ('size', 10 ** 6),
                        ('company', 0)]:
                    path.write_text(json.dumps({**content, name: value}))
                    code, output = self.verify(
                        bag, '--checkpoint', str(path))
                    self.assertEqual(code, 1, output)
                    self.assertIn('checkpoint.json', output)

    @with_company
    def test_altered(self):
        "Test whatever is altered in a bag is named"
        archives = create_files()
        bag = self.unpack(self.export(*archives))
        files = sorted(p for p in bag.rglob('*') if p.is_file())
        self.assertGreater(len(files), 10)
        for path in files:
            name = str(path.relative_to(bag))
            data = path.read_bytes()
            for changed in [
                    bytes([data[0] ^ 1]) + data[1:],
                    data[:-1] + bytes([data[-1] ^ 1]),
                    data[:-1], data + b'\n', None]:
                if name == 'verify.py':
                    # Nobody verifies with what was altered
                    continue
                if name == 'tagmanifest-sha256.txt' and changed == data[:-1]:
                    # It tells the same
                    continue
                with self.subTest(name=name, changed=changed and len(changed)):
                    if changed is None:
                        path.unlink()
                    else:
                        path.write_bytes(changed)
                    code, output = self.verify(bag)
                    path.write_bytes(data)
                    self.assertEqual(code, 1, output)
                    if name != 'tagmanifest-sha256.txt':
                        self.assertIn(name, output)
        self.assertEqual(self.verify(bag)[0], 0)
        (bag / 'data' / 'more').write_bytes(b'more')
        self.assertIn("data/more: is in no manifest", self.verify(bag)[1])

    @with_company
    def test_zip(self):
        "Test whatever is altered in a zip file has an end and a name"
        data = self.export(*create_files()).getvalue()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / 'bag.zip'

        def run(data, *arguments):
            path.write_bytes(data)
            output = io.StringIO()
            with redirect_stdout(output), redirect_stderr(output):
                try:
                    code = main([*arguments, str(path)])
                except SystemExit as e:
                    code = e.code
            return code, output.getvalue()

        self.assertEqual(run(data)[0], 0)
        with zipfile.ZipFile(io.BytesIO(data)) as zip_:
            infos = zip_.infolist()
        central = data.index(b'PK\1\2')
        for info in infos:
            name = info.filename.partition('/')[2]
            start = (info.header_offset + 30
                + sum(struct.unpack(
                        '<HH', data[info.header_offset + 26:][:4])))
            for place in {0, info.file_size // 2, info.file_size - 1}:
                altered = bytearray(data)
                altered[start + place] ^= 1
                code, output = run(altered)
                with self.subTest(name=name, place=place):
                    self.assertEqual(code, 1, output)
                    self.assertIn(f"{name}: cannot be read", output)
            header = central
            while data[header:header + 4] == b'PK\1\2':
                sizes = struct.unpack('<HHH', data[header + 28:header + 34])
                if data[header + 46:][:sizes[0]].decode() == info.filename:
                    break
                header += 46 + sum(sizes)
            for place, bit, error in [
                    (8, 1, "encrypted"), (10, 99, "compression")]:
                altered = bytearray(data)
                altered[header + place] |= bit
                altered[info.header_offset + place - 2] |= bit
                code, output = run(altered)
                with self.subTest(name=name, error=error):
                    self.assertEqual(code, 1, output)
                    self.assertIn(f"{name}: cannot be read", output)
                    self.assertIn(error, output)
        # Whatever byte of the directory is altered
        for place in range(central, len(data)):
            altered = bytearray(data)
            altered[place] ^= 0xff
            self.assertIn(run(altered)[0], {0, 1, 2})
        for altered in [b'', data[:100], data[:central], data[:-1]]:
            self.assertEqual(run(altered)[0], 2)
        kept = Path(folder.name) / 'kept.json'
        for content in ['[]', '1', '{', '{"size": 1}', '\0']:
            kept.write_text(content)
            code, output = run(data, '--checkpoint', str(kept))
            self.assertEqual(code, 2)
            self.assertIn(str(kept), output)
        for size in ['many', None, [1]]:
            kept.write_text(json.dumps({
                        'company': get_company().id, 'root': 'a',
                        'size': size}))
            code, output = run(data, '--checkpoint', str(kept))
            self.assertEqual(code, 1)
            self.assertIn("kept.json: cannot be read", output)

    @with_company
    def test_index(self):
        "Test an index that is no table is named"
        bag = self.unpack(self.export(*create_files(1)))
        path = bag / 'data/index.csv'
        text = path.read_text(encoding='utf-8')
        for altered in [
                text + 'x' * 200_000 + '\n', text + 'x\n', 'x\n' + text]:
            path.write_text(altered, encoding='utf-8')
            remake(bag)
            code, output = self.verify(bag)
            self.assertEqual(code, 1, output)
            self.assertIn("data/index.csv: cannot be read", output)

    @with_company
    def test_rows(self):
        "Test each value of the index that is altered is named"
        bag = self.unpack(self.export(*create_files(1)))
        path = bag / 'data/index.csv'
        with open(path, encoding='utf-8-sig', newline='') as file:
            rows = list(csv.DictReader(file))
        text = path.read_bytes()
        tested = set()
        for column in rows[0]:
            if column in {'class', 'kind', 'resource', 'path'}:
                # Names are only to read
                continue
            with self.subTest(column=column):
                altered = [{**rows[0], column: 'x'}, *rows[1:]]
                with open(
                        path, 'w', encoding='utf-8', newline='') as file:
                    writer = csv.DictWriter(
                        file, rows[0], lineterminator='\n')
                    writer.writeheader()
                    writer.writerows(altered)
                remake(bag)
                code, output = self.verify(bag)
                self.assertEqual(code, 1, output)
                self.assertIn(
                    f"{rows[0]['path']}: the index tells another {column} "
                    "than the ledger", output)
            tested.add(column)
        self.assertEqual(len(tested), 14)
        path.write_bytes(text)
        page = bag / 'data/index.html'
        page.write_text("Nothing")
        remake(bag)
        code, output = self.verify(bag)
        self.assertEqual(code, 0, output)
        self.assertIn("data/index.html and the names", output)
        self.assertIn("are not verified", output)

    @with_company
    def test_state(self):
        "Test the index tells the states that the ledger of the export tells"
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        archive, = create_files(1)
        file = io.BytesIO()
        with as_user("Connie"):
            Archive.seal_export([archive])
            size = Archive.prepare_export([archive]).size
            Item.do_withdraw([archive.items[0]], "Wrong")
            self.assertTrue(
                Archive.export_to([archive], file, 'bag', size))
        bag = self.unpack(file)
        code, output = self.verify(bag)
        self.assertEqual(code, 0, output)
        with open(bag / 'data/index.csv', encoding='utf-8-sig') as index:
            self.assertEqual(
                [r['state'] for r in csv.DictReader(index)], ['kept'] * 2)

    @with_company
    def test_left_out(self):
        "Test it is told how many documents of an archived file are there"
        Archive = Pool().get('order.archive')
        archive, other = create_files()
        add(archive, 'cost', b'expensive', name="secret.txt",
            confidential=True)
        finish(archive.sale)
        settle()
        with as_user("Arno"):
            Archive.close([archive])
        archive = Archive(archive.id)
        number = len(archive.items)
        self.assertGreaterEqual(number, 3)
        for user, here in [("Connie", number), ("Arno", number - 1)]:
            bag = self.unpack(self.export(archive, other, user=user))
            code, output = self.verify(bag)
            self.assertEqual(code, 0, output)
            whole = here == number
            self.assertIn(f"{int(whole)} files with all documents", output)
            self.assertEqual(
                f"{archive.number}: {here} of the {number} documents"
                in output, not whole)
            self.assertIn("1 files of which the ledger does not tell", output)
        # One that is withheld as if it had not been readable
        index = bag / 'data/index.csv'
        withheld, = [
            line for line in index.read_text(encoding='utf-8').splitlines()
            if f'{archive.number}/001' in line]
        *_, resource, path = next(csv.reader([withheld]))
        index.write_text(''.join(
                f'{line}\n' for line in index.read_text(
                    encoding='utf-8').splitlines() if line != withheld),
            encoding='utf-8')
        (bag / path).unlink()
        ledger = bag / 'data/ledger.jsonl'
        lines = []
        for line in ledger.read_text(encoding='utf-8').splitlines():
            (key, value), = json.loads(line).items()
            if key == 'entry' and resource in value:
                line = json.dumps({
                        'node': [0, leaf_hash(entry_hash(value)).hex()]})
            lines.append(line)
        ledger.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        remake(bag)
        code, output = self.verify(bag)
        self.assertEqual(code, 0, output)
        self.assertIn(
            f"{archive.number}: {number - 2} of the {number} documents",
            output)

    @with_company
    def test_swapped(self):
        "Test a file that is swapped with its manifests made to fit is named"
        archives = create_files()
        bag = self.unpack(self.export(*archives))
        one, two = sorted(bag.glob('data/files/*/001*'))
        data = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(data)
        remake(bag)
        bagit.Bag(str(bag)).validate()
        code, output = self.verify(bag)
        self.assertEqual(code, 1)
        for path in [one, two]:
            self.assertIn(
                f"{path.relative_to(bag)}: is not what the ledger tells",
                output)

    @with_company
    def test_forged(self):
        "Test each value of an entry that is forged with its manifests"
        archive, = create_files(1)
        bag = self.unpack(self.export(archive))
        path = bag / 'data/ledger.jsonl'
        lines = path.read_text(encoding='utf-8').splitlines()
        number = next(
            i for i, line in enumerate(lines)
            if 'order.archive.item' in line)
        entry = json.loads(lines[number])['entry']
        for i, value in enumerate(entry):
            forged = entry[:]
            if isinstance(value, int):
                forged[i] = value + 1
            else:
                forged[i] = value + ' '
            with self.subTest(i=i):
                path.write_text('\n'.join([
                            *lines[:number],
                            json.dumps({'entry': forged}),
                            *lines[number + 1:]]) + '\n', encoding='utf-8')
                remake(bag)
                code, output = self.verify(bag)
                self.assertEqual(code, 1)
                self.assertIn("another root", output)
        # An entry that is left out
        path.write_text('\n'.join([
                    *lines[:number], *lines[number + 1:]]) + '\n',
            encoding='utf-8')
        remake(bag)
        self.assertEqual(self.verify(bag)[0], 1)

    @with_company
    def test_missing(self):
        "Test a document that is missing or altered here is told there"
        archive, = create_files(1)
        contract, drawing = archive.items
        path_of(contract).unlink()
        path_of(drawing).write_bytes(b'other')
        bag = self.unpack(self.export(archive))
        bagit.Bag(str(bag)).validate()
        code, output = self.verify(bag)
        self.assertEqual(code, 1)
        self.assertIn("合同 1/2.txt: the document is missing", output)
        self.assertIn("drawing.bin: is not what the ledger tells", output)

    @with_company
    def test_confidential(self):
        "Test an export has only what the user may read"
        archive, = create_files(1)
        add(archive, 'cost', b'expensive', name="secret.txt",
            confidential=True)
        for user, number in [("Connie", 3), ("Arno", 2)]:
            bag = self.unpack(self.export(archive, user=user))
            code, output = self.verify(bag)
            self.assertEqual(code, 0, output)
            self.assertIn(f"{number} documents", output)
            told = b''.join(
                p.read_bytes() for p in bag.rglob('*') if p.is_file())
            self.assertEqual(b'secret.txt' in told, user == "Connie")
        Class = archive.class_.__class__
        Class.write([archive.class_], {'confidential': True})
        with self.assertRaises(AccessError):
            self.export(archive, user="Arno")

    @with_company
    def test_folder(self):
        "Test an export to the folder of the server"
        Archive = Pool().get('order.archive')
        archives = create_files()
        with self.assertRaises(ArchiveError):
            Archive.export(archives)
        with TemporaryDirectory() as folder, as_user("Arno"), set_path(
                export_path=folder):
            # It must be sealed first, and the checkpoint committed
            self.assertIsNone(Archive.export(archives, "bag"))
            self.assertEqual(os.listdir(folder), [])
            path = self.go_on('export_seal', 'export_cover', 'export')
            self.assertEqual(os.listdir(folder), ["bag.zip"])
            self.assertTrue(Verifier(Zip(path)).run())
            with self.assertRaises(ArchiveError):
                # It is never replaced
                Archive.export(archives, "bag")
            self.assertEqual(os.listdir(folder), ["bag.zip"])

    @with_company
    def test_full_disk(self):
        "Test nothing is left of an export that the disk does not take"
        Archive = Pool().get('order.archive')
        archives = create_files()
        with TemporaryDirectory() as folder, as_user("Arno"), set_path(
                export_path=folder):
            Archive.seal_export(archives)
            Archive.prepare_export(archives)
            write = zipfile._ZipWriteFile.write

            def full(self, data):
                if b'contract 1' in bytes(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(self, data)

            with patch.object(zipfile._ZipWriteFile, 'write', full):
                with self.assertRaisesRegex(ArchiveError, "No space left"):
                    Archive.export(archives, "bag")
            self.assertEqual(os.listdir(folder), [])
            self.assertTrue(Archive.export(archives, "bag"))

    @with_company
    def test_removed(self):
        "Test a document whose row was removed is told"
        archive, = create_files(1)
        secret, = add(archive, 'cost', b'expensive', name="secret.txt",
            confidential=True)
        drawing, = [i for i in archive.items if 'drawing' in i.name]
        Pool().get('order.archive.event').seal()
        table = drawing.__table__()
        for removed, user, told in [
                (drawing, "Arno", True), (secret, "Arno", False),
                (secret, "Connie", True)]:
            execute(table.delete(where=table.id == removed.id))
            bag = self.unpack(self.export(archive, user=user))
            code, output = self.verify(bag)
            with self.subTest(removed=removed, user=user):
                self.assertEqual(code, 1, output)
                self.assertEqual(
                    f"{removed}: is in the ledger but not in the index"
                    in output, told)
                self.assertEqual(
                    'secret.txt' in (bag / 'data/ledger.jsonl').read_text(
                        encoding='utf-8'), user == "Connie")

    @with_company
    def test_meanwhile(self):
        "Test an export ends though more is recorded meanwhile"
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        archives = create_files()
        with TemporaryDirectory() as folder, as_user("Arno"), set_path(
                export_path=folder):
            Archive.export(archives, "bag")
            self.go_on('export_seal', 'export_cover')
            task, = get_tasks('export')
            for name in ['sealed', 'unsealed']:
                add(archives[0], 'inspection', name.encode(), name=name)
                if name == 'sealed':
                    Event.seal()
            path = Archive.export(archives, *task.data['args'])
            self.assertEqual(len(get_tasks('export')), 1)
            verifier = Verifier(Zip(path))
            self.assertTrue(verifier.run(), verifier.problems)
            self.assertEqual(verifier.documents, 4)

    @with_company
    def test_event(self):
        "Test an export is recorded"
        Event = Pool().get('order.archive.event')
        archive, = create_files(1)
        self.export(archive)
        event, = Event.search([('action', '=', 'export')])
        self.assertEqual(event.archive, archive)
        self.assertEqual(
            json.loads(event.content)['details']['name'], "bag")


class WizardTestCase(ArchiveTestCase):
    "Test what a client exports"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = commit(lambda: [a.id for a in create_files()])

    def export(self, *files, **values):
        "Export as the client does and return the defaults and the data"
        client = Client('arno')
        name, model = 'order.archive.export', 'order.archive'
        if not files:
            model = 'ir.ui.menu'
            files = client(f'{model}.search', [('name', '=', "Export")])
        context = {'active_model': model, 'active_ids': files}
        session, start, _ = client(f'{name}.create', type='wizard', **context)
        defaults = client(
            f'{name}.execute', session, {}, start, type='wizard', **context)[
                'view']['defaults']
        result = client(f'{name}.execute', session, {'start': {
                    'content': defaults['content'],
                    'company': defaults['company'],
                    'to': 'client',
                    'year': defaults['year'],
                    **values}}, 'export', type='wizard', **context)
        return defaults, result['view']['defaults']['data']

    def test_client(self):
        "Test each export of a client can be verified and is recorded"
        defaults, data = self.export(*self.files)
        self.assertEqual(
            (defaults['content'], defaults['number']), ('selected', 2))
        verifier = Verifier(Zip(io.BytesIO(data)))
        self.assertTrue(verifier.run(), verifier.problems)
        year = dt.date.today().year
        _, data = self.export(year=year)
        verifier = Verifier(Zip(io.BytesIO(data)))
        self.assertTrue(verifier.run(), verifier.problems)
        self.assertEqual(verifier.documents, 4)
        for files, values in [
                ([], {'year': 1999}),
                ([], {'year': 1999, 'to': 'folder'}),
                ([], {'year': year, 'to': 'folder'})]:
            with self.assertRaises(Fault):
                self.export(*files, **values)
        with patch.object(export_, 'DOWNLOAD', 10), \
                self.assertRaises(Fault):
            self.export(self.files[0])
        with server():
            Event = Pool().get('order.archive.event')
            self.assertEqual(
                Event.search([('action', '=', 'export')], count=True), 4)

    def test_disposed(self):
        "Test an export during which a file is disposed of is made again"
        pool = Pool(DB_NAME)
        Event = pool.get('order.archive.event')
        Archive = pool.get('order.archive')
        write, written = Archive._export_documents, []

        def count():
            with server():
                return Event.search([
                        ('action', '=', 'export'),
                        ('archive', '=', self.files[0]),
                        ], count=True)

        before = count()

        def write_documents(*args):
            written.append(args)
            return write(*args)

        with patch.object(Event, 'disposed', side_effect=[True, False]), \
                patch.object(Archive, '_export_documents', write_documents):
            _, data = self.export(*self.files)
        self.assertEqual(len(written), 2)
        self.assertTrue(Verifier(Zip(io.BytesIO(data))).run())
        self.assertEqual(count(), before + 1)

    def test_lock(self):
        "Test others can seal while ledger and documents are read"
        if backend.name == 'sqlite':
            self.skipTest("SQLite has one writer")
        pool = Pool(DB_NAME)
        Archive = pool.get('order.archive')
        Checkpoint = pool.get('order.archive.checkpoint')
        sealed = []

        def seal():
            sealed.append(commit(
                    lambda: Pool().get('order.archive.event').seal()))

        def sealing(function):
            def wrapper(*args):
                thread = threading.Thread(target=seal)
                thread.start()
                thread.join(60)
                return function(*args)
            return wrapper

        with patch.object(
                Archive, '_export_documents',
                sealing(Archive._export_documents)), \
                patch.object(
                    Checkpoint, '_get_values',
                    sealing(Checkpoint._get_values)):
            _, data = self.export(*self.files)
        self.assertEqual(sealed, [None] * 2)
        self.assertTrue(Verifier(Zip(io.BytesIO(data))).run())


def remake(bag):
    "Make the manifests fit to what is in the bag"
    payload = sorted(p for p in (bag / 'data').rglob('*') if p.is_file())
    tags = [
        'bagit.txt', 'bag-info.txt', 'verify.py', 'manifest-sha256.txt']
    info = bag / 'bag-info.txt'
    size = sum(p.stat().st_size for p in payload)
    info.write_text(''.join(
            f'Payload-Oxum: {size}.{len(payload)}\n'
            if line.startswith('Payload') else line
            for line in info.read_text(encoding='utf-8').splitlines(True)),
        encoding='utf-8')
    for name, paths in [
            ('manifest-sha256.txt', payload),
            ('tagmanifest-sha256.txt', [bag / t for t in tags])]:
        (bag / name).write_text(''.join(
                f'{hashlib.sha256(p.read_bytes()).hexdigest()}  '
                f'{p.relative_to(bag)}\n' for p in paths), encoding='utf-8')
