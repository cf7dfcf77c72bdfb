"""The CPU's kernel of tabular Q-learning, 64 lanes on one core, against the same in C.

    python bench/learning_kernels.py [--rounds 9] [--updates 50e6] [--out FILE]

Tables of 64 to 32,768 states with three actions on random states, and the sample pods as tables of
two features in eight bins; with SPICE_CASES (a folder with `manifests` and `data` of the
originals) the gardener of the originals, too. Both sides run in this process, alternated; figures
are medians of the thread's own time. The C source beside this file is built by
`gcc -O3 -march=native -ffast-math`, with vectors of the width that gcc prefers and of 512 bits, and
the faster one is the measure. A build without contraction shows that both learn the same, to the
bit.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from samples import NOW, SAMPLES

from spice_engine.data import loader
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tabular import TabularFit
from spice_engine.learning.assignment import Assignment
from spice_engine.learning.hyperparameters import Tabular
from spice_engine.learning.kernels import cpu
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.child import LocalReport

HERE = Path(__file__).resolve().parent
STATES = (64, 512, 4096, 32_768)
STEPS = 4_000
BUILDS = {
    "same": ["-ffp-contract=off"],
    "fast": ["-ffast-math"],
    "wide": ["-ffast-math", "-mprefer-vector-width=512"],
}
WANTED_EACH, WANTED_MEAN = 0.75, 0.85


@dataclass(frozen=True)
class Case:
    """A course of states [N + 1] below `cells`, and the rewards [N, A] of its steps."""

    name: str
    states: NDArray[np.uint32]
    rewards: NDArray[np.float32]
    cells: int


@dataclass
class Members:
    """What one side learns from and into; a cache line each begins with."""

    values: NDArray[np.float32]
    words: NDArray[np.uint32]
    rates: NDArray[np.float32]
    gammas: NDArray[np.float32]
    chances: NDArray[np.uint32]


Side = Callable[[Case, Members, int], None]


def random_cases() -> Iterator[Case]:
    """The table sizes of the anchors."""
    random = np.random.default_rng(0)
    states = random.integers(0, STATES[-1], STEPS + 1)
    rewards = random.random((STEPS, 3)).astype(np.float32)
    for count in STATES:
        yield Case(f"{count} states", (states % count).astype(np.uint32), rewards, count)


def pod_cases() -> Iterator[Case]:
    """The states of real pods, which often stay the same for a while."""
    for name, sample in SAMPLES.items():
        text = (sample.folder / "spicepods" / f"{name}.yaml").read_text()
        yield from _pod(f"sample {name}", text, sample.folder)
    cases = Path(os.environ.get("SPICE_CASES", "/nowhere"))
    for file in sorted(cases.glob("manifests/*.yaml")):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(cases / "data", Path(folder) / "data")
            yield from _pod(file.stem, file.read_text(), Path(folder))


def _pod(name: str, text: str, app: Path) -> Iterator[Case]:
    manifest = load_manifest(text, f"{name}.yaml")
    if manifest.simulated:
        return  # its states differ from member to member: bench/learning_simulated.py
    with tempfile.TemporaryDirectory() as out:
        loaded = loader.load(loader_params(manifest, app, Path(out), NOW), LocalReport())
        given = trainer_params(manifest, loaded, app, fingerprint="")
        task = Assignment(given).task(lambda: None)
        steps = task.split.every
        raw, rewards = task.raw(steps), task.rewards
        table = TabularFit(raw, rewards, Tabular(), [(2, 8)], lambda: None).model(0)
        assert isinstance(table, Table)
        states = table.cells(raw)
        paid = (rewards / (rewards.std() or 1.0)).astype(np.float32)
        yield Case(name, np.append(states, states[-1]).astype(np.uint32), paid, len(table.mean))


def fresh(case: Case, passes: int) -> Members:
    """Members that know nothing."""
    actions = case.rewards.shape[1]
    words = _aligned(cpu.LANES, np.uint32)
    words[:] = np.random.default_rng(1).integers(1, 2**32, cpu.LANES)
    rates, gammas = _aligned(cpu.LANES, np.float32), _aligned(cpu.LANES, np.float32)
    rates[:], gammas[:] = 0.1, 0.95
    chances = _aligned(passes * cpu.LANES, np.uint32)
    chances[:] = 6_554  # a tenth
    values = _aligned(case.cells * actions * cpu.LANES, np.float32)
    return Members(values, words, rates, gammas, chances)


def _aligned(count: int, kind: Any) -> Any:
    room = np.zeros(count * 4 + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + count * 4].view(kind)


def ours(case: Case, members: Members, passes: int) -> None:
    """The kernel."""
    steps, actions = case.rewards.shape
    cpu.walk(
        (0,) * actions, members.values, case.states, case.rewards.reshape(-1), members.words,
        members.rates, members.gammas, members.chances.reshape(passes, cpu.LANES), 0,
        steps * passes,
    )  # fmt: skip


def in_c(library: ctypes.CDLL) -> Side:
    """The C function of a build."""

    def run(case: Case, members: Members, passes: int) -> None:
        pointers = [
            ctypes.c_void_p(one.ctypes.data)
            for one in (
                members.values, case.states, case.rewards, members.words, members.rates,
                members.gammas, members.chances,
            )
        ]  # fmt: skip
        counts = ctypes.c_int64(len(case.rewards)), ctypes.c_int64(passes)
        library.walk(*pointers[:3], *counts, *pointers[3:])

    return run


def build(flags: list[str], actions: int, folder: Path, name: str) -> ctypes.CDLL:
    """The C source as a shared library, for so many actions."""
    target = folder / f"{name}-{actions}.so"
    command = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", f"-DACTIONS={actions}", *flags]
    subprocess.run([*command, "-o", str(target), str(HERE / "learning_kernels.c")], check=True)
    return ctypes.CDLL(str(target))


def measure(case: Case, rounds: int, updates: float, folder: Path) -> dict[str, Any]:
    """One case's figures."""
    steps, actions = case.rewards.shape
    passes = max(1, round(updates / (steps * cpu.LANES)))
    sides: dict[str, Side] = {"ours": ours}
    sides |= {name: in_c(build(flags, actions, folder, name)) for name, flags in BUILDS.items()}
    learned = {name: fresh(case, 2) for name in ("ours", "same")}
    for name, members in learned.items():
        sides[name](case, members, 2)
    same = np.array_equal(learned["ours"].values, learned["same"].values)
    # Each has a table of its own, which stays: what the system does at a first touch is nobody's.
    members = {name: fresh(case, passes) for name in sides if name != "same"}
    taken: dict[str, list[float]] = {name: [] for name in members}
    for turn in range(rounds + 1):
        for name, seconds in taken.items():
            begin = time.thread_time()
            sides[name](case, members[name], passes)
            if turn:
                seconds.append(time.thread_time() - begin)
    speed = {
        name: steps * passes * cpu.LANES / statistics.median(one) / 1e6
        for name, one in taken.items()
    }
    stays = float((case.states[1:] == case.states[:-1]).mean())
    return {
        "cells": case.cells,
        "actions": actions,
        "steps": steps,
        "share_that_stay": round(stays, 3),
        "million_updates_per_second": {name: round(one) for name, one in speed.items()},
        "share_of_c": round(speed["ours"] / max(speed["fast"], speed["wide"]), 3),
        "equal_to_the_bit": bool(same),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=float, default=50e6, help="of one round")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in (*random_cases(), *pod_cases()):
            one = measure(case, given.rounds, given.updates, Path(folder))
            figures[case.name] = one
            speed = one["million_updates_per_second"]
            print(
                f"{case.name}: {speed['ours']} M updates/s, C {speed['fast']}, in 512 bits "
                f"{speed['wide']}: {one['share_of_c']:.0%}; equal {one['equal_to_the_bit']}",
                flush=True,
            )
    shares = [one["share_of_c"] for one in figures.values()]
    mean = math.exp(statistics.fmean(math.log(share) for share in shares))
    summary = {
        "cases": figures,
        "least_share": min(shares),
        "geometric_mean": round(mean, 3),
        "wanted": {"each": WANTED_EACH, "geometric_mean": WANTED_MEAN},
    }
    print(f"least {min(shares):.0%} (wanted {WANTED_EACH:.0%}), mean {mean:.0%}")
    if given.out is not None:
        given.out.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
