# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from trytond.model.exceptions import AccessError, SQLConstraintError
from trytond.model.modelview import AccessButtonError
from trytond.modules.customer_grading.exceptions import SchemeError
from trytond.modules.customer_grading.file import recording
from trytond.pool import Pool
from trytond.transaction import Transaction

from .grading import GradingTestCase, client, company, grade, shipped
from .review import count_queries, on_in, with_company


def create_scheme(axis='class', **values):
    "Create a scheme that can be used"
    Scheme = Pool().get('customer.grading.scheme')
    codes = {'class': 'ABC', 'level': '123', 'credit': 'ABCD'}[axis]
    values.setdefault('name', "Scheme")
    values.setdefault('criteria', [('create', [{
                        'name': "Sales",
                        'metric': 'sales_amount',
                        'weight': Decimal(60),
                        'method': 'pareto',
                        'bands': [('create', [
                                    band(None, '0.8', 100),
                                    band('0.8', None, 30),
                                    ])],
                        }, {
                        'name': "Margin",
                        'metric': 'margin_rate',
                        'weight': Decimal(40),
                        'method': 'linear',
                        'minimum': Decimal(0),
                        'maximum': Decimal('0.5'),
                        }])])
    values.setdefault('thresholds', [('create', [{
                        'grade': grade(axis, code).id,
                        'minimum_score': Decimal(score),
                        } for code, score in zip(
                            codes, [75, 50, 25, 10][:len(codes) - 1] + [0])
                        ])])
    scheme, = Scheme.create([{'axis': axis, **values}])
    return scheme


def band(minimum, maximum, points=50):
    return {
        'minimum': None if minimum is None else Decimal(minimum),
        'maximum': None if maximum is None else Decimal(maximum),
        'points': Decimal(points),
        }


