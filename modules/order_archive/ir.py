# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.pool import PoolMeta


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.extend([
                ('order.archive|remind', "Remind of Order Files"),
                ('order.archive|collect_due', "Collect for the Order Files"),
                ('order.archive.event|seal', "Seal the Order Archive Ledger"),
                ('order.archive.disposal|propose',
                    "Propose the Disposal of Order Files"),
                ('order.archive.disposal|complete',
                    "Complete the Disposal of Order Files"),
                ('order.archive.loan|remind',
                    "Remind of Overdue Loans of the Order Archive"),
                ('order.archive.checkpoint|make',
                    "Make Checkpoints of the Order Archive Ledger"),
                ('order.archive.verification|run',
                    "Verify the Order Archive"),
                ('sale.contract|watch', "Watch the Expiry of Contracts"),
                ])
