# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from trytond.model.exceptions import AccessError
from trytond.modules.company.tests import create_company as new_company
from trytond.modules.customer_grading.exceptions import CareError
from trytond.pool import Pool
from trytond.transaction import Transaction

from .care import CareTestCase, client
from .review import employee, get, get_company, on, with_company


class ComplaintTestCase(CareTestCase):
    "Test the complaints"
    modules = ['customer_grading', 'sale_complaint']

    def create(self, **values):
        pool = Pool()
        Complaint = pool.get('sale.complaint')
        Model = pool.get('ir.model')
        Type = pool.get('sale.complaint.type')
        model, = Model.search([('name', '=', 'sale.sale')])
        type_, = Type.create([{'name': "Order", 'origin': model.id}])
        complaint, = Complaint.create([{
                    'customer': get('party.party', "Acme").id,
                    'type': type_.id,
                    **values,
                    }])
        return complaint

    def click(self, complaint, *buttons):
        Complaint = Pool().get('sale.complaint')
        for button in buttons:
            getattr(Complaint, button)([Complaint(complaint.id)])
        return Complaint(complaint.id)

    def approve(self, complaint):
        "Approve the complaint and work off the queue"
        Queue = Pool().get('ir.queue')
        complaint = self.click(complaint, 'wait', 'approve')
        transaction = Transaction()
        while transaction.tasks:
            Queue(transaction.tasks.pop()).run()
        return Pool().get('sale.complaint')(complaint.id)

    def complete(self):
        return {
            'cause': 'delivery',
            'cause_analysis': "The lorry was late.",
            'customer_informed_on': dt.date.today(),
            'customer_informed_by': employee("Carla").id,
            'customer_informed_means': 'telephone',
            }

    def configure(self):
        Configuration = Pool().get('customer.configuration')
        Configuration(1).set_multivalue(
            'complaint_completion', True, company=get_company().id)

    @with_company
    def test_no_configuration(self):
        "Test complaints are done as before without configuration"
        complaint = self.approve(self.create())
        self.assertEqual(complaint.state, 'done')
        self.assertEqual(complaint.closed_on, dt.date.today())

    @with_company
    def test_completion(self):
        "Test a complaint is not done before what the company wants is there"
        Complaint = Pool().get('sale.complaint')
        self.configure()
        complaint = self.approve(self.create())
        self.assertEqual(complaint.state, 'approved')
        self.assertIsNone(complaint.closed_on)
        with self.assertRaises(CareError) as error:
            self.click(complaint, 'process')
        for text in ["the cause", "was informed"]:
            self.assertIn(text, str(error.exception))
        Complaint.write([complaint], {'cause': 'delivery'})
        with self.assertRaises(CareError):
            self.click(complaint, 'process')
        Complaint.write([complaint], self.complete())
        complaint = self.click(complaint, 'process')
        self.assertEqual(complaint.state, 'done')

    @with_company
    def test_complete(self):
        "Test a complete complaint is done at once"
        self.configure()
        complaint = self.approve(self.create(**self.complete()))
        self.assertEqual(complaint.state, 'done')

    @with_company
    def test_evidence(self):
        "Test what was found and told stays"
        Complaint = Pool().get('sale.complaint')
        complaint = self.approve(self.create(**self.complete()))
        for values in [
                {'cause': 'customer'}, {'customer_informed_on': None},
                {'closed_on': None}]:
            with self.subTest(values=values):
                with self.assertRaises(AccessError):
                    Complaint.write([complaint], values)
        with self.assertRaises(AccessError):
            self.create(closed_on=dt.date.today())
        copy, = Complaint.copy([complaint])
        for name in [*self.complete(), 'closed_on']:
            self.assertIsNone(getattr(copy, name))
        complaint = self.click(complaint, 'draft')
        self.assertIsNone(complaint.closed_on)
        Complaint.write([complaint], {'cause': 'customer'})

    @with_company
    def test_rejected(self):
        "Test a rejected complaint is closed too"
        complaint = self.click(self.create(), 'wait', 'reject')
        self.assertEqual(complaint.closed_on, dt.date.today())

    @with_company
    def test_closed_on(self):
        "Test a complaint keeps the day on which it came to its end"
        today = dt.date.today()
        ended = self.approve(self.create())
        draft = self.create()
        with on(today + dt.timedelta(days=3)):
            for button in ['process', 'reject']:
                self.assertEqual(
                    self.click(ended, button).closed_on, today)
                self.assertIsNone(self.click(draft, button).closed_on)
        cancelled = self.click(draft, 'cancel')
        self.assertIsNone(self.click(cancelled, 'process').closed_on)

    @with_company
    def test_prevention(self):
        "Test what prevents it is done by somebody"
        pool = Pool()
        Prevention = pool.get('sale.complaint.prevention')
        complaint = self.create()
        with client("Sven"):
            prevention, = Prevention.create([{
                        'complaint': complaint.id,
                        'name': "Order lorries a day ahead",
                        'employee': employee("Sally").id,
                        'due_date': dt.date.today(),
                        }])
        with client("Nora"):
            with self.assertRaises(AccessError):
                Prevention.read([prevention.id], ['name'])
        with client("Sally"):
            self.assertEqual(
                Prevention.search([('mine', '=', True)]), [prevention])
            Prevention.do([prevention])
        cancelled = self.click(self.create(), 'cancel')
        with client("Sven"):
            with self.assertRaisesRegex(CareError, "Cancelled"):
                Prevention.create([{
                            'complaint': cancelled.id,
                            'name': "Order lorries a day ahead",
                            'employee': employee("Sally").id,
                            'due_date': dt.date.today(),
                            }])
        prevention = Prevention(prevention.id)
        self.assertEqual(prevention.done_by, employee("Sally"))
        with self.assertRaises(AccessError):
            Prevention.write([prevention], {'name': "Nothing"})

    @with_company
    def test_company(self):
        "Test the prevention of other companies is not seen"
        pool = Pool()
        Employee = pool.get('company.employee')
        Prevention = pool.get('sale.complaint.prevention')
        company = new_company()
        with Transaction().set_context(company=company.id):
            worker, = Employee.create([{
                        'party': get('party.party', "Acme").id,
                        'company': company.id}])
            complaint = self.create(company=company.id)
        prevention, = Prevention.create([{
                    'complaint': complaint.id,
                    'name': "Order lorries a day ahead",
                    'employee': worker.id,
                    'due_date': dt.date.today(),
                    }])
        with client("Sven"):
            self.assertFalse(Prevention.search([]))
            with self.assertRaises(AccessError):
                Prevention.read([prevention.id], ['name'])
            with self.assertRaises(AccessError):
                Prevention.do([prevention])
