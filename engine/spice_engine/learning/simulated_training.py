"""A training run of a simulated pod: fit, roll out, select on folds, evaluate, refit.

As for other pods nothing of the held-out part enters selection, standardisation, calibration or
the choice of the best constant action. Every part is an episode of its own, from the initializers;
a fold's models learn from the samples of the steps before it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np

from spice_engine.learning.certainty import is_overfitted
from spice_engine.learning.checkpoints import Checkpoints
from spice_engine.learning.clock import Clock
from spice_engine.learning.confidence import (
    CLASSIC,
    UNCALIBRATED,
    Calibration,
    Reliability,
    calibrate,
    reliability,
)
from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.hyperparameters import Auto, Fqi, Hyperparameters
from spice_engine.learning.kernels.devices import Accelerator, Devices
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.learning.levels import by_action, groups_of, only_taken
from spice_engine.learning.model import Model
from spice_engine.learning.policy import Policy
from spice_engine.learning.simulated_batch import constants_of, make_batch, wanderings
from spice_engine.learning.simulated_choosers import act
from spice_engine.learning.simulated_evaluation import Part, SimulatedEvaluation
from spice_engine.learning.simulated_families import ALGORITHM_OF, FamilyLearner, schedule
from spice_engine.learning.simulated_fit import Fitted
from spice_engine.learning.simulated_kernel import Compiling, Kernel, worth_compiling
from spice_engine.learning.simulated_lessons import Lessons
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulated_trials import Trial, leading
from spice_engine.learning.simulated_values import View, best_ahead
from spice_engine.learning.simulator import Lawful, Rows, Simulator, World
from spice_engine.learning.split import Split
from spice_engine.records import record


@record
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


class SimulatedRun:
    """One run; go through `episodes`, then call `finish`.

    What serves may go on from the model `start`, where it is a network; what chooses never does.
    The `accelerator` counts for `tabular` with lanes, and changes no policy there; and for
    networks, where `cuda` may change it by rounding.
    """

    def __init__(
        self,
        task: SimulatedTask,
        check: Callable[[], None] = lambda: None,
        start: Model | None = None,
        accelerator: Accelerator = "auto",
    ) -> None:
        self._task, self._start = task, start
        chosen = task.hyperparameters
        self._clock = Clock(chosen.seconds if isinstance(chosen, Auto) else math.inf)
        self._simulator = Simulator(task.world, check)
        self._stepper = Stepper(self._simulator)
        split = task.split
        self._large = worth_compiling(len(split.every))
        self._compiling = Compiling(self._simulator, apart=True) if self._large else None
        self._part = Part(self._simulator, self._stepper, split.every, task.seed)
        self._constant = self._part.best_constant(len(split.train))
        self._view = View.of(task.layout, task.world, split.every)
        actions = len(task.world.actions)
        levels = task.world.levels
        walks = wanderings(self._stepper, split.every, actions, task.seed, groups_of(levels))
        constants = constants_of(self._part.constants, levels)
        rollouts = [*walks, self._part.greedy, *constants]
        self._lessons = Lessons(
            simulator=self._simulator,
            view=self._view,
            batch=make_batch(self._simulator, split.every, rollouts, task.seed),
            constants=self._part.constants,
            settings=chosen,
            seed=task.seed,
            check=self._check,
            compiled=self._compiled,
            devices=Devices(accelerator),
            network_devices=NetworkDevices.of(task.algorithm, accelerator),
        )
        self._begin()

    def _begin(self) -> None:
        """Nothing is learned yet."""
        split = self._task.split
        self._learner = self._learn(split.train)
        self._fold_learners = tuple(self._learn(fold.train) for fold in split.folds)
        self._trials: list[Trial] = []
        self._told: list[dict[str, Any]] = []

    @cached_property
    def _held_out(self) -> Part:
        """The held-out part, whose baselines and oracle are the same for every policy."""
        steps = self._task.split.held_out
        return Part(self._simulator, self._stepper, steps, self._task.seed)

    def _check(self) -> None:
        """Asks whoever runs this now."""
        self._simulator.check()

    def _compiled(self) -> Kernel | None:
        """The pod's kernel, once it is there."""
        if self._compiling is None:
            self._compiling = Compiling(self._simulator)
        return self._compiling.wait(self._check)

    def _learn(self, steps: Rows, start: Model | None = None) -> FamilyLearner:
        """A learner of consecutive steps that begin where `split.every` does."""
        return FamilyLearner(self._lessons.on(steps, start))

    def episodes(
        self, limit: int, check: Callable[[], None], checkpoints: Checkpoints | None = None
    ) -> Iterator[dict[str, Any]]:
        """Episode after episode, as plain data; `check` may raise to end the run.

        Those that an earlier process did, as `checkpoints` know, are told first, as they were.
        """
        self._simulator.check = check
        if checkpoints is not None:
            checkpoints.take_up(self._go_on, self._begin)
        yield from self._told
        split = self._task.split
        order = list(self._schedule(limit))
        if self._compiling is None and any(family == "population" for family, _ in order):
            self._compiling = Compiling(self._simulator)
        done = len(self._told)
        for number, (family, step) in enumerate(order[done:], start=done + 1):
            check()
            # The clock only cuts the number of candidates, and not for pods of ordinary size.
            if self._trials and self._clock.over():
                return
            started = time.time()
            fitted = self._learner.get(family, step)
            rollout = self._roll(fitted, split.train)
            folds: list[Rollout] = []
            for fold, learner in zip(split.folds, self._fold_learners, strict=True):
                check()
                folds.append(self._roll(learner.get(family, step), fold.judge))
            trial = Trial(family, step, fitted, rollout, folds)
            self._trials.append(trial)
            # The first point of the curve doesn't wait for the oracle's search.
            with self._clock.paused():
                judged = self._part.judge(rollout, self._constant, search=number > 1)
            told: dict[str, Any] = {
                "episode": number,
                "start": started,
                "end": time.time(),
                "score": judged.base.score,
                "actions_taken": by_action(self._task.world.levels, judged.base.actions_taken),
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
            self._told.append(told)
            with self._clock.paused():
                yield told
            if checkpoints is not None:
                checkpoints.offer(self._to_data)

    def _to_data(self) -> dict[str, Any]:
        """All that was done so far, as plain data: episodes, models, and what these chose."""
        return {
            "told": self._told,
            "learner": self._learner.to_data(),
            "folds": [one.to_data() for one in self._fold_learners],
            "trials": [
                [trial.family, trial.step, *(one.actions.tobytes() for one in trial.rollouts)]
                for trial in self._trials
            ],
        }

    def _go_on(self, kept: dict[str, Any]) -> None:
        """Takes over what `_to_data` gave in an earlier process."""
        self._told = kept["told"]
        for learner, data in zip(
            (self._learner, *self._fold_learners), (kept["learner"], *kept["folds"]), strict=True
        ):
            learner.go_on(data)
        parts = [self._task.split.train, *(fold.judge for fold in self._task.split.folds)]
        for family, step, *taken in kept["trials"]:
            rollout, *folds = (
                self._stepper.follow(steps, np.frombuffer(one, dtype=np.int64).tolist())
                for steps, one in zip(parts, taken, strict=True)
            )
            fitted = self._learner.get(family, step)
            self._trials.append(Trial(family, step, fitted, rollout, folds))

    def _schedule(self, limit: int) -> Iterator[tuple[str, int]]:
        chosen = self._task.hyperparameters
        forests = isinstance(chosen, Fqi) and chosen.trees > 1
        return schedule(self._task.algorithm, limit, large=self._large, forests=forests)

    def _roll(self, fitted: Fitted, steps: Rows) -> Rollout:
        return act(self._simulator, self._stepper, fitted.model, self._view, steps)

    @property
    def leader(self) -> int:
        """The index of the episode whose model would be chosen now; 0 is the best constant."""
        return self._trials.index(leading(self._trials))

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

    def _calibrate(self, best: Trial) -> Calibration:
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

    def meanwhile(self) -> Policy:
        """As `finish`."""
        return self.finish()

    def finish(self) -> Policy:
        """Select, evaluate, and fit the winner again to all steps; after at least one episode."""
        split = self._task.split
        best = leading(self._trials)
        calibration = self._calibrate(best)
        in_sample, inside = self._part.judge_surely(best.rollout, self._constant)
        held_out = outside = trust = None
        if len(split.held_out):
            rollout = self._roll(best.fitted, split.held_out)
            held_out, outside = self._held_out.judge_surely(rollout, self._constant)
            told = self._judged_values(best.fitted, rollout, split.held_out)
            trust = reliability(calibration, *told)
        served = self._refit(split.every)
        refit, _ = self._part.judge_surely(self._roll(served, split.every), self._constant)
        overfitted = is_overfitted(inside, outside)
        judged = (in_sample, held_out, refit)
        return self._policy(best, served, calibration, judged, trust, overfitted=overfitted)

    def leader_on(self, steps: Rows) -> Model:
        """The leader's model fitted to these steps alone, and to what it may have begun with.

        They begin where `split.every` does.
        """
        return self._refit(steps).model

    def _refit(self, steps: Rows) -> Fitted:
        """A fit that nothing is chosen by.

        So it may begin with the serving policy's model, which has learned from the folds' steps and
        the held-out ones.
        """
        best = leading(self._trials)
        return self._learn(steps, self._start).get(best.family, best.step)

    def held_out_rollout(self) -> Rollout:
        """The episode of the leader's model on the held-out steps, which it has not seen."""
        return self._roll(leading(self._trials).fitted, self._task.split.held_out)

    def _policy(
        self,
        best: Trial,
        served: Fitted,
        calibration: Calibration,
        judged: tuple[SimulatedEvaluation, SimulatedEvaluation | None, SimulatedEvaluation],
        trust: Reliability | None,
        *,
        overfitted: bool | None,
    ) -> Policy:
        in_sample, held_out, refit = judged
        task, split, world = self._task, self._task.split, self._task.world
        evaluation = {
            "problem_class": "simulated",
            "in_sample": only_taken(world.levels, in_sample.as_dict()),
            "held_out": only_taken(world.levels, held_out.as_dict()) if held_out else None,
            "refit": only_taken(world.levels, refit.as_dict()),
            "reliability": trust.as_dict() if trust else None,
            "folds": len(split.folds),
            "nothing_to_learn": in_sample.base.nothing_to_learn,
            "constant_policy": refit.base.is_constant,
            "beats_best_constant": held_out.base.beats_best_constant if held_out else None,
            "overfitted": overfitted,
            "held_out_from": int(world.times[split.cut]) if held_out else None,
            "learned_until": int(world.times[split.every[-1] + 1]),
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
            levels=world.levels,
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


def _hide(values: Matrix, allowed: Lawful) -> Matrix:
    """Values in which an action that is not allowed is never better than one that is."""
    least = np.where(allowed, values, np.inf).min(axis=1, keepdims=True)
    return np.where(allowed, values, least)
