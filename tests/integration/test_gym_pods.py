"""Pods that act in an environment, in a real engine: linted, trained, asked, kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spice_engine.errors import InvalidRequest, SpiceError
from tests.conftest import EngineFixture, wait_for

ORIGINAL = """\
params:
  granularity: 10s
  interval: 10s
  period: 3000s

dataspaces:
  - from: gym
    name: CartPole
    fields:
      - name: cart_position
      - name: cart_velocity
      - name: pole_angle
      - name: pole_angular_velocity
      - name: is_done
    actions:
      left: passthru
      right: passthru
    data:
      connector:
        name: openai-gym
        params:
          environment: CartPole-v1
      processor:
        name: openai-gym

training:
  algorithm: vpg
  goal: score > 100
  rewards:
    - reward: left
      with: reward = 0 if new_state.gym_CartPole_is_done == 1 else 1
    - reward: right
      with: reward = 0 if new_state.gym_CartPole_is_done == 1 else 1
"""
"""The pod of version 0.1, but for a lower goal and an algorithm."""

LAKE = """\
name: lake
params: {episodes: 4}
dataspaces:
  - from: gym
    name: lake
    data: {connector: {name: gym, params: {environment: FrozenLake-v1,
                                           options: {is_slippery: false}}}}
    measurements: [{name: square}]
actions: [{name: left}, {name: down}, {name: right}, {name: up}]
"""
ROAD = {0: "down", 4: "down", 9: "down", 13: "right", 14: "right"}
"""Squares on a way over the ice that is as short as can be, and the one way on from each."""


@pytest.fixture(scope="module")
def world(shared_engine: EngineFixture) -> EngineFixture:
    folder = shared_engine.location.root / "spicepods"
    folder.mkdir()
    (folder / "cartpole-v1.yaml").write_text(ORIGINAL)
    (folder / "lake.yaml").write_text(LAKE)
    shared_engine.call("manifests.check", path="spicepods/lake.yaml", text=LAKE)
    for pod in ("cartpole-v1", "lake"):
        wait_for(
            lambda pod=pod: shared_engine.call("pods.get", pod=pod)["state"] == "ready",
            f"{pod} to be trained",
            60.0,
        )
    return shared_engine


def lint(world: EngineFixture, text: str) -> list[tuple[str, int, str]]:
    """Errors of a text: code, line and message."""
    path = "spicepods/unsaved.yaml"
    found: list[dict[str, Any]] = world.call("manifests.check", path=path, text=text)["problems"]
    return [(p["code"], p["line"], p["message"]) for p in found if p["severity"] == "error"]


def test_the_pod_of_version_01_lives_again(world: EngineFixture) -> None:
    info = world.call("pods.get", pod="cartpole-v1")
    assert info["actions"] == ["left", "right"]
    assert {problem["code"] for problem in info["problems"]} == {"old_syntax"}
    evaluation = info["evaluation"]
    assert evaluation["problem_class"] == "gym"
    assert evaluation["held_out"]["episodes"] == 100
    assert evaluation["held_out"]["score"] > 50 > evaluation["held_out"]["random"]
    low, high = evaluation["held_out"]["intervals"]["score"]
    assert low <= evaluation["held_out"]["score"] <= high
    # That an action is the best was tried at moments of other episodes.
    trust = evaluation["reliability"]
    assert trust["right"] > 0.5
    assert trust["error"] < 0.2
    (training,) = world.call("pods.trainings", pod="cartpole-v1")["trainings"]
    assert training["message"] == "The goal is reached."
    assert training["episodes"][0]["detail"]["candidate"] == "constant"
    assert training["episodes"][-1]["score"] > 100


def test_it_is_asked_in_a_state_that_is_named_or_posted(world: EngineFixture) -> None:
    with pytest.raises(SpiceError, match="nothing is known of the environment's state"):
        world.call("pods.recommend", pod="lake")
    for square, action in ROAD.items():
        state = {"gym.lake.square": float(square)}
        answer = world.call("pods.recommend", pod="lake", state=state, explain=True)
        assert answer["action"] == action
        assert answer["rule"] == [f"gym_lake_square[0] = {square}"]
    with pytest.raises(InvalidRequest, match="no field"):
        world.call("pods.recommend", pod="lake", state={"gym.lake.circle": 1.0})
    now = int(world.call("pods.recommend", pod="lake", state={"gym.lake.square": 0.0})["end"])
    for square, moment in ((13, now - 20), (4, now - 10)):
        rows = json.dumps([{"time": moment, "measurements": {"gym.lake.square": square}}])
        world.call("pods.observe", pod="lake", data=rows.encode(), format="json")
    # Each row is a state of its own, and the newest is the one that counts.
    answer = world.call("pods.recommend", pod="lake")
    assert (answer["action"], answer["end"]) == (ROAD[4], now - 10)
    assert world.call("pods.get", pod="lake")["problems"] == []


def test_what_others_ask_of_data_is_answered_for_it(world: EngineFixture) -> None:
    timeline = world.call("pods.timeline", pod="lake", points=10)
    assert timeline["rewards"] is None or not any(timeline["rewards"])
    number = world.call("pods.get", pod="lake")["last_training"]
    assert number == 1  # posts train nothing


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "words"),
    [
        ("FrozenLake-v1", "FrozenLake-v9", "invalid_environment", 6, "no environment"),
        ("is_slippery", "is_slimy", "invalid_environment", 6, "is_slimy"),
        (", {name: up}", "", "invalid_environment", 9, "has 4 actions, and here are 3"),
        ("[{name: square}]", "[{name: a}, {name: b}]", "invalid_environment", 4, "shows 1 numbers"),
        ("{name: square}", "{name: a, selector: z}", "invalid_environment", 8, "no component"),
        ("environment: FrozenLake-v1", "environment: ''", "missing_param", 6, "environment"),
        ("actions:", "training: {algorithm: fqi}\nactions:", "invalid_algorithm", 9, "by acting"),
        ("actions:", "time: {categories: [hour]}\nactions:", "invalid_environment_use", 9, "clock"),
    ],
)
def test_what_does_not_fit_is_an_error_with_its_place(
    world: EngineFixture, old: str, new: str, code: str, line: int, words: str
) -> None:
    assert lint(world, LAKE) == []
    ((found, at, message),) = lint(world, LAKE.replace(old, new))
    assert (found, at) == (code, line)
    assert words in message


def test_a_pod_whose_environment_is_not_there_says_so(world: EngineFixture) -> None:
    path = world.location.root / "spicepods" / "gone.yaml"
    path.write_text(LAKE.replace("name: lake\np", "name: gone\np").replace("Lake-v1", "Lake-v9"))
    problems = world.call("pods.lint", path="spicepods/gone.yaml")["problems"]
    assert [(p["code"], p["line"]) for p in problems] == [("invalid_environment", 6)]
    wait_for(
        lambda: any(
            pod["name"] == "gone" and pod["state"] == "failed"
            for pod in world.call("pods.list")["pods"]
        ),
        "the pod to fail",
        30.0,
    )
    (problem,) = world.call("pods.get", pod="gone")["problems"]
    assert (problem["code"], problem["line"]) == ("invalid_environment", 6)
    path.unlink()


def test_another_algorithm_that_cannot_act_is_refused(world: EngineFixture) -> None:
    with pytest.raises(InvalidRequest, match="does not learn by acting"):
        world.call("pods.train", pod="lake", algorithm="linear", wait=True)
