"""What a screen is started with."""

from __future__ import annotations

from pathlib import Path

from spice_engine.records import record
from spice_tui.models.coalesce import LOCAL_SECONDS


@record
class AppSettings:
    """`folder` is the name that is shown, `key` tells the folder from others on this machine.

    `root` is None where the folder is not on this machine: behind a forwarded socket, or in a
    recording. `remember`: keep the session and drafts on disk. `tick`: least seconds between two
    drawings of what the engine tells.
    """

    folder: str
    key: str
    root: Path | None = None
    tick: float = LOCAL_SECONDS
    remember: bool = True
    theme: str = ""
    view: str = ""
    mouse: bool = True
    notify: bool = True
    replayed: bool = False
    ansi: bool = False
    """Use the terminal's own 16 colours."""
