"""What stands at a place of a manifest that is being typed, found by its indentation."""

from __future__ import annotations

from typing import Literal

from spice_engine.pods import schema
from spice_engine.pods.schema_keys import Key
from spice_engine.pods.yaml_brackets import BracketReader, Steps
from spice_engine.pods.yaml_scan import Scan, Scanner, after_blanks, scan
from spice_engine.records import record

Kind = Literal["key", "value", "code", "comment"]
MOST_BRACKET_LINES = 200
_NAMED = ("connector", "processor")


@record
class Cursor:
    """A place in a manifest. Columns are 0-based.

    `steps` lead to the mapping whose key is being typed (`key`), or to the value or code.
    `start` is where the word under the cursor begins, `word` what stands from there up to it,
    `rest` what follows on the line. `indent` is the column of keys here; `flow` says that it is
    within brackets. `item` says that a list is open here in which the next item has no dash yet.
    """

    scan: Scan
    line: int
    column: int
    kind: Kind
    steps: Steps
    start: int
    word: str
    rest: str
    indent: int
    flow: bool = False
    item: bool = False

    def chosen(self, steps: Steps | None = None) -> str:
        """The name of the connector, processor or algorithm at a path (default: the cursor's)."""
        return chosen(self.scan, self.steps if steps is None else steps)


def chosen(found: Scan, steps: Steps) -> str:
    """The name of the connector, processor or algorithm that keys at a path belong to."""
    if steps[:2] == ("training", "hyperparameters"):
        return found.value("training", "algorithm")
    for length in range(len(steps), 0, -1):
        if steps[length - 1] in _NAMED:
            above = steps[:length]
            return found.value(*above, "name") or found.value(*above, "type")
    return ""


def key_at(found: Scan, steps: Steps) -> Key | None:
    """What the table of keys says of a path."""
    return schema.help_for(steps, chosen(found, steps))


def find_cursor(text: str, line: int, column: int) -> Cursor:
    """The place at `line` and `column` (1-based); one outside of the text is brought inside."""
    found = scan(text)
    lines = found.lines
    row = min(max(line - 1, 0), len(lines) - 1)
    at = min(max(column - 1, 0), len(lines[row]))
    return _Finder(found, row, at).find()


class _Finder:
    """Finds one place."""

    def __init__(self, found: Scan, row: int, at: int) -> None:
        self._scan = found
        self._row = row
        self._at = at
        self._before = found.lines[row][:at]
        self._rest = found.lines[row][at:]

    def find(self) -> Cursor:
        """The cursor."""
        return self._in_block() or self._in_brackets() or self._on_line()

    def _cursor(
        self,
        kind: Kind,
        steps: Steps,
        start: int,
        indent: int = 0,
        *,
        flow: bool = False,
        item: bool = False,
    ) -> Cursor:
        word = self._before[start:]
        return Cursor(
            self._scan,
            self._row,
            self._at,
            kind,
            steps,
            start,
            word,
            self._rest,
            indent,
            flow,
            item,
        )

    def _in_block(self) -> Cursor | None:
        """Code: the lines of a block, and blank ones after it that are set in as far."""
        entry = self._scan.block_at(self._row)
        if entry is None and not self._scan.lines[self._row].strip():
            above = self._row
            while above >= 0 and not self._scan.lines[above].strip():
                above -= 1
            entry = self._scan.block_at(above)
            if entry is None:
                keys = [one for one in self._scan.starting_at(above) if one.block]
                entry = keys[-1] if keys else None
            if entry is not None and self._at <= entry.column:
                entry = None
        if entry is None:
            return None
        return self._cursor("code", entry.steps, self._at, _indent(self._before))

    def _in_brackets(self) -> Cursor | None:
        """In a value in brackets, which may have begun some lines above."""
        begun = None
        for row in range(self._row, max(self._row - MOST_BRACKET_LINES, -1), -1):
            for entry in self._scan.starting_at(row):
                column = entry.value_column
                text = self._scan.lines[entry.line]
                opens = text[column : column + 1] in ("[", "{") and not entry.flow
                if opens and not entry.value and (row, column) < (self._row, self._at):
                    begun = entry
            if begun is not None:
                break
        if begun is None:
            return None
        reader = BracketReader(
            self._scan.lines, begun.line, begun.value_column, begun.steps, begun.column
        )
        where = reader.run((self._row, self._at))
        if where is None:
            return None
        start = where.word if reader.line == self._row else self._at
        start = _start_of_word(self._before) if start >= self._at else start
        kind: Kind = "key" if where.mapping and where.key is None else "value"
        return self._cursor(kind, where.steps, start, flow=True)

    def _on_line(self) -> Cursor:
        """A key, a value or nothing yet, in block style."""
        before = self._before
        if _is_comment(before):
            return self._cursor("comment", (), self._at)
        scanner = Scanner([*self._scan.lines[: self._row], before])
        scanner.run(self._row + 1)
        column = _indent(before)
        entries = [one for one in scanner.entries if one.line == self._row]
        last = entries[-1] if entries else None
        if last is not None and last.key is not None:
            start = min(last.value_column, self._at)
            if before[start : start + 1] in ("'", '"'):
                start += 1
            if self._at > start or before.endswith(" ") or before[start - 1 : start] in "'\"":
                return self._value(last.steps, start)
            return self._cursor("key", last.steps[:-1], last.column, last.column)
        if last is not None:  # a dash, and perhaps a word
            return self._item(last.steps, after_blanks(before, last.column + 1))
        return self._key(scanner, column)

    def _value(self, steps: Steps, start: int) -> Cursor:
        key = key_at(self._scan, steps)
        if key is not None and key.type == "code":
            return self._cursor("code", steps, self._at)
        return self._cursor("value", steps, start)

    def _item(self, steps: Steps, start: int) -> Cursor:
        """Behind a dash: the first key of a mapping, or a value, by what the list has."""
        if schema.keys_at(steps, chosen(self._scan, steps)):
            return self._cursor("key", steps, start, start)
        return self._value(steps, start)

    def _key(self, scanner: Scanner, column: int) -> Cursor:
        """Nothing but blanks and a word: the key of what is open at this column."""
        word = self._before.strip()
        column = self._at if not word else column
        stack = scanner.stack
        while stack and (stack[-1].column >= column or stack[-1].closed):
            stack.pop()
        steps = stack[-1].steps if stack else ()
        start = self._at - len(self._before.lstrip(" ")) if word else self._at
        listed = steps and f"{schema.path_of(steps, chosen(self._scan, steps))}[]" in schema.TABLE
        if listed:
            return self._cursor("key", steps, start, column, item=True)
        return self._cursor("key", steps, start, column)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _is_comment(before: str) -> bool:
    return before.lstrip(" ").startswith("#") or " #" in before


def _start_of_word(before: str) -> int:
    start = len(before)
    while start and before[start - 1] not in " [{,:'\"":
        start -= 1
    return start
