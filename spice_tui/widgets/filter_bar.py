"""One line at the bottom of a pane where a person writes a filter, a search or a place to go."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label


class _Line(Input):
    """The text; escape and enter are the bar's."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Clear", show=False)]

    def action_leave(self) -> None:
        """Clear and close."""
        bar = self.parent
        if isinstance(bar, FilterBar):
            bar.clear()


class FilterBar(Horizontal):
    """Hidden until `ask`. Tells each change while typing, then `Kept` (enter) or `Cleared` (esc).

    `purpose` in the messages is what `ask` was given, so that one bar serves for several things.
    """

    DEFAULT_CSS = """
    FilterBar {
        dock: bottom;
        height: 1;
        display: none;
        background: $panel;
        &.-open { display: block; }
        Label { width: auto; padding: 0 1 0 0; text-style: bold; }
        Label.problem { color: $warning; text-style: none; max-width: 60%; }
        _Line, _Line:focus { border: none; height: 1; padding: 0; width: 1fr; background: $panel; }
    }
    """

    class _Text(Message):
        def __init__(self, bar: FilterBar, purpose: str, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.purpose = purpose
            self.text = text

        @property
        def control(self) -> FilterBar:
            """The bar."""
            return self.bar

    class Changed(_Text):
        """The text changed while typing."""

    class Kept(_Text):
        """The text shall hold."""

    class Cleared(_Text):
        """The text shall not hold."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.purpose = ""
        self._keeps = True
        self._sign = Label("/", markup=False)
        self._line = _Line(compact=True, select_on_focus=False)
        self._line.cursor_blink = False
        self._problem = Label("", classes="problem", markup=False)

    def compose(self) -> ComposeResult:
        yield self._sign
        yield self._line
        yield self._problem

    @property
    def open(self) -> bool:
        """Whether it is shown."""
        return self.has_class("-open")

    def ask(
        self, purpose: str, sign: str = "/", text: str = "", hint: str = "", *, keeps: bool = True
    ) -> None:
        """Open with this text in it; `sign` stands before it, `hint` in it while it is empty.

        `keeps`: going elsewhere keeps the text, as enter does; else it only closes.
        """
        self.purpose = purpose
        self._keeps = keeps
        self._sign.update(sign)
        self._line.placeholder = hint
        with self._line.prevent(Input.Changed):
            self._line.value = text
        self._line.cursor_position = len(text)
        self.tell("")
        self.add_class("-open")
        self._line.focus()

    def tell(self, problem: str) -> None:
        """Say what is odd in the text, at its right; empty: nothing is."""
        self._problem.update(problem)

    def clear(self) -> None:
        """Close; the text shall not hold."""
        self._close()
        self.post_message(self.Cleared(self, self.purpose, ""))

    def _close(self) -> None:
        self.remove_class("-open")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Pass on what is typed."""
        event.stop()
        self.post_message(self.Changed(self, self.purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps the text."""
        event.stop()
        self._close()
        self.post_message(self.Kept(self, self.purpose, event.value))

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Going elsewhere closes."""
        if not self.open:
            return
        self._close()
        if self._keeps:
            self.post_message(self.Kept(self, self.purpose, self._line.value))
