# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from sql import Null

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If

from .exceptions import RequirementError
from .review import _get_employees

_CONFIRMATION = {'confirmed_by', 'confirmed_at'}


class ReviewedMixin:
    """What belongs to a sale: its fields that belong to an aspect are frozen
    with those of the sale"""
    __slots__ = ()

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        pool = Pool()
        Sale = pool.get('sale.sale')
        super().check_modification(
            mode, records, values=values, external=external)
        if not external:
            return
        sales = {r.sale for r in records}
        Sale._check_history(sales)
        names = Sale.get_review_fields()[cls.__name__]
        if mode == 'write':
            if values.get('sale'):
                sales.add(Sale(values['sale']))
            else:
                names = names & values.keys()
        Sale._lock_review(sales)
        Sale.check_review_frozen(sales, names, model=cls.__name__)


class Requirement(ReviewedMixin, ModelSQL, ModelView):
    __name__ = 'sale.requirement'
    _rec_name = 'text'

    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, ondelete='CASCADE',
        states={
            'readonly': (
                ~Eval('sale_state').in_(['draft', None])
                | (Bool(Eval('confirmed_at')) & Bool(Eval('sale')))),
            })
    sale_state = fields.Function(
        fields.Selection('get_sale_states', "Sale State"),
        'on_change_with_sale_state')
    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_company')
    kind = fields.Selection([
            ('stated', "Stated"),
            ('implied', "Implied"),
            ('statutory', "Statutory"),
            ('own', "Own"),
            ], "Kind", required=True, sort=False,
        help="Stated: by the customer, also on what comes before and after "
        "the delivery.\n"
        "Implied: not stated but needed for the intended use.\n"
        "Statutory: by law, regulations or certification.\n"
        "Own: by the company itself.")
    text = fields.Text("Requirement", required=True)
    source = fields.Char(
        "Source",
        help="Where the requirement comes from, for instance the document or "
        "the person.")
    oral = fields.Boolean(
        "Oral",
        help="Check if it was only said and must be confirmed.")
    confirmed_how = fields.Selection([
            (None, ""),
            ('telephone', "Telephone"),
            ('email', "E-Mail"),
            ('letter', "Letter"),
            ('meeting', "Meeting"),
            ('other', "Other"),
            ], "Confirmed How", sort=False,
        states={
            'invisible': ~Eval('oral', False),
            'readonly': Bool(Eval('confirmed_at')),
            },
        help="The means by which the requirement was confirmed.")
    confirmed_with = fields.Char(
        "Confirmed With",
        states={
            'invisible': ~Eval('oral', False),
            'readonly': Bool(Eval('confirmed_at')),
            },
        help="The person of the customer who confirmed the requirement.")
    confirmed_by = fields.Many2One(
        'company.employee', "Confirmed By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('oral', False),
            },
        help="The employee who obtained the confirmation.")
    confirmed_at = fields.DateTime(
        "Confirmed At", readonly=True,
        states={
            'invisible': ~Eval('oral', False),
            })
    unconfirmed = fields.Function(
        fields.Boolean("Unconfirmed"),
        'get_unconfirmed', searcher='search_unconfirmed')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        for name in ['kind', 'text', 'source', 'oral']:
            field = getattr(cls, name)
            field.states['readonly'] = (
                ~Eval('sale_state').in_(['draft', None])
                | Bool(Eval('confirmed_at')))
        cls._sql_indexes.update({
                Index(t, (t.sale, Index.Equality())),
                Index(
                    t, (t.sale, Index.Equality()),
                    where=(t.oral == True) & (t.confirmed_at == Null)),
                })
        cls._order = [('id', 'ASC')]
        cls._buttons.update({
                'confirm': {
                    'invisible': (
                        ~Eval('oral', False) | Bool(Eval('confirmed_at'))),
                    'icon': 'tryton-ok',
                    'depends': ['oral', 'confirmed_at'],
                    },
                })

    @classmethod
    def default_kind(cls):
        return 'stated'

    @classmethod
    def get_sale_states(cls):
        pool = Pool()
        Sale = pool.get('sale.sale')
        return Sale.fields_get(['state'])['state']['selection']

    @fields.depends('sale', '_parent_sale.state')
    def on_change_with_sale_state(self, name=None):
        return self.sale.state if self.sale else None

    @fields.depends('sale', '_parent_sale.company')
    def on_change_with_company(self, name=None):
        return self.sale.company if self.sale else None

    @classmethod
    def search_company(cls, name, clause):
        return [('sale.' + clause[0], *clause[1:])]

    @classmethod
    def get_unconfirmed(cls, requirements, name):
        return {
            r.id: bool(r.oral and not r.confirmed_at) for r in requirements}

    @classmethod
    def search_unconfirmed(cls, name, clause):
        _, operator, value = clause
        if (operator == '=' and value) or (operator == '!=' and not value):
            return [('oral', '=', True), ('confirmed_at', '=', None)]
        return ['OR', ('oral', '!=', True), ('confirmed_at', '!=', None)]

    def get_rec_name(self, name):
        return self.text.split('\n')[0]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('unconfirmed', False), 'warning', ''),
                ['unconfirmed']),
            ]

    @classmethod
    def copy(cls, requirements, default=None):
        default = default.copy() if default is not None else {}
        for name in [*_CONFIRMATION, 'confirmed_how', 'confirmed_with']:
            default[name] = None
        return super().copy(requirements, default=default)

    @classmethod
    def check_modification(
            cls, mode, requirements, values=None, external=False):
        super().check_modification(
            mode, requirements, values=values, external=external)
        if not external:
            return
        for requirement in requirements:
            if mode == 'create':
                forbidden = requirement.confirmed_by, requirement.confirmed_at
            elif mode == 'write':
                forbidden = (
                    requirement.confirmed_at, values.keys() & _CONFIRMATION)
            else:
                # What is only deleted can be entered and confirmed again
                continue
            if any(forbidden):
                raise AccessError(gettext(
                        'sale_order_review.msg_requirement_confirmed',
                        requirement=requirement.rec_name,
                        sale=requirement.sale.rec_name))

    @classmethod
    @ModelView.button
    def confirm(cls, requirements):
        "Record that the oral requirements have been confirmed"
        to_write = {}
        employees = _get_employees({r.sale.company for r in requirements})
        for requirement in requirements:
            sale = requirement.sale
            problem = None
            employee = employees[sale.company]
            if not requirement.oral or requirement.confirmed_at:
                problem = 'msg_requirement_confirm_oral'
            elif sale.state not in {'draft', 'quotation'}:
                problem = 'msg_requirement_confirm_state'
            elif not (requirement.confirmed_how
                    and (requirement.confirmed_with or '').strip()):
                problem = 'msg_requirement_confirm_how'
            elif not employee:
                problem = 'msg_requirement_confirm_employee'
            if problem:
                raise RequirementError(gettext(
                        f'sale_order_review.{problem}',
                        requirement=requirement.rec_name,
                        sale=sale.rec_name,
                        company=sale.company.rec_name))
            to_write.setdefault(employee, []).append(requirement)
        now = dt.datetime.now()
        for employee, requirements in to_write.items():
            cls.write(requirements, {
                    'confirmed_by': employee.id,
                    'confirmed_at': now,
                    })


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    requirements = fields.One2Many(
        'sale.requirement', 'sale', "Requirements",
        states={
            'readonly': ~Eval('state').in_(['draft', 'quotation']),
            })

    @classmethod
    def review_aspects(cls):
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        aspects = super().review_aspects()
        aspects['requirements'][Requirement.__name__] = {
            'kind', 'text', 'source', 'oral'}
        return aspects

    def _get_intake_requirements(self):
        if not self.requirements:
            yield gettext('sale_order_review.msg_intake_requirements')

    def _get_intake_oral(self):
        for requirement in self.requirements:
            if requirement.unconfirmed:
                yield gettext('sale_order_review.msg_intake_oral',
                    requirement=requirement.rec_name)


class Attachment(metaclass=PoolMeta):
    __name__ = 'ir.attachment'

    def _is_review_evidence(self):
        pool = Pool()
        Requirement = pool.get('sale.requirement')
        if isinstance(self.resource, Requirement):
            return bool(self.resource.confirmed_at)
        return super()._is_review_evidence()
