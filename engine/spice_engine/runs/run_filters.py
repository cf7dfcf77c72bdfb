"""Conditions by which runs are listed: on parameters and on metrics."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs.parameters import text

_CONDITION = re.compile(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}


@record
class Condition:
    """`lr<=0.1`: a name, an operator, a value."""

    name: str
    sign: str
    value: str

    def holds(self, found: Any) -> bool:
        """Whether a value meets it: as numbers where both are, else as texts."""
        compare = _OPERATORS[self.sign]
        left, right = number_of(found), number_of(self.value)
        if left is not None and right is not None:
            return compare(left, right)
        return compare(text(found), self.value)


def condition(written: str, *, numbers: bool = False) -> Condition:
    """Read one; `numbers`: its value has to be one.

    Raises:
        InvalidRequest: it is none.
    """
    match = _CONDITION.fullmatch(written)
    if match is None or (numbers and number_of(match[3]) is None):
        raise InvalidRequest(
            f"{written[:80]!r} is no condition.", hint="Such as: loss<0.3, lr=0.1, model!=small."
        )
    return Condition(match[1], match[2], match[3])


def number_of(value: Any) -> float | None:
    """A value as a number, if it is one."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(found) else found
