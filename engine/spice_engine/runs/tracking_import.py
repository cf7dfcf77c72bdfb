"""Taking in what MLflow kept, in a folder or a database: experiments, runs, metrics and files.

A run is known by its id: one that is here already is left alone, and one whose import was cut
short is taken in anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.protocol.tracking import ImportedRuns
from spice_engine.runs import mlruns_reading as reading
from spice_engine.runs import resource_files as files
from spice_engine.runs import tracking_changes as changes
from spice_engine.runs.mlflow_database import FILE, DatabaseStore
from spice_engine.runs.mlruns_reading import (
    FolderStore,
    FoundExperiment,
    FoundModel,
    FoundRun,
    Notes,
)
from spice_engine.runs.projects import LONGEST_NAME, Projects
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.runs.tracking import Tracking
from spice_engine.runs.tracking_artifacts import measured
from spice_engine.runs.tracking_checks import MOST_PARAMS_BYTES
from spice_engine.runs.tracking_models import FOLDER
from spice_engine.runs.tracking_points import Sent, Times
from spice_engine.runs.tracking_views import NAME, STATES, USER, owner_of
from spice_engine.store import experiments as experiment_table
from spice_engine.store import runs as run_table
from spice_engine.store import tracking as table
from spice_engine.store import tracking_inputs
from spice_engine.store.columns import to_json
from spice_engine.store.copying import clone_or_copy
from spice_engine.store.disk import storage_error
from spice_engine.store.experiments import DEFAULT, DEFAULT_NAME
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.store.tracking import EXTERNAL
from spice_engine.store.tracking_inputs import LoggedModel

UNFINISHED = "spice.import"
"""The tag of a run whose import is not over."""
POINTS_AT_ONCE = 10_000


class Store(Protocol):
    """Where MLflow kept runs. Everything blocks."""

    def experiments(self, notes: Notes) -> list[FoundExperiment]:
        """The experiments in it."""
        ...

    def run(self, key: str, notes: Notes) -> FoundRun | None:
        """One run of it; None if it is none."""
        ...

    def points(self, found: FoundRun, notes: Notes, most: int) -> Iterator[list[Sent]]:
        """The points of a run's metrics, at most so many at a time."""
        ...