class SchemeTestCase(GradingTestCase):
    "Test the schemes by which customers are graded"

    @with_company
    def test_shipped(self):
        "Test the shipped schemes can be used but not be changed"
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        Criterion = pool.get('customer.grading.criterion')
        schemes = Scheme.search([('company', '=', None)])
        self.assertEqual(
            sorted(s.axis for s in schemes), ['class', 'credit', 'level'])
        Scheme.check_usable(schemes)
        scheme = shipped('class')
        criterion, *_ = scheme.criteria
        band_ = criterion.bands[0]
        threshold, *_ = scheme.thresholds
        with client("Anna"):
            for record, values in [
                    (scheme, {'window': 24}),
                    (scheme, {'name': "Mine"}),
                    (scheme, {'company': company().id}),
                    (scheme, {'criteria': [
                                ('write', [criterion.id], {
                                        'weight': Decimal(1)})]}),
                    (criterion, {'weight': Decimal(1)}),
                    (criterion, {'bands': [('delete', [band_.id])]}),
                    (band_, {'points': Decimal(1)}),
                    (threshold, {'minimum_score': Decimal(1)}),
                    ]:
                Model = type(record)
                with self.subTest(model=Model.__name__, values=values):
                    with self.assertRaises(AccessError):
                        Model.write([Model(record.id)], values)
                    with self.assertRaises(AccessError):
                        Model.delete([Model(record.id)])
            with self.assertRaises(AccessError):
                Criterion.create([{
                            'scheme': scheme.id,
                            'name': "Mine",
                            'metric': 'sales_amount',
                            'weight': Decimal(1),
                            }])
            with self.assertRaises(AccessError):
                Scheme.create([{
                            'name': "Mine", 'axis': 'class',
                            'company': None}])
            for button in [Scheme.publish, Scheme.retire]:
                with self.assertRaises((AccessError, AccessButtonError)):
                    button([Scheme(scheme.id)])

    @with_company
    def test_copy(self):
        "Test a copy is the next version of the company"
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        for axis in ['class', 'level', 'credit']:
            scheme = shipped(axis)
            with client("Anna"):
                copy, = Scheme.copy([scheme])
            copy = Scheme(copy.id)
            self.assertEqual(copy.company, company())
            self.assertEqual(copy.previous, scheme)
            self.assertEqual(copy.version, 2)
            self.assertEqual(copy.state, 'draft')
            self.assertFalse(copy.frozen)
            definition, copied = [
                Scheme.get_definition([s])[s] for s in [scheme, copy]]
            for values in [definition, copied]:
                for name in ['id', 'company', 'version']:
                    del values[name]
                for criterion in values['criteria']:
                    del criterion['id']
            self.assertEqual(definition, copied)
            self.assertEqual(Scheme.get_problems([copy]), {copy: []})
        with client("Anna"):
            third, fourth = Scheme.copy([copy, copy])
        self.assertEqual(
            [s.version for s in Scheme.browse([third, fourth])], [3, 4])

    @with_company
    def test_problems(self):
        "Test all that is wrong is told at once"
        pool = Pool()
        Criterion = pool.get('customer.grading.criterion')
        Scheme = pool.get('customer.grading.scheme')
        Threshold = pool.get('customer.grading.threshold')

        def criterion(name, method='band', weight=10, bands=(), **values):
            return {
                'name': name, 'metric': 'days_late', 'method': method,
                'weight': Decimal(weight),
                'bands': [('create', [band(*b) for b in bands])],
                **values}
        linear = {'minimum': Decimal(1), 'maximum': Decimal(1)}
        scheme = create_scheme(
            criteria=[('create', [
                        criterion("None"),
                        criterion("Good", bands=[(None, 1), (1, None)]),
                        criterion("Overlap", bands=[
                                (None, 5), ('3', 8), (8, None)]),
                        criterion("Gap", bands=[(None, 5), (7, None)]),
                        criterion("Start", bands=[(5, None)]),
                        criterion("End", bands=[(None, 5)]),
                        criterion("Empty", bands=[(None, 5), (5, 5),
                                (5, None)]),
                        criterion("Both", bands=[
                                (None, None), (None, None)]),
                        criterion("Pareto", 'pareto', bands=[
                                ('0.1', '0.9')]),
                        criterion("Whole", 'pareto', bands=[
                                ('0', '0.5'), ('0.5', '1')]),
                        criterion("Equal", 'linear', **linear),
                        criterion("Unlimited", 'linear', **linear),
                        criterion("Knock", bands=[(None, None)]),
                        ])],
            thresholds=[('create', [
                        {'grade': grade('class', code).id,
                            'minimum_score': Decimal(score)}
                        for code, score in [('A', 20), ('B', 80), ('C', 20)]
                        ])])
        table = Criterion.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [table.minimum], [None], where=table.name == "Unlimited"))
        cursor.execute(*table.update(
                [table.knock_out], [True], where=table.name == "Knock"))
        table = Threshold.__table__()
        cursor.execute(*table.update(
                [table.grade], [grade('level', '3').id],
                where=(table.scheme == scheme.id)
                & (table.grade == grade('class', 'C').id)))
        Transaction().cache.clear()
        with client("Anna"), self.assertRaises(SchemeError) as cm:
            Scheme.publish([Scheme(scheme.id)])
        message = cm.exception.message
        for text in [
                "make 130 percent",
                '"None": it has no bands',
                '"Overlap": more than one band has the values from 3 to '
                'below 5',
                '"Gap": no band has the values from 5 to below 7',
                '"Start": no band has the values below 5',
                '"End": no band has the values from 5',
                '"Empty": the band from 5 to below 5 is empty',
                '"Both": more than one band has all values',
                '"Pareto": no band has the values from 0 to below 0.1',
                '"Pareto": no band has the values from 0.9 to below 1',
                '"Equal": 0 points and 100 points are for the same value',
                '"Unlimited": the value for 0 points or for 100 points is',
                '"Knock": the condition, the value or the grade',
                "No threshold begins at score 0",
                '"Third Level" of a threshold is of another axis',
                'have the same minimum score 20',
                '"Important Customer" needs a higher score than '
                '"Key Customer"',
                ]:
            with self.subTest(text=text):
                self.assertIn(text, message)
        for name in ["Good", "Whole"]:
            self.assertNotIn(f'"{name}"', message)
        self.assertEqual(Scheme(scheme.id).state, 'draft')
        self.assertIn("130", Scheme(scheme.id).problems)

    @with_company
    def test_empty(self):
        "Test a scheme without criteria, thresholds or known metrics"
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        Scheme = pool.get('customer.grading.scheme')
        empty = create_scheme(criteria=None, thresholds=None)
        scheme = create_scheme()
        with patch.object(Metric, 'get_metrics', return_value=[
                    ('sales_amount', "Sales")]):
            with self.assertRaises(SchemeError) as cm:
                Scheme.check_usable([empty, scheme])
        for text in [
                "It has no criteria", "It has no thresholds",
                'metric "margin_rate" is not known']:
            self.assertIn(text, cm.exception.message)

    @with_company
    def test_publish(self):
        "Test who publishes retires the former scheme"
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        first, second, other = [create_scheme(a) for a in [
                'class', 'class', 'level']]
        self.assertEqual([first.version, second.version], [1, 2])
        for user in ["Karl", "Cora", "Sven", "Audrey", "Olga", "Zoe"]:
            with self.subTest(user=user), client(user):
                with self.assertRaises((AccessError, AccessButtonError)):
                    Scheme.publish([Scheme(first.id)])
        with client("Anna"), self.assertRaises(SchemeError):
            Scheme.publish(Scheme.browse([first, second]))
        with client("Anna"):
            Scheme.publish(Scheme.browse([first, other]))
        self.assertEqual(first.state, 'published')
        self.assertEqual(first.published_by.rec_name, "Anna")
        self.assertTrue(first.published_on)
        with client("Anna"):
            Scheme.publish([Scheme(second.id)])
        self.assertEqual(
            [Scheme(s.id).state for s in [first, second, other]],
            ['retired', 'published', 'published'])
        with client("Anna"), self.assertRaises(AccessButtonError):
            Scheme.publish([Scheme(first.id)])
        with recording('_customer_grading'), \
                self.assertRaises(SQLConstraintError):
            Scheme.write([first], {'state': 'published'})

    @with_company
    def test_publish_today(self):
        "Test today is that of the company of the scheme"
        scheme = create_scheme()
        tomorrow = dt.date.today() + dt.timedelta(days=1)
        with on_in(scheme.company, tomorrow):
            with Transaction().set_context(company=None):
                scheme.__class__.publish([scheme])
        self.assertEqual(
            scheme.__class__(scheme.id).published_on, tomorrow)

    @with_company
    def test_frozen(self):
        "Test nobody changes what is published"
        pool = Pool()
        Band = pool.get('customer.grading.band')
        Criterion = pool.get('customer.grading.criterion')
        Scheme = pool.get('customer.grading.scheme')
        Threshold = pool.get('customer.grading.threshold')
        scheme, draft = create_scheme(), create_scheme()
        with client("Anna"):
            Scheme.publish([Scheme(scheme.id)])
        self.check_frozen(scheme, draft)
        with client("Anna"):
            Scheme.retire([Scheme(scheme.id)])
        self.check_frozen(scheme, draft)
        with client("Anna"):
            for Model, record in [
                    (Band, draft.criteria[0].bands[0]),
                    (Criterion, draft.criteria[0]),
                    (Threshold, draft.thresholds[0]),
                    (Scheme, draft)]:
                Model.delete([Model(record.id)])

    @with_company
    def test_used(self):
        "Test nobody changes what was used"
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        scheme, draft = create_scheme(), create_scheme()

        def get_used(schemes):
            return {s.id for s in schemes} & {scheme.id}
        with patch.object(Scheme, 'get_used', side_effect=get_used):
            self.check_frozen(scheme, draft)

    def check_frozen(self, scheme, draft):
        pool = Pool()
        Band = pool.get('customer.grading.band')
        Criterion = pool.get('customer.grading.criterion')
        Scheme = pool.get('customer.grading.scheme')
        Threshold = pool.get('customer.grading.threshold')
        scheme, draft = Scheme.browse([scheme, draft])
        self.assertTrue(scheme.frozen)
        self.assertFalse(draft.frozen)
        criterion, *_ = scheme.criteria
        threshold, *_ = scheme.thresholds
        band_, *_ = criterion.bands
        other, *_ = draft.criteria
        for Model, record, values in [
                (Scheme, scheme, {'name': "Other"}),
                (Scheme, scheme, {'window': 24}),
                (Scheme, scheme, {'state': 'draft'}),
                (Scheme, scheme, {'criteria': [
                            ('remove', [criterion.id])]}),
                (Scheme, scheme, {'criteria': [('add', [other.id])]}),
                (Scheme, draft, {'criteria': [('add', [criterion.id])]}),
                (Scheme, draft, {'criteria': [
                            ('write', [other.id], {
                                    'bands': [('add', [band_.id])]})]}),
                (Scheme, draft, {'state': 'published'}),
                (Criterion, criterion, {'weight': Decimal(50)}),
                (Criterion, criterion, {'scheme': draft.id}),
                (Criterion, criterion, {'bands': [
                            ('create', [band('9', '10')])]}),
                (Criterion, other, {'scheme': scheme.id}),
                (Band, band_, {'points': Decimal(1)}),
                (Band, band_, {'criterion': other.id}),
                (Band, other.bands[0], {'criterion': criterion.id}),
                (Threshold, threshold, {'minimum_score': Decimal(99)}),
                (Threshold, threshold, {'scheme': draft.id}),
                ]:
            with self.subTest(model=Model.__name__, values=values):
                with client("Anna"), self.assertRaises(AccessError):
                    Model.write([Model(record.id)], values)
                with self.assertRaises(AccessError):
                    Model.write([Model(record.id)], values)
        for Model, record in [
                (Scheme, scheme), (Criterion, criterion), (Band, band_),
                (Threshold, threshold)]:
            with self.subTest(model=Model.__name__):
                with client("Anna"), self.assertRaises(AccessError):
                    Model.delete([Model(record.id)])
                with self.assertRaises(AccessError):
                    Model.delete([Model(record.id)])
        for Model, values in [
                (Criterion, {
                        'scheme': scheme.id, 'name': "New",
                        'metric': 'sales_amount', 'weight': Decimal(0)}),
                (Band, {'criterion': criterion.id, **band('2', '3')}),
                ]:
            with self.subTest(model=Model.__name__):
                with self.assertRaises(AccessError):
                    Model.create([values])
        self.assertTrue(Scheme(scheme.id).frozen)

    @with_company
    def test_state(self):
        "Test only the buttons set the state, and versions stay"
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        scheme = create_scheme()
        with client("Anna"):
            for values in [
                    {'state': 'published'}, {'version': 9},
                    {'previous': shipped('class').id}, {'company': None},
                    {'published_on': None}]:
                with self.subTest(values=values):
                    with self.assertRaises(AccessError):
                        Scheme.write([Scheme(scheme.id)], values)
            with self.assertRaises(AccessError):
                Scheme.create([{
                            'name': "Mine", 'axis': 'credit',
                            'state': 'published'}])
            created, = Scheme.create([{
                        'name': "Mine", 'axis': 'level', 'version': 9}])
        self.assertEqual(Scheme(created.id).version, 1)

    @with_company
    def test_access(self):
        "Test who reads and writes schemes"
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        Criterion = pool.get('customer.grading.criterion')
        scheme = create_scheme()
        criterion, *_ = scheme.criteria
        for user in ["Karl", "Cora", "Sven", "Audrey"]:
            with self.subTest(user=user), client(user):
                self.assertEqual(Scheme(scheme.id).name, "Scheme")
                self.assertTrue(Scheme.search([('company', '=', None)]))
                for Model, record in [
                        (Scheme, scheme), (Criterion, criterion)]:
                    with self.assertRaises(AccessError):
                        Model.write([Model(record.id)], {'name': "Mine"})
                    with self.assertRaises(AccessError):
                        Model.delete([Model(record.id)])
        with client("Olga"), self.assertRaises(AccessError):
            Scheme.search([])
        with client("Zoe"):
            self.assertEqual(
                {s.company for s in Scheme.search([])}, {None})
            for Model, record in [(Scheme, scheme), (Criterion, criterion)]:
                with self.assertRaises(AccessError):
                    Model.read([record.id], ['name'])
                with self.assertRaises(AccessError):
                    Model.write([Model(record.id)], {'name': "Mine"})
            with self.assertRaises(AccessError):
                Scheme.create([{
                            'name': "Mine", 'axis': 'level',
                            'company': company().id}])

    @with_company
    def test_definition(self):
        "Test a scheme is read with a constant number of queries"
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        scheme = create_scheme(new_customer_grade=grade('class', 'B').id,
            new_customer_months=6)
        definition = Scheme.get_definition([scheme])[scheme]
        self.assertEqual(definition['window'], 12)
        self.assertEqual(definition['new_customer_months'], 6)
        self.assertEqual(
            [c['metric'] for c in definition['criteria']],
            ['sales_amount', 'margin_rate'])
        self.assertEqual(definition['criteria'][0]['bands'], [
                band(None, '0.8', 100), band('0.8', None, 30)])
        self.assertEqual(
            [(t['code'], t['minimum_score'])
                for t in definition['thresholds']],
            [('A', 75), ('B', 50), ('C', 0)])
        self.assertEqual(
            {g['code'] for g in definition['grades'].values()},
            {'A', 'B', 'C'})
        numbers = []
        for axes in [['class'], ['class', 'level', 'credit']]:
            schemes = [shipped(a).id for a in axes]
            Transaction().cache.clear()
            with count_queries() as queries:
                Scheme.get_definition(Scheme.browse(schemes))
            numbers.append(len(queries))
        self.assertEqual(*numbers)
