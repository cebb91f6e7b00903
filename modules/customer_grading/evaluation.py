# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""What a scheme says about a customer.

Nothing here reads the database: the same definition and the same values always
give the same grade."""

from bisect import bisect_left, bisect_right
from decimal import ROUND_HALF_UP, Decimal

from dateutil.relativedelta import relativedelta

HUNDRED = Decimal(100)
CENT = Decimal('0.01')
RANK = Decimal('0.000001')
COVERAGE = Decimal('0.0001')
NEUTRAL = Decimal(50)
POPULATION = {'percentile', 'pareto'}


class Values:
    """What is known of a customer

    cells are for each criterion of the scheme the value, None without data,
    the number of records that it comes from, and its rank: the percentile or
    the cumulative share of those who are better. first is the date of the
    first order, current the id of the current grade and override that of the
    grade which is imposed."""
    __slots__ = ('cells', 'first', 'current', 'override')

    def __init__(self, cells, first=None, current=None, override=None):
        self.cells = cells
        self.first = first
        self.current = current
        self.override = override


class Evaluation:
    "What the scheme says about a customer"
    __slots__ = (
        'score', 'coverage', 'computed', 'final', 'reason', 'change', 'detail')

    def __init__(
            self, score, coverage, computed, final, reason, change, detail):
        self.score = score
        self.coverage = coverage
        self.computed = computed
        self.final = final
        self.reason = reason
        self.change = change
        self.detail = detail


class Criterion:
    __slots__ = (
        'weight', 'method', 'missing', 'lower', 'minimum', 'range', 'bands',
        'minimums', 'knock_out', 'knock_out_least', 'knock_out_value',
        'knock_out_grade', 'pareto')

    def __init__(self, definition):
        self.weight = definition['weight']
        self.method = definition['method']
        self.pareto = self.method == 'pareto'
        self.missing = {
            'skip': None,
            'zero': Decimal(0),
            'neutral': NEUTRAL,
            'full': HUNDRED,
            }[definition['missing']]
        self.lower = definition['lower_is_better']
        self.minimum = self.range = None
        if self.method == 'linear':
            minimum, maximum = definition['minimum'], definition['maximum']
            if self.lower and minimum < maximum:
                minimum, maximum = maximum, minimum
            self.minimum, self.range = minimum, maximum - minimum
        lowest = Decimal('-Infinity')
        self.bands = sorted(
            ((lowest if b['minimum'] is None else b['minimum'], b['maximum'],
                b['points'], i)
            for i, b in enumerate(definition['bands'])),
            key=lambda b: b[0])
        self.minimums = [b[0] for b in self.bands]
        self.knock_out = definition['knock_out']
        self.knock_out_least = definition['knock_out_operator'] == '>='
        self.knock_out_value = definition['knock_out_value']
        self.knock_out_grade = definition['knock_out_grade']

    def get_points(self, value, rank):
        "Return the points and the number of the band, None without any"
        method = self.method
        if method == 'percentile':
            return (rank * HUNDRED).quantize(CENT, ROUND_HALF_UP), None
        elif method == 'linear':
            points = (value - self.minimum) / self.range * HUNDRED
            if points <= 0:
                return Decimal(0), None
            if points >= 100:
                return HUNDRED, None
            return points.quantize(CENT, ROUND_HALF_UP), None
        if method == 'pareto':
            value = rank
            if value is None:
                return None, None
        i = bisect_right(self.minimums, value) - 1
        if i < 0:
            return None, None
        _, maximum, points, number = self.bands[i]
        if maximum is not None and value >= maximum:
            return None, None
        return points, number

    def knocks_out(self, value):
        if not self.knock_out or value is None:
            return False
        if self.knock_out_least:
            return value >= self.knock_out_value
        return value <= self.knock_out_value


class Evaluator:
    """Evaluate customers by the definition of a scheme on a date

    ranks are the ranks of the grades by their ids, lower is better; those of
    the thresholds are known."""

    def __init__(self, definition, date=None, ranks=None):
        self.criteria = [Criterion(c) for c in definition['criteria']]
        self.weight = sum((c.weight for c in self.criteria), Decimal(0))
        # Best first
        self.thresholds = [
            (t['minimum_score'], t['grade'])
            for t in sorted(
                definition['thresholds'], key=lambda t: t['rank'])]
        self.minimums = {g: m for m, g in self.thresholds}
        self.ranks = {t['grade']: t['rank'] for t in definition['thresholds']}
        self.ranks.update(ranks or {})
        self.minimum_coverage = definition['minimum_coverage'] or Decimal(0)
        self.hysteresis = definition['hysteresis'] or Decimal(0)
        self.new_grade = definition['new_customer_grade']
        self.new_since = None
        if date and self.new_grade and definition['new_customer_months']:
            self.new_since = date - relativedelta(
                months=definition['new_customer_months'])

    def __call__(self, values):
        weight, total = Decimal(0), Decimal(0)
        rows = []
        knock_outs = None
        for criterion, (value, count, rank) in zip(
                self.criteria, values.cells):
            band = None
            if value is None:
                points = None
            else:
                points, band = criterion.get_points(value, rank)
                if criterion.knock_out and criterion.knocks_out(value):
                    if knock_outs is None:
                        knock_outs = set()
                    knock_outs.add(len(rows))
            missing = points is None
            if missing:
                points = criterion.missing
            if points is not None:
                weight += criterion.weight
                total += criterion.weight * points
            rows.append((value, count, rank, band, points, missing))

        score = coverage = None
        if self.weight:
            coverage = (weight / self.weight).quantize(
                COVERAGE, ROUND_HALF_UP)
        if weight:
            score = (total / weight).quantize(CENT, ROUND_HALF_UP)

        computed, reason = self._get_grade(values, score, coverage)
        if knock_outs and computed is not None:
            worst = max(
                (self.criteria[i].knock_out_grade for i in knock_outs),
                key=self._get_rank)
            if self._get_rank(worst) > self._get_rank(computed):
                computed, reason = worst, 'knock_out'
        final = computed
        if values.override is not None:
            final, reason = values.override, 'override'
        return Evaluation(
            score, coverage, computed, final, reason,
            self._get_change(values.current, final),
            self._dump(rows, weight, knock_outs))

    def _get_rank(self, grade):
        return self.ranks.get(grade, 0)

    def _get_grade(self, values, score, coverage):
        "Return the grade and the reason of it"
        if self.new_since and (
                values.first is None or values.first > self.new_since):
            return self.new_grade, 'new'
        if score is None or coverage < self.minimum_coverage:
            return None, 'coverage'
        grade = next(
            (g for m, g in self.thresholds if score >= m),
            self.thresholds[-1][1])
        current = values.current
        if current == grade or current not in self.minimums:
            return grade, 'score'
        if self._get_rank(grade) > self._get_rank(current):
            if score < self.minimums[current] - self.hysteresis:
                return grade, 'score'
            return current, 'hysteresis'
        # The best grade that is reached with a margin
        for minimum, better in self.thresholds:
            if better == current:
                break
            if score >= minimum + self.hysteresis:
                return better, 'score' if better == grade else 'hysteresis'
        return current, 'hysteresis'

    def _get_change(self, current, final):
        if final is None:
            return 'not_rated'
        if current is None:
            return 'first'
        if current == final:
            return 'same'
        if self._get_rank(final) < self._get_rank(current):
            return 'up'
        return 'down'

    def _dump(self, rows, weight, knock_outs):
        "Return the criteria as JSON"
        # Faster than json for what is so simple
        texts = []
        append = texts.append
        for i, (criterion, row) in enumerate(zip(self.criteria, rows)):
            value, count, rank, band, points, missing = row
            text = '{'
            if value is not None:
                text += f'"value":"{value}",'
            if rank is not None:
                text += f'"rank":"{rank}",'
            if band is not None:
                text += f'"band":{band},'
            if missing:
                text += '"missing":true,'
            if knock_outs and i in knock_outs:
                text += '"knock_out":true,'
            if points is not None:
                contribution = points * criterion.weight / weight
                text += (
                    f'"points":"{points}","contribution":'
                    f'"{contribution.quantize(CENT, ROUND_HALF_UP)}",')
            append(f'{text}"count":{count}}}')
        return f'[{",".join(texts)}]'


class Distribution:
    """The values of all customers by which others are ranked

    Of all values there are about as many points as SIZE kept, which costs the
    ranks at most its inverse."""
    SIZE = 1000

    def __init__(self, lower=False, pareto=False):
        self.lower = lower
        self.pareto = pareto
        self.buckets = {}
        self._values = self._ranks = None

    def add(self, value, rank):
        if rank is None:
            return
        bucket = int(rank * self.SIZE)
        kept = self.buckets.get(bucket)
        # The worst value, so that nobody gets more than is due
        if (kept is None
                or (value > kept[0] if self.lower else value < kept[0])):
            self.buckets[bucket] = (value, rank)

    def get_points(self):
        return sorted(self.buckets.values())

    def load(self, points):
        "Use the points of values and ranks in the order of the values"
        self._values = [v for v, _ in points]
        self._ranks = [r for _, r in points]

    def get_rank(self, value):
        if value is None or not self._values:
            return None
        if self.lower:
            i = bisect_left(self._values, value)
            outside = i >= len(self._values)
        else:
            i = bisect_right(self._values, value) - 1
            outside = i < 0
        if outside:
            # Worse than everybody
            return Decimal(1 if self.pareto else 0).quantize(RANK)
        return self._ranks[i]
