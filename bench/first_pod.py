"""The first pod's figures: newcomer's command to a recommendation, and save to new policy.

    python bench/first_pod.py [--skip-quickstart] [--json FILE]

The newcomer's time is taken in a fresh clone with an empty home and an empty package cache, on a
PATH without uv: all packages come over the network. The save is an editor's: write beside,
rename; the time runs until the engine tells the new policy version to a subscriber.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from spice_engine.protocol.location import Location, locate
from spice_tui.async_client import AsyncClient
from spice_tui.client import Client
from spice_tui.launch import start_engine

REPOSITORY = Path(__file__).resolve().parent.parent


def quickstart() -> dict[str, Any]:
    """Seconds of `./quickstart` in a fresh clone, network included."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(clone)], check=True)
        system = [part for part in os.environ["PATH"].split(":") if "venv" not in part]
        tools = Path(scratch) / "bin"
        tools.mkdir()
        for name in ("python3", "git", "bash", "mkdir", "dirname", "cat"):
            found = shutil.which(name, path=":".join(system))
            if found:
                (tools / name).symlink_to(found)
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("UV_", "VIRTUAL_ENV"))
        }
        environment |= {"HOME": scratch, "PATH": f"{tools}:/bin", "PIP_NO_CACHE_DIR": "1"}
        begin = time.perf_counter()
        done = subprocess.run(
            ["./quickstart"], cwd=clone, env=environment, capture_output=True, text=True
        )
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise SystemExit(f"quickstart failed:\n{done.stdout}\n{done.stderr}")
        with Client(locate(clone / "demo")) as client:
            base = client.call("engine.status")["http"]
            url = f"{base}/api/v0.1/pods/serverops/recommendation"
            with urllib.request.urlopen(url) as reply:
                answer = json.load(reply)
            client.call("engine.stop")
        time.sleep(1)
        return {"seconds": round(seconds, 1), "action": answer["action"]}


async def saves(location: Location, rounds: int) -> dict[str, Any]:
    """Milliseconds from the rename to the first episode and to the new policy version."""
    client = await AsyncClient.connect(location)
    path = location.root / "spicepods" / "serverops.yaml"
    text = path.read_text()
    first: list[float] = []
    policy: list[float] = []
    pods = client.subscribe("pods")
    episodes = client.subscribe("episodes")
    await anext(pods)
    await anext(episodes)
    version = (await client.call("pods.get", {"pod": "serverops"}))["policy_version"]
    for number in range(rounds):
        beside = path.with_name("serverops.yaml~")
        beside.write_text(text.replace("(soon - 40) / 10", f"(soon - {40 + number / 100}) / 10"))
        begin = time.perf_counter()
        beside.rename(path)
        await anext(episodes)
        first.append(time.perf_counter() - begin)
        async for event in pods:
            info = event.data.get("set", event.data).get("serverops")
            if info and info["policy_version"] > version:
                version = info["policy_version"]
                policy.append(time.perf_counter() - begin)
                break
        for _ in range(len(episodes)):
            await anext(episodes)
        await asyncio.sleep(0.3)
        for _ in range(len(episodes)):
            await anext(episodes)
    await client.close()
    return {"first_episode_ms": _spread(first), "new_policy_ms": _spread(policy)}


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * value for value in values)
    return {
        "median": round(statistics.median(ordered), 1),
        "max": round(ordered[-1], 1),
    }


def save_to_policy(rounds: int) -> dict[str, Any]:
    """The sample pod in a fresh engine with a warm trainer."""
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    location = locate(folder)
    start_engine(location, ["--http-port", "0"])
    try:
        with Client(location) as client:
            client.call("samples.add", {"name": "samples/serverops"})
            while not client.call("pods.list")["pods"]:
                time.sleep(0.05)
            while client.call("pods.get", {"pod": "serverops"})["state"] != "ready":
                time.sleep(0.05)
        time.sleep(1)
        return asyncio.run(saves(location, rounds))
    finally:
        with Client(location) as client:
            client.call("engine.stop")
        time.sleep(1)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--skip-quickstart", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {"save": save_to_policy(options.rounds)}
    print(f"save: {json.dumps(figures['save'])}", flush=True)
    if not options.skip_quickstart:
        figures["quickstart"] = quickstart()
        print(f"quickstart: {json.dumps(figures['quickstart'])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
