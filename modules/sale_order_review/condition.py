# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import group_by_company
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.report import Report
from trytond.transaction import Transaction, without_check_access

from . import snapshot as snapshots
from .exceptions import ConditionError, ConditionValidationError
from .review import EvidenceMixin, _get_employee, _get_employees, _recording


class Condition(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.review.condition'

    signoff = fields.Many2One(
        'sale.review.signoff', "Sign-off", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True,
        ondelete='RESTRICT')
    name = fields.Char(
        "Condition", required=True,
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="What must be done.")
    department = fields.Many2One(
        'company.department', "Department", required=True,
        ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="The department that must do it.")
    employee = fields.Many2One(
        'company.employee', "Employee", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="The person of the department who sees to it.")
    due_date = fields.Date(
        "Due Date", required=True,
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="The date by which it must be done.")
    gate = fields.Selection([
            (None, ""),
            ('confirm', "Confirmation"),
            ('process', "Processing"),
            ('shipment', "Shipment"),
            ('invoice', "Invoicing"),
            ], "Holds", sort=False,
        domain=[
            If(Bool(Eval('payment_term')),
                ('gate', '=', 'confirm'),
                If(Bool(Eval('advance')),
                    ('gate', 'in', ['confirm', 'process', 'shipment']),
                    ())),
            ],
        states={
            'readonly': Eval('state') != 'draft',
            'required': Bool(Eval('payment_term')) | Bool(Eval('advance')),
            },
        help="What of the sale is held until it is done.")
    payment_term = fields.Many2One(
        'account.invoice.payment_term', "Payment Term", ondelete='RESTRICT',
        states={
            'readonly': (
                (Eval('state') != 'draft') | Bool(Eval('advance'))),
            'invisible': ~Eval('imposes_payment', False),
            },
        help="The payment term without which the order is not confirmed.")
    advance = Monetary(
        "To Be Paid Ahead", currency='currency', digits='currency',
        domain=[
            If(Bool(Eval('payment_term')),
                ('advance', '=', None),
                ['OR',
                    ('advance', '=', None),
                    ('advance', '>', 0),
                    ]),
            ],
        states={
            'readonly': (
                (Eval('state') != 'draft') | Bool(Eval('payment_term'))),
            'invisible': ~Eval('imposes_payment', False),
            },
        help="The amount that the customer must have paid.")
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')
    imposes_payment = fields.Function(
        fields.Boolean("May Impose Payment Terms"),
        'on_change_with_imposes_payment')
    can_close = fields.Function(
        fields.Boolean("Can Close"), 'get_can_close')
    note = fields.Text(
        "Note",
        states={
            'readonly': ~Eval('can_close', False),
            },
        help="How the condition was met, or why it was waived.")
    closed_by = fields.Many2One(
        'company.employee', "Closed By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('closed_at'),
            })
    closed_at = fields.DateTime(
        "Closed At", readonly=True,
        states={
            'invisible': ~Eval('closed_at'),
            })
    reminded_on = fields.Date("Reminded On", readonly=True)
    state = fields.Selection([
            ('draft', "Draft"),
            ('open', "Open"),
            ('done', "Done"),
            ('waived', "Waived"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.signoff, Index.Equality())),
                Index(t, (t.sale, Index.Equality())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.department, Index.Equality()),
                    (t.due_date, Index.Range()),
                    where=t.state == 'open'),
                })
        cls._order = [
            ('due_date', 'ASC'),
            ('id', 'ASC'),
            ]
        cls._buttons.update({
                'do': {
                    'invisible': (
                        (Eval('state') != 'open')
                        | Bool(Eval('payment_term'))),
                    'icon': 'tryton-ok',
                    'depends': ['state', 'payment_term'],
                    },
                'waive': {
                    'invisible': Eval('state') != 'open',
                    'icon': 'tryton-cancel',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @fields.depends('signoff', '_parent_signoff.company')
    def on_change_signoff(self):
        self.company = self.signoff.company if self.signoff else None

    @fields.depends('signoff', '_parent_signoff.currency')
    def on_change_with_currency(self, name=None):
        return self.signoff.currency if self.signoff else None

    @classmethod
    def default_imposes_payment(cls):
        # The client does not know the sign-off of a new line yet
        return Transaction().context.get('imposes_payment', False)

    @fields.depends('signoff', '_parent_signoff.imposes_payment')
    def on_change_with_imposes_payment(self, name=None):
        return self.signoff.imposes_payment if self.signoff else None

    @fields.depends(
        'payment_term', 'name', 'signoff', '_parent_signoff.department')
    def on_change_payment_term(self):
        if self.payment_term:
            self.gate = 'confirm'
            self.department = (
                self.signoff.department if self.signoff else None)
            def get_name(payment_term):
                return gettext(
                    'sale_order_review.msg_condition_name_payment_term',
                    payment_term=payment_term)
            before, after = get_name('\n').split('\n')
            name = self.name or ''
            # The name of another term that was chosen before goes with it
            if not name or (name.startswith(before) and name.endswith(after)):
                self.name = get_name(self.payment_term.rec_name)

    @fields.depends(
        'advance', 'name', 'gate', 'currency', 'signoff',
        '_parent_signoff.department')
    def on_change_advance(self):
        if self.advance:
            self.gate = self.gate or 'process'
            self.department = (
                self.signoff.department if self.signoff else None)
            if not self.name and self.currency:
                self.name = gettext(
                    'sale_order_review.msg_condition_name_advance',
                    amount=Report.format_currency(
                        self.advance, None, self.currency))

    @property
    def notification_name(self):
        "The name of the condition in notifications"
        return f'{self.sale.rec_name} – {self.name}'

    @classmethod
    def view_attributes(cls):
        late = (
            (Eval('state') == 'open') & (Eval('due_date', Date()) < Date()))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['done', 'waived', 'cancelled']),
                    'muted', '')),
            ('/tree/field[@name="due_date"]', 'visual',
                If(late, 'danger', '')),
            *((f'/tree/field[@name="{name}"]', 'tree_invisible',
                    ~Eval('imposes_payment', True))
                for name in ['payment_term', 'advance']),
            ('/form//group[@id="buttons"]', 'states', {
                    'invisible': ~Eval('can_close', False),
                    }, ['can_close']),
            ]

    @classmethod
    def validate_fields(cls, conditions, field_names):
        super().validate_fields(conditions, field_names)
        cls.check_imposed(conditions, field_names)

    @classmethod
    def check_imposed(cls, conditions, field_names=None):
        "Check that the department may impose what it does and sees to it"
        if field_names and not (field_names & {
                    'signoff', 'department', 'payment_term', 'advance'}):
            return
        for condition in conditions:
            if not condition._imposed:
                continue
            signoff = condition.signoff
            message = None
            if not signoff.imposes_payment:
                message = 'msg_condition_impose'
            elif condition.department != signoff.department:
                message = 'msg_condition_impose_department'
            if message:
                raise ConditionValidationError(gettext(
                        f'sale_order_review.{message}',
                        condition=condition.rec_name,
                        signoff=signoff.rec_name,
                        department=signoff.department.rec_name))

    @property
    def _imposed(self):
        return self.payment_term or self.advance is not None

    @classmethod
    def preprocess_values(cls, mode, values):
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        values = super().preprocess_values(mode, values)
        if mode == 'create' and values.get('signoff'):
            with without_check_access():
                signoff = Signoff(values['signoff'])
                values['sale'] = signoff.sale.id
                values['company'] = signoff.company.id
        return values

    @classmethod
    def check_modification(
            cls, mode, conditions, values=None, external=False):
        if cls._can_modify(mode, conditions, values):
            with _recording():
                super().check_modification(
                    mode, conditions, values=values, external=external)
        else:
            super().check_modification(
                mode, conditions, values=values, external=external)

    @classmethod
    def _can_modify(cls, mode, conditions, values):
        """Return whether the user may

        Who can sign prepares the conditions, who can close them adds a
        note."""
        if mode == 'write' and values.keys() == {'note'}:
            if any(c.state != 'open' for c in conditions):
                return False
            try:
                cls._get_closing(conditions, ['department', 'signoff'])
            except ConditionError:
                return False
            return True
        if mode == 'write' and values.keys() - {
                'name', 'department', 'employee', 'due_date', 'gate',
                'payment_term', 'advance'}:
            return False
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        conditions = cls.browse(conditions)
        # As the user who asks
        can_sign = Signoff.get_can_sign(
            Signoff.browse({c.signoff for c in conditions}), 'can_sign')
        return all(
            c.state == 'draft' and not c.closed_at and not c.closed_by
            and not c.note and can_sign[c.signoff.id]
            for c in conditions)

    @classmethod
    def _deny_modification(cls, mode, conditions):
        raise AccessError(gettext(
                'sale_order_review.msg_condition_modify',
                condition=conditions[0].rec_name))

    @classmethod
    def open(cls, conditions):
        "Open the conditions under which a sign-off was approved"
        pool = Pool()
        Date = pool.get('ir.date')
        conditions = [c for c in conditions if c.state == 'draft']
        if not conditions:
            return
        with _recording():
            cls.write(conditions, {'state': 'open'})
        cls._notify(
            conditions, Date.today(), 'tryton-ok',
            'sale_order_review.msg_notification_condition')

    @classmethod
    def _notify(cls, conditions, date, icon, message_id):
        """Notify the person who is named by the condition as long as they can
        do it, otherwise all who can"""
        pool = Pool()
        Department = pool.get('company.department')
        Review = pool.get('sale.review')
        employees = defaultdict(list)
        signatories = Department.get_signatories(
            {c.department for c in conditions}, date)
        for condition in conditions:
            able = signatories[condition.department.id]
            if condition.payment_term:
                # Who sells sets it
                able = [condition.signoff.requested_by]
            elif condition.employee in able:
                able = [condition.employee]
            for employee in able:
                employees[employee].append(condition)
        Review.notify_employees(employees, icon, message_id)

    @classmethod
    def cancel_prepared(cls, reviews):
        "Cancel the conditions of the reviews that were prepared only"
        if not reviews:
            return
        cls._cancel(cls.search([
                    ('signoff.review', 'in', [r.id for r in reviews]),
                    ('state', '=', 'draft'),
                    ]))

    @classmethod
    def cancel_superseded(cls, signoffs):
        """Cancel the conditions of the former rounds in whose place the
        sign-offs are signed.

        They are those of the same rule, and those of the department by rules
        that do not apply any more. Until somebody decides they hold."""
        by_origin = defaultdict(list)
        for signoff in signoffs:
            if signoff.review.previous:
                by_origin[str(signoff.review.origin)].append(signoff)
        if not by_origin:
            return
        cls._cancel([
                c for c in cls.search([
                        ('signoff.review.origin', 'in', list(by_origin)),
                        ('state', '=', 'open'),
                        ('signoff.review', 'not in', [
                                s.review.id for s in signoffs]),
                        ])
                if any(
                    s._supersedes(c.signoff)
                    for s in by_origin[str(c.signoff.review.origin)])])

    @classmethod
    def _cancel(cls, conditions):
        if conditions:
            with _recording():
                cls.write(conditions, {
                        'state': 'cancelled',
                        'closed_at': dt.datetime.now(),
                        })

    @classmethod
    @ModelView.button
    def do(cls, conditions):
        for condition in conditions:
            message = None
            if condition.payment_term:
                message = 'msg_condition_do_payment_term'
            elif (condition.advance is not None
                    and not (condition.note or '').strip()):
                message = 'msg_condition_do_advance'
            if message:
                raise ConditionError(gettext(
                        f'sale_order_review.{message}',
                        condition=condition.rec_name))
        cls._close(conditions, 'done', ['department'])

    @classmethod
    @ModelView.button
    def waive(cls, conditions):
        for condition in conditions:
            if not (condition.note or '').strip():
                raise ConditionError(gettext(
                        'sale_order_review.msg_condition_waive_note',
                        condition=condition.rec_name))
        cls._close(conditions, 'waived', ['signoff'])

    @classmethod
    def _close(cls, conditions, state, names):
        for condition in conditions:
            if condition.state != 'open':
                raise ConditionError(gettext(
                        'sale_order_review.msg_condition_closed',
                        condition=condition.rec_name,
                        state=cls.__names__('state', condition)['value']))
        now = dt.datetime.now()
        employees = cls._get_closing(conditions, names)
        with _recording():
            for employee, conditions in employees.items():
                cls.write(conditions, {
                        'state': state,
                        'closed_at': now,
                        'closed_by': employee.id,
                        })
        sales = {c.sale for cs in employees.values() for c in cs}
        cls._process([s for s in sales if s.state == 'confirmed'])

    @classmethod
    @without_check_access
    def meet(cls, sales):
        "Close the conditions of the payment terms that the sales now have"
        conditions = [
            c for c in cls._get_open(sales)
            if c.payment_term
            and c._is_in_force() and c._is_met(c._sale_payment_term)]
        now = dt.datetime.now()
        with _recording():
            for company, c_conditions in group_by_company(conditions):
                employee = _get_employee(company)
                cls.write(c_conditions, {
                        'state': 'done',
                        'closed_at': now,
                        'closed_by': employee.id if employee else None,
                        })

    @classmethod
    def _process(cls, sales):
        "Process the sales that have waited for it"
        Sale = Pool().get('sale.sale')
        if sales:
            Sale.__queue__.process(sales)

    @classmethod
    def get_can_close(cls, conditions, name):
        result = {c.id: False for c in conditions}
        user_employees = _get_employees({c.company for c in conditions})
        for condition, employees, _ in cls._get_closers(
                [c for c in conditions if c.state == 'open'],
                ['department', 'signoff']):
            employee = user_employees[condition.company]
            result[condition.id] = employee in employees
        return result

    @classmethod
    def _get_closing(cls, conditions, names):
        """Return by employee of the user the conditions, or raise
        ConditionError if they may not close them"""
        closing = defaultdict(list)
        with without_check_access():
            user_employees = _get_employees({c.company for c in conditions})
            for condition, employees, departments in cls._get_closers(
                    conditions, names):
                employee = user_employees[condition.company]
                if employee not in employees:
                    raise ConditionError(gettext(
                            'sale_order_review.msg_condition_department',
                            condition=condition.rec_name,
                            departments=', '.join(sorted(
                                    d.rec_name for d in departments))))
                closing[employee].append(condition)
        return closing

    @classmethod
    @without_check_access
    def _get_closers(cls, conditions, names):
        """Return the conditions with the employees who may close them and
        their departments

        names are 'department' for those of the department that must do it and
        'signoff' for those who could sign what asked for it. Who could not
        sign because it is segregated closes nothing."""
        pool = Pool()
        Date = pool.get('ir.date')
        Department = pool.get('company.department')
        Signoff = pool.get('sale.review.signoff')
        closers = []
        conditions = cls.browse(conditions)
        members = Department.get_signatories(
            {c.department for c in conditions}, Date.today())
        signatories = Signoff._get_signatories(
            list({c.signoff for c in conditions}))
        excluded = Signoff._get_excluded([
                c.signoff for c in conditions if c.signoff.segregated])
        for condition in conditions:
            employees, departments = set(), set()
            if 'department' in names:
                employees.update(members[condition.department.id])
                departments.add(condition.department)
            if 'signoff' in names:
                employees.update(signatories[condition.signoff])
                departments.add(condition.signoff.department)
            employees -= excluded.get(condition.signoff, set())
            closers.append((condition, employees, departments))
        return closers

    @classmethod
    def get_open(cls, sales, gate, domain=()):
        """Return by sale the texts of the open conditions that hold the gate,
        of those in the domain"""
        texts = defaultdict(list)
        conditions = cls._get_open(sales)
        if not conditions:
            return {}
        sales = {s.id: s for s in sales}
        # A review can catch up with what is confirmed already
        gates = ['confirm', 'process'] if gate == 'process' else [gate]
        for condition in cls._search_open(
                [('id', 'in', [c.id for c in conditions]), *domain], *gates):
            if (condition._is_in_force()
                    and not condition._is_met(condition._sale_payment_term)):
                texts[sales[condition.sale.id]].append(
                    condition._get_held_text(gate))
        return dict(texts)

    @classmethod
    def get_proposed(cls, payment_terms):
        """Return by origin the texts of the open conditions under which it was
        approved and without which it is not applied

        payment_terms are by origin the id of that the order would have."""
        texts = defaultdict(list)
        origins = {str(o): o for o in payment_terms}
        conditions = cls._get_open({o.review_sale for o in payment_terms})
        if not conditions:
            return {}
        for condition in cls._search_open([
                    ('id', 'in', [c.id for c in conditions]),
                    ('signoff.review.origin', 'in', list(origins)),
                    ],
                'confirm', 'process'):
            origin = origins[str(condition.signoff.review.origin)]
            if not condition._is_met(payment_terms[origin]):
                texts[origin].append(condition._get_held_text('amendment'))
        return dict(texts)

    @classmethod
    def _get_open(cls, sales):
        "Return the open conditions of the sales, of which hardly any has one"
        return cls.browse([
                r['id'] for r in snapshots.select(
                    cls, {'id', 'state'}, 'sale', [s.id for s in sales])
                if r['state'] == 'open'])

    @classmethod
    @without_check_access
    def _search_open(cls, domain, *gates):
        return cls.search([
                *domain,
                ('gate', 'in', gates),
                ('state', '=', 'open'),
                ])

    def _is_in_force(self):
        "Return whether it is not one of a change that is only proposed"
        origin = self.signoff.review.origin
        return origin == self.sale or origin.state == 'validated'

    @property
    def _sale_payment_term(self):
        payment_term = self.sale.payment_term
        return payment_term.id if payment_term else None

    def _is_met(self, payment_term):
        "Return whether the payment term with the id is the imposed one"
        return bool(self.payment_term) and self.payment_term.id == payment_term

    def _get_held_text(self, gate):
        """The text of what is held until the condition is done

        gate is 'amendment' for what is only proposed."""
        if self.payment_term:
            message = 'msg_condition_payment_term'
            if gate == 'amendment':
                message = 'msg_condition_payment_term_amendment'
            return gettext(
                f'sale_order_review.{message}',
                origin=self.signoff.review.origin.rec_name,
                payment_term=self.payment_term.rec_name,
                condition=self.name,
                department=self.department.rec_name)
        return gettext(
            f'sale_order_review.msg_condition_{gate}',
            origin=self.signoff.review.origin.rec_name,
            sale=self.sale.rec_name,
            condition=self.name,
            department=self.department.rec_name,
            date=Report.format_date(self.due_date))

    @classmethod
    def check_open(cls, sales, gate):
        """Raise ConditionError with all the open conditions of the sales that
        hold the gate"""
        if texts := cls.get_open(sales, gate):
            raise ConditionError(
                '\n'.join(t for ts in texts.values() for t in ts))

    @classmethod
    def remind(cls, company, today):
        "Remind once of the conditions of the company that are due"
        conditions = cls.search([
                ('company', '=', company.id),
                ('state', '=', 'open'),
                ('sale.state', '!=', 'cancelled'),
                ('due_date', '<=', today),
                ('reminded_on', '=', None),
                ])
        if not conditions:
            return
        cls._notify(
            conditions, today, 'tryton-warning',
            'sale_order_review.msg_notification_condition_due')
        with _recording():
            cls.write(conditions, {'reminded_on': today})


