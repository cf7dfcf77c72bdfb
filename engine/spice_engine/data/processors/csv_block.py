"""A block of CSV rows to a table: typed by polars, else as text, else line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spice_engine.data.columns import table_of
from spice_engine.data.processors.csv_lines import Header, parse_lines
from spice_engine.data.selection import Selection
from spice_engine.data.table import Table, joined

_BY_LINE_BYTES = 64 << 10
_POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


def parse_block(block: bytes, header: Header, selection: Selection, line: int) -> Table:
    """Whole rows; `line` is the first one's. A broken line loses itself only."""
    texts = {one.selector for one in (*selection.categories, *selection.identifiers)}
    texts.update(selection.tags)
    types: dict[str, type[pl.DataType]] = {
        one.selector: pl.Float64 for one in selection.measurements
    }
    if not selection.time_format:
        types[selection.time_selector] = pl.Int64
    typed = {name: kind for name, kind in types.items() if name not in texts}
    frame = _read(block, header, typed)
    if frame is None or not _full(frame, selection.time_selector):
        frame = _read(block, header, {})
    if frame is not None:
        return table_of(
            frame,
            selection,
            blank=partial(_blank, block, header),
            lines=partial(_lines, block, line, frame.height),
        )
    if len(block) <= _BY_LINE_BYTES or (middle := block.rfind(b"\n", 0, len(block) // 2) + 1) == 0:
        return parse_lines(block, header, selection, line)
    first, second = block[:middle], block[middle:]
    after = line + first.count(b"\n")
    halves = [(first, line), (second, after)]
    return joined([parse_block(half, header, selection, start) for half, start in halves])


def _full(frame: pl.DataFrame, time_selector: str) -> bool:
    return not frame[time_selector].has_nulls()


def _read(
    block: bytes, header: Header, types: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame | None:
    """The wanted columns, as text where no type is given; None where polars cannot read them."""
    # Our own header line: of several columns with one name only the first is wanted.
    names = ",".join(map(str, range(header.width))).encode()
    kinds = {
        str(header.wanted[name]): kind for name, kind in types.items() if name in header.wanted
    }
    indices = sorted(set(header.wanted.values()))
    try:
        frame = pl.read_csv(
            b"\n".join((names, block)),
            columns=[str(index) for index in indices],
            schema_overrides=kinds,
            infer_schema=False,
        )
    except _POLARS_ERRORS:
        return None
    return frame.select(pl.col(str(index)).alias(name) for name, index in header.wanted.items())


def _blank(block: bytes, header: Header) -> NDArray[np.bool_]:
    """Rows with nothing in any cell: no datum, and no mistake."""
    whole = _read(block, Header(header.width, {str(i): i for i in range(header.width)}), {})
    assert whole is not None  # the wanted columns could be read, and all others are text
    return whole.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()


def _lines(block: bytes, line: int, height: int, rows: Sequence[int]) -> list[int]:
    """The lines of some rows (from 0), each the row's last where it spans several."""
    ends = block.count(b"\n") + (not block.endswith(b"\n"))
    if b'"' not in block and ends == height:
        return [line + row for row in rows]
    missing = set(rows)
    found: dict[int, int] = {}
    # io.TextIOWrapper decodes piece by piece: a bad row near the start costs little.
    stream = io.TextIOWrapper(io.BytesIO(block), "utf-8", errors="replace", newline="")
    reader = csv.reader(stream)
    try:
        for row, _ in enumerate(reader):
            if row in missing:
                found[row] = line + reader.line_num - 1
                missing.discard(row)
            if not missing:
                break
    except csv.Error:
        pass  # a cell of more than 128 KiB: its line stays unknown
    return [found.get(row, 0) for row in rows]
