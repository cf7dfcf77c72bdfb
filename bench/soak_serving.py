"""Twenty minutes of a server's life at 1,000 requests a second: updates, kills, scaling.

    python bench/soak_serving.py [--minutes 20] [--out docs/benchmarks]

Every second something happens that must not be noticed: a rolling update, `kill -9` of a
replica, more or fewer replicas. Nothing may fail, and nothing may be left: the engine's memory,
files, sockets and threads, and the processes below it, are counted all along. Exits 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import serving_report
from serving_load import ECHO, Clients, conditions, pss_mib
from serving_world import World, world

Figures = dict[str, Any]


def counts(there: World) -> dict[str, float]:
    """What the engine holds now."""
    process = psutil.Process(there.pid)
    with process.oneshot():
        return {
            "pss": pss_mib([there.pid]),
            "files": process.num_fds(),
            "threads": process.num_threads(),
            "processes": len(process.children(recursive=True)),
            "sockets": len(process.net_connections(kind="unix")),
        }


async def trouble(there: World, until: float, done: dict[str, int]) -> None:
    """Something every few seconds, one after another."""
    number = 0
    while time.monotonic() < until:
        number += 1
        kind = ("update", "kill", "up", "kill", "down")[number % 5]
        if kind == "kill":
            workers = await asyncio.to_thread(there.workers, "soak")
            if len(workers) > 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.choice(workers), signal.SIGKILL)
        else:
            pods = {"up": 4, "down": 2}.get(kind)
            change: Figures = {"description": f"change {number}"}
            if pods:
                change = {"scaling": {"min_pods": pods, "max_pods": pods}}
            request = {"server": "soak", "changes": change, "wait": True}
            await asyncio.to_thread(there.call, "servers.update", request)
        done[kind] = done.get(kind, 0) + 1
        await asyncio.sleep(2)


def soak(minutes: float) -> Figures:
    """The figures of one soak."""
    done: dict[str, int] = {}
    seen: list[dict[str, float]] = []
    with world() as there:
        there.serve("soak", "echo", scaling={"min_pods": 2, "max_pods": 2})
        host, port = there.address

        async def measure() -> Clients:
            path = "/servers/soak/predict"
            async with Clients(host, port, path, ECHO, clients=32, rate=1000) as clients:
                until = time.monotonic() + 60 * minutes
                making = asyncio.create_task(trouble(there, until, done))
                while not making.done():
                    await asyncio.sleep(5)
                    seen.append(await asyncio.to_thread(counts, there))
                await making
            return clients

        outcome = asyncio.run(measure()).outcome
        time.sleep(15)
        last = counts(there)
    third = max(1, len(seen) // 3)
    first, end = seen[third : 2 * third] or seen, seen[-third:]
    middle = {key: statistics.median(one[key] for one in first) for key in last}
    late = {key: statistics.median(one[key] for one in end) for key in last}
    leaks = [
        f"{key} {middle[key]:.0f} → {late[key]:.0f}"
        for key in ("files", "threads", "processes", "sockets")
        if late[key] > middle[key] * 1.1 + 4
    ]
    return {
        "minutes": minutes,
        "requests": sum(outcome.statuses.values()),
        "failed": outcome.failed(),
        "p99_ms": outcome.percentile(0.99),
        "done": done,
        "pss_begin_mib": round(middle["pss"], 1),
        "pss_end_mib": round(late["pss"], 1),
        "pss_flat": late["pss"] < middle["pss"] * 1.05 + 2,
        "leaks": leaks,
        "last": last,
        "trouble": outcome.trouble[:10],
    }


def main() -> int:
    """Soak, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = soak(options.minutes)
    print(json.dumps(found, indent=2))
    if options.out:
        serving_report.write({"conditions": conditions(), "soak": found}, options.out)
    return 1 if found["failed"] or found["leaks"] or not found["pss_flat"] else 0


if __name__ == "__main__":
    sys.exit(main())
