"""The workflows: how far each is, and the chosen one as a graph that follows the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from spice_engine.protocol.views import Lineage
from spice_engine.protocol.workflows import WorkflowInfo, WorkflowList
from spice_tui.models import clock
from spice_tui.models.workflow_rows import WORKFLOWS, workflow_rows
from spice_tui.screens.following_dialog import FollowingDialog
from spice_tui.widgets.lineage import LineageGraph
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp

HINT = "enter: graph, then log of a step   R goes on   X stops   K kills   D puts away   esc leaves"


class WorkflowsScreen(FollowingDialog[int]):
    """A table and a graph. Answers the run whose log a person wants to see."""

    TOPIC = "workflows"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q", "leave", "Leave"),
        ("tab", "other", "Table or graph"),
        ("R", "resume", "Go on"),
        ("X", "stop", "Stop"),
        ("K", "kill", "Kill"),
        ("D", "remove", "Put away"),
    ]
    DEFAULT_CSS = """
    WorkflowsScreen > .frame { width: 96%; max-width: 200; height: 90%; }
    WorkflowsScreen TablePane { height: 35%; }
    WorkflowsScreen LineageGraph { height: 1fr; border-top: solid $primary; }
    WorkflowsScreen Static { height: auto; max-height: 3; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp, number: int = 0) -> None:
        super().__init__(app, HINT)
        self._number = number
        self._info: WorkflowInfo | None = None
        self._table = TablePane(
            WORKFLOWS, empty="No workflow yet. :workflows FILE carries one out."
        )
        self._graph = LineageGraph()

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Workflows"
            yield self._table
            yield self._graph
            yield self.note

    def on_mount(self) -> None:
        self._table.table.focus()

    async def load(self) -> None:
        """Show the table and the chosen one anew."""
        found = await self.spice.fetch(WorkflowList, "workflows.list")
        self._table.show(workflow_rows(found.workflows), clock.now())
        if self._number:
            self._table.table.go_to(str(self._number))
        numbers = {one.id for one in found.workflows}
        if self._number not in numbers:
            self._number = max(numbers, default=0)
        await self._show_graph()

    async def _show_graph(self) -> None:
        if not self._number:
            self._info = None
            self._graph.show(Lineage([], []))
            return
        number = self._number
        info = await self.spice.fetch(WorkflowInfo, "workflows.get", id=number)
        lineage = await self.spice.fetch(Lineage, "workflows.graph", id=number)
        if number == self._number:
            self._info = info
            self._graph.show(lineage)

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()
        if event.key and int(event.key) != self._number:
            self._number = int(event.key)
            self.note.update(HINT)
            self.work(self._show_graph())

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self._graph.focus()

    @on(LineageGraph.Chosen)
    def _opened(self, event: LineageGraph.Chosen) -> None:
        event.stop()
        run = self._run_of(event.node.id)
        if run is None:
            self.note.update(f"{event.node.title} has no run.")
        else:
            self.dismiss(run)

    def _run_of(self, ident: str) -> int | None:
        kind, _, name = ident.partition("/")
        if kind == "run":
            return int(name)
        steps = self._info.steps if self._info is not None else []
        return next((step.run for step in steps if step.key == name), None)

    def action_other(self) -> None:
        """From the table to the graph, and back."""
        (self._table.table if self._graph.has_focus else self._graph).focus()

    async def _do(self, operation: str, said: str) -> None:
        if self._number:
            number = self._number
            await self.spice.ask(operation, id=number)
            self.note.update(said.format(number))

    def action_resume(self) -> None:
        """Go on with the chosen one."""
        self.work(self._do("workflows.resume", "Workflow {} goes on."))

    def action_stop(self) -> None:
        """Stop the chosen one and its runs."""
        self.work(self._do("workflows.stop", "Workflow {} stops."))

    def action_kill(self) -> None:
        """End the chosen one and its runs at once."""
        self.work(self._do("workflows.kill", "Workflow {} is killed."))

    def action_remove(self) -> None:
        """Put the chosen one away."""
        self.work(self._do("workflows.archive", "Workflow {} is put away."))
