"""The families of models that a simulated pod is learned by, and when each has its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from numpy.typing import NDArray

from spice_engine.learning.checkpoints import pack_array, unpack_array
from spice_engine.learning.model import read_model
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

Resume = Callable[[Lesson, Fitted], Iterator[Fitted]]

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
"""Families that go on from an earlier model's state; others begin anew, to the same end."""

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

FORESTS = ("tree", "tree", "forest")
"""The schedule of `fqi` where there is more than one tree."""


def schedule(
    algorithm: str, limit: int, *, large: bool = False, forests: bool = False
) -> Iterator[tuple[str, int]]:
    """Family and step of up to `limit` episodes: the constant, then what SCHEDULES says."""
    families = FORESTS if forests else SCHEDULES[algorithm]
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
        made = self._made.setdefault(family, [])
        while len(made) <= step:
            if family not in self._families:
                self._families[family] = self._begin(family, made)
            fitted = next(self._families[family])
            if made:
                made[-1] = replace(made[-1], state=None)  # only the last one is gone on from
            made.append(fitted)
        return made[step]

    def _begin(self, family: str, made: list[Fitted]) -> Iterator[Fitted]:
        """The models after those made: by an earlier process, where there are any."""
        if made and made[-1].state is not None and family in RESUME:
            return RESUME[family](self._lesson, made[-1])
        return islice(FAMILIES[family](self._lesson), len(made), None)

    def to_data(self) -> dict[str, Any]:
        """All models made, as plain data."""
        return {
            family: [
                {
                    "kind": one.model.kind,
                    "model": one.model.to_content(),
                    "gamma": one.gamma,
                    "detail": one.detail,
                    "state": None if one.state is None else _pack_state(one.state),
                }
                for one in made
            ]
            for family, made in self._made.items()
        }

    def go_on(self, data: Mapping[str, Any]) -> None:
        """Takes over the models that `to_data` gave in an earlier process."""
        features = self._lesson.view.raw.shape[1]
        actions = self._lesson.batch.rewards.shape[1]
        for family, made in data.items():
            self._made[family] = [
                Fitted(
                    read_model(one["kind"], one["model"], features, actions),
                    one["gamma"],
                    one["detail"],
                    None if one["state"] is None else _unpack_state(one["state"]),
                )
                for one in made
            ]


def _pack_state(state: Mapping[str, Any]) -> dict[str, Any]:
    arrays = cast("dict[str, NDArray[Any]]", state["arrays"])
    return {**state, "arrays": {name: pack_array(one) for name, one in arrays.items()}}


def _unpack_state(state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, "arrays": {name: unpack_array(one) for name, one in state["arrays"].items()}}
