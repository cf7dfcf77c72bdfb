"""Presets of hyperparameters: `original` has the values of the product that manifests come from.

What the original has no name for is set so that it comes to the same: one lane is one walk through
the data, and a policy gradient without a baseline over one long stretch is Williams's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESET = "preset"
"""The name under which a manifest asks for one of PRESETS."""

SIMULATED: Mapping[str, Mapping[str, Any]] = {
    "dql": {"learning_rate": 0.001, "decay": 10.0, "updates": 100, "target": 25},
    "vpg": {"updates": 50, "lanes": 512},
}
"""What other values hyperparameters have in a simulated pod where none are given.

There are few steps, and more noise than elsewhere, which `dql` would soon learn by heart; and a
step of a simulator costs `vpg` more than its gradient."""

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "dql": {
        "original": {
            "hidden": [32, 16],
            "learning_rate": 0.005,
            "updates": 10,
            "all_actions": False,
            "gamma": 0.95,
            "target": 10,
            "exploration_decay": 0.995,
            "exploration_end": 0.01,
            "lanes": 1,
            "warm_up": 256,
            "averaging": 1.0,
        }
    },
    "vpg": {
        "original": {
            "hidden": [10, 10],
            "learning_rate": 0.02,
            "all_actions": False,
            "gamma": 0.9,
            "trace": 1.0,
            "baseline": False,
            "entropy": 0.0,
            "updates": 1,
            "lanes": 1,
            "steps": 4096,
            "averaging": 1.0,
        }
    },
    "sacd": {
        "original": {
            "hidden": [128, 128, 64, 32],
            "learning_rate": 0.001,
            "batch": 128,
            "updates": 10,
            "all_actions": False,
            "gamma": 0.95,
            "lanes": 1,
            "warm_up": 128,
        }
    },
}
"""Hyperparameters by algorithm and preset, those that are not named being the defaults."""
