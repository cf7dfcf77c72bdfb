"""A log with its line for searches and a detail of one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from spice_engine.errors import InvalidRequest
from spice_tui.models.log_text import pretty
from spice_tui.models.time_input import parse_moment
from spice_tui.widgets.filter_bar import FilterBar
from spice_tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from spice_tui.models.log_door import LogDoor

_ASKS = {
    "search": ("/", "regular expression"),
    "filter": ("&", "only lines that match this regular expression"),
    "time": ("time ", "10m (ago), 14:30, 2026-05-01 14:30"),
    "line": ("line ", "number"),
}
"""Sign and hint of what a person can be asked for."""


class LogDetail(VerticalScroll):
    """One line of a log, whole."""

    BINDINGS = [Binding("escape,enter", "close", "Close", show=False)]  # noqa: RUF012
    DEFAULT_CSS = """
    LogDetail {
        display: none;
        height: auto;
        max-height: 50%;
        border-top: solid $primary;
        background: $panel;
        &.-open { display: block; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def show(self, text: str) -> None:
        """Show a line: JSON in it over several lines."""
        self.query_one(Static).update(pretty(text) or text)
        self.add_class("-open")
        self.scroll_home(animate=False)
        self.focus()

    def action_close(self) -> None:
        """Hide it; back to the log."""
        self.remove_class("-open")
        if isinstance(self.parent, LogPane):
            self.parent.view.focus()


class LogPane(Vertical):
    """A `LogView`, the line where a person writes what to look for, and a line's detail."""

    DEFAULT_CSS = """
    LogPane { height: 1fr; }
    """

    def __init__(
        self,
        *,
        empty: str = "Nothing was written yet.",
        clock: Callable[[], float] = time.time,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.view = LogView(empty=empty)
        self.detail = LogDetail()
        self.bar = FilterBar()
        self._clock = clock

    def compose(self) -> ComposeResult:
        yield self.view
        yield self.detail
        yield self.bar

    def show(self, door: LogDoor | None) -> None:
        """Show this log; None: no log."""
        self.view.show(door)

    def grew(self, size: int) -> None:
        """The log is `size` bytes long now."""
        self.view.grew(size)

    def on_log_view_wanted(self, event: LogView.Wanted) -> None:
        """Do what was asked for, or open the line to ask."""
        event.stop()
        if event.text:
            self._do(event.purpose, event.text)
            return
        sign, hint = _ASKS[event.purpose]
        text = self.view.page.filter if event.purpose == "filter" else ""
        self.bar.ask(event.purpose, sign, text, hint, keeps=False)

    def on_log_view_opened(self, event: LogView.Opened) -> None:
        """Show the line whole."""
        event.stop()
        self.detail.show(event.line.text)

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Mark matches while typing; say what is no time or number."""
        event.stop()
        if event.purpose == "search":
            self.view.highlight(event.text)
        elif event.purpose in ("time", "line"):
            self.bar.tell(self._problem(event.purpose, event.text))

    def _problem(self, purpose: str, text: str) -> str:
        if not text:
            return ""
        if purpose == "line":
            return "" if _number(text) else "not a number"
        try:
            parse_moment(text, self._clock())
        except InvalidRequest:
            return "not a time"
        return ""

    def on_filter_bar_kept(self, event: FilterBar.Kept) -> None:
        """Do what was asked for; back to the log."""
        event.stop()
        self.view.focus()
        self._do(event.purpose, event.text)

    def _do(self, purpose: str, text: str) -> None:
        """What can be neither a time nor a line goes nowhere: that was told while typing."""
        match purpose:
            case "search":
                self.view.search(text, here=True)
            case "filter":
                self.view.set_filter(text)
            case "line" if number := _number(text):
                self.view.go_line(number)
            case "time" if text and not self._problem("time", text):
                self.view.go_time(parse_moment(text, self._clock()))
            case _:
                self.view.say(self._problem(purpose, text))

    def on_filter_bar_cleared(self, event: FilterBar.Cleared) -> None:
        """Take away what was asked for before; back to the log."""
        event.stop()
        if event.purpose == "search":
            self.view.search("")
        elif event.purpose == "filter":
            self.view.set_filter("")
        self.view.focus()


def _number(text: str) -> int:
    """The line's number, from 1; 0 if it is none."""
    digits = text.replace(",", "").replace("_", "").strip()
    return int(digits) if digits.isdecimal() and len(digits) < 16 else 0
