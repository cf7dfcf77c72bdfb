"""`server download-metrics`: the stored series of a server as CSV."""

from __future__ import annotations

import csv
import math
import sys
from typing import Annotated, Any, TextIO

import typer

from spice_engine.errors import InvalidRequest, StorageError
from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.server_arguments import ServerArgument
from spice_tui.cli.session import expand, session_of

COLUMNS = ("index", "metric_name", "tag", "value", "timestamp")
ALL_POINTS = 10_000
"""The most the engine gives of a series; longer ones come thinned."""
SECONDS = 120.0


def download_metrics(
    ctx: typer.Context,
    server: ServerArgument,
    *,
    dest: Annotated[
        str, typer.Option("--dest", "-d", metavar="FILE", help="Where to; -: standard output.")
    ] = "metrics.csv",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the file.")] = False,
    name: Annotated[str, typer.Option("--name", "-n", help="Only this metric.")] = "",
    json: Json = False,
) -> None:
    """Write the metrics of a server as CSV: its own, and those its predictor sends."""
    path = expand(dest)
    if dest != "-" and not json and path.exists() and not force:
        raise InvalidRequest(
            f"{dest} exists.", hint="Replace it with -f, or name another: -d FILE."
        )
    with session_of(ctx).connect() as client:
        request = {"server": server, "name": name, "points": ALL_POINTS}
        series = client.call("servers.metrics", request, timeout=SECONDS)["series"]
    if json:
        output.as_json(series)
    elif dest == "-":
        write(series, sys.stdout)
    else:
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                count = write(series, file)
        except OSError as error:
            raise StorageError(f"{dest} cannot be written: {error.strerror}.") from None
        output.line(f"{count} values of {len(series)} metrics written to {output.safe(dest)}.")


def write(series: list[dict[str, Any]], file: TextIO) -> int:
    """Write series as CSV; gives the number of values. NaN and infinities are written so."""
    out = csv.writer(file, lineterminator="\n")
    out.writerow(COLUMNS)
    count = 0
    for one in series:
        pairs = zip(one["times"], one["values"], strict=True)
        for index, (moment, value) in enumerate(pairs):
            out.writerow((index, one["name"], one["tag"], _text(value), f"{moment:.3f}"))
            count += 1
    return count


def _text(value: Any) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) and math.isfinite(value) else str(value)
