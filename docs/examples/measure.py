# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.modules.sale_order_review.measure import known
from trytond.pool import PoolMeta


class Point(metaclass=PoolMeta):
    __name__ = 'sale.review.checklist.point'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.measure.selection.append(('lines', "Number of Lines"))


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    @classmethod
    def _get_review_measure_lines(cls, sales):
        measures = {}
        for sale in sales:
            number = len(sale.lines)
            measures[sale] = known(
                None, str(number), negative=number > 100)
        return measures