class Signoff(metaclass=PoolMeta):
    __name__ = 'sale.review.signoff'

    conditions = fields.One2Many(
        'sale.review.condition', 'signoff', "Conditions",
        states={
            'readonly': (
                (Eval('state') != 'pending') | ~Eval('can_sign', False)),
            },
        context={
            'imposes_payment': Eval('imposes_payment', False),
            },
        depends={'imposes_payment'},
        help="The conditions under which you approve.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'approve_with_conditions': {
                    'icon': 'tryton-ok',
                    },
                'mark_not_applicable': {
                    'icon': 'tryton-forward',
                    },
                })

    @classmethod
    @ModelView.button
    def approve_with_conditions(cls, signoffs):
        cls._decide(signoffs, 'conditional')

    @classmethod
    @ModelView.button
    def mark_not_applicable(cls, signoffs):
        cls._decide(signoffs, 'not_applicable')

    @classmethod
    def _user_fields(cls):
        return super()._user_fields() | {'conditions'}

    @classmethod
    def _check_decision(cls, signoffs, decision):
        super()._check_decision(signoffs, decision)
        for signoff in signoffs:
            drafts = [c for c in signoff.conditions if c.state == 'draft']
            if decision == 'conditional' and not drafts:
                raise ConditionError(gettext(
                        'sale_order_review.msg_signoff_conditions_missing',
                        signoff=signoff.rec_name))
            elif decision in {'approve', 'not_applicable'} and drafts:
                raise ConditionError(gettext(
                        'sale_order_review.msg_signoff_conditions',
                        signoff=signoff.rec_name,
                        conditions=', '.join(c.name for c in drafts)))

    @classmethod
    def _decided(cls, signoffs, decision):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        super()._decided(signoffs, decision)
        if decision == 'conditional':
            Condition.open([c for s in signoffs for c in s.conditions])

    @classmethod
    def _close(cls, signoffs, decision, now):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        super()._close(signoffs, decision, now)
        if signoffs and decision != 'return':
            Condition.cancel_superseded(signoffs)

    def _supersedes(self, former):
        "Return whether it is signed in the place of one of a former round"
        if self.rule == former.rule:
            return True
        return (
            self.department == former.department
            and former.rule not in {s.rule for s in self.review.signoffs})

    def _get_approved_state(self):
        if any(c.state != 'cancelled' for c in self.conditions):
            return 'conditional'
        return super()._get_approved_state()

    def _holds_for(self, signed, content, names):
        pool = Pool()
        Sale = pool.get('sale.sale')
        if super()._holds_for(signed, content, names):
            return True
        # Who imposed the payment term has signed for it
        sale = signed[Sale.__name__]
        return any(
            super(Signoff, self)._holds_for({
                    **signed,
                    Sale.__name__: {
                        **sale, 'payment_term': c.payment_term.id},
                    }, content, names)
            for c in self.conditions
            if c.payment_term and c.state == 'open')

    @classmethod
    def create_planned(cls, planned, now):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        planned = list(planned)
        pending = super().create_planned(planned, now)
        Condition.cancel_prepared(
            [p.previous for _, p in planned if p.previous])
        return pending

    @classmethod
    def _remind(cls, company, today):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        super()._remind(company, today)
        Condition.remind(company, today)


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    review_conditions = fields.One2Many(
        'sale.review.condition', 'sale', "Conditions", readonly=True,
        filter=[
            ('state', '!=', 'draft'),
            ],
        states={
            'invisible': ~Eval('review_conditions'),
            })

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('review_conditions')
        return super().copy(sales, default=default)

    @classmethod
    def _get_unmet(cls, sales):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        unmet = super()._get_unmet(sales)
        for sale, texts in Condition.get_open(sales, 'confirm').items():
            unmet.setdefault(sale, []).extend(texts)
        return unmet

    @classmethod
    def _traced_confirmed(cls, sales, unreviewed):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        super()._traced_confirmed(sales, unreviewed)
        Condition.meet(sales)

    @classmethod
    def _get_held(cls, sales):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        held = super()._get_held(sales)
        for sale, texts in Condition.get_open(sales, 'process').items():
            held.setdefault(sale, []).extend(texts)
        return held


