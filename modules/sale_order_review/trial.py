# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import Counter

from dateutil.relativedelta import relativedelta
from sql import Literal
from sql.aggregate import Count

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool
from trytond.pyson import Eval, If, PYSONEncoder
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import Button, StateAction, StateView, Wizard

from .exceptions import RuleError
from .review import _read_target

# How many orders are in the memory at once
_SLICE = 500


class Trial(ModelSQL, ModelView):
    __name__ = 'sale.review.trial'

    rule = fields.Many2One(
        'sale.review.rule', "Rule", required=True, readonly=True,
        ondelete='CASCADE')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='CASCADE')
    department = fields.Many2One(
        'company.department', "Department", required=True, readonly=True,
        ondelete='CASCADE')
    tried_at = fields.DateTime("Tried At", required=True, readonly=True)
    from_date = fields.Date("From Date", required=True, readonly=True)
    to_date = fields.Date("To Date", required=True, readonly=True)
    period_orders = fields.Integer(
        "Orders of the Period", required=True, readonly=True)
    orders = fields.Integer(
        "Orders", required=True, readonly=True,
        help="The number of orders to which the rule applies.")
    failed = fields.Integer(
        "Failed", required=True, readonly=True,
        help="The number of orders on which the condition of the rule cannot "
        "be evaluated.")
    share = fields.Function(
        fields.Float(
            "Share", digits=(1, 4),
            help="The share of the orders of the period to which the rule "
            "applies."),
        'get_share')
    per_week = fields.Function(
        fields.Float(
            "Per Week", digits=(None, 1),
            help="The average number of orders of a week."),
        'get_per_week')
    busiest_week = fields.Date(
        "Busiest Week", readonly=True,
        help="The Monday of the week that has the most orders.")
    busiest_orders = fields.Integer(
        "Orders of the Busiest Week", required=True, readonly=True)
    results = fields.One2Many(
        'sale.review.trial.order', 'trial', "Orders", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_indexes.update({
                Index(t, (t.rule, Index.Equality())),
                Index(t, (t.company, Index.Equality())),
                })

    def get_rec_name(self, name):
        return self.rule.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('rule.rec_name', *clause[1:])]

    def get_share(self, name):
        if self.period_orders:
            return round(self.orders / self.period_orders, 4)

    def get_per_week(self, name):
        days = (self.to_date - self.from_date).days + 1
        return round(self.orders * 7 / days, 1)

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('failed', 0) > 0, 'danger', '')),
            ]

    @classmethod
    @without_check_access
    def run(cls, rules, from_date, to_date):
        """Try the rules, also those that are not active, on the orders of
        their company in the period and return a trial for each of them.

        The orders are those with a sale date that are neither draft nor
        cancelled."""
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')

        rules = Rule.browse(rules)
        if from_date > to_date:
            raise RuleError(gettext('sale_order_review.msg_trial_dates'))
        if others := [r for r in rules if Sale.__name__ not in r.subjects]:
            raise RuleError('\n'.join(
                    gettext('sale_order_review.msg_trial_subject',
                        rule=r.rec_name)
                    for r in others))
        trials = []
        for company, c_rules in group_by_company(rules):
            sales = Sale.search([
                    ('company', '=', company.id),
                    ('sale_date', '>=', from_date),
                    ('sale_date', '<=', to_date),
                    ('state', 'not in', ['draft', 'cancelled']),
                    ], order=[('id', 'ASC')])
            c_trials = cls.create([{
                        'rule': rule.id,
                        'company': company.id,
                        'department': rule.department.id,
                        'tried_at': dt.datetime.now(),
                        'from_date': from_date,
                        'to_date': to_date,
                        'period_orders': len(sales),
                        'orders': 0,
                        'failed': 0,
                        'busiest_orders': 0,
                        } for rule in c_rules])
            with Transaction().set_context(
                    company=company.id, _sale_review_past=True):
                cls._run(c_trials, [s.id for s in sales])
            trials += c_trials
        return trials

    @classmethod
    def _run(cls, trials, sales):
        pool = Pool()
        Order = pool.get('sale.review.trial.order')
        Rule = pool.get('sale.review.rule')
        Sale = pool.get('sale.sale')
        rules = Rule.browse([t.rule.id for t in trials])
        rows = {
            r['id']: r for r in Rule.read(
                [r.id for r in rules], list(Rule.criteria()))}
        weeks = [Counter() for _ in trials]
        for ids in grouped_slice(sales, _SLICE):
            orders = Sale.browse(list(ids))
            values, unknown = Rule.get_values(orders, list(rows.values()))
            results = []
            for trial, rule, count in zip(trials, rules, weeks):
                r_values, r_unknown = values, {}
                if unknown:
                    # What the other rules use may be what is missing
                    r_values, r_unknown = Rule.get_values(
                        list(unknown), [rows[rule.id]])
                    r_values = {**values, **r_values}
                for order in orders:
                    # Each rule alone, as one that fails hides no other
                    try:
                        if order in r_unknown:
                            raise RuleError(r_unknown[order])
                        if not (rule.match(r_values[order])
                                and rule._match_condition(order)):
                            continue
                    except RuleError as exception:
                        failed, reason = True, exception.message
                        trial.failed += 1
                    else:
                        failed = False
                        reason = rule._get_reason(r_values[order])
                        trial.orders += 1
                        count[_monday(order.sale_date)] += 1
                    results.append({
                            'trial': trial.id,
                            'sale': order.id,
                            'date': order.sale_date,
                            'week': _monday(order.sale_date),
                            'reason': reason,
                            'failed': failed,
                            })
            Order.create(results)
        for trial, count in zip(trials, weeks):
            if count:
                # The first of those that have as many
                trial.busiest_week, trial.busiest_orders = max(
                    sorted(count.items()), key=lambda c: c[1])
        cls.save(trials)


