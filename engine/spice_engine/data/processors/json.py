"""The `json` processor: one object, or an array of flat objects, to a table.

Objects are taken one by one, so that a long array needs little more memory than its text. Numbers
may be text, also `0x` hexadecimal; the columns `tags` and `_tags` are arrays of text, every other
tag selector one tag. Items that are no objects are counted and kept out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import BufferedIOBase
from typing import Any, cast

from spice_engine.data.cells import table_of
from spice_engine.data.selection import Selection
from spice_engine.data.sources import read_whole
from spice_engine.data.table import MAX_EXAMPLES, BadRow, Table, joined
from spice_engine.errors import InvalidData, Place

_ROWS_AT_A_TIME = 50_000
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def parse(
    source: BufferedIOBase,
    selection: Selection,
    *,
    name: str,
    flatten: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Table:
    """The rows of a JSON text; `name` is the payload's, for messages.

    `flatten` makes an item flat that is not.

    Raises InvalidData where it is no JSON, where no item has a column that is needed, and where
    the time format is not known.
    """
    data = read_whole(source, name, selection.place)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidData(
            f"'{name}' is no JSON: line {line} holds bytes that are no UTF-8.",
            hint="Save it as UTF-8.",
            place=selection.place,
        ) from error
    del data
    rows = _Rows(selection, flatten or _unchanged)
    tables: list[Table] = []
    for item, line in _Items(text, name, selection.place):
        rows.add(item, line)
        if len(rows.lines) >= _ROWS_AT_A_TIME:
            tables.append(rows.table())
    if rows.lines or rows.dropped or not tables:
        tables.append(rows.table())
    if rows.seen:
        selection.require(rows.headers, name)
    return joined(tables)


def _unchanged(item: dict[str, Any]) -> dict[str, Any]:
    return item


class _Rows:
    """Items being gathered: their cells by column."""

    def __init__(
        self, selection: Selection, flatten: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        self._flatten = flatten
        tags = selection.tags
        if "_tags" in tags and "tags" not in tags:
            tags = (*tags, "tags")  # which the original read alike
        self._selection = selection
        self._tags = tags
        self._wanted = tuple(dict.fromkeys((*selection.selectors, *tags)))
        self.headers: dict[str, None] = {}
        self.seen = False
        self._empty()

    def _empty(self) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in self._wanted}
        self.lines: list[int] = []
        self.dropped = 0
        self._examples: list[BadRow] = []

    def add(self, item: object, line: int) -> None:
        """One item of the array."""
        if not isinstance(item, dict):
            self.dropped += 1
            if len(self._examples) < MAX_EXAMPLES:
                reason = f"'{json.dumps(item)[:40]}' is no object"
                self._examples.append(BadRow(line, reason))
            return
        row = self._flatten(cast("dict[str, Any]", item))
        self.seen = True
        for header in row:
            if len(self.headers) < 1000 or header in self._columns:
                self.headers[header] = None
        for name, cells in self._columns.items():
            cells.append(row.get(name))
        self.lines.append(line)

    def table(self) -> Table:
        """What was gathered since the last time."""
        selection = self._selection
        if self._tags != selection.tags:
            selection = replace(selection, tags=self._tags)
        made = table_of(
            self._columns,
            selection,
            self.lines,
            split_tags=False,
            dropped=self.dropped,
            dropped_examples=self._examples,
        )
        self._empty()
        return made


class _Items:
    """The items of a text with the lines they begin on."""

    def __init__(self, text: str, name: str, place: Place | None) -> None:
        self._text = text
        self._name = name
        self._place = place
        self._position = 0
        self._counted = 0
        self._line = 1

    def __iter__(self) -> _Items:
        self._skip()
        self._single = self._text[self._position : self._position + 1] != "["
        self._done = False
        if not self._single:
            self._position += 1
            self._skip()
            self._done = self._take("]")
            if self._done:
                self._end()
        return self

    def __next__(self) -> tuple[Any, int]:
        if self._done:
            raise StopIteration
        line = self._line_now()
        try:
            item, self._position = _DECODER.raw_decode(self._text, self._position)
        except RecursionError as error:
            raise self._wrong("its values lie too deep in one another") from error
        except json.JSONDecodeError as error:
            self._position = error.pos
            raise self._wrong(error.msg[:1].lower() + error.msg[1:]) from error
        except ValueError as error:  # a number of thousands of digits
            raise self._wrong(str(error)) from error
        self._skip()
        if self._single:
            self._done = True
        elif not self._take(","):
            if not self._take("]"):
                raise self._wrong("a comma or the end of the array is missing")
            self._done = True
        else:
            self._skip()
        if self._done:
            self._end()
        return item, line

    def _end(self) -> None:
        self._skip()
        if self._position < len(self._text):
            raise self._wrong("there is more after its end")

    def _take(self, mark: str) -> bool:
        found = self._text.startswith(mark, self._position)
        self._position += found
        return found

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._position)
        self._position = found.end() if found else self._position

    def _line_now(self) -> int:
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = max(self._counted, self._position)
        return self._line

    def _wrong(self, what: str) -> InvalidData:
        return InvalidData(
            f"'{self._name}' is no JSON: line {self._line_now()}: {what}.",
            hint='Give one object, or an array of them, as in [{"time": 1612557000, "cpu": 1.5}].',
            place=self._place,
        )
