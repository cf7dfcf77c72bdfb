"""A training run: episodes on the training part, selection on folds, evaluation, refit.

Nothing of the held-out part enters selection, standardisation, calibration or the choice of the
best constant action; it is scored once for each policy that is made. What serves is the winner
fitted again to all steps; its own figures are shown as `refit` and are no forecast.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spice_engine.learning.chance import beyond_chance
from spice_engine.learning.confidence import CLASSIC, UNCALIBRATED, Calibration, calibrate
from spice_engine.learning.confidence import reliability as reliability_of
from spice_engine.learning.evaluation import Evaluation, best_constant_action, choose, evaluate
from spice_engine.learning.features import Matrix
from spice_engine.learning.policy import Policy
from spice_engine.learning.task import Candidate, Check, Fit, Learner, Task

ERRORS = 2.5


@dataclass(slots=True)
class _Trial:
    """One candidate: how it did on the folds, and the rewards [N] that it took there."""

    index: int
    candidate: Candidate
    evaluation: Evaluation
    fold_scores: list[float]
    taken: Matrix

    @property
    def fold_score(self) -> float:
        return math.fsum(self.fold_scores)


@dataclass(frozen=True, slots=True)
class _Judge:
    """A learner fitted to a fold's first steps, and the steps after to judge it by."""

    fit: Fit
    raw: Matrix
    rewards: Matrix

    def values(self, index: int) -> Matrix:
        return self.fit.model(index).values(self.raw)

    def taken(self, index: int) -> Matrix:
        """The rewards [N] of what the candidate chooses."""
        chosen = choose(self.values(index))
        return self.rewards[np.arange(len(chosen)), chosen]


class TrainingRun:
    """One run of a learner; go through `episodes`, `finish` gives the best so far at any time."""

    def __init__(self, task: Task, learner: Learner, algorithm: str, check: Check) -> None:
        self._task, self._learner, self._algorithm = task, learner, algorithm
        self._check = check
        self._train_rewards = task.rewards[task.split.train]
        self._constant = best_constant_action(self._train_rewards)
        self._fit = learner.fit(task.raw(task.split.train), self._train_rewards, check)
        self._judges: tuple[_Judge, ...] | None = None
        self._trials: list[_Trial] = []

    def episodes(self) -> Iterator[dict[str, Any]]:
        """Episode after episode, as plain data."""
        for index, candidate in enumerate(self._learner.candidates):
            self._check()
            started = time.time()
            judged = self._evaluate(self._fit.values(index), self._train_rewards)
            taken = [judge.taken(index) for judge in self._folds()]
            scores = [float(one.sum()) for one in taken]
            every = np.concatenate(taken) if taken else np.empty(0)
            trial = _Trial(index, candidate, judged, scores, every)
            self._trials.append(trial)
            yield {
                "episode": index + 1,
                "start": started,
                "end": time.time(),
                "score": judged.score,
                "actions_taken": judged.actions_taken,
                "detail": {
                    "candidate": candidate.name,
                    **candidate.detail,
                    "regret_closed": judged.regret_closed,
                    "random": judged.random,
                    "best_constant": judged.best_constant,
                    "oracle": judged.oracle,
                    "folds_score": trial.fold_score if scores else None,
                    "folds": scores,
                },
            }

    @property
    def leader(self) -> int:
        """The index of the candidate that would be chosen now; 0 is the best constant action."""
        return self._select().index

    def _folds(self) -> tuple[_Judge, ...]:
        if self._judges is None:
            task, judges = self._task, list[_Judge]()
            for fold in task.split.folds:
                self._check()
                rewards = task.rewards[fold.train]
                judges.append(
                    _Judge(
                        self._learner.fit(task.raw(fold.train), rewards, self._check),
                        task.raw(fold.judge),
                        task.rewards[fold.judge],
                    )
                )
            self._judges = tuple(judges)
        return self._judges

    def _evaluate(self, values: Matrix, rewards: Matrix) -> Evaluation:
        return evaluate(choose(values), rewards, self._task.actions, self._constant)

    def _select(self) -> _Trial:
        """The best on the folds; without folds the first, which is the best constant action.

        Of a `cautious` learner a candidate takes the lead only by more than chance alone may give:
        ERRORS standard errors of what it gains over the best constant action, and one over the
        leader. Of many candidates the best always looks good on noise, and of those that
        are as good the first are the simplest.
        """
        first = best = self._trials[0]
        for trial in self._trials[1:]:
            if self._learner.cautious:
                better = _beats(trial, best, 1.0) and _beats(trial, first, ERRORS)
            else:
                better = _beats(trial, best, 0.0)
            if better:
                best = trial
        return best

    def _calibrate(self, index: int) -> Calibration:
        if self._task.confidence == "classic":
            return CLASSIC
        folds = self._folds()
        if not folds:
            return UNCALIBRATED
        values = np.concatenate([judge.values(index) for judge in folds])
        return calibrate(values, np.concatenate([judge.rewards for judge in folds]))

    def finish(self) -> Policy:
        """Select, evaluate, and fit the winner again to all steps; after at least one episode."""
        task, split = self._task, self._task.split
        best = self._select()
        calibration = self._calibrate(best.index)
        held_out = trust = None
        if len(split.held_out):
            values = self._fit.model(best.index).values(task.raw(split.held_out))
            rewards = task.rewards[split.held_out]
            held_out = self._evaluate(values, rewards)
            trust = reliability_of(calibration, values, rewards)
        rewards = task.rewards[split.every]
        every = self._learner.fit(task.raw(split.every), rewards, self._check)
        refit = self._evaluate(every.values(best.index), rewards)
        evaluation = {
            "problem_class": "contextual",
            "in_sample": best.evaluation.as_dict(),
            "held_out": held_out.as_dict() if held_out else None,
            "refit": refit.as_dict(),
            "reliability": trust.as_dict() if trust else None,
            "folds": len(split.folds),
            "nothing_to_learn": best.evaluation.nothing_to_learn,
            "constant_policy": refit.is_constant,
            "beats_best_constant": held_out.beats_best_constant if held_out else None,
            "held_out_from": int(task.times[split.cut]) if held_out else None,
            "algorithm": best.candidate.detail.get("algorithm", self._algorithm),
            "candidate": best.candidate.name,
            "candidates": [
                {
                    "name": trial.candidate.name,
                    "folds_score": trial.fold_score if trial.fold_scores else None,
                    "chosen": trial is best,
                }
                for trial in self._trials
            ],
        }
        if "strength" in best.candidate.detail:
            evaluation["strength"] = best.candidate.detail["strength"]
        return Policy(
            actions=task.actions,
            span=task.span,
            granularity=task.granularity,
            layout=task.layout,
            algorithm=self._algorithm,
            model=every.model(best.index),
            calibration=calibration,
            evaluation=evaluation,
            fingerprint=task.fingerprint,
            settings={"seed": task.seed, "holdout": task.holdout},
        )


def _beats(trial: _Trial, other: _Trial, errors: float) -> bool:
    """Whether one gained more on the folds than the other, by so many standard errors."""
    return beyond_chance(trial.taken - other.taken, errors)
