"""The arithmetic of one member at one step: functions of scalars, compiled by both back ends.

All numbers are float32 and uint32. Every back end binds `product` to a multiplication that is
rounded before anything is added, so that all of them give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

UNIT = 1 << 16
"""Chances are whole numbers of so many parts."""

_LEFT, _RIGHT, _LAST = np.uint32(13), np.uint32(17), np.uint32(5)
_LOW, _HALF = np.uint32(0xFFFF), np.uint32(16)

F = TypeVar("F", bound=Callable[..., Any])


def product(one: np.float32, other: np.float32) -> np.float32:
    """A product, rounded."""
    return np.float32(one * other)


def next_random(word: np.uint32) -> np.uint32:
    """The next word of a xorshift generator, never 0.

    Marsaglia, Xorshift RNGs, Journal of Statistical Software 8(14), 2003.
    """
    word = np.uint32(word ^ np.uint32(word << _LEFT))
    word = np.uint32(word ^ np.uint32(word >> _RIGHT))
    return np.uint32(word ^ np.uint32(word << _LAST))


def explores(word: np.uint32, chance: np.uint32) -> np.bool_:
    """Whether a random word explores, with a chance of so many parts of UNIT."""
    return np.uint32(word >> _HALF) < chance


def random_action(word: np.uint32, actions: np.uint32) -> np.uint32:
    """The action that a random word stands for; its low half, `explores` reads the high one."""
    return np.uint32(np.uint32(np.uint32(word & _LOW) * actions) >> _HALF)


def step_of(
    rate: np.float32, reward: np.float32, gamma: np.float32, ahead: np.float32, value: np.float32
) -> np.float32:
    """How far Q-learning moves a value: rate (reward + gamma ahead - value).

    `ahead` is the best value in the following state. Watkins, Learning from delayed rewards, 1989.
    """
    return product(rate, np.float32(np.float32(reward + product(gamma, ahead)) - value))


def bound(function: F, **names: Callable[..., Any]) -> F:
    """The function, calling others in the place of those that it calls by these names."""
    plain = cast("FunctionType", function)
    return cast("F", FunctionType(plain.__code__, {**plain.__globals__, **names}, plain.__name__))
