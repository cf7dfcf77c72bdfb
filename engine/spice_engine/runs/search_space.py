"""What a search searches over: values or ranges by name, and the points of a grid or by chance."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.searches import SearchParameter
from spice_engine.records import record

MOST_PARAMETERS = 100
MOST_VALUES = 10_000
"""Of all parameters together."""
SCALES = ("linear", "log", "reverse_log")
TYPES = ("float", "int")
LARGEST_WHOLE = 2**53
"""Whole numbers up to this one are floats without loss, which samplers reckon with."""

_NAME = re.compile(r"[^\W\d][\w.-]*\Z")


@record
class Parameter:
    """One name to find a value for: one of `values`, or a number from `low` to `high`, both
    included.

    By a scale `log` numbers of all sizes are as likely; by `reverse_log` their distances from
    `low + high` are, so that points lie dense near `high`: it is the mirror image of `log`.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    scale: str = "linear"
    whole: bool = False

    def draw(self, chance: random.Random) -> Any:
        """A value by chance."""
        if self.values:
            return self.values[chance.randrange(len(self.values))]
        if self.scale == "linear":
            if self.whole:
                return chance.randint(int(self.low), int(self.high))
            return self._within(chance.uniform(self.low, self.high))
        # Each whole number stands for all that are rounded to it.
        half = 0.5 if self.whole else 0.0
        found = math.exp(chance.uniform(math.log(self.low - half), math.log(self.high + half)))
        return self.of_point(round(found) if self.whole else found)

    def point(self, value: Any) -> float | int:
        """Where a value is as a sampler sees it: its place among the values, or a number on a
        linear or logarithmic scale."""
        if self.values:
            return _place(self.values, value)
        return self._mirrored(value)

    def of_point(self, point: float) -> Any:
        """The value at such a place."""
        if self.values:
            return self.values[int(point)]
        return self._mirrored(point)

    def distribution(self) -> dict[str, Any]:
        """The places as plain data: how many, or the range, and whether by logarithms."""
        if self.values:
            return {"name": self.name, "places": len(self.values)}
        low: float | int = int(self.low) if self.whole else self.low
        high: float | int = int(self.high) if self.whole else self.high
        log = self.scale != "linear"
        return {"name": self.name, "low": low, "high": high, "log": log, "whole": self.whole}

    def _mirrored(self, value: float) -> float | int:
        if self.scale == "reverse_log":
            value = self.low + self.high - value
        return self._within(value)

    def _within(self, value: float) -> float | int:
        # Rounding may lead out of the range by the last digit.
        value = min(max(value, self.low), self.high)
        return int(value) if self.whole else float(value)


def _place(values: Sequence[Any], value: Any) -> int:
    """Of what is equal, as 1, 1.0 and true are, the one that is written alike."""
    written = json.dumps(value)
    return next(place for place, one in enumerate(values) if json.dumps(one) == written)


def read(given: Iterable[SearchParameter]) -> tuple[Parameter, ...]:
    """The parameters as they were asked for.

    Raises:
        InvalidRequest: there is none, or one cannot be.
    """
    found = tuple(_read(one) for one in given)
    if not 0 < len(found) <= MOST_PARAMETERS:
        raise InvalidRequest(f"a search needs 1 to {MOST_PARAMETERS} parameters.")
    if sum(len(one.values) for one in found) > MOST_VALUES:
        raise InvalidRequest(f"the parameters have more than {MOST_VALUES} values together.")
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"Redundant param name {name!r}.")
    return found


def _read(given: SearchParameter) -> Parameter:
    name = given.name
    if not _NAME.match(name) or len(name) > 100:
        raise InvalidRequest(
            f"{name[:100]!r} cannot be the name of a parameter.",
            hint="Letters, digits, `_`, `-` and `.`, at most 100, and a letter first.",
        )
    if given.values is not None:
        if given.low is not None or given.high is not None:
            raise InvalidRequest(f"{name}: either values or a range.")
        return Parameter(name, tuple(_values(name, given.values)))
    if given.low is None or given.high is None:
        raise InvalidRequest(f"{name}: needs values, or `low` and `high`.")
    if given.scale not in SCALES:
        raise InvalidRequest(f"{name}: the scale {given.scale[:40]!r} is none of {_or(SCALES)}.")
    if given.type not in TYPES:
        raise InvalidRequest(f"{name}: the type {given.type[:40]!r} is none of {_or(TYPES)}.")
    whole = given.type == "int"
    low, high = given.low, given.high
    if not math.isfinite(low) or not math.isfinite(high) or not math.isfinite(high - low):
        raise InvalidRequest(f"{name}: the ends of a range must be finite.")
    if low > high:
        raise InvalidRequest(f"{name}: the least value {low:g} is above the largest, {high:g}.")
    if whole and (low != int(low) or high != int(high) or max(-low, high) > LARGEST_WHOLE):
        raise InvalidRequest(f"{name}: the ends of a range of int must be whole numbers.")
    if given.scale != "linear" and low <= 0:
        raise InvalidRequest(f"{name}: the scale {given.scale} needs a range above 0.")
    return Parameter(name, (), low, high, given.scale, whole)


def _values(name: str, values: Sequence[Any]) -> Iterable[Any]:
    if not 0 < len(values) <= MOST_VALUES:
        raise InvalidRequest(f"{name}: needs 1 to {MOST_VALUES} values.")
    seen: set[str] = set()
    for value in values:
        try:
            written = json.dumps(value)
            json.dumps(value, ensure_ascii=False).encode()  # half a character has no form
        except (TypeError, ValueError, RecursionError):
            raise InvalidRequest(f"{name}: a value has no form in JSON.") from None
        if written in seen:
            raise InvalidRequest(f"{name}: the value {written[:100]} is there twice.")
        seen.add(written)
        yield value


def grid_size(parameters: Sequence[Parameter]) -> int:
    """How many points a grid has.

    Raises:
        InvalidRequest: a parameter is a range.
    """
    for one in parameters:
        if not one.values:
            raise InvalidRequest(
                f"{one.name}: a grid needs values, not a range.",
                hint=f"--param {one.name}=V,V,…; `hyper random` draws from ranges.",
            )
    return math.prod(len(one.values) for one in parameters)


def grid_point(parameters: Sequence[Parameter], number: int) -> dict[str, Any]:
    """The point of that number, from 1: the last parameter changes fastest."""
    left = number - 1
    found: dict[str, Any] = {}
    for one in reversed(parameters):
        left, place = divmod(left, len(one.values))
        found[one.name] = one.values[place]
    return {one.name: found[one.name] for one in parameters}


def chance_point(parameters: Sequence[Parameter], seed: int, number: int) -> dict[str, Any]:
    """The point of that number, from 1, drawn by chance: it depends on the seed and it alone, so
    that no search has to remember where it was."""
    chance = random.Random(f"{seed}/{number}")
    return {one.name: one.draw(chance) for one in parameters}


def points_of(parameters: Sequence[Parameter], params: Mapping[str, Any]) -> list[float | int]:
    """A trial's values as a sampler sees them."""
    return [one.point(params[one.name]) for one in parameters]


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
