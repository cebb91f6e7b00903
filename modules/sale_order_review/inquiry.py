# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict
from itertools import groupby

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.report import Report
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .exceptions import InquiryError
from .review import (
    EvidenceMixin, _check_present, _format_employees, _get_employee,
    _recording)

_ASKED_OF = [
    ('customer', "Customer"),
    ('sales', "Sales"),
    ('department', "Department"),
    ]
_MEANS = [
    ('telephone', "Telephone"),
    ('email', "E-Mail"),
    ('letter', "Letter"),
    ('meeting', "Meeting"),
    ('other', "Other"),
    ]


class Inquiry(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.review.inquiry'
    _rec_name = 'question'

    signoff = fields.Many2One(
        'sale.review.signoff', "Sign-off", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='RESTRICT')
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'get_party', searcher='search_party')
    requested_by = fields.Many2One(
        'company.employee', "Requested By", required=True, readonly=True,
        ondelete='RESTRICT',
        help="Who requested the review.")
    asked_of = fields.Selection(
        _ASKED_OF, "Asked Of", required=True, readonly=True, sort=False)
    department = fields.Many2One(
        'company.department', "Department", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': Eval('asked_of') != 'department',
            },
        help="The department that is asked.")
    person = fields.Char(
        "Person", readonly=True,
        help="The person who is asked.")
    means = fields.Selection(
        _MEANS, "Means", required=True, readonly=True, sort=False)
    question = fields.Text("Question", required=True, readonly=True)
    asked_by = fields.Many2One(
        'company.employee', "Asked By", required=True, readonly=True,
        ondelete='RESTRICT')
    asked_at = fields.DateTime("Asked At", required=True, readonly=True)
    reply_due = fields.Date("Reply Due", required=True, readonly=True)
    reply = fields.Text("Reply", readonly=True)
    replied_with = fields.Char(
        "Replied With", readonly=True,
        states={
            'invisible': ~Eval('replied_with'),
            },
        help="The person who gave the reply.")
    replied_by = fields.Many2One(
        'company.employee', "Replied By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('replied_at'),
            },
        help="The employee who recorded the reply.")
    replied_at = fields.DateTime(
        "Replied At", readonly=True,
        states={
            'invisible': ~Eval('replied_at'),
            })
    reminded_on = fields.Date("Reminded On", readonly=True)
    responsible = fields.Function(
        fields.Char("Responsible", help="Who has to reply."),
        'get_responsible')
    to_reply = fields.Function(
        fields.Boolean("To Reply"),
        'get_to_reply', searcher='search_to_reply')
    mine = fields.Function(
        fields.Boolean("Mine"), 'get_mine', searcher='search_mine')
    state = fields.Selection([
            ('open', "Open"),
            ('answered', "Answered"),
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
                    (t.reply_due, Index.Range()),
                    where=t.state == 'open'),
                Index(
                    t,
                    (t.asked_by, Index.Equality()),
                    (t.state, Index.Equality(cardinality='low'))),
                })
        cls._order = [('reply_due', 'ASC'), ('id', 'ASC')]
        cls._buttons.update({
                'answer': {
                    'invisible': Eval('state') != 'open',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'open'

    def get_rec_name(self, name):
        return f'{self.sale.rec_name} – {self.question.splitlines()[0]}'

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        return [bool_op,
            ('sale.rec_name', operator, operand, *extra),
            ('question', operator, operand, *extra),
            ]

    @classmethod
    def get_party(cls, inquiries, name):
        return {i.id: i.sale.party.id for i in inquiries}

    @classmethod
    def search_party(cls, name, clause):
        return [('sale.' + clause[0], *clause[1:])]

    @property
    def notification_name(self):
        "The name of the inquiry in notifications"
        return f'{self.sale.rec_name} – {self.sale.party.rec_name}'

    @classmethod
    def _get_respondents(cls, inquiries):
        """Return by inquiry the set of the employees who have to reply

        The customer is asked by who requested the review."""
        pool = Pool()
        Date = pool.get('ir.date')
        Department = pool.get('company.department')
        respondents = {i: {i.requested_by} for i in inquiries}
        by_company = defaultdict(list)
        for inquiry in inquiries:
            if inquiry.asked_of == 'department':
                by_company[inquiry.company].append(inquiry)
        for company, c_inquiries in by_company.items():
            with Transaction().set_context(company=company.id):
                today = Date.today()
            signatories = Department.get_signatories(
                {i.department for i in c_inquiries}, today)
            for inquiry in c_inquiries:
                respondents[inquiry] = set(signatories[inquiry.department.id])
        return respondents

    @classmethod
    @without_check_access
    def get_responsible(cls, inquiries, name):
        names = {i.id: None for i in inquiries}
        open_ = cls.browse([i for i in inquiries if i.state == 'open'])
        for inquiry, employees in cls._get_respondents(open_).items():
            names[inquiry.id] = _format_employees(employees)
        return names

    @classmethod
    def get_to_reply(cls, inquiries, name):
        pool = Pool()
        User = pool.get('res.user')
        employees = set(User.get_employees() or [])
        with without_check_access():
            respondents = cls._get_respondents(
                cls.browse([i for i in inquiries if i.state == 'open']))
            respondents = {
                i.id: {e.id for e in es} for i, es in respondents.items()}
        return {
            i.id: bool(employees & respondents.get(i.id, set()))
            for i in inquiries}

    @classmethod
    def search_to_reply(cls, name, clause):
        pool = Pool()
        Department = pool.get('company.department')
        User = pool.get('res.user')
        return cls._search_boolean(clause, [
                ('state', '=', 'open'),
                ['OR', [
                        ('asked_of', '!=', 'department'),
                        ('requested_by', 'in',
                            list(User.get_employees() or [])),
                        ],
                    ('department', 'in', Department._user_departments()),
                    ]])

    @classmethod
    def get_mine(cls, inquiries, name):
        pool = Pool()
        User = pool.get('res.user')
        employees = set(User.get_employees() or [])
        return {i.id: i.asked_by.id in employees for i in inquiries}

    @classmethod
    def search_mine(cls, name, clause):
        pool = Pool()
        User = pool.get('res.user')
        return cls._search_boolean(clause, [
                ('asked_by', 'in', list(User.get_employees() or [])),
                ])

    @classmethod
    def view_attributes(cls):
        open_ = Eval('state') == 'open'
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'cancelled', 'muted', '')),
            ('/tree/field[@name="reply_due"]', 'visual',
                If(open_ & (Eval('reply_due', Date()) < Date()), 'danger',
                    If(open_ & (Eval('reply_due', Date()) <= Date()),
                        'warning', ''))),
            ]

    @classmethod
    @ModelView.button_action('sale_order_review.wizard_inquiry_answer')
    def answer(cls, inquiries):
        pass

    @classmethod
    @without_check_access
    def record_reply(cls, inquiries, reply, person=None):
        """Record the reply to the inquiries and let the clock of their
        sign-offs go on"""
        pool = Pool()
        Review = pool.get('sale.review')
        Signoff = pool.get('sale.review.signoff')
        _check_present()
        inquiries = cls.browse(inquiries)
        respondents = cls._get_respondents(inquiries)
        by_employee = defaultdict(list)
        for inquiry in inquiries:
            employee = inquiry._check_reply(respondents[inquiry], reply)
            by_employee[employee].append(inquiry)
        now = dt.datetime.now()
        with _recording():
            for employee, e_inquiries in by_employee.items():
                cls.write(e_inquiries, {
                        'reply': reply.strip(),
                        'replied_with': person,
                        'replied_by': employee.id,
                        'replied_at': now,
                        'state': 'answered',
                        })
        Signoff.resume({i.signoff for i in inquiries})
        askers = defaultdict(list)
        for inquiry in inquiries:
            askers[inquiry.asked_by].append(inquiry)
        Review.notify_employees(
            askers, 'tryton-ok',
            'sale_order_review.msg_notification_inquiry_answered')

    def _check_reply(self, respondents, reply):
        "Return the employee of the user who replies, or raise InquiryError"
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        if self.state != 'open':
            raise InquiryError(gettext(
                    'sale_order_review.msg_inquiry_closed',
                    inquiry=self.rec_name,
                    state=self.__names__('state', self)['value']))
        if not (reply or '').strip():
            raise InquiryError(gettext(
                    'sale_order_review.msg_inquiry_reply',
                    inquiry=self.rec_name))
        employee = _get_employee(self.company)
        if not employee:
            raise InquiryError(gettext(
                    'sale_order_review.msg_inquiry_employee',
                    inquiry=self.rec_name,
                    company=self.company.rec_name))
        allowed = employee in respondents
        if self.asked_of != 'department':
            group = ModelData.get_id('sale', 'group_sale')
            allowed |= group in User.get_groups()
        if not allowed:
            raise InquiryError(gettext(
                    'sale_order_review.msg_inquiry_respondent',
                    inquiry=self.rec_name,
                    employee=employee.rec_name,
                    respondents=_format_employees(respondents)))
        return employee

    @classmethod
    def cancel(cls, inquiries):
        "Close the inquiries that need no reply any more"
        if inquiries:
            with _recording():
                cls.write(inquiries, {'state': 'cancelled'})

    @classmethod
    def notify(cls, inquiries, icon, message_id):
        "Notify those who have to reply"
        pool = Pool()
        Review = pool.get('sale.review')
        employees = defaultdict(list)
        for inquiry, respondents in cls._get_respondents(inquiries).items():
            for employee in respondents:
                employees[employee].append(inquiry)
        Review.notify_employees(employees, icon, message_id)

    @classmethod
    def remind(cls):
        """Remind of the replies that are due in the company of the context,
        once before they are due and once when they are late"""
        pool = Pool()
        Company = pool.get('company.company')
        Configuration = pool.get('sale.configuration')
        Date = pool.get('ir.date')
        company = Company(Transaction().context['company'])
        reminder = Configuration(1).get_multivalue(
            'review_reminder', company=company.id)
        if reminder is None:
            return
        today = Date.today()
        inquiries = [
            i for i in cls.search([
                    ('company', '=', company.id),
                    ('state', '=', 'open'),
                    ('reply_due', '<=',
                        company.add_working_days(today, reminder)
                        if reminder else today),
                    ])
            if not i.reminded_on or i.reminded_on <= i.reply_due < today]
        cls.notify(
            inquiries, 'tryton-warning',
            'sale_order_review.msg_notification_inquiry_reminder')
        with _recording():
            cls.write(inquiries, {'reminded_on': today})


