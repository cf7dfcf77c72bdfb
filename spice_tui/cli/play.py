"""`play`: play tapes on the terminal app without a terminal, and compare the screens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spice_engine.errors import SpiceError
from spice_tui.cli import failures, output
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of

if TYPE_CHECKING:
    from spice_tui.tape.results import TapeResult

FORMATS = ("text", "json")
_MARKS = {"same": "ok", "new": "new", "updated": "updated"}


def play(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Tapes: *.tape.")],
    update: Annotated[
        bool, typer.Option("--update", "-u", help="Store the screens as they are now.")
    ] = False,
    form: Annotated[
        str, typer.Option("--format", metavar="text|json", help="How to print the results.")
    ] = "text",
    snapshots: Annotated[
        str,
        typer.Option(metavar="DIR", help="Where snapshots are; default: beside each tape."),
    ] = "",
    only: Annotated[str, typer.Option(metavar="NAME", help="Compare this screenshot alone.")] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the folder in which the tape played.")
    ] = False,
    json: Json = False,
) -> None:
    """Play tapes, and compare their screens with the stored ones. Format: docs/tapes.md."""
    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not text or json.", param_hint="--format")
    location = session_of(ctx).location
    # Textual reads these when it is imported.
    for name in [name for name in os.environ if name.startswith("TEXTUAL")]:
        del os.environ[name]
    from spice_tui.tape.play import Options, play_file
    from spice_tui.tape.screen import make_app

    folder = expand(snapshots) if snapshots else None
    options = Options(update, folder, only, keep, location)
    results: list[TapeResult] = []
    code = ExitCode.OK
    for file in files:
        try:
            result = play_file(expand(file), make_app, options)
        except SpiceError as error:
            code = code if code > ExitCode.FAILED else ExitCode(failures.report(error))
            continue
        results.append(result)
        if not result.ok:
            code = code or ExitCode.FAILED
        if not json and form == "text":
            _show(result)
    if json or form == "json":
        output.as_json([result.as_dict() for result in results])
    if code:
        raise typer.Exit(code)


def _show(result: TapeResult) -> None:
    """Print a result, with what differs."""
    for shot in result.screenshots:
        line = f"{result.tape} {shot.name}: {_MARKS.get(shot.status, shot.status)}"
        output.line(output.safe(line))
        for text in shot.difference.split("\n") if shot.difference else ():
            output.line(output.safe(f"    {text}"))
    failed: Any = result.failed
    if failed is not None:
        output.line(output.safe(f"{failed.file}:{failed.line}:{failed.column}: {failed.message}"))
        if failed.screen:
            output.line("The screen then:")
            for text in failed.screen.rstrip("\n").split("\n"):
                output.line(output.safe(f"    | {text}"))
    ending = "ok" if result.ok else "FAILED"
    output.line(output.safe(f"{result.tape}: {ending}, {result.steps} steps"))
    if result.kept:
        output.line(output.safe(f"Kept: {result.kept}"))
