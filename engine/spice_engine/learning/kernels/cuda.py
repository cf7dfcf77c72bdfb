"""Kernels for CUDA: a thread is a member, and all of a block walk the same steps together.

A table is `values[state, action, member]`, the member fastest, so that a warp reads and writes
whole cache lines. States and rewards are the same for all: a tile of them lies in shared memory.
The arithmetic is that of the CPU, to the bit. Importing this module imports numba.cuda.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.kernels import arithmetic
from spice_engine.learning.kernels.compiled import numba

numba()
# A global name: the simulator puts itself in the place of the module that kernels refer to so.
cuda: Any = importlib.import_module("numba.cuda")

THREADS = 128
TILE = 128
"""Steps whose states and rewards lie in shared memory at a time."""
AHEAD = 4
"""Rows are read so many steps before they are needed: of a member's own work nothing else hides
how long memory takes, and a population of 16,384 gives each scheduler one warp."""

Floats = NDArray[np.float32]
Words = NDArray[np.uint32]
F = TypeVar("F", bound=Callable[..., Any])

_SIMULATED = bool(cuda.config.ENABLE_CUDASIM)


def _device(function: F) -> F:
    """A function for kernels to call. The simulator's own form of one would cost tenfold."""
    return function if _SIMULATED else cuda.jit(device=True)(function)


def _product() -> Any:
    """A product that is never fused with a sum; by itself, the compiler fuses what it can."""
    if _SIMULATED:
        return arithmetic.product
    return importlib.import_module("numba.cuda.libdevice").fmul_rn


_times: Any = _product()
_next_random: Any = _device(arithmetic.next_random)
_explores: Any = _device(arithmetic.explores)
_random_action: Any = _device(arithmetic.random_action)
_step_of: Any = _device(arithmetic.bound(arithmetic.step_of, product=_times))


@_device
def _stage(
    codes: Words, paid: Floats, states: Words, rewards: Floats, start: int, count: int, actions: int
) -> None:
    """Has all threads of a block copy a tile of states and rewards to shared memory."""
    cuda.syncthreads()
    place = cuda.threadIdx.x
    while place < count + AHEAD + 1:
        codes[place] = states[min(start + place, states.shape[0] - 1)]
        place += cuda.blockDim.x
    place = cuda.threadIdx.x
    while place < count * actions:
        paid[place] = rewards[start * actions + place]
        place += cuda.blockDim.x
    cuda.syncthreads()


@cache
def make_walk(actions: int) -> Any:
    """The kernel of `cpu.walk` for so many actions.

    `values` [S, A, M], `states` [N + 1], `rewards` [N A], `words`, `rates` and `gammas` [M],
    `chances` [passes, M], `begin` and `end`. Rows wait in registers: the one of this step, and
    those of the AHEAD next, which are put right when a step changes one of them.
    """
    pay = TILE * actions
    waiting = (AHEAD + 1) * actions

    @cuda.jit
    def walk(
        values: Floats,
        states: Words,
        rewards: Floats,
        words: Words,
        rates: Floats,
        gammas: Floats,
        chances: Words,
        begin: int,
        end: int,
    ) -> None:
        codes = cuda.shared.array(TILE + AHEAD + 1, np.uint32)
        paid = cuda.shared.array(pay, np.float32)
        rows = cuda.local.array(waiting, np.float32)
        member = cuda.grid(1)
        live = member < words.shape[0]
        steps = states.shape[0] - 1
        word, rate, gamma = np.uint32(1), np.float32(0.0), np.float32(0.0)
        if live:
            word, rate, gamma = words[member], rates[member], gammas[member]
        while begin < end:
            done, start = begin // steps, begin % steps
            last = min(steps, start + end - begin)
            begin += last - start
            chance = np.uint32(0)
            if live:
                chance = chances[done, member]
            while start < last:
                count = min(TILE, last - start)
                _stage(codes, paid, states, rewards, start, count, actions)
                if live:
                    for near in range(AHEAD + 1):
                        for action in range(actions):
                            rows[near * actions + action] = values[codes[near], action, member]
                    for step in range(count):
                        state = codes[step]
                        word = _next_random(word)
                        best, greedy, later = rows[0], np.uint32(0), rows[actions]
                        for action in range(1, actions):
                            value, following = rows[action], rows[actions + action]
                            greedy = np.uint32(action) if value > best else greedy
                            best = value if value > best else best
                            later = following if following > later else later
                        chosen = greedy
                        if _explores(word, chance):
                            chosen = _random_action(word, np.uint32(actions))
                        value, reward = rows[0], paid[step * actions]
                        for action in range(1, actions):
                            if chosen == np.uint32(action):
                                value, reward = rows[action], paid[step * actions + action]
                        value = value + _step_of(rate, reward, gamma, later, value)
                        # The rows that wait move up; what has just changed in them is put right.
                        for near in range(1, AHEAD + 1):
                            same = codes[step + near] == state
                            for action in range(actions):
                                other = rows[near * actions + action]
                                if same and chosen == np.uint32(action):
                                    other = value
                                rows[(near - 1) * actions + action] = other
                        values[state, np.int64(chosen), member] = value
                        coming = codes[step + AHEAD + 1]
                        for action in range(actions):
                            rows[AHEAD * actions + action] = values[coming, action, member]
                start += count
        if live:
            words[member] = word

    return walk


