"""MLflow's tracking door: `/api/2.0/mlflow/…`, as the `mlflow` client calls it.

The same paths below `/api/runs/N` are for the code of run N: `MLFLOW_TRACKING_URI` leads there in
a run, so that the engine knows who asks, and to `/api/runs/N/rankK` in a rank of one. What is not
here has no place in the engine; a client is told so, with the code it expects.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from spice_engine.api import json_text
from spice_engine.api import mlflow_messages as messages
from spice_engine.api.bodies import JSON_LIMIT, BodyReader
from spice_engine.api.mlflow_artifacts import ArtifactRoutes
from spice_engine.api.mlflow_fields import Fields, experiment_number, experiment_numbers
from spice_engine.api.mlflow_messages import Message
from spice_engine.api.mlflow_models import ModelRoutes
from spice_engine.api.mlflow_ranks import named_by_rank
from spice_engine.api.mlflow_registry import RegistryRoutes
from spice_engine.api.replies import json_response
from spice_engine.errors import InvalidRequest, NotSupported, SpiceError
from spice_engine.runs.tracking import Tracking
from spice_engine.runs.tracking_models import LoggedModels
from spice_engine.runs.tracking_points import Sent
from spice_engine.runs.tracking_search import Query
from spice_engine.serving.model_registry import Call, ModelRegistry
from spice_engine.store.tracking_inputs import DatasetRow, ModelUse

HISTORY = "mlflow.log-model.history"
"""The tag in which clients before MLflow 3 keep what models a run logged."""
BASES = ("", r"/api/runs/{run:\d{1,18}}", r"/api/runs/{run:\d{1,18}}/rank{rank:\d{1,4}}")
API = "/api/2.0/mlflow"
_OURS = ("/api/2.0/", "/api/3.0/", "/api/runs/")

Handler = Callable[[Fields, "int | None"], Awaitable["Message | Callable[[], Message]"]]
"""Answers a request that code of a run sent, or (None) other code. What takes long to put
together is given as a function, for a thread."""

_VIEWS: dict[str, bool | None] = {
    "": False,
    "ACTIVE_ONLY": False,
    "1": False,
    "DELETED_ONLY": True,
    "2": True,
    "ALL": None,
    "3": None,
}


def is_tracking(path: str) -> bool:
    """Whether a path is of this door."""
    return path.startswith(_OURS)


def error_response(error: SpiceError) -> web.Response:
    """An error as a client understands it."""
    message, status = messages.error(error)
    response = json_response(message, status)
    if status in {413, 408}:
        response.force_close()  # what is left of the body is not waited for
    return response


class TrackingRoutes:
    """All paths of the door."""

    def __init__(self, tracking: Tracking, bodies: BodyReader, call: Call) -> None:
        self._tracking = tracking
        self._experiments = tracking.experiments
        self._bodies = bodies
        self._models = ModelRoutes(LoggedModels(tracking))
        self._registry = RegistryRoutes(ModelRegistry(tracking.runs.database, call))
        self._artifacts = ArtifactRoutes(tracking, bodies)

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        for base in BASES:
            tables = {**self._table(), **self._models.table(), **self._registry.table()}
            for (method, path), handler in tables.items():
                app.router.add_route(method, f"{base}{API}/{path}", self._endpoint(path, handler))
            self._artifacts.install(app, base)
            app.router.add_get(f"{base}/api/3.0/mlflow/server-info", self._server_info)
            for rest in ("/api/2.0/{rest:.*}", "/api/3.0/{rest:.*}"):
                app.router.add_route("*", f"{base}{rest}", self._unknown)

    def _table(self) -> dict[tuple[str, str], Handler]:
        return {
            ("POST", "experiments/create"): self._create_experiment,
            ("GET", "experiments/get"): self._experiment,
            ("GET", "experiments/get-by-name"): self._experiment_by_name,
            ("POST", "experiments/search"): self._search_experiments,
            ("POST", "experiments/update"): self._rename_experiment,
            ("POST", "experiments/delete"): self._delete_experiment,
            ("POST", "experiments/restore"): self._restore_experiment,
            ("POST", "experiments/set-experiment-tag"): self._tag_experiment,
            ("POST", "experiments/delete-experiment-tag"): self._untag_experiment,
            ("POST", "runs/create"): self._create_run,
            ("GET", "runs/get"): self._run,
            ("POST", "runs/search"): self._search_runs,
            ("POST", "runs/update"): self._update_run,
            ("POST", "runs/delete"): self._delete_run,
            ("POST", "runs/restore"): self._restore_run,
            ("POST", "runs/log-metric"): self._log_metric,
            ("POST", "runs/log-parameter"): self._log_param,
            ("POST", "runs/log-batch"): self._log_batch,
            ("POST", "runs/log-inputs"): self._log_inputs,
            ("POST", "runs/outputs"): self._log_outputs,
            ("POST", "runs/log-model"): self._log_model,
            ("POST", "runs/set-tag"): self._set_tag,
            ("POST", "runs/delete-tag"): self._delete_tag,
            ("GET", "metrics/get-history"): self._history,
            ("GET", "artifacts/list"): self._list_artifacts,
        }

    def _endpoint(
        self, path: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.method in {"GET", "HEAD"}:
                every = ((name, request.query.getall(name)) for name in request.query)
                data: dict[str, Any] = {n: v if len(v) > 1 else v[0] for n, v in every}
            else:
                body = await self._bodies.read(request, limit=JSON_LIMIT)
                data = json_text.parse_object(body)
            asker = {"run", "rank"}
            data.update({k: v for k, v in request.match_info.items() if k not in asker})
            found = request.match_info.get("run")
            inside = None if found is None else int(found)
            if inside is not None and (rank := request.match_info.get("rank")):
                data = named_by_rank(path, data, inside, int(rank))
            answer = await handler(Fields(data), inside)
            if not callable(answer):
                return json_response(answer)
            text = await asyncio.to_thread(lambda: json_text.dumps(answer()))
            return web.Response(body=text, content_type="application/json", charset="utf-8")

        return handle

    async def _server_info(self, request: web.Request) -> web.Response:
        return json_response(
            {
                "store_type": "SpiceTui",
                "workspaces_enabled": False,
                "trace_archival_enabled": False,
                "multipart_uploads_enabled": False,
                "multipart_downloads_enabled": False,
            }
        )

    async def _unknown(self, request: web.Request) -> web.Response:
        path = request.match_info["rest"]
        if path.startswith(("mlflow/registered-models", "mlflow/model-versions")):
            raise NotSupported(
                f"{request.method} {path[:100]}: registered models are models of the engine, which "
                "have versions, aliases and descriptions, but no stages, tags or other names.",
                hint="Give a version an alias, or describe it.",
            )
        if path.startswith(("mlflow-artifacts/mpu", "mlflow-artifacts/presigned")):
            raise NotSupported("files are sent and fetched whole.")
        return json_response(
            {
                "error_code": "ENDPOINT_NOT_FOUND",
                "message": f"There is no {request.method} {request.path[:200]}: of MLflow's "
                "server this engine has experiments, runs, metrics, artifacts and models.",
            },
            404,
        )

    # -- experiments

    async def _create_experiment(self, given: Fields, inside: int | None) -> Message:
        number = await self._experiments.create(
            given.required("name"), given.text("artifact_location"), given.pairs("tags")
        )
        self._tracking.names(number, inside)
        return {"experiment_id": str(number)}

    async def _experiment(self, given: Fields, inside: int | None) -> Message:
        found = await self._experiments.get(experiment_number(given))
        self._tracking.names(found.id, inside)
        return {"experiment": messages.experiment(found)}

    async def _experiment_by_name(self, given: Fields, inside: int | None) -> Message:
        found = await self._experiments.named(given.required("experiment_name"))
        self._tracking.names(found.id, inside)
        return {"experiment": messages.experiment(found)}

    async def _search_experiments(self, given: Fields, inside: int | None) -> Message:
        page = await self._experiments.search(
            deleted=_view(given, "view_type"),
            filter_=given.text("filter"),
            order_by=given.texts("order_by"),
            count=given.integer("max_results", 1000),
            token=given.text("page_token"),
        )
        token = {"next_page_token": page.token} if page.token else {}
        return {"experiments": [messages.experiment(one) for one in page.items], **token}

    async def _rename_experiment(self, given: Fields, inside: int | None) -> Message:
        await self._experiments.rename(experiment_number(given), given.required("new_name"))
        return {}

    async def _delete_experiment(self, given: Fields, inside: int | None) -> Message:
        await self._experiments.delete(experiment_number(given))
        return {}

    async def _restore_experiment(self, given: Fields, inside: int | None) -> Message:
        await self._experiments.restore(experiment_number(given))
        return {}

    async def _tag_experiment(self, given: Fields, inside: int | None) -> Message:
        tag = {given.required("key"): given.text("value")}
        await self._experiments.set_tags(experiment_number(given), tag)
        return {}

    async def _untag_experiment(self, given: Fields, inside: int | None) -> Message:
        await self._experiments.remove_tag(experiment_number(given), given.required("key"))
        return {}

    # -- runs

    async def _create_run(self, given: Fields, inside: int | None) -> Message:
        started = given.integer("start_time")
        made = await self._tracking.create(
            experiment_number(given, "0"),
            name=given.text("run_name"),
            user=given.text("user_id"),
            started=started / 1000 if started else None,
            tags=given.pairs("tags"),
            inside=inside,
        )
        return {"run": messages.run(made)}

    async def _run(self, given: Fields, inside: int | None) -> Message:
        return {"run": messages.run(await self._tracking.get(run_id(given), inside))}

    async def _search_runs(self, given: Fields, inside: int | None) -> Callable[[], Message]:
        page = await self._tracking.search(
            Query(
                experiment_numbers(given),
                given.text("filter"),
                given.texts("order_by"),
                _view(given, "run_view_type"),
                given.integer("max_results", 1000),
                given.text("page_token"),
            )
        )
        token = {"next_page_token": page.token} if page.token else {}
        return lambda: {"runs": [messages.run(one) for one in page.items], **token}

    async def _update_run(self, given: Fields, inside: int | None) -> Message:
        ended = given.integer("end_time")
        found = await self._tracking.update(
            run_id(given),
            status=given.text("status"),
            ended=ended / 1000 if ended else None,
            name=given.text("run_name"),
            inside=inside,
        )
        return {"run_info": messages.run_info(found)}

    async def _delete_run(self, given: Fields, inside: int | None) -> Message:
        await self._tracking.put_away(run_id(given), away=True)
        return {}

    async def _restore_run(self, given: Fields, inside: int | None) -> Message:
        await self._tracking.put_away(run_id(given), away=False)
        return {}

    async def _log_metric(self, given: Fields, inside: int | None) -> Message:
        await self._tracking.log(run_id(given), points=[_sent(given)])
        return {}

    async def _log_param(self, given: Fields, inside: int | None) -> Message:
        param = {given.required("key"): given.text("value")}
        await self._tracking.log(run_id(given), params=param)
        return {}

    async def _log_batch(self, given: Fields, inside: int | None) -> Message:
        found = given.records("metrics")
        # A thousand points take longer than the loop has time.
        points = await asyncio.to_thread(lambda: [_sent(one) for one in found])
        await self._tracking.log(
            run_id(given),
            points=points,
            params=given.pairs("params"),
            tags=given.pairs("tags"),
        )
        return {}

    async def _set_tag(self, given: Fields, inside: int | None) -> Message:
        tag = {given.required("key"): given.text("value")}
        await self._tracking.log(run_id(given), tags=tag)
        return {}

    async def _delete_tag(self, given: Fields, inside: int | None) -> Message:
        await self._tracking.remove_tag(run_id(given), given.required("key"))
        return {}

    async def _log_inputs(self, given: Fields, inside: int | None) -> Message:
        datasets = [_dataset(one) for one in given.records("datasets")]
        uses = [ModelUse(one.required("model_id"), "input", 0) for one in given.records("models")]
        await self._tracking.log_inputs(run_id(given), datasets, uses)
        return {}

    async def _log_outputs(self, given: Fields, inside: int | None) -> Message:
        uses = [
            ModelUse(one.required("model_id"), "output", one.integer("step"))
            for one in given.records("models")
        ]
        await self._tracking.log_inputs(run_id(given), [], uses)
        return {}

    async def _log_model(self, given: Fields, inside: int | None) -> Message:
        """Clients before MLflow 3 say so that a folder of the artifacts is a model."""
        model = json_text.parse_object(given.required("model_json").encode())
        run = await self._tracking.get(run_id(given))
        history = json_text.parse(run.tags.get(HISTORY, "[]").encode())
        known = cast("list[object]", history) if isinstance(history, list) else []
        await self._tracking.log(
            run.row.uuid, tags={HISTORY: json_text.dumps([*known, model]).decode()}
        )
        return {}

    async def _history(self, given: Fields, inside: int | None) -> Callable[[], Message]:
        name = given.required("metric_key")
        page = await self._tracking.history(
            run_id(given),
            name,
            count=given.integer("max_results"),
            token=given.text("page_token"),
        )
        token = {"next_page_token": page.token} if page.token else {}
        return lambda: {
            "metrics": [messages.metric(name, point) for point in page.items],
            **token,
        }

    async def _list_artifacts(self, given: Fields, inside: int | None) -> Message:
        run = await self._tracking.get(run_id(given))
        files = await self._tracking.artifacts.list(run.row.number, given.text("path"))
        return {"root_uri": run.artifact_uri, "files": [messages.file(one) for one in files]}


def run_id(given: Fields) -> str:
    """The run that a request is about."""
    return given.required("run_id", "run_uuid")


def _view(given: Fields, name: str) -> bool | None:
    try:
        return _VIEWS[given.text(name)]
    except KeyError:
        raise InvalidRequest(
            f"Invalid {name} {given.text(name)[:100]!r}.", hint="ACTIVE_ONLY, DELETED_ONLY, ALL."
        ) from None


def _sent(given: Fields) -> Sent:
    moment = given.integer("timestamp", int(time.time() * 1000))
    return Sent(
        given.required("key"),
        given.number("value"),
        moment,
        given.integer("step"),
        given.text("model_id"),
    )


def _dataset(given: Fields) -> DatasetRow:
    dataset = given.record("dataset")
    detail = {
        name: dataset.text(name)
        for name in ("source_type", "source", "schema", "profile")
        if dataset.has(name)
    }
    return DatasetRow(
        dataset.required("name"), dataset.required("digest"), detail, given.pairs("tags")
    )
