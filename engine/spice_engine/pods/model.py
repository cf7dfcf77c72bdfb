"""The manifest of a Spicepod in its frozen form; `spice_engine.pods.manifest` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from spice_engine.errors import Place
from spice_engine.learning.source import Source


@dataclass(frozen=True, slots=True)
class Params:
    """Times in seconds; `epoch_time` is unix seconds, or None where the period slides with now."""

    epoch_time: int | None = None
    period: int = 72 * 3600
    interval: int = 60
    granularity: int = 10
    episodes: int = 10


@dataclass(frozen=True, slots=True)
class Connector:
    """Where a dataspace's data come from."""

    name: str
    path: str
    place: Place


@dataclass(frozen=True, slots=True)
class Processor:
    """How the payload is parsed; an empty time format means unix seconds or RFC 3339."""

    name: str
    time_selector: str = "time"
    time_format: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number that is learned from; `place` is that of its selector, or else its name."""

    name: str
    selector: str
    initializer: float
    fill: Literal["previous", "none"]
    place: Place


@dataclass(frozen=True, slots=True)
class Dataspace:
    """`source` is the manifest's `from`. Without a connector it is local state."""

    source: str
    name: str
    connector: Connector | None
    processor: Processor | None
    measurements: tuple[Measurement, ...]
    place: Place

    @property
    def path(self) -> str:
        """`from/name`, as shown to people."""
        return f"{self.source}/{self.name}"

    def field(self, measurement: Measurement) -> str:
        """The measurement's name in reward code and the state table: `from_name_measurement`."""
        return f"{self.source}_{self.name}_{measurement.name}"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Training:
    """`rewards` is None for uniform rewards; `holdout` a share of the data's span."""

    rewards: Mapping[str, Source] | None = None
    reward_init: Source | None = None
    goal: str = ""
    algorithm: str = "auto"
    holdout: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class Manifest:
    """A pod as its manifest describes it; what is here has passed every check."""

    name: str
    file: str
    params: Params
    dataspaces: tuple[Dataspace, ...]
    actions: tuple[Action, ...]
    training: Training

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """All field names, sorted: the columns of the state table."""
        return tuple(
            sorted(space.field(one) for space in self.dataspaces for one in space.measurements)
        )

    @property
    def action_names(self) -> tuple[str, ...]:
        """Actions in the order of the manifest."""
        return tuple(action.name for action in self.actions)

    @property
    def span(self) -> int:
        """Rows of the state table in a window."""
        return self.params.interval // self.params.granularity
