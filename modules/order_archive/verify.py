#!/usr/bin/env python3
# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""Verify an export of the order archive.

It needs nothing but the standard library of Python 3.8 or later:

    python3 -I -S verify.py [--checkpoint FILE] [BAG]

BAG is the directory or the zip file of the export, by default the directory
of this program. FILE is a checkpoint that was kept outside of the system:
without one the export is compared only with itself."""

import argparse
import csv
import hashlib
import io
import json
import os
import sys
import zipfile

# The version of the bytes that are hashed: add another one, never change it
FORMAT = 1
# What an entry of this version holds, in the order it is hashed. Only the
# content, which comes last, may have several lines.
FIELDS = [
    'format', 'company', 'sequence', 'previous', 'sealed_at', 'archive',
    'resource', 'action', 'content']
# What comes before the first entry of a chain
GENESIS = '0' * 64
_ITEM = 'order.archive.item,'


def entry_hash(values):
    "Return the hash of the entry whose fields have the values"
    return text_hash('\n'.join(['' if v is None else str(v) for v in values]))


def text_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def leaf_hash(hash_):
    return hashlib.sha256(b'\x00' + bytes.fromhex(hash_)).digest()


def node_hash(left, right):
    return hashlib.sha256(b'\x01' + left + right).digest()


class Tree:
    """The Merkle tree of RFC 6962 over the hashes of the entries

    It holds only the roots of the complete trees that the entries so far make
    up, the largest first."""

    def __init__(self):
        self.size = 0
        self.nodes = []

    def add(self, hash_, level=0):
        "Add the hash of a leaf, or the root of a complete tree of 2^level"
        count, rest = divmod(self.size, 1 << level)
        if rest:
            raise ValueError(f"no tree of level {level} after {self.size}")
        self.size += 1 << level
        while count & 1:
            hash_ = node_hash(self.nodes.pop(), hash_)
            count >>= 1
        self.nodes.append(hash_)

    def root(self):
        nodes = self.nodes[:]
        if not nodes:
            return hashlib.sha256(b'').hexdigest()
        root = nodes.pop()
        while nodes:
            root = node_hash(nodes.pop(), root)
        return root.hex()


class Directory:
    "The files of a bag in a directory"

    def __init__(self, path):
        self.path = path

    def names(self):
        for directory, _, names in os.walk(self.path):
            for name in names:
                path = os.path.relpath(
                    os.path.join(directory, name), self.path)
                yield path.replace(os.sep, '/')

    def open(self, name):
        return open(os.path.join(self.path, *name.split('/')), 'rb')


class Zip:
    "The files of a bag in a zip file"

    def __init__(self, path):
        self.zip = zipfile.ZipFile(path)
        names = self.zip.namelist()
        self.prefix = names[0].split('/')[0] + '/' if names else ''

    def names(self):
        for name in self.zip.namelist():
            if not name.endswith('/'):
                yield (
                    name[len(self.prefix):] if name.startswith(self.prefix)
                    else '../' + name)

    def open(self, name):
        return self.zip.open(self.prefix + name)


class Verifier:
    "Collect what is wrong with a bag"

    def __init__(self, bag):
        self.bag = bag
        self.problems = []
        self.hashes = {}
        self.sizes = {}
        self.files = self.entries = self.documents = 0
        # The last entry of each document
        self.items = {}

    def problem(self, text):
        self.problems.append(text)

    def run(self, checkpoint=None):
        self.names = set()
        for name in self.bag.names():
            if name in self.names:
                self.problem(f"{name}: is there twice")
            self.names.add(name)
        self.verify_manifests()
        self.verify_ledger(checkpoint)
        self.verify_index()
        return not self.problems

    def hash(self, name):
        "Return the hash of the file, None if it cannot be read"
        if name not in self.hashes:
            digest, size = hashlib.sha256(), 0
            try:
                with self.bag.open(name) as file:
                    while data := file.read(1 << 20):
                        digest.update(data)
                        size += len(data)
            except (OSError, KeyError, zipfile.BadZipFile) as e:
                self.problem(f"{name}: cannot be read ({e})")
                self.hashes[name] = None
            else:
                self.hashes[name] = digest.hexdigest()
                self.sizes[name] = size
        return self.hashes[name]

    def lines(self, name):
        if name not in self.names:
            self.problem(f"{name}: is missing")
            return
        try:
            with self.bag.open(name) as file:
                for line in io.TextIOWrapper(file, encoding='utf-8'):
                    yield line.rstrip('\n')
        except (OSError, ValueError, zipfile.BadZipFile) as e:
            self.problem(f"{name}: cannot be read ({e})")

    def verify_manifests(self):
        if ''.join(f'{t}\n' for t in self.lines('bagit.txt')) != (
                'BagIt-Version: 1.0\n'
                'Tag-File-Character-Encoding: UTF-8\n'):
            self.problem("bagit.txt: is not that of a bag")
        payload = self.verify_manifest('manifest-sha256.txt')
        tags = self.verify_manifest('tagmanifest-sha256.txt')
        tags |= {'tagmanifest-sha256.txt'}
        for name in sorted(self.names - payload - tags):
            self.problem(f"{name}: is in no manifest")
        for name in sorted(payload):
            if not name.startswith('data/'):
                self.problem(f"{name}: is no payload")
        self.files = len(payload)

    def verify_manifest(self, manifest):
        listed = set()
        for line in self.lines(manifest):
            hash_, _, name = line.partition('  ')
            if name in listed:
                self.problem(f"{name}: is twice in {manifest}")
            listed.add(name)
            if name not in self.names:
                self.problem(f"{name}: is missing")
            elif self.hash(name) not in {hash_, None}:
                self.problem(f"{name}: was altered")
        return listed

    def verify_ledger(self, kept):
        "Compute the root of the ledger from its extract"
        try:
            checkpoint = json.loads('\n'.join(
                    self.lines('data/checkpoint.json')))
            checkpoints = {
                int(checkpoint['size']): [
                    ('data/checkpoint.json', checkpoint['root'])]}
            company = checkpoint['company']
        except (KeyError, TypeError, ValueError) as e:
            self.problem(f"data/checkpoint.json: cannot be read ({e})")
            return
        if kept:
            name, content = kept
            if content['company'] != company:
                self.problem(f"{name}: is the checkpoint of another ledger")
            else:
                checkpoints.setdefault(int(content['size']), []).append(
                    (name, content['root']))
        tree = Tree()
        previous = (0, GENESIS)
        for number, line in enumerate(self.lines('data/ledger.jsonl'), 1):
            try:
                ((key, value),) = json.loads(line).items()
                if key == 'node':
                    level, hash_ = value
                    tree.add(bytes.fromhex(hash_), level)
                elif key == 'entry':
                    previous = self.verify_entry(
                        dict(zip(FIELDS, value)), tree, company, previous)
                else:
                    raise ValueError(key)
            except (AttributeError, KeyError, TypeError, ValueError) as e:
                self.problem(
                    f"data/ledger.jsonl: line {number} cannot be read ({e})")
                return
            self.compare(checkpoints.pop(tree.size, []), tree)
        for size, names in checkpoints.items():
            for name, _ in names:
                self.problem(
                    f"{name}: the ledger of the export, of {tree.size} "
                    f"entries, does not show that of {size} entries")

    def verify_entry(self, entry, tree, company, previous):
        number, name = entry['sequence'], f"entry {entry['sequence']}"
        hash_ = entry_hash([entry[f] for f in FIELDS])
        tree.add(leaf_hash(hash_))
        if number != tree.size:
            self.problem(f"{name}: is in the place of entry {tree.size}")
        if entry['format'] != FORMAT:
            self.problem(f"{name}: has the unknown format {entry['format']}")
        if entry['company'] != company:
            self.problem(f"{name}: is of another company")
        if previous[0] == number - 1 and previous[1] != entry['previous']:
            self.problem(f"{name}: does not follow the entry before")
        content = json.loads(entry['content'])
        if (content['resource'] != entry['resource']
                or content['action'] != entry['action']):
            self.problem(f"{name}: differs from its content")
        if entry['resource'].startswith(_ITEM):
            self.items[entry['resource']] = content['values']
        self.entries += 1
        return number, hash_

    def compare(self, checkpoints, tree):
        for name, root in checkpoints:
            if root != tree.root():
                self.problem(
                    f"{name}: the ledger of {tree.size} entries has another "
                    "root")

    def verify_index(self):
        "Compare the documents with their last entries"
        known = set()
        lines = list(self.lines('data/index.csv'))
        if lines:
            lines[0] = lines[0].lstrip('\ufeff')
        for row in csv.DictReader(f'{t}\n' for t in lines):
            try:
                resource, path = row['resource'], row['path']
            except KeyError:
                self.problem("data/index.csv: cannot be read")
                return
            if not resource.startswith(_ITEM):
                self.problem(f"data/index.csv: {resource} is no document")
                continue
            known.add(resource)
            if path:
                self.documents += 1
                self.names.discard(path)
            values = self.items.get(resource)
            name = path or f"{row['file']}: {row['name']}"
            if values is None:
                self.problem(f"{name}: is not in the ledger")
            elif not path:
                # Nothing is left of what was disposed of
                if values['sha256'] and values['state'] != 'disposed':
                    self.problem(f"{name}: the document is missing")
            elif self.hash(path) not in {values['sha256'], None}:
                self.problem(f"{name}: is not what the ledger tells")
            elif self.sizes.get(path) not in {values['size'], None}:
                self.problem(f"{name}: has not the size of the ledger")
        for resource in sorted(self.items.keys() - known):
            self.problem(f"{resource}: is in the ledger but not in the index")
        for name in sorted(self.names):
            if name.startswith('data/files/'):
                self.problem(f"{name}: is not in the index")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog='verify.py', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--checkpoint', metavar='FILE',
        help="a checkpoint that was kept outside of the system")
    parser.add_argument(
        'bag', nargs='?', metavar='BAG',
        default=os.path.dirname(os.path.abspath(__file__)),
        help="the directory or the zip file of the export")
    options = parser.parse_args(arguments)
    kept = None
    try:
        if options.checkpoint:
            with open(options.checkpoint, encoding='utf-8') as file:
                content = json.load(file)
            if not {'company', 'root', 'size'} <= content.keys():
                raise ValueError(f"{options.checkpoint} is no checkpoint")
            kept = (os.path.basename(options.checkpoint), content)
        bag = (Directory if os.path.isdir(options.bag) else Zip)(options.bag)
    except (AttributeError, OSError, ValueError, zipfile.BadZipFile) as e:
        parser.error(str(e))
    verifier = Verifier(bag)
    sound = verifier.run(kept)
    for problem in verifier.problems:
        print(problem)
    print(
        f"{verifier.files} files, {verifier.documents} documents and "
        f"{verifier.entries} entries of the ledger: "
        + ("sound" if sound else f"{len(verifier.problems)} PROBLEMS"))
    if not kept:
        print("No checkpoint from outside of the system was given.")
    return 0 if sound else 1


if __name__ == '__main__':
    sys.exit(main())
