# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from contextlib import contextmanager

from sql import Literal, Union
from sql.aggregate import Count, Sum
from sql.conditionals import Case

from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction

from .care import ActionMixin
from .exceptions import CareError
from .file import recording

_ENDED = ['rejected', 'done', 'cancelled']


class Configuration(metaclass=PoolMeta):
    __name__ = 'customer.configuration'

    complaint_completion = fields.MultiValue(fields.Boolean(
            "Complaints Need Cause and Reply",
            help="Check to keep complaints open until their cause and when "
            "the customer was informed are recorded."))

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field == 'complaint_completion':
            return pool.get('customer.configuration.care')
        return super().multivalue_model(field)


class ConfigurationCare(metaclass=PoolMeta):
    __name__ = 'customer.configuration.care'

    complaint_completion = fields.Boolean("Complaints Need Cause and Reply")


class Complaint(metaclass=PoolMeta):
    __name__ = 'sale.complaint'

    _states_care = {
        'readonly': Eval('state').in_(_ENDED),
        }

    severity = fields.Selection([
            (None, ""),
            ('minor', "Minor"),
            ('major', "Major"),
            ('critical', "Critical"),
            ], "Severity", sort=False, states=_states_care)
    cause = fields.Selection([
            (None, ""),
            ('product', "Product"),
            ('delivery', "Delivery"),
            ('documents', "Documents"),
            ('communication', "Communication"),
            ('service', "Service"),
            ('price', "Price"),
            ('customer', "Customer"),
            ('other', "Other"),
            ], "Cause", sort=False, states=_states_care)
    cause_analysis = fields.Text(
        "Cause Analysis", states=_states_care,
        help="Why it came to the complaint.")
    cause_department = fields.Many2One(
        'company.department', "Department of the Cause", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states=_states_care)
    remedy = fields.Text(
        "Remedy", states=_states_care,
        help="What is done for the customer.")
    preventions = fields.One2Many(
        'sale.complaint.prevention', 'complaint', "Prevention",
        states={
            'readonly': Eval('state') == 'cancelled',
            },
        help="What is done so that it does not happen again.")
    customer_informed_on = fields.Date(
        "Customer Informed On", states=_states_care)
    customer_informed_by = fields.Many2One(
        'company.employee', "Customer Informed By", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': _states_care['readonly'],
            'required': Bool(Eval('customer_informed_on')),
            })
    customer_informed_means = fields.Selection([
            (None, ""),
            ('telephone', "Telephone"),
            ('email', "E-Mail"),
            ('letter', "Letter"),
            ('visit', "Visit"),
            ('other', "Other"),
            ], "Customer Informed By Means Of", sort=False,
        states={
            'readonly': _states_care['readonly'],
            'required': Bool(Eval('customer_informed_on')),
            })
    closed_on = fields.Date(
        "Closed On", readonly=True,
        states={
            'invisible': ~Eval('closed_on'),
            })

    del _states_care

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.customer, Index.Equality())),
                Index(
                    t,
                    (t.company, Index.Equality()),
                    (t.date, Index.Range())),
                Index(t, (t.cause_department, Index.Equality())),
                })

    @classmethod
    def view_attributes(cls):
        open_ = ~Eval('state').in_(_ENDED)
        return super().view_attributes() + [
            ('/tree/field[@name="severity"]', 'visual',
                If(open_ & (Eval('severity') == 'critical'), 'danger',
                    If(open_ & (Eval('severity') == 'major'),
                        'warning', ''))),
            ]

    @classmethod
    def check_modification(cls, mode, complaints, values=None, external=False):
        super().check_modification(
            mode, complaints, values=values, external=external)
        if mode == 'write' and not Transaction().context.get('_customer_care'):
            if 'closed_on' in values:
                cls._deny_care(complaints[0])
            if values.keys() & cls._care_names():
                for complaint in complaints:
                    if complaint.state in _ENDED:
                        cls._deny_care(complaint)
        elif mode == 'create' and any(
                c.closed_on for c in complaints):
            cls._deny_care(complaints[0])

    @classmethod
    def _deny_care(cls, complaint):
        raise AccessError(gettext(
                'customer_grading.msg_care_write',
                **cls.__names__(record=complaint)))

    @classmethod
    def _care_names(cls):
        "Return the names of the fields that stay as they were at the end"
        return {
            'severity', 'cause', 'cause_analysis', 'cause_department',
            'remedy', 'customer_informed_on', 'customer_informed_by',
            'customer_informed_means'}

    @classmethod
    def copy(cls, complaints, default=None):
        default = default.copy() if default is not None else {}
        for name in [*cls._care_names(), 'preventions', 'closed_on']:
            default.setdefault(name)
        return super().copy(complaints, default=default)

    @classmethod
    @ModelView.button
    def draft(cls, complaints):
        super().draft(complaints)
        cls._set_closed([
                c for c in cls.browse(complaints)
                if c.state == 'draft' and c.closed_on], None)

    @classmethod
    @ModelView.button
    def approve(cls, complaints):
        # What is not complete stays approved instead of failing in the queue
        with Transaction().set_context(_customer_complaint_queued=True):
            super().approve(complaints)

    @classmethod
    @ModelView.button
    def reject(cls, complaints):
        with cls._closing(complaints):
            super().reject(complaints)

    @classmethod
    @ModelView.button
    def process(cls, complaints):
        missing = cls._get_missing(complaints)
        if Transaction().context.get('_customer_complaint_queued'):
            complaints = [c for c in complaints if c not in missing]
        elif missing:
            raise CareError('\n'.join(missing.values()))
        with cls._closing(complaints):
            super().process(complaints)

    @classmethod
    @contextmanager
    def _closing(cls, complaints):
        "Note the day for those of the complaints that come to their end"
        pool = Pool()
        Date = pool.get('ir.date')
        open_ = [c for c in complaints if c.state not in _ENDED]
        yield
        closed = [c for c in cls.browse(open_) if c.state in _ENDED]
        for company, c_complaints in group_by_company(closed):
            with Transaction().set_context(company=company.id):
                today = Date.today()
            cls._set_closed(c_complaints, today)

    @classmethod
    def _set_closed(cls, complaints, date):
        if not complaints:
            return
        with recording('_customer_care'):
            cls.write(complaints, {'closed_on': date})

    @classmethod
    def _get_missing(cls, complaints):
        """Return by complaint the text of what it misses to be done, if the
        company wants it"""
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        configuration = Configuration(1)
        required = {
            c: configuration.get_multivalue(
                'complaint_completion', company=c.id)
            for c in {c.company for c in complaints}}
        texts = {}
        for complaint in complaints:
            if not required[complaint.company]:
                continue
            missing = []
            if not complaint.cause or not (
                    complaint.cause_analysis or '').strip():
                missing.append(
                    gettext('customer_grading.msg_complaint_cause'))
            if not complaint.customer_informed_on:
                missing.append(
                    gettext('customer_grading.msg_complaint_informed'))
            if missing:
                texts[complaint] = gettext(
                    'customer_grading.msg_complaint_missing',
                    complaint=complaint.rec_name,
                    missing='\n'.join(missing))
        return texts


