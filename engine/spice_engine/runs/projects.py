"""Projects: named groups of runs, each with a summary of what its runs came to."""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.events import Bus
from spice_engine.protocol.projects import BestValue, ProjectDetails, ProjectInfo
from spice_engine.runs import resource_paths
from spice_engine.runs.creator import creator
from spice_engine.runs.known_runs import KnownRuns
from spice_engine.runs.states import info_of
from spice_engine.store import last_values, run_lists
from spice_engine.store import projects as table
from spice_engine.store import runs as run_table
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.projects import ProjectRow
from spice_engine.store.runs import RunRow
from spice_engine.store.series import MEASURED

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 10_000
MOST_LISTED = 10_000
COMPARED = 1000
"""Of a project's newest runs, whose metrics are compared."""
MOST_METRICS = 20


class Projects:
    """The service behind the operations on projects."""

    def __init__(
        self, database: Database, metrics: MetricStore, known: KnownRuns, bus: Bus
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._runs = known
        self._known: dict[str, ProjectInfo] = {}
        self._topic = bus.topic("projects", "state", self._snapshot)

    async def open(self) -> None:
        """Learn which projects there are."""
        for row in await self._database.read(table.list_all):
            self._note(row)

    def names(self) -> list[str]:
        """Names of all projects, for completion."""
        return sorted(self._known)

    async def create(
        self, name: str, description: str = "", runs: Sequence[int] = ()
    ) -> ProjectInfo:
        """Make a project, and put runs into it.

        Raises:
            InvalidRequest: the name cannot be used.
            Conflict: there is one of that name, or a run is in a project already.
            NotFound: there is no such run; then nothing was made.
        """
        _check(name, description)

        def change(connection: sqlite3.Connection) -> tuple[RunRow, ...]:
            _add(connection, name, description)
            return table.add_runs(connection, name, runs)

        return await self._moved(name, change)

    async def ensure(self, name: str, description: str = "") -> ProjectInfo:
        """The project of that name, made where there is none.

        Raises:
            InvalidRequest: the name cannot be used.
        """
        _check(name, description)

        def change(connection: sqlite3.Connection) -> ProjectRow:
            found = table.find(connection, name)
            return _add(connection, name, description) if found is None else found

        return self._note(await self._database.write(change))

    async def list(self, *, archived: bool) -> list[ProjectInfo]:
        """The projects that are archived, or those that are not, by name."""
        rows = await self._database.read(table.list_all)
        return [_info(row) for row in rows if (row.archived is not None) == archived]

    async def details(self, name: str, number: int) -> ProjectDetails:
        """A project with its newest `number` runs, and what all of them came to.

        Raises:
            NotFound: there is none.
        """
        count = max(0, min(number, MOST_LISTED))

        def read(
            connection: sqlite3.Connection,
        ) -> tuple[ProjectRow, dict[str, int], tuple[RunRow, ...]]:
            row = table.get(connection, name)
            chosen = run_lists.Filter(project=row.name)
            newest = run_lists.newest(connection, chosen, max(count, COMPARED))
            return row, table.states(connection, row.name), newest

        row, states, newest = await self._database.read(read)
        owners = {f"runs/{one.id}": one.id for one in newest[:COMPARED]}
        await self._metrics.flush()
        values = await self._metrics.read(lambda found: last_values.of_owners(found, list(owners)))
        best = best_of({owners[owner]: found for owner, found in values.items()})
        return ProjectDetails(
            _info(row), states, best, [info_of(one) for one in reversed(newest[:count])]
        )

    async def edit(
        self, name: str, *, new_name: str | None = None, description: str | None = None
    ) -> ProjectInfo:
        """Rename a project or describe it.

        Raises:
            NotFound: there is none.
            InvalidRequest: there is nothing to change, or the new name cannot be used.
            Conflict: there is another of the new name.
        """
        if new_name is None and description is None:
            raise InvalidRequest("there is nothing to change.", hint="Give a name or description.")
        _check(name if new_name is None else new_name, description or "")

        def change(connection: sqlite3.Connection) -> tuple[str, ProjectRow, list[RunRow]]:
            old = table.get(connection, name).name
            row = table.edit(connection, name, new_name=new_name, description=description)
            known = list(self._runs) if row.name != old else []
            moved = [run_table.get(connection, run) for run in known if self._runs[run].project]
            return old, row, [run for run in moved if run.project == row.name]

        old, row, moved = await self._database.write(change)
        for run in moved:
            self._runs.note(run)
        if old != row.name:
            self._known.pop(old, None)
            self._topic.remove(old)
        return self._note(row)

    async def archive(self, name: str, *, archived: bool) -> ProjectInfo:
        """Archive a project, or take it back; its runs stay as they are.

        Raises:
            NotFound: there is none.
            Conflict: that is what it is already.
        """
        at = time.time() if archived else None
        return self._note(
            await self._database.write(lambda connection: table.set_archived(connection, name, at))
        )

    async def add_runs(self, name: str, runs: Sequence[int]) -> ProjectInfo:
        """Put runs into a project: all of them, or none.

        Raises:
            NotFound: there is no such project or run.
            Conflict: one is in a project already, or the project is archived.
        """
        return await self._moved(name, lambda connection: table.add_runs(connection, name, runs))

    async def remove_runs(self, name: str, runs: Sequence[int]) -> ProjectInfo:
        """Take runs out of a project: all of them, or none.

        Raises:
            NotFound: there is no such project or run.
            Conflict: one is not in it.
        """
        return await self._moved(name, lambda connection: table.remove_runs(connection, name, runs))

    async def _moved(
        self, name: str, change: Callable[[sqlite3.Connection], tuple[RunRow, ...]]
    ) -> ProjectInfo:
        def both(connection: sqlite3.Connection) -> tuple[tuple[RunRow, ...], ProjectRow]:
            moved = change(connection)
            return moved, table.get(connection, name)

        moved, row = await self._database.write(both)
        for run in moved:
            if run.id in self._runs:
                self._runs.note(run)
        return self._note(row)

    def _snapshot(self) -> dict[str, Any]:
        return {name: dataclasses.asdict(info) for name, info in self._known.items()}

    def _note(self, row: ProjectRow) -> ProjectInfo:
        info = _info(row)
        self._known[info.name] = info
        self._topic.set(info.name, info)
        return info


def best_of(values: Mapping[int, Mapping[str, float]]) -> list[BestValue]:
    """The best last value of each metric among runs, by the metric's name; of two the later run.

    What the engine itself measures of every run is left out. Whether the lowest is the best says
    the metric's name, as for `@best:METRIC`.
    """
    found: dict[str, list[tuple[float, int]]] = {}
    for run, metrics in values.items():
        for name, value in metrics.items():
            if not name.startswith(MEASURED):
                found.setdefault(name, []).append((value, run))
    best: list[BestValue] = []
    for name in sorted(found)[:MOST_METRICS]:
        smallest = resource_paths.is_lowest_best(name)
        sign = -1 if smallest else 1
        value, run = max(found[name], key=lambda one: (sign * one[0], one[1]))
        best.append(BestValue(name, value, run, smallest, len(found[name])))
    return best


def _add(connection: sqlite3.Connection, name: str, description: str) -> ProjectRow:
    return table.add(
        connection, name, description=description, creator=creator(), created=time.time()
    )


def _info(row: ProjectRow) -> ProjectInfo:
    return ProjectInfo(row.name, row.description, row.creator, row.created, row.archived, row.runs)


def _check(name: str, description: str) -> None:
    if not name.strip() or name != name.strip() or not name.isprintable() or name == "-":
        raise InvalidRequest(
            f"{name[:40]!r} cannot name a project.",
            hint=f"Printable text of 1 to {LONGEST_NAME} characters.",
        )
    if len(name) > LONGEST_NAME:
        raise InvalidRequest(f"a project's name has at most {LONGEST_NAME} characters.")
    if len(description) > LONGEST_DESCRIPTION or "\0" in description:
        raise InvalidRequest(
            f"a project's description has at most {LONGEST_DESCRIPTION} characters of text."
        )
