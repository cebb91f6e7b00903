# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.pool import Pool
from trytond.tools.timezone import available_timezones
from trytond.transaction import Transaction

from .people import DEPARTMENTS, PEOPLE
from .tools import TIMEZONE, find, ref, today

COUNTRIES = {
    'NO': "Norway",
    'SE': "Sweden",
    'DK': "Denmark",
    'FI': "Finland",
    'DE': "Germany",
    'NL': "Netherlands",
    'FR': "France",
    'GB': "United Kingdom",
    'US': "United States",
    'CN': "China",
    'JP': "Japan",
    }
CURRENCIES = [
    ('NOK', "Norwegian krone", 'kr', '1'),
    ('EUR', "Euro", '€', '0.0855'),
    ('USD', "US dollar", '$', '0.0990'),
    ('SEK', "Swedish krona", 'SEK', '0.9420'),
    ('CNY', "Chinese yuan", '¥', '0.7060'),
    ]


def create():
    create_countries()
    create_currencies()
    company = create_company()
    with Transaction().set_context(company=company.id):
        employees = create_employees(company)
        create_departments(company, employees)
        create_delegation(company)
        create_users(company, employees)


def create_countries():
    pool = Pool()
    Country = pool.get('country.country')
    Subdivision = pool.get('country.subdivision')
    Country.create([
            {'code': code, 'name': name} for code, name in COUNTRIES.items()])
    norway = find('country.country', code='NO').id
    Subdivision.create([
            {'country': norway, 'code': code, 'name': name, 'type': 'county'}
            for code, name in [
                ('NO-03', "Oslo"),
                ('NO-46', "Vestland"),
                ('NO-50', "Trøndelag"),
                ('NO-55', "Troms"),
                ]])


def create_currencies():
    start = dt.date(today().year - 2, 1, 1)
    Pool().get('currency.currency').create([{
                'code': code,
                'name': name,
                'symbol': symbol,
                'rates': [('create', [
                            {'date': start, 'rate': Decimal(rate)}])],
                } for code, name, symbol, rate in CURRENCIES])


def create_company():
    pool = Pool()
    Company = pool.get('company.company')
    Party = pool.get('party.party')
    norway = find('country.country', code='NO')
    troms = find('country.subdivision', code='NO-55')
    party, = Party.create([{
                'name': "Nordlys Displays AS",
                'lang': find('ir.lang', code='en').id,
                'addresses': [('create', [{
                                'street_unstructured': "Stakkevollvegen 55",
                                'postal_code': '9010',
                                'city': "Tromsø",
                                'country': norway.id,
                                'subdivision': troms.id,
                                }])],
                'contact_mechanisms': [('create', [
                            {'type': 'phone', 'value': '+47 77 60 00 00'},
                            {'type': 'email',
                                'value': 'post@nordlys.example.com'},
                            ])],
                }])
    company, = Company.create([{
                'party': party.id,
                'currency': find('currency.currency', code='NOK').id,
                # Without a time zone database it is the one of the server
                'timezone': (
                    TIMEZONE if TIMEZONE in available_timezones() else None),
                'holiday_country': norway.id,
                'holiday_subdivision': troms.id,
                }])
    next_friday = today() + dt.timedelta(days=14 + 4 - today().weekday())
    Company.write([company], {
            'days_off': [('create', [
                        {'date': next_friday, 'name': "Stocktaking"},
                        {'date': dt.date(today().year, 12, 24),
                            'name': "Christmas Eve"},
                        ])],
            })
    return company


def create_employees(company):
    pool = Pool()
    Employee = pool.get('company.employee')
    Party = pool.get('party.party')
    names = [p.name for p in PEOPLE if p.login != 'admin']
    parties = Party.create([{'name': name} for name in names])
    employees = Employee.create([{
                'party': party.id,
                'company': company.id,
                'start_date': dt.date(today().year - 4, 8, 1),
                } for party in parties])
    return dict(zip(names, employees))


def create_departments(company, employees):
    pool = Pool()
    Department = pool.get('company.department')
    Member = pool.get('company.department.member')
    departments = {}
    heads = {p.department: p.name for p in PEOPLE if p.head}
    for department in DEPARTMENTS:
        parent = departments.get(department.parent)
        departments[department.code], = Department.create([{
                    'company': company.id,
                    'code': department.code,
                    'name': department.name,
                    'responsibility': department.responsibility,
                    'parent': parent.id if parent else None,
                    'head': employees[heads[department.code]].id,
                    }])
    Member.create([{
                'department': departments[p.department].id,
                'employee': employees[p.name].id,
                'start_date': employees[p.name].start_date,
                } for p in PEOPLE if p.department and not p.head])


def create_delegation(company):
    department = find('company.department', code='RD')
    Pool().get('company.department.delegation').create([{
                'company': company.id,
                'employee': department.head.id,
                'substitute': department.members[0].employee.id,
                'department': department.id,
                'start_date': today() - dt.timedelta(days=100),
                'end_date': today() + dt.timedelta(days=365),
                'reason': "Parental leave",
                }])


def create_users(company, employees):
    User = Pool().get('res.user')
    for person in PEOPLE:
        if not person.login:
            continue
        employee = employees.get(person.name)
        values = {
            'password': person.password,
            'language': find('ir.lang', code=person.language).id,
            'companies': [('add', [company.id])],
            'company': company.id,
            }
        if employee:
            values['employees'] = [('add', [employee.id])]
            values['employee'] = employee.id
        if person.login == 'admin':
            admin = find('res.user', login='admin')
            User.write([admin], values)
        else:
            groups = [ref(g) for g in person.groups]
            values['groups'] = [('add', groups)]
            User.create([{
                        'name': person.name, 'login': person.login, **values}])
