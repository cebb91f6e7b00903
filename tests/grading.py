# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"Companies that grade their customers, for tests inside the server"
from contextlib import contextmanager

from proteus import Model
from trytond.modules.company.tests.tools import create_company, get_company
from trytond.modules.company_department.tests.tools import create_user
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import as_user, get

CARE, CREDIT, ADMIN, AUDIT = [
    "Customer Care", "Customer Credit", "Customer Grading Administration",
    "Customer Grading Audit"]


def create_staff(config=None):
    """Create the users of two companies, and customers

    Zoe is the only one of the second company."""
    Company = Model.get('company.company', config=config)
    Party = Model.get('party.party', config=config)
    User = Model.get('res.user', config=config)

    company = get_company(config=config)
    for name, *groups in [
            ("Karl", CARE),
            ("Kim", CARE),
            ("Cora", CREDIT),
            ("Anna", ADMIN),
            ("Alma", ADMIN),
            ("Audrey", AUDIT),
            ("Sven", "Sales"),
            ("Olga",),
            ]:
        create_user(name, *groups, company=company, config=config)
    party = Party(name="Sabre")
    party.save()
    create_company(party, config=config)
    sabre, = Company.find([('party', '=', party.id)])
    user = User(config.user)
    user.companies.append(Company(sabre.id))
    user.company_filter = 'all'
    user.save()
    config._context = User.get_preferences(True, {})
    create_user("Zoe", CREDIT, ADMIN, company=sabre, config=config)
    for name in ["Acme", "Borg", "Coil"]:
        Party(name=name).save()


class GradingTestCase(TestCase):
    "Tests with the staff of two companies"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules('customer_grading', create_company, create_staff)
        cls.addClassCleanup(drop_db)


@contextmanager
def client(name):
    "Run as the client of the user"
    transaction = Transaction()
    # Whose company must not be that of who runs the test
    with transaction.reset_context(), as_user(name), \
            transaction.set_context(_check_access=True):
        yield


def company(name="Dunder Mifflin"):
    return get('company.company', name)


def party(name):
    return get('party.party', name)


def grade(axis, code):
    Grade = Pool().get('customer.grading.grade')
    grade, = Grade.search([('axis', '=', axis), ('code', '=', code)])
    return grade


def shipped(axis):
    Scheme = Pool().get('customer.grading.scheme')
    scheme, = Scheme.search([('axis', '=', axis), ('company', '=', None)])
    return scheme
