"""The episodes of a simulated pod's training, and which of their models leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spice_engine.learning.algorithms.forest import Forest
from spice_engine.learning.chance import beyond_chance
from spice_engine.learning.features import Matrix
from spice_engine.learning.simulated_fit import Fitted
from spice_engine.learning.simulated_steps import Rollout

ERRORS = 2.0
NEAR = 1.0


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
    its gains) is passed over: on noise, the best of many candidates always looks good. For the
    same reason a forest is taken that the best of all beats by less than NEAR standard errors:
    being a mean of many it depends least on the noise that it was fitted to.
    """
    best = _best(trials, trials)
    steady = _best(trials, [one for one in trials if isinstance(one.fitted.model, Forest)])
    if steady is trials[0]:
        return best
    lead = _gains(best, steady)
    return steady if lead.any() and not beyond_chance(lead, NEAR) else best


def _best(trials: Sequence[Trial], among: Sequence[Trial]) -> Trial:
    """The best among some trials that is better than the first of all beyond chance."""
    best = constant = trials[0]
    for trial in among:
        if not trial.folds or trial.rank <= best.rank:
            continue
        if beyond_chance(_gains(trial, constant), ERRORS):
            best = trial
    return best


def _gains(one: Trial, other: Trial) -> Matrix:
    """What one trial earns over another at each step of the folds [N]."""
    return np.concatenate(
        [a.rewards - b.rewards for a, b in zip(one.folds, other.folds, strict=True)]
    )
