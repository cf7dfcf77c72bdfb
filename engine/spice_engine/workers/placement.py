"""Where jobs run: the narrow interface behind which other machines come, and this machine.

The queue of runs and the deployment of servers talk to `Placement` alone. `LocalPlacement` counts
cores, memory and slots of this machine and starts shims; it never waits, the queue does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from spice_engine.errors import Conflict, InvalidRequest, Overloaded
from spice_engine.records import record
from spice_engine.workers.limits import Limits, LimitSupport, detect, plan
from spice_engine.workers.shim_client import ShimClient
from spice_engine.workers.shims import (
    Attached,
    Exit,
    Exited,
    Job,
    JobLost,
    Lost,
    NeverStarted,
    ShimHost,
)
from spice_runtime import process


@record
class Resources:
    """An amount of what jobs need: cores, bytes of memory, slots.

    `pids` is no amount that is given out, but how many processes a job may have; 0 is no limit.
    """

    cpu: float = 0.0
    memory_bytes: int = 0
    slots: int = 1
    pids: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.cpu + other.cpu,
            self.memory_bytes + other.memory_bytes,
            self.slots + other.slots,
        )

    def __sub__(self, other: Resources) -> Resources:
        return self + Resources(-other.cpu, -other.memory_bytes, -other.slots)

    def covers(self, wanted: Resources) -> bool:
        """Whether there is at least as much of everything; cores to a thousandth."""
        return (
            wanted.cpu <= self.cpu + 1e-3
            and wanted.memory_bytes <= self.memory_bytes
            and wanted.slots <= self.slots
        )


@record
class Reservation:
    """Room for a gang: one part for each member, all or nothing. Held until it is released."""

    id: int
    node: str
    parts: tuple[Resources, ...]


@record
class Placed:
    """A job that runs somewhere; `folder` is its name for good, also after a restart."""

    folder: Path
    node: str
    pid: int
    started: float


@record
class Heartbeat:
    """What a living job says about itself."""

    running_s: float
    log_bytes: int
    stopping: bool


class Placement(Protocol):
    """Starts jobs somewhere and keeps hold of them."""

    def capacity(self) -> Resources:
        """All there is."""
        ...

    def free(self) -> Resources:
        """What is not reserved."""
        ...

    def reserve(self, wanted: Sequence[Resources]) -> Reservation:
        """Takes room for a gang, all or nothing, without waiting.

        Raises:
            InvalidRequest: it could not fit even if nothing else ran.
            Overloaded: it does not fit now.
        """
        ...

    def release(self, reservation: Reservation) -> None:
        """Gives room back; once more is no error."""
        ...

    async def make_ready(self) -> None:
        """Has whatever starts jobs ready, so that the next one starts at once.

        Raises:
            ChildFailed: no process can be started.
        """
        ...

    async def rest(self) -> None:
        """Lets go what is ready; the next job starts later. Jobs that run go on."""
        ...

    async def start(self, reservation: Reservation, part: int, folder: Path, job: Job) -> Placed:
        """Starts a job on one part of a reservation, limited to it.

        Raises:
            Conflict: the reservation was released, or the folder was used before.
            ChildFailed: no process can be started.
        """
        ...

    async def find(self, folder: Path) -> Placed | Exited | NeverStarted | Lost:
        """What became of a job that an earlier engine started; takes hold of it if it runs."""
        ...

    async def signal(self, placed: Placed, number: int) -> None:
        """Signals the whole process group of a job."""
        ...

    async def stop(self, placed: Placed, grace_s: float | None = None) -> None:
        """SIGTERM, after the grace SIGKILL. Returns at once."""
        ...

    async def kill(self, placed: Placed) -> None:
        """SIGKILL to the job and all it started."""
        ...

    async def follow(self, placed: Placed, on_grew: Callable[[int], None]) -> None:
        """Calls back with the bytes of the job's log when it grows, at most ten times a second."""
        ...

    async def logs(self, placed: Placed, offset: int, limit: int) -> bytes:
        """At most `limit` bytes of a job's log, from `offset`."""
        ...

    async def heartbeat(self, placed: Placed) -> Heartbeat:
        """Asks a job's shim; raises ChildFailed if it does not answer, Conflict if it ended."""
        ...

    async def wait(self, placed: Placed) -> Exit:
        """The job's end; raises JobLost if nobody knows it."""
        ...


UNCOUNTED = Resources(1e9, 2**60, 2**30)
"""A capacity that never runs out: for whoever limits jobs but does not count room."""


