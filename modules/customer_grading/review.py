# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.
"What the review of the orders asks of the customers"

from decimal import Decimal

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.currency.exceptions import RateError
from trytond.modules.currency.fields import Monetary
from trytond.modules.sale_order_review.measure import known, unknown
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.transaction import check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .exceptions import ExposureError
from .grade import AXES


def _grade(axis, string):
    return fields.Many2One(
        'customer.grading.grade', string, ondelete='RESTRICT',
        domain=[
            ('axis', '=', axis),
            ])


class Rule(metaclass=PoolMeta):
    __name__ = 'sale.review.rule'

    customer_class = _grade('class', "Customer Class")
    customer_level = _grade('level', "Customer Level")
    customer_credit = _grade('credit', "Credit Grade")
    ungraded = fields.Boolean(
        "Without Credit Grade",
        states={
            'invisible': Bool(Eval('customer_credit')),
            },
        help="Applies only if who is invoiced has no credit grade.")
    minimum_exposure = Monetary(
        "Minimum Exposure", currency='currency', digits='currency',
        help="The credit exposure, with the order, from which the rule "
        "applies.")
    minimum_overdue = Monetary(
        "Minimum Overdue Amount", currency='currency', digits='currency',
        help="The overdue amount from which the rule applies.")
    over_limit = fields.Boolean(
        "Over Credit Limit",
        help="Applies only if the order exceeds the credit limit.")

    @fields.depends('customer_credit')
    def on_change_customer_credit(self):
        if self.customer_credit:
            self.ungraded = False

    @classmethod
    def criteria(cls):
        return {
            **super().criteria(),
            'customer_class': 'customer_class',
            'customer_level': 'customer_level',
            'customer_credit': 'customer_credit',
            'ungraded': 'ungraded',
            'minimum_exposure': 'exposure',
            'minimum_overdue': 'overdue',
            'over_limit': 'over_limit',
            }

    @classmethod
    def _minimums(cls):
        return [
            ('minimum_exposure', 'exposure'),
            ('minimum_overdue', 'overdue'),
            ]

    def match(self, pattern, match_none=False):
        pattern = pattern.copy()
        for name, value in self._minimums():
            minimum = getattr(self, name)
            amount = pattern.pop(value, None)
            if minimum is not None and amount < minimum:
                return False
        return super().match(pattern, match_none=match_none)

    def _get_reasons(self, values):
        pool = Pool()
        Lang = pool.get('ir.lang')
        lang = Lang.get()

        def format_(amount):
            return lang.currency(
                amount, self.currency, symbol=False, grouping=True)

        return super()._get_reasons(values) + [
            f"{self.__names__(name)['field']}: {self.currency.code} "
            f"{format_(values[value])} ≥ {format_(getattr(self, name))}"
            for name, value in self._minimums()
            if getattr(self, name) is not None]


class Point(metaclass=PoolMeta):
    __name__ = 'sale.review.checklist.point'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.measure.selection += [
            ('customer_grade', "Grades of the Customer"),
            ('credit_exposure', "Credit Exposure"),
            ]


class HeldMixin:
    "What is reviewed and can be held by customer credit"
    __slots__ = ()

    @classmethod
    def get_review_held(cls, plans):
        pool = Pool()
        Hold = pool.get('sale.credit.hold')
        ModelAccess = pool.get('ir.model.access')
        held = super().get_review_held(plans)
        if not plans:
            return held
        with check_access():
            readable = ModelAccess.check(
                Hold.__name__, 'read', raise_exception=False)
        try:
            checks = cls.check_credit([p.origin for p in plans], final=False)
        except UserError as exception:
            # It is only told of what the confirmation will raise
            held.setdefault(plans[0].origin, []).append(exception.message)
            return held
        for record, check in checks.items():
            if check.action in {'hold', 'block'}:
                texts = [gettext('customer_grading.msg_review_held',
                        record=record.rec_name)]
                if readable:
                    texts.append(check.text)
                held.setdefault(record, []).append('\n'.join(texts))
        return held


