"""`doctor`: what this machine has and lacks, looked at by a process of its own."""

from __future__ import annotations

import json as codec
import subprocess
import sys
from typing import Annotated, Any

import typer

from spice_engine.errors import ChildFailed, revive
from spice_tui.cli import output
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

SECONDS = 120.0
_COLOR = {"ok": "green", "warning": "yellow", "missing": "red"}


def doctor(
    ctx: typer.Context,
    make_tls: Annotated[
        bool, typer.Option("--make-tls", help="Make a key and certificate for the HTTP door.")
    ] = False,
    json: Json = False,
) -> None:
    """Check that this machine has what the engine needs; ends with 1 if something is missing."""
    # Its own process: it imports what the engine and its children do, which a command must not.
    command = [
        sys.executable,
        "-I",
        "-m",
        "spice_engine.doctor",
        str(session_of(ctx).location.root),
    ]
    report = examine([*command, "--json", *(["--make-tls"] if make_tls else [])])
    findings: list[dict[str, Any]] = report["findings"]
    if json:
        output.as_json(report)
    else:
        output.table(
            ["NAME", "STATUS", "DETAIL", "ADVICE"],
            [
                [item["name"], _status(item["status"]), item["detail"], item.get("advice", "")]
                for item in findings
            ],
        )
    if any(item["status"] == "missing" for item in findings):
        raise typer.Exit(ExitCode.FAILED)


def examine(command: list[str]) -> dict[str, Any]:
    """What the doctor's process reports.

    Raises:
        ChildFailed: it died, took too long, or said nothing that can be read.
    """
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"the doctor did not end within {SECONDS:.0f} s.") from None
    try:
        report = codec.loads(done.stdout)
        if "error" in report:
            raise revive(report["error"])
        if isinstance(report["findings"], list):
            return report
    except (ValueError, KeyError, TypeError):
        pass  # told below, with what the process said instead
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    raise ChildFailed(
        f"the doctor failed (exit code {done.returncode}): {said[-1] if said else 'no reason'}."
    )


def _status(status: str) -> str:
    return output.paint(status, _COLOR.get(status, "bold"))
