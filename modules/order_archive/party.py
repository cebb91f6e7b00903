# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.pool import PoolMeta


class Replace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('order.archive', 'party'),
            ]
