"""Two policies on the same steps: versions of a pod, or algorithms that are trained for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.errors import InsufficientData, InvalidRequest
from spice_engine.learning.assignment import Assignment
from spice_engine.learning.certainty import judge_choices
from spice_engine.learning.comparison import in_words, paired_test
from spice_engine.learning.evaluation import best_constant_action, choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import Auto
from spice_engine.learning.learners import make_learner
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import Steps
from spice_engine.learning.stopping import Stopping
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

MIN_UNSEEN = 30
"""Steps newer than both policies' data from which on they are judged by these alone."""

Judgement = tuple[dict[str, Any], Matrix]
"""A side's evaluation as plain data, and the rewards [N] that it took."""


@dataclass(frozen=True)
class _Side:
    """One of the two: a policy that was read, or the assignment of training an algorithm."""

    name: str
    policy: Policy | None
    assignment: Assignment


def compare(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `compare`: a paired test of two policies on the same steps.

    `params` as for `train`, and `sides`: two maps with `name`, and either `policy`, the bytes of a
    file, or `algorithm` with its `hyperparameters` and `episodes`. Algorithms are trained, by the
    manifest's goal and patience, and judged on the held-out part by models that have not seen it.
    Versions were fitted to all data of their time: they are judged on what came later, where that
    is MIN_UNSEEN steps, otherwise on all. The best constant action is the one that turns out best
    on the steps themselves.

    Returns `first` and `second` (evaluations, and whether each has `unseen` the steps), `steps`,
    `start` and `end` (Unix seconds), `difference` (per step), `low`, `high`, `p`, `block`,
    `better` (0: the first, 1: the second, None) and `words`.

    Raises what training raises; InvalidPolicy where a version was made for other fields or
    actions.
    """
    assignment = Assignment(params)
    sides = [_side(one, params) for one in params["sides"]]
    for side in sides:
        if side.policy is not None:
            side.policy.check_fits(
                params["fields"], params["actions"], params["span"], params["granularity"]
            )
    steps = _common_steps(assignment, sides)
    judge = _simulated if params.get("simulation") is not None else _contextual
    (first, taken), (second, other) = judge(assignment, sides, steps, report)
    for told, side in zip((first, second), sides, strict=True):
        told["unseen"] = _unseen(assignment, side, steps)
    test = paired_test(taken, other, params["seed"])
    unseen = first["unseen"] and second["unseen"]
    return {
        "first": first,
        "second": second,
        "steps": len(steps),
        "start": int(assignment.times[steps[0]]),
        "end": int(assignment.times[steps[-1] + 1]),
        "difference": test.difference,
        "low": test.low,
        "high": test.high,
        "p": test.p,
        "block": test.block,
        "better": {1: 0, -1: 1, 0: None}[test.better],
        "words": in_words(test, sides[0].name, sides[1].name, unseen=unseen),
    }


def _side(given: dict[str, Any], params: dict[str, Any]) -> _Side:
    if "policy" in given:
        return _Side(given["name"], Policy.from_bytes(given["policy"]), Assignment(params))
    own = {key: given[key] for key in ("algorithm", "hyperparameters", "episodes")}
    return _Side(given["name"], None, Assignment({**params, **own}))


def _common_steps(assignment: Assignment, sides: list[_Side]) -> Steps:
    split = assignment.split
    if any(side.policy is None for side in sides):
        if not len(split.held_out):
            raise InvalidRequest(
                "Algorithms are compared on held-out data, and the pod holds none out.",
                hint="Set holdout under training, say 0.2, or add data.",
            )
        return split.held_out
    newer = split.every[split.every >= max(_first_unseen(assignment, side) for side in sides)]
    steps = newer if len(newer) >= MIN_UNSEEN else split.every
    if not len(steps):
        raise InsufficientData("There is no step to compare policies on.", hint="Add data.")
    return steps


def _first_unseen(assignment: Assignment, side: _Side) -> int:
    """The first step whose window holds no row that the policy was fitted to."""
    policy, times = side.policy, assignment.times
    if policy is None:
        return int(assignment.split.held_out[0])
    until: int | None = policy.evaluation.get("learned_until")
    if until is None:  # older files do not say
        return len(times)
    return int((times <= until).sum()) + policy.span - 1


def _unseen(assignment: Assignment, side: _Side, steps: Steps) -> bool:
    return int(steps[0]) >= _first_unseen(assignment, side)


def _contextual(
    assignment: Assignment, sides: list[_Side], steps: Steps, report: Report
) -> list[Judgement]:
    every: Task | None = None
    found: list[Judgement] = []
    for side in sides:
        if side.policy is not None and side.policy.levels:
            # Versions of a pod with ranges have each their own values to choose among.
            task = assignment.task(report.check, side.policy.levels)
        else:
            task = every = every or assignment.task(report.check)
        rewards = task.rewards[steps]
        constant = best_constant_action(rewards)
        if side.policy is not None:
            raw = side.policy.layout.raw(task.values, steps)
            chosen = choose(side.policy.model.values(raw))
        else:
            own, params = side.assignment, side.assignment.params
            learner = make_learner(own.hyperparameters, params["episodes"], params["seed"])
            run = TrainingRun(task, learner, params["algorithm"], report.check)
            stopping = Stopping(
                params["goal"],
                params.get("patience", 0),
                equal_scores=learner.ends_on_equal_scores,
            )
            _learn(run.episodes, stopping, own, report)
            chosen = run.held_out_choices()
        taken = rewards[np.arange(len(steps)), chosen]
        sure = judge_choices(chosen, rewards, task.actions, constant, task.seed)
        found.append((sure.evaluation.as_dict(), taken))
    return found


def _simulated(
    assignment: Assignment, sides: list[_Side], steps: Steps, report: Report
) -> list[Judgement]:
    from spice_engine.learning.simulated_choosers import chooser
    from spice_engine.learning.simulated_evaluation import Part
    from spice_engine.learning.simulated_steps import Stepper
    from spice_engine.learning.simulated_training import SimulatedRun
    from spice_engine.learning.simulated_values import View
    from spice_engine.learning.simulator import Simulator

    world = assignment.simulated_task().world
    simulator = Simulator(world, report.check)
    stepper = Stepper(simulator)
    part = Part(simulator, stepper, steps, assignment.params["seed"])
    constant = part.best_constant(len(steps))
    found: list[Judgement] = []
    for side in sides:
        if side.policy is not None:
            view = View.of(side.policy.layout, world, steps)
            rollout = stepper.act(steps, chooser(side.policy.model, view, steps))
        else:
            own = side.assignment
            run = SimulatedRun(own.simulated_task(), report.check)
            stopping = Stopping(
                own.params["goal"], own.params.get("patience", 0), equal_scores=False
            )
            episodes = own.params["episodes"]
            _learn(lambda run=run, n=episodes: run.episodes(n, report.check), stopping, own, report)
            rollout = run.held_out_rollout()
        evaluation, _ = part.judge_surely(rollout, constant)
        found.append((evaluation.as_dict(), rollout.rewards))
    return found


def _learn(
    episodes: Callable[[], Any], stopping: Stopping, assignment: Assignment, report: Report
) -> None:
    """One training, episode after episode, that nobody is told of."""
    settings, began = assignment.hyperparameters, time.monotonic()
    for episode in episodes():
        report.check()
        late = isinstance(settings, Auto) and time.monotonic() - began > settings.seconds
        if stopping.after(episode) or late:
            return
