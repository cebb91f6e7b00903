# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.tests import test_tryton

from .tools import extras_depend


class OrderArchiveTestCase(test_tryton.ModuleTestCase):
    "Test Order Archive module"
    module = 'order_archive'
    extras = extras_depend('order_archive')
