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
_ARCHIVE = 'order.archive,'
_ITEM = 'order.archive.item,'
# The columns of the index with the values of the document and of its file
# that they tell
_COLUMNS = {
    'file': 'archive', 'kind_code': 'kind', 'name': 'name', 'medium': 'medium',
    'document_date': 'document_date', 'source': 'source',
    'source_name': 'source_name', 'collected_at': 'collected_at',
    'state': 'state', 'size': 'size', 'sha256': 'sha256'}
_FILE_COLUMNS = {
    'order': 'sale_number', 'class_code': 'class', 'party': 'party_name'}
_ENDED = ('expired', 'terminated')
# By model what later entries of a record cannot tell otherwise. final: values
# that stay, always, or since another one is set or a state is reached; later:
# dates that only become later; lists: what stays of each of their elements;
# states: which can follow.
RULES = {
    'order.archive': {
        'final': {
            None: [
                'number', 'company', 'sale', 'class', 'supplement_of',
                'opened_at', 'sale_number', 'sale_date', 'reference',
                'description', 'party_name', 'party_code'],
            'archived_at': ['done_on', 'archived_at', 'archived_by'],
            'retention': ['retention', 'retention_action'],
            },
        'later': ['retain_until'],
        'states': {
            'collecting': ['complete', 'archived'],
            'complete': ['collecting', 'archived'],
            'archived': ['due', 'disposed'],
            'due': ['archived', 'disposed'],
            },
        },
    'order.archive.item': {
        'final': {
            None: [
                'archive', 'company', 'kind', 'medium', 'name', 'size',
                'sha256', 'document_date', 'source', 'source_name', 'issue',
                'remark', 'confidential', 'collected_at', 'collected_by',
                'reason'],
            'superseded_by': ['superseded_by'],
            'withdrawn_at': ['withdrawn_at', 'withdrawn_by', 'withdrawal'],
            },
        'states': {
            'kept': ['superseded', 'withdrawn', 'disposed'],
            'superseded': ['disposed'],
            'withdrawn': ['disposed'],
            },
        },
    'order.archive.hold': {
        'final': {
            None: [
                'company', 'matter', 'reason', 'archives', 'parties',
                'classes', 'placed_by', 'placed_at'],
            'released_at': ['released_by', 'released_at', 'release_reason'],
            },
        'states': {
            'active': ['released'],
            },
        },
    'order.archive.disposal': {
        'final': {
            None: ['number', 'company', 'prepared_by', 'prepared_at'],
            'executed_at': ['executed_by', 'executed_at'],
            'disposed_at': ['disposed_at'],
            },
        'lists': {
            # Without the state of the file
            'files': lambda file: file[:1],
            'approvals': lambda approval: approval,
            },
        'states': {
            'proposed': ['approved', 'cancelled'],
            'approved': ['executing', 'cancelled'],
            'executing': ['disposed'],
            },
        },
    'order.archive.volume': {
        'final': {
            None: ['number', 'company'],
            'bound_at': ['title', 'bound_by', 'bound_at'],
            },
        'lists': {
            # Without the state of the folio
            'folios': lambda folio: folio[:5],
            },
        'states': {
            'open': ['bound', 'destroyed'],
            'bound': ['destroyed'],
            },
        },
    'order.archive.move': {
        'final': {
            None: ['company', 'moved', 'from', 'to', 'employee', 'at'],
            },
        },
    'order.archive.loan': {
        'final': {
            None: [
                'company', 'volume', 'archive', 'borrower', 'purpose',
                'until', 'lent_by', 'lent_at'],
            'returned_at': ['received_by', 'returned_at'],
            },
        'states': {
            'lent': ['returned'],
            },
        },
    'sale.contract': {
        'final': {
            None: [
                'company', 'number', 'sale', 'name', 'reference',
                'start_date', 'end_date', 'supplement_of', 'change_reason',
                'registered_by', 'registered_at', 'seller', 'buyer',
                'order_number', 'order_reference', 'order_date',
                'delivery_date', 'delivery_address', 'payment_term', 'lines',
                'currency', 'untaxed_amount', 'tax_amount', 'total_amount',
                'review_number', 'review_round', 'review_result',
                'review_closed_at', 'review_signatories', 'review_digest',
                'verification'],
            'sealed_by': ['seal_name', 'sealed_on', 'sealed_by'],
            ('verified', 'deposited', *_ENDED): [
                'verified_by', 'verified_on', 'verification_number'],
            'deposited_at': [
                'place', 'received_by', 'deposited_on', 'originals',
                'deposited_at'],
            _ENDED: [
                'termination_reason', 'termination_date',
                'termination_agreement'],
            },
        'lists': {
            # Ours once the contract is signed
            'signatures': lambda s: s if s['mandate'] else None,
            },
        'states': {
            'registered': ['signed', 'terminated'],
            'signed': ['sealed', 'terminated'],
            'sealed': ['verified', 'deposited', *_ENDED],
            'verified': ['deposited', *_ENDED],
            'deposited': [*_ENDED],
            },
        },
    'sale.contract.loan': {
        'final': {
            None: [
                'contract', 'copy_number', 'borrower', 'purpose', 'lent_on',
                'due_on', 'lent_by'],
            'returned_on': ['returned_on', 'returned_to'],
            },
        'states': {
            'lent': ['returned'],
            },
        },
    'sale.contract.mandate': {
        'final': {
            None: ['company'],
            },
        },
    }


