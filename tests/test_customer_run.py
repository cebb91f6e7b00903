# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.model.modelview import AccessButtonError
from trytond.modules.customer_grading.exceptions import (
    GradingRunError, SchemeError)
from trytond.modules.customer_grading.file import recording
from trytond.pool import Pool
from trytond.transaction import Transaction

from .grading import client, company, shipped
from .grading_run import (
    TODAY, RunTestCase, add_line, add_receivable, add_sale, create_parties,
    create_scheme, criterion, grade, party, reconcile)
from .review import (
    as_user, count_queries, employee, get, get_notifications, on, with_company)

D = Decimal
DAY = dt.timedelta(days=1)
REFUSED = (AccessError, AccessButtonError, GradingRunError)
EXPECTED = Path(__file__).with_name('customer_run_expected.json')


def create_run(scheme, user="Anna", **values):
    Run = Pool().get('customer.grading.run')
    with client(user):
        run, = Run.create([{'scheme': scheme.id, **values}])
    return Run(run.id)


def press(button, run, user):
    Run = Pool().get('customer.grading.run')
    with client(user):
        getattr(Run, button)([Run(run.id)])
    return Run(run.id)


def compute(scheme, user="Anna", **values):
    "Create a run and compute it as the queue does"
    Run = Pool().get('customer.grading.run')
    run = press('compute', create_run(scheme, user, **values), user)
    Run.execute([Run(run.id)])
    Transaction().tasks.clear()
    return Run(run.id)


def apply(run, approver="Alma"):
    return press('apply', press('approve', run, approver), "Anna")


def get_results(run):
    return {r.party.rec_name: r for r in run.results}


def codes(run, name='final_grade'):
    return {
        p: getattr(r, name).code if getattr(r, name) else None
        for p, r in get_results(run).items()}


def current(*names, axis='class'):
    Grade = Pool().get('customer.grade')
    parties = {p.id: p.rec_name for p in map(party, names)}
    grades = Grade.get_current(company(), list(parties))
    GradingGrade = Pool().get('customer.grading.grade')
    return {
        n: GradingGrade(grades[i][axis]).code
        if axis in grades.get(i, {}) else None
        for i, n in parties.items()}


def by_sales(**values):
    "Create the scheme of which the points are the sales"
    return create_scheme(
        criterion('sales_amount', 100, 'linear', 0, 100), **values)


def sell(**amounts):
    for name, amount in amounts.items():
        add_sale(party(name), TODAY - DAY, amount)


