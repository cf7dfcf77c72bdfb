"""Actions with a range of values: from the manifest to a policy that names a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner
from v01_world import ask, url

from spice_engine.data.loader import load
from spice_engine.errors import InvalidRewards
from spice_engine.learning.compare_question import compare
from spice_engine.learning.hindsight import hindsight
from spice_engine.learning.levels import pack_levels
from spice_engine.learning.policy import Policy
from spice_engine.learning.policy_question import explain_policy
from spice_engine.learning.ranges import MOST, refine
from spice_engine.learning.reward_questions import reward_tests
from spice_engine.learning.step_question import explain_step
from spice_engine.learning.trainer import train
from spice_engine.pods import plan
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.manifests import read_manifest
from spice_engine.workers.child import LocalReport
from spice_tui.cli.main import app
from tests.conftest import EngineFixture, wait_for

NOW, ROWS = 2e9, 1500
MANIFEST = """
name: stove
params: {epoch_time: 1700000000, period: 15000s, interval: 20s, granularity: 10s}
dataspaces:
  - from: room
    name: air
    measurements: [{name: cold}]
    data:
      connector: {name: file, params: {path: air.csv}}
      processor: {name: csv}
actions:
  - name: idle
  - name: heat
    range: {from: 0, to: 100, unit: W}
training:
  rewards:
    - reward: idle
      with: reward = -5000
    - reward: heat
      with: reward = -(action_value - BEST) * (action_value - BEST)
  reward_tests:
    - {action: heat, action_value: 40, current_state: {room.air.cold: 0.375}, expect: -6.25}
"""
FIXED = MANIFEST.replace("BEST", "37.5")
FOLLOWS = MANIFEST.replace("BEST", '100 * current_state["room_air_cold"]')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A room that gets cold and warm, by a wave and by chance."""
    wave = 0.5 + 0.4 * np.sin(np.arange(ROWS) / 40)
    cold = np.clip(wave + np.random.default_rng(0).normal(0, 0.05, ROWS), 0, 1)
    lines = [f"{1_700_000_000 + 10 * i},{value:.6f}" for i, value in enumerate(cold.tolist())]
    (tmp_path / "air.csv").write_text("time,cold\n" + "\n".join(lines) + "\n")
    return tmp_path


def params_of(folder: Path, text: str, **changes: Any) -> dict[str, Any]:
    manifest = load_manifest(text, "spicepods/stove.yaml")
    loaded = load(plan.loader_params(manifest, folder, folder / "out", NOW), LocalReport())
    return plan.trainer_params(manifest, loaded, folder, fingerprint="f") | changes


def learn(params: dict[str, Any]) -> tuple[Policy, dict[str, Any], list[dict[str, Any]]]:
    episodes: list[dict[str, Any]] = []
    answer = train(params, LocalReport(episodes.append))
    told = [one for one in episodes if one["kind"] == "episode"]
    return Policy.from_bytes(answer["policy"]), answer["evaluation"], told


def test_the_best_value_is_found(folder: Path) -> None:
    policy, evaluation, episodes = learn(params_of(folder, FIXED))
    answer = policy.recommend(np.full((2, 1), 0.3))
    assert (answer.action, answer.unit) == ("heat", "W")
    assert answer.value == pytest.approx(37.5, abs=1.0)
    assert policy.names == ("idle", "heat")
    assert Policy.from_bytes(policy.to_bytes()).to_bytes() == policy.to_bytes()
    assert episodes[0]["actions_taken"].keys() == {"idle", "heat"}
    assert all(evaluation["held_out"]["actions_taken"].values())


