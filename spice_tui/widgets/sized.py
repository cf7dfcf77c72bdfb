"""A widget that hears of each new size it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.widget import Widget

# Textual takes the style sheet of the first base that is a widget: this must not be one.
_Base = Widget if TYPE_CHECKING else object


class Sized(_Base):
    """Put it before the other bases of a widget that draws for its size in `on_resize`.

    Textual tells a widget of a new size when it is not the one of the map before. When somebody
    asked where a widget is between a change and its layout, the map has been made anew by then
    and has the new size already: nobody is told, and what was drawn for the old size stays.
    """

    def _size_updated(
        self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True
    ) -> bool:
        before = self.outer_size
        changed = super()._size_updated(size, virtual_size, container_size, layout)
        if size != before:
            # Where Textual tells it too, the two become one.
            self.post_message(events.Resize(size, virtual_size, container_size))
        return changed

    def get_component_rich_style(
        self, *names: str, partial: bool = False, default: Style | None = None
    ) -> Style:
        """The style of a part; none of a widget that was removed."""
        if default is None and not self.is_attached:
            default = Style.null()
        return super().get_component_rich_style(*names, partial=partial, default=default)
