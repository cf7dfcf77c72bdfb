"""`resources`: what the engine's files take of the disk, and removing what old runs left."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import output, values
from spice_tui.cli.groups import group
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

app = group("Show what is kept takes of the disk, and remove what old runs left.")

LONG = 3600.0
"""Seconds that measuring and removing may take."""


@app.command()
def usage(
    ctx: typer.Context,
    number: Annotated[
        int, typer.Option("--number", "-n", help="Of the largest runs, at most this many.")
    ] = 5,
    json: Json = False,
) -> None:
    """Show what the engine's files take of the disk; what several have in common counts once."""
    with session_of(ctx).connect() as client:
        found = client.call("resources.usage", timeout=LONG)
    if json:
        output.as_json(found)
        return
    size = values.size_text
    rows = [[size(one["bytes"]), one["files"], one["name"]] for one in found["parts"]]
    output.table(["SIZE", "FILES", "WHAT"], rows, right=["SIZE", "FILES"])
    output.line(f"{size(found['total'])} in all; {size(found['free'])} are free.")
    if found["stored"]:
        output.line("")
        rows = [
            [size(one["bytes"]), size(one["alone"]), one["objects"], one["owners"], one["name"]]
            for one in found["stored"]
        ]
        columns = ["SIZE", "ALONE", "OBJECTS", "OF", "STORED FOR"]
        output.table(columns, rows, right=columns[:-1])
    runs = [one for one in found["runs"] if one["bytes"]][: max(0, number)]
    if runs:
        output.line("")
        rows = [[size(one["bytes"]), size(one["outputs"]), one["id"]] for one in runs]
        output.table(["SIZE", "OUTPUTS", "RUN"], rows, right=["SIZE", "OUTPUTS"])


@app.command()
def prune(
    ctx: typer.Context,
    *,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help="Of runs that ended longer ago, too: 12h, 30d; bare: days.",
        ),
    ] = "",
    outputs: Annotated[
        bool, typer.Option("--outputs", help="Only what they left, not what they began with.")
    ] = False,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Only what they began with, not what they left.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", "--force", "-f", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove what archived runs left, and the folders they began with; runs and logs stay."""
    both = outputs == snapshots
    params: dict[str, Any] = {
        "older_than": option(older_than, _age, "--older-than") if older_than else None,
        "outputs": both or outputs,
        "snapshots": both or snapshots,
    }
    with session_of(ctx).connect() as client:
        found = client.call("resources.prune", {**params, "dry_run": True}, timeout=LONG)
        if not dry_run and found["runs"]:
            if not yes:
                _ask(found, json=json)
            found = client.call("resources.prune", {**params, "dry_run": False}, timeout=LONG)
    if json:
        output.as_json(found)
        return
    output.line(_said(found))
    for number, reason in found["kept"].items():
        output.line(f"Run {number} stays as it is: {output.safe(reason)}")


def _age(text: str) -> float:
    return values.duration(text, bare="d")


def _ask(found: dict[str, Any], *, json: bool) -> None:
    """Have a person say yes.

    Raises:
        InvalidRequest: nobody can be asked.
        typer.Abort: they said no.
    """
    if json or not sys.stdin.isatty():
        raise InvalidRequest(_said(found), hint="Nobody can be asked: say -y to remove it.")
    output.error_line(_said(found))
    typer.confirm("Remove it?", abort=True, err=True)


def _said(found: dict[str, Any]) -> str:
    count = len(found["runs"])
    if not count:
        return "There is nothing to remove."
    word = "would go" if found["dry_run"] else "are gone"
    parts: list[str] = []
    if found["output_files"]:
        files = found["output_files"]
        size = values.size_text(found["output_bytes"])
        parts.append(f"{values.counted(files, 'file')} ({size}) that they left")
    if found["snapshots"]:
        size = values.size_text(found["snapshot_bytes"])
        parts.append(f"what they began with ({size} that nothing else needs)")
    runs = "1 run" if count == 1 else f"{count} runs"
    return f"Of {runs} {word}: {' and '.join(parts)}."
