# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.tests import test_tryton

from .tools import extras_depend


class CompanyDepartmentTestCase(test_tryton.ModuleTestCase):
    "Test Company Department module"
    module = 'company_department'
    extras = extras_depend('company_department')
