"""Commands as the lines of a tape."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from spice_tui.tape.commands import (
    VERSION,
    Command,
    Engine,
    Env,
    Expect,
    Hide,
    InvalidTape,
    Mask,
    Output,
    Press,
    Require,
    Resize,
    Run,
    Screenshot,
    Set,
    Show,
    Sleep,
    Source,
    Tape,
    Type,
    Wait,
)
from spice_tui.tape.line import QUOTES

_BARE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*\Z")


def print_tape(tape: Tape) -> str:
    """A text that parses to the same tape.

    Raises:
        InvalidTape: a command holds a text that no kind of quotes can hold.
    """
    lines = [f"# spice-tui tape {VERSION}", *(print_command(item) for item in tape.commands)]
    return "\n".join(lines) + "\n"


def print_command(command: Command) -> str:
    """One command as a line.

    Raises:
        InvalidTape: see `print_tape`.
    """
    match command:
        case Press(key, modifiers, times, pause):
            name = "+".join((*modifiers, key)) + _at(pause)
            return name if times == 1 else f"{name} {times}"
        case Type(text, pause):
            return f"Type{_at(pause)} {_quoted(text)}"
        case Wait(pattern, scope, timeout):
            return f"Wait{_scope(scope)}{_at(timeout)} /{pattern}/"
        case Expect(pattern, scope, negated):
            return f"Expect{'!' if negated else ''}{_scope(scope)} /{pattern}/"
        case Sleep(milliseconds):
            return f"Sleep {milliseconds}ms"
        case Mask(pattern, replacement):
            return f"Mask /{pattern}/ {_quoted(replacement)}"
        case Set(name, value):
            return f"Set {name} {_value(name, value)}"
        case Env(name, value):
            return f"Env {name} {_quoted(value)}"
        case Resize(width, height):
            return f"Resize {width} {height}"
        case Run(line, exit_code):
            return f"Run {_quoted(line)}" + (f" {exit_code}" if exit_code else "")
        case Screenshot(word) | Output(word) | Source(word) | Require(word):
            return f"{type(command).__name__} {_word(word)}"
        case Hide() | Show():
            return type(command).__name__
        case _:
            raise TypeError(f"{command!r} is no command")


def _at(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"@{milliseconds}ms"


def _scope(scope: str) -> str:
    return "+Line" if scope == "line" else ""


def _quoted(text: str) -> str:
    for quote in QUOTES:
        if quote not in text and "\n" not in text:
            return f"{quote}{text}{quote}"
    raise InvalidTape(
        "no quotes can hold this text.", hint="Split it into several commands, and use Enter."
    )


def _word(text: str) -> str:
    return text if _BARE.match(text) else _quoted(text)


def _value(name: str, value: int | float | str | Engine) -> str:
    match value:
        case Engine(kind, argument):
            return f"{kind} {_word(argument)}" if argument else kind
        case str():
            return _word(value)
        case _ if name == "Clock":
            return datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
        case _ if name in ("Timeout", "TypingSpeed"):
            return f"{value}ms"
        case _:
            return str(value)
