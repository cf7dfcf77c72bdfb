"""Replay memory: the last steps of all lanes, drawn from by chance (Lin 1992).

With `horizon` n a step is remembered once the n - 1 after it are known, with their rewards
discounted and added up to where its episode ends, at the latest n steps on.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.environments.environment import Choices, Mask, Matrix, Step
from spice_engine.records import record

Floats = NDArray[np.float32]

MAX_BYTES = 256 * 2**20
"""What is remembered takes so much memory at most."""


@record
class Sample:
    """Steps drawn for M networks, B each.

    `observations` [M, B, D], `taken` [M, B] the action, `rewards` [M, B] what came of it within the
    horizon, `discounts` [M, B] the weight of the value of `following` [M, B, D], 0 at the end of
    an episode, and `allowed` [M, B, A] which actions there are then (None: all), `now` those that
    there were. `every` [M, B, A] are all actions' rewards; where they are remembered, what follows
    is not, and is None.
    """

    observations: Floats
    taken: Choices
    rewards: Floats
    every: Floats | None
    discounts: Floats
    following: Floats | None
    allowed: Mask | None
    now: Mask | None


@record
class _Moment:
    """A step of all lanes: where they were, what they did, and what came of it."""

    observations: Matrix
    taken: Choices
    step: Step
    allowed: Mask | None


class Memory:
    """Room for `capacity` steps, or as many as MAX_BYTES hold; the oldest give way."""

    def __init__(
        self, capacity: int, features: int, actions: int, *, gamma: float, horizon: int, every: bool
    ) -> None:
        ahead = gamma > 0 and not every
        size = 4 * (features * (2 if ahead else 1) + 5 + actions * (2 if every else 1))
        self.capacity = max(1, min(capacity, MAX_BYTES // size))
        self.count = 0
        self._next = 0
        self._gamma, self._horizon = gamma, horizon if ahead else 1
        self._recent: deque[_Moment] = deque()
        shape = (self.capacity, features)
        self._observations: Floats = np.zeros(shape, np.float32)
        self._following: Floats | None = np.zeros(shape, np.float32) if ahead else None
        self._taken: Choices = np.zeros(self.capacity, np.int64)
        self._rewards: Floats = np.zeros(self.capacity, np.float32)
        self._discounts: Floats = np.zeros(self.capacity, np.float32)
        self._every: Floats | None = (
            np.zeros((self.capacity, actions), np.float32) if every else None
        )
        self._allowed: Mask | None = None
        self._now: Mask | None = None
        self._actions = actions

    def add(
        self,
        observations: Matrix,
        taken: Choices,
        step: Step,
        every: Matrix | None,
        allowed: Mask | None,
        now: Mask | None,
    ) -> None:
        """One step of all lanes.

        `allowed` [N, A] are the actions that there are in `step.observations`, `now` those that
        there were in `observations`.
        """
        if self._every is not None:
            assert every is not None
            places = self._places(len(taken))
            self._observations[places] = observations
            self._every[places] = every
            self._taken[places] = taken
            return
        self._recent.append(_Moment(observations, taken, step, now))
        if len(self._recent) < self._horizon:
            return
        first = self._recent[0]
        rewards = np.zeros(len(taken))
        weight = np.ones(len(taken))
        following = first.step.following
        going = np.ones(len(taken), dtype=bool)
        for moment in self._recent:
            rewards += np.where(going, weight * moment.step.rewards, 0.0)
            weight = np.where(going, weight * self._gamma, weight)
            following = np.where(going[:, None], moment.step.following, following)
            weight[going & moment.step.terminal] = 0.0
            going &= ~(moment.step.terminal | moment.step.truncated)
        self._recent.popleft()
        places = self._places(len(taken))
        self._observations[places] = first.observations
        self._taken[places] = first.taken
        self._rewards[places] = rewards
        self._discounts[places] = weight
        if self._following is not None:
            self._following[places] = following
        if allowed is not None and first.allowed is not None:
            # What is allowed is known of the next observations, not of an episode's last.
            self._allowed = self._remembered(self._allowed, places, allowed | ~going[:, None])
            self._now = self._remembered(self._now, places, first.allowed)

    def _remembered(self, masks: Mask | None, places: NDArray[np.int64], new: Mask) -> Mask:
        if masks is None:
            masks = np.ones((self.capacity, self._actions), dtype=bool)
        masks[places] = new
        return masks

    def _places(self, count: int) -> NDArray[np.int64]:
        places = (self._next + np.arange(count)) % self.capacity
        self._next = (self._next + count) % self.capacity
        self.count = min(self.count + count, self.capacity)
        return places

    def sample(self, members: int, batch: int, chance: np.random.Generator) -> Sample:
        """So many steps for each of so many networks, drawn with equal chance."""
        drawn = chance.integers(0, self.count, (members, batch))
        return Sample(
            self._observations[drawn],
            self._taken[drawn],
            self._rewards[drawn],
            None if self._every is None else self._every[drawn],
            self._discounts[drawn],
            None if self._following is None else self._following[drawn],
            None if self._allowed is None else self._allowed[drawn],
            None if self._now is None else self._now[drawn],
        )
