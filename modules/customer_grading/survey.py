# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import hmac
import re
import secrets
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from email.message import EmailMessage
from urllib.parse import quote

from sql import Literal, Null
from sql.aggregate import Avg, Count, Min
from sql.conditionals import Case, Coalesce
from sql.functions import DateTrunc
from sql.operators import Equal

import trytond.config as config
from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Exclude, Index, ModelSQL, ModelView, Unique, Workflow,
    fields, sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.sendmail import send_message_transactional
from trytond.tools.email_ import format_address, set_from_header
from trytond.transaction import Transaction, without_check_access
from trytond.url import http_base

from .care import (
    ActionMixin, CadenceMixin, EvidenceMixin, MineMixin, PartMixin, PartyMixin,
    get_employee)
from .exceptions import CareError, SurveyAnswerError
from .file import FileMixin, get_todays, recording

TOPICS = [
    ('communication', "Communication"),
    ('efficiency', "Efficiency"),
    ('attitude', "Attitude"),
    ('quality', "Product Quality"),
    ('delivery', "Delivery"),
    ('after_sales', "After-Sales Service"),
    ('price', "Price"),
    ('other', "Other"),
    ]
TYPES = [
    ('rating_5', "Rating from 1 to 5"),
    ('rating_10', "Rating from 0 to 10"),
    ('boolean', "Yes or No"),
    ('text', "Text"),
    ]
RATINGS = {
    'rating_5': (1, 5),
    'rating_10': (0, 10),
    }
TEXT_SIZE = 2000
NAME_SIZE = 100
_DATE = fields.Date("Date")
_SCORE_DIGITS = (3, 2)
_CENT = Decimal('0.01')


