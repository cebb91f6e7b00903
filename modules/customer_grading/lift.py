# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""What would lift the grade of a customer.

Each criterion is tried alone with the values that give more, and the scheme
tells what would come out: so nothing is promised that a run does not give."""

import json
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from .evaluation import POPULATION, Evaluator, Values

HUNDRED = Decimal(100)
# With how many digits the runs measure at most
DIGITS = 4
_NUMBERS = {
    'definition': ['minimum_coverage', 'hysteresis'],
    'criterion': ['weight', 'minimum', 'maximum', 'knock_out_value'],
    'band': ['minimum', 'maximum', 'points'],
    'threshold': ['minimum_score'],
    'detail': ['value', 'rank', 'points', 'contribution'],
    }


def _convert(values, kind):
    return {
        **values, **{
            n: Decimal(values[n]) for n in _NUMBERS[kind]
            if values.get(n) is not None}}


def load_definition(text):
    "Return the definition of the scheme that a run has kept as JSON"
    definition = _convert(json.loads(text), 'definition')
    definition['criteria'] = [
        _convert({
                **c,
                'bands': [_convert(b, 'band') for b in c.get('bands', [])],
                }, 'criterion')
        for c in definition['criteria']]
    definition['thresholds'] = [
        _convert(t, 'threshold') for t in definition['thresholds']]
    return definition


def load_detail(text):
    "Return what each criterion gives, that a result has kept as JSON"
    return [_convert(d, 'detail') for d in json.loads(text)]


class Step:
    """A value that a criterion would need: at least, at most or below it

    gain is by how much the score rises and grade the id of the grade that
    comes out."""
    __slots__ = ('operator', 'value', 'gain', 'grade')

    def __init__(self, operator, value, gain=None, grade=None):
        self.operator = operator
        self.value = value
        self.gain = gain
        self.grade = grade


class Lift:
    """What would lift the grade

    threshold is that of the next better grade, score what must be reached for
    it, and missing what is missing to it. steps are for each criterion the
    couple of the next step and of the one that would suffice alone, None for
    those that there are not.

    ranks are the ranks of the grades by id, distributions what the criteria
    are ranked by, and digits those with which the metrics are measured."""
    __slots__ = (
        'definition', 'detail', 'digits', 'threshold', 'score', 'missing',
        'steps')

    def __init__(self, definition, detail, score, computed, ranks=None,
            distributions=None, digits=None):
        # It is about the points: who is new gets older by itself
        self.definition = {**definition, 'new_customer_grade': None}
        self.detail = detail
        self.digits = digits or {}
        evaluate = Evaluator(self.definition, ranks=ranks)
        self.threshold = self._get_threshold(computed, evaluate)
        self.score = self.missing = None
        if self.threshold:
            self.score = self.threshold['minimum_score']
            if computed in evaluate.minimums:
                self.score += evaluate.hysteresis
            if score is not None:
                self.missing = max(self.score - score, Decimal(0))
        self.steps = [
            self._get_steps(
                i, evaluate, score, computed, (distributions or {}).get(i))
            for i, _ in enumerate(detail)]

    def _get_threshold(self, computed, evaluate):
        "Return the threshold of the grade next to the computed one"
        better = [
            t for t in self.definition['thresholds']
            if computed is None
            or evaluate._get_rank(t['grade']) < evaluate._get_rank(computed)]
        return max(
            better, key=lambda t: evaluate._get_rank(t['grade']),
            default=None)

    def _get_steps(self, position, evaluate, score, computed, distribution):
        if not self.threshold:
            return None, None
        next_ = alone = None
        for step, cell in self._get_candidates(
                position, evaluate, distribution):
            cells = [
                (d.get('value'), d['count'], d.get('rank'))
                for d in self.detail]
            cells[position] = cell
            evaluation = evaluate(Values(cells, current=computed))
            if evaluation.score is None:
                continue
            step.gain = evaluation.score - (score or Decimal(0))
            step.grade = evaluation.computed
            better = evaluation.computed is not None and (
                computed is None
                or evaluate._get_rank(evaluation.computed)
                < evaluate._get_rank(computed))
            if next_ is None and (step.gain > 0 or better):
                next_ = step
            if alone is None and better:
                alone = step
            if next_ and alone:
                break
        return next_, alone

    def _get_candidates(self, position, evaluate, distribution):
        """Yield the couples of the step and of the cell with the values that
        give more points, the nearest first"""
        definition = self.definition['criteria'][position]
        detail = self.detail[position]
        value, count = detail.get('value'), detail['count'] or 1
        points = detail.get('points') or Decimal(0)
        method = definition['method']
        unit = Decimal(1).scaleb(
            -self.digits.get(definition['metric'], DIGITS))
        if detail.get('knock_out'):
            yield self._get_knock_out(definition, detail, unit)
        if method == 'linear':
            yield from self._get_linear(
                position, evaluate, points, count, unit)
        elif method in POPULATION:
            if distribution and distribution._values:
                yield from self._get_ranked(
                    definition, evaluate.criteria[position], value, points,
                    count, distribution)
        else:
            bands = sorted(
                (b for b in definition['bands'] if b['points'] > points),
                key=lambda b: b['points'])
            for band in bands:
                if step := self._reach(band, value):
                    inside = step.value
                    if step.operator == '<':
                        inside -= unit
                    yield step, (inside, count, None)

    @classmethod
    def _reach(cls, band, value):
        "Return the step into the band, from below or from above"
        minimum, maximum = band['minimum'], band['maximum']
        if minimum is not None and (value is None or value < minimum):
            return Step('>=', minimum)
        elif maximum is not None and (value is None or value >= maximum):
            return Step('<', maximum)

    @classmethod
    def _get_knock_out(cls, definition, detail, unit):
        limit = definition['knock_out_value']
        if definition['knock_out_operator'] == '>=':
            step, value = Step('<', limit), limit - unit
        else:
            step, value = Step('>', limit), limit + unit
        return step, (value, detail['count'], detail.get('rank'))

    def _get_linear(self, position, evaluate, points, count, unit):
        criterion = evaluate.criteria[position]
        better = criterion.range > 0
        if (self.detail[position].get('points') is not None
                and criterion.weight):
            # What is missing, before the score is rounded
            counted = [
                (c.weight, d['points'])
                for c, d in zip(evaluate.criteria, self.detail)
                if d.get('points') is not None]
            total = sum(w * p for w, p in counted)
            weight = sum(w for w, _ in counted)
            needed = points + (
                (self.score * weight - total) / criterion.weight)
            if points < needed < HUNDRED:
                yield self._get_linear_step(
                    criterion, needed, better, count, unit)
        if points < HUNDRED:
            yield self._get_linear_step(
                criterion, HUNDRED, better, count, unit)

    @classmethod
    def _get_linear_step(cls, criterion, points, better, count, unit):
        value = (criterion.minimum + criterion.range * points / HUNDRED)
        value = value.quantize(
            unit, ROUND_CEILING if better else ROUND_FLOOR)
        return (
            Step('>=' if better else '<=', value), (value, count, None))

    @classmethod
    def _get_ranked(
            cls, definition, criterion, value, points, count, distribution):
        lower = definition['lower_is_better']
        ranked = sorted(
            zip(distribution._values, distribution._ranks), reverse=lower)
        last = points
        for other, rank in ranked:
            if value is not None and (
                    other >= value if lower else other <= value):
                continue
            got, _ = criterion.get_points(other, rank)
            # Those of the percentiles would be as many as the customers
            if got is None or got <= last or (
                    definition['method'] == 'percentile' and got < 100
                    and got < last + 1):
                continue
            last = got
            yield (
                Step('<=' if lower else '>=', other), (other, count, rank))
