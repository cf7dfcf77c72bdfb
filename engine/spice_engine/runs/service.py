"""Runs: started, followed, stopped, and taken up again after the engine was away.

The store holds every state before anyone is told of it. A run's process belongs to its shim,
not to the engine: what happens while no engine is there is read off the run's folder by the
next one (see `spice_engine.workers.shims`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import shlex
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spice_engine.errors import ChildFailed, Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.events import Bus, Topic
from spice_engine.protocol.location import Location
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.workers.limits import Limits, plan
from spice_engine.workers.shims import (
    Attached,
    Exited,
    Exit,
    Lost,
    NeverStarted,
    ShimHost,
)

log = logging.getLogger(__name__)

RECENT = 200
"""Ended runs that the `runs` topic still shows, newest ones."""

MAX_COMMAND_BYTES = 128 * 1024
LOG_NAME = "logs.txt"


def info_of(row: RunRow) -> RunInfo:
    """A stored run as it crosses the doors."""
    return RunInfo(
        id=row.id,
        kind=row.kind,
        name=row.name,
        command=list(row.command),
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
        return "killed", "failed", "Killed."
    if state == "stopping":
        return "stopped", "stopped", "Stopped."
    if exit_.reason == "timeout":
        return "stopped", "stopped", "Stopped at its timeout."
    if exit_.reason not in {"", "exited", "signaled"}:
        return "complete", "failed", f"Ended: {exit_.reason}."
    return "complete", "success" if exit_.exit_code == 0 else "failed", ""


class Runs:
    """The service behind the operations on runs."""

    def __init__(
        self,
        location: Location,
        database: Database,
        metrics: MetricStore,
        shims: ShimHost,
        bus: Bus,
    ) -> None:
        self.location = location
        self.database = database
        self.metrics = metrics
        self.shims = shims
        self._bus = bus
        self._recent: OrderedDict[int, RunInfo] = OrderedDict()
        self._watchers: dict[int, asyncio.Task[None]] = {}
        self._attached: dict[int, Attached] = {}
        self._sizes: dict[int, int] = {}
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

    def _note(self, row: RunRow) -> RunInfo:
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
            size = os.stat(self.folder(number) / LOG_NAME).st_size  # noqa: PTH116 - once a snapshot
        except OSError:
            size = 0
        return {"size": size, "ended": number not in self._watchers}

    def _grew(self, number: int) -> None:
        topic = self._logs.get(number)
        if topic is not None and topic.subscriptions:
            topic.publish(self._log_state(number))

    # -- life

    async def start(self, request: StartRun) -> RunInfo:
        """Accept a run, start its process, and tell what became of the start.

        Raises:
            InvalidRequest: the command or its folder cannot be used.
            ChildFailed: no process could be started; the run is kept, as failed.
        """
        shell = isinstance(request.command, str)
        command = [request.command] if isinstance(request.command, str) else request.command
        if not command or not command[0].strip() or any("\0" in part for part in command):
            raise InvalidRequest("a run needs a command.")
        if sum(len(part) for part in command) > MAX_COMMAND_BYTES:
            raise InvalidRequest(f"the command is over {MAX_COMMAND_BYTES} bytes.")
        cwd = (self.location.root / request.cwd).resolve()
        if not await asyncio.to_thread(cwd.is_dir):
            raise InvalidRequest(f"{cwd} is not a directory.", hint="Name one with --cwd.")
        if request.timeout is not None and not request.timeout > 0:
            raise InvalidRequest("timeout: must be more than 0 seconds.")
        limits = Limits(cpu=request.cpu, memory=request.memory)

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
        self._note(row)
        # From here on the run is accepted: a caller that goes away does not undo it.
        watcher = asyncio.create_task(self._launch(row, shell, limits), name=f"run {row.id}")
        self._keep(row.id, watcher)
        started = asyncio.get_running_loop().create_future()
        self._starting[row.id] = started
        return await asyncio.shield(started)
