# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""The company: what both databases have and what only ours has"""

import datetime as dt
from decimal import Decimal

from trytond.pool import Pool
from trytond.transaction import Transaction

from .server import sql

# The orders of this amount are reviewed, by two departments after two others
LIMIT = 10_000
DEPARTMENTS = {
    'Technical': 1,
    'Production': 1,
    'Finance': 2,
    'Management': 2,
    }
CUSTOMERS = 100
PRODUCTS = 50
LINES = 5


def signatories():
    "The login of one signatory of each department"
    return [f'{name.lower()}1' for name in DEPARTMENTS]


def ref(xml_id):
    return Pool().get('ir.model.data').get_id(xml_id)


def create():
    "Create the company with its users, products and customers"
    pool = Pool()
    Company = pool.get('company.company')
    Configuration = pool.get('ir.configuration')
    Country = pool.get('country.country')
    Currency = pool.get('currency.currency')
    Party = pool.get('party.party')
    User = pool.get('res.user')
    configuration = Configuration(1)
    configuration.language = 'en'
    configuration.save()
    countries = Country.create([
            {'code': 'NO', 'name': "Norway"},
            {'code': 'SE', 'name': "Sweden"},
            ])
    currency, = Currency.create([{
                'code': 'NOK',
                'name': "Norwegian krone",
                'symbol': 'kr',
                'rates': [('create', [
                            {'date': dt.date(2000, 1, 1), 'rate': 1}])],
                }])
    party, = Party.create([{
                'name': "Company",
                'addresses': [('create', [{'country': countries[0].id}])],
                }])
    company, = Company.create([{'party': party.id, 'currency': currency.id}])
    admin, = User.search([('login', '=', 'admin')])
    User.write([admin], {
            'companies': [('add', [company.id])],
            'company': company.id,
            })
    with Transaction().set_context(User.get_preferences(context_only=True)):
        _create_users(company)
        tax = _create_accounts(company)
        _create_products(tax)
        _create_customers(countries[0])
        create_orders()


def _create_users(company):
    pool = Pool()
    Employee = pool.get('company.employee')
    Party = pool.get('party.party')
    User = pool.get('res.user')
    logins = ['seller'] + [
        f'{name.lower()}{i}' for name in DEPARTMENTS for i in range(1, 4)]
    parties = Party.create([{'name': l.title()} for l in logins])
    employees = Employee.create([
            {'party': p.id, 'company': company.id} for p in parties])
    User.create([{
                'name': l.title(),
                'login': l,
                'companies': [('add', [company.id])],
                'company': company.id,
                'employees': [('add', [employee.id])],
                'employee': employee.id,
                'groups': [('add', [ref('sale.group_sale')])],
                } for l, employee in zip(logins, employees)])


def _create_accounts(company):
    pool = Pool()
    Account = pool.get('account.account')
    CreateChart = pool.get('account.create_chart', type='wizard')
    Tax = pool.get('account.tax')
    session, _, _ = CreateChart.create()
    data = {'account': {
            'company': company.id,
            'account_template': ref('account.account_template_root_en'),
            }}
    CreateChart.execute(session, data, 'create_account')
    accounts = {}
    for type_ in ['receivable', 'payable', 'revenue', 'expense']:
        accounts[type_], = Account.search([
                (f'type.{type_}', '=', True),
                ('closed', '!=', True),
                ('company', '=', company.id),
                ], limit=1)
    data['properties'] = {
        'company': company.id,
        'account_receivable': accounts['receivable'].id,
        'account_payable': accounts['payable'].id,
        'category_account_revenue': accounts['revenue'].id,
        'category_account_expense': accounts['expense'].id,
        }
    CreateChart.execute(session, data, 'create_properties')
    CreateChart.delete(session)
    vat, = Account.search([
            ('code', '=', '6.3.6'),
            ('closed', '!=', True),
            ('company', '=', company.id),
            ])
    tax, = Tax.create([{
                'name': "VAT 25%",
                'description': "VAT 25%",
                'type': 'percentage',
                'rate': Decimal('0.25'),
                'company': company.id,
                'invoice_account': vat.id,
                'credit_note_account': vat.id,
                }])
    return tax


