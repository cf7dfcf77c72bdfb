"""What a parameter has to do with the values of a search: how much it explains, and which way.

The share is epsilon squared of a one-way analysis of variance over groups of the parameter
(Kelley, 1935): the part of the variance of the values' ranks that the groups explain, less what
chance alone would. Ranks, so that a few trials that went astray do not decide. fANOVA's main
effects tell the same of parameters that act alone, but need a forest, and scikit-learn for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def importance_of(
    column: Sequence[float], values: Sequence[float], *, ordered: bool
) -> dict[str, Any]:
    """`{"share", "direction"}` of one parameter.

    `column` are its places or numbers trial by trial, `values` what came out; `ordered`: they are
    numbers. The share is from 0 to 1; the direction is Spearman's rank correlation.
    """
    count = len(values)
    if count < 3 or len(set(column)) < 2:
        return {"share": 0.0, "direction": None if not ordered or count < 3 else 0.0}
    ranks = _ranks(np.asarray(values, float))
    places = np.asarray(column, float)
    direction = _correlation(_ranks(places), ranks) if ordered else None
    return {"share": _share(_groups(places, ordered), ranks), "direction": direction}


def _groups(places: Floats, ordered: bool) -> npt.NDArray[np.intp]:
    """Which group each trial is in: of numbers that are many, about the root of their count."""
    distinct, found = np.unique(places, return_inverse=True)
    most = max(2, min(math.isqrt(len(places)), 20))
    if not ordered or len(distinct) <= most:
        return found
    return np.minimum((_ranks(places) * most / len(places)).astype(np.intp), most - 1)


def _share(groups: npt.NDArray[np.intp], ranks: Floats) -> float:
    total = float(np.sum((ranks - ranks.mean()) ** 2))
    counts = np.bincount(groups)
    used = counts > 0
    left = len(ranks) - int(used.sum())
    if total <= 0 or left <= 0:
        return 0.0
    means = np.bincount(groups, ranks)[used] / counts[used]
    between = float(np.sum(counts[used] * (means - ranks.mean()) ** 2))
    within = (total - between) / left
    return min(max((between - (int(used.sum()) - 1) * within) / total, 0.0), 1.0)


def _ranks(values: Floats) -> Floats:
    """From 0; equal values share the mean of their ranks."""
    distinct, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    del distinct
    ends = np.cumsum(counts)
    return ((2 * ends - counts - 1) / 2)[place]


def _correlation(one: Floats, two: Floats) -> float:
    one, two = one - one.mean(), two - two.mean()
    size = math.sqrt(float(np.sum(one**2)) * float(np.sum(two**2)))
    return float(np.sum(one * two)) / size if size > 0 else 0.0
