"""Kernels on a GPU: equal to the CPU's, and how much faster. One command on a machine with a GPU:

    python bench/learning_gpu.py [--out docs/benchmarks/learning_gpu.json]

It needs the extra `cuda`. First every CUDA kernel is run beside the CPU's, bit for bit (of
networks up to rounding). Then a
population of 16,384 members learns tables of 512 states and three actions, on the GPU and on two
cores; figures are medians. The roofs are measured, too: what the GPU's memory moves, and how many
updates that allows at 16 bytes each (a row of three values read, one value written). A population
of networks (`learning_gpu_networks.py`) and one in the episodes of a simulated pod
(`learning_gpu_episodes.py`) are measured the same way. Takes about three minutes. With
NUMBA_ENABLE_CUDASIM=1, small numbers and `--networks 0` it can be tried without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Two threads of BLAS, as many as the cores that are compared with; before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import learning_gpu_episodes as episodes
import learning_gpu_networks as networks
import numpy as np

from spice_engine.learning.kernels import cuda as kernels
from spice_engine.learning.kernels.on_cpu import Cpu
from spice_engine.learning.kernels.on_cuda import Gpu, Unusable
from spice_engine.learning.kernels.population import Course, Exploration, Population

ROOT = Path(__file__).resolve().parent.parent
ACTIONS = 3
BYTES = 16
"""Of memory that an update of one member moves: a row of three values in, one value out."""
WANTED_G, WANTED_RATIO = 100.0, 30.0
cuda: Any = kernels.cuda


def course_of(states: int, steps: int) -> Course:
    """Random states and rewards."""
    random = np.random.default_rng(0)
    tiles = random.integers(0, states, (steps + 1, 1)).astype(np.uint32)
    return Course(tiles, random.random((steps, ACTIONS)).astype(np.float32), states)


def population_of(course: Course, members: int) -> Population:
    """Members with different step sizes and discounts."""
    random = np.random.default_rng(1)
    return Population.make(
        course,
        random.uniform(0.02, 0.3, members).astype(np.float32),
        random.uniform(0.0, 0.95, members).astype(np.float32),
        np.zeros(members, dtype=np.float32),
        Exploration(0.5, 0.9, 0.05),
        seed=0,
    )


def equal() -> dict[str, bool]:
    """Every kernel on both devices, in a process of its own; networks agree up to rounding."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.gpu_kernels"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "engine")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    return json.loads(done.stdout)


