"""What goes wrong with servers: a clear word to the right person, and nobody else suffers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spice_engine.errors import SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.integration.server_world import ECHO, HERE, Clients, ServerWorld


@pytest.fixture(scope="module")
def world(shared_engine: EngineFixture) -> Iterator[ServerWorld]:
    world = ServerWorld(shared_engine)
    world.serve("steady")
    yield world
    # Nothing that happened here touched the other server.
    assert world.predict("steady", 1)[0] == 200
    assert world.info("steady")["state"] == "running"
    assert len(world.info("steady")["replicas"]) == 1


PREDICTOR = "from spice_runtime import BasePredictor\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("no-import", "import nosuchmodule\n", "No module named 'nosuchmodule'"),
        ("no-syntax", "class Predictor(\n", "SyntaxError"),
        ("no-class", "x = 1\n", "No predictors found"),
        (
            "two-classes",
            PREDICTOR
            + "class A(BasePredictor):\n    def predict(self, p): return 1\n"
            + "class B(BasePredictor):\n    def predict(self, p): return 1\n",
            "More than one predictor found",
        ),
        (
            "raises",
            PREDICTOR
            + "class P(BasePredictor):\n    def __init__(self): raise ValueError('my why')\n"
            "    def predict(self, p): return 1\n",
            "my why",
        ),
        (
            "exits",
            PREDICTOR + "import os\nprint('last words of mine', flush=True)\nos._exit(5)\n",
            "it ended with exit code 5; its last words:\nlast words of mine",
        ),
    ],
)
def test_a_predictor_that_cannot_be_loaded_fails_with_the_reason(
    world: ServerWorld, name: str, text: str, said: str
) -> None:
    info = world.serve(name, text)
    assert info["state"] == "failed"
    assert said in info["message"]
    assert info["rollout"]["state"] == "failed"
    assert world.predict(name, 1)[0] == 503
    world.write(f"{name.replace('-', '_')}.py", ECHO)
    assert world.update(name, code=True)["state"] == "running"
    assert world.predict(name, 1)[0] == 200
    world.remove(name)


def test_a_predictor_that_blocks_for_ever_is_given_up(world: ServerWorld) -> None:
    text = ECHO.replace("self.factor = factor", "import time; time.sleep(1000)")
    info = world.serve("blocks", text, start_timeout=1.0)
    assert info["state"] == "failed"
    assert "not ready within 1 s" in info["message"]
    wait_for(lambda: not world.info("blocks")["replicas"], "its process to be gone")
    world.remove("blocks")


def test_an_unhealthy_predictor_takes_no_traffic(world: ServerWorld) -> None:
    text = ECHO + "\n    def health(self):\n        raise RuntimeError('not well')\n"
    info = world.serve("unwell", text, start_timeout=1.5)
    assert info["state"] == "failed"
    assert world.predict("unwell", 1)[0] == 503
    world.remove("unwell")


DIES = """
import os
from spice_runtime import BasePredictor

class Predictor(BasePredictor):
    def predict(self, payload):
        if payload == "die":
            os._exit(9)
        return payload
"""


def test_a_request_that_kills_replicas_is_answered_and_they_come_back(world: ServerWorld) -> None:
    world.serve("mortal", DIES, scaling={"min_pods": 2})
    status, answer = world.predict("mortal", "die")
    assert status == 502
    assert "died" in str(answer)
    world.wait_ready("mortal", 2, without=frozenset({1, 2}))
    assert world.predict("mortal", "live")[0] == 200
    world.remove("mortal")


HUNGRY = """
from spice_runtime import BasePredictor

class Predictor(BasePredictor):
    def predict(self, payload):
        if payload == "eat":
            self.kept = [b"x" * 2**20 for _ in range(1000)]
        return payload
