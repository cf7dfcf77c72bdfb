"""Tile coding: tables over the same features, each shifted by a part of a bin, whose values add up.

A sum of coarse tables tells fine differences apart and still learns from neighbours. Albus, A new
approach to manipulator control: the cerebellar model articulation controller, 1975; Sutton and
Barto, Reinforcement Learning, 2nd edition, 2018, 9.5.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spice_engine.learning.algorithms.table import Integers, Table
from spice_engine.learning.features import Matrix

SWEEPS = 8
"""How often each table is fitted to what the others leave."""


@dataclass(frozen=True)
class Tiles:
    """The sum of `tables`, all of as many actions."""

    tables: tuple[Table, ...]

    kind: ClassVar[str] = "tiles"

    def values(self, raw: Matrix) -> Matrix:
        """Predicted rewards [N, A] of raw features [N, D]."""
        total = self.tables[0].values(raw)
        for table in self.tables[1:]:
            total = total + table.values(raw)
        return total

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """The sum of what each table's features [D] speak for one action against another."""
        total = self.tables[0].contributions(raw, chosen, second)
        for table in self.tables[1:]:
            total = total + table.contributions(raw, chosen, second)
        return total

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """The cell of the first table; the others' only overlap it."""
        return self.tables[0].rule(raw, names)

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {"tables": [table.to_content() for table in self.tables]}

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> Tiles:
        """Reads it back; ValueError where it is no tables over such features and actions."""
        tables = tuple(Table.from_content(one, features, actions) for one in content["tables"])
        if not tables:
            raise ValueError("tiles without a table")
        return cls(tables)


def shifted_edges(ordered: Matrix, bins: int, share: float) -> Matrix:
    """Edges of bins with equally many of the `ordered` values, moved up by a share of a bin.

    Values that are often the same give fewer edges; none lies at the last value, where nothing
    would be above it.
    """
    first = 1 if share == 0 else 0
    places = ((np.arange(first, bins) + share) * len(ordered) / bins).astype(np.int64)
    edges = np.unique(ordered[places])
    return edges[edges < ordered[-1]]


def empty_tables(
    raw: Matrix, columns: Sequence[int], bins: int, tilings: int
) -> tuple[tuple[Table, ...], tuple[int, ...]]:
    """Tables without values over some features of raw features [n, D], and the cells of each.

    Features move by different multiples of a bin's part, so that tables don't move along a
    diagonal only.
    """
    ordered = np.sort(raw[:, list(columns)], axis=0)
    tables, counts = list[Table](), list[int]()
    for tiling in range(tilings):
        shares = [(2 * place + 1) * tiling % tilings / tilings for place in range(len(columns))]
        edges = tuple(
            shifted_edges(ordered[:, place], bins, share) for place, share in enumerate(shares)
        )
        tables.append(Table(tuple(columns), edges, np.zeros((0, 0))))
        counts.append(int(np.prod([len(one) + 1 for one in edges])))
    return tuple(tables), tuple(counts)


def fit_tiles(
    tables: Sequence[Table],
    counts: Sequence[int],
    cells: Sequence[Integers],
    rewards: Matrix,
    prior: float,
    check: Callable[[], None],
) -> Tiles:
    """Fits tables to rewards [N, A], each to what the others leave, in SWEEPS rounds.

    `cells` [N] of each table are those of the steps. Each is drawn to nothing by `prior` visits,
    the first one to the mean reward of each action.
    """
    mean: Matrix = rewards.mean(axis=0)
    left = rewards - mean
    fitted = [np.zeros((count, rewards.shape[1])) for count in counts]
    visits = [np.bincount(cell, minlength=n) for cell, n in zip(cells, counts, strict=True)]
    for _ in range(SWEEPS):
        check()
        for index, (cell, count) in enumerate(zip(cells, counts, strict=True)):
            left += fitted[index][cell]
            sums = np.stack([np.bincount(cell, one, count) for one in left.T], axis=1)
            weight = visits[index][:, None] + prior
            fitted[index] = sums / np.where(weight > 0, weight, 1.0)
            left -= fitted[index][cell]
    fitted[0] = fitted[0] + mean
    return Tiles(
        tuple(
            Table(table.columns, table.edges, one)
            for table, one in zip(tables, fitted, strict=True)
        )
    )
