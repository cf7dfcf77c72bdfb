"""What a load has to tell about a pod's data: bad rows and cells, rows outside, nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spice_engine.data.feeds import FeedTable
from spice_engine.data.table import Table
from spice_engine.data.timeline import Grid, count_outside
from spice_engine.units import format_time


def problems_of(feed: FeedTable, grid: Grid, *, sliding: bool) -> list[dict[str, Any]]:
    """The problems of one feed, as plain data; `sliding` where the period goes with the clock."""
    path, table = feed.name, feed.table
    found: list[dict[str, Any]] = []
    first_bad = table.examples[0].line if table.examples else 0
    shown = "; ".join(f"line {e.line}: {e.reason}" for e in table.examples)
    if table.bad_rows:
        message = f"Rows of '{path}' that could not be read: {table.bad_rows}. {shown}."
        found.append(_problem("bad_rows", "warning", path, first_bad, message))
    if table.bad_cells:
        cells = ", ".join(f"{name} {count}" for name, count in sorted(table.bad_cells.items()))
        message = f"Cells of '{path}' that hold no finite number count as missing ({cells})"
        message += "." if table.bad_rows else f": {shown}."
        found.append(_problem("bad_cells", "warning", path, first_bad, message))
    outside = count_outside(table.times, grid)
    if outside:
        found.append(_outside(feed, outside, grid, sliding))
    elif not len(table):
        message = f"'{path}' holds no row that can be used."
        found.append(_problem("no_data", "error", path, 0, message))
    return found


def accepted_outside(
    spec: Mapping[str, Any], table: Table | None, grid: Grid, *, sliding: bool
) -> list[dict[str, Any]]:
    """The problem of rows that were posted, and lie outside of a fixed period.

    Out of a sliding one they fall by themselves, as the clock goes on.
    """
    if table is None or sliding or not (outside := count_outside(table.times, grid)):
        return []
    message = (
        f"Posted rows of '{spec['from']}/{spec['name']}' outside the pod's period: {outside} of "
        f"{len(table)}. They are kept and not used: the period is {format_time(grid.epoch)} to "
        f"{format_time(grid.end)}. To use them, enlarge params.period."
    )
    place = next((one["place"] for one in spec["measurements"] if one["place"]), None)
    problem = _problem("outside_period", "warning", "", 0, message)
    return [{**problem, "place": dict(place)} if place else problem]


def no_observation(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The problem of a pod that has nothing to learn from yet; `spec` is its first dataspace."""
    prefix = f"{spec['from']}/{spec['name']}"
    message = (
        "There is no observation within the pod's period yet. Post some to the pod's observations, "
        f"or to its dataspace {prefix}."
    )
    place = next((one["place"] for one in spec["measurements"] if one["place"]), None)
    problem = _problem("no_data", "warning", "", 0, message)
    return {**problem, "place": dict(place)} if place else problem


def _outside(feed: FeedTable, outside: int, grid: Grid, sliding: bool) -> dict[str, Any]:
    table = feed.table
    first, last = int(table.times.min()), int(table.times.max())
    every = outside == len(table)
    message = (
        f"Rows of '{feed.name}' outside the pod's period: {outside} of {len(table)}. The period "
        f"is {format_time(grid.epoch)} to {format_time(grid.end)}, the data go from "
        f"{format_time(first)} to {format_time(last)}."
    )
    if every or sliding:
        message += f" To start with the data, set params.epoch_time to {first}."
    code, severity = ("no_data", "error") if every else ("outside_period", "warning")
    return _problem(code, severity, feed.name, 0, message)


def _problem(code: str, severity: str, path: str, line: int, message: str) -> dict[str, Any]:
    place = {"file": path, "line": line, "column": 0, "end_line": line, "end_column": 0}
    return {"code": code, "severity": severity, "place": place, "message": message, "fix": None}
