"""The reward matrix: every action's reward for every step from one row to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import InvalidRewards, Place
from spice_engine.learning.formula_columns import Column, Rows, Trouble
from spice_engine.learning.notes import Notes
from spice_engine.learning.reward_check import InvalidRewardValue
from spice_engine.learning.reward_program import (
    NOTES,
    ActionReward,
    RewardProgram,
    input_name,
)
from spice_engine.learning.trouble import describe, hint
from spice_engine.units import format_time

Matrix = NDArray[np.float64]
Times = NDArray[np.int64]

MAX_REWARD = 1e100
"""Larger rewards are refused: sums and squares of them would overflow."""
_CHUNK = 1024
_COLUMN_CHUNK = 16 * _CHUNK
"""Rows at a time: some columns of so many still fit into a core's cache."""
_FEW = 64
"""So many rows are done one by one: columns would take longer."""
_NUMBERS = frozenset({float, int, bool})


def reward_matrix(
    program: RewardProgram,
    current: Matrix,
    following: Matrix,
    times: Times,
    check: Callable[[], None] = lambda: None,
    notes: Notes | None = None,
) -> Matrix:
    """Rewards [N, A] of the steps from `current` [N, F] to `following` [N, F].

    `times` [N] are the unix seconds of the current rows, for messages and to look up `notes`, the
    interpretations. `check` is called now and then and may raise to end the work.

    Raises InvalidRewards where the code raises, InvalidRewardValue where it gives no finite number
    of at most MAX_REWARD; both with the place in the manifest, the action and the state's time.
    """
    steps = len(current)
    result = np.ones((steps, len(program.actions)))
    if program.rewards:
        actions = range(len(program.actions))
        _fill(program, actions, result, _Steps(current, following, times, notes), check)
    return result


def reward_column(
    program: RewardProgram,
    action: int,
    current: Matrix,
    following: Matrix,
    times: Times,
    check: Callable[[], None] = lambda: None,
    notes: Notes | None = None,
) -> Matrix:
    """Rewards [N] of one action (by index); else as `reward_matrix`."""
    result = np.ones((len(current), 1))
    if program.rewards:
        _fill(program, [action], result, _Steps(current, following, times, notes), check)
    return result[:, 0]


class _Steps:
    """The steps to reward: columns of both states, as arrays and as Python's floats."""

    def __init__(
        self, current: Matrix, following: Matrix, times: Times, notes: Notes | None
    ) -> None:
        self._tables = {"current": current, "next": following}
        self._notes = notes or Notes([], 1)
        self._lists: dict[tuple[str, int, int], list[Any]] = {}
        self.times = times

    def __len__(self) -> int:
        return len(self.times)

    def column(self, which: str, field: int, start: int, end: int) -> Column:
        """A field of some of the steps."""
        return Column(self._tables[which][start:end, field])

    def values(self, which: str, field: int, start: int, end: int) -> list[Any]:
        """The same as Python's floats; interpretations for NOTES."""
        key = (which, field, start)
        if key not in self._lists:
            if field == NOTES:
                find = self._notes.at if which == "current" else self._notes.after
                self._lists[key] = [find(time) for time in self.times[start:end].tolist()]
            else:
                self._lists[key] = self._tables[which][start:end, field].tolist()
        return self._lists[key]


def _fill(
    program: RewardProgram,
    actions: Sequence[int],
    result: Matrix,
    steps: _Steps,
    check: Callable[[], None],
) -> None:
    """Rewards of some actions, one column of `result` each."""
    for start in range(0, len(steps), _COLUMN_CHUNK):
        check()
        end = min(start + _COLUMN_CHUNK, len(steps))
        done = (
            _by_columns(program, actions, result[start:end], steps, start)
            if end - start > _FEW
            else frozenset[int]()
        )
        for position, index in enumerate(actions):
            if index not in done:
                _by_rows(program.rewards[index], result[start:end, position], steps, start, check)


