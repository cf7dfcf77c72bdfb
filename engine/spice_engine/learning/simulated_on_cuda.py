"""A simulated pod's population learns on a GPU: as many members at a time as fit in its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.kernels.cuda import cuda
from spice_engine.learning.kernels.on_cuda import Gpu
from spice_engine.learning.kernels.slices import in_slices
from spice_engine.learning.simulated_kernel_cuda import make_learn
from spice_engine.learning.simulated_members import Arguments, Course, Population
from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.learning.simulated_kernel import Kernel

THREADS = 64
"""Of a block: members differ in where they are, and small blocks fill all of a GPU's cores."""
ROOM = 4
"""Values and visits of a row take a multiple of this: of up to four actions, 32 bytes together."""
_FIRST = 200
"""Steps of each member in the first slice."""


@record
class EpisodesSize:
    """What a population in episodes of its own takes of a device's memory."""

    cells: int
    actions: int
    member: int
    shared: int

    def bytes(self, members: int) -> int:
        """Bytes that so many members take."""
        return self.shared + members * self.member


def size_of(population: Population, own: Arguments, shared: Arguments) -> EpisodesSize:
    """The bytes of the arrays that `learn` hands over."""
    _, cells, width = population.table.shape
    table = 2 * _padded(width // 2) * cells * population.table.itemsize
    given = sum(one.nbytes for one in (population.words, *own)) // population.members
    return EpisodesSize(
        cells=cells,
        actions=width // 2,
        member=table + given,
        shared=sum(one.nbytes for one in shared if isinstance(one, np.ndarray)),
    )


def learn(
    gpu: Gpu,
    kernel: Kernel,
    population: Population,
    course: Course,
    passes: int,
    check: Callable[[], None],
) -> bool:
    """As `simulated_on_cpu.learn`, to the bit; raises Unusable where it cannot."""
    own, shared = course.own(population.members), course.shared(kernel, passes)
    before = population.table.copy(), population.words.copy()
    fine = True

    def undo() -> None:
        population.table[:], population.words[:] = before

    def work(members: slice) -> None:
        nonlocal fine
        if fine:
            mine = tuple(one[members] for one in own)
            total = passes * course.steps
            fine = _learn_some(gpu, kernel, population, members, mine, shared, total, check)

    gpu.in_parts(size_of(population, own, shared), population.members, work, undo)
    return fine


def _learn_some(
    gpu: Gpu,
    kernel: Kernel,
    population: Population,
    members: slice,
    own: Arguments,
    shared: Arguments,
    total: int,
    check: Callable[[], None],
) -> bool:
    """Some members' `total` steps, at most; whether there was no trouble."""
    table = cuda.to_device(_spread(population.table[members]))
    words = cuda.to_device(population.words[members])
    trouble = cuda.to_device(np.zeros(1, dtype=np.int32))
    rest: list[Any] = [
        cuda.to_device(one) if isinstance(one, np.ndarray) else one for one in (*own, *shared)
    ]
    count = members.stop - members.start
    threads = min(gpu.threads, THREADS, count)
    function: Any = make_learn(kernel.module)[-(-count // threads), threads]
    fine = True

    def work(begin: int, end: int) -> None:
        nonlocal fine
        if fine:
            function(table, trouble, end - begin, words, *rest)
            fine = not trouble.copy_to_host()[0]  # waits for the kernel

    in_slices(total, work, check, first=_FIRST)
    actions = population.table.shape[2] // 2
    room = _padded(actions)
    learned: NDArray[np.float32] = table.copy_to_host()
    population.table[members, :, :actions] = learned[:, :, :actions]
    population.table[members, :, actions:] = learned[:, :, room : room + actions]
    population.words[members] = words.copy_to_host()
    return fine


def _padded(actions: int) -> int:
    return -(-actions // ROOM) * ROOM


def _spread(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tables [M, S, 2 A] with room behind the values, and behind the visits."""
    members, cells, width = table.shape
    actions = width // 2
    room = _padded(actions)
    wide = np.zeros((members, cells, 2 * room), dtype=np.float32)
    wide[:, :, :actions] = table[:, :, :actions]
    wide[:, :, room : room + actions] = table[:, :, actions:]
    return wide
