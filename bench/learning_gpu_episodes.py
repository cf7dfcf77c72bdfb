"""A population in the episodes of a simulated pod, on a GPU and on two cores (`learning_gpu.py`).

The pod is the sample trader, as in `learning_simulated.py`: balances carried forward, laws as
masks, rewards with fees, 2,048 cells, each member in an episode of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import learning_simulated as simulated
import numpy as np

from spice_engine.learning import simulated_on_cpu, simulated_on_cuda
from spice_engine.learning.kernels.on_cuda import Gpu
from spice_engine.learning.simulated_members import Population

Learn = Callable[[Population, int], bool]
CPU_MEMBERS = 1_024


class Episodes:
    """The pod, and how a population learns in it on either device."""

    def __init__(self) -> None:
        self._world, self._gpu = simulated.World(1), Gpu()

    def on_gpu(self, population: Population, passes: int) -> bool:
        """On the GPU, copies of the tables included."""
        kernel, course = self._world.kernel, self._world.course
        return simulated_on_cuda.learn(self._gpu, kernel, population, course, passes, lambda: None)

    def on_cpu(self, population: Population, passes: int) -> bool:
        """On as many cores as this process may use."""
        kernel, course = self._world.kernel, self._world.course
        return simulated_on_cpu.learn(kernel, population, course, passes, lambda: None)

    def fresh(self, members: int) -> Population:
        """Members that know nothing."""
        return Population.begin(members, simulated.CELLS, self._world.kernel.actions, seed=1)

    def seconds(self, learn: Learn, members: int, passes: int) -> tuple[float, int]:
        """How long it takes, and how many updates there are."""
        population = self.fresh(members)
        begin = time.perf_counter()
        fine = learn(population, passes)
        took = time.perf_counter() - begin
        assert fine
        visits = population.table[:, :, self._world.kernel.actions :]
        return took, int(visits.sum(dtype=np.float64))

    def same(self, members: int) -> bool:
        """Whether both devices come to the same tables, bit for bit."""
        one, other = self.fresh(members), self.fresh(members)
        fine = self.on_gpu(one, 1) and self.on_cpu(other, 1)
        bits = np.array_equal(one.table.view(np.uint32), other.table.view(np.uint32))
        return fine and bool(one.table.any()) and bits and np.array_equal(one.words, other.words)


def figures(members: int, passes: int, rounds: int) -> dict[str, Any]:
    """Updates a second; the first call on the GPU, which compiles the pod, is told by itself."""
    episodes = Episodes()
    begin = time.perf_counter()
    same = episodes.same(min(members, 256))
    first = time.perf_counter() - begin

    def median(learn: Learn, members: int, passes: int) -> tuple[float, int]:
        told = [episodes.seconds(learn, members, passes) for _ in range(rounds)]
        return statistics.median(took for took, _ in told), told[0][1]

    short, few = median(episodes.on_gpu, members, passes)
    long, many = median(episodes.on_gpu, members, 2 * passes)
    took, updates = median(episodes.on_cpu, min(members, CPU_MEMBERS), max(1, passes // 5))
    alone, cpu = (many - few) / max(long - short, 1e-9), updates / took
    return {
        "members": members,
        "equal_to_the_bit": same,
        "first_call_s": round(first, 2),
        "gpu_g_updates_per_second": round(alone / 1e9, 4),
        "gpu_with_copies_g_updates_per_second": round(many / long / 1e9, 4),
        "cpu_g_updates_per_second": round(cpu / 1e9, 4),
        "times_two_cores": round(alone / cpu, 1),
        "with_copies_times_two_cores": round(many / long / cpu, 1),
    }


def rows(told: dict[str, Any]) -> str:
    """The figures as rows of a table."""
    same = "yes" if told["equal_to_the_bit"] else "NO"
    return (
        f"| {told['members']:,} members in episodes of a simulated pod: updates a second on the "
        f"GPU; equal to the bit: {same} | {told['gpu_g_updates_per_second']} G, "
        f"{told['times_two_cores']} times two cores | |\n"
        f"| the same, tables copied to the GPU and back | "
        f"{told['gpu_with_copies_g_updates_per_second']} G, "
        f"{told['with_copies_times_two_cores']} times | |\n"
        f"| the first call, which compiles the pod for the GPU and the processor "
        f"| {told['first_call_s']} s | |\n"
    )
