"""Policies on the same steps: versions of a pod, or algorithms that are trained for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.errors import InsufficientData, InvalidRequest
from spice_engine.learning.assignment import Assignment, check_fits
from spice_engine.learning.certainty import judge_choices
from spice_engine.learning.comparison import (
    PairedTest,
    adjusted,
    best_of,
    in_words,
    many_in_words,
    paired_test,
)
from spice_engine.learning.evaluation import best_constant_action, choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import Auto
from spice_engine.learning.learners import make_learner
from spice_engine.learning.levels import Level
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import Steps
from spice_engine.learning.stopping import Stopping
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

MIN_UNSEEN = 30
"""Steps newer than all policies' data from which on they are judged by these alone."""
TOLD_SECONDS = 0.1
"""Between two reports of how a training does."""

Judgement = tuple[dict[str, Any], Matrix]
"""A side's evaluation as plain data, and the rewards [N] that it took."""


@dataclass(frozen=True)
class _Side:
    """One of them: a policy that was read, or the assignment of training an algorithm."""

    place: int
    name: str
    policy: Policy | None
    assignment: Assignment


def compare(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `compare`: paired tests of two or more policies on the same steps.

    `params` as for `train`, and `sides`: maps with `name`, and either `policy`, the bytes of a
    file, or `algorithm` with its `hyperparameters` and `episodes`. Algorithms are trained, by the
    manifest's goal and patience, and judged on the held-out part by models that have not seen it.
    How that goes is reported: `side` (its place), `episode` and `score`.
    Versions were fitted to all data of their time: they are judged on what came later, where that
    is MIN_UNSEEN steps, otherwise on all. The best constant action is the one that turns out best
    on the steps themselves.

    Returns `first`, `second` and `others` (evaluations, and whether each has `unseen` the steps),
    `steps`, `start` and `end` (Unix seconds), and `pairs` of all: places `first` and `second`,
    `difference` (per step), `low`, `high`, `p`, `block`, `better` (0: the first, 1: the second,
    None) and `words`. The figures of the first pair stand on top as well, `better` there is the
    place of the one that is better than every other, and `words` are about all. Of more than one
    pair `p` is adjusted for their number.

    Raises what training raises; InvalidPolicy where a version was made for other fields or
    actions.
    """
    assignment = Assignment(params)
    sides = [_side(place, one, params) for place, one in enumerate(params["sides"])]
    for side in sides:
        if side.policy is not None:
            check_fits(side.policy, params)
    steps = _common_steps(assignment, sides)
    judge = _simulated if params.get("simulation") is not None else _contextual
    judged = judge(assignment, sides, steps, report)
    told = [one for one, _ in judged]
    for one, side in zip(told, sides, strict=True):
        one["unseen"] = _unseen(assignment, side, steps)
    names = [side.name for side in sides]
    places = list(combinations(range(len(sides)), 2))
    tests = dict(zip(places, _tests(judged, places, params["seed"], report), strict=True))
    pairs: list[dict[str, Any]] = []
    for (a, b), test in tests.items():
        unseen = told[a]["unseen"] and told[b]["unseen"]
        words = in_words(test, names[a], names[b], unseen=unseen)
        pairs.append({"first": a, "second": b, **_plain(test), "words": words})
    words = pairs[0]["words"]
    if len(sides) > 2:
        scores = [float(taken.mean()) for _, taken in judged]
        words = many_in_words(names, scores, tests, unseen=all(one["unseen"] for one in told))
    return {
        **pairs[0],
        "first": told[0],
        "second": told[1],
        "others": told[2:],
        "pairs": pairs,
        "steps": len(steps),
        "start": int(assignment.times[steps[0]]),
        "end": int(assignment.times[steps[-1] + 1]),
        "better": best_of(names, tests),
        "words": words,
    }


def _tests(
    judged: list[Judgement], places: list[tuple[int, int]], seed: int, report: Report
) -> list[PairedTest]:
    found: list[PairedTest] = []
    for a, b in places:
        report.check()
        found.append(paired_test(judged[a][1], judged[b][1], seed))
    return adjusted(found)


def _plain(test: PairedTest) -> dict[str, Any]:
    return {
        "difference": test.difference,
        "low": test.low,
        "high": test.high,
        "p": test.p,
        "block": test.block,
        "better": {1: 0, -1: 1, 0: None}[test.better],
    }


def _side(place: int, given: dict[str, Any], params: dict[str, Any]) -> _Side:
    name = given["name"]
    if "policy" in given:
        return _Side(place, name, Policy.from_bytes(given["policy"]), Assignment(params))
    own = {key: given[key] for key in ("algorithm", "hyperparameters", "episodes")}
    return _Side(place, name, None, Assignment({**params, **own}))


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
        rewards = task.paid(steps)
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
            _learn(run.episodes, stopping, side, report)
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
    from spice_engine.learning.simulator import Simulator, World

    parts: dict[tuple[Level, ...], tuple[World, Stepper, Part]] = {}
    wanted: tuple[Level, ...] | None = None
    found: list[Judgement] = []
    for side in sides:
        # Versions of a pod with ranges have each their own values to choose among.
        if side.policy is not None:
            levels = side.policy.levels
        else:
            levels = wanted = wanted or assignment.simulated_task(report.check).world.levels
        if levels not in parts:
            world = assignment.simulated_task(report.check, levels).world
            simulator = Simulator(world, report.check)
            stepper = Stepper(simulator)
            part = Part(simulator, stepper, steps, assignment.params["seed"])
            parts[levels] = world, stepper, part
        world, stepper, part = parts[levels]
        constant = part.best_constant(len(steps))
        if side.policy is not None:
            view = View.of(side.policy.layout, world, steps)
            rollout = stepper.act(steps, chooser(side.policy.model, view, steps))
        else:
            own = side.assignment
            run = SimulatedRun(own.simulated_task(report.check, levels), report.check)
            stopping = Stopping(
                own.params["goal"], own.params.get("patience", 0), equal_scores=False
            )
            episodes = own.params["episodes"]
            _learn(
                lambda run=run, n=episodes: run.episodes(n, report.check), stopping, side, report
            )
            rollout = run.held_out_rollout()
        evaluation, _ = part.judge_surely(rollout, constant)
        found.append((evaluation.as_dict(), rollout.rewards))
    return found


def _learn(episodes: Callable[[], Any], stopping: Stopping, side: _Side, report: Report) -> None:
    """One training, episode after episode, that is told of but kept nowhere."""
    settings, began = side.assignment.hyperparameters, time.monotonic()
    told = -TOLD_SECONDS
    report.report({"side": side.place, "episode": 0, "score": None})
    for episode in episodes():
        report.check()
        now = time.monotonic()
        if now - told >= TOLD_SECONDS:
            told = now
            score = float(episode["score"])
            report.report({"side": side.place, "episode": episode["episode"], "score": score})
        late = isinstance(settings, Auto) and now - began > settings.seconds
        if stopping.after(episode) or late:
            return
