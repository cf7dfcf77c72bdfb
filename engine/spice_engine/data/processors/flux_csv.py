"""The `flux-csv` processor: InfluxDB's annotated CSV to a table.

`_field` says which measurement (or category) a row's `_value` is of, by its selector. All other
columns of text but `_measurement` are tags, such as the host. Rows of several series at one time
are simply several rows, whose mean is taken later.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedIOBase
from typing import Any

from spice_engine.data.cells import table_of
from spice_engine.data.selection import Selection
from spice_engine.data.sources import read_whole
from spice_engine.data.table import MAX_EXAMPLES, BadRow, Table, joined
from spice_engine.errors import InvalidData

_ROWS_AT_A_TIME = 50_000
_OWN = frozenset({"", "result", "table", "_start", "_stop", "_time", "_value", "_field"})
_NEEDED = ("_time", "_field", "_value")


@dataclass
class _Section:
    """A table of the payload: its header, types and defaults, by column."""

    headers: list[str]
    types: list[str] = field(default_factory=list[str])
    defaults: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        width = len(self.headers)
        self.types = (self.types + [""] * width)[:width]
        self.defaults = (self.defaults + [""] * width)[:width]
        # Without annotations there are no types, and every other column is text.
        annotated = any(self.types)
        self.tags = [
            index
            for index, header in enumerate(self.headers)
            if header not in _OWN
            and header != "_measurement"
            and (self.types[index] == "string" or not annotated)
        ]
        self.index = {header: index for index, header in reversed(list(enumerate(self.headers)))}

    def cell(self, row: Sequence[str], header: str) -> str:
        """A row's cell, or the column's default."""
        index = self.index.get(header)
        if index is None:
            return ""
        return (row[index] if index < len(row) else "") or self.defaults[index]


def parse(source: BufferedIOBase, selection: Selection, *, name: str) -> Table:
    """The rows of a payload; `name` is its name, for messages. Time selectors are ignored.

    Raises InvalidData where a table has not the columns `_time`, `_field` and `_value`, or there
    is none.
    """
    data = read_whole(source, name, selection.place)
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", errors="replace", newline="")
    wanted = replace(
        selection,
        time_selector="_time",
        time_format="",
        tags=("_tags",) if selection.tags else (),
    )
    rows = _Rows(wanted)
    tables: list[Table] = []
    found = False
    for section, row, line in _rows(text, selection, name, rows):
        found = True
        if row:
            rows.add(section, row, line)
        if len(rows.lines) >= _ROWS_AT_A_TIME:
            tables.append(rows.table())
    if not found and data.strip():
        missing = _missing("_time", name, selection)
        raise missing
    tables.append(rows.table())
    return joined(tables)


def _rows(
    text: io.TextIOWrapper, selection: Selection, name: str, rows: _Rows
) -> Iterator[tuple[_Section, list[str], int]]:
    """Each row with its section and line; each section once with an empty row."""
    reader = csv.reader(text)
    section: _Section | None = None
    notes: dict[str, list[str]] = {}
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rows.drop(reader.line_num, f"this is no CSV: {error}")
            continue
        if not row or not any(cell.strip() for cell in row):
            section = None  # an empty line ends a table
        elif row[0].startswith("#"):
            section = None
            notes[row[0]] = ["", *row[1:]]
        elif section is None:
            headers = [cell.strip() for cell in row]
            section = _Section(headers, notes.get("#datatype", []), notes.get("#default", []))
            notes = {}
            if "error" in section.index:
                # InfluxDB reports a failed query as a table of its own.
                answer = next(reader, [""])
                raise InvalidData(
                    f"'{name}' is an error of InfluxDB: {section.cell(answer, 'error')[:300]}.",
                    hint="Check the query, the bucket and the token.",
                    place=selection.place,
                )
            for column in _NEEDED:
                if column not in section.index:
                    raise _missing(column, name, selection)
            yield section, [], reader.line_num
        elif len(row) > len(section.headers):
            reason = f"{len(row)} cells, but the header has {len(section.headers)}"
            rows.drop(reader.line_num, reason)
        else:
            yield section, row + [""] * (len(section.headers) - len(row)), reader.line_num


def _missing(column: str, name: str, selection: Selection) -> InvalidData:
    return InvalidData(
        f"'{column}' not found in the table data of '{name}'.",
        hint="A flux-csv table has the columns _time, _field and _value.",
        place=selection.place,
    )


class _Rows:
    """Rows being gathered: each fills the one column that its `_field` names."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        columns = (*selection.measurements, *selection.categories)
        self._fields = {column.selector for column in columns}
        self._identifiers = {column.selector for column in selection.identifiers}
        self._empty()

    def _empty(self) -> None:
        names = ("_time", "_tags", *self._fields, *self._identifiers)
        self._columns: dict[str, list[Any]] = {name: [] for name in names}
        self.lines: list[int] = []
        self._dropped = 0
        self._examples: list[BadRow] = []

    def add(self, section: _Section, row: Sequence[str], line: int) -> None:
        """One row; those of fields that nobody asks for are passed over."""
        own = section.cell(row, "_field")
        if own not in self._fields:
            return
        columns = self._columns
        columns["_time"].append(section.cell(row, "_time"))
        columns["_tags"].append([row[i] or section.defaults[i] for i in section.tags])
        for name in self._fields:
            columns[name].append(section.cell(row, "_value") if name == own else None)
        for name in self._identifiers - self._fields:
            columns[name].append(section.cell(row, name))
        self.lines.append(line)

    def drop(self, line: int, reason: str) -> None:
        """A row that could not be read."""
        self._dropped += 1
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(BadRow(line, reason))

    def table(self) -> Table:
        """What was gathered since the last time."""
        made = table_of(
            self._columns,
            self._selection,
            self.lines,
            dropped=self._dropped,
            dropped_examples=self._examples,
        )
        self._empty()
        return made
