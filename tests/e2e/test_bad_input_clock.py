"""A wall clock that jumps by days: durations do not notice, and nothing ends before its time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e

DAY = 86_400

# The wall clock of a process, moved by the whole seconds that a file holds.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    char text[32] = {0};
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atol(text);
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(id, now);
    if (id == CLOCK_REALTIME && getenv("CLOCK_OFFSET")) now->tv_sec += offset();
    return answer;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *there) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (there) *there = exact.tv_sec;
    return exact.tv_sec;
}
"""

Jump = Callable[[int], None]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clock above, compiled."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    folder = tmp_path_factory.mktemp("clock")
    source, target = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl"], check=True
    )
    return target


@pytest.fixture
def jump(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Moves the clock of every process started from here on, now and later."""
    place = tmp_path / "offset"
    place.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_OFFSET", str(place))
    code = "import time; print(time.time())"

    def move(seconds: int) -> None:
        beside = place.with_name("offset~")
        beside.write_text(str(seconds))
        beside.rename(place)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        if abs(float(done.stdout) - time.time() - seconds) > 60:
            pytest.skip("the clock of a process cannot be moved here")

    move(0)
    return move


@pytest.mark.parametrize("days", [1, -2], ids=["forward", "back"])
def test_the_engine_lives_through_a_jump(engine: EngineFixture, jump: Jump, days: int):
    engine.start("--idle-minutes", "0.5")
    engine.call("samples.add", name="samples/serverops")
    wait_for(lambda: engine.call("pods.list")["pods"], "the pod")
    wait_for(lambda: engine.call("pods.get", pod="serverops")["state"] == "ready", "its policy")
    with engine.client() as client:
        begin = client.call("engine.status")
        plain = client.call("runs.start", {"command": "sleep 1; exit 4"})
        timed = client.call("runs.start", {"command": ["sleep", "60"], "timeout": 1.0})
        long = client.call("runs.start", {"command": ["sleep", "60"], "timeout": 50.0})
        before = client.call("pods.recommend", {"pod": "serverops"})
        jump(days * DAY)
        # The connection, runs and trainings go on; what ends, ends at its own time.
        record = client.call("pods.train", {"pod": "serverops", "wait": True})
        assert record["state"] == "complete"
        assert client.call("pods.recommend", {"pod": "serverops"})["end"] == before["end"]
        wait_for(
            lambda: client.call("runs.get", {"id": timed["id"]})["state"] == "stopped", "a timeout"
        )
        wait_for(
            lambda: client.call("runs.get", {"id": plain["id"]})["state"] == "complete", "an end"
        )
        assert client.call("runs.get", {"id": plain["id"]})["exit_code"] == 4
        assert client.call("runs.get", {"id": long["id"]})["state"] == "running"
        assert client.call("runs.get", {"id": timed["id"]})["outcome"] == "timeout"
        status = client.call("engine.status")
        assert status["pid"] == begin["pid"]
        assert 0 <= status["uptime"] < 3600
        assert status["loop_lag"]["max"] < 30_000
        # Stamps are wall time: the new one shows where the clock stands.
        after = client.call("runs.start", {"command": ["true"]})
        assert abs(float(after["created"]) - float(begin["started"]) - days * DAY) < 600
        jump(0)
        assert client.call("runs.kill", {"id": long["id"]})["state"] == "killing"
        wait_for(
            lambda: client.call("runs.get", {"id": long["id"]})["state"] == "killed", "its end"
        )
        listed = client.call("runs.list")["runs"]
        assert [run["id"] for run in listed] == sorted(run["id"] for run in listed)
    assert engine.answers()


def test_a_kill_and_a_restart_across_a_jump(engine: EngineFixture, jump: Jump):
    engine.start()
    run = engine.call("runs.start", command="sleep 0.5; exit 6")
    other = engine.call("runs.start", command=["sleep", "60"])
    jump(DAY)
    engine.kill()
    jump(-DAY)
    engine.start()
    wait_for(lambda: engine.call("runs.get", id=run["id"])["state"] == "complete", "its end")
    assert engine.call("runs.get", id=run["id"])["exit_code"] == 6
    assert engine.call("runs.get", id=other["id"])["state"] == "running"


def test_a_shim_counts_its_timeout_and_grace_in_real_seconds(
    engine: EngineFixture, jump: Jump, tmp_path: Path
):
    # The spawner hands no variables on; a shim that is started by hand has the moved clock.
    import json

    import spice_runtime

    folder = tmp_path / "job"
    folder.mkdir()
    job = {
        "argv": ["/bin/sh", "-c", "trap '' TERM; echo up; sleep 60 & wait; sleep 60"],
        "env": {"PATH": os.defpath},
        "timeout_s": 0.8,
        "grace_s": 0.8,
    }
    (folder / "job.json").write_text(json.dumps(job))
    script = Path(spice_runtime.__file__).with_name("shim.py")
    begin = time.monotonic()
    with subprocess.Popen([sys.executable, "-I", "-S", str(script), str(folder)]) as shim:
        wait_for((folder / "shim.json").exists, "the shim")
        jump(DAY)
        time.sleep(0.3)
        assert shim.poll() is None, "the jump did not end it"
        jump(-DAY)
        assert shim.wait(timeout=30) == 0
    assert time.monotonic() - begin >= 1.6
    end = json.loads((folder / "exit.json").read_text())
    assert (end["reason"], end["signal"]) == ("timeout", 9)
    assert 1.6 <= end["duration_s"] < 30
