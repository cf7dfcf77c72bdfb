"""Fitted Q iteration's arithmetic: targets of a batch, and values of cells that average samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.simulated_batch import Batch
from spice_engine.learning.simulator import Cube, Lawful, Rows, World
from spice_engine.records import record

MAX_SWEEPS = 60
_CLOSE = 1e-3
_TINY = 1e-9

Codes = NDArray[np.int64]


@record
class Cells:
    """Which of `count` cells each sample is in: `codes` [N] its state, `later` [N, A] the next."""

    codes: Codes
    later: Codes
    count: int


class View:
    """Raw features of any row with any local state.

    `raw` [N, D] are those of consecutive rows from `first` on; the local fields stand in the
    columns `local` [K] of it.
    """

    def __init__(self, raw: Matrix, first: int, local: Rows) -> None:
        self.raw = raw
        self.first = first
        self.local = local

    @classmethod
    def of(cls, layout: Layout, world: World, steps: Rows) -> View:
        """What a policy of that layout sees of consecutive steps of a world, and of their end."""
        first, last = int(steps[0]), int(steps[-1])
        local = [layout.position(name) for name in world.local]
        rows = np.arange(first, last + 2, dtype=np.int64)
        return cls(layout.raw(world.values, rows), first, np.array(local, dtype=np.int64))

    def at(self, rows: Rows, local: Matrix) -> Matrix:
        """Features [N, D] at `rows` [N] in the local states [N, K]; a copy."""
        raw = self.raw[rows - self.first]
        raw[:, self.local] = local
        return raw

    def row(self, row: int, local: list[float]) -> list[float]:
        """The same of one state."""
        raw: list[float] = self.raw[row - self.first].tolist()
        for column, value in zip(self.local.tolist(), local, strict=True):
            raw[column] = value
        return raw


def best_ahead(values: Cube, allowed: NDArray[np.bool_]) -> Matrix:
    """The highest value [N, A] of the next state's allowed actions; of all where none is allowed.

    `values` and `allowed` are [N, A, A]: the second axis is the action taken, the third the next.
    """
    # Action by action: reducing a short last axis takes several times as long.
    best = np.full(values.shape[:2], -np.inf)
    for action in range(values.shape[2]):
        one = np.where(allowed[:, :, action], values[:, :, action], -np.inf)
        np.maximum(best, one, out=best)
    stuck = np.isneginf(best)
    if stuck.any():
        best[stuck] = values[stuck].max(axis=1)
    return best


@record
class Leads:
    """Targets [N, A] taken apart: the `level` [N] of each state, and how far actions lead it.

    `leads` [N, A] are 0 where an action is unlawful. The level is the target of the actions that
    are always lawful, so that it means the same in every state; where there are none, the mean of
    those that are lawful. Averaged apart, an action that is lawful in good states only is not
    taken for a good one.
    """

    level: Matrix
    leads: Matrix

    @classmethod
    def of(cls, targets: Matrix, lawful: Lawful) -> Leads:
        """Takes targets apart."""
        always = lawful.all(axis=0)
        if always.any():
            level: Matrix = targets[:, always].mean(axis=1)
        else:
            counts = np.maximum(lawful.sum(axis=1), 1)
            level = np.where(lawful, targets, 0.0).sum(axis=1) / counts
        return cls(level, np.where(lawful, targets - level[:, None], 0.0))

    def means(self, lawful: Lawful) -> Matrix:
        """Each action's mean lead over the states where it is lawful [A]."""
        return self.leads.sum(axis=0) / np.maximum(lawful.sum(axis=0), 1)

    def filled(self, lawful: Lawful) -> Matrix:
        """The leads, with an action's mean where it is unlawful.

        What it would be worth there is never asked, so it shall not shape the fit.
        """
        return np.where(lawful, self.leads, self.means(lawful))


def fill_unlawful(targets: Matrix, lawful: Lawful) -> Matrix:
    """Targets [N, A] where an unlawful action leads as it does where it is lawful."""
    parts = Leads.of(targets, lawful)
    return parts.level[:, None] + parts.filled(lawful)


def shape_targets(targets: Matrix, lawful: Lawful) -> Matrix:
    """What a tree's splits shall explain [N, A + 1]: which action leads, and how good the state is.

    The leads are small beside the noise that all actions share, so each is put on its own scale.
    """
    parts = Leads.of(targets, lawful)
    leads = parts.filled(lawful)
    spread, height = float(leads.std()), float(parts.level.std())
    level = parts.level[:, None]
    return np.concatenate(
        [leads / spread if spread > 0 else leads, level / height if height > 0 else level], axis=1
    )


def solve_cells(
    groups: Sequence[Cells],
    batch: Batch,
    *,
    gamma: float,
    prior: float,
    check: Callable[[], None],
) -> tuple[list[Matrix], Matrix]:
    """Values [cells, A] of each group that agree with the samples, their mean being the value.

    Gives the targets [N, A] that they are means of as well: a sample's reward plus `gamma` times
    the best ahead. Averages over fixed cells always converge; what all actions and states gain
    alike in a sweep changes no choice, so it is not waited for.
    `prior` samples of an action's mean lead are added to every cell.
    """
    weights = batch.lawful.astype(np.float64)
    counts = [_sums(group, weights) + prior for group in groups]
    sizes = [np.bincount(group.codes, minlength=group.count) + _TINY for group in groups]
    values = [np.zeros(count.shape) for count in counts]
    targets = batch.rewards
    for sweep in range(MAX_SWEEPS):
        check()
        if sweep and gamma:
            ahead = np.zeros((*batch.rewards.shape, batch.rewards.shape[1]))
            for one, group in zip(values, groups, strict=True):
                ahead += one[group.later]
            targets = batch.rewards + gamma * best_ahead(ahead / len(groups), batch.later)
        parts = Leads.of(targets, batch.lawful)
        added = prior * parts.means(batch.lawful)
        middle = float(parts.level.mean())
        new = [
            ((np.bincount(group.codes, parts.level - middle, group.count) / size) + middle)[:, None]
            + (_sums(group, parts.leads) + added) / (count + _TINY)
            for group, size, count in zip(groups, sizes, counts, strict=True)
        ]
        change = max(float(np.ptp(a - b)) for a, b in zip(new, values, strict=True))
        values = new
        if gamma == 0 or (sweep and change <= _CLOSE * _spread(values)):
            break
    return values, targets


def _sums(group: Cells, weights: Matrix) -> Matrix:
    result: Matrix = np.empty((group.count, weights.shape[1]))
    for action in range(weights.shape[1]):
        result[:, action] = np.bincount(group.codes, weights[:, action], group.count)
    return result


def _spread(values: Sequence[Matrix]) -> float:
    """How far apart the actions' values lie."""
    return float(np.mean([(one - one.mean(axis=1, keepdims=True)).std() for one in values]))
