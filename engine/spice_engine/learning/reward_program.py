"""Checked reward code to plain Python functions, one per action, run once per row.

`current_state["x"]` becomes an argument of the function, every node keeps its line and column of
the manifest, so that a traceback points into the user's file.
"""

from __future__ import annotations

import ast
import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from spice_engine.errors import InvalidRewards, Place
from spice_engine.learning.reward_check import check_rewards
from spice_engine.learning.reward_syntax import FUNCTIONS, is_print, parse, state_access
from spice_engine.learning.source import Source

MAX_RANGE = 10_000
_FUNCTION = "reward_function"


class InvalidRewardValue(InvalidRewards):
    """Reward code gave NaN, an infinity, or something that is no number."""

    code = "invalid_reward_value"


@dataclass(frozen=True, slots=True)
class ActionReward:
    """The compiled reward of one action: `function(*arguments)`.

    `arguments` are pairs of state (`current` or `next`) and index of a field.
    """

    action: str
    source: Source
    function: Callable[..., Any]
    arguments: tuple[tuple[str, int], ...]

    def place_of(self, error: BaseException) -> Place:
        """Where in the manifest an error was raised that came out of `function`."""
        place = self.source.place(1, 0)
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if code is self.function.__code__:
                place = _instruction_place(code, trace.tb_lasti, self.source.file)
            trace = trace.tb_next
        return place


@dataclass(frozen=True, slots=True)
class RewardProgram:
    """The rewards of a pod; `rewards` is empty where all actions get 1 (`uniform`)."""

    actions: tuple[str, ...]
    rewards: tuple[ActionReward, ...]


def compile_rewards(
    actions: Sequence[str],
    fields: Sequence[str],
    init: Source | None,
    codes: Mapping[str, Source] | None,
) -> RewardProgram:
    """The program for `actions` (in that order), or the uniform one where `codes` is None.

    Raises InvalidRewards at the first thing the check finds, and where an action has no reward.
    """
    if codes is None:
        return RewardProgram(tuple(actions), ())
    for action in actions:
        if action not in codes:
            raise InvalidRewards(
                f"The action '{action}' has no reward.",
                hint=f"Add an entry 'reward: {action}' under training.rewards.",
            )
    for finding in check_rewards(init, codes, fields):
        if finding.severity == "error":
            raise InvalidRewards(finding.message, hint=finding.hint, place=finding.place)
    rewards = tuple(_compile(action, init, codes[action], fields) for action in actions)
    return RewardProgram(tuple(actions), rewards)


def _compile(action: str, init: Source | None, code: Source, fields: Sequence[str]) -> ActionReward:
    body: list[ast.stmt] = []
    arguments: dict[str, tuple[str, int]] = {}
    for source in (init, code):
        if source is None:
            continue
        statements, _ = parse(source)
        for statement in statements:
            # `print` does nothing here, and docstrings need not be compiled.
            if not is_print(statement):
                body.append(_Rewriter(source, fields, arguments).visit(statement))
    result = ast.Return(ast.Name("reward", ast.Load()))
    definition = ast.FunctionDef(
        name=_FUNCTION,
        args=ast.arguments(
            posonlyargs=[],
            args=[ast.arg(name) for name in arguments],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        ),
        body=[*body, result],
        decorator_list=[],
    )
    for node in ast.walk(result):
        _put(node, code.place(1, 0))
    module = ast.fix_missing_locations(ast.Module([definition], []))
    namespace = _namespace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(module, code.file, "exec"), namespace)
    return ActionReward(action, code, namespace[_FUNCTION], tuple(arguments.values()))


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


class _Rewriter(ast.NodeTransformer):
    """States to arguments, places to those of the file."""

    def __init__(
        self, source: Source, fields: Sequence[str], arguments: dict[str, tuple[str, int]]
    ) -> None:
        self._source = source
        self._fields = fields
        self._arguments = arguments

    def visit(self, node: ast.AST) -> Any:
        access = state_access(node)
        if access is not None:
            # No name in a user's code can look like this, so there are no clashes.
            name = f"{access.which}[{access.name}]"
            self._arguments[name] = (access.which, self._fields.index(access.name))
            new = ast.copy_location(ast.Name(name, ast.Load()), node)
        else:
            new = self.generic_visit(copy.copy(node))
        if isinstance(new, ast.expr | ast.stmt):
            start = (new.lineno, new.col_offset)
            end = (new.end_lineno or 0, new.end_col_offset or 0)
            _put(new, self._source.place(*start, *end))
        return new


def _put(node: ast.AST, place: Place) -> None:
    if isinstance(node, ast.expr | ast.stmt):
        node.lineno, node.col_offset = place.line, place.column - 1
        node.end_lineno, node.end_col_offset = place.end_line, place.end_column - 1


def _instruction_place(code: CodeType, offset: int, file: str) -> Place:
    positions = list(code.co_positions())[offset // 2]
    line, end_line, column, end_column = (value or 0 for value in positions)
    return Place(file, line, column + 1, end_line, end_column + 1)
