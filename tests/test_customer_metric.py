# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import csv
import datetime as dt
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

from sql import Column

from trytond.modules.customer_grading.evaluation import (
    Distribution, Evaluator, Values)
from trytond.modules.customer_grading.exceptions import GradingRunError
from trytond.pool import Pool
from trytond.transaction import Transaction

from .grading import TestCase, company, party
from .grading_run import (
    RunTestCase, add_line, add_receivable, add_sale, create_parties, get,
    reconcile)
from .review import with_company

D = Decimal
START, END = dt.date(2024, 12, 31), dt.date(2025, 12, 31)


def criterion(metric='sales_amount', weight=100, method='band', **values):
    return {
        'id': 1, 'name': metric, 'metric': metric, 'weight': D(weight),
        'method': method, 'lower_is_better': False, 'minimum': None,
        'maximum': None, 'missing': 'skip', 'knock_out': False,
        'knock_out_operator': None, 'knock_out_value': None,
        'knock_out_grade': None, 'bands': [], **values}


def definition(*criteria, **values):
    return {
        'id': 1, 'name': "Scheme", 'version': 1, 'axis': 'class',
        'window': 12, 'minimum_coverage': D('0.5'), 'hysteresis': D(5),
        'new_customer_grade': None, 'new_customer_months': None,
        'criteria': list(criteria),
        # A 1, B 2, C 3
        'thresholds': [
            {'grade': 1, 'code': 'A', 'rank': 10, 'minimum_score': D(70)},
            {'grade': 2, 'code': 'B', 'rank': 20, 'minimum_score': D(40)},
            {'grade': 3, 'code': 'C', 'rank': 30, 'minimum_score': D(0)},
            ],
        **values}


def bands(*values):
    values = [(None if m is None else D(m), D(p)) for m, p in values]
    ends = [m for m, _ in values[1:]] + [None]
    return [
        {'minimum': m, 'maximum': e, 'points': p}
        for (m, p), e in zip(values, ends)]


def linear(metric='sales_amount', weight=100, **values):
    "The points are the value"
    return criterion(
        metric, weight, 'linear', minimum=D(0), maximum=D(100), **values)


def cell(value, count=1, rank=None):
    return (None if value is None else D(value), count, rank)


