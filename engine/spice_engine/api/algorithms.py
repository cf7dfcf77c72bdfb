"""The learning algorithms as the v0.1 API and the docs page list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlgorithmInfo:
    """One algorithm; `summary` is one sentence."""

    id: str
    name: str
    summary: str

    @property
    def docs_link(self) -> str:
        """Where the docs page describes it."""
        return f"/docs#algorithm-{self.id}"


ALGORITHMS: Sequence[AlgorithmInfo] = (
    AlgorithmInfo("auto", "Automatic", "The engine's choice; in this version it is `linear`."),
    AlgorithmInfo("linear", "Linear", "Closed-form ridge regression of each action's value."),
)
"""Those a training can really be asked for."""
