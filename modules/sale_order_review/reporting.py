# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from dateutil.relativedelta import relativedelta
from sql import Literal, Null, Window
from sql.aggregate import Avg, Count, Max, Min, Sum
from sql.conditionals import Case, Coalesce, Greatest
from sql.functions import DateTrunc, Extract
from sql.operators import Exists

from trytond.i18n import gettext, lazy_gettext
from trytond.model import ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool
from trytond.pyson import Eval, If, PYSONEncoder
from trytond.transaction import Transaction
from trytond.wizard import StateAction, StateTransition, Wizard

_DATE = fields.Date("Date")


def _seconds(column):
    return Extract('EPOCH', column)


class Abstract(ModelSQL):

    company = fields.Many2One(
        'company.company',
        lazy_gettext('sale_order_review.msg_reporting_company'))
    number = fields.Integer(
        lazy_gettext('sale_order_review.msg_reporting_number'))

    @classmethod
    def table_query(cls):
        source = cls._source()
        return source.select(
            *cls._columns(source),
            where=cls._where(source),
            group_by=cls._group_by(source))

    @classmethod
    def _source(cls):
        """Return the query of what is counted

        It has at least the columns id, company, date and period."""
        raise NotImplementedError

    @classmethod
    def _columns(cls, source):
        return [
            Min(cls._column_id(source)).as_('id'),
            source.company.as_('company'),
            Count(source.id).as_('number'),
            ]

    @classmethod
    def _column_id(cls, source):
        return source.id

    @classmethod
    def _where(cls, source):
        context = Transaction().context
        where = Literal(True)
        if from_date := context.get('from_date'):
            where &= source.date >= from_date
        if to_date := context.get('to_date'):
            where &= source.date <= to_date
        return where

    @classmethod
    def _group_by(cls, source):
        return [source.company]

    @classmethod
    def get_counted(cls, records):
        "Return the list of ids of what the records count"
        cursor = Transaction().connection.cursor()
        source = cls._source()
        counted = source.select(
            source.id.as_('id'),
            Min(cls._column_id(source),
                window=Window(cls._group_by(source))).as_('group'),
            where=cls._where(source))
        cursor.execute(*counted.select(
                counted.id,
                where=fields.SQL_OPERATORS['in'](
                    counted.group, [r.id for r in records]),
                order_by=counted.id))
        return [id_ for id_, in cursor]

    @classmethod
    def _date(cls, column):
        "Return the date of the column in the time zone of the company"
        pool = Pool()
        Company = pool.get('company.company')
        company = Transaction().context.get('company')
        timezone = None
        if company is not None and company >= 0:
            timezone = Company(company).timezone
        return _DATE.sql_cast(column, timezone=timezone)

    @classmethod
    def _period(cls, date):
        "Return the first date of the period of the date"
        period = Transaction().context.get('period', 'month')
        return _DATE.sql_cast(DateTrunc(period, date))


class TimeseriesMixin:
    __slots__ = ()

    date = fields.Date(lazy_gettext('sale_order_review.msg_reporting_date'))

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order.insert(0, ('date', 'ASC'))

    @classmethod
    def _columns(cls, source):
        return super()._columns(source) + [source.period.as_('date')]

    @classmethod
    def _group_by(cls, source):
        return super()._group_by(source) + [source.period]


