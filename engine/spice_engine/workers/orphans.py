"""What outlived the shim of a job: found and killed, for nobody sees its output or its end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spice_runtime import process
from spice_runtime.shim_limits import LimitGroups

_ROUNDS = 50
_ROUND_SECONDS = 0.02


def end(folder: Path, claim: Mapping[str, Any]) -> None:
    """Kill all that the shim of a `claim` has started in the job's `folder`. Blocks.

    That is the command with its session, what it started that went into another one, by the mark
    that all of it has in its environment, and what is in the control groups of the job, which are
    removed.
    """
    shim = process.read_json(str(folder), process.SHIM) or {}
    groups = LimitGroups((process.read_json(str(folder), process.JOB) or {}).get("limits") or {})
    mark = f"{process.MARK}={process.mark_of(dict(claim))}".encode()
    for _ in range(_ROUNDS):
        # Again until there is none: what is killed may have forked just before.
        _end_session(int(shim.get("child", 0)), shim)
        groups.kill()
        marked = _marked(mark)
        for pid in marked:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)
        if not marked and not groups.members():
            break
        time.sleep(_ROUND_SECONDS)
    groups.remove()
    with suppress(OSError):
        (folder / process.SOCKET).unlink()


def _end_session(pid: int, shim: Mapping[str, Any]) -> None:
    if pid > 0 and (
        process.is_alive(pid, shim.get("child_identity"))
        or _has_output(pid, shim.get("output_inode"))
    ):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, 9)


def _has_output(session: int, inode: object) -> bool:
    """Whether a process of the session holds the job's output. The session's number alone may
    have come to another one. Without /proc: False."""
    target = f"pipe:[{inode}]"
    for entry in Path("/proc").glob("[0-9]*"):
        # Processes end meanwhile, and those of others do not show what they hold.
        with suppress(OSError):
            if os.getsid(int(entry.name)) == session and any(
                str(held.readlink()) == target for held in (entry / "fd").iterdir()
            ):
                return True
    return False


def _marked(mark: bytes) -> list[int]:
    """The processes that live and carry the mark. Without /proc: none."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        # Processes end meanwhile, and those of others do not show what they were given.
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