class Signoff(metaclass=PoolMeta):
    __name__ = 'sale.review.signoff'

    inquiries = fields.One2Many(
        'sale.review.inquiry', 'signoff', "Inquiries", readonly=True,
        order=[('id', 'ASC')])
    paused_since = fields.Date(
        "Paused Since", readonly=True,
        states={
            'invisible': ~Eval('paused_since'),
            },
        help="The date since which the deadline waits for the reply to an "
        "inquiry.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'ask': {
                    'icon': 'tryton-question',
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('paused_since')), 'muted', ''),
                ['paused_since']),
            ]

    @classmethod
    @ModelView.button_action('sale_order_review.wizard_signoff_ask')
    def ask(cls, signoffs):
        cls.check_ask(signoffs)

    @classmethod
    @without_check_access
    def check_ask(cls, signoffs):
        """Check that the user can ask and return by sign-off the employee of
        the user"""
        _check_present()
        signoffs = cls.browse(signoffs)
        cls._check_state(signoffs)
        signatories = cls._get_signatories(signoffs)
        return {
            s: s._get_signatory(_get_employee(s.company), signatories[s])[0]
            for s in signoffs}

    @classmethod
    @without_check_access
    def pause(
            cls, signoffs, asked_of, means, question, reply_due,
            department=None, person=None):
        """Record an inquiry on each of the sign-offs, stop their clock, and
        return the inquiries"""
        pool = Pool()
        Date = pool.get('ir.date')
        Inquiry = pool.get('sale.review.inquiry')
        employees = cls.check_ask(signoffs)
        now = dt.datetime.now()
        to_create = []
        with _recording():
            for signoff, employee in employees.items():
                company = signoff.company
                with Transaction().set_context(company=company.id):
                    today = Date.today()
                signoff._check_inquiry(
                    asked_of, question, reply_due, department, person, today)
                to_create.append({
                        'signoff': signoff.id,
                        'company': company.id,
                        'sale': signoff.sale.id,
                        'requested_by': signoff.requested_by.id,
                        'asked_of': asked_of,
                        'department': department.id if department else None,
                        'person': person,
                        'means': means,
                        'question': question.strip(),
                        'asked_by': employee.id,
                        'asked_at': now,
                        'reply_due': reply_due,
                        })
                # Written also if it is paused already, so that of an inquiry
                # and a decision at once only one can be committed
                cls.write([signoff], {
                        'paused_since': signoff.paused_since or today,
                        })
            inquiries = Inquiry.create(to_create)
        Inquiry.notify(
            inquiries, 'tryton-forward',
            'sale_order_review.msg_notification_inquiry')
        return inquiries

    def _check_inquiry(
            self, asked_of, question, reply_due, department, person, today):
        problem = None
        if not (question or '').strip():
            problem = 'msg_inquiry_question'
        elif not reply_due or reply_due < today:
            problem = 'msg_inquiry_reply_due'
        elif asked_of == 'customer' and not (person or '').strip():
            problem = 'msg_inquiry_person'
        elif (bool(department) != (asked_of == 'department')
                or (department and (
                        department.company != self.company
                        or department == self.department))):
            problem = 'msg_inquiry_department'
        elif department and not self._has_users(department, today):
            problem = 'msg_inquiry_nobody'
        if problem:
            raise InquiryError(gettext(
                    f'sale_order_review.{problem}',
                    signoff=self.rec_name,
                    company=self.company.rec_name,
                    department=department.rec_name if department else '',
                    date=Report.format_date(reply_due) if reply_due else ''))

    @classmethod
    def _has_users(cls, department, today):
        "Return whether anybody of the department can reply"
        pool = Pool()
        Department = pool.get('company.department')
        UserEmployee = pool.get('res.user-company.employee')
        signatories = Department.get_signatories({department}, today)
        return bool(UserEmployee.search([
                    ('employee', 'in', [
                            e.id for e in signatories[department.id]]),
                    ('user.active', '=', True),
                    ], limit=1))

    @classmethod
    def resume(cls, signoffs):
        """Let the clock of the sign-offs without an open inquiry go on

        Their deadline is later by the working days for which it stood."""
        pool = Pool()
        Date = pool.get('ir.date')
        for signoff in cls.browse(signoffs):
            company = signoff.company
            with Transaction().set_context(company=company.id):
                today = Date.today()
            # Written also if another inquiry is open, so that of the last two
            # replies at once one sees the other
            values = {'paused_since': signoff.paused_since}
            if not any(i.state == 'open' for i in signoff.inquiries):
                values['paused_since'] = None
                if days := company.working_days_between(
                        signoff.paused_since, today):
                    values['deadline'] = deadline = company.add_working_days(
                        signoff.deadline, days)
                    values['reminded_on'] = None
                    if deadline >= today:
                        values['escalation'] = None
            with _recording():
                cls.write([signoff], values)

    @classmethod
    def _decide(cls, signoffs, decision):
        if decision != 'return':
            cls._check_inquiries(signoffs)
        super()._decide(signoffs, decision)

    @classmethod
    def _check_inquiries(cls, signoffs):
        "Check that no reply is missing"
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        inquiries = Inquiry.search([
                ('signoff', 'in', [
                        s.id for s in signoffs if s.state == 'pending']),
                ('state', '=', 'open'),
                ], order=[('signoff', 'ASC'), ('id', 'ASC')])
        for signoff, open_ in groupby(inquiries, key=lambda i: i.signoff):
            raise InquiryError(gettext(
                    'sale_order_review.msg_signoff_inquiry',
                    signoff=signoff.rec_name,
                    inquiries='\n'.join(
                        '%s (%s, %s)' % (
                            i.question, Report.format_date(i.reply_due),
                            i.responsible)
                        for i in open_)))

    @classmethod
    def _check_late(cls, signoffs):
        super()._check_late([s for s in signoffs if not s.paused_since])

    @classmethod
    def _remind(cls, company, today):
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        super()._remind(company, today)
        Inquiry.remind()


