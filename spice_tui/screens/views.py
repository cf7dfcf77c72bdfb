"""Makes the views by name; each is imported when it is first wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_tui.actions.app_actions import VIEWS

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.screens.view import View

NAMES = frozenset({*(name for name, _, _ in VIEWS), "sql"})
"""The names of all views."""


def make_view(name: str, app: SpiceApp) -> View:
    """The view of that name; of a name there is not, the pods."""
    match name:
        case "runs":
            from spice_tui.screens.runs_view import RunsView

            return RunsView(app)
        case "trials":
            from spice_tui.screens.trials_view import TrialsView

            return TrialsView(app)
        case "models":
            from spice_tui.screens.models_view import ModelsView

            return ModelsView(app)
        case "servers":
            from spice_tui.screens.servers_view import ServersView

            return ServersView(app)
        case "resources":
            from spice_tui.screens.resources_view import ResourcesView

            return ResourcesView(app)
        case "logs":
            from spice_tui.screens.logs_view import LogsView

            return LogsView(app)
        case "metrics":
            from spice_tui.screens.metrics_view import MetricsView

            return MetricsView(app)
        case "sql":
            from spice_tui.screens.sql_view import SqlView

            return SqlView(app)
        case _:
            from spice_tui.screens.pods_view import PodsView

            return PodsView(app)
