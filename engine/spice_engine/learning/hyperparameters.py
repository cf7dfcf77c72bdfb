"""Hyperparameters of each algorithm: typed, bounded, each with its meaning in one sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

_GAMMA = "Weight of the next step's value; counts only where actions change fields."
_MIN_LEAF = "Steps that each leaf of a tree keeps at least."
_MAX_DEPTH = "Questions from the root of a tree to a leaf, at most."


def _bounded(default: Any, low: float, high: float, meaning: str) -> Any:
    """A field whose value lies in [low, high]; its metadata tells both, and the meaning."""
    return dataclasses.field(
        default=default, metadata={"low": low, "high": high, "meaning": meaning}
    )


@record
class Linear:
    """Hyperparameters of `linear`."""

    strongest: float = _bounded(1e3, 1e-9, 1e9, "Regularisation the path begins with.")
    weakest: float = _bounded(1e-6, 1e-12, 1e6, "Regularisation the path ends with.")
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)


@record
class Fqi:
    """Hyperparameters of `fqi`."""

    max_depth: int = _bounded(12, 1, 30, _MAX_DEPTH)
    min_leaf: int = _bounded(20, 1, 100_000, _MIN_LEAF)
    bins: int = _bounded(64, 2, 256, "Thresholds tried for each feature.")
    trees: int = _bounded(1, 1, 200, "Trees averaged; above 1 the further ones are random.")
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)


@record
class Tabular:
    """Hyperparameters of `tabular`."""

    features: int = _bounded(3, 1, 4, "Features that make up a cell of the table, at most.")
    bins: int = _bounded(16, 2, 64, "Bins of each feature, at most.")
    shrinkage: float = _bounded(
        5.0, 0.0, 1e6, "Visits that the mean over all cells weighs in each cell."
    )
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)


@record
class Auto:
    """Hyperparameters of `auto`."""

    trees: int = _bounded(32, 2, 200, "Trees of its largest forest.")
    min_leaf: int = _bounded(20, 1, 100_000, _MIN_LEAF)
    max_depth: int = _bounded(12, 1, 30, _MAX_DEPTH)
    seconds: float = _bounded(5.0, 0.1, 3600.0, "No further candidate is begun after this long.")
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)


Hyperparameters = Linear | Fqi | Tabular | Auto

HYPERPARAMETERS: Mapping[str, type[Hyperparameters]] = {
    "auto": Auto,
    "fqi": Fqi,
    "linear": Linear,
    "tabular": Tabular,
}
"""By the id of the algorithm in `catalog.ALGORITHMS`."""


def parse(algorithm: str, given: Mapping[str, Any]) -> Hyperparameters:
    """The hyperparameters of an algorithm, defaults where nothing is `given`.

    Raises InvalidRequest for an algorithm or a name that there is not, and for a value of another
    type or out of bounds.
    """
    kind = HYPERPARAMETERS.get(algorithm)
    if kind is None:
        raise InvalidRequest(
            f"Learning algorithm {algorithm[:200]} not found.",
            hint=f"Use one of {', '.join(HYPERPARAMETERS)}.",
        )
    fields = {field.name: field for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in fields:
            raise InvalidRequest(
                f"The algorithm '{algorithm}' has no hyperparameter '{name[:200]}'.",
                hint=f"It has {', '.join(fields)}.",
            )
        values[name] = _checked(fields[name], value)
    return kind(**values)


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    low, high = field.metadata["low"], field.metadata["high"]
    whole = isinstance(field.default, int)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise InvalidRequest(f"The hyperparameter '{field.name}' must be {kind}, not {value!r}.")
    if not low <= value <= high:
        raise InvalidRequest(
            f"The hyperparameter '{field.name}' is {value:g}, allowed is {low:g} to {high:g}."
        )
    return int(value) if whole else float(value)
