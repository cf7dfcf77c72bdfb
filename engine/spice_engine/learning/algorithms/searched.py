"""What `auto` searches: settings of all families drawn by chance, tried on few rows first.

The steps that settings are tried on come before all that the folds are judged by. So what the
search leaves is judged as impartially as any other candidate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from spice_engine.learning.algorithms.forest import Forest, fit_random_tree
from spice_engine.learning.algorithms.linear import RidgePath
from spice_engine.learning.algorithms.network_learner import NetworkFit
from spice_engine.learning.algorithms.tabular import TabularFit
from spice_engine.learning.algorithms.tree import fit_tree
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.halving import survivors
from spice_engine.learning.hyperparameters import Dql, Tabular
from spice_engine.learning.model import Model
from spice_engine.learning.task import Check
from spice_engine.records import record

FEW_TREES = 8
"""Trees of a forest while it is tried."""
MAX_ROWS = 4_000
"""Rows that a setting is tried on, at most; of more, evenly spaced ones: a search of a large pod
shall be done while there is time to make something of what it finds."""


@record
class TreeSetting:
    """A regression tree."""

    depth: int
    min_leaf: int

    algorithm: ClassVar[str] = "fqi"

    @property
    def name(self) -> str:
        """What people see."""
        return f"tree of depth {self.depth}, leaves of {self.min_leaf}"

    def fit(self, raw: Matrix, rewards: Matrix, seed: int, share: float, check: Check) -> Model:
        """Fitted to a `share` of the rows: leaves are so much smaller."""
        leaf = max(1, round(self.min_leaf * share))
        return fit_tree(raw, rewards, max_depth=self.depth, min_leaf=leaf, leads=True, check=check)


@record
class ForestSetting:
    """Extra trees; a node tries `tried` of the features."""

    trees: int
    min_leaf: int
    tried: int
    max_depth: int

    algorithm: ClassVar[str] = "fqi"

    @property
    def name(self) -> str:
        """What people see."""
        return f"{self.trees} random trees, leaves of {self.min_leaf}, {self.tried} features a node"

    def fit(self, raw: Matrix, rewards: Matrix, seed: int, share: float, check: Check) -> Model:
        """Of fewer trees where it is only tried."""
        trees = self.trees if share == 1 else min(self.trees, FEW_TREES)
        return Forest(
            tuple(
                fit_random_tree(
                    raw,
                    rewards,
                    np.random.default_rng([seed, number]),
                    max_depth=self.max_depth,
                    min_leaf=max(1, round(self.min_leaf * share)),
                    features_tried=self.tried,
                    check=check,
                )
                for number in range(trees)
            )
        )


@record
class RidgeSetting:
    """Ridge regression of one strength."""

    strength: float

    algorithm: ClassVar[str] = "linear"

    @property
    def name(self) -> str:
        """What people see."""
        return f"linear, strength {self.strength:.2g}"

    def fit(self, raw: Matrix, rewards: Matrix, seed: int, share: float, check: Check) -> Model:
        """The strength is relative to the rows, however many there are."""
        check()
        return RidgePath(raw, rewards).model(self.strength)


@record
class TableSetting:
    """A table over some features; `shrinkage` visits of the mean in each cell."""

    features: int
    bins: int
    shrinkage: float

    algorithm: ClassVar[str] = "tabular"

    @property
    def name(self) -> str:
        """What people see."""
        return f"table of {self.features} x {self.bins} bins, shrinkage {self.shrinkage:.2g}"

    def fit(self, raw: Matrix, rewards: Matrix, seed: int, share: float, check: Check) -> Model:
        """Cells have fewer visits where there are fewer rows."""
        settings = Tabular(shrinkage=self.shrinkage * share)
        return TabularFit(raw, rewards, settings, [(self.features, self.bins)], check).model(0)


@record
class NetworkSetting:
    """A small network that learns from every action's reward, as `dql` does."""

    hidden: tuple[int, ...]
    learning_rate: float
    updates: int

    algorithm: ClassVar[str] = "dql"

    @property
    def name(self) -> str:
        """What people see."""
        sizes = "-".join(map(str, self.hidden))
        return f"network {sizes}, {self.updates} steps of {self.learning_rate:.2g}"

    def fit(self, raw: Matrix, rewards: Matrix, seed: int, share: float, check: Check) -> Model:
        """With fewer gradient steps where it is only tried."""
        settings = Dql(
            hidden=self.hidden,
            learning_rate=self.learning_rate,
            updates=max(20, round(self.updates * share)),
            gamma=0.0,
        )
        return NetworkFit(raw, rewards, settings, seed, check).model(1)


