"""A training goal: a condition over `score`, such as `score > 100`, read without running it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from spice_engine.errors import InvalidRequest

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub,
    ast.Mult: operator.mul, ast.Div: lambda a, b: a / b,
}  # fmt: skip
_MAX_LENGTH = 200


class Goal:
    """A parsed goal.

    Allowed are `score`, numbers, + - * /, comparisons, `and`, `or`, `not`. Raises InvalidRequest
    for anything else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            if len(text) > _MAX_LENGTH:
                raise InvalidRequest(f"The goal is longer than {_MAX_LENGTH} characters.")
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InvalidRequest(f"The goal '{text}' is not valid.", hint=_HINT) from error
        _check(self._tree, text)
        if not any(isinstance(node, ast.Name) for node in ast.walk(self._tree)):
            raise InvalidRequest(f"The goal '{text}' does not mention score.", hint=_HINT)

    def reached(self, score: float) -> bool:
        """Whether a score fulfils the goal; one that divides by zero is not reached."""
        try:
            return bool(_value(self._tree, score))
        except (ZeroDivisionError, OverflowError):
            return False


_HINT = "Write a condition over score, as in: score > 100"


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Name(id="score"):
            parts: list[ast.expr] = []
        case ast.Constant(value=bool() | int() | float()):
            parts = []
        case ast.Compare() if all(type(op) in _COMPARE for op in node.ops):
            parts = [node.left, *node.comparators]
        case ast.BoolOp():
            parts = node.values
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd()):
            parts = [node.operand]
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            parts = [node.left, node.right]
        case _:
            raise InvalidRequest(
                f"The goal '{text}' uses something that is not allowed.", hint=_HINT
            )
    for part in parts:
        _check(part, text)


def _value(node: ast.expr, score: float) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Compare():
            left = _value(node.left, score)
            for op, part in zip(node.ops, node.comparators, strict=True):
                right = _value(part, score)
                if not _COMPARE[type(op)](left, right):
                    return False
                left = right
            return True
        case ast.BoolOp():
            parts = (bool(_value(part, score)) for part in node.values)
            return all(parts) if isinstance(node.op, ast.And) else any(parts)
        case ast.UnaryOp():
            value = _value(node.operand, score)
            if isinstance(node.op, ast.Not):
                return not value
            return -value if isinstance(node.op, ast.USub) else value
        case ast.BinOp():
            return _ARITHMETIC[type(node.op)](_value(node.left, score), _value(node.right, score))
        case _:
            return score
