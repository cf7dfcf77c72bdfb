"""View 7: any log of the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from spice_engine.errors import SpiceError
from spice_engine.protocol.views import LogSource, LogSources
from spice_tui.models import clock
from spice_tui.models.columns import Column, Row
from spice_tui.models.rows import run_state
from spice_tui.screens.view import View
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Pane
from spice_tui.widgets.run_log import RunLog
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from textual.timer import Timer

    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World

COLUMNS = (
    Column("live", "", "state", least=1, most=1),
    Column("title", "log", weight=1, least=8, most=60),
    Column("size", "size", "bytes", least=6, most=6, importance=4),
)
RUNS = 200
LIVE_SECONDS = 2.0
"""How often it is asked which logs there are while the view is on show: children come and go."""


class LogsView(View):
    """Logs at the left, the chosen one at the right."""

    CONTEXTS: ClassVar = ("run",)
    BINDINGS: ClassVar = bindings("run")
    DEFAULT_CSS = """
    LogsView #log-list { width: 34; }
    LogsView #log-shown { width: 1fr; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("logs")
        self._app = app
        self._table = TablePane(COLUMNS, empty="No logs yet.")
        self._log = RunLog(app)
        self._known: object = None
        self._wanted = "engine"
        self._asking = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Pane("Logs", self._table, id="log-list")
            yield Pane("Log", self._log, id="log-shown")

    def on_mount(self) -> None:
        self._timer = self.set_interval(LIVE_SECONDS, self._look_again, pause=True)

    def opened(self) -> None:
        """Ask again which logs there are; keys are on the run whose log is on show."""
        self._app.run_number = run_of_source(self._wanted)
        self._known = None
        self._app.begin(self._load())
        if self._timer is not None:
            self._timer.resume()

    def choose(self, source: str) -> None:
        """Show a log."""
        self._choose(source)
        self._table.table.go_to(source)
        self.go_to(self.query_one("#log-shown", Pane))

    def _choose(self, source: str) -> None:
        """Follow this log; keys on a run are on the one that it is of."""
        self._wanted = source
        self._app.run_number = run_of_source(source)
        self._log.follow(source)
        self.query_one("#log-shown").border_title = f"Log of {source}"

    def show(self, world: World) -> None:
        """Ask again when there are other runs."""
        if world.runs is not self._known and world.attached:
            self._known = world.runs
            self._app.begin(self._load())

    def _look_again(self) -> None:
        """Ask again while the view is on show; then the timer rests."""
        if not self.display:
            self._rest()
        elif self._app.world.attached and not self._asking:
            self._app.begin(self._load())

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    async def _load(self) -> None:
        self._asking = True
        try:
            found = await self._app.fetch(LogSources, "logs.sources", runs=RUNS)
        except SpiceError as error:
            self._rest()
            self._app.complain(error)
            return
        finally:
            self._asking = False
        self._table.show([self._row(one) for one in found.sources], clock.now())
        at = self._table.table.model.current
        if at is None or at.key != self._wanted:
            self._table.table.go_to(self._wanted)
        self._log.follow(self._wanted)
        self.query_one("#log-shown").border_title = f"Log of {self._wanted}"

    def _row(self, one: LogSource) -> Row:
        """A log; of a run with its number, and how it went."""
        number = run_of_source(one.name)
        run = self._app.world.runs.get(number) if number is not None else None
        state = "running" if one.live else "stopped" if run is None else run_state(run)
        title = one.title or one.name
        title = title if number is None else f"{number} {title}"
        return Row(one.name, {"live": state, "title": title, "size": one.size})

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        if event.key and self._table.table.has_focus:
            self._choose(event.key)

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        self.choose(event.key)


def run_of_source(source: str) -> int | None:
    """The run that a log or a chart is about: of `run/12`, 12."""
    kind, _, number = source.partition("/")
    return int(number) if kind == "run" and number.isdecimal() else None
