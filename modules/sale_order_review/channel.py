# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import (
    DeactivableMixin, ModelSQL, ModelView, fields, sequence_ordered)


class Channel(sequence_ordered(), DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'sale.channel'

    name = fields.Char("Name", required=True, translate=True)
