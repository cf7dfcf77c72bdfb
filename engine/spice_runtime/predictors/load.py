"""From a replica's description to its predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spice_runtime.predictors.discovery import find_class, load_module, tell_models
from spice_runtime.predictors.signatures import InvalidPredictor


def make_predictor(job: dict[str, Any]) -> Any:
    """Imports the predictor's module and makes the object.

    Raises:
        InvalidPredictor: no class, or several; a file that is no module.
        Exception: whatever the user's code raises.
    """
    tell_models(job.get("models") or [])
    config: Any = job.get("config") or {}
    if not isinstance(config, dict):
        raise InvalidPredictor(f"config must be an object, not {type(config).__name__}")
    kind = str(job.get("type") or "script")
    if kind != "script":
        from spice_runtime.predictors.ready_made import class_of

        return class_of(kind)(**config)
    load_module(Path(job["code"]), str(job["entrypoint"]))
    return find_class(str(job.get("classname") or ""))(**config)
