"""What can be done in a table, and in a text beside one."""

from __future__ import annotations

from spice_tui.actions import Action

TABLE: tuple[Action, ...] = (
    Action("table.down", "Down", "Move to the next row.", ("j", "down"), palette=False),
    Action("table.up", "Up", "Move to the previous row.", ("k", "up"), palette=False),
    Action(
        "table.half_down",
        "Half a page down",
        "Move half a page down.",
        ("ctrl+d",),
        palette=False,
    ),
    Action("table.half_up", "Half a page up", "Move half a page up.", ("ctrl+u",), palette=False),
    Action("table.next_page", "Page down", "Move a page down.", ("pagedown",), palette=False),
    Action("table.last_page", "Page up", "Move a page up.", ("pageup",), palette=False),
    Action("table.top", "First row", "Move to the first row.", ("g", "home"), palette=False),
    Action("table.bottom", "Last row", "Move to the last row.", ("G", "end"), palette=False),
    Action(
        "table.left",
        "Column left",
        "Move to the column at the left.",
        ("h", "left"),
        palette=False,
    ),
    Action(
        "table.right",
        "Column right",
        "Move to the column at the right.",
        ("l", "right"),
        palette=False,
    ),
    Action("table.open", "Open", "Open the row.", ("enter",), footer=True, palette=False),
    Action("table.mark", "Mark", "Mark the row, or take its mark away.", ("space",)),
    Action(
        "table.sort",
        "Sort",
        "Sort by the next column, after the last by none.",
        ("s",),
        "sort",
        "[COLUMN]",
    ),
    Action("table.reverse", "Reverse", "Turn the order around.", ("S",), "reverse"),
    Action(
        "table.filter",
        "Filter",
        "Show only rows that match: plain !not ~fuzzy key:value key>=number a|b.",
        ("slash",),
        "filter",
        "[TEXT]",
        footer=True,
    ),
    Action("table.clear_filter", "All rows", "Take the filter away.", ("escape",)),
    Action("table.wide", "Wide", "Show all columns in full, or those that fit.", ("w",)),
    Action("table.copy_cell", "Copy cell", "Copy the cell of the current column.", ("c",)),
    Action("table.copy_row", "Copy row", "Copy the row, or all marked rows.", ("C",)),
)

ABOUT: tuple[Action, ...] = (
    Action("about.down", "Down", "Move a line down.", ("j", "down"), palette=False),
    Action("about.up", "Up", "Move a line up.", ("k", "up"), palette=False),
    Action(
        "about.half_down", "Half a page down", "Move half a page down.", ("ctrl+d",), palette=False
    ),
    Action("about.half_up", "Half a page up", "Move half a page up.", ("ctrl+u",), palette=False),
    Action("about.next_page", "Page down", "Move a page down.", ("pagedown",), palette=False),
    Action("about.last_page", "Page up", "Move a page up.", ("pageup",), palette=False),
    Action("about.top", "Beginning", "Move to its beginning.", ("g", "home"), palette=False),
    Action("about.bottom", "End", "Move to its end.", ("G", "end"), palette=False),
)
