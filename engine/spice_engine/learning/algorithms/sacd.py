"""`sacd`: soft actor-critic for discrete actions (Christodoulou 2019, "Soft actor-critic for
discrete action settings", after Haarnoja et al. 2018).

The aim is reward plus `temperature` times the entropy of the policy. Two critics value every
action, the lower of both counts (Fujimoto et al. 2018), and both move towards

    reward + gamma * sum over actions of policy(a) * (min Q'(next, a) - temperature * log policy(a))

an expectation over all actions, not a draw; Q' are copies that follow slowly, by `tau`. The actor
moves towards the softmax of min Q / temperature, again by the expectation. The temperature is tuned
so that the policy's entropy comes to the share `entropy` of the most there can be.

What comes out are both slow critics, whose mean is the value: actions that they value most are
those that the actor takes most often.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from spice_engine.learning.algorithms.acting import Floats, Pace, by_chance, draw, mask, softmax
from spice_engine.learning.algorithms.losses import Learned, Losses, mean_square
from spice_engine.learning.algorithms.memory import Memory, Sample
from spice_engine.learning.environments.environment import Environment, Mask
from spice_engine.learning.hyperparameters import Sacd
from spice_engine.learning.networks import MakeNetworks, Network, Networks
from spice_engine.learning.task import Check

CRITICS = 2


def learn(
    environment: Environment,
    settings: Sacd,
    seed: int,
    check: Check,
    start: Network | None = None,
    make: MakeNetworks = Networks,
) -> Iterator[Learned]:
    """After every `updates` gradient steps the slow critics of the moment, without end.

    They go on from `start`, where that is of the same shape, and the actor with what it says.
    `make` says where networks compute.
    """
    chance = np.random.default_rng([seed, 23])
    lanes, actions = environment.lanes, environment.actions
    learner = _Learner(environment.features, actions, settings, chance, start, make)
    observations = environment.reset(seed)
    every = settings.all_actions and settings.gamma == 0 and environment.all_rewards() is not None
    memory = Memory(
        settings.memory,
        environment.features,
        actions,
        gamma=settings.gamma,
        horizon=1,
        every=every,
    )
    pace = Pace(lanes, settings.batch, settings.replay, settings.warm_up)
    allowed, updates, seen, losses = environment.lawful(), 0, 0, Losses()
    while True:
        check()
        if every or seen < settings.warm_up:
            chosen = by_chance(lanes, actions, allowed, chance)
        else:
            preferences = learner.actor.forward(observations.astype(np.float32))[-1][0]
            chosen = draw(softmax(mask(preferences, allowed))[0], chance)
        rewards = environment.all_rewards() if every else None
        step = environment.step(chosen)
        before, allowed = allowed, environment.lawful()
        memory.add(observations, chosen, step, rewards, allowed, before)
        observations = step.observations
        seen += lanes
        for _ in range(pace.due()):
            check()
            sample = memory.sample(1, settings.batch, chance)
            losses.add(**learner.update(sample))
            updates += 1
            if updates % settings.updates == 0:
                yield Learned(learner.slow.network(), losses.take())


class _Learner:
    """Actor, critics, their slow copies, and the temperature."""

    def __init__(
        self,
        features: int,
        actions: int,
        settings: Sacd,
        chance: np.random.Generator,
        start: Network | None,
        make: MakeNetworks,
    ) -> None:
        sizes = (features, *settings.hidden, actions)
        self._settings = settings
        self.actor = make(1, sizes, chance)
        self.critics = make(CRITICS, sizes, chance)
        if start is not None and start.members == CRITICS:
            self.critics.resume(start)
            self.actor.resume(_actor_of(start, settings.temperature))
        self.slow = self.critics.copy()
        self._temperature = _Temperature(
            settings.temperature, settings.entropy * math.log(max(actions, 1)), settings
        )

    def update(self, sample: Sample) -> dict[str, float]:
        """One gradient step of each; losses, temperature and entropy by name."""
        settings = self._settings
        critic = self._update_critics(sample)
        observations, now = sample.observations[0], _first(sample.now)
        layers = self.actor.forward(observations[None])
        chances, logarithms = softmax(mask(layers[-1][0], now))
        values = self.critics.forward(observations)[-1].min(axis=0)
        temperature = self._temperature.value
        cost = np.float32(temperature) * logarithms - values
        middle = np.einsum("na,na->n", chances, cost)[:, None]
        outward = chances * (cost - middle) * np.float32(1.0 / len(cost))
        self.actor.step(layers, outward[None], settings.learning_rate, settings.clip)
        entropy = -float(np.einsum("na,na->", chances, logarithms)) / len(chances)
        self._temperature.update(entropy)
        self.slow.follow(self.critics, settings.tau)
        return {
            "critic": critic,
            "policy": float(middle.mean()),
            "temperature": temperature,
            "entropy": entropy,
        }

    def _update_critics(self, sample: Sample) -> float:
        """One gradient step of both; their mean squared error."""
        settings = self._settings
        observations = sample.observations[0]
        inputs = np.broadcast_to(observations, (CRITICS, *observations.shape))
        layers = self.critics.forward(inputs)
        values = layers[-1]
        share = np.float32(1.0 / len(observations))
        if sample.every is not None:
            errors = values - sample.every
            outward = errors * share
        else:
            goals = sample.rewards[0]
            if sample.following is not None:
                goals = goals + sample.discounts[0] * self._ahead(
                    sample.following[0], _first(sample.allowed)
                )
            rows, taken = np.arange(len(goals)), sample.taken[0]
            outward = np.zeros_like(values)
            errors = values[:, rows, taken] - goals
            outward[:, rows, taken] = errors * share
        loss = mean_square(errors)
        self.critics.step(layers, outward, settings.learning_rate, settings.clip)
        return loss

    def _ahead(self, following: Floats, allowed: Mask | None) -> Floats:
        """The soft value [B] of the next states."""
        chances, logarithms = softmax(mask(self.actor.forward(following)[-1][0], allowed))
        values = self.slow.forward(following)[-1].min(axis=0)
        heat = np.float32(self._temperature.value)
        return np.einsum("na,na->n", chances, values - heat * logarithms)


def _actor_of(critics: Network, temperature: float) -> Network:
    """The softmax of what the first of some critics says, which is where its actor moves to."""
    weights, biases = (
        tuple(one[:1] for one in layers) for layers in (critics.weights, critics.biases)
    )
    return Network(weights, biases).scaled(1 / temperature, np.zeros(critics.sizes[-1]))


class _Temperature:
    """Adam on the logarithm of the temperature, up while the entropy is less than wanted."""

    def __init__(self, start: float, wanted: float, settings: Sacd) -> None:
        self._logarithm, self._wanted, self._rate = math.log(start), wanted, settings.learning_rate
        self._mean = self._square = 0.0
        self._steps = 0

    @property
    def value(self) -> float:
        """What a unit of entropy is worth."""
        return math.exp(self._logarithm)

    def update(self, entropy: float) -> None:
        """One step, from the policy's entropy."""
        slope = self.value * (entropy - self._wanted)
        self._steps += 1
        self._mean = 0.9 * self._mean + 0.1 * slope
        self._square = 0.999 * self._square + 0.001 * slope * slope
        mean = self._mean / (1 - 0.9**self._steps)
        square = self._square / (1 - 0.999**self._steps)
        self._logarithm -= self._rate * mean / (math.sqrt(square) + 1e-8)


def _first(masks: Mask | None) -> Mask | None:
    return None if masks is None else masks[0]
