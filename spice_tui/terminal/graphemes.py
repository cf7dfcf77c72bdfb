"""Text as cells of a terminal: one string a cell, an empty one after a character of two cells."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import split_graphemes

_SINGLES = re.compile("[ -~\xa0-\xac\xae-\u02ff\u0370-\u0482\u2500-\u25fc\u2800-\u28ff]*").fullmatch
"""Text in which each character is one cell: Latin, Greek, Cyrillic, lines, blocks, braille."""

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
"""They take no cell, and text must not be able to give orders to the terminal."""


def cells_of(text: str) -> str | tuple[str, ...]:
    """One string for each cell of `text`."""
    if _SINGLES(text):
        return text
    return _split(text)


@lru_cache(4096)
def _split(text: str) -> tuple[str, ...]:
    text = _CONTROLS.sub("", text)
    cells: list[str] = []
    for start, end, width in split_graphemes(text)[0]:
        piece = text[start:end]
        if width == 0:
            if cells:  # a mark without a character before it has no place
                at = -1 if cells[-1] else -2
                cells[at] += piece
        else:
            cells.append(piece)
            cells.extend([""] * (width - 1))
    return tuple(cells)


def width_of(cell: str) -> int:
    """How many cells a cell's text covers: 1 or 2; 0 for the second half of a wide one."""
    return len(cells_of(cell))


def are_certain(text: str) -> bool:
    """Whether each character is one cell on any terminal."""
    return _SINGLES(text) is not None


def is_certain(cell: str) -> bool:
    """Whether all terminals give this character the same width.

    They disagree on joined characters, emoji and variation selectors: after one of those nobody
    knows where the cursor stands.
    """
    return len(cell) == 1 and cell < "\U0001f000" and (cell < "\u2600" or cell > "\u2bff")
