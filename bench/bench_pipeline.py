"""Manifest and CSV to a policy, in one warm process: the time of each stage.

    python bench/bench_pipeline.py [--cases DIR] [--rounds 20] [--json]

Generates 2,880 rows of two measurements. `--cases` names a folder with `manifests/gardener.yaml`
beside `data/`, and adds that pod. What is timed is what the loader's and trainer's children do for
one save: read the manifest, parse and bucket the data, hand the table over, train, evaluate, and
write the policy; spawning and frames are not in it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

# One thread, as the pool gives a trainer; before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from spice_engine.data import loader
from spice_engine.learning import trainer
from spice_engine.learning.policy import Policy
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.arrays import ArrayRef, clean
from spice_engine.workers.arrays import load as load_array
from spice_engine.workers.child import LocalReport

ROWS = 2880
MANIFEST = """
name: generated
params: {epoch_time: 1700000000, period: 24h, interval: 10m, granularity: 30s}
dataspaces:
  - from: host
    name: load
    measurements: [{name: cpu}, {name: memory}]
    data:
      connector: {name: file, params: {path: data.csv}}
      processor: {name: csv}
actions: [{name: wait}, {name: work}, {name: grow}]
training:
  reward_init: cpu = next_state["host_load_cpu"]
  rewards:
    - {reward: wait, with: reward = cpu / 100}
    - reward: work
      with: |
        reward = 1 - cpu / 50
        if abs(cpu - current_state["host_load_cpu"]) < 2:
          reward = reward + 0.1
    - {reward: grow, with: 'reward = (cpu - current_state["host_load_cpu"]) / 10'}
"""


def generate(folder: Path) -> None:
    """Two noisy daily rhythms, one row every 30 s."""
    chance = random.Random(7)
    lines = ["time,cpu,memory"]
    for row in range(ROWS):
        phase = 2 * math.pi * row / ROWS
        cpu = 40 + 30 * math.sin(6 * phase) + chance.gauss(0, 4)
        lines.append(f"{1700000000 + 30 * row},{cpu:.3f},{50 + 20 * math.cos(phase):.3f}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n")


def once(text: str, folder: Path, out: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """One save: milliseconds by stage, and the run's answer."""
    stages: dict[str, float] = {}
    first: list[float] = []
    start = time.perf_counter()
    manifest = load_manifest(text, "bench.yaml")
    stages["manifest"] = time.perf_counter()
    loaded = loader.load(loader_params(manifest, folder, out, 2e9), LocalReport())
    stages["load"] = time.perf_counter()
    report = LocalReport(lambda _: first.append(time.perf_counter()))
    answer = trainer.train(trainer_params(manifest, loaded), report)
    stages["train"] = time.perf_counter()
    marks = [start, stages["manifest"], stages["load"], stages["train"]]
    times = {
        name: (end - begin) * 1e3
        for name, begin, end in zip(
            ("manifest", "load", "train"), marks[:-1], marks[1:], strict=True
        )
    }
    times["first point"] = (first[0] - start) * 1e3
    times["total"] = (marks[-1] - start) * 1e3
    times["recommend"] = recommend_ms(answer["policy"], loaded)
    clean(out)
    return times, answer


def recommend_ms(policy_bytes: bytes, loaded: dict[str, Any]) -> float:
    """Milliseconds of one recommendation by a loaded policy."""
    policy = Policy.from_bytes(policy_bytes)
    window = load_array(ArrayRef.from_dict(loaded["values"]))[-policy.span :]
    policy.recommend(window)
    start = time.perf_counter()
    for _ in range(100):
        policy.recommend(window)
    return (time.perf_counter() - start) * 10


def measure(name: str, text: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Medians of several rounds after one that does not count."""
    with tempfile.TemporaryDirectory() as out:
        once(text, folder, Path(out))
        results = [once(text, folder, Path(out)) for _ in range(rounds)]
    times = {
        stage: round(statistics.median(times[stage] for times, _ in results), 3)
        for stage in results[0][0]
    }
    evaluation = results[0][1]["evaluation"]
    return {
        "pod": name,
        "milliseconds": times,
        "in_sample": evaluation["in_sample"],
        "held_out": evaluation["held_out"],
        "reliability": evaluation["reliability"],
        "folds": evaluation["folds"],
        "candidate": evaluation["candidate"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    loader.warm()
    trainer.warm()
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        results = [measure("generated", MANIFEST, Path(folder), options.rounds)]
    if options.cases:
        text = (options.cases / "manifests" / "gardener.yaml").read_text()
        results.append(measure("gardener", text, options.cases, options.rounds))
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for result in results:
        times = "  ".join(f"{k} {v:.2f}" for k, v in result["milliseconds"].items())
        print(f"{result['pod']}: {times} (ms, median of {options.rounds})")
        for part in ("in_sample", "held_out"):
            score = result[part]
            print(
                f"  {part}: steps {score['steps']}, score {score['score']:.1f}, "
                f"best constant {score['best_constant']:.1f}, oracle {score['oracle']:.1f}, "
                f"of oracle {score['score'] / score['oracle']:.4f}, "
                f"regret closed {score['regret_closed']}"
            )
        print(f"  reliability {result['reliability']}, candidate {result['candidate']}")


if __name__ == "__main__":
    main()
