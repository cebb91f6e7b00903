# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What the tests of the customers have in common"
import datetime as dt
from decimal import Decimal

from trytond.pool import Pool

from .review import as_user, employee, get, get_company

TODAY = dt.date.today()


def create_file(party, company=None, **values):
    "Create the file of the customer with all that a company asks for"
    pool = Pool()
    File = pool.get('customer.file')
    Party = pool.get('party.party')
    if isinstance(party, str):
        party, = Party.create([{
                    'name': party,
                    'addresses': [('create', [{'city': "Ghent"}])],
                    'contact_mechanisms': [('create', [{
                                    'type': 'phone',
                                    'value': "+32 9 210 00 00",
                                    }])],
                    }])
    file, = File.create([{
                'company': (company or get_company()).id,
                'party': party.id,
                'industry': get('customer.industry', "Manufacturing").id,
                'size': 'medium',
                'buying_power': Decimal(100000),
                'market': 'domestic',
                'needs': "Screens",
                'contact': "Carla",
                **values,
                }])
    return file


def create_investigation(file, investigator=None, done=True, **values):
    pool = Pool()
    Investigation = pool.get('customer.credit.investigation')
    investigation, = Investigation.create([{
                'file': file.id,
                'date': TODAY,
                'investigator': (
                    employee(investigator).id if investigator else None),
                'background': "Family business",
                'sources': "Register",
                'conclusion': "Sound",
                'valid_until': TODAY + dt.timedelta(days=365),
                **values,
                }])
    if done:
        if investigator:
            with as_user(investigator):
                Investigation.do([Investigation(investigation.id)])
        else:
            Investigation.do([investigation])
    return Investigation(investigation.id)


def approve_file(file, investigator, approver):
    pool = Pool()
    File = pool.get('customer.file')
    create_investigation(file, investigator)
    with as_user(investigator):
        File.investigate([File(file.id)])
    with as_user(approver):
        File.approve([File(file.id)])
    return File(file.id)