def entry_hash(values):
    "Return the hash of the entry whose fields have the values"
    return text_hash('\n'.join(['' if v is None else str(v) for v in values]))


def text_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def read_values(content, resource, action):
    """Return the values of the record that the content of an entry tells,
    None if it changed none, or raise ValueError"""
    content = json.loads(content)
    if (not isinstance(content, dict)
            or content.get('resource') != resource
            or content.get('action') != action
            or not isinstance(content.get('values', {}), dict)):
        raise ValueError("content")
    return content.get('values')


def contradictions(rule, known, values):
    """Return the names of the values that cannot follow what is known of the
    record by the entries before"""
    def is_reached(since):
        if isinstance(since, tuple):
            return known.get('state') in since
        return since is None or known.get(since) is not None

    def is_shorter(name, get_kept):
        kept, left = [
            {json.dumps(get_kept(e), sort_keys=True) for e in v[name]}
            for v in [known, values]]
        return kept - left - {'null'}

    both = known.keys() & values.keys()
    names = {
        n for since, final in rule['final'].items() if is_reached(since)
        for n in both.intersection(final) if values[n] != known[n]}
    names.update(
        n for n in both.intersection(rule.get('later', []))
        if known[n] and (not values[n] or values[n] < known[n]))
    names.update(
        n for n, get_kept in rule.get('lists', {}).items()
        if n in both and is_shorter(n, get_kept))
    if ('states' in rule and 'state' in both
            and values['state'] != known['state']
            and values['state'] not in rule['states'].get(
                known['state'], [])):
        names.add('state')
    return sorted(names)


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


