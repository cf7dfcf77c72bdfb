"""The oracle of a simulated pod: the best sequence of actions in hindsight, by beam search.

It knows every row to come, so no policy is expected to reach it. States that are equal at a step
are one; as long as no more than WIDTH are left at any step nothing is given up, and the result is
the exact optimum. Otherwise it is a feasible bound: some sequence of actions does reach it, and a
better one may exist. What is kept then is the best of each region of local states, with the
hindsight of what they will bring, and what scores highest so far.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.learning.simulator import UNLAWFUL, Rows, Simulator

WIDTH = 256
_SCORE_SHARE = 4
"""One in so many places of the beam, at least, goes to the highest scores."""

_CHECK_EVERY = 64


class Oracle:
    """A beam that starts from the initializers at row `first` and is moved on by `advance`."""

    def __init__(self, simulator: Simulator, first: int, width: int = WIDTH) -> None:
        self._simulator = simulator
        self._row = first
        self._width = width
        self._local: Matrix = simulator.initial[None, :].copy()
        self._scores: Matrix = np.zeros(1)
        self._prospects: Matrix | None = None
        self._hashes: NDArray[np.uint64] = np.random.default_rng(2).integers(
            1, 2**63, size=max(1, len(simulator.initial)), dtype=np.uint64
        ) | np.uint64(1)
        self.exact = True

    @property
    def score(self) -> float:
        """The highest score of any sequence of actions that was kept."""
        return float(self._scores.max())

    def advance(self, end: int) -> float:
        """Steps on to row `end`, the one after the last step; returns `score`."""
        while self._row < end:
            if self._row % _CHECK_EVERY == 0:
                self._simulator.check()
            self._step()
        return self.score

    def _step(self) -> None:
        rows = np.full(len(self._local), self._row)
        tried = self._simulator.expand(rows, self._local)
        # Only what a policy may do: an unlawful action where no other is left.
        usable = tried.lawful | ~tried.lawful.any(axis=1, keepdims=True)
        scores = (self._scores[:, None] + tried.rewards)[usable]
        local = tried.following[usable]
        # By score, so that the first of equal states is the best of them.
        order = np.argsort(-scores, kind="stable")
        kept = order[np.sort(self._distinct(local[order]))]
        if len(kept) > self._width:
            self.exact = False
            kept = self._prune(kept, scores, local)
        self._scores, self._local = scores[kept], local[kept]
        self._row += 1

    def _distinct(self, local: Matrix) -> NDArray[np.intp]:
        """The first of each group of equal rows, by a hash of 64 bits."""
        if not local.shape[1]:
            return np.zeros(1, dtype=np.intp)
        bits = (local + 0.0).view(np.uint64)
        mixed = (bits ^ (bits >> np.uint64(29))) * self._hashes
        mixed ^= mixed >> np.uint64(32)
        return np.unique(mixed.sum(axis=1, dtype=np.uint64), return_index=True)[1]

    def _prune(self, kept: NDArray[np.intp], scores: Matrix, local: Matrix) -> NDArray[np.intp]:
        """WIDTH of the states `kept`, which are in the order of their score."""
        if self._prospects is None:
            self._prospects = prospects(self._simulator, self._row)
        promise = scores[kept] + local[kept] @ self._prospects[self._row + 1]
        ranked = kept[np.argsort(-promise, kind="stable")]
        # The most promising of each region, so that states of one kind don't push out the others.
        first = np.sort(np.unique(self._regions(local[ranked]), return_index=True)[1])
        apart = ranked[first][: self._width - self._width // _SCORE_SHARE]
        taken = np.zeros(len(scores), dtype=bool)
        taken[apart] = True
        rest = kept[~taken[kept]][: self._width - len(apart)]
        return np.concatenate([apart, rest])

    def _regions(self, local: Matrix) -> NDArray[np.int64]:
        """In which part of the space of local states each one lies [N]: about WIDTH parts."""
        fields = local.shape[1]
        parts = max(2, round(self._width ** (1 / max(1, fields))))
        low = local.min(axis=0)
        extent = local.max(axis=0) - low
        shares = (local - low) / np.where(extent > 0, extent, 1.0)
        places = np.minimum((shares * parts).astype(np.int64), parts - 1)
        region = np.zeros(len(local), dtype=np.int64)
        for field in range(fields):
            region = region * parts + places[:, field]
        return region


def prospects(simulator: Simulator, first: int) -> Matrix:
    """What one more of each local field brings from each row on [T, K], 0 before row `first`.

    That is what the actions without effect, or else the first action, pay more for it at each
    step, summed up to the best row to get rid of it.
    """
    world = simulator.world
    rows = np.arange(first, len(world.values) - 1)
    result = np.zeros((len(world.values), len(simulator.initial)))
    idle = next((a for a, moves in enumerate(simulator.moves) if not moves), 0)
    if simulator.fixed[idle]:
        return result
    local = np.tile(simulator.initial, (len(rows), 1))
    base = simulator.rewards(idle, rows, local)
    for field in range(local.shape[1]):
        more = local.copy()
        more[:, field] += 1.0
        ahead = 0.0
        slopes = (simulator.rewards(idle, rows, more) - base).tolist()
        for row in range(len(slopes) - 1, -1, -1):
            ahead = max(0.0, slopes[row] + ahead)
            result[first + row, field] = ahead
    return result


def bound(simulator: Simulator, steps: Rows) -> float:
    """What no sequence of actions over `steps` can exceed; infinity where rewards are not fixed.

    Where an episode reaches it, that is the exact oracle, without any search.
    """
    if not all(simulator.fixed):
        return math.inf
    actions = range(len(simulator.fixed))
    best = np.max([simulator.fixed_rewards(action)[steps] for action in actions], axis=0)
    if all(simulator.moves):
        best = np.maximum(best, UNLAWFUL)
    return float(best.sum())
