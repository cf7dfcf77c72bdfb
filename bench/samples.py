"""What the sample pods learn, judged on series they have never seen.

    python bench/samples.py [--sample NAME …] [--seeds N …] [--json FILE]

Each sample is trained on its own data, in this process and without an engine. The policy that
would serve then acts on other series: those that the sample's generator makes of other seeds, or,
for serverops, recordings of other days. Printed is *regret closed*, of the way from the best
constant action to the oracle: 0 is doing the same thing all the time, 1 is knowing the future.
The best constant action is the one that was best on the unseen series itself, known only
afterwards: a harder judge than the one that was best in training.

`--json` writes {"<sample>": {"median": x, "seeds": [x, …]}}.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# One thread, as the pool gives a trainer; before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from spice_engine.data import loader
from spice_engine.learning import trainer
from spice_engine.learning.assignment import Assignment
from spice_engine.learning.evaluation import best_constant_action, choose, evaluate
from spice_engine.learning.policy import Policy
from spice_engine.learning.simulated_choosers import chooser
from spice_engine.learning.simulated_evaluation import Part
from spice_engine.learning.simulated_steps import Stepper
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Simulator
from spice_engine.pods.manifest import Manifest, load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.child import LocalReport

HERE = Path(__file__).resolve().parent
SAMPLES_FOLDER = HERE.parent / "sample_pods"
RECORDINGS = HERE / "recordings"
"""Days of serverops, each made by `record.py --seed SEED --interval 0.25 --stretch 120`."""
NOW = 2e9
"""Unix seconds when all is over, so that every bucket is complete."""


@dataclass(frozen=True)
class Sample:
    """A sample app: its data, the program that makes them, and seeds that nobody tuned for.

    Without a `generator` the series of a seed is `RECORDINGS/NAME-SEED.csv`.
    """

    name: str
    data: str
    generator: str
    unseen: tuple[int, ...]

    @property
    def folder(self) -> Path:
        """The sample's app folder."""
        return SAMPLES_FOLDER / self.name

    def make(self, seed: int, app: Path) -> None:
        """Put the series of a seed where the pod looks for its data in the app folder `app`."""
        target = app / self.data
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self.generator:
            shutil.copy(RECORDINGS / f"{self.name}-{seed}.csv", target)
            return
        program = str(self.folder / self.generator)
        subprocess.run(
            [sys.executable, program, "--seed", str(seed), "--out", str(target)], check=True
        )


SAMPLES = {
    sample.name: sample
    for sample in (
        Sample("gardener", "data/garden.csv", "simulate.py", (101, 102, 103, 104, 105)),
        Sample("logpruner", "data/events.json", "logs.py", (101, 102, 103, 104, 105)),
        Sample("serverops", "data/metrics.csv", "", (8, 9, 10, 11, 12)),
        Sample("trader", "data/prices.csv", "market.py", (101, 102, 103, 104, 105)),
    )
}


@dataclass(frozen=True)
class Learned:
    """A sample's policy, with how long its training took."""

    sample: Sample
    manifest: Manifest
    policy: Policy
    seconds: float


@dataclass(frozen=True)
class Judged:
    """How a policy did on a series."""

    score: float
    best_constant: float
    best_constant_action: str
    oracle: float
    regret_closed: float
    actions: dict[str, int]


def learn(sample: Sample, text: str = "") -> Learned:
    """Train a sample on its own data; `text` stands in for its manifest."""
    file = sample.folder / "spicepods" / f"{sample.name}.yaml"
    manifest = load_manifest(text or file.read_text(), file.name)
    with tempfile.TemporaryDirectory() as out:
        params = assignment_of(manifest, sample.folder, Path(out)).params
        begin = time.perf_counter()
        answer = trainer.train(params, LocalReport())
        seconds = time.perf_counter() - begin
    return Learned(sample, manifest, Policy.from_bytes(answer["policy"]), seconds)


def judge(learned: Learned, seed: int) -> Judged:
    """Have a policy act on the whole series of another seed."""
    with tempfile.TemporaryDirectory() as scratch:
        app = Path(scratch)
        learned.sample.make(seed, app)
        assignment = assignment_of(learned.manifest, app, app / "out")
        if learned.manifest.simulated:
            return _simulate(learned.policy, assignment)
        return _follow(learned.policy, assignment)


def assignment_of(manifest: Manifest, app: Path, out: Path) -> Assignment:
    """What a trainer would be sent for the data of the app folder `app`, handed over in `out`."""
    loaded = loader.load(loader_params(manifest, app, out, NOW), LocalReport())
    if loaded["problems"]:
        raise SystemExit(f"{manifest.name}: {loaded['problems']}")
    return Assignment(trainer_params(manifest, loaded, app, fingerprint=""))


def _follow(policy: Policy, assignment: Assignment) -> Judged:
    """Of a pod that no action changes: every action's reward is known at every step."""
    task = assignment.task(lambda: None)
    steps = task.split.every
    rewards = task.paid(steps)
    chosen = choose(policy.model.values(policy.layout.raw(task.values, steps)))
    found = evaluate(chosen, rewards, task.actions, best_constant_action(rewards))
    return _judged(found.as_dict())


def _simulate(policy: Policy, assignment: Assignment) -> Judged:
    """Of a simulated pod: one episode from the initializers over the whole series."""
    world = assignment.simulated_task().world
    simulator = Simulator(world)
    stepper = Stepper(simulator)
    steps = assignment.split.every
    part = Part(simulator, stepper, steps, seed=0)
    first, last = int(steps[0]), int(steps[-1])
    raw = policy.layout.raw(world.values, np.arange(first, last + 2))
    local = np.array([policy.layout.position(name) for name in world.local], dtype=np.int64)
    rollout = stepper.act(steps, chooser(policy.model, View(raw, first, local), steps))
    return _judged(part.judge(rollout, part.best_constant(len(steps))).as_dict())


def _judged(found: dict[str, Any]) -> Judged:
    return Judged(
        found["score"],
        found["best_constant"],
        found["best_constant_action"],
        found["oracle"],
        found["regret_closed"],
        found["actions_taken"],
    )


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", nargs="*", choices=SAMPLES, default=list(SAMPLES))
    parser.add_argument("--seeds", nargs="*", type=int, help="series to judge by; default: five")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    loader.warm()
    trainer.warm()
    figures: dict[str, Any] = {}
    for name in options.sample:
        sample = SAMPLES[name]
        learned = learn(sample)
        evaluation = learned.policy.evaluation
        own = {
            part: round(evaluation[part]["regret_closed"], 3)
            for part in ("in_sample", "held_out", "refit")
        }
        print(f"{name}: {learned.seconds:.2f} s, {evaluation['candidate']}, own data {own}")
        closed: list[float] = []
        for seed in options.seeds or sample.unseen:
            found = judge(learned, seed)
            closed.append(round(found.regret_closed, 4))
            print(
                f"  seed {seed}: regret closed {found.regret_closed:.3f}; score {found.score:.1f}, "
                f"always {found.best_constant_action} {found.best_constant:.1f}, "
                f"oracle {found.oracle:.1f}; {found.actions}"
            )
        figures[name] = {"median": round(statistics.median(closed), 4), "seeds": closed}
        print(f"  median {figures[name]['median']:.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
