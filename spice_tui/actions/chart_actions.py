"""What can be done in a chart."""

from __future__ import annotations

from spice_tui.actions import Action

CHART: tuple[Action, ...] = ()