class Questionnaire(DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'customer.questionnaire'

    name = fields.Char(
        "Name", required=True, translate=True,
        states={
            'readonly': ~Eval('editable', True),
            })
    company = fields.Many2One(
        'company.company', "Company", ondelete='CASCADE',
        states={
            'readonly': Eval('id', -1) >= 0,
            },
        help="The company that uses the questionnaire.\n"
        "Those without are used by all companies: "
        "copy one of them to change it.")
    introduction = fields.Text(
        "Introduction", translate=True,
        states={
            'readonly': ~Eval('editable', True),
            },
        help="What the customer reads above the questions.")
    thanks = fields.Text(
        "Thanks", translate=True,
        states={
            'readonly': ~Eval('editable', True),
            },
        help="What the customer reads after the answers are sent.")
    questions = fields.One2Many(
        'customer.question', 'questionnaire', "Questions",
        states={
            'readonly': ~Eval('editable', True),
            })
    editable = fields.Function(
        fields.Boolean("Editable"), 'get_editable')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('name', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(Index(t, (t.company, Index.Equality())))

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_editable(cls):
        return True

    @classmethod
    def get_editable(cls, questionnaires, name):
        used = cls._get_used(questionnaires)
        return {
            q.id: bool(q.company) and q.id not in used
            for q in questionnaires}

    @classmethod
    @without_check_access
    def _get_used(cls, questionnaires):
        "Return the set of the ids of those that surveys use"
        pool = Pool()
        Survey = pool.get('customer.survey')
        cursor = Transaction().connection.cursor()
        survey = Survey.__table__()
        ids = [q.id for q in questionnaires]
        if not ids:
            return set()
        cursor.execute(*survey.select(
                survey.questionnaire,
                where=fields.SQL_OPERATORS['in'](survey.questionnaire, ids),
                group_by=survey.questionnaire))
        return {id_ for id_, in cursor}

    @classmethod
    def check_modification(
            cls, mode, questionnaires, values=None, external=False):
        super().check_modification(
            mode, questionnaires, values=values, external=external)
        if external:
            cls.check_shared(questionnaires)
            if mode == 'write' and not values.get('company', True):
                cls._deny_shared(questionnaires[0])
        if mode == 'delete' or (
                mode == 'write' and values.keys() - {'active'}):
            cls.check_unused(questionnaires)

    @classmethod
    def check_shared(cls, questionnaires):
        "Check that they belong to a company, which may change them"
        for questionnaire in questionnaires:
            if not questionnaire.company:
                cls._deny_shared(questionnaire)

    @classmethod
    def _deny_shared(cls, questionnaire):
        raise AccessError(gettext(
                'customer_grading.msg_questionnaire_company',
                questionnaire=questionnaire.rec_name))

    @classmethod
    def check_unused(cls, questionnaires):
        "Check that no survey uses them yet"
        if Transaction().user == 0 and Transaction().context.get(
                'module') == 'customer_grading':
            # Updates of the module
            return
        used = cls._get_used(questionnaires)
        for questionnaire in questionnaires:
            if questionnaire.id in used:
                raise AccessError(gettext(
                        'customer_grading.msg_questionnaire_used',
                        questionnaire=questionnaire.rec_name))

    @classmethod
    def copy(cls, questionnaires, default=None):
        default = default.copy() if default is not None else {}
        company = cls.default_company()
        default.setdefault(
            'company', lambda data: data['company'] or company)
        return super().copy(questionnaires, default=default)


class Question(PartMixin, sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'customer.question'
    _rec_name = 'question'

    questionnaire = fields.Many2One(
        'customer.questionnaire', "Questionnaire", required=True,
        ondelete='CASCADE')
    question = fields.Char("Question", required=True, translate=True)
    topic = fields.Selection(
        TOPICS, "Topic", required=True, sort=False,
        help="What the answers are analysed by.")
    type = fields.Selection(TYPES, "Type", required=True, sort=False)
    required = fields.Boolean("Required")
    weight = fields.Numeric(
        "Weight", digits=(16, 2), required=True,
        domain=[
            ('weight', '>=', 0),
            ],
        states={
            'invisible': Eval('type') == 'text',
            },
        help="How much the answer counts in the score.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('questionnaire')
        cls._sql_indexes.add(Index(t, (t.questionnaire, Index.Equality())))

    @classmethod
    def default_topic(cls):
        return 'other'

    @classmethod
    def default_type(cls):
        return 'rating_5'

    @classmethod
    def default_weight(cls):
        return Decimal(1)

    @classmethod
    def check_modification(cls, mode, questions, values=None, external=False):
        pool = Pool()
        Questionnaire = pool.get('customer.questionnaire')
        super().check_modification(
            mode, questions, values=values, external=external)
        questionnaires = {q.questionnaire for q in questions}
        if mode == 'write' and values.get('questionnaire'):
            questionnaires.add(Questionnaire(values['questionnaire']))
        if external:
            Questionnaire.check_shared(questionnaires)
        Questionnaire.check_unused(questionnaires)

    def get_answer(self, sequence):
        "Return the values of the answer that is still to be given"
        return {
            'sequence': sequence,
            'question': self.question,
            'topic': self.topic,
            'type': self.type,
            'required': self.required,
            'weight': self.weight,
            }


class Survey(
        CadenceMixin, Workflow, EvidenceMixin, FileMixin, MineMixin, ModelSQL,
        ModelView):
    __name__ = 'customer.survey'

    questionnaire = fields.Many2One(
        'customer.questionnaire', "Questionnaire", required=True,
        ondelete='RESTRICT',
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ],
        states={
            'readonly': Eval('state') != 'planned',
            })
    means = fields.Selection([
            ('link', "Link"),
            ('telephone', "Telephone"),
            ('visit', "Visit"),
            ], "Means", required=True, sort=False,
        states={
            'readonly': Eval('state') != 'planned',
            },
        help="How the customer is asked.")
    employee = fields.Many2One(
        'company.employee', "Responsible", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': ~Eval('state').in_(['planned', 'sent']),
            })
    due_date = fields.Date(
        "Due Date", required=True,
        states={
            'readonly': ~Eval('state').in_(['planned', 'sent']),
            },
        help="The date by which the answers should be there.")
    email = fields.Char(
        "E-Mail", readonly=True,
        states={
            'invisible': ~Eval('email'),
            },
        help="Where the link was sent to.")
    token = fields.Char(
        "Token", readonly=True, strip=False,
        states={
            'invisible': ~Eval('token'),
            })
    link = fields.Function(
        fields.Char(
            "Link",
            states={
                'invisible': ~Eval('link'),
                },
            help="The page on which the customer answers."),
        'get_link')
    valid_until = fields.Date(
        "Valid Until", readonly=True,
        states={
            'invisible': ~Eval('valid_until'),
            },
        help="The last day on which the link can be used.")
    sent_at = fields.DateTime(
        "Sent At", readonly=True,
        states={
            'invisible': ~Eval('sent_at'),
            })
    answers = fields.One2Many(
        'customer.survey.answer', 'survey', "Answers",
        states={
            'readonly': (
                (Eval('state') != 'sent') | (Eval('means') == 'link')),
            })
    answered_with = fields.Char(
        "Answered With", size=NAME_SIZE,
        states={
            'readonly': (
                (Eval('state') != 'sent') | (Eval('means') == 'link')),
            },
        help="The person of the customer who answered.")
    answered_by = fields.Many2One(
        'company.employee', "Recorded By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('answered_by'),
            },
        help="The employee who recorded the answers.")
    answered_at = fields.DateTime(
        "Answered At", readonly=True,
        states={
            'invisible': ~Eval('answered_at'),
            })
    score = fields.Numeric(
        "Score", digits=_SCORE_DIGITS, readonly=True,
        help="How satisfied the customer is, from 0 to 100.")
    analysis = fields.Text(
        "Analysis",
        states={
            'readonly': ~Eval('state').in_(['sent', 'answered']),
            },
        help="What the answers mean and what follows from them.")
    measures = fields.One2Many(
        'customer.survey.measure', 'survey', "Measures",
        states={
            'readonly': ~Eval('state').in_(['answered', 'closed']),
            },
        help="What is done because of the answers.")
    closed_by = fields.Many2One(
        'company.employee', "Closed By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('closed_by'),
            })
    closed_on = fields.Date(
        "Closed On", readonly=True,
        states={
            'invisible': ~Eval('closed_on'),
            })
    state = fields.Selection([
            ('planned', "Planned"),
            ('sent', "Sent"),
            ('answered', "Answered"),
            ('closed', "Closed"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    _open_states = ('planned',)
    _recorded_names = frozenset([
            'by_cadence', 'email', 'token', 'valid_until', 'sent_at',
            'answered_by', 'answered_at', 'score', 'closed_by', 'closed_on'])
    _interval_name = 'survey_interval'
    _done_states = ('answered', 'closed')
    _done_column = 'answered_at'
    _planned_states = ('planned', 'sent')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.extend([
                ('token_unique', Unique(t, t.token),
                    'customer_grading.msg_survey_token_unique'),
                ('planned_once', Exclude(
                        t, (t.file, Equal),
                        where=(t.state == 'planned') & t.by_cadence),
                    'customer_grading.msg_survey_planned_once'),
                ])
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.file, Index.Equality()),
                    (t.due_date, Index.Range())),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.due_date, Index.Range())),
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.due_date, Index.Range()),
                    where=t.state.in_(['planned', 'sent', 'answered'])),
                Index(t, (t.questionnaire, Index.Equality())),
                Index(
                    t,
                    (t.closed_on, Index.Range()),
                    where=t.state == 'closed'),
                })
        cls._order = [
            ('due_date', 'DESC'),
            ('id', 'DESC'),
            ]
        cls._transitions |= {
            ('planned', 'sent'),
            ('sent', 'answered'),
            ('answered', 'closed'),
            ('planned', 'cancelled'),
            ('sent', 'cancelled'),
            }
        link = Eval('means') == 'link'
        cls._buttons.update({
                'send': {
                    'invisible': ~link | (Eval('state') != 'planned'),
                    'icon': 'tryton-email',
                    'depends': ['state', 'means'],
                    },
                'ask': {
                    'invisible': Eval('state') != 'planned',
                    'icon': 'tryton-forward',
                    'depends': ['state'],
                    },
                'renew': {
                    'invisible': ~link | (Eval('state') != 'sent'),
                    'icon': 'tryton-refresh',
                    'depends': ['state', 'means'],
                    },
                'answer': {
                    'invisible': link | (Eval('state') != 'sent'),
                    'icon': 'tryton-ok',
                    'depends': ['state', 'means'],
                    },
                'close': {
                    'invisible': Eval('state') != 'answered',
                    'icon': 'tryton-archive',
                    'depends': ['state'],
                    },
                'cancel': {
                    'invisible': ~Eval('state').in_(['planned', 'sent']),
                    'icon': 'tryton-cancel',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_means(cls):
        return 'link'

    @classmethod
    def default_state(cls):
        return 'planned'

    @classmethod
    def default_employee(cls):
        return Transaction().context.get('employee')

    @classmethod
    def default_questionnaire(cls, **pattern):
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        questionnaire = Configuration(1).get_multivalue(
            'survey_questionnaire', **pattern)
        return questionnaire.id if questionnaire else None

    def get_rec_name(self, name):
        return f'{self.party.rec_name} – {self.due_date}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('file.party.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        open_ = Eval('state').in_(['planned', 'sent'])
        date = Eval('due_date', Date())
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') == 'cancelled', 'muted', '')),
            ('/tree/field[@name="due_date"]', 'visual',
                If(open_ & (date < Date()), 'danger',
                    If(open_ & (date <= Date()), 'warning', ''))),
            ('/form//page[@id="analysis"]', 'states', {
                    'invisible': ~Eval('state').in_(['answered', 'closed']),
                    }),
            ]

    @classmethod
    def get_link(cls, surveys, name):
        links = {}
        database = quote(Transaction().database.name)
        base = http_base().rstrip('/')
        for survey in surveys:
            links[survey.id] = None
            if survey.token and survey.state == 'sent':
                links[survey.id] = (
                    f'{base}/{database}/customer_grading/survey/'
                    f'{survey.token}')
        return links

    @classmethod
    def check_modification(cls, mode, surveys, values=None, external=False):
        if (mode == 'write'
                and not Transaction().context.get('_customer_care')
                and all(
                    values.keys() <= s._state_names
                    for s in cls.browse(surveys))):
            with recording('_customer_care'):
                super().check_modification(
                    mode, surveys, values=values, external=external)
        else:
            super().check_modification(
                mode, surveys, values=values, external=external)

    @property
    def _state_names(self):
        "The names of the fields that users fill in after it was sent"
        if self.state == 'sent':
            names = {'employee', 'due_date'}
            if self.means != 'link':
                names |= {'answers', 'answered_with', 'analysis'}
            return names
        elif self.state == 'answered':
            return {'analysis', 'measures'}
        elif self.state == 'closed':
            return {'measures'}
        return set()

    @classmethod
    def copy(cls, surveys, default=None):
        default = default.copy() if default is not None else {}
        for name in ['answers', 'answered_with', 'analysis', 'measures']:
            default.setdefault(name)
        return super().copy(surveys, default=default)

    @classmethod
    def _get_planned(cls, file, date, employee):
        questionnaire = cls.default_questionnaire(company=file.company.id)
        if not questionnaire:
            return
        return {
            'file': file.id,
            'questionnaire': questionnaire,
            'means': 'link' if file.party.email else 'telephone',
            'due_date': date,
            'employee': employee,
            'by_cadence': True,
            }

    @property
    def language(self):
        "The code of the language in which the customer is asked"
        for party in [self.party, self.company.party]:
            if party.lang:
                return party.lang.code

    @classmethod
    def _copy_questions(cls, surveys):
        "Copy the questions in the language of the customers"
        pool = Pool()
        Answer = pool.get('customer.survey.answer')
        Questionnaire = pool.get('customer.questionnaire')
        by_language = defaultdict(list)
        for survey in surveys:
            by_language[survey.language].append(survey)
        to_create = []
        for language, l_surveys in by_language.items():
            with Transaction().set_context(language=language):
                questionnaires = {
                    q.id: q for q in Questionnaire.browse(
                        list({s.questionnaire.id for s in l_surveys}))}
                for survey in l_surveys:
                    questionnaire = questionnaires[survey.questionnaire.id]
                    if not questionnaire.questions:
                        raise CareError(gettext(
                                'customer_grading.msg_survey_no_question',
                                survey=survey.rec_name,
                                questionnaire=questionnaire.rec_name))
                    to_create.extend(
                        {'survey': survey.id, **q.get_answer(i)}
                        for i, q in enumerate(questionnaire.questions, 1))
        Answer.create(to_create)

    @classmethod
    def _get_access(cls, surveys):
        """Return the values by survey of a new token

        It is stored as it is, because who cares for the customer reads the
        link out or sends it again. It has 256 random bits, so that neither
        guessing nor the timing of the look-up in the index finds one."""
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        configuration = Configuration(1)
        companies = {s.company for s in surveys}
        todays = get_todays(companies)
        days = {
            c: configuration.get_multivalue('survey_validity', company=c.id)
            or cls._default_validity()
            for c in companies}
        return {
            s: {
                'token': secrets.token_urlsafe(32),
                'valid_until': todays[s.company] + dt.timedelta(
                    days=days[s.company]),
                }
            for s in surveys}

    @classmethod
    def _default_validity(cls):
        pool = Pool()
        ConfigurationCare = pool.get('customer.configuration.care')
        return ConfigurationCare.default_survey_validity()

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('sent')
    def ask(cls, surveys):
        """Begin to ask the customers: by telephone and visit the answers can
        be filled in from now on, otherwise there is a link"""
        surveys = cls.browse(surveys)
        cls._copy_questions(surveys)
        accesses = cls._get_access([s for s in surveys if s.means == 'link'])
        now = dt.datetime.now()
        args = []
        for survey in surveys:
            args.extend(([survey], {
                        'sent_at': now,
                        **accesses.get(survey, {}),
                        }))
        if args:
            cls.write(*args)

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    def send(cls, surveys):
        "Send the link by e-mail"
        surveys = cls.browse(surveys)
        missing = [s for s in surveys if not s.party.email]
        if missing:
            raise CareError(gettext(
                    'customer_grading.msg_survey_email',
                    surveys='\n'.join(s.rec_name for s in missing)))
        cls.ask(surveys)
        cls._send_link(cls.browse(surveys))

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    def renew(cls, surveys):
        "Make the former link useless and send another one"
        surveys = [s for s in cls.browse(surveys) if s.state == 'sent']
        args = []
        for survey, values in cls._get_access(surveys).items():
            args.extend(([survey], values))
        if args:
            cls.write(*args)
        cls._send_link([s for s in cls.browse(surveys) if s.party.email])

    @classmethod
    def _send_link(cls, surveys):
        args = []
        for survey in surveys:
            email = survey.party.email
            send_message_transactional(survey._get_message(email))
            args.extend(([survey], {'email': email}))
        if args:
            cls.write(*args)

    def _get_message(self, email):
        pool = Pool()
        Lang = pool.get('ir.lang')
        sender = config.get('email', 'from')
        message = EmailMessage()
        from_ = sender
        if self.company.party.email:
            from_ = format_address(
                self.company.party.email, self.company.party.name)
        set_from_header(message, sender, from_)
        message['To'] = format_address(email, self.party.name)
        message['Auto-Submitted'] = 'auto-generated'
        with Transaction().set_context(language=self.language):
            lang = Lang.get()
            names = {
                'company': self.company.rec_name,
                'customer': self.party.rec_name,
                'link': self.link,
                'date': lang.strftime(self.valid_until),
                }
            message['Subject'] = gettext(
                'customer_grading.msg_survey_message_subject', **names)
            message.set_content(gettext(
                    'customer_grading.msg_survey_message', **names))
        return message

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('answered')
    def answer(cls, surveys):
        "Record that the answers that were filled in are those of the customer"
        cls._answer(surveys)

    @classmethod
    def _answer(cls, surveys, employee=True):
        surveys = cls.browse(surveys)
        now = dt.datetime.now()
        args = []
        for survey in surveys:
            missing = [
                a.question for a in survey.answers
                if a.required and not a.given]
            if missing or not any(a.given for a in survey.answers):
                raise CareError(gettext(
                        'customer_grading.msg_survey_missing',
                        survey=survey.rec_name,
                        questions='\n'.join(missing)))
            args.extend(([survey], {
                        'answered_at': now,
                        'answered_by': (
                            get_employee(survey.company).id
                            if employee else None),
                        'score': survey._get_score(),
                        }))
        if args:
            cls.write(*args)

    def _get_score(self):
        "Return the mean of the points of the answers by their weight"
        points = weights = Decimal(0)
        for answer in self.answers:
            if answer.points is not None and answer.weight:
                points += answer.points * answer.weight
                weights += answer.weight
        if weights:
            return (points / weights).quantize(_CENT, ROUND_HALF_UP)

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('closed')
    def close(cls, surveys):
        "Record that the answers are analysed"
        surveys = cls.browse(surveys)
        todays = get_todays({s.company for s in surveys})
        by_company = defaultdict(list)
        for survey in surveys:
            if not (survey.analysis or '').strip():
                raise CareError(gettext(
                        'customer_grading.msg_survey_analysis',
                        survey=survey.rec_name))
            by_company[survey.company].append(survey)
        for company, c_surveys in by_company.items():
            cls.write(c_surveys, {
                    'closed_by': get_employee(company).id,
                    'closed_on': todays[company],
                    })

    @classmethod
    @ModelView.button
    @recording('_customer_care')
    @Workflow.transition('cancelled')
    def cancel(cls, surveys):
        "Cancel the surveys, whose links are of no use any more"
        cls.write(surveys, {'token': None, 'valid_until': None})

    @classmethod
    @without_check_access
    def get_public(cls, token):
        """Return the survey that the token opens, or None

        Nobody learns why a token opens none."""
        if not re.fullmatch(r'[\w-]{1,100}', token or '', re.ASCII):
            return
        surveys = cls.search([
                ('token', '=', token),
                ('state', '=', 'sent'),
                ('means', '=', 'link'),
                ], limit=1)
        for survey in surveys:
            today, = get_todays({survey.company}).values()
            # Databases may compare without regard to case
            if (hmac.compare_digest(survey.token, token)
                    and survey.valid_until >= today):
                return survey

    @classmethod
    @without_check_access
    @recording('_customer_care')
    def answer_public(cls, token, values, name=None):
        """Record the answers of who has the token: a dictionary of the texts
        by sequence of the answer

        Return the survey or None if the token opens none. Raise
        SurveyAnswerError with what is wrong by sequence."""
        pool = Pool()
        Answer = pool.get('customer.survey.answer')
        survey = cls.get_public(token)
        if not survey:
            return
        errors, args = {}, []
        for answer in survey.answers:
            text = values.get(answer.sequence) or ''
            try:
                args.extend(([answer], answer.parse(text)))
            except ValueError as error:
                errors[answer.sequence] = str(error)
        name = (name or '').strip()
        if len(name) > NAME_SIZE or not name.isprintable():
            errors['name'] = gettext('customer_grading.msg_survey_text_long')
        if not errors and not any(v for a in args[1::2] for v in a.values()):
            errors[None] = gettext('customer_grading.msg_survey_nothing')
        if errors:
            raise SurveyAnswerError(errors)
        # Who answers at the same moment waits here, and then finds it answered
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        cursor.execute(*table.update(
                [table.answered_at], [dt.datetime.now()],
                where=(table.id == survey.id) & (table.state == 'sent')))
        if not cursor.rowcount:
            return
        Answer.write(*args)
        cls.write([survey], {
                'state': 'answered',
                'answered_with': name or None,
                })
        cls._answer([survey], employee=False)
        return survey


class SurveyAnswer(PartMixin, sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'customer.survey.answer'
    _rec_name = 'question'

    survey = fields.Many2One(
        'customer.survey', "Survey", required=True, readonly=True,
        ondelete='RESTRICT')
    question = fields.Char("Question", required=True, readonly=True)
    topic = fields.Selection(
        TOPICS, "Topic", required=True, readonly=True, sort=False)
    type = fields.Selection(
        TYPES, "Type", required=True, readonly=True, sort=False)
    required = fields.Boolean("Required", readonly=True)
    weight = fields.Numeric("Weight", required=True, readonly=True)
    rating = fields.Integer(
        "Rating",
        domain=[
            If(Eval('type') == 'rating_5',
                ['OR',
                    ('rating', '=', None),
                    [('rating', '>=', 1), ('rating', '<=', 5)],
                    ],
                If(Eval('type') == 'rating_10',
                    ['OR',
                        ('rating', '=', None),
                        [('rating', '>=', 0), ('rating', '<=', 10)],
                        ],
                    ('rating', '=', None))),
            ],
        states={
            'readonly': ~Eval('editable', False),
            'invisible': ~Eval('type').in_(['rating_5', 'rating_10']),
            })
    boolean = fields.Selection([
            (None, ""),
            ('yes', "Yes"),
            ('no', "No"),
            ], "Yes or No", sort=False,
        domain=[
            If(Eval('type') != 'boolean', ('boolean', '=', None), ()),
            ],
        states={
            'readonly': ~Eval('editable', False),
            'invisible': Eval('type') != 'boolean',
            })
    text = fields.Text(
        "Text", size=TEXT_SIZE,
        states={
            'readonly': ~Eval('editable', False),
            },
        help="The answer or a remark about it.")
    points = fields.Function(
        fields.Numeric(
            "Points", digits=_SCORE_DIGITS,
            help="What the answer is worth, from 0 to 100."),
        'on_change_with_points')
    editable = fields.Function(fields.Boolean("Editable"), 'get_editable')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('survey')
        cls._sql_indexes.add(Index(t, (t.survey, Index.Equality())))

    @classmethod
    def get_editable(cls, answers, name):
        return {
            a.id: a.survey.state == 'sent' and a.survey.means != 'link'
            for a in answers}

    @fields.depends('type', 'rating', 'boolean')
    def on_change_with_points(self, name=None):
        if self.type in RATINGS and self.rating is not None:
            minimum, maximum = RATINGS[self.type]
            points = (
                Decimal(self.rating - minimum) * 100 / (maximum - minimum))
            return points.quantize(_CENT, ROUND_HALF_UP)
        elif self.type == 'boolean' and self.boolean:
            return Decimal(100 if self.boolean == 'yes' else 0)

    @property
    def given(self):
        "Whether there is an answer"
        if self.type in RATINGS:
            return self.rating is not None
        elif self.type == 'boolean':
            return bool(self.boolean)
        return bool((self.text or '').strip())

    @classmethod
    def view_attributes(cls):
        points = Eval('points', 100)
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('points', 100)) & (points >= 50), '',
                    'warning')),
            ]

    @classmethod
    def check_modification(cls, mode, answers, values=None, external=False):
        super().check_modification(
            mode, answers, values=values, external=external)
        if Transaction().context.get('_customer_care'):
            return
        editable = cls.get_editable(answers, 'editable')
        for answer in answers:
            if (mode != 'write'
                    or values.keys() - {'rating', 'boolean', 'text'}
                    or not editable[answer.id]):
                raise AccessError(gettext(
                        f'customer_grading.msg_care_{mode}',
                        **cls.__names__(record=answer)))

    @classmethod
    def _get_points_column(cls, table):
        "Return the expression of the points of the answers"
        rating = table.rating
        return Case(
            *((table.type == type_,
                    (rating - minimum) * 100. / (maximum - minimum))
                for type_, (minimum, maximum) in RATINGS.items()),
            (table.boolean == 'yes', Literal(100.)),
            (table.boolean == 'no', Literal(0.)))

    def parse(self, text):
        """Return the values of the answer that the text stands for, or raise
        ValueError with what is wrong with it"""
        text = text.replace('\r\n', '\n').strip()
        if not text:
            if self.required:
                raise ValueError(
                    gettext('customer_grading.msg_survey_required'))
            return {}
        if self.type in RATINGS:
            minimum, maximum = RATINGS[self.type]
            if (not text.isascii() or not text.isdigit() or len(text) > 2
                    or not minimum <= int(text) <= maximum):
                raise ValueError(gettext(
                        'customer_grading.msg_survey_choice'))
            return {'rating': int(text)}
        elif self.type == 'boolean':
            if text not in {'yes', 'no'}:
                raise ValueError(gettext(
                        'customer_grading.msg_survey_choice'))
            return {'boolean': text}
        if len(text) > TEXT_SIZE or '\0' in text:
            raise ValueError(gettext(
                    'customer_grading.msg_survey_text_long'))
        return {'text': text}


