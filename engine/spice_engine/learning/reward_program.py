"""Checked reward code, one program per pod: columns where they are exact, and Python functions.

In the functions, run once per row, `current_state["x"]` becomes an argument and every node keeps
its line and column of the manifest, so that a traceback points into the user's file.
"""

from __future__ import annotations

import ast
import copy
import math
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CodeType
from typing import Any, cast

from spice_engine.errors import InvalidRewards, Place
from spice_engine.learning import formula, formula_columns
from spice_engine.learning.levels import Level
from spice_engine.learning.reward_check import check_rewards
from spice_engine.learning.reward_syntax import (
    ACTION_VALUE,
    FUNCTIONS,
    is_action_value,
    is_print,
    notes_access,
    parse,
    state_access,
)
from spice_engine.learning.source import Source
from spice_engine.records import record

MAX_RANGE = 10_000
NOTES = -1
"""Stands for the index of a field where interpretations are meant."""
_FUNCTION = "reward_function"
_NOWHERE = [0, 0, 0, 0]  # errors are found by the Python function, which knows its places


@record
class ActionReward:
    """The compiled reward of one action: `function(*arguments)`.

    `arguments` are pairs of state (`current` or `next`) and index of a field, NOTES standing for
    the interpretations of that state. `columns` is the same code without `init` as column code,
    and None where it has no such form. `init` is the source of what stands before the code.
    `value` is that of a level, whose action has a range.
    """

    action: str
    source: Source
    function: Callable[..., Any]
    arguments: tuple[tuple[str, int], ...]
    columns: formula_columns.Run | None = None
    init: Source | None = None
    value: float | None = None

    def reads(self) -> frozenset[tuple[str, int]] | None:
        """`arguments` without interpretations; None where any field may be read."""
        return frozenset(one for one in self.arguments if one[1] != NOTES)

    def place_of(self, error: BaseException) -> Place:
        """Where in the manifest an error was raised that came out of `function`."""
        place = self.source.place(1, 0)
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if code is self.function.__code__:
                place = instruction_place(code, trace.tb_lasti, self.source.file)
            trace = trace.tb_next
        return place


@record
class RewardProgram:
    """The rewards of a pod; `rewards` is empty where all actions get 1 (`uniform`).

    `init` is the column code of what stands before each action's code.
    """

    actions: tuple[str, ...]
    rewards: tuple[ActionReward, ...]
    init: formula_columns.Run | None = None

    def reads(self, action: int) -> frozenset[tuple[str, int]] | None:
        """The fields an action's reward may read, as in `ActionReward.arguments`.

        Interpretations, which are not of a state but of its time, are left out. None where it is
        not known.
        """
        return self.rewards[action].reads() if self.rewards else frozenset()


def compile_rewards(
    actions: Sequence[str],
    fields: Sequence[str],
    init: Source | None,
    codes: Mapping[str, Source] | None,
    ranged: Collection[str] = (),
    levels: Sequence[Level] = (),
) -> RewardProgram:
    """The program for `actions` (in that order), or the uniform one where `codes` is None.

    Where some actions are `ranged`, their value is behind the fields, in both states; or the
    program is for the `levels`, each with its own value in its code.

    Raises InvalidRewards at the first thing the check finds, and where an action has no reward.
    """
    every = tuple(levels) or tuple(Level(action) for action in actions)
    if codes is None:
        return RewardProgram(tuple(level.name for level in every), ())
    for action in actions:
        if action not in codes:
            raise InvalidRewards(
                f"The action '{action}' has no reward.",
                hint=f"Add an entry 'reward: {action}' under training.rewards.",
            )
    for finding in check_rewards(init, codes, fields, ranged):
        if finding.severity == "error":
            raise InvalidRewards(finding.message, hint=finding.hint, place=finding.place)
    if ranged and not levels:
        fields = (*fields, ACTION_VALUE)
    start = _columns(init, fields) if init else None
    rewards = tuple(
        _compile(
            level, init, codes[level.action], fields, with_columns=init is None or start is not None
        )
        for level in every
    )
    return RewardProgram(tuple(level.name for level in every), rewards, start)


def input_name(which: str, field: int) -> str:
    """The name of a field of a state in column code; no name in a user's code looks like this."""
    return f"{which}[{field}]"


def _columns(
    source: Source, fields: Sequence[str], value: float | None = None
) -> formula_columns.Run | None:
    found = _statements(source, fields, value)
    try:
        return None if found is None else formula_columns.build(found)
    except formula_columns.Uncompiled:
        return None


def reward_statements(reward: ActionReward, fields: Sequence[str]) -> list[formula.Node] | None:
    """All code of an action's reward as a formula; None where it has no such form.

    Fields are named by `input_name`.
    """
    sources = [one for one in (reward.init, reward.source) if one is not None]
    parts = [_statements(one, fields, reward.value) for one in sources]
    return None if None in parts else [node for part in parts for node in part or ()]


