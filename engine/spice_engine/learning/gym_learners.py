"""What learns in a gym pod: algorithms by name, each an endless row of models, one an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from itertools import islice
from typing import Any

import numpy as np

from spice_engine.errors import InvalidEnvironment, InvalidRequest
from spice_engine.learning.algorithms import codes
from spice_engine.learning.algorithms.encoded import Encoded
from spice_engine.learning.algorithms.losses import Learned
from spice_engine.learning.algorithms.network_learner import batch_of, learn
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.environments.encoding import MAX_WIDTH, Encoding
from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.environments.gym_facts import Component, Gym
from spice_engine.learning.features import Matrix
from spice_engine.learning.gym_algorithms import parse_for_gym
from spice_engine.learning.hyperparameters import Dql, Sacd, Tabular, Vpg
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.learning.model import Model
from spice_engine.learning.networks import MakeNetworks
from spice_engine.records import record

TABLE_LANES = 16
LOOK_LANES = 16
LOOK_STEPS = 256
"""Steps by chance in each of LOOK_LANES before networks learn, for how large what is seen is."""

PATIENCE = 5
"""Units of learning without getting better after which an algorithm begins anew, at first."""

LEAST_REST = 1e-3
_SMALL = 1e-8


@record
class Lesson:
    """What an algorithm is given: `fields` are the components that the pod's fields show.

    `given` are the hyperparameters that somebody wrote, by algorithm; networks learn on `devices`.
    """

    gym: Gym
    fields: tuple[Component, ...]
    seed: int
    given: Mapping[str, Mapping[str, Any]]
    check: Callable[[], None]
    devices: NetworkDevices = field(default_factory=NetworkDevices)

    @property
    def cells(self) -> int:
        """How many combinations of codes the fields have; 0 where one of them is no code."""
        count = 1
        for one in self.fields:
            count *= one.count
        return count


@record
class Unit:
    """The model after a unit of learning, and the losses on the way there by name."""

    model: Model
    losses: Mapping[str, float] = field(default_factory=dict[str, float])


def portfolio(lesson: Lesson) -> tuple[str, ...]:
    """The algorithms that `auto` tries."""
    return ("tabular",) if 0 < lesson.cells <= codes.MAX_CELLS else ("vpg", "dql")


def units(algorithm: str, lesson: Lesson) -> Iterator[Unit]:
    """The units of learning of an algorithm, without end.

    Raises InvalidRequest for an algorithm that does not learn by acting, and InvalidEnvironment
    where it can't learn from what the environment shows.
    """
    settings = parse_for_gym(algorithm, lesson.given.get(algorithm, {}))
    match settings:
        case Tabular():
            return _tables(lesson, settings)
        case Vpg():
            # Returns of about 1, which the baseline learns at once.
            ground = _Ground.of(lesson, ahead=1.0 / max(1.0 - settings.gamma, LEAST_REST))
        case Dql() | Sacd():
            ground = _Ground.of(lesson)
        case _:
            raise InvalidRequest(
                f"The algorithm '{algorithm}' does not learn by acting in an environment.",
                hint="Use auto, dql, vpg, sacd or tabular.",
            )
    environment = ground.environment(settings.lanes)

    def begin(make: MakeNetworks) -> Iterator[Learned]:
        return learn(environment, settings, lesson.seed, lesson.check, None, make)

    return (
        Unit(Encoded(ground.encoding, NetworkModel(one.network), ground.unit), one.losses)
        for one in lesson.devices.learn(begin, batch_of(settings))
    )


class Pupil:
    """An algorithm that learns, and begins anew with other chance when it gets no better.

    Networks that learn by acting may be caught in a poor habit; beginning anew is cheap where they
    learn fast. How long is waited goes as Luby, Sinclair and Zuckerman (1993) have it, "Optimal
    speedup of Las Vegas algorithms": 1, 1, 2, 1, 1, 2, 4 … times PATIENCE, so that what learns
    slowly learns in the end. A table only ever gets nearer to the truth, and goes on.
    """

    def __init__(self, algorithm: str, lesson: Lesson) -> None:
        self._algorithm, self._lesson = algorithm, lesson
        self._units: Iterator[Unit] | None = None
        self._idle = self._begun = self._done = 0
        self._best: float | None = None

    def learn(self) -> Unit:
        """One more unit of learning."""
        patience = PATIENCE * luby(self._begun + 1)
        if self._idle >= patience and self._algorithm != "tabular":
            self._begun += 1
            self._idle = self._done = 0
            self._best = self._units = None
        if self._units is None:
            # What an earlier process learned in this attempt is learned again, to the same end.
            self._units = islice(units(self._algorithm, self._attempt()), self._done, None)
        self._done += 1
        return next(self._units)

    def _attempt(self) -> Lesson:
        """The lesson, with other chance where it is not the first attempt."""
        if not self._begun:
            return self._lesson
        seeds = np.random.SeedSequence([self._lesson.seed, self._begun])
        return replace(self._lesson, seed=int(seeds.generate_state(1)[0]))

    def told(self, score: float) -> None:
        """What the model last learned returns."""
        better = self._best is None or score > self._best
        self._best = score if better else self._best
        self._idle = 0 if better else self._idle + 1

    def to_data(self) -> dict[str, Any]:
        """Where it is, for a checkpoint."""
        return {
            "begun": self._begun,
            "done": self._done,
            "idle": self._idle,
            "best": self._best,
        }

    def go_on(self, data: Mapping[str, Any]) -> None:
        """Takes over what `to_data` gave in an earlier process."""
        self._begun, self._done = data["begun"], data["done"]
        self._idle, self._best = data["idle"], data["best"]


def luby(number: int) -> int:
    """The sequence 1, 1, 2, 1, 1, 2, 4, 1 … from number 1 on."""
    power = 1
    while 2 * power - 1 < number:
        power *= 2
    return power if 2 * power - 1 == number else luby(number - power + 1)


def _tables(lesson: Lesson, settings: Tabular) -> Iterator[Unit]:
    if not 0 < lesson.cells <= codes.MAX_CELLS:
        raise InvalidEnvironment(
            f"The algorithm 'tabular' needs observations that are at most {codes.MAX_CELLS} codes, "
            f"'{lesson.gym.id}' shows others.",
            hint="Use auto, dql, vpg or sacd.",
        )
    environment = GymEnvironment(lesson.gym, TABLE_LANES)
    counts = tuple(one.count for one in lesson.fields)
    first = tuple(one.low for one in lesson.fields)
    learned = codes.learn(environment, counts, first, settings.gamma, lesson.seed, lesson.check)
    return (Unit(model) for model in learned)


@record
class _Ground:
    """How networks see an environment: its fields encoded, its rewards in units of `unit`."""

    gym: Gym
    encoding: Encoding
    unit: float

    @classmethod
    def of(cls, lesson: Lesson, ahead: float = 1.0) -> _Ground:
        """Rewards of about 1 / `ahead`; codes as zeros and a one; measures of about 1.

        A measure by its bounds where it has some, else by how it spreads while one acts by chance.
        """
        counts = tuple(one.count for one in lesson.fields)
        width = sum(max(count, 1) for count in counts)
        if width > MAX_WIDTH:
            raise InvalidEnvironment(
                f"What '{lesson.gym.id}' shows are {width} inputs, a network takes {MAX_WIDTH}.",
                hint="Use tabular.",
            )
        mean, deviation, size = _look(lesson)
        shift, scale = np.zeros(len(counts)), np.zeros(len(counts))
        for index, one in enumerate(lesson.fields):
            if one.count:
                shift[index] = one.low
            elif np.isfinite(one.high - one.low):
                shift[index] = (one.high + one.low) / 2
                scale[index] = 2.0 / (one.high - one.low) if one.high > one.low else 0.0
            else:
                shift[index] = mean[index]
                scale[index] = 1.0 / deviation[index] if deviation[index] > _SMALL else 0.0
        unit = ahead * size if size > _SMALL else 1.0
        return cls(lesson.gym, Encoding(counts, shift, scale), unit)

    def environment(self, lanes: int) -> GymEnvironment:
        """The environment in so many lanes."""
        return GymEnvironment(self.gym, lanes, self.encoding, self.unit)


def _look(lesson: Lesson) -> tuple[Matrix, Matrix, float]:
    """Mean and deviation [F] of the fields while one acts by chance, and the size of rewards."""
    environment = GymEnvironment(lesson.gym, LOOK_LANES)
    chance = np.random.default_rng([lesson.seed, 5])
    environment.reset(lesson.seed)
    seen: list[Matrix] = []
    paid: list[Matrix] = []
    for _ in range(LOOK_STEPS):
        step = environment.step(chance.integers(0, environment.actions, LOOK_LANES))
        seen.append(step.observations)
        paid.append(step.rewards)
    environment.close()
    lesson.check()
    every = np.concatenate(seen)
    size = float(np.sqrt(np.square(np.concatenate(paid)).mean()))
    return every.mean(axis=0), every.std(axis=0), size
