"""`upload`: take a folder or file of this machine into the engine's store."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from spice_engine.errors import InvalidRequest, NotFound, SpiceError
from spice_tui.cli import output, resource_text, values
from spice_tui.cli.output import Json
from spice_tui.cli.progress import Bar, bar
from spice_tui.cli.resources import LONG
from spice_tui.cli.session import Session, expand, session_of


def upload(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A folder or a file.")],
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", help="Default: the folder's name.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an upload of that name.")
    ] = False,
    compress: Annotated[  # noqa: ARG001 - nothing goes over a network
        bool, typer.Option("--compress", "-c", hidden=True)
    ] = False,
    json: Json = False,
) -> None:
    """Take a folder or file of this machine in as uploads/NAME; equal files are kept once."""
    source = expand(path).absolute()
    if not source.exists():
        raise NotFound(f"there is no file or folder {path!r}.")
    name = name or _name(source)
    session = session_of(ctx)
    total = _size_of(source, session.location.state)
    if not json:
        output.line(f"Total upload size: {resource_text.size(total)}")
    params = {"source": str(source), "name": name, "replace": replace}
    with session.connect() as client, bar("Uploading", total, quiet=json, in_bytes=True) as shown:
        follower = threading.Thread(target=_follow, args=(session, name, shown), daemon=True)
        if output.is_terminal() and not json:
            follower.start()
        made = client.call("resources.upload", params, timeout=LONG)
    if json:
        output.as_json(made)
        return
    shown_path, target = output.safe(path), output.safe(made["path"])
    output.line(f"Upload of {output.safe(name)} ({shown_path}) to '{target}' complete.")


def _name(source: Path) -> str:
    if source.is_dir():
        return source.resolve().name
    if not sys.stdin.isatty():
        raise InvalidRequest("an upload of a file needs a name.", hint="Give one: -n NAME.")
    return str(typer.prompt("Name of the upload", default=source.stem, err=True))


def _size_of(source: Path, state: Path) -> int:
    """Bytes of the files in a folder, or of a file; the engine's own are never taken in."""
    if not source.is_dir():
        return source.stat().st_size
    total = 0
    for folder, inner, files in os.walk(source):
        if folder == str(state.parent):
            inner[:] = [name for name in inner if name != state.name]
        for file in files:
            with contextlib.suppress(OSError):
                found = Path(folder, file).lstat()
                total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def _follow(session: Session, name: str, shown: Bar) -> None:
    """Move the bar as the engine tells; it is a comfort only."""
    with contextlib.suppress(SpiceError), session.attach() as client:
        for event in client.follow("uploads"):
            if not isinstance(event.data, dict):
                continue
            changed = event.data.get("set", event.data)
            if name in changed:
                count = changed[name]["files"]
                shown.advance(changed[name]["size"], values.counted(count, "file"))
            elif name in event.data.get("del", ()):
                return
