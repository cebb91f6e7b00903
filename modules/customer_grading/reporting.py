# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from dateutil.relativedelta import relativedelta
from sql import Cast, Literal, Select, Union, Window
from sql.aggregate import Count, Sum
from sql.conditionals import Case, Coalesce, NullIf
from sql.functions import Round, RowNumber

from trytond.i18n import gettext, lazy_gettext
from trytond.model import ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.pyson import Eval, If, PYSONEncoder
from trytond.transaction import Transaction
from trytond.wizard import StateAction, StateTransition, Wizard

from .file import CustomerMixin, get_context_company
from .grade import AXES
from .metric import SALE_STATES, number

# More than there are axes
_NUMBER = 10


def get_period():
    "Return the first and the last date of the context, None without"
    context = Transaction().context
    return [
        dt.date.fromisoformat(d) if isinstance(d, str) else d
        for d in [context.get('from_date'), context.get('to_date')]]


class RevenueMixin(ModelSQL):
    "Figures of the revenue of a company in a period"
    __slots__ = ()

    company = fields.Many2One(
        'company.company',
        lazy_gettext('customer_grading.msg_reporting_company'))
    currency = fields.Many2One(
        'currency.currency',
        lazy_gettext('customer_grading.msg_reporting_currency'))
    revenue = Monetary(
        lazy_gettext('customer_grading.msg_reporting_revenue'),
        currency='currency', digits='currency',
        help=lazy_gettext('customer_grading.msg_reporting_revenue_help'))
    share = fields.Float(
        lazy_gettext('customer_grading.msg_reporting_share'),
        digits=(None, 4),
        help=lazy_gettext('customer_grading.msg_reporting_share_help'))

    @classmethod
    def table_query(cls):
        company = cls._get_company()
        if company:
            return cls._query(company)
        return cls._empty()

    @classmethod
    def _query(cls, company):
        raise NotImplementedError

    @classmethod
    def _get_company(cls):
        "Return the company of the context if the user may see it"
        pool = Pool()
        Company = pool.get('company.company')
        company = get_context_company()
        return Company(company) if company is not None else None

    @classmethod
    def _empty(cls):
        pool = Pool()
        Company = pool.get('company.company')
        table = Company.__table__()
        columns = [
            f.sql_cast(Literal(None)).as_(n) for n, f in cls._fields.items()
            if n != 'id' and not isinstance(f, fields.Function)]
        return table.select(
            table.id.as_('id'), *columns, where=Literal(False))

    @classmethod
    def _revenue(cls, company):
        """Return the query of the number and the amount of the orders of the
        company in the period, by party"""
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        start, end = get_period()
        sale = Metric.sales(
            company, start - dt.timedelta(days=1) if start else None,
            end or dt.date.max)
        return sale.select(
            sale.party.as_('party'),
            Count(Literal(1)).as_('number'),
            Sum(sale.amount).as_('revenue'),
            group_by=sale.party)

    @classmethod
    def _grades(cls, company, axis=None):
        "Return the query of the current grades by party and axis"
        pool = Pool()
        Grade = pool.get('customer.grade')
        grade = Grade.__table__()
        where = Grade._current(grade, company)
        if axis:
            where &= grade.axis == axis
        return grade.select(
            grade.party.as_('party'),
            grade.axis.as_('axis'),
            grade.grade.as_('grade'),
            where=where)

    @classmethod
    def _share(cls, part, total):
        return cls.share.sql_cast(number(part) / NullIf(number(total), 0))

    @classmethod
    def _amount(cls, expression, company):
        return cls.revenue.sql_cast(
            Round(expression, company.currency.digits))


def _positive(column):
    "Return the expression of what the shares are of"
    return Case((column > 0, column), else_=0)


class Context(ModelView):
    __name__ = 'customer.grading.reporting.context'

    company = fields.Many2One('company.company', "Company", required=True)
    from_date = fields.Date("From Date",
        domain=[
            If(Eval('to_date') & Eval('from_date'),
                ('from_date', '<=', Eval('to_date')),
                ()),
            ])
    to_date = fields.Date("To Date",
        domain=[
            If(Eval('from_date') & Eval('to_date'),
                ('to_date', '>=', Eval('from_date')),
                ()),
            ])

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_from_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        context = Transaction().context
        if 'from_date' in context:
            return context['from_date']
        return Date.today() - relativedelta(years=1)

    @classmethod
    def default_to_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        context = Transaction().context
        if 'to_date' in context:
            return context['to_date']
        return Date.today()


