"""A series of a chart that can grow, and its least and greatest value in each column of dots."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from spice_engine.records import record

_KEPT_VIEWS = 4
_LAST = 1e-9


@record
class Column:
    """Points of one column of dots; `joined`: no gap lies between it and the column before.

    The column is negative or beyond the width for the neighbours just outside of what is seen.
    """

    at: int
    low: float
    high: float
    first: float
    last: float
    joined: bool


@dataclass(slots=True)
class _Cut:
    """What has been decimated so far.

    `start` is where the points of the last column begin if that is `open` for more, otherwise
    where the next ones do.
    """

    columns: list[Column] = field(default_factory=list[Column])
    start: int = 0
    open: bool = False
    joined: bool = False
    done: int = -1


class Series:
    """Points by rising x; values that are not finite are gaps.

    `color` and `marker` number the colours and markers of the theme. `priority` says what is
    drawn over what; `dim` series stand back.
    """

    __slots__ = (
        "_cuts",
        "_gaps",
        "color",
        "dashed",
        "dim",
        "key",
        "marker",
        "priority",
        "title",
        "version",
        "xs",
        "ys",
    )

    def __init__(
        self,
        key: str,
        title: str,
        xs: Iterable[float] = (),
        ys: Iterable[float | None] = (),
        *,
        dashed: bool = False,
        dim: bool = False,
        color: int = 0,
        marker: int | None = None,
        priority: int = 0,
    ) -> None:
        self.key, self.title, self.dashed, self.dim = key, title, dashed, dim
        self.color, self.priority = color, priority
        self.marker = color if marker is None else marker
        self.xs, self.ys = array("d"), array("d")
        self.version = 0
        self._gaps: list[int] = []
        self._cuts: OrderedDict[tuple[float, float, int], _Cut] = OrderedDict()
        self.extend(xs, ys)

    def __len__(self) -> int:
        return len(self.xs)

    def append(self, x: float, y: float | None) -> None:
        """One more point. One before the last costs a sort; usually they come in order."""
        self.extend((x,), (y,))

    def extend(self, xs: Iterable[float], ys: Iterable[float | None]) -> None:
        """More points; earlier ones are not copied when these come after them."""
        old = len(self.xs)
        self.xs.extend(xs)
        self.ys.extend(math.nan if y is None else y for y in ys)
        if len(self.xs) != len(self.ys):
            del self.xs[old:], self.ys[old:]
            raise ValueError("A series needs as many values as places.")
        if len(self.xs) == old:
            return
        self.version += 1
        before = max(0, old - 1)
        if any(a > b for a, b in zip(self.xs[before:], self.xs[before + 1 :], strict=False)):
            pairs = sorted(zip(self.xs, self.ys, strict=True), key=lambda pair: pair[0])
            self.xs, self.ys = array("d", (x for x, _ in pairs)), array("d", (y for _, y in pairs))
            self._cuts.clear()
            self._gaps, old = [], 0
        new = self.ys[old:] if old else self.ys
        if not math.isfinite(sum(new)):
            isfinite = math.isfinite
            self._gaps += [i for i, value in enumerate(new, old) if not isfinite(value)]

    def at(self, x: float) -> tuple[float, float] | None:
        """The point nearest to `x`, gaps left out; None of an empty series."""
        index = bisect_left(self.xs, x)
        size, isfinite = len(self.xs), math.isfinite
        left = next((i for i in range(index - 1, -1, -1) if isfinite(self.ys[i])), None)
        right = next((i for i in range(index, size) if isfinite(self.ys[i])), None)
        found = [i for i in (left, right) if i is not None]
        if not found:
            return None
        nearest = min(found, key=lambda i: abs(self.xs[i] - x))
        return self.xs[nearest], self.ys[nearest]

    def columns(self, lo: float, hi: float, width: int) -> list[Column]:
        """The points of [lo, hi], cut into `width` columns, and a neighbour on each side.

        Kept for the latest views: appended points cost only themselves.
        """
        key = (lo, hi, width)
        cut = self._cuts.get(key)
        if cut is None:
            cut = _Cut(start=max(0, bisect_left(self.xs, lo) - 1))
            self._cuts[key] = cut
            if len(self._cuts) > _KEPT_VIEWS:
                self._cuts.popitem(last=False)
        else:
            self._cuts.move_to_end(key)
        if cut.done != len(self.xs):
            # The last x belongs to the last column, not to one after it.
            self._decimate(cut, lo, width * (1 - _LAST) / ((hi - lo) or 1.0), hi)
        return cut.columns

    def _decimate(self, cut: _Cut, lo: float, scale: float, hi: float) -> None:
        xs, ys, gaps = self.xs, self.ys, self._gaps
        end = min(len(xs), bisect_right(xs, hi) + 1)
        columns, start = cut.columns, cut.start
        # The last column may get more points: it is made again.
        joined = columns.pop().joined if cut.open else cut.joined
        while start < end:
            at = math.floor((xs[start] - lo) * scale)
            stop = max(start + 1, bisect_left(xs, lo + (at + 1) / scale, start, end))
            part = ys[start:stop]
            cut.start, cut.open = start, True
            place = bisect_left(gaps, start) if gaps else 0
            if not gaps or place == len(gaps) or gaps[place] >= stop:
                columns.append(Column(at, min(part), max(part), part[0], part[-1], joined))
                joined = True
            else:
                known = [value for value in part if math.isfinite(value)]
                joined = joined and math.isfinite(part[0])
                if known:
                    low, high = min(known), max(known)
                    columns.append(Column(at, low, high, known[0], known[-1], joined))
                else:
                    cut.start, cut.open = stop, False
                joined = math.isfinite(part[-1])
            start = stop
        cut.joined, cut.done = joined, len(xs)
