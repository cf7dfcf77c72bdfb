"""What the processes of runs use: cores, memory, disks. Read from the system; everything blocks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from spice_engine.workers.descendants import descendants


@dataclass(frozen=True, slots=True)
class RunUsage:
    """All processes of one run together. `cpu` is in cores, the rest in bytes since the run began;
    disks are None where the system does not tell."""

    time: float
    pids: tuple[int, ...]
    cpu: float
    memory: int
    read: int | None
    written: int | None


class RunUsages:
    """Keeps what was read last of each run, so that the next reading gives a rate."""

    def __init__(self) -> None:
        self._seconds: dict[int, tuple[float, dict[int, float]]] = {}
        self._disks: dict[int, dict[int, tuple[int, int]]] = {}

    def forget_others(self, runs: Iterable[int]) -> None:
        """Keep these runs only."""
        kept = set(runs)
        for known in (self._seconds, self._disks):
            for gone in known.keys() - kept:
                del known[gone]

    def read(self, run: int, shim: int, began: float) -> RunUsage:
        """The usage of a run by the pid of its shim, which is not counted, and when it began (Unix
        seconds). Memory that processes share is counted once."""
        import psutil  # not before a run runs: the engine's start would wait for it

        now, wall = time.monotonic(), time.time()
        pids = tuple(descendants(shim))
        seconds: dict[int, float] = {}
        disks = self._disks.setdefault(run, {})
        memory = shared = 0
        for pid in pids:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                with process.oneshot():
                    times, sizes = process.cpu_times(), process.memory_info()
                seconds[pid] = times.user + times.system
                both = int(getattr(sizes, "shared", 0))
                memory += max(0, sizes.rss - both)
                shared = max(shared, both)
                with suppress(AttributeError, psutil.Error):  # macOS does not tell
                    counters = process.io_counters()
                    disks[pid] = (counters.read_bytes, counters.write_bytes)
        then, before = self._seconds.get(run, (now - max(0.01, wall - began), {}))
        self._seconds[run] = (now, seconds)
        # One that ended takes its seconds along: what is missing of them shows in no rate.
        used = sum(max(0.0, spent - before.get(pid, 0.0)) for pid, spent in seconds.items())
        cpu = used / (now - then) if now > then else 0.0
        told = bool(disks)
        return RunUsage(
            wall,
            pids,
            cpu,
            memory + shared,
            sum(read for read, _ in disks.values()) if told else None,
            sum(written for _, written in disks.values()) if told else None,
        )