class Review(metaclass=PoolMeta):
    __name__ = 'sale.review'

    inquiries = fields.Function(
        fields.Many2Many(
            'sale.review.inquiry', None, None, "Inquiries",
            states={
                'invisible': ~Eval('inquiries'),
                }),
        'get_inquiries')

    def get_inquiries(self, name):
        return [i.id for s in self.signoffs for i in s.inquiries]

    @classmethod
    def _close(cls, reviews, state):
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        super()._close(reviews, state)
        Inquiry.cancel([
                i for r in reviews for s in r.signoffs for i in s.inquiries
                if i.state == 'open'])


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    inquiries = fields.One2Many(
        'sale.review.inquiry', 'sale', "Inquiries", readonly=True,
        order=[('id', 'DESC')],
        states={
            'invisible': ~Eval('inquiries'),
            })

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('inquiries')
        return super().copy(sales, default=default)


class Attachment(metaclass=PoolMeta):
    __name__ = 'ir.attachment'

    def _is_review_evidence(self):
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        if isinstance(self.resource, Inquiry):
            return self.resource.state != 'open'
        return super()._is_review_evidence()


class Ask(Wizard):
    __name__ = 'sale.review.signoff.ask'

    start = StateView('sale.review.signoff.ask.start',
        'sale_order_review.signoff_ask_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Ask", 'ask', 'tryton-ok', default=True),
            ])
    ask = StateTransition()

    def default_start(self, fields):
        contact = None
        if mechanism := self.record.sale.contact:
            contact = mechanism.name or mechanism.party.rec_name
        return {
            'company': self.record.company.id,
            'contact': contact,
            'person': contact,
            }

    def transition_ask(self):
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        start = self.start
        Signoff.pause(
            self.records, start.asked_of, start.means, start.question,
            start.reply_due, department=start.department, person=start.person)
        return 'end'

    def end(self):
        return 'reload'


