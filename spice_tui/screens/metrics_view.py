"""View 8: the series of any run or pod, one chart each, their crosshairs in step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Static

from spice_engine.errors import SpiceError
from spice_engine.protocol.run_states import UNDER_WAY
from spice_engine.protocol.runs import MetricList
from spice_tui.models import clock, metric_series
from spice_tui.models.chart_view import ChartInput
from spice_tui.models.columns import Column, Row
from spice_tui.models.rows import run_state
from spice_tui.models.world import World
from spice_tui.screens.logs_view import run_of_source
from spice_tui.screens.view import View
from spice_tui.widgets.chart import Chart
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Pane
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from textual.timer import Timer

    from spice_tui.app import SpiceApp
    from spice_tui.models.series import Series

COLUMNS = (
    Column("state", "", "state", least=1, most=1),
    Column("title", "run or pod", weight=1, least=8, most=60),
)
LIVE_SECONDS = 1.0
"""How often the metrics of a run that is at work are asked for while they are on show."""
POINTS = 2000


class MetricsView(View):
    """Runs and pods at the left; `enter` in a chart lets it fill the pane."""

    CONTEXTS: ClassVar = ("run",)
    BINDINGS: ClassVar = bindings("run")
    DEFAULT_CSS = """
    MetricsView #metric-list { width: 34; }
    MetricsView #metric-charts { width: 1fr; }
    MetricsView Chart { height: 14; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("metrics")
        self._app = app
        self._table = TablePane(COLUMNS, empty="Nothing has metrics yet.")
        self._charts = VerticalScroll()
        self._by_key: dict[str, Chart] = {}
        self._left = Static()
        self._wanted = ""
        self._shown = ""
        self._asking = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Pane("Metrics of", self._table, id="metric-list")
            yield Pane("Charts", self._charts, id="metric-charts")

    def on_mount(self) -> None:
        self._timer = self.set_interval(LIVE_SECONDS, self._look_again, pause=True)

    def opened(self) -> None:
        """Keys on a run are on the one whose charts are on show."""
        self._app.run_number = run_of_source(self._wanted)

    def choose(self, source: str) -> None:
        """Show the series of `run/12` or `pod/name`."""
        self._wanted = source
        self._app.run_number = run_of_source(source)
        self._table.table.go_to(source)
        self._app.begin(self._load())

    def show(self, world: World) -> None:
        """Show what is new."""
        pods = [
            Row(f"pod/{name}", {"state": pod.state, "title": name})
            for name, pod in sorted(world.pods.items())
        ]
        runs = [
            Row(
                f"run/{run.id}",
                {
                    "state": run_state(run),
                    "title": f"{run.id} {run.name or ' '.join(run.command)}",
                },
            )
            for run in sorted(world.runs.values(), key=lambda run: -run.id)
        ]
        self._table.show([*pods, *runs], clock.now())
        if not self._wanted and (pods or runs):
            self._wanted = (pods or runs)[0].key
            self._app.begin(self._load())
        elif self._wanted.startswith("pod/"):
            self._app.begin(self._load())

    def _look_again(self) -> None:
        """Ask for more while the run is at work and looked at; then the timer rests."""
        if self.display and self._is_live():
            self._app.begin(self._load())
        elif self._timer is not None:
            self._timer.pause()

    def _is_live(self) -> bool:
        run = self._app.world.runs.get(run_of_source(self._wanted) or -1)
        return run is not None and run.state in UNDER_WAY

    async def _load(self) -> None:
        if self._asking:
            return
        self._asking = True
        try:
            series = await self._series(self._wanted)
        except SpiceError as error:
            self._app.complain(error)
            return
        finally:
            self._asking = False
        await self._draw(series)
        if self._timer is not None and self._is_live():
            self._timer.resume()

    async def _series(self, source: str) -> tuple[Series, ...]:
        kind, _, name = source.partition("/")
        if kind == "pod":
            self._app.link.want_history(name)
            return metric_series.of_pod(self._app.world.trainings_of(name))
        found = await self._app.fetch(MetricList, "runs.read_metrics", id=int(name), points=POINTS)
        return metric_series.of_run(found.series)

    async def _draw(self, found: Sequence[Series]) -> None:
        series, left = metric_series.charted(found)
        if self._shown != self._wanted or self._by_key.keys() != {one.key for one in series}:
            self._shown = self._wanted
            await self._charts.remove_children()
            self._by_key = {one.key: Chart() for one in series}
            self._left = Static()
            await self._charts.mount(*self._by_key.values(), self._left)
        self._left.update(left)
        self._left.display = bool(left)
        for one in series:
            data = ChartInput((one,), title=one.title, x_kind="whole")
            self._by_key[one.key].show(data)
        title = self._wanted.partition("/")[2]
        self.query_one("#metric-charts").border_title = (
            f"Charts of {title}" if series else f"{title} has no metrics"
        )

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        if event.key and self._table.table.has_focus:
            self._wanted = event.key
            self._app.run_number = run_of_source(event.key)
            self._app.begin(self._load())

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        self.go_to(self.query_one("#metric-charts", Pane))

    @on(Chart.CursorMoved)
    def _crosshair(self, event: Chart.CursorMoved) -> None:
        for chart in self._beside(event.chart):
            chart.set_cursor(event.x)

    @on(Chart.ViewChanged)
    def _zoomed(self, event: Chart.ViewChanged) -> None:
        for chart in self._beside(event.chart):
            chart.set_view(event.lo, event.hi, whole=event.whole)

    def _beside(self, chart: Chart) -> list[Chart]:
        """The others whose series go over the same: runs' indexes, trainings, or episodes."""
        pod = self._shown.startswith("pod/")
        losses = {
            one: pod and key.startswith(metric_series.LOSS) for key, one in self._by_key.items()
        }
        same = losses.get(chart)
        return [one for one, kind in losses.items() if one is not chart and kind == same]
