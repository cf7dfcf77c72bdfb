"""prometheus_client as scripts written for its version 0.8 know it.

There `labelvalues` was an argument of every metric: it made a child without registering it, so
that many children of one name were legal (and, in one process, never shown). Here such a child
belongs to a metric that is registered once, so that it is legal and shown.
"""

from __future__ import annotations

import threading
import types
from importlib import import_module
from typing import Any

_KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")

_lock = threading.Lock()
_parents: dict[tuple[str, str], Any] = {}


def library() -> types.ModuleType:
    """A module like prometheus_client, whose metrics take `labelvalues`.

    Raises:
        ImportError: the library is not installed.
    """
    try:
        found = import_module("prometheus_client")
    except ImportError as error:
        raise ImportError(
            "spell.serving.metrics.prometheus needs prometheus-client, which is not installed in "
            "the predictor's environment: add it to its packages"
        ) from error
    module = types.ModuleType("spell.serving.metrics.prometheus", found.__doc__)
    module.__dict__.update(
        {name: value for name, value in vars(found).items() if not name.startswith("__")}
    )
    for kind in _KINDS:
        if hasattr(found, kind):
            setattr(module, kind, _with_labelvalues(getattr(found, kind)))
    return module


def _with_labelvalues(kind: Any) -> Any:
    def create(
        cls: Any, name: str, documentation: str, labelnames: Any = (), *others: Any, **named: Any
    ) -> Any:
        labelvalues = named.pop("labelvalues", None)
        if not labelvalues:
            return object.__new__(cls)
        parts = (named.get("namespace", ""), named.get("subsystem", ""), name)
        key = (kind.__name__, "_".join(part for part in parts if part))
        with _lock:
            parent = _parents.get(key)
            if parent is None:
                parent = _parents[key] = kind(name, documentation, labelnames, *others, **named)
        # Of the library's own class, so that Python does not call __init__ on it again.
        return parent.labels(*labelvalues)

    return type(kind.__name__, (kind,), {"__new__": create, "__doc__": kind.__doc__})
