"""What a log view tells; used as `LogView.Wanted`, `LogView.Opened` and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from spice_tui.models.log_text import LogLine
    from spice_tui.models.log_view import LogPage
    from spice_tui.widgets.log_view import LogView


class LogMessage(Message, namespace="log_view"):
    """Something about a log view."""

    def __init__(self, view: LogView) -> None:
        super().__init__()
        self.view = view

    @property
    def control(self) -> LogView:
        """The view, for `@on` with a selector."""
        return self.view


class Wanted(LogMessage, namespace="log_view"):
    """A person wants a `purpose`, search, filter, time or line, and wrote `text` or will."""

    def __init__(self, view: LogView, purpose: str, text: str) -> None:
        super().__init__(view)
        self.purpose = purpose
        self.text = text


class Opened(LogMessage, namespace="log_view"):
    """A person wants to see this line whole."""

    def __init__(self, view: LogView, line: LogLine) -> None:
        super().__init__(view)
        self.line = line


class Moved(LogMessage, namespace="log_view"):
    """Another page is shown; `page` tells all of it, for titles."""

    def __init__(self, view: LogView, page: LogPage) -> None:
        super().__init__(view)
        self.page = page
