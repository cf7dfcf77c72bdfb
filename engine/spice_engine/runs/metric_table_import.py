"""The points of a table become those of runs that came from elsewhere, known by their origins."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.run_archives import ImportedRunMetrics
from spice_engine.runs.run_rows import LARGEST_NUMBER, ORIGIN, origin_of
from spice_engine.runs.service import Runs
from spice_engine.runs.tracking_views import owner_of
from spice_engine.store import series_figures, tracking
from spice_engine.store.metrics import Row
from spice_runtime import run_metrics

AT_ONCE = 10_000
"""Points in one transaction, for others write meanwhile."""


async def take(runs: Runs, lines: Path) -> ImportedRunMetrics:
    """Take the points of a file of rows in, see `table_reading`. All are looked at before the first
    is taken; points that are here already stay, once.

    Raises:
        InvalidRequest: a row is no point; nothing was taken.
        StorageError: the disk is full; what came before stays.
    """
    counts = await asyncio.to_thread(_check, lines)
    origins = {origin for origin, _ in counts}
    own, there = await runs.database.read(lambda found: _find(found, origins))
    longer: dict[str, set[str]] = {}
    for (origin, name), count in counts.items():
        if count > 1 and origin in there:
            longer.setdefault(origin, set()).add(name)
    for origin, names in longer.items():
        # One last value is all that a table of runs told of a series.
        owner = owner_of(there[origin])
        figures = await runs.metrics.read(lambda found, o=owner: series_figures.figures(found, o))
        if short := {one.name for one in figures if one.points == 1} & names:
            await runs.metrics.remove_series(owner, short)
    points = 0
    batches = _batches(lines, there)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        number, rows = batch
        await runs.metrics.take(owner_of(number), rows)
        points += len(rows)
    missing = len(origins) - len(own) - len(there)
    return ImportedRunMetrics(len(there), points, len(own), missing)


def _check(lines: Path) -> Counter[tuple[str, str]]:
    """How many points each series has."""
    return Counter((origin, row[0]) for origin, row in _rows(lines))


def _find(
    connection: sqlite3.Connection, origins: Collection[str]
) -> tuple[set[str], dict[str, int]]:
    """Which runs are this engine's own, and the numbers of those that came from elsewhere."""
    numbers = {one: tracking.find(connection, one) for one in origins}
    there = {one: number for one, number in numbers.items() if number is not None}
    rows = connection.execute("SELECT id, created FROM runs")
    own = {origin_of(number, created) for number, created in rows} & set(origins)
    return own - there.keys(), there


def _batches(lines: Path, there: dict[str, int]) -> Iterator[tuple[int, list[Row]]]:
    """Points of one run each time, as they stand."""
    batch: list[Row] = []
    of = ""
    for origin, row in _rows(lines):
        if batch and (origin != of or len(batch) == AT_ONCE):
            yield there[of], batch
            batch = []
        if origin in there:
            of = origin
            batch.append(row)
    if batch:
        yield there[of], batch


def _rows(lines: Path) -> Iterator[tuple[str, Row]]:
    with lines.open("rb") as rows:
        for line in rows:
            place, cells = json.loads(line)
            yield _point(place, cells)


def _point(place: str, cells: dict[str, Any]) -> tuple[str, Row]:
    """A row: what its run is known by, and name, value, index and time of the point."""

    def wrong(column: str, what: str) -> InvalidRequest:
        cell = str(cells.get(column, ""))[:40]
        return InvalidRequest(
            f"{place}: {column}: {cell!r} is {what}.",
            hint="`spice-tui export metrics FILE` writes such a table.",
        )

    def number(column: str) -> float:
        cell = cells.get(column)
        try:
            if isinstance(cell, str | int | float) and not isinstance(cell, bool):
                return float(cell)
        except (ValueError, OverflowError):
            pass
        raise wrong(column, "no number")

    origin, name = cells.get("origin"), cells.get("metric_name")
    if not isinstance(origin, str) or not ORIGIN.fullmatch(origin):
        raise wrong("origin", "not 32 hexadecimal digits")
    if not isinstance(name, str) or not 0 < len(name) <= run_metrics.LONGEST_NAME or "\0" in name:
        raise wrong("metric_name", "of no metric's name")
    index, time = number("index"), number("timestamp")
    if not (index.is_integer() and abs(index) <= run_metrics.LARGEST_INDEX):
        raise wrong("index", "no index")
    if not (math.isfinite(time) and abs(time) < LARGEST_NUMBER):
        raise wrong("timestamp", "no time in Unix seconds")
    text = cells.get("text")
    if text is None or text == "":
        # A text that is empty: the cell of its number is, too.
        value = cells.get("value")
        empty = value is None or value == ""
        return origin, (name, "" if empty else number("value"), int(index), time)
    if not isinstance(text, str) or "\0" in text:
        raise wrong("text", "no text")
    return origin, (name, text, int(index), time)
