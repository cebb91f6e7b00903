# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import subprocess
import sys

import pytest

from .tools import ROOT

pytestmark = pytest.mark.sqlite


@pytest.mark.parametrize('command', [
        ['ruff', 'check', '--quiet', '--output-format', 'concise'],
        ['isort', '--check', '--diff', '--quiet', '.'],
        ], ids=lambda c: c[0])
def test_style(command):
    process = subprocess.run(
        [sys.executable, '-m', *command],
        cwd=ROOT, text=True, capture_output=True)
    if process.returncode:
        pytest.fail(process.stdout + process.stderr, pytrace=False)
