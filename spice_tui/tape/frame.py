"""What is on a headless screen at a moment: its characters, and a picture.

The one module that knows the compositor's private names.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from textual._context import visible_screen_stack
from textual.app import App
from textual.strip import Strip
from textual.widgets import Input, TextArea

from spice_engine.records import record

# No font from elsewhere: the picture looks the same without a network.
_SVG = re.sub(r"\n *@font-face \{\{.*?\n *\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


@record
class PatternMask:
    """What differs from run to run, and what is written over it."""

    pattern: re.Pattern[str]
    replacement: str


@record
class Frame:
    """One screen, line by line; `width` in cells."""

    strips: tuple[Strip, ...]
    width: int

    @property
    def text(self) -> str:
        """The characters, without blanks at the ends of lines."""
        lines = [strip.text.rstrip() for strip in self.strips]
        return "\n".join(lines).rstrip("\n") + "\n"

    def svg(self, title: str) -> str:
        """A picture as SVG; the same screen gives the same bytes."""
        console = Console(
            width=self.width,
            height=len(self.strips),
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
            record=True,
            legacy_windows=False,
            safe_box=False,
            _environ={},
        )
        segments: list[Segment] = []
        for strip in self.strips:
            segments += [*strip.simplify().discard_meta(), Segment.line()]
        console.print(Segments(segments), end="")
        picture = console.export_svg(title=title, code_format=_SVG, unique_id="spice")
        return "\n".join(line.rstrip() for line in picture.split("\n")).rstrip("\n") + "\n"


def capture(app: App[Any], masks: Sequence[PatternMask] = ()) -> Frame:
    """The screen as it is drawn now."""
    screen = app.screen
    visible_screen_stack.set(app._background_screens)
    strips = screen._compositor.render_strips()
    return Frame(tuple(_masked(strip, masks) for strip in strips), screen.size.width)


def cursor_row(app: App[Any]) -> int:
    """The row of the text cursor."""
    return app.cursor_position.y


def hold_cursors(app: App[Any]) -> None:
    """Let no cursor blink: half of all pictures would lack it."""
    for widget in app.screen.query("*"):
        if isinstance(widget, Input | TextArea) and widget.cursor_blink:
            widget.cursor_blink = False


def _masked(strip: Strip, masks: Sequence[PatternMask]) -> Strip:
    """The strip with what matches written over, as wide as before."""
    for mask in masks:
        text = strip.text
        spans = [found.span() for found in mask.pattern.finditer(text) if found[0]]
        if spans:
            strip = _written_over(strip, spans, mask.replacement)
    return strip


def _written_over(strip: Strip, spans: Sequence[tuple[int, int]], replacement: str) -> Strip:
    cells: list[tuple[str, Style | None]] = [
        (character, segment.style)
        for segment in strip
        if not segment.control
        for character in segment.text
    ]
    for start, end in reversed(spans):
        width = cell_len("".join(character for character, _ in cells[start:end]))
        style = cells[start][1]
        cells[start:end] = [(c, style) for c in set_cell_size(replacement, width)]
    return Strip([Segment(character, style) for character, style in cells]).simplify()
