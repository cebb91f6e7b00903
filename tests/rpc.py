# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"A company with users, and clients that call the server as these users do"
import base64
import json
from contextlib import contextmanager

from werkzeug.test import Client as Browser

import trytond.protocols.dispatcher  # noqa: F401
from proteus import Model
from trytond.modules.account.tests.tools import create_chart
from trytond.modules.company.tests.tools import create_company
from trytond.modules.company_department.tests.tools import (
    create_department, create_user)
from trytond.modules.sale_order_review.tests.tools import (
    create_customer, create_product, create_quotation, create_rule)
from trytond.pool import Pool
from trytond.protocols.jsonrpc import JSONDecoder, JSONEncoder
from trytond.tests.test_tryton import DB_NAME
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction
from trytond.worker import run_task
from trytond.wsgi import app


class Fault(Exception):
    "The error that the server answers"

    @property
    def name(self):
        return self.args[0]

    def __str__(self):
        return ' '.join(map(str, self.args))


class Client:
    "A client with the session of a user"

    def __init__(self, login):
        with Transaction().start(DB_NAME, 0) as transaction:
            pool = Pool()
            Session = pool.get('ir.session')
            User = pool.get('res.user')
            user, = User.search([('login', '=', login)])
            with transaction.set_user(user.id):
                key = Session.new()
        self.user = user.id
        token = f'{login}:{user.id}:{key}'.encode()
        self.headers = {
            'Authorization': f"Session {base64.b64encode(token).decode()}",
            }
        self.context = {}
        self.context = self('res.user.get_preferences', True)

    def __call__(self, method, *params, type='model', **context):
        "Call the method of the model"
        response = Browser(app).post(
            f'/{DB_NAME}/rpc/', headers=self.headers,
            content_type='application/json', data=json.dumps({
                    'id': 0,
                    'method': f'{type}.{method}',
                    'params': [*params, {**self.context, **context}],
                    }, cls=JSONEncoder))
        if response.status_code != 200:
            raise Fault(response.status, response.text)
        result = json.loads(response.text, object_hook=JSONDecoder())
        if 'error' in result:
            raise Fault(*result['error'])
        return result['result']

    def wizard(self, name, state, model, ids, data=None, **context):
        "Execute the state of the wizard on the records"
        context.setdefault('active_model', model)
        context.setdefault('active_ids', ids)
        context.setdefault('active_id', ids[0] if ids else None)
        session, *_ = self(f'{name}.create', type='wizard', **context)
        return self(
            f'{name}.execute', session, data or {}, state, type='wizard',
            **context)


@contextmanager
def server(login=None, tasks=True, extras=None, **context):
    "Run a transaction of the user, root by default, inside the server"
    with Transaction().start(DB_NAME, 0, **(extras or {})) as transaction:
        User = Pool().get('res.user')
        user = 0
        if login:
            user, = User.search([('login', '=', login)])
            user = user.id
        with transaction.set_user(user):
            if user:
                context = {**User.get_preferences(True), **context}
            with transaction.set_context(context):
                yield transaction
        to_run = transaction.tasks[:]
        transaction.tasks.clear()
    if tasks:
        for task in to_run:
            run_task(DB_NAME, task)


