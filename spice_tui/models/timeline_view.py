"""The decision timeline: charts of fields, below them what the policy does and what is best."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models import scale
from spice_tui.models.plot import Plotter, View, column_of, gutter, x_axis
from spice_tui.models.series import Series
from spice_tui.models.styled import (
    AXIS,
    BAD,
    COLORS,
    CROSS,
    GOOD,
    LABEL,
    NONE,
    SERIES,
    TITLE,
    Line,
    Rows,
)
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_engine.protocol.views import Timeline

REWARD = "reward"
_LEAST, _MOST = 3, 8
_NAMED = 12
_STRIPS = 6
"""Rows of title, three strips and the axis."""


def letters(actions: Sequence[str]) -> list[str]:
    """One letter for each action: its first that no action before has, or any other sign."""
    others = [chr(code) for code in (*range(97, 123), *range(48, 58), *range(65, 91))]
    found: list[str] = []
    for action in actions:
        own = [sign for sign in action.lower() if sign.isascii() and sign.isalnum()]
        found.append(next((sign for sign in (*own, *others) if sign not in found), "?"))
    return found


@record
class Reading:
    """What is known of one stretch; actions are names, empty where there is none."""

    time: int
    values: dict[str, float | None]
    chosen: str
    best: str
    reward: float | None
    held_out: bool


class TimelineView:
    """One timeline made ready to be drawn: series of its fields, letters of its actions."""

    def __init__(self, data: Timeline) -> None:
        self.data = data
        self.letters = letters(data.actions)
        self.fields = [*data.values, REWARD] if any_known(data.rewards) else list(data.values)
        self.series = {name: _series(data, name, i) for i, name in enumerate(self.fields)}
        self.plotters = {name: Plotter() for name in self.fields}

    def read(self, time: float) -> Reading | None:
        """The stretch at or nearest to a time."""
        index = self.index(time)
        if index is None:
            return None
        data = self.data
        return Reading(
            data.times[index],
            {name: values[index] for name, values in data.values.items()},
            self.action(data.chosen[index]),
            self.action(data.best[index]),
            data.rewards[index],
            data.holdout is not None and data.times[index] >= data.holdout,
        )

    def index(self, time: float) -> int | None:
        """The number of the stretch nearest to a time; None without any."""
        times = self.data.times
        if not times:
            return None
        right = min(bisect_left(times, time), len(times) - 1)
        left = max(0, right - 1)
        return left if abs(times[left] - time) < abs(times[right] - time) else right

    def action(self, index: int) -> str:
        """An action's name; nothing for -1."""
        return self.data.actions[index] if 0 <= index < len(self.data.actions) else ""

    def draw(
        self, seen: tuple[float, float], cursor: float | None, first: int, width: int, height: int
    ) -> Rows:
        """All rows for a stretch of time; `first` is the number of the first field shown."""
        view = View(*seen, x_kind="time")
        left, signs = gutter(width), symbols()
        texts: list[str] = []
        styles: list[bytes] = []

        def put(text: str, style: bytes) -> None:
            texts.append(text)
            styles.append(style)

        head = self._head(cursor, first).to(width)
        put(head.text, head.styles)
        for name, rows in self.stacked(first, height):
            picture = self.plotters[name].draw(
                [self.series[name]],
                (),
                view,
                (width, rows),
                cursor=cursor,
                axis=False,
                place=False,
            )
            texts += picture.texts
            styles += picture.styles
        cells = max(1, width - left)
        for line in self._strips(view, cursor, left, cells):
            put(line.to(width).text, line.styles)
        for text, style in x_axis(view, cells, left, signs):
            put(text[:width], style[:width])
        # Where there is no room for all, the strips matter more than the charts.
        over = max(0, len(texts) - height)
        texts, styles = texts[over:], styles[over:]
        missing = height - len(texts)
        return texts + [" " * width] * missing, styles + [bytes(width)] * missing

    def stacked(self, first: int, height: int) -> list[tuple[str, int]]:
        """Which fields are charted in `height` rows from number `first` on, and how high."""
        room = height - _STRIPS
        count = min(len(self.fields) - first, room // _LEAST)
        if count <= 0:
            return []
        each, rest = divmod(min(room, count * _MOST), count)
        names = self.fields[first : first + count]
        return [(name, each + (i < rest)) for i, name in enumerate(names)]

    def _head(self, cursor: float | None, first: int) -> Line:
        line, signs = Line(), symbols()
        found = None if cursor is None else self.read(cursor)
        if found is None:
            line.add(f"{self.data.pod}  ", TITLE)
            for i, name in enumerate(self.data.actions):
                line.add(f"{self.letters[i]} {name}  ", SERIES + i % COLORS)
            if first:
                line.add(f"{signs.up} {first} more", LABEL)
            return line
        line.add(f"{scale.moment(found.time)}  ", TITLE)
        if found.chosen:
            right = found.chosen == found.best
            line.add(f"{signs.ok if right else signs.failed} ", GOOD if right else BAD)
            line.add(found.chosen, self._style(found.chosen)).add("  ")
        if found.best and found.best != found.chosen:
            line.add("best ", LABEL).add(f"{found.best}  ", self._style(found.best))
        line.add("reward ", LABEL).add(f"{scale.number(found.reward)}  ")
        return line.add("held out" if found.held_out else "in sample", LABEL)

    def _style(self, action: str) -> int:
        return SERIES + self.data.actions.index(action) % COLORS

    def _strips(self, view: View, cursor: float | None, left: int, cells: int) -> list[Line]:
        """Chosen, best, and which part is held out, each cell one stretch of time."""
        data, signs = self.data, symbols()
        places = [column_of(time + data.granularity / 2, view, cells) for time in data.times]
        cross = None if cursor is None else column_of(cursor + data.granularity / 2, view, cells)
        strips: list[Line] = []
        for title, acted in (("chosen", data.chosen), ("best", data.best)):
            counts: dict[int, Counter[int]] = {}
            for place, action in zip(places, acted, strict=True):
                if 0 <= place < cells and action >= 0:
                    counts.setdefault(place, Counter())[action] += 1
            line = Line().add(f"{title:>{left - 1}} " if left else "", LABEL)
            before = -1
            for cell in range(cells):
                if cell in counts:
                    before = counts[cell].most_common(1)[0][0]
                elif cell > max(places, default=-1) or cell < min(places, default=0):
                    before = -1
                letter = self.letters[before] if before >= 0 else " "
                style = SERIES + before % COLORS if before >= 0 else NONE
                line.add(letter, CROSS if cell == cross and before < 0 else style)
            strips.append(line)
        strips.append(self._parts(view, cross, left, cells, signs.horizontal, signs.bar))
        return strips

    def _parts(
        self, view: View, cross: int | None, left: int, cells: int, thin: str, thick: str
    ) -> Line:
        start = cells
        if self.data.holdout is not None:
            start = min(max(column_of(self.data.holdout, view, cells), 0), cells)
        trained, held = thin * start, thick * (cells - start)
        if start >= _NAMED:
            trained = " in sample ".center(start, thin)
        if cells - start >= _NAMED:
            held = " held out ".center(cells - start, thick)
        line = Line().add(" " * left).add(trained, LABEL).add(held, AXIS)
        if cross is not None and 0 <= cross < cells:
            at = left + cross
            line.text = f"{line.text[:at]}{symbols().up}{line.text[at + 1 :]}"
            line.styles = line.styles[:at] + bytes([CROSS]) + line.styles[at + 1 :]
        return line


def any_known(values: Sequence[float | None]) -> bool:
    """Whether there is a value among them."""
    return any(value is not None for value in values)


def _series(data: Timeline, name: str, index: int) -> Series:
    """A field's means with its extremes; a stretch without a datum is a gap."""
    series = Series(name, name, color=index)
    if name == REWARD and name not in data.values:
        series.extend(data.times, data.rewards)
        return series
    xs: list[float] = []
    ys: list[float | None] = []
    lows, highs = data.lows.get(name), data.highs.get(name)
    for i, (time, value) in enumerate(zip(data.times, data.values[name], strict=True)):
        low, high = lows[i] if lows else value, highs[i] if highs else value
        if low == value == high:
            xs.append(time)
            ys.append(value)
        else:
            # The mean first and last: that is where the line goes on from stretch to stretch.
            xs += [time] * 4
            ys += [value, low, high, value]
    series.extend(xs, ys)
    return series
