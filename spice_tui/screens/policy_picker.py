"""Which versions and algorithms to compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from spice_tui.models.policy_choice import Choice, Choices
from spice_tui.screens.dialog import Dialog


class PolicyPicker(Dialog[list[str]]):
    """Answers the names of two or more; space marks one, enter is done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q", "leave", "Leave"),
        ("space", "mark", "Mark"),
        ("j", "down", "Down"),
        ("k", "up", "Up"),
    ]
    DEFAULT_CSS = """
    PolicyPicker OptionList { height: auto; max-height: 18; }
    PolicyPicker .note { height: auto; color: $text-muted; }
    """

    def __init__(self, pod: str, choices: Sequence[Choice], marked: Iterable[str]) -> None:
        super().__init__()
        self._pod = pod
        self._choices = Choices(choices, marked)
        self._list = OptionList(markup=False, compact=True)
        self._note = Static("", markup=False, classes="note")

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = f"Compare policies of {self._pod}"
            frame.border_subtitle = "space marks, enter compares, esc leaves"
            yield self._list
            yield self._note

    def on_mount(self) -> None:
        self._list.add_options(Option(text) for text in self._choices.lines())
        self._list.highlighted = self._choices.first
        self._note.update(self._choices.note)
        self._list.focus()

    def action_mark(self) -> None:
        """Mark the one at the cursor, or take its mark away."""
        number = self._list.highlighted
        if number is not None:
            self._choices.toggle(number)
            self._list.replace_option_prompt_at_index(number, self._choices.line(number))
            self._note.update(self._choices.note)

    def action_down(self) -> None:
        """Go to the next one."""
        self._list.action_cursor_down()

    def action_up(self) -> None:
        """Go to the one before."""
        self._list.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _done(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if self._choices.enough:
            self.dismiss(self._choices.names)
