"""Carries out one declared workflow: starts what is ready, sees it end, says what is left out.

Every state of a step is stored before it is acted on: an engine that dies is followed by one that
goes on where this one was, and no step that succeeded is carried out again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from spice_engine.errors import Conflict, NotFound, Overloaded, SpiceError, StorageError
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs.known_runs import LOOK_AGAIN_SECONDS
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.runs.workflows import progress
from spice_engine.runs.workflows.plan import Node
from spice_engine.runs.workflows.progress import (
    CACHED,
    COMPLETE,
    FAILED,
    RUNNING,
    SKIPPED,
    STARTING,
    STOPPED,
    WAITING,
    Blocked,
)
from spice_engine.runs.workflows.reading import Declared
from spice_engine.runs.workflows.steps import StepMaker
from spice_engine.store import runs as run_table
from spice_engine.store import workflows as table
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import FINAL_STATES
from spice_engine.store.workflows import StepRow, WorkflowRow

log = logging.getLogger(__name__)
T = TypeVar("T")


class Driver:
    """One workflow on its way. Belongs to the engine's loop; `told` is called at each change."""

    def __init__(
        self,
        runs: Runs,
        objects: ObjectStore,
        row: WorkflowRow,
        declared: Declared,
        steps: dict[str, StepRow],
        told: Callable[[], None],
    ) -> None:
        self.steps = steps
        self.plan = declared.plan
        self._runs = runs
        self._row = row
        self._told = told
        self._maker = StepMaker(runs, objects, row, declared.spec, declared.plan, steps)
        self._changed = asyncio.Event()
        self._ending = {"stopping": "stop", "killing": "kill"}.get(row.state, "")
        self._ended: set[int] = set()

    def hear(self, info: RunInfo) -> None:
        """One of its runs has a new state."""
        if info.state in FINAL_STATES or info.resumed_as is not None:
            self._changed.set()

    def end(self, *, kill: bool) -> None:
        """Begin nothing more, and end what runs."""
        self._ending = "kill" if kill or self._ending == "kill" else "stop"
        self._ended.clear()
        self._changed.set()

    @property
    def states(self) -> dict[str, str]:
        """The state of each step."""
        return {key: row.state for key, row in self.steps.items()}

    async def run(self) -> tuple[str, str]:
        """Carry it out; its final state and message."""
        await self._take_up()
        while True:
            self._changed.clear()
            await self._see_ends()
            if self._ending:
                await self._wind_up()
            else:
                await self._go_on()
            self._told()
            if progress.is_over(self.states):
                break
            await self._changed.wait()
        if self._ending:
            return ("killed", "Killed.") if self._ending == "kill" else ("stopped", "Stopped.")
        return progress.result(self.states)

    async def _take_up(self) -> None:
        """Find the runs that an engine started and did not live to note."""
        for key, step in list(self.steps.items()):
            if step.state != STARTING:
                continue
            run = await self._runs.database.read(
                lambda connection, step=step: table.run_of_step(connection, self._row.id, step)
            )
            if run is None:
                await self._set(key, WAITING)
            else:
                await self._set(key, RUNNING, run=run)

    async def _see_ends(self) -> None:
        numbers = {row.run: key for key, row in self.steps.items() if row.state == RUNNING}

        def read(connection: sqlite3.Connection) -> list[RunInfo]:
            return [info_of(run_table.get(connection, number)) for number in numbers if number]

        for info in await self._runs.database.read(read) if numbers else []:
            key = numbers[info.id]
            if info.resumed_as is not None:
                await self._set(key, RUNNING, run=info.resumed_as)
                self._changed.set()
            elif info.state in FINAL_STATES:
                state, message = _end_of(info)
                if self._ending and info.state in {"stopped", "killed"}:
                    state = STOPPED
                await self._set(key, state, message, info.id)

    async def _go_on(self) -> None:
        for decision in list(progress.decide(self.plan, self.states)):
            if self._ending:
                self._changed.set()
                return
            if isinstance(decision, Blocked):
                await self._set(decision.key, SKIPPED, decision.reason)
                # What comes after it is decided in the next round.
                self._changed.set()
            else:
                await self._begin(self.plan.nodes[decision.key])

    async def _begin(self, node: Node) -> None:
        """Carry out a step, or take it from an earlier run, or leave it out."""
        try:
            holds, seen = await self._maker.judge(node)
            if not holds:
                assert node.step.when is not None
                await self._set(node.key, SKIPPED, f"{node.step.when.text} does not hold: {seen}.")
                self._changed.set()
                return
            prepared = await self._maker.prepare(node)
        except SpiceError as error:
            await self._set(node.key, FAILED, str(error))
            self._changed.set()
            return
        if prepared.fingerprint and not self._row.fresh:
            earlier = await self._runs.database.read(
                lambda connection: table.same_step(connection, prepared.fingerprint)
            )
            if earlier is not None:
                message = f"The same as run {earlier}."
                await self._set(node.key, CACHED, message, earlier, prepared.fingerprint)
                self._changed.set()
                return
        await self._set(node.key, STARTING, fingerprint=prepared.fingerprint)
        try:
            info = await self._runs.start(prepared.request, prepared.taken)
        except SpiceError as error:
            await self._set(node.key, FAILED, str(error))
            self._changed.set()
        else:
            await self._set(node.key, RUNNING, run=info.id)
            self.hear(info)
            self._told()

    async def _wind_up(self) -> None:
        for key, step in list(self.steps.items()):
            if step.state == WAITING:
                await self._set(key, STOPPED, "The workflow was stopped before its turn.")
        # Those of the steps, and what these have made.
        made = await self._runs.database.read(
            lambda connection: table.active_runs_of(connection, self._row.id)
        )
        for run in made:
            if run not in self._ended:
                self._ended.add(run)
                try:
                    await self._runs.end(run, kill=self._ending == "kill")
                except (Conflict, NotFound):
                    self._changed.set()  # it ended just now

    async def _set(
        self,
        key: str,
        state: str,
        message: str = "",
        run: int | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.steps[key] = await _stored(
            self._runs,
            lambda connection: table.set_step(
                connection,
                self._row.id,
                key,
                state,
                run=run,
                message=message,
                fingerprint=fingerprint,
            ),
        )


async def _stored(runs: Runs, change: Callable[[sqlite3.Connection], T]) -> T:
    """Store a change, however long the disk refuses it."""
    while True:
        try:
            return await runs.database.write(change)
        except (StorageError, Overloaded) as error:
            log.warning("a workflow's state waits for the disk: %s", error)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _end_of(info: RunInfo) -> tuple[str, str]:
    """State and message of a step whose run is over."""
    if (info.state, info.outcome) == ("complete", "success"):
        return COMPLETE, ""
    if info.state == "complete" and info.exit_code is not None:
        return FAILED, f"Run {info.id} ended with exit code {info.exit_code}."
    words = f"Run {info.id} is {info.state.replace('_', ' ')}"
    return FAILED, f"{words}: {info.message}" if info.message else f"{words}."