def _statements(
    source: Source, fields: Sequence[str], value: float | None
) -> list[formula.Node] | None:
    index = {name: position for position, name in enumerate(fields)}

    def resolve(node: ast.expr) -> formula.Node | None:
        if is_action_value(node) and value is not None:
            return ["number", value]
        if is_action_value(node) and ACTION_VALUE in index:
            return ["get", _NOWHERE, input_name("current", index[ACTION_VALUE])]
        access = state_access(node)
        if access is None:
            return None
        return ["get", _NOWHERE, input_name(access.which, index[access.name])]

    statements, _ = parse(source)
    try:
        return formula.translate(statements, source, resolve)
    except formula.Unsupported:
        return None


def _compile(
    level: Level, init: Source | None, code: Source, fields: Sequence[str], *, with_columns: bool
) -> ActionReward:
    body: list[ast.stmt] = []
    arguments: dict[str, tuple[str, int]] = {}
    for source in (init, code):
        if source is None:
            continue
        statements, _ = parse(source)
        for statement in statements:
            # `print` does nothing here, and docstrings need not be compiled.
            if not is_print(statement):
                body.append(_Rewriter(source, fields, arguments, level.value).visit(statement))
    result = ast.Return(ast.Name("reward", ast.Load()))
    parameters = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(name, lineno=1, col_offset=0) for name in arguments],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    definition = ast.FunctionDef(_FUNCTION, parameters, [*body, result], [], lineno=1, col_offset=0)
    for node in ast.walk(result):
        _put(node, code.place(1, 0))
    module = ast.Module([definition], [])
    namespace = _namespace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(module, code.file, "exec"), namespace)
    columns = _columns(code, fields, level.value) if with_columns else None
    return ActionReward(
        level.name,
        code,
        namespace[_FUNCTION],
        tuple(arguments.values()),
        columns,
        init,
        level.value,
    )


def _namespace() -> dict[str, Any]:
    builtins: dict[str, Any] = {
        "abs": abs, "min": min, "max": max, "round": round, "len": len, "float": float,
        "int": int, "bool": bool, "sum": sum, "range": bounded_range,
    }  # fmt: skip
    assert builtins.keys() == FUNCTIONS
    return {**builtins, "math": math, "__builtins__": {}}


def bounded_range(*bounds: int) -> range:
    """`range`, but no longer than MAX_RANGE; raises ValueError beyond."""
    numbers = range(*bounds)
    if numbers[MAX_RANGE : MAX_RANGE + 1]:
        raise ValueError(f"a range in reward code is no longer than {MAX_RANGE}")
    return numbers


class _Rewriter:
    """States to arguments, the value of a level to its number, places to those of the file."""

    def __init__(
        self,
        source: Source,
        fields: Sequence[str],
        arguments: dict[str, tuple[str, int]],
        value: float | None,
    ) -> None:
        self._source = source
        self._fields = fields
        self._arguments = arguments
        self._value = value

    def visit(self, node: ast.AST) -> Any:
        access, notes = state_access(node), notes_access(node)
        if access is not None:
            # No name in a user's code can look like this, so there are no clashes.
            name = f"{access.which}[{access.name}]"
            self._arguments[name] = (access.which, self._fields.index(access.name))
            new = ast.copy_location(ast.Name(name, ast.Load()), node)
        elif is_action_value(node) and self._value is not None:
            new = ast.copy_location(ast.Constant(self._value), node)
        elif is_action_value(node) and ACTION_VALUE in self._fields:
            name = f"current[{ACTION_VALUE}]"
            self._arguments[name] = ("current", self._fields.index(ACTION_VALUE))
            new = ast.copy_location(ast.Name(name, ast.Load()), node)
        elif notes is not None:
            name = f"{notes[0]}_state_interpretations"
            self._arguments[name] = (notes[0], NOTES)
            new = ast.copy_location(ast.Name(name, ast.Load()), node)
        else:
            new = self._copied(node)
        if isinstance(new, ast.expr | ast.stmt):
            start = (new.lineno, new.col_offset)
            end = (new.end_lineno or 0, new.end_col_offset or 0)
            _put(new, self._source.place(*start, *end))
        return new

    def _copied(self, node: ast.AST) -> ast.AST:
        """The node with its children rewritten; parsed code is shared and stays as it is."""
        new = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                parts = cast("list[Any]", value)
                done = [self.visit(one) if isinstance(one, ast.AST) else one for one in parts]
                setattr(new, name, done)
            elif isinstance(value, ast.AST) and value._fields:
                setattr(new, name, self.visit(value))
        return new


def _put(node: ast.AST, place: Place) -> None:
    if isinstance(node, ast.expr | ast.stmt):
        node.lineno, node.col_offset = place.line, place.column - 1
        node.end_lineno, node.end_col_offset = place.end_line, place.end_column - 1


def instruction_place(code: CodeType, offset: int, file: str) -> Place:
    """Where in the file the instruction at `offset` of compiled code stands."""
    positions = list(code.co_positions())[offset // 2]
    line, end_line, column, end_column = (value or 0 for value in positions)
    return Place(file, line, column + 1, end_line, end_column + 1)
