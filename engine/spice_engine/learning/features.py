"""What the policy sees: levels and differences over the window, standardised on training rows.

The same function makes the features of all rows for training and of one window for serving, by
copies and subtractions only, so that both agree to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MAX_FEATURES = 256
MAX_CELLS = 20_000_000
"""Steps times features: 160 MB as doubles."""

Matrix = NDArray[np.float64]


def choose_lags(span: int, fields: int, steps: int) -> tuple[int, ...]:
    """Which rows of a window of `span` rows are looked at, as distances from its newest row.

    All of them where that gives at most MAX_FEATURES features, and MAX_CELLS over all steps; else
    fewer, growing apart further back.
    """
    features = min(MAX_FEATURES, MAX_CELLS // max(steps, 1))
    most = max(2, features // (2 * max(fields, 1)))
    if span <= most:
        return tuple(range(span))
    spaced = np.geomspace(1, span, most) - 1
    return tuple(int(lag) for lag in np.unique(np.round(spaced).astype(np.int64)))


def raw_features(values: Matrix, rows: NDArray[np.int64], lags: Sequence[int]) -> Matrix:
    """Levels at the lags, then differences between neighbouring lags: [N, D].

    Row i looks at `values` [T, F] in rows `rows[i] - lag` only: never at a later one.
    """
    looked_at = rows[:, None] - np.asarray(lags, dtype=np.int64)
    levels = values[looked_at]  # [N, L, F]
    differences = levels[:, :-1] - levels[:, 1:]
    count = len(rows)
    return np.concatenate(
        [levels.reshape(count, -1), differences.reshape(count, -1)], axis=1, dtype=np.float64
    )


def feature_names(fields: Sequence[str], lags: Sequence[int]) -> tuple[str, ...]:
    """Names in the order of `raw_features`: `field[-2]`, `field[0] - field[-1]`; 0 is newest."""
    levels = [f"{field}[{-lag}]" for lag in lags for field in fields]
    pairs = pairwise(lags)
    differences = [
        f"{field}[{-newer}] - {field}[{-older}]" for newer, older in pairs for field in fields
    ]
    return (*levels, *differences)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Standardisation: z = (x - mean) * inverse; `inverse` is 0 for columns that never change."""

    mean: Matrix
    inverse: Matrix

    @classmethod
    def of(cls, raw: Matrix) -> Scaling:
        """Fitted to the rows of `raw` [N, D], N >= 1."""
        # By the largest value first, so that huge readings don't overflow when squared.
        peak = np.abs(raw).max(axis=0)
        unit = np.where(peak > 0, peak, 1.0)
        shares = raw / unit
        deviation = shares.std(axis=0)
        constant = deviation <= 1e-12
        with np.errstate(over="ignore"):
            inverse = 1.0 / np.where(constant, 1.0, deviation) / unit
        usable = ~constant & np.isfinite(inverse)
        return cls(shares.mean(axis=0) * unit, np.where(usable, inverse, 0.0))

    def apply(self, raw: Matrix) -> Matrix:
        """Standardised features of the same shape."""
        return (raw - self.mean) * self.inverse
