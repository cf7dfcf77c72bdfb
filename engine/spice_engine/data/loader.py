"""The loader's process: reads and parses a pod's data, builds the state table, hands it over.

Started as `python -I -m spice_engine.data.loader`; the only place where polars is imported.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.data.connectors import file as file_connector
from spice_engine.data.processors import csv as csv_processor
from spice_engine.data.table import Column, Table
from spice_engine.data.timeline import Grid, Series, Timeline, build, count_outside
from spice_engine.errors import InvalidData, Place
from spice_engine.units import format_time
from spice_engine.workers.arrays import save

if TYPE_CHECKING:
    from spice_engine.workers.child import Report


def load(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `load`: all data of a pod to one state table in `out_folder`.

    `params`, as `spice_engine.pods.plan.loader_params` makes them: `app_folder`, `out_folder`,
    `epoch` (unix seconds or None), `period`, `granularity` (seconds), `now`, and `dataspaces`.

    Returns `values` [T, F] float64 and `times` [T] int64 as array references, with `fields`,
    `rows`, `complete_rows`, `training_rows`, `first_datum`, `last_time`, `start`, `granularity`,
    `dataspaces` (counts of each), `files` (path and SHA-256) and `problems`. A pod without any
    datum in its period gives a table without rows and a problem that says so. Reports
    `{"dataspace", "rows"}` after each dataspace.

    Raises InvalidData where a file cannot be read at all, or lacks a column.
    """
    now: float = params["now"]
    grid = Grid.of(params["epoch"], params["period"], params["granularity"], now)
    series: list[Series] = []
    counts: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    for spec in params["dataspaces"]:
        report.check()
        table, file = _read(Path(params["app_folder"]), spec)
        series += _series(spec, table)
        if table is None or file is None:
            continue
        files.append(file)
        outside = count_outside(table.times, grid)
        name = f"{spec['from']}/{spec['name']}"
        count = {
            "name": name,
            "rows": len(table.times),
            "bad_rows": table.bad_rows,
            "bad_cells": table.bad_cells,
            "outside_period": outside,
            "examples": [example.as_dict() for example in table.examples],
        }
        counts.append(count)
        problems += _problems(file["path"], table, outside, grid, params["epoch"] is None)
        report.report({"dataspace": name, "rows": len(table.times)})
    report.check()
    timeline = build(series, grid, now)
    out = Path(params["out_folder"])
    return {
        "values": save(out, timeline.values, name="values").as_dict(),
        "times": save(out, timeline.times, name="times").as_dict(),
        **_summary(timeline),
        "dataspaces": counts,
        "files": files,
        "problems": problems,
    }


def _summary(timeline: Timeline) -> dict[str, Any]:
    return {
        "fields": list(timeline.fields),
        "rows": len(timeline.times),
        "complete_rows": timeline.complete,
        "training_rows": timeline.training_rows,
        "first_datum": timeline.first_datum,
        "last_time": timeline.last_time,
        "start": timeline.grid.start,
        "granularity": timeline.grid.granularity,
    }


def _read(app_folder: Path, spec: dict[str, Any]) -> tuple[Table | None, dict[str, Any] | None]:
    """A dataspace's table and file; neither where it has no connector (local state)."""
    connector, processor = spec["connector"], spec["processor"]
    if connector is None:
        return None, None
    place = place_from(connector["place"])
    if connector["name"] != "file" or processor["name"] != "csv":
        raise InvalidData(
            f"Connector '{connector['name']}' with processor '{processor['name']}' is not "
            "supported in this version.",
            hint="Use the connector 'file' with the processor 'csv'.",
            place=place,
        )
    content = file_connector.read(app_folder, connector["path"], place)
    columns = [
        Column(one["name"], one["selector"], place_from(one["place"]))
        for one in spec["measurements"]
    ]
    table = csv_processor.parse(
        content.data,
        columns,
        name=connector["path"],
        time_selector=processor["time_selector"],
        time_format=processor["time_format"],
        place=place,
    )
    return table, {"path": connector["path"], "sha256": content.digest}


def _series(spec: dict[str, Any], table: Table | None) -> list[Series]:
    nothing = np.empty(0)
    return [
        Series(
            field=one["field"],
            times=table.times if table else np.empty(0, dtype=np.int64),
            values=table.values[one["name"]] if table else nothing,
            initializer=one["initializer"],
            fill=one["fill"],
        )
        for one in spec["measurements"]
    ]


def _problems(
    path: str, table: Table, outside: int, grid: Grid, sliding: bool
) -> list[dict[str, Any]]:
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
    if outside:
        found.append(_outside(path, table, outside, grid, sliding))
    elif not len(table.times):
        message = f"'{path}' holds no row that can be used."
        found.append(_problem("no_data", "error", path, 0, message))
    return found


def _outside(path: str, table: Table, outside: int, grid: Grid, sliding: bool) -> dict[str, Any]:
    first, last = int(table.times.min()), int(table.times.max())
    every = outside == len(table.times)
    message = (
        f"Rows of '{path}' outside the pod's period: {outside} of {len(table.times)}. The period "
        f"is {format_time(grid.epoch)} to {format_time(grid.end)}, the data go from "
        f"{format_time(first)} to {format_time(last)}."
    )
    if every or sliding:
        message += f" To start with the data, set params.epoch_time to {first}."
    code, severity = ("no_data", "error") if every else ("outside_period", "warning")
    return _problem(code, severity, path, 0, message)


def _problem(code: str, severity: str, path: str, line: int, message: str) -> dict[str, Any]:
    place = {"file": path, "line": line, "column": 0, "end_line": line, "end_column": 0}
    return {"code": code, "severity": severity, "place": place, "message": message, "fix": None}


def place_from(data: dict[str, Any] | None) -> Place | None:
    """The place that was sent as plain data, if any."""
    return Place(**data) if data else None


def warm() -> None:
    """Pays the first-use costs of polars and NumPy, so that the first load does not."""
    columns: Sequence[Column] = [Column("value", "value")]
    text = io.BytesIO(b"time,value\n0,1\n2021-01-01T00:00:00Z,x\n").getvalue()
    table = csv_processor.parse(text, columns, name="warm")
    series = Series("warm", table.times[:1], table.values["value"][:1])
    build([series], Grid(0, 10, 1, 0), 10.0)


if __name__ == "__main__":
    from spice_engine.workers.child import serve

    serve({"load": load}, warm=warm)
