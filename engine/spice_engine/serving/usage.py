"""What the processes of replicas use: cores and memory, read from the system. Blocks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from spice_engine.serving.server_view import Usage
from spice_engine.workers.descendants import descendants


class UsageReader:
    """Keeps what was read last, so that the next reading gives a rate."""

    def __init__(self) -> None:
        self._cpu: dict[int, tuple[float, float]] = {}

    def read(self, shims: Iterable[int]) -> dict[int, Usage]:
        """Cores since the last reading and bytes, by the pid of each replica's shim.

        Memory that a replica's workers share is counted once, the shim not at all.
        """
        import psutil  # not before a replica runs: the engine's start would wait for it

        found: dict[int, Usage] = {}
        seen: dict[int, tuple[float, float]] = {}
        now = time.monotonic()
        for shim in shims:
            seconds, memory, shared = 0.0, 0, 0
            for pid in descendants(shim):
                with suppress(psutil.Error):
                    process = psutil.Process(pid)
                    with process.oneshot():
                        times, sizes = process.cpu_times(), process.memory_info()
                    seconds += times.user + times.system
                    both = int(getattr(sizes, "shared", 0))
                    memory += max(0, sizes.rss - both)
                    shared = max(shared, both)
            before = self._cpu.get(shim)
            seen[shim] = (now, seconds)
            cpu = 0.0
            if before is not None and now > before[0]:
                cpu = max(0.0, seconds - before[1]) / (now - before[0])
            found[shim] = Usage(cpu, memory + shared)
        self._cpu = seen
        return found
