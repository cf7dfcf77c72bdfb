"""`spell.metrics` in a server: the same numbers as `spell.serving`'s, and it never raises."""

from __future__ import annotations

import warnings
from typing import Any

from spice_runtime import user_metrics


class SpellMetricWarning(UserWarning):
    """A metric was not taken."""


def send_metric(name: str, value: Any, index: int | None = None) -> None:  # noqa: ARG001
    """Sends a number; the index means nothing in a server."""
    try:
        user_metrics.send_metric(name, value)
    except ValueError as error:
        warnings.warn(f"metric discarded: {error}", SpellMetricWarning, stacklevel=2)
