# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import hashlib
from unittest.mock import patch

from trytond import backend
from trytond.filestore import FileStore
from trytond.model.exceptions import AccessError, SQLConstraintError
from trytond.modules.order_archive.archive import _recording
from trytond.modules.order_archive.collect import _undoing
from trytond.modules.order_archive.exceptions import (
    ArchiveError, PlanValidationError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .archive import (
    ArchiveTestCase, add, check_boolean, configure, confirm, create_plan,
    finish, get_events, invoice, kind, pay, settle, ship)
from .review import (
    as_user, count_queries, create_party, create_sale, employee, get,
    get_company, get_notifications, on, with_company)


def selects(queries):
    "Return the number of the queries that read"
    return len([q for q in queries if str(q).startswith('SELECT')])


def missing(archive):
    "Return the texts of what the file misses"
    settle()
    Archive = Pool().get('order.archive')
    archive = Archive(archive.id)
    return Archive.missing([archive]).get(archive, [])


def gate(archive):
    Archive = Pool().get('order.archive')
    archive = Archive(archive.id)
    return Archive.gate_problems([archive]).get(archive, [])


def update(archive):
    settle()
    Archive = Pool().get('order.archive')
    Archive.update([Archive(archive.id)])
    return Archive(archive.id)


def close(archive):
    settle()
    Archive = Pool().get('order.archive')
    with as_user("Arno"):
        Archive.close([Archive(archive.id)])
    return Archive(archive.id)


def create_archived(*requirements):
    "Return a file that has been archived with a contract in it"
    archive = confirm()
    item, = add(archive, 'contract')
    finish(archive.sale)
    return close(archive), item


def create_class(parent, code, **values):
    Class = Pool().get('order.archive.class')
    class_, = Class.create([{
                'code': code,
                'name': code,
                'parent': parent.id,
                **values,
                }])
    return class_


def class_of(*args, **values):
    "Return the code of the class that a new sale gets"
    Class = Pool().get('order.archive.class')
    sale = create_sale(*args, **values)
    class_ = Class.get_classes([sale]).get(sale)
    return class_.code if class_ else None


class PlanTestCase(ArchiveTestCase):
    "Test which orders have a file of which class"

    @with_company
    def test_crons(self):
        "Test an update keeps how often the scheduled tasks run"
        ModelData = Pool().get('ir.model.data')
        crons = ModelData.search([
                ('module', '=', 'order_archive'),
                ('model', '=', 'ir.cron'),
                ])
        self.assertEqual(
            [c.fs_id for c in crons if not c.noupdate or not c.db_id], [])
        self.assertTrue(crons)

    @with_company
    def test_no_plan(self):
        "Test no file is kept without a plan"
        self.assertIsNone(confirm())
        self.assertFalse(Pool().get('order.archive').search([]))

    @with_company
    def test_shipped(self):
        "Test the shipped plan is used by choosing it"
        Class = Pool().get('order.archive.class')
        plan, = Class.search([('code', '=', 'EQ')])
        configure(plan=plan)
        archive = confirm()
        # The customer has no country
        self.assertEqual(archive.class_.code, 'EQ-E')
        self.assertEqual(len(missing(archive)), 2)

    @with_company
    def test_criteria(self):
        "Test the first child that matches is followed at each step"
        pool = Pool()
        Category = pool.get('product.category')
        Country = pool.get('country.country')
        PartyCategory = pool.get('party.category')
        Template = pool.get('product.template')
        plan = create_plan()
        company = get_company()
        home, foreign = Country.create([
                {'name': "Home", 'code': 'HH'},
                {'name': "Foreign", 'code': 'FF'}])
        address = company.party.address_get()
        address.country = home
        address.save()
        category, = Category.create([{
                    'name': "Machines",
                    'childs': [('create', [{'name': "Presses"}])],
                    }])
        party_category, = PartyCategory.create([{'name': "State"}])
        create_class(plan, 'STATE', party_category=party_category.id)
        machines = create_class(
            plan, 'MACHINES', product_category=category.id)
        create_class(
            machines, 'LARGE', minimum_amount=5000, company=company.id)
        create_class(plan, 'ABROAD', abroad=True)
        create_class(plan, 'FOREIGN', country=foreign.id)
        create_class(plan, 'OTHER', maximum_amount=500, company=company.id)
        configure(plan=plan)
        product = get('product.product', "Touch Screen")
        customer = create_party("Near", country=home)
        state = create_party(
            "Ministry", country=home,
            categories=[('add', [party_category.id])])
        abroad = create_party("Far", country=foreign)

        def sale(party, quantity=1):
            return class_of([(product, quantity, 1000)], party=party)

        self.assertEqual(sale(customer), 'P')
        self.assertEqual(sale(state), 'STATE')
        self.assertEqual(sale(abroad), 'ABROAD')
        self.assertEqual(sale(create_party("Unknown")), 'ABROAD')
        self.assertEqual(
            class_of([(product, 1, 500)], party=customer), 'OTHER')
        Template.write([product.template], {
                'categories': [('add', [category.childs[0].id])],
                })
        self.assertEqual(sale(customer), 'MACHINES')
        self.assertEqual(sale(customer, 4), 'MACHINES')
        self.assertEqual(sale(customer, 5), 'LARGE')
        self.assertEqual(sale(state, 5), 'STATE')

    @with_company
    def test_no_match(self):
        "Test an order that does not match the plan has no file"
        category, = Pool().get('party.category').create([{'name': "State"}])
        create_plan(party_category=category.id)
        self.assertIsNone(confirm())

    @with_company
    def test_inactive(self):
        "Test inactive classes are not followed"
        plan = create_plan()
        create_class(plan, 'OLD', active=False)
        self.assertEqual(class_of(), 'P')

    @with_company
    def test_requirements(self):
        "Test the requirements of the parents apply unless replaced"
        Class = Pool().get('order.archive.class')
        plan = create_plan(
            ('contract', 'always'), ('delivery', 'always'),
            ('drawing', 'always'))
        child = create_class(plan, 'C', requirements=[('create', [
                        {'kind': kind('contract').id, 'number': 2},
                        {'kind': kind('drawing').id, 'number': 0},
                        ])])
        self.assertEqual(
            sorted((r.kind.code, r.number)
                for r in Class(child.id).all_requirements),
            [('contract', 2), ('delivery', 1)])

    @with_company
    def test_amounts(self):
        "Test amounts need a company and an order"
        plan = create_plan()
        with self.assertRaises(PlanValidationError):
            create_class(plan, 'A', minimum_amount=1)
        with self.assertRaises(PlanValidationError):
            create_class(
                plan, 'B', minimum_amount=2, maximum_amount=1,
                company=get_company().id)

    @with_company
    def test_code(self):
        "Test the code of what is used does not change and is unique"
        pool = Pool()
        Class = pool.get('order.archive.class')
        Kind = pool.get('order.archive.kind')
        plan = create_plan()
        archive = confirm()
        add(archive, 'contract')
        for Model, record in [(Class, plan), (Kind, kind('contract'))]:
            with self.subTest(model=Model.__name__):
                with self.assertRaises(AccessError):
                    Model.write([record], {'code': 'X'})
                with self.assertRaises(AccessError):
                    Model.write([record], {'company': get_company().id})
                Model.write([record], {'code': record.code, 'name': "X"})
        Kind.write([kind('drawing')], {'code': 'X'})
        with self.assertRaises(SQLConstraintError):
            Kind.create([{'code': 'contract', 'name': "Contract"}])

    @with_company
    def test_kinds(self):
        "Test the kind of the company comes before that of all"
        pool = Pool()
        Kind = pool.get('order.archive.kind')
        company = get_company()
        common = kind('contract')
        own, = Kind.create([{
                    'code': 'contract', 'name': "Own", 'company': company.id,
                    }])
        self.assertEqual(Kind.get_kinds(company)['contract'], own)
        Kind.write([own], {'active': False})
        self.assertEqual(Kind.get_kinds(company)['contract'], common)

    @with_company
    def test_own_kind_counts(self):
        "Test documents count by the code of their kind"
        pool = Pool()
        Item = pool.get('order.archive.item')
        Kind = pool.get('order.archive.kind')
        create_plan(('contract', 'always'))
        archive = confirm()
        own, = Kind.create([{
                    'code': 'contract', 'name': "Own",
                    'company': get_company().id,
                    }])
        self.assertEqual(len(missing(archive)), 1)
        Item.collect([{
                    'archive': archive, 'kind': own, 'name': "x",
                    'data': b'x',
                    }])
        self.assertFalse(missing(archive))


class FileTestCase(ArchiveTestCase):
    "Test the file of an order"

    @with_company
    def test_open(self):
        "Test a file is opened when the order is confirmed"
        create_plan()
        with as_user("Sven"):
            sale = create_sale(reference="PO 7", description="Two presses")
        archive = confirm(sale)
        self.assertEqual(archive.state, 'collecting')
        self.assertEqual(archive.sale, sale)
        self.assertEqual(archive.sale_number, sale.number)
        self.assertEqual(archive.reference, "PO 7")
        self.assertEqual(archive.description, "Two presses")
        self.assertEqual(archive.party_name, "Acme")
        # They are sorted as texts
        self.assertRegex(archive.number, r'^\d{6}$')
        self.assertEqual(get_events(archive)[:1], ['open'])

    @with_company
    def test_open_again(self):
        "Test an order that is confirmed again keeps its file"
        pool = Pool()
        Archive = pool.get('order.archive')
        Sale = pool.get('sale.sale')
        create_plan()
        archive = confirm()
        sale = Sale(archive.sale.id)
        Sale.draft([sale])
        Sale.quote([Sale(sale.id)])
        self.assertEqual(confirm(sale), archive)
        Archive.open([Sale(sale.id)])
        self.assertEqual(len(Archive.search([])), 1)

    @with_company
    def test_open_sequence(self):
        "Test a file is numbered by the sequence that the company has now"
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        Sequence = pool.get('ir.sequence')
        create_plan()
        self.assertRegex(confirm().number, r'^\d{6}$')
        sequence, = Sequence.create([{
                    'name': "Other",
                    'prefix': "F/",
                    'sequence_type': ModelData.get_id(
                        'order_archive', 'sequence_type_archive'),
                    }])
        configure(archive_sequence=sequence)
        self.assertEqual(confirm().number, "F/1")

    @with_company
    def test_open_queries(self):
        "Test the number of queries does not grow with the orders"
        Archive = Pool().get('order.archive')
        create_plan(('contract', 'always'))
        configure(acceptance='document')

        def count(number):
            sales = [create_sale() for _ in range(number)]
            Sale = Pool().get('sale.sale')
            with Transaction().set_context(_skip_warnings=True):
                with count_queries() as queries:
                    archives = Archive.open(Sale.browse(sales))
            opened = selects(queries)
            with count_queries() as queries:
                Archive.get_missing_text(list(archives.values()), None)
            return opened, selects(queries)

        count(1)
        few, many = count(2), count(12)
        self.assertLessEqual(many[0], few[0] + 2)
        self.assertLessEqual(many[1], few[1] + 2)

    @with_company
    def test_history_kept(self):
        "Test the file keeps the names that there were"
        pool = Pool()
        Party = pool.get('party.party')
        create_plan()
        archive = confirm()
        Party.write([archive.party], {'name': "Bolt"})
        self.assertEqual(
            Pool().get('order.archive')(archive.id).party_name, "Acme")

    @with_company
    def test_conditions(self):
        "Test documents are required once what they tell of happened"
        create_plan(
            ('delivery', 'shipped'), ('customs', 'exported'),
            ('invoice', 'invoiced'), ('complaint', 'complained'),
            ('change', 'amended'), ('production', 'produced'),
            ('inspection', 'inspected'))
        archive = confirm()
        self.assertFalse(missing(archive))
        ship(archive.sale)
        self.assertEqual(missing(archive), ["Delivery Note: 0 of 1."])
        invoice(archive.sale)
        self.assertEqual(
            missing(archive), ["Delivery Note: 0 of 1.", "Invoice: 0 of 1."])
        add(archive, 'delivery')
        self.assertEqual(missing(archive), ["Invoice: 0 of 1."])

    @with_company
    def test_exported(self):
        "Test customs papers are required of what goes abroad"
        pool = Pool()
        Country = pool.get('country.country')
        create_plan(('customs', 'exported'))
        home, foreign = Country.create([
                {'name': "Home", 'code': 'HH'},
                {'name': "Foreign", 'code': 'FF'}])
        address = get_company().party.address_get()
        address.country = home
        address.save()
        for country, texts in [
                (home, []), (foreign, ["Customs Paper: 0 of 1."])]:
            with self.subTest(country=country.name):
                party = create_party(f"In {country.name}", country=country)
                archive = confirm(create_sale(party=party))
                self.assertEqual(missing(archive), [])
                ship(archive.sale)
                self.assertEqual(missing(archive), texts)
        Archive = archive.__class__
        with count_queries() as few:
            Archive._get_exported([Archive(archive.id)])
        more = [confirm(create_sale(party=party)) for _ in range(3)]
        for archive in more:
            ship(archive.sale)
        archives = Archive.browse([archive, *more])
        with count_queries() as many:
            self.assertEqual(len(Archive._get_exported(archives)), 3)
        self.assertEqual(selects(many), selects(few))

    @with_company
    def test_related(self):
        "Test what belongs to an order is asked for in the same way each time"
        Archive = Pool().get('order.archive')
        create_plan(('order', 'produced'))
        archive = confirm()
        missing(archive)
        with patch.object(
                Archive, 'related', side_effect=AssertionError) as related:
            gate(archive)
            missing(archive)
        self.assertFalse(related.called)

    @with_company
    def test_number(self):
        "Test as many documents are required as the plan says"
        create_plan(('drawing', 'always', ('number', 2)))
        archive = confirm()
        self.assertEqual(
            missing(archive), ["Drawing and Specification: 0 of 2."])
        add(archive, 'drawing', b'1')
        self.assertEqual(
            missing(archive), ["Drawing and Specification: 1 of 2."])
        add(archive, 'drawing', b'2')
        self.assertFalse(missing(archive))

    @with_company
    def test_configuration(self):
        "Test a company requires acceptances and settlements"
        create_plan()
        configure(acceptance='document', settlement='document')
        archive = confirm()
        self.assertEqual(missing(archive), ["Settlement: 0 of 1."])
        ship(archive.sale)
        self.assertEqual(missing(archive), [
                "Acceptance Report: 0 of 1.", "Settlement: 0 of 1."])
        add(archive, 'acceptance')
        add(archive, 'settlement')
        self.assertFalse(missing(archive))

    @with_company
    def test_configuration_kind(self):
        "Test the configuration fails closed without the kind"
        Kind = Pool().get('order.archive.kind')
        create_plan()
        configure(settlement='document')
        settlement = kind('settlement')
        for method, args in [
                (Kind.write, [{'active': False}]),
                (Kind.write, [{'code': 'other'}]),
                (Kind.delete, []),
                ]:
            with self.assertRaisesRegex(ArchiveError, "settlement"):
                method([settlement], *args)
        Kind.write([settlement], {'name': "Settled"})
        # Nor is it required without
        configure(settlement='none')
        Kind.write([settlement], {'active': False})
        with self.assertRaisesRegex(ArchiveError, "settlement"):
            configure(settlement='document')

    @with_company
    def test_configuration_kind_gone(self):
        "Test what is required and has no kind is missing, and that is all"
        pool = Pool()
        Archive = pool.get('order.archive')
        Kind = pool.get('order.archive.kind')
        create_plan(('contract', 'always'))
        configure(settlement='document')
        archive = confirm()
        table = Kind.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.active], [False], where=table.code == 'settlement'))
        Transaction().counter += 1
        first, second = missing(archive)
        self.assertIn('"settlement"', first)
        self.assertEqual(second, "Contract: 0 of 1.")
        with as_user("Sven"):
            sale = pool.get('sale.sale')(archive.sale.id)
            self.assertIn('"settlement"', sale.archive_missing)
        Archive.remind()
        add(archive, 'drawing')
        self.assertEqual(len(Archive(archive.id).items), 1)

    @with_company
    def test_waive(self):
        "Test a file can do without what may be waived"
        pool = Pool()
        Archive = pool.get('order.archive')
        create_plan(
            ('contract', 'always'), ('order', 'always', ('waivable', False)))
        archive = confirm()
        self.assertEqual(
            Archive.get_waivable(archive), [kind('contract')])
        with self.assertRaises(ArchiveError):
            Archive.do_waive(archive, kind('order'), "Lost")
        with self.assertRaises(ArchiveError):
            Archive.do_waive(archive, kind('drawing'), "Not needed")
        for reason in [None, '', " \n"]:
            with self.assertRaisesRegex(ArchiveError, "reason"):
                Archive.do_waive(archive, kind('contract'), reason)
        with as_user("Wanda"):
            Archive.do_waive(archive, kind('contract'), "Agreed by mail")
        item, = Archive(archive.id).items
        self.assertEqual(item.medium, 'waiver')
        self.assertEqual(item.reason, "Agreed by mail")
        self.assertEqual(item.collected_by, employee("Wanda"))
        self.assertEqual(len(missing(archive)), 1)
        Item = pool.get('order.archive.item')
        for reason in [None, '', " \n"]:
            with self.assertRaisesRegex(ArchiveError, "reason"):
                Item.do_withdraw([item], reason)
        Item.do_withdraw([item], "Found it")
        self.assertEqual(len(missing(archive)), 2)

    @with_company
    def test_waiver_reason(self):
        "Test no waiver is kept without reason"
        create_plan(('contract', 'always'))
        archive = confirm()
        for reason in [None, " "]:
            with self.subTest(reason=reason), \
                    self.assertRaisesRegex(ArchiveError, "reason"):
                add(archive, 'contract', data=None, medium='waiver',
                    reason=reason)

    @with_company
    def test_gate(self):
        "Test a file is archived only when all is finished, and says it all"
        pool = Pool()
        Archive = pool.get('order.archive')
        create_plan(('contract', 'always'), ('delivery', 'shipped'))
        archive = confirm()
        ship(archive.sale)
        invoice_, = invoice(archive.sale)
        with self.assertRaises(ArchiveError) as error:
            close(archive)
        for text in [
                archive.number, archive.sale.number, "Processing",
                invoice_.rec_name, "Contract: 0 of 1",
                "Delivery Note: 0 of 1"]:
            self.assertIn(text, error.exception.message)
        pay(archive.sale)
        self.assertFalse(gate(archive))
        add(archive, 'contract')
        self.assertEqual(Archive(archive.id).state, 'collecting')
        with self.assertRaisesRegex(ArchiveError, "Delivery Note"):
            close(archive)
        add(archive, 'delivery')
        self.assertEqual(Archive(archive.id).state, 'complete')
        archive = close(archive)
        self.assertEqual(archive.state, 'archived')
        self.assertEqual(archive.archived_by, employee("Arno"))
        self.assertTrue(archive.archived_at)
        self.assertEqual(
            [e for e in get_events(archive) if e != 'retain'],
            ['open', 'done', 'complete', 'archive'])

    @with_company
    def test_gate_shipments(self):
        "Test what is not shipped is named"
        Sale = Pool().get('sale.sale')
        create_plan()
        archive = confirm()
        Sale.process([Sale(archive.sale.id)])
        shipment, = Sale(archive.sale.id).shipments
        self.assertIn(shipment.rec_name, ' '.join(gate(archive)))

    @with_company
    def test_all_or_none(self):
        "Test of the files that are archived at once none is if one is not"
        Archive = Pool().get('order.archive')
        create_plan()
        first, second = confirm(), confirm()
        finish(first.sale)
        with as_user("Arno"), self.assertRaisesRegex(
                ArchiveError, second.number):
            Archive.close(Archive.browse([first, second]))
        self.assertEqual(
            {a.state for a in Archive.browse([first, second])} & {'archived'},
            set())

    @with_company
    def test_booleans(self):
        "Test files and documents are found by what they are"
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        create_plan()
        late, other = confirm(), confirm()
        with _recording():
            Archive.write([late], {'deadline': dt.date.min})
        for archive in [late, other]:
            add(archive, 'drawing', confidential=archive == late)
        for Model, name in [(Archive, 'late'), (Item, 'secret')]:
            self.assertEqual(len(Model.search([(name, '=', True)])), 1)
            check_boolean(self, Model, name)

    @with_company
    def test_done(self):
        "Test the deadline counts the working days from when the order is done"
        create_plan(('contract', 'always'))
        configure(archive_days=3)
        archive = confirm()
        friday = dt.date.today() + dt.timedelta(
            days=(4 - dt.date.today().weekday()) % 7)
        sale = archive.sale
        ship(sale)
        invoice(sale)
        self.assertIsNone(update(archive).done_on)
        with on(friday):
            pay(sale)
            archive = update(archive)
            self.assertEqual(archive.done_on, friday)
            self.assertEqual(
                archive.deadline, friday + dt.timedelta(days=5))
            self.assertFalse(archive.late)
        Archive = Pool().get('order.archive')
        with on(friday + dt.timedelta(days=6)):
            archive = Archive(archive.id)
            self.assertTrue(archive.late)
            self.assertEqual(Archive.search([('late', '=', True)]), [archive])
            self.assertFalse(Archive.search([('late', '=', False)]))
            self.assertFalse(Archive.search([('late', '!=', True)]))
            add(archive, 'contract')
            archive = close(archive)
            self.assertFalse(archive.late)
            self.assertEqual(
                Archive.search([('late', '=', False)]), [archive])

    @with_company
    def test_no_deadline(self):
        "Test a company has no deadline if it wants none"
        create_plan()
        configure(archive_days=None)
        archive = confirm()
        finish(archive.sale)
        self.assertIsNone(update(archive).deadline)

    @with_company
    def test_cancelled(self):
        "Test the file of an order that is cancelled can be archived"
        pool = Pool()
        Sale = pool.get('sale.sale')
        create_plan()
        archive = confirm()
        Sale.draft([Sale(archive.sale.id)])
        self.assertTrue(gate(archive))
        Sale.cancel([Sale(archive.sale.id)])
        self.assertFalse(gate(archive))
        self.assertEqual(close(archive).state, 'archived')
        with self.assertRaisesRegex(AccessError, archive.number):
            Sale.delete([Sale(archive.sale.id)])

    @with_company
    def test_reopened(self):
        "Test an order that is reopened gets a supplement"
        pool = Pool()
        Archive = pool.get('order.archive')
        Sale = pool.get('sale.sale')
        create_plan(('contract', 'always'))
        archive, item = create_archived()
        sale = Sale(archive.sale.id)
        self.assertFalse(Archive.get([sale]))
        Sale.proceed([sale])
        supplement = Archive.get([sale])[sale]
        self.assertEqual(supplement.supplement_of, archive)
        self.assertEqual(supplement.state, 'collecting')
        self.assertEqual(supplement.class_, archive.class_)
        # What the first file has counts
        self.assertFalse(missing(supplement))
        self.assertIn(supplement, Archive(archive.id).supplements)
        add(supplement, 'complaint')
        self.assertEqual(Archive(archive.id).items, (item,))
        Sale.do([Sale(sale.id)])
        supplement = update(supplement)
        self.assertEqual(supplement.state, 'complete')
        self.assertEqual(close(supplement).state, 'archived')

    @with_company
    def test_reopened_before(self):
        "Test an order that is reopened before is not done any more"
        pool = Pool()
        Archive = pool.get('order.archive')
        Sale = pool.get('sale.sale')
        create_plan()
        archive = confirm()
        finish(archive.sale)
        self.assertEqual(update(archive).state, 'complete')
        Sale.proceed([Sale(archive.sale.id)])
        archive = Archive(archive.id)
        self.assertEqual(archive.state, 'collecting')
        self.assertIsNone(archive.done_on)
        self.assertIsNone(archive.deadline)

    @with_company
    def test_supplement(self):
        "Test a supplement is opened for what comes late"
        pool = Pool()
        Archive = pool.get('order.archive')
        create_plan()
        archive, _ = create_archived()
        with as_user("Arno"):
            Archive.supplement([Archive(archive.id)])
            Archive.supplement([Archive(archive.id)])
        supplement, = Archive.search([('state', '!=', 'archived')])
        self.assertEqual(supplement.supplement_of, archive)
        self.assertTrue(supplement.done_on)
        add(supplement, 'complaint')

    @with_company
    def test_incomplete(self):
        "Test a complete file that misses something again is not"
        create_plan(('contract', 'always'))
        archive = confirm()
        item, = add(archive, 'contract')
        finish(archive.sale)
        self.assertEqual(update(archive).state, 'complete')
        Pool().get('order.archive.item').do_withdraw([item], "Wrong order")
        self.assertEqual(update(archive).state, 'collecting')
        self.assertEqual(get_events(archive)[-1], 'incomplete')

    @with_company
    def test_notification(self):
        "Test the archivists are told once of what they can archive"
        create_plan()
        archive = confirm()
        finish(archive.sale)
        get_notifications()
        update(archive)
        notifications = get_notifications()
        self.assertIn('arno', notifications)
        self.assertNotIn('sven', notifications)
        self.assertIn(archive.number, notifications['arno'][0].description)
        update(archive)
        self.assertFalse(get_notifications())

    @with_company
    def test_notification_archivist(self):
        "Test only the archivist is told if there is one"
        create_plan()
        configure(archivist=employee("Connie"))
        archive = confirm()
        finish(archive.sale)
        get_notifications()
        update(archive)
        self.assertEqual(get_notifications().keys(), {'connie'})

    @with_company
    def test_late_notification(self):
        "Test the archivists are told once of what is late"
        Archive = Pool().get('order.archive')
        create_plan(('contract', 'always'))
        configure(archive_days=0)
        archive = confirm()
        finish(archive.sale)
        get_notifications()
        Archive.remind()
        self.assertFalse(get_notifications())
        with on(dt.date.today() + dt.timedelta(days=30)):
            Archive.remind()
            self.assertIn(
                archive.number, get_notifications()['arno'][0].description)
            Archive.remind()
            self.assertFalse(get_notifications())

    @with_company
    def test_sale(self):
        "Test the order shows what its file misses"
        pool = Pool()
        Sale = pool.get('sale.sale')
        create_plan(('contract', 'always'))
        archive = confirm()
        settle()
        sale = Sale(archive.sale.id)
        self.assertEqual(sale.archive_missing, "Contract: 0 of 1.")
        self.assertEqual(sale.archives, (archive,))
        copy, = Sale.copy([sale])
        self.assertFalse(copy.archives)
        self.assertIsNone(copy.archive_missing)


