"""What the algorithms that learn by acting share: choosing among what is allowed, and pacing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.environments.environment import Choices, Mask

Floats = NDArray[np.float32]

FORBIDDEN = np.float32(-1e9)
"""The value or preference of an action that is not allowed."""


def mask(values: Floats, allowed: Mask | None) -> Floats:
    """Values [..., A] in which an action that is not allowed is the worst there can be."""
    return values if allowed is None else np.where(allowed, values, FORBIDDEN)


def best(values: Floats) -> Floats:
    """The highest value [...] of [..., A]."""
    # Action by action: reducing a short last axis takes ten times as long.
    highest: Floats = values[..., 0].copy()
    for action in range(1, values.shape[-1]):
        np.maximum(highest, values[..., action], out=highest)
    return highest


def by_chance(
    count: int, actions: int, allowed: Mask | None, chance: np.random.Generator
) -> Choices:
    """Allowed actions [N], each as likely as another."""
    if allowed is None:
        return chance.integers(0, actions, count)
    drawn = np.where(allowed, chance.random((count, actions)), -1.0)
    return drawn.argmax(axis=1)


def softmax(preferences: Floats) -> tuple[Floats, Floats]:
    """Probabilities and their logarithms [..., A]."""
    shifted = preferences - best(preferences)[..., None]
    powers = np.exp(shifted)
    total = np.matmul(powers, _ones(powers.shape[-1]))
    return powers / total, shifted - np.log(total)


def draw(probabilities: Floats, chance: np.random.Generator) -> Choices:
    """An action [N] of each row of probabilities [N, A]."""
    steps = np.cumsum(probabilities, axis=1)
    # By the last sum and not by 1, which rounding may miss.
    drawn = chance.random(len(steps)) * steps[:, -1]
    return np.minimum((steps <= drawn[:, None]).sum(axis=1), steps.shape[1] - 1)


def _ones(actions: int) -> Floats:
    return np.ones((actions, 1), np.float32)


class Pace:
    """How many steps of all lanes come before the next gradient step, so that each step is learned
    from `replay` times on average: `due` says so after every step.
    """

    def __init__(self, lanes: int, batch: int, replay: float, warm_up: int) -> None:
        self._gain = lanes * replay / batch
        self._lanes = lanes
        self._wait = warm_up
        self._credit = 0.0

    def due(self) -> int:
        """Gradient steps to make after one more step of all lanes."""
        if self._wait > 0:
            self._wait -= self._lanes
            return 0
        self._credit += self._gain
        whole = int(self._credit)
        self._credit -= whole
        return whole
