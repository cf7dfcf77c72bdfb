"""Signs of states and parts of drawings, in Unicode or in plain ASCII; colours for series.

Colour is never the only sign: each state has a mark of its own and each series a marker.
"""

from __future__ import annotations

from spice_engine.records import record


@record
class Symbols:
    """One set of signs; `braille` says whether charts may use dots."""

    name: str
    braille: bool
    dot: str
    ok: str
    failed: str
    running: str
    waiting: str
    warning: str
    stopped: str
    up: str
    down: str
    ellipsis: str
    cursor: str
    mark: str
    bar: str
    horizontal: str
    vertical: str
    corner: str
    tick: str
    gap: str
    blocks: str
    """Eight (or fewer) steps from empty to full, for bars of one cell's height."""
    markers: str
    """One marker a series, in order."""


UNICODE = Symbols(
    name="unicode",
    braille=True,
    dot="·",
    ok="✓",
    failed="✗",
    running="●",
    waiting="○",
    warning="▲",
    stopped="■",
    up="▲",
    down="▼",
    ellipsis="…",
    cursor="▌",
    mark="◆",
    bar="█",
    horizontal="─",
    vertical="│",
    corner="└",
    tick="┤",
    gap="╌",
    blocks=" ▁▂▃▄▅▆▇█",
    markers="●◆■▲▼★○◇",
)

ASCII = Symbols(
    name="ascii",
    braille=False,
    dot=".",
    ok="+",
    failed="x",
    running="*",
    waiting="o",
    warning="!",
    stopped="#",
    up="^",
    down="v",
    ellipsis="~",
    cursor=">",
    mark="*",
    bar="#",
    horizontal="-",
    vertical="|",
    corner="+",
    tick="|",
    gap=".",
    blocks=" .:-=+*#",
    markers="*o#xv+@%",
)

_current = UNICODE


def symbols() -> Symbols:
    """The set in use; ask when drawing, it may change while the program runs."""
    return _current


def use(chosen: Symbols) -> None:
    """Use this set from now on."""
    global _current
    _current = chosen


SERIES = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
"""Colours of series that people with any colour vision tell apart (Okabe and Ito, 2008)."""

ANSI_SERIES = ("yellow", "cyan", "green", "magenta", "blue", "red", "white", "bright_black")
"""The same for terminals of 16 colours."""
