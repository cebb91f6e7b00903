# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval


class Template(metaclass=PoolMeta):
    __name__ = 'product.template'

    customised = fields.Boolean(
        "Customised", loading='lazy',
        states={
            'invisible': ~Eval('salable', False),
            },
        help="Check if the product is designed for the customer.")
