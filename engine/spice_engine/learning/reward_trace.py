"""Which line of the reward's code gave a reward: the code is run once more and watched."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from spice_engine.errors import Place
from spice_engine.learning.reward_file import FileReward
from spice_engine.learning.reward_program import ActionReward
from spice_engine.learning.reward_syntax import parse
from spice_engine.learning.rewards import reward_of
from spice_engine.learning.source import Source

MAX_CODE = 200
"""Characters of a line that are shown."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A reward, the place of what gave it, and the line of code there."""

    value: float
    place: Place
    code: str


def traced_reward(
    reward: ActionReward, row: Sequence[Any], init: Source | None, moment: str = ""
) -> Traced:
    """The reward for one row of `reward.arguments`, with the line that gave it.

    That is the last assignment to `reward` that was carried out; of a function in a file, the
    line it returned from. Raises as `rewards.reward_of` does.
    """
    if isinstance(reward, FileReward):
        value, line = _watched(_code_of(reward), lambda: reward_of(reward, row, moment), None)
        path = reward.source.file
        place = Place(path, line, 1) if line else reward.source.place(1, 0)
        return Traced(value, place, _line_of_file(path, place.line))
    places = dict(_assignments(init)) | dict(_assignments(reward.source))
    code = reward.function.__code__
    value, line = _watched(code, lambda: reward_of(reward, row, moment), frozenset(places))
    place, text = places.get(line, (reward.source.place(1, 0), ""))
    return Traced(value, place, text)


def _watched(
    code: CodeType, run: Callable[[], float], lines: frozenset[int] | None
) -> tuple[float, int]:
    """What `run` gives, and the last line that `code` was on, among `lines` if given; 0 if none."""
    last = 0

    def see(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal last
        if event in {"line", "return"} and (lines is None or frame.f_lineno in lines):
            last = frame.f_lineno
        return see

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
        return see if frame.f_code is code else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        return run(), last
    finally:
        sys.settrace(before)


def _assignments(source: Source | None) -> list[tuple[int, tuple[Place, str]]]:
    """The file's lines on which `reward` is assigned, with the exact place and the text there."""
    if source is None:
        return []
    statements, _ = parse(source)
    lines = source.text.splitlines()
    found: list[tuple[int, tuple[Place, str]]] = []
    for node in ast.walk(ast.Module(statements, [])):
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.For):
            targets = [node.target]
        else:
            continue
        names = [one for target in targets for one in ast.walk(target)]
        if any(isinstance(one, ast.Name) and one.id == "reward" for one in names):
            place = source.place(node.lineno, node.col_offset)
            text = lines[node.lineno - 1].strip() if node.lineno <= len(lines) else ""
            found.append((place.line, (place, text[:MAX_CODE])))
    return found


def _code_of(reward: FileReward) -> CodeType:
    """The code of the user's own function, within what decorates it."""
    call = reward.call
    assert call is not None
    own = getattr(inspect.unwrap(call), "__code__", None)
    return own if isinstance(own, CodeType) else reward.function.__code__


def _line_of_file(path: str, line: int) -> str:
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return lines[line - 1].strip()[:MAX_CODE] if 0 < line <= len(lines) else ""
