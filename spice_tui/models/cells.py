"""How values look in a cell of a table: one place for numbers, sizes, times, states and widths.

Widths are cells of the terminal: a wide (CJK) character takes two.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, Literal

from rich.cells import cell_len, chop_cells

from spice_engine.records import record
from spice_engine.units import format_size
from spice_tui.theme.symbols import symbols

Kind = Literal["text", "number", "bytes", "duration", "time", "state", "percent"]
"""bytes: whole bytes; duration: seconds; time: unix seconds; percent: a share of 1."""

RIGHT: Final = frozenset({"number", "bytes", "duration", "time", "percent"})
"""Kinds that stand at the right of their column."""

_STATES: Final = {
    "ok": (
        "ok",
        "ready",
        "done",
        "trained",
        "healthy",
        "succeeded",
        "completed",
        "valid",
        "complete",
        "cached",
        "success",
        "good",
    ),
    "running": (
        "running",
        "training",
        "loading",
        "starting",
        "serving",
        "live",
        "deploying",
        "updating",
        "building",
        "mounting",
        "saving",
    ),
    "waiting": (
        "waiting",
        "pending",
        "queued",
        "new",
        "idle",
        "untrained",
        "scheduled",
        "requested",
    ),
    "warning": (
        "warning",
        "needs trust",
        "degraded",
        "stale",
        "stopping",
        "unhealthy",
        "retrying",
        "interrupted",
        "failing",
        "draining",
        "rolled back",
    ),
    "failed": (
        "failed",
        "build_failed",
        "mount_failed",
        "error",
        "crashed",
        "invalid",
        "lost",
        "killed",
        "timed out",
        "timeout",
    ),
    "stopped": (
        "stopped",
        "skipped",
        "pruned",
        "ended",
        "cancelled",
        "canceled",
        "paused",
        "exited",
    ),
}
_STYLE_OF: Final = {word: style for style, words in _STATES.items() for word in words}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@record
class Cell:
    """What a cell shows; `style` is the name of a style, empty for the ordinary one."""

    text: str
    style: str = ""


EMPTY: Final = Cell("")


def state_style(state: str) -> str:
    """The style of a state: ok, running, waiting, warning, failed, stopped, or empty."""
    return _STYLE_OF.get(state.lower(), "")


def state_symbol(state: str) -> str:
    """The sign of a state, one cell wide; a dot for a state that is not known."""
    style = state_style(state)
    return getattr(symbols(), style) if style else symbols().dot


def cell_of(kind: Kind, value: Any, now: float = 0.0) -> Cell:
    """What a value of this kind shows as. `now` (unix seconds) is what times are relative to."""
    if value is None:
        return EMPTY
    if kind == "state":
        text = str(value)
        return Cell(f"{state_symbol(text)} {one_line(text)}", state_style(text))
    if kind == "text" or isinstance(value, str) or not isinstance(value, int | float):
        return Cell(one_line(str(value)))
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if not math.isfinite(value):
        return Cell(str(value), "muted")
    match kind:
        case "bytes":
            return Cell(("-" if value < 0 else "") + format_size(abs(int(value))))
        case "duration":
            return Cell(short_duration(value))
        case "time":
            return Cell(relative_time(value, now))
        case "percent":
            return Cell(f"{value * 100:.0f}%" if abs(value) >= 0.1 else f"{value * 100:.1f}%")
        case _:
            return Cell(short_number(value))


def short_number(value: float) -> str:
    """A number with about four digits that count: `12`, `0.1235`, `1234.5`, `1.2e+09`."""
    if isinstance(value, int) and abs(value) < 10**9:
        return str(value)
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        return f"{value:.3g}"
    if size >= 1000:
        return f"{value:.1f}"
    return f"{value:.4g}"


def short_duration(seconds: float) -> str:
    """A duration by its two greatest units: `350ms`, `4.2s`, `3m05s`, `2h10m`, `3d04h`."""
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    if rest < 1:
        return f"{sign}{rest * 1000:.0f}ms" if rest else "0s"
    if rest < 9.95:
        return f"{sign}{rest:.1f}s"
    whole = round(rest)
    for unit, name, part, part_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= unit:
            return f"{sign}{whole // unit}{name}{whole % unit // part:02}{part_name}"
    return f"{sign}{whole // 60}m{whole % 60:02}s" if whole >= 60 else f"{sign}{whole}s"


def relative_time(moment: float, now: float) -> str:
    """How long ago: `now`, `12s ago`, `5m ago`, `3h ago`, `2d ago`; `in 5m` for what comes."""
    age = now - moment
    size = abs(age)
    if size < 1:
        return "now"
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if size >= unit:
            text = f"{int(size // unit)}{name}"
            return f"{text} ago" if age > 0 else f"in {text}"
    return "now"


def one_line(text: str) -> str:
    """The text with control characters made visible: `\\n`, `\\t`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def width_of(text: str) -> int:
    """Cells that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells, with an ellipsis at the end where something is left out.

    A wide character that would be halved is left out.
    """
    if width <= 0:
        return ""
    if width_of(text) <= width:
        return text
    sign = symbols().ellipsis
    room = width - 1
    head = text[:room] if text.isascii() else (chop_cells(text, room)[0] if room > 1 else "")
    return head + sign if width_of(head) <= room else sign


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` cells: cut, or filled with spaces at the left or right."""
    text = cut(text, width)
    space = " " * (width - width_of(text))
    return space + text if right else text + space
