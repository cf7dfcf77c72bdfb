"""The next point of a search, by its method; and what matters in it. Computed in children."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs import search_space
from spice_engine.runs.search_plan import Plan
from spice_engine.store.searches import TrialRow
from spice_engine.workers.pool import ChildPool

_SHOWN_AS = {"complete": "complete", "pruned": "pruned", "asked": "running", "running": "running"}
MOST_JUDGED = 10_000
"""Trials that importance is computed from, the newest ones."""


Seen = tuple[Any, ...]
"""Of one trial its state, value, point, and the step and value it was pruned at; empty where no
sampler is asked."""


@record
class Point:
    """Values by name, how they were chosen, and what the next point goes on from."""

    params: dict[str, Any]
    why: dict[str, Any]
    state: bytes | None = None


def study_name(search: int) -> str:
    """The name a search's study has at Optuna."""
    return f"search-{search}"


async def next_point(
    pool: ChildPool, search: int, plan: Plan, history: Sequence[Seen], state: bytes | None
) -> Point:
    """The point after the trials of `history`, which are all there were so far.

    Raises:
        InvalidRequest: Optuna is not there.
        ChildFailed, Overloaded: it cannot be computed now.
    """
    number = len(history) + 1
    if plan.asked.method == "grid":
        return Point(search_space.grid_point(plan.parameters, number), {"by": "grid"})
    if plan.asked.method == "random":
        params = search_space.chance_point(plan.parameters, plan.seed, number)
        return Point(params, {"by": "chance"})
    found = await pool.call(
        "ask",
        {
            "study": study_name(search),
            "space": [one.distribution() for one in plan.parameters],
            "goal": plan.asked.goal,
            "seed": plan.seed,
            "sampler": dict(plan.asked.sampler_options),
            "pruner": [plan.asked.pruner, dict(plan.asked.pruner_options)],
            "state": state,
            "trials": list(history),
        },
    )
    params = {
        one.name: one.of_point(point)
        for one, point in zip(plan.parameters, found["point"], strict=True)
    }
    return Point(params, found["why"], found["state"])


def seen(plan: Plan, trial: TrialRow, before: Seen | None) -> Seen:
    """A trial as the sampler is told of it; `before` is what it was told last."""
    if plan.asked.method != "bayesian":
        return ()
    state = _SHOWN_AS.get(trial.state, "failed")
    point = before[2] if before else search_space.points_of(plan.parameters, trial.params)
    return state, trial.value, point, None if trial.state == "complete" else trial.last


async def importance(
    pool: ChildPool, plan: Plan, trials: Sequence[TrialRow]
) -> tuple[int, list[dict[str, Any]]]:
    """From how many trials, and by parameter what it has to do with their values.

    Raises:
        InvalidRequest: there are too few trials with a value.
    """
    found = [
        trial
        for trial in trials
        if trial.state == "complete" and trial.value is not None and math.isfinite(trial.value)
    ][-MOST_JUDGED:]
    if len(found) < 3:
        raise InvalidRequest(f"{len(found)} trials have a value; importance needs 3 and more.")
    columns: list[Any] = []
    for one in plan.parameters:
        # Numbers that were given one by one have an order, too.
        numbers = all(type(value) in {int, float} for value in one.values)
        given = [trial.params[one.name] for trial in found]
        column = given if numbers else [one.point(value) for value in given]
        columns.append([one.name, numbers, column])
    values = [trial.value for trial in found]
    answer = await pool.call("importance", {"columns": columns, "values": values})
    return len(found), answer
