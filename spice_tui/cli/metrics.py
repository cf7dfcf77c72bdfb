"""`metrics`: the series of a run, as a table, as files, and as they come."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_tui.cli import output, values
from spice_tui.cli.metric_follow import Point, Reader, columns
from spice_tui.cli.metric_follow import follow as follow_points
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of
from spice_tui.cli.which_run import RunArgument, number_of
from spice_tui.client import Client

NEWEST = 50_000
"""Points that are asked for at once; more are read from the first on."""
EXPORT_SECONDS = 600.0
FORMATS = ("csv", "json", "parquet")


def metrics(
    ctx: typer.Context,
    run: RunArgument,
    name: Annotated[str, typer.Argument(help="One series: its points.")] = "",
    points: Annotated[
        int,
        typer.Option(
            "--number", "-n", min=0, help="At most this many points, the newest ones; 0: all."
        ),
    ] = 2000,
    export: Annotated[
        str,
        typer.Option(metavar="FILE.csv|json|parquet", help="Write all points to a file instead."),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print points as they come, to the run's end.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the metrics of a run: a line a series, or with a name a line a point."""
    if follow and export:
        raise InvalidRequest("--follow and --export exclude each other.")
    target = expand(export) if export else None
    if target is not None:
        _check_target(target, force=force)
    session = session_of(ctx)
    with session.connect() as client:
        number = number_of(client, run)
        if name and not follow:
            _check_name(client, number, name)
        if target is not None:
            _export(client, number, name, target, json=json)
        elif name and not follow:
            _points(client, number, name, points, json=json)
        elif not follow:
            _series(client, number, json=json)
    if follow:
        follow_points(session, number, name, partial(_print, json=json))


def _check_target(target: Path, *, force: bool) -> None:
    if target.suffix[1:] not in FORMATS:
        raise InvalidRequest(
            f"{target.name} names no format of metrics.",
            hint=f"End it in one of {', '.join(f'.{one}' for one in FORMATS)}.",
        )
    if target.exists() and not force:
        raise Conflict(f"{target} exists.", hint="Replace it with --force, or name another.")


def _check_name(client: Client, run: int, name: str) -> None:
    series = client.call("runs.list_metrics", {"id": run})["series"]
    if all(one["name"] != name for one in series):
        raise NotFound(
            f"run {run} has no metric {name!r}.", hint=f"spice-tui metrics {run} lists them."
        )


def _export(client: Client, run: int, name: str, target: Path, *, json: bool) -> None:
    request = {
        "id": run,
        "name": name,
        "path": str(target.absolute()),
        "format": target.suffix[1:],
    }
    done = client.call("runs.export_metrics", request, timeout=EXPORT_SECONDS)
    if json:
        output.as_json(done)
    else:
        output.line(f"{done['points']} points written to {output.safe(target)}.")


def _series(client: Client, run: int, *, json: bool) -> None:
    series = client.call("runs.list_metrics", {"id": run})["series"]
    if json:
        output.as_json(series)
        return
    output.table(
        ["NAME", "POINTS", "INDEX", "LAST", "MIN", "MAX"],
        [
            [
                one["name"],
                one["points"],
                one["last_index"],
                values.number(one["last"], 6),
                values.number(one["minimum"], 6),
                values.number(one["maximum"], 6),
            ]
            for one in series
        ],
        right=["POINTS", "INDEX", "LAST", "MIN", "MAX"],
    )


def _points(client: Client, run: int, name: str, count: int, *, json: bool) -> None:
    found: list[Point] = []
    if 0 < count <= NEWEST:
        request = {"id": run, "name": name, "limit": count, "newest": True}
        found = columns(client.call("runs.metric_points", request))
    else:
        reader = Reader(run, name)
        while piece := reader.next(client):
            found += piece
        found = found[-count:]
    if json:
        output.as_json([_plain(point) for point in found])
        return
    output.table(
        ["INDEX", "TIME", "VALUE"],
        [[index, values.clock(at), values.number(value, 6)] for index, at, value in found],
        right=["INDEX", "VALUE"],
    )


def _print(name: str, points: list[Point], *, json: bool) -> None:
    import json as form

    for index, at, value in points:
        if json:
            output.write(form.dumps({"name": name, **_plain([index, at, value])}) + "\n")
        else:
            told = f"{values.clock(at)}  {name}  {index}  {values.number(value, 6)}"
            output.write(output.safe(told) + "\n")


def _plain(point: Point) -> dict[str, Any]:
    """A point for JSON, which has no form for NaN and infinities: they are texts."""
    index, at, value = point
    if isinstance(value, float) and not math.isfinite(value):
        value = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return {"index": index, "time": at, "value": value}
