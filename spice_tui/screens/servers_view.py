"""View 5: what answers over HTTP, and the feeds that bring data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from spice_engine.errors import SpiceError
from spice_engine.protocol.pods import FeedInfo, FeedList
from spice_tui.models import clock, details
from spice_tui.models.moments import ago
from spice_tui.models.rows import SERVERS, server_rows
from spice_tui.screens.list_view import ListView
from spice_tui.widgets.table import GridTable

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class ServersView(ListView):
    """Enter asks the chosen pod what to do now."""

    TITLE = "Servers"
    COLUMNS = SERVERS
    EMPTY = "Nothing answers yet: no pod has been trained."

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("servers", app)
        self._feeds: dict[str, list[FeedInfo]] = {}

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
        self.table.show(server_rows(world, self._feeds), clock.now())
        self.tell()

    def describe(self, key: str) -> str:
        """How a pod is asked, or how a feed does."""
        world = self.spice.world
        name, _, _ = key.partition("/")
        pod = world.pods.get(name)
        if pod is None:
            return ""
        for feed in self._feeds.get(name, ()):
            if key == f"{name}/{feed.dataspace}/{feed.role}":
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

    def pod_of(self, key: str) -> str:
        """The pod that answers."""
        return key.partition("/")[0]

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        self.spice.begin(self.spice.action_recommend(self.pod_of(event.key)))
