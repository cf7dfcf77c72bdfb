"""Interpretations as reward code sees them: those that overlap the bucket of a row."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from spice_engine.records import record


@record
class Interpretation:
    """A note on a stretch of time, [start, end) in unix seconds."""

    start: int
    end: int
    name: str
    actions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Interpretation:
        """The interpretation of `start`, `end`, `name`, `actions` and `tags`."""
        return cls(
            int(data["start"]),
            int(data["end"]),
            str(data["name"]),
            tuple(data.get("actions") or ()),
            tuple(data.get("tags") or ()),
        )


class Notes:
    """The interpretations of a pod, looked up by the time of a row.

    A row stands for the bucket [time, time + granularity) and the row after it comes one
    granularity later. Where `times` is given (the sorted times of all rows, for pods without
    interpolation), a row stands for its second alone and the next of `times` comes after it.
    An interpretation of no length matches the bucket it lies in.
    """

    def __init__(
        self,
        interpretations: Sequence[Interpretation],
        granularity: int,
        times: Sequence[int] | None = None,
    ) -> None:
        self._ordered = sorted(interpretations, key=lambda one: (one.start, one.end))
        self._starts = [one.start for one in self._ordered]
        self._latest_ends = list(accumulate((one.end for one in self._ordered), max))
        self._width = granularity if times is None else 1
        self._times = None if times is None else [int(time) for time in times]
        self._found: dict[int, list[Interpretation] | None] = {}

    @classmethod
    def from_dicts(
        cls,
        interpretations: Sequence[Mapping[str, Any]],
        granularity: int,
        times: Sequence[int] | None = None,
    ) -> Notes:
        """The notes of interpretations as plain data."""
        found = [Interpretation.from_dict(one) for one in interpretations]
        return cls(found, granularity, times)

    def at(self, time: int) -> list[Interpretation] | None:
        """What overlaps the bucket of the row at `time`, oldest first; None where nothing does."""
        if time not in self._found:
            self._found[time] = self._look_up(time)
        return self._found[time]

    def after(self, time: int) -> list[Interpretation] | None:
        """What overlaps the bucket of the row after the one at `time`."""
        if self._times is None:
            return self.at(time + self._width)
        index = bisect_right(self._times, time)
        return self.at(self._times[index]) if index < len(self._times) else None

    def _look_up(self, time: int) -> list[Interpretation] | None:
        found: list[Interpretation] = []
        index = bisect_left(self._starts, time + self._width) - 1
        while index >= 0 and self._latest_ends[index] >= time:
            one = self._ordered[index]
            if one.end > time or one.start == one.end == time:
                found.append(one)
            index -= 1
        found.reverse()
        return found or None
