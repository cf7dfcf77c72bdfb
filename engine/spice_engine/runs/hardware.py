"""What runs use of the machine: measured every few seconds and stored, and told to who asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from spice_engine.errors import Conflict, SpiceError
from spice_engine.protocol.run_metrics import GpuStats, RunStats
from spice_engine.protocol.runs import RunInfo
from spice_engine.records import record
from spice_engine.runs.gpu_usage import Gpus
from spice_engine.runs.metric_feeds import owner_of
from spice_engine.runs.rank_jobs import ranks_of
from spice_engine.runs.rounds import Rounds
from spice_engine.runs.service import Runs
from spice_engine.runs.states import has_process
from spice_engine.runs.usage import RunUsage, RunUsages
from spice_engine.store import runs as table
from spice_engine.store.series import MEASURED, Point
from spice_engine.workers.devices import devices_in
from spice_runtime import process

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.5
EVERY_LOOKS = 2
"""All runs are measured each so many looks, one that began at the next: short runs show, too."""
_LIVE = frozenset({"running", "stopping", "killing"})


@record
class _Shim:
    """Who to measure: the shim's pid, when its command began, the GPUs it was given, and the pids
    of the ranks, None while their launcher has not told them."""

    pid: int
    began: float
    devices: tuple[int, ...]
    ranks: Mapping[int, int] | None


class Hardware:
    """Measures all runs. `start` first, `close` at the end; belongs to the engine's loop."""

    def __init__(self, runs: Runs, gpus: Gpus | None = None) -> None:
        self._runs = runs
        self._gpus = gpus or Gpus()
        self._usages = RunUsages()
        self._shims: dict[int, _Shim] = {}
        self._living: set[int] = set()
        self._new: set[int] = set()
        self._looks = 0
        self._lock = asyncio.Lock()
        self._rounds = Rounds(
            "hardware of runs",
            self._look,
            seconds=lambda: LOOK_SECONDS,
            needed=lambda: self._living,
        )
        self._end_listening: Callable[[], None] = runs.listen(self._hear)

    def start(self) -> None:
        """Begin; on the running loop."""
        self._rounds.start()

    async def close(self) -> None:
        """End it."""
        self._end_listening()
        await self._rounds.close()

    def _hear(self, info: RunInfo) -> None:
        if info.state in _LIVE and has_process(info):
            if info.id not in self._living:
                self._living.add(info.id)
                self._new.add(info.id)
            self._rounds.wake()
        elif info.id in self._living:
            self._living.discard(info.id)
            self._new.discard(info.id)
            self._shims.pop(info.id, None)  # another attempt has another one

    async def stats(self, number: int) -> RunStats:
        """What a run uses now.

        Raises:
            NotFound: there is no such run.
            Conflict: it does not run.
        """
        row = await self._runs.database.read(lambda connection: table.get(connection, number))
        found = await self._read([number]) if number in self._living else {}
        if number not in found:
            state = row.state.replace("_", " ")
            raise Conflict(
                f"run {number} is {state}: it has no processes now.",
                hint=f"`spice-tui metrics {number}` shows what was measured while it ran.",
            )
        usage, gpus = found[number]
        total = self._runs.machines.room(row).memory_bytes or await asyncio.to_thread(_memory)
        return RunStats(
            number,
            usage.time,
            len(usage.pids),
            100 * usage.cpu,
            usage.memory,
            total,
            100 * usage.memory / total if total else 0.0,
            usage.read,
            usage.written,
            gpus,
            usage.received,
            usage.sent,
        )

    async def _look(self) -> None:
        self._looks += 1
        await self.measure(None if self._looks % EVERY_LOOKS == 0 else self._new)

    async def measure(self, runs: Collection[int] | None = None) -> None:
        """Measure and store once, all runs or some."""
        found = await self._read(sorted(self._living if runs is None else runs))
        self._new -= found.keys()
        for number, (usage, gpus) in found.items():
            try:
                self._runs.metrics.add(owner_of(number), _points(usage, gpus))
            except SpiceError as error:
                log.warning("run %s: what it uses is not stored: %s", number, error)
                return

    async def _read(self, numbers: list[int]) -> dict[int, tuple[RunUsage, list[GpuStats]]]:
        if not numbers:
            return {}
        folders = {number: self._runs.folder(number) for number in numbers}
        async with self._lock:
            return await asyncio.to_thread(self._read_now, folders)

    def _read_now(self, folders: dict[int, Path]) -> dict[int, tuple[RunUsage, list[GpuStats]]]:
        self._usages.forget_others(self._living | set(folders))
        usages: dict[int, RunUsage] = {}
        used: dict[int, _Shim] = {}
        for number, folder in folders.items():
            shim = self._shims.get(number) or _shim_of(folder)
            if shim is None:
                continue
            if shim.ranks is not None:
                self._shims[number] = shim
            used[number] = shim
            usage = self._usages.read(number, shim.pid, shim.began, shim.ranks)
            if usage.pids:
                usages[number] = usage
        gpus = self._gpus.read(
            {number: (one.pids, used[number].devices) for number, one in usages.items()}
        )
        return {number: (one, gpus.get(number, [])) for number, one in usages.items()}


def _shim_of(folder: Path) -> _Shim | None:
    try:
        note = process.read_json(str(folder), process.SHIM)
        job = process.read_json(str(folder), process.JOB)
    except OSError:
        return None
    if not note or not note.get("pid"):
        return None
    devices = devices_in((job or {}).get("env", {}))
    pids: dict[int, int] | None = {}
    if (job or {}).get("ranks"):
        pids = {one.rank: one.pid for one in ranks_of(folder).ranks} or None
    return _Shim(int(note["pid"]), float(note.get("started", 0)), devices, pids)


def _memory() -> int:
    import psutil  # not before somebody asks: the engine's start would wait for it

    return int(psutil.virtual_memory().total)


def _points(usage: RunUsage, gpus: list[GpuStats]) -> list[Point]:
    values: dict[str, float | None] = {
        "cpu_percent": 100 * usage.cpu,
        "memory_bytes": usage.memory,
        "disk_read_bytes": usage.read,
        "disk_written_bytes": usage.written,
        "network_received_bytes": usage.received,
        "network_sent_bytes": usage.sent,
    }
    for rank, (cpu, memory) in usage.ranks.items():
        values |= {f"rank{rank}/cpu_percent": 100 * cpu, f"rank{rank}/memory_bytes": memory}
    for gpu in gpus:
        values |= {
            f"gpu{gpu.number}/utilization_percent": gpu.utilization,
            f"gpu{gpu.number}/memory_bytes": gpu.memory_used,
            f"gpu{gpu.number}/power_watts": gpu.power_draw,
            f"gpu{gpu.number}/temperature": gpu.temperature,
        }
    return [
        Point(f"{MEASURED}{name}", float(value), usage.time)
        for name, value in values.items()
        if value is not None
    ]
