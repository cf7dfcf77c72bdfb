"""The disk that the engine uses, and removing what old runs left or began with."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.disk_use import DiskUsage, PrunedRuns, PruneRuns
from spice_engine.protocol.location import Location
from spice_engine.records import record
from spice_engine.runs import disk_use, resource_paths
from spice_engine.runs.known_runs import KnownRuns
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.runs.run_outputs import RunOutputs
from spice_engine.store import links, references, workflows
from spice_engine.store import runs as run_table
from spice_engine.store.columns import placeholders
from spice_engine.store.database import Database
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import FINAL_STATES, OutputsRow, RunRow

MOST_AT_ONCE = 100_000


@record
class _Chosen:
    """Runs of which something is to go, those that stay and why, and who needs which object."""

    runs: tuple[int, ...]
    kept: dict[str, str]
    needed: dict[str, frozenset[str]]


class Disk:
    """The service behind the operations on disk use."""

    def __init__(
        self,
        location: Location,
        database: Database,
        objects: ObjectStore,
        known: KnownRuns,
        outputs: RunOutputs,
        tidy: Callable[[], Awaitable[None]],
    ) -> None:
        """`tidy` removes what nothing needs any more."""
        self._location = location
        self._database = database
        self._objects = objects
        self._known = known
        self._runs = outputs
        self._tidy = tidy
        self._pruning = asyncio.Lock()

    async def usage(self) -> DiskUsage:
        """What all of the engine's files take."""
        needed = await self._database.read(references.by_owner)
        return await asyncio.to_thread(
            disk_use.usage_of, self._location.state, self._objects, needed
        )

    async def prune(self, request: PruneRuns) -> PrunedRuns:
        """Remove what old runs left or began with, or say what that would be.

        Raises:
            InvalidRequest: nothing is to go, or the age cannot be used.
            StorageError: a folder cannot be removed.
        """
        if not (request.outputs or request.snapshots):
            raise InvalidRequest("nothing is to be removed.", hint="Outputs, snapshots, or both.")
        if request.older_than is not None and not request.older_than >= 0:
            raise InvalidRequest("older_than: must be a number of seconds.")
        async with self._pruning:
            linked = await self._linked()
            chosen = await self._database.read(lambda found: _choose(found, request, linked))
            measured = await asyncio.to_thread(self._measure, chosen, request)
            if request.dry_run or not measured.runs:
                return measured
            await self._remove(measured, request)
        await self._tidy()
        return measured

    async def _linked(self) -> dict[int, str]:
        """The runs that links lead to now, with the names of these."""
        found: dict[int, str] = {}
        for link in await self._database.read(links.list_all):
            match resource_paths.parse(link.path):
                case ("runs", which, *_):
                    number = resource_paths.run_number(which)
                    with contextlib.suppress(NotFound, InvalidRequest):
                        found[number or (await self._runs.run_of(which)).id] = link.alias
                case _:
                    pass
        return found

    def _measure(self, chosen: _Chosen, request: PruneRuns) -> PrunedRuns:
        left = {
            number: disk_use.measured(self._outputs(number))
            for number in chosen.runs
            if request.outputs
        }
        owners = {f"run:{number}" for number in chosen.runs} & chosen.needed.keys()
        if not request.snapshots:
            owners = set[str]()
        going = self._objects.closure({one for owner in owners for one in chosen.needed[owner]})
        staying = self._objects.closure(
            {one for owner in chosen.needed.keys() - owners for one in chosen.needed[owner]}
        )
        runs = [
            number
            for number in chosen.runs
            if f"run:{number}" in owners or (number in left and left[number].files)
        ]
        return PrunedRuns(
            runs,
            sum(one.files for one in left.values()),
            sum(one.bytes for one in left.values()),
            len(owners),
            disk_use.size_of(self._objects, going - staying),
            chosen.kept,
            request.dry_run,
        )

    async def _remove(self, measured: PrunedRuns, request: PruneRuns) -> None:
        def change(connection: sqlite3.Connection) -> list[RunRow]:
            for number in measured.runs:
                if request.outputs:
                    run_table.note_outputs(connection, number, OutputsRow(0, 0))
                if request.snapshots:
                    references.drop_owner(connection, f"run:{number}")
            shown = [number for number in measured.runs if number in self._known]
            return [run_table.get(connection, number) for number in shown]

        for row in await self._database.write(change):
            self._known.note(row)
        if request.outputs:
            await asyncio.to_thread(self._drop, measured.runs)

    def _drop(self, runs: list[int]) -> None:
        for number in runs:
            outputs = self._outputs(number)
            # Gone at once under its name: nobody is to find a half of it.
            aside = outputs.with_name(f".{uuid.uuid4().hex}.old")
            try:
                outputs.rename(aside)
                disk_use.open_folders(aside)
                shutil.rmtree(aside)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise storage_error(error, "remove a run's outputs", outputs) from error

    def _outputs(self, number: int) -> Path:
        return self._location.state / "runs" / str(number) / OUTPUTS


def _choose(
    connection: sqlite3.Connection, request: PruneRuns, linked: Mapping[int, str]
) -> _Chosen:
    final = sorted(FINAL_STATES)
    before = None if request.older_than is None else time.time() - request.older_than
    rows = connection.execute(
        f"SELECT id FROM runs WHERE state IN ({placeholders(list[object](final))})"
        " AND (archived IS NOT NULL OR coalesce(ended, created) < ?) ORDER BY id LIMIT ?",
        (*final, before, MOST_AT_ONCE),
    )
    resumed = connection.execute(
        "SELECT resumed_from, id FROM runs WHERE resumed_from IS NOT NULL"
        f" AND state NOT IN ({placeholders(list[object](final))})",
        final,
    )
    reasons = {number: f"run {other} goes on from it." for number, other in resumed}
    reasons |= {run: f"workflow {number} goes on." for run, number in _in_workflows(connection)}
    reasons |= {number: f"the link {alias!r} leads to it." for number, alias in linked.items()}
    numbers = [row[0] for row in rows]
    return _Chosen(
        tuple(number for number in numbers if number not in reasons),
        {str(number): reasons[number] for number in numbers if number in reasons},
        references.by_owner(connection),
    )


def _in_workflows(connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """The runs of workflows that go on: their next steps may mount what these left."""
    for workflow in workflows.active(connection):
        for step in workflows.steps(connection, workflow.id):
            if step.run is not None:
                yield step.run, workflow.id
        for run in workflows.runs_of(connection, workflow.id):
            yield run, workflow.id
