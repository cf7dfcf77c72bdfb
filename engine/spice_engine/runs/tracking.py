"""Runs of tracking clients: made and followed by code of theirs, kept as runs of ours.

A client's run is of kind `external`: it has no process of ours, and its client says when it ends.
Code that runs in one of our runs attaches to that one: it adds parameters, metrics, tags and files
to it, but its state stays that of its process.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import time
import uuid as uuids
from collections.abc import Callable, Mapping, Sequence

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import tracking_changes as changes
from spice_engine.runs import tracking_search
from spice_engine.runs.projects import Projects
from spice_engine.runs.service import Runs
from spice_engine.runs.tracking_artifacts import Artifacts, measured
from spice_engine.runs.tracking_checks import (
    check_params,
    check_points,
    check_run_name,
    check_tags,
)
from spice_engine.runs.tracking_experiments import Experiments
from spice_engine.runs.tracking_experiments import active as active_experiment
from spice_engine.runs.tracking_pages import Page, place_of, token_of
from spice_engine.runs.tracking_points import Sent, Times
from spice_engine.runs.tracking_search import Query
from spice_engine.runs.tracking_views import (
    NAME,
    NOTE,
    USER,
    TrackedRun,
    owner_of,
    state_of,
    tags_of,
)
from spice_engine.store import experiments as experiment_table
from spice_engine.store import model_metrics, tracking_inputs, tracking_metrics
from spice_engine.store import runs as run_table
from spice_engine.store import tracking as table
from spice_engine.store.model_metrics import ModelMetric
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.store.series import StoredPoint
from spice_engine.store.tracking import EXTERNAL
from spice_engine.store.tracking_inputs import DatasetRow, ModelUse

HISTORY_POINTS = 25_000
"""Points of a metric's history in one answer."""

BUSY_SECONDS = 86_400.0
"""A client's run that was not heard of for so long keeps no engine running."""


