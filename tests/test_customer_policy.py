# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.modules.currency.tests import create_currency
from trytond.modules.customer_grading.exceptions import GradingRunError
from trytond.pool import Pool
from trytond.transaction import Transaction

from .credit import CreditTestCase, create_policy, party, set_limit
from .review import (
    as_user, count_queries, create_sale, get, get_company, with_company)


class PolicyTestCase(CreditTestCase):
    "Test what the customers get because of their grades"
    modules = ['customer_grading', 'account_dunning', 'sale_price_list']

    def get_policy(self, name="Acme"):
        Policy = Pool().get('customer.service.policy')
        customer = party(name)
        return Policy.get_policies(
            get_company(), [customer.id])[customer.id]

    def grade(self, **codes):
        "Give Acme the grades"
        Grade = Pool().get('customer.grade')
        Grading = Pool().get('customer.grading.grade')
        for axis, code in codes.items():
            grade, = Grading.search([
                    ('axis', '=', axis), ('code', '=', code)])
            Grade.assign(
                get_company(), axis, {party().id: grade.id},
                dt.date.today(), 'run')

    def get_grade(self, axis, code):
        Grading = Pool().get('customer.grading.grade')
        grade, = Grading.search([('axis', '=', axis), ('code', '=', code)])
        return grade.id

    @with_company
    def test_none(self):
        Policy = Pool().get('customer.service.policy')
        self.assertIsNone(self.get_policy())
        self.assertEqual(
            Policy.apply_to(get_company(), [party().id]), [])

    @with_company
    def test_no_grade(self):
        "Test who has no grade gets only what has no criteria"
        create_policy(
            "A", sequence=1, class_=self.get_grade('class', 'A'))
        create_policy("Key", sequence=2, kind='key')
        self.assertIsNone(self.get_policy())
        policy = create_policy("All", sequence=3)
        self.assertEqual(self.get_policy(), policy)
        policy.active = False
        policy.save()
        self.assertIsNone(self.get_policy())

    @with_company
    def test_grades(self):
        "Test the first policy that matches is that of the customer"
        policies = [
            create_policy(str(i), sequence=i, **{
                    {'class': 'class_'}.get(a, a): self.get_grade(a, c)
                    for a, c in criteria})
            for i, criteria in enumerate([
                    [('class', 'A'), ('credit', 'A')],
                    [('class', 'A')],
                    [('level', '1')],
                    [],
                    ])]
        self.assertEqual(self.get_policy(), policies[3])
        self.grade(level='1')
        self.assertEqual(self.get_policy(), policies[2])
        self.grade(**{'class': 'A'})
        self.assertEqual(self.get_policy(), policies[1])
        self.grade(credit='B')
        self.assertEqual(self.get_policy(), policies[1])
        self.grade(credit='A')
        self.assertEqual(self.get_policy(), policies[0])
        self.assertEqual(self.get_policy("Other"), policies[3])

    @with_company
    def test_file_values(self):
        File = Pool().get('customer.file')
        create_policy(visit_interval=3)
        file, = File.create([{'party': party().id}])
        self.assertEqual(
            File.get_policy_values([file], 'visit_interval'), {file: 3})

    @with_company
    def test_queries(self):
        "Test the policies of all customers take one query"
        Policy = Pool().get('customer.service.policy')
        create_policy("A", class_=self.get_grade('class', 'A'))
        create_policy()
        company, ids = get_company(), [party().id, party("Other").id]
        Policy.get_policies(company, ids)
        with count_queries() as queries:
            Policy.get_policies(company, ids)
        self.assertLessEqual(len(queries), 1)

    @with_company
    def test_fixed(self):
        "Test a fixed limit is proposed where it differs"
        Change = Pool().get('customer.credit.limit.change')
        Policy = Pool().get('customer.service.policy')
        create_policy(credit_method='fixed', credit_amount=Decimal(500))
        company, ids = get_company(), [party().id, party("Other").id]
        set_limit(party("Other"), Decimal(500))
        change, = Policy.apply_to(company, ids)
        self.assertEqual(
            (change.party, change.old, change.new, change.source,
                change.state),
            (party(), None, 500, 'policy', 'proposed'))
        self.assertEqual(Policy.apply_to(company, ids), [])
        with as_user("Frida"):
            Change.approve([Change(change.id)])
        self.assertEqual(Policy.apply_to(company, ids), [])
        self.assertEqual(party().credit_limit_amount, 500)

    @with_company
    def test_temporary(self):
        "Test a temporary limit is left until it ends"
        Change = Pool().get('customer.credit.limit.change')
        Policy = Pool().get('customer.service.policy')
        create_policy(credit_method='fixed', credit_amount=Decimal(500))
        set_limit(party(), Decimal(500))
        change, = Change.create([{
                    'party': party().id, 'new': Decimal(900),
                    'temporary_until': dt.date.today(), 'reason': "Fair"}])
        with as_user("Frida"):
            Change.approve([Change(change.id)])
        self.assertEqual(
            Policy.apply_to(get_company(), [party().id]), [])

    @with_company
    def test_revenue(self):
        "Test a limit from the revenue of the last 12 months"
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        Sale = pool.get('sale.sale')
        screen = get('product.product', "Touch Screen")
        today = dt.date.today()
        for amount, date in [
                (1200, today), (600, today - dt.timedelta(days=300)),
                (5000, today - dt.timedelta(days=400))]:
            sale = create_sale([(screen, 1, amount)], sale_date=date)
            Sale.confirm([sale])
        company = get_company()
        policy = create_policy(
            credit_method='revenue_share', credit_factor=Decimal('0.1'))
        limits = Policy.get_credit_limits(
            company, {party().id: policy, party("Other").id: policy})
        self.assertEqual(
            limits, {party().id: 180, party("Other").id: 0})
        policy.credit_method = 'revenue_months'
        policy.credit_factor = Decimal(2)
        policy.save()
        self.assertEqual(
            Policy.get_credit_limits(company, {party().id: policy}),
            {party().id: 300})
        policy.credit_maximum = Decimal(250)
        policy.save()
        self.assertEqual(
            Policy.get_credit_limits(company, {party().id: policy}),
            {party().id: 250})

    @with_company
    def test_revenue_currency(self):
        "Test orders in other currencies, and from before there was a cache"
        pool = Pool()
        Policy = pool.get('customer.service.policy')
        Rate = pool.get('currency.currency.rate')
        Sale = pool.get('sale.sale')
        company = get_company()
        foreign = create_currency('gbp')
        Rate.create([
                {'currency': c.id, 'date': dt.date(2020, 1, 1), 'rate': r}
                for c, r in [
                    (company.currency, Decimal(1)), (foreign, Decimal(4))]
                if not c.rates])
        old = create_sale()
        Sale.confirm([old, create_sale(currency=foreign)])
        table = Sale.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.untaxed_amount_cache], [None],
                where=table.id == old.id))
        policy = create_policy(
            credit_method='revenue_share', credit_factor=Decimal(1))
        self.assertEqual(
            Policy.get_credit_limits(company, {party().id: policy}),
            {party().id: 1250})
        Rate.delete(Rate.search([('currency', '=', foreign.id)]))
        with self.assertRaisesRegex(GradingRunError, "gbp"):
            Policy.get_credit_limits(company, {party().id: policy})
        self.assertEqual(
            Policy.get_credit_limits(company, {party("Other").id: policy}),
            {party("Other").id: 0})

    @with_company
    def test_values(self):
        "Test price list and dunning procedure come from the policy"
        pool = Pool()
        PriceList = pool.get('product.price_list')
        Procedure = pool.get('account.dunning.procedure')
        Policy = pool.get('customer.service.policy')
        price_list, = PriceList.create([{
                    'name': "List", 'company': get_company().id,
                    'price': 'list_price'}])
        procedure, = Procedure.create([{'name': "Strict"}])
        policy = create_policy(
            price_list=price_list.id, dunning_procedure=procedure.id)
        Policy.apply_to(get_company(), [party().id])
        self.assertEqual(party().sale_price_list, price_list)
        self.assertEqual(party().dunning_procedure, procedure)
        self.assertIsNone(party("Other").sale_price_list)
        # What it does not give remains
        policy.price_list = policy.dunning_procedure = None
        policy.save()
        Policy.apply_to(get_company(), [party().id])
        self.assertEqual(party().sale_price_list, price_list)
        self.assertEqual(party().dunning_procedure, procedure)

    @with_company
    def test_access(self):
        "Test who administers the grading sets up the policies"
        Policy = Pool().get('customer.service.policy')
        values = {'name': "Policy", 'company': get_company().id}
        for name in ["Sven", "Frida", "Carl", "Audi"]:
            with self.subTest(name=name), as_user(name), \
                    Transaction().set_context(_check_access=True):
                with self.assertRaises(UserError):
                    Policy.create([values])
        with as_user("Adam"), Transaction().set_context(_check_access=True):
            Policy.create([values])

    @with_company
    def test_invalid(self):
        for values in [
                {'credit_method': 'fixed'},
                {'credit_method': 'fixed', 'credit_amount': Decimal(-1)},
                {'credit_method': 'revenue_share'},
                {'credit_method': 'revenue_share',
                    'credit_factor': Decimal(20)},
                {'large_order': Decimal(0)},
                {'visit_interval': 0},
                {'class_': self.get_grade('level', '1')},
                ]:
            with self.subTest(values=values), self.assertRaises(UserError):
                create_policy(**values)
