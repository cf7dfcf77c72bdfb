"""Runs: started, followed, stopped, and taken up again after the engine was away.

The store holds every state before anyone is told of it. A run's process belongs to its shim,
not to the engine: what happens while no engine is there is read off the run's folder by the
next one (see `spice_engine.workers.shims`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import shutil
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spice_engine.errors import (
    ChildFailed,
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    SpiceError,
    StorageError,
)
from spice_engine.events import Bus, Topic
from spice_engine.protocol.location import Location
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.workers.placement import Placed, Placement, Resources
from spice_engine.workers.shims import Exit, Exited, Job, JobLost, Lost, NeverStarted

log = logging.getLogger(__name__)

RECENT = 200
"""Ended runs that the `runs` topic still shows, newest ones."""

MAX_COMMAND_BYTES = 128 * 1024
LOG_NAME = "logs.txt"
LOOK_AGAIN_SECONDS = 1.0
LOG_MAX_BYTES = 2**30
"""A run's log is cut at this size; its command goes on."""

SHELL = ("/bin/sh", "-c")
"""A one-line command is stored and run as this and the line."""


def info_of(row: RunRow) -> RunInfo:
    """A stored run as it crosses the doors; a shell line is shown as the user gave it."""
    command = list(row.command)
    if len(command) == 3 and tuple(command[:2]) == SHELL:
        command = command[2:]
    return RunInfo(
        id=row.id,
        kind=row.kind,
        name=row.name,
        command=command,
        cwd=row.cwd,
        state=row.state,
        outcome=row.outcome,
        exit_code=row.exit_code,
        message=row.message,
        created=row.created,
        started=row.started,
        ended=row.ended,
        labels=list(row.labels),
        project=row.project or "",
    )


def ending_of(state: str, exit_: Exit) -> tuple[str, str, str]:
    """State, outcome and message of a run that was in `state` when its process ended."""
    if state == "killing":
        return "killed", "killed", "Killed."
    if state == "stopping" or exit_.reason == "stopped":
        return "stopped", "stopped", "Stopped."
    if exit_.reason == "timeout":
        return "stopped", "timeout", "Stopped at its timeout."
    if exit_.reason == "exited":
        return "complete", "success" if exit_.exit_code == 0 else "failed", exit_.message
    return "complete", "failed", exit_.message or f"{exit_.reason.capitalize()}."


