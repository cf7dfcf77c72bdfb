"""The trainer's handlers: from plain data to a policy, reward tests, and a step explained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.errors import InvalidRequest, InvalidRewards
from spice_engine.learning.policy import Policy
from spice_engine.learning.reward_questions import reward_tests
from spice_engine.learning.source import Source
from spice_engine.learning.step_question import explain_step
from spice_engine.learning.trainer import train
from spice_engine.workers.arrays import save
from spice_engine.workers.child import Cancelled, LocalReport

ROWS, SPAN, STEP = 600, 5, 30
EPOCH = 1_700_000_010
FIELDS = ("load_cpu", "load_night", "wallet_coins")


def source(text: str, line: int) -> dict[str, Any]:
    return Source(text, "pod.yaml", line, 7).as_dict()


def make_params(folder: Path, **changes: Any) -> dict[str, Any]:
    """A wave of load: `wait` pays while it is high in the next row, `work` while it is low."""
    time = np.arange(ROWS)
    chance = np.random.default_rng(0)
    cpu = 50 + 40 * np.sin(time / 17) + chance.normal(size=ROWS)
    values = np.stack([cpu, (time // 7 % 2).astype(float), np.full(ROWS, 3.0)], axis=1)
    params: dict[str, Any] = {
        "values": save(folder, values).as_dict(),
        "times": save(folder, EPOCH + STEP * time).as_dict(),
        "training_rows": ROWS,
        "first_datum": 0,
        "fields": list(FIELDS),
        "actions": ["wait", "work"],
        "rewards": {
            "init": source('cpu = next_state["load_cpu"]', 1),
            "actions": {
                "wait": source("reward = cpu - 50", 2),
                "work": source("reward = 50 - cpu", 3),
            },
        },
        "simulation": None,
        "interpretations": [],
        "span": SPAN,
        "granularity": STEP,
        "interpolation": True,
        "algorithm": "auto",
        "episodes": 10,
        "holdout": 0.2,
        "seed": 0,
        "goal": "",
        "patience": 0,
        "hyperparameters": {},
        "accelerator": "auto",
        "features": "levels",
        "confidence": "calibrated",
        "fingerprint": "f" * 64,
        "indicators": ["load_night"],
    }
    return params | changes


def test_episodes_a_policy_meanwhile_and_the_last_word(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    answer = train(make_params(tmp_path), LocalReport(told.append))
    episodes = [one for one in told if one["kind"] == "episode"]
    (early,) = [one for one in told if one["kind"] == "policy"]
    assert [one["episode"] for one in episodes] == list(range(1, 11))
    assert all(one["detail"]["candidate"] for one in episodes)
    assert told.index(early) < len(told) - 3  # long before the end
    policy = Policy.from_bytes(early["policy"])
    assert policy.evaluation == early["evaluation"]
    assert early["evaluation"]["held_out"]["regret_closed"] > 0.8
    assert (answer["stopped"], answer["episodes"], answer["algorithm"]) == ("episodes", 10, "auto")
    assert answer["problem_class"] == answer["evaluation"]["problem_class"] == "contextual"
    assert answer["evaluation"]["held_out"]["regret_closed"] > 0.9
    # What has no past is seen once.
    names = Policy.from_bytes(answer["policy"]).feature_names
    assert [name for name in names if "night" in name] == ["load_night[0]"]


@pytest.mark.parametrize("algorithm", ["auto", "fqi", "linear", "tabular"])
def test_every_algorithm_is_the_same_twice(tmp_path: Path, algorithm: str) -> None:
    params = make_params(tmp_path, algorithm=algorithm)
    one, other = (train(params, LocalReport()) for _ in range(2))
    assert one["policy"] == other["policy"]
    assert one["evaluation"]["held_out"]["regret_closed"] > 0.8


def test_goal_patience_and_equal_scores_end_a_run(tmp_path: Path) -> None:
    best = train(make_params(tmp_path), LocalReport())["evaluation"]["in_sample"]["best_constant"]
    goal = train(make_params(tmp_path, goal=f"score > {best + 1}"), LocalReport())
    assert (goal["stopped"], goal["episodes"]) == ("goal", 2)
    patient = train(make_params(tmp_path, patience=1), LocalReport())
    assert patient["stopped"] == "patience"
    assert patient["episodes"] < 10
    equal = train(make_params(tmp_path, rewards=None, algorithm="fqi"), LocalReport())
    assert (equal["stopped"], equal["episodes"]) == ("equal_scores", 3)


def test_classic_features_and_confidence(tmp_path: Path) -> None:
    params = make_params(tmp_path, features="classic", confidence="classic")
    policy = Policy.from_bytes(train(params, LocalReport())["policy"])
    assert policy.layout.kind == "classic"
    assert policy.calibration.classic
    assert 0.5 <= policy.recommend(np.full((SPAN, 3), 9.0)).confidence < 0.9


def test_interpretations_reach_the_rewards(tmp_path: Path) -> None:
    busy = {"start": EPOCH, "end": EPOCH + STEP * ROWS, "name": "busy", "actions": [], "tags": []}
    code = "reward = 1 if current_state_interpretations else 0"
    rewards = {
        "init": None,
        "actions": {"wait": source("reward = 0.5", 1), "work": source(code, 2)},
    }
    best: list[str] = []
    for notes in ([], [busy]):
        params = make_params(tmp_path, rewards=rewards, interpretations=notes)
        best.append(train(params, LocalReport())["evaluation"]["refit"]["best_constant_action"])
    assert best == ["wait", "work"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "dreams"}, "dreams not found"),
        ({"hyperparameters": {"deep": 1}}, "no hyperparameter 'deep'"),
    ],
)
def test_what_there_is_not_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        train(make_params(tmp_path, **changes), LocalReport())


def test_a_cancelled_training_ends(tmp_path: Path) -> None:
    report = LocalReport(lambda _: setattr(report, "cancelled", True))
    with pytest.raises(Cancelled):
        train(make_params(tmp_path), report)


def test_an_action_that_changes_the_state_makes_it_a_simulated_pod(tmp_path: Path) -> None:
    names = {"coins": "wallet_coins"}
    simulation = {
        "local": ["wallet_coins"],
        "initial": {"wallet_coins": 3.0},
        "effects": {"work": {"code": source("coins -= 1", 5), "names": names, "args": {}}},
        "laws": [{"code": source("coins >= 0", 6), "names": names}],
    }
    answer = train(make_params(tmp_path, simulation=simulation), LocalReport())
    assert answer["problem_class"] == "simulated"
    policy = Policy.from_bytes(answer["policy"])
    window = np.full((SPAN, 3), 10.0)
    window[-1, 2] = 0.0
    assert policy.lawful(window[-1]).tolist() == [True, False]
    assert policy.recommend(window).action == "wait"


def reward_test(action: str, expect: float, **state: float) -> dict[str, Any]:
    return {"action": action, "current": {}, "next": state, "expect": expect, "place": None}


def test_reward_tests_pass_fail_and_raise(tmp_path: Path) -> None:
    params = make_params(tmp_path)
    params["rewards"]["actions"]["work"] = source("reward = 1 / cpu", 3)
    params["tests"] = [
        reward_test("wait", 10.0, load_cpu=60.0),
        reward_test("wait", 11.0, load_cpu=60.0),
        reward_test("work", 0.0, load_cpu=0.0),
    ]
    passed, failed, raised = reward_tests(params, LocalReport())
    assert (passed["passed"], passed["got"], passed["expected"]) == (True, 10.0, 10.0)
    assert (failed["passed"], failed["got"]) == (False, 10.0)
    assert not raised["passed"]
    assert "pod.yaml:3:16" in raised["error"]
    params["rewards"]["actions"]["work"] = source("reward = nothing", 3)
    with pytest.raises(InvalidRewards):
        reward_tests(params, LocalReport())


def test_rewards_of_a_python_file(tmp_path: Path) -> None:
    file = tmp_path / "rewards.py"
    file.write_text(
        "def high(now, notes, later, later_notes):\n    return later['load_cpu'] - 50\n"
        "def low(now, notes, later, later_notes):\n    return 50 - later['load_cpu']\n"
    )
    functions = {"wait": "high", "work": "low"}
    rewards = {"file": str(file), "functions": functions, "place": None}
    inline = train(make_params(tmp_path), LocalReport())
    own = train(make_params(tmp_path, rewards=rewards), LocalReport())
    assert own["policy"] == inline["policy"]


def test_a_step_is_explained(tmp_path: Path) -> None:
    params = make_params(tmp_path, row=10)
    answer = explain_step(params, LocalReport())
    assert answer["time"] == EPOCH + 10 * STEP
    assert answer["current"].keys() == set(FIELDS)
    cpu = answer["next"]["load_cpu"]
    assert answer["rewards"]["wait"]["value"] == cpu - 50
    assert answer["rewards"]["work"] == {
        "value": 50 - cpu,
        "lawful": True,
        "place": {"file": "pod.yaml", "line": 3, "column": 7},
        "code": "reward = 50 - cpu",
    }
    for row in (-1, ROWS - 1):
        with pytest.raises(InvalidRequest, match="no step"):
            explain_step(params | {"row": row}, LocalReport())


def test_the_trainer_starts_small() -> None:
    """What takes long to import is left to those who need it."""
    code = (
        "import sys, spice_engine.learning.trainer as t; t.warm(); "
        "print(sorted({'numba', 'polars', 'pydantic', 'yaml', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
