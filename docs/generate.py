"""Write the pages of the documentation that are made from the code.

python docs/generate.py            write them
python docs/generate.py --check    exit 1 if one is out of date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keys_page
import manifest_page
import tapes_page
import typer
import workflow_page

import spice_engine.app  # noqa: F401 - fills the operation table
from spice_engine.operations import TABLE
from spice_engine.pods import json_schema
from spice_engine.settings import Settings, describe
from spice_tui.cli.exit_codes import MEANINGS
from spice_tui.cli.lazy import COMMANDS, load
from spice_tui.cli.main import app

FOLDER = Path(__file__).resolve().parent
INTRODUCTION = """\
# The command line

<!-- Made by docs/generate.py from the commands themselves. -->

`spice-tui` opens the full-screen app; with a noun it does one thing and leaves. Where standard
input or output is no terminal, it prints what the folder has instead.
The app folder is the nearest one at or above the current directory that has `spicepods/` or
`spice.config.yaml`, or on which an engine has run; `-C DIR` names another.

- A command that needs the engine starts it when none runs; `engine status`, `engine stop`,
  `engine list`, `engine logs` and `version` never do.
- Tables are drawn on a terminal; a pipe gets plain text, aligned with spaces. `NO_COLOR` and
  `TERM=dumb` turn colour off.
- `--json` prints the answer as JSON on standard output. NaN and infinities become `null`.
  Errors are then one object on standard error, `{"error": {"code", "message", "hint"}}`, and
  standard output stays empty.
- Notes such as *Run 3 started* appear on standard error, and only on a terminal.
- `run`, `model` and `server` commands take `--from-file FILE`, a YAML or JSON map of options
  (without dashes) and arguments; the command line goes before it, option by option.
  `--save-command FILE` writes such a file from what is given.
- `run COMMAND` with one quoted argument passes it to the shell; several arguments are run as
  they are. Options of `run` come before the command, or after a quoted one.
"""


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def parameters(command: Any) -> Iterator[str]:
    """A table of a command's arguments and options, line by line."""
    rows: list[tuple[str, str]] = []
    for param in command.params:
        if getattr(param, "hidden", False):
            continue
        text = getattr(param, "help", None) or ""
        if param.param_type_name == "argument":
            rows.append((f"`{param.metavar or param.name.upper()}`", text))
            continue
        names = ", ".join(f"`{name}`" for name in sorted(param.opts, key=len))
        value = "" if param.is_flag else f" `{param.metavar or 'VALUE'}`"
        default = param.default
        shown = default not in (None, "", False, ()) and not callable(default)
        rows.append((names + value, f"{text} Default: `{default}`." if shown else text))
    if rows:
        yield "| Argument or option | Meaning |"
        yield "|---|---|"
        yield from (f"| {cell(name)} | {cell(text)} |" for name, text in rows)
        yield ""


def section(title: str, command: Any) -> Iterator[str]:
    """One command, and the commands of a group after it."""
    yield f"## `{title}`" if title.count(" ") < 2 else f"### `{title}`"
    yield ""
    yield command.help or ""
    yield ""
    yield from parameters(command)
    for name, inner in getattr(command, "commands", {}).items():
        yield from section(f"{title} {name}", inner)


def command_line() -> str:
    """The page `cli.md`."""
    root = typer.main.get_command(app)
    lines = [INTRODUCTION, "## Global options", "", *parameters(root)]
    for name, entry in COMMANDS.items():
        lines += section(f"spice-tui {name}", load(name, entry))
    lines += ["## Exit codes", "", "| Code | Meaning |", "|---|---|"]
    lines += [f"| {code.value} | {cell(meaning)} |" for code, meaning in MEANINGS.items()]
    lines += ["", "`run` and `wait` end with the exit code of the run itself.", ""]
    return "\n".join(lines)


def settings() -> str:
    """The page `settings.md`."""
    lines = [
        "# Settings",
        "",
        "<!-- Made by docs/generate.py from the settings themselves. -->",
        "",
        "A setting comes from its default, then `spice.config.yaml` in the app folder, then the",
        "environment (`SPICE_TUI_` and the name in capitals; lists by commas), then a flag of the",
        "engine. `spice-tui config` shows what is in force, and from where. A name or value that",
        "is wrong is refused with its place.",
        "",
        "| Setting | Default | Meaning |",
        "|---|---|---|",
    ]
    for name, value, meaning in describe(Settings()):
        default = "not set" if value in (None, "", []) else f"`{value}`"
        lines.append(f"| `{name}` | {default} | {cell(meaning)} |")
    return "\n".join([*lines, ""])


def operations() -> str:
    """The page `api.md`."""
    lines = [
        "# Operations",
        "",
        "<!-- Made by docs/generate.py from the operation table. -->",
        "",
        "Every ability is one operation: a call on the private socket under its name, a REST",
        "route under `/api/v1` with the token of `.spice/token`. The running engine serves the",
        "whole API with its schemas at `/docs` and `/api/openapi.json`, offline.",
        "",
        "| Operation | Route | What it does |",
        "|---|---|---|",
    ]
    for item in TABLE:
        summary = cell(item.summary.partition("\n\n")[0])
        lines.append(f"| `{item.name}` | `{item.method} {item.path}` | {summary} |")
    return "\n".join([*lines, ""])


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_line,
    "settings.md": settings,
    "api.md": operations,
    "manifest.md": manifest_page.page,
    "tapes.md": tapes_page.page,
    "keys.md": keys_page.page,
    json_schema.FILE: json_schema.as_text,
    "workflows.md": workflow_page.page,
    workflow_page.SCHEMA_FILE: workflow_page.schema,
}


def main() -> int:
    """Write or check every page."""
    parser = argparse.ArgumentParser(description="Write the generated pages.")
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    stale: list[str] = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run python docs/generate.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
