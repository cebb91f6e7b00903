# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import pytest

from .tools import ROOT, run_scenario, scenarios


@pytest.mark.parametrize(
    'path, variables', scenarios(ROOT / 'scenarios'))
def test_scenario(path, variables):
    run_scenario(path, variables)
