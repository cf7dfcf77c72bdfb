"""What can be made out of a manifest that is being typed: keys, items and values with their paths.

YAML has no tree before it is right, and while somebody types it mostly is not. The scan goes by
indentation alone, knows values in brackets and blocks of code, and never fails.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spice_engine.pods.yaml_brackets import (
    MAX_DEPTH,
    MAX_ENTRIES,
    BracketReader,
    Entry,
    Steps,
    unquoted,
)

_BLANKS = re.compile(r" *")
_DASH = re.compile(r"-(?= |$)")
_KEY = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'\[\]{},&*!|>%@`-][^\s:#]*(?:[ ]+[^\s:#]+)*"""
    r"""|-[^\s:#]+)[ ]*:(?=[ ]|$)"""
)
_BLOCK = re.compile(r"[|>][+-]?[0-9]?[+-]?\s*(#.*)?$")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(slots=True)
class _Open:
    """A key or dash that what follows may belong to."""

    column: int
    steps: Steps
    dash: bool
    closed: bool = False
    """A value stands at it: nothing can be below."""


class Scan:
    """Everything that was made out; `lines` are those of the text."""

    def __init__(self, lines: list[str], entries: list[Entry]) -> None:
        self.lines = lines
        self.entries = entries
        self._by_steps: dict[Steps, Entry] = {}
        self._children: dict[Steps, list[Entry]] = {}
        for entry in self.entries:
            self._by_steps.setdefault(entry.steps, entry)
            if entry.steps:
                self._children.setdefault(entry.steps[:-1], []).append(entry)

    def at(self, steps: Sequence[str | int]) -> Entry | None:
        """The entry at a path."""
        return self._by_steps.get(tuple(steps))

    def value(self, *steps: str | int) -> str:
        """The single value at a path; empty where there is none."""
        found = self.at(steps)
        return found.value if found else ""

    def children(self, steps: Sequence[str | int]) -> list[Entry]:
        """What stands right below a path."""
        return self._children.get(tuple(steps), [])

    def code(self, entry: Entry) -> str:
        """The code at an entry, whether in a block or on its line."""
        if entry.block:
            return "\n".join(self.lines[entry.line + 1 : entry.last + 1])
        return entry.value

    def starting_at(self, line: int) -> Iterator[Entry]:
        """The entries of a line, in order."""
        index = bisect_right(self.entries, line - 1, key=lambda entry: entry.line)
        while index < len(self.entries) and self.entries[index].line == line:
            yield self.entries[index]
            index += 1

    def block_at(self, line: int) -> Entry | None:
        """The entry in whose block of code a line is."""
        index = bisect_right(self.entries, line - 1, key=lambda entry: entry.line) - 1
        entry = self.entries[index] if index >= 0 else None
        return entry if entry and entry.block and entry.line < line <= entry.last else None


def split_lines(text: str) -> list[str]:
    """The lines as YAML and editors count them."""
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def scan(text: str) -> Scan:
    """Everything that can be made out in a text."""
    scanner = Scanner(split_lines(text))
    scanner.run(len(scanner.lines))
    return Scan(scanner.lines, scanner.entries)


class Scanner:
    """Goes through lines once; `stack` is what is open after the last of them."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.entries: list[Entry] = []
        self.stack: list[_Open] = []
        self._counts: dict[Steps, int] = {}
        self._next = 0

    def run(self, end: int) -> None:
        """Take in the lines before `end`."""
        while self._next < end and len(self.entries) < MAX_ENTRIES:
            line = self._next
            self._next += 1
            self._line(line)

    def _line(self, number: int) -> None:
        text = self.lines[number]
        column = len(text) - len(text.lstrip(" "))
        rest = text[column:]
        if not rest or rest[0] in "#%" or (not column and rest.startswith(("---", "..."))):
            return
        while match := _DASH.match(text, column):
            if not self._dash(number, column):
                return
            column = after_blanks(text, match.end())
        if match := _KEY.match(text, column):
            self._key(number, column, match)
        elif column < len(text) and self.stack and self.stack[-1].dash:
            item = self.stack[-1]
            last = self.entries[-1] if self.entries else None
            if last is not None and last.steps == item.steps and last.line == number:
                self._value(last, item, text, column)

    def _dash(self, line: int, column: int) -> bool:
        """Take in a dash; false where it is too deep."""
        while self.stack and (
            self.stack[-1].column > column
            or (self.stack[-1].column == column and self.stack[-1].dash)
        ):
            self.stack.pop()
        parent = self.stack[-1].steps if self.stack else ()
        if len(parent) >= MAX_DEPTH:
            return False
        index = self._counts.get(parent, 0)
        self._counts[parent] = index + 1
        steps = (*parent, index)
        self.stack.append(_Open(column, steps, dash=True))
        self.entries.append(Entry(steps, line, column, value_line=line))
        return True

    def _key(self, line: int, column: int, match: re.Match[str]) -> None:
        while self.stack and self.stack[-1].column >= column:
            self.stack.pop()
        while self.stack and self.stack[-1].closed:
            self.stack.pop()
        parent = self.stack[-1].steps if self.stack else ()
        if len(parent) >= MAX_DEPTH:
            return
        name = unquoted(match[1])
        steps = (*parent, name)
        here = _Open(column, steps, dash=False)
        self.stack.append(here)
        entry = Entry(steps, line, column, name, value_line=line)
        self.entries.append(entry)
        text = self.lines[line]
        self._value(entry, here, text, after_blanks(text, match.end()))

    def _value(self, entry: Entry, here: _Open, text: str, start: int) -> None:
        """The value that stands at a key or dash, on its line or from there on."""
        rest = text[start:]
        entry.value_column = start
        if not rest or rest.startswith("#"):
            return
        if _BLOCK.fullmatch(rest):
            entry.block = rest[0]
            entry.last = self._end_of_block(entry.line, here.column)
            self._next = max(self._next, entry.last + 1)
        elif rest[0] in "[{":
            self._brackets(entry, here)
        else:
            entry.value = plain(rest)
        here.closed = True

    def _end_of_block(self, line: int, column: int) -> int:
        """The last line of a block that begins below a key or dash in `column`."""
        last = line
        for number in range(line + 1, len(self.lines)):
            text = self.lines[number]
            if text.strip():
                if len(text) - len(text.lstrip(" ")) <= column:
                    break
                last = number
        return last

    def _brackets(self, entry: Entry, here: _Open) -> None:
        reader = BracketReader(self.lines, entry.line, entry.value_column, entry.steps, here.column)
        reader.run()
        self.entries.extend(reader.entries[: MAX_ENTRIES - len(self.entries)])
        self._next = max(self._next, reader.line + 1)


def after_blanks(text: str, column: int) -> int:
    """The first column from `column` on that holds no blank."""
    match = _BLANKS.match(text, column)
    return match.end() if match else column


def plain(written: str) -> str:
    """A single value as written on a line, without its quotes or the comment after it."""
    if written[:1] in ("'", '"'):
        end = written.find(written[0], 1)
        return written[1:end] if end > 0 else written[1:]
    return _COMMENT.sub("", written).strip()
