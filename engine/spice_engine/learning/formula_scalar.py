"""Formulas on single states: what Python would do, without compiling any code.

A formula becomes nested closures over a dictionary of names. Numbers stay Python's own, so the
results are Python's to the bit. Only integers are bounded: code that lets them grow beyond any
use raises OverflowError, as nothing else could keep it from taking forever.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

from spice_engine.learning.formula import Name, Node

MAX_BITS = 4_200
"""Integers may have about four times the bits of the largest float."""
_MAX_DIGITS = 400

Names = dict[Name, Any]
Value = Callable[[Names], Any]
Run = Callable[[Names], None]


class FormulaError(Exception):
    """A formula raised `error` at `at` ([line, column, end line, end column])."""

    def __init__(self, at: Sequence[int], error: Exception) -> None:
        super().__init__(str(error))
        self.at = tuple(at)
        self.error = error


def _multiply(left: Any, right: Any) -> Any:
    if type(left) is int and type(right) is int:
        _bound(left.bit_length() + right.bit_length())
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _bound(left.bit_length() * max(right, 0))
    return left**right


def _bound(bits: int) -> None:
    if bits > MAX_BITS:
        raise OverflowError("the integer is too large")


def _round(number: Any, digits: Any = None) -> Any:
    if isinstance(digits, int) and abs(digits) > _MAX_DIGITS:
        raise ValueError(f"a number is rounded to at most {_MAX_DIGITS} digits")
    return round(number, digits)


_python = cast("Any", operator)  # its stubs leave some functions without types
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": _python.add, "-": _python.sub, "*": _multiply, "/": _python.truediv,
    "//": _python.floordiv, "%": _python.mod, "**": _power,
    "&": _python.and_, "|": _python.or_, "^": _python.xor,
}  # fmt: skip
UNARY: dict[str, Callable[[Any], Any]] = {
    "-": operator.neg,
    "+": operator.pos,
    "not": operator.not_,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_PLAIN: dict[str, Callable[..., Any]] = {
    "abs": abs, "min": min, "max": max, "round": _round, "float": float, "int": int, "bool": bool,
}  # fmt: skip


def function(name: str) -> Callable[..., Any]:
    """The function that a `call` names."""
    if name.startswith("math."):
        return cast("Callable[..., Any]", getattr(math, name.removeprefix("math.")))
    return _PLAIN[name]


def build(formula: Sequence[Node]) -> Run:
    """The function that runs a formula's statements on a dictionary of names.

    It raises FormulaError where the code would raise.
    """
    runs = tuple(_statement(statement) for statement in formula)
    if len(runs) == 1:
        return runs[0]

    def run(names: Names) -> None:
        for one in runs:
            one(names)

    return run


def _statement(node: Node) -> Run:
    match node[0]:
        case "set":
            return _set([build_value(value) for value in node[1]], node[2])
        case "when":
            return _when(build_value(node[1]), build(node[2]), build(node[3]))
        case _:
            value = build_value(node[1])

            def do(names: Names) -> None:
                value(names)

            return do


def _set(values: list[Value], targets: list[list[Name]]) -> Run:
    if len(values) == 1 and len(targets) == 1:
        value, name = values[0], targets[0][0]

        def set_one(names: Names) -> None:
            names[name] = value(names)

        return set_one

    def set_all(names: Names) -> None:
        found = [value(names) for value in values]
        for target in targets:
            names.update(zip(target, found, strict=True))

    return set_all


def _when(test: Value, body: Run, orelse: Run) -> Run:
    def when(names: Names) -> None:
        if test(names):
            body(names)
        else:
            orelse(names)

    return when


def build_value(node: Node) -> Value:
    """The function that gives a value, from a dictionary of names."""
    match node[0]:
        case "number":
            return _constant(node[1])
        case "get":
            return _get(node[1], node[2])
        case "operator":
            return _operator(
                node[1], OPERATORS[node[2]], build_value(node[3]), build_value(node[4])
            )
        case "unary":
            return _unary(node[1], UNARY[node[2]], build_value(node[3]))
        case "and" | "or":
            return _logic([build_value(value) for value in node[1]], node[0] == "and")
        case "compare":
            tests = [COMPARISONS[symbol] for symbol in node[3]]
            others = [build_value(value) for value in node[4]]
            return _compare(node[1], build_value(node[2]), tests, others)
        case "pick":
            test, body, orelse = (build_value(value) for value in node[1:])
            return lambda names: body(names) if test(names) else orelse(names)
        case _:
            return _call(node[1], function(node[2]), [build_value(value) for value in node[3]])


def _constant(number: float) -> Value:
    def constant(_: Names) -> Any:
        return number

    return constant


def _get(at: Sequence[int], name: Name) -> Value:
    def get(names: Names) -> Any:
        try:
            return names[name]
        except KeyError:
            raise FormulaError(
                at, UnboundLocalError(f"the variable '{name}' has no value")
            ) from None

    return get


def _operator(
    at: Sequence[int], apply: Callable[[Any, Any], Any], left: Value, right: Value
) -> Value:
    def binary(names: Names) -> Any:
        one, other = left(names), right(names)
        try:
            return apply(one, other)
        except (ArithmeticError, ValueError, TypeError) as error:
            raise FormulaError(at, error) from error

    return binary


def _unary(at: Sequence[int], apply: Callable[[Any], Any], operand: Value) -> Value:
    def unary(names: Names) -> Any:
        one = operand(names)
        try:
            return apply(one)
        except (ArithmeticError, ValueError, TypeError) as error:
            raise FormulaError(at, error) from error

    return unary


def _logic(values: list[Value], stop_at_false: bool) -> Value:
    *first, last = values

    def logic(names: Names) -> Any:
        for value in first:
            found = value(names)
            if bool(found) is not stop_at_false:
                return found
        return last(names)

    return logic


def _compare(
    at: Sequence[int],
    first: Value,
    tests: list[Callable[[Any, Any], Any]],
    others: list[Value],
) -> Value:
    pairs = list(zip(tests, others, strict=True))

    def compare(names: Names) -> Any:
        left = first(names)
        for test, other in pairs:
            right = other(names)
            try:
                if not test(left, right):
                    return False
            except TypeError as error:
                raise FormulaError(at, error) from error
            left = right
        return True

    return compare


def _call(at: Sequence[int], call: Callable[..., Any], arguments: list[Value]) -> Value:
    def run(names: Names) -> Any:
        found = [argument(names) for argument in arguments]
        try:
            return call(*found)
        except (ArithmeticError, ValueError, TypeError) as error:
            raise FormulaError(at, error) from error

    return run
