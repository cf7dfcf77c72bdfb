"""What this terminal can do, from the environment and the streams. Knows no Textual."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

from spice_engine.errors import SpiceError
from spice_engine.records import record

Colours = Literal["none", "16", "256", "truecolor"]

MIN_WIDTH, MIN_HEIGHT = 20, 5
_SIMPLE_TERMS = frozenset({"linux", "vt100", "vt102", "vt220", "ansi", "cons25", "xterm-mono"})


class UnsuitableTerminal(SpiceError):
    """The screens cannot be shown here; commands can still be used."""

    code = "unsuitable_terminal"
    exit_code = 2


@record
class Abilities:
    """One terminal. Sizes are in cells."""

    width: int
    height: int
    term: str
    colours: Colours
    utf8: bool
    ascii: bool
    """Draw with ASCII only: no UTF-8, or a console whose font lacks the signs."""
    ssh: bool
    tmux: bool
    screen: bool
    """Inside GNU screen."""
    input_tty: bool
    output_tty: bool

    @property
    def simple(self) -> bool:
        """A console that prints what it does not know: no queries, no mouse, no kitty keys."""
        return self.term in _SIMPLE_TERMS


def detect(
    environ: Mapping[str, str] = os.environ,
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
) -> Abilities:
    """Look at the environment and the streams of this process, or at those given."""
    input_tty, output_tty = _is_tty(stdin or sys.__stdin__), _is_tty(stdout or sys.__stdout__)
    width, height = _size(environ, stdout or sys.__stdout__)
    term = environ.get("TERM", "")
    utf8 = _has_utf8(environ)
    tmux = bool(environ.get("TMUX"))
    return Abilities(
        width=width,
        height=height,
        term=term,
        colours=_colours(environ, term),
        utf8=utf8,
        ascii=not utf8 or term in _SIMPLE_TERMS,
        ssh=any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")),
        tmux=tmux,
        # tmux's own TERM may be "screen"; STY is inherited when tmux runs inside of screen.
        screen=bool(environ.get("STY")) and not tmux,
        input_tty=input_tty,
        output_tty=output_tty,
    )


def require(abilities: Abilities) -> Abilities:
    """The same abilities, if screens can be shown there.

    Raises:
        UnsuitableTerminal: not a terminal, no useful TERM, or too small.
    """
    instead = "Commands work everywhere: `spice-tui --help` lists them, `--json` suits scripts."
    if not abilities.input_tty or not abilities.output_tty:
        stream = "standard output" if abilities.input_tty else "standard input"
        raise UnsuitableTerminal(f"{stream} is not a terminal.", hint=instead)
    if abilities.term in {"", "dumb", "unknown"}:
        told = f"is {abilities.term!r}" if abilities.term else "is not set"
        raise UnsuitableTerminal(
            f"TERM {told}, so nothing is known of this terminal.",
            hint=f"Try `TERM=xterm-256color spice-tui`. {instead}",
        )
    if abilities.width < MIN_WIDTH or abilities.height < MIN_HEIGHT:
        raise UnsuitableTerminal(
            f"this terminal has {abilities.width}x{abilities.height} cells.",
            hint=f"The screens need {MIN_WIDTH}x{MIN_HEIGHT} at least, 80x24 to be useful.",
        )
    return abilities


def _is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def _size(environ: Mapping[str, str], stdout: TextIO | None) -> tuple[int, int]:
    width = height = 0
    if stdout is not None:
        try:
            width, height = os.get_terminal_size(stdout.fileno())
        except (OSError, ValueError):  # not a terminal; not a file
            width = height = 0
    return width or _number(environ, "COLUMNS", 80), height or _number(environ, "LINES", 24)


def _number(environ: Mapping[str, str], name: str, otherwise: int) -> int:
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and int(text) else otherwise


def _has_utf8(environ: Mapping[str, str]) -> bool:
    """Whether the locale is of UTF-8.

    Python itself sets LC_CTYPE to C.UTF-8 where no locale is set (PEP 538): a LANG that says "C"
    then tells what the user had. Nothing set at all (a container) says nothing of the terminal,
    and terminals without UTF-8 are rare.
    """
    ctype = environ.get("LC_CTYPE", "")
    language = environ.get("LANG", "")
    if ctype == "C.UTF-8" and language in {"C", "POSIX"}:
        ctype = ""
    chosen = environ.get("LC_ALL") or ctype or language
    return not chosen or chosen.lower().replace("-", "").partition("@")[0].endswith("utf8")


def _colours(environ: Mapping[str, str], term: str) -> Colours:
    if environ.get("NO_COLOR"):
        return "none"
    if environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"} or term.endswith("-direct"):
        return "truecolor"
    if "256color" in term or term in {"xterm-kitty", "xterm-ghostty", "alacritty", "foot"}:
        return "256"
    return "16"
