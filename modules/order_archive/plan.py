# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import (
    DeactivableMixin, MatchMixin, ModelSQL, ModelView, fields,
    sequence_ordered, tree)


class Kind(DeactivableMixin, sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'order.archive.kind'

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True, translate=True)
    company = fields.Many2One(
        'company.company', "Company", ondelete='RESTRICT',
        help="Leave empty for all companies.")
    confidential = fields.Boolean("Confidential")


class Class(
        DeactivableMixin, tree(separator=' / '), MatchMixin,
        sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'order.archive.class'

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True, translate=True)
    company = fields.Many2One(
        'company.company', "Company", ondelete='RESTRICT',
        help="Leave empty for all companies.")
    parent = fields.Many2One(
        'order.archive.class', "Parent", ondelete='RESTRICT')
    children = fields.One2Many(
        'order.archive.class', 'parent', "Children")
    confidential = fields.Boolean("Confidential")
    requirements = fields.One2Many(
        'order.archive.requirement', 'class_', "Requirements")


class Requirement(sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'order.archive.requirement'

    class_ = fields.Many2One(
        'order.archive.class', "Class", required=True, ondelete='CASCADE')
    kind = fields.Many2One(
        'order.archive.kind', "Kind", required=True, ondelete='RESTRICT')
    condition = fields.Selection([
            ('always', "Always"),
            ], "Condition", required=True, sort=False)
    number = fields.Integer("Number", required=True)
    waivable = fields.Boolean("Waivable")
