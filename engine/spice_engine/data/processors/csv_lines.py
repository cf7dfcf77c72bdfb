"""CSV rows line by line, in plain Python: for small payloads, and for lines that polars refuses."""

from __future__ import annotations

import csv
from collections.abc import Mapping

from spice_engine.data.cells import table_of
from spice_engine.data.selection import Selection
from spice_engine.data.table import MAX_EXAMPLES, BadRow, Table
from spice_engine.records import record


@record
class Header:
    """How many cells a row has, and which of them (from 0) are wanted, by selector."""

    width: int
    wanted: Mapping[str, int]


def parse_lines(block: bytes, header: Header, selection: Selection, line: int) -> Table:
    """Each line for itself, so that only broken ones are lost; `line` is the first one's."""
    rows: list[list[str]] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    dropped = 0
    text = block.decode("utf-8", errors="replace")
    # Not splitlines: it also cuts at form feeds and at U+2028, which are text in a cell.
    for number, one in enumerate(text.split("\n"), start=line):
        body = one.removesuffix("\r")
        try:
            row = next(csv.reader([body], strict=True)) if '"' in body else body.split(",")
            reason = ""
        except csv.Error as error:
            row, reason = [], f"this is no CSV: {error}"
        if len(row) != header.width:
            if len(row) > header.width:
                reason = f"{len(row)} cells, but the header has {header.width}"
            row += [""] * (header.width - len(row))
        if reason:
            dropped += 1
            if len(bad) < MAX_EXAMPLES:
                bad.append(BadRow(number, reason))
        elif any(row):
            rows.append(row)
            lines.append(number)
    columns = {name: [row[index] for row in rows] for name, index in header.wanted.items()}
    return table_of(columns, selection, lines, dropped=dropped, dropped_examples=bad)
