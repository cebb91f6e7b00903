# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from trytond.filestore import FileStore, filestore
from trytond.transaction import Transaction

logger = logging.getLogger(__name__)
# How many wait for the disk at once, which then writes them together
THREADS = 16


def fsync(path):
    "Have the disk keep the file or what the folder lists"
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync(paths):
    with ThreadPoolExecutor(THREADS) as executor:
        for _ in executor.map(fsync, paths):
            pass


def _is_local():
    "Return whether the storage is the folder of trytond and no other kind"
    return filestore.__class__.__module__ == 'trytond.filestore'


def _get_path(id_, prefix):
    return Path(filestore._filename(id_, prefix))


class _Named(FileStore):
    "The storage of trytond with the id of what it stores next"

    def __init__(self, id_):
        self.id = id_

    def _id(self, data):
        return self.id


def store(data, prefix):
    """Store the bytes and return the id of their file

    The disk keeps it before the transaction is committed, as the database does
    with the row that names it, and it is removed if the transaction is rolled
    back. Storages of another kind do it as they do."""
    if not _is_local():
        return filestore.set(data, prefix)
    id_ = filestore._id(data)
    # First, as the disk may take it in part
    get_keeper().paths.append(_get_path(id_, prefix))
    return _Named(id_).set(data, prefix)


def remove(ids, prefix):
    "Remove the files with the ids, and have the disk forget them"
    filestore.delete_many(ids, prefix=prefix)
    if _is_local():
        folders = {_get_path(i, prefix).parent for i in ids}
        _fsync([f for f in folders if f.exists()])


def stored(prefix, before):
    "Yield the ids of the files that were stored before the time"
    if not _is_local():
        return
    for folder, _, names in os.walk(os.path.join(filestore.path, prefix)):
        for name in names:
            # It may be removed meanwhile
            with suppress(FileNotFoundError):
                if os.stat(os.path.join(folder, name)).st_mtime < before:
                    yield name


def get_keeper():
    "Return what takes part in the commit of the transaction"
    return Transaction().join(_Keeper())


class _Keeper:
    "What has become of the files that the transaction has stored"

    def __init__(self):
        self.paths = []

    def __eq__(self, other):
        return isinstance(other, _Keeper)

    def remove(self, start=0):
        "Remove the files that were stored since there were as many"
        for path in self.paths[start:]:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                logger.warning("cannot remove %s", path, exc_info=True)
        del self.paths[start:]

    def tpc_begin(self, transaction):
        pass

    def commit(self, transaction):
        # What the same transaction has disposed of is gone already
        _fsync([p for p in self.paths if p.exists()])
        # The two folders of each and that of all are made along with them
        _fsync({f for p in self.paths for f in list(p.parents)[:3]})

    def tpc_vote(self, transaction):
        # From now on the database may name them, whatever it answers
        self.paths.clear()

    def tpc_finish(self, transaction):
        pass

    def tpc_abort(self, transaction):
        self.remove()