@pytest.mark.parametrize("algorithm", ["linear", "fqi"])
def test_the_best_value_follows_a_feature(folder: Path, algorithm: str) -> None:
    params = params_of(folder, FOLLOWS, algorithm=algorithm)
    policy, evaluation, _ = learn(params)
    off: list[float] = []
    for cold in np.linspace(0.15, 0.85, 29).tolist():
        answer = policy.recommend(np.full((2, 1), cold))
        assert answer.action == "heat"
        assert answer.value is not None
        off.append(abs(answer.value - 100 * cold))
    # A tree's leaves are as wide as twenty rows.
    assert np.median(off) <= (1.0 if algorithm == "linear" else 2.0)
    assert evaluation["held_out"]["regret_closed"] > 0.95
    assert learn(params)[0].to_bytes() == policy.to_bytes()


def test_levels_are_few_and_where_it_pays() -> None:
    raw = np.random.default_rng(1).random((1000, 2))

    def pays(best: Any) -> tuple[float, ...]:
        return refine(-1.0, 1.0, lambda value: -((value - best) ** 2) + 0 * raw[:, 0], raw)

    narrow = pays(0.3)
    assert min(abs(value - 0.3) for value in narrow) < 0.01
    assert len(narrow) <= 4
    wide = pays(2 * raw[:, 0] - 1)
    assert len(wide) <= MOST
    assert max(np.diff(wide)) < 0.15
    few = refine(-1.0, 1.0, lambda value: -((value - (2 * raw[:, 0] - 1)) ** 2), raw, 9)
    assert len(few) == 9
    assert pays(5.0)[-1] == 1.0  # a bound is a value, too


def test_nothing_of_the_held_out_part_lays_out_the_levels(folder: Path) -> None:
    params = params_of(folder, FOLLOWS, algorithm="linear")
    lines = (folder / "air.csv").read_text().splitlines()
    held_out = [line if i < 1250 else line.split(",")[0] + ",9" for i, line in enumerate(lines)]
    levels = learn(params)[0].levels
    (folder / "air.csv").write_text("\n".join(held_out) + "\n")
    changed = params_of(folder, FOLLOWS, algorithm="linear")
    assert learn(changed)[0].levels == levels


def test_questions_about_the_pod(folder: Path) -> None:
    params = params_of(folder, FOLLOWS, algorithm="linear")
    policy, _, _ = learn(params)
    levels = {"levels": pack_levels(policy.levels), "rows": np.array([5, 6]).tobytes()}
    rewards = np.frombuffer(hindsight({**params, **levels}, LocalReport())).reshape(2, -1)
    assert rewards.shape[1] == len(policy.levels)
    assert rewards[0, 0] == -5000
    asked = {**params, "row": 5, "local": None, "action_values": {"heat": 50.0}}
    step = explain_step(asked, LocalReport())
    best = 100 * step["current"]["room_air_cold"]
    assert step["rewards"]["heat"]["value"] == pytest.approx(-((50 - best) ** 2))
    told = explain_policy({**params, "policy": policy.to_bytes(), "rules": 3}, LocalReport())
    assert {one["action"] for one in told["actions"]} == {one.name for one in policy.levels}
    other = learn(params_of(folder, FIXED, algorithm="linear"))[0]
    sides = [
        {"name": name, "policy": one.to_bytes()} for name, one in (("v1", policy), ("v2", other))
    ]
    assert compare({**params, "sides": sides}, LocalReport())["better"] == 0


def test_learning_on_keeps_the_levels_of_what_serves(folder: Path) -> None:
    before = learn(params_of(folder, FOLLOWS, algorithm="linear", training_rows=1000))[0]
    (folder / "serving").write_bytes(before.to_bytes())
    due = {"policy": str(folder / "serving"), "version": 1, "reason": "schedule"}
    after, evaluation, _ = learn(params_of(folder, FOLLOWS, algorithm="linear", continual=due))
    assert after.levels == before.levels
    assert evaluation["continual"]["taken_up"] in (True, False)


def test_reward_tests_name_a_value(folder: Path) -> None:
    manifest = load_manifest(FOLLOWS, "spicepods/stove.yaml")
    params = params_of(folder, FOLLOWS, tests=plan.reward_tests(manifest))
    assert [one["passed"] for one in reward_tests(params, LocalReport())] == [True]


