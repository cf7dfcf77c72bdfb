"""What no pod should have, and every algorithm must bear: never a policy of NaN, never a hang."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.data.cells import why_no_number
from spice_engine.errors import InsufficientData
from spice_engine.learning.policy import Policy
from spice_engine.learning.reward_check import InvalidRewardValue
from spice_engine.learning.source import Source
from spice_engine.learning.trainer import train
from spice_engine.workers.arrays import save
from spice_engine.workers.child import LocalReport

ROWS, SPAN = 120, 3
NETWORK = {"updates": 4, "hidden": [8]}
ALGORITHMS: dict[str, tuple[str, dict[str, Any]]] = {
    "auto": ("auto", {"search": 0, "trees": 2}),
    "linear": ("linear", {}),
    "fqi": ("fqi", {"trees": 3}),
    "tabular": ("tabular", {}),
    "tilings": ("tabular", {"tilings": 4, "features": 1}),
    "dql": ("dql", NETWORK),
    "vpg": ("vpg", NETWORK),
    "sacd": ("sacd", NETWORK),
    "steep": ("dql", {**NETWORK, "learning_rate": 1}),
}


def waves() -> np.ndarray:
    time = np.arange(ROWS)[:, None]
    return np.sin(time / [7.0, 11.0]) + np.random.default_rng(0).normal(size=(ROWS, 2)) * 0.1


def gaps() -> np.ndarray:
    """Two long stretches without a datum, in which the last row stays."""
    values = waves()
    values[20:60], values[80:110] = values[20], values[80]
    return values


SPIKE = "reward = 1e30 if next_state['y'] > 0.95 else next_state['x']"
WORLDS: dict[str, tuple[Callable[[], np.ndarray], dict[str, str]]] = {
    "constant features": (lambda: np.full((ROWS, 2), 3.0), {"act": "reward = next_state['x']"}),
    "one action": (waves, {"wait": ""}),
    "rewards of 1e30": (waves, {"act": "reward = 1e30 * next_state['x']"}),
    "rewards of 1e100": (waves, {"act": "reward = 1e100 if next_state['x'] > 0 else -1e100"}),
    "tiny rewards": (waves, {"act": "reward = 1e-305 * next_state['x']"}),
    "one reward is huge": (waves, {"act": SPIKE}),
    "gaps in time": (gaps, {"act": "reward = next_state['x']"}),
    "huge features": (lambda: 1e149 * waves(), {"act": "reward = next_state['x'] / 1e149"}),
}


def params(folder: Path, values: np.ndarray, codes: dict[str, str], **changes: Any) -> Any:
    rewards = {"wait": "reward = 0"} | {name: code for name, code in codes.items() if code}
    return {
        "values": save(folder, values).as_dict(),
        "times": save(folder, 60 * np.arange(len(values))).as_dict(),
        "training_rows": len(values),
        "first_datum": 0,
        "fields": ["x", "y"],
        "actions": list(rewards),
        "rewards": {
            "init": None,
            "actions": {
                name: Source(code, "pod.yaml", 1, 1).as_dict() for name, code in rewards.items()
            },
        },
        "simulation": None,
        "interpretations": [],
        "span": SPAN,
        "granularity": 60,
        "episodes": 3,
        "holdout": 0.2,
        "seed": 0,
        "goal": "",
        "fingerprint": "f",
    } | changes


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("case", ALGORITHMS)
def test_every_algorithm_gives_a_policy_of_numbers(tmp_path: Path, case: str, world: str) -> None:
    algorithm, settings = ALGORITHMS[case]
    make, codes = WORLDS[world]
    values = make()
    given = params(tmp_path, values, codes, algorithm=algorithm, hyperparameters=settings)
    told: list[Any] = []
    answer = train(given, LocalReport(told.append))
    json.dumps(answer["evaluation"], allow_nan=False)
    json.dumps([one for one in told if one["kind"] == "episode"], allow_nan=False)
    policy = Policy.from_bytes(answer["policy"])
    raw = policy.layout.raw(values, np.arange(SPAN - 1, ROWS))
    found = policy.model.values(raw)
    assert np.isfinite(found).all()
    confidence = policy.calibration.confidence(found)
    assert ((confidence >= 0) & (confidence <= 1)).all()
    assert policy.recommend(values[-SPAN:], explain=True).action in given["actions"]


@pytest.mark.parametrize("algorithm", ["auto", "linear", "fqi", "tabular", "dql", "vpg", "sacd"])
def test_one_observation_is_told(tmp_path: Path, algorithm: str) -> None:
    given = params(tmp_path, waves()[:1], {}, algorithm=algorithm, hyperparameters={})
    with pytest.raises(InsufficientData, match="1 complete buckets"):
        train(given, LocalReport())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("reward = 1e308", r"1e\+308 is too large"),
        ("x = 10 ** 16\nreward = x * x * x * x * x * x * x", "an integer too large"),
        ("reward = 1e308 * 10", "inf"),
        ("big = 1e308 * 10\nreward = big - big", "nan"),
    ],
)
def test_a_reward_out_of_bounds_is_told_with_its_moment(
    tmp_path: Path, code: str, says: str
) -> None:
    given = params(tmp_path, waves(), {"act": code}, algorithm="auto", hyperparameters={})
    with pytest.raises(InvalidRewardValue, match=rf"'act' at 1970-.* is not usable: {says}\."):
        train(given, LocalReport())


def test_cells_say_why_they_are_no_number() -> None:
    assert why_no_number("1e300") == "'1e300' is beyond 1e+150 and counts as no finite number"
    for cell in ("inf", "-inf", "nan", "abc"):
        assert why_no_number(cell) == f"'{cell}' is no finite number"
