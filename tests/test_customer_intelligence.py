# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import (
    AccessError, DomainValidationError, RequiredValidationError)
from trytond.model.modelview import AccessButtonError
from trytond.modules.company.tests import create_company as new_company
from trytond.modules.customer_grading.exceptions import CareError
from trytond.pool import Pool
from trytond.transaction import Transaction

from .care import CareTestCase, client, create_file, months_ago
from .review import employee, get, on_in, with_company


class IntelligenceTestCase(CareTestCase):
    "Test what people hear of orders to come"
    modules = ['customer_grading', 'sale_opportunity']

    def report(self, user="Sven", **values):
        Intelligence = Pool().get('customer.intelligence')
        values.setdefault('reported_by', employee(user).id)
        with client(user):
            record, = Intelligence.create([{
                        'subject': "A second plant",
                        'text': "Acme builds a second plant next year.",
                        **values,
                        }])
        return Intelligence(record.id)

    def click(self, record, *buttons, user="Carla", **values):
        Intelligence = Pool().get('customer.intelligence')
        with client(user):
            if values:
                Intelligence.write([record], values)
            for button in buttons:
                getattr(Intelligence, button)([Intelligence(record.id)])
        return Intelligence(record.id)

    def evaluated(self):
        return self.click(
            self.report(), 'evaluate', value='high', opinion="Worth a visit")

    @with_company
    def test_reporter(self):
        "Test who sells sees only what they reported"
        Intelligence = Pool().get('customer.intelligence')
        record = self.report()
        self.assertEqual(record.reported_user, get('res.user', "Sven"))
        with client("Sally"):
            self.assertFalse(Intelligence.search([]))
            with self.assertRaises(AccessError):
                Intelligence.read([record.id], ['reported_by'])
            with self.assertRaises(AccessError):
                Intelligence.write([record], {'subject': "Mine"})
        with client("Nora"), self.assertRaises(AccessError):
            Intelligence.search([])
        with client("Sven"):
            self.assertEqual(
                Intelligence.search([('mine', '=', True)]), [record])
            Intelligence.write([record], {'subject': "A third plant"})
            with self.assertRaises(AccessError):
                Intelligence.delete([record])
        for user in ["Carla", "Audrey"]:
            with client(user):
                self.assertEqual(len(Intelligence.search([])), 1)
                self.assertFalse(
                    Intelligence.search([('mine', '=', True)]))

    @with_company
    def test_segregated(self):
        "Test nobody evaluates or rewards what they reported"
        record = self.report("Carla")
        for values in [{'value': 'high'}, {'opinion': "Splendid"}]:
            with self.subTest(values=values):
                with self.assertRaises(AccessError):
                    self.click(record, user="Carla", **values)
        record = self.click(
            record, user="Carl", value='high', opinion="Worth a visit")
        with self.assertRaises(CareError):
            self.click(record, 'evaluate', user="Carla")
        record = self.click(record, 'evaluate', user="Carl")
        self.assertEqual(record.evaluated_by, employee("Carl"))
        for button in ['accept', 'reject']:
            with self.assertRaises(CareError):
                self.click(record, button, user="Carla")
        with self.assertRaises(AccessError):
            self.click(record, user="Carla", reward=Decimal(100))
        # Neither under the name of somebody else
        record = self.report("Carla", reported_by=employee("Sven").id)
        with self.assertRaises(AccessError):
            self.click(record, user="Carla", value='high', opinion="Yes")

    @with_company
    def test_forged(self):
        "Test nobody reports what is already evaluated"
        for values in [
                {'state': 'accepted'},
                {'value': 'high'},
                {'opinion': "Splendid"},
                {'reward': Decimal(1000)},
                {'evaluated_by': employee("Carla").id},
                {'reward_approved_by': employee("Carla").id},
                ]:
            with self.subTest(values=values):
                with self.assertRaises(AccessError):
                    self.report(**values)
        record = self.report(reported_user=get('res.user', "Carla").id)
        self.assertEqual(record.reported_user, get('res.user', "Sven"))

    @with_company
    def test_outside(self):
        "Test outsiders report through somebody"
        record = self.report(
            "Carla", reported_by=None, reporter_name="A lorry driver")
        self.assertEqual(record.reporter_name, "A lorry driver")
        with self.assertRaises(RequiredValidationError):
            self.report("Carla", reported_by=None)

    @with_company
    def test_evaluate(self):
        "Test an evaluation says what it is worth"
        record = self.report()
        with self.assertRaises(CareError):
            self.click(record, 'evaluate')
        with self.assertRaises(CareError):
            self.click(record, 'evaluate', value='low')
        with self.assertRaises(AccessButtonError):
            self.click(record, 'evaluate', user="Sven")
        record = self.click(record, 'evaluate', opinion="Known already")
        self.assertEqual(record.state, 'evaluated')
        for values in [{'value': 'high'}, {'text': "Nothing"}]:
            with self.assertRaises(AccessError):
                self.click(record, **values)
        with self.assertRaises(AccessError):
            self.click(record, user="Sven", text="Nothing")
        record = self.click(record, 'reject')
        self.assertEqual(record.state, 'rejected')
        with self.assertRaises(AccessError):
            self.click(record, reward=Decimal(100))

    @with_company
    def test_follow(self):
        "Test what is accepted is planned, followed and closed"
        pool = Pool()
        Action = pool.get('customer.intelligence.action')
        self.check_no_action(self.evaluated(), "Evaluated")
        record = self.click(self.evaluated(), 'accept')
        with self.assertRaises(CareError):
            self.click(record, 'follow')
        record = self.click(record, 'follow', actions=[('create', [{
                            'name': "Call the planner",
                            'employee': employee("Carl").id,
                            'due_date': dt.date.today(),
                            }])])
        self.assertEqual(record.state, 'followed')
        with self.assertRaises(CareError) as error:
            self.click(record, 'close', outcome="An order")
        self.assertIn("Call the planner", str(error.exception))
        with client("Carl"):
            Action.do(list(record.actions))
        record = self.click(record, 'close', outcome="An order")
        self.assertEqual(record.state, 'closed')
        self.assertEqual(record.closed_by, employee("Carla"))
        self.check_no_action(record, "Closed")
        self.check_no_action(
            self.click(self.evaluated(), 'reject'), "Rejected")

    def check_no_action(self, record, state):
        Action = Pool().get('customer.intelligence.action')
        with client("Carla"), self.assertRaisesRegex(CareError, state):
            Action.create([{
                        'intelligence': record.id,
                        'name': "Call the planner",
                        'employee': employee("Carl").id,
                        'due_date': dt.date.today(),
                        }])

    @with_company
    def test_reward(self):
        "Test a reward is approved once and then paid"
        record = self.click(self.evaluated(), 'accept')
        with self.assertRaises(AccessButtonError):
            self.click(record, 'approve_reward', user="Ada")
        record = self.click(record, reward=Decimal(100))
        with self.assertRaises(AccessButtonError):
            self.click(record, 'approve_reward')
        with self.assertRaises(AccessButtonError):
            self.click(record, 'pay_reward', user="Ada")
        record = self.click(record, 'approve_reward', user="Ada")
        self.assertEqual(record.reward_approved_by, employee("Ada"))
        with self.assertRaises(AccessError):
            self.click(record, reward=Decimal(1000))
        record = self.click(record, 'pay_reward', user="Ada")
        self.assertEqual(record.reward_paid_on, dt.date.today())

    @with_company
    def test_reward_negative(self):
        "Test a reward is positive"
        record = self.click(self.evaluated(), 'accept')
        with self.assertRaises(DomainValidationError):
            self.click(record, reward=Decimal(-5))

    @with_company
    def test_confidential(self):
        "Test what is about a secret customer is as secret"
        Intelligence = Pool().get('customer.intelligence')
        file = create_file(confidentiality='secret')
        record, = Intelligence.create([{
                    'file': file.id,
                    'reported_by': employee("Carl").id,
                    'subject': "A plant", 'text': "There is one."}])
        for user in ["Carla", "Audrey", "Sven"]:
            with self.subTest(user=user), client(user):
                self.assertFalse(Intelligence.search([]))
                with self.assertRaises(AccessError):
                    Intelligence.read([record.id], ['subject'])

    @with_company
    def test_opportunity(self):
        "Test an opportunity is made of it, once"
        pool = Pool()
        Intelligence = pool.get('customer.intelligence')
        Opportunity = pool.get('sale.opportunity')
        record = self.click(self.report(
                party=get('party.party', "Acme").id), 'evaluate',
            value='high', opinion="Worth a visit")
        with self.assertRaises(AccessButtonError):
            self.click(record, 'create_opportunity')
        record = self.click(record, 'accept', 'create_opportunity', 'follow')
        opportunity, = Opportunity.search([])
        self.assertEqual(record.opportunity, opportunity)
        self.assertEqual(opportunity.party, record.party)
        self.assertEqual(opportunity.description, record.subject)
        self.assertEqual(opportunity.company, record.company)
        Intelligence.create_opportunity([record])
        self.assertEqual(Opportunity.search([], count=True), 1)

    @with_company
    def test_company(self):
        "Test the reports of other companies are not seen"
        Intelligence = Pool().get('customer.intelligence')
        company = new_company()
        record, = Intelligence.create([{
                    'company': company.id,
                    'reported_by': None,
                    'reporter_name': "A lorry driver",
                    'subject': "A plant", 'text': "There is one."}])
        for user in ["Carla", "Sven", "Audrey"]:
            with client(user):
                self.assertFalse(Intelligence.search([]))
                with self.assertRaises(AccessError):
                    Intelligence.read([record.id], ['subject'])
        with self.assertRaises(AccessError):
            self.report("Carla", company=company.id, reported_by=None,
                reporter_name="Nobody")


