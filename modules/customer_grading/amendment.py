# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from decimal import Decimal

from trytond.model import ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.transaction import Transaction, without_check_access

from .hold import OPEN, Order


class Hold(metaclass=PoolMeta):
    __name__ = 'sale.credit.hold'

    @classmethod
    def get_origins(cls):
        pool = Pool()
        Model = pool.get('ir.model')
        return super().get_origins() + [
            ('sale.amendment', Model.get_name('sale.amendment'))]


class Amendment(metaclass=PoolMeta):
    __name__ = 'sale.amendment'

    credit_holds = fields.One2Many(
        'sale.credit.hold', 'origin', "Credit Holds", readonly=True,
        states={
            'invisible': ~Eval('credit_holds'),
            })
    credit_state = fields.Function(
        fields.Selection([
                ('none', "None"),
                ('held', "Held"),
                ('released', "Released"),
                ('rejected', "Rejected"),
                ], "Credit State", sort=False,
            states={
                'invisible': Eval('credit_state', 'none') == 'none',
                }),
        'get_credit')
    credit_reasons = fields.Function(
        fields.Text(
            "Held by Customer Credit",
            states={
                'invisible': ~Eval('credit_state').in_(['held', 'rejected']),
                },
            help="Why the amendment cannot be validated until it is "
            "released."),
        'get_credit')

    @classmethod
    def get_credit(cls, amendments, names):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        states = {a.id: 'none' for a in amendments}
        holds = {}
        for hold in Hold.search([
                    ('origin', 'in', [str(a) for a in amendments]),
                    ('state', 'in', OPEN),
                    ]):
            states[hold.origin.id] = hold.state
            holds[hold.origin.id] = hold.id
        result = {'credit_state': states}
        if 'credit_reasons' in names:
            texts = Hold.get_texts(holds.values())
            result['credit_reasons'] = {
                a.id: texts.get(holds.get(a.id)) for a in amendments}
        return {n: result[n] for n in names}

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="credit_state"]', 'visual',
                If(Eval('credit_state') == 'rejected', 'danger',
                    If(Eval('credit_state') == 'held', 'warning', ''))),
            ]

    @classmethod
    def copy(cls, amendments, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('credit_holds')
        return super().copy(amendments, default=default)

    @classmethod
    @without_check_access
    def check_credit(cls, amendments, final=True):
        """Return by amendment the result of the check, without those that
        neither add to what is owed nor change who pays or when"""
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        Policy = pool.get('customer.service.policy')
        orders = []
        for amendment in cls.browse(amendments):
            if Policy.get_active(amendment.sale.company):
                if order := amendment._get_credit_order():
                    orders.append(order)
        return Hold.check(orders, final=final)

    def _get_credit_order(self):
        "Return what is to check of the sale as it will be"
        pool = Pool()
        Sale = pool.get('sale.sale')
        sale = Sale(self.sale.id)
        party = sale.invoice_party or sale.party
        payment_term = sale.payment_term
        total = sale.total_amount
        amended = Sale(self.sale.id)
        for line in self.lines:
            line.apply(amended)
        amended_party = amended.invoice_party or amended.party
        amended_total = self._get_credit_total(amended)
        amount = amended_total
        if amended_party == party:
            amount -= total
        if (amount <= 0 and amended_party == party
                and amended.payment_term == payment_term):
            return
        return Order(
            origin=self, sale=sale, party=amended_party,
            amount=sale._credit_company_amount(amount),
            total=sale._credit_company_amount(amended_total),
            payment_term=amended.payment_term,
            on_credit=sale._is_on_credit())

    @classmethod
    def _get_credit_total(cls, sale):
        "Return the total of the sale that is not saved"
        untaxed = sum((
                sale.currency.round(
                    Decimal(str(l.quantity or 0)) * (l.unit_price or 0))
                for l in sale.lines if l.type == 'line'), Decimal(0))
        return untaxed + sale.get_tax_amount()

    @classmethod
    def validate_amendment(cls, amendments):
        # Before the access to the button, so that super can tell what else is
        # missing, but with the access to the amendments
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        if Transaction().context.get('_sale_amendment_trial'):
            return super().validate_amendment(amendments)
        checks = cls.check_credit(
            [a for a in amendments if a.state == 'draft'])
        if not checks:
            return super().validate_amendment(amendments)
        with without_check_access():
            Hold.raise_checks(checks, 'credit_amendment')
        held = [
            a for a in amendments
            if a in checks and checks[a].action == 'hold']
        passed = [a for a in amendments if a not in held]
        if passed:
            super().validate_amendment(passed)
            Hold.pass_([checks[a] for a in passed if a in checks])
        if held:
            cls._hold_validate(held, [checks[a] for a in held])

    def validate_held(cls, amendments, checks):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        # Without those that need the click of others
        Hold.notify_user_held(Hold.hold(
                [c for c in checks if c.order.origin in amendments]))

    # Only who may validate has it held
    validate_held.__name__ = 'validate_amendment'
    _hold_validate = classmethod(ModelView.button(validate_held))
    del validate_held

    @classmethod
    def on_modification(cls, mode, amendments, field_names=None):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        super().on_modification(mode, amendments, field_names=field_names)
        if mode == 'delete':
            Hold.end(amendments)