def _create_products(tax):
    pool = Pool()
    Category = pool.get('product.category')
    Configuration = pool.get('account.configuration')
    Template = pool.get('product.template')
    configuration = Configuration(1)
    accounting, goods, parts = Category.create([{
                'name': "Accounting",
                'accounting': True,
                'account_revenue': (
                    configuration.default_category_account_revenue.id),
                'account_expense': (
                    configuration.default_category_account_expense.id),
                'customer_taxes': [('add', [tax.id])],
                },
            {'name': "Goods"},
            {'name': "Spare Parts"},
            ])
    unit = ref('product.uom_unit')
    Template.create([{
                'name': f"Product {i}",
                'type': 'goods',
                'salable': True,
                'default_uom': unit,
                'sale_uom': unit,
                'list_price': Decimal(100 + i),
                'account_category': accounting.id,
                'categories': [('add', [goods.id])],
                'products': [('create', [{
                                'code': f'{i:04}',
                                'cost_price': Decimal(50 + i),
                                }])],
                } for i in range(PRODUCTS)])


def _create_customers(country):
    pool = Pool()
    Category = pool.get('party.category')
    Party = pool.get('party.party')
    PaymentTerm = pool.get('account.invoice.payment_term')
    regular, _ = Category.create([{'name': "Regular"}, {'name': "Public"}])
    terms = PaymentTerm.create([{
                'name': f"{days} days",
                'lines': [('create', [{
                                'type': 'remainder',
                                'relativedeltas': [
                                    ('create', [{'days': days}])],
                                }])],
                } for days in [30, 180]])
    Party.create([{
                'name': f"Customer {i}",
                'code': f'C{i}',
                'addresses': [('create', [
                            {'city': "Oslo", 'country': country.id}])],
                'categories': [('add', [regular.id])],
                'customer_payment_term': terms[0].id,
                } for i in range(CUSTOMERS)])