class Sale(HeldMixin, metaclass=PoolMeta):
    __name__ = 'sale.sale'

    @classmethod
    def _get_review_grades(cls, sales, axis, debtor=False):
        pool = Pool()
        Grade = pool.get('customer.grade')
        parties = {
            s: (s._review_debtor if debtor else s.party).id for s in sales}
        grades = Grade.get_current(
            sales[0].company, list(set(parties.values())))
        return {s: grades.get(p, {}).get(axis) for s, p in parties.items()}

    @classmethod
    def _get_review_customer_class(cls, sales):
        return cls._get_review_grades(sales, 'class')

    @classmethod
    def _get_review_customer_level(cls, sales):
        return cls._get_review_grades(sales, 'level')

    @classmethod
    def _get_review_customer_credit(cls, sales):
        return cls._get_review_grades(sales, 'credit', debtor=True)

    @classmethod
    def _get_review_ungraded(cls, sales):
        return {
            s: not g for s, g in cls._get_review_customer_credit(sales).items()
            }

    @classmethod
    def _get_review_credit(cls, sales):
        """Return by sale the exposure of who is invoiced, and what the
        sale would add to it"""
        pool = Pool()
        Party = pool.get('party.party')
        exposures = Party.get_exposure(
            sales[0].company, list({s._review_debtor.id for s in sales}))
        return {
            s: (exposures[s._review_debtor.id], s._review_added_amount)
            for s in sales}

    @property
    def _review_added_amount(self):
        # A confirmed order is part of the exposure
        if self.state not in {'draft', 'quotation'}:
            return Decimal(0)
        return self._review_company_amount(self.total_amount)

    @classmethod
    def _get_review_exposure(cls, sales):
        return {
            s: e['receivable'] + e['orders'] + added
            for s, (e, added) in cls._get_review_credit(sales).items()}

    @classmethod
    def _get_review_overdue(cls, sales):
        return {
            s: e['overdue']
            for s, (e, _) in cls._get_review_credit(sales).items()}

    @classmethod
    def _get_review_over_limit(cls, sales):
        return {
            s: (e['limit'] is not None
                and e['receivable'] + e['orders'] + added > e['limit'])
            for s, (e, added) in cls._get_review_credit(sales).items()}

    @classmethod
    def _get_review_measure_customer_grade(cls, sales):
        pool = Pool()
        Grade = pool.get('customer.grade')
        GradingGrade = pool.get('customer.grading.grade')
        parties = {s.party.id for s in sales}
        parties |= {s._review_debtor.id for s in sales}
        grades = Grade.get_current(sales[0].company, list(parties))
        names = {
            g.id: g for g in GradingGrade.browse(list({
                        i for axes in grades.values()
                        for i in axes.values()}))}
        labels = GradingGrade.fields_get(['axis'])['axis']['selection']
        measures = {}
        for sale in sales:
            found = {
                **grades.get(sale.party.id, {}),
                'credit': grades.get(
                    sale._review_debtor.id, {}).get('credit'),
                }
            texts = [
                f'{label} {names[found[axis]].code}'
                for axis, label in labels if found.get(axis)]
            if texts:
                measures[sale] = known(
                    None, ', '.join(texts),
                    basis='; '.join(
                        f'{names[found[axis]].code}: '
                        f'{names[found[axis]].name}'
                        for axis, _ in AXES if found.get(axis)),
                    negative=not found['credit'])
            else:
                measures[sale] = unknown(gettext(
                        'customer_grading.msg_measure_ungraded',
                        party=sale.party.rec_name))
        return measures

    @classmethod
    def _get_review_measure_credit_exposure(cls, sales):
        try:
            credits = cls._get_review_credit(sales)
        except (ExposureError, RateError) as exception:
            if len(sales) == 1:
                return {
                    s: unknown(exception.message, error=True) for s in sales}
            # Only the sales that the missing rate concerns are not measured
            measures = {}
            for sale in sales:
                measures.update(
                    cls._get_review_measure_credit_exposure([sale]))
            return measures

        currency = sales[0].company.currency

        def format_(amount):
            if amount is None:
                return gettext('customer_grading.msg_measure_no_limit')
            return cls._format_review_amount(amount, currency)

        measures = {}
        for sale, (exposure, added) in credits.items():
            value = exposure['receivable'] + exposure['orders'] + added
            limit = exposure['limit']
            measures[sale] = known(
                value, format_(value),
                basis=gettext(
                    'customer_grading.msg_measure_exposure_basis',
                    party=sale._review_debtor.rec_name,
                    receivable=format_(exposure['receivable']),
                    orders=format_(exposure['orders']),
                    amount=format_(added),
                    limit=format_(limit)),
                negative=limit is not None and value > limit)
        return measures


