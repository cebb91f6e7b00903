# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import json
from itertools import count

from trytond.model.exceptions import AccessError
from trytond.modules.company.tests.tools import create_company
from trytond.modules.order_archive.verify import (
    GENESIS, Tree, entry_hash, leaf_hash)
from trytond.pool import Pool
from trytond.tests.test_tryton import TestCase, drop_db
from trytond.tests.tools import activate_modules
from trytond.transaction import Transaction

from .review import count_queries, get_company, with_company


class Record:
    "What evidence looks like to the ledger"
    archive = None
    _ids = count(1)

    def __init__(self, company=None, **values):
        self.id = next(self._ids)
        self.company = company or get_company()
        self.values = values

    def __str__(self):
        return f'test.record,{self.id}'

    def ledger_values(self):
        return self.values


class LedgerTestCase(TestCase):
    "Tests with the ledger of one company"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_modules('order_archive', create_company)
        cls.addClassCleanup(drop_db)


def create_other():
    "Create another company"
    pool = Pool()
    Company = pool.get('company.company')
    Party = pool.get('party.party')
    party, = Party.create([{'name': "Other"}])
    company, = Company.create([{
                'party': party.id,
                'currency': get_company().currency.id,
                }])
    return company


def seal(number=1, **values):
    "Record and seal entries"
    pool = Pool()
    Event = pool.get('order.archive.event')
    Chain = pool.get('order.archive.chain')
    Chain.lock()
    events = Event.record(
        'create', [Record(number=i, **values) for i in range(number)])
    Event.seal()
    return Event.browse([e.id for e in events])


class SealTestCase(LedgerTestCase):
    "Test the ledger and its chain"

    @with_company
    def test_record(self):
        "Test an event tells what, who and when"
        pool = Pool()
        Event = pool.get('order.archive.event')
        one, two = Record(name="触摸屏", size=1), Record(name=None)
        events = Event.record(
            'create', [one, two], {two: {'reason': "Lost"}})
        self.assertEqual(
            [(e.resource, e.action, e.archive, e.sequence, e.hash)
                for e in events],
            [(str(r), 'create', None, None, None) for r in [one, two]])
        content = json.loads(events[0].content)
        self.assertTrue(content.pop('at').endswith('+00:00'))
        self.assertEqual(content, {
                'action': 'create',
                'details': {},
                'employee': None,
                'format': 1,
                'resource': str(one),
                'user': 'admin',
                'values': {'name': "触摸屏", 'size': 1},
                })
        self.assertIn("触摸屏", events[0].content)
        self.assertEqual(
            json.loads(events[1].content)['details'], {'reason': "Lost"})

    @with_company
    def test_seal(self):
        "Test each entry holds the hash of the one before"
        events = seal(3)
        self.assertEqual([e.sequence for e in events], [1, 2, 3])
        previous = GENESIS
        for event in events:
            self.assertEqual(event.previous, previous)
            self.assertEqual(event.hash, entry_hash([
                        1, event.company.id, event.sequence, previous,
                        event.sealed_at, None, event.resource, 'create',
                        event.content]))
            previous = event.hash
        Chain = Pool().get('order.archive.chain')
        chain, = Chain.search([])
        self.assertEqual((chain.length, chain.hash), (3, previous))
        event, = seal()
        self.assertEqual((event.sequence, event.previous), (4, previous))

    @with_company
    def test_denied(self):
        "Test nobody changes the ledger"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Chain = pool.get('order.archive.chain')
        event, = seal()
        chain, = Chain.search([])
        other = create_other()
        for record, values in [
                (event, {'content': '{}'}), (event, {'sequence': None}),
                (chain, {'length': 0})]:
            with self.assertRaises(AccessError):
                type(record).write([record], values)
            with self.assertRaises(AccessError):
                type(record).delete([record])
        for Model, values in [
                (Event, {'resource': 'a,1', 'action': 'a', 'content': '{}',
                        'format': 1}),
                (Chain, {'length': 1, 'hash': GENESIS})]:
            with self.assertRaises(AccessError):
                Model.create([{'company': other.id, **values}])

    @with_company
    def test_queue(self):
        "Test a transaction seals what it records by one task"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Queue = pool.get('ir.queue')
        for _ in range(3):
            Event.record('create', [Record()])
        task, = Queue.search([('name', '=', 'default')])
        self.assertEqual(
            (task.data['model'], task.data['method']),
            ('order.archive.event', 'seal_later'))

    @with_company
    def test_queries(self):
        "Test the number of queries does not depend on that of the events"
        pool = Pool()
        Event = pool.get('order.archive.event')
        numbers = set()
        for number in [10, 100]:
            records = [Record() for _ in range(number)]
            with count_queries() as queries:
                Event.record('create', records)
            numbers.add(sum(not q.startswith('INSERT') for q in queries))
        # Those of the first time are cached
        self.assertLess(max(numbers), 20)


