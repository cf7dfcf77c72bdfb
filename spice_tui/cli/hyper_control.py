"""`hyper stop`, `kill`, `archive`, `download-metrics`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from spice_engine.errors import SpiceError
from spice_tui.cli import completion, failures, output
from spice_tui.cli.hyper_show import SearchArgument, all_trials, number_of
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of
from spice_tui.client import Client

HEADER = ("run_id", "metric_name", "timestamp", "index", "value")
SearchArguments = Annotated[
    list[str],
    typer.Argument(
        metavar="SEARCH...", help="Numbers of searches.", autocompletion=completion.searches
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")]


def stop(
    ctx: typer.Context, searches: SearchArguments, quiet: Quiet = False, json: Json = False
) -> None:
    """End searches: runs are stopped and keep their outputs, and no more are started."""
    _each(ctx, "stop", "Stopping search {}.", searches, quiet=quiet, json=json)


def kill(
    ctx: typer.Context, searches: SearchArguments, quiet: Quiet = False, json: Json = False
) -> None:
    """End searches and their runs at once."""
    _each(ctx, "kill", "Killing search {}.", searches, quiet=quiet, json=json)


def archive(
    ctx: typer.Context, searches: SearchArguments, quiet: Quiet = False, json: Json = False
) -> None:
    """Take searches that are over out of the list."""
    _each(ctx, "archive", "Successfully archived search {}.", searches, quiet=quiet, json=json)


def _each(
    ctx: typer.Context, what: str, said: str, searches: list[str], *, quiet: bool, json: bool
) -> None:
    numbers = [option(text, number_of, "SEARCH") for text in searches]
    done: list[Any] = []
    code = 0
    with session_of(ctx).connect() as client:
        for number in numbers:
            try:
                done.append(client.call(f"searches.{what}", {"id": number}))
            except SpiceError as error:
                code = code or failures.report(error)
                continue
            if not quiet and not json:
                output.line(said.format(number))
    if json:
        output.as_json(done)
    if code:
        raise typer.Exit(code)


def download_metrics(
    ctx: typer.Context,
    search: SearchArgument,
    dest: Annotated[
        str, typer.Option("--dest", "-d", metavar="FILE", help="Where to write it.")
    ] = "metrics.csv",
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file.")] = False,
) -> None:
    """Write all points of all runs of a search as CSV."""
    number = option(search, number_of, "SEARCH")
    path = expand(dest)
    if path.exists() and not force:
        raise typer.BadParameter(f"{dest} exists already; -f overwrites it.", param_hint="--dest")
    with session_of(ctx).connect() as client:
        runs = [trial["run"] for trial in all_trials(client, number) if trial["run"]]
        try:
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(HEADER)
                for run in runs:
                    for one in client.call("runs.list_metrics", {"id": run})["series"]:
                        writer.writerows(_rows(client, run, one["name"]))
        except OSError as error:
            raise typer.BadParameter(f"{dest}: {error.strerror}.", param_hint="--dest") from None
    output.line(f"The metrics of {len(runs)} runs are in {output.safe(dest)}.")


def _rows(client: Client, run: int, name: str) -> Iterator[tuple[Any, ...]]:
    """All points of a run's metric, a page at a time."""
    request: dict[str, Any] = {"id": run, "name": name}
    while True:
        page = client.call("runs.metric_points", request)
        if not page["indexes"]:
            return
        for time, index, value in zip(page["times"], page["indexes"], page["values"], strict=True):
            yield run, name, time, index, _plain(value)
        request |= {"after_index": page["indexes"][-1], "after_time": page["times"][-1]}


def _plain(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value
