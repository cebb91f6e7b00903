# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
import time

from trytond.cache import Cache
from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, MatchMixin, ModelSQL, ModelView, fields,
    sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.model.modelstorage import EvalEnvironment
from trytond.modules.company_department.tools import (
    get_users, group_by_company)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.pyson import Bool, Eval, If, PYSONDecoder
from trytond.transaction import (
    Transaction, inactive_records, without_check_access)

from .exceptions import RuleChecklistWarning, RuleError, RuleValidationError
from .review import _count_signatories, _filter_signatories
from .sale import _parents


def _is_between(value, minimum, maximum):
    return (
        (minimum is None or value >= minimum)
        and (maximum is None or value <= maximum))


class Rule(
        sequence_ordered(), DeactivableMixin, MatchMixin, ModelSQL,
        ModelView):
    __name__ = 'sale.review.rule'

    name = fields.Char("Name", required=True, translate=True)
    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='CASCADE',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    subjects = fields.MultiSelection(
        'get_subjects', "Subjects", required=True,
        help="What the rule applies to.")

    department = fields.Many2One(
        'company.department', "Department", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        help="The department that must sign.")
    stage = fields.Integer(
        "Stage", required=True,
        help="The departments of a stage sign in parallel, "
        "after those of all lower stages.")
    signatories = fields.Selection([
            ('head', "Head"),
            ('any', "Any Person"),
            ('all', "All Persons"),
            ('number', "Number of Persons"),
            ], "Signatories", required=True, sort=False,
        help="Who must sign for the department.")
    number = fields.Integer(
        "Number of Signatories",
        states={
            'invisible': Eval('signatories') != 'number',
            'required': Eval('signatories') == 'number',
            },
        help="How many persons of the department must sign.")
    segregated = fields.Boolean(
        "Segregated",
        help="Check to refuse the signature of who requested the review or "
        "entered the order.")
    imposes_payment = fields.Boolean(
        "May Impose Payment Terms",
        help="Check to let the department impose a payment term, or an amount "
        "to be paid ahead, as a condition of its sign-off.")
    deadline = fields.Integer(
        "Deadline", required=True,
        help="The number of working days the department has to sign.")
    checklist = fields.Many2One(
        'sale.review.checklist', "Checklist", ondelete='RESTRICT',
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ],
        help="What the department must answer to approve.")
    aspects = fields.MultiSelection([
            ('parties', "Parties"),
            ('products', "Products"),
            ('quantities', "Quantities"),
            ('prices', "Prices"),
            ('dates', "Dates"),
            ('payment', "Payment"),
            ('delivery', "Delivery"),
            ('requirements', "Requirements"),
            ('terms', "Terms"),
            ], "Aspects", sort=False,
        help="A change of the other aspects does not require the department "
        "to sign again.\n"
        "Leave empty for all.")

    minimum_amount = Monetary(
        "Minimum Amount", currency='currency', digits='currency',
        help="The untaxed amount from which the rule applies.")
    maximum_amount = Monetary(
        "Maximum Amount", currency='currency', digits='currency',
        help="The untaxed amount up to which the rule applies.")
    maximum_margin = fields.Numeric(
        "Maximum Margin", digits=(None, 4),
        help="The margin on the cost price up to which the rule applies.\n"
        "It applies also if the margin is unknown.")
    minimum_discount = fields.Numeric(
        "Minimum Discount", digits=(None, 4),
        domain=['OR',
            ('minimum_discount', '=', None),
            ('minimum_discount', '<=', 1),
            ],
        help="The discount on the list price of any line or of all of them "
        "from which the rule applies.\n"
        "What is given for the quantity is a discount too.")
    product_category = fields.Many2One(
        'product.category', "Product Category", ondelete='RESTRICT',
        help="The category to which, or to a child of which, "
        "any of the products must belong.")
    product = fields.Many2One(
        'product.product', "Product", ondelete='RESTRICT',
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    customised = fields.Boolean(
        "Customised",
        help="Applies only if any line is customised.")
    party = fields.Many2One(
        'party.party', "Party", ondelete='CASCADE',
        context={
            'company': Eval('company', -1),
            },
        depends={'company'},
        help="The customer, or the party that is invoiced or shipped to.")
    party_category = fields.Many2One(
        'party.category', "Party Category", ondelete='RESTRICT',
        help="The category to which, or to a child of which, "
        "the customer must belong.")
    new_customer = fields.Boolean(
        "New Customer",
        help="Applies only if the first order of the customer is recent.")
    first_order = fields.Boolean(
        "First Order",
        help="Applies only if the customer has no other order.")
    country = fields.Many2One(
        'country.country', "Country", ondelete='RESTRICT',
        states={
            'invisible': Bool(Eval('abroad')),
            },
        help="The country of the shipment address.")
    abroad = fields.Boolean(
        "Abroad",
        states={
            'invisible': Bool(Eval('country')),
            },
        help="Applies only if the country of the shipment address is not "
        "that of the company.\n"
        "It applies also if one of them is unknown.")
    payment_term = fields.Many2One(
        'account.invoice.payment_term', "Payment Term", ondelete='RESTRICT')
    channel = fields.Many2One(
        'sale.channel', "Channel", ondelete='RESTRICT')
    condition = fields.Char(
        "Condition",
        help='A PYSON statement evaluated with the record represented by '
        '"self".\n'
        'It must evaluate to true for the rule to apply.')
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')
    warnings = fields.Function(
        fields.Text(
            "Warnings",
            states={
                'invisible': ~Eval('warnings'),
                },
            help="What prevents the rule from working as it is meant to."),
        'get_warnings', searcher='search_warnings')

    _rules_cache = Cache('sale.review.rule', context=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [
            ('company', 'ASC'),
            ('stage', 'ASC'),
            ('sequence', 'ASC NULLS FIRST'),
            ('id', 'ASC'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.company, Index.Equality())),
                Index(t, (t.checklist, Index.Equality())),
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_subjects(cls):
        return ['sale.sale']

    @classmethod
    def default_stage(cls):
        return 1

    @classmethod
    def default_signatories(cls):
        return 'any'

    @classmethod
    def default_deadline(cls):
        return 2

    @classmethod
    def get_subjects(cls):
        """Return the models that can be reviewed.

        Their records answer to the criteria with get_review_values and give
        their content with get_review_snapshots."""
        pool = Pool()
        Model = pool.get('ir.model')
        return [('sale.sale', Model.get_name('sale.sale'))]

    @classmethod
    def criteria_model(cls, subject):
        """Return the name of the model whose records answer to the criteria of
        the rules for the subject"""
        return subject

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return self.company.currency if self.company else None

    @fields.depends('abroad')
    def on_change_abroad(self):
        if self.abroad:
            self.country = None

    @classmethod
    @without_check_access
    def get_warnings(cls, rules, name):
        pool = Pool()
        Date = pool.get('ir.date')
        Department = pool.get('company.department')
        warnings = {}
        for company, c_rules in group_by_company(cls.browse(rules)):
            with Transaction().set_context(company=company.id):
                signatories = Department.get_signatories(
                    {r.department for r in c_rules}, Date.today())
                users = get_users(
                    {e for a in signatories.values() for e in a})
                for rule in c_rules:
                    warnings[rule.id] = '\n'.join([
                            *rule._get_signatory_warnings(
                                signatories[rule.department.id], users),
                            *rule._get_warnings()]) or None
        return warnings

    def _get_signatory_warnings(self, signatories, users):
        acting = _filter_signatories(
            signatories, self.signatories, self.department, set())
        number, needed = _count_signatories(
            acting, users, self.signatories, self.number)
        if number < needed:
            yield gettext(
                'sale_order_review.msg_rule_warning_signatories',
                department=self.department.rec_name,
                number=number,
                needed=needed)

    def _get_warnings(self):
        "Yield the texts of what is wrong with the rule itself"
        for name in ['department', 'checklist', *self.criteria()]:
            if self._fields[name]._type != 'many2one':
                continue
            record = getattr(self, name)
            if record and not getattr(record, 'active', True):
                yield gettext(
                    'sale_order_review.msg_rule_warning_inactive',
                    **self.__names__(name), value=record.rec_name)
        if self.checklist and not self.checklist.points:
            yield gettext(
                'sale_order_review.msg_rule_checklist_empty',
                rule=self.rec_name,
                checklist=self.checklist.rec_name)
        if self.abroad and self.country:
            address = self.company.party.address_get()
            if address and address.country == self.country:
                yield gettext(
                    'sale_order_review.msg_rule_warning_abroad',
                    country=self.country.rec_name)
        if (self.product and self.product_category
                and self.product_category.id not in _parents(
                    self.product.categories_all)):
            yield gettext(
                'sale_order_review.msg_rule_warning_product',
                product=self.product.rec_name,
                category=self.product_category.rec_name)
        if (self.party and self.party_category
                and self.party_category.id not in _parents(
                    self.party.categories)):
            yield gettext(
                'sale_order_review.msg_rule_warning_party',
                party=self.party.rec_name,
                category=self.party_category.rec_name)
        if self.maximum_amount is not None and self.maximum_amount < 0:
            yield gettext('sale_order_review.msg_rule_warning_amount')
        if self.condition:
            try:
                self._try_condition()
            except Exception as exception:
                yield gettext(
                    'sale_order_review.msg_rule_condition_invalid',
                    rule=self.rec_name,
                    condition=self.condition,
                    exception=exception)

    @classmethod
    def search_warnings(cls, name, clause):
        _, operator, value = clause
        with inactive_records():
            rules = cls.search([])
        if not isinstance(value, (list, tuple)):
            value = [value]
        # No value is what those without warnings have
        texts = [v.strip('%').lower() for v in value if v is not None]
        found = [
            id_ for id_, warnings in cls.get_warnings(rules, name).items()
            if (any(t in warnings.lower() for t in texts) if warnings
                else None in value)]
        negative = operator.startswith(('!', 'not'))
        return [('id', 'not in' if negative else 'in', found)]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Bool(Eval('warnings')), 'warning', '')),
            ]

    @classmethod
    def validate_fields(cls, rules, field_names):
        super().validate_fields(rules, field_names)
        cls.check_numbers(rules, field_names)
        cls.check_condition(rules, field_names)
        cls.check_checklist(rules, field_names)

    @classmethod
    def check_numbers(cls, rules, field_names=None):
        if field_names and not (field_names & {
                    'deadline', 'signatories', 'number', 'minimum_amount',
                    'maximum_amount'}):
            return
        for rule in rules:
            if rule.deadline <= 0:
                raise RuleValidationError(gettext(
                        'sale_order_review.msg_rule_deadline_positive',
                        rule=rule.rec_name))
            if (rule.signatories == 'number'
                    and rule.number is not None and rule.number <= 0):
                raise RuleValidationError(gettext(
                        'sale_order_review.msg_rule_number_positive',
                        rule=rule.rec_name))
            if (rule.minimum_amount is not None
                    and rule.maximum_amount is not None
                    and rule.minimum_amount > rule.maximum_amount):
                raise RuleValidationError(gettext(
                        'sale_order_review.msg_rule_amounts',
                        rule=rule.rec_name))

    @classmethod
    def check_condition(cls, rules, field_names=None):
        """Check that the conditions decode and that they evaluate to a boolean
        with a record of each of their subjects"""
        if field_names and not (field_names & {'condition', 'subjects'}):
            return
        for rule in rules:
            if not rule.condition:
                continue
            try:
                rule._try_condition()
            except Exception as exception:
                raise RuleValidationError(gettext(
                        'sale_order_review.msg_rule_condition_invalid',
                        rule=rule.rec_name,
                        condition=rule.condition,
                        exception=exception)) from exception

    def _try_condition(self):
        pool = Pool()
        PYSONDecoder(noeval=True).decode(self.condition)
        for subject in self.subjects:
            Model = pool.get(self.criteria_model(subject))
            _check_names(json.loads(self.condition), Model)
            for record in Model.search(
                    [('company', '=', self.company.id)],
                    order=[('id', 'DESC')], limit=1):
                self._evaluate_condition(record)

    @classmethod
    def check_checklist(cls, rules, field_names=None):
        "Warn of the checklists that ask nothing"
        pool = Pool()
        Warning = pool.get('res.user.warning')
        if field_names and 'checklist' not in field_names:
            return
        empty = [r for r in rules if r.checklist and not r.checklist.points]
        if empty:
            name = Warning.format('sale_review_rule_checklist', empty)
            if Warning.check(name):
                raise RuleChecklistWarning(name, '\n'.join(
                        gettext('sale_order_review.msg_rule_checklist_empty',
                            rule=r.rec_name,
                            checklist=r.checklist.rec_name)
                        for r in empty))

    @classmethod
    def check_modification(cls, mode, rules, values=None, external=False):
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        super().check_modification(
            mode, rules, values=values, external=external)
        if mode == 'delete':
            for signoff in Signoff.search([
                        ('rule', 'in', [r.id for r in rules]),
                        ], limit=1):
                raise AccessError(gettext(
                        'sale_order_review.msg_rule_delete',
                        rule=signoff.rule.rec_name))

    @classmethod
    def on_modification(cls, mode, rules, field_names=None):
        pool = Pool()
        Sale = pool.get('sale.sale')
        super().on_modification(mode, rules, field_names=field_names)
        cls._rules_cache.clear()
        # Show on the quotations whether they must be reviewed from now on
        sales = Sale.search([
                ('company', 'in', list({r.company.id for r in rules})),
                ('state', '=', 'quotation'),
                ('review_state', 'in', ['none', 'required']),
                ])
        if sales:
            Sale.__queue__.update_review_state(sales)

    @classmethod
    def copy(cls, rules, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('active', False)
        return super().copy(rules, default=default)

    @classmethod
    def get_rules(cls, company, subject):
        """Return the active rules of the company for the name of the model
        that is reviewed, in the order in which the departments sign"""
        return [cls(**values) for values in cls._get_rows(company, subject)]

    @classmethod
    def has_rules(cls, company, subject):
        "Return whether the company has rules for the name of the model"
        return bool(cls._get_rows(company, subject))

    @classmethod
    def _get_rows(cls, company, subject):
        """Return as get_rules the criteria of the rules, so that no rule is
        read to find that it does not apply"""
        key = (company.id, subject)
        rows = cls._rules_cache.get(key)
        if rows is None:
            names = [*cls.criteria(), 'condition']
            with without_check_access():
                rows = cls.search_read([
                        ('company', '=', company.id),
                        ('subjects', 'in', subject),
                        ('active', '=', True),
                        ], fields_names=names)
            cls._rules_cache.set(key, rows)
        return rows

    @classmethod
    def criteria(cls):
        """Return by name of the fields that are criteria the name of the value
        of the record with which they are compared"""
        return {
            'minimum_amount': 'amount',
            'maximum_amount': 'amount',
            'maximum_margin': 'margin',
            'minimum_discount': 'discount',
            'product_category': 'product_category',
            'product': 'product',
            'customised': 'customised',
            'party': 'party',
            'party_category': 'party_category',
            'new_customer': 'customer',
            'first_order': 'customer',
            'country': 'country',
            'abroad': 'abroad',
            'payment_term': 'payment_term',
            'channel': 'channel',
            }

    @classmethod
    def get_matching(cls, records, subject=None):
        """Return by record the rules that apply to it, and by record whose
        rules cannot be evaluated the text that says why.

        The records are of one model, which gives with get_review_values the
        values of the criteria, only of those that the rules use. The rules are
        those for the subject, the model of the records by default."""
        matching, failed, _ = cls._get_matching(records, subject)
        return matching, failed

    @classmethod
    def get_reasons(cls, records, subject=None, texts=True):
        """Return by record the list of the rules that apply to it with the
        text that explains why each does, or None without texts, and as
        get_matching those that fail"""
        matching, failed, values = cls._get_matching(records, subject)
        return {
            record: [
                (rule, rule._get_reason(values[record]) if texts else None)
                for rule in rules]
            for record, rules in matching.items()}, failed

    @classmethod
    def _get_matching(cls, records, subject=None):
        matching, failed, values = {}, {}, {}
        for company, c_records in group_by_company(records):
            rows = cls._get_rows(company, subject or c_records[0].__name__)
            if not rows:
                matching.update((r, []) for r in c_records)
                values.update((r, {}) for r in c_records)
                continue
            with Transaction().set_context(company=company.id):
                c_values, c_failed = cls.get_values(c_records, rows)
                values.update(c_values)
                failed.update(c_failed)
                # Most have an amount and are not for any of the records
                amounts = {v.get('amount') for v in c_values.values()}
                rules = [
                    cls(**r) for r in rows
                    if any(_is_between(
                            a, r['minimum_amount'], r['maximum_amount'])
                        for a in amounts)]
                for record in c_values:
                    try:
                        ids = [
                            r.id for r in rules
                            if r.match(values[record])
                            and r._match_condition(record)]
                    except RuleError as exception:
                        failed[record] = exception.message
                    else:
                        # Read at once those that are used
                        matching[record] = cls.browse(ids)
        return matching, failed, values

    @classmethod
    def get_values(cls, records, rows):
        """Return by record of a model the values of the criteria that are set
        in the rows, dictionaries of rules, and by record whose values cannot
        be found the text that says why"""
        names = {
            value for name, value in cls.criteria().items()
            # Not in {None, False}, which holds 0
            if any(
                r[name] is not None and r[name] is not False for r in rows)}
        Model = records[0].__class__
        try:
            return Model.get_review_values(records, sorted(names)), {}
        except UserError as exception:
            if len(records) > 1:
                # Only the record that fails is held
                values, failed = {}, {}
                for record in records:
                    r_values, r_failed = cls.get_values([record], rows)
                    values.update(r_values)
                    failed.update(r_failed)
                return values, failed
            record, = records
            return {}, {
                record: gettext(
                    'sale_order_review.msg_rule_values_failed',
                    record=record.rec_name,
                    reason=exception.message),
                }

    def match(self, pattern, match_none=False):
        pattern = pattern.copy()
        if not _is_between(
                pattern.pop('amount', None),
                self.minimum_amount, self.maximum_amount):
            return False
        margin = pattern.pop('margin', None)
        if (self.maximum_margin is not None
                and margin is not None and margin > self.maximum_margin):
            return False
        discount = pattern.pop('discount', None)
        if (self.minimum_discount is not None
                and (discount is None or discount < self.minimum_discount)):
            return False
        customer = pattern.pop('customer', set())
        for name in ['new_customer', 'first_order']:
            if getattr(self, name) and name not in customer:
                return False
        for name, value in list(pattern.items()):
            criterion = getattr(self, name)
            if isinstance(value, set):
                if criterion and criterion.id not in value:
                    return False
                del pattern[name]
            elif self._fields[name]._type == 'boolean':
                if criterion and not value:
                    return False
                del pattern[name]
        return super().match(pattern, match_none=match_none)

    def _match_condition(self, record):
        if not self.condition:
            return True
        try:
            return self._evaluate_condition(record)
        except Exception as exception:
            raise RuleError(gettext(
                    'sale_order_review.msg_rule_condition_failed',
                    rule=self.rec_name,
                    record=record.rec_name,
                    exception=exception)) from exception

    def _evaluate_condition(self, record):
        env = {
            'current_date': dt.datetime.today(),
            'time': time,
            'context': Transaction().context,
            'self': EvalEnvironment(record, record.__class__),
            }
        return bool(PYSONDecoder(env).decode(self.condition))

    def _get_reason(self, values):
        "Return the text of the criteria of the rule with the values they met"
        return (' • '.join(self._get_reasons(values))
            or gettext('sale_order_review.msg_always'))

    def _get_reasons(self, values):
        "Return the list of the texts of the criteria"
        pool = Pool()
        Lang = pool.get('ir.lang')
        lang = Lang.get()

        def label(name):
            return self.__names__(name)['field']

        def percentage(value):
            if value is None:
                return gettext('sale_order_review.msg_unknown')
            return lang.format_number(value * 100, digits=2) + ' %'

        def currency(value):
            return lang.currency(
                value, self.currency, symbol=False, grouping=True)

        reasons = []
        if (self.minimum_amount is not None
                or self.maximum_amount is not None):
            amount = currency(values['amount'])
            if self.minimum_amount is not None:
                amount = f'{currency(self.minimum_amount)} ≤ {amount}'
            if self.maximum_amount is not None:
                amount = f'{amount} ≤ {currency(self.maximum_amount)}'
            # The symbols of some currencies are the same
            reasons.append(f'{self.currency.code} {amount}')
        for name, value, symbol in [
                ('maximum_margin', values.get('margin'), '≤'),
                ('minimum_discount', values.get('discount'), '≥')]:
            limit = getattr(self, name)
            if limit is not None:
                reasons.append(
                    f'{label(name)}: '
                    f'{percentage(value)} {symbol} {percentage(limit)}')
        for name in self.criteria():
            field = self._fields[name]
            value = getattr(self, name)
            if field._type == 'many2one' and value:
                reasons.append(f'{label(name)}: {value.rec_name}')
            elif field._type == 'boolean' and value:
                reasons.append(label(name))
        if self.condition:
            reasons.append(f"{label('condition')}: {self.condition}")
        return reasons


def _check_names(value, Model):
    "Check that the names evaluated on self are fields of the model"
    if isinstance(value, dict):
        name = value.get('v') if value.get('__class__') == 'Eval' else None
        if name and name.startswith('self.'):
            names = name.split('.')[1:]
            if names[0].startswith('_parent_'):
                names[0] = names[0][len('_parent_'):]
            if names[0] not in Model._fields:
                raise AttributeError(f"{Model.__name__} has no {names[0]}")
        for item in value.values():
            _check_names(item, Model)
    elif isinstance(value, list):
        for item in value:
            _check_names(item, Model)
