"""Kernels for the CPU: LANES members side by side, which LLVM turns into vector instructions.

A block of members has its table flat, `values[(state * actions + action) * LANES + lane]`, so one
row lies together and a lane is fastest. `actions` is a tuple with an element for each action: its
length is known when a kernel is compiled, and loops over it are unrolled. All members of a block
see the same states and rewards. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.kernels import arithmetic
from spice_engine.learning.kernels.compiled import njit, prefetch

LANES = 64
_AHEAD = 4
"""Rows are fetched from memory so many steps before they are needed."""
_LINE = 16
"""Values in a cache line."""

Floats = NDArray[np.float32]
Words = NDArray[np.uint32]
Marks = tuple[int, ...]
Whole = int | np.int64

_NOTHING = np.float32(-0.0)
"""Added, it changes no number, not even a zero's sign. A condition on a store would be a branch."""

_next_random = njit(arithmetic.next_random, inline=True)
_explores = njit(arithmetic.explores, inline=True)
_random_action = njit(arithmetic.random_action, inline=True)
_product = njit(arithmetic.product, inline=True)
_step_of = njit(arithmetic.bound(arithmetic.step_of, product=_product), inline=True)
_fetch: Any = prefetch()


def _learn_here(
    actions: Marks,
    values: Floats,
    row: Whole,
    following: Floats,
    ahead: Whole,
    moves: bool,
    rewards: Floats,
    paid: int,
    words: Words,
    rates: Floats,
    gammas: Floats,
    chances: Words,
) -> None:
    """One step of all lanes: from the row of `values` at `row` to that of `following` at `ahead`.

    Where the state stays the same nothing `moves`, and the row that was read is the one ahead.
    """
    count = np.uint32(len(actions))
    for lane in range(LANES):
        word = _next_random(words[lane])
        words[lane] = word
        best, greedy = values[row + lane], np.uint32(0)
        for action in range(1, len(actions)):
            value = values[row + action * LANES + lane]
            greedy = np.uint32(action) if value > best else greedy
            best = value if value > best else best
        later = best
        if moves:
            later = following[ahead + lane]
            for action in range(1, len(actions)):
                value = following[ahead + action * LANES + lane]
                later = value if value > later else later
        tried = _random_action(word, count)
        chosen = tried if _explores(word, chances[lane]) else greedy
        value, reward = values[row + lane], rewards[paid]
        for action in range(1, len(actions)):
            other, pay = values[row + action * LANES + lane], rewards[paid + action]
            value = other if chosen == np.uint32(action) else value
            reward = pay if chosen == np.uint32(action) else reward
        step = _step_of(rates[lane], reward, gammas[lane], later, value)
        for action in range(len(actions)):
            values[row + action * LANES + lane] += step if chosen == np.uint32(action) else _NOTHING


_learn = njit(_learn_here, inline=True, apart=True)