class TrackingImport:
    """The service behind `import mlruns`. One folder at a time."""

    def __init__(self, tracking: Tracking, projects: Projects) -> None:
        self._runs = tracking.runs
        self._database = tracking.runs.database
        self._projects = projects
        self._one = asyncio.Lock()

    async def take(self, folder: str) -> ImportedRuns:
        """Take a folder in.

        Raises:
            NotFound: there is no such folder.
            InvalidRequest: it is not MLflow's.
            StorageError: it cannot be read, or the disk is full; what came before stays.
        """
        notes = Notes()
        async with self._one:
            store = await asyncio.to_thread(self._store, folder)
            found = await asyncio.to_thread(store.experiments, notes)
            there = {one.name for one in await self._projects.list(archived=False)}
            wanted: list[tuple[FoundRun, int, list[FoundModel]]] = []
            deleted: set[str] = set()
            for experiment in found:
                number, project = await self._experiment(experiment)
                if experiment.deleted and project not in there:
                    deleted.add(project)
                for key in experiment.runs:
                    one = await asyncio.to_thread(store.run, key, notes)
                    if one is not None:
                        models = [model for model in experiment.models if model.run == one.uuid]
                        wanted.append((one, number, models))
            # Their numbers here follow the order in which they were.
            wanted.sort(key=lambda each: each[0].started)
            new = [await self._run(store, *each, notes) for each in wanted].count(True)
            for project in deleted:
                with contextlib.suppress(Conflict):  # it was so already
                    await self._projects.archive(project, archived=True)
        return ImportedRuns(len(found), new, len(wanted) - new, notes.lines)

    def _store(self, folder: str) -> Store:
        place = files.machine_resource(folder, self._runs.location.state).place
        if place is None:
            raise InvalidRequest(f"{folder[:200]} is no folder.")
        if not place.is_dir():
            return DatabaseStore(place)
        if reading.is_store(place):
            return FolderStore(place)
        # Where a database has the runs, this folder holds their files.
        for database in (place / FILE, place.parent / FILE):
            if database.is_file():
                return DatabaseStore(database)
        return FolderStore(place)

    async def _experiment(self, found: FoundExperiment) -> tuple[int, str]:
        """The number here of an experiment there, and its project."""
        if found.id == str(DEFAULT) and found.name == DEFAULT_NAME:
            return DEFAULT, ""
        plain = "".join(one if one.isprintable() else "_" for one in found.name)
        name = plain[:LONGEST_NAME].strip() or f"experiment {found.id}"
        await self._projects.ensure(name)

        def note(connection: sqlite3.Connection) -> tuple[int, str]:
            one = experiment_table.named(connection, name)
            if one is None:
                raise NotFound(f"the project {name!r} was removed just now.")
            tags = {**found.tags, **one.tags}
            experiment_table.set_tags(connection, one.id, tags, time.time())
            return one.id, one.project

        return await self._database.write(note)

    async def _run(
        self,
        store: Store,
        found: FoundRun,
        experiment: int,
        models: list[FoundModel],
        notes: Notes,
    ) -> bool:
        """Take one run in; False if it is here already."""

        def begin(connection: sqlite3.Connection) -> int | None:
            try:
                number = table.number_of(connection, found.uuid)
            except NotFound:
                return self._made(connection, found, experiment)
            tags = table.tags_of(connection, [number])[number]
            return number if UNFINISHED in tags else None

        number = await self._database.write(begin)
        if number is None:
            return False
        folder = self._runs.folder(number)
        await self._runs.metrics.remove(owner_of(number))
        times = Times()
        batches = store.points(found, notes, POINTS_AT_ONCE)
        while batch := await asyncio.to_thread(next, batches, None):
            await self._runs.metrics.take(owner_of(number), times.rows(owner_of(number), batch))
        beside = self._runs.location.state / "tmp" / f"import-{secrets.token_hex(8)}"
        try:
            await asyncio.to_thread(_copy, found, models, beside, folder, notes)
        finally:
            await asyncio.to_thread(shutil.rmtree, beside, ignore_errors=True)
        left = await asyncio.to_thread(measured, folder)

        def finish(connection: sqlite3.Connection) -> RunRow:
            named = "".join(one for one in found.name if one.isprintable())[:LONGEST_NAME]
            tags = {**found.tags, USER: found.user or "unknown", NAME: named.strip()}
            changes.set_tags(connection, number, tags)
            params = dict(found.params)
            if len(to_json(params)) > MOST_PARAMS_BYTES:
                notes.add(f"{found.uuid}: its params are too many, and were left out.")
                params = {}
            table.set_params(connection, number, params)
            state, outcome = STATES.get(found.status, ("failed", "failed"))
            if state not in FINAL_STATES:  # whoever made it is not heard of here
                state, outcome = "interrupted", "failed"
            table.set_external(connection, number, state, outcome, found.ended or found.started)
            table.put_away(connection, number, time.time() if found.deleted else None)
            run_table.note_outputs(connection, number, left)
            for model in models:
                _note_model(connection, number, model, _folder_of(model, models), found.started)
            table.remove_tag(connection, number, UNFINISHED)
            return run_table.get(connection, number)

        self._runs.known.note(await self._database.write(finish))
        return True

    def _made(self, connection: sqlite3.Connection, found: FoundRun, experiment: int) -> int:
        row = run_table.create(
            connection,
            kind=EXTERNAL,
            command=(),
            created=found.started,
            state="failed",
            project=experiment_table.get(connection, experiment).project or None,
        )
        table.note(connection, row.id, found.uuid)
        table.set_external(connection, row.id, "failed", "failed", found.started)
        table.set_tags(connection, row.id, {UNFINISHED: "not finished"})
        return row.id


def _note_model(
    connection: sqlite3.Connection, number: int, model: FoundModel, folder: str, at: float
) -> None:
    try:
        tracking_inputs.get_model(connection, model.uuid)
    except NotFound:
        tracking_inputs.add_model(
            connection,
            LoggedModel(
                model.uuid,
                number,
                model.name,
                folder,
                "",
                "LOGGED_MODEL_READY",
                at,
                at,
                None,
                {},
                {},
            ),
        )


def _folder_of(model: FoundModel, models: list[FoundModel]) -> str:
    """Where in a run's outputs the files of one of its models go."""
    alone = [one.name for one in models].count(model.name) == 1
    plain = re.fullmatch(r"[\w -][\w .-]{0,199}", model.name)
    return f"{FOLDER}/{model.name if alone and plain else model.uuid}"


def _copy(
    found: FoundRun, models: list[FoundModel], beside: Path, folder: Path, notes: Notes
) -> None:
    """Put a run's files into its outputs, all at once. Blocks.

    Raises:
        StorageError: the disk is full.
    """
    try:
        _copy_tree(found.files, beside, notes)
        for model in models:
            _copy_tree(model.files, beside / _folder_of(model, models), notes)
        if folder.exists():
            shutil.rmtree(folder)
        if beside.is_dir():
            folder.mkdir(parents=True)
            beside.rename(folder / OUTPUTS)
    except OSError as error:
        raise storage_error(error, f"copy the files of run {found.uuid}", folder) from error


def _copy_tree(source: Path, target: Path, notes: Notes) -> None:
    for path in reading.files(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            read = path.open("rb")
        except OSError as error:
            notes.add(f"{str(path)[:300]!r} cannot be read: {error.strerror}.")
            continue
        with read, place.open("xb+") as write:
            clone_or_copy(read, write)
