# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict
from decimal import Decimal

from sql.aggregate import Max
from sql.operators import Equal

from trytond.i18n import gettext
from trytond.model import (
    Exclude, Index, ModelSQL, ModelView, Unique, Workflow, fields,
    sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.modules.company.model import employee_field, set_employee
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool
from trytond.pyson import Bool, Eval, If
from trytond.transaction import (
    Transaction, inactive_records, without_check_access)

from .exceptions import SchemeError
from .file import PartMixin, get_todays, recording
from .grade import AXES

METHODS = [
    ('band', "Bands"),
    ('linear', "Linear"),
    ('percentile', "Percentile"),
    ('pareto', "Cumulative Share"),
    ]


class Scheme(Workflow, ModelSQL, ModelView):
    "How the customers of a company are graded"
    __name__ = 'customer.grading.scheme'

    name = fields.Char(
        "Name", required=True, translate=True,
        states={
            'readonly': Eval('frozen', False),
            })
    company = fields.Many2One(
        'company.company', "Company", ondelete='CASCADE',
        states={
            'readonly': Eval('id', -1) >= 0,
            },
        help="The company that uses the scheme.\n"
        "Those without can be used by all companies: "
        "copy one of them to change it.")
    axis = fields.Selection(
        AXES, "Axis", required=True, sort=False,
        states={
            'readonly': (
                Eval('frozen', False)
                | Bool(Eval('criteria')) | Bool(Eval('thresholds'))),
            },
        help="What the grades tell of a customer.")
    version = fields.Integer("Version", required=True, readonly=True)
    previous = fields.Many2One(
        'customer.grading.scheme', "Previous Version", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('previous'),
            },
        help="The scheme from which it was copied.")
    window = fields.Integer(
        "Window", required=True,
        domain=[
            ('window', '>', 0),
            ],
        states={
            'readonly': Eval('frozen', False),
            },
        help="How many months up to the date of a run are looked at.")
    minimum_coverage = fields.Numeric(
        "Minimum Coverage", digits=(1, 4), required=True,
        domain=[
            ('minimum_coverage', '>=', 0),
            ('minimum_coverage', '<=', 1),
            ],
        states={
            'readonly': Eval('frozen', False),
            },
        help="The share of the weights for which there must be data.\n"
        "Below it a customer is not rated.")
    hysteresis = fields.Numeric(
        "Hysteresis", digits=(3, 2), required=True,
        domain=[
            ('hysteresis', '>=', 0),
            ('hysteresis', '<=', 100),
            ],
        states={
            'readonly': Eval('frozen', False),
            },
        help="By how many points a score must pass a threshold "
        "to change the grade that the customer has.")
    new_customer_grade = fields.Many2One(
        'customer.grading.grade', "Grade of New Customers",
        ondelete='RESTRICT',
        domain=[
            ('axis', '=', Eval('axis', '')),
            ],
        states={
            'readonly': Eval('frozen', False),
            'required': Bool(Eval('new_customer_months')),
            },
        help="The grade of those who are customers for a short time only.\n"
        "Leave empty to grade them like the others.")
    new_customer_months = fields.Integer(
        "New for",
        domain=['OR',
            ('new_customer_months', '=', None),
            ('new_customer_months', '>', 0),
            ],
        states={
            'readonly': Eval('frozen', False),
            'required': Bool(Eval('new_customer_grade')),
            },
        help="How many months from the first order a customer is new.")
    criteria = fields.One2Many(
        'customer.grading.criterion', 'scheme', "Criteria",
        states={
            'readonly': Eval('frozen', False),
            })
    thresholds = fields.One2Many(
        'customer.grading.threshold', 'scheme', "Thresholds",
        states={
            'readonly': Eval('frozen', False),
            })
    published_by = employee_field(
        "Published By", states=['draft', 'published', 'retired'])
    published_on = fields.Date(
        "Published On", readonly=True,
        states={
            'invisible': ~Eval('published_on'),
            })
    frozen = fields.Function(
        fields.Boolean("Frozen"), 'get_frozen')
    problems = fields.Function(
        fields.Text(
            "Problems",
            states={
                'invisible': ~Eval('problems'),
                },
            help="What must be corrected before the scheme can be used."),
        'get_problem_texts')
    state = fields.Selection([
            ('draft', "Draft"),
            ('published', "Published"),
            ('retired', "Retired"),
            ], "State", readonly=True, required=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [
            ('axis', 'ASC'),
            ('company', 'ASC NULLS FIRST'),
            ('version', 'DESC'),
            ('id', 'DESC'),
            ]
        cls._sql_constraints += [
            # The last defence: who publishes retires the former
            ('published_exclude',
                Exclude(
                    t, (t.company, Equal), (t.axis, Equal),
                    where=t.state == 'published'),
                'customer_grading.msg_scheme_published_unique'),
            ('version_unique',
                Unique(t, t.company, t.axis, t.version),
                'customer_grading.msg_scheme_version_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.company, Index.Equality())),
                Index(t, (t.previous, Index.Equality())),
                })
        cls.published_by.states['invisible'] = ~Eval('published_by')
        cls._transitions |= {
            ('draft', 'published'),
            ('published', 'retired'),
            }
        cls._buttons.update({
                'publish': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'retire': {
                    'invisible': (
                        (Eval('state') != 'published') | ~Eval('company')),
                    'depends': ['state', 'company'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_version(cls):
        return 1

    @classmethod
    def default_window(cls):
        return 12

    @classmethod
    def default_minimum_coverage(cls):
        return Decimal('0.5')

    @classmethod
    def default_hysteresis(cls):
        return Decimal(0)

    @classmethod
    def default_state(cls):
        return 'draft'

    def get_rec_name(self, name):
        return gettext('customer_grading.msg_scheme_name',
            name=self.name, version=self.version)

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'retired', 'muted', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'published', 'success', '')),
            ]

    @classmethod
    def get_frozen(cls, schemes, name):
        used = cls.get_used(schemes)
        return {
            s.id: not s.company or s.state != 'draft' or s.id in used
            for s in schemes}

    @classmethod
    def get_used(cls, schemes):
        "Return the set of ids of the schemes by which a run graded"
        pool = Pool()
        Run = pool.get('customer.grading.run')
        with without_check_access():
            return {r.scheme.id for r in Run.search([
                        ('scheme', 'in', [s.id for s in schemes]),
                        ('state', 'not in', ['draft', 'cancelled']),
                        ])}

    @classmethod
    def create(cls, vlist):
        vlist = [v.copy() for v in vlist]
        cls._set_versions(vlist)
        return super().create(vlist)

    @classmethod
    def _set_versions(cls, vlist):
        """Set the next version of those of companies

        Those that are shipped have their own."""
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        versions = defaultdict(int)
        cursor.execute(*table.select(
                table.company, table.axis, Max(table.version),
                where=table.company.in_(list({
                            v.get('company', cls.default_company())
                            for v in vlist} - {None}) or [-1]),
                group_by=[table.company, table.axis]))
        versions.update(((c, a), v) for c, a, v in cursor)
        with without_check_access():
            previous = {
                s.id: s.version for s in cls.browse(list({
                            v['previous'] for v in vlist
                            if v.get('previous')}))}
        for values in vlist:
            company = values.get('company', cls.default_company())
            if company is not None:
                key = (company, values.get('axis'))
                values['version'] = versions[key] = 1 + max(
                    versions[key], previous.get(values.get('previous'), 0))

    @classmethod
    def copy(cls, schemes, default=None):
        """Make the next version of the schemes, which belongs to the company
        also if it is copied from one that is shipped"""
        default = default.copy() if default is not None else {}
        company = cls.default_company()
        default.setdefault(
            'company', lambda data: data['company'] or company)
        default.setdefault('previous', lambda data: data['id'])
        default.setdefault('published_by')
        default.setdefault('published_on')
        return super().copy(schemes, default=default)

    @classmethod
    def check_modification(cls, mode, schemes, values=None, external=False):
        super().check_modification(
            mode, schemes, values=values, external=external)
        if Transaction().context.get('_customer_grading'):
            return
        if mode == 'create':
            for scheme in schemes:
                if scheme.company and (
                        scheme.state != 'draft'
                        or scheme.published_by or scheme.published_on):
                    raise AccessError(gettext(
                            'customer_grading.msg_scheme_state',
                            scheme=scheme.rec_name))
            if external:
                cls._check_shared(schemes)
        else:
            cls.check_frozen(schemes, external=external)
        if (mode == 'write'
                and values.keys() & {
                    'company', 'version', 'previous', 'state',
                    'published_by', 'published_on'}
                and (external or 'state' in values)
                and any(s.company for s in schemes)):
            raise AccessError(gettext(
                    'customer_grading.msg_scheme_state',
                    scheme=schemes[0].rec_name))

    @classmethod
    def check_frozen(cls, schemes, external=False):
        "Check that the schemes may still be changed"
        if Transaction().context.get('_customer_grading'):
            return
        if external:
            cls._check_shared(schemes)
        with without_check_access():
            schemes = [s for s in cls.browse(schemes) if s.company]
            used = cls.get_used(schemes)
        for scheme in schemes:
            if scheme.state != 'draft' or scheme.id in used:
                raise AccessError(gettext(
                        'customer_grading.msg_scheme_frozen',
                        scheme=scheme.rec_name))

    @classmethod
    def touch(cls, schemes):
        """Conflict with who publishes the schemes meanwhile, so that nothing
        of them changes between its check and its publication"""
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        if ids := sorted({s.id for s in schemes if s.company}):
            cursor.execute(*table.update(
                    [table.id], [table.id],
                    where=fields.SQL_OPERATORS['in'](table.id, ids)))

    @classmethod
    def _check_shared(cls, schemes):
        "Check that the schemes belong to a company, which may change them"
        for scheme in schemes:
            if not scheme.company:
                raise AccessError(gettext(
                        'customer_grading.msg_scheme_company',
                        scheme=scheme.rec_name))

    @classmethod
    @ModelView.button
    @recording('_customer_grading')
    @Workflow.transition('published')
    @set_employee('published_by')
    def publish(cls, schemes):
        cls._check_shared(schemes)
        cls.check_usable(schemes)
        published = {}
        for scheme in schemes:
            other = published.setdefault(
                (scheme.company, scheme.axis), scheme)
            if other != scheme:
                raise SchemeError(gettext(
                        'customer_grading.msg_scheme_publish_once',
                        scheme=scheme.rec_name, other=other.rec_name))
        with without_check_access():
            cls.retire([
                    s for s in cls.search([
                            ('company', 'in', [
                                    c.id for c, _ in published]),
                            ('axis', 'in', [a for _, a in published]),
                            ('state', '=', 'published'),
                            ])
                    if (s.company, s.axis) in published])
        todays = get_todays({s.company for s in schemes})
        for company, c_schemes in group_by_company(schemes):
            cls.write(c_schemes, {'published_on': todays[company]})

    @classmethod
    @ModelView.button
    @recording('_customer_grading')
    @Workflow.transition('retired')
    def retire(cls, schemes):
        cls._check_shared(schemes)

    @classmethod
    @without_check_access
    def get_definition(cls, schemes):
        """Return by scheme all that makes it as plain data, in the language of
        the context, so that it can be copied.

        The criteria and bands are in their order, the thresholds from the
        highest score to the lowest. Grades are ids, described in grades and,
        for those of the thresholds, also there."""
        pool = Pool()
        Band = pool.get('customer.grading.band')
        Criterion = pool.get('customer.grading.criterion')
        Grade = pool.get('customer.grading.grade')
        Threshold = pool.get('customer.grading.threshold')
        schemes = cls.browse(schemes)
        ids = [s.id for s in schemes]
        criteria, bands, thresholds = [defaultdict(list) for _ in range(3)]
        for band in Band.search([('criterion.scheme', 'in', ids)]):
            bands[band.criterion.id].append({
                    'minimum': band.minimum,
                    'maximum': band.maximum,
                    'points': band.points,
                    })
        for criterion in Criterion.search([('scheme', 'in', ids)]):
            criteria[criterion.scheme.id].append(
                criterion._get_definition(bands[criterion.id]))
        for threshold in Threshold.search([('scheme', 'in', ids)]):
            thresholds[threshold.scheme.id].append({
                    'grade': threshold.grade.id,
                    'minimum_score': threshold.minimum_score,
                    })
        with inactive_records():
            grades = {g.id: {
                    'axis': g.axis,
                    'rank': g.rank,
                    'code': g.code,
                    'name': g.name,
                    } for g in Grade.search([])}
        definitions = {}
        for scheme in schemes:
            definition = definitions[scheme] = {
                'id': scheme.id,
                'name': scheme.name,
                'company': scheme.company.id if scheme.company else None,
                'axis': scheme.axis,
                'version': scheme.version,
                'window': scheme.window,
                'minimum_coverage': scheme.minimum_coverage,
                'hysteresis': scheme.hysteresis,
                'new_customer_grade': (
                    scheme.new_customer_grade.id
                    if scheme.new_customer_grade else None),
                'new_customer_months': scheme.new_customer_months,
                'criteria': criteria[scheme.id],
                'thresholds': sorted(
                    ({**grades[t['grade']], **t}
                        for t in thresholds[scheme.id]),
                    key=lambda t: t['minimum_score'], reverse=True),
                }
            used = {
                definition['new_customer_grade'],
                *(c['knock_out_grade'] for c in definition['criteria']),
                *(t['grade'] for t in definition['thresholds']),
                }
            definition['grades'] = {
                i: g for i, g in grades.items() if i in used}
        return definitions

    @classmethod
    def check_usable(cls, schemes):
        "Raise SchemeError with all that is wrong with the schemes"
        problems = cls.get_problems(schemes)
        if any(problems.values()):
            raise SchemeError('\n'.join(
                    gettext('customer_grading.msg_scheme_unusable',
                        scheme=s.rec_name, problems='\n'.join(texts))
                    for s, texts in problems.items() if texts))

    @classmethod
    def get_problem_texts(cls, schemes, name):
        problems = cls.get_problems(schemes)
        return {
            s.id: '\n'.join(texts) or None for s, texts in problems.items()}

    @classmethod
    def get_problems(cls, schemes):
        "Return by scheme the list of texts of what is wrong with it"
        pool = Pool()
        Criterion = pool.get('customer.grading.criterion')
        Metric = pool.get('customer.grading.metric')
        metrics = {n for n, _ in Metric.get_metrics()}
        problems = {}
        for scheme, definition in cls.get_definition(schemes).items():
            texts = problems[scheme] = []
            criteria = definition['criteria']
            if not criteria:
                texts.append(gettext(
                        'customer_grading.msg_scheme_no_criteria'))
            else:
                total = sum(c['weight'] for c in criteria)
                if total != 100:
                    texts.append(gettext(
                            'customer_grading.msg_scheme_weights',
                            total=total.normalize().__format__('f')))
            for criterion in criteria:
                texts.extend(Criterion._get_problems(
                        criterion, definition, metrics))
            texts.extend(cls._get_threshold_problems(definition))
        return problems

    @classmethod
    def _get_threshold_problems(cls, definition):
        grades, axis = definition['grades'], definition['axis']
        thresholds = definition['thresholds']
        if not thresholds:
            yield gettext('customer_grading.msg_scheme_no_thresholds')
            return
        if thresholds[-1]['minimum_score'] != 0:
            yield gettext('customer_grading.msg_scheme_threshold_zero')
        for threshold in thresholds:
            grade = grades[threshold['grade']]
            if grade['axis'] != axis:
                yield gettext('customer_grading.msg_scheme_threshold_axis',
                    grade=grade['name'])
        new_grade = definition['new_customer_grade']
        if new_grade is not None and grades[new_grade]['axis'] != axis:
            yield gettext('customer_grading.msg_scheme_new_customer_axis',
                grade=grades[new_grade]['name'])
        for i, higher in enumerate(thresholds):
            for lower in thresholds[i + 1:]:
                names = {
                    'grade': grades[higher['grade']]['name'],
                    'other': grades[lower['grade']]['name'],
                    'score': higher['minimum_score'],
                    }
                if higher['minimum_score'] == lower['minimum_score']:
                    yield gettext(
                        'customer_grading.msg_scheme_threshold_twice',
                        **names)
                elif (_rank(grades[higher['grade']])
                        > _rank(grades[lower['grade']])):
                    yield gettext(
                        'customer_grading.msg_scheme_threshold_order',
                        **names)


def _rank(grade):
    return (grade['rank'] is None, grade['rank'] or 0)


class SchemePartMixin(PartMixin):
    "What belongs to a scheme and is frozen with it"
    __slots__ = ()
    _scheme_parent = None

    @classmethod
    def _get_schemes(cls, records):
        return [r.scheme for r in records]

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        pool = Pool()
        Scheme = pool.get('customer.grading.scheme')
        super().check_modification(
            mode, records, values=values, external=external)
        with without_check_access():
            schemes = set(cls._get_schemes(cls.browse(records)))
            if mode == 'write' and values.get(cls._scheme_parent):
                Parent = pool.get(
                    cls._fields[cls._scheme_parent].model_name)
                parent = Parent(values[cls._scheme_parent])
                schemes.add(getattr(parent, 'scheme', parent))
        Scheme.check_frozen(schemes, external=external)
        Scheme.touch(schemes)


class Criterion(sequence_ordered(), SchemePartMixin, ModelSQL, ModelView):
    __name__ = 'customer.grading.criterion'
    _scheme_parent = 'scheme'

    scheme = fields.Many2One(
        'customer.grading.scheme', "Scheme", required=True,
        ondelete='CASCADE')
    axis = fields.Function(
        fields.Selection(AXES, "Axis", sort=False), 'on_change_with_axis')
    name = fields.Char("Name", required=True, translate=True)
    metric = fields.Selection(
        'get_metrics', "Metric", required=True,
        help="The figure of the customer that is looked at.")
    weight = fields.Numeric(
        "Weight", digits=(3, 2), required=True,
        domain=[
            ('weight', '>=', 0),
            ('weight', '<=', 100),
            ],
        help="Its share of the score in percent.\n"
        "Use 0 for what only limits the grade.")
    method = fields.Selection(
        METHODS, "Method", required=True, sort=False,
        help="How the figure becomes points from 0 to 100:\n"
        "Bands: the points of the band in which it lies.\n"
        "Linear: in proportion between two values.\n"
        "Percentile: by the share of the customers that do not do better.\n"
        "Cumulative Share: by the share of the total "
        "that those who do better have together.")
    lower_is_better = fields.Boolean(
        "Lower is Better",
        states={
            'invisible': ~Eval('method').in_(['percentile', 'pareto']),
            })
    minimum = fields.Numeric(
        "Value for 0 Points",
        states={
            'invisible': Eval('method') != 'linear',
            'required': Eval('method') == 'linear',
            },
        help="It may be the greater of the two if lower is better.")
    maximum = fields.Numeric(
        "Value for 100 Points",
        states={
            'invisible': Eval('method') != 'linear',
            'required': Eval('method') == 'linear',
            })
    missing = fields.Selection([
            ('skip', "Leave It Out"),
            ('zero', "0 Points"),
            ('neutral', "50 Points"),
            ('full', "100 Points"),
            ], "Without Data", required=True, sort=False,
        help="What counts if there is no data of the customer.\n"
        "What is left out lowers the coverage.")
    knock_out = fields.Boolean(
        "Knock-out",
        help="Limit the grade of the customer if the figure is too bad, "
        "whatever the score.")
    knock_out_operator = fields.Selection([
            (None, ""),
            ('>=', "At Least"),
            ('<=', "At Most"),
            ], "Knock-out If", sort=False,
        states={
            'invisible': ~Eval('knock_out', False),
            'required': Eval('knock_out', False),
            })
    knock_out_value = fields.Numeric(
        "Knock-out Value",
        states={
            'invisible': ~Eval('knock_out', False),
            'required': Eval('knock_out', False),
            })
    knock_out_grade = fields.Many2One(
        'customer.grading.grade', "Best Grade Possible", ondelete='RESTRICT',
        domain=[
            ('axis', '=', Eval('axis', '')),
            ],
        states={
            'invisible': ~Eval('knock_out', False),
            'required': Eval('knock_out', False),
            },
        help="The best grade that the customer then can have.")
    bands = fields.One2Many(
        'customer.grading.band', 'criterion', "Bands",
        states={
            'invisible': ~Eval('method').in_(['band', 'pareto']),
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('scheme')
        cls._sql_indexes.update({
                Index(t, (t.scheme, Index.Equality())),
                Index(t, (t.knock_out_grade, Index.Equality())),
                })

    @classmethod
    def default_method(cls):
        return 'band'

    @classmethod
    def default_missing(cls):
        return 'skip'

    @classmethod
    def get_metrics(cls):
        pool = Pool()
        Metric = pool.get('customer.grading.metric')
        return Metric.get_metrics()

    @fields.depends('scheme', '_parent_scheme.axis')
    def on_change_with_axis(self, name=None):
        return self.scheme.axis if self.scheme else None

    def _get_definition(self, bands):
        ranked = self.method in {'percentile', 'pareto'}
        linear = self.method == 'linear'
        return {
            'id': self.id,
            'sequence': self.sequence,
            'name': self.name,
            'metric': self.metric,
            'weight': self.weight,
            'method': self.method,
            'lower_is_better': ranked and bool(self.lower_is_better),
            'minimum': self.minimum if linear else None,
            'maximum': self.maximum if linear else None,
            'missing': self.missing,
            'knock_out': bool(self.knock_out),
            'knock_out_operator': (
                self.knock_out_operator if self.knock_out else None),
            'knock_out_value': (
                self.knock_out_value if self.knock_out else None),
            'knock_out_grade': (
                self.knock_out_grade.id
                if self.knock_out and self.knock_out_grade else None),
            'bands': bands if self.method in {'band', 'pareto'} else [],
            }

    @classmethod
    def _get_problems(cls, criterion, definition, metrics):
        "Return the texts of what is wrong with the definition of a criterion"
        name = criterion['name']
        if criterion['metric'] not in metrics:
            yield gettext('customer_grading.msg_criterion_metric',
                criterion=name, metric=criterion['metric'])
        if criterion['method'] == 'linear':
            if criterion['minimum'] is None or criterion['maximum'] is None:
                yield gettext('customer_grading.msg_criterion_linear',
                    criterion=name)
            elif criterion['minimum'] == criterion['maximum']:
                yield gettext('customer_grading.msg_criterion_linear_equal',
                    criterion=name, value=criterion['minimum'])
        elif criterion['method'] in {'band', 'pareto'}:
            yield from cls._get_band_problems(criterion)
        if criterion['knock_out']:
            grade = definition['grades'].get(criterion['knock_out_grade'])
            if (criterion['knock_out_value'] is None
                    or not criterion['knock_out_operator']
                    or not grade):
                yield gettext('customer_grading.msg_criterion_knock_out',
                    criterion=name)
            elif grade['axis'] != definition['axis']:
                yield gettext('customer_grading.msg_criterion_knock_out_axis',
                    criterion=name, grade=grade['name'])

    @classmethod
    def _get_band_problems(cls, criterion):
        name, bands = criterion['name'], criterion['bands']
        if not bands:
            yield gettext('customer_grading.msg_criterion_no_bands',
                criterion=name)
            return
        lowest, highest = Decimal('-Infinity'), Decimal('Infinity')
        if criterion['method'] == 'pareto':
            start, end = Decimal(0), Decimal(1)
        else:
            start, end = lowest, highest
        reached = start
        for minimum, maximum in sorted((
                    lowest if b['minimum'] is None else b['minimum'],
                    highest if b['maximum'] is None else b['maximum'],
                    ) for b in bands):
            if minimum >= maximum:
                yield gettext('customer_grading.msg_band_empty',
                    criterion=name, minimum=minimum, maximum=maximum)
                continue
            if minimum > reached:
                yield _band_problem('gap', name, reached, minimum)
            elif minimum < reached and (reached > start):
                yield _band_problem(
                    'overlap', name, minimum, min(maximum, reached))
            reached = max(reached, maximum)
        if reached < end:
            yield _band_problem('gap', name, reached, end)


def _band_problem(kind, criterion, start, end):
    "Return the text of what is wrong with the bands between two values"
    message = f'customer_grading.msg_band_{kind}'
    below, above = start == Decimal('-Infinity'), end == Decimal('Infinity')
    if below and above:
        message += '_all'
    elif below:
        message += '_below'
    elif above:
        message += '_from'
    return gettext(message, criterion=criterion, start=start, end=end)


class Band(SchemePartMixin, ModelSQL, ModelView):
    __name__ = 'customer.grading.band'
    _scheme_parent = 'criterion'

    criterion = fields.Many2One(
        'customer.grading.criterion', "Criterion", required=True,
        ondelete='CASCADE')
    minimum = fields.Numeric(
        "From",
        help="The lowest value of the band.\n"
        "Leave empty for no lower end.")
    maximum = fields.Numeric(
        "Below",
        help="The value from which it is not in the band any more.\n"
        "Leave empty for no upper end.")
    points = fields.Numeric(
        "Points", digits=(3, 2), required=True,
        domain=[
            ('points', '>=', 0),
            ('points', '<=', 100),
            ])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('criterion')
        cls._order = [
            ('minimum', 'ASC NULLS FIRST'),
            ('id', 'ASC'),
            ]
        cls._sql_indexes.add(Index(t, (t.criterion, Index.Equality())))

    @classmethod
    def _get_schemes(cls, records):
        return [r.criterion.scheme for r in records]

    def get_rec_name(self, name):
        return gettext('customer_grading.msg_band_name',
            minimum='−∞' if self.minimum is None else self.minimum,
            maximum='∞' if self.maximum is None else self.maximum)


class Threshold(SchemePartMixin, ModelSQL, ModelView):
    __name__ = 'customer.grading.threshold'
    _scheme_parent = 'scheme'

    scheme = fields.Many2One(
        'customer.grading.scheme', "Scheme", required=True,
        ondelete='CASCADE')
    axis = fields.Function(
        fields.Selection(AXES, "Axis", sort=False), 'on_change_with_axis')
    grade = fields.Many2One(
        'customer.grading.grade', "Grade", required=True, ondelete='RESTRICT',
        domain=[
            ('axis', '=', Eval('axis', '')),
            ])
    minimum_score = fields.Numeric(
        "Minimum Score", digits=(3, 2), required=True,
        domain=[
            ('minimum_score', '>=', 0),
            ('minimum_score', '<=', 100),
            ],
        help="The score from which customers have the grade.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('scheme')
        cls._order = [
            ('minimum_score', 'DESC'),
            ('id', 'ASC'),
            ]
        cls._sql_constraints.append(
            ('grade_unique', Unique(t, t.scheme, t.grade),
                'customer_grading.msg_threshold_grade_unique'))
        cls._sql_indexes.add(Index(t, (t.grade, Index.Equality())))

    @fields.depends('scheme', '_parent_scheme.axis')
    def on_change_with_axis(self, name=None):
        return self.scheme.axis if self.scheme else None

    def get_rec_name(self, name):
        return self.grade.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('grade.rec_name', *clause[1:])]
