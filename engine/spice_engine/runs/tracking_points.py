"""Metric points of tracking clients: their times are milliseconds, and many may have the same one.

The metric store keeps one value for an index at a time. A client that logs in a tight loop sends
several with the same step in one millisecond: each keeps its place by a time some microseconds
later, which the client does not see when it reads them back. A point that comes again, as a client
sends it that was not answered, is the same point.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable

from spice_engine.records import record
from spice_engine.store.metrics import Row

STEP_SECONDS = 1e-6
KNOWN_SERIES = 20_000


@record
class Sent:
    """A point as a client sends it; `moment` is unix milliseconds, `model` the id of the logged
    model that it is about, where there is one."""

    name: str
    value: float
    moment: int
    step: int
    model: str = ""


def seconds_of(moment: int) -> float:
    """Unix seconds of a client's milliseconds."""
    return moment / 1000


def moment_of(seconds: float) -> int:
    """A client's milliseconds, of a time that `Times` gave out or of any other."""
    return math.floor(seconds * 1000 + 0.005)


class Times:
    """Gives the points of clients times of their own. Belongs to the engine's loop."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], tuple[int, int, list[float]]] = OrderedDict()

    def rows(self, owner: str, sent: Iterable[Sent]) -> list[Row]:
        """The points to store; those that came before are left out."""
        found: list[Row] = []
        for one in sent:
            key = (owner, one.name)
            step, moment, values = self._last.pop(key, (0, -1, []))
            if (step, moment) != (one.step, one.moment):
                values = []
            self._last[key] = (one.step, one.moment, values)
            if any(_same(one.value, value) for value in values):
                continue
            at = seconds_of(one.moment) + STEP_SECONDS * len(values)
            values.append(one.value)
            found.append((one.name, one.value, one.step, at))
        while len(self._last) > KNOWN_SERIES:
            self._last.popitem(last=False)
        return found

    def forget(self, owner: str) -> None:
        """An owner sends no more."""
        for key in [key for key in self._last if key[0] == owner]:
            del self._last[key]


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
