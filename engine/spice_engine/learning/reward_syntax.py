"""Reading inline rewards: parsing within bounds, access to states, and names in the code."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from functools import lru_cache

from spice_engine.learning.source import Finding, Source
from spice_engine.records import record

MAX_CODE = 64 * 1024
MAX_NODES = 5_000
MAX_DEPTH = 60
MAX_EXPONENT = 16
STATES = {
    "current_state": "current",
    "next_state": "next",
    "prev_state": "current",  # the names of the original's version 0.5 and before
    "new_state": "next",
}
ACTION_VALUE = "action_value"
"""In the code of an action with a range: its value. In rewards it is read like a field."""
TAKE_VALUE = f"Write it last, as in (current_state, next_state, {ACTION_VALUE})."
OLD_STATES = {"prev_state": "current_state", "new_state": "next_state"}
INTERPRETATIONS = {
    "current_state_interpretations": "current",
    "next_state_interpretations": "next",
}
NAMES_OF: dict[type[ast.AST], str] = {
    ast.While: "'while' loops", ast.Import: "imports", ast.ImportFrom: "imports",
    ast.FunctionDef: "function definitions", ast.AsyncFunctionDef: "function definitions",
    ast.ClassDef: "classes", ast.Lambda: "'lambda'", ast.ListComp: "comprehensions",
    ast.SetComp: "comprehensions", ast.DictComp: "comprehensions",
    ast.GeneratorExp: "comprehensions", ast.NamedExpr: "':='", ast.Try: "'try'",
    ast.With: "'with'", ast.Return: "'return'", ast.Raise: "'raise'", ast.Delete: "'del'",
    ast.Global: "'global'", ast.Nonlocal: "'nonlocal'", ast.Assert: "'assert'",
    ast.JoinedStr: "strings", ast.Dict: "dictionaries", ast.Set: "sets",
    ast.Attribute: "attributes other than those of math", ast.Starred: "'*' arguments",
    ast.AnnAssign: "annotations", ast.Await: "'await'", ast.Yield: "'yield'", ast.Match: "'match'",
}  # fmt: skip
"""What the code must not hold, in words that end a sentence."""
FUNCTIONS = frozenset(
    {"abs", "min", "max", "round", "len", "float", "int", "bool", "sum", "range"},
)


@record
class Access:
    """One use of a state: `which` is `current` or `next`; `name` what was asked for."""

    which: str
    name: str
    state: str
    old_syntax: bool


def parse(
    source: Source, code: str = "invalid_reward_function"
) -> tuple[list[ast.stmt], list[Finding]]:
    """The statements of a piece of code, or one finding of `code` that says why there are none.

    Columns of the nodes are in characters, not in bytes as `ast` has them. The nodes are shared
    with other callers: they must not be changed.
    """
    if len(source.text) > MAX_CODE:
        return [], [_at_start(source, code, f"The code is longer than {MAX_CODE // 1024} KiB.")]
    try:
        tree = _tree(source.text)
    except SyntaxError as error:
        place = source.place(error.lineno or 1, max((error.offset or 1) - 1, 0))
        message = f"This is not valid Python: {error.msg}."
        return [], [Finding(code, "error", place, message)]
    except (ValueError, RecursionError, MemoryError):
        return [], [_at_start(source, code, "The code cannot be parsed: it is nested too deeply.")]
    if tree is None:
        return [], [_at_start(source, code, "The code is too large or nested too deeply.")]
    return list(tree.body), []


@lru_cache(maxsize=32)
def _tree(text: str) -> ast.Module | None:
    """The parsed text, None if it is too large. Shared: nobody may change it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    if not _is_small(tree):
        return None
    if not text.isascii():
        _columns_in_characters(tree, text)
    return tree


def _at_start(source: Source, code: str, message: str) -> Finding:
    return Finding(code, "error", source.place(1, 0), message)


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
    if notes_access(node):
        return None
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if parts and isinstance(node, ast.Name) and node.id in STATES:
        return Access(STATES[node.id], "_".join(reversed(parts)), node.id, True)
    return None


def notes_access(node: ast.AST) -> tuple[str, bool] | None:
    """The state whose interpretations a node is, and whether in the old way; None for others."""
    if isinstance(node, ast.Name) and node.id in INTERPRETATIONS:
        return INTERPRETATIONS[node.id], False
    if (
        isinstance(node, ast.Attribute)
        and node.attr == "interpretations"
        and isinstance(node.value, ast.Name)
        and node.value.id in STATES
    ):
        return STATES[node.value.id], True
    return None


def is_action_value(node: ast.AST) -> bool:
    """Whether a node reads the value of an action with a range, where there is one."""
    return isinstance(node, ast.Name) and node.id == ACTION_VALUE and isinstance(node.ctx, ast.Load)


def takes_no_value(function: str, action: str) -> str:
    """What is wrong with a file's function that does not take the value of its action."""
    return (
        f"The function '{function}' does not take '{ACTION_VALUE}', "
        f"but the action '{action}' has a range."
    )


def assigned_names(statements: Sequence[ast.stmt]) -> set[str]:
    """Every name that the statements assign anywhere."""
    return {
        node.id
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def is_print(node: ast.stmt) -> bool:
    """Whether the statement is a call of `print`, which the original allowed."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "print"
    )


def is_small_exponent(node: ast.expr) -> bool:
    """Whether the node is a number that powers may have as exponent."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        node = node.operand
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and abs(node.value) <= MAX_EXPONENT
    )


def is_text(node: ast.expr) -> bool:
    """Whether the node is a text."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_none(*nodes: ast.expr) -> bool:
    """Whether any of the nodes is None."""
    return any(isinstance(node, ast.Constant) and node.value is None for node in nodes)
