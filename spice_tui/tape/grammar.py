"""Reads tapes: one command a line, a subset of VHS's format and a few of our own.

Every error says the line and column, and what was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches

from spice_engine.errors import IncompatibleVersion, Place
from spice_tui.tape.commands import (
    FORMS,
    KEYS,
    MODIFIERS,
    VERSION,
    Command,
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
    Scope,
    Screenshot,
    Show,
    Sleep,
    Source,
    Tape,
    Type,
    Wait,
)
from spice_tui.tape.line import Line
from spice_tui.tape.settings_line import HEIGHT, WIDTH, read_setting

MAX_TIMES = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\Z")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_HEADER = re.compile(r"#\s*spice-tui tape\s+(\d{1,9})\s*\Z")
_HEAD = re.compile(r"([A-Za-z0-9]+)(!?)((?:\+[^\s@]+)?)(?:@(\S*))?\Z")


def parse(text: str, file: str = "tape") -> Tape:
    """The commands of a tape.

    Raises:
        InvalidTape: a line cannot be read; the place says where.
        IncompatibleVersion: the tape is for a newer program.
    """
    commands: list[Command] = []
    version = VERSION
    for number, content in enumerate(text.split("\n"), 1):
        line = Line(file, number, content.removesuffix("\r"))
        header = _HEADER.match(line.text) if number == 1 else None
        if header is not None:
            version = _version(int(header[1]), line)
        elif not line.at_end():
            commands.append(_command(line))
    return Tape(tuple(commands), version, file)


def _version(number: int, line: Line) -> int:
    if not 1 <= number <= VERSION:
        raise IncompatibleVersion(
            f"the tape is of version {number}; this program plays {VERSION}.",
            hint="Update spice-tui." if number else "",
            place=Place(line.file, line.number, 1),
        )
    return number


class _Head:
    """The first word of a line, taken apart: `Wait+Line@5s`, `Expect!`, `Ctrl+Shift+P`."""

    def __init__(self, line: Line) -> None:
        self.word, self.place = line.word("a command")
        if len(self.word) > 1 and self.word.split("@")[0].endswith("++"):  # `Ctrl++`
            name, _, pause = self.word.partition("@")
            self.name, self.bang = name.split("+")[0], False
            self.parts: tuple[str, ...] = (*name[:-2].split("+")[1:], "+")
            self.time = pause if "@" in self.word else None
            return
        found = _HEAD.match(self.word)
        if found is None:
            raise unknown_command(self.word, self.place)
        self.name = found[1]
        self.bang = bool(found[2])
        self.parts = tuple(found[3].split("+")[1:])
        self.time = found[4]

    def only(self, *, bang: bool = False, parts: bool = False, time: bool = False) -> None:
        """Refuse what this command does not take."""
        for present, allowed, what in (
            (self.bang, bang, "!"),
            (bool(self.parts), parts, "+"),
            (self.time is not None, time, "@"),
        ):
            if present and not allowed:
                raise InvalidTape(
                    f"{self.name} takes no {what!r}.",
                    hint=f"Write: {FORMS[self.name].usage}",
                    place=self.place,
                )

    def scope(self) -> Scope:
        """What `+Screen` or `+Line` says."""
        match self.parts:
            case () | ("Screen",):
                return "screen"
            case ("Line",):
                return "line"
            case _:
                raise InvalidTape(
                    f"{self.name} knows no scope {'+'.join(self.parts)!r}.",
                    hint="It is +Screen or +Line.",
                    place=self.place,
                )


def _command(line: Line) -> Command:
    head = _Head(line)
    if head.name in KEYS or head.name in MODIFIERS:
        command: Command = _press(head, line)
    elif head.name in _READERS:
        command = _READERS[head.name](head, line)
    else:
        raise unknown_command(head.name, head.place)
    if not line.at_end():
        _, place = line.rest()
        raise InvalidTape(
            f"{head.name} takes no more than this.",
            hint=f"Write: {FORMS[head.name].usage}",
            place=place,
        )
    return command


def unknown_command(name: str, place: Place) -> InvalidTape:
    """The error for a word that is no command."""
    near = get_close_matches(name.title(), FORMS, n=1, cutoff=0.6)
    if not near:
        near = get_close_matches(name, FORMS, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]}?" if near else "docs/tapes.md lists all commands."
    return InvalidTape(f"there is no command {name[:40]!r}.", hint=hint, place=place)


def _press(head: _Head, line: Line) -> Press:
    head.only(parts=True, time=True)
    *modifiers, key = (head.name, *head.parts)
    unknown = [name for name in modifiers if name not in MODIFIERS]
    if unknown or len(set(modifiers)) < len(modifiers):
        raise InvalidTape(
            f"{'+'.join(modifiers)} cannot be held.",
            hint="Hold Ctrl, Alt and Shift, each once.",
            place=head.place,
        )
    if key not in KEYS and (len(key) != 1 or not key.isprintable() or key.isspace()):
        near = get_close_matches(key.title(), KEYS, n=1)
        raise InvalidTape(
            f"there is no key {key[:40]!r}.",
            hint=f"Did you mean {near[0]}?" if near else "It is a character or a key's name.",
            place=head.place,
        )
    pause = line.time_of(head.time, head.place) if head.time is not None else None
    times = 1 if line.at_end() else line.number_between(1, MAX_TIMES, "how many times")
    if len(key) == 1 and "Ctrl" in modifiers:
        key = key.upper()  # a terminal tells no difference
    return Press(key, tuple(sorted(modifiers)), times, pause, place=head.place)


def _type(head: _Head, line: Line) -> Command:
    head.only(time=True)
    pause = line.time_of(head.time, head.place) if head.time is not None else None
    return Type(line.string("the text to type"), pause, place=head.place)


def _wait(head: _Head, line: Line) -> Command:
    head.only(parts=True, time=True)
    timeout = line.time_of(head.time, head.place) if head.time is not None else None
    return Wait(line.pattern(), head.scope(), timeout, place=head.place)


def _expect(head: _Head, line: Line) -> Command:
    head.only(bang=True, parts=True)
    return Expect(line.pattern(), head.scope(), head.bang, place=head.place)


def _screenshot(head: _Head, line: Line) -> Command:
    head.only()
    name, place = line.text_or_word("the snapshot's name")
    if not NAME.match(name):
        raise InvalidTape(
            f"{name[:40]!r} cannot be a snapshot's name.",
            hint="Use letters, digits, '.', '_' and '-'.",
            place=place,
        )
    return Screenshot(name, place=head.place)


def _output(head: _Head, line: Line) -> Command:
    head.only()
    path, place = line.text_or_word("a path")
    if not path.endswith((".svg", ".txt")):
        raise InvalidTape(
            "Output writes .svg and .txt files only.", hint="Change the ending.", place=place
        )
    return Output(path, place=head.place)


def _env(head: _Head, line: Line) -> Command:
    head.only()
    name, place = line.word("a variable's name")
    if not VARIABLE.match(name):
        raise InvalidTape(
            f"{name[:40]!r} is no name of a variable.",
            hint="Use letters, digits and '_'.",
            place=place,
        )
    value, place = line.text_or_word("its value")
    if "\0" in value:
        raise InvalidTape("a variable cannot hold a null character.", place=place)
    return Env(name, value, place=head.place)


def _source(head: _Head, line: Line) -> Command:
    head.only()
    return Source(line.text_or_word("a path")[0], place=head.place)


def _require(head: _Head, line: Line) -> Command:
    head.only()
    return Require(line.text_or_word("a program's name")[0], place=head.place)


def _sleep(head: _Head, line: Line) -> Command:
    head.only()
    return Sleep(line.time_of(*line.word("a time")), place=head.place)


def _mask(head: _Head, line: Line) -> Command:
    head.only()
    return Mask(line.pattern(), line.string("what to write instead"), place=head.place)


def _resize(head: _Head, line: Line) -> Command:
    head.only()
    width = line.number_between(*WIDTH, "a width")
    return Resize(width, line.number_between(*HEIGHT, "a height"), place=head.place)


def _run(head: _Head, line: Line) -> Command:
    head.only()
    place = line.here()
    text = line.string("a command line")
    if text.split(" ")[0] != "spice-tui":
        raise InvalidTape(
            "Run runs spice-tui only.", hint='Write: Run "spice-tui lint"', place=place
        )
    line.words_of(text, place)
    code = 0 if line.at_end() else line.number_between(0, 255, "an exit code")
    return Run(text, code, place=head.place)


def _hide(head: _Head, _line: Line) -> Command:
    head.only()
    return Hide(place=head.place)


def _show(head: _Head, _line: Line) -> Command:
    head.only()
    return Show(place=head.place)


def _set(head: _Head, line: Line) -> Command:
    head.only()
    return read_setting(line, head.place)


_READERS: dict[str, Callable[[_Head, Line], Command]] = {
    "Type": _type,
    "Wait": _wait,
    "Expect": _expect,
    "Sleep": _sleep,
    "Screenshot": _screenshot,
    "Output": _output,
    "Set": _set,
    "Mask": _mask,
    "Env": _env,
    "Source": _source,
    "Hide": _hide,
    "Show": _show,
    "Require": _require,
    "Resize": _resize,
    "Run": _run,
}
