# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import pytest

from tools import requirements

from .tools import scenarios

pytestmark = pytest.mark.sqlite


@pytest.mark.parametrize(
    'path', [s.values[0] for s in scenarios(requirements.SCENARIOS)],
    ids=lambda p: p.stem)
def test_scenario_names_requirements(path):
    assert requirements.proven(path)


@pytest.mark.parametrize('text, message', [
        ("No field", "names no requirement"),
        (":Requirements:\n\nText", "names no requirement"),
        (":Requirements: DEP-1, DEP-99", "unknown requirements: DEP-99"),
        ])
def test_wrong_scenario(tmp_path, text, message):
    path = tmp_path / 'scenario.rst'
    path.write_text(text)
    with pytest.raises(requirements.RequirementError, match=message):
        requirements.proven(path)


def test_several_lines(tmp_path):
    path = tmp_path / 'scenario.rst'
    path.write_text("Title\n\n:Requirements: DEP-1,\n    DEP-2\n\nText DEP-3")
    assert requirements.proven(path) == ['DEP-1', 'DEP-2']


def test_page_is_up_to_date():
    page = requirements.PAGE.read_text(encoding='utf-8')
    assert page == requirements.page(), "run make docs and commit the page"
