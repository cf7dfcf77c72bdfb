"""A log of any size on the Line API: follows, searches, filters; holds what is seen, no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from spice_tui.models.cells import fitted, width_of
from spice_tui.models.log_status import badge, status
from spice_tui.models.log_view import LogPage, LogWindow, expression
from spice_tui.theme.symbols import symbols
from spice_tui.widgets import log_messages
from spice_tui.widgets.copying import CopyText
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.log_jobs import LogJobs
from spice_tui.widgets.log_rows import LogRow, LogStyles, page_rows, segments
from spice_tui.widgets.paging import Paging
from spice_tui.widgets.sized import Sized

if TYPE_CHECKING:
    from spice_tui.models.log_door import LogDoor

SIDEWAYS = 16
"""Cells that one step to the right shows."""
STATUS = 1
"""Lines below the log: where one is."""


class LogView(Paging, Sized, Widget, can_focus=True):
    """One log, by a door to it. Reading goes on in the background, in the order it was asked."""

    CONTEXT = "log"
    BINDINGS = bindings("log")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--cursor",
        "log--status",
        "log--badge",
        "log--match",
        "log--error",
        "log--warning",
        "log--empty",
    }
    DEFAULT_CSS = """
    LogView {
        background: $surface;
        color: $foreground;
        height: 1fr;
        .log--cursor { background: $primary 20%; }
        .log--status { background: $panel; color: $text-muted; }
        .log--badge { background: $panel; color: $text; text-style: bold; }
        .log--match { text-style: reverse; }
        .log--error { color: $error; text-style: bold; }
        .log--warning { color: $warning; text-style: bold; }
        .log--empty { color: $text-muted; }
        &:ansi .log--cursor { background: ansi_default; }
        &:ansi .log--status { text-style: reverse; }
        &:ansi .log--badge { text-style: bold reverse; }
    }
    """

    Wanted = log_messages.Wanted
    Opened = log_messages.Opened
    Moved = log_messages.Moved

    def __init__(
        self,
        *,
        empty: str = "Nothing was written yet.",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._empty = empty
        self._jobs = LogJobs(self, self._draw, self.say)
        self._look: LogStyles | None = None
        self._by = 0
        self._pulling = False
        self._wrap = False
        self._left = 0
        self._rows: list[LogRow] = []
        self._status: tuple[str, str] = ("", "")
        self._pattern: re.Pattern[str] | None = None
        self._said = ""

    # -- what comes in

    @property
    def page(self) -> LogPage:
        """What is shown."""
        return self._jobs.window.page if self._jobs.window is not None else LogPage()

    def show(self, door: LogDoor | None) -> None:
        """Show this log from now on, from its end; None: no log."""
        self._by = self._left = 0
        self._pulling = False
        self._said = ""
        self._pattern = None
        self._jobs.begin(LogWindow(door, self._room) if door is not None else None)
        if door is not None:
            self._jobs.ask(LogWindow.open)
            self._jobs.ask(self._learn_lines)
        self._draw()

    def grew(self, size: int) -> None:
        """The log is `size` bytes long now. Several calls while it reads are as one."""
        window = self._jobs.window
        if window is None or not window.grew(size) or self._pulling:
            return
        self._pulling = True
        if self.size or not self.is_mounted:  # who is not seen reads when seen again
            self._jobs.ask(self._pull)

    async def _pull(self, window: LogWindow) -> None:
        self._pulling = False
        await window.pull()

    async def _learn_lines(self, window: LogWindow) -> None:
        """The index may take a while: other jobs go on beside it."""
        self._jobs.beside(LogWindow.index, LogWindow.show)

    def on_mount(self) -> None:
        """Begin with what was asked for before there was a screen."""
        self._jobs.start()

    def say(self, text: str) -> None:
        """Say something in the last line until the next key."""
        self._said = text
        self._draw()

    # -- drawing

    @property
    def _room(self) -> int:
        return max(1, self.size.height - STATUS)

    @property
    def _width(self) -> int:
        """Cells for text: one goes to the cursor's sign."""
        return max(1, self.size.width - 1)

    def on_resize(self) -> None:
        """Show as many lines as fit now."""
        if self._jobs.window is not None and self.size:
            room = self._room
            self._jobs.ask(lambda window: window.resize(room))
            if self._pulling:
                self._jobs.ask(self._pull)
        self._draw()
        self.refresh()

    def _draw(self) -> None:
        """Repaint the lines of the screen that differ."""
        if not self.size:
            return
        rows, words = (
            page_rows(self.page, self._left, self._width, self._room, wrap=self._wrap),
            self._status_now(),
        )
        width = self.size.width
        regions = [
            Region(0, y, width, 1)
            for y in range(max(len(rows), len(self._rows)))
            if rows[y : y + 1] != self._rows[y : y + 1]
        ]
        if words != self._status:
            regions.append(Region(0, self._room, width, STATUS))
        self._rows, self._status = rows, words
        if regions:
            self.refresh(*regions)
            self.post_message(self.Moved(self, self.page))

    def _status_now(self) -> tuple[str, str]:
        if self._jobs.window is None:
            return "", ""
        return status(self.page, self._left, self._said), badge(self.page)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines of the screen; styles are asked for once for all of them."""
        self._look = self._looks()
        return super().render_lines(crop)

    def _looks(self) -> LogStyles:
        error, warning = (
            self.get_component_rich_style(name, partial=True)
            for name in ("log--error", "log--warning")
        )
        return LogStyles(
            base=self.rich_style,
            cursor=self.get_component_rich_style("log--cursor"),
            match=self.get_component_rich_style("log--match", partial=True),
            error=Style(color=error.color, bold=error.bold),
            warning=Style(color=warning.color, bold=warning.bold),
        )

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        if y >= self._room:
            return self._status_line(width)
        look = self._look = self._look or self._looks()
        base = look.base
        if y >= len(self._rows):
            if y == 0 and not self.page.lines and self._jobs.window is not None:
                words = "No line matches." if self.page.filter else self._empty
                style = self.get_component_rich_style("log--empty")
                return Strip([Segment(fitted(f" {words}", width), style)], width)
            return Strip.blank(width, base)
        row = self._rows[y]
        sign = " "
        if row.here:
            base += look.cursor
            sign = symbols().cursor
        parts = segments(row, base, look, self._pattern)
        strip = Strip([Segment(sign, base), *parts]).adjust_cell_length(width, base)
        if row.more:
            sign = Segment(symbols().ellipsis, base)
            strip = Strip([*strip.crop(0, width - 1), sign]).adjust_cell_length(width, base)
        return strip

    def _status_line(self, width: int) -> Strip:
        text, flag = self._status
        style = self.get_component_rich_style("log--status")
        strong = self.get_component_rich_style("log--badge")
        room = max(0, width - width_of(flag) - 2)
        parts = [Segment(fitted(f" {text}", room), style), Segment(f" {flag} ", strong)]
        return Strip(parts).adjust_cell_length(width, style)

    # -- moving

    def _move(self, by: int) -> None:
        """Several moves while it reads are as one."""
        self._said = ""
        waiting = bool(self._by)
        self._by += by
        if not waiting:
            self._jobs.ask(self._moved)

    async def _moved(self, window: LogWindow) -> None:
        by, self._by = self._by, 0
        await window.move(by)

    def action_top(self) -> None:
        """To the first line."""
        self._jobs.ask(LogWindow.go_start)

    def action_bottom(self) -> None:
        """To the last line, and follow."""
        self._jobs.ask(LogWindow.go_end)

    def action_left(self) -> None:
        """Show what is further left."""
        self._left = max(0, self._left - SIDEWAYS)
        self._draw()

    def action_right(self) -> None:
        """Show what is further right, as far as a line on the screen goes."""
        longest = max((width_of(line.text) for line in self.page.lines), default=0)
        if not self._wrap and self._left + self._width < longest:
            self._left += SIDEWAYS
            self._draw()

    def action_follow(self) -> None:
        """Follow the end of the log, or stop."""

        async def stop(window: LogWindow) -> None:
            window.follow(False)

        self._jobs.ask(stop if self.page.following else LogWindow.go_end)

    def go_line(self, number: int) -> None:
        """To a line by its number, from 1."""
        self._jobs.ask(lambda window: window.go_line(number))

    def go_time(self, time: float) -> None:
        """To what was written at a time (unix seconds)."""

        async def go(window: LogWindow) -> None:
            if not await window.go_time(time):
                self.say("This log has no times.")

        self._jobs.ask(go)

    # -- searching

    def search(self, text: str, *, backwards: bool = False, here: bool = False) -> None:
        """To the next line that matches a regular expression, or the one before."""
        self.highlight(text)

        async def find(window: LogWindow) -> None:
            self._said = ""
            if not await window.find(text, backwards=backwards, here=here) and text:
                self.say(f"no {'earlier' if backwards else 'further'} match")

        self._jobs.ask(find)

    def highlight(self, text: str) -> None:
        """Mark what matches on the screen, without going anywhere."""
        pattern, ignore_case = expression(text)
        self._pattern = re.compile(pattern, re.IGNORECASE if ignore_case else 0) if text else None
        self.refresh()

    def set_filter(self, text: str) -> None:
        """Show only lines that match a regular expression; empty: all."""
        self._said = ""
        self._jobs.ask(lambda window: window.set_filter(text))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is the log's only while there is something to take away."""
        return bool(self.page.filter or self.page.search) if action == "clear" else True

    def action_clear(self) -> None:
        """Take the search away, or if there is none, the filter."""
        if self.page.search:
            self.search("")
        else:
            self.set_filter("")

    def action_next(self) -> None:
        """To the next match."""
        if self.page.search:
            self.search(self.page.search)

    def action_previous(self) -> None:
        """To the match before."""
        if self.page.search:
            self.search(self.page.search, backwards=True)

    def action_search(self, text: str = "") -> None:
        """Look for this expression, or ask for one."""
        self.post_message(self.Wanted(self, "search", text))

    def action_filter(self, text: str = "") -> None:
        """Show only lines that match this expression, or ask for one."""
        self.post_message(self.Wanted(self, "filter", text))

    def action_time(self, text: str = "") -> None:
        """Go to this time, or ask for one."""
        self.post_message(self.Wanted(self, "time", text))

    def action_line(self, text: str = "") -> None:
        """Go to the line of this number, or ask for one."""
        self.post_message(self.Wanted(self, "line", text))

    # -- the rest

    def action_wrap(self) -> None:
        """Break long lines, or cut them."""
        self._wrap = not self._wrap
        self._left = 0
        self._draw()

    def action_detail(self) -> None:
        """Show the cursor's line whole."""
        if self.page.current is not None:
            self.post_message(self.Opened(self, self.page.current))

    def action_copy(self) -> None:
        """Copy the cursor's line."""
        if self.page.current is not None:
            self.post_message(CopyText(self.page.current.text, "line"))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three lines down."""
        event.stop()
        self._move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three lines up."""
        event.stop()
        self._move(-3)
