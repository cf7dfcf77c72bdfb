"""Searches over parameters: the points beside plain Optuna's, and kill -9 of the engine.

    python bench/runs_search.py [--only NAME ...] [--trials N] [--kills N] [--json FILE]

- `points`: a Bayesian search, one trial at a time, of Branin's function (L. Dixon and G. Szegő,
  Towards Global Optimisation 2, 1978), each trial a run; and the same search by Optuna alone,
  with the same sampler and seed. The points and the best value must be the same to the bit.
- `kills`: the engine of a search of 40 trials, two at a time, is killed 30 times at moments drawn
  by chance, and started again. Each trial writes when it begins and when it ends: none may be
  missing, and none may end twice.
- `asks`: what a point costs, by code, after so many trials.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna

from spice_engine.errors import EngineUnavailable
from spice_engine.protocol.location import Location, locate
from spice_tui.client import Client
from spice_tui.launch import start_engine

Figures = dict[str, Any]
OVER = {"complete", "stopped", "killed", "failed"}
SEED = 20

BRANIN = """
import math, sys
from spice_runtime import send_metric
x, y = float(sys.argv[1]), float(sys.argv[2])
a = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
send_metric("branin", a**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)
"""


@contextmanager
def folder_with_engine() -> Iterator[Location]:
    """A fresh engine on a folder of its own; stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    location = locate(folder)
    start_engine(location, ["--http-port", "0"])
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


def branin(x: float, y: float) -> float:
    """Branin's function; its least value is 0.397887."""
    a = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return a**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def all_trials(client: Client, number: int) -> list[dict[str, Any]]:
    """The trials of a search."""
    return client.call("searches.trials", {"id": number})["trials"]


def await_end(client: Client, number: int, seconds: float) -> dict[str, Any]:
    """A search when it is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = client.call("searches.get", {"id": number})
        if found["state"] in OVER:
            return found
        time.sleep(0.05)
    raise SystemExit(f"search {number} is not over after {seconds} s: {found}")


def points(trials: int) -> Figures:
    """A search of runs beside Optuna alone."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    study.optimize(
        lambda trial: branin(trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)),
        n_trials=trials,
    )
    with folder_with_engine() as location, Client(location) as client:
        (location.root / "branin.py").write_text(BRANIN)
        began = time.perf_counter()
        search = client.call(
            "searches.start",
            {
                "method": "bayesian",
                "parameters": [
                    {"name": "x", "low": -5, "high": 10},
                    {"name": "y", "low": 0, "high": 15},
                ],
                "run": {"command": f"{sys.executable} branin.py :x: :y:"},
                "trials": trials,
                "metric": "branin",
                "goal": "min",
                "seed": SEED,
            },
        )
        found = await_end(client, search["id"], 600)
        seconds = time.perf_counter() - began
        ours = all_trials(client, search["id"])
    same = sum(
        (one["params"], one["value"]) == (dict(other.params), other.value)
        for one, other in zip(ours, study.trials, strict=True)
    )
    return {
        "trials": trials,
        "same_points_and_values": same,
        "best": found["best"]["value"],
        "best_of_optuna": study.best_value,
        "same_best": found["best"]["value"] == study.best_value,
        "seconds_a_trial": round(seconds / trials, 3),
    }


def kills(trials: int, count: int) -> Figures:
    """A search whose engine is killed again and again."""
    chance = random.Random(SEED)
    with folder_with_engine() as location:
        marks = location.root.parent / f"{location.root.name}.marks"
        line = f"echo began :n: >> {marks}; sleep 1.5; echo ended :n: >> {marks}"
        with Client(location) as client:
            search = client.call(
                "searches.start",
                {
                    "method": "random",
                    "parameters": [{"name": "n", "low": 0, "high": 2**40, "type": "int"}],
                    "run": {"command": line},
                    "trials": trials,
                    "parallel": 2,
                    "seed": SEED,
                },
            )
        killed = 0
        for _ in range(count):
            time.sleep(chance.uniform(0.0, 0.6))
            with suppress(EngineUnavailable), Client(location) as client:
                if client.call("searches.get", {"id": search["id"]})["state"] in OVER:
                    break
                os.kill(int(client.call("engine.status")["pid"]), signal.SIGKILL)
                killed += 1
            while location.socket.exists() and _answers(location):
                time.sleep(0.01)
            start_engine(location, ["--http-port", "0"])
        with Client(location) as client:
            found = await_end(client, search["id"], 300)
            ours = all_trials(client, search["id"])
        words = Counter(tuple(one.split()) for one in marks.read_text().splitlines())
        marks.unlink()
    ended = {key[1]: times for key, times in words.items() if key[0] == "ended"}
    expected = {str(one["params"]["n"]) for one in ours}
    return {
        "trials": trials,
        "kills": killed,
        "state": found["state"],
        "counts": found["counts"],
        "lost": len(expected - ended.keys()),
        "ended_twice": sum(times > 1 for times in ended.values()),
        "began_twice": sum(times > 1 for key, times in words.items() if key[0] == "began"),
    }


def _answers(location: Location) -> bool:
    try:
        Client(location).close()
    except EngineUnavailable:
        return False
    return True


def asks(trials: int) -> Figures:
    """Milliseconds from asking to having a point, by code: the last 20 of so many."""
    with folder_with_engine() as location, Client(location) as client:
        search = client.call(
            "searches.start",
            {
                "method": "bayesian",
                "parameters": [{"name": f"x{i}", "low": 0, "high": 1} for i in range(5)],
                "trials": trials,
                "goal": "min",
                "seed": SEED,
            },
        )
        taken: list[float] = []
        for _ in range(trials):
            began = time.perf_counter()
            trial = client.call("searches.ask", {"id": search["id"]})
            taken.append(1000 * (time.perf_counter() - began))
            client.call(
                "searches.tell",
                {
                    "id": search["id"],
                    "trial": trial["number"],
                    "value": sum(trial["params"].values()),
                },
            )
        lag = client.call("engine.status").get("loop_lag_ms")
    return {
        "trials": trials,
        "median_ms": round(statistics.median(taken[-20:]), 2),
        "max_ms": round(max(taken[-20:]), 2),
        "first_ms": round(taken[0], 1),
        **({} if lag is None else {"loop_lag_ms": lag}),
    }


def main() -> None:
    """Run the benches and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=["points", "kills", "asks"])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    parts = {
        "points": lambda: points(given.trials),
        "kills": lambda: kills(max(4, given.trials * 2 // 3), given.kills),
        "asks": lambda: asks(given.trials),
    }
    figures: Figures = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    for name in given.only:
        figures[name] = parts[name]()
        print(name, json.dumps(figures[name]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
