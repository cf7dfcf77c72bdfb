"""The state table: all data of a pod in buckets of its granularity.

A bucket's value is the mean of all its samples, by sum and count. Buckets without a sample take
the last value before them (`previous`) or zero (`none`); a field's initializer holds where there
is no sample before. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spice_engine.data.time_columns import fields_of, time_columns
from spice_engine.errors import InvalidData
from spice_engine.records import record

MAX_CELLS = 200_000_000

Fill = Literal["previous", "none"]


@record
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


@record
class Series:
    """Samples of one field: `times` [N] in unix seconds, `values` [N] with NaN for no datum.

    Several series may be of one field (seed data, data, what was posted): all are samples alike.
    """

    field: str
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    initializer: float = 0.0
    fill: Fill = "previous"

    def samples(self) -> NDArray[np.float64]:
        """A value for each time, NaN for no datum."""
        return self.values


@record
class Indicator:
    """Samples of 0 or 1: whether a row's label is one of those that `hits` marks.

    `codes` [N] are numbers of labels; -1 is no datum. Made to values only when it is its turn, so
    that a hundred one-hot columns of a million rows need the memory of one.
    """

    field: str
    times: NDArray[np.int64]
    codes: NDArray[np.int32]
    hits: NDArray[np.bool_]
    initializer: float = 0.0
    fill: Fill = "none"

    def samples(self) -> NDArray[np.float64]:
        """A value for each time, NaN for no datum."""
        return np.append(self.hits.astype(np.float64), np.nan)[self.codes]


@record
class Timeline:
    """The table: `values` [T, F] float64, `times` [T] the starts of the buckets.

    `fields` are sorted by name. The first `complete` rows are complete buckets: a later datum
    exists, or the clock has passed their end. `first_datum` is the first row with a sample, and
    equals T where there is none. `last_time` is the time of the newest sample, or None.
    Where rows are events, each is complete when it is there.
    """

    fields: tuple[str, ...]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    grid: Grid
    complete: int
    first_datum: int
    last_time: int | None
    events: bool = False

    @property
    def training_rows(self) -> int:
        """Complete buckets that lie wholly inside the period, from the first row."""
        if self.events:
            return self.complete
        return min(self.complete, (self.grid.end - self.grid.start) // self.grid.granularity)


def build(
    series: Sequence[Series | Indicator],
    grid: Grid,
    now: float,
    *,
    events: bool = False,
    time_categories: Sequence[str] = (),
) -> Timeline:
    """The table of some fields, up to the bucket of the newest sample within the period.

    With `events` each distinct time of a sample is a row, instead of each bucket. The columns of
    `time_categories` are those of each row's time. Without any sample the table has no rows.

    Raises InvalidData where it would be larger than MAX_CELLS.
    """
    clock = fields_of(time_categories)
    by_field: dict[str, list[Series | Indicator]] = {}
    for one in series:
        by_field.setdefault(one.field, []).append(one)
    fields = tuple(sorted([*by_field, *clock]))
    rows = _Rows(series, grid, events=events, columns=len(fields))
    times = rows.times
    count = len(times)
    values = np.empty((len(fields), count))
    first = count
    clock_columns = time_columns(time_categories, times)
    for field, column in zip(fields, values, strict=True):
        if field in clock_columns:
            column[:] = clock_columns[field]
            continue
        means, filled = rows.means(by_field[field])
        column[:] = _fill(means, filled, by_field[field][0])
        if filled.any():
            first = min(first, int(np.argmax(filled)))
    # No sample is later than the last bucket's, so only the clock can complete that one.
    passed = events or (count > 0 and now >= int(times[-1]) + grid.granularity)
    complete = count if passed else max(count - 1, 0)
    return Timeline(fields, times, values.T, grid, complete, first, rows.last_time, events)


class _Rows:
    """The rows of the table, and which of them each sample falls into."""

    def __init__(
        self, series: Sequence[Series | Indicator], grid: Grid, *, events: bool, columns: int
    ) -> None:
        self._grid = grid
        # Fields of one dataspace share their times; the array is kept, so that its id is its own.
        self._shared: dict[int, tuple[NDArray[np.int64], NDArray[np.bool_] | None]] = {}
        self._buckets: dict[int, NDArray[np.int64]] = {}
        found = [self._sampled(one) for one in series]
        newest = [int(times.max()) for times in found if times.size]
        self.last_time = max(newest, default=None)
        if events:
            nothing = np.empty(0, dtype=np.int64)
            self.times = np.unique(np.concatenate([nothing, *map(np.unique, found)]))
            count = len(self.times)
        else:
            last = self.last_time
            count = 0 if last is None else (last - grid.start) // grid.granularity + 1
        if count * max(columns, 1) > MAX_CELLS:
            raise InvalidData(
                f"The state table would have {count} rows of {columns} fields.",
                hint="Use a larger granularity or a shorter period.",
            )
        if not events:
            self.times = grid.start + grid.granularity * np.arange(count, dtype=np.int64)
        self._events = events

    def means(
        self, series: Sequence[Series | Indicator]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The mean of each row's samples (0 where it has none), and which rows have one."""
        rows = len(self.times)
        counts = np.zeros(rows, dtype=np.int64)
        sums = np.zeros(rows)
        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        for one in series:
            buckets, samples = self._in_buckets(one)
            parts.append((buckets, samples))
            counts += np.bincount(buckets, minlength=rows)
            with np.errstate(over="ignore", invalid="ignore"):
                sums += np.bincount(buckets, weights=samples, minlength=rows)
        divisor = np.maximum(counts, 1)
        means: NDArray[np.float64] = sums / divisor
        if not np.isfinite(means).all():
            # The sum of huge samples overflowed: divide before adding, at the cost of rounding.
            means = np.zeros(rows)
            for buckets, samples in parts:
                shares = samples / divisor[buckets]
                means += np.bincount(buckets, weights=shares, minlength=rows)
        return means, counts > 0

    def _sampled(self, one: Series | Indicator) -> NDArray[np.int64]:
        """The times of a series' samples within the period."""
        times, inside = self._inside(one)
        known = _known(one)
        if known is None:
            return times if inside is None else times[inside]
        return times[known if inside is None else inside & known]

    def _inside(
        self, one: Series | Indicator
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """A series' times, and which of them lie within the period (None for all)."""
        found = self._shared.get(id(one.times))
        if found is None:
            inside = (one.times >= self._grid.epoch) & (one.times <= self._grid.end)
            found = one.times, None if inside.all() else inside
            self._shared[id(one.times)] = found
        return found

    def _in_buckets(self, one: Series | Indicator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        times, inside = self._inside(one)
        buckets = self._buckets.get(id(times))
        if buckets is None:
            wanted = times if inside is None else times[inside]
            if self._events:
                # A time without any sample has no row; its values are dropped below.
                buckets = np.searchsorted(self.times, wanted)
            else:
                buckets = (wanted - self._grid.start) // self._grid.granularity
            self._buckets[id(times)] = buckets
        samples = one.samples()
        if inside is not None:
            samples = samples[inside]
        missing = np.isnan(samples)
        if missing.any():
            return buckets[~missing], samples[~missing]
        return buckets, samples


def _known(one: Series | Indicator) -> NDArray[np.bool_] | None:
    """Which rows hold a sample; None for all."""
    missing = one.codes < 0 if isinstance(one, Indicator) else np.isnan(one.values)
    return ~missing if missing.any() else None


def count_outside(times: NDArray[np.int64], grid: Grid) -> int:
    """How many rows lie outside [epoch, epoch + period]."""
    return int(((times < grid.epoch) | (times > grid.end)).sum())


def _fill(
    means: NDArray[np.float64], filled: NDArray[np.bool_], one: Series | Indicator
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
