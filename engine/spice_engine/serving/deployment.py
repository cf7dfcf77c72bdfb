"""One server's replicas: as many as wanted, of the version that is wanted, whatever happens.

A loop compares what there is with what is wished for and takes the next step (`rollout.py`);
everything that changes wakes it. What is wished for is in the store, so that the next engine
goes on where this one was.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from spice_engine.errors import SpiceError
from spice_engine.protocol.servers import RolloutInfo, ScaleDecision, ServerDefinition
from spice_engine.serving import definitions, rollout, server_records
from spice_engine.serving.directory import Directory
from spice_engine.serving.figures import Figures
from spice_engine.serving.front import Front
from spice_engine.serving.link import ReplicaLink
from spice_engine.serving.preparation import Workshop
from spice_engine.serving.replica_files import ReplicaSpec
from spice_engine.serving.replicas import Replica, Surroundings
from spice_engine.serving.rollout import Seen, Trial
from spice_engine.serving.server_view import Usage
from spice_engine.store import replicas as replica_table
from spice_engine.store import servers as table
from spice_engine.store.replicas import ReplicaRow
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
        self.rollout: RolloutInfo | None = None
        self.decision: ScaleDecision | None = None
        self.usage: dict[int, Usage] = {}
        self.front = Front(
            directory,
            row,
            self.definition,
            on_hung=self._on_hung,
            on_wait=lambda: on_wait(self),
        )
        self._workshop = workshop
        self._around = around
        self._told = told
        self._specs: dict[int, ReplicaSpec] = {}
        self._preparing: asyncio.Task[None] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._poke = asyncio.Event()
        self._settled = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._trial = Trial(version.number, time.monotonic(), was_ready=version.state == "good")
        self._has_other = False
        self._failed = False
        self._leaving = False
        self._adopting = 0
        self._restarts = 0

    # -- what is wished for

    async def open(self, living: tuple[ReplicaRow, ...]) -> None:
        """Take up the replicas that an earlier engine left, and go on from there."""
        self.front.open()
        if self.row.wish == "running" and self.version.state != "good":
            self._begin_rollout(self.row.good)
        for row in living:
            spec = await self._workshop.sketch(self.row.name, row.version)
            replica = self._new(spec, row.number, row.restarts, row.created)
            if row.state == "draining":
                replica.unwanted()
            self._adopting += 1
            self._run(replica, adopt=True)
        self._hold()
        self._loop_task = asyncio.create_task(self._work(), name=f"server {self.row.name}")
        self._poke.set()

    def roll_to(self, row: ServerRow, version: VersionRow) -> None:
        """Roll out another version; the store has the wish already. The newest wish wins."""
        before = self.row.good if self.row.good != version.number else None
        self.row, self.version = row, version
        self.definition = definitions.from_plain(version.definition)
        self._trial = Trial(version.number, time.monotonic())
        self._failed = False
        self._restarts = 0
        self._begin_rollout(before)
        self._stop_preparing()
        self._poke.set()

    def wish(self, row: ServerRow) -> None:
        """Run or stop, as the row says."""
        started = row.wish == "running" and self.row.wish != "running"
        self.row = row
        self._settled.clear()
        if started:
            self._failed = False
            good = self.version.state == "good"
            self._trial = Trial(self.version.number, time.monotonic(), was_ready=good)
            self._begin_rollout(None)
        elif row.wish == "stopped":
            self._stop_preparing()
            self._end_rollout("failed", "the server was stopped")
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
        self._leaving = True
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        self._stop_preparing()
        if self._timer is not None:
            self._timer.cancel()
        if not keep:
            for replica in list(self.replicas.values()):
                replica.unwanted()
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()), timeout=grace)
            await asyncio.gather(*(one.kill() for one in list(self.replicas.values())))
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()), timeout=_KILL_SECONDS)
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
                log.warning("server %s: %s", self.row.name, error)
                self._later(_RETRY_SECONDS)

    async def _step(self) -> None:
        if self.row.wish == "stopped":
            for replica in list(self.replicas.values()):
                replica.unwanted()
            await self._note()
            return
        reason = self._given_up()
        if reason and not self._failed:
            await self._give_up(reason)
        spec = self._specs.get(self.version.number)
        if spec is None and not self._failed:
            self._prepare()
        seen = [
            Seen(one.number, one.spec.version, one.state == "ready")
            for one in self.replicas.values()
            if one.counts
        ]
        wanted = self.row.pods
        if self._failed:
            for one in seen:
                if one.version == self.version.number and not one.ready:
                    self.replicas[one.number].unwanted()
        else:
            step = rollout.step(seen, self.version.number, wanted)
            for number in step.drain:
                self.replicas[number].unwanted()
            await self._start(spec, step.start)
            if self.rollout is not None and self.rollout.state == "running":
                done = rollout.is_done(seen, self.version.number, wanted)
                if done and (spec is not None or not wanted):
                    await self._rolled_out()
        await self._note()

    async def _start(self, spec: ReplicaSpec | None, count: int) -> None:
        if spec is None or not count:
            return
        wait = self._trial.not_before - time.monotonic()
        if wait > 0:
            self._later(wait)
            return
        for _ in range(count):
            now = time.time()
            number = await self._workshop.database.write(
                partial(
                    server_records.new_replica,
                    server=self.row.name,
                    version=spec.version,
                    restarts=self._restarts,
                    now=now,
                )
            )
            replica = self._new(spec, number, self._restarts, now)
            if self.row.wish != "running" or spec.version != self.version.number:
                replica.unwanted()  # another wish came meanwhile
            self._run(replica)
        self._later(spec.definition.start_timeout + 0.1)

    def _new(self, spec: ReplicaSpec, number: int, restarts: int, created: float) -> Replica:
        replica = Replica(
            self._around,
            spec,
            number,
            self.front.router,
            self,
            restarts=restarts,
            created=created,
        )
        self.replicas[number] = replica
        return replica

    def _run(self, replica: Replica, *, adopt: bool = False) -> None:
        name = f"replica {self.row.name}/{replica.number}"
        task = asyncio.create_task(replica.run(adopt=adopt), name=name)
        self._tasks[replica.number] = task
        task.add_done_callback(lambda done: self._on_end(replica, done, adopted=adopt))

    def _on_end(self, replica: Replica, task: asyncio.Task[None], *, adopted: bool) -> None:
        self._tasks.pop(replica.number, None)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("replica %s/%s failed", self.row.name, replica.number, exc_info=error)
        self.replicas.pop(replica.number, None)
        if adopted and replica.ready_at is None:
            self._adopting -= 1
            self._hold()
        self._changed()

    def _crashed(self, replica: Replica) -> None:
        if replica.spec.version != self.version.number or self.row.wish != "running":
            return
        lived = time.time() - replica.ready_at if replica.ready_at is not None else None
        self._trial.crashed(time.monotonic(), lived, replica.message, blamed=replica.blamed)
        if replica.timed_out and not self._trial.was_ready:
            self._trial.crashes = max(self._trial.crashes, rollout.MOST_CRASHES)
        self._restarts = replica.restarts + 1

    def on_replica(self, replica: Replica) -> None:
        """A replica's state or message changed; called by the replica."""
        if replica.state == "ready":
            if replica.spec.version == self.version.number:
                self._trial.was_ready = True
            self._adopting = max(0, self._adopting - 1)
            self._hold()
        elif replica.state == "failed":
            log.warning("replica %s/%s: %s", self.row.name, replica.number, replica.message)
            self._crashed(replica)
        self._store(
            partial(
                replica_table.set_state,
                server=self.row.name,
                number=replica.number,
                state=replica.state,
                message=replica.message,
                ready=replica.ready_at,
                ended=replica.ended_at,
            )
        )
        self._changed()

    # -- versions

    def _begin_rollout(self, before: int | None) -> None:
        self._has_other = before is not None
        self.rollout = RolloutInfo(
            from_version=before,
            to_version=self.version.number,
            state="running",
            ready=0,
            wanted=self.row.pods,
            started=time.time(),
        )
        self._settled.clear()

    def _end_rollout(self, state: str, message: str = "") -> None:
        told = self.rollout
        if told is not None and told.state == "running":
            self.rollout = RolloutInfo(
                told.from_version,
                told.to_version,
                state,
                len(self.ready),
                self.row.pods,
                told.started,
                time.time(),
                message,
            )

    async def _rolled_out(self) -> None:
        number = self.version.number
        self.row = await self._workshop.database.write(
            partial(server_records.rolled_out, server=self.row.name, version=number)
        )
        self._end_rollout("done")
        running = {one.spec.version for one in self.replicas.values()}
        self._specs = {
            version: spec
            for version, spec in self._specs.items()
            if version == number or version in running
        }

    def _given_up(self) -> str:
        """Why the wanted version is given up; empty where it is not."""
        trial = self._trial
        if trial.is_over(has_other=self._has_other):
            return trial.reasons[-1] if trial.reasons else "it crashed"
        if self.rollout is None or self.rollout.state != "running":
            return ""
        for one in self.replicas.values():
            waited = time.monotonic() - one.begun
            late = waited > self.definition.start_timeout
            if one.counts and one.state == "requested" and late and self.ready:
                return f"there was no room for it: {one.message}"
        return ""

    async def _give_up(self, reason: str) -> None:
        """Go back to a version that worked; without one the server has failed."""
        self.row, other = await self._workshop.database.write(
            partial(
                server_records.gave_up,
                server=self.row.name,
                version=self.version.number,
                reason=reason,
            )
        )
        self._has_other = False
        if other is None:
            log.warning("server %s failed: %s", self.row.name, reason)
            self._failed = True
            self._end_rollout("failed", reason)
            return
        log.warning("server %s: %s", self.row.name, self.row.message)
        self.version = other
        self.definition = definitions.from_plain(other.definition)
        self._trial = Trial(other.number, time.monotonic(), was_ready=True)
        self._restarts = 0
        self._end_rollout("rolled back", reason)

    def _prepare(self) -> None:
        if self._preparing is None or self._preparing.done():
            work = self._prepare_version(self.version, self.definition)
            self._preparing = asyncio.create_task(work, name=f"version of {self.row.name}")

    async def _prepare_version(self, version: VersionRow, definition: ServerDefinition) -> None:
        try:
            self._specs[version.number] = await self._workshop.prepare(version, definition)
        except SpiceError as error:
            if version.number == self.version.number:
                self._trial.reasons.append(str(error))
                self._trial.crashes = rollout.MOST_CRASHES
        self._poke.set()

    def _stop_preparing(self) -> None:
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None

    # -- what is told

    async def _note(self) -> None:
        """Put the server's state where others see it, and in the store when it is another."""
        state, message = self._state()
        values: dict[str, Any] = {}
        if state != self.row.state:
            values["state"] = state
            if state == "running" or (state in {"stopped", "failed"} and self.row.running_since):
                values["running_since"] = time.time() if state == "running" else None
        if message != self.row.message:
            values["message"] = message
        if values:
            self.row = await self._workshop.database.write(
                lambda connection: table.change(connection, self.row.name, **values)
            )
        links = [one.link for one in self.ready if one.link is not None]
        self.front.update(self.row, self.definition, links)
        if self._is_settled(state):
            self._settled.set()
        self._told(self)

    def _is_settled(self, state: str) -> bool:
        rolling = self.rollout is not None and self.rollout.state == "running"
        if self.row.wish == "stopped":
            return state == "stopped"
        return state == "failed" or not rolling

    def _state(self) -> tuple[str, str]:
        ready = len(self.ready)
        if self.row.wish == "stopped":
            return ("stopping" if self.replicas else "stopped"), ""
        if self._failed:
            return ("running" if ready else "failed"), self.row.message
        told = self.rollout
        rolling = told is not None and told.state == "running"
        waiting = next(
            (one.message for one in self.replicas.values() if one.counts and one.message), ""
        )
        problem = waiting or (self._trial.reasons[-1] if self._trial.reasons and not ready else "")
        if told is not None and told.state == "rolled back":
            problem = self.row.message
        if rolling:
            return ("updating" if ready else "starting"), problem
        if ready or not self.row.pods:
            return "running", problem
        return ("failing" if self._trial.reasons else "starting"), problem

    def _hold(self) -> None:
        """Calls wait for a replica rather than being turned away: while those that an earlier
        engine left are taken up, and where a server starts at its first call."""
        from_zero = self.definition.scaling.min_pods == 0 and not self._failed
        self.front.router.hold = self.row.wish == "running" and (self._adopting > 0 or from_zero)

    def _on_hung(self, link: ReplicaLink) -> None:
        for replica in self.replicas.values():
            if replica.link is link:
                replica.hung()

    def _changed(self) -> None:
        self._poke.set()

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._poke.set)

    def _store(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Write without waiting; the order of writes is kept."""
        try:
            done = self._workshop.database.write(work)
        except SpiceError as error:
            log.warning("server %s: %s", self.row.name, error)
            return
        done.add_done_callback(_seen)


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("a server's state was not stored: %s", error)
