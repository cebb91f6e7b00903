# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model.exceptions import AccessError
from trytond.modules.company import CompanyReport
from trytond.modules.company_department.report import Document, Texts
from trytond.pool import Pool
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, check_access

from .file import get_context_company
from .grade import AXES
from .lift import Lift, load_definition, load_detail

# How many results the trend shows
TREND = 12
# How many of those that moved far are printed
MOVED = 500
# The size of the drawing of the trend
WIDTH, HEIGHT, BORDER = 640, 130, 15


class GradingDocument(Document):
    "Print what is known of the grades, as the user may read it"

    @classmethod
    def header_key(cls, record, data):
        # Parties have none
        return super(CompanyReport, cls).header_key(record, data) + (
            ('company', cls._get_company(record)),
            )

    @classmethod
    def _get_company(cls, record):
        return record.company

    @classmethod
    def check_access(cls, action, model, ids):
        pool = Pool()
        ModelAccess = pool.get('ir.model.access')
        super().check_access(action, model, ids)
        if Transaction().user:
            with check_access():
                ModelAccess.check('customer.grade', 'read')
                ModelAccess.check('customer.grading.result', 'read')

    @classmethod
    def _execute(cls, records, header, data, action):
        with check_access():
            return super()._execute(records, header, data, action)


class GradeCard(GradingDocument):
    __name__ = 'customer.grade.card'
    _model = 'party.party'

    @classmethod
    def _get_company(cls, record):
        pool = Pool()
        Company = pool.get('company.company')
        if record.__class__.__name__ == 'customer.file':
            return record.company
        company = get_context_company()
        if company is None:
            raise AccessError(gettext(
                    'customer_grading.msg_card_company',
                    party=record.rec_name))
        return Company(company)

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        company = context['company']
        parties = []
        if records:
            parties = records[0].__class__.browse(list(map(int, records)))
            if parties[0].__name__ == 'customer.file':
                parties = [f.party for f in parties]
        with Transaction().set_context(
                company=company.id if company else None):
            card = Cards(cls, company, parties)
            context.update(
                card.get_context(),
                cards=[card.get_card(p) for p in parties])
        return context


