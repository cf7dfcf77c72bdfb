"""The pool of warm children, with real children: calls, deaths, deadlines, cancellation, ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import uvloop

from spice_engine.errors import (
    ChildFailed,
    DeadlineExceeded,
    InvalidManifest,
    InvalidRewards,
    Overloaded,
    Place,
    ProtocolError,
)
from spice_engine.workers.arrays import ArrayRef, load, save
from spice_engine.workers.pool import ChildPool
from spice_runtime import process

MODULE = "tests.integration.children_worker"


def make(tmp_path: Path, size: int = 1, **more: Any) -> ChildPool:
    return ChildPool("worker", MODULE, size, folder=tmp_path / "trainers", **more)


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[ChildPool]:
    pool = make(tmp_path)
    yield pool
    await pool.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a process has no event to wait for
            await asyncio.sleep(0.01)


async def test_calls_go_to_a_child_that_stays_warm(
    pool: ChildPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    first = await pool.call("about", {})
    second = await pool.call("about", {})
    assert first["pid"] == second["pid"] != os.getpid()
    assert first["nice"] >= 10
    assert first["omp"] == "1"
    assert first["secret"] is None
    assert first["session"] == first["pid"]
    # Nothing of the current folder or the script's: a user's file can't stand for a module.
    assert "" not in first["path"]
    assert await pool.call("echo", {"value": {"a": [1, 2.5, b"x", None]}}) == {
        "a": [1, 2.5, b"x", None]
    }
    stats = pool.stats()
    assert (stats.alive, stats.busy, stats.starts, stats.calls) == (1, 0, 1, 3)


async def test_a_pool_has_no_more_children_than_its_size(tmp_path: Path) -> None:
    pool = make(tmp_path, 2, env={"EXTRA": "yes"}, threads=3)
    await pool.warm()
    assert len(pool.pids) == 2
    answers = await asyncio.gather(*(pool.call("about", {}) for _ in range(8)))
    assert {answer["pid"] for answer in answers} <= set(pool.pids)
    assert {(answer["extra"], answer["omp"]) for answer in answers} == {("yes", "3")}
    assert pool.stats().starts == 2
    pids = pool.pids
    await pool.close()
    assert all(process.identity(pid) == "" for pid in pids)
    with pytest.raises(ChildFailed, match="closed"):
        await pool.call("echo", {"value": 1})


async def test_progress_comes_in_order_before_the_result(pool: ChildPool) -> None:
    heard: list[Any] = []
    assert await pool.call("steps", {"count": 500}, on_progress=heard.append) == 500
    assert heard == [{"step": number} for number in range(500)]


async def test_a_listener_that_fails_fails_the_call_alone(pool: ChildPool) -> None:
    def listener(data: Any) -> None:
        raise LookupError("the screen is gone")

    with pytest.raises(LookupError, match="the screen is gone"):
        await pool.call("steps", {"count": 10_000, "seconds": 0.01}, on_progress=listener)
    assert await pool.call("echo", {"value": 1}) == 1
    assert pool.stats().starts == 1


async def test_errors_come_back_as_what_they_were(pool: ChildPool) -> None:
    with pytest.raises(InvalidRewards) as rewards:
        await pool.call("fail", {"how": "rewards"})
    assert rewards.value.message == "no such field"
    assert rewards.value.hint == "Use price."
    assert rewards.value.place == Place("pod.yaml", 12, 3, 12, 9)
    with pytest.raises(InvalidManifest) as manifest:
        await pool.call("fail", {"how": "manifest"})
    assert manifest.value.problems == ({"code": "a"}, {"code": "b"})
    with pytest.raises(InvalidRewards, match="odd"):
        await pool.call("fail", {"how": "odd"})
    with pytest.raises(ChildFailed) as other:
        await pool.call("fail", {"how": "other"})
    assert "ZeroDivisionError: by nothing" in other.value.message
    assert "children_worker.py:" in other.value.message
    with pytest.raises(ChildFailed, match="SystemExit: enough"):
        await pool.call("fail", {"how": "exit"})
    with pytest.raises(ProtocolError, match="no method 'nonsense'"):
        await pool.call("nonsense", {})
    for how in ("large", "unsendable"):
        with pytest.raises(ProtocolError):
            await pool.call("fail", {"how": how})
    with pytest.raises(ProtocolError):
        await pool.call("echo", {"value": object()})
    # None of that cost the child.
    assert pool.stats().starts == 1


async def test_a_dead_child_fails_its_own_call_only(tmp_path: Path) -> None:
    pool = make(tmp_path, 2)
    await pool.warm()
    other = asyncio.create_task(pool.call("steps", {"count": 20, "seconds": 0.01}))
    with pytest.raises(ChildFailed) as killed:
        await pool.call("die", {})
    assert "SIGKILL while it did 'die'" in killed.value.message
    assert "these are my last words" in killed.value.hint
    assert await other == 20
    with pytest.raises(ChildFailed, match="exit code 3 while it did 'leave'"):
        await pool.call("leave", {})
    values = [pool.call("echo", {"value": number}) for number in range(4)]
    assert await asyncio.gather(*values) == [0, 1, 2, 3]
    assert pool.stats().deaths == 2
    await pool.close()


async def test_an_idle_child_that_is_killed_is_replaced(pool: ChildPool) -> None:
    await pool.warm()
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pool.stats().alive == 0)
    assert (await pool.call("about", {}))["pid"] != pid


async def test_a_deadline_kills_the_child_and_frees_its_place(pool: ChildPool) -> None:
    await pool.warm()
    (pid,) = pool.pids
    with pytest.raises(DeadlineExceeded, match=r"0\.2 s"):
        await pool.call("hang", {}, deadline=0.2)
    await until(lambda: process.identity(pid) == "")
    assert await pool.call("echo", {"value": 2}) == 2


async def test_cancelling_a_willing_call_keeps_the_child(pool: ChildPool) -> None:
    heard: list[Any] = []
    params = {"count": 100_000, "seconds": 0.001}
    call = asyncio.create_task(pool.call("steps", params, on_progress=heard.append))
    await until(lambda: len(heard) > 3)
    (pid,) = pool.pids
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await pool.call("about", {}))["pid"] == pid


async def test_cancelling_a_deaf_call_kills_the_child(pool: ChildPool) -> None:
    heard: list[Any] = []
    call = asyncio.create_task(pool.call("hang", {}, on_progress=heard.append))
    await until(lambda: bool(heard))
    (pid,) = pool.pids
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await pool.call("about", {}))["pid"] != pid
    assert process.identity(pid) == ""


async def test_cancelling_while_a_child_starts_leaves_it_to_the_next(pool: ChildPool) -> None:
    call = asyncio.create_task(pool.call("echo", {"value": 1}))
    await until(lambda: bool(pool.stats().starts))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: bool(pool.pids))
    assert await pool.call("echo", {"value": 1}) == 1
    assert pool.stats().alive == 1


async def test_the_waiting_line_is_bounded(tmp_path: Path) -> None:
    pool = make(tmp_path, max_waiting=2)
    calls = [asyncio.create_task(pool.call("steps", {"count": 3, "seconds": 0.1}))]
    await until(lambda: pool.stats().busy == 1)
    calls += [asyncio.create_task(pool.call("echo", {"value": n})) for n in range(2)]
    await until(lambda: pool.stats().waiting == 2)
    with pytest.raises(Overloaded):
        await pool.call("echo", {"value": 9})
    assert await asyncio.gather(*calls) == [3, 0, 1]
    await pool.close()


async def test_idle_children_leave_and_come_back(tmp_path: Path) -> None:
    pool = make(tmp_path, idle_seconds=0.1)
    first = (await pool.call("about", {}))["pid"]
    await until(lambda: pool.stats().alive == 0)
    assert process.identity(first) == ""
    assert (await pool.call("about", {}))["pid"] != first
    assert pool.stats().deaths == 0
    await pool.close()


async def test_a_child_that_cannot_get_ready_says_why(tmp_path: Path) -> None:
    pool = ChildPool("worker", "tests.integration.no_such_module", 1, folder=tmp_path)
    with pytest.raises(ChildFailed) as failed:
        await pool.call("echo", {"value": 1})
    assert "exit code 1 before it was ready" in failed.value.message
    assert "no_such_module" in failed.value.hint
    with pytest.raises(ChildFailed):
        await pool.warm()
    await pool.close()


async def test_close_ends_what_is_at_work(tmp_path: Path) -> None:
    pool = make(tmp_path, 2)
    heard: list[Any] = []
    busy = asyncio.create_task(pool.call("hang", {}, on_progress=heard.append))
    await until(lambda: bool(heard))
    starting = asyncio.create_task(pool.call("hang", {}))
    await asyncio.sleep(0)
    await pool.close()
    for call in (busy, starting):
        with pytest.raises(ChildFailed):
            await call
    assert pool.stats().alive == 0
    await until(lambda: not psutil.Process().children())


async def test_arrays_travel_as_files(pool: ChildPool, tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    params = {"array": save(tmp_path, array).as_dict(), "folder": str(tmp_path)}
    doubled = load(ArrayRef.from_dict(await pool.call("double", params)))
    np.testing.assert_array_equal(doubled, array * 2)


async def test_a_chattering_child_does_not_fill_the_disk(pool: ChildPool, tmp_path: Path) -> None:
    assert await pool.call("chatter", {})
    log = tmp_path / "trainers" / "worker-0.log"
    await pool.call("echo", {"value": 1})
    assert log.stat().st_size < 2**20


async def test_memory_is_bounded_for_each_child(tmp_path: Path) -> None:
    pool = make(tmp_path, memory_bytes=2**30)
    assert await pool.call("eat", {"bytes": 2**20}) == 2**20
    with pytest.raises(ChildFailed, match="MemoryError"):
        await pool.call("eat", {"bytes": 2**31})
    assert await pool.call("echo", {"value": 1}) == 1
    await pool.close()


ENGINE = """
import asyncio, sys
from pathlib import Path
from spice_engine.workers.pool import ChildPool

