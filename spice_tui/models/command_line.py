"""The `:` line: what was typed as an action with its arguments, suggestions, and history."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from spice_engine.errors import SpiceError
from spice_engine.records import record
from spice_tui.actions import Action, table

RAW = frozenset({"sql", "run", "goto", "filter", "search", "only", "log-time", "theme"})
"""Commands whose one argument is the rest of the line as it stands."""

MAX_HISTORY = 200


class UnknownCommand(SpiceError):
    """There is no command of that name, or its arguments cannot be read."""

    code = "unknown_command"
    exit_code = 2


@record
class Command:
    """An action and the arguments that were typed after it."""

    action: Action
    arguments: tuple[str, ...] = ()


def commands() -> dict[str, Action]:
    """All actions that have a name on the `:` line, by that name."""
    return {action.command: action for action in table().values() if action.command}


def parse(line: str) -> Command:
    """What a line means.

    Raises:
        UnknownCommand: no command is called so, or a quotation mark is not closed.
    """
    text = line.strip().removeprefix(":").strip()
    name, _, rest = text.partition(" ")
    known = commands()
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"Did you mean :{near[0]}?" if near else "ctrl+p lists all commands."
        raise UnknownCommand(f"there is no command :{name}.", hint=hint)
    rest = rest.strip()
    if name in RAW:
        return Command(known[name], (rest,) if rest else ())
    try:
        return Command(known[name], tuple(shlex.split(rest)))
    except ValueError as error:
        raise UnknownCommand(
            f":{name} cannot be read: {str(error).lower()}.", hint="Close the quotation mark."
        ) from None


def suggest(line: str, history: Sequence[str], names: Iterable[str] = ()) -> str:
    """The rest of what the line may become, as ghost text: history first, then commands, names."""
    if not line:
        return ""
    for past in reversed(history):
        if past.startswith(line) and past != line:
            return past[len(line) :]
    head, space, last = line.rpartition(" ")
    candidates = names if space else sorted(commands())
    for candidate in candidates:
        if last and candidate.startswith(last) and candidate != last and (head or not space):
            return candidate[len(last) :]
    return ""


def remember(history: Sequence[str], line: str) -> list[str]:
    """The history with one more line; a repeated one moves to the end."""
    return [*(past for past in history if past != line), line][-MAX_HISTORY:]
