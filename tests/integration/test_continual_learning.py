"""A pod that learns on by itself: what comes in changes, and the better policy comes to serve."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tests.conftest import EngineFixture, wait_for

EPOCH, STEP = 1_700_000_040, 60
MANIFEST = f"""\
name: weather
params: {{epoch_time: {EPOCH}, period: 720h, interval: 3m, granularity: 1m, episodes: 6}}
dataspaces:
  - from: sky
    name: wind
    data: {{processor: {{name: csv}}}}
    measurements: [{{name: x}}]
actions: [{{name: up}}, {{name: down}}]
training:
  algorithm: linear
  continual: {{drift: true, new_rows: 60}}
  rewards:
    - {{reward: up, with: 'reward = next_state["sky_wind_x"]'}}
    - {{reward: down, with: 'reward = -next_state["sky_wind_x"]'}}
"""
CALM, TURNED = 0.9, -0.9


def rows(first: int, count: int, follows: float) -> bytes:
    """Rows from the number `first` on; each is like the one before, or its opposite."""
    chance, value = np.random.default_rng(first), 1.0
    lines = ["time,sky.wind.x"]
    for row in range(first, first + count):
        value = follows * value + float(chance.normal(0, 0.4))
        lines.append(f"{EPOCH + STEP * row},{value:.6f}")
    return "\n".join(lines).encode()


def misleading(first: int, count: int) -> bytes:
    """Twice so many rows, of which the older half are large, and the opposite of those after."""
    lines = rows(first, count, CALM).decode().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    large = [f"{moment},{20 * float(value):.6f}" for moment, value in cells]
    return "\n".join(
        [lines[0], *large, *rows(first + count, count, TURNED).decode().splitlines()[1:]]
    ).encode()


def post(engine: EngineFixture, first: int, count: int, follows: float) -> None:
    engine.call("pods.observe", pod="weather", data=rows(first, count, follows))


def info(engine: EngineFixture) -> dict[str, Any]:
    found = engine.call("pods.get", pod="weather")
    assert isinstance(found, dict)
    return found


def trainings(engine: EngineFixture) -> list[dict[str, Any]]:
    found = engine.call("pods.trainings", pod="weather")
    assert isinstance(found, dict)
    return found["trainings"]


def settled(engine: EngineFixture, runs: int) -> bool:
    """Whether so many trainings are over, and nothing is at work."""
    found = trainings(engine)
    done = len(found) == runs and all(one["state"] == "complete" for one in found)
    return done and info(engine)["state"] == "ready"


def read_to(engine: EngineFixture, fresh: int) -> bool:
    found = info(engine)
    return found["state"] == "ready" and found["continual"]["fresh"] == fresh


def test_what_changes_is_learned_and_what_is_worse_does_not_serve(engine: EngineFixture) -> None:
    manifest = engine.location.root / "spicepods" / "weather.yaml"
    manifest.parent.mkdir()
    manifest.write_text(MANIFEST)
    engine.start()
    wait_for(lambda: info(engine)["state"] != "loading", "the pod to be read")
    post(engine, 0, 300, CALM)
    wait_for(lambda: settled(engine, 1), "the first training")

    # More of the same trains nothing.
    post(engine, 300, 80, CALM)
    wait_for(lambda: read_to(engine, 80), "the rows to be read")
    assert len(trainings(engine)) == 1

    # Then everything turns round: the reward falls, and a policy that learned so takes over.
    post(engine, 380, 1120, TURNED)
    wait_for(lambda: settled(engine, 2), "the training for drift")
    found, record = info(engine), trainings(engine)[-1]
    said = record["evaluation"]["continual"]
    assert (said["reason"], said["against"], said["taken_up"]) == ("drift", 1, True)
    assert said["new"] > said["old"] < 0
    assert found["policy_version"] == 2
    assert found["continual"]["decided"].startswith("v2 was taken up: ")
    assert found["continual"]["decided"] in record["message"]

    # By a schedule that is saved while the engine is down, what is due is done once.
    post(engine, 1500, 100, TURNED)
    wait_for(lambda: read_to(engine, 100), "the rows to be read")
    assert len(trainings(engine)) == 2
    engine.stop()
    manifest.write_text(MANIFEST.replace("drift: true", "every: 1s"))
    engine.start()
    wait_for(lambda: settled(engine, 3), "what was due")
    assert trainings(engine)[-1]["evaluation"]["continual"]["reason"] == "schedule"
    wait_for(lambda: read_to(engine, 0), "the pod to be ready")
    wait_for(lambda: info(engine)["continual"]["next"] < time.time(), "the next time")
    assert len(trainings(engine)) == 3  # there is nothing new

    # Of what comes next the first half misleads: on the other the old policy is better.
    serving = info(engine)["policy_version"]
    engine.call("pods.observe", pod="weather", data=misleading(1600, 400))
    wait_for(lambda: settled(engine, 4), "a training that fails to please")
    found, record = info(engine), trainings(engine)[-1]
    assert record["evaluation"]["continual"]["taken_up"] is False
    assert (found["policy_version"], record["policy_version"]) == (serving, 4)
    assert found["continual"]["decided"].startswith("v4 was not taken up: ")
    assert f"worse than v{serving}" in record["message"]
    versions = engine.call("pods.versions", pod="weather")
    assert isinstance(versions, dict)
    assert {one["version"]: one["serving"] for one in versions["versions"]} == {
        version: version == serving for version in (1, 2, 3, 4)
    }