def seconds(work: Callable[[], None], rounds: int) -> float:
    """The median of some rounds, after one that counts for nothing."""
    taken: list[float] = []
    for turn in range(rounds + 1):
        begin = time.perf_counter()
        work()
        if turn:
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def on_gpu(course: Course, members: int, passes: int, rounds: int) -> float:
    """Updates a second of the kernel alone; tables stay on the device."""
    one = population_of(course, members)
    chances = np.repeat(one.exploration.chances(0, passes)[:, None], members, axis=1)
    given = [
        cuda.to_device(array)
        for array in (
            one.values, course.tiles.reshape(-1), course.rewards.reshape(-1), one.words, one.rates,
            one.gammas, chances,
        )
    ]  # fmt: skip
    threads = min(kernels.THREADS, members)
    kernel = kernels.make_walk(ACTIONS)[-(-members // threads), threads]

    def work() -> None:
        kernel(*given, 0, course.steps * passes)
        cuda.synchronize()

    return course.steps * passes * members / seconds(work, rounds)


def on_cpu(course: Course, members: int, passes: int, rounds: int) -> float:
    """Updates a second on two cores, copies of the tables included."""
    one, device = population_of(course, members), Cpu(threads=2)
    taken = seconds(lambda: device.learn(one, course, passes, lambda: None), rounds)
    return course.steps * passes * members / taken


@cuda.jit
def _add(target: Any, source: Any) -> None:
    place = cuda.grid(1)
    while place < target.shape[0]:
        target[place] += source[place] * np.float32(1.5)
        place += cuda.gridsize(1)


def bandwidth(count: int, rounds: int) -> float:
    """Bytes a second that a sum of two large arrays reads and writes."""
    target, source = (cuda.to_device(np.ones(count, dtype=np.float32)) for _ in range(2))
    blocks = max(1, min(4096, count // 256))

    def work() -> None:
        _add[blocks, min(256, count)](target, source)
        cuda.synchronize()

    return 12 * count / seconds(work, rounds)


def main() -> None:
    """Compare, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--states", type=int, default=512)
    parser.add_argument("--members", type=int, default=16_384)
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--passes", type=int, default=100, help="of a launch on the GPU")
    parser.add_argument("--cpu-passes", type=int, default=20)
    parser.add_argument("--networks", type=int, default=1_056, help="eight for each of 132 SMs")
    parser.add_argument("--network-steps", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=16_384, help="members in a simulated pod")
    parser.add_argument("--episode-passes", type=int, default=50)
    parser.add_argument("--numbers", type=int, default=2**28, help="for the memory's roof")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    try:
        name = Gpu().name
    except Unusable as error:
        raise SystemExit(f"{error}") from None
    cores = sorted(os.sched_getaffinity(0))[:2]
    same = equal()
    rounded = {name for name in same if name.startswith("networks: ")}
    course = course_of(given.states, given.steps)
    gpu = on_gpu(course, given.members, given.passes, given.rounds)
    roof = bandwidth(given.numbers, given.rounds)
    os.sched_setaffinity(0, set(cores))
    of_networks = (
        networks.figures(given.networks, given.network_steps, given.rounds)
        if given.networks
        else None
    )
    cpu = on_cpu(course, given.members, given.cpu_passes, given.rounds)
    in_episodes = (
        episodes.figures(given.episodes, given.episode_passes, given.rounds)
        if given.episodes
        else None
    )
    table = given.states * ACTIONS * 4 * given.members
    figures = {
        "device": name,
        "processor": platform.processor() or platform.machine(),
        "cores": len(cores),
        "equal_to_the_bit": {name: one for name, one in same.items() if name not in rounded},
        "networks_agree": {name: one for name, one in same.items() if name in rounded},
        "states": given.states,
        "members": given.members,
        "tables_mib": round(table / 2**20, 1),
        "gpu_g_updates_per_second": round(gpu / 1e9, 3),
        "cpu_g_updates_per_second": round(cpu / 1e9, 3),
        "times_two_cores": round(gpu / cpu, 1),
        "memory_g_bytes_per_second": round(roof / 1e9, 1),
        "share_of_memory_roof": round(gpu * BYTES / roof, 3),
        "networks": of_networks,
        "episodes": in_episodes,
        "wanted": {"gpu_g_updates_per_second": WANTED_G, "times_two_cores": WANTED_RATIO},
    }
    print(json.dumps(figures, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(report(figures))


def report(figures: dict[str, Any]) -> str:
    """The figures as a page."""
    equal_ones = all(figures["equal_to_the_bit"].values())
    return (
        "# Kernels on a GPU\n\n"
        "<!-- Made by bench/learning_gpu.py. -->\n\n"
        f"{figures['device']}, against {figures['cores']} cores of {figures['processor']}. "
        f"{figures['members']:,} members learn tables of {figures['states']} states and "
        f"{ACTIONS} actions, {figures['tables_mib']} MiB together. All kernels equal the CPU's to "
        f"the bit: {'yes' if equal_ones else 'NO'}. Networks agree with BLAS up to rounding: "
        f"{'yes' if all(figures['networks_agree'].values()) else 'NO'}.\n\n"
        "| | measured | wanted |\n|---|---|---|\n"
        f"| updates a second on the GPU | {figures['gpu_g_updates_per_second']} G "
        f"| {WANTED_G:g} G |\n"
        f"| updates a second on two cores | {figures['cpu_g_updates_per_second']} G | |\n"
        f"| GPU against two cores | {figures['times_two_cores']} times | {WANTED_RATIO:g} times |\n"
        f"| the GPU's memory moves | {figures['memory_g_bytes_per_second']} GB/s | |\n"
        f"| share of what memory allows, at {BYTES} bytes an update "
        f"| {figures['share_of_memory_roof']:.0%} | |\n"
        f"{networks.rows(figures['networks'], WANTED_RATIO) if figures['networks'] else ''}"
        f"{episodes.rows(figures['episodes']) if figures['episodes'] else ''}"
    )


if __name__ == "__main__":
    main()
