# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import AccessError
from trytond.modules.account_credit_limit.exceptions import CreditLimitError
from trytond.modules.customer_grading.exceptions import (
    CreditBlockedError, CreditHoldError, CreditWarning)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .credit import (
    CreditTestCase, create_move, create_policy, open_holds, party, set_limit)
from .review import as_user, count_queries, create_sale, get, on, with_company


class HoldTestCase(CreditTestCase):
    "Test the check of the credit of orders"

    def create_sales(self, *amounts, quote=True, **values):
        screen = get('product.product', "Touch Screen")
        sales = [
            create_sale([(screen, 1, a)], quote=False, **values)
            for a in amounts]
        if quote:
            type(sales[0]).quote(sales)
        return sales

    def confirm(self, *sales):
        Sale = Pool().get('sale.sale')
        Sale.confirm(list(sales))
        return [Sale(s.id).state for s in sales]

    def release(self, hold, name="Frida", reason="Pays tomorrow", **values):
        with as_user(name):
            Hold = Pool().get('sale.credit.hold')
            Hold.release_holds([Hold(hold.id)], reason, **{
                    'valid_until': dt.date.today(), **values})

    @with_company
    def test_no_policy(self):
        "Test without policy only the limit of stock counts"
        set_limit(party(), Decimal(100))
        fits, exceeds = self.create_sales(100, 200)
        with as_user("Sven"):
            self.assertEqual(self.confirm(fits), ['confirmed'])
            with self.assertRaisesRegex(
                    CreditLimitError,
                    r"limit of USD 100\.00 by USD 200\.00: it owes and has "
                    r"ordered USD 100\.00, to which USD 200\.00"):
                self.confirm(exceeds)
        self.assertEqual(exceeds.credit_state, 'none')
        self.assertFalse(open_holds(fits, exceeds))

    @with_company
    def test_partition(self):
        "Test what is held stays a quotation and the rest is confirmed"
        create_policy()
        set_limit(party(), Decimal(250))
        set_limit(party("Other"), Decimal(50))
        first, second, third = self.create_sales(100, 160, 150)
        other, = self.create_sales(40, party=party("Other"))
        # Each of them fits alone
        self.assertFalse(open_holds(first, second, third, other))
        self.assertEqual(
            self.confirm(first, second, third, other),
            ['confirmed', 'quotation', 'confirmed', 'confirmed'])
        hold, = open_holds(first, second, third, other)
        self.assertEqual(hold.sale, second)
        self.assertEqual(
            (hold.credit_limit, hold.exposure, hold.amount, hold.excess),
            (250, 100, 160, 10))
        self.assertEqual(set(hold.kinds), {'limit'})
        self.assertEqual(
            hold.reasons,
            f'Order "{second.number}" makes "Acme" exceed its credit '
            'limit of USD 250.00 by USD 10.00: it owes and has ordered '
            'USD 100.00, and the order adds USD 160.00.')
        second = type(second)(second.id)
        self.assertEqual(second.credit_state, 'held')
        self.assertEqual(second.credit_reasons, hold.reasons)

    @with_company
    def test_payer(self):
        "Test it is who is invoiced that gets the credit"
        create_policy()
        set_limit(party(), Decimal(100))
        address = party().addresses[0]
        first, second = self.create_sales(
            90, 90, party=party("Other"), invoice_party=party(),
            invoice_address=address)
        self.assertEqual(self.confirm(first), ['confirmed'])
        self.assertEqual(self.confirm(second), ['quotation'])
        hold, = open_holds(second)
        self.assertEqual(hold.party, party())
        self.assertEqual(hold.exposure, 90)

    @with_company
    def test_quote(self):
        "Test what does not fit is held at the quotation"
        create_policy()
        set_limit(party(), Decimal(100))
        sale, = self.create_sales(101)
        self.assertEqual(sale.state, 'quotation')
        hold, = open_holds(sale)
        self.assertEqual(hold.state, 'held')
        # The same is not held twice
        self.confirm(sale)
        self.assertEqual(open_holds(sale), [hold])
        # Something else is
        set_limit(party(), Decimal(50))
        self.confirm(sale)
        other, = open_holds(sale)
        self.assertNotEqual(other, hold)
        self.assertEqual(other.excess, 51)
        # The limit is raised
        set_limit(party(), Decimal(200))
        self.assertEqual(self.confirm(sale), ['confirmed'])
        self.assertFalse(open_holds(sale))

    @with_company
    def test_block(self):
        "Test all that is blocked is told at once"
        create_policy(check='block')
        sales = self.create_sales(100, 200, 10)
        set_limit(party(), Decimal(50))
        with self.assertRaises(CreditBlockedError) as cm:
            self.confirm(*sales)
        self.assertIn(f'Order "{sales[0].number}"', cm.exception.message)
        self.assertIn(f'Order "{sales[1].number}"', cm.exception.message)
        self.assertNotIn(f'Order "{sales[2].number}"', cm.exception.message)
        sale, = self.create_sales(100, quote=False)
        with self.assertRaises(CreditBlockedError):
            type(sale).quote([sale])

    @with_company
    def test_warn(self):
        "Test who is warned may go on"
        Warning = Pool().get('res.user.warning')
        create_policy(check='warn')
        sale, = self.create_sales(100)
        set_limit(party(), Decimal(50))
        with as_user("Sven"):
            with self.assertRaises(CreditWarning) as cm:
                self.confirm(sale)
            Warning.create([{
                        'user': Transaction().user,
                        'name': cm.exception.name,
                        }])
            self.assertEqual(self.confirm(sale), ['confirmed'])
        self.assertFalse(open_holds(sale))

    @with_company
    def test_none(self):
        "Test a policy that checks nothing is instead of stock"
        create_policy(check='none')
        set_limit(party(), Decimal(50))
        sale, = self.create_sales(100)
        with as_user("Sven"):
            self.assertEqual(self.confirm(sale), ['confirmed'])

    @with_company
    def test_prepaid(self):
        "Test what is paid before it is shipped needs no credit"
        create_policy(investigation_required=True)
        set_limit(party(), Decimal(0))
        prepaid, order = self.create_sales(
            100, 100, quote=False)
        prepaid.shipment_method = 'invoice'
        prepaid.invoice_method = 'order'
        prepaid.save()
        type(prepaid).quote([prepaid, order])
        self.assertEqual(
            self.confirm(prepaid, order), ['confirmed', 'quotation'])
        hold, = open_holds(order)
        self.assertEqual(set(hold.kinds), {'limit', 'not_investigated'})

    @with_company
    def test_file(self):
        "Test a customer must be investigated and is blocked when suspended"
        File = Pool().get('customer.file')
        create_policy(investigation_required=True)
        file, = File.create([{'party': party().id}])
        sale, = self.create_sales(100)
        hold, = open_holds(sale)
        self.assertEqual(set(hold.kinds), {'not_investigated'})
        self.set_file(file, 'approved')
        self.assertEqual(self.confirm(sale), ['confirmed'])
        sale, = self.create_sales(100)
        self.set_file(file, 'suspended')
        with self.assertRaisesRegex(CreditBlockedError, "suspended"):
            self.confirm(sale)

    def set_file(self, file, state):
        table = file.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.state], [state], where=table.id == file.id))

    @with_company
    def test_notification(self):
        "Test several reasons are told in one line and with the number"
        create_policy(
            investigation_required=True, large_order=Decimal(100))
        with as_user("Sven"):
            sale, = self.create_sales(100)
            self.assertEqual(self.confirm(sale), ['quotation'])
        hold, = open_holds(sale)
        self.assertEqual(
            set(hold.kinds), {'not_investigated', 'large_order'})
        self.assertEqual(
            hold.reasons.count(f'Order "{sale.number}"'), 2)
        self.release(hold, reason="Paid\nhalf")
        notifications = Transaction().user_notifications
        self.assertEqual(
            {n.user.name for n in notifications},
            {"Frida", "Fred", "Sven", "Administrator"})
        for notification in notifications:
            self.assertNotIn('\n', notification.description)
        Pool().get('res.notification').save(notifications)

    @with_company
    def test_payment_term(self):
        "Test the payment terms that are allowed"
        PaymentTerm = Pool().get('account.invoice.payment_term')
        now, = PaymentTerm.search([('name', '=', "Now")])
        later, = PaymentTerm.create([{
                    'name': "Later",
                    'lines': [('create', [{'type': 'remainder'}])],
                    }])
        policy = create_policy(payment_terms=[('add', [now.id])])
        allowed, other, none = [
            self.create_sales(100, payment_term=t)[0]
            for t in [now, later, None]]
        self.assertEqual(
            self.confirm(allowed, other, none),
            ['confirmed', 'quotation', 'quotation'])
        for sale, text in [(other, '"Later"'), (none, '"∅"')]:
            hold, = open_holds(sale)
            self.assertEqual(set(hold.kinds), {'payment_term'})
            self.assertIn(text, hold.reasons)
        # The policies are cached
        policy.payment_terms = [now, later]
        policy.save()
        self.assertEqual(
            self.confirm(other, none), ['confirmed', 'quotation'])

    @with_company
    def test_large_order(self):
        "Test a large order needs an assessment"
        create_policy(large_order=Decimal(100))
        small, large = self.create_sales('99.99', 100)
        self.assertEqual(
            self.confirm(small, large), ['confirmed', 'quotation'])
        hold, = open_holds(large)
        self.assertEqual(set(hold.kinds), {'large_order'})

    @with_company
    def test_release(self):
        "Test who decides on credit releases an order"
        create_policy()
        set_limit(party(), Decimal(100))
        with as_user("Sven"):
            sale, = self.create_sales(150)
            self.assertEqual(self.confirm(sale), ['quotation'])
        hold, = open_holds(sale)
        self.assertEqual(hold.held_by.rec_name, "Sven")
        for name, error in [
                ("Sven", AccessError), ("Carl", AccessError),
                ("Adam", AccessError)]:
            with self.subTest(name=name), self.assertRaises(error):
                self.release(hold, name)
        for values in [
                {'reason': " "},
                {'valid_until': dt.date.today() - dt.timedelta(days=1)},
                {'valid_until': None},
                {'amount': Decimal(149)},
                ]:
            with self.subTest(values=values), \
                    self.assertRaises(CreditHoldError):
                self.release(hold, **values)
        self.release(hold)
        hold = type(hold)(hold.id)
        self.assertEqual(
            (hold.state, hold.released_amount, hold.reason,
                hold.released_by.rec_name),
            ('released', 150, "Pays tomorrow", "Frida"))
        self.assertEqual(type(sale)(sale.id).credit_state, 'released')
        with self.assertRaises(CreditHoldError):
            self.release(hold, "Fred")
        # It is for this order only
        with as_user("Sven"):
            other, = self.create_sales(150)
            self.assertEqual(
                self.confirm(sale, other), ['confirmed', 'quotation'])
        self.assertTrue(type(hold)(hold.id).used_at)
        # Nor does it hold when the order comes back
        type(sale).draft([type(sale)(sale.id)])
        self.assertEqual(type(hold)(hold.id).state, 'ended')
        type(sale).quote([type(sale)(sale.id)])
        self.assertEqual(self.confirm(sale), ['quotation'])

    @with_company
    def test_release_expired(self):
        "Test a release is valid until a date and for its reasons"
        create_policy(investigation_required=False)
        set_limit(party(), Decimal(100))
        sale, = self.create_sales(150)
        hold, = open_holds(sale)
        self.release(hold)
        with on(dt.date.today() + dt.timedelta(days=1)):
            self.assertEqual(self.confirm(sale), ['quotation'])
        self.assertEqual(type(hold)(hold.id).state, 'ended')
        hold, = open_holds(sale)
        self.assertEqual(hold.state, 'held')
        self.release(hold)
        policy, = Pool().get('customer.service.policy').search([])
        policy.investigation_required = True
        policy.save()
        self.assertEqual(self.confirm(sale), ['quotation'])
        hold, = open_holds(sale)
        self.assertEqual(set(hold.kinds), {'limit', 'not_investigated'})
        self.release(hold)
        self.assertEqual(self.confirm(sale), ['confirmed'])

    @with_company
    def test_segregated(self):
        "Test nobody releases their own order"
        create_policy()
        set_limit(party(), Decimal(100))
        with as_user("Frida"):
            sale, = self.create_sales(150)
        hold, = open_holds(sale)
        with self.assertRaisesRegex(CreditHoldError, "entered"):
            self.release(hold, "Frida")
        self.release(hold, "Fred")
        self.assertEqual(self.confirm(sale), ['confirmed'])

    @with_company
    def test_reject(self):
        "Test a rejected order is refused until it changes"
        Hold = Pool().get('sale.credit.hold')
        create_policy()
        set_limit(party(), Decimal(100))
        sale, = self.create_sales(150)
        hold, = open_holds(sale)
        with as_user("Sven"), self.assertRaises(AccessError):
            Hold.reject_holds([Hold(hold.id)], "No")
        with as_user("Frida"):
            Hold.reject_holds([Hold(hold.id)], "Too much")
        self.assertEqual(type(sale)(sale.id).credit_state, 'rejected')
        with self.assertRaisesRegex(CreditBlockedError, "Too much"):
            self.confirm(sale)
        Sale = type(sale)
        Sale.draft([Sale(sale.id)])
        sale = Sale(sale.id)
        line, = sale.lines
        line.unit_price = Decimal(100)
        line.save()
        Sale.quote([sale])
        self.assertEqual(self.confirm(sale), ['confirmed'])

    @with_company
    def test_evidence(self):
        "Test the holds can neither be created, changed, copied nor deleted"
        Hold = Pool().get('sale.credit.hold')
        create_policy()
        set_limit(party(), Decimal(100))
        sale, = self.create_sales(150)
        hold, = open_holds(sale)
        for check in [False, True]:
            with Transaction().set_context(_check_access=check):
                for call in [
                        lambda: Hold.write([hold], {'state': 'released'}),
                        lambda: Hold.delete([hold]),
                        ]:
                    with self.assertRaises(AccessError):
                        call()
        type(sale).draft([sale])
        for default in [None, {'state': 'released'}]:
            with self.assertRaises(AccessError):
                Hold.copy([Hold(hold.id)], default)
        copy, = type(sale).copy([sale])
        self.assertEqual(copy.credit_state, 'none')
        self.assertFalse(copy.credit_holds)

    @with_company
    def test_search(self):
        "Test the search of the credit state"
        Sale = Pool().get('sale.sale')
        create_policy()
        set_limit(party(), Decimal(100))
        fits, held, released = self.create_sales(50, 150, 200)
        hold, = open_holds(released)
        self.release(hold)
        for clause, expected in [
                (('=', 'none'), {fits}),
                (('!=', 'none'), {held, released}),
                (('=', 'held'), {held}),
                (('!=', 'held'), {fits, released}),
                (('in', ['held', 'released']), {held, released}),
                (('in', ['none', 'released']), {fits, released}),
                (('not in', ['held', 'none']), {released}),
                (('not in', ['held', 'released']), {fits}),
                (('in', []), set()),
                (('=', None), set()),
                ]:
            with self.subTest(clause=clause):
                self.assertEqual(
                    set(Sale.search([('credit_state', *clause)])), expected)

    @with_company
    def test_invoice_shipped(self):
        "Test what is shipped can always be invoiced"
        Sale = Pool().get('sale.sale')
        Shipment = Pool().get('stock.shipment.out')
        create_policy(check='block')
        set_limit(party(), Decimal(1000))
        sale, = self.create_sales(500, quote=False)
        sale.invoice_method = 'fulfillment'
        sale.save()
        Sale.quote([sale])
        Sale.confirm([sale])
        Sale.process([sale])
        set_limit(party(), Decimal(0))
        shipment, = Sale(sale.id).shipments
        Shipment.pick([shipment])
        Shipment.pack([shipment])
        Shipment.do([shipment])
        Sale.process([Sale(sale.id)])
        invoice, = Sale(sale.id).invoices
        self.assertEqual(invoice.untaxed_amount, 500)

    @with_company
    def test_receivable(self):
        "Test what is owed counts"
        create_policy()
        set_limit(party(), Decimal(100))
        create_move(party(), 60)
        fits, exceeds = self.create_sales(40, 1)
        self.assertEqual(
            self.confirm(fits, exceeds), ['confirmed', 'quotation'])

    @with_company
    def test_queries(self):
        "Test what the check of a batch costs against stock"
        Sale = Pool().get('sale.sale')
        set_limit(party(), Decimal(10_000))
        counts = {}
        for with_policy in [False, True]:
            if with_policy:
                create_policy(large_order=Decimal(1000))
            for size in [1, 2, 10, 50]:
                sales = self.create_sales(*[1] * size)
                # A first one fills the caches
                self.confirm(*self.create_sales(1))
                sales = Sale.browse([s.id for s in sales])
                Transaction().cache.clear()
                with as_user("Sven"), count_queries() as queries:
                    Sale.confirm(sales)
                counts[with_policy, size] = len(queries)
        for size in [1, 2, 10, 50]:
            self.assertLessEqual(
                counts[True, size] - counts[False, size], 2, counts)