class SurveyMeasure(PartyMixin, ActionMixin):
    __name__ = 'customer.survey.measure'

    survey = fields.Many2One(
        'customer.survey', "Survey", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })

    _parent_name = 'survey'
    _parent_states = ('answered', 'closed')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('survey')
        cls._sql_indexes.update({
                Index(t, (t.survey, Index.Equality())),
                Index(
                    t,
                    (t.employee, Index.Equality()),
                    (t.due_date, Index.Range()),
                    where=t.state == 'open'),
                })

    @fields.depends('survey', '_parent_survey.company')
    def on_change_with_company(self, name=None):
        return self.survey.company if self.survey else None

    @fields.depends('survey', '_parent_survey.party')
    def on_change_with_party(self, name=None):
        return self.survey.party if self.survey else None

    @classmethod
    def search_file_field(cls, name, clause):
        return [('survey.file.' + clause[0], *clause[1:])]


class SurveyAnalysisContext(ModelView):
    __name__ = 'customer.survey.analysis.context'

    company = fields.Many2One('company.company', "Company", required=True)
    from_date = fields.Date("From Date")
    to_date = fields.Date("To Date")
    topic = fields.Selection([(None, "All"), *TOPICS], "Topic", sort=False)

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_from_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today().replace(month=1, day=1)


