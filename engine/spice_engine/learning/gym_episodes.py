"""Whole episodes of a gym pod, many at once: what a policy returns in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from spice_engine.learning.checkpoints import pack_array, unpack_array
from spice_engine.learning.environments.environment import Choices
from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.model import Model
from spice_engine.records import record

LEVEL = 0.95
DRAWS = 1_000
"""Of each interval."""

Act = Callable[[Matrix], Choices]
"""The actions [N] for fields [N, F]."""


@record
class Played:
    """One episode in each lane: `returns` [N], `lengths` [N], and for each action how often it was
    taken and what it paid in all."""

    returns: Matrix
    lengths: Choices
    counts: Choices
    paid: Matrix

    @property
    def score(self) -> float:
        """The mean return of an episode."""
        return float(self.returns.mean())

    def to_data(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {one.name: pack_array(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Played:
        """What `to_data` was given."""
        return cls(**{name: unpack_array(one) for name, one in data.items()})

    def as_dict(self, actions: Sequence[str]) -> dict[str, Any]:
        """Plain data for frames and the policy file."""
        counts, paid = self.counts.tolist(), self.paid.tolist()
        return {
            "episodes": len(self.returns),
            "steps": int(self.lengths.sum()),
            "score": self.score,
            "least_return": float(self.returns.min()),
            "most_return": float(self.returns.max()),
            "actions_taken": dict(zip(actions, counts, strict=True)),
            "reward_per_action": {
                action: total / count if count else None
                for action, count, total in zip(actions, counts, paid, strict=True)
            },
        }


def play(
    environment: GymEnvironment, act: Act, seed: int, check: Callable[[], None] = lambda: None
) -> Played:
    """One episode in each lane, from the start to its end. Equal seeds give equal beginnings."""
    lanes, actions = environment.lanes, environment.actions
    returns, lengths = np.zeros(lanes), np.zeros(lanes, dtype=np.int64)
    counts, paid = np.zeros(actions, dtype=np.int64), np.zeros(actions)
    open_lanes = np.ones(lanes, dtype=np.bool_)
    shown = environment.reset(seed)
    # The environment's own limit ends every episode; one more step than that is never needed.
    for number in range(environment.limit + 1):
        if number % 64 == 0:
            check()
        chosen = act(shown)
        step = environment.step(chosen)
        returns += np.where(open_lanes, step.rewards, 0.0)
        lengths += open_lanes
        counts += np.bincount(chosen[open_lanes], minlength=actions)
        paid += np.bincount(chosen[open_lanes], weights=step.rewards[open_lanes], minlength=actions)
        open_lanes &= ~(step.terminal | step.truncated)
        if not open_lanes.any():
            break
        shown = step.observations
    return Played(returns, lengths, counts, paid)


def interval(returns: Matrix) -> list[float]:
    """Where the mean of returns [N] of independent episodes lies at LEVEL.

    By the bootstrap (Efron 1979): never beyond the least and the most that was returned.
    """
    drawn = np.random.default_rng(0).integers(0, len(returns), (DRAWS, len(returns)))
    rest = (1 - LEVEL) / 2
    return np.quantile(returns[drawn].mean(axis=1), [rest, 1 - rest]).tolist()


def greedy(model: Model) -> Act:
    """Takes the model's best action; of equals the first, as recommendations do."""
    return lambda fields: choose(model.values(fields))


def always(action: int) -> Act:
    """Takes one and the same action."""
    return lambda fields: np.full(len(fields), action, dtype=np.int64)


def by_chance(actions: int, seed: int) -> Act:
    """Takes any action."""
    rng = np.random.default_rng(seed)
    return lambda fields: rng.integers(0, actions, len(fields))
