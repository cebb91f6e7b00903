# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import pytest

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
