"""Processes that wait for a server's next replica: used, refused, adopted, and gone at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import SpiceError
from spice_runtime import process, replica_ahead
from tests.conftest import EngineFixture, wait_for
from tests.integration.server_world import ECHO, ServerWorld

TOLD = """
import os, sys
from pathlib import Path
from spice_runtime import BasePredictor

class Predictor(BasePredictor):
    def predict(self, payload):
        names = ("SPICE_SERVER", "SPICE_SERVER_VERSION", "SPICE_REPLICA", "MINE")
        told = {name: os.environ.get(name) for name in names}
        return {**told, "arguments": len(sys.argv), "folder": str(Path.cwd())}
"""


@pytest.fixture
def world(shared_engine: EngineFixture) -> Iterator[ServerWorld]:
    world = ServerWorld(shared_engine)
    yield world
    for server in world.call("servers.list")["servers"]:
        world.remove(server["name"])


def folder_of(world: ServerWorld, server: str) -> Path:
    return world.engine.location.state / "servers" / server / "replicas"


def waiting(world: ServerWorld, server: str) -> list[Path]:
    """The folders of processes that wait to become replicas."""
    folders = [each for each in folder_of(world, server).glob("*") if replica_ahead.waits(each)]
    return [each for each in folders if process.read_json(str(each), process.SHIM)]


def wait_ahead(world: ServerWorld, server: str) -> Path:
    """Until one waits that is not on its way out."""

    def look() -> list[Path]:
        found = waiting(world, server)
        numbers = [one["number"] for one in world.info(server)["replicas"]]
        return [each for each in found if int(each.name) > max(numbers, default=0)]

    wait_for(look, f"a process ahead of {server}")
    return look()[0]


def processes_of(folder: Path) -> tuple[int, int]:
    """The shim's and the command's pid."""
    note = process.read_json(str(folder), process.SHIM) or {}
    return int(note["pid"]), int(note["child"])


def is_alive(pid: int) -> bool:
    return bool(process.identity(pid))


def kill_the_replica(world: ServerWorld, server: str) -> dict[str, Any]:
    """Kill the only replica, and wait for the next one."""
    (victim,) = world.info(server)["replicas"]
    os.kill(world.process_of(victim), signal.SIGKILL)
    world.wait_ready(server, 1, without=frozenset({victim["number"]}))
    (replica,) = world.info(server)["replicas"]
    return replica


def test_a_crash_an_update_and_one_more_replica_use_what_waits(world: ServerWorld) -> None:
    world.serve("told", TOLD, env={"MINE": "7"})
    first = wait_ahead(world, "told")
    before = processes_of(first)
    # It is no replica yet, and nobody sees its empty log.
    assert [one["number"] for one in world.info("told")["replicas"]] == [1]
    names = {one["name"] for one in world.call("logs.sources")["sources"]}
    assert "server/told/2" not in names

    replica = kill_the_replica(world, "told")
    assert (replica["number"], processes_of(first)) == (2, before)
    assert not replica_ahead.waits(first)
    answer = world.predict("told")[1]
    assert answer["MINE"] == "7"
    assert (answer["SPICE_SERVER"], answer["SPICE_REPLICA"]) == ("told", "2")
    assert (answer["SPICE_SERVER_VERSION"], answer["arguments"]) == ("1", 2)

    second = wait_ahead(world, "told")
    before = processes_of(second)
    world.write("told.py", TOLD + "\n")
    assert world.update("told", code=True)["state"] == "running"
    answer = world.predict("told")[1]
    assert (answer["SPICE_SERVER_VERSION"], answer["SPICE_REPLICA"]) == ("2", "3")
    assert answer["folder"].endswith("versions/2/code")
    assert processes_of(second) == before

    third = wait_ahead(world, "told")
    before = processes_of(third)
    world.update("told", scaling={"min_pods": 2, "max_pods": 2})
    wait_for(lambda: world.info("told")["pods_ready"] == 2, "two replicas")
    assert processes_of(third) == before
    assert not replica_ahead.waits(third)


@pytest.mark.parametrize(
    "changes",
    [{"env": {"MINE": "8"}}, {"limits": {"memory_limit": 2**30}}],
    ids=["variables", "limits"],
)
def test_an_update_that_needs_another_process_gets_one(
    world: ServerWorld, changes: dict[str, Any]
) -> None:
    world.serve("told", TOLD, env={"MINE": "7"})
    old = wait_ahead(world, "told")
    pids = processes_of(old)
    assert world.update("told", **changes)["state"] == "running"
    assert world.predict("told")[1]["SPICE_REPLICA"] == "3"
    assert world.predict("told")[1]["MINE"] == changes.get("env", {}).get("MINE", "7")
    wait_for(lambda: not old.exists(), "the one that does not fit to be gone")
    assert not any(map(is_alive, pids))
    assert wait_ahead(world, "told").name == "4"


def test_one_that_died_or_is_not_there_yet_is_not_missed(world: ServerWorld) -> None:
    world.serve("echo")
    assert kill_the_replica(world, "echo")["number"] == 2
    folder = wait_ahead(world, "echo")
    os.kill(processes_of(folder)[1], signal.SIGKILL)
    wait_for(lambda: not folder.exists(), "the dead one's folder to go")
    assert kill_the_replica(world, "echo")["number"] == 4
    assert world.predict("echo", 1)[0] == 200


def test_stop_and_rm_leave_nothing(world: ServerWorld) -> None:
    world.serve("echo")
    pids = processes_of(wait_ahead(world, "echo"))
    world.call("servers.stop", server="echo", wait=True)
    assert not any(map(is_alive, pids))
    world.call("servers.start", server="echo", wait=True)
    folder = wait_ahead(world, "echo")
    pids = processes_of(folder)
    world.remove("echo")
    assert not any(map(is_alive, pids))
    assert not folder.parent.parent.exists()


def _started(world: ServerWorld) -> float:
    """When the engine began; 0 while one goes and the next one comes."""
    try:
        return float(world.call("engine.status")["started"])
    except SpiceError:
        return 0.0


def test_the_next_engine_takes_it_up(engine: EngineFixture) -> None:
    engine.start()
    world = ServerWorld(engine)
    world.serve("echo")
    folder = wait_ahead(world, "echo")
    pids = processes_of(folder)
    before = world.call("engine.status")["started"]
    world.call("engine.restart")
    wait_for(lambda: _started(world) > before, "the next engine")
    engine.kill()
    engine.start()
    world.wait_ready("echo", 1)
    assert waiting(world, "echo") == [folder]
    replica = kill_the_replica(world, "echo")
    assert (str(replica["number"]), processes_of(folder)) == (folder.name, pids)
    last = processes_of(wait_ahead(world, "echo"))
    engine.stop()
    wait_for(lambda: not any(map(is_alive, last)), "nothing to be left")


def test_there_are_no_more_than_cores_and_none_where_they_are_not_wanted(
    engine: EngineFixture,
) -> None:
    engine.start()
    world = ServerWorld(engine)
    cores = len(os.sched_getaffinity(0))
    names = [f"echo-{at}" for at in range(cores + 1)]
    for name in names:
        world.serve(name, ECHO)
    wait_for(lambda: sum(len(waiting(world, name)) for name in names) == cores, "all that may be")
    without = next(name for name in names if not waiting(world, name))
    world.remove(next(name for name in names if name != without))
    wait_ahead(world, without)
    world.engine.stop()
    (world.folder / "spice.config.yaml").write_text("replicas_ahead: 0\n")
    world.engine.start()
    world.wait_ready(without, 1)
    assert kill_the_replica(world, without)
    assert not waiting(world, without)
