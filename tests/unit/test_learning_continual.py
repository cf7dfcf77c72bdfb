"""Learning on: what the newest fold is, what may be judged on it, and which policy is taken up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spice_engine.errors import InsufficientData, InvalidData
from spice_engine.learning.algorithms.network_learner import NetworkLearner, seen_by
from spice_engine.learning.continual import drift, newest_fold
from spice_engine.learning.hyperparameters import Dql, Sacd, Vpg
from spice_engine.learning.policy import Policy
from spice_engine.learning.source import Source
from spice_engine.learning.trainer import train
from spice_engine.workers.arrays import save
from spice_engine.workers.child import LocalReport

SPAN, STEP, EPOCH = 3, 60, 1_700_000_000
OLD, NEW = 300, 240

Rows = NDArray[np.float64]


def source(text: str) -> dict[str, Any]:
    return Source(text, "pod.yaml", 1, 1).as_dict()


def world(signs: list[tuple[int, float]], seed: int = 0) -> Rows:
    """Rows of `x`, each of which is the one before, or the opposite, and a little noise."""
    chance = np.random.default_rng(seed)
    rows: list[float] = [1.0]
    for count, sign in signs:
        for _ in range(count):
            rows.append(float(np.clip(sign * 0.95 * rows[-1], -3, 3) + chance.normal(0, 0.4)))
    return np.array(rows[1:])[:, None]


def params(folder: Path, values: Rows, **changes: Any) -> dict[str, Any]:
    return {
        "values": save(folder, values).as_dict(),
        "times": save(folder, EPOCH + STEP * np.arange(len(values))).as_dict(),
        "training_rows": len(values),
        "first_datum": 0,
        "fields": ["x"],
        "actions": ["up", "down"],
        "rewards": {
            "init": None,
            "actions": {
                "up": source('reward = next_state["x"]'),
                "down": source('reward = -next_state["x"]'),
            },
        },
        "simulation": None,
        "interpretations": [],
        "span": SPAN,
        "granularity": STEP,
        "interpolation": True,
        "algorithm": "linear",
        "episodes": 6,
        "holdout": 0.2,
        "seed": 0,
        "goal": "",
        "patience": 0,
        "hyperparameters": {},
        "features": "levels",
        "confidence": "calibrated",
        "fingerprint": "f",
    } | changes


def serving(folder: Path, values: Rows) -> str:
    """The file of a policy that learned from these rows."""
    path = folder / "serving.policy"
    path.write_bytes(train(params(folder, values), LocalReport())["policy"])
    return str(path)


def learn_on(folder: Path, values: Rows, **changes: Any) -> dict[str, Any]:
    given = {"policy": serving(folder, values[:OLD]), "version": 4, "reason": "schedule"}
    told: list[dict[str, Any]] = []
    answer = train(params(folder, values, continual=given, **changes), LocalReport(told.append))
    assert {one["kind"] for one in told} == {"episode"}  # nothing serves before it was judged
    assert answer["evaluation"] == Policy.from_bytes(answer["policy"]).evaluation
    return answer["evaluation"]


def test_the_newest_fold_is_the_newer_half_of_the_new_rows() -> None:
    fold = newest_fold(rows=540, first=300, span=3)
    assert fold.tolist() == list(range(422, 539))  # windows and next rows from row 420 on
    with pytest.raises(InsufficientData, match="12 new rows are too few"):
        newest_fold(rows=312, first=300, span=3)
    assert len(newest_fold(rows=313, first=300, span=3)) == 10


def test_a_policy_that_learned_what_changed_is_taken_up(tmp_path: Path) -> None:
    new = 3 * OLD
    found = learn_on(tmp_path, world([(OLD, 1.0), (new, -1.0)]))["continual"]
    assert found["taken_up"] is True
    assert found["difference"] > 0.1
    assert found["difference"] == pytest.approx(found["new"] - found["old"])
    assert (found["against"], found["reason"], found["new_rows"]) == (4, "schedule", new)
    assert found["steps"] == new // 2 - SPAN
    assert found["start"] == EPOCH + STEP * (OLD + new // 2 + SPAN - 1)


def test_a_policy_that_was_misled_is_not(tmp_path: Path) -> None:
    """Half of the new rows turn everything round; the newest half is as it always was."""
    turned = world([(OLD + NEW, 1.0)])
    turned[OLD : OLD + NEW // 2] = world([(NEW // 2, -1.0)], seed=1) * 20
    found = learn_on(tmp_path, turned)["continual"]
    assert found["taken_up"] is False
    assert found["difference"] < 0


def test_auto_tries_the_serving_candidate_right_after_the_constant_one(tmp_path: Path) -> None:
    values = world([(OLD + NEW, 1.0)])
    path = tmp_path / "serving.policy"
    path.write_bytes(
        train(params(tmp_path, values[:OLD], algorithm="auto"), LocalReport())["policy"]
    )
    policy = Policy.from_bytes(path.read_bytes())
    name = "8 random trees"
    renamed = dataclasses.replace(policy, evaluation={**policy.evaluation, "candidate": name})
    path.write_bytes(renamed.to_bytes())
    given = {"policy": str(path), "version": 1, "reason": "schedule"}
    told: list[dict[str, Any]] = []
    changes = {"algorithm": "auto", "continual": given}
    train(params(tmp_path, values, **changes), LocalReport(told.append))
    assert [one["detail"]["candidate"] for one in told][:2] == ["best constant", name]
    assert [one["episode"] for one in told] == list(range(1, len(told) + 1))


@pytest.mark.parametrize("holdout", [0.0, 0.2, 0.5])
def test_nothing_of_the_newest_fold_chooses(tmp_path: Path, holdout: float) -> None:
    """Other rows there leave the choice among the candidates and all but its own figures alone."""
    values = world([(OLD + NEW, 1.0)])
    other = values.copy()
    other[OLD + NEW // 2 :] *= -7.0
    one, two = (learn_on(tmp_path, rows, holdout=holdout) for rows in (values, other))
    assert one["candidates"] == two["candidates"]
    assert one["in_sample"] == two["in_sample"]
    assert one["held_out_from"] <= EPOCH + STEP * (OLD + NEW // 2)


def test_a_serving_policy_that_is_gone_is_told(tmp_path: Path) -> None:
    given = {"policy": str(tmp_path / "gone"), "version": 4, "reason": "schedule"}
    with pytest.raises(InvalidData, match=r"the policy that serves \(v4\) cannot be read"):
        train(params(tmp_path, world([(OLD, 1.0)]), continual=given), LocalReport())


def test_drift_is_told_of_a_shift_and_not_of_more_of_the_same(tmp_path: Path) -> None:
    def look(values: Rows) -> dict[str, Any]:
        given = {
            "policy": serving(tmp_path, values[:OLD]),
            "look": 0,
            "rows": NEW,
            "watched": ["x"],
        }
        return drift(params(tmp_path, values, continual=given), LocalReport())

    values = world([(OLD + NEW, 0.5)])
    assert look(values)["alarm"] is False
    shifted = values.copy()
    shifted[OLD:] += 4.0
    found = look(shifted)
    assert (found["alarm"], found["what"], found["kind"]) == (True, "x", "level")
    # The same values in another order: only the reward tells.
    turned = world([(OLD, 0.5), (NEW, -0.9)])
    found = look(turned)
    assert found["alarm"] is True


@pytest.mark.parametrize("settings", [Dql(dueling=True), Dql(members=2), Vpg(), Sacd()])
def test_networks_go_on_from_the_serving_ones_weights(settings: Dql | Vpg | Sacd) -> None:
    """Of other data, standardised otherwise: before any step they say what those said."""
    chance = np.random.default_rng(5)
    settings = dataclasses.replace(settings, hidden=(8,), updates=3, learning_rate=1e-6)
    raw = chance.normal(size=(80, 4)) * [1, 10, 100, 1]
    rewards = np.stack([raw[:, 0], -raw[:, 0] + raw[:, 1] / 50], axis=1)
    learner = NetworkLearner(settings, 3, seed=0)
    serving = learner.fit(raw, rewards, lambda: None).model(2)
    others = 3 * raw[:60] + 7
    later = learner.fit_from(serving, others, 2 * rewards[:60] - 1, lambda: None).model(1)
    anew = learner.fit(others, 2 * rewards[:60] - 1, lambda: None).model(1)
    said = serving.values(others)
    assert later.values(others) - later.values(others).mean(axis=1, keepdims=True) == pytest.approx(
        said - said.mean(axis=1, keepdims=True), abs=1e-2
    )
    assert np.abs(anew.values(others) - said).max() > 0.1


def test_networks_of_another_shape_begin_anew() -> None:
    raw = np.random.default_rng(6).normal(size=(60, 2))
    small, large = (NetworkLearner(Dql(hidden=(size,), updates=2), 2, 0) for size in (4, 8))
    start = small.fit(raw, raw, lambda: None).model(1)
    values = [
        fit.values(1)
        for fit in (
            large.fit_from(start, raw, raw, lambda: None),
            large.fit(raw, raw, lambda: None),
        )
    ]
    assert np.array_equal(*values)


def balances(values: Rows, **changes: Any) -> tuple[Rows, dict[str, Any]]:
    """The rows with a balance that the actions change, and what else makes a pod of them."""
    names = {"coins": "coins"}
    simulation = {
        "local": ["coins"],
        "initial": {"coins": 5.0},
        "effects": {
            "up": {"code": source("coins -= 1"), "names": names, "args": {}},
            "down": {"code": source("coins += 1"), "names": names, "args": {}},
        },
        "laws": [{"code": source("coins >= 0"), "names": names}],
    }
    rows = np.concatenate([values, np.full((len(values), 1), 5.0)], axis=1)
    return rows, {"simulation": simulation, "fields": ["x", "coins"], **changes}


def test_pods_whose_actions_change_their_state_learn_on_too(tmp_path: Path) -> None:
    values, changes = balances(world([(OLD, 1.0), (NEW, -1.0)]), algorithm="fqi")
    path = tmp_path / "serving.policy"
    old = params(tmp_path, values[:OLD], **changes)
    path.write_bytes(train(old, LocalReport())["policy"])
    given = {"policy": str(path), "version": 1, "reason": "schedule"}
    new = params(tmp_path, values, continual=given, **changes)
    found = train(new, LocalReport())["evaluation"]["continual"]
    assert found["steps"] == NEW // 2 - SPAN
    assert found["taken_up"] is (found["difference"] >= 0)
    assert found["difference"] == pytest.approx(found["new"] - found["old"])
    looked = {"policy": str(path), "look": 3, "rows": NEW, "watched": ["x"]}
    told = drift(params(tmp_path, values, continual=looked, **changes), LocalReport())
    assert (told["look"], told["rows"]) == (3, NEW)
    assert told["p"] is not None


def test_there_too_networks_go_on_from_what_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Any] = []

    def begin(start: Any, *standard: Any) -> Any:
        began.append(start)
        return seen_by(start, *standard)

    monkeypatch.setattr("spice_engine.learning.simulated_networks.seen_by", begin)
    monkeypatch.setattr(
        "spice_engine.learning.simulated_training.leading", lambda trials: trials[-1]
    )
    values, changes = balances(
        world([(OLD + NEW, 1.0)]),
        algorithm="dql",
        episodes=2,
        hyperparameters={"hidden": [4], "updates": 2},
    )
    path = tmp_path / "serving.policy"
    path.write_bytes(train(params(tmp_path, values[:OLD], **changes), LocalReport())["policy"])
    assert set(began) == {None}
    began.clear()
    given = {"policy": str(path), "version": 1, "reason": "schedule"}
    train(params(tmp_path, values, continual=given, **changes), LocalReport())
    *chosen, served, judged = began
    assert set(chosen) == {None}
    expected = Policy.from_bytes(path.read_bytes()).model.to_content()
    assert served.to_content() == judged.to_content() == expected
