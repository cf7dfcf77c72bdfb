"""A request that is composed: its text, whether that is JSON, and the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import TextArea

from spice_tui.models import payload
from spice_tui.theme.symbols import symbols
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.reading import Reading
from spice_tui.widgets.words import Words

if TYPE_CHECKING:
    from spice_engine.protocol.servers import PredictAnswer


class Composer(Vertical):
    """Give the text by `begin`, the answer by `answered`."""

    CONTEXT = "composer"
    BINDINGS: ClassVar[list[BindingType]] = bindings("composer")
    DEFAULT_CSS = """
    Composer { height: 1fr; }
    Composer Words { height: 1; padding: 0 1; color: $text-muted; }
    Composer TextArea, Composer TextArea:focus { height: 2fr; border: none; padding: 0 1;
                                                 background: $panel; }
    Composer Reading { height: 3fr; padding: 0 1; }
    """

    class SendWanted(Message):
        """A person wants this payload sent; `text` is what they wrote."""

        def __init__(self, text: str, read: payload.Payload) -> None:
            super().__init__()
            self.text, self.read = text, read

    class Left(Message):
        """A person wants to leave the text."""

    def __init__(self) -> None:
        super().__init__()
        self._area = TextArea("{}", soft_wrap=True, show_line_numbers=False)
        self._area.cursor_blink = False
        self._status = Words()
        self._answer = Reading()
        self._head = Words()

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._area
        yield self._status
        yield self._answer

    @property
    def text(self) -> str:
        """What is written."""
        return self._area.text

    @property
    def answer(self) -> str:
        """The answer on show."""
        return self._answer.text

    def begin(self, head: str, text: str) -> None:
        """Begin anew: where it goes, and the payload."""
        self.aim(head)
        self._area.load_text(text)
        self._answer.say("")
        self._check()

    def aim(self, head: str) -> None:
        """Say where it goes."""
        self._head.say(head)

    def answered(self, answer: PredictAnswer) -> None:
        """Show the answer."""
        kind = f", {answer.content_type}" if answer.content_type else ""
        self._status.say(f"{answer.status}{kind}, {answer.ms:.1f} ms")
        note = "base64: " if answer.binary else ""
        self._answer.say(note + payload.pretty(answer.body, answer.content_type))
        self._answer.scroll_home(animate=False)

    def refused(self, why: str) -> None:
        """Show why there is no answer."""
        self._status.say(f"{symbols().failed} not sent")
        self._answer.say(why)

    # -- what a person does

    def focus_text(self) -> None:
        """Give the text the focus."""
        self._area.focus()

    def action_send(self) -> None:
        """Send it, if it is JSON."""
        read = self._check()
        if not read.problem:
            self._status.say("Sent; the answer is awaited.")
            self.post_message(self.SendWanted(self.text, read))

    def action_tidy(self) -> None:
        """Write the JSON anew."""
        read = self._check()
        if not read.problem:
            self._area.text = payload.written(read.value)

    def action_leave(self) -> None:
        """Leave the text."""
        self.post_message(self.Left())

    @on(TextArea.Changed)
    def _changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._check()

    def _check(self) -> payload.Payload:
        read = payload.read(self.text)
        sign = symbols().failed if read.problem else symbols().ok
        self._status.say(f"{sign} {read.told or 'JSON'}   ctrl+s sends")
        return read
