"""A training run of `linear`: the path on the training part, selection on folds, evaluation, refit.

Nothing of the held-out part enters selection, standardisation, calibration or the choice of the
best constant action; it is scored once, at the end. What serves is the winner fitted again to all
steps; its own figures are shown as `refit` and are no forecast.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.algorithms.linear import LinearModel, RidgePath, strengths
from spice_engine.learning.confidence import UNCALIBRATED, Calibration, calibrate, reliability
from spice_engine.learning.evaluation import Evaluation, best_constant_action, choose, evaluate
from spice_engine.learning.features import Matrix, choose_lags, raw_features
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import Split, Steps


@dataclass(frozen=True, slots=True)
class Task:
    """What to learn from: the state table [T, F] and every action's reward at every step.

    `rewards` [T, A] is filled in the rows of `split.every`; row t is the step from row t to t+1.
    """

    values: Matrix
    rewards: Matrix
    times: NDArray[np.int64]
    fields: tuple[str, ...]
    actions: tuple[str, ...]
    span: int
    granularity: int
    split: Split
    fingerprint: str
    seed: int
    holdout: float


@dataclass(slots=True)
class _Trial:
    """One strength: its fit to the training part, and how it did on the folds."""

    strength: float
    model: LinearModel
    fold_scores: list[float]

    @property
    def fold_score(self) -> float:
        return math.fsum(self.fold_scores)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A path fitted to some steps, and other steps to judge it by: features and rewards."""

    path: RidgePath
    features: Matrix
    rewards: Matrix

    def values(self, strength: float) -> Matrix:
        return self.path.model(strength).values_of(self.features)

    def score(self, strength: float) -> float:
        chosen = choose(self.values(strength))
        return float(self.rewards[np.arange(len(chosen)), chosen].sum())


class LinearRun:
    """One run; go through `episodes`, then call `finish`."""

    def __init__(self, task: Task) -> None:
        self._task = task
        every = task.split.every
        self._lags = choose_lags(task.span, len(task.fields), len(every))
        self._raw = raw_features(task.values, every, self._lags)
        self._path = self._fit(task.split.train)
        self._train_rewards = task.rewards[task.split.train]
        self._constant = best_constant_action(self._train_rewards)
        self._folds: tuple[_Judged, ...] | None = None
        self._trials: list[_Trial] = []

    def _fit(self, steps: Steps) -> RidgePath:
        return RidgePath(self._raw_of(steps), self._task.rewards[steps])

    def _raw_of(self, steps: Steps) -> Matrix:
        """Raw features of a stretch of steps: `split.every` and all parts of it have no gaps."""
        first = int(steps[0] - self._task.split.every[0])
        return self._raw[first : first + len(steps)]

    def episodes(self, limit: int, check: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """Episode after episode, as plain data; `check` may raise to end the run."""
        for number, strength in enumerate(strengths(limit), start=1):
            check()
            started = time.time()
            model = self._path.model(strength)
            judged = self._evaluate(model.values_of(self._path.features), self._train_rewards)
            trial = _Trial(strength, model, [fold.score(strength) for fold in self._judges(check)])
            self._trials.append(trial)
            yield {
                "episode": number,
                "start": started,
                "end": time.time(),
                "score": judged.score,
                "actions_taken": judged.actions_taken,
                "detail": {
                    "strength": _finite(strength),
                    "regret_closed": judged.regret_closed,
                    "random": judged.random,
                    "best_constant": judged.best_constant,
                    "oracle": judged.oracle,
                    "folds_score": trial.fold_score if trial.fold_scores else None,
                    "folds": trial.fold_scores,
                },
            }

    def _judges(self, check: Callable[[], None]) -> tuple[_Judged, ...]:
        if self._folds is None:
            folds: list[_Judged] = []
            for fold in self._task.split.folds:
                check()
                path = self._fit(fold.train)
                features = path.scaling.apply(self._raw_of(fold.judge))
                folds.append(_Judged(path, features, self._task.rewards[fold.judge]))
            self._folds = tuple(folds)
        return self._folds

    def _evaluate(self, values: Matrix, rewards: Matrix) -> Evaluation:
        return evaluate(choose(values), rewards, self._task.actions, self._constant)

    def _select(self) -> _Trial:
        """The best on the folds; of equals the most regularised. Without folds the constant."""
        best = self._trials[0]
        for trial in self._trials[1:]:
            if trial.fold_scores and trial.fold_score > best.fold_score:
                best = trial
        return best

    def _calibrate(self, strength: float) -> Calibration:
        folds = self._folds or ()
        if not folds:
            return UNCALIBRATED
        values = np.concatenate([fold.values(strength) for fold in folds])
        return calibrate(values, np.concatenate([fold.rewards for fold in folds]))

    def finish(self) -> Policy:
        """Select, evaluate, and fit the winner again to all steps; after at least one episode."""
        task, split = self._task, self._task.split
        best = self._select()
        calibration = self._calibrate(best.strength)
        in_sample = self._evaluate(best.model.values_of(self._path.features), self._train_rewards)
        held_out = trust = None
        if len(split.held_out):
            values = best.model.values(self._raw_of(split.held_out))
            rewards = task.rewards[split.held_out]
            held_out = self._evaluate(values, rewards)
            trust = reliability(calibration, values, rewards)
        every = self._fit(split.every)
        served = every.model(best.strength)
        refit = self._evaluate(served.values_of(every.features), task.rewards[split.every])
        evaluation = {
            "in_sample": in_sample.as_dict(),
            "held_out": held_out.as_dict() if held_out else None,
            "refit": refit.as_dict(),
            "reliability": trust.as_dict() if trust else None,
            "folds": len(split.folds),
            "nothing_to_learn": in_sample.nothing_to_learn,
            "constant_policy": refit.is_constant,
            "beats_best_constant": held_out.beats_best_constant if held_out else None,
            "held_out_from": int(task.times[split.cut]) if held_out else None,
            "strength": _finite(best.strength),
        }
        return Policy(
            fields=task.fields,
            actions=task.actions,
            span=task.span,
            granularity=task.granularity,
            lags=self._lags,
            algorithm="linear",
            model=served,
            calibration=calibration,
            evaluation=evaluation,
            fingerprint=task.fingerprint,
            settings={"seed": task.seed, "holdout": task.holdout},
        )


def _finite(strength: float) -> float | None:
    """The strength as JSON has it: None for infinity, the best constant action."""
    return strength if math.isfinite(strength) else None
