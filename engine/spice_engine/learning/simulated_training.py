"""A training run of a simulated pod: fit, roll out, select on folds, evaluate, refit.

As for other pods nothing of the held-out part enters selection, standardisation, calibration or
the choice of the best constant action. Every part is an episode of its own, from the initializers;
a fold's models learn from the samples of the steps before it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from spice_engine.learning.chance import beyond_chance
from spice_engine.learning.confidence import (
    CLASSIC,
    UNCALIBRATED,
    Calibration,
    Reliability,
    calibrate,
    reliability,
)
from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.hyperparameters import Auto, Fqi, Hyperparameters, Tabular
from spice_engine.learning.policy import Policy
from spice_engine.learning.simulated_batch import (
    MAX_CONSTANTS,
    make_batch,
    wanderings,
)
from spice_engine.learning.simulated_choosers import chooser
from spice_engine.learning.simulated_evaluation import Part, SimulatedEvaluation
from spice_engine.learning.simulated_fit import (
    Fitted,
    Lesson,
    fit_constant,
    fit_forest,
    fit_linear,
    fit_trees,
)
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulated_tables import fit_tables
from spice_engine.learning.simulated_values import View, best_ahead
from spice_engine.learning.simulator import Lawful, Rows, Simulator, World
from spice_engine.learning.split import Split

FAMILIES: Mapping[str, Callable[[Lesson], Iterator[Fitted]]] = {
    "constant": fit_constant,
    "linear": fit_linear,
    "tree": fit_trees,
    "forest": fit_forest,
    "table": fit_tables,
}

ALGORITHM_OF = {
    "constant": "constant",
    "linear": "linear",
    "tree": "fqi",
    "forest": "fqi",
    "table": "tabular",
}
"""The algorithm that each family belongs to."""

ERRORS = 2.0

SCHEDULES: dict[str, tuple[str, ...]] = {
    "auto": ("tree", "tree", "linear", "linear", "tree", "tree", "table", "table", "forest"),
    "fqi": ("tree",),
    "linear": ("linear",),
    "tabular": ("table",),
}
"""The family of each episode after the first, which is always the constant; the last goes on."""


@dataclass(frozen=True, slots=True)
class SimulatedTask:
    """What to learn from: a world, its features, and which steps are for what.

    `layout` has the local fields among its columns without a past. The world's table ends with
    the last training row. `gamma` discounts what comes.
    """

    world: World
    layout: Layout
    span: int
    granularity: int
    split: Split
    fingerprint: str
    seed: int
    holdout: float
    algorithm: str
    hyperparameters: Hyperparameters
    confidence: Literal["calibrated", "classic"] = "calibrated"


@dataclass(slots=True)
class _Trial:
    """One episode's model: its family and how many of that came before, and its scores."""

    family: str
    step: int
    fitted: Fitted
    rollout: Rollout
    folds: list[Rollout]

    @property
    def fold_scores(self) -> list[float]:
        """The score on each fold."""
        return [one.score for one in self.folds]

    @property
    def name(self) -> str:
        """What people see: the family, and which of its episodes."""
        return f"{self.family} {self.step + 1}"

    @property
    def rank(self) -> tuple[float, float]:
        """What selects: the score on the folds, of equals that on the training part."""
        return self.fold_score, self.rollout.score

    @property
    def fold_score(self) -> float:
        return math.fsum(self.fold_scores)


class _Learner:
    """Everything that is fitted to one stretch of steps."""

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        self._families: dict[str, Iterator[Fitted]] = {}
        self._made: dict[str, list[Fitted]] = {}

    def get(self, family: str, step: int) -> Fitted:
        """The model of a family's episode `step`, counted from 0."""
        if family not in self._families:
            self._families[family] = FAMILIES[family](self._lesson)
            self._made[family] = []
        while len(self._made[family]) <= step:
            self._made[family].append(next(self._families[family]))
        return self._made[family][step]


