"""What can be done in a editor."""

from __future__ import annotations

from spice_tui.actions import Action

EDITOR: tuple[Action, ...] = ()
