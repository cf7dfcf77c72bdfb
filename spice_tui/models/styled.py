"""Rows of characters with one style byte each, and what the bytes mean."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spice_tui.theme.symbols import symbols

NONE, AXIS, LABEL, TITLE, CROSS, CHOSEN, GOOD, BAD = range(8)
"""Styles of cells; further ones are `REFERENCE + tone` and `SERIES` or `DIM` + colour."""
REFERENCE, SERIES, DIM = 8, 16, 32
COLORS = 8
TONES = ("random", "constant", "oracle", "plain")


def tone(name: str) -> int:
    """The style of a reference line of this tone."""
    return REFERENCE + TONES.index(name)


@dataclass(slots=True)
class Line:
    """A row that is being written."""

    text: str = ""
    styles: bytes = b""

    def add(self, text: str, style: int = NONE) -> Line:
        """Write on."""
        self.text += text
        self.styles += bytes([style]) * len(text)
        return self

    def to(self, column: int) -> Line:
        """Blanks up to a column; what stands beyond it is cut, with a sign that it was."""
        if len(self.text) > column:
            self.text, self.styles = self.text[:column], self.styles[:column]
            if column > 1:
                self.text = self.text[: column - 1] + symbols().ellipsis
        else:
            self.add(" " * (column - len(self.text)))
        return self


Rows = tuple[Sequence[str], Sequence[bytes]]
"""Characters of rows and their style bytes."""


def rows_of(lines: Sequence[Line], width: int) -> Rows:
    """Lines, each as wide as it should be."""
    done = [line.to(width) for line in lines]
    return [line.text for line in done], [line.styles for line in done]


def wrapped(text: str, width: int, style: int = NONE, hang: int = 0) -> Iterator[Line]:
    """A text in as many lines as it needs; those after the first begin at column `hang`."""
    indent = " " * hang
    room = max(width, hang + 8)
    for part in textwrap.wrap(text, room, subsequent_indent=indent, break_on_hyphens=False):
        yield Line().add(part, style)


def bar(share: float, width: int) -> str:
    """A bar from the left: `share` of `width` cells, with part of a cell where signs have it."""
    signs = symbols()
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    if signs.braille and rest:
        return signs.bar * full + "▏▎▍▌▋▊▉"[rest - 1]
    return signs.bar * (full + (rest >= 4))
