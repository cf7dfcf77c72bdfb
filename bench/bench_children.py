"""What 1,000 children cost: starts a second, time of a start, and how late the loop ever is.

`python bench/bench_children.py [--count N] [--at-once N] [--json]`. Two loads: children that do
nothing (`true`), and children that live for 0.2 s. The loop's lag is how much later than asked a
10 ms timer fires; the same is measured idle first, for this machine's own noise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from spice_engine.workers.pool import ChildPool
from spice_engine.workers.shims import Job, ShimHost

TICK = 0.01
ENV = {"PATH": "/usr/bin:/bin"}


class Lag:
    """Samples the loop's lag while it is entered."""

    def __init__(self) -> None:
        self.samples: list[float] = []

    async def __aenter__(self) -> Lag:
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _sample(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            self.samples.append(time.perf_counter() - began - TICK)

    def figures(self) -> dict[str, float]:
        return {f"lag_{name}_ms": value for name, value in spread(self.samples).items()}


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and largest, in milliseconds."""
    ordered = sorted(seconds) or [0.0]
    picks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)
        for name, share in picks.items()
    }


async def children(root: Path, job: Job, count: int, at_once: int) -> dict[str, float]:
    starts: list[float] = []
    wholes: list[float] = []
    room = asyncio.Semaphore(at_once)

    async def one(host: ShimHost, number: int) -> None:
        async with room:
            began = time.perf_counter()
            client = await host.start(root / str(number), job)
            starts.append(time.perf_counter() - began)
            ended = await client.wait()
            wholes.append(time.perf_counter() - began)
            assert ended.exit_code == 0, ended

    async with ShimHost() as host:
        await one(host, count)
        starts.clear()
        wholes.clear()
        async with Lag() as lag:
            began = time.perf_counter()
            await asyncio.gather(*(one(host, number) for number in range(count)))
            seconds = time.perf_counter() - began
    return {
        "per_second": round(count / seconds, 1),
        **{f"start_{name}_ms": value for name, value in spread(starts).items()},
        **{f"whole_{name}_ms": value for name, value in spread(wholes).items()},
        **lag.figures(),
    }


async def one_after_another(root: Path, count: int) -> dict[str, float]:
    return await children(root, Job(argv=("true",), env=ENV), count, 1)


async def idle(_root: Path) -> dict[str, float]:
    async with Lag() as lag:
        await asyncio.sleep(3)
    return lag.figures()


async def calls(root: Path) -> dict[str, float]:
    """Round trips of a warm child: `nonsense` is refused by it, which is the least it can do."""
    from spice_engine.errors import ProtocolError

    pool = ChildPool("loader", "spice_engine.data.loader", 1, folder=root)
    took: list[float] = []
    began = time.perf_counter()
    await pool.warm()
    warm = time.perf_counter() - began
    for _ in range(1000):
        began = time.perf_counter()
        try:
            await pool.call("nonsense", {})
        except ProtocolError:
            took.append(time.perf_counter() - began)
    await pool.close()
    return {"warm_ms": round(1000 * warm, 1), **spread(took)}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count, at_once = options.count, options.at_once
    loads: dict[str, Callable[[Path], Awaitable[dict[str, Any]]]] = {
        "idle": idle,
        "true, one at a time": lambda root: one_after_another(root, 100),
        f"true x {count}": lambda root: children(
            root, Job(argv=("true",), env=ENV), count, at_once
        ),
        f"sleep 0.2 x {count}": lambda root: children(
            root, Job(argv=("sleep", "0.2"), env=ENV), count, at_once
        ),
        "warm child, round trip": calls,
    }
    report: dict[str, dict[str, Any]] = {}
    for name, load in loads.items():
        with tempfile.TemporaryDirectory() as folder:
            report[name] = await load(Path(folder))
        if not options.json:
            print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in report[name].items()))
    if options.json:
        json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    uvloop.run(main())
