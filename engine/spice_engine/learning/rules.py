"""A policy as rules that people can read: which action is taken when.

Trees and tables are rules already: leaves that agree on the action are told as one. Of other
models a small tree is fitted to what they choose, and said how often it agrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tree import Tree, fit_tree
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.model import Model
from spice_engine.records import record

SHADOW_DEPTH = 3
SHADOW_LEAF = 20
"""Of a shadow's leaves: so many steps, or one in a hundred, at least."""

Integers = NDArray[np.int64]
Bounds = dict[int, tuple[float, float]]
"""Feature to the values that it lies between: above the first, up to the second."""


@record
class Rules:
    """Rule r has `conditions[r]`, all of which hold, and takes the action `actions[r]`.

    `of` [N] is the rule of each row that they were made for; `exact` whether they are the model
    itself. `agreement` is the share of rows on which they take what the policy takes.
    """

    conditions: tuple[tuple[str, ...], ...]
    actions: tuple[int, ...]
    of: Integers
    exact: bool
    agreement: float


def rules_of(model: Model, raw: Matrix, chosen: Integers, names: tuple[str, ...]) -> Rules:
    """The rules of a model, for rows of raw features [N, D] and what is `chosen` there [N]."""
    if isinstance(model, Tree):
        found = _of_tree(model, raw, names)
    elif isinstance(model, Table):
        found = _of_table(model, raw, names)
    else:
        found = _of_shadow(raw, chosen, names)
    conditions, actions, of, exact = found
    agreement = float((np.array(actions)[of] == chosen).mean()) if len(chosen) else 1.0
    return Rules(tuple(conditions), tuple(actions), of, exact, agreement)


_Found = tuple[list[tuple[str, ...]], list[int], Integers, bool]


def _of_tree(tree: Tree, raw: Matrix, names: tuple[str, ...]) -> _Found:
    agreed = _agreed(tree)
    rule_of = np.zeros(len(tree.feature), dtype=np.int64)
    conditions: list[tuple[str, ...]] = []
    actions: list[int] = []
    todo: list[tuple[int, Bounds, int]] = [(0, {}, -1)]
    while todo:
        node, bounds, rule = todo.pop()
        if rule < 0 and agreed[node] >= 0:
            rule = len(conditions)
            conditions.append(_texts(bounds, names))
            actions.append(int(agreed[node]))
        rule_of[node] = max(rule, 0)
        feature, left = int(tree.feature[node]), int(tree.left[node])
        if feature < 0:
            continue
        low, high = bounds.get(feature, (-np.inf, np.inf))
        threshold = float(tree.threshold[node])
        yes = {**bounds, feature: (low, min(high, threshold))}
        no = {**bounds, feature: (max(low, threshold), high)}
        todo += [(left + 1, no, rule), (left, yes, rule)]
    return conditions, actions, rule_of[tree.leaves(raw)], True


def _agreed(tree: Tree) -> Integers:
    """The action that all leaves below a node agree on [nodes]; -1 where they do not."""
    agreed = choose(tree.mean)
    # Children come after their parent, so from the end all are known before they are asked for.
    for node in range(len(agreed) - 1, -1, -1):
        if tree.feature[node] >= 0:
            yes, no = agreed[tree.left[node]], agreed[tree.left[node] + 1]
            agreed[node] = yes if yes == no else -1
    return agreed


def _of_table(table: Table, raw: Matrix, names: tuple[str, ...]) -> _Found:
    cells = table.cells(raw)
    known, first, of = np.unique(cells, return_index=True, return_inverse=True)
    conditions = [table.rule(raw[row], names) for row in first.tolist()]
    actions: list[int] = choose(table.mean[known]).tolist()
    return conditions, actions, of.astype(np.int64), True


def _of_shadow(raw: Matrix, chosen: Integers, names: tuple[str, ...]) -> _Found:
    """Rules of a small tree that was fitted to the choices; one without conditions if all agree."""
    taken, codes = np.unique(chosen, return_inverse=True)
    if len(taken) < 2:
        always = int(taken[0]) if len(taken) else 0
        return [()], [always], np.zeros(len(chosen), dtype=np.int64), False
    targets = np.eye(len(taken))[codes]
    leaf = max(SHADOW_LEAF, len(raw) // 100)
    tree = fit_tree(raw, targets, max_depth=SHADOW_DEPTH, min_leaf=leaf)
    conditions, actions, of, _ = _of_tree(tree, raw, names)
    return conditions, [int(taken[one]) for one in actions], of, False


def _texts(bounds: Bounds, names: tuple[str, ...]) -> tuple[str, ...]:
    texts: list[str] = []
    for feature, (low, high) in bounds.items():
        name = names[feature]
        if np.isneginf(low):
            texts.append(f"{name} <= {high:.6g}")
        elif np.isposinf(high):
            texts.append(f"{name} > {low:.6g}")
        else:
            texts.append(f"{low:.6g} < {name} <= {high:.6g}")
    return tuple(texts)
