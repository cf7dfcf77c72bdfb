"""Training in an environment: what is reported, chosen and kept, and what is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.data.loader import load
from spice_engine.errors import InvalidEnvironment, InvalidRequest, SpiceError
from spice_engine.learning import checkpoints, gym_learners
from spice_engine.learning.clock import Clock
from spice_engine.learning.gym_check import check_gym
from spice_engine.learning.gym_learners import PATIENCE, Lesson, Pupil, luby
from spice_engine.learning.policy import Policy
from spice_engine.learning.trainer import train
from spice_engine.pods import plan
from spice_engine.pods.manifest import load_manifest, parse_manifest
from spice_engine.workers.child import Cancelled, LocalReport

CARTPOLE = """
name: cartpole
params: {episodes: 3}
dataspaces:
  - from: gym
    name: cart
    data:
      connector: {name: gym, params: {environment: CartPole-v1, options: {max_episode_steps: 60}}}
    measurements: [{name: x}, {name: v}, {name: angle}, {name: turn}]
actions: [{name: left}, {name: right}]
training:
  algorithm: vpg
  hyperparameters: {updates: 10, lanes: 16}
"""
LAKE = """
name: lake
params: {episodes: 3}
dataspaces:
  - from: gym
    name: lake
    data:
      connector: {name: gym, params: {environment: FrozenLake-v1, options: {is_slippery: false}}}
    measurements: [{name: square}]