class RunStateTestCase(RunTestCase):
    "Test the way of a grading run from draft to applied"

    @with_company
    def test_flow(self):
        "Test a run changes no grade before it is applied"
        scheme = by_sales()
        sell(Acme=80, Borg=50, Coil=10)
        run = compute(scheme)
        self.assertEqual(run.state, 'computed')
        self.assertIsNotNone(run.number)
        self.assertEqual(run.axis, 'class')
        self.assertEqual(codes(run), {'Acme': 'A', 'Borg': 'B', 'Coil': 'C'})
        self.assertEqual(
            (run.customers, run.first, run.upgraded, run.not_rated),
            (3, 3, 0, 0))
        self.assertEqual(run.computed_by, employee("Anna"))
        self.assertEqual(
            set(current("Acme", "Borg", "Coil").values()), {None})
        self.assertIn('alma', get_notifications())
        run = press('approve', run, "Alma")
        self.assertEqual(run.state, 'approved')
        self.assertEqual(run.approved_by, employee("Alma"))
        self.assertEqual(
            set(current("Acme", "Borg", "Coil").values()), {None})
        run = press('apply', run, "Anna")
        self.assertEqual(run.state, 'applied')
        self.assertEqual(run.applied_by, employee("Anna"))
        self.assertEqual(
            current("Acme", "Borg", "Coil"),
            {'Acme': 'A', 'Borg': 'B', 'Coil': 'C'})
        Grade = Pool().get('customer.grade')
        acme, = Grade.search([('party', '=', party("Acme").id)])
        self.assertEqual(acme.source, 'run')
        self.assertEqual(acme.result, get_results(run)['Acme'])
        self.assertEqual(acme.start_date, TODAY)

    @with_company
    def test_segregated(self):
        "Test who computed a run does not approve it"
        scheme = by_sales()
        sell(Acme=80)
        run = compute(scheme)
        with self.assertRaises(GradingRunError):
            press('approve', run, "Anna")
        for user in ["Karl", "Sven", "Audrey"]:
            with self.subTest(user=user):
                with self.assertRaises((AccessError, AccessButtonError)):
                    press('approve', run, user)
        # Credit approves credit only
        with self.assertRaises(AccessError):
            press('approve', run, "Cora")
        # Another company does not see it
        with self.assertRaises((AccessError, UserError)):
            press('approve', run, "Zoe")
        # The same employee with another user
        User = Pool().get('res.user')
        User.write([get('res.user', "Alma")], {
                'employees': [('add', [employee("Anna").id])],
                'employee': employee("Anna").id})
        with self.assertRaises(GradingRunError):
            press('approve', run, "Alma")
        Run = Pool().get('customer.grading.run')
        self.assertEqual(Run(run.id).state, 'computed')

    @with_company
    def test_credit(self):
        "Test finance approves the runs of the credit axis"
        scheme = by_sales(axis='credit')
        sell(Acme=80)
        run = press('approve', compute(scheme), "Cora")
        self.assertEqual(run.approved_by, employee("Cora"))

    @with_company
    def test_buttons(self):
        "Test only the administration runs the schemes"
        Run = Pool().get('customer.grading.run')
        scheme = by_sales()
        sell(Acme=80)
        run = create_run(scheme)
        for user in ["Karl", "Cora", "Sven", "Audrey", "Olga"]:
            for button in ['compute', 'apply', 'cancel']:
                with self.subTest(user=user, button=button):
                    with self.assertRaises((AccessError, AccessButtonError)):
                        press(button, run, user)
            with client(user), self.assertRaises(AccessError):
                Run.create([{'scheme': scheme.id}])
        for button in ['approve', 'apply']:
            with self.assertRaises(REFUSED):
                press(button, run, "Alma")
        run = press('compute', run, "Anna")
        with self.assertRaises(REFUSED):
            press('compute', run, "Anna")
        Run.execute([run])
        run = Run(run.id)
        self.assertEqual(run.state, 'computed')
        # A task that is tried again does nothing
        results = [r.id for r in run.results]
        Run.execute([run])
        self.assertEqual([r.id for r in Run(run.id).results], results)

    @with_company
    def test_cancelled(self):
        "Test a run that is cancelled is not computed any more"
        Run = Pool().get('customer.grading.run')
        sell(Acme=80)
        run = press('compute', create_run(by_sales()), "Anna")
        run = press('cancel', run, "Alma")
        Run.execute([run])
        run = Run(run.id)
        self.assertEqual(run.state, 'cancelled')
        self.assertEqual(run.cancelled_by, employee("Alma"))
        self.assertFalse(run.results)
        for button in ['compute', 'approve', 'apply', 'cancel']:
            with self.assertRaises(REFUSED):
                press(button, run, "Alma")

    @with_company
    def test_evidence(self):
        "Test what was computed cannot be changed by anybody"
        pool = Pool()
        Run = pool.get('customer.grading.run')
        Result = pool.get('customer.grading.result')
        Distribution = pool.get('customer.grading.distribution')
        sell(Acme=80, Borg=20)
        scheme = create_scheme(criterion('sales_amount', 100, 'percentile'))
        run = compute(scheme)
        result = run.results[0]
        for user in ["Anna", None]:
            def access(user=user):
                return client(user) if user else as_user("Anna")
            for values in [
                    {'date': TODAY - DAY}, {'state': 'applied'},
                    {'definition': '{}'}, {'customers': 5},
                    {'approved_by': employee("Alma").id},
                    {'results': [('delete', [result.id])]}]:
                with self.subTest(user=user, values=values):
                    with access(), self.assertRaises(AccessError):
                        Run.write([Run(run.id)], values)
            for values in [
                    {'final_grade': grade('class', 'A').id},
                    {'score': D(100)}, {'detail': '[]'}]:
                with access(), self.assertRaises(AccessError):
                    Result.write([Result(result.id)], values)
            with access(), self.assertRaises(AccessError):
                Result.delete([Result(result.id)])
            with access(), self.assertRaises(AccessError):
                Result.copy([Result(result.id)])
            with access(), self.assertRaises(AccessError):
                Distribution.delete(Distribution.search([]))
            with access(), self.assertRaises(AccessError):
                Run.create([{
                            'scheme': scheme.id, 'state': 'approved'}])
        run = press('approve', run, "Alma")
        with client("Anna"), self.assertRaises(AccessError):
            Run.delete([Run(run.id)])
        run = press('cancel', run, "Anna")
        with client("Anna"), self.assertRaises(AccessError):
            Run.delete([Run(run.id)])

    @with_company
    def test_delete(self):
        "Test a run that was not approved is deleted with its results"
        pool = Pool()
        Run = pool.get('customer.grading.run')
        Result = pool.get('customer.grading.result')
        sell(Acme=80)
        run = compute(by_sales())
        self.assertTrue(Result.search([]))
        with client("Anna"):
            Run.delete([Run(run.id)])
        self.assertFalse(Result.search([]))

    @with_company
    def test_copy(self):
        "Test a copy has nothing of what was computed"
        Run = Pool().get('customer.grading.run')
        sell(Acme=80)
        run = apply(compute(by_sales()))
        with client("Anna"):
            copy, = Run.copy([Run(run.id)])
        copy = Run(copy.id)
        self.assertEqual(copy.state, 'draft')
        self.assertNotEqual(copy.number, run.number)
        for name in [
                'started_at', 'computed_by', 'computed_user', 'computed_at',
                'approved_by', 'applied_by', 'definition', 'results',
                'customers']:
            with self.subTest(name=name):
                self.assertFalse(getattr(copy, name))

    @with_company
    def test_apply_back_test(self):
        "Test a run of the past is never applied"
        sell(Acme=80)
        scheme = by_sales()
        old = compute(scheme, date=TODAY - 8 * DAY)
        self.assertEqual(old.state, 'draft')
        self.assertIn(scheme.rec_name, old.error)
        add_sale(party("Acme"), TODAY - 30 * DAY, 20)
        old = press(
            'approve', compute(scheme, date=TODAY - 8 * DAY), "Alma")
        self.assertEqual(codes(old), {'Acme': 'C'})
        with self.assertRaises(GradingRunError):
            press('apply', old, "Anna")
        Configuration = Pool().get('customer.configuration')
        configuration = Configuration(1)
        configuration.set_multivalue(
            'run_apply_days', 8, company=company().id)
        apply_ = press('apply', old, "Anna")
        self.assertEqual(apply_.state, 'applied')

    @with_company
    def test_future(self):
        with self.assertRaises(GradingRunError):
            create_run(by_sales(), date=TODAY + DAY)

    @with_company
    def test_apply_newer(self):
        "Test a run is not applied after a newer one"
        sell(Acme=80)
        scheme = by_sales()
        first, second = compute(scheme), compute(scheme)
        first = press('approve', first, "Alma")
        apply(second)
        with self.assertRaisesRegex(GradingRunError, second.number):
            press('apply', first, "Anna")
        # Another axis is another matter
        other = compute(by_sales(axis='level'))
        self.assertEqual(apply(other).state, 'applied')

    @with_company
    def test_apply_draft_scheme(self):
        "Test a scheme that is not published can be tried but not applied"
        sell(Acme=80)
        run = compute(by_sales(publish=False))
        self.assertEqual(codes(run), {'Acme': 'A'})
        run = press('approve', run, "Alma")
        with self.assertRaises(GradingRunError):
            press('apply', run, "Anna")

    @with_company
    def test_bad_scheme(self):
        "Test a scheme with faults computes nothing"
        scheme = create_scheme(
            criterion('sales_amount', 90, 'linear', 0, 100), publish=False)
        sell(Acme=80)
        run = create_run(scheme)
        with self.assertRaises(SchemeError):
            press('compute', run, "Anna")
        self.assertIsNone(Pool().get('customer.grading.run')(
                run.id).started_at)

    @with_company
    def test_no_data(self):
        "Test a period without data is an error that the run keeps"
        pool = Pool()
        Result = pool.get('customer.grading.result')
        add_sale(party("Acme"), TODAY - 800 * DAY, 80)
        self._create_file("Acme")
        run = compute(by_sales())
        self.assertEqual(run.state, 'draft')
        self.assertIn(run.number, run.error)
        self.assertIsNone(run.started_at)
        self.assertFalse(Result.search([]))
        self.assertIn('anna', get_notifications())
        # It can be computed again
        sell(Acme=80)
        run = press('compute', run, "Anna")
        pool.get('customer.grading.run').execute([run])
        run = pool.get('customer.grading.run')(run.id)
        self.assertEqual((run.state, run.error), ('computed', None))

    def _create_file(self, name):
        File = Pool().get('customer.file')
        file, = File.create([{
                    'company': company().id, 'party': party(name).id}])
        return file

    @with_company
    def test_no_rate(self):
        "Test a currency without rate computes nothing"
        pool = Pool()
        Currency = pool.get('currency.currency')
        Result = pool.get('customer.grading.result')
        euro, = Currency.create([{
                    'name': "Euro", 'code': 'EUR', 'symbol': "€"}])
        sell(Acme=80)
        add_sale(party("Borg"), TODAY - DAY, 80, currency=euro)
        run = compute(by_sales())
        self.assertEqual(run.state, 'draft')
        self.assertIn("Euro", run.error)
        self.assertFalse(Result.search([]))

    @with_company
    def test_unexpected_error(self):
        "Test nothing is left of a run that fails in the middle"
        pool = Pool()
        Run = pool.get('customer.grading.run')
        Result = pool.get('customer.grading.result')
        Distribution = pool.get('customer.grading.distribution')
        sell(Acme=80)
        scheme = create_scheme(criterion('sales_amount', 100, 'percentile'))
        with patch.object(
                Run, '_store_distributions', side_effect=ValueError("Oops")):
            with self.assertLogs('trytond.modules.customer_grading.run'):
                run = compute(scheme)
        self.assertEqual(run.state, 'draft')
        self.assertIn("Oops", run.error)
        self.assertFalse(Result.search([]))
        self.assertFalse(Distribution.search([]))


