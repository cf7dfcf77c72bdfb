"""A pod's raw rows as a grid: typed columns, what is missing or bad in each, and where gaps are."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.data.connectors.file import opened, resolve
from spice_engine.data.feeds import ENGINE_CONNECTORS, FeedTable
from spice_engine.data.pod_tables import DataspaceTables, grid_of
from spice_engine.data.served import Sheet, number, sheet_of
from spice_engine.data.table import Labels, Table
from spice_engine.errors import InvalidData
from spice_engine.records import record

MOST_CELLS = 100_000
"""Cells of one answer, which must fit into a frame."""

MOST_TEXT = 500
"""Characters of a cell or of a bad line."""

MOST_BAD = 100


@record
class _Rows:
    """All rows of a pod within its period, what can be said of them, and what was left out."""

    sheet: Sheet
    columns: list[dict[str, Any]]
    bad: list[dict[str, Any]]
    bad_rows: int


_last: list[tuple[str, _Rows]] = []
"""The rows that were asked for last: whoever scrolls asks for the next of them soon."""


def grid(params: Mapping[str, Any], read: Callable[[], list[DataspaceTables]]) -> dict[str, Any]:
    """Rows `offset`.. of all, at most `limit`, as `spice_engine.protocol.views.Grid` says.

    `params` are the loader's with `offset` and `limit`; `read` reads the pod's tables.
    """
    key = _key(params)
    if not key or not _last or _last[0][0] != key:
        _last.clear()
        _last.append((key, _rows(params, read())))
    rows = _last[0][1]
    sheet = rows.sheet
    offset = max(0, min(params["offset"], len(sheet)))
    limit = max(0, min(params["limit"], MOST_CELLS // len(rows.columns)))
    part = slice(offset, min(offset + limit, len(sheet)))
    return {
        "offset": offset,
        "rows": len(sheet),
        "columns": rows.columns,
        "cells": _cells(sheet, part),
        "gaps": _gaps(sheet.times, part, params["granularity"]),
        "bad": rows.bad,
        "bad_rows": rows.bad_rows,
    }


def _rows(params: Mapping[str, Any], spaces: list[DataspaceTables]) -> _Rows:
    every = {**params, "start": None, "end": None, "limit": None, "offset": None}
    sheet = sheet_of(every, spaces)
    bad_rows = sum(table.bad_rows for space in spaces for table in space.tables)
    return _Rows(sheet, _columns(sheet, spaces), _bad(params, spaces), bad_rows)


def _key(params: Mapping[str, Any]) -> str:
    """What tells these rows from others; empty where only reading them can tell."""
    stamps: list[Any] = []
    for spec in params["dataspaces"]:
        for feed in (spec["seed"], spec["data"]):
            connector = feed["connector"] if feed else None
            if connector is None or connector["name"] in ENGINE_CONNECTORS:
                continue
            if connector["name"] != "file":
                return ""
            try:
                path = resolve(Path(params["app_folder"]), connector["params"].get("path", ""))
                status = path.stat()
            except (OSError, InvalidData):  # reading tells what is wrong
                return ""
            stamps.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
    said = [str(grid_of(params)), params["dataspaces"], params["observations"], stamps]
    return json.dumps(said, sort_keys=True, default=str)


def _columns(sheet: Sheet, spaces: Sequence[DataspaceTables]) -> list[dict[str, Any]]:
    """Time, measurements, categories, identifiers, tags: in the order of the cells."""
    bad: dict[str, int] = {}
    paths: dict[str, str] = {}
    for space in spaces:
        for kind in ("measurements", "categories", "identifiers"):
            for one in space.spec[kind]:
                paths[f"{space.prefix}.{one['name']}"] = space.path
        for table in space.tables:
            for name, count in table.bad_cells.items():
                full = f"{space.prefix}.{name}"
                bad[full] = bad.get(full, 0) + count
    ends = [float(sheet.times[i]) for i in (0, -1)] if len(sheet) else [None, None]
    found = [_column("time", "time", least=ends[0], greatest=ends[1])]
    for name, values in sheet.measurements.items():
        known = values[~np.isnan(values)]
        found.append(
            _column(
                name,
                "number",
                paths[name],
                missing=len(values) - len(known),
                bad=bad.get(name, 0),
                least=float(known.min()) if len(known) else None,
                greatest=float(known.max()) if len(known) else None,
            )
        )
    for kind, columns in (("category", sheet.categories), ("identifier", sheet.identifiers)):
        for name, labels in columns.items():
            missing = int((labels.codes < 0).sum())
            found.append(_column(name, kind, paths[name], missing=missing, bad=bad.get(name, 0)))
    if sheet.tags:
        tagged = np.any([labels.codes >= 0 for labels in sheet.tags], axis=0)
        found.append(_column("tags", "tag", missing=int((~tagged).sum())))
    return found


def _column(
    name: str,
    kind: str,
    dataspace: str = "",
    *,
    missing: int = 0,
    bad: int = 0,
    least: float | None = None,
    greatest: float | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "dataspace": dataspace,
        "missing": missing,
        "bad": bad,
        "least": least,
        "greatest": greatest,
    }


def _cells(sheet: Sheet, part: slice) -> list[list[Any]]:
    """The cells of some rows, row by row."""
    columns: list[list[Any]] = [sheet.times[part].tolist()]
    for values in sheet.measurements.values():
        columns.append([_plain(value) for value in values[part].tolist()])
    for labels in (*sheet.categories.values(), *sheet.identifiers.values()):
        texts = Labels(labels.codes[part], labels.values).cells()
        columns.append([None if text is None else str(text)[:MOST_TEXT] for text in texts])
    if sheet.tags:
        rows = sheet.tag_rows(part.start, part.stop)
        columns.append([" ".join(row)[:MOST_TEXT] or None for row in rows])
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(value: float) -> float | int | str | None:
    return str(value) if math.isinf(value) else number(value)


def _gaps(times: NDArray[np.int64], part: slice, granularity: int) -> list[int]:
    """Rows of the part before which more than one granularity has passed."""
    first = max(part.start, 1)
    if first >= part.stop:
        return []
    passed = times[first : part.stop] - times[first - 1 : part.stop - 1]
    return (np.flatnonzero(passed > granularity) + first).tolist()


def _bad(params: Mapping[str, Any], spaces: Sequence[DataspaceTables]) -> list[dict[str, Any]]:
    """Examples of what was left out, with the lines of files that they are in."""
    found: list[dict[str, Any]] = []
    for space in spaces:
        for feed in space.feeds:
            found += _examples(feed.name, feed.table, _lines(params, space.spec, feed))
        if space.accepted is not None:
            found += _examples("posted", space.accepted, {})
    return found[:MOST_BAD]


def _examples(source: str, table: Table, texts: Mapping[int, str]) -> list[dict[str, Any]]:
    only = next(iter(table.bad_cells)) if len(table.bad_cells) == 1 else ""
    return [
        {
            "source": source,
            "line": one.line,
            "column": only if one.reason.endswith("no finite number") else "",
            "text": texts.get(one.line, ""),
            "reason": one.reason,
        }
        for one in table.examples
    ]


def _lines(params: Mapping[str, Any], spec: Mapping[str, Any], feed: FeedTable) -> dict[int, str]:
    """The texts of the lines (from 1) that a feed's examples are in, if it is read from a file."""
    wanted = {one.line for one in feed.table.examples}
    connectors = [one["connector"] for one in (spec["seed"], spec["data"]) if one]
    files = [one["params"].get("path") for one in connectors if one and one["name"] == "file"]
    if not wanted or feed.name not in files:
        return {}
    try:
        with opened(Path(params["app_folder"]), feed.name) as source:
            lines = enumerate(itertools.islice(source.content, max(wanted)), 1)
            return {at: _text(line) for at, line in lines if at in wanted}
    except (OSError, InvalidData):  # it is gone since it was read
        return {}


def _text(line: bytes) -> str:
    return line[: 4 * MOST_TEXT].decode("utf-8", "replace").rstrip("\r\n")[:MOST_TEXT]
