"""Searches over parameters: started, followed, ended, and taken up again after the engine was away.

The store holds every point before its trial begins, and every end before anyone is told of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import logging
import math
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from spice_engine.errors import Conflict, InvalidRequest
from spice_engine.events import Bus
from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.searches import (
    Importance,
    ImportanceList,
    SearchInfo,
    StartSearch,
    TrialInfo,
)
from spice_engine.runs import search_plan, search_points
from spice_engine.runs.search_drive import Drive, PodTrainer
from spice_engine.runs.search_frozen import frozen
from spice_engine.runs.search_plan import Plan
from spice_engine.runs.search_record import Record
from spice_engine.runs.search_views import info_of, info_of_record, trial_info_of
from spice_engine.runs.service import Runs
from spice_engine.store import request_keys, workflows
from spice_engine.store import searches as table
from spice_engine.store.searches import OVER, TRIAL_OVER, SearchRow, TrialRow
from spice_engine.workers.pool import ChildPool

log = logging.getLogger(__name__)

RECENT = 100
"""Searches that the `searches` topic shows, the newest ones and those under way."""
RECENT_TRIALS = 2000
"""Trials that the `trials` topic shows."""

_Kept = tuple[SearchRow, SearchInfo, tuple[TrialRow, ...]]


class Searches:
    """The service behind the operations on searches. `pods` trains pods, once it is set."""

    def __init__(self, runs: Runs, pool: ChildPool, bus: Bus) -> None:
        self.runs = runs
        self.database = runs.database
        self.pods: PodTrainer | None = None
        self._pool = pool
        self._drives: dict[int, Drive] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._recent: dict[int, SearchInfo] = {}
        self._trials: dict[tuple[int, int], TrialInfo] = {}
        self._topic = bus.topic("searches", "state", self._snapshot)
        self._trial_topic = bus.topic("trials", "state", self._trial_snapshot)
        self._end_listening = runs.listen(self._hear)

    @property
    def active(self) -> int:
        """Searches whose trials the engine has to do; others wait for a script to ask."""
        return sum(one.record.plan.source != "code" for one in self._drives.values())

    def names(self) -> list[str]:
        """Numbers of recent searches, newest first."""
        return [str(number) for number in reversed(self._recent)]

    # -- life

    async def open(self) -> None:
        """Go on with what an earlier engine left, and learn what there is.

        Raises:
            StorageError: the store cannot be read.
        """

        def read(connection: sqlite3.Connection) -> list[_Kept]:
            newest = table.list_all(connection)[-RECENT:]
            rows = {row.id: row for row in (*newest, *table.active(connection))}
            return [_kept(connection, rows[number]) for number in sorted(rows)]

        for row, info, trials in await self.database.read(read):
            self._note(info)
            for trial in trials[-RECENT_TRIALS:]:
                self._note_trial(trial)
            if row.state not in OVER:
                self._drive(row, search_plan.stored(row.plan), trials)

    async def start(self, request: StartSearch) -> SearchInfo:
        """Accept a search and begin it.

        Raises:
            SpiceError: it cannot be carried out as it is asked for.
        """
        key = request.request_key
        before = await self.database.read(lambda c: request_keys.made(c, key, "search"))
        if before is not None:
            return await self.get(int(before))
        search_plan.check_texts(request)
        plan = search_plan.complete(request)
        if plan.asked.method == "bayesian" and importlib.util.find_spec("optuna") is None:
            raise InvalidRequest(
                "a Bayesian search needs Optuna, which is not installed.",
                hint="Install spice-tui[search], or use `hyper random`.",
            )
        if plan.source == "pod":
            if self.pods is None:
                raise InvalidRequest("this engine has no pods.")
            await self.pods.check(plan)
        code = ""
        if (number := request.within) is not None:
            code = (await self.database.read(lambda c: workflows.get(c, number))).code
        plan, taken = await frozen(self.runs, plan, code)

        def insert(connection: sqlite3.Connection) -> SearchRow | None:
            if request_keys.made(connection, key, "search") is not None:
                return None
            row = table.create(
                connection,
                method=plan.asked.method,
                source=plan.source,
                name=plan.asked.name,
                description=plan.asked.description,
                created=time.time(),
                plan=plan.as_stored(),
                code=taken.code,
                dependencies=taken.dependencies,
                mounts=taken.mounts,
            )
            request_keys.note(connection, key, "search", row.id)
            return row

        row = await self.database.write(insert)
        if row is None:  # asked for twice at once
            return await self.start(request)
        return self._note(info_of_record(self._drive(row, plan, ()).record))

    def _drive(self, row: SearchRow, plan: Plan, trials: tuple[TrialRow, ...]) -> Drive:
        metrics = self.runs.metrics
        record = Record(
            self.database,
            metrics,
            self._pool,
            row,
            plan,
            trials,
            self._changed,
            self.runs.known.note,
        )
        drive = Drive(record, self.runs, self.pods)
        self._drives[row.id] = drive
        task = asyncio.create_task(drive.run(), name=f"search {row.id}")
        self._tasks[row.id] = task
        task.add_done_callback(lambda done: self._ended(row.id, done))
        return drive

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        del self._tasks[number]
        self._drives.pop(number, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("search %s is no longer carried out", number, exc_info=error)

    def _hear(self, info: RunInfo) -> None:
        owner, _, number = info.made_by.partition(":")
        if owner == "search" and number.isdecimal() and (drive := self._drives.get(int(number))):
            drive.hear(info)

    def _changed(self, record: Record, trial: TrialRow | None) -> None:
        if trial is not None:
            self._note_trial(trial)
        self._note(info_of_record(record))

    async def close(self) -> None:
        """Let go of all searches; their runs are not touched."""
        self._end_listening()
        tasks, drives = list(self._tasks.values()), list(self._drives.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Those whose task is gone are known no more; their trials are still followed.
        await asyncio.gather(*(drive.close() for drive in drives))

    # -- what is asked of them

    async def taken_in(self, numbers: Sequence[int]) -> None:
        """Searches that are over were stored: show them, too, but for those that are archived."""

        def read(connection: sqlite3.Connection) -> list[_Kept]:
            return [_kept(connection, table.get(connection, number)) for number in numbers]

        for row, info, trials in await self.database.read(read):
            if row.archived is None:
                self._note(info)
                for trial in trials[-RECENT_TRIALS:]:
                    self._note_trial(trial)

    async def get(self, number: int) -> SearchInfo:
        """One search.

        Raises:
            NotFound: there is none of that number.
        """
        if number in self._drives:
            return self._recent[number]
        return await self.database.read(
            lambda connection: _view(connection, table.get(connection, number))
        )

    async def list(self, *, archived: bool) -> list[SearchInfo]:
        """All that are not archived, or all that are, oldest first."""

        def read(connection: sqlite3.Connection) -> list[SearchInfo]:
            rows = table.list_all(connection, archived=archived)
            return [_view(connection, row) for row in rows]

        return await self.database.read(read)

    async def trials(self, number: int, first: int, count: int) -> list[TrialInfo]:
        """Trials of a search, by number.

        Raises:
            NotFound: there is no such search.
        """

        def read(connection: sqlite3.Connection) -> tuple[TrialRow, ...]:
            table.get(connection, number)
            return table.trials(connection, number, first=first, count=count)

        return [trial_info_of(row) for row in await self.database.read(read)]

    async def end(self, number: int, *, kill: bool) -> SearchInfo:
        """Stop a search, or kill it, with all its trials.

        Raises:
            NotFound: there is no such search.
            Conflict: it is over already.
        """
        drive = self._drives.get(number)
        if drive is None or drive.record.over:
            state = (await self.get(number)).state
            raise Conflict(f"search {number} is over already ({state}).")
        await drive.end("killing" if kill else "stopping")
        return self._recent[number]

    async def archive(self, number: int) -> SearchInfo:
        """Take a search that is over out of the list.

        Raises:
            NotFound: there is no such search.
            Conflict: it is not over, or archived already.
        """

        def change(connection: sqlite3.Connection) -> SearchRow:
            row = table.get(connection, number)
            if row.state not in OVER:
                raise Conflict(f"search {number} is not over.", hint="Stop it first.")
            if row.archived is not None:
                raise Conflict(f"search {number} is archived already.")
            return table.archive(connection, number, time.time())

        await self.database.write(change)
        info = await self.get(number)
        if self._recent.pop(number, None) is not None:
            self._topic.remove(str(number))
        for key in [key for key in self._trials if key[0] == number]:
            del self._trials[key]
            self._trial_topic.remove(f"{key[0]}/{key[1]}")
        return info

    async def ask(self, number: int, key: str, parent: int | None = None) -> TrialInfo:
        """The next trial of a search whose trials are done elsewhere; the same key gets the same.
        `parent` is the run whose code asks, if it is one.

        Raises:
            NotFound: there is no such run.
            Conflict: its trials are done by the engine, or there is none any more.
        """
        trial = await self._code_drive(number).record.ask(key, parent)
        if trial is None:
            raise Conflict(f"search {number} has no trials any more.")
        return trial_info_of(trial)

    async def tell(
        self, number: int, trial: int, state: str, value: float | None, message: str
    ) -> TrialInfo:
        """What came out of such a trial; telling the same again changes nothing.

        Raises:
            Conflict: its trials are runs of the engine, or it was told something else.
            InvalidRequest: there is no such outcome, or a value is missing.
        """
        if state not in {"complete", "failed", "pruned"}:
            raise InvalidRequest("a trial is told as complete, failed or pruned.")
        if not search_plan.is_text(message):
            raise InvalidRequest("message: text without null bytes.")
        drive = self._code_drive(number)
        asked = drive.record.plan.asked
        if state == "complete" and value is None and (asked.metric or asked.method == "bayesian"):
            raise InvalidRequest("a complete trial needs a value.")
        self._require(drive, trial)
        told = await drive.tell(trial, state, value, message[:2000])
        complete = state == "complete"
        expected = "failed" if complete and math.isnan(value or 0.0) else state
        if told.state != expected or (expected == "complete" and told.value != value):
            raise Conflict(f"trial {trial} of search {number} is over already ({told.state}).")
        return trial_info_of(told)

    async def report(self, number: int, trial: int, step: int, value: float) -> bool:
        """Take in a value of a trial under way; whether the trial is better ended, or has been.

        Raises:
            Conflict: the search is over.
            InvalidRequest: there is no such trial, or the search has no metric.
        """
        drive = self._drives.get(number)
        if drive is None:
            state = (await self.get(number)).state
            raise Conflict(f"search {number} is over ({state}).")
        self._require(drive, trial)
        record = drive.record
        if record.trial(trial).state in TRIAL_OVER:
            return True
        record.watch.report(record.trial(trial), step, value)
        await self.runs.metrics.flush()
        return record.watch.condemned(trial)

    async def importance(self, number: int) -> ImportanceList:
        """What each parameter of a search has to do with the values.

        Raises:
            InvalidRequest: too few trials have a value.
        """
        row, trials = await self._read(number)
        plan = search_plan.stored(row.plan)
        count, found = await search_points.importance(self._pool, plan, trials)
        ordered = sorted(found, key=lambda one: (-one["share"], one["name"]))
        return ImportanceList([Importance(**one) for one in ordered], count)

    # -- small things

    async def _read(self, number: int) -> tuple[SearchRow, tuple[TrialRow, ...]]:
        return await self.database.read(
            lambda connection: (table.get(connection, number), table.trials(connection, number))
        )

    def _code_drive(self, number: int) -> Drive:
        drive = self._drives.get(number)
        if drive is None:
            raise Conflict(f"search {number} does not go on.", hint="spice-tui hyper list")
        if drive.record.plan.source != "code":
            raise Conflict(f"the trials of search {number} are done by the engine.")
        return drive

    def _require(self, drive: Drive, trial: int) -> None:
        if not 0 < trial <= len(drive.record.trials):
            raise InvalidRequest(f"search {drive.record.id} has no trial {trial}.")

    def _snapshot(self) -> dict[str, Any]:
        return {str(key): dataclasses.asdict(info) for key, info in self._recent.items()}

    def _trial_snapshot(self) -> dict[str, Any]:
        return {f"{s}/{n}": dataclasses.asdict(info) for (s, n), info in self._trials.items()}

    def _note(self, info: SearchInfo) -> SearchInfo:
        self._recent[info.id] = info
        self._topic.set(str(info.id), info)
        while len(self._recent) > RECENT + len(self._drives):
            oldest = next(key for key in self._recent if key not in self._drives)
            del self._recent[oldest]
            self._topic.remove(str(oldest))
        return info

    def _note_trial(self, trial: TrialRow) -> None:
        info = trial_info_of(trial)
        self._trials[trial.search, trial.number] = info
        self._trial_topic.set(f"{trial.search}/{trial.number}", info)
        while len(self._trials) > RECENT_TRIALS:
            search, number = next(iter(self._trials))
            del self._trials[search, number]
            self._trial_topic.remove(f"{search}/{number}")


def _kept(connection: sqlite3.Connection, row: SearchRow) -> _Kept:
    return row, _view(connection, row), table.trials(connection, row.id)


def _view(connection: sqlite3.Connection, row: SearchRow) -> SearchInfo:
    plan = search_plan.stored(row.plan)
    best = table.best(connection, row.id, plan.asked.goal)
    return info_of(row, plan, table.counts(connection, row.id), best)
