"""`metrics`: the series of a run, as a table, as files, and as they come."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict, EngineUnavailable, InvalidRequest, NotFound
from spice_engine.protocol.run_states import UNDER_WAY
from spice_tui.cli import output, values
from spice_tui.cli.following import Patience
from spice_tui.cli.output import Json
from spice_tui.cli.session import Session, expand, session_of
from spice_tui.cli.which_run import RunArgument, number_of
from spice_tui.client import Client

PIECE = 10_000
LOOK_SECONDS = 0.5
EXPORT_SECONDS = 600.0
FORMATS = ("csv", "json", "parquet")


def metrics(
    ctx: typer.Context,
    run: RunArgument,
    name: Annotated[str, typer.Argument(help="One series: its points.")] = "",
    points: Annotated[
        int, typer.Option("--number", "-n", help="At most this many points, the newest ones.")
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
        _follow(session, number, name, json=json)


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
    found: list[list[Any]] = []
    reader = _Reader(run, name)
    while piece := reader.next(client):
        found = (found + piece)[-max(1, count) :]
    if json:
        output.as_json([_plain(point) for point in found])
        return
    output.table(
        ["INDEX", "TIME", "VALUE"],
        [[index, values.clock(at), values.number(value, 6)] for index, at, value in found],
        right=["INDEX", "VALUE"],
    )


def _follow(session: Session, run: int, name: str, *, json: bool) -> None:
    """Print what comes, a line a point, until the run has ended and all is printed. The engine may
    be replaced meanwhile.

    Raises:
        SpiceError: there is no such run, or the engine stays away.
    """
    readers: dict[str, _Reader] = {}
    patience = Patience()
    while True:
        try:
            with session.connect() as client:
                while not _print_new(client, run, name, readers, json=json):
                    patience.renewed()
                    time.sleep(LOOK_SECONDS)
                return
        except EngineUnavailable:
            if patience.over:
                raise
        time.sleep(LOOK_SECONDS)


def _print_new(
    client: Client, run: int, name: str, readers: dict[str, _Reader], *, json: bool
) -> bool:
    """Print what is new; whether there will be no more."""
    ended = client.call("runs.get", {"id": run})["state"] not in UNDER_WAY
    for one in client.call("runs.list_metrics", {"id": run})["series"]:
        if name in {"", one["name"]}:
            reader = readers.setdefault(one["name"], _Reader(run, one["name"]))
            while piece := reader.next(client):
                _print(one["name"], piece, json=json)
    output.flush()
    return ended


def _print(name: str, points: list[list[Any]], *, json: bool) -> None:
    import json as form

    for index, at, value in points:
        if json:
            output.write(form.dumps({"name": name, **_plain([index, at, value])}) + "\n")
        else:
            told = f"{values.clock(at)}  {name}  {index}  {values.number(value, 6)}"
            output.write(output.safe(told) + "\n")


def _plain(point: list[Any]) -> dict[str, Any]:
    """A point for JSON, which has no form for NaN and infinities: they are texts."""
    index, at, value = point
    if isinstance(value, float) and not math.isfinite(value):
        value = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return {"index": index, "time": at, "value": value}


class _Reader:
    """Reads one series on and on."""

    def __init__(self, run: int, name: str) -> None:
        self._request: dict[str, Any] = {"id": run, "name": name, "limit": PIECE}

    def next(self, client: Client) -> list[list[Any]]:
        """The next points; none when all were read."""
        answer = client.call("runs.metric_points", self._request)
        columns = (answer["indexes"], answer["times"], answer["values"])
        found = [list(point) for point in zip(*columns, strict=True)]
        if found:
            self._request |= {"after_index": found[-1][0], "after_time": found[-1][1]}
        return found
