"""Q-learning by acting, where what is seen are codes: a table with a row for every combination.

Watkins and Dayan (1992), "Q-learning": the value of an action goes towards what it paid and the
best that can follow. Lanes step side by side. The more often a cell was visited, the smaller its
step size, and the rarer is an action by chance there, so that all is tried and settles in the end
(Singh et al. 2000, "Convergence results for single-step on-policy algorithms").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spice_engine.learning.environments.environment import Choices, Environment, Mask
from spice_engine.learning.evaluation import best_of
from spice_engine.learning.features import Matrix
from spice_engine.learning.packed import pack_floats, unpack_floats

MAX_CELLS = 1_000_000
"""Rows of the table, at most."""

UNIT = 16_384
"""Steps of all lanes together between one table and the next."""

CHECK_STEPS = 32
LEAST_CHANCE = 0.02
LEAST_STEP = 0.01
_POWER = 0.7


@dataclass(frozen=True)
class Codes:
    """A table `mean` [cells, A] over fields that are codes, the last field fastest.

    Field i has `counts[i]` codes from `first[i]` on; what is none of them has the mean of all.
    """

    counts: tuple[int, ...]
    first: tuple[float, ...]
    mean: Matrix

    kind: ClassVar[str] = "codes"

    def values(self, raw: Matrix) -> Matrix:
        """The values [N, A] of raw features [N, D]."""
        cells, known = self.cells(raw)
        found: Matrix = self.mean[cells]
        if not known.all():
            found[~known] = self.mean.mean(axis=0)
        return found

    def cells(self, raw: Matrix) -> tuple[Choices, Mask]:
        """The cell [N] of each row, and whether it has one."""
        code = np.rint(raw - np.array(self.first)).astype(np.int64)
        counts = np.array(self.counts, dtype=np.int64)
        known: Mask = np.logical_and(code >= 0, code < counts).min(axis=1)
        cells: Choices = np.zeros(len(raw), dtype=np.int64)
        for index, count in enumerate(self.counts):
            cells = cells * count + np.clip(code[:, index], 0, count - 1)
        return cells, known

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """The cell's lead over the mean of all, in equal parts to the fields [D]."""
        (values,) = self.values(raw[None])
        mean = self.mean.mean(axis=0)
        lead = (values[chosen] - values[second]) - (mean[chosen] - mean[second])
        return np.full(len(raw), lead / max(len(raw), 1))

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """The cell as a condition for each field."""
        return tuple(f"{name} = {value:g}" for name, value in zip(names, raw.tolist(), strict=True))

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {
            "counts": list(self.counts),
            "first": pack_floats(np.array(self.first)),
            "mean": pack_floats(self.mean),
        }

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> Codes:
        """Reads it back; ValueError where it is of other features or actions."""
        counts = tuple(int(count) for count in content["counts"])
        if len(counts) != features or not all(count > 0 for count in counts):
            raise ValueError("the table is of other features")
        first = tuple(unpack_floats(content["first"], (features,)).tolist())
        return cls(counts, first, unpack_floats(content["mean"], (math.prod(counts), actions)))


def learn(
    environment: Environment,
    counts: tuple[int, ...],
    first: tuple[float, ...],
    gamma: float,
    seed: int,
    check: Callable[[], None],
) -> Iterator[Codes]:
    """The table after every UNIT steps, for ever; `environment` shows fields that are codes."""
    rng = np.random.default_rng(seed)
    actions, lanes = environment.actions, environment.lanes
    table = Codes(counts, first, np.zeros((math.prod(counts), actions)))
    values, visits = table.mean, np.zeros(table.mean.shape)
    cells, _ = table.cells(environment.reset(seed))
    while True:
        for number in range(max(UNIT // lanes, 1)):
            if number % CHECK_STEPS == 0:
                check()
            chosen = _explore(values[cells], visits[cells], rng)
            step = environment.step(chosen)
            following, _ = table.cells(step.following)
            ahead = np.where(step.terminal, 0.0, values[following].max(axis=1))
            error = step.rewards + gamma * ahead - values[cells, chosen]
            np.add.at(visits, (cells, chosen), 1.0)
            size = np.maximum(visits[cells, chosen] ** -_POWER, LEAST_STEP)
            # Lanes in one cell share its step, so that many of them don't overshoot.
            _, place, shared = np.unique(
                cells * actions + chosen, return_inverse=True, return_counts=True
            )
            np.add.at(values, (cells, chosen), size * error / shared[place])
            cells, _ = table.cells(step.observations)
        yield Codes(counts, first, values.copy())


def _explore(values: Matrix, visits: Matrix, rng: np.random.Generator) -> Choices:
    """An action for each row [N, A]: the best, of equals any; by chance where little was tried."""
    lanes, actions = len(values), int(values.shape[1])
    seen: Matrix = visits.sum(axis=1)
    chance: Matrix = np.maximum(LEAST_CHANCE, actions / (actions + seen))
    drawn: Matrix = rng.random(values.shape)
    best: Choices = np.where(best_of(values), drawn, -1.0).argmax(axis=1)
    astray: Mask = rng.random(lanes) < chance
    best[astray] = rng.integers(0, actions, lanes)[astray]
    return best
