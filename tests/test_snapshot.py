# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import hashlib
import unittest
from decimal import Decimal

from trytond.modules.sale_order_review import snapshot
from trytond.pool import Pool
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, as_user, create_party, create_sale, get, with_company)


class SnapshotTestCase(unittest.TestCase):
    "Test the content to which signatures are given"

    def test_plain(self):
        "Test the plain values of each type"
        for value, expected in [
                (None, None),
                ('', ''),
                ("尺寸", "尺寸"),
                (True, True),
                (42, 42),
                (2.5, 2.5),
                (Decimal('10'), '10'),
                (Decimal('10.00'), '10'),
                (Decimal('10.0500'), '10.05'),
                (Decimal('1E+3'), '1000'),
                (Decimal('1E-7'), '0.0000001'),
                (Decimal('-3.10'), '-3.1'),
                (Decimal('0'), '0'),
                (Decimal('0.0000'), '0'),
                (Decimal('-0.00'), '0'),
                (dt.date(2026, 3, 2), '2026-03-02'),
                (dt.datetime(2026, 3, 2, 9, 30), '2026-03-02T09:30:00'),
                (dt.timedelta(days=1, minutes=1), 86460.0),
                ([3, 1, 2], [1, 2, 3]),
                ((), []),
                ]:
            with self.subTest(value=value):
                self.assertEqual(snapshot.plain(value), expected)

    def test_dumps(self):
        "Test the canonical text"
        one = {'b': {'x': 1, 'a': None}, 'a': {'ü': "尺寸"}}
        other = {'a': {'ü': "尺寸"}, 'b': {'a': None, 'x': 1}}
        text = '{"a":{"ü":"尺寸"},"b":{"a":null,"x":1}}'
        self.assertEqual(snapshot.dumps(one), text)
        self.assertEqual(snapshot.dumps(other), text)

    def test_digest(self):
        "Test the digest is what sha256sum prints"
        self.assertEqual(
            snapshot.digest('尺寸'),
            hashlib.sha256(b'\xe5\xb0\xba\xe5\xaf\xb8').hexdigest())
        self.assertNotEqual(snapshot.digest('a'), snapshot.digest('b'))

    def test_part(self):
        "Test the part that belongs to some fields"
        content = {
            'sale': {'party': 1, 'comment': "A"},
            'line': {
                '1': {'product': 1, 'quantity': 2},
                '2': {'product': 3, 'quantity': 4},
                },
            }
        for names, expected in [
                ({}, {}),
                ({'sale': set()}, {}),
                ({'sale': {'party'}}, {'sale': {'party': 1}}),
                ({'line': {'quantity'}}, {
                        'line': {'1': {'quantity': 2}, '2': {'quantity': 4}},
                        }),
                ({'sale': {'comment'}, 'line': {'product', 'quantity'}}, {
                        'sale': {'comment': "A"},
                        'line': content['line'],
                        }),
                ]:
            with self.subTest(names=names):
                self.assertEqual(snapshot.part(content, names), expected)

    def test_part_no_lines(self):
        "Test a line that was added belongs to the part of its fields"
        names = {'line': {'product'}}
        self.assertNotEqual(
            snapshot.part({'line': {}}, names),
            snapshot.part({'line': {'1': {'product': 1}}}, names))

    def test_differences(self):
        "Test what differs between two snapshots"
        def content(lines, **header):
            return {'sale': header, 'line': lines}

        one = {'product': 1, 'quantity': 2}
        for old, new, expected in [
                (content({'1': one}, party=1), content({'1': one}, party=1),
                    []),
                (content({}, party=1, comment=None),
                    content({}, party=2, comment="A"),
                    [('sale', None, 'comment', None, "A"),
                        ('sale', None, 'party', 1, 2)]),
                (content({'1': one}),
                    content({'1': {'product': 1, 'quantity': 3}}),
                    [('line', 1, 'quantity', 2, 3)]),
                (content({}), content({'1': one}),
                    [('line', 1, None, None, one)]),
                (content({'10': one, '9': one}), content({'10': one}),
                    [('line', 9, None, one, None)]),
                (content({'10': one, '9': one}), content({}),
                    [('line', 9, None, one, None),
                        ('line', 10, None, one, None)]),
                (content({}), {'sale': {}, 'other': {'1': one}},
                    [('other', 1, None, None, one)]),
                # A field of a module that was activated in between
                (content({}, party=1), content({}, party=1, carrier=3),
                    [('sale', None, 'carrier', None, 3)]),
                ]:
            with self.subTest(old=old, new=new):
                self.assertEqual(
                    list(snapshot.differences(old, new)), expected)


