"""What came from what: data, pods, trainings, policies, runs."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from spice_engine.protocol.views import Lineage, LineageNode
from spice_tui.screens.dialog import Dialog
from spice_tui.widgets.lineage import LineageGraph


class LineageScreen(Dialog[LineageNode]):
    """Answers the node a person opened."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,x", "leave", "Leave")]
    DEFAULT_CSS = """
    LineageScreen > .frame { width: 96%; max-width: 200; height: 90%; }
    LineageScreen LineageGraph { height: 1fr; }
    """

    def __init__(self, lineage: Lineage) -> None:
        super().__init__()
        self._lineage = lineage
        self._graph = LineageGraph()

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "What came from what"
            frame.border_subtitle = "enter opens, esc leaves"
            yield self._graph

    def on_mount(self) -> None:
        self._graph.show(self._lineage)
        self._graph.focus()

    @on(LineageGraph.Chosen)
    def _chosen(self, event: LineageGraph.Chosen) -> None:
        self.dismiss(event.node)
