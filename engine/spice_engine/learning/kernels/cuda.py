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
# Whether work is too small for a GPU is said by `devices` and `network_devices`.
cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

THREADS = 128
TILE = 128
"""Steps whose states and rewards lie in shared memory at a time."""
ROWS = 4
"""Rows of a table that are under way at once: of a member's own work nothing else hides how long
memory takes, and a population of 16,384 gives each scheduler of a large GPU one warp."""
NOWHERE = np.uint32(0xFFFFFFFF)
"""No state: nothing was learned yet in this tile."""
_CODES = TILE + ROWS

Floats = NDArray[np.float32]
Words = NDArray[np.uint32]
F = TypeVar("F", bound=Callable[..., Any])

_SIMULATED = bool(cuda.config.ENABLE_CUDASIM)


def device(function: F) -> F:
    """A function for kernels to call. The simulator's own form of one would cost tenfold."""
    return function if _SIMULATED else cuda.jit(device=True)(function)


def _product() -> Any:
    """A product that is never fused with a sum; by itself, the compiler fuses what it can."""
    if _SIMULATED:
        return arithmetic.product
    return importlib.import_module("numba.cuda.libdevice").fmul_rn


_times: Any = _product()
_next_random: Any = device(arithmetic.next_random)
_explores: Any = device(arithmetic.explores)
_random_action: Any = device(arithmetic.random_action)
_step_of: Any = device(arithmetic.bound(arithmetic.step_of, product=_times))


@device
def _stage(
    codes: Words, paid: Floats, states: Words, rewards: Floats, start: int, count: int, actions: int
) -> None:
    """Has all threads of a block copy a tile of states and rewards to shared memory."""
    cuda.syncthreads()
    place = cuda.threadIdx.x
    while place < count + ROWS:
        codes[place] = states[min(start + place, states.shape[0] - 1)]
        place += cuda.blockDim.x
    place = cuda.threadIdx.x
    while place < count * actions:
        paid[place] = rewards[start * actions + place]
        place += cuda.blockDim.x
    cuda.syncthreads()


@device
def _walk_on(
    rows: Floats,
    at: Words,
    left: Words,
    acted: Words,
    learned: Floats,
    place: int,
    actions: int,
    word: Any,
    chance: Any,
    rate: Any,
    gamma: Any,
    paid: Floats,
    step: int,
) -> np.float32:
    """One step from the row at `place` to the next; what was learned goes to `learned`, too."""
    mine, ahead = place * actions, (place + 1) % ROWS * actions
    following = at[(place + 1) % ROWS]
    # What was learned while the next row was on its way, the oldest first.
    for back in range(ROWS - 2, 0, -1):
        past = (place - back) % ROWS
        if left[past] == following:
            for action in range(actions):
                if acted[past] == np.uint32(action):
                    rows[ahead + action] = learned[past]
    best, greedy, later = rows[mine], np.uint32(0), rows[ahead]
    for action in range(1, actions):
        greedy = np.uint32(action) if rows[mine + action] > best else greedy
        best = rows[mine + action] if rows[mine + action] > best else best
        later = rows[ahead + action] if rows[ahead + action] > later else later
    chosen = greedy
    if _explores(word, chance):
        chosen = _random_action(word, np.uint32(actions))
    value = rows[mine]
    for action in range(1, actions):
        value = rows[mine + action] if chosen == np.uint32(action) else value
    reward = paid[np.uint32(np.uint32(step * actions) + chosen)]
    value = value + _step_of(rate, reward, gamma, later, value)
    if at[place] == following:
        for action in range(actions):
            if chosen == np.uint32(action):
                rows[ahead + action] = value
    left[place], acted[place], learned[place] = at[place], chosen, value
    return value


@cache
def make_walk(actions: int) -> Any:
    """The kernel of `cpu.walk` for so many actions.

    `values` [S, A, M], `states` [N + 1], `rewards` [N A], `words`, `rates` and `gammas` [M],
    `chances` [passes, M], `begin` and `end`. ROWS rows are under way in registers: the one of this
    step, the next, and those that are still being read. A row is touched only when it is next: then
    it is put right by what was learned since it was asked for. Registers don't move from step to
    step, so ROWS steps stand in a row, each with places of its own.
    """
    pay = TILE * actions
    room = ROWS * actions

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
        codes = cuda.shared.array(_CODES, np.uint32)
        paid = cuda.shared.array(pay, np.float32)
        rows = cuda.local.array(room, np.float32)
        at = cuda.local.array(ROWS, np.uint32)
        left = cuda.local.array(ROWS, np.uint32)
        acted = cuda.local.array(ROWS, np.uint32)
        learned = cuda.local.array(ROWS, np.float32)
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
                    for place in range(ROWS):
                        at[place], left[place] = codes[place], NOWHERE
                        for action in range(actions):
                            rows[place * actions + action] = values[at[place], action, member]
                    for first in range(0, count, ROWS):
                        for place in range(ROWS):
                            step = first + place
                            if step < count:
                                word = _next_random(word)
                                value = _walk_on(
                                    rows, at, left, acted, learned, place, actions, word,
                                    chance, rate, gamma, paid, step,
                                )  # fmt: skip
                                values[left[place], np.int64(acted[place]), member] = value
                                coming = codes[np.uint32(step + ROWS)]
                                at[place] = coming
                                for action in range(actions):
                                    row = place * actions + action
                                    rows[row] = values[coming, action, member]
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
