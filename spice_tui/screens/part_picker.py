"""A list of a manifest's parts, to go to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from spice_tui.screens.dialog import Dialog

if TYPE_CHECKING:
    from spice_engine.protocol.authoring import OutlineItem


class _Parts(OptionList, can_focus=False):
    """The parts; the keys go to the line above."""


class PartPicker(Dialog[tuple[int, int]]):
    """Answers line and column of the part that was chosen; typing narrows the list."""

    DEFAULT_CSS = """
    PartPicker Input { border: none; height: 1; padding: 0; background: $panel; }
    PartPicker _Parts { height: auto; max-height: 16; border: none; padding: 0;
                        background: $surface; }
    """

    def __init__(self, parts: Sequence[OutlineItem]) -> None:
        super().__init__()
        self._parts = tuple(parts)
        self._shown: list[OutlineItem] = []
        self._list = _Parts(markup=False, compact=True)

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Go to part"
            frame.border_subtitle = "enter goes there, esc leaves"
            entry = Input(placeholder="name or kind", compact=True)
            entry.cursor_blink = False
            yield entry
            yield self._list

    def on_mount(self) -> None:
        self._narrow("")
        self.query_one(Input).focus()

    def _narrow(self, typed: str) -> None:
        words = typed.lower().split()
        self._shown = [
            part
            for part in self._parts
            if all(word in f"{part.kind} {part.name}".lower() for word in words)
        ]
        self._list.clear_options()
        self._list.add_options(
            Option(f"{part.kind:<10} {part.name}  :{part.line}") for part in self._shown
        )
        self._list.highlighted = 0 if self._shown else None

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._narrow(event.value)

    def on_key(self, event: events.Key) -> None:
        if event.key in ("down", "up"):
            event.stop()
            if event.key == "down":
                self._list.action_cursor_down()
            else:
                self._list.action_cursor_up()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._take(self._list.highlighted)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._take(event.option_index)

    def _take(self, number: int | None) -> None:
        if number is not None and number < len(self._shown):
            part = self._shown[number]
            self.dismiss((part.line, part.column))
