"""When a training run ends before its last episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spice_engine.learning.goal import Goal

EQUAL_SCORES = 3


class Stopping:
    """Looks at every episode; `patience` 0 and no `goal` never end a run.

    Equal scores count only with `equal_scores`, and not while the run still scores what its best
    constant action does and could do better: before an algorithm has learned anything, an episode
    scores what the one before did.
    """

    def __init__(self, goal: str, patience: int, *, equal_scores: bool) -> None:
        self._goal = Goal(goal) if goal else None
        self._patience = patience
        self._equal_scores = equal_scores
        self._scores: list[float] = []
        self._best: float | None = None
        self._idle = 0

    def after(self, episode: Mapping[str, Any]) -> str:
        """Why the run ends after an episode: goal, equal_scores or patience; empty: it goes on.

        `episode` is what is reported of it: `score`, and under `detail` `best_constant`,
        `regret_closed`, and `folds_score`, by which patience goes where there is one.
        """
        score, detail = episode["score"], episode["detail"]
        if self._goal and self._goal.reached(score):
            return "goal"
        self._scores.append(score)
        last = self._scores[-EQUAL_SCORES:]
        learned = score != detail["best_constant"] or detail["regret_closed"] is None
        if self._equal_scores and learned and len(last) == EQUAL_SCORES and len(set(last)) == 1:
            return "equal_scores"
        quality = score if detail["folds_score"] is None else detail["folds_score"]
        if self._best is None or quality > self._best:
            self._best, self._idle = quality, 0
        else:
            self._idle += 1
        return "patience" if self._patience and self._idle >= self._patience else ""
