"""What can be done in a log."""

from __future__ import annotations

from spice_tui.actions import Action

LOG: tuple[Action, ...] = (
    Action("log.down", "Down", "Move to the next line.", ("j", "down"), palette=False),
    Action("log.up", "Up", "Move to the line before.", ("k", "up"), palette=False),
    Action(
        "log.half_down", "Half a page down", "Move half a page down.", ("ctrl+d",), palette=False
    ),
    Action("log.half_up", "Half a page up", "Move half a page up.", ("ctrl+u",), palette=False),
    Action("log.next_page", "Page down", "Move a page down.", ("pagedown",), palette=False),
    Action("log.last_page", "Page up", "Move a page up.", ("pageup",), palette=False),
    Action("log.top", "First line", "Move to the first line.", ("g", "home"), palette=False),
    Action(
        "log.bottom",
        "Last line",
        "Move to the last line and follow the log.",
        ("G", "end"),
        palette=False,
    ),
    Action("log.left", "Left", "Show what is further left.", ("h", "left"), palette=False),
    Action("log.right", "Right", "Show what is further right.", ("l", "right"), palette=False),
    Action(
        "log.follow", "Follow", "Follow the end of the log, or stop.", ("f",), "follow", footer=True
    ),
    Action(
        "log.search",
        "Search",
        "Go to lines that match a regular expression; then n and N.",
        ("slash",),
        "search",
        "[REGEX]",
        footer=True,
    ),
    Action("log.next", "Next match", "Go to the next match.", ("n",), palette=False),
    Action("log.previous", "Match before", "Go to the match before.", ("N",), palette=False),
    Action(
        "log.filter",
        "Matching lines",
        "Show only lines that match a regular expression.",
        ("ampersand",),
        "only",
        "[REGEX]",
        footer=True,
    ),
    Action("log.clear", "All lines", "Take filter and search away.", ("escape",), palette=False),
    Action(
        "log.time",
        "Time",
        "Go to a time: 10m (ago), 14:30, a date.",
        ("t",),
        "log-time",
        "[TIME]",
        footer=True,
    ),
    Action(
        "log.line",
        "Line",
        "Go to a line by its number.",
        ("number_sign", "ctrl+g"),
        "log-line",
        "[NUMBER]",
    ),
    Action("log.wrap", "Wrap", "Break long lines, or cut them.", ("w",), "wrap"),
    Action("log.detail", "Detail", "Show the whole line, JSON laid out.", ("enter",)),
    Action("log.copy", "Copy line", "Copy the line.", ("c",)),
)
