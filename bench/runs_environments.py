"""Environments of `numpy pandas`: made for the first time, asked for again, against venv and pip.

    python bench/runs_environments.py [--packages NAME ...] [--times N] [--json FILE]

Each first time begins with an empty cache of uv, or of pip, and an empty state folder; the two are
taken in turn, so that both meet the same network. `hit` is what a run waits for an environment that
is there. pip compiles what it installs to bytecode, uv leaves that to the first import. The
conditions (cores, load, Python, uv) are printed with the figures.
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
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from spice_engine.protocol.location import locate
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs.environments import Environments
from spice_engine.workers.placement import UNCOUNTED, LocalPlacement
from spice_engine.workers.shims import ShimHost
from spice_tui.client import Client
from spice_tui.launch import start_engine

Figures = dict[str, Any]
PACKAGES = ("numpy", "pandas")
HITS = 20


async def ours(folder: Path, packages: list[str]) -> tuple[float, float, list[float]]:
    """Seconds to make one with nothing kept, with uv's cache alone, and milliseconds of hits."""
    os.environ["UV_CACHE_DIR"] = str(folder / "uv")
    wanted = Dependencies(pip=packages)
    taken: list[float] = []
    async with ShimHost() as host:
        placement = LocalPlacement(host, capacity=UNCOUNTED)
        for state in ("cold", "warm"):
            root = folder / state
            (root / ".spice").mkdir(parents=True)
            environments = Environments(root / ".spice", root, placement)
            begin = time.perf_counter()
            made = await environments.ensure(wanted, ())
            taken.append(time.perf_counter() - begin)
            _check(made.python, packages)
        hits: list[float] = []
        for _ in range(HITS):
            begin = time.perf_counter()
            await environments.ensure(wanted, ())
            hits.append(1000 * (time.perf_counter() - begin))
        await environments.close()
    return taken[0], taken[1], hits


def theirs(folder: Path, packages: list[str]) -> float:
    """Seconds of `python -m venv` and `pip install`, without pip's cache."""
    begin = time.perf_counter()
    place = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    options = ["--disable-pip-version-check", *packages]
    subprocess.run([*pip, *options], check=True)
    seconds = time.perf_counter() - begin
    _check(place / "bin" / "python", packages)
    return seconds


def runs_in_one(packages: list[str], count: int = 40) -> Figures:
    """`run true` in an environment that is there: asked → its process starts, asked → over."""
    root = Path(tempfile.mkdtemp(prefix="bench-environments-")).resolve()
    location = locate(root)
    start_engine(location, ["--http-port", "0"])
    request = {"command": ["true"], "dependencies": {"pip": packages}}
    begins: list[float] = []
    ends: list[float] = []
    try:
        with Client(location) as client:
            for number in range(count + 1):
                asked = time.time()
                run = client.call("runs.start", request)
                while run["ended"] is None or run["state"] != "complete":
                    time.sleep(0.002)
                    run = client.call("runs.get", {"id": run["id"]})
                if number:  # the first one makes it
                    begins.append(1000 * (run["started"] - asked))
                    ends.append(1000 * (time.time() - asked))
            client.call("engine.stop", {"runs": "stop"})
        while location.socket.exists():
            time.sleep(0.02)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return {
        "run_to_process_ms": round(statistics.median(begins), 1),
        "run_to_complete_ms": round(statistics.median(ends), 1),
    }


def _check(python: Path, packages: list[str]) -> None:
    names = ", ".join(name.partition("=")[0] for name in packages)
    subprocess.run([str(python), "-I", "-c", f"import {names}"], check=True)


def main() -> None:
    """Print a row a figure."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES))
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    figures: Figures = {
        "packages": options.packages,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "uv": subprocess.run(
            [find_uv_bin(), "--version"], capture_output=True, text=True, check=True
        ).stdout.strip(),
    }
    cold: list[float] = []
    warm: list[float] = []
    pip: list[float] = []
    hits: list[float] = []
    for _ in range(options.times):
        with tempfile.TemporaryDirectory(prefix="bench-environments-") as name:
            first, second, more = asyncio.run(ours(Path(name), options.packages))
            cold.append(first)
            warm.append(second)
            hits += more
            pip.append(theirs(Path(name), options.packages))
    figures |= {
        "cold_s": round(statistics.median(cold), 3),
        "with_uv_cache_s": round(statistics.median(warm), 3),
        "hit_ms": round(statistics.median(hits), 2),
        "hit_ms_max": round(max(hits), 2),
        "venv_and_pip_s": round(statistics.median(pip), 3),
        "times_faster_than_pip": round(statistics.median(pip) / statistics.median(cold), 1),
    }
    figures |= runs_in_one(options.packages)
    for figure, value in figures.items():
        print(f"{figure:24} {value}")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
