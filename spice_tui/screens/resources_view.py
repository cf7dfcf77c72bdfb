"""View 6: outputs of runs, uploads, models and links as a tree; below its top, what pods read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on

from spice_engine.errors import SpiceError
from spice_engine.protocol.resources import (
    ResourceInfo,
    ResourceList,
    ResourceSize,
    ResourceText,
)
from spice_engine.protocol.views import GetLineage, Lineage, LineageNode
from spice_tui.models import clock, details, resource_words
from spice_tui.models.model_rows import (
    RESOURCES,
    lineage_rows,
    parent,
    resource_rows,
    run_of,
)
from spice_tui.screens.list_view import ListView
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.table import GridTable

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class ResourcesView(ListView):
    """Enter goes into a folder, backspace out of it; elsewhere enter shows what came from what."""

    CONTEXTS: ClassVar = ("resource",)
    BINDINGS: ClassVar = bindings("resource")
    TITLE = "Resources"
    COLUMNS = RESOURCES
    EMPTY = "Nothing here yet. U takes a file or folder of this machine in."

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("resources", app)
        self.path = ""
        """Where in the tree one is; empty at its top."""
        self._lineage = Lineage([], [])
        self._entries: dict[str, ResourceInfo] = {}
        self._texts: dict[str, ResourceText] = {}
        self._holds: dict[str, ResourceSize] = {}
        self._looked_at: set[str] = set()
        self._known: object = None
        self._runs: object = None

    def on_mount(self) -> None:
        """Uploads and links come from elsewhere, too."""
        self.spice.link.follow("resources", self._changed)

    def on_unmount(self) -> None:
        """Follow them no longer."""
        self.spice.link.unfollow("resources", self._changed)

    def _changed(self, _: Mapping[str, Any]) -> None:
        self._known = None
        self.spice.coalescer.touch()

    def opened(self) -> None:
        """Ask again."""
        self._known = None

    def show(self, world: World) -> None:
        """Ask again when pods or runs changed."""
        known = (world.pods, len(world.runs), self.path)
        if known != self._known and world.attached:
            self._known = known
            self.spice.begin(self._load(self.path))
        elif self.path == "runs" and world.runs is not self._runs:
            self._show_rows()

    async def _load(self, path: str, *, below: str = "") -> None:
        try:
            if not path:
                self._lineage = await self.spice.fetch(Lineage, "store.lineage", **_everything())
            found = await self.spice.fetch(ResourceList, "resources.list", path=path)
        except SpiceError as error:
            self.spice.complain(error)
            return
        if path != self.path:
            self.table.table.set_filter("")  # it was about what lies elsewhere
        self.path = path
        self._known = (self.spice.world.pods, len(self.spice.world.runs), path)
        self._entries = {one.path: one for one in found.entries}
        self._texts.clear()
        self._holds.clear()
        self._looked_at.clear()
        self._show_rows()
        if below:
            self.table.table.go_to(f"path/{below}")
        more = f" ({found.left_out:,} more)" if found.left_out else ""
        way = found.link or path
        self.query_one(f"#{self.name}-list").border_title = (
            f"{self.TITLE}: {way}{more}" if path else self.TITLE
        )
        self.tell()

    def _show_rows(self) -> None:
        """What lies here; of runs the newest first, with how they stand now."""
        runs = self._runs = self.spice.world.runs
        entries = list(self._entries.values())
        rows = resource_rows(entries[::-1] if self.path == "runs" else entries, runs)
        if not self.path:
            rows += lineage_rows(self._lineage.nodes)
        self.table.show(rows, clock.now())

    def reload(self) -> None:
        """Ask again for what is on show."""
        self.spice.begin(self._load(self.path))

    def go_up(self) -> None:
        """Show what the folder on show lies in."""
        if self.path:
            self.spice.begin(self._load(parent(self.path), below=self.path))

    def _node(self, key: str) -> LineageNode | None:
        return next((node for node in self._lineage.nodes if node.id == key), None)

    def describe(self, key: str) -> str:
        """An entry of the tree; or a thing, what it came from, and what came of it."""
        kind, _, name = key.partition("/")
        if kind == "node":
            return self._describe_node(name)
        one = self._entries.get(name)
        if one is None:
            return ""
        return resource_words.about(one, self._texts.get(one.path), self._holds.get(one.path))

    def tell(self) -> None:
        """Say what there is to say, and look into the file or folder that the cursor is on."""
        super().tell()
        one = self.chosen
        if one is not None and "/" in one.path and one.path not in self._looked_at:
            self._looked_at.add(one.path)
            self.spice.begin(self._look(one))

    async def _look(self, one: ResourceInfo) -> None:
        """Read what a file begins with, or measure a folder, for what stands beside."""
        path = one.path
        try:
            if one.kind == "file":
                text = await self.spice.fetch(ResourceText, "resources.read", path=path)
                self._texts[path] = text
            else:
                size = await self.spice.fetch(ResourceSize, "resources.measure", path=path)
                self._holds[path] = size
        except SpiceError:
            return  # a link that leads nowhere, or it is gone: there is nothing to say
        if self.is_attached:
            super().tell()

    def _describe_node(self, name: str) -> str:
        node = self._node(name)
        if node is None:
            return ""
        titles = {one.id: f"{one.kind} {one.title}" for one in self._lineage.nodes}
        before = [titles.get(e.source, e.source) for e in self._lineage.edges if e.target == name]
        after = [titles.get(e.target, e.target) for e in self._lineage.edges if e.source == name]
        text = details.lines(
            ((node.kind, node.title), ("state", node.state), ("detail", node.detail))
        )
        if before:
            text += "\n\ncame from\n  " + "\n  ".join(before)
        if after:
            text += "\n\nmade\n  " + "\n  ".join(after)
        return text

    @property
    def chosen(self) -> ResourceInfo | None:
        """The entry of the tree the cursor is on."""
        row = self.table.table.model.current
        kind, _, path = row.key.partition("/") if row else ("", "", "")
        return self._entries.get(path) if kind == "path" else None

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        one = self.chosen
        if one is None:
            self.spice.begin(self.spice.action_lineage())
        elif one.kind != "file":
            self.spice.begin(self._load(one.path))
        elif (run := run_of(one.path)) is not None and one.path == f"runs/{run}/logs.txt":
            self.spice.begin(self.spice.action_log(str(run)))


def _everything() -> dict[str, object]:
    """The parameters of a lineage of the whole folder."""
    whole = GetLineage()
    return {"pod": whole.pod, "run": whole.run}
