"""Networks beside Stable-Baselines3 and torch, on one core each.

    SPICE_CASES=DIR python bench/learning_networks.py --peers DIR [--seeds 0 1 2] [--rounds 5]
                                                      [--quick] [--json FILE]

`--peers DIR` is a virtual environment with torch, stable-baselines3, gymnasium and numpy. With
SPICE_CASES (a folder with `manifests` and `data` of the originals) the gardener is theirs, else the
sample pod's.

1. `dql` that learns from the taken action alone (`all_actions: false`, else its defaults) against
   SB3's DQN with as large networks: seconds until 95 % of regret is closed in sample. Both get the
   same standardised features and rewards, the discount is 0, SB3 is looked at every 1,000 steps and
   `dql` every 10 gradient steps; looking, imports and making the table do not count. Medians.
2. 64 networks of 64-64 hidden neurons trained together against torch with fused Adam, one after
   another: samples a second of a step of Q-learning (target network, forward, backward, Adam), with
   32 and 256 samples for each network. Alternated, medians.

`--json` writes the figures. Exits 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# One thread, as the pool gives a trainer; before NumPy is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from samples import NOW, SAMPLES

from spice_engine.data import loader
from spice_engine.learning.algorithms import dql
from spice_engine.learning.algorithms.memory import Sample
from spice_engine.learning.assignment import Assignment
from spice_engine.learning.environments.contextual import ContextualEnvironment
from spice_engine.learning.features import Matrix, Scaling
from spice_engine.learning.hyperparameters import Dql
from spice_engine.learning.networks import Networks
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.child import LocalReport

HERE = Path(__file__).resolve().parent
WANTED = 0.95
FASTER = 30.0
MEMBERS, INPUTS, HIDDEN, ACTIONS = 64, 64, (64, 64), 3
RATES = {32: 4.0, 256: 2.0}
"""Samples for each network, and how many times the peer's samples a second are asked for."""

Figures = dict[str, Any]


