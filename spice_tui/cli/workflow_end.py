"""`workflow stop`, `kill`, `rm`: end workflows, and put them away."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_engine.errors import SpiceError
from spice_tui.cli import completion, failures, output, values
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

Numbers = Annotated[
    list[str],
    typer.Argument(
        metavar="WORKFLOW...",
        help="Numbers of workflows.",
        autocompletion=completion.workflows,
    ),
]


def stop(ctx: typer.Context, workflows: Numbers, *, json: Json = False) -> None:
    """Stop workflows, and the runs they made; outputs are kept."""
    _each(ctx, workflows, "workflows.stop", "Stopping workflow {}.", json=json)


def kill(ctx: typer.Context, workflows: Numbers, *, json: Json = False) -> None:
    """End workflows and the runs they made at once."""
    _each(ctx, workflows, "workflows.kill", "{}", json=json)


def remove(ctx: typer.Context, workflows: Numbers, *, json: Json = False) -> None:
    """Put workflows that are over away, and the runs they made."""
    _each(ctx, workflows, "workflows.archive", "Workflow {} is archived.", json=json)


def _each(ctx: typer.Context, texts: list[str], operation: str, said: str, *, json: bool) -> None:
    """Call once a workflow; one that fails does not keep the others from it.

    Raises:
        typer.Exit: with the exit code of the first that failed, after all were tried.
        SpiceError: the only one failed.
    """
    numbers = [option(text, values.run_number, "WORKFLOW") for text in texts]
    done: list[dict[str, Any]] = []
    failed: list[SpiceError] = []
    with session_of(ctx).connect() as client:
        for number in numbers:
            try:
                done.append(client.call(operation, {"id": number}))
            except SpiceError as error:
                if len(numbers) == 1:
                    raise
                failed.append(error)
    if json:
        output.as_json(done)
    else:
        for one in done:
            output.line(said.format(one["id"]))
    for error in failed:
        failures.report(error)
    if failed:
        raise typer.Exit(failed[0].exit_code)
