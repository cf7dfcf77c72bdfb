"""Multi-output regression trees: the value of every action by questions about single features.

Grown level by level, all nodes of a level at once. With `leads` a question is chosen by how much
it tells about the *differences* between actions, since what all actions gain alike changes no
choice; the leaves hold the mean rewards themselves in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.learning.packed import pack_floats, pack_integers, unpack_floats, unpack_integers

Integers = NDArray[np.int64]

MAX_CELLS = 2_000_000
"""Rows times features that questions are chosen from; of more rows, evenly spaced ones are."""
MANY_ROWS = 20_000
"""Rows from which on `few` makes a difference."""
FEW_ROWS = 16_384
_LEAF = -1
_BLOCK = 8192
"""Rows at a time, which stay in a core's cache from question to question."""
_NO_GAIN = 1e-12
_ROUNDING = 1e-28
"""Of squares: differences of 1e-14 of the rewards are not told from rounding."""


@dataclass(frozen=True)
class Tree:
    """Node n asks whether `feature[n] <= threshold[n]`; yes is node `left[n]`, no the one after.

    Leaves have the feature -1. Nodes are in the order of their depth, the root first. Every node
    has its mean `mean` [nodes, A], which for leaves is what they predict.
    """

    feature: Integers
    threshold: Matrix
    left: Integers
    mean: Matrix

    kind: ClassVar[str] = "tree"

    def values(self, raw: Matrix) -> Matrix:
        """Predicted rewards [N, A] of raw features [N, D]."""
        return self.mean[self.leaves(raw)]

    def leaves(self, raw: Matrix) -> Integers:
        """The leaf [N] that each row of raw features [N, D] ends in."""
        if len(raw) == 1:
            return np.array([self.leaf(raw[0].tolist())], dtype=np.int64)
        inner = self.feature != _LEAF
        asked = np.where(inner, self.feature, 0)
        # A leaf asks what is never true, and leads to itself.
        threshold = np.where(inner, self.threshold, np.inf)
        left = np.where(inner, self.left, np.arange(len(inner)))
        result = np.empty(len(raw), dtype=np.int64)
        depth = self.depth
        for start in range(0, len(raw), _BLOCK):
            cells = raw[start : start + _BLOCK].reshape(-1)
            node = result[start : start + _BLOCK]
            node[:] = 0
            first = np.arange(len(node)) * raw.shape[1]
            place, cell, bound = np.empty_like(node), np.empty(len(node)), np.empty(len(node))
            for _ in range(depth):
                # In place and unchecked (all indices are good): three times as fast as indexing.
                asked.take(node, out=place, mode="clip")
                place += first
                cells.take(place, out=cell, mode="clip")
                threshold.take(node, out=bound, mode="clip")
                left.take(node, out=place, mode="clip")
                np.add(place, cell > bound, out=node)
        return result

    def leaf(self, raw: Sequence[float]) -> int:
        """The same for one row of raw features [D] as Python's floats, some microseconds faster."""
        feature, threshold, left = self._lists
        node = 0
        while (asked := feature[node]) != _LEAF:
            node = left[node] + (raw[asked] > threshold[node])
        return node

    def path(self, raw: Matrix) -> list[int]:
        """The nodes that one row of raw features [D] goes through, from root to leaf."""
        feature, threshold, left = self._lists
        node, path = 0, [0]
        while (asked := feature[node]) != _LEAF:
            node = left[node] + int(raw[asked] > threshold[node])
            path.append(node)
        return path

    def cut(self, depth: int) -> Tree:
        """The tree with its nodes at `depth` made leaves; itself where it is no deeper."""
        if depth >= self.depth:
            return self
        keep = int(np.searchsorted(self._depths, depth, side="right"))
        inner = self._depths[:keep] < depth
        return Tree(
            np.where(inner, self.feature[:keep], _LEAF),
            np.where(inner, self.threshold[:keep], 0.0),
            np.where(inner, self.left[:keep], 0),
            self.mean[:keep],
        )

    @property
    def depth(self) -> int:
        """Questions on the longest way from root to leaf."""
        return int(self._depths[-1])

    @property
    def leaf_count(self) -> int:
        """How many leaves there are."""
        return int((self.feature == _LEAF).sum())

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """Why one row of raw features [D] ends where it does, a condition for each question."""
        path = self.path(raw)
        return tuple(
            f"{names[self.feature[node]]} "
            f"{'<=' if after == self.left[node] else '>'} {self.threshold[node]:.6g}"
            for node, after in pairwise(path)
        )

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """How each feature [D] moved the lead of an action over another, along the path."""
        path = self.path(raw)
        lead = self.mean[path, chosen] - self.mean[path, second]
        shares = np.zeros(len(raw))
        np.add.at(shares, self.feature[path[:-1]], lead[1:] - lead[:-1])
        return shares

    @cached_property
    def _depths(self) -> Integers:
        depths = np.zeros(len(self.feature), dtype=np.int64)
        for node in np.flatnonzero(self.feature != _LEAF).tolist():
            first = int(self.left[node])
            depths[first : first + 2] = depths[node] + 1
        return depths

    @cached_property
    def _lists(self) -> tuple[list[int], list[float], list[int]]:
        return self.feature.tolist(), self.threshold.tolist(), self.left.tolist()

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {
            "feature": pack_integers(self.feature),
            "threshold": pack_floats(self.threshold),
            "left": pack_integers(self.left),
            "mean": pack_floats(self.mean),
        }

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> Tree:
        """Reads it back; ValueError where it is not a tree over so many features and actions."""
        feature, left = unpack_integers(content["feature"]), unpack_integers(content["left"])
        nodes = len(feature)
        tree = cls(
            feature,
            unpack_floats(content["threshold"], (nodes,)),
            left,
            unpack_floats(content["mean"], (nodes, actions)),
        )
        inner = feature != _LEAF
        order = np.arange(nodes)
        fits = (feature >= _LEAF) & (feature < features) & (left + 1 < max(nodes, 2))
        if not nodes or len(left) != nodes or not fits.all() or (left <= order)[inner].any():
            raise ValueError("the nodes make no tree")
        return tree


