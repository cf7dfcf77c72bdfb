"""`lint`: everything that is wrong with manifests, each with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import NotFound
from spice_tui.cli import completion, failures, output, values
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.output import Json
from spice_tui.cli.session import Session, expand, session_of
from spice_tui.client import Client

_COLORS = {"error": "red", "warning": "yellow"}


def lint(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="POD|FILE",
            help="One pod or manifest; default: all of the folder.",
            autocompletion=completion.pods,
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Check manifests, and say what is wrong where; ends with 4 if there are errors."""
    session = session_of(ctx)
    problems: list[dict[str, Any]] = []
    with session.connect() as client:
        files = manifests(session, client, target)
        for file in files:
            problems += client.call("pods.lint", {"path": str(file)})["problems"]
    errors = sum(problem["severity"] == "error" for problem in problems)
    if json:
        output.as_json({"files": [str(file) for file in files], "problems": problems})
    else:
        for problem in problems:
            line = failures.problem_line(problem)
            color = _COLORS.get(problem["severity"])
            output.line(output.paint(line, color) if color else output.safe(line))
        if not problems:
            output.line(f"No problems in {values.counted(len(files), 'manifest')}.")
        elif output.is_terminal():
            warnings = values.counted(len(problems) - errors, "warning")
            output.line(f"{values.counted(errors, 'error')}, {warnings}.")
    if errors:
        raise typer.Exit(ExitCode.INVALID_POD)


def manifests(session: Session, client: Client, target: str) -> list[Path]:
    """The files to look at: the one named, the pod's, or all of the folder.

    Raises:
        NotFound: there is none.
    """
    root = session.location.root
    if target:
        path = expand(target)
        if path.is_file() or "/" in target or path.suffix in {".yaml", ".yml"}:
            if not path.is_file():
                raise NotFound(f"there is no file {target!r}.")
            return [path.resolve()]
        return [root / client.call("pods.get", {"pod": target})["manifest"]]
    folder = root / "spicepods"
    found = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not found:
        raise NotFound(
            f"there is no manifest in {folder}.", hint="Add a sample: spice-tui add samples/NAME."
        )
    return found
