"""How soon `auto` has an answer, and how good it is: gardener, and pods with many rows.

    SPICE_CASES=DIR python bench/learning_auto.py [--repeat 5] [--rows N …] [--json FILE]

Gardener is the pod of the original's documentation with its data, the last 30 % held out. Times are
from the order to train, with the data in memory, to a policy that serves, bytes and all; the median
of the repetitions. Regret closed is that of the policy which has not seen the held-out part.
`--rows` adds pods of so many rows, four fields and planted structure: how long `auto` takes there
with its five seconds of computing, and the memory of the process.

`--json` writes {"gardener": {"first": {…}, "last": {…}}, "rows": {"200000": {…}}}.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from samples import NOW

from spice_engine.data import loader
from spice_engine.learning import trainer
from spice_engine.learning.assignment import LOOKED_AT_CELLS
from spice_engine.learning.features import Layout
from spice_engine.learning.hyperparameters import Auto
from spice_engine.learning.learners import make_learner
from spice_engine.learning.split import split_steps
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.child import LocalReport

SPAN = 6


class Watch(LocalReport):
    """Notes when each policy came, and how good it is."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.perf_counter()
        self.policies: list[dict[str, Any]] = []

    def report(self, data: dict[str, Any]) -> None:
        """A policy to serve meanwhile, among other things."""
        if data["kind"] == "policy":
            self.note(data["evaluation"])

    def note(self, evaluation: dict[str, Any]) -> None:
        """A policy is there."""
        self.policies.append(
            {
                "seconds": time.perf_counter() - self.began,
                "candidate": evaluation["candidate"],
                "in_sample": evaluation["in_sample"]["regret_closed"],
                "held_out": evaluation["held_out"]["regret_closed"],
            }
        )


def gardener(cases: Path, repeat: int) -> dict[str, Any]:
    """The first and the last policy; the times are medians."""
    manifest = load_manifest((cases / "manifests/gardener.yaml").read_text(), "gardener.yaml")
    watches: list[Watch] = []
    with tempfile.TemporaryDirectory() as out:
        loaded = loader.load(loader_params(manifest, cases, Path(out), NOW), LocalReport())
        params = trainer_params(manifest, loaded, cases, fingerprint="")
        params |= {"algorithm": "auto", "hyperparameters": {}, "holdout": 0.3, "episodes": 10}
        for _ in range(repeat):
            watch = Watch()
            watch.note(trainer.train(params, watch)["evaluation"])
            watches.append(watch)
    figures: dict[str, Any] = {}
    for name, place in (("first", 0), ("last", -1)):
        seconds = [watch.policies[place]["seconds"] for watch in watches]
        figures[name] = {**watches[0].policies[place], "seconds": statistics.median(seconds)}
    return figures


def large(rows: int) -> dict[str, Any]:
    """Seconds to the first candidate, to the last, and to the policy; and the process's peak."""
    steps = np.arange(rows)[:, None]
    chance = np.random.default_rng(0)
    values = np.sin(steps / [17.0, 29.0, 53.0, 331.0]) + chance.normal(size=(rows, 4)) * 0.05
    following = np.vstack([values[1:], values[-1:]])
    pays = np.where((following[:, 0] > 0.2) & (following[:, 1] > 0), 4.0, -1.0)
    layout = Layout.choose(("a", "b", "c", "d"), SPAN, rows)
    split = split_steps(rows, SPAN, 0, 0.2, LOOKED_AT_CELLS // len(layout.names))
    task = Task(
        values=values,
        rewards=np.stack([np.ones(rows), pays, following[:, 2]], axis=1)[split.every],
        times=np.arange(rows) * 60,
        actions=("wait", "act", "other"),
        layout=layout,
        span=SPAN,
        granularity=60,
        split=split,
        fingerprint="",
        seed=0,
        holdout=0.2,
    )
    began = time.perf_counter()
    learner = make_learner(Auto(), 10, 0)
    run = TrainingRun(task, learner, "auto", lambda: None, seconds=Auto().seconds)
    ends = [time.perf_counter() - began for _ in run.episodes()]
    policy = run.finish()
    policy.to_bytes()
    return {
        "candidates": len(ends),
        "first": ends[1],
        "candidates_end": ends[-1],
        "policy": time.perf_counter() - began,
        "held_out": policy.evaluation["held_out"]["regret_closed"],
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rows", nargs="*", type=int, default=[])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    loader.warm()
    trainer.warm()
    figures: dict[str, Any] = {"rows": {}}
    if cases := os.environ.get("SPICE_CASES"):
        figures["gardener"] = gardener(Path(cases), options.repeat)
        for name, one in figures["gardener"].items():
            print(
                f"gardener, {name} policy: {1000 * one['seconds']:.0f} ms, {one['candidate']}, "
                f"regret closed {one['in_sample']:.3f} in sample, {one['held_out']:.3f} held out"
            )
    else:
        print("SPICE_CASES names no folder: no gardener.")
    for rows in options.rows:
        figures["rows"][str(rows)] = found = large(rows)
        print(
            f"{rows} rows: first candidate {found['first']:.1f} s, {found['candidates']} until "
            f"{found['candidates_end']:.1f} s, policy {found['policy']:.1f} s, peak "
            f"{found['peak_MiB']} MiB, held out {found['held_out']:.3f}"
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
