"""Learning on: a new policy is held against the serving one on rows that neither has learned from.

What came since the serving policy learned are the new rows. Their newer half is the *newest fold*:
nothing of it chooses, calibrates or fits what is judged on it. The new policy's candidate is chosen
on the training part as always, then fitted to all steps before the newest fold, judged on it beside
the serving policy, and only afterwards fitted to everything, which is what may serve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import InsufficientData
from spice_engine.learning.assignment import Assignment
from spice_engine.learning.comparison import paired_test
from spice_engine.learning.drift import Rewards, compare
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.model import Model
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import MIN_FOLD_STEPS, Steps, looked_at
from spice_engine.learning.task import Check

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

Taken = Callable[[Model, Layout, Steps], Matrix]
"""The rewards [N] that a model gets at consecutive steps."""


class Run(Protocol):
    """A training run under way."""

    @property
    def leader(self) -> int:
        """The index of the episode whose model would be chosen now; 0 is the best constant."""
        ...

    def meanwhile(self) -> Policy:
        """The policy of the leader while better ones are sought, in as little time as may be."""
        ...

    def finish(self) -> Policy:
        """The policy of the leader."""
        ...


class Refitting(Run, Protocol):
    """A run of a pod that has rows."""

    def leader_on(self, steps: Steps) -> Model:
        """The leader's model fitted to these steps alone."""
        ...


def fresh_needed(span: int) -> int:
    """New rows that a newest fold takes at least, for windows of `span` rows."""
    return span + MIN_FOLD_STEPS


def first_fresh(times: NDArray[np.int64], policy: Policy) -> int:
    """The first row that came after what a policy learned from."""
    until: int = policy.evaluation["learned_until"]
    return int(np.searchsorted(times, until, side="right"))


