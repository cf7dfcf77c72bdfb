"""Models asked for one state at a time: some microseconds a question, instead of NumPy's tens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spice_engine.learning.algorithms.forest import Forest
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.algorithms.tree import Tree
from spice_engine.learning.model import Model
from spice_engine.learning.simulated_steps import Chooser, State
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Rows


def chooser(model: Model, view: View, steps: Rows) -> Chooser:
    """The model's values over some consecutive steps."""
    if isinstance(model, LinearModel):
        return _linear(model, view, steps)
    if isinstance(model, Tree):
        return _tree(model, view)
    if isinstance(model, Forest):
        return _forest(model, view)

    def ask(row: int, local: State, /) -> Sequence[float]:
        values: list[float] = model.values(np.array([view.row(row, local)]))[0].tolist()
        return values

    return ask


def _linear(model: LinearModel, view: View, steps: Rows) -> Chooser:
    """The data's part of all rows at once; then only the local fields' part is left."""
    raw = view.raw[steps - view.first]
    raw[:, view.local] = model.scaling.mean[view.local]
    base: list[list[float]] = model.values(raw).tolist()
    first = int(steps[0])
    parts: list[tuple[float, float, list[float]]] = [
        (mean, inverse, weights)
        for mean, inverse, weights in zip(
            model.scaling.mean[view.local].tolist(),
            model.scaling.inverse[view.local].tolist(),
            model.weights[view.local].tolist(),
            strict=True,
        )
    ]

    def ask(row: int, local: State, /) -> Sequence[float]:
        values = base[row - first]
        for value, (mean, inverse, weights) in zip(local, parts, strict=True):
            scaled = (value - mean) * inverse
            if scaled:
                values = [one + scaled * w for one, w in zip(values, weights, strict=True)]
        return values

    return ask


def _tree(tree: Tree, view: View) -> Chooser:
    feature: list[int] = tree.feature.tolist()
    threshold: list[float] = tree.threshold.tolist()
    left: list[int] = tree.left.tolist()
    mean: list[list[float]] = tree.mean.tolist()

    def ask(row: int, local: State, /) -> Sequence[float]:
        raw = view.row(row, local)
        node = 0
        while (asked := feature[node]) >= 0:
            node = left[node] + (raw[asked] > threshold[node])
        return mean[node]

    return ask


def _forest(forest: Forest, view: View) -> Chooser:
    asks = [_tree(tree, view) for tree in forest.trees]

    def ask(row: int, local: State, /) -> Sequence[float]:
        return [sum(parts) for parts in zip(*[one(row, local) for one in asks], strict=True)]

    return ask
