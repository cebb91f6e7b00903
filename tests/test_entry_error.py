# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model.exceptions import AccessError
from trytond.model.modelview import AccessButtonError
from trytond.modules.sale_order_review.exceptions import (
    EntryErrorWithdrawError)
from trytond.pool import Pool

from .review import (
    ReviewTestCase, as_user, count_queries, create_rule, create_sale, employee,
    get, get_signoff, sign, submit, with_company)
from .test_condition import client

EVIDENCE = ['kind', 'description', 'found_by', 'found_at', 'entered_by']


class EntryErrorTestCase(ReviewTestCase):
    "Test the errors of entry"

    def create_sale(self, user="Sven"):
        with as_user(user):
            sale = create_sale()
        return Pool().get('sale.sale')(sale.id)

    def record(self, sale, user="Paul", **values):
        EntryError = Pool().get('sale.entry.error')
        with client(user):
            error, = EntryError.create([{
                        'sale': sale.id,
                        'kind': 'quantity',
                        'description': "Ten, not one.",
                        **values,
                        }])
        return EntryError(error.id)

    def count(self):
        User = Pool().get('sale.entry.error.user')
        return {u.user.name: (u.errors, u.sales) for u in User.search([])}

    @with_company
    def test_record(self):
        "Test who finds an error records it, whatever they send"
        Sale = Pool().get('sale.sale')
        sale = self.create_sale()
        error = self.record(
            sale, found_by=employee("Sven").id, found_at=None,
            entered_by=get('res.user', "Paul").id, note="None",
            withdrawn_by=employee("Sven").id)
        self.assertEqual(error.company, sale.company)
        self.assertEqual(error.found_by, employee("Paul"))
        self.assertTrue(error.found_at)
        self.assertEqual(error.entered_by, get('res.user', "Sven"))
        self.assertIsNone(error.note)
        self.assertIsNone(error.withdrawn_by)
        draft = create_sale(quote=False)
        with self.assertRaisesRegex(AccessError, "it is a draft"):
            self.record(draft)
        Sale.cancel([sale])
        self.record(Sale(sale.id))

    @with_company
    def test_evidence(self):
        "Test what is recorded is neither changed nor deleted"
        EntryError = Pool().get('sale.entry.error')
        error = self.record(self.create_sale())
        for user in ["Paul", "Sven", "Olga"]:
            with client(user):
                for name in EVIDENCE:
                    with self.subTest(user=user, name=name):
                        with self.assertRaises(AccessError):
                            EntryError.write([error], {name: None})
                with self.assertRaises(AccessError):
                    EntryError.delete([error])

    @with_company
    def test_withdraw(self):
        "Test what was not an error does not count any more"
        EntryError = Pool().get('sale.entry.error')
        sale = self.create_sale()
        error = self.record(sale)
        other = self.record(self.create_sale())
        self.assertEqual(self.count(), {"Sven": (2, 2)})
        with as_user("Paul"):
            with self.assertRaisesRegex(EntryErrorWithdrawError, "as note"):
                EntryError.withdraw([error])
        with client("Sven"):
            with self.assertRaisesRegex(AccessError, "colleague"):
                EntryError.write([error], {'note': "Agreed by telephone."})
        with client("Paul"):
            EntryError.write([error], {'note': "Agreed by telephone."})
        with as_user("Sven"):
            with self.assertRaisesRegex(EntryErrorWithdrawError, "colleague"):
                EntryError.withdraw([EntryError(error.id)])
        with client("Sigrid"):
            EntryError.withdraw([EntryError(error.id)])
        error = EntryError(error.id)
        self.assertEqual(error.withdrawn_by, employee("Sigrid"))
        self.assertEqual(self.count(), {"Sven": (1, 1)})
        with client("Sigrid"):
            with self.assertRaises(AccessError):
                EntryError.write([error], {'note': "Something else."})
            with self.assertRaises(AccessButtonError):
                EntryError.withdraw([EntryError(error.id)])
        with as_user("Sigrid"):
            with self.assertRaisesRegex(EntryErrorWithdrawError, "already"):
                EntryError.withdraw([EntryError(error.id)])
        self.assertIsNone(other.withdrawn_at)

    @with_company
    def test_return(self):
        "Test a return because of an error of entry records it"
        pool = Pool()
        EntryError = pool.get('sale.entry.error')
        Review = pool.get('sale.review')
        create_rule()
        reviews = []
        for cause in ['error', 'price']:
            sale = self.create_sale()
            with as_user("Sigrid"):
                review, = submit(sale)
            review = Review(review.id)
            sign(
                get_signoff(review, "Production"), 'return_', "Paul",
                opinion="Ten, not one.", cause=cause)
            reviews.append(review)
        error, = EntryError.search([])
        signoff = get_signoff(reviews[0], "Production")
        self.assertEqual(error.sale, signoff.sale)
        self.assertEqual(error.sale.state, 'draft')
        self.assertEqual(error.kind, 'other')
        self.assertEqual(error.description, "Ten, not one.")
        self.assertEqual(error.found_by, employee("Paul"))
        self.assertEqual(error.entered_by, get('res.user', "Sven"))
        self.assertEqual([error.decision], list(signoff.decisions))

    @with_company
    def test_count(self):
        "Test the errors are counted by order and by person"
        Sale = Pool().get('sale.sale')
        first, second, third = sales = [
            self.create_sale(u) for u in ["Sven", "Sven", "Sigrid"]]
        self.record(first)
        self.record(first, kind='price')
        self.record(third)
        self.assertEqual(
            self.count(), {"Sven": (2, 1), "Sigrid": (1, 1)})
        self.assertEqual(
            [s.entry_errors for s in Sale.browse(sales)], [2, 0, 1])
        for clause, result in [
                (('=', 0), [second]),
                (('>', 0), [first, third]),
                (('>=', 2), [first]),
                (('!=', 1), [first, second]),
                ]:
            with self.subTest(clause=clause):
                self.assertEqual(
                    Sale.search([
                            ('entry_errors', *clause),
                            ('id', 'in', [s.id for s in sales]),
                            ], order=[('id', 'ASC')]), result)
        counts = []
        for number in [1, 3]:
            with count_queries() as queries:
                Sale.read([s.id for s in sales[:number]], ['entry_errors'])
            counts.append(len(queries))
        self.assertEqual(*counts)
