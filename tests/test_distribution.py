# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What a company installs is complete and works without the sources"
import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

from .tools import MODULES, ROOT, unavailable

pytestmark = pytest.mark.sqlite


def run(*command, **kwargs):
    env = {
        k: v for k, v in os.environ.items()
        if not k.startswith(('TRYTOND_', 'COVERAGE_', 'PYTHON', 'DB_'))}
    env.update(kwargs.pop('env', {}))
    process = subprocess.run(
        command, env=env, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **kwargs)
    assert not process.returncode, process.stdout
    return process.stdout


def module_files():
    return {
        f'{module}/{path.relative_to(directory).as_posix()}'
        for module in MODULES
        for directory in [ROOT / 'modules' / module]
        for path in directory.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts}


@pytest.fixture(scope='module')
def distributions(tmp_path_factory):
    directory = tmp_path_factory.mktemp('dist')
    # Without isolation as the packages to build with are installed
    source = shutil.copytree(
        ROOT, directory / 'source', ignore=shutil.ignore_patterns(
            '.*', '*.egg-info', '__pycache__', '_build', 'build', 'dist',
            'node_modules'))
    run(sys.executable, '-m', 'build', '--no-isolation',
        '--outdir', directory, source)
    sdist, = directory.glob('*.tar.gz')
    wheel, = directory.glob('*.whl')
    return sdist, wheel


def test_configuration():
    "Every module is in the distribution with its Python packages"
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg', encoding='utf-8')
    packages = {
        f'trytond.modules.{name}'
        for module in MODULES
        for path in (ROOT / 'modules' / module).rglob('__init__.py')
        for name in [
            '.'.join(path.parent.relative_to(ROOT / 'modules').parts)]}
    assert set(config['options']['packages'].split()) == packages
    assert sorted(
        config['options.entry_points']['trytond.modules'].split('\n')[1:]
        ) == [f'{m} = trytond.modules.{m}' for m in MODULES]


def test_wheel_files(distributions):
    _, wheel = distributions
    prefix = 'trytond/modules/'
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    files = {n[len(prefix):] for n in names if n.startswith(prefix)}
    assert files == module_files()
    assert all(
        n.startswith((prefix, 'tryton_order_regulations-')) for n in names)
    assert any(n.endswith('LICENSE') for n in names)


def test_sdist_files(distributions):
    sdist, _ = distributions
    with tarfile.open(sdist) as archive:
        files = {m.name.partition('/')[2] for m in archive if m.isfile()}
    assert files >= {f'modules/{name}' for name in module_files()}
    assert files >= {
        'CHANGELOG', 'LICENSE', 'Makefile', 'constraints.txt',
        'pyproject.toml', 'setup.cfg'}


def test_install(distributions, tmp_path):
    "The modules are activated from the wheel in an empty environment"
    _, wheel = distributions
    venv.create(tmp_path / 'venv', with_pip=True)
    bin_ = tmp_path / 'venv' / 'bin'
    try:
        run(bin_ / 'pip', 'install', '--disable-pip-version-check',
            '--retries', '1', '--constraint', ROOT / 'constraints.txt', wheel)
    except AssertionError as error:
        if any(m in str(error) for m in {'Max retries', 'NewConnection'}):
            unavailable(f"The packages cannot be fetched: {error}")
        raise

    password = tmp_path / 'password'
    password.write_text('secret-of-the-test')
    env = {
        'TRYTOND_DATABASE_URI': 'sqlite://',
        'TRYTOND_DATABASE__PATH': str(tmp_path),
        'TRYTONPASSFILE': str(password),
        }
    (tmp_path / 'test.sqlite').touch()
    run(bin_ / 'trytond-admin', '-d', 'test', '--email', 'admin@example.com',
        '--activate-dependencies', '-u', *MODULES, env=env, cwd=tmp_path)
    activated = run(bin_ / 'python', '-c', (
            "from trytond.pool import Pool\n"
            "from trytond.transaction import Transaction\n"
            "Pool.start()\n"
            "pool = Pool('test')\n"
            "pool.init()\n"
            "with Transaction().start('test', 0, readonly=True):\n"
            "    Module = pool.get('ir.module')\n"
            "    for module in Module.search([('state', '=', 'activated')]):\n"
            "        print(module.name)\n"),
        env=env, cwd=tmp_path)
    assert set(activated.split()) >= set(MODULES)
