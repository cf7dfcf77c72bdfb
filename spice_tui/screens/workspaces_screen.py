"""The workspaces: where each is open, what it does, and how long nobody used it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from spice_engine.protocol.workspaces import WorkspaceAddress, WorkspaceInfo, WorkspaceList
from spice_tui.models import clock
from spice_tui.models.workspace_rows import RUNNING, WORKSPACES, workspace_rows
from spice_tui.screens.following_dialog import FollowingDialog
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp


class WorkspacesScreen(FollowingDialog[None]):
    """A table that follows the engine. Enter says where a workspace is open, and copies that."""

    TOPIC = "workspaces"
    CONTEXT = "workspace"
    BINDINGS = bindings("workspace")
    DEFAULT_CSS = """
    WorkspacesScreen > .frame { width: 96%; max-width: 160; height: 70%; }
    WorkspacesScreen Static { height: auto; max-height: 4; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self._found: dict[str, WorkspaceInfo] = {}
        self._opened = ""
        """Whose address is told."""
        self._table = TablePane(WORKSPACES, empty="No workspace yet. :workspaces NAME makes one.")

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Workspaces"
            yield self._table
            yield self.note

    def on_mount(self) -> None:
        self._table.table.focus()

    async def load(self) -> None:
        """Show the table anew."""
        found = await self.spice.fetch(WorkspaceList, "workspaces.list")
        self._found = {one.name: one for one in found.workspaces}
        told = self._found.get(self._opened)
        if self._opened and (told is None or told.state not in RUNNING):
            self._opened = ""
            self.note.update("")
        self._table.show(workspace_rows(found.workspaces), clock.now())

    @property
    def parts(self) -> Sequence[Widget]:
        """The table."""
        return (self._table,)

    def _chosen_name(self) -> str:
        row = self._table.table.model.current
        return row.key if row is not None else ""

    async def _do(self, operation: str, doing: str) -> None:
        if name := self._chosen_name():
            self.note.update(f"{doing} {name}…")
            await self.spice.ask(operation, name=name)
            self.note.update("")

    def action_start(self) -> None:
        """Start the chosen one."""
        self.work(self._do, "workspaces.start", "Starting")

    def action_stop(self) -> None:
        """Stop the chosen one."""
        one = self._found.get(self._chosen_name())
        if one is None:
            return
        if one.state in RUNNING:
            self.later(f"workspace {one.name} is stopped", "workspaces.stop", name=one.name)
        else:
            self.note.update(f"{one.name} does not run: it is {one.state}.")

    def action_remove(self) -> None:
        """Forget the chosen one, which must not run."""
        self.work(self._do, "workspaces.remove", "Removing")

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self.work(self._open, event.key)

    async def _open(self, name: str) -> None:
        if self._found[name].state not in RUNNING:
            self.note.update(f"{name} does not run: a starts it.")
            return
        found = await self.spice.fetch(WorkspaceAddress, "workspaces.address", name=name)
        url = f"{found.address}?token={found.token}"
        self.spice.copy(url, "the address")
        self._opened = name
        self.note.update(
            f"{url}\nFrom another machine: ssh -L {found.port}:127.0.0.1:{found.port} with this "
            "host, then open it there."
        )