class RunResultTestCase(RunTestCase):
    "Test what runs compute"

    @with_company
    def test_population(self):
        "Test who is graded: with orders, file or grade"
        pool = Pool()
        File = pool.get('customer.file')
        Grade = pool.get('customer.grade')
        ids = create_parties(1)
        sell(Acme=80)
        add_sale(party("Borg"), TODAY - 800 * DAY, 80)
        File.create([{
                    'company': company().id, 'party': party("Coil").id}])
        Grade.assign(
            company(), 'class', {ids[0]: grade('class', 'A').id}, TODAY,
            'run')
        add_sale(
            party("Borg"), TODAY - DAY, 80, company=company("Sabre"))
        run = compute(by_sales())
        self.assertEqual(
            codes(run),
            {'Acme': 'A', 'Coil': None, 'Customer 0001': None})
        results = get_results(run)
        self.assertEqual(results['Coil'].reason, 'coverage')
        self.assertEqual(results['Coil'].coverage, 0)
        self.assertIsNone(results['Coil'].score)
        # Who is not rated keeps the grade
        apply(run)
        self.assertEqual(
            current("Acme", "Coil", "Customer 0001"),
            {'Acme': 'A', 'Coil': None, 'Customer 0001': 'A'})

    @with_company
    def test_companies(self):
        "Test two companies grade the same party differently"
        sabre = company("Sabre")
        sell(Acme=80)
        add_sale(party("Acme"), TODAY - DAY, 10, company=sabre)
        apply(compute(by_sales()))
        scheme = by_sales(company=sabre.id)
        run = compute(scheme, "Zoe", company=sabre.id)
        self.assertEqual(codes(run), {'Acme': 'C'})
        self.assertEqual(current("Acme"), {'Acme': 'A'})
        Run = Pool().get('customer.grading.run')
        Result = Pool().get('customer.grading.result')
        Criterion = Pool().get('customer.grading.result.criterion')
        Migration = Pool().get('customer.grading.migration')
        for Model in [Run, Result, Criterion, Migration]:
            with client("Anna"):
                self.assertEqual(
                    {r.company for r in Model.search([])}, {company()})
            with client("Zoe"):
                self.assertEqual(
                    {r.company for r in Model.search([])}, {sabre})
            with client("Olga"), self.assertRaises(AccessError):
                Model.search([])

    @with_company
    def test_percentile(self):
        "Test equal values have the same percentile"
        names = ["Acme", "Borg", "Coil"]
        for name, amount in zip(names, [10, 20, 20]):
            add_sale(party(name), TODAY - DAY, amount)
        for party_, amount in zip(create_parties(2), [30, 40]):
            add_sale(party_, TODAY - DAY, amount)
        # Of 5 customers 1, 3, 3, 4 and 5 have that much or less
        run = compute(create_scheme(
                criterion('sales_amount', 100, 'percentile')))
        self.assertEqual(
            sorted(r.score for r in run.results), [20, 60, 60, 80, 100])
        # 5, 4, 4, 2 and 1 have that much or more
        run = compute(create_scheme(
                criterion(
                    'sales_amount', 100, 'percentile', lower_is_better=True),
                axis='level'))
        self.assertEqual(
            {n: get_results(run)[n].score for n in names},
            {'Acme': 100, 'Borg': 80, 'Coil': 80})

    @with_company
    def test_pareto(self):
        "Test who crosses the line still is above it"
        names = ["Acme", "Borg", "Coil", "Customer 0001", "Customer 0002"]
        create_parties(2)
        # Of 1000 in total 600, 250, 100, 25 and 25. Those who are greater
        # have 0, 60 %, 85 %, 95 % and, the two being equal, 95 %
        for name, amount in zip(names, [600, 250, 100, 25, 25]):
            add_sale(party(name), TODAY - DAY, amount)
        # A up to 80 %, B up to 95 %
        run = compute(create_scheme(criterion(
                    'sales_amount', 100, 'pareto',
                    (None, 100), ('0.8', 50), ('0.95', 0))))
        self.assertEqual(
            codes(run), dict(zip(names, ['A', 'A', 'B', 'C', 'C'])))
        shares = {
            n: get_results(run)[n].criteria[0].rank for n in names}
        self.assertEqual(shares, {
                'Acme': 0, 'Borg': D('0.6'), 'Coil': D('0.85'),
                'Customer 0001': D('0.95'), 'Customer 0002': D('0.95')})

    @with_company
    def test_explanation(self):
        "Test every grade explains itself and goes on doing it"
        pool = Pool()
        Criterion = pool.get('customer.grading.criterion')
        acme = party("Acme")
        for i in range(3):
            add_sale(acme, TODAY - (i + 1) * DAY, 1000)
        line = add_receivable(acme, 500, TODAY - 40 * DAY)
        reconcile(line, TODAY - 15 * DAY)
        scheme = create_scheme(
            criterion(
                'sales_amount', 50, 'band', (None, 10), (1000, 60),
                (5000, 100), name="Sales of the year"),
            criterion('days_late', 30, 'linear', 50, 0, name="Payment"),
            criterion(
                'return_rate', 20, 'linear', 1, 0, missing='neutral',
                name="Returns"))
        run = compute(scheme)
        result, = run.results

        def explain():
            Result = pool.get('customer.grading.result')
            return [
                (c.name, c.metric, c.method, c.value_text, c.count, c.band,
                    c.points, c.weight, c.contribution, c.missing_text)
                for c in Result(result.id).criteria]
        explanation = explain()
        self.assertEqual(explanation, [
                ("Sales of the year", "Sales", "Bands", "$3,000.00", 3,
                    "$1,000.00 – $5,000.00", 60, 50, 30, ""),
                # 25 days late of at most 50
                ("Payment", "Days Late", "Linear", "25 days", 1, "",
                    50, 30, 15, ""),
                ("Returns", "Returned Share", "Linear", "", 0, "",
                    50, 20, 10, "50 Points"),
                ])
        self.assertEqual(result.score, 55)
        self.assertEqual(
            sum(c.contribution for c in result.criteria), result.score)
        with recording('_customer_grading'):
            Criterion.write(list(scheme.criteria), {
                    'name': "Something else", 'weight': D(1)})
        Transaction().connection.cursor().execute(
            'DELETE FROM sale_sale')
        self.assertEqual(explain(), explanation)

    @with_company
    def test_criteria_queries(self):
        "Test the explanations are read by few queries"
        Result = Pool().get('customer.grading.result')
        for party_ in create_parties(20):
            add_sale(party_, TODAY - DAY, 80)
        run = compute(create_scheme(
                criterion('sales_amount', 50, 'linear', 0, 100),
                criterion('order_count', 50, 'linear', 0, 100)))
        counts = []
        ids = [r.id for r in run.results]
        for number in [1, 20]:
            results = Result.browse(ids[:number])
            with Transaction().set_context(_test=number), \
                    count_queries() as queries:
                for result in Result.browse(ids[:number]):
                    for criterion_ in result.criteria:
                        self.assertTrue(criterion_.name)
            counts.append(len(queries))
            self.assertEqual(len(results), number)
        self.assertLessEqual(counts[1], counts[0] + 1)

    @with_company
    def test_migration(self):
        "Test how many move from grade to grade"
        Grade = Pool().get('customer.grade')
        ids = create_parties(4)
        before = dict(zip(ids, 'ABBC'))
        Grade.assign(
            company(), 'class',
            {i: grade('class', c).id for i, c in before.items()}, TODAY,
            'run')
        for party_, amount in zip(ids, [50, 80, 80, 10]):
            add_sale(party_, TODAY - DAY, amount)
        sell(Acme=80)
        run = compute(by_sales())
        matrix = {
            (m.previous_grade.code if m.previous_grade else None,
                m.final_grade.code): (m.count, m.share, m.change)
            for m in run.migration}
        self.assertEqual(matrix, {
                ('A', 'B'): (1, D('0.2'), 'down'),
                ('B', 'A'): (2, D('0.4'), 'up'),
                ('C', 'C'): (1, D('0.2'), 'same'),
                (None, 'A'): (1, D('0.2'), 'first'),
                })
        self.assertEqual(
            (run.customers, run.upgraded, run.downgraded, run.first),
            (5, 2, 1, 1))

    @with_company
    def test_override(self):
        "Test a run does not touch a grade that is overridden"
        pool = Pool()
        Override = pool.get('customer.grade.override')
        acme = party("Acme")
        with as_user("Karl"):
            override, = Override.create([{
                        'company': company().id, 'party': acme.id,
                        'axis': 'class', 'grade': grade('class', 'A').id,
                        'reason': "Strategic", 'start_date': TODAY,
                        'end_date': TODAY + 30 * DAY}])
            Override.request([override])
        with as_user("Anna"):
            Override.approve([Override(override.id)])
        sell(Acme=10)
        run = apply(compute(by_sales()))
        result, = run.results
        self.assertEqual(result.reason, 'override')
        self.assertEqual(result.computed_grade.code, 'C')
        self.assertEqual(result.final_grade.code, 'A')
        self.assertEqual(current("Acme"), {'Acme': 'A'})

    @with_company
    def test_parties(self):
        "Test selected customers are ranked among all"
        ids = create_parties(4)
        for party_, amount in zip(ids, [10, 20, 30, 40]):
            add_sale(party_, TODAY - 10 * DAY, amount)
        scheme = create_scheme(criterion('sales_amount', 100, 'percentile'))
        run = create_run(
            scheme, kind='parties', parties=[('add', [ids[0]])])
        with self.assertRaisesRegex(GradingRunError, "of all customers"):
            press('compute', run, "Anna")
        full = compute(scheme)
        add_sale(ids[0], TODAY - DAY, 25)
        # It is computed at once
        run = create_run(
            scheme, kind='parties', parties=[('add', [ids[0]])])
        run = press('compute', run, "Anna")
        self.assertEqual(run.state, 'computed')
        self.assertEqual(run.distribution, full)
        result, = run.results
        # Now 35: 3 of 4 had that much or less
        self.assertEqual(result.score, 75)
        self.assertEqual(result.criteria[0].rank, D('0.75'))

    @with_company
    def test_changed(self):
        "Test only those with business are graded by night"
        Run = Pool().get('customer.grading.run')
        sell(Acme=80, Borg=80)
        scheme = by_sales()
        with self.assertRaises(GradingRunError):
            compute(scheme, kind='changed')
        compute(scheme)
        run = compute(scheme, kind='changed')
        self.assertEqual((run.state, run.customers), ('computed', 0))
        add_sale(
            party("Acme"), TODAY - DAY, -50,
            create_date=dt.datetime.now() + DAY)
        run = compute(scheme, kind='changed')
        self.assertEqual(codes(run), {'Acme': 'C'})
        self.assertEqual(Run(run.id).state, 'computed')

    @with_company
    def test_regrade(self):
        "Test the customers selected in a list are graded"
        pool = Pool()
        Party = pool.get('party.party')
        Regrade = pool.get('customer.grading.run.regrade', type='wizard')
        Run = pool.get('customer.grading.run')
        sell(Acme=80, Borg=10)
        scheme = by_sales()
        with client("Anna"):
            session, _, _ = Regrade.create()
            parties = Party.browse(
                [party("Acme").id, party("Borg").id])
            with Transaction().set_context(
                    active_model='party.party', active_id=parties[0].id,
                    active_ids=[p.id for p in parties]):
                view = Regrade.execute(session, {}, 'start')['view']
                self.assertEqual(
                    view['defaults']['schemes'], [scheme.id])
                result = Regrade.execute(session, {
                        'start': {
                            'company': company().id,
                            'schemes': [scheme.id]}}, 'regrade')
        run, = Run.browse(result['actions'][0][1]['res_id'])
        self.assertEqual(codes(run), {'Acme': 'A', 'Borg': 'C'})

    @with_company
    def test_schedule(self):
        "Test runs are computed when they are due"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Run = pool.get('customer.grading.run')
        scheme = by_sales()
        sell(Acme=80)

        def schedule():
            with Transaction().set_user(0), \
                    Transaction().set_context(company=company().id):
                Run.schedule()
                runs = Run.search([('state', '=', 'draft')])
                Run.execute(runs)
            Transaction().tasks.clear()
            return [(r.kind, Run(r.id).state) for r in runs]
        self.assertEqual(schedule(), [])
        configuration = Configuration(1)
        configuration.set_multivalue(
            'run_full_interval', 3, company=company().id)
        self.assertEqual(schedule(), [('full', 'computed')])
        notifications = get_notifications()
        self.assertEqual(set(notifications), {'anna', 'alma'})
        self.assertEqual(schedule(), [])
        configuration.set_multivalue(
            'run_changed', True, company=company().id)
        add_sale(
            party("Acme"), TODAY - DAY, 10,
            create_date=dt.datetime.now() + DAY)
        self.assertEqual(schedule(), [('changed', 'computed')])
        with on(TODAY + 100 * DAY):
            self.assertEqual(schedule(), [('full', 'computed')])
        run, = Run.search([('kind', '=', 'full'), ('date', '=', TODAY)])
        self.assertEqual(run.scheme, scheme)
        # Nobody computed it, so that anybody of the group can approve
        self.assertEqual(
            press('approve', run, "Anna").approved_by, employee("Anna"))

    @with_company
    def test_schedule_unusable(self):
        "Test a scheme that cannot be used stops no other"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Run = pool.get('customer.grading.run')
        Scheme = pool.get('customer.grading.scheme')
        broken = by_sales()
        usable = by_sales(axis='level')
        sell(Acme=80)
        Configuration(1).set_multivalue(
            'run_full_interval', 3, company=company().id)
        check_usable = Scheme.check_usable

        def check(schemes):
            if broken in schemes:
                raise UserError("No rate")
            check_usable(schemes)

        def schedule():
            with Transaction().set_user(0):
                Run.schedule()
                Run.execute(Run.search([('started_at', '!=', None)]))
            Transaction().tasks.clear()
            return {
                r.scheme: (r.state, r.error) for r in Run.search([
                        ('scheme', 'in', [broken.id, usable.id])])}

        with patch.object(Scheme, 'check_usable', side_effect=check):
            for _ in range(2):
                self.assertEqual(schedule(), {
                        broken: ('draft', "No rate"),
                        usable: ('computed', None),
                        })
                self.assertEqual(set(get_notifications()), {'anna', 'alma'})
        self.assertEqual(schedule()[broken], ('computed', None))
        # The one that had failed is the one that is computed
        self.assertEqual(
            Run.search([('scheme', '=', broken.id)], count=True), 1)

    @with_company
    def test_shipped(self):
        "Test the shipped schemes are run as they are"
        sell(Acme=80, Borg=50)
        for axis in ['class', 'level', 'credit']:
            with self.subTest(axis=axis):
                run = compute(shipped(axis))
                self.assertEqual(run.error, None)
                self.assertEqual(apply(run).state, 'applied')

    @with_company
    def test_queries(self):
        "Test a run costs the same queries for few customers and for many"
        scheme = by_sales()
        counts = []
        for number in [1, 40]:
            for party_ in create_parties(number):
                add_sale(party_, TODAY - DAY, 80)
            run = create_run(scheme)
            run = press('compute', run, "Anna")
            with count_queries() as queries:
                Pool().get('customer.grading.run').execute([run])
            counts.append(len(queries))
        self.assertLessEqual(counts[1], counts[0])

    @with_company
    def test_replace(self):
        "Test results stay with a customer that is merged with another"
        pool = Pool()
        Replace = pool.get('party.replace', type='wizard')
        sell(Acme=80, Borg=10)
        run = apply(compute(by_sales()))
        acme, borg = party("Acme"), party("Borg")
        session, _, _ = Replace.create()
        with Transaction().set_context(_skip_warnings=True):
            Replace.execute(session, {'ask': {
                        'source': borg.id, 'destination': acme.id}},
                'replace')
        Run = pool.get('customer.grading.run')
        self.assertEqual(
            [r.party for r in Run(run.id).results], [acme, acme])


