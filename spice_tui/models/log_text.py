"""A line of a log as text for a screen: colours understood, all else that could do harm shown."""

from __future__ import annotations

import json
import re
from itertools import islice

from spice_engine.records import record
from spice_tui.models.cells import one_line

LONGEST = 16 * 1024
"""Bytes of a line that are shown; the rest is left out."""
TAB = 8
TRIES = 20
"""Brackets at which JSON may begin that are tried."""

_ESCAPE = re.compile(
    r"\x1b\[([0-9;:]*)m"  # colours, the group
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other CSI: movements, erasing, modes
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC with their text
    r"|\x1b[ -/]*[0-~]"  # other short sequences
)
_OPENING = re.compile(r"[\[{]")
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
_ENDS = {
    22: ("bold", "dim"),
    23: ("italic",),
    24: ("underline",),
    27: ("reverse",),
    29: ("strike",),
}


@record
class Span:
    """Characters [start, end) in a style, written as Rich reads it: `bold red on blue`."""

    start: int
    end: int
    style: str


@record
class LogLine:
    """One line. `end` is where the next begins; `cut`: it goes on beyond what is shown."""

    offset: int
    end: int
    text: str
    spans: tuple[Span, ...] = ()
    cut: bool = False


def log_line(offset: int, end: int, data: bytes) -> LogLine:
    """The line at [offset, end) of a log, of which `data` are the first bytes."""
    cut = len(data) < end - offset
    text = data.decode("utf-8", "replace").rstrip("\r\n")
    if text.isprintable():
        return LogLine(offset, end, text, cut=cut)
    plain, spans = _colours(text)
    return LogLine(offset, end, plain, spans, cut)


def _colours(text: str) -> tuple[str, tuple[Span, ...]]:
    """The text without escape sequences, and the stretches they coloured."""
    parts: list[str] = []
    spans: list[Span] = []
    pen = _Pen()
    length = at = 0
    for match in [*_ESCAPE.finditer(text), None]:
        piece = _visible(text[at : match.start() if match else len(text)], length)
        style = pen.style
        if piece and style:
            spans.append(Span(length, length + len(piece), style))
        parts.append(piece)
        length += len(piece)
        if match is not None:
            at = match.end()
            if match[1] is not None:
                pen.take(match[1])
    return "".join(parts), tuple(spans)


def _visible(text: str, column: int) -> str:
    """Tabs as spaces up to the next stop, other control characters as escapes."""
    if "\t" not in text:
        return one_line(text)
    first, *others = text.split("\t")
    out = one_line(first)
    for part in others:
        out += " " * (TAB - (column + len(out)) % TAB) + one_line(part)
    return out


class _Pen:
    """The style that SGR sequences have built up."""

    def __init__(self) -> None:
        self._flags: dict[str, None] = {}
        self._colours = {"": "", "on ": ""}

    @property
    def style(self) -> str:
        """As Rich reads it; empty for the ordinary style."""
        colours = [f"{ground}{name}" for ground, name in self._colours.items() if name]
        return " ".join([*self._flags, *colours])

    def take(self, parameters: str) -> None:
        """Follow one sequence: numbers with semicolons or colons between."""
        numbers = [int(n) if n and len(n) < 4 else 0 for n in re.split("[;:]", parameters)]
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self._flags.clear()
                self._colours = {"": "", "on ": ""}
            elif number in _FLAGS:
                self._flags[_FLAGS[number]] = None
            elif number in _ENDS:
                for flag in _ENDS[number]:
                    self._flags.pop(flag, None)
            elif number in (38, 48):
                self._colours["" if number == 38 else "on "] = _extended(numbers)
            elif number in (39, 49):
                self._colours["" if number == 39 else "on "] = ""
            elif 30 <= number <= 37 or 90 <= number <= 97:
                self._colours[""] = ("bright_" if number >= 90 else "") + _NAMES[number % 10]
            elif 40 <= number <= 47 or 100 <= number <= 107:
                self._colours["on "] = ("bright_" if number >= 100 else "") + _NAMES[number % 10]


def _extended(numbers: list[int]) -> str:
    """The colour of `5;N` or `2;R;G;B`, taken off the list."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        return f"color({min(255, numbers.pop(0))})"
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = (min(255, numbers.pop(0)) for _ in range(3))
        return f"#{red:02x}{green:02x}{blue:02x}"
    return ""


def pretty(text: str) -> str | None:
    """The JSON object or list in a line, over several lines, after what stands before it.

    None if the line has none.
    """
    for match in islice(_OPENING.finditer(text), TRIES):
        at = match.start()
        try:
            value, end = json.JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        if not value or text[end:].strip():
            return None
        before = text[:at].rstrip()
        shown = json.dumps(value, indent=2, ensure_ascii=False)
        return f"{before}\n{shown}" if before else shown
    return None
