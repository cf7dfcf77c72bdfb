"""View 2: the folder's runs, and everything about the chosen one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from spice_tui.models import clock, details, run_rows
from spice_tui.models.world import MOST_RUNS
from spice_tui.screens.pages.run_pages import PAGES, RunPage
from spice_tui.screens.project_board import ProjectBoard
from spice_tui.screens.view import View
from spice_tui.widgets.about import About
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Deck, Page, Pane
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_engine.protocol.projects import ProjectDetails
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class RunsView(View):
    """A table of runs; below it the chosen run's log, metrics or outputs, and details."""

    CONTEXTS: ClassVar = ("run",)
    BINDINGS: ClassVar = bindings("run")
    DEFAULT_CSS = """
    RunsView #runs { height: 1fr; }
    RunsView .lower { height: 45%; }
    RunsView #run-pages { width: 1fr; }
    RunsView #run-details { width: 46; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("runs")
        self._app = app
        self.table = TablePane(
            run_rows.columns_of(()), empty="No runs yet. :run COMMAND starts one."
        )
        self._details = About()
        self._made: list[RunPage] = []
        self._rows = run_rows.RunTable()
        self._known: tuple[object, str] | None = None
        self.board = ProjectBoard(app)
        self.deck = Deck(
            [(name, title, partial(self._make, maker)) for name, title, maker in PAGES],
            id="run-pages",
            first=app.saved.pages.get("run-pages", ""),
        )

    def compose(self) -> ComposeResult:
        yield Pane("Runs", self.board, self.table, id="runs")
        with Horizontal(classes="lower", id="runs-lower"):
            yield self.deck
            yield Pane("About", self._details, id="run-details")

    async def on_mount(self) -> None:
        await self.deck.fill()
        self._show_run()

    def _make(self, maker: type[RunPage]) -> RunPage:
        page = maker(self._app)
        self._made.append(page)
        page.choose(self._app.world.runs.get(self._app.run_number or -1))
        return page

    def opened(self) -> None:
        """Older runs are wanted, too; the chosen run is the one that another view left."""
        self._app.link.want_runs()
        chosen = self._app.run_number
        if chosen is None or not self.table.table.go_to(str(chosen)):
            row = self.table.table.model.current
            self._app.run_number = int(row.key) if row is not None else None

    def show(self, world: World) -> None:
        """Show what is new."""
        known, self._known = self._known, (world.runs, self.project)
        if known is None or known[0] is not world.runs or known[1] != self.project:
            shown = run_rows.shown(world.runs.values(), self.project)
            self._rows.take(shown)
            self.board.look(shown)
            self.query_one("#runs").border_title = self._title(world)
        if self._rows.columns != self.table.table.model.columns:
            self.table.table.set_columns(self._rows.columns)
        self.table.show(self._rows.rows, clock.now())
        self._show_run()

    @property
    def project(self) -> str:
        """Whose runs are shown; empty: all."""
        return self.board.project

    def choose_project(self, project: ProjectDetails | None) -> None:
        """Show the runs of a project only, and what they came to; None: all."""
        self.board.choose(project)
        self.show(self._app.world)

    def _title(self, world: World) -> str:
        if self.project:
            return f"Runs of {self.project}"
        # What is older, `ps` and SQL know.
        return f"The newest {MOST_RUNS:,} runs" if len(world.runs) >= MOST_RUNS else "Runs"

    async def turn_to(self, page: str) -> Page:
        """Put a page about the chosen run on top."""
        return await self.deck.turn_to(page)

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        if event.table is self.table.table:
            self._app.run_number = int(event.key) if event.key else None
            self._show_run()

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        if event.table is self.table.table:
            self._app.run_number = int(event.key)
            self._app.begin(self._app.action_show_log())

    def _show_run(self) -> None:
        run = self._app.world.runs.get(self._app.run_number or -1)
        # A recording's runs are of the folder that it was made in.
        engine = self._app.world.engine
        root = Path(engine.app_folder) if engine is not None else None
        self._details.say(details.of_run(run, clock.now(), root) if run else "")
        for page in self._made:
            page.choose(run)
