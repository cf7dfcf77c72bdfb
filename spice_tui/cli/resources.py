"""`ls`, `cp`, `rm`, `link`, `unlink`: the resource tree of runs, uploads and models."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict, NotFound, SpiceError
from spice_tui.cli import completion, failures, output, resource_text, values
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of
from spice_tui.client import Client

LONG = 24 * 3600.0
"""Seconds that copying may take."""

ResourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="Such as runs/3, @latest, uploads/images, models/cifar/v1, or a link.",
        autocompletion=completion.resources,
    ),
]


def ls(
    ctx: typer.Context,
    path: Annotated[
        str,
        typer.Argument(
            metavar="[PATH]",
            help="Such as runs/3, @latest, uploads/images; default: the roots.",
            autocompletion=completion.resources,
        ),
    ] = "",
    human: Annotated[bool, typer.Option("-h", help="Sizes such as 4.9K and 29M.")] = False,
    json: Json = False,
) -> None:
    """List resources: what runs left, uploads, models and links."""
    with session_of(ctx).connect() as client:
        found = client.call("resources.list", {"path": path})
    if json:
        output.as_json(found)
        return
    if not found["entries"]:
        output.error_line(output.safe(f"No files for path {path or '/'}"))
    for entry in found["entries"]:
        output.line(resource_text.line(entry, human=human))
    if found.get("left_out"):
        output.error_line(f"{found['left_out']} more are not shown.")
    if found["link"]:
        output.line("-" * 24)
        output.line(output.safe(found["link"]).replace("→", resource_text.arrow()))


def cp(
    ctx: typer.Context,
    source: ResourceArgument,
    folder: Annotated[
        str, typer.Argument(metavar="[LOCAL_DIR]", help="Where to; it is made if need be.")
    ] = ".",
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Overwrite files that are there.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--ignore-existing", "-i", help="Skip files that are there.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy what a folder holds, or a file, out of the resource tree."""
    params = {"path": source, "destination": str(expand(folder).absolute())}
    with session_of(ctx).connect() as client:
        done = copy_asking(client, "resources.copy", params, force=force, skip=skip)
    tell_copied(done, json=json)


def copy_asking(
    client: Client, operation: str, params: dict[str, Any], *, force: bool, skip: bool
) -> dict[str, Any]:
    """Copy; where files are there already, ask a person once what to do about them.

    Raises:
        typer.BadParameter: both to overwrite and to skip.
        Conflict: files are there, and nobody can be asked.
    """
    if force and skip:
        raise typer.BadParameter("--force and --ignore-existing do not go together.")
    existing = "overwrite" if force else "skip" if skip else "refuse"
    try:
        return client.call(operation, {**params, "existing": existing}, timeout=LONG)
    except Conflict as conflict:
        if existing != "refuse" or not sys.stdin.isatty() or output.json_wanted():
            raise
        output.error_line(output.safe(conflict.message))
    again = typer.confirm("Are you sure you want to overwrite? (no: they are skipped)", err=True)
    how = "overwrite" if again else "skip"
    return client.call(operation, {**params, "existing": how}, timeout=LONG)


def tell_copied(done: dict[str, Any], *, json: bool) -> None:
    """What a copy did, as the original said it."""
    if json:
        output.as_json(done)
        return
    copied, skipped = done["copied"], done["skipped"]
    files = values.counted(copied, "file")
    output.line(f"Copied {files}. Skipped {values.counted(skipped, 'file')}.")


def rm(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="uploads/NAME...",
            help="Uploads; models and servers made of them keep what they need.",
            autocompletion=completion.resources,
        ),
    ],
    json: Json = False,
) -> None:
    """Remove uploads."""
    failed: list[SpiceError] = []
    removed: list[str] = []
    with session_of(ctx).connect() as client:
        for path in paths:
            try:
                client.call("resources.remove", {"path": path})
            except SpiceError as error:
                if len(paths) == 1:
                    raise
                failed.append(error)
            else:
                removed.append(path)
    if json:
        output.as_json({"removed": removed})
    else:
        for path in removed:
            output.line(f"Removed {output.safe(path)}")
    for error in failed:
        failures.report(error)
    if failed:
        raise typer.Exit(1)


def link(
    ctx: typer.Context,
    alias: Annotated[
        str, typer.Argument(metavar="[ALIAS]", help="The link; default: list all.")
    ] = "",
    path: Annotated[
        str,
        typer.Argument(
            metavar="[PATH]",
            help="What it is to lead to; default: show where it leads.",
            autocompletion=completion.resources,
        ),
    ] = "",
    json: Json = False,
) -> None:
    """List links, show one, or give a resource a short name."""
    with session_of(ctx).connect() as client:
        if path:
            made = client.call("resources.link", {"alias": alias, "path": path})
            if json:
                output.as_json(made)
            else:
                output.line("Successfully created symlink:")
                output.line(_link(made))
            return
        found = client.call("resources.links")["links"]
    if alias:
        found = [one for one in found if one["alias"] == alias]
        if not found:
            raise NotFound(f"there is no link {alias!r}.", hint="`spice-tui link` lists them.")
    if json:
        output.as_json(found[0] if alias else found)
    elif alias:
        output.line(_link(found[0]))
    else:
        rows = [[one["alias"], one["path"], values.ago(one["created"])] for one in found]
        output.table(["ALIAS", "RESOURCE", "CREATED"], rows)


def _link(one: dict[str, Any]) -> str:
    return f"{output.safe(one['alias'])} {resource_text.arrow()} {output.safe(one['path'])}"


def unlink(
    ctx: typer.Context,
    alias: Annotated[
        str, typer.Argument(metavar="ALIAS", autocompletion=completion.resources, help="The link.")
    ],
    json: Json = False,
) -> None:
    """Take a link away; what it leads to stays."""
    with session_of(ctx).connect() as client:
        removed = client.call("resources.unlink", {"alias": alias})
    if json:
        output.as_json(removed)
    else:
        output.line(f"Successfully removed link with alias {output.safe(alias)}.")
