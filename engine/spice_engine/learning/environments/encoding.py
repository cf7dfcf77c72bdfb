"""From a pod's fields to what a network takes: measures scaled, codes as zeros and a one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.environments.environment import Matrix
from spice_engine.learning.packed import pack_floats, unpack_floats

MAX_WIDTH = 8_192
"""Numbers that a network takes at most."""


@dataclass(frozen=True)
class Encoding:
    """How fields [N, F] become inputs [N, W].

    A field with `counts` 0 gives one input, (value - shift) * scale. One with more gives an input
    for each code, which is 1 for the field's and else 0; `shift` is the first code. What is none
    of the codes gives zeros only.
    """

    counts: tuple[int, ...]
    shift: Matrix
    scale: Matrix

    @cached_property
    def width(self) -> int:
        """How many inputs there are."""
        return int(self._sizes.sum())

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.maximum(np.array(self.counts, dtype=np.int64), 1)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self._sizes)[:-1]]).astype(np.int64)

    @property
    def coded(self) -> bool:
        """Whether any field is a code."""
        return any(self.counts)

    def apply(self, fields: Matrix) -> Matrix:
        """The inputs [N, W] of fields [N, F]."""
        if not self.coded:
            return (fields - self.shift) * self.scale
        inputs = np.zeros((len(fields), self.width))
        rows = np.arange(len(fields))
        for index, count in enumerate(self.counts):
            start = int(self._starts[index])
            moved = fields[:, index] - self.shift[index]
            if not count:
                inputs[:, start] = moved * self.scale[index]
                continue
            code = np.rint(moved)
            known = (code >= 0) & (code < count)
            inputs[rows[known], start + code[known].astype(np.int64)] = 1.0
        return inputs

    def gathered(self, inputs: Matrix) -> Matrix:
        """What the inputs [W] add up to for each field [F]."""
        return np.add.reduceat(inputs, self._starts)

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {
            "counts": list(self.counts),
            "shift": pack_floats(self.shift),
            "scale": pack_floats(self.scale),
        }

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int) -> Encoding:
        """Reads it back; ValueError where it is not of so many fields."""
        counts: Sequence[int] = content["counts"]
        if len(counts) != features or not all(0 <= int(count) <= MAX_WIDTH for count in counts):
            raise ValueError("the encoding is of other fields")
        return cls(
            tuple(int(count) for count in counts),
            unpack_floats(content["shift"], (features,)),
            unpack_floats(content["scale"], (features,)),
        )
