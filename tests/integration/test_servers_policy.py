"""Policies of pods as servers: `/predict` says what `/recommendation` says."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from spice_engine.errors import SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.integration.server_world import ServerWorld
from tests.integration.v01_world import EPOCH, SHOP, sales


@pytest.fixture(scope="module")
def world(shared_engine: EngineFixture) -> ServerWorld:
    world = ServerWorld(shared_engine)
    world.write("data/sales.csv", sales())
    world.write("spicepods/shop.yaml", SHOP)
    wait_for(lambda: world.call("pods.list")["pods"], "the pod to be seen")
    for _ in range(2):
        world.call("pods.train", pod="shop", wait=True)
    return world


def ask(world: ServerWorld, query: str = "") -> dict[str, Any]:
    with urllib.request.urlopen(
        f"{world.engine.http}/api/v0.1/pods/shop/{query or 'recommendation'}", timeout=10
    ) as answer:
        return json.load(answer)


def test_predict_agrees_with_recommendation(world: ServerWorld) -> None:
    info = world.call(
        "servers.serve",
        definition={"name": "shop", "type": "pod", "models": ["shop:latest"]},
        wait=True,
    )
    assert (info["state"], info["pods_ready"]) == ("running", 1)
    status, answer = world.predict("shop", {})
    assert status == 200
    told = ask(world)
    assert (answer["action"], answer["tag"]) == (told["action"], "latest")
    assert answer["confidence"] == pytest.approx(told["confidence"], abs=0.001)
    assert (answer["start"], answer["end"]) == (told["start"], told["end"])

    moment = EPOCH + 3600
    told = ask(world, f"recommendation?time={moment}")
    assert world.predict("shop", {"time": moment})[1]["action"] == told["action"]
    explained = world.predict("shop", {"explain": True})[1]
    assert explained["values"]
    assert world.predict("shop", {"tag": "v1"})[1]["policy_version"] == 1


def test_a_version_may_be_pinned(world: ServerWorld) -> None:
    definition = {"name": "pinned", "type": "pod", "models": ["shop:v1"]}
    world.call("servers.serve", definition=definition, wait=True)
    assert world.predict("pinned", {})[1]["policy_version"] == 1
    newest = world.predict("shop", {})[1]["policy_version"]
    assert newest > 1
    world.call("servers.update", server="pinned", changes={"models": [f"shop:v{newest}"]})
    assert world.predict("pinned", {})[1]["policy_version"] == newest


def test_wrong_payloads_are_refused_and_a_stopped_one_answers_503(world: ServerWorld) -> None:
    assert world.post("/servers/shop/predict", b"nonsense")[0] == 400
    assert world.predict("shop", [1])[0] == 400
    status, answer = world.predict("shop", {"colour": 1})
    assert (status, "colour" in answer) == (400, True)
    assert world.predict("shop", {"time": 1})[0] == 400
    assert world.predict("shop", {"tag": "nobody"})[0] == 400
    world.call("servers.stop", server="shop", wait=True)
    status, answer = world.predict("shop", {})
    assert (status, answer["error"]["code"]) == (503, "engine_unavailable")
    world.call("servers.start", server="shop", wait=True)
    assert world.predict("shop", {})[0] == 200


def test_a_policys_server_stays_one_and_is_seen_by_its_model(world: ServerWorld) -> None:
    with pytest.raises(SpiceError, match="cannot become another one"):
        world.call("servers.update", server="shop", changes={"type": "script"})
    model = world.call("models.get", name="shop")
    assert any("shop" in one["servers"] for one in model["versions"])
    with pytest.raises(SpiceError, match=r"is not a pod's policy|there is no"):
        world.call(
            "servers.serve",
            definition={"name": "x", "type": "pod", "models": ["nothing:latest"]},
        )
