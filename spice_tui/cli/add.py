"""`add`: put a package of a registry, folder, repository or address into the app folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of

SHELVES = ("samples/", "quickstarts/")
"""First parts of a built-in package's path; the second is the older spelling."""
SECONDS = 180.0


def add(
    ctx: typer.Context,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH[@VERSION]",
            help="samples/NAME, ORG/POD, ./folder, https://…, git+https://…#path@ref; "
            "none: list what is built in.",
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that have other content.")
    ] = False,
    locked: Annotated[
        bool,
        typer.Option("--locked", help="Add all packages of spice.lock again, as they were."),
    ] = False,
    json: Json = False,
) -> None:
    """Add a package to the folder: its manifest, data and code."""
    if locked and path:
        raise InvalidRequest("--locked adds what spice.lock names: leave PATH out.")
    with session_of(ctx).connect(make=True) as client:
        if locked:
            params = {"force": force}
            added = client.call("packages.add_locked", params, timeout=10 * SECONDS)["packages"]
        elif path:
            if not path.startswith(SHELVES):  # those are there at once
                output.note(f"Getting Pod {path} ...")
            params = {"reference": reference_of(path), "force": force}
            added = [client.call("packages.add", params, timeout=SECONDS)]
        else:
            found = client.call("samples.list")["names"]
            names = [f"samples/{name.removeprefix('samples/')}" for name in found]
            if json:
                output.as_json(names)
                return
            for known in names:
                output.line(output.safe(known))
            return
    if json:
        output.as_json(added if locked else added[0])
        return
    for package in added:
        show_added(package)


def show_added(package: dict[str, Any]) -> None:
    """Print what was added, manifests first, and what that means for trust."""
    changed = set(package["changed"])
    for file in sorted(package["files"], key=lambda name: not name.endswith((".yaml", ".yml"))):
        verb = "Added" if file in changed else "Unchanged:"
        output.line(f"{verb} {output.safe(file)}")
    if package["trust_reset"]:
        output.line("It brought code: look at it, then run spice-tui trust.")


def reference_of(path: str) -> str:
    """What the engine is told: folders as absolute paths, all else as it was typed."""
    if path.startswith(("file://", "git+", "http://", "https://", *SHELVES)):
        return path
    if path in {".", ".."} or path.startswith(("/", "./", "../", "~")) or Path(path).exists():
        return str(expand(path).absolute())
    return path
