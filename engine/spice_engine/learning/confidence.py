"""Confidence: the probability that the chosen action is the best one, calibrated out of fold.

The margin of a decision is the predicted lead of the best action over the second. On steps that a
model was not fitted to, one counts how often a margin of that size was right; that share, made to
grow with the margin (isotonic regression), is the confidence. Where no law takes actions away,
logistic regression on all actions' values says more (`learning.logistic`).

Best means best in hindsight, of all actions that there were. So it may lie far below 1 / actions,
and be true: a safe action between two bold ones, such as holding between buying and selling, may
be the wisest for want of foresight, and yet hardly ever turns out the best of the three. Such a
confidence says that the step can't be foreseen, not that another action is better.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.evaluation import best_of, choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.logistic import Logistic, fit_logistic
from spice_engine.records import record

MAX_BINS = 30
MIN_BIN = 20
_PRIOR_WEIGHT = 2.0
_RELIABILITY_BINS = 10


@record
class Calibration:
    """Confidence by margin: linear between the knots, flat outside; no knots: 1 / actions.

    `logistic` goes before, where it is for as many actions. `classic` has no knots and is the
    original product's formula, which is no probability: the largest of softmax(values / their
    largest magnitude).
    """

    margins: Matrix
    confidences: Matrix
    classic: bool = False
    logistic: Logistic | None = None

    def confidence(self, values: Matrix) -> Matrix:
        """Confidence [N] in the best action of each row of values [N, A].

        Exact ties give 1 / (number of tied actions), one action alone gives 1.
        """
        actions = values.shape[1]
        if actions == 1:
            return np.ones(len(values))
        if self.classic:
            return _classic(values)
        if self.logistic is not None and self.logistic.actions == actions:
            result = self.logistic.probability(values, _margins(values))
        elif len(self.margins):
            result = np.interp(_margins(values), self.margins, self.confidences)
        else:
            result = np.full(len(values), 1.0 / actions)
        tied = _tied(values)
        return np.where(tied > 1, 1.0 / tied, result)


UNCALIBRATED = Calibration(np.empty(0), np.empty(0))
CLASSIC = Calibration(np.empty(0), np.empty(0), classic=True)


def _classic(values: Matrix) -> Matrix:
    peak = np.abs(values).max(axis=1, keepdims=True)
    powers = np.exp(values / np.where(peak > 0, peak, 1.0))
    return powers.max(axis=1) / powers.sum(axis=1)


@record
class Bin:
    """Steps of about the same confidence: how many, their mean confidence, the share right."""

    steps: int
    confidence: float
    right: float


@record
class Reliability:
    """How far confidence and truth are apart on steps it was not calibrated on.

    `error` is the expected calibration error: the mean distance between confidence and share of
    right choices, over ten bins of confidence weighted by their steps. `chance` is about what
    chance alone makes of it, were the confidence true: of few steps it is far from 0. `right` is
    the share of right choices and `confidence` the mean confidence over all steps; `bins` are
    those of the ten with steps in them, by confidence.
    """

    error: float
    right: float
    confidence: float
    chance: float = 0.0
    bins: tuple[Bin, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for frames and the policy file."""
        return {
            "error": self.error,
            "right": self.right,
            "confidence": self.confidence,
            "chance": self.chance,
            "bins": [
                {"steps": one.steps, "confidence": one.confidence, "right": one.right}
                for one in self.bins
            ],
        }


def calibrate(values: Matrix, rewards: Matrix, *, logistic: bool = False) -> Calibration:
    """Fit to out-of-fold predictions [N, A] and the true rewards [N, A].

    `logistic` where all actions may always be taken, and their values change from step to step.
    """
    if not len(values) or values.shape[1] < 2:
        return UNCALIBRATED
    # Decisions between equals say nothing about margins; their confidence is fixed anyway.
    told = _tied(values) == 1
    values, rewards = values[told], rewards[told]
    if not len(values):
        return UNCALIBRATED
    margins, right = _margins(values), _is_right(choose(values), rewards)
    order = np.argsort(margins, kind="stable")
    bins = max(1, min(MAX_BINS, len(margins) // MIN_BIN))
    parts = _split_between(order, margins[order], bins)
    prior = 1.0 / values.shape[1]
    centres = np.array([margins[part].mean() for part in parts])
    weights = np.array([len(part) + _PRIOR_WEIGHT for part in parts])
    shares = np.array([right[part].sum() + _PRIOR_WEIGHT * prior for part in parts]) / weights
    found = fit_logistic(values, margins, right) if logistic else None
    return Calibration(centres, _isotonic(shares, weights), logistic=found)


def reliability(calibration: Calibration, values: Matrix, rewards: Matrix) -> Reliability | None:
    """Compare confidence with truth on steps [N, A], N >= 1; None where every step is a tie.

    Ties are left out as they are from calibration: 1/n says how many actions are as good, not how
    often the choice is right.
    """
    told = _tied(values) == 1
    values, rewards = values[told], rewards[told]
    if not len(values):
        return None
    confidences = calibration.confidence(values)
    right = _is_right(choose(values), rewards)
    bins = np.minimum((confidences * _RELIABILITY_BINS).astype(np.int64), _RELIABILITY_BINS - 1)
    # Steps times |confidence - share of right| of a bin is the distance of the two sums.
    said = np.bincount(bins, weights=confidences, minlength=_RELIABILITY_BINS)
    true = np.bincount(bins, weights=right, minlength=_RELIABILITY_BINS)
    steps = np.bincount(bins, minlength=_RELIABILITY_BINS)
    filled = np.flatnonzero(steps)
    count = len(values)
    mean = said[filled] / steps[filled]
    spread = np.sqrt(np.maximum(mean * (1 - mean), 0) * steps[filled])
    return Reliability(
        error=float(np.abs(said - true).sum() / count),
        right=float(right.mean()),
        confidence=float(confidences.mean()),
        # The mean distance of a normal number from its mean is 0.798 standard deviations.
        chance=float(np.sqrt(2 / np.pi) * spread.sum() / count),
        bins=tuple(
            Bin(int(steps[one]), float(said[one] / steps[one]), float(true[one] / steps[one]))
            for one in filled.tolist()
        ),
    )


def _split_between(order: NDArray[np.int64], margins: Matrix, bins: int) -> list[NDArray[np.int64]]:
    """About `bins` equal parts of `order`, whose margins rise; equal margins stay together.

    Were they cut apart, in the order of time, one margin would get several confidences: a
    constant policy that is right more often lately has one margin only.
    """
    cuts = np.arange(1, bins) * len(order) // bins
    starts = np.unique(np.searchsorted(margins, margins[cuts]))
    return np.split(order, starts[starts > 0])


def _margins(values: Matrix) -> Matrix:
    top = np.partition(values, -2, axis=1)
    return top[:, -1] - top[:, -2]


def _tied(values: Matrix) -> NDArray[np.int64]:
    return best_of(values).sum(axis=1)


def _is_right(chosen: NDArray[np.int64], rewards: Matrix) -> NDArray[np.bool_]:
    """Where the chosen action was a best one."""
    return best_of(rewards)[np.arange(len(chosen)), chosen]


def _isotonic(shares: Matrix, weights: Matrix) -> Matrix:
    """The nearest values that never fall (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for share, weight in zip(shares.tolist(), weights.tolist(), strict=True):
        pool = (share, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            before = pools.pop()
            total = before[1] + pool[1]
            mean = (before[0] * before[1] + pool[0] * pool[1]) / total
            pool = (mean, total, before[2] + pool[2])
        pools.append(pool)
    return np.concatenate([np.full(count, mean) for mean, _, count in pools])