def generate():
    "Create the business of customers, the same each time"
    pool = Pool()
    Currency = pool.get('currency.currency')
    state = 20250101

    def random(n):
        nonlocal state
        state = (state * 1103515245 + 12345) % 2 ** 31
        return (state >> 16) % n

    end = dt.date(2025, 6, 30)
    euro, = Currency.create([{
                'name': "Euro", 'code': 'EUR', 'symbol': "€",
                'rates': [('create', [
                            {'date': dt.date(2023, 1, 1), 'rate': D('0.91')},
                            {'date': dt.date(2024, 9, 1), 'rate': D('0.87')},
                            ])],
                }])
    product = get('product.product', "Screen")
    for party_ in create_parties(80):
        days = 80 if not random(5) else 900
        for _ in range(random(9)):
            amount = D(random(100000)) / 100
            if not random(4):
                # Equal values
                amount = D(250)
            sale = add_sale(
                party_, end - random(days) * DAY, amount,
                currency=euro if not random(3) else None,
                state=['done', 'processing', 'cancelled'][random(3)])
            for _ in range(random(3)):
                add_line(
                    sale, random(12) - 2, D(random(9999)) / 100, product)
        for _ in range(random(7)):
            due = end - random(500) * DAY + 60 * DAY
            line = add_receivable(
                party_, D(random(100000) + 1) / 100, due)
            if random(4):
                reconcile(line, due + (random(60) - 20) * DAY)
    return end


