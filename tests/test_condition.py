# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from contextlib import contextmanager

from trytond.model.exceptions import AccessError
from trytond.model.modelview import AccessButtonError
from trytond.modules.sale_order_review.exceptions import (
    ConditionError, SignoffError)
from trytond.pool import Pool
from trytond.pyson import PYSONDecoder, PYSONEncoder
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, approve, as_user, create_rule, create_sale, department,
    employee, get, get_notifications, get_signoff, sign, submit, with_company)


@contextmanager
def client(name):
    "Run as the client of the user"
    with as_user(name), Transaction().set_context(_check_access=True):
        yield


class ConditionTestCase(ReviewTestCase):
    "Test the conditions under which departments approve"

    def submit(self, sale=None):
        Review = Pool().get('sale.review')
        with as_user("Sven"):
            review, = submit(sale or create_sale())
        return Review(review.id)

    def add(self, signoff, user="Paul", **values):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        values.setdefault('name', "Drawing agreed")
        values.setdefault('department', department("Sales").id)
        values.setdefault('due_date', dt.date.today())
        with client(user):
            condition, = Condition.create([{'signoff': signoff.id, **values}])
        return Condition(condition.id)

    @with_company
    def test_prepare(self):
        "Test only who can sign prepares conditions"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Signoff = pool.get('sale.review.signoff')
        create_rule("Production")
        create_rule("Finance", stage=2)
        review = self.submit()
        signoff = get_signoff(review, "Production")
        waiting = get_signoff(review, "Finance")
        condition = self.add(signoff)
        self.assertEqual(condition.sale, review.sale)
        for user, target, values in [
                ("Frida", signoff, {}),
                ("Sven", signoff, {}),
                ("Frida", waiting, {}),
                ("Paul", signoff, {'state': 'open'}),
                ("Paul", signoff, {'note': "Done"}),
                ]:
            with self.subTest(user=user, values=values):
                with self.assertRaises(AccessError):
                    self.add(target, user, **values)
        for user, values in [
                ("Paul", {'state': 'done'}),
                ("Paul", {'signoff': waiting.id}),
                ("Frida", {'name': "Nothing"}),
                ]:
            with self.subTest(user=user, values=values):
                with client(user), self.assertRaises(AccessError):
                    Condition.write([condition], values)
        with client("Frida"), self.assertRaises(AccessError):
            Condition.delete([condition])
        with client("Frida"), self.assertRaises(AccessError):
            Signoff.write([signoff], {
                    'conditions': [('delete', [condition.id])]})
        with client("Petra"):
            Signoff.write([signoff], {
                    'conditions': [('write', [condition.id], {
                                    'name': "Sample agreed"})]})
        self.assertEqual(Condition(condition.id).name, "Sample agreed")
        with client("Paul"):
            Condition.delete([condition])

    @with_company
    def test_prepare_payment(self):
        "Test the line of a new condition has the payment if it is imposed"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Signoff = pool.get('sale.review.signoff')
        for imposes_payment in [True, False]:
            rule = create_rule(imposes_payment=imposes_payment)
            signoff = get_signoff(self.submit(), "Production")
            context = PYSONDecoder({
                    'imposes_payment': signoff.imposes_payment,
                    }).decode(PYSONEncoder().encode(
                        Signoff.conditions.context))
            with Transaction().set_context(context):
                defaults = Condition.default_get(['imposes_payment'])
            self.assertEqual(defaults, {'imposes_payment': imposes_payment})
            rule.active = False
            rule.save()

    @with_company
    def test_payment_term_name(self):
        "Test the name follows the payment term unless somebody wrote it"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        PaymentTerm = pool.get('account.invoice.payment_term')
        first, second = PaymentTerm.create([{
                    'name': name,
                    'lines': [('create', [{'type': 'remainder'}])],
                    } for name in ["A", "B"]])
        condition = Condition(name=None, signoff=None)
        for term in [first, second]:
            condition.payment_term = term
            condition.on_change_payment_term()
            self.assertEqual(condition.name, f'Payment term "{term.name}"')
        condition.name = "As agreed"
        condition.payment_term = first
        condition.on_change_payment_term()
        self.assertEqual(condition.name, "As agreed")

    @with_company
    def test_evidence(self):
        "Test the conditions of a decision are evidence"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        create_rule()
        signoff = get_signoff(self.submit(), "Production")
        condition = self.add(signoff)
        sign(signoff, 'approve_with_conditions', "Paul")
        for user in ["Paul", "Sigrid", "Frida"]:
            with self.subTest(user=user):
                with client(user), self.assertRaises(AccessError):
                    Condition.write([condition], {'gate': 'process'})
                with client(user), self.assertRaises(AccessError):
                    Condition.write([condition], {'state': 'done'})
                with client(user), self.assertRaises(AccessError):
                    Condition.delete([condition])
                with client(user), self.assertRaises(AccessError):
                    self.add(signoff, user)
        with client("Frida"), self.assertRaises(AccessError):
            Condition.write([condition], {'note': "Done"})
        with client("Frida"), self.assertRaises(ConditionError):
            Condition.do([condition])
        with client("Sigrid"):
            Condition.write([condition], {'note': "Agreed"})
        with client("Sigrid"), self.assertRaises(ConditionError):
            Condition.waive([condition])
        with client("Sigrid"):
            Condition.do([condition])
        self.assertEqual(condition.state, 'done')
        self.assertEqual(condition.closed_by, employee("Sigrid"))
        with client("Sigrid"), self.assertRaises(
                (AccessButtonError, ConditionError)):
            Condition.do([condition])

    @with_company
    def test_decide(self):
        "Test what the decisions ask for"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Signoff = pool.get('sale.review.signoff')
        create_rule(signatories='all')
        signoff = get_signoff(self.submit(), "Production")
        with self.assertRaises(ConditionError):
            sign(signoff, 'approve_with_conditions', "Paul")
        condition = self.add(signoff)
        for button in ['approve', 'mark_not_applicable']:
            with self.subTest(button=button):
                with self.assertRaises(ConditionError):
                    sign(signoff, button, "Paul", opinion="Fine.")
        get_notifications()
        sign(signoff, 'approve_with_conditions', "Paul")
        self.assertEqual(Signoff(signoff.id).state, 'pending')
        self.assertEqual(condition.state, 'open')
        self.assertIn('sigrid', get_notifications())
        for user, can_close in [
                ("Sigrid", True), ("Petra", True), ("Frida", False)]:
            with self.subTest(user=user), client(user):
                self.assertEqual(
                    Condition(condition.id).can_close, can_close)
        approve(signoff, "Petra")
        self.assertEqual(Signoff(signoff.id).state, 'conditional')
        self.assertEqual(signoff.review.state, 'approved')
        with self.assertRaises(SignoffError):
            sign(signoff, 'mark_not_applicable', "Paul")

    @with_company
    def test_rounds(self):
        "Test the conditions of a sign-off that is carried over remain"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        create_rule("Production", aspects=['products'])
        create_rule("Finance", aspects=['prices'])
        create_rule("Sales", stage=2)
        review = self.submit()
        kept = self.add(get_signoff(review, "Production"))
        dropped = self.add(get_signoff(review, "Finance"), "Frida")
        for name, user in [("Production", "Paul"), ("Finance", "Frida")]:
            sign(
                get_signoff(review, name), 'approve_with_conditions', user)
        sign(
            get_signoff(Review(review.id), "Sales"), 'return_', "Sigrid",
            opinion="Too cheap.")
        sale = Sale(review.sale.id)
        line, = sale.lines
        line.unit_price += 1
        line.save()
        Sale.quote([sale])
        review = self.submit(Sale(sale.id))
        self.assertEqual(
            {s.department.name: s.state for s in review.signoffs}, {
                'Production': 'carried',
                'Finance': 'pending',
                'Sales': 'waiting'})
        self.assertEqual(
            [c.state for c in Condition.browse([kept, dropped])],
            ['open', 'open'])
        approve(get_signoff(review, "Finance"), "Frida")
        self.assertEqual(
            [c.state for c in Condition.browse([kept, dropped])],
            ['open', 'cancelled'])

    @with_company
    def test_process(self):
        "Test a confirmed order is not processed until its conditions are met"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Sale = pool.get('sale.sale')
        create_rule()
        review = self.submit()
        signoff = get_signoff(review, "Production")
        condition = self.add(signoff, gate='process')
        self.add(signoff, name="Later", gate='invoice')
        sign(signoff, 'approve_with_conditions', "Paul")
        sale = Sale(review.sale.id)
        with as_user("Sven"):
            Sale.confirm([sale])
        Sale.process([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'confirmed')
        with client("Sigrid"):
            Condition.do([condition])
        Sale.process([Sale(sale.id)])
        self.assertEqual(Sale(sale.id).state, 'processing')

    @with_company
    def test_moves(self):
        "Test nothing is shipped by a move of its own either"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Move = pool.get('stock.move')
        Sale = pool.get('sale.sale')
        ShipmentOut = pool.get('stock.shipment.out')
        create_rule()
        review = self.submit()
        signoff = get_signoff(review, "Production")
        condition = self.add(signoff, gate='shipment')
        sign(signoff, 'approve_with_conditions', "Paul")
        sale = Sale(review.sale.id)
        Sale.confirm([sale])
        Sale.process([Sale(sale.id)])
        line, = Sale(sale.id).lines
        move, = Move.create([{
                    'origin': str(line),
                    'product': line.product.id,
                    'unit': line.unit.id,
                    'quantity': 1,
                    'from_location': sale.warehouse.storage_location.id,
                    'to_location': sale.party.customer_location.id,
                    'unit_price': line.unit_price,
                    'currency': sale.currency.id,
                    'company': sale.company.id,
                    }])
        for moves in [[move], list(line.moves)]:
            with self.assertRaisesRegex(ConditionError, "Drawing agreed"):
                Move.do(moves)
        shipment, = Sale(sale.id).shipments
        ShipmentOut.write([shipment], {'state': 'packed'})
        with self.assertRaisesRegex(ConditionError, "Drawing agreed"):
            ShipmentOut.ship([ShipmentOut(shipment.id)])
        location = sale.warehouse.output_location.id
        with Transaction().set_context(_check_access=True):
            for values in [
                    {'state': 'done'}, {'origin': None},
                    {'state': 'cancelled', 'origin': None},
                    {'to_location': location}]:
                with self.assertRaisesRegex(ConditionError, "Drawing agreed"):
                    Move.write([move], values)
        with client("Sigrid"):
            Condition.do([condition])
        ShipmentOut.ship([ShipmentOut(shipment.id)])
        Move.do([move])
        self.assertEqual(move.state, 'done')

    @with_company
    def test_invoices(self):
        "Test nothing is invoiced by writing what a client may write either"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Invoice = pool.get('account.invoice')
        InvoiceLine = pool.get('account.invoice.line')
        Sale = pool.get('sale.sale')
        create_rule()
        review = self.submit()
        signoff = get_signoff(review, "Production")
        condition = self.add(signoff, gate='invoice')
        sign(signoff, 'approve_with_conditions', "Paul")
        sale = Sale(review.sale.id)
        sale.invoice_method = 'order'
        sale.save()
        Sale.confirm([sale])
        Sale.process([Sale(sale.id)])
        invoice, = Sale(sale.id).invoices
        with Transaction().set_context(_check_access=True):
            with self.assertRaisesRegex(ConditionError, "Drawing agreed"):
                InvoiceLine.write(list(invoice.lines), {'origin': None})
            with self.assertRaisesRegex(ConditionError, "Drawing agreed"):
                Invoice.write([invoice], {'state': 'posted'})
        with client("Sigrid"):
            Condition.do([condition])
        with Transaction().set_context(_check_access=True):
            InvoiceLine.write(list(invoice.lines), {'origin': None})

    @with_company
    def test_other_user(self):
        "Test who is no reviewer does nothing with conditions"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        User = pool.get('res.user')
        create_rule()
        signoff = get_signoff(self.submit(), "Production")
        condition = self.add(signoff)
        user = get('res.user', "Sven")
        User.write([user], {'groups': [('remove', [
                            g.id for g in user.groups
                            if g.name != "Sales"])]})
        with client("Sven"):
            self.assertEqual(Condition(condition.id).name, "Drawing agreed")
            for method, args in [
                    ('write', [{'name': "Nothing"}]), ('delete', [])]:
                with self.assertRaises(AccessError):
                    getattr(Condition, method)([condition], *args)
            with self.assertRaises(AccessError):
                Condition.create([{'signoff': signoff.id, 'name': "More"}])

    @with_company
    def test_named(self):
        "Test only the person who is named is told and reminded"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        create_rule("Production")
        signoff = get_signoff(self.submit(), "Production")
        condition = self.add(signoff, employee=employee("Sven").id)
        get_notifications()
        sign(signoff, 'approve_with_conditions', "Paul")
        self.assertNotIn("sigrid", get_notifications())
        today = dt.date.today()
        Condition.remind(condition.company, today)
        self.assertEqual(get_notifications().keys(), {"sven"})

    @with_company
    def test_cancelled(self):
        "Test nobody is reminded of what is cancelled"
        pool = Pool()
        Action = pool.get('ir.action.act_window.domain')
        Condition = pool.get('sale.review.condition')
        ModelData = pool.get('ir.model.data')
        Sale = pool.get('sale.sale')
        create_rule("Production")
        signoff = get_signoff(self.submit(), "Production")
        today = dt.date.today()
        condition = self.add(
            signoff, due_date=today - dt.timedelta(days=1))
        sign(signoff, 'approve_with_conditions', "Paul")

        def search():
            for name in ['overdue', 'open']:
                action = Action(ModelData.get_id(
                        'sale_order_review',
                        f'act_condition_form_domain_{name}'))
                yield Condition.search(PYSONDecoder({}).decode(action.domain))

        self.assertEqual(list(search()), [[condition], [condition]])
        with as_user("Sven"):
            Sale.cancel([Sale(condition.sale.id)])
        get_notifications()
        Condition.remind(condition.company, today)
        self.assertEqual(get_notifications(), {})
        self.assertEqual(list(search()), [[], []])
        self.assertEqual(Condition(condition.id).state, 'open')

    @with_company
    def test_named_left(self):
        "Test the department is reminded when the person has left it"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        create_rule("Production")
        signoff = get_signoff(self.submit(), "Production")
        condition = self.add(signoff, employee=employee("Sven").id)
        sign(signoff, 'approve_with_conditions', "Paul")
        today = dt.date.today()
        member, = [
            m for m in department("Sales").members
            if m.employee.rec_name == "Sven"]
        member.end_date = today - dt.timedelta(days=1)
        member.save()
        get_notifications()
        Condition.remind(condition.company, today)
        self.assertEqual(get_notifications().keys(), {"sigrid"})

    @with_company
    def test_segregated(self):
        "Test who could not sign does not waive either"
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        create_rule("Sales", segregated=True)
        signoff = get_signoff(self.submit(), "Sales")
        condition = self.add(
            signoff, "Sigrid", department=department("Finance").id)
        sign(signoff, 'approve_with_conditions', "Sigrid")
        note = {'note': "Not needed."}
        with client("Sven"), self.assertRaises(AccessError):
            Condition.write([condition], note)
        with as_user("Sven"), self.assertRaises(ConditionError):
            Condition._close([condition], 'waived', ['signoff'])
        with client("Sigrid"):
            Condition.write([condition], note)
        with client("Sigrid"):
            Condition.waive([Condition(condition.id)])
        self.assertEqual(Condition(condition.id).state, 'waived')

    @with_company
    def test_attachment(self):
        "Test what proves that a condition was met cannot be replaced"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        Condition = pool.get('sale.review.condition')
        create_rule()
        signoff = get_signoff(self.submit(), "Production")
        condition = self.add(signoff)
        sign(signoff, 'approve_with_conditions', "Paul")
        attachment, = Attachment.create([{
                    'name': "Drawing", 'resource': str(condition),
                    'data': b'1'}])
        with client("Sigrid"):
            Condition.do([condition])
        for method, args in [
                ('write', [{'data': b'2'}]), ('delete', [])]:
            with self.subTest(method=method):
                with self.assertRaises(AccessError):
                    getattr(Attachment, method)(
                        Attachment.browse([attachment]), *args)
