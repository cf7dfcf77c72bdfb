"""Where a person is in a chart: what stretch is seen, the crosshair, what is hidden."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models import scale
from spice_tui.models.plot import Reference, View

if TYPE_CHECKING:
    from spice_tui.models.series import Series

_CLOSEST = 1e-9


@record
class ChartInput:
    """What a chart shows. `x_kind`: number, whole or time.

    `x_until`: where the x axis ends at least, as the number of episodes that were asked for;
    without it the axis grows in steps.
    """

    series: tuple[Series, ...] = ()
    references: tuple[Reference, ...] = ()
    title: str = ""
    x_kind: str = "number"
    x_until: float | None = None
    note: str = ""
    empty: str = "Nothing to draw yet."

    def extent(self) -> tuple[float, float] | None:
        """The first and last x there are; None without points."""
        filled = [one.xs for one in self.series if len(one)]
        if not filled:
            return None
        return min(xs[0] for xs in filled), max(xs[-1] for xs in filled)

    def axis(self) -> tuple[float, float]:
        """The whole x axis, with room to grow."""
        found = self.extent()
        if found is None:
            return 0.0, self.x_until or 1.0
        lo, hi = found
        if self.x_until is not None and self.x_until >= hi and self.x_until > lo:
            return lo, self.x_until
        return lo, scale.growing_end(lo, hi)


@dataclass(slots=True)
class Walk:
    """A crosshair and a zoom over an axis from `lo` to `hi`; `data_hi` is where data end."""

    lo: float = 0.0
    hi: float = 1.0
    data_hi: float = 1.0
    zoom: tuple[float, float] | None = None
    cursor: float | None = None
    follow: bool = True

    @property
    def seen(self) -> tuple[float, float]:
        """The stretch that is seen."""
        return self.zoom or (self.lo, self.hi)

    def extend(self, lo: float, hi: float, data_hi: float) -> None:
        """The data have changed; following, a zoomed view goes on by half its width at a time."""
        self.lo, self.hi, self.data_hi = lo, hi, data_hi
        if self.zoom and self.follow and data_hi > self.zoom[1]:
            self._show_tail()

    def _show_tail(self) -> None:
        if not self.zoom:
            return
        left, right = self.zoom
        half = (right - left) / 2
        steps = -(-(self.data_hi - right) // half) if half > 0 else 0
        self.zoom = left + steps * half, right + steps * half

    def move(self, cells: int, width: int, xs: Sequence[float]) -> None:
        """The crosshair goes on by so many of `width` cells, or to the next of `xs` beyond."""
        left, right = self.seen
        if self.cursor is None:
            self.cursor = self._nearest(min(right, self.data_hi), xs)
            return
        target = self.cursor + cells * (right - left) / max(1, width)
        if xs:
            following = bisect_right(xs, self.cursor) if cells > 0 else bisect_left(xs, self.cursor)
            index = following if cells > 0 else following - 1
            if not 0 <= index < len(xs):
                target = xs[-1] if cells > 0 else xs[0]
            else:
                target = max(target, xs[index]) if cells > 0 else min(target, xs[index])
        self.cursor = self._nearest(min(max(target, self.lo), self.hi), xs)
        self._reveal()

    def _nearest(self, x: float, xs: Sequence[float]) -> float:
        if not xs:
            return x
        index = bisect_left(xs, x)
        around = xs[max(0, index - 1) : index + 1]
        return min(around, key=lambda other: abs(other - x))

    def _reveal(self) -> None:
        """Move a zoomed view so that the crosshair is seen."""
        if self.zoom is None or self.cursor is None:
            return
        left, right = self.zoom
        if left <= self.cursor <= right:
            return
        shift = self.cursor - (left + right) / 2
        self.zoom = left + shift, right + shift
        self.follow = False

    def zoom_by(self, factor: float) -> None:
        """See `factor` times as much, around the crosshair, or the tail, or the middle."""
        left, right = self.seen
        span = (right - left) * factor
        if span >= self.hi - self.lo:
            self.zoom = None
            return
        if span <= _CLOSEST * max(1.0, abs(left)):
            return
        if self.cursor is not None and left <= self.cursor <= right:
            middle = self.cursor
        elif self.follow:
            middle = min(self.data_hi, right) - span / 2
        else:
            middle = (left + right) / 2
        start = min(max(middle - span / 2, self.lo), self.hi - span)
        self.zoom = start, start + span

    def show_all(self) -> None:
        """No zoom, no crosshair, and follow again."""
        self.zoom, self.cursor, self.follow = None, None, True

    def follow_tail(self) -> None:
        """Follow the tail, or stop following."""
        self.follow = not self.follow
        if self.follow and self.zoom:
            span = self.zoom[1] - self.zoom[0]
            self.zoom = self.data_hi - span * 0.75, self.data_hi + span * 0.25


@dataclass(slots=True)
class ChartView:
    """All that a person has set in a chart."""

    walk: Walk = field(default_factory=Walk)
    log: bool = False
    chosen: str = ""
    hidden: frozenset[str] = frozenset()

    def extend(self, data: ChartInput) -> None:
        """Other data are shown; what no longer is there is forgotten."""
        lo, hi = data.axis()
        extent = data.extent()
        self.walk.extend(lo, hi, extent[1] if extent else hi)
        keys = {one.key for one in data.series}
        if self.chosen not in keys:
            self.chosen = ""
        self.hidden &= keys

    def view(self, data: ChartInput) -> View:
        """The part of the plane that is seen."""
        lo, hi = self.walk.seen
        return View(lo, hi, log=self.log, x_kind=data.x_kind)

    def choose(self, data: ChartInput, step: int) -> None:
        """The next or previous series, after the last one none."""
        keys = ["", *(one.key for one in data.series)]
        self.chosen = keys[(keys.index(self.chosen) + step) % len(keys)]

    def hide(self, data: ChartInput) -> None:
        """Hide the chosen series or show it again; without one show all."""
        if not self.chosen:
            self.hidden = frozenset()
        else:
            self.hidden ^= {self.chosen}

    def leading(self, data: ChartInput) -> Series | None:
        """The series that the crosshair walks along: the chosen one, or the uppermost seen."""
        seen = [one for one in data.series if one.key not in self.hidden and len(one)]
        chosen = [one for one in seen if one.key == self.chosen]
        return max(chosen or seen, key=lambda one: one.priority, default=None)
