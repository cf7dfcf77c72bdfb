"""The `:` line at the bottom of the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import events
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input

from spice_tui.models import command_line


class _Ghost(Suggester):
    """Offers the rest of a command as ghost text."""

    def __init__(
        self, names: Callable[[], Iterable[str]], history: Callable[[], list[str]]
    ) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._names = names
        self._history = history

    async def get_suggestion(self, value: str) -> str | None:
        rest = command_line.suggest(value, self._history(), self._names())
        return value + rest if rest else None


class Prompt(Input):
    """One line for a command, with ghost text and history. Hidden until it is opened."""

    DEFAULT_CSS = """
    Prompt { height: 1; border: none; padding: 0 1; display: none; background: $surface; }
    Prompt:focus { border: none; }
    Prompt.-open { display: block; }
    """

    class Entered(Message):
        """A command was typed."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.history: list[str] = []
        self._back = 0
        super().__init__(
            id="prompt",
            compact=True,
            suggester=_Ghost(names, lambda: self.history),
            select_on_focus=False,  # it opens with the beginning of a command, to type on from
        )
        self.cursor_blink = False
        # While it is hidden it must not take the keys of a person who types before the first
        # view is there.
        self.can_focus = False
        self._left: Widget | None = None

    def open(self, line: str = "") -> None:
        """Appear, with the beginning of a command."""
        self._back = 0
        self.value = line
        self.placeholder = "a command; esc leaves, tab completes, up and down go through history"
        if not self.has_focus:
            self._left = self.screen.focused
        self.add_class("-open")
        self.can_focus = True
        self.focus()
        self.cursor_position = len(line)

    def close(self) -> None:
        """Go away; the focus is where it was before."""
        # Not `has_focus`: while the blur is told it is still set, and the focus is elsewhere.
        if self.screen.focused is self:
            back, self._left = self._left, None
            self.screen.set_focus(back if back is not None and back.is_attached else None)
        self.remove_class("-open")
        self.can_focus = False
        self.value = ""

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape" or (event.key == "backspace" and not self.value):
            self.close()
        elif event.key == "tab":
            self.action_cursor_right() if self.cursor_position < len(self.value) else None
            if self._suggestion:
                self.value = self._suggestion
                self.cursor_position = len(self.value)
        elif event.key in ("up", "down"):
            self._recall(1 if event.key == "up" else -1)
        else:
            return
        event.stop()
        event.prevent_default()

    def _recall(self, step: int) -> None:
        self._back = max(0, min(len(self.history), self._back + step))
        self.value = self.history[-self._back] if self._back else ""
        self.cursor_position = len(self.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        line = self.value.strip()
        self.close()
        if line:
            self.history = command_line.remember(self.history, line)
            self.post_message(self.Entered(line))

    def on_blur(self) -> None:
        self.close()
