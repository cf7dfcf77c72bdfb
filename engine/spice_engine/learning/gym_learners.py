"""What learns in a gym pod: algorithms by name, each an endless row of models, one an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spice_engine.errors import InvalidRequest
from spice_engine.learning.algorithms import codes, dql, sacd, vpg
from spice_engine.learning.algorithms.encoded import Encoded
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.environments.encoding import MAX_WIDTH, Encoding
from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.environments.gym_facts import Component, Gym, InvalidEnvironment
from spice_engine.learning.features import Matrix
from spice_engine.learning.gym_algorithms import parse_for_gym
from spice_engine.learning.hyperparameters import Dql, Sacd, Tabular, Vpg
from spice_engine.learning.model import Model
from spice_engine.learning.networks import Network

TABLE_LANES = 16
LOOK_LANES = 16
LOOK_STEPS = 256
"""Steps by chance in each of LOOK_LANES before networks learn, for how large what is seen is."""

_SMALL = 1e-8


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an algorithm is given: `fields` are the components that the pod's fields show.

    `given` are the hyperparameters that somebody wrote, by algorithm.
    """

    gym: Gym
    fields: tuple[Component, ...]
    seed: int
    given: Mapping[str, Mapping[str, Any]]
    check: Callable[[], None]

    @property
    def cells(self) -> int:
        """How many combinations of codes the fields have; 0 where one of them is no code."""
        count = 1
        for one in self.fields:
            count *= one.count
        return count


def portfolio(lesson: Lesson) -> tuple[str, ...]:
    """The algorithms that `auto` tries."""
    return ("tabular",) if 0 < lesson.cells <= codes.MAX_CELLS else ("vpg", "dql")


def models(algorithm: str, lesson: Lesson) -> Iterator[Model]:
    """The models of an algorithm, one after each unit of learning, without end.

    Raises InvalidRequest for an algorithm that does not learn by acting, and InvalidEnvironment
    where it can't learn from what the environment shows.
    """
    settings = parse_for_gym(algorithm, lesson.given.get(algorithm, {}))
    match settings:
        case Tabular():
            return _tables(lesson, settings)
        case Dql():
            return _networks(
                lesson,
                settings.lanes,
                lambda env: dql.learn(env, settings, lesson.seed, lesson.check),
            )
        case Vpg():
            return _networks(
                lesson,
                settings.lanes,
                lambda env: vpg.learn(env, settings, lesson.seed, lesson.check),
            )
        case Sacd():
            return _networks(
                lesson,
                settings.lanes,
                lambda env: sacd.learn(env, settings, lesson.seed, lesson.check),
            )
        case _:
            raise InvalidRequest(
                f"The algorithm '{algorithm}' does not learn by acting in an environment.",
                hint="Use auto, dql, vpg, sacd or tabular.",
            )


def _tables(lesson: Lesson, settings: Tabular) -> Iterator[Model]:
    if not 0 < lesson.cells <= codes.MAX_CELLS:
        raise InvalidEnvironment(
            f"The algorithm 'tabular' needs observations that are at most {codes.MAX_CELLS} codes, "
            f"'{lesson.gym.id}' shows others.",
            hint="Use auto, dql, vpg or sacd.",
        )
    environment = GymEnvironment(lesson.gym, TABLE_LANES)
    counts = tuple(one.count for one in lesson.fields)
    first = tuple(one.low for one in lesson.fields)
    return codes.learn(environment, counts, first, settings.gamma, lesson.seed, lesson.check)


def _networks(
    lesson: Lesson, lanes: int, learn: Callable[[GymEnvironment], Iterator[Network]]
) -> Iterator[Model]:
    encoding = _encoding(lesson)
    environment = GymEnvironment(lesson.gym, lanes, encoding)
    for network in learn(environment):
        yield Encoded(encoding, NetworkModel(network))


def _encoding(lesson: Lesson) -> Encoding:
    """Codes as zeros and a one; measures about 0 and no longer than a few units.

    By the bounds of a measure where it has some, else by how it spreads while one acts by chance.
    """
    counts = tuple(one.count for one in lesson.fields)
    width = sum(max(count, 1) for count in counts)
    if width > MAX_WIDTH:
        raise InvalidEnvironment(
            f"What '{lesson.gym.id}' shows are {width} inputs, a network takes {MAX_WIDTH}.",
            hint="Use tabular.",
        )
    mean, deviation = _look(lesson)
    shift, scale = np.zeros(len(counts)), np.zeros(len(counts))
    for index, one in enumerate(lesson.fields):
        if one.count:
            shift[index] = one.low
        elif np.isfinite(one.high - one.low):
            shift[index] = (one.high + one.low) / 2
            scale[index] = 2.0 / max(one.high - one.low, _SMALL)
        else:
            shift[index] = mean[index]
            scale[index] = 1.0 / max(deviation[index], _SMALL) if deviation[index] > _SMALL else 0.0
    return Encoding(counts, shift, scale)


def _look(lesson: Lesson) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation [F] of the fields while one acts by chance."""
    environment = GymEnvironment(lesson.gym, LOOK_LANES)
    chance = np.random.default_rng([lesson.seed, 5])
    environment.reset(lesson.seed)
    seen: list[Matrix] = []
    for _ in range(LOOK_STEPS):
        step = environment.step(chance.integers(0, environment.actions, LOOK_LANES))
        seen.append(step.observations)
    environment.close()
    lesson.check()
    every = np.concatenate(seen)
    return every.mean(axis=0), every.std(axis=0)
