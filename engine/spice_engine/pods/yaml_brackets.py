"""Values in brackets of a manifest that is being typed, read as far as they go."""

from __future__ import annotations

from dataclasses import dataclass, replace

Steps = tuple[str | int, ...]
"""Keys and indices of items, as `spice_engine.pods.schema` takes them."""

MAX_ENTRIES = 50_000
MAX_DEPTH = 64
"""What is nested deeper is left out, as in `yaml_tree`: paths would take all memory."""


@dataclass(slots=True)
class Entry:
    """A key or an item of a list, with the single value that stands right at it.

    `line` and the columns are 0-based; `last` is the last line of a block of code that begins
    below. `key` is None for items. A value in brackets has no text, but entries of its own.
    """

    steps: Steps
    line: int
    column: int
    key: str | None = None
    value: str = ""
    value_line: int = 0
    value_column: int = 0
    block: str = ""
    last: int = 0
    flow: bool = False


@dataclass(slots=True)
class Brackets:
    """Where in a value in brackets the cursor is: what is open there, and the word so far."""

    steps: Steps
    mapping: bool
    key: str | None
    word: int
    """The offset in its line at which the word under the cursor begins."""


@dataclass(slots=True)
class _Level:
    """One pair of brackets that is open."""

    steps: Steps
    mapping: bool
    index: int = 0
    key: str | None = None


class BracketReader:
    """Reads one value in brackets, over several lines where they are set in."""

    def __init__(
        self, lines: list[str], line: int, column: int, steps: Steps, parent: int = -1
    ) -> None:
        self._lines = lines
        self.line = line
        self._column = column
        self._parent = parent
        self._root = steps
        self._levels: list[_Level] = []
        self._skipped = 0
        """Brackets that are open and nested too deep."""
        self.entries: list[Entry] = []

    def run(self, until: tuple[int, int] | None = None) -> Brackets | None:
        """Go to the end, or tell where `until` (line and column) is in it."""
        text, column = self._lines[self.line], self._column
        while True:
            if column >= len(text) or (text[column] == "#" and text[column - 1 : column] == " "):
                if until is not None and until[0] == self.line:
                    return self._where(until[1])
                following = self.line + 1
                if following >= len(self._lines) or not self._levels or self._is_left(following):
                    return None
                self.line, text, column = following, self._lines[following], 0
                continue
            if until is not None and (self.line, column) >= until:
                return self._where(column)
            sign = text[column]
            if sign in "[{":
                self._open(mapping=sign == "{", column=column)
            elif sign in "]}":
                if self._skipped:
                    self._skipped -= 1
                else:
                    self._levels.pop()
                if not self._levels:
                    return None
            elif sign == ",":
                self._next_item()
            elif sign not in " :":
                end = _end_of_word(text, column)
                if until is not None and self.line == until[0] and column <= until[1] <= end:
                    return self._where(column)
                self._word(text, column, end)
                column = end
                continue
            column += 1

    def _is_left(self, line: int) -> bool:
        """Whether a line belongs to the brackets no more, though they are not closed."""
        text = self._lines[line]
        indent = len(text) - len(text.lstrip(" "))
        return bool(text.strip()) and indent <= self._parent and text.strip()[0] not in "]}"

    def _where(self, column: int) -> Brackets | None:
        if not self._levels:
            return None
        level = self._levels[-1]
        steps = self._path(level)
        return Brackets(steps, level.mapping, level.key, column)

    def _path(self, level: _Level) -> Steps:
        """The path of the value that comes next, or of the mapping whose key does."""
        if not level.mapping:
            return (*level.steps, level.index)
        return level.steps if level.key is None else (*level.steps, level.key)

    def _open(self, *, mapping: bool, column: int) -> None:
        steps = self._root
        self._skipped += len(self._levels) >= MAX_DEPTH
        if self._skipped:
            return
        if self._levels:
            steps = self._path(self._levels[-1])
            if not self._levels[-1].mapping:
                self._add(steps, column)
        self._levels.append(_Level(steps, mapping))

    def _next_item(self) -> None:
        level = self._levels[-1]
        level.index += 1
        level.key = None

    def _word(self, text: str, column: int, end: int) -> None:
        level = self._levels[-1]
        word = text[column:end]
        if level.mapping and level.key is None:
            level.key = unquoted(word)
            self._add((*level.steps, level.key), column, key=level.key)
        elif level.mapping:
            if not self.entries or self.entries[-1].steps != self._path(level):
                return  # a second word, which is no YAML
            self.entries[-1] = replace(
                self.entries[-1], value=unquoted(word), value_line=self.line, value_column=column
            )
        else:
            self._add(self._path(level), column, value=unquoted(word))

    def _add(self, steps: Steps, column: int, *, key: str | None = None, value: str = "") -> None:
        if len(self.entries) >= MAX_ENTRIES:
            return
        self.entries.append(
            Entry(
                steps,
                self.line,
                column,
                key,
                value,
                value_line=self.line,
                value_column=column,
                flow=True,
            )
        )


def _end_of_word(text: str, start: int) -> int:
    quote = text[start]
    if quote in "\"'":
        end = text.find(quote, start + 1)
        return len(text) if end < 0 else end + 1
    end = start
    while end < len(text) and text[end] not in ",[]{}":
        if text[end] == ":" and text[end + 1 : end + 2] in ("", " "):
            break
        if text[end] == "#" and text[end - 1] == " ":
            break
        end += 1
    return start + max(1, len(text[start:end].rstrip()))


def unquoted(word: str) -> str:
    """A word without the quotes around it."""
    word = word.strip()
    if len(word) >= 2 and word[0] in "\"'" and word[-1] == word[0]:
        return word[1:-1]
    return word.lstrip("\"'")
