"""A disk that fills up under a whole engine: refusals in words, nothing accepted is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from spice_engine.errors import StorageError
from tests.conftest import EngineFixture, wait_for
from tests.e2e.serving_neighbour import Place
from tests.integration.server_world import ECHO, Clients

pytestmark = pytest.mark.e2e


@pytest.fixture
def full_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineFixture]:
    """An engine whose app folder is a file system of 24 MiB."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root on Linux")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    engine = EngineFixture(folder)
    try:
        engine.start()
        yield engine
    finally:
        ballast(engine).unlink(missing_ok=True)
        engine.stop()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def ballast(engine: EngineFixture) -> Path:
    return engine.location.root / "ballast"


def fill(engine: EngineFixture, *, leave: int = 0) -> None:
    """Fill the disk up to its last byte, or up to the `leave` last ones."""
    path = ballast(engine)
    with path.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    os.truncate(path, max(0, path.stat().st_size - leave))


def refused(write: Callable[[], object]) -> StorageError:
    """Write until the disk refuses; its refusal."""
    for _ in range(20_000):
        try:
            write()
        except StorageError as error:
            return error
    raise AssertionError("the disk never became full")


def post(engine: EngineFixture, path: str, body: object) -> tuple[int, dict[str, object], str]:
    token = engine.location.token.read_text().strip()
    request = urllib.request.Request(
        engine.http + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.load(reply), reply.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers["Content-Type"]


def test_a_full_disk_refuses_writes_and_loses_none(full_engine: EngineFixture):
    engine = full_engine
    run = engine.call("runs.start", command="sleep 0.8; exit 7", name="ends while it is full")
    other = engine.call("runs.start", command=["sleep", "60"])
    shim = engine.location.state / "runs" / str(run["id"]) / "shim.json"
    command = json.loads(shim.read_text())["child"]
    fill(engine, leave=400_000)
    accepted: list[str] = []

    def label() -> None:
        text = f"{len(accepted):06}-" + "x" * 180
        engine.call("runs.label", id=run["id"], add=[text])
        accepted.append(text)

    refusal = refused(label)
    assert "full" in refusal.message
    assert "Free some space" in refusal.hint
    assert accepted
    fill(engine)

    # Every kind of write is refused the same way, over both doors; reading goes on.
    many = [{"name": "loss", "value": k / 7, "index": k} for k in range(5000)]
    with pytest.raises(StorageError, match="Free some space"):
        engine.call("runs.add_metrics", id=other["id"], points=many)
    refusal = refused(
        lambda: engine.call("runs.start", command=["true"], env={"FILL": "x" * 20_000})
    )
    assert "Free some space" in refusal.hint
    code, body, kind = post(
        engine, "/api/v1/runs", {"command": ["true"], "env": {"FILL": "x" * 20_000}}
    )
    answer = body["error"]
    assert (code, answer["code"]) == (507, "storage_error")
    assert "Free some space" in answer["hint"]
    assert kind.startswith("application/json")
    assert engine.call("engine.status")["active_runs"] >= 1
    listed = {item["id"]: item for item in engine.call("runs.list")["runs"]}
    assert listed[other["id"]]["state"] == "running"
    assert set(accepted) <= set(listed[run["id"]]["labels"])

    # With room again, writes work, and the run that ended meanwhile gets its exit status.
    wait_for(lambda: not psutil.pid_exists(command), "the short run's end")
    assert engine.call("runs.get", id=run["id"])["state"] in {"running", "saving"}
    ballast(engine).unlink()
    wait_for(lambda: engine.call("runs.get", id=run["id"])["state"] == "complete", "the status")
    assert engine.call("runs.get", id=run["id"])["exit_code"] == 7
    engine.call("runs.label", id=run["id"], add=["after"])
    assert post(engine, "/api/v1/runs", {"command": ["true"]})[0] == 200
    engine.call("runs.add_metrics", id=other["id"], points=[{"name": "after", "value": 1}])

    # And a restart finds all of it.
    engine.kill()
    engine.start()
    found = engine.call("runs.get", id=run["id"])
    assert {*accepted, "after"} <= set(found["labels"])
    assert (found["state"], found["exit_code"]) == ("complete", 7)
    assert engine.call("runs.get", id=other["id"])["state"] == "running"
    series = engine.call("runs.read_metrics", id=other["id"])["series"]
    assert "after" in {item["name"] for item in series}
    engine.stop()
    for name in ("engine.db", "metrics.db"):
        connection = sqlite3.connect(engine.location.state / name)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


def test_a_pod_keeps_answering_while_it_cannot_be_trained(full_engine: EngineFixture):
    engine = full_engine
    engine.call("samples.add", name="samples/serverops")
    wait_for(lambda: engine.call("pods.list")["pods"], "the pod")
    wait_for(lambda: engine.call("pods.get", pod="serverops")["state"] == "ready", "its policy")
    answer = engine.call("pods.recommend", pod="serverops")
    fill(engine)
    refusal = refused(lambda: engine.call("pods.train", pod="serverops", wait=True, episodes=100))
    assert "space" in refusal.hint
    assert engine.call("pods.get", pod="serverops")["state"] == "ready"
    assert engine.call("pods.recommend", pod="serverops")["action"] == answer["action"]
    # One that was under way when the disk filled up ends as failed, not as going on for ever.
    ballast(engine).unlink()
    under_way = engine.call("pods.train", pod="serverops", episodes=3000)["number"]
    fill(engine)
    wait_for(
        lambda: engine.call("pods.get", pod="serverops")["state"] == "ready", "the end", seconds=60
    )
    ballast(engine).unlink()

    def ended() -> bool:
        # A fast one may have been complete before the disk was full.
        state = engine.call("pods.training", pod="serverops", number=under_way)["state"]
        return state in {"failed", "complete"}

    wait_for(ended, "its record")
    record = engine.call("pods.train", pod="serverops", wait=True)
    assert record["state"] == "complete"
    states = {item["state"] for item in engine.call("pods.trainings", pod="serverops")["trainings"]}
    assert states <= {"complete", "failed"}, "no training is left as if it went on"
    assert not engine.call("pods.problems", pod="serverops")["problems"]


def test_an_engine_that_starts_on_a_full_disk_says_so_and_starts_later(
    full_engine: EngineFixture,
):
    engine = full_engine
    run = engine.call("runs.start", command=["true"], labels=["kept"])
    wait_for(lambda: engine.call("runs.get", id=run["id"])["state"] == "complete", "its end")
    engine.stop()
    fill(engine)
    # Either it says so, or there was room left for a start; then what it has is still right.
    reason = "full"
    try:
        engine.start()
    except StorageError as error:
        reason = str(error)
    else:
        assert engine.call("runs.get", id=run["id"])["labels"] == ["kept"]
        engine.stop()
    assert "full" in reason
    ballast(engine).unlink()
    engine.start()
    assert engine.call("runs.get", id=run["id"])["labels"] == ["kept"]


def test_servers_on_a_full_disk_serve_and_come_back(full_engine: EngineFixture) -> None:
    place = Place(full_engine)
    loud = ECHO.replace("return {", "print('x' * 100_000)\n        return {")
    place.serve("loud", loud, request_log=True)
    with Clients(place, "loud", 2) as clients:
        clients.wait_more()
        fill(full_engine)
        # What it prints and the requests' log are lost meanwhile, no request is.
        clients.wait_more(200)
    assert clients.failures == []
    place.write("loud.py", "")
    for words in (
        ("server", "update", "loud", "--update-repo"),
        ("server", "update", "loud", "--threads", "2"),
        ("server", "stop", "loud"),
        ("server", "serve", "--name", "new", "loud.py"),
        ("model", "create", "weights", "loud.py"),
    ):
        code, _, err = place.cli(*words)
        assert (code, "the disk is full" in err) == (10, True), err
    # One that dies cannot be replaced now, and the reason is told.
    os.kill(place.info("loud")["replicas"][0]["pid"], signal.SIGKILL)
    wait_for(lambda: "the disk is full" in place.info("loud")["message"], "the reason")
    assert place.predict("loud", 1)[0] == 503
    ballast(full_engine).unlink()
    wait_for(lambda: place.predict("loud", 1)[0] == 200, "it to serve again")
    wait_for(lambda: not place.info("loud")["message"], "the reason to be gone")


def test_a_run_that_fills_the_disk_is_killed_and_disturbs_nobody(full_engine: EngineFixture):
    engine = full_engine
    (engine.location.root / "code.txt").write_text("code")
    beside = engine.call("runs.start", command="cat; echo mine > mine.txt", name="beside")
    greedy = engine.call("runs.start", command="head -c 10G /dev/zero > big; sleep 300")

    def state(run: dict[str, object]) -> object:
        return engine.call("runs.get", id=run["id"])["state"]

    wait_for(lambda: state(greedy) == "killed", "the end of the run that fills the disk")
    found = engine.call("runs.get", id=greedy["id"])
    assert found["message"].startswith("Killed, for it filled the disk: it wrote ")
    # Nothing of it is left, and there is room again for all others.
    assert not (engine.location.state / "runs" / str(greedy["id"]) / "outputs").exists()
    assert shutil.disk_usage(engine.location.root).free > 16 * 2**20
    wait_for(lambda: state(beside) == "complete", "the end of the other run")
    (left,) = engine.call("resources.list", path=f"runs/{beside['id']}")["entries"]
    assert left["path"] == f"runs/{beside['id']}/mine.txt"
    after = engine.call("runs.start", command=["true"])
    wait_for(lambda: state(after) == "complete", "a run after it")
    # So it is when its log is what fills the disk.
    loud = engine.call("runs.start", command="yes; sleep 300")
    wait_for(lambda: state(loud) == "killed", "the end of the run that prints without end")
    room = "room for others"
    wait_for(lambda: shutil.disk_usage(engine.location.root).free > 16 * 2**20, room)
    begin = engine.call("runs.log", id=loud["id"], offset=0, limit=100)
    assert begin["text"] == "y\n" * 50
    end = engine.call("runs.log", id=loud["id"], tail=1)
    assert end["text"].startswith("[the run filled the disk; ")
    assert end["size"] < 2 * 2**20
