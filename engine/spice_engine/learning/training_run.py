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
from numpy.typing import NDArray

from spice_engine.learning.certainty import Judged, is_overfitted, judge_choices
from spice_engine.learning.chance import beyond_chance
from spice_engine.learning.clock import Clock, TimeIsUp
from spice_engine.learning.confidence import CLASSIC, UNCALIBRATED, Calibration, calibrate
from spice_engine.learning.confidence import reliability as reliability_of
from spice_engine.learning.evaluation import Evaluation, best_constant_action, choose, evaluate
from spice_engine.learning.features import Matrix
from spice_engine.learning.levels import by_action, only_taken
from spice_engine.learning.model import Model
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import MIN_FOLD_STEPS, Steps
from spice_engine.learning.task import (
    Candidate,
    Check,
    Fit,
    Learner,
    Resuming,
    Searching,
    Task,
    Telling,
)
from spice_engine.records import record

ERRORS = 2.5
QUICK = frozenset({"constant", "linear", "tree", "table"})
"""Kinds of models that are fitted in no time."""
BLOCKS = 4
MAX_CROSSED = 50_000
"""Steps of the training part beyond which the folds say enough of the confidence."""


@dataclass(slots=True)
class _Trial:
    """One candidate: what it chose in sample [N], and the rewards [M] that it took on the folds."""

    index: int
    candidate: Candidate
    evaluation: Evaluation
    chosen: NDArray[np.integer[Any]]
    fold_scores: list[float]
    taken: Matrix

    @property
    def fold_score(self) -> float:
        return math.fsum(self.fold_scores)


