"""Hyperparameters of each algorithm: typed, bounded, each with its meaning in one sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from spice_engine.errors import InvalidRequest
from spice_engine.learning.presets import PRESET, PRESETS, SIMULATED
from spice_engine.records import record

_GAMMA = "Weight of the next step's value; counts only where actions change fields."
_MIN_LEAF = "Steps that each leaf of a tree keeps at least."
_MAX_DEPTH = "Questions from the root of a tree to a leaf, at most."


def _bounded(default: Any, low: Any, high: Any, meaning: str) -> Any:
    """A field whose value lies in [low, high]; its metadata tells both, and the meaning.

    Of a list the values do, and `high` has as many bounds as there may be values.
    """
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
    features: int = _bounded(
        0, 0, 10_000, "Features that each node of a random tree tries; 0: all of them."
    )
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)


@record
class Tabular:
    """Hyperparameters of `tabular`."""

    features: int = _bounded(3, 1, 4, "Features that make up a cell of the table, at most.")
    bins: int = _bounded(16, 2, 64, "Bins of each feature, at most.")
    shrinkage: float = _bounded(
        5.0, 0.0, 1e6, "Visits that the mean over all cells weighs in each cell."
    )
    tilings: int = _bounded(
        1,
        1,
        32,
        "Tables whose values are added, each shifted by a part of a bin, where no action changes "
        "a field.",
    )
    lanes: int = _bounded(
        0,
        0,
        16_384,
        "Members that learn by trial side by side; with 0 the means of cells are taken at once, "
        "and in a simulated pod 32 members learn after those.",
    )
    passes: int = _bounded(50, 1, 10_000, "Passes over time of each member.")
    learning_rate: float = _bounded(0.1, 1e-6, 1.0, "Step size of members that learn by trial.")
    spread: float = _bounded(
        3.0, 1.0, 100.0, "Some members' step sizes are so many times smaller, others' larger."
    )
    trace: float = _bounded(
        0.0, 0.0, 1.0, "Lambda of eligibility traces, for members to which the next step counts."
    )
    exploration: float = _bounded(1.0, 0.0, 1.0, "Share of actions by chance in the first pass.")
    exploration_decay: float = _bounded(
        0.9, 0.0, 1.0, "What that share is multiplied by after each pass."
    )
    exploration_end: float = _bounded(0.05, 0.0, 1.0, "That share, at least.")
    random_starts: float = _bounded(
        0.5, 0.0, 1.0, "Share of a simulated pod's episodes that begin anywhere, not at the start."
    )
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)


_HIDDEN = "Neurons of each hidden layer."
_MOST = (1024,) * 4
"""Up to four hidden layers of so many neurons."""
_RATE = "Step size of Adam."
_UPDATES = "Gradient steps of one episode."
_LANES = "Walks through the data, or copies of the environment, side by side."
_BATCH = "Steps of each network in a gradient step."
_REPLAY = "How often a step is learned from on average."
_MEMORY = "Steps that are remembered, at most."
_WARM_UP = "Steps before the first gradient step."
_ALL_ACTIONS = "Learns from every action's reward where it is known, not only from the taken one's."
_AVERAGING = "Weight of the newest network in the running mean that is asked; 1: it alone."
_DECAY = (
    "Share, times the step size, by which weights shrink at each step: less is learned by heart."
)
_CLIP = "Longest gradient; longer ones are shortened to it."


@record
class Dql:
    """Hyperparameters of `dql`."""

    hidden: tuple[int, ...] = _bounded((64, 64), (1,), _MOST, _HIDDEN)
    learning_rate: float = _bounded(3e-3, 1e-6, 1.0, _RATE)
    batch: int = _bounded(256, 1, 65_536, _BATCH)
    updates: int = _bounded(200, 1, 1_000_000, _UPDATES)
    members: int = _bounded(1, 1, 64, "Networks trained side by side, whose values are averaged.")
    all_actions: bool = _bounded(True, False, True, _ALL_ACTIONS)
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)
    n_steps: int = _bounded(1, 1, 64, "Steps whose rewards are added before the value of the next.")
    double: bool = _bounded(
        True, False, True, "The learning network picks the next action, the target one values it."
    )
    dueling: bool = _bounded(
        False, False, True, "Learns the value of a state apart from the leads of the actions."
    )
    target: int = _bounded(
        100, 1, 1_000_000, "Gradient steps from one copy of the target network to the next."
    )
    exploration: float = _bounded(1.0, 0.0, 1.0, "Share of actions by chance, at first.")
    exploration_decay: float = _bounded(
        0.97, 0.0, 1.0, "What that share is multiplied by at each step of a lane."
    )
    exploration_end: float = _bounded(0.05, 0.0, 1.0, "That share, at last.")
    lanes: int = _bounded(256, 1, 4096, _LANES)
    replay: float = _bounded(4.0, 1e-3, 1e4, _REPLAY)
    memory: int = _bounded(100_000, 1, 10_000_000, _MEMORY)
    warm_up: int = _bounded(1_000, 0, 10_000_000, _WARM_UP)
    decay: float = _bounded(0.0, 0.0, 1e3, _DECAY)
    averaging: float = _bounded(0.05, 1e-6, 1.0, _AVERAGING)
    clip: float = _bounded(10.0, 1e-6, 1e9, _CLIP)


@record
class Vpg:
    """Hyperparameters of `vpg`."""

    hidden: tuple[int, ...] = _bounded((64, 64), (1,), _MOST, _HIDDEN)
    learning_rate: float = _bounded(3e-3, 1e-6, 1.0, _RATE)
    updates: int = _bounded(200, 1, 1_000_000, _UPDATES)
    all_actions: bool = _bounded(True, False, True, _ALL_ACTIONS)
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)
    trace: float = _bounded(
        0.95, 0.0, 1.0, "Lambda of the advantages: 0 trusts the baseline, 1 the returns."
    )
    baseline: bool = _bounded(True, False, True, "Subtracts a learned value of the state.")
    baseline_weight: float = _bounded(0.5, 0.0, 100.0, "Weight of the baseline's error.")
    entropy: float = _bounded(0.01, 0.0, 10.0, "Reward for an undecided policy.")
    lanes: int = _bounded(256, 1, 4096, _LANES)
    steps: int = _bounded(4, 1, 4096, "Steps of each lane in a gradient step.")
    averaging: float = _bounded(0.05, 1e-6, 1.0, _AVERAGING)
    clip: float = _bounded(0.5, 1e-6, 1e9, _CLIP)


@record
class Sacd:
    """Hyperparameters of `sacd`."""

    hidden: tuple[int, ...] = _bounded((64, 64), (1,), _MOST, _HIDDEN)
    learning_rate: float = _bounded(3e-3, 1e-6, 1.0, _RATE)
    batch: int = _bounded(256, 1, 65_536, _BATCH)
    updates: int = _bounded(200, 1, 1_000_000, _UPDATES)
    all_actions: bool = _bounded(True, False, True, _ALL_ACTIONS)
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)
    tau: float = _bounded(
        0.05, 0.0, 1.0, "Share of the critics that goes into their targets at each gradient step."
    )
    temperature: float = _bounded(1.0, 1e-6, 1e3, "What entropy is worth at first, in rewards.")
    entropy: float = _bounded(
        0.2, 0.0, 1.0, "Entropy that the temperature is tuned to, as a share of the most."
    )
    lanes: int = _bounded(256, 1, 4096, _LANES)
    replay: float = _bounded(4.0, 1e-3, 1e4, _REPLAY)
    memory: int = _bounded(100_000, 1, 10_000_000, _MEMORY)
    warm_up: int = _bounded(1_000, 0, 10_000_000, _WARM_UP)
    clip: float = _bounded(10.0, 1e-6, 1e9, _CLIP)


@record
class Auto:
    """Hyperparameters of `auto`."""

    trees: int = _bounded(32, 2, 200, "Trees of its forests, at most.")
    search: int = _bounded(
        16, 0, 1024, "Settings that are drawn by chance and tried on few steps; the best go on."
    )
    min_leaf: int = _bounded(20, 1, 100_000, _MIN_LEAF)
    max_depth: int = _bounded(12, 1, 30, _MAX_DEPTH)
    seconds: float = _bounded(5.0, 0.1, 3600.0, "Computing time of its candidates.")
    gamma: float = _bounded(0.9, 0.0, 1.0, _GAMMA)


Hyperparameters = Linear | Fqi | Tabular | Dql | Vpg | Sacd | Auto

HYPERPARAMETERS: Mapping[str, type[Hyperparameters]] = {
    "auto": Auto,
    "dql": Dql,
    "fqi": Fqi,
    "linear": Linear,
    "sacd": Sacd,
    "tabular": Tabular,
    "vpg": Vpg,
}
"""By the id of the algorithm in `catalog.ALGORITHMS`."""


def parse(algorithm: str, given: Mapping[str, Any]) -> Hyperparameters:
    """The hyperparameters of an algorithm, defaults where nothing is `given`.

    Of an algorithm with presets the name `preset` chooses the values of one of them as defaults.
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
    for name, value in _with_preset(algorithm, given).items():
        if name not in fields:
            raise InvalidRequest(
                f"The algorithm '{algorithm}' has no hyperparameter '{name[:200]}'.",
                hint=f"It has {', '.join(fields)}.",
            )
        values[name] = _checked(fields[name], value)
    return kind(**values)


