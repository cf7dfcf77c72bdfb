"""The manifest of a Spicepod in its frozen form; `spice_engine.pods.manifest` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from spice_engine.errors import Place
from spice_engine.learning.source import Source
from spice_engine.records import record

TIME_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "month": tuple(f"time_month_{number:02}" for number in range(1, 13)),
    "dayofmonth": tuple(f"time_monthday_{number:02}" for number in range(1, 32)),
    "dayofweek": tuple(f"time_weekday_{number:02}" for number in range(7)),
    "hour": tuple(f"time_hour_{number:02}" for number in range(24)),
}
"""Columns of each time category, of the bucket's start in UTC; weekday 00 is Sunday."""


@record
class Params:
    """Times in seconds; `epoch_time` is unix seconds, or None where the period slides with now.

    Without `interpolation` each row of the data is a step, instead of each bucket.
    """

    epoch_time: int | None = None
    period: int = 72 * 3600
    interval: int = 60
    granularity: int = 10
    episodes: int = 10
    interpolation: bool = True


@record
class Part:
    """A connector or processor: its name, its params as text, and where each of them stands."""

    name: str
    params: Mapping[str, str]
    place: Place
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])

    def place_of(self, param: str) -> Place:
        """Where a param stands, or else the part itself."""
        return self.places.get(param, self.place)


@record
class Feed:
    """Data of a dataspace. Without a connector they are pushed over HTTP only."""

    connector: Part | None
    processor: Part
    place: Place


@record
class Identifier:
    """Text that is shown and never learned from."""

    name: str
    selector: str
    place: Place


@record
class Measurement:
    """A number that is learned from; `place` is that of its selector, or else its name."""

    name: str
    selector: str
    initializer: float
    fill: Literal["previous", "none"]
    place: Place


@record
class Category:
    """Text that is learned from as one column per value (sorted)."""

    name: str
    selector: str
    values: tuple[str, ...]
    place: Place


@record
class Tags:
    """Tags of a dataspace: where they are read from, and the ones that are learned from."""

    selectors: tuple[str, ...]
    values: tuple[str, ...]
    place: Place


@record
class Effect:
    """A dataspace's action: code that changes its measurements."""

    name: str
    code: Source


@record
class Dataspace:
    """`source` is the manifest's `from`. Without `data` it is local state."""

    source: str
    name: str
    data: Feed | None
    measurements: tuple[Measurement, ...]
    place: Place
    seed_data: Feed | None = None
    identifiers: tuple[Identifier, ...] = ()
    categories: tuple[Category, ...] = ()
    tags: Tags | None = None
    actions: tuple[Effect, ...] = ()
    laws: tuple[Source, ...] = ()

    @property
    def path(self) -> str:
        """`from/name`, as shown to people."""
        return f"{self.source}/{self.name}"

    @property
    def prefix(self) -> str:
        """`from.name`, as in the headers of observations."""
        return f"{self.source}.{self.name}"

    def field(self, measurement: Measurement) -> str:
        """The measurement's name in reward code and the state table: `from_name_measurement`."""
        return f"{self.source}_{self.name}_{measurement.name}"

    def category_fields(self, category: Category) -> tuple[str, ...]:
        """A column for each value: `from_name_category-value`."""
        prefix = f"{self.source}_{self.name}_{category.name}"
        return tuple(f"{prefix}-{value}" for value in category.values)

    def tag_fields(self) -> tuple[str, ...]:
        """A column for each tag: `from_name_tag`."""
        values = self.tags.values if self.tags else ()
        return tuple(f"{self.source}_{self.name}_{value}" for value in values)

    def fields(self) -> tuple[str, ...]:
        """All columns that this dataspace gives to the state table."""
        return (
            *(self.field(one) for one in self.measurements),
            *(name for one in self.categories for name in self.category_fields(one)),
            *self.tag_fields(),
        )


@record
class BoundEffect:
    """What an action does to the state: an effect with its names bound.

    `names` maps each plain name the code may use to a field (measurements of the effect's own
    dataspace under their short names), `args` each `args.X` to a field or a number.
    """

    code: Source
    names: Mapping[str, str]
    args: Mapping[str, str | float]


