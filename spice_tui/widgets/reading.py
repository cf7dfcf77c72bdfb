"""A text that is read: it scrolls, and takes the focus so that keys scroll it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static


class Reading(VerticalScroll, can_focus=True):
    """Give the text by `say`."""

    DEFAULT_CSS = """
    Reading { height: 1fr; scrollbar-size-vertical: 1; }
    Reading > Static { width: 1fr; height: auto; }
    """

    def __init__(self, text: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._text = text
        self._body = Static(text, markup=False)

    def compose(self) -> ComposeResult:
        yield self._body

    @property
    def text(self) -> str:
        """What it says."""
        return self._text

    def say(self, text: str) -> None:
        """Say this."""
        if text != self._text:
            self._text = text
            self._body.update(text)
