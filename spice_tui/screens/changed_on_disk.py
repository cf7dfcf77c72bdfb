"""The choice when a text and its file have gone different ways, or a draft was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from spice_engine.records import record
from spice_tui.models import merge
from spice_tui.screens.dialog import Dialog


@record
class Choice:
    """One way to go on: the key that takes it, and what it means."""

    id: str
    key: str
    text: str


CHANGED = (
    Choice("mine", "k", "Keep mine: the next save overwrites the file"),
    Choice("theirs", "t", "Take theirs: the file's text; yours can be had back with undo"),
    Choice("merge", "m", "Merge both; what cannot be merged is marked"),
)
DRAFT = (
    Choice("restore", "r", "Restore the draft"),
    Choice("later", "l", "Decide later: the draft stays"),
    Choice("discard", "x", "Discard the draft"),
)


class DifferenceView(VerticalScroll, can_focus=True):
    """Lines of a diff; each begins with its sign, colour only helps."""

    DEFAULT_CSS = "DifferenceView { height: auto; max-height: 60%; }"

    def __init__(self, theirs: str, mine: str) -> None:
        super().__init__()
        self._lines = merge.difference(theirs, mine) or ["There is no difference."]

    def compose(self) -> ComposeResult:
        styles = {"+": "$text-success", "-": "$text-error", "@": "bold"}
        lines = (Content.styled(line, styles.get(line[:1], "")) for line in self._lines)
        yield Static(Content("\n").join(lines))


class Difference(Dialog[None]):
    """Shows what differs between the file and the text."""

    BINDINGS: ClassVar[list[BindingType]] = [("q", "leave", "Leave")]

    def __init__(self, title: str, theirs: str, mine: str) -> None:
        super().__init__()
        self._title = title
        self._view = DifferenceView(theirs, mine)

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = self._title
            frame.border_subtitle = "- on disk, + in the editor; esc leaves"
            yield self._view

    def on_mount(self) -> None:
        self._view.focus()


class ChooseText(Dialog[str]):
    """Answers the id of a choice; escape answers None and changes nothing."""

    DEFAULT_CSS = """
    ChooseText .why { height: auto; margin-bottom: 1; }
    ChooseText OptionList { height: auto; border: none; background: $surface; padding: 0; }
    """

    def __init__(
        self, title: str, why: str, choices: Sequence[Choice], theirs: str, mine: str
    ) -> None:
        super().__init__()
        self._title, self._why = title, why
        self._choices = (*choices, Choice("difference", "d", "Show the difference"))
        self._theirs, self._mine = theirs, mine

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = self._title
            yield Static(self._why, markup=False, classes="why")
            yield OptionList(
                *(Option(f"{one.key}  {one.text}", id=one.id) for one in self._choices),
                markup=False,
                compact=True,
            )

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def on_key(self, event: events.Key) -> None:
        for choice in self._choices:
            if event.key == choice.key:
                event.stop()
                self._take(choice.id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._take(event.option_id or "")

    def _take(self, choice: str) -> None:
        if choice == "difference":
            self.app.push_screen(Difference(self._title, self._theirs, self._mine))
        else:
            self.dismiss(choice)
