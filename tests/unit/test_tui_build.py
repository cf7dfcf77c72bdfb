"""Plain data of any engine's version as the dataclasses of this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from spice_engine.errors import ProtocolError
from spice_tui.models.build import build


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    weight: float = 1.5


@dataclass(frozen=True, slots=True)
class Tree:
    title: str
    count: int
    ratio: float
    open: bool
    leaves: list[Leaf]
    by_name: dict[str, Leaf]
    best: Leaf | None
    root: Leaf
    mode: Literal["a", "b"]
    anything: Any
    tags: list[str] = field(default_factory=list[str])


FULL: dict[str, Any] = {
    "title": "oak",
    "count": 2,
    "ratio": 0.5,
    "open": True,
    "leaves": [{"name": "x"}, {"name": "y", "weight": 2}],
    "by_name": {"x": {"name": "x"}},
    "best": {"name": "y"},
    "root": {"name": "r"},
    "mode": "b",
    "anything": [1, "two"],
    "tags": ["old"],
}


def test_nested_data_become_nested_dataclasses() -> None:
    tree = build(Tree, FULL)
    assert tree.leaves == [Leaf("x"), Leaf("y", 2)]
    assert tree.by_name == {"x": Leaf("x")}
    assert tree.best == Leaf("y")
    assert (tree.mode, tree.anything, tree.tags) == ("b", [1, "two"], ["old"])


def test_unknown_fields_are_passed_over_and_missing_ones_are_empty() -> None:
    tree = build(Tree, {"title": "elm", "colour": "green", "best": None, "leaves": None})
    assert tree == Tree("elm", 0, 0.0, False, [], {}, None, Leaf(""), "a", None, [])


def test_defaults_are_not_shared() -> None:
    first, second = build(Tree, {}), build(Tree, {})
    first.tags.append("mine")
    assert second.tags == []
    assert first.leaves is not second.leaves


@pytest.mark.parametrize("data", [None, [], "text", 3, {"leaves": ["text"]}, {"root": 3}])
def test_what_is_no_map_is_refused(data: Any) -> None:
    with pytest.raises(ProtocolError):
        build(Tree, data)
