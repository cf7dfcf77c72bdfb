"""Figures of pods: save to policy, quality, recommendations, ingestion, and memory at rest.

    python bench/pods.py --cases DIR [--json FILE] [--only NAME …]

`--cases` names a folder with `manifests/gardener.yaml`, `manifests/trader30d.yaml` and `data/`.
Each figure is taken in an engine of its own on a fresh folder, over its public doors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from spice_engine.protocol.location import Location, locate
from spice_tui.async_client import AsyncClient
from spice_tui.client import Client
from spice_tui.launch import start_engine

HERE = Path(__file__).resolve().parent


@contextlib.contextmanager
def engine(cases: Path, *pods: str) -> Iterator[Location]:
    """An engine on a fresh folder with some of the cases' pods."""
    folder = Path(tempfile.mkdtemp(prefix="bench-pods-")).resolve()
    location = locate(folder)
    if pods:
        shutil.copytree(cases / "data", folder / "data")
        (folder / "spicepods").mkdir()
    for pod in pods:
        shutil.copy(cases / "manifests" / f"{pod}.yaml", folder / "spicepods")
    start_engine(location, ["--http-port", "0"])
    try:
        yield location
    finally:
        with contextlib.suppress(Exception), Client(location) as client:
            client.call("engine.stop")
        time.sleep(1)
        shutil.rmtree(folder, ignore_errors=True)


def until_ready(location: Location, pod: str) -> dict[str, Any]:
    """The pod, when it has been trained to the end."""
    end = time.monotonic() + 120
    with Client(location) as client:
        while time.monotonic() < end:
            known = {info["name"]: info for info in client.call("pods.list")["pods"]}
            if pod in known and known[pod]["state"] == "ready":
                return known[pod]
            if pod in known and known[pod]["state"] == "failed":
                raise SystemExit(f"{pod}: {known[pod]['problems']}")
            time.sleep(0.02)
    raise SystemExit(f"{pod} did not get ready")


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and largest, in milliseconds."""
    return {
        "median_ms": round(1000 * statistics.median(seconds), 1),
        "max_ms": round(1000 * max(seconds), 1),
        "rounds": len(seconds),
    }


async def _saves(
    location: Location, pod: str, edit: Callable[[str, int], str], rounds: int
) -> dict[str, Any]:
    """From an editor's save to the first episode, the first policy that serves, and the end."""
    client = await AsyncClient.connect(location)
    path = location.root / "spicepods" / f"{pod}.yaml"
    text = path.read_text()
    pods = client.subscribe("pods")
    episodes = client.subscribe("episodes")
    await anext(pods)
    await anext(episodes)
    version = (await client.call("pods.get", {"pod": pod}))["policy_version"] or 0
    first: list[float] = []
    evaluated: list[float] = []
    ended: list[float] = []
    for number in range(rounds):
        beside = path.with_name(f"{path.name}~")
        beside.write_text(edit(text, number))
        begin = time.perf_counter()
        beside.rename(path)
        await anext(episodes)
        first.append(time.perf_counter() - begin)
        served = False
        async for event in pods:
            info = event.data.get("set", event.data).get(pod)
            if not info:
                continue
            if info["policy_version"] and info["policy_version"] > version and not served:
                served = True
                evaluated.append(time.perf_counter() - begin)
            if served and info["state"] == "ready":
                version = info["policy_version"]
                ended.append(time.perf_counter() - begin)
                break
        await asyncio.sleep(0.5)
        for _ in range(len(episodes)):
            await anext(episodes)
    await client.close()
    return {
        "first_point": spread(first),
        "first_policy_evaluated": spread(evaluated),
        "training_ended": spread(ended),
    }


def gardener(cases: Path) -> dict[str, Any]:
    """Save to policy of gardener, a changed reward each time."""
    with engine(cases, "gardener") as location:
        until_ready(location, "gardener")
        time.sleep(1)

        def edit(text: str, number: int) -> str:
            return text.replace("reward = 200", f"reward = {201 + number}")

        return asyncio.run(_saves(location, "gardener", edit, 15))


def trader(cases: Path) -> dict[str, Any]:
    """Save to policy of trader30d, a changed law each time."""
    with engine(cases, "trader30d") as location:
        until_ready(location, "trader30d")
        time.sleep(1)

        def edit(text: str, number: int) -> str:
            return text.replace('"usd_balance >= 0"', f'"usd_balance >= {number + 1}"')

        return asyncio.run(_saves(location, "trader30d", edit, 8))


