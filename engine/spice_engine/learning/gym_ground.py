"""Where the models of a gym pod play: in episodes that have seeds of their own for each purpose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.environments.gym_facts import Gym
from spice_engine.learning.gym_episodes import Act, Played, play

QUICK_EPISODES, SLOW_EPISODES = 32, 16
"""Episodes of the selection, of environments that step all lanes in one go, and of others."""
QUICK_FRESH, SLOW_FRESH = 100, 40
"""Further episodes by which the winner is chosen, and as many again that it is judged by."""


class Ground:
    """Environments to play in, by their number of lanes."""

    def __init__(self, gym: Gym, seed: int, check: Callable[[], None]) -> None:
        self._gym, self._seed, self._check = gym, seed, check
        first = GymEnvironment(gym, QUICK_EPISODES)
        self.quick = first.quick
        if not self.quick:
            first.close()
            first = GymEnvironment(gym, SLOW_EPISODES)
        self._environments = {first.lanes: first}
        self.few = first.lanes
        self.many = QUICK_FRESH if self.quick else SLOW_FRESH

    def play(self, act: Act, lanes: int, purpose: int) -> Played:
        """One episode in each of so many lanes, the same ones for one purpose."""
        seed = seed_of(self._seed, purpose)
        return play(self.environment(lanes), act, seed, self._check)

    def environment(self, lanes: int) -> GymEnvironment:
        """An environment of so many lanes."""
        if lanes not in self._environments:
            self._environments[lanes] = GymEnvironment(self._gym, lanes)
        return self._environments[lanes]

    def close(self) -> None:
        """Free the environments."""
        for environment in self._environments.values():
            environment.close()


def seed_of(seed: int, purpose: int) -> int:
    """A seed of its own for a purpose."""
    return int(np.random.SeedSequence([seed, 1947, purpose]).generate_state(1)[0])
