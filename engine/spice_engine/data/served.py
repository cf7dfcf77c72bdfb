"""A pod's observations as they are served: its raw rows, as CSV or JSON.

Rows are in the order of their times. Several rows of one dataspace may share a time; rows of
different dataspaces at one time are one row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from spice_engine.data.pod_tables import DataspaceTables, grid_of
from spice_engine.data.table import Labels, Table, joined
from spice_engine.data.time_columns import time_columns
from spice_engine.errors import StorageError

_ROWS_AT_A_TIME = 20_000
_SAFE_INTEGER = 1e15


@dataclass(slots=True)
class Sheet:
    """All rows: `times` [N] and the columns by the names that are served."""

    times: NDArray[np.int64]
    identifiers: dict[str, Labels] = field(default_factory=dict[str, Labels])
    measurements: dict[str, NDArray[np.float64]] = field(
        default_factory=dict[str, "NDArray[np.float64]"]
    )
    categories: dict[str, Labels] = field(default_factory=dict[str, Labels])
    one_hots: dict[str, tuple[str, str]] = field(default_factory=dict[str, "tuple[str, str]"])
    """Of each one-hot column: its category and value."""
    tags: list[Labels] = field(default_factory=list[Labels])

    def __len__(self) -> int:
        return len(self.times)

    def tag_rows(self, first: int, last: int) -> list[list[str]]:
        """The tags of some rows, of all dataspaces together."""
        columns = [Labels(one.codes[first:last], one.values).cells() for one in self.tags]
        rows: list[list[str]] = []
        for row in range(min(last, len(self)) - first):
            cells = [column[row] or () for column in columns]
            rows.append(list(dict.fromkeys(tag for cell in cells for tag in cell)))
        return rows


def write_observations(
    params: Mapping[str, Any], spaces: Iterable[DataspaceTables]
) -> dict[str, Any]:
    """Writes the rows within the pod's period to the file `out`.

    `params` are the loader's with `format` (`csv` or `json`), `start` and `end` (unix seconds,
    `end` not included, or None), `limit` (how many of the newest rows, or None; with
    `offset` of those from that one on, in order of time) and `out`.

    Returns `rows` and `path`. Raises StorageError where the file cannot be written.
    """
    sheet = sheet_of(params, list(spaces))
    path = Path(params["out"])
    try:
        with path.open("wb") as out:
            if params["format"] == "json":
                _write_json(sheet, out)
            else:
                _write_csv(sheet, params["time_categories"], out)
    except OSError as error:
        raise StorageError(
            f"observations cannot be written to {path}: {error.strerror}.",
            hint="Free some space, or check that the folder can be written.",
        ) from error
    return {"rows": len(sheet), "path": str(path)}


def sheet_of(params: Mapping[str, Any], spaces: Sequence[DataspaceTables]) -> Sheet:
    """The rows that `params` ask for, see `write_observations`, of all dataspaces together."""
    grid = grid_of(params)
    start, end, limit = params["start"], params["end"], params["limit"]
    offset: int | None = params.get("offset")
    first = grid.epoch if start is None else max(grid.epoch, start)
    last = grid.end if end is None else min(grid.end, end - 1)
    tables = [_in_order(joined(space.tables), first, last) for space in spaces]
    turns = [_turns(table.times) for table in tables]
    # The n-th row of one dataspace at a time goes with the n-th of every other.
    bits = max((int(turn.max()).bit_length() for turn in turns if turn.size), default=0)
    keys = [(table.times << bits) | turn for table, turn in zip(tables, turns, strict=True)]
    every = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *keys]))
    if offset is not None:
        every = every[offset : len(every) if limit is None else offset + limit]
    elif limit is not None:
        every = every[max(len(every) - limit, 0) :]
    sheet = Sheet(every >> bits)
    for space, table, own in zip(spaces, tables, keys, strict=True):
        kept = np.zeros(len(own), dtype=np.bool_)
        if len(every):
            kept = (own >= every[0]) & (own <= every[-1])
        _add(sheet, space, table.where(kept), np.searchsorted(every, own[kept]))
    return sheet


def _in_order(table: Table, first: int, last: int) -> Table:
    inside = np.flatnonzero((table.times >= first) & (table.times <= last))
    return table.where(inside[np.argsort(table.times[inside], kind="stable")])


def _turns(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row (by time) how many rows before it share its time."""
    if not len(times):
        return times
    rows = np.arange(len(times))
    new = np.append(True, times[1:] != times[:-1])
    return rows - np.maximum.accumulate(np.where(new, rows, 0))


