"""Gymnasium's environments behind our protocol: many lanes, each reset where its episode ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from spice_engine.errors import InvalidEnvironment
from spice_engine.learning.environments.encoding import Encoding
from spice_engine.learning.environments.environment import Choices, Mask, Matrix, Step
from spice_engine.learning.environments.gym_facts import DONE_COLUMN, Gym
from spice_engine.learning.environments.gym_make import action_range, failed, make
from spice_engine.learning.environments.observations import flat
from spice_engine.learning.rewards import reward_matrix


class GymEnvironment:
    """`lanes` copies of an environment; observations are the pod's fields, encoded if so wished.

    `features` counts the numbers of an observation, `limit` the steps of an episode at most.
    Rewards are given in units of `unit`.
    """

    def __init__(
        self, gym: Gym, lanes: int, encoding: Encoding | None = None, unit: float = 1.0
    ) -> None:
        self._gym, self.lanes = gym, lanes
        self._env, self.limit = make(gym.id, gym.options, lanes)
        self.actions, self._start = action_range(self._env)
        self._space = self._env.single_observation_space
        self._encoding, self._unit = encoding, unit
        self.features = encoding.width if encoding else len(gym.columns)
        self._columns = np.array(gym.columns, dtype=np.int64)
        self._done_columns = np.flatnonzero(self._columns == DONE_COLUMN)
        self._now = np.zeros((lanes, len(gym.columns)))
        self._times = np.zeros(lanes, dtype=np.int64)
        self._lanes = np.arange(lanes)

    @property
    def quick(self) -> bool:
        """Whether all lanes are stepped in one go, so that more of them hardly cost more."""
        return isinstance(self._env, CartPoleVectorEnv)

    def reset(self, seed: int) -> Matrix:
        """Begin a new episode in every lane. Raises InvalidEnvironment as `step` does."""
        try:
            batch, _ = self._env.reset(seed=seed)
        except Exception as failure:
            raise failed(self._gym.id, "its reset", failure) from failure
        self._now = self._fields(batch)
        return self._encoded(self._now)

    def step(self, chosen: Choices) -> Step:
        """Take an action [N] in each lane.

        Raises InvalidEnvironment where the environment fails or gives what is no finite number,
        and what the pod's own rewards raise.
        """
        try:
            batch, rewards, terminal, truncated, _ = self._env.step(chosen + self._start)
        except Exception as failure:
            raise failed(self._gym.id, "a step of it", failure) from failure
        terminal = np.array(terminal, dtype=np.bool_)
        truncated = np.array(truncated, dtype=np.bool_) & ~terminal
        over = terminal | truncated
        led_to = self._fields(batch)
        paid = self._rewards(rewards, chosen, led_to, over)
        following = self._encoded(led_to)
        if not over.any():
            self._now = led_to
            return Step(following, paid, terminal, truncated, following)
        self._now = self._restarted(over)
        return Step(self._encoded(self._now), paid, terminal, truncated, following)

    def lawful(self) -> Mask | None:
        """All actions always are."""
        return None

    def all_rewards(self) -> Matrix | None:
        """Only acting tells."""
        return None

    def close(self) -> None:
        """Free what the environment holds."""
        self._env.close()

    def _rewards(self, given: Any, chosen: Choices, led_to: Matrix, over: Mask) -> Matrix:
        """What the step paid [N]: by the environment, or by the pod's own rewards."""
        if self._gym.rewards is not None:
            after = led_to
            if len(self._done_columns):
                after = led_to.copy()
                after[np.ix_(over, self._done_columns)] = 1.0
            table = reward_matrix(self._gym.rewards, self._now, after, self._times)
            return table[self._lanes, chosen] / self._unit
        paid = np.array(given, dtype=np.float64)
        if not np.isfinite(paid).all():
            raise InvalidEnvironment(f"'{self._gym.id}' gave a reward that is no finite number.")
        return paid / self._unit

    def _restarted(self, over: Mask) -> Matrix:
        """The fields to act on next: lanes whose episode is over begin another."""
        env = self._env
        if self.quick:
            # By itself it would do so in the next step, which would be none of the episode.
            env.state[:, over] = env.np_random.uniform(env.low, env.high, (4, int(over.sum())))
            env.steps[over] = 0
            env.prev_done[over] = False
            return self._fields(env.state.T.astype(np.float32))
        batch, _ = env.reset(options={"reset_mask": over})
        return self._fields(batch)

    def _fields(self, batch: Any) -> Matrix:
        """A batch of observations as the pod's fields [N, F]."""
        shown = flat(self._space, batch, self.lanes)
        if not np.isfinite(shown).all():
            raise InvalidEnvironment(f"'{self._gym.id}' showed a value that is no finite number.")
        fields = shown[:, self._columns]
        if len(self._done_columns):
            fields[:, self._done_columns] = 0.0
        return fields

    def _encoded(self, fields: Matrix) -> Matrix:
        return self._encoding.apply(fields) if self._encoding else fields
