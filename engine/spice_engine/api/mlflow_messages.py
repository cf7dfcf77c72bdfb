"""Experiments, runs, metrics and models as a tracking client reads them: protocol buffers as JSON.

The names are those of `service.proto` of MLflow; times are unix milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSupported,
    Overloaded,
    SpiceError,
    TooLarge,
    Unauthorized,
)
from spice_engine.runs.tracking_artifacts import Artifact
from spice_engine.runs.tracking_models import model_uri
from spice_engine.runs.tracking_points import moment_of
from spice_engine.runs.tracking_views import USER, TrackedRun
from spice_engine.store.experiments import Experiment
from spice_engine.store.series import StoredPoint
from spice_engine.store.tracking_inputs import LoggedModel

Message = dict[str, Any]
TOKEN_HINT = "Set MLFLOW_TRACKING_TOKEN to the text of .spice/token in the folder of the engine."

_CODES: tuple[tuple[type[SpiceError], str, int], ...] = (
    (AlreadyExists, "RESOURCE_ALREADY_EXISTS", 400),
    (Conflict, "RESOURCE_CONFLICT", 409),
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (InvalidRequest, "INVALID_PARAMETER_VALUE", 400),
    (TooLarge, "INVALID_PARAMETER_VALUE", 413),
    (Unauthorized, "UNAUTHENTICATED", 401),
    (Forbidden, "PERMISSION_DENIED", 403),
    (NotSupported, "NOT_IMPLEMENTED", 501),
    (Overloaded, "REQUEST_LIMIT_EXCEEDED", 429),
)


def error(found: SpiceError) -> tuple[Message, int]:
    """An error as a client understands it, and its status."""
    if isinstance(found, Unauthorized):
        found = Unauthorized(found.message, hint=TOKEN_HINT)
    for kind, code, status in _CODES:
        if isinstance(found, kind):
            return {"error_code": code, "message": str(found)}, status
    return {"error_code": "INTERNAL_ERROR", "message": str(found)}, found.http_status


def experiment(one: Experiment) -> Message:
    """An experiment."""
    return {
        "experiment_id": str(one.id),
        "name": one.name,
        "artifact_location": f"mlflow-artifacts:/experiments/{one.id}",
        "lifecycle_stage": "active" if one.deleted is None else "deleted",
        "creation_time": milliseconds(one.created),
        "last_update_time": milliseconds(one.changed),
        "tags": pairs(one.tags),
    }


def run_info(run: TrackedRun) -> Message:
    """What a run is, without its data."""
    row = run.row
    info: Message = {
        "run_id": row.uuid,
        "run_uuid": row.uuid,
        "run_name": run.tags["mlflow.runName"],
        "experiment_id": str(row.experiment),
        "user_id": run.tags[USER],
        "status": run.status,
        "start_time": milliseconds(row.started or row.created),
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": "active" if row.archived is None else "deleted",
    }
    if row.ended is not None:
        info["end_time"] = milliseconds(row.ended)
    return info


def run(one: TrackedRun) -> Message:
    """A run."""
    models = [{"model_id": use.model} for use in one.models if use.role == "input"]
    made = [{"model_id": use.model, "step": use.step} for use in one.models if use.role == "output"]
    return {
        "info": run_info(one),
        "data": {
            "metrics": [metric(name, point) for name, point in sorted(one.metrics.items())],
            "params": pairs(one.params),
            "tags": pairs(one.tags),
        },
        "inputs": {
            "dataset_inputs": [
                {
                    "dataset": {"name": found.name, "digest": found.digest, **found.detail},
                    "tags": pairs(found.tags),
                }
                for found in one.datasets
            ],
            "model_inputs": models,
        },
        "outputs": {"model_outputs": made},
    }


def metric(name: str, point: StoredPoint) -> Message:
    """A point of a metric."""
    return {
        "key": name,
        "value": number(point.value),
        "timestamp": moment_of(point.time),
        "step": point.index,
    }


def number(value: float | str) -> float | str:
    """A number in JSON; what JSON cannot hold is text."""
    if isinstance(value, str) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def file(one: Artifact, *, name_only: bool = False) -> Message:
    """A file or folder."""
    path = one.path.rpartition("/")[2] if name_only else one.path
    size: Message = {} if one.size is None else {"file_size": one.size}
    return {"path": path, "is_dir": one.size is None, **size}


def logged_model(model: LoggedModel, experiment_id: int, run_id: str) -> Message:
    """A model that was logged."""
    return {
        "info": {
            "model_id": model.id,
            "experiment_id": str(experiment_id),
            "name": model.name,
            "creation_timestamp_ms": milliseconds(model.created),
            "last_updated_timestamp_ms": milliseconds(model.changed),
            "artifact_uri": model_uri(model),
            "status": model.status,
            "model_type": model.type,
            "source_run_id": run_id,
            "tags": pairs(model.tags),
        },
        "data": {
            "params": pairs(model.params),
            "metrics": [
                {
                    "key": one.name,
                    "value": number(one.value),
                    "timestamp": moment_of(one.time),
                    "step": one.step,
                    "model_id": model.id,
                    "run_id": one.run,
                }
                for one in model.metrics
            ],
        },
    }


def pairs(values: Mapping[str, str]) -> list[Message]:
    """Keys with values."""
    return [{"key": key, "value": value} for key, value in values.items()]


def milliseconds(seconds: float) -> int:
    """A time as a client has it."""
    return int(seconds * 1000)
