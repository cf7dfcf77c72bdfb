"""Columns of a polars frame to a table: for large CSV, Arrow and Parquet.

Reads every cell as `spice_engine.data.cells` does. Runs in the loader's process only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spice_engine.data.cells import label, number_of, reader_of, tags_of, why_no_number
from spice_engine.data.selection import Selection
from spice_engine.data.table import MAX_EXAMPLES, MAX_VALUE, BadRow, Labels, Table
from spice_engine.data.time_formats import TimeReader, why_no_time
from spice_engine.units import MAX_TIME, MIN_TIME

_RFC3339 = ("", "rfc3339", "iso8601")
Marks = NDArray[np.bool_]


def table_of(
    frame: pl.DataFrame,
    selection: Selection,
    *,
    blank: Callable[[], Marks] | None = None,
    lines: Callable[[Sequence[int]], Sequence[int]] | None = None,
    split_tags: bool = True,
) -> Table:
    """The rows of a frame that has the time's column; other columns may lack.

    `blank` marks the rows that are passed over without a word, and is asked only where a time is
    missing. `lines` gives the lines of some rows (else their number from 1).

    Raises InvalidData where the time format is not known.
    """
    clock = frame[selection.time_selector]
    times, timed = _times(clock, selection.time_format, reader_of(selection))
    every = bool(timed.all())
    trouble: list[tuple[int, str]] = []
    bad_rows = 0
    if not every:
        bad = ~timed
        if blank is not None:
            bad &= ~blank()
        bad_rows = int(bad.sum())
        for row in np.flatnonzero(bad)[:MAX_EXAMPLES].tolist():
            cell = clock[row]
            trouble.append((row, why_no_time("" if cell is None else str(cell))))
    values: dict[str, NDArray[np.float64]] = {}
    bad_cells: dict[str, int] = {}
    for column in selection.measurements:
        if column.selector not in frame.columns:
            values[column.name] = np.full(int(timed.sum()), np.nan)
            continue
        cells = frame[column.selector]
        numbers, wrong = _numbers(cells)
        if wrong is not None and (wrong := wrong & timed).any():
            bad_cells[column.name] = int(wrong.sum())
            for row in np.flatnonzero(wrong)[:MAX_EXAMPLES].tolist():
                trouble.append((row, why_no_number(cells[row])))
        values[column.name] = numbers if every else numbers[timed]
    trouble.sort(key=lambda one: one[0])
    del trouble[MAX_EXAMPLES:]
    rows = [row for row, _ in trouble]
    places = lines(rows) if lines else [row + 1 for row in rows]
    return Table(
        times=times if every else times[timed],
        values=values,
        bad_rows=bad_rows,
        bad_cells=bad_cells,
        examples=tuple(BadRow(line, why) for line, (_, why) in zip(places, trouble, strict=True)),
        categories={
            one.name: _texts(frame, one.selector, timed, every) for one in selection.categories
        },
        identifiers={
            one.name: _texts(frame, one.selector, timed, every) for one in selection.identifiers
        },
        tags=_tags(frame, selection.tags, timed, split_tags) if selection.tags else None,
    )


def _numbers(cells: pl.Series) -> tuple[NDArray[np.float64], Marks | None]:
    """Numbers with NaN where there is none, and where a cell held something else, if any did."""
    text = cells.dtype == pl.String
    if text:
        cells = cells.str.strip_chars()
    elif not (cells.dtype.is_numeric() or cells.dtype == pl.Null):
        cells = pl.Series(cells.name, [None if one is None else str(one) for one in cells])
        return _numbers(cells.cast(pl.String))
    cast = cells.cast(pl.Float64, strict=False)
    numbers: NDArray[np.float64] = cast.to_numpy()  # nulls as NaN
    with np.errstate(invalid="ignore"):
        finite = np.abs(numbers) <= MAX_VALUE  # false for NaN
    if finite.all():
        return numbers, None
    filled = cells.is_not_null()
    if text:
        filled &= cells != ""
    wrong: Marks = filled.to_numpy() & ~finite
    numbers = np.where(finite, numbers, np.nan)
    if text and wrong.any():
        for row in np.flatnonzero(wrong).tolist():
            number = number_of(cells[row])
            if abs(number) <= MAX_VALUE:
                numbers[row] = number
                wrong[row] = False
    return numbers, wrong if wrong.any() else None


def _times(
    cells: pl.Series, time_format: str, reader: TimeReader
) -> tuple[NDArray[np.int64], Marks]:
    """Unix seconds (0 where there are none), and where a cell could be read."""
    dtype = cells.dtype
    if dtype == pl.String:
        seconds = _text_times(cells.str.strip_chars(), time_format.strip().lower(), reader)
    elif dtype.is_integer():
        seconds = cells.cast(pl.Int64, strict=False)
    elif dtype.is_float():
        seconds = cells.floor().cast(pl.Int64, strict=False)
    elif isinstance(dtype, pl.Datetime) or dtype == pl.Date:
        moments = cells.cast(pl.Datetime("us"), strict=False)
        # Floor division, so that half a second before 1970 is in the second before.
        seconds = moments.dt.timestamp("us") // 1_000_000
    else:
        seconds = _nothing(len(cells))
    known: Marks = seconds.is_between(MIN_TIME, MAX_TIME).fill_null(False).to_numpy()
    times: NDArray[np.int64] = seconds.fill_null(0).to_numpy()
    return times, known


def _text_times(cells: pl.Series, time_format: str, reader: TimeReader) -> pl.Series:
    seconds = _nothing(len(cells)) if time_format else cells.cast(pl.Int64, strict=False)
    if seconds.null_count() and time_format in _RFC3339:
        # Only what surely is RFC 3339: what else polars would take is left to the reader.
        shaped = cells.str.contains(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
        if shaped.any():
            moments = cells.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
            found = moments.dt.timestamp("us") // 1_000_000
            found = found.zip_with(shaped.fill_null(False), _nothing(len(cells)))
            seconds = seconds.fill_null(found)
    missing = seconds.is_null() & cells.is_not_null()
    if not missing.any():
        return seconds
    texts = cells.filter(missing)
    rows: list[str] = texts.to_list()
    read = {text: reader(text) for text in dict.fromkeys(rows)}
    answers = seconds.to_numpy(allow_copy=True).astype(np.float64)
    whole = seconds.fill_null(0).to_numpy().copy()
    known = ~np.isnan(answers)
    for row, text in zip(np.flatnonzero(missing.to_numpy()).tolist(), rows, strict=True):
        found_one = read[text]
        if found_one is not None:
            whole[row], known[row] = found_one, True
    result = pl.Series(cells.name, whole, dtype=pl.Int64)
    return result.zip_with(pl.Series(known), _nothing(len(cells)))


def _nothing(length: int) -> pl.Series:
    return pl.Series([None], dtype=pl.Int64).new_from_index(0, length)


def _texts(frame: pl.DataFrame, selector: str, timed: Marks, every: bool) -> Labels:
    if selector not in frame.columns:
        return Labels.missing(int(timed.sum()))
    cells = frame[selector] if every else frame[selector].filter(pl.Series(timed))
    column = labels_of(cells)
    return _renamed(column, [label(value) for value in column.values])


def labels_of(cells: pl.Series) -> Labels:
    """The distinct cells, in order of appearance, and the number of each row's."""
    distinct = cells.drop_nulls().unique(maintain_order=True)
    if not len(distinct):
        return Labels.missing(len(cells))
    codes = cells.replace_strict(
        distinct, pl.Series(range(len(distinct)), dtype=pl.Int32), default=-1
    )
    numbers: NDArray[np.int32] = codes.cast(pl.Int32).to_numpy()
    return Labels(numbers, tuple(distinct.to_list()))


