"""Where all printing goes through: plain text in a pipe, tables with rich on a terminal, JSON.

Text that comes from data never reaches a terminal with control characters in it, an encoding
that lacks a character gets a replacement, and a reader that goes away ends the program quietly.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TextIO

import typer

from spice_tui.cli.exit_codes import ExitCode

_COLORS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}
_ANSI = re.compile(r"\x1b\[\d*m")
_wanted = {"json": False}


def _note_json(wanted: bool) -> bool:
    _wanted["json"] = wanted
    return wanted


Json = Annotated[
    bool,
    typer.Option(
        "--json", callback=_note_json, is_eager=True, help="Print JSON; errors too, on stderr."
    ),
]
"""The option that every command which prints has."""


def json_wanted() -> bool:
    """Whether the command line asked for JSON."""
    return _wanted["json"]


def prepare() -> None:
    """Make both streams safe to print anything on; called once, at the start."""
    _wanted["json"] = False
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a person looks at it."""
    return (stream or sys.stdout).isatty()


def has_color(stream: TextIO | None = None) -> bool:
    """Colour only on a capable terminal, and never with NO_COLOR (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return is_terminal(stream)


def has_unicode() -> bool:
    """Whether stdout can carry more than ASCII."""
    return (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "") == "utf8"


class Painted(str):
    """Text with our own colours in it: safe to print as it is."""

    __slots__ = ()


def paint(text: str, color: str, *, stream: TextIO | None = None) -> str:
    """Coloured text, where colour is wanted; control characters in it are made visible."""
    plain = safe(text)
    return Painted(f"\x1b[{_COLORS[color]}m{plain}\x1b[0m") if has_color(stream) else plain


def safe(text: object) -> str:
    """Text on one line without control characters, which could steer the terminal."""
    if isinstance(text, Painted):
        return text
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else _escape(c) for c in plain)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shorten(text: str, width: int) -> str:
    """At most `width` characters, the cut shown by an ellipsis."""
    if len(text) <= width:
        return text
    mark = "…" if has_unicode() else "..."
    return text[: width - len(mark)] + mark


def write(text: str) -> None:
    """Write to stdout as it is.

    Raises:
        typer.Exit: the reader went away.
    """
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        _reader_gone()


def flush() -> None:
    """Bring out what is buffered."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_gone()


def _reader_gone() -> None:
    # What is still buffered must not raise once more when the interpreter ends.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
    sys.exit(ExitCode.BROKEN_PIPE)


def line(text: str = "") -> None:
    """One line on stdout, at once on a terminal."""
    write(text + "\n")
    if is_terminal():
        flush()


def error_line(text: str) -> None:
    """One line on stderr; nothing can be done about a closed one."""
    if sys.stderr is not None and not sys.stderr.closed:
        print(text, file=sys.stderr, flush=True)


def paint_start(text: str, start: str, color: str) -> str:
    """Text for stderr whose first word is coloured."""
    return paint(start, color, stream=sys.stderr) + text.removeprefix(start)


def note(text: str) -> None:
    """Something a person at a terminal likes to know, kept out of scripts' way."""
    if sys.stderr.isatty() and not json_wanted():
        error_line(paint(text, "dim", stream=sys.stderr))


def as_json(data: Any) -> None:
    """Data as JSON on stdout. NaN and infinities, which JSON lacks, become null."""
    write(json.dumps(_finite(data), indent=2, ensure_ascii=False) + "\n")


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, bytes):
        return data.hex()
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(item) for item in data]
    return data


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """Rows under headings; columns named in `right` are aligned to the right."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if is_terminal():
        _rich_table(columns, cells, right)
        return
    widths = [
        max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(columns)
    ]
    for row in [list(columns), *cells]:
        parts = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        write("  ".join(parts).rstrip() + "\n")


def raw(rows: Sequence[Sequence[object]]) -> None:
    """A line a row, its values between commas, for scripts in Spell's manner."""
    for row in rows:
        line(",".join(_ANSI.sub("", safe(cell)) for cell in row))


def _rich_table(
    columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        grid.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in cells:
        grid.add_row(*(Text.from_ansi(cell) for cell in row))
    console = Console(color_system="auto" if has_color() else None, highlight=False)
    with console.capture() as captured:
        console.print(grid)
    write(captured.get())
    flush()


def pairs(items: Sequence[tuple[str, object]]) -> None:
    """Two columns, name and value; empty values are left out."""
    shown = [(name, value) for name, value in items if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        line(f"{name.ljust(width)}  {safe(value)}")
