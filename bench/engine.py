"""The engine's own figures: start, doors, group commit, loop lag under children, idle cost.

    python bench/engine.py [--only NAME ...] [--json FILE]

Each figure is taken against a fresh engine on an empty folder of its own. Rates are medians of
several windows; the conditions (cores, load, Python) are printed with them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from spice_engine.protocol import frames
from spice_engine.protocol.location import Location, locate
from spice_engine.protocol.messages import Kind
from spice_tui.async_client import AsyncClient
from spice_tui.client import Client, hello
from spice_tui.launch import start_engine

Figures = dict[str, Any]


@contextmanager
def engine(*flags: str) -> Iterator[Location]:
    """A fresh engine on an empty folder; stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    location = locate(folder)
    start_engine(location, ["--http-port", "0", *flags])
    try:
        yield location
    finally:
        with Client(location) as client:
            client.call("engine.stop", {"runs": "stop"})
        deadline = time.monotonic() + 30
        while location.socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        shutil.rmtree(folder, ignore_errors=True)


def pid_of(location: Location) -> int:
    """The engine's process."""
    with Client(location) as client:
        return int(client.call("engine.status")["pid"])


def pss(pid: int) -> float:
    """Proportional set size of one process, MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return round(kib / 1024, 1)


def start() -> Figures:
    """From spawning the process to a 200 on /health, and to the first private answer."""
    health: list[float] = []
    for _ in range(7):
        folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
        location = locate(folder)
        begin = time.perf_counter()
        answer = start_engine(location, ["--http-port", "0"])
        with urllib.request.urlopen(f"{answer['http']}/health") as reply:
            assert reply.read().strip() == b"ok"
        health.append(time.perf_counter() - begin)
        with Client(location) as client:
            client.call("engine.stop")
        while location.socket.exists():
            time.sleep(0.01)
        time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)
    return {"start_to_health_s": {"median": _median(health), "max": round(max(health), 3)}}


def private_door() -> Figures:
    """Requests per second over one connection, pipelined, from one client process."""

    async def measure(location: Location) -> list[float]:
        client = await AsyncClient.connect(location)
        rates: list[float] = []

        async def caller(count: int) -> None:
            for _ in range(count):
                await client.call("engine.ping")

        await asyncio.gather(*(caller(50) for _ in range(64)))
        for _ in range(5):
            begin = time.perf_counter()
            await asyncio.gather(*(caller(400) for _ in range(64)))
            rates.append(64 * 400 / (time.perf_counter() - begin))
        await client.close()
        return rates

    with engine() as location:
        import uvloop

        rates = uvloop.run(measure(location))
        with Client(location) as client:
            begin = time.perf_counter()
            for _ in range(3000):
                client.call("engine.ping")
            single = (time.perf_counter() - begin) / 3000
    return {
        "requests_per_s": {"median": round(statistics.median(rates)), "best": round(max(rates))},
        "blocking_round_trip_us": round(single * 1e6, 1),
    }


def group_commit() -> Figures:
    """Acknowledged writes per second from 16 clients, each on its own connection."""

    async def measure(location: Location, clients: int) -> list[float]:
        connections = [await AsyncClient.connect(location) for _ in range(clients)]
        rates: list[float] = []

        async def writer(client: AsyncClient, count: int) -> None:
            run = (await client.call("runs.start", {"command": ["true"]}))["id"]
            for k in range(count):
                change = {"id": run, "add": [f"l{k}"], "remove": [f"l{k - 1}"]}
                await client.call("runs.label", change)

        for _ in range(5):
            begin = time.perf_counter()
            await asyncio.gather(*(writer(c, 400) for c in connections))
            rates.append(clients * 400 / (time.perf_counter() - begin))
        for connection in connections:
            await connection.close()
        return rates

    import uvloop

    with engine() as location:
        sixteen = uvloop.run(measure(location, 16))
    with engine() as location:
        one = uvloop.run(measure(location, 1))
    return {
        "writes_per_s_16_clients": {"median": round(statistics.median(sixteen))},
        "writes_per_s_1_client": {"median": round(statistics.median(one))},
    }


def children() -> Figures:
    """Loop lag and memory while 1,000 children come and go and 10 subscribers follow."""

    async def measure(location: Location, pid: int) -> Figures:
        process = psutil.Process(pid)
        before = process.memory_info().rss
        stalled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stalled.connect(str(location.socket))
        stalled.sendall(hello("stalled"))
        for id_, topic in enumerate(("runs", "engine", "pods"), start=1):
            stalled.sendall(frames.encode([Kind.SUBSCRIBE, id_, topic, {}]))
        followers = [await AsyncClient.connect(location) for _ in range(9)]
        seen = [0] * len(followers)

        async def follow(index: int) -> None:
            async for _ in followers[index].subscribe("runs"):
                seen[index] += 1

        tasks = [asyncio.create_task(follow(k)) for k in range(len(followers))]
        client = await AsyncClient.connect(location)
        gate = asyncio.Semaphore(32)
        begin = time.perf_counter()

        async def one(number: int) -> None:
            async with gate:
                command = ["sleep", "0.2"] if number % 2 else ["true"]
                await client.call("runs.start", {"command": command})

        await asyncio.gather(*(one(k) for k in range(1000)))
        started = time.perf_counter() - begin
        while (await client.call("engine.status"))["active_runs"]:  # noqa: ASYNC110 - a poll
            await asyncio.sleep(0.1)
        total = time.perf_counter() - begin
        status = await client.call("engine.status")
        rows = await client.call(
            "store.query", {"sql": "SELECT state, count(*) FROM runs GROUP BY state"}
        )
        peak = process.memory_info().rss
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stalled.close()
        return {
            "children_started_per_s": round(1000 / started),
            "all_ended_s": round(total, 2),
            "states": dict(rows["rows"]),
            "loop_lag_ms": status["loop_lag"],
            "rss_before_mib": round(before / 2**20, 1),
            "rss_after_mib": round(peak / 2**20, 1),
            "events_per_follower": round(statistics.mean(seen)),
        }

    with engine() as location:
        return asyncio.run(measure(location, pid_of(location)))


def command_line() -> Figures:
    """Wall time of commands against a running engine, medians of 9."""
    program = Path(sys.executable).with_name("spice-tui")
    with engine() as location:
        figures: Figures = {}
        for words in (["version"], ["ps", "--json"], ["pods", "list", "--json"]):
            times: list[float] = []
            for _ in range(10):
                begin = time.perf_counter()
                command = [str(program), "--folder", str(location.root), *words]
                subprocess.run(command, check=True, capture_output=True)
                times.append(time.perf_counter() - begin)
            figures[" ".join(words) + " s"] = _median(times[1:])
    return figures


def idle() -> Figures:
    """CPU share and memory of a bare engine that nobody uses."""
    with engine() as location:
        process = psutil.Process(pid_of(location))
        time.sleep(2)
        before = sum(process.cpu_times()[:2])
        begin = time.monotonic()
        time.sleep(15)
        share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - begin)
        family = {
            " ".join(child.cmdline()[-2:])[-60:]: pss(child.pid)
            for child in process.children(recursive=True)
        }
        return {
            "cpu_percent": round(100 * share, 2),
            "engine_pss_mib": pss(process.pid),
            "children_pss_mib": family,
        }


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


SECTIONS: dict[str, Callable[[], Figures]] = {
    "start": start,
    "private_door": private_door,
    "group_commit": group_commit,
    "children": children,
    "command_line": command_line,
    "idle": idle,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: Figures = {
        "conditions": {
            "cores": os.cpu_count(),
            "load_average": [round(item, 2) for item in os.getloadavg()],
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        }
    }
    for name in options.only:
        figures[name] = SECTIONS[name]()
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
