"""What runs inside children and users' environments: standard library only.

A predictor takes its names from here: `from spice_runtime import BasePredictor`. They are loaded
when they are asked for, so that importing the package loads nothing else: a shim does it, a
thousand times over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spice_runtime.metrics import send_metric
    from spice_runtime.predictors.base import (
        BasePredictor,
        ModelInfo,
        with_background_tasks,
        with_full_request,
    )
    from spice_runtime.predictors.current import request_id

__all__ = [
    "BasePredictor",
    "ModelInfo",
    "request_id",
    "send_metric",
    "with_background_tasks",
    "with_full_request",
]

_HOMES = {
    "BasePredictor": "spice_runtime.predictors.base",
    "ModelInfo": "spice_runtime.predictors.base",
    "with_background_tasks": "spice_runtime.predictors.base",
    "with_full_request": "spice_runtime.predictors.base",
    "request_id": "spice_runtime.predictors.current",
    "send_metric": "spice_runtime.metrics",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'spice_runtime' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
