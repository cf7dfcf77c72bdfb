"""A few named values asked for at once, such as those of a new dataspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label, Static

from spice_engine.records import record
from spice_tui.screens.dialog import Dialog


@record
class FormField:
    """One value: `hint` stands in its line while that is empty."""

    name: str
    label: str
    hint: str = ""
    value: str = ""
    required: bool = False


class Form(Dialog[dict[str, str]]):
    """Answers the values by name. Enter goes to the next line, in the last one it is done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "Leave"),
        ("ctrl+s", "done", "Done"),
    ]
    DEFAULT_CSS = """
    Form > .frame { width: 76; }
    Form Input { border: none; height: 1; padding: 0 1; margin-bottom: 1; background: $panel; }
    Form .note { color: $text-muted; }
    Form .problem { color: $error; height: auto; }
    """

    def __init__(self, title: str, fields: Sequence[FormField], note: str = "") -> None:
        super().__init__()
        self._title = title
        self._fields = fields
        self._note = note
        self._problem = Static("", markup=False, classes="problem")

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = self._title
            frame.border_subtitle = "enter: next, ctrl+s: done, esc: leave"
            for field in self._fields:
                yield Label(f"{field.label}{' *' if field.required else ''}", markup=False)
                entry = Input(
                    field.value, placeholder=field.hint, id=f"field-{field.name}", compact=True
                )
                entry.cursor_blink = False
                yield entry
            if self._note:
                yield Static(self._note, markup=False, classes="note")
            yield self._problem

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        entries = list(self.query(Input))
        if event.input is entries[-1]:
            self.action_done()
        else:
            entries[entries.index(event.input) + 1].focus()

    def action_done(self) -> None:
        """Answer, if nothing is missing."""
        values = {
            field.name: self.query_one(f"#field-{field.name}", Input).value.strip()
            for field in self._fields
        }
        missing = [field for field in self._fields if field.required and not values[field.name]]
        if missing:
            self._problem.update(f"{missing[0].label} is needed.")
            self.query_one(f"#field-{missing[0].name}", Input).focus()
            return
        self.dismiss(values)
