"""The service of workflows: declared ones and those of scripts, by one number."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable

from spice_engine.errors import Conflict, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.workflows import WorkflowInfo
from spice_engine.runs.client_variables import ClientVariables
from spice_engine.runs.service import Runs
from spice_engine.runs.workflows.declared import DeclaredWorkflows
from spice_engine.runs.workflows.known import KnownWorkflows
from spice_engine.runs.workflows.scripts import ScriptWorkflows
from spice_engine.runs.workflows.terminals import Terminals
from spice_engine.store import workflows as table
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import RunRow
from spice_engine.workers.runtime_copy import runtime_copy

log = logging.getLogger(__name__)

EndSearch = Callable[[int, bool], Awaitable[object]]
"""Number, and whether it is killed."""


class Workflows:
    """All workflows of one app folder. Belongs to the engine's loop."""

    def __init__(self, runs: Runs, objects: ObjectStore, bus: Bus, client: ClientVariables) -> None:
        self.runs = runs
        self._client = client
        self.known = KnownWorkflows(runs.database, bus)
        self.declared = DeclaredWorkflows(runs, objects, self.known)
        self.scripts = ScriptWorkflows(runs, objects, self.known)
        self.terminals = Terminals(self.known)
        self.end_search: EndSearch = _no_searches
        """Ends a search that a workflow began; set when there are searches."""
        self._work: set[asyncio.Task[None]] = set()
        self._deaf = runs.listen(self._hear)
        runs.variables += [client, variables]

    @property
    def active(self) -> int:
        """Declared workflows that are not over; the script of another is a run."""
        return len(self.declared)

    async def open(self) -> None:
        """Take up what an earlier engine left. The runs must be known by then."""
        await self.known.open()
        for row in await self.runs.database.read(table.active):
            if row.kind == "declared":
                await self.declared.take_up(row)
            elif row.kind == "script":
                await self.scripts.take_up(row)

    async def close(self) -> None:
        """Follow no longer; what runs goes on, and the next engine takes it up."""
        self._deaf()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self.terminals.close()
        await self.declared.close()

    def _hear(self, info: RunInfo) -> None:
        """A run has a new state."""
        number = workflow_of(info.made_by)
        if number is None:
            return
        if number in self.declared:
            self.declared.hear(number, info)
            return
        task = asyncio.create_task(self.scripts.heard(number, info))
        self._work.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a workflow's change failed", exc_info=error)

    async def end(self, number: int, *, kill: bool) -> WorkflowInfo:
        """Stop or kill a workflow: its script or steps, every run it made, and every search and
        workflow that it began.

        Raises:
            NotFound: there is none.
            Conflict: it is over.
        """
        row = await self.known.row(number)
        if row.state not in table.ACTIVE:
            raise Conflict(f"workflow {number} is over already ({row.state}).")
        kill = kill or row.state == "killing"
        wanted = "killing" if kill else "stopping"
        await self.known.write(lambda connection: table.set_state(connection, number, wanted))
        if number in self.declared:
            self.declared.end(number, kill=kill)
        else:
            await self.scripts.end(row, kill=kill)
        for search in await self.runs.database.read(
            lambda connection: table.searches_of(connection, number)
        ):
            with contextlib.suppress(Conflict, NotFound):  # it ended just now
                await self.end_search(search, kill)
        for other in await self.runs.database.read(
            lambda connection: table.within(connection, number)
        ):
            if other.state in table.ACTIVE:
                with contextlib.suppress(Conflict):  # it ended just now
                    await self.end(other.id, kill=kill)
        return await self.known.info(await self.known.row(number))

    async def variables_of(self, number: int) -> dict[str, str]:
        """What the script of a local workflow finds the engine and its workflow by.

        Raises:
            NotFound: there is no such workflow.
            Conflict: it is not a local one that goes on.
            StorageError: the runtime cannot be copied for it.
        """
        row = await self.known.row(number)
        if row.kind != "local" or row.state != "running":
            raise Conflict(f"workflow {number} is over, or the engine runs its script.")
        runtime = await asyncio.to_thread(runtime_copy, self.runs.location.state)
        folders = (runtime, runtime / "spice_runtime" / "compat")
        return {
            **self._client(),
            **_numbers(number),
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
        }

    async def archive(self, number: int) -> WorkflowInfo:
        """Put a workflow away, and the runs it made that are over.

        Raises:
            NotFound: there is none.
            Conflict: it is not over, or put away already.
        """
        row = await self.known.row(number)
        if row.state in table.ACTIVE:
            raise Conflict(f"workflow {number} is not over ({row.state}).", hint="Stop it first.")
        if row.archived is not None:
            raise Conflict(f"workflow {number} is archived already.")
        now = time.time()
        info = await self.known.write(lambda connection: table.archive(connection, number, now))
        made = await self.runs.database.read(lambda connection: table.runs_of(connection, number))
        for run in made:
            with contextlib.suppress(Conflict):  # it goes on, or is put away already
                await self.runs.archive(run, archived=True)
        return info


async def _no_searches(number: int, kill: bool) -> None:  # noqa: ARG001
    raise NotFound(f"there is no search {number}.")


def workflow_of(made_by: str) -> int | None:
    """The workflow in `workflow:14`."""
    kind, _, number = made_by.partition(":")
    return int(number) if kind == "workflow" and number.isdecimal() else None


def variables(row: RunRow) -> dict[str, str]:
    """What a run of a workflow is told of it."""
    number = workflow_of(row.made_by)
    if number is None:
        return {}
    step = row.parent is None and row.kind == "run"
    return _numbers(number) | ({"SPICE_STEP": row.name} if step else {})


def _numbers(number: int) -> dict[str, str]:
    return {"SPICE_WORKFLOW_ID": str(number), "SPELL_WORKFLOW_ID": str(number)}
