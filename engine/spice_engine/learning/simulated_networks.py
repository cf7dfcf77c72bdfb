"""`dql`, `vpg` and `sacd` for simulated pods.

What every action would do is known in a simulator: `dql` learns from all outcomes of the lesson's
states, unless told otherwise. The others learn while lanes act.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spice_engine.learning.algorithms import dql_outcomes
from spice_engine.learning.algorithms.dql_outcomes import Outcomes
from spice_engine.learning.algorithms.losses import Learned
from spice_engine.learning.algorithms.network_learner import (
    Settings,
    batch_of,
    deviation,
    learn,
    seen_by,
)
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.environments.simulated import SimulatedEnvironment, Starts
from spice_engine.learning.features import Matrix, Scaling
from spice_engine.learning.hyperparameters import Dql, Sacd, Vpg, parse_for_simulated
from spice_engine.learning.networks import Floats, MakeNetworks
from spice_engine.learning.simulated_fit import Fitted, Lesson
from spice_engine.learning.simulated_values import Leads
from spice_engine.learning.simulator import Rows

Made = tuple[Iterator[Learned], float]
"""Networks, and what a unit of their values is in rewards."""


def fit_networks(lesson: Lesson) -> Iterator[Fitted]:
    """A network after every so many gradient steps."""
    batch, settings = lesson.batch, _settings(lesson)
    scaling = Scaling.of(lesson.view.at(batch.rows, batch.local))
    paid = batch.rewards[batch.lawful] if batch.lawful.any() else batch.rewards
    # A number taken off all rewards changes no choice, as no episode really ends.
    offset = float(paid.mean()) if settings.gamma < 1 else 0.0
    if isinstance(settings, Dql) and settings.all_actions:
        learned, scale = _from_outcomes(lesson, settings, scaling, offset)
    else:
        learned, scale = _from_acting(lesson, settings, scaling, offset)
    level = _level(lesson, settings, offset)
    for number, one in enumerate(learned, start=1):
        model = NetworkModel(one.network.scaled(scale, level), scaling)
        detail = {
            "gamma": settings.gamma,
            "updates": settings.updates * number,
            "losses": dict(one.losses),
            **lesson.network_devices.told,
        }
        yield Fitted(model, settings.gamma, detail)


def _level(lesson: Lesson, settings: Settings, offset: float) -> Matrix:
    """What was taken off the values of all actions [A], as it was off each reward."""
    level = np.zeros(lesson.batch.rewards.shape[1])
    return level + offset / (1 - settings.gamma) if offset else level


def _from_outcomes(lesson: Lesson, settings: Dql, scaling: Scaling, offset: float) -> Made:
    batch, view = lesson.batch, lesson.view

    def seen(rows: Rows, local: Matrix) -> Floats:
        return scaling.apply(view.at(rows, local)).astype(np.float32)

    following = [
        seen(batch.rows + 1, batch.following[:, action]) for action in range(batch.rewards.shape[1])
    ]
    parts = Leads.of(batch.rewards - offset, batch.lawful)
    scale = deviation(parts.leads[batch.lawful])
    spread = float((parts.level / scale).std())
    outcomes = Outcomes(
        observations=seen(batch.rows, batch.local),
        rewards=((batch.rewards - offset) / scale).astype(np.float32),
        following=np.stack(following, axis=1),
        lawful=batch.lawful | ~batch.lawful.any(axis=1, keepdims=True),
        later=batch.later | ~batch.later.any(axis=2, keepdims=True),
        level=min(1.0, 1.0 / max(spread, 1e-3) ** 2),
    )
    start = seen_by(lesson.start, scaling, scale, _level(lesson, settings, offset))

    def begin(make: MakeNetworks) -> Iterator[Learned]:
        return dql_outcomes.learn(outcomes, settings, lesson.seed, lesson.check, start, make)

    return lesson.network_devices.learn(begin, batch_of(settings)), scale


def _from_acting(lesson: Lesson, settings: Settings, scaling: Scaling, offset: float) -> Made:
    """Episodes start at the states that the lesson's behaviours came to."""
    batch = lesson.batch
    scale = deviation((batch.rewards - offset)[batch.lawful])
    environment = SimulatedEnvironment(
        lesson.simulator,
        lesson.view,
        Starts(batch.rows, batch.local, int(batch.rows.max())),
        scaling,
        settings.lanes,
        scale=scale,
        offset=offset,
    )
    start = seen_by(lesson.start, scaling, scale, _level(lesson, settings, offset))

    def begin(make: MakeNetworks) -> Iterator[Learned]:
        return learn(environment, settings, lesson.seed, lesson.check, start, make)

    return lesson.network_devices.learn(begin, batch_of(settings)), scale


def _settings(lesson: Lesson) -> Settings:
    """Those of the algorithm itself, or `dql` for others that try it."""
    settings = lesson.settings
    if isinstance(settings, Dql | Vpg | Sacd):
        return settings
    own = parse_for_simulated("dql", {"gamma": lesson.gamma})
    assert isinstance(own, Dql)
    return own
