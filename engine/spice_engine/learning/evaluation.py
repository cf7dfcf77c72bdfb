"""How good a policy is: its score between random, the best constant action and the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.records import record

_EQUAL = 1e-9
_ROUNDING = 1e-13
_SUM_ROUNDING = 1e-14


@record
class Intervals:
    """Where figures lie with the probability `level`, by `learning.bootstrap`.

    Blocks of `block` steps on average were drawn anew. Score and gain are sums over the steps.
    """

    level: float
    block: float
    score: tuple[float, float]
    gain: tuple[float, float]
    regret_closed: tuple[float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for frames and the policy file."""
        closed = self.regret_closed
        return {
            "level": self.level,
            "block": self.block,
            "score": list(self.score),
            "gain": list(self.gain),
            "regret_closed": None if closed is None else list(closed),
        }


@record
class Evaluation:
    """One policy on some steps. All scores are sums of rewards over the steps.

    `random` is the expected score of choosing by chance, `oracle` knows every reward, and
    `best_constant` takes always `best_constant_action`, which was picked on training steps.
    `regret_closed` is (score - best_constant) / (oracle - best_constant), None where those two
    are equal. `reward_per_action` is the mean reward of the steps on which an action was taken.
    `gain` is how much the score is above that of the best constant action.
    `size` is the sum of the magnitudes of the rewards, which says how far sums may be rounded.
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
    size: float = 0.0
    gain: float = 0.0
    intervals: Intervals | None = None

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
            "gain": self.gain,
            "intervals": self.intervals.as_dict() if self.intervals else None,
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
        return abs(one - other) <= sum_rounding(max(abs(one), abs(other), self.size))


def best_constant_action(rewards: Matrix) -> int:
    """The action with the highest sum over the steps [N, A]; the first declared of equals."""
    return int(choose(rewards.sum(axis=0, keepdims=True))[0])


def choose(values: Matrix) -> NDArray[np.int64]:
    """The best action for each row of values [N, A]; of equals the first declared."""
    return best_of(values).argmax(axis=1)


def highest(values: Matrix) -> Matrix:
    """The highest [N] of each row of values [N, A]."""
    # Column by column: NumPy reduces a short last axis many times slower.
    return reduce(np.maximum, values.T)


def best_of(values: Matrix) -> NDArray[np.bool_]:
    """Which actions [N, A] are as good as the best of their row of values.

    Equal are values that rounding alone may part, as a matrix product does with equal columns:
    closer than a billionth of how far the row's values lie apart, or than some hundred units in
    the last place of the largest. So a constant added to all rewards changes no choice, as long as
    numbers of that size can tell the rewards apart at all.
    """
    top = highest(values)[:, None]
    low = reduce(np.minimum, values.T)[:, None]
    slack = np.maximum(_EQUAL * (top - low), _ROUNDING * np.maximum(np.abs(top), np.abs(low)))
    return values >= top - slack


def best_of_list(values: Sequence[float]) -> float:
    """What a value must reach to be as good as the best of one row; bit for bit as `best_of`."""
    top, low = max(values), min(values)
    return top - max(_EQUAL * (top - low), _ROUNDING * max(abs(top), abs(low)))


def sum_rounding(size: float) -> float:
    """How far rounding may put sums over steps apart whose terms' magnitudes add up to `size`."""
    return _SUM_ROUNDING * size


def evaluate(
    chosen: NDArray[np.int64], rewards: Matrix, actions: Sequence[str], constant: int
) -> Evaluation:
    """Judge chosen actions [N] by the rewards [N, A] of all; `constant` indexes `actions`."""
    taken = rewards[np.arange(len(chosen)), chosen]
    score = float(taken.sum())
    best, always = highest(rewards), rewards[:, constant]
    oracle, size = float(best.sum()), float(np.abs(best).sum())
    # Differences step by step: those of large sums would lose what the steps can tell.
    gap, gained = float((best - always).sum()), float((taken - always).sum())
    counts = np.bincount(chosen, minlength=len(actions))
    sums = np.bincount(chosen, weights=taken, minlength=len(actions))
    return Evaluation(
        steps=len(chosen),
        score=score,
        random=float(rewards.mean(axis=1).sum()),
        best_constant=float(always.sum()),
        best_constant_action=actions[constant],
        oracle=oracle,
        regret_closed=gained / gap if gap > sum_rounding(size) else None,
        actions_taken={action: int(counts[i]) for i, action in enumerate(actions)},
        reward_per_action={
            action: float(sums[i] / counts[i]) if counts[i] else None
            for i, action in enumerate(actions)
        },
        size=size,
        gain=gained,
    )
