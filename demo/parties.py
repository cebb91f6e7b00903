# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.pool import Pool
from trytond.transaction import Transaction

from .products import COMPONENTS
from .tools import find

CATEGORIES = [
    "Key Account", "Regular Customer", "Distributor", "Public Sector",
    "New Customer", "Supplier"]

# name, category, country, city, postal code, street, currency
CUSTOMERS = [
    ("Havbris Offshore AS", "Key Account",
        'NO', "Stavanger", '4006', "Strandkaien 12", 'NOK'),
    ("Fjordlinja Ferger AS", "Key Account",
        'NO', "Bergen", '5003', "Bradbenken 4", 'NOK'),
    ("Polarmat Foods AS", "Key Account",
        'NO', "Bodø", '8006', "Sjøgata 21", 'NOK'),
    ("Varde Elektro AS", "Regular Customer",
        'NO', "Oslo", '0484', "Nydalsveien 30", 'NOK'),
    ("Granli Sagbruk AS", "Regular Customer",
        'NO', "Elverum", '2406', "Vestheimgata 8", 'NOK'),
    ("Lofotfisk Eksport AS", "Regular Customer",
        'NO', "Svolvær", '8300', "Torget 3", 'NOK'),
    ("Midnattsol Hotell AS", "Regular Customer",
        'NO', "Tromsø", '9008', "Storgata 90", 'NOK'),
    ("Trønder Maskin AS", "Regular Customer",
        'NO', "Trondheim", '7010', "Kjøpmannsgata 52", 'NOK'),
    ("Sørlandet Sykehus Innkjøp", "Public Sector",
        'NO', "Kristiansand", '4615', "Egsveien 100", 'NOK'),
    ("Tromsø Parkering KF", "Public Sector",
        'NO', "Tromsø", '9008', "Rådhusgata 2", 'NOK'),
    ("Vestland Kollektiv", "Public Sector",
        'NO', "Bergen", '5015', "Agnes Mowinckels gate 5", 'NOK'),
    ("Jærbu Robotikk AS", "New Customer",
        'NO', "Bryne", '4340', "Arne Garborgs veg 30", 'NOK'),
    ("Skärgård Marin AB", "Distributor",
        'SE', "Göteborg", '411 04', "Packhusplatsen 2", 'SEK'),
    ("Norrsken Automation AB", "Regular Customer",
        'SE', "Luleå", '972 38', "Storgatan 40", 'SEK'),
    ("Øresund Displays A/S", "Distributor",
        'DK', "København", '2100', "Strandboulevarden 89", 'EUR'),
    ("Saimaa Paperikone Oy", "Regular Customer",
        'FI', "Lappeenranta", '53100', "Valtakatu 44", 'EUR'),
    ("Elbe Anlagenbau GmbH", "Key Account",
        'DE', "Hamburg", '20457', "Am Sandtorkai 50", 'EUR'),
    ("Schwarzwald Messtechnik GmbH", "Regular Customer",
        'DE', "Freiburg", '79098', "Salzstraße 11", 'EUR'),
    ("Polder Pompen B.V.", "Regular Customer",
        'NL', "Rotterdam", '3011', "Boompjes 60", 'EUR'),
    ("Atelier des Quais SARL", "New Customer",
        'FR', "Nantes", '44000', "Quai de la Fosse 18", 'EUR'),
    ("Thames Kiosk Systems Ltd", "Distributor",
        'GB', "London", 'SE1 9PD', "Bankside 45", 'EUR'),
    ("Great Lakes Terminals Inc.", "New Customer",
        'US', "Duluth, MN", '55802', "215 Canal Park Drive", 'USD'),
    ("Ningbo Haitian Port Equipment Co., Ltd.", "Key Account",
        'CN', "Ningbo", '315000', "Zhongshan East Road 1800", 'CNY'),
    ("Hokkaido Ferry K.K.", "New Customer",
        'JP', "Sapporo", '060-0001', "Kita 1 Nishi 4", 'USD'),
    ]
SUPPLIERS = [
    ("Shenzhen Mingyuan Optronics Co., Ltd.",
        'CN', "Shenzhen", '518000', "Keji South Road 12", 'C-LCD'),
    ("Nordisk Kretskort AS",
        'NO', "Horten", '3183', "Industrigata 7", 'C-CTL'),
    ("Rhein Gehäusebau GmbH",
        'DE', "Köln", '50679', "Siegburger Straße 30", 'C-HSG'),
    ]


def create():
    Category = Pool().get('party.category')
    Category.create([{'name': name} for name in CATEGORIES])
    create_customers()
    create_suppliers()


def create_customers():
    domestic = find('account.invoice.payment_term', name="Net 30 days").id
    abroad = find(
        'account.invoice.payment_term',
        name="30% in advance, rest in 30 days").id
    export = find('account.tax.rule', name="Abroad").id
    customers = []
    for name, category, country, *address, currency in CUSTOMERS:
        customer = party_values(name, category, country, *address)
        customer['customer_currency'] = find(
            'currency.currency', code=currency).id
        customer['customer_payment_term'] = domestic
        if country != 'NO':
            customer['customer_tax_rule'] = export
            if category != "Key Account":
                customer['customer_payment_term'] = abroad
        customers.append(customer)
    Pool().get('party.party').create(customers)


def create_suppliers():
    pool = Pool()
    Party = pool.get('party.party')
    ProductSupplier = pool.get('purchase.product_supplier')
    parties = Party.create([
            party_values(name, "Supplier", *address)
            for name, *address, _ in SUPPLIERS])
    costs = {code: cost for code, _, _, cost, _ in COMPONENTS}
    ProductSupplier.create([{
                'template': find('product.template', code=code).id,
                'party': party.id,
                'company': Transaction().context['company'],
                'currency': find('currency.currency', code='NOK').id,
                'lead_time': dt.timedelta(days=21),
                'prices': [('create', [{
                                'quantity': 1,
                                'unit_price': Decimal(costs[code]),
                                }])],
                } for party, (*_, code) in zip(parties, SUPPLIERS)])


def party_values(name, category, country, city, postal_code, street):
    domain = ''.join(c for c in name.split()[0].lower() if c.isascii())
    return {
        'name': name,
        'categories': [
            ('add', [find('party.category', name=category).id])],
        'addresses': [('create', [{
                        'street_unstructured': street,
                        'postal_code': postal_code,
                        'city': city,
                        'country': find('country.country', code=country).id,
                        }])],
        'contact_mechanisms': [('create', [{
                        'type': 'email',
                        'value': f'purchasing@{domain}.example.com',
                        'name': "Purchasing",
                        }])],
        }
