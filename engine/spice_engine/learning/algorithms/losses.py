"""What networks tell of their learning: the means of their losses from one network to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from spice_engine.learning.networks import Floats, Network
from spice_engine.records import record


@record
class Learned:
    """A network, and by name the mean losses of the gradient steps since the one before."""

    network: Network
    losses: Mapping[str, float]


class Losses:
    """Adds losses up from gradient step to gradient step."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, **losses: float) -> None:
        """Those of one more gradient step, which has all that the steps before had."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1

    def take(self) -> dict[str, float]:
        """Their means since the last time; what is no finite number is left out."""
        means = {name: total / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        return {name: value for name, value in means.items() if math.isfinite(value)}


def mean_square(errors: Floats) -> float:
    """The mean of the squares of errors of any shape."""
    return float(np.vdot(errors, errors)) / errors.size