class SignoffMixin:
    "Count the sign-offs on which a department has decided"
    __slots__ = ()

    @classmethod
    def _source(cls):
        pool = Pool()
        Decision = pool.get('sale.review.decision')
        Signoff = pool.get('sale.review.signoff')
        context = Transaction().context
        decision = Decision.__table__()
        signoff = Signoff.__table__()
        pause = cls._pauses()
        closed = Signoff.__table__()
        returned = decision.join(
            closed, condition=decision.signoff == closed.id
            ).select(
                decision.signoff, Min(decision.cause).as_('cause'),
                where=(decision.decision == 'return')
                & (closed.company == context.get('company')),
                group_by=decision.signoff)
        date = cls._date(signoff.closed_at)
        where = (
            (signoff.company == context.get('company'))
            & signoff.state.in_([
                    'approved', 'conditional', 'not_applicable', 'returned']))
        if department := context.get('department'):
            where &= signoff.department == department
        return (signoff
            .join(returned, 'LEFT', condition=returned.signoff == signoff.id)
            .join(pause, 'LEFT', condition=pause.signoff == signoff.id)
            .select(
                signoff.id.as_('id'),
                signoff.company.as_('company'),
                signoff.department.as_('department'),
                signoff.state.as_('state'),
                returned.cause.as_('cause'),
                date.as_('date'),
                cls._period(date).as_('period'),
                ((_seconds(signoff.closed_at)
                        - _seconds(signoff.pending_at)
                        - Coalesce(pause.seconds, 0)) / 3600.).as_('hours'),
                # The clock of one that was returned can stand still
                Case(
                    (Coalesce(signoff.paused_since, date) > signoff.deadline,
                        Literal(1)),
                    else_=Literal(0)).as_('late'),
                where=where))

    @classmethod
    def _pauses(cls):
        """Return the query of the seconds during which the clock of the
        sign-offs stood still, without counting twice the time during which
        several inquiries were open"""
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        Signoff = pool.get('sale.review.signoff')
        context = Transaction().context
        inquiry = Inquiry.__table__()
        signoff = Signoff.__table__()
        start = _seconds(inquiry.asked_at)
        # The decision closes those without reply
        end = _seconds(Coalesce(inquiry.replied_at, signoff.closed_at))
        before = Window(
            [inquiry.signoff], order_by=[inquiry.asked_at, inquiry.id],
            frame='ROWS', end=-1)
        stop = inquiry.join(
            signoff, condition=inquiry.signoff == signoff.id
            ).select(
                inquiry.signoff.as_('signoff'),
                start.as_('start'),
                end.as_('end'),
                Max(end, window=before).as_('before'),
                where=(signoff.closed_at != Null)
                & (signoff.company == context.get('company')))
        return stop.select(
            stop.signoff.as_('signoff'),
            Sum(Greatest(
                    stop.end - Greatest(
                        stop.start, Coalesce(stop.before, stop.start)),
                    0)).as_('seconds'),
            group_by=stop.signoff)


class DepartmentMixin(SignoffMixin):
    __slots__ = ()

    department = fields.Many2One('company.department', "Department")
    average = fields.Float(
        lazy_gettext('sale_order_review.msg_reporting_average'),
        digits=(None, 1),
        help=lazy_gettext('sale_order_review.msg_reporting_hours_help'))
    longest = fields.Float(
        lazy_gettext('sale_order_review.msg_reporting_longest'),
        digits=(None, 1),
        help=lazy_gettext('sale_order_review.msg_reporting_hours_help'))
    late = fields.Integer(
        lazy_gettext('sale_order_review.msg_reporting_late'))
    on_time = fields.Float(
        lazy_gettext('sale_order_review.msg_reporting_on_time'),
        digits=(None, 4),
        help=lazy_gettext('sale_order_review.msg_reporting_on_time_help'))

    @classmethod
    def _columns(cls, source):
        number = cls.on_time.sql_cast(Count(source.id))
        return super()._columns(source) + [
            source.department.as_('department'),
            cls.average.sql_cast(Avg(source.hours)).as_('average'),
            cls.longest.sql_cast(Max(source.hours)).as_('longest'),
            Sum(source.late).as_('late'),
            ((number - Sum(source.late)) / number).as_('on_time'),
            ]

    @classmethod
    def _group_by(cls, source):
        return super()._group_by(source) + [source.department]

    def get_rec_name(self, name):
        return self.department.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('department.rec_name', *clause[1:])]


class CauseMixin(SignoffMixin):
    __slots__ = ()

    cause = fields.Selection(
        'get_causes', lazy_gettext('sale_order_review.msg_reporting_cause'),
        sort=False)
    cause_string = cause.translated('cause')
    share = fields.Float(
        lazy_gettext('sale_order_review.msg_reporting_share'),
        digits=(None, 4),
        help=lazy_gettext('sale_order_review.msg_reporting_share_help'))

    @classmethod
    def get_causes(cls):
        pool = Pool()
        Decision = pool.get('sale.review.decision')
        return Decision.fields_get(['cause'])['cause']['selection']

    @classmethod
    def table_query(cls):
        # The others are needed to know how many there are
        query = super().table_query()
        return query.select(where=query.state == 'returned')

    @classmethod
    def _columns(cls, source):
        decided = cls.share.sql_cast(Sum(
                Count(source.id),
                window=Window(super()._group_by(source))))
        return super()._columns(source) + [
            source.state.as_('state'),
            source.cause.as_('cause'),
            (Count(source.id) / decided).as_('share'),
            ]

    @classmethod
    def _group_by(cls, source):
        return super()._group_by(source) + [source.state, source.cause]

    def get_rec_name(self, name):
        return self.cause_string


