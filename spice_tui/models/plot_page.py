"""The drawing area of a chart while it is drawn: dots of lines, names of levels, crosshair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models import raster
from spice_tui.models.styled import COLORS, CROSS, DIM, NONE, REFERENCE, SERIES, TONES, tone

if TYPE_CHECKING:
    from spice_tui.models.raster import Grid
    from spice_tui.models.series import Series
    from spice_tui.theme.symbols import Symbols


@record
class Reference:
    """A level line across the chart; `tone`: random, constant, oracle or plain."""

    title: str
    y: float
    tone: str = "plain"


@record
class View:
    """The part of the plane that is seen. `x_kind`: number, whole or time (Unix seconds)."""

    x_lo: float
    x_hi: float
    y_lo: float | None = None
    y_hi: float | None = None
    log: bool = False
    x_kind: str = "number"


class Page:
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


def column_of(x: float, view: View, width: int) -> int:
    """The cell of an x among `width`; it may lie outside. The last x is in the last cell."""
    span = (view.x_hi - view.x_lo) or 1.0
    column = math.floor((x - view.x_lo) / span * width + 1e-9)
    return min(column, width - 1) if x <= view.x_hi else column


def style_of(series: Series) -> int:
    """The style byte of a series."""
    return (DIM if series.dim else SERIES) + series.color % COLORS


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
