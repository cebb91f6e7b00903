# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import unittest

from lxml import etree

from trytond import backend
from trytond.model.exceptions import AccessError
from trytond.modules.company.tests.tools import create_company
from trytond.pool import Pool
from trytond.pyson import PYSONDecoder
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import (
    ReviewTestCase, as_user, create_rule, create_sale, department, get_company,
    get_signoff, on, sign, submit, with_company)
from .test_intake import configure
from .test_release import allow, confirm, release


def at(day, hour=8, month=3):
    return dt.datetime(2026, month, day, hour)


def update(record, **values):
    "Set the values whatever they were, as evidence has the time of the tests"
    table = record.__class__.__table__()
    transaction = Transaction()
    cursor = transaction.connection.cursor()
    cursor.execute(*table.update(
            [getattr(table, n) for n in values], list(values.values()),
            where=table.id == record.id))
    for cache in transaction.cache.values():
        cache.clear()


def decide(sale, name, user, pending_at, closed_at, deadline, inquiries=(),
        button='approve', cause=None):
    """Have the user decide on the sign-off of the department in the last round
    of the sale and return it

    inquiries are the couples of when each was asked and replied."""
    pool = Pool()
    Inquiry = pool.get('sale.review.inquiry')
    Signoff = pool.get('sale.review.signoff')
    signoff = get_signoff(sale.review, name)
    asked = []
    for _ in inquiries:
        with as_user(user):
            inquiry, = Signoff.pause(
                [Signoff(signoff.id)], 'sales', 'meeting', "Which colour?",
                dt.date.today())
            asked.append(Inquiry(inquiry.id))
    for inquiry, (_, replied_at) in zip(asked, inquiries):
        if replied_at:
            with as_user("Sven"):
                Inquiry.record_reply([Inquiry(inquiry.id)], "Blue")
    sign(
        signoff, button, user, cause=cause,
        opinion="No." if button == 'return_' else None)
    for inquiry, (asked_at, replied_at) in zip(asked, inquiries):
        update(inquiry, asked_at=asked_at, replied_at=replied_at)
    update(
        signoff, pending_at=pending_at, closed_at=closed_at, deadline=deadline)
    return Signoff(signoff.id)


def submitted():
    "Return a sale that Sven has submitted"
    Sale = Pool().get('sale.sale')
    with as_user("Sven"):
        sale = create_sale()
        submit(sale)
    return Sale(sale.id)


def submit_again(sale):
    Sale = Pool().get('sale.sale')
    with as_user("Sven"):
        sale = Sale(sale.id)
        if sale.state == 'draft':
            Sale.quote([sale])
        submit(sale)
    return Sale(sale.id)


def figures(model, *names, **context):
    "Return the list of the values of the records"
    Model = Pool().get(f'sale.review.reporting.{model}')
    with Transaction().set_context(**context):
        result = []
        for record in Model.search([]):
            values = []
            for name in names:
                value = getattr(record, name)
                if isinstance(value, float):
                    value = round(value, 4)
                values.append(getattr(value, 'rec_name', value))
            result.append(tuple(values))
        return result


def counted(model, domain=None, **context):
    "Return the ids that are counted by the records of the domain"
    Model = Pool().get(f'sale.review.reporting.{model}')
    with Transaction().set_context(**context):
        return Model.get_counted(Model.search(domain or []))


