"""Pure functions that change texts: indentation, comments, moved lines, positions.

A position is `(row, column)`, both 0-based and in characters, as Textual's text area counts; the
engine counts from 1. Lines are parted by `\\n` only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.protocol.pods import ProblemInfo

INDENT = 2
"""Spaces of one level."""

Position = tuple[int, int]
LinesChange = Callable[[Sequence[str]], list[str]]

_ITEM = re.compile(r"( *)((?:- +)+)(.*)")
_BLOCK = re.compile(r"(?:^|[:\-] +)[|>][+-]?[0-9]?[+-]?$")
_PAIR = re.compile(r"[^\s#\"'\[{][^#\"'\[{]*:(?:\s|$)")


@record
class TextEdit:
    """`text` in place of what stands from `start` up to `end`."""

    start: Position
    end: Position
    text: str


def offset_of(text: str, position: Position) -> int:
    """The offset of a position; one beyond its line or the text is brought back to its end."""
    row, column = position
    start = 0
    for _ in range(row):
        end = text.find("\n", start)
        if end < 0:
            return len(text)
        start = end + 1
    end = text.find("\n", start)
    return min(start + column, len(text) if end < 0 else end)


def position_at(text: str, offset: int) -> Position:
    """The position of an offset, that of the text's end when it is beyond."""
    before = text[: max(offset, 0)]
    row = before.count("\n")
    return row, len(before) - (before.rfind("\n") + 1)


def apply_edit(text: str, edit: TextEdit) -> str:
    """The text after one edit."""
    start, end = offset_of(text, edit.start), offset_of(text, edit.end)
    return text[:start] + edit.text + text[max(start, end) :]


def apply_edits(text: str, edits: Iterable[TextEdit]) -> str:
    """The text after edits that do not overlap, given in any order."""
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end), reverse=True):
        text = apply_edit(text, edit)
    return text


def between(old: str, new: str) -> TextEdit | None:
    """The smallest single edit that makes `new` of `old`, or None when they are the same."""
    if old == new:
        return None
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    most -= head
    tail = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    return TextEdit(
        position_at(old, head), position_at(old, len(old) - tail), new[head : len(new) - tail]
    )


def leading(line: str) -> str:
    """The blanks a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def new_line(line: str, row: int, column: int) -> TextEdit:
    """What the enter key does at a column of a line.

    One level deeper after a key without a value and after a block's head; below an item's first
    key under that key; below an item that is a plain value a new item; an item with nothing in
    it ends its list.
    """
    before = line[:column]
    indent = leading(before)
    at = (row, column)
    code = _without_comment(before).rstrip()
    item = _ITEM.fullmatch(before)
    if item is None:
        if code.strip() == "-" and not line[column:].strip():
            return TextEdit((row, 0), (row, len(line)), indent)
        deeper = " " * INDENT if code.endswith(":") or _BLOCK.search(code.strip()) else ""
        return TextEdit(at, at, f"\n{indent}{deeper}")
    dashes, content = item[2], _without_comment(item[3]).strip()
    inner = indent + " " * len(dashes)
    if not content:
        if line[column:].strip():
            return TextEdit(at, at, f"\n{inner}")
        return TextEdit((row, 0), (row, len(line)), indent)
    if content.endswith(":") or _BLOCK.search(content):
        return TextEdit(at, at, f"\n{inner}{' ' * INDENT}")
    if _PAIR.match(content) or content[0] in "\"'[{":
        return TextEdit(at, at, f"\n{inner}")
    return TextEdit(at, at, f"\n{indent}{dashes}")


def _without_comment(line: str) -> str:
    """The line up to a comment; a `#` counts as one at the start or after a blank."""
    found = re.search(r"(?:^|(?<=\s))#", line)
    return line[: found.start()] if found else line


def indent_lines(lines: Sequence[str]) -> list[str]:
    """Lines one level deeper; blank ones stay."""
    return [" " * INDENT + line if line.strip() else line for line in lines]


def dedent_lines(lines: Sequence[str]) -> list[str]:
    """Lines one level less deep, as far as each has blanks."""
    return [line[min(INDENT, len(leading(line))) :] for line in lines]


def toggle_comment(lines: Sequence[str]) -> list[str]:
    """All lines as comments, at the least indentation among them; or, if all are, as no comments.

    Blank lines stay.
    """
    full = [line for line in lines if line.strip()]
    if not full:
        return list(lines)
    if all(line.lstrip().startswith("#") for line in full):
        return [_uncommented(line) if line.strip() else line for line in lines]
    depth = min(len(leading(line)) for line in full)
    return [f"{line[:depth]}# {line[depth:]}" if line.strip() else line for line in lines]


def _uncommented(line: str) -> str:
    indent = leading(line)
    rest = line[len(indent) + 1 :]
    return indent + (rest[1:] if rest.startswith(" ") else rest)


def move_lines(lines: Sequence[str], first: int, last: int, step: int) -> TextEdit | None:
    """Rows `first` to `last` one row up (`step` -1) or down (1); None at the text's edge."""
    if step < 0:
        if first <= 0:
            return None
        rows = [*lines[first : last + 1], lines[first - 1]]
        return TextEdit((first - 1, 0), (last, len(lines[last])), "\n".join(rows))
    if last + 1 >= len(lines):
        return None
    rows = [lines[last + 1], *lines[first : last + 1]]
    return TextEdit((first, 0), (last + 1, len(lines[last + 1])), "\n".join(rows))


def duplicate_lines(lines: Sequence[str], first: int, last: int) -> TextEdit:
    """Rows `first` to `last` once more, below them."""
    end = (last, len(lines[last]))
    return TextEdit(end, end, "".join(f"\n{line}" for line in lines[first : last + 1]))


def place_of(line: int, column: int) -> Position:
    """The position of an engine's 1-based line and column; 0 stands for the first."""
    return max(line - 1, 0), max(column - 1, 0)


def range_of(problem: ProblemInfo, lines: Sequence[str]) -> tuple[Position, Position] | None:
    """Where a finding is to be marked, at least one character wide; None if it has no line.

    Without an end of its own it goes up to the end of the word, or of the line.
    """
    if not problem.line or problem.line > len(lines):
        return None
    row, column = place_of(problem.line, problem.column)
    line = lines[row]
    if not problem.column:
        column = len(leading(line))
    column = min(column, max(len(line) - 1, 0))
    end = place_of(problem.end_line, problem.end_column) if problem.end_line else (row, 0)
    if end <= (row, column):
        word = re.compile(r"[\w.\-]+").match(line, column)
        end = (row, word.end() if word else len(line))
    last = min(end[0], len(lines) - 1)
    return (row, column), (
        last,
        max(min(end[1], len(lines[last])), column + 1 if last == row else 0),
    )


def fix_edit(problem: ProblemInfo) -> TextEdit | None:
    """The edit that a finding offers to mend it, if it offers one."""
    fix = problem.fix
    if fix is None:
        return None
    return TextEdit(
        place_of(fix.line, fix.column), place_of(fix.end_line, fix.end_column), fix.text
    )