def newest_fold(rows: int, first: int, span: int) -> Steps:
    """The steps whose rows all lie in the newer half of the rows from `first` on.

    Raises:
        InsufficientData: the new rows are too few.
    """
    fresh, needed = rows - first, fresh_needed(span)
    if fresh < needed:
        raise InsufficientData(
            f"{max(fresh, 0)} new rows are too few to judge a new policy by.",
            hint=f"It takes {needed}.",
        )
    cut = rows - max(fresh // 2, needed)
    return np.arange(cut + span - 1, rows - 1, dtype=np.int64)


def with_fold_held_out(assignment: Assignment) -> Assignment:
    """The assignment of which at least the newest fold is held out; as it is where none is."""
    params, serving = assignment.params, assignment.serving
    if serving is None:
        return assignment
    rows, first = params["training_rows"], params["first_datum"]
    fold = newest_fold(rows, first_fresh(assignment.times, serving), params["span"])
    held = rows - (int(fold[0]) - params["span"] + 1)
    share = (held + 0.5) / max(rows - first, 1)  # so that rounding down gives all of it
    return Assignment({**params, "holdout": max(params["holdout"], share)})


def serving_model(assignment: Assignment, layout: Layout) -> Model | None:
    """The serving policy's model, where the pod learns on and sees what that policy sees."""
    policy = assignment.serving
    return policy.model if policy is not None and policy.layout == layout else None


def serving_candidate(assignment: Assignment) -> str:
    """The name of the serving policy's candidate; empty where the pod does not learn on."""
    policy = assignment.serving
    return "" if policy is None else str(policy.evaluation.get("candidate", ""))


def against_serving(run: Refitting, assignment: Assignment, check: Check) -> Run:
    """The run, or what also judges it against the serving policy where the pod learns on."""
    serving = assignment.serving
    return run if serving is None else _Judged(run, assignment, serving, check)


@dataclass(frozen=True)
class _Judged:
    """A run whose policy is held against the serving one."""

    run: Refitting
    assignment: Assignment
    serving: Policy
    check: Check

    @property
    def leader(self) -> int:
        """The first: nothing of this run serves before it was judged."""
        return 0

    def meanwhile(self) -> Policy:
        """The same; never asked for, as nothing leads before it was judged."""
        return self.finish()

    def finish(self) -> Policy:
        """The policy of the leader, whose evaluation says under `continual` how it compares.

        Raises:
            InsufficientData: no step comes before the newest fold.
        """
        assignment, old = self.assignment, self.serving
        given, every = assignment.params["continual"], assignment.split.every
        span = assignment.params["span"]
        first = first_fresh(assignment.times, old)
        fold = looked_at(newest_fold(len(assignment.times), first, span), assignment.most_steps)
        before = every[every < fold[0] - span]  # no row in common, the next state's included
        if not len(before):
            raise InsufficientData(
                "Before the newest rows there is nothing to learn from.",
                hint="Lengthen params.period.",
            )
        policy = self.run.finish()
        taken = _judge(assignment, self.check)
        ours = taken(self.run.leader_on(before), policy.layout, fold)
        theirs = taken(old.model, old.layout, fold)
        test = paired_test(ours, theirs, assignment.params["seed"])
        times = assignment.times
        found = {
            "reason": given["reason"],
            "against": given["version"],
            "new_rows": len(times) - first,
            "steps": len(fold),
            "start": int(times[fold[0]]),
            "end": int(times[fold[-1] + 1]),
            "new": float(ours.mean()),
            "old": float(theirs.mean()),
            "difference": test.difference,
            "low": test.low,
            "high": test.high,
            "taken_up": test.difference >= 0,
            "drift": given.get("drift"),
        }
        return dataclasses.replace(policy, evaluation={**policy.evaluation, "continual": found})


def drift(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `drift`: whether the new rows are unlike those that the serving policy learned from.

    `params` as for `train`, with `continual`: `policy` (the path of the serving policy's file), its
    `version`, `look` (its number), `rows` (how many of the new rows it covers) and `watched`
    (fields).

    Returns `learning.drift.Drift` as plain data. Raises what training raises of its input.
    """
    assignment, given = Assignment(params), params["continual"]
    policy = assignment.serving
    assert policy is not None  # `continual` names it
    values, times = assignment.values, assignment.times
    first = first_fresh(times, policy)
    end = min(first + given["rows"], len(times))
    begin = params["first_datum"]
    columns = [params["fields"].index(name) for name in given["watched"]]
    rewards = _rewards(assignment, policy, first, end, report.check)
    found = compare(
        values[begin:first, columns],
        values[first:end, columns],
        given["watched"],
        given["look"],
        rewards,
    )
    return found.as_dict()


def _rewards(
    assignment: Assignment, policy: Policy, first: int, end: int, check: Check
) -> Rewards | None:
    """What the policy got where it learned and gets since; None where nothing was held out.

    Where it learned from its rewards flatter it: by as much as it gets more on the held-out steps
    now that it has learned from them, too, than when they were held out.
    """
    evaluation = policy.evaluation
    held_out: dict[str, Any] | None = evaluation.get("held_out")
    every = assignment.split.every
    old, new = every[every < first - 1], every[(every >= first) & (every < end - 1)]
    if not held_out or not len(old) or not len(new):
        return None
    taken = _judge(assignment, check)
    before = taken(policy.model, policy.layout, old)
    now = taken(policy.model, policy.layout, new)
    steps = int(held_out["steps"])
    inside = old[len(old) - steps :] if steps <= len(old) else old
    now_seen = taken(policy.model, policy.layout, inside)
    flattered = max(0.0, float(now_seen.mean()) - float(held_out["score"]) / steps)
    return Rewards(before, now, flattered)


def _judge(assignment: Assignment, check: Check) -> Taken:
    """What tells the rewards of any model on this pod's steps."""
    if assignment.params.get("simulation") is None:
        task = assignment.task(check)

        def taken(model: Model, layout: Layout, steps: Steps) -> Matrix:
            chosen = choose(model.values(layout.raw(task.values, steps)))
            rewards = assignment.paid(steps, task.levels, check)
            return rewards[np.arange(len(steps)), chosen]

        return taken
    from spice_engine.learning.simulated_choosers import act
    from spice_engine.learning.simulated_steps import Stepper
    from spice_engine.learning.simulated_values import View
    from spice_engine.learning.simulator import Simulator

    world = assignment.simulated_task(check).world
    simulator = Simulator(world, check)
    stepper = Stepper(simulator)

    def rolled(model: Model, layout: Layout, steps: Steps) -> Matrix:
        return act(simulator, stepper, model, View.of(layout, world, steps), steps).rewards

    return rolled
