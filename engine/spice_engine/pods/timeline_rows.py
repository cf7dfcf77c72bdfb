"""A pod's table thinned to stretches, with what a policy does in each. NumPy; for a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.errors import InvalidRequest
from spice_engine.learning.evaluation import choose
from spice_engine.records import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spice_engine.learning.policy import Policy
    from spice_engine.pods.live import Table

MOST_POINTS = 5000
MOST_ROWS = 20_000
"""Rows at which the policy and the rewards are asked; of longer stretches, evenly spread ones."""

FARTHEST = 2**62
"""Times beyond are as good as this one, and may not fit into 64 bits."""

MOST_CELLS = 1_000_000
"""Rows times actions: their rewards cross a socket."""


@dataclass(frozen=True)
class Stretches:
    """Rows [first, end) of a table in stretches of `length` rows; `asked` [N] are some of them."""

    table: Table
    first: int
    end: int
    length: int
    asked: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many stretches there are."""
        return -(-(self.end - self.first) // self.length)

    @property
    def begins(self) -> NDArray[np.int64]:
        """The row that each stretch begins with."""
        return np.arange(self.first, self.end, self.length)

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The stretch of each row."""
        return (rows - self.first) // self.length


def times_of(table: Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """When rows begin, in Unix seconds."""
    if table.moments is not None:
        return table.moments[rows]
    return table.start + rows * table.granularity


def row_at(table: Table, time: int) -> int:
    """The row at `time` or the last one before it; negative before the first."""
    time = max(-FARTHEST, min(time, FARTHEST))
    if table.moments is not None:
        return int(table.moments.searchsorted(time, side="right")) - 1
    return (time - table.start) // table.granularity


def stretches(
    table: Table,
    rows: tuple[int, int],
    between: tuple[int | None, int | None],
    points: int,
    actions: int,
) -> Stretches:
    """The rows of `rows` [first, end) that begin within `between`, thinned to about `points`.

    Raises:
        InvalidRequest: `points` is none or too many.
    """
    if not 1 <= points <= MOST_POINTS:
        raise InvalidRequest(f"points: must be between 1 and {MOST_POINTS}.")
    first, end = rows
    start, stop = between
    if start is not None:
        first = max(first, row_at(table, start - 1) + 1)
    if stop is not None:
        end = min(end, row_at(table, stop - 1) + 1)
    end = max(end, first)
    length = max(1, -(-(end - first) // points))
    most = max(points, min(MOST_ROWS, MOST_CELLS // max(actions, 1)))
    if end - first <= most:
        asked = np.arange(first, end, dtype=np.int64)
    else:
        asked = np.linspace(first, end - 1, most).astype(np.int64)
    return Stretches(table, first, end, length, asked)


def columns_of(table: Table, fields: Sequence[str]) -> dict[str, int]:
    """Which columns are meant; all where none is named.

    Raises:
        InvalidRequest: there is no such field.
    """
    found: dict[str, int] = {}
    for name in fields or table.fields:
        plain = name.replace(".", "_")
        if plain not in table.fields:
            known = ", ".join(table.fields[:20])
            raise InvalidRequest(f"the pod has no field {name[:200]!r}.", hint=f"Fields: {known}.")
        found[plain] = table.fields.index(plain)
    return found


@record
class Thinned:
    """Mean, least and greatest value of each stretch."""

    means: list[float | None]
    lows: list[float | None]
    highs: list[float | None]


def thin(values: NDArray[np.float64], length: int) -> Thinned:
    """A column in stretches of `length`; what is no finite number counts as nothing."""
    if not len(values):
        return Thinned([], [], [])
    begins = np.arange(0, len(values), length)
    finite = np.isfinite(values)
    if finite.all():
        counts = np.diff(np.append(begins, len(values))).astype(np.float64)
        known = values
    else:
        counts = np.add.reduceat(finite.astype(np.float64), begins)
        known = np.where(finite, values, np.nan)
    sums = np.add.reduceat(np.where(finite, known, 0.0), begins)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
    return Thinned(
        plain(means),
        plain(np.fmin.reduceat(known, begins)),
        plain(np.fmax.reduceat(known, begins)),
    )


def plain(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers, None for what is none."""
    found: list[Any] = values.tolist()
    if np.isfinite(values).all():
        return found
    return [value if ok else None for value, ok in zip(found, np.isfinite(values), strict=True)]


def choices(policy: Policy, table: Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the policy does [N] after each row: as it would have been recommended then.

    -1 where the rows do not fill its window. For pods whose actions change nothing.
    """
    found = np.full(len(rows), -1, dtype=np.int64)
    full = rows >= policy.span - 1
    if full.any():
        raw = policy.layout.raw(table.values, rows[full])
        found[full] = choose(policy.model.values(raw))
    return found


def most_often(
    chosen: NDArray[np.int64], where: NDArray[np.int64], count: int, actions: int
) -> list[int]:
    """The action taken most often in each of `count` stretches, -1 where none is known."""
    known = chosen >= 0
    taken = np.zeros((count, max(actions, 1)), dtype=np.int64)
    np.add.at(taken, (where[known], chosen[known]), 1)
    found = taken.argmax(axis=1)
    found[taken.max(axis=1) == 0] = -1
    return found.tolist()


def mean_by(
    values: NDArray[np.float64], where: NDArray[np.int64], count: int
) -> list[float | None]:
    """The mean of `values` in each of `count` stretches, None where there is none."""
    known = np.isfinite(values)
    sums = np.bincount(where[known], weights=values[known], minlength=count)
    counts = np.bincount(where[known], minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return plain(sums / counts)
