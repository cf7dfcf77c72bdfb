"""One search and its trials as they are now: every change of them is stored first, then told."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from spice_engine.errors import Overloaded, StorageError
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import search_points
from spice_engine.runs.search_plan import Plan
from spice_engine.runs.search_watch import TrialWatch
from spice_engine.store import searches as table
from spice_engine.store import trial_runs
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.runs import RunRow
from spice_engine.store.searches import OVER, TRIAL_OVER, SearchRow, TrialRow
from spice_engine.workers.pool import ChildPool

log = logging.getLogger(__name__)
T = TypeVar("T")

AGAIN_SECONDS = 1.0
"""Between tries while the disk refuses."""


class Record:
    """`changed` is told of the search, and of the trial that changed, if it was one; `note_run` of
    the run of a trial that has no process, when it begins or ends."""

    def __init__(
        self,
        database: Database,
        metrics: MetricStore,
        pool: ChildPool,
        row: SearchRow,
        plan: Plan,
        trials: tuple[TrialRow, ...],
        changed: Callable[[Record, TrialRow | None], None],
        note_run: Callable[[RunRow], object],
    ) -> None:
        self.row = row
        self.plan = plan
        self.trials: list[TrialRow] = []
        self.counts: Counter[str] = Counter()
        self.best: TrialRow | None = None
        self.watch = TrialWatch(metrics, row.id, plan)
        self._database = database
        self._pool = pool
        self._changed = changed
        self._note_run = note_run
        self._asking = asyncio.Lock()
        self._keys: dict[str, int] = {}
        self._history: list[search_points.Seen] = []
        for trial in trials:
            self._keep(trial)

    @property
    def id(self) -> int:
        """The search's number."""
        return self.row.id

    @property
    def mark(self) -> str:
        """What its runs are made by."""
        return f"search:{self.row.id}"

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.row.state in OVER

    @property
    def going_on(self) -> bool:
        """Whether trials begin and go on."""
        return self.row.state == "running"

    @property
    def ended_as(self) -> str:
        """How a trial ends that is not to go on."""
        return "killed" if self.row.state in {"killing", "killed"} else "stopped"

    @property
    def running(self) -> int:
        """Trials that are not over."""
        return sum(self.counts[state] for state in self.counts.keys() - TRIAL_OVER)

    @property
    def all_asked(self) -> bool:
        """Whether there is no point left to ask for."""
        return 0 < self.plan.trials <= len(self.trials)

    def trial(self, number: int) -> TrialRow:
        """A trial as it is now."""
        return self.trials[number - 1]

    def unfinished(self) -> list[TrialRow]:
        """The trials that are not over."""
        return [trial for trial in self.trials if trial.state not in TRIAL_OVER]

    def name_of(self, number: int) -> str:
        """The name of a trial's run."""
        return f"{self.row.name or f'search-{self.row.id}'}-{number}"

    def number_of(self, name: str) -> int | None:
        """Which trial a run of this name is."""
        *_, tail = name.rpartition("-")
        if not tail.isdecimal() or name != self.name_of(int(tail)):
            return None
        return int(tail) if 0 < int(tail) <= len(self.trials) else None

    async def ask(self, key: str = "", parent: int | None = None) -> TrialRow | None:
        """The next trial, stored; None when there is none any more. The same key gets the same.
        `parent` is the run whose code asks, if it is one.

        Raises:
            NotFound: there is no such run.
            SpiceError: its point cannot be computed.
        """
        async with self._asking:
            if key in self._keys:
                return self.trial(self._keys[key])
            if not self.going_on or self.all_asked:
                return None
            point = await search_points.next_point(
                self._pool, self.id, self.plan, self._history, self.row.sampler_state
            )

            def add(connection: sqlite3.Connection) -> tuple[TrialRow, RunRow | None] | None:
                if not table.goes_on(connection, self.id):
                    return None  # it was ended meanwhile
                now = time.time()
                run = None
                if self.plan.source != "runs":
                    number = len(self.trials) + 1
                    run = self._begun(connection, number, point.params, now, parent)
                trial = table.add_trial(
                    connection,
                    self.id,
                    point.params,
                    state="asked" if run is None else "running",
                    asked=now,
                    why=point.why,
                    sampler_state=point.state,
                    key=key or None,
                    run=None if run is None else run.id,
                )
                return trial, run

            added = await self.store(add)
            if added is None:
                return None
            self.row = dataclasses.replace(self.row, sampler_state=point.state)
            return self._noted(*added)

    def _begun(
        self,
        connection: sqlite3.Connection,
        number: int,
        params: Mapping[str, Any],
        now: float,
        parent: int | None = None,
    ) -> RunRow:
        """Store the run of a trial that has no process."""
        return trial_runs.begin(
            connection,
            params=params,
            name=self.name_of(number),
            made_by=self.mark,
            moment=now,
            description=self.row.description,
            parent=parent,
        )

    async def begin_again(self, number: int, message: str) -> TrialRow:
        """Give a trial that has no process another run; its own ended as `message` says."""

        def change(connection: sqlite3.Connection) -> tuple[TrialRow, RunRow, RunRow | None]:
            now, trial = time.time(), table.get_trial(connection, self.id, number)
            lost = None if trial.run is None else trial_runs.lose(connection, trial, message, now)
            run = self._begun(connection, number, trial.params, now)
            attempt = trial.attempt if lost is None else trial.attempt + 1
            noted = table.set_run(connection, self.id, number, run.id, attempt=attempt)
            return noted, run, lost

        trial, run, lost = await self.store(change)
        if lost is not None:
            self._note_run(lost)
        return self._noted(trial, run)

    async def tell(
        self, number: int, state: str, *, value: float | None = None, message: str = ""
    ) -> TrialRow:
        """Record how a trial ended, and its run if that has no process; one that is over already
        stays as it is."""
        trial = self.trial(number)
        if trial.state in TRIAL_OVER:
            return trial
        if state == "complete" and value is not None and math.isnan(value):
            state, value, message = "failed", None, "Its value is not a number."
        own = self.plan.source != "runs"
        last = self.watch.last(number) if state == "pruned" or own else None
        if state == "pruned" and value is None and last is not None and math.isfinite(last[1]):
            value = last[1]
        if own and state == "complete" and value is not None:
            worth = value
            await self.insist(lambda: self.watch.told(trial, worth))

        def change(connection: sqlite3.Connection) -> tuple[TrialRow, RunRow | None]:
            now = table.get_trial(connection, self.id, number)
            if now.state in TRIAL_OVER:  # its run was ended meanwhile
                return now, None
            told = table.set_trial(
                connection,
                self.id,
                number,
                state,
                value=value,
                message=message,
                ended=time.time(),
                last=last,
            )
            return told, trial_runs.end(connection, told) if own else None

        return self._over(*await self.store(change))

    def hear(self, info: RunInfo) -> bool:
        """A person ended the run of a trial that has no process, and with it the trial: whether it
        was so."""
        number = self.number_of(info.name)
        trial = None if number is None else self.trial(number)
        if trial is None or trial.run != info.id or trial.state in TRIAL_OVER:
            return False
        if info.state not in {"stopped", "killed"}:
            return False
        ended = dataclasses.replace(trial, state=info.state, message=info.message, ended=info.ended)
        self._over(ended, None)
        return True

    async def set_state(self, state: str, *, message: str = "", ended: float | None = None) -> None:
        """Record the search's own state."""
        self.row = await self.store(
            lambda connection: table.set_state(
                connection, self.id, state, message=message, ended=ended
            )
        )
        self._changed(self, None)

    def _noted(self, trial: TrialRow, run: RunRow | None) -> TrialRow:
        self.note(trial)
        if run is not None:
            self._note_run(run)
        return trial

    def _over(self, trial: TrialRow, run: RunRow | None) -> TrialRow:
        self.watch.over(trial.number, complete=trial.state == "complete")
        return self._noted(trial, run)

    def note(self, trial: TrialRow) -> TrialRow:
        """Remember a trial's state, which the store has already, and tell of it."""
        self._keep(trial)
        self._changed(self, trial)
        return trial

    def _keep(self, trial: TrialRow) -> None:
        if trial.number > len(self.trials):
            self.trials.append(trial)
            self._history.append(search_points.seen(self.plan, trial, None))
        else:
            self.counts[self.trial(trial.number).state] -= 1
            self.trials[trial.number - 1] = trial
            before = self._history[trial.number - 1]
            self._history[trial.number - 1] = search_points.seen(self.plan, trial, before)
        self.counts[trial.state] += 1
        if trial.key:
            self._keys[trial.key] = trial.number
        if trial.state == "complete" and trial.value is not None:
            sign = -1.0 if self.plan.asked.goal == "min" else 1.0
            best = None if self.best is None else self.best.value
            # Of equal ones the first, whichever came to its end first.
            if best is None or (sign * trial.value, -trial.number) > (
                sign * best,
                -(self.best.number if self.best else 0),
            ):
                self.best = trial

    async def store(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Store a change, however long the disk refuses it."""
        return await self.insist(lambda: self._database.write(change))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read something, however long the disk refuses it."""
        return await self.insist(lambda: self._database.read(work))

    async def insist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, however long the disk refuses it."""
        while True:
            try:
                return await work()
            except (StorageError, Overloaded) as error:
                log.warning("search %s waits for the disk: %s", self.id, error)
                await asyncio.sleep(AGAIN_SECONDS)
