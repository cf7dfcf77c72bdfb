"""Fitted Q iteration for simulated pods: a constant, linear functions, regression trees.

Each fitter gives one model an episode, the next building on the last. The first models of a
family look no further than a step's own reward; those after discount what comes by `gamma`. Which
of them is best is for the folds to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.forest import Forest, fit_random_tree
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.algorithms.tree import Tree, fit_tree
from spice_engine.learning.features import Matrix, Scaling
from spice_engine.learning.hyperparameters import Fqi, Hyperparameters
from spice_engine.learning.kernels.devices import Devices
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.learning.model import Model
from spice_engine.learning.simulated_batch import Batch
from spice_engine.learning.simulated_values import (
    Cells,
    Codes,
    View,
    best_ahead,
    fill_unlawful,
    shape_targets,
    solve_cells,
)
from spice_engine.learning.simulator import Rows, Simulator
from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.learning.simulated_kernel import Kernel

LINEAR_STEPS = ((1e-1, 0), (1e-1, 6), (1e-3, 0), (1e-3, 6), (1e-2, 12), (1e-5, 6))
"""Strength of regularisation, and sweeps of fitted Q iteration; 0 sweeps: rewards alone."""

TREE_STEPS = ((3, False), (3, True), (6, False), (6, True), (12, False), (12, True))
"""Depth, and whether what comes counts; from the last on the tree is grown anew each time."""

PRIOR = 1.0
"""So many steps' samples of an action's mean are added to each leaf."""

FOREST = 8


@record
class Fitted:
    """A model, the discount of what comes that it was fitted with, and what to tell about it.

    `state` is what the family's next model needs of this one, where it can go on from there:
    plain data, and arrays under `arrays`.
    """

    model: Model
    gamma: float
    detail: dict[str, Any]
    state: Mapping[str, Any] | None = None


@record
class Lesson:
    """What a fitter learns from: features and samples; `totals` [A] of each constant action.

    The samples are of the consecutive rows `steps`. `min_leaf` is in steps, of which there may be
    several samples each. `check` may raise to end the work. `compiled` gives the pod's kernel,
    once it is there, or None where there is none. `random_starts` is the share of a population's
    episodes that begin anywhere; `lanes` says how many members it has and lets them learn on any of
    the `devices`, with 0 it has as many as usual. Networks act in the `simulator`, by the
    `settings`, learn on one of the `network_devices`, and go on from those of the model `start`.
    """

    view: View
    batch: Batch
    totals: Matrix
    gamma: float
    min_leaf: int
    max_depth: int
    bins: int
    table_bins: int
    table_features: int
    shrinkage: float
    seed: int
    check: Callable[[], None]
    simulator: Simulator
    settings: Hyperparameters
    steps: Rows
    compiled: Callable[[], Kernel | None]
    random_starts: float
    lanes: int
    devices: Devices
    network_devices: NetworkDevices
    start: Model | None = None

    @property
    def samples_per_step(self) -> float:
        """How many states of one and the same row there are on average."""
        return len(self.batch.rows) / max(1, len(np.unique(self.batch.rows)))

    def leaf_samples(self) -> int:
        """The least number of samples in a leaf."""
        # Samples of one step share its noise, but not what is due to the local state.
        return max(1, round(self.min_leaf * max(1.0, self.samples_per_step / 2)))


def fit_constant(lesson: Lesson) -> Iterator[Fitted]:
    """Always the same order of actions: by what each is paid when taken all the time."""
    while True:
        yield Fitted(Constant(lesson.totals), 0.0, {})


def fit_linear(lesson: Lesson) -> Iterator[Fitted]:
    """Ridge regression of the targets on standardised features, again and again."""
    batch, view = lesson.batch, lesson.view
    raw = view.at(batch.rows, batch.local)
    scaling = Scaling.of(raw)
    features = scaling.apply(raw)
    gram = features.T @ features / len(features)
    # The next states differ from their rows in the local columns only.
    columns = view.local
    others = scaling.apply(view.raw)
    others[:, columns] = 0.0
    following = (batch.following - scaling.mean[columns]) * scaling.inverse[columns]
    low, high = float(batch.rewards.min()), float(batch.rewards.max())
    room = (high - low) / (1 - lesson.gamma) if lesson.gamma < 1 else np.inf
    step = 0
    while True:
        strength, sweeps = LINEAR_STEPS[min(step, len(LINEAR_STEPS) - 1)]
        solver = np.linalg.inv(gram + strength * np.eye(len(gram))) @ features.T / len(features)
        targets = batch.rewards
        weights, intercept = _ridge(solver, fill_unlawful(targets, batch.lawful))
        lesson.check()
        for _ in range(sweeps):
            base = others @ weights + intercept
            values = base[batch.rows + 1 - view.first][:, None] + following @ weights[columns]
            # A linear function can run away from its own targets; returns can't.
            values = np.clip(values, values.mean() - room, values.mean() + room)
            targets = batch.rewards + lesson.gamma * best_ahead(values, batch.later)
            weights, intercept = _ridge(solver, fill_unlawful(targets, batch.lawful))
        model = LinearModel(scaling, weights, intercept)
        gamma = lesson.gamma if sweeps else 0.0
        yield Fitted(model, gamma, {"gamma": gamma, "strength": strength})
        step += 1


def _ridge(solver: Matrix, targets: Matrix) -> tuple[Matrix, Matrix]:
    intercept: Matrix = targets.mean(axis=0)
    return solver @ (targets - intercept), intercept


def fit_trees(lesson: Lesson) -> Iterator[Fitted]:
    """A regression tree; its questions explain the last one's targets, its leaves are solved."""
    batch = lesson.batch
    raw = lesson.view.at(batch.rows, batch.local)
    targets, step = batch.rewards, 0
    while True:
        depth, ahead = TREE_STEPS[min(step, len(TREE_STEPS) - 1)]
        gamma = lesson.gamma if ahead else 0.0
        shape = fit_tree(
            raw,
            shape_targets(targets if ahead else batch.rewards, batch.lawful),
            max_depth=min(depth, lesson.max_depth),
            min_leaf=lesson.leaf_samples(),
            bins=lesson.bins,
            check=lesson.check,
        )
        (tree,), targets = _solve(lesson, raw, [shape], gamma)
        if not ahead:
            # The next one looks ahead from this one's values.
            _, targets = _solve(lesson, raw, [shape], lesson.gamma)
        yield Fitted(tree, gamma, {"gamma": gamma, "leaves": tree.leaf_count})
        step += 1


