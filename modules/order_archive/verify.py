#!/usr/bin/env python3
# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""Verify an export of the order archive.

It needs nothing but the standard library of Python 3.8 or later:

    python3 -I -S verify.py [--checkpoint FILE] [BAG]

BAG is the directory or the zip file of the export, by default the directory
of this program. FILE is the checkpoint that was kept outside of the system:
without it the export is only compared with itself."""

import hashlib

# The version of the bytes that are hashed: add another one, never change it
FORMAT = 1
# What an entry of this version holds, in the order it is hashed. Only the
# content, which comes last, may have several lines.
FIELDS = [
    'format', 'company', 'sequence', 'previous', 'sealed_at', 'archive',
    'resource', 'action', 'content']
# What comes before the first entry of a chain
GENESIS = '0' * 64


def entry_hash(values):
    "Return the hash of the entry whose fields have the values"
    text = '\n'.join('' if v is None else str(v) for v in values)
    return hashlib.sha256(text.encode()).hexdigest()


class Tree:
    """The Merkle tree of RFC 6962 over the hashes of the entries

    It holds only the roots of the complete trees that the entries so far make
    up, the largest first."""

    def __init__(self):
        self.size = 0
        self.nodes = []

    def add(self, hash_, level=0):
        "Add the hash of a leaf, or the root of a complete tree of 2^level"
        if self.size & ((1 << level) - 1):
            raise ValueError(f"no tree of level {level} after {self.size}")
        count = self.size >> level
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


def leaf_hash(hash_):
    return hashlib.sha256(b'\x00' + bytes.fromhex(hash_)).digest()


def node_hash(left, right):
    return hashlib.sha256(b'\x01' + left + right).digest()
