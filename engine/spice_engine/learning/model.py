"""What every learner gives: a model of the value of each action, which a policy file can hold."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from spice_engine.learning.algorithms.codes import Codes
from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.encoded import Encoded
from spice_engine.learning.algorithms.forest import Forest
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tiles import Tiles
from spice_engine.learning.algorithms.tree import Tree
from spice_engine.learning.features import Matrix


class Model(Protocol):
    """Values of all actions by raw features; `kind` names its form in a policy file."""

    kind: ClassVar[str]

    def values(self, raw: Matrix) -> Matrix:
        """Predicted rewards [N, A] of raw features [N, D]."""
        ...

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """How much each feature [D] of one row speaks for one action against another."""
        ...

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """The conditions that one row of raw features [D] fulfils, where the model has rules."""
        ...

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        ...


def read_model(kind: str, content: dict[str, Any], features: int, actions: int) -> Model:
    """The model of a policy file.

    Raises ValueError for a kind that there is not, KeyError, TypeError and ValueError for content
    that does not make a model of so many features and actions.
    """
    for model in (Constant, LinearModel, Tree, Forest, Table, Tiles, Encoded, Codes, NetworkModel):
        if model.kind == kind:
            return model.from_content(content, features, actions)
    raise ValueError(f"models of the kind {kind!r} are not known")
