"""View 5: model servers; what else answers over HTTP, and the feeds that bring data, below."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from spice_engine.errors import SpiceError
from spice_engine.protocol.pods import FeedInfo, FeedList
from spice_tui.models import clock, details, server_words
from spice_tui.models.moments import ago
from spice_tui.models.server_rows import SERVERS, endpoint_rows, server_rows
from spice_tui.screens.list_view import ListView
from spice_tui.screens.server_panes import ServerPanes
from spice_tui.widgets.composer import Composer
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Pane
from spice_tui.widgets.table import GridTable

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class ServersView(ListView):
    """Enter opens a server, and asks a pod what to do now."""

    CONTEXTS: ClassVar = ("server", "pod")
    BINDINGS: ClassVar = [*bindings("server"), *bindings("pod")]
    DEFAULT_CSS = """
    ServersView .-away { display: none; }
    ServersView #servers-list { height: 1fr; }
    ServersView .lower { height: 15; }
    """

    TITLE = "Servers"
    COLUMNS = SERVERS
    EMPTY = "Nothing answers yet: no pod has been trained. :serve FILE.py stands a server up."

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("servers", app)
        self._feeds: dict[str, list[FeedInfo]] = {}
        self._awaited = ""
        self._fresh = True
        self._list = Vertical()
        self.opened_server: ServerPanes | None = None

    def compose(self) -> ComposeResult:
        with self._list:
            yield Pane(self.TITLE, self.table, id="servers-list")
            with Horizontal(classes="lower", id="servers-lower"):
                yield Pane("About", self._about, id="servers-about")

    @property
    def contexts(self) -> tuple[str, ...]:
        """Those of a server, or of the pod whose endpoint is chosen."""
        row = self.table.table.model.current
        is_pod = row is not None and not row.key.startswith("server/")
        return ("pod",) if is_pod and self.opened_server is None else ("server",)

    @property
    def panes(self) -> list[Pane]:
        """Those of the list, or of the server that is open."""
        part = self.opened_server or self._list
        return list(part.query(Pane)) if part.is_attached else []

    def on_mount(self) -> None:
        self.spice.link.want("servers")

    def opened(self) -> None:
        """Ask how the feeds do."""
        for pod in self.spice.world.pods:
            self.spice.begin(self._load(pod))

    async def _load(self, pod: str) -> None:
        try:
            self._feeds[pod] = (await self.spice.fetch(FeedList, "pods.feeds", pod=pod)).feeds
        except SpiceError:
            self._feeds.pop(pod, None)  # shown without them; opening the view asks again
        self.show(self.spice.world)

    def show(self, world: World) -> None:
        """Show what is new."""
        rows = [*server_rows(world), *endpoint_rows(world, self._feeds)]
        self.table.show(rows, clock.now())
        if self._fresh and world.servers:
            # They come after the pods: a person who looks here wants the first of them.
            self._fresh = False
            self.table.table.go_to(rows[0].key)
        if self._awaited and self.table.table.go_to(f"server/{self._awaited}"):
            self._awaited = ""
        if self.opened_server is None:
            self.tell()
        elif self.opened_server.is_gone(world):
            self.spice.begin(self.close())
        else:
            self.opened_server.show(world)

    def describe(self, key: str) -> str:
        """How a server does, how a pod is asked, or how a feed does."""
        kind, _, name = key.partition("/")
        world = self.spice.world
        if kind == "server":
            info = world.servers.get(name)
            return server_words.about(info, clock.now()) if info is not None else ""
        if kind == "feed":
            return self._describe_feed(name)
        pod = world.pods.get(name)
        if pod is None:
            return ""
        http = world.engine.http if world.engine else ""
        return details.lines(
            (
                ("pod", pod.name),
                ("state", pod.state),
                ("version", pod.policy_version),
                ("actions", ", ".join(pod.actions)),
                ("ask", f"GET {http}/api/v0.1/pods/{pod.name}/recommendation"),
                ("docs", f"{http}/docs"),
            )
        )

    def _describe_feed(self, name: str) -> str:
        pod, _, rest = name.partition("/")
        for feed in self._feeds.get(pod, ()):
            if rest == f"{feed.dataspace}/{feed.role}":
                last = ago(feed.last_ok, clock.now()) if feed.last_ok else "never"
                return details.lines(
                    (
                        ("feed", feed.dataspace),
                        ("connector", feed.connector),
                        ("state", feed.state),
                        ("last answer", last),
                        ("failures", feed.failures),
                        ("error", feed.last_error),
                        ("rows", feed.rows),
                        ("bad rows", feed.bad_rows),
                        ("bytes", feed.bytes),
                    )
                )
        return ""

    def pod_of(self, key: str) -> str:
        """The pod that answers; empty for a server."""
        kind, _, rest = key.partition("/")
        return "" if kind == "server" else rest.partition("/")[0]

    # -- one server

    async def open(self, server: str, page: str = "") -> ServerPanes:
        """Show one server in place of the list, with a page on top."""
        self.table.table.go_to(f"server/{server}")
        if self.opened_server is not None and self.opened_server.server != server:
            await self.close()
        if self.opened_server is None:
            self.opened_server = ServerPanes(self.spice, server, page)
            self._list.add_class("-away")
            await self.mount(self.opened_server)
        elif page:
            await self.opened_server.deck.turn_to(page)
        self.go_to(self.opened_server.deck if page else self.opened_server.pods)
        return self.opened_server

    def wait_for(self, server: str) -> None:
        """Go to a server's row as soon as it is there."""
        self._awaited = server
        self.show(self.spice.world)

    async def close(self) -> bool:
        """Go back to the list; false when it is on show already."""
        if self.opened_server is None:
            return False
        gone, self.opened_server = self.opened_server, None
        await gone.remove()
        self._list.remove_class("-away")
        self.go_to(self.query_one("#servers-list", Pane))
        self.tell()
        return True

    @on(Composer.Left)
    def _left(self) -> None:
        if self.opened_server is not None:
            self.go_to(self.opened_server.pods)

    @on(GridTable.Highlighted)
    def _server_chosen(self, event: GridTable.Highlighted) -> None:
        kind, _, name = event.key.partition("/")
        self.spice.server = name if kind == "server" else ""
        self.spice.show_keys()

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        kind, _, name = event.key.partition("/")
        if kind == "server":
            self.spice.begin(self.spice.action_open_server(name))
        else:
            self.spice.begin(self.spice.action_recommend(name.partition("/")[0]))
