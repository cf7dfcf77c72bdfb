"""`clone`: run the same again, with what changes about it."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, values
from spice_tui.cli.dependency_options import DEPENDENCIES, dependencies_of
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.life_options import LIFE, life_of
from spice_tui.cli.light import option
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.run import see_to_end, variable
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import RunArgument, number_of

Text = str | None
Texts = list[str] | None


@with_options({**LIFE, **DEPENDENCIES})
def clone(
    ctx: typer.Context,
    run: RunArgument,
    *,
    command: Annotated[Text, typer.Option(metavar="LINE", help="Another command.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="In a copy of the folder as it is now, not as it was.")
    ] = False,
    name: Annotated[Text, typer.Option(help="Another name.")] = None,
    env: Annotated[
        Texts,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Add or change a variable; repeat."),
    ] = None,
    label: Annotated[
        Texts, typer.Option("--label", "-l", help="These labels instead; repeat.")
    ] = None,
    timeout: Annotated[
        Text, typer.Option(metavar="TIME", help="Stop it after this long; bare: minutes.")
    ] = None,
    cpu: Annotated[float | None, typer.Option(metavar="CORES", help="CPU limit.")] = None,
    memory: Annotated[Text, typer.Option(metavar="SIZE", help="Memory limit: 512M, 2G.")] = None,
    machine_type: Annotated[
        Text,
        typer.Option(
            "--machine-type",
            "-t",
            metavar="NAME",
            help="What it runs on.",
            autocompletion=completion.machine_types,
        ),
    ] = None,
    mount: Annotated[
        Texts,
        typer.Option(
            "--mount", "-m", metavar="RESOURCE[:PATH]", help="These mounts instead; repeat."
        ),
    ] = None,
    description: Annotated[
        Text, typer.Option("--description", "-d", metavar="TEXT", help="Another note.")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Print its number and leave.")
    ] = False,
    given: dict[str, Any],
    json: Json = False,
) -> None:
    """Run what a run ran, as it was asked for, and follow its log.

    It gets the folder as that run had it, the same environment, mounts, variables, limits, labels
    and parameters; what is given here goes before. --param changes single parameters, --env single
    variables. What it was to run after is over, so it waits for nothing but a machine.
    """
    session = session_of(ctx)
    plain = {
        "command": command,
        "name": name,
        "labels": label or None,
        "timeout": option(timeout, values.minutes, "--timeout") if timeout else None,
        "cpu": cpu,
        "memory": option(memory, values.size, "--memory") if memory else None,
        "mounts": mount or None,
        "description": description,
        "dependencies": dependencies_of(given) or None,
    }
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(session.connect(FollowingClient))
        request = client.call("runs.asked", {"id": number_of(client, run)})
        changes = life_of(client, given)
        request["params"] |= changes.pop("params", {})
        request["env"] |= dict(variable(item) for item in env or [])
        request |= changes | {key: value for key, value in plain.items() if value is not None}
        if fresh:
            request |= {"code_of": None, "source": ""}
        if machine_type:
            from spice_tui.cli.machine_type import chosen

            request["machine_type"] = chosen(client, machine_type)
        started = client.call("runs.start", request)
        stack.pop_all()  # it goes on to follow
    see_to_end(session, client, started, background=background, json=json)
