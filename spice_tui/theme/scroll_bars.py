"""Scroll bars of plain ASCII: colour alone shows where one is, and the bar's ends are blanks."""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBar, ScrollBarRender


class AsciiScrollBars(ScrollBarRender):
    """Draws no part of a cell."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


def use_ascii_bars() -> None:
    """Let all scroll bars be drawn so from now on."""
    ScrollBar.renderer = AsciiScrollBars
