"""One server's replicas: as many as wanted, of the version that is wanted, whatever happens.

A loop compares what there is with what is wished for and takes the next step (`rollout.py`);
everything that changes wakes it. What is wished for is in the store, so that the next engine
goes on where this one was.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from functools import partial

from spice_engine.errors import SpiceError
from spice_engine.protocol.servers import RolloutInfo, ScaleDecision
from spice_engine.serving import definitions, rollout, server_records
from spice_engine.serving.ahead import Ahead, Waiting
from spice_engine.serving.alarm import Alarm
from spice_engine.serving.directory import Directory
from spice_engine.serving.figures import Figures
from spice_engine.serving.front import Front
from spice_engine.serving.link import ReplicaLink
from spice_engine.serving.preparation import Preparations, Workshop
from spice_engine.serving.progress import DONE, FAILED, ROLLED_BACK, Progress
from spice_engine.serving.replica_files import ReplicaSpec
from spice_engine.serving.replicas import ADOPT_SECONDS, Replica
from spice_engine.serving.rollout import Seen
from spice_engine.serving.server_view import Usage
from spice_engine.serving.surroundings import Surroundings
from spice_engine.store import servers as table
from spice_engine.store.replicas import AHEAD, ReplicaRow
from spice_engine.store.servers import ServerRow, VersionRow

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_KILL_SECONDS = 10.0


class Deployment:
    """A server that has replicas. Made once a server, `open` first, `close` at the end.

    `row` and `version` are as the store has them. `told` is called whenever something about the
    server changed.
    """

    def __init__(
        self,
        workshop: Workshop,
        around: Surroundings,
        directory: Directory,
        row: ServerRow,
        version: VersionRow,
        *,
        told: Callable[[Deployment], None],
        on_wait: Callable[[Deployment], None],
    ) -> None:
        self.row = row
        self.version = version
        self.definition = definitions.from_plain(version.definition)
        self.replicas: dict[int, Replica] = {}
        self.progress = Progress(version)
        self.decision: ScaleDecision | None = None
        self.usage: dict[int, Usage] = {}
        self.front = Front(
            directory,
            row,
            self.definition,
            workshop.request_log(row.name),
            on_hung=self._on_hung,
            on_wait=lambda: on_wait(self),
        )
        self._workshop = workshop
        self._around = around
        self._told = told
        self._preparations = Preparations(workshop, self._on_prepared)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._poke = asyncio.Event()
        self._settled = asyncio.Event()
        self._ahead = Ahead(around, workshop.database, row.name, self._poke.set)
        self._loop_task: asyncio.Task[None] | None = None
        self._alarm = Alarm(self._poke.set)
        self._adopting: set[int] = set()
        self._adopt_until = 0.0

    # -- what is wished for

    async def open(self, living: tuple[ReplicaRow, ...]) -> None:
        """Take up the replicas that an earlier engine left, and go on from there."""
        self.front.open()
        if self.row.wish == "running" and self.version.state != "good":
            self._begin(self.row.good, fresh=False)
        for row in living:
            spec = await self._workshop.sketch(self.row.name, row.version)
            if row.state == AHEAD:
                self._ahead.adopt(row.number, spec)
                continue
            replica = self._new(spec, row.number, row.restarts, row.created, row.ready)
            if row.state == "draining":
                replica.unwanted()
            elif row.ready is not None:
                self._adopting.add(row.number)
            self._run(replica, adopt=True)
        self._hold()
        self._adopt_until = time.monotonic() + ADOPT_SECONDS
        self._loop_task = asyncio.create_task(self._work(), name=f"server {self.row.name}")
        self._poke.set()

    def roll_to(self, row: ServerRow, version: VersionRow) -> None:
        """Roll out another version; the store has the wish already. The newest wish wins."""
        before = self.row.good if self.row.good != version.number else None
        self.row, self.version = row, version
        self.definition = definitions.from_plain(version.definition)
        if row.wish == "running":
            self._begin(before, fresh=True)
        else:
            self.progress = Progress(version)
        self._preparations.stop()
        self._hold()
        self._poke.set()

    def wish(self, row: ServerRow) -> None:
        """Run or stop, as the row says."""
        self.row = row
        if row.wish == "running":
            worked = self.version.state == "good" or row.good == self.version.number
            self._begin(None if worked else row.good, fresh=not worked)
        else:
            self._settled.clear()
            self._preparations.stop()
            self.progress.end(FAILED, 0, row.pods, "the server was stopped")
        self._hold()
        self._poke.set()

    def scale(self, row: ServerRow) -> None:
        """Another number of replicas is wanted."""
        self.row = row
        self._poke.set()

    async def settled(self) -> None:
        """Wait until the wish is fulfilled, or has failed."""
        await self._settled.wait()

    async def close(self, *, keep: bool, grace: float) -> None:
        """Leave. With `keep` the replicas go on for the next engine; else they drain."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        self._preparations.stop()
        self._alarm.stop()
        await self._ahead.close(keep=keep)
        if not keep:
            for replica in list(self.replicas.values()):
                replica.unwanted()
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()), timeout=grace)
            kills = asyncio.gather(*(one.kill() for one in self.replicas.values()))
            await asyncio.wait([kills, *self._tasks.values()], timeout=_KILL_SECONDS)
            kills.cancel()  # one whose shim cannot be asked is left to the next engine
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._settled.set()
        await self.front.close()

    # -- what is there

    @property
    def ready(self) -> list[Replica]:
        """The replicas that take calls."""
        return [one for one in self.replicas.values() if one.state == "ready"]

    @property
    def rollout(self) -> RolloutInfo | None:
        """The rollout under way, or the last one."""
        return self.progress.told(self.ready, self.row.pods)

    @property
    def figures(self) -> Figures:
        """What it did."""
        return self.front.figures

    @property
    def pods(self) -> tuple[int, int]:
        """How many replicas are ready, and how many are wanted."""
        return len(self.ready), self.row.pods if self.row.wish == "running" else 0

    @property
    def replica_list(self) -> list[Replica]:
        """Its replicas, by number."""
        return sorted(self.replicas.values(), key=lambda one: one.number)

    # -- the loop

    async def _work(self) -> None:
        while True:
            await self._poke.wait()
            self._poke.clear()
            try:
                await self._step()
            except SpiceError as error:
                # The disk is full, or the store is busy: what is wished for stays.
                self._hindered(str(error))
                self._alarm.set(_RETRY_SECONDS)

    def _hindered(self, why: str) -> None:
        """Tell it, once; it cannot be written down, and the next step that succeeds takes it
        back."""
        if why != self.row.message:
            log.warning("server %s: %s", self.row.name, why)
            self.row = dataclasses.replace(self.row, message=why)
            self._told(self)

    async def _step(self) -> None:
        if self.row.wish == "stopped":
            for replica in list(self.replicas.values()):
                replica.unwanted()
            await self._ahead.close()
            await self._note()
            return
        if self._adopting and (left := self._adopt_until - time.monotonic()) > 0:
            self._alarm.set(left)  # what there is will be known in a moment
            return
        progress = self.progress
        replicas = self.replicas.values()
        if reason := progress.given_up(replicas, self.definition.start_timeout):
            await self._give_up(reason)
        seen = [
            Seen(one.number, one.spec.version, one.state == "ready")
            for one in replicas
            if one.counts
        ]
        version, wanted = self.version.number, self.row.pods
        if progress.failed:
            for one in seen:
                if one.version == version and not one.ready:
                    self.replicas[one.number].unwanted()
        else:
            spec = self._preparations.get(version)
            if spec is None and not self._preparations.is_busy and not self._waits():
                self._preparations.begin(self.version, self.definition)
            step = rollout.step(seen, version, wanted)
            for number in step.drain:
                self.replicas[number].unwanted()
            await self._start(spec, step.start)
            if rollout.is_done(seen, version, wanted):
                if progress.is_rolling:
                    await self._rolled_out(version)
                if spec is not None:
                    self._ahead.keep(spec)
        await self._note()

    async def _start(self, spec: ReplicaSpec | None, count: int) -> None:
        if spec is None or not count or self._waits():
            return
        restarts = self.progress.restarts
        for _ in range(count):
            number, now, waiting = await self._ahead.next_replica(spec, restarts)
            replica = self._new(spec, number, restarts, now, waiting=waiting)
            if self.row.wish != "running" or spec.version != self.version.number:
                replica.unwanted()  # another wish came meanwhile
            self._run(replica)
        self._alarm.set(spec.definition.start_timeout + 0.1)

    def _waits(self) -> bool:
        """Whether the next attempt has to wait; then the loop is woken when it is over."""
        wait = self.progress.trial.not_before - time.monotonic()
        if wait > 0:
            self._alarm.set(wait)
        return wait > 0

    def _new(
        self,
        spec: ReplicaSpec,
        number: int,
        restarts: int,
        created: float,
        was_ready: float | None = None,
        waiting: Waiting | None = None,
    ) -> Replica:
        replica = Replica(
            self._around,
            spec,
            number,
            self.front.router,
            self,
            restarts=restarts,
            created=created,
            was_ready=was_ready,
            waiting=waiting,
        )
        self.replicas[number] = replica
        return replica

    def _run(self, replica: Replica, *, adopt: bool = False) -> None:
        name = f"replica {self.row.name}/{replica.number}"
        task = asyncio.create_task(replica.run(adopt=adopt), name=name)
        self._tasks[replica.number] = task
        task.add_done_callback(lambda done: self._on_end(replica, done))

    def _on_end(self, replica: Replica, task: asyncio.Task[None]) -> None:
        self._tasks.pop(replica.number, None)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("replica %s/%s failed", self.row.name, replica.number, exc_info=error)
            self.progress.unprepared(f"the engine failed at a replica ({error!r})")
        self.replicas.pop(replica.number, None)
        self._adopted(replica)
        self._poke.set()

    def on_replica(self, replica: Replica) -> None:
        """A replica's state or message changed; called by the replica."""
        is_wanted = replica.spec.version == self.version.number
        if replica.state == "ready":
            if is_wanted:
                self.progress.trial.was_ready = True
            self._adopted(replica)
        elif replica.state == "failed":
            log.warning("replica %s/%s: %s", self.row.name, replica.number, replica.message)
            if is_wanted and self.row.wish == "running":
                self.progress.crashed(replica)
        server_records.note_later(self._workshop.database, self.row.name, replica)
        self._poke.set()

    # -- versions

    def _begin(self, before: int | None, *, fresh: bool) -> None:
        self.progress.begin(self.version, before, self.row.pods, fresh=fresh)
        self._settled.clear()

    async def _rolled_out(self, number: int) -> None:
        row = await self._workshop.database.write(
            partial(server_records.rolled_out, server=self.row.name, version=number)
        )
        if self.version.number != number:
            return  # another wish came meanwhile
        self.row = row
        self.version = dataclasses.replace(self.version, state="good")
        self.progress.end(DONE, len(self.ready), row.pods)
        self._preparations.keep({number, *(one.spec.version for one in self.replicas.values())})

    async def _give_up(self, reason: str) -> None:
        """Go back to a version that worked; without one the server has failed."""
        number = self.version.number
        row, other = await self._workshop.database.write(
            partial(server_records.gave_up, server=self.row.name, version=number, reason=reason)
        )
        if self.version.number != number:
            return  # another wish came meanwhile
        self.row = row
        self.progress.gave_up(other)
        ended = FAILED if other is None else ROLLED_BACK
        self.progress.end(ended, len(self.ready), row.pods, reason)
        log.warning("server %s: %s", row.name, row.message)
        if other is not None:
            self.version = other
            self.definition = definitions.from_plain(other.definition)
        self._hold()

    def _on_prepared(self, version: VersionRow, error: SpiceError | None) -> None:
        if error is not None:
            log.warning("version %s of server %s: %s", version.number, version.server, error)
            if version.number == self.version.number:
                self.progress.unprepared(str(error))
        self._poke.set()

    # -- what is told

    async def _note(self) -> None:
        """Put the server's state where others see it, and in the store when it is another."""
        state, message = self.progress.state(self.row, self.replicas.values())
        values = server_records.change_of(self.row, state, message, time.time())
        if values:
            self.row = await self._workshop.database.write(
                lambda connection: table.change(connection, self.row.name, **values)
            )
        self.front.update(self.row, self.definition, [o.link for o in self.ready if o.link])
        if self.progress.is_settled(self.row, state):
            self._settled.set()
        self._told(self)

    def _adopted(self, replica: Replica) -> None:
        """It is known what became of a replica that was ready before the engine went."""
        self._adopting.discard(replica.number)
        self._hold()

    def _hold(self) -> None:
        """Calls wait while replicas are taken up, and where a server starts at its first one."""
        from_zero = self.definition.scaling.min_pods == 0 and not self.progress.failed
        self.front.router.hold = self.row.wish == "running" and (bool(self._adopting) or from_zero)

    def _on_hung(self, link: ReplicaLink) -> None:
        for replica in self.replicas.values():
            if replica.link is link:
                replica.hung()
