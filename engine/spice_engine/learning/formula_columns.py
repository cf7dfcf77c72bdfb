"""Formulas over columns: what Python would do in every row, to the bit, by masked NumPy.

Every branch is run for the rows that take it, under a mask. Where any of them might raise, the
whole raises `Trouble`: the rows are then done one by one by someone else, who says what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning import formula_scalar as scalar
from spice_engine.learning.column_values import (
    ARITHMETIC,
    COMPARISONS,
    FLAGS,
    FUNCTIONS,
    MAXIMUM,
    MINIMUM,
    Array,
    Cell,
    Column,
    Function,
    Mask,
    Trouble,
    full,
    is_flag,
    minus,
    numbers,
    plus,
    select,
    truth,
)
from spice_engine.learning.formula import Name, Node, names

__all__ = ["Column", "Rows", "Run", "Trouble", "Uncompiled", "Value", "build", "build_value"]


class Uncompiled(Exception):
    """There is no column form of this formula."""


class Rows:
    """The names of one stretch of rows, and for names set under a mask the rows that have them."""

    __slots__ = ("assigned", "cells")

    def __init__(
        self, cells: Mapping[Name, Cell], assigned: Mapping[Name, Array] | None = None
    ) -> None:
        self.cells = dict(cells)
        self.assigned = dict(assigned or {})

    def copy(self) -> Rows:
        """The same rows, for other code to go on with."""
        return Rows(self.cells, self.assigned)

    def get(self, name: Name, mask: Mask = True) -> Cell:
        """The value of a name; raises Trouble unless all rows of the mask have one."""
        cell = self.cells.get(name)
        if cell is None:
            raise Trouble
        have = self.assigned.get(name)
        if have is not None and not (have if mask is True else have | ~mask).all():
            raise Trouble
        return cell

    def floats(self, name: Name, count: int) -> NDArray[np.float64]:
        """The numbers [count] of a name, as `float` gives them; raises Trouble."""
        return full(self.get(name), count)

    def set(self, name: Name, cell: Cell, mask: Mask) -> None:
        """Sets a name in the rows of the mask."""
        if mask is True:
            self.cells[name] = cell
            self.assigned.pop(name, None)
        elif name not in self.cells:
            self.cells[name] = cell
            self.assigned[name] = mask
        else:
            self.cells[name] = select(mask, cell, self.cells[name])
            if name in self.assigned:
                self.assigned[name] = self.assigned[name] | mask


Value = Callable[[Rows, Mask], Cell]
Run = Callable[[Rows, Mask], None]


def build(formula: Sequence[Node]) -> Run:
    """The function that runs a formula on `Rows` under a mask.

    Raises Uncompiled where there is none. The function raises Trouble; it is to be called with
    NumPy's floating point warnings off.
    """
    runs = tuple(_statement(statement) for statement in formula)

    def run(rows: Rows, mask: Mask) -> None:
        for one in runs:
            one(rows, mask)

    return run


def truths(cell: Cell, count: int) -> NDArray[np.bool_]:
    """The truth [count] of a cell."""
    found = truth(cell)
    return np.full(count, found) if isinstance(found, bool) else found


def _statement(node: Node) -> Run:
    match node[0]:
        case "set":
            return _set([build_value(value) for value in node[1]], node[2])
        case "when":
            return _when(build_value(node[1]), build(node[2]), build(node[3]))
        case _:
            value = build_value(node[1])

            def do(rows: Rows, mask: Mask) -> None:
                value(rows, mask)

            return do


def _set(values: list[Value], targets: list[list[Name]]) -> Run:
    pairs = [(name, index) for target in targets for index, name in enumerate(target)]

    def run(rows: Rows, mask: Mask) -> None:
        found = [value(rows, mask) for value in values]
        for name, index in pairs:
            rows.set(name, found[index], mask)

    return run


def _when(test: Value, body: Run, orelse: Run) -> Run:
    def run(rows: Rows, mask: Mask) -> None:
        yes, no = _split(truth(test(rows, mask)), mask)
        if yes is not None:
            body(rows, yes)
        if no is not None:
            orelse(rows, no)

    return run


def _split(found: Any, mask: Mask) -> tuple[Mask | None, Mask | None]:
    """The rows of a mask where a test holds and those where not; None for no rows."""
    if isinstance(found, bool):
        return (mask, None) if found else (None, mask)
    yes = found if mask is True else mask & found
    no = ~found if mask is True else mask & ~found
    if not yes.any():
        return None, mask
    return (yes, no) if no.any() else (mask, None)


def build_value(node: Node) -> Value:
    """The function that gives a value of `Rows` under a mask; raises as `build` does."""
    match node[0]:
        case "number":
            return _constant(node[1])
        case "get":
            name = node[2]
            return lambda rows, mask: rows.get(name, mask)
        case "operator":
            if node[2] == "**" and names([["do", node[3]], ["do", node[4]]]):
                raise Uncompiled(node[2])
            return _operator(node[2], build_value(node[3]), build_value(node[4]))
        case "unary":
            return _unary(node[2], build_value(node[3]))
        case "and" | "or":
            return _logic([build_value(value) for value in node[1]], node[0] == "and")
        case "compare":
            return _compare(build_value(node[2]), node[3], [build_value(v) for v in node[4]])
        case "pick":
            return _pick(*(build_value(value) for value in node[1:]))
        case _:
            return _call(node[2], [build_value(value) for value in node[3]])


def _constant(number: float) -> Value:
    def constant(_: Rows, __: Mask) -> Cell:
        return number

    return constant


def _plainly(function: Callable[..., Any], *arguments: Any) -> Cell:
    """What Python gives for plain numbers."""
    try:
        found = function(*arguments)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise Trouble from error
    if not isinstance(found, float | int):
        raise Trouble
    return found


def _operator(symbol: str, left: Value, right: Value) -> Value:
    plain, apply, flags = scalar.OPERATORS[symbol], ARITHMETIC.get(symbol), FLAGS.get(symbol)

    def binary(rows: Rows, mask: Mask) -> Cell:
        one, other = left(rows, mask), right(rows, mask)
        if not (isinstance(one, Column) or isinstance(other, Column)):
            return _plainly(plain, one, other)
        if apply is not None:
            return apply(one, other, mask)
        if flags is not None and is_flag(one) and is_flag(other):
            return Column(flags(truth(one), truth(other)))
        raise Trouble  # bits of integers; and powers, which NumPy does not round as Python does

    return binary


def _unary(symbol: str, operand: Value) -> Value:
    plain = scalar.UNARY[symbol]

    def unary(rows: Rows, mask: Mask) -> Cell:
        cell = operand(rows, mask)
        if not isinstance(cell, Column):
            return _plainly(plain, cell)
        if symbol == "not":
            return Column(~truth(cell))
        return plus(cell) if symbol == "+" else minus(cell)

    return unary


def _logic(values: list[Value], is_and: bool) -> Value:
    *first, last = values

    def logic(rows: Rows, mask: Mask) -> Cell:
        # Rows that have their answer, and what it was: the other values are not asked for them.
        done: list[tuple[Array, Cell]] = []
        found: Cell | None = None
        for value in first:
            cell = value(rows, mask)
            yes, no = _split(truth(cell), mask)
            ended, going = (no, yes) if is_and else (yes, no)
            if going is None:
                found = cell
                break
            if ended is not None:
                done.append((ended, cell))
            mask = going
        if found is None:
            found = last(rows, mask)
        for rows_done, cell in reversed(done):
            found = select(rows_done, cell, found)
        return found

    return logic


def _pick(test: Value, body: Value, orelse: Value) -> Value:
    def pick(rows: Rows, mask: Mask) -> Cell:
        yes, no = _split(truth(test(rows, mask)), mask)
        if yes is None:
            return orelse(rows, no)
        if no is None:
            return body(rows, yes)
        return select(yes, body(rows, yes), orelse(rows, no))

    return pick


def _compare(first: Value, symbols: list[str], others: list[Value]) -> Value:
    steps = [
        (COMPARISONS[symbol], scalar.COMPARISONS[symbol], other)
        for symbol, other in zip(symbols, others, strict=True)
    ]

    def compare(rows: Rows, mask: Mask) -> Cell:
        left = first(rows, mask)
        holds: Any = True
        for columns, plain, other in steps:
            right = other(rows, mask)
            if isinstance(left, Column) or isinstance(right, Column):
                step = columns(numbers(left), numbers(right))
            else:
                step = plain(left, right)
            holds = step if holds is True else holds & step
            going, _ = _split(step, mask)
            if going is None:
                break
            mask, left = going, right
        return holds if isinstance(holds, bool) else Column(holds)

    return compare


def _call(name: str, arguments: list[Value]) -> Value:
    plain = scalar.function(name)
    columns: Function | None = {"min": MINIMUM, "max": MAXIMUM}.get(name)
    columns = columns or FUNCTIONS.get((name, len(arguments)))
    if columns is None:
        raise Uncompiled(name)

    def call(rows: Rows, mask: Mask) -> Cell:
        cells = [argument(rows, mask) for argument in arguments]
        if any(isinstance(cell, Column) for cell in cells):
            return columns(cells, mask)
        return _plainly(plain, *cells)

    return call
