"""The `csv` processor: text with a header row to a table, by polars.

Rows whose time cannot be read, or that have more cells than the header, are counted and kept out.
Cells that are no finite number are missing data, and counted. Runs in the loader's process only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spice_engine.data.processors.csv_text import TextRows, lines_of, read
from spice_engine.data.table import MAX_EXAMPLES, BadRow, Column, Table
from spice_engine.errors import InvalidData, InvalidRequest, Place
from spice_engine.units import MAX_TIME, MIN_TIME, TIME_FORMATS, parse_time

MAX_VALUE = 1e150
"""Numbers beyond it count as infinite: their squares would be."""
_NO_OFFSET = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?$"


def parse(
    data: bytes,
    columns: Sequence[Column],
    *,
    name: str,
    time_selector: str = "time",
    time_format: str = "",
    place: Place | None = None,
) -> Table:
    """The rows of a CSV text.

    `name` is the file's, for messages; `place` where the manifest asks for it. Times are decimal
    or `0x` unix seconds or RFC 3339 without `time_format`, else that form only.

    Raises InvalidData where there is no header, the time column or a measurement's column is
    missing, or the format is not known.
    """
    time_format = time_format.lower()
    if time_format and time_format not in TIME_FORMATS:
        raise InvalidData(
            f"The time format '{time_format}' is not supported in this version.",
            hint=f"Use one of {', '.join(TIME_FORMATS)}, or none.",
            place=place,
        )
    text = read(data, name, place)
    _require(text, time_selector, name, place, "the time")
    for column in columns:
        what = f"the measurement '{column.name}'"
        _require(text, column.selector, name, column.place or place, what)
    # A line with nothing on it comes as a row of nulls; it is no datum and no mistake.
    blank = text.frame.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
    clock = text.frame[time_selector].str.strip_chars()
    times, timed = _times(clock, time_format)
    bad_times = ~timed & ~blank
    trouble = _bad_times(bad_times, clock)
    values: dict[str, NDArray[np.float64]] = {}
    bad_cells: dict[str, int] = {}
    for column in columns:
        cells = text.frame[column.selector].str.strip_chars()
        numbers, wrong = _numbers(cells)
        wrong &= timed
        values[column.name] = numbers[timed]
        if wrong.any():
            bad_cells[column.name] = int(wrong.sum())
            trouble += _first(wrong, cells, "is no finite number")
    lines = lines_of(data, text, [row for row, _ in trouble])
    examples = [*text.examples, *(BadRow(lines.get(row, 0), reason) for row, reason in trouble)]
    return Table(
        times=times[timed],
        values=values,
        bad_rows=int(bad_times.sum()) + text.dropped,
        bad_cells=bad_cells,
        examples=tuple(sorted(examples, key=lambda example: example.line)[:MAX_EXAMPLES]),
    )


def _bad_times(rows: NDArray[np.bool_], clock: pl.Series) -> list[tuple[int, str]]:
    """Examples of rows whose time could not be read, and what is probably wrong with them."""
    # Today in milliseconds has 13 digits; in seconds that is the year 55,000.
    digits = clock.str.contains(r"^\d{13}$").fill_null(False).to_numpy()
    local = clock.str.contains(_NO_OFFSET).fill_null(False).to_numpy()
    return [
        *_first(rows & ~digits & ~local, clock, "is not a time"),
        *_first(rows & digits, clock, "looks like milliseconds: seconds are expected"),
        *_first(rows & local, clock, "is a time without an offset: put Z behind it for UTC"),
    ]


def _require(text: TextRows, header: str, name: str, place: Place | None, what: str) -> None:
    if header in text.frame.columns:
        return
    columns = ", ".join(f"'{column}'" for column in text.frame.columns[:20])
    hint = "Set the measurement's selector to one of them."
    if what == "the time":
        hint = "Set time_selector under the processor's params."
    if text.frame.width == 1 and any(mark in text.frame.columns[0] for mark in ";\t|"):
        hint = "Cells are separated by commas."
    raise InvalidData(
        f"'{name}' has no column '{header}' for {what}. Its columns are {columns}.",
        hint=hint,
        place=place,
    )


def _first(rows: NDArray[np.bool_], cells: pl.Series, what: str) -> list[tuple[int, str]]:
    """The first few marked rows, and what is wrong with their cells."""
    found = np.flatnonzero(rows)[:MAX_EXAMPLES].tolist()
    return [(row, f"'{(cells[row] or '')[:40]}' {what}") for row in found]


def _numbers(cells: pl.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers with NaN where there is none, and where a cell held something else."""
    numbers: NDArray[np.float64] = (
        cells.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy().copy()
    )
    finite = np.abs(numbers) <= MAX_VALUE  # false for NaN
    numbers[~finite] = np.nan
    filled: NDArray[np.bool_] = (cells.is_not_null() & (cells != "")).fill_null(False).to_numpy()
    return numbers, filled & ~finite


def _times(cells: pl.Series, time_format: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Unix seconds (0 where there are none), and where a cell could be read."""
    seconds: pl.Series
    if time_format in ("", "rfc3339", "iso8601"):
        seconds = cells.cast(pl.Int64, strict=False) if not time_format else _nulls(len(cells))
        if seconds.null_count():
            moments = cells.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
            # Floor division, so that half a second before 1970 is in the second before.
            seconds = seconds.fill_null(moments.dt.timestamp("us") // 1_000_000)
    else:
        seconds = _nulls(len(cells))
    if seconds.null_count():
        seconds = _fill_one_by_one(seconds, cells, time_format)
    known = seconds.is_between(MIN_TIME, MAX_TIME).fill_null(False).to_numpy()
    times: NDArray[np.int64] = seconds.fill_null(0).to_numpy().astype(np.int64)
    return times, known.astype(bool)


def _nulls(length: int) -> pl.Series:
    return pl.Series([None], dtype=pl.Int64).new_from_index(0, length)


def _fill_one_by_one(seconds: pl.Series, cells: pl.Series, time_format: str) -> pl.Series:
    """What polars could not read, by `parse_time`: rare forms, and rubbish."""
    result: list[Any] = seconds.to_list()
    for row in np.flatnonzero(seconds.is_null().to_numpy()).tolist():
        cell = cells[row]
        if cell:
            try:
                result[row] = parse_time(cell, time_format)
            except InvalidRequest:
                continue
    return pl.Series(result, dtype=pl.Int64)
