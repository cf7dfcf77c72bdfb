"""`fqi`: fitted Q iteration with regression trees, deeper from episode to episode.

Ernst, Geurts and Wehenkel (2005), "Tree-based batch mode reinforcement learning".

For pods whose actions change nothing, fitted Q iteration is one regression: the first episode has
no question and takes the best constant action, each further one may ask deeper. With `trees`
above 1 further episodes average more and more random trees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.forest import Forest, fit_random_tree
from spice_engine.learning.algorithms.tree import Tree, fit_tree
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import Fqi
from spice_engine.learning.task import Candidate, Check

FIRST_FOREST = 4


class FqiLearner:
    """Depths spread over the episodes; where there are forests, over half of them."""

    ends_on_equal_scores = True
    cautious = True

    def __init__(self, settings: Fqi, episodes: int, seed: int) -> None:
        self._settings = settings
        self._seed = seed
        forests = _forest_sizes(settings.trees)[: episodes // 2]
        depths = _spread(settings.max_depth, episodes - len(forests))
        self.sizes: list[tuple[str, int]] = [("depth", depth) for depth in depths]
        self.sizes += [("trees", trees) for trees in forests]
        self.candidates: Sequence[Candidate] = [
            Candidate(f"{what} {size}", {what: size}) for what, size in self.sizes
        ]

    def fit(self, raw: Matrix, rewards: Matrix, check: Check) -> FqiFit:
        """Trees on some steps."""
        return FqiFit(raw, rewards, self._settings, self._seed, self.sizes, check)


class FqiFit:
    """One tree, cut at every depth that is asked for, and random trees.

    Up to the depth `shallow` it is one that is grown no deeper, which is there sooner.
    """

    def __init__(
        self,
        raw: Matrix,
        rewards: Matrix,
        settings: Fqi,
        seed: int,
        sizes: list[tuple[str, int]],
        check: Check,
        shallow: int = 0,
    ) -> None:
        self._raw, self._rewards = raw, rewards
        self._settings, self._seed, self._sizes = settings, seed, sizes
        self._check = check
        self._trees: dict[int, Tree] = {}
        self._shallow = min(shallow, settings.max_depth)
        self._random: list[Tree] = []
        self._totals: list[Matrix] = []

    def model(self, index: int) -> Constant | Tree | Forest:
        """The tree of a depth, or the forest of a size."""
        what, size = self._sizes[index]
        if size == 0:
            return Constant(self._rewards.mean(axis=0))
        return self.tree(size) if what == "depth" else self.forest(size)

    def values(self, index: int) -> Matrix:
        """The model's values on the fit's own steps."""
        return self.model(index).values(self._raw)

    def tree(self, depth: int) -> Tree:
        """The tree cut at a depth."""
        grown = self._shallow if depth <= self._shallow else self._settings.max_depth
        if grown not in self._trees:
            self._trees[grown] = fit_tree(
                self._raw,
                self._rewards,
                max_depth=grown,
                min_leaf=self._settings.min_leaf,
                bins=self._settings.bins,
                leads=True,
                few=depth <= self._shallow,
                check=self._check,
            )
        return self._trees[grown].cut(depth)

    def forest(self, trees: int) -> Forest:
        """The first so many random trees; each has a seed of its own."""
        while len(self._random) < trees:
            self._check()
            tree = fit_random_tree(
                self._raw,
                self._rewards,
                np.random.default_rng([self._seed, len(self._random)]),
                max_depth=self._settings.max_depth,
                min_leaf=self._settings.min_leaf,
                features_tried=self._settings.features,
                check=self._check,
            )
            self._random.append(tree)
        return Forest(tuple(self._random[:trees]))


def _spread(most: int, count: int) -> list[int]:
    """0 and up to `count - 1` further depths up to `most`."""
    if count < 2:
        return [0]
    return sorted({0, *(int(one) for one in np.linspace(1, most, count - 1).round())})


def _forest_sizes(trees: int) -> list[int]:
    """4, 8, 16 … up to `trees`; none for a single tree."""
    sizes: list[int] = []
    size = FIRST_FOREST
    while size < trees:
        sizes.append(size)
        size *= 2
    return [*sizes, trees] if trees > 1 else []
