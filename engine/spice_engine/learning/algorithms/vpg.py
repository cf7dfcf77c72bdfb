"""`vpg`: vanilla policy gradient (Williams 1992, "Simple statistical gradient-following algorithms
for connectionist reinforcement learning"; Sutton et al. 2000).

A network gives every action a preference; the policy draws actions by the softmax of them. All
lanes go some steps, then one gradient step makes what turned out better than expected likelier:

    gradient of log policy(action) * advantage

The advantage is the return less a `baseline`, a value of the state that the same network learns;
`trace` mixes returns of all lengths (Schulman et al. 2016, "High-dimensional continuous control
using generalized advantage estimation"): 1 is Williams's. A reward for `entropy` keeps the policy
from settling too early (Williams & Peng 1991).

Where every action's reward is known and nothing that is done changes what comes, the expectation
over all actions takes the place of the one drawn (Ciosek & Whiteson 2018): `all_actions`.

What comes out is a running mean of the networks (Polyak & Juditsky 1992), which is steadier. Its
values are the baseline's plus the leads of the preferences, so the best action is the likeliest
one; leads are logarithms of probabilities, not rewards.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spice_engine.learning.algorithms.acting import FORBIDDEN, Floats, draw, mask, softmax
from spice_engine.learning.algorithms.losses import Learned, Losses, mean_square
from spice_engine.learning.environments.environment import Choices, Environment, Mask, Matrix
from spice_engine.learning.hyperparameters import Vpg
from spice_engine.learning.networks import MakeNetworks, Network, Networks
from spice_engine.learning.task import Check
from spice_engine.records import record


@record
class _Path:
    """S steps of N lanes: where they were, what they did, how much better than expected it was.

    `every` are all actions' rewards where those are learned from; `gains` and `returns` else.
    """

    observations: Floats
    allowed: Mask | None
    taken: Choices
    gains: Floats
    returns: Floats
    every: Floats | None


def learn(
    environment: Environment,
    settings: Vpg,
    seed: int,
    check: Check,
    start: Network | None = None,
    make: MakeNetworks = Networks,
) -> Iterator[Learned]:
    """After every `updates` gradient steps the network of the moment, without end.

    It goes on from `start`, where that is of the same shape; `make` says where networks compute.
    """
    chance = np.random.default_rng([seed, 22])
    sizes = (environment.features, *settings.hidden, environment.actions + 1)
    policy = make(1, sizes, chance)
    if start is not None:
        policy.resume(start)
    mean, updates, losses = policy.copy(), 0, Losses()
    walk = _Walk(environment, settings, seed, chance, check)
    while True:
        for _ in range(settings.updates):
            losses.add(**_update(policy, walk.go(policy), settings))
            updates += 1
            mean.follow(policy, max(settings.averaging, 1.0 / updates))
        yield Learned(mean.network(leads=True), losses.take())


class _Walk:
    """The lanes' way through the environment."""

    def __init__(
        self,
        environment: Environment,
        settings: Vpg,
        seed: int,
        chance: np.random.Generator,
        check: Check,
    ) -> None:
        self._environment, self._settings, self._chance = environment, settings, chance
        self._check = check
        self._observations = environment.reset(seed)
        self._allowed = environment.lawful()
        known = environment.all_rewards() is not None
        self._every = settings.all_actions and settings.gamma == 0 and known

    def go(self, policy: Networks) -> _Path:
        """Some steps of all lanes by the policy."""
        environment, settings = self._environment, self._settings
        count, lanes = settings.steps, environment.lanes
        shape = (count, lanes)
        observations = np.empty((*shape, environment.features), np.float32)
        taken = np.empty(shape, np.int64)
        rewards, values = np.zeros(shape), np.zeros((count + 1, lanes))
        following, weights = np.zeros(shape), np.ones(shape)
        masks: list[Mask] = []
        every = np.empty((*shape, environment.actions), np.float32) if self._every else None
        for index in range(count):
            self._check()
            observations[index] = self._observations
            if self._allowed is not None:
                masks.append(self._allowed)
            if every is not None:
                every[index] = environment.all_rewards()
                taken[index] = 0  # changes neither what is learned nor what comes
            else:
                outputs = policy.forward(observations[index])[-1][0]
                values[index] = outputs[:, -1]
                chances, _ = softmax(mask(outputs[:, :-1], self._allowed))
                taken[index] = draw(chances, self._chance)
            step = environment.step(taken[index])
            rewards[index] = step.rewards
            if settings.baseline and step.truncated.any():
                # What an episode would have been worth that was cut is added to its last reward.
                cut = np.flatnonzero(step.truncated & ~step.terminal)
                rest = policy.forward(step.following[cut].astype(np.float32))[-1][0][:, -1]
                rewards[index, cut] += settings.gamma * rest
            weights[index] = ~(step.terminal | step.truncated)
            self._observations, self._allowed = step.observations, environment.lawful()
        last = policy.forward(self._observations.astype(np.float32))[-1][0]
        values[count] = last[:, -1]
        if not settings.baseline:
            values[:] = 0.0
        following = settings.gamma * weights
        gains = _gains(rewards, values, following, settings.trace if settings.baseline else 1.0)
        returns = gains + values[:-1]
        return _Path(
            _flat(observations),
            np.concatenate(masks) if masks else None,
            taken.reshape(-1),
            _even(gains).reshape(-1),
            returns.reshape(-1).astype(np.float32),
            None if every is None else _flat(every),
        )


