# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.tests import test_tryton

from .tools import extras_depend


class CustomerGradingTestCase(test_tryton.ModuleTestCase):
    "Test Customer Grading module"
    module = 'customer_grading'
    extras = extras_depend('customer_grading')
