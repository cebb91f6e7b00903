# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import (
    DeactivableMixin, ModelSQL, ModelView, Unique, fields, sequence_ordered)

AXES = [
    ('class', "Class"),
    ('level', "Level"),
    ('credit', "Credit"),
    ]


class GradingGrade(
        sequence_ordered('rank', "Rank"), DeactivableMixin, ModelSQL,
        ModelView):
    "A grade that customers can have, the same for all companies"
    __name__ = 'customer.grading.grade'
    _rec_name = 'code'

    axis = fields.Selection(
        AXES, "Axis", required=True, sort=False,
        help="What the grade tells of a customer.")
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True, translate=True)
    description = fields.Text("Description", translate=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order.insert(0, ('axis', 'ASC'))
        cls._sql_constraints.append(
            ('axis_code_unique', Unique(t, t.axis, t.code),
                'customer_grading.msg_grading_grade_unique'))
