"""What stands beside the table of runs about the chosen one: its log, metrics, outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from spice_engine.errors import SpiceError
from spice_engine.protocol.resources import ResourceInfo, ResourceList
from spice_engine.protocol.run_states import UNDER_WAY
from spice_engine.protocol.runs import MetricList
from spice_tui.models import clock, metric_series
from spice_tui.models.chart_view import ChartInput
from spice_tui.models.model_rows import RESOURCES, parent, resource_rows
from spice_tui.widgets.chart import Chart
from spice_tui.widgets.pane import Page
from spice_tui.widgets.run_log import RunLog
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from textual.timer import Timer

    from spice_engine.protocol.runs import RunInfo
    from spice_tui.app import SpiceApp

LIVE_SECONDS = 1.0
"""How often metrics of a run at work are asked for while they are looked at."""
POINTS = 1000


class RunPage(Page):
    """Shows something about the chosen run."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__()
        self.spice = app
        self.run_: RunInfo | None = None

    def choose(self, run: RunInfo | None) -> None:
        """This run is the chosen one now, or it changed."""
        self.run_ = run


class RunLogPage(RunPage):
    """Its log, followed."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self._log = RunLog(app)

    def compose(self) -> ComposeResult:
        yield self._log

    def on_mount(self) -> None:
        self.choose(self.run_)

    def choose(self, run: RunInfo | None) -> None:
        """Follow its log."""
        super().choose(run)
        if self.is_mounted:
            self._log.follow(f"run/{run.id}" if run else "")


class RunChartsPage(RunPage):
    """Its metrics, a chart each."""

    DEFAULT_CSS = """
    RunChartsPage Chart { height: 10; }
    """
    EMPTY = "No metrics yet."

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self._scroll = VerticalScroll(Chart(ChartInput(empty=self.EMPTY)), can_focus=False)
        self._charts: dict[str, Chart] = {}
        self._left = Static()
        self._drawn: int | None = None
        self._asked: object = None
        self._asking = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._scroll

    def on_mount(self) -> None:
        self._timer = self.set_interval(LIVE_SECONDS, self._look_again, pause=True)
        self._ask()

    def opened(self) -> None:
        """Ask anew."""
        self._asked = None
        self._ask()

    def choose(self, run: RunInfo | None) -> None:
        """Ask for its metrics, if it is another or went on."""
        super().choose(run)
        self._ask()

    def _ask(self) -> None:
        run = self.run_
        known = None if run is None else (run.id, run.state)
        if self.is_mounted and self.display and run is not None and known != self._asked:
            self._asked = known
            self.spice.begin(self._load())

    def _look_again(self) -> None:
        """Ask for more while the run is at work and looked at; then the timer rests."""
        if self._is_live:
            self.spice.begin(self._load())
        elif self._timer is not None:
            self._timer.pause()

    @property
    def _is_live(self) -> bool:
        return self.display and self.run_ is not None and self.run_.state in UNDER_WAY

    async def _load(self) -> None:
        run = self.run_
        if self._asking or run is None:
            return
        self._asking = True
        try:
            found = await self.spice.fetch(
                MetricList, "runs.read_metrics", id=run.id, points=POINTS
            )
        except SpiceError as error:
            self.spice.complain(error)
            return
        finally:
            self._asking = False
        if self.run_ is not None and self.run_.id != run.id:
            await self._load()  # another was chosen meanwhile
            return
        await self._draw(run.id, found)
        if self._timer is not None and self._is_live:
            self._timer.resume()

    async def _draw(self, run: int, found: MetricList) -> None:
        series, left = metric_series.charted(metric_series.of_run(found.series))
        if run != self._drawn or self._charts.keys() != {one.key for one in series}:
            self._drawn = run
            self._charts = {one.key: Chart() for one in series}
            await self._scroll.remove_children()
            empty = [Chart(ChartInput(empty=self.EMPTY))]
            self._left = Static()
            await self._scroll.mount(*(self._charts.values() or empty), self._left)
        self._left.update(left)
        self._left.display = bool(left)
        for one in series:
            self._charts[one.key].show(ChartInput((one,), title=one.title, x_kind="whole"))


class RunOutputsPage(RunPage):
    """What it left: enter goes into a folder, backspace out of it."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self.table = TablePane(RESOURCES, empty="It left nothing.")
        self.path = ""
        self._entries: dict[str, ResourceInfo] = {}
        self._asked: object = None

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self._ask()

    def opened(self) -> None:
        """Ask anew."""
        self._asked = None
        self._ask()

    def choose(self, run: RunInfo | None) -> None:
        """Ask what it left, if it is another or went on."""
        super().choose(run)
        self._ask()

    def _ask(self) -> None:
        run = self.run_
        known = None if run is None else (run.id, run.state, run.output_files)
        if self.is_mounted and self.display and run is not None and known != self._asked:
            self._asked = known
            self.spice.begin(self._load(f"runs/{run.id}"))

    async def _load(self, path: str, *, below: str = "") -> None:
        try:
            found = await self.spice.fetch(ResourceList, "resources.list", path=path)
        except SpiceError:  # it left nothing, or is gone
            found = ResourceList([])
        if self.run_ is None or not _is_of(path, self.run_.id):
            return  # another was chosen meanwhile
        if path != self.path:
            self.table.table.set_filter("")  # it was about what lies elsewhere
        self.path = path
        self._entries = {one.path: one for one in found.entries}
        self.table.show(resource_rows(found.entries), clock.now())
        if below:
            self.table.table.go_to(f"path/{below}")

    @property
    def chosen(self) -> ResourceInfo | None:
        """What the cursor is on."""
        row = self.table.table.model.current
        return self._entries.get(row.key.partition("/")[2]) if row else None

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        one = self.chosen
        if one is not None and one.kind == "folder":
            self.spice.begin(self._load(one.path))

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()  # it is no run

    def key_backspace(self) -> None:
        """Out of the folder."""
        if self.path.count("/") > 1:
            self.spice.begin(self._load(parent(self.path), below=self.path))


def _is_of(path: str, run: int) -> bool:
    return path == f"runs/{run}" or path.startswith(f"runs/{run}/")


PAGES: tuple[tuple[str, str, type[RunPage]], ...] = (
    ("log", "Log", RunLogPage),
    ("charts", "Metrics", RunChartsPage),
    ("outputs", "Outputs", RunOutputsPage),
)