class SurveyAnalysis(ModelSQL, ModelView):
    "What the customers answered, by topic and month"
    __name__ = 'customer.survey.analysis'

    company = fields.Many2One('company.company', "Company")
    date = fields.Date("Month")
    topic = fields.Selection(TOPICS, "Topic", sort=False)
    topic_string = topic.translated('topic')
    surveys = fields.Integer("Surveys")
    answers = fields.Integer("Answers")
    score = fields.Numeric("Score", digits=_SCORE_DIGITS)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('date', 'DESC'),
            ('topic', 'ASC'),
            ('id', 'ASC'),
            ]

    def get_rec_name(self, name):
        return f'{self.topic_string} {self.date:%Y-%m}'

    @classmethod
    def table_query(cls):
        pool = Pool()
        Answer = pool.get('customer.survey.answer')
        File = pool.get('customer.file')
        Survey = pool.get('customer.survey')
        context = Transaction().context
        answer = Answer.__table__()
        file = File.__table__()
        survey = Survey.__table__()
        date = _DATE.sql_cast(survey.answered_at)
        points = Answer._get_points_column(answer)
        where = (
            survey.state.in_(['answered', 'closed'])
            & (file.company == context.get('company', -1)))
        if context.get('from_date'):
            where &= date >= context['from_date']
        if context.get('to_date'):
            where &= date <= context['to_date']
        if context.get('topic'):
            where &= answer.topic == context['topic']
        source = (answer
            .join(survey, condition=answer.survey == survey.id)
            .join(file, condition=survey.file == file.id)
            .select(
                answer.id.as_('id'),
                survey.id.as_('survey'),
                file.company.as_('company'),
                _DATE.sql_cast(DateTrunc('month', date)).as_('date'),
                answer.topic.as_('topic'),
                points.as_('points'),
                where=where))
        return source.select(
            Min(source.id).as_('id'),
            source.company.as_('company'),
            source.date.as_('date'),
            source.topic.as_('topic'),
            Count(source.survey, distinct=True).as_('surveys'),
            Count(source.id).as_('answers'),
            cls.score.sql_cast(Avg(source.points)).as_('score'),
            where=source.points != Null,
            group_by=[source.company, source.date, source.topic])