class EvaluationTestCase(TestCase):
    "Test what a scheme says about a customer, without database"

    def evaluate(self, definition, *cells, **values):
        ranks = values.pop('ranks', None)
        date = values.pop('date', None)
        evaluator = Evaluator(definition, date=date, ranks=ranks)
        return evaluator(Values(list(cells), **values))

    def test_band(self):
        "Test a band begins at its minimum and ends before its maximum"
        scheme = definition(criterion(
                bands=bands((None, 10), (0, 40), (100, 90))))
        for value, points in [
                ('-0.01', 10), ('0', 40), ('99.99', 40), ('100', 90),
                ('1000000', 90)]:
            with self.subTest(value=value):
                self.assertEqual(
                    self.evaluate(scheme, cell(value)).score, points)

    def test_linear(self):
        "Test points between the ends, also where less is better"
        for minimum, maximum, value, score in [
                (0, 200, 50, 25), (0, 200, -1, 0), (0, 200, 300, 100),
                (60, 0, 15, 75), (60, 0, 90, 0), (60, 0, 0, 100),
                (0, 3, 1, '33.33')]:
            with self.subTest(minimum=minimum, value=value):
                scheme = definition(criterion(
                        method='linear', minimum=D(minimum),
                        maximum=D(maximum)))
                self.assertEqual(
                    self.evaluate(scheme, cell(value)).score, D(score))

    def test_weights(self):
        "Test the contributions make the score"
        scheme = definition(linear(weight=60), linear(weight=40))
        result = self.evaluate(scheme, cell(80, 3), cell(50, 7))
        # 80 x 0.6 + 50 x 0.4
        self.assertEqual(result.score, D('68.00'))
        self.assertEqual(result.coverage, 1)
        self.assertEqual((result.computed, result.reason), (2, 'score'))
        self.assertEqual(
            result.detail,
            '[{"value":"80","points":"80.00","contribution":"48.00",'
            '"count":3},'
            '{"value":"50","points":"50.00","contribution":"20.00",'
            '"count":7}]')

    def test_missing(self):
        "Test no data are neither 0 nor 100 points unless the scheme says so"
        for missing, score, coverage in [
                ('skip', 80, '0.6'), ('zero', 48, 1), ('neutral', 68, 1),
                ('full', 88, 1)]:
            with self.subTest(missing=missing):
                result = self.evaluate(
                    definition(
                        linear(weight=60),
                        linear(weight=40, missing=missing)),
                    cell(80), cell(None, 0))
                self.assertEqual(result.score, score)
                self.assertEqual(result.coverage, D(coverage))
                self.assertIn('"missing":true', result.detail)

    def test_coverage(self):
        "Test a customer of whom not enough is known is not rated"
        scheme = definition(linear(weight=40), linear(weight=60))
        result = self.evaluate(scheme, cell(100), cell(None, 0), current=2)
        self.assertEqual(result.coverage, D('0.4'))
        self.assertEqual(result.score, 100)
        self.assertIsNone(result.computed)
        self.assertIsNone(result.final)
        self.assertEqual(result.reason, 'coverage')
        self.assertEqual(result.change, 'not_rated')
        result = self.evaluate(scheme, cell(None, 0), cell(None, 0))
        self.assertIsNone(result.score)
        self.assertEqual(result.coverage, 0)
        self.assertEqual(result.reason, 'coverage')

    def test_hysteresis(self):
        "Test scores near a threshold keep the grade"
        scheme = definition(linear())
        for score, current, grade, reason, change in [
                # A from 70, B from 40, 5 points of margin
                (70, None, 1, 'score', 'first'),
                (70, 1, 1, 'score', 'same'),
                (74, 2, 2, 'hysteresis', 'same'),
                (75, 2, 1, 'score', 'up'),
                (65, 1, 1, 'hysteresis', 'same'),
                (64, 1, 2, 'score', 'down'),
                (40, 2, 2, 'score', 'same'),
                (35, 2, 2, 'hysteresis', 'same'),
                (34, 2, 3, 'score', 'down'),
                # Too little for A but enough for B
                (72, 3, 2, 'hysteresis', 'up'),
                (90, 3, 1, 'score', 'up'),
                (10, 1, 3, 'score', 'down'),
                ]:
            with self.subTest(score=score, current=current):
                result = self.evaluate(scheme, cell(score), current=current)
                self.assertEqual(
                    (result.computed, result.reason, result.change),
                    (grade, reason, change))

    def test_knock_out(self):
        "Test a knock-out limits the grade and nothing makes it better"
        scheme = definition(linear(weight=60), linear(
                'days_late', 40, knock_out=True, knock_out_operator='>=',
                knock_out_value=D(60), knock_out_grade=3))
        for late, grade, reason in [
                (59, 1, 'score'), (60, 3, 'knock_out')]:
            result = self.evaluate(scheme, cell(100), cell(late))
            self.assertEqual((result.final, result.reason), (grade, reason))
        self.assertIn('"knock_out":true', result.detail)
        # Without data nobody is knocked out
        result = self.evaluate(scheme, cell(100), cell(None, 0))
        self.assertEqual(result.reason, 'score')
        # Who is as bad anyway is so by the score
        result = self.evaluate(scheme, cell(0), cell(60))
        self.assertEqual((result.final, result.reason), (3, 'score'))

    def test_new_customer(self):
        "Test new customers get their own grade"
        scheme = definition(
            linear(knock_out=True, knock_out_operator='<=',
                knock_out_value=D(1), knock_out_grade=3),
            new_customer_grade=2, new_customer_months=6)
        date = dt.date(2025, 12, 31)
        for first, value, grade, reason in [
                (dt.date(2025, 7, 1), 100, 2, 'new'),
                (dt.date(2025, 6, 30), 100, 1, 'score'),
                (None, None, 2, 'new'),
                (dt.date(2025, 7, 1), 1, 3, 'knock_out'),
                ]:
            with self.subTest(first=first):
                result = self.evaluate(
                    scheme, cell(value), first=first, date=date)
                self.assertEqual(
                    (result.computed, result.reason), (grade, reason))

    def test_override(self):
        "Test an override wins and the computed grade is kept beside it"
        result = self.evaluate(
            definition(linear()), cell(10), current=2, override=1)
        self.assertEqual(result.computed, 3)
        self.assertEqual(result.final, 1)
        self.assertEqual(result.reason, 'override')
        self.assertEqual(result.change, 'up')

    def test_distribution(self):
        "Test others are ranked in the values of all customers"
        distribution = Distribution()
        # Of 5 customers with 10, 20, 20, 30 and 40
        for value, rank in [(10, '.2'), (20, '.6'), (30, '.8'), (40, '1')]:
            distribution.add(D(value), D(rank))
        loaded = Distribution()
        loaded.load(distribution.get_points())
        for value, rank in [
                (5, 0), (10, '.2'), (19, '.2'), (20, '.6'), (35, '.8'),
                (99, 1)]:
            self.assertEqual(loaded.get_rank(D(value)), D(rank))
        self.assertIsNone(loaded.get_rank(None))

        # Less is better: 10 as good as all, 40 as good as one of 5
        lower = Distribution(lower=True)
        for value, rank in [(40, '.2'), (30, '.4'), (20, '.8'), (10, '1')]:
            lower.add(D(value), D(rank))
        lower.load(lower.get_points())
        for value, rank in [
                (50, 0), (40, '.2'), (35, '.2'), (10, 1), (1, 1)]:
            self.assertEqual(lower.get_rank(D(value)), D(rank))

    def test_distribution_size(self):
        "Test few points keep the ranks but for a thousandth"
        distribution = Distribution()
        for i in range(1, 20001):
            distribution.add(D(i), D(i) / 20000)
        points = distribution.get_points()
        self.assertLessEqual(len(points), 1001)
        distribution.load(points)
        for value in [1, 7, 9999, 12345, 20000]:
            difference = D(value) / 20000 - distribution.get_rank(D(value))
            self.assertGreaterEqual(difference, 0)
            self.assertLessEqual(difference, D('0.001'))

    def test_pure(self):
        "Test the same values always give the same"
        scheme = definition(linear(weight=60), linear(weight=40))
        evaluator = Evaluator(scheme)
        results = {
            (r.score, r.coverage, r.final, r.reason, r.detail)
            for _ in range(3)
            for r in [evaluator(Values([cell('12.5'), cell('7.25')]))]}
        self.assertEqual(len(results), 1)


