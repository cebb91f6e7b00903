# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.pool import PoolMeta


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.extend([
                ('order.archive|collect_due', "Collect for the Order Files"),
                ('order.archive.event|seal', "Seal the Order Archive Ledger"),
                ('sale.contract|watch', "Watch the Expiry of Contracts"),
                ])
