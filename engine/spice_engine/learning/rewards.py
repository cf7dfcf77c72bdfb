"""The reward matrix: every action's reward for every step from one row to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import InvalidRewards, Place
from spice_engine.learning.reward_program import ActionReward, InvalidRewardValue, RewardProgram
from spice_engine.units import format_time

MAX_REWARD = 1e100
"""Larger rewards are refused: sums and squares of them would overflow."""
_CHUNK = 1024
_NUMBERS = frozenset({float, int, bool})


def reward_matrix(
    program: RewardProgram,
    current: NDArray[np.float64],
    following: NDArray[np.float64],
    times: NDArray[np.int64],
    check: Callable[[], None] = lambda: None,
) -> NDArray[np.float64]:
    """Rewards [T, A] of the steps from `current` [T, F] to `following` [T, F].

    `times` [T] are the unix seconds of the current rows, for messages. `check` is called now and
    then and may raise to end the work.

    Raises InvalidRewards where the code raises, InvalidRewardValue where it gives no finite number
    of at most MAX_REWARD; both with the place in the manifest, the action and the state's time.
    """
    steps = len(current)
    result = np.ones((steps, len(program.actions)))
    columns = _Columns(current, following)
    for index, reward in enumerate(program.rewards):
        arguments = [columns.get(which, field) for which, field in reward.arguments]
        for start in range(0, steps, _CHUNK):
            check()
            end = min(start + _CHUNK, steps)
            parts = [argument[start:end] for argument in arguments]
            result[start:end, index] = _run(reward, parts, times[start:end])
    return result


class _Columns:
    """Columns of both states as Python floats, made once each."""

    def __init__(self, current: NDArray[np.float64], following: NDArray[np.float64]) -> None:
        self._tables = {"current": current, "next": following}
        self._made: dict[tuple[str, int], list[float]] = {}

    def get(self, which: str, field: int) -> list[float]:
        key = (which, field)
        if key not in self._made:
            self._made[key] = self._tables[which][:, field].tolist()
        return self._made[key]


def _run(
    reward: ActionReward, arguments: Sequence[list[float]], times: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Rewards of one stretch of rows; on any trouble again row by row, to say which it was."""
    rows = list(zip(*arguments, strict=True)) if arguments else [()] * len(times)
    function = reward.function
    try:
        values: list[Any] = [function(*row) for row in rows]
    except Exception:
        # Again, row by row: the code is a pure function, so it raises at the same row.
        _raise_at_row(reward, rows, times)
        raise
    if _NUMBERS.issuperset(map(type, values)):
        try:
            numbers = np.array(values, dtype=np.float64)
        except OverflowError:
            numbers = np.array([math.nan])
        if (np.abs(numbers) <= MAX_REWARD).all():
            return numbers
    _raise_at_row(reward, rows, times)
    raise AssertionError("a reward was bad in one pass and good in the next")


def _raise_at_row(
    reward: ActionReward, rows: Sequence[tuple[float, ...]], times: NDArray[np.int64]
) -> None:
    for row, time in zip(rows, times.tolist(), strict=True):
        moment = f"for action '{reward.action}' at {format_time(time)} ({time})"
        try:
            value = reward.function(*row)
        except Exception as error:
            raise InvalidRewards(
                f"The reward {moment} raised {_describe(error)}.",
                hint=_hint(error),
                place=reward.place_of(error),
            ) from error
        if not _is_usable(value):
            place: Place = reward.source.place(1, 0)
            what = _what(value)
            raise InvalidRewardValue(
                f"The reward {moment} is not usable: {what}.",
                hint="A reward is a finite number: guard against missing and extreme cases.",
                place=place,
            )


def _is_usable(value: Any) -> bool:
    if type(value) not in _NUMBERS:
        return False
    try:
        return math.isfinite(value) and abs(value) <= MAX_REWARD
    except OverflowError:
        return False


def _what(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    return "an integer too large for a float" if type(value) is int else type(value).__name__


def _describe(error: Exception) -> str:
    if isinstance(error, UnboundLocalError):
        return f"an error: the variable '{_variable(error)}' has no value here"
    return f"{type(error).__name__}: {error}"


def _hint(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "Check the divisor before dividing."
    if isinstance(error, UnboundLocalError):
        return f"Assign '{_variable(error)}' on every path, for example 0 first."
    return ""


def _variable(error: UnboundLocalError) -> str:
    # Python 3.11 leaves error.name empty for locals; the name stands in quotes in the message.
    return error.name or next(iter(str(error).split("'")[1:2]), "?")
