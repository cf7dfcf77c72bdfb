"""The learning algorithms as the v0.1 API and the docs page list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlgorithmInfo:
    """One algorithm; `summary` is one sentence."""

    id: str
    name: str
    summary: str

    @property
    def docs_link(self) -> str:
        """Where the docs page describes it."""
        return f"/docs#algorithm-{self.id}"


ALGORITHMS: Sequence[AlgorithmInfo] = (
    AlgorithmInfo("auto", "Portfolio", "Tries several and keeps the best on walk-forward folds."),
    AlgorithmInfo("dql", "Deep Q-Learning", "Double deep Q-learning with replay and a target."),
    AlgorithmInfo("fqi", "Fitted Q Iteration", "Regression trees, readable as rules."),
    AlgorithmInfo("linear", "Linear Q", "Closed-form ridge regression of each action's value."),
    AlgorithmInfo("sacd", "Soft Actor Critic (Discrete)", "Entropy-regularised actor and critics."),
    AlgorithmInfo("tabular", "Tabular Q-Learning", "Q-learning on bins of the features."),
    AlgorithmInfo("vpg", "Vanilla Policy Gradient", "Policy gradient on whole episodes."),
)
