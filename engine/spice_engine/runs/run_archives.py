"""Runs in files: tables of many of them, and one with all that it left, to be taken elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from spice_engine.data import table_files
from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.protocol.run_archives import (
    ExportedRuns,
    ExportRuns,
    ImportedRun,
    ImportedRunTable,
)
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import run_archive_files as archive_files
from spice_engine.runs import run_table_import, run_tables
from spice_engine.runs.projects import Projects
from spice_engine.runs.run_archive_files import Unpacked
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.runs.run_rows import origin_of
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.store import last_values, run_lists, tracking
from spice_engine.store import runs as run_table
from spice_engine.store.disk import storage_error
from spice_engine.store.runs import FINAL_STATES, OutputsRow, RunRow
from spice_engine.store.series import Point
from spice_engine.store.tracking import EXTERNAL
from spice_engine.workers.pool import ChildPool
from spice_runtime import process

EXPORT_SECONDS = 600.0
MOST_RUNS = 100_000
FORMATS = frozenset({"csv", "json", "parquet"})
POINTS_AT_ONCE = 10_000
T = TypeVar("T")


class RunArchives:
    """The service behind exporting and importing runs."""

    def __init__(
        self, runs: Runs, projects: Projects, children: ChildPool, go_on: Callable[[int], None]
    ) -> None:
        """`children` write Parquet, whose library the engine does not load; `go_on` is told the
        bytes of each part of long work, and ends it by what it raises."""
        self._runs = runs
        self._projects = projects
        self._children = children
        self._go_on = go_on

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
        given = await self._runs.database.read(
            lambda connection: tracking.given(connection, list(owners.values()))
        )
        columns, cells = run_tables.table(
            [info_of(row) for row in rows],
            {owners[owner]: one for owner, one in values.items()},
            {row.id: given.get(row.id) or origin_of(row.id, row.created) for row in rows},
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

    async def _chosen(self, request: ExportRuns) -> Sequence[RunRow]:
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
        source = self._target(path)
        form = source.suffix.removeprefix(".").lower()
        if form not in FORMATS:
            raise InvalidRequest(f"{source.name[:200]} is no .csv, .json or .parquet file.")
        if not await asyncio.to_thread(os.path.isfile, source):
            raise NotFound(f"there is no file {path[:200]}.")
        async with self._space() as space:
            lines = space / "rows"
            params = {"path": str(source), "format": form, "out": str(lines), "most": MOST_RUNS}
            await self._children.call("read_table", params, deadline=EXPORT_SECONDS)
            return await run_table_import.take(self._runs, self._projects, lines)

    # -- one run

    async def export(self, number: int, path: str, *, replace: bool) -> ExportedRuns:
        """Write everything about a run that is over.

        Raises:
            NotFound: there is no such run.
            Conflict: it goes on, or there is a file already.
            InvalidRequest: the path cannot be used.
            StorageError: it cannot be written.
        """
        target = self._target(path)
        row = await self._runs.database.read(lambda found: run_table.get(found, number))
        if row.state not in FINAL_STATES:
            raise Conflict(f"run {number} is not over ({row.state}).", hint="Wait for its end.")
        if not replace and await asyncio.to_thread(os.path.exists, target):
            raise Conflict(f"{target} is there already.", hint="Replace it with --overwrite.")
        # Without its variables, which may hold secrets.
        about = dataclasses.asdict(info_of(row)) | {"command": list(row.command)}
        async with self._space() as space:
            points = space / archive_files.POINTS
            await self._write_points(number, points)
            size = await asyncio.to_thread(
                archive_files.write, target, about, points, self._runs.folder(number), self._go_on
            )
        return ExportedRuns(str(target), 1, size)

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
        """Take a run in that another engine wrote; whole, or not at all.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: it holds no run.
            StorageError: the disk is full.
        """
        source = self._target(path)
        if not await asyncio.to_thread(os.path.isfile, source):  # also False for what is no path
            raise NotFound(f"there is no file {path[:200]}.")
        async with self._space() as space:
            found = await asyncio.to_thread(archive_files.unpack, source, space, self._go_on)
            told = _checked(found.about)
            project = told.project
            if project:
                project = (await self._projects.ensure(project)).name
            left = await asyncio.to_thread(_measured, found)
            row = await self._runs.database.write(lambda one: _add(one, told, project, left))
            try:
                await asyncio.to_thread(_place, found, self._runs.folder(row.id))
                await self._take_points(row.id, found.points)
            except BaseException:
                await self._forget(row.id)
                raise
        return ImportedRun(self._runs.known.note(row), told.id)

    async def _take_points(self, number: int, path: Path) -> None:
        batches = archive_files.points_of(path, POINTS_AT_ONCE)
        while batch := await asyncio.to_thread(next, batches, None):
            self._go_on(0)
            points = [
                Point(name=name, index=index, time=moment, value=value)
                for name, index, moment, value in batch
            ]
            self._runs.metrics.add(f"runs/{number}", points)
            await self._runs.metrics.flush()

    async def _forget(self, number: int) -> None:
        """Nothing is to be left of a run that could not be taken in whole."""
        await self._runs.metrics.remove(f"runs/{number}")
        await asyncio.to_thread(shutil.rmtree, self._runs.folder(number), ignore_errors=True)
        await self._runs.database.write(
            lambda one: one.execute("DELETE FROM runs WHERE id = ?", (number,)).rowcount
        )

    # -- places

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


def _checked(about: Mapping[str, Any]) -> RunInfo:
    """What is told of a run, if it is of the right kinds.

    Raises:
        InvalidRequest: it is not.
    """
    from pydantic import TypeAdapter, ValidationError  # where a file was read, which is rare

    try:
        info = TypeAdapter(RunInfo).validate_python(dict(about))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidRequest(
            f"what is told of the run is damaged: {place}: {first['msg']}."
        ) from error
    if info.state not in FINAL_STATES:
        raise InvalidRequest(f"the file holds a run that is not over: {info.state[:40]!r}.")
    return info


def _add(
    connection: sqlite3.Connection, told: RunInfo, project: str, left: OutputsRow | None
) -> RunRow:
    needs = told.dependencies
    row = run_table.create(
        connection,
        # What belonged to a search or a workflow there is a run of its own here.
        kind=told.kind if told.kind == EXTERNAL else "run",
        name=told.name,
        command=told.command,
        cwd=told.cwd,
        state=told.state,
        created=told.created,
        project=project or None,
        labels=told.labels,
        description=told.description,
        dependencies=None if needs is None else dataclasses.asdict(needs),
        params=told.params,
        source=told.source,
    )
    for stage, seconds in told.stages.items():
        if stage.isidentifier():
            run_table.note_stage(connection, row.id, stage, seconds)
    if left is not None:
        run_table.note_outputs(connection, row.id, left)
    return run_table.set_state(
        connection,
        row.id,
        told.state,
        outcome=told.outcome,
        exit_code=told.exit_code,
        message=told.message or f"Run {told.id} elsewhere.",
        started=told.started,
        ended=told.ended,
    )


def _measured(found: Unpacked) -> OutputsRow | None:
    if not found.outputs.is_dir():
        return None
    files = [path for path in found.outputs.rglob("*") if path.is_symlink() or path.is_file()]
    return OutputsRow(len(files), sum(path.lstat().st_size for path in files))


def _place(found: Unpacked, folder: Path) -> None:
    def work() -> None:
        folder.mkdir(parents=True)
        if found.log.is_file():
            found.log.rename(folder / process.LOG)
        if found.outputs.is_dir():
            found.outputs.rename(folder / OUTPUTS)

    _guarded(work, folder)
