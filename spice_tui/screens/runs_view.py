"""View 2: the folder's runs, and everything about the chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from spice_tui.models import clock, details
from spice_tui.models.rows import RUNS, run_rows
from spice_tui.screens.view import View
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Pane
from spice_tui.widgets.run_log import RunLog
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane
from spice_tui.widgets.words import Words

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class RunsView(View):
    """A table of runs; below it the chosen run's log and details."""

    CONTEXTS: ClassVar = ("run",)
    BINDINGS: ClassVar = bindings("run")
    DEFAULT_CSS = """
    RunsView #runs { height: 1fr; }
    RunsView .lower { height: 45%; }
    RunsView #run-log { width: 1fr; }
    RunsView #run-details { width: 40; }
    RunsView Words { height: 1fr; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("runs")
        self._app = app
        self._table = TablePane(RUNS, empty="No runs yet. :run COMMAND starts one.")
        self._details = Words()
        self._log = RunLog(app)

    def compose(self) -> ComposeResult:
        yield Pane("Runs", self._table, id="runs")
        with Horizontal(classes="lower", id="runs-lower"):
            yield Pane("Log", self._log, id="run-log")
            yield Pane("About", self._details, id="run-details")

    def show(self, world: World) -> None:
        """Show what is new."""
        self._table.show(run_rows(world), clock.now())
        self._show_run()

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        self._app.run_number = int(event.key) if event.key else None
        self._show_run()

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        self._app.run_number = int(event.key)
        self._app.begin(self._app.action_show_log())

    def _show_run(self) -> None:
        run = self._app.world.runs.get(self._app.run_number or -1)
        self._details.say(details.of_run(run, clock.now()) if run else "")
        self._log.follow(f"run/{run.id}" if run else "")
