"""Conditions on earlier steps: `train.accuracy > 0.9 && prepare.outcome == success`."""

from __future__ import annotations

import re
from collections.abc import Callable

from spice_engine.records import record

OUTCOME = "outcome"
OUTCOMES = ("success", "failed", "skipped")

_TERM = re.compile(
    r"\s*(?:(?P<pick>min|max)\s*\(\s*)?(?P<step>[A-Za-z][A-Za-z0-9_-]*)\.(?P<what>[^<>=!()]+?)"
    r"\s*(?P<close>\)?)\s*(?P<sign><=|>=|==|!=|<|>)\s*(?P<value>[^<>=!]+?)\s*"
)

Value = float | str | None


class ConditionError(ValueError):
    """The text is no condition; the message says why."""


@record
class Reference:
    """A step's outcome, or its last value of a metric; `pick` is min or max over instances."""

    step: str
    what: str
    pick: str = ""

    def __str__(self) -> str:
        text = f"{self.step}.{self.what}"
        return f"{self.pick}({text})" if self.pick else text


@record
class Term:
    """One comparison."""

    reference: Reference
    sign: str
    value: float | str

    def holds(self, found: Value) -> bool:
        """Whether it is true of what was found; of nothing it never is."""
        if found is None:
            return False
        if isinstance(self.value, str) or isinstance(found, str):
            return (found == self.value) == (self.sign == "==")
        match self.sign:
            case "<":
                return found < self.value
            case "<=":
                return found <= self.value
            case ">":
                return found > self.value
            case ">=":
                return found >= self.value
            case "==":
                return found == self.value
            case _:
                return found != self.value


@record
class Condition:
    """Any of `parts`, in each of which all terms hold."""

    text: str
    parts: tuple[tuple[Term, ...], ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """What it asks for, each once."""
        return tuple(dict.fromkeys(term.reference for part in self.parts for term in part))

    def judge(self, look_up: Callable[[Reference], Value]) -> tuple[bool, str]:
        """Whether it holds, and what was seen."""
        values = {reference: look_up(reference) for reference in self.references}
        holds = any(all(term.holds(values[term.reference]) for term in part) for part in self.parts)
        seen = ", ".join(f"{reference} is {_shown(value)}" for reference, value in values.items())
        return holds, seen


def parse(text: str) -> Condition:
    """The condition a text says.

    Raises:
        ConditionError: it says none.
    """
    parts = tuple(tuple(_term(one) for one in part.split("&&")) for part in text.split("||"))
    return Condition(" ".join(text.split()), parts)


def _term(text: str) -> Term:
    found = _TERM.fullmatch(text)
    if found is None or bool(found["pick"]) != bool(found["close"]):
        raise ConditionError(
            f"{text.strip()!r} is no condition: it must be STEP.METRIC or STEP.outcome, one of "
            "< <= > >= == !=, and a value."
        )
    reference = Reference(found["step"], found["what"], found["pick"] or "")
    written = found["value"].strip("'\"")
    if reference.what == OUTCOME:
        if reference.pick or found["sign"] not in {"==", "!="} or written not in OUTCOMES:
            raise ConditionError(
                f"{text.strip()!r}: an outcome is compared by == or != with one of "
                f"{', '.join(OUTCOMES)}."
            )
        return Term(reference, found["sign"], written)
    try:
        return Term(reference, found["sign"], float(written))
    except ValueError:
        raise ConditionError(f"{text.strip()!r}: {written!r} is no number.") from None


def _shown(value: Value) -> str:
    if value is None:
        return "not there"
    return value if isinstance(value, str) else f"{value:g}"
