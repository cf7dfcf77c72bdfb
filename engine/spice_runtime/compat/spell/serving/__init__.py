"""`from spell.serving import BasePredictor, …`: the very classes of `spice_runtime`."""

from __future__ import annotations

from spice_runtime.predictors.base import (
    BasePredictor,
    ModelInfo,
    with_background_tasks,
    with_full_request,
)
from spice_runtime.user_metrics import send_metric

from . import metrics

__all__ = [
    "BasePredictor",
    "ModelInfo",
    "metrics",
    "send_metric",
    "with_background_tasks",
    "with_full_request",
]
