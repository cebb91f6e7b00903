# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""Bring the files locale/zh_CN.po of the modules up to date.

A string that changed keeps its translation but marked as fuzzy.
"""
import os

import polib

from tests.tools import MODULES, ROOT, extras_depend

LANGUAGE = 'zh_CN'


def po_path(module):
    return ROOT / 'modules' / module / 'locale' / f'{LANGUAGE}.po'


def templates():
    "Return for each module the entries that trytond exports, untranslated"
    from proteus import Model, Wizard
    from trytond.tests.tools import activate_modules

    activate_modules([*MODULES, *extras_depend(*MODULES)])
    Lang = Model.get('ir.lang')
    Module = Model.get('ir.module')
    language, = Lang.find([('code', '=', LANGUAGE)])
    language.translatable = True
    language.save()

    # The strings of views and reports are collected only on demand
    for name in ['ir.ui.view', 'ir.action.report']:
        Collected = Model.get(name)
        if records := Collected.find([('module', 'in', MODULES)]):
            Wizard('ir.translation.set', records).execute('set_')
    update = Wizard('ir.translation.update')
    update.form.language = language
    update.execute('update')

    result = {}
    for module in MODULES:
        export = Wizard('ir.translation.export')
        export.form.language = language
        export.form.module, = Module.find([('name', '=', module)])
        export.execute('export')
        content = export.form.file or b''
        result[module] = polib.pofile(content.decode('utf-8'), wrapwidth=78)
    return result


def translated(module):
    "Return the entries of the module's file by their context"
    path = po_path(module)
    if not path.exists():
        return {}
    result = {}
    for entry in polib.pofile(str(path)):
        if not entry.obsolete:
            result.setdefault(entry.msgctxt, []).append(entry)
    return result


def merge(template, entries):
    for entry in template:
        candidates = entries.get(entry.msgctxt, [])
        same = [c for c in candidates if c.msgid == entry.msgid]
        # Views, reports and selections have several strings in one context
        several = entry.msgctxt.startswith(
            ('view:', 'report:', 'selection:', 'help:'))
        for candidate in same or ([] if several else candidates):
            entry.msgstr = candidate.msgstr
            entry.msgstr_plural = dict(candidate.msgstr_plural)
            fuzzy = candidate.fuzzy or not same
            if fuzzy and not entry.fuzzy and candidate.msgstr:
                entry.flags.append('fuzzy')


def main():
    for module, template in templates().items():
        merge(template, translated(module))
        path = po_path(module)
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(template), encoding='utf-8')
        missing = sum(not e.translated() for e in template)
        print(f"{path.relative_to(ROOT)}: {len(template)} strings,"
            f" {missing} to translate")


if __name__ == '__main__':
    os.environ['DB_NAME'] = ':memory:'
    os.environ['TRYTOND_DATABASE_URI'] = 'sqlite://'
    main()
