"""Kill the engine at random moments while pods are posted to, trained and reloaded.

    python bench/pod_storm.py --rounds 50 --seed 1

Every observation that was answered with 201 must be there, once; every interpretation that was
accepted, and every episode that was told to a subscriber. The engine must start again each time,
and at the end the pods must train and answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import io
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from kill_storm import MARK, Storm, leftovers, processes_of

from spice_engine.errors import SpiceError
from spice_engine.protocol.location import Location, locate
from spice_tui.client import Client
from spice_tui.launch import start_engine

MANIFEST = """\
name: pushed
params: {epoch_time: 1700000000, period: 8760h, interval: 10m, granularity: 1m}
dataspaces:
  - from: site
    name: meter
    measurements: [{name: load}, {name: poster}]
    data:
      processor: {name: csv}
actions: [{name: wait}, {name: work}]
training:
  seed: 0
  reward_init: |
    load = next_state["site_meter_load"]
  rewards:
    - {reward: wait, with: "reward = load"}
    - {reward: work, with: "reward = 1 - load"}
"""


class PodStorm(Storm):
    """Posts, interpretations, trainings and saves, over one folder."""

    def __init__(self, location: Location, seed: int) -> None:
        super().__init__(location, seed)
        self.rows: list[int] = []
        self.unsure: set[int] = set()
        self.said: list[str] = []
        self.episodes: set[int] = set()
        self.trainings = 0

    async def post(self, worker: int) -> None:
        """Rows with times of their own, over HTTP."""
        clock = 1_700_000_000 + worker * 4_000_000
        async with aiohttp.ClientSession() as session:
            while not self.over:
                times = list(range(clock + 1, clock + 21))
                clock += 20
                lines = [f"{moment},{(moment // 97) % 2},{worker}" for moment in times]
                body = "time,site.meter.load,site.meter.poster\n" + "\n".join(lines)
                try:
                    base = self.location.http.read_text().strip()
                    url = f"{base}/api/v0.1/pods/pushed/observations"
                    async with session.post(url, data=body) as answer:
                        if answer.status == 201:
                            self.rows += times
                        else:
                            self.unsure.update(times)
                            self.ledger.refused[f"post {answer.status}"] += 1
                            await asyncio.sleep(0.05)
                except (aiohttp.ClientError, OSError) as error:
                    self.unsure.update(times)
                    self.ledger.refused[type(error).__name__] += 1
                    await asyncio.sleep(0.02)

    async def interpret(self) -> None:
        """Interpretations with names of their own, over the private door."""
        count = 0
        while not self.over:
            client = await self.connected("interpreter")
            try:
                while not self.over:
                    count += 1
                    one = {
                        "start": 1_700_000_000,
                        "end": 1_700_000_000 + count,
                        "name": f"n{count}",
                    }
                    request = {"pod": "pushed", "interpretations": [one]}
                    await client.call("pods.interpret", request)
                    self.said.append(one["name"])
                    await asyncio.sleep(0.01)
            except SpiceError as error:
                self.ledger.refused[error.code] += 1
                await asyncio.sleep(0.02)
            await client.close()

    async def follow_episodes(self) -> None:
        """What a subscriber is told of must be on disk."""
        while not self.over:
            client = await self.connected("episodes")
            try:
                async for event in client.subscribe("episodes"):
                    self.episodes.update(row["id"] for row in event.data.get("rows", ()))
                    if self.over:
                        break
            except SpiceError:
                pass
            await client.close()

    async def train(self) -> None:
        """Ask for a training now and then."""
        while not self.over:
            client = await self.connected("trainer")
            with contextlib.suppress(SpiceError):
                await client.call("pods.train", {"pod": "pushed", "wait": True})
                self.trainings += 1
            await client.close()
            await asyncio.sleep(self.random.uniform(0.1, 0.6))

    async def save_both(self) -> None:
        """Save both manifests with other seeds."""
        folder = self.location.root / "spicepods"
        texts = {name: (folder / name).read_text() for name in ("serverops.yaml", "pushed.yaml")}
        while not self.over:
            await asyncio.sleep(self.random.uniform(0.2, 1.0))
            self.ledger.saves += 1
            for name, text in texts.items():
                beside = folder / f"{name}.new"
                beside.write_text(text.replace("seed: 0", f"seed: {self.ledger.saves}"))
                beside.rename(folder / name)


def verify(location: Location, storm: PodStorm) -> list[str]:
    """Everything that is wrong."""
    wrong: list[str] = []
    with Client(location) as client:
        deadline = time.monotonic() + 60
        for pod in ("serverops", "pushed"):
            while client.call("pods.get", {"pod": pod})["state"] != "ready":
                if time.monotonic() > deadline:
                    return [
                        *wrong,
                        f"{pod} does not get ready: {client.call('pods.get', {'pod': pod})}",
                    ]
                time.sleep(0.1)
        text = client.call("pods.observations", {"pod": "pushed"})["text"]
        have = Counter(int(row["time"]) for row in csv.DictReader(io.StringIO(text)))
        lost = [moment for moment in storm.rows if not have[moment]]
        if lost:
            wrong.append(f"{len(lost)} of {len(storm.rows)} accepted rows lost, e.g. {lost[:3]}")
        twice = [moment for moment in storm.rows if have[moment] > 1]
        if twice:
            wrong.append(f"{len(twice)} accepted rows are there twice, e.g. {twice[:3]}")
        strange = set(have) - set(storm.rows) - storm.unsure
        if strange:
            wrong.append(f"{len(strange)} rows nobody posted")
        kept = client.call("pods.interpretations", {"pod": "pushed"})["interpretations"]
        missing = set(storm.said) - {one["name"] for one in kept}
        if missing:
            wrong.append(f"{len(missing)} accepted interpretations lost")
        client.call("pods.train", {"pod": "pushed", "wait": True})
        client.call("pods.recommend", {"pod": "pushed"})
        client.call("engine.stop")
    deadline = time.monotonic() + 30
    while (left := processes_of(location.root)) and time.monotonic() < deadline:
        time.sleep(0.2)
    wrong += [f"process left: {line}" for line in left]
    wrong += [f"left behind: {path}" for path in leftovers(location)]
    with contextlib.closing(sqlite3.connect(location.state / "engine.db")) as connection:
        if (check := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            wrong.append(f"engine.db: {check}")
        have_episodes = {row[0] for row in connection.execute("SELECT id FROM episodes")}
        # Trainings are pruned to the newest 50 of each pod, their episodes with them.
        oldest = min(have_episodes, default=0)
        gone = {one for one in storm.episodes if one > oldest} - have_episodes
        if gone and len(storm.episodes) < 5_000:
            wrong.append(f"{len(gone)} episodes were told of and are not there")
    return wrong


async def storm_over(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Run the storm in `folder`; its figures, with everything that is wrong under `wrong`."""
    os.environ[MARK] = str(folder)
    location = locate(folder)
    (folder / "spicepods").mkdir()
    (folder / "spicepods" / "pushed.yaml").write_text(MANIFEST)
    storm = PodStorm(location, seed)
    await asyncio.to_thread(start_engine, location, ["--http-port", "0"])
    client = await storm.connected("storm")
    await client.call("samples.add", {"name": "samples/serverops"})
    await client.close()
    load = [
        *(storm.post(k) for k in range(3)),
        storm.interpret(),
        storm.follow_episodes(),
        storm.train(),
        storm.save_both(),
    ]
    begin = time.monotonic()
    trouble = await storm.run(load, rounds)
    wrong = await asyncio.to_thread(verify, location, storm)
    return {
        "rounds": rounds,
        "seconds": round(time.monotonic() - begin, 1),
        "rows": len(storm.rows),
        "interpretations": len(storm.said),
        "episodes_told": len(storm.episodes),
        "trainings_waited_for": storm.trainings,
        "saves": storm.ledger.saves,
        **storm.restarts(),
        "refused": dict(storm.ledger.refused),
        "wrong": [*wrong, *trouble],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder for a look")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="storm-")).resolve()
    figures = asyncio.run(storm_over(folder, options.rounds, options.seed))
    if options.keep:
        print(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, indent=2))
    return int(bool(figures["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
