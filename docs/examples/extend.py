# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    export_licence = fields.Char(
        "Export Licence",
        states={
            'readonly': Eval('state') != 'draft',
            })

    @classmethod
    def review_aspects(cls):
        aspects = super().review_aspects()
        aspects['export'] = {cls.__name__: {'export_licence'}}
        return aspects

    @classmethod
    def _get_review_warehouse(cls, sales):
        return {s: s.warehouse.id if s.warehouse else None for s in sales}


class Rule(metaclass=PoolMeta):
    __name__ = 'sale.review.rule'

    warehouse = fields.Many2One(
        'stock.location', "Warehouse",
        domain=[
            ('type', '=', 'warehouse'),
            ])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.aspects.selection.append(('export', "Export"))

    @classmethod
    def criteria(cls):
        return {**super().criteria(), 'warehouse': 'warehouse'}
