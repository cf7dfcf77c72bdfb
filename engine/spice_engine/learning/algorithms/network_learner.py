"""The learner of `dql`, `vpg` and `sacd` where no action changes what comes: walks over the steps.

An episode is so many gradient steps on top of those before; the first is the best constant action.
Rewards are standardised, so that the step size means the same in every pod, and the discount is 0:
what comes is the same whatever is done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spice_engine.learning.algorithms import dql, sacd, vpg
from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.losses import Learned
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.environments.contextual import ContextualEnvironment
from spice_engine.learning.environments.environment import Environment
from spice_engine.learning.features import Matrix, Scaling
from spice_engine.learning.hyperparameters import Dql, Sacd, Vpg
from spice_engine.learning.kernels.devices import Accelerator
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.learning.model import Model
from spice_engine.learning.networks import MakeNetworks, Network, Networks
from spice_engine.learning.task import Candidate, Check

Settings = Dql | Vpg | Sacd


class NetworkLearner:
    """One network, or a population of them, that learns on from episode to episode."""

    ends_on_equal_scores = True
    cautious = True

    def __init__(
        self, settings: Settings, episodes: int, seed: int, accelerator: Accelerator = "auto"
    ) -> None:
        self._settings = dataclasses.replace(settings, gamma=0.0)
        self._seed = seed
        self._devices = NetworkDevices(accelerator)
        counts = [settings.updates * number for number in range(episodes)]
        self.candidates: Sequence[Candidate] = [
            Candidate(f"{count} gradient steps" if count else "best constant", {"updates": count})
            for count in counts
        ]

    def fit(self, raw: Matrix, rewards: Matrix, check: Check) -> NetworkFit:
        """Learning on some steps."""
        return NetworkFit(raw, rewards, self._settings, self._seed, check, devices=self._devices)

    def fit_from(self, start: Model, raw: Matrix, rewards: Matrix, check: Check) -> NetworkFit:
        """The same, going on from an earlier model's weights where it is of the same shape."""
        return NetworkFit(raw, rewards, self._settings, self._seed, check, start, self._devices)


class NetworkFit:
    """What was learned after each episode; learning goes on when a later one is asked for."""

    def __init__(
        self,
        raw: Matrix,
        rewards: Matrix,
        settings: Settings,
        seed: int,
        check: Check,
        start: Model | None = None,
        devices: NetworkDevices | None = None,
    ) -> None:
        self._raw = raw
        self._devices = devices or NetworkDevices()
        self._scaling = Scaling.of(raw)
        means: Matrix = rewards.mean(axis=0)
        # Where only the taken action's reward counts, an action's own mean is to be learned.
        self._offset = means if settings.all_actions else np.full(len(means), means.mean())
        self._scale = deviation(rewards - self._offset)
        environment = ContextualEnvironment(
            raw, (rewards - self._offset) / self._scale, settings.lanes, self._scaling
        )
        begun = seen_by(start, self._scaling, self._scale, self._offset)

        def begin(make: MakeNetworks) -> Iterator[Learned]:
            return learn(environment, settings, seed, check, begun, make)

        self._learned = self._devices.learn(begin, batch_of(settings))
        self._models: list[Model] = [Constant(means)]
        self._losses: list[Mapping[str, float]] = [{}]
        self._asked = 0

    def model(self, index: int) -> Model:
        """The model after so many episodes of learning."""
        while len(self._models) <= index:
            one = next(self._learned)
            network = one.network.scaled(self._scale, self._offset)
            self._models.append(NetworkModel(network, self._scaling))
            self._losses.append(one.losses)
        self._asked = index
        return self._models[index]

    @property
    def told(self) -> Mapping[str, Any]:
        """The losses on the way to the model that was asked for last, by name, and the device."""
        losses = self._losses[self._asked]
        return {**({"losses": losses} if losses else {}), **self._devices.told}

    def values(self, index: int) -> Matrix:
        """Its values on the fit's own steps."""
        return self.model(index).values(self._raw)


def learn(
    environment: Environment,
    settings: Settings,
    seed: int,
    check: Check,
    start: Network | None = None,
    make: MakeNetworks = Networks,
) -> Iterator[Learned]:
    """The networks of the algorithm that the settings are of, without end, from `start` on."""
    if isinstance(settings, Dql):
        return dql.learn(environment, settings, seed, check, start, make)
    if isinstance(settings, Vpg):
        return vpg.learn(environment, settings, seed, check, start, make)
    return sacd.learn(environment, settings, seed, check, start, make)


def batch_of(settings: Settings) -> int:
    """Each network's samples of a gradient step."""
    return settings.lanes * settings.steps if isinstance(settings, Vpg) else settings.batch


def seen_by(start: Model | None, scaling: Scaling, scale: float, offset: Matrix) -> Network | None:
    """An earlier model's network for features that are standardised so, its values in units of
    `scale`, less `offset` [A].

    None of other models, and of those of other features or actions.
    """
    if not isinstance(start, NetworkModel) or start.scaling is None:
        return None
    network, before = start.network, start.scaling
    if (network.sizes[0], network.sizes[-1]) != (len(scaling.mean), len(offset)):
        return None
    # z' = (x - mean') inverse' of what z = (x - mean) inverse is now.
    some = scaling.inverse > 0
    ratio = np.where(some, before.inverse / np.where(some, scaling.inverse, 1.0), 0.0)
    shift = (scaling.mean - before.mean) * before.inverse
    weights, biases = list(network.weights), list(network.biases)
    biases[0] = biases[0] + shift @ weights[0][:, None]
    weights[0] = weights[0] * ratio[:, None]
    moved = Network(tuple(weights), tuple(biases))
    return moved.scaled(1 / scale, -offset / scale)


def deviation(centred: Matrix) -> float:
    """The root mean square of numbers about 0; 1 where all are 0."""
    # By the largest first, so that squares don't overflow.
    peak = float(np.abs(centred).max(initial=0.0))
    return peak * float(np.sqrt(np.square(centred / peak).mean())) if peak else 1.0
