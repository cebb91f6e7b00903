# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .customer import TODAY, approve_file, create_file, create_investigation
from .review import (
    as_user, count_queries, employee, get_company, get_notifications, on,
    with_company)
from .test_customer_file import create_staff

DAY = dt.timedelta(days=1)


class DueTestCase(TestCase):
    "Test what is due for the customers"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            'customer_grading', create_company, create_chart, create_staff)
        cls.addClassCleanup(drop_db)

    def get_due(self, *domain):
        Due = Pool().get('customer.due')
        return {
            (d.party.name, d.kind): d for d in Due.search(list(domain))}

    @with_company
    def test_kinds(self):
        "Test each kind is due at its date and disappears when it is done"
        pool = Pool()
        File = pool.get('customer.file')
        Manager = pool.get('customer.file.manager')
        acme = approve_file(create_file("Acme", managers=[
                    ('create', [{'employee': employee("Nina").id}])]),
            "Ivy", "Carl")
        create_file("Draft", kind='key')
        self.assertEqual(self.get_due(), {})
        # The investigation expires
        later = TODAY + 340 * DAY
        with on(later):
            due, = self.get_due().values()
            self.assertEqual(due.kind, 'investigation')
            self.assertEqual(due.due_date, TODAY + 365 * DAY)
            self.assertEqual(due.origin, acme.investigations[0])
            self.assertEqual(due.employee, employee("Nina"))
            self.assertEqual(due.file, acme)
            self.assertEqual(due.company, get_company())
            self.assertFalse(due.late)
        with on(later + 40 * DAY):
            self.assertTrue(
                self.get_due()["Acme", 'investigation'].late)
            create_investigation(
                acme, "Ivy", valid_until=later + 400 * DAY)
            self.assertEqual(self.get_due(), {})
        # The verification is due again
        with as_user("Ivy"):
            File.verify([File(acme.id)])
        with on(later):
            self.assertEqual(list(self.get_due()), [("Acme", 'verification')])
            with as_user("Ivy"):
                File.verify([File(acme.id)])
            self.assertEqual(self.get_due(), {})
        # A key customer without manager
        File.write([File(acme.id)], {'kind': 'key'})
        self.assertEqual(self.get_due(), {})
        manager, = Manager.search([('file', '=', acme.id)])
        Manager.write([manager], {'end_date': TODAY})
        with on(TODAY + DAY):
            due = self.get_due()["Acme", 'manager']
            self.assertEqual(due.due_date, TODAY + DAY)
            self.assertIsNone(due.employee)
        # Not for those that are suspended
        File.write([File(acme.id)], {'reason': "Gone"})
        with as_user("Carl"):
            File.suspend([File(acme.id)])
        with on(later + 400 * DAY):
            self.assertEqual(self.get_due(), {})

    @with_company
    def test_read(self):
        "Test ids are unique, stay, and are read in constant queries"
        pool = Pool()
        Due = pool.get('customer.due')
        names = [
            'kind', 'party', 'file', 'due_date', 'employee', 'origin', 'late',
            'mine', 'rec_name']
        counts = []
        for n in [2, 6]:
            for i in range(n):
                file = create_file(f"{n} {i}", kind='key')
                approve_file(with_manager(file), "Ivy", "Carl")
                with as_user("Ivy"):
                    file.__class__.verify([file.__class__(file.id)])
            with on(TODAY + 366 * DAY):
                ids = [d.id for d in Due.search([])]
                Due.read(ids, names)
                with count_queries() as queries:
                    records = Due.read(ids, names)
            counts.append(len(queries))
            self.assertEqual(len(set(ids)), len(ids))
            self.assertEqual({r['id'] for r in records}, set(ids))
        self.assertEqual(*counts)

    @with_company
    def test_tabs(self):
        "Test what is mine, late and due this week"
        pool = Pool()
        Domain = pool.get('ir.action.act_window.domain')
        approve_file(with_manager(create_file("Acme")), "Ivy", "Carl")
        date = TODAY + 365 * DAY
        with on(date + DAY):
            self.assertEqual(len(self.get_due(('late', '=', True))), 1)
            self.assertEqual(len(self.get_due(('mine', '=', True))), 0)
            with as_user("Nina"):
                self.assertEqual(len(self.get_due(('mine', '=', True))), 1)
                self.assertEqual(len(self.get_due(('mine', '=', False))), 0)
        domains = Domain.search([
                ('act_window.res_model', '=', 'customer.due')])
        self.assertEqual(
            [(d.name, d.count) for d in domains],
            [("Mine", True), ("Late", True), ("This Week", True),
                ("All", True)])

    @with_company
    def test_remind(self):
        "Test who is responsible is told of each once a day"
        pool = Pool()
        Due = pool.get('customer.due')
        approve_file(with_manager(create_file("Acme")), "Ivy", "Carl")
        get_notifications()
        date = TODAY + 365 * DAY

        def remind(date):
            with on(date), Transaction().set_context(
                    company=get_company().id):
                Due.remind()
            return {
                login: [(n.label, n.description) for n in notifications]
                for login, notifications in get_notifications().items()}

        self.assertEqual(remind(date - DAY), {})
        self.assertEqual(remind(date), {
                'nina': [(
                        "1 customer task(s) due", "Acme – Investigation")]})
        self.assertEqual(remind(date), {})
        approve_file(with_manager(create_file("Other")), "Ivy", "Carl")
        self.assertEqual(remind(date), {
                'nina': [(
                        "1 customer task(s) due", "Other – Investigation")]})
        self.assertEqual(
            [len(n) for n in remind(date + DAY).values()], [1])
        self.assertEqual(remind(date + DAY), {})

    @with_company
    def test_open(self):
        "Test what is due opens the record in which it is"
        pool = Pool()
        Due = pool.get('customer.due')
        Open = pool.get('customer.due.open', type='wizard')
        file = approve_file(
            with_manager(create_file("Acme")), "Ivy", "Carl")
        with on(TODAY + 365 * DAY):
            due, = Due.search([])
            with Transaction().set_context(
                    active_model='customer.due', active_id=due.id,
                    active_ids=[due.id]):
                session, _, _ = Open.create()
                (action, data), = Open.execute(
                    session, {}, 'open_')['actions']
        self.assertEqual(
            action['res_model'], 'customer.credit.investigation')
        self.assertEqual(data['res_id'], [file.investigations[0].id])


def with_manager(file):
    File = type(file)
    File.write([file], {
            'managers': [('create', [{'employee': employee("Nina").id}])]})
    return File(file.id)
