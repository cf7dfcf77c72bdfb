"""`send_metric` for every kind of process: of a run, of a model server, and of neither."""

from __future__ import annotations

import warnings
from typing import Any

from spice_runtime import run_metrics, user_metrics
from spice_runtime.run_metrics import MetricWarning


def send_metric(
    name: str, value: Any, index: int | str | None = None, tag: str | None = None
) -> None:
    """Sends one value of a metric.

    In a run: a number (NaN and infinities too) or a text becomes a point at `index`, by default
    the one after the metric's last; what cannot be taken is warned of, nothing is raised. In a
    model server: the metric's newest number, one for each `tag`, which may stand third. Anywhere
    else: nothing happens, so that a script also works by hand.

    Raises:
        ValueError: in a model server, the value is no number.
    """
    if isinstance(index, str):
        index, tag = None, index
    if user_metrics.in_server():
        user_metrics.send_metric(name, value, tag)
        return
    file = run_metrics.here()
    problem = "" if file is None else file.send(name, value, index)
    if problem:
        warnings.warn(problem, MetricWarning, stacklevel=2)
