# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.modules.company.tests import create_company as new_company
from trytond.pool import Pool
from trytond.transaction import Transaction

from .care import CareTestCase, create_file
from .review import create_party, create_sale, get_company, with_company

START, END = dt.date(2025, 12, 31), dt.date(2026, 12, 31)


def measure(family, company=None, start=START, end=END, parties=None):
    "Return the rows of the family by party"
    Metric = Pool().get('customer.grading.metric')
    cursor = Transaction().connection.cursor()
    query = getattr(Metric, f'_metric_{family}')(
        company or get_company(), start, end, parties=parties)
    cursor.execute(*query)
    names = [c[0].split(' ')[0] for c in cursor.description]
    return {
        row[0]: dict(zip(names[1:], row[1:])) for row in cursor.fetchall()}


class CareMetricTestCase(CareTestCase):
    "Test what care measures of the customers"
    modules = ['customer_grading', 'sale_complaint']

    @with_company
    def test_registry(self):
        "Test the metrics have labels, families and kinds, each once"
        Metric = Pool().get('customer.grading.metric')
        names = [n for n, _ in Metric.get_metrics()]
        self.assertEqual(len(names), len(set(names)))
        families = Metric.families()
        for family in ['satisfaction', 'complaints', 'assessment']:
            for name in families[family]:
                self.assertIn(name, names)
                self.assertIn(name, Metric.get_kinds())

    def create_surveys(self, file, *scores):
        pool = Pool()
        Survey = pool.get('customer.survey')
        with Transaction().set_context(_customer_care=True):
            for date, score, state in scores:
                Survey.create([{
                            'file': file.id,
                            'due_date': date,
                            'employee': None,
                            'closed_on': date,
                            'score': Decimal(score),
                            'state': state,
                            }])

    @with_company
    def test_satisfaction(self):
        "Test satisfaction is the mean of what was closed in the window"
        file, other = create_file(), create_file(create_party("Other"))
        self.create_surveys(
            file,
            (START, 10, 'closed'),
            (dt.date(2026, 1, 1), 80, 'closed'),
            (END, 90, 'closed'),
            (dt.date(2026, 6, 1), 0, 'answered'),
            (dt.date(2027, 1, 1), 20, 'closed'))
        self.create_surveys(other, (dt.date(2026, 6, 1), 50, 'closed'))
        rows = measure('satisfaction')
        self.assertEqual(rows.keys(), {file.party.id, other.party.id})
        row = rows[file.party.id]
        self.assertEqual(float(row['satisfaction_score']), 85)
        self.assertEqual(row['satisfaction_score_count'], 2)
        self.assertEqual(
            measure('satisfaction', parties=[other.party.id]).keys(),
            {other.party.id})
        self.assertFalse(measure('satisfaction', parties=[]))

    @with_company
    def test_assessment(self):
        "Test the last assessment until the end counts, at any time"
        Assessment = Pool().get('customer.assessment')
        file = create_file()
        with Transaction().set_context(_customer_care=True):
            Assessment.create([{
                        'file': file.id,
                        'assessed_on': date,
                        'industry': industry,
                        'loyalty': loyalty,
                        'state': state,
                        } for date, industry, loyalty, state in [
                        (dt.date(2024, 5, 1), 70, 60, 'superseded'),
                        (dt.date(2026, 5, 1), 90, None, 'done'),
                        (dt.date(2026, 6, 1), 10, 10, 'draft'),
                        ]])
        row, = measure('assessment').values()
        self.assertEqual(
            (row['assessment_industry'], row['assessment_industry_count']),
            (90, 1))
        self.assertEqual(
            (row['assessment_loyalty'], row['assessment_loyalty_count']),
            (None, 0))
        row, = measure('assessment', end=dt.date(2026, 4, 30)).values()
        self.assertEqual(row['assessment_industry'], 70)
        self.assertFalse(measure('assessment', end=dt.date(2024, 4, 30)))
        self.assertFalse(measure('assessment', company=new_company()))

    @with_company
    def test_complaints(self):
        "Test the rate is of the complaints that were accepted by orders"
        pool = Pool()
        Complaint = pool.get('sale.complaint')
        Model = pool.get('ir.model')
        Sale = pool.get('sale.sale')
        Type = pool.get('sale.complaint.type')
        model, = Model.search([('name', '=', 'sale.sale')])
        type_, = Type.create([{'name': "Order", 'origin': model.id}])
        often, never, only = map(create_party, ["Often", "Never", "Only"])
        for party, number in [(often, 4), (never, 2)]:
            for _ in range(number):
                sale = create_sale(
                    lines=[("Work", 1, 100)], party=party, quote=False,
                    sale_date=dt.date(2026, 3, 1))
                Sale.write([sale], {'state': 'confirmed'})
        create_sale(
            lines=[("Work", 1, 100)], party=never, quote=False,
            sale_date=dt.date(2026, 3, 1))
        for party, date, state in [
                (often, dt.date(2026, 4, 1), 'done'),
                (often, dt.date(2026, 4, 1), 'rejected'),
                (often, START, 'done'),
                (only, dt.date(2026, 4, 1), 'approved'),
                (only, dt.date(2026, 5, 1), 'done')]:
            Complaint.create([{
                        'customer': party.id, 'type': type_.id,
                        'date': date, 'state': state}])
        self.assertEqual({
                p: (float(r['complaint_rate']), r['complaint_rate_count'])
                for p, r in measure('complaints').items()}, {
                often.id: (0.25, 4),
                never.id: (0, 2),
                only.id: (2, 1),
                })

    @with_company
    def test_changed(self):
        "Test who was assessed, asked, investigated or complained is found"
        pool = Pool()
        Assessment = pool.get('customer.assessment')
        Complaint = pool.get('sale.complaint')
        Employee = pool.get('company.employee')
        Investigation = pool.get('customer.credit.investigation')
        Metric = pool.get('customer.grading.metric')
        Model = pool.get('ir.model')
        Type = pool.get('sale.complaint.type')
        names = ['assessed', 'asked', 'investigated', 'complaining']
        files = {n: create_file(create_party(n)) for n in names}
        today = dt.date.today()
        with Transaction().set_context(
                _customer_care=True, _customer_file=True):
            Assessment.create([{
                        'file': files['assessed'].id, 'state': 'done',
                        'assessed_on': today, 'industry': 10}])
            self.create_surveys(files['asked'], (today, 50, 'closed'))
            Investigation.create([{
                        'file': files['investigated'].id, 'state': 'done',
                        'date': today,
                        'investigator': Employee.search([], limit=1)[0].id,
                        'done_at': dt.datetime.now(),
                        'background': "A", 'sources': "B",
                        'conclusion': "C", 'valid_until': today}])
        model, = Model.search([('name', '=', 'sale.sale')])
        type_, = Type.create([{'name': "Order", 'origin': model.id}])
        Complaint.create([{
                    'customer': files['complaining'].party.id,
                    'type': type_.id, 'date': today, 'state': 'approved'}])

        hour = dt.timedelta(hours=1)

        def changed(*metrics, since=None):
            since = since or dt.datetime.now() - hour
            return Metric.get_changed(get_company(), since, set(metrics))
        for name, metric in zip(names, [
                    'assessment_industry', 'satisfaction_score',
                    'external_rating', 'complaint_rate']):
            with self.subTest(metric=metric):
                self.assertEqual(changed(metric), [files[name].party.id])
                self.assertEqual(changed(
                        metric, since=dt.datetime.now() + hour), [])
        self.assertEqual(
            changed(*(m for m, _ in Metric.get_metrics())),
            sorted(f.party.id for f in files.values()))
