"""Tables: the value of every action by the cell that a few binned features make up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.learning.packed import pack_floats, unpack_floats

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """`mean` [cells, A] of the cells over the features `columns`, cut at `edges`, last fastest.

    A value belongs to the bin of the first edge that it does not exceed.
    """

    columns: tuple[int, ...]
    edges: tuple[Matrix, ...]
    mean: Matrix

    kind: ClassVar[str] = "table"

    def values(self, raw: Matrix) -> Matrix:
        """Predicted rewards [N, A] of raw features [N, D]."""
        return self.mean[self.cells(raw)]

    def cells(self, raw: Matrix) -> Integers:
        """The cell [N] of each row."""
        cell = np.zeros(len(raw), dtype=np.int64)
        for column, edges in zip(self.columns, self.edges, strict=True):
            cell = cell * (len(edges) + 1) + np.searchsorted(edges, raw[:, column], side="left")
        return cell

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """The lead over the mean of all cells, in equal parts to the features of the table."""
        shares = np.zeros(len(raw))
        if self.columns:
            (cell,) = self.cells(raw[None])
            lead = self.mean[:, chosen] - self.mean[:, second]
            shares[list(self.columns)] = (lead[cell] - self._lead(chosen, second)) / len(
                self.columns
            )
        return shares

    def _lead(self, chosen: int, second: int) -> float:
        return float(self._overall[chosen] - self._overall[second])

    @cached_property
    def _overall(self) -> Matrix:
        return self.mean.mean(axis=0)

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """The cell of one row of raw features [D], a condition for each feature."""
        conditions: list[str] = []
        for column, edges in zip(self.columns, self.edges, strict=True):
            (place,) = np.searchsorted(edges, raw[column : column + 1], side="left").tolist()
            name = names[column]
            if place == 0 and len(edges):
                conditions.append(f"{name} <= {edges[0]:.6g}")
            elif place == len(edges) and len(edges):
                conditions.append(f"{name} > {edges[-1]:.6g}")
            elif len(edges):
                conditions.append(f"{edges[place - 1]:.6g} < {name} <= {edges[place]:.6g}")
        return tuple(conditions)

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {
            "columns": list(self.columns),
            "edges": [pack_floats(edges) for edges in self.edges],
            "mean": pack_floats(self.mean),
        }

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> Table:
        """Reads it back; ValueError where it is no table over such features and actions."""
        columns = tuple(content["columns"])
        edges = tuple(unpack_floats(one, (-1,)) for one in content["edges"])
        cells = 1
        for one in edges:
            cells *= len(one) + 1
        if len(edges) != len(columns) or not all(0 <= column < features for column in columns):
            raise ValueError("the columns and edges make no table")
        return cls(columns, edges, unpack_floats(content["mean"], (cells, actions)))