class Metric(metaclass=PoolMeta):
    __name__ = 'customer.grading.metric'

    @classmethod
    def get_metrics(cls):
        return super().get_metrics() + [
            ('satisfaction_score', gettext(
                    'customer_grading.msg_metric_satisfaction_score')),
            ]

    @classmethod
    def families(cls):
        return {**super().families(), 'satisfaction': ['satisfaction_score']}

    @classmethod
    def get_kinds(cls):
        return {**super().get_kinds(), 'satisfaction_score': 'number'}

    @classmethod
    def _metric_satisfaction(cls, company, start, end, parties=None):
        "The mean of the scores of the surveys closed in the window"
        pool = Pool()
        File = pool.get('customer.file')
        Survey = pool.get('customer.survey')
        file = File.__table__()
        survey = Survey.__table__()
        return survey.join(
            file, condition=survey.file == file.id
            ).select(
                file.party.as_('party'),
                Avg(cls.number(survey.score)).as_('satisfaction_score'),
                Count(survey.id).as_('satisfaction_score_count'),
                where=(file.company == company.id)
                & (survey.state == 'closed')
                & (survey.closed_on > start)
                & (survey.closed_on <= end)
                & (survey.score != Null)
                & cls.where_parties(file.party, parties),
                group_by=file.party)

    @classmethod
    def _changed_satisfaction(cls, company, since):
        pool = Pool()
        File = pool.get('customer.file')
        Survey = pool.get('customer.survey')
        file = File.__table__()
        survey = Survey.__table__()
        return survey.join(
            file, condition=survey.file == file.id
            ).select(
                file.party.as_('party'),
                where=(file.company == company.id)
                & (Coalesce(survey.write_date, survey.create_date) >= since))


