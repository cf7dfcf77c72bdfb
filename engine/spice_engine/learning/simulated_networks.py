"""`dql`, `vpg` and `sacd` for simulated pods: networks learn while lanes act in the simulator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spice_engine.learning.algorithms.network_learner import Settings, deviation, learn
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.environments.simulated import SimulatedEnvironment, Starts
from spice_engine.learning.features import Scaling
from spice_engine.learning.hyperparameters import Dql, Sacd, Vpg
from spice_engine.learning.simulated_fit import Fitted, Lesson


def fit_networks(lesson: Lesson) -> Iterator[Fitted]:
    """A network after every so many gradient steps.

    Episodes start at the states that the lesson's behaviours came to, which lie in all its steps.
    """
    batch, settings = lesson.batch, _settings(lesson)
    scaling = Scaling.of(lesson.view.at(batch.rows, batch.local))
    paid = batch.rewards[batch.lawful] if batch.lawful.any() else batch.rewards
    # A number taken off all rewards changes no choice, as no episode really ends.
    offset = float(paid.mean()) if settings.gamma < 1 else 0.0
    scale = deviation(paid - offset)
    environment = SimulatedEnvironment(
        lesson.simulator,
        lesson.view,
        Starts(batch.rows, batch.local, int(batch.rows.max())),
        scaling,
        settings.lanes,
        scale=scale,
        offset=offset,
    )
    level = np.full(batch.rewards.shape[1], offset / (1 - settings.gamma) if offset else 0.0)
    networks = learn(environment, settings, lesson.seed, lesson.check)
    for number, network in enumerate(networks, start=1):
        model = NetworkModel(network.scaled(scale, level), scaling)
        detail = {"gamma": settings.gamma, "updates": settings.updates * number}
        yield Fitted(model, settings.gamma, detail)


def _settings(lesson: Lesson) -> Settings:
    settings = lesson.settings
    assert isinstance(settings, Dql | Vpg | Sacd)
    return settings
