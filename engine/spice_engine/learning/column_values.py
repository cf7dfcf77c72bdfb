"""Columns of numbers that Python would hold as floats, integers or flags: arithmetic on them.

A column keeps beside its numbers which of them Python would hold as integers, because integers
have no negative zero and are exact. Where float64 could not hold one, and wherever Python could
raise, `Trouble` says that the rows are to be done one by one; in vain now and then, but never too
rarely. All is to be called with NumPy's floating point warnings off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

EXACT = 2.0**53
"""Below this, sums and products of integers are exact in float64."""

Mask = Any
"""Which rows are meant: True for all, or a boolean array with at least one True."""
Ints = Any
"""Which rows hold integers: False, True, or a boolean array."""
Array = NDArray[Any]


class Trouble(Exception):
    """The rows must be done one by one: something may raise, or may not be exact."""


class Column:
    """One value per row: float64, or boolean for the results of tests."""

    __slots__ = ("ints", "values")

    def __init__(self, values: Array, ints: Ints = False) -> None:
        self.values = values
        self.ints = ints


Cell = Column | float | int | bool
"""A column, or a number that is the same in all rows."""
Arithmetic = Callable[[Cell, Cell, Mask], Column]
Function = Callable[[list[Cell], Mask], Cell]


def numbers(cell: Cell) -> Array:
    """The numbers of a cell as floats; of no dimension where they are the same in all rows."""
    if isinstance(cell, Column):
        return cell.values.astype(np.float64) if _is_boolean(cell.values) else cell.values
    if isinstance(cell, float):
        return np.asarray(cell)
    if abs(cell) >= EXACT:
        raise Trouble
    return np.asarray(float(cell))


def full(cell: Cell, count: int) -> NDArray[np.float64]:
    """The numbers [count] of a cell as floats."""
    return numbers(cell) if isinstance(cell, Column) else np.full(count, numbers(cell))


def truth(cell: Cell) -> Any:
    """Truth as Python has it, NaN being true: a boolean array, or a bool."""
    if not isinstance(cell, Column):
        return bool(cell)
    return cell.values if _is_boolean(cell.values) else cell.values != 0.0


def is_flag(cell: Cell) -> bool:
    """Whether a cell holds True and False in every row."""
    return _is_boolean(cell.values) if isinstance(cell, Column) else isinstance(cell, bool)


def _is_boolean(values: Array) -> bool:
    return values.dtype == np.bool_


def _ints(cell: Cell) -> Ints:
    if isinstance(cell, Column):
        return True if _is_boolean(cell.values) else cell.ints
    return not isinstance(cell, float)


def select(chosen: Array, one: Cell, other: Cell) -> Column:
    """Rows of `one` where `chosen`, else of `other`."""
    if is_flag(one) and is_flag(other):
        return Column(_where(chosen, truth(one), truth(other)))
    i, j = _ints(one), _ints(other)
    same = i is j and isinstance(i, bool)
    return Column(_where(chosen, numbers(one), numbers(other)), i if same else _where(chosen, i, j))


def _where(chosen: Array, one: Any, other: Any) -> Array:
    return cast("Array", np.where(chosen, one, other))


def _both(one: Cell, other: Cell) -> Ints:
    i, j = _ints(one), _ints(other)
    if i is False or j is False:
        return False
    if i is True:
        return j
    return i if j is True else i & j


def _any(found: Any, mask: Mask) -> bool:
    return bool(np.any(found if mask is True else found & mask))


def _exact(values: Array, ints: Ints, mask: Mask) -> Column:
    """A result in which integers are exact and zeros of theirs positive."""
    if ints is False:
        return Column(values)
    too_large = ~(np.abs(values) < EXACT)
    if _any(too_large if ints is True else too_large & ints, mask):
        raise Trouble
    # Adding a positive zero makes a negative one positive and changes nothing else.
    return Column(values + 0.0 if ints is True else np.where(ints, values + 0.0, values), ints)


def _add(one: Cell, other: Cell, mask: Mask) -> Column:
    return _exact(numbers(one) + numbers(other), _both(one, other), mask)


def _subtract(one: Cell, other: Cell, mask: Mask) -> Column:
    return _exact(numbers(one) - numbers(other), _both(one, other), mask)


def _multiply(one: Cell, other: Cell, mask: Mask) -> Column:
    return _exact(numbers(one) * numbers(other), _both(one, other), mask)


def _divide(one: Cell, other: Cell, mask: Mask) -> Column:
    # Quotients of integers are the nearest floats too, and -0.0 for 0 / -1.
    divisor = numbers(other)
    if _any(divisor == 0.0, mask):
        raise Trouble
    return Column(numbers(one) / divisor)


def _floor_divide(one: Cell, other: Cell, mask: Mask) -> Column:
    x, y = numbers(one), numbers(other)
    _, quotient, ints = _divided(one, other, mask)
    floor = np.floor(quotient)
    floor = np.where(quotient - floor > 0.5, floor + 1.0, floor)
    floor = np.where(quotient != 0.0, floor, np.copysign(0.0, x / y))
    return _exact(floor, ints, mask)


def _modulo(one: Cell, other: Cell, mask: Mask) -> Column:
    rest, _, ints = _divided(one, other, mask)
    return _exact(rest, ints, mask)


def _divided(one: Cell, other: Cell, mask: Mask) -> tuple[Array, Array, Ints]:
    """The rest of a division and the nearly whole quotient, as Python's `divmod` has them.

    NumPy's differs from it for infinities.
    """
    x, y = numbers(one), numbers(other)
    ints = _both(one, other)
    if _any(y == 0.0, mask):
        raise Trouble
    if ints is not False:
        large = ~((np.abs(x) < EXACT) & (np.abs(y) < EXACT))
        if _any(large if ints is True else large & ints, mask):
            raise Trouble
    rest = np.fmod(x, y)
    quotient = (x - rest) / y
    has_rest = rest != 0.0
    turned = has_rest & ((y < 0.0) != (rest < 0.0))
    rest = np.where(has_rest, np.where(turned, rest + y, rest), np.copysign(0.0, y))
    return rest, np.where(turned, quotient - 1.0, quotient), ints


ARITHMETIC: dict[str, Arithmetic] = {
    "+": _add, "-": _subtract, "*": _multiply, "/": _divide, "//": _floor_divide, "%": _modulo,
}  # fmt: skip
FLAGS: dict[str, Callable[[Any, Any], Array]] = {
    "&": np.logical_and, "|": np.logical_or, "^": np.logical_xor,
}  # fmt: skip
COMPARISONS: dict[str, Callable[[Array, Array], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    "==": np.equal, "!=": np.not_equal,
}  # fmt: skip


def plus(cell: Column) -> Column:
    """`+x`, which makes integers of flags."""
    return Column(numbers(cell), _ints(cell))


def minus(cell: Column) -> Column:
    """`-x`."""
    values, ints = numbers(cell), _ints(cell)
    if ints is False:
        return Column(-values)
    return Column(0.0 - values if ints is True else np.where(ints, 0.0 - values, -values), ints)


def _extreme(better: Callable[[Array, Array], Any]) -> Function:
    def extreme(cells: list[Cell], _: Mask) -> Cell:
        best, *others = cells
        for cell in others:  # the first of equals stays, and NaN is never better
            best = select(np.atleast_1d(better(numbers(cell), numbers(best))), cell, best)
        return best

    return extreme


def _whole(rounding: Callable[[Array], Array]) -> Function:
    """A function that makes floats integers, and raises for NaN and infinities."""

    def whole(cells: list[Cell], mask: Mask) -> Cell:
        values = numbers(cells[0])
        if _any(~np.isfinite(values), mask):
            raise Trouble
        return Column(rounding(values) + 0.0, True)

    return whole


def _test(test: Callable[[Array], Array]) -> Function:
    def run(cells: list[Cell], _: Mask) -> Cell:
        return Column(test(numbers(cells[0])))

    return run


def _absolute(cells: list[Cell], _: Mask) -> Cell:
    return Column(np.abs(numbers(cells[0])), _ints(cells[0]))


def _absolute_float(cells: list[Cell], _: Mask) -> Cell:
    return Column(np.abs(numbers(cells[0])))


def _as_float(cells: list[Cell], _: Mask) -> Cell:
    return Column(numbers(cells[0]))


def _as_flag(cells: list[Cell], _: Mask) -> Cell:
    return Column(truth(cells[0]))


def _square_root(cells: list[Cell], mask: Mask) -> Cell:
    values = numbers(cells[0])
    if _any(values < 0.0, mask):
        raise Trouble
    return Column(np.sqrt(values))


def _copy_sign(cells: list[Cell], _: Mask) -> Cell:
    return Column(np.copysign(numbers(cells[0]), numbers(cells[1])))


MINIMUM, MAXIMUM = _extreme(np.less), _extreme(np.greater)
FUNCTIONS: dict[tuple[str, int], Function] = {
    ("abs", 1): _absolute,
    ("float", 1): _as_float,
    ("bool", 1): _as_flag,
    ("int", 1): _whole(np.trunc),
    ("round", 1): _whole(np.rint),
    ("math.trunc", 1): _whole(np.trunc),
    ("math.floor", 1): _whole(np.floor),
    ("math.ceil", 1): _whole(np.ceil),
    ("math.sqrt", 1): _square_root,
    ("math.fabs", 1): _absolute_float,
    ("math.copysign", 2): _copy_sign,
    ("math.isnan", 1): _test(np.isnan),
    ("math.isinf", 1): _test(np.isinf),
    ("math.isfinite", 1): _test(np.isfinite),
}
"""By name and number of arguments; those with any number are MINIMUM and MAXIMUM."""
