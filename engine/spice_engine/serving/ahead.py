"""A process of a server that waits for its next replica: our part of it is loaded already.

A crash, a rollout or one replica more then need only import and construct the predictor. It has
its shim, its number and its folder, as the replica that it becomes; the next engine finds it by
its row. It takes no room of a node group before it is used.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spice_engine.errors import ChildFailed, Conflict, Overloaded, SpiceError
from spice_engine.protocol.servers import Limits
from spice_engine.records import record
from spice_engine.serving import finding, server_records
from spice_engine.serving.alarm import Alarm
from spice_engine.serving.replica_files import ReplicaSpec, can_become, job_of
from spice_engine.serving.surroundings import Surroundings
from spice_engine.store import replicas as table
from spice_engine.store.database import Database
from spice_engine.store.disk import storage_error
from spice_engine.workers.placement import Placed, Placement, Reservation, Resources
from spice_engine.workers.shims import JobLost
from spice_runtime import process, replica_ahead

log = logging.getLogger(__name__)

AFTER_SECONDS = 1.0
"""What was just started has its first calls to answer before this takes a core."""
AGAIN_SECONDS = 30.0
"""After one that ended by itself, or could not be started, so long passes before the next."""
_END_SECONDS = 15.0
_USED, _UNWANTED, _LEFT = "used", "unwanted", "left"


@record
class Waiting:
    """A process that waits. `job` is what its shim was given, `limits` are in force already."""

    number: int
    folder: Path
    job: Mapping[str, Any]
    limits: tuple[float | None, int | None]
    placed: Placed
    reservation: Reservation | None

    async def end(self, placement: Placement) -> None:
        """End it, as nobody needs it. Does not wait."""
        try:
            await placement.stop(self.placed, 0.0)
        except Conflict:
            pass  # it ended by itself
        except (ChildFailed, Overloaded) as error:
            log.warning("%s: %s", self.folder, error)
        if self.reservation is not None:
            placement.release(self.reservation)


class Ahead:
    """At most one such process of one server. `told` is called when there may be room for
    another one."""

    def __init__(
        self,
        around: Surroundings,
        database: Database,
        server: str,
        told: Callable[[], None],
    ) -> None:
        self._placement = around.placement
        self._places = around.ahead
        self._database = database
        self._server = server
        self._told = told
        self._task: asyncio.Task[None] | None = None
        self._fate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._left: list[tuple[int, ReplicaSpec]] = []
        self._waiting: Waiting | None = None
        self._wanted: ReplicaSpec | None = None
        self._fitting: ReplicaSpec | None = None  # what it is known to be good for
        self._not_before = 0.0
        self._alarm = Alarm(told)

    # -- what its deployment says

    def adopt(self, number: int, spec: ReplicaSpec) -> None:
        """Take up one that an earlier engine left, made for `spec`."""
        self._left.append((number, spec))
        if self._task is None:
            self._begin(self._adopt())

    def keep(self, spec: ReplicaSpec) -> None:
        """One that can become a replica of `spec` is to be there; another one goes."""
        self._wanted = spec
        if not self._places.are_wanted:
            self._decide(_UNWANTED)
        elif self._task is None:
            if (left := self._not_before - time.monotonic()) > 0:
                self._alarm.set(left)
            else:
                self._begin(self._run())
        elif self._waiting is not None and spec is not self._fitting:
            if self._can_become(self._waiting, spec):
                self._fitting = spec
            else:
                self._decide(_UNWANTED)

    async def next_replica(
        self, spec: ReplicaSpec, restarts: int
    ) -> tuple[int, float, Waiting | None]:
        """The number of a new replica, when it was made (unix seconds), and the process that
        waits for it, where there is one: it is the caller's from now on.

        Raises:
            StorageError: it cannot be written down.
        """
        now, waiting = time.time(), self._take(spec)
        write = partial(
            server_records.new_replica,
            server=self._server,
            version=spec.version,
            restarts=restarts,
            now=now,
            ahead=waiting.number if waiting is not None else None,
        )
        try:
            return await self._database.write(write), now, waiting
        except SpiceError:
            if waiting is not None:
                await waiting.end(self._placement)
            raise

    async def close(self, *, keep: bool = False) -> None:
        """End it and wait for that; with `keep` leave it to the next engine."""
        self._alarm.stop()
        self._decide(_LEFT if keep else _UNWANTED)
        if (task := self._task) is None:
            return
        await asyncio.wait([task], timeout=_END_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # -- the life of one

    def _begin(self, life: Coroutine[Any, Any, None]) -> None:
        self._fate = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(life, name=f"ahead of {self._server}")
        self._task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._task = self._waiting = self._fitting = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._not_before = time.monotonic() + AGAIN_SECONDS
            if isinstance(error, SpiceError):
                log.warning("nothing is started ahead for server %s: %s", self._server, error)
            else:
                log.error("what is ahead of server %s failed", self._server, exc_info=error)
        if not self._fate.done() or self._fate.result() != _LEFT:
            self._told()

    def _take(self, spec: ReplicaSpec) -> Waiting | None:
        waiting = self._waiting
        if waiting is None or self._fate.done() or not self._can_become(waiting, spec):
            return None
        self._decide(_USED)
        return waiting

    def _decide(self, fate: str) -> None:
        if not self._fate.done():
            self._fate.set_result(fate)
            if fate == _USED:
                self._waiting = None

    async def _run(self) -> None:
        if await self._comes_first(asyncio.sleep(AFTER_SECONDS)) and await self._comes_first(
            self._places.free.acquire()
        ):
            try:
                if not self._fate.done() and self._wanted is not None:
                    await self._live(await self._start(self._wanted))
            finally:
                self._places.free.release()

    async def _comes_first(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Do it; False if something was decided before it was done."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task, self._fate], return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return not task.cancelled()

    async def _start(self, spec: ReplicaSpec) -> Waiting:
        write = partial(
            server_records.new_ahead, server=self._server, version=spec.version, now=time.time()
        )
        number = await self._database.write(write)
        folder = spec.replicas / str(number)
        job = job_of(spec, number, (), os.environ, ahead=True)
        limits = _limits(spec.definition.limits)
        reservation = self._placement.reserve([Resources(limits[0] or 0.0, limits[1] or 0)])
        try:
            await asyncio.to_thread(_make_folder, folder)
            placed = await self._placement.start(reservation, 0, folder, job)
        except SpiceError:
            self._placement.release(reservation)
            await self._clear_away(number, folder)
            raise
        return Waiting(number, folder, job.as_dict(), limits, placed, reservation)

    async def _adopt(self) -> None:
        while self._left:
            number, spec = self._left.pop()
            folder = spec.replicas / str(number)
            found = await finding.find(self._placement, folder, f"{self._server}/{number}")
            if self._fate.done() and self._fate.result() == _LEFT:
                return
            if not isinstance(found, Placed) or self._fate.done() or self._places.free.locked():
                await self._clear_away(number, folder)
                continue
            job = await asyncio.to_thread(process.read_json, str(folder), process.JOB) or {}
            limits = _limits(spec.definition.limits)
            async with self._places.free:
                await self._live(Waiting(number, folder, job, limits, found, None))

    async def _live(self, waiting: Waiting) -> None:
        """Wait with it until it is used, unwanted or over."""
        self._waiting = waiting
        self._told()
        name = f"{self._server}/{waiting.number}"
        ended = asyncio.create_task(finding.end_of(self._placement, waiting.placed, name))
        try:
            await asyncio.wait([ended, self._fate], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
        self._waiting = None
        if not self._fate.done():
            self._not_before = time.monotonic() + AGAIN_SECONDS
            log.warning("replica %s, started ahead, ended before it was used", name)
        elif self._fate.result() != _UNWANTED:
            return
        await self._end(waiting)

    async def _end(self, waiting: Waiting) -> None:
        await waiting.end(self._placement)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await finding.end_of(self._placement, waiting.placed, waiting.folder.name)
        except JobLost:
            pass  # nobody asks how it ended
        except TimeoutError:
            log.warning("%s does not end", waiting.folder)
            return  # the next engine looks again
        await self._forget(waiting.number, waiting.folder)

    async def _clear_away(self, number: int, folder: Path) -> None:
        """Whatever became of it, end it."""
        found = await finding.find(self._placement, folder, f"{self._server}/{number}")
        if isinstance(found, Placed):
            await self._end(Waiting(number, folder, {}, (None, None), found, None))
        else:
            await self._forget(number, folder)

    async def _forget(self, number: int, folder: Path) -> None:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await self._database.write(
            lambda connection: table.remove(connection, self._server, number)
        )

    def _can_become(self, waiting: Waiting, spec: ReplicaSpec) -> bool:
        job = job_of(spec, waiting.number, (), os.environ, ahead=True)
        return waiting.limits == _limits(spec.definition.limits) and can_become(waiting.job, job)


def _limits(limits: Limits) -> tuple[float | None, int | None]:
    return limits.cpu_limit, limits.memory_limit


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
        replica_ahead.make_door(folder)
    except OSError as error:
        raise storage_error(error, "start a process ahead of a replica", folder) from error
