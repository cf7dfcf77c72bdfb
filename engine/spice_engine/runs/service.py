"""Runs: accepted, stopped, waited for, and taken up again after the engine was away.

The store holds every state before anyone is told of it. How a run lives is in
`spice_engine.runs.life`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from spice_engine.errors import Conflict, EngineUnavailable, InvalidRequest, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.location import Location
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.runs.insertion import store_run
from spice_engine.runs.known_runs import RECENT, KnownRuns
from spice_engine.runs.life import Life
from spice_engine.runs.listeners import Listener
from spice_engine.runs.log_topics import LogTopics
from spice_engine.runs.machine_types import MachineTypes
from spice_engine.runs.preparation import Preparation, Taken
from spice_engine.runs.rank_jobs import check_ranks
from spice_engine.runs.readiness import Readiness
from spice_engine.runs.requests import command_of
from spice_engine.runs.sameness import key_of
from spice_engine.runs.stages import Stages
from spice_engine.runs.states import STOPPED_AS, has_process, info_of
from spice_engine.store import request_keys, run_life, run_lists
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.workers.placement import Placement

log = logging.getLogger(__name__)
T = TypeVar("T")


class Runs:
    """The service behind the operations on runs."""

    def __init__(
        self,
        location: Location,
        database: Database,
        metrics: MetricStore,
        placement: Placement,
        machines: MachineTypes,
        preparation: Preparation,
        bus: Bus,
    ) -> None:
        self.location = location
        self.database = database
        self.metrics = metrics
        self.machines = machines
        self.preparation = preparation
        self._watchers: dict[int, asyncio.Task[None]] = {}
        self._changes: set[asyncio.Task[Any]] = set()
        self._starting: dict[int, asyncio.Future[RunInfo]] = {}
        self.known = KnownRuns(database, bus, self._watchers)
        self._stages = Stages(self.known, preparation, self.folder, self._answer)
        self.logs = LogTopics(self.known, self._watchers, self.folder)
        bus.family("log", self.logs.topic)
        self._life = Life(
            database,
            self.known,
            self._stages,
            machines,
            placement,
            self.logs,
            self.folder,
            self._answer,
            self._accept,
        )
        self._readiness = Readiness(machines, placement, preparation.files)
        self._keeping_ready: asyncio.Task[None] | None = None
        self.variables = self._life.variables
        """Give variables for a run's process, below those that the run was asked with."""
        self.settling = self._stages.settling
        """Awaited when a run's process has ended, before anything of it is kept or removed. They
        wait for a disk that refuses, and raise nothing."""

    # -- what is known without asking the store

    @property
    def active(self) -> int:
        """Runs that are not over."""
        return len(self._watchers)

    def folder(self, number: int) -> Path:
        """Where the run's shim and log live."""
        return self.location.state / "runs" / str(number)

    # -- life

    async def start(self, request: StartRun, taken: Taken | None = None) -> RunInfo:
        """Accept a run and start its process; the answer comes when it runs, waits for its turn,
        or has ended. One that is the same as an earlier one is not made again, if it is asked for
        as idempotent: that one is the answer. `taken` is what it runs on, where that was frozen
        before.

        Raises:
            InvalidRequest: the command, its folder, its limits or what it needs cannot be used.
            NotFound: there is no such machine type, nothing to mount, or no run it comes after.
            GitFailed: the commit it is to run on cannot be had.
            StorageError: the folder cannot be kept as it is.
        """
        command = command_of(request)
        check_ranks(request.distributed)
        machine_type = self.machines.check(
            request.machine_type, request.cpu, request.memory, max(1, request.distributed)
        )
        request = replace(request, machine_type=machine_type)
        cwd = Path(os.path.normpath(self.location.root / request.cwd))
        if request.code_of is not None:
            cwd, code = await self._code_of(request.code_of, request.cwd)
            request = replace(request, in_place=not code)
            taken = taken or await self.preparation.take(request, cwd, code)
        elif taken is None and request.git:
            cwd, taken = await self.preparation.take_commit(request)
        elif taken is None:
            if not await asyncio.to_thread(os.path.isdir, cwd):  # also False for what is no path
                raise InvalidRequest(
                    f"{str(cwd)[:200]} is not a directory.", hint="Set another cwd."
                )
            taken = await self.preparation.take(request, cwd)
        started = await self._carry_out(self._insert(request, command, cwd, taken))
        return started if isinstance(started, RunInfo) else await asyncio.shield(started)

    async def _code_of(self, number: int, cwd: str) -> tuple[Path, str]:
        """Where another run began, or `cwd`, and the folder it had."""
        row = await self.database.read(lambda connection: table.get(connection, number))
        if not cwd and not row.cwd:
            raise InvalidRequest(f"run {number} was in no folder.", hint="Set a cwd.")
        place = os.path.normpath(self.location.root / cwd) if cwd else row.cwd
        if row.code and not Path(place).is_relative_to(self.location.root):
            raise InvalidRequest(f"{place[:200]} is not in the folder that run {number} had.")
        return Path(place), row.code

    async def _carry_out(self, change: Coroutine[Any, Any, T]) -> T:
        """Do all of a change, also when whoever asked for it goes away half-way."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def _insert(
        self, request: StartRun, command: tuple[str, ...], cwd: Path, taken: Taken
    ) -> asyncio.Future[RunInfo] | RunInfo:
        """Store a run and begin to start it; the future gets what it is once it runs. Of a run
        that is there already: what it is."""
        inner = os.path.relpath(cwd, self.location.root)
        key = key_of(command, request.params, request.env, inner, taken, request.distributed)

        def insert(connection: sqlite3.Connection) -> RunRow | RunInfo:
            if (made := request_keys.made(connection, request.request_key, "run")) is not None:
                return info_of(table.get(connection, int(made)))
            if request.idempotent and (found := run_lists.same(connection, key)) is not None:
                return replace(info_of(found), existed=True)
            table.get_all(connection, request.after)
            return store_run(connection, request, command, cwd, taken, key)

        row = await self.database.write(insert)
        if isinstance(row, RunInfo):
            return row
        started: asyncio.Future[RunInfo] = asyncio.get_running_loop().create_future()
        self._starting[row.id] = started
        self._accept(row)
        return started

    def _accept(self, row: RunRow) -> None:
        """Begin to start a run that is stored."""
        self.known.note(row)
        self._watch(row, again=False)

    def _watch(self, row: RunRow, *, again: bool) -> None:
        task = asyncio.create_task(self._life.live(row, again=again), name=f"run {row.id}")
        self._watchers[row.id] = task
        task.add_done_callback(lambda _: self._unwatch(row.id))

    def _unwatch(self, number: int) -> None:
        task = self._watchers.pop(number)
        started = self._starting.pop(number, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("run %s is no longer followed", number, exc_info=error)
        if started is not None and not started.done():
            # Who asks again with its key finds it with the next engine.
            started.set_exception(error or EngineUnavailable("the engine is stopping."))
            started.exception()  # seen, also when the caller has gone
        self.logs.changed(number)

    def _answer(self, info: RunInfo) -> None:
        started = self._starting.get(info.id)
        if started is not None and not started.done():
            started.set_result(info)

    async def find(self, name: str) -> int:
        """The number of the one run of a name that is not archived.

        Raises:
            NotFound: there is none.
            Conflict: there are several.
        """
        found = await self.database.read(lambda connection: run_lists.named(connection, name))
        match found:
            case [number]:
                return number
            case []:
                raise NotFound(
                    f"there is no run named {name[:80]!r}.", hint="`spice-tui ps` lists the runs."
                )
            case _:
                raise Conflict(
                    f"several runs are named {name[:80]!r}.",
                    hint=f"Give a number; the newest: {', '.join(map(str, found))}.",
                )

    async def archive(self, number: int, *, archived: bool) -> RunInfo:
        """Put a run away, or take it back.

        Raises:
            NotFound: there is no such run.
            Conflict: it is not over, or is what it is to become.
        """

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state not in FINAL_STATES:
                raise Conflict(
                    f"run {number} is not over ({row.state}).", hint="Stop it, or wait for it."
                )
            if (row.archived is not None) is archived:
                word = "archived already" if archived else "not archived"
                raise Conflict(f"run {number} is {word}.")
            return run_life.archive(connection, number, time.time() if archived else None)

        return self.known.note(await self.database.write(change))

    async def end(
        self, number: int, *, kill: bool, grace: float | None = None, reason: str = ""
    ) -> RunInfo:
        """Ask a run to stop, or kill it; the answer tells the state it went to. A `reason` to
        stop it is its message from then on.

        Raises:
            NotFound: there is no such run.
            Conflict: it is over already.
        """
        return await self._carry_out(self._end(number, kill=kill, grace=grace, reason=reason))

    async def _end(
        self, number: int, *, kill: bool, grace: float | None, reason: str = ""
    ) -> RunInfo:
        wanted = "killing" if kill else "stopping"

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state in FINAL_STATES:
                raise Conflict(f"run {number} is over already ({row.state}).")
            if not has_process(row):  # there is nothing to wait for
                return run_life.end_here(connection, row, STOPPED_AS[wanted], reason, time.time())
            # One that is saved is over but for that, unless it is going to be tried again.
            ending = row.state == "saving" and row.attempt > row.retries
            if ending or row.state in {"killing", wanted}:
                return row
            return table.set_state(connection, number, wanted, message=reason)

        info = self.known.note(await self.database.write(change))
        await self._life.signal(number, info.state, grace)
        return info

    async def pause(self, number: int) -> None:
        """Have a run's processes do nothing more until they are killed.

        Raises:
            ChildFailed, Overloaded: it could not be told.
        """
        await self._life.pause(number)

    async def tell_waiting(self, machine_type: str) -> None:
        """Say anew what the runs wait for that wait for a machine of a type that changed."""
        await self._life.tell_waiting(machine_type)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of every state of every run once it is stored, until what comes back is
        called. See `Listeners`."""
        return self.known.listeners.add(listener)

    async def wait_over(self, number: int) -> RunInfo:
        """What a run is when it is over.

        Raises:
            NotFound: there is no such run.
        """
        over: asyncio.Future[RunInfo] = asyncio.get_running_loop().create_future()

        def hear(info: RunInfo) -> None:
            if info.id == number and info.state in FINAL_STATES and not over.done():
                over.set_result(info)

        end = self.listen(hear)
        try:
            # Asked after listening: no end is missed between the two.
            row = await self.database.read(lambda connection: table.get(connection, number))
            if row.state in FINAL_STATES:
                return info_of(row)
            return await over
        finally:
            end()

    async def adopt_all(self) -> int:
        """Take up every run the store says is not over; how many there are."""
        newest = await self.database.read(lambda connection: table.list_newest(connection, RECENT))
        for row in reversed(newest):
            self.known.note(row)
        rows = await self.database.read(table.active)
        await self.machines.take_back(rows, self.folder)
        self._keeping_ready = asyncio.create_task(self._readiness.run(), name="readiness for runs")
        for row in rows:
            self.known.note(row)
            self._watch(row, again=True)
        return len(rows)

    async def tidy(self) -> None:
        """Remove the files that no run sees any more.

        Raises:
            StorageError: one cannot be removed.
        """
        rows = await self.database.read(table.active)
        needed = {row.code for row in rows} | {mount.object for row in rows for mount in row.mounts}
        await self.preparation.environments.keep({row.environment for row in rows} - {""})
        await asyncio.to_thread(self.preparation.files.trees.sweep, needed)

    async def close(self, *, stop: bool, grace: float = 10.0) -> None:
        """Follow no longer; with `stop`, stop every run first. Processes left alone run on."""
        await self.preparation.snapshots.close()
        await asyncio.gather(*self._changes, return_exceptions=True)
        if stop and self._watchers:
            numbers = list(self._watchers)
            await asyncio.gather(
                *(self.end(number, kill=False, grace=grace) for number in numbers),
                return_exceptions=True,
            )
            if self._watchers:
                await asyncio.wait(list(self._watchers.values()), timeout=grace + 5)
        tasks = [*self._watchers.values()]
        if self._keeping_ready is not None:
            tasks.append(self._keeping_ready)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
