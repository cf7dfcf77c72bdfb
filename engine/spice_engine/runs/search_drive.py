"""Carries out one search: asks for points, has them tried, and knows when it is over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from spice_engine.errors import ChildFailed, Overloaded, SpiceError, StorageError
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs.search_plan import Plan
from spice_engine.runs.search_record import AGAIN_SECONDS, Record
from spice_engine.runs.search_runs import TrialRuns
from spice_engine.runs.service import Runs
from spice_engine.store.searches import TRIAL_OVER, TrialRow

log = logging.getLogger(__name__)

MOST_TRIES = 5
"""Of a point that cannot be computed."""

WENT = "Its training ended with the engine; another run does the trial anew."

Report = Callable[[int, float], None]


class PodTrainer(Protocol):
    """Trains a pod with other hyperparameters than it has, beside it."""

    async def check(self, plan: Plan) -> None:
        """Refuse what cannot be searched over.

        Raises:
            SpiceError: why.
        """
        ...

    async def train(self, plan: Plan, trial: TrialRow, report: Report) -> float:
        """The score of a training; `report` gets the episodes' on the way.

        Raises:
            SpiceError: why there is none.
        """
        ...


class Drive:
    """One search under way, in one task (`run`) and one for each trial that the engine does."""

    def __init__(self, record: Record, runs: Runs, pods: PodTrainer | None) -> None:
        self.record = record
        self.runs = TrialRuns(record, runs, self._fail)
        self._pods = pods
        self._wake = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._pruned: set[int] = set()

    async def end(self, state: str) -> None:
        """Stop it, or kill it: what goes on ends, and nothing begins any more."""
        if self.record.row.state in {state, "killing"}:
            return
        await self.record.set_state(state)
        await self._end_trials()
        self._wake.set()

    def hear(self, info: RunInfo) -> None:
        """One of its runs changed its state."""
        if self.record.plan.source == "runs":
            self.runs.hear(info)
        elif self.record.hear(info):
            number = self.record.number_of(info.name)
            if number in self._tasks:
                self._tasks[number].cancel()
            self._wake.set()

    async def tell(self, number: int, state: str, value: float | None, message: str) -> TrialRow:
        """Whoever does a trial tells how it ended."""
        told = await self.record.tell(number, state, value=value, message=message)
        self._wake.set()
        return told

    async def run(self) -> None:
        """Carry it out to its end."""
        record = self.record
        await record.insist(lambda: record.watch.take_up(record.trials))
        try:
            for trial in record.unfinished():
                self._begin(trial, again=True)
            if not record.going_on:
                await self._end_trials()
            while not record.over:
                self._wake.clear()
                if await self._step():
                    await self._wake.wait()
        finally:
            # None is left when it is over; after a defect nobody would end them.
            for task in self._tasks.values():
                task.cancel()

    async def close(self) -> None:
        """Let go of it; another engine may take it up."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.runs.close()
        self.record.watch.close()

    async def _step(self) -> bool:
        """Go on as far as it goes now; whether there is something to wait for."""
        record = self.record
        if not record.going_on:
            for trial in record.unfinished():
                if trial.number not in self._tasks:  # it was asked for just now
                    await record.tell(trial.number, record.ended_as)
        if not record.going_on or (record.all_asked and not record.running):
            if record.running or self._tasks:
                return True
            await self._finish()
            return False
        if record.plan.source == "code" or record.all_asked:
            return True
        if len(self._tasks) >= record.plan.parallel:
            return True
        trial = await self._ask()
        if trial is not None:
            self._begin(trial)
        return False

    async def _ask(self) -> TrialRow | None:
        """The next trial; a search whose points cannot be computed fails."""
        for attempt in range(1, MOST_TRIES + 1):
            try:
                return await self.record.ask()
            except (ChildFailed, Overloaded) as error:
                log.warning("search %s: the next point: %s", self.record.id, error)
                if attempt == MOST_TRIES:
                    await self._fail(str(error))
                else:
                    await asyncio.sleep(AGAIN_SECONDS)
            except SpiceError as error:
                await self._fail(str(error))
                break
        return None

    async def _fail(self, message: str) -> None:
        """It makes no sense to go on: what goes on is stopped, and then it has failed."""
        if self.record.going_on:
            await self.record.set_state("stopping", message=message)
            await self._end_trials()
            self._wake.set()

    async def _finish(self) -> None:
        row = self.record.row
        state = {"running": "complete", "stopping": "stopped", "killing": "killed"}[row.state]
        if state == "stopped" and row.message:
            state = "failed"
        await self.record.set_state(state, message=row.message, ended=time.time())
        await self.runs.close()
        self.record.watch.close()

    async def _end_trials(self) -> None:
        """End what goes on, as the search's state says."""
        record = self.record
        for trial in record.unfinished():
            if record.plan.source == "code":
                await record.tell(trial.number, record.ended_as)
            elif record.plan.source == "pod":
                if (task := self._tasks.get(trial.number)) is not None:
                    task.cancel()
            else:
                await self.runs.end(trial, kill=record.ended_as == "killed")

    # -- a trial

    def _begin(self, trial: TrialRow, *, again: bool = False) -> None:
        if self.record.plan.source == "code":
            return
        pod = self.record.plan.source == "pod"
        work = self._train(trial, again=again) if pod else self.runs.attempt(trial)
        task = asyncio.create_task(work, name=f"trial {self.record.id}/{trial.number}")
        self._tasks[trial.number] = task
        task.add_done_callback(lambda done: self._ended(trial.number, done))

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(number, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("trial %s of search %s", number, self.record.id, exc_info=error)

    async def _train(self, trial: TrialRow, *, again: bool) -> None:
        """A trial that is a training of a pod; `again`: it ended with an earlier engine."""
        record, number = self.record, trial.number
        if self._pods is None or not record.going_on:
            await record.tell(number, record.ended_as)
            return
        if again:
            trial = await record.begin_again(number, WENT)

        def report(step: int, value: float) -> None:
            try:
                record.watch.report(trial, step, value)
            except (Overloaded, StorageError) as error:
                log.warning("trial %s of search %s: a score: %s", number, record.id, error)
            if record.watch.condemned(number) and number not in self._pruned:
                self._pruned.add(number)
                self._tasks[number].cancel()

        try:
            value = await self._pods.train(record.plan, trial, report)
        except asyncio.CancelledError:
            if number in self._pruned:
                await record.tell(number, "pruned")
            elif not record.going_on and record.trial(number).state not in TRIAL_OVER:
                await record.tell(number, record.ended_as)
            else:
                raise
        except SpiceError as error:
            await record.tell(number, "failed", message=str(error))
        else:
            await record.tell(number, "complete", value=value)
