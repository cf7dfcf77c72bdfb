"""The learner of `linear`: an episode is one step along the path of regularisation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spice_engine.learning.algorithms.linear import LinearModel, RidgePath, strengths
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import Linear
from spice_engine.learning.task import Candidate, Check


class LinearLearner:
    """Ridge regression along the path, at most MAX_STRENGTHS episodes."""

    ends_on_equal_scores = False  # see `algorithms.linear`
    cautious = False  # the steps of the path are small

    def __init__(self, settings: Linear, episodes: int) -> None:
        self._strengths = strengths(episodes, settings.strongest, settings.weakest)
        self.candidates: Sequence[Candidate] = [
            Candidate(f"strength {one:.3g}", {"strength": one if math.isfinite(one) else None})
            for one in self._strengths
        ]

    def fit(self, raw: Matrix, rewards: Matrix, check: Check) -> LinearFit:
        """The path on some steps."""
        return LinearFit(raw, rewards, self._strengths)


class LinearFit:
    """A path and the strengths that are looked at."""

    def __init__(self, raw: Matrix, rewards: Matrix, path_strengths: tuple[float, ...]) -> None:
        self._raw = raw
        self._path = RidgePath(raw, rewards)
        self._strengths = path_strengths

    def model(self, index: int) -> LinearModel:
        """The fit of one strength."""
        return self._path.model(self._strengths[index])

    def values(self, index: int) -> Matrix:
        """Its values on the fit's own steps."""
        return self.model(index).values(self._raw)
