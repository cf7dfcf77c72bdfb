"""One server: its pods and how they do at the left, its pages at the right."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from spice_engine.errors import SpiceError
from spice_engine.protocol.servers import ServerDetails
from spice_tui.models import clock, server_words
from spice_tui.models.server_rows import REPLICAS, replica_rows
from spice_tui.screens.pages.server_pages import (
    ChartsPage,
    LogPage,
    RequestPage,
    ServerPage,
    VersionsPage,
)
from spice_tui.widgets.pane import Deck, Pane
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane
from spice_tui.widgets.words import Words

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World

PAGES: tuple[tuple[str, str, type[ServerPage]], ...] = (
    ("charts", "Charts", ChartsPage),
    ("request", "Request", RequestPage),
    ("versions", "Versions", VersionsPage),
    ("log", "Log", LogPage),
)


class ServerPanes(Horizontal):
    """Asks for the details again when the server changes."""

    DEFAULT_CSS = """
    ServerPanes { height: 1fr; }
    ServerPanes #server-pods { width: 1fr; }
    ServerPanes #server-pages { width: 50%; }
    ServerPanes #server-heading { height: 7; padding: 0 1; }
    """

    def __init__(self, app: SpiceApp, server: str, page: str = "") -> None:
        super().__init__()
        self.spice = app
        self.server = server
        self._heading = Words()
        self._heading.id = "server-heading"
        self._table = TablePane(REPLICAS, empty="No pods now. A pod's policy is served without.")
        self.pods = Pane(server, self._heading, self._table, id="server-pods")
        self.deck = Deck(
            [(name, title, partial(self._make, maker)) for name, title, maker in PAGES],
            id="server-pages",
            first=page or app.saved.pages.get("server-pages", ""),
        )
        self.details: ServerDetails | None = None
        self._made: list[ServerPage] = []
        self._known: object = None
        self._loading = False
        self._seen = False

    def compose(self) -> ComposeResult:
        yield self.pods
        yield self.deck

    async def on_mount(self) -> None:
        await self.deck.fill()
        self.show(self.spice.world)

    def _make(self, maker: type[ServerPage]) -> ServerPage:
        page = maker(self.spice, self.server)
        self._made.append(page)
        if self.details is not None:
            page.know(self.details)
        page.choose(self.replica)
        return page

    @property
    def replica(self) -> str:
        """The number of the chosen replica; empty when there is none."""
        row = self._table.table.model.current
        return row.key if row else ""

    def page(self, name: str) -> ServerPage | None:
        """A page that was made."""
        kinds = {title: kind for title, _, kind in PAGES}
        return next((one for one in self._made if isinstance(one, kinds[name])), None)

    def is_gone(self, world: World) -> bool:
        """Whether it was there, and is no more."""
        return self._seen and self.server not in world.servers

    def show(self, world: World) -> None:
        """Show what is new."""
        info = world.servers.get(self.server)
        if info is None:
            return  # not told of yet
        self._seen = True
        self._heading.say(server_words.heading(info, self.details, clock.now()))
        self._table.show(replica_rows(info.replicas), clock.now())
        if self.deck.top.is_attached:
            self.deck.top.show(world)
        rollout = info.rollout.state if info.rollout else ""
        known = (info.version, info.state, info.updated, info.running_since, rollout)
        if known != self._known and not self._loading and world.attached:
            self._loading = True
            self.spice.begin(self._load(known))

    async def _load(self, known: object) -> None:
        try:
            self.details = await self.spice.fetch(ServerDetails, "servers.get", server=self.server)
        except SpiceError:
            return  # gone meanwhile, or the engine is: it is asked when the server changes
        finally:
            self._known = known
            self._loading = False
        for page in self._made:
            page.know(self.details)
        self.show(self.spice.world)

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()
        for page in self._made:
            page.choose(event.key)

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self.spice.begin(self.spice.action_server_log(self.server, event.key))
