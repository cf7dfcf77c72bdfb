"""`trust`: let code that lies in the app folder run, after showing what would."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import output, values
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of


def trust(
    ctx: typer.Context,
    revoke: Annotated[bool, typer.Option("--revoke", help="Trust the folder no more.")] = False,
    show: Annotated[
        bool, typer.Option("--list", help="Show all trusted folders; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Let the code of this folder run (reward functions in .py files)."""
    if revoke and show:
        raise InvalidRequest("--revoke and --list do not go together.")
    with session_of(ctx).connect(make=True) as client:
        status = client.call("trust.status")
        if show:
            if json:
                output.as_json(status["folders"])
            else:
                _show_folders(status["folders"])
            return
        if not revoke and not status["trusted"]:
            if not json:
                _show_code(status)
            _ask(status["folder"], yes=yes)
        if revoke or not status["trusted"] or status["for_this_process"]:
            status = client.call("trust.set", {"trusted": not revoke})
    if json:
        output.as_json(status)
    elif revoke and status["for_this_process"]:
        output.line("Not trusted any more; this engine was started with --trust, and goes on.")
    else:
        state = "not trusted" if revoke else "trusted"
        output.line(f"{output.safe(status['folder'])} is {state}.")


def _show_folders(folders: list[dict[str, Any]]) -> None:
    rows = [[folder["path"], values.ago(folder["since"])] for folder in folders]
    output.table(["FOLDER", "TRUSTED"], rows)


def _show_code(status: dict[str, Any]) -> None:
    code = status["code"]
    if not code:
        output.line("No pod of this folder has code in a file of its own now.")
        return
    output.line("This code would run whenever its pods are trained, with your rights:")
    for file in code:
        missing = "" if file["exists"] else " (missing)"
        pods = ", ".join(file["pods"])
        output.line(f"  {output.safe(file['path'])}{missing}: {output.safe(pods)}")


def _ask(folder: str, *, yes: bool) -> None:
    """Have a person say yes.

    Raises:
        InvalidRequest: nobody can be asked.
        typer.Abort: they said no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidRequest(
            "nobody can be asked here whether to trust the code.",
            hint="Look at it, then say so with --yes.",
        )
    typer.confirm(f"Trust the code in {output.safe(folder)}?", abort=True, err=True)
