"""Deadlines and delays inside a process count monotonic seconds, whatever the wall clock says."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.errors import DeadlineExceeded
from spice_engine.loop_lag import LoopLag
from spice_engine.workers.jobs import Job
from spice_engine.workers.pool import ChildPool
from spice_engine.workers.shims import ShimHost

DAY = 86_400.0


@pytest.fixture
def wild_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is a day ahead at one look and two days behind at the next."""
    real, jumps = time.time, itertools.cycle((DAY, -2 * DAY, 0.0))
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))


@pytest.fixture
async def host() -> AsyncIterator[ShimHost]:
    async with ShimHost() as made:
        yield made


@pytest.mark.usefixtures("wild_clock")
async def test_the_lag_of_a_loop_that_is_in_time_stays_small() -> None:
    lag = LoopLag()
    lag.start()
    await asyncio.sleep(0.3)
    lag.stop()
    assert lag.samples >= 2
    assert lag.max < 60


@pytest.mark.usefixtures("wild_clock")
async def test_a_childs_deadline_is_as_long_as_it_was_said_to_be(tmp_path: Path) -> None:
    pool = ChildPool("query", "spice_engine.workers.query", 1, folder=tmp_path, idle_seconds=60)
    endless = {
        "state": str(tmp_path),
        "limit": 1,
        "sql": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT max(i) FROM n",
    }
    try:
        await pool.warm()
        (pid,) = pool.pids
        for name in ("engine.db", "metrics.db"):
            (tmp_path / name).touch()
        begin = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await pool.call("query", endless, deadline=0.4)
        assert time.monotonic() - begin >= 0.4
        answer = await pool.call("query", {**endless, "sql": "SELECT 1"}, deadline=60)
        assert answer["rows"] == [[1]]
        assert pool.pids != [pid]
    finally:
        await pool.close()


@pytest.mark.usefixtures("wild_clock")
async def test_a_jobs_stop_waits_for_its_grace(host: ShimHost, tmp_path: Path) -> None:
    job = Job(
        argv=("/bin/sh", "-c", "trap '' TERM; sleep 60 & wait; sleep 60"), env={"PATH": "/bin"}
    )
    client = await host.start(tmp_path / "job", job)
    await asyncio.sleep(0.2)
    begin = time.monotonic()
    await client.stop(grace_s=0.5)
    exit_ = await client.wait()
    assert time.monotonic() - begin >= 0.5
    assert (exit_.reason, exit_.signal) == ("stopped", 9)
