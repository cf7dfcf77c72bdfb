"""What there is to learn from, and what a training run asks of an algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.levels import Level
from spice_engine.learning.model import Model
from spice_engine.learning.split import Split, Steps
from spice_engine.records import record

Check = Callable[[], None]
"""Called now and then in long work; may raise to end it."""


@dataclass(frozen=True)
class Task:
    """The state table [T, F] and every action's reward at every step.

    `rewards` [N, A] has a row for each step of `split.every`; step t goes from row t to t+1.
    Where actions have ranges, a column is one of the `levels`, and `actions` are their names.
    `span` rows of `granularity` seconds make a window.
    """

    values: Matrix
    rewards: Matrix
    times: NDArray[np.int64]
    actions: tuple[str, ...]
    layout: Layout
    span: int
    granularity: int
    split: Split
    fingerprint: str
    seed: int
    holdout: float
    confidence: Literal["calibrated", "classic"] = "calibrated"
    levels: tuple[Level, ...] = ()

    @cached_property
    def _raw(self) -> Matrix:
        return self.layout.raw(self.values, self.split.every)

    def raw(self, steps: Steps) -> Matrix:
        """Raw features [N, D] of a stretch of `split.every`, as all parts of the split are."""
        return self._raw[self._places(steps)]

    def paid(self, steps: Steps) -> Matrix:
        """Rewards [N, A] of a stretch of `split.every`."""
        return self.rewards[self._places(steps)]

    def _places(self, steps: Steps) -> slice:
        first = int(np.searchsorted(self.split.every, int(steps[0]))) if len(steps) else 0
        return slice(first, first + len(steps))


@record
class Candidate:
    """One episode of an algorithm, before it is fitted: by its name and what is set."""

    name: str
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Fit(Protocol):
    """An algorithm on some steps; candidates are fitted when they are asked for."""

    def model(self, index: int) -> Model:
        """The model of the candidate of that index."""
        ...

    def values(self, index: int) -> Matrix:
        """That model's values [N, A] on the steps themselves."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A fit that says something beside its candidates, as where it computed."""

    @property
    def told(self) -> Mapping[str, Any]:
        """Plain data for the detail of the episode whose model was asked for last."""
        ...


class Learner(Protocol):
    """An algorithm: its candidates in the order of the episodes, the first the best constant.

    `ends_on_equal_scores` says whether more episodes are pointless once the score stays,
    `cautious` whether a later candidate must be better than a simpler one by more than chance.
    """

    candidates: Sequence[Candidate]
    ends_on_equal_scores: bool
    cautious: bool

    def fit(self, raw: Matrix, rewards: Matrix, check: Check) -> Fit:
        """Fits to raw features [N, D] and rewards [N, A]; at once, or when a model is asked for."""
        ...


@runtime_checkable
class Searching(Protocol):
    """A learner that finds further candidates by trying settings on a few steps."""

    def search(self, raw: Matrix, rewards: Matrix, span: int, check: Check) -> Iterator[Candidate]:
        """Candidates whose indices go on from those of `candidates`.

        They are sought on raw features [N, D] and rewards [N, A] in the order of time; `span` rows
        make a window.
        """
        ...


@runtime_checkable
class Resuming(Protocol):
    """A learner that can go on from an earlier model."""

    def fit_from(self, start: Model, raw: Matrix, rewards: Matrix, check: Check) -> Fit:
        """As `Learner.fit`, from a model; as if there were none where that is of another shape."""
        ...
