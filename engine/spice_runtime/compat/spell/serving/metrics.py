"""`spell.serving.metrics`: `send_metric`, and `prometheus`, the library as scripts know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_runtime.user_metrics import send_metric

if TYPE_CHECKING:
    from types import ModuleType

    prometheus: ModuleType

__all__ = ["prometheus", "send_metric"]


def __getattr__(name: str) -> object:
    # Only for scripts that want it, for their environment may lack the library.
    if name != "prometheus":
        raise AttributeError(f"module 'spell.serving.metrics' has no attribute {name!r}")
    from spice_runtime.old_prometheus import library

    value = library()
    globals()[name] = value
    return value
