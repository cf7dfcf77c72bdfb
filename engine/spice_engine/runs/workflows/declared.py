"""Declared workflows: read, begun, gone on with, and followed by a driver each."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import Conflict, SpiceError
from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.workflows import WorkflowInfo
from spice_engine.runs.service import Runs
from spice_engine.runs.workflows import progress, reading, selection
from spice_engine.runs.workflows.driver import Driver
from spice_engine.runs.workflows.known import KnownWorkflows, begun_by
from spice_engine.runs.workflows.reading import Declared
from spice_engine.store import projects, request_keys
from spice_engine.store import workflows as table
from spice_engine.store.objects import ObjectStore
from spice_engine.store.workflows import StepRow, WorkflowRow

log = logging.getLogger(__name__)


class DeclaredWorkflows:
    """Those of one app folder. Belongs to the engine's loop."""

    def __init__(self, runs: Runs, objects: ObjectStore, known: KnownWorkflows) -> None:
        self._runs = runs
        self._objects = objects
        self._known = known
        self._drivers: dict[int, Driver] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._drivers

    def __len__(self) -> int:
        return len(self._tasks)

    async def take_up(self, row: WorkflowRow) -> None:
        """Go on with what an earlier engine left."""
        await self._drive(row)

    async def close(self) -> None:
        """Follow no longer; what runs goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, number: int, info: RunInfo) -> None:
        """A run of a workflow that goes on has a new state."""
        self._drivers[number].hear(info)

    def end(self, number: int, *, kill: bool) -> None:
        """Begin nothing more in a workflow, and end what runs."""
        self._drivers[number].end(kill=kill)

    async def check(self, file: str, params: Mapping[str, Any]) -> Declared:
        """Read a workflow's file.

        Raises:
            NotFound: it is not there, or its project or a step's machine type is not.
            InvalidWorkflow: something in it is wrong.
        """
        root = self._runs.location.root
        found = await asyncio.to_thread(reading.locate, root, file)
        declared = await asyncio.to_thread(reading.read, root, found, params)
        kinds = {declared.spec.defaults.machine_type}
        kinds |= {step.machine_type for step in declared.spec.steps.values()}
        for name in kinds - {None}:
            self._runs.machines.check(str(name), None, None)
        if project := declared.spec.project:
            await self._runs.database.read(lambda connection: projects.get(connection, project))
        return declared

    async def begin(
        self,
        file: str,
        params: Mapping[str, Any],
        *,
        fresh: bool,
        key: str = "",
        within: int | None = None,
    ) -> WorkflowInfo:
        """Begin a declared workflow, but for one that a request with this `key` began already.

        Raises:
            SpiceError: as `check`, or the folder cannot be kept as it is.
        """
        if (before := await self._known.begun(key)) is not None:
            return before
        await self._known.check_within(within)
        declared = await self.check(file, params)
        code = await self._folder_now()

        def insert(connection: sqlite3.Connection) -> WorkflowRow | None:
            if begun_by(connection, key) is not None:
                return None
            row = table.create(
                connection,
                kind="declared",
                created=time.time(),
                name=declared.name,
                file=declared.file,
                definition=declared.text,
                params=params,
                code=code,
                project=declared.spec.project,
                description=declared.spec.description,
                fresh=fresh,
                within=within,
            )
            table.put_steps(
                connection, row.id, [StepRow(node, "waiting") for node in declared.plan.nodes]
            )
            request_keys.note(connection, key, "workflow", row.id)
            return row

        row = await self._runs.database.write(insert)
        if row is None:  # asked for twice at once
            return await self.begin(file, params, fresh=fresh, key=key, within=within)
        return await self._drive(row, declared)

    async def resume(self, number: int) -> WorkflowInfo:
        """Go on with a declared workflow that is over: what succeeded stays, all else is carried
        out, with the folder and the file as they are now.

        Raises:
            Conflict: it goes on, is a script's, or nothing is left to do.
            SpiceError: as `check`.
        """
        row = await self._known.row(number)
        if row.kind != "declared":
            raise Conflict(
                f"workflow {number} is a script's, which cannot be gone on with.",
                hint="Start it again; runs asked for with idempotent=True are found again.",
            )
        if row.state in table.ACTIVE:
            raise Conflict(f"workflow {number} is not over ({row.state}).")
        declared = await self.check(row.file, row.params)

        def read(connection: sqlite3.Connection) -> dict[str, StepRow]:
            # What a step left may have been removed since; then it is carried out again.
            gone = table.emptied(connection, number)
            return {
                step.key: step for step in table.steps(connection, number) if step.key not in gone
            }

        old = await self._runs.database.read(read)
        states = progress.again(declared.plan, {key: step.state for key, step in old.items()})
        if all(state in progress.GOOD for state in states.values()):
            raise Conflict(f"workflow {number} is complete: nothing is left to do.")
        code = await self._folder_now()

        def change(connection: sqlite3.Connection) -> WorkflowRow:
            table.put_steps(
                connection,
                number,
                [
                    old[key] if state in progress.GOOD else StepRow(key, "waiting")
                    for key, state in states.items()
                ],
            )
            return table.resume(connection, number, code=code, definition=declared.text)

        return await self._drive(await self._runs.database.write(change), declared)

    async def _folder_now(self) -> str:
        code = await self._runs.preparation.snapshot()
        return await asyncio.to_thread(selection.without_workflows, self._objects, code)

    async def _drive(self, row: WorkflowRow, declared: Declared | None = None) -> WorkflowInfo:
        try:
            if declared is None:
                declared = await asyncio.to_thread(
                    reading.parse, row.definition, row.file, row.params
                )
        except SpiceError as error:
            return await self._known.end(row.id, "failed", str(error))
        stored = await self._runs.database.read(lambda connection: table.steps(connection, row.id))
        steps = {step.key: step for step in stored}

        def told() -> None:
            self._known.tell_steps(row.id, driver.states.values())

        driver = Driver(self._runs, self._objects, row, declared, steps, told)
        self._drivers[row.id] = driver
        task = asyncio.create_task(self._follow(row.id, driver), name=f"workflow {row.id}")
        self._tasks[row.id] = task
        task.add_done_callback(lambda _: self._forget(row.id))
        return await self._known.note(row)

    async def _follow(self, number: int, driver: Driver) -> None:
        state, message = await driver.run()
        await self._known.end(number, state, message)

    def _forget(self, number: int) -> None:
        task = self._tasks.pop(number)
        self._drivers.pop(number, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("workflow %s is no longer followed", number, exc_info=error)
