"""What is on the terminal, cell by cell, and the shortest text that turns it into something new.

Rows whose strips are the same objects as before are not looked at. Spaces compare by what shows
of them. Cells that terminals disagree about (see `graphemes.is_certain`) are followed by an
absolute move.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.strip import Strip

from spice_tui.terminal.graphemes import cells_of, is_certain
from spice_tui.terminal.pens import Pen, Pens

Piece = tuple[int, int, Strip]
"""Columns from (inclusive), to (exclusive), and what is there."""

_LONG_BLANK = 12
"""Blank cells from which erasing is shorter than writing them."""


class _Row:
    """Cells of one row; None is a cell nobody knows."""

    __slots__ = ("cells", "pens", "pieces")

    def __init__(self, width: int, plain: Pen) -> None:
        self.cells: list[str | None] = [None] * width
        self.pens: list[Pen] = [plain] * width
        self.pieces: list[Piece] = []


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
        # The same objects are the same cells. They are kept in `row.pieces`, so that no other
        # object can have their identity.
        known = {(x, end, id(strip)) for x, end, strip in row.pieces}
        new = [piece for piece in pieces if (piece[0], piece[1], id(piece[2])) not in known]
        if not new:
            return
        cells, pens = row.cells.copy(), row.pens.copy()
        for x, end, strip in new:
            self._lay(cells, pens, x, min(end, self.width), strip)
        row.pieces = [
            piece
            for piece in row.pieces
            if not any(x < piece[1] and piece[0] < end for x, end, _ in new)
        ]
        row.pieces.extend(new)
        if cells == row.cells and pens == row.pens:
            return
        if "" in cells:
            _mend_halves(cells)
        self._write_changes(y, row, cells, pens)
        row.cells, row.pens = cells, pens

    def _lay(
        self, cells: list[str | None], pens: list[Pen], x: int, end: int, strip: Strip
    ) -> None:
        pen_of = self._pens.of
        at = x
        for text, style, control in strip:
            if control:
                continue
            part = cells_of(text)
            count = min(len(part), end - at)
            if count <= 0:
                if at >= end:
                    break
                continue  # a segment without text
            cells[at : at + count] = part[:count]
            pens[at : at + count] = [pen_of(style)] * count
            at += count

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
                if pen.blank is self._pen.blank:
                    pen = self._pen
            self._go(x, y)
            self._use(pen)
            cell = cells[x]
            if cell is None:  # a run never holds a cell nobody knows
                return
            self._out.append(cell)
            x += 1
            while x < end and cells[x] == "":
                x += 1
            # Past the last column terminals differ in where the cursor stands.
            self._x = x if x < self.width and is_certain(cell) else -1

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


def _mend_halves(cells: list[str | None]) -> None:
    """Half of a wide character shows as a space, as terminals do it."""
    for x, cell in enumerate(cells):
        after = cells[x + 1] if x + 1 < len(cells) else None
        if cell == "":
            if x == 0 or not _is_wide(cells[x - 1]):
                cells[x] = " "
        elif cell and after != "" and _is_wide(cell):
            cells[x] = " "


def _is_wide(cell: str | None) -> bool:
    return bool(cell) and len(cells_of(str(cell))) > 1
