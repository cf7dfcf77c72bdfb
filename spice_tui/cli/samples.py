"""`add`: copy a sample app into the folder."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_engine.errors import NotFound
from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

SHELVES = ("samples/", "quickstarts/")
"""First parts of a built-in package's path; the second is the older spelling."""


def add(
    ctx: typer.Context,
    path: Annotated[
        str, typer.Argument(metavar="samples/NAME", help="What to add; none: list what there is.")
    ] = "",
    json: Json = False,
) -> None:
    """Add a sample app to the folder."""
    shelf = next((shelf for shelf in SHELVES if path.startswith(shelf)), "")
    name = path.removeprefix(shelf)
    if not shelf and "/" in name:
        raise NotFound(
            f"there is no package {path!r}.", hint="Built in are samples/…: spice-tui add."
        )
    with session_of(ctx).connect(make=True) as client:
        if not path:
            found = client.call("samples.list")["names"]
            names = [f"samples/{name.removeprefix('samples/')}" for name in found]
            if json:
                output.as_json(names)
                return
            for known in names:
                output.line(output.safe(known))
            return
        added = client.call("samples.add", {"name": name})["names"]
    if json:
        output.as_json({"added": added})
        return
    for file in added:
        output.line(f"Added {output.safe(file)}")
