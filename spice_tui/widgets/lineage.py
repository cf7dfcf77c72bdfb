"""The lineage view: data, pods, trainings, policies, models and servers, and what links them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import Region
from textual.message import Message

from spice_engine.protocol.views import Lineage, LineageNode
from spice_tui.models.lineage_view import LineageView
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.scroll_picture import ScrollPicture

if TYPE_CHECKING:
    from spice_tui.models.styled import Line


class LineageGraph(ScrollPicture):
    """Give a lineage by `show`; `Chosen` tells what a person opened."""

    CONTEXT = "lineage"
    BINDINGS = bindings("lineage")

    class Chosen(Message):
        """A person opened a node."""

        def __init__(self, graph: LineageGraph, node: LineageNode) -> None:
            super().__init__()
            self.graph = graph
            self.node = node

        @property
        def control(self) -> LineageGraph:
            """The graph, for `@on` with a selector."""
            return self.graph

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._view = LineageView(Lineage([], []))
        self._cursor = ""

    @property
    def chosen(self) -> LineageNode | None:
        """The node at the cursor."""
        return self._view.nodes.get(self._cursor)

    def show(self, lineage: Lineage) -> None:
        """Show this; the cursor stays on its node while there is one."""
        self._view = LineageView(lineage)
        if self._cursor not in self._view.nodes:
            self._cursor = self._view.first()
        self.renew()

    def lines(self, width: int) -> list[Line]:
        """The graph's rows."""
        return self._view.lines(width, self._cursor)

    def _move(self, columns: int, rows: int) -> None:
        self._cursor = self._view.move(self._cursor, columns, rows)
        self.renew()
        place = self._view.places.get(self._cursor)
        if place is not None:
            self.scroll_to_region(Region(0, place.row + 1, 1, 1), animate=False)

    def action_up(self) -> None:
        """Move up in the column."""
        self._move(0, -1)

    def action_down(self) -> None:
        """Move down in the column."""
        self._move(0, 1)

    def action_left(self) -> None:
        """Move to what it came from."""
        self._move(-1, 0)

    def action_right(self) -> None:
        """Move to what came from it."""
        self._move(1, 0)

    def action_open(self) -> None:
        """Open the node."""
        if self.chosen is not None:
            self.post_message(self.Chosen(self, self.chosen))