class ItemTestCase(ArchiveTestCase):
    "Test what a file keeps"

    @with_company
    def test_collect(self):
        "Test the bytes are kept with what is known of them"
        create_plan()
        archive = confirm()
        with as_user("Arno"):
            item, = add(
                archive, 'contract', b'signed', source='ir.attachment,7',
                source_name="Signed", document_date=dt.date(2026, 1, 2))
        self.assertEqual(bytes(item.data), b'signed')
        self.assertEqual(item.size, 6)
        self.assertEqual(
            item.sha256, hashlib.sha256(b'signed').hexdigest())
        self.assertEqual(item.collected_by, employee("Arno"))
        self.assertEqual(item.state, 'kept')
        self.assertEqual(get_events(item), ['collect'])

    @with_company
    def test_skip(self):
        "Test what is there already is not kept twice"
        create_plan()
        archive = confirm()
        add(archive, 'contract', source='ir.attachment,7')
        self.assertFalse(add(archive, 'contract', source='ir.attachment,7'))
        self.assertTrue(add(archive, 'contract', source='ir.attachment,8'))
        self.assertTrue(add(archive, 'drawing', source='ir.attachment,7'))
        self.assertTrue(add(archive, 'contract', b'paper'))
        self.assertFalse(add(archive, 'contract', b'paper'))

    @with_company
    def test_issue(self):
        "Test the same issue is kept once whatever its bytes"
        create_plan()
        archive = confirm()
        values = {'source': 'sale.sale,1'}
        first, = add(archive, 'order', b'a', issue='1', **values)
        self.assertFalse(add(archive, 'order', b'b', issue='1', **values))
        second, = add(archive, 'order', b'b', issue='2', **values)
        self.assertEqual(first.superseded_by, second)

    @with_company
    def test_supersede(self):
        "Test what has changed since supersedes what was kept"
        create_plan()
        archive = confirm()
        values = {'source': 'ir.attachment,7'}
        first, = add(archive, 'contract', b'a', **values)
        second, = add(archive, 'contract', b'b', **values)
        third, = add(archive, 'contract', b'a', **values)
        Item = Pool().get('order.archive.item')
        self.assertEqual(
            [i.state for i in Item.browse([first, second, third])],
            ['superseded', 'superseded', 'kept'])
        self.assertEqual(Item(second.id).superseded_by, third)
        self.assertEqual(bytes(Item(first.id).data), b'a')
        self.assertEqual(get_events(first), ['collect', 'supersede'])
        self.assertEqual(get_events(third), ['collect'])

    @with_company
    def test_batch(self):
        "Test a batch may have a source more than once"
        Item = Pool().get('order.archive.item')
        create_plan()
        archives = [confirm(), confirm()]
        values = [{
                'archive': a.id,
                'kind': kind('contract').id,
                'name': 'x',
                'source': 'ir.attachment,7',
                'data': data,
                } for a in archives for data in [b'a', b'b', b'b']]
        items = Item.collect(values)
        self.assertEqual(
            sorted(i.state for i in Item.browse(items)),
            ['kept', 'kept', 'superseded', 'superseded'])
        self.assertFalse(Item.collect([values[2], values[5]]))
        self.assertFalse(Item.collect([]))

    @with_company
    def test_queries(self):
        "Test the number of queries does not grow with the files"
        Item = Pool().get('order.archive.item')
        create_plan()

        def count(number):
            archives = [confirm() for _ in range(number)]
            contract = kind('contract')
            with count_queries() as queries:
                Item.collect([{
                            'archive': a,
                            'kind': contract,
                            'name': 'x',
                            'source': f'ir.attachment,{i}',
                            'data': b'x',
                            }
                        for a in archives for i in range(3)])
            return selects(queries)

        count(1)
        self.assertLessEqual(count(6), count(2) + 2)

    @with_company
    def test_withdraw(self):
        "Test what is withdrawn is told why, stays and does not come back"
        Item = Pool().get('order.archive.item')
        create_plan(('contract', 'always'))
        archive = confirm()
        item, = add(archive, 'contract', source='ir.attachment,7')
        with as_user("Arno"):
            Item.do_withdraw([item], "Another order")
        item = Item(item.id)
        self.assertEqual(item.state, 'withdrawn')
        self.assertEqual(item.withdrawal, "Another order")
        self.assertEqual(item.withdrawn_by, employee("Arno"))
        self.assertEqual(bytes(item.data), b'document')
        self.assertEqual(len(missing(archive)), 1)
        self.assertFalse(add(archive, 'contract', source='ir.attachment,7'))
        self.assertTrue(add(
                archive, 'contract', b'new', source='ir.attachment,7'))
        self.assertFalse(missing(archive))

    @with_company
    def test_paper(self):
        "Test a paper original counts without bytes"
        create_plan(('contract', 'always'))
        archive = confirm()
        item, = add(archive, 'contract', None, medium='paper')
        self.assertIsNone(item.sha256)
        self.assertFalse(missing(archive))
        for data, medium in [(None, 'file'), (b'x', 'paper')]:
            with self.assertRaises(ArchiveError):
                add(archive, 'contract', data, medium=medium)

    @with_company
    def test_stored(self):
        "Test bytes that the storage does not give back are refused"
        create_plan()
        archive = confirm()
        with patch.object(FileStore, 'get', return_value=b'other'):
            with self.assertRaisesRegex(ArchiveError, "stored"):
                add(archive, 'contract')

    @with_company
    def test_closed(self):
        "Test an archived file takes nothing and lets nothing go"
        pool = Pool()
        Item = pool.get('order.archive.item')
        Archive = pool.get('order.archive')
        plan = create_plan()
        archive, item = create_archived()
        with self.assertRaisesRegex(ArchiveError, archive.number):
            add(archive, 'drawing')
        with self.assertRaisesRegex(ArchiveError, archive.number):
            Item.do_withdraw([item], "Wrong")
        # Even what the plan asks for since
        pool.get('order.archive.requirement').create([{
                    'class_': plan.id, 'kind': kind('drawing').id}])
        archive = Archive(archive.id)
        self.assertEqual(Archive.get_waivable(archive), [kind('drawing')])
        with self.assertRaisesRegex(
                ArchiveError, f"{archive.number}.*Archived"):
            Archive.do_waive(archive, kind('drawing'), "Lost")

    @with_company
    def test_evidence(self):
        "Test nobody but the archive writes evidence"
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        create_plan()
        archive, item = create_archived()
        for Model, record, values in [
                (Archive, archive, {'reference': "X"}),
                (Archive, archive, {'state': 'collecting'}),
                (Item, item, {'name': "X"}),
                (Item, item, {'data': b'X'}),
                (Item, item, {'state': 'withdrawn'}),
                ]:
            with self.subTest(model=Model.__name__, values=values):
                for user in [0, 1]:
                    with Transaction().set_user(user):
                        with self.assertRaises(AccessError):
                            Model.write([record], values)
                        with self.assertRaises(AccessError):
                            Model.delete([record])
                        # The copy is denied once it is inserted
                        with self.assertRaises(AccessError), _undoing():
                            Model.copy([record])
        with self.assertRaises(AccessError):
            Item.create([{
                        'archive': archive.id, 'company': archive.company.id,
                        'kind': kind('contract').id, 'medium': 'paper',
                        'name': "X", 'collected_at': dt.datetime.now(),
                        }])

    @with_company
    def test_originals(self):
        "Test the originals may go and the copies stay"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        Invoice = pool.get('account.invoice')
        Item = pool.get('order.archive.item')
        create_plan()
        archive = confirm()
        attachment, = Attachment.create([{
                    'resource': str(archive.sale), 'name': "plan.txt",
                    'data': b'plan', 'type': 'data',
                    }])
        add(archive, 'drawing', b'plan', source=str(attachment))
        finish(archive.sale)
        invoice_, = archive.sale.invoices
        add(archive, 'invoice', b'PDF', source=str(invoice_))
        close(archive)
        Attachment.delete([attachment])
        table = Invoice.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.invoice_report_cache_id], [None]))
        items = Item.search([
                ('archive', '=', archive.id),
                ('source', 'in', [str(attachment), str(invoice_)]),
                ('kind.code', 'in', ['drawing', 'invoice']),
                ])
        contents = {bytes(i.data) for i in items}
        self.assertLessEqual({b'plan', b'PDF'}, contents)

    @with_company
    def test_number(self):
        "Test two files of a company cannot have the same number"
        Archive = Pool().get('order.archive')
        create_plan()
        one, two = confirm(), confirm()
        table = Archive.__table__()
        with self.assertRaises(backend.DatabaseIntegrityError):
            Transaction().connection.cursor().execute(*table.update(
                    [table.number], [one.number], where=table.id == two.id))

    @with_company
    def test_party_erased(self):
        "Test the file keeps the customer that is erased or merged"
        pool = Pool()
        Archive = pool.get('order.archive')
        Party = pool.get('party.party')
        Replace = pool.get('party.replace', type='wizard')
        Sale = pool.get('sale.sale')
        Verification = pool.get('order.archive.verification')
        create_plan()
        archive = confirm()
        item, = add(archive, 'contract')
        # Stock Tryton does not merge the parties of posted moves
        sale = Sale(archive.sale.id)
        Sale.draft([sale])
        Sale.cancel([sale])
        archive = close(archive)
        values = Archive(archive.id).ledger_values()
        other = get('party.party', "Other")
        session, _, _ = Replace.create()
        replace = Replace(session)
        with Transaction().set_context(
                active_model='party.party', active_id=archive.party.id,
                active_ids=[archive.party.id], _skip_warnings=True):
            replace.ask.source = archive.party
            replace.ask.destination = other
            replace.transition_replace()
        archive = Archive(archive.id)
        self.assertEqual(
            Archive.search([('party', '=', other.id)]), [archive])
        self.assertEqual(archive.party_name, "Acme")
        values['party'] = other.id
        self.assertEqual(archive.ledger_values(), values)
        self.assertEqual(get_events(archive)[-1], 'replace')
        verification, = Verification.run()
        self.assertEqual([f.text for f in verification.findings], [])
        self.assertTrue(Party.search([('id', '=', other.id)]))
        self.assertEqual(bytes(item.data), b'document')
        # It is erased with those that it replaces
        Erase = pool.get('party.erase', type='wizard')
        Party.write([other], {'active': False})
        session, _, _ = Erase.create()
        erase = Erase(session)
        erase.ask.party = Party(other.id)
        erase.transition_erase()
        self.assertTrue(Party.search([
                    ('id', '=', other.id), ('name', '=', None),
                    ('active', '=', False)]))
        archive = Archive(archive.id)
        self.assertEqual(archive.party_name, "Acme")
        self.assertEqual(archive.ledger_values(), values)
        self.assertEqual(
            Archive.search([('rec_name', 'ilike', '%acme%')]), [archive])
        self.assertEqual(bytes(archive.items[0].data), b'document')


