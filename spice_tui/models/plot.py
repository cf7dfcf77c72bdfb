"""A chart as rows of characters and styles: lines, reference lines, axes, legend, crosshair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spice_tui.models import raster, scale
from spice_tui.models.raster import Grid
from spice_tui.models.series import Column, Series
from spice_tui.models.styled import (
    AXIS,
    CHOSEN,
    COLORS,
    CROSS,
    DIM,
    LABEL,
    NONE,
    REFERENCE,
    SERIES,
    TITLE,
    TONES,
    Line,
    tone,
)
from spice_tui.theme.symbols import Symbols, symbols

_GUTTER = 8
_NARROW = 30
# The y axis goes on to the next of about so many round values, and so seldom changes.
_ROUNDING = 8
# Beyond it the height of the axis would not be a number any more.
_ENDLESS = 1e300
_SHORT = 6
_DASH = (6, 4)
_PATTERNS = {"random": (1, 3), "constant": (3, 3), "oracle": (6, 2), "plain": (2, 2)}


@dataclass(frozen=True, slots=True)
class Reference:
    """A level line across the chart; `tone`: random, constant, oracle or plain."""

    title: str
    y: float
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class View:
    """The part of the plane that is seen. `x_kind`: number, whole or time (Unix seconds)."""

    x_lo: float
    x_hi: float
    y_lo: float | None = None
    y_hi: float | None = None
    log: bool = False
    x_kind: str = "number"


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows of a chart: characters, and one style byte for each; where the plot area is."""

    texts: list[str]
    styles: list[bytes]
    left: int
    top: int
    grid: Grid


@dataclass(frozen=True, slots=True)
class _Layer:
    version: int
    dots: bytes