class TrialOrder(ModelSQL, ModelView):
    __name__ = 'sale.review.trial.order'

    trial = fields.Many2One(
        'sale.review.trial', "Trial", required=True, readonly=True,
        ondelete='CASCADE')
    company = fields.Function(
        fields.Many2One('company.company', "Company"), 'get_trial_field')
    rule = fields.Function(
        fields.Many2One('sale.review.rule', "Rule"),
        'get_trial_field', searcher='search_trial_field')
    department = fields.Function(
        fields.Many2One('company.department', "Department"),
        'get_trial_field', searcher='search_trial_field')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='CASCADE')
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'get_sale_field', searcher='search_sale_field')
    date = fields.Date("Date", required=True, readonly=True)
    week = fields.Date(
        "Week", required=True, readonly=True,
        help="The Monday of the week.")
    reason = fields.Text(
        "Why", readonly=True,
        help="Why the rule applies, or why it cannot be evaluated.")
    failed = fields.Boolean(
        "Failed", readonly=True,
        help="The condition of the rule cannot be evaluated on the order.")
    # What the graph adds up
    orders = fields.Function(fields.Integer("Orders"), 'get_orders')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('trial')
        cls._order = [('date', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.trial, Index.Equality()),
                    (t.date, Index.Range(order='DESC'))),
                Index(t, (t.sale, Index.Equality())),
                })

    @classmethod
    def get_trial_field(cls, orders, names):
        return _read_target(orders, 'trial', names)

    @classmethod
    def search_trial_field(cls, name, clause):
        return [('trial.' + clause[0], *clause[1:])]

    @classmethod
    def get_sale_field(cls, orders, names):
        return _read_target(orders, 'sale', names)

    @classmethod
    def search_sale_field(cls, name, clause):
        return [('sale.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return self.sale.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('sale.rec_name', *clause[1:])]

    def get_orders(self, name):
        return int(not self.failed)

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('failed', False), 'danger', '')),
            ]


class TrialDepartment(ModelSQL, ModelView):
    "The orders of the trials of the context, each once for a department"
    __name__ = 'sale.review.trial.department'

    company = fields.Many2One('company.company', "Company")
    department = fields.Many2One('company.department', "Department")
    orders = fields.Integer(
        "Orders",
        help="The number of orders to which any of the rules of the "
        "department applies.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order.insert(0, ('department', 'ASC'))

    @classmethod
    def table_query(cls):
        pool = Pool()
        Order = pool.get('sale.review.trial.order')
        Trial = pool.get('sale.review.trial')
        order = Order.__table__()
        trial = Trial.__table__()
        return order.join(trial, condition=order.trial == trial.id).select(
            trial.department.as_('id'),
            trial.company.as_('company'),
            trial.department.as_('department'),
            Count(order.sale, distinct=True).as_('orders'),
            where=fields.SQL_OPERATORS['in'](
                trial.id, Transaction().context.get('trials') or [])
            & (order.failed == Literal(False)),
            group_by=[trial.company, trial.department])

    def get_rec_name(self, name):
        return self.department.rec_name


class Try(Wizard):
    __name__ = 'sale.review.rule.try'

    start = StateView('sale.review.rule.try.start',
        'sale_order_review.rule_try_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Try", 'try_', 'tryton-ok', default=True),
            ])
    try_ = StateAction('sale_order_review.act_trial_form')

    def default_start(self, fields):
        pool = Pool()
        Date = pool.get('ir.date')
        with Transaction().set_context(company=self.record.company.id):
            today = Date.today()
        return {
            'from_date': today - relativedelta(months=3),
            'to_date': today,
            }

    def do_try_(self, action):
        pool = Pool()
        Trial = pool.get('sale.review.trial')
        trials = Trial.run(
            self.records, self.start.from_date, self.start.to_date)
        action['pyson_domain'] = PYSONEncoder().encode([
                ('id', 'in', [t.id for t in trials])])
        return action, {}


class TryStart(ModelView):
    __name__ = 'sale.review.rule.try.start'

    from_date = fields.Date(
        "From Date", required=True,
        domain=[
            If(Eval('from_date') & Eval('to_date'),
                ('from_date', '<=', Eval('to_date')),
                ()),
            ])
    to_date = fields.Date(
        "To Date", required=True,
        domain=[
            If(Eval('from_date') & Eval('to_date'),
                ('to_date', '>=', Eval('from_date')),
                ()),
            ],
        help="The orders of which the sale date lies in the period are "
        "tried.")


def _monday(date):
    return date - dt.timedelta(days=date.weekday())