@cache
def make_walk_traced(actions: int, history: int) -> Any:
    """The kernel of `cpu.walk_traced` for so many actions and steps that a trace lasts.

    `tiles` [N + 1, K]; `chosen` and `weights` [history, M] are the traces; the rest as in
    `make_walk`. Tiles are read from global memory, where all threads read the same.
    """

    @cuda.jit
    def walk_traced(
        values: Floats,
        tiles: Words,
        rewards: Floats,
        words: Words,
        rates: Floats,
        gammas: Floats,
        traces: Floats,
        chances: Words,
        chosen: Words,
        weights: Floats,
        begin: int,
        end: int,
    ) -> None:
        mine = cuda.local.array(actions, np.float32)
        ahead = cuda.local.array(actions, np.float32)
        member = cuda.grid(1)
        if member >= words.shape[0]:
            return
        steps, tilings = tiles.shape[0] - 1, tiles.shape[1]
        word, rate, gamma = words[member], rates[member], gammas[member]
        trace = _times(gamma, traces[member])
        for now in range(begin, end):
            step = now % steps
            for action in range(actions):
                value = values[tiles[step, 0], action, member]
                following = values[tiles[step + 1, 0], action, member]
                for tiling in range(1, tilings):
                    value = value + values[tiles[step, tiling], action, member]
                    following = following + values[tiles[step + 1, tiling], action, member]
                mine[action], ahead[action] = value, following
            word = _next_random(word)
            best, greedy, later = mine[0], np.uint32(0), ahead[0]
            for action in range(1, actions):
                greedy = np.uint32(action) if mine[action] > best else greedy
                best = mine[action] if mine[action] > best else best
                later = ahead[action] if ahead[action] > later else later
            taken = greedy
            if _explores(word, chances[now // steps, member]):
                taken = _random_action(word, np.uint32(actions))
            value, reward = mine[0], rewards[step * actions]
            for action in range(1, actions):
                if taken == np.uint32(action):
                    value, reward = mine[action], rewards[step * actions + action]
            move = _step_of(rate, reward, gamma, later, value)
            keep = trace if taken == greedy else np.float32(0.0)
            slot, known = step % history, min(history, step + 1)
            chosen[slot, member], weights[slot, member] = taken, np.float32(1.0)
            for back in range(known):
                past = (step - back) % history
                weight = weights[past, member]
                if back > 0:
                    weight = _times(weight, keep)
                    weights[past, member] = weight
                moved, action = _times(move, weight), np.int64(chosen[past, member])
                for tiling in range(tilings):
                    tile = tiles[step - back, tiling]
                    values[tile, action, member] = values[tile, action, member] + moved
        words[member] = word

    return walk_traced