class Move(metaclass=PoolMeta):
    __name__ = 'stock.move'

    @classmethod
    def check_modification(cls, mode, moves, values=None, external=False):
        super().check_modification(
            mode, moves, values=values, external=external)
        # A client could otherwise ship without the button, or hide the sale
        # from it
        if (external and mode == 'write'
                and (values.keys() & {'origin', 'to_location'}
                    or values.get('state', 'cancelled') != 'cancelled')):
            with without_check_access():
                cls.check_conditions(
                    [m for m in cls.browse(moves) if m.state != 'done'])

    @classmethod
    def check_conditions(cls, moves):
        """Raise ConditionError with all the open conditions that hold the
        shipment of the moves"""
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        SaleLine = pool.get('sale.line')
        Condition.check_open({
                m.origin.sale for m in moves
                if isinstance(m.origin, SaleLine)
                and m.to_location.type == 'customer'}, 'shipment')

    @classmethod
    @ModelView.button
    def do(cls, moves):
        cls.check_conditions(
            [m for m in moves if m.state not in {'done', 'cancelled'}])
        super().do(moves)


class ShipmentOut(metaclass=PoolMeta):
    __name__ = 'stock.shipment.out'

    @classmethod
    @ModelView.button
    def ship(cls, shipments):
        pool = Pool()
        Move = pool.get('stock.move')
        # The goods leave before their moves are done
        Move.check_conditions([
                m for s in shipments if s.state == 'packed'
                for m in s.outgoing_moves
                if m.state not in {'staging', 'done', 'cancelled'}])
        super().ship(shipments)


