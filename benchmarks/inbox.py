# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""What the inbox costs after years of reviews"""

from statistics import quantiles

from trytond.pool import Pool
from trytond.pyson import PYSONDecoder
from trytond.transaction import Transaction

from . import company
from .measure import Result, alternate, compare, duration
from .orders import submit
from .server import Client, copy, load, sql, vacuum

PENDING = 2_000
SMALL = 10_000
ROWS = 100
P95 = 50


def inbox(options):
    "Open the inbox when few and when many sign-offs are done"
    clients = {}
    for name, signoffs in [
            ('inbox_small', SMALL), ('inbox_large', options.signoffs)]:
        copy(name, 'empty')
        load(name)
        fill(name, signoffs)
        clients[name] = [Inbox(name, l) for l in company.signatories()]

    durations = []

    def measure(name):
        inboxes = clients[name]
        return lambda i: duration(inboxes[i % len(inboxes)].open)

    def large(i):
        durations.append(measure('inbox_large')(i))
        return durations[-1]

    # Each of the users warms up
    for name in clients:
        for i in range(len(clients[name])):
            measure(name)(i)
    yield compare(
        f"inbox and its counters, {options.signoffs} sign-offs / {SMALL}",
        1.5, alternate(5 * options.times, large, measure('inbox_small')))
    yield Result(
        "inbox and its counters, 95th percentile / allowed",
        quantiles(durations[1:], n=20)[-1], P95, 1.0)


class Inbox:
    """What the client requests when the user opens the menu

    It reads at once the hundred rows around those that it shows, with all the
    columns of the view, also those that the user hides."""

    def __init__(self, database, login):
        self.client = Client(database, login)
        with Transaction().start(
                database, self.client.user, context=self.client.context,
                readonly=True):
            pool = Pool()
            ActWindow = pool.get('ir.action.act_window')
            action = ActWindow(company.ref(
                    'sale_order_review.act_signoff_form'))
            decoder = PYSONDecoder(self.client.context)
            domains = [
                (decoder.decode(d.domain), d.count)
                for d in action.act_window_domains]
            self.domain = domains[0][0]
            self.counted = [d for d, count in domains if count]
        self.names = get_names(
            self.client, 'sale.review.signoff',
            'sale_order_review.act_signoff_form')

    def open(self):
        model = 'sale.review.signoff'
        ids = self.client(model, 'search', self.domain, 0, ROWS, None)
        assert len(ids) == ROWS
        self.client(model, 'read', ids, self.names)
        for domain in self.counted:
            self.client(model, 'search_count', domain, 0, 1000)


def get_names(client, model, action):
    "Return the names that the client reads for the list of the action"
    with Transaction().start(
            client.database, client.user, context=client.context,
            readonly=True):
        pool = Pool()
        ActWindow = pool.get('ir.action.act_window')
        view = ActWindow(company.ref(action)).act_window_views[0].view
        fields = pool.get(model).fields_view_get(view.id, 'tree')['fields']
    names = ['rec_name', '_timestamp', '_write', '_delete']
    for name, field in fields.items():
        names.append(name)
        if field['type'] in {'many2one', 'reference'}:
            names.append(f'{name}.rec_name')
        elif field['type'] in {'selection', 'multiselection'}:
            names.append(f'{name}:string')
    return names


