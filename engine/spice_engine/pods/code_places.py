"""Where the characters of a code value stand in the text of a manifest."""

from __future__ import annotations

from collections.abc import Sequence

from spice_engine.learning.source import Source
from spice_engine.yaml_tree import Scalar


def source_of(node: Scalar, file: str, lines: Sequence[str]) -> Source:
    """The code in a value, its place exact wherever YAML did not fold or unescape it.

    `lines` are those of the manifest.
    """
    place, text = node.place, node.text
    if node.style == "|":
        indent = _block_indent(lines[place.line :], text)
        return Source(text, file, place.line + 1, indent + 1)
    quote = 1 if node.style in ('"', "'") else 0
    start = place.column - 1 + quote
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    exact = node.style != ">" and line[start : start + len(text)] == text
    return Source(text, file, place.line, start + 1, exact)


def _block_indent(written: Sequence[str], text: str) -> int:
    """How far a block scalar's lines are set in, by its first line that is not blank."""
    for line, value in zip(written, text.splitlines(), strict=False):
        if value.strip():
            return len(line) - len(value)
    return 0