class Runs:
    """The service behind the operations on runs."""

    def __init__(
        self,
        location: Location,
        database: Database,
        metrics: MetricStore,
        placement: Placement,
        bus: Bus,
    ) -> None:
        self.location = location
        self.database = database
        self.metrics = metrics
        self._placement = placement
        self._recent: OrderedDict[int, RunInfo] = OrderedDict()
        self._watchers: dict[int, asyncio.Task[None]] = {}
        self._starting: dict[int, asyncio.Future[RunInfo]] = {}
        self._placed: dict[int, Placed] = {}
        self._logs: dict[int, Topic] = {}
        self._topic = bus.topic("runs", "state", self._snapshot)
        bus.family("log", self._log_topic)

    # -- what is known without asking the store

    @property
    def active(self) -> int:
        """Runs that are not over."""
        return len(self._watchers)

    def names(self) -> list[str]:
        """Ids of recent runs, newest first."""
        return [str(number) for number in reversed(self._recent)]

    def _snapshot(self) -> dict[str, Any]:
        return {str(number): dataclasses.asdict(info) for number, info in self._recent.items()}

    def note(self, row: RunRow) -> RunInfo:
        """Remember and publish a run's state, which the store has already."""
        info = info_of(row)
        self._recent[info.id] = info
        self._topic.set(str(info.id), dataclasses.asdict(info))
        while len(self._recent) > RECENT + len(self._watchers):
            ended = next((i for i, r in self._recent.items() if r.state in FINAL_STATES), None)
            if ended is None:
                break
            del self._recent[ended]
            self._topic.remove(str(ended))
        return info

    def folder(self, number: int) -> Path:
        """Where the run's shim and log live."""
        return self.location.state / "runs" / str(number)

    # -- logs

    def _log_topic(self, key: str) -> Topic:
        number = int(key) if key.isdigit() and len(key) < 19 else -1
        if number not in self._recent and not self.folder(number).is_dir():
            raise NotFound(f"there is no run {key}.", hint="`spice-tui ps` lists the runs.")
        topic = self._logs.get(number)
        if topic is None:
            for idle in [n for n, t in self._logs.items() if not t.subscriptions]:
                del self._logs[idle]
            topic = Topic(f"log/{number}", "gauge", lambda: self._log_state(number))
            self._logs[number] = topic
        return topic

    def _log_state(self, number: int) -> dict[str, Any]:
        try:
            size = os.stat(self.folder(number) / LOG_NAME).st_size  # noqa: PTH116 - one stat
        except OSError:
            size = 0
        return {"size": size, "ended": number not in self._watchers}

    def _log_changed(self, number: int) -> None:
        topic = self._logs.get(number)
        if topic is not None and topic.subscriptions:
            topic.publish(self._log_state(number))

    # -- life

    async def start(self, request: StartRun) -> RunInfo:
        """Accept a run and start its process; the answer comes when it runs, or has ended.

        Raises:
            InvalidRequest: the command, its folder or its limits cannot be used.
        """
        row = await self._accept(request)
        # From here on the run is accepted: a caller that goes away does not undo it.
        started: asyncio.Future[RunInfo] = asyncio.get_running_loop().create_future()
        self._starting[row.id] = started
        self._watch(row, again=False)
        return await asyncio.shield(started)

    async def _accept(self, request: StartRun) -> RunRow:
        line = isinstance(request.command, str)
        command: Sequence[str] = (
            (*SHELL, request.command) if isinstance(request.command, str) else request.command
        )
        if not command or not command[-1 if line else 0].strip():
            raise InvalidRequest("a run needs a command.")
        texts = (*command, request.cwd, *request.env, *request.env.values())
        if any("\0" in text for text in texts):
            raise InvalidRequest("a command, folder or variable holds a null byte.")
        if sum(len(part) for part in texts) > MAX_COMMAND_BYTES:
            raise InvalidRequest(f"the command is over {MAX_COMMAND_BYTES} bytes.")
        cwd = self.location.root / request.cwd
        if not await asyncio.to_thread(cwd.is_dir):
            raise InvalidRequest(f"{cwd} is not a directory.", hint="Name one with --cwd.")
        for name in ("timeout", "cpu", "memory"):
            value = getattr(request, name)
            if value is not None and not value > 0:
                raise InvalidRequest(f"{name}: must be more than 0.")

        def insert(connection: sqlite3.Connection) -> RunRow:
            return table.create(
                connection,
                kind="run",
                name=request.name,
                command=command,
                cwd=str(cwd),
                state="requested",
                created=time.time(),
                env=request.env,
                limits={"cpu": request.cpu, "memory": request.memory, "timeout": request.timeout},
                project=request.project or None,
                labels=request.labels,
            )

        row = await self.database.write(insert)
        self.note(row)
        return row

    def _watch(self, row: RunRow, *, again: bool) -> None:
        work = self._adopt(row) if again else self._launch(row)
        task = asyncio.create_task(work, name=f"run {row.id}")
        self._watchers[row.id] = task
        task.add_done_callback(lambda _: self._unwatch(row.id))

    def _unwatch(self, number: int) -> None:
        task = self._watchers.pop(number)
        self._placed.pop(number, None)
        started = self._starting.pop(number, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("run %s is no longer followed", number, exc_info=error)
        if started is not None and not started.done():
            started.set_exception(error or Conflict("the engine is stopping."))
            started.exception()  # seen, also when the caller has gone
        self._log_changed(number)

    def _answer(self, info: RunInfo) -> None:
        started = self._starting.get(info.id)
        if started is not None and not started.done():
            started.set_result(info)

    async def _launch(self, row: RunRow) -> None:
        """Start an accepted run's process and follow it to its end."""
        room = Resources(row.limits.get("cpu") or 0.0, row.limits.get("memory") or 0)
        job = Job(
            argv=row.command,
            env={**os.environ, **row.env, "SPICE_RUN_ID": str(row.id)},
            cwd=row.cwd,
            timeout_s=row.limits.get("timeout") or 0.0,
            log_max_bytes=LOG_MAX_BYTES,
        )
        try:
            reservation = self._placement.reserve([room])
        except (Overloaded, InvalidRequest) as error:
            return await self._not_started(row.id, error)
        try:
            placed = await self._placement.start(reservation, 0, self.folder(row.id), job)
        except (ChildFailed, Conflict, InvalidRequest, StorageError) as error:
            self._placement.release(reservation)
            return await self._not_started(row.id, error)
        try:
            await self._follow(row.id, placed)
        finally:
            self._placement.release(reservation)

    async def _not_started(self, number: int, error: SpiceError) -> None:
        log.warning("run %s was not started: %s", number, error)
        self._answer(await self._over(number, "failed", str(error)))

    async def _adopt(self, row: RunRow) -> None:
        """Take up a run that another engine left."""
        try:
            found = await self._placement.find(self.folder(row.id))
        except NotFound:
            found = NeverStarted()
        match found:
            case Placed() as placed:
                log.info("run %s goes on; followed again", row.id)
                await self._follow(row.id, placed)
            case Exited(exit_):
                await self._ended(row.id, row.state, exit_)
            case Lost(message):
                log.warning("run %s was lost: %s", row.id, message)
                await self._over(row.id, "interrupted", message)
            case NeverStarted():
                # Accepted, but the engine died before its process was there: it starts now.
                await asyncio.to_thread(shutil.rmtree, self.folder(row.id), ignore_errors=True)
                await self._launch(row)

    async def _follow(self, number: int, placed: Placed) -> None:
        self._placed[number] = placed
        info = await self._running(number)
        self._answer(info)
        # A command that has ended meanwhile takes neither: `wait` knows its exit.
        with contextlib.suppress(ChildFailed, Conflict):
            if info.state in {"stopping", "killing"}:
                await self._signal(number, info.state, None)
            await self._placement.follow(placed, lambda _: self._log_changed(number))
        try:
            exit_ = await self._placement.wait(placed)
        except JobLost as lost:
            log.warning("run %s was lost: %s", number, lost)
            await self._over(number, "interrupted", lost.message)
        except (ChildFailed, Conflict) as error:
            log.warning("run %s: %s; looking again", number, error)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            row = await self.database.read(lambda connection: table.get(connection, number))
            await self._adopt(row)
        else:
            await self._ended(number, self._recent[number].state, exit_)

    async def _running(self, number: int) -> RunInfo:
        """Note that the process runs, unless a stop was asked for meanwhile."""

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state != "requested":
                return row
            return table.set_state(connection, number, "running", started=time.time())

        return await self._record(change)

    async def _ended(self, number: int, state: str, exit_: Exit) -> None:
        final, outcome, message = ending_of(state, exit_)
        started = exit_.started or None

        def change(connection: sqlite3.Connection) -> RunRow:
            return table.set_state(
                connection,
                number,
                final,
                outcome=outcome,
                exit_code=exit_.exit_code,
                message=message,
                started=started,
                ended=exit_.ended,
            )

        self._answer(await self._record(change))

    async def _over(self, number: int, state: str, message: str) -> RunInfo:
        """Record that a run is over without an exit status of its own."""

        def change(connection: sqlite3.Connection) -> RunRow:
            return table.set_state(
                connection, number, state, outcome="failed", message=message, ended=time.time()
            )

        return await self._record(change)

    async def _record(self, change: Callable[[sqlite3.Connection], RunRow]) -> RunInfo:
        """Store what happened to a run, however long the disk refuses it."""
        while True:
            try:
                return self.note(await self.database.write(change))
            except (StorageError, Overloaded) as error:
                log.warning("a run's state waits for the disk: %s", error)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def end(self, number: int, *, kill: bool, grace: float | None = None) -> RunInfo:
        """Ask a run to stop, or kill it; the answer tells the state it went to.

        Raises:
            NotFound: there is no such run.
            Conflict: it is over already.
        """
        wanted = "killing" if kill else "stopping"

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state in FINAL_STATES:
                raise Conflict(f"run {number} is over already ({row.state}).")
            if row.state in {"killing", wanted}:
                return row
            return table.set_state(connection, number, wanted)

        info = self.note(await self.database.write(change))
        with contextlib.suppress(ChildFailed, Conflict):  # it ended just now
            await self._signal(number, info.state, grace)
        return info

    async def _signal(self, number: int, state: str, grace: float | None) -> None:
        placed = self._placed.get(number)
        if placed is None:
            return  # it starts just now, and sees the state then
        if state == "killing":
            await self._placement.kill(placed)
        else:
            await self._placement.stop(placed, grace)

    async def adopt_all(self) -> int:
        """Take up every run the store says is not over; how many there are."""
        newest = await self.database.read(lambda connection: table.list_newest(connection, RECENT))
        for row in reversed(newest):
            self.note(row)
        rows = await self.database.read(table.active)
        for row in rows:
            self.note(row)
            self._watch(row, again=True)
        return len(rows)

    async def close(self, *, stop: bool, grace: float = 10.0) -> None:
        """Follow no longer; with `stop`, stop every run first. Processes left alone run on."""
        if stop and self._watchers:
            numbers = list(self._watchers)
            await asyncio.gather(
                *(self.end(number, kill=False, grace=grace) for number in numbers),
                return_exceptions=True,
            )
            if self._watchers:
                await asyncio.wait(list(self._watchers.values()), timeout=grace + 5)
        tasks = list(self._watchers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
