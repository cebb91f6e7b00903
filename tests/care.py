# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company that cares for its customers, for tests inside the server"
import datetime as dt
from contextlib import contextmanager

from dateutil.relativedelta import relativedelta

from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.modules.sale_order_review.tests.tools import create_customer
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import as_user, get, get_company

USERS = {
    'Carla': ["Customer Care"],
    'Carl': ["Customer Care"],
    'Ada': ["Customer Grading Administration"],
    'Audrey': ["Customer Grading Audit"],
    'Sven': ["Sales"],
    'Sally': ["Sales"],
    'Nora': [],
    }


def create_users(config=None):
    for name, groups in USERS.items():
        create_user(name, *groups, config=config)
    create_customer("Acme", config=config)


class CareTestCase(TestCase):
    "Tests with people who care for customers"
    modules = ['customer_grading']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            cls.modules, create_company, create_chart, create_users)
        cls.addClassCleanup(drop_db)


@contextmanager
def client(name):
    "Run as the client of the user"
    with as_user(name), Transaction().set_context(_check_access=True):
        yield


def create_file(party="Acme", state='approved', company=None, **values):
    "Create the customer file of the party"
    pool = Pool()
    File = pool.get('customer.file')
    if isinstance(party, str):
        party = get('party.party', party)
    with Transaction().set_context(_customer_file=True):
        file, = File.create([{
                    'company': (company or get_company()).id,
                    'party': party.id,
                    'state': state,
                    **values,
                    }])
    return file


def months_ago(months):
    return dt.date.today() - relativedelta(months=months)
