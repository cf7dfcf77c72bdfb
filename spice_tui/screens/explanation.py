"""What stands at a place of a manifest, explained in full."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from spice_tui.screens.dialog import Dialog


class Explanation(Dialog[None]):
    """A title and a text that can be scrolled; esc leaves."""

    DEFAULT_CSS = """
    Explanation VerticalScroll { height: auto; max-height: 20; }
    """

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = self._title
            frame.border_subtitle = "esc leaves"
            with VerticalScroll():
                yield Static(self._text, markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
