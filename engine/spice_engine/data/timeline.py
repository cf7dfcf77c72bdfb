"""The state table: all data of a pod in buckets of its granularity.

A bucket's value is the mean of all its samples, by sum and count. Buckets without a sample take
the last value before them (`previous`) or zero (`none`); a field's initializer holds where there
is no sample before. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import InvalidData

MAX_CELLS = 200_000_000

Fill = Literal["previous", "none"]


@dataclass(frozen=True, slots=True)
class Grid:
    """The buckets: bucket i covers [start + i*granularity, start + (i+1)*granularity).

    Seconds throughout. Rows before `epoch` or after `epoch + period` are not of this table.
    """

    epoch: int
    period: int
    granularity: int
    start: int

    @classmethod
    def of(cls, epoch: int | None, period: int, granularity: int, now: float) -> Grid:
        """The grid anchored at `epoch`; without one it slides: the last `period` up to `now`, in
        buckets at multiples of the granularity from 1970-01-01 UTC."""
        if epoch is not None:
            return cls(epoch, period, granularity, epoch)
        first = int(now // 1) - period
        return cls(first, period, granularity, first - first % granularity)

    @property
    def end(self) -> int:
        """The last second of the period, inclusive."""
        return self.epoch + self.period


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one field: `times` [N] in unix seconds, `values` [N] with NaN for no datum."""

    field: str
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    initializer: float = 0.0
    fill: Fill = "previous"


@dataclass(frozen=True, slots=True)
class Timeline:
    """The table: `values` [T, F] float64, `times` [T] the starts of the buckets.

    `fields` are sorted by name. The first `complete` rows are complete buckets: a later datum
    exists, or the clock has passed their end. `first_datum` is the first row with a sample, and
    equals T where there is none. `last_time` is the time of the newest sample, or None.
    """

    fields: tuple[str, ...]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    grid: Grid
    complete: int
    first_datum: int
    last_time: int | None

    @property
    def training_rows(self) -> int:
        """Complete buckets that lie wholly inside the period, from the first row."""
        return min(self.complete, (self.grid.end - self.grid.start) // self.grid.granularity)


def build(series: Sequence[Series], grid: Grid, now: float) -> Timeline:
    """The table of some fields, up to the bucket of the newest sample within the period.

    Without any sample the table has no rows. Raises InvalidData where it would be larger than
    MAX_CELLS.
    """
    ordered = sorted(series, key=lambda one: one.field)
    inside = [_inside(one, grid) for one in ordered]
    newest = [int(times.max()) for times, _ in inside if times.size]
    last_time = max(newest, default=None)
    rows = 0 if last_time is None else (last_time - grid.start) // grid.granularity + 1
    if rows * max(len(ordered), 1) > MAX_CELLS:
        raise InvalidData(
            f"The state table would have {rows} rows of {len(ordered)} fields.",
            hint="Use a larger granularity or a shorter period.",
        )
    values = np.empty((rows, len(ordered)))
    first = rows
    for column, (one, (times, samples)) in enumerate(zip(ordered, inside, strict=True)):
        buckets = (times - grid.start) // grid.granularity
        means, filled = _means(buckets, samples, rows)
        values[:, column] = _fill(means, filled, one)
        if filled.any():
            first = min(first, int(np.argmax(filled)))
    times = grid.start + grid.granularity * np.arange(rows, dtype=np.int64)
    # No sample is later than the last bucket's, so only the clock can complete that one.
    passed = rows > 0 and now >= int(times[-1]) + grid.granularity
    complete = rows if passed else max(rows - 1, 0)
    fields = tuple(one.field for one in ordered)
    return Timeline(fields, times, values, grid, complete, first, last_time)


def count_outside(times: NDArray[np.int64], grid: Grid) -> int:
    """How many rows lie outside [epoch, epoch + period]."""
    return int(((times < grid.epoch) | (times > grid.end)).sum())


def _inside(one: Series, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    wanted = (one.times >= grid.epoch) & (one.times <= grid.end) & ~np.isnan(one.values)
    return one.times[wanted], one.values[wanted]


def _means(
    buckets: NDArray[np.int64], samples: NDArray[np.float64], rows: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean of each bucket (0 where it has no sample), and which buckets have one."""
    counts = np.bincount(buckets, minlength=rows)
    filled = counts > 0
    divisor = np.maximum(counts, 1)
    with np.errstate(over="ignore"):
        sums = np.bincount(buckets, weights=samples, minlength=rows)
    means: NDArray[np.float64] = sums / divisor
    if not np.isfinite(means).all():
        # The sum of huge samples overflowed: divide before adding, at the cost of rounding.
        shares = samples / divisor[buckets]
        means = np.bincount(buckets, weights=shares, minlength=rows).astype(np.float64)
    return means, filled


def _fill(
    means: NDArray[np.float64], filled: NDArray[np.bool_], one: Series
) -> NDArray[np.float64]:
    if not len(means):
        return means
    if one.fill == "none":
        column = np.where(filled, means, 0.0)
        if not filled[0]:
            column[0] = one.initializer
        return column
    # For each row the last row at or before it that has a sample; -1 where there is none.
    last = np.maximum.accumulate(np.where(filled, np.arange(len(means)), -1))
    return np.where(last >= 0, means[last], one.initializer)
