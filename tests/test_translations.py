# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from pathlib import Path

import polib
import pytest

import trytond

from tools import translations

from .tools import MODULES

pytestmark = pytest.mark.sqlite


@pytest.fixture(scope='module')
def templates():
    from trytond.tests.test_tryton import drop_db
    yield translations.templates()
    drop_db()


def keys(entries):
    return {(e.msgctxt, e.msgid, e.msgid_plural) for e in entries}


def assert_none(keys, title):
    if keys:
        pytest.fail('\n'.join([
                    f"{title}:", *(
                        f"    {context} {text!r}"
                        for context, text, _ in sorted(keys))]),
            pytrace=False)


@pytest.mark.parametrize('module', MODULES)
def test_complete(templates, module):
    "Every string has a translation that is not fuzzy"
    done = [
        e for entries in translations.translated(module).values()
        for e in entries if e.translated() and not e.fuzzy]
    missing = keys(templates[module]) - keys(done)
    assert_none(missing, "not translated")


@pytest.mark.parametrize('module', MODULES)
def test_not_obsolete(templates, module):
    "Every translation belongs to a string"
    entries = translations.translated(module).values()
    obsolete = keys(e for es in entries for e in es) - keys(templates[module])
    assert_none(obsolete, "no longer used")


@pytest.mark.parametrize('module', MODULES)
def test_override(module):
    "Strings of stock Tryton are translated only as long as it does not"
    path = translations.po_path(module)
    path = path.parent / 'override' / path.name
    stock = Path(trytond.__file__).parent / 'modules'
    for entry in polib.pofile(str(path)) if path.exists() else []:
        context, name = entry.msgctxt.removesuffix('.').rsplit(':', 1)
        original = polib.pofile(
            str(stock / name / 'locale' / path.name)).find(
                entry.msgid, msgctxt=f'{context}:')
        assert original is not None, entry.msgctxt
        assert not original.translated(), entry.msgctxt
        assert entry.translated(), entry.msgctxt
