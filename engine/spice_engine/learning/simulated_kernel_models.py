"""Models as arrays that a compiled rollout asks: what `simulated_choosers` does, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.forest import Forest
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tree import Tree
from spice_engine.learning.features import Matrix
from spice_engine.learning.model import Model
from spice_engine.learning.simulated_kernel_drivers import CONSTANT, LINEAR, TABLE, TREES
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Rows
from spice_engine.records import record

Integers = NDArray[np.int64]
_NONE: Integers = np.zeros(0, dtype=np.int64)
_EMPTY: Matrix = np.zeros(0)


@record
class Asked:
    """A model over some consecutive steps: how `roll` asks it, and the arrays it takes for that."""

    mode: int
    arrays: tuple[Any, ...]


def compiled_chooser(model: Model, view: View, steps: Rows) -> Asked | None:
    """The compiled form of `simulated_choosers.chooser`; None where there is none."""
    places = slice(int(steps[0]) - view.first, int(steps[-1]) - view.first + 1)
    raw: Matrix = np.ascontiguousarray(view.raw[places], np.float64)
    slots = np.ascontiguousarray(view.local, np.int64)
    match model:
        case Tree():
            return Asked(TREES, _arrays(raw, slots, trees=(model,)))
        case Forest():
            return Asked(TREES, _arrays(raw, slots, trees=model.trees))
        case Constant():
            return Asked(CONSTANT, _arrays(raw, slots, mean=model.mean[None]))
        case Table():
            return Asked(TABLE, _arrays(raw, slots, mean=model.mean, table=model))
        case LinearModel():
            return Asked(LINEAR, _linear(model, raw, slots))
        case _:
            return None


def no_model(actions: int, local: int) -> Asked:
    """For rollouts that ask no model."""
    slots = np.zeros(local, dtype=np.int64)
    return Asked(CONSTANT, _arrays(np.zeros((1, 1)), slots, mean=np.zeros((1, actions))))


def _linear(model: LinearModel, raw: Matrix, slots: Integers) -> tuple[Any, ...]:
    """The data's part of all rows at once; the local fields' part is added step by step."""
    data = raw.copy()
    data[:, slots] = model.scaling.mean[slots]
    parts = model.scaling.mean[slots], model.scaling.inverse[slots], model.weights[slots]
    return _arrays(raw, slots, base=model.values(data), parts=parts)


def _arrays(
    raw: Matrix,
    slots: Integers,
    *,
    trees: tuple[Tree, ...] = (),
    mean: Matrix | None = None,
    table: Table | None = None,
    base: Matrix | None = None,
    parts: tuple[Matrix, Matrix, Matrix] | None = None,
) -> tuple[Any, ...]:
    """All that `values_of` takes, in its order; what a model has not is empty."""
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees)], dtype=np.int64)
    feature, left, threshold = _NONE, _NONE, _EMPTY
    if trees:
        feature = np.concatenate([tree.feature for tree in trees])
        left = np.concatenate(
            [tree.left + start for tree, start in zip(trees, starts[:-1], strict=True)]
        )
        threshold = np.concatenate([tree.threshold for tree in trees])
        mean = np.concatenate([tree.mean for tree in trees])
    columns, edges, bounds = _NONE, _EMPTY, np.zeros(1, dtype=np.int64)
    if table is not None:
        columns = np.array(table.columns, dtype=np.int64)
        edges = np.concatenate([_EMPTY, *table.edges])
        bounds = np.cumsum([0, *(len(one) for one in table.edges)], dtype=np.int64)
    nothing = np.zeros((0, 0))
    centre, inverse, weights = parts or (_EMPTY, _EMPTY, nothing)
    found = (
        raw, slots, feature, threshold, left, mean if mean is not None else nothing, starts[:-1],
        base if base is not None else nothing, centre, inverse, weights, columns, edges, bounds,
    )  # fmt: skip
    return tuple(np.ascontiguousarray(one) for one in found)
