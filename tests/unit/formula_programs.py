"""Random programs of the language of rewards and effects, and awkward numbers to run them on."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from hypothesis import strategies as st

NUMBERS = [
    0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 7.0, 1e16, 9007199254740993.0, 1e300, -1e300, 5e-324,
    math.inf, -math.inf, math.nan,
]  # fmt: skip
_CONSTANTS = [
    "0", "1", "2", "3", "-1", "-3", "0.0", "-0.0", "0.5", "2.5", "7", "True", "False",
    "9007199254740991", "9007199254740993", "1e16", "1e300", "math.inf", "math.nan", "10 ** 3",
]  # fmt: skip
_OPERATORS = ["+", "-", "*", "/", "//", "%"]
_COMPARISONS = ["<", "<=", ">", ">=", "==", "!="]
_CALLS = [
    "abs", "float", "int", "bool", "round", "math.floor", "math.ceil", "math.trunc", "math.sqrt",
    "math.fabs", "math.isnan", "math.isfinite",
]  # fmt: skip


def values() -> st.SearchStrategy[float]:
    """Numbers of states: awkward ones, small whole ones, and any."""
    small = st.integers(-4, 4).map(float)
    return st.sampled_from(NUMBERS) | small | st.floats(-100, 100) | st.floats()


def bits(numbers: Sequence[float]) -> list[bytes]:
    """What tells two floats apart; all NaNs are equal."""
    return [b"nan" if math.isnan(x) else struct.pack("<d", x) for x in numbers]


def _expressions(names: Sequence[str]) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(_CONSTANTS)
    if names:
        leaves = st.sampled_from(list(names)) | leaves

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        def join(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
            return st.tuples(*parts).map(lambda found: f"({' '.join(found)})")

        comparison = st.sampled_from(_COMPARISONS)
        return st.one_of(
            join(inner, st.sampled_from(_OPERATORS), inner),
            join(inner, st.sampled_from(_OPERATORS), inner),
            join(inner, comparison, inner),
            join(inner, comparison, inner, comparison, inner),
            join(inner, st.sampled_from(["and", "or"]), inner),
            join(inner, st.sampled_from(["and", "or"]), inner, st.just("or"), inner),
            join(st.sampled_from(["-", "+", "not"]), inner),
            join(inner, st.just("if"), inner, st.just("else"), inner),
            st.tuples(st.sampled_from(_CALLS), inner).map(lambda f: f"{f[0]}({f[1]})"),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner, inner).map(
                lambda f: f"{f[0]}({f[1]}, {f[2]}, {f[3]})"
            ),
            st.tuples(inner, inner).map(lambda f: f"math.copysign({f[0]}, {f[1]})"),
            st.tuples(inner, st.sampled_from(["2", "3", "0.5", "-1"])).map(
                lambda f: f"(({f[0]}) ** {f[1]})"
            ),
        )

    return st.recursive(leaves, grow, max_leaves=8)


def programs(
    names: Sequence[str], targets: Sequence[str], *, expression: bool = False
) -> st.SearchStrategy[str]:
    """Programs that read `names` and set `targets`; or single expressions of `names`."""
    if expression:
        return _expressions(names)
    target = st.sampled_from(list(targets))
    values = _expressions([*names, *targets])
    assignment = st.one_of(
        st.tuples(target, values).map(lambda f: [f"{f[0]} = {f[1]}"]),
        st.tuples(target, st.sampled_from(_OPERATORS), values).map(
            lambda f: [f"{f[0]} {f[1]}= {f[2]}"]
        ),
        st.tuples(target, target, values, values).map(
            lambda f: [f"{f[0]}, {f[1]} = {f[2]}, {f[3]}"]
        ),
    )

    def indent(lines: list[str]) -> list[str]:
        return [f"  {line}" for line in lines]

    def nest(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
        return st.one_of(
            st.tuples(inner, inner).map(lambda f: [*f[0], *f[1]]),
            st.tuples(values, inner).map(lambda f: [f"if {f[0]}:", *indent(f[1])]),
            st.tuples(values, inner, inner).map(
                lambda f: [f"if {f[0]}:", *indent(f[1]), "else:", *indent(f[2])]
            ),
            st.tuples(values, inner, values, inner).map(
                lambda f: [f"if {f[0]}:", *indent(f[1]), f"elif {f[2]}:", *indent(f[3])]
            ),
        )

    return st.recursive(assignment, nest, max_leaves=5).map("\n".join)
