"""Which steps train, which select, which are held out; windows that straddle a cut are purged.

Step t sees rows t-span+1 .. t, acts, and is paid for rows t and t+1. Of very many steps some are
looked at only: they say as much, and take a part of the memory and the time.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spice_engine.records import record

FOLDS = 3
MIN_FOLD_STEPS = 10

Steps = NDArray[np.int64]


@record
class Fold:
    """Train on the steps before, judge on the steps after; they share no row."""

    train: Steps
    judge: Steps


@record
class Split:
    """The steps in data, those of the training part, the held-out ones, and the walk-forward folds.

    All are stretches of `every`. `cut` is the first row of the held-out part (the number of rows
    where nothing is held out). `total` is how many steps there are, of which `every` are looked at.
    """

    every: Steps
    train: Steps
    held_out: Steps
    folds: tuple[Fold, ...]
    cut: int
    total: int


def split_steps(
    rows: int, span: int, first_datum: int, holdout: float, most: int | None = None
) -> Split:
    """The split of a table with `rows` rows.

    All of it lies in the data's span, which begins at row `first_datum`: the rows before hold
    initializers only, and would choose the best constant action wherever they are many. The
    held-out part is the last share `holdout` of the span. The folds lie in the training part
    only; there are none where it is too short. Of more than `most` steps about so many are looked
    at.
    """
    first = first_datum + span - 1
    total = max(rows - 1 - first, 0)
    every = looked_at(np.arange(first, first + total, dtype=np.int64), most)
    held_rows = math.floor(holdout * (rows - first_datum))
    cut = rows - held_rows
    train, held_out = _within(every, first_datum, cut, span), _within(every, cut, rows, span)
    if not len(train) or not len(held_out):
        folds = _folds(every, first_datum, rows, span)
        return Split(every, every, held_out[:0], folds, rows, total)
    return Split(every, train, held_out, _folds(every, first_datum, cut, span), cut, total)


def looked_at(steps: Steps, most: int | None) -> Steps:
    """The steps; of more than `most` one of every so many, drawn by chance.

    Evenly spaced ones would fall into step with hours and days. The last is always among them:
    up to it everything counts as learned.
    """
    if most is None or len(steps) <= most:
        return steps
    apart = -(-len(steps) // most)
    places = np.arange(0, len(steps), apart, dtype=np.int64)
    places += np.random.default_rng(0).integers(0, apart, len(places))
    places[-1] = len(steps) - 1
    return steps[places]


def _within(every: Steps, first: int, end: int, span: int) -> Steps:
    """Of some steps those whose rows all lie in [first, end)."""
    low, high = np.searchsorted(every, (first + span - 1, max(end - 1, first + span - 1))).tolist()
    return every[low:high]


def _folds(every: Steps, first: int, end: int, span: int) -> tuple[Fold, ...]:
    """Equal stretches of the rows [first, end): one only trains, each later one is judged."""
    for count in range(FOLDS, 0, -1):
        length = end - first
        cuts = [first + length * part // (count + 1) for part in range(1, count + 2)]
        folds = tuple(
            Fold(_within(every, first, start, span), _within(every, start, stop, span))
            for start, stop in pairwise(cuts)
        )
        if all(min(len(fold.train), len(fold.judge)) >= MIN_FOLD_STEPS for fold in folds):
            return folds
    return ()
