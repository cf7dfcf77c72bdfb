"""The best constant action: every action's mean reward, whatever the features say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spice_engine.learning.features import Matrix
from spice_engine.learning.packed import pack_floats, unpack_floats


@dataclass(frozen=True)
class Constant:
    """The mean reward `mean` [A] of every action."""

    mean: Matrix

    kind: ClassVar[str] = "constant"

    def values(self, raw: Matrix) -> Matrix:
        """The same rewards [N, A] for all raw features [N, D]."""
        return np.tile(self.mean, (len(raw), 1))

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """No feature [D] counts."""
        return np.zeros(len(raw))

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """There is no condition."""
        return ()

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {"mean": pack_floats(self.mean)}

    @classmethod
    def from_content(cls, content: dict[str, Any], _features: int, actions: int) -> Constant:
        """Reads it back; ValueError where it is for another number of actions."""
        return cls(unpack_floats(content["mean"], (actions,)))
