# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, fields, sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.pool import Pool
from trytond.pyson import Eval, If
from trytond.transaction import Transaction, without_check_access

from .exceptions import SignoffError
from .review import EvidenceMixin, _recording


class Checklist(DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'sale.review.checklist'

    name = fields.Char(
        "Name", required=True, translate=True,
        states={
            'readonly': (Eval('id', -1) >= 0) & ~Eval('company'),
            })
    company = fields.Many2One(
        'company.company', "Company", ondelete='CASCADE',
        states={
            'readonly': Eval('id', -1) >= 0,
            },
        help="The company that uses the checklist.\n"
        "Those without are used by all companies: "
        "copy one of them to change it.")
    points = fields.One2Many(
        'sale.review.checklist.point', 'checklist', "Points",
        states={
            'readonly': (Eval('id', -1) >= 0) & ~Eval('company'),
            })

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
    def check_modification(
            cls, mode, checklists, values=None, external=False):
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        super().check_modification(
            mode, checklists, values=values, external=external)
        if external:
            cls.check_shared(checklists)
            if mode == 'write' and not values.get('company', True):
                raise AccessError(gettext(
                        'sale_order_review.msg_checklist_company',
                        checklist=checklists[0].rec_name))
        if mode == 'delete':
            with without_check_access():
                signoffs = Signoff.search([
                        ('checklist', 'in', [c.id for c in checklists]),
                        ], limit=1)
            for signoff in signoffs:
                raise AccessError(gettext(
                        'sale_order_review.msg_checklist_delete',
                        checklist=signoff.checklist.rec_name))

    @classmethod
    def check_shared(cls, checklists):
        "Check that the checklists belong to a company, which may change them"
        for checklist in checklists:
            if not checklist.company:
                raise AccessError(gettext(
                        'sale_order_review.msg_checklist_company',
                        checklist=checklist.rec_name))

    @classmethod
    def copy(cls, checklists, default=None):
        default = default.copy() if default is not None else {}
        company = cls.default_company()
        default.setdefault(
            'company', lambda data: data['company'] or company)
        return super().copy(checklists, default=default)

    @classmethod
    def get_answers(cls, checklists, company):
        """Return by checklist the values of its answers that are still to be
        given, in the language of the company, which is the same for all who
        sign"""
        if not checklists:
            return {}
        language = company.party.lang
        context = {'language': language.code} if language else {}
        with Transaction().set_context(context):
            return {
                checklist: [
                    point.get_answer(i)
                    for i, point in enumerate(checklist.points, 1)]
                for checklist in cls.browse(list(checklists))}


class Point(sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'sale.review.checklist.point'
    _rec_name = 'question'

    checklist = fields.Many2One(
        'sale.review.checklist', "Checklist", required=True,
        ondelete='CASCADE')
    question = fields.Char(
        "Question", required=True, translate=True,
        help="Put it so that no is the answer that needs attention.")
    help = fields.Text(
        "Help", translate=True,
        help="What to look at to answer the question.")
    answer_type = fields.Selection([
            ('boolean', "Yes or No"),
            ('number', "Number"),
            ('date', "Date"),
            ('text', "Text"),
            ('measure', "Measured by the System"),
            ], "Answer Type", required=True, sort=False)
    measure = fields.Selection([
            (None, ""),
            ('credit_limit_left', "Credit Limit Left"),
            ('overdue_amount', "Overdue Amount"),
            ('gross_margin', "Gross Margin"),
            ('stock_available', "Stock Available"),
            ('earliest_delivery', "Earliest Delivery"),
            ], "Measure",
        states={
            'invisible': Eval('answer_type') != 'measure',
            'required': Eval('answer_type') == 'measure',
            },
        help="What the system measures when the sign-off is decided.")
    negative = fields.Selection([
            (None, "Nothing"),
            ('remark', "Remark"),
            ('evidence', "Evidence"),
            ], "Negative Answer Needs", sort=False,
        states={
            'invisible': ~Eval('answer_type').in_(['boolean', 'measure']),
            },
        help="What an approval needs if the answer is no, or if what is "
        "measured is unknown or not as it should be.\n"
        "Evidence is an attachment of the sign-off.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('checklist')
        cls._sql_indexes.add(Index(t, (t.checklist, Index.Equality())))

    @classmethod
    def default_answer_type(cls):
        return 'boolean'

    @classmethod
    def check_modification(cls, mode, points, values=None, external=False):
        pool = Pool()
        Checklist = pool.get('sale.review.checklist')
        super().check_modification(
            mode, points, values=values, external=external)
        if external:
            checklists = {p.checklist for p in points}
            if mode == 'write' and values.get('checklist'):
                checklists.add(Checklist(values['checklist']))
            Checklist.check_shared(checklists)

    def get_answer(self, sequence):
        "Return the values of the answer that is still to be given"
        with_negative = self.answer_type in {'boolean', 'measure'}
        return {
            'sequence': sequence,
            'question': self.question,
            'help': self.help,
            'answer_type': self.answer_type,
            'measure': (
                self.measure if self.answer_type == 'measure' else None),
            'negative': self.negative if with_negative else None,
            }


class Answer(sequence_ordered(), EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.review.answer'
    _rec_name = 'question'

    signoff = fields.Many2One(
        'sale.review.signoff', "Sign-off", required=True, readonly=True,
        ondelete='RESTRICT')
    question = fields.Char("Question", required=True, readonly=True)
    help = fields.Text(
        "Help", readonly=True,
        states={
            'invisible': ~Eval('help'),
            })
    answer_type = fields.Selection(
        'get_answer_types', "Answer Type", required=True, readonly=True)
    measure = fields.Selection(
        'get_measures', "Measure", readonly=True,
        states={
            'invisible': Eval('answer_type') != 'measure',
            })
    negative = fields.Selection(
        'get_negatives', "Negative Answer Needs", readonly=True,
        states={
            'invisible': ~Eval('answer_type').in_(['boolean', 'measure']),
            })
    boolean = fields.Selection([
            (None, ""),
            ('yes', "Yes"),
            ('no', "No"),
            ], "Yes or No", sort=False)
    number = fields.Numeric("Number")
    date = fields.Date("Date")
    text = fields.Char("Text")
    measured = fields.Function(
        fields.Char(
            "Measured",
            states={
                'invisible': Eval('answer_type') != 'measure',
                },
            help="What the system measured when the sign-off was decided, "
            "or measures now."),
        'get_measured')
    value = fields.Char(
        "Measured Value", readonly=True,
        states={
            'invisible': ~Eval('value'),
            })
    basis = fields.Text(
        "Measured From", readonly=True,
        states={
            'invisible': ~Eval('basis'),
            },
        help="What the value was computed from.")
    unfavourable = fields.Boolean(
        "Unfavourable", readonly=True,
        states={
            'invisible': ~Eval('unfavourable'),
            },
        help="What was measured was unknown or not as it should be.")
    remark = fields.Char(
        "Remark",
        states={
            'readonly': ~Eval('editable', False),
            })
    editable = fields.Function(fields.Boolean("Editable"), 'get_editable')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(Index(t, (t.signoff, Index.Equality())))
        for name in ['boolean', 'number', 'date', 'text']:
            field = getattr(cls, name)
            field.states = {
                'readonly': ~Eval('editable', False),
                'invisible': Eval('answer_type') != name,
                }

    @classmethod
    def get_answer_types(cls):
        return cls._get_point_selection('answer_type')

    @classmethod
    def get_measures(cls):
        return cls._get_point_selection('measure')

    @classmethod
    def get_negatives(cls):
        return cls._get_point_selection('negative')

    @classmethod
    def _get_point_selection(cls, name):
        pool = Pool()
        Point = pool.get('sale.review.checklist.point')
        return Point.fields_get([name])[name]['selection']

    @classmethod
    def view_attributes(cls):
        columns = {
            'boolean': 'boolean',
            'number': 'number',
            'date': 'date',
            'text': 'text',
            'measure': 'measured',
            }
        types = Eval('answer_types', list(columns))
        return super().view_attributes() + [
            *((f'/tree/field[@name="{column}"]', 'tree_invisible',
                    ~types.contains(type_))
                for type_, column in columns.items()),
            ('/tree/field[@name="boolean"]', 'visual',
                If(Eval('boolean') == 'no', 'warning', '')),
            ('/tree/field[@name="measured"]', 'visual',
                If(Eval('unfavourable', False), 'warning', '')),
            ]

    @classmethod
    def get_measured(cls, answers, name):
        with without_check_access():
            answers = cls.browse(answers)
            measures = cls.get_measures_now([
                    a for a in answers
                    if a.signoff.state in {'waiting', 'pending'}
                    and not a.signoff.decisions])
            measured = {}
            for answer in answers:
                if answer in measures:
                    texts = [
                        measures[answer][n] for n in ['text', 'basis']]
                else:
                    texts = [answer.value, answer.basis]
                measured[answer.id] = ' – '.join(filter(None, texts)) or None
        return measured

    @classmethod
    def get_editable(cls, answers, name):
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        with without_check_access():
            answers = cls.browse(answers)
            signoffs = Signoff.browse(list({a.signoff.id for a in answers}))
            can_sign = Signoff.get_can_sign(signoffs, name)
            return {
                a.id: can_sign[a.signoff.id] and not a.signoff.decisions
                for a in answers}

    @classmethod
    def check_modification(cls, mode, answers, values=None, external=False):
        if (mode == 'write' and external
                and all(values.keys() <= a._own_names for a in answers)):
            cls._check_editable(answers)
            with _recording():
                super().check_modification(
                    mode, answers, values=values, external=external)
        else:
            super().check_modification(
                mode, answers, values=values, external=external)

    @property
    def _own_names(self):
        "The names of the fields that who signs fills in"
        if self.answer_type == 'measure':
            return {'remark'}
        return {self.answer_type, 'remark'}

    @classmethod
    def _check_editable(cls, answers):
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        # So that nobody signs meanwhile what changes
        Signoff.lock_answers({a.signoff for a in answers})
        editable = cls.get_editable(answers, 'editable')
        for answer in answers:
            if not editable[answer.id]:
                message = 'msg_answer_sign'
                if answer.signoff.decisions:
                    message = 'msg_answer_signed'
                raise AccessError(gettext(
                        f'sale_order_review.{message}',
                        question=answer.question,
                        signoff=answer.signoff.rec_name))

    @classmethod
    def get_measures_now(cls, answers):
        "Return by those of the answers that are measured what they are now"
        pool = Pool()
        names = defaultdict(set)
        origins = defaultdict(set)
        answers = [a for a in answers if a.answer_type == 'measure']
        for answer in answers:
            origin = answer.signoff.review.origin
            names[origin.__name__].add(answer.measure)
            origins[origin.__name__].add(origin.id)
        measures = {}
        for model, ids in origins.items():
            Model = pool.get(model)
            for origin, values in Model.get_review_measures(
                    Model.browse(list(ids)), sorted(names[model])).items():
                measures[str(origin)] = values
        return {
            a: measures[str(a.signoff.review.origin)][a.measure]
            for a in answers}

    @classmethod
    def take(cls, signoffs, decision):
        """Return by answer what is measured for those of the sign-offs that
        have no decision yet.

        Raise SignoffError with all that an approval misses."""
        signoffs = [s for s in signoffs if s.checklist and not s.decisions]
        if not signoffs:
            return {}
        answers = cls.search([('signoff', 'in', [s.id for s in signoffs])])
        measures = cls.get_measures_now(answers)
        if decision not in {'return', 'not_applicable'}:
            attached = cls._get_attached(answers)
            missing = defaultdict(list)
            for answer in answers:
                if problem := answer._get_problem(
                        measures.get(answer), answer.signoff in attached):
                    missing[answer.signoff].append(problem)
            if missing:
                raise SignoffError('\n'.join(
                        gettext('sale_order_review.msg_answer_missing',
                            signoff=s.rec_name,
                            problems='\n'.join(problems))
                        for s, problems in missing.items()))
        return measures

    @classmethod
    def _get_attached(cls, answers):
        "Return the sign-offs of the answers that need evidence and have it"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        signoffs = {a.signoff for a in answers if a.negative == 'evidence'}
        if not signoffs:
            return set()
        return {a.resource for a in Attachment.search([
                    ('resource', 'in', [str(s) for s in signoffs]),
                    ])}

    def _get_problem(self, measure, attached):
        "Return the text of what an approval misses of the answer"
        if self.answer_type == 'measure':
            unfavourable = measure['negative']
            if measure['error']:
                return gettext('sale_order_review.msg_answer_error',
                    question=self.question, error=measure['basis'])
        else:
            value = getattr(self, self.answer_type)
            if value is None or not str(value).strip():
                return gettext('sale_order_review.msg_answer_unanswered',
                    question=self.question)
            unfavourable = (
                self.answer_type == 'boolean' and value == 'no')
        if unfavourable:
            if self.negative == 'evidence' and not attached:
                return gettext('sale_order_review.msg_answer_evidence',
                    question=self.question)
            elif (self.negative == 'remark'
                    and not (self.remark or '').strip()):
                return gettext('sale_order_review.msg_answer_remark',
                    question=self.question)

    @classmethod
    def freeze(cls, measures):
        "Keep what is measured, by answer"
        args = []
        for answer, measure in measures.items():
            args.extend(([answer], {
                        'value': measure['text'],
                        'basis': measure['basis'],
                        'unfavourable': measure['negative'],
                        **cls._get_value(measure['value']),
                        }))
        if args:
            cls.write(*args)

    @classmethod
    def _get_value(cls, value):
        "Return the value by name of the field that has its type"
        if value is None:
            return {}
        elif isinstance(value, bool):
            return {'boolean': 'yes' if value else 'no'}
        elif isinstance(value, Decimal):
            return {'number': value}
        return {'date': value}
