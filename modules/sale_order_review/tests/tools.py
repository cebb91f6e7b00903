# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from decimal import Decimal

from proteus import Model, Wizard
from trytond.modules.account.tests.tools import get_accounts
from trytond.modules.company.tests.tools import get_company

__all__ = [
    'create_product', 'create_customer', 'create_rule', 'create_quotation',
    'get_signoff', 'submit_amendment', 'submit_review']


def create_product(
        name="Touch Screen", list_price=Decimal(1000), cost_price=Decimal(600),
        company=None, config=None):
    "Create a product that can be sold"
    Category = Model.get('product.category', config=config)
    Template = Model.get('product.template', config=config)
    Uom = Model.get('product.uom', config=config)

    accounts = get_accounts(company, config=config)
    category = Category(name=name, accounting=True)
    category.account_expense = accounts['expense']
    category.account_revenue = accounts['revenue']
    category.save()
    unit, = Uom.find([('name', '=', "Unit")])
    template = Template(name=name, type='goods', salable=True)
    template.default_uom = unit
    template.list_price = list_price
    template.account_category = category
    product, = template.products
    product.cost_price = cost_price
    template.save()
    return template.products[0]


def create_customer(name="Customer", country=None, config=None):
    Party = Model.get('party.party', config=config)
    party = Party(name=name)
    address, = party.addresses
    address.country = country
    party.save()
    return party


def create_rule(department, company=None, config=None, **values):
    """Create a rule by which the department must sign all sales

    values set or narrow it."""
    Rule = Model.get('sale.review.rule', config=config)

    if not company:
        company = get_company(config=config)
    rule = Rule(company=company, department=department)
    rule.name = values.pop('name', department.name)
    for name, value in values.items():
        setattr(rule, name, value)
    rule.save()
    return rule


def create_quotation(
        product, customer, quantity=10, unit_price=None, quote=True,
        config=None):
    "Create a sale of the product to the customer and quote it"
    Sale = Model.get('sale.sale', config=config)

    sale = Sale(party=customer)
    line = sale.lines.new(product=product)
    line.quantity = quantity
    if unit_price is not None:
        line.unit_price = unit_price
    sale.save()
    if quote:
        sale.click('quote')
    return sale


def submit_review(*sales):
    "Submit the sales for review"
    submit = Wizard('sale.sale.submit_review', list(sales))
    submit.execute('submit')
    for sale in sales:
        sale.reload()


def submit_amendment(amendment):
    "Submit the amendment for review"
    submit = Wizard('sale.amendment.submit_review', [amendment])
    submit.execute('submit')
    amendment.reload()


def get_signoff(record, department):
    """Return the sign-off of the department in the last round of the sale or
    the amendment"""
    Signoff = Model.get('sale.review.signoff', config=record._config)

    signoff, = Signoff.find([
            ('review.origin', '=', str(record)),
            ('department', '=', department.id),
            ], order=[('review.round', 'DESC')], limit=1)
    return signoff