def fit_forest(lesson: Lesson) -> Iterator[Fitted]:
    """The mean of random trees: with what comes, and without."""
    batch = lesson.batch
    raw = lesson.view.at(batch.rows, batch.local)
    chance = np.random.default_rng([lesson.seed, 3])
    settings = lesson.settings if isinstance(lesson.settings, Fqi) else Fqi(trees=FOREST)
    targets = batch.rewards
    while True:
        for gamma in (lesson.gamma, 0.0):
            shapes = [
                fit_random_tree(
                    raw,
                    shape_targets(targets if gamma else batch.rewards, batch.lawful),
                    chance,
                    max_depth=lesson.max_depth,
                    min_leaf=lesson.leaf_samples(),
                    features_tried=settings.features,
                    check=lesson.check,
                )
                for _ in range(settings.trees)
            ]
            trees, solved = _solve(lesson, raw, shapes, gamma)
            targets = solved if gamma else targets
            yield Fitted(Forest(tuple(trees)), gamma, {"gamma": gamma, "trees": settings.trees})


def _solve(
    lesson: Lesson, raw: Matrix, shapes: Sequence[Tree], gamma: float
) -> tuple[list[Tree], Matrix]:
    """The trees with values that agree with the samples, and the targets [N, A] they explain."""
    groups = cells_of(lesson, raw, [(shape.leaves, len(shape.feature)) for shape in shapes])
    prior = PRIOR * lesson.samples_per_step
    values, targets = solve_cells(
        groups, lesson.batch, gamma=gamma, prior=prior, check=lesson.check
    )
    trees = [
        Tree(shape.feature, shape.threshold, shape.left, _with_inner(shape, one, group))
        for shape, one, group in zip(shapes, values, groups, strict=True)
    ]
    return trees, targets


def cells_of(
    lesson: Lesson, raw: Matrix, partitions: Sequence[tuple[Callable[[Matrix], Codes], int]]
) -> list[Cells]:
    """The cells of the samples `raw` [N, D] and of what follows them, for some partitions.

    A partition is a function from features to cells, and how many cells there are.
    """
    batch, view = lesson.batch, lesson.view
    later = np.empty((len(partitions), *batch.rewards.shape), dtype=np.int64)
    for action in range(batch.rewards.shape[1]):
        following = view.at(batch.rows + 1, batch.following[:, action])
        for index, (cells, _) in enumerate(partitions):
            later[index, :, action] = cells(following)
    return [
        Cells(cells(raw), later[index], count) for index, (cells, count) in enumerate(partitions)
    ]


def _with_inner(shape: Tree, values: Matrix, group: Cells) -> Matrix:
    """Values [nodes, A] in which every inner node has the mean of the samples below it."""
    counts = np.bincount(group.codes, minlength=group.count).astype(np.float64)
    sums = values * counts[:, None]
    means = values.copy()
    for node in np.flatnonzero(shape.feature >= 0)[::-1].tolist():
        first = int(shape.left[node])
        counts[node] = counts[first] + counts[first + 1]
        sums[node] = sums[first] + sums[first + 1]
        means[node] = sums[node] / max(counts[node], 1.0)
    return means