class Due(metaclass=PoolMeta):
    __name__ = 'customer.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection.extend([
                ('survey', "Survey"),
                ('survey_analysis', "Survey Analysis"),
                ('survey_measure', "Survey Measure"),
                ])

    @classmethod
    def _get_origins(cls):
        return super()._get_origins() + [
            'customer.survey', 'customer.survey.measure']

    @classmethod
    def _due_survey(cls):
        "Surveys whose answers are not there yet"
        return cls._get_due_survey(['planned', 'sent'])

    @classmethod
    def _due_survey_analysis(cls):
        "Surveys whose answers nobody has analysed"
        return cls._get_due_survey(['answered'])

    @classmethod
    def _get_due_survey(cls, states):
        pool = Pool()
        File = pool.get('customer.file')
        Survey = pool.get('customer.survey')
        file = File.__table__()
        survey = Survey.__table__()
        return survey.join(
            file, condition=survey.file == file.id
            ).select(
                survey.id.as_('id'),
                file.company.as_('company'),
                file.party.as_('party'),
                survey.due_date.as_('due_date'),
                survey.employee.as_('employee'),
                cls._origin('customer.survey', survey.id).as_('origin'),
                where=survey.state.in_(states))

    @classmethod
    def _due_survey_measure(cls):
        "Measures that are not done"
        pool = Pool()
        File = pool.get('customer.file')
        Measure = pool.get('customer.survey.measure')
        Survey = pool.get('customer.survey')
        file = File.__table__()
        measure = Measure.__table__()
        survey = Survey.__table__()
        return measure.join(
            survey, condition=measure.survey == survey.id
            ).join(
                file, condition=survey.file == file.id
            ).select(
                measure.id.as_('id'),
                file.company.as_('company'),
                file.party.as_('party'),
                measure.due_date.as_('due_date'),
                measure.employee.as_('employee'),
                cls._origin(
                    'customer.survey.measure', measure.id).as_('origin'),
                where=measure.state == 'open')
