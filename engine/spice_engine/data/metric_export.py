"""Writes metrics of runs into a file, in a child: CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from spice_engine.errors import StorageError
from spice_engine.workers.child import Report

COLUMNS = ("run_id", "metric_name", "timestamp", "index", "value")
TEXT = "text"
OF_MANY = (*COLUMNS, TEXT, "origin")
"""With texts apart from numbers, and what a run is known by elsewhere: this comes back in."""

_Row = tuple[Any, ...]
_ROWS = """
SELECT series.name, points.time, points.idx, points.value, points.text
FROM series JOIN points ON points.series_id = series.id
WHERE series.owner = ? AND (? = '' OR series.name = ?)
ORDER BY series.name, points.idx, points.time
"""


def export_metrics(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """`{"points"}`: how many were written to `path`, which is there whole or not at all.

    They are of one `run`, of all its metrics or the one of `name`; or of `runs`, each a number and
    its origin.

    Raises:
        StorageError: the store cannot be read, or the file not be written.
    """
    path = Path(params["path"])
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    write = _WRITERS[params["format"]]
    try:
        address = f"{(Path(params['state']) / 'metrics.db').as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            if "runs" in params:
                count = write(beside, OF_MANY, _of_many(connection, params["runs"], report))
            else:
                rows = _rows(connection, int(params["run"]), str(params["name"]), report)
                count = write(beside, COLUMNS, rows)
        beside.replace(path)
    except sqlite3.Error as error:
        raise StorageError(f"the metrics cannot be read: {error}.") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        beside.unlink(missing_ok=True)
    return {"points": count}


def _rows(connection: sqlite3.Connection, run: int, name: str, report: Report) -> Iterator[_Row]:
    for count, (metric, time, index, value, text) in enumerate(
        connection.execute(_ROWS, (f"runs/{run}", name, name))
    ):
        if count % 10_000 == 0:
            report.check()
        told = text if text is not None else math.nan if value is None else value
        yield run, metric, time, index, told


def _of_many(
    connection: sqlite3.Connection, runs: Iterable[tuple[int, str]], report: Report
) -> Iterator[_Row]:
    for run, origin in runs:
        for *row, value in _rows(connection, run, "", report):
            told = (None, value) if isinstance(value, str) else (value, None)
            yield (*row, *told, origin)


def _csv(path: Path, columns: Sequence[str], rows: Iterable[_Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(columns)
        for row in rows:
            out.writerow(row)
            count += 1
    return count


def _json(path: Path, columns: Sequence[str], rows: Iterable[_Row]) -> int:
    """A list of objects, one a line. What JSON has no number for is a text: NaN, Infinity."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(",\n" if count else "[\n")
            told: dict[str, Any] = dict(zip(columns, row, strict=True))
            value = told["value"]
            if isinstance(value, float) and not math.isfinite(value):
                told["value"] = json.dumps(value)
            file.write(json.dumps(told, ensure_ascii=False))
            count += 1
        file.write("\n]\n" if count else "[]\n")
    return count


def _parquet(path: Path, columns: Sequence[str], rows: Iterable[_Row]) -> int:
    """Numbers in `value`, texts in `text`."""
    import polars

    names = columns if TEXT in columns else (*columns, TEXT)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        told = row
        if TEXT not in columns:
            value = row[-1]
            told = (*row[:-1], *((None, value) if isinstance(value, str) else (value, None)))
        for column, cell in zip(found.values(), told, strict=True):
            column.append(cell)
    integer, real, text = polars.Int64, polars.Float64, polars.String
    types = {"run_id": integer, "index": integer, "timestamp": real, "value": real}
    frame = polars.DataFrame(found, schema={name: types.get(name, text) for name in names})
    frame.write_parquet(path)
    return frame.height


_WRITERS: dict[str, Callable[[Path, Sequence[str], Iterable[_Row]], int]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
}
