"""The arithmetic of one member at one step: functions of scalars, compiled by both back ends.

All numbers are float32 and uint32. Products and sums stand in single steps, which neither back end
may fuse, so that both give the same bits.
"""

from __future__ import annotations

import numpy as np

UNIT = 1 << 16
"""Chances are whole numbers of so many parts."""

_LEFT, _RIGHT, _LAST = np.uint32(13), np.uint32(17), np.uint32(5)
_LOW, _HALF = np.uint32(0xFFFF), np.uint32(16)


def next_random(word: np.uint32) -> np.uint32:
    """The next word of a xorshift generator, never 0 (Marsaglia 2003, Journal of Statistical
    Software 8(14))."""
    word = np.uint32(word ^ np.uint32(word << _LEFT))
    word = np.uint32(word ^ np.uint32(word >> _RIGHT))
    return np.uint32(word ^ np.uint32(word << _LAST))


def explores(word: np.uint32, chance: np.uint32) -> bool:
    """Whether a random word explores, with a chance of so many parts of UNIT."""
    return np.uint32(word >> _HALF) < chance


def random_action(word: np.uint32, actions: np.uint32) -> np.uint32:
    """The action that a random word stands for; its low half, `explores` reads the high one."""
    return np.uint32(np.uint32(np.uint32(word & _LOW) * actions) >> _HALF)


def step_of(
    rate: np.float32, reward: np.float32, gamma: np.float32, ahead: np.float32, value: np.float32
) -> np.float32:
    """How far Q-learning moves a value (Watkins 1989): rate (reward + gamma ahead - value).

    `ahead` is the best value in the following state.
    """
    later = np.float32(gamma * ahead)
    target = np.float32(reward + later)
    return np.float32(rate * np.float32(target - value))