@record
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
    """One run of a learner; go through `episodes`, `finish` gives the best so far at any time.

    What serves may go on from the model `start`, where the learner can; what chooses never does.
    The candidate whose name is `first` has its turn right after the best constant action. After
    `seconds` of computing there is no further one, and what is under way then is left out; the
    constant and one more there are in any case.
    """

    def __init__(
        self,
        task: Task,
        learner: Learner,
        algorithm: str,
        check: Check,
        start: Model | None = None,
        first: str = "",
        seconds: float = math.inf,
    ) -> None:
        self._task, self._learner, self._algorithm = task, learner, algorithm
        self._start, self._first = start, first
        self._told = check
        self._clock, self._timed = Clock(seconds), False
        self._train_rewards = task.paid(task.split.train)
        self._constant = best_constant_action(self._train_rewards)
        self._fit = learner.fit(task.raw(task.split.train), self._train_rewards, self._check)
        self._judges: tuple[_Judge, ...] | None = None
        self._blocks: tuple[_Judge, ...] | None = None
        self._trials: list[_Trial] = []

    def _check(self) -> None:
        """Asks whoever runs this now; ends what takes longer than there is time for candidates."""
        self._told()
        if self._timed and self._clock.over():
            raise TimeIsUp

    def episodes(self) -> Iterator[dict[str, Any]]:
        """Episode after episode, as plain data."""
        going = self._go()
        while True:
            self._timed = len(self._trials) > 1
            try:
                episode = next(going)
            except (StopIteration, TimeIsUp):
                return
            finally:
                self._timed = False
            yield episode

    def _go(self) -> Iterator[dict[str, Any]]:
        for number, (index, candidate) in enumerate(self._candidates(), start=1):
            self._check()
            started = time.time()
            chosen = choose(self._fit.values(index))
            found = self._evaluate(chosen, self._train_rewards)
            taken = [judge.taken(index) for judge in self._folds()]
            scores = [float(one.sum()) for one in taken]
            every = np.concatenate(taken) if taken else np.empty(0)
            small = chosen.astype(np.min_scalar_type(len(self._task.actions)))
            trial = _Trial(index, candidate, found, small, scores, every)
            self._trials.append(trial)
            yield {
                "episode": number,
                "start": started,
                "end": time.time(),
                "score": found.score,
                "actions_taken": by_action(self._task.levels, found.actions_taken),
                "detail": {
                    "candidate": candidate.name,
                    **candidate.detail,
                    **(self._fit.told if isinstance(self._fit, Telling) else {}),
                    "regret_closed": found.regret_closed,
                    "random": found.random,
                    "best_constant": found.best_constant,
                    "oracle": found.oracle,
                    "folds_score": trial.fold_score if scores else None,
                    "folds": scores,
                },
            }

    def _candidates(self) -> Iterator[tuple[int, Candidate]]:
        """The learner's in their order, and then those that it searches."""
        for index in self._order():
            yield index, self._learner.candidates[index]
        task, known = self._task, len(self._learner.candidates)
        if isinstance(self._learner, Searching) and task.split.folds:
            # Before all that folds are judged by, so that judging stays free of what was sought.
            steps = task.split.folds[0].train
            found = self._learner.search(task.raw(steps), task.paid(steps), task.span, self._check)
            yield from enumerate(found, start=known)

    def _order(self) -> Iterator[int]:
        """The candidates' indices, the one that is to come first right after the constant."""
        names = [candidate.name for candidate in self._learner.candidates]
        early = names.index(self._first) if self._first in names[1:] else 0
        yield from dict.fromkeys((0, early, *range(len(names))))

    @property
    def leader(self) -> int:
        """The index of the candidate that would be chosen now; 0 is the best constant action."""
        return self._select().index

    def _folds(self) -> tuple[_Judge, ...]:
        if self._judges is None:
            task, judges = self._task, list[_Judge]()
            for fold in task.split.folds:
                self._check()
                rewards = task.paid(fold.train)
                judges.append(
                    _Judge(
                        self._learner.fit(task.raw(fold.train), rewards, self._check),
                        task.raw(fold.judge),
                        task.paid(fold.judge),
                    )
                )
            self._judges = tuple(judges)
        return self._judges

    def _evaluate(self, chosen: NDArray[np.int64], rewards: Matrix) -> Evaluation:
        return evaluate(chosen, rewards, self._task.actions, self._constant)

    def _judge(self, chosen: NDArray[np.integer[Any]], rewards: Matrix) -> Judged:
        """The evaluation with its intervals, which takes some milliseconds more."""
        task = self._task
        return judge_choices(
            chosen.astype(np.int64), rewards, task.actions, self._constant, task.seed
        )

    def _figures(self, found: Judged) -> dict[str, Any]:
        return only_taken(self._task.levels, found.evaluation.as_dict())

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

    def _calibrate(self, best: _Trial, *, meanwhile: bool) -> Calibration:
        """By the folds, or by the blocks where models are fitted in no time.

        Models of three quarters of the training part err about as often as those of all of it;
        those of the first fold err more, and its steps are of one season only.
        """
        if self._task.confidence == "classic":
            return CLASSIC
        judges = self._folds()
        if not judges:
            return UNCALIBRATED
        kind = self._fit.model(best.index).kind
        if kind in QUICK and not meanwhile and (blocks := self._crossed()):
            judges = blocks
        values = np.concatenate([judge.values(best.index) for judge in judges])
        rewards = np.concatenate([judge.rewards for judge in judges])
        return calibrate(values, rewards, logistic=kind != "constant")

    def _crossed(self) -> tuple[_Judge, ...]:
        """Blocks of the training part, each judged by what is fitted to the others.

        Windows that straddle a cut are purged. None where it is short, or long enough without.
        """
        if self._blocks is None:
            steps, span, blocks = self._task.split.train, self._task.span, list[_Judge]()
            raw, rewards = self._task.raw(steps), self._train_rewards
            count = len(steps)
            if BLOCKS * (MIN_FOLD_STEPS + 2 * span) <= count <= MAX_CROSSED:
                for block in range(BLOCKS):
                    self._check()
                    begin, end = count * block // BLOCKS, count * (block + 1) // BLOCKS
                    others = np.ones(count, dtype=bool)
                    others[max(begin - span, 0) : end + span] = False
                    fit = self._learner.fit(raw[others], rewards[others], self._check)
                    blocks.append(_Judge(fit, raw[begin:end], rewards[begin:end]))
            self._blocks = tuple(blocks)
        return self._blocks

    def held_out_choices(self) -> NDArray[np.int64]:
        """What the leader's model, which has not seen them, chooses on the held-out steps [N]."""
        task = self._task
        return choose(self._fit.model(self.leader).values(task.raw(task.split.held_out)))

    def leader_on(self, steps: Steps) -> Model:
        """The leader's model fitted to these steps alone, and to what it may have begun with."""
        return self._refit(steps).model(self.leader)

    def _refit(self, steps: Steps) -> Fit:
        """A fit that nothing is chosen by.

        So it may begin with the serving policy's model, which has learned from the folds' steps and
        the held-out ones.
        """
        raw, rewards = self._task.raw(steps), self._task.paid(steps)
        if self._start is not None and isinstance(self._learner, Resuming):
            return self._learner.fit_from(self._start, raw, rewards, self._check)
        return self._learner.fit(raw, rewards, self._check)

    def meanwhile(self) -> Policy:
        """As `finish`, in less time: the confidence is calibrated by the folds that are there."""
        return self.finish(meanwhile=True)

    def finish(self, *, meanwhile: bool = False) -> Policy:
        """Select, evaluate, and fit the winner again to all steps; after at least one episode."""
        task, split = self._task, self._task.split
        best = self._select()
        calibration = self._calibrate(best, meanwhile=meanwhile)
        in_sample = self._judge(best.chosen, self._train_rewards)
        held_out = trust = None
        if len(split.held_out):
            values = self._fit.model(best.index).values(task.raw(split.held_out))
            rewards = task.paid(split.held_out)
            held_out = self._judge(choose(values), rewards)
            trust = reliability_of(calibration, values, rewards)
        rewards = task.rewards
        every = self._refit(split.every)
        refit = self._judge(choose(every.values(best.index)), rewards)
        beats = held_out.evaluation.beats_best_constant if held_out else None
        evaluation = {
            "problem_class": "contextual",
            "in_sample": self._figures(in_sample),
            "held_out": self._figures(held_out) if held_out else None,
            "refit": self._figures(refit),
            "reliability": trust.as_dict() if trust else None,
            "folds": len(split.folds),
            "nothing_to_learn": best.evaluation.nothing_to_learn,
            "constant_policy": refit.evaluation.is_constant,
            "beats_best_constant": beats,
            "overfitted": is_overfitted(in_sample, held_out),
            "held_out_from": int(task.times[split.cut]) if held_out else None,
            "learned_until": int(task.times[split.every[-1] + 1]),
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
        if len(split.every) < split.total:
            evaluation["looked_at"] = {"steps": len(split.every), "of": split.total}
        if "strength" in best.candidate.detail:
            evaluation["strength"] = best.candidate.detail["strength"]
        return Policy(
            actions=task.actions,
            levels=task.levels,
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
