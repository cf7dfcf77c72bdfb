"""The pages of one server: charts, a request, versions, a pod's log."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from spice_engine.errors import SpiceError
from spice_engine.protocol.servers import PredictAnswer, ServerDetails, ServerSeriesList
from spice_tui.models import clock, payload, server_series, server_words
from spice_tui.models.chart_view import ChartInput
from spice_tui.models.server_rows import VERSIONS, version_rows
from spice_tui.widgets.chart import Chart
from spice_tui.widgets.composer import Composer
from spice_tui.widgets.pane import Page
from spice_tui.widgets.reading import Reading
from spice_tui.widgets.run_log import RunLog
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from textual.timer import Timer

    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World

NOTHING = "No figures yet."
LIVE_SECONDS = 1.0
"""How often series are asked for while they are looked at."""
POINTS = 400
KEPT = 50
"""Servers whose last request is remembered."""
LONGEST = 65_536
"""Characters of a request that is remembered."""


class ServerPage(Page):
    """Shows something about one server; `server` names it."""

    def __init__(self, app: SpiceApp, server: str) -> None:
        super().__init__()
        self.spice = app
        self.server = server

    def know(self, details: ServerDetails) -> None:
        """The engine told more about the server."""

    def choose(self, replica: str) -> None:
        """Another replica is the chosen one."""


class ChartsPage(ServerPage):
    """Rates, latencies, queue, pods, and what the predictor sends itself."""

    DEFAULT_CSS = """
    ChartsPage Chart { height: 10; }
    """

    def __init__(self, app: SpiceApp, server: str) -> None:
        super().__init__(app, server)
        self._scroll = VerticalScroll(Chart(ChartInput(empty=NOTHING)), can_focus=False)
        self._charts: dict[str, Chart] = {}
        self._newest: object = None
        self._asking = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._scroll

    def on_mount(self) -> None:
        self._timer = self.set_interval(LIVE_SECONDS, self._look)
        self._look()

    def opened(self) -> None:
        """Look at once."""
        self._look()

    def _look(self) -> None:
        """Ask for the series while they are on show."""
        if self.region.area and self.spice.world.attached and not self._asking:
            self.spice.begin(self._load())

    async def _load(self) -> None:
        self._asking = True
        try:
            found = await self.spice.fetch(
                ServerSeriesList, "servers.metrics", server=self.server, points=POINTS
            )
        except SpiceError:
            return  # the server is gone, or the engine; what is known stays on show
        finally:
            self._asking = False
        newest = [(one.name, one.tag, one.times[-1:]) for one in found.series]
        if not newest or newest == self._newest or not self.is_attached:
            return
        self._newest = newest
        made = server_series.charts(found.series)
        if made.keys() != self._charts.keys():
            had_focus = self.has_focus_within
            await self._scroll.remove_children()
            self._charts = {title: Chart() for title in made}
            await self._scroll.mount(*self._charts.values())
            if had_focus:
                next(iter(self._charts.values())).focus(scroll_visible=False)
        for title, data in made.items():
            self._charts[title].show(data)

    @on(Chart.CursorMoved)
    def _crosshair(self, event: Chart.CursorMoved) -> None:
        for chart in self._charts.values():
            if chart is not event.chart:
                chart.set_cursor(event.x)

    @on(Chart.ViewChanged)
    def _zoomed(self, event: Chart.ViewChanged) -> None:
        for chart in self._charts.values():
            if chart is not event.chart:
                chart.set_view(event.lo, event.hi, whole=event.whole)


class RequestPage(ServerPage):
    """Composes a request, sends it through the engine, shows the answer."""

    def __init__(self, app: SpiceApp, server: str) -> None:
        super().__init__(app, server)
        self.composer = Composer()
        self._begun = False
        self._sending = False
        self._is_own = server in app.saved.payloads
        self._first = app.saved.payloads.get(server, "{}")

    def compose(self) -> ComposeResult:
        yield self.composer

    def on_mount(self) -> None:
        info = self.spice.world.servers.get(self.server)
        self.composer.begin(f"POST {info.url}" if info else f"POST {self.server}", self._first)
        self._begun = True

    def know(self, details: ServerDetails) -> None:
        """Begin with an example where nothing was sent yet."""
        if self._begun:
            self.composer.aim(f"POST {details.info.url}")
        if self._is_own:
            return
        self._is_own = True
        first, self._first = self._first, payload.first_payload(details.predictor)
        if self._begun and self.composer.text == first and first != self._first:
            self.composer.begin(f"POST {details.info.url}", self._first)

    def on_unmount(self) -> None:
        if self.composer.text != self._first:
            self._remember(self.composer.text)

    @on(Composer.SendWanted)
    def _wanted(self, event: Composer.SendWanted) -> None:
        event.stop()
        self._is_own = True
        self._remember(event.text)
        if not self._sending:
            self._sending = True
            self.spice.begin(self._send(event.read))

    async def _send(self, read: payload.Payload) -> None:
        try:
            answer = await self.spice.fetch(
                PredictAnswer, "servers.predict", server=self.server, payload=read.value
            )
        except SpiceError as error:
            self.composer.refused(str(error))
            return
        finally:
            self._sending = False
        self.composer.answered(answer)

    def _remember(self, text: str) -> None:
        if len(text) > LONGEST:
            return
        kept = {name: one for name, one in self.spice.saved.payloads.items() if name != self.server}
        newest = dict([*kept.items(), (self.server, text)][-KEPT:])
        self.spice.saved = dataclasses.replace(self.spice.saved, payloads=newest)


class VersionsPage(ServerPage):
    """Versions of the server; enter rolls back to one, which can be taken back for a while."""

    DEFAULT_CSS = """
    VersionsPage TablePane { height: 1fr; }
    VersionsPage Reading { height: 1fr; padding: 0 1; border-top: solid $foreground 30%; }
    """

    def __init__(self, app: SpiceApp, server: str) -> None:
        super().__init__(app, server)
        self._table = TablePane(VERSIONS, empty="No versions are known yet.")
        self._about = Reading()
        self._details: ServerDetails | None = None

    def compose(self) -> ComposeResult:
        yield self._table
        yield self._about

    def know(self, details: ServerDetails) -> None:
        """Show the versions."""
        self._details = details
        self._table.show(version_rows(details.versions, details.info.version), clock.now())
        self._tell()

    @property
    def chosen(self) -> int | None:
        """The version the cursor is on."""
        row = self._table.table.model.current
        return int(row.key) if row else None

    def _tell(self) -> None:
        versions = self._details.versions if self._details is not None else ()
        found = next((one for one in versions if one.number == self.chosen), None)
        self._about.say(server_words.of_version(found) if found is not None else "")

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()
        self._tell()

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self.spice.action_rollback_server(self.server, event.key)


class LogPage(ServerPage):
    """The log of the chosen replica, followed."""

    def __init__(self, app: SpiceApp, server: str) -> None:
        super().__init__(app, server)
        self._log = RunLog(app)
        self._source = ""

    def compose(self) -> ComposeResult:
        yield self._log

    def opened(self) -> None:
        """Follow what is chosen by now."""
        self._log.follow(self._source)

    def choose(self, replica: str) -> None:
        """Follow another replica's log."""
        self._source = f"server/{self.server}/{replica}" if replica else ""
        if self.is_attached and self.display:
            self._log.follow(self._source)

    def show(self, world: World) -> None:
        """Follow what is chosen by now."""
        self._log.follow(self._source)
