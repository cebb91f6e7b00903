# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.tests import test_tryton

from .tools import extras_depend


class SaleOrderReviewTestCase(test_tryton.ModuleTestCase):
    "Test Sale Order Review module"
    module = 'sale_order_review'
    extras = extras_depend('sale_order_review')
