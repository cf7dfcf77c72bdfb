"""`spell.metrics`: points of a run's metrics, in a server its numbers; it never raises."""

from __future__ import annotations

import warnings
from typing import Any

from spice_runtime import run_metrics, user_metrics


class SpellMetricWarning(UserWarning):
    """A metric was not taken."""


def send_metric(name: str, value: Any, index: int | None = None) -> None:
    """Sends a number or a text; the index means nothing in a server. Elsewhere it does nothing."""
    problem = ""
    if user_metrics.in_server():
        try:
            user_metrics.send_metric(name, value)
        except ValueError as error:
            problem = f"metric discarded: {error}"
    elif (file := run_metrics.here()) is not None:
        problem = file.send(name, value, index)
    if problem:
        warnings.warn(problem, SpellMetricWarning, stacklevel=2)
