"""A training run of a gym pod: models by acting, each judged by whole episodes that start afresh.

There are no data to hold out, so what is held out are beginnings. All models play the same
episodes, the *selection*; the few best of them further ones, by which the winner is chosen; and the
winner plays others still, which decide nothing: that is the figure to believe. Every set has seeds
of its own, and none of them is learned in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from spice_engine.learning.algorithms.constant import Constant
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
from spice_engine.learning.environments.gym_facts import DONE_COLUMN, Component, Facts, Gym
from spice_engine.learning.features import Layout
from spice_engine.learning.gym_confidence import MOST_ACTIONS, tried
from spice_engine.learning.gym_episodes import (
    LEVEL,
    Played,
    always,
    by_chance,
    greedy,
    interval,
)
from spice_engine.learning.gym_ground import Ground, seed_of
from spice_engine.learning.gym_learners import Lesson, Pupil, Unit, portfolio
from spice_engine.learning.hyperparameters import Auto, Hyperparameters
from spice_engine.learning.kernels.devices import Accelerator
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.learning.model import Model, read_model
from spice_engine.learning.policy import Policy
from spice_engine.records import record

SELECTION, CONFIRMATION, HELD_OUT, CHANCE, MOMENTS_TRIED, MOMENTS_HELD_OUT = range(1, 7)
"""What episodes are for; each has seeds of its own, as learning has."""
FINALISTS = 3
MAX_CONSTANTS = 8
"""Actions whose always being taken is tried, at most."""


@record
class GymTask:
    """What to learn: an environment as a pod sees it, and its actions' names.

    `given` are the hyperparameters that somebody wrote; `settings` those of the algorithm.
    """

    gym: Gym
    facts: Facts
    fields: tuple[str, ...]
    actions: tuple[str, ...]
    granularity: int
    fingerprint: str
    seed: int
    algorithm: str
    settings: Hyperparameters
    given: dict[str, Any]
    classic: bool = False

    @property
    def shown(self) -> tuple[Component, ...]:
        """The component of each field; the one for the end of an episode is always 0."""
        every = self.facts.components
        none = Component("is_done", 0, 0.0, 0.0)
        return tuple(none if i == DONE_COLUMN else every[i] for i in self.gym.columns)


@dataclass(slots=True)
class _Trial:
    """One episode's model: of which algorithm, how many of that came before, and how it played."""

    index: int
    algorithm: str
    step: int
    played: Played
    confirmed: Played | None = field(default=None)

    @property
    def name(self) -> str:
        """What people see."""
        return self.algorithm if self.algorithm == "constant" else f"{self.algorithm} {self.step}"


@record
class _Lines:
    """What a set of episodes returns without learning: by chance, and by the best constant."""

    random: float
    constant: Played


