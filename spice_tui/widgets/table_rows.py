"""The header and the rows of a table as strips of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from spice_engine.records import record
from spice_tui.models.cells import cut, fitted, width_of
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from textual.widget import Widget

    from spice_tui.models.columns import Place
    from spice_tui.models.table import Table

STATES = ("ok", "running", "waiting", "warning", "failed", "stopped", "muted")
"""Names of the styles of cells."""


@record
class TableLooks:
    """Styles of a table: whole ones, but for the colours of `states` by the names of styles."""

    base: Style
    header: Style
    column: Style
    cursor: Style
    empty: Style
    states: Mapping[str, Style]


def looks_of(table: Widget) -> TableLooks:
    """The styles that the style sheet gives a table now."""

    def style(name: str, *, partial: bool = False) -> Style:
        return table.get_component_rich_style(f"grid--{name}", partial=partial)

    return TableLooks(
        base=table.rich_style,
        header=style("header"),
        column=style("column"),
        cursor=style("cursor" if table.has_focus else "cursor-away"),
        empty=style("empty"),
        states={name: Style(color=style(name, partial=True).color) for name in STATES},
    )


def header_strip(model: Table, places: Sequence[Place], current: str, looks: TableLooks) -> Strip:
    """Titles over their columns; an arrow at the one sorted by, a line under the current one."""
    signs = symbols()
    segments: list[Segment] = []
    x = 0
    for place in places:
        column = place.column
        title = column.title
        if column.key == model.sort:
            arrow = signs.down if model.reverse else signs.up
            # The blank goes before letters do.
            gap = " " * (width_of(title) + 2 <= place.width)
            title = f"{cut(title, place.width - 1 - len(gap))}{gap}{arrow}"
        text = cut(title, place.width)
        style = looks.column if column.key == current else looks.header
        space = " " * (place.width - width_of(text))
        segments.append(Segment(" " * (place.x - x), looks.header))
        parts = [Segment(text, style), Segment(space, looks.header)]
        segments += parts[::-1] if column.right else parts
        x = place.x + place.width
    return Strip(segments)


def row_strip(model: Table, number: int, places: Sequence[Place], looks: TableLooks) -> Strip:
    """A visible row; signs at the left tell the cursor and a mark."""
    signs = symbols()
    here = number == model.cursor
    base = looks.cursor if here else looks.base
    marked = model.rows[number].key in model.marks
    prefix = (signs.cursor if here else " ") + (signs.mark if marked else " ")
    segments = [Segment(prefix, base)]
    x = len(prefix)
    cells = {
        column.key: cell for column, cell in zip(model.columns, model.cells(number), strict=True)
    }
    for place in places:
        cell = cells[place.column.key]
        text = cell.text
        if place.column.kind == "state" and place.width <= 2:
            text = text[:1]  # the sign alone
        segments.append(Segment(" " * (place.x - x), base))
        # Colours of states may not be read on the cursor's ground; their signs can.
        style = base + looks.states[cell.style] if cell.style and not here else base
        segments.append(Segment(fitted(text, place.width, right=place.column.right), style))
        x = place.x + place.width
    return Strip(segments)


def title_at(places: Sequence[Place], x: int) -> str:
    """The key of the column whose title has the cell `x`; empty between two."""
    found = (one.column.key for one in places if one.x <= x < one.x + one.width)
    return next(found, "")
