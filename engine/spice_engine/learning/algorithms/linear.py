"""`linear`: ridge regression of every action's reward on the features, in closed form.

An episode is one step along the path of regularisation. The first step is infinitely strong: it
ignores the features and takes the action with the best mean, which is the best constant action.
Each further step lets the features speak more. One eigendecomposition serves the whole path, so
a step costs one small matrix product.

Because the path is fixed and short, equal scores do not end a run: strong regularisation gives
the same constant action for several steps before anything is learned. Nor is there any chance in
it: the seed changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from spice_engine.learning.features import Matrix, Scaling
from spice_engine.learning.packed import pack_floats, unpack_floats
from spice_engine.records import record

MAX_STRENGTHS = 12
_BLOCK = 16_384
"""Rows that are standardised at a time: the features of a large table are held once only."""


@record
class LinearModel:
    """Values of all actions: `scaling(raw) @ weights + intercept`, weights [D, A]."""

    scaling: Scaling
    weights: Matrix
    intercept: Matrix

    kind: ClassVar[str] = "linear"

    def values(self, raw: Matrix) -> Matrix:
        """Predicted rewards [N, A] of raw features [N, D]."""
        if len(raw) > _BLOCK:
            return np.concatenate([self.values(one) for one in _blocks(raw)])
        return self.scaling.apply(raw) @ self.weights + self.intercept

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """How much each feature [D] of one row speaks for one action against another."""
        return self.scaling.apply(raw) * (self.weights[:, chosen] - self.weights[:, second])

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """A weighted sum has no conditions."""
        return ()

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {
            "mean": pack_floats(self.scaling.mean),
            "inverse": pack_floats(self.scaling.inverse),
            "weights": pack_floats(self.weights),
            "intercept": pack_floats(self.intercept),
        }

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> LinearModel:
        """Reads it back; ValueError where it is for other numbers of features and actions."""
        scaling = Scaling(
            unpack_floats(content["mean"], (features,)),
            unpack_floats(content["inverse"], (features,)),
        )
        weights = unpack_floats(content["weights"], (features, actions))
        return cls(scaling, weights, unpack_floats(content["intercept"], (actions,)))


def strengths(episodes: int, strongest: float = 1e3, weakest: float = 1e-6) -> tuple[float, ...]:
    """The path: infinity, then geometrically down, in at most MAX_STRENGTHS steps.

    Relative to the mean variance of a feature, which standardisation makes 1.
    """
    steps = min(episodes, MAX_STRENGTHS) - 1
    if steps < 1:
        return (math.inf,)
    finite = np.geomspace(strongest, weakest, steps) if steps > 1 else np.array([1.0])
    return (math.inf, *finite.tolist())


class RidgePath:
    """All ridge fits of rewards [N, A] on raw features [N, D], for any strength."""

    def __init__(self, raw: Matrix, rewards: Matrix) -> None:
        self.scaling = Scaling.of(raw)
        self._raw = raw
        self._intercept: Matrix = rewards.mean(axis=0)
        self._centred = rewards - self._intercept
        self._parts: tuple[Matrix, Matrix, Matrix] | None = None

    def model(self, strength: float) -> LinearModel:
        """The fit that minimises mean squared error + strength * squared weights."""
        if math.isinf(strength):
            weights = np.zeros((self._raw.shape[1], self._centred.shape[1]))
        else:
            variances, directions, slopes = self._decompose()
            weights = directions @ (slopes / (variances + strength)[:, None])
        return LinearModel(self.scaling, weights, self._intercept)

    def _decompose(self) -> tuple[Matrix, Matrix, Matrix]:
        if self._parts is None:
            count, columns = self._raw.shape
            squares = np.zeros((columns, columns))
            products = np.zeros((columns, self._centred.shape[1]))
            for raw, centred in zip(_blocks(self._raw), _blocks(self._centred), strict=True):
                features = self.scaling.apply(raw)
                squares += features.T @ features
                products += features.T @ centred
            variances, directions = np.linalg.eigh(squares / count)
            slopes = directions.T @ (products / count)
            # Rounding can leave tiny negative variances where features depend on each other.
            self._parts = (np.maximum(variances, 0.0), directions, slopes)
        return self._parts


def _blocks(rows: Matrix) -> Iterator[Matrix]:
    return (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