class GymRun:
    """One run; go through `episodes`, then call `finish`.

    After `auto`'s `seconds` of computing there is no further model; the constant action and one
    more there are in any case. The `accelerator` counts for networks, where `cuda` may change them
    by rounding.
    """

    def __init__(
        self,
        task: GymTask,
        check: Callable[[], None] = lambda: None,
        accelerator: Accelerator = "auto",
    ) -> None:
        self._task, self._check = task, check
        seconds = task.settings.seconds if isinstance(task.settings, Auto) else math.inf
        self._clock = Clock(seconds)
        self._ground = Ground(task.gym, task.seed, check)
        self._lesson = Lesson(
            gym=task.gym,
            fields=task.shown,
            seed=seed_of(task.seed, 0),
            given={task.algorithm: task.given},
            check=check,
            devices=NetworkDevices.of(task.algorithm, accelerator),
        )
        self._lines: dict[int, _Lines] = {}
        auto = isinstance(task.settings, Auto)
        self._names = portfolio(self._lesson) if auto else (task.algorithm,)
        self._begin()

    def _begin(self) -> None:
        """Nothing is learned yet."""
        self._trials: list[_Trial] = []
        self._told: list[dict[str, Any]] = []
        self._models: dict[int, Model] = {}  # of those that may still win
        self._pupils = {name: Pupil(name, self._lesson) for name in self._names}

    @cached_property
    def _constants(self) -> tuple[Played, ...]:
        """Always the same action, for each of the first ones."""
        count = min(len(self._task.actions), MAX_CONSTANTS)
        ground = self._ground
        return tuple(ground.play(always(action), ground.few, SELECTION) for action in range(count))

    @cached_property
    def _constant(self) -> int:
        """The best constant action, by the selection's episodes."""
        return int(np.argmax([one.score for one in self._constants]))

    def _references(self, lanes: int, purpose: int) -> _Lines:
        if purpose not in self._lines:
            chance = by_chance(len(self._task.actions), seed_of(self._task.seed, CHANCE))
            random = self._ground.play(chance, lanes, purpose).score
            if purpose == SELECTION:
                constant = self._constants[self._constant]
            else:
                constant = self._ground.play(always(self._constant), lanes, purpose)
            self._lines[purpose] = _Lines(random, constant)
        return self._lines[purpose]

    def episodes(
        self, limit: int, checkpoints: Checkpoints | None = None
    ) -> Iterator[dict[str, Any]]:
        """Episode after episode, as plain data; the first is the best constant action.

        Those that an earlier process did, as `checkpoints` know, are told first, as they were.
        """
        if checkpoints is not None:
            checkpoints.take_up(self._go_on, self._begin)
        with self._clock.paused():
            yield from self._told
        ended = time.time()
        for algorithm, step, unit in self._units(limit):
            self._check()
            started = ended
            played = self._ground.play(greedy(unit.model), self._ground.few, SELECTION)
            trial = _Trial(len(self._trials), algorithm, step, played)
            self._trials.append(trial)
            self._models[trial.index] = unit.model
            self._models = {index: self._models[index] for index in self._ranked()[:FINALISTS]}
            if step:
                self._pupils[algorithm].told(played.score)
            judged = self._judged(played, SELECTION)
            ended = time.time()
            told: dict[str, Any] = {
                "episode": len(self._trials),
                "start": started,
                "end": ended,
                "score": played.score,
                "actions_taken": judged["actions_taken"],
                "detail": {
                    "candidate": trial.name,
                    "algorithm": algorithm,
                    "problem_class": "gym",
                    "episodes": len(played.returns),
                    "steps": judged["steps"],
                    "regret_closed": judged["regret_closed"],
                    "random": judged["random"],
                    "best_constant": judged["best_constant"],
                    "oracle": judged["oracle"],
                    "folds_score": None,
                    "folds": [],
                    **({"losses": dict(unit.losses)} if unit.losses else {}),
                    **self._lesson.devices.told,
                },
            }
            self._told.append(told)
            with self._clock.paused():
                yield told
                if checkpoints is not None:
                    checkpoints.offer(self._to_data)

    def _to_data(self) -> dict[str, Any]:
        """All that was done so far, as plain data."""
        return {
            "told": self._told,
            "trials": [[one.algorithm, one.step, one.played.to_data()] for one in self._trials],
            "models": [[index, one.kind, one.to_content()] for index, one in self._models.items()],
            "pupils": {name: pupil.to_data() for name, pupil in self._pupils.items()},
        }

    def _go_on(self, kept: dict[str, Any]) -> None:
        """Takes over what `_to_data` gave in an earlier process."""
        self._told = kept["told"]
        for index, (algorithm, step, played) in enumerate(kept["trials"]):
            self._trials.append(_Trial(index, algorithm, step, Played.from_data(played)))
        fields, actions = len(self._task.fields), len(self._task.actions)
        for index, kind, content in kept["models"]:
            self._models[index] = read_model(kind, content, fields, actions)
        for name, pupil in self._pupils.items():
            pupil.go_on(kept["pupils"][name])

    def _units(self, limit: int) -> Iterator[tuple[str, int, Unit]]:
        """The constant, then units of the algorithm; of `auto` of several, by turns."""
        if not self._trials:
            scores = np.array([one.score for one in self._constants])
            mean = np.full(len(self._task.actions), scores.min())
            mean[: len(scores)] = scores
            yield "constant", 0, Unit(Constant(mean))
        while (number := len(self._trials)) < limit:
            if number > 1 and self._clock.over():
                return
            steps = {
                name: sum(one.algorithm == name for one in self._trials) for name in self._names
            }
            name = self._turn(steps, number)
            yield name, steps[name] + 1, self._pupils[name].learn()

    def _turn(self, steps: dict[str, int], number: int) -> str:
        """Whose turn it is: every second time the better one's so far, else by turns."""
        if number <= 2 * len(steps) or number % 2:
            return min(steps, key=lambda name: steps[name])
        best = {
            name: max(one.played.score for one in self._trials if one.algorithm == name)
            for name in steps
        }
        return max(best, key=lambda name: best[name])

    @property
    def leader(self) -> int:
        """The index of the episode whose model did best; 0 is the best constant action."""
        return self._ranked()[0]

    def _ranked(self) -> list[int]:
        """The episodes by their score, the best first; of equals the earlier."""
        trials = self._trials
        return sorted(range(len(trials)), key=lambda index: (-trials[index].played.score, index))

    def _select(self) -> _Trial:
        """The best of the few best, on further episodes."""
        finalists = [self._trials[index] for index in self._ranked()[:FINALISTS]]
        for trial in finalists:
            if trial.confirmed is None and len(finalists) > 1:
                trial.confirmed = self._ground.play(
                    greedy(self._models[trial.index]), self._ground.many, CONFIRMATION
                )
        return max(finalists, key=lambda one: one.confirmed.score if one.confirmed else 0.0)

    def _judged(self, played: Played, purpose: int) -> dict[str, Any]:
        """An evaluation as plain data; the oracle is what the environment states as solved."""
        lines = self._references(len(played.returns), purpose)
        threshold = None if self._task.gym.rewards else self._task.facts.threshold
        constant, closed, between = lines.constant.score, None, None
        gain = interval(played.returns - lines.constant.returns)
        if threshold is not None and threshold > constant:
            gap = threshold - constant
            closed = (played.score - constant) / gap
            between = [gain[0] / gap, gain[1] / gap]
        return {
            **played.as_dict(self._task.actions),
            "intervals": {
                "level": LEVEL,
                "score": interval(played.returns),
                "gain": gain,
                "regret_closed": between,
            },
            "random": lines.random,
            "best_constant": constant,
            "gain": played.score - constant,
            "best_constant_action": self._task.actions[self._constant],
            "oracle": threshold,
            "regret_closed": closed,
        }

    def finish(self) -> Policy:
        """Choose the winner and judge it by fresh episodes; after at least one episode."""
        return self._finish(self._task.classic)

    def meanwhile(self) -> Policy:
        """The same without looking into how sure it may be, which takes a moment."""
        return self._finish(True)

    def _calibrate(self, best: _Trial) -> tuple[Calibration, Reliability | None]:
        """How sure the winner may be of its actions, and whether it was, in other episodes."""
        if len(self._task.actions) > MOST_ACTIONS:
            return UNCALIBRATED, None
        found = [
            tried(
                self._ground.environment(self._ground.few),
                self._models[best.index],
                best.played,
                seed_of(self._task.seed, purpose),
                self._check,
            )
            for purpose in (MOMENTS_TRIED, MOMENTS_HELD_OUT)
        ]
        calibration = calibrate(*found[0])
        return calibration, reliability(calibration, *found[1])

    def _finish(self, unsure: bool) -> Policy:
        task, best = self._task, self._select()
        calibration, trust = (CLASSIC if task.classic else UNCALIBRATED), None
        if not unsure:
            calibration, trust = self._calibrate(best)
        in_sample = self._judged(best.played, SELECTION)
        fresh = self._ground.play(greedy(self._models[best.index]), self._ground.many, HELD_OUT)
        held_out = self._judged(fresh, HELD_OUT)
        scores = [held_out["score"], held_out["random"], held_out["best_constant"]]
        evaluation = {
            "problem_class": "gym",
            "environment": task.gym.id,
            "in_sample": in_sample,
            "held_out": held_out,
            "refit": None,
            "reliability": trust.as_dict() if trust else None,
            "folds": 0,
            "overfitted": None,
            "nothing_to_learn": len(set(scores)) == 1,
            "constant_policy": int((fresh.counts > 0).sum()) <= 1,
            "beats_best_constant": held_out["score"] > held_out["best_constant"],
            "held_out_from": None,
            "algorithm": best.algorithm,
            "candidate": best.name,
            "candidates": [
                {"name": one.name, "folds_score": one.played.score, "chosen": one is best}
                for one in self._trials
            ],
        }
        return Policy(
            actions=task.actions,
            span=1,
            granularity=task.granularity,
            layout=Layout.choose(task.fields, 1, 1),
            algorithm=task.algorithm,
            model=self._models[best.index],
            calibration=calibration,
            evaluation=evaluation,
            fingerprint=task.fingerprint,
            settings={"seed": task.seed, "holdout": 0.0},
        )

    def close(self) -> None:
        """Free the environments that were played in."""
        self._ground.close()
