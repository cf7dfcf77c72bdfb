"""What can be done anywhere."""

from __future__ import annotations

from spice_tui.actions import Action

APP: tuple[Action, ...] = (
    Action("app.help", "Help", "Show the keys that work here.", ("question_mark", "f1"), "help"),
)
