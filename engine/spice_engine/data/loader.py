"""The loader's process: reads and parses a pod's data, builds the state table, hands it over.

Started as `python -I -m spice_engine.data.loader`; the only place where polars is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.data import ingest as ingesting
from spice_engine.data import observation_reading, raw_grid, served, table_files
from spice_engine.data.load_problems import accepted_outside, no_observation, problems_of
from spice_engine.data.pod_tables import DataspaceTables, grid_of, read_pod
from spice_engine.data.samples import declared, series_of
from spice_engine.data.table import MAX_EXAMPLES
from spice_engine.data.table_cache import TableCache
from spice_engine.data.timeline import Grid, Indicator, Series, Timeline, build, count_outside
from spice_engine.workers.arrays import save

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

CACHE = TableCache()
"""The tables of this process's files."""


def load(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `load`: all data of a pod to one state table in `out_folder`.

    `params` are as `spice_engine.pods.plan.loader_params` makes them; times in seconds.

    Returns `values` [T, F] float64 and `times` [T] int64 as array references, with `fields`,
    `rows`, `complete_rows`, `training_rows`, `first_datum`, `last_time`, `start`, `granularity`,
    `dataspaces` (counts of each), `files` (path and SHA-256) and `problems`. A pod without any
    datum in its period gives a table without rows and a problem that says so. Reports
    `{"dataspace", "rows"}` after each dataspace.

    Raises InvalidData where data cannot be read at all, or lack a column.
    """
    now: float = params["now"]
    grid = grid_of(params)
    series: list[Series | Indicator] = []
    counts: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    for space in read_pod(params, CACHE, report):
        series += declared(space.spec)
        for table in space.tables:
            series += series_of(space.spec, table)
        for feed in space.feeds:
            files.append({"path": feed.name, "sha256": feed.digest})
            problems += problems_of(feed, grid, sliding=params["epoch"] is None)
        sliding = params["epoch"] is None
        problems += accepted_outside(space.spec, space.accepted, grid, sliding=sliding)
        if space.tables:
            counts.append(_counts(space, grid))
            report.report({"dataspace": space.path, "rows": counts[-1]["rows"]})
    report.check()
    timeline = build(
        series,
        grid,
        now,
        events=not params["interpolation"],
        time_categories=params["time_categories"],
    )
    needed = params["dataspaces"] and not _is_environment(params["dataspaces"][0])
    if not len(timeline.times) and not problems and needed:
        problems.append(no_observation(params["dataspaces"][0]))
    out = Path(params["out_folder"])
    return {
        "values": save(out, timeline.values, name="values").as_dict(),
        "times": save(out, timeline.times, name="times").as_dict(),
        **_summary(timeline),
        "dataspaces": counts,
        "files": files,
        "problems": problems,
    }


def ingest(params: dict[str, Any], report: Report) -> list[dict[str, Any]]:
    """Handler `ingest`: pushed payloads to frames; see `spice_engine.data.ingest.ingest_one`.

    `params` holds `bodies`; the answer has one entry for each, in their order.
    """
    answers: list[dict[str, Any]] = []
    for body in params["bodies"]:
        report.check()
        answers.append(ingesting.ingest_one(body))
    return answers


def seal(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `seal`: files of accepted observations to one; see `observation_reading.seal`."""
    report.check()
    return observation_reading.seal(params)


def observations(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `observations`: a pod's raw rows as text; see `served.write_observations`.

    `params` are those of `load` with `format` (`csv` or `json`), `start`, `end` (unix seconds or
    None), `limit` (the newest rows, or None) and `out`, the file to write.
    """
    return served.write_observations(params, read_pod(params, CACHE, report))


def grid(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `grid`: some of a pod's raw rows with their columns; see `raw_grid.grid`.

    `params` are those of `load` with `offset` and `limit`.
    """
    return raw_grid.grid(params, lambda: list(read_pod(params, CACHE, report)))


def write_parquet(params: dict[str, Any], report: Report) -> int:
    """Handler `write_parquet`: a table to a file; see `table_files.parquet`."""
    report.check()
    return table_files.parquet(params)


def read_table(params: dict[str, Any], report: Report) -> int:
    """Handler `read_table`: a table's rows to a file of lines; see `table_reading.rows_of`."""
    report.check()
    from spice_engine.data import table_reading

    return table_reading.rows_of(params)


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


def _is_environment(spec: dict[str, Any]) -> bool:
    """Whether what a pod learns from is stepped by the trainer, so that it needs no data."""
    connector = spec["data"]["connector"] if spec["data"] else None
    return connector is not None and connector["name"] == "gym"


def _counts(space: DataspaceTables, grid: Grid) -> dict[str, Any]:
    tables = space.tables
    bad_cells: dict[str, int] = {}
    for table in tables:
        for name, count in table.bad_cells.items():
            bad_cells[name] = bad_cells.get(name, 0) + count
    examples = [example for table in tables for example in table.examples]
    return {
        "name": space.path,
        "rows": sum(len(table) for table in tables),
        "accepted_rows": len(space.accepted) if space.accepted is not None else 0,
        "bad_rows": sum(table.bad_rows for table in tables),
        "bad_cells": bad_cells,
        "outside_period": sum(count_outside(table.times, grid) for table in tables),
        "examples": [example.as_dict() for example in examples[:MAX_EXAMPLES]],
    }


def warm() -> None:
    """Pays the first-use costs of polars and NumPy, so that the first load does not."""
    body: dict[str, Any] = {
        "format": "csv",
        "params": {},
        "data": b'time,value\n0,1\n2021-01-01T00:00:00Z,"x"\n',
        "mode": "dataspace",
        "only": "warm/up",
        "dataspaces": [
            {
                "from": "warm",
                "name": "up",
                "measurements": [{"name": "value", "selector": "value"}],
            }
        ],
    }
    ingesting.ingest_one(body)
    columns = declared({"measurements": [], "categories": [], "tags": None})
    build(columns, Grid(0, 10, 1, 0), 10.0)


if __name__ == "__main__":
    from spice_engine.data.metric_export import export_metrics
    from spice_engine.workers.child import serve

    handlers = {
        "load": load,
        "ingest": ingest,
        "seal": seal,
        "observations": observations,
        "grid": grid,
        "write_parquet": write_parquet,
        "read_table": read_table,
        "export_metrics": export_metrics,
    }
    serve(handlers, warm=warm)
