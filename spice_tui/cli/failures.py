"""Errors as one readable paragraph on stderr, or as one JSON object there with `--json`."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import InvalidManifest, SpiceError
from spice_tui.cli import output
from spice_tui.cli.exit_codes import ExitCode, of_error


def say(text: str) -> None:
    """`error: text` as one paragraph on stderr, wrapped on a terminal, one line elsewhere."""
    text = output.safe(f"error: {text}")
    if sys.stderr.isatty():
        width = max(40, shutil.get_terminal_size().columns)
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    output.error_line(output.paint_start(text, "error:", "red"))


def report(error: SpiceError) -> int:
    """Show an error of ours; gives the exit code."""
    if output.json_wanted():
        output.error_line(json.dumps({"error": error.as_dict()}, ensure_ascii=False))
        return of_error(error.code, error.exit_code)
    problems = error.problems if isinstance(error, InvalidManifest) else ()
    for problem in problems:
        output.error_line(output.safe(problem_line(problem)))
    if not problems or error.place is None:  # else the first of them is the error itself
        say(str(error))
    return of_error(error.code, error.exit_code)


def report_usage(error: Any) -> int:
    """Show what is wrong with the command line itself; gives the exit code."""
    message = str(error.format_message()).strip()
    if output.json_wanted():
        answer = {"error": {"code": "usage", "message": message}}
        output.error_line(json.dumps(answer, ensure_ascii=False))
        return ExitCode.USAGE
    context = getattr(error, "ctx", None)
    if context is not None and message == str(context.get_help()).strip():
        # A group without a command: its help is all there is to say.
        output.error_line(message)
        return int(getattr(error, "exit_code", ExitCode.USAGE))
    say(message)
    if context is not None:
        output.error_line(context.get_usage())
        output.error_line(f"More: {context.command_path} --help")
    return int(getattr(error, "exit_code", ExitCode.USAGE))


def problem_line(problem: Mapping[str, Any]) -> str:
    """A finding as `file:line:col: severity code: sentence`."""
    place = str(problem.get("file", ""))
    if problem.get("line"):
        place += f":{problem['line']}:{problem.get('column') or 1}"
    text = (
        f"{place}: {problem.get('severity', 'error')} {problem.get('code', '')}: "
        f"{problem.get('message', '')}"
    )
    return f"{text} {problem['hint']}" if problem.get("hint") else text