class Pareto(CustomerMixin, RevenueMixin, ModelView):
    "Which customers make the revenue, the one with the most first"
    __name__ = 'customer.grading.pareto'

    position = fields.Integer("Position")
    party = fields.Many2One(
        'party.party', "Customer",
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    number = fields.Integer("Orders")
    cumulative = fields.Float(
        "Cumulative Share", digits=(None, 4),
        help="The share of the revenue that the customer and those with more "
        "have together.")
    class_ = fields.Many2One(
        'customer.grading.grade', "Class", help="The current one.")
    level = fields.Many2One(
        'customer.grading.grade', "Level", help="The current one.")
    credit = fields.Many2One(
        'customer.grading.grade', "Credit", help="The current one.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('position', 'ASC'), ('id', 'ASC')]

    @classmethod
    def _get_hidden(cls, hidden):
        company = cls._get_company()
        return hidden.select(
            hidden.party,
            where=hidden.company == (company.id if company else -1))

    @classmethod
    def _query(cls, company):
        revenue = cls._revenue(company)
        grades = [cls._grades(company, a) for a, _ in AXES]
        from_item = revenue
        for grade in grades:
            from_item = from_item.join(
                grade, 'LEFT', condition=grade.party == revenue.party)
        order = [revenue.revenue.desc, revenue.party.asc]
        positive = _positive(revenue.revenue)
        total = Sum(positive, window=Window([]))
        cumulative = Sum(positive, window=Window(
                [], order_by=order, frame='ROWS', start=None, end=0))
        return from_item.select(
            revenue.party.as_('id'),
            Literal(company.id).as_('company'),
            Literal(company.currency.id).as_('currency'),
            RowNumber(window=Window([], order_by=order)).as_('position'),
            revenue.party.as_('party'),
            revenue.number.as_('number'),
            cls._amount(revenue.revenue, company).as_('revenue'),
            cls._share(positive, total).as_('share'),
            cls._share(cumulative, total).as_('cumulative'),
            *(g.grade.as_(n)
                for g, n in zip(grades, ['class_', 'level', 'credit'])))

    @classmethod
    def get_rec_name(cls, records, name):
        pool = Pool()
        Party = pool.get('party.party')
        parties = Party.browse([r.party for r in records])
        return {r.id: p.rec_name for r, p in zip(records, parties)}

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]


class ByGrade(RevenueMixin, ModelView):
    "How many customers have a grade and which revenue they make"
    __name__ = 'customer.grading.reporting.grade'

    axis = fields.Selection(AXES, "Axis", sort=False)
    axis_string = axis.translated('axis')
    grade = fields.Many2One('customer.grading.grade', "Grade")
    customers = fields.Integer(
        "Customers",
        help="Those who have the grade now, without any those who ordered.")
    customer_share = fields.Float("Share of Customers", digits=(None, 4))

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('axis', 'ASC'),
            ('grade.rank', 'ASC NULLS LAST'),
            ('id', 'ASC'),
            ]

    @classmethod
    def order_axis(cls, tables):
        table, _ = tables[None]
        return [table.id % _NUMBER]

    @classmethod
    def _query(cls, company):
        revenue, ordered = cls._revenue(company), cls._revenue(company)
        grade, graded = cls._grades(company), cls._grades(company)
        axes = Union(*(
                Select([
                        Cast(Literal(i), 'INTEGER').as_('number'),
                        Cast(Literal(a), 'VARCHAR').as_('axis')])
                for i, (a, _) in enumerate(AXES, 1)))
        party = Union(
            ordered.select(ordered.party.as_('party')),
            graded.select(graded.party.as_('party')))
        counted = (party
            .join(axes, 'CROSS')
            .join(grade, 'LEFT',
                condition=(grade.party == party.party)
                & (grade.axis == axes.axis))
            .join(revenue, 'LEFT', condition=revenue.party == party.party)
            .select(
                (Coalesce(grade.grade, 0) * _NUMBER + axes.number).as_('id'),
                axes.axis.as_('axis'),
                grade.grade.as_('grade'),
                Count(Literal(1)).as_('customers'),
                Coalesce(Sum(revenue.revenue), 0).as_('revenue'),
                group_by=[axes.axis, axes.number, grade.grade]))
        axis = Window([counted.axis])
        positive = _positive(counted.revenue)
        return counted.select(
            counted.id.as_('id'),
            Literal(company.id).as_('company'),
            Literal(company.currency.id).as_('currency'),
            counted.axis.as_('axis'),
            counted.grade.as_('grade'),
            counted.customers.as_('customers'),
            cls._share(
                counted.customers, Sum(counted.customers, window=axis)
                ).as_('customer_share'),
            cls._amount(counted.revenue, company).as_('revenue'),
            cls._share(positive, Sum(positive, window=axis)).as_('share'))

    def get_rec_name(self, name):
        if self.grade:
            return f'{self.axis_string} {self.grade.rec_name}'
        return gettext('customer_grading.msg_reporting_no_grade',
            axis=self.axis_string)

    @classmethod
    def get_parties(cls, record):
        "Return the domain of the parties that are counted"
        name = f'customer_{record.axis}'
        domain = [(name, '=', record.grade.id if record.grade else None)]
        if not record.grade:
            cursor = Transaction().connection.cursor()
            revenue = cls._revenue(record.company)
            graded = cls._grades(record.company)
            cursor.execute(*Union(
                    revenue.select(revenue.party),
                    graded.select(graded.party)))
            domain.append(('id', 'in', [p for p, in cursor]))
        return domain


class Open(Wizard):
    "Open what a figure is made of"
    __name__ = 'customer.grading.reporting.open'
    _readonly = True

    start = StateTransition()
    sales = StateAction('customer_grading.act_reporting_sales')
    parties = StateAction('customer_grading.act_reporting_parties')

    def transition_start(self):
        if not self.model or not issubclass(self.model, RevenueMixin):
            raise AccessError(gettext(
                    'ir.msg_access_wizard_model_error',
                    wizard=self.__name__,
                    model=self.model.__name__ if self.model else None))
        return 'sales' if issubclass(self.model, Pareto) else 'parties'

    def do_sales(self, action):
        start, end = get_period()
        domain = [
            ('company', '=', self.record.company.id),
            ('party', 'in', [r.party.id for r in self.records]),
            ('state', 'in', SALE_STATES),
            ]
        if start:
            domain.append(('sale_date', '>=', start))
        if end:
            domain.append(('sale_date', '<=', end))
        action['pyson_domain'] = PYSONEncoder().encode(domain)
        return action, {}

    def do_parties(self, action):
        encoder = PYSONEncoder()
        action['pyson_domain'] = encoder.encode(
            self.record.get_parties(self.record))
        # That of the figures, which need not be that of the user
        action['pyson_context'] = encoder.encode(
            {'company': self.record.company.id})
        return action, {}
