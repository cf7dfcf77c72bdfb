"""An environment over a table of observations whose rewards are known for every action.

No action changes what comes: a lane walks from a row to the next, to the last one, and begins again
at a row drawn by chance.
"""

from __future__ import annotations

import numpy as np

from spice_engine.learning.environments.environment import Choices, Mask, Matrix, Step
from spice_engine.learning.features import Scaling


class ContextualEnvironment:
    """Walks over observations [T, D] and every action's rewards [T, A], T >= 1.

    With a `scaling` observations are standardised when they are looked at.
    """

    def __init__(
        self, observations: Matrix, rewards: Matrix, lanes: int, scaling: Scaling | None = None
    ) -> None:
        self.lanes = lanes
        self.features = observations.shape[1]
        self.actions = rewards.shape[1]
        self._observations, self._rewards, self._scaling = observations, rewards, scaling
        self._chance = np.random.default_rng(0)
        self._rows: Choices = np.zeros(lanes, np.int64)

    def reset(self, seed: int) -> Matrix:
        """Every lane at a row of its own."""
        self._chance = np.random.default_rng([seed, 31])
        self._rows = self._chance.integers(0, len(self._observations), self.lanes)
        return self._at(self._rows)

    def step(self, chosen: Choices) -> Step:
        """On to the next row; after the last one the episode is over."""
        rewards = self._rewards[self._rows, chosen]
        rows = self._rows + 1
        ended = rows == len(self._observations)
        following = self._at(np.minimum(rows, len(self._observations) - 1))
        observations = following
        if ended.any():
            rows[ended] = self._chance.integers(0, len(self._observations), int(ended.sum()))
            observations = self._at(rows)
        self._rows = rows
        return Step(observations, rewards, ended, np.zeros_like(ended), following)

    def _at(self, rows: Choices) -> Matrix:
        observations = self._observations[rows]
        return observations if self._scaling is None else self._scaling.apply(observations)

    def lawful(self) -> Mask | None:
        """Every action always is."""
        return None

    def all_rewards(self) -> Matrix | None:
        """Those of the rows where the lanes are."""
        return self._rewards[self._rows]