class MetricTestCase(RunTestCase):
    "Test what customers are measured by"

    def measure(self, family, *names, parties=None, start=START, end=END):
        "Return the values and counts by party"
        Metric = Pool().get('customer.grading.metric')
        cursor = Transaction().connection.cursor()
        query = getattr(Metric, f'_metric_{family}')(
            company(), start, end, parties=parties)
        columns = [query.party]
        for name in names:
            columns.extend([Column(query, name), Column(
                        query, f'{name}_count')])
        cursor.execute(*query.select(*columns))
        result = {}
        for party_, *values in cursor:
            result[party_] = [
                None if v is None else round(float(v), 4) for v in values]
        return result

    @with_company
    def test_registry(self):
        "Test all metrics have a family, a label and a kind"
        Metric = Pool().get('customer.grading.metric')
        names = [n for names in Metric.families().values() for n in names]
        self.assertEqual(len(names), len(set(names)))
        labels = dict(Metric.get_metrics())
        for name in names:
            self.assertTrue(labels[name])
            self.assertGreaterEqual(Metric.get_digits(name, company()), 0)
        for family in Metric.families():
            self.assertTrue(hasattr(Metric, f'_metric_{family}'))

    @with_company
    def test_sales(self):
        "Test only confirmed orders of the period and company count"
        acme, borg = party("Acme"), party("Borg")
        add_sale(acme, START, 1000)
        add_sale(acme, START + dt.timedelta(days=1), 100)
        add_sale(acme, dt.date(2025, 12, 1), 200, state='confirmed')
        add_sale(acme, dt.date(2025, 12, 21), 300, state='processing')
        add_sale(acme, END + dt.timedelta(days=1), 4000)
        for state in ['draft', 'quotation', 'cancelled']:
            add_sale(acme, dt.date(2025, 6, 1), 9999, state=state)
        add_sale(
            acme, dt.date(2025, 6, 1), 9999,
            company=company("Sabre"))
        add_sale(borg, dt.date(2024, 6, 1), 500)
        names = [
            'sales_amount', 'sales_growth', 'order_count', 'active_months',
            'recency_days', 'customer_years']
        values = self.measure('sales', *names)
        # In the year before 1000, now 600: 40 % less
        # Months January and December, last order 10 days before the end,
        # first one 365 days before it
        self.assertEqual(values[acme.id], [
                600, 3, -.4, 4, 3, 3, 2, 3, 10, 3,
                round(365 / 365.25, 4), 4])
        # Nothing in the period is no data and not 0
        self.assertEqual(
            values[borg.id],
            [None, 0, None, 0, None, 0, None, 0, None, 0,
                round(578 / 365.25, 4), 1])
        self.assertEqual(
            self.measure('sales', *names, parties=[acme.id]).keys(),
            {acme.id})

    @with_company
    def test_sales_not_cached(self):
        "Test orders without cached amount are summed up by their lines"
        acme, product = party("Acme"), get('product.product', "Screen")
        sale = add_sale(acme, dt.date(2025, 3, 1), None)
        add_line(sale, 2, '10.55', product)
        add_line(sale, 3, '1.10', product, actual_quantity=2)
        # 21.10 + 2.20
        self.assertEqual(
            self.measure('sales', 'sales_amount', 'product_variety'),
            {acme.id: [23.3, 1, 1, 2]})

    @with_company
    def test_currency(self):
        "Test orders are converted at their date"
        pool = Pool()
        Currency = pool.get('currency.currency')
        acme = party("Acme")
        euro, = Currency.create([{
                    'name': "Euro", 'code': 'EUR', 'symbol': "€",
                    'rates': [('create', [
                                {'date': dt.date(2025, 1, 1),
                                    'rate': D('0.5')},
                                {'date': dt.date(2025, 7, 1),
                                    'rate': D('0.8')}])],
                    }])
        dollar = company().currency
        self.assertEqual(
            [r.rate for r in dollar.rates], [1])
        add_sale(acme, dt.date(2025, 6, 30), 100, currency=euro)
        add_sale(acme, dt.date(2025, 7, 1), 100, currency=euro)
        add_sale(acme, dt.date(2025, 7, 2), 100)
        # 100 / 0.5 + 100 / 0.8 + 100
        self.assertEqual(
            self.measure('sales', 'sales_amount'), {acme.id: [425, 3]})

    @with_company
    def test_currency_without_rate(self):
        "Test a currency without rate is an error that names it and the date"
        pool = Pool()
        Currency = pool.get('currency.currency')
        euro, = Currency.create([{
                    'name': "Euro", 'code': 'EUR', 'symbol': "€",
                    'rates': [('create', [
                                {'date': dt.date(2025, 7, 1),
                                    'rate': D('0.8')}])],
                    }])
        add_sale(party("Acme"), dt.date(2025, 6, 30), 100, currency=euro)
        with self.assertRaisesRegex(
                GradingRunError, 'Euro.*06/30/2025'):
            self.measure('sales', 'sales_amount')

    @with_company
    def test_days_late(self):
        "Test the days late are weighted by the value"
        acme, borg = party("Acme"), party("Borg")
        # 1000 paid 10 days early, 3000 paid 20 days late:
        # (1000 x 0 + 3000 x 20) / 4000 = 15
        for amount, late in [(1000, -10), (3000, 20)]:
            line = add_receivable(acme, amount, dt.date(2025, 3, 1))
            reconcile(line, dt.date(2025, 3, 1) + dt.timedelta(days=late))
        # Due on December 1st and open on the 31st: 30 days, as is what was
        # paid later; the one that is due later does not count
        line = add_receivable(borg, 200, dt.date(2025, 12, 1))
        line = add_receivable(borg, 200, dt.date(2025, 12, 1))
        reconcile(line, dt.date(2026, 1, 5))
        add_receivable(borg, 900, dt.date(2026, 1, 1))
        # Nor what was due before the period and is paid
        line = add_receivable(borg, 5000, dt.date(2024, 12, 31))
        reconcile(line, dt.date(2025, 5, 31))
        names = ['days_late', 'overdue_amount', 'overdue_days_amount']
        values = self.measure('receivables', *names)
        self.assertEqual(values[acme.id], [15, 2, 0, 2, 0, 2])
        # 2 x 200 x 30 / 400
        self.assertEqual(values[borg.id], [30, 2, 400, 2, 30, 2])

    @with_company
    def test_back_test(self):
        "Test what happened after the date is not looked at"
        acme = party("Acme")
        line = add_receivable(acme, 100, dt.date(2025, 3, 1))
        names = ['days_late', 'overdue_amount']
        end = dt.date(2025, 3, 11)
        before = self.measure('receivables', *names, end=end)
        self.assertEqual(before, {acme.id: [10, 1, 100, 1]})
        reconcile(line, dt.date(2025, 6, 1))
        add_receivable(acme, 100, dt.date(2025, 4, 1))
        add_receivable(
            acme, 700, dt.date(2025, 3, 5), date=dt.date(2025, 3, 20))
        self.assertEqual(
            self.measure('receivables', *names, end=end), before)

    @with_company
    def test_payment_on_account(self):
        "Test payments that are not reconciled reduce what is overdue"
        acme = party("Acme")
        add_receivable(acme, 100, dt.date(2025, 3, 1))
        add_receivable(acme, -30, None, date=dt.date(2025, 3, 5))
        self.assertEqual(
            self.measure('receivables', 'overdue_amount'),
            {acme.id: [70, 2]})

    @with_company
    def test_margin_returns(self):
        "Test margin by the cost of the products, and returned goods"
        acme, product = party("Acme"), get('product.product', "Screen")
        sale = add_sale(acme, dt.date(2025, 3, 1), 800)
        # Costs 60 each: 10 x 100 less 2 x 100 returned, costs 8 x 60
        add_line(sale, 10, 100, product)
        add_line(sale, -2, 100, product)
        # (800 - 480) / 800
        self.assertEqual(
            self.measure('margin', 'margin_rate'), {acme.id: [.4, 2]})
        # 200 / 1000
        self.assertEqual(
            self.measure('returns', 'return_rate'), {acme.id: [.2, 2]})

    @with_company
    def test_changed(self):
        "Test who had business since"
        Metric = Pool().get('customer.grading.metric')
        acme, borg, coil = map(party, ["Acme", "Borg", "Coil"])
        now = dt.datetime.now()
        day = dt.timedelta(days=1)
        add_sale(acme, dt.date(2025, 3, 1), 1, create_date=now)
        add_sale(borg, dt.date(2025, 3, 1), 1, create_date=now - 2 * day)
        add_receivable(coil, 1, dt.date(2025, 3, 1), create_date=now)

        def changed(*metrics):
            return Metric.get_changed(company(), now - day, set(metrics))
        self.assertEqual(changed('sales_amount'), [acme.id])
        self.assertEqual(
            changed('sales_amount', 'days_late'), sorted([acme.id, coil.id]))
        self.assertEqual(changed('days_late'), sorted([acme.id, coil.id]))


