"""Models asked for one state at a time: some microseconds a question, instead of NumPy's tens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from spice_engine.learning.algorithms.forest import Forest
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tree import Tree
from spice_engine.learning.features import Scaling
from spice_engine.learning.model import Model
from spice_engine.learning.networks import Network
from spice_engine.learning.simulated_kernel_models import compiled_chooser
from spice_engine.learning.simulated_steps import Chooser, Rollout, State, Stepper
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Rows, Simulator

_NETWORK_BLOCK = 4_096
"""Rows whose first layer is made at a time."""


def act(simulator: Simulator, stepper: Stepper, model: Model, view: View, steps: Rows) -> Rollout:
    """A model's episode over some consecutive steps, compiled as soon as that can be."""
    if simulator.kernel is not None and (asked := compiled_chooser(model, view, steps)) is not None:
        taken = simulator.kernel.act(steps, asked)
        if taken is not None:
            return Rollout(*taken)
    return stepper.act(steps, chooser(model, view, steps))


def chooser(model: Model, view: View, steps: Rows) -> Chooser:
    """The model's values over some consecutive steps."""
    if isinstance(model, LinearModel):
        return _linear(model, view, steps)
    if isinstance(model, Tree):
        return _tree(model, view)
    if isinstance(model, Forest):
        return _forest(model, view)
    if isinstance(model, Table):
        return _table(model, view)
    if isinstance(model, NetworkModel) and model.scaling is not None:
        return _network(model.network, model.scaling, view, steps)

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


def _table(table: Table, view: View) -> Chooser:
    edges: list[tuple[int, list[float]]] = [
        (column, one.tolist()) for column, one in zip(table.columns, table.edges, strict=True)
    ]
    mean: list[list[float]] = table.mean.tolist()

    def ask(row: int, local: State, /) -> Sequence[float]:
        raw, cell = view.row(row, local), 0
        for column, cuts in edges:
            cell = cell * (len(cuts) + 1) + bisect_left(cuts, raw[column])
        return mean[cell]

    return ask


def _forest(forest: Forest, view: View) -> Chooser:
    asks = [_tree(tree, view) for tree in forest.trees]

    def ask(row: int, local: State, /) -> Sequence[float]:
        return [sum(parts) for parts in zip(*[one(row, local) for one in asks], strict=True)]

    return ask


def _network(network: Network, scaling: Scaling, view: View, steps: Rows) -> Chooser:
    """What the data give the first layer in blocks of rows; then only the rest is left."""
    mean, inverse = scaling.mean[view.local], scaling.inverse[view.local]
    weights = network.weights[0][:, view.local]
    last = int(steps[-1])
    block, base = range(0), np.empty((0, 0, 0))

    def ask(row: int, local: State, /) -> Sequence[float]:
        nonlocal block, base
        if row not in block:
            block = range(row, min(row + _NETWORK_BLOCK, last + 1))
            raw = view.raw[np.array(block) - view.first]
            raw[:, view.local] = scaling.mean[view.local]
            base = np.matmul(scaling.apply(raw), network.weights[0]) + network.biases[0]
        scaled = (np.array(local) - mean) * inverse
        hidden = base[:, row - block.start, None] + np.matmul(scaled, weights)[:, None]
        values: list[float] = network.after_first(hidden)[0].tolist()
        return values

    return ask