def parse_for_simulated(algorithm: str, given: Mapping[str, Any]) -> Hyperparameters:
    """The same in a simulated pod, where some defaults are others; a preset takes their place."""
    others: Mapping[str, Any] = {} if PRESET in given else SIMULATED.get(algorithm, {})
    return parse(algorithm, {**others, **given})


def _with_preset(algorithm: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is given, and before it the values of the preset that it asks for."""
    presets = PRESETS.get(algorithm)
    if presets is None or PRESET not in given:
        return given
    others = {name: value for name, value in given.items() if name != PRESET}
    asked = given[PRESET]
    if not isinstance(asked, str) or asked not in presets:
        raise InvalidRequest(
            f"The algorithm '{algorithm}' has no preset {asked!r:.200}.",
            hint=f"Use {' or '.join(presets)}, or leave it out.",
        )
    return {**presets[asked], **others}


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    low, high = field.metadata["low"], field.metadata["high"]
    if isinstance(field.default, tuple):
        return _checked_list(field.name, value, low[0], high)
    if isinstance(field.default, bool):
        if not isinstance(value, bool):
            raise InvalidRequest(
                f"The hyperparameter '{field.name}' must be true or false, not {value!r}."
            )
        return value
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


def _checked_list(name: str, value: Any, low: int, high: tuple[int, ...]) -> tuple[int, ...]:
    """A list of one to as many whole numbers as there are upper bounds."""
    items = cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()
    whole = all(type(item) is int and low <= item <= high[0] for item in items)
    if not 1 <= len(items) <= len(high) or not whole:
        raise InvalidRequest(
            f"The hyperparameter '{name}' must be a list of 1 to {len(high)} whole numbers from "
            f"{low} to {high[0]}, as in [64, 64], not {value!r:.200}."
        )
    return tuple(items)
