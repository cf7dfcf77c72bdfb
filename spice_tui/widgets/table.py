"""A table of any number of rows on the Line API, which repaints only cells that changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from spice_tui.models.cells import cut, fitted, width_of
from spice_tui.models.columns import Column, Place, Row
from spice_tui.models.table import Table, values_text
from spice_tui.theme.symbols import symbols
from spice_tui.widgets.copying import CopyText
from spice_tui.widgets.keys import bindings

HEADER = 1
"""Lines above the rows."""


class GridTable(ScrollView, can_focus=True):
    """Rows under a header. Give data by `show`; what a person did comes as messages."""

    CONTEXT = "table"
    BINDINGS = bindings("table")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--header",
        "grid--column",
        "grid--cursor",
        "grid--cursor-away",
        "grid--empty",
        "grid--muted",
        "grid--ok",
        "grid--running",
        "grid--waiting",
        "grid--warning",
        "grid--failed",
        "grid--stopped",
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
    }
    """

    class _About(Message):
        """Something about the row with this key."""

        def __init__(self, table: GridTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> GridTable:
            """The table, for `@on` with a selector."""
            return self.table

    class Highlighted(_About):
        """The cursor is on another row; no key: there are no rows."""

    class Chosen(_About):
        """A person opened a row."""

    class Marked(_About):
        """A row was marked or its mark taken away; all marks are `table.model.marks`."""

    class FilterWanted(Message):
        """A person wants to write a filter."""

        def __init__(self, table: GridTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> GridTable:
            """The table."""
            return self.table

    class Filtered(Message):
        """Another filter is in force, or another number of rows matches; for the pane's title."""

        def __init__(self, table: GridTable) -> None:
            super().__init__()
            self.table = table
            self.text = table.model.filter.text
            self.problem = table.model.filter.problem
            self.shown = len(table.model.rows)
            self.total = table.model.total

        @property
        def control(self) -> GridTable:
            """The table."""
            return self.table

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
        self._column = 0
        self._wide = False
        self._base = Style()
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

    def say_when_empty(self, text: str) -> None:
        """What stands in the table while there are no rows."""
        if text != self._empty:
            self._empty = text
            self.refresh()

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
        self._arranged()
        return found

    # -- drawing

    @property
    def _top(self) -> int:
        return round(self.scroll_offset.y)

    @property
    def _room(self) -> int:
        """How many rows fit."""
        return max(1, self.size.height - HEADER)

    def _arranged(self) -> None:
        """The model changed: draw what is different, tell what is to be told."""
        self._tell()
        if not self.is_mounted or not self.size:
            return
        places = self.model.layout(self.size.width, wide=self._wide)
        width = places[-1].x + places[-1].width if places else 0
        size = Size(max(width, self.size.width), len(self.model.rows) + HEADER)
        relaid = places != self._places
        self._places = places
        if size != self.virtual_size:
            self.virtual_size = size
        self._see_cursor()
        changes = self.model.changes(self._top, self._room)
        if relaid or changes.everything:
            self.refresh()
            return
        by_key = {place.column.key: place for place in places}
        regions = [
            self._region(number, by_key.get(key))
            for number, key in changes.cells
            if not key or key in by_key
        ]
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
        """The cursor looks different with focus."""
        self._repaint_row(self.model.cursor)

    def on_blur(self) -> None:
        """The cursor looks different without focus."""
        self._repaint_row(self.model.cursor)

    def _repaint_row(self, number: int) -> None:
        if self.is_mounted:
            self.refresh(self._region(number, None))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines of the screen; styles are asked for once for all of them."""
        self._base = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the header, a row, or the words for an empty table."""
        width = self.size.width
        left = round(self.scroll_offset.x)
        base = self._base = self._base or self.rich_style
        if y < HEADER:
            strip = self._header()
        elif (number := self._top + y - HEADER) < len(self.model.rows):
            strip = self._row(number)
            if number == self.model.cursor:
                base += self._cursor_style()
        elif not self.model.rows and y == HEADER:
            return Strip([self._empty_words(width)]).adjust_cell_length(width, base)
        else:
            return Strip.blank(width, base)
        return strip.crop_extend(left, left + width, base)

    def _empty_words(self, width: int) -> Segment:
        words = self._empty
        if self.model.filter and self.model.total:
            words = f"None of {self.model.total} matches the filter."
        style = self._base + self.get_component_rich_style("grid--empty", partial=True)
        return Segment(cut(f"  {words}", width), style)

    def _header(self) -> Strip:
        base = self._base + self.get_component_rich_style("grid--header", partial=True)
        current = self._base + self.get_component_rich_style("grid--column", partial=True)
        signs = symbols()
        segments: list[Segment] = []
        x = 0
        for place in self._places:
            column = place.column
            title = column.title
            if column.key == self.model.sort:
                arrow = signs.down if self.model.reverse else signs.up
                title = f"{cut(title, place.width - 2)} {arrow}"
            here = self._column_key() == column.key
            text = cut(title, place.width)
            space = " " * (place.width - width_of(text))
            segments.append(Segment(" " * (place.x - x), base))
            parts = (space, text, "") if column.right else ("", text, space)
            segments += [
                Segment(part, current if here and part is text else base) for part in parts if part
            ]
            x = place.x + place.width
        return Strip(segments)

    def _cursor_style(self) -> Style:
        name = "grid--cursor" if self.has_focus else "grid--cursor-away"
        return self.get_component_rich_style(name, partial=True)

    def _row(self, number: int) -> Strip:
        model = self.model
        signs = symbols()
        here = number == model.cursor
        base = self._base + self._cursor_style() if here else self._base
        marked = model.rows[number].key in model.marks
        prefix = (signs.cursor if here else " ") + (signs.mark if marked else " ")
        segments = [Segment(prefix, base)]
        x = len(prefix)
        cells = dict(zip(model.columns, model.cells(number), strict=True))
        for place in self._places:
            cell = cells[place.column]
            style = base
            if cell.style:
                style = base + Style(
                    color=self.get_component_rich_style(f"grid--{cell.style}", partial=True).color
                )
            segments.append(Segment(" " * (place.x - x), base))
            text = cell.text
            if place.column.kind == "state" and place.width <= 2:
                text = text[:1]  # the sign alone
            text = fitted(text, place.width, right=place.column.right)
            segments.append(Segment(text, style))
            x = place.x + place.width
        return Strip(segments)

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

    def _move_to(self, number: int) -> None:
        before = self.model.cursor
        after = self.model.move_to(number)
        if before != after:
            self._see_cursor()
            self._repaint_row(before)
            self._repaint_row(after)
            self._tell()

    def action_down(self) -> None:
        """To the next row."""
        self._move_to(self.model.cursor + 1)

    def action_up(self) -> None:
        """To the row before."""
        self._move_to(self.model.cursor - 1)

    def action_half_down(self) -> None:
        """Half a page down."""
        self._move_to(self.model.cursor + max(1, self._room // 2))

    def action_half_up(self) -> None:
        """Half a page up."""
        self._move_to(self.model.cursor - max(1, self._room // 2))

    def action_next_page(self) -> None:
        """A page down."""
        self._move_to(self.model.cursor + self._room)

    def action_last_page(self) -> None:
        """A page up."""
        self._move_to(self.model.cursor - self._room)

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
        left, width = round(self.scroll_offset.x), self.size.width
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

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.model.cycle_sort()
        self._arranged()
        self.refresh()

    def action_reverse(self) -> None:
        """Turn the order around."""
        self.sort_by(self.model.sort, reverse=not self.model.reverse)
        self.refresh()

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.post_message(self.FilterWanted(self))

    def action_clear_filter(self) -> None:
        """Show all rows."""
        self.set_filter("")

    def action_wide(self) -> None:
        """Show all columns in full, or those that fit."""
        self._wide = not self._wide
        self._arranged()
        self._move_column(0)

    def action_copy_cell(self) -> None:
        """Copy the cell of the current column."""
        key = self._column_key()
        if self.model.current is not None and key:
            value = self.model.current.values.get(key)
            self.post_message(CopyText("" if value is None else str(value), key))

    def action_copy_row(self) -> None:
        """Copy the row or the marked rows, with tabs between the cells."""
        rows = [row for key in self.model.chosen() if (row := self.model.row_of(key)) is not None]
        if rows:
            text = "\n".join(values_text(row.values, self.model.columns) for row in rows)
            self.post_message(CopyText(text, "row" if len(rows) == 1 else f"{len(rows)} rows"))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor there, a click on the cursor opens; on a title, it sorts."""
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y < HEADER:
            x = place.x + round(self.scroll_offset.x)
            for column in self._places:
                if column.x <= x < column.x + column.width:
                    key = column.column.key
                    again = key == self.model.sort and not self.model.reverse
                    self.sort_by(key, reverse=again)
                    self.refresh()
            return
        number = self._top + place.y - HEADER
        if number >= len(self.model.rows):
            return
        if number == self.model.cursor and event.chain > 1:
            self.action_open()
        self._move_to(number)
