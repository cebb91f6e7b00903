# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import configparser
import doctest
import json
import os
import shutil
import unittest
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p.parent.name for p in ROOT.glob('modules/*/tryton.cfg'))
CI = os.environ.get('CI') == 'true'


def unavailable(reason):
    "Skip the test on a user's machine but fail it in continuous integration"
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)


def require(*programs):
    "Return the path of the first of the programs that is installed"
    for program in programs:
        if path := shutil.which(program):
            return path
    unavailable(f"{' or '.join(programs)} is not installed")


def module_config(name):
    config = configparser.ConfigParser()
    config.read(ROOT / 'modules' / name / 'tryton.cfg', encoding='utf-8')
    return config['tryton']


def extras_depend(*names):
    "The modules that the named ones make use of when they are activated"
    extras = set()
    for name in names:
        extras.update(module_config(name).get('extras_depend', '').split())
    return sorted(extras - set(names))


# Stock Tryton whose own scenarios are run beside our modules
UPSTREAM = [
    'account_credit_limit',
    'account_dunning',
    'account_invoice_stock',
    'sale',
    'sale_amendment',
    'sale_complaint',
    'sale_credit_limit',
    'sale_history',
    'sale_opportunity',
    ]
EVERYTHING = {*MODULES, *extras_depend(*MODULES), *UPSTREAM}


def scenarios(directory, pattern='*.rst'):
    "One pytest parameter for each scenario and each of its variants"
    result = []
    for path in sorted(Path(directory).glob(pattern)):
        variants = [{}]
        if (config := path.with_suffix('.json')).exists():
            variants = json.loads(config.read_text(encoding='utf-8'))
        for i, variables in enumerate(variants):
            name = path.stem if len(variants) == 1 else f'{path.stem}-{i}'
            result.append(pytest.param(path, variables, id=name))
    return result


def run_scenario(path, variables):
    from trytond import backend
    from trytond.tests.test_tryton import (
        STRIP_DECIMAL, doctest_checker, doctest_setup, doctest_teardown)

    flags = (
        doctest.REPORT_ONLY_FIRST_FAILURE
        | doctest.ELLIPSIS
        | doctest.IGNORE_EXCEPTION_DETAIL)
    if backend.name == 'sqlite':
        flags |= STRIP_DECIMAL
    case = doctest.DocFileTest(
        str(path), module_relative=False, globs=dict(variables),
        setUp=doctest_setup, tearDown=doctest_teardown,
        encoding='utf-8', checker=doctest_checker, optionflags=flags)
    result = unittest.TestResult()
    case.run(result)
    for _, message in result.failures + result.errors:
        pytest.fail(message, pytrace=False)
