"""Networks as the model of a policy: the value of every action by a population's mean.

A feature's contribution is told by occlusion: how far the lead would fall were the feature at its
mean, as it was when the networks learned (at 0 where inputs are not standardised).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from spice_engine.learning.features import Matrix, Scaling
from spice_engine.learning.networks import Network
from spice_engine.learning.packed import pack_floats, unpack_floats

_BLOCK = 4_096
"""Rows at a time, so that hidden layers of a large table are not held at once."""


@dataclass(frozen=True)
class NetworkModel:
    """Values of all actions: those that `network` gives for the standardised features."""

    network: Network
    scaling: Scaling | None = None

    kind: ClassVar[str] = "network"

    def values(self, raw: Matrix) -> Matrix:
        """Predicted rewards, or leads of preferences, [N, A] of raw features [N, D]."""
        if len(raw) > _BLOCK:
            starts = range(0, len(raw), _BLOCK)
            return np.concatenate([self.values(raw[start : start + _BLOCK]) for start in starts])
        return self.network.values(self._scaled(raw))

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """How much each feature [D] of one row speaks for one action against another."""
        rows: Matrix = np.repeat(self._scaled(raw[None]), len(raw) + 1, axis=0)
        np.fill_diagonal(rows, 0.0)  # the last row stays whole
        values = self.network.values(rows)
        leads = values[:, chosen] - values[:, second]
        return leads[-1] - leads[:-1]

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """Networks have no conditions."""
        return ()

    def _scaled(self, raw: Matrix) -> Matrix:
        return raw if self.scaling is None else self.scaling.apply(raw)

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        network, scaling = self.network, self.scaling
        return {
            "members": network.members,
            "hidden": list(network.sizes[1:-1]),
            "mean": None if scaling is None else pack_floats(scaling.mean),
            "inverse": None if scaling is None else pack_floats(scaling.inverse),
            "weights": [pack_floats(one) for one in network.weights],
            "biases": [pack_floats(one) for one in network.biases],
        }

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> NetworkModel:
        """Reads it back; ValueError where it is for other numbers of features and actions."""
        members = content["members"]
        sizes = (features, *content["hidden"], actions)
        if any(type(one) is not int or one < 1 for one in (members, *sizes)):
            raise ValueError("the sizes of the networks are no whole numbers from 1 on")
        weights = tuple(
            unpack_floats(data, (members, *size))
            for data, size in zip(content["weights"], pairwise(sizes), strict=True)
        )
        biases = tuple(
            unpack_floats(data, (members, 1, size))
            for data, size in zip(content["biases"], sizes[1:], strict=True)
        )
        scaling = None
        if content["mean"] is not None:
            scaling = Scaling(
                unpack_floats(content["mean"], (features,)),
                unpack_floats(content["inverse"], (features,)),
            )
        return cls(Network(weights, biases), scaling)
