"""Reading formulas that come from a file: every part is checked, so that running them is safe.

A policy may come from elsewhere. What passes here is made of known parts only, is bounded in size
and depth, and names no field that does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from spice_engine.errors import IncompatibleVersion
from spice_engine.learning.formula import (
    COMPARISONS,
    MATH_FUNCTIONS,
    OPERATORS,
    PLAIN_FUNCTIONS,
    UNARY,
    Node,
)

MAX_PARTS = 10_000
MAX_DEPTH = 150
MAX_NAME = 1_000
_FUNCTIONS = PLAIN_FUNCTIONS | {f"math.{name}" for name in MATH_FUNCTIONS}
_OPERATORS, _UNARY = frozenset(OPERATORS.values()), frozenset(UNARY.values())
_COMPARISONS = frozenset(COMPARISONS.values())
_MAX_EXPONENT = 16


def read_statements(data: Any, fields: int) -> list[Node]:
    """The formula in `data` for states of `fields` fields; raises IncompatibleVersion."""
    return _Reader(fields).statements(data, 0)


def read_value(data: Any, fields: int) -> Node:
    """The value in `data` for states of `fields` fields; raises IncompatibleVersion."""
    return _Reader(fields).value(data, 0)


class _Reader:
    """Copies plain data part by part; what it does not know it refuses."""

    def __init__(self, fields: int) -> None:
        self._fields = fields
        self._parts = 0

    def _node(self, data: Any, depth: int) -> list[Any]:
        self._parts += 1
        _require(self._parts <= MAX_PARTS and depth <= MAX_DEPTH)
        found = _list(data)
        _require(bool(found) and isinstance(found[0], str))
        return found

    def statements(self, data: Any, depth: int) -> list[Node]:
        return [self._statement(one, depth + 1) for one in _list(data)]

    def _statement(self, data: Any, depth: int) -> Node:
        match self._node(data, depth):
            case ["set", values, targets]:
                found = self._values(values, depth)
                names = [[self._name(one) for one in _list(target)] for target in _list(targets)]
                self._parts += sum(len(target) for target in names)
                _require(all(len(target) == len(found) for target in names))
                return ["set", found, names]
            case ["when", test, body, orelse]:
                parts = self.statements(body, depth), self.statements(orelse, depth)
                return ["when", self.value(test, depth + 1), *parts]
            case ["do", value]:
                return ["do", self.value(value, depth + 1)]
            case _:
                raise _unreadable()

    def _values(self, data: Any, depth: int) -> list[Node]:
        return [self.value(one, depth + 1) for one in _list(data)]

    def value(self, data: Any, depth: int) -> Node:
        match self._node(data, depth):
            case ["number", bool() | int() | float() as number]:
                return ["number", number]
            case ["get", at, name]:
                return ["get", _at(at), self._name(name)]
            case ["operator", at, symbol, left, right] if _known(symbol, _OPERATORS):
                parts = self.value(left, depth + 1), self.value(right, depth + 1)
                _require(symbol != "**" or _is_small(parts[1]))
                return ["operator", _at(at), symbol, *parts]
            case ["unary", at, symbol, operand] if _known(symbol, _UNARY):
                return ["unary", _at(at), symbol, self.value(operand, depth + 1)]
            case ["and" | "or" as kind, values]:
                return [kind, _some(self._values(values, depth))]
            case ["compare", at, first, symbols, others]:
                found = [_one_of(symbol, _COMPARISONS) for symbol in _list(symbols)]
                values = _some(self._values(others, depth))
                _require(len(found) == len(values))
                return ["compare", _at(at), self.value(first, depth + 1), found, values]
            case ["pick", test, body, orelse]:
                return ["pick", *(self.value(one, depth + 1) for one in (test, body, orelse))]
            case ["call", at, name, arguments]:
                known, found = _one_of(name, _FUNCTIONS), self._values(arguments, depth)
                _require(len(found) > 1 or known not in {"min", "max"})
                return ["call", _at(at), known, found]
            case _:
                raise _unreadable()

    def _name(self, data: Any) -> str | int:
        if type(data) is int and 0 <= data < self._fields:
            return data
        _require(isinstance(data, str) and len(data) <= MAX_NAME and data.isidentifier())
        return data


def _is_small(node: Node) -> bool:
    while node[0] == "unary" and node[2] in {"-", "+"}:
        node = node[3]
    if node[0] != "number":
        return False
    return math.isfinite(node[1]) and abs(node[1]) <= _MAX_EXPONENT


def _at(data: Any) -> list[int]:
    found = _list(data)
    _require(len(found) == 4 and all(type(one) is int for one in found))
    return found


def _some(values: list[Node]) -> list[Node]:
    _require(bool(values))
    return values


def _one_of(data: Any, known: frozenset[str]) -> str:
    _require(_known(data, known))
    return data


def _known(data: Any, known: frozenset[str]) -> bool:
    return isinstance(data, str) and data in known


def _list(data: Any) -> list[Any]:
    _require(isinstance(data, list | tuple))
    return list(cast("Sequence[Any]", data))


def _require(holds: bool) -> None:
    if not holds:
        raise _unreadable()


def _unreadable() -> IncompatibleVersion:
    return IncompatibleVersion(
        "The effects stored with this policy cannot be read.",
        hint="Train the pod again with this version.",
    )
