"""`init`: write a new manifest, to be filled in."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from spice_engine.errors import Conflict
from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of


def init(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The pod's name.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", "--yes", "-y", help="Replace a manifest that is there.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the manifest of a new pod, with comments that tell what goes where."""
    with session_of(ctx).connect(make=True) as client:
        try:
            answer = client.call("pods.init", {"name": name, "replace": force})
        except Conflict as error:
            question = error.message.removesuffix(".")
            if not question.startswith("Pod manifest already exists") or not _asks(json):
                raise
            if not typer.confirm(output.safe(f"{question}. Replace?"), err=True):
                raise typer.Abort from None
            answer = client.call("pods.init", {"name": name, "replace": True})
    if json:
        output.as_json(answer)
        return
    output.line(output.safe(f"Spice pod manifest initialized at {answer['manifest']}!"))
    output.note(
        "Next: spice-tui dataspace add FROM/NAME --measurement NAME --file data/FILE.csv, "
        "spice-tui action add NAME, spice-tui rewards add."
    )


def _asks(json: bool) -> bool:
    """Whether there is a person to ask."""
    return not json and sys.stdin.isatty() and sys.stderr.isatty()