async def _first(location: Location, cases: Path) -> float:
    client = await AsyncClient.connect(location)
    episodes = client.subscribe("episodes")
    await anext(episodes)
    path = location.root / "spicepods" / "gardener.yaml"
    beside = path.with_name("gardener.yaml~")
    shutil.copy(cases / "manifests" / "gardener.yaml", beside)
    begin = time.perf_counter()
    beside.rename(path)
    await anext(episodes)
    seconds = time.perf_counter() - begin
    await client.close()
    return seconds


def first_training(cases: Path) -> dict[str, Any]:
    """The first training ever: no child is warm, and no byte code of the trainer is cached."""
    found: list[float] = []
    for _ in range(3):
        with engine(cases) as location:
            package = Path(sys.modules["spice_engine"].__file__ or "").parent
            for part in ("learning", "data"):
                for cache in (package / part).rglob("__pycache__"):
                    shutil.rmtree(cache, ignore_errors=True)
            shutil.copytree(cases / "data", location.root / "data")
            (location.root / "spicepods").mkdir()
            time.sleep(0.5)
            found.append(asyncio.run(_first(location, cases)))
    return spread(found)


def quality(cases: Path) -> dict[str, Any]:
    """Regret closed by `auto` on gardener, the last 30 % held out; trader30d as it is."""
    figures: dict[str, Any] = {}
    with engine(cases) as location:
        shutil.copytree(cases / "data", location.root / "data")
        (location.root / "spicepods").mkdir()
        text = (cases / "manifests" / "gardener.yaml").read_text()
        text = text.replace("\ntraining:\n", "\ntraining:\n  holdout: 30%\n  algorithm: auto\n")
        (location.root / "spicepods" / "gardener.yaml").write_text(text)
        shutil.copy(cases / "manifests" / "trader30d.yaml", location.root / "spicepods")
        for pod in ("gardener", "trader30d"):
            evaluation = until_ready(location, pod)["evaluation"]
            figures[pod] = {
                part: round(evaluation[part]["regret_closed"], 4)
                for part in ("in_sample", "held_out")
                if evaluation.get(part) and evaluation[part]["regret_closed"] is not None
            } | {"algorithm": evaluation.get("algorithm"), "class": evaluation.get("problem_class")}
    return figures


def large_file(cases: Path) -> dict[str, Any]:
    """A CSV file of two million rows and three columns: seconds to load, peak memory."""
    rows = 2_000_000
    with engine(cases) as location:
        root = location.root
        (root / "data").mkdir()
        (root / "spicepods").mkdir()
        rng = random.Random(1)
        with (root / "data" / "big.csv").open("w") as out:
            out.write("time,load,heat\n")
            out.writelines(
                f"{1_600_000_000 + row},{rng.random():.4f},{rng.random() * 40:.2f}\n"
                for row in range(rows)
            )
        manifest = (
            "name: big\n"
            "params: {epoch_time: 1600000000, period: 600h, interval: 1h, granularity: 10m}\n"
            "dataspaces:\n  - from: host\n    name: sensors\n"
            "    measurements: [{name: load}, {name: heat}]\n    data:\n"
            "      connector: {name: file, params: {path: data/big.csv}}\n"
            "      processor: {name: csv}\n"
            "actions: [{name: wait}, {name: work}]\n"
            "training:\n  rewards:\n"
            "    - {reward: wait, with: \"reward = next_state['host_sensors_load']\"}\n"
            "    - {reward: work, with: \"reward = 1 - next_state['host_sensors_load']\"}\n"
        )
        peak = _Peak(location)
        path = root / "spicepods" / "big.yaml"
        beside = path.with_name("big.yaml~")
        beside.write_text(manifest)
        begin = time.perf_counter()
        beside.rename(path)
        seconds = asyncio.run(_until_loaded(location, "big", begin))
        until_ready(location, "big")
        return {
            "rows": rows,
            "loaded_s": round(seconds, 2),
            "peak_mib": peak.stop(),
        }


async def _until_loaded(location: Location, pod: str, begin: float) -> float:
    client = await AsyncClient.connect(location)
    async for event in client.subscribe("pods"):
        info = event.data.get("set", event.data).get(pod)
        if info and (info["training"] or info["policy_version"]):
            break
    await client.close()
    return time.perf_counter() - begin


