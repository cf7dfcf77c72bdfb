"""Which algorithms learn by acting in an environment, and their hyperparameters there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spice_engine.learning.hyperparameters import Hyperparameters, parse
from spice_engine.learning.presets import PRESET

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "auto": {"seconds": 60.0, "gamma": 0.99},
    "dql": {
        "gamma": 0.99, "n_steps": 3, "lanes": 16, "batch": 128, "replay": 8.0, "updates": 250,
        "learning_rate": 1e-3, "exploration_decay": 0.999, "averaging": 0.05,
    },
    "sacd": {
        "gamma": 0.99, "lanes": 16, "batch": 128, "replay": 8.0, "updates": 500,
        "learning_rate": 1e-3,
    },
    "tabular": {"gamma": 0.99},
    "vpg": {
        "gamma": 0.99, "lanes": 64, "steps": 16, "updates": 50, "learning_rate": 3e-3,
        "clip": 5.0, "averaging": 1.0,
    },
}  # fmt: skip
"""What other values hyperparameters have in a gym pod where none are given, by algorithm."""


def parse_for_gym(algorithm: str, given: Mapping[str, Any]) -> Hyperparameters:
    """The hyperparameters of an algorithm in a gym pod; a preset takes the profile's place.

    Raises InvalidRequest as `parse` does.
    """
    profile: Mapping[str, Any] = {} if PRESET in given else PROFILES.get(algorithm, {})
    return parse(algorithm, {**profile, **given})
