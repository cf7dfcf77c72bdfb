"""Trials that are runs: started once each, followed, ended early, and what came out of them.

A run is stored with a name that says which trial it is. So an engine that takes a search up finds
the run of each trial, if there is one, and starts those that are missing: none is lost, and none
is started twice.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable

from spice_engine.errors import Overloaded, SpiceError, StorageError
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs.preparation import Taken
from spice_engine.runs.search_record import AGAIN_SECONDS, Record
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.store import runs as runs_table
from spice_engine.store import searches as table
from spice_engine.store.searches import TRIAL_OVER, TrialRow

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
"""Of a trial whose run was lost with the machine."""

FAILED_BEFORE = frozenset({"build_failed", "mount_failed"})
"""States of runs that say the same of all runs of a search."""

Fail = Callable[[str], Awaitable[None]]


class TrialRuns:
    """The runs of one search. `fail` ends the search, for a reason that holds for all trials."""

    def __init__(self, record: Record, runs: Runs, fail: Fail) -> None:
        self._record = record
        self._runs = runs
        self._fail = fail
        self._numbers: dict[int, int] = {}
        self._pruning: dict[int, asyncio.Task[None]] = {}

    def hear(self, info: RunInfo) -> None:
        """A run changed its state: remember which trial it is, also while it is being started."""
        number = self._record.number_of(info.name)
        if number is not None:
            self._numbers[number] = info.id

    async def attempt(self, trial: TrialRow) -> None:
        """Find or start a trial's run, follow it, and record what came out."""
        number = trial.number
        run, attempt = await self._find(number)
        if run is not None and await self._went_with_engine(trial, run):
            run = None
        while True:
            if run is None:
                run = await self._start(number)
                if run is None:
                    return
                attempt += 1
            info = await self._follow(number, run, attempt)
            if info.state != "interrupted":
                break
            run = await self._resumed(info)
            if run is None and attempt >= MOST_ATTEMPTS:
                break
        await self._settle(number, info)

    async def end(self, trial: TrialRow, *, kill: bool) -> None:
        """End a trial's run, if it has one yet."""
        run = self._numbers.get(trial.number, trial.run)
        if run is not None:
            await self._end_run(run, kill=kill)

    async def close(self) -> None:
        """End what goes on beside the trials."""
        tasks = list(self._pruning.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- its beginning

    async def _find(self, number: int) -> tuple[int | None, int]:
        """The newest run that was started for a trial, and how many were."""
        mark, name = self._record.mark, self._record.name_of(number)
        return await self._record.read(lambda connection: table.runs_named(connection, mark, name))

    async def _went_with_engine(self, trial: TrialRow, run: int) -> bool:
        """Whether a run was stopped when nobody looked: at the end of the engine that had the
        search, not by a person, whose stop is seen at once. The trial is done again then."""
        row = await self._record.read(lambda connection: runs_table.get(connection, run))
        stopped = (row.state, row.outcome) == ("stopped", "stopped")
        return stopped and trial.last is None and self._record.going_on

    async def _start(self, number: int) -> int | None:
        """Start a trial's run; None if it is not to begin any more."""
        record = self._record
        asked = record.plan.asked.run
        assert asked is not None
        request = dataclasses.replace(
            asked,
            kind="trial",
            made_by=record.mark,
            name=record.name_of(number),
            params={**asked.params, **record.trial(number).params},
            env={**asked.env, **self._marks(number)},
            request_key="",  # of the search
        )
        row = record.row
        taken = Taken(row.code, row.dependencies, row.mounts, source=asked.source)
        while record.going_on:
            try:
                return (await self._runs.start(request, taken)).id
            except (Overloaded, StorageError) as error:
                log.warning("search %s: trial %s waits: %s", record.id, number, error)
                await asyncio.sleep(AGAIN_SECONDS)
            except SpiceError as error:
                await record.tell(number, "failed", message=str(error))
                await self._fail(f"Trial {number}: {error}")
                return None
        await record.tell(number, record.ended_as)
        return None

    def _marks(self, number: int) -> dict[str, str]:
        if self._record.plan.asked.run is not None and self._record.plan.asked.run.idempotent:
            return {}  # a trial is to be the same as one of another search
        return {"SPICE_SEARCH_ID": str(self._record.id), "SPICE_TRIAL": str(number)}

    async def _follow(self, number: int, run: int, attempt: int) -> RunInfo:
        """Note which run a trial is; what the run is when it is over."""
        record = self._record
        self._numbers[number] = run
        if record.trial(number).run != run:
            record.note(
                await record.store(
                    lambda connection: table.set_run(
                        connection, record.id, number, run, attempt=attempt
                    )
                )
            )
        if not record.going_on:
            await self._end_run(run, kill=record.ended_as == "killed")
        elif record.trial(number).last is not None:
            await self._end_run(run, kill=False)  # it was to be, before the engine went away
        unwatch = await record.insist(lambda: record.watch.follow(number, run, self._condemn))
        try:
            info = await record.insist(lambda: self._runs.wait_over(run))
            # All its points are to be heard of before nobody listens to them any more.
            await record.insist(self._runs.metrics.flush)
        finally:
            unwatch()
        return info

    async def _resumed(self, info: RunInfo) -> int | None:
        """The run that goes on where a lost one was, if there is one."""
        row = await self._runs.database.read(lambda connection: runs_table.get(connection, info.id))
        return info_of(row).resumed_as

    # -- its end

    async def _end_run(self, run: int, *, kill: bool) -> None:
        try:
            await self._runs.end(run, kill=kill)
        except SpiceError as error:  # it ended just now, or its end is seen later
            log.info("search %s: run %s: %s", self._record.id, run, error)

    def _condemn(self, number: int) -> None:
        """A trial gets on badly: its run is stopped, and that this was why is stored first."""
        if not self._record.going_on or number in self._pruning:
            return
        self._pruning[number] = asyncio.create_task(
            self._prune(number), name=f"pruning {self._record.id}/{number}"
        )

    async def _prune(self, number: int) -> None:
        record = self._record
        last, trial = record.watch.last(number), record.trial(number)
        if last is None or trial.state in TRIAL_OVER:
            return
        trial = record.note(
            await record.store(
                lambda connection: table.set_trial(
                    connection, record.id, number, "running", last=last
                )
            )
        )
        await self.end(trial, kill=False)

    async def _settle(self, number: int, info: RunInfo) -> None:
        """Record what came out of a trial's run, which is over."""
        tell = self._record.tell
        if info.state == "killed":
            await tell(number, "killed")
        elif info.state == "stopped":
            await self._settle_stopped(number, info)
        elif info.state == "complete" and info.outcome == "success":
            await self._settle_value(number, info, "failed")
        elif info.state == "complete" and info.exit_code:
            message = f"Run {info.id} ended with exit code {info.exit_code}."
            await tell(number, "failed", message=message)
        else:
            message = f"Run {info.id}: {info.message or info.state}"
            await tell(number, "failed", message=message)
            if info.state in FAILED_BEFORE:
                await self._fail(f"Trial {number}: {info.message}")

    async def _settle_stopped(self, number: int, info: RunInfo) -> None:
        if self._record.trial(number).last is not None:
            await self._record.tell(number, "pruned")
        elif not self._record.going_on:
            await self._record.tell(number, "stopped")
        else:
            # At its timeout or a stop condition, or by a person: what it reported counts.
            await self._settle_value(number, info, "stopped")

    async def _settle_value(self, number: int, info: RunInfo, otherwise: str) -> None:
        record = self._record
        metric = record.plan.asked.metric
        message = info.message if info.state == "stopped" else ""
        if not metric:
            await record.tell(number, "complete", message=message)
            return
        value = await record.insist(lambda: record.watch.value(info.id))
        if value is None:
            message = f"Run {info.id} reported no number of the metric {metric!r}."
            await record.tell(number, otherwise, message=message)
        else:
            await record.tell(number, "complete", value=value, message=message)
