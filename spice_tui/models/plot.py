"""A chart as rows of characters and styles: lines, reference lines, axes, legend, crosshair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models import raster, scale
from spice_tui.models.plot_page import Page, Reference, View, column_of, marker, style_of
from spice_tui.models.raster import Grid
from spice_tui.models.styled import AXIS, CHOSEN, LABEL, TITLE, Line, tone
from spice_tui.theme.symbols import Symbols, symbols

if TYPE_CHECKING:
    from spice_tui.models.series import Column, Series

_GUTTER = 8
_NARROW = 30
# The y axis goes on to the next of about so many round values, and so seldom changes.
_ROUNDING = 8
# Beyond it the height of the axis would not be a number any more.
_ENDLESS = 1e300
_SHORT = 6
_DASH = (6, 4)
_PATTERNS = {"random": (1, 3), "constant": (3, 3), "oracle": (6, 2), "plain": (2, 2)}


@record
class Picture:
    """Rows of a chart: characters, and one style byte for each; where the plot area is."""

    texts: list[str]
    styles: list[bytes]
    left: int
    top: int
    grid: Grid


@record
class _Layer:
    """Dots, and the series they are of as it was then; None: of a reference line."""

    dots: bytes
    series: Series | None = None
    version: int = 0


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
        page = Page(grid, view, lo, hi)
        kept: dict[tuple[object, ...], _Layer] = {}
        for reference in references:
            key = (reference, lo, hi, view.log, grid)
            found = self._layers.get(key) or _Layer(_level(reference, page))
            kept[key] = found
            page.add(found.dots, tone(reference.tone))
        for one, columns in zip(shown, cut, strict=True):
            key = (one.key, view.x_lo, view.x_hi, lo, hi, view.log, one.dashed, grid)
            found = self._layers.get(key)
            if found is None or found.series is not one or found.version != one.version:
                found = _Layer(_line(one, columns, page), one, one.version)
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


def _line(series: Series, columns: Sequence[Column], page: Page) -> bytes:
    found = raster.spans(columns, page.grid.columns, page.place)
    if series.dashed:
        on, off = _DASH
        found = raster.dashed(found, max(1, on // 2 * page.grid.across), off)
    return raster.layer(found, page.grid)


def _level(reference: Reference, page: Page) -> bytes:
    row = page.place(reference.y) if math.isfinite(reference.y) else None
    if row is None:
        return bytes(page.grid.width * page.grid.height)
    level: list[raster.Span] = [(row, row)] * page.grid.columns
    return raster.layer(raster.dashed(level, *_PATTERNS[reference.tone]), page.grid)


def _frame(
    page: Page, ticks: Sequence[float], left: int, below: int, signs: Symbols
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