class Invoice(metaclass=PoolMeta):
    __name__ = 'account.invoice'

    @classmethod
    def check_modification(cls, mode, invoices, values=None, external=False):
        super().check_modification(
            mode, invoices, values=values, external=external)
        if (external and mode == 'write'
                and values.get('state') in {'posted', 'paid'}):
            with without_check_access():
                cls.check_conditions(cls.browse(invoices))

    @classmethod
    def check_conditions(cls, invoices):
        """Raise ConditionError with all the open conditions that hold the
        posting of the invoices"""
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Condition.check_open({s for i in invoices for s in i.sales}, 'invoice')

    @classmethod
    def _post(cls, invoices):
        cls.check_conditions([
                i for i in invoices if not i.move or i.move.state != 'posted'])
        super()._post(invoices)


class InvoiceLine(metaclass=PoolMeta):
    __name__ = 'account.invoice.line'

    @classmethod
    def check_modification(cls, mode, lines, values=None, external=False):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        SaleLine = pool.get('sale.line')
        super().check_modification(
            mode, lines, values=values, external=external)
        # The invoice would no longer be known as one of the sale
        if external and mode == 'write' and 'origin' in values:
            with without_check_access():
                Condition.check_open({
                        l.origin.sale for l in cls.browse(lines)
                        if isinstance(l.origin, SaleLine)
                        and l.invoice_state not in {'posted', 'paid'}},
                    'invoice')


class Attachment(metaclass=PoolMeta):
    __name__ = 'ir.attachment'

    def _is_review_evidence(self):
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        if isinstance(self.resource, Condition):
            return self.resource.state not in {'draft', 'open'}
        return super()._is_review_evidence()