class SaleSnapshotTestCase(ReviewTestCase):
    "Test the snapshot of sales"

    def get_text(self, sale):
        Sale = Pool().get('sale.sale')
        return snapshot.dumps(Sale.get_review_snapshots([sale])[sale])

    @with_company
    def test_fields(self):
        "Test the fields that belong to aspects"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        aspects = Sale.review_aspects()
        self.assertEqual(
            aspects.keys(), {k for k, _ in Rule.aspects.selection})
        names = Sale.get_review_fields()
        for model, name in [
                ('sale.sale', 'party'),
                ('sale.sale', 'payment_term'),
                ('sale.line', 'quantity'),
                ('sale.line', 'unit_price'),
                ]:
            self.assertIn(name, names[model])
        self.assertEqual(
            Sale.get_review_fields(['quantities']), {
                'sale.sale': set(),
                'sale.line': {'type', 'quantity', 'unit'},
                })

    @with_company
    def test_all_fields_are_reviewed(self):
        "Test what can be entered in a draft belongs to an aspect"
        pool = Pool()
        names = pool.get('sale.sale').get_review_fields()
        for model, others in [
                ('sale.sale', {
                        'review_state', 'lines', 'number', 'reference',
                        'sale_date', 'state', 'quotation_date',
                        'quotation_expire', 'origin', 'invoices_ignored',
                        'quoted_by', 'confirmed_by', 'contact',
                        'material_complete_on'}),
                ('sale.line', {
                        'sale', 'sequence', 'summary', 'moves_ignored'}),
                ('sale.requirement', {
                        'sale', 'confirmed_how', 'confirmed_with'}),
                ('sale.processing.document', {
                        'sale', 'received_on', 'attachment'}),
                ]:
            Model = pool.get(model)
            with self.subTest(model=model):
                self.assertEqual({
                        name for name, field in Model._fields.items()
                        if not field.readonly
                        and not hasattr(field, 'getter')
                        and field._type not in {
                            'timestamp', 'one2many'}
                        and name not in {'id', 'company_party'}
                        and not name.endswith('_cache')
                        } - names[model] - others,
                    set())

    @with_company
    def test_digest(self):
        "Test the same content has the same text"
        sale = create_sale()
        text = self.get_text(sale)
        line, = sale.lines
        self.assertIn('"unit_price":"1000"', text)
        self.assertIn('"quantity":1.0', text)

        line.unit_price = Decimal('1000.0')
        line.quantity = 1
        line.save()
        sale.number = "Other"
        sale.save()
        self.assertEqual(self.get_text(sale), text)
        with as_user("Sven"), Transaction().set_context(
                language='fr', active_test=False):
            self.assertEqual(self.get_text(sale), text)

        line.unit_price = Decimal('1000.0001')
        line.save()
        self.assertNotEqual(self.get_text(sale), text)

    @with_company
    def test_boolean(self):
        "Test a boolean is the same with each database"
        product = get('product.product', "Touch Screen")
        for customised in [False, True]:
            with self.subTest(customised=customised):
                sale = create_sale([(product, 1, 1000, customised)])
                self.assertIn(
                    f'"customised":{str(customised).lower()}',
                    self.get_text(sale))

    @with_company
    def test_boolean_null(self):
        "Test a line older than the module"
        sale = create_sale([("Freight", 1, 1000, False)])
        text = self.get_text(sale)
        Line = Pool().get('sale.line')
        table = Line.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [table.customised], [None],
                where=table.id == sale.lines[0].id))
        self.assertEqual(self.get_text(sale), text)

    @with_company
    def test_several(self):
        "Test the snapshots of several sales"
        Sale = Pool().get('sale.sale')
        one, other = create_sale(), create_sale(lines=[])
        snapshots = Sale.get_review_snapshots([one, other])
        self.assertEqual(
            [str(l.id) for l in one.lines], list(snapshots[one]['sale.line']))
        self.assertEqual(dict(snapshots[other]['sale.line']), {})
        self.assertEqual(Sale.get_review_snapshots([]), {})

    @with_company
    def test_differences(self):
        "Test the texts of the differences of each type of field"
        pool = Pool()
        PaymentTerm = pool.get('account.invoice.payment_term')
        Sale = pool.get('sale.sale')
        acme = get('party.party', "Acme")
        beta = create_party("Beta")
        term, = PaymentTerm.create([{
                    'name': "30 days",
                    'lines': [('create', [{'type': 'remainder'}])],
                    }])
        screen = get('product.product', "Touch Screen")

        def texts(old, new):
            return Sale.format_review_differences(
                {'sale.sale': old, 'sale.line': {}},
                {'sale.sale': new, 'sale.line': {}})

        for name, old, new, expected in [
                ('party', acme.id, beta.id, "Party: Acme → Beta"),
                ('payment_term', None, term.id,
                    "Payment Term: ∅ → 30 days"),
                ('comment', '', "Hurry", "Comment: ∅ → Hurry"),
                ('description', "A", None, "Description: A → ∅"),
                ('shipping_date', '2026-03-02', '2026-04-01',
                    "Shipping Date: 03/02/2026 → 04/01/2026"),
                ('invoice_method', 'order', 'fulfillment',
                    "Invoice Method: On Order Processed → On Fulfillment"),
                ('quotation_validity', None, 86400.0,
                    "Quotation Validity: ∅ → 1d"),
                ]:
            with self.subTest(name=name):
                self.assertEqual(
                    texts({name: old}, {name: new}), [expected])
        with self.subTest("unknown record"):
            term_id = term.id
            PaymentTerm.delete([term])
            self.assertEqual(
                texts({'payment_term': None}, {'payment_term': term_id}),
                [f"Payment Term: ∅ → {term_id}"])

        def line_texts(old, new):
            return Sale.format_review_differences(
                {'sale.line': {'1': old} if old else {}},
                {'sale.line': {'1': new} if new else {}})

        line = {'product': screen.id}
        for old, new, expected in [
                ({**line, 'unit_price': '1234567.5'},
                    {**line, 'unit_price': '0'},
                    "Touch Screen: Unit Price: 1,234,567.5 → 0"),
                ({**line, 'quantity': 2.0}, {**line, 'quantity': 2.5},
                    "Touch Screen: Quantity: 2 → 2.5"),
                ({**line, 'customised': False}, {**line, 'customised': True},
                    "Touch Screen: Customised: no → yes"),
                ({**line, 'taxes': []}, {**line, 'taxes': [999]},
                    "Touch Screen: Taxes: ∅ → 999"),
                (None, line, "Touch Screen: added"),
                ({'description': "Freight\nto Oslo", 'product': None}, None,
                    "Freight: removed"),
                ({'type': 'comment', 'description': None}, None,
                    ": removed"),
                ]:
            with self.subTest(old=old, new=new):
                self.assertEqual(line_texts(old, new), [expected])

    @with_company
    def test_differences_many2many(self):
        "Test the texts of the differences of taxes"
        pool = Pool()
        Sale = pool.get('sale.sale')
        Tax = pool.get('account.tax')
        taxes = [
            Tax(name=name, description=name, type='none')
            for name in ["Reduced", "Standard"]]
        Tax.save(taxes)
        ids = [t.id for t in taxes]
        text, = Sale.format_review_differences(
            {'sale.line': {'1': {'taxes': ids[:1]}}},
            {'sale.line': {'1': {'taxes': ids}}})
        self.assertTrue(
            text.endswith("Taxes: Reduced → Reduced, Standard"), text)
