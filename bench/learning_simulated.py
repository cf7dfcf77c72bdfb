"""A simulated pod learned in its compiled kernel, against the same in C, on one core.

    python bench/learning_simulated.py [--rounds 9] [--passes 40] [--out FILE]

The pod is the sample trader: balances carried forward, laws as masks, rewards with fees, 64
members. Both sides run in this process, alternated; figures are medians. The C source beside this
file is built twice, with and without -ffast-math, and the faster one is the measure. A third build
without contraction shows that both sides learn the same, to the bit.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spice_engine.data.loader import load
from spice_engine.learning.assignment import Assignment
from spice_engine.learning.simulated_batch import make_batch, wanderings
from spice_engine.learning.simulated_kernel import Kernel
from spice_engine.learning.simulated_members import LEAST_RATE, Course
from spice_engine.learning.simulated_steps import Stepper
from spice_engine.learning.simulator import Simulator
from spice_engine.pods import plan
from spice_engine.pods.manifest import load_manifest
from spice_engine.workers.child import LocalReport

HERE = Path(__file__).parent
TRADER = HERE.parent / "sample_pods" / "trader"
MEMBERS, CELLS, GAMMA, SHARE = 64, 2048, 0.9, 0.5
BUILDS = {
    "same": ["-ffp-contract=off"],
    "plain": [],
    "fast": ["-ffast-math"],
}


class World:
    """The arrays that both sides learn from: 2,048 cells of 32 kinds of rows and 8 x 8 balances."""

    def __init__(self, passes: int) -> None:
        self.kernel, simulator, steps, batch = _trader()
        self.passes = passes
        price = simulator.world.values[:, simulator.world.fields.index("exchange_candles_close")]
        self.prices = np.ascontiguousarray(price)
        self.first, self.stop = int(steps[0]), int(steps[-1]) + 1
        kinds = np.zeros(len(price), dtype=np.int64)
        for lag, bins in ((1, 8), (4, 4)):
            change = np.concatenate([np.zeros(lag), price[lag:] - price[:-lag]])
            cuts = np.quantile(change, np.arange(1, bins) / bins)
            kinds = kinds * bins + np.searchsorted(cuts, change)
        local = np.ascontiguousarray(batch.local)
        self.course = Course(
            base=np.ascontiguousarray(kinds[self.first : self.stop + 1] * 64),
            edges=tuple(np.quantile(one, np.arange(1, 8) / 8) for one in local.T),
            strides=np.array([8, 1], dtype=np.int64),
            first=self.first,
            gamma=GAMMA,
            unit=float(batch.rewards[batch.lawful].std()),
            share=SHARE,
            rows=np.ascontiguousarray(batch.rows),
            local=local,
        )

    def fresh(self) -> tuple[Any, Any]:
        """Members that know nothing, and their random numbers."""
        words = np.random.default_rng(1).integers(1, 2**63, MEMBERS, dtype=np.uint64)
        return np.zeros((MEMBERS, CELLS, 8), dtype=np.float32), words

    def ours(self, table: Any, words: Any) -> None:
        """The pod's generated kernel."""
        course = self.course
        trouble = self.kernel.learn(
            table, 0, MEMBERS, course.steps * self.passes, words, *course.own(MEMBERS),
            *course.shared(self.kernel, self.passes),
        )  # fmt: skip
        assert not trouble

    def in_c(self, library: ctypes.CDLL) -> Callable[[Any, Any], None]:
        """The C function of a build."""

        def at(array: Any) -> ctypes.c_void_p:
            return ctypes.c_void_p(array.ctypes.data)

        whole, double, single, word = (
            ctypes.c_int64, ctypes.c_double, ctypes.c_float, ctypes.c_uint64,
        )  # fmt: skip
        coins, usd = self.kernel.initial.tolist()

        course = self.course
        chances = course.own(MEMBERS)[-1]
        share, *_, bounds, strides, _, _, _ = course.shared(self.kernel, self.passes)
        edges = np.concatenate(course.edges)

        def run(table: Any, words: Any) -> None:
            library.learn(
                at(table), whole(MEMBERS), whole(CELLS), at(words), single(LEAST_RATE),
                single(GAMMA), at(chances), word(int(share)), at(course.rows),
                at(course.local), whole(len(course.rows)), whole(self.first), whole(self.stop),
                whole(course.length), whole(self.passes), double(1.0 / course.unit),
                at(course.base), at(edges), at(bounds), at(strides), at(self.prices),
                double(coins), double(usd),
            )  # fmt: skip

        return run


def _trader() -> tuple[Kernel, Simulator, Any, Any]:
    manifest = load_manifest((TRADER / "spicepods/trader.yaml").read_text(), "trader.yaml")
    with tempfile.TemporaryDirectory() as scratch:
        params = plan.loader_params(manifest, TRADER, Path(scratch), time.time())
        loaded = load(params, LocalReport())
        asked = plan.trainer_params(manifest, loaded, TRADER, fingerprint="")
        assignment = Assignment(asked)
        world = assignment.simulated_task().world
        steps = assignment.split.every
        simulator = Simulator(world)
        stepper = Stepper(simulator)
        walks = wanderings(stepper, steps, len(world.actions), 0)
        batch = make_batch(simulator, steps, walks, 0)
        return Kernel(simulator), simulator, steps, batch


def build(flags: list[str], folder: Path, name: str) -> ctypes.CDLL:
    """The C source as a shared library."""
    target = folder / f"{name}.so"
    source = HERE / "learning_simulated.c"
    command = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", *flags]
    subprocess.run([*command, "-o", str(target), str(source), "-lm"], check=True)
    return ctypes.CDLL(str(target))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    world = World(given.passes)
    with tempfile.TemporaryDirectory() as folder:
        built = {name: build(flags, Path(folder), name) for name, flags in BUILDS.items()}
        sides: dict[str, Callable[[Any, Any], None]] = {"ours": world.ours}
        sides |= {name: world.in_c(library) for name, library in built.items()}
        learned = {name: world.fresh() for name in sides}
        for name, side in sides.items():
            side(*learned[name])  # compiled, and what is equal is seen
        same = all(
            np.array_equal(a, b) for a, b in zip(learned["ours"], learned["same"], strict=True)
        )
        updates = int(learned["ours"][0][:, :, 4:].sum(dtype=np.float64))
        taken: dict[str, list[float]] = {name: [] for name in sides if name != "same"}
        for _ in range(given.rounds):
            for name, seconds in taken.items():
                members = world.fresh()
                begin = time.thread_time()
                sides[name](*members)
                seconds.append(time.thread_time() - begin)
    speed = {name: updates / statistics.median(one) / 1e6 for name, one in taken.items()}
    best = max(speed["plain"], speed["fast"])
    figures = {
        "members": MEMBERS,
        "cells": CELLS,
        "updates": updates,
        "million_steps_per_second": {name: round(one, 2) for name, one in speed.items()},
        "share_of_c": round(speed["ours"] / best, 3),
        "equal_to_the_bit": same,
        "wanted": 0.85,
    }
    print(json.dumps(figures, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
