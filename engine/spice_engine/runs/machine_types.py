"""Machine types: named classes of machines for runs, each a part of this machine.

`cpu` is the whole machine, which runs share as they always did. The others have a size, which
limits their runs, and a number: when all are in use, the next run waits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.protocol.machine_types import (
    DEFAULT_MACHINE_TYPE,
    MachineTypeInfo,
    SetMachineType,
)
from spice_engine.runs.machine_queue import MachineQueue, Turn
from spice_engine.runs.states import WAITING
from spice_engine.store import machine_types as table
from spice_engine.store.database import Database
from spice_engine.store.machine_types import MachineTypeRow
from spice_engine.store.runs import RunRow
from spice_engine.workers.devices import Devices, devices_in
from spice_engine.workers.limits import most_processes
from spice_engine.workers.placement import Resources
from spice_engine.workers.pool_names import check_pool_name
from spice_runtime import process

MOST_TYPES = 100
MOST_MACHINES = 1000
GIB = 2**30
LONGEST_IDLE_SECONDS = 366 * 86400.0
_SIZES = ("cpu", "memory", "gpus", "max_machines", "min_machines", "idle_seconds")
_SMALL_STEP = 64 * 2**20
Amount = TypeVar("Amount", int, float)


def defaults(machine: Resources, gpus: int) -> dict[str, MachineTypeRow]:
    """The types that are there without any set-up, on a machine of this size."""
    cores, memory = machine.cpu, machine.memory_bytes
    half_cores = float(cores // 2) or cores / 2
    half = memory // 2
    step = GIB if half >= GIB else _SMALL_STEP
    half_memory = half // step * step or half
    types = [
        MachineTypeRow(DEFAULT_MACHINE_TYPE, cores, memory, 0, None),
        MachineTypeRow("cpu-big", half_cores, half_memory, 0, 2),
        MachineTypeRow("cpu-huge", cores, memory, 0, 1),
    ]
    if gpus:
        types.append(MachineTypeRow("gpu", cores, memory, 1, gpus))
    return {one.name: one for one in types}


def machines_of(row: RunRow) -> int:
    """How many machines a run has: one for each rank."""
    return max(1, row.distributed)


class MachineTypes:
    """All types, and the queue for their machines. Belongs to the engine's loop."""

    def __init__(self, database: Database, machine: Resources, devices: Devices) -> None:
        self._database = database
        self._machine = machine
        self._processes = most_processes()
        self._devices = devices
        self._defaults = defaults(machine, devices.count)
        self._types = dict(self._defaults)
        self.queue = MachineQueue(devices, self._types.get)

    async def open(self) -> None:
        """Read the types that were made or changed."""
        for row in await self._database.read(table.list_all):
            self._types[row.name] = row

    # -- for runs

    def check(self, name: str, cpu: float | None, memory: int | None, count: int = 1) -> str:
        """The name, as it is stored, of a type that a run with these limits can have `count`
        machines of.

        Raises:
            NotFound: there is no such type.
            InvalidRequest: this machine has less than the type, or the type less than the run
                may use, or there are fewer machines of it.
        """
        row = self._usable(name)
        if row.max_machines is not None and count > row.max_machines:
            raise InvalidRequest(
                f"{count} ranks need {count} machines of type {row.name} at once, and there are "
                f"{row.max_machines}.",
                hint=f"Ask for fewer ranks, or have more machines: spice-tui machine-type scale "
                f"{row.name} --max-machines {count}.",
            )
        most_cpu, most_memory = self._limits(row)
        if 0 < most_cpu < (cpu or 0.0) or 0 < most_memory < (memory or 0):
            raise InvalidRequest(
                f"a machine of type {row.name} has {_size(row.cpu, row.memory)}; the run's limits "
                "ask for more.",
                hint="Lower --cpu and --memory, or take another type "
                "(spice-tui machine-type list).",
            )
        return row.name

    def ask(self, run: int, name: str, count: int = 1, priority: int = 0) -> Turn:
        """Line up for machines of a type (see `MachineQueue.ask`).

        Raises:
            NotFound: there is no such type any more.
            InvalidRequest: this machine has less than the type by now.
        """
        return self.queue.ask(run, self._usable(name).name, count, priority)

    def room(self, row: RunRow) -> Resources:
        """What a run is limited to: by its type, or by less where it asked for less; that often
        as it has ranks. One that forks without end has a share of the machine's processes."""
        cpu, memory = self._limits(self._usable(row.machine_type))
        count = machines_of(row)
        return Resources(
            count * _smaller(cpu, float(row.limits.get("cpu") or 0.0)),
            count * _smaller(memory, int(row.limits.get("memory") or 0)),
            pids=self._processes,
        )

    def _limits(self, row: MachineTypeRow) -> tuple[float, int]:
        """Cores and bytes that a run of the type is limited to; 0 is no limit.

        All of this machine is no limit: it would forbid nothing but address space.
        """
        machine = self._machine
        return (
            row.cpu if row.cpu < machine.cpu else 0.0,
            row.memory if row.memory < machine.memory_bytes else 0,
        )

    def words(self, name: str, count: int = 1) -> str:
        """What a run of the type waits for."""
        used = self.queue.in_use(name)
        most = self._types[name].max_machines
        what = f"{count} machines" if count > 1 else "a machine"
        return f"waits for {what} of type {name}: {used} of {most} in use."

    async def take_back(self, rows: Sequence[RunRow], folder: Callable[[int], Path]) -> None:
        """Give the runs that an earlier engine left their machines and places in the line.

        One with a job in its folder may have a process, and so has a machine, even if that is
        one more than there are. `folder` gives a run's folder.
        """

        def read() -> list[tuple[int, ...] | None]:
            return [_devices_of(folder(row.id)) for row in rows]

        left = list(zip(rows, await asyncio.to_thread(read), strict=True))
        for row, devices in left:
            kind = self._types.get(row.machine_type)
            if devices is not None:
                # The variable may be the engine's own, where the type has no GPUs.
                has_gpus = kind is not None and kind.gpus > 0
                own = devices if has_gpus else ()
                self.queue.hold(row.id, row.machine_type, own, machines_of(row))
        # Nobody takes a machine before all are counted that are in use.
        for row, devices in left:
            # Those that wait for other runs line up when these are over.
            waits = row.state in WAITING and not row.after
            if devices is None and waits and row.machine_type in self._types:
                self.queue.ask(row.id, row.machine_type, machines_of(row), row.priority)

    # -- the types

    def wants_ready(self, now: float) -> tuple[bool, bool]:
        """Whether a type has machines that are kept ready, and whether one is in use or was so
        lately that it still is ready. `now` is of the monotonic clock."""
        rows = self._types.values()
        kept = any(row.min_machines for row in rows)
        warm = any(self.queue.idle_for(row.name, now) < row.idle_seconds for row in rows)
        return kept, warm

    def names(self) -> list[str]:
        """All names."""
        return sorted(self._types)

    def list(self) -> list[MachineTypeInfo]:
        """All types with what is in use of them, by name."""
        return [self.info(name) for name in self.names()]

    def info(self, name: str) -> MachineTypeInfo:
        """One type.

        Raises:
            NotFound: there is none of that name.
        """
        row = self._find(name)
        return MachineTypeInfo(
            row.name,
            row.cpu,
            row.memory,
            row.gpus,
            row.max_machines,
            self.queue.in_use(row.name),
            len(self.queue.waiting(row.name)),
            row.min_machines,
            row.idle_seconds,
        )

    async def set(self, request: SetMachineType) -> MachineTypeInfo:
        """Make a type, or change it. Runs that have a machine keep it as it was.

        Raises:
            InvalidRequest: a size is not above 0 or more than this machine has, or the name is
                none.
            Conflict: there are too many types.
        """
        name = request.name.lower()
        check_pool_name(name)
        if name not in self._types and len(self._types) >= MOST_TYPES:
            raise Conflict(f"there are {MOST_TYPES} machine types already.")
        machine = self._machine
        row = self._types.get(name) or MachineTypeRow(name, machine.cpu, machine.memory_bytes, 0, 1)
        asked = {field: value for field in _SIZES if (value := getattr(request, field)) is not None}
        row = replace(row, **asked)
        self._check_size(row, "Ask for less (spice-tui cluster shows this machine).")
        if row.max_machines is not None and not 1 <= row.max_machines <= MOST_MACHINES:
            raise InvalidRequest(f"a type has between 1 and {MOST_MACHINES} machines.")
        if not 0 <= row.min_machines <= (row.max_machines or MOST_MACHINES):
            raise InvalidRequest("no more machines can be kept ready than there are.")
        if not 0 <= row.idle_seconds <= LONGEST_IDLE_SECONDS:
            raise InvalidRequest("a machine is kept ready for a year at most.")

        def write(connection: sqlite3.Connection) -> None:
            table.put(connection, row)

        await self._database.write(write)
        self._put(name, row)
        return self.info(name)

    async def remove(self, name: str) -> str:
        """Remove a type, or give a default one its first size again; says which in words.

        Raises:
            NotFound: there is none of that name.
            Conflict: runs have a machine of it, or wait for one.
        """
        row = self._find(name)
        self._refuse_used(row.name)
        first = self._defaults.get(row.name)
        # At once, so that no run lines up for what is going to be gone.
        self._put(row.name, first)
        try:
            await self._database.write(lambda connection: table.remove(connection, row.name))
        except SpiceError:
            self._put(row.name, row)
            raise
        if first is not None:
            return f"Machine type {row.name} has its default size again."
        return f"Machine type {row.name} is removed."

    def _put(self, name: str, row: MachineTypeRow | None) -> None:
        if row is None:
            del self._types[name]
        else:
            self._types[name] = row
            self.queue.serve(name)

    def _refuse_used(self, name: str) -> None:
        used, waiting = self.queue.in_use(name), len(self.queue.waiting(name))
        if used or waiting:
            raise Conflict(
                f"machine type {name!r} is used by {used} runs, and {waiting} wait for it.",
                hint="Wait for them, or stop them first (spice-tui ps).",
            )

    def _find(self, name: str) -> MachineTypeRow:
        row = self._types.get(name.lower())
        if row is None:
            raise NotFound(
                f"there is no machine type {name[:80]!r}.",
                hint=f"There are: {', '.join(self.names())}.",
            )
        return row

    def _usable(self, name: str) -> MachineTypeRow:
        """A type that fits this machine, which may have shrunk since the type was made."""
        row = self._find(name)
        self._check_size(row, f"Change it: spice-tui machine-type scale {row.name}.")
        return row

    def _check_size(self, row: MachineTypeRow, hint: str) -> None:
        machine, gpus = self._machine, self._devices.count
        if not (0 < row.cpu <= machine.cpu and 0 < row.memory <= machine.memory_bytes):
            raise InvalidRequest(
                f"a machine of type {row.name} would have {_size(row.cpu, row.memory)}; it can "
                f"have more than 0 and at most {_size(machine.cpu, machine.memory_bytes)}, which "
                "is this machine.",
                hint=hint,
            )
        if not 0 <= row.gpus <= gpus:
            raise InvalidRequest(
                f"a machine of type {row.name} would have {row.gpus} GPUs, this machine has "
                f"{gpus}.",
                hint=hint,
            )


def _devices_of(folder: Path) -> tuple[int, ...] | None:
    """The GPUs of the job in a run's folder; None if there is no job. Blocks."""
    try:
        job = process.read_json(str(folder), process.JOB)
    except OSError:  # it cannot be read, but is there
        return ()
    return None if job is None else devices_in(job.get("env", {}))


def _smaller(one: Amount, other: Amount) -> Amount:
    """The smaller of two limits, of which 0 is none."""
    return min(one, other) if one and other else one or other


def _size(cpu: float, memory: int) -> str:
    return f"{cpu:g} cores and {memory / GIB:.1f} GiB of memory"
