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
