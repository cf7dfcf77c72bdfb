"""Model servers on a real engine: stood up, updated, crashed, rolled back, stopped, adopted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import SpiceError
from spice_tui.async_client import AsyncClient
from tests.conftest import EngineFixture, wait_for
from tests.integration.server_world import ECHO, HERE, Clients, ServerWorld


@pytest.fixture(scope="module")
def world(shared_engine: EngineFixture) -> ServerWorld:
    return ServerWorld(shared_engine)


@pytest.fixture
def echo(world: ServerWorld) -> Iterator[str]:
    """A server with two replicas, gone at the end."""
    info = world.serve("echo", scaling={"min_pods": 2})
    assert info["state"] == "running"
    yield "echo"
    world.remove("echo")


def test_a_script_is_served_and_answers_at_every_door(world: ServerWorld, echo: str) -> None:
    assert world.predict(echo, {"a": 1}) == (200, {"got": {"a": 1}, "factor": 2})
    assert world.post("/local/echo/predict", b"[1]")[1] == {"got": [1], "factor": 2}
    inner = world.call("servers.predict", server=echo, payload="x")
    assert inner["status"] == 200
    assert inner["body"] == '{"got":"x","factor":2}'
    assert inner["content_type"] == "application/json"
    health = world.call("servers.predict", server=echo, path="health")
    assert (health["status"], health["body"]) == (200, '{"status":"ok"}')
    details = world.call("servers.get", server=echo)
    assert details["predictor"]["class"] == "Predictor"
    assert details["versions"][0]["state"] == "good"
    assert details["info"]["url"].endswith("/local/echo/predict")


def test_updates_and_a_manual_rollback_lose_no_request(world: ServerWorld, echo: str) -> None:
    with Clients(world, echo) as clients:
        for factor in (3, 4):
            info = world.update(echo, config={"factor": factor})
            assert (info["state"], info["rollout"]["state"]) == ("running", "done")
            assert world.predict(echo)[1]["factor"] == factor
            clients.wait_more()
        back = world.call("servers.rollback", server=echo, wait=True)
        assert back["version"] == 2
        assert world.predict(echo)[1]["factor"] == 3
        clients.wait_more()
    assert clients.failures == []


def test_new_code_is_rolled_out_only_when_it_is_asked_for(world: ServerWorld, echo: str) -> None:
    world.write("echo.py", ECHO.replace('"got"', '"had"'))
    world.update(echo, config={"factor": 5})
    assert world.predict(echo, 1)[1] == {"got": 1, "factor": 5}
    world.update(echo, code=True)
    assert world.predict(echo, 1)[1] == {"had": 1, "factor": 5}


def test_a_version_that_breaks_is_rolled_back_and_says_why(world: ServerWorld, echo: str) -> None:
    with Clients(world, echo) as clients:
        info = world.update(echo, config={"nonsense": 1})
        clients.wait_more()
    assert clients.failures == []
    assert (info["state"], info["version"]) == ("running", 1)
    assert info["rollout"]["state"] == "rolled back"
    assert "version 2 was rolled back to version 1" in info["message"]
    assert "nonsense" in info["message"]
    versions = world.call("servers.get", server=echo)["versions"]
    assert [(one["number"], one["state"]) for one in versions] == [(2, "rolled back"), (1, "good")]


def test_a_version_that_never_gets_ready_is_rolled_back(world: ServerWorld, echo: str) -> None:
    world.write("echo.py", "import time\n" + ECHO.replace("self.factor = f", "time.sleep(99); f"))
    info = world.update(echo, code=True, start_timeout=1.0)
    assert info["version"] == 1
    assert "not ready within 1 s" in info["message"]


def test_the_newest_of_two_updates_wins(world: ServerWorld, echo: str) -> None:
    slow = "import time\n" + ECHO.replace("self.factor = f", "time.sleep(99); f")
    world.write("echo.py", slow)
    world.call("servers.update", server=echo, code=True)
    world.write("echo.py", ECHO)
    info = world.update(echo, code=True, config={"factor": 9})
    assert (info["state"], info["version"]) == ("running", 3)
    assert world.predict(echo)[1]["factor"] == 9


def test_killed_replicas_lose_no_request_and_come_back(world: ServerWorld, echo: str) -> None:
    with Clients(world, echo) as clients:
        for _ in range(3):
            victim = world.info(echo)["replicas"][0]
            os.kill(world.process_of(victim), signal.SIGKILL)
            world.wait_ready(echo, 2, without=frozenset({victim["number"]}))
            clients.wait_more()
    assert clients.failures == []
    assert world.info(echo)["state"] == "running"


def test_stop_answers_503_and_start_brings_it_back(world: ServerWorld, echo: str) -> None:
    pids = [world.process_of(one) for one in world.info(echo)["replicas"]]
    stopped = world.call("servers.stop", server=echo, wait=True)
    assert (stopped["state"], stopped["pods_ready"]) == ("stopped", 0)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert world.predict(echo)[0] == 503
    started = world.call("servers.start", server=echo, wait=True)
    assert (started["state"], started["pods_ready"]) == ("running", 2)
    assert world.predict(echo)[0] == 200


def test_a_running_server_is_not_removed_without_force(world: ServerWorld, echo: str) -> None:
    with pytest.raises(SpiceError, match="must be stopped before it can be removed"):
        world.call("servers.remove", server=echo)
    with pytest.raises(SpiceError, match="there is a server 'echo' already"):
        world.serve("echo")


def test_logs_and_series_of_a_server_can_be_read(world: ServerWorld) -> None:
    text = ECHO.replace("return {", "print('asked for', payload)\n        return {")
    world.serve("talker", text, request_log=True)
    try:
        assert world.predict("talker", 7)[0] == 200
        source = "server/talker/1"

        def said() -> str:
            return bytes(
                world.call("logs.read", source=source, offset=0, limit=9999)["data"]
            ).decode()

        wait_for(lambda: "asked for 7" in said(), "the replica's line")

        def noted() -> bytes:
            read = world.call("logs.read", source="server/talker/requests", offset=0, limit=999)
            return bytes(read["data"])

        wait_for(lambda: b'"status":200' in noted(), "the request's line")
        names = {one["name"] for one in world.call("logs.sources")["sources"]}
        assert {"server/talker/1", "server/talker/requests"} <= names

        def series() -> set[str]:
            read = world.call("servers.metrics", server="talker")
            return {one["name"] for one in read["series"]}

        wait_for(lambda: {"rate", "p99", "memory", "replicas"} <= series(), "its series")
    finally:
        world.remove("talker")


def test_a_server_without_replicas_starts_at_its_first_call(world: ServerWorld) -> None:
    world.serve("lazy", scaling={"min_pods": 0, "down_after": 0.5})
    try:
        wait_for(lambda: world.info("lazy")["pods_wanted"] == 0, "the last replica to go")
        wait_for(lambda: not world.info("lazy")["replicas"], "the last replica to be gone")
        assert world.predict("lazy", 3) == (200, {"got": 3, "factor": 2})
        decisions = world.call("servers.get", server="lazy")["decisions"]
        assert {(one["before"], one["after"]) for one in decisions} >= {(1, 0), (0, 1)}
        assert all(one["reason"] and one["inputs"] for one in decisions)
    finally:
        world.remove("lazy")


def test_definitions_are_planned_and_applied(world: ServerWorld) -> None:
    entrypoint = world.write("planned.py", ECHO)
    base = {"name": "planned", "entrypoint": entrypoint, "dependencies": HERE}
    plan = world.call("servers.plan", definitions=[base])
    assert [one["action"] for one in plan["changes"]] == ["create"]
    world.call("servers.apply", definitions=[base])
    wait_for(lambda: world.info("planned")["state"] == "running", "it to run")
    again = world.call("servers.plan", definitions=[base])
    assert [one["action"] for one in again["changes"]] == ["nothing"]
    world.write("planned.py", ECHO + "\n")
    changed = {**base, "config": {"factor": 8}}
    plan = world.call("servers.plan", definitions=[changed])
    (change,) = plan["changes"]
    assert change["action"] == "update"
    assert ["config.factor", "", "8"] in change["differences"]
    assert any(row[0] == "code" and "planned.py" in row[2] for row in change["differences"])
    world.call("servers.apply", definitions=[changed])
    wait_for(lambda: world.predict("planned")[1].get("factor") == 8, "the new version")
    gone = world.call("servers.apply", definitions=[], delete=True)
    assert [one["action"] for one in gone["changes"]] == ["delete"]
    assert "planned" not in [one["name"] for one in world.call("servers.list")["servers"]]


def test_a_replica_waits_for_room_in_its_node_group(world: ServerWorld) -> None:
    world.call("node_groups.set", name="small", cpu=1.0, memory=2**30)
    limits = {"cpu_request": 0.6}
    with pytest.raises(SpiceError, match="node group 'small' has"):
        world.serve("big", node_group="small", limits={"cpu_request": 1.5})
    world.serve("first", node_group="small", limits=limits)
    entrypoint = world.write("second.py", ECHO)
    definition: dict[str, Any] = {"name": "second", "entrypoint": entrypoint}
    definition |= {"node_group": "small"}
    definition |= {"limits": limits, "dependencies": HERE}
    world.call("servers.serve", definition=definition)
    wait_for(lambda: "waits for room" in world.info("second")["message"], "it to wait")
    with pytest.raises(SpiceError, match="is used by"):
        world.call("node_groups.remove", name="small")
    world.remove("first")
    world.wait_ready("second", 1)
    world.remove("second")
    world.call("node_groups.remove", name="small")


def test_a_stopped_server_is_updated_and_tried_when_it_starts(
    world: ServerWorld, echo: str
) -> None:
    world.call("servers.stop", server=echo, wait=True)
    assert world.update(echo, config={"factor": 7})["state"] == "stopped"
    assert world.call("servers.start", server=echo, wait=True)["state"] == "running"
    assert world.predict(echo)[1]["factor"] == 7
    world.call("servers.stop", server=echo, wait=True)
    world.update(echo, config={"nonsense": 7})
    back = world.call("servers.start", server=echo, wait=True)
    assert "was rolled back to version 2" in back["message"]
    world.wait_ready(echo, 2)
    assert world.predict(echo)[1]["factor"] == 7


class TestEnginesThatComeAndGo:
    """Each with an engine of its own."""

    def test_a_restart_and_a_killed_engine_keep_replicas(self, engine: EngineFixture) -> None:
        engine.start()
        world = ServerWorld(engine)
        world.serve("echo", scaling={"min_pods": 2})
        before = [one["pid"] for one in world.info("echo")["replicas"]]
        with Clients(world, "echo") as clients:
            pid = engine.pid
            world.call("engine.restart")
            clients.wait_more(200)
        assert clients.failures == []
        assert engine.pid == pid
        assert [one["pid"] for one in world.info("echo")["replicas"]] == before
        engine.kill()
        engine.start()
        assert world.predict("echo", 1) == (200, {"got": 1, "factor": 2})
        assert [one["pid"] for one in world.info("echo")["replicas"]] == before
        assert world.update("echo", config={"factor": 4})["state"] == "running"

    def test_a_rollout_goes_on_under_the_next_engine(self, engine: EngineFixture) -> None:
        engine.start()
        world = ServerWorld(engine)
        world.serve("echo")
        slow = ECHO.replace("self.factor = f", "import time; time.sleep(5); self.factor = f")
        world.write("echo.py", slow)
        changes = {"config": {"factor": 6}}
        world.call("servers.update", server="echo", code=True, changes=changes)
        wait_for(lambda: len(world.info("echo")["replicas"]) == 2, "the new replica")
        engine.kill()
        engine.start()
        assert world.predict("echo")[1]["factor"] == 2
        wait_for(lambda: world.predict("echo")[1]["factor"] == 6, "the new version")
        wait_for(lambda: world.info("echo")["rollout"]["state"] == "done", "the rollout's end")
        assert world.info("echo")["version"] == 2

    def test_an_engine_that_stops_takes_its_replicas_and_begins_them_again(
        self, engine: EngineFixture
    ) -> None:
        engine.start()
        world = ServerWorld(engine)
        world.serve("echo")
        shims = [one["pid"] for one in world.info("echo")["replicas"]]
        engine.stop()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in shims), "no replicas")
        engine.start()
        world.wait_ready("echo", 1)
        assert world.predict("echo", 1)[0] == 200

    def test_a_replica_that_dies_while_no_engine_is_there_is_replaced(
        self, engine: EngineFixture
    ) -> None:
        engine.start()
        world = ServerWorld(engine)
        world.serve("echo")
        (replica,) = world.info("echo")["replicas"]
        victim = world.process_of(replica)
        engine.kill()
        os.kill(victim, signal.SIGKILL)
        time.sleep(0.2)
        engine.start()
        world.wait_ready("echo", 1, without=frozenset({replica["number"]}))
        assert world.predict("echo", 1)[0] == 200


async def test_the_topic_tells_a_server_from_its_start_to_its_end(world: ServerWorld) -> None:
    client = await AsyncClient.connect(world.engine.location)
    states: list[str] = []

    async def follow() -> None:
        async for event in client.subscribe("servers"):
            data = event.data
            changed = data if event.kind == "snapshot" else data.get("set", {})
            if "told" in changed and changed["told"]["state"] not in states[-1:]:
                states.append(changed["told"]["state"])
            if event.kind != "snapshot" and "told" in data.get("del", ()):
                return

    task = asyncio.create_task(follow())
    await asyncio.to_thread(world.serve, "told")
    await asyncio.to_thread(wait_for, lambda: "running" in states, "it to be told")
    await asyncio.to_thread(world.call, "servers.stop", server="told", wait=True)
    await asyncio.to_thread(world.remove, "told")
    await asyncio.wait_for(task, 30)
    await client.close()
    assert "running" in states