class AssessmentTestCase(CareTestCase):
    "Test the assessments"

    def create(self, file, user="Carla", **values):
        Assessment = Pool().get('customer.assessment')
        with client(user):
            record, = Assessment.create([{'file': file.id, **values}])
        return Assessment(record.id)

    def do(self, record, user="Carla"):
        Assessment = Pool().get('customer.assessment')
        with client(user):
            Assessment.do([Assessment(record.id)])
        return Assessment(record.id)

    @with_company
    def test_done(self):
        "Test an assessment stays as it is and the next takes its place"
        Assessment = Pool().get('customer.assessment')
        file = create_file()
        empty = self.create(file)
        with self.assertRaises(CareError):
            self.do(empty)
        first = self.do(self.create(
                file, industry=70, loyalty=0, assessed_on=months_ago(6)))
        self.assertEqual(first.assessed_by, employee("Carla"))
        with client("Carla"), self.assertRaises(AccessError):
            Assessment.write([first], {'industry': 100})
        with self.assertRaises(AccessError):
            Assessment.delete([first])
        second = self.do(self.create(file, industry=90))
        first = Assessment(first.id)
        self.assertEqual(first.state, 'superseded')
        self.assertEqual(first.superseded_by, second)
        self.assertEqual(first.industry, 70)
        with self.assertRaises(CareError):
            self.do(self.create(
                    file, industry=10, assessed_on=months_ago(3)))
        with self.assertRaises(CareError):
            self.do(self.create(
                    file, industry=10,
                    assessed_on=dt.date.today() + dt.timedelta(days=1)))
        copy, = Assessment.copy([second])
        self.assertEqual(
            (copy.state, copy.assessed_by, copy.industry),
            ('draft', None, 90))

    @with_company
    def test_today(self):
        "Test today is that of the company of the customer"
        file = create_file()
        tomorrow = dt.date.today() + dt.timedelta(days=1)
        record = self.create(file, industry=70, assessed_on=tomorrow)
        with on_in(file.company, tomorrow):
            with client("Carla"), Transaction().set_context(company=None):
                record.__class__.do([record])
        self.assertEqual(record.__class__(record.id).state, 'done')

    @with_company
    def test_range(self):
        "Test criteria are from 0 to 100"
        file = create_file()
        for value in [-1, 101]:
            with self.subTest(value=value):
                with self.assertRaises(DomainValidationError):
                    self.create(file, demand=value)

    @with_company
    def test_rights(self):
        "Test who assesses customers"
        Assessment = Pool().get('customer.assessment')
        file = create_file()
        assessment = self.create(file, industry=70)
        for user in ["Sven", "Nora"]:
            with client(user), self.assertRaises(AccessError):
                Assessment.read([assessment.id], ['industry'])
        with client("Audrey"), self.assertRaises(AccessButtonError):
            Assessment.do([assessment])
        for values in [
                {'state': 'done'}, {'assessed_by': employee("Carl").id}]:
            with self.assertRaises(AccessError):
                self.create(file, industry=100, **values)
        other = create_file(company=new_company())
        with self.assertRaises(AccessError):
            self.create(other, industry=70)
        assessment, = Assessment.create([
                {'file': other.id, 'industry': 50}])
        with client("Carla"), self.assertRaises(AccessError):
            Assessment.do([assessment])
