# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.modules.customer_grading.exceptions import CreditBlockedError
from trytond.pool import Pool
from trytond.transaction import Transaction

from .credit import CreditTestCase, create_policy, open_holds, party, set_limit
from .review import as_user, create_sale, get, with_company


class AmendmentTestCase(CreditTestCase):
    "Test the check of the credit of amendments"
    modules = ['customer_grading', 'sale_amendment']

    def process(self, amount=50, **values):
        Sale = Pool().get('sale.sale')
        screen = get('product.product', "Touch Screen")
        sale = create_sale([(screen, 2, amount)], **values)
        Sale.confirm([sale])
        Sale.process([sale])
        return Sale(sale.id)

    def amend(self, sale, quantity=None, **values):
        Amendment = Pool().get('sale.amendment')
        line, = sale.lines
        if quantity is not None:
            values = {
                'action': 'line', 'line': line.id,
                'product': line.product.id, 'unit': line.unit.id,
                'quantity': quantity, 'unit_price': line.unit_price}
        amendment, = Amendment.create([{
                    'sale': sale.id, 'lines': [('create', [values])]}])
        return amendment

    def validate(self, *amendments):
        Amendment = Pool().get('sale.amendment')
        Amendment.validate_amendment(
            Amendment.browse([a.id for a in amendments]))
        return [Amendment(a.id).state for a in amendments]

    @with_company
    def test_no_policy(self):
        set_limit(party(), Decimal(100))
        amendment = self.amend(self.process(), 9)
        self.assertEqual(self.validate(amendment), ['validated'])

    @with_company
    def test_increase(self):
        "Test what an amendment adds is held and what it takes away is not"
        create_policy()
        set_limit(party(), Decimal(250))
        less, more = self.process(), self.process()
        amendments = [self.amend(less, 1), self.amend(more, 4)]
        # The one that takes away is not validated yet
        self.assertEqual(
            self.validate(*amendments), ['validated', 'draft'])
        hold, = open_holds(more)
        self.assertEqual(hold.origin, amendments[1])
        self.assertEqual(
            (hold.exposure, hold.amount, hold.excess), (200, 100, 50))
        amendment = type(hold.origin)(hold.origin.id)
        self.assertEqual(amendment.credit_state, 'held')
        self.assertEqual(amendment.credit_reasons, hold.reasons)
        self.assertEqual(amendment.sale.credit_state, 'none')
        line, = amendment.sale.lines
        self.assertEqual(line.quantity, 2)
        # Now it has room
        self.assertEqual(self.validate(amendment), ['validated'])
        self.assertFalse(open_holds(more))

    @with_company
    def test_release(self):
        "Test a held amendment is validated once it is released"
        create_policy()
        set_limit(party(), Decimal(100))
        sale = self.process()
        amendment = self.amend(sale, 4)
        self.assertEqual(self.validate(amendment), ['draft'])
        hold, = open_holds(sale)
        with as_user("Frida"):
            Hold = Pool().get('sale.credit.hold')
            Hold.release_holds([Hold(hold.id)], "Good", dt.date.today())
        # Not more than what was released
        line, = amendment.lines
        line.quantity = 6
        line.save()
        self.assertEqual(self.validate(amendment), ['draft'])
        hold, = open_holds(sale)
        self.assertEqual((hold.state, hold.amount), ('held', 200))
        with as_user("Frida"):
            Hold = Pool().get('sale.credit.hold')
            Hold.release_holds([Hold(hold.id)], "Good", dt.date.today())
        self.assertEqual(self.validate(amendment), ['validated'])
        line, = Pool().get('sale.sale')(sale.id).lines
        self.assertEqual(line.quantity, 6)

    @with_company
    def test_party(self):
        "Test the whole order is checked when somebody else pays"
        create_policy(check='block')
        set_limit(party("Other"), Decimal(99))
        sale = self.process()
        other = party("Other")
        address, = other.addresses
        values = {
            'action': 'party', 'party': party().id,
            'invoice_party': other.id, 'invoice_address': address.id,
            'shipment_address': party().addresses[0].id}
        amendment = self.amend(sale, **values)
        with self.assertRaisesRegex(CreditBlockedError, '"Other"'):
            self.validate(amendment)
        set_limit(other, Decimal(100))
        self.assertEqual(self.validate(amendment), ['validated'])

    @with_company
    def test_payment_term(self):
        PaymentTerm = Pool().get('account.invoice.payment_term')
        now, = PaymentTerm.search([('name', '=', "Now")])
        later, = PaymentTerm.create([{
                    'name': "Later",
                    'lines': [('create', [{'type': 'remainder'}])],
                    }])
        create_policy(payment_terms=[('add', [now.id])])
        sale = self.process(payment_term=now)
        self.assertEqual(sale.state, 'processing')
        amendment = self.amend(
            sale, action='payment_term', payment_term=later.id)
        self.assertEqual(self.validate(amendment), ['draft'])
        hold, = open_holds(sale)
        self.assertEqual(set(hold.kinds), {'payment_term'})
        # Nobody is left to decide on what is gone
        type(amendment).delete([amendment])
        self.assertFalse(open_holds(sale))


class ReviewedAmendmentTestCase(CreditTestCase):
    "Test the credit of amendments that are reviewed"
    modules = ['customer_grading', 'sale_amendment', 'sale_order_review']
    process, amend = AmendmentTestCase.process, AmendmentTestCase.amend

    @with_company
    def test_held(self):
        "Test who submits an amendment is told that it will be held"
        pool = Pool()
        Access = pool.get('ir.model.access')
        Amendment = pool.get('sale.amendment')
        Release = pool.get('sale.review.release')
        create_policy()
        set_limit(party(), Decimal(250))
        fits, held = [self.amend(self.process(), q) for q in [3, 4]]
        texts = Amendment.get_review_held(
            Amendment.plan_reviews([fits, held]))
        self.assertEqual(list(texts), [held])
        text, = texts[held]
        self.assertIn(f'"{held.rec_name}" does not pass', text)
        self.assertIn("credit limit of USD 250.00", text)
        self.assertFalse(open_holds(held.sale))
        # Nor does a release lift it
        Amendment.write([fits, held], {
                'reason': "More guests", 'asked_by': 'customer'})
        _, _, still, _ = Release.plan([fits, held])
        self.assertEqual(still, texts)
        # Who may not read the holds is not told why
        with Transaction().set_user(0):
            Access.write(
                Access.search([('model', '=', 'sale.credit.hold')]),
                {'perm_read': False})
        with as_user("Sven"):
            hidden, = Amendment.get_review_held(
                Amendment.plan_reviews([held]))[held]
            self.assertNotIn("250.00", hidden)
