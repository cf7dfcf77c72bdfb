"""`tabular`: Q-learning on a table over bins of the few features that tell most.

For pods whose actions change nothing, what Q-learning with a step of 1/visits comes to in one
pass over time is the mean reward of each cell, which is taken at once. Each cell is drawn to the
mean over all cells by a few visits, so that cells never seen choose the best constant action
instead of the first declared. An episode is one table, finer than the one before.

With `tilings` above 1 a table is a sum of several (`tiles.py`); with `lanes` members learn by trial
instead (`lanes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.lanes import Trial, check_room
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tiles import Tiles, empty_tables, fit_tiles
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import Tabular
from spice_engine.learning.kernels.devices import Accelerator, Devices
from spice_engine.learning.task import Candidate, Check

MAX_ROWS = 5_000
"""Features are picked by so many rows, evenly spaced, at most."""
COARSEST = 4
MAX_TABLE = 65_536
"""Cells of a table, at most."""

Codes = NDArray[np.int64]
Size = tuple[int, int]
"""Features in a cell, and bins of each."""


class TabularLearner:
    """More features, and more bins of each, from episode to episode."""

    ends_on_equal_scores = True
    cautious = True

    def __init__(
        self,
        settings: Tabular,
        episodes: int,
        seed: int = 0,
        accelerator: Accelerator = "auto",
    ) -> None:
        self._settings, self._seed = settings, seed
        self._devices = Devices(accelerator)
        self.sizes = table_sizes(settings)[:episodes]
        form = f"{settings.tilings} tilings of " if settings.tilings > 1 else ""
        self.candidates: Sequence[Candidate] = [
            Candidate(f"{form}{features} x {bins} bins", {"features": features, "bins": bins})
            for features, bins in self.sizes
        ]

    def fit(self, raw: Matrix, rewards: Matrix, check: Check) -> TabularFit:
        """Tables on some steps; InvalidRequest where a population of them is too large."""
        trial = None
        if self._settings.lanes:
            finest = max(most_cells(size, self._settings.tilings) for size in self.sizes)
            check_room(finest, rewards.shape[1], self._settings)
            trial = Trial(self._settings, self._seed, self._devices)
        return TabularFit(raw, rewards, self._settings, self.sizes, check, trial)


def most_cells(size: Size, tilings: int) -> int:
    """Cells that tables of a size have at most; a shifted one has a bin more of each feature."""
    features, bins = size
    return tilings * (bins + (tilings > 1)) ** features


def table_sizes(settings: Tabular) -> list[Size]:
    """No feature at first, then 1, 2 … of them, each with ever more bins up to MAX_TABLE cells."""
    bins: list[int] = []
    count = min(COARSEST, settings.bins)
    while count < settings.bins:
        bins.append(count)
        count *= 2
    bins.append(settings.bins)
    sizes = [(number + 1, one) for number in range(settings.features) for one in bins]
    return [(0, 1), *(size for size in sizes if size[1] ** size[0] <= MAX_TABLE)]


class TabularFit:
    """Tables over the features that were picked one after another, for each number of bins."""

    def __init__(
        self,
        raw: Matrix,
        rewards: Matrix,
        settings: Tabular,
        sizes: list[Size],
        check: Check,
        trial: Trial | None = None,
    ) -> None:
        self._raw, self._rewards, self._trial = raw, rewards, trial
        self._settings, self._sizes, self._check = settings, sizes, check
        self._few = raw[:: max(1, -(-len(raw) // MAX_ROWS))]
        self._binned: dict[int, tuple[list[Matrix], Codes]] = {}
        self._picked: dict[int, list[int]] = {}

    @property
    def told(self) -> dict[str, Any]:
        """What an episode says beside its candidate: where a population learned."""
        return self._trial.told if self._trial else {}

    def model(self, index: int) -> Constant | Table | Tiles:
        """The table of a size, or the tables."""
        features, bins = self._sizes[index]
        mean: Matrix = self._rewards.mean(axis=0)
        if features == 0:
            return Constant(mean)
        columns = self._pick(features, bins)
        if self._trial is not None or self._settings.tilings > 1:
            return self._tiles(columns, bins)
        edges = tuple(self._bins(bins)[0][column] for column in columns)
        empty = Table(tuple(columns), edges, np.zeros((0, 0)))
        cell = empty.cells(self._raw)
        cells = int(np.prod([len(one) + 1 for one in edges]))
        prior = self._settings.shrinkage
        visits = np.bincount(cell, minlength=cells)
        sums = np.stack([np.bincount(cell, one, cells) for one in self._rewards.T], axis=1)
        weight = visits[:, None] + prior
        shrunk = (sums + prior * mean) / np.where(weight > 0, weight, 1.0)
        return Table(empty.columns, edges, np.where(weight > 0, shrunk, mean))

    def values(self, index: int) -> Matrix:
        """The table's values on the fit's own steps."""
        return self.model(index).values(self._raw)

    def _tiles(self, columns: list[int], bins: int) -> Table | Tiles:
        tables, counts = empty_tables(self._few, columns, bins, self._settings.tilings)
        cells = [table.cells(self._raw) for table in tables]
        if self._trial is None:
            prior = self._settings.shrinkage
            tiles = fit_tiles(tables, counts, cells, self._rewards, prior, self._check)
        else:
            tiles = self._trial.fit(tables, counts, cells, self._rewards, self._check)
        first, *others = tiles.tables
        return tiles if others else first

    def _bins(self, bins: int) -> tuple[list[Matrix], Codes]:
        """Edges of every feature, and the bin [n, D] of each of the few rows."""
        if bins not in self._binned:
            ordered = np.sort(self._few, axis=0)
            places = np.arange(1, bins) * len(ordered) // bins
            edges = [np.unique(one[places]) for one in ordered.T]
            edges = [one[one < last] for one, last in zip(edges, ordered[-1], strict=True)]
            codes: list[Codes] = [
                np.searchsorted(one, column) for one, column in zip(edges, self._few.T, strict=True)
            ]
            self._binned[bins] = edges, np.stack(codes, axis=1)
        return self._binned[bins]

    def _pick(self, features: int, bins: int) -> list[int]:
        """The features picked greedily: each explains most of the leads, given those before."""
        picked = self._picked.setdefault(bins, [])
        edges, codes = self._bins(bins)
        rewards = self._rewards[:: max(1, -(-len(self._rewards) // MAX_ROWS))]
        leads = rewards - rewards.mean(axis=1, keepdims=True)
        leads -= leads.mean(axis=0)
        count = min(features, codes.shape[1])
        while len(picked) < count:
            self._check()
            base = np.zeros(len(codes), dtype=np.int64)
            for column in picked:
                base = base * (len(edges[column]) + 1) + codes[:, column]
            told = [
                -np.inf
                if column in picked
                else self._told(base * (len(edges[column]) + 1) + codes[:, column], leads)
                for column in range(codes.shape[1])
            ]
            picked.append(int(np.argmax(told)))
        return picked[:count]

    def _told(self, cell: Codes, leads: Matrix) -> float:
        """How much of the squares of the leads the means of the cells explain, shrunk."""
        visits = np.bincount(cell) + self._settings.shrinkage + 1e-9
        return float(sum((np.bincount(cell, lead) ** 2 / visits).sum() for lead in leads.T))
