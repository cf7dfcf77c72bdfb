"""A population learns on a GPU: as many members at once as its memory holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spice_engine.errors import TooLarge
from spice_engine.learning.kernels import cuda as kernels
from spice_engine.learning.kernels.budget import Takes, fitting
from spice_engine.learning.kernels.population import Check, Course, Population
from spice_engine.learning.kernels.slices import in_slices

WARP = 32
_FIRST = 500
_MOST_FREE = 2**62
"""Of memory: the simulator says that there is no end of it."""


class Unusable(Exception):
    """The GPU cannot be used; the message says why in one sentence."""


class Gpu:
    """The first CUDA device, which gives each block so many `threads`.

    Making one raises Unusable where there is none that works.
    """

    def __init__(self, threads: int = kernels.THREADS) -> None:
        self.threads = threads
        cuda: Any = kernels.cuda
        try:
            device = cuda.get_current_device()
            cuda.current_context()
        except Exception as error:  # numba has a kind for each trouble of a driver
            raise Unusable(f"No GPU can be used: {first_line(error)}") from error
        name = getattr(device, "name", "cuda")
        self.name = f"cuda ({name.decode() if isinstance(name, bytes) else name})"

    def learn(self, population: Population, course: Course, passes: int, check: Check) -> None:
        """As `population.Device` says; raises Unusable where it cannot, nothing being changed."""
        before = population.values.copy(), population.words.copy()

        def undo() -> None:
            population.values[:], population.words[:] = before

        def work(members: slice) -> None:
            self._learn_some(population, members, course, passes, check)

        self.in_parts(population.size(course, passes), population.members, work, undo)
        population.passes += passes

    def in_parts(
        self, size: Takes, members: int, work: Callable[[slice], None], undo: Callable[[], None]
    ) -> None:
        """Has `work` done for all members, as many at a time as fit in memory.

        That is computed before; where the driver has less than it said, half as many members at a
        time are tried, down to a warp. Raises Unusable where it cannot be done, after `undo`.
        """
        try:
            together = fitting(size, members, free_bytes(), WARP)
        except TooLarge as error:
            raise Unusable(error.message) from error
        done = 0
        while done < members:
            some = slice(done, min(members, done + together))
            try:
                work(some)
            except Exception as error:
                if not of_driver(error):
                    raise
                if "OUT_OF_MEMORY" not in str(error) or together <= WARP:
                    undo()
                    raise Unusable(f"The GPU gave up: {first_line(error)}") from error
                together = max(WARP, together // 2 // WARP * WARP)
                continue
            done = some.stop

    def _learn_some(
        self, population: Population, members: slice, course: Course, passes: int, check: Check
    ) -> None:
        cuda: Any = kernels.cuda
        count = members.stop - members.start
        actions, history = course.actions, population.history
        chances = population.exploration.chances(population.passes, passes)
        own = [
            cuda.to_device(np.ascontiguousarray(one[members]))
            for one in (population.words, population.rates, population.gammas)
        ]
        chance = cuda.to_device(np.repeat(chances[:, None], count, axis=1))
        values = cuda.to_device(np.ascontiguousarray(population.values[:, :, members]))
        rewards = cuda.to_device(np.ascontiguousarray(course.rewards).reshape(-1))
        threads = min(self.threads, count)
        grid = -(-count // threads)
        if course.tiles.shape[1] == 1 and history == 1:
            kernel: Any = kernels.make_walk(actions)[grid, threads]
            states = cuda.to_device(np.ascontiguousarray(course.tiles).reshape(-1))
            given = (values, states, rewards, *own, chance)
        else:
            kernel = kernels.make_walk_traced(actions, history)[grid, threads]
            tiles = cuda.to_device(np.ascontiguousarray(course.tiles))
            traces = cuda.to_device(np.ascontiguousarray(population.traces[members]))
            chosen = cuda.to_device(np.zeros((history, count), dtype=np.uint32))
            weights = cuda.to_device(np.zeros((history, count), dtype=np.float32))
            given = (values, tiles, rewards, *own, traces, chance, chosen, weights)

        def work(begin: int, end: int) -> None:
            kernel(*given, begin, end)
            cuda.synchronize()

        in_slices(course.steps * passes, work, check, first=_FIRST)
        population.values[:, :, members] = values.copy_to_host()
        population.words[members] = own[0].copy_to_host()


def free_bytes() -> int:
    """Of the device's memory, now."""
    cuda: Any = kernels.cuda
    return int(min(cuda.current_context().get_memory_info()[0], _MOST_FREE))


def of_driver(error: Exception) -> bool:
    """Whether it is numba's or the driver's, and not of whoever cancels."""
    return type(error).__module__.startswith(("numba", "cuda"))


def first_line(error: Exception) -> str:
    """What it says, in a line of 200 characters at most, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:200].rstrip(" :.") or type(error).__name__
