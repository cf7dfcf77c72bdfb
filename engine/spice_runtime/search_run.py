"""A trial done by running a command: followed, judged on the way, and what came out of it."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spice_runtime.client.errors import ConflictRequest
from spice_runtime.client.runs import States

if TYPE_CHECKING:
    from spice_runtime.client.door import Door
    from spice_runtime.search import Trial

_LOOK_SECONDS = 0.2


def followed(trial: Trial, request: dict[str, Any], metric: str) -> dict[str, Any]:
    """The run of that request once it is over. Where the search has a pruner, what the run reports
    of the metric is reported of the trial, and a run that is better ended is stopped."""
    door = trial.search.door
    run = door.create("runs", request)
    reports = _Reports(door, run["id"], metric) if metric and trial.search.judges else None
    while run["state"] not in States.FINAL:
        time.sleep(_LOOK_SECONDS)
        if reports is not None:
            reports.hand_on(trial)
            if trial.should_prune():
                _stop(door, run["id"])
                reports = None
        run = door.get(f"runs/{run['id']}")
    if reports is not None:
        reports.hand_on(trial)
    return run


def value_of(door: Door, run: int, metric: str, how: str) -> float | None:
    """What the points of a run's metric come to; None if there are none."""
    series = door.get(f"runs/{run}/metrics", name=metric, points=100_000)["series"]
    return _aggregated(series[0]["values"] if series else [], how)


class _Reports:
    """The points of a run's metric, each of which is handed on once."""

    def __init__(self, door: Door, run: int, metric: str) -> None:
        self._door = door
        self._path = f"runs/{run}/metric-points"
        self._asked: dict[str, Any] = {"name": metric}

    def hand_on(self, trial: Trial) -> None:
        """Report what came since the last time."""
        while not trial.should_prune():
            page = self._door.get(self._path, **self._asked)
            if not page["indexes"]:
                return
            for place, index in enumerate(page["indexes"]):
                value = page["values"][place]
                if not isinstance(value, str) and not trial.should_prune():
                    trial.report(math.nan if value is None else value, index)
            self._asked.update(after_index=page["indexes"][-1], after_time=page["times"][-1])


def _stop(door: Door, run: int) -> None:
    with contextlib.suppress(ConflictRequest):  # it ended just now
        door.change(f"runs/{run}/stop")


def _aggregated(values: Sequence[Any], how: str) -> float | None:
    numbers = [one for one in values if isinstance(one, (int, float)) and not math.isnan(one)]
    if not numbers:
        return None
    if how == "avg":
        return math.fsum(numbers) / len(numbers)
    return {"min": min, "max": max}[how](numbers) if how in {"min", "max"} else numbers[-1]
