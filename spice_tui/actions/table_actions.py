"""What can be done in a table."""

from __future__ import annotations

from spice_tui.actions import Action

TABLE: tuple[Action, ...] = ()
