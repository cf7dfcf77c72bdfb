"""Lines as dots: four rows and two columns of them in a cell of braille, or one in ASCII.

A layer holds one byte a cell, row after row: which of its dots are set. Layers are put together
as whole numbers, so that a picture of thousands of cells costs microseconds.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from spice_engine.records import record

if TYPE_CHECKING:
    from spice_tui.models.series import Column

Span = tuple[int, int] | None
"""The topmost and lowest dot of a column of dots that are set; None where none is."""

# Bits of the four dots of a cell's left and right column, from the top.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
BRAILLE = " " + "".join(chr(0x2800 + bits) for bits in range(1, 256))
"""The sign of each byte; a blank is a space, which costs one byte on the wire and not three."""


@record
class Grid:
    """A drawing area in cells, and how many dots across and down a cell has."""

    width: int
    height: int
    across: int = 2
    down: int = 4

    @property
    def columns(self) -> int:
        """Columns of dots."""
        return self.width * self.across

    @property
    def rows(self) -> int:
        """Rows of dots."""
        return self.height * self.down


def _between(bits: Sequence[int], top: int, bottom: int) -> bytes:
    return bytes([sum(bits[top : bottom + 1])])


# [side][top][bottom]: the byte of a cell whose dots from top to bottom are set.
_PARTS = tuple(
    tuple(tuple(_between(bits, top, bottom) for bottom in range(4)) for top in range(4))
    for bits in _BITS
)


def spans(
    columns: Sequence[Column], width: int, place: Callable[[float], int | None]
) -> list[Span]:
    """What to set in each of `width` columns of dots so that a line goes through the points.

    `place` tells the row of dots of a value, None if it has none.
    """
    found: list[Span] = [None] * width
    at, before = -1, None
    for column in columns:
        first = place(column.first)
        if before is not None and first is not None and column.joined and column.at > at + 1:
            before = _join(found, at, before, column.at, first)
        # Most columns hold one point, whose row is known already.
        low = first if column.low == column.first else place(column.low)
        high = first if column.high == column.first else place(column.high)
        if low is None:
            # Of a logarithmic axis: only what is positive can be seen.
            low = high if first is None else first
        if high is not None and low is not None and 0 <= column.at < width:
            top, bottom = high, low
            if before is not None and column.joined:
                top, bottom = _touch(top, bottom, before)
            found[column.at] = top, bottom
        at, before = column.at, first if column.last == column.first else place(column.last)
    return found


def _touch(top: int, bottom: int, before: int) -> tuple[int, int]:
    """Lengthen a span until it touches the row `before` of the column on its left."""
    if before < top:
        return before + 1, bottom
    if before > bottom:
        return top, before - 1
    return top, bottom


def _join(found: list[Span], at: int, row: int, to: int, target: int) -> int:
    """Set a straight line in the columns between two; the row where it arrives."""
    slope = (target - row) / (to - at)
    before = row
    for x in range(max(at + 1, 0), min(to, len(found))):
        y = row + round(slope * (x - at))
        found[x] = _touch(y, y, before)
        before = y
    return before


def dashed(found: list[Span], on: int, off: int) -> list[Span]:
    """Only some columns of dots: `on` of them, then `off` not. It stays put when a line grows."""
    return [span if x % (on + off) < on else None for x, span in enumerate(found)]


def layer(found: Sequence[Span], grid: Grid) -> bytes:
    """The dots of spans as a layer."""
    if grid.across == 1:
        return _rows([_filled(span, grid.height) for span in found], grid.height)
    left = _rows([_dots(span, grid.height, 0) for span in found[0::2]], grid.height)
    right = _rows([_dots(span, grid.height, 1) for span in found[1::2]], grid.height)
    return union(left, right)


def union(one: bytes, other: bytes) -> bytes:
    """What is set in either of two layers of one size."""
    joined = int.from_bytes(one, "big") | int.from_bytes(other, "big")
    return joined.to_bytes(len(one), "big")


def over(under: bytes, upper: bytes) -> bytes:
    """A layer of styles on another: where `upper` has none, `under` is seen."""
    mask = int.from_bytes(upper.translate(_MASK), "big")
    kept = int.from_bytes(under, "big") & ~mask
    return (kept | int.from_bytes(upper, "big")).to_bytes(len(under), "big")


def paint(dots: bytes, style: int) -> bytes:
    """The style where a layer has dots, 0 elsewhere."""
    return dots.translate(_PAINTS[style])


def text(layer: bytes, table: str) -> str:
    """A layer as characters: `table` has the sign of each byte."""
    # The C function takes a text as its table; what is known of its types leaves that out.
    return codecs.charmap_decode(layer, "strict", cast("Any", table))[0]


_MASK = bytes([0]) + bytes([255]) * 255
_PAINTS = [bytes([0]) + bytes([style]) * 255 for style in range(64)]


def _rows(columns: Sequence[bytes], height: int) -> bytes:
    """Columns of bytes, row after row."""
    joined = b"".join(columns)
    return b"".join(joined[row::height] for row in range(height))


def _filled(span: Span, height: int) -> bytes:
    if span is None:
        return bytes(height)
    top, bottom = max(span[0], 0), min(span[1], height - 1)
    if top > bottom:
        return bytes(height)
    return bytes(top) + b"\xff" * (bottom - top + 1) + bytes(height - 1 - bottom)


# A line that grows has the same spans as before, but for the last: they are not made again.
@lru_cache(maxsize=8192)
def _dots(span: Span, height: int, side: int) -> bytes:
    if span is None:
        return bytes(height)
    top, bottom = max(span[0], 0), min(span[1], 4 * height - 1)
    if top > bottom:
        return bytes(height)
    parts = _PARTS[side]
    first, last = top >> 2, bottom >> 2
    if first == last:
        return bytes(first) + parts[top & 3][bottom & 3] + bytes(height - 1 - first)
    return (
        bytes(first)
        + parts[top & 3][3]
        + parts[0][3] * (last - first - 1)
        + parts[0][bottom & 3]
        + bytes(height - 1 - last)
    )


def placing(lo: float, hi: float, rows: int, *, log: bool) -> Callable[[float], int | None]:
    """Values of [lo, hi] to rows of dots from the top; on a log axis only what is positive.

    Values outside give rows just outside, so that lines leave the picture where they should.
    """
    if log:
        base = math.log10(lo)
        scale = (rows - 1) / ((math.log10(hi) - base) or 1.0)

        def place_log(value: float) -> int | None:
            if value <= 0:
                return None
            return round(rows - 1 - (math.log10(value) - base) * scale)

        return place_log
    scale = (rows - 1) / ((hi - lo) or 1.0)

    def place(value: float) -> int | None:
        return round((hi - value) * scale)

    return place
