# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What the parts of the grading of customers do to each other"
import datetime as dt
from decimal import Decimal

from trytond.model import ModelSingleton, ModelSQL, ModelView, fields
from trytond.modules.account_credit_limit.tests import \
    test_module as account_credit_limit
from trytond.modules.sale_credit_limit.tests import \
    test_module as sale_credit_limit
from trytond.pool import Pool
from trytond.tests.test_tryton import (
    TestCase, activate_module, with_transaction)
from trytond.transaction import Transaction

from .customer import create_file
from .grading import company
from .grading_run import (
    TODAY, RunTestCase, add_receivable, add_sale, grade, party)
from .review import as_user, get_notifications, on, with_company
from .test_customer_run import DAY, apply, by_sales, compute, current, sell
from .tools import extras_depend


def override(name, code, days=30, axis='class'):
    "Create an override and approve it"
    Override = Pool().get('customer.grade.override')
    with as_user("Karl"):
        record, = Override.create([{
                    'company': company().id,
                    'party': party(name).id,
                    'axis': axis,
                    'grade': grade(axis, code).id,
                    'reason': "Strategic",
                    'start_date': TODAY,
                    'end_date': TODAY + days * DAY,
                    }])
        Override.request([record])
    with as_user("Anna"):
        Override.approve([Override(record.id)])
    return Override(record.id)


def end(record):
    Override = Pool().get('customer.grade.override')
    with as_user("Anna"):
        record = Override(record.id)
        Override.write([record], {'closing_reason': "Wrong"})
        Override.end([record])


class OverrideRunTestCase(RunTestCase):
    "Test runs and overrides respect each other"

    @with_company
    def test_approved_meanwhile(self):
        "Test what is overridden after the run was computed stays"
        sell(Acme=10, Borg=10)
        run = compute(by_sales())
        override("Acme", 'A')
        apply(run)
        self.assertEqual(
            current("Acme", "Borg"), {'Acme': 'A', 'Borg': 'C'})

    @with_company
    def test_ended_meanwhile(self):
        "Test what is not overridden any more gets the computed grade"
        record = override("Acme", 'A')
        sell(Acme=50)
        run = compute(by_sales())
        end(record)
        self.assertEqual(current("Acme"), {'Acme': None})
        apply(run)
        self.assertEqual(current("Acme"), {'Acme': 'B'})

    @with_company
    def test_back_to_computed(self):
        "Test the end of an override brings what the last run computed"
        Override = Pool().get('customer.grade.override')
        sell(Acme=10)
        apply(compute(by_sales()))
        override("Acme", 'A', days=5)
        sell(Acme=40)
        apply(compute(
                Pool().get('customer.grading.scheme').search([
                        ('company', '=', company().id)])[0]))
        # It is not applied
        sell(Acme=40)
        compute(Pool().get('customer.grading.scheme').search([
                    ('company', '=', company().id)])[0])
        self.assertEqual(current("Acme"), {'Acme': 'A'})
        with on(TODAY + 6 * DAY), \
                Transaction().set_context(company=company().id):
            Override.expire()
        self.assertEqual(current("Acme"), {'Acme': 'B'})

    @with_company
    def test_file(self):
        "Test the file of a customer leads to its grades"
        Grade = Pool().get('customer.grade')
        file = create_file(party("Acme"), company())
        for name in ["Acme", "Borg"]:
            override(name, 'A')
        found, = Grade.search([('customer_file', '=', file.id)])
        self.assertEqual(found.party.name, "Acme")
        self.assertEqual(found.customer_file, file)

    @with_company
    def test_policy(self):
        "Test a run and overrides propose the limits of the policy"
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        Policy = pool.get('customer.service.policy')
        for code, amount in [('A', 1000), ('B', 500)]:
            Policy.create([{
                        'name': code, 'company': company().id,
                        'class_': grade('class', code).id,
                        'credit_method': 'fixed',
                        'credit_amount': Decimal(amount),
                        }])

        def proposed():
            return [(c.party.name, c.new) for c in Change.search(
                    [('state', '=', 'proposed')])]
        sell(Acme=50)
        apply(compute(by_sales()))
        self.assertEqual(proposed(), [("Acme", 500)])
        record = override("Acme", 'A')
        self.assertEqual(proposed(), [("Acme", 1000)])
        end(record)
        self.assertEqual(proposed(), [("Acme", 500)])