actions: [{name: left}, {name: down}, {name: right}, {name: up}]
"""


def params(folder: Path, text: str = CARTPOLE, **changes: Any) -> dict[str, Any]:
    manifest = load_manifest(text, "pod.yaml")
    loaded = load(plan.loader_params(manifest, folder, folder, 1e9), LocalReport())
    assert loaded["problems"] == []
    return plan.trainer_params(manifest, loaded, folder, fingerprint="f") | changes


def test_equal_input_gives_an_equal_policy(tmp_path: Path) -> None:
    first = train(params(tmp_path), LocalReport())
    again = train(params(tmp_path), LocalReport())
    assert first["policy"] == again["policy"]
    assert first["policy"] != train(params(tmp_path, seed=1), LocalReport())["policy"]
    policy = Policy.from_bytes(first["policy"])
    assert policy.to_bytes() == first["policy"]
    assert policy.fields == ("gym_cart_angle", "gym_cart_turn", "gym_cart_v", "gym_cart_x")
    # The network sees the fields by name, whatever their order in the environment.
    falling = policy.recommend(np.array([[0.15, 1.0, 0.0, 0.0]]), explain=True)
    assert falling.action == "right"
    assert set(falling.features) <= set(policy.feature_names)


def test_what_is_reported_and_what_is_held_out(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    answer = train(params(tmp_path, LAKE, algorithm="auto"), LocalReport(told.append))
    episodes = [one for one in told if one["kind"] == "episode"]
    assert [one["detail"]["candidate"] for one in episodes] == [
        "constant",
        "tabular 1",
        "tabular 2",
    ]
    assert [one["score"] for one in episodes] == [0.0, 1.0, 1.0]
    assert not any("losses" in one["detail"] for one in episodes)
    assert all(one["start"] <= one["end"] for one in episodes)
    evaluation = answer["evaluation"]
    assert (answer["problem_class"], answer["stopped"]) == ("gym", "episodes")
    assert (evaluation["algorithm"], evaluation["candidate"]) == ("tabular", "tabular 1")
    held_out = evaluation["held_out"]
    assert (held_out["score"], held_out["best_constant"], held_out["oracle"]) == (1.0, 0.0, 0.7)
    assert held_out["regret_closed"] == pytest.approx(1 / 0.7)
    assert held_out["steps"] == 6 * held_out["episodes"]
    assert evaluation["beats_best_constant"]
    assert not evaluation["constant_policy"]


def test_networks_tell_their_losses(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    train(params(tmp_path, episodes=2), LocalReport(told.append))
    first, second = (one["detail"] for one in told if one["kind"] == "episode")
    assert "losses" not in first
    assert second["losses"].keys() == {"policy", "value", "entropy"}
    assert np.isfinite([*second["losses"].values()]).all()


def test_auto_begins_nothing_more_when_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clock, "over", lambda _: True)
    told: list[dict[str, Any]] = []
    answer = train(params(tmp_path, LAKE, algorithm="auto"), LocalReport(told.append))
    # The constant action and one more there are in any case.
    assert (answer["episodes"], answer["stopped"]) == (2, "episodes")
    assert answer["evaluation"]["candidate"] == "tabular 1"


def test_one_that_was_cut_off_goes_on_to_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gym_learners, "PATIENCE", 1)  # it begins anew before the end, and after
    monkeypatch.setattr(checkpoints, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "BETWEEN_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    kept = tmp_path / "kept" / "pod"
    given = params(tmp_path, episodes=7)
    first: list[dict[str, Any]] = []

    def cut(data: dict[str, Any]) -> None:
        first.append(data)
        report.cancelled |= data.get("episode") == 5

    report = LocalReport(cut)
    with pytest.raises(Cancelled):
        train(given | {"checkpoint": str(kept)}, report)
    assert kept.exists()
    told: list[dict[str, Any]] = []
    answer = train(given | {"checkpoint": str(kept)}, LocalReport(told.append))
    episodes = [one for one in told if one["kind"] == "episode"]
    assert [one["episode"] for one in episodes] == list(range(1, 8))
    # What the first process did is told as it was, and not done again.
    assert episodes[:4] == [one for one in first if one["kind"] == "episode"][:4]
    assert not kept.exists()
    whole = train(given, LocalReport())
    assert answer["policy"] == whole["policy"]
    assert answer["evaluation"] == whole["evaluation"]


def test_a_goal_ends_it_and_so_does_whoever_gives_up(tmp_path: Path) -> None:
    answer = train(params(tmp_path, goal="score > 5"), LocalReport())
    assert (answer["stopped"], answer["episodes"]) == ("goal", 1)
    # The constant action got there first; it is named as what it is.
    assert answer["evaluation"]["constant_policy"]
    report = LocalReport()
    report.cancelled = True
    with pytest.raises(Cancelled):
        train(params(tmp_path), report)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"algorithm": "fqi"}, InvalidRequest, "does not learn by acting"),
        ({"algorithm": "tabular"}, InvalidEnvironment, "needs observations that are"),
        ({"hyperparameters": {"updates": 0}}, InvalidRequest, "updates"),
        ({"actions": ["a"]}, InvalidEnvironment, "has 2 actions, and here are 1"),
    ],
)
def test_what_cannot_be_trained_says_why(
    tmp_path: Path, change: dict[str, Any], error: type[SpiceError], words: str
) -> None:
    given = params(tmp_path)
    if "actions" in change:
        given["gym"] |= change
    elif "algorithm" in change:
        change = {**change, "hyperparameters": {}}
    with pytest.raises(error, match=words):
        train(given | change, LocalReport())


def test_rewards_that_raise_name_their_place(tmp_path: Path) -> None:
    code = "reward = 1 / (next_state.gym_cart_x - next_state.gym_cart_x)"
    rewards = [f"    - {{reward: {name}, with: {code}}}" for name in ("left", "right")]
    text = CARTPOLE + "\n".join(["  rewards:", *rewards])
    with pytest.raises(SpiceError, match="division by zero") as caught:
        train(params(tmp_path, text), LocalReport())
    assert caught.value.place
    assert caught.value.place.line == text[: text.index("1 / (")].count("\n") + 1


def test_without_gymnasium_lint_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = params(tmp_path)["gym"]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "gymnasium" else find(name, *a),
    )
    (problem,) = parse_manifest(CARTPOLE, "pod.yaml").problems
    assert (problem.severity, problem.place.line) == ("error", 8)
    assert "pip install 'spice-tui[gym]'" in problem.message
    monkeypatch.delitem(sys.modules, "spice_engine.learning.environments.gym_make")
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    (finding,) = check_gym(given, LocalReport())
    assert finding["place"]["line"] == 8
    assert "pip install 'spice-tui[gym]'" in finding["message"]


def test_who_gets_no_better_begins_anew_and_is_given_longer_at_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def units(_: str, lesson: Lesson) -> Any:
        begun.append(lesson.seed)
        return iter(range(1000))

    monkeypatch.setattr("spice_engine.learning.gym_learners.units", units)
    lesson: Any = Lesson(None, (), 7, {}, lambda: None)  # type: ignore[arg-type]
    pupil = Pupil("dql", lesson)
    learned: list[Any] = []
    for _ in range(4 * PATIENCE + 5):
        learned.append(pupil.learn())
        pupil.told(1.0)
    # The first score of each attempt is its best; then it is idle.
    short, long = range(PATIENCE + 1), range(2 * PATIENCE + 1)
    assert learned == [*short, *short, *long, 0, 1]
    assert len(set(begun)) == 4
    assert [luby(number) for number in range(1, 16)] == [
        1,
        1,
        2,
        1,
        1,
        2,
        4,
        1,
        1,
        2,
        1,
        1,
        2,
        4,
        8,
    ]
