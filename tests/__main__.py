# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Run the tests against each kind of database and measure their coverage"
import argparse
import os
import subprocess
import sys

import pytest

COVERAGE = 95

# To trace every call takes as long again as the tests, from Python 3.12 on
# coverage can be told of the lines of ours only
CORE = {'COVERAGE_CORE': 'sysmon'} if sys.version_info >= (3, 12) else {}


def run(*arguments):
    return subprocess.run(
        [sys.executable, '-m', *arguments],
        env={**CORE, **os.environ}).returncode


def main():
    parser = argparse.ArgumentParser(prog='tests', description=__doc__)
    parser.add_argument('-k', dest='expression', help="run only what matches")
    parser.add_argument('-n', dest='processes', default='2')
    parser.add_argument(
        '--database', choices=['sqlite', 'postgresql'], action='append',
        help="run only against this kind of database")
    options = parser.parse_args()

    selection = []
    if options.expression:
        selection.extend(['-k', options.expression])

    run('coverage', 'erase')
    failed = []
    ran = False
    for database in options.database or ['sqlite', 'postgresql']:
        print(f"==> Test with {database}", flush=True)
        code = run(
            'coverage', 'run', '-m', 'pytest', '--database', database,
            '-n', options.processes, '--durations', '10', *selection)
        if code == pytest.ExitCode.NO_TESTS_COLLECTED and selection:
            continue
        ran = True
        if code:
            failed.append(f"tests with {database}")
    if not ran:
        sys.exit(f"no test matches {options.expression!r}")

    if not selection and not options.database:
        print("==> Coverage", flush=True)
        run('coverage', 'combine', '--quiet')
        if run('coverage', 'report', f'--fail-under={COVERAGE}'):
            failed.append(f"coverage of {COVERAGE} %")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == '__main__':
    main()