def get_cell(value):
    "Return the value as a cell: on one line, and no formula"
    text = ' '.join(str(value or '').split())
    return f"'{text}" if text.startswith(('=', '+', '-', '@')) else text


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
        # What is known of each record
        self.known = {}
        # By file the documents that it had when it was archived
        self.archived = {}
        # Those that are in the index
        self.listed = set()

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
            except Exception as e:
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
        except Exception as e:
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
            try:
                size = int(content['size'])
            except (TypeError, ValueError) as e:
                self.problem(f"{name}: cannot be read ({e})")
                return
            if content['company'] != company:
                self.problem(f"{name}: is the checkpoint of another ledger")
            else:
                checkpoints.setdefault(size, []).append(
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
        try:
            self.verify_values(name, entry)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            self.problem(f"{name}: has a content that cannot be read ({e})")
        self.entries += 1
        return number, hash_

    def verify_values(self, name, entry):
        "Compare the values of the record with those of the entries before"
        resource = entry['resource']
        values = read_values(entry['content'], resource, entry['action'])
        if values is None:
            return
        known = self.known.setdefault(resource, {})
        rule = RULES.get(resource.partition(',')[0])
        if names := rule and contradictions(rule, known, values):
            self.problem(
                f"{name}: changes what cannot change of {resource}: "
                + ', '.join(names))
        known.update(values)
        if entry['action'] == 'archive' and resource.startswith(_ARCHIVE):
            documents = json.loads(entry['content'])['details'].get(
                'documents')
            # Entries of before do not tell them
            if documents is not None:
                self.archived[resource] = set(map(str, documents))

    def compare(self, checkpoints, tree):
        for name, root in checkpoints:
            if root != tree.root():
                self.problem(
                    f"{name}: the ledger of {tree.size} entries has another "
                    "root")

    def verify_index(self):
        "Compare the documents with their last entries"
        files = {
            str(v.get('number')): v for r, v in self.known.items()
            if r.startswith(_ARCHIVE)}
        lines = list(self.lines('data/index.csv'))
        if lines:
            lines[0] = lines[0].lstrip('\ufeff')
        try:
            rows = list(csv.DictReader(f'{t}\n' for t in lines))
        except csv.Error as e:
            self.problem(f"data/index.csv: cannot be read ({e})")
            return
        for row in rows:
            resource, path = row.get('resource'), row.get('path')
            if resource is None or path is None:
                self.problem("data/index.csv: cannot be read")
                return
            if not resource.startswith(_ITEM):
                self.problem(f"data/index.csv: {resource} is no document")
                continue
            self.listed.add(resource)
            if path:
                self.documents += 1
                self.names.discard(path)
            values = self.known.get(resource)
            name = path or f"{row.get('file')}: {row.get('name')}"
            if values is None:
                self.problem(f"{name}: is not in the ledger")
                continue
            self.verify_row(name, row, values, files)
            if not path:
                # Nothing is left of what was disposed of
                if values.get('sha256') and values.get('state') != 'disposed':
                    self.problem(f"{name}: the document is missing")
            elif self.hash(path) not in {values.get('sha256'), None}:
                self.problem(f"{name}: is not what the ledger tells")
            elif self.sizes.get(path) not in {values.get('size'), None}:
                self.problem(f"{name}: has not the size of the ledger")
        items = {r for r in self.known if r.startswith(_ITEM)}
        for resource in sorted(items - self.listed):
            self.problem(f"{resource}: is in the ledger but not in the index")
        for name in sorted(self.names):
            if name.startswith('data/files/'):
                self.problem(f"{name}: is not in the index")

    def verify_row(self, name, row, values, files):
        "Compare what the row tells with the entries of document and file"
        file = files.get(str(values.get('archive')))
        if file is None:
            self.problem(f"{name}: its file is not in the ledger")
        for told, columns in [
                (values, _COLUMNS), (file or {}, _FILE_COLUMNS)]:
            for column, key in columns.items():
                if column not in row or key not in told:
                    continue
                cell = get_cell(told[key])
                if column == 'collected_at':
                    cell = cell.replace('T', ' ')
                if row[column] != cell:
                    self.problem(
                        f"{name}: the index tells another {column} than the "
                        "ledger")

    def tell_left_out(self):
        "Yield the texts of the documents that are not here"
        whole = unknown = 0
        for resource, values in self.known.items():
            if not resource.startswith(_ARCHIVE):
                continue
            documents = self.archived.get(resource)
            if documents is None:
                unknown += 1
            elif left := documents - self.listed:
                yield (
                    f"{values.get('number')}: "
                    f"{len(documents) - len(left)} of the {len(documents)} "
                    "documents that it had when it was archived")
            else:
                whole += 1
        yield (
            f"{whole} files with all documents that they had when they were "
            "archived")
        if unknown:
            yield (
                f"{unknown} files of which the ledger does not tell how many "
                "documents they have")


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
                raise ValueError("it is no checkpoint")
            kept = (os.path.basename(options.checkpoint), content)
    except (AttributeError, OSError, ValueError) as e:
        parser.error(f"{options.checkpoint}: {e}")
    try:
        bag = (Directory if os.path.isdir(options.bag) else Zip)(options.bag)
    except Exception as e:
        # Whatever an archive that somebody has altered does
        parser.error(f"{options.bag}: {e}")
    verifier = Verifier(bag)
    sound = verifier.run(kept)
    for problem in verifier.problems:
        print(problem)
    print(
        f"{verifier.files} files, {verifier.documents} documents and "
        f"{verifier.entries} entries of the ledger: "
        + ("sound" if sound else f"{len(verifier.problems)} PROBLEMS"))
    for text in verifier.tell_left_out():
        print(text)
    print(
        "data/index.html and the names of classes and kinds are only to read: "
        "they are not verified.")
    if not kept:
        print("No checkpoint from outside of the system was given.")
    return 0 if sound else 1


if __name__ == '__main__':
    sys.exit(main())
