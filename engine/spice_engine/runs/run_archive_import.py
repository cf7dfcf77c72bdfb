"""The runs of an archive become runs here, with the searches and workflows that they belong to;
all of them, or none."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.run_archives import ImportedRun
from spice_engine.runs import archive_records as records
from spice_engine.runs import mounts as mount_texts
from spice_engine.runs import resource_paths
from spice_engine.runs import run_archive_files as files
from spice_engine.runs.archive_records import ArchivedRun, ToldGroups
from spice_engine.runs.known_runs import RECENT
from spice_engine.runs.projects import Projects
from spice_engine.runs.run_archive_files import Archive, Unpacked
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.runs.run_table_import import own_runs
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.runs.tracking_import import UNFINISHED
from spice_engine.store import runs as run_table
from spice_engine.store import taken_groups, tracking
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import MountRow, OutputsRow, RunRow
from spice_engine.store.tracking import EXTERNAL
from spice_runtime import process

POINTS_AT_ONCE = 10_000
ELSEWHERE = "elsewhere"
"""Before a mounted run that is not here: no other run is to be taken for it."""


class Groups(Protocol):
    """Who is told of searches and workflows that were taken in."""

    async def taken_in(self, searches: Sequence[int], workflows: Sequence[int]) -> None:
        """They are in the store, and over."""
        ...


@dataclasses.dataclass(slots=True)
class _Taken:
    """What became of the runs of an archive: the number each had, and the one it has."""

    numbers: dict[int, int] = dataclasses.field(default_factory=dict[int, int])
    fresh: dict[int, ArchivedRun] = dataclasses.field(default_factory=dict[int, ArchivedRun])
    searches: dict[int, int] = dataclasses.field(default_factory=dict[int, int])
    workflows: dict[int, int] = dataclasses.field(default_factory=dict[int, int])

    def many(self, old: Sequence[int]) -> list[int]:
        """The numbers of runs here, of those that came."""
        return [self.numbers[one] for one in old if one in self.numbers]

    def one(self, old: int | None) -> int | None:
        """The number of a run here, if it came."""
        return None if old is None else self.numbers.get(old)

    def made_by(self, mark: str) -> str:
        """What made a run, by its number here; empty where that did not come."""
        kind, _, number = mark.partition(":")
        known = {"search": self.searches, "workflow": self.workflows}.get(kind, {})
        here = known.get(int(number)) if number.isdecimal() else None
        return "" if here is None else f"{kind}:{here}"


class ArchiveImport:
    """Takes archives in, one at a time."""

    def __init__(
        self,
        runs: Runs,
        projects: Projects,
        objects: ObjectStore,
        groups: Groups,
        go_on: Callable[[int], None],
    ) -> None:
        self._runs = runs
        self._projects = projects
        self._objects = objects
        self._groups = groups
        self._go_on = go_on

    async def take(self, archive: Archive) -> ImportedRun:
        """Take an archive in; of its runs those that are here already stay as they are.

        Raises:
            InvalidRequest: it is damaged; nothing was taken.
            StorageError: the disk is full; nothing was taken.
        """
        if not archive.runs:
            raise InvalidRequest("the archive holds no run.")
        told, groups = await asyncio.to_thread(_told, archive)
        codes = {one.code for one in told} | {row.code for row, _ in groups.workflows}
        whole = await asyncio.to_thread(self._put, archive, codes - {""})
        known, halves = await self._runs.database.read(lambda found: _here(found, told))
        for number in halves:  # of an import that was cut short
            await self._forget(number)
        projects = await self._ensure([one for one in told if one.origin not in known], groups)
        taken = _Taken()
        try:
            for run, about in zip(archive.runs, told, strict=True):
                self._go_on(0)
                if about.origin in known:
                    taken.numbers[run.number] = known[about.origin]
                    continue
                code = about.code if about.code in whole else ""
                new = dataclasses.replace(about, code=code)
                await self._take_run(run, new, projects.get(about.run.project, ""), taken)
            rows = await self._runs.database.write(
                lambda connection: _finish(connection, taken, groups, whole)
            )
        except BaseException:
            for number in taken.fresh:
                await self._forget(number)
            raise
        for row in rows[-RECENT:]:
            self._runs.known.note(row)
        await self._groups.taken_in([*taken.searches.values()], [*taken.workflows.values()])
        was = archive.runs[0].number
        first = taken.numbers[was]
        row = await self._runs.database.read(lambda found: run_table.get(found, first))
        return ImportedRun(
            info_of(row),
            was,
            taken.numbers,
            len(taken.numbers) - len(taken.fresh),
            taken.searches,
            taken.workflows,
            sorted(projects.values()),
        )

    def _put(self, archive: Archive, codes: set[str]) -> set[str]:
        """Take objects into the store; which of the folders are whole there. Blocks."""
        for digest, path in archive.objects.items():
            if self._objects.put_file(path, self._go_on) != digest:
                raise InvalidRequest(f"the archive's object {digest[:12]} is damaged.")
        whole = set[str]()
        for code in codes:
            try:
                if files.HASH.fullmatch(code) and self._objects.closure([code], strict=True):
                    whole.add(code)
            except NotFound:
                continue
        return whole

    async def _ensure(self, told: Sequence[ArchivedRun], groups: ToldGroups) -> dict[str, str]:
        descriptions = {one.name: one.description for one in groups.projects}
        names = {one.run.project for one in told} - {""}
        return {
            name: (await self._projects.ensure(name, descriptions.get(name, ""))).name
            for name in sorted(names)
        }

    async def _take_run(
        self, run: Unpacked, told: ArchivedRun, project: str, taken: _Taken
    ) -> None:
        left = await asyncio.to_thread(_measured, run)
        cwd = told.run.cwd
        if told.inner is not None:
            cwd = str(self._runs.location.root / told.inner)
        mounts = _mounts(told, taken)
        number = await self._runs.database.write(
            lambda connection: _add(connection, told, project, cwd, mounts, left)
        )
        taken.numbers[run.number] = number
        taken.fresh[number] = told
        await asyncio.to_thread(_place, run, self._runs.folder(number))
        await self._take_points(number, run.points)

    async def _take_points(self, number: int, path: Path) -> None:
        batches = files.points_of(path, POINTS_AT_ONCE)
        while batch := await asyncio.to_thread(next, batches, None):
            self._go_on(0)
            await self._runs.metrics.take(f"runs/{number}", batch)

    async def _forget(self, number: int) -> None:
        """Nothing is to be left of a run that could not be taken in whole."""
        await self._runs.metrics.remove(f"runs/{number}")
        await asyncio.to_thread(shutil.rmtree, self._runs.folder(number), ignore_errors=True)
        await self._runs.database.write(lambda one: taken_groups.forget_run(one, number))


def _told(archive: Archive) -> tuple[list[ArchivedRun], ToldGroups]:
    told = [records.told_run(run.about) for run in archive.runs]
    if len({one.origin for one in told}) < len(told):
        raise InvalidRequest("the archive holds a run twice.")
    return told, records.told_groups(archive.head)


def _here(
    connection: sqlite3.Connection, told: Sequence[ArchivedRun]
) -> tuple[dict[str, int], list[int]]:
    """The numbers of runs that are here, by their origins; and of those that are here in part."""
    known: dict[str, int] = {}
    halves: list[int] = []
    unfinished = tracking.tagged(connection, UNFINISHED)
    for one in told:
        own = own_runs(connection, [one.run.created])
        number = own.get(one.origin) or tracking.find(connection, one.origin)
        if number in unfinished:
            halves.append(number)
        elif number is not None:
            known[one.origin] = number
    return known, halves


def _mounts(told: ArchivedRun, taken: _Taken) -> list[MountRow]:
    """What was mounted: runs by their numbers here. What they showed did not come."""
    found: list[MountRow] = []
    for mount in mount_texts.parse(told.run.mounts):
        source = told.sources.get(mount.resource, "")
        resource = _by_number_here(mount.resource, taken)
        found.append(MountRow(resource, mount.path, "", _by_number_here(source, taken)))
    return found


def _by_number_here(path: str, taken: _Taken) -> str:
    """A path of the resource tree with the number that a run has here."""
    match path.split("/"):
        case ["runs", which, *rest] if (number := resource_paths.run_number(which)) is not None:
            here = taken.numbers.get(number)
            whose = [ELSEWHERE, "runs", which] if here is None else ["runs", str(here)]
            return "/".join((*whose, *rest))
        case _:
            return path


def _add(
    connection: sqlite3.Connection,
    told: ArchivedRun,
    project: str,
    cwd: str,
    mounts: Sequence[MountRow],
    left: OutputsRow | None,
) -> int:
    info = told.run
    needs = info.dependencies
    row = run_table.create(
        connection,
        kind=info.kind if info.kind == EXTERNAL else "run",
        name=info.name,
        command=info.command,
        cwd=cwd,
        state=info.state,
        created=info.created,
        limits=told.limits,
        project=project or None,
        machine_type=info.machine_type,
        labels=info.labels,
        description=info.description,
        code=told.code,
        dependencies=None if needs is None else dataclasses.asdict(needs),
        mounts=mounts,
        params=info.params,
        priority=info.priority,
        after_ok=info.after_ok,
        retries=info.retries,
        auto_resume=info.auto_resume,
        stop_conditions=info.stop_conditions,
        tensorboard=info.tensorboard,
        distributed=info.distributed,
        source=info.source,
    )
    for stage, seconds in info.stages.items():
        if stage.isidentifier():
            run_table.note_stage(connection, row.id, stage, seconds)
    if left is not None:
        run_table.note_outputs(connection, row.id, left)
    run_table.set_state(
        connection,
        row.id,
        info.state,
        outcome=info.outcome,
        exit_code=info.exit_code,
        message=info.message or f"Run {info.id} elsewhere.",
        started=info.started,
        ended=info.ended,
    )
    tracking.put_away(connection, row.id, info.archived)
    tracking.note(connection, row.id, told.origin)
    tracking.set_tags(connection, row.id, {**told.tags, UNFINISHED: "not finished"})
    return row.id


def _finish(
    connection: sqlite3.Connection, taken: _Taken, groups: ToldGroups, whole: set[str]
) -> Sequence[RunRow]:
    """Say what the runs belong to; from then on they are here."""
    for search, trials in groups.searches:
        number = taken_groups.find_search(connection, search)
        if number is None:
            here = [dataclasses.replace(one, run=taken.one(one.run)) for one in trials]
            number = taken_groups.add_search(connection, search, here)
        taken.searches[search.id] = number
    for workflow, steps in groups.workflows:
        number = taken_groups.find_workflow(connection, workflow)
        if number is None:
            code = workflow.code if workflow.code in whole else ""
            # One that another began has a higher number, so that one is here already.
            within = None if workflow.within is None else taken.workflows.get(workflow.within)
            run = taken.one(workflow.run)
            row = dataclasses.replace(workflow, run=run, code=code, within=within)
            here = [dataclasses.replace(one, run=taken.one(one.run), since=0) for one in steps]
            number = taken_groups.add_workflow(connection, row, here)
        taken.workflows[workflow.id] = number
    for number, told in taken.fresh.items():
        info, made_by = told.run, taken.made_by(told.run.made_by)
        own = info.kind == EXTERNAL or (made_by and info.kind in {"trial", "workflow"})
        taken_groups.place_run(
            connection,
            number,
            kind=info.kind if own else "run",
            made_by=made_by,
            parent=taken.one(info.parent),
            after=taken.many(info.after),
            resumed_from=taken.one(info.resumed_from),
            resumed_as=taken.one(info.resumed_as),
        )
        tracking.remove_tag(connection, number, UNFINISHED)
    return run_table.get_all(connection, list(taken.fresh)) if taken.fresh else ()


def _measured(run: Unpacked) -> OutputsRow | None:
    if not run.outputs.is_dir():
        return None
    files = [path for path in run.outputs.rglob("*") if path.is_symlink() or path.is_file()]
    return OutputsRow(len(files), sum(path.lstat().st_size for path in files))


def _place(run: Unpacked, folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
        if run.log.is_file():
            run.log.rename(folder / process.LOG)
        if run.outputs.is_dir():
            run.outputs.rename(folder / OUTPUTS)
    except OSError as error:
        raise storage_error(error, "make room for a run", folder) from error
