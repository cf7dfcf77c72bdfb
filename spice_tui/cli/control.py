"""`stop`, `kill`, `wait`: end runs, or see them end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_engine.errors import SpiceError
from spice_tui.cli import completion, failures, output, values
from spice_tui.cli.follow_run import RunFollower
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.client import Client

RunArguments = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Numbers of runs.", autocompletion=completion.runs),
]


def _each(client: Client, operation: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Call once a run; one that fails does not keep the others from it.

    Raises:
        typer.Exit: with the exit code of the first that failed, after all were tried.
        SpiceError: the only one failed.
    """
    changed: list[dict[str, Any]] = []
    failed: list[SpiceError] = []
    for request in requests:
        try:
            changed.append(client.call(operation, request))
        except SpiceError as error:
            if len(requests) == 1:
                raise
            failed.append(error)
    if failed:
        for error in failed:
            failures.report(error)
        if output.json_wanted():
            output.as_json(changed)
        else:
            _tell(operation, changed)
        raise typer.Exit(failed[0].exit_code)
    return changed


def _tell(operation: str, changed: list[dict[str, Any]]) -> None:
    for run in changed:
        if operation == "runs.stop":
            output.line(
                f"Stopping run {run['id']}. Use 'spice-tui logs -f {run['id']}' to view logs "
                "while it finishes."
            )
        else:
            output.line(str(run["id"]))


def _act(ctx: typer.Context, operation: str, requests: list[dict[str, Any]], *, json: bool) -> None:
    with session_of(ctx).connect() as client:
        changed = _each(client, operation, requests)
    if json:
        output.as_json(changed)
    else:
        _tell(operation, changed)


def stop(
    ctx: typer.Context,
    runs: RunArguments,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="After this long it is killed: 30s, 2m.")
    ] = "10s",
    json: Json = False,
) -> None:
    """Ask runs to end; what they wrote is kept."""
    seconds = option(grace, values.duration, "--grace")
    numbers = [option(run, values.run_number, "RUN") for run in runs]
    _act(ctx, "runs.stop", [{"id": number, "grace": seconds} for number in numbers], json=json)


def kill(ctx: typer.Context, runs: RunArguments, json: Json = False) -> None:
    """End runs at once."""
    numbers = [option(run, values.run_number, "RUN") for run in runs]
    _act(ctx, "runs.kill", [{"id": number} for number in numbers], json=json)


def wait(ctx: typer.Context, runs: RunArguments, json: Json = False) -> None:
    """Wait until runs have ended; ends with the first exit code that is not 0."""
    numbers = [option(run, values.run_number, "RUN") for run in runs]
    session = session_of(ctx)
    ended = [RunFollower(session, number, quiet=True).follow() for number in numbers]
    if json:
        output.as_json(ended)
    else:
        for run in ended:
            output.line(f"{run['id']}  {values.status_text(run)}")
    codes = [values.run_exit_code(run) for run in ended]
    raise typer.Exit(next((code for code in codes if code), 0))