class SimulatedRun:
    """One run; go through `episodes`, then call `finish`."""

    def __init__(self, task: SimulatedTask, check: Callable[[], None] = lambda: None) -> None:
        self._task = task
        self._began = time.monotonic()
        self._simulator = Simulator(task.world, check)
        self._stepper = Stepper(self._simulator)
        split = task.split
        self._part = Part(self._simulator, self._stepper, split.every, task.seed)
        self._constant = self._part.best_constant(len(split.train))
        first, last = int(split.every[0]), int(split.every[-1])
        layout = task.layout
        self._view = View(
            layout.raw(task.world.values, np.arange(first, last + 2)),
            first,
            np.array([layout.position(name) for name in task.world.local], dtype=np.int64),
        )
        actions = len(task.world.actions)
        walks = wanderings(self._stepper, split.every, actions, task.seed)
        constants = self._part.constants[:MAX_CONSTANTS]
        rollouts = [*walks, self._part.greedy, *constants]
        self._batch = make_batch(self._simulator, split.every, rollouts, task.seed)
        self._learner = self._learn(split.train)
        self._fold_learners = tuple(self._learn(fold.train) for fold in split.folds)
        self._trials: list[_Trial] = []

    @cached_property
    def _held_out(self) -> Part:
        """The held-out part, whose baselines and oracle are the same for every policy."""
        steps = self._task.split.held_out
        return Part(self._simulator, self._stepper, steps, self._task.seed)

    def _check(self) -> None:
        """Asks whoever runs this now."""
        self._simulator.check()

    def _learn(self, steps: Rows) -> _Learner:
        """A learner of consecutive steps that begin where `split.every` does."""
        chosen = self._task.hyperparameters
        trees = chosen if isinstance(chosen, Fqi | Auto) else Fqi()
        table = chosen if isinstance(chosen, Tabular) else Tabular()
        lesson = Lesson(
            view=self._view,
            batch=self._batch.within(steps),
            totals=np.array([one.rewards[: len(steps)].mean() for one in self._part.constants]),
            gamma=chosen.gamma,
            min_leaf=trees.min_leaf,
            max_depth=trees.max_depth,
            bins=trees.bins if isinstance(trees, Fqi) else Fqi().bins,
            table_bins=table.bins,
            table_features=table.features,
            shrinkage=table.shrinkage,
            seed=self._task.seed,
            check=self._check,
        )
        return _Learner(lesson)

    def episodes(self, limit: int, check: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """Episode after episode, as plain data; `check` may raise to end the run."""
        self._simulator.check = check
        split, chosen = self._task.split, self._task.hyperparameters
        for number, (family, step) in enumerate(schedule(self._task.algorithm, limit), start=1):
            check()
            # The clock only cuts the number of candidates, and not for pods of ordinary size.
            late = isinstance(chosen, Auto) and time.monotonic() - self._began > chosen.seconds
            if late and self._trials:
                return
            started = time.time()
            fitted = self._learner.get(family, step)
            rollout = self._roll(fitted, split.train)
            folds: list[Rollout] = []
            for fold, learner in zip(split.folds, self._fold_learners, strict=True):
                check()
                folds.append(self._roll(learner.get(family, step), fold.judge))
            trial = _Trial(family, step, fitted, rollout, folds)
            self._trials.append(trial)
            # The first point of the curve doesn't wait for the oracle's search.
            judged = self._part.judge(rollout, self._constant, search=number > 1)
            yield {
                "episode": number,
                "start": started,
                "end": time.time(),
                "score": judged.base.score,
                "actions_taken": judged.base.actions_taken,
                "detail": {
                    "candidate": trial.name,
                    **fitted.detail,
                    "regret_closed": judged.base.regret_closed,
                    "random": judged.base.random,
                    "best_constant": judged.base.best_constant,
                    "oracle": judged.base.oracle,
                    "unlawful_steps": judged.unlawful_steps,
                    "folds_score": trial.fold_score if folds else None,
                    "folds": trial.fold_scores,
                },
            }

    def _roll(self, fitted: Fitted, steps: Rows) -> Rollout:
        return self._stepper.act(steps, chooser(fitted.model, self._view, steps))

    @property
    def leader(self) -> int:
        """The index of the episode whose model would be chosen now; 0 is the best constant."""
        return self._trials.index(self._select())

    def _select(self) -> _Trial:
        """The best on the folds; without folds the best constant action.

        What beats the constant action by less than chance alone may (ERRORS standard errors of
        its gains) is passed over: on noise, the best of many candidates always looks good.
        """
        best = constant = self._trials[0]
        for trial in self._trials[1:]:
            if not trial.folds:
                break
            gains = np.concatenate(
                [a.rewards - b.rewards for a, b in zip(trial.folds, constant.folds, strict=True)]
            )
            if trial.rank > best.rank and beyond_chance(gains, ERRORS):
                best = trial
        return best

    def _judged_values(
        self, fitted: Fitted, rollout: Rollout, steps: Rows
    ) -> tuple[Matrix, Matrix]:
        """Values and returns [N, A] where a rollout had a choice.

        What an action returns is its reward and, as far as the future counts, the value that the
        model gives to the best that can follow.
        """
        model, gamma = fitted.model, fitted.gamma
        local = rollout.local[:-1]
        values = model.values(self._view.at(steps, local))
        tried = self._simulator.expand(steps, local)
        returns = tried.rewards
        if gamma:
            ahead = [
                model.values(self._view.at(steps + 1, tried.following[:, action]))
                for action in range(returns.shape[1])
            ]
            later = [
                self._simulator.lawful(steps + 1, tried.following[:, action])
                for action in range(returns.shape[1])
            ]
            returns = returns + gamma * best_ahead(np.stack(ahead, 1), np.stack(later, 1))
        choice = tried.lawful.sum(axis=1) > 1
        allowed = tried.lawful[choice]
        return _hide(values[choice], allowed), _hide(returns[choice], allowed)

    def _calibrate(self, best: _Trial) -> Calibration:
        if self._task.confidence == "classic":
            return CLASSIC
        told: list[tuple[Matrix, Matrix]] = []
        for fold, learner in zip(self._task.split.folds, self._fold_learners, strict=True):
            fitted = learner.get(best.family, best.step)
            told.append(self._judged_values(fitted, self._roll(fitted, fold.judge), fold.judge))
        if not told:
            return UNCALIBRATED
        values, returns = (np.concatenate(parts) for parts in zip(*told, strict=True))
        return calibrate(values, returns)

    def finish(self) -> Policy:
        """Select, evaluate, and fit the winner again to all steps; after at least one episode."""
        split = self._task.split
        best = self._select()
        calibration = self._calibrate(best)
        in_sample = self._part.judge(best.rollout, self._constant)
        held_out = trust = None
        if len(split.held_out):
            rollout = self._roll(best.fitted, split.held_out)
            held_out = self._held_out.judge(rollout, self._constant)
            told = self._judged_values(best.fitted, rollout, split.held_out)
            trust = reliability(calibration, *told)
        served = self._learn(split.every).get(best.family, best.step)
        refit = self._part.judge(self._roll(served, split.every), self._constant)
        return self._policy(best, served, calibration, in_sample, held_out, refit, trust)

    def _policy(
        self,
        best: _Trial,
        served: Fitted,
        calibration: Calibration,
        in_sample: SimulatedEvaluation,
        held_out: SimulatedEvaluation | None,
        refit: SimulatedEvaluation,
        trust: Reliability | None,
    ) -> Policy:
        task, split, world = self._task, self._task.split, self._task.world
        evaluation = {
            "problem_class": "simulated",
            "in_sample": in_sample.as_dict(),
            "held_out": held_out.as_dict() if held_out else None,
            "refit": refit.as_dict(),
            "reliability": trust.as_dict() if trust else None,
            "folds": len(split.folds),
            "nothing_to_learn": in_sample.base.nothing_to_learn,
            "constant_policy": refit.base.is_constant,
            "beats_best_constant": held_out.base.beats_best_constant if held_out else None,
            "held_out_from": int(world.times[split.cut]) if held_out else None,
            "algorithm": ALGORITHM_OF[best.family],
            "candidates": [
                {
                    "name": trial.name,
                    "folds_score": trial.fold_score if trial.fold_scores else None,
                    "chosen": trial is best,
                }
                for trial in self._trials
            ],
            "candidate": best.name,
        }
        return Policy(
            actions=world.actions,
            span=task.span,
            granularity=task.granularity,
            layout=task.layout,
            algorithm=task.algorithm,
            model=served.model,
            calibration=calibration,
            evaluation=evaluation,
            fingerprint=task.fingerprint,
            settings={"seed": task.seed, "holdout": task.holdout},
            simulation=world.effects.to_data(),
            local=world.local,
        )


def schedule(algorithm: str, limit: int) -> Iterator[tuple[str, int]]:
    """Family and step of up to `limit` episodes: the constant, then what SCHEDULES says."""
    families = SCHEDULES[algorithm]
    made: dict[str, int] = {}
    for number in range(limit):
        family = "constant" if number == 0 else families[min(number, len(families)) - 1]
        yield family, made.setdefault(family, 0)
        made[family] += 1


def _hide(values: Matrix, allowed: Lawful) -> Matrix:
    """Values in which an action that is not allowed is never better than one that is."""
    least = np.where(allowed, values, np.inf).min(axis=1, keepdims=True)
    return np.where(allowed, values, least)
