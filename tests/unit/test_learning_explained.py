"""A whole policy explained and compared by the trainer's handlers, of every kind of model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.learning.compare_question import compare
from spice_engine.learning.policy_file import InvalidPolicy
from spice_engine.learning.policy_question import explain_policy
from spice_engine.learning.trainer import train
from spice_engine.workers.child import LocalReport
from tests.unit.test_learning_trainer import make_params, source

RULES = 100


def side(algorithm: str) -> dict[str, Any]:
    return {"name": algorithm, "algorithm": algorithm, "hyperparameters": {}, "episodes": 4}


@pytest.mark.parametrize(
    ("algorithm", "kind", "hyperparameters"),
    [
        ("fqi", "tree", {}),
        ("fqi", "forest", {"trees": 4}),
        ("linear", "linear", {}),
        ("tabular", "table", {}),
    ],
)
def test_every_kind_of_model_is_explained(
    algorithm: str, kind: str, hyperparameters: dict[str, Any], tmp_path: Path
) -> None:
    params = make_params(tmp_path, algorithm=algorithm, hyperparameters=hyperparameters)
    policy = train(params, LocalReport())["policy"]
    found = explain_policy({**params, "policy": policy, "rules": RULES}, LocalReport())
    assert found["kind"] in (kind, "tree")  # a forest need not be better than a tree
    steps = found["steps"]
    assert sum(one["taken"] for one in found["actions"]) == steps
    assert all(one["reward"] > 0 for one in found["actions"])
    # The load alone decides; where it is high, waiting pays.
    assert found["fields"][0]["field"] == "load_cpu"
    assert found["fields"][0]["lost"] > 10
    wait, work = (one["typical"]["load_cpu"] for one in found["actions"])
    assert wait > 50 > work
    assert next(iter(found["features"])).startswith("load_cpu")
    assert sum(one["steps"] for one in found["rules"]) == steps
    assert {one["action"] for one in found["rules"]} == {"wait", "work"}
    assert found["rules_agree"] > 0.9
    assert found["rules_exact"] == (found["kind"] in ("tree", "table"))
    assert found["rules_agree"] == 1 or not found["rules_exact"]
    assert all("load_cpu" in text for one in found["rules"] for text in one["conditions"])
    assert bool(found["weights"]) == (kind == "linear")


def test_one_action_is_one_rule_without_conditions(tmp_path: Path) -> None:
    codes = {"wait": source("reward = 1", 2), "work": source("reward = 0", 3)}
    params = make_params(tmp_path, rewards={"init": None, "actions": codes})
    policy = train(params, LocalReport())["policy"]
    found = explain_policy({**params, "policy": policy, "rules": RULES}, LocalReport())
    (rule,) = found["rules"]
    assert (rule["conditions"], rule["action"], rule["reward"]) == ([], "wait", 1.0)
    assert found["fields"] == []
    work = found["actions"][1]
    assert (work["taken"], work["reward"]) == (0, None)


def test_a_simulated_policy_is_explained_by_its_own_episode(tmp_path: Path) -> None:
    names = {"coins": "wallet_coins", "cpu": "load_cpu"}
    effect = {"code": source("coins += 1", 5), "names": names, "args": {}}
    params = make_params(
        tmp_path,
        algorithm="fqi",
        episodes=3,
        simulation={
            "local": ["wallet_coins"],
            "initial": {"wallet_coins": 0.0},
            "effects": {"work": effect},
            "laws": [],
        },
    )
    policy = train(params, LocalReport())["policy"]
    found = explain_policy({**params, "policy": policy, "rules": 2}, LocalReport())
    assert found["lost_by"] == "values"
    assert len(found["rules"]) == 2 <= found["rules_total"]
    assert sum(one["taken"] for one in found["actions"]) == found["steps"]
    sides = [{"name": "v1", "policy": policy}, side("linear")]
    told = compare({**params, "sides": sides}, LocalReport())
    assert told["steps"] == told["first"]["steps"] == told["second"]["steps"]
    assert not told["first"]["unseen"]
    assert told["second"]["unseen"]
    assert 0 < told["p"] <= 1


def test_algorithms_are_compared_held_out_and_versions_on_what_is_new(tmp_path: Path) -> None:
    params = make_params(tmp_path, episodes=4)
    told = compare({**params, "sides": [side("fqi"), side("linear")]}, LocalReport())
    assert told["first"]["unseen"]
    assert told["second"]["unseen"]
    assert told["steps"] == told["first"]["steps"] < 120
    assert told["low"] <= told["difference"] <= told["high"]
    assert "learned from" not in told["words"]
    # A version made when there were fewer data, and one that thinks the opposite.
    early = train({**params, "training_rows": 400}, LocalReport())["policy"]
    codes = dict(params["rewards"]["actions"])
    swapped = {"wait": codes["work"], "work": codes["wait"]}
    wrong = {**params, "training_rows": 400, "rewards": {**params["rewards"], "actions": swapped}}
    bad = train(wrong, LocalReport())["policy"]
    sides = [{"name": "v1", "policy": early}, {"name": "v2", "policy": bad}]
    told = compare({**params, "sides": sides}, LocalReport())
    assert told["first"]["unseen"]
    assert told["better"] == 0
    assert told["words"].startswith("v1 is better by ")
    assert told["steps"] == 600 - 400 - 5
    # Once it has learned from all of them, it is said.
    late = train(params, LocalReport())["policy"]
    told = compare({**params, "sides": [{"name": "v3", "policy": late}, sides[0]]}, LocalReport())
    assert not told["first"]["unseen"]
    assert "learned from" in told["words"]


def test_three_are_compared_on_the_same_steps_and_tell_how_far_they_are(tmp_path: Path) -> None:
    params = make_params(tmp_path, episodes=2)
    told: list[dict[str, Any]] = []
    sides = [
        side("fqi"),
        side("linear"),
        {"name": "v1", "policy": train(params, LocalReport())["policy"]},
    ]
    found = compare({**params, "sides": sides}, LocalReport(told.append))
    (third,) = found["others"]
    assert found["steps"] == found["first"]["steps"] == found["second"]["steps"] == third["steps"]
    assert [(one["first"], one["second"]) for one in found["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    assert found["difference"] == found["pairs"][0]["difference"]
    assert not third["unseen"]
    assert "3 pairs" in found["words"]
    assert [one["side"] for one in told if not one["episode"]] == [0, 1]
    assert any(one["episode"] and one["score"] is not None for one in told)
    alone = compare({**params, "sides": sides[:2]}, LocalReport())
    assert alone["first"] == found["first"], "who else is compared changes no score"


def test_what_cannot_be_judged_is_refused(tmp_path: Path) -> None:
    params = make_params(tmp_path, episodes=2)
    policy = train(params, LocalReport())["policy"]
    with pytest.raises(InvalidRequest, match="holds none out"):
        compare({**params, "holdout": 0.0, "sides": [side("fqi"), side("linear")]}, LocalReport())
    other = {**params, "actions": ["wait", "go"]}
    with pytest.raises(InvalidPolicy, match="does not fit"):
        explain_policy({**other, "policy": policy, "rules": 1}, LocalReport())
    two = [{"name": "v1", "policy": policy}] * 2
    with pytest.raises(InvalidPolicy, match="does not fit"):
        compare({**other, "sides": two}, LocalReport())