class RunDatabasesTestCase(RunTestCase):
    "Test the databases compute the same"

    @with_company
    def test_expected(self):
        "Test the results are those that were once stored, row by row"
        end = generate()
        run = compute(create_scheme(
                criterion(
                    'sales_amount', 20, 'pareto', (None, 100), ('0.7', 60),
                    ('0.9', 20)),
                criterion('sales_growth', 10, 'linear', -1, 1),
                criterion('order_count', 10, 'percentile'),
                criterion('active_months', 5, 'linear', 0, 12),
                criterion(
                    'recency_days', 5, 'percentile', lower_is_better=True),
                criterion('customer_years', 5, 'linear', 0, 3),
                criterion('product_variety', 5, 'linear', 0, 1),
                criterion(
                    'margin_rate', 10, 'band', (None, 0), (0, 50),
                    ('0.3', 100), missing='neutral'),
                criterion('days_late', 10, 'linear', 60, 0),
                criterion(
                    'overdue_amount', 10, 'linear', 1000, 0, missing='zero',
                    knock_out=True, knock_out_operator='>=',
                    knock_out_value=D(400),
                    knock_out_grade=grade('class', 'C').id),
                criterion('overdue_days_amount', 5, 'linear', 90, 0),
                criterion('return_rate', 5, 'linear', 1, 0, missing='full'),
                minimum_coverage=D('0.9'),
                new_customer_grade=grade('class', 'B').id,
                new_customer_months=3), date=end)
        self.assertIsNone(run.error)
        rows = [[
                r.party.rec_name, str(r.score), str(r.coverage),
                r.computed_grade.code if r.computed_grade else None,
                r.reason, r.change, json.loads(r.detail)]
            for r in sorted(run.results, key=lambda r: r.party.rec_name)]
        expected = json.loads(EXPECTED.read_text())
        self.assertEqual(len(rows), len(expected))
        for row, other in zip(rows, expected):
            self.assertEqual(row, other)
        self.assertGreater(len({r[4] for r in rows}), 3)
        self.assertGreater(len({r[3] for r in rows}), 3)
