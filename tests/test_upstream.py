# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Stock Tryton behaves the same beside our modules when they are not set up"
from importlib.util import find_spec
from pathlib import Path

import pytest

from .tools import MODULES, UPSTREAM, run_scenario, scenarios


def upstream_scenarios():
    # Find the files without an import of trytond
    trytond, = find_spec('trytond').submodule_search_locations
    return [
        s for name in UPSTREAM
        for s in scenarios(
            Path(trytond, 'modules', name, 'tests'), 'scenario_*.rst')]


@pytest.fixture
def beside_ours(monkeypatch):
    "Activate our modules together with those of the scenario"
    from proteus import Model
    from trytond.tests import tools

    activate_modules = tools.activate_modules
    activated = set()

    def activate_ours(modules, *setup):
        if isinstance(modules, str):
            modules = [modules]
        config = activate_modules([*modules, *MODULES], *setup)
        # The sale module, which ours depend on, makes stock warn of moves
        # without origin as this scenario has them
        config.skip_warning = 'account_invoice_stock' in modules
        Module = Model.get('ir.module')
        activated.update(
            m.name for m in Module.find([('state', '=', 'activated')]))
        return config

    monkeypatch.setattr(tools, 'activate_modules', activate_ours)
    return activated


@pytest.mark.parametrize('path, variables', upstream_scenarios())
def test_scenario(path, variables, beside_ours, monkeypatch):
    if path.parent.parent.name == 'account_dunning':
        # Its fiscal year has no sequences for the invoices, which stock asks
        # for as soon as the invoice module is activated
        from trytond.modules.account.tests import tools
        from trytond.modules.account_invoice.tests.tools import (
            set_fiscalyear_invoice_sequences)
        create_fiscalyear = tools.create_fiscalyear
        monkeypatch.setattr(
            tools, 'create_fiscalyear',
            lambda *args, **kwargs: set_fiscalyear_invoice_sequences(
                create_fiscalyear(*args, **kwargs)))
    run_scenario(path, variables)
    assert beside_ours >= set(MODULES)
