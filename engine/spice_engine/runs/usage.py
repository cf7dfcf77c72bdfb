"""What runs use: cores, memory, disks, network. Read from the system; everything blocks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import field

from spice_engine.records import record
from spice_engine.workers.descendants import descendants

_LOOPS = ("lo", "lo0")


@record
class RunUsage:
    """All processes of one run together. `cpu` is in cores, the rest in bytes since the run began;
    disks and network are None where the system does not tell. `ranks` has the cores and the memory
    of each rank.

    No system tells whose the bytes of a network are: `received` and `sent` are all that went
    through the machine's interfaces, but that to itself, since the run was first looked at."""

    time: float
    pids: tuple[int, ...]
    cpu: float
    memory: int
    read: int | None
    written: int | None
    ranks: Mapping[int, tuple[float, int]] = field(default_factory=dict[int, tuple[float, int]])
    received: int | None = None
    sent: int | None = None


@record
class _Read:
    """What one process said."""

    seconds: float
    memory: int
    shared: int


class RunUsages:
    """Keeps what was read last of each run, so that the next reading gives a rate."""

    def __init__(self) -> None:
        self._seconds: dict[int, tuple[float, dict[int, float]]] = {}
        self._disks: dict[int, dict[int, tuple[int, int]]] = {}
        self._networks: dict[int, tuple[int, int]] = {}

    def forget_others(self, runs: Iterable[int]) -> None:
        """Keep these runs only."""
        kept = set(runs)
        for known in (self._seconds, self._disks, self._networks):
            for gone in known.keys() - kept:
                del known[gone]

    def read(
        self, run: int, shim: int, began: float, ranks: Mapping[int, int] | None = None
    ) -> RunUsage:
        """The usage of a run by the pid of its shim, which is not counted, when it began (Unix
        seconds), and the pids of its ranks. Memory that processes share is counted once."""
        import psutil  # not before a run runs: the engine's start would wait for it

        now, wall = time.monotonic(), time.time()
        pids = tuple(descendants(shim))
        found: dict[int, _Read] = {}
        disks = self._disks.setdefault(run, {})
        for pid in pids:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                with process.oneshot():
                    times, sizes = process.cpu_times(), process.memory_info()
                shared = int(getattr(sizes, "shared", 0))
                found[pid] = _Read(times.user + times.system, sizes.rss, shared)
                with suppress(AttributeError, psutil.Error):  # macOS does not tell
                    counters = process.io_counters()
                    disks[pid] = (counters.read_bytes, counters.write_bytes)
        then, before = self._seconds.get(run, (now - max(0.01, wall - began), {}))
        self._seconds[run] = (now, {pid: one.seconds for pid, one in found.items()})

        def used(some: Iterable[int]) -> tuple[float, int]:
            """The cores and the memory of some of the processes together."""
            read = [(pid, found[pid]) for pid in some if pid in found]
            # One that ended takes its seconds along: what is missing of them shows in no rate.
            spent = sum(max(0.0, one.seconds - before.get(pid, 0.0)) for pid, one in read)
            memory = sum(max(0, one.memory - one.shared) for _, one in read)
            memory += max((one.shared for _, one in read), default=0)
            return (spent / (now - then) if now > then else 0.0), memory

        cpu, memory = used(pids)
        told = bool(disks)
        received, sent = self._network(run)
        return RunUsage(
            wall,
            pids,
            cpu,
            memory,
            sum(read for read, _ in disks.values()) if told else None,
            sum(written for _, written in disks.values()) if told else None,
            {rank: used((pid, *descendants(pid))) for rank, pid in (ranks or {}).items()},
            received,
            sent,
        )

    def _network(self, run: int) -> tuple[int, int] | tuple[None, None]:
        import psutil

        try:
            cards = psutil.net_io_counters(pernic=True)
        except OSError:  # /proc/net may be closed
            return None, None
        outer = [one for name, one in cards.items() if name not in _LOOPS]
        received, sent = sum(one.bytes_recv for one in outer), sum(one.bytes_sent for one in outer)
        first = self._networks.setdefault(run, (received, sent))
        # An interface that is gone takes its bytes along.
        return max(0, received - first[0]), max(0, sent - first[1])
