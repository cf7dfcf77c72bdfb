"""The protocol of an environment: many lanes at once, each in an episode of its own."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spice_engine.records import record

Matrix = NDArray[np.float64]
Choices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@record
class Step:
    """What came of one action in every lane [N].

    `observations` [N, D] are those to act on next: of a lane whose episode ended, the first of its
    next episode. `following` [N, D] are what the action led to, the last of an episode included;
    the same array where no episode ended. `terminal` lanes ended because there is no more to come,
    `truncated` ones because the episode was cut there: the value of what follows still counts.
    """

    observations: Matrix
    rewards: Matrix
    terminal: Mask
    truncated: Mask
    following: Matrix


class Environment(Protocol):
    """Steps `lanes` episodes at once. Equal seeds give equal episodes."""

    lanes: int
    features: int
    actions: int

    def reset(self, seed: int) -> Matrix:
        """Begin a new episode in every lane; the first observations [N, D], ready for a network."""
        ...

    def step(self, chosen: Choices) -> Step:
        """Take an action [N] in each lane."""
        ...

    def lawful(self) -> Mask | None:
        """Which actions [N, A] each lane may take now; None where all always may."""
        ...

    def all_rewards(self) -> Matrix | None:
        """Every action's reward [N, A] in each lane's state now; None where only acting tells."""
        ...