def _by_columns(
    program: RewardProgram, actions: Sequence[int], result: Matrix, steps: _Steps, start: int
) -> frozenset[int]:
    """Fills in what column code gives with certainty, and says for which actions."""
    end = start + len(result)
    rewards = [program.rewards[index] for index in actions]
    if not any(reward.columns for reward in rewards):
        return frozenset()
    wanted = {one for reward in rewards if reward.columns for one in reward.arguments}
    rows = Rows({input_name(*one): steps.column(*one, start, end) for one in wanted})
    done: set[int] = set()
    with np.errstate(all="ignore"):
        if program.init is not None:
            try:
                program.init(rows, True)
            except Trouble:
                return frozenset()
        for position, (index, reward) in enumerate(zip(actions, rewards, strict=True)):
            if reward.columns is None:
                continue
            with suppress(Trouble):
                own = rows.copy()
                reward.columns(own, True)
                values = own.floats("reward", len(result))
                if (np.abs(values) <= MAX_REWARD).all():
                    result[:, position] = values
                    done.add(index)
    return frozenset(done)


def _by_rows(
    reward: ActionReward, result: Matrix, steps: _Steps, start: int, check: Callable[[], None]
) -> None:
    for first in range(start, start + len(result), _CHUNK):
        check()
        end = min(first + _CHUNK, start + len(result))
        arguments = [steps.values(*one, first, end) for one in reward.arguments]
        result[first - start : end - start] = _run(reward, arguments, steps.times[first:end])


def _run(reward: ActionReward, arguments: Sequence[list[Any]], times: Times) -> Matrix:
    """Rewards of one stretch of rows; on any trouble again row by row, to say which it was."""
    rows = list(zip(*arguments, strict=True)) if arguments else [()] * len(times)
    function = reward.function
    try:
        values: list[Any] = [function(*row) for row in rows]
    except Exception as error:
        _raise_at_row(reward, rows, times)
        raise _changing(reward, describe(error), reward.place_of(error)) from error
    if _NUMBERS.issuperset(map(type, values)):
        try:
            numbers = np.array(values, dtype=np.float64)
        except OverflowError:
            numbers = np.array([math.nan])
        if (np.abs(numbers) <= MAX_REWARD).all():
            return numbers
    _raise_at_row(reward, rows, times)
    raise _changing(reward, "an unusable value", reward.source.place(1, 0))


def _changing(reward: ActionReward, what: str, place: Place) -> InvalidRewards:
    # Code in the manifest is a pure function; functions of a file need not be.
    return InvalidRewards(
        f"The reward for action '{reward.action}' gave {what}, and for the same states a number.",
        hint="A reward depends on its arguments alone.",
        place=place,
    )


def _raise_at_row(reward: ActionReward, rows: Sequence[tuple[Any, ...]], times: Times) -> None:
    for row, time in zip(rows, times.tolist(), strict=True):
        reward_of(reward, row, f"at {format_time(time)} ({time})")


def reward_of(reward: ActionReward, row: Sequence[Any], moment: str = "") -> float:
    """The reward for one row of `reward.arguments`; raises as `reward_matrix` does.

    `moment` goes into the message.
    """
    subject = f"The reward for action '{reward.action}' {moment}".rstrip()
    try:
        value = reward.function(*row)
    except Exception as error:
        raise InvalidRewards(
            f"{subject} raised {describe(error)}.", hint=hint(error), place=reward.place_of(error)
        ) from error
    if type(value) in _NUMBERS and abs(value) <= MAX_REWARD:
        return float(value)
    raise InvalidRewardValue(
        f"{subject} is not usable: {_what(value)}.",
        hint=f"A reward is a finite number of at most {MAX_REWARD:g}: guard against missing and "
        "extreme cases.",
        place=reward.source.place(1, 0),
    )


def _what(value: Any) -> str:
    if isinstance(value, float):
        return f"{value!r}{' is too large' if math.isfinite(value) else ''}"
    return "an integer too large" if type(value) is int else type(value).__name__
