"""The workspaces: where each is open, what it does, and how long nobody used it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from spice_engine.errors import SpiceError
from spice_engine.protocol.workspaces import WorkspaceAddress, WorkspaceInfo, WorkspaceList
from spice_tui.models import clock
from spice_tui.models.workspace_rows import RUNNING, WORKSPACES, workspace_rows
from spice_tui.screens.dialog import Dialog
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp

TOPIC = "workspaces"
HINT = "enter opens, a starts, X stops, D removes, esc leaves"


class WorkspacesScreen(Dialog[None]):
    """A table that follows the engine. Enter says where a workspace is open, and copies that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q", "leave", "Leave"),
        ("a", "start", "Start"),
        ("X", "stop", "Stop"),
        ("D", "remove", "Remove"),
    ]
    DEFAULT_CSS = """
    WorkspacesScreen > .frame { width: 96%; max-width: 160; height: 70%; }
    WorkspacesScreen Static { height: auto; max-height: 4; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__()
        self._spice = app
        self._found: dict[str, WorkspaceInfo] = {}
        self._table = TablePane(WORKSPACES, empty="No workspace yet. :workspaces NAME makes one.")
        self._note = Static(HINT, markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Workspaces"
            yield self._table
            yield self._note

    def on_mount(self) -> None:
        self._table.table.focus()
        self._spice.link.follow(TOPIC, self._changed)

    def on_unmount(self) -> None:
        self._spice.link.unfollow(TOPIC, self._changed)

    def _changed(self, _: Mapping[str, Any]) -> None:
        self._work(self._load())

    async def _load(self) -> None:
        found = await self._spice.fetch(WorkspaceList, "workspaces.list")
        self._found = {one.name: one for one in found.workspaces}
        self._table.show(workspace_rows(found.workspaces), clock.now())

    def _work(self, work: Any) -> None:
        self.run_worker(self._saying(work))

    async def _saying(self, work: Any) -> None:
        try:
            await work
        except SpiceError as error:
            self._note.update(str(error))

    def _chosen_name(self) -> str:
        row = self._table.table.model.current
        return row.key if row is not None else ""

    async def _do(self, operation: str, doing: str) -> None:
        if name := self._chosen_name():
            self._note.update(f"{doing} {name}…")
            await self._spice.ask(operation, name=name)
            self._note.update(HINT)

    def action_start(self) -> None:
        """Start the chosen one."""
        self._work(self._do("workspaces.start", "Starting"))

    def action_stop(self) -> None:
        """Stop the chosen one."""
        self._work(self._do("workspaces.stop", "Stopping"))

    def action_remove(self) -> None:
        """Forget the chosen one, which must not run."""
        self._work(self._do("workspaces.remove", "Removing"))

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self._work(self._open(event.key))

    async def _open(self, name: str) -> None:
        if self._found[name].state not in RUNNING:
            self._note.update(f"{name} does not run: a starts it.")
            return
        found = await self._spice.fetch(WorkspaceAddress, "workspaces.address", name=name)
        url = f"{found.address}?token={found.token}"
        self._spice.copy(url, "the address")
        self._note.update(
            f"{url}\nFrom another machine: ssh -L {found.port}:127.0.0.1:{found.port} with this "
            "host, then open it there."
        )