class Cards(Texts):
    "What is known of the grades of customers in a company"
    messages = 'customer_grading.msg_card'

    def __init__(self, Report, company, parties):
        super().__init__(Report, company)
        pool = Pool()
        File = pool.get('customer.file')
        Grade = pool.get('customer.grading.grade')
        Metric = pool.get('customer.grading.metric')
        Party = pool.get('party.party')
        Result = pool.get('customer.grading.result')
        self.Criterion = pool.get('customer.grading.result.criterion')
        self.kinds = Metric.get_kinds()
        self.digits = {
            n: Metric.get_digits(n, company) for n, _ in Metric.get_metrics()}
        self.axes = Grade.fields_get(['axis'])['axis']['selection']
        self.reasons = dict(
            Result.fields_get(['reason'])['reason']['selection'])
        self.catalogue = {
            g.id: g for g in Grade.search([
                    ('active', 'in', [True, False])])}
        ids = [p.id for p in parties]
        self.files = {
            f.party.id: f for f in self._search('customer.file', ids)}
        self.grades = self._read('customer.grade', ids)
        self.overrides = self._read('customer.grade.override', ids)
        self.changes = self._read('customer.credit.limit.change', ids)
        self.results = defaultdict(list)
        for result in self._search(
                'customer.grading.result', ids,
                [('run.state', '=', 'applied')],
                order=[('run.date', 'ASC'), ('id', 'ASC')]):
            self.results[result.party.id, result.axis].append(result)
        self.exposures = {}
        # Of the check of credit
        if hasattr(Party, 'get_exposure') and ids:
            hidden = File.get_hidden(ids)
            self.exposures = Party.get_exposure(
                company, [i for i in ids if (company.id, i) not in hidden])
        self.definitions, self.distributions = {}, {}

    def _search(self, name, parties, domain=(), order=None):
        "Return the records of the parties that the user may read"
        pool = Pool()
        ModelAccess = pool.get('ir.model.access')
        try:
            Model = pool.get(name)
        except KeyError:
            return []
        if not ModelAccess.check(name, 'read', raise_exception=False):
            return []
        records = []
        for ids in grouped_slice(parties, 1000):
            records.extend(Model.search([
                        ('company', '=', self.company.id),
                        ('party', 'in', list(ids)),
                        *domain], order=order))
        return records

    def _read(self, name, parties):
        by_party = defaultdict(list)
        for record in self._search(name, parties):
            by_party[record.party.id].append(record)
        return by_party

    def get_card(self, party):
        return {
            'party': party,
            'file': self.files.get(party.id),
            'managers': self._get_managers(party),
            'current': self._get_current(party),
            'exposure': self._get_exposure(party),
            'axes': [
                self._get_axis(party, axis, label)
                for axis, label in self.axes if self.results[party.id, axis]],
            'grades': self.grades[party.id],
            'overrides': self.overrides[party.id],
            'changes': self.changes[party.id],
            }

    def format(self, value, record=None, name=None):
        if isinstance(value, float):
            return self.lang.format_number(Decimal(str(round(value, 4))))
        return super().format(value, record, name)

    def _get_completeness_share(self, file):
        return self._format_share(getattr(file, 'completeness', None))

    def _get_origin(self, grade):
        "Return what gave the grade to the customer"
        texts = [self.get_text(grade, 'source')]
        if grade.override:
            override = grade.override
            texts.append(gettext('customer_grading.msg_card_override',
                    end=self.format(override.ended_on or override.end_date)))
        elif grade.result:
            texts.append(grade.result.run.rec_name)
        return ' – '.join(texts)

    def _get_name(self, grade):
        return f'{grade.grade.code} – {grade.grade.name}'

    def _get_managers(self, party):
        file = self.files.get(party.id)
        return list(getattr(file, 'managers', []))

    def _get_current(self, party):
        order = [a for a, _ in AXES]
        return sorted(
            (g for g in self.grades[party.id] if not g.end_date),
            key=lambda g: order.index(g.axis))

    def _get_exposure(self, party):
        "Return the couples of label and text of the credit of the customer"
        exposure = self.exposures.get(party.id)
        if not exposure:
            return []
        rows = []
        for name in ['limit', 'receivable', 'orders', 'overdue']:
            value = exposure.get(name)
            rows.append((
                    gettext(f'customer_grading.msg_card_{name}'),
                    gettext('customer_grading.msg_card_no_limit')
                    if value is None else self._format_amount(value)))
        return rows

    def _format_amount(self, value):
        return self.lang.currency(
            value, self.company.currency, grouping=True)

    def _format_share(self, value):
        if value is None:
            return ''
        return self.Criterion.format(Decimal(str(value)), 'share')

    def _format_number(self, value):
        if value is None:
            return ''
        return self.lang.format_number(value, digits=2)

    def _format_grade(self, grade):
        if grade is None:
            return '–'
        grade = self.catalogue[int(grade)]
        return f'{grade.code} – {grade.name}'

    # The result that was applied last

    def _get_definition(self, run):
        if run not in self.definitions:
            self.definitions[run] = load_definition(run.definition)
        return self.definitions[run]

    def _get_distributions(self, run):
        "Return the values by which the run has ranked, by its criteria"
        run = run.distribution or run
        if run not in self.distributions:
            self.distributions[run] = run._load_distributions(
                self._get_definition(run))
        return self.distributions[run]

    def _get_axis(self, party, axis, label):
        results = self.results[party.id, axis]
        result = results[-1]
        definition = self._get_definition(result.run)
        detail = load_detail(result.detail)
        lift = Lift(
            definition, detail, result.score,
            result.computed_grade.id if result.computed_grade else None,
            {i: g.rank for i, g in self.catalogue.items()},
            self._get_distributions(result.run), self.digits)
        return {
            'label': label,
            'result': result,
            'scheme': gettext('customer_grading.msg_card_scheme',
                scheme=definition['name'], version=definition['version'],
                run=result.run.rec_name, date=self.format(result.run.date)),
            'score': self._format_number(result.score) or '–',
            'coverage': self._format_share(result.coverage),
            'computed': self._format_grade(result.computed_grade),
            'grade': self._format_grade(result.final_grade),
            'reason': self.reasons[result.reason],
            'thresholds': ', '.join(
                f"{t.get('code') or self.catalogue[t['grade']].code} "
                f"≥ {self._format_number(t['minimum_score'])}"
                for t in definition['thresholds']),
            'criteria': [
                self._get_criterion(c) for c in result.criteria],
            'next': self._get_next(result, lift),
            'lifts': self._get_lifts(definition, lift),
            'trend': [{
                    'date': self.format(r.run.date),
                    'score': self._format_number(r.score) or '–',
                    'computed': self._format_grade(r.computed_grade),
                    'grade': self._format_grade(r.final_grade),
                    'reason': self.reasons[r.reason],
                    } for r in reversed(results[-TREND:])],
            'chart': self._get_chart(results[-TREND:], definition),
            }

    def _get_criterion(self, criterion):
        notes = [criterion.missing_text] if criterion.missing else []
        if criterion.knock_out:
            notes.append(gettext('customer_grading.msg_card_knock_out'))
        return {
            'name': criterion.name,
            'value': criterion.value_text or '–',
            'count': str(criterion.count or 0),
            'band': criterion.band or criterion.rank_text,
            'points': self._format_number(criterion.points),
            'weight': self._format_share(criterion.weight / 100),
            'contribution': self._format_number(criterion.contribution),
            'note': ', '.join(notes),
            }

    def _get_next(self, result, lift):
        "Return the text of what is missing to the next better grade"
        if not lift.threshold:
            return gettext('customer_grading.msg_card_best')
        values = {
            'grade': self._format_grade(lift.threshold['grade']),
            'score': self._format_number(lift.score),
            }
        if result.reason == 'new':
            return gettext('customer_grading.msg_card_next_new', **values)
        elif result.score is None or result.computed_grade is None:
            return gettext('customer_grading.msg_card_next_data', **values)
        elif not lift.missing:
            return gettext('customer_grading.msg_card_next_knock_out',
                **values)
        return gettext('customer_grading.msg_card_next',
            missing=self._format_number(lift.missing), **values)

    def _get_lifts(self, definition, lift):
        lifts = []
        for criterion, (next_, alone) in zip(
                definition['criteria'], lift.steps):
            if not next_ and not alone:
                continue
            lifts.append({
                    'name': criterion['name'],
                    'next': self._format_step(criterion, next_),
                    'gain': (
                        f'{self._format_number(next_.gain)}'
                        if next_ else ''),
                    'alone': self._format_step(criterion, alone),
                    'grade': (
                        self._format_grade(alone.grade) if alone else ''),
                    'marked': bool(alone),
                    })
        return lifts

    def _format_step(self, criterion, step):
        if not step:
            return ''
        operator = {'>=': '≥', '<=': '≤'}.get(step.operator, step.operator)
        kind = self.kinds.get(criterion['metric'])
        value = self.Criterion.format(step.value, kind, self.company)
        return f'{operator} {value}'

    def _get_chart(self, results, definition):
        "Return the coordinates of the drawing of the scores"
        results = [r for r in results if r.score is not None]
        if len(results) < 2:
            return None
        first, last = results[0].run.date, results[-1].run.date
        days = (last - first).days
        width, height = WIDTH - 4 * BORDER, HEIGHT - 2 * BORDER

        def x(i, result):
            share = (
                (result.run.date - first).days / days if days
                else i / (len(results) - 1))
            return round(2 * BORDER + share * width, 1)

        def y(score):
            return round(HEIGHT - BORDER - float(score) / 100 * height, 1)

        points = [
            {
                'x': x(i, r), 'y': y(r.score),
                'score': self._format_number(r.score)}
            for i, r in enumerate(results)]
        return {
            'width': WIDTH,
            'height': HEIGHT,
            'left': 2 * BORDER,
            'right': WIDTH - 2 * BORDER,
            'top': y(100),
            'bottom': y(0),
            'thresholds': [{
                    'y': y(t['minimum_score']),
                    'code': self.catalogue[t['grade']].code,
                    } for t in definition['thresholds']],
            'points': points,
            'line': ' '.join(f"{p['x']},{p['y']}" for p in points),
            }