class _Peak:
    """The largest memory of the engine and its loaders together, by their own high-water marks."""

    def __init__(self, location: Location) -> None:
        with Client(location) as client:
            self._pid = int(client.call("engine.status")["pid"])

    def stop(self) -> dict[str, float]:
        found: dict[str, float] = {}
        top = psutil.Process(self._pid)
        for process in [top, *top.children(recursive=True)]:
            words = " ".join(process.cmdline())
            name = "engine" if process.pid == self._pid else words.rsplit(".", 1)[-1].strip()
            if name in {"engine", "loader"}:
                status = Path(f"/proc/{process.pid}/status").read_text()
                mark = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                found[name] = round(int(mark.split()[1]) / 1024, 1)
        found["together"] = round(sum(found.values()), 1)
        return found


async def _post(location: Location, pod: str, seconds: float, posters: int) -> dict[str, Any]:
    base = location.http.read_text().strip()
    url = f"{base}/api/v0.1/pods/{pod}/observations"
    accepted = 0
    clock = 2_000_000_000
    waits: list[float] = []
    end = time.monotonic() + seconds

    async def poster(number: int, session: aiohttp.ClientSession) -> None:
        nonlocal accepted, clock
        while time.monotonic() < end:
            clock += 100
            lines = [f"{clock + row},{row},{number}" for row in range(100)]
            body = "time,sensors.garden.temperature,sensors.garden.moisture\n" + "\n".join(lines)
            begin = time.perf_counter()
            async with session.post(url, data=body, headers={"Content-Type": "text/csv"}) as reply:
                if reply.status != 201:
                    raise SystemExit(f"{reply.status}: {await reply.text()}")
            waits.append(time.perf_counter() - begin)
            accepted += 100

    begin = time.perf_counter()
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(poster(number, session) for number in range(posters)))
    took = time.perf_counter() - begin
    waits.sort()
    return {
        "rows_per_s": round(accepted / took),
        "posters": posters,
        "p50_ms": round(1000 * waits[len(waits) // 2], 1),
        "p99_ms": round(1000 * waits[int(len(waits) * 0.99)], 1),
    }


def posts(cases: Path) -> dict[str, Any]:
    """Rows accepted and durable a second, in bodies of 100 rows of two measurements."""
    with engine(cases, "gardener") as location:
        until_ready(location, "gardener")
        return asyncio.run(_post(location, "gardener", 8, 32))


def idle(cases: Path) -> dict[str, Any]:
    """Memory and CPU of everything, two pods trained, nothing to do."""
    with engine(cases, "gardener", "trader30d") as location:
        until_ready(location, "gardener")
        until_ready(location, "trader30d")
        time.sleep(3)
        with Client(location) as client:
            pid = int(client.call("engine.status")["pid"])
        top = psutil.Process(pid)
        every = [top, *top.children(recursive=True)]
        before = sum(sum(process.cpu_times()[:2]) for process in every)
        begin = time.monotonic()
        time.sleep(10)
        after = sum(sum(process.cpu_times()[:2]) for process in every)
        memory = sum(process.memory_full_info().pss for process in every)
        return {
            "processes": len(every),
            "cpu_percent": round(100 * (after - before) / (time.monotonic() - begin), 2),
            "pss_mib": round(memory / 2**20, 1),
        }


def inside(cases: Path) -> dict[str, Any]:
    """Reward compilation, reward matrix and one uncached recommendation, in this process."""
    command = [sys.executable, str(HERE / "pods_inside.py"), "--cases", str(cases)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


FIGURES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "gardener_save": gardener,
    "trader_changed_law": trader,
    "first_training_ever": first_training,
    "quality": quality,
    "inside": inside,
    "large_file": large_file,
    "posts": posts,
    "idle": idle,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=Path, default=os.environ.get("SPICE_CASES"))
    parser.add_argument("--only", nargs="*", choices=sorted(FIGURES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.cases is None:
        raise SystemExit("--cases DIR or SPICE_CASES names the folder with the fixed manifests.")
    figures: dict[str, Any] = {}
    for name, measure in FIGURES.items():
        if not options.only or name in options.only:
            figures[name] = measure(Path(options.cases))
            print(f"{name}: {json.dumps(figures[name])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
