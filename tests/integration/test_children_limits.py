"""Limits that this machine really enforces, and jobs placed on it."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidRequest, Overloaded
from spice_engine.workers.limits import Limits, LimitSupport, detect, plan
from spice_engine.workers.placement import LocalPlacement, Placed, Resources, this_machine
from spice_engine.workers.shims import Exited, Job, NeverStarted, ShimHost

ENV = {"PATH": "/usr/bin:/bin"}
SUPPORT = detect()
NO_GROUPS = LimitSupport(cpu="none", memory="rlimit", pids="none")
EAT = "import os; print('start', flush=True); x = bytearray(400 * 2**20); print(len(x))"


@pytest.mark.skipif(not SUPPORT.memory_group, reason="; ".join(SUPPORT.reasons))
@pytest.mark.parametrize("direct", [True, False])
async def test_too_much_memory_ends_the_job_and_says_so(tmp_path: Path, direct: bool) -> None:
    limits = plan(Limits(memory_bytes=80 * 2**20), f"test-{tmp_path.name}", SUPPORT)
    argv = (sys.executable, "-c", EAT)
    if not direct:
        argv = ("sh", "-c", '"$@"; exit $?', "sh", *argv)
    async with ShimHost() as host:
        client = await host.start(tmp_path / "job", Job(argv=argv, env=ENV, limits=limits))
        ended = await client.wait()
    assert ended.reason == "out of memory"
    assert ended.exit_code == 128 + signal.SIGKILL
    assert ended.oom_kills >= 1
    assert (tmp_path / "job" / "logs.txt").read_text().startswith("start\n")
    assert not any(Path(group["path"]).exists() for group in limits["groups"])


@pytest.mark.skipif(not SUPPORT.pids_group, reason="; ".join(SUPPORT.reasons))
async def test_processes_and_cpu_are_limited_in_their_groups(tmp_path: Path) -> None:
    limits = plan(Limits(cpu=0.5, pids=4), f"test-{tmp_path.name}", SUPPORT)
    line = "cat /proc/self/cgroup; for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait"
    async with ShimHost() as host:
        client = await host.start(tmp_path / "job", Job(shell=line, env=ENV, limits=limits))
        await client.wait()
    log = (tmp_path / "job" / "logs.txt").read_text()
    assert f"spice-tui.test-{tmp_path.name}" in log
    assert "fork" in log
    assert not any(Path(group["path"]).exists() for group in limits["groups"])


async def test_memory_without_control_groups(tmp_path: Path) -> None:
    limits = plan(Limits(memory_bytes=200 * 2**20), "test", NO_GROUPS)
    async with ShimHost() as host:
        job = Job(argv=(sys.executable, "-c", EAT), env=ENV, limits=limits)
        ended = await (await host.start(tmp_path / "job", job)).wait()
    assert ended.exit_code == 1
    assert "MemoryError" in (tmp_path / "job" / "logs.txt").read_text()
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


async def test_a_limit_that_cannot_be_set_refuses_the_job(tmp_path: Path) -> None:
    limits = {"groups": [{"path": "/proc/nowhere/group", "writes": []}]}
    async with ShimHost() as host:
        client = await host.start(tmp_path / "job", Job(shell="true", env=ENV, limits=limits))
        ended = await client.wait()
    assert (ended.exit_code, ended.reason) == (126, "not started")
    assert "cannot set its limits" in ended.message


async def test_a_gang_gets_all_or_nothing(tmp_path: Path) -> None:
    async with ShimHost() as host:
        here = LocalPlacement(host, capacity=Resources(cpu=4, memory_bytes=2**30, slots=4))
        gang = here.reserve([Resources(cpu=1)] * 3)
        with pytest.raises(Overloaded, match="1 slots, 1 cores"):
            here.reserve([Resources(cpu=1)] * 2)
        assert here.free() == Resources(cpu=1, memory_bytes=2**30, slots=1)
        with pytest.raises(InvalidRequest):
            here.reserve([Resources(cpu=1)] * 5)
        with pytest.raises(InvalidRequest):
            here.reserve([Resources(cpu=1), Resources(memory_bytes=2**31)])
        here.release(gang)
        here.release(gang)
        assert here.free() == here.capacity()
        with pytest.raises(Conflict):
            await here.start(gang, 0, tmp_path / "job", Job(shell="true", env=ENV))
        with pytest.raises(InvalidRequest):
            here.reserve([])


async def test_a_placed_job_from_start_to_end(tmp_path: Path) -> None:
    async with ShimHost() as host:
        here = LocalPlacement(host, support=NO_GROUPS)
        room = here.reserve([Resources(memory_bytes=2**28)])
        job = Job(shell="echo up; sleep 60", env=ENV)
        placed = await here.start(room, 0, tmp_path / "job", job)
        while await here.logs(placed, 0, 100) != b"up\n":  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
        assert await here.logs(placed, 1, 1) == b"p"
        beat = await here.heartbeat(placed)
        assert beat.running_s > 0
        assert not beat.stopping
        await here.signal(placed, signal.SIGCONT)
        await here.stop(placed, grace_s=5)
        ended = await here.wait(placed)
        assert ended.reason == "stopped"
        assert await here.wait(placed) == ended
        with pytest.raises(Conflict):
            await here.heartbeat(placed)
        assert await here.find(tmp_path / "job") == Exited(ended)


async def test_another_engine_finds_a_placed_job(tmp_path: Path) -> None:
    async with ShimHost() as first:
        here = LocalPlacement(first)
        room = here.reserve([Resources()])
        before = await here.start(room, 0, tmp_path / "job", Job(shell="sleep 60", env=ENV))
    async with ShimHost() as second:
        there = LocalPlacement(second)
        placed = await there.find(tmp_path / "job")
        assert placed == before
        assert isinstance(placed, Placed)
        await there.stop(placed, grace_s=0)
        assert (await there.wait(placed)).signal == signal.SIGKILL
        (tmp_path / "empty").mkdir()
        assert await there.find(tmp_path / "empty") == NeverStarted()


def test_this_machine_has_something() -> None:
    here = this_machine()
    assert here.cpu >= 1
    assert here.memory_bytes > 2**28