def create_world(config=None):
    """Create two companies with their departments and rules.

    In company A the department Technical, of Tina and Tom, signs first, then
    Finance, of Fred and Flo, of whom the head must sign. Sam and Eve sell,
    Otto heads Legal, Nora has no employee, Audi audits, Adam administers.
    Olga heads the department of company B. Bob is an employee of both."""
    Company = Model.get('company.company', config=config)
    Party = Model.get('party.party', config=config)
    Employee = Model.get('company.employee', config=config)
    User = Model.get('res.user', config=config)

    a, = Company.find([])
    party = Party(name="B")
    party.save()
    create_company(party=party, config=config)
    b, = Company.find([('id', '!=', a.id)])
    admin = User(config.user)
    if b not in admin.companies:
        admin.companies.append(Company(b.id))
    admin.company = a
    admin.company_filter = 'all'
    admin.save()
    config._context = User.get_preferences(True, {})

    def user(name, *groups, company=a):
        return create_user(name, *groups, company=company, config=config)

    user("Sam", "Sales")
    user("Eve", "Sales", "Order Review")
    tina = user("Tina", "Order Review")
    tom = user("Tom", "Order Review", "Sales")
    fred = user("Fred", "Order Review")
    flo = user("Flo", "Order Review")
    otto = user("Otto", "Order Review")
    olga = user("Olga", "Order Review", "Sales", company=b)
    user("Audi", "Order Review Audit")
    user(
        "Adam", "Order Review Administration", "Department Administration",
        "Sales")
    nora = user("Nora", "Order Review", "Sales")
    nora.employee = None
    del nora.employees[:]
    nora.save()
    bob = user("Bob", "Order Review", "Sales")
    bob.companies.append(Company(b.id))
    employee = Employee(party=bob.employee.party, company=b)
    employee.save()
    bob.employees.append(Employee(employee.id))
    bob.company_filter = 'all'
    bob.save()

    def department(name, *users, head, company=a):
        return create_department(
            name, *users, head=head, company=company, config=config)

    technical = department("Technical", tom, head=tina)
    finance = department("Finance", flo, head=fred)
    department("Legal", head=otto)
    others = department("Others", head=olga, company=b)
    others.members.new(employee=employee)
    others.save()
    for company, department, values in [
            (a, technical, {'stage': 1}),
            (a, finance, {'stage': 2, 'signatories': 'head'}),
            (b, others, {}),
            ]:
        create_rule(department, company=company, config=config, **values)

    product = create_product(company=a, config=config)
    create_quotation(
        product, create_customer("Acme", config=config), quote=False,
        config=config)
    create_customer("Other", config=config)


def activate_world(*modules):
    return activate_modules(
        ['sale_order_review', *modules],
        create_company, create_chart, create_world)


STATES = ['draft', 'required', 'open', 'approved', 'confirmed', 'processing']


def create_orders(state, n=1):
    "Return the ids of new orders of Sam to Acme that got as far as the state"
    steps = STATES[:STATES.index(state) + 1]
    with server('sam'):
        Sale = Pool().get('sale.sale')
        model, = Sale.search([('party.name', '=', "Acme")], limit=1, order=[
                ('id', 'ASC')])
        sales = Sale.copy([model] * n)
        ids = [s.id for s in sales]
        if 'required' in steps:
            Sale.quote(sales)
        if 'open' in steps:
            Pool().get('sale.review').submit(sales)
    if 'approved' in steps:
        for login in ['tina', 'fred']:
            with server(login):
                Signoff = Pool().get('sale.review.signoff')
                Signoff.approve(Signoff.search([
                            ('review.sale', 'in', ids),
                            ('state', '=', 'pending'),
                            ]))
    if 'confirmed' in steps:
        with server('sam', tasks='processing' in steps):
            Sale = Pool().get('sale.sale')
            Sale.confirm(Sale.browse(ids))
    return ids


def get_content():
    "Return all that could have been tampered with"
    content = {}
    with server() as transaction:
        models = {name for name, _ in Pool().iterobject()}
        cursor = transaction.connection.cursor()
        for name in [
                'company.company', 'company.day_off', 'company.department',
                'company.department.member', 'company.department.delegation',
                'ir.attachment', 'sale.amendment', 'sale.amendment.line',
                'sale.change', 'sale.change.acknowledgement', 'sale.channel',
                'sale.line', 'sale.line-account.tax', 'sale.review',
                'sale.review.decision', 'sale.review.release',
                'sale.review.rule', 'sale.review.signoff', 'sale.sale']:
            if name not in models:
                continue
            table = Pool().get(name).__table__()
            cursor.execute(*table.select(order_by=[table.id]))
            content[name] = [tuple(row) for row in cursor]
    return content
