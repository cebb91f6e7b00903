# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import pytest

from .database import setup_environment, setup_process

DATABASES = {'sqlite', 'postgresql'}


def pytest_addoption(parser):
    parser.addoption(
        '--database', choices=sorted(DATABASES), default='sqlite',
        help="the kind of database to test against (default: sqlite)")


def pytest_configure(config):
    config.addinivalue_line(
        'markers', "sqlite: runs only once, with SQLite")
    config.addinivalue_line(
        'markers', "postgresql: runs only with PostgreSQL")
    database = config.getoption('database')
    worker = getattr(config, 'workerinput', None)
    if not worker:
        setup_environment(config, database)
    setup_process(database, worker)
    report_failed_subtests()


def report_failed_subtests():
    """Report no subtest that passes

    Those of the module tests are tens of thousands, each sent to the process
    that collects the reports."""
    from _pytest.unittest import TestCaseFunction
    addSubTest = TestCaseFunction.addSubTest

    def add_failed(self, test_case, test, exc_info):
        if exc_info is not None:
            addSubTest(self, test_case, test, exc_info)

    TestCaseFunction.addSubTest = add_failed


def pytest_collection_modifyitems(config, items):
    others = DATABASES - {config.getoption('database')}
    deselected = [
        i for i in items if any(map(i.get_closest_marker, others))]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [i for i in items if i not in deselected]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        "Keep together what shares a database or another costly fixture"

        def _split_scope(self, nodeid):
            if '::test_scenario[' in nodeid:
                return nodeid
            return super()._split_scope(nodeid)

    return Scheduling(config, log)


def pytest_report_header(config):
    return f"database: {config.getoption('database')}"
