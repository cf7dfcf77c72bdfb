"""The grid of a terminal's cells: what is written for a row."""

from __future__ import annotations

from rich.color import ColorSystem
from rich.segment import Segment
from textual.strip import Strip

from spice_tui.terminal.grid import Grid
from spice_tui.terminal.pens import Pens


def test_a_segment_without_text_ends_no_row():
    grid = Grid(10, 1, Pens(ColorSystem.TRUECOLOR))
    strip = Strip([Segment("a"), Segment(""), Segment("bcdefghij")])
    assert "abcdefghij" in grid.draw([(0, [(0, 10, strip)])])
