"""A table of any number of rows on the Line API, which repaints only cells that changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.actions import SkipAction
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from spice_tui.models.cells import fitted
from spice_tui.models.table import Table
from spice_tui.widgets import table_messages
from spice_tui.widgets.copying import CopyText
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.paging import Paging
from spice_tui.widgets.sized import Sized
from spice_tui.widgets.table_rows import (
    STATES,
    TableLooks,
    header_strip,
    looks_of,
    row_strip,
    title_at,
)

if TYPE_CHECKING:
    from spice_tui.models.columns import Column, Place, Row

HEADER = 1
"""Lines above the rows."""


class GridTable(Paging, Sized, ScrollView, can_focus=True):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Rows under a header. Give data by `show`; what a person did comes as messages."""

    CONTEXT = "table"
    BINDINGS = bindings("table")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--header",
        "grid--column",
        "grid--cursor",
        "grid--cursor-away",
        "grid--empty",
        *(f"grid--{name}" for name in STATES),
    }
    DEFAULT_CSS = """
    GridTable {
        background: $surface;
        color: $foreground;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
        .grid--header { text-style: bold; color: $text-muted; }
        .grid--column { text-style: bold underline; color: $text; }
        .grid--cursor { background: $primary 40%; text-style: bold; }
        .grid--cursor-away { background: $panel; }
        .grid--empty, .grid--muted, .grid--stopped { color: $text-muted; }
        .grid--ok { color: $success; }
        .grid--running { color: $primary; }
        .grid--waiting { color: $secondary; }
        .grid--warning { color: $warning; }
        .grid--failed { color: $error; }
        &:ansi .grid--cursor { background: ansi_default; color: ansi_default; text-style: reverse; }
    }
    """

    Highlighted = table_messages.Highlighted
    Chosen = table_messages.Chosen
    Marked = table_messages.Marked
    FilterWanted = table_messages.FilterWanted
    Filtered = table_messages.Filtered

    def __init__(
        self,
        columns: Iterable[Column] = (),
        *,
        empty: str = "Nothing here yet.",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.model = Table(columns)
        self._empty = empty
        self._places: tuple[Place, ...] = ()
        self._inner = Size(0, 0)
        self._column = 0
        self._wide = False
        self._look: TableLooks | None = None
        self._cursor = 0
        self._told: tuple[str, int, int] = ("", 0, 0)
        self._told_key = ""

    # -- what comes in

    def set_columns(self, columns: Iterable[Column]) -> None:
        """Show these columns from now on."""
        self.model.set_columns(columns)
        self._column = 0
        self._arranged()

    def show(self, rows: Iterable[Row], now: float = 0.0) -> None:
        """Show these rows; `now` (unix seconds) is what relative times are told from.

        Rows that did not change are best given as the same objects.
        """
        self.model.show(rows, now)
        self._arranged()

    def set_filter(self, text: str) -> None:
        """Show only rows that match this text of the filter language."""
        self.model.set_filter(text)
        self._arranged()

    def sort_by(self, key: str, *, reverse: bool = False) -> None:
        """Sort by a column."""
        self.model.sort_by(key, reverse=reverse)
        self._arranged()

    def go_to(self, key: str) -> bool:
        """Put the cursor on the row with this key, if it is visible."""
        found = self.model.move_to_key(key)
        self._arranged(see=True)
        return found

    def export(self) -> tuple[list[str], list[list[Any]]]:
        """The rows that match, in order, as plain values under the columns' titles."""
        columns = self.model.columns
        names = [column.title.strip() or column.key for column in columns]
        return names, [[row.values.get(c.key) for c in columns] for row in self.model.rows]

    # -- drawing

    @property
    def _top(self) -> int:
        return round(self.scroll_offset.y)

    @property
    def _room(self) -> int:
        """How many rows fit."""
        return max(1, self._inner.height - HEADER)

    def _lay_out(self) -> Size:
        """Place the columns beside the scroll bars that there will be; how far all reaches."""
        lines = len(self.model.rows) + HEADER
        width, height = self.size
        upright = lines > height
        self._places = self.model.layout(width - upright, wide=self._wide)
        last = self._places[-1] if self._places else None
        reach = last.x + last.width if last else 0
        beyond = reach > width - upright
        self._inner = Size(width - (upright or lines > height - beyond), height - beyond)
        return Size(reach if beyond else 0, lines)

    def _arranged(self, *, see: bool = False) -> None:
        """The model changed: draw what is different, tell what is to be told.

        The cursor is scrolled to if it was in sight before, or with `see`.
        """
        self._tell()
        if not self.is_mounted or not self.size:
            return
        in_sight = self._top <= self._cursor < self._top + self._room
        before, inner = self._places, self._inner
        size, places = self._lay_out(), self._places
        relaid = places != before
        if size != self.virtual_size:
            self.virtual_size = size
        if see or in_sight:
            self._see_cursor()
            if inner != self._inner:  # a bar comes or goes, and how far one can scroll with it
                self.call_after_refresh(self._see_cursor)
        changes = self.model.changes(self._top, self._room)
        cursor, self._cursor = self._cursor, self.model.cursor
        if relaid or changes.everything:
            self.refresh()
            return
        by_key = {place.column.key: place for place in places}
        regions = [
            self._region(number, by_key.get(key))
            for number, key in changes.cells
            if not key or key in by_key
        ]
        if cursor != self._cursor:
            regions += [self._region(number, None) for number in (cursor, self._cursor)]
        if regions:
            self.refresh(*regions)

    def _region(self, number: int, place: Place | None) -> Region:
        """Where a cell is drawn now; without a place, the whole line."""
        y = number - self._top + HEADER
        if place is None:
            return Region(0, y, self.size.width, 1)
        return Region(place.x - round(self.scroll_offset.x), y, place.width, 1)

    def _tell(self) -> None:
        model = self.model
        current = model.current.key if model.current is not None else ""
        if current != self._told_key:
            self._told_key = current
            self.post_message(self.Highlighted(self, current))
        now = (model.filter.text, len(model.rows), model.total)
        if now != self._told and (model.filter.text or self._told[0]):
            self.post_message(self.Filtered(self))
        self._told = now

    def on_resize(self) -> None:
        """Give the columns the new width."""
        self._arranged()
        self.refresh()

    def on_focus(self) -> None:
        """The cursor looks different with focus and without."""
        self._repaint_row(self.model.cursor)

    on_blur = on_focus

    def _repaint_row(self, number: int) -> None:
        if self.is_mounted:
            self.refresh(self._region(number, None))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines of the screen; styles are asked for once for all of them."""
        self._look = looks_of(self)
        if not self._places:  # the first frame comes before `on_resize`, and shows the rows already
            self._lay_out()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the header, a row, or the words for an empty table."""
        look = self._look = self._look or looks_of(self)
        model, width = self.model, self.size.width
        left = round(self.scroll_offset.x)
        number = self._top + y - HEADER
        if y < HEADER:
            strip = header_strip(model, self._places, self._column_key(), look)
        elif number < len(model.rows):
            strip = row_strip(model, number, self._places, look)
            if number == model.cursor:
                return strip.crop_extend(left, left + width, look.cursor)
        elif not model.rows and y == HEADER:
            words = self._empty
            if model.filter and model.total:
                words = f"None of {model.total} matches the filter."
            return Strip([Segment(fitted(f"  {words}", width), look.empty)], width)
        else:
            return Strip.blank(width, look.base)
        return strip.crop_extend(left, left + width, look.base)

    # -- moving

    def _see_cursor(self) -> None:
        """Scroll as little as needed for the cursor to be seen."""
        number, top, room = self.model.cursor, self._top, self._room
        if number < top:
            self._scroll(number)
        elif number >= top + room:
            self._scroll(number - room + 1)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=top, animate=False, immediate=True, force=True)

    def _move(self, by: int) -> None:
        self._move_to(self.model.cursor + by)

    def _move_to(self, number: int) -> None:
        before = self.model.cursor
        after = self._cursor = self.model.move_to(number)
        self._see_cursor()
        if before != after:
            self._repaint_row(before)
            self._repaint_row(after)
            self._tell()

    def action_top(self) -> None:
        """To the first row."""
        self._move_to(0)

    def action_bottom(self) -> None:
        """To the last row."""
        self._move_to(len(self.model.rows) - 1)

    def action_left(self) -> None:
        """To the column at the left."""
        self._move_column(-1)

    def action_right(self) -> None:
        """To the column at the right."""
        self._move_column(1)

    def _move_column(self, by: int) -> None:
        if not self._places:
            return
        self._column = max(0, min(self._column_number() + by, len(self._places) - 1))
        place = self._places[self._column]
        left, width = round(self.scroll_offset.x), self._inner.width
        if place.x + place.width > left + width:
            left = min(place.x, place.x + place.width - width)
        elif place.x < left or self._column == 0:
            left = place.x if self._column else 0
        self.scroll_to(x=left, animate=False, immediate=True, force=True)
        self.refresh(Region(0, 0, width, HEADER))

    def _column_number(self) -> int:
        return min(self._column, max(0, len(self._places) - 1))

    def _column_key(self) -> str:
        return self._places[self._column_number()].column.key if self._places else ""

    # -- doing

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is the table's only while there is a filter to take away."""
        return bool(self.model.filter.text) if action == "clear_filter" else True

    def action_open(self) -> None:
        """Open the cursor's row."""
        if self.model.current is not None:
            self.post_message(self.Chosen(self, self.model.current.key))

    def action_mark(self) -> None:
        """Mark the row, and go to the next."""
        if self.model.current is None:
            return
        key = self.model.current.key
        self.model.toggle_mark()
        self._repaint_row(self.model.cursor)
        self._move_to(self.model.cursor + 1)
        self.post_message(self.Marked(self, key))

    def action_sort(self, column: str = "") -> None:
        """Sort by the next column, or by this one, by its key or title.

        Raises:
            NotFound: there is no such column.
        """
        if column:
            self.model.sort_by(self.model.column(column).key)
        else:
            self.model.cycle_sort()
        self._arranged()
        self.refresh()

    def action_reverse(self) -> None:
        """Turn the order around."""
        self.sort_by(self.model.sort, reverse=not self.model.reverse)
        self.refresh()

    def action_filter(self, text: str = "") -> None:
        """Show only rows that match this text; without one, ask for it."""
        if text:
            self.set_filter(text)
        else:
            self.post_message(self.FilterWanted(self))

    def action_clear_filter(self) -> None:
        """Show all rows; where all are shown, the key is left to what is around the table."""
        if not self.model.filter.text:
            raise SkipAction
        self.set_filter("")

    def action_wide(self) -> None:
        """Show all columns in full, or those that fit."""
        self._wide = not self._wide
        self._arranged()
        self._move_column(0)

    def action_copy_cell(self) -> None:
        """Copy the cell of the current column."""
        if self.model.current is not None and (key := self._column_key()):
            self.post_message(CopyText(self.model.value(key), key))

    def action_copy_row(self) -> None:
        """Copy the row or the marked rows, with tabs between the cells."""
        if keys := self.model.chosen():
            what = "row" if len(keys) == 1 else f"{len(keys)} rows"
            self.post_message(CopyText(self.model.text_of(keys), what))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor there, a click on the cursor opens; on a title, it sorts."""
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y < HEADER:
            if key := title_at(self._places, place.x + round(self.scroll_offset.x)):
                self.sort_by(key, reverse=key == self.model.sort and not self.model.reverse)
                self.refresh()
            return
        number = self._top + place.y - HEADER
        if number >= len(self.model.rows):
            return
        if number == self.model.cursor and event.chain > 1:
            self.action_open()
        self._move_to(number)
