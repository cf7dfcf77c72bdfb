"""Reading inline rewards: parsing within bounds, access to states, names and lists in the code."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from spice_engine.learning.source import Finding, Source

MAX_CODE = 64 * 1024
MAX_NODES = 5_000
MAX_DEPTH = 60
STATES = {
    "current_state": "current",
    "next_state": "next",
    "prev_state": "current",  # the names of the original's version 0.5 and before
    "new_state": "next",
}
OLD_STATES = {"prev_state": "current_state", "new_state": "next_state"}
FUNCTIONS = frozenset(
    {"abs", "min", "max", "round", "len", "float", "int", "bool", "sum", "range"},
)


@dataclass(frozen=True, slots=True)
class Access:
    """One use of a state: `which` is `current` or `next`; `name` what was asked for."""

    which: str
    name: str
    state: str
    old_syntax: bool


def parse(source: Source) -> tuple[list[ast.stmt], list[Finding]]:
    """The statements of a piece of code, or one finding that says why there are none.

    Columns of the nodes are in characters, not in bytes as `ast` has them.
    """
    if len(source.text) > MAX_CODE:
        return [], [_at_start(source, f"The code is longer than {MAX_CODE // 1024} KiB.")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.text)
    except SyntaxError as error:
        place = source.place(error.lineno or 1, max((error.offset or 1) - 1, 0))
        message = f"This is not valid Python: {error.msg}."
        return [], [Finding("invalid_reward_function", "error", place, message)]
    except (ValueError, RecursionError, MemoryError):
        return [], [_at_start(source, "The code cannot be parsed: it is nested too deeply.")]
    if not _is_small(tree):
        return [], [_at_start(source, "The code is too large or nested too deeply.")]
    if not source.text.isascii():
        _columns_in_characters(tree, source.text)
    return tree.body, []


def _at_start(source: Source, message: str) -> Finding:
    return Finding("invalid_reward_function", "error", source.place(1, 0), message)


def _is_small(tree: ast.AST) -> bool:
    level: list[ast.AST] = [tree]
    count = depth = 0
    while level:
        count += len(level)
        depth += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            return False
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return True


def _columns_in_characters(tree: ast.AST, text: str) -> None:
    lines = [line.encode() for line in text.splitlines()]
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt):
            start = lines[node.lineno - 1][: node.col_offset]
            node.col_offset = len(start.decode(errors="replace"))
            if node.end_lineno is not None and node.end_col_offset is not None:
                end = lines[node.end_lineno - 1][: node.end_col_offset]
                node.end_col_offset = len(end.decode(errors="replace"))


def state_access(node: ast.AST) -> Access | None:
    """What `current_state["x"]`, `next_state.a.b` and their like ask for; None for other nodes."""
    if isinstance(node, ast.Subscript):
        state, key = node.value, node.slice
        if (
            isinstance(state, ast.Name)
            and state.id in STATES
            and isinstance(key, ast.Constant)
            and isinstance(key.value, str)
        ):
            old = state.id in OLD_STATES or "." in key.value
            return Access(STATES[state.id], key.value.replace(".", "_"), state.id, old)
        return None
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if parts and isinstance(node, ast.Name) and node.id in STATES:
        return Access(STATES[node.id], "_".join(reversed(parts)), node.id, True)
    return None


def assigned_names(statements: Sequence[ast.stmt]) -> set[str]:
    """Every name that the statements assign anywhere."""
    return {
        node.id
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def sequence_names(statements: Sequence[ast.stmt]) -> frozenset[str]:
    """Names that may hold a list, tuple or range."""
    names: frozenset[str] = frozenset()
    assignments = [
        node
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Assign)
    ]
    while True:
        found = set(names)
        for node in assignments:
            if is_sequence(node.value, names):
                found.update(t.id for t in node.targets if isinstance(t, ast.Name))
        if len(found) == len(names):
            return names
        names = frozenset(found)


def is_sequence(node: ast.expr, names: frozenset[str]) -> bool:
    """Whether an expression may give a list, tuple or range."""
    match node:
        case ast.List() | ast.Tuple():
            return True
        case ast.Name():
            return node.id in names
        case ast.IfExp():
            return is_sequence(node.body, names) or is_sequence(node.orelse, names)
        case ast.BoolOp():
            return any(is_sequence(value, names) for value in node.values)
        case ast.Subscript():
            return isinstance(node.slice, ast.Slice)
        case ast.Call():
            return isinstance(node.func, ast.Name) and node.func.id == "range"
        case _:
            return False


def is_print(node: ast.stmt) -> bool:
    """Whether the statement is a call of `print`, which the original allowed."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "print"
    )
