"""Lines of text folded to a width, so that what belongs to a name stays beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import chop_cells

from spice_tui.models.cells import one_line, width_of

_BESIDE = re.compile(r"\s*\S(?:.*?\S)?\s{2,}(?=\S)|\s+")
"""What stands before a value: its name and two blanks at least, or the blanks below those."""
_LEAST = 12
"""Cells that a value has; where there are fewer, it goes on below its name."""


def folded(text: str, width: int) -> list[str]:
    """The lines of a text, those that are too long at blanks, further lines of a value below it."""
    return [part for line in text.splitlines() for part in _fold(line, width)]


def _fold(line: str, width: int) -> Iterator[str]:
    rest = one_line(line.expandtabs(4))
    found = _BESIDE.match(rest)
    hang = found.end() if found and found.end() + _LEAST <= width else 0
    indent, kept = "", hang
    while width_of(rest) > width - len(indent):
        head = _head(rest, max(1, width - len(indent)))
        # A blank at the edge is as good a place as any before it.
        at = rest.rfind(" ", kept + 1, len(head) + 1)
        yield indent + (rest[:at].rstrip() if at > 0 else head)
        rest = rest[at:].lstrip() if at > 0 else rest[len(head) :]
        indent, kept = " " * hang, 0
    yield indent + rest


def _head(text: str, width: int) -> str:
    return text[:width] if text.isascii() else chop_cells(text, width)[0]
