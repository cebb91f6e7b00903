# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from lxml import etree

from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db, with_transaction
from trytond.tests.tools import activate_modules

from .tools import MODULES

# The columns that the web client has: it hangs on others
COLUMNS = {
    'affix', 'binary', 'boolean', 'callto', 'char', 'date', 'dict', 'email',
    'float', 'image', 'integer', 'many2many', 'many2one', 'multiselection',
    'numeric', 'one2many', 'one2one', 'progressbar', 'reference', 'selection',
    'sip', 'text', 'time', 'timedelta', 'url'}
# The width of the columns in the web client and that of a list of a small
# screen, without its selection and menu
EM = 14
WIDTHS = {
    'integer': 8, 'selection': 9, 'reference': 20, 'one2many': 5,
    'many2many': 5, 'boolean': 3, 'binary': 20}
SCREEN = 1250


def get_width(element, field):
    "Return the width that the column needs at least"
    if element.get('optional') == '1' or element.get('tree_invisible') == '1':
        return 0
    if element.get('width'):
        return int(element.get('width'))
    type_ = element.get('widget', field.get('type'))
    width = WIDTHS.get(type_, 10) + (2 if field.get('symbol') else 0)
    expand = int(element.get('expand', 0))
    return EM * width * (1 + expand) / (expand or 1)


class ViewTestCase(TestCase):
    "Test the views beyond what trytond tests"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules([
                *MODULES, 'dashboard', 'notification_email',
                'sale_amendment'])
        cls.addClassCleanup(drop_db)

    @with_transaction()
    def test_columns(self):
        "Test the web client has the columns of the lists"
        pool = Pool()
        View = pool.get('ir.ui.view')
        views = View.search([
                ('type', '=', 'tree'),
                ('module', 'in', MODULES),
                ])
        self.assertTrue(views)
        for view in views:
            result = pool.get(view.model).fields_view_get(view_id=view.id)
            for element in etree.fromstring(result['arch']).iter('field'):
                name = element.get('name')
                with self.subTest(view=view.name, field=name):
                    self.assertIn(
                        element.get('widget', result['fields'][name]['type']),
                        COLUMNS)

    @with_transaction()
    def test_widths(self):
        "Test the lists fit a small screen"
        pool = Pool()
        View = pool.get('ir.ui.view')
        views = View.search([
                ('type', '=', 'tree'),
                ('inherit', '=', None),
                ('module', 'in', MODULES),
                ])
        self.assertTrue(views)
        for view in views:
            result = pool.get(view.model).fields_view_get(view_id=view.id)
            width = sum(
                get_width(e, result['fields'].get(e.get('name'), {}))
                for e in etree.fromstring(result['arch']))
            with self.subTest(view=view.name):
                self.assertLessEqual(width, SCREEN)