class CDNOWTestCase(RunTestCase):
    """Test recency, frequency and monetary value agree with another
    implementation on a public purchase history"""

    @with_company
    def test_rfm(self):
        import pandas
        from lifetimes.utils import summary_data_from_transaction_data

        # CDNOW sample: customer, its number, date, CDs, amount
        file = (
            Path(find_spec('lifetimes').origin).parent
            / 'datasets' / 'CDNOW_sample.txt')
        with open(file) as f:
            rows = [
                (r[1], dt.datetime.strptime(r[2], '%Y%m%d').date(), D(r[4]))
                for r in csv.reader(
                    f, delimiter=' ', skipinitialspace=True)]
        self.assertEqual(len(rows), 6919)
        end = max(d for _, d, _ in rows)
        # Of a day there is one purchase
        days = {}
        for customer, day, amount in rows:
            key = customer, day
            days[key] = days.get(key, 0) + amount
        expected = summary_data_from_transaction_data(
            pandas.DataFrame(
                [(c, d, float(a)) for (c, d), a in days.items()],
                columns=['customer', 'date', 'amount']),
            'customer', 'date', 'amount', observation_period_end=end,
            include_first_transaction=True)
        self.assertEqual(len(expected), 2357)

        customers = sorted({c for c, _ in days})
        parties = dict(zip(customers, create_parties(len(customers))))
        for (customer, day), amount in days.items():
            add_sale(parties[customer], day, amount)
        measured = MetricTestCase.measure(
            self, 'sales', 'order_count', 'recency_days', 'sales_amount',
            'customer_years', start=dt.date(1996, 12, 31), end=end)
        self.assertEqual(len(measured), 2357)
        for row in expected.itertuples():
            orders, _, recency, _, amount, _, years, _ = measured[
                parties[row.Index]]
            self.assertEqual(orders, row.frequency)
            # They count from the first purchase, we from the last one
            self.assertEqual(recency, row.T - row.recency)
            self.assertEqual(years, round(row.T / 365.25, 4))
            self.assertAlmostEqual(
                amount, row.monetary_value * row.frequency, places=2)