async def main():
    pool = ChildPool("worker", sys.argv[2], 2, folder=Path(sys.argv[1]))
    await pool.warm()
    busy = asyncio.create_task(pool.call("hang", {}))
    print(*pool.pids, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_children_do_not_outlive_a_killed_engine(tmp_path: Path) -> None:
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, tmp_path, MODULE, stdout=asyncio.subprocess.PIPE
    )
    assert engine.stdout is not None
    pids = [int(pid) for pid in (await engine.stdout.readline()).split()]
    assert len(pids) == 2
    engine.kill()
    await engine.wait()
    await until(lambda: all(process.identity(pid) == "" for pid in pids))
    # The pipe's transport is closed by its end, which the loop has to see.
    await engine.stdout.read()


async def test_no_descriptor_is_lost_over_many_children(tmp_path: Path) -> None:
    pool = make(tmp_path)
    await pool.call("echo", {"value": 1})
    me = psutil.Process()
    before = me.num_fds()
    for _ in range(5):
        with pytest.raises(ChildFailed):
            await pool.call("die", {})
    await pool.call("echo", {"value": 1})
    await until(lambda: me.num_fds() <= before)
    await pool.close()


def test_all_of_it_on_uvloop_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        pool = make(tmp_path, 2)
        await pool.warm()
        heard: list[Any] = []
        assert await pool.call("steps", {"count": 100}, on_progress=heard.append) == 100
        assert len(heard) == 100
        with pytest.raises(ChildFailed, match="SIGKILL"):
            await pool.call("die", {})
        with pytest.raises(DeadlineExceeded):
            await pool.call("hang", {}, deadline=0.1)
        call = asyncio.create_task(pool.call("steps", {"count": 10_000, "seconds": 0.001}))
        await until(lambda: pool.stats().busy == 1)
        call.cancel()
        assert await pool.call("echo", {"value": "x" * 2**20}) == "x" * 2**20
        await pool.close()

    uvloop.run(scenario())


async def test_a_worker_is_not_a_command() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", MODULE, stderr=asyncio.subprocess.PIPE
    )
    _, said = await child.communicate()
    assert child.returncode == 1
    assert b"worker of the engine" in said
