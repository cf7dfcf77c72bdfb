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
from spice_tui.models.workflow_rows import WORKFLOWS, run_of_step, workflow_rows, workflow_words
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
        self._states: dict[int, str] = {}
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
        self._states = {one.id: one.state for one in found.workflows}
        if self._number:
            self._table.table.go_to(str(self._number))
        if self._number not in self._states:
            self._number = max(self._states, default=0)
        await self._show_graph()

    async def _show_graph(self) -> None:
        self._graph.display = bool(self._number)
        if not self._number:
            self._info = None
            self.go_to(self._table)
            return
        number = self._number
        info = await self.spice.fetch(WorkflowInfo, "workflows.get", id=number)
        lineage = await self.spice.fetch(Lineage, "workflows.graph", id=number)
        if number == self._number:
            self._info = info
            self._graph.show(lineage)
            # What was just done stays said; the table may have no room for a message.
            if not self.said:
                self.note.update(workflow_words(info))

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()
        if event.key and int(event.key) != self._number:
            self._choose(int(event.key))

    def _choose(self, number: int) -> None:
        self._number, self.said = number, False
        self.work(self._show_graph)

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self.go_to(self._graph)

    @on(LineageGraph.Chosen)
    def _opened(self, event: LineageGraph.Chosen) -> None:
        event.stop()
        kind, _, name = event.node.id.partition("/")
        if kind == "workflow" and int(name) != self._number:
            self._choose(int(name))
            self._table.table.go_to(name)
            return
        run = int(name) if kind == "run" else run_of_step(self._info, name)
        if run is not None:
            self.dismiss(run)
            return
        hint = f" :searches {name} shows them." if kind == "search" else ""
        self.say(f"{event.node.title} has no run.{hint}")

    @property
    def parts(self) -> Sequence[Widget]:
        """The table and the graph."""
        return (self._table, self._graph) if self._number else (self._table,)

    def action_resume(self) -> None:
        """Go on with the chosen one."""
        self.work(self._do, "workflows.resume", "Workflow {} goes on.")

    def action_stop(self) -> None:
        """Stop the chosen one and its runs."""
        self._end("workflows.stop", "stopped")

    def action_kill(self) -> None:
        """End the chosen one and its runs at once."""
        self._end("workflows.kill", "killed")

    def action_archive(self) -> None:
        """Put the chosen one away."""
        self.work(self._do, "workflows.archive", "Workflow {} is put away.")

    def _end(self, operation: str, how: str) -> None:
        state = self._states.get(self._number, "")
        if state in ACTIVE:
            self.later(f"workflow {self._number} is {how}", operation, id=self._number)
        elif state:
            self.say(f"Workflow {self._number} is over: {state}.")

    async def _do(self, operation: str, said: str) -> None:
        if self._number:
            number = self._number
            await self.spice.ask(operation, id=number)
            self.say(said.format(number))
