"""Which line of the reward's code gave a reward: the code is run once more and watched."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

from spice_engine.errors import Place
from spice_engine.learning.reward_file import FileReward
from spice_engine.learning.reward_program import ActionReward, instruction_place
from spice_engine.learning.rewards import reward_of
from spice_engine.learning.source import Source
from spice_engine.records import record

MAX_CODE = 200
"""Characters of a line that are shown."""


@record
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
        value, line = _watched(_code_of(reward), lambda: reward_of(reward, row, moment), _line)
        path = reward.source.file
        place = Place(path, line, 1) if line >= 0 else reward.source.place(1, 0)
        return Traced(value, place, _line_of_file(path, place.line))
    code = reward.function.__code__
    stores = frozenset(_stores(code))

    def store(frame: FrameType, event: str) -> int:
        return frame.f_lasti if event == "opcode" and frame.f_lasti in stores else -1

    value, offset = _watched(code, lambda: reward_of(reward, row, moment), store)
    place = reward.source.place(1, 0)
    if offset >= 0:
        place = instruction_place(code, offset, reward.source.file)
    return Traced(value, place, _text(init, place) or _text(reward.source, place))


def _watched(
    code: CodeType, run: Callable[[], float], look: Callable[[FrameType, str], int]
) -> tuple[float, int]:
    """What `run` gives, and the last number other than -1 that `look` saw while `code` ran."""
    last = -1

    def see(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal last
        seen = look(frame, event)
        last = last if seen < 0 else seen
        return see

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        return see

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        value = run()
        if last < 0:
            # From Python 3.12 on a frame's wish to be told instructions counts from the next run.
            sys.settrace(enter)
            value = run()
    finally:
        sys.settrace(before)
    return value, last


def _line(frame: FrameType, event: str) -> int:
    """The line that a function returns from."""
    return frame.f_lineno if event == "return" else -1


def _stores(code: CodeType) -> Iterator[int]:
    """The offsets of the instructions that assign to `reward`."""
    for instruction in dis.get_instructions(code):
        # From Python 3.13 on one instruction may store a name and use another.
        stored: Any = instruction.argval
        names = cast("tuple[object, ...]", stored) if isinstance(stored, tuple) else (stored,)
        if instruction.opname.startswith("STORE") and "reward" in names:
            yield instruction.offset


def _text(source: Source | None, place: Place) -> str:
    """The line of a source's text that stands at `place`; empty where it is in none."""
    lines = source.text.splitlines() if source is not None else []
    found = (
        text
        for number, text in enumerate(lines, 1)
        if source is not None and source.place(number, 0).line == place.line
    )
    return next(found, "").strip()[:MAX_CODE]


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
