"""A table with its filter line at the bottom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from spice_tui.theme.symbols import symbols
from spice_tui.widgets.filter_bar import FilterBar
from spice_tui.widgets.table import GridTable

if TYPE_CHECKING:
    from spice_tui.models.columns import Column, Row


class TablePane(Vertical):
    """A `GridTable` and a `FilterBar`; the filter in force stands in the pane's subtitle."""

    DEFAULT_CSS = """
    TablePane { height: 1fr; }
    TablePane > GridTable { height: 1fr; }
    """

    def __init__(
        self,
        columns: Iterable[Column] = (),
        *,
        empty: str = "Nothing here yet.",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.table = GridTable(columns, empty=empty)
        self.bar = FilterBar()

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.bar

    def show(self, rows: Iterable[Row], now: float = 0.0) -> None:
        """Show these rows."""
        self.table.show(rows, now)

    def on_grid_table_filter_wanted(self, event: GridTable.FilterWanted) -> None:
        """Open the line with the filter in force."""
        event.stop()
        hint = "word  !not  ~fuzzy  column:text  column>=5  a|b"
        self.bar.ask("filter", "/", self.table.model.filter.text, hint)

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Filter while typing."""
        event.stop()
        self.table.set_filter(event.text)
        self.bar.tell(self.table.model.filter.problem)

    def on_filter_bar_kept(self, event: FilterBar.Kept) -> None:
        """The filter stays; back to the rows."""
        event.stop()
        self.table.focus()

    def on_filter_bar_cleared(self, event: FilterBar.Cleared) -> None:
        """All rows again."""
        event.stop()
        self.table.set_filter("")
        self.table.focus()

    def on_grid_table_filtered(self, event: GridTable.Filtered) -> None:
        """Tell the filter and how many rows match, at the foot of the frame around the table."""
        sign = f"  {symbols().warning} {event.problem}" if event.problem else ""
        text = f"/{event.text}  {event.shown} of {event.total}{sign}" if event.text else ""
        frames = (node for node in self.ancestors_with_self if isinstance(node, Widget))
        framed = (frame for frame in frames if frame.styles.border_bottom[0])
        next(framed, self).border_subtitle = Content(text)
