# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import AccessError
from trytond.modules.sale_order_review.exceptions import (
    InquiryError, IntakeError, RequirementError, ReviewError,
    ReviewRequiredError, SignoffError, UnusualQuantityWarning)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, approve, as_user, count_queries, create_rule, create_sale,
    delegate, department, employee, get, get_company, get_notifications,
    get_signoff, on, sign, submit, with_company)

DATE = dt.date(2026, 3, 2)


def configure(**values):
    Configuration = Pool().get('sale.configuration')
    configuration = Configuration(1)
    for name, value in values.items():
        setattr(configuration, name, value)
    configuration.save()


def create_requirement(sale, text="Training", **values):
    Requirement = Pool().get('sale.requirement')
    requirement, = Requirement.create([{
                'sale': sale.id, 'text': text, **values}])
    return requirement


def as_client():
    return Transaction().set_context(_check_access=True)


class IntakeTestCase(ReviewTestCase):
    "Test what is recorded and checked when an order comes in"

    def missing(self, sale, *points, moment='quotation'):
        Sale = Pool().get('sale.sale')
        configure(intake_points=points, intake_check='quotation')
        return Sale.get_intake_missing([Sale(sale.id)], moment).get(sale, '')

    @with_company
    def test_no_configuration(self):
        "Test nothing is checked without configuration"
        Sale = Pool().get('sale.sale')
        sale = create_sale([("Freight", 0, 0)])
        self.assertEqual(sale.state, 'quotation')
        for moment in ['quotation', 'submission', 'confirmation']:
            self.assertEqual(Sale.get_intake_missing([sale], moment), {})
        self.assertEqual(Sale.get_intake_missing([], 'quotation'), {})

    @with_company
    def test_every_point_has_a_method(self):
        "Test each point that can be chosen is checked"
        pool = Pool()
        Configuration = pool.get('sale.configuration')
        Sale = pool.get('sale.sale')
        # Clients ask for them
        self.assertIn('get_intake_points', Configuration.__rpc__)
        points = [n for n, _ in Configuration.get_intake_points()]
        sale = create_sale(quote=False)
        self.missing(sale, *points)
        for name in points:
            self.assertTrue(hasattr(Sale, f'_get_intake_{name}'), name)

    @with_company
    def test_points(self):
        "Test what each point asks for"
        pool = Pool()
        Channel = pool.get('sale.channel')
        Mechanism = pool.get('party.contact_mechanism')
        sale = create_sale([("Freight", 0, 0, True)], quote=False)
        line, = sale.lines
        line.description = None
        line.save()
        telephone, = Channel.search([('name', '=', "Telephone")])
        web, = Channel.search([('name', '=', "Web Platform")])
        person, number = Mechanism.create([{
                    'party': sale.party.id, 'type': type_, 'name': "Carla",
                    'value': value,
                    } for type_, value in [
                        ('email', "carla@example.com"),
                        ('mobile', "+33 6 12 34 56 78")]])
        Mechanism.delete([number])
        now = dt.datetime(2026, 3, 2, 8)
        # Not first inside a subtest, where a lock could not be retried
        configure(intake_check='quotation')

        def add(**values):
            for name, value in values.items():
                setattr(sale, name, value)
            sale.save()

        for point, text, change in [
                ('channel', "the channel", {'channel': telephone}),
                ('channel', "who received", {
                        'received_at': now, 'received_by': employee("Sven")}),
                ('contract_date', "date of the contract", {
                        'contract_date': DATE}),
                ('contact', "contact person", {'contact': person}),
                ('delivery_date', "the shipping date", {
                        'shipping_date': DATE}),
                ('payment_term', "payment term", {}),
                ('requirements', "the requirements", {}),
                ('telephone', "telephone", {}),
                ('product', "the product of line", {}),
                ('description', "the description of customised", {}),
                ('quantity', "the quantity of line", {}),
                ('price', "the price of line", {}),
                ('delivery_place', "the street or the city", {}),
                ('feasible_date', "03/02/2026, which is past", {
                        'shipping_date': dt.date(2999, 1, 1)}),
                ]:
            with self.subTest(point=point, text=text):
                missing = self.missing(sale, point)
                self.assertIn(text, missing)
                self.assertIn(f'"{sale.rec_name}"', missing)
                self.assertIn('"Acme"', missing)
                if change:
                    add(**change)
                    self.assertNotIn(text, self.missing(sale, point))
        add(received_by=None, channel=web)
        self.assertEqual(self.missing(sale, 'channel'), '')
        create_requirement(sale)
        address, = sale.party.addresses
        address.street = "Road"
        address.save()
        Mechanism.create([{
                    'party': sale.party.id, 'type': 'phone', 'name': "Carla",
                    'value': "+33 1 23 45 67 89",
                    }])
        line.product = get('product.product', "Touch Screen")
        line.unit = line.product.default_uom
        line.quantity, line.unit_price = 1, Decimal(1)
        line.description = "Blue"
        line.save()
        for point in [
                'requirements', 'delivery_place', 'telephone', 'product',
                'quantity', 'price', 'description', 'range', 'documents']:
            with self.subTest(point=point):
                self.assertEqual(self.missing(sale, point), '')
        template = line.product.template
        template.salable = False
        template.save()
        self.assertIn("which is not sold", self.missing(sale, 'range'))

    @with_company
    def test_telephone_of_other_person(self):
        "Test the telephone of another person is not that of the contact"
        Mechanism = Pool().get('party.contact_mechanism')
        sale = create_sale(quote=False)
        contact, _ = Mechanism.create([{
                    'party': sale.party.id, 'type': type_, 'name': name,
                    'value': value,
                    } for type_, name, value in [
                        ('email', "Carla", "carla@example.com"),
                        ('phone', "Otto", "+33 1 23 45 67 89")]])
        sale.contact = contact
        sale.save()
        self.assertIn("telephone", self.missing(sale, 'telephone'))

    @with_company
    def test_quotation(self):
        "Test all that is missing of all orders is told at once"
        Sale = Pool().get('sale.sale')
        configure(
            intake_points=['channel', 'payment_term'],
            intake_check='quotation')
        sales = [create_sale(quote=False) for _ in range(2)]
        with self.assertRaises(IntakeError) as cm:
            Sale.quote(sales)
        lines = cm.exception.message.split('\n')
        self.assertEqual(len(lines), 2)
        for sale, line in zip(sales, lines):
            for text in [sale.rec_name, "the channel", "the payment term"]:
                self.assertIn(text, line)
        self.assertEqual({s.state for s in Sale.browse(sales)}, {'draft'})

    @with_company
    def test_submission(self):
        "Test what is missing holds the submission but not the quotation"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        configure(intake_points=['channel', 'contact'])
        create_rule()
        with as_user("Sven"):
            sale = create_sale()
            _, problems = Review.plan([sale])
            problem, = problems
            self.assertIn("the channel; who received", problem)
            self.assertIn("; the contact person.", problem)
            with self.assertRaises(ReviewError):
                submit(sale)
            self.assertEqual(Sale(sale.id).review_state, 'required')

    @with_company
    def test_confirmation(self):
        "Test an order that needs no review is checked when it is confirmed"
        Sale = Pool().get('sale.sale')
        configure(intake_points=['channel'])
        sale = create_sale()
        with self.assertRaisesRegex(ReviewRequiredError, "the channel"):
            Sale.confirm([sale])
        configure(intake_check='quotation')
        Sale.confirm([sale])
        self.assertIn(sale.state, {'confirmed', 'processing'})

    @with_company
    def test_confirmation_approved(self):
        "Test an approved order is not asked for what came up later"
        Sale = Pool().get('sale.sale')
        create_rule("Finance")
        sale = create_sale()
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        configure(intake_points=['channel'])
        with self.assertRaisesRegex(ReviewRequiredError, "the channel"):
            Sale.confirm([Sale(sale.id)])
        approve(get_signoff(review, "Finance"), "Frida")
        Sale.confirm([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'confirmed')

    @with_company
    def test_oral(self):
        "Test an oral requirement holds the order until it is confirmed"
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        Sale = pool.get('sale.sale')
        sale = create_sale()
        create_requirement(sale, "Written")
        requirement = create_requirement(sale, oral=True)
        self.assertEqual(
            Requirement.search([('unconfirmed', '=', True)]), [requirement])
        self.assertNotIn(
            requirement, Requirement.search([('unconfirmed', '=', False)]))
        create_rule()
        Sale.update_review_state([sale])
        with as_user("Sven"):
            with self.assertRaisesRegex(ReviewError, 'oral .*"Training"'):
                submit(Sale(sale.id))
        configure(intake_check='quotation')
        with as_user("Sven"):
            submit(Sale(sale.id))
        approve(get_signoff(Sale(sale.id).review, "Production"), "Paul")
        with self.assertRaisesRegex(ReviewRequiredError, 'oral .*"Training"'):
            Sale.confirm([Sale(sale.id)])
        with as_user("Sven"):
            Requirement.write([requirement], {
                    'confirmed_how': 'email', 'confirmed_with': "Carla"})
            Requirement.confirm([Requirement(requirement.id)])
        Sale.confirm([Sale(sale.id)])
        requirement = Requirement(requirement.id)
        self.assertEqual(requirement.confirmed_by, employee("Sven"))
        self.assertFalse(requirement.unconfirmed)

    @with_company
    def test_confirm_requirement(self):
        "Test why a requirement cannot be confirmed"
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        Sale = pool.get('sale.sale')
        how = {'confirmed_how': 'letter', 'confirmed_with': "Carla"}
        sale, other = create_sale(), create_sale()
        written = create_requirement(sale, **how)
        bare = create_requirement(sale, oral=True)
        oral = create_requirement(sale, oral=True, **how)
        closed = create_requirement(other, oral=True, **how)
        Sale.cancel([other])
        with self.assertRaisesRegex(RequirementError, "must be an employee"):
            Requirement.confirm([oral])
        with as_user("Sven"):
            for requirement, text in [
                    (written, "must be oral"),
                    (bare, "enter how and with whom"),
                    (closed, "not a draft or quotation"),
                    ]:
                with self.subTest(text=text):
                    with self.assertRaisesRegex(RequirementError, text) as cm:
                        Requirement.confirm([Requirement(requirement.id)])
                    self.assertIn('"Training"', cm.exception.message)
            Requirement.confirm([Requirement(oral.id)])
            with self.assertRaisesRegex(RequirementError, "not confirmed yet"):
                Requirement.confirm([Requirement(oral.id)])

    @with_company
    def test_requirement_evidence(self):
        "Test a confirmation is neither invented nor changed"
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        Sale = pool.get('sale.sale')
        sale = create_sale(quote=False)
        oral = create_requirement(
            sale, oral=True, confirmed_how='letter', confirmed_with="Carla")
        now = dt.datetime.now()
        with as_user("Sven") as user, as_client():
            for values in [
                    {'confirmed_at': now},
                    {'confirmed_by': user.employee.id},
                    ]:
                with self.assertRaisesRegex(AccessError, "evidence"):
                    Requirement.write([oral], values)
                with self.assertRaisesRegex(AccessError, "evidence"):
                    create_requirement(sale, oral=True, **values)
            Requirement.confirm([Requirement(oral.id)])
            for values in [
                    {'text': "Other"}, {'oral': False}, {'confirmed_at': None},
                    {'confirmed_how': 'email'}, {'sale': sale.id}]:
                with self.assertRaisesRegex(AccessError, "evidence"):
                    Requirement.write([Requirement(oral.id)], values)
            copy, = Requirement.copy([oral], {
                    'confirmed_at': now, 'confirmed_by': user.employee.id})
            self.assertTrue(copy.unconfirmed)
            self.assertEqual(copy.confirmed_with, None)
            sale_copy, = Sale.copy([sale])
            self.assertTrue(all(
                    r.unconfirmed for r in sale_copy.requirements))
            Requirement.delete([Requirement(oral.id)])

    @with_company
    def test_requirement_reviewed(self):
        "Test a requirement is part of what is signed"
        pool = Pool()
        Review = pool.get('sale.review')
        Requirement = pool.get('sale.requirement')
        Sale = pool.get('sale.sale')
        create_rule("Production", aspects=['requirements'])
        create_rule("Finance", aspects=['prices'])
        sale = create_sale(quote=False)
        requirement = create_requirement(sale)
        Sale.quote([sale])
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
            with as_client():
                for function, args in [
                        (Requirement.write, ([requirement], {'text': "x"})),
                        (Requirement.write, ([requirement], {'sale': sale})),
                        (Requirement.delete, ([requirement],)),
                        ]:
                    with self.subTest(function=function, args=args):
                        with self.assertRaisesRegex(
                                AccessError, f'sale "{sale.rec_name}"'):
                            function(*args)
        approve(get_signoff(review, "Production"), "Paul")
        approve(get_signoff(review, "Finance"), "Frida")
        Requirement.write([requirement], {'text': "Twice\na year"})
        create_requirement(sale, "Maintenance", kind='own')
        self.assertEqual(
            sorted(Review.get_differences([Review(review.id)])[sale]), [
                "Maintenance: added",
                "Twice: Requirement: Training → Twice\na year",
                ])
        with self.assertRaisesRegex(ReviewRequiredError, "Maintenance"):
            Sale.confirm([Sale(sale.id)])
        Sale.draft([Sale(sale.id)])
        Sale.quote([Sale(sale.id)])
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        self.assertEqual(get_signoff(review, "Production").state, 'pending')
        self.assertEqual(get_signoff(review, "Finance").state, 'carried')

    @with_company
    def test_documents(self):
        "Test the documents of an order that processes material"
        pool = Pool()
        Document = pool.get('sale.processing.document')
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule()
        sale = create_sale(quote=False, processing=True)
        sample, = Document.create([{
                    'sale': sale.id, 'kind': 'sample', 'received_on': DATE}])
        self.assertEqual(sample.rec_name, "Sample")
        self.assertEqual(
            self.missing(sale, 'documents').count("the receipt"), 3)
        Sale.quote([create_sale(quote=False)])
        configure(intake_points=[])
        Sale.quote([Sale(sale.id)])
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
            with as_client():
                Document.write([sample], {'received_on': None})
                Sale.write([Sale(sale.id)], {'material_complete_on': DATE})
                with self.assertRaises(AccessError):
                    Document.delete([sample])
                with self.assertRaises(AccessError):
                    Sale.write([Sale(sale.id)], {'processing': False})
        Document.write([sample], {'kind': 'work_instruction'})
        self.assertEqual(
            Review.get_differences([Review(review.id)])[sale],
            ["Work Instruction: Kind: Sample → Work Instruction"])
        copy, = Sale.copy([Sale(sale.id)])
        self.assertEqual(copy.material_complete_on, None)
        document, = copy.processing_documents
        self.assertEqual(document.received_on, None)

    @with_company
    def test_received(self):
        "Test when the order was received is part of what is signed"
        Sale = Pool().get('sale.sale')
        text, = Sale.format_review_differences(
            {'sale.sale': {'received_at': None}},
            {'sale.sale': {'received_at': '2026-03-02T08:30:00'}})
        self.assertEqual(text, "Received At: ∅ → 03/02/2026\xa008:30:00")

    @with_company
    def test_entered_late(self):
        "Test the deadline of the entry"
        pool = Pool()
        Sale = pool.get('sale.sale')
        none = create_sale(contract_date=DATE)
        self.assertEqual(none.entry_deadline, None)
        configure(entry_days=2)
        with as_user("Sven") as user:
            with on(dt.date(2026, 3, 5)):
                late = create_sale(contract_date=DATE)
            with on(dt.date(2026, 3, 4)):
                early = create_sale(contract_date=DATE)
        for sale in [late, early]:
            self.assertEqual(sale.entry_deadline, dt.date(2026, 3, 4))
        self.assertEqual(
            [s.entered_late for s in Sale.browse([none, late, early])],
            [False, True, False])
        for clause, result in [
                (('entered_late', '=', True), {late}),
                (('entered_late', '!=', True), {none, early}),
                (('entered_late', '=', False), {none, early}),
                (('entered_by', '=', user.id), {late, early}),
                (('entered_by.login', '=', 'sven'), {late, early}),
                ]:
            with self.subTest(clause=clause):
                self.assertEqual(set(Sale.search([clause])), result)
        self.assertEqual(late.entered_by, user)

        # Neither can be set
        Sale.write([late], {
                'entered_on': DATE, 'entry_deadline': dt.date(2027, 1, 1)})
        late = Sale(late.id)
        self.assertEqual(late.entered_on, dt.date(2026, 3, 5))
        self.assertEqual(late.entry_deadline, dt.date(2026, 3, 4))
        self.assertTrue(late.entered_late)
        # What was entered keeps its deadline
        configure(entry_days=9)
        late.reference = "x"
        late.save()
        self.assertTrue(Sale(late.id).entered_late)
        late.contract_date = None
        late.save()
        self.assertFalse(Sale(late.id).entered_late)
        copy, = Sale.copy([early])
        self.assertEqual(copy.contract_date, None)
        self.assertEqual(copy.entry_deadline, None)
        self.assertFalse(copy.entered_late)

    @with_company
    def test_on_change_channel(self):
        "Test who chooses the channel received the order"
        pool = Pool()
        Channel = pool.get('sale.channel')
        Sale = pool.get('sale.sale')
        by_name = {c.name: c for c in Channel.search([])}
        for name, user, expected in [
                ("Telephone", "Sven", "Sven"),
                ("Web Platform", "Sven", None),
                ("Telephone", "Administrator", None),
                ]:
            with self.subTest(name=name), as_user(user):
                sale = Sale(
                    company=get_company(), channel=by_name[name],
                    received_by=None, received_at=None)
                sale.on_change_channel()
                self.assertTrue(sale.received_at)
                self.assertEqual(
                    sale.received_by.rec_name if sale.received_by else None,
                    expected)

    @with_company
    def test_handlers(self):
        "Test the handlers are told of what somebody else created on-line"
        pool = Pool()
        Channel = pool.get('sale.channel')
        Sale = pool.get('sale.sale')
        web, = Channel.search([('name', '=', "Web Platform")])
        web.handlers = [employee("Sven"), employee("Sigrid")]
        web.save()
        template = create_sale(quote=False)
        get_notifications()
        with as_user("Olga"):
            Sale.copy([template] * 3, {'channel': web.id})
        notifications = get_notifications()
        self.assertEqual(notifications.keys(), {'sven', 'sigrid'})
        notification, = notifications['sven']
        self.assertEqual(notification.label, "3 order(s) received on-line")
        self.assertEqual(notification.model, 'sale.sale')
        with as_user("Sven"):
            Sale.copy([template], {'channel': web.id})
        web.online = False
        web.save()
        with as_user("Olga"):
            sale, = Sale.copy([template], {'channel': web.id})
            Sale.write([sale], {'description': "x"})
        self.assertEqual(get_notifications(), {})

    @with_company
    def test_unusual_quantity(self):
        "Test the warning of a quantity much larger than those before"
        pool = Pool()
        Sale = pool.get('sale.sale')
        Uom = pool.get('product.uom')
        Warning = pool.get('res.user.warning')
        product = get('product.product', "Touch Screen")
        box, = Uom.copy([product.default_uom], {
                'name': "Box", 'symbol': "box", 'factor': 8, 'rate': 0.125})

        def quote(quantity, unit=None):
            sale = create_sale([(product, quantity, 1000)], quote=False)
            line, = sale.lines
            if unit:
                line.unit = unit
                line.save()
            with as_user("Sven"):
                Sale.quote([Sale(sale.id)])
            return Sale(sale.id)

        configure(quantity_factor=2.5)
        # What is only quoted is not yet usual
        Sale.confirm([quote(2)])
        quote(5)
        for quantity, unit, text in [
                (6, None, "6 Unit, is unusual: at most 2 were"),
                (1, box, "1 Box, is unusual: at most 0.25 were"),
                ]:
            with self.subTest(quantity=quantity, unit=unit):
                with self.assertRaisesRegex(
                        UnusualQuantityWarning, text) as cm:
                    quote(quantity, unit)
                self.assertIn('"Touch Screen"', cm.exception.message)
        sale = create_sale([(product, 6, 1000)], quote=False)
        with as_user("Sven") as user:
            with self.assertRaises(UnusualQuantityWarning) as cm:
                Sale.quote([Sale(sale.id)])
            Warning.create([{
                        'user': user.id, 'name': cm.exception.name,
                        'always': False}])
            Sale.quote([Sale(sale.id)])
        configure(quantity_factor=None)
        self.assertEqual(quote(99).state, 'quotation')

    @with_company
    def test_queries(self):
        "Test the check of a list costs as many queries as of a short one"
        Sale = Pool().get('sale.sale')
        configure(intake_points=[
                n for n, _ in Pool().get(
                    'sale.configuration').get_intake_points()])

        def count(n):
            sales = [create_sale(quote=False, processing=True)
                for _ in range(n)]
            for sale in sales:
                create_requirement(sale, oral=True)
            Transaction().counter += 1
            with count_queries() as queries:
                Sale.get_intake_missing(
                    Sale.browse([s.id for s in sales]), 'submission')
            return len(queries)

        count(1)
        self.assertEqual(count(2), count(10))


class InquiriesTestCase(ReviewTestCase):
    "Test the questions that are asked during a review"

    def review(self, *rules):
        "Return a review of Sven on Monday that Finance must sign in two days"
        create_rule("Finance", deadline=2)
        for name in rules:
            create_rule(name)
        with as_user("Sven"), on(DATE):
            review, = submit(create_sale())
        get_notifications()
        return review

    def ask(self, signoff, user="Frida", date=DATE, days=1, **values):
        values.setdefault('asked_of', 'customer')
        values.setdefault('means', 'telephone')
        values.setdefault('question', "VAT number?")
        values.setdefault('reply_due', date + dt.timedelta(days=days))
        if values['asked_of'] == 'customer':
            values.setdefault('person', "Carla")
        with as_user(user), on(date):
            Signoff = Pool().get('sale.review.signoff')
            inquiry, = Signoff.pause([Signoff(signoff.id)], **values)
        return Pool().get('sale.review.inquiry')(inquiry.id)

    def reply(self, inquiry, reply="1", user="Sven", date=DATE, **values):
        with as_user(user), on(date):
            Inquiry = Pool().get('sale.review.inquiry')
            Inquiry.record_reply([Inquiry(inquiry.id)], reply, **values)
        return Pool().get('sale.review.inquiry')(inquiry.id)

    @with_company
    def test_record(self):
        "Test what is recorded and who is told"
        Inquiry = Pool().get('sale.review.inquiry')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        inquiry = self.ask(signoff, question=" VAT number?\nAnd EORI? ")
        self.assertEqual(get_notifications().keys(), {'sven'})
        self.assertEqual(
            inquiry.rec_name, f'{review.sale.rec_name} – VAT number?')
        self.assertEqual(inquiry.party, review.sale.party)
        self.assertEqual(inquiry.asked_by, employee("Frida"))
        self.assertEqual(inquiry.responsible, "Sven")
        self.assertEqual(inquiry.state, 'open')
        review = Pool().get('sale.review')(review.id)
        self.assertEqual(list(review.inquiries), [inquiry])
        self.assertEqual(list(review.sale.inquiries), [inquiry])
        for clause in [
                ('rec_name', 'ilike', '%EORI%'),
                ('rec_name', 'ilike', f'%{review.sale.number}%'),
                ('party', '=', review.sale.party.id),
                ]:
            with self.subTest(clause=clause):
                self.assertEqual(Inquiry.search([clause]), [inquiry])
        inquiry = self.reply(inquiry, person="Otto")
        notification, = get_notifications()['frida']
        self.assertEqual(notification.label, "1 inquiry(ies) answered")
        self.assertEqual(inquiry.replied_by, employee("Sven"))
        self.assertEqual(inquiry.replied_with, "Otto")
        self.assertEqual(inquiry.responsible, None)
        copy, = Pool().get('sale.sale').copy([review.sale])
        self.assertEqual(copy.inquiries, ())

    @with_company
    def test_to_reply(self):
        "Test on whose list an inquiry stands"
        Inquiry = Pool().get('sale.review.inquiry')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        customer = self.ask(signoff)
        production = self.ask(
            signoff, asked_of='department',
            department=department("Production"))
        self.assertEqual(
            get_notifications().keys(), {'sven', 'paul', 'petra'})
        delegate("Petra", "Olga", dt.date.today())
        for user, expected, mine in [
                ("Sven", {customer}, set()),
                ("Sigrid", set(), set()),
                ("Paul", {production}, set()),
                ("Olga", {production}, set()),
                ("Frida", set(), {customer, production}),
                ("Administrator", set(), set()),
                ]:
            with self.subTest(user=user), as_user(user):
                for name, inquiries in [
                        ('to_reply', expected), ('mine', mine)]:
                    self.assertEqual(
                        set(Inquiry.search([(name, '=', True)])), inquiries)
                    self.assertEqual(
                        set(Inquiry.search([(name, '!=', True)])),
                        {customer, production} - inquiries)
                    self.assertEqual({
                            i for i in Inquiry.browse([customer, production])
                            if getattr(i, name)}, inquiries)

    @with_company
    def test_ask_refused(self):
        "Test an inquiry that is not complete or not due is refused"
        review = self.review()
        create_rule("Production", stage=2)
        signoff = get_signoff(review, "Finance")
        other = create_sale()
        finance, sales = department("Finance"), department("Sales")
        empty, = Pool().get('company.department').create([{
                    'name': "Archive",
                    'company': get_company().id,
                    }])
        for values, text in [
                ({'question': " "}, "enter the question"),
                ({'question': None}, "enter the question"),
                ({'days': -1}, "not past"),
                ({'reply_due': None}, "not past"),
                ({'person': " "}, "enter the person"),
                ({'asked_of': 'department'}, "another department"),
                ({'asked_of': 'department', 'department': finance},
                    "another department"),
                ({'department': sales}, "another department"),
                ({'asked_of': 'department', 'department': empty}, "Archive"),
                ]:
            with self.subTest(values=values):
                with self.assertRaisesRegex(InquiryError, text) as cm:
                    self.ask(signoff, **values)
                self.assertIn(signoff.rec_name, cm.exception.message)
        for user in ["Sven", "Paul", "Olga", "Administrator"]:
            with self.subTest(user=user):
                with self.assertRaisesRegex(SignoffError, signoff.rec_name):
                    self.ask(signoff, user=user)
        self.assertEqual(Pool().get('sale.review.inquiry').search([]), [])
        with on(DATE):
            approve(signoff, "Frida")
        with self.assertRaises(SignoffError):
            self.ask(signoff)
        with as_user("Sven"), on(DATE):
            second, = submit(other)
        with self.assertRaisesRegex(SignoffError, "earlier stage"):
            self.ask(get_signoff(second, "Production"), user="Paul")

    @with_company
    def test_reply_refused(self):
        "Test who cannot reply, and what is no reply"
        review = self.review()
        signoff = get_signoff(review, "Finance")
        customer = self.ask(signoff)
        production = self.ask(
            signoff, asked_of='department',
            department=department("Production"))
        for inquiry, user, reply, text in [
                (customer, "Sven", "", "enter the reply"),
                (customer, "Sven", " \n", "enter the reply"),
                (customer, "Sven", None, "enter the reply"),
                (customer, "Olga", "1", "cannot reply"),
                (production, "Sven", "1", "Paul, Petra"),
                (production, "Frida", "1", "Paul, Petra"),
                (production, "Administrator", "1", "must be an employee"),
                ]:
            with self.subTest(user=user, reply=reply):
                with self.assertRaisesRegex(InquiryError, text) as cm:
                    self.reply(inquiry, reply, user=user)
                self.assertIn(inquiry.rec_name, cm.exception.message)
        # Anybody who sells can have spoken to the customer
        self.reply(customer, user="Sigrid")
        self.reply(production, user="Petra")
        with self.assertRaisesRegex(InquiryError, "it is Answered"):
            self.reply(customer, "2")

    @with_company
    def test_evidence(self):
        "Test neither the question nor the reply can be changed"
        Inquiry = Pool().get('sale.review.inquiry')
        Attachment = Pool().get('ir.attachment')
        review = self.review()
        inquiry = self.ask(get_signoff(review, "Finance"))
        attachment, = Attachment.create([{
                    'name': "Note", 'resource': str(inquiry)}])
        attachment.name = "Letter"
        attachment.save()
        for answered in [False, True]:
            for values in [
                    {'question': "x"}, {'reply': "x"}, {'state': 'open'},
                    {'reply_due': DATE}]:
                with self.assertRaises(AccessError):
                    Inquiry.write([inquiry], values)
            with self.assertRaises(AccessError):
                Inquiry.delete([inquiry])
            with self.assertRaises(AccessError):
                Inquiry.copy([inquiry])
            if not answered:
                inquiry = self.reply(inquiry)
        with self.assertRaises(AccessError):
            Attachment.write([Attachment(attachment.id)], {'name': "x"})

    @with_company
    def test_approve(self):
        "Test a sign-off whose inquiry is open cannot be approved"
        Signoff = Pool().get('sale.review.signoff')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        inquiry = self.ask(signoff)
        with self.assertRaisesRegex(InquiryError, "VAT number") as cm:
            approve(signoff, "Frida")
        self.assertIn("Sven", cm.exception.message)
        self.assertEqual(Signoff(signoff.id).state, 'pending')
        self.reply(inquiry)
        with on(DATE):
            approve(Signoff(signoff.id), "Frida")
        self.assertEqual(Signoff(signoff.id).state, 'approved')

    @with_company
    def test_return(self):
        "Test the order can be returned, without a warning, and who replies"
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        Sale = pool.get('sale.sale')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        answered = self.reply(self.ask(signoff))
        inquiry = self.ask(signoff)
        with on(dt.date(2026, 3, 20)):
            sign(signoff, 'return_', "Frida", opinion="No reply.")
        self.assertEqual(Sale(review.sale.id).state, 'draft')
        self.assertEqual(
            [i.state for i in Inquiry.browse([answered, inquiry])],
            ['answered', 'cancelled'])
        with self.assertRaisesRegex(InquiryError, "Cancelled"):
            self.reply(inquiry)

    @with_company
    def test_withdraw(self):
        "Test the inquiries end with the review"
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        Review = pool.get('sale.review')
        review = self.review("Production")
        inquiries = [
            self.ask(get_signoff(review, "Finance")),
            self.ask(get_signoff(review, "Production"), user="Paul")]
        with as_user("Sven"):
            Review.withdraw([Review(review.id)])
        self.assertEqual(
            {i.state for i in Inquiry.browse(inquiries)}, {'cancelled'})

    @with_company
    def test_deadline(self):
        "Test the deadline moves by the working days without a reply"
        Signoff = Pool().get('sale.review.signoff')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        self.assertEqual(signoff.deadline, dt.date(2026, 3, 4))

        def state():
            record = Signoff(signoff.id)
            return record.paused_since, record.deadline

        self.reply(self.ask(signoff))
        self.assertEqual(state(), (None, dt.date(2026, 3, 4)))
        # Two that overlap count once, from Tuesday to Monday
        one = self.ask(signoff, date=dt.date(2026, 3, 3))
        two = self.ask(signoff, date=dt.date(2026, 3, 5))
        self.reply(one, date=dt.date(2026, 3, 6))
        self.assertEqual(
            state(), (dt.date(2026, 3, 3), dt.date(2026, 3, 4)))
        self.reply(two, date=dt.date(2026, 3, 9))
        self.assertEqual(state(), (None, dt.date(2026, 3, 10)))

    @with_company
    def test_deadline_late(self):
        "Test a sign-off that was late remains as late as it was"
        Signoff = Pool().get('sale.review.signoff')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        inquiry = self.ask(signoff, date=dt.date(2026, 3, 6))
        self.reply(inquiry, date=dt.date(2026, 3, 10))
        company = get_company()
        self.assertEqual(
            company.working_days_between(
                Signoff(signoff.id).deadline, dt.date(2026, 3, 10)), 2)

    @with_company
    def test_remind(self):
        "Test who is reminded while an inquiry is open"
        Signoff = Pool().get('sale.review.signoff')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        inquiry = self.ask(signoff, days=3)
        get_notifications()

        def run(day):
            with on(dt.date(2026, 3, day)):
                Signoff.remind()
            return {
                l: [n.label for n in ns]
                for l, ns in get_notifications().items()}

        due = {'sven': ["1 reply(ies) due"]}
        self.assertEqual(
            [run(d) for d in [3, 4, 5, 6, 9, 20]],
            [{}, due, {}, due, {}, {}])
        self.assertEqual(Signoff(signoff.id).escalation, None)
        self.reply(inquiry, date=dt.date(2026, 3, 20))
        get_notifications()
        deadline = Signoff(signoff.id).deadline
        self.assertEqual(deadline, dt.date(2026, 3, 24))
        self.assertEqual(run(23), {
                'frida': ["1 sign-off(s) due"], 'fred': ["1 sign-off(s) due"]})
        self.assertEqual(run(25), {'frida': ["1 sign-off(s) late"]})
        # It is reminded again of what moved
        inquiry = self.ask(signoff, date=dt.date(2026, 3, 25))
        self.reply(inquiry, date=dt.date(2026, 3, 27))
        record = Signoff(signoff.id)
        self.assertEqual(record.reminded_on, None)
        self.assertEqual(record.escalation, 1)

    @with_company
    def test_remind_nobody(self):
        "Test nobody is reminded if the company does not want it"
        Signoff = Pool().get('sale.review.signoff')
        review = self.review()
        self.ask(get_signoff(review, "Finance"))
        get_notifications()
        configure(review_reminder=None, review_escalation=None)
        with on(dt.date(2026, 3, 20)):
            Signoff.remind()
        self.assertEqual(get_notifications(), {})

    @with_company
    def test_complete(self):
        "Test a sign-off does not complete itself while a reply is missing"
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        Member = pool.get('company.department.member')
        create_rule("Finance", signatories='all')
        with as_user("Sven"):
            review, = submit(create_sale())
        signoff = get_signoff(review, "Finance")
        approve(signoff, "Frida")
        today = dt.date.today()
        inquiry = self.ask(signoff, user="Fred", date=today)
        member, = Member.search([('employee', '=', employee("Fred").id)])
        Member.delete([member])
        Signoff.remind()
        self.assertEqual(Signoff(signoff.id).state, 'pending')
        self.reply(inquiry, date=today)
        Signoff.remind()
        self.assertEqual(Signoff(signoff.id).state, 'approved')

    @with_company
    def test_queries(self):
        "Test a list of inquiries costs as many queries as a short one"
        Inquiry = Pool().get('sale.review.inquiry')
        review = self.review()
        signoff = get_signoff(review, "Finance")
        for _ in range(10):
            self.ask(
                signoff, asked_of='department',
                department=department("Production"))
        names = ['responsible', 'to_reply', 'mine', 'party', 'rec_name']
        ids = [i.id for i in Inquiry.search([])]

        def count(n):
            Transaction().counter += 1
            with count_queries() as queries:
                Inquiry.read(ids[:n], names)
            return len(queries)

        count(1)
        self.assertEqual(count(2), count(10))
