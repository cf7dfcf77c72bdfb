"""Which device a population learns on, and what is said where it is not the one asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from spice_engine.learning.kernels.population import Check, Course, Population

if TYPE_CHECKING:
    from spice_engine.learning.kernels.on_cuda import Gpu

Accelerator = Literal["auto", "cpu", "cuda"]
T = TypeVar("T")

WORTH_IT = 10**10
"""Updates from which a GPU pays: below, its start and the copies take longer than two cores."""


def open_gpu() -> Gpu | str:
    """The first GPU, or why there is none that works, in a sentence."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "What computes on GPUs is not installed: pip install 'spice-tui[cuda]'."
    from spice_engine.learning.kernels.on_cuda import Gpu, Unusable

    try:
        return Gpu()
    except Unusable as error:
        return str(error)


class Devices:
    """The devices of one training: the CPU, and a GPU if it is asked for, works and pays.

    Both give the same bits, so which one it was changes no policy. `name` is that of the last used,
    `notes` says in sentences why a GPU that was asked for was not used.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator: Accelerator = accelerator
        self._gpu: Gpu | None = None
        self._tried = False
        self.name = "cpu"
        self.notes: list[str] = []

    def learn(self, population: Population, course: Course, passes: int, check: Check) -> None:
        """Has the population learn for so many more passes; `check` is called between slices."""
        from spice_engine.learning.kernels.on_cpu import Cpu

        updates = course.steps * passes * population.members
        self.run(
            lambda gpu: gpu.learn(population, course, passes, check),
            lambda: Cpu().learn(population, course, passes, check),
            pays=updates >= WORTH_IT,
        )

    def run(self, on_gpu: Callable[[Gpu], T], on_cpu: Callable[[], T], *, pays: bool) -> T:
        """What one of both gives: the GPU where it is asked for or `pays`, and can do it."""
        gpu = self._find(pays=pays)
        if gpu is not None:
            from spice_engine.learning.kernels.on_cuda import Unusable

            try:
                found = on_gpu(gpu)
            except Unusable as error:
                self._note(str(error))
                self._gpu = None
            else:
                self.name = gpu.name
                return found
        self.name = "cpu"
        return on_cpu()

    def _find(self, *, pays: bool) -> Gpu | None:
        if self._accelerator == "cpu" or (self._accelerator == "auto" and not pays):
            return None
        if self._tried:
            return self._gpu
        self._tried = True
        found = open_gpu()
        if isinstance(found, str):
            self._note(found)
        else:
            self._gpu = found
        return self._gpu

    def _note(self, why: str) -> None:
        """`auto` is free to choose, so only who asks for a GPU is told."""
        if self._accelerator == "cuda":
            self.notes.append(f"{why.rstrip('.')}. The processor is used.")
