"""How good a policy is: its score between random, the best constant action and the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix

_RELATIVE = 1e-9


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One policy on some steps. All scores are sums of rewards over the steps.

    `random` is the expected score of choosing by chance, `oracle` knows every reward, and
    `best_constant` takes always `best_constant_action`, which was picked on training steps.
    `regret_closed` is (score - best_constant) / (oracle - best_constant), None where those two
    are equal. `reward_per_action` is the mean reward of the steps on which an action was taken.
    """

    steps: int
    score: float
    random: float
    best_constant: float
    best_constant_action: str
    oracle: float
    regret_closed: float | None
    actions_taken: dict[str, int]
    reward_per_action: dict[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for frames and the policy file."""
        return {
            "steps": self.steps,
            "score": self.score,
            "random": self.random,
            "best_constant": self.best_constant,
            "best_constant_action": self.best_constant_action,
            "oracle": self.oracle,
            "regret_closed": self.regret_closed,
            "actions_taken": dict(self.actions_taken),
            "reward_per_action": dict(self.reward_per_action),
        }

    @property
    def nothing_to_learn(self) -> bool:
        """Whether random, best constant and oracle agree: every action is as good as another."""
        return self._same(self.random, self.oracle) and self._same(self.best_constant, self.oracle)

    @property
    def beats_best_constant(self) -> bool:
        """Whether the policy scores higher than its best constant action."""
        return self.score > self.best_constant and not self._same(self.score, self.best_constant)

    @property
    def is_constant(self) -> bool:
        """Whether the policy took one and the same action on every step."""
        return sum(count > 0 for count in self.actions_taken.values()) <= 1

    def _same(self, one: float, other: float) -> bool:
        return abs(one - other) <= _RELATIVE * max(abs(one), abs(other), abs(self.oracle))


def best_constant_action(rewards: Matrix) -> int:
    """The action with the highest sum over the steps [N, A]; the first declared of equals."""
    return int(choose(rewards.sum(axis=0, keepdims=True))[0])


def choose(values: Matrix) -> NDArray[np.int64]:
    """The best action for each row of values [N, A]; of equals the first declared.

    Values closer than a billionth of the largest count as equal: a matrix product rounds equal
    columns differently.
    """
    top = values.max(axis=1, keepdims=True)
    slack = _RELATIVE * np.abs(values).max(axis=1, keepdims=True)
    return (values >= top - slack).argmax(axis=1)


def evaluate(
    chosen: NDArray[np.int64], rewards: Matrix, actions: Sequence[str], constant: int
) -> Evaluation:
    """Judge chosen actions [N] by the rewards [N, A] of all; `constant` indexes `actions`."""
    taken = rewards[np.arange(len(chosen)), chosen]
    score = float(taken.sum())
    baseline = float(rewards[:, constant].sum())
    oracle = float(rewards.max(axis=1).sum())
    gap = oracle - baseline
    closes = gap > _RELATIVE * max(abs(oracle), abs(baseline))
    counts = np.bincount(chosen, minlength=len(actions))
    sums = np.bincount(chosen, weights=taken, minlength=len(actions))
    return Evaluation(
        steps=len(chosen),
        score=score,
        random=float(rewards.mean(axis=1).sum()),
        best_constant=baseline,
        best_constant_action=actions[constant],
        oracle=oracle,
        regret_closed=(score - baseline) / gap if closes else None,
        actions_taken={action: int(counts[i]) for i, action in enumerate(actions)},
        reward_per_action={
            action: float(sums[i] / counts[i]) if counts[i] else None
            for i, action in enumerate(actions)
        },
    )
