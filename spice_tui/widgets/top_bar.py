"""The line at the top: folder, views, and how the engine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from spice_tui.actions.app_actions import VIEWS
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_tui.models.world import World

SQL_VIEW = ("sql", "SQL", "")


class TopBar(Widget):
    """Shows the views by number; the one on show is marked. A click on one chooses it."""

    DEFAULT_CSS = """
    TopBar { height: 1; background: $panel; color: $text; }
    """

    class ViewChosen(Message):
        """A view was clicked."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def __init__(self, folder: str) -> None:
        super().__init__(id="top-bar")
        self._folder = folder
        self._view = "pods"
        self._engine = ("", "connecting")
        self._spans: list[tuple[int, int, str]] = []

    def show(self, world: World, view: str) -> None:
        """Show the state of the connection, and which view is on show."""
        connection = world.connection
        address = world.engine.http.removeprefix("http://") if world.engine else ""
        engine = (address if connection.state == "attached" else "", connection.state)
        if (engine, view) != (self._engine, self._view):
            self._engine, self._view = engine, view
            self.refresh()

    def render(self) -> RenderResult:
        width = self.size.width
        signs = symbols()
        address, state = self._engine
        mark = {"attached": signs.running, "connecting": signs.waiting}.get(state, signs.failed)
        right = f"{mark} {address or state} "
        views = [*VIEWS, SQL_VIEW]
        left = f" {self._folder} "
        long = sum(cell_len(title) + 4 for _, title, _ in views)
        brief = cell_len(left) + long + cell_len(right) > width
        text = Text(left, style="bold", no_wrap=True, end="")
        self._spans = []
        for number, (name, title, _) in enumerate(views, 1):
            chosen = name == self._view
            label = f" {number} {title} " if chosen or not brief else f" {number} "
            start = cell_len(text.plain)
            text.append(label, Style(reverse=True, bold=True) if chosen else Style(dim=not chosen))
            self._spans.append((start, start + cell_len(label), name))
        room = width - cell_len(text.plain) - cell_len(right)
        if room >= 0:
            text.append(" " * room + right)
        return text

    def on_click(self, event: Click) -> None:
        for start, end, name in self._spans:
            if start <= event.x < end:
                self.post_message(self.ViewChosen(name))
