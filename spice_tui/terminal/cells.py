"""The display that writes only cells that differ: Textual's one private seam for drawing.

Textual sends the whole visible area of a widget at each refresh. `CellDiff` takes what the
compositor made, compares it with what is on the terminal and hands the difference back, so that
Textual keeps the synchronised update (mode 2026) and the cursor's place. `App._display` and the
two kinds of updates are private; `tests/tui/test_terminal_cells.py` fails if they change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.geometry import Offset
from textual.screen import Screen

from spice_tui.terminal.driver import SpiceDriver
from spice_tui.terminal.grid import Grid, Piece
from spice_tui.terminal.pens import Pens


class _Difference(CompositorUpdate):
    """Text that is ready to be written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render_segments(self, console: Console) -> str:
        return self._text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self._text)


class CellDiff(App[int]):
    """An app that writes only what differs. Put it before other bases of the app's class."""

    _grid: Grid | None = None
    _pens: Pens | None = None
    _drawn_cursor: Offset | None = None
    _frame_waits = False

    def forget_terminal(self) -> None:
        """Something else wrote on the terminal: the next frame is written in full."""
        self._grid = None

    def action_redraw(self) -> None:
        """Write every cell again."""
        self.forget_terminal()
        self.screen.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Terminals differ in what they keep; a window that is back at its size lost cells too."""
        self.forget_terminal()
        if self._running and self._screen_stack and self.screen.size == event.size:
            self.screen.refresh()

    def refresh(
        self, *, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> CellDiff:
        """As Textual's; a request for the layout of the whole app trusts no cell."""
        if layout:
            self.forget_terminal()
        return super().refresh(repaint=repaint, layout=layout, recompose=recompose)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        driver = self._driver
        if driver is None or driver.is_headless or driver.is_inline or renderable is None:
            super()._display(screen, renderable)
            return
        if self._batch_count or not self._running or self._closed:
            super()._display(screen, renderable)  # it draws nothing
            return
        if not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            self.forget_terminal()
            super()._display(screen, renderable)
            return
        if isinstance(driver, SpiceDriver) and driver.is_behind:
            # Frames in between would only come late. The one drawn after holds all of them.
            if not self._frame_waits:
                self._frame_waits = True
                driver.when_caught_up(self._draw_waiting)
            self.post_display_hook()
            return
        text = self._difference(renderable)
        cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
        if not text and cursor == self._drawn_cursor:
            self.post_display_hook()
            return
        self._drawn_cursor = cursor
        super()._display(screen, _Difference(text))

    def _draw_waiting(self) -> None:
        self._frame_waits = False
        if self._running and self._screen_stack:
            self.screen.refresh()

    def _difference(self, update: LayoutUpdate | ChopsUpdate) -> str:
        width, height = self.size
        if self._pens is None:
            # The same choice as Textual's strips make; filters ran before.
            name = self.console.color_system or ""
            system = _SYSTEMS.get(name, ColorSystem.TRUECOLOR)
            # Textual makes greys of colours then, and black of those of 16.
            self._pens = Pens(None if self.no_color else system)
        grid = self._grid
        if grid is None or (grid.width, grid.height) != (width, height):
            # GNU screen does not erase with colours, unless told to; its TERM says so.
            term = os.environ.get("TERM", "")
            erases = not term.startswith("screen") or "bce" in term
            grid = self._grid = Grid(width, height, self._pens, erases_colour=erases)
            self._drawn_cursor = None
        return grid.draw(_rows(update))


_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
}


def _rows(update: LayoutUpdate | ChopsUpdate) -> Iterator[tuple[int, list[Piece]]]:
    """What an update draws, row by row."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            pieces: list[Piece] = []
            x = update.region.x
            for strip in strips:
                end = x + strip.cell_length
                pieces.append((x, end, strip))
                x = end
            yield y, pieces
        return
    for y, first, last in update.spans:
        chops = zip(update.chop_ends[y], update.chops[y].items(), strict=False)
        # A chop that a span touches belongs to one widget and is drawn whole: its strip may be
        # an object that is known, which a cut one is not.
        yield (
            y,
            [
                (x, end, strip)
                for end, (x, strip) in chops
                if strip is not None and x < last and end > first
            ],
        )
