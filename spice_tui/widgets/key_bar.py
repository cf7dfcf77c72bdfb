"""The line at the bottom: the keys that matter where the focus is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from spice_tui.actions import table
from spice_tui.models.key_names import is_order, key_name

TYPING = frozenset({"editor", "typing", "composer"})
"""Contexts in which letters are text."""


class KeyBar(Widget):
    """Shows keys and titles of actions; drawn again only when they change."""

    DEFAULT_CSS = """
    KeyBar { height: 1; background: $panel; color: $text; }
    """

    def __init__(self) -> None:
        super().__init__(id="key-bar")
        self._shown: tuple[tuple[str, str], ...] = ()
        self._note = ""

    def show(self, contexts: Sequence[str], keys: Mapping[str, tuple[str, ...]]) -> None:
        """Show the actions of these contexts, the nearest first, with the keys they have now."""
        actions = table().values()
        # Where one types, letters are text.
        typing = bool(contexts) and contexts[0] in TYPING
        shown = tuple(
            (key_name(held[0]), action.title)
            for context in contexts
            for action in actions
            if action.footer and action.context == context
            if (held := [k for k in keys.get(action.id, action.keys) if not typing or is_order(k)])
        )
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def note(self, text: str) -> None:
        """Say something at the right, such as what can be taken back; an empty text ends it."""
        if text != self._note:
            self._note = text
            self.refresh()

    def render(self) -> RenderResult:
        room = self.size.width - (cell_len(self._note) + 2 if self._note else 0)
        text = Text(no_wrap=True, end="")
        for key, title in self._shown:
            if cell_len(text.plain) + cell_len(key) + cell_len(title) + 3 > room:
                break
            text.append(f" {key}", Style(bold=True))
            text.append(f" {title} ", Style(dim=True))
        if self._note:
            text.append(" " * max(0, room - cell_len(text.plain)))
            text.append(f" {self._note} ", Style(bold=True, reverse=True))
        return text
