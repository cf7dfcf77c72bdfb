"""Actions with a range of values: which values are tried, so that a policy chooses among few.

A value is a *level*. Of each range a handful of levels is laid out evenly; then intervals are
halved, in rounds, where it pays: beside the levels that a regression tree, fitted to the training
rows, would choose, and beside the one that is best on average. At last the levels stay that lie
between the least and the greatest of these, and one more on either side. The learner sees as many
actions as there are levels. The idea is that of Sinclair, Banerjee and Yu, Adaptive Discretization
for Episodic Reinforcement Learning in Metric Spaces (2019); here every level's reward is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spice_engine.errors import InvalidRewards
from spice_engine.learning.algorithms.tree import fit_tree
from spice_engine.learning.evaluation import best_constant_action, choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.levels import Level
from spice_engine.learning.notes import Notes
from spice_engine.learning.reward_program import RewardProgram
from spice_engine.learning.rewards import Times, reward_column, reward_matrix

FIRST = 5
"""Levels that a range begins with."""
MOST = 65
"""Levels of one range."""
MOST_IN_ALL = 256
"""Levels of all ranges together; each has FIRST at least."""
MAX_CELLS = 30_000_000
"""Rows times levels, whose rewards are kept: of very many rows there are fewer levels."""
FINEST = 256
"""An interval is no narrower than the range by this."""
MOST_ROWS = 4_000
"""Of more training rows, evenly spaced ones say where levels are wanted."""
MIN_LEAF = 20

Ranges = Mapping[str, Mapping[str, Any]]
"""Of the actions that have one: `from`, `to` and `unit`."""
Pays = Callable[[float], Matrix]
"""What a value gets on each row [N]."""


class Payoffs:
    """The rewards of any level at some steps; their program reads the value as a last field."""

    def __init__(
        self,
        program: RewardProgram,
        current: Matrix,
        following: Matrix,
        times: Times,
        check: Callable[[], None],
        notes: Notes | None = None,
    ) -> None:
        empty = np.zeros((len(current), 1))
        self._program = program
        self._current = np.hstack([current, empty])
        self._following = np.hstack([following, empty])
        self._rest = (times, check, notes)

    def of(self, level: Level) -> Matrix:
        """Rewards [N] of a level.

        Raises:
            InvalidRewards: as `rewards.reward_matrix`; it says at which value.
        """
        action = self._program.actions.index(level.action)
        if level.value is None:
            return reward_column(self._program, action, self._current, self._following, *self._rest)
        self._current[:, -1] = self._following[:, -1] = level.value
        try:
            return reward_column(self._program, action, self._current, self._following, *self._rest)
        except InvalidRewards as error:
            raise type(error)(
                f"{error.message.removesuffix('.')} (action_value is {level.value:.6g}).",
                hint=error.hint,
                place=error.place,
            ) from error

    def matrix(self, levels: Sequence[Level]) -> Matrix:
        """Rewards [N, A] of these levels; raises as `of`."""
        return np.column_stack([self.of(level) for level in levels])


def find_levels(
    program: RewardProgram,
    ranges: Ranges,
    raw: Matrix,
    states: tuple[Matrix, Matrix, Times],
    check: Callable[[], None],
    notes: Notes | None = None,
) -> tuple[Level, ...]:
    """The levels of all actions, in their order, by training rows alone.

    `raw` [N, D] are the features of the rows that may be learned from, `states` the current and
    following rows and the current times. Raises as `Payoffs.of`.
    """
    some = slice(None, None, max(1, -(-len(raw) // MOST_ROWS)))
    current, following, times = states
    pays = Payoffs(program, current[some], following[some], times[some], check, notes)
    share = min(MOST_IN_ALL, MAX_CELLS // max(len(raw), 1)) // max(len(ranges), 1)
    most = max(min(MOST, share), FIRST)
    found: list[Level] = []
    for action in program.actions:
        if action not in ranges:
            found.append(Level(action))
            continue
        given = ranges[action]
        low, high, unit = float(given["from"]), float(given["to"]), str(given["unit"])

        def pay(value: float, action: str = action) -> Matrix:
            return pays.of(Level(action, value))

        found += [
            Level(action, value, unit) for value in refine(low, high, pay, raw[some], most, check)
        ]
    return tuple(found)


def refine(
    low: float,
    high: float,
    pay: Pays,
    raw: Matrix,
    most: int = MOST,
    check: Callable[[], None] = lambda: None,
) -> tuple[float, ...]:
    """The values worth choosing among, ascending, at most so many.

    `raw` [N, D] are the features of the rows.
    """
    values: list[float] = np.linspace(low, high, FIRST).tolist()
    paid = {value: pay(value) for value in values}
    finest = (high - low) / FINEST
    while True:
        check()
        wanted = _wanted(raw, np.column_stack([paid[value] for value in values]), check)
        split = [
            (-(wanted[i] + wanted[i + 1]), i)
            for i in range(len(values) - 1)
            if wanted[i] + wanted[i + 1] and (values[i + 1] - values[i]) / 2 >= finest
        ]
        room = most - len(values)
        if not split or not room:
            break
        for _, i in sorted(split)[:room]:
            middle = values[i] + (values[i + 1] - values[i]) / 2
            paid[middle] = pay(middle)
        values = sorted(paid)
    chosen = np.flatnonzero(wanted)
    return tuple(values[max(int(chosen[0]) - 1, 0) : int(chosen[-1]) + 2])


def _wanted(raw: Matrix, rewards: Matrix, check: Callable[[], None]) -> list[int]:
    """On how many rows each level would be chosen, by a tree, and once more by the mean."""
    counts = np.zeros(rewards.shape[1], dtype=np.int64)
    if len(rewards) >= 2 * MIN_LEAF:
        tree = fit_tree(raw, rewards, max_depth=10, min_leaf=MIN_LEAF, bins=32, check=check)
        counts += np.bincount(choose(tree.values(raw)), minlength=len(counts))
    counts[best_constant_action(rewards)] += 1
    return counts.tolist()


def level_matrix(
    program: RewardProgram,
    levels: Sequence[Level],
    states: tuple[Matrix, Matrix, Times],
    check: Callable[[], None],
    notes: Notes | None = None,
) -> Matrix:
    """Rewards [N, A] of the levels, or of the program's actions where none are given."""
    if not levels:
        return reward_matrix(program, *states, check, notes)
    return Payoffs(program, *states, check, notes).matrix(levels)