def test_a_function_of_a_file_takes_the_value(folder: Path) -> None:
    (folder / "pay.py").write_text(
        "def idle(current, following):\n    return -5000\n\n"
        "def heat(current, notes, following, next_notes, *, action_value):\n"
        "    return -((action_value - 100 * current['room_air_cold']) ** 2)\n"
    )
    text = FOLLOWS[: FOLLOWS.index("training:")] + (
        "training:\n  reward_funcs: pay.py\n  rewards:\n"
        "    - {reward: idle, with: idle}\n    - {reward: heat, with: heat}\n"
    )
    inline, in_file = (params_of(folder, one, algorithm="linear") for one in (FOLLOWS, text))
    levels = learn(in_file)[0].levels
    rows = {"levels": pack_levels(levels), "rows": np.array([5, 6]).tobytes()}
    told = [hindsight({**one, **rows}, LocalReport()) for one in (inline, in_file)]
    np.testing.assert_allclose(*(np.frombuffer(one) for one in told))
    assert len(levels) > 9


def test_code_that_fails_says_at_which_value(folder: Path) -> None:
    text = MANIFEST.replace("-(action_value - BEST) * (action_value - BEST)", "1 / action_value")
    with pytest.raises(InvalidRewards, match=r"division by zero .*action_value is 0"):
        learn(params_of(folder, text))


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("from: 0", "from: 100", "invalid_range", "100 is not less than 100"),
        ("from: 0", "from: .nan", "invalid_number", "finite"),
        ("from: 0, ", "", "invalid_range", "bounds"),
        ("to: 100", "to: 1e300", "invalid_range", "1e+15"),
        ("unit: W", "units: W", "unknown_key", "units"),
        ("reward = -5000", "reward = action_value", "invalid_reward_function", "not defined"),
        ("with: reward = -(", "with: action_value = 3; reward = -(", "invalid_reward_function", ""),
        ("action_value: 40, ", "", "invalid_test", "needs"),
        ("from: 0, to: 100", "from: 99.999, to: 100", "invalid_range", "too close"),
    ],
)
def test_mistakes_are_found(old: str, new: str, code: str, words: str) -> None:
    _, problems = read_manifest(FIXED.replace(old, new).encode(), "spicepods/stove.yaml")
    found = [one for one in problems if one.code == code]
    assert found, problems
    assert any(words in one.message + one.hint for one in found)


@pytest.mark.e2e
def test_a_real_engine_names_the_value(engine: EngineFixture, folder: Path) -> None:
    root = engine.location.root
    (root / "air.csv").write_bytes((folder / "air.csv").read_bytes())
    (root / "spicepods").mkdir()
    engine.start()
    (root / "spicepods" / "stove.yaml").write_text(FIXED)

    def ready() -> bool:
        pods: Any = engine.call("pods.list")
        return any(pod["state"] == "ready" for pod in pods["pods"])

    wait_for(ready, "the policy")
    given = ask(url(engine, "pods/stove/recommendation")).json
    assert given["action"] == "heat"
    assert given["action_value"] == pytest.approx(37.5, abs=1)
    told = CliRunner().invoke(app, ["-C", str(root), "recommend", "stove", "--explain"])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith(f"heat {given['action_value']:g} W")
    timeline: Any = engine.call("pods.timeline", pod="stove", points=10)
    assert timeline["actions"] == ["idle", "heat"]
    assert set(timeline["chosen"][1:]) == set(timeline["best"][1:-1]) == {1}
    step: Any = engine.call("pods.step", pod="stove", row=700)
    assert (step["chosen"], step["best"]) == ("heat", "heat")
    assert [one["action_value"] for one in step["rewards"]] == [None, given["action_value"]]
    explained: Any = engine.call("pods.explain", pod="stove")
    assert explained["actions"]
    assert engine.call("pods.versions", pod="stove")
