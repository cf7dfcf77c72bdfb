"""A population that learns in a simulated pod: its members, and what they go through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.learning.simulated_kernel import Kernel

EXPLORING = (0.05, 0.6)
"""How often the members take an action by chance: from the least to the most, evenly."""
LEAST_RATE = 0.02
"""A value is the mean of what was learned at first; later this share of it is always new."""

Words = NDArray[np.uint64]
Arguments = tuple[Any, ...]


@record
class Population:
    """The members' tables [M, S, 2 A] (values, then how often each was learned) and their chance.

    `members` begin at their own random numbers [M]; both arrays change as they learn.
    """

    table: NDArray[np.float32]
    words: Words

    @classmethod
    def begin(cls, members: int, cells: int, actions: int, seed: int) -> Population:
        """Members that know nothing."""
        chance = np.random.default_rng([seed, 5])
        words = chance.integers(1, 2**63, members, dtype=np.uint64)
        return cls(np.zeros((members, cells, 2 * actions), dtype=np.float32), words)

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self.words)

    def learned(self) -> tuple[Matrix, Matrix]:
        """The mean values [S, A] of all members, and how often they were learned [S, A]."""
        actions = self.table.shape[2] // 2
        values, counts = self.table[:, :, :actions], self.table[:, :, actions:]
        seen = counts.sum(axis=0, dtype=np.float64)
        sums = np.einsum("msa,msa->sa", values, counts, dtype=np.float64)
        return sums / np.maximum(seen, 1.0), seen


@record
class Course:
    """What a population learns: cells and steps, what comes counting by `gamma`.

    `base` [N + 1] is the cell of each row from `first` on whose local fields are all in their
    first bins; `edges` [K] of each local field cut it, `strides` [K] are what one bin further
    adds. Episodes begin at row `first`, or a `share` of them in one of the states `rows` [R],
    `local` [R, K] and last `length` steps. Rewards count in units of `unit`.
    """

    base: NDArray[np.int64]
    edges: tuple[Matrix, ...]
    strides: NDArray[np.int64]
    first: int
    gamma: float
    unit: float
    share: float
    rows: NDArray[np.int64]
    local: Matrix

    @property
    def steps(self) -> int:
        """How many steps the longest episode has."""
        return len(self.base) - 1

    @property
    def length(self) -> int:
        """How long an episode lasts that begins anywhere."""
        return max(64, self.steps // 4)

    def own(self, members: int) -> Arguments:
        """What the driver `learn` takes for each of so many members after its random numbers.

        Where it is and its local state, both to be changed; then its least step size, its discount
        and how often it explores.
        """
        explore = np.linspace(*EXPLORING, members)
        return (
            np.zeros((members, 3), dtype=np.int64),
            np.zeros((members, len(self.edges))),
            np.full(members, LEAST_RATE, dtype=np.float32),
            np.full(members, self.gamma, dtype=np.float32),
            (explore * 2.0**32).astype(np.uint64),
        )

    def shared(self, kernel: Kernel, passes: int) -> Arguments:
        """What the driver takes after those, the same for all members."""
        bounds = np.cumsum([0, *(len(one) for one in self.edges)], dtype=np.int64)
        edges = np.concatenate([np.empty(0), *self.edges])
        share = min(self.share, 1.0) * (2.0**32 - 1) if len(self.rows) else 0.0
        return (
            np.uint64(share), self.rows, self.local, self.first, self.first + self.steps,
            self.length, passes, 1.0 / self.unit, self.base, edges, bounds, self.strides,
            kernel.data, kernel.fixed, kernel.initial,
        )  # fmt: skip
