"""Forests of random trees: each asks random questions, their mean is steadier than one tree.

Extremely randomised trees (Geurts, Ernst and Wehenkel 2006, "Extremely randomized trees"; for
reinforcement learning Ernst, Geurts and Wehenkel 2005, "Tree-based batch mode reinforcement
learning"): in each node K features get one threshold each by chance, and the one that explains
most is asked. Every tree sees all rows, not a bootstrap sample.

Two things differ from the paper. Thresholds lie half-way between two of the node's rows, where the
paper draws them evenly between the extremes: so they are where the rows are, and an outlier or a
skewed field costs no depth (on both gardener pods this closes more of the regret). And the paper's
n_min, below which a node is not split, is here what each side of a question keeps at least, since
rewards are noisy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from spice_engine.learning.algorithms.tree import Grower, Integers, Tree, gains_of, sample_rows
from spice_engine.learning.features import Matrix

MAX_CELLS = 500_000
"""As that of single trees, but there are many of these; each looks at other rows."""
MAX_MEANS = 50_000
"""Rows that the leaves of one tree are means of, about."""


@dataclass(frozen=True)
class Forest:
    """The mean of its trees."""

    trees: tuple[Tree, ...]

    kind: ClassVar[str] = "forest"

    def values(self, raw: Matrix) -> Matrix:
        """Predicted rewards [N, A] of raw features [N, D]."""
        if len(raw) == 1:
            row: list[float] = raw[0].tolist()
            parts = [tree.mean[tree.leaf(row)][None] for tree in self.trees]
        else:
            parts = [tree.values(raw) for tree in self.trees]
        # One after another, as a sum over an axis would add in an order of its own.
        return reduce(np.add, parts) / len(self.trees)

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """How each feature [D] moved the lead of an action over another, mean of the trees."""
        shares = [tree.contributions(raw, chosen, second) for tree in self.trees]
        return np.sum(shares, axis=0) / len(self.trees)

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """Many trees make no readable rule."""
        return ()

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {"trees": [tree.to_content() for tree in self.trees]}

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> Forest:
        """Reads it back; ValueError where it holds no trees over such features and actions."""
        trees = tuple(Tree.from_content(one, features, actions) for one in content["trees"])
        if not trees:
            raise ValueError("a forest without trees")
        return cls(trees)


def fit_random_tree(
    raw: Matrix,
    targets: Matrix,
    rng: np.random.Generator,
    *,
    max_depth: int = 12,
    min_leaf: int = 20,
    features_tried: int = 0,
    check: Callable[[], None] = lambda: None,
) -> Tree:
    """One tree of chance for targets [N, A] by raw features [N, D].

    `features_tried` is the paper's K (0: all features, its advice for regression).
    """
    columns = raw.shape[1]
    tried = min(features_tried or columns, columns)
    everything = np.arange(columns, dtype=np.int64)
    sample = sample_rows(raw, MAX_CELLS, rng.random())
    grower = Grower(raw, targets, sample, min_leaf, leads=True)
    while grower.depth < max_depth and len(grower.rows):
        check()
        order = np.argsort(grower.slot, kind="stable")
        rows, slot = grower.rows[order], grower.slot[order]
        sizes = np.bincount(slot, minlength=grower.slots)
        starts = np.cumsum(sizes) - sizes
        if tried == columns:
            asked: Integers = np.broadcast_to(everything, (grower.slots, columns))
            cells = grower.raw[rows]
        else:
            asked = np.argsort(rng.random((grower.slots, columns)), axis=1)[:, :tried]
            cells = grower.raw[rows[:, None], np.repeat(asked, sizes, axis=0)]
        drawn = (rng.random((2, *asked.shape)) * sizes[:, None]).astype(np.int64)
        one, other = grower.raw[rows[starts[:, None] + drawn], asked]
        threshold = one / 2 + other / 2
        yes = (cells <= np.repeat(threshold, sizes, axis=0)).astype(np.float64)
        counts = np.add.reduceat(yes, starts, axis=0)
        told = grower.told[rows].T
        sums = [np.add.reduceat(yes * part[:, None], starts, axis=0) for part in told]
        totals = [np.add.reduceat(part, starts)[:, None] for part in told]
        gains = gains_of(counts, sums, sizes[:, None], totals, min_leaf)
        best = gains.argmax(axis=1)
        each = np.arange(grower.slots)
        grower.split(gains[each, best], asked[each, best], threshold[each, best])
    return grower.finish(MAX_MEANS)
