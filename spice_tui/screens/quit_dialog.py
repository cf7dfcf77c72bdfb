"""Asks what becomes of what runs when a person leaves."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from spice_tui.screens.dialog import Dialog


class QuitDialog(Dialog[str]):
    """Answers `leave`, `stop` or `stay`."""

    DEFAULT_CSS = """
    QuitDialog > .frame { width: 56; }
    QuitDialog OptionList { border: none; height: auto; background: $surface; }
    """

    def __init__(self, busy: Sequence[str]) -> None:
        super().__init__()
        self._busy = " and ".join(busy)

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Leave"
            yield Static(f"Still at work: {self._busy}.\n", markup=False)
            yield OptionList(
                Option("Leave it running, and the engine with it", id="leave"),
                Option("Stop everything, and the engine", id="stop"),
                Option("Stay here", id="stay"),
            )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)