def fit_tree(
    raw: Matrix,
    targets: Matrix,
    *,
    max_depth: int = 12,
    min_leaf: int = 20,
    bins: int = 64,
    leads: bool = False,
    feature_subset: Integers | None = None,
    few: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Tree:
    """The tree whose questions explain most of targets [N, A] by raw features [N, D].

    With `leads`, most of the differences between the columns of the targets. Every leaf has at
    least `min_leaf` rows. Thresholds lie at up to `bins` quantiles of a feature. `feature_subset`
    are the features that may be asked about, all by default. With `few`, questions are chosen by
    FEW_ROWS rows where there are many: enough for a shallow tree that shall be there at once.
    `check` is called at every level and may raise to end the work.
    """
    everything = np.arange(raw.shape[1], dtype=np.int64)
    columns = everything if feature_subset is None else feature_subset
    few = few and len(raw) > MANY_ROWS
    rows = sample_rows(raw, FEW_ROWS * raw.shape[1] if few else MAX_CELLS)
    grower = Grower(raw, targets, rows, min_leaf, leads=leads)
    edges, codes = _binned(raw[rows][:, columns], bins)
    width = edges.shape[1] + 1
    while grower.depth < max_depth and len(grower.rows):
        check()
        slots, rows = grower.slots, grower.rows
        shape = (slots, len(columns), width)
        counts = np.empty(shape, dtype=np.int64)
        told = np.ascontiguousarray(grower.told[rows].T)
        sums: list[Matrix] = [np.empty(shape) for _ in told]
        here = grower.slot * width
        # Feature by feature: what is counted stays in the processor's cache.
        for place, code in enumerate(codes):
            cell = here + code[rows]
            table = np.bincount(cell, minlength=slots * width).reshape(slots, width)
            table.cumsum(axis=1, out=counts[:, place])
            for one, weights in zip(sums, told, strict=True):
                weighed = np.bincount(cell, weights, slots * width).reshape(slots, width)
                weighed.cumsum(axis=1, out=one[:, place])
        gains = gains_of(counts, sums, counts[..., -1:], [one[..., -1:] for one in sums], min_leaf)
        best = gains.reshape(slots, -1).argmax(axis=1)
        gain = gains.reshape(slots, -1)[np.arange(slots), best]
        column, edge = best // width, best % width
        # The last bin has no edge, and is never the best where anything is gained.
        threshold = edges[column, np.minimum(edge, width - 2)] if width > 1 else np.zeros(slots)
        grower.split(gain, columns[column], threshold)
    return grower.finish()


class Grower:
    """A tree that grows: `rows` in open nodes, the open node `slot` of each.

    `told` [n, A] is what the questions shall explain, with `leads` in one column less. Rows are
    indices into the sample that questions are chosen from.
    """

    def __init__(
        self, raw: Matrix, targets: Matrix, sample: Integers, min_leaf: int, *, leads: bool
    ) -> None:
        self._raw, self._targets, self._sample = raw, targets, sample
        self._sampled = raw if len(sample) == len(raw) else raw[sample]
        self._min_leaf = min_leaf
        chosen = targets[sample]
        told = _contrasts(chosen) if leads else chosen
        told = told - told.mean(axis=0)
        # On their own scale, so that squares neither overflow nor vanish.
        unit = float(np.abs(told).max(initial=0.0)) or 1.0
        self.told = told / unit
        self.rows = np.arange(len(sample))
        self.slot = np.zeros(len(sample), dtype=np.int64)
        self.slots = 1
        self.depth = 0
        self._open = np.zeros(1, dtype=np.int64)
        self._node = np.zeros(len(sample), dtype=np.int64)
        self._feature, self._threshold = [np.array([_LEAF])], [np.zeros(1)]
        self._left = [np.zeros(1, dtype=np.int64)]
        self._nodes = 1
        # Below that, differences are of rounding, or too small to change a choice.
        # Where that overflows, all of them are: nothing is asked then.
        with np.errstate(over="ignore"):
            rounding = _ROUNDING * float(((chosen / unit) ** 2).sum())
        self._least = max(_NO_GAIN * float((self.told**2).sum()), rounding if leads else 0.0)
        if len(sample) < 2 * min_leaf or not self.told.size:
            self.rows = self.rows[:0]

    @property
    def raw(self) -> Matrix:
        """The raw features of the sample."""
        return self._sampled

    def split(self, gain: Matrix, feature: Integers, threshold: Matrix) -> None:
        """Asks in each open node, where `gain` is positive; nodes too small to split are closed."""
        asks = gain > self._least
        first = self._nodes + 2 * (np.cumsum(asks) - asks)
        nodes = self._open[asks]
        flat_feature, flat_threshold = self._feature[-1], self._threshold[-1]
        base = self._nodes - len(flat_feature)
        flat_feature[nodes - base] = feature[asks]
        flat_threshold[nodes - base] = threshold[asks]
        self._left[-1][nodes - base] = first[asks]
        born = 2 * len(nodes)
        goes_on = asks[self.slot]
        rows, slot = self.rows[goes_on], self.slot[goes_on]
        right = self._sampled[rows, feature[slot]] > threshold[slot]
        child = first[slot] - self._nodes + right
        self._node[rows] = self._nodes + child
        sizes = np.bincount(child, minlength=born)
        large = sizes >= 2 * self._min_leaf
        number = np.cumsum(large) - 1
        kept = large[child]
        self.rows, self.slot = rows[kept], number[child[kept]]
        self._open = self._nodes + np.flatnonzero(large)
        self.slots = len(self._open)
        self._nodes += born
        self.depth += 1
        if born:
            self._feature.append(np.full(born, _LEAF))
            self._threshold.append(np.zeros(born))
            self._left.append(np.zeros(born, dtype=np.int64))

    def finish(self, most: int | None = None) -> Tree:
        """The tree, with the means of all rows; where they are more than `most`, of about so many.

        Those are evenly spaced ones, and the sample, so that no leaf is empty.
        """
        shape = Tree(
            np.concatenate(self._feature),
            np.concatenate(self._threshold),
            np.concatenate(self._left),
            np.zeros((self._nodes, 0)),
        )
        raw, targets = self._raw, self._targets
        if most is not None and len(raw) > most:
            rows = np.union1d(np.arange(0, len(raw), -(-len(raw) // most)), self._sample)
            raw, targets = raw[rows], targets[rows]
        leaf = self._node if len(raw) == len(self._sample) else shape.leaves(raw)
        sums = np.stack([np.bincount(leaf, column, self._nodes) for column in targets.T], axis=1)
        counts = np.bincount(leaf, minlength=self._nodes)
        for node in range(self._nodes - 1, -1, -1):
            if shape.feature[node] != _LEAF:
                first = shape.left[node]
                sums[node] = sums[first] + sums[first + 1]
                counts[node] = counts[first] + counts[first + 1]
        mean = sums / np.maximum(counts, 1)[:, None]
        return Tree(shape.feature, shape.threshold, shape.left, mean)


def gains_of(
    counts: NDArray[Any],
    sums: list[Matrix],
    count: NDArray[Any],
    total: list[Matrix],
    min_leaf: int,
) -> Matrix:
    """What a question explains of the squares: `counts` and `sums` of yes, of `count`, `total`."""
    other = count - counts
    here, there = 1.0 / np.maximum(counts, 1), 1.0 / np.maximum(other, 1)
    gains = np.zeros(counts.shape)
    for part, whole in zip(sums, total, strict=True):
        rest = whole - part
        gains += part * part * here
        gains += rest * rest * there
        gains -= whole * whole / np.maximum(count, 1)
    gains[(counts < min_leaf) | (other < min_leaf)] = -np.inf
    return gains


def _contrasts(targets: Matrix) -> Matrix:
    """The differences between actions in A - 1 columns that keep all distances (Helmert's)."""
    actions = targets.shape[1]
    basis = np.zeros((actions, actions - 1))
    for column in range(actions - 1):
        size = column + 1
        basis[:size, column] = 1.0
        basis[size, column] = -size
        basis[:, column] /= np.sqrt(size * (size + 1.0))
    return (targets - targets[:, :1]) @ basis


def sample_rows(raw: Matrix, cells: int, start: float = 0.0) -> Integers:
    """Evenly spaced rows of raw [N, D], `cells` numbers at most; `start` in [0, 1) shifts them."""
    rows, columns = raw.shape
    step = min(rows, max(1, -(-rows * columns // cells)))
    return np.arange(int(start * step), rows, step, dtype=np.int64)


def _binned(raw: Matrix, bins: int) -> tuple[Matrix, Integers]:
    """Edges [D, B] at quantiles of raw [N, D], padded with infinity, and each row's bin [D, N].

    A row's bin is the first edge that it does not exceed, B where it exceeds all.
    """
    count, columns = raw.shape
    ordered = np.sort(raw, axis=0)
    ranks = np.unique(np.arange(1, bins) * count // bins)
    ranks = ranks[ranks > 0]
    every: list[Matrix] = []
    for column in range(columns):
        one = ordered[:, column]
        steps = np.flatnonzero(one[1:] > one[:-1]) + 1
        if len(steps) >= bins:
            # The steps up at or after each quantile.
            found = np.searchsorted(steps, ranks)
            steps = np.unique(steps[np.minimum(found, len(steps) - 1)])
        low, high = one[steps - 1], one[steps]
        middle = low / 2 + high / 2
        every.append(np.where((middle >= low) & (middle < high), middle, low))
    width = max((len(one) for one in every), default=0)
    edges = np.full((columns, width), np.inf)
    codes = np.zeros((columns, count), dtype=np.int64)
    for column, one in enumerate(every):
        edges[column, : len(one)] = one
        codes[column] = np.searchsorted(one, raw[:, column], side="left")
    return edges, codes
