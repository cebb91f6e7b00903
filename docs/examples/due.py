# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from sql import Literal, Null

from trytond.pool import Pool, PoolMeta


class Due(metaclass=PoolMeta):
    __name__ = 'customer.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection.append(('delivery', "Delivery"))

    @classmethod
    def _get_origins(cls):
        return super()._get_origins() + ['sale.sale']

    @classmethod
    def _due_delivery(cls):
        sale = Pool().get('sale.sale').__table__()
        return sale.select(
            sale.id.as_('id'),
            sale.company.as_('company'),
            sale.party.as_('party'),
            sale.shipping_date.as_('due_date'),
            Literal(None).as_('employee'),
            cls._origin('sale.sale', sale.id).as_('origin'),
            where=(sale.state == 'processing')
            & (sale.shipping_date != Null))
