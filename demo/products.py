# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.pool import Pool
from trytond.transaction import Transaction

from .tools import find, ref, today

CATEGORIES = [
    "Touch Screens", "Panel Computers", "Industrial Panels",
    "Outdoor Displays", "Accessories", "Components", "Services"]

# code, name, category, list price, cost price, quantity in stock
STOCKED = [
    ('TS-10', "Touch screen 10\"", "Touch Screens", 3200, 1750, 400),
    ('TS-15', "Touch screen 15\"", "Touch Screens", 4900, 2700, 300),
    ('TS-21', "Touch screen 21\"", "Touch Screens", 7400, 4300, 200),
    ('PC-12', "Panel computer 12\"", "Panel Computers", 11900, 7200, 120),
    ('PC-15', "Panel computer 15\"", "Panel Computers", 14800, 9100, 80),
    ('MK-01', "Mounting kit", "Accessories", 890, 410, 900),
    ('CS-05', "Cable set, 5 m", "Accessories", 390, 150, 1200),
    ]
MADE_TO_ORDER = [
    ('IP-24', "Industrial panel 24\"", "Industrial Panels", 24500, 15200),
    ('IP-32', "Industrial panel 32\", IP66", "Industrial Panels",
        38900, 24800),
    ('OD-55', "Outdoor display 55\"", "Outdoor Displays", 67500, 43000),
    ]
CUSTOMISED = [
    ('CP-00', "Operator panel to customer's design", "Industrial Panels",
        52000, 35500),
    ('CK-00', "Ticket kiosk to customer's design", "Outdoor Displays",
        118000, 82000),
    ]
COMPONENTS = [
    ('C-LCD', "LCD module", "Components", 6800, 120),
    ('C-CTL', "Touch controller board", "Components", 1450, 200),
    ('C-HSG', "Housing, powder-coated", "Components", 3900, 90),
    ]
SERVICES = [
    ('SV-IN', "Installation, per day", 9600, 5200),
    ('SV-WA', "Extended warranty, per device", 1900, 600),
    ]


def create():
    create_categories()
    for code, name, category, price, cost, _ in STOCKED:
        create_product(
            code, name, category, price, cost, purchasable=True, days=3)
    for code, name, category, cost, _ in COMPONENTS:
        create_product(
            code, name, category, cost, cost, salable=False, purchasable=True)
    for code, name, category, price, cost in MADE_TO_ORDER:
        create_product(
            code, name, category, price, cost, producible=True, days=30)
    for code, name, category, price, cost in CUSTOMISED:
        create_product(
            code, name, category, price, cost, producible=True, days=60,
            customised=True)
    for code, name, price, cost in SERVICES:
        create_product(
            code, name, "Services", price, cost, type='service', days=14)
    create_boms()
    create_stock()


def create_categories():
    Pool().get('product.category').create(
        [{'name': name} for name in CATEGORIES])


def create_product(
        code, name, category, price, cost, type='goods', days=None, **values):
    Template = Pool().get('product.template')
    accounting = "Services" if type == 'service' else "Goods"
    unit = ref('product.uom_unit')
    values.setdefault('salable', True)
    if values['salable']:
        values['sale_uom'] = unit
        values['lead_time'] = dt.timedelta(days=days)
    if values.get('purchasable'):
        values['purchase_uom'] = unit
    if values.get('producible') and not values.get('customised'):
        values['supply_on_sale'] = 'always'
    template, = Template.create([{
                'name': name,
                'code': code,
                'type': type,
                'default_uom': unit,
                'list_price': Decimal(price),
                'categories': [
                    ('add', [find('product.category', name=category).id])],
                'account_category': find(
                    'product.category', name=f"{accounting} (accounting)").id,
                'products': [('create', [{'cost_price': Decimal(cost)}])],
                **values}])
    return template


def create_boms():
    pool = Pool()
    BOM = pool.get('production.bom')
    Product = pool.get('product.product')
    unit = ref('product.uom_unit')
    for code, name, *_ in MADE_TO_ORDER:
        product = find('product.product', code=code)
        bom, = BOM.create([{
                    'name': name,
                    'inputs': [('create', [{
                                    'product': find(
                                        'product.product', code=component).id,
                                    'quantity': quantity,
                                    'unit': unit,
                                    } for component, quantity in [
                                ('C-LCD', 1), ('C-CTL', 2), ('C-HSG', 1)]])],
                    'outputs': [('create', [{
                                    'product': product.id,
                                    'quantity': 1,
                                    'unit': unit,
                                    }])],
                    }])
        Product.write([product], {
                'boms': [('create', [{'bom': bom.id}])],
                'production_lead_times': [('create', [{
                                'bom': bom.id,
                                'lead_time': dt.timedelta(days=20),
                                }])],
                })


def create_stock():
    Inventory = Pool().get('stock.inventory')
    quantities = [(p[0], p[-1]) for p in STOCKED + COMPONENTS]
    inventory, = Inventory.create([{
                'location': ref('stock.location_storage'),
                'company': Transaction().context['company'],
                # Before the first order of the demo
                'date': today() - dt.timedelta(days=200),
                'lines': [('create', [{
                                'product': find(
                                    'product.product', code=code).id,
                                'quantity': quantity,
                                } for code, quantity in quantities])],
                }])
    Inventory.confirm([inventory])
