"""What a policy looks at: what its choices lose when a field no longer tells the truth.

A field is taken from another time: all its features are shifted in a circle by the same number of
steps, so that what they look like stays and what they tell of the step is gone (permutation
importance, Breiman 2001, with one block). What one feature contributes is the mean size of how
much it speaks for the chosen action against the second best, in units of reward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.model import Model
from spice_engine.records import record

SHIFTS = 3
MAX_ROWS = 2_000
MAX_ASKED = 300
"""Rows whose contributions are looked at, one by one."""

Choices = NDArray[np.int64]


@record
class FieldWeight:
    """What is lost per step when the field tells of another time, and the share of `changed`
    choices."""

    field: str
    lost: float
    changed: float


def field_weights(
    model: Model,
    raw: Matrix,
    layout: Layout,
    worth: Callable[[Choices], Matrix],
    seed: int,
    check: Callable[[], None],
) -> list[FieldWeight]:
    """Every field that the model looks at, what costs most first.

    `raw` [N, D] are rows in the order of time, `worth` gives what choices [N] are worth [N].
    """
    chosen = choose(model.values(raw))
    before = worth(chosen)
    count = len(raw)
    chance = np.random.default_rng([seed, count])
    shifts = [
        max(1, round(count * (part + 0.5 * float(chance.random())) / (SHIFTS + 1)))
        for part in range(1, SHIFTS + 1)
    ]
    found: list[FieldWeight] = []
    for field, columns in _columns(layout).items():
        check()
        lost = changed = 0.0
        other = raw.copy()
        for shift in shifts:
            other[:, columns] = np.roll(raw[:, columns], shift, axis=0)
            choices = choose(model.values(other))
            lost += float((before - worth(choices)).mean()) / SHIFTS
            changed += float((choices != chosen).mean()) / SHIFTS
        if changed:
            found.append(FieldWeight(field, lost, changed))
    return sorted(found, key=lambda one: (-one.lost, -one.changed))


def feature_weights(
    model: Model, raw: Matrix, names: Sequence[str], check: Callable[[], None]
) -> dict[str, float]:
    """The mean size of every feature's contribution, largest first; without those of none."""
    few = raw[:: max(1, -(-len(raw) // MAX_ASKED))]
    values = model.values(few)
    if not len(few) or values.shape[1] < 2:
        return {}
    chosen = choose(values)
    others = values.copy()
    others[np.arange(len(few)), chosen] = -np.inf
    second = others.argmax(axis=1)
    sizes: list[Matrix] = []
    for row, one, other in zip(few, chosen.tolist(), second.tolist(), strict=True):
        check()
        sizes.append(np.abs(model.contributions(row, one, other)))
    mean: list[float] = np.stack(sizes).mean(axis=0).tolist()
    order = sorted(range(len(mean)), key=lambda column: -mean[column])
    return {names[column]: mean[column] for column in order if mean[column] > 0}


def _columns(layout: Layout) -> dict[str, list[int]]:
    """The features that each field makes, by its name."""
    lagged = [layout.fields[index] for index in layout.lagged]
    current = [layout.fields[index] for index in layout.current]
    width = len(layout.names) - len(current)
    found: dict[str, list[int]] = {field: [] for field in layout.fields}
    for column in range(width):
        found[lagged[column % len(lagged)]].append(column)
    for index, field in enumerate(current):
        found[field].append(width + index)
    return found
