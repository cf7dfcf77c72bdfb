"""Kill the engine at random moments under a mixed load, and check that nothing accepted is lost.

    python bench/kill_storm.py --rounds 100 --seed 1

Load: labels and metric points posted over both doors, runs started and left to end with known
exit codes, subscriptions followed, the manifest saved now and then. After each `kill -9` the
next engine starts on the same folder while the load goes on. At the end every acknowledged write
must be there, every acknowledged run must have ended with its own exit code, and no process,
socket or temporary file may be left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from spice_engine.errors import EngineUnavailable, SpiceError
from spice_engine.protocol.location import Location, locate
from spice_tui.async_client import AsyncClient
from spice_tui.client import Client, try_connect
from spice_tui.launch import start_engine

MARK = "SPICE_KILL_STORM"


@dataclass
class Ledger:
    """What the engine acknowledged."""

    labels: list[tuple[int, str]] = field(default_factory=list)
    points: int = 0
    runs: dict[int, int] = field(default_factory=dict)
    events: int = 0
    saves: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Storm:
    """One storm over one folder."""

    def __init__(self, location: Location, seed: int) -> None:
        self.location = location
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.over = False
        self.base_run = 0
        self.starts: list[float] = []

    async def connected(self, name: str) -> AsyncClient:
        """A client, however long the engine is away."""
        while True:
            with contextlib.suppress(SpiceError, OSError):
                return await asyncio.wait_for(AsyncClient.connect(self.location, name=name), 10)
            await asyncio.sleep(0.02)

    async def post_labels(self, worker: int) -> None:
        """Unique labels over the private door, one after the other; a fresh run now and then."""
        count, run = 0, self.base_run
        while not self.over:
            client = await self.connected(f"labels-{worker}")
            try:
                while not self.over:
                    count += 1
                    if count % 100 == 1:
                        run = (await client.call("runs.start", {"command": ["true"]}))["id"]
                        self.ledger.runs[run] = 0
                    label = f"w{worker}-{count}"
                    await client.call("runs.label", {"id": run, "add": [label]})
                    self.ledger.labels.append((run, label))
            except SpiceError as error:
                self.ledger.refused[error.code] += 1
            await client.close()

    async def post_over_http(self, worker: int) -> None:
        """Labels and metric points over HTTP, with the token."""
        token = self.location.token.read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        count = 0
        async with aiohttp.ClientSession(headers=headers) as session:
            while not self.over:
                count += 1
                try:
                    base = self.location.http.read_text().strip()
                    run = f"{base}/api/v1/runs/{self.base_run}"
                    label = f"h{worker}-{count}"
                    async with session.post(f"{run}/labels", json={"add": [label]}) as answer:
                        if answer.status == 200:
                            self.ledger.labels.append((self.base_run, label))
                        else:
                            self.ledger.refused[str(answer.status)] += 1
                    points = [{"name": f"m{worker}", "value": count, "index": count}]
                    async with session.post(f"{run}/metrics", json={"points": points}) as answer:
                        if answer.status == 200:
                            self.ledger.points += 1
                        else:
                            self.ledger.refused[str(answer.status)] += 1
                except (aiohttp.ClientError, OSError, ValueError) as error:
                    self.ledger.refused[type(error).__name__] += 1
                    await asyncio.sleep(0.02)

    async def start_runs(self, worker: int) -> None:
        """Runs that end after a while with an exit code we know."""
        rng = random.Random(worker)
        while not self.over:
            client = await self.connected(f"runs-{worker}")
            try:
                while not self.over:
                    code = rng.choice([0, 0, 3, 66])
                    script = f"sleep {rng.uniform(0.0, 1.5):.2f}; echo done; exit {code}"
                    env = {MARK: str(self.location.root)}
                    request = {"command": script, "env": env}
                    info = await client.call("runs.start", request)
                    self.ledger.runs[info["id"]] = code
                    await asyncio.sleep(rng.uniform(0.05, 0.3))
            except SpiceError as error:
                self.ledger.refused[error.code] += 1
            await client.close()

    async def follow(self, topic: str) -> None:
        """A subscriber that comes back after each kill."""
        while not self.over:
            client = await self.connected("follower")
            try:
                async for _ in client.subscribe(topic):
                    self.ledger.events += 1
                    if self.over:
                        break
            except SpiceError:
                pass
            await client.close()

    async def save_manifest(self) -> None:
        """Save the pod's manifest with another seed, so that it trains again."""
        path = self.location.root / "spicepods" / "serverops.yaml"
        text = path.read_text()
        while not self.over:
            await asyncio.sleep(self.random.uniform(0.3, 1.2))
            self.ledger.saves += 1
            beside = path.with_suffix(".new")
            beside.write_text(text.replace("seed: 0", f"seed: {self.ledger.saves}"))
            beside.rename(path)

    def engine_pid(self) -> int:
        """The process that holds the folder now, 0 if none says so."""
        try:
            return int(json.loads(self.location.lock.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return 0

    async def kill_and_start(self, rounds: int) -> None:
        """The storm itself."""
        for number in range(rounds):
            await asyncio.sleep(self.random.uniform(0.0, 1.0))
            pid = self.engine_pid()
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            begin = time.perf_counter()
            if self.random.random() < 0.15:  # also while it starts
                start = asyncio.create_task(asyncio.to_thread(self._start_quietly))
                await asyncio.sleep(self.random.uniform(0.05, 0.4))
                pid = self.engine_pid()
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await start
                begin = time.perf_counter()
            await asyncio.to_thread(self._start_quietly)
            self.starts.append(time.perf_counter() - begin)
            if (number + 1) % 10 == 0:
                print(
                    f"  round {number + 1}: {len(self.ledger.labels)} labels, "
                    f"{len(self.ledger.runs)} runs, {self.ledger.points} points, "
                    f"{self.ledger.events} events",
                    flush=True,
                )

    async def run(self, load: Iterable[Coroutine[Any, Any, None]], rounds: int) -> list[str]:
        """Kill and start again under the load; what went wrong with the load itself."""
        tasks = [asyncio.create_task(work) for work in load]
        await self.kill_and_start(rounds)
        self.over = True
        _, late = await asyncio.wait(tasks, timeout=20)
        for task in late:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        return [f"load: {one!r}" for one in ended if isinstance(one, Exception)]

    def restarts(self) -> dict[str, float]:
        """How long the next engine took to answer, in seconds."""
        starts = sorted(self.starts)
        return {
            "restart_median_s": round(starts[len(starts) // 2], 3),
            "restart_max_s": round(starts[-1], 3),
        }

    def _start_quietly(self) -> None:
        for _ in range(200):
            try:
                start_engine(self.location, ["--http-port", "0"])
            except EngineUnavailable:
                client = try_connect(self.location)
                if client is not None:
                    client.close()
                    return
                time.sleep(0.05)
            else:
                return
        raise SystemExit("the engine does not start any more")


def processes_of(root: Path) -> list[str]:
    """Processes that belong to the folder: by command line or by the mark in the environment."""
    found: list[str] = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.info["cmdline"] or [])
            if str(root) in line or process.environ().get(MARK) == str(root):
                found.append(f"{process.pid} {process.status()} {line[:100]}")
    return found


def leftovers(location: Location) -> list[str]:
    """Sockets and half-written files that should be gone after an orderly stop."""
    found = [str(path) for path in location.state.rglob("*.sock")]
    found += [str(path) for path in location.state.rglob(".*.new")]
    found += [str(path) for path in (location.state / "tmp").iterdir()]
    if location.socket.exists():
        found.append(str(location.socket))
    return found


def verify(location: Location, storm: Storm) -> list[str]:
    """Everything that is wrong."""
    wrong: list[str] = []
    ledger = storm.ledger
    with Client(location) as client:
        deadline = time.monotonic() + 60
        while client.call("engine.status")["active_runs"] and time.monotonic() < deadline:
            time.sleep(0.2)
        have = {
            run: set(client.call("runs.get", {"id": run})["labels"])
            for run in {run for run, _ in ledger.labels}
        }
        lost = [label for run, label in ledger.labels if label not in have[run]]
        if lost:
            wrong.append(f"{len(lost)} acknowledged labels lost, e.g. {lost[:3]}")
        for number, code in ledger.runs.items():
            info = client.call("runs.get", {"id": number})
            if info["state"] != "complete" or info["exit_code"] != code:
                wrong.append(
                    f"run {number}: {info['state']} ({info['exit_code']}), wanted {code}: "
                    f"{info['message']}"
                )
        answer = client.call(
            "store.query", {"sql": "SELECT count(*) FROM metrics.points", "limit": 1}
        )
        if answer["rows"][0][0] < ledger.points:
            wrong.append(f"{ledger.points} points acknowledged, {answer['rows'][0][0]} kept")
        pods = client.call("pods.list")["pods"]
        if [pod["name"] for pod in pods] != ["serverops"]:
            wrong.append(f"pods: {[pod['name'] for pod in pods]}")
        deadline = time.monotonic() + 30
        while client.call("pods.get", {"pod": "serverops"})["state"] != "ready":
            if time.monotonic() > deadline:
                return [*wrong, "the pod does not get ready"]
            time.sleep(0.1)
        client.call("pods.train", {"pod": "serverops", "wait": True})
        client.call("pods.recommend", {"pod": "serverops"})
        client.call("engine.stop")
    deadline = time.monotonic() + 30
    while (left := processes_of(location.root)) and time.monotonic() < deadline:
        time.sleep(0.2)
    wrong += [f"process left: {line}" for line in left]
    wrong += [f"left behind: {path}" for path in leftovers(location)]
    for name in ("engine.db", "metrics.db"):
        with contextlib.closing(sqlite3.connect(location.state / name)) as connection:
            check = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if check != "ok":
                wrong.append(f"{name}: {check}")
    return wrong


async def storm_over(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Run the storm in `folder`; its figures, with everything that is wrong under `wrong`."""
    os.environ[MARK] = str(folder)
    location = locate(folder)
    storm = Storm(location, seed)
    await asyncio.to_thread(start_engine, location, ["--http-port", "0"])
    client = await storm.connected("storm")
    await client.call("samples.add", {"name": "samples/serverops"})
    storm.base_run = (await client.call("runs.start", {"command": ["true"]}))["id"]
    await client.close()
    load = [
        *(storm.post_labels(k) for k in range(3)),
        *(storm.post_over_http(k) for k in range(2)),
        *(storm.start_runs(k) for k in range(2)),
        *(storm.follow(topic) for topic in ("runs", "pods", "episodes")),
        storm.save_manifest(),
    ]
    begin = time.monotonic()
    trouble = await storm.run(load, rounds)
    wrong = await asyncio.to_thread(verify, location, storm)
    return {
        "rounds": rounds,
        "seconds": round(time.monotonic() - begin, 1),
        "labels": len(storm.ledger.labels),
        "metric_points": storm.ledger.points,
        "runs": len(storm.ledger.runs),
        "events": storm.ledger.events,
        "saves": storm.ledger.saves,
        **storm.restarts(),
        "refused": dict(storm.ledger.refused),
        "wrong": [*wrong, *trouble],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder for a look")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="storm-")).resolve()
    figures = asyncio.run(storm_over(folder, options.rounds, options.seed))
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, indent=2))
    return int(bool(figures["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