class Plotter:
    """Draws charts of one place; keeps the dots of series that have not changed."""

    def __init__(self) -> None:
        self._layers: dict[tuple[object, ...], _Layer] = {}

    def draw(
        self,
        series: Sequence[Series],
        references: Sequence[Reference],
        view: View,
        size: tuple[int, int],
        *,
        title: str = "",
        cursor: float | None = None,
        chosen: str = "",
        hidden: frozenset[str] = frozenset(),
        note: str = "",
        axis: bool = True,
        place: bool = True,
    ) -> Picture:
        """The chart in `size` cells (width, height); `cursor` is the crosshair's x.

        Series of higher priority lie over others, the `chosen` one over all. Without `axis`
        there is no x axis; without `place` the title row does not tell the crosshair's x.
        """
        width, height = size
        signs = symbols()
        left = gutter(width)
        below = 2 if axis and height >= _SHORT else 0
        top = 1 if height >= 3 else 0
        cells = (max(1, width - left), max(1, height - below - top))
        grid = Grid(*cells) if signs.braille else Grid(*cells, 1, 1)
        shown = sorted(
            (one for one in series if one.key not in hidden),
            key=lambda one: (one.key == chosen, one.priority),
        )
        cut = [one.columns(view.x_lo, view.x_hi, grid.columns) for one in shown]
        lo, hi, ticks = y_axis(cut, references, view, max(2, grid.height // 3))
        page = _Page(grid, view, lo, hi)
        kept: dict[tuple[object, ...], _Layer] = {}
        for reference in references:
            key = (reference, lo, hi, view.log, grid)
            found = self._layers.get(key) or _Layer(0, _level(reference, page))
            kept[key] = found
            page.add(found.dots, tone(reference.tone))
        for one, columns in zip(shown, cut, strict=True):
            key = (one.key, id(one), view.x_lo, view.x_hi, lo, hi, view.log, one.dashed, grid)
            found = self._layers.get(key)
            if found is None or found.version != one.version:
                found = _Layer(one.version, _line(one, columns, page))
            kept[key] = found
            page.add(found.dots, style_of(one))
        self._layers = kept
        page.finish(signs)
        page.name_levels(references)
        if cursor is not None:
            page.cross(cursor, signs)
        for one in shown:
            page.mark_end(one, signs)
        rows = _frame(page, ticks, left, below, signs)
        if top:
            words = title
            if cursor is not None and place:
                words = scale.moment(cursor) if view.x_kind == "time" else scale.number(cursor)
            head = _head(series, references, cursor, chosen, hidden, words, note, signs)
            if len(head.text) > width and cursor is None:
                # The title is known from elsewhere; what is which line is not.
                head = _head(series, references, cursor, chosen, hidden, "", note, signs)
            head.to(width)
            rows.insert(0, (head.text, head.styles))
        return Picture([row[0] for row in rows], [row[1] for row in rows], left, top, grid)


def gutter(width: int) -> int:
    """Cells at the left of a plot for the names of ticks."""
    return _GUTTER if width >= _NARROW else 0


def column_of(x: float, view: View, width: int) -> int:
    """The cell of an x among `width`; it may lie outside. The last x is in the last cell."""
    span = (view.x_hi - view.x_lo) or 1.0
    column = math.floor((x - view.x_lo) / span * width + 1e-9)
    return min(column, width - 1) if x <= view.x_hi else column


def style_of(series: Series) -> int:
    """The style byte of a series."""
    return (DIM if series.dim else SERIES) + series.color % COLORS


def y_axis(
    cut: Sequence[Sequence[Column]], references: Sequence[Reference], view: View, count: int
) -> tuple[float, float, list[float]]:
    """Where the y axis begins and ends, and its ticks: around all that is seen."""
    lows = [column.low for columns in cut for column in columns]
    highs = [column.high for columns in cut for column in columns]
    levels = [one.y for one in references if math.isfinite(one.y)]
    if view.log:
        positive = [value for value in (*lows, *highs, *levels) if value > 0]
        least, most = (min(positive), max(positive)) if positive else (1.0, 10.0)
        lo, hi = scale.log_range(least, most)
        lo, hi = view.y_lo or lo, view.y_hi or hi
        return lo, hi, scale.log_ticks(lo, hi, count)
    least = max(min((*lows, *levels), default=0.0), -_ENDLESS)
    most = min(max((*highs, *levels), default=1.0), _ENDLESS)
    lo, hi, _ = scale.nice_range(least, most, _ROUNDING)
    lo = lo if view.y_lo is None else view.y_lo
    hi = hi if view.y_hi is None else view.y_hi
    return lo, hi, scale.linear_ticks(lo, hi, count)


def _line(series: Series, columns: Sequence[Column], page: _Page) -> bytes:
    found = raster.spans(columns, page.grid.columns, page.place)
    if series.dashed:
        on, off = _DASH
        found = raster.dashed(found, max(1, on // 2 * page.grid.across), off)
    return raster.layer(found, page.grid)


def _level(reference: Reference, page: _Page) -> bytes:
    row = page.place(reference.y) if math.isfinite(reference.y) else None
    if row is None:
        return bytes(page.grid.width * page.grid.height)
    level: list[raster.Span] = [(row, row)] * page.grid.columns
    return raster.layer(raster.dashed(level, *_PATTERNS[reference.tone]), page.grid)


class _Page:
    """The drawing area while it is drawn."""

    def __init__(self, grid: Grid, view: View, lo: float, hi: float) -> None:
        self.grid, self.view, self.lo, self.hi = grid, view, lo, hi
        self.place = raster.placing(lo, hi, grid.rows, log=view.log)
        self._dots = self._styles = bytes(grid.width * grid.height)
        self.texts: list[str] = []
        self.styles: list[bytearray] = []

    def add(self, dots: bytes, style: int) -> None:
        """Draw over what is there; dots of both stay, the cell takes the new style."""
        self._dots = raster.union(self._dots, dots)
        self._styles = raster.over(self._styles, raster.paint(dots, style))

    def finish(self, signs: Symbols) -> None:
        """Turn dots into characters."""
        width = self.grid.width
        if signs.braille:
            text = raster.text(self._dots, raster.BRAILLE)
        else:
            text = raster.text(self._styles, _letters(signs))
        every = range(0, width * self.grid.height, width)
        self.texts = [text[at : at + width] for at in every]
        self.styles = [bytearray(self._styles[at : at + width]) for at in every]

    def column(self, x: float) -> int:
        """The cell column of an x; it may lie outside."""
        return column_of(x, self.view, self.grid.width)

    def put(self, row: int, column: int, text: str, style: int) -> None:
        """Write over the cells of one row."""
        line = self.texts[row]
        self.texts[row] = f"{line[:column]}{text}{line[column + len(text) :]}"
        self.styles[row][column : column + len(text)] = bytes([style]) * len(text)

    def name_levels(self, references: Sequence[Reference]) -> None:
        """Write each reference line's name on it, at the right or left, where there is room."""
        named: list[tuple[int, int, int]] = []
        for one in references:
            row = self.place(one.y) if math.isfinite(one.y) else None
            text, style = f" {one.title} ", tone(one.tone)
            if row is None or not 0 <= row < self.grid.rows or len(text) > self.grid.width:
                continue
            row //= self.grid.down
            for start in (self.grid.width - len(text), 0):
                end = start + len(text)
                # Lines of others may be written over, names of others and series may not.
                clear = all(cell < SERIES for cell in self.styles[row][start:end])
                if clear and not any(r == row and a < end and start < b for r, a, b in named):
                    self.put(row, start, text, style)
                    named.append((row, start, end))
                    break

    def cross(self, x: float, signs: Symbols) -> None:
        """A vertical line at x, behind everything."""
        column = self.column(x)
        if not 0 <= column < self.grid.width:
            return
        for row in range(self.grid.height):
            if self.styles[row][column] == NONE:
                self.put(row, column, signs.vertical, CROSS)

    def mark_end(self, series: Series, signs: Symbols) -> None:
        """The series' marker on its last point that is seen."""
        point = series.at(self.view.x_hi)
        if point is None or not self.view.x_lo <= point[0] <= self.view.x_hi:
            return
        row = self.place(point[1])
        if row is None or not 0 <= row < self.grid.rows:
            return
        column = min(max(self.column(point[0]), 0), self.grid.width - 1)
        self.put(row // self.grid.down, column, marker(series, signs), style_of(series))


def marker(series: Series, signs: Symbols) -> str:
    """The sign of a series in the legend and at its end."""
    return signs.markers[series.marker % len(signs.markers)]


def _letters(signs: Symbols) -> str:
    """What stands for each style where a cell has one dot only."""
    table = [" "] * 64
    for index in range(len(TONES)):
        table[REFERENCE + index] = signs.horizontal
    for color in range(COLORS):
        sign = signs.markers[color % len(signs.markers)]
        table[SERIES + color], table[DIM + color] = sign, sign
    return "".join(table)


def _frame(
    page: _Page, ticks: Sequence[float], left: int, below: int, signs: Symbols
) -> list[tuple[str, bytes]]:
    """The plot's rows with the axes around them."""
    names: dict[int, str] = {}
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else 0.0
    for tick in ticks:
        row = page.place(tick)
        if row is not None and 0 <= row < page.grid.rows:
            text = scale.number(tick, 0.0 if page.view.log else step)
            names[row // page.grid.down] = text
    rows: list[tuple[str, bytes]] = []
    for row in range(page.grid.height):
        text, style = page.texts[row], bytes(page.styles[row])
        if left:
            name = names.get(row)
            edge = signs.vertical if name is None else signs.tick
            text = f"{(name or '')[: left - 1]:>{left - 1}}{edge}{text}"
            style = bytes([LABEL]) * (left - 1) + bytes([AXIS]) + style
        rows.append((text, style))
    if below:
        rows += x_axis(page.view, page.grid.width, left, signs)
    return rows


def x_axis(view: View, width: int, left: int, signs: Symbols) -> list[tuple[str, bytes]]:
    """An axis of `width` cells from column `left` on: its line and its ticks' names."""
    count = max(1, width // 12)
    if view.x_kind == "time":
        ticks = scale.time_ticks(view.x_lo, view.x_hi, count)
    elif view.x_kind == "whole":
        ticks = scale.whole_ticks(view.x_lo, view.x_hi, count)
    else:
        ticks = scale.linear_ticks(view.x_lo, view.x_hi, count)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else (view.x_hi - view.x_lo)
    names, free = [" "] * (left + width), 0
    for tick in ticks:
        text = scale.clock(tick, step) if view.x_kind == "time" else scale.number(tick, step)
        column = left + min(max(column_of(tick, view, width), 0), width - 1)
        start = min(max(column - len(text) // 2, 0), left + width - len(text))
        if start >= free:
            names[start : start + len(text)] = text
            free = start + len(text) + 1
    corner = signs.corner if left else ""
    line = " " * (left - 1) + corner + signs.horizontal * width
    return [
        (line, bytes([AXIS]) * len(line)),
        ("".join(names), bytes([LABEL]) * len(names)),
    ]


def _head(
    series: Sequence[Series],
    references: Sequence[Reference],
    cursor: float | None,
    chosen: str,
    hidden: frozenset[str],
    title: str,
    note: str,
    signs: Symbols,
) -> Line:
    """Title and legend; with a crosshair its place and the values there."""
    head = Line()
    if title:
        head.add(f"{title}  ", TITLE)
    for one in series:
        gone = one.key in hidden
        style = LABEL if gone else style_of(one)
        head.add(f"{marker(one, signs) if not gone else signs.gap} ", style)
        text = one.title
        if cursor is not None and not gone:
            point = one.at(cursor)
            text += f" {scale.number(point[1] if point else None)}"
        head.add(f"{text}  ", CHOSEN if one.key == chosen else style)
    if cursor is not None:
        for line in references:
            text = f"{line.title} {scale.number(line.y)}  "
            head.add(text, tone(line.tone))
    if note:
        head.add(note, LABEL)
    return head
