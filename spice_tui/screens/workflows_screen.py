"""The workflows: how far each is, and the chosen one as a graph that follows the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from spice_engine.protocol.views import Lineage
from spice_engine.protocol.workflows import WorkflowInfo, WorkflowList
from spice_tui.models import clock
from spice_tui.models.workflow_rows import WORKFLOWS, workflow_rows
from spice_tui.screens.following_dialog import FollowingDialog
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.lineage import LineageGraph
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp

ACTIVE = frozenset({"running", "stopping", "killing"})
"""States of a workflow that is not over."""


class WorkflowsScreen(FollowingDialog[int]):
    """A table and a graph. Answers the run whose log a person wants to see."""

    TOPIC = "workflows"
    CONTEXT = "workflow"
    BINDINGS = bindings("workflow")
    DEFAULT_CSS = """
    WorkflowsScreen > .frame { width: 96%; max-width: 200; height: 90%; }
    WorkflowsScreen TablePane { height: 35%; }
    WorkflowsScreen LineageGraph { height: 1fr; border-top: solid $primary; }
    WorkflowsScreen Static { height: auto; max-height: 3; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp, number: int = 0) -> None:
        super().__init__(app)
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
            self.note.update("")
            self.work(self._show_graph())

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self.go_to(self._graph)

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

    @property
    def parts(self) -> Sequence[Widget]:
        """The table and the graph."""
        return (self._table, self._graph)

    def action_resume(self) -> None:
        """Go on with the chosen one."""
        self.work(self._do("workflows.resume", "Workflow {} goes on."))

    def action_stop(self) -> None:
        """Stop the chosen one and its runs."""
        self._end("workflows.stop", "stopped")

    def action_kill(self) -> None:
        """End the chosen one and its runs at once."""
        self._end("workflows.kill", "killed")

    def action_archive(self) -> None:
        """Put the chosen one away."""
        self.work(self._do("workflows.archive", "Workflow {} is put away."))

    def _end(self, operation: str, how: str) -> None:
        state = self._info.state if self._info is not None else ""
        if state in ACTIVE:
            self.later(f"workflow {self._number} is {how}", operation, id=self._number)
        elif state:
            self.note.update(f"Workflow {self._number} is over: {state}.")

    async def _do(self, operation: str, said: str) -> None:
        if self._number:
            number = self._number
            await self.spice.ask(operation, id=number)
            self.note.update(said.format(number))
