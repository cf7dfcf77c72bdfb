"""The program's first step. The screen is opened without the library of the command line, which
takes as long to import as a tenth of the first paint has.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run what the process's arguments say and give the exit code."""
    from spice_tui.cli.ending import settle

    try:
        code = _run()
    except KeyboardInterrupt:  # while what it needs was still imported
        from spice_tui.cli.exit_codes import ExitCode

        code = ExitCode.INTERRUPTED
    settle()
    return code


def _run() -> int:
    folder = folder_alone(sys.argv[1:])
    if folder is not None and sys.stdin.isatty() and sys.stdout.isatty():
        return _open(folder)
    from spice_tui.cli.main import main as run_command

    return run_command()


def folder_alone(arguments: list[str]) -> str | None:
    """The app folder that is named, where nothing else is; empty for the one around here."""
    match arguments:
        case []:
            return ""
        case ["-C" | "--folder", folder] if folder and not folder.startswith("-"):
            return folder
        case _:
            return None


def _open(folder: str) -> int:
    from spice_engine.errors import SpiceError
    from spice_tui.cli.screen import ScreenOptions, open_screen
    from spice_tui.cli.session import Session

    try:
        return open_screen(Session(folder), ScreenOptions())
    except SpiceError as error:
        from spice_tui.cli import failures, output

        output.prepare()
        return failures.report(error)
    except KeyboardInterrupt:
        from spice_tui.cli.exit_codes import ExitCode

        return ExitCode.INTERRUPTED