class ReportingTestCase(ReviewTestCase):
    "Test the figures of the reviews"

    def decide(self):
        """Decide on six sign-offs and return them

        Production needs 12 hours in time, 18 without the 30 hours of two
        inquiries too late, and 24 in April. Finance needs 1 hour, 2 and 3."""
        create_rule("Production")
        create_rule("Finance")
        first, second, third = submitted(), submitted(), submitted()
        return [
            decide(first, "Production", "Paul",
                at(2), at(2, 20), dt.date(2026, 3, 4)),
            decide(second, "Production", "Paul",
                at(3), at(5), dt.date(2026, 3, 4), [
                    (at(3, 12), at(4, 12)),
                    (at(4, 0), at(4, 18)),
                    ]),
            decide(third, "Production", "Paul",
                at(31), at(1, month=4), dt.date(2026, 4, 1)),
            decide(first, "Finance", "Frida",
                at(2), at(2, 9), dt.date(2026, 3, 2)),
            decide(second, "Finance", "Frida",
                at(3), at(3, 10), dt.date(2026, 3, 3)),
            decide(third, "Finance", "Frida",
                at(31), at(31, 11), dt.date(2026, 3, 30)),
            ]

    @with_company
    def test_department(self):
        "Test the review time per department"
        signoffs = self.decide()
        self.assertEqual(
            figures(
                'department', 'department', 'number', 'average', 'longest',
                'late', 'on_time'), [
                ("Finance", 3, 2, 3, 1, .6667),
                ("Production", 3, 18, 24, 1, .6667),
                ])
        self.assertEqual(
            figures(
                'department', 'department', 'number', 'average',
                department=department("Finance").id),
            [("Finance", 3, 2)])
        self.assertEqual(
            figures(
                'department', 'department', 'number', 'average',
                from_date=dt.date(2026, 3, 3), to_date=dt.date(2026, 3, 31)), [
                ("Finance", 2, 2.5),
                ("Production", 1, 18),
                ])
        production = department("Production")
        self.assertEqual(
            counted('department', [('id', '=', production.id)]),
            [s.id for s in signoffs[:3]])
        self.assertEqual(
            counted('department', to_date=dt.date(2026, 3, 2)),
            sorted([signoffs[0].id, signoffs[3].id]))

    @with_company
    def test_department_time_series(self):
        "Test the review time per department and period"
        signoffs = self.decide()
        march, april = dt.date(2026, 3, 1), dt.date(2026, 4, 1)
        names = [
            'date', 'department', 'number', 'average', 'longest', 'late',
            'on_time']
        self.assertEqual(
            sorted(figures('department.time_series', *names)), [
                (march, "Finance", 3, 2, 3, 1, .6667),
                (march, "Production", 2, 15, 18, 1, .5),
                (april, "Production", 1, 24, 24, 0, 1),
                ])
        self.assertEqual(
            sorted(figures(
                    'department.time_series', 'date', 'department', 'number',
                    period='year')), [
                (dt.date(2026, 1, 1), "Finance", 3),
                (dt.date(2026, 1, 1), "Production", 3),
                ])
        self.assertEqual(
            counted('department.time_series', [
                    ('department.name', '=', "Production"),
                    ('date', '=', march),
                    ]),
            [s.id for s in signoffs[:2]])

    @with_company
    def test_open(self):
        "Test what is not decided is not counted"
        Review = Pool().get('sale.review')
        create_rule("Production")
        create_rule("Finance", stage=2)
        withdrawn = submitted()
        Review.withdraw([withdrawn.review])
        submitted()
        self.assertEqual(figures('department', 'number'), [])

    @with_company
    def test_carried(self):
        "Test what is carried over is not counted again"
        create_rule("Production", aspects=['products'])
        create_rule("Finance", stage=2)
        sale = submitted()
        decide(
            sale, "Production", "Paul", at(2), at(2, 9), dt.date(2026, 3, 2))
        decide(
            sale, "Finance", "Frida", at(2, 9), at(2, 10),
            dt.date(2026, 3, 2), button='return_', cause='price')
        sale = submit_again(sale)
        self.assertEqual(get_signoff(sale.review, "Production").state,
            'carried')
        self.assertEqual(
            figures('department', 'department', 'number'),
            [("Finance", 1), ("Production", 1)])

    @with_company
    def test_returned_paused(self):
        "Test the clock that stands still at the return"
        create_rule("Production")
        with on(dt.date(2026, 3, 3)):
            sale = submitted()
            signoff = get_signoff(sale.review, "Production")
            with as_user("Paul"):
                Signoff = Pool().get('sale.review.signoff')
                inquiry, = Signoff.pause(
                    [Signoff(signoff.id)], 'sales', 'meeting', "Colour?",
                    dt.date(2026, 3, 4))
        sign(signoff, 'return_', "Paul", opinion="No.", cause='incomplete')
        update(inquiry, asked_at=at(3, 9))
        update(
            signoff, pending_at=at(3), closed_at=at(9),
            deadline=dt.date(2026, 3, 5))
        self.assertEqual(
            figures('department', 'number', 'average', 'late'), [(1, 1, 0)])

    @with_company
    def test_cause(self):
        "Test the share returned by cause"
        create_rule("Production")
        create_rule("Finance")
        returned = []
        for name, user, month, cause in [
                ("Production", "Paul", 3, 'infeasible'),
                ("Production", "Paul", 3, 'date'),
                ("Production", "Paul", 4, 'date'),
                ("Finance", "Frida", 4, 'date'),
                ]:
            day = dt.date(2026, month, 2)
            returned.append(decide(
                    submitted(), name, user, at(2, month=month),
                    at(2, 9, month=month), day, button='return_',
                    cause=cause))
        decide(
            submitted(), "Finance", "Frida", at(2), at(2, 9),
            dt.date(2026, 3, 2))
        # One of four decisions in March is missing
        self.assertEqual(
            figures('cause', 'rec_name', 'number', 'share'), [
                ("Delivery Date", 3, .6),
                ("Not Feasible", 1, .2),
                ])
        self.assertEqual(
            figures(
                'cause', 'cause', 'number', 'share',
                department=department("Finance").id),
            [('date', 1, .5)])
        march, april = dt.date(2026, 3, 1), dt.date(2026, 4, 1)
        self.assertEqual(
            sorted(figures(
                    'cause.time_series', 'date', 'cause', 'number', 'share')),
            [
                (march, 'date', 1, .3333),
                (march, 'infeasible', 1, .3333),
                (april, 'date', 2, 1),
                ])
        self.assertEqual(
            counted('cause', [('cause', '=', 'date')]),
            [s.id for s in returned[1:]])
        self.assertEqual(
            counted('cause.time_series', [
                    ('cause', '=', 'date'), ('date', '=', april)]),
            [s.id for s in returned[2:]])

    @with_company
    def test_cause_graph(self):
        "Test the graph by period has a line for each cause"
        pool = Pool()
        Cause = pool.get('sale.review.reporting.cause.time_series')
        ModelData = pool.get('ir.model.data')
        view = Cause.fields_view_get(ModelData.get_id(
                'sale_order_review',
                'reporting_cause_time_series_view_graph_number'))
        causes = [c for c in Cause.get_causes() if c[0]]
        lines = etree.fromstring(view['arch']).findall('y/field')
        self.assertEqual(
            [(l.get('key'), l.get('string')) for l in lines], causes)
        self.assertIn('cause', view['fields'])
        for line in lines:
            self.assertEqual(
                PYSONDecoder({'cause': 'price'}).decode(line.get('domain')),
                line.get('key') == 'price')

    @with_company
    def test_cause_several(self):
        "Test a return on behalf of several persons is counted once"
        Decision = Pool().get('sale.review.decision')
        create_rule("Production", signatories='all')
        sale = submitted()
        signoff = decide(
            sale, "Production", "Paul", at(2), at(2, 9), dt.date(2026, 3, 2),
            button='return_', cause='terms')
        decision, = signoff.decisions
        with Transaction().set_context(_sale_review=True):
            Decision.copy([decision])
        self.assertEqual(
            figures('cause', 'cause', 'number', 'share'), [('terms', 1, 1)])

    @with_company
    def test_approval(self):
        "Test the share of the orders that are approved in the first round"
        Sale = Pool().get('sale.sale')
        create_rule("Production")
        day = dt.date(2026, 3, 2)
        # In the first round
        first, changed, second = submitted(), submitted(), submitted()
        for sale in [first, changed]:
            decide(sale, "Production", "Paul", at(2), at(2, 9), day)
            update(Sale(sale.id).review, closed_at=at(2, 9))
        # Changed and approved again: the first approval counts
        with as_user("Sven"):
            Sale.draft([Sale(changed.id)])
            line, = Sale(changed.id).lines
            line.quantity = 2
            line.save()
        changed = submit_again(changed)
        decide(
            changed, "Production", "Paul", at(2, month=4), at(3, month=4),
            day)
        update(changed.review, closed_at=at(3, month=4))
        # Returned once, approved in April
        decide(
            second, "Production", "Paul", at(2), at(3), day,
            button='return_', cause='error')
        second = submit_again(second)
        decide(second, "Production", "Paul", at(3), at(1, month=4), day)
        update(second.review, closed_at=at(1, month=4))
        submitted()
        march, april = dt.date(2026, 3, 1), dt.date(2026, 4, 1)
        names = ['date', 'number', 'first', 'first_pass']
        self.assertEqual(
            figures('approval', *names),
            [(march, 2, 2, 1), (april, 1, 0, 0)])
        self.assertEqual(
            figures('approval', *names, period='year'),
            [(dt.date(2026, 1, 1), 3, 2, .6667)])
        self.assertEqual(
            figures(
                'approval', 'number', department=department("Finance").id),
            [])
        self.assertEqual(
            counted('approval', [('date', '=', april)]), [second.review.id])

    @with_company
    def test_approval_department(self):
        "Test the orders in whose first approval a department had a part"
        Sale = Pool().get('sale.sale')
        create_rule("Production")
        create_rule("Finance", minimum_amount=1500)
        day = dt.date(2026, 3, 2)
        sale = submitted()
        decide(sale, "Production", "Paul", at(2), at(2, 9), day)
        with as_user("Sven"):
            Sale.draft([Sale(sale.id)])
            line, = Sale(sale.id).lines
            line.quantity = 2
            line.save()
        sale = submit_again(sale)
        decide(sale, "Production", "Paul", at(2), at(3), day)
        decide(sale, "Finance", "Frida", at(2), at(3), day)
        # Finance had a part in the round that was returned only
        other = submitted()
        with as_user("Sven"):
            Sale.draft([Sale(other.id)])
            line, = Sale(other.id).lines
            line.quantity = 2
            line.save()
        other = submit_again(other)
        decide(
            other, "Finance", "Frida", at(2), at(3), day, button='return_',
            cause='price')
        with as_user("Sven"):
            line, = Sale(other.id).lines
            line.quantity = 1
            line.save()
        other = submit_again(other)
        decide(other, "Production", "Paul", at(2), at(3), day)
        for name, expected in [
                ("Production", [(2, 1)]),
                ("Finance", [(1, 0)]),
                ("Sales", []),
                ]:
            with self.subTest(name=name):
                self.assertEqual(
                    figures(
                        'approval', 'number', 'first',
                        department=department(name).id),
                    expected)

    @with_company
    def test_approval_released(self):
        "Test what is released and asks for no signature is not approved"
        Sale = Pool().get('sale.sale')
        configure(intake_check='submission', intake_points=['channel'])
        with as_user("Sven"):
            sale = create_sale()
        allow()
        release(sale)
        confirm(sale)
        configure(intake_points=[])
        with as_user("Sven"):
            review, = submit(Sale(sale.id))
        self.assertEqual(review.state, 'approved')
        self.assertEqual(figures('approval', 'number'), [])

    @unittest.skipIf(
        backend.name == 'sqlite', "the dates of SQLite have no time zone")
    @with_company
    def test_timezone(self):
        "Test the month is that of the company"
        create_rule("Production")
        company = get_company()
        company.timezone = 'Asia/Shanghai'
        company.save()
        decide(
            submitted(), "Production", "Paul", at(31, 15), at(31, 17),
            dt.date(2026, 3, 31))
        self.assertEqual(
            figures('department.time_series', 'date', 'late'),
            [(dt.date(2026, 4, 1), 1)])

    @with_company
    def test_open_counted(self):
        "Test the wizard opens what is counted"
        Open = Pool().get('sale.review.reporting.open_counted', type='wizard')
        signoffs = self.decide()
        production = department("Production")
        for model, id_, ids, res_model in [
                ('department', production.id, [s.id for s in signoffs[:3]],
                    'sale.review.signoff'),
                ('approval', None, [
                        s.review.id for s in signoffs[:3]], 'sale.review'),
                ]:
            name = f'sale.review.reporting.{model}'
            if id_ is None:
                id_ = min(r.id for r in Pool().get(name).search([]))
            with as_user("Sven"), Transaction().set_context(
                    active_model=name, active_id=id_, active_ids=[id_]):
                session, _, _ = Open.create()
                (action, _), = Open.execute(session, {}, 'start')['actions']
            self.assertEqual(action['res_model'], res_model)
            self.assertIn(str(ids[0]), action['pyson_domain'])

    @with_company
    def test_open_counted_other(self):
        "Test the wizard does not open on what has no figures"
        Open = Pool().get('sale.review.reporting.open_counted', type='wizard')
        sale = create_sale()
        with as_user("Sven"):
            for model in [None, 'sale.sale']:
                with self.subTest(model=model), Transaction().set_context(
                        active_model=model, active_id=sale.id,
                        active_ids=[sale.id]):
                    session, _, _ = Open.create()
                    with self.assertRaises(AccessError):
                        Open.execute(session, {}, 'start')

    @with_company
    def test_context(self):
        "Test what the figures are asked for"
        Context = Pool().get('sale.review.reporting.context')
        company = get_company()
        with on(dt.date(2026, 3, 2)):
            values = Context.default_get(list(Context._fields))
            self.assertEqual(values['company'], company.id)
            self.assertEqual(values['from_date'], dt.date(2025, 3, 2))
            self.assertEqual(values['to_date'], dt.date(2026, 3, 2))
            self.assertEqual(values['period'], 'month')

    @with_company
    def test_calendar_color(self):
        "Test the color of the sign-offs in the calendar"
        create_rule("Production", deadline=1)
        create_rule("Finance", stage=2)
        today = dt.date(2026, 3, 2)
        with on(today):
            sale = submitted()
        signoff = get_signoff(sale.review, "Production")
        colors = {}
        for days in [0, 1, 2]:
            with on(today + dt.timedelta(days=days)):
                colors[days] = get_color(signoff)
        self.assertEqual(
            colors, {0: '#267f82', 1: '#8a6d3b', 2: '#a94442'})
        waiting = get_signoff(sale.review, "Finance")
        self.assertEqual(get_color(waiting), '#777777')
        update(signoff, paused_since=today)
        self.assertEqual(get_color(signoff), '#777777')
        update(signoff, paused_since=None)
        with on(today):
            sign(signoff, 'return_', "Paul", opinion="No.", cause='date')
        self.assertEqual(get_color(signoff), '#a94442')
        self.assertEqual(get_color(waiting), '#777777')


def get_color(signoff):
    Signoff = Pool().get('sale.review.signoff')
    return Signoff(signoff.id).calendar_color


class DashboardTestCase(TestCase):
    "Test what users put on their dashboard"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules(
            ['sale_order_review', 'dashboard'], create_company)
        cls.addClassCleanup(drop_db)

    @with_company
    def test_actions(self):
        "Test the actions of the dashboard"
        pool = Pool()
        ActWindow = pool.get('ir.action.act_window')
        Action = pool.get('dashboard.action')
        View = pool.get('ir.ui.view')
        User = pool.get('res.user')
        actions = ActWindow.search([('usage', '=', 'dashboard')])
        self.assertEqual(
            {a.name for a in actions}, {
                "My Pending Sign-offs", "Overdue Sign-offs",
                "Review Time of the Last Year",
                "Returned by Cause in the Last Year"})
        user = User(Transaction().user)
        Action.create([
                {'user': user.id, 'act_window': a.id} for a in actions])
        view = View(View.dashboard_id())
        arch, = View.read([view.id], ['arch'])
        for action in actions:
            self.assertIn(f'name="{action.id}"', arch['arch'])
