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
from spice_engine.learning.clock import Clock
from spice_engine.learning.confidence import (
    CLASSIC,
    UNCALIBRATED,
    Calibration,
    Reliability,
    calibrate,
    reliability,
)
from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.environments.gym_facts import DONE_COLUMN, Component, Facts, Gym
from spice_engine.learning.features import Layout
from spice_engine.learning.gym_confidence import MOST_ACTIONS, tried
from spice_engine.learning.gym_episodes import (
    LEVEL,
    Act,
    Played,
    always,
    by_chance,
    greedy,
    interval,
    play,
)
from spice_engine.learning.gym_learners import Lesson, Pupil, Unit, portfolio
from spice_engine.learning.hyperparameters import Auto, Hyperparameters
from spice_engine.learning.model import Model
from spice_engine.learning.policy import Policy

SELECTION, CONFIRMATION, HELD_OUT, CHANCE, MOMENTS_TRIED, MOMENTS_HELD_OUT = range(1, 7)
"""What episodes are for; each has seeds of its own, as learning has."""
QUICK_EPISODES, SLOW_EPISODES = 32, 16
"""Episodes of the selection, of environments that step all lanes in one go, and of others."""
QUICK_FRESH, SLOW_FRESH = 100, 40
"""Further episodes by which the winner is chosen, and as many again that it is judged by."""
FINALISTS = 3
MAX_CONSTANTS = 8
"""Actions whose always being taken is tried, at most."""


@dataclass(frozen=True, slots=True)
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

    algorithm: str
    step: int
    model: Model
    played: Played
    confirmed: Played | None = field(default=None)

    @property
    def name(self) -> str:
        """What people see."""
        return self.algorithm if self.algorithm == "constant" else f"{self.algorithm} {self.step}"


class _Ground:
    """Environments to play in, by their number of lanes."""

    def __init__(self, task: GymTask, check: Callable[[], None]) -> None:
        self._task, self._check = task, check
        first = GymEnvironment(task.gym, QUICK_EPISODES)
        self.quick = first.quick
        if not self.quick:
            first.close()
            first = GymEnvironment(task.gym, SLOW_EPISODES)
        self._environments = {first.lanes: first}
        self.few = first.lanes
        self.many = QUICK_FRESH if self.quick else SLOW_FRESH

    def play(self, act: Act, lanes: int, purpose: int) -> Played:
        """One episode in each of so many lanes, the same ones for one purpose."""
        seed = _seed(self._task.seed, purpose)
        return play(self.environment(lanes), act, seed, self._check)

    def environment(self, lanes: int) -> GymEnvironment:
        """An environment of so many lanes."""
        if lanes not in self._environments:
            self._environments[lanes] = GymEnvironment(self._task.gym, lanes)
        return self._environments[lanes]

    def close(self) -> None:
        """Free the environments."""
        for environment in self._environments.values():
            environment.close()


@dataclass(frozen=True, slots=True)
class _Lines:
    """What a set of episodes returns without learning: by chance, and by the best constant."""

    random: float
    constant: Played


class GymRun:
    """One run; go through `episodes`, then call `finish`.

    After `auto`'s `seconds` of computing there is no further model; the constant action and one
    more there are in any case.
    """

    def __init__(self, task: GymTask, check: Callable[[], None] = lambda: None) -> None:
        self._task, self._check = task, check
        seconds = task.settings.seconds if isinstance(task.settings, Auto) else math.inf
        self._clock = Clock(seconds)
        self._ground = _Ground(task, check)
        self._lesson = Lesson(
            gym=task.gym,
            fields=task.shown,
            seed=_seed(task.seed, 0),
            given={task.algorithm: task.given},
            check=check,
        )
        self._trials: list[_Trial] = []
        self._lines: dict[int, _Lines] = {}

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
            chance = by_chance(len(self._task.actions), _seed(self._task.seed, CHANCE))
            random = self._ground.play(chance, lanes, purpose).score
            if purpose == SELECTION:
                constant = self._constants[self._constant]
            else:
                constant = self._ground.play(always(self._constant), lanes, purpose)
            self._lines[purpose] = _Lines(random, constant)
        return self._lines[purpose]

    def episodes(self, limit: int) -> Iterator[dict[str, Any]]:
        """Episode after episode, as plain data; the first is the best constant action."""
        ended = time.time()
        for number, (algorithm, step, unit) in enumerate(self._units(limit), start=1):
            self._check()
            started = ended
            played = self._ground.play(greedy(unit.model), self._ground.few, SELECTION)
            trial = _Trial(algorithm, step, unit.model, played)
            self._trials.append(trial)
            judged = self._judged(played, SELECTION)
            ended = time.time()
            told: dict[str, Any] = {
                "episode": number,
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
                },
            }
            with self._clock.paused():
                yield told

    def _units(self, limit: int) -> Iterator[tuple[str, int, Unit]]:
        """The constant, then units of the algorithm; of `auto` of several, by turns."""
        scores = np.array([one.score for one in self._constants])
        mean = np.full(len(self._task.actions), scores.min())
        mean[: len(scores)] = scores
        yield "constant", 0, Unit(Constant(mean))
        auto = isinstance(self._task.settings, Auto)
        names = portfolio(self._lesson) if auto else (self._task.algorithm,)
        pupils = {name: Pupil(name, self._lesson) for name in names}
        steps = dict.fromkeys(names, 0)
        for number in range(1, limit):
            if number > 1 and self._clock.over():
                return
            name = self._turn(names, steps, number)
            steps[name] += 1
            yield name, steps[name], pupils[name].learn()
            pupils[name].told(self._trials[-1].played.score)

    def _turn(self, names: tuple[str, ...], steps: dict[str, int], number: int) -> str:
        """Whose turn it is: every second time the better one's so far, else by turns."""
        if number <= 2 * len(names) or number % 2:
            return min(names, key=lambda name: steps[name])
        best = {
            name: max(one.played.score for one in self._trials if one.algorithm == name)
            for name in names
        }
        return max(names, key=lambda name: best[name])

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
                    greedy(trial.model), self._ground.many, CONFIRMATION
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
                best.model,
                best.played,
                _seed(self._task.seed, purpose),
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
        fresh = self._ground.play(greedy(best.model), self._ground.many, HELD_OUT)
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
            model=best.model,
            calibration=calibration,
            evaluation=evaluation,
            fingerprint=task.fingerprint,
            settings={"seed": task.seed, "holdout": 0.0},
        )

    def close(self) -> None:
        """Free the environments that were played in."""
        self._ground.close()


def _seed(seed: int, purpose: int) -> int:
    """A seed of its own for a purpose."""
    return int(np.random.SeedSequence([seed, 1947, purpose]).generate_state(1)[0])
