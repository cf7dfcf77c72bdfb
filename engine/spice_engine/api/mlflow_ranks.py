"""Points of MLflow's client in a rank of a run: their names are the rank's, see `rank_names`.

The paths are those below `/api/runs/N/rankK`, where the tracking address of such a rank leads. Only
what it logs to its own run is meant: a run that its code makes is of this rank alone.
"""

from __future__ import annotations

from typing import Any, cast

from spice_engine.store.tracking import uuid_of
from spice_runtime.rank_names import prefix_of

NAMES = {
    "runs/log-metric": "key",
    "metrics/get-history": "metric_key",
}
BATCH = "runs/log-batch"


def named_by_rank(path: str, data: dict[str, Any], run: int, rank: int) -> dict[str, Any]:
    """The request as if its metrics had the names that they have for a rank of a run."""
    asked, prefix = data.get("run_id") or data.get("run_uuid"), prefix_of(rank)
    if not prefix or asked not in (uuid_of(run), str(run)):
        return data
    if path == BATCH:
        points = data.get("metrics")
        if isinstance(points, list):
            named = [_named(one, "key", prefix) for one in cast("list[object]", points)]
            return {**data, "metrics": named}
    if path in NAMES:
        return cast("dict[str, Any]", _named(data, NAMES[path], prefix))
    return data


def _named(point: object, field: str, prefix: str) -> object:
    """What is no point stays as it is, and is refused where it is read."""
    if not isinstance(point, dict):
        return point
    found = cast("dict[str, Any]", point)
    name = found.get(field)
    return {**found, field: prefix + name} if isinstance(name, str) and name else found
