"""`clone`: run the same again, with what changes about it."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer

from spice_tui.cli.creating import created
from spice_tui.cli.dependency_options import DEPENDENCIES
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.life_options import LIFE, life_of
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.run import see_to_end
from spice_tui.cli.run_options import asked_of, chosen_of, options
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import RunArgument, number_of

_NAMES = (
    "name",
    "env",
    "label",
    "timeout",
    "cpu",
    "memory",
    "machine_type",
    "mount",
    "description",
)


@with_options({**options(*_NAMES), **LIFE, **DEPENDENCIES})
def clone(
    ctx: typer.Context,
    run: RunArgument,
    *,
    command: Annotated[str | None, typer.Option(metavar="LINE", help="Another command.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="In a copy of the folder as it is now, not as it was.")
    ] = False,
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Print its number and leave.")
    ] = False,
    given: dict[str, Any],
    json: Json = False,
) -> None:
    """Run what a run ran, as it was asked for, and follow its log.

    It gets the folder as that run had it, the same environment, mounts, variables, limits, labels
    and parameters; what is given here goes before. --param changes single parameters, --env single
    variables; labels and mounts stand in for those it had. What it was to run after is over, so it
    waits for nothing but a machine.
    """
    session = session_of(ctx)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(session.connect(FollowingClient))
        request = client.call("runs.asked", {"id": number_of(client, run)})
        changes = life_of(client, given)
        request["params"] |= changes.pop("params", {})
        asked = asked_of(given) | chosen_of(client, given)
        request["env"] |= asked.pop("env", {})
        request |= changes | asked | ({} if command is None else {"command": command})
        if fresh:
            request |= {"code_of": None, "source": ""}
        client, started = created(session, client, "runs.start", request)
        stack.pop_all()  # it goes on to follow
    see_to_end(session, client, started, background=background, json=json)