@record
class Range:
    """The values that an action may have, bounds included."""

    low: float
    high: float
    unit: str
    place: Place


@record
class Action:
    """Something that can be done; `effect` is None where it changes no field."""

    name: str
    place: Place
    effect: BoundEffect | None = None
    range: Range | None = None


@record
class Law:
    """A condition that must hold after an effect; `names` as in `BoundEffect`."""

    code: Source
    names: Mapping[str, str]


@record
class RewardFile:
    """Rewards as functions of one Python file; `functions` maps each action to a function."""

    path: str
    functions: Mapping[str, str]
    place: Place


@record
class RewardTest:
    """Two states (by field) and an action give this reward, to within a billionth.

    `value` is that of an action with a range.
    """

    action: str
    current: Mapping[str, float]
    next: Mapping[str, float]
    expect: float
    place: Place
    value: float | None = None


@record
class Continual:
    """When a pod is trained again: `every` so many seconds (0: by no schedule), and on `drift`.

    Each waits for so many `new_rows` at least.
    """

    every: int = 0
    drift: bool = False
    new_rows: int = 100


@record
class Training:
    """`rewards` is None for uniform rewards; `holdout` a share of the data's span.

    `patience` 0 means that only equal scores end a run early.
    """

    rewards: Mapping[str, Source] | RewardFile | None = None
    reward_init: Source | None = None
    goal: str = ""
    algorithm: str = "auto"
    holdout: float = 0.2
    seed: int = 0
    patience: int = 0
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    features: Literal["levels", "classic"] = "levels"
    confidence: Literal["calibrated", "classic"] = "calibrated"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    loggers: tuple[str, ...] = ()
    continual: Continual | None = None
    tests: tuple[RewardTest, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A pod as its manifest describes it; what is here has passed every check."""

    name: str
    file: str
    params: Params
    dataspaces: tuple[Dataspace, ...]
    actions: tuple[Action, ...]
    training: Training
    laws: tuple[Law, ...] = ()
    time_categories: tuple[str, ...] = ()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """All columns of the state table, sorted."""
        own = [name for space in self.dataspaces for name in space.fields()]
        clock = [name for one in self.time_categories for name in TIME_CATEGORIES[one]]
        return tuple(sorted(own + clock))

    @cached_property
    def local_fields(self) -> tuple[str, ...]:
        """Measurements of dataspaces without data: the state that actions may change, sorted."""
        spaces = (space for space in self.dataspaces if space.data is None)
        return tuple(sorted(s.field(one) for s in spaces for one in s.measurements))

    @cached_property
    def indicators(self) -> tuple[str, ...]:
        """Columns of categories, tags and the clock: shares between 0 and 1, sorted."""
        spaces = self.dataspaces
        own = [n for s in spaces for one in s.categories for n in s.category_fields(one)]
        tags = [name for space in spaces for name in space.tag_fields()]
        clock = [name for one in self.time_categories for name in TIME_CATEGORIES[one]]
        return tuple(sorted(own + tags + clock))

    @cached_property
    def watched_fields(self) -> tuple[str, ...]:
        """What may drift: columns that come in, without the clock's, sorted."""
        clock = {name for one in self.time_categories for name in TIME_CATEGORIES[one]}
        local = set(self.local_fields)
        return tuple(name for name in self.fields if name not in clock and name not in local)

    @cached_property
    def gym(self) -> Dataspace | None:
        """The dataspace whose data is a gymnasium environment; None of other pods."""
        for space in self.dataspaces:
            if space.data and space.data.connector and space.data.connector.name == "gym":
                return space
        return None

    @property
    def simulated(self) -> bool:
        """Whether an action writes a field, so that a simulator is needed to learn."""
        return any(action.effect is not None for action in self.actions)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Actions in the order of the manifest, hoisted ones last."""
        return tuple(action.name for action in self.actions)

    @property
    def span(self) -> int:
        """Rows of the state table in a window; an environment is seen as it is now."""
        if self.gym is not None:
            return 1
        return self.params.interval // self.params.granularity