class AskStart(ModelView):
    __name__ = 'sale.review.signoff.ask.start'

    company = fields.Many2One('company.company', "Company", readonly=True)
    contact = fields.Char("Contact", readonly=True)
    asked_of = fields.Selection(_ASKED_OF, "Ask", required=True, sort=False)
    department = fields.Many2One(
        'company.department', "Department",
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'invisible': Eval('asked_of') != 'department',
            'required': Eval('asked_of') == 'department',
            })
    person = fields.Char(
        "Person",
        states={
            'required': Eval('asked_of') == 'customer',
            },
        help="The person who is asked.")
    means = fields.Selection(_MEANS, "Means", required=True, sort=False)
    question = fields.Text("Question", required=True)
    reply_due = fields.Date("Reply Due", required=True)

    @classmethod
    def default_asked_of(cls):
        return 'customer'

    @classmethod
    def default_means(cls):
        return 'telephone'

    @fields.depends('asked_of', 'contact', 'department', 'person')
    def on_change_asked_of(self):
        if self.asked_of != 'department':
            self.department = None
        if self.asked_of == 'customer':
            self.person = self.person or self.contact
        elif self.person == self.contact:
            self.person = None


class Answer(Wizard):
    __name__ = 'sale.review.inquiry.answer'

    start = StateView('sale.review.inquiry.answer.start',
        'sale_order_review.inquiry_answer_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Record", 'record_reply', 'tryton-ok', default=True),
            ])
    record_reply = StateTransition()

    def default_start(self, fields):
        return {
            'question': self.record.question,
            'person': self.record.person,
            }

    def transition_record_reply(self):
        pool = Pool()
        Inquiry = pool.get('sale.review.inquiry')
        Inquiry.record_reply(
            self.records, self.start.reply, person=self.start.person)
        return 'end'

    def end(self):
        return 'reload'


class AnswerStart(ModelView):
    __name__ = 'sale.review.inquiry.answer.start'

    question = fields.Text("Question", readonly=True)
    person = fields.Char(
        "Person",
        help="The person who gave the reply.")
    reply = fields.Text("Reply", required=True)
