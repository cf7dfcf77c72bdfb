"""What the terms of a filter mean: each says whether it holds for a row."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.units import parse_duration, parse_size, parse_time

Values = Mapping[str, Any]
"""A row's values by column."""

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
MOMENTS_FROM = 10_000_000.0
"""Numbers from here on are moments (unix seconds) in a column of times, lesser ones ages."""


class Term(Protocol):
    """A condition on a row."""

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether it holds; `text` is the row's whole text, casefolded, `now` unix seconds."""
        ...


@record
class Plain:
    """The text occurs somewhere in the row."""

    wanted: str

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether it occurs."""
        return self.wanted in text


@record
class Fuzzy:
    """The letters occur in this order in one cell."""

    pattern: re.Pattern[str]

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether they do."""
        return self.pattern.search(text) is not None


@record
class Contains:
    """The text occurs in a column."""

    key: str
    wanted: str

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether it does; not where there is no value."""
        value = values.get(self.key)
        return value is not None and self.wanted in str(value).casefold()


@record
class TextIs:
    """A column's text compares so; no value is the empty text."""

    key: str
    operator: str
    wanted: str

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether it does."""
        value = values.get(self.key)
        return COMPARE[self.operator]("" if value is None else str(value).casefold(), self.wanted)


@record
class NumberIs:
    """A column's number compares so; a text that is no number can only be the same text."""

    key: str
    operator: str
    wanted: float
    written: str

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether it does."""
        value = values.get(self.key)
        if isinstance(value, int | float):
            return COMPARE[self.operator](value, self.wanted)
        if value is None:
            return self.operator == "!="
        number = number_of(str(value))
        if number is not None:
            return COMPARE[self.operator](number, self.wanted)
        same = str(value).casefold() == self.written
        return same if self.operator == "=" else (self.operator == "!=" and not same)


@record
class AgeIs:
    """A moment in a column is so many seconds ago."""

    key: str
    operator: str
    wanted: float

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether it is."""
        value = values.get(self.key)
        return isinstance(value, int | float) and COMPARE[self.operator](now - value, self.wanted)


@record
class AnyOf:
    """One of these holds."""

    terms: tuple[Term, ...]

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether one does."""
        return any(term.holds(values, text, now) for term in self.terms)


@record
class Not:
    """This does not hold."""

    term: Term

    def holds(self, values: Values, text: str, now: float) -> bool:
        """Whether it does not."""
        return not self.term.holds(values, text, now)


def reads_text(term: Term) -> bool:
    """Whether a term looks at the whole text of a row, not only at columns."""
    match term:
        case Plain() | Fuzzy():
            return True
        case AnyOf(terms):
            return any(reads_text(inner) for inner in terms)
        case Not(inner):
            return reads_text(inner)
        case _:
            return False


def plain(wanted: str) -> Term | None:
    """The text anywhere; None for no text."""
    return Plain(wanted.casefold()) if wanted else None


def fuzzy(wanted: str) -> Term | None:
    """The letters in this order; None for no letters."""
    letters = [re.escape(letter) for letter in wanted.casefold() if not letter.isspace()]
    if not letters:
        return None
    first, *others = letters
    # A newline parts cells. The next place of a letter is always the best one, so nothing needs
    # to be tried twice: `*+` gives nothing back.
    return Fuzzy(re.compile(first + "".join(f"[^\\n{letter}]*+{letter}" for letter in others)))


def number_of(text: str) -> float | None:
    """The finite number that a text is."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@lru_cache(maxsize=64)
def quantity(text: str, kind: str) -> float | None:
    """The number that a text means in a column of a kind; None if it means none.

    Durations are in seconds, sizes in bytes, percentages shares of 1. Where the kind does not
    tell, `5m` are minutes and `5M` is a size.
    """
    number = number_of(text.removesuffix("%"))
    if number is not None:
        return number / 100 if kind == "percent" or text.endswith("%") else number
    readers: tuple[Callable[[str], float], ...] = (_seconds, parse_size)
    if kind == "bytes":
        readers = (parse_size,)
    elif kind == "time":
        readers = (_seconds, parse_time)
    elif kind == "duration":
        readers = (_seconds,)
    for reader in readers:
        try:
            return float(reader(text))
        except (InvalidRequest, OverflowError):
            continue
    return None


def _seconds(text: str) -> float:
    return parse_duration(text) / 1e9
