"""How sure a policy that acts may be: at one moment each action is tried, then the policy goes on.

The same seed and the same actions lead to the same moment again, so that every action can be tried
there, whatever the environment is. The action that returns most from then on was the best one:
that is what confidence is calibrated by, and held to in other episodes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spice_engine.learning.environments.environment import Mask
from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.features import Matrix
from spice_engine.learning.gym_episodes import Act, Played, greedy
from spice_engine.learning.model import Model

MOMENTS = 3
"""Moments that are tried in each lane."""
HORIZON = 200
"""Steps after a moment whose rewards count, at most."""
MOST_ACTIONS = 8
"""Of more actions nothing is said: to try them all takes too long."""


def tried(
    environment: GymEnvironment,
    model: Model,
    played: Played,
    seed: int,
    check: Callable[[], None],
) -> tuple[Matrix, Matrix]:
    """The model's values, and what each action returned [K, A], at moments of some episodes.

    `played` tells how long the policy's episodes are; of lanes whose episode was over before a
    moment nothing is told.
    """
    act, actions = greedy(model), environment.actions
    values: list[Matrix] = []
    returns: list[Matrix] = []
    until = max(int(np.median(played.lengths)), 1)
    for depth in np.random.default_rng(seed).integers(0, until, MOMENTS).tolist():
        found = [_from(environment, act, depth, first, seed, check) for first in range(actions)]
        shown, going, _ = found[0]
        values.append(model.values(shown[going]))
        returns.append(np.stack([total for _, _, total in found], axis=1)[going])
    return np.concatenate(values), np.concatenate(returns)


def _from(
    environment: GymEnvironment,
    act: Act,
    depth: int,
    first: int,
    seed: int,
    check: Callable[[], None],
) -> tuple[Matrix, Mask, Matrix]:
    """What is seen after `depth` steps, in which lanes the first episode still goes on, and what
    it returns [N] from there on, beginning with the action `first`."""
    shown = environment.reset(seed)
    going: Mask = np.ones(environment.lanes, dtype=np.bool_)
    for _ in range(depth):
        step = environment.step(act(shown))
        going &= ~(step.terminal | step.truncated)
        shown = step.observations
    check()
    at, open_lanes = shown, going.copy()
    returns = np.zeros(environment.lanes)
    chosen = np.full(environment.lanes, first, dtype=np.int64)
    for _ in range(HORIZON):
        step = environment.step(chosen)
        returns += np.where(open_lanes, step.rewards, 0.0)
        open_lanes &= ~(step.terminal | step.truncated)
        if not open_lanes.any():
            break
        chosen = act(step.observations)
    check()
    return at, going, returns