def _renamed(column: Labels, values: Sequence[object]) -> Labels:
    """The column with other values; those that are now alike get one number."""
    numbers: dict[object, int] = {}
    own = [-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values]
    return Labels(np.array([*own, -1], dtype=np.int32)[column.codes], tuple(numbers))


def _tags(frame: pl.DataFrame, selectors: Sequence[str], timed: Marks, split: bool) -> Labels:
    """Tags are few and rows are many: each distinct combination of cells is read once."""
    kept = frame.filter(pl.Series(timed))
    present = [selector for selector in selectors if selector in frame.columns]
    columns = [tag_sets_of(kept[selector], split) for selector in present]
    if not columns:
        return Labels(np.zeros(len(kept), dtype=np.int32), ((),))
    result = columns[0]
    for other in columns[1:]:
        pairs, codes = np.unique(np.stack([result.codes, other.codes]), axis=1, return_inverse=True)
        sets = [
            tuple(dict.fromkeys(result.values[one] + other.values[two]))
            for one, two in pairs.T.tolist()
        ]
        result = _renamed(Labels(codes.reshape(-1).astype(np.int32), tuple(sets)), sets)
    return result


def tag_sets_of(cells: pl.Series, split: bool) -> Labels:
    if isinstance(cells.dtype, pl.List):
        rows = cells.to_list()
        return Labels.of(tuple(dict.fromkeys(tags_of(row, split))) for row in rows)
    column = labels_of(cells)
    sets = [tuple(dict.fromkeys(tags_of(value, split))) for value in (*column.values, None)]
    codes = np.where(column.codes < 0, len(column.values), column.codes).astype(np.int32)
    return _renamed(Labels(codes, tuple(sets)), sets)