class Context(ModelView):
    __name__ = 'sale.review.reporting.context'

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
    period = fields.Selection([
            ('year', "Year"),
            ('month', "Month"),
            ('day', "Day"),
            ], "Period", required=True, sort=False)
    department = fields.Many2One(
        'company.department', "Department",
        domain=[
            ('company', '=', Eval('company', -1)),
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

    @classmethod
    def default_period(cls):
        return Transaction().context.get('period', 'month')

    @classmethod
    def default_department(cls):
        return Transaction().context.get('department')


class Department(DepartmentMixin, Abstract, ModelView):
    __name__ = 'sale.review.reporting.department'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order.insert(0, ('department', 'ASC'))

    @classmethod
    def _column_id(cls, source):
        return source.department


class DepartmentTimeseries(
        DepartmentMixin, TimeseriesMixin, Abstract, ModelView):
    __name__ = 'sale.review.reporting.department.time_series'


class Cause(CauseMixin, Abstract, ModelView):
    __name__ = 'sale.review.reporting.cause'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order.insert(0, ('number', 'DESC'))


class CauseTimeseries(CauseMixin, TimeseriesMixin, Abstract, ModelView):
    __name__ = 'sale.review.reporting.cause.time_series'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            (f'/graph/y/field[@key="{cause}"]', 'domain',
                Eval('cause') == cause, ['cause'])
            for cause, _ in cls.get_causes() if cause]


class Approval(TimeseriesMixin, Abstract, ModelView):
    __name__ = 'sale.review.reporting.approval'

    first = fields.Integer(
        "In First Round",
        help="The number of orders that were approved in their first round.")
    first_pass = fields.Float(
        "First-Pass Yield", digits=(None, 4),
        help="The share of the approved orders that were so in their first "
        "round.")

    @classmethod
    def _source(cls):
        pool = Pool()
        Review = pool.get('sale.review')
        Signoff = pool.get('sale.review.signoff')
        context = Transaction().context
        review = Review.__table__()
        where = (
            (review.company == context.get('company'))
            & review.origin.like('sale.sale,%')
            # What was superseded may have been returned or withdrawn
            & review.state.in_(['approved', 'superseded'])
            & (review.signed == review.required)
            # Nobody has approved what no rule asked to be signed
            & (review.required > 0))
        # An order that is changed later is counted once
        approved = review.select(
            Min(review.id).as_('id'),
            review.company.as_('company'),
            review.origin.as_('origin'),
            Min(review.round).as_('round'),
            Min(review.closed_at).as_('closed_at'),
            where=where,
            group_by=[review.company, review.origin])
        where = Literal(True)
        if department := context.get('department'):
            # What the department had a part in until it was approved
            part = Review.__table__()
            signoff = Signoff.__table__()
            where &= Exists(part.join(
                    signoff, condition=signoff.review == part.id
                    ).select(
                        Literal(1),
                        where=(part.origin == approved.origin)
                        & (part.id <= approved.id)
                        & (signoff.department == department)
                        & (signoff.state != 'cancelled')))
        date = cls._date(approved.closed_at)
        return approved.select(
            approved.id.as_('id'),
            approved.company.as_('company'),
            date.as_('date'),
            cls._period(date).as_('period'),
            Case((approved.round == 1, Literal(1)), else_=Literal(0)
                ).as_('first'),
            where=where)

    @classmethod
    def _columns(cls, source):
        number = cls.first_pass.sql_cast(Count(source.id))
        return super()._columns(source) + [
            Sum(source.first).as_('first'),
            (Sum(source.first) / number).as_('first_pass'),
            ]


class OpenCounted(Wizard):
    __name__ = 'sale.review.reporting.open_counted'
    _readonly = True

    start = StateTransition()
    signoffs = StateAction('sale_order_review.act_signoff_counted')
    reviews = StateAction('sale_order_review.act_review_counted')

    def transition_start(self):
        if not self.model or not issubclass(self.model, Abstract):
            raise AccessError(gettext(
                    'ir.msg_access_wizard_model_error',
                    wizard=self.__name__,
                    model=self.model.__name__ if self.model else None))
        if issubclass(self.model, SignoffMixin):
            return 'signoffs'
        return 'reviews'

    def _do_action(self, action):
        action['pyson_domain'] = PYSONEncoder().encode([
                ('id', 'in', self.model.get_counted(self.records)),
                ])
        return action, {}
    do_signoffs = do_reviews = _do_action
