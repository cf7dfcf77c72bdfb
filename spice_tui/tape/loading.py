"""Reads a tape's file with all it takes from others, and checks the order of its settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spice_engine.errors import NotFound, Place
from spice_tui.tape.commands import (
    ANYWHERE,
    Command,
    Env,
    Hide,
    InvalidTape,
    Mask,
    Output,
    Require,
    Run,
    Screenshot,
    Set,
    Show,
    Source,
    Tape,
)
from spice_tui.tape.grammar import parse

MAX_BYTES = 1 << 20
MAX_COMMANDS = 100_000
BEFORE_THE_SCREEN = (Set, Env, Require, Output, Mask, Run, Hide, Show)
"""Commands that do not open the screen."""


def load_tape(path: Path) -> Tape:
    """The tape in a file, `Source` replaced by what it names, paths made absolute.

    Raises:
        NotFound: there is no such file.
        InvalidTape: it cannot be read, or a setting comes too late.
        IncompatibleVersion: it is for a newer program.
    """
    tape = replace(_read(path, None), file=str(path))
    commands = _expanded(tape, path, (path.resolve(),))
    _check_order(commands)
    return replace(tape, commands=tuple(commands))


def _read(path: Path, place: Place | None) -> Tape:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no tape {path}.", place=place) from None
    except OSError as error:
        raise InvalidTape(f"{path} cannot be read: {error.strerror}.", place=place) from error
    if len(data) > MAX_BYTES:
        raise InvalidTape(f"{path} is larger than a mebibyte.", place=place)
    try:
        return parse(data.decode(), str(path))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidTape("this is no UTF-8 text.", place=Place(str(path), line, 1)) from None


def _expanded(tape: Tape, path: Path, above: tuple[Path, ...]) -> list[Command]:
    found: list[Command] = []
    for command in tape.commands:
        if not isinstance(command, Source):
            found.append(command)
            continue
        named = path.parent / command.path
        if named.resolve() in above:
            raise InvalidTape("a tape cannot play itself.", place=command.place)
        inner = _read(named, command.place)
        # As in VHS: what a sourced tape says of files is its own affair.
        found += [
            one
            for one in _expanded(inner, named, (*above, named.resolve()))
            if not isinstance(one, Output)
        ]
        if len(found) > MAX_COMMANDS:
            raise InvalidTape("the tape becomes too long.", place=command.place)
    return found


def _check_order(commands: list[Command]) -> None:
    opened = False
    names: set[str] = set()
    for command in commands:
        if isinstance(command, Set) and command.name not in ANYWHERE and opened:
            raise InvalidTape(
                f"Set {command.name} comes after the screen was opened.",
                hint="Put it at the top of the tape.",
                place=command.place,
            )
        if isinstance(command, Screenshot):
            if command.name in names:
                raise InvalidTape(
                    f"there are two screenshots {command.name!r}.", place=command.place
                )
            names.add(command.name)
        opened = opened or not isinstance(command, BEFORE_THE_SCREEN)
