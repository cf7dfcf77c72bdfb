"""Columns of Python cells to a table: for JSON, SQL rows and small payloads.

`spice_engine.data.columns` does the same for polars; both read every cell alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from spice_engine.data.selection import Selection
from spice_engine.data.table import MAX_EXAMPLES, MAX_VALUE, BadRow, Labels, Table
from spice_engine.data.time_formats import TimeReader, time_reader, why_no_time
from spice_engine.errors import InvalidData, InvalidRequest
from spice_engine.units import MAX_TIME, MIN_TIME

_HEXADECIMAL = re.compile(r"[+-]?0[xX][0-9a-fA-F]{1,16}")
Trouble = list[tuple[int, str]]


def table_of(
    columns: Mapping[str, Sequence[Any]],
    selection: Selection,
    lines: Sequence[int],
    *,
    split_tags: bool = True,
    dropped: int = 0,
    dropped_examples: Sequence[BadRow] = (),
) -> Table:
    """The rows of some columns of equal length, by header; absent ones are missing.

    Cells are None, text, numbers, or lists of text (tags); text may also be a `0x` number.
    `lines` are where the rows stand in the payload. Without `split_tags` a text is one tag.
    `dropped` rows were lost before this.

    Raises InvalidData where the time format is not known.
    """
    count = len(lines)
    nothing: Sequence[Any] = [None] * count
    clock = columns.get(selection.time_selector, nothing)
    times, timed, trouble = _times(clock, reader_of(selection))
    values: dict[str, NDArray[np.float64]] = {}
    bad_cells: dict[str, int] = {}
    keep = None if len(timed) == count else timed
    for column in selection.measurements:
        numbers, wrong = _numbers(columns.get(column.selector, nothing))
        if wrong and keep is not None:
            known = set(timed.tolist())
            wrong = [one for one in wrong if one[0] in known]
        if wrong:
            bad_cells[column.name] = len(wrong)
            trouble += wrong[:MAX_EXAMPLES]
        values[column.name] = numbers if keep is None else numbers[keep]
    examples = [*dropped_examples, *(BadRow(lines[row], reason) for row, reason in trouble)]
    examples.sort(key=lambda one: one.line)
    return Table(
        times=times,
        values=values,
        bad_rows=count - len(timed) + dropped,
        bad_cells=bad_cells,
        examples=tuple(examples[:MAX_EXAMPLES]),
        categories={
            one.name: _texts(columns.get(one.selector, nothing), keep)
            for one in selection.categories
        },
        identifiers={
            one.name: _texts(columns.get(one.selector, nothing), keep)
            for one in selection.identifiers
        },
        tags=_tags(columns, selection.tags, count, keep, split_tags=split_tags),
    )


def reader_of(selection: Selection) -> TimeReader:
    """How the selection's times are read.

    Raises InvalidData where the format is not known.
    """
    try:
        return time_reader(selection.time_format)
    except InvalidRequest as error:
        raise InvalidData(error.message, hint=error.hint, place=selection.time_place) from error


def label(cell: Any) -> str | None:
    """The text of a category or identifier; None where there is none."""
    if isinstance(cell, str):
        text = cell.strip()
        # A lone surrogate, which JSON can hold, could be written nowhere.
        return (text if text.isascii() else text.encode("utf-8", "replace").decode()) or None
    if cell is None or isinstance(cell, list | dict | bytes):
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return str(cell)


def _times(
    cells: Sequence[Any], reader: TimeReader
) -> tuple[NDArray[np.int64], NDArray[np.int64], Trouble]:
    """Unix seconds, the rows they are of, and examples of the rows that have none."""
    seconds: list[int] = []
    rows: list[int] = []
    trouble: Trouble = []
    plain = reader("10") == 10  # not 16, nor nothing
    known: dict[str, int | None] = {}
    for row, cell in enumerate(cells):
        found: int | None = None
        if isinstance(cell, str):
            if plain and cell.isdecimal() and cell.isascii() and len(cell) <= 18:
                found = int(cell)
            else:
                found = known[cell] if cell in known else reader(cell)
                if len(known) < 10_000:
                    known[cell] = found
        elif isinstance(cell, int) and not isinstance(cell, bool):
            found = cell
        elif isinstance(cell, float) and math.isfinite(cell):
            found = math.floor(cell)
        if found is not None and MIN_TIME <= found <= MAX_TIME:
            seconds.append(found)
            rows.append(row)
        elif len(trouble) < MAX_EXAMPLES:
            trouble.append((row, why_no_time("" if cell is None else str(cell))))
    return np.array(seconds, dtype=np.int64), np.array(rows, dtype=np.int64), trouble


def _numbers(cells: Sequence[Any]) -> tuple[NDArray[np.float64], Trouble]:
    """Numbers with NaN where there is none, and where a cell held something else."""
    numbers = [math.nan] * len(cells)
    wrong: Trouble = []
    for row, cell in enumerate(cells):
        if cell is None or cell == "":
            continue
        number = number_of(cell)
        if -MAX_VALUE <= number <= MAX_VALUE:
            numbers[row] = number
        elif not (isinstance(cell, str) and not cell.strip()):
            wrong.append((row, why_no_number(cell)))
    return np.array(numbers, dtype=np.float64), wrong


def why_no_number(cell: Any) -> str:
    """What is wrong with a cell that counts as no finite number."""
    large = MAX_VALUE < abs(number_of(cell)) < math.inf
    beyond = f" is beyond {MAX_VALUE:g} and counts as" if large else " is"
    return f"'{str(cell).strip()[:40]}'{beyond} no finite number"


def number_of(cell: Any) -> float:
    """The number a cell holds, NaN where it holds none."""
    try:
        if isinstance(cell, str):
            if "_" in cell or not cell.isascii():  # which float() takes
                return math.nan
            return float(cell)
        if isinstance(cell, bool):
            return math.nan
        return float(cell)
    except ValueError:
        text = cast("str", cell).strip()
        return float(int(text, 16)) if _HEXADECIMAL.fullmatch(text) else math.nan
    except (OverflowError, TypeError):
        return math.nan


def _texts(cells: Sequence[Any], keep: NDArray[np.int64] | None) -> Labels:
    column = Labels.of(map(label, cells))
    return column if keep is None else column.where(keep)


def _tags(
    columns: Mapping[str, Sequence[Any]],
    selectors: Sequence[str],
    count: int,
    keep: NDArray[np.int64] | None,
    *,
    split_tags: bool,
) -> Labels | None:
    if not selectors:
        return None
    sources = [columns[selector] for selector in selectors if selector in columns]
    rows = [
        tuple(dict.fromkeys(tag for source in sources for tag in tags_of(source[row], split_tags)))
        for row in range(count)
    ]
    column = Labels.of(rows)
    return column if keep is None else column.where(keep)


def tags_of(cell: Any, split: bool) -> list[str]:
    if isinstance(cell, list):
        found = [label(one) for one in cast("list[Any]", cell)]
        return [tag for tag in found if tag]
    text = label(cell)
    if not text:
        return []
    return text.split() if split else [text]