def fill(database, signoffs):
    """Add reviews until there are so many sign-offs.

    They are copies of one of them, without the lines of their orders, which
    the inbox does not show. Half of those that are open are at their first
    stage, so that two sign-offs of each are pending."""
    order = company.copy_orders(database, 'large', 1)
    seller = Client(database, 'seller')
    seller('sale.sale', 'quote', order)
    seller('sale.sale', submit, order)
    with Transaction().start(database, 0) as transaction, \
            transaction.connection.cursor() as cursor:
        # Without the checks of the foreign keys
        cursor.execute('SET LOCAL session_replication_role TO replica')
        cursor.execute("""
            CREATE TEMPORARY TABLE new ON COMMIT DROP AS
            SELECT g, r.id AS review, r.sale,
                CASE WHEN g > %(reviews)s - %(open)s THEN g %% 2 + 1 END
                AS stage,
                localtimestamp - (%(reviews)s - g) * interval '3 minutes'
                AS at
            FROM generate_series(1, %(reviews)s) AS g, sale_review AS r""", {
                'reviews': signoffs // len(company.DEPARTMENTS),
                'open': PENDING // 2,
                })
        for table, old in [
                ('sale_sale', 'sale'),
                ('sale_review', 'review'),
                ('sale_review_signoff', None)]:
            cursor.execute(f"""
                CREATE TEMPORARY TABLE new_{table} ON COMMIT DROP AS
                SELECT nextval(pg_get_serial_sequence('{table}', 'id')) AS id,
                    row.id AS old, new.g, new.stage, new.at
                FROM new JOIN {table} AS row
                    ON row.{'id' if old else 'review'} = new.{old or 'review'}
                ORDER BY new.g, row.id""")
            cursor.execute(f'CREATE INDEX ON new_{table} (g)')
            cursor.execute(f'ANALYZE new_{table}')
        company.copy_rows(
            cursor, 'sale_sale', 'new_sale_sale',
            number="'I' || new.g",
            state="CASE WHEN new.stage IS NULL THEN 'done' "
            "ELSE 'quotation' END",
            review_state="CASE WHEN new.stage IS NULL THEN 'approved' "
            "ELSE 'open' END")
        sale = "(SELECT id FROM new_sale_sale AS s WHERE s.g = new.g)"
        company.copy_rows(
            cursor, 'sale_review', 'new_sale_review',
            number="'I' || new.g",
            sale=sale,
            origin=f"'sale.sale,' || {sale}",
            requested_at='new.at',
            closed_at='CASE WHEN new.stage IS NULL THEN new.at END',
            state="CASE WHEN new.stage IS NULL THEN 'approved' "
            "ELSE 'open' END")
        state = (
            "CASE WHEN row.stage = new.stage THEN 'pending' "
            "WHEN row.stage > new.stage THEN 'waiting' ELSE 'approved' END")
        company.copy_rows(
            cursor, 'sale_review_signoff', 'new_sale_review_signoff',
            review="(SELECT id FROM new_sale_review AS r WHERE r.g = new.g)",
            state=state,
            pending_at=f"CASE {state} WHEN 'waiting' THEN NULL "
            "ELSE new.at END",
            deadline=f"CASE {state} WHEN 'waiting' THEN NULL "
            "WHEN 'pending' THEN current_date - 3 + (new.g / 2 % 10)::int "
            "ELSE new.at::date + 2 END",
            closed_at=f"CASE {state} WHEN 'approved' THEN new.at END")
        # Each person of the departments in turn
        cursor.execute("""
            INSERT INTO sale_review_decision (create_uid, create_date,
                signoff, employee, decided_at, decision, digest)
            SELECT 0, new.at, s.id, p.employee, new.at, 'approve', r.digest
            FROM new_sale_review_signoff AS new
            JOIN sale_review_signoff AS s ON s.id = new.id
            JOIN sale_review AS r ON r.id = s.review
            JOIN (
                SELECT department, employee, row_number() OVER (
                    PARTITION BY department ORDER BY employee) - 1 AS row
                FROM (
                    SELECT id AS department, head AS employee
                    FROM company_department
                    UNION
                    SELECT department, employee
                    FROM company_department_member
                    ) AS persons
                ) AS p ON p.department = s.department AND p.row = new.g % 3
            WHERE s.state = 'approved'""")
    vacuum(database)
    (pending,), = sql(database, """
        SELECT count(*) FROM sale_review_signoff
        WHERE state = 'pending' AND review <> (
            SELECT id FROM sale_review ORDER BY id LIMIT 1)""")
    assert pending == PENDING
