"""What is remembered of a folder's screen between two starts: view, pod, sizes, filters."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from spice_engine.errors import SpiceError
from spice_engine.protocol.location import state_home
from spice_engine.records import record
from spice_tui.models.build import build


@record
class SavedSession:
    """`pages` maps a pane to the page it showed, `filters` and `sorts` a table to its own,
    `payloads` a server to the request that was composed last."""

    view: str = "pods"
    pod: str = ""
    theme: str = ""
    pages: dict[str, str] = field(default_factory=dict[str, str])
    filters: dict[str, str] = field(default_factory=dict[str, str])
    sorts: dict[str, str] = field(default_factory=dict[str, str])
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    history: list[str] = field(default_factory=list[str])
    tutorial_seen: bool = False
    payloads: dict[str, str] = field(default_factory=dict[str, str])


def session_file(key: str) -> Path:
    """Where a folder's session is kept; `key` is the folder's (`Location.key`)."""
    return state_home() / "sessions" / f"{key}.json"


def load_session(path: Path | None) -> SavedSession:
    """What is remembered; a file that is not there or is damaged is like none."""
    if path is None:
        return SavedSession()
    try:
        data: Any = json.loads(path.read_bytes())
        session = build(SavedSession, data)
    except (OSError, ValueError, SpiceError):
        return SavedSession()
    return session if _is_sound(session) else SavedSession()


def _is_sound(session: SavedSession) -> bool:
    """Whether each value is of its type: the file may have been edited by hand."""
    if not isinstance(session.history, list) or not isinstance(session.tutorial_seen, bool):
        return False
    texts = (session.view, session.pod, session.theme, *session.history)
    maps = (session.pages, session.filters, session.sorts, session.payloads)
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(one, dict) for one in (*maps, session.sizes))
        and all(isinstance(value, str) for one in maps for value in one.values())
        and all(type(value) is int and value > 0 for value in session.sizes.values())
    )


def save_session(path: Path | None, session: SavedSession) -> None:
    """Remember it, whole or not at all. A folder that cannot be written costs the memory only."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(session), file)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
