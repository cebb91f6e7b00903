# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from dateutil.relativedelta import relativedelta

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError, SQLConstraintError
from trytond.modules.order_archive.archive import _recording
from trytond.modules.order_archive.exceptions import (
    ContractError, ContractSignatureError, LoanError, MandateValidationError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .archive import create_plan, get_events, settle
from .contract import (
    TODAY, ContractTestCase, as_user, attach, bring, click, countersign,
    create, create_contract, create_mandate, day, employee, get, get_company,
    reload, sign, write)
from .review import (
    count_queries, create_sale, get_notifications, on, with_company)
from .test_ledger import create_other, findings, verify


class ContractRegisterTestCase(ContractTestCase):
    "Test the way of the contracts"

    @with_company
    def test_overview(self):
        "Test what the order says is copied when the contract is registered"
        with as_user("Hugo"):
            sale = create_sale(
                reference="PO-1", shipping_date=day(30))
        contract = create_contract(sale)
        self.assertEqual(
            (contract.number, contract.lines, contract.total_amount),
            (None, None, None))
        click("Hugo", 'register', contract)
        contract = reload(contract)
        self.assertEqual(
            (contract.state, contract.registered_by.rec_name,
                contract.order_number, contract.order_reference,
                contract.delivery_date, contract.total_amount,
                contract.currency),
            ('registered', "Hugo", sale.number, "PO-1", day(30),
                Decimal(1000), sale.currency))
        self.assertIn("Touch Screen: 1", contract.lines)
        self.assertIn("1,000.00", contract.lines)
        self.assertIn("Acme", contract.buyer)
        self.assertIn(get_company().rec_name, contract.seller)
        self.assertTrue(contract.number)
        self.assertEqual(contract.differences, None)
        # The order changes and the copy stays
        Sale = Pool().get('sale.sale')
        with Transaction().set_context(_sale_review=True):
            Sale.write([sale], {'shipping_date': day(40)})
        contract = reload(contract)
        self.assertEqual(contract.delivery_date, day(30))
        self.assertIn("Delivery Date", contract.differences)

    @with_company
    def test_register_draft_order(self):
        "Test the order must be quoted"
        with as_user("Hugo"):
            sale = create_sale(quote=False)
        contract = create_contract(sale)
        with self.refused(ContractError, "Quote the order"):
            click("Hugo", 'register', contract, check=False)
        self.assertEqual(reload(contract).state, 'draft')

    @with_company
    def test_number_unique(self):
        "Test two registrations with one number are refused"
        first = bring(create_contract(), 'registered')
        Configuration = Pool().get('order.archive.configuration')
        sequence = Configuration(1).get_multivalue('contract_sequence')
        sequence.number_next = int(first.number)
        sequence.save()
        second = create_contract()
        with self.assertRaisesRegex(SQLConstraintError, "must be unique"):
            click("Hugo", 'register', second)

    @with_company
    def test_twice(self):
        contract = bring(create_contract(), 'registered')
        number = contract.number
        with self.refused(ContractError, "no draft"):
            click("Hugo", 'register', contract, check=False)
        self.assertEqual(reload(contract).number, number)

    @with_company
    def test_end_before_start(self):
        with self.refused(ContractError, "ends before it starts"):
            create_contract(start_date=TODAY, end_date=day(-1))

    @with_company
    def test_way(self):
        "Test the contract goes from the registration to the deposit"
        create_mandate()
        contract = bring(
            create_contract(verification='notarisation'), 'deposited')
        self.assertEqual(
            (contract.state, contract.seal_name, contract.sealed_on,
                contract.sealed_by.rec_name, contract.verified_on,
                contract.place, contract.received_by.rec_name,
                contract.deposited_on),
            ('deposited', "Contract Seal 1", TODAY, "Kira", TODAY, "Shelf 3",
                "Hugo", TODAY))
        own, other = contract.signatures
        self.assertEqual(
            (own.name, own.kind, other.name, other.mandate),
            ("Lena", 'legal', "Carla", None))
        self.assertIn("POA-1", own.authority)

    @with_company
    def test_no_seal_before_signature(self):
        "Test a contract that is not signed is not sealed"
        create_mandate()
        contract = bring(create_contract(), 'registered')
        with self.refused(ContractError, "after it has been signed"):
            click("Kira", 'seal', contract, check=False)
        with self.refused(ContractError, "Nobody of our side"):
            click("Hugo", 'sign', contract, check=False)
        # That of the other party is not ours
        countersign(contract)
        with self.refused(ContractError, "Nobody of our side"):
            click("Hugo", 'sign', contract, check=False)
        sign(contract)
        with self.refused(ContractError, "after it has been signed"):
            click("Kira", 'seal', contract, check=False)
        click("Hugo", 'sign', contract)
        with self.refused(ContractError, "fill in: Seal"):
            click("Kira", 'seal', contract, check=False)
        write("Kira", contract, seal_name="Seal", sealed_on=day(-1))
        with self.refused(ContractError, "is before"):
            click("Kira", 'seal', contract, check=False)
        write("Kira", contract, sealed_on=day(1))
        with self.refused(ContractError, "in the future"):
            click("Kira", 'seal', contract, check=False)
        contract = reload(contract)
        self.assertEqual(
            (contract.state, contract.sealed_by), ('signed', None))
        # Only the keepers apply it
        for name in ["Hugo", "Sam", "Arno", "Adam", "Audi"]:
            with self.subTest(name=name), self.refused(UserError):
                write(name, contract, sealed_on=None)
            with self.subTest(name=name), self.refused(UserError):
                click(name, 'seal', contract)
        write("Kira", contract, sealed_on=None)
        click("Kira", 'seal', contract)
        self.assertEqual(reload(contract).state, 'sealed')

    @with_company
    def test_mandate(self):
        "Test a signature counts only when mandated on that day"
        create_mandate("Mona", 'mandated', start=-20, end_date=day(-10))
        contract = bring(create_contract(), 'registered')
        for name, date in [
                ("Lena", 0), ("Mona", 0), ("Mona", -9), ("Mona", -21)]:
            with self.subTest(name=name, date=date):
                with self.refused(
                        ContractSignatureError, "has no mandate"):
                    sign(contract, name, date)
        with self.refused(ContractSignatureError, "in the future"):
            sign(contract, "Mona", 1)
        self.assertFalse(reload(contract).signatures)
        for date in [-20, -10]:
            sign(contract, "Mona", date)
        click("Hugo", 'sign', contract)
        self.assertEqual(
            [s.kind for s in reload(contract).signatures],
            ['mandated', 'mandated'])

    @with_company
    def test_mandate_withdrawn(self):
        "Test the mandate is looked at again when the contract is signed"
        mandate = create_mandate()
        contract = bring(create_contract(), 'registered')
        sign(contract)
        write("Adam", mandate, end_date=day(-1))
        with self.refused(ContractError, "has no mandate"):
            click("Hugo", 'sign', contract, check=False)
        self.assertEqual(reload(contract).state, 'registered')

    @with_company
    def test_mandate_limit(self):
        "Test the mandate goes up to its limit"
        create_mandate("Mona", 'mandated', limit=999)
        contract = bring(create_contract(), 'registered')
        with self.refused(ContractSignatureError, "exceeds"):
            sign(contract, "Mona")
        mandate = create_mandate("Mona", 'mandated', limit=1000)
        sign(contract, "Mona")
        click("Hugo", 'sign', contract)
        self.assertEqual(reload(contract).signatures[0].mandate, mandate)

    @with_company
    def test_mandate_used(self):
        "Test what has been signed with a mandate keeps it"
        mandate = create_mandate()
        with self.refused(MandateValidationError):
            write("Adam", mandate, end_date=day(-200))
        write("Adam", mandate, document="POA-2")
        bring(create_contract(), 'signed')
        for values in [
                {'document': "POA-3"}, {'start_date': day(-50)},
                {'kind': 'mandated'}, {'end_date': day(-1)}]:
            with self.subTest(values=values), self.refused(AccessError):
                write("Adam", mandate, **values)
        write("Adam", mandate, end_date=TODAY)
        self.assertEqual(reload(mandate).end_date, TODAY)

    @with_company
    def test_mandate_delete(self):
        "Test a mandate stays as the ledger tells of it, also if not used"
        mandate = create_mandate()
        with self.refused(AccessError, "Set its last day"):
            type(mandate).delete([mandate])
        Pool().get('order.archive.event').seal()
        self.assertEqual(findings(verify()), [])
        company = create_other()
        write("Adam", mandate, company=mandate.company.id)
        with self.refused(AccessError, "company of the mandate"):
            type(mandate).write([mandate], {'company': company.id})

    @with_company
    def test_deposit(self):
        "Test the original is deposited after the seal, signed by both"
        create_mandate()
        contract = bring(
            create_contract(verification='verification'), 'signed')
        with self.refused(ContractError, "after it has been sealed"):
            click("Hugo", 'deposit', contract, check=False)
        with self.refused(ContractError, "after it has been sealed"):
            click("Hugo", 'verify', contract, check=False)
        write("Kira", contract, seal_name="Seal")
        click("Kira", 'seal', contract)
        with self.refused(ContractError) as cm:
            click("Hugo", 'deposit', contract, check=False)
        for text in [
                "must be verified", "other party has not signed",
                "Place, Originals"]:
            self.assertIn(text, str(cm.exception))
        with self.refused(
                ContractError, "Verified By, Verification Number"):
            click("Hugo", 'verify', contract, check=False)
        write("Hugo", contract,
            verified_by="Office", verification_number="7", place="A",
            originals=1, deposited_on=day(-1))
        click("Hugo", 'verify', contract)
        countersign(contract)
        with self.refused(ContractError, "is before"):
            click("Hugo", 'deposit', contract, check=False)
        write("Hugo", contract, deposited_on=TODAY)
        click("Hugo", 'deposit', contract)
        self.assertEqual(reload(contract).state, 'deposited')
        with self.refused(ContractError):
            click("Hugo", 'deposit', contract, check=False)

    @with_company
    def test_no_verification(self):
        create_mandate()
        contract = bring(create_contract(), 'sealed')
        with self.refused(ContractError, "needs no verification"):
            click("Hugo", 'verify', contract, check=False)

    @with_company
    def test_several(self):
        "Test nothing is done if something prevents one of several"
        create_mandate()
        good = bring(create_contract(), 'registered')
        bad = bring(create_contract(), 'registered')
        sign(good)
        with self.refused(ContractError):
            click("Hugo", 'sign', good, bad, check=False)
        self.assertEqual(reload(good).state, 'registered')
        self.assertFalse(reload(good).signatures[0].mandate)

    @with_company
    def test_immutable(self):
        "Test what has been registered is not changed, whoever asks"
        create_mandate()
        Contract = Pool().get('sale.contract')
        contract = bring(create_contract(), 'deposited')
        editable = {
            'handler', 'loans', 'termination_agreement', 'termination_date',
            'termination_reason'}
        for check in [False, True]:
            with Transaction().set_context(_check_access=check):
                for name, field in Contract._fields.items():
                    if (hasattr(field, 'getter') or name in editable
                            or name in {
                                'id', 'create_uid', 'create_date',
                                'write_uid', 'write_date'}):
                        continue
                    with self.subTest(name=name, check=check):
                        with self.refused(AccessError):
                            Contract.write([contract], {name: None})
                with self.refused(AccessError):
                    Contract.delete([contract])
                Signature = Pool().get('sale.contract.signature')
                for signature in contract.signatures:
                    with self.refused(AccessError):
                        Signature.write([signature], {'date': day(-1)})
                    with self.refused(AccessError):
                        Signature.delete([signature])
        with self.refused(AccessError):
            sign(contract)
        with self.refused(AccessError):
            countersign(contract)

    @with_company
    def test_forged(self):
        "Test nobody creates more than a draft"
        draft = create_contract()
        for values in [
                {'state': 'sealed', 'number': "X"}, {'number': "X"},
                {'total_amount': Decimal(1)}, {'sealed_by': 1},
                {'valid_until': TODAY}]:
            with self.subTest(values=values), self.refused(UserError):
                create_contract(draft.sale, **values)
        contract = bring(draft, 'registered')
        with self.refused(UserError):
            create(
                "Hugo", 'sale.contract.signature', contract=contract.id,
                side='counterparty', name="X", date=TODAY, kind='legal')

    @with_company
    def test_copy(self):
        "Test the copy of a contract is a draft without what was recorded"
        create_mandate()
        contract = bring(create_contract(), 'deposited')
        copy, = type(contract).copy([contract])
        self.assertEqual(
            (copy.state, copy.number, copy.signatures, copy.sealed_by,
                copy.total_amount, copy.name),
            ('draft', None, (), None, None, "Screens"))

    @with_company
    def test_delete_draft(self):
        contract = create_contract()
        type(contract).delete([contract])

    @with_company
    def test_supplement(self):
        "Test a supplement extends the contract once it is sealed"
        create_mandate()
        contract = create_contract(start_date=TODAY, end_date=day(10))
        early = create_contract(
            contract.sale, supplement_of=contract.id, change_reason="More")
        with self.refused(ContractError, "cannot supplement"):
            click("Hugo", 'register', early, check=False)
        bring(contract, 'deposited')
        write("Hugo", early, end_date=day(100))
        bring(early, 'signed')
        self.assertEqual(reload(contract).valid_until, day(10))
        write("Kira", early, seal_name="Seal")
        click("Kira", 'seal', early)
        contract = reload(contract)
        self.assertEqual(
            (contract.valid_until, contract.end_date, contract.state),
            (day(100), day(10), 'deposited'))
        with self.refused(UserError):
            create_contract(
                contract.sale, supplement_of=early.id, change_reason="More")
        bare = create_contract(contract.sale, supplement_of=contract.id)
        with self.refused(ContractError, "Reason of the Change"):
            click("Hugo", 'register', bare)

    @with_company
    def test_terminate(self):
        create_mandate()
        contract = bring(create_contract(start_date=day(-5)), 'sealed')
        supplement = bring(create_contract(
                contract.sale, supplement_of=contract.id,
                change_reason="More"), 'registered')
        with self.refused(
                ContractError, "Reason of the Termination, Agreement"):
            click("Hugo", 'terminate', contract, check=False)
        write("Hugo", contract,
            termination_reason="Bankrupt", termination_agreement="T-1",
            termination_date=day(-6))
        with self.refused(ContractError, "is before"):
            click("Hugo", 'terminate', contract, check=False)
        write("Hugo", contract, termination_date=TODAY)
        click("Hugo", 'terminate', contract)
        contract, supplement = reload(contract), reload(supplement)
        self.assertEqual(
            (contract.state, contract.termination_date, supplement.state,
                supplement.termination_agreement),
            ('terminated', TODAY, 'terminated', "T-1"))
        with self.refused(ContractError, "cannot be terminated"):
            click("Hugo", 'terminate', contract, check=False)
        # Its original is kept all the same
        write("Hugo", contract, place="Shelf 3", originals=1)
        countersign(contract)
        click("Hugo", 'deposit', contract)
        contract = reload(contract)
        self.assertEqual(contract.state, 'terminated')
        self.assertTrue(contract.deposited_at)
        with self.refused(AccessError):
            write("Hugo", contract, place="Elsewhere")

    @with_company
    def test_loan(self):
        "Test the register of the copies lent"
        create_mandate()
        contract = bring(create_contract(), 'sealed')
        borrower = employee("Sam").party.id

        def lend(name="Arno", copy=1, **values):
            values = {
                'purpose': "Audit", 'lent_on': TODAY, 'due_on': day(7),
                **values}
            return create(
                name, 'sale.contract.loan', contract=contract.id,
                copy_number=copy, borrower=borrower, **values)

        with self.refused(UserError):
            lend()
        countersign(contract)
        write("Hugo", contract, place="Shelf 3", originals=2)
        click("Hugo", 'deposit', contract)
        for values, text in [
                ({'copy': 0}, "There is no copy 0"),
                ({'copy': 3}, "There is no copy 3"),
                ({'due_on': day(-1)}, "due before it is lent"),
                ({'lent_on': day(-1)}, "before it was deposited"),
                ({'lent_on': day(1)}, "in the future"),
                ]:
            with self.subTest(values=values):
                with self.refused(LoanError, text):
                    lend(**values)
        loan = lend(
            state='returned', returned_on=TODAY,
            lent_by=employee("Hugo").id)
        self.assertEqual(
            (loan.state, loan.lent_by.rec_name, loan.returned_on),
            ('lent', "Arno", None))
        with self.refused(LoanError, 'is lent to "Sam"'):
            lend(name="Hugo")
        second = lend(copy=2)
        for name in ["Sam", "Audi"]:
            with self.subTest(name=name), self.refused(UserError):
                click(name, 'return_', second)
        click("Hugo", 'return_', loan)
        loan = reload(loan)
        self.assertEqual(
            (loan.state, loan.returned_to.rec_name, loan.returned_on),
            ('returned', "Hugo", TODAY))
        with self.refused(LoanError, "it is not lent"):
            click("Arno", 'return_', loan, second, check=False)
        self.assertEqual(reload(second).state, 'lent')
        self.assertEqual(lend().state, 'lent')
        for call in [
                lambda: type(loan).write([loan], {'purpose': "Fun"}),
                lambda: type(loan).delete([loan]),
                ]:
            with self.refused(AccessError):
                call()

    @with_company
    def test_watch(self):
        "Test the expiry is told of ahead once, and again when extended"
        create_mandate()
        Contract = Pool().get('sale.contract')
        contract = bring(create_contract(end_date=day(40)), 'deposited')
        bring(create_contract(end_date=day(20)), 'registered')

        def get_told():
            return {
                login: [n.label for n in notifications]
                for login, notifications in get_notifications().items()}

        def is_expiring():
            return bool(Contract.search([
                        ('expiring', '=', True),
                        ('id', '=', contract.id),
                        ]))

        get_told()
        Contract.watch()
        self.assertEqual(get_told(), {})
        self.assertFalse(is_expiring())
        told = {'hugo': ["1 contract(s) about to expire"]}
        for date, expected in [(day(10), told), (day(11), {}), (day(40), {})]:
            with self.subTest(date=date), on(date):
                Contract.watch()
                self.assertTrue(is_expiring())
                self.assertTrue(Contract(contract.id).expiring)
                self.assertEqual(get_told(), expected)
        extension = bring(create_contract(
                contract.sale, supplement_of=contract.id, end_date=day(60),
                change_reason="Longer"), 'sealed')
        with on(day(41)):
            Contract.watch()
        self.assertEqual(reload(contract).state, 'deposited')
        self.assertEqual(get_told(), told)
        with on(day(60)):
            Contract.watch()
        self.assertEqual(reload(contract).state, 'deposited')
        with on(day(61)):
            Contract.watch()
            self.assertFalse(is_expiring())
        self.assertEqual(
            (reload(contract).state, reload(extension).state),
            ('expired', 'expired'))
        # What has not been sealed does not expire
        self.assertEqual(Contract.search_count([
                    ('state', '=', 'registered')]), 1)

    @with_company
    def test_watch_nobody(self):
        "Test the keepers are told if the handler cannot be"
        create_mandate()
        Contract = Pool().get('sale.contract')
        contract = bring(create_contract(end_date=day(5)), 'deposited')
        User = Pool().get('res.user')
        hugo, = User.search([('login', '=', 'hugo')])
        User.write([hugo], {'active': False})
        get_notifications()
        kira, = User.search([('login', '=', 'kira')])
        User.write([kira], {'active': False})
        table = Pool().get('res.user-res.group').__table__()
        Transaction().connection.cursor().execute(*table.delete(
                where=table.user == Transaction().user))
        # Nobody is there to be told
        Contract.watch()
        self.assertFalse(get_notifications())
        self.assertIsNone(reload(contract).reminded_of)
        User.write([kira], {'active': True})
        Contract.watch()
        self.assertIn('kira', get_notifications())
        self.assertEqual(reload(contract).reminded_of, day(5))

    @with_company
    def test_no_notice(self):
        "Test without days of notice nobody is told"
        create_mandate()
        Contract = Pool().get('sale.contract')
        Configuration = Pool().get('order.archive.configuration')
        configuration = Configuration(1)
        configuration.contract_notice = None
        configuration.save()
        contract = bring(create_contract(end_date=day(5)), 'deposited')
        Contract.watch()
        self.assertFalse(Contract.search([('expiring', '=', True)]))
        self.assertEqual(reload(contract).reminded_of, None)

    @with_company
    def test_overdue(self):
        create_mandate()
        Contract = Pool().get('sale.contract')
        with as_user("Hugo"):
            sale = create_sale(shipping_date=day(5))
        contract = bring(create_contract(sale), 'sealed')
        domain = [('overdue', '=', True)]
        self.assertFalse(Contract.search(domain))
        with on(day(6)):
            self.assertEqual(Contract.search(domain), [contract])
            self.assertTrue(Contract(contract.id).overdue)
            self.assertFalse(Contract.search([('overdue', '=', False)]))

    @with_company
    def test_attachment(self):
        "Test what is attached to a signed contract stays"
        create_mandate()
        contract = bring(create_contract(), 'registered')
        attachment = attach(contract)
        write("Hugo", attachment, name="draft.pdf")
        sign(contract)
        click("Hugo", 'sign', contract)
        with self.refused(AccessError):
            write("Hugo", attachment, data=b'other')
        with self.refused(AccessError):
            type(attachment).delete([attachment])
        attach(contract, "second.pdf")

    @with_company
    def test_review_open(self):
        "Test the review must be finished before the contract is registered"
        Sale = Pool().get('sale.sale')
        contract = create_contract()
        for state, allowed in [
                ('required', False), ('open', False), ('returned', False),
                ('approved', True)]:
            with self.subTest(state=state):
                with Transaction().set_context(_sale_review=True):
                    Sale.write([contract.sale], {'review_state': state})
                if allowed:
                    click("Hugo", 'register', contract)
                else:
                    with self.refused(ContractError, "review"):
                        click("Hugo", 'register', contract, check=False)

    @with_company
    def test_queries(self):
        "Test the queries do not grow with the contracts"
        create_mandate()

        def count(n):
            with as_user("Hugo"):
                sales = [create_sale() for _ in range(n)]
            contracts = [create_contract(s) for s in sales]
            counts = []
            for button in ['register', 'sign']:
                if button == 'sign':
                    for contract in contracts:
                        sign(contract)
                with Transaction().set_context(queue_batch=True), \
                        count_queries() as queries:
                    click("Hugo", button, *contracts)
                counts.append(len(queries))
            return counts
        count(1)
        few, many = count(2), count(12)
        for f, m in zip(few, many):
            # Each contract and signature is written with values of its own,
            # and the ledger has an entry of each
            self.assertLess((m - f) / 10, 4)

    @with_company
    def test_report(self):
        "Test the form tells what was recorded"
        create_mandate()
        Report = Pool().get('sale.contract.registration', type='report')
        contract = bring(
            create_contract(verification='notarisation'), 'deposited')
        draft = create_contract()
        with as_user("Hugo"), Transaction().set_context(_check_access=True):
            extension, content, _, name = Report.execute(
                [contract.id, draft.id], {'model': 'sale.contract'})
        self.assertEqual(extension, 'pdf')
        self.assertTrue(content.startswith(b'%PDF'))
        for user in ["Lena"]:
            with self.subTest(user=user), as_user(user), \
                    Transaction().set_context(_check_access=True), \
                    self.refused(UserError):
                Report.execute([contract.id], {'model': 'sale.contract'})

    @with_company
    def test_ledger(self):
        "Test each step is an event that holds what was recorded"
        Event = Pool().get('order.archive.event')
        create_mandate()
        contract = create_contract(end_date=day(10))

        def get_actions(record):
            return [e.action for e in Event.search([
                        ('resource', '=', str(record)),
                        ], order=[('id', 'ASC')])]
        self.assertEqual(get_actions(contract), [])
        bring(contract, 'deposited')
        actions = get_actions(contract)
        self.assertEqual(
            [a for a in actions if a != 'change'],
            ['registered', 'signed', 'sealed', 'deposited'])
        write("Hugo", contract, handler=employee("Kira").id)
        self.assertEqual(get_actions(contract)[-1], 'change')
        self.check_ledger(contract)
        loan = create(
            "Arno", 'sale.contract.loan', contract=contract.id, copy_number=1,
            borrower=get('party.party', "Acme").id, purpose="Court",
            lent_on=TODAY, due_on=day(2))
        click("Arno", 'return_', loan)
        self.assertEqual(get_actions(loan), ['lend', 'return'])
        self.check_ledger(loan)
        supplement = create_contract(
            contract.sale, supplement_of=contract.id, end_date=day(20),
            change_reason="Longer")
        bring(supplement, 'sealed')
        self.assertEqual(get_actions(contract)[-1], 'extend')
        with on(day(21)):
            type(contract).watch()
        for record in [contract, supplement]:
            self.assertEqual(get_actions(record)[-1], 'expired')
            self.check_ledger(record)

    def check_ledger(self, record):
        "Check the last event holds the values of the record"
        import json
        Event = Pool().get('order.archive.event')
        event, = Event.search([
                ('resource', '=', str(record)),
                ], order=[('id', 'DESC')], limit=1)
        content = json.loads(event.content)
        values = json.loads(json.dumps(reload(record).ledger_values()))
        self.assertEqual(content['values'], values)


class ContractLoanTestCase(ContractTestCase):
    "Test the originals that are lent"

    @with_company
    def test_overdue(self):
        "Test who lent and who borrowed are reminded once a week"
        create_mandate()
        contract = bring(create_contract(), 'deposited')
        ArchiveLoan = Pool().get('order.archive.loan')
        loan = create(
            "Hugo", 'sale.contract.loan', contract=contract.id,
            borrower=employee("Arno").party.id, purpose="Audit",
            lent_on=TODAY, due_on=day(3))
        get_notifications()

        def remind(days):
            with on(day(days)):
                ArchiveLoan.remind()
            return {
                login: n.description
                for login, (n,) in get_notifications().items()}
        told = dict.fromkeys(['arno', 'hugo'], loan.rec_name)
        self.assertEqual(remind(3), {})
        self.assertEqual(remind(4), told)
        self.assertEqual(remind(5), {})
        self.assertEqual(remind(11), told)
        self.assertEqual(reload(loan).reminded_on, day(11))
        click("Hugo", 'return_', loan)
        self.assertEqual(remind(30), {})


class ContractArchiveTestCase(ContractTestCase):
    "Test what contracts have to do with files that are archived"

    def archive(self, sale):
        "Archive the file of the order as it is"
        pool = Pool()
        Archive = pool.get('order.archive')
        Retention = pool.get('order.archive.retention')
        Sale = pool.get('sale.sale')
        retention, = Retention.create([{
                    'name': "Contract",
                    'years': 2,
                    'trigger': 'contract_end',
                    'action': 'dispose',
                    }])
        create_plan(retention=retention.id)
        with as_user("Hugo"):
            Sale.confirm([Sale(sale.id)])
        archive = Archive.get([sale])[sale]
        settle()
        with _recording():
            Archive.write([archive], {'state': 'archived'})
        Archive.retain([Archive(archive.id)])
        return Archive(archive.id)

    def get_retention(self, archive):
        archive = reload(archive)
        return archive.trigger_date, archive.retain_until

    def terminate(self, contract, date):
        with on(date):
            write("Hugo", contract, termination_date=date,
                termination_reason="Done", termination_agreement="Letter")
            click("Hugo", 'terminate', contract)

    def years(self, days):
        return day(days) + relativedelta(years=2)

    @with_company
    def test_open_end(self):
        "Test the period starts when a contract without end is terminated"
        create_mandate()
        contract = bring(create_contract(), 'deposited')
        archive = self.archive(contract.sale)
        self.assertEqual(self.get_retention(archive), (None, None))
        self.terminate(contract, day(5))
        self.assertEqual(
            self.get_retention(archive), (day(5), self.years(5)))
        self.assertEqual(get_events(archive)[-1], 'prolong')

    @with_company
    def test_lengthened_without_end(self):
        "Test what was extended by hand is not shortened by the termination"
        create_mandate()
        contract = bring(create_contract(), 'deposited')
        archive = self.archive(contract.sale)
        with _recording():
            type(archive).write([archive], {'retain_until': day(5000)})
        self.terminate(contract, day(5))
        self.assertEqual(
            self.get_retention(archive), (day(5), day(5000)))

    @with_company
    def test_extended(self):
        "Test a file is kept longer when its contract is extended"
        create_mandate()
        contract = bring(create_contract(end_date=day(10)), 'deposited')
        archive = self.archive(contract.sale)
        self.assertEqual(
            self.get_retention(archive), (day(10), self.years(10)))
        Archive = type(archive)
        with _recording():
            Archive.write([archive], {'state': 'due'})
        supplement = create_contract(
            contract.sale, supplement_of=contract.id, end_date=day(900),
            change_reason="Longer")
        bring(supplement, 'signed')
        self.assertEqual(
            self.get_retention(archive), (day(10), self.years(10)))
        write("Kira", supplement, seal_name="Contract Seal 1")
        click("Kira", 'seal', supplement)
        self.assertEqual(
            self.get_retention(archive), (day(900), self.years(900)))
        self.assertEqual(reload(archive).state, 'archived')
        # A supplement that does not extend it changes nothing
        bring(create_contract(
                contract.sale, supplement_of=contract.id,
                change_reason="Colour"), 'sealed')
        self.assertEqual(
            self.get_retention(archive), (day(900), self.years(900)))
        # And nothing shortens it
        self.terminate(contract, day(20))
        self.assertEqual(
            self.get_retention(archive), (day(900), self.years(900)))
        self.assertEqual(
            get_events(archive).count('prolong'), 1)

    @with_company
    def test_in_force_again(self):
        "Test a file is kept without end while a new contract is in force"
        create_mandate()
        contract = bring(create_contract(end_date=day(10)), 'deposited')
        archive = self.archive(contract.sale)
        with as_user("Adam"):
            type(archive).lengthen([archive], day(2000), "Warranty")
        again = bring(create_contract(contract.sale), 'registered')
        self.assertEqual(self.get_retention(archive), (None, day(2000)))
        self.check_retained(archive, day(3000))
        Pool().get('order.archive.event').seal()
        self.assertEqual(findings(verify()), [])
        # What was extended by hand is kept
        self.terminate(again, day(20))
        self.assertEqual(
            self.get_retention(archive), (day(20), day(2000)))

    @with_company
    def test_no_early_end(self):
        "Test nobody ends what is kept as long as the contract is in force"
        create_mandate()
        contract = bring(create_contract(), 'deposited')
        archive = self.archive(contract.sale)
        with as_user("Adam"):
            type(archive).lengthen([archive], day(1), "Not long")
        self.check_retained(archive, day(3000))
        self.terminate(contract, day(5))
        self.assertEqual(
            self.get_retention(archive), (day(5), self.years(5)))

    def check_retained(self, archive, date):
        "Check the file cannot be disposed of on the date"
        Disposal = Pool().get('order.archive.disposal')
        with on(date):
            Disposal.propose()
            archive = reload(archive)
            problem, = type(archive).get_disposal_problems([archive])[archive]
        self.assertIn("has not ended", problem)
        self.assertEqual(archive.state, 'archived')
        self.assertFalse(Disposal.search([]))

    @with_company
    def test_attachment_archived(self):
        "Test what is attached to a signed contract goes once it is archived"
        create_mandate()
        contract = bring(create_contract(end_date=day(10)), 'registered')
        attachment = attach(contract)
        sign(contract)
        click("Hugo", 'sign', contract)
        archive = self.archive(contract.sale)
        # Nothing has been collected
        with self.refused(AccessError, "has a copy"):
            type(attachment).delete([attachment])
        with _recording():
            type(archive).write([archive], {'state': 'collecting'})
        type(archive).collect([archive])
        type(archive).collect_pending([archive])
        with self.refused(AccessError, "has a copy"):
            type(attachment).delete([attachment])
        with _recording():
            type(archive).write([archive], {'state': 'archived'})
        with self.refused(AccessError):
            write("Hugo", attachment, data=b'other')
        type(attachment).delete([attachment])
        self.assertIn(b'signed', [
                i.data for i in reload(archive).items
                if i.source == str(attachment)])

    @with_company
    def test_release(self):
        "Test a file waits for the review that catches up with a release"
        Release = Pool().get('sale.review.release')
        sale = create_contract().sale
        archive = self.archive(sale)
        with Transaction().set_context(_sale_review=True):
            release, = Release.create([{
                        'company': sale.company.id,
                        'origin': str(sale),
                        'sale': sale.id,
                        'reason': "Fire",
                        'missing': "All",
                        'released_by': employee("Hugo").id,
                        'released_at': dt.datetime.now(),
                        'valid_until': dt.datetime.now(),
                        'snapshot': '{}',
                        'digest': 'digest',
                        'state': 'used',
                        }])
            self.assertIn(release.rec_name, self.get_gate(archive))
            Release.write([release], {'state': 'caught_up'})
        self.assertNotIn(release.rec_name, self.get_gate(archive))

    def get_gate(self, archive):
        return ' '.join(
            type(archive).gate_problems([archive])[archive])

    @with_company
    def test_lend_disposed(self):
        "Test the originals of a file that is disposed of are not lent"
        create_mandate()
        contract = bring(create_contract(end_date=day(10)), 'deposited')
        archive = self.archive(contract.sale)
        Archive = type(archive)

        def lend(copy):
            return create(
                "Arno", 'sale.contract.loan', contract=contract.id,
                borrower=get('party.party', "Acme").id, purpose="Court",
                copy_number=copy, lent_on=TODAY, due_on=TODAY)
        # Neither passes by the other
        with patch.object(Archive, 'lock') as lock:
            lend(1)
        lock.assert_called_once_with([archive])
        with _recording():
            Archive.write([archive], {'state': 'disposed'})
        with self.refused(LoanError, "Disposed"):
            lend(2)

    @with_company
    def test_late(self):
        "Test a contract that is signed later goes into a supplement"
        create_mandate()
        contract = bring(create_contract(end_date=day(10)), 'deposited')
        archive = self.archive(contract.sale)
        supplement = bring(
            create_contract(
                contract.sale, supplement_of=contract.id,
                change_reason="Colour"),
            'registered')
        attach(supplement)
        sign(supplement)
        click("Hugo", 'sign', supplement)
        Archive = type(archive)
        Archive.collect_pending([archive])
        late, = Archive.search([('supplement_of', '=', archive.id)])
        sources = {
            i.source for i in late.items
            if i.source_name == supplement.rec_name}
        self.assertEqual(len(sources), 1)
