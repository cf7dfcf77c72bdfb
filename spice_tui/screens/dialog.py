"""What dialogs have in common: a frame in the middle, and esc leaves."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import BindingType
from textual.screen import ModalScreen

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A frame over the screen. `escape` leaves without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Leave")]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > .frame { border: round $primary; background: $surface; padding: 0 1;
                      width: 80%; max-width: 100; height: auto; max-height: 90%;
                      border-title-style: bold; }
    Dialog OptionList, Dialog OptionList:focus { border: none; padding: 0; background: $surface; }
    """

    def action_leave(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)
