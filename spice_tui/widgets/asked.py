"""What panes have in common that show an answer which a person asks for when wanting it."""

from __future__ import annotations

from textual.message import Message

from spice_tui.models.styled import Line
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.scroll_picture import MakeLines, ScrollPicture


class AskedPane(ScrollPicture):
    """Give it what makes its rows by `show`; keys ask, and give a question up."""

    class Wanted(Message):
        """A person wants an answer."""

    class GivenUp(Message):
        """A person wants the answer no longer."""

    def __init__(self) -> None:
        self._make: MakeLines = lambda _: []
        super().__init__()

    def show(self, make: MakeLines) -> None:
        """Show these rows."""
        self._make = make
        self.renew()

    def lines(self, width: int) -> list[Line]:
        """The pane's rows."""
        return self._make(width)

    def action_ask(self) -> None:
        """Ask for an answer, also where there is one."""
        self.post_message(self.Wanted())

    def action_give_up(self) -> None:
        """Give up what is being worked out."""
        self.post_message(self.GivenUp())


class PolicyPane(AskedPane):
    """A policy explained."""

    CONTEXT = "policy"
    BINDINGS = bindings("policy")


class ComparisonPane(AskedPane):
    """Policies compared."""

    CONTEXT = "comparison"
    BINDINGS = bindings("comparison")
