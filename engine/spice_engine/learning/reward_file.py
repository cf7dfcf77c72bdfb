"""Rewards as functions of a user's Python file, run in the trainer's process.

The caller has made sure that the user trusts the file: it is executed as any module is. It is read
anew each time, and so are the modules beside it that it imports.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from spice_engine.errors import InvalidRewards, Place
from spice_engine.learning.levels import Level
from spice_engine.learning.reward_program import NOTES, ActionReward, RewardProgram
from spice_engine.learning.reward_syntax import ACTION_VALUE, TAKE_VALUE, takes_no_value
from spice_engine.learning.source import Source
from spice_engine.learning.trouble import describe, hint
from spice_engine.records import record

MODULE = "spice_reward_functions"
_OURS = frozenset({"spice_engine", "spice_runtime", "spice_tui"})
_folders: set[str] = set()
"""The folder of the file loaded before, whose modules are to be forgotten."""
_here_before: set[str] = set()
"""Names of the modules that were there before that file was run."""


@record
class FileReward(ActionReward):
    """A function of the user's file as the reward of one action.

    Of an action with a range the value is the last argument, or that of a level is always given.
    """

    fields: tuple[str, ...] = ()
    call: Callable[..., Any] | None = None
    with_notes: bool = True
    ranged: bool = False

    def place_of(self, error: BaseException) -> Place:
        """Where in the user's file the error came from."""
        return _place_in(self.source.file, error) or self.source.place(1, 0)

    def reads(self) -> frozenset[tuple[str, int]] | None:
        """None: a function may read any field."""
        return None

    def with_gaps(self) -> ActionReward:
        """The same, for states in which None stands for fields that are not there."""
        return replace(self, function=self._function(gaps=True))

    def complete(self) -> FileReward:
        """This with its `function` and `arguments`."""
        indices = [*range(len(self.fields)), NOTES]
        arguments = tuple((which, field) for which in ("current", "next") for field in indices)
        if self.ranged:
            arguments = (*arguments, ("current", len(self.fields)))
        return replace(self, function=self._function(gaps=False), arguments=arguments)

    def _function(self, *, gaps: bool) -> Callable[..., Any]:
        fields, count, call = self.fields, len(self.fields), self.call
        assert call is not None
        given = {} if self.value is None else {ACTION_VALUE: self.value}

        def state(values: Sequence[Any]) -> dict[str, float]:
            pairs = zip(fields, values, strict=False)
            return {f: v for f, v in pairs if v is not None} if gaps else dict(pairs)

        def function(*values: Any) -> Any:
            # Fresh dictionaries, as user code may change them.
            current, following = state(values[:count]), state(values[count + 1 : 2 * count + 1])
            value = {ACTION_VALUE: values[-1]} if self.ranged else given
            try:
                if self.with_notes:
                    notes = values[count], values[2 * count + 1]
                    result = call(current, notes[0], following, notes[1], **value)
                else:
                    result = call(current, following, **value)
            except SystemExit as error:
                message = "the function would end the process"
                raise RuntimeError(message).with_traceback(error.__traceback__) from error
            # NumPy's numbers are as good as Python's own.
            return cast("Any", result).item() if isinstance(result, np.generic) else result

        return function


def load_reward_file(
    path: str,
    functions: Mapping[str, str],
    actions: Sequence[str],
    fields: Sequence[str],
    place: Place | None = None,
    ranged: Collection[str] = (),
    levels: Sequence[Level] = (),
) -> RewardProgram:
    """The program of a file's functions, `functions` giving each action's.

    `place` is where the manifest names the file. Each function takes the current state, its
    interpretations, the next state and its interpretations; or the two states only. Those of the
    `ranged` actions take `action_value` by name, too; it is behind the fields of the current state.
    With `levels` the program is for these, each with its own value.

    Raises InvalidRewards where the file cannot be read or run, or lacks a function of this form;
    with the place in the file, or else in the manifest.
    """
    module = _run(path, place)
    rewards: list[ActionReward] = []
    for level in levels or [Level(action) for action in actions]:
        action = level.action
        if action not in functions:
            raise InvalidRewards(
                f"The action '{action}' has no reward.",
                hint=f"Add an entry 'reward: {action}' under training.rewards.",
                place=place,
            )
        name = functions[action]
        function = getattr(module, name, None)
        if not callable(function):
            known = [one for one, value in vars(module).items() if inspect.isfunction(value)]
            close = get_close_matches(name, known, n=1)
            raise InvalidRewards(
                f"The reward of action '{action}' is to be the function '{name}', "
                f"which {Path(path).name} does not have.",
                hint=f"Did you mean '{close[0]}'?" if close else f"Define it in {path}.",
                place=place,
            )
        source = Source("", path, _line_of(function, path), 1)
        with_notes = _takes_notes(function, name, source, action if action in ranged else "")
        reward = FileReward(
            level.name,
            source,
            function,
            (),
            value=level.value,
            fields=tuple(fields),
            call=function,
            with_notes=with_notes,
            ranged=action in ranged and level.value is None,
        )
        rewards.append(reward.complete())
    return RewardProgram(tuple(one.action for one in rewards), tuple(rewards))


