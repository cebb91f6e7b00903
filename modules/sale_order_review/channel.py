# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, fields, sequence_ordered)
from trytond.pyson import Eval


class Channel(sequence_ordered(), DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'sale.channel'

    name = fields.Char("Name", required=True, translate=True)
    online = fields.Boolean(
        "On-line",
        help="Check if orders come in by themselves and the handlers must be "
        "told.")
    handlers = fields.Many2Many(
        'sale.channel-company.employee', 'channel', 'employee', "Handlers",
        states={
            'invisible': ~Eval('online', False),
            },
        help="The employees who are notified of an order that somebody else "
        "created through the channel.")


class ChannelEmployee(ModelSQL):
    __name__ = 'sale.channel-company.employee'

    channel = fields.Many2One(
        'sale.channel', "Channel", required=True, ondelete='CASCADE')
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, ondelete='CASCADE')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.channel, Index.Equality())),
                Index(t, (t.employee, Index.Equality())),
                })
