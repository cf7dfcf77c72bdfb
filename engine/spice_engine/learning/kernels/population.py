"""A population of tables that learn side by side: what it is made of, and a device to learn on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.kernels.arithmetic import UNIT
from spice_engine.learning.kernels.budget import Size
from spice_engine.records import record

Floats = NDArray[np.float32]
Words = NDArray[np.uint32]
Check = Callable[[], None]

MOST_HISTORY = 32
_FAINT = 1e-3
"""A trace that weighs less than this is at its end."""


@record
class Course:
    """What all members see: tiles of every state [N + 1, K], and every action's rewards [N, A].

    Step i goes from state i to state i + 1. `cells` are the rows of a table.
    """

    tiles: Words
    rewards: Floats
    cells: int

    @property
    def steps(self) -> int:
        """Steps of one pass."""
        return len(self.rewards)

    @property
    def actions(self) -> int:
        """Actions there are."""
        return self.rewards.shape[1]


@record
class Exploration:
    """The share of random actions in each pass: `start`, times `decay` after each, `end` at least.

    All members explore alike.
    """

    start: float
    decay: float
    end: float

    def chances(self, first: int, passes: int) -> NDArray[np.uint32]:
        """The chances [passes] of passes from `first` on, in parts of UNIT."""
        counted = first + np.arange(passes, dtype=np.float64)
        shares = np.maximum(self.start * self.decay**counted, self.end)
        return np.round(np.minimum(shares, 1.0) * UNIT).astype(np.uint32)


@dataclass(slots=True)
class Population:
    """Tables `values` [S, A, M] of M members and what each has of its own [M].

    `rates` are step sizes, `gammas` discounts, `traces` lambdas, `words` the states of the random
    numbers. `passes` counts those that are learned.
    """

    values: Floats
    words: Words
    rates: Floats
    gammas: Floats
    traces: Floats
    exploration: Exploration
    passes: int = 0

    @classmethod
    def make(
        cls,
        course: Course,
        rates: Floats,
        gammas: Floats,
        traces: Floats,
        exploration: Exploration,
        seed: int,
    ) -> Population:
        """Members that know nothing; a member's random numbers are those of its place."""
        members = len(rates)
        random = np.random.default_rng([seed, 0x7AB1E])
        words = random.integers(1, 2**32, members, dtype=np.uint32)
        values = np.zeros((course.cells, course.actions, members), dtype=np.float32)
        return cls(values, words, rates, gammas, traces, exploration)

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self.words)

    @property
    def history(self) -> int:
        """Steps that a trace lasts; 1 where there are none."""
        fade = float((self.gammas * self.traces).max())
        if fade <= _FAINT:
            return 1
        return MOST_HISTORY if fade >= 1 else min(MOST_HISTORY, 1 + self._lasting(fade))

    @staticmethod
    def _lasting(fade: float) -> int:
        return math.ceil(math.log(_FAINT) / math.log(fade))

    def size(self, course: Course, passes: int) -> Size:
        """Its shape, for a budget."""
        return Size(
            cells=course.cells,
            actions=course.actions,
            steps=course.steps,
            tilings=course.tiles.shape[1],
            passes=passes,
            history=self.history,
        )


class Device(Protocol):
    """Something that a population learns on."""

    name: str

    def learn(self, population: Population, course: Course, passes: int, check: Check) -> None:
        """Has the population learn for so many more passes; in slices, between which `check`."""
        ...
