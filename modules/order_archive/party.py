# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.pool import Pool, PoolMeta
from trytond.transaction import without_check_access

from .event import forget


class Replace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('order.archive', 'party'),
            ]

    def transition_replace(self):
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        with without_check_access():
            archives = Archive.search([('party', '=', self.ask.source.id)])
        result = super().transition_replace()
        forget(Archive)
        with without_check_access():
            Event.record('replace', Archive.browse(archives))
        return result
