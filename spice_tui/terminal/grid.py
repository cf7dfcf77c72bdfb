"""What is on the terminal, cell by cell, and the shortest text that turns it into something new.

Pieces whose strips are the same objects, or look the same, are not taken apart. Spaces compare
by what shows of them. Cells that terminals disagree about (see `graphemes.is_certain`) are
followed by an absolute move.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.strip import Strip

from spice_tui.terminal.graphemes import are_certain, cells_of, is_certain, width_of
from spice_tui.terminal.pens import Pen, Pens

Piece = tuple[int, int, Strip]
"""Columns from (inclusive), to (exclusive), and what is there."""

_LONG_BLANK = 12
"""Blank cells from which erasing is shorter than writing them."""

_BLANK = " " * _LONG_BLANK


@dataclass(slots=True)
class _Drawn:
    """One piece as it was drawn last. `looks` are its texts and pens; equal looks, equal cells."""

    x: int
    end: int
    strip: Strip
    looks: list[tuple[str, Pen]]


class _Row:
    """Cells of one row; None is a cell nobody knows."""

    __slots__ = ("cells", "drawn", "pens")

    def __init__(self, width: int, plain: Pen) -> None:
        self.cells: list[str | None] = [None] * width
        self.pens: list[Pen] = [plain] * width
        self.drawn: dict[int, _Drawn] = {}


class Grid:
    """The cells of a terminal of `width` x `height`; at first nothing is known of them.

    `erases_colour` says whether the terminal erases with the background in use ("bce").
    """

    def __init__(self, width: int, height: int, pens: Pens, *, erases_colour: bool = True) -> None:
        self.width = width
        self.height = height
        self._pens = pens
        self._erases_colour = erases_colour
        self._rows = [_Row(width, pens.plain) for _ in range(height)]
        self._out: list[str] = []
        self._x = self._y = -1  # a negative number is a place nobody knows
        self._pen = pens.plain

    def draw(self, rows: Iterable[tuple[int, Sequence[Piece]]]) -> str:
        """Text that draws the pieces of these rows; empty when all of it is there already."""
        self._x = self._y = -1
        for y, pieces in rows:
            if 0 <= y < self.height:
                self._draw_row(y, pieces)
        # Whatever is written next (a shell's prompt, after a crash) starts plain.
        self._use(self._pens.plain)
        text = "".join(self._out)
        self._out.clear()
        return text

    def _draw_row(self, y: int, pieces: Sequence[Piece]) -> None:
        row = self._rows[y]
        drawn = row.drawn
        pen_of = self._pens.of
        new: list[_Drawn] = []
        for x, end, strip in pieces:
            old = drawn.get(x)
            if old is not None and old.end != end:
                old = None
            if old is not None and old.strip is strip:
                continue
            looks = [
                (text, pen_of(style)) for text, style, control in strip if text and not control
            ]
            if old is not None and old.looks == looks:
                old.strip = strip
            else:
                new.append(_Drawn(x, end, strip, looks))
        if not new:
            return
        cells, pens = row.cells.copy(), row.pens.copy()
        for piece in new:
            _lay(cells, pens, piece, self.width)
            for x, old in list(drawn.items()):
                if piece.x < old.end and x < piece.end:
                    del drawn[x]
        for piece in new:
            drawn[piece.x] = piece
        if "" in cells:
            _mend_halves(cells)
        if cells != row.cells or pens != row.pens:
            self._write_changes(y, row, cells, pens)
            row.cells, row.pens = cells, pens

    def _write_changes(self, y: int, row: _Row, cells: list[str | None], pens: list[Pen]) -> None:
        changed = [
            x
            for x, (old, new, before, after) in enumerate(
                zip(row.cells, cells, row.pens, pens, strict=True)
            )
            if new is not None
            and (
                old != new
                or (before is not after and (new != " " or before.blank is not after.blank))
            )
        ]
        if not changed:
            return
        start = end = changed[0]
        for x in changed:
            if x > end and not self._bridges(cells, pens, end, x):
                self._write_run(y, start, end, cells, pens)
                start = x
            end = x + 1
        self._write_run(y, start, end, cells, pens)

    def _bridges(self, cells: list[str | None], pens: list[Pen], end: int, start: int) -> bool:
        """Whether writing the unchanged cells between is no longer than moving over them."""
        if start - end > 5:
            return False
        gap = cells[end:start]
        if None in gap:
            return False
        size = sum(len(cell.encode()) for cell in gap if cell)
        pen = pens[end - 1]
        return size <= 4 and all(other is pen for other in pens[end : start + 1])

    def _write_run(
        self, y: int, start: int, end: int, cells: list[str | None], pens: list[Pen]
    ) -> None:
        while start > 0 and cells[start] == "":  # never half of a wide character
            start -= 1
        while end < self.width and cells[end] == "":
            end += 1
        x = start
        while x < end:
            pen = pens[x]
            if cells[x] == " ":
                blanks = self._blanks(cells, pens, x, end)
                if blanks >= _LONG_BLANK and self._can_erase(pen.blank):
                    self._erase(x, y, blanks, pen.blank)
                    x += blanks
                    continue
            after = x + 1
            while after < end and pens[after] is pen:
                after += 1
            x = self._write_cells(x, y, cells[x:after], pen)

    def _write_cells(self, x: int, y: int, cells: list[str | None], pen: Pen) -> int:
        """Write cells of one pen up to a long blank, if there is one; gives the column after."""
        text = "".join(cell for cell in cells if cell)
        if are_certain(text):
            blank = text.find(_BLANK, 1)
            if blank > 0 and self._can_erase(pen.blank):
                text = text[:blank]
            if text.isspace() and pen.blank is self._pen.blank:
                pen = self._pen
            self._put(x, y, text, pen)
            x += len(text)
            # Past the last column terminals differ in where the cursor stands.
            self._x = x if x < self.width else -1
            return x
        for cell in cells:
            if cell:
                self._put(x, y, cell, pen)
                self._x = -1 if x >= self.width - 2 or not is_certain(cell) else x + width_of(cell)
            x += 1
        return x

    def _put(self, x: int, y: int, text: str, pen: Pen) -> None:
        self._go(x, y)
        self._use(pen)
        self._out.append(text)

    def _blanks(self, cells: list[str | None], pens: list[Pen], x: int, end: int) -> int:
        blank = pens[x].blank
        at = x
        while at < end and cells[at] == " " and pens[at].blank is blank:
            at += 1
        return at - x

    def _can_erase(self, blank: Pen) -> bool:
        if blank.attributes or blank.link:
            return False
        return self._erases_colour or not blank.background

    def _erase(self, x: int, y: int, count: int, blank: Pen) -> None:
        self._go(x, y)
        self._use(blank)
        self._out.append("\x1b[K" if x + count == self.width else f"\x1b[{count}X")

    def _use(self, pen: Pen) -> None:
        if pen is not self._pen:
            self._out.append(self._pens.change(self._pen, pen))
            self._pen = pen

    def _go(self, x: int, y: int) -> None:
        if x == self._x and y == self._y:
            return
        ways = [f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H"]
        if y == self._y:
            ways.append("\r" if x == 0 else f"\x1b[{x + 1}G")
            if 0 <= self._x < x:
                ahead = x - self._x
                ways.append("\x1b[C" if ahead == 1 else f"\x1b[{ahead}C")
        elif y == self._y + 1 and x == 0 and self._y >= 0:
            ways.append("\r\n")
        self._out.append(min(ways, key=len))
        self._x, self._y = x, y


def _lay(cells: list[str | None], pens: list[Pen], piece: _Drawn, width: int) -> None:
    """Put a piece into the cells of a row, cut at its end and at the row's."""
    x, end = piece.x, min(piece.end, width)
    for text, pen in piece.looks:
        part = cells_of(text)
        count = min(len(part), end - x)
        if count <= 0:
            return
        cells[x : x + count] = part[:count]
        pens[x : x + count] = [pen] * count
        x += count


def _mend_halves(cells: list[str | None]) -> None:
    """Half of a wide character shows as a space, as terminals do it."""
    for x, cell in enumerate(cells):
        after = cells[x + 1] if x + 1 < len(cells) else None
        if cell == "":
            if x == 0 or width_of(cells[x - 1] or "") < 2:
                cells[x] = " "
        elif cell and after != "" and width_of(cell) > 1:
            cells[x] = " "
