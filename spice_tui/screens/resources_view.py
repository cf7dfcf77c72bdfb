"""View 6: files and feeds the pods read, what was made of them, and the disk they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from spice_engine.errors import SpiceError
from spice_engine.protocol.views import GetLineage, Lineage, LineageNode
from spice_tui.models import clock, details
from spice_tui.models.columns import Column, Row
from spice_tui.screens.list_view import ListView
from spice_tui.widgets.table import GridTable

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class ResourcesView(ListView):
    """Enter shows what came from what."""

    TITLE = "Resources"
    COLUMNS = (
        Column("kind", "kind", least=6, most=10, importance=8),
        Column("title", "name", weight=1, least=12, most=80, importance=9),
        Column("state", "state", "state", least=6, most=12),
        Column("detail", "detail", least=8, most=40, importance=4),
    )
    EMPTY = "Nothing here yet."

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("resources", app)
        self._lineage = Lineage([], [])
        self._pods: object = None

    def opened(self) -> None:
        """Ask again."""
        self._pods = None

    def show(self, world: World) -> None:
        """Ask again when pods changed."""
        if world.pods is not self._pods and world.attached:
            self._pods = world.pods
            self.spice.begin(self._load())

    async def _load(self) -> None:
        try:
            self._lineage = await self.spice.fetch(Lineage, "store.lineage", **_everything())
        except SpiceError as error:
            self.spice.complain(error)
            return
        rows = [
            Row(
                node.id,
                {
                    "kind": node.kind,
                    "title": node.title,
                    "state": node.state,
                    "detail": node.detail,
                },
            )
            for node in self._lineage.nodes
        ]
        self.table.show(rows, clock.now())
        self.tell()

    def _node(self, key: str) -> LineageNode | None:
        return next((node for node in self._lineage.nodes if node.id == key), None)

    def describe(self, key: str) -> str:
        """The thing, what it came from, and what came of it."""
        node = self._node(key)
        if node is None:
            return ""
        titles = {one.id: f"{one.kind} {one.title}" for one in self._lineage.nodes}
        before = [titles.get(e.source, e.source) for e in self._lineage.edges if e.target == key]
        after = [titles.get(e.target, e.target) for e in self._lineage.edges if e.source == key]
        text = details.lines(
            ((node.kind, node.title), ("state", node.state), ("detail", node.detail))
        )
        if before:
            text += "\n\ncame from\n  " + "\n  ".join(before)
        if after:
            text += "\n\nmade\n  " + "\n  ".join(after)
        return text

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        self.spice.begin(self.spice.action_lineage())


def _everything() -> dict[str, object]:
    """The parameters of a lineage of the whole folder."""
    whole = GetLineage()
    return {"pod": whole.pod, "run": whole.run}
