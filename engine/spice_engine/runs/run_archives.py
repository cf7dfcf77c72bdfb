"""Runs in files, to be taken elsewhere: tables of them, and archives with all that they left."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from spice_engine.data import table_files
from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.protocol.run_archives import (
    ExportArchive,
    ExportedRunMetrics,
    ExportedRuns,
    ExportRunMetrics,
    ExportRuns,
    ImportedRun,
    ImportedRunMetrics,
    ImportedRunTable,
)
from spice_engine.runs import archive_records as records
from spice_engine.runs import metric_table_import, run_table_import, run_tables
from spice_engine.runs import run_archive_files as archive_files
from spice_engine.runs.archive_selection import choose
from spice_engine.runs.projects import Projects
from spice_engine.runs.run_archive_files import Packed
from spice_engine.runs.run_archive_import import ArchiveImport, Groups
from spice_engine.runs.run_rows import origin_of
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.store import last_values, run_lists, tracking
from spice_engine.store import runs as run_table
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import RunRow
from spice_engine.workers.pool import ChildPool

EXPORT_SECONDS = 600.0
MOST_RUNS = 100_000
MOST_POINTS = 5_000_000
FORMATS = frozenset({"csv", "json", "parquet"})
POINTS_AT_ONCE = 10_000
T = TypeVar("T")


class RunArchives:
    """The service behind exporting and importing runs."""

    def __init__(
        self,
        runs: Runs,
        projects: Projects,
        children: ChildPool,
        objects: ObjectStore,
        groups: Groups,
        go_on: Callable[[int], None],
    ) -> None:
        """`children` write Parquet, whose library the engine does not load; `groups` are told of
        searches and workflows that are taken in; `go_on` is told the bytes of each part of long
        work, and ends it by what it raises."""
        self._runs = runs
        self._projects = projects
        self._children = children
        self._objects = objects
        self._go_on = go_on
        self._import = ArchiveImport(runs, projects, objects, groups, go_on)
        self._taking = asyncio.Lock()
        """Of two imports of one archive at once the second finds the runs of the first."""

    # -- tables

    async def export_table(self, request: ExportRuns) -> ExportedRuns:
        """Write a table of runs.

        Raises:
            InvalidRequest: the path cannot be used.
            NotFound: there is no such project or run.
            Conflict: there is a file already.
            StorageError: it cannot be written.
        """
        target = self._target(request.path)
        rows = await self._chosen(request)
        owners = {f"runs/{row.id}": row.id for row in rows}
        await self._runs.metrics.flush()
        values = await self._runs.metrics.read(
            lambda connection: last_values.of_owners(connection, list(owners))
        )
        columns, cells = run_tables.table(
            [info_of(row) for row in rows],
            {owners[owner]: one for owner, one in values.items()},
            await self._origins(rows),
        )
        if request.format == "parquet":
            params = {
                "out": str(target),
                "columns": columns,
                "rows": cells,
                "replace": request.replace,
            }
            answer = await self._children.call("write_parquet", params, deadline=EXPORT_SECONDS)
            size = int(answer)
        else:
            write = table_files.write_csv if request.format == "csv" else table_files.write_json
            size = await asyncio.to_thread(
                table_files.put,
                target,
                lambda path: write(path, columns, cells),
                replace=request.replace,
            )
        return ExportedRuns(str(target), len(rows), size)

    async def export_metrics(self, request: ExportRunMetrics) -> ExportedRunMetrics:
        """Write a table of all points of runs.

        Raises:
            InvalidRequest, NotFound, Conflict, StorageError: as `export_table`.
        """
        target = await self._new_target(request.path, replace=request.replace)
        rows = await self._chosen(request)
        origins = await self._origins(rows)
        await self._runs.metrics.flush()
        params = {
            "state": str(self._runs.location.state),
            "runs": [[row.id, origins[row.id]] for row in rows],
            "path": str(target),
            "format": request.format,
        }
        answer = await self._children.call("export_metrics", params, deadline=EXPORT_SECONDS)
        return ExportedRunMetrics(str(target), len(rows), int(answer["points"]))

    async def _chosen(self, request: ExportRuns | ExportRunMetrics) -> Sequence[RunRow]:
        count = max(0, min(request.number, MOST_RUNS))
        project = (
            (await self._projects.details(request.project, 0)).project.name
            if request.project
            else ""
        )

        def read(connection: sqlite3.Connection) -> Sequence[RunRow]:
            if request.runs:
                return run_table.get_all(connection, request.runs[:MOST_RUNS])
            chosen = run_lists.Filter(project=project)
            return run_lists.newest(connection, chosen, count)[::-1]

        return await self._runs.database.read(read)

    async def take_table(self, path: str) -> ImportedRunTable:
        """Take the runs of a table in.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: it is no such table, with the line; nothing was taken.
            TooLarge: it holds too much.
            StorageError: the disk is full.
        """
        async with self._rows_of(path, MOST_RUNS) as lines:
            return await run_table_import.take(self._runs, self._projects, lines)

    async def take_metrics(self, path: str) -> ImportedRunMetrics:
        """Take the points of a table in.

        Raises:
            NotFound, InvalidRequest, TooLarge, StorageError: as `take_table`.
        """
        async with self._rows_of(path, MOST_POINTS) as lines:
            return await metric_table_import.take(self._runs, lines)

    @asynccontextmanager
    async def _rows_of(self, path: str, most: int) -> AsyncGenerator[Path]:
        """The rows of a table as a file of lines."""
        source = self._target(path)
        form = source.suffix.removeprefix(".").lower()
        if form not in FORMATS:
            raise InvalidRequest(f"{source.name[:200]} is no .csv, .json or .parquet file.")
        if not await asyncio.to_thread(os.path.isfile, source):
            raise NotFound(f"there is no file {path[:200]}.")
        async with self._taking, self._space() as space:
            lines = space / "rows"
            params = {"path": str(source), "format": form, "out": str(lines), "most": most}
            await self._children.call("read_table", params, deadline=EXPORT_SECONDS)
            yield lines

    # -- archives

    async def export(self, request: ExportArchive) -> ExportedRuns:
        """Write everything about runs that are over.

        Raises:
            NotFound: there is no such run, search, workflow or project.
            Conflict: it goes on, or there is a file already.
            InvalidRequest: the path cannot be used, or there is nothing to write.
            StorageError: it cannot be written.
        """
        target = await self._new_target(request.path, replace=request.replace)
        chosen = await self._runs.database.read(lambda found: choose(found, request))
        origins = await self._origins(chosen.runs)
        numbers = [row.id for row in chosen.runs]
        tags = await self._runs.database.read(lambda found: tracking.tags_of(found, numbers))
        root = self._runs.location.root
        head = records.plain_groups(chosen, code=request.code)
        objects = await asyncio.to_thread(self._objects_of, chosen.codes if request.code else ())
        async with self._space() as space:
            packed: list[Packed] = []
            for row in chosen.runs:
                points = space / f"{row.id}-{archive_files.POINTS}"
                await self._write_points(row.id, points)
                told = records.plain_run(row, origins[row.id], root, code=request.code)
                about = {**told, "tags": tags[row.id]}
                packed.append(Packed(row.id, about, points, self._runs.folder(row.id)))
            size = await asyncio.to_thread(
                archive_files.write, target, head, objects, packed, space, self._go_on
            )
        return ExportedRuns(
            str(target),
            len(chosen.runs),
            size,
            len(chosen.searches),
            len(chosen.workflows),
            chosen.left_out,
        )

    async def _origins(self, rows: Sequence[RunRow]) -> dict[int, str]:
        given = await self._runs.database.read(
            lambda connection: tracking.given(connection, [row.id for row in rows])
        )
        return {row.id: given.get(row.id) or origin_of(row.id, row.created) for row in rows}

    def _objects_of(self, codes: Iterable[str]) -> dict[str, Path]:
        """The files of stored folders; of those that were pruned nothing. Blocks."""
        return {one: self._objects.path_of(one) for one in self._objects.closure(codes)}

    async def _write_points(self, number: int, target: Path) -> None:
        owner, metrics = f"runs/{number}", self._runs.metrics
        await metrics.flush()
        for name in await metrics.names(owner):
            after: tuple[int, float] | None = None
            while found := await metrics.points(owner, name, after=after, count=POINTS_AT_ONCE):
                self._go_on(0)
                lines = [
                    json.dumps([name, one.index, one.time, one.value], ensure_ascii=False)
                    for one in found
                ]
                await asyncio.to_thread(_append, target, lines)
                after = (found[-1].index, found[-1].time)

    async def take(self, path: str) -> ImportedRun:
        """Take the runs of an archive in; whole, or not at all.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: it holds no runs, or damaged ones.
            StorageError: the disk is full.
        """
        source = self._target(path)
        if not await asyncio.to_thread(os.path.isfile, source):  # also False for what is no path
            raise NotFound(f"there is no file {path[:200]}.")
        async with self._taking, self._space() as space:
            archive = await asyncio.to_thread(archive_files.unpack, source, space, self._go_on)
            return await self._import.take(archive)

    # -- places

    async def _new_target(self, path: str, *, replace: bool) -> Path:
        target = self._target(path)
        if not replace and await asyncio.to_thread(os.path.exists, target):
            raise Conflict(f"{target} is there already.", hint="Replace it with --overwrite.")
        return target

    def _target(self, path: str) -> Path:
        target = Path(path)
        if not path.isprintable() or not target.is_absolute() or ".." in target.parts:
            raise InvalidRequest(f"{path[:200]!r} is no absolute path.", hint="From / on.")
        if target.is_relative_to(self._runs.location.state):
            raise InvalidRequest("the engine's own state is no place for files.")
        return target

    @asynccontextmanager
    async def _space(self) -> AsyncGenerator[Path]:
        """An empty folder beside those of the runs, gone at the end."""
        space = self._runs.location.state / "tmp" / f"run-{secrets.token_hex(8)}"
        await asyncio.to_thread(_guarded, lambda: space.mkdir(parents=True), space)
        try:
            yield space
        finally:
            await asyncio.to_thread(shutil.rmtree, space, ignore_errors=True)


def _guarded(work: Callable[[], T], path: Path) -> T:
    try:
        return work()
    except OSError as error:
        raise storage_error(error, "make room for a run", path) from error


def _append(path: Path, lines: list[str]) -> None:
    def work() -> None:
        with path.open("a", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)

    _guarded(work, path)
