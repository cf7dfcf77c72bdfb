"""Is the confidence true? Expected calibration error, held out, of gardener and the samples.

    SPICE_CASES=DIR python bench/learning_calibration.py [--seeds N …] [--json FILE]

Each pod is trained as the engine would, in this process. Held out is the last part of its own data,
which nothing was calibrated on: the figure of the policy's own evaluation. Of samples whose
actions change nothing the served policy's confidence is compared with the truth on series of other
seeds as well (see `samples.py`). A simulated sample has some hundred held-out steps, of which
chance alone makes an error near the bar; so it is trained on series of other seeds, too, each with
its own held-out part, and the steps of all of these are looked at together.
`chance` is about what the error would be of as many steps if the confidence were exactly true.

`--json` writes {"<pod>": {"held_out": x, "chance": x, "steps": n, "unseen": [x, …]}}; of a
simulated sample "own" and "own_chance" are those of its own series alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from samples import NOW, SAMPLES, Learned, Sample, assignment_of, learn

from spice_engine.data import loader
from spice_engine.learning import trainer
from spice_engine.learning.confidence import Reliability, reliability
from spice_engine.learning.policy import Policy
from spice_engine.pods.manifest import Manifest, load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.child import LocalReport

BAR = 0.05
REGENERATED = range(201, 213)
"""Seeds of the series that a simulated sample is trained on besides its own."""


def unseen(learned: Learned, seed: int) -> Reliability:
    """Confidence and truth on the whole series of another seed."""
    policy = learned.policy
    with tempfile.TemporaryDirectory() as scratch:
        app = Path(scratch)
        learned.sample.make(seed, app)
        assignment = assignment_of(learned.manifest, app, app / "out")
        task = assignment.task(lambda: None)
    steps = task.split.every
    values = policy.model.values(policy.layout.raw(task.values, steps))
    found = reliability(policy.calibration, values, task.paid(steps))
    assert found is not None
    return found


def gardener(cases: Path) -> Policy:
    """The pod of the original's documentation, with its data."""
    manifest = load_manifest((cases / "manifests/gardener.yaml").read_text(), "gardener.yaml")
    with tempfile.TemporaryDirectory() as out:
        loaded = loader.load(loader_params(manifest, cases, Path(out), NOW), LocalReport())
        params = trainer_params(manifest, loaded, cases, fingerprint="")
        return Policy.from_bytes(trainer.train(params, LocalReport())["policy"])


def regenerated(sample: Sample, manifest: Manifest, seed: int) -> dict[str, Any]:
    """The held-out reliability of a policy trained on the series of another seed."""
    with tempfile.TemporaryDirectory() as scratch:
        app = Path(scratch)
        sample.make(seed, app)
        params = assignment_of(manifest, app, app / "out").params
        policy = Policy.from_bytes(trainer.train(params, LocalReport())["policy"])
    trust: dict[str, Any] = policy.evaluation["reliability"]
    print(f"    seed {seed}: error {trust['error']:.3f} (chance {trust['chance']:.3f})")
    return trust


def pooled(trusts: list[dict[str, Any]]) -> dict[str, Any]:
    """Error, chance and steps of all of these steps together."""
    bins: dict[int, list[dict[str, Any]]] = {}
    for one in (one for trust in trusts for one in trust["bins"]):
        bins.setdefault(min(int(one["confidence"] * 10), 9), []).append(one)
    error = chance = 0.0
    for ones in bins.values():
        steps = sum(one["steps"] for one in ones)
        said = sum(one["steps"] * one["confidence"] for one in ones)
        error += abs(said - sum(one["steps"] * one["right"] for one in ones))
        chance += math.sqrt(2 / math.pi * said * (1 - said / steps))
    steps = sum(one["steps"] for ones in bins.values() for one in ones)
    return {"held_out": error / steps, "chance": chance / steps, "steps": steps}


def row(name: str, policy: Policy) -> dict[str, Any]:
    """The held-out figures of a policy, printed."""
    trust = policy.evaluation["reliability"]
    steps = sum(one["steps"] for one in trust["bins"])
    print(
        f"{name:12} held out: error {trust['error']:.3f} (chance {trust['chance']:.3f}), says "
        f"{trust['confidence']:.3f}, right {trust['right']:.3f}, {steps} steps, "
        f"{policy.evaluation['candidate']}"
    )
    for one in trust["bins"]:
        print(f"    {one['steps']:5} steps  says {one['confidence']:.3f}  right {one['right']:.3f}")
    return {"held_out": trust["error"], "chance": trust["chance"], "steps": steps}


def main() -> None:
    """Train, compare, print; 1 where a held-out error is above the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", nargs="*", type=int, help="series to judge by; default: five")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    cases = os.environ.get("SPICE_CASES")
    if cases:
        figures["gardener (cases)"] = row("gardener *", gardener(Path(cases)))
    for name, sample in SAMPLES.items():
        learned = learn(sample)
        figures[name] = row(name, learned.policy)
        seeds = sample.unseen if options.seeds is None else options.seeds
        if learned.manifest.simulated:
            own = figures[name]
            trusts = [regenerated(sample, learned.manifest, seed) for seed in REGENERATED]
            figures[name] = pooled([learned.policy.evaluation["reliability"], *trusts])
            figures[name] |= {"own": own["held_out"], "own_chance": own["chance"]}
            print(
                "    together: error {held_out:.3f} (chance {chance:.3f})".format(**figures[name])
            )
            seeds = ()
        found = [unseen(learned, seed) for seed in seeds]
        figures[name]["unseen"] = [round(one.error, 4) for one in found]
        for seed, one in zip(seeds, found, strict=True):
            print(
                f"    seed {seed}: error {one.error:.3f} (chance {one.chance:.3f}), "
                f"says {one.confidence:.3f}, right {one.right:.3f}"
            )
        if found:
            print(f"    median {statistics.median(one.error for one in found):.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    worst = max(one["held_out"] for one in figures.values())
    print(f"worst held out: {worst:.3f}, bar {BAR}")
    raise SystemExit(worst > BAR)


if __name__ == "__main__":
    main()