def _add(sheet: Sheet, space: DataspaceTables, table: Table, rows: NDArray[np.int64]) -> None:
    spec, prefix = space.spec, space.prefix

    def spread(labels: Labels | None) -> Labels:
        codes = np.full(len(sheet), -1, dtype=np.int32)
        if labels is not None:
            codes[rows] = labels.codes
        return Labels(codes, labels.values if labels is not None else ())

    for one in spec["measurements"]:
        column = np.full(len(sheet), np.nan)
        if one["name"] in table.values:
            column[rows] = table.values[one["name"]]
        sheet.measurements[f"{prefix}.{one['name']}"] = column
    for one in spec["identifiers"]:
        sheet.identifiers[f"{prefix}.{one['name']}"] = spread(table.identifiers.get(one["name"]))
    for one in spec["categories"]:
        name = f"{prefix}.{one['name']}"
        sheet.categories[name] = spread(table.categories.get(one["name"]))
        for header, value in zip(one["fields"], one["values"], strict=True):
            sheet.one_hots[header] = (name, value)
    if table.tags is not None:
        sheet.tags.append(spread(table.tags))


def _write_csv(sheet: Sheet, time_categories: Sequence[str], out: BinaryIO) -> None:
    headers = True
    for first in range(0, max(len(sheet), 1), _ROWS_AT_A_TIME):
        part = slice(first, first + _ROWS_AT_A_TIME)
        times = sheet.times[part]
        columns: dict[str, pl.Series] = {"time": pl.Series(times)}
        clock = time_columns(time_categories, times)
        for name in sorted(clock):
            columns[name] = pl.Series(clock[name].astype(np.int8))
        for name in sorted(sheet.identifiers):
            labels = sheet.identifiers[name]
            cells = Labels(labels.codes[part], labels.values).cells()
            columns[name] = pl.Series(cells, dtype=pl.String)
        for name in sorted(sheet.measurements):
            numbers = pl.Series(sheet.measurements[name][part]).fill_nan(None)
            columns[name] = numbers.cast(pl.String).str.strip_suffix(".0")
        for name in sorted(sheet.one_hots):
            category, value = sheet.one_hots[name]
            labels = sheet.categories[category]
            hits = np.array([*(one == value for one in labels.values), False], dtype=np.int8)
            columns[name] = pl.Series(hits[labels.codes[part]])
        tags = [" ".join(row) or None for row in sheet.tag_rows(part.start, part.stop)]
        columns["tags"] = pl.Series(tags, dtype=pl.String)
        pl.DataFrame(columns).write_csv(out, include_header=headers)
        headers = False


def _write_json(sheet: Sheet, out: BinaryIO) -> None:
    out.write(b"[")
    for first in range(0, len(sheet), _ROWS_AT_A_TIME):
        rows = _items(sheet, first, min(first + _ROWS_AT_A_TIME, len(sheet)))
        out.write((b"," if first else b"") + orjson.dumps(rows)[1:-1])
    out.write(b"]")


def _items(sheet: Sheet, first: int, last: int) -> list[dict[str, Any]]:
    """Some rows; groups without a datum are left out, and so are their members."""
    items: list[dict[str, Any]] = [{"time": time} for time in sheet.times[first:last].tolist()]
    for group, columns in (
        ("identifiers", sheet.identifiers),
        ("measurements", sheet.measurements),
        ("categories", sheet.categories),
    ):
        for name in sorted(columns):
            column = columns[name]
            if isinstance(column, Labels):
                cells = Labels(column.codes[first:last], column.values).cells()
            else:
                cells = [number(value) for value in column[first:last].tolist()]
            for item, cell in zip(items, cells, strict=True):
                if cell is not None:
                    item.setdefault(group, {})[name] = cell
    for item, tags in zip(items, sheet.tag_rows(first, last), strict=True):
        if tags:
            item["tags"] = tags
    return items


def number(value: float) -> float | int | None:
    """A whole number without its `.0`; None where there is none."""
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() and abs(value) < _SAFE_INTEGER else value
