"""Find and replace: two lines below the text."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label


class _Field(Input):
    """One of the two texts."""

    def __init__(self, name: str, placeholder: str) -> None:
        super().__init__(id=name, placeholder=placeholder, compact=True)
        self.cursor_blink = False


class FindBar(Vertical):
    """Hidden until `open`. Tells `Wanted`, `Step`, `Replace` and `Closed`; finds nothing itself."""

    DEFAULT_CSS = """
    FindBar {
        height: 2; display: none; background: $panel;
        &.-open { display: block; }
        Horizontal { height: 1; }
        Label { width: auto; padding: 0 1; color: $text-muted; }
        Label.-problem { color: $text-error; }
        _Field, _Field:focus { border: none; height: 1; padding: 0; width: 1fr;
                               background: $panel; }
    }
    """

    class Wanted(Message):
        """What to find was changed."""

    class Step(Message):
        """Go to the next hit, or the one before."""

        def __init__(self, *, backwards: bool) -> None:
            super().__init__()
            self.backwards = backwards

    class Replace(Message):
        """Replace the hit at the cursor, or every hit."""

        def __init__(self, *, every: bool) -> None:
            super().__init__()
            self.every = every

    class Closed(Message):
        """Escape was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self._find = _Field("find", "find; enter or down: next, up: before, ctrl+r: plain or regex")
        self._replace = _Field("replace", "replace with; enter: this one, ctrl+g: all")
        self._kind = Label("plain", markup=False)
        self._state = Label("", markup=False)
        self.regex = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self._kind
            yield self._find
            yield self._state
        with Horizontal():
            yield Label("with ", markup=False)
            yield self._replace

    @property
    def wanted(self) -> str:
        """What to find."""
        return self._find.value

    @property
    def replacement(self) -> str:
        """What to put in its place."""
        return self._replace.value

    @property
    def is_open(self) -> bool:
        """Whether it is on the screen."""
        return self.has_class("-open")

    def open(self, wanted: str = "") -> None:
        """Appear, with something to find."""
        self.add_class("-open")
        if wanted:
            self._find.value = wanted
        self._find.focus()
        self._find.select_all()

    def close(self) -> None:
        """Go away."""
        self.remove_class("-open")

    def tell(self, text: str, *, problem: bool = False) -> None:
        """Say how many hits there are, or what is wrong."""
        self._state.update(text)
        self._state.set_class(problem, "-problem")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input is self._find:
            self.post_message(self.Wanted())

    def on_key(self, event: events.Key) -> None:
        finding = self._find.has_focus
        match event.key:
            case "escape":
                self.post_message(self.Closed())
            case "enter" if finding:
                self.post_message(self.Step(backwards=False))
            case "enter":
                self.post_message(self.Replace(every=False))
            case "down" | "up":
                self.post_message(self.Step(backwards=event.key == "up"))
            case "ctrl+g":
                self.post_message(self.Replace(every=True))
            case "ctrl+r":
                self.regex = not self.regex
                self._kind.update("regex" if self.regex else "plain")
                self.post_message(self.Wanted())
            case "tab" | "shift+tab":
                (self._replace if finding else self._find).focus()
            case _:
                return
        event.stop()
        event.prevent_default()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
