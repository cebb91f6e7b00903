# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.customer_grading.exceptions import LimitChangeError
from trytond.pool import Pool
from trytond.transaction import Transaction

from .credit import CreditTestCase, create_policy, party, set_limit
from .review import as_user, get_company, on, with_company


class LimitTestCase(CreditTestCase):
    "Test the changes of the credit limits"

    def propose(self, new, name="Carl", customer="Acme", **values):
        with as_user(name), Transaction().set_context(_check_access=True):
            Change = Pool().get('customer.credit.limit.change')
            change, = Change.create([{
                        'party': party(customer).id,
                        'new': None if new is None else Decimal(new),
                        'reason': "Good",
                        **values,
                        }])
        return Change(change.id)

    def approve(self, *changes, name="Frida", button='approve'):
        with as_user(name):
            Change = Pool().get('customer.credit.limit.change')
            with Transaction().set_context(_check_access=True):
                getattr(Change, button)(
                    Change.browse([c.id for c in changes]))

    def limit(self, customer="Acme"):
        return party(customer).get_multivalue(
            'credit_limit_amount', company=get_company().id)

    def state(self, change):
        return type(change)(change.id).state

    @with_company
    def test_approve(self):
        "Test an approved change is that of the party"
        change = self.propose(500)
        self.assertEqual(
            (change.old, change.new, change.state, change.source,
                change.proposed_by.rec_name),
            (None, 500, 'proposed', 'manual', "Carl"))
        self.assertEqual(self.limit(), None)
        for name in ["Carl", "Sven", "Adam", "Audi"]:
            with self.subTest(name=name), self.assertRaises(UserError):
                self.approve(change, name=name)
        self.approve(change)
        self.assertEqual(self.limit(), 500)
        change = type(change)(change.id)
        self.assertEqual(
            (change.state, change.approved_by.rec_name),
            ('approved', "Frida"))
        # The approval is all that is recorded
        self.assertEqual(
            type(change).search([('party', '=', party().id)]), [change])
        with self.assertRaises(UserError):
            self.approve(change, name="Fred")
        none = self.propose(None)
        self.assertEqual(none.old, 500)
        zero = self.propose(0, customer="Other")
        self.approve(none, zero)
        self.assertEqual(self.limit(), None)
        self.assertEqual(self.limit("Other"), 0)

    @with_company
    def test_reject(self):
        change = self.propose(500)
        self.approve(change, button='reject')
        self.assertEqual(self.state(change), 'rejected')
        self.assertEqual(self.limit(), None)
        with self.assertRaises(UserError):
            self.approve(change)

    @with_company
    def test_negative(self):
        with self.assertRaises(LimitChangeError):
            self.propose(-1)

    @with_company
    def test_segregated(self):
        "Test nobody approves what they proposed"
        change = self.propose(500, name="Frida")
        with self.assertRaisesRegex(LimitChangeError, "proposed it"):
            self.approve(change)
        self.approve(change, name="Fred")

    @with_company
    def test_forged(self):
        "Test the server knows better than who proposes"
        employee = Pool().get('company.employee').search([
                ('rec_name', '=', "Sven")])[0]
        change = self.propose(
            500, name="Frida", state='approved', old=Decimal(7),
            proposed_by=employee.id, approved_by=employee.id,
            source='policy')
        self.assertEqual(
            (change.state, change.old, change.proposed_by.rec_name,
                change.approved_by, change.source),
            ('proposed', None, "Frida", None, 'manual'))
        self.assertEqual(self.limit(), None)
        for check in [False, True]:
            with Transaction().set_context(_check_access=check):
                for call in [
                        lambda: type(change).write(
                            [change], {'new': Decimal(9)}),
                        lambda: type(change).delete([change]),
                        ]:
                    with self.assertRaises(AccessError):
                        call()

    @with_company
    def test_stale(self):
        "Test what was proposed for another limit is refused"
        change = self.propose(500)
        acme = party()
        acme.credit_limit_amount = Decimal(100)
        acme.save()
        with self.assertRaisesRegex(LimitChangeError, "USD 100.00 now"):
            self.approve(change)
        self.assertEqual(self.limit(), 100)

    @with_company
    def test_superseded(self):
        "Test the newer proposal replaces the older"
        older, newer = self.propose(500), self.propose(600)
        other = self.propose(700, customer="Other")
        self.assertEqual(
            [self.state(c) for c in [older, newer, other]],
            ['superseded', 'proposed', 'proposed'])
        with self.assertRaises(UserError):
            self.approve(older)

    @with_company
    def test_replace(self):
        "Test one proposal remains of two customers that are merged"
        Replace = Pool().get('party.replace', type='wizard')
        older, newer = self.propose(500, customer="Other"), self.propose(600)
        session, _, _ = Replace.create()
        wizard = Replace(session)
        wizard.ask.source = party("Other")
        wizard.ask.destination = party("Acme")
        with Transaction().set_context(_skip_warnings=True):
            wizard.transition_replace()
        for cache in list(Transaction().cache.values()):
            cache.clear()
        self.assertEqual(
            [self.state(c) for c in [older, newer]],
            ['superseded', 'proposed'])

    @with_company
    def test_direct(self):
        "Test the history knows what is entered on the party"
        Change = Pool().get('customer.credit.limit.change')
        other = party("Other")
        other.credit_limit_amount = Decimal(100)
        other.save()
        # Nothing is set up
        self.assertFalse(Change.search([]))
        create_policy()
        for amount in [100, 100, 200]:
            acme = party()
            acme.credit_limit_amount = Decimal(amount)
            acme.save()
        changes = Change.search([
                ('party', '=', party().id),
                ('approved_at', '>=', dt.datetime.combine(
                        dt.date.today(), dt.time())),
                ], order=[('id', 'ASC')])
        self.assertEqual(
            [(c.old, c.new, c.source, c.state) for c in changes], [
                (None, 100, 'direct', 'approved'),
                (100, 200, 'direct', 'approved'),
                ])

    @with_company
    def test_direct_record(self):
        "Test the history knows what is done to the records of the limits"
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        Limit = pool.get('party.party.credit_limit_amount')
        company = get_company()
        acme, other = party(), party("Other")
        set_limit(acme, Decimal(100))
        create_policy()
        Limit.delete(Limit.search([('party', '!=', acme.id)]))
        limit, = Limit.search([])
        for method, customer, values, changes in [
                (Limit.write, acme, {'credit_limit_amount': Decimal(900)},
                    [(acme, 100, 900)]),
                (Limit.write, acme, {'party': other.id},
                    [(acme, 100, None), (other, None, 100)]),
                (Limit.write, acme, {'party': None}, [(acme, 100, None)]),
                (Limit.delete, acme, None, [(acme, 100, None)]),
                ]:
            with self.subTest(method=method, values=values):
                limit = Limit(limit.id)
                with Transaction().set_context(_customer_credit=True):
                    Limit.write([limit], {
                            'party': customer.id,
                            'credit_limit_amount': Decimal(100)})
                before = Change.search([])
                if values:
                    method([limit], values)
                else:
                    method([limit])
                self.assertCountEqual([
                        (c.party, c.old, c.new) for c in Change.search([])
                        if c not in before], changes)
        # For all companies
        Limit.create([{
                    'party': other.id, 'credit_limit_amount': Decimal(50)}])
        change, = Change.search([
                ('party', '=', other.id), ('new', '=', Decimal(50))])
        self.assertEqual(
            (change.company, change.source), (company, 'direct'))

    @with_company
    def test_direct_deleted(self):
        "Test a party is deleted together with its limit"
        Party = Pool().get('party.party')
        create_policy()
        created, = Party.create([{'name': "New"}])
        set_limit(created, Decimal(100))
        Party.delete([created])
        self.assertFalse(Party.search([('name', '=', "New")]))

    @with_company
    def test_obsolete(self):
        "Test what the policy does not give any more cannot be approved"
        Change = Pool().get('customer.credit.limit.change')
        set_limit(party(), Decimal(100))

        def propose(amount):
            return Change.propose(
                get_company(), {party().id: Decimal(amount)}, source='policy')

        change, = propose(500)
        self.assertEqual(propose(500), [])
        self.assertEqual(self.state(change), 'proposed')
        self.assertEqual(propose(100), [])
        self.assertEqual(self.state(change), 'superseded')
        with self.assertRaises(UserError):
            self.approve(change)
        # What somebody asked for waits
        change = self.propose(600)
        self.assertEqual(propose(100), [])
        self.assertEqual(self.state(change), 'proposed')

    @with_company
    def test_temporary(self):
        "Test what was before comes back"
        Change = Pool().get('customer.credit.limit.change')
        today = dt.date.today()
        self.approve(self.propose(100))
        first = self.propose(
            200, temporary_until=today + dt.timedelta(days=10))
        self.approve(first)
        self.assertEqual(self.limit(), 200)
        second = self.propose(
            300, temporary_until=today + dt.timedelta(days=5))
        self.approve(second)
        self.assertEqual(self.limit(), 300)
        self.assertEqual(self.state(first), 'superseded')
        with on(today + dt.timedelta(days=5)):
            Change.expire()
        self.assertEqual(self.limit(), 300)
        with on(today + dt.timedelta(days=6)):
            Change.expire()
            Change.expire()
        self.assertEqual(self.limit(), 100)
        self.assertEqual(self.state(second), 'expired')
        last, = Change.search([], order=[('id', 'DESC')], limit=1)
        self.assertEqual(
            (last.old, last.new, last.source, last.state),
            (300, 100, 'expired', 'approved'))

    @with_company
    def test_temporary_replaced(self):
        "Test a lasting limit is not taken back"
        Change = Pool().get('customer.credit.limit.change')
        today = dt.date.today()
        change = self.propose(200, temporary_until=today)
        self.approve(change)
        self.approve(self.propose(150))
        with on(today + dt.timedelta(days=1)):
            Change.expire()
        self.assertEqual(self.limit(), 150)
        with self.assertRaises(LimitChangeError):
            self.approve(self.propose(
                    1, temporary_until=today - dt.timedelta(days=1)))