def create_orders():
    """Create draft orders for each customer: those called small to which no
    rule applies, and large ones"""
    pool = Pool()
    Party = pool.get('party.party')
    Product = pool.get('product.product')
    Sale = pool.get('sale.sale')
    products = Product.search([])
    to_create = []
    for size, quantity in [('small', 1), ('large', LIMIT // 100)]:
        for i, party in enumerate(Party.search([('code', 'like', 'C%')])):
            address, = party.addresses
            to_create.append({
                    'party': party.id,
                    'invoice_address': address.id,
                    'shipment_address': address.id,
                    'payment_term': party.customer_payment_term.id,
                    'description': size,
                    'lines': [('create', [{
                                    'product': product.id,
                                    'quantity': quantity,
                                    'unit': product.sale_uom.id,
                                    'unit_price': product.list_price_used,
                                    'taxes': [('add', [
                                                t.id for t in
                                                product.customer_taxes_used])],
                                    }
                                for j in range(LINES)
                                for product in [
                                    products[(i + j) % len(products)]]])],
                    })
    Sale.create(to_create)


def copy_orders(database, size, n):
    """Return the ids of n orders that are copies of those of the size.

    They are copied with SQL, as trytond would need minutes."""
    with Transaction().start(database, 0) as transaction, \
            transaction.connection.cursor() as cursor:
        cursor.execute("""
            CREATE TEMPORARY TABLE new_sale ON COMMIT DROP AS
            SELECT nextval(pg_get_serial_sequence('sale_sale', 'id')) AS id,
                s.id AS old
            FROM generate_series(0, %(n)s - 1) AS g
            JOIN (
                SELECT id, row_number() OVER (ORDER BY id) - 1 AS row
                FROM sale_sale
                WHERE description = %(size)s
                ) AS s ON s.row = g %% %(customers)s
            ORDER BY g""", {'n': n, 'size': size, 'customers': CUSTOMERS})
        cursor.execute("""
            CREATE TEMPORARY TABLE new_line ON COMMIT DROP AS
            SELECT nextval(pg_get_serial_sequence('sale_line', 'id')) AS id,
                l.id AS old, s.id AS sale
            FROM new_sale AS s JOIN sale_line AS l ON l.sale = s.old
            ORDER BY s.id, l.id""")
        copy_rows(cursor, 'sale_sale', 'new_sale', description="'copy'")
        copy_rows(cursor, 'sale_line', 'new_line', sale='new.sale')
        cursor.execute("""
            INSERT INTO "sale_line-account_tax" (line, tax)
            SELECT new.id, t.tax
            FROM new_line AS new
            JOIN "sale_line-account_tax" AS t ON t.line = new.old""")
        cursor.execute('SELECT id FROM new_sale ORDER BY id')
        return [id_ for id_, in cursor]


def copy_rows(cursor, table, new, **values):
    "Copy the rows of the table for which new has couples of id and old id"
    values['id'] = 'new.id'
    cursor.execute("""
        SELECT quote_ident(column_name) FROM information_schema.columns
        WHERE table_name = %s AND is_generated = 'NEVER'""", [table])
    columns = [name for name, in cursor]
    cursor.execute(f"""
        INSERT INTO {table} ({', '.join(columns)})
        SELECT {', '.join(values.get(c, f'row.{c}') for c in columns)}
        FROM {new} AS new JOIN {table} AS row ON row.id = new.old""")


def create_history(database):
    "Give each customer an order of two years ago"
    sql(database, """
        UPDATE sale_sale SET state = 'done', sale_date = %s
        WHERE id = ANY(%s)""", [
            dt.date.today() - dt.timedelta(days=730),
            copy_orders(database, 'small', CUSTOMERS)])


def create_review():
    "Create the departments and the rules"
    pool = Pool()
    Department = pool.get('company.department')
    Rule = pool.get('sale.review.rule')
    User = pool.get('res.user')
    company = Transaction().context['company']
    rules = []
    for name, stage in DEPARTMENTS.items():
        users = User.search([('login', 'like', f'{name.lower()}_')])
        User.write(users, {
                'groups': [
                    ('add', [ref('sale_order_review.group_review')])],
                })
        head, *members = [u.employee.id for u in users]
        department, = Department.create([{
                    'name': name,
                    'company': company,
                    'head': head,
                    'members': [
                        ('create', [{'employee': m} for m in members])],
                    }])
        rules.append({
                'department': department.id,
                'stage': stage,
                'minimum_amount': LIMIT,
                'segregated': name == 'Finance',
                })
    # Those that apply to none of the orders
    for criteria in _other_criteria():
        rules.append({
                'department': department.id,
                'stage': 3,
                'active': False,
                **criteria,
                })
    Rule.create([{
                'name': f"Rule {i}",
                'company': company,
                'subjects': ['sale.sale'],
                **values} for i, values in enumerate(rules, 1)])


def activate_other_rules(active):
    "Set whether there is also a rule for each of the criteria"
    Rule = Pool().get('sale.review.rule')
    Rule.write(Rule.search([
                ('stage', '=', 3),
                ('active', 'in', [True, False]),
                ]), {'active': active})


def _other_criteria():
    pool = Pool()

    def find(model, name):
        record, = pool.get(model).search([('name', '=', name)])
        return record.id
    return [
        {'minimum_amount': 100 * LIMIT},
        {'maximum_margin': Decimal('0.05')},
        {'minimum_discount': Decimal('0.3')},
        {'product_category': find('product.category', "Spare Parts")},
        {'customised': True},
        {'party_category': find('party.category', "Public")},
        {'new_customer': True},
        {'first_order': True},
        {'abroad': True},
        {'country': find('country.country', "Sweden")},
        {'payment_term': find('account.invoice.payment_term', "180 days")},
        {'channel': _create_channel()},
        ]


def _create_channel():
    Channel = Pool().get('sale.channel')
    channel, = Channel.create([{'name': "Fair"}])
    return channel.id