class Peer:
    """`learning_networks_peer.py` under the peers' Python."""

    def __init__(self, venv: Path) -> None:
        self._process = subprocess.Popen(
            [venv / "bin/python", HERE / "learning_networks_peer.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        self.versions = self._read()

    def ask(self, **request: Any) -> Figures:
        """One request; waits for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The peer has ended.")
        return json.loads(line)

    def close(self) -> None:
        """No more requests."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)


def gardener() -> tuple[str, Matrix, Matrix]:
    """Standardised features [N, D] and rewards [N, A] of all steps, and whose gardener it is."""
    cases = os.environ.get("SPICE_CASES")
    app = Path(cases) if cases else SAMPLES["gardener"].folder
    folder = app / ("manifests" if cases else "spicepods")
    manifest = load_manifest((folder / "gardener.yaml").read_text(), "gardener.yaml")
    with tempfile.TemporaryDirectory() as out:
        loaded = loader.load(loader_params(manifest, app, Path(out), NOW), LocalReport())
        given = trainer_params(manifest, loaded, app, fingerprint="")
        task = Assignment(given).task(lambda: None)
        raw, rewards = task.raw(task.split.every), task.rewards
    features = Scaling.of(raw).apply(raw)
    return ("the originals'" if cases else "the sample"), features, rewards / rewards.std()


def time_dql(features: Matrix, rewards: Matrix, seed: int) -> Figures:
    """Seconds and gradient steps until WANTED of regret is closed."""
    settings = dataclasses.replace(Dql(), gamma=0.0, all_actions=False, updates=10)
    rows = np.arange(len(rewards))
    constant, oracle = rewards.sum(axis=0).max(), rewards.max(axis=1).sum()
    looked, began = 0.0, time.perf_counter()
    environment = ContextualEnvironment(features, rewards, settings.lanes)
    learned = dql.learn(environment, settings, seed, lambda: None)
    for number, one in enumerate(learned, start=1):
        before = time.perf_counter()
        score = rewards[rows, one.network.values(features).argmax(axis=1)].sum()
        closed = float((score - constant) / (oracle - constant))
        if closed >= WANTED:
            return {
                "seconds": before - began - looked,
                "updates": 10 * number,
                "closed": closed,
            }
        looked += time.perf_counter() - before
    raise AssertionError


def race(peer: Peer, seeds: list[int], most: int) -> Figures:
    """Row 1."""
    name, features, rewards = gardener()
    print(f"dql without all-action replay, gardener ({name}), {features.shape} features")
    ours: list[Figures] = []
    theirs: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "gardener.npz"
        np.savez(data, features=features, rewards=rewards)
        time_dql(features, rewards, 99)  # the first use of anything takes longer
        for seed in seeds:
            ours.append(time_dql(features, rewards, seed))
            asked = {"data": str(data), "seed": seed, "wanted": WANTED, "most": most}
            theirs.append(peer.ask(do="dqn", **asked))
            reached = theirs[-1]["seconds"]
            print(
                f"  seed {seed}: {ours[-1]['seconds']:.3f} s ({ours[-1]['updates']} gradient "
                f"steps), SB3 {f'{reached:.2f} s' if reached else 'not'} "
                f"({theirs[-1]['steps']} steps, {theirs[-1]['closed']:.3f})"
            )
    # Who did not get there counts as having needed for ever.
    seconds = [one["seconds"] or float("inf") for one in theirs]
    ratio = statistics.median(seconds) / statistics.median(one["seconds"] for one in ours)
    print(f"  median: {ratio:.1f} times less, asked {FASTER:g}")
    return {"ours": ours, "sb3": theirs, "ratio": ratio, "passed": ratio >= FASTER}


class Population:
    """MEMBERS networks, their target networks, and what they learn from."""

    def __init__(self, batch: int) -> None:
        chance = np.random.default_rng(0)
        self.online = Networks(MEMBERS, (INPUTS, *HIDDEN, ACTIONS), chance)
        self.target = self.online.copy()
        shape = (MEMBERS, batch)
        self.settings = Dql(double=False, learning_rate=1e-3)
        self.sample = Sample(
            observations=chance.normal(size=(*shape, INPUTS)).astype(np.float32),
            taken=chance.integers(0, ACTIONS, shape),
            rewards=chance.normal(size=shape).astype(np.float32),
            every=None,
            discounts=np.full(shape, 0.9, np.float32),
            following=chance.normal(size=(*shape, INPUTS)).astype(np.float32),
            allowed=None,
            now=None,
        )

    def rate(self, seconds: float) -> float:
        """Samples a second."""
        self._step()
        began, rounds = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            self._step()
            rounds += 1
        return rounds * self.sample.taken.size / (time.perf_counter() - began)

    def _step(self) -> None:
        dql.update(self.online, self.target, self.sample, self.settings)


def populations(peer: Peer, rounds: int, seconds: float) -> Figures:
    """Row 2."""
    figures: Figures = {}
    for batch, wanted in RATES.items():
        population = Population(batch)
        ours: list[float] = []
        theirs: dict[str, list[float]] = {"fused": [], "plain": []}
        for _ in range(rounds):
            ours.append(population.rate(seconds))
            for name, rates in theirs.items():
                asked = {"members": MEMBERS, "batch": batch, "fused": name == "fused"}
                rates.append(peer.ask(do="mlps", seconds=seconds, **asked)["rate"])
        mine = statistics.median(ours)
        others = {name: statistics.median(rates) for name, rates in theirs.items()}
        ratio = mine / max(others.values())
        print(
            f"{MEMBERS} networks of 64-64, batch {batch}: {mine / 1e3:.0f} k samples/s, torch with "
            f"fused Adam {others['fused'] / 1e3:.0f} k, without {others['plain'] / 1e3:.0f} k: "
            f"{ratio:.1f} times the faster, asked {wanted:g}"
        )
        figures[str(batch)] = {
            "ours": mine,
            **others,
            "ratio": ratio,
            "passed": ratio >= wanted,
        }
    return figures


def main() -> None:
    """Both rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one seed and one short round")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    peer = Peer(options.peers)
    seeds = options.seeds[:1] if options.quick else options.seeds
    rounds, seconds = (1, 0.3) if options.quick else (options.rounds, 2.0)
    rows = populations(peer, rounds, seconds)
    figures: Figures = {
        "versions": {**peer.versions, "numpy": np.__version__},
        "networks": rows,
        "dql": race(peer, seeds, 120_000),
    }
    peer.close()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    passed = [figures["dql"]["passed"], *(one["passed"] for one in rows.values())]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