class LocalPlacement:
    """This machine. Not thread-safe: it belongs to the engine's loop."""

    NODE = "local"

    def __init__(
        self,
        host: ShimHost,
        *,
        capacity: Resources | None = None,
        support: LimitSupport | None = None,
    ) -> None:
        self._host = host
        self._capacity = capacity or this_machine()
        self._free = self._capacity
        self._support = support
        self._reservations: dict[int, Reservation] = {}
        self._next = 0
        self._clients: dict[Path, ShimClient] = {}

    def capacity(self) -> Resources:
        return self._capacity

    def free(self) -> Resources:
        return self._free

    def reserve(self, wanted: Sequence[Resources]) -> Reservation:
        if not wanted or any(min(r.cpu, r.memory_bytes, r.slots) < 0 for r in wanted):
            raise InvalidRequest("a reservation needs at least one part, and no negative amounts")
        total = Resources(slots=0)
        for part in wanted:
            total += part
        if not self._capacity.covers(total):
            raise InvalidRequest(
                f"{_words(total)} asked for, this machine has {_words(self._capacity)}",
                hint="Ask for less, or for fewer at once.",
            )
        if not self._free.covers(total):
            raise Overloaded(
                f"{_words(total)} asked for, {_words(self._free)} free now",
                hint="Wait until something ends.",
            )
        self._free -= total
        self._next += 1
        reservation = Reservation(self._next, self.NODE, tuple(wanted))
        self._reservations[reservation.id] = reservation
        return reservation

    def release(self, reservation: Reservation) -> None:
        if self._reservations.pop(reservation.id, None) is None:
            return
        for part in reservation.parts:
            self._free += part

    async def make_ready(self) -> None:
        await self._host.make_ready()

    async def rest(self) -> None:
        await self._host.rest()

    async def start(self, reservation: Reservation, part: int, folder: Path, job: Job) -> Placed:
        if reservation.id not in self._reservations:
            raise Conflict("the room for this job was given back before it started")
        if not 0 <= part < len(reservation.parts):
            raise InvalidRequest(f"the reservation has {len(reservation.parts)} parts, not {part}")
        wanted = reservation.parts[part]
        if wanted.cpu or wanted.memory_bytes or wanted.pids:
            if self._support is None:
                self._support = await asyncio.to_thread(detect)
            limits = Limits(wanted.cpu, wanted.memory_bytes, wanted.pids)
            name = f"{os.getpid()}-{reservation.id}-{part}-{os.urandom(4).hex()}"
            job = replace(job, limits=plan(limits, name, self._support))
        return self._hold(await self._host.start(folder, job))

    async def find(self, folder: Path) -> Placed | Exited | NeverStarted | Lost:
        found = await self._host.attach(folder)
        return self._hold(found.client) if isinstance(found, Attached) else found

    async def signal(self, placed: Placed, number: int) -> None:
        await self._client(placed).signal(number)

    async def stop(self, placed: Placed, grace_s: float | None = None) -> None:
        await self._client(placed).stop(grace_s)

    async def kill(self, placed: Placed) -> None:
        await self._client(placed).kill()

    async def follow(self, placed: Placed, on_grew: Callable[[int], None]) -> None:
        await self._client(placed).subscribe(on_grew)

    async def logs(self, placed: Placed, offset: int, limit: int) -> bytes:
        return await asyncio.to_thread(_read, placed.folder / process.LOG, offset, limit)

    async def heartbeat(self, placed: Placed) -> Heartbeat:
        status = await self._client(placed).status()
        return Heartbeat(status["running_s"], status["log_bytes"], status["stopping"])

    async def wait(self, placed: Placed) -> Exit:
        client = self._clients.get(placed.folder)
        if client is not None:
            return await client.wait()
        found = await self._host.attach(placed.folder)
        if isinstance(found, Exited):
            return found.exit
        if isinstance(found, Attached):
            self._hold(found.client)
            return await found.client.wait()
        if isinstance(found, Lost):
            raise JobLost(found.message)
        raise Conflict(f"the job in {placed.folder} was never started")

    def _hold(self, client: ShimClient) -> Placed:
        placed = Placed(client.folder, self.NODE, client.pid, client.started)
        self._clients[client.folder] = client
        client.on_end(self._let_go)
        return placed

    def _let_go(self, client: ShimClient) -> None:
        if self._clients.get(client.folder) is client:
            del self._clients[client.folder]

    def _client(self, placed: Placed) -> ShimClient:
        client = self._clients.get(placed.folder)
        if client is None:
            raise Conflict(f"the job in {placed.folder} does not run any more")
        return client


def this_machine() -> Resources:
    """The cores this process may use, the machine's memory, and as many slots as cores."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Resources(float(cores), memory, cores)


def _words(amount: Resources) -> str:
    gib = amount.memory_bytes / 2**30
    return f"{amount.slots} slots, {amount.cpu:g} cores and {gib:.1f} GiB"


def _read(path: Path, offset: int, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""
