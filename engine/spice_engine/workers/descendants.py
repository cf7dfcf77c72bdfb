"""The processes below a process, as the system tells them. Blocks."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """All processes below one; those of one that is gone are not found."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in _children(waiting.pop()):
            found.append(child)
            waiting.append(child)
    return found


def _children(pid: int) -> list[int]:
    """What any thread of a process forked; a user's program may do so in each."""
    try:
        found: list[int] = []
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                text = (task / "children").read_text(encoding="ascii")
                found += [int(one) for one in text.split()]
    except OSError:
        import psutil  # only here, and where processes are: the engine's start would wait for it

        with suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children()]
        return []
    return found
