"""An environment over a simulator: lanes go through the data, each with a local state.

An episode starts at a state drawn from a list of such, and is cut after `length` steps, or where
the steps that may be learned from end. Time goes on at both, so what follows counts.
"""

from __future__ import annotations

import numpy as np

from spice_engine.learning.environments.environment import Choices, Mask, Matrix, Step
from spice_engine.learning.features import Scaling
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Expansion, Rows, Simulator
from spice_engine.records import record

LENGTH = 128


@record
class Starts:
    """States that episodes start at: `rows` [N] and `local` [N, K]; `last` row to act in."""

    rows: Rows
    local: Matrix
    last: int


class SimulatedEnvironment:
    """Observations are standardised features; rewards are divided by `scale`, less `offset`."""

    def __init__(
        self,
        simulator: Simulator,
        view: View,
        starts: Starts,
        scaling: Scaling,
        lanes: int,
        *,
        scale: float = 1.0,
        offset: float = 0.0,
        length: int = LENGTH,
    ) -> None:
        self.lanes = lanes
        self.features = view.raw.shape[1]
        self.actions = len(simulator.world.actions)
        self._simulator, self._view, self._starts = simulator, view, starts
        self._scaling, self._scale, self._offset = scaling, scale, offset
        self._length = length
        self._chance = np.random.default_rng(0)
        self._rows: Rows = np.zeros(lanes, np.int64)
        self._local: Matrix = np.zeros((lanes, len(simulator.local)))
        self._left: Rows = np.zeros(lanes, np.int64)
        self._tried: Expansion | None = None

    def reset(self, seed: int) -> Matrix:
        """Every lane at a start of its own, with episodes of unequal length at first."""
        self._chance = np.random.default_rng([seed, 32])
        self._begin(np.arange(self.lanes))
        self._left = self._chance.integers(1, self._length + 1, self.lanes)
        return self._observe(self._rows, self._local)

    def step(self, chosen: Choices) -> Step:
        """What the actions do; unlawful ones are paid as such and change nothing."""
        tried, lanes = self._expansion(), np.arange(self.lanes)
        rewards = (tried.rewards[lanes, chosen] - self._offset) / self._scale
        local = tried.following[lanes, chosen]
        following = self._observe(self._rows + 1, local)
        self._left -= 1
        cut = (self._left <= 0) | (self._rows + 1 > self._starts.last)
        self._rows, self._local = self._rows + 1, local
        self._tried = None
        observations = following
        if cut.any():
            again = np.flatnonzero(cut)
            self._begin(again)
            observations = following.copy()
            observations[again] = self._observe(self._rows[again], self._local[again])
        return Step(observations, rewards, np.zeros_like(cut), cut, following)

    def lawful(self) -> Mask | None:
        """What the laws allow; all actions where they allow none."""
        lawful = self._expansion().lawful
        return lawful | ~lawful.any(axis=1, keepdims=True)

    def all_rewards(self) -> Matrix | None:
        """Every action's reward in the states where the lanes are."""
        return (self._expansion().rewards - self._offset) / self._scale

    def _expansion(self) -> Expansion:
        if self._tried is None:
            self._tried = self._simulator.expand(self._rows, self._local)
        return self._tried

    def _begin(self, lanes: Rows) -> None:
        """New episodes in some lanes."""
        drawn = self._chance.integers(0, len(self._starts.rows), len(lanes))
        self._rows[lanes] = self._starts.rows[drawn]
        self._local[lanes] = self._starts.local[drawn]
        self._left[lanes] = self._length
        self._tried = None

    def _observe(self, rows: Rows, local: Matrix) -> Matrix:
        return self._scaling.apply(self._view.at(rows, local))
