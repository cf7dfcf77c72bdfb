"""View 1: pods at the left, the manifest in the middle, how it learns at the right."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from spice_tui.models import clock
from spice_tui.models.rows import PODS, pod_rows
from spice_tui.models.server_rows import ANSWERING, ENDPOINTS, answering_rows
from spice_tui.screens.pages.makers import PAGES, make_page
from spice_tui.screens.view import View
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.manifest_pane import ManifestPane
from spice_tui.widgets.pane import Deck, Page, Pane
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World
    from spice_tui.widgets.metrics_strip import MetricsStrip
    from spice_tui.widgets.run_log import RunLog

FILL_SECONDS = 1.0
"""So long the other panes wait for the pods to be there."""


class PodsView(View):
    """The chosen pod is shown everywhere in it."""

    CONTEXTS: ClassVar = ("pod",)
    BINDINGS: ClassVar = bindings("pod")
    DEFAULT_CSS = """
    PodsView #upper { height: 1fr; }
    PodsView .lower { height: 11; }
    PodsView #pods { width: 26; }
    PodsView #manifest { width: 1fr; }
    PodsView #pod { width: 46%; }
    PodsView #endpoints { width: 40; }
    PodsView #log { width: 1fr; }
    PodsView #metrics { width: 32; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("pods")
        self.spice = app
        self.table = TablePane(PODS, empty="No pods yet: :new NAME")
        self.manifest = ManifestPane(app)
        self.deck = Deck(
            [(name, title, partial(make_page, name, app)) for name, title in PAGES],
            id="pod",
            first=app.saved.pages.get("pod", ""),
        )
        self._filling = False
        self._parts: tuple[TablePane, RunLog, MetricsStrip] | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="upper"):
            yield Pane("Pods", self.table, id="pods")
            yield self.manifest
            yield self.deck
        with Horizontal(classes="lower", id="pods-lower"):
            yield Pane("Model server pods", id="endpoints")
            yield Pane("Log", id="log")
            yield Pane("Metrics", id="metrics")

    def on_mount(self) -> None:
        self.table.table.focus()
        self.set_timer(FILL_SECONDS, self._begin_to_fill)

    def _begin_to_fill(self) -> None:
        if not self._filling:
            self._filling = True
            self.spice.begin(self._fill())

    async def _fill(self) -> None:
        """Put contents into the frames, one by one: the pods' paint has waited for none of them."""
        await self.deck.fill()
        await self.manifest.fill()
        await self._fill_lower()
        self.restore(self.spice.saved)
        self.show(self.spice.world)

    async def _fill_lower(self) -> None:
        from spice_tui.widgets.metrics_strip import MetricsStrip
        from spice_tui.widgets.run_log import RunLog

        servers = TablePane(ENDPOINTS, empty="No pod has a policy yet.")
        log, metrics = RunLog(self.spice), MetricsStrip()
        await self.query_one("#endpoints").mount(servers)
        await self.query_one("#log").mount(log)
        await self.query_one("#metrics").mount(metrics)
        log.follow("engine")
        self._parts = servers, log, metrics
        self.spice.link.want("servers")

    def show(self, world: World) -> None:
        """Show what is new."""
        self.table.show(pod_rows(world), clock.now())
        if self.spice.pod:
            self.table.table.go_to(self.spice.pod)
        if not self._filling and self.spice.link.knows_pods:
            self.call_after_refresh(self._begin_to_fill)
        self.manifest.show(world)
        if self.deck.top.is_attached:
            self.deck.top.show(world)
        if self._parts is not None:
            servers, _, metrics = self._parts
            columns = ANSWERING if world.servers else ENDPOINTS
            if servers.table.model.columns != columns:
                servers.table.set_columns(columns)
            servers.show(answering_rows(world), clock.now())
            metrics.show_pod(world, self.spice.pod)

    async def turn_to(self, page: str, *, focus: bool = True) -> Page:
        """Put a page of the chosen pod on top."""
        top = await self.deck.turn_to(page)
        if focus:
            self.go_to(self.deck)
        return top

    async def open_manifest(self, pod: str, path: str, *, focus: bool) -> None:
        """Show a manifest in the editor."""
        await self.manifest.open(pod, path)
        if focus:
            self.go_to(self.manifest)

    def on_editor_pane_left(self) -> None:
        """Back from the text to the pods."""
        self.go_to(self.panes[0])

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        if event.table is self.table.table and event.key:
            self.spice.choose_pod(event.key)

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        if event.table is self.table.table:
            self.spice.begin(self.spice.action_edit(event.key))
        elif event.key:
            kind, _, rest = event.key.partition("/")
            name = rest.partition("/")[0]
            deeds = self.spice
            work = deeds.action_open_server if kind == "server" else deeds.action_recommend
            self.spice.begin(work(name))
