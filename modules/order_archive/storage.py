# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trytond.filestore import FileStore, filestore
from trytond.transaction import Transaction

# How many wait for the disk at once, which then writes them together
THREADS = 16


def fsync(path):
    "Have the disk keep the file or what the folder lists"
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(ids, prefix):
    """Have the disk keep the files with the ids before the transaction is
    committed, as the database does with the rows that name them

    It is done once for all, and left to storages of another kind."""
    if ids and isinstance(filestore, FileStore):
        keeper = Transaction().join(_Keeper())
        keeper.paths.update(
            Path(filestore._filename(id_, prefix)) for id_ in ids)


class _Keeper:
    "Take part in the commit of the transaction"

    def __init__(self):
        self.paths = set()

    def __eq__(self, other):
        return isinstance(other, _Keeper)

    def tpc_begin(self, transaction):
        pass

    def commit(self, transaction):
        # The two folders of each and that of all are made along with them
        folders = {f for p in self.paths for f in list(p.parents)[:3]}
        # What the same transaction has disposed of is gone already
        files = [p for p in self.paths if p.exists()]
        with ThreadPoolExecutor(THREADS) as executor:
            for paths in [files, folders]:
                for _ in executor.map(fsync, paths):
                    pass
        self.paths.clear()

    def tpc_vote(self, transaction):
        pass

    def tpc_finish(self, transaction):
        self.paths.clear()

    def tpc_abort(self, transaction):
        self.paths.clear()
