"""`import`: take a trained pod in from a `.spicepod` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import NotFound, StorageError, TooLarge
from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of

LARGEST_SENT = 15 * 2**20
"""Bytes of a file from elsewhere that go to the engine in one message."""


def import_pod(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The .spicepod file.")],
    tag: Annotated[
        str, typer.Option("--tag", metavar="ALIAS", help="Another name for the version.")
    ] = "latest",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a pod of that name.")
    ] = False,
    json: Json = False,
) -> None:
    """Take a trained pod in from a file."""
    session = session_of(ctx)
    params = {**_source(expand(file).absolute(), session.location.root)}
    with session.connect(make=True) as client:
        imported = client.call("pods.import", {**params, "alias": tag, "overwrite": overwrite})
    if json:
        output.as_json(imported)
        return
    for name in imported["files"]:
        output.line(f"Added {output.safe(name)}")
    for note in imported["notes"]:
        output.line(output.safe(note))
    if imported["trust_reset"]:
        output.line("It brought code: look at it, then run spice-tui trust.")
    if imported["policy_version"] is not None:
        output.line("Imported trained model!")


def _source(path: Path, root: Path) -> dict[str, Any]:
    """The file by its place in the app folder, or else by its bytes."""
    if not path.is_file():
        raise NotFound(f"there is no file {str(path)!r}.")
    real = path.resolve()
    if real.is_relative_to(root.resolve()):
        return {"path": str(real.relative_to(root.resolve()))}
    try:
        with path.open("rb") as source:
            data = source.read(LARGEST_SENT + 1)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > LARGEST_SENT:
        raise TooLarge(
            f"{path.name} has over {LARGEST_SENT} bytes.", hint="Copy it into the app folder first."
        )
    return {"data": data}
