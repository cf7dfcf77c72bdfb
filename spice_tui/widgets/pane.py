"""A framed part of a view, and one that has several pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from spice_tui.models.page_titles import page_titles
from spice_tui.theme.symbols import symbols
from spice_tui.widgets.sized import Sized

if TYPE_CHECKING:
    from spice_tui.models.world import World


_CORNERS = 6
"""Cells of a frame's upper edge beside its title."""
_ANY = 1000
"""Room enough for any titles, before it is known how much there is."""


class Pane(Vertical):
    """A frame with a title; the frame of the one with the focus is drawn strong."""

    DEFAULT_CSS = """
    Pane { border: round $foreground 30%; border-title-color: $text-muted; padding: 0;
           border-title-style: none; }
    Pane:focus-within { border: round $primary; border-title-color: $text;
                        border-title-style: bold reverse; }
    Pane.-ascii { border: ascii $foreground 30%; }
    Pane.-ascii:focus-within { border: ascii $primary; }
    Pane.-behind { display: none; }
    """

    def __init__(self, title: str, *children: Widget, id: str, classes: str = "") -> None:  # noqa: A002
        super().__init__(*children, id=id, classes=classes)
        self.border_title = title
        self.set_class(symbols().name == "ascii", "-ascii")

    def focus_inside(self) -> bool:
        """Give the focus to the first part that takes it; false when there is none."""
        for widget in self.query("*"):
            if widget.focusable and widget.display and _is_shown(widget, self):
                widget.focus()
                return True
        return False


def _is_shown(widget: Widget, pane: Widget) -> bool:
    node: Widget = widget
    while node is not pane:
        if not node.display or not isinstance(node.parent, Widget):
            return False
        node = node.parent
    return True


class Page(Vertical):
    """One page of a `Deck`. `show` gets the world while the page is on top."""

    DEFAULT_CSS = """
    Page { height: 1fr; width: 1fr; }
    """

    def show(self, world: World) -> None:
        """Show what is new."""

    def opened(self) -> None:
        """The page came to the top."""


PageMaker = Callable[[], Page]


class Deck(Sized, Pane):
    """A pane with pages, of which one is on top; pages are made when first wanted."""

    class Turned(Message):
        """Another page is on top."""

        def __init__(self, deck: Deck, page: str) -> None:
            super().__init__()
            self.deck = deck
            self.page = page

    def __init__(
        self,
        pages: Sequence[tuple[str, str, PageMaker]],
        *,
        id: str,  # noqa: A002
        first: str = "",
    ) -> None:
        super().__init__("", id=id)
        self._makers = {name: make for name, _, make in pages}
        self._titles = {name: title for name, title, _ in pages}
        self._pages: dict[str, Page] = {}
        self.page = first if first in self._makers else pages[0][0]

    def on_mount(self) -> None:
        self._title()

    def on_resize(self) -> None:
        self._title()

    async def fill(self) -> None:
        """Put the first page into the frame."""
        if not self.top.is_attached:
            await self.mount(self.top)
            self.top.opened()

    def _made(self, name: str) -> Page:
        if name not in self._pages:
            self._pages[name] = self._makers[name]()
        return self._pages[name]

    @property
    def top(self) -> Page:
        """The page on top."""
        return self._made(self.page)

    @property
    def names(self) -> list[str]:
        """The names of all pages, in order."""
        return list(self._makers)

    def _title(self) -> None:
        titles, width = list(self._titles.values()), self.outer_size.width
        room = width - _CORNERS if width else _ANY
        self.border_title = page_titles(titles, self.names.index(self.page), room)

    async def turn_to(self, name: str) -> Page:
        """Put a page on top."""
        page = self._made(name)
        if name != self.page:
            had_focus = self.has_focus_within
            self.top.display = False
            self.page = name
            self._title()
            if not page.is_attached:
                await self.mount(page)
            page.display = True
            page.opened()
            if had_focus:
                self.focus_inside()
            self.post_message(self.Turned(self, name))
        return page

    async def turn(self, step: int) -> Page:
        """Turn pages on or back."""
        names = self.names
        return await self.turn_to(names[(names.index(self.page) + step) % len(names)])
