"""A simulated pod's population learns on the CPU: blocks of members over the cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from spice_engine.learning.simulated_members import Course, Population

if TYPE_CHECKING:
    from spice_engine.learning.simulated_kernel import Kernel

_SLICE = 800_000
"""Steps between two looks at whether the work is still wanted: below 50 ms."""
_LOOK_SECONDS = 0.02


def learn(
    kernel: Kernel, population: Population, course: Course, passes: int, check: Callable[[], None]
) -> bool:
    """Lets every member go through so many episodes; says whether it could be done.

    Members share the cores, a block of them each; what they learn does not depend on that.
    """
    members = population.members
    own, shared = course.own(members), course.shared(kernel, passes)
    together = max(1, min(members, _SLICE // max(course.steps, 1)))
    at_once = _SLICE // together
    unwanted = threading.Event()

    def run(low: int, high: int) -> bool:
        """One block's episodes, slice by slice; whether there was trouble."""
        for one in range(low, high, together):
            end = min(one + together, high)
            for _ in range(0, passes * course.steps, at_once):
                if unwanted.is_set():
                    return False
                if kernel.learn(
                    population.table, one, end, at_once, population.words, *own, *shared
                ):
                    return True
        return False

    cores = min(len(os.sched_getaffinity(0)), members)
    blocks = np.linspace(0, members, cores + 1).astype(int).tolist()
    with ThreadPoolExecutor(cores) as pool:
        calls = [pool.submit(run, *block) for block in pairwise(blocks)]
        try:
            while wait(calls, timeout=_LOOK_SECONDS).not_done:
                check()
        except BaseException:
            unwanted.set()
            raise
    return not any(call.result() for call in calls)
