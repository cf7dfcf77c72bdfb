"""The episodes of a simulated pod's training, and which of their models leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spice_engine.learning.chance import beyond_chance
from spice_engine.learning.simulated_fit import Fitted
from spice_engine.learning.simulated_steps import Rollout

ERRORS = 2.0


@dataclass(slots=True)
class Trial:
    """One episode's model: its family and how many of that came before, and its scores."""

    family: str
    step: int
    fitted: Fitted
    rollout: Rollout
    folds: list[Rollout]

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        """All of them, the training part's first."""
        return (self.rollout, *self.folds)

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


def leading(trials: Sequence[Trial]) -> Trial:
    """The best on the folds; without folds the best constant action, which is the first.

    What beats the constant action by less than chance alone may (ERRORS standard errors of
    its gains) is passed over: on noise, the best of many candidates always looks good.
    """
    best = constant = trials[0]
    for trial in trials[1:]:
        if not trial.folds:
            break
        gains = np.concatenate(
            [a.rewards - b.rewards for a, b in zip(trial.folds, constant.folds, strict=True)]
        )
        if trial.rank > best.rank and beyond_chance(gains, ERRORS):
            best = trial
    return best
