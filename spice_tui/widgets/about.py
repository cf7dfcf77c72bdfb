"""Everything about one thing as text, folded to the width there is; what does not fit scrolls."""

from __future__ import annotations

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from spice_tui.models.cells import fitted
from spice_tui.models.folding import folded
from spice_tui.theme.symbols import symbols
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.paging import Paging
from spice_tui.widgets.sized import Sized

MARGIN = 1
"""The last column: signs there tell that more is above or below."""
WHEEL = 3


class About(Paging, Sized, Widget, can_focus=True):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Give the text by `say`. Another text moves nothing else on the screen, and is no layout."""

    CONTEXT = "about"
    BINDINGS = bindings("about")
    DEFAULT_CSS = """
    About { height: 1fr; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._words = ""
        self._lines: list[str] = []
        self._top = 0

    def say(self, text: str) -> None:
        """Show this text; from its beginning, if it is about something else."""
        if text != self._words:
            before, self._words = self._words, text
            if text.partition("\n")[0] != before.partition("\n")[0]:
                self._top = 0
            self._fold()

    def on_resize(self) -> None:
        """Another width is other lines."""
        self._fold()

    def _fold(self) -> None:
        if self.size:
            self._lines = folded(self._words, max(1, self.size.width - MARGIN))
            self._move(0)

    def render_line(self, y: int) -> Strip:
        """A line of the text, with a sign beside the first and the last where there are more."""
        width, at = self.size.width, self._top + y
        text = self._lines[at] if at < len(self._lines) else ""
        sign = ""
        if y == 0 and self._top:
            sign = symbols().up
        elif y == self.size.height - 1 and at + 1 < len(self._lines):
            sign = symbols().down
        line = fitted(text, width - MARGIN) + fitted(sign, MARGIN)
        return Strip([Segment(line, self.rich_style)], width)

    @property
    def _room(self) -> int:
        return max(1, self.size.height - 1)

    def _move(self, by: int) -> None:
        self._top = max(0, min(self._top + by, len(self._lines) - self.size.height))
        self.refresh()

    def action_top(self) -> None:
        """To the beginning."""
        self._move(-self._top)

    def action_bottom(self) -> None:
        """To the end."""
        self._move(len(self._lines))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel does what the keys do."""
        event.stop()
        self._move(WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel does what the keys do."""
        event.stop()
        self._move(-WHEEL)
