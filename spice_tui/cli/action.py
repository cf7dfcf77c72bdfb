"""`action add`: something that can be done, written into a manifest."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_tui.cli import edits
from spice_tui.cli.groups import group
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

app = group("Add actions to manifests.")


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The action's name.")],
    *,
    do: Annotated[
        str,
        typer.Option(metavar="FROM.NAME.ACTION", help="The dataspace action that it does."),
    ] = "",
    reward: Annotated[
        str,
        typer.Option(
            metavar="CODE",
            help="Its reward, or a function's name; default: 'reward = 1' where others have code.",
        ),
    ] = "",
    pod: edits.Pod = "",
    json: Json = False,
) -> None:
    """Add an action to a manifest, which keeps its comments and its form."""
    request = {"pod": pod, "name": name, "do": do, "reward": reward}
    with session_of(ctx).connect() as client:
        answer = client.call("pods.add_action", request)
    edits.tell(answer, f"Action '{name}' added to pod {answer['pod']}.", json=json)
