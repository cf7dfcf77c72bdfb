"""CSV text to columns of text that know their lines: by polars, or by line where it cannot."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from spice_engine.data.table import MAX_EXAMPLES, BadRow
from spice_engine.errors import InvalidData, Place


@dataclass(frozen=True, slots=True)
class TextRows:
    """Rows as text: `frame` holds one string column per header, None where a cell is empty.

    `dropped` rows had too many cells or an open quote; `examples` are the first few of them.
    """

    frame: pl.DataFrame
    dropped: int
    examples: tuple[BadRow, ...]
    lines: tuple[int, ...] | None
    """The line of each row, where the text was read by line; see `lines_of`."""


def read(data: bytes, name: str, place: Place | None) -> TextRows:
    """The rows of a CSV text with a header.

    Raises InvalidData where there is no header.
    """
    try:
        frame = pl.read_csv(io.BytesIO(data), infer_schema=False)
    except pl.exceptions.NoDataError as error:
        hint = "The first line names the columns, as in: time,cpu,memory"
        raise InvalidData(f"'{name}' is empty.", hint=hint, place=place) from error
    except pl.exceptions.ComputeError:
        # A row with too many cells, an open quote, or bytes that are no UTF-8: rare, so that
        # only then each line is read for itself, and only the bad ones are lost.
        return _read_by_line(data, name, place)
    return TextRows(_with_plain_header(frame), 0, (), None)


def _with_plain_header(frame: pl.DataFrame) -> pl.DataFrame:
    """Names without the spaces around them; of several columns with one name the first."""
    first: dict[str, pl.Series] = {}
    for series in frame.get_columns():
        first.setdefault(series.name.strip(), series)
    return pl.DataFrame([series.alias(header) for header, series in first.items()])


def _read_by_line(data: bytes, name: str, place: Place | None) -> TextRows:
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    dropped = 0
    text = data.decode("utf-8-sig", errors="replace")
    # Not splitlines: it also cuts at form feeds and at U+2028, which are text in a cell.
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if not line.strip():
            continue
        try:
            cells = next(csv.reader([line.removesuffix("\n")], strict=True))
        except csv.Error as error:
            cells, reason = [], f"this is no CSV: {error}"
        else:
            reason = ""
        if header is None:
            header = [cell.strip() for cell in cells]
            continue
        if len(cells) > len(header):
            reason = f"{len(cells)} cells, but the header has {len(header)}"
        if reason:
            dropped += 1
            if len(bad) < MAX_EXAMPLES:
                bad.append(BadRow(number, reason))
            continue
        rows.append(cells)
        lines.append(number)
    if not header:
        hint = "The first line names the columns, as in: time,cpu,memory"
        raise InvalidData(f"'{name}' has no header.", hint=hint, place=place)
    columns: dict[str, list[str | None]] = {}
    for index, column in enumerate(header):
        if column not in columns:
            columns[column] = [row[index] or None if index < len(row) else None for row in rows]
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return TextRows(frame, dropped, tuple(bad), tuple(lines))


def lines_of(data: bytes, text: TextRows, rows: Sequence[int]) -> dict[int, int]:
    """The lines (from 1) of some rows (from 0), each the row's last where it spans several."""
    if text.lines is not None:
        return {row: text.lines[row] for row in rows}
    missing = set(rows)
    found: dict[int, int] = {}
    if not missing:
        return found
    # io.TextIOWrapper decodes piece by piece: a bad row near the start costs little.
    stream = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", errors="replace", newline="")
    reader = csv.reader(stream)
    row = -2
    try:
        for cells in reader:
            # polars skips empty lines before the header, and makes rows of those after it.
            row += 1 if cells or row >= -1 else 0
            if row in missing:
                found[row] = reader.line_num
                missing.discard(row)
            if not missing:
                break
    except csv.Error:
        pass  # a cell of more than 128 KiB: its line stays unknown
    return found