class ComplaintPrevention(ActionMixin):
    "What is done so that a complaint does not come again"
    __name__ = 'sale.complaint.prevention'

    complaint = fields.Many2One(
        'sale.complaint', "Complaint", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })

    _parent_name = 'complaint'
    _parent_states = (
        'draft', 'waiting', 'approved', 'rejected', 'done')
    company = fields.Function(
        fields.Many2One('company.company', "Company"),
        'on_change_with_company', searcher='search_company')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('complaint')
        cls._sql_indexes.update({
                Index(t, (t.complaint, Index.Equality())),
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.due_date, Index.Range()),
                    where=t.state == 'open'),
                })

    @fields.depends('complaint', '_parent_complaint.company')
    def on_change_with_company(self, name=None):
        return self.complaint.company if self.complaint else None

    @classmethod
    def search_company(cls, name, clause):
        return [('complaint.' + clause[0], *clause[1:])]


class Metric(metaclass=PoolMeta):
    __name__ = 'customer.grading.metric'

    @classmethod
    def get_metrics(cls):
        return super().get_metrics() + [
            ('complaint_rate', gettext(
                    'customer_grading.msg_metric_complaint_rate')),
            ]

    @classmethod
    def families(cls):
        return {**super().families(), 'complaints': ['complaint_rate']}

    @classmethod
    def get_kinds(cls):
        return {**super().get_kinds(), 'complaint_rate': 'share'}

    @classmethod
    def _metric_complaints(cls, company, start, end, parties=None):
        """The complaints that were accepted in the window by its orders

        Who complains without having ordered meanwhile counts as if there had
        been one order."""
        pool = Pool()
        Complaint = pool.get('sale.complaint')
        Sale = pool.get('sale.sale')
        complaint = Complaint.__table__()
        sale = Sale.__table__()
        union = Union(
            sale.select(
                sale.party.as_('party'),
                Count(sale.id).as_('orders'),
                Literal(0).as_('complaints'),
                where=(sale.company == company.id)
                & sale.state.in_(['confirmed', 'processing', 'done'])
                & (sale.sale_date > start)
                & (sale.sale_date <= end)
                & cls.where_parties(sale.party, parties),
                group_by=sale.party),
            complaint.select(
                complaint.customer.as_('party'),
                Literal(0).as_('orders'),
                Count(complaint.id).as_('complaints'),
                where=(complaint.company == company.id)
                & complaint.state.in_(['approved', 'done'])
                & (complaint.date > start)
                & (complaint.date <= end)
                & cls.where_parties(complaint.customer, parties),
                group_by=complaint.customer),
            all_=True)
        orders = Sum(union.orders)
        complaints = Sum(union.complaints)
        number = Case((orders > 0, orders), else_=Literal(1))
        return union.select(
            union.party.as_('party'),
            cls.divide(complaints * 1.0, number).as_('complaint_rate'),
            number.as_('complaint_rate_count'),
            group_by=union.party)

    @classmethod
    def _changed_complaints(cls, company, since):
        pool = Pool()
        Complaint = pool.get('sale.complaint')
        complaint = Complaint.__table__()
        return Union(
            cls._changed_records(
                complaint, complaint.customer, since,
                complaint.company == company.id),
            cls._changed_sales(company, since))