def _gains(rewards: Matrix, values: Matrix, weights: Matrix, trace: float) -> Matrix:
    """Advantages [S, N] of steps; `values` [S + 1, N], `weights` of what comes after each step."""
    gains = np.zeros(rewards.shape)
    ahead = np.zeros(rewards.shape[1])
    for index in range(len(rewards) - 1, -1, -1):
        surprise = rewards[index] + weights[index] * values[index + 1] - values[index]
        ahead = surprise + trace * weights[index] * ahead
        gains[index] = ahead
    return gains


def _even(gains: Matrix) -> Floats:
    """Advantages of mean 0 and deviation 1, so that the step does not depend on their size."""
    deviation = float(gains.std())
    return ((gains - gains.mean()) / (deviation if deviation > 1e-8 else 1.0)).astype(np.float32)


def _flat(steps: Floats) -> Floats:
    return steps.reshape(-1, steps.shape[-1])


def _update(policy: Networks, path: _Path, settings: Vpg) -> dict[str, float]:
    """One gradient step: of the policy, its entropy, and the baseline; their losses by name."""
    layers = policy.forward(path.observations[None])
    outputs = layers[-1][0]
    chances, logarithms = softmax(mask(outputs[:, :-1], path.allowed))
    share = np.float32(1.0 / len(outputs))
    rows = np.arange(len(outputs))
    if path.every is not None:
        returns = np.einsum("na,na->n", chances, path.every)
        push = -chances * (path.every - returns[:, None])
        loss = -float(returns.mean())
    else:
        returns = path.returns
        push = chances * path.gains[:, None]
        push[rows, path.taken] -= path.gains
        loss = -float(np.vdot(logarithms[rows, path.taken], path.gains)) / len(rows)
    logarithms = np.maximum(logarithms, FORBIDDEN)
    entropy = -np.einsum("na,na->n", chances, logarithms)
    if settings.entropy:
        push += np.float32(settings.entropy) * chances * (logarithms + entropy[:, None])
    outward = np.empty_like(outputs)
    outward[:, :-1] = push * share
    error = outputs[:, -1] - returns
    outward[:, -1] = error * (share * np.float32(settings.baseline_weight * settings.baseline))
    losses = {"policy": loss, "entropy": float(entropy.mean())}
    if settings.baseline:
        losses["value"] = mean_square(error)
    policy.step(layers, outward[None], settings.learning_rate, settings.clip)
    return losses
