# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import gc
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from trytond.backend.postgresql.database import LoggingCursor


@dataclass
class Result:
    "A line of the table: ours is to be at most reach times the stock"
    name: str
    ours: float
    stock: float
    reach: float
    unit: str = 'ms'
    ratio: float = None

    def __post_init__(self):
        if self.ratio is None:
            self.ratio = self.ours / self.stock

    def format(self, value):
        return f'{value:.0f} {self.unit}' if value >= 100 else (
            f'{value:.1f} {self.unit}')

    @property
    def reached(self):
        return self.ratio <= self.reach


def duration(function, *args):
    "Return how many milliseconds the function takes"
    start = time.perf_counter()
    function(*args)
    return (time.perf_counter() - start) * 1000


def peak_memory():
    """Return the MB that the process had at most

    What getrusage tells starts with those of the process that started it."""
    status = Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+)', status)[1]) / 1024


def compare(name, reach, pairs, per=1):
    """Return the result for the pairs of durations of ours and stock.

    The two of a pair are measured one right after the other, so that what
    else the machine does slows both down, and the first only warms up."""
    pairs = list(pairs)[1:]
    return Result(
        name,
        median(o for o, _ in pairs) / per,
        median(s for _, s in pairs) / per,
        reach,
        ratio=median(o / s for o, s in pairs))


def alternate(times, ours, stock):
    """Yield the pairs of durations that the functions of the number of the
    repetition return, each of them going first every other time

    The garbage collector leaves out what was there before: to go through the
    models of both takes longer than what is measured, of whichever it hits."""
    gc.collect()
    gc.freeze()
    try:
        for i in range(times + 1):
            if i % 2:
                second, first = stock(i), ours(i)
                yield first, second
            else:
                yield ours(i), stock(i)
    finally:
        gc.unfreeze()


@contextmanager
def count_queries():
    "Count the queries in the list"
    queries = []
    execute = LoggingCursor.execute

    def count(self, query, *args, **kwargs):
        queries.append(query)
        return execute(self, query, *args, **kwargs)
    LoggingCursor.execute = count
    try:
        yield queries
    finally:
        LoggingCursor.execute = execute
