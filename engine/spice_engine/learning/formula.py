"""Formulas: loop-free code on numbers as plain data, to be run over columns or on one state.

A formula is a list of statements, each a list whose first item says what it is. It holds nothing
but lists, texts and numbers, so that it can be stored with a policy and run without compiling.

Statements:
    ["set", values, targets]            every target is a list of as many names as there are values
    ["when", test, body, orelse]
    ["do", value]
Values (`at` is [line, column, end line, end column] in the file):
    ["number", number]
    ["get", at, name]                   a name is a text, or an integer for the field of that index
    ["operator", at, symbol, left, right]
    ["unary", at, symbol, operand]
    ["and", values]  ["or", values]
    ["compare", at, first, symbols, others]
    ["pick", test, body, orelse]
    ["call", at, function, arguments]
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from spice_engine.learning.reward_syntax import is_print
from spice_engine.learning.source import Source

Node = list[Any]
Name = str | int
Resolve = Callable[[ast.expr], Node | None]
"""Gives the value that stands for a node of the code, or None for plain code."""

OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip
UNARY: dict[type[ast.unaryop], str] = {ast.USub: "-", ast.UAdd: "+", ast.Not: "not"}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
PLAIN_FUNCTIONS = frozenset({"abs", "min", "max", "round", "float", "int", "bool"})
# Those that take or give sequences, or give integers of any size.
_MATH_REFUSED = frozenset(
    {"dist", "fsum", "prod", "sumprod", "frexp", "modf", "factorial", "comb", "perm", "lcm"}
)
MATH_FUNCTIONS = frozenset(
    name
    for name, value in vars(math).items()
    if callable(value) and not name.startswith("_") and name not in _MATH_REFUSED
)
MATH_NUMBERS = frozenset(n for n, value in vars(math).items() if isinstance(value, float))


class Unsupported(Exception):
    """A formula has no form for this piece of code."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__(type(node).__name__)
        self.node = node


def translate(statements: Sequence[ast.stmt], source: Source, resolve: Resolve) -> list[Node]:
    """The formula of parsed statements of `source`; raises Unsupported where there is none."""
    return _Translator(source, resolve).body(statements)


def translate_value(node: ast.expr, source: Source, resolve: Resolve) -> Node:
    """The formula of one expression; raises Unsupported where there is none."""
    return _Translator(source, resolve).value(node)