def _walk(
    actions: Marks,
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
    """Q-learning of one block of members on a course of states that no action changes.

    Steps `begin` to `end`, counted over all passes. A pass has N steps, from `states[i]` to
    `states[i + 1]` [N + 1], in which action a is paid `rewards[i * A + a]` [N A]. `words` [LANES]
    are the states of the random numbers, `chances` [passes, LANES] those of exploring, in parts of
    UNIT. Changes `values` and `words`.
    """
    steps, width = len(states) - 1, len(actions) * LANES
    while begin < end:
        done, first = begin // steps, begin % steps
        last = min(steps, first + end - begin)
        # A row of its own, not an offset that might be negative for all that LLVM knows.
        now = chances[done]
        for step in range(first, last):
            state, following = np.int64(states[step]), np.int64(states[step + 1])
            soon = np.int64(states[min(step + _AHEAD, steps)]) * width
            for line in range(width // _LINE):
                _fetch(values, soon + line * _LINE)
            row, paid = state * width, step * len(actions)
            # Two loops: to LLVM, a row that is read and written at once is no vector loop.
            if state == following:
                _learn(
                    actions, values, row, values, row, False, rewards, paid,
                    words, rates, gammas, now,
                )  # fmt: skip
            else:
                _learn(
                    actions, values, row, values, following * width, True, rewards, paid,
                    words, rates, gammas, now,
                )  # fmt: skip
        begin += last - first


walk = njit(_walk)


def _gather_here(actions: Marks, total: Floats, values: Floats, row: Whole, first: bool) -> None:
    """A row of values added to `total` [A LANES], or copied there as the first."""
    start = np.uint64(row)  # no sign to test: a load of a vector, not of its elements
    for place in range(len(actions) * LANES):
        value = values[start + np.uint64(place)]
        total[place] = value if first else total[place] + value


def _decide_here(
    actions: Marks,
    values: Floats,
    following: Floats,
    rewards: Floats,
    paid: int,
    words: Words,
    rates: Floats,
    gammas: Floats,
    traces: Floats,
    chances: Words,
    chosen: Words,
    keep: Floats,
    steps: Floats,
) -> None:
    """What each lane takes, how far its values move, and what is kept of its traces [LANES]."""
    count = np.uint32(len(actions))
    for lane in range(LANES):
        word = _next_random(words[lane])
        words[lane] = word
        best, greedy, later = values[lane], np.uint32(0), following[lane]
        for action in range(1, len(actions)):
            value, next_value = values[action * LANES + lane], following[action * LANES + lane]
            greedy = np.uint32(action) if value > best else greedy
            best = value if value > best else best
            later = next_value if next_value > later else later
        tried = _random_action(word, count)
        taken = tried if _explores(word, chances[lane]) else greedy
        value, reward = values[lane], rewards[paid]
        for action in range(1, len(actions)):
            other, pay = values[action * LANES + lane], rewards[paid + action]
            value = other if taken == np.uint32(action) else value
            reward = pay if taken == np.uint32(action) else reward
        chosen[lane] = taken
        steps[lane] = _step_of(rates[lane], reward, gammas[lane], later, value)
        kept = _product(gammas[lane], traces[lane])
        keep[lane] = kept if taken == greedy else np.float32(0.0)


def _fade_here(weights: Floats, keep: Floats) -> None:
    for lane in range(LANES):
        weights[lane] = _product(weights[lane], keep[lane])


def _spread_here(
    actions: Marks, values: Floats, row: Whole, chosen: Words, weights: Floats, steps: Floats
) -> None:
    """Moves a row by `steps`, as far as each lane's trace of its action there still weighs."""
    start = np.uint64(row)
    for lane in range(LANES):
        step, taken = _product(steps[lane], weights[lane]), chosen[lane]
        for action in range(len(actions)):
            place = start + np.uint64(action * LANES + lane)
            values[place] += step if taken == np.uint32(action) else _NOTHING


_gather = njit(_gather_here, inline=True, apart=True)
_decide = njit(_decide_here, inline=True, apart=True)
_fade = njit(_fade_here, inline=True, apart=True)
_spread = njit(_spread_here, inline=True, apart=True)


def _walk_traced(
    actions: Marks,
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
    scratch: Floats,
    begin: int,
    end: int,
) -> None:
    """As `walk`, on tile codes and with eligibility traces: Watkins's Q(lambda).

    A state is the tiles `tiles[i]` [N + 1, K], its value the sum of their rows. A trace is the
    action taken `chosen` [H, LANES] and its weight `weights` [H, LANES], which fades by gamma
    lambda a step and goes when another than the best action is taken; it ends after H steps. Sutton
    and Barto, Reinforcement Learning, 2nd edition, 2018, 9.5.4 and 12.10. `scratch`
    [2 A + 2, LANES] holds what a step needs.
    """
    steps, width = len(tiles) - 1, len(actions) * LANES
    mine, later = scratch[: len(actions)].reshape(-1), scratch[len(actions) : -2].reshape(-1)
    moves, keep = scratch[-2], scratch[-1]
    tilings, history = tiles.shape[1], len(chosen)
    while begin < end:
        done, first = begin // steps, begin % steps
        last = min(steps, first + end - begin)
        now = chances[done]
        for step in range(first, last):
            for tiling in range(tilings):
                row = np.int64(tiles[step, tiling]) * width
                ahead = np.int64(tiles[step + 1, tiling]) * width
                _gather(actions, mine, values, row, tiling == 0)
                _gather(actions, later, values, ahead, tiling == 0)
            slot = step % history
            _decide(
                actions, mine, later, rewards, step * len(actions),
                words, rates, gammas, traces, now, chosen[slot], keep, moves,
            )  # fmt: skip
            known = min(history, step + 1)
            for back in range(1, known):
                _fade(weights[(step - back) % history], keep)
            weights[slot] = np.float32(1.0)
            for back in range(known):
                past = (step - back) % history
                for tiling in range(tilings):
                    row = np.int64(tiles[step - back, tiling]) * width
                    _spread(actions, values, row, chosen[past], weights[past], moves)
        begin += last - first


walk_traced = njit(_walk_traced)
