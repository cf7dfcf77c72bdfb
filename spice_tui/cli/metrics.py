"""`metrics`: the series of a run."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from spice_engine.errors import NotFound
from spice_tui.cli import output, values
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import RunArgument, number_of


def metrics(
    ctx: typer.Context,
    run: RunArgument,
    name: Annotated[str, typer.Argument(help="One series: all its points.")] = "",
    points: Annotated[
        int, typer.Option("--number", "-n", help="At most about this many points a series.")
    ] = 2000,
    json: Json = False,
) -> None:
    """Show the metrics of a run: a line a series, or with a name a line a point."""
    with session_of(ctx).connect() as client:
        number = number_of(client, run)
        answer = client.call("runs.read_metrics", {"id": number, "name": name, "points": points})
    series: list[dict[str, Any]] = answer["series"]
    if name and not series:
        raise NotFound(
            f"run {number} has no metric {name!r}.", hint=f"spice-tui metrics {number} lists them."
        )
    if json:
        output.as_json(series)
    elif name:
        columns = zip(series[0]["indexes"], series[0]["times"], series[0]["values"], strict=True)
        output.table(
            ["INDEX", "TIME", "VALUE"],
            [
                [index, values.clock(time), values.number(value, 6)]
                for index, time, value in columns
            ],
            right=["INDEX", "VALUE"],
        )
    else:
        output.table(
            ["NAME", "POINTS", "LAST", "MIN", "MAX"],
            [_summary(item) for item in series],
            right=["POINTS", "LAST", "MIN", "MAX"],
        )


def _summary(series: dict[str, Any]) -> list[object]:
    found = series["values"]
    finite = [v for v in found if isinstance(v, int | float) and math.isfinite(v)]
    figures = [found[-1] if found else None, min(finite, default=None), max(finite, default=None)]
    return [series["name"], len(found), *(values.number(value, 6) for value in figures)]