"""


def test_a_leak_ends_at_the_limit_and_the_message_says_so(world: ServerWorld) -> None:
    world.serve("hungry", HUNGRY, limits={"memory_limit": 300 * 2**20})
    status, _ = world.predict("hungry", "eat")
    # Ended by the kernel (control groups), or refused the memory (address space).
    assert status in {500, 502}

    if status == 502:
        wait_for(lambda: world.predict("hungry", 1)[0] == 200, "it to be back")
        log = world.engine.location.log.read_text()
        assert "out of memory: it used more than its limit of 300 MiB" in log
    assert world.predict("hungry", 1)[0] == 200
    world.remove("hungry")


def test_megabytes_of_output_are_kept_within_bounds(world: ServerWorld) -> None:
    text = ECHO.replace("return {", "print('x' * 2**22)\n        return {")
    world.serve("loud", text)
    with Clients(world, "loud", 2) as clients:
        clients.wait_more(20)
    assert clients.failures == []
    folder = world.engine.location.state / "servers" / "loud" / "replicas" / "1"
    assert (folder / "logs.txt.1").exists()
    assert (folder / "logs.txt").stat().st_size <= 40 * 2**20
    world.remove("loud")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "v2"}, "belongs to a path"),
        ({"name": "a b"}, "letters, digits and '-'"),
        ({"name": "-x"}, "letters, digits and '-'"),
        ({"entrypoint": "gone.py"}, "there is no file 'gone.py'"),
        ({"entrypoint": "../x.py"}, "not inside the app folder"),
        ({"entrypoint": "steady.txt"}, "must be in a Python file"),
        ({"models": ["cifar"]}, "model_name:version"),
        ({"models": ["cifar:v1"]}, "there is no model"),
        ({"node_group": "nowhere"}, "there is no node group 'nowhere'"),
        ({"scaling": {"min_pods": 3, "max_pods": 2}}, "min_pods"),
        ({"threads": 0}, "threads: must be between 1"),
        ({"dependencies": {"apt": ["ffmpeg tool"]}}, "no package of apt"),
        ({"dependencies": {"conda_file": "dependencies: x"}}, "conda"),
        ({"env": {"1X": "y"}}, "cannot be the name of a variable"),
        ({"mounts": {"uploads/x": "/abs"}}, "not below /mounts"),
        ({"mounts": {"uploads/none": "x"}}, "uploads"),
        ({"type": "magic"}, "there is no type 'magic'"),
        ({"type": "onnx", "entrypoint": ""}, "exactly one model"),
        ({"door": {"auth": "maybe"}}, "none or token"),
        ({"limits": {"gpus": 50}}, "GPUs"),
    ],
)
def test_definitions_against_the_rules_are_refused(
    world: ServerWorld, changes: dict[str, Any], said: str
) -> None:
    definition = {"name": "refused", "entrypoint": "steady.py", "dependencies": HERE, **changes}
    with pytest.raises(SpiceError) as caught:
        world.call("servers.serve", definition=definition)
    assert said in str(caught.value)
    assert "refused" not in [one["name"] for one in world.call("servers.list")["servers"]]


def test_updates_that_say_nothing_or_nonsense_are_refused(world: ServerWorld) -> None:
    for changes, said in (
        ({}, "nothing of server 'steady' would change"),
        ({"colour": 1}, "a server has no 'colour'"),
        ({"scaling": {"pods": 1}}, "a server has no 'scaling.pods'"),
        ({"threads": "many"}, "threads"),
        ({"name": "other"}, "name stays"),
    ):
        with pytest.raises(SpiceError) as caught:
            world.call("servers.update", server="steady", changes=changes)
        assert said in str(caught.value)
    with pytest.raises(SpiceError, match="there is no server 'nobody'"):
        world.call("servers.update", server="nobody", changes={"threads": 2})
    with pytest.raises(SpiceError, match="no earlier version that worked"):
        world.call("servers.rollback", server="steady")


def test_a_pod_without_a_policy_cannot_be_served(world: ServerWorld) -> None:
    with pytest.raises(SpiceError, match="nopod"):
        world.call(
            "servers.serve", definition={"name": "p", "type": "pod", "models": ["nopod:latest"]}
        )
