"""Rows of characters and style bytes that may be more than fit, in a scrolling place."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.geometry import Size

from spice_tui.models.styled import Line, Rows, rows_of
from spice_tui.widgets.picture import PictureWidget

MakeLines = Callable[[int], list[Line]]
"""Gives the lines for a width."""


class _Page(PictureWidget):
    """As high as its rows."""

    DEFAULT_CSS = "_Page { height: auto; }"

    def __init__(self, make: MakeLines) -> None:
        super().__init__()
        self._make = make
        self._height = -1

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of rows at this width."""
        self._height = len(self._make(width))
        return self._height

    def draw_rows(self, width: int, height: int) -> Rows:
        """The rows."""
        return rows_of(self._make(width), width)

    def renew(self) -> None:
        """Other rows; the layout is asked again only when there are more or fewer."""
        if self.size.width and len(self._make(self.size.width)) != self._height:
            self.refresh(layout=True)
        self.redraw()


class ScrollPicture(VerticalScroll, can_focus=True):
    """Override `lines`, and call `renew` when they may have changed."""

    DEFAULT_CSS = """
    ScrollPicture { height: 1fr; width: 1fr; scrollbar-size-vertical: 1; }
    """

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.page = _Page(self.lines)

    def compose(self) -> ComposeResult:
        """The page."""
        yield self.page

    def lines(self, width: int) -> list[Line]:
        """The rows for a width."""
        raise NotImplementedError

    def renew(self) -> None:
        """Draw again what has changed."""
        self.page.renew()
