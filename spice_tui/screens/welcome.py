"""The first start in a folder without pods and runs: how to begin."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from spice_tui.screens.dialog import Dialog

TEXT = """\
A pod is a YAML file: data, actions, and what each action is worth. It is trained \
whenever you save it, and then says what to do.

This folder has no pod yet.
"""


class WelcomeScreen(Dialog[str]):
    """Answers `tutorial`, `new`, `packages` or `look`."""

    DEFAULT_CSS = """
    WelcomeScreen > .frame { width: 84; }
    WelcomeScreen OptionList { border: none; height: auto; background: $surface; }
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = f"Welcome to spice-tui in {self._folder}"
            yield Static(TEXT, markup=False)
            yield OptionList(
                Option("Show me: a sample pod, trained and explained step by step", id="tutorial"),
                Option("Write a pod of my own", id="new"),
                Option("See what other samples and packages there are", id="packages"),
                Option("Just look around", id="look"),
            )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)
