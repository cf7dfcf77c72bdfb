"""The runs an engine has in mind: every state is stored first, then told to who follows them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any

from spice_engine.errors import Overloaded, StorageError
from spice_engine.events import Bus
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs.listeners import Listeners
from spice_engine.runs.states import STOPPED_AS, WAITING, ending_of, has_process, info_of
from spice_engine.store import run_life
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_engine.store.runs import FINAL_STATES, OutputsRow, RunRow
from spice_engine.workers.shims import Exit

log = logging.getLogger(__name__)

RECENT = 200
"""Ended runs that the `runs` topic still shows, newest ones."""

LOOK_AGAIN_SECONDS = 1.0

_PREPARING = {"building": "makes its environment.", "mounting": "lays out its files."}


class KnownRuns:
    """By number: all runs that are not over (`active`), and the newest of those that are."""

    def __init__(self, database: Database, bus: Bus, active: Sized) -> None:
        self._database = database
        self._active = active
        self._recent: OrderedDict[int, RunInfo] = OrderedDict()
        self.listeners = Listeners()
        self._topic = bus.topic("runs", "state", self._snapshot)

    def __getitem__(self, number: int) -> RunInfo:
        return self._recent[number]

    def __contains__(self, number: object) -> bool:
        return number in self._recent

    def __iter__(self) -> Iterator[int]:
        return iter(self._recent)

    def __len__(self) -> int:
        return len(self._recent)

    def names(self) -> list[str]:
        """Ids of recent runs, newest first, and their names."""
        names = [info.name for info in reversed(self._recent.values()) if info.name]
        return [*map(str, reversed(self._recent)), *dict.fromkeys(names)]

    def _snapshot(self) -> dict[str, Any]:
        return {str(number): _plain(info) for number, info in self._recent.items()}

    def note(self, row: RunRow) -> RunInfo:
        """Remember and publish a run's state, which the store has already."""
        info = info_of(row)
        self._recent[info.id] = info
        self._topic.set(str(info.id), _plain(info))
        while len(self._recent) > RECENT + len(self._active):
            ended = next((i for i, run in self._recent.items() if _may_go(run)), None)
            if ended is None:
                break
            del self._recent[ended]
            self._topic.remove(str(ended))
        self.listeners.tell(info)
        return info

    async def queued(self, number: int, message: str) -> RunInfo:
        """Note that a run waits, and for what, unless a stop was asked for meanwhile."""

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state not in WAITING or (row.state, row.message) == ("queued", message):
                return row
            return table.set_state(connection, number, "queued", message=message)

        return await self._record(change)

    async def running(self, number: int) -> RunInfo:
        """Note that the process runs, unless a stop was asked for meanwhile."""

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state not in WAITING:
                return row
            return table.set_state(connection, number, "running", message="", started=time.time())

        return await self._record(change)

    async def preparing(self, number: int, state: str, message: str = "") -> RunInfo:
        """Note that its environment or its files are made, unless a stop was asked for."""

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state not in WAITING or row.state == state:
                return row
            return table.set_state(connection, number, state, message=message or _PREPARING[state])

        return await self._record(change)

    async def prepared(self, number: int, stages: Mapping[str, float], environment: str) -> RunInfo:
        """Note how long it took until a run could begin, and the key of its environment."""

        def change(connection: sqlite3.Connection) -> RunRow:
            if environment:
                table.note_environment(connection, number, environment)
            for stage, seconds in stages.items():
                table.note_stage(connection, number, stage, seconds)
            return table.get(connection, number)

        return await self._record(change)

    async def saving(self, number: int, exit_: Exit) -> RunInfo:
        """Note that a run's outputs are kept now, and how it ended; not of one that was killed."""
        info = self._recent[number]
        _, outcome, message = ending_of(info.state, exit_)
        if outcome in {"stopped", "killed"}:
            message = info.message or message

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state in {"killing", "saving"}:
                return row
            return table.set_state(
                connection,
                number,
                "saving",
                outcome=outcome,
                exit_code=exit_.exit_code,
                message=message,
            )

        return await self._record(change)

    async def ended(self, number: int, exit_: Exit, outputs: OutputsRow | None = None) -> RunInfo:
        """Record how a run's process ended, and what it left."""
        info = self._recent[number]
        final, outcome, message = ending_of(info.state, exit_, info.outcome)
        if outcome in {"stopped", "killed"}:
            message = info.message or message
        started = exit_.started or None

        def change(connection: sqlite3.Connection) -> RunRow:
            if outputs is not None:
                table.note_outputs(connection, number, outputs)
                table.note_stage(connection, number, "saving", max(0.0, time.time() - exit_.ended))
            table.note_stage(connection, number, "running", exit_.duration_s)
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

        return await self._record(change)

    async def again(self, number: int, exit_: Exit, message: str) -> RunInfo:
        """Note that an attempt failed and another one comes, unless a stop was asked for."""

        def change(connection: sqlite3.Connection) -> RunRow:
            row = table.get(connection, number)
            if row.state in STOPPED_AS:
                return row
            table.note_stage(connection, number, "running", exit_.duration_s)
            return run_life.next_attempt(connection, number, message)

        return await self._record(change)

    async def resumes_before(self, number: int) -> int:
        """How many lost runs a run goes on from."""
        return await self._database.read(
            lambda connection: run_life.resumes_before(connection, number)
        )

    async def lost(
        self, row: RunRow, message: str, outputs: OutputsRow | None, code: str, *, resume: bool
    ) -> RunRow | None:
        """Record that a run was interrupted; with `resume`, and another one with it that goes on
        with `code`, which comes back."""
        made: list[RunRow] = []

        def change(connection: sqlite3.Connection) -> RunRow:
            made.clear()
            now = time.time()
            if outputs is not None:
                table.note_outputs(connection, row.id, outputs)
            if resume:
                made.append(run_life.resume(connection, row.id, code=code, created=now))
            return table.set_state(
                connection, row.id, "interrupted", outcome="failed", message=message, ended=now
            )

        await self._record(change)
        return made[0] if made else None

    async def over(
        self, number: int, state: str, message: str, outputs: OutputsRow | None = None
    ) -> RunInfo:
        """Record that a run is over without an exit status of its own."""

        def change(connection: sqlite3.Connection) -> RunRow:
            if outputs is not None:
                table.note_outputs(connection, number, outputs)
            return table.set_state(
                connection, number, state, outcome="failed", message=message, ended=time.time()
            )

        return await self._record(change)

    async def _record(self, change: Callable[[sqlite3.Connection], RunRow]) -> RunInfo:
        """Store what happened to a run, however long the disk refuses it."""
        while True:
            try:
                return self.note(await self._database.write(change))
            except (StorageError, Overloaded) as error:
                log.warning("a run's state waits for the disk: %s", error)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _may_go(run: RunInfo) -> bool:
    """Whether nothing here needs to know of a run: it is over, or was never in our hands."""
    return run.state in FINAL_STATES or not has_process(run)


_FIELDS = tuple(item.name for item in dataclasses.fields(RunInfo))


def _plain(info: RunInfo) -> dict[str, Any]:
    """As plain data. `asdict` copies all that is in it, which takes twenty times as long; nobody
    changes it here."""
    plain = {name: getattr(info, name) for name in _FIELDS}
    if info.dependencies is not None:
        plain["dependencies"] = dataclasses.asdict(info.dependencies)
    return plain
