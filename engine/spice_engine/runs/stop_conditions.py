"""Conditions on metrics that stop a run: their grammar, and whether they are met. Pure.

`METRIC OP VALUE[:MIN_INDEX]`, OP one of `< > <= >=`; several joined by `&&` must hold together.
A metric counts with its newest point whose index is at least MIN_INDEX. NaN and texts meet
nothing.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

MOST = 5
"""Conditions of one run, any of which stops it."""
_TERM = re.compile(r"(.+?)\s*(<=|>=|<|>)\s*([^<>=]*)", re.DOTALL)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


@record
class Term:
    """One comparison: points of `metric` with an index of at least `least_index` count."""

    metric: str
    comparison: str
    value: float
    least_index: int = 0

    def holds(self, value: float) -> bool:
        """Whether a point's number meets it."""
        return _COMPARE[self.comparison](value, self.value)

    def __str__(self) -> str:
        least = f":{self.least_index}" if self.least_index else ""
        return f"{self.metric} {self.comparison} {self.value:g}{least}"


@record
class Condition:
    """Terms that must hold together."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " && ".join(map(str, self.terms))


def parse(text: str) -> Condition:
    """A condition as it is written.

    Raises:
        InvalidRequest: it is none.
    """
    return Condition(tuple(_term(part, text) for part in text.split("&&")))


def parse_all(texts: Sequence[str]) -> tuple[Condition, ...]:
    """All conditions of a run.

    Raises:
        InvalidRequest: one is none, or there are too many.
    """
    if len(texts) > MOST:
        raise InvalidRequest(f"Maximum of {MOST} stop_condition arguments allowed.")
    return tuple(map(parse, texts))


def _term(part: str, whole: str) -> Term:
    match = _TERM.fullmatch(part.strip())
    if match is None:
        raise InvalidRequest(
            f"Condition {whole.strip()[:200]} formatted incorrectly.",
            hint="Write METRIC OP VALUE[:MIN_INDEX], with OP one of < > <= >=, joined by &&.",
        )
    number, colon, least = match[3].strip().partition(":")
    try:
        value = float(number)
        if math.isnan(value):
            raise ValueError(number)
    except ValueError:
        raise InvalidRequest(
            f"Condition must be an integer or float, not {number.strip()[:80]!r}."
        ) from None
    try:
        least_index = int(least) if colon else 0
        if least_index < 0:
            raise ValueError(least)
    except ValueError:
        raise InvalidRequest(
            f"Minimum steps must be integer, not {least.strip()[:80]!r}."
        ) from None
    return Term(match[1].strip(), match[2], value, least_index)


@dataclass(slots=True)
class Watch:
    """Whether any of some conditions is met, as points come; once met it stays so."""

    conditions: Sequence[Condition]
    met: str = ""
    """The condition that is met, with the values that met it; empty while none is."""
    _latest: dict[Term, tuple[int, float]] = field(default_factory=dict[Term, tuple[int, float]])
    _terms: dict[str, list[Term]] = field(default_factory=dict[str, list[Term]])

    def __post_init__(self) -> None:
        for condition in self.conditions:
            for term in condition.terms:
                self._terms.setdefault(term.metric, []).append(term)

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the metrics that matter."""
        return frozenset(self._terms)

    def add(self, metric: str, index: int, value: float | str) -> bool:
        """Take in a point; whether a condition is met now."""
        if self.met or metric not in self._terms or isinstance(value, str) or math.isnan(value):
            return bool(self.met)
        changed = False
        for term in self._terms[metric]:
            if index >= term.least_index:
                self._latest[term] = (index, value)
                changed = changed or term.holds(value)
        if changed:
            self.met = next((told for one in self.conditions if (told := self._told(one))), "")
        return bool(self.met)

    def _told(self, condition: Condition) -> str:
        found = [self._latest.get(term) for term in condition.terms]
        if not all(
            point is not None and term.holds(point[1])
            for term, point in zip(condition.terms, found, strict=True)
        ):
            return ""
        told = ", ".join(
            f"{term.metric} is {point[1]:g} at index {point[0]}"
            for term, point in zip(condition.terms, found, strict=True)
            if point is not None
        )
        return f"{condition} ({told})"
