"""What the policy sees: levels and differences over the window, standardised on training rows.

The same function makes the features of all rows for training and of one window for serving, by
operations on single numbers in a fixed order only, so that both agree to the bit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spice_engine.records import record

MAX_FEATURES = 256
MAX_CELLS = 20_000_000
"""Steps times features: 160 MB as doubles."""
MOST_CELLS = 5 * MAX_CELLS
_BLOCK = 16_384
"""Rows at a time, so that besides the result next to nothing is held."""

_COLUMNS = 16

Matrix = NDArray[np.float64]
Kind = Literal["levels", "classic"]


def choose_lags(span: int, fields: int, steps: int, alone: int = 0) -> tuple[int, ...]:
    """Which rows of a window of `span` rows are looked at, as distances from its newest row.

    All of them where that gives at most MAX_FEATURES features, and MAX_CELLS over all steps; else
    fewer, growing apart further back, and of many fields no fewer than the newest and one before;
    the newest alone where even that were more than MOST_CELLS. `alone` further features take
    their room first.
    """
    features = min(MAX_FEATURES, MAX_CELLS // max(steps, 1)) - alone
    fewest = 2 if 4 * fields * steps <= MOST_CELLS else 1
    most = max(fewest, features // (2 * max(fields, 1)))
    if span <= most:
        return tuple(range(span))
    spaced = np.geomspace(1, span, most) - 1
    return tuple(int(lag) for lag in np.unique(np.round(spaced).astype(np.int64)))


@dataclass(frozen=True)
class Layout:
    """How the columns of a state table become features.

    The columns `lagged` are looked at in every row of `lags`, the columns `current` in the newest
    row only: local state, which the past says nothing about, and columns of zeros and ones. The
    features are the levels by lag, then the differences of neighbouring lags, then the current
    ones. `classic` has the levels divided by the length of the field's window, as the original
    did, and no differences.
    """

    fields: tuple[str, ...]
    lagged: tuple[int, ...]
    current: tuple[int, ...]
    lags: tuple[int, ...]
    kind: Kind = "levels"

    @classmethod
    def choose(
        cls,
        fields: Sequence[str],
        span: int,
        steps: int,
        *,
        current: Collection[str] = (),
        kind: Kind = "levels",
    ) -> Layout:
        """The layout for windows of `span` rows, with `current` the fields without a past."""
        lagged = tuple(i for i, name in enumerate(fields) if name not in current)
        alone = tuple(i for i, name in enumerate(fields) if name in current)
        lags = choose_lags(span, len(lagged), steps, len(alone))
        return cls(tuple(fields), lagged, alone, lags, kind)

    def raw(self, values: Matrix, rows: NDArray[np.int64]) -> Matrix:
        """The features [N, D] at `rows` [N] of `values` [T, F].

        Row i looks at `values` in rows `rows[i] - lag` only: never at a later one.
        """
        raw = np.empty((len(rows), self._width))
        for start in range(0, len(rows), _BLOCK):
            self._fill(values, rows[start : start + _BLOCK], raw[start : start + _BLOCK])
        return raw

    def _fill(self, values: Matrix, rows: NDArray[np.int64], raw: Matrix) -> None:
        looked_at = rows[:, None] - self._lags
        count = len(rows)
        levels = values[looked_at[:, :, None], self._lagged]  # [N, L, F]
        parts: list[Matrix] = []
        if self.kind == "classic":
            parts.append(_by_length(levels).reshape(count, -1))
        else:
            parts.append(levels.reshape(count, -1))
            parts.append((levels[:, :-1] - levels[:, 1:]).reshape(count, -1))
        if self.current:
            parts.append(values[rows[:, None], self._current])
        np.concatenate(parts, axis=1, out=raw)

    def one(self, window: Matrix) -> Matrix:
        """The features [1, D] of one window, whose last row is the newest."""
        return self.raw(window, np.array([len(window) - 1], dtype=np.int64))

    def position(self, field: str) -> int:
        """Which feature is the level of a field in the newest row."""
        index = self.fields.index(field)
        if index in self.lagged:
            return self.lagged.index(index)
        return len(self.names) - len(self.current) + self.current.index(index)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the features: `field[-2]`, `field[0] - field[-1]`; 0 is newest."""
        lagged = [self.fields[i] for i in self.lagged]
        levels = [f"{field}[{-lag}]" for lag in self.lags for field in lagged]
        differences = [
            f"{field}[{-newer}] - {field}[{-older}]"
            for newer, older in pairwise(self.lags)
            for field in lagged
        ]
        alone = [f"{self.fields[i]}[0]" for i in self.current]
        return (*levels, *(differences if self.kind == "levels" else ()), *alone)

    @cached_property
    def _width(self) -> int:
        return len(self.names)

    @cached_property
    def _lags(self) -> NDArray[np.int64]:
        return np.array(self.lags, dtype=np.int64)

    @cached_property
    def _lagged(self) -> NDArray[np.int64]:
        return np.array(self.lagged, dtype=np.int64)

    @cached_property
    def _current(self) -> NDArray[np.int64]:
        return np.array(self.current, dtype=np.int64)


def _by_length(levels: Matrix) -> Matrix:
    """Each field's window [N, L, F] divided by its Euclidean length; zeros stay zeros."""
    # By the largest first, so that squares don't overflow. The sum goes lag by lag: a sum over an
    # axis would add in another order for one row than for many.
    peak = np.abs(levels).max(axis=1)
    unit = levels / np.where(peak > 0, peak, 1.0)[:, None, :]
    total = np.zeros_like(peak)
    for lag in range(levels.shape[1]):
        total += unit[:, lag] * unit[:, lag]
    return unit / np.sqrt(np.where(total > 0, total, 1.0))[:, None, :]


@record
class Scaling:
    """Standardisation: z = (x - mean) * inverse; `inverse` is 0 for columns that never change."""

    mean: Matrix
    inverse: Matrix

    @classmethod
    def of(cls, raw: Matrix) -> Scaling:
        """Fitted to the rows of `raw` [N, D], N >= 1."""
        # By the largest value first, so that huge readings don't overflow when squared.
        peak = np.maximum(raw.max(axis=0), -raw.min(axis=0))
        unit = np.where(peak > 0, peak, 1.0)
        shares = np.empty(raw.shape[1])
        deviation = np.empty(raw.shape[1])
        for start in range(0, raw.shape[1], _COLUMNS):
            some = slice(start, start + _COLUMNS)
            part = raw[:, some] / unit[some]
            shares[some], deviation[some] = part.mean(axis=0), part.std(axis=0)
        constant = deviation <= 1e-12
        with np.errstate(over="ignore"):
            inverse = 1.0 / np.where(constant, 1.0, deviation) / unit
        usable = ~constant & np.isfinite(inverse)
        return cls(shares * unit, np.where(usable, inverse, 0.0))

    def apply(self, raw: Matrix) -> Matrix:
        """Standardised features of the same shape."""
        return (raw - self.mean) * self.inverse
