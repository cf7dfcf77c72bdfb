"""What a table tells; used as `GridTable.Highlighted`, `GridTable.Chosen` and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from spice_tui.widgets.table import GridTable


class TableMessage(Message, namespace="grid_table"):
    """Something about a table."""

    def __init__(self, table: GridTable) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> GridTable:
        """The table, for `@on` with a selector."""
        return self.table


class RowMessage(TableMessage, namespace="grid_table"):
    """Something about the row with this key."""

    def __init__(self, table: GridTable, key: str) -> None:
        super().__init__(table)
        self.key = key


class Highlighted(RowMessage, namespace="grid_table"):
    """The cursor is on another row; no key: there are no rows."""


class Chosen(RowMessage, namespace="grid_table"):
    """A person opened a row."""


class Marked(RowMessage, namespace="grid_table"):
    """A row was marked or its mark taken away; all marks are `table.model.marks`."""


class FilterWanted(TableMessage, namespace="grid_table"):
    """A person wants to write a filter."""


class Filtered(TableMessage, namespace="grid_table"):
    """Another filter is in force, or another number of rows matches; for the pane's title."""

    def __init__(self, table: GridTable) -> None:
        super().__init__(table)
        self.text = table.model.filter.text
        self.problem = table.model.filter.problem
        self.shown = len(table.model.rows)
        self.total = table.model.total
