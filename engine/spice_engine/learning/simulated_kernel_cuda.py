"""A pod's module for CUDA: the CPU's own text, and a kernel in which a thread is a member.

Two things are put in place. A product is rounded before anything is added to it: by itself, a
compiler for GPUs fuses both. And functions of NumPy are those that a GPU has; all of them are
exact, or rounded once, so that results are the CPU's to the bit. Importing this module imports
numba.cuda.
"""

from __future__ import annotations

import ast
import importlib
import math
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from spice_engine.learning.kernels.cuda import cuda, device
from spice_engine.learning.simulated_kernel_text import Module

_SIMULATED = bool(cuda.config.ENABLE_CUDASIM)
_KEPT = 4
"""Pods whose kernels are kept in this process."""
_DRIVERS = frozenset({"attempt", "allowed", "values_of", "expand", "masks", "roll"})
"""What a population needs nothing of."""
_PRODUCT = "product_"
_EXACT = ("ceil", "copysign", "floor", "fmod", "rint", "sqrt", "trunc")
_TESTS = ("isfinite", "isinf", "isnan")


def _times(x: Any, y: Any) -> Any:
    """What `product_` is on a GPU by the types of its arguments: see `_functions`."""
    return x * y


def _functions() -> dict[str, Callable[..., Any]]:
    """What the rewritten text calls."""
    names = {f"{name}_": name for name in (*_EXACT, *_TESTS)}
    if _SIMULATED:
        return {
            _PRODUCT: operator.mul,
            **{call: getattr(np, name) for call, name in names.items()},
        }
    library: Any = importlib.import_module("numba.cuda.libdevice")
    types: Any = importlib.import_module("numba.core.types")
    extending: Any = importlib.import_module("numba.cuda.extending")
    double, single = library.dmul_rn, library.fmul_rn

    # Numba wants signatures that are all the same.
    def of_doubles(x: Any, y: Any) -> Any:
        return double(x, y)

    def of_singles(x: Any, y: Any) -> Any:
        return single(x, y)

    def by_types(x: Any, y: Any) -> Any:
        if types.float64 in (x, y):
            return of_doubles
        return of_singles if types.float32 in (x, y) else _times

    extending.overload(_times)(by_types)
    exact = {f"{name}_": getattr(library, name) for name in _EXACT}
    tests = {f"{name}_": getattr(math, name) for name in _TESTS}
    return {_PRODUCT: _times, **exact, **tests}


_CALLED = _functions()


class _Rewriting(ast.NodeTransformer):
    """Puts calls of `product_` in the place of `*`, and of `floor_` in that of `np.floor`."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Mult):
            return node
        return ast.Call(ast.Name(_PRODUCT, ast.Load()), [node.left, node.right], [])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        known = isinstance(node.value, ast.Name) and node.value.id == "np"
        name = f"{node.attr}_"
        return ast.Name(name, ast.Load()) if known and name in _CALLED else node


def rewritten(text: str) -> ast.Module:
    """The functions of a module's text as a GPU's compiler is to see them."""
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            _Rewriting().visit(node)
    return ast.fix_missing_locations(tree)


@lru_cache(_KEPT)
def make_learn(module: Module) -> Any:
    """The kernel of the driver `learn` of a pod's module.

    It takes `table` [M, S, 2 W], `trouble` [1], `steps`, random numbers [M] and then all that the
    driver takes after them. Where a state of any member is TROUBLE, `trouble` becomes 1, and
    nobody goes on.
    """
    functions: dict[str, Any] = dict(_CALLED)
    exec(compile(rewritten(module.text), "<a pod's module for CUDA>", "exec"), functions)
    for name in module.functions:
        if name not in _DRIVERS:
            functions[name] = device(functions[name])
    learn_one = functions["learn"]

    @cuda.jit
    def learn(
        table: Any, trouble: Any, steps: int, seeds: Any, at: Any, carried: Any, least: Any,
        gammas: Any, chances: Any, share: Any, begin_rows: Any, begin_local: Any, first: int,
        stop: int, length: int, passes: int, scale: float, base: Any, edges: Any, bounds: Any,
        strides: Any, data: Any, fixed: Any, initial: Any,
    ) -> None:  # fmt: skip
        member = cuda.grid(1)
        if (
            member < seeds.shape[0]
            and trouble[0] == 0
            and learn_one(
                table, member, member + 1, steps, seeds, at, carried, least, gammas, chances, share,
                begin_rows, begin_local, first, stop, length, passes, scale, base, edges, bounds,
                strides, data, fixed, initial,
            )
        ):  # fmt: skip
            trouble[0] = 1

    return learn
