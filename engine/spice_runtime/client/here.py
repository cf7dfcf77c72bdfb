"""The engine of the folder that a process stands in, for scripts that no engine started."""

from __future__ import annotations

from pathlib import Path


def engine_around(start: Path) -> tuple[str, str, str] | None:
    """Address, token and state folder of the engine of the nearest folder at or above `start`
    that has one."""
    for folder in (start, *start.parents):
        state = folder / ".spice"
        try:
            url, token = (state / "http").read_text(), (state / "token").read_text()
        except OSError:
            continue
        return url.strip(), token.strip(), str(state)
    return None
