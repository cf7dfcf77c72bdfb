"""Models that tracking clients log: files of a run under a name, with an id of their own.

They are no models of ours until somebody makes one of the run's outputs.
"""

from __future__ import annotations

import sqlite3
import time
import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import replace

from spice_engine.errors import InvalidRequest
from spice_engine.runs import tracking_changes as changes
from spice_engine.runs import tracking_filter as filters
from spice_engine.runs.tracking import Tracking
from spice_engine.runs.tracking_checks import check_params, check_tags
from spice_engine.runs.tracking_filter import Clause, Order
from spice_engine.runs.tracking_pages import Page, check_count, offset_of, page_of, sorted_by
from spice_engine.runs.tracking_views import artifact_uri
from spice_engine.store import model_metrics
from spice_engine.store import tracking as table
from spice_engine.store import tracking_inputs as inputs
from spice_engine.store.tracking_inputs import LoggedModel

PENDING = "LOGGED_MODEL_PENDING"
MOST_RESULTS = 1000
FOLDER = "models"
"""In a run's outputs, where the files of its logged models are: clients look for those beside
the run's other files."""
Told = tuple[LoggedModel, int, str]
"""A model, the number of its experiment, the id of its run."""
STATUSES = (PENDING, "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")


class LoggedModels:
    """The service behind a client's logged models; each comes with its experiment and the id of
    its run."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._database = tracking.runs.database

    async def create(
        self,
        experiment: int,
        *,
        name: str,
        kind: str,
        run: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> Told:
        """Make one. Its files come later. One that no run made gets a run, which is over when the
        model is ready.

        Raises:
            NotFound: there is no such run or experiment.
            InvalidRequest: its name, a tag or a parameter cannot be used.
        """
        check_tags(tags)
        check_params(params)
        model = f"m-{uuids.uuid4().hex}"
        name = name or model
        if "/" in name or ":" in name or len(name) > 200 or name.startswith(".") or "\\" in name:
            raise InvalidRequest(f"Invalid model name {name[:100]!r}.", hint="Such as: model.")
        if not run:
            made = await self._tracking.create(
                experiment, name=name, user="", started=None, tags={MODEL: model}
            )
            run = made.row.uuid
        number = await self._tracking.number(run)
        now = time.time()

        def change(connection: sqlite3.Connection) -> LoggedModel:
            changes.active(connection, number)
            return inputs.add_model(
                connection,
                LoggedModel(
                    model,
                    number,
                    name,
                    f"{FOLDER}/{name}",
                    kind,
                    PENDING,
                    now,
                    now,
                    None,
                    tags,
                    params,
                ),
            )

        return await self._told(await self._database.write(change))

    async def get(self, model: str) -> Told:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        return await self._told(
            await self._database.read(lambda connection: inputs.get_model(connection, model))
        )

    async def finish(self, model: str, status: str) -> Told:
        """Note that its files are there, or failed to come.

        Raises:
            NotFound: there is none.
            InvalidRequest: there is no such status.
        """
        if status not in STATUSES:
            raise InvalidRequest(
                f"Invalid model status {status[:100]!r}.", hint=f"One of {', '.join(STATUSES)}."
            )
        found = await self._changed(model, status=status)
        tags = await self._database.read(
            lambda connection: table.tags_of(connection, [found[0].run])[found[0].run]
        )
        if status != PENDING and tags.get(MODEL) == model:
            end = "FINISHED" if status == "LOGGED_MODEL_READY" else "FAILED"
            await self._tracking.update(found[2], status=end, ended=None, name="")
        return found

    async def set_tags(self, model: str, tags: Mapping[str, str], removed: str = "") -> Told:
        """Give it tags, and take one off.

        Raises:
            NotFound: there is none.
            InvalidRequest: a tag cannot be kept.
        """
        check_tags(tags)
        before = (await self.get(model))[0].tags
        left = {key: value for key, value in before.items() if key != removed}
        return await self._changed(model, tags={**left, **tags})

    async def set_params(self, model: str, params: Mapping[str, str]) -> None:
        """Give it more parameters.

        Raises:
            NotFound: there is none.
            InvalidRequest: one cannot be kept.
        """
        check_params(params)
        before = (await self.get(model))[0].params
        await self._changed(model, params={**before, **params})

    async def delete(self, model: str) -> None:
        """Forget it; its files stay in the run's outputs.

        Raises:
            NotFound: there is none.
        """
        await self._changed(model, deleted=time.time())

    async def search(
        self,
        experiments: Sequence[int],
        *,
        filter_: str,
        orders: Sequence[tuple[str, bool]],
        count: int,
        token: str,
    ) -> Page[Told]:
        """A page of those of the runs of these experiments that a filter lets through, newest
        first or ordered by fields, upwards or not.

        Raises:
            InvalidRequest: the filter, an order, the token or the count cannot be used.
        """
        check_count(count, MOST_RESULTS)
        clauses = filters.parse(filter_, filters.MODELS)
        wanted = [
            replace(filters.parse_order(field, filters.MODELS), ascending=up)
            for field, up in orders
        ]
        start = offset_of(token)

        def read(connection: sqlite3.Connection) -> Page[Told]:
            models = inputs.models_of(connection, experiments)
            rows = table.get_all(connection, list({model.run for _, model in models}))
            uuids = {row.number: row.uuid for row in rows}
            metrics = model_metrics.of_models(connection, [model.id for _, model in models])
            all_told = (
                (replace(model, metrics=metrics.get(model.id, ())), number, uuids[model.run])
                for number, model in models
            )
            found = [
                told
                for told in all_told
                if all(clause.holds(_value(told, clause)) for clause in clauses)
            ]
            return page_of(sorted_by(found, wanted, _value), start, count)

        return await self._database.read(read)

    async def _changed(
        self,
        model: str,
        *,
        status: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        deleted: float | None = None,
    ) -> Told:
        return await self._told(
            await self._database.write(
                lambda connection: inputs.change_model(
                    connection,
                    model,
                    time.time(),
                    status=status,
                    tags=tags,
                    params=params,
                    deleted=deleted,
                )
            )
        )

    async def _told(self, model: LoggedModel) -> Told:
        def read(connection: sqlite3.Connection) -> Told:
            (row,) = table.get_all(connection, [model.run])
            metrics = model_metrics.of_models(connection, [model.id]).get(model.id, ())
            return replace(model, metrics=metrics), row.experiment, row.uuid

        return await self._database.read(read)


MODEL = "spice.model"
"""The tag of a run that was made for a logged model: its id."""


def _value(told: Told, asked: Clause | Order) -> object:
    model, _, run = told
    key = asked.name.key
    if asked.name.kind == "metric":
        return next((one.value for one in model.metrics if one.name == key), None)
    if asked.name.kind != "attribute":
        return (model.tags if asked.name.kind == "tag" else model.params).get(key)
    return {
        "name": model.name,
        "model_id": model.id,
        "model_type": model.type,
        "status": model.status.removeprefix("LOGGED_MODEL_"),
        "source_run_id": run,
        "creation_timestamp": int(model.created * 1000),
        "last_updated_timestamp": int(model.changed * 1000),
    }[key]


def model_uri(model: LoggedModel) -> str:
    """Where a client finds and puts the files of a logged model."""
    return f"{artifact_uri(model.run)}/{model.folder}"
