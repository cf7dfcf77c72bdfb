"""Runs inside the engine: how soon one starts and is over, how many a second, how lists answer.

    python bench/runs_life.py [--only NAME ...] [--json FILE] [--runs N] [--finished N]

Each figure is taken against a fresh engine on a folder of its own. The conditions (cores, load,
Python) are printed with them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spice_engine.protocol.location import Location, locate
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_tui.async_client import AsyncClient
from spice_tui.client import Client
from spice_tui.launch import start_engine

Figures = dict[str, Any]
FILES = 50
"""In the folder that runs get a copy of."""


@contextmanager
def folder() -> Iterator[Location]:
    """An app folder with some files."""
    root = Path(tempfile.mkdtemp(prefix="bench-runs-")).resolve()
    for number in range(FILES):
        path = root / f"part{number % 5}" / f"file{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"value = {number}\n" * 20)
    try:
        yield locate(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def engine(location: Location) -> Iterator[None]:
    """An engine on the folder; stopped with its runs afterwards."""
    start_engine(location, ["--http-port", "0"])
    try:
        yield
    finally:
        with Client(location) as client:
            client.call("engine.stop", {"runs": "stop"})
        deadline = time.monotonic() + 30
        while location.socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)


def one(count: int = 40) -> Figures:
    """`run true` on a copy of the folder, nothing new in it: asked → runs, asked → over."""
    begins: list[float] = []
    ends: list[float] = []
    with folder() as location, engine(location), Client(location) as client:
        for number in range(count + 5):
            asked = time.time()
            run = client.call("runs.start", {"command": ["true"]})
            while run["ended"] is None or run["state"] != "complete":
                time.sleep(0.002)
                run = client.call("runs.get", {"id": run["id"]})
            # When it is over for whoever asks; `ended` is when its process was.
            if number >= 5:
                begins.append(1000 * (run["started"] - asked))
                ends.append(1000 * (time.time() - asked))
    return {"asked_to_process_ms": _spread(begins), "asked_to_complete_ms": _spread(ends)}


def many(count: int) -> Figures:
    """Runs of `true`, all queued at once on two machines, while a client lists runs."""

    async def measure(location: Location) -> Figures:
        client = await AsyncClient.connect(location)
        lister = await AsyncClient.connect(location)
        taken: list[float] = []
        done = asyncio.Event()

        async def lists() -> None:
            while not done.is_set():
                begin = time.perf_counter()
                await lister.call("runs.list", {"number": 50})
                taken.append(1000 * (time.perf_counter() - begin))
                await asyncio.sleep(0.02)

        listing = asyncio.create_task(lists())
        begin = time.perf_counter()
        request = {"command": ["true"], "machine_type": "cpu-big"}
        some = asyncio.Semaphore(64)

        async def start() -> None:
            async with some:
                await client.call("runs.start", request)

        await asyncio.gather(*(start() for _ in range(count)))
        queued = time.perf_counter() - begin
        while (await client.call("engine.status"))["active_runs"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        seconds = time.perf_counter() - begin
        done.set()
        await listing
        lag = (await client.call("engine.status"))["loop_lag"]
        await client.close()
        await lister.close()
        return {
            "runs": count,
            "queued_s": round(queued, 2),
            "runs_per_s": round(count / seconds, 1),
            "ps_ms": _spread(taken),
            "loop_lag_ms": lag,
        }

    import uvloop

    with folder() as location, engine(location):
        return uvloop.run(measure(location))


def listed(count: int) -> Figures:
    """`ps` and other lists over very many finished runs."""

    async def fill(path: Path) -> None:
        database = await Database.open(path, migrations="engine")
        for start in range(0, count, 5000):
            numbers = range(start, min(start + 5000, count))

            def add(connection: Any, numbers: range = numbers) -> None:
                for number in numbers:
                    row = table.create(
                        connection,
                        kind="run",
                        command=["true"],
                        created=1.0 + number,
                        state="requested",
                        params={"lr": f"0.{number % 1000}"},
                        labels=[f"l{number % 100}"],
                    )
                    state = "complete" if number % 10 else "stopped"
                    table.set_state(
                        connection,
                        row.id,
                        state,
                        outcome="success",
                        started=1.0,
                        ended=2.0 + number,
                    )

            await database.write(add)
        await database.close()

    asks: dict[str, Figures] = {
        "newest": {},
        "by_state": {"states": ["stopped"]},
        "by_label": {"labels": ["l7"]},
        "by_duration": {"sort": "duration", "descending": True},
        "by_parameter": {"params": ["lr<0.01"]},
        "sorted_by_parameter": {"sort": "param:lr"},
    }
    found: Figures = {"runs": count}
    with folder() as location:
        location.state.mkdir(parents=True, exist_ok=True)
        asyncio.run(fill(location.state / "engine.db"))
        with engine(location), Client(location) as client:
            for name, request in asks.items():
                taken: list[float] = []
                for _ in range(7):
                    begin = time.perf_counter()
                    client.call("runs.list", {"number": 50, **request})
                    taken.append(1000 * (time.perf_counter() - begin))
                found[f"{name}_ms"] = _spread(taken)
            command = [
                str(Path(sys.executable).with_name("spice-tui")),
                "-C",
                str(location.root),
                "ps",
            ]
            taken = []
            for _ in range(7):
                begin = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                taken.append(1000 * (time.perf_counter() - begin))
            found["ps_command_ms"] = _spread(taken)
    return found


def _spread(values: list[float]) -> Figures:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
    }


def main() -> None:
    """Take the figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=["one", "many", "listed"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--finished", type=int, default=100_000)
    given = parser.parse_args()
    benches: dict[str, Callable[[], Figures]] = {
        "one": one,
        "many": lambda: many(given.runs),
        "listed": lambda: listed(given.finished),
    }
    figures: Figures = {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
    }
    for name, bench in benches.items():
        if not given.only or name in given.only:
            figures[name] = bench()
            print(name, json.dumps(figures[name], indent=1), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
