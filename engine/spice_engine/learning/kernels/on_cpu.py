"""A population learns on the CPU: blocks of LANES members, over as many cores as there are."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.kernels import cpu
from spice_engine.learning.kernels.population import Check, Course, Population
from spice_engine.learning.kernels.slices import in_slices

Number = TypeVar("Number", np.float32, np.uint32)

_FIRST = 2_000
"""Steps of the first slice, of each block: some milliseconds for the largest tables."""
_ALIGNED = 64


@dataclass(slots=True)
class _Block:
    """LANES members; the last block is filled up with copies of nobody in particular."""

    values: NDArray[np.float32]
    words: NDArray[np.uint32]
    rates: NDArray[np.float32]
    gammas: NDArray[np.float32]
    traces: NDArray[np.float32]
    chosen: NDArray[np.uint32]
    weights: NDArray[np.float32]
    scratch: NDArray[np.float32]


class Cpu:
    """Kernels compiled for this CPU; at most `threads` run at once, without the interpreter."""

    name = "cpu"

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads or _cores()

    def learn(self, population: Population, course: Course, passes: int, check: Check) -> None:
        """As `population.Device` says."""
        actions, history = course.actions, population.history
        marks = (0,) * actions
        blocks = [
            _block(population, start, history) for start in range(0, population.members, cpu.LANES)
        ]
        chances = population.exploration.chances(population.passes, passes)
        chance = np.repeat(chances[:, None], cpu.LANES, axis=1)
        rewards = np.ascontiguousarray(course.rewards).reshape(-1)
        tiles = np.ascontiguousarray(course.tiles)
        plain = tiles.shape[1] == 1 and history == 1
        states = tiles.reshape(-1)

        def walk(block: _Block, begin: int, end: int) -> None:
            if plain:
                cpu.walk(
                    marks, block.values, states, rewards, block.words, block.rates, block.gammas,
                    chance, begin, end,
                )  # fmt: skip
            else:
                cpu.walk_traced(
                    marks, block.values, tiles, rewards, block.words, block.rates, block.gammas,
                    block.traces, chance, block.chosen, block.weights, block.scratch, begin, end,
                )  # fmt: skip

        walk(blocks[0], 0, 0)  # compiled here: another thread would wait for the first all the same
        total = course.steps * passes
        with ThreadPoolExecutor(min(self._threads, len(blocks)), "kernels") as pool:

            def work(begin: int, end: int) -> None:
                others = [pool.submit(walk, block, begin, end) for block in blocks[1:]]
                walk(blocks[0], begin, end)
                for other in others:
                    other.result()

            in_slices(total, work, check, first=max(1, _FIRST // len(blocks)))
        for index, block in enumerate(blocks):
            _take_back(population, index * cpu.LANES, block)
        population.passes += passes


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _block(population: Population, start: int, history: int) -> _Block:
    members = slice(start, start + cpu.LANES)
    cells, actions, _ = population.values.shape
    values = _aligned((cells, actions, cpu.LANES))
    count = len(population.words[members])
    values[:, :, :count] = population.values[:, :, members]
    return _Block(
        values=values.reshape(-1),
        words=_filled(population.words[members], np.uint32(1)),
        rates=_filled(population.rates[members], np.float32(0)),
        gammas=_filled(population.gammas[members], np.float32(0)),
        traces=_filled(population.traces[members], np.float32(0)),
        chosen=np.zeros((history, cpu.LANES), dtype=np.uint32),
        weights=np.zeros((history, cpu.LANES), dtype=np.float32),
        scratch=_aligned((2 * actions + 2, cpu.LANES)),
    )


def _take_back(population: Population, start: int, block: _Block) -> None:
    members = slice(start, start + cpu.LANES)
    count = len(population.words[members])
    shape = (*population.values.shape[:2], cpu.LANES)
    population.values[:, :, members] = block.values.reshape(shape)[:, :, :count]
    population.words[members] = block.words[:count]


def _filled(some: NDArray[Number], rest: Number) -> NDArray[Number]:
    lanes = np.full(cpu.LANES, rest, dtype=some.dtype)
    lanes[: len(some)] = some
    return lanes


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that begin with a cache line, so that no vector lies in two."""
    size = int(np.prod(shape)) * 4
    room = np.zeros(size + _ALIGNED, dtype=np.uint8)
    start = -room.ctypes.data % _ALIGNED
    return room[start : start + size].view(np.float32).reshape(shape)
