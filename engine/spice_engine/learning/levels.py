"""What a policy chooses among where actions have ranges of values: levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spice_engine.records import record


@record
class Level:
    """One thing that a policy may do: an action, with its value where the action has a range.

    `unit` is what the value is in, in words.
    """

    action: str
    value: float | None = None
    unit: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others, as in `heat=37.5`."""
        return self.action if self.value is None else f"{self.action}={self.value:.6g}"


def groups_of(levels: Sequence[Level]) -> list[int] | None:
    """Which action each level is of, counted from 0; None where there are none."""
    places: dict[str, int] = {}
    return [places.setdefault(level.action, len(places)) for level in levels] or None


def by_action(levels: Sequence[Level], counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of levels, by their names, as counts of actions; as they are where there are none."""
    if not levels:
        return dict(counts)
    found = dict.fromkeys((level.action for level in levels), 0)
    for level in levels:
        found[level.action] += counts[level.name]
    return found


def only_taken(levels: Sequence[Level], figures: dict[str, Any]) -> dict[str, Any]:
    """An evaluation as plain data without the levels that were never taken: they are many."""
    if not levels:
        return figures
    counts: dict[str, int] = figures["actions_taken"]
    rewards: dict[str, float | None] = figures["reward_per_action"]
    taken = {name: count for name, count in counts.items() if count}
    return {
        **figures,
        "actions_taken": taken,
        "reward_per_action": {name: rewards[name] for name in taken},
    }


def pack_levels(levels: Sequence[Level]) -> list[list[Any]]:
    """Plain data."""
    return [[level.action, level.value, level.unit] for level in levels]


def unpack_levels(data: Sequence[Sequence[Any]]) -> tuple[Level, ...]:
    """What `pack_levels` was given."""
    return tuple(Level(*one) for one in data)
