"""Wait for engines to go or to be replaced, and find all engines of this user."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from spice_engine.errors import DeadlineExceeded, SpiceError
from spice_engine.protocol.location import Location, is_locked, state_home
from spice_tui.client import Client

SECONDS = 30.0
"""Longest wait for an engine to go, or for the next one to answer."""


def await_gone(location: Location, seconds: float = SECONDS) -> None:
    """Wait until no engine holds the folder.

    Raises:
        DeadlineExceeded: one still does.
    """
    deadline = time.monotonic() + seconds
    while is_locked(location):
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"the engine of {location.root} is still there after {seconds:.0f} s.",
                hint="It may be draining: look with spice-tui engine logs.",
            )
        time.sleep(0.05)


def await_successor(location: Location, started: float, seconds: float = SECONDS) -> Client:
    """Wait until an engine answers that started after `started`; its process may be the same.

    Raises:
        DeadlineExceeded: none did.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            client = Client(location, timeout=5.0)
        except SpiceError:
            time.sleep(0.05)
            continue
        if client.welcome.started > started:
            return client
        client.close()
        time.sleep(0.05)
    raise DeadlineExceeded(
        f"no new engine of {location.root} answered within {seconds:.0f} s.",
        hint="Look with spice-tui engine logs.",
    )


def engines() -> list[dict[str, Any]]:
    """Every folder an engine has noted itself for, and whether it answers now."""
    folder = state_home() / "engines"
    found: list[dict[str, Any]] = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            root, state = entry.read_text(encoding="utf-8").splitlines()[:2]
        except (OSError, ValueError):
            continue  # half gone, or not ours: the engine tidies this list
        location = Location(Path(root), Path(state))
        if location.state.is_dir():
            found.append(_look(location))
    return found


def _look(location: Location) -> dict[str, Any]:
    row: dict[str, Any] = {
        "app_folder": str(location.root),
        "state_folder": str(location.state),
        "state": "stopped",
        "pid": None,
        "version": None,
        "http": None,
    }
    try:
        with Client(location, timeout=1.0) as client:
            row |= {"state": "running", "pid": client.welcome.pid, "version": client.welcome.engine}
    except SpiceError:
        if is_locked(location):
            row["state"] = "not answering"
        return row
    try:
        row["http"] = location.http.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        row["http"] = None
    return row