class Amendment(HeldMixin, metaclass=PoolMeta):
    __name__ = 'sale.amendment'


class LimitChange(metaclass=PoolMeta):
    __name__ = 'customer.credit.limit.change'

    signoff = fields.Many2One(
        'sale.review.signoff', "Sign-off", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('signoff'),
            },
        help="The sign-off of the order for which it was proposed.")

    @classmethod
    def check_modification(cls, mode, changes, values=None, external=False):
        super().check_modification(
            mode, changes, values=values, external=external)
        if mode == 'create' and external:
            for change in changes:
                if change.signoff:
                    change.signoff.check_limit_change(change.party)


class Signoff(metaclass=PoolMeta):
    __name__ = 'sale.review.signoff'

    limit_changes = fields.One2Many(
        'customer.credit.limit.change', 'signoff', "Credit Limit Changes",
        readonly=True,
        states={
            'invisible': ~Eval('limit_changes'),
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'propose_credit_limit': {
                    'icon': 'tryton-customer-grade',
                    'invisible': (
                        (Eval('state') != 'pending')
                        | ~Eval('imposes_payment', False)
                        | ~Eval('can_sign', False)),
                    'depends': ['state', 'imposes_payment', 'can_sign'],
                    },
                })

    def check_limit_change(self, party):
        "Check that who signs may propose the credit limit of the party"
        with without_check_access():
            signoff = self.__class__(self.id)
            debtor = signoff.sale._review_debtor
            imposes = signoff.imposes_payment
            can_sign = signoff.can_sign
            name = signoff.rec_name
        if not imposes or not can_sign or debtor != party:
            raise AccessError(gettext(
                    'customer_grading.msg_signoff_limit',
                    signoff=name, party=debtor.rec_name))

    @classmethod
    @ModelView.button_action('customer_grading.wizard_propose_limit')
    def propose_credit_limit(cls, signoffs):
        pass


class ProposeLimit(Wizard):
    __name__ = 'customer.credit.limit.propose'

    start = StateView(
        'customer.credit.limit.propose.start',
        'customer_grading.propose_limit_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Propose", 'propose', 'tryton-ok', default=True),
            ])
    propose = StateTransition()

    def default_start(self, fields):
        pool = Pool()
        Party = pool.get('party.party')
        with without_check_access():
            signoff = self.model(self.record.id)
            party = signoff.sale._review_debtor
            exposure = Party.get_exposure(
                signoff.company, [party.id])[party.id]
        return {
            'party': party.id,
            'currency': signoff.company.currency.id,
            'limit': exposure['limit'],
            'exposure': exposure['receivable'] + exposure['orders'],
            'overdue': exposure['overdue'],
            'new': exposure['limit'],
            }

    def transition_propose(self):
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        self.record.check_limit_change(self.start.party)
        # Who signs for finance needs no other right
        with without_check_access():
            Change.create([{
                        'company': self.record.company.id,
                        'party': self.start.party.id,
                        'new': self.start.new,
                        'temporary_until': self.start.temporary_until,
                        'reason': self.start.reason,
                        'signoff': self.record.id,
                        }])
        return 'end'

    def end(self):
        return 'reload'


class ProposeLimitStart(ModelView):
    __name__ = 'customer.credit.limit.propose.start'

    party = fields.Many2One(
        'party.party', "Party", readonly=True,
        context={
            'company': Eval('context', {}).get('company', -1),
            })
    currency = fields.Many2One(
        'currency.currency', "Currency", readonly=True)
    limit = Monetary(
        "Present Limit", currency='currency', digits='currency',
        readonly=True)
    exposure = Monetary(
        "Exposure", currency='currency', digits='currency', readonly=True,
        help="Without the order that is reviewed.")
    overdue = Monetary(
        "Overdue", currency='currency', digits='currency', readonly=True)
    new = Monetary(
        "New Limit", currency='currency', digits='currency',
        help="Leave empty for no limit.\n"
        "Zero gives no credit.")
    temporary_until = fields.Date(
        "Temporary Until",
        help="The last day of the new limit.\n"
        "Leave empty if it is to last.")
    reason = fields.Text("Reason", required=True)
