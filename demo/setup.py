# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import logging
import sys

from trytond import backend
from trytond.pool import Pool
from trytond.transaction import Transaction

from . import (
    accounting, archive, company, contracts, grading, parties, products,
    review)
from .server import NAME
from .tools import run

MODULES = [
    'account_dunning',
    'account_invoice_stock',
    'company_department',
    'customer_grading',
    'dashboard',
    'order_archive',
    'production',
    'purchase',
    'sale_amendment',
    'sale_complaint',
    'sale_history',
    'sale_order_review',
    'sale_supply_production',
    ]
LANGUAGES = ['en', 'zh_CN']
STEPS = [
    ("Activating the modules", lambda: activate()),
    ("Creating the company, its departments and users",
        lambda: run(company.create)),
    ("Setting up the accounts, taxes and payment terms",
        lambda: run(accounting.create)),
    ("Creating products and their stock", lambda: run(products.create)),
    ("Creating customers and suppliers", lambda: run(parties.create)),
    ("Setting up the review rules", lambda: run(review.create_rules)),
    ("Taking the orders of the last months", review.create_history),
    ("Reviewing the orders of these days", review.create_current),
    ("Grading the customers", grading.create),
    ("Archiving the orders", archive.create),
    ("Registering contracts", contracts.create),
    ]


class ModuleProgress(logging.Handler):
    "Show the module that is being activated on a terminal"

    def emit(self, record):
        # Models are registered and files are loaded module by module
        module = str(record.args[0]) if record.args else ''
        if record.msg == '%s load':
            print(f'\r\033[K    {module}', end='', flush=True)
        elif record.msg.startswith('all modules'):
            print('\r\033[K', end='', flush=True)


def activate():
    with Transaction().start(None, 0, close=True, autocommit=True) as t:
        t.database.create(t.connection, NAME)
    backend.Database(NAME).connect().init()
    Pool(NAME).init(
        update=['ir', 'res', *MODULES], lang=LANGUAGES, activatedeps=True)
    run(configure)


def configure():
    pool = Pool()
    Configuration = pool.get('ir.configuration')
    Lang = pool.get('ir.lang')
    WizardItem = pool.get('ir.module.config_wizard.item')
    Configuration.write([Configuration(1)], {'language': 'en'})
    Lang.write(
        Lang.search([('code', 'in', LANGUAGES)]), {'translatable': True})
    WizardItem.write(WizardItem.search([]), {'state': 'done'})


def create():
    for i, (title, step) in enumerate(STEPS, 1):
        print(f"[{i}/{len(STEPS)}] {title} ...", flush=True)
        step()


def update():
    print("The modules have changed, updating the database ...", flush=True)
    Pool(NAME).init(
        update=MODULES, lang=LANGUAGES, activatedeps=True)


if __name__ == '__main__':
    if sys.stdout.isatty():
        logger = logging.getLogger('trytond.modules')
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(ModuleProgress())
    {'create': create, 'update': update}[sys.argv[1]]()
