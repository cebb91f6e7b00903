# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import json
from collections import defaultdict
from contextlib import contextmanager

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.savepoint import savepoint, writing
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import Button, StateView, Wizard

from . import snapshot as snapshots
from .change import asked_by
from .exceptions import AmendmentReviewError
from .measure import unknown
from .review import Plan, _read_target
from .sale import SubmitReviewMixin


def _trying():
    return Transaction().context.get('_sale_amendment_trial')


class Rule(metaclass=PoolMeta):
    __name__ = 'sale.review.rule'

    @classmethod
    def get_subjects(cls):
        pool = Pool()
        Model = pool.get('ir.model')
        return super().get_subjects() + [
            ('sale.amendment', Model.get_name('sale.amendment'))]

    @classmethod
    def criteria_model(cls, subject):
        if subject == 'sale.amendment':
            # The order as it would be
            return 'sale.sale'
        return super().criteria_model(subject)


class Amendment(metaclass=PoolMeta):
    __name__ = 'sale.amendment'

    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_sale_field')
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'on_change_with_party', searcher='search_sale_field')
    reason = fields.Text(
        "Reason",
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="Why the order changes.")
    asked_by = fields.Selection(
        asked_by, "Asked By", sort=False,
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="Who asked for the change.")
    reviews = fields.One2Many(
        'sale.review', 'origin', "Reviews", readonly=True,
        states={
            'invisible': ~Eval('reviews') & ~Eval('releases'),
            })
    review_state = fields.Selection(
        'get_review_states', "Review State", readonly=True, required=True,
        sort=False)
    review = fields.Function(
        fields.Many2One('sale.review', "Review"), 'get_review')
    review_signoffs = fields.Function(
        fields.Many2Many(
            'sale.review.signoff', None, None, "Sign-offs", readonly=True,
            states={
                'invisible': ~Eval('review_signoffs'),
                }),
        'get_review_signoffs')
    review_missing = fields.Function(
        fields.Char(
            "Missing Sign-offs",
            help="The departments that have not signed and who can."),
        'get_review_missing')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'submit_review': {
                    'invisible': (
                        ((Eval('state') != 'draft')
                            | Eval('review_state').in_(['open', 'approved']))
                        & ~Eval('catch_up', False)),
                    'icon': 'tryton-forward',
                    'depends': ['state', 'review_state', 'catch_up'],
                    },
                })

    @classmethod
    def default_review_state(cls):
        return 'none'

    @classmethod
    def get_review_states(cls):
        pool = Pool()
        Sale = pool.get('sale.sale')
        return Sale.fields_get(['review_state'])['review_state']['selection']

    @fields.depends('sale', '_parent_sale.company')
    def on_change_with_company(self, name=None):
        return self.sale.company if self.sale else None

    @fields.depends('sale', '_parent_sale.party')
    def on_change_with_party(self, name=None):
        return self.sale.party if self.sale else None

    @classmethod
    def search_sale_field(cls, name, clause):
        return [('sale.' + clause[0], *clause[1:])]

    def get_review(self, name):
        return self.reviews[0].id if self.reviews else None

    def get_review_signoffs(self, name):
        return [s.id for s in self.review.signoffs] if self.review else []

    def get_review_missing(self, name):
        return self.review.missing if self.review else None

    def get_rec_name(self, name):
        pool = Pool()
        Lang = pool.get('ir.lang')
        lang = Lang.get()
        # There can be several of a day
        return ' – '.join(filter(None, [
                    self.sale.rec_name,
                    f'{lang.strftime(self.date)} ({self.id})',
                    self.description]))

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        return [bool_op,
            ('sale.rec_name', operator, operand, *extra),
            ('description', operator, operand, *extra),
            ]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="review_state"]', 'visual',
                If(Eval('review_state') == 'returned', 'danger',
                    If((Eval('review_state') == 'released')
                        | (Eval('review_state').in_(['required', 'open'])
                            & (Eval('state') == 'draft')),
                        'warning', ''))),
            ]

    @classmethod
    def copy(cls, amendments, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('state', cls.default_state())
        default.setdefault('reviews')
        default.setdefault('review_state', cls.default_review_state())
        return super().copy(amendments, default=default)

    @property
    def review_sale(self):
        "The sale that is reviewed"
        return self.sale

    def get_review_change(self, opinions):
        """Return the values of the log for the changes since a round that was
        returned with the opinions"""
        return {
            'reason': '\n'.join(filter(None, [self.reason, *opinions])),
            'asked_by': self.asked_by,
            }

    def _is_reviewed(self):
        "Return whether the order or its amendments are subject to review"
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        return (
            self.review_state != 'none'
            or self.sale._is_reviewed()
            or Rule.has_rules(self.sale.company, self.__name__))

    # What is reviewed

    @classmethod
    @without_check_access
    def _try(cls, amendments, reasons=True):
        """Return the plans of the reviews of the amendments, which are those
        of their orders as these would be.

        The amendments are validated as they will be and all is undone, because
        only the database gives the content, the values of the criteria and
        what a condition reads without a second way to compute each of them."""
        pool = Pool()
        Sale = pool.get('sale.sale')
        plans = []
        before = Sale.get_review_snapshots(list({a.sale for a in amendments}))
        for batch in cls._get_batches(amendments):
            effects = []
            if reasons:
                effects = [
                    (a.sale.review_untaxed_amount, a.get_review_effects())
                    for a in batch]
            with cls._applied(batch):
                b_plans = cls._get_plans(
                    batch, before, cls._get_applied(batch), reasons=reasons)
            for plan, (amount, texts) in zip(b_plans, effects):
                plan.values['effects'] = '\n'.join(
                    cls._get_amount_effect(plan, amount) + texts)
            plans.extend(b_plans)
        return plans

    @classmethod
    def _get_batches(cls, amendments):
        "Return the lists of amendments of different orders"
        batches = []
        for amendment in amendments:
            for batch in batches:
                if amendment.sale not in {a.sale for a in batch}:
                    batch.append(amendment)
                    break
            else:
                batches.append([amendment])
        return batches

    @classmethod
    @contextmanager
    def _applied(cls, amendments):
        "Have the amendments of different orders applied and then undone"
        with Transaction().set_context(_sale_amendment_trial=True), \
                savepoint(rollback=True):
            # Not on the instances of the caller
            cls.validate_amendment(cls.browse(amendments))
            yield

    @classmethod
    def _get_amount_effect(cls, plan, amount):
        pool = Pool()
        Lang = pool.get('ir.lang')
        lang = Lang.get()
        if plan.untaxed_amount == amount:
            return []
        old, new = (
            lang.currency(a, plan.sale.currency, grouping=True)
            for a in [amount, plan.untaxed_amount])
        return [gettext(
                'sale_order_review.msg_effect_amount', old=old, new=new)]

    def get_review_effects(self):
        """Return the list of texts of what the amendment does to what is
        planned and invoiced for the order as it still is"""
        texts = []
        moves = [m for l in self.sale.lines for m in self._stock_moves(l)]
        invoices = [i for i in self.sale.invoices if i.state == 'draft']
        for name, records in [('moves', moves), ('invoices', invoices)]:
            if records:
                texts.append(gettext(
                        f'sale_order_review.msg_effect_{name}',
                        number=len(records)))
        return texts

    @property
    def _supplied_lines(self):
        "The lines of the order that are to be supplied in another way"
        actions = {l.action for l in self.lines}
        if actions & {'date', 'warehouse'}:
            return list(self.sale.lines)
        return list({
                l.line for l in self.lines
                if l.action in {'line', 'remove', 'line_date'} and l.line})

    @classmethod
    def _get_applied(cls, amendments):
        "Return by sale the snapshot once the amendments are applied"
        pool = Pool()
        Sale = pool.get('sale.sale')
        # What was read before is not used
        return Sale.get_review_snapshots(
            Sale.browse([a.sale for a in amendments]))

    @classmethod
    def _get_plans(cls, amendments, before, after, reasons=True, texts=True):
        """Return the plans of the reviews of the amendments, which are
        applied, from the snapshots of their sales before and after that

        reasons tells whether the plans have them, and texts whether these say
        why."""
        pool = Pool()
        Line = pool.get('sale.line')
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        sales = Sale.browse([a.sale for a in amendments])
        matching, failed = {}, {}
        if reasons:
            matching, failed = Rule.get_reasons(
                sales, subject=cls.__name__, texts=texts)
        # The lines have other ids each time the amendment is applied
        added = {
            str(l.id): str(-l.amendment_line.id) for l in Line.search([
                    ('amendment_line', 'in', [
                            l.id for a in amendments for l in a.lines
                            if l.action == 'add']),
                    ])}
        plans = []
        for amendment, sale in zip(amendments, sales):
            old = before[amendment.sale]
            content = {
                **after[sale],
                Line.__name__: {
                    added.get(i, i): v
                    for i, v in after[sale][Line.__name__].items()},
                }
            plan = Plan(
                amendment, amendment.sale,
                sale.get_review_snapshot_amount(content), content,
                cls._filter_reasons(matching.get(sale, []), old, content),
                values={
                    'before': snapshots.dumps(old),
                    'reason': amendment.reason,
                    'asked_by': amendment.asked_by,
                    },
                failed=failed.get(sale))
            if not any(snapshots.differences(old, content)):
                plan.problem = gettext(
                    'sale_order_review.msg_amendment_nothing',
                    amendment=amendment.rec_name)
            plans.append(plan)
        return plans

    @classmethod
    def get_review_snapshots(cls, amendments):
        """Return by amendment the snapshot of its order as it would be, or as
        it was released"""
        pool = Pool()
        Release = pool.get('sale.review.release')
        contents = {
            a: json.loads(r.snapshot)
            for a, r in Release.get_used(
                [a for a in amendments if a._is_released()]).items()}
        contents.update(
            (p.origin, p.snapshot) for p in cls._try(
                [a for a in amendments if a not in contents], reasons=False))
        return contents

    @classmethod
    @without_check_access
    def get_review_measures(cls, amendments, names):
        "Return what is measured of the orders as they would be"
        def measure():
            measures = {}
            for batch in cls._get_batches(cls.browse(amendments)):
                measures.update(cls._measure(batch, names))
            return measures

        return writing(measure)

    @classmethod
    def _measure(cls, amendments, names):
        pool = Pool()
        Sale = pool.get('sale.sale')
        try:
            with cls._applied(amendments):
                measures = Sale.get_review_measures(
                    Sale.browse([a.sale for a in amendments]), names)
        except UserError as exception:
            # It must still be possible to read and to return it
            if len(amendments) == 1:
                measure = unknown(exception.message, error=True)
                return {amendments[0]: dict.fromkeys(names, measure)}
            measures = {}
            for amendment in amendments:
                measures.update(cls._measure([amendment], names))
            return measures
        return {a: measures[a.sale] for a in amendments}

    @classmethod
    def plan_reviews(cls, amendments):
        "Return the plans of the reviews of the amendments"
        plans = cls._try([a for a in amendments if not a._is_released()])
        for plan in plans:
            if not plan.reasons and not plan.problem:
                plan.problem = gettext(
                    'sale_order_review.msg_amendment_no_rule',
                    amendment=plan.origin.rec_name)
        plans += cls._get_released_plans(
            [a for a in amendments if a._is_released()])
        return plans

    @classmethod
    @without_check_access
    def _get_released_plans(cls, amendments):
        """Return the plans of the reviews of the amendments that are applied
        already, to what was released"""
        pool = Pool()
        Release = pool.get('sale.review.release')
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        matching, failed = Rule.get_reasons(
            Sale.browse({a.sale for a in amendments}), subject=cls.__name__)
        owed = Release.get_owed(amendments)
        plans = []
        for amendment, release in Release.get_used(amendments).items():
            sale = amendment.sale
            content = json.loads(release.snapshot)
            plans.append(Plan(
                    amendment, sale, release.untaxed_amount, content,
                    Release.add_reasons(
                        cls._filter_reasons(
                            matching.get(sale, []),
                            json.loads(release.before), content),
                        owed.get(amendment, [])),
                    values={
                        'before': release.before,
                        'reason': amendment.reason,
                        'asked_by': amendment.asked_by,
                        'effects': release.effects,
                        },
                    failed=failed.get(sale)))
        return plans

    @classmethod
    def _filter_reasons(cls, reasons, before, after):
        "Return the reasons of the rules in whose aspects something changes"
        pool = Pool()
        Sale = pool.get('sale.sale')
        return [
            (rule, reason) for rule, reason in reasons
            if not rule.aspects or not snapshots.same(
                before, after, Sale.get_review_fields(rule.aspects))]

    @classmethod
    def get_review_problems(cls, amendments):
        "Return by amendment the text of why it cannot be submitted"
        problems = cls._get_problems(
            [a for a in amendments if not a._is_released()])
        for amendment in amendments:
            message = None
            if (amendment.review_state in {'open', 'released'}
                    and amendment.review
                    and amendment.review.state == 'open'):
                message = 'msg_amendment_submitted'
            elif amendment._is_released():
                continue
            elif amendment.state != 'draft':
                message = 'msg_amendment_validated'
            elif amendment.review_state == 'approved':
                message = 'msg_amendment_approved'
            if message:
                problems[amendment] = [gettext(
                        f'sale_order_review.{message}',
                        amendment=amendment.rec_name)]
        return {a: '\n'.join(texts) for a, texts in problems.items()}

    @classmethod
    def _get_problems(cls, amendments):
        """Return by amendment the list of texts of why it can neither be
        submitted nor validated"""
        problems = defaultdict(list)
        under_review = defaultdict(set)
        for row in snapshots.select(
                cls, {'id', 'sale', 'review_state', 'state'}, 'sale',
                list({a.sale.id for a in amendments})):
            if row['review_state'] == 'open' and row['state'] == 'draft':
                under_review[row['sale']].add(cls(row['id']))
        for amendment in amendments:
            missing = [
                cls.__names__(n)['field'] for n in ['reason', 'asked_by']
                if not (getattr(amendment, n) or '').strip()]
            if missing:
                problems[amendment].append(gettext(
                        'sale_order_review.msg_amendment_incomplete',
                        amendment=amendment.rec_name,
                        fields=', '.join(missing)))
            if not amendment.lines:
                problems[amendment].append(gettext(
                        'sale_order_review.msg_amendment_nothing',
                        amendment=amendment.rec_name))
            for other in under_review[amendment.sale.id] - {amendment}:
                problems[amendment].append(gettext(
                        'sale_order_review.msg_amendment_other',
                        amendment=amendment.rec_name,
                        other=other.rec_name))
            # For the next of the same order
            under_review[amendment.sale.id].add(amendment)
            for line in amendment.lines:
                if text := line.get_review_problem():
                    problems[amendment].append(text)
        return problems

    @classmethod
    def open_review(cls, amendments):
        pool = Pool()
        Sale = pool.get('sale.sale')
        # Of two amendments of an order at once only one can be committed
        Sale._lock_review({a.sale for a in amendments})
        cls.write(
            [a for a in amendments if not a._is_released()],
            {'review_state': 'open'})

    @classmethod
    def return_review(cls, amendments):
        "Let the amendments be corrected, unless they are applied already"
        cls.write(
            [a for a in amendments if not a._is_released()],
            {'review_state': 'returned'})

    def _is_released(self):
        "Return whether it was validated by a release"
        return self.review_state == 'released'

    @classmethod
    def _set_review_state(cls, amendments):
        "Have the amendments that are withdrawn or modified submitted again"
        if amendments := [
                a for a in amendments
                if a.state == 'draft' and a.review_state != 'none']:
            cls.write(amendments, {'review_state': 'required'})

    # What may be done

    @classmethod
    def check_modification(
            cls, mode, amendments, values=None, external=False):
        super().check_modification(
            mode, amendments, values=values, external=external)
        if mode == 'delete':
            for amendment in amendments:
                if (amendment.reviews
                        or (amendment.state != 'draft'
                            and amendment._is_reviewed())):
                    raise AccessError(gettext(
                            'sale_order_review.msg_amendment_delete',
                            amendment=amendment.rec_name))
        elif not external:
            return
        elif mode == 'create':
            for amendment in amendments:
                if (amendment.review_state != 'none'
                        or (amendment.state != 'draft'
                            and amendment._is_reviewed())):
                    raise AccessError(gettext(
                            'sale_order_review.msg_amendment_state',
                            amendment=amendment.rec_name))
        elif mode == 'write':
            if values.keys() & {'state', 'review_state'}:
                for amendment in amendments:
                    if ('review_state' in values
                            or amendment._is_reviewed()):
                        raise AccessError(gettext(
                                'sale_order_review.msg_amendment_state',
                                amendment=amendment.rec_name))
            cls.check_review_frozen(amendments)

    @classmethod
    def check_review_frozen(cls, amendments):
        """Check that the amendments can still change.

        Those that are approved can, but must be submitted again."""
        for amendment in amendments:
            message = None
            if amendment.review_state == 'open':
                message = 'msg_amendment_frozen'
            elif amendment.state != 'draft' and amendment._is_reviewed():
                message = 'msg_amendment_frozen_validated'
            if message:
                raise AccessError(gettext(
                        f'sale_order_review.{message}',
                        amendment=amendment.rec_name))

    @classmethod
    def on_modification(cls, mode, amendments, field_names=None):
        super().on_modification(mode, amendments, field_names=field_names)
        if mode == 'write' and not field_names & {'state', 'review_state'}:
            cls.reset_review(amendments)

    @classmethod
    def reset_review(cls, amendments):
        "Have what was approved and is modified submitted again"
        cls._set_review_state([
                a for a in amendments if a.review_state == 'approved'])

    @classmethod
    @ModelView.button_action(
        'sale_order_review.wizard_submit_amendment_review')
    def submit_review(cls, amendments):
        pass

    @classmethod
    @ModelView.button
    def validate_amendment(cls, amendments):
        pool = Pool()
        Acknowledgement = pool.get('sale.change.acknowledgement')
        Change = pool.get('sale.change')
        Condition = pool.get('sale.review.condition')
        Release = pool.get('sale.review.release')
        Sale = pool.get('sale.sale')
        if _trying():
            return super().validate_amendment(amendments)

        Sale._check_history({a.sale for a in amendments})
        reviewed = [
            a for a in amendments
            if a.state == 'draft' and a._is_reviewed()]
        if not reviewed:
            return super().validate_amendment(amendments)
        cls._raise(cls._get_problems(reviewed))
        before = Sale.get_review_snapshots([a.sale for a in reviewed])
        with savepoint():
            super().validate_amendment(amendments)
            after = cls._get_applied(reviewed)
            if releases := cls._check_review(
                    cls._get_plans(reviewed, before, after, texts=False)):
                Release.use(releases, cls._get_plans(
                        [r.origin for r in releases], before, after))
        sales = Sale.browse([a.sale for a in reviewed])
        Condition.meet(sales)
        Change.record([
                (s, before[s], after[s], a, {
                        'reason': a.reason,
                        'asked_by': a.asked_by,
                        })
                for s, a in zip(sales, reviewed)])
        Acknowledgement.request(
            reviewed, 'sale_order_review.msg_notification_changed')

    @classmethod
    def _check_review(cls, plans):
        """Check that what needs a review has been approved, or released, as it
        is, and return the releases without which it cannot be validated"""
        pool = Pool()
        Release = pool.get('sale.review.release')
        problems = cls.get_release_held(plans)
        missing, releases = Release.release_missing(
            cls._get_review_missing(plans), {p.origin: p.text for p in plans})
        for amendment, texts in missing.items():
            problems.setdefault(amendment, []).extend(texts)
        cls._raise(problems)
        return releases

    @classmethod
    def _get_review_missing(cls, plans):
        "Return by amendment the list of texts of what its review misses"
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        missing = defaultdict(list)
        reviews = Review.get_current([p.origin for p in plans])
        for plan in plans:
            amendment = plan.origin
            review = reviews.get(amendment)
            if plan.problem:
                missing[amendment].append(plan.problem)
            if review and review.state == 'open':
                missing[amendment].append(gettext(
                        'sale_order_review.msg_amendment_open',
                        amendment=amendment.rec_name,
                        review=review.rec_name,
                        signoffs=review.missing))
            elif plan.problem or not plan.reasons:
                continue
            elif not review or review.state != 'approved':
                departments = {r.department: None for r, _ in plan.reasons}
                missing[amendment].append(gettext(
                        'sale_order_review.msg_amendment_required',
                        amendment=amendment.rec_name,
                        departments=', '.join(
                            d.rec_name for d in departments)))
            elif review.digest != snapshots.digest(plan.text):
                if differences := Sale.format_review_differences(
                        json.loads(review.snapshot), json.loads(plan.text)):
                    missing[amendment].append(gettext(
                            'sale_order_review.msg_amendment_changed',
                            amendment=amendment.rec_name,
                            review=review.rec_name,
                            differences='; '.join(differences)))
        return dict(missing)

    @classmethod
    def _raise(cls, problems):
        if texts := [t for texts in problems.values() for t in texts]:
            raise AmendmentReviewError('\n'.join(texts))


class AmendmentLine(metaclass=PoolMeta):
    __name__ = 'sale.amendment.line'

    shipping_date = fields.Date(
        "Shipping Date",
        states={
            'readonly': Eval('state') != 'draft',
            'invisible': ~Eval('action').in_(['date', 'line_date']),
            },
        help="When the shipping should start.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.action.selection += [
            ('add', "Add Line"),
            ('remove', "Remove What Is Not Delivered"),
            ('line_date', "Change Date of Line"),
            ('date', "Change Date"),
            ]
        action = Eval('action')
        on_line = action.in_(['line', 'remove', 'line_date'])
        cls.line.states['invisible'] = ~on_line
        cls.line.states['required'] = on_line
        for field in [
                cls.product, cls.quantity, cls.unit, cls.unit_price,
                cls.description]:
            field.states['invisible'] = ~action.in_(['line', 'add'])
        for field in [cls.quantity, cls.unit_price]:
            field.states['required'] = action.in_(['line', 'add'])
        cls.product.states['required'] = action == 'add'
        cls.product.states['readonly'] = (
            (Eval('state') != 'draft')
            | (~Eval('product_uom_category', None) & (action != 'add')))
        cls.product.domain = [
            If(action == 'add',
                [
                    If(Eval('state') == 'draft', ('salable', '=', True), ()),
                    ],
                cls.product.domain),
            ]

    @fields.depends('action', 'amendment', '_parent_amendment.sale')
    def on_change_action(self):
        super().on_change_action()
        if self.action == 'date' and self.amendment and self.amendment.sale:
            self.shipping_date = self.amendment.sale.shipping_date

    @fields.depends('action', 'line')
    def on_change_line(self):
        super().on_change_line()
        self.shipping_date = None
        if self.action == 'line_date' and self.line:
            self.shipping_date = self.line.requested_delivery_date

    @fields.depends(
        'action', 'product', 'quantity', 'unit', 'amendment',
        '_parent_amendment.sale')
    def on_change_product(self):
        pool = Pool()
        Line = pool.get('sale.line')
        if self.action == 'add' and self.product and self.amendment:
            line = Line(
                type='line', sale=self.amendment.sale, product=self.product,
                quantity=self.quantity, unit=self.unit)
            line.on_change_product()
            self.unit = line.unit
            self.unit_price = line.unit_price

    @fields.depends(methods=['on_change_product'])
    def on_change_quantity(self):
        self.on_change_product()

    @fields.depends('action', 'product')
    def on_change_with_product_uom_category(self, name=None):
        if self.action == 'add':
            return self.product.sale_uom.category if self.product else None
        return super().on_change_with_product_uom_category(name=name)

    @property
    def _delivered(self):
        "The quantity of the line that cannot be taken back, in its unit"
        pool = Pool()
        Uom = pool.get('product.uom')
        quantity = 0
        for move in self.line.moves:
            # As those are what stock deletes to apply an amendment
            if move.state not in {'staging', 'draft', 'cancelled'}:
                quantity += Uom.compute_qty(
                    move.unit, move.quantity, self.line.unit, round=False)
        if self.line.unit:
            quantity = self.line.unit.round(quantity)
        return quantity if self.line.quantity >= 0 else -quantity

    def get_review_problem(self):
        "Return the text of why the line cannot be applied"
        pool = Pool()
        Uom = pool.get('product.uom')
        if self.action not in {'line', 'remove'} or not self.line:
            return
        line, quantity = self.line, 0
        if self.action == 'line':
            quantity = self.quantity or 0
            if self.unit and line.unit:
                quantity = Uom.compute_qty(
                    self.unit, quantity, line.unit, round=False)
            if (self.product == line.product
                    and quantity * line.quantity >= 0
                    and abs(quantity) >= abs(line.quantity)):
                # Nothing is taken back
                return
        delivered = self._delivered
        message = None
        if self.action == 'remove':
            if abs(delivered) >= abs(line.quantity):
                message = 'msg_amendment_remove'
        elif delivered:
            if self.product != line.product:
                message = 'msg_amendment_delivered_product'
            elif (quantity * delivered < 0
                    or abs(quantity) < abs(delivered)):
                message = 'msg_amendment_delivered'
        if message:
            return gettext(
                f'sale_order_review.{message}',
                amendment=self.amendment.rec_name,
                line=self.line.rec_name,
                delivered=delivered)

    @classmethod
    def check_modification(cls, mode, lines, values=None, external=False):
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        super().check_modification(
            mode, lines, values=values, external=external)
        if not external:
            return
        amendments = {l.amendment for l in lines}
        if mode == 'write' and values.get('amendment'):
            amendments.add(Amendment(values['amendment']))
        Amendment.check_review_frozen(amendments)

    @classmethod
    def on_modification(cls, mode, lines, field_names=None):
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        super().on_modification(mode, lines, field_names=field_names)
        Amendment.reset_review(
            Amendment.browse({l.amendment for l in lines}))

    def _apply_add(self, sale, sale_line):
        pool = Pool()
        Line = pool.get('sale.line')
        line = Line(
            type='line', sale=sale, product=self.product, unit=self.unit,
            quantity=self.quantity)
        line.on_change_product()
        line.unit = self.unit
        line.unit_price = self.unit_price
        line.description = self.description
        line.amendment_line = self
        sale.lines = [*sale.lines, line]

    def _apply_remove(self, sale, sale_line):
        sale_line.quantity = self._delivered

    def _apply_line_date(self, sale, sale_line):
        sale_line.requested_delivery_date = self.shipping_date

    def _apply_date(self, sale, sale_line):
        sale.shipping_date = self.shipping_date


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    def _is_reviewed(self):
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        return (
            super()._is_reviewed()
            or (self.state in {'processing', 'done'}
                and Rule.has_rules(self.company, 'sale.amendment')))


class Line(metaclass=PoolMeta):
    __name__ = 'sale.line'

    amendment_line = fields.Many2One(
        'sale.amendment.line', "Amendment Line", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('amendment_line'),
            },
        help="The line of the amendment that added the line to the order.")
    requested_delivery_date = fields.Date(
        "Requested Delivery Date",
        states={
            'invisible': Eval('type') != 'line',
            'readonly': Eval('sale_state') != 'draft',
            },
        depends=['sale_state'],
        help="When the shipping of the line should start "
        "if it is later than that of the order.")

    @property
    @fields.depends('requested_delivery_date')
    def planned_shipping_date(self):
        date = super().planned_shipping_date
        if requested := self.requested_delivery_date:
            date = max(date or requested, requested)
        return date

    @classmethod
    def check_modification(cls, mode, lines, values=None, external=False):
        checked = lines
        if mode == 'create' and not external:
            # Stock has lines created only on drafts
            checked = [l for l in lines if not l._is_added()]
        super().check_modification(
            mode, checked, values=values, external=external)
        if external and mode in {'create', 'write'}:
            for line in lines:
                if (line.amendment_line if mode == 'create'
                        else 'amendment_line' in values):
                    raise AccessError(gettext(
                            'sale_order_review.msg_amendment_line',
                            sale=line.sale.rec_name))

    def _is_added(self):
        "Return whether the amendment that is validated adds the line"
        return bool(
            self.amendment_line
            and self.amendment_line.amendment.state == 'draft'
            and self.amendment_line.amendment.sale == self.sale)

    @classmethod
    def copy(cls, lines, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('amendment_line')
        return super().copy(lines, default=default)


class Review(metaclass=PoolMeta):
    __name__ = 'sale.review'

    amendment = fields.Function(
        fields.Many2One(
            'sale.amendment', "Amendment",
            states={
                'invisible': ~Eval('amendment'),
                }),
        'get_amendment')
    reason = fields.Text(
        "Reason", readonly=True,
        states={
            'invisible': ~Eval('amendment'),
            },
        help="Why the order changes.")
    asked_by = fields.Selection(
        asked_by, "Asked By", readonly=True, sort=False,
        states={
            'invisible': ~Eval('amendment'),
            },
        help="Who asked for the change.")
    before = fields.Text(
        "Before", readonly=True,
        states={
            'invisible': ~Eval('amendment'),
            },
        help="The content of the order before the change, as canonical JSON.")
    effects = fields.Text(
        "Effects", readonly=True,
        states={
            'invisible': ~Eval('amendment'),
            },
        help="What the amendment does to what is planned and invoiced.")
    changes = fields.Function(
        fields.Text(
            "Changes",
            states={
                'invisible': ~Eval('amendment'),
                },
            help="What the amendment changes on the order."),
        'get_changes')

    def get_amendment(self, name):
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        if isinstance(self.origin, Amendment):
            return self.origin.id

    def get_changes(self, name):
        pool = Pool()
        Change = pool.get('sale.change')
        if self.before:
            return '\n'.join(Change.get_texts(
                    json.loads(self.before), json.loads(self.snapshot)))


class Signoff(metaclass=PoolMeta):
    __name__ = 'sale.review.signoff'

    amendment = fields.Function(
        fields.Many2One(
            'sale.amendment', "Amendment",
            states={
                'invisible': ~Eval('amendment'),
                }),
        'get_amended')
    change_reason = fields.Function(
        fields.Text(
            "Reason of the Change",
            states={
                'invisible': ~Eval('amendment'),
                }),
        'get_amended')
    asked_by = fields.Function(
        fields.Selection(
            asked_by, "Asked By",
            states={
                'invisible': ~Eval('amendment'),
                }),
        'get_amended')
    changes = fields.Function(
        fields.Text(
            "Changes",
            states={
                'invisible': ~Eval('amendment'),
                },
            help="What the amendment changes on the order."),
        'get_amended')
    effects = fields.Function(
        fields.Text(
            "Effects",
            states={
                'invisible': ~Eval('amendment'),
                },
            help="What the amendment does to what is planned and invoiced."),
        'get_amended')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        # The lines are still those before the change
        cls.sale_lines.states['invisible'] = Bool(Eval('amendment'))

    @classmethod
    def get_amended(cls, signoffs, names):
        review_names = {n: n for n in names}
        if 'change_reason' in names:
            review_names['change_reason'] = 'reason'
        values = _read_target(signoffs, 'review', list(review_names.values()))
        return {n: values[r] for n, r in review_names.items()}


class SubmitAmendmentReview(SubmitReviewMixin, Wizard):
    __name__ = 'sale.amendment.submit_review'

    start = StateView('sale.amendment.submit_review.start',
        'sale_order_review.submit_amendment_review_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Submit", 'submit', 'tryton-ok', default=True,
                states={
                    'readonly': Bool(Eval('problems')),
                    }),
            ])

    def get_start(self, plans):
        pool = Pool()
        Change = pool.get('sale.change')
        return {
            **super().get_start(plans),
            'changes': '\n'.join(
                text for plan in plans
                for text in Change.get_texts(
                    json.loads(plan.values['before']), plan.snapshot)),
            'effects': '\n'.join(
                plan.values['effects'] for plan in plans),
            }


class SubmitAmendmentReviewStart(ModelView):
    __name__ = 'sale.amendment.submit_review.start'

    changes = fields.Text(
        "Changes", readonly=True,
        help="What the amendment changes on the order.")
    effects = fields.Text(
        "Effects", readonly=True,
        help="What the amendment does to what is planned and invoiced.")
    signoffs = fields.One2Many(
        'sale.sale.submit_review.signoff', None, "Sign-offs", readonly=True,
        help="Who will have to sign.")
    held = fields.Text(
        "Also Held By", readonly=True,
        states={
            'invisible': ~Eval('held'),
            },
        help="What holds the amendment besides its review.")
    problems = fields.Text(
        "Problems", readonly=True,
        states={
            'invisible': ~Eval('problems'),
            })