class Tracking:
    """The service behind a tracking client's runs. Belongs to the engine's loop.

    `inside` is the number of the run whose code asks, where one does.
    """

    def __init__(self, runs: Runs, projects: Projects) -> None:
        self.runs = runs
        self.experiments = Experiments(runs.database, projects)
        self.artifacts = Artifacts(runs)
        self.times = Times()
        self._database = runs.database
        self._named: dict[int, int] = {}
        self._heard: dict[int, float] = {}
        runs.listen(self._hear)

    async def open(self) -> None:
        """Take up the clients' runs that an earlier engine left: they may go on."""
        numbers = await self._database.read(
            lambda connection: table.going_on(connection, FINAL_STATES)
        )
        self._heard = dict.fromkeys(numbers, time.monotonic())

    @property
    def busy(self) -> bool:
        """Whether a client is at work that may come back."""
        since = time.monotonic() - BUSY_SECONDS
        return any(heard > since for heard in self._heard.values())

    def _hear(self, info: RunInfo) -> None:
        if info.state in FINAL_STATES:
            self._named.pop(info.id, None)
            self._heard.pop(info.id, None)
            self.times.forget(owner_of(info.id))
        elif info.kind == EXTERNAL:
            self._heard[info.id] = time.monotonic()

    def names(self, experiment: int, inside: int | None) -> None:
        """The code of a run asks for this experiment: that is where it wants to be."""
        if inside is not None and inside in self.runs.known:
            self._named[inside] = experiment

    # -- making and reading

    async def create(
        self,
        experiment: int,
        *,
        name: str,
        user: str,
        started: float | None,
        tags: Mapping[str, str],
        inside: int | None = None,
    ) -> TrackedRun:
        """Make a run that a client is going to follow; one that the code of a run makes has that
        run as its parent.

        Raises:
            NotFound: there is no such experiment.
            Conflict: it is deleted.
            InvalidRequest: a tag cannot be kept, or two names are given.
        """
        check_tags(tags)
        if name and tags.get(NAME, name) != name:
            raise InvalidRequest(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                f"different values (run_name={name[:100]!r}, "
                f"mlflow.runName={tags[NAME][:100]!r})."
            )
        check_tags({NAME: name, USER: user})
        begun = time.time() if started is None else started
        uuid = uuids.uuid4().hex
        parent = inside if inside is not None and inside in self.runs.known else None
        kept = {**tags, **({USER: user} if user else {}), **({NAME: name} if name else {})}

        def change(connection: sqlite3.Connection) -> RunRow:
            one = active_experiment(connection, experiment)
            row = run_table.create(
                connection,
                kind=EXTERNAL,
                command=(),
                created=begun,
                state="running",
                project=one.project or None,
                parent=parent,
            )
            table.note(connection, row.id, uuid)
            table.set_external(connection, row.id, "running", None, None)
            changes.set_tags(connection, row.id, kept)
            return run_table.get(connection, row.id)

        row = await self._database.write(change)
        await asyncio.to_thread(changes.set_aside, self.runs.folder(row.id))
        self.runs.known.note(row)
        return await self.get(uuid)

    async def number(self, uuid: str) -> int:
        """The number of the run with this id.

        Raises:
            NotFound: there is none.
        """
        return await self._database.read(lambda connection: table.number_of(connection, uuid))

    async def get(self, uuid: str, inside: int | None = None) -> TrackedRun:
        """A run with all that a client is told of it.

        Raises:
            NotFound: there is no such run.
        """
        number = await self.number(uuid)
        (found,) = await self._read([number])
        if inside == number and number in self._named:
            # Its code is about to put it there; until then it must see what it asked for.
            row = dataclasses.replace(found.row, experiment=self._named[number])
            return dataclasses.replace(found, row=row)
        return found

    async def search(self, query: Query) -> Page[TrackedRun]:
        """A page of the runs that a filter lets through.

        Raises:
            InvalidRequest: as `tracking_search.search`.
        """
        page = await tracking_search.search(self._database, self.runs.metrics, query)
        return Page(await self._read(page.items), page.token)

    async def _read(self, numbers: Sequence[int]) -> list[TrackedRun]:
        def read(connection: sqlite3.Connection) -> list[TrackedRun]:
            tags = table.tags_of(connection, numbers)
            datasets = tracking_inputs.datasets_of(connection, numbers)
            uses = tracking_inputs.uses_of(connection, numbers)
            return [
                TrackedRun(
                    row,
                    tags_of(row, tags[row.number]),
                    datasets=datasets.get(row.number, ()),
                    models=uses.get(row.number, ()),
                )
                for row in table.get_all(connection, numbers)
            ]

        found = await self._database.read(read)
        metrics = self.runs.metrics
        await metrics.flush()
        owners = [owner_of(run.row.number) for run in found]
        last = await metrics.read(lambda connection: tracking_metrics.last_of(connection, owners))
        return [
            dataclasses.replace(run, metrics=last[owner])
            for run, owner in zip(found, owners, strict=True)
        ]

    async def history(self, uuid: str, name: str, *, count: int, token: str) -> Page[StoredPoint]:
        """A page of the points of a metric, by step and time.

        Raises:
            NotFound: there is no such run.
            InvalidRequest: the token cannot be used.
        """
        number = await self.number(uuid)
        place = place_of(token)
        step, at = place.get("step"), place.get("time")
        if token and not (isinstance(step, int) and abs(step) < 2**63 and isinstance(at, float)):
            raise InvalidRequest("Invalid page token.", hint="Send the one of the page before.")
        after = (step, at) if isinstance(step, int) and isinstance(at, float) else None
        most = max(1, min(count or HISTORY_POINTS, HISTORY_POINTS))
        await self.runs.metrics.flush()
        found = await self.runs.metrics.read(
            lambda connection: tracking_metrics.history(
                connection, owner_of(number), name, after=after, count=most + 1
            )
        )
        if len(found) <= most:
            return Page(found)
        last = found[most - 1]
        return Page(found[:most], token_of({"step": last.index, "time": last.time}))

    # -- changing

    async def update(
        self,
        uuid: str,
        *,
        status: str,
        ended: float | None,
        name: str,
        inside: int | None = None,
    ) -> TrackedRun:
        """What a client says of its run: its state, its end, its name. Of a run whose process is
        ours only the name counts.

        Raises:
            NotFound: there is no such run.
            InvalidRequest: the status is none, or the run is put away.
        """
        wanted = state_of(status) if status else None
        check_run_name(name)
        number = await self.number(uuid)
        left = None
        if wanted is not None and wanted[0] in FINAL_STATES:
            left = await asyncio.to_thread(measured, self.runs.folder(number))
        experiment = self._named.pop(number, None) if inside == number else None

        def change(connection: sqlite3.Connection) -> RunRow:
            row = changes.active(connection, number)
            if name:
                table.describe(connection, number, name=name)
            if experiment is not None:
                one = experiment_table.get(connection, experiment)
                table.describe(connection, number, project=one.project)
            if wanted is not None and row.kind == EXTERNAL:
                state, outcome = wanted
                final = state in FINAL_STATES
                end = (time.time() if ended is None else ended) if final else None
                table.set_external(connection, number, state, outcome, end)
                if left is not None:
                    run_table.note_outputs(connection, number, left)
            return run_table.get(connection, number)

        await self._changed(change)
        return await self.get(uuid, inside)

    async def log(
        self,
        uuid: str,
        *,
        points: Sequence[Sent] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Keep points, parameters and tags of a run; they are on disk when this returns.

        Raises:
            NotFound: there is no such run, or no such model that a point is about.
            InvalidRequest: the run is put away, one of them cannot be kept, or a parameter is to
                change.
        """
        params, tags = params or {}, tags or {}
        await asyncio.to_thread(check_points, points)
        check_params(params)
        check_tags(tags)
        number = await self.number(uuid)
        models = [
            (point.model, ModelMetric(point.name, point.value, point.step, point.moment / 1000))
            for point in points
            if point.model
        ]

        def change(connection: sqlite3.Connection) -> RunRow:
            row = changes.active(connection, number)
            changes.set_params(connection, row, params)
            changes.set_tags(connection, number, tags)
            model_metrics.note(connection, number, models)
            return run_table.get(connection, number)

        if params or tags or models:
            await self._changed(change)
        else:
            await self._database.read(lambda connection: changes.active(connection, number))
        if points:
            owner = owner_of(number)
            try:
                await self.runs.metrics.take(owner, self.times.rows(owner, points))
            except BaseException:
                self.times.forget(owner)  # they come again, and are not there yet
                raise
            if number in self._heard:
                self._heard[number] = time.monotonic()

    async def remove_tag(self, uuid: str, key: str) -> None:
        """Take a tag off a run.

        Raises:
            NotFound: there is no such run, or it has no such tag.
            InvalidRequest: the run is put away.
        """
        number = await self.number(uuid)

        def change(connection: sqlite3.Connection) -> RunRow:
            row = changes.active(connection, number)
            if key == NOTE and row.description:
                table.describe(connection, number, description="")
            elif not table.remove_tag(connection, number, key):
                raise NotFound(f"No tag with name: {key[:100]} in run with id {uuid}")
            return run_table.get(connection, number)

        await self._changed(change)

    async def put_away(self, uuid: str, *, away: bool) -> None:
        """Put a run away, or take it back.

        Raises:
            NotFound: there is no such run.
            Conflict: its process is ours, and runs.
        """
        number = await self.number(uuid)

        def change(connection: sqlite3.Connection) -> RunRow:
            row = run_table.get(connection, number)
            if away and row.kind != EXTERNAL and row.state not in FINAL_STATES:
                raise Conflict(f"run {number} is not over ({row.state}).", hint="Stop it first.")
            if (row.archived is None) is away:
                table.put_away(connection, number, time.time() if away else None)
            return run_table.get(connection, number)

        await self._changed(change)

    async def log_inputs(
        self, uuid: str, datasets: Sequence[DatasetRow], uses: Sequence[ModelUse]
    ) -> None:
        """Keep what a run read, and which logged models it read or made.

        Raises:
            NotFound: there is no such run.
            InvalidRequest: the run is put away.
        """
        number = await self.number(uuid)

        def change(connection: sqlite3.Connection) -> None:
            changes.active(connection, number)
            tracking_inputs.add_datasets(connection, number, datasets)
            tracking_inputs.add_uses(connection, number, uses)

        await self._database.write(change)

    async def _changed(self, change: Callable[[sqlite3.Connection], RunRow]) -> None:
        self.runs.known.note(await self._database.write(change))