class NightTestCase(RunTestCase):
    "Test the nightly runs"

    def schedule(self):
        Run = Pool().get('customer.grading.run')
        known = {r.id for r in Run.search([])}
        with Transaction().set_user(0), \
                Transaction().set_context(company=company().id):
            Run.schedule()
            runs = Run.search([('id', 'not in', list(known))])
            Run.execute(runs)
        Transaction().tasks.clear()
        return [(r.kind, Run(r.id).state) for r in runs]

    @with_company
    def test_nothing_changed(self):
        "Test there is no run in the night after which nobody changed"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Configuration(1).set_multivalue(
            'run_changed', True, company=company().id)
        sell(Acme=80)
        compute(by_sales())
        get_notifications()
        self.assertEqual(self.schedule(), [])
        self.assertEqual(get_notifications(), {})
        add_sale(
            party("Acme"), TODAY - DAY, -50,
            create_date=dt.datetime.now() + DAY)
        self.assertEqual(self.schedule(), [('changed', 'computed')])

    @with_company
    def test_all_metrics(self):
        "Test what changes is found for all metrics at once"
        Metric = Pool().get('customer.grading.metric')
        sell(Acme=80)
        metrics = {n for n, _ in Metric.get_metrics()}
        since = dt.datetime(2019, 1, 1)
        self.assertEqual(
            Metric.get_changed(company(), since, metrics),
            [party("Acme").id])
        for name in metrics:
            with self.subTest(metric=name):
                self.assertEqual(
                    Metric.get_changed(company(), since, {name}),
                    [party("Acme").id])

    @with_company
    def test_posted(self):
        "Test what was entered before and is posted now is found"
        pool = Pool()
        Line = pool.get('account.move.line')
        Metric = pool.get('customer.grading.metric')
        line = Line(add_receivable(party("Acme"), 100, TODAY - DAY))
        since = dt.datetime.now() - DAY
        self.assertEqual(
            Metric.get_changed(company(), since, {'days_late'}), [])
        table = pool.get('account.move').__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.write_date], [dt.datetime.now()],
                where=table.id == line.move.id))
        self.assertEqual(
            Metric.get_changed(company(), since, {'days_late'}),
            [party("Acme").id])


class StockTestCase(TestCase):
    "Test stock behaves the same beside our module"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module('customer_grading')

    test_account = (
        account_credit_limit.AccountCreditLimitTestCase
        .test_check_credit_limit)
    test_sale = (
        sale_credit_limit.SaleCreditLimitTestCase.test_check_credit_limit)


class RegistryTestCase(TestCase):
    "Test nothing of what all models need is forgotten"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module([
                'customer_grading', *extras_depend('customer_grading')])

    def iter_models(self):
        pool = Pool()
        IrModel = pool.get('ir.model')
        for model in IrModel.search([('module', '=', 'customer_grading')]):
            Model = pool.get(model.name)
            if issubclass(Model, ModelSQL):
                yield Model

    @with_transaction()
    def test_replace(self):
        "Test each field of parties is replaced exactly once"
        Replace = Pool().get('party.replace', type='wizard')
        expected = [
            (Model.__name__, name)
            for Model in self.iter_models() if not callable(Model.table_query)
            for name, field in Model._fields.items()
            if isinstance(field, fields.Many2One)
            and field.model_name == 'party.party']
        self.assertTrue(expected)
        ours = {m for m, _ in expected}
        self.assertEqual(
            sorted(f for f in Replace.fields_to_replace() if f[0] in ours),
            sorted(expected))

    @with_transaction()
    def test_rules(self):
        "Test what belongs to a company is only seen by its users"
        pool = Pool()
        Group = pool.get('ir.rule.group')
        ruled = {
            g.model for g in Group.search([('global_p', '=', True)])}
        for Model in self.iter_models():
            if not issubclass(Model, ModelView) or issubclass(
                    Model, ModelSingleton):
                continue
            with self.subTest(model=Model.__name__):
                self.assertTrue(
                    Model.__name__ in ruled or Model.__access__
                    or Model.__name__ in {
                        'customer.grading.grade', 'customer.industry'})

    @with_transaction()
    def test_buttons(self):
        "Test each button is only for some groups"
        pool = Pool()
        Button = pool.get('ir.model.button')
        for Model in self.iter_models():
            if Model.__name__ == 'sale.complaint.prevention':
                # Whoever may change the complaint
                continue
            for name in getattr(Model, '_buttons', {}):
                with self.subTest(model=Model.__name__, button=name):
                    buttons = Button.search([
                            ('model', '=', Model.__name__),
                            ('name', '=', name),
                            ])
                    self.assertTrue(buttons and buttons[0].groups)
