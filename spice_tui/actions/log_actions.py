"""What can be done in a log."""

from __future__ import annotations

from spice_tui.actions import Action

LOG: tuple[Action, ...] = ()