class MigrationMatrix(GradingDocument):
    __name__ = 'customer.grading.migration.matrix'
    _model = 'customer.grading.run'

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        runs = []
        if records:
            runs = records[0].__class__.browse(list(map(int, records)))
        matrices = Matrices(cls, context['company'])
        context.update(
            matrices.get_context(),
            matrices=[matrices.get_matrix(r) for r in runs])
        return context


class Matrices(Texts):
    "Who moved from which grade to which in runs"
    messages = 'customer_grading.msg_card'

    def get_matrix(self, run):
        pool = Pool()
        Grade = pool.get('customer.grading.grade')
        counts = {
            (m.previous_grade, m.final_grade): m.count for m in run.migration}
        used = {g for couple in counts for g in couple if g}
        grades = [
            g for g in Grade.search([
                    ('axis', '=', run.axis),
                    ('active', 'in', [True, False]),
                    ], order=[('rank', 'ASC'), ('id', 'ASC')])
            if g.active or g in used]
        total = sum(counts.values())
        rows = []
        for previous in [*grades, None]:
            row = [counts.get((previous, final), 0)
                for final in [*grades, None]]
            rows.append({
                    'label': previous.code if previous else gettext(
                        'customer_grading.msg_card_no_grade'),
                    'cells': [
                        self._get_cell(n, total, i, grades, previous)
                        for i, n in enumerate(row)],
                    'total': self._get_count(sum(row), total),
                    })
        totals = [
            self._get_count(
                sum(counts.get((p, f), 0) for p in [*grades, None]), total)
            for f in [*grades, None]]
        moved, more = self._get_moved(run, grades, counts)
        return {
            'run': run,
            'grades': [g.code for g in grades] + [
                gettext('customer_grading.msg_card_no_grade')],
            'rows': rows,
            'totals': totals,
            'total': str(total),
            'moved': moved,
            'more': gettext('customer_grading.msg_card_more', number=more)
            if more else '',
            }

    def _get_cell(self, number, total, position, grades, previous):
        class_ = 'same'
        if previous and position < len(grades):
            steps = position - grades.index(previous)
            class_ = 'up' if steps < 0 else 'down' if steps else 'same'
        return {'text': self._get_count(number, total), 'class': class_}

    def _get_count(self, number, total):
        if not number:
            return ''
        share = self.lang.format('%.1f', number / total * 100, grouping=True)
        return f'{number} ({share} %)'

    def _get_moved(self, run, grades, counts):
        """Return the results of those that moved two steps or more, the
        farthest first, and the number of those that there are beyond"""
        pool = Pool()
        Result = pool.get('customer.grading.result')
        positions = {g: i for i, g in enumerate(grades)}
        couples = {}
        for previous, final in counts:
            if previous in positions and final in positions:
                steps = positions[previous] - positions[final]
                if abs(steps) >= 2:
                    couples[previous, final] = steps
        if not couples:
            return [], 0
        moved = []
        for (previous, final), steps in sorted(
                couples.items(), key=lambda i: -abs(i[1])):
            if len(moved) >= MOVED:
                break
            for result in Result.search([
                        ('run', '=', run.id),
                        ('previous_grade', '=', previous.id),
                        ('final_grade', '=', final.id),
                        ], order=[('id', 'ASC')], limit=MOVED - len(moved)):
                moved.append({
                        'party': result.party.rec_name,
                        'previous': f'{previous.code} – {previous.name}',
                        'final': f'{final.code} – {final.name}',
                        'steps': f'{steps:+d}',
                        'score': self.format(result.score),
                        'reason': self.get_text(result, 'reason'),
                        })
        return moved, sum(counts[c] for c in couples) - len(moved)
