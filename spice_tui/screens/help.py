"""The keys that work here, and all others, from the table of actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from spice_tui.actions import Action, of_context
from spice_tui.models.key_names import key_name
from spice_tui.screens.dialog import Dialog

TITLES = {
    "app": "Everywhere",
    "pod": "Pods",
    "run": "Runs",
    "server": "Servers",
    "model": "Models",
    "resource": "Resources",
    "table": "In a table",
    "about": "In the text beside it",
    "editor": "In the editor",
    "composer": "In a request",
    "chart": "In a chart",
    "log": "In a log",
    "view": "Panes",
    "timeline": "In the timeline",
    "stepper": "In the steps",
    "policy": "In the policy",
    "comparison": "In the comparison",
    "lineage": "In the lineage",
    "search": "In the searches",
    "workflow": "In the workflows",
    "workspace": "In the workspaces",
    "dialog": "In any of these",
}
FILTERS = (
    "Filters: word  !not  ~fuzzy  column:text  column=text  column>=5  one|other; "
    "several must all hold."
)


class HelpScreen(Dialog[None]):
    """The nearest contexts first. `q`, `?` and esc leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,question_mark,f1", "leave", "Leave"),
        ("j,down", "down", "Down"),
        ("k,up", "up", "Up"),
    ]
    DEFAULT_CSS = """
    HelpScreen > .frame { width: 90%; max-width: 110; height: 90%; }
    """

    def __init__(self, contexts: Sequence[str], keys: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self._contexts = [*contexts, *(name for name in TITLES if name not in contexts)]
        self._keys = keys

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="frame") as frame:
            frame.border_title = "Keys and commands"
            yield Static(Text("\n").join(self._lines()))

    def _lines(self) -> Iterator[Text]:
        for context in self._contexts:
            actions = of_context(context)
            if not actions:
                continue
            yield Text(TITLES.get(context, context.capitalize()), Style(bold=True, underline=True))
            for action in actions:
                yield self._line(action)
            yield Text()
        yield Text(FILTERS)

    def _line(self, action: Action) -> Text:
        keys = " ".join(key_name(key) for key in self._keys.get(action.id, action.keys))
        line = Text(f"  {keys:<12} ", Style(bold=True))
        command = f":{action.command} {action.arguments}".rstrip() if action.command else ""
        line.append(f"{action.help} ", Style())
        line.append(command, Style(dim=True))
        return line

    def action_down(self) -> None:
        """One line down."""
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_up(self) -> None:
        """One line up."""
        self.query_one(VerticalScroll).scroll_up(animate=False)