SearchedSetting = TreeSetting | ForestSetting | RidgeSetting | TableSetting | NetworkSetting

FAMILIES = ("tree", "forest", "table", "linear", "tree", "forest", "table", "network")
"""In this order settings are drawn, over and over: what takes long less often."""


@record
class Bounds:
    """What a user has set that holds for searched settings, too."""

    trees: int
    max_depth: int


@record
class Exam:
    """Raw features [N, D] and rewards [N, A] to learn from, and those of later steps."""

    raw: Matrix
    rewards: Matrix
    later_raw: Matrix
    later_rewards: Matrix


def exams_of(raw: Matrix, rewards: Matrix, span: int) -> tuple[Exam, Exam]:
    """Half of the steps and the quarter after; three quarters and the last. They share no row."""

    def exam(cut: int, end: int) -> Exam:
        begin = min(cut + span, end - 1)
        return Exam(raw[:cut], rewards[:cut], raw[begin:end], rewards[begin:end])

    half, quarters = len(raw) // 2, len(raw) * 3 // 4
    return exam(half, quarters), exam(quarters, len(raw))


def draw(count: int, features: int, bounds: Bounds, seed: int) -> list[SearchedSetting]:
    """So many settings for data of so many features; equal seeds give equal ones."""
    chance = np.random.default_rng([seed, 41])

    def between(low: float, high: float) -> float:
        """Evenly by its logarithm."""
        return math.exp(chance.uniform(math.log(low), math.log(high)))

    def one(family: str) -> SearchedSetting:
        if family == "tree":
            depth = min(int(chance.integers(2, 13)), bounds.max_depth)
            return TreeSetting(depth, round(between(5, 150)))
        if family == "forest":
            tried = [max(1, one) for one in (features // 2, features // 3, round(features**0.5))]
            return ForestSetting(
                min(bounds.trees, 2 * FEW_TREES),
                round(between(5, 80)),
                tried[int(chance.integers(0, len(tried)))],
                bounds.max_depth,
            )
        if family == "table":
            width = int(chance.integers(1, 4))
            most = (48, 20, 10)[width - 1]
            return TableSetting(width, round(between(4, most)), between(1, 30))
        if family == "linear":
            return RidgeSetting(between(1e-5, 10))
        shapes = ((32,), (64,), (64, 64))
        hidden = shapes[int(chance.integers(0, len(shapes)))]
        return NetworkSetting(hidden, between(1e-3, 1e-2), round(between(100, 400)))

    drawn = [one(FAMILIES[number % len(FAMILIES)]) for number in range(count)]
    return list(dict.fromkeys(drawn))


def search(
    settings: Sequence[SearchedSetting],
    exams: Sequence[Exam],
    keep: int,
    seed: int,
    check: Check,
) -> list[SearchedSetting]:
    """The best settings: all on a quarter of the last exam's rows, half on half of two exams' rows.

    Each is scored by what it earns a step later.
    """

    def score(setting: SearchedSetting, budget: tuple[int, int]) -> float:
        last, spacing = budget
        earned: list[float] = []
        for exam in exams[-last:]:
            check()
            step = max(spacing, -(-len(exam.raw) // MAX_ROWS))
            raw, rewards = exam.raw[::step], exam.rewards[::step]
            model = setting.fit(raw, rewards, seed, 1 / step, check)
            later = max(1, -(-len(exam.later_raw) // MAX_ROWS))
            judged = exam.later_rewards[::later]
            chosen = choose(model.values(exam.later_raw[::later]))
            earned.append(float(judged[np.arange(len(chosen)), chosen].mean()))
        return float(np.mean(earned))

    return survivors(settings, ((1, 4), (2, 2)), score, keep)


def details(setting: SearchedSetting) -> dict[str, Any]:
    """The setting as plain data, with the algorithm that it is of."""
    return {"algorithm": setting.algorithm, **dataclasses.asdict(setting)}
