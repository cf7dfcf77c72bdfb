"""The families of models that a simulated pod is learned by, and when each has its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spice_engine.learning.simulated_fit import (
    Fitted,
    Lesson,
    fit_constant,
    fit_forest,
    fit_linear,
    fit_trees,
)
from spice_engine.learning.simulated_networks import fit_networks
from spice_engine.learning.simulated_population import fit_population
from spice_engine.learning.simulated_tables import fit_tables

Resume = Callable[[Lesson, Mapping[str, Any]], Iterator[Fitted]]

FAMILIES: Mapping[str, Callable[[Lesson], Iterator[Fitted]]] = {
    "constant": fit_constant,
    "linear": fit_linear,
    "tree": fit_trees,
    "forest": fit_forest,
    "table": fit_tables,
    "population": fit_population,
    "dql": fit_networks,
    "vpg": fit_networks,
    "sacd": fit_networks,
}

ALGORITHM_OF = {
    "constant": "constant",
    "linear": "linear",
    "tree": "fqi",
    "forest": "fqi",
    "table": "tabular",
    "population": "tabular",
    "dql": "dql",
    "vpg": "vpg",
    "sacd": "sacd",
}
"""The algorithm that each family belongs to."""

RESUME: Mapping[str, Resume] = {"population": fit_population}
"""Families that go on from the state of an earlier model; others begin anew, to the same end."""

SCHEDULES: dict[str, tuple[str, ...]] = {
    "auto": ("tree", "tree", "linear", "linear", "tree", "tree", "table", "table", "forest"),
    "fqi": ("tree",),
    "linear": ("linear",),
    "tabular": (*["table"] * 6, "population"),
    "dql": ("dql",),
    "vpg": ("vpg",),
    "sacd": ("sacd",),
}
"""The family of each episode after the first, which is always the constant; the last goes on."""

LARGE: dict[str, tuple[str, ...]] = {"auto": (*SCHEDULES["auto"][:-1], "population", "population")}
"""What comes before the last family of a pod so large that it is compiled anyway."""


def schedule(algorithm: str, limit: int, *, large: bool = False) -> Iterator[tuple[str, int]]:
    """Family and step of up to `limit` episodes: the constant, then what SCHEDULES says."""
    families = SCHEDULES[algorithm]
    if large:
        families = (*LARGE.get(algorithm, families[:-1]), families[-1])
    made: dict[str, int] = {}
    for number in range(limit):
        family = "constant" if number == 0 else families[min(number, len(families)) - 1]
        yield family, made.setdefault(family, 0)
        made[family] += 1


class FamilyLearner:
    """Everything that is fitted to one stretch of steps."""

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        self._families: dict[str, Iterator[Fitted]] = {}
        self._made: dict[str, list[Fitted]] = {}

    def get(self, family: str, step: int) -> Fitted:
        """The model of a family's episode `step`, counted from 0."""
        if family not in self._families:
            self._families[family] = FAMILIES[family](self._lesson)
            self._made[family] = []
        while len(self._made[family]) <= step:
            self._made[family].append(next(self._families[family]))
        return self._made[family][step]
