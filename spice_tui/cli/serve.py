"""Become the engine: the process is replaced, so that signals and exit codes are its own."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from spice_tui.cli import output
from spice_tui.cli.session import Session


def serve(session: Session, flags: list[str]) -> NoReturn:
    """Run the folder's engine in the foreground."""
    output.flush()
    folder = str(session.location.root)
    # -I: a folder of the user's can shadow neither the engine nor the standard library.
    command = [sys.executable, "-I", "-m", "spice_engine", "--serve", folder, *flags]
    os.execv(sys.executable, command)
