"""The probability that a decision is right, by logistic regression on the values it came from.

It knows more than the margin: what the values of all actions look like. So a choice between two
actions that are often mistaken for each other is less sure than another one of the same margin.
Ridge regression by Newton's method; targets are softened as Platt (1999) has it, so that a model
that never erred is not taken for one that never will.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix

RIDGE = 1.0
MAX_ROWS = 10_000
"""Rows that it is fitted to, evenly spaced, at most."""
ROWS_APIECE = 10
"""Rows that each weight needs at least; of fewer there is no fit."""
_STEPS = 30
_DONE = 1e-8
_TINY = 1e-12
_SURE = 30.0
"""Of the logit: beyond it a probability is 1 in doubles, and its exponential goes out of hand."""


@dataclass(frozen=True)
class Logistic:
    """Features [D] of the values of D - 2 actions in units of `unit`, each within the range `low`
    to `high` that it was fitted to, standardised, then `weights` [D + 1], the constant first."""

    unit: float
    low: Matrix
    high: Matrix
    mean: Matrix
    inverse: Matrix
    weights: Matrix

    @property
    def actions(self) -> int:
        """How many actions' values it was fitted to."""
        return len(self.mean) - 2

    def probability(self, values: Matrix, margins: Matrix) -> Matrix:
        """The probability [N] that the best of values [N, A], with their margins [N], is right."""
        if len(values) == 1:
            return np.array([self._one(values[0].tolist(), float(margins[0]))])
        shown = np.clip(_features(values, margins, self.unit), self.low, self.high)
        scaled = (shown - self.mean) * self.inverse
        # Column by column: a product with a matrix would add in another order for one row.
        logit = np.full(len(values), self.weights[0])
        for column, weight in zip(scaled.T, self.weights[1:].tolist(), strict=True):
            logit += column * weight
        return _share(logit)

    def _one(self, values: Sequence[float], margin: float) -> float:
        """The same of one row, to the bit, in Python's floats: some microseconds instead of 40."""
        lead = margin / self.unit
        apart = [value / self.unit for value in values]
        middle = 0.0
        for one in apart:
            middle += one
        middle /= len(apart)
        shown = (lead, float(np.log1p(lead)), *(one - middle for one in apart))
        logit, columns = self._lists
        for one, (low, high, mean, inverse, weight) in zip(shown, columns, strict=True):
            logit += (min(max(one, low), high) - mean) * inverse * weight
        return float(1 / (1 + np.exp(-min(max(logit, -_SURE), _SURE))))

    @cached_property
    def _lists(self) -> tuple[float, list[tuple[float, ...]]]:
        first, *weights = self.weights.tolist()
        parts = (self.low, self.high, self.mean, self.inverse)
        lists: list[list[float]] = [*(part.tolist() for part in parts), weights]
        return first, list(zip(*lists, strict=True))

    def to_floats(self) -> Matrix:
        """All its numbers in one array, for the policy file."""
        return np.concatenate(
            [[self.unit], self.low, self.high, self.mean, self.inverse, self.weights]
        )

    @classmethod
    def from_floats(cls, numbers: Matrix, actions: int) -> Logistic:
        """Reads them back; ValueError where they are those of another number of actions."""
        columns = actions + 2
        if len(numbers) != 5 * columns + 2 or not np.isfinite(numbers).all():
            raise ValueError("the confidence is one of other actions")
        parts = np.split(numbers[1:], [columns, 2 * columns, 3 * columns, 4 * columns])
        return cls(float(numbers[0]), *parts)


def fit_logistic(values: Matrix, margins: Matrix, right: NDArray[np.bool_]) -> Logistic | None:
    """Fits to values [N, A], their margins [N], and which decisions were `right` [N].

    None where there are too few rows, or no margin at all.
    """
    if len(values) < ROWS_APIECE * (values.shape[1] + 3):
        return None
    stride = -(-len(values) // MAX_ROWS)
    values, margins, right = values[::stride], margins[::stride], right[::stride]
    unit = float(margins.mean())
    if not (unit > 0 and np.isfinite(unit)):
        return None
    shown = _features(values, margins, unit)
    mean, deviation = shown.mean(axis=0), shown.std(axis=0)
    usable = deviation > _TINY
    inverse = np.where(usable, 1 / np.where(usable, deviation, 1.0), 0.0)
    columns = np.concatenate([np.ones((len(shown), 1)), (shown - mean) * inverse], axis=1)
    hits = int(right.sum())
    misses = len(right) - hits
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
    weights = _newton(columns, target)
    return Logistic(unit, shown.min(axis=0), shown.max(axis=0), mean, inverse, weights)


def _features(values: Matrix, margins: Matrix, unit: float) -> Matrix:
    """The margin, its logarithm, and how far each action's value is from the mean [N, A + 2]."""
    lead = margins / unit
    apart = values / unit
    # Action by action, so that one row's mean is that of many rows to the bit.
    middle = np.zeros(len(values))
    for column in apart.T:
        middle += column
    middle /= values.shape[1]
    parts = [lead[:, None], np.log1p(lead)[:, None], apart - middle[:, None]]
    return np.concatenate(parts, axis=1)


def _newton(columns: Matrix, target: Matrix) -> Matrix:
    """The weights of the least ridge-penalised log loss; the constant is not penalised."""
    weights = np.zeros(columns.shape[1])
    ridge = np.full(len(weights), RIDGE)
    ridge[0] = _TINY * len(columns)
    for _ in range(_STEPS):
        share = _share(columns @ weights)
        slope = columns.T @ (target - share) - ridge * weights
        curve = (columns * np.maximum(share * (1 - share), _TINY)[:, None]).T @ columns
        curve[np.diag_indices_from(curve)] += ridge
        step = np.linalg.solve(curve, slope)
        largest = float(np.abs(step).max())
        weights += step * min(1.0, 4.0 / largest if largest else 1.0)  # no leap over the hill
        if largest < _DONE:
            break
    return weights


def _share(logit: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-np.clip(logit, -_SURE, _SURE)))
