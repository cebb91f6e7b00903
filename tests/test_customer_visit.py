# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from dateutil.relativedelta import relativedelta

from trytond.model.exceptions import (
    AccessError, DomainValidationError, SQLConstraintError)
from trytond.model.modelview import AccessButtonError
from trytond.modules.company.tests import create_company as new_company
from trytond.modules.customer_grading.exceptions import CareError
from trytond.pool import Pool
from trytond.transaction import Transaction

from .care import CareTestCase, client, create_file
from .review import (
    count_queries, create_party, employee, get, get_company, with_company)


class VisitTestCase(CareTestCase):
    "Test the visits"

    def create(self, file, user="Carla", **values):
        Visit = Pool().get('customer.visit')
        with client(user):
            visit, = Visit.create([{
                        'file': file.id,
                        'planned_date': dt.date.today(),
                        'employee': employee("Carla").id,
                        **values,
                        }])
        return Visit(visit.id)

    def do(self, visit, user="Carla"):
        Visit = Pool().get('customer.visit')
        with client(user):
            Visit.do([Visit(visit.id)])
        return Visit(visit.id)

    @with_company
    def test_done(self):
        "Test a visit is done with a report and stays as it is"
        Visit = Pool().get('customer.visit')
        visit = self.create(create_file())
        with self.assertRaises(CareError) as error:
            self.do(visit)
        self.assertIn("report", str(error.exception))
        with client("Carla"):
            Visit.write([visit], {
                    'report': "Wants more",
                    'date': dt.date.today() + dt.timedelta(days=1)})
        with self.assertRaises(CareError):
            self.do(visit)
        with client("Carla"):
            Visit.write([visit], {'date': None})
        visit = self.do(visit)
        self.assertEqual(visit.state, 'done')
        self.assertEqual(visit.date, dt.date.today())
        self.assertEqual(visit.done_by, employee("Carla"))
        for values in [
                {'report': "Wants less"}, {'state': 'planned'},
                {'employees': [('add', [employee("Carl").id])]}]:
            with self.subTest(values=values):
                with client("Carla"), self.assertRaises(AccessError):
                    Visit.write([visit], values)
        with self.assertRaises(AccessError):
            Visit.write([visit], {'report': "From a script"})
        with client("Carla"), self.assertRaises(AccessError):
            Visit.delete([visit])
        with self.assertRaises(AccessButtonError):
            self.do(visit)

    @with_company
    def test_forged(self):
        "Test nobody records a visit as done but by the button"
        file = create_file()
        for values in [
                {'state': 'done', 'report': "Was there"},
                {'done_by': employee("Carl").id},
                {'by_cadence': True},
                ]:
            with self.subTest(values=values):
                with self.assertRaises(AccessError):
                    self.create(file, **values)

    @with_company
    def test_rights(self):
        "Test who sees and plans visits"
        Visit = Pool().get('customer.visit')
        file = create_file()
        visit = self.create(file, report="Wants more")
        with client("Audrey"):
            self.assertEqual(len(Visit.search([])), 1)
            with self.assertRaises(AccessError):
                Visit.write([visit], {'purpose': "None"})
            with self.assertRaises(AccessButtonError):
                Visit.do([visit])
        for user in ["Nora", "Sven"]:
            with self.subTest(user=user), client(user):
                with self.assertRaises(AccessError):
                    Visit.search([])
                with self.assertRaises(AccessError):
                    Visit.read([visit.id], ['report'])
                with self.assertRaises(AccessError):
                    Visit.do([visit])

    @with_company
    def test_company(self):
        "Test the visits of other companies are not seen"
        pool = Pool()
        Action = pool.get('customer.visit.action')
        Visit = pool.get('customer.visit')
        file = create_file(company=new_company())
        visit, = Visit.create([{
                    'file': file.id,
                    'planned_date': dt.date.today(),
                    'report': "Wants more",
                    }])
        action, = Action.create([{
                    'visit': visit.id,
                    'name': "Send a sample",
                    'employee': self._employee(file.company).id,
                    'due_date': dt.date.today(),
                    }])
        with client("Carla"):
            self.assertFalse(Visit.search([]))
            self.assertFalse(Action.search([]))
            for method in [
                    lambda: Visit.read([visit.id], ['report']),
                    lambda: Visit.do([visit]),
                    lambda: Visit.write([visit], {'purpose': "None"}),
                    lambda: Action.read([action.id], ['name']),
                    lambda: Action.do([action]),
                    ]:
                with self.assertRaises(AccessError):
                    method()
        with self.assertRaises(AccessError):
            self.create(file, employee=None)
        with self.assertRaises(DomainValidationError):
            Visit.write([visit], {'employee': employee("Carla").id})

    def _employee(self, company):
        Employee = Pool().get('company.employee')
        worker, = Employee.create([{
                    'party': create_party("Otto").id,
                    'company': company.id,
                    }])
        return worker

    @with_company
    def test_confidential(self):
        "Test visits are as confidential as the file"
        pool = Pool()
        Action = pool.get('customer.visit.action')
        Manager = pool.get('customer.file.manager')
        Visit = pool.get('customer.visit')
        file = create_file(confidentiality='secret')
        visit, = Visit.create([{
                    'file': file.id,
                    'planned_date': dt.date.today(),
                    'employee': employee("Carl").id,
                    }])
        action, = Action.create([{
                    'visit': visit.id,
                    'name': "Send a sample",
                    'employee': employee("Carl").id,
                    'due_date': dt.date.today(),
                    }])
        for user in ["Carla", "Audrey"]:
            with self.subTest(user=user), client(user):
                self.assertFalse(Visit.search([]))
                self.assertFalse(Action.search([]))
                with self.assertRaises(AccessError):
                    Visit.read([visit.id], ['purpose'])
                with self.assertRaises(AccessError):
                    Action.read([action.id], ['name'])
                for record in [visit, action]:
                    Model = record.__class__
                    with self.assertRaises(AccessError):
                        Model.copy([Model(record.id)])
                    with self.assertRaises(AccessError):
                        Model.export_data([Model(record.id)], ['employee'])
        Manager.create([{'file': file.id, 'employee': employee("Carl").id}])
        with client("Carl"):
            self.assertEqual(Visit.search([]), [visit])
            self.assertEqual(Action.search([]), [action])

    @with_company
    def test_due(self):
        "Test visits and what was agreed are in the list of what is due"
        pool = Pool()
        Action = pool.get('customer.visit.action')
        Due = pool.get('customer.due')
        visit = self.create(create_file(), report="Wants more")
        today = dt.date.today()

        def dues():
            return [
                (d.kind, d.origin, d.employee, d.due_date)
                for d in Due.search([('kind', 'like', 'visit%')])]

        self.assertEqual(
            dues(), [('visit', visit, employee("Carla"), today)])
        self.do(visit)
        action, = Action.create([{
                    'visit': visit.id,
                    'name': "Send a sample",
                    'employee': employee("Carl").id,
                    'due_date': today,
                    }])
        self.assertEqual(
            dues(), [('visit_action', action, employee("Carl"), today)])
        with client("Carl"):
            Action.do([action])
        self.assertFalse(dues())

    @with_company
    def test_cancelled_action(self):
        "Test nothing is agreed at a visit that did not take place"
        Visit = Pool().get('customer.visit')
        visit = self.create(create_file(), cancel_reason="Ill")
        with client("Carla"):
            Visit.cancel([visit])
            with self.assertRaises(CareError):
                Pool().get('customer.visit.action').create([{
                            'visit': visit.id,
                            'name': "Send a sample",
                            'employee': employee("Carl").id,
                            'due_date': dt.date.today(),
                            }])

    @with_company
    def test_no_employee(self):
        "Test nobody does or cancels a visit without being an employee"
        Visit = Pool().get('customer.visit')
        own = create_file()
        file = create_file(create_party("Other"), company=new_company())
        visits = [
            self.create(own, report="Wants more", cancel_reason="Ill"),
            Visit.create([{
                        'file': file.id,
                        'employee': self._employee(file.company).id,
                        'planned_date': dt.date.today(),
                        'report': "Wants more",
                        'cancel_reason': "Ill",
                        }])[0],
            ]
        for visit, user in [
                # The administrator has no employee, Carla one elsewhere
                (visits[0], 1),
                (visits[1], get('res.user', "Carla").id),
                ]:
            for button in [Visit.do, Visit.cancel]:
                with self.subTest(user=user, button=button.__name__), \
                        Transaction().set_user(user):
                    with self.assertRaisesRegex(CareError, "You need"):
                        button([Visit(visit.id)])
                    self.assertEqual(Visit(visit.id).state, 'planned')

    @with_company
    def test_cancel(self):
        "Test a visit is cancelled with a reason"
        Visit = Pool().get('customer.visit')
        visit = self.create(create_file())
        with client("Carla"), self.assertRaises(CareError):
            Visit.cancel([visit])
        with client("Carla"):
            Visit.write([visit], {'cancel_reason': "Ill"})
            Visit.cancel([Visit(visit.id)])
        visit = Visit(visit.id)
        self.assertEqual(visit.state, 'cancelled')
        self.assertEqual(visit.cancelled_by, employee("Carla"))

    @with_company
    def test_actions(self):
        "Test what was agreed is followed"
        pool = Pool()
        Action = pool.get('customer.visit.action')
        Visit = pool.get('customer.visit')
        visit = self.create(create_file(), report="Wants more")
        visit = self.do(visit)
        yesterday = dt.date.today() - dt.timedelta(days=1)
        with client("Carla"):
            Visit.write([visit], {
                    'actions': [('create', [{
                                    'name': "Send a sample",
                                    'employee': employee("Carl").id,
                                    'due_date': yesterday,
                                    }])]})
        action, = Action.search([])
        self.assertEqual(action.party, visit.party)
        with client("Carl"):
            self.assertEqual(
                Action.search([
                        ('mine', '=', True), ('party', '=', visit.party.id)]),
                [action])
            Action.do([action])
        with client("Carla"):
            self.assertFalse(Action.search([('mine', '=', True)]))
        action = Action(action.id)
        self.assertEqual(
            (action.state, action.done_by), ('done', employee("Carl")))
        with client("Carl"), self.assertRaises(AccessError):
            Action.write([action], {'name': "Nothing"})
        with client("Carl"), self.assertRaises(AccessError):
            Action.delete([action])

    @with_company
    def test_follow_up(self):
        "Test a visit is followed up and carries nothing over"
        Visit = Pool().get('customer.visit')
        visit = self.create(
            create_file(), report="Wants more", purpose="New products")
        date = dt.date.today() + dt.timedelta(days=7)
        with self.assertRaises(CareError):
            Visit.plan_follow_up([visit], date)
        visit = self.do(visit)
        with client("Carla"):
            follow_up, = Visit.plan_follow_up([visit], date)
        follow_up = Visit(follow_up.id)
        self.assertEqual(follow_up.previous, visit)
        self.assertEqual(follow_up.state, 'planned')
        self.assertEqual(follow_up.purpose, "New products")
        self.assertEqual(follow_up.kind, 'return')
        for name in ['report', 'date', 'done_by']:
            self.assertIsNone(getattr(follow_up, name))

    @with_company
    def test_plan(self):
        "Test visits are planned by cadence, never two for a customer"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Visit = pool.get('customer.visit')
        company = get_company()
        visited = create_file()
        fresh, draft, suspended = [
            create_file(create_party(state), state)
            for state in ['investigated', 'draft', 'suspended']]
        visit = self.create(visited, report="Wants more")
        self.do(visit)
        self.assertEqual(Visit.plan(), [])
        Configuration(1).set_multivalue(
            'visit_interval', 3, company=company.id)
        planned = Visit.plan()
        self.assertEqual({v.file for v in planned}, {visited, fresh})
        date = company.add_working_days(
            dt.date.today() + relativedelta(months=3), 0)
        self.assertEqual({v.planned_date for v in planned}, {date})
        self.assertEqual({v.by_cadence for v in planned}, {True})
        self.assertEqual(Visit.plan(), [])
        self.assertEqual(Visit.plan([visited], 1), [])

    @with_company
    def test_plan_late(self):
        "Test what should have taken place already is planned for today"
        Visit = Pool().get('customer.visit')
        file = create_file()
        visit = self.create(
            file, report="Wants more",
            date=dt.date.today() - relativedelta(months=7))
        self.do(visit)
        planned, = Visit.plan([file], 6)
        self.assertEqual(
            planned.planned_date,
            file.company.add_working_days(dt.date.today(), 0))

    @with_company
    def test_plan_once(self):
        "Test the database refuses a second one"
        Visit = Pool().get('customer.visit')
        file = create_file()
        Visit.plan([file], 6)
        with Transaction().set_context(_customer_care=True):
            with self.assertRaises(SQLConstraintError):
                Visit.create([{
                            'file': file.id,
                            'planned_date': dt.date.today(),
                            'by_cadence': True,
                            }])

    @with_company
    def test_plan_queries(self):
        "Test the number of queries does not depend on the number of files"
        Visit = Pool().get('customer.visit')
        counts = []
        for size in [2, 20]:
            files = [
                create_file(create_party(f"{size} {i}")) for i in range(size)]
            with count_queries() as queries:
                self.assertEqual(len(Visit.plan(files, 6)), size)
            # SQLite inserts row by row
            counts.append(len([
                        q for q in queries
                        if not str(q).startswith('INSERT')]))
        self.assertLessEqual(counts[1], counts[0])