def _run(path: str, place: Place | None) -> ModuleType:
    """The executed module of a file."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InvalidRewards(
            f"The reward functions' file cannot be read: {error.strerror}: {path}.", place=place
        ) from error
    module = ModuleType(MODULE)
    module.__file__ = path
    _forget_modules(path)
    sys.modules[MODULE] = module  # pickling and dataclasses look for it there
    try:
        with _no_bytecode():
            exec(compile(content, path, "exec", dont_inherit=True), module.__dict__)
    except SyntaxError as error:
        at = Place(path, error.lineno or 1, error.offset or 1)
        if error.filename != path:
            at = _place_in(path, error) or at
        raise InvalidRewards(f"This is not valid Python: {error.msg}.", place=at) from error
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ImportError)
        raise InvalidRewards(
            f"The reward functions' file raised {describe(error)}.",
            hint="Install it beside spice-tui, or do without it." if missing else hint(error),
            place=_place_in(path, error) or Place(path, 1, 1),
        ) from error
    return module


def forget() -> None:
    """Lets go of what the last file defined: it may be large, and this process trains others."""
    module = sys.modules.pop(MODULE, None)
    if isinstance(module, ModuleType):
        module.__dict__.clear()  # an error's traceback may still hold it
    _drop_beside()


def _drop_beside() -> None:
    for name, module in list(sys.modules.items()):
        if name not in _here_before and _is_beside(name, module):
            del sys.modules[name]


def _forget_modules(path: str) -> None:
    """Makes way for a file: modules that files loaded before imported are imported anew."""
    _drop_beside()
    sys.path[:] = [one for one in sys.path if one not in _folders]
    folder = str(Path(path).parent)
    _folders.clear()
    _folders.add(folder)
    _here_before.clear()
    _here_before.update(sys.modules)
    # Last, so that a file of the user's cannot stand in for one of Python's or ours.
    sys.path.append(folder)
    importlib.invalidate_caches()


def _is_beside(name: str, module: ModuleType) -> bool:
    """Whether a module was imported from a folder of `_folders` itself, not from deeper in it."""
    top, file = name.partition(".")[0], getattr(module, "__file__", None)
    if not isinstance(file, str) or top in _OURS:
        return False
    inside = {str(one) for one in (Path(file), *Path(file).parents)}
    return any(
        not inside.isdisjoint((f"{folder}/{top}.py", f"{folder}/{top}")) for folder in _folders
    )


@contextmanager
def _no_bytecode() -> Generator[None]:
    """Imports leave no files in the user's folder, which could also be older than the source."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _takes_notes(function: Callable[..., Any], name: str, source: Source, ranged: str = "") -> bool:
    """Whether a function takes four arguments; raises InvalidRewards unless that, or two.

    As the reward of the action `ranged` it must take its value, too.
    """
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidRewards(
            f"The function '{name}' does not return a number: it is asynchronous or a generator.",
            place=source.place(1, 0),
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # builtin functions have none
        return True
    value = {ACTION_VALUE: None} if ranged else {}
    for count in (4, 2):
        try:
            signature.bind(*[None] * count, **value)
        except TypeError:
            continue
        return count == 4
    if ranged and not _takes_by_name(signature):
        raise InvalidRewards(
            takes_no_value(name, ranged), hint=TAKE_VALUE, place=source.place(1, 0)
        )
    raise InvalidRewards(
        f"The function '{name}' has not the parameters of a reward function.",
        hint="Write (current_state, current_state_interpretations, next_state, "
        "next_state_interpretations), or (current_state, next_state).",
        place=source.place(1, 0),
    )


def _takes_by_name(signature: inspect.Signature) -> bool:
    """Whether a function takes the value of an action by its name."""
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return any(
        one.kind is inspect.Parameter.VAR_KEYWORD
        or (one.name == ACTION_VALUE and one.kind in named)
        for one in signature.parameters.values()
    )


def _line_of(function: Callable[..., Any], path: str) -> int:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_firstlineno if code is not None and code.co_filename == path else 1


def _place_in(path: str, error: BaseException) -> Place | None:
    """The deepest place in the file that an error went through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == path and frame.lineno is not None:
            end = frame.end_lineno or 0, (frame.end_colno or -1) + 1
            return Place(path, frame.lineno, (frame.colno or 0) + 1, *end)
    return None