class _Translator:
    def __init__(self, source: Source, resolve: Resolve) -> None:
        self._source = source
        self._resolve = resolve

    def _at(self, node: ast.expr | ast.stmt) -> list[int]:
        place = self._source.place(
            node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0
        )
        return [place.line, place.column, place.end_line, place.end_column]

    def body(self, statements: Sequence[ast.stmt]) -> list[Node]:
        found = (self._statement(one) for one in statements if not is_print(one))
        return [statement for statement in found if statement]

    def _statement(self, node: ast.stmt) -> Node:
        match node:
            case ast.Assign():
                return self._assign(node)
            case ast.AugAssign():
                name = self._target(node.target)
                at = self._at(node)
                symbol = self._symbol(node.op)
                value = ["operator", at, symbol, ["get", at, name], self.value(node.value)]
                return ["set", [value], [[name]]]
            case ast.If():
                return ["when", self.value(node.test), self.body(node.body), self.body(node.orelse)]
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                return []
            case ast.Expr():
                return ["do", self.value(node.value)]
            case _:
                raise Unsupported(node)

    def _assign(self, node: ast.Assign) -> Node:
        many = isinstance(node.value, ast.Tuple)
        parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        targets: list[list[Name]] = []
        for target in node.targets:
            if isinstance(target, ast.Tuple) != many:
                raise Unsupported(target)
            elements = target.elts if isinstance(target, ast.Tuple) else [target]
            if len(elements) != len(parts):
                raise Unsupported(target)
            targets.append([self._target(element) for element in elements])
        return ["set", [self.value(part) for part in parts], targets]

    def _target(self, node: ast.expr) -> Name:
        found = self._resolve(node)
        if found is not None:
            if found[0] != "get":
                raise Unsupported(node)
            return cast("Name", found[2])
        if isinstance(node, ast.Name):
            return node.id
        raise Unsupported(node)

    def _symbol(self, operator: ast.operator) -> str:
        if type(operator) not in OPERATORS:
            raise Unsupported(operator)
        return OPERATORS[type(operator)]

    def value(self, node: ast.expr) -> Node:
        found = self._resolve(node)
        if found is not None:
            return found
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return ["number", number]
            case ast.Name():
                return ["get", self._at(node), node.id]
            case ast.BinOp():
                symbol = self._symbol(node.op)
                left, right = self.value(node.left), self.value(node.right)
                return ["operator", self._at(node), symbol, left, right]
            case ast.UnaryOp() if type(node.op) in UNARY:
                symbol = UNARY[type(node.op)]
                return ["unary", self._at(node), symbol, self.value(node.operand)]
            case ast.BoolOp():
                kind = "and" if isinstance(node.op, ast.And) else "or"
                return [kind, [self.value(part) for part in node.values]]
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp():
                parts = (node.test, node.body, node.orelse)
                return ["pick", *(self.value(part) for part in parts)]
            case ast.Call():
                return self._call(node)
            case ast.Attribute(value=ast.Name(id="math")) if node.attr in MATH_NUMBERS:
                return ["number", getattr(math, node.attr)]
            case _:
                raise Unsupported(node)

    def _compare(self, node: ast.Compare) -> Node:
        symbols: list[str] = []
        for operator in node.ops:
            if type(operator) not in COMPARISONS:
                raise Unsupported(node)
            symbols.append(COMPARISONS[type(operator)])
        others = [self.value(part) for part in node.comparators]
        return ["compare", self._at(node), self.value(node.left), symbols, others]

    def _call(self, node: ast.Call) -> Node:
        match node.func:
            case ast.Name(id=name) if name in PLAIN_FUNCTIONS:
                pass
            case ast.Attribute(value=ast.Name(id="math"), attr=attr) if attr in MATH_FUNCTIONS:
                name = f"math.{attr}"
            case _:
                raise Unsupported(node)
        few = len(node.args) < 2 and name in {"min", "max"}
        if node.keywords or few or any(isinstance(one, ast.Starred) for one in node.args):
            raise Unsupported(node)
        return ["call", self._at(node), name, [self.value(part) for part in node.args]]


def names(formula: Sequence[Node]) -> tuple[Name, ...]:
    """Every name that the formula's statements read or set, in the order met."""
    return tuple(dict.fromkeys(name for statement in formula for name in _names(statement)))


def set_names(formula: Sequence[Node]) -> tuple[Name, ...]:
    """Every name that the statements set, in the order met."""
    found: dict[Name, None] = {}
    for statement in formula:
        if statement[0] == "set":
            found.update((name, None) for target in statement[2] for name in target)
        elif statement[0] == "when":
            found.update(dict.fromkeys(set_names(statement[2] + statement[3])))
    return tuple(found)


def _names(node: Node) -> Iterator[Name]:
    match node[0]:
        case "set":
            yield from (name for value in node[1] for name in _names(value))
            yield from (name for target in node[2] for name in target)
        case "when":
            yield from _names(node[1])
            yield from (name for statement in node[2] + node[3] for name in _names(statement))
        case "get":
            yield node[2]
        case "number":
            pass
        case _:
            yield from (name for value in values_in(node) for name in _names(value))


def values_in(node: Node) -> list[Node]:
    """The values that a value (or a `do`) is made of."""
    match node[0]:
        case "operator":
            return [node[3], node[4]]
        case "unary":
            return [node[3]]
        case "and" | "or":
            return node[1]
        case "compare":
            return [node[2], *node[4]]
        case "pick":
            return node[1:]
        case "call":
            return node[3]
        case "do":
            return [node[1]]
        case _:
            return []
