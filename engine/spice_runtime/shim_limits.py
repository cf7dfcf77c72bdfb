"""Carries out a limits plan (see `spice_engine.workers.limits`) around one command."""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


class LimitGroups:
    """The control groups and resource limits of one command.

    The plan is plain data: `groups` is a list of {path, writes: [[file, value, required]]},
    `oom` a list of files that hold an `oom_kill N` line, `rlimits` a list of [name, value].
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._groups: list[dict[str, Any]] = list(plan.get("groups", []))
        self._oom: list[str] = list(plan.get("oom", []))
        self._rlimits: list[list[Any]] = list(plan.get("rlimits", []))

    def make(self) -> None:
        """Makes the groups and sets their limits.

        Raises:
            OSError: one could not be made, or a required limit not be set; none is left then.
        """
        try:
            for group in self._groups:
                Path(group["path"]).mkdir(parents=True, exist_ok=True)
                writes: list[tuple[str, str, bool]] = group["writes"]
                for name, value, required in writes:
                    try:
                        _write(Path(group["path"], name), value)
                    except OSError:
                        if required:
                            raise
        except OSError:
            self.remove()
            raise

    def enter(self) -> None:
        """Puts the calling process under all limits; between fork and exec."""
        for group in self._groups:
            _write(Path(group["path"], "cgroup.procs"), str(os.getpid()))
        for name, value in self._rlimits:
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (limit, limit))

    def kill(self) -> None:
        """Kills every process in the groups."""
        for pid in self.members():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def members(self) -> set[int]:
        """The pids in the groups; what a group does not show counts as none."""
        pids: set[int] = set()
        for group in self._groups:
            try:
                text = Path(group["path"], "cgroup.procs").read_text("ascii")
                pids.update(int(line) for line in text.split())
            except (OSError, ValueError):
                continue
        return pids

    def oom_kills(self) -> int:
        """How many processes the kernel killed for memory."""
        count = 0
        for path in self._oom:
            try:
                with open(path, encoding="ascii") as file:
                    for line in file:
                        name, _, value = line.partition(" ")
                        if name == "oom_kill":
                            count = max(count, int(value))
            except (OSError, ValueError):
                continue
        return count

    def remove(self) -> None:
        """Removes the groups; one that stays busy is left to the engine's next start."""
        for group in self._groups:
            for _ in range(20):
                try:
                    Path(group["path"]).rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    # The kernel lets go of a group a moment after its last process.
                    time.sleep(0.01)
                else:
                    break


def _write(path: Path, value: str) -> None:
    # Not by O_CREAT: a file that a group does not have must be an error.
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