class CatalogueTestCase(ArchiveTestCase):
    "Test files are found"

    def assertFound(self, archive, *texts, found=True):
        Archive = Pool().get('order.archive')
        for text in texts:
            with self.subTest(text=text):
                archives = Archive.search([
                        ('rec_name', 'ilike', f'%{text}%')])
                self.assertEqual(archive in archives, found)

    @with_company
    def test_search(self):
        "Test a file is found by what is known of the order"
        Product = Pool().get('product.product')
        create_plan()
        product = get('product.product', "Touch Screen")
        Product.write([product], {'suffix_code': 'TS-99'})
        party = create_party("Ångström 合同机械", code='K-4711')
        sale = create_sale(
            party=party, reference="PO/2026-17", description="Große Presse")
        archive, other = confirm(sale), confirm()
        add(archive, 'contract', name="技术协议 v2.pdf")
        self.assertFound(
            archive, archive.number, archive.sale.number, "Ångström",
            "angstrom", "合同机械", "合同", "同", "机械", "K-4711", "k-4711",
            "2026-17", "GROSSE", "touch SCREEN", "TS-99", "技术协议", "协议",
            "v2.pdf", "angs 合同", "合同 2026", "presse po/")
        self.assertFound(
            archive, "合械", "Nobody", "机同", "合同 x y z", "ZFEAI",
            found=False)
        self.assertFound(other, "合同", "angstrom", "4711", found=False)
        Archive = Pool().get('order.archive')
        self.assertEqual(
            Archive.search([('rec_name', 'not ilike', "%合同%")]), [other])
        self.assertEqual(
            Archive.search([('rec_name', '=', archive.number)]), [archive])
        self.assertEqual(Archive.search([
                    ('products', '=', product.id),
                    ('party', '=', party.id)]), [archive])
        self.assertEqual(
            Archive.search([('products.rec_name', 'ilike', "%Screen%")],
                order=[('id', 'ASC')]),
            [archive, other])
        self.assertEqual(archive.products, (product,))

    @with_company
    def test_withdrawn(self):
        "Test the names of what is withdrawn or confidential are not searched"
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        Kind = pool.get('order.archive.kind')
        create_plan()
        archive = confirm()
        item, = add(archive, 'contract', name="alpha.txt")
        add(archive, 'drawing', b'1', name="beta.txt", confidential=True)
        add(archive, 'cost', b'2', name="gamma.txt")
        add(archive, 'inspection', b'3', name="delta.txt")
        self.assertFound(archive, "alpha", "delta")
        self.assertFound(archive, "beta", "gamma", found=False)
        Item.do_withdraw([item], "Wrong")
        self.assertFound(archive, "alpha", found=False)
        Kind.write([kind('inspection')], {'confidential': True})
        Archive.update_search([Archive(archive.id)])
        self.assertFound(archive, "delta", found=False)

    @with_company
    def test_one_open(self):
        "Test an order has one file that takes documents, whoever opens it"
        Archive = Pool().get('order.archive')
        if Transaction().database.__class__.__module__.endswith('sqlite'):
            self.skipTest("SQLite does not exclude")
        create_plan()
        archive = confirm()
        with _recording(), self.assertRaises(SQLConstraintError):
            Archive.create([{
                        'number': "X", 'company': archive.company.id,
                        'sale': archive.sale.id,
                        'class_': archive.class_.id,
                        'party': archive.party.id,
                        'opened_at': dt.datetime.now(),
                        }])
