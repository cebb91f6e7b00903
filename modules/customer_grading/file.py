# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import ModelSQL, ModelView, Unique, Workflow, fields
from trytond.pyson import Eval
from trytond.transaction import Transaction


class File(Workflow, ModelSQL, ModelView):
    __name__ = 'customer.file'


    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='CASCADE',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    party = fields.Many2One(
        'party.party', "Party", required=True, ondelete='RESTRICT',
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    state = fields.Selection([
            ('draft', "Draft"),
            ('investigated', "Investigated"),
            ('approved', "Approved"),
            ('suspended', "Suspended"),
            ], "State", readonly=True, required=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.append(
            ('party_company_unique', Unique(t, t.party, t.company),
                'customer_grading.msg_file_unique'))

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_state(cls):
        return 'draft'
