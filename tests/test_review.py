# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
from decimal import Decimal

from trytond.model.exceptions import AccessError
from trytond.modules.sale_order_review.exceptions import (
    ReviewError, ReviewRequiredError, SignoffError, SignoffLateWarning)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, approve, as_user, count_queries, create_party, create_rule,
    create_sale, delegate, department, employee, get, get_company,
    get_notifications, get_signoff, on, sign, submit, with_company)

DATE = dt.date(2026, 3, 2)


class ReviewsTestCase(ReviewTestCase):
    "Test the reviews of orders"

    def submit(self, *sales, user="Sven"):
        with as_user(user):
            sales = sales or [create_sale()]
            reviews = submit(*sales)
        Review = Pool().get('sale.review')
        reviews = Review.browse(reviews)
        return reviews if len(reviews) > 1 else reviews[0]

    @with_company
    def test_submit_problems(self):
        "Test all that prevents the review is told at once"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule("Finance", signatories='number', number=3)
        create_rule("Sales", segregated=True, party=employee("Olga").party.id)
        with as_user("Sven"):
            draft = create_sale(quote=False, description="Draft")
            empty = create_sale(lines=[])
            nobody = create_sale()
            for sale, message in [
                    (draft, "it must be a quotation"),
                    (empty, "it must have lines"),
                    (nobody, 'Department "Finance" has 2 of the 3 persons'),
                    ]:
                _, problems = Review.plan([sale])
                with self.subTest(message=message):
                    self.assertEqual(len(problems), 1)
                    self.assertIn(message, problems[0])
                    self.assertIn(f'"{sale.rec_name}"', problems[0])
            with self.assertRaises(ReviewError) as cm:
                submit(draft, empty, nobody)
            self.assertEqual(len(cm.exception.message.split('\n')), 3)
            self.assertEqual(Review.search([]), [])
            self.assertEqual(
                [s.review_state for s in Sale.browse([draft, empty, nobody])],
                ['none', 'required', 'required'])
        _, problems = Review.plan([draft])
        self.assertIn("you must be an employee", problems[0])

    @with_company
    def test_submit_state(self):
        "Test what is under review, approved or free of rules"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        with as_user("Sven"):
            sale = create_sale()
            _, problems = Review.plan([sale])
            self.assertIn("No rule requires a review", problems[0])
        create_rule()
        with as_user("Sven"):
            submit(sale)
            _, problems = Review.plan([Sale(sale.id)])
            self.assertIn("already under review", problems[0])
        approve(get_signoff(Sale(sale.id).review, "Production"), "Paul")
        with as_user("Sven"):
            _, problems = Review.plan([Sale(sale.id)])
            self.assertIn("already approved", problems[0])

    @with_company
    def test_submit_segregated(self):
        "Test a department of which only who submits could sign"
        create_rule("Sales", signatories='head', segregated=True)
        with as_user("Sigrid"):
            with self.assertRaisesRegex(ReviewError, "has 0 of the 1 person"):
                submit(create_sale())
        sale = create_sale()
        self.submit(sale)

    @with_company
    def test_submit_entered(self):
        "Test who entered the order is excluded as who submits it"
        create_rule("Sales", segregated=True)
        with as_user("Sigrid"):
            sale = create_sale()
        review = self.submit(sale, user="Paul")
        signoff = get_signoff(review, "Sales")
        self.assertEqual(signoff.responsible, "Sven")
        with self.assertRaisesRegex(SignoffError, "because they entered"):
            approve(signoff, "Sigrid")
        with as_user("Sigrid"):
            Signoff = Pool().get('sale.review.signoff')
            self.assertFalse(Signoff(signoff.id).can_sign)
            self.assertEqual(Signoff.search([('can_sign', '=', True)]), [])

    @with_company
    def test_review(self):
        "Test what the review records"
        pool = Pool()
        Review = pool.get('sale.review')
        create_rule("Finance")
        sale = create_sale()
        review = self.submit(sale)
        self.assertEqual(review.origin, sale)
        self.assertEqual(review.party, sale.party)
        self.assertEqual(review.untaxed_amount, Decimal(1000))
        self.assertEqual(review.requested_by, employee("Sven"))
        self.assertEqual(review.entered_by, get('res.user', "Administrator"))
        self.assertEqual(review.rec_name, f'{review.number} (1)')
        self.assertEqual(review.differences, None)
        self.assertEqual(review.progress, 0)
        self.assertEqual(
            json.loads(review.snapshot)['sale.sale']['party'], sale.party.id)
        for clause in [
                ('rec_name', '=', review.number),
                ('rec_name', 'ilike', f'%{sale.number}%'),
                ('rec_name', 'ilike', 'acm%'),
                ('party', '=', sale.party.id),
                ('party.name', '=', "Acme"),
                ]:
            with self.subTest(clause=clause):
                self.assertEqual(Review.search([clause]), [review])

    @with_company
    def test_cause_approved(self):
        "Test the cause that was prepared for a return does not remain"
        Signoff = Pool().get('sale.review.signoff')
        create_rule()
        with as_user("Sven"):
            review, = submit(create_sale())
        signoff = get_signoff(review, "Production")
        with as_user("Paul"), Transaction().set_context(_check_access=True):
            Signoff.write([signoff], {'cause': 'price'})
        approve(signoff, "Paul")
        signoff = Signoff(signoff.id)
        self.assertEqual(signoff.state, 'approved')
        self.assertIsNone(signoff.cause)

    @with_company
    def test_carried_rounds(self):
        "Test a sign-off is carried from the round in which it was given"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule("Production", aspects=['products', 'quantities'])
        create_rule("Finance", stage=2, aspects=['prices'])
        create_rule("Sales", stage=2)
        sale = create_sale()
        line, = sale.lines
        given = None
        for round_, price in [(1, 1000), (2, 900), (3, 800)]:
            sale = Sale(sale.id)
            if round_ > 1:
                line = sale.lines[0]
                line.unit_price = Decimal(price)
                line.save()
                Sale.quote([sale])
            review = self.submit(sale)
            self.assertEqual(review.round, round_)
            signoff = get_signoff(review, "Production")
            if not given:
                approve(signoff, "Paul", opinion="Feasible.")
                given = signoff
            else:
                self.assertEqual(signoff.state, 'carried')
                self.assertEqual(signoff.carried_from, given)
                self.assertEqual(get_signoff(review, "Sales").state, 'pending')
            sign(
                get_signoff(review, "Finance"), 'return_', "Frida",
                opinion="Too cheap.")
        self.assertEqual(
            [(r.round, r.state) for r in Review.search([])],
            [(3, 'returned'), (2, 'superseded'), (1, 'superseded')])

        # Back to the first price: nothing but what was never given
        line = Sale(sale.id).lines[0]
        line.unit_price = Decimal(1000)
        line.save()
        Sale.quote([Sale(sale.id)])
        review = self.submit(Sale(sale.id))
        self.assertEqual(
            {s.department.name: s.state for s in review.signoffs},
            {'Production': 'carried', 'Finance': 'pending',
                'Sales': 'pending'})

    @with_company
    def test_carried_rule_changed(self):
        "Test a sign-off is not carried if its rule asks for others"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        rule = create_rule("Production", name="Any")
        create_rule("Finance")
        sale = create_sale()
        review = self.submit(sale)
        approve(get_signoff(review, "Production"), "Paul")
        with as_user("Sven"):
            Review.withdraw([Review(review.id)])
            self.assertEqual(Sale(sale.id).review_state, 'required')
        for values, carried in [
                ({}, True),
                ({'deadline': 5}, True),
                ({'signatories': 'head'}, False),
                ({'signatories': 'number', 'number': 2}, False),
                ({'department': department("Sales").id}, False),
                ]:
            with self.subTest(values=values):
                Rule = pool.get('sale.review.rule')
                Rule.write([rule], values)
                with as_user("Sven"):
                    (plan,), _ = Review.plan([Sale(sale.id)])
                signoff, = [
                    s for s in plan.signoffs if s['rule'] == rule]
                self.assertEqual(bool(signoff['carried_from']), carried)

    @with_company
    def test_carried_segregated(self):
        "Test who submits the next round has not signed it where segregated"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule(segregated=True)
        create_rule("Finance")
        review = self.submit()
        approve(get_signoff(review, "Production"), "Paul")
        sign(
            get_signoff(review, "Finance"), 'return_', "Frida",
            opinion="Too cheap.")
        sale = Sale(review.sale.id)
        Sale.quote([sale])
        for user, carried in [("Sven", True), ("Paul", False)]:
            with self.subTest(user=user), as_user(user):
                (plan,), _ = Review.plan([Sale(sale.id)])
                signoff, = [
                    s for s in plan.signoffs
                    if s['department'] == department("Production")]
                self.assertEqual(bool(signoff['carried_from']), carried)

    @with_company
    def test_carried_content(self):
        "Test a sign-off is carried by the content to which it was given"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        rule = create_rule(aspects=['prices'])
        create_rule("Finance")
        review = self.submit()
        approve(get_signoff(review, "Production"), "Paul")
        states = []
        for aspects, description in [
                (['prices'], "Changed"), (None, "Changed")]:
            sign(
                get_signoff(review, "Finance"), 'return_', "Frida",
                opinion="Again.")
            Rule.write([rule], {'aspects': aspects})
            sale = Sale(review.sale.id)
            sale.description = description
            sale.save()
            Sale.quote([sale])
            review = self.submit(sale)
            states.append(get_signoff(review, "Production").state)
        self.assertEqual(states, ['carried', 'pending'])

    @with_company
    def test_all_carried(self):
        "Test a round with nothing to sign is approved at once"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule("Production")
        gone = create_rule("Finance")
        sale = create_sale()
        review = self.submit(sale)
        approve(get_signoff(review, "Production"), "Paul")
        with as_user("Sven"):
            Review.withdraw([Review(review.id)])
        gone.active = False
        gone.save()
        get_notifications()
        review = self.submit(Sale(sale.id))
        self.assertEqual(review.state, 'approved')
        self.assertEqual(review.progress, 1)
        self.assertEqual(Sale(sale.id).review_state, 'approved')
        self.assertEqual(get_notifications().keys(), {'sven'})

    @with_company
    def test_approved_again(self):
        "Test a quotation that is again what was approved stays approved"
        pool = Pool()
        Sale = pool.get('sale.sale')
        create_rule()
        sale = create_sale()
        approve(get_signoff(self.submit(sale), "Production"), "Paul")
        Sale.draft([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).review_state, 'none')
        Sale.quote([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).review_state, 'approved')
        Sale.draft([Sale(sale.id)])
        line = Sale(sale.id).lines[0]
        line.quantity = 2
        line.save()
        Sale.quote([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).review_state, 'required')

    @with_company
    def test_notifications(self):
        "Test who is told, once and in their language"
        pool = Pool()
        Lang = pool.get('ir.lang')
        ModelData = pool.get('ir.model.data')
        Translation = pool.get('ir.translation')
        french, = Lang.search([('code', '=', 'fr')])
        french.translatable = True
        french.save()
        frida = get('res.user', "Frida")
        frida.language = french
        frida.save()
        Translation.create([{
                    'name': 'ir.message,text',
                    'res_id': ModelData.get_id(
                        'sale_order_review', 'msg_notification_pending'),
                    'lang': 'fr',
                    'type': 'model',
                    'module': 'sale_order_review',
                    'src': "%(number)s order(s) to sign",
                    'value': "%(number)s commande(s) à signer",
                    'fuzzy': False,
                    }])
        create_rule("Production")
        create_rule("Finance", name="Prices")
        create_rule("Finance", name="Credit")
        get_notifications()

        reviews = self.submit(create_sale(), create_sale())
        notifications = get_notifications()
        self.assertEqual(
            notifications.keys(), {'paul', 'petra', 'frida', 'fred'})
        for login, label in [
                ('paul', "2 order(s) to sign"),
                ('frida', "4 commande(s) à signer"),
                ('fred', "4 order(s) to sign"),
                ]:
            with self.subTest(login=login):
                notification, = notifications[login]
                self.assertEqual(notification.label, label)
                self.assertEqual(notification.model, 'sale.review.signoff')
                self.assertIn("Acme", notification.description)

        for review in reviews:
            sign(
                get_signoff(review, "Production"), 'return_', "Paul",
                opinion="No capacity.")
        notifications = get_notifications()
        self.assertEqual(notifications.keys(), {'sven'})
        self.assertEqual(
            [n.label for n in notifications['sven']],
            ["1 order(s) returned"] * 2)

    @with_company
    def test_notification_inactive_user(self):
        "Test a user who is inactive is not told"
        paul = get('res.user', "Paul")
        paul.active = False
        paul.save()
        create_rule()
        get_notifications()
        self.submit()
        self.assertEqual(get_notifications().keys(), {'petra'})

    @with_company
    def test_searchers(self):
        "Test the lists of the users"
        Signoff = Pool().get('sale.review.signoff')
        create_rule("Sales", stage=1, signatories='head')
        create_rule("Production", stage=2)
        create_rule("Finance", stage=2, signatories='head')
        first, second = self.submit(create_sale(), create_sale())
        approve(get_signoff(first, "Sales"), "Sigrid")
        f_sales, f_production, f_finance = first.signoffs
        s_sales, s_production, s_finance = second.signoffs
        everything = {*first.signoffs, *second.signoffs}
        delegate("Frida", "Olga", DATE)
        for name, can_sign, awaited, signed in [
                ("Sigrid", {s_sales},
                    {f_production, f_finance, s_production, s_finance},
                    {f_sales}),
                ("Paul", {f_production},
                    {f_finance, s_sales, s_production, s_finance}, set()),
                ("Frida", {f_finance},
                    {f_production, s_sales, s_production, s_finance}, set()),
                # No head
                ("Fred", set(), everything - {f_sales}, set()),
                # A substitute
                ("Olga", {f_finance},
                    {f_production, s_sales, s_production, s_finance}, set()),
                # Who requested it
                ("Sven", set(), everything - {f_sales}, set()),
                ]:
            with on(DATE), as_user(name):
                for field, expected in [
                        ('can_sign', can_sign),
                        ('awaited', awaited),
                        ('signed', signed),
                        ]:
                    for operator, value, found in [
                            ('=', True, expected),
                            ('!=', False, expected),
                            ('=', False, everything - expected),
                            ('!=', True, everything - expected),
                            ]:
                        with self.subTest(
                                name=name, field=field, operator=operator,
                                value=value):
                            self.assertEqual(
                                set(Signoff.search([
                                            (field, operator, value)])),
                                found)
                    with self.subTest(name=name, field=field):
                        self.assertEqual({
                                s for s in Signoff.browse(everything)
                                if getattr(s, field)}, expected)

    @with_company
    def test_searchers_agree(self):
        "Test the list of a segregated substitute agrees with its buttons"
        Signoff = Pool().get('sale.review.signoff')
        create_rule("Sales", segregated=True)
        delegate("Sigrid", "Olga", DATE)
        with on(DATE):
            self.submit(create_sale(), user="Sigrid")
            with as_user("Olga"):
                signoff, = Signoff.search([])
                self.assertFalse(signoff.can_sign)
                self.assertEqual(Signoff.search([('can_sign', '=', True)]), [])

    @with_company
    def test_search(self):
        "Test the search of sign-offs and decisions"
        pool = Pool()
        Decision = pool.get('sale.review.decision')
        Signoff = pool.get('sale.review.signoff')
        create_rule("Production")
        create_rule("Finance")
        sale = create_sale()
        review = self.submit(sale)
        production = get_signoff(review, "Production")
        approve(production, "Paul")
        self.assertEqual(production.rec_name, f"{sale.number} – Production")
        self.assertEqual(list(production.sale_lines), list(sale.lines))
        self.assertEqual(production.sale, sale)
        self.assertEqual(production.requested_by, employee("Sven"))
        for clause, expected in [
                (('rec_name', '=', "Production"), 1),
                (('rec_name', '!=', "Production"), 1),
                (('rec_name', '=', sale.number), 2),
                (('party', '=', sale.party.id), 2),
                (('requested_by.rec_name', '=', "Sven"), 2),
                (('round', '>', 1), 0),
                ]:
            with self.subTest(clause=clause):
                self.assertEqual(
                    len(Signoff.search([clause])), expected)
        decision, = Decision.search([('rec_name', '=', "Paul")])
        self.assertEqual(
            decision.rec_name, f"{sale.number} – Production – Paul")

    @with_company
    def test_list(self):
        "Test what a list of sign-offs reads at once is what each of them has"
        Signoff = Pool().get('sale.review.signoff')
        create_rule("Production", signatories='all')
        create_rule("Finance")
        create_rule("Sales", segregated=True)
        product = get('product.product', "Touch Screen")
        reviews = [
            self.submit(create_sale([(product, i, 1000)]), user=user)
            for i, user in enumerate(["Sven", "Paul", "Sven", "Sven"], 1)]
        approve(get_signoff(reviews[0], "Production"), "Paul")
        approve(get_signoff(reviews[0], "Finance"), "Frida")
        signoffs = [s for r in reviews for s in r.signoffs]
        names = [
            'rec_name', 'party', 'party.rec_name', 'currency',
            'untaxed_amount', 'round', 'state:string', 'responsible']
        more = [
            'sale', 'sale.rec_name', 'department', 'department.rec_name',
            'state']
        states = dict(Signoff.state.selection)
        with as_user("Frida"):
            ids = [s.id for s in signoffs]
            rows = {r['id']: r for r in Signoff.read(ids, names)}
            all_rows = {r['id']: r for r in Signoff.read(ids, names + more)}
            for signoff in signoffs:
                review, sale = signoff.review, signoff.sale
                department = signoff.department
                with self.subTest(signoff=signoff.rec_name):
                    self.assertEqual(all_rows[signoff.id], {
                            **rows[signoff.id],
                            'sale': sale.id,
                            'sale.': {
                                'id': sale.id, 'rec_name': sale.rec_name},
                            'department': department.id,
                            'department.': {
                                'id': department.id,
                                'rec_name': department.rec_name},
                            'state': signoff.state,
                            })
                    self.assertEqual(rows[signoff.id], {
                            'id': signoff.id,
                            'rec_name': (
                                f'{sale.number} – {signoff.department.name}'),
                            'party': sale.party.id,
                            'party.': {
                                'id': sale.party.id, 'rec_name': "Acme"},
                            'currency': review.currency.id,
                            'untaxed_amount': review.untaxed_amount,
                            'round': 1,
                            'state:string': states[signoff.state],
                            'responsible': Signoff(signoff.id).responsible,
                            })
        responsible = {
            (s.review, s.department.name): s.responsible for s in signoffs}
        self.assertEqual(responsible[reviews[0], "Finance"], "Frida")
        self.assertNotEqual(
            responsible[reviews[0], "Production"],
            responsible[reviews[1], "Production"])
        self.assertNotEqual(
            responsible[reviews[0], "Sales"],
            responsible[reviews[1], "Sales"])
        self.assertEqual(
            [s.review for s in Signoff.search(
                    [('department.name', '=', "Finance")],
                    order=[('untaxed_amount', 'DESC')])],
            reviews[::-1])

    @with_company
    def test_sign_refused(self):
        "Test the messages of those who cannot sign"
        Signoff = Pool().get('sale.review.signoff')
        create_rule("Production", stage=1)
        create_rule("Finance", stage=2, signatories='head')
        review = self.submit()
        production = get_signoff(review, "Production")
        finance = get_signoff(review, "Finance")
        with self.assertRaisesRegex(SignoffError, "earlier stage.*Production"):
            approve(finance, "Frida")
        with self.assertRaisesRegex(
                SignoffError, 'signed by: Paul, Petra'):
            approve(production, "Frida")
        with self.assertRaisesRegex(
                SignoffError, "you must be an employee"):
            Signoff.approve([production])
        with self.assertRaisesRegex(SignoffError, "enter the reason"):
            sign(production, 'return_', "Paul", opinion="  ")
        with self.assertRaisesRegex(SignoffError, "choose the cause"):
            sign(production, 'return_', "Paul", opinion="No.", cause=None)
        with self.assertRaisesRegex(AccessError, "cannot give an opinion"):
            approve(production, "Frida", opinion="Fine")
        approve(production, "Paul")
        with self.assertRaisesRegex(SignoffError, "it is Approved"):
            approve(production, "Petra")

    @with_company
    def test_return_cause(self):
        "Test the cause of a return is kept with the decision"
        Signoff = Pool().get('sale.review.signoff')
        create_rule(signatories='all')
        signoff = get_signoff(self.submit(), "Production")
        with as_user("Frida"), Transaction().set_context(_check_access=True):
            with self.assertRaises(AccessError):
                Signoff.write([signoff], {'cause': 'price'})
        with as_user("Paul"), Transaction().set_context(_check_access=True):
            Signoff.write([signoff], {'cause': 'price'})
        approve(signoff, "Paul")
        self.assertIsNone(Signoff(signoff.id).cause)
        sign(
            signoff, 'return_', "Petra", opinion="Too late.", cause='date')
        approved, returned = Signoff(signoff.id).decisions
        self.assertIsNone(approved.cause)
        self.assertEqual(returned.cause, 'date')
        with as_user("Petra"), Transaction().set_context(_check_access=True):
            with self.assertRaises(AccessError):
                Signoff.write([Signoff(signoff.id)], {'cause': 'price'})

    @with_company
    def test_sign_changed(self):
        "Test what changed since it was submitted is not signed"
        create_rule()
        sale = create_sale()
        review = self.submit(sale)
        line = sale.lines[0]
        line.quantity = 3
        line.save()
        with self.assertRaises(SignoffError) as cm:
            approve(get_signoff(review, "Production"), "Paul")
        self.assertIn("Touch Screen: Quantity", cm.exception.message)
        self.assertEqual(len(get_signoff(review, "Production").decisions), 0)

    @with_company
    def test_all(self):
        "Test all persons sign, a substitute also for who is absent"
        create_rule(signatories='all')
        delegate("Paul", "Petra", DATE)
        with on(DATE):
            review = self.submit()
            signoff = get_signoff(review, "Production")
            approve(signoff, "Petra", opinion="For both.")
        Signoff = Pool().get('sale.review.signoff')
        signoff = Signoff(signoff.id)
        self.assertEqual(signoff.state, 'approved')
        self.assertEqual(
            [(d.employee.rec_name,
                    d.on_behalf_of.rec_name if d.on_behalf_of else None,
                    d.opinion, d.digest)
                for d in signoff.decisions],
            [("Petra", None, "For both.", review.digest),
                ("Petra", "Paul", "For both.", review.digest)])

    @with_company
    def test_all_on_behalf(self):
        "Test who was signed for cannot sign any more, and is told so"
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        create_rule(signatories='all')
        delegate("Paul", "Olga", dt.date.min, dt.date.max)
        review = self.submit()
        signoff = get_signoff(review, "Production")
        approve(signoff, "Olga")
        signoff = Signoff(signoff.id)
        self.assertEqual(signoff.state, 'pending')
        self.assertEqual(signoff.responsible, "Petra")
        for name, can_sign in [
                ("Olga", False), ("Paul", False), ("Petra", True)]:
            with self.subTest(name=name), as_user(name):
                self.assertEqual(Signoff(signoff.id).can_sign, can_sign)
                self.assertEqual(
                    Signoff.search([('can_sign', '=', True)]),
                    [signoff] if can_sign else [])
        with self.assertRaisesRegex(SignoffError, "signed by: Petra"):
            approve(signoff, "Paul")

    @with_company
    def test_nobody_with_user(self):
        "Test the persons of a department need users, and different ones"
        pool = Pool()
        Review = pool.get('sale.review')
        User = pool.get('res.user')
        rule = create_rule(signatories='number', number=2)
        delegate("Paul", "Olga", dt.date.min, dt.date.max)
        sale = create_sale()
        User.write([get('res.user', "Petra")], {'active': False})
        for values, needed in [
                ({}, '1 of the 2'),
                ({'signatories': 'all', 'number': None}, '1 of the 2'),
                ({'signatories': 'any'}, None),
                ]:
            Rule = pool.get('sale.review.rule')
            Rule.write([rule], values)
            with self.subTest(values=values), as_user("Sven"):
                _, problems = Review.plan([sale])
                if needed:
                    self.assertIn(needed, problems[0])
                else:
                    self.assertEqual(problems, [])

    @with_company
    def test_opinion_of_other(self):
        "Test an opinion is recorded with the decision of who wrote it only"
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        create_rule()
        review = self.submit()
        signoff = get_signoff(review, "Production")
        with as_user("Petra"), Transaction().set_context(_check_access=True):
            Signoff.write([signoff], {'opinion': "I would refuse."})
            with self.assertRaises(AccessError):
                Signoff.write(
                    [signoff], {'opinion_by': employee("Paul").id})
        self.assertEqual(
            Signoff(signoff.id).opinion_by, employee("Petra"))
        with self.assertRaisesRegex(SignoffError, "enter the reason"):
            sign(signoff, 'return_', "Paul")
        approve(signoff, "Paul")
        decision, = Signoff(signoff.id).decisions
        self.assertEqual(decision.employee, employee("Paul"))
        self.assertIsNone(decision.opinion)

    @with_company
    def test_other_employee(self):
        "Test who has two employees does not sign as one what the other asked"
        pool = Pool()
        Employee = pool.get('company.employee')
        Review = pool.get('sale.review')
        Signoff = pool.get('sale.review.signoff')
        User = pool.get('res.user')
        create_rule(segregated=True)
        second, = Employee.create([{
                    'party': create_party("Sven's other").id,
                    'company': get_company().id,
                    }])
        User.write([get('res.user', "Paul")], {
                'employees': [('add', [second.id])],
                })
        with as_user("Paul"), Transaction().set_context(employee=second.id):
            review, = submit(create_sale())
            self.assertEqual(review.requested_by, second)
        signoff = get_signoff(Review(review.id), "Production")
        with as_user("Paul"):
            self.assertFalse(Signoff(signoff.id).can_sign)
            self.assertEqual(Signoff.search([('can_sign', '=', True)]), [])
        with self.assertRaisesRegex(SignoffError, "they entered the sale"):
            approve(signoff, "Paul")
        approve(signoff, "Petra")

    @with_company
    def test_all_one_by_one(self):
        "Test the absent person can still sign for oneself"
        create_rule(signatories='all')
        delegate("Paul", "Olga", DATE)
        with on(DATE):
            signoff = get_signoff(self.submit(), "Production")
            approve(signoff, "Paul")
            with self.assertRaises(SignoffError):
                approve(signoff, "Olga")
            approve(signoff, "Petra")
        Signoff = Pool().get('sale.review.signoff')
        self.assertEqual(Signoff(signoff.id).state, 'approved')

    @with_company
    def test_remind_settings(self):
        "Test companies that want no reminder and no escalation"
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Review = pool.get('sale.review')
        Signoff = pool.get('sale.review.signoff')
        create_rule(deadline=2)
        review = self.submit()
        configuration = Configuration(1)
        configuration.review_reminder = 2
        configuration.save()
        for reminder, escalation, date, expected in [
                (None, None, dt.date(2026, 3, 31), {}),
                (0, None, dt.date(2026, 3, 3), {}),
                (0, None, dt.date(2026, 3, 4), {'paul', 'petra'}),
                (1, None, dt.date(2026, 3, 3), {'paul', 'petra'}),
                (None, 0, dt.date(2026, 3, 4), {}),
                (None, 0, dt.date(2026, 3, 5), {'paul'}),
                ]:
            with self.subTest(
                    reminder=reminder, escalation=escalation, date=date):
                with as_user("Sven"):
                    Review.withdraw([Review(review.id)])
                configuration = Configuration(1)
                configuration.review_reminder = reminder
                configuration.review_escalation = escalation
                configuration.save()
                with on(DATE):
                    review = self.submit()
                get_notifications()
                with on(date):
                    Signoff.remind()
                self.assertEqual(get_notifications().keys(), set(expected))
        with Transaction().set_context(company=None):
            Signoff.remind()

    @with_company
    def test_late(self):
        "Test who signs late is warned"
        create_rule(deadline=1)
        with on(DATE):
            signoff = get_signoff(self.submit(), "Production")
        with on(dt.date(2026, 3, 3)):
            Signoff = Pool().get('sale.review.signoff')
            self.assertEqual(Signoff(signoff.id).deadline, dt.date(2026, 3, 3))
        with on(dt.date(2026, 3, 6)):
            with self.assertRaises(SignoffLateWarning) as cm:
                approve(signoff, "Paul")
            self.assertIn("3 working days ago", cm.exception.message)

    @with_company
    def test_evidence(self):
        "Test the records of a review cannot be changed inside the server"
        pool = Pool()
        create_rule()
        review = self.submit()
        signoff = get_signoff(review, "Production")
        approve(signoff, "Paul")
        for record, values in [
                (review, {'state': 'open'}),
                (signoff, {'state': 'pending'}),
                (signoff, {'opinion': "Never"}),
                (signoff.decisions[0], {'opinion': "Never"}),
                ]:
            Model = pool.get(record.__name__)
            with self.subTest(model=Model.__name__, values=values):
                with self.assertRaisesRegex(AccessError, "it is evidence"):
                    Model.write([record], values)
                with self.assertRaisesRegex(AccessError, "it is evidence"):
                    Model.delete([record])

    @with_company
    def test_attachments(self):
        "Test attachments stay once something was decided"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        create_rule("Production")
        create_rule("Finance")
        review = self.submit()
        production = get_signoff(review, "Production")
        finance = get_signoff(review, "Finance")
        on_review, on_production, on_finance, other = Attachment.create([{
                    'name': str(resource),
                    'resource': str(resource),
                    'type': 'data',
                    'data': b'Capacity',
                    } for resource in [
                    review, production, finance, review.sale]])
        Attachment.write([on_production], {'data': b'More'})
        approve(production, "Paul")
        Attachment.write([on_review, on_finance], {'data': b'More'})
        decision, = production.decisions
        on_decision, = Attachment.create([{
                    'name': "Plan",
                    'resource': str(decision),
                    'type': 'data',
                    'data': b'Plan',
                    }])
        for attachment in [on_production, on_decision]:
            with self.assertRaisesRegex(AccessError, "is evidence"):
                Attachment.write([attachment], {'data': b'Less'})
            with self.assertRaisesRegex(AccessError, "is evidence"):
                Attachment.delete([attachment])
        approve(finance, "Frida")
        for attachment in [on_review, on_finance]:
            with self.assertRaisesRegex(AccessError, "is evidence"):
                Attachment.delete([attachment])
        Attachment.delete([other])

    @with_company
    def test_withdraw(self):
        "Test only an open review is withdrawn"
        pool = Pool()
        Review = pool.get('sale.review')
        create_rule()
        review = self.submit()
        approve(get_signoff(review, "Production"), "Paul")
        with as_user("Sven"):
            Review.withdraw([Review(review.id)])
        self.assertEqual(Review(review.id).state, 'approved')

    @with_company
    def test_confirm_missing(self):
        "Test all that is missing is told at once"
        pool = Pool()
        Sale = pool.get('sale.sale')
        create_rule("Production", stage=1)
        create_rule("Finance", stage=2)
        required, reviewed, changed = [create_sale() for _ in range(3)]
        self.submit(reviewed)
        review = self.submit(changed)
        for name, person in [("Production", "Paul"), ("Finance", "Frida")]:
            approve(get_signoff(review, name), person)
        line = changed.lines[0]
        line.unit_price = Decimal(1)
        line.save()
        sales = Sale.browse([required, reviewed, changed])
        with self.assertRaises(ReviewRequiredError) as cm:
            Sale.confirm(sales)
        messages = cm.exception.message.split('\n')
        self.assertEqual(len(messages), 3)
        for sale, text in [
                (required, "must be reviewed by Production, Finance"),
                (reviewed, "Production (Paul, Petra), Finance (Fred, Frida)"),
                (changed, "Unit Price: 1,000 → 1"),
                ]:
            message, = [m for m in messages if f'"{sale.rec_name}"' in m]
            self.assertIn(text, message)
        self.assertEqual({s.state for s in sales}, {'quotation'})

    @with_company
    def test_rule_gone(self):
        "Test an order to which no rule applies any more is confirmed"
        pool = Pool()
        Sale = pool.get('sale.sale')
        SubmitReview = pool.get('sale.sale.submit_review', type='wizard')
        create_rule(first_order=True)
        party = create_party("Beta")
        first, second, third = [create_sale(party=party) for _ in range(3)]
        self.assertEqual(third.review_state, 'required')
        review = self.submit(first)
        approve(get_signoff(review, "Production"), "Paul")
        Sale.confirm([Sale(first.id)])
        with as_user("Sven"), Transaction().set_context(_check_access=True):
            Sale.confirm([Sale(second.id)])
        self.assertEqual(Sale(second.id).state, 'confirmed')
        session, *_ = SubmitReview.create()
        with as_user("Sven"), Transaction().set_context(
                active_model='sale.sale', active_id=third.id,
                active_ids=[third.id]):
            result = SubmitReview.execute(session, {}, 'start')
        self.assertIn(
            "No rule requires", result['view']['defaults']['problems'])
        self.assertEqual(Sale(third.id).review_state, 'none')

        # The orders that were confirmed without review stay so
        Sale.process(Sale.browse([first, second]))
        self.assertEqual(Sale(second.id).state, 'processing')

    @with_company
    def test_rule_come(self):
        "Test an order to which a rule has come to apply is held"
        pool = Pool()
        Product = pool.get('product.product')
        Sale = pool.get('sale.sale')
        create_rule(maximum_margin=Decimal('0.2'))
        sale = create_sale()
        self.assertEqual(sale.review_state, 'none')
        product = Product(sale.lines[0].product.id)
        product.cost_price = Decimal(900)
        product.save()
        with self.assertRaisesRegex(
                ReviewRequiredError, "Reset it to draft, quote it again"):
            Sale.confirm([Sale(sale.id)])

    @with_company
    def test_process_changed(self):
        "Test who confirmed is told of what the queue does not process"
        pool = Pool()
        Sale = pool.get('sale.sale')
        create_rule()
        review = self.submit()
        approve(get_signoff(review, "Production"), "Paul")
        sale = Sale(review.sale.id)
        with as_user("Sven"):
            Sale.confirm([sale])
        line = Sale(sale.id).lines[0]
        line.unit_price = Decimal(1)
        line.save()
        get_notifications()
        Sale.process([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'confirmed')
        self.assertEqual(list(get_notifications()), ['sven'])

    @with_company
    def test_review_in_queue(self):
        "Test an order whose rule is gone while it is under review waits"
        pool = Pool()
        Sale = pool.get('sale.sale')
        rule = create_rule()
        sale = create_sale()
        self.submit(sale)
        rule.active = False
        rule.save()
        with self.assertRaisesRegex(ReviewRequiredError, "under review"):
            Sale.confirm([Sale(sale.id)])

    @with_company
    def test_constant_queries(self):
        "Test the number of queries does not grow with the number of orders"
        Sale = Pool().get('sale.sale')
        create_rule("Production")
        create_rule("Finance")
        sales = [create_sale() for _ in range(8)]

        counts = []
        for number in [2, 2, 8]:
            with count_queries() as queries:
                Sale.get_review_snapshots(Sale.browse(sales[:number]))
            counts.append(len(queries))
        # The first time fills the caches
        self.assertEqual(counts[1], counts[2])

    @with_company
    def test_configuration(self):
        "Test the defaults of the configuration"
        Configuration = Pool().get('sale.configuration')
        configuration = Configuration(1)
        self.assertEqual(configuration.review_reminder, 1)
        self.assertEqual(configuration.review_escalation, 2)
        self.assertEqual(
            configuration.review_new_customer, dt.timedelta(days=365))
        self.assertTrue(configuration.get_multivalue(
                'review_sequence', company=get_company().id))
