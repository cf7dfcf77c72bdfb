"""One replica: its process through a shim, its connections, from start or adoption to its end.

A number is one process. It never comes back: another one takes its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from spice_engine.errors import ChildFailed, Conflict, DeadlineExceeded, Overloaded, SpiceError
from spice_engine.serving import finding
from spice_engine.serving.ahead import Waiting
from spice_engine.serving.link import ReplicaLink
from spice_engine.serving.node_groups import Room, need_of
from spice_engine.serving.replica_ends import last_words, why
from spice_engine.serving.replica_files import (
    GRACE_SECONDS,
    ReplicaSpec,
    devices_of,
    doors_of,
    job_of,
    own_variables,
    remove_sockets,
    write_files,
)
from spice_engine.serving.router import Router
from spice_engine.serving.surroundings import Surroundings
from spice_engine.workers.placement import Placed, Reservation, Resources
from spice_engine.workers.shims import Exit, Exited, JobLost, Lost, NeverStarted
from spice_runtime import replica_ahead

log = logging.getLogger(__name__)

HEALTH_SECONDS = 10.0
ADOPT_SECONDS = 15.0
"""One that was ready before the engine went answers within that, or is replaced."""
DRAIN_SECONDS = 5.0
"""Calls under way may take so much longer than their deadline while a replica drains."""
DRAIN_EXIT_SECONDS = 10.0
"""After DRAIN and the last answer a replica has so long to end by itself."""
_SILENT_SECONDS = 2.0
_MOST_MESSAGE = 2000


class Watcher(Protocol):
    """Who is told of a replica: its deployment."""

    def on_replica(self, replica: Replica) -> None:
        """Its state or message changed; `ended` says whether it is over."""
        ...


class Replica:
    """One process of a server; `run` is its whole life, in a task of its deployment.

    `state` is requested, starting, loading, ready, draining, stopped or failed. `exit` is known
    once it is over and had a process; `blamed` says whether its end is held against its version.
    """

    def __init__(
        self,
        around: Surroundings,
        spec: ReplicaSpec,
        number: int,
        router: Router,
        watcher: Watcher,
        *,
        restarts: int = 0,
        created: float | None = None,
        was_ready: float | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self.spec = spec
        self.number = number
        self.folder = spec.replicas / str(number)
        """Where its shim, its log and its sockets are."""
        self.restarts = restarts
        self.created = time.time() if created is None else created
        self.ready_at: float | None = None
        self._was_ready = was_ready
        self._patience = spec.definition.start_timeout
        if was_ready is not None:
            self._patience = min(self._patience, ADOPT_SECONDS)
        self.ended_at: float | None = None
        self.state = "requested"
        self.message = ""
        self.pid = 0
        self.exit: Exit | None = None
        self.link: ReplicaLink | None = None
        self.blamed = True
        self.timed_out = False
        self.begun = time.monotonic()
        """When it was asked for, or got its room: what `start_timeout` counts from."""
        self._around = around
        self._router = router
        self._watcher = watcher
        self._waiting = waiting  # a process that was started ahead for it
        self._placed: Placed | None = None
        self._reservation: Reservation | None = None
        self._room: Room | None = None
        self._serving: asyncio.Task[None] | None = None
        self._wanted = True
        self._attached = False
        self._ended = asyncio.Event()
        self._known = asyncio.Event()  # it has a process, or never will
        self._leave = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._verdict = ""

    @property
    def is_over(self) -> bool:
        """Whether its process has ended, or never will be."""
        return self.state in {"stopped", "failed"}

    @property
    def counts(self) -> bool:
        """Whether it is one of those wanted: it is neither over nor on its way out."""
        return self._wanted and not self.is_over

    # -- its life

    async def run(self, *, adopt: bool = False) -> None:
        """From the start (or the adoption) to the end of the process; never raises an error of
        the replica's, but tells it."""
        try:
            if adopt:
                await self._adopt()
            else:
                await self._launch()
        except SpiceError as error:
            self._over("failed", error.message)
        finally:
            await self._clear_up()

    async def _launch(self) -> None:
        if not await self._take_room():
            self._over("stopped", "")
            return
        self.begun = time.monotonic()
        self._set("starting", "")
        if self._waiting is not None:
            await self._tell_waiting()
            self._reservation = self._waiting.reservation
            await self._live(self._waiting.placed)
            return
        limits = self.spec.definition.limits
        await asyncio.to_thread(write_files, self.spec, self.number)
        part = Resources(limits.cpu_limit or 0.0, limits.memory_limit or 0)
        assert self._room is not None
        job = job_of(self.spec, self.number, self._room.devices, os.environ)
        self._reservation = self._around.placement.reserve([part])
        try:
            placed = await self._around.placement.start(self._reservation, 0, self.folder, job)
        except ChildFailed as error:
            # Its shim may have got to work all the same: the folder decides.
            await self._adopt(error)
            return
        await self._live(placed)

    async def _tell_waiting(self) -> None:
        """Let the process that was started ahead go on as this replica."""
        assert self._room is not None
        job = job_of(self.spec, self.number, self._room.devices, os.environ)
        await asyncio.to_thread(write_files, self.spec, self.number, own_variables(job))
        await asyncio.to_thread(replica_ahead.tell, self.folder)

    async def _take_room(self) -> bool:
        """Wait for room in the node group; False when nobody wants the replica any more."""
        groups, definition = self._around.groups, self.spec.definition
        need = need_of(definition.limits)
        while self._wanted:
            try:
                self._room = groups.take(definition.node_group, need)
                return True
            except Overloaded as error:
                self._set("requested", error.message)
                waits = [asyncio.ensure_future(one) for one in (groups.freed(), self._leave.wait())]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for one in waits:
                        one.cancel()
        return False

    async def _adopt(self, failure: SpiceError | None = None) -> None:
        """Find out what became of the process that an earlier engine started, and go on with it."""
        name = f"{self.spec.server}/{self.number}"
        found = await finding.find(self._around.placement, self.folder, name)
        match found:
            case Placed() as placed:
                if self._room is None:
                    definition = self.spec.definition
                    devices = await asyncio.to_thread(devices_of, self.folder)
                    self._room = self._around.groups.retake(
                        definition.node_group, need_of(definition.limits), devices
                    )
                # The engine may have died before it told one that was started ahead.
                if await asyncio.to_thread(replica_ahead.waits, self.folder):
                    await self._tell_waiting()
                await self._live(placed)
            case Exited(exit_):
                self._take_exit(exit_)
            case Lost(message):
                self.blamed = False
                self._over("failed", message)
            case NeverStarted():
                self.blamed = failure is not None
                text = failure.message if failure is not None else "It was never started."
                self._over("failed" if failure is not None else "stopped", text)

    async def _live(self, placed: Placed) -> None:
        """Serve with a process that runs, until it ends."""
        self._placed, self.pid = placed, placed.pid
        self._known.set()
        if not self._wanted and self._draining is None:
            # Somebody else's calls were under way, or it was unwanted before it began.
            self._draining = asyncio.create_task(self.kill(), name=f"replica {self.number} ends")
        self._serving = asyncio.create_task(self._serve(), name=f"replica {self.number} serves")
        try:
            exit_ = await self._wait(placed)
        finally:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        if exit_ is not None:
            self._take_exit(exit_)

    async def _wait(self, placed: Placed) -> Exit | None:
        try:
            name = f"{self.spec.server}/{self.number}"
            return await finding.end_of(self._around.placement, placed, name)
        except JobLost as lost:
            self.blamed = False
            self._over("failed", lost.message)
            return None

    async def _serve(self) -> None:
        """Connect, wait until it is ready and healthy, give it to the router."""
        doors = doors_of(self.folder)
        name = f"{self.spec.server}/{self.number}"
        link = self.link = ReplicaLink(doors.control, doors.lane, doors.started, name=name)
        lost = asyncio.Event()
        link.on_lost = lambda _: lost.set()
        if self.state != "draining":
            self._set("loading", "")
        within = self._patience
        try:
            async with asyncio.timeout(within):
                await link.connect(within)
                await link.loaded(within)
                await self._healthy(link)
            if self._wanted:
                self._attached = True
                await self._router.attach(link)
        except (TimeoutError, DeadlineExceeded):
            self.timed_out = True
            said = f": {self.message}" if self.message else last_words(self.folder)
            await self._end(f"it was not ready within {within:g} s{said}")
            return
        except SpiceError as error:
            # It ends by itself (exit code 3) when it failed to load; what hangs is ended.
            if link.state == "failed":
                self._verdict = link.message
            await asyncio.sleep(_SILENT_SECONDS)
            await self._end(error.message)
            return
        if self._wanted:
            self.ready_at = self._was_ready or time.time()
            self._set("ready", "")
        await lost.wait()
        await asyncio.sleep(_SILENT_SECONDS)
        await self._end("it hung up, but did not end")

    async def _healthy(self, link: ReplicaLink) -> None:
        """Ask for its health until it is good; the caller bounds the time."""
        pause = 0.05
        while True:
            try:
                status, _, _, body = await link.health(HEALTH_SECONDS)
                if 200 <= status < 300:
                    return
                said = body[:200].decode("utf-8", "replace")
                self._set("loading", f"health() answers {status}: {said}")
            except DeadlineExceeded:
                self._set("loading", f"health() takes over {HEALTH_SECONDS:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    # -- its end

    def unwanted(self) -> None:
        """Take it out: it gets no more calls, ends those under way, and leaves. Returns at once."""
        if not self._wanted or self.is_over:
            return
        self._wanted = False
        self._leave.set()
        if self._placed is not None or self.state != "requested":
            self._set("draining", "")
            name = f"replica {self.number} drains"
            self._draining = asyncio.create_task(self._drain(), name=name)

    async def _drain(self) -> None:
        link = self.link
        if link is None or not self._attached or link.lost:
            await self.kill()
            return
        await self._router.drain(link, self.spec.definition.door.deadline + DRAIN_SECONDS)
        link.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_EXIT_SECONDS):
                await self._ended.wait()
        if not self._ended.is_set():
            await self._tell(self._around.placement.stop, GRACE_SECONDS)

    def hung(self) -> None:
        """A call of it is long past its deadline: end it. Returns at once."""
        if self._ending is None:
            work = self._end("a call did not end for long after its deadline")
            self._ending = asyncio.create_task(work, name=f"replica {self.number} hangs")

    async def _end(self, message: str) -> None:
        """End a process that does not serve; why is told once it has ended."""
        if self._wanted:
            self._verdict = self._verdict or message
        await self.kill()

    async def kill(self) -> None:
        """End its process at once."""
        await self._tell(self._around.placement.stop, 0.0)

    async def _tell(
        self, how: Callable[[Placed, float | None], Awaitable[None]], grace: float
    ) -> None:
        await self._known.wait()  # it may be starting just now
        if self._placed is None or self._ended.is_set():
            return
        try:
            await how(self._placed, grace)
        except Conflict:
            pass  # it ended just now
        except (ChildFailed, Overloaded) as error:
            log.warning("replica %s/%s: %s", self.spec.server, self.number, error)

    def _take_exit(self, exit_: Exit) -> None:
        self.exit = exit_
        if not self._wanted or (exit_.reason == "stopped" and not self._verdict):
            self._over("stopped", "")
            return
        self.blamed = not (exit_.signal == signal.SIGKILL and exit_.reason == "signalled")
        self._over("failed", self._verdict or why(exit_, self.folder, self.spec.definition.limits))

    def _over(self, state: str, message: str) -> None:
        if self.is_over:
            return
        self.ended_at = time.time()
        self._ended.set()
        self._known.set()
        self._set(state, message)

    def _set(self, state: str, message: str) -> None:
        message = message[:_MOST_MESSAGE]
        if (state, message) == (self.state, self.message):
            return
        if not self._wanted and state in {"loading", "ready"}:
            return
        self.state, self.message = state, message
        self._watcher.on_replica(self)

    async def _clear_up(self) -> None:
        self._ended.set()
        self._known.set()
        for task in (self._draining, self._ending):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self.link is not None:
            if self.is_over:
                await self.link.hung_up()
            self._router.detach(self.link)
            await self.link.close()
        if self._room is not None:
            self._around.groups.give_back(self._room)
        if self._reservation is not None:
            self._around.placement.release(self._reservation)
        if self._waiting is not None and self._placed is None and self.is_over:
            await self._waiting.end(self._around.placement)
        if self.is_over:
            await asyncio.to_thread(remove_sockets, self.folder)
