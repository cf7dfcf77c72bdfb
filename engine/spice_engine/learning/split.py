"""Which steps train, which select, which are held out; windows that straddle a cut are purged.

Step t sees rows t-span+1 .. t, acts, and is paid for rows t and t+1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FOLDS = 3
MIN_FOLD_STEPS = 10

Steps = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Train on the steps before, judge on the steps after; they share no row."""

    train: Steps
    judge: Steps


@dataclass(frozen=True, slots=True)
class Split:
    """All steps in data, those of the training part, the held-out ones, and the walk-forward folds.

    `cut` is the first row of the held-out part (the number of rows where nothing is held out).
    """

    every: Steps
    train: Steps
    held_out: Steps
    folds: tuple[Fold, ...]
    cut: int


def split_steps(rows: int, span: int, first_datum: int, holdout: float) -> Split:
    """The split of a table with `rows` rows.

    All of it lies in the data's span, which begins at row `first_datum`: the rows before hold
    initializers only, and would choose the best constant action wherever they are many. The
    held-out part is the last share `holdout` of the span. The folds lie in the training part
    only; there are none where it is too short.
    """
    every = _steps(first_datum, rows, span)
    held_rows = math.floor(holdout * (rows - first_datum))
    cut = rows - held_rows
    train, held_out = _steps(first_datum, cut, span), _steps(cut, rows, span)
    if not len(train) or not len(held_out):
        return Split(every, every, held_out[:0], _folds(first_datum, rows, span), rows)
    return Split(every, train, held_out, _folds(first_datum, cut, span), cut)


def _steps(first: int, end: int, span: int) -> Steps:
    """Steps whose rows all lie in [first, end)."""
    return np.arange(first + span - 1, max(end - 1, first + span - 1), dtype=np.int64)


def _folds(first: int, end: int, span: int) -> tuple[Fold, ...]:
    """Equal stretches of the rows [first, end): one only trains, each later one is judged."""
    for count in range(FOLDS, 0, -1):
        length = end - first
        cuts = [first + length * part // (count + 1) for part in range(1, count + 2)]
        folds = tuple(
            Fold(_steps(first, start, span), _steps(start, stop, span))
            for start, stop in pairwise(cuts)
        )
        if all(min(len(fold.train), len(fold.judge)) >= MIN_FOLD_STEPS for fold in folds):
            return folds
    return ()
