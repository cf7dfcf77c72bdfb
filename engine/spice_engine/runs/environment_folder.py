"""What lies in the folder of one environment: attempts at it, and which of them counts. Blocks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any, cast

from spice_engine.records import record
from spice_engine.runs import environment_script as scripts
from spice_engine.store import removal
from spice_engine.store.disk import storage_error
from spice_runtime import process

READY = "ready"
UNUSED_SECONDS = 30 * 86400.0
_TAIL_BYTES = 16 * 1024
_LARGE = (scripts.VENV, "root", "system")


@record
class Ready:
    """What was made: `attempt` is its folder, `seconds` what it took, `asked` for what, `below` the
    keys of what it stands on. Sizes are bytes; `own` are those it shares with nobody."""

    key: str
    attempt: Path
    created: float
    seconds: float
    asked: Mapping[str, Any] = field(default_factory=dict[str, Any])
    below: tuple[str, ...] = ()
    size: int = 0
    own: int = 0
    used: float = 0.0


def tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return opened.read().decode("utf-8", "replace")
    except OSError:
        return ""


def attempts(folder: Path) -> list[Path]:
    """Attempts at an environment, the newest first."""
    with suppress(OSError):
        return sorted((item for item in folder.iterdir() if item.is_dir()), reverse=True)
    return []


def write_ready(
    folder: Path,
    attempt: Path,
    seconds: float,
    asked: Mapping[str, Any],
    below: Collection[str] = (),
) -> None:
    """Have an attempt count from now on.

    Raises:
        StorageError: the disk is full or broken.
    """
    size, own = sizes(attempt)
    note = {
        "attempt": attempt.name,
        "created": time.time(),
        "seconds": round(seconds, 3),
        "asked": {name: value for name, value in asked.items() if value},
        "below": list(below),
        "size": size,
        "own": own,
    }
    try:
        # What uv wrote is not flushed either: to flush this alone would promise too much.
        process.write_json(str(folder), READY, note, durable=False)
    except OSError as error:
        raise storage_error(error, "keep an environment", folder) from error


def read_ready(folder: Path) -> Ready | None:
    """What was made in a folder; None where nothing is finished."""
    file = folder / READY
    try:
        note = cast("dict[str, Any]", json.loads(file.read_bytes()))
        attempt = folder / str(note["attempt"])
        if attempt.is_dir():
            return Ready(
                folder.name,
                attempt,
                float(note["created"]),
                float(note.get("seconds", 0)),
                dict(note.get("asked", {})),
                tuple(note.get("below", ())),
                int(note.get("size", 0)),
                int(note.get("own", 0)),
                file.stat().st_mtime,
            )
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def use(folder: Path) -> None:
    """Count it as used now."""
    with suppress(OSError):
        os.utime(folder / READY)


def forget(folder: Path) -> None:
    """Let nobody find it any more."""
    (folder / READY).unlink(missing_ok=True)


def empty(attempt: Path) -> None:
    """Remove what a failed attempt made, but not its log."""
    for name in _LARGE:
        remove_tree(attempt / name)


def remove(folder: Path) -> None:
    """Remove all of an environment."""
    forget(folder)  # first: what is half gone must not be found
    remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder as far as that can be; what commands or the kernel closed in it, too."""
    with suppress(OSError):
        removal.remove(folder)


def all_ready(folder: Path) -> list[Ready]:
    """All that is finished, by key."""
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    return [found for found in map(read_ready, places) if found is not None]


def needed(found: Collection[Ready], kept: Collection[str]) -> set[str]:
    """The kept keys, with those of what they stand on."""
    below = {one.key: one.below for one in found}
    keys = set(kept)
    left = list(keys)
    while left:
        more = set(below.get(left.pop(), ())) - keys
        keys |= more
        left += more
    return keys


def prune(folder: Path, kept: Collection[str], unused_seconds: float) -> list[str]:
    """Remove what nobody used in that time, and what was never finished; gives the keys."""
    removed: list[str] = []
    oldest = time.time() - unused_seconds
    found = all_ready(folder)
    fresh = {one.key for one in found if one.used > oldest}
    keys = needed(found, {*kept, *fresh})
    for place in list(folder.iterdir()) if folder.is_dir() else []:
        try:
            used = place.stat().st_mtime
        except OSError:
            continue
        if place.name not in keys and ((place / READY).exists() or used <= oldest):
            remove(place)
            removed.append(place.name)
    return removed


def sizes(folder: Path) -> tuple[int, int]:
    """Bytes of all files below, and of those that are linked from nowhere else."""
    size = own = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                status = Path(path, name).lstat()
                size += status.st_size
                own += status.st_size if status.st_nlink == 1 else 0
    return size, own
